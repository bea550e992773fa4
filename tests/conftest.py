"""Settings of the whole suite: random cases are the same in every run and have no deadline."""

import pathlib
import sys

import pytest
from hypothesis import settings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
settings.register_profile("wgf", derandomize=True, deadline=None)
settings.load_profile("wgf")


@pytest.fixture(autouse=True)
def no_folder_of_a_script_stays_on_the_path():
    """Leave `sys.path` as it was: a script that a test ran is not there for the next one."""
    before = sys.path[:]
    yield
    sys.path[:] = before


@pytest.fixture
def figure(record_property):
    """Keep a sentence with a measured number; all of them are printed at the end."""
    return lambda text: record_property("figure", text)


def pytest_terminal_summary(terminalreporter):
    """Print what the tests measured, also when several processes ran them."""
    reports = terminalreporter.stats.get("passed", [])
    figures = [text for r in reports for name, text in r.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for text in figures:
            terminalreporter.write_line(text)
