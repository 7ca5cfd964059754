"""The only code that opens files. It knows formats and paths, and no devices.

``readers``
    data layouts: from a folder to cases, each with a way to load its arrays.
`nifti`
    volumes and masks in and out, with their geometry.
`modalities`
    what files call a sequence, and what it is called here.
`store`, `arrays`, `tree`, `loader`
    the zarr store of prepared cases, how its arrays and its files are read, and batches ahead of
    their use.
`runs`, `board`, `weights`
    a training's folder, checkpoints and TensorBoard; encoder weights from elsewhere.
``exporters``
    trained models as files that other programs load.
`pictures`, `drawing`, `charts`, `tables`
    what people look at: PNG of scans and of numbers, CSV and JSON.
`files`, `locks`, `room`, `checksums`, `versions`
    whole files or none, one writer at a time, whether there is room, how a file is recognised
    again, and which versions of a format are read.
`reading`, `forms`
    files and JSON that anyone may have made: read no further than they may reach, and checked.
`sample`, `shipped`
    the scans and the models that ship with the package.

What is read may be damaged or come from a stranger: it raises an InputError that names the file,
and none of it can run code. What is written is there whole or not at all.
"""
