"""Runs a solver script: its `setup`, the mesh, the particles, the comparison.

A `setup` returns a dictionary: `flow`, `start` (a density), `until`, `every` or `at`, and if
wanted `methods` (by ``"mesh"`` and ``"particles"``), `particles` (the particles to start from, or
how many to draw) and `report` (given the solutions by name, it returns a text).
"""

import contextlib
import hashlib
import importlib.util
import inspect
import json
import pathlib
import re
import signal
import sys
import warnings
from types import SimpleNamespace

from wgf import checks, parallel
from wgf.record.progress import Profile, reporter

KEYS = ("flow", "start", "until", "every", "at", "methods", "particles", "report")
OPTIONS = "options.json"
SIDES = {"mesh": ("mesh",), "particles": ("particles",), "both": ("mesh", "particles")}


def load_setup(path):
    """Return the function `setup` of the solver script at `path`.

    Raises
    ------
    InputError
        For a path that is no Python file and for a script without `setup`.
    """
    path = pathlib.Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise checks.InputError(
            f"script: no Python file at {path}, give the path of a solver script"
        )
    # like `python script.py`: what lies beside the script can be imported
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    setup = getattr(module, "setup", None)
    if not callable(setup):
        raise checks.InputError(
            f"script: {path} defines no setup(), give a solver script such as those in solvers/"
        )
    return setup


def script_name(setup):
    """Return the name of the script that defines `setup`."""
    return pathlib.Path(inspect.unwrap(setup).__code__.co_filename).stem


def setup_parameters(setup):
    """Return the parameters of `setup` as ``{name: (default, help)}``.

    Raises
    ------
    InputError
        For a parameter without a default, of which no option can be made.
    """
    notes = dict(re.findall(r"^ *(\w+) *: *[^\n]*\n {4,}([^\n]+)", setup.__doc__ or "", re.M))
    found = {}
    for name, parameter in inspect.signature(setup).parameters.items():
        if parameter.default is parameter.empty:
            raise checks.InputError(
                f"script: the parameter {name} of setup() has no default, give it one"
            )
        found[name] = (parameter.default, notes.get(name, ""))
    return found


def build(setup, values):
    """Return what `setup` describes as a namespace with every one of `KEYS`.

    Raises
    ------
    InputError
        For a result that is no such dictionary.
    """
    system = setup(**values)
    if not isinstance(system, dict):
        raise checks.InputTypeError(
            f"script: setup() returned {type(system).__name__}, return a dictionary with "
            f"{', '.join(KEYS)}"
        )
    unknown = sorted(set(system) - set(KEYS))
    missing = [key for key in ("flow", "start", "until") if system.get(key) is None]
    if unknown or missing:
        trouble = f"an unknown entry {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise checks.InputError(
            f"script: setup() returned {trouble}, return a dictionary with {', '.join(KEYS)}"
        )
    return SimpleNamespace(**{key: system.get(key) for key in KEYS})


class Stopped(Exception):
    """The run ended early on a signal; `code` is the exit status the shell expects."""

    def __init__(self, number, message):
        super().__init__(message)
        self.code = 128 + number


class Signals:
    """Turns the first SIGINT or SIGTERM into a wish to stop and lets the second one through."""

    def __init__(self):
        self.number = None

    def _note(self, number, frame):
        if self.number is not None:
            raise Stopped(number, "stopped at once, the last step is lost")
        self.number = number

    @contextlib.contextmanager
    def watched(self):
        """Watch for signals; the handlers found are put back."""
        before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def prepare_out(out, sides, overwrite):
    """Return where each side is stored below `out`, and where the figure goes.

    Raises
    ------
    InputError
        If `out` holds something, unless it may be overwritten and is what such a run leaves.
    """
    out = pathlib.Path(out)
    if out.exists() and not out.is_dir():
        raise checks.InputError(f"out: {out} is a file, choose another path")
    held = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if held and not overwrite:
        raise checks.InputError(f"out: {out} exists, choose another path or add --overwrite")
    if len(sides) == 1:
        return {sides[0]: out}, out / "figure.png"
    paths, figure = {side: out / side for side in sides}, out / "comparison.png"
    foreign = sorted(held - {figure.name, OPTIONS, *sides})
    foreign += [side for side in sides if side in held and not _is_run(paths[side])]
    if foreign:
        raise checks.InputError(
            f"out: {out} holds {foreign[0]}, which no run of both sides leaves there, "
            "choose another path"
        )
    return paths, figure


def _is_run(path):
    from wgf.record.directory import is_run

    return is_run(path)


def starts(system, settings):
    """Return the start of every side asked for, by name."""
    count = settings.particles
    count = system.particles if count is None else count
    found = {}
    for side in SIDES[settings.method]:
        if side == "mesh":
            found[side] = system.start
        elif count is None or isinstance(count, int):
            count = checks.whole("particles", count or 0)
            draw = system.start.sample
            found[side] = draw(count, settings.seed) if count else system.start.quadrature()
        else:
            found[side] = count
    return found


