"""The driver: output times, stopping, storing, and continuing as if never interrupted."""

import numpy as np
import pytest

import wgf
from wgf.stepping.times import output_times


def problem(kind):
    x = np.linspace(-1, 1, 8)
    risk = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x)))
    mesh = wgf.Mesh(a=wgf.Axis(-3, 3, 14), w=wgf.Axis(-3, 3, 16))
    start = wgf.Density.normal(mesh, (0.3, 0.5), 0.5)
    if kind in ("growth", "conic"):
        signs = wgf.Mesh(a=wgf.Axis(-2, 2, 2), w=mesh.axes[1])
        begin = wgf.Density.uniform(signs, w=(-2, 1))
        begin = begin if kind == "growth" else begin.sample(20, seed=1)
        return wgf.FisherRao(risk + wgf.L1(1e-2, "a"), transport=0.1), begin, None
    if kind.startswith("mesh"):
        return wgf.GradientFlow(risk + wgf.L1(1e-2, "a")), start, wgf.FiniteVolume(int(kind[-1]))
    if kind == "smooth":
        return wgf.GradientFlow(risk + wgf.Ridge(1e-2)), start.sample(30, seed=1), None
    return wgf.GradientFlow(risk + wgf.L1(1e-2, "a")), start.sample(30, seed=1), None


KINDS = ["mesh1", "mesh2", "smooth", "nonsmooth", "growth", "conic"]


def same(a, b):
    assert np.array_equal(a.times, b.times)
    assert set(a.diagnostics) == set(b.diagnostics)
    for name in a.diagnostics:
        assert np.array_equal(a.diagnostics[name], b.diagnostics[name]), name
    assert np.array_equal(a.outputs, b.outputs)
    for one, two in zip(a.snapshots, b.snapshots):
        assert np.array_equal(one.points, two.points)
        assert np.array_equal(one.weights, two.weights)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [0, 2, 6])
def test_resuming_equals_never_stopping(tmp_path, kind, steps):
    """Break off after some steps, continue from the last snapshot: equal to the bit."""
    flow, start, method = problem(kind)
    options = {"until": 2.0, "every": 0.3, "method": method}
    whole = wgf.solve(flow, start, **options)
    left = steps

    def count(row):
        nonlocal left
        if left == 0:
            raise Interrupted
        left -= 1

    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        wgf.solve(flow, start, save=path, progress=count, **options)
    again = wgf.solve(flow, start, save=path, resume=True, **options)
    same(whole, again)
    same(whole, wgf.open_run(path))
    assert again.status == "done"


def test_resume_refuses_another_problem(tmp_path):
    flow, start, method = problem("mesh2")
    path = tmp_path / "run"
    wgf.solve(flow, start, until=0.2, save=path, method=method)
    other = wgf.GradientFlow(flow.functional, frozen=("w",))
    with pytest.raises(wgf.InputError, match="the flow of the stored run was"):
        wgf.solve(other, start, until=0.4, save=path, method=method, resume=True)
    with pytest.raises(wgf.InputError, match="directory of the run"):
        wgf.solve(flow, start, until=0.4, resume=True)
    # nothing was lost, and a longer run may go on
    longer = wgf.solve(flow, start, until=0.4, save=path, method=method, resume=True)
    assert np.array_equal(longer.times, [0.0, 0.2, 0.4])


