"""The mathematics: pure functions and frozen data. No files, devices, output or hidden randomness.

In reading order, which follows one slice through a training:

`volume`, `orientation`, `spatial_header`
    canonical axes, crop and pad, each with its inverse, so that a mask returns voxel for voxel; the
    geometry that an affine defines; and what a NIfTI header states of it.
`grids`
    whether two arrays lie on one grid, and how one becomes the other's.
`modalities`, `filenames`, `patients`
    names of MRI sequences; what a file's name says of its content; whose scan a case is.
`scan_files`, `drafts`, `grouping`
    the plan of a folder: which files are a case's, and why the others are in none.
`bids`, `bids_plan`, `bids_labels`, `bids_output`
    names of BIDS; the plan of a data set; what its segmentations hold; what masks are called there.
`tumour_labels`, `label_account`
    BraTS's labels of all years; what became of every label of a segmentation.
`heads`, `outline`
    whether a head has its skull; slices to judge by what a stripping kept of it.
`preparation`, `regridding`
    what is done to the scans of a session so that they lie on one grid; and how.
`intensity`, `prepare`
    brain or head against air, the z-score over it, and all of this together for one case.
`regions`
    named unions of labels, their masks, and the way back to one label per voxel.
`fingerprint`, `identity`, `data_set`
    whether two cases look like the same scan; whether a model was trained on a case; which cases
    stand out among the others.
`series`, `dicom_stack`
    what a DICOM series is, guessed from its header; whether its slices are a volume.
`sampling`, `epoch_plan`, `rng`
    the split by patient and the plan of an epoch; the source of all randomness.
`augment`, `resolution`
    augmentation, drawn first and then applied; progressive resizing.
`choice`
    a backend as it is asked for, here or on another machine.
`ops`, `segnet`
    pooling with stored positions in three forms, and the network that uses any of them.
`losses`, `steps`, `averaging`
    what is minimised, the only code that updates a model, and the average of its weights.
`whole_batch`, `packing`, `parts`
    one batch that several processes compute; plain values as bytes between them; one part of many
    cases.
`resampling`
    slices at the pixel size that a network was trained at, and its probabilities back.
`halves`
    numbers of 16 bits, looked at by their bits.
`refine`, `calibration`, `postprocess`, `metrics`
    probabilities refined by the scan's intensities and calibrated; masks made of them, and their
    quality.
`evidence`, `copies`, `certainty`, `familiarity`
    what a mask shows of how sure it is, and how far mirrored copies of its slices agree; the Dice
    and the range of its volume that follow; whether a scan is like those of the training.
`queue`
    the order in which masks are worth a look.
`showcase`, `display`
    which cases and slices illustrate it; volumes as bytes for a viewer.
`pretrained`, `transfer`
    weights from VGG16, and from a network for another task.
`finetune`, `batchnorm`
    which blocks of a transfer train when and how fast; batch-norm statistics of other scans.
`surface`, `lesions`, `statistics`
    distances between surfaces, counts of lesions; intervals, tests and verdicts over patients.
`trials`, `comparison`, `learning_curve`, `forecast`, `improvement`
    the trainings that compare initialisations, and their results; what more patients would be
    worth; whether a model that learnt on is better.
`cross_validation`, `pooled_calibration`
    who is held out of which training; one calibration in which every institution counts alike.
`folding`, `cost`
    the network simplified for prediction, and its number of operations.
`padding`, `deploy`, `deploy_scan`
    the size to which a slice is padded; the network with its pre- and post-processing, as exporters
    write it, for slices and for whole scans.
`label_tables`, `segment_codes`
    names, colours and codes of the regions, for programs that show masks.
`settings`, `augment_config`, `transfer_config`, `config`, `train_settings`, `keywords`
    the settings of a training, each declared once and validated on creation; as users write them;
    and for type checkers.
`task`, `imbalance`
    what a network reads and segments; what the rarity of a region asks of the loss.
`wording`
    numbers in sentences.

Import from the modules: this package itself imports nothing, so that ``mriseg.core.config`` can be
imported without PyTorch.
"""
