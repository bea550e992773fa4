"""A matrix of bad input to the command line, to files and to Python: one sentence, exit 2.

Nothing is written, and no exception of another class escapes.
"""

import hashlib
import json
import pathlib
import shutil
import time

import fault_kit
import numpy as np
import pytest

import wgf
from wgf.command import cli
from wgf.record import store

SCRIPT = str(fault_kit.HERE / "fault_script.py")
RUN = ["run", SCRIPT, "--quiet", "--no-plot", "--method", "mesh"]

COMMAND_LINES = [
    (["run", "--frob"], "--frob"),
    (["run", ""], "no Python file"),
    (["run", "nowhere.py"], "nowhere.py"),
    (["run", "stored"], "stored"),
    (["run", "notes.txt"], "notes.txt"),
    (["walk", SCRIPT], "walk"),
    (["--version=3"], "--version"),
    (["inspect"], "run"),
    (["inspect", "stored", "more"], "more"),
    (["inspect", "nowhere"], "nowhere"),
    (["inspect", ""], "no run here"),
    (["inspect", "notes.txt"], "notes.txt"),
    (["inspect", "stored/run.h5"], "run.h5"),
    (["inspect", "stored/snapshots"], "snapshots"),
    (["inspect", "sto\0red"], "no run here"),
    (["verify"], "run"),
    (["verify", "nowhere"], "nowhere"),
    (["verify", "notes.txt"], "notes.txt"),
    (["verify", "stored", "--deep"], "--deep"),
    (["plot", "nowhere"], "nowhere"),
    (["plot", "stored", "--out"], "--out"),
    (["plot", "stored", "--out", "figure.movie"], "'movie'"),
    (["pack", "stored"], "-o"),
    (["pack", "nowhere", "-o", "one.h5"], "nowhere"),
    (["pack", "stored", "-o", "notes.txt"], "notes.txt"),
    (["pack", "stored", "-o", "stored"], "stored"),
    (["compare", "stored"], "b"),
    (["compare", "stored", "nowhere"], "nowhere"),
    (["compare", "stored", "notes.txt"], "notes.txt"),
    (["compare", "stored", "stored", "--plot", "two.movie"], "'movie'"),
    (["resume", "stored"], "script"),
    (["resume", "nowhere", SCRIPT], "nowhere"),
    (["resume", "stored", "nowhere.py"], "nowhere.py"),
    (["resume", "stored", "notes.txt"], "notes.txt"),
    (["resume", "notes.txt", SCRIPT], "notes.txt"),
    ([*RUN, "more"], "more"),
    ([*RUN, "--cells"], "--cells"),
    ([*RUN, "--cells", "0"], "cells: 0"),
    ([*RUN, "--cells", "-4"], "cells: -4"),
    ([*RUN, "--cells", "1.5"], "1.5"),
    ([*RUN, "--cells", "nan"], "nan"),
    ([*RUN, "--cells", "1" + "0" * 30], "cells: 1000000"),
    ([*RUN, "--until", "0"], "until: 0"),
    ([*RUN, "--until", "-1"], "until: -1"),
    ([*RUN, "--until", "nan"], "until: nan"),
    ([*RUN, "--until", "inf"], "until: inf"),
    ([*RUN, "--until", "soon"], "soon"),
    ([*RUN, "--every", "0"], "every: 0"),
    ([*RUN, "--every", "-0.1"], "every: -0.1"),
    ([*RUN, "--every", "nan"], "every: nan"),
    ([*RUN, "--every", "1e-12"], "every: 1e-12"),
    ([*RUN, "--activation", ""], "''"),
    ([*RUN, "--activation", "step"], "'step'"),
    ([*RUN, "--l1", "-1"], "strength: -1"),
    ([*RUN, "--l1", "nan"], "strength: nan"),
    ([*RUN, "--scale", "inf"], "inf"),
    ([*RUN, "--scale", "1e300"], "objective is inf"),
    ([*RUN, "--mean", "1"], "--mean"),
    ([*RUN, "--mean", "1", "2", "3"], "3"),
    ([*RUN, "--mean", "a", "b"], "'a'"),
    ([*RUN, "--mean", "nan", "0"], "nan"),
    ([*RUN, "--mean", "1e9", "0"], "1e+09"),
    ([*RUN, "--order", "0"], "0"),
    ([*RUN, "--order", "two"], "two"),
    ([*RUN, "--method", "magic"], "magic"),
    ([*RUN, "--out", "notes.txt"], "notes.txt"),
    ([*RUN, "--out", "stored"], "--overwrite"),
    ([*RUN, "--out", "thesis", "--overwrite"], "chapter.tex"),
    ([*RUN, "--out", "stored/run.h5", "--overwrite"], "run.h5"),
    (["run", SCRIPT, "--quiet", "--out", "stored", "--overwrite"], "both sides"),
    (["run", SCRIPT, "--quiet", "--particles", "-5"], "particles: -5"),
    (["run", SCRIPT, "--quiet", "--particles", "many"], "many"),
    (["run", SCRIPT, "--quiet", "--particles", "5", "--seed", "-1"], "seed: -1"),
    (["run", SCRIPT, "--quiet", "--particles", "5", "--seed", "x"], "'x'"),
]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A small stored run."""
    path = tmp_path_factory.mktemp("matrix") / "stored"
    assert cli.status(argv=[*RUN, "--out", str(path)]) == 0
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch, stored):
    """A working directory with a run, somebody's notes and somebody's thesis."""
    shutil.copytree(stored, tmp_path / "stored")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.tex").write_text("all of it")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(folder, capsys, argv):
    """Assert exit 2, one sentence and nothing written; return the sentence."""
    before = fault_kit.tree(folder)
    folders = {path for path in folder.rglob("*") if path.is_dir()}
    capsys.readouterr()
    try:
        code = cli.status(argv=argv)
    except SystemExit as left:
        code = left.code
    assert code == 2
    line = fault_kit.sentence(capsys.readouterr().err)
    assert fault_kit.tree(folder) == before
    assert {path for path in folder.rglob("*") if path.is_dir()} == folders
    return line


@pytest.mark.parametrize(
    ("argv", "part"), COMMAND_LINES, ids=lambda v: "-".join(v[:1] + v[-2:])[-40:] if v else ""
)
def test_command_lines(folder, capsys, argv, part):
    assert part in refused(folder, capsys, argv)


def relist(path, name, content):
    """Write a file of the run and put its size and sum into the manifest."""
    (path / name).write_bytes(content)
    lines = [json.loads(line) for line in (path / "manifest.jsonl").read_text().splitlines()]
    for line in lines:
        if line["name"] == name:
            line["bytes"] = len(content)
            line["sha256"] = hashlib.sha256(content).hexdigest()
    (path / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


LAST = "snapshots/000004.h5"


def edited(change):
    """Return a fault that changes the last snapshot by h5py and lists it as if it were right."""

    def fault(path):
        h5py = pytest.importorskip("h5py")
        with h5py.File(path / LAST, "r+") as file:
            change(file)
        relist(path, LAST, (path / LAST).read_bytes())

    return fault


def without(name):
    return edited(lambda file: file.__delitem__(name))


def replaced(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return edited(change)


def foreign(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path / "other.h5", "w") as file:
        file["results/table"] = np.eye(3)
    content = (path / "other.h5").read_bytes()
    (path / "other.h5").unlink()
    relist(path, LAST, content)


def manifest(change):
    def fault(path):
        lines = (path / "manifest.jsonl").read_text().splitlines()
        (path / "manifest.jsonl").write_text("\n".join(change(lines)) + "\n")

    return fault


def entry(number, **values):
    """Return a fault that changes values in a line of the manifest."""

    def change(lines):
        lines[number] = json.dumps({**json.loads(lines[number]), **values})
        return lines

    return manifest(change)


def domain(**axis):
    """Return the description of a density on a mesh of one axis."""
    whole = {"lower": 0.0, "upper": 1.0, "cells": 4, "periodic": False, **axis}
    return json.dumps({"kind": "Density", "domain": {"x": whole}})


FILES = {
    "a foreign HDF5 file": foreign,
    "no HDF5 at all": lambda path: relist(path, LAST, b"%PDF-1.7 something else"),
    "an empty file": lambda path: relist(path, LAST, b""),
    "half an HDF5 file": lambda path: relist(path, LAST, (path / LAST).read_bytes()[:3000]),
    "no time": without("time"),
    "no step": without("step"),
    "no diagnostics": without("diagnostics"),
    "no problem": without("problem_json"),
    "no provenance": without("provenance_json"),
    "another format": edited(lambda file: file.attrs.modify("wgf_format", 99)),
    "a format that is a text": edited(lambda file: file.attrs.__setitem__("wgf_format", "one")),
    "no format": edited(lambda file: file.attrs.__delitem__("wgf_format")),
    "a problem that is no JSON": replaced("problem_json", "{"),
    "a problem that is a number": replaced("problem_json", 3.0),
    "times of text": replaced("time", "now"),
    "no times": replaced("time", np.zeros(0)),
    "another time": replaced("time", np.array([0.123])),
    "diagnostics of text": replaced("diagnostics", "all good"),
    "steps of another number": replaced("step", np.arange(9)),
    "a missing snapshot": lambda path: (path / LAST).unlink(),
    "a snapshot that is a folder": lambda path: [(path / LAST).unlink(), (path / LAST).mkdir()],
    "a snapshot of another run": lambda path: shutil.copy(
        path / "snapshots/000003.h5", path / LAST
    ),
    "an empty manifest": lambda path: (path / "manifest.jsonl").write_bytes(b""),
    "a manifest in XML": lambda path: (path / "manifest.jsonl").write_text("<a>\n</a>\n"),
    "a manifest of zeros": lambda path: (path / "manifest.jsonl").write_bytes(bytes(900)),
    "a manifest in another encoding": lambda path: (path / "manifest.jsonl").write_bytes(
        (path / "manifest.jsonl").read_text().encode("utf-16")
    ),
    "lines in another order": manifest(lambda lines: lines[::-1]),
    "a line twice": manifest(lambda lines: lines[:2] + lines[1:]),
    "a line less": manifest(lambda lines: lines[:2] + lines[3:]),
    "a line that is a list": manifest(lambda lines: [*lines[:2], "[1, 2]", *lines[3:]]),
    "a negative size": entry(2, bytes=-1),
    "a size of text": entry(2, bytes="many"),
    "a sum of another file": entry(2, sha256="0" * 64),
    "a name outside the run": entry(2, name="../../secret.h5"),
    "a step that is true": entry(2, step=True),
    "a time that is no number": entry(2, t=float("nan")),
    "rows that are not there": entry(2, rows=7),
    "an unknown key": entry(2, colour="blue"),
    "an unknown status": entry(5, status="great"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(folder, capsys, name):
    FILES[name](folder / "stored")
    for argv in (
        ["inspect", "stored"],
        ["verify", "stored"],
        ["pack", "stored", "-o", "one.h5"],
        ["compare", "stored", "stored"],
    ):
        assert refused(folder, capsys, argv).startswith("stored/")


MEASURES = {
    "no density": without("density"),
    "no measure": without("measure_json"),
    "an unknown kind": replaced("measure_json", '{"kind": "Cloud", "domain": null}'),
    "no kind": replaced("measure_json", "{}"),
    "a list for a measure": replaced("measure_json", "[]"),
    "a domain of numbers": replaced("measure_json", '{"kind": "Density", "domain": 3}'),
    "another mesh": replaced("measure_json", domain()),
    "a mesh without cells": replaced("measure_json", domain(cells=0)),
    "a mesh of text": replaced("measure_json", domain(upper="far")),
    "a mesh with more": replaced("measure_json", domain(colour=3)),
    "a density of NaN": replaced("density", np.full((1, 8, 8), np.nan)),
    "a negative density": replaced("density", np.full((1, 8, 8), -1.0)),
    "a density of text": replaced("density", "dense"),
    "a density that is a group": edited(
        lambda f: [f.__delitem__("density"), f.create_group("density")]
    ),
    "no restart": without("restart"),
    "a restart without its step": edited(
        lambda f: [f["restart"].__delitem__(k) for k in list(f["restart"])]
    ),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_in_files(folder, capsys, name):
    MEASURES[name](folder / "stored")
    line = refused(folder, capsys, ["resume", "stored", SCRIPT, "--quiet"])
    assert "stored" in line


OPTIONS = {
    "no JSON": lambda options: "{",
    "a list": lambda options: [],
    "no values": lambda options: {k: v for k, v in options.items() if k != "values"},
    "no settings": lambda options: {k: v for k, v in options.items() if k != "settings"},
    "no hash": lambda options: {k: v for k, v in options.items() if k != "sha256"},
    "values that are a list": lambda options: {**options, "values": [1]},
    "settings that are a text": lambda options: {**options, "settings": "mesh"},
    "an unknown setting": lambda o: {**o, "settings": {**o["settings"], "colour": 1}},
    "an unknown method": lambda o: {**o, "settings": {**o["settings"], "method": "magic"}},
    "a method that is a list": lambda o: {**o, "settings": {**o["settings"], "method": []}},
    "an order of 7": lambda o: {**o, "settings": {**o["settings"], "order": 7}},
    "an unknown value": lambda o: {**o, "values": {**o["values"], "colour": 1}},
    "cells of text": lambda o: {**o, "values": {**o["values"], "cells": "many"}},
    "cells below one": lambda o: {**o, "values": {**o["values"], "cells": 0}},
    "other cells": lambda o: {**o, "values": {**o["values"], "cells": 9}},
    "a mean of text": lambda o: {**o, "values": {**o["values"], "mean": ["a", "b"]}},
    "a mean that is one number": lambda o: {**o, "values": {**o["values"], "mean": 3.0}},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_stored_options(folder, capsys, name):
    file = folder / "stored/options.json"
    changed = OPTIONS[name](json.loads(file.read_text()))
    file.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    refused(folder, capsys, ["resume", "stored", SCRIPT, "--quiet"])


MESH = wgf.Mesh(x=wgf.Axis(0, 1, 4))
START = wgf.Density.uniform(MESH)
PARTICLES = wgf.Particles([[0.5], [0.2]])
FLOW = wgf.GradientFlow(wgf.Ridge(1.0))
CALLS = [
    lambda: wgf.Axis(None, 1, 4),
    lambda: wgf.Axis(0, [1], 4),
    lambda: wgf.Axis(0, float("inf"), 4),
    lambda: wgf.Axis(0, 1, "4"),
    lambda: wgf.Axis(0, 1, 10**30),
    lambda: wgf.Axis(0, 1 + 1j, 3),
    lambda: wgf.Mesh(x=None),
    lambda: wgf.Mesh(**{"a b": wgf.Axis(0, 1, 2)}),
    lambda: wgf.Mesh(**{c: wgf.Axis(0, 1, 2**20) for c in "abcd"}),
    lambda: wgf.Density(None, None),
    lambda: wgf.Density(MESH, None),
    lambda: wgf.Density(MESH, "dense"),
    lambda: wgf.Density(MESH, [1j, 0, 0, 0]),
    lambda: wgf.Density(MESH, {}),
    lambda: wgf.Density.normal(MESH, "left", 1),
    lambda: wgf.Density.normal(MESH, 0.5, -1),
    lambda: wgf.Density.normal(None, 0.5, 1),
    lambda: wgf.Density.uniform(MESH, x=3),
    lambda: wgf.Density.uniform(MESH, x=(0, 1, 2)),
    lambda: wgf.Density.uniform(MESH, x=("a", "b")),
    lambda: wgf.Density.from_function(MESH, None),
    lambda: wgf.Density.from_function(MESH, lambda p: "dense"),
    lambda: wgf.Density.from_function(MESH, lambda p: p[:, 0], nodes=1.5),
    lambda: START.sample(None, 0),
    lambda: START.sample(3, "seed"),
    lambda: START.marginal(3),
    lambda: START.marginal("y"),
    lambda: wgf.Particles(None),
    lambda: wgf.Particles("cloud"),
    lambda: wgf.Particles([[1, 2], [3]]),
    lambda: wgf.Particles([[0.5]], weights="heavy"),
    lambda: wgf.Particles([[0.5]], velocities=[[1, 2]]),
    lambda: wgf.Particles([[0.5]], domain=3),
    lambda: PARTICLES.histogram(None),
    lambda: PARTICLES.marginal("x"),
    lambda: wgf.Neurons(None, "tanh"),
    lambda: wgf.Neurons([1.0], None),
    lambda: wgf.Neurons([1.0], ["tanh"]),
    lambda: wgf.Filter.dirichlet(2.5),
    lambda: wgf.Filter.dirichlet(2, dimension=9),
    lambda: wgf.Filter.dirichlet(10**9, dimension=3),
    lambda: wgf.Filter.gaussian(None, 1),
    lambda: wgf.Filter.gaussian([1.0], "wide"),
    lambda: wgf.Features(None),
    lambda: wgf.Features(np.sin, gradient=3),
    lambda: wgf.Squared(None),
    lambda: wgf.Squared("y"),
    lambda: wgf.Squared([[1.0]]),
    lambda: wgf.Logistic([]),
    lambda: wgf.Logistic([0.5]),
    lambda: wgf.Risk(None, None),
    lambda: wgf.Risk(wgf.Neurons([1.0], "tanh"), wgf.Squared([1.0]), scale=0),
    lambda: wgf.L1(None),
    lambda: wgf.L1(1.0, axes=[3]),
    lambda: wgf.Ridge(float("nan")),
    lambda: wgf.Potential(None),
    lambda: wgf.Entropy(-1),
    lambda: wgf.Entropy("hot"),
    lambda: wgf.PowerEntropy(1.0, 1.0),
    lambda: wgf.PowerEntropy("m", 2),
    lambda: wgf.Interaction(None),
    lambda: wgf.Functional([]),
    lambda: wgf.Functional([3]),
    lambda: wgf.Functional(None),
    lambda: wgf.Functional(3),
    lambda: wgf.GradientFlow(None),
    lambda: wgf.GradientFlow(FLOW.functional, frozen=3),
    lambda: wgf.GradientFlow(FLOW.functional, mobility=3),
    lambda: wgf.GradientFlow(FLOW.functional, mobility={"x": -1}),
    lambda: wgf.GradientFlow(FLOW.functional, mobility={3: 1.0}),
    lambda: wgf.FisherRao(FLOW.functional, growth=-1),
    lambda: wgf.FisherRao(FLOW.functional, growth=0, transport=0),
    lambda: wgf.FiniteVolume(order="two"),
    lambda: wgf.FiniteVolume(courant=0),
    lambda: wgf.ImplicitFiniteVolume(0),
    lambda: wgf.ImplicitFiniteVolume(0.1, growth=0.5),
    lambda: wgf.GrowthSplitting(step=-1),
    lambda: wgf.RungeKutta(tolerance="fine"),
    lambda: wgf.ForwardBackward(step=0),
    lambda: wgf.Conic(retraction="round"),
    lambda: wgf.Langevin(step=-1),
    lambda: wgf.Langevin(seed=-1),
    lambda: wgf.GradientDescent(None),
    lambda: wgf.solve(None, START, 1.0),
    lambda: wgf.solve(FLOW, None, 1.0),
    lambda: wgf.solve(FLOW, START, None),
    lambda: wgf.solve(FLOW, START, "forever"),
    lambda: wgf.solve(FLOW, START, 1.0, every="often"),
    lambda: wgf.solve(FLOW, START, 1.0, at="noon"),
    lambda: wgf.solve(FLOW, START, 1.0, at=[[0.5]]),
    lambda: wgf.solve(FLOW, START, 1.0, method=wgf.FiniteVolume),
    lambda: wgf.solve(FLOW, START, 1.0, method=wgf.RungeKutta()),
    lambda: wgf.solve(FLOW, PARTICLES, 1.0, method=wgf.FiniteVolume()),
    lambda: wgf.solve(FLOW, START, 1.0, method=wgf.GrowthSplitting()),
    lambda: wgf.solve(FLOW, START, 1.0, save=3),
    lambda: wgf.solve(FLOW, START, 1.0, resume=True),
    lambda: wgf.solve(FLOW, START, "stationary", tolerance=-1),
    lambda: wgf.solve(FLOW, START.sample(9, seed=0), "stationary", gap=1e-3),
    lambda: wgf.solve(FLOW, START, "stationary", gap="small"),
    lambda: wgf.open_run(None),
    lambda: wgf.open_run(b"bytes"),
    lambda: wgf.compare(None, None),
    lambda: wgf.compare(3, "run"),
    lambda: store.pack("nowhere", "one.h5"),
    lambda: store.pack("nowhere", None),
    lambda: store.verify(None),
]


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_calls(tmp_path, monkeypatch, number):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wgf.InputError) as caught:
        CALLS[number]()
    line = str(caught.value)
    assert "\n" not in line and ": " in line and ", " in line
    assert isinstance(caught.value, ValueError) and not list(pathlib.Path().iterdir())


def test_the_matrix_is_large():
    lines = len(COMMAND_LINES) + len(FILES) + len(MEASURES) + len(OPTIONS)
    assert lines >= 100 and len(CALLS) >= 100


@pytest.mark.slow
def test_how_long_a_refusal_takes(folder, capsys, monkeypatch, figure):
    """The whole matrix in one process: the fast suite checks what each case says."""
    slowest, count = 0.0, 0

    def timed(argv):
        nonlocal slowest, count
        begin = time.perf_counter()
        refused(folder, capsys, argv)
        slowest, count = max(slowest, time.perf_counter() - begin), count + 1

    for argv, _part in COMMAND_LINES:
        timed(argv)
    whole = fault_kit.tree(folder / "stored")
    for faults in (FILES, MEASURES):
        for fault in faults.values():
            fault(folder / "stored")
            first = ["inspect", "stored"] if faults is FILES else ["resume", "stored", SCRIPT]
            timed(first)
            shutil.rmtree(folder / "stored")
            (folder / "stored/snapshots").mkdir(parents=True)
            for name, content in whole.items():
                (folder / "stored" / name).write_bytes(content)
    for call in CALLS:
        begin = time.perf_counter()
        with pytest.raises(wgf.InputError):
            call()
        slowest, count = max(slowest, time.perf_counter() - begin), count + 1
    assert slowest < 1
    figure(
        f"{count} bad inputs to the command line, files and Python: one sentence each, exit 2 or "
        f"InputError, nothing written, the slowest after {slowest:.2f} s"
    )
