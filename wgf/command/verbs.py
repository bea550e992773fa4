"""The commands on stored runs and new scripts; signatures and docstrings make their options."""

import contextlib
import pathlib

from wgf import checks
from wgf.command import runner


def run(script: str, *options: str) -> None:
    """Run a solver script; 'wgf run SCRIPT --help' lists the script's options.

    Parameters
    ----------
    script : path
        path of a solver script, such as solvers/spikes_2d.py
    options : text
        options of the script
    """


def sweep(script: str, *options: str) -> None:
    """Run a script for many values and seeds; 'wgf sweep SCRIPT --help' lists the options.

    Parameters
    ----------
    script : path
        path of a solver script
    options : text
        options of the script and of the sweep
    """


def new(name: str) -> None:
    """Write a commented solver script to start from.

    Parameters
    ----------
    name : text
        name or path of the script; an existing file is never touched
    """
    from wgf.command import template

    path = template.write(name)
    print(f"{path}: run it with wgf run {path}")


def resume(out: str, script: str, *, threads: int | None = None, quiet: bool = False) -> None:
    """Continue an unfinished run.

    Parameters
    ----------
    out : path
        directory that 'wgf run' was given as --out
    script : path
        the solver script that began the run
    threads : int
        use at most this many threads (default: one per processor)
    quiet : bool
        show no progress
    """
    runner.resume(out, runner.load_setup(script), quiet=quiet, threads=threads)


def compare(*runs: str, plot: pathlib.Path | None = None, data: pathlib.Path | None = None) -> None:
    """Compare two stored runs over time, or several with the first one at their last common time.

    Parameters
    ----------
    runs : path
        directories of two runs, or of one run with both sides; of a reference and several runs
    plot : path
        draw the comparison into this file
    data : path
        write the tables to this .csv or .h5 file
    """
    from wgf import comparison
    from wgf.plot import files
    from wgf.record import tables

    if data:
        tables.check_path(data)
    if plot:
        files.check(plot)
    found = comparison.compare(*map(_open, _sides(runs)))
    print(found)
    if isinstance(found, comparison.Comparison):
        ending = found.sentence()
        print(ending, end="\n" if ending else "")
    if data:
        found.save(data)
        print(f"\n{data}")
    if plot:
        runner.draw(found, plot)
        print(f"\n{plot}")


def _sides(runs):
    """Return the runs to compare, of a single directory the two sides in it."""
    sides = _both(runs) if len(runs) < 2 else runs
    if len(sides) < 2:
        raise checks.InputError(
            f"compare: {pathlib.Path(*runs)} holds no mesh and particles beside each other, give "
            "two runs"
        )
    return sides


def inspect(run: str) -> None:
    """Describe a stored run.

    Parameters
    ----------
    run : path
        directory of a run
    """
    from wgf.record.store import summary

    print(summary(_open(run)))


def plot(
    run: str,
    *,
    out: pathlib.Path | None = None,
    data: pathlib.Path | None = None,
    script: pathlib.Path | None = None,
    x: str | None = None,
    y: str | None = None,
    statistic: str | None = None,
    interval: str | None = None,
    below: float | None = None,
    floor: float | None = None,
    rate: float | None = None,
) -> None:
    """Draw a stored run, or a column of a sweep against one of its options.

    Parameters
    ----------
    run : path
        directory of a run or of a sweep
    out : path
        file of the figure (default RUN/figure.png)
    data : path
        write what is drawn to this .csv or .h5 file
    script : path
        the run's solver script, to draw level lines of F' with it
    x : str
        of a sweep: the varied option to draw against (default the only one of numbers)
    y : str
        of a sweep: column or observable (default objective)
    statistic : str
        of a sweep: mean (default), geometric or median over the seeds
    interval : str
        of a sweep: t or bootstrap
    below : float
        of a sweep: draw the rate of values below this level, too
    floor : float
        of a sweep: limit of accuracy, near which no value enters a slope
    rate : float
        of a sweep: expected slope
    """
    asked = {"y": y, "x": x, "statistic": statistic, "interval": interval}
    asked |= {"below": below, "floor": floor, "rate": rate}
    given = {name: value for name, value in asked.items() if value is not None}
    if sweeps().is_sweep(run):
        if script:
            raise checks.InputError(f"script: {run} is a sweep, give one of its members")
        found = sweeps().Summary(run, **given)
        out = out or pathlib.Path(run) / "figure.png"
        runner.draw(found, out, None, data)
        print(f"{out}\n{data}" if data else out)
        return
    for name in given:
        raise checks.InputError(f"{name}: {run} is not a sweep, leave --{name} out")
    out = out or pathlib.Path(run) / "figure.png"
    functional = runner.stored_functional(run, runner.load_setup(script)) if script else None
    runner.draw(_open(run), out, functional, data)
    print(out)
    if data:
        print(data)


