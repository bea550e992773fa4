"""Options made from signatures: every kind of default on the command line, in a file, and back."""

import collections
import enum
import json
import pathlib
import subprocess
import sys
from typing import Literal

import numpy as np
import pytest

import wgf
from wgf.command import cli, runner
from wgf.command.options import Option, parameters


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 9


Pair = collections.namedtuple("Pair", "x y")

# default, words on the command line, value
KINDS = [
    (3, "-4", -4),
    (0.5, "-1e-3", -1e-3),
    ("tanh", "relu", "relu"),
    (None, "words", "words"),
    (pathlib.Path("x.csv"), "y z.csv", pathlib.Path("y z.csv")),
    (Colour.RED, "BLUE", Colour.BLUE),
    (Level.LOW, "HIGH", Level.HIGH),
    (np.int64(3), "7", np.int64(7)),
    (np.float64(0.5), "1e-300", np.float64(1e-300)),
    (np.float32(0.1), "0.3", np.float32(0.3)),
    (np.str_("a"), "b", np.str_("b")),
    ((0.3, 0.5), ["-1", "2"], (-1.0, 2.0)),
    ((1, 0.5), ["64", "0.25"], (64, 0.25)),
    ((0, 0.5), ["0.1", "1"], (0.1, 1)),
    (("tanh", 3), ["relu", "4"], ("relu", 4)),
    ((True, False), ["no", "true"], (False, True)),
    ([1.0, 2.0], ["3"], [3.0]),
    ([1, 2], [], []),
    ((), ["a", "b"], ("a", "b")),
    ([], ["a"], ["a"]),
    (Pair(1.0, 2.0), ["3", "4"], Pair(3.0, 4.0)),
    ((np.float64(1), np.float64(2)), ["3", "4"], (np.float64(3), np.float64(4))),
]


@pytest.mark.parametrize(("default", "words", "value"), KINDS, ids=repr)
def test_each_kind_is_read_stored_and_restored(default, words, value):
    option = Option("p", default)
    for each, found in ((value, option.read(words)), (default, default)):
        assert found == each and type(found) is type(each)
        held = json.loads(json.dumps(option.stored(found)))
        again = option.restored(held, "options.json")
        assert again == each and type(again) is type(each)
    if isinstance(value, tuple | list):
        assert [type(item) for item in option.read(words)] == [type(item) for item in value]


@pytest.mark.parametrize("default", [True, np.True_, False])
def test_a_truth_value_is_a_flag(default):
    option = Option("p", default)
    assert option.flagged and type(option.read(False)) is type(default)
    assert option.restored(option.stored(default), "here") == default


@pytest.mark.parametrize(
    "default",
    [{}, {1}, 1j, b"b", object(), len, np.zeros(2), [None], ((1, 2), (3, 4)), np.longdouble(1)],
    ids=lambda default: type(default).__name__,
)
def test_another_kind_of_default_is_refused_in_one_sentence(default):
    def setup(*, p=default):
        """Nothing to run."""

    with pytest.raises(wgf.InputError, match="^script: the parameter p of setup"):
        parameters(setup)


@pytest.mark.parametrize(
    ("default", "words", "part"),
    [
        (3, "1.5", "'1.5' is not a whole number, give a value such as 3"),
        (3, "many", "'many'"),
        (0.5, "half", "'half' is not a number"),
        (Colour.RED, "GREEN", "one of RED, BLUE"),
        ((1.0, 2.0), ["1"], "1 values do not fit, give 2"),
        ((True,), ["maybe"], "'maybe' is not true or false"),
        (np.int8(3), "300", "'300'"),
    ],
)
def test_a_word_that_does_not_fit_is_refused(default, words, part):
    with pytest.raises(wgf.InputError, match="^--p: ") as refused:
        Option("p", default).read(words)
    assert part in str(refused.value)


