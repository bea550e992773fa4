"""Settings of the whole suite: random cases are the same in every run and have no deadline."""

import pathlib
import sys

from hypothesis import settings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
settings.register_profile("wgf", derandomize=True, deadline=None)
settings.load_profile("wgf")
