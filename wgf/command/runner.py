"""Runs a solver script: its `setup`, the mesh, the particles, the comparison.

A `setup` returns a dictionary: `flow`, `start` (a density), `until` (a time or ``"stationary"``),
`every` or `at`, and if wanted `stop` (a condition as `wgf.solve` takes it), `tolerance` and `gap`,
`observe` and `observe_every` (as `wgf.solve` takes them), `methods` (by ``"mesh"`` and
``"particles"``), `particles` (the particles to start from, or how many to draw) and `report` (given
the solutions by name, it returns a text).
"""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import json
import os
import pathlib
import sys
import types
import warnings
from collections.abc import Callable

import numpy as np

from wgf import checks, parallel
from wgf.command.options import Option, parameters
from wgf.command.settings import ALWAYS, ASKED, OPTIONS, SIDES, Place, Settings
from wgf.command.sides import Side, sides
from wgf.command.signals import Ended, Signals, Stopped
from wgf.record.directory import is_run
from wgf.record.progress import Profile, reporter

REQUIRED = ("flow", "start", "until")
KEYS = (*REQUIRED, "every", "at", "stop", "tolerance", "gap", "observe", "observe_every")
KEYS += ("methods", "particles", "report")
# the names in sys.modules under which scripts were loaded
_scripts = set()


def load_setup(path: str | pathlib.Path) -> Callable:
    """Return the function `setup` of the solver script at `path`.

    The script is a module of its own name, as if it were imported from its folder: its classes
    and functions can be pickled, and what lies beside it can be imported.

    Raises
    ------
    InputError
        For a path that is not a Python file and for a script without `setup`.
    """
    path = pathlib.Path(path)
    if path.suffix != ".py" or not path.is_file():
        raise checks.InputError(
            f"script: no Python file at {path}, give the path of a solver script"
        )
    sys.path.insert(0, str(path.resolve().parent))
    # a script called random.py must not replace the module random for all others
    taken = path.stem in sys.modules and path.stem not in _scripts
    name = f"script_{path.stem}" if taken else path.stem
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name) if before is None else sys.modules.update({name: before})
        raise
    _scripts.add(name)
    setup = getattr(module, "setup", None)
    if not callable(setup):
        raise checks.InputError(
            f"script: {path} defines no setup(), give a solver script such as those in solvers/"
        )
    return setup


def plain(setup: Callable) -> Callable:
    """Return the function behind decorators and `functools.partial`."""
    while isinstance(setup, functools.partial) or hasattr(setup, "__wrapped__"):
        setup = getattr(setup, "func", None) or setup.__wrapped__
    return setup if hasattr(setup, "__code__") else type(setup).__call__


def digest_of(path: pathlib.Path) -> str:
    """Return the sha256 of a script."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def script_of(setup: Callable) -> tuple[str, str]:
    """Return the name of the script that defines `setup`, and the sha256 of its text.

    In a notebook, where there is no script, they are those of the function.
    """
    function = plain(setup)
    path = pathlib.Path(function.__code__.co_filename)
    if path.is_file():
        return path.stem, digest_of(path)
    try:
        text = inspect.getsource(function).encode()
    except (OSError, TypeError):
        text = function.__code__.co_code
    return function.__name__, hashlib.sha256(text).hexdigest()


def build(setup: Callable, values: dict) -> types.SimpleNamespace:
    """Return what `setup` describes as a namespace with every one of `KEYS`.

    Raises
    ------
    InputError
        For a result that is not such a dictionary.
    """
    system = setup(**values)
    if not isinstance(system, dict):
        raise checks.InputTypeError(
            f"script: setup() returned {type(system).__name__}, return a dictionary with "
            f"{', '.join(KEYS)}"
        )
    unknown = sorted(set(system) - set(KEYS))
    missing = [key for key in REQUIRED if system.get(key) is None]
    if unknown or missing:
        trouble = f"an unknown entry {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
        raise checks.InputError(
            f"script: setup() returned {trouble}, return a dictionary with {', '.join(KEYS)}"
        )
    return types.SimpleNamespace(**{key: system.get(key) for key in KEYS})


def prepare(setup: Callable, values: dict, settings: Settings) -> tuple:
    """Return the system and its sides with their methods, once `wgf.solve` would take them.

    Raises
    ------
    InputError
        For what can be refused before the first step.
    """
    from wgf.driver import check

    with silent(), warnings.catch_warnings():
        # the run itself will warn
        warnings.simplefilter("ignore", checks.BoxWarning)
        system = build(setup, values)
        _override(system, settings)
        found = sides(system, settings)
        for side in found:
            side.method = check(
                system.flow, side.start, **_times(system), method=side.method, stop=system.stop
            )
    return system, found


def _override(system, settings):
    """Put what the command line says in the place of what the script says."""
    if settings.until == "stationary":
        # the script's times were meant for an end that is known
        system.until, system.every, system.at = settings.until, None, None
    elif settings.until is not None:
        try:
            system.until = float(settings.until)
        except ValueError:
            raise checks.InputError(
                f"until: {settings.until!r} is not a time, give a number or stationary"
            ) from None
    if settings.log is not None:
        system.every, system.at = None, logarithmic(*settings.log)
    if settings.from_ is not None:
        from wgf.command.origin import replace_start

        replace_start(system, settings.from_, SIDES[settings.method])
    for key in ("tolerance", "gap"):
        if getattr(settings, key) is not None:
            setattr(system, key, getattr(settings, key))


def _times(system):
    """Return when the run ends, what is kept and observed, as `wgf.solve` takes it."""
    keys = ("until", "every", "at", "tolerance", "gap", "observe", "observe_every")
    found = {key: getattr(system, key) for key in keys}
    return {key: value for key, value in found.items() if value is not None}


def logarithmic(first: float, last: float, count: int) -> np.ndarray:
    """Return times evenly spaced in their logarithm."""
    first = checks.number("log", first, above=0)
    last = checks.number("log", last, above=first)
    return np.geomspace(first, last, checks.whole("log", count, minimum=2))


@contextlib.contextmanager
def silent():
    """Leave out numpy's notes on overflow and NaN: a sentence says what came of them."""
    with np.errstate(all="ignore"):
        yield


