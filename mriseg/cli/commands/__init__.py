"""The commands, by the groups of the help: ``use`` and ``info``, ``make``, ``hand_on``, ``check``.

torch, zarr and nibabel take seconds to load, so commands import what they need when they run.
"""
