"""Reports as tables on the terminal: ``results`` of the work, ``machine`` of what it runs on."""
