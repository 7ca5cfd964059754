"""The commands, one module for each group of the help: ``use``, ``make``, ``hand_on``, ``check``.

torch, zarr and nibabel take seconds to load, so commands import what they need when they run.
"""
