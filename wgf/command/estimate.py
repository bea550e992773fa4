"""What a run would take, found by its first steps: sizes, memory, steps, time, disk."""

import math
import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from wgf.command import runner

# how long to try, at most
SECONDS = 2.0
STEPS = 20
# a step towards no time in particular
LONGEST = 1e3


def dry_run(setup: Callable, values: dict, settings: runner.Settings) -> str:
    """Return a text on what `runner.run` would do, after a few steps and without writing.

    Steps and time are those of the whole run if the steps stay as long as the last one taken;
    adaptive methods lengthen them, so both are rather too large. Memory is the most this process
    held.

    Raises
    ------
    InputError
        Like the run itself.
    """
    from wgf.record.provenance import kept_features
    from wgf.stepping.times import output_times

    system, sides = runner.prepare(setup, values, settings)
    times, end = np.array([0.0, math.inf]), "until it stops"
    if system.until != "stationary":
        times = output_times(system.until, system.every, system.at)
        stops = ", or until it stops" if system.stop is not None else ""
        end = f"until t = {system.until:g}{stops}, {len(times)} snapshots"
    lines = [f"{system.flow!r}", end]
    for side in sides:
        stepper = side.method.prepare(system.flow, side.start)
        size, numbers = _size(side.start)
        lines.append(f"{side.name}: {size}, {side.method!r}")
        found = _steps(stepper, times) | kept_features(stepper)
        found["disk"] = f"about {_bytes(8 * len(times) * numbers)}"
        lines += [f"  {name:<10} {text}" for name, text in found.items()]
    # kilobytes, except on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    lines.append(f"memory: {_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)}")
    return "\n".join(lines)


def _size(measure):
    """Return the size in words and how many numbers a snapshot holds."""
    if measure.kind == "density":
        return f"{' x '.join(map(str, measure.mesh.shape))} = {measure.size} cells", measure.size
    words = f"{measure.size} particles in dimension {measure.dimension}"
    return words, measure.size * (measure.dimension + 1)


def _steps(stepper, times):
    """Take a few steps and return in words how many there will be and how long they will take."""
    # the first step compiles
    stepper.advance(min(times[1], 1e-9 * times[-1], LONGEST))
    first = last = stepper.time
    taken, began = 0, time.perf_counter()
    while taken < STEPS and time.perf_counter() - began < SECONDS:
        ahead = times[times > stepper.time * (1 + 1e-12)]
        if not len(ahead):
            break
        last = stepper.time
        stepper.advance(min(ahead[0] - last, LONGEST))
        taken += 1
    if not taken:
        return {"steps": "one"}
    seconds = (time.perf_counter() - began) / taken
    step = max(stepper.time - last, (stepper.time - first) / taken)
    each = f"{seconds * 1e3:.3g} ms per step"
    if times[-1] == math.inf:
        return {"steps": f"now {step:.3g} long", "time": each}
    count = taken + math.ceil(max(times[-1] - stepper.time, 0) / step)
    return {
        "steps": f"about {count}, now {step:.3g} long",
        "time": f"about {_duration(count * seconds)}, {each}",
    }


def _bytes(count):
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _duration(seconds):
    if seconds < 100:
        return f"{seconds:.2g} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
