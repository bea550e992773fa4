"""Whatever is given to the public interface, only the documented exceptions come back."""

import warnings

import generated
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import wgf

ALLOWED = (wgf.InputError, wgf.NumericalError)
OPTIONS = {
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.filter_too_much],
    "deadline": None,
}


def attempt(function, arguments):
    """Call and return whether it was refused, by one sentence of the documented classes."""
    # what numpy notes on the way is no exception; it must end in a number or a sentence
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            function(*arguments)
        except ALLOWED as error:
            line = str(error)
            assert "\n" not in line and ": " in line and ", " in line, line
            return True
    return False


@settings(max_examples=120, **OPTIONS)
@given(generated.any_call())
def test_constructors_and_methods(call):
    attempt(*call)


@settings(max_examples=80, **OPTIONS)
@given(generated.mixed(generated.SOLVE, 1))
def test_solve(arguments):
    attempt(generated.brief_solve, arguments)


@pytest.mark.slow
def test_five_thousand_calls(figure):
    refused, counts = 0, {"calls": 0, "solves": 0}

    @settings(max_examples=3500, derandomize=True, database=None, **OPTIONS)
    @given(generated.any_call())
    def calls(call):
        nonlocal refused
        refused += attempt(*call)
        counts["calls"] += 1

    @settings(max_examples=1500, derandomize=True, database=None, **OPTIONS)
    @given(generated.mixed(generated.SOLVE, 1))
    def solves(arguments):
        nonlocal refused
        refused += attempt(generated.brief_solve, arguments)
        counts["solves"] += 1

    calls()
    solves()
    assert sum(counts.values()) >= 5000
    figure(
        f"{counts['calls']} generated calls of constructors and methods and "
        f"{counts['solves']} of solve, {refused} refused: no other class of exception escaped"
    )