def test_output_times():
    assert np.array_equal(output_times(1.0, every=0.25), [0, 0.25, 0.5, 0.75, 1.0])
    assert np.array_equal(output_times(1.0, every=0.4), [0, 0.4, 0.8, 1.0])
    assert np.array_equal(output_times(2.0, at=[1.5, 0.5, 2.0]), [0, 0.5, 1.5, 2.0])
    assert np.array_equal(output_times(3.0), [0, 3.0])
    assert len(output_times(0.3, every=0.1)) == 4


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"until": 0}, "until: 0"),
        ({"until": float("nan")}, "until: nan"),
        ({"until": "long"}, "'long' is not a number"),
        ({"until": 1, "every": -1}, "every: -1"),
        ({"until": 1, "every": 0.1, "at": [1]}, "both given"),
        ({"until": 1, "at": [2.0]}, "at: 2 lies outside"),
        ({"until": 1, "every": 1e-9}, "asks for"),
        ({"until": 1, "method": "euler"}, "'euler' is not a method"),
        ({"until": 1, "stop": 3}, "stop: 3"),
        ({"until": 1, "progress": "yes"}, "progress: 'yes'"),
    ],
)
def test_bad_arguments(tmp_path, arguments, message):
    flow, start, _ = problem("mesh2")
    with pytest.raises(wgf.InputError, match=message):
        wgf.solve(flow, start, save=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()


def test_stop_ends_with_a_snapshot():
    flow, start, method = problem("mesh2")
    run = wgf.solve(flow, start, until=50.0, method=method, stop=lambda row: row["t"] > 0.5)
    assert run.status == "stopped" and 0.5 < run.times[-1] < 50
    assert run.times[-1] == run.diagnostics["t"][-1]


def test_the_start_is_never_changed():
    for kind in KINDS:
        flow, start, method = problem(kind)
        before = start.points.copy(), start.weights.copy()
        wgf.solve(flow, start, until=0.5, method=method)
        assert np.array_equal(start.points, before[0])
        assert np.array_equal(start.weights, before[1])


def test_default_methods():
    from wgf.driver import default_method

    names = ("FiniteVolume", "RungeKutta", "ForwardBackward", "GrowthSplitting", "Conic")
    for kind, name in zip(KINDS[1:], names):
        flow, start, _ = problem(kind)
        assert type(default_method(flow, start)).__name__ == name


def test_a_warning_names_the_line_that_called_solve():
    line = wgf.Mesh(x=wgf.Axis(-2, 2, 40))
    hill = wgf.GradientFlow(wgf.Potential(lambda points: -(points[:, 0] ** 2)))
    with pytest.warns(wgf.BoxWarning) as found:
        wgf.solve(hill, wgf.Density.normal(line, 0.5, 0.2), until=2.0)
    assert [warning.filename for warning in found] == [__file__]


@pytest.mark.parametrize("kind", ["mesh2", "smooth"])
def test_an_interrupt_is_raised_again_with_what_there_is(tmp_path, kind):
    """As by Ctrl-C in a notebook; the stored run is one that was stopped, and goes on."""
    flow, start, method = problem(kind)
    options = {"until": 2.0, "every": 0.3, "method": method}
    whole = wgf.solve(flow, start, **options)

    def interrupt(row):
        if row["t"] > 1.0:
            raise KeyboardInterrupt

    for save in (None, tmp_path / "run"):
        with pytest.raises(KeyboardInterrupt) as caught:
            wgf.solve(flow, start, save=save, progress=interrupt, **options)
        partial = caught.value.solution
        assert partial.status == "stopped"
        assert np.array_equal(partial.times, whole.times[:4]) and len(partial.snapshots) == 4
        assert np.array_equal(partial.final.points, whole.snapshots[3].points)
        # the rows go on to the last step that was done
        assert 1.0 < partial.diagnostics["t"][-1] < 2.0
    run = wgf.open_run(tmp_path / "run")
    assert run.status == "stopped" and np.array_equal(run.times, partial.times)
    same(wgf.solve(flow, start, save=tmp_path / "run", resume=True, **options), whole)


def test_an_error_leaves_a_run_that_failed(tmp_path):
    flow, start, _method = problem("smooth")

    def fail(row):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        wgf.solve(flow, start, 1.0, save=tmp_path / "run", progress=fail)
    assert not hasattr(caught.value, "solution")


def test_the_residual_tends_to_0_with_the_step_or_is_not_there():
    flow = wgf.GradientFlow(wgf.Ridge(1.0) + wgf.Entropy(0.1))

    def share(start, method, flow=flow):
        found = wgf.solve(flow, start, 0.5, method=method).diagnostics
        fall = found["objective"][0] - found["objective"][-1]
        return abs(found["residual"][-1]) / fall

    shares = []
    for cells in (50, 100, 200):
        start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-4, 4, cells)), 1.0, 0.4)
        shares.append(share(start, wgf.ImplicitFiniteVolume(1 / cells, growth=1)))
    # first order in the step
    assert shares[1] < 0.6 * shares[0] and shares[2] < 0.6 * shares[1] < 0.05
    cloud = start.sample(200, seed=0)
    run = wgf.solve(flow, cloud, 0.1, method=wgf.Langevin(0.01))
    assert "residual" not in run.diagnostics and "dissipation" in run.diagnostics
    # without noise it is there, of the order of the quadrature of the dissipation in time
    assert share(cloud, wgf.RungeKutta(), wgf.GradientFlow(wgf.Ridge(1.0))) < 1e-2
