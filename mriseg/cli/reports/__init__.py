"""Reports on the terminal: ``results`` of the work, ``contents`` of stores and runs, ``machine``."""
