"""The commands on stored runs and new scripts; signatures and docstrings make their options."""

import pathlib
from typing import Literal

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


def resume(out: str, script: str, *, quiet: bool = False) -> None:
    """Continue an unfinished run.

    Parameters
    ----------
    out : path
        directory that 'wgf run' was given as --out
    script : path
        the solver script that began the run
    quiet : bool
        show no progress
    """
    runner.resume(out, runner.load_setup(script), quiet=quiet)


def refine(
    run: str,
    *,
    script: pathlib.Path | None = None,
    by: str = "cells",
    meshes: Literal[1, 2] = 2,
    out: pathlib.Path | None = None,
    data: pathlib.Path | None = None,
    quiet: bool = False,
) -> None:
    """Estimate the errors of a run by running it again on coarser meshes and in finer steps.

    Parameters
    ----------
    run : path
        directory that 'wgf run' was given as --out
    script : path
        the script that began the run (default where it was then)
    by : str
        option of the script that sets the number of cells
    meshes : {1, 2}
        number of coarser meshes; two show the order
    out : path
        directory of the further runs (default RUN_refined)
    data : path
        write the table to this .csv or .h5 file
    quiet : bool
        show no progress
    """
    from wgf.command.refine import refine
    from wgf.record import tables

    if data:
        tables.check_path(data)
    found = refine(run, script, by, meshes, out, quiet)
    print(found)
    if data:
        found.save(data)
        print(f"\n{data}")


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
    sides = [pathlib.Path(*runs) / side for side in runner.SIDES["both"]] if len(runs) < 2 else runs
    if len(runs) < 2 and not all(side.is_dir() for side in sides):
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
        run,
        sweep,
        new,
        resume,
        refine,
        compare,
        inspect,
        plot,
        table,
        movie,
        verify,
        pack,
    )
}
