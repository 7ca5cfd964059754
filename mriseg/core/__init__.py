"""The mathematics: pure functions and frozen data. No files, devices, printing or hidden chance.

In the order in which to read it, which is that of one slice's way through a training:

`volume`
    canonical axes, crop, pad, and the way back of each: a mask must return voxel for voxel.
`intensity`, `prepare`
    brain or head against air, the z-score over it, and all of it together for one case.
`modalities`, `regions`
    the names of modalities; named unions of labels, the masks made of them, and one label per
    voxel again.
`fingerprint`, `identity`
    whether two cases look like one scan; who a case is to a model that was trained on it.
`sampling`, `rng`
    the split by patient and the plan of an epoch; where every draw comes from.
`augment`, `resolution`
    first draw, then apply; and at first at half the resolution.
`ops`, `segnet`
    pooling that remembers in three forms, and the network built on any of them.
`losses`, `steps`, `averaging`
    what is minimised, the only lines that change a model, and the average of what they give.
`refine`, `calibration`, `postprocess`, `metrics`
    what the scan itself says of probabilities, what they mean, from them to masks, and how good
    these are.
`showcase`
    which cases and slices show it.
`pretrained`, `transfer`
    weights from VGG16, and from another task.
`finetune`, `batchnorm`
    which stages of a transfer train when and how fast; statistics of another distribution.
`statistics`
    intervals, tests and verdicts over patients.
`trials`, `comparison`
    the trainings that set ways to begin side by side, and what they show.
`folding`, `cost`
    the network made for prediction, and how many operations it takes.
`deploy`
    the network with its pre- and post-processing, as exporters write it.
`config`, `augment_config`, `settings`, `train_settings`
    what a user can set, checked when it is made and described in its fields; how what users
    write becomes a configuration.

Import from the modules: this package itself imports nothing, so that ``mriseg.core.config`` is
there before PyTorch is.
"""