def methods(system, settings, sides):
    """Return the method of every side by name; None is the default of `wgf.solve`."""
    found = {side: (system.methods or {}).get(side) for side in sides}
    if settings.order is not None and "mesh" in found:
        if found["mesh"] is not None:
            raise checks.InputError(
                f"order: the script solves the mesh with {found['mesh']!r}, leave --order out"
            )
        from wgf.eulerian import FiniteVolume
        from wgf.flows import GradientFlow

        if not isinstance(system.flow, GradientFlow):
            raise checks.InputError(
                f"order: {type(system.flow).__name__} has one order on a mesh, leave --order out"
            )
        found["mesh"] = FiniteVolume(settings.order)
    return found


def run(setup, values, settings):
    """Solve what `setup` describes, store it, and print what was found.

    Parameters
    ----------
    setup : callable
    values : dict
        Arguments of `setup`.
    settings : namespace
        `method`, `particles`, `seed`, `order`, `out`, `overwrite`, `quiet`, `plot`.

    Raises
    ------
    InputError
        Before anything is written.
    NumericalError
        With the step and the last good snapshot.
    Stopped
        On SIGINT or SIGTERM, after the step in hand and a snapshot.
    """
    sides = SIDES[settings.method]
    paths, figure = prepare_out(settings.out, sides, settings.overwrite)
    system, begin, chosen = prepare(setup, values, settings)
    # every rank has looked before rank 0 writes
    parallel.world().on_first(lambda: figure.unlink(missing_ok=True))
    note = _options_note(setup, values, settings)

    def remember():
        from wgf.record.directory import replace

        if not (pathlib.Path(settings.out) / OPTIONS).exists() or settings.overwrite:
            replace(pathlib.Path(settings.out) / OPTIONS, note.encode())

    _run_sides(system, begin, chosen, paths, figure, settings, remember)


def resume(out, setup, plot=True, quiet=False):
    """Continue what `run` left unfinished in `out`, with the options stored there.

    Nothing stored is executed: the script is given again, only numbers and texts are read.

    Parameters
    ----------
    out : path
        Directory given to `run` as `out`.
    setup : callable
        Of the same script.

    Raises
    ------
    InputError
        If `out` holds no options, or the script now describes another problem.
    """
    out = pathlib.Path(out)
    digest, values, settings = _stored_options(out)
    known = setup_parameters(setup)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise checks.InputError(
            f"script: setup() has no parameter {unknown[0]!r} as it had in the stored run, "
            "give the script that began it"
        )
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    for name, value in values.items():
        default = known[name][0]
        if default is not None and type(value) is not type(default):
            raise checks.InputError(
                f"{out / OPTIONS}: {name} is {value!r} where the script takes a "
                f"{type(default).__name__}, restore it from a copy or run again"
            )
    if digest != _script_hash(setup) and parallel.launched()[0] == 0:
        print("note: the script has changed since the run began", file=sys.stderr)
    vars(settings).update(out=str(out), overwrite=False, plot=plot, quiet=quiet)
    sides = SIDES[settings.method]
    paths = {sides[0]: out} if len(sides) == 1 else {side: out / side for side in sides}
    figure = out / ("figure.png" if len(sides) == 1 else "comparison.png")
    system, begin, chosen = prepare(setup, values, settings)
    _tell_changes(paths.values())
    _run_sides(system, begin, chosen, paths, figure, settings, lambda: None)


def _tell_changes(paths):
    """Tell what the stored runs were made with and is another now; the bits may differ."""
    from wgf.record.store import changed_versions

    changes = [text for path in paths if _is_run(path) for text in changed_versions(path)]
    for text in dict.fromkeys(changes) if parallel.launched()[0] == 0 else ():
        print(f"note: {text}", file=sys.stderr)


