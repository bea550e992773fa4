"""What the runner asks of the driver: a check before anything is written, and a solve."""

import numpy as np

from wgf import checks, driver


class _Built:
    """A method whose stepper was built for the check: the first solve takes it over."""

    def __init__(self, method, flow, start):
        self.method, self.stepper = method, method.prepare(flow, start)

    def __repr__(self):
        return repr(self.method)

    def prepare(self, flow, start):
        """Return the stepper, built anew for another start."""
        stepper, self.stepper = self.stepper, None
        return self.method.prepare(flow, start) if stepper is None else stepper


class _Timed:
    """A method whose preparation and steps are counted in a profile."""

    def __init__(self, method, profile):
        self.method, self.profile = method, profile

    def __repr__(self):
        return repr(self.method)

    def prepare(self, flow, start):
        """Return the stepper of the method with its steps timed."""
        with self.profile("prepare"):
            stepper = self.method.prepare(flow, start)
        advance = stepper.advance

        def timed(limit):
            with self.profile("step"):
                return advance(limit)

        stepper.advance = timed
        return stepper


def check(
    flow, start, until, every=None, at=None, method=None, stop=None, tolerance=1e-9, gap=np.inf
):
    """Return the method with which `solve` would begin, or raise what it would refuse."""
    if until != "stationary":
        driver.output_times(until, every, at)
    if stop is not None and not callable(stop):
        raise checks.InputTypeError(f"stop: {stop!r} cannot be called, give a function")
    return _Built(method or driver.default_method(flow, start), flow, start)


def solve(flow, start, until, method, profile=None, **options):
    """Solve with a method that `check` returned, with the time counted in `profile`."""
    method = method if profile is None else _Timed(method, profile)
    return driver.solve(flow, start, until, method=method, **options)
