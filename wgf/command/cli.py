"""The command line: ``wgf new | run | resume | compare | plot | movie | …``.

`main` also serves solver scripts run on their own.

Exit status: 0 done; 1 a file could not be read or written, or the user's own code failed; 2 bad
input, with one line on standard error; 3 a numerical failure; 130 and 143 after SIGINT and
SIGTERM.
"""

import argparse
import builtins
import contextlib
import copy
import dataclasses
import difflib
import io
import os
import pathlib
import re
import sys
import warnings
from collections.abc import Callable, Sequence

from wgf import __version__, checks, parallel
from wgf.command import runner
from wgf.command.options import parameters
from wgf.command.signals import Stopped

STATIONARY = "stationary"


class _Parser(argparse.ArgumentParser):
    """Reports its errors as all bad input is reported; takes no abbreviations."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)
        # argparse itself takes -1e-3 for an option
        self._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)

    def error(self, message):
        message, remedy = " ".join(message.split()), f"see '{self.prog} --help'"
        unknown = re.match(r"unrecognized arguments: (--[^ =]+)", message)
        near = difflib.get_close_matches(unknown[1], self._option_string_actions) if unknown else []
        if near:
            remedy = f"did you mean {near[0]}? If not, {remedy}"
        raise checks.InputError(f"command line: {message}, {remedy}")


def main(setup: Callable | None = None, argv: Sequence[str] | None = None) -> int:
    """Run the command line and leave the process with the exit status.

    Parameters
    ----------
    setup : callable, optional
        The function of a solver script; without it the first argument is a command.
    argv : list of str, optional
        Arguments, by default those of the process.

    Returns
    -------
    int
        The exit status, in a notebook only: the session goes on, and its arguments are its own.
    """
    interactive = hasattr(builtins, "__IPYTHON__") or hasattr(sys, "ps1")
    if not interactive:
        sys.exit(status(setup, argv))
    if argv is None and not _script_is_run(setup):
        argv = ()
    try:
        return status(setup, argv)
    except SystemExit as left:
        # after --help
        return left.code or 0


def _script_is_run(setup):
    """Return whether the process was told to run the file that defines `setup` (%run)."""
    file = setup and runner.plain(setup).__code__.co_filename
    return bool(file) and os.path.realpath(file) == os.path.realpath(sys.argv[0])


def status(setup: Callable | None = None, argv: Sequence[str] | None = None) -> int:
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
            _run_setup(setup, argv, runner.script_of(setup)[0] + ".py")
        sys.stdout.flush()
    except checks.InputError as error:
        return _complain(error, 2)
    except checks.NumericalError as error:
        return _complain(error, 3)
    except Stopped as error:
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
    chosen.call(chosen)


def _complete():
    """Tell the shell what may follow, also the options of a script, and leave the process."""
    import argcomplete

    parser, commands = _commands()
    words = os.environ.get("COMP_LINE", "").split()
    if words[1:2] == ["run"] and words[3:] and os.path.isfile(words[2]):
        _add_options(commands["run"], runner.load_setup(words[2]))
    argcomplete.autocomplete(parser)


def _commands():
    """Return the parser of all commands, and those of each by name."""
    parser = _Parser(
        prog="wgf",
        description="Wasserstein gradient flows as a density on a mesh and as particles.",
    )
    parser.add_argument("--version", action="version", version=f"wgf {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, (call, text, *arguments) in COMMANDS.items():
        one = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        one.set_defaults(call=call)
        for flags, options in arguments:
            one.add_argument(*flags, **options)
    return parser, commands.choices


def _run_setup(setup, argv, prog):
    """Read the options that the signature of `setup` and the runner define, and run."""
    parser = _Parser(prog=prog, description=_first_paragraph(setup))
    own = _add_options(parser, setup)
    values, settings = _read(vars(parser.parse_args(argv)), own)
    settings = dataclasses.replace(settings, out=settings.out or _folder(setup))
    if settings.dry_run:
        from wgf.command.estimate import dry_run

        print(dry_run(setup, values, settings))
        return
    runner.run(setup, values, settings)


def _folder(setup):
    return os.path.join("runs", runner.script_of(setup)[0])


def _add_options(parser, setup):
    """Add the options of a script and those of every script; return the script's own by name."""
    own = parameters(setup)
    group = parser.add_argument_group("options of every script")
    for name, (flag, more) in SETTINGS.items():
        if name in SHARED or name not in own:
            more = {**more, "help": more["help"].replace("RUNS", _folder(setup))}
            group.add_argument(flag, dest=f"every {name}", default=argparse.SUPPRESS, **more)
    for option in own.values():
        if option.name in SHARED:
            continue
        shape = {"action": argparse.BooleanOptionalAction} if option.flagged else option.shape
        text = {"dest": option.name, "help": option.help.replace("%", "%%")}
        try:
            parser.add_argument(option.flag, default=argparse.SUPPRESS, **text, **shape)
        except argparse.ArgumentError:
            raise checks.InputError(
                f"script: the parameter {option.name} of setup() becomes the option {option.flag}, "
                "which means something else, rename it"
            ) from None
    return own