def view(
    *runs: str,
    out: pathlib.Path | None = None,
    serve: bool = False,
    port: int = 0,
    frames: int = 200,
    script: pathlib.Path | None = None,
) -> None:
    """Show stored runs in a browser: one file to keep, or a page that follows a run.

    Parameters
    ----------
    runs : path
        directories of runs, shown beside each other; of one run with both sides
    out : path
        file to write, .html (default view.html in the directory of the first run)
    serve : bool
        write no file, follow the runs as they go on at an address of this machine alone
    port : int
        port of that address, 0 for a free one
    frames : int
        show at most this many snapshots per run
    script : path
        the solver script of the first run, for the certificate
    """
    if not runs:
        raise checks.InputError("view: no run is given, give the directory of at least one")
    if serve and out:
        raise checks.InputError(f"view: --serve writes no file, leave --out {out} out")
    from wgf.view import Server, page

    places = _both(runs)
    functional = script and runner.stored_functional(places[0], runner.load_setup(script))
    if not serve:
        print(page(places, out or pathlib.Path(runs[0]) / "view.html", functional, frames))
        return
    server = Server(places, port, functional, frames)
    print(f"{server.url}\nonly this machine is answered; end by Ctrl-C", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.wait()


def _both(runs):
    """Return the runs, in the place of a directory with two sides these."""
    found = []
    for run in map(pathlib.Path, runs):
        sides = [run / side for side in runner.SIDES["both"]]
        found += sides if all(side.is_dir() for side in sides) else [run]
    return found


def table(
    sweep: str,
    *,
    y: str = "objective",
    x: str | None = None,
    statistic: str = "mean",
    interval: str | None = None,
    below: float | None = None,
    floor: float | None = None,
    rate: float | None = None,
    data: pathlib.Path | None = None,
) -> None:
    """Print a column of a sweep: means over the seeds with their intervals, slopes, rates.

    Parameters
    ----------
    sweep : path
        directory of a sweep
    y : str
        column or observable, of which the value at the end counts
    x : str
        the varied option along which slopes are fitted (default the only one of numbers)
    statistic : str
        mean, geometric or median over the seeds
    interval : str
        t or bootstrap
    below : float
        print the rate of values below this level, too
    floor : float
        limit of accuracy, near which no value enters a slope
    rate : float
        expected slope
    data : path
        write the tables to this .csv or .h5 file
    """
    from wgf.record import tables

    if data:
        tables.check_path(data)
    if not sweeps().is_sweep(sweep):
        raise checks.InputError(f"{sweep}: is not a sweep, give the directory of one")
    found = sweeps().Summary(sweep, y, x, statistic, interval, below, floor, rate)
    print(found)
    if data:
        found.save(data)
        print(f"\n{data}")


def sweeps():
    """Return the module of tables of sweeps, which is loaded when it is needed."""
    from wgf.comparison import sweeps

    return sweeps


def movie(run: str, out: str, *, rate: int = 12) -> None:
    """Make a film of a stored run.

    Parameters
    ----------
    run : path
        directory of a run
    out : path
        film to write, .gif or .mp4 (needs ffmpeg)
    rate : int
        frames per second
    """
    from wgf.plot import movie as film

    film(_open(run), out, rate)
    print(out)


def verify(run: str) -> None:
    """Check every file of a run, and rebuild its index.

    Parameters
    ----------
    run : path
        directory of a run
    """
    from wgf.record import store

    bad = store.verify(run)
    if bad:
        name, trouble = bad[0]
        more = f" ({len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise checks.InputError(f"{pathlib.Path(run) / name}: {trouble}{more}")
    print(f"{run}: every file is what was written")


def pack(run: str, *, out: str) -> None:
    """Make one HDF5 file of a stored run.

    Parameters
    ----------
    run : path
        directory of a run
    out : path
        file to write; a name that ends in .vtkhdf makes a file for VTK and ParaView
    """
    from wgf.record import store

    store.pack(run, out)
    print(out)


def _open(path):
    from wgf.record.run import open_run

    return open_run(path)


COMMANDS = {
    command.__name__: command
    for command in (
        *(run, sweep, new, resume, compare, inspect, plot, table, view, movie, verify, pack),
    )
}
