"""The command line: ``wgf new | run | resume | compare | plot | movie | …``.

`main` also serves solver scripts run on their own.

Exit status: 0 done; 1 a file could not be read or written, or the user's own code failed; 2 bad
input, with one line on standard error; 3 a numerical failure; 130 and 143 after SIGINT and
SIGTERM.
"""

import argparse
import contextlib
import io
import os
import pathlib
import sys
import warnings

from wgf import __version__, checks, parallel
from wgf.command import runner

METHODS = ("mesh", "particles", "both")


class _Parser(argparse.ArgumentParser):
    """Reports its errors as all bad input is reported."""

    def error(self, message):
        message = " ".join(message.split())
        raise checks.InputError(f"command line: {message}, see '{self.prog} --help'")


def main(setup=None, argv=None):
    """Run the command line and leave the process with the exit status.

    Parameters
    ----------
    setup : callable, optional
        The function of a solver script; without it the first argument is a command.
    argv : list of str, optional
        Arguments, by default those of the process.
    """
    sys.exit(status(setup, argv))


def status(setup=None, argv=None):
    """Run the command line and return the exit status; see `main`."""
    argv = sys.argv[1:] if argv is None else list(argv)
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        warnings.showwarning = _warn
        if parallel.launched()[0] > 0:
            # the other ranks share the work, rank 0 speaks
            warnings.simplefilter("ignore")
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            if setup is None and argv[:1] not in (["run"], ["resume"]):
                return 0
        return _status(setup, argv)


def _warn(message, category, filename, lineno, file=None, line=None):
    print(f"wgf: warning: {' '.join(str(message).split())}", file=sys.stderr)


def _status(setup, argv):
    try:
        if setup is None:
            _command(argv)
        else:
            _run_setup(setup, argv, pathlib.Path(sys.argv[0]).name)
        sys.stdout.flush()
    except checks.InputError as error:
        return _complain(error, 2)
    except checks.NumericalError as error:
        return _complain(error, 3)
    except runner.Stopped as error:
        return _complain(error, error.code)
    except KeyboardInterrupt:
        return _complain("interrupted before the run began", 130)
    except BrokenPipeError:
        # whoever read the output had enough; nothing more may be written to it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return _complain(_sentence(error), 1)
    except MemoryError as error:
        lack = str(error).rstrip(".") or "an allocation failed"
        return _complain(f"memory: {lack}, take fewer cells, particles or samples", 1)
    return 0


def _complain(message, code):
    if parallel.speaks():
        print(f"wgf: error: {' '.join(str(message).split())}", file=sys.stderr)
    return code


def _sentence(error):
    if error.filename is None:
        return str(error)
    return f"{error.filename}: {error.strerror}, check the path, its rights and the free space"


def _command(argv):
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    if argv[:1] == ["run"] and len(argv) > 1 and argv[1] not in ("-h", "--help"):
        # a script's own options may look like anything, so they never meet the parser of commands
        if argv[1].startswith("-"):
            raise checks.InputError(
                f"command line: {argv[1]} stands before the script, write wgf run SCRIPT [options]"
            )
        _run_setup(runner.load_setup(argv[1]), argv[2:], f"wgf run {argv[1]}")
        return
    chosen = _commands()[0].parse_args(argv)
    call = {"compare": _compare, "inspect": _inspect, "plot": _plot, "resume": _resume}
    call |= {"verify": _verify, "pack": _pack, "new": _new, "movie": _movie}
    call[chosen.command](chosen)


def _complete():
    """Tell the shell what may follow, also the options of a script, and leave the process."""
    import argcomplete

    parser, run = _commands()
    words = os.environ.get("COMP_LINE", "").split()
    if words[1:2] == ["run"] and words[3:] and os.path.isfile(words[2]):
        _add_options(run, runner.load_setup(words[2]))
    argcomplete.autocomplete(parser)


