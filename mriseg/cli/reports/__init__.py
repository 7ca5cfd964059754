"""Reports on the terminal: ``results`` of the work, ``contents`` of a store, ``machine``."""
