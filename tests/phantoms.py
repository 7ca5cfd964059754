"""The phantoms, which ship in `mriseg.testing`, by the name that most tests import them by."""

import sys

from mriseg.testing import phantoms

sys.modules[__name__] = phantoms
