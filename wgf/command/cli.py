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
import functools
import inspect
import io
import itertools
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence

from wgf import __version__, checks, parallel
from wgf.command import runner, verbs
from wgf.command.options import notes, parameters
from wgf.command.signals import Stopped

EVERY = parameters(runner.Settings)
# settings whose value a script is given that declares a parameter of that name; its parameters of
# other names are options of its own
SHARED = ("method", "particles", "seed", "order", "out", "overwrite", "quiet", "plot")
SHARED += ("dry_run", "profile")


class _Parser(argparse.ArgumentParser):
    """Reports its errors as all bad input is reported; takes no abbreviations."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, **options)
        # argparse itself takes -1e-3 for an option
        self._negative_number_matcher = re.compile(r"-(\.?\d|inf|nan)", re.IGNORECASE)

    def error(self, message):
        message, remedy = " ".join(message.split()), f"see '{self.prog} --help'"
        unknown = re.match(r"unrecognized arguments: (--[^ =]+)", message)
        hint = checks.nearest(unknown[1], self._option_string_actions) if unknown else ""
        if hint.startswith("did"):
            remedy = f"{hint} If not, {remedy}"
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
            if setup is None and argv[:1] not in (["run"], ["resume"]) and not _shared(argv):
                return 0
        return _status(setup, argv)


def _shared(argv):
    """Return whether the ranks do the members of a sweep."""
    words = " ".join(argv).replace("=", " ").split()
    return words[:1] == ["sweep"] and ("--engine", "mpi") in itertools.pairwise(words)


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
    if argv[:1] in (["run"], ["sweep"]) and len(argv) > 1 and argv[1] not in ("-h", "--help"):
        # a script's own options may look like anything, so they never meet the parser of commands
        verb, script = argv[:2]
        if script.startswith("-"):
            raise checks.InputError(
                f"command line: {script} stands before the script, write wgf {verb} SCRIPT "
                "[options]"
            )
        call = _run_setup if verb == "run" else functools.partial(_sweep, script)
        call(runner.load_setup(script), argv[2:], f"wgf {verb} {script}")
        return
    _call(vars(_commands()[0].parse_args(argv)))


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
    for name, command in verbs.COMMANDS.items():
        text = command.__doc__.split("\n")[0]
        one = commands.add_parser(
            name, help=text[0].lower() + text[1:].rstrip("."), description=text
        )
        about = notes(command)
        for word in inspect.signature(command).parameters.values():
            more = {"help": about[word.name]}
            if word.kind is word.VAR_POSITIONAL:
                one.add_argument(word.name, nargs="*", **more)
            elif word.default is word.empty and word.kind is word.KEYWORD_ONLY:
                flags = f"-{word.name[0]}", f"--{word.name}"
                one.add_argument(*flags, required=True, metavar="path", **more)
            elif word.default is word.empty:
                one.add_argument(word.name, **more)
        for option in parameters(command, required=False).values():
            _add(one, option)
    return parser, commands.choices


def _call(given):
    """Call a command with what its parser found."""
    command = verbs.COMMANDS[given.pop("command")]
    options, words, named = parameters(command, required=False), [], {}
    for word in inspect.signature(command).parameters.values():
        if word.kind is word.VAR_POSITIONAL:
            words += given[word.name]
        elif word.kind is word.POSITIONAL_OR_KEYWORD:
            words.append(given[word.name])
        elif word.name in given:
            value = given[word.name]
            named[word.name] = options[word.name].read(value) if word.name in options else value
    command(*words, **named)


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


def _sweep(script, setup, argv, prog):
    """Read what is varied and what all members share, and sweep."""
    from wgf.command import sweep

    parser = _Parser(prog=prog, description=_first_paragraph(setup))
    own = _add_options(parser, setup, [*sweep.SETTINGS, "method", "out", "quiet"])
    group = parser.add_argument_group("options of a sweep")
    group.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="NAME=V1,V2",
        help="run with each of these values of an option; items of a tuple are joined by colons",
    )
    group.add_argument("--seeds", default="0:1", metavar="A:B", help="run with seeds A, …, B - 1")
    group.add_argument("--jobs", type=int, metavar="N", help="processes (default: one a processor)")
    group.add_argument(
        "--engine",
        default=sweep.ENGINES[0],
        choices=sweep.ENGINES,
        help="who does the members: processes here, the ranks of mpiexec, the workers of Dask",
    )
    group.add_argument("--scheduler", metavar="ADDRESS", help="of Dask, such as tcp://host:8786")
    given = vars(parser.parse_args(argv))
    vary, seeds = given.pop("vary"), given.pop("seeds")
    how = {name: given.pop(name) for name in ("jobs", "engine", "scheduler")}
    parts = [text.partition("=") for text in vary]
    bad = [name for name, sign, _ in parts if not sign]
    if bad:
        raise checks.InputError(f"vary: {bad[0]!r} names no values, write {bad[0]}=V1,V2")
    ends = re.fullmatch(r"(\d+):(\d+)", seeds)
    if ends is None:
        raise checks.InputError(f"seeds: {seeds!r} is not a range, write A:B, which leaves B out")
    values, every = _read(given, own)
    given = {k: values[k] for k in own if k in given} | {
        k: getattr(every, k) for k in sweep.SETTINGS if f"every {k}" in given
    }
    found = sweep.sweep(
        script,
        {name.replace("-", "_"): texts.split(",") for name, _, texts in parts},
        range(int(ends[1]), int(ends[2])),
        out=every.out,
        method=every.method,
        quiet=every.quiet,
        **how,
        **given,
    )
    for text in found.failures:
        print(f"failed: {text}")
    print(found.path / "sweep.h5")


def _folder(setup):
    return os.path.join("runs", runner.script_of(setup)[0])


def _add_options(parser, setup, names=None):
    """Add the options of a script and those of every script; return the script's own by name."""
    own = parameters(setup)
    group = parser.add_argument_group("options of every script")
    for option in EVERY.values():
        if names is not None and option.name not in names:
            continue
        if option.name in SHARED or option.name not in own:
            _add(group, option, "every ")
    for option in own.values():
        if option.name in SHARED:
            continue
        try:
            _add(parser, option, negatable=True)
        except argparse.ArgumentError:
            raise checks.InputError(
                f"script: the parameter {option.name} of setup() becomes the option {option.flag}, "
                "which means something else, rename it"
            ) from None
    return own


