"""How events look to those who wait: bars in a terminal, a display in a notebook, or plain lines.

The command line and `mriseg.api` draw with the same code. Nothing below them knows a terminal.
"""
