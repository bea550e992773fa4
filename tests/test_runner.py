"""What a script may ask of the runner: stops, rest, other times and starts; what is built when."""

import json
import os
import pathlib
import sys

import numpy as np
import pytest

import wgf
from wgf.command import cli, origin, runner
from wgf.record import progress

SCRIPT = '''"""A ridge on a line, and on a mesh that may be another."""

import numpy as np

import wgf

built = []


def unit(w):
    built.append(len(w))
    return np.sin(w * np.linspace(-1, 1, 5))


def setup(*, cells=32, until=0.2, width=3.0, {more}):
    """Return what to run."""
    {code}
    mesh = wgf.Mesh(x=wgf.Axis(-width, width, cells))
    V = wgf.Potential(lambda q: 1 + 0.5 * q[:, 0] ** 2, lambda q: q)
    found = {{"flow": wgf.GradientFlow(V), "start": wgf.Density.normal(mesh, 0.5, 0.3)}}
    return found | {{"until": until, "every": until / 4}} | {{{entries}}}
'''


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Write a script into an empty working directory and return a function that runs it."""
    monkeypatch.chdir(tmp_path)

    def write(entries="", more="p=1.0", code="pass"):
        text = SCRIPT.format(entries=entries, more=more, code=code)
        (tmp_path / "ridge.py").write_text(text)

        def run(*words, out="out"):
            return cli.status(
                argv=["run", "ridge.py", "--quiet", "--no-plot", "--out", out, *words]
            )

        return run

    return write


def error_line(capsys):
    text = capsys.readouterr().err
    assert text.startswith("wgf: error: ") and text.count("\n") == 1
    return text


def test_a_script_may_say_when_to_stop(script, capsys):
    run = script('"stop": lambda row: row["t"] > 0.1')
    assert run() == 0
    for side in ("mesh", "particles"):
        found = wgf.open_run(f"out/{side}")
        assert found.status == "stopped" and 0.1 < found.times[-1] < 0.2
        assert np.all(found.diagnostics["t"][:-1] <= 0.1)
    assert run("--dry-run") == 0
    assert "until t = 0.2, or until it stops, 5 snapshots" in capsys.readouterr().out
    assert script('"stop": 3')(out="other") == 2
    assert "stop: 3" in error_line(capsys)
    assert not pathlib.Path("other").exists()


def test_a_script_may_stop_on_a_certificate(script, capsys):
    # a potential has no certificate: refused before anything is written
    assert script('"stop": wgf.certified(1e-3)')() == 2
    assert "certificate" in error_line(capsys)
    assert not pathlib.Path("out").exists()


def test_a_run_ends_at_rest(script, capsys):
    words = ("--until", "stationary", "--tolerance", "1e-3", "--method", "particles")
    assert script()(*words) == 0
    found = wgf.open_run("out")
    assert len(found.times) == 2 and found.status == "done"
    dissipation, objective = found.diagnostics["dissipation"], found.diagnostics["objective"]
    assert dissipation[-1] <= 1e-3 * objective[-1] < dissipation[-2]
    stored = json.loads(pathlib.Path("out/options.json").read_text())
    assert stored["settings"]["until"] == "stationary" and stored["values"]["until"] == 0.2
    capsys.readouterr()
    assert script()("--dry-run", *words) == 0
    assert "until it stops" in capsys.readouterr().out


def test_rest_may_stand_in_the_script(script, capsys):
    entries = '"until": "stationary", "every": None, "tolerance": p'
    run = script(entries, more="p=1e-2")
    assert run("--method", "particles") == 0
    one = wgf.open_run("out")
    assert run("--method", "particles", "--tolerance", "1e-4", out="more") == 0
    assert wgf.open_run("more").times[-1] > one.times[-1]
    assert run("--log", "0.1", "0.2", "3", out="none") == 2
    assert "'stationary' does not go with" in error_line(capsys)


def test_an_end_at_rest_survives_an_interruption(script, monkeypatch):
    words = ("--until", "stationary", "--tolerance", "1e-3", "--method", "particles")
    assert script()(*words, out="whole") == 0
    entries = '"stop": lambda row: row["t"] > 0.3 and "late" not in sys.modules'
    run = script(entries, code="import sys")
    assert run(*words) == 0
    assert wgf.open_run("out").status == "stopped"
    monkeypatch.setitem(sys.modules, "late", sys)
    assert cli.status(argv=["resume", "out", "ridge.py", "--quiet"]) == 0
    whole, again = wgf.open_run("whole"), wgf.open_run("out")
    np.testing.assert_array_equal(again.final.points, whole.final.points)


@pytest.mark.parametrize("terminal", [False, True])
def test_progress_without_an_end_still_tells_time_and_objective(terminal):
    class Stream:
        text = ""

        def isatty(self):
            return terminal

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    stream = Stream()
    show = progress.reporter("stationary", "mesh", stream)
    for t in range(100):
        show({"t": float(t), "objective": 0.5, "dt": 1.0})
    show.close()
    assert "until it stops" in stream.text and "F=0.5" in stream.text
    if not terminal:
        # the start and steps 1, 2, 4, …, 64
        times = [line.split()[1] for line in stream.text.splitlines()]
        assert times == [f"t={t}" for t in (0, 1, 2, 4, 8, 16, 32, 64)]


def test_a_profile_counts_activities():
    profile = progress.Profile()
    for activity in ("prepare", "step", "store", "step", "step", "store"):
        with profile(activity):
            pass
    with pytest.raises(ValueError), profile("step"):
        raise ValueError
    lines = str(profile).splitlines()
    assert [line.split()[0] for line in lines] == ["compile", "prepare", "4", "store,", "rest"]
    assert profile.count == 4


def test_times_may_be_spaced_in_their_logarithm(script, capsys):
    run = script()
    assert run("--log", "1e-3", "0.1", "5", "--method", "mesh") == 0
    expected = [0, *np.geomspace(1e-3, 0.1, 5), 0.2]
    np.testing.assert_array_equal(wgf.open_run("out").times, expected)
    for words, part in (
        (["0", "1", "3"], "log: 0"),
        (["1", "0.5", "3"], "log: 0.5"),
        (["1", "2", "1"], "log: 1"),
        (["0.1", "9", "4"], "at: 9"),
        (["0.1", "0.2", "2.5"], "2.5"),
    ):
        assert run("--log", *words, out="none") == 2
        assert part in error_line(capsys)


def test_a_run_starts_from_a_stored_state(script, capsys, tmp_path, monkeypatch):
    run = script()
    assert run("--particles", "40") == 0
    assert run("--from", "out:0.1", out="again") == 0
    for side in ("mesh", "particles"):
        old, new = wgf.open_run(f"out/{side}"), wgf.open_run(f"again/{side}")
        np.testing.assert_array_equal(new.snapshots[0].points, old.snapshots[2].points)
        np.testing.assert_array_equal(new.snapshots[0].weights, old.snapshots[2].weights)
    # a single side, the last state, another mesh, and particles drawn from the density
    words = ("--from", "out/mesh", "--cells", "48", "--width", "4", "--particles", "7")
    assert run(*words, out="finer") == 0
    old, new = wgf.open_run("out/mesh").final, wgf.open_run("finer/mesh").snapshots[0]
    assert new.mesh.shape == (48,) and new.mass == pytest.approx(old.mass, rel=1e-14)
    # mass is spread evenly over a cell: the mean is right to second order
    np.testing.assert_allclose(new.mean(), old.mean(), atol=new.mesh.spacing[0] ** 2)
    assert wgf.open_run("finer/particles").snapshots[0].size == 7
    # resumed from another folder, the start is read again
    (tmp_path / "else").mkdir()
    monkeypatch.chdir(tmp_path / "else")
    assert cli.status(argv=["resume", "../finer", "../ridge.py", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--from", "nowhere"], "nowhere"),
        (["--from", "stored/mesh:soon"], "'soon' is not a time"),
        (["--from", "stored/mesh:0.12"], "the nearest is at t=0.1"),
        (["--from", "stored/particles"], "--method particles"),
        (["--from", "stored/mesh", "--width", "0.5"], "lies beyond the mesh"),
    ],
)
def test_a_start_that_is_not_there_is_refused(script, capsys, words, part):
    run = script()
    assert run(out="stored") == 0
    capsys.readouterr()
    assert run(*words) == 2
    assert part in error_line(capsys)
    assert not pathlib.Path("out").exists()


def test_a_density_is_carried_to_another_mesh_with_its_mass_over_every_cell():
    old = wgf.Mesh(x=wgf.Axis(0, 1, 6), y=wgf.Axis(-1, 1, 4))
    density = wgf.Density(old, np.random.default_rng(3).random((6, 4)))
    finer = origin.carried(density, wgf.Mesh(x=wgf.Axis(0, 1, 12), y=wgf.Axis(-1, 1, 12)))
    np.testing.assert_allclose(finer.values[::2, ::3], density.values, rtol=1e-14)
    # and back; cells that do not fit take what lies over them
    np.testing.assert_allclose(origin.carried(finer, old).values, density.values, rtol=1e-13)
    other = origin.carried(density, wgf.Mesh(x=wgf.Axis(-0.5, 1.5, 5), y=wgf.Axis(-1, 1, 2)))
    assert other.mass == pytest.approx(density.mass, rel=1e-14)
    with pytest.raises(wgf.InputError, match="do not fit the axes u"):
        origin.carried(density, wgf.Mesh(u=wgf.Axis(0, 1, 3)))


def test_each_side_is_built_once(script, tmp_path):
    entries = '"flow": wgf.GradientFlow(wgf.Risk(wgf.Features(unit), wgf.Squared(np.zeros(5))))'
    run = script(entries)
    assert run("--method", "mesh") == 0
    calls = len(sys.modules["ridge"].built)
    # as many calls as of one stored solve in Python
    module = sys.modules["ridge"]
    system = runner.build(module.setup, {})
    module.built.clear()
    save = tmp_path / "solved"
    wgf.solve(system.flow, system.start, system.until, every=system.every, save=save)
    assert calls == len(module.built)


def test_both_sides_are_replaced_before_the_first_one_goes_on(script, capsys):
    run = script('"stop": lambda row: p > 1 and 1 / 0')
    assert run() == 0
    with pytest.raises(ZeroDivisionError):
        run("--p", "2.0", "--overwrite")
    assert json.loads(pathlib.Path("out/options.json").read_text())["values"]["p"] == 2.0
    assert len(wgf.open_run("out/mesh").times) == 1
    with pytest.raises(wgf.InputError, match="no snapshot yet"):
        wgf.open_run("out/particles")
    assert cli.status(argv=["compare", "out"]) == 2


def test_a_script_may_change_the_working_directory(script, tmp_path):
    (tmp_path / "else").mkdir()
    run = script(code=f"import os; os.chdir({str(tmp_path / 'else')!r})")
    assert run() == 0
    os.chdir(tmp_path)
    assert (tmp_path / "out/options.json").is_file() and not list((tmp_path / "else").iterdir())
    assert len(wgf.open_run("out/particles").times) == 5