@pytest.mark.parametrize(
    ("default", "held"),
    [
        (3, 3.5),
        (3, True),
        (3, "3"),
        (3, [3]),
        (0.5, None),
        ("a", 1),
        ((1.0, 2.0), 3.0),
        ((1.0, 2.0), [1.0]),
        ((1.0, 2.0), ["a", "b"]),
        ([1.0], [[1.0]]),
        (Colour.RED, "GREEN"),
        (Colour.RED, 1),
        (True, 1),
        (None, [1]),
    ],
)
def test_a_stored_value_of_another_kind_is_refused(default, held):
    with pytest.raises(wgf.InputError, match=r"^o\.json: p"):
        Option("p", default).restored(held, "o.json")


def test_annotations_say_what_none_stands_for_and_what_may_be_chosen():
    def setup(
        *,
        count: int | None = None,
        rate: float | None = None,
        ends: tuple[float, float] | None = None,
        unit: Literal["tanh", "relu"] = "tanh",
    ):
        """Nothing to run.

        Parameters
        ----------
        count : int
            How many 50% of all.
        """

    found = parameters(setup)
    assert found["count"].read("3") == 3 and found["rate"].read("3") == 3.0
    assert found["count"].help == "How many 50% of all."
    assert found["ends"].read(["1", "2"]) == (1.0, 2.0)
    assert all(option.restored(None, "here") is None for option in list(found.values())[:3])
    with pytest.raises(wgf.InputError, match="one of tanh, relu"):
        found["unit"].read("step")


WELL = '''"""A well; 100 % convex."""
{head}
import wgf
import wgf.cli

seen = []
{body}

def setup(*, p={default}, until=0.2):
    """Return what to run."""
    seen.append(p)
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 16))
    V = wgf.Potential(lambda q: 0.5 * q[:, 0] ** 2, lambda q: q)
    start = wgf.Density.normal(mesh, 0.5, 0.5)
    return {{"flow": wgf.GradientFlow(V), "start": start, "until": until, "every": 0.1}}
'''


@pytest.fixture
def well(tmp_path, monkeypatch):
    """Write a script into an empty working directory and return a function that runs it."""
    monkeypatch.chdir(tmp_path)

    def write(default="1.0", head="", body="", name="well"):
        text = WELL.format(default=default, head=head, body=body)
        (tmp_path / f"{name}.py").write_text(text)

        def run(*words, verb="run"):
            first = [f"{name}.py"] if verb == "run" else ["out", f"{name}.py"]
            more = ["--method", "mesh", "--no-plot", "--out", "out"] if verb == "run" else []
            return cli.status(argv=[verb, *first, "--quiet", *more, *words])

        return run

    return write


def last_seen():
    """Return the parameter that the script was last given, of an enumeration the name."""
    found = sys.modules["well"].seen[-1]
    return found.name if isinstance(found, enum.Enum) else found


@pytest.mark.parametrize(
    ("head", "default", "words", "value"),
    [
        ("import pathlib", "pathlib.Path('x.csv')", ["y.csv"], pathlib.Path("y.csv")),
        ("import numpy as np", "np.int64(3)", ["-4"], -4),
        ("", "1.0", ["-1e-3"], -1e-3),
        ("", "(0.0, 0.0)", ["-.5", "-2E-1"], (-0.5, -0.2)),
        ("", "[1.0, 2.0]", ["-3", "4", "5"], [-3.0, 4.0, 5.0]),
        ("", "()", ["a"], ("a",)),
        ("", "None", ["a"], "a"),
        ("from enum import Enum\nE = Enum('E', 'ONE TWO')", "E.ONE", ["TWO"], "TWO"),
    ],
    ids=lambda value: str(value),
)
def test_defaults_run_resume_and_are_in_the_help(well, capsys, head, default, words, value):
    run = well(default, head)
    assert run() == 0
    assert run(verb="resume") == 0
    assert run("--overwrite", "--p", *words) == 0
    assert last_seen() == value
    assert run(verb="resume") == 0
    assert last_seen() == value
    capsys.readouterr()
    with pytest.raises(SystemExit):
        run("--help")
    assert "--p" in capsys.readouterr().out


