"""The commands on stored runs and new scripts; signatures and docstrings make their options."""

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
        use at most so many threads (default: one per processor)
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
) -> None:
    """Draw a stored run.

    Parameters
    ----------
    run : path
        directory of a run
    out : path
        file of the figure (default RUN/figure.png)
    data : path
        write what is drawn to this .csv or .h5 file
    script : path
        the run's solver script, to draw level lines of F' with it
    """
    out = out or pathlib.Path(run) / "figure.png"
    functional = runner.stored_functional(run, runner.load_setup(script)) if script else None
    runner.draw(_open(run), out, functional, data)
    print(out)
    if data:
        print(data)


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
    for command in (run, sweep, new, resume, compare, inspect, plot, movie, verify, pack)
}