def _read(given, own):
    """Return the arguments of `setup` and the settings; what is not given has its default."""
    values, settings = {}, {k[6:]: v for k, v in given.items() if k.startswith("every ")}
    for name, option in own.items():
        values[name] = copy.copy(option.default)
        if name in SHARED:
            # a script that declares one of these is given its value
            values[name] = settings.setdefault(name, values[name])
        elif name == "until" and given.get(name) == STATIONARY and option.default != STATIONARY:
            settings["until"] = STATIONARY
        elif name in given:
            values[name] = option.read(given[name])
    return values, runner.Settings(**settings)


def _first_paragraph(setup):
    text = runner.plain(setup).__globals__.get("__doc__") or setup.__doc__ or ""
    return text.strip().split("\n\n")[0]


def _end(text):
    """Return the end of a run: a time, or the word that stands for a state at rest."""
    return text if text == STATIONARY else float(text)


_end.__name__ = "time"


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


def _argument(*flags, **options):
    """Return an argument of a command as `COMMANDS` holds it."""
    return flags, options


_RUN = _argument("run", help="directory of a run")
_DATA = _argument("--data", metavar="FILE", help="write the numbers to this .csv or .h5 file")
_QUIET = _argument("--quiet", action="store_true", help="show no progress")

# what each command calls, its help, and its arguments
COMMANDS = {
    "run": (
        None,
        "run a solver script; 'wgf run SCRIPT --help' lists the script's options",
        _argument("script", help="path of a solver script, such as solvers/spikes_2d.py"),
        _argument("options", nargs="*", help="options of the script"),
    ),
    "new": (
        _new,
        "write a commented solver script to start from",
        _argument("name", help="name or path of the script; an existing file is never touched"),
    ),
    "compare": (
        _compare,
        "compare two stored runs over time, or several with the first one: a convergence study at "
        "the last time that all share",
        _argument(
            "runs",
            nargs="+",
            metavar="RUN",
            help="directories of two runs, or of one run with both sides; of a reference and more",
        ),
        _argument("--plot", metavar="FILE", help="draw the comparison into this file"),
        _DATA,
    ),
    "inspect": (_inspect, "describe a stored run", _RUN),
    "plot": (
        _plot,
        "draw a stored run",
        _RUN,
        _argument("--out", metavar="FILE", help="file of the figure (default RUN/figure.png)"),
        _DATA,
        _argument(
            "--script",
            metavar="FILE",
            help="the run's solver script, to draw level lines of F' with it",
        ),
    ),
    "movie": (
        _movie,
        "make a film of a stored run",
        _RUN,
        _argument("out", metavar="FILE", help="film to write, .gif or .mp4 (needs ffmpeg)"),
        _argument("--rate", type=int, default=12, help="frames per second (default 12)"),
    ),
    "resume": (
        _resume,
        "continue an unfinished run",
        _argument("out", help="directory that 'wgf run' was given as --out"),
        _argument("script", help="the solver script that began the run"),
        _QUIET,
    ),
    "verify": (_verify, "check every file of a run, rebuild its index", _RUN),
    "pack": (
        _pack,
        "make one HDF5 file of a stored run",
        _RUN,
        _argument(
            *("-o", "--out"),
            required=True,
            metavar="FILE",
            help="file to write; a name that ends in .vtkhdf makes a file for VTK and ParaView",
        ),
    ),
}

# the options of every script by the setting that they give; a script whose setup has a parameter
# called like one in SHARED is given its value, one called like another has its own option
SHARED = ("method", "particles", "seed", "order", "out", "overwrite", "quiet", "plot")
SHARED += ("dry_run", "profile")
SETTINGS = {
    "method": ("--method", {"choices": tuple(runner.SIDES), "help": "(default both)"}),
    "particles": (
        "--particles",
        {
            "type": int,
            "metavar": "M",
            "help": "draw M particles from the start; 0 takes one per cell (default: the script's)",
        },
    ),
    "seed": (
        "--seed",
        {"type": int, "metavar": "SEED", "help": "of the particles drawn (default 0)"},
    ),
    "order": ("--order", {"type": int, "choices": (1, 2), "help": "of the finite volumes"}),
    "until": (
        "--until",
        {"type": _end, "metavar": "T", "help": "end time, or stationary to end at rest"},
    ),
    "log": (
        "--log",
        {
            "type": float,
            "nargs": 3,
            "metavar": ("FIRST", "LAST", "COUNT"),
            "help": "times of the snapshots, evenly spaced in their logarithm",
        },
    ),
    "tolerance": (
        "--tolerance",
        {
            "type": float,
            "metavar": "X",
            "help": "at rest: the dissipation is at most X |F| (default 1e-9)",
        },
    ),
    "gap": (
        "--gap",
        {
            "type": float,
            "metavar": "X",
            "help": "at rest: the optimality gap is at most X |F|, for an implicit method",
        },
    ),
    "source": (
        "--from",
        {"metavar": "RUN[:TIME]", "help": "start from the last state of a run, or that at TIME"},
    ),
    "out": ("--out", {"metavar": "DIR", "help": "directory of the run (default RUNS)"}),
    "overwrite": ("--overwrite", {"action": "store_true", "help": "replace an existing run"}),
    "quiet": ("--quiet", {"action": "store_true", "help": "show no progress"}),
    "plot": ("--no-plot", {"action": "store_false", "help": "draw no figure at the end"}),
    "dry_run": (
        "--dry-run",
        {"action": "store_true", "help": "write nothing: print sizes, memory, steps, time"},
    ),
    "profile": ("--profile", {"action": "store_true", "help": "print where the time went"}),
}