def test_a_script_runs_like_an_imported_module(well, capsys):
    body = """
from dataclasses import dataclass, field
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
import pickle

@dataclass
class Well:
    depth: float = 1.0
    more: list = field(default_factory=list)

def work(well):
    return Well(well.depth + 1)

assert pickle.loads(pickle.dumps(Well(2.0))) == Well(2.0)

def pooled():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return list(pool.map(work, [Well(1.0)]))
"""
    run = well(head="from __future__ import annotations", body=body, name="pooling")
    assert run() == 0
    assert sys.modules["pooling"].pooled() == [sys.modules["pooling"].Well(2.0)]


def test_a_script_does_not_replace_a_module_of_its_name(well):
    import random

    assert well(name="random")() == 0
    assert sys.modules["random"] is random


def test_a_script_that_fails_is_not_left_behind(well):
    with pytest.raises(ZeroDivisionError):
        well(body="1 / 0", name="failing")()
    assert "failing" not in sys.modules


@pytest.mark.parametrize(
    ("words", "part"),
    [(["--unti", "1"], "did you mean --until?"), (["--ove"], "--ove"), (["--quiets"], "--quiet?")],
)
def test_abbreviations_are_refused_with_the_nearest_name(well, capsys, words, part):
    assert well()(*words) == 2
    assert part in capsys.readouterr().err


@pytest.mark.parametrize("name", ["dry_run_", "no_plot", "help", "from_"])
def test_a_parameter_that_clashes_is_refused_or_stands_alone(well, capsys, tmp_path, name):
    run = well()
    script = tmp_path / "well.py"
    script.write_text(script.read_text().replace("p=1.0", f"{name}=1.0").replace("(p)", "(1)"))
    # the script's own --from is no start of ours
    assert run() == (0 if name == "from_" else 2)
    assert name == "from_" or "the parameter" in capsys.readouterr().err


def test_the_command_line_in_a_notebook(monkeypatch, tmp_path, capsys):
    import builtins

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    monkeypatch.setattr(sys, "argv", ["ipykernel_launcher.py", "-f", "/run/kernel-1.json"])
    cell = WELL.format(default="1.0", head="", body="")
    names = {"__name__": "__main__"}
    exec(compile(cell, "<ipython-input-1>", "exec"), names)
    assert cli.main(names["setup"]) == 0
    assert wgf.open_run("runs/setup/mesh").times[-1] == 0.2
    assert cli.main(names["setup"], ["--help"]) == 0
    assert cli.main(names["setup"], ["--p", "x"]) == 2
    assert cli.main(names["setup"]) == 2
    # but a script that the session runs with words is given them
    (tmp_path / "well.py").write_text(cell)
    monkeypatch.setattr(sys, "argv", ["well.py", "--p", "x"])
    assert cli.main(runner.load_setup("well.py")) == 2
    assert "--p: 'x'" in capsys.readouterr().err


def test_a_run_outside_the_main_thread_leaves_signals_alone(well):
    import threading

    codes, run = [], well()
    thread = threading.Thread(target=lambda: codes.append(run()))
    thread.start()
    thread.join()
    assert codes == [0]


def test_a_wrapped_setup_keeps_its_script(well, tmp_path, capsys):
    code = "import functools, wgf.cli, well\nwgf.cli.main(functools.partial(well.setup, p=2.0))\n"
    well()
    (tmp_path / "wrapped.py").write_text(code)
    root = str(pathlib.Path(wgf.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "wrapped.py", "--method", "mesh", "--quiet", "--no-plot"],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": root},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(pathlib.Path("runs/well/options.json").read_text())["values"]["p"] == 2.0