def _commands():
    """Return the parser of all commands, and that of ``run``."""
    parser = _Parser(
        prog="wgf",
        description="Wasserstein gradient flows as a density on a mesh and as particles.",
    )
    parser.add_argument("--version", action="version", version=f"wgf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)

    one = commands.add_parser(
        "run",
        help="run a solver script",
        description="Run a solver script; 'wgf run SCRIPT --help' lists the script's options.",
    )
    one.add_argument("script", help="path of a solver script, such as solvers/spikes_2d.py")
    one.add_argument("options", nargs="*", help="options of the script")

    begin = commands.add_parser("new", help="write a commented solver script to start from")
    begin.add_argument("name", help="name or path of the script; an existing file is never touched")

    two = commands.add_parser(
        "compare",
        help="compare stored runs",
        description="Compare two stored runs over time, or several with the first one: a "
        "convergence study at the last time that all share.",
    )
    two.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="directories of two runs, or one that holds both sides; of a reference and several",
    )
    two.add_argument("--plot", metavar="FILE", help="draw the comparison into this file")
    two.add_argument("--data", metavar="FILE", help="write the tables to this .csv or .h5 file")

    show = commands.add_parser("inspect", help="describe a stored run")
    show.add_argument("run", help="directory of a run")

    draw = commands.add_parser("plot", help="draw a stored run")
    draw.add_argument("run", help="directory of a run")
    draw.add_argument("--out", metavar="FILE", help="file of the figure (default RUN/figure.png)")
    draw.add_argument("--data", metavar="FILE", help="write what is drawn to this .csv or .h5 file")
    draw.add_argument(
        "--script",
        metavar="FILE",
        help="the run's solver script, to draw level lines of F' with it",
    )

    film = commands.add_parser("movie", help="make a film of a stored run")
    film.add_argument("run", help="directory of a run")
    film.add_argument("out", metavar="FILE", help="film to write, .gif or .mp4 (needs ffmpeg)")
    film.add_argument("--rate", type=int, default=12, help="frames a second (default 12)")

    more = commands.add_parser("resume", help="continue an unfinished run")
    more.add_argument("out", help="directory that 'wgf run' was given as --out")
    more.add_argument("script", help="the solver script that began the run")
    more.add_argument("--quiet", action="store_true", help="show no progress")

    check = commands.add_parser("verify", help="check every file of a run, rebuild its index")
    check.add_argument("run", help="directory of a run")

    one_file = commands.add_parser("pack", help="make one HDF5 file of a stored run")
    one_file.add_argument("run", help="directory of a run")
    one_file.add_argument(
        *("-o", "--out"),
        required=True,
        metavar="FILE",
        help="file to write; one that ends in .vtkhdf is for VTK and ParaView",
    )

    return parser, one


def _run_setup(setup, argv, prog):
    """Read the options that the signature of `setup` and the runner define, and run."""
    parser = _Parser(prog=prog, description=_first_paragraph(setup))
    own, parameters = _add_options(parser, setup)
    values = vars(parser.parse_args(argv))
    settings = argparse.Namespace(**{key: values[key] for key in own})
    arguments = {key: values[key] for key in parameters}
    if settings.dry_run:
        from wgf.command.estimate import dry_run

        print(dry_run(setup, arguments, settings))
        return
    runner.run(setup, arguments, settings)


def _add_options(parser, setup):
    """Add the options of a script; return the names of the runner's, and the script's own."""
    own = _runner_options(parser, pathlib.Path("runs") / runner.script_name(setup))
    parameters = runner.setup_parameters(setup)
    for key, (default, note) in parameters.items():
        if key in own:
            # a script that declares one of the runner's options is given its value
            parser.set_defaults(**{key: default})
        else:
            _add_option(parser, key, default, note)
    return own, parameters


def _first_paragraph(setup):
    text = setup.__globals__.get("__doc__") or setup.__doc__ or ""
    return text.strip().split("\n\n")[0]


