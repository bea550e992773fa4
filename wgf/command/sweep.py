"""Sweeps: a script run for every combination of some of its options and for many seeds.

DIR/sweep.json              the script, the options and the seeds
DIR/members/000012/mesh/    a run as `wgf run` stores it; beside it mesh.json, its outcome and its
                            columns at the times that the table has
DIR/sweep.h5                final values and columns at common times over the varied options
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import functools
import itertools
import json
import pathlib
import signal
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wgf import checks, parallel
from wgf.command import runner, sweep_table, workers
from wgf.command.options import parameters
from wgf.command.settings import OPTIONS
from wgf.command.signals import Signals, Stopped
from wgf.parallel import engines
from wgf.parallel.processors import processors
from wgf.record.directory import is_run, read_manifest, replace
from wgf.record.progress import counter

if TYPE_CHECKING:
    from wgf.comparison.sweeps import Summary

# what a member has of its own, or a sweep has not
WITHOUT = ("method", "seed", "out", "overwrite", "threads", "quiet", "plot")
WITHOUT += ("dry_run", "profile")
SETTINGS = {k: v for k, v in parameters(runner.Settings).items() if k not in WITHOUT}
# a member whose process died is tried once more
TRIES = 2
ENGINES = ("processes", "mpi", "dask")
FAILED = {"status": "failed", "drawn": False, "error": None, "code": 1, "warnings": []}


@dataclasses.dataclass(frozen=True)
class Job:
    """One side of one member: the numbers of its point and of its seed, and its tries so far."""

    point: int
    k: int
    side: str
    tries: int = 1


@dataclasses.dataclass
class Plan:
    """What a sweep runs; the same in every process.

    Attributes
    ----------
    out : path
    sha256 : str
        Of the script.
    values, settings : dict
        Arguments of `setup` and settings of the runner that all members share.
    vary : dict of lists
        Values of the varied options, arguments of `setup` or settings.
    seeds : list of int
    sides : tuple of str
    """

    out: pathlib.Path
    sha256: str
    values: dict
    settings: dict
    vary: dict
    seeds: list
    sides: tuple

    def __post_init__(self):
        self.points = list(itertools.product(*self.vary.values()))

    def first_jobs(self) -> Iterator[Job]:
        """Return the jobs of the first seed; others follow where chance has a part."""
        return (Job(p, 0, side) for p in range(len(self.points)) for side in self.sides)

    def every_job(self) -> Iterator[Job]:
        """Return the jobs of all seeds in the order of the table, whether they ran or not."""
        numbers = range(len(self.points)), range(len(self.seeds)), self.sides
        return itertools.starmap(Job, itertools.product(*numbers))

    def first(self, job: Job) -> Job:
        """Return the job of the first seed in the place of another one."""
        return Job(job.point, 0, job.side)

    def path(self, job: Job) -> pathlib.Path:
        """Return the directory of the run."""
        number = job.point * len(self.seeds) + job.k
        return self.out / "members" / f"{number:06d}" / job.side

    def options_of(self, job: Job) -> tuple[dict, runner.Settings]:
        """Return the arguments of `setup` and the settings of a job."""
        chosen = dict(zip(self.vary, self.points[job.point]))
        seed = self.seeds[job.k]
        values = {name: chosen.pop(name, value) for name, value in self.values.items()}
        values |= {"seed": seed} if "seed" in values else {}
        fixed = {"method": job.side, "seed": seed, "quiet": True, "plot": False}
        return values, runner.Settings(**fixed, **self.settings, **chosen)

    def outcome(self, job: Job) -> dict | None:
        """Return how a job ended, None if it did not."""
        try:
            return json.loads(self.path(job).with_suffix(".json").read_text())
        except (OSError, ValueError):
            return None

    def record(self, job: Job, outcome: dict) -> None:
        """Write how a job ended."""
        path = self.path(job).with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        # a job whose outcome is lost with the power is done again
        replace(path, json.dumps(outcome).encode(), durable=False)

    def described(self, job: Job | None = None) -> str:
        """Return the sweep as JSON, or a job in words."""
        if job is not None:
            chosen = dict(zip(self.vary, self.points[job.point])) | {"seed": self.seeds[job.k]}
            return f"{job.side}, " + ", ".join(f"{k}={v}" for k, v in chosen.items())
        held = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "out"}
        return json.dumps(held, indent=1, default=_text)

    def dimensions(self, taken: Iterable[str]) -> dict[str, np.ndarray]:
        """Return the varied options and the seeds by names that differ from those taken."""
        found = {}
        for name, values in (self.vary | {"seed": self.seeds}).items():
            numbers = all(isinstance(value, int | float | np.number) for value in values)
            texts = values if numbers else [_text(value) for value in values]
            found[f"vary_{name}" if name in taken else name] = np.array(texts)
        return found


def _text(value):
    """Return a value as a text that names it."""
    if isinstance(value, tuple | list):
        return ":".join(map(_text, value))
    return str(getattr(value, "name", value) if isinstance(value, enum.Enum) else value)


@dataclasses.dataclass
class Sweep:
    """What a sweep left: ``path`` of its directory and the ``failures``, one text each."""

    path: pathlib.Path
    failures: list[str]

    def to_xarray(self):
        """Return ``sweep.h5`` as a dataset with the varied options and the seed as dimensions."""
        import xarray

        return xarray.open_dataset(self.path / "sweep.h5", engine="h5netcdf")

    def summary(self, y: str = "objective", **options: Any) -> Summary:
        """Return means, intervals and slopes of a column; see `wgf.comparison.sweeps.Summary`."""
        from wgf.comparison.sweeps import Summary

        return Summary(self.path, y, **options)


def sweep(
    setup: Callable | str | pathlib.Path,
    vary: Mapping[str, Iterable] | None = None,
    seeds: Iterable[int] = (0,),
    out: str | pathlib.Path | None = None,
    jobs: int | None = None,
    method: str = "both",
    quiet: bool = True,
    engine: str = "processes",
    scheduler: object = None,
    **options: object,
) -> Sweep:
    """Run a script for all combinations of options and seeds, many members at a time.

    A sweep that was broken off, even killed, is continued by the same call: what is finished stays,
    and the numbers are those of the sweep that was not interrupted, to the bit. A side on which
    nothing is random runs once per combination, and its values stand at every seed.

    Parameters
    ----------
    setup : callable or path
        The function of a solver script, or the script.
    vary : dict of sequences
        Values by the names of parameters of `setup` or of settings such as ``particles``.
    seeds : sequence of int
        Of the particles drawn; given to `setup` if it has a parameter `seed`.
    out : path, optional
        Directory of the sweep, by default ``runs/NAME_sweep``.
    jobs : int, optional
        Number of processes, by default one per processor.
    method : {"mesh", "particles", "both"}
    quiet : bool
        Whether no progress is shown.
    engine : {"processes", "mpi", "dask"}
        Who does the members: processes on this machine; the ranks of MPI but the first, all of
        which make this call (``mpiexec -n N python -m mpi4py -m wgf sweep … --engine mpi``); the
        workers of a Dask scheduler, one member at a time with all the threads of a worker. All see
        the directory of the sweep and the script under the same paths; the results are the same,
        to the bit.
    scheduler : str or distributed.Client, optional
        Address of the Dask scheduler.
    **options
        Other arguments of `setup` and settings, the same for all members.

    Returns
    -------
    Sweep
        A member that fails is recorded and does not end the sweep.

    Raises
    ------
    InputError
        For options that the script does not have, and for a directory of another sweep.
    """
    function = setup if callable(setup) else runner.load_setup(setup)
    plan = _plan(function, vary or {}, seeds, out, method, options)
    _check_engine(engine, scheduler, jobs)
    count = processors() if jobs is None else checks.whole("jobs", jobs, minimum=1)
    sent = workers.can_be_sent(setup, plan)
    if (engine != "processes" or (jobs is not None and count > 1)) and not sent:
        raise checks.InputError(
            "sweep: this setup() cannot be sent to other processes, write it into a script or "
            "take jobs=1"
        )
    with _engine(engine, scheduler, count if sent and count > 1 else 0) as results:
        if results is None:
            # a rank that has done its part of the members
            return Sweep(plan.out, [])
        _settle(plan)
        with _interruptible(plan):
            _run(setup, plan, results, quiet)
            failures = sweep_table.collect(plan)
    texts = [f"{failure['where']}: {failure['error']}" for failure in failures]
    if len(texts) == len(list((plan.out / "members").glob("*/*.json"))):
        kind = checks.NumericalError if failures[0]["code"] == 3 else checks.InputError
        raise kind(f"sweep: all {len(texts)} runs failed, the first one: {texts[0]}")
    return Sweep(plan.out, texts)


def _check_engine(engine, scheduler, jobs):
    """Refuse what does not go with an engine."""
    checks.one_of("engine", engine, ENGINES)
    if engine != "mpi":
        runner.refuse_ranks("sweep")
    if (engine == "dask") != (scheduler is not None):
        remedy = "give its address" if scheduler is None else "take the engine dask or leave it out"
        raise checks.InputError(f"scheduler: {scheduler} with the engine {engine}, {remedy}")
    if engine != "processes" and jobs is not None:
        raise checks.InputError(
            f"jobs: {jobs} with the engine {engine}, which has as many as it was started with, "
            "leave it out"
        )


@contextlib.contextmanager
def _engine(engine, scheduler, count):
    """Give the function that does jobs, see `workers.results`; None on a rank that does some."""
    if engine == "processes":
        yield functools.partial(workers.results, count=count)
        return
    with engines.of_mpi() if engine == "mpi" else engines.scheduled(scheduler) as pool:
        yield None if pool is None else functools.partial(workers.pooled, pool)


def _plan(setup, vary, seeds, out, method, options):
    """Check everything that can be known before the first run."""
    known, (name, digest) = parameters(setup), runner.script_of(setup)
    for key in (*vary, *options):
        if key not in known and key not in SETTINGS:
            hint = checks.nearest(key, [*known, *SETTINGS])
            raise checks.InputError(f"sweep: the script has no option {key!r}, {hint}")
    for key in set(vary) & set(options):
        raise checks.InputError(f"sweep: {key} is varied and given as well, leave one of them out")
    seeds = [checks.whole("seed", seed) for seed in seeds]
    varied = {key: _values(known.get(key) or SETTINGS[key], vary[key]) for key in vary}
    for key, values in {**varied, "seed": seeds}.items():
        if not values or len({repr(value) for value in values}) < len(values):
            trouble = "a value twice" if values else "no value"
            raise checks.InputError(f"sweep: {key} has {trouble}, give different values")
    given = {key: _values(known.get(key) or SETTINGS[key], [options[key]])[0] for key in options}
    values = {key: given.get(key, option.default) for key, option in known.items()}
    return Plan(
        out=pathlib.Path(out or pathlib.Path("runs") / f"{name}_sweep").absolute(),
        sha256=digest,
        values=values,
        settings={key: value for key, value in given.items() if key not in known},
        vary=varied,
        seeds=seeds,
        sides=runner.SIDES[checks.one_of("method", method, tuple(runner.SIDES))],
    )


def _values(option, values):
    """Return values in the type of an option; texts are read as on the command line."""
    found = []
    for value in values:
        if isinstance(value, str):
            found.append(option.read(value.split(":") if option.several else value))
        else:
            found.append(option.restored(option.stored(value), "sweep"))
    return found


def _settle(plan):
    """Write what the sweep is, or refuse a directory that holds something else."""
    file, known = plan.out / "sweep.json", json.loads(plan.described())
    if plan.out.exists() and (not plan.out.is_dir() or any(plan.out.iterdir())):
        try:
            held = json.loads(file.read_text())
            differs = [key for key in known if held.get(key) != known[key]]
        except (OSError, ValueError, AttributeError):
            raise checks.InputError(
                f"out: {plan.out} exists and is not a sweep, choose another path"
            ) from None
        if differs:
            what = "script" if differs[0] == "sha256" else differs[0]
            raise checks.InputError(
                f"out: {plan.out} holds a sweep with another {what}, choose another path"
            )
        return
    plan.out.mkdir(parents=True, exist_ok=True)
    replace(file, plan.described().encode())


@contextlib.contextmanager
def _interruptible(plan):
    """End the sweep on a signal; members in hand go on from their last snapshot."""

    def end(number, frame):
        raise Stopped(number, f"sweep: stopped, the same command goes on in {plan.out}")

    main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if main else ()
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _run(setup, plan, results, quiet):
    """Do all jobs that have no outcome yet, and those that failed."""
    waiting = collections.deque(plan.first_jobs())
    total, done, failed = len(waiting), 0, 0
    show = None if quiet else counter("sweep")

    def found(job, outcome):
        nonlocal total, done, failed
        done, failed = done + 1, failed + (outcome["status"] == "failed")
        if job.k == 0 and outcome["drawn"]:
            # chance has a part in this side: the other seeds follow
            more = [Job(job.point, k, job.side) for k in range(1, len(plan.seeds))]
            waiting.extend(more)
            total += len(more)
        if show is not None:
            show(done, total, f"{failed} failed" if failed else "")

    def take():
        while waiting:
            job = waiting.popleft()
            outcome = plan.outcome(job)
            if outcome is None or outcome["status"] == "failed":
                return job
            found(job, outcome)
        return None

    try:
        for job, outcome in results(make=member, arguments=(setup, plan), take=take):
            if outcome is None and job.tries < TRIES:
                waiting.appendleft(dataclasses.replace(job, tries=job.tries + 1))
                continue
            if outcome is None:
                outcome = FAILED | {"drawn": True, "error": "its process was killed"}
                plan.record(job, outcome)
            found(job, outcome)
    finally:
        if show is not None:
            show.close()


def member(setup: Callable | str | pathlib.Path, plan: Plan) -> Callable[[Job], dict]:
    """Return the function that does a job in this process and returns its outcome."""
    setup = setup if callable(setup) else runner.load_setup(setup)
    if runner.script_of(setup)[1] != plan.sha256:
        raise checks.InputError(
            "sweep: the script has changed since the sweep began, choose another directory"
        )

    def work(job):
        outcome = dict(FAILED)
        try:
            # the ranks or workers of the sweep are no part of its members
            with parallel.alone(), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                _solve(setup, plan, job, outcome)
            outcome["warnings"] = sorted({" ".join(str(w.message).split()) for w in caught})
        except Exception as error:
            text = " ".join(str(error).split())
            outcome["code"] = {checks.InputError: 2, checks.NumericalError: 3}.get(type(error), 1)
            outcome["error"] = f"{type(error).__name__}: {text}" if outcome["code"] == 1 else text
        plan.record(job, outcome)
        return outcome

    return work


def _solve(setup, plan, job, outcome):
    values, settings = plan.options_of(job)
    system, (side,) = runner.prepare(setup, values, settings)
    outcome["drawn"] = side.drawn or "seed" in values
    place = runner.Place(plan.path(job), (job.side,))
    # a run that ended without an outcome is run again: what ended it is not asked where it ended
    settings.overwrite = is_run(place.root) and read_manifest(place.root)[1] is not None
    with runner.silent():
        solution = runner.solve_side(system, side, place, settings, Signals())
    note = runner.note_of(setup, values, settings)
    replace(place.root / OPTIONS, note.encode(), durable=False)
    outcome["status"] = solution.status
    outcome["columns"] = sweep_table.columns_of(solution)
