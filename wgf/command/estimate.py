"""What a run would take, found by its first steps: sizes, memory, steps, time, disk."""

import math
import resource
import sys
import time

from wgf.command import runner
from wgf.measures.density import Density

SECONDS = 2.0
STEPS = 20


def dry_run(setup, values, settings):
    """Return a text on what `runner.run` would do, after a few steps and without writing.

    Steps and time are those of the whole run if the steps stay as long as the last one taken;
    adaptive methods lengthen them, so both are rather too large. Memory is the most this process
    held.

    Raises
    ------
    InputError
        Like the run itself.
    """
    system, begin, chosen = runner.prepare(setup, values, settings)
    from wgf.driver import default_method, output_times
    from wgf.record.provenance import kept_features

    snapshots = output_times(system.until, system.every, system.at)
    lines = [f"{system.flow!r}", f"until t = {system.until:g}, {len(snapshots)} snapshots"]
    for side, start in begin.items():
        method = chosen[side] or default_method(system.flow, start)
        lines.append(f"{side}: {_size(start)}, {method!r}")
        # the first step compiles
        stepper = method.prepare(system.flow, start)
        stepper.advance(min(snapshots[1], 1e-9 * system.until))
        taken, first, began = 0, stepper.time, time.perf_counter()
        while taken < STEPS and time.perf_counter() - began < SECONDS:
            left = snapshots[snapshots > stepper.time * (1 + 1e-12)]
            if not len(left):
                break
            last = stepper.time
            stepper.advance(left[0] - last)
            taken += 1
        seconds = (time.perf_counter() - began) / max(taken, 1)
        lines += _prospect(stepper, first, last if taken else first, taken, seconds, system.until)
        lines += [f"  {name:<10} {text}" for name, text in kept_features(stepper).items()]
        lines.append(f"  disk       about {_bytes(len(snapshots) * _stored(start))}")
    # kilobytes, except on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    lines.append(f"memory: {_bytes(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)}")
    return "\n".join(lines)


def _prospect(stepper, first, last, taken, seconds, until):
    if not taken:
        return ["  steps      one"]
    step = max(stepper.time - last, (stepper.time - first) / taken)
    steps = taken + math.ceil(max(until - stepper.time, 0) / step)
    return [
        f"  steps      about {steps}, now {step:.3g} long",
        f"  time       about {_duration(steps * seconds)}, {seconds * 1e3:.3g} ms a step",
    ]


def _size(measure):
    if isinstance(measure, Density):
        return f"{' x '.join(map(str, measure.mesh.shape))} = {measure.mesh.cells} cells"
    m, d = measure.points.shape
    return f"{m} particles in dimension {d}"


def _stored(measure):
    numbers = (
        measure.mesh.cells
        if isinstance(measure, Density)
        else measure.points.size + len(measure.points)
    )
    return 8 * numbers


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
