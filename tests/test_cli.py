"""The command line: options from signatures, exit statuses, what is and is not written."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import wgf
from wgf.command import cli, runner
from wgf.record import progress, store

ROOT = pathlib.Path(__file__).resolve().parent.parent

SCRIPT = '''"""A tiny regression."""

import numpy as np
import wgf
import wgf.cli


def setup(
    *, cells=12, until=0.2, activation="tanh", l1=0.0, twice=False, mean=(0.3, 0.5), name=None
):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along both axes.
    """
    x = np.linspace(-1, 1, 5)
    F = wgf.Risk(wgf.Neurons(x, activation), wgf.Squared(x if name is None else 0 * x))
    if l1:
        F = F + wgf.L1(l1, axes="a")
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, cells), w=wgf.Axis(-2, 2, cells))
    start = wgf.Density.normal(mesh, mean=mean, std=0.5)
    methods = {"particles": wgf.RungeKutta()} if twice else None
    return {"flow": wgf.GradientFlow(F), "start": start, "until": until, "every": 0.1,
            "methods": methods, "report": lambda found: "sides " + " ".join(found)}


if __name__ == "__main__":
    wgf.cli.main(setup)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory beside which the script lies."""
    (tmp_path / "tiny.py").write_text(SCRIPT)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def wgf_run(*options, script="../tiny.py"):
    return cli.status(argv=["run", script, "--quiet", *options])


def error_line(capsys):
    """Return the one line of standard error without its head."""
    text = capsys.readouterr().err
    assert text.startswith("wgf: error: ") and text.count("\n") == 1 and text.endswith("\n")
    assert "Traceback" not in text
    return text[len("wgf: error: ") : -1]


def test_both_sides_end_with_report_comparison_and_figure(folder, capsys):
    assert wgf_run("--out", "out/a") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sides mesh particles"
    assert lines[-1] == os.path.join("out", "a", "comparison.png")
    assert (folder / lines[-1]).stat().st_size > 1000
    density, cloud = wgf.open_run("out/a/mesh"), wgf.open_run("out/a/particles")
    np.testing.assert_array_equal(density.times, [0, 0.1, 0.2])
    assert density.final.mesh.shape == (12, 12)
    assert len(cloud.final.points) == 144
    assert str(wgf.compare(density, cloud)) in "\n".join(lines)


def test_default_directory_is_named_after_the_script(folder, capsys):
    assert wgf_run("--method", "mesh", "--cells", "6", "--no-plot") == 0
    assert wgf.open_run("runs/tiny").final.mesh.shape == (6, 6)
    assert not list(folder.rglob("*.png"))


def test_options_reach_setup_and_methods(folder):
    assert wgf_run("--method", "particles", "--particles", "7", "--seed", "3", "--out", "p") == 0
    start = wgf.open_run("p").snapshots[0]
    mesh = wgf.Mesh(a=wgf.Axis(-2, 2, 12), w=wgf.Axis(-2, 2, 12))
    drawn = wgf.Density.normal(mesh, mean=(0.3, 0.5), std=0.5).sample(7, seed=3)
    np.testing.assert_array_equal(start.points, drawn.points)
    assert wgf_run("--method", "mesh", "--order", "1", "--mean", "0", "-0.5", "--out", "m") == 0
    run = wgf.open_run("m")
    assert "order=1" in run.problem["method"]
    assert run.snapshots[0].mean()[1] < -0.3


def test_script_and_command_are_the_same_code(folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options = ["--method", "mesh", "--cells", "8", "--quiet", "--no-plot", "--out", "script"]
    done = subprocess.run(
        [sys.executable, "../tiny.py", *options], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert wgf_run(*options[:-1], "command") == 0
    one, two = wgf.open_run("script"), wgf.open_run("command")
    np.testing.assert_array_equal(one.final.values, two.final.values)
    again = subprocess.run(
        [sys.executable, "../tiny.py", *options], capture_output=True, text=True, env=environment
    )
    assert again.returncode == 2
    assert again.stderr.startswith("wgf: error: out: script exists")


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ([], "command"),
        (["--frob"], "command"),
        (["fly"], "fly"),
        (["run"], "script"),
        (["run", "--quiet", "../tiny.py"], "--quiet"),
        (["run", "../none.py"], "../none.py"),
        (["run", "."], "solver script"),
        (["run", "../tiny.py", "--frob"], "--frob"),
        (["run", "../tiny.py", "--cells", "many"], "many"),
        (["run", "../tiny.py", "--cells", "0"], "cells: 0"),
        (["run", "../tiny.py", "--until", "nan"], "until: nan"),
        (["run", "../tiny.py", "--until", "-1"], "until: -1"),
        (["run", "../tiny.py", "--mean", "99", "99"], "no mass"),
        (["run", "../tiny.py", "--activation", "step"], "'step'"),
        (["run", "../tiny.py", "--particles", "-1"], "particles: -1"),
        (["run", "../tiny.py", "--seed", "-1", "--particles", "5"], "seed: -1"),
        (["run", "../tiny.py", "--l1", "0.1", "--twice"], "l1 is not smooth"),
        (["run", "../tiny.py", "--method", "magic"], "magic"),
        (["run", "../tiny.py", "--order", "3"], "3"),
        (["inspect", "../none"], "../none"),
        (["inspect", ".."], ".."),
        (["plot", "../none"], "../none"),
        (["compare", "../none", "../none"], "../none"),
    ],
    ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "",
)
def test_bad_input_is_one_line_and_writes_nothing(folder, capsys, argv, part):
    assert cli.status(argv=argv) == 2
    message = error_line(capsys)
    assert part in message
    assert ", " in message
    assert not list(folder.iterdir())


def test_an_existing_directory_is_only_replaced_when_asked(folder, capsys):
    assert wgf_run("--out", "out", "--method", "mesh", "--no-plot") == 0
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    capsys.readouterr()
    assert wgf_run("--out", "out", "--cells", "5") == 2
    assert "--overwrite" in error_line(capsys)
    assert wgf_run("--out", "out", "--cells", "0", "--overwrite", "--method", "mesh") == 2
    assert "cells: 0" in error_line(capsys)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    assert wgf_run("--out", "out", "--overwrite") == 2
    assert "both sides" in error_line(capsys)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
    options = ("--out", "out", "--method", "mesh", "--no-plot")
    assert wgf_run(*options, "--cells", "5", "--overwrite") == 0
    assert wgf.open_run("out").final.mesh.shape == (5, 5)


def test_both_sides_are_replaced_together(folder):
    assert wgf_run("--out", "out") == 0
    before = sorted(p.name for p in (folder / "out").iterdir())
    assert before == ["comparison.png", "mesh", "options.json", "particles"]
    assert wgf_run("--out", "out", "--cells", "5", "--overwrite") == 0
    assert sorted(p.name for p in (folder / "out").iterdir()) == before
    assert len(wgf.open_run("out/particles").final.points) == 25


def test_a_directory_with_other_files_is_never_replaced(folder, capsys):
    (folder / "thesis").mkdir()
    (folder / "thesis" / "chapter.tex").write_text("precious")
    assert wgf_run("--out", "thesis", "--overwrite") == 2
    assert "chapter.tex" in error_line(capsys)
    assert [p.name for p in folder.rglob("*")] == ["thesis", "chapter.tex"]
    assert wgf_run("--out", "thesis/chapter.tex") == 2


TROUBLE = '''"""Particles in a potential with trouble at 1."""

import signal

import numpy as np
import wgf


def slope(points):
    if points.max() > 1:
        {trouble}
    return -np.ones_like(points)


def setup(*, until=4.0):
    F = wgf.Potential(lambda points: -points[:, 0], slope)
    mesh = wgf.Mesh(x=wgf.Axis(0, 9, 9))
    start = wgf.Density.uniform(mesh, x=(0, 1))
    return {{"flow": wgf.GradientFlow(F), "start": start, "until": until, "every": 0.25}}
'''


@pytest.fixture
def trouble(folder):
    """Write a script that meets trouble at t = 0.5 and return its path."""

    def write(code):
        (folder.parent / "trouble.py").write_text(TROUBLE.format(trouble=code))
        return "../trouble.py"

    return write


def test_nan_during_a_run_names_time_step_and_last_snapshot(trouble, capsys):
    script = trouble("return np.nan * points")
    assert wgf_run("--method", "particles", "--out", "out", script=script) == 3
    message = error_line(capsys)
    assert "t=" in message and "dt=" in message and "step " in message
    last = sorted(pathlib.Path("out/snapshots").glob("*.h5"))[-1]
    assert str(last) in message
    run = wgf.open_run("out")
    assert 0 < run.times[-1] < 1
    assert run.status == "failed"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_ends_the_run_after_its_step(trouble, capsys, name, code):
    script = trouble(
        f"globals().setdefault('sent', signal.raise_signal(signal.{name})) if 'sent' not in "
        "globals() else None"
    )
    assert wgf_run("--out", "out", "--method", "particles", script=script) == code
    message = error_line(capsys)
    assert "stopped at t=" in message and "wgf resume" in message
    run = wgf.open_run("out")
    assert run.status == "stopped"
    assert f"t={run.times[-1]:g} " in message
    assert 0.5 < run.times[-1] < 4
    assert run.final.points.shape == (1, 1)


def test_trouble_in_the_users_own_code_shows_itself(trouble, capsys):
    script = trouble("raise ValueError('own trouble')")
    assert wgf_run("--method", "particles", "--out", "out", script=script) == 2
    assert "it raised ValueError (own trouble)" in error_line(capsys)


def test_a_file_that_cannot_be_read_is_one_line(folder, capsys):
    assert cli.status(argv=["run", str(ROOT / "solvers/ecg_2d.py"), "--data", "missing.csv"]) == 1
    assert "missing.csv" in error_line(capsys)


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ("x = 1", "setup()"),
        ("def setup(*, cells): return {}", "cells"),
        ("def setup(): return 3", "int"),
        ("def setup(): return {'flow': 1}", "start"),
        ("def setup(): return {'flow': 1, 'start': 1, 'until': 1, 'unitl': 2}", "unitl"),
    ],
)
def test_a_script_that_is_none_is_refused(folder, capsys, body, part):
    (folder.parent / "other.py").write_text(body)
    assert wgf_run(script="../other.py") == 2
    assert part in error_line(capsys)
    assert not list(folder.iterdir())


def test_inspect_compare_and_plot_read_stored_runs(folder, capsys):
    assert wgf_run("--out", "out", "--no-plot") == 0
    printed = capsys.readouterr().out
    assert cli.status(argv=["inspect", "out/mesh"]) == 0
    text = capsys.readouterr().out
    assert "3 snapshots from t=0 to 0.2" in text and "objective" in text and "risk" in text
    assert "  features    stored, " in text
    assert cli.status(argv=["compare", "out/mesh", "out/particles", "--plot", "c.png"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[-1] == "c.png"
    assert text[: text.rindex("\nwhole measures at t = 0.2: W1 0.")].strip() in printed
    # one directory that holds both sides is the two of them
    assert cli.status(argv=["compare", "out"]) == 0
    assert capsys.readouterr().out.strip() in text
    assert cli.status(argv=["compare", "out/mesh"]) == 2
    assert "give two runs" in error_line(capsys)
    assert cli.status(argv=["plot", "out/mesh"]) == 0
    assert cli.status(argv=["plot", "out/particles", "--out", "p.png"]) == 0
    assert capsys.readouterr().out.splitlines() == ["out/mesh/figure.png", "p.png"]
    for path in ("c.png", "p.png", "out/mesh/figure.png"):
        assert pathlib.Path(path).read_bytes()[:4] == b"\x89PNG"


def test_help_loads_nothing_heavy():
    code = (
        "import sys, wgf.cli\n"
        "try: wgf.cli.main(argv=['--help'])\n"
        "except SystemExit as left: assert left.code == 0\n"
        "heavy = {'numba', 'h5py', 'matplotlib', 'scipy', 'tqdm', 'mpi4py'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "inspect" in done.stdout


def test_script_help_gives_types_defaults_and_notes(folder, capsys):
    with pytest.raises(SystemExit) as left:
        cli.status(argv=["run", "../tiny.py", "--help"])
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "A tiny regression." in text
    assert "--cells int Cells along both axes. (default 12)" in text
    assert "--no-twice" in text


def test_a_setup_that_declares_a_runner_option_gets_its_value(folder):
    text = SCRIPT.replace("name=None", "name=None, seed=5").replace("mean=mean", "mean=0.1 * seed")
    (folder.parent / "seeded.py").write_text(text)
    means = []
    for out, options in (("a", ()), ("b", ("--seed", "1"))):
        assert wgf_run("--method", "mesh", "--out", out, *options, script="../seeded.py") == 0
        means.append(wgf.open_run(out).snapshots[0].mean()[0])
    assert means[0] > 0.4 and means[1] < 0.2


class _Terminal:
    def __init__(self, terminal):
        self.terminal = terminal
        self.text = ""

    def isatty(self):
        return self.terminal

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_is_a_line_a_twentieth_and_a_bar_on_a_terminal():
    for terminal in (False, True):
        stream = _Terminal(terminal)
        show = progress.reporter(2.0, "mesh", stream)
        for t in np.linspace(0, 2, 401):
            show({"t": t, "objective": 1 - t / 4, "dt": 0.005})
        show.close()
        assert "F=0.5, dt=0.005" in stream.text and "steps/s" in stream.text
        if not terminal:
            lines = stream.text.splitlines()
            # the start and then every 5 %
            assert len(lines) == 21
            assert lines[10].startswith("mesh: t=1 of 2") and " s left" in lines[10]


def test_signals_are_put_back_and_a_second_one_is_not_held():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with runner.Signals().watched() as signals:
        signal.raise_signal(signal.SIGTERM)
        assert signals.number == signal.SIGTERM
        with pytest.raises(runner.Stopped) as stopped:
            signal.raise_signal(signal.SIGINT)
        assert stopped.value.code == 130
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("method", ["mesh", "both"])
def test_resume_ends_like_a_run_that_was_not_stopped(folder, capsys, monkeypatch, method):
    options = ("--until", "0.5", "--l1", "0.01", "--no-plot", "--method", method)
    assert wgf_run("--out", "whole", *options) == 0

    class Broken(Exception):
        pass

    from wgf.record.store import Writer

    write, left = Writer.write, 3

    def break_off(self, *arguments):
        nonlocal left
        left -= 1
        if left < 0:
            raise Broken
        write(self, *arguments)

    monkeypatch.setattr(Writer, "write", break_off)
    with pytest.raises(Broken):
        wgf_run("--out", "broken", *options)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert cli.status(argv=["resume", "broken", "../tiny.py", "--quiet"]) == 0
    for side in ("mesh", "particles") if method == "both" else (".",):
        whole, again = (wgf.open_run(pathlib.Path(d) / side) for d in ("whole", "broken"))
        assert np.array_equal(whole.times, again.times)
        assert np.array_equal(whole.final.points, again.final.points)
        assert np.array_equal(whole.final.weights, again.final.weights)
    capsys.readouterr()


def test_resume_asks_for_what_it_needs(folder, capsys):
    assert cli.status(argv=["resume", "nowhere", "../tiny.py"]) == 2
    assert "nowhere: holds no options.json" in capsys.readouterr().err
    assert wgf_run("--out", "run", "--method", "mesh", "--no-plot") == 0
    (folder / "run" / "options.json").write_text("{")
    assert cli.status(argv=["resume", "run", "../tiny.py"]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_resume_tells_what_differs(folder, capsys, monkeypatch):
    assert wgf_run("--out", "run", "--method", "mesh", "--no-plot") == 0
    capsys.readouterr()
    assert cli.status(argv=["resume", "run", "../tiny.py", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    script = folder.parent / "tiny.py"
    script.write_text(script.read_text() + "# a remark\n")
    made = store.provenance
    monkeypatch.setattr(store, "provenance", lambda: {**made(), "numpy": "0.1"})
    assert cli.status(argv=["resume", "run", "../tiny.py", "--quiet"]) == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first == "note: the script has changed since the run began"
    assert second.startswith("note: numpy was ") and second.endswith(", now it is 0.1")


def test_verify_and_pack(folder, capsys):
    assert wgf_run("--out", "run", "--method", "mesh", "--no-plot") == 0
    assert cli.status(argv=["verify", "run"]) == 0
    assert cli.status(argv=["pack", "run", "-o", "one.h5"]) == 0
    assert (folder / "one.h5").stat().st_size > 1000
    assert cli.status(argv=["pack", "run", "-o", "one.h5"]) == 2
    file = folder / "run" / "snapshots" / "000001.h5"
    file.write_bytes(file.read_bytes()[:-1])
    capsys.readouterr()
    assert cli.status(argv=["verify", "run"]) == 2
    assert "000001.h5" in capsys.readouterr().err


def test_dry_run_tells_sizes_and_writes_nothing(folder, capsys):
    assert wgf_run("--dry-run", "--cells", "20", "--particles", "30", "--out", "dry") == 0
    text = capsys.readouterr().out
    assert "20 x 20 = 400 cells" in text and "30 particles in dimension 2" in text
    assert "3 snapshots" in text and "memory:" in text
    assert "  features   stored, " in text
    found = [line.split() for line in text.splitlines() if line.startswith("  steps")]
    steps = [int(words[2].rstrip(",")) for words in found]
    assert not list(folder.iterdir())
    assert wgf_run("--cells", "20", "--particles", "30", "--out", "wet", "--no-plot") == 0
    for side, guess in zip(("mesh", "particles"), steps):
        taken = len(wgf.open_run(f"wet/{side}").diagnostics["t"]) - 1
        # runs this short are tried to their end, after one step more
        assert abs(guess - taken) <= 1


def test_new_script_runs_and_is_never_overwritten(folder, capsys):
    assert cli.status(argv=["new", "mine"]) == 0
    assert capsys.readouterr().out.startswith("mine.py:")
    assert wgf_run("--cells", "12", "--until", "0.5", "--out", "m", script="mine.py") == 0
    assert "largest error" in capsys.readouterr().out
    (folder / "mine.py").write_text("mine")
    for name, part in (("mine.py", "exists"), ("a-b", "no name"), ("none/x", "no folder")):
        assert cli.status(argv=["new", name]) == 2
        assert part in error_line(capsys)
    assert (folder / "mine.py").read_text() == "mine"


def test_many_runs_are_a_study_with_data_and_figure(folder, capsys):
    for cells in ("8", "12", "16"):
        assert wgf_run("--method", "mesh", "--cells", cells, "--no-plot", "--out", cells) == 0
    capsys.readouterr()
    options = ["--data", "study.h5", "--plot", "study.png"]
    assert cli.status(argv=["compare", "16", "8", "12", *options]) == 0
    text = capsys.readouterr().out
    assert text.startswith("against 16 (16 x 16 cells)") and "slope of" in text
    assert (folder / "study.h5").stat().st_size > 1000
    assert (folder / "study.png").stat().st_size > 10_000
    assert cli.status(argv=["compare", "16", "8", "--data", "two.csv"]) == 0
    assert (folder / "two.csv").read_text().startswith("t,objective_a")
    capsys.readouterr()
    assert cli.status(argv=["compare", "16", "8", "--data", "two.txt"]) == 2
    assert "neither .csv nor .h5" in error_line(capsys)


def test_sheets_with_level_lines_and_films(folder, capsys):
    assert wgf_run("--cells", "14", "--mean", "0.1", "0.2", "--no-plot", "--out", "o") == 0
    options = ["--script", "../tiny.py", "--data", "sheet.csv"]
    assert cli.status(argv=["plot", "o/mesh", *options]) == 0
    assert "level lines of F'" in (folder / "sheet.csv").read_text()
    assert (folder / "o" / "mesh" / "figure.png").stat().st_size > 10_000
    assert cli.status(argv=["movie", "o/particles", "film.gif", "--rate", "2"]) == 0
    assert (folder / "film.gif").read_bytes()[:3] == b"GIF"
    capsys.readouterr()
    assert cli.status(argv=["movie", "o/particles", "film.mov"]) == 2
    assert "neither .gif nor .mp4" in error_line(capsys)


def test_profile_tells_shares_and_changes_nothing(folder, capsys):
    assert wgf_run("--profile", "--out", "a", "--no-plot") == 0
    text = capsys.readouterr().out
    assert wgf_run("--out", "b", "--no-plot") == 0
    for side in ("mesh", "particles"):
        one, two = wgf.open_run(f"a/{side}"), wgf.open_run(f"b/{side}")
        assert one.problem == two.problem
        np.testing.assert_array_equal(one.final.points, two.final.points)
        np.testing.assert_array_equal(one.final.weights, two.final.weights)
        part = text[text.index(f"{side}: time") :].splitlines()[1:6]
        steps = len(one.diagnostics["t"]) - 1
        assert part[2].split()[:2] == [str(steps), "steps"]
        shares = [float(re.search(r"([\d.]+)%", line)[1]) for line in part]
        # each is rounded to a tenth of a per cent
        assert abs(sum(shares) - 100) <= 0.5
        # and the run holds it, which inspecting it tells
        held = one.provenance["seconds"]
        assert held["steps"] == steps and 0 < held["step"] < held["total"]
        assert cli.status(argv=["inspect", f"a/{side}"]) == 0
        assert f"{steps} steps" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, offered, not_offered",
    [
        ("wgf mo", {"movie"}, {"plot"}),
        ("wgf compare --", {"--plot", "--data"}, {"--rate"}),
        ("wgf run my_problem.py --", {"--decay", "--dry-run", "--method"}, {"--rate"}),
        ("wgf run my_problem.py --method ", {"mesh", "particles", "both"}, set()),
    ],
)
def test_the_shell_is_told_what_may_follow(folder, line, offered, not_offered):
    pytest.importorskip("argcomplete")
    assert cli.status(argv=["new", "my_problem"]) == 0
    settings = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line))}
    settings |= {"_ARGCOMPLETE_STDOUT_FILENAME": "offered", "_ARGCOMPLETE_IFS": "\n"}
    root = str(pathlib.Path(wgf.__file__).parent.parent)
    settings |= {"PYTHONPATH": root}
    subprocess.run([sys.executable, "-m", "wgf"], env=os.environ | settings, check=True)
    words = {word.strip() for word in pathlib.Path("offered").read_text().split("\n")}
    assert offered <= words and not words & not_offered