def refuse_ranks(what: str) -> None:
    """Refuse to do alone in several processes what one of them can do."""
    if parallel.launched()[1] > 1:
        raise checks.InputError(
            f"{what}: it was started on several ranks, start it without mpiexec"
        )


def run(setup: Callable, values: dict, settings: Settings) -> dict:
    """Solve what `setup` describes, store it, print what was found, and return the solutions.

    Parameters
    ----------
    setup : callable
    values : dict
        Arguments of `setup`.
    settings : Settings

    Raises
    ------
    InputError
        Before anything is written.
    NumericalError
        With the step and the last good snapshot.
    Stopped
        On SIGINT or SIGTERM, after the step in hand and a snapshot.
    """
    place = Place(settings.out, SIDES[settings.method])
    parallel.world().on_first(lambda: place.refuse_occupied(settings.overwrite))
    if settings.from_ is not None:
        # it is read again on resume, from whatever folder
        settings = dataclasses.replace(settings, from_=os.path.abspath(settings.from_))
    system, found = prepare(setup, values, settings)
    return _solve_all(system, found, place, settings, note_of(setup, values, settings))


def note_of(setup: Callable, values: dict, settings: Settings) -> str:
    """Return what a run stores of its script and options, as JSON."""
    options, (name, digest) = parameters(setup), script_of(setup)
    held = {key: options[key].stored(value) for key, value in values.items()}
    note = {"script": name, "sha256": digest, "values": held, "settings": settings.stored()}
    path = pathlib.Path(plain(setup).__code__.co_filename)
    if path.is_file():
        note["path"] = str(path.absolute())
    return json.dumps(note, indent=1)


def resume(
    out: str | pathlib.Path, setup: Callable, plot: bool = True, quiet: bool = False
) -> dict:
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
    digest, values, settings = stored_options(out, parameters(setup))
    first = parallel.launched()[0] == 0
    if digest != script_of(setup)[1] and first:
        print("note: the script has changed since the run began", file=sys.stderr)
    settings = dataclasses.replace(settings, out=str(out), plot=plot, quiet=quiet)
    place = Place(out, SIDES[settings.method])
    system, found = prepare(setup, values, settings)
    if first:
        _tell_changes(place.sides.values())
    return _solve_all(system, found, place, settings)


def _tell_changes(paths):
    """Say what differs from what the stored runs were made with; the bits may differ."""
    from wgf.record.store import changed_versions

    changes = [text for path in paths if is_run(path) for text in changed_versions(path)]
    for text in dict.fromkeys(changes):
        print(f"note: {text}", file=sys.stderr)


