"""What a run would take, found by a short one: sizes, memory, steps, time, disk."""

import math
import pathlib
import resource
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable

import numpy as np

from wgf import checks
from wgf.command import runner
from wgf.command.signals import Ended
from wgf.record.progress import Profile

# seconds of processors and steps after which a side is left
SECONDS = 4.0
STEPS = 2000


def dry_run(setup: Callable, values: dict, settings: runner.Settings) -> str:
    """Return a text on what `runner.run` would take, after a short run in a temporary folder.

    Each side runs for a few seconds as it will, with its snapshots, and is drawn. Steps and time
    are those of the whole run if steps go on to grow half as fast as they did; memory is the most
    that this process held. A run without an end time is told by the time of a step.

    Raises
    ------
    InputError
        Like the run itself.
    """
    from wgf.driver import output_times

    began = time.perf_counter()
    system, sides = runner.prepare(setup, values, settings)
    times, end = np.array([0.0, math.inf]), "until it stops"
    if system.until != "stationary":
        times = output_times(system.until, system.every, system.at)
        stops = ", or until it stops" if system.stop is not None else ""
        end = f"until t = {system.until:g}{stops}, {len(times)} snapshots"
    lines, found, solutions = [f"{system.flow!r}", end], [], {}
    prepared = time.perf_counter() - began
    with tempfile.TemporaryDirectory(prefix="wgf-dry-run-") as folder:
        for side in sides:
            size = _size(side.start)
            lines.append(f"{side.name}: {size}, {side.method!r}")
            path = pathlib.Path(folder, side.name)
            solution, profile = _short(system, side, path, settings)
            solutions[side.name] = solution
            found.append(_estimate(solution, profile, times, _bytes_below(path)))
            told = _told(found[-1]) | _features(path)
            lines += [f"  {name:<10} {text}" for name, text in told.items()]
        picture = _picture(system, solutions, pathlib.Path(folder), settings)
    # kilobytes, except on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    if times[-1] < math.inf:
        whole = prepared + picture.seconds + sum(each.seconds for each in found)
        disk = picture.size + sum(each.size for each in found)
        lines.append(f"time: about {_duration(whole)} once compiled{picture.note}")
        lines.append(f"disk: about {_bytes(disk)}")
    lines.append(f"memory: {_bytes(memory)}")
    return "\n".join(lines)


class _Clock:
    """What looks to `Ended` like a signal that comes when it is time to leave a side."""

    def __init__(self):
        self.steps, self.began, self.came = -1, 0.0, False

    def __call__(self, row):
        # the first step compiles
        self.steps += 1
        if self.steps <= 1:
            self.began = time.process_time()

    @property
    def number(self):
        late = self.steps > 1 and time.process_time() - self.began > SECONDS
        self.came = late or self.steps >= STEPS
        return 1 if self.came else None


def _short(system, side, path, settings):
    """Return the solution of a side for a few seconds, stored at `path`, and its profile."""
    from wgf.driver import solve

    clock, profile = _Clock(), Profile()
    with runner.silent(), warnings.catch_warnings():
        # the run itself will warn
        warnings.simplefilter("ignore")
        solution = solve(
            system.flow,
            side.start,
            **runner.times_of(system),
            method=side.method,
            save=path,
            stop=Ended(clock, system.stop),
            progress=clock,
            threads=settings.threads,
            profile=profile,
        )
    solution.cut = clock.came and solution.status == "stopped"
    return solution, profile


def _estimate(solution, profile, times, size):
    """Return steps, length and seconds of a step, seconds and bytes of the whole run."""
    t, spent = solution.diagnostics["t"], profile.spent
    count = len(t) - 1
    step = (t[-1] - t[count // 2]) / (count - count // 2) if count else 0.0
    each = spent["step"] / max(count, 1)
    ahead, kept = times[times > t[-1]], len(solution.times)
    steps, snapshots = count, kept
    if solution.cut and step > 0 and times[-1] < math.inf:
        steps += max(_steps_ahead(t, times[-1]), len(ahead))
        snapshots = len(times)
    rows = 8 * len(solution.diagnostics)
    # rows lie in their snapshot and in the index, snapshots in one file each
    whole = (size - 2 * rows * count) * snapshots / kept + 2 * rows * steps
    seconds = spent["prepare"] + each * steps + spent["store"] * snapshots / kept
    return types.SimpleNamespace(
        steps=steps,
        step=step,
        each=each,
        seconds=seconds,
        size=whole,
        open=solution.cut and times[-1] == math.inf,
    )


def _steps_ahead(t, end):
    """Return how many steps will be made from the last of the times to the end."""
    recent, before = (np.count_nonzero((t > t[-1] * k / 4) & (t <= t[-1] * k / 2)) for k in (2, 1))
    # steps that grow like t^(1 - q) are made in the ratio 2^q in the last two doublings of the time
    grown = min(max(math.log2(max(recent, 1) / max(before, 1)), 0.0), 1.0)
    # growth slackens: some bound, of stability or between outputs, is met
    q = 0.5 * (1.0 + grown)
    return math.ceil(recent * ((end / t[-1]) ** q - 1.0) / (1.0 - 0.5**q))


def _told(found):
    """Return what was found of a side in words."""
    each = f"{found.each * 1e3:.3g} ms per step"
    if found.open:
        return {"steps": f"until it stops, now {found.step:.3g} long", "time": each}
    return {
        "steps": f"about {found.steps}, now {found.step:.3g} long",
        "time": f"about {_duration(found.seconds)}, {each}",
        "disk": f"about {_bytes(found.size)}",
    }


def _features(path):
    """Return how a stored run keeps its features, as `_told` does."""
    from wgf.record.store import open_run

    held = open_run(path).provenance
    return {"features": held["features"]} if "features" in held else {}


def _picture(system, solutions, folder, settings):
    """Return seconds and bytes of the comparison and the picture at the end of a run."""
    found, path = types.SimpleNamespace(seconds=0.0, size=0, note=""), folder / "picture.png"
    if not settings.plot:
        return found
    from wgf.comparison import compare
    from wgf.record.store import open_run

    began = time.perf_counter()
    try:
        with runner.silent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            runs = [open_run(folder / name) for name in solutions]
            subject = compare(*runs) if len(runs) > 1 else runs[0]
            str(subject)
            runner.draw(subject, path, system.flow.functional)
    except checks.InputError:
        # what is drawn of a whole run may be missing from a short one
        found.note = ", without the picture"
    found.seconds = time.perf_counter() - began
    found.size = path.stat().st_size if path.exists() else 0
    return found


def _size(measure):
    """Return the size of a measure in words."""
    if measure.kind == "density":
        return f"{' x '.join(map(str, measure.mesh.shape))} = {measure.size} cells"
    return f"{measure.size} particles in dimension {measure.dimension}"


def _bytes_below(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