def _runner_options(parser, out):
    """Add the options that every script has and return their names."""
    group = parser.add_argument_group("options of every script")
    group.add_argument("--method", choices=METHODS, default="both", help="(default both)")
    group.add_argument(
        "--particles",
        type=int,
        metavar="M",
        help="draw M particles from the start; 0 takes one a cell (default: the script's)",
    )
    group.add_argument("--seed", type=int, default=0, help="of the particles drawn (default 0)")
    group.add_argument(
        "--order", type=int, choices=(1, 2), help="of the finite volumes (default 2)"
    )
    group.add_argument("--out", default=str(out), help=f"directory of the run (default {out})")
    group.add_argument("--overwrite", action="store_true", help="replace an existing run")
    group.add_argument("--quiet", action="store_true", help="show no progress")
    group.add_argument(
        "--no-plot", dest="plot", action="store_false", help="draw no figure at the end"
    )
    group.add_argument(
        "--dry-run", action="store_true", help="write nothing: print sizes, memory, steps, time"
    )
    group.add_argument("--profile", action="store_true", help="print where the time went")
    known = ("method", "particles", "seed", "order", "out", "overwrite", "quiet", "plot")
    return (*known, "dry_run", "profile")


def _add_option(parser, key, default, note):
    flag = "--" + key.replace("_", "-")
    shown = "" if default is None else f" (default {default})"
    text = (note + shown).strip().replace("%", "%%")
    if isinstance(default, bool):
        parser.add_argument(flag, default=default, action=argparse.BooleanOptionalAction, help=text)
        return
    if isinstance(default, tuple):
        kind, count = type(default[0]), len(default)
        parser.add_argument(flag, type=kind, nargs=count, default=default, help=text)
        return
    kind = str if default is None else type(default)
    parser.add_argument(flag, type=kind, default=default, metavar=kind.__name__, help=text)


def _open(path):
    from wgf.record.store import open_run

    return open_run(path)


def _compare(chosen):
    from wgf.comparison.pair import Comparison, compare, sentence

    if chosen.data:
        from wgf.record import tables

        tables.check_path(chosen.data)
    if chosen.plot:
        from wgf.plot.files import check

        check(chosen.plot)
    comparison = compare(*map(_open, _pair(chosen.runs)))
    print(comparison)
    if isinstance(comparison, Comparison):
        ending = sentence(comparison.at_end(), comparison.table["t"][-1])
        print(ending, end="\n" if ending else "")
    if chosen.data:
        comparison.save(chosen.data)
        print(f"\n{chosen.data}")
    if chosen.plot:
        runner.draw(comparison, chosen.plot)
        print(f"\n{chosen.plot}")


def _pair(paths):
    """Return the runs to compare, of a single directory the two sides in it."""
    if len(paths) > 1:
        return paths
    sides = [pathlib.Path(paths[0]) / side for side in runner.SIDES["both"]]
    if not all(side.is_dir() for side in sides):
        raise checks.InputError(
            f"compare: {paths[0]} holds no {sides[0].name} and {sides[1].name} beside each other, "
            "give two runs"
        )
    return sides


def _inspect(chosen):
    from wgf.record.store import summary

    print(summary(_open(chosen.run)))


def _plot(chosen):
    path = chosen.out or pathlib.Path(chosen.run) / "figure.png"
    functional = None
    if chosen.script:
        functional = runner.stored_functional(chosen.run, runner.load_setup(chosen.script))
    runner.draw(_open(chosen.run), path, functional, chosen.data)
    print(path)
    if chosen.data:
        print(chosen.data)


def _movie(chosen):
    from wgf import plot

    plot.movie(_open(chosen.run), chosen.out, chosen.rate)
    print(chosen.out)


def _new(chosen):
    from wgf.command import template

    path = template.write(chosen.name)
    print(f"{path}: run it with wgf run {path}")


def _resume(chosen):
    runner.resume(chosen.out, runner.load_setup(chosen.script), quiet=chosen.quiet)


def _verify(chosen):
    from wgf.record.store import verify

    bad = verify(chosen.run)
    if bad:
        name, trouble = bad[0]
        more = f" ({len(bad) - 1} more like it)" if len(bad) > 1 else ""
        raise checks.InputError(f"{pathlib.Path(chosen.run) / name}: {trouble}{more}")
    print(f"{chosen.run}: every file is what was written")


def _pack(chosen):
    from wgf.record.store import pack

    pack(chosen.run, chosen.out)
    print(chosen.out)
