"""Names of any language in every locale.

Where Python takes names of files for ASCII, or for Latin-1, it can neither write a mask
by the name of its case nor show it. mriseg writes names in UTF-8 everywhere; so it runs in Python's
UTF-8 mode, and what a terminal cannot show is written out.
"""

from __future__ import annotations

import os
import sys

_MODE = "PYTHONUTF8"


def use_utf8() -> None:
    """Start this command again in UTF-8 mode where names of files are of another encoding."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get(_MODE) != "1":
        os.environ[_MODE] = "1"  # processes of this one inherit it
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    for stream in (sys.stdout, sys.stderr):
        # A test, or a program that runs the command line, may have put something else there.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")