def _add(parser, option, prefix="", negatable=False):
    """Add an option to a parser; what is not given is left out of what the parser finds."""
    flag, shape = option.flag, option.shape
    if option.flagged and negatable:
        shape = {"action": argparse.BooleanOptionalAction}
    elif option.flagged:
        flag = flag.replace("--", "--no-") if option.default else flag
        shape = {"action": "store_false" if option.default else "store_true"}
    text = (option.note if option.flagged and not negatable else option.help).replace("%", "%%")
    dest = prefix + option.name
    parser.add_argument(flag, dest=dest, default=argparse.SUPPRESS, help=text, **shape)


def _read(given, own):
    """Return the arguments of `setup` and the settings; what is not given has its default."""
    every = {k.removeprefix("every "): v for k, v in given.items() if k.startswith("every ")}
    values, settings = {}, {name: EVERY[name].read(words) for name, words in every.items()}
    for name, option in own.items():
        values[name] = copy.copy(option.default)
        if name in SHARED:
            # a script that declares one of these is given its value
            values[name] = settings.setdefault(name, values[name])
        elif name == "until" and given.get(name) == "stationary" != option.default:
            settings[name] = given[name]
        elif name in given:
            values[name] = option.read(given[name])
    return values, runner.Settings(**settings)


def _first_paragraph(setup):
    text = runner.plain(setup).__globals__.get("__doc__") or setup.__doc__ or ""
    return text.strip().split("\n\n")[0]