def stored_options(out, known):
    """Return the sha256 of the script, the arguments of `setup` and the settings of a run."""
    file = out / OPTIONS
    try:
        stored = json.loads(file.read_text())
        digest, values, kept = stored["sha256"], stored["values"], stored["settings"]
        wrong = set(ALWAYS) - set(kept) | set(kept) - {*ALWAYS, *ASKED}
        if wrong or not isinstance(values, dict):
            raise ValueError(f"{min(wrong)} missing or unknown" if wrong else "unknown values")
    except (FileNotFoundError, NotADirectoryError):
        remedy = "run again with --overwrite" if is_run(out) else "give that of wgf run"
        raise checks.InputError(
            f"{out}: holds no {OPTIONS}, as a directory that wgf run was given does, {remedy}"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise checks.InputError(
            f"{file}: cannot be read ({reason}), restore it from a copy or run again"
        ) from None
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise checks.InputError(
            f"script: setup() has no parameter {unknown[0]!r} as it had in the stored run, "
            "give the script that began it"
        )
    settings = _restored(kept, parameters(Settings), file)
    return digest, _restored(values, known, file), Settings(**settings)


def _restored(values: dict, known: dict[str, Option], file: pathlib.Path) -> dict:
    return {key: known[key].restored(value, str(file)) for key, value in values.items()}


def _solve_all(system, found, place, settings, note=None):
    """Solve the sides one after the other; `note` is what a new run stores as its options."""
    solutions = {}
    with Signals().watched() as signals, silent():
        for side in found:
            solutions[side.name] = solve_side(system, side, place, settings, signals, note)
            note = None
    parallel.world().on_first(lambda: _conclude(system, solutions, place, settings.plot))
    return solutions


def solve_side(
    system: types.SimpleNamespace,
    side: Side,
    place: Place,
    settings: Settings,
    signals: Signals,
    note: str | None = None,
) -> object:
    """Return the solution of one side; `note` is what a new run stores as its options."""
    from wgf.driver import solve

    path = place.sides[side.name]
    profile = Profile() if settings.profile else None
    show = None if settings.quiet else reporter(system.until, side.name)
    steps = -1

    def progress(row):
        nonlocal steps
        steps += 1
        if steps == 0 and note is not None:
            place.begin(note)
        if show is not None:
            show(row)

    try:
        solution = solve(
            system.flow,
            side.start,
            **_times(system),
            method=side.method,
            save=path,
            overwrite=settings.overwrite,
            resume=not settings.overwrite and parallel.world().broadcast(is_run(path)),
            stop=Ended(signals, system.stop),
            progress=progress,
            profile=profile,
        )
    except checks.NumericalError as error:
        last = place.last_snapshot(side.name)
        raise checks.NumericalError(
            f"{side.name}: {error} (step {steps + 1}, last good snapshot {last})"
        ) from error
    finally:
        if show is not None:
            show.close()
    if profile is not None:
        print(f"{side.name}: time\n{profile}\n")
    number = parallel.world().broadcast(signals.number)
    if number is not None and solution.status == "stopped":
        until = system.until if isinstance(system.until, str) else f"{system.until:g}"
        raise Stopped(
            number,
            f"{side.name}: stopped at t={solution.times[-1]:g} of {until}, last snapshot "
            f"{place.last_snapshot(side.name)}, go on with 'wgf resume {place.out} SCRIPT'",
        )
    return solution


def stored_functional(run: str | pathlib.Path, setup: Callable) -> object:
    """Return the functional of a stored run, built by its script with the options stored there."""
    known, values = parameters(setup), {}
    for folder in (pathlib.Path(run), pathlib.Path(run).parent):
        with contextlib.suppress(OSError, ValueError, KeyError):
            stored = json.loads((folder / OPTIONS).read_text())["values"]
            stored = {key: value for key, value in stored.items() if key in known}
            values = _restored(stored, known, folder / OPTIONS)
            break
    defaults = {name: option.default for name, option in known.items()}
    return build(setup, {**defaults, **values}).flow.functional


def _conclude(system, solutions, place, plot):
    """Print report, comparison or summary, and the path of the figure, in this order."""
    texts = [] if system.report is None else [str(system.report(solutions))]
    if len(solutions) > 1:
        from wgf.comparison import compare

        subject = compare(*solutions.values())
        texts.append(str(subject))
    else:
        from wgf.record.run import open_run
        from wgf.record.store import summary

        subject = open_run(*place.sides.values())
        texts.append(summary(subject))
    print("\n\n".join(text.rstrip("\n") for text in texts))
    if plot:
        draw(subject, place.figure, system.flow.functional)
        print(f"\n{place.figure}")


def draw(subject, path, functional=None, data=None) -> None:
    """Draw a comparison or a single run into the file at `path`, its numbers into that at `data`.

    With its functional a run is drawn with the level lines of the first variation.
    """
    from wgf import plot
    from wgf.record import tables
    from wgf.record.solution import Record

    if data is not None:
        tables.check_path(data)
    if isinstance(subject, Record):
        figure = plot.run(subject, path, functional)
    else:
        figure = subject.plot(path)
    if data is not None:
        plot.write_numbers(figure, data)
