"""The only code that opens files. It knows formats and paths, and no devices.

`readers`
    data layouts: from a folder to cases, each with a way to load its arrays.
`store`
    the zarr store of prepared cases: created, opened, read, written and checked.
`runs`
    a training's folder, its checkpoints and TensorBoard, and encoder weights from elsewhere.
`comparisons`, `forecasts`, `cross_validations`
    the files of a comparison of trainings, of a forecast, and of a cross-validation.
`bids_validator`
    whether a data set is BIDS, by the validator of the standard.
`corrections`, `annotations`, `improvements`
    what people corrected; what a session of corrections knows besides; what was learnt from them.
`predictions`
    the record of a folder of masks: what made each of them.
`writers`
    masks and probability maps as files that other programs open.
`exporters`
    trained models as files that other programs load.
`images`
    volumes and masks of any container, with their geometry; what readers use.
`dicom`
    DICOM series: headers, the voxels behind them, and what is wrong with either.
`nifti`, `nifti_header`, `nifti_place`, `nifti_embed`, `nifti_received`
    NIfTI in and out: the container that is written; in memory, for pages and from them.
`voxels`, `gunzip`
    the voxels behind a header, checked and unpacked.
`disk`
    whole files or none, one writer at a time, whether there is space, how a file is recognised
    again, what a document must look like, and files that anyone may have made.
`location`, `finding`, `model_sources`
    a path or a URL, what lies there, and models by name: those that ship, and those on the Hub.
`hub`
    models on the Hugging Face Hub: fetched, and pushed.
`trackers`
    programs that collect trainings, such as MLflow.
`sample`, `assets`
    the scans that ship with the package, and the scripts and styles of reports.

What is read may be damaged or come from a stranger: it raises an InputError that names the file,
and none of it can run code. What is written is complete or absent.
"""
