"""Error bars of a run: they cover the true errors in problems with exact solutions."""

import json
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wgf
from wgf.command import cli
from wgf.comparison.richardson import richardson, student

SCRIPT = '''"""Problems with exact solutions."""
import numpy as np
import wgf

def setup(*, problem="well", cells=64, until=0.5, atoms=0, accuracy=2, step=0.0):
    """Return one of them.

    Parameters
    ----------
    problem : str
        well, heat or neuron
    """
    mesh = wgf.Mesh(x=wgf.Axis(-6, 6, cells))
    start = wgf.Density.normal(mesh, 0.5, 0.6)
    F = {
        "well": lambda: wgf.Ridge(1.0),
        "heat": lambda: wgf.Ridge(1.0) + wgf.Entropy(0.5),
        # phi = u^2, R = (s - 1)^2
        "neuron": lambda: wgf.Risk(
            wgf.Features(lambda u: u**2, lambda u: 2 * u[:, :, None]), wgf.Squared([1.0], [2.0])
        ),
    }[problem]()
    method = wgf.FiniteVolume(accuracy) if step == 0 else wgf.ImplicitFiniteVolume(step, growth=1)
    found = {"flow": wgf.GradientFlow(F), "start": start, "until": until,
             "methods": {"mesh": method},
             "observe": {"fourth": lambda m, t: sum(w @ p[:, 0] ** 4 for p, w in m.blocks())}}
    return found | ({"particles": atoms} if atoms else {})
'''


def exact(problem, t):
    """Return F, mean, variance and fourth moment of the exact solution from N(.5, .6²)."""
    m, v = 0.5, 0.36
    if problem == "neuron":
        first = m**2 + v
        second = 1 / (1 + (1 / first - 1) * np.exp(-8 * t))
        scale = np.sqrt(second / first)
        m, v = scale * m, scale**2 * v
        F = (second - 1) ** 2
    else:
        noise = 0.5 if problem == "heat" else 0.0
        m, v = m * np.exp(-t), noise + (v - noise) * np.exp(-2 * t)
        F = 0.5 * (m**2 + v)
        if noise:
            F -= noise * 0.5 * np.log(2 * np.pi * np.e * v)
    fourth = m**4 + 6 * m**2 * v + 3 * v**2
    return {"F": F, "mean_x": m, "variance_x": v, "fourth": fourth}


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "exact.py"
    path.write_text(SCRIPT)
    return path


def rows(found):
    table = found.table
    return [{n: table[n][i] for n in table} for i in range(table.length)]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        ("well", ["--method", "both"]),
        ("well", ["--method", "mesh", "--accuracy", "1"]),
        ("well", ["--method", "mesh", "--step", "0.02"]),
        ("heat", ["--method", "mesh"]),
        ("heat", ["--method", "mesh", "--step", "0.02"]),
        ("neuron", ["--method", "both"]),
    ],
)
def test_error_bars_cover_the_true_errors_of_a_mesh(script, problem, words):
    argv = ["run", "exact.py", "--problem", problem, *words, "--out", "run", "--quiet", "--no-plot"]
    assert cli.status(argv=argv) == 0
    found, truth = wgf.refine("run"), exact(problem, 0.5)
    for row in rows(found):
        assert abs(row["value"] - truth[row["quantity"]]) <= row["error"], row
        # and they say something, also at order 1 on these coarse meshes
        assert row["error"] < 0.5 * abs(row["value"]) + 0.02, row
    assert "Richardson" in str(found) and "time:" in str(found)


def test_two_orders_are_seen(script):
    assert cli.status(argv="run exact.py --method mesh --out run --quiet --no-plot".split()) == 0
    variance = next(row for row in rows(wgf.refine("run")) if row["quantity"] == "variance_x")
    # the scheme is of order 2 with a limiter
    assert 1.5 < variance["order"] < 2.5
    assert abs(variance["limit"] - exact("well", 0.5)["variance_x"]) < variance["space"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_error_bars_cover_the_sampling_errors_of_particles(script, seed):
    argv = ["run", "exact.py", "--problem", "neuron", "--method", "particles", "--atoms", "400"]
    argv += ["--seed", str(seed), "--out", "run", "--quiet", "--no-plot"]
    assert cli.status(argv=argv) == 0
    found, truth = wgf.refine("run"), exact("neuron", 0.5)
    for row in rows(found):
        assert row["sampling"] > 0
        assert abs(row["value"] - truth[row["quantity"]]) <= row["error"], row


@given(
    st.floats(0.95, 2.0), st.floats(-3, 3), st.floats(-1, 1).filter(lambda c: abs(c) > 1e-3),
    st.floats(1.5, 3.0), st.floats(1.5, 3.0),
)  # fmt: skip
def test_richardson_is_exact_for_one_power(order, limit, constant, first, second):
    widths = [0.1, 0.1 * first, 0.1 * first * second]
    values = [limit + constant * h**order for h in widths]
    found = richardson(values, widths)
    error = abs(constant) * 0.1**order
    assert found.order == pytest.approx(order, rel=1e-4)
    assert found.limit == pytest.approx(limit, abs=1e-3 * error + 1e-12)
    assert found.error == pytest.approx(1.25 * error, rel=1e-3)


def test_values_without_an_order_have_a_careful_bar():
    assert richardson([1.0, 1.1, 1.05], [1, 2, 4]).error == pytest.approx(0.3)
    assert richardson([1.0, 1.0, 1.0], [1, 2, 4]).error < 1e-12
    assert richardson([1.0, 1.1], [1, 2]).error == pytest.approx(0.3)
    with pytest.raises(wgf.InputError, match="do not grow"):
        richardson([1.0, 1.1], [2, 1])
    # Student's quantile of one degree of freedom is 12.7062047364
    assert student([1.0, 3.0], 0.5) == pytest.approx(0.5 * 12.7062047364 * np.sqrt(2.0))


def test_bad_input_is_one_sentence(script, capsys):
    assert cli.status(argv="run exact.py --method mesh --out run --quiet --no-plot".split()) == 0
    wgf.refine("run", meshes=1)
    capsys.readouterr()
    # the same again reads what is there; a name that is no number of cells is refused
    before = {p: p.stat().st_mtime_ns for p in pathlib.Path("run_refined").glob("*/snapshots/*")}
    assert cli.status(argv=["refine", "run", "--meshes", "1", "--quiet", "--data", "t.csv"]) == 0
    assert "variance_x" in capsys.readouterr().out and pathlib.Path("t.csv").is_file()
    assert all(path.stat().st_mtime_ns == when for path, when in before.items()) and before
    for words, told in (
        (["run", "--by", "until"], "by: the script has no whole number 'until', name the one"),
        (["none"], "script: none does not say where"),
        (["run", "--out", "run"], "holds something else than this refinement"),
    ):
        assert cli.status(argv=["refine", *words]) == 2
        error = capsys.readouterr().err
        assert told in error.replace(str(pathlib.Path.cwd()) + "/", "") and error.count("\n") == 1
    script.write_text(SCRIPT + "\n# changed\n")
    assert cli.status(argv=["refine", "run", "--script", "exact.py"]) == 2
    assert "it has changed since it began" in capsys.readouterr().err
    assert cli.status(argv=["refine", "run"]) == 2
    assert "give its path" in capsys.readouterr().err
    note = json.loads(pathlib.Path("run/options.json").read_text())
    assert note["path"] == str(script)
