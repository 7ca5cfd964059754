"""``python -m mriseg`` is ``mriseg``."""

from mriseg.cli.app import main

if __name__ == "__main__":
    main()
