"""One file per command, read from top to bottom. A recipe yields events and returns its report.

The commands, by what they are for:

- use a model: ``predict``, ``evaluate`` (of a model; ``evaluate_masks`` of files), ``info`` (of a
  store; ``info_runs`` of runs and models, ``info_machine`` of this machine)
- make one: ``preprocess``, ``train``, ``transfer``, ``compare``, ``forecast``
- hand it on: ``export``, ``share``, ``push``
- check: ``verify``, ``doctor``, ``bench``, ``demo``

And the parts of a training, in the order of their use:

- ``setup``: the plan, from the store and the settings; what cannot work is refused here
- ``fit``: the loop, which uses all that follows
- ``training``: its parts, while it goes on
- ``batches``: a plan's slices, read ahead and augmented
- ``clock``: epochs or a budget of time
- ``pace``: how long a step takes here, and so how long all of it will
- ``keeper``: checkpoints, log, curves and pictures
- ``epoch_end``: what follows an epoch's steps, stage by stage
- ``validate``: Dice by patient, in 3-D
- ``diverged``: the error of a training that met NaN
- ``tracking``: trackers, which are handed its events

And of a prediction:

- ``sources``: the cases to predict; ``single_file``: one that is a file alone
- ``channels``: which modalities of a scan a model uses
- ``predicted``: the masks that are there already, and the record of what made them
- ``prediction``: one case predicted, written and recorded

And of the pages that commands write: ``about`` is what each says of its making; ``predict_page``,
``evaluate_page``, ``store_page``, ``run_page`` and ``demo_page`` gather what is on them.

And of scans: ``scans`` is how they are read, ``labels`` which regions their labels give, ``stored``
of which scan a store's case is. ``load`` gives a run's model; ``scores`` is what an evaluation
finds; ``mask_pairs`` brings mask files and truths onto one grid, ``mask_labels`` to the same
labels. Nothing here prints, asks what the machine has, or knows a file format.
"""