def _stored_options(out):
    """Return hash of the script, arguments of `setup` and settings of the run in `out`."""
    remedy = "restore it from a copy or run again"
    try:
        stored = json.loads((out / OPTIONS).read_text())
        digest, values, settings = stored["sha256"], stored["values"], stored["settings"]
        wrong = set(settings) ^ {"method", "particles", "seed", "order"}
        if wrong or not isinstance(values, dict) or settings["method"] not in SIDES:
            raise ValueError(f"{min(wrong)} missing or unknown" if wrong else "unknown settings")
        return digest, values, SimpleNamespace(**settings)
    except (FileNotFoundError, NotADirectoryError):
        known = "run again with --overwrite" if _is_run(out) else "give that of wgf run"
        raise checks.InputError(
            f"{out}: holds no {OPTIONS}, as a directory that wgf run was given does, {known}"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise checks.InputError(f"{out / OPTIONS}: cannot be read ({reason}), {remedy}") from None


def prepare(setup, values, settings):
    """Return system, starts and methods; what a solve would refuse surfaces here."""
    with _silent():
        return _prepare_silently(setup, values, settings)


@contextlib.contextmanager
def _silent():
    """Leave out numpy's notes on overflow and NaN: what comes of them is told in one sentence."""
    import numpy as np

    with np.errstate(all="ignore"):
        yield


def _prepare_silently(setup, values, settings):
    system = build(setup, values)
    begin = starts(system, settings)
    chosen = methods(system, settings, SIDES[settings.method])
    from wgf.driver import default_method, output_times

    output_times(system.until, system.every, system.at)
    with warnings.catch_warnings():
        # the run itself will warn
        warnings.simplefilter("ignore", checks.BoxWarning)
        for side, start in begin.items():
            (chosen[side] or default_method(system.flow, start)).prepare(system.flow, start)
    return system, begin, chosen


def _options_note(setup, values, settings):
    kept = {key: getattr(settings, key) for key in ("method", "particles", "seed", "order")}
    note = {"script": script_name(setup), "sha256": _script_hash(setup)}
    return json.dumps({**note, "values": values, "settings": kept}, indent=1)


def _script_hash(setup):
    path = inspect.unwrap(setup).__code__.co_filename
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def _run_sides(system, begin, chosen, paths, figure, settings, remember):
    solutions = {}
    with Signals().watched() as signals, _silent():
        for side, start in begin.items():
            solutions[side] = _solve(
                system, side, start, chosen[side], paths[side], settings, signals, remember
            )
    parallel.world().on_first(
        lambda: _conclude(system, solutions, paths, figure if settings.plot else None)
    )


def _solve(system, side, start, method, save, settings, signals, remember):
    from wgf.driver import solve

    profile = None
    if getattr(settings, "profile", False):
        from wgf.driver import default_method

        method = profile = Profile(method or default_method(system.flow, start))
    show = None if settings.quiet else reporter(system.until, side)
    steps = -1

    def progress(row):
        nonlocal steps
        steps += 1
        if steps == 0:
            remember()
        if show is not None:
            show(row)

    try:
        solution = solve(
            system.flow,
            start,
            system.until,
            every=system.every,
            at=system.at,
            method=method,
            save=save,
            overwrite=settings.overwrite,
            resume=not settings.overwrite and parallel.world().share(_is_run(save)),
            stop=lambda row: signals.number is not None,
            progress=progress,
        )
    except checks.NumericalError as error:
        raise checks.NumericalError(
            f"{side}: {error} (step {steps + 1}, last good snapshot {_last_snapshot(save)})"
        ) from error
    finally:
        if show is not None:
            show.close()
    if profile is not None:
        print(f"{side}: time\n{profile}\n")
    number = parallel.world().share(signals.number)
    if number is not None and solution.status == "stopped":
        raise Stopped(
            number,
            f"{side}: stopped at t={solution.times[-1]:g} of {system.until:g}, "
            f"last snapshot {_last_snapshot(save)}, go on with "
            f"'wgf resume {settings.out} SCRIPT'",
        )
    return solution


def _last_snapshot(save):
    files = sorted((save / "snapshots").glob("*.h5"))
    return files[-1] if files else f"none in {save}"


def stored_functional(run, setup):
    """Return the functional of a stored run, built by its script with the options stored there."""
    run = pathlib.Path(run)
    known, values = setup_parameters(setup), {}
    for folder in (run, run.parent):
        with contextlib.suppress(OSError, ValueError, KeyError):
            values = json.loads((folder / OPTIONS).read_text())["values"]
            break
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items() if k in known}
    defaults = {key: default for key, (default, _) in known.items()}
    return build(setup, {**defaults, **values}).flow.functional


def _conclude(system, solutions, paths, figure):
    """Print report, comparison or summary, and the path of the figure, in this order."""
    texts = [] if system.report is None else [str(system.report(solutions))]
    if len(solutions) > 1:
        from wgf.comparison.pair import compare

        subject = compare(solutions["mesh"], solutions["particles"])
        texts.append(str(subject))
    else:
        from wgf.record.store import open_run, summary

        (path,) = paths.values()
        subject = open_run(path)
        texts.append(summary(subject))
    print("\n\n".join(text.rstrip("\n") for text in texts))
    if figure is not None:
        draw(subject, figure, system.flow.functional)
        print(f"\n{figure}")


def draw(subject, path, functional=None, data=None):
    """Draw a comparison or a single run into the file at `path`, its numbers into that at `data`.

    With its functional a run is drawn with the level lines of the first variation.
    """
    from wgf import plot
    from wgf.record import tables

    if data is not None:
        tables.check_path(data)
    if hasattr(subject, "plot"):
        figure = subject.plot(path)
    else:
        figure = plot.run(subject, path, functional)
    if data is not None:
        plot.write_numbers(figure, data)
