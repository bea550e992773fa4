"""The heavy ball on both sides: agreement, comparison, figures, bad input."""

import pathlib

import numpy as np
import pytest
from momentum import orders, square_neuron
from test_solvers import last, objective_gap, solve

import wgf
from wgf import plot
from wgf.command import cli
from wgf.plot.style import planes

LINE = wgf.Mesh(u=wgf.Axis(-6, 6, 64))


def tanh_flow(friction=0.5, temperature=0.0):
    x = np.linspace(-1, 1, 12)
    features = wgf.Features(lambda u: np.tanh(u * x))
    F = wgf.Risk(features, wgf.Squared(0.5 * np.sin(3 * x))) + wgf.Ridge(0.5)
    return wgf.HeavyBall(F, friction, temperature)


def start(cells):
    mesh = wgf.phase_space(wgf.Mesh(u=wgf.Axis(-5, 5, cells)), 5.0, cells)
    return wgf.Density.normal(mesh, (1.0, 0.3), (0.5, 0.5))


def w1(run, reference):
    """Return W1 of the marginals of position and velocity."""
    table = wgf.compare(run, reference).table
    return max(table["w1_u"][-1], table["w1_v_u"][-1])


@pytest.mark.filterwarnings("ignore:box")
def test_mesh_converges_to_the_particles(figure):
    """Noiseless: a particle a cell of a fine start is the reference, and the mesh has order 2."""
    flow = tanh_flow()
    reference = wgf.solve(flow, start(200).quadrature(), 1.0, method=wgf.Baoab(0.01))
    errors = []
    for cells in (24, 48, 96):
        method = wgf.KineticFiniteVolume(1.2 / cells)
        errors.append(w1(wgf.solve(flow, start(cells), 1.0, method=method), reference))
    assert np.all(orders(errors) > 1.6), errors
    # measured 2.5e-3 on cells of 0.1
    assert errors[-1] < 4e-3
    figure(f"mesh to particles: W1 {np.array(errors)}, orders in h {orders(errors).round(2)}")


def test_particles_converge_to_the_mesh(figure):
    """Independent particles: the mean W1 of the marginals falls like ``m^(-1/2)``."""
    flow = tanh_flow(temperature=0.2)
    begin = start(128)
    mesh = wgf.solve(flow, begin, 1.0, method=wgf.KineticFiniteVolume(0.02))
    sizes, means = np.array([100, 400, 1600, 6400]), []
    for m in sizes:
        found = []
        for seed in range(6):
            run = wgf.solve(flow, begin.sample(m, seed), 1.0, method=wgf.Baoab(0.05, seed))
            found.append(w1(run, mesh))
        means.append(np.mean(found))
    slope = np.polyfit(np.log(sizes), np.log(means), 1)[0]
    # the mean of six has a standard error of about a tenth: 0.04 in the slope
    assert slope == pytest.approx(-0.5, abs=0.12)
    figure(f"particles to mesh: mean W1 {np.array(means)}, slope in m {slope:.2f}")


@pytest.mark.filterwarnings("ignore:box")
def test_mobility_is_another_unit_of_length():
    """Mobilities ``M_i`` are coordinates ``theta_i / sqrt(M_i)`` on both sides, to round-off."""
    size = np.array([0.5, 3.0])

    def well(p):
        return 0.25 * p[:, 0] ** 4 + 0.5 * p[:, 0] * p[:, 1] + 0.5 * p[:, 1] ** 2

    plain = wgf.HeavyBall(wgf.Potential(lambda p: well(p * size)), 0.8, 0.3)
    mobile = wgf.HeavyBall(
        wgf.Potential(well), 0.8, 0.3, mobility=dict(zip("xy", size**2, strict=True))
    )
    meshes = [
        wgf.phase_space(wgf.Mesh(x=wgf.Axis(-3 * a, 3 * a, 12), y=wgf.Axis(-2 * b, 2 * b, 10)),
                        (3 * a, 3 * b), (12, 10))
        for a, b in (np.ones(2), size)
    ]  # fmt: skip
    values = wgf.Density.normal(meshes[0], (0.4, -0.3, 0.2, 0.1), (0.8, 0.6, 0.7, 0.7)).values
    starts = [wgf.Density(meshes[0], values), wgf.Density(meshes[1], values / np.prod(size) ** 2)]
    method = wgf.KineticFiniteVolume(0.1)
    one, two = (
        wgf.solve(f, s, 1.0, method=method)
        for f, s in zip((plain, mobile), starts, strict=True)
    )  # fmt: skip
    np.testing.assert_allclose(two.final.values * np.prod(size) ** 2, one.final.values, atol=1e-13)
    for name in ("objective", "kinetic", "dissipation", "wall_x", "blocked_v_x"):
        np.testing.assert_allclose(two.diagnostics[name], one.diagnostics[name], atol=1e-12)
    # the entropy knows the unit, its changes do not
    np.testing.assert_allclose(
        np.diff(two.diagnostics["lyapunov"]), np.diff(one.diagnostics["lyapunov"]), atol=1e-12
    )
    drawn = starts[0].sample(50, 0)
    begin = [drawn, wgf.Particles(drawn.points * size, velocities=drawn.velocities * size,
                                  domain=meshes[1].phase[0])]  # fmt: skip
    one, two = (
        wgf.solve(f, s, 1.0, method=wgf.Baoab(0.1, seed=2))
        for f, s in zip((plain, mobile), begin, strict=True)
    )  # fmt: skip
    # central differences of the potential
    np.testing.assert_allclose(two.final.points, one.final.points * size, atol=1e-7)
    np.testing.assert_allclose(two.diagnostics["kinetic"], one.diagnostics["kinetic"], atol=1e-7)


@pytest.mark.filterwarnings("ignore:box")
def test_both_sides_with_walls_periods_mobilities_and_noise():
    """A force against a wall on one axis, waves on a period on the other, coupled; four axes."""
    V = wgf.Potential(
        lambda p: 0.3 * np.cos(2 * np.pi * p[:, 1]) * (1 + 0.5 * p[:, 0]) - 0.8 * p[:, 0]
    )
    flow = wgf.HeavyBall(V, 0.6, 0.4, mobility={"y": 0.3})
    errors = []
    for cells in (12, 18):
        places = wgf.Mesh(x=wgf.Axis(-1, 1, cells), y=wgf.Axis(0, 1, cells, periodic=True))
        mesh = wgf.phase_space(places, (4.2, 2.4), cells)
        start = wgf.Density.normal(mesh, (0.2, 0.4, 0.3, 0.2), (0.35, 0.2, 0.6, 0.4))
        run = wgf.solve(flow, start, 2.0, method=wgf.KineticFiniteVolume(1.2 / cells))
        cloud = wgf.solve(flow, start.sample(20_000, 0), 2.0, method=wgf.Baoab(0.05))
        table = wgf.compare(run, cloud).table
        errors.append([table[f"w1_{name}"][-1] for name in mesh.names])
    # measured 0.039, 0.012, 0.063, 0.026 and 0.011, 0.003, 0.025, 0.012; on 27 cells all are below
    # 0.008, where the sampling begins
    assert np.all(np.array(errors[1]) < 0.6 * np.array(errors[0]))
    assert max(errors[1]) < 0.04


def test_maxwellian_of_mobilities_is_stationary():
    mesh = wgf.phase_space(
        wgf.Mesh(x=wgf.Axis(-1, 1, 4), y=wgf.Axis(-1, 1, 4)), (2.0, 6.0), (40, 40)
    )
    flow = wgf.HeavyBall(
        wgf.Potential(lambda p: 0 * p[:, 0]), 1.0, 0.1, mobility={"x": 0.5, "y": 5.0}
    )
    places = wgf.Density.uniform(mesh.phase[0])
    start = wgf.maxwellian(places, (0.05, 0.5), mesh)
    run = wgf.solve(flow, start, 1.0, method=wgf.KineticFiniteVolume(0.1))
    np.testing.assert_allclose(run.final.values, start.values, rtol=1e-9)
    with pytest.warns(wgf.BoxWarning, match="temperature 0.5 lies beyond the velocities v_y"):
        box = wgf.phase_space(mesh.phase[0], 2.0, 40)
        wgf.KineticFiniteVolume().prepare(flow, wgf.maxwellian(places, 0.05, box))
    drawn = wgf.maxwellian(places.sample(20_000, 0), (0.05, 0.5))
    # four standard errors
    assert drawn.velocities.var(axis=0) == pytest.approx([0.05, 0.5], rel=4 * np.sqrt(2 / 20_000))


@pytest.mark.filterwarnings("ignore:box")
@pytest.mark.parametrize("temperature", [0.0, 0.4])
def test_frozen_axes(temperature):
    """Nothing moves along them, and the rest moves as in a problem without them."""
    V = wgf.Potential(lambda p: 0.5 * p[:, 0] ** 2 * (1 + p[:, 1]))
    flow = wgf.HeavyBall(V, 0.5, temperature, frozen="c")
    places = wgf.Mesh(x=wgf.Axis(-4, 4, 24), c=wgf.Axis(0, 1, 2))
    mesh = wgf.phase_space(places, (4.0, 1.0), (24, 1))
    start = wgf.Density.normal(mesh, (1.0, 0.4, 0.0, 0.0), (0.5, 2.0, 0.6, 9.0))
    method = wgf.KineticFiniteVolume(0.1)
    run = wgf.solve(flow, start, 1.0, method=method)
    assert "wall_c" not in run.diagnostics
    line = wgf.phase_space(wgf.Mesh(x=places.axes[0]), 4.0, 24)
    for i, c in enumerate(places.axes[1].centers):
        half = wgf.Density(line, start.values[:, i, :, 0])
        alone = wgf.HeavyBall(wgf.Ridge(1 + c), 0.5, temperature)
        final = wgf.solve(alone, half, 1.0, method=method).final
        np.testing.assert_allclose(run.final.values[:, i, :, 0], final.values, atol=1e-14)
    cloud = start.sample(30, 1)
    for method in (wgf.Baoab(0.1), wgf.HeavyBallParticles(0.1))[: 1 if temperature else 2]:
        final = wgf.solve(flow, cloud, 1.0, method=method).final
        assert np.array_equal(final.points[:, 1], cloud.points[:, 1])
        assert np.array_equal(final.velocities[:, 1], cloud.velocities[:, 1])
        assert np.all(final.points[:, 0] != cloud.points[:, 0])


def test_objective_oscillates_and_energy_falls():
    run = wgf.solve(tanh_flow(0.3, 0.05), start(64), 8.0, method=wgf.KineticFiniteVolume(0.05))
    columns = run.diagnostics
    assert np.maximum(np.diff(columns["objective"]), 0).sum() > 0.01
    assert np.diff(columns["lyapunov"]).max() <= 0
    assert np.all(columns["dissipation"] >= 0)
    np.testing.assert_allclose(
        columns["lyapunov"],
        columns["objective"] + columns["kinetic"] + 0.05 * columns["entropy"],
        rtol=1e-13,
    )


@pytest.mark.filterwarnings("ignore:box")
def test_positions_beside_a_gradient_flow():
    """Runs with momentum and without compare by their positions; so do certificates."""
    x = np.linspace(-1, 1, 12)
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.L1(0.01, axes="a")
    places = wgf.Mesh(a=wgf.Axis(-3, 3, 12), w=wgf.Axis(-3, 3, 12))
    begin = wgf.Density.normal(wgf.phase_space(places, 2.0, 8), 0.0, (0.5, 0.5, 0.4, 0.4))
    cloud = begin.sample(40, 0)
    bare = wgf.Particles(cloud.points, velocities=cloud.velocities)
    # bare particles do not know the walls
    for start, box in ((begin, None), (cloud, None), (bare, ([-3.0], [3.0]))):
        flow = wgf.HeavyBall(F, 1.0)
        fast = wgf.solve(flow, start, 0.2, stop=wgf.certified(1e-6, box=box))
        slow = wgf.solve(wgf.GradientFlow(F), wgf.positions(start), 0.2)
        with pytest.raises(wgf.InputError, match="wgf.projected.run, wgf.positions"):
            wgf.compare(fast, slow)
        table = wgf.compare(wgf.projected(fast, wgf.positions), slow).table
        assert table["w1_a"][0] == 0 < table["w1_a"][-1]
        assert set(table) >= {"w1_a", "w1_w"} and "w1_v_a" not in table
        proof = wgf.certificate(fast, flow, box)
        assert proof.value == pytest.approx(fast.diagnostics["objective"][-1])
    with pytest.raises(wgf.InputError, match="particles.in_phase_space"):
        wgf.wasserstein(begin, cloud)
    assert wgf.wasserstein(begin, cloud.in_phase_space()).value < 1.0


def test_planes_of_four_axes():
    """The positions, and each with its own velocity."""
    assert planes(("a", "w", "v_a", "v_w")) == [(0, 1), (0, 2), (1, 3)]
    assert planes(("a", "w1", "w2", "b")) == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.filterwarnings("ignore:box")
def test_figures_of_both_sides(tmp_path):
    flow = tanh_flow(temperature=0.1)
    mesh = wgf.solve(flow, start(32), 1.0, every=0.25, save=tmp_path / "mesh")
    cloud = wgf.solve(flow, start(32).sample(200, 0), 1.0, every=0.25, save=tmp_path / "cloud")
    for run in (mesh, cloud):
        figure = plot.run(run, tmp_path / "run.png", flow.functional)
        texts = [ax.get_ylabel() for sub in figure.subfigs for ax in sub.axes]
        assert "dissipation −dE/dt" in texts
        labels = [text.get_text() for sub in figure.subfigs for ax in sub.axes if ax.get_legend()
                  for text in ax.get_legend().get_texts()]  # fmt: skip
        assert {"energy E", "objective F", "kinetic", "E(0) − E(t)"} <= set(labels)
    for a, b in (
        (mesh, cloud),
        (wgf.open_run(tmp_path / "mesh"), wgf.open_run(tmp_path / "cloud")),
    ):
        found = wgf.compare(a, b)
        assert {"w1_u", "w1_v_u"} <= set(found.table)
        assert "W1(v_u)" in str(found)
        assert found.plot(tmp_path / "both.png") is not None
    study = wgf.compare(mesh, cloud, wgf.solve(flow, start(32).sample(50, 1), 1.0, every=0.25))
    assert len(study.table["w1_v_u"]) == 2
    plot.movie(cloud, tmp_path / "film.gif", frames=2)
    assert (tmp_path / "film.gif").stat().st_size > 1000


# a coarse mesh reaches the walls
@pytest.mark.filterwarnings("ignore:box")
def test_solver_on_the_line():
    solutions, system, _ = solve("heavy_ball_2d", cells=48, until=8.0, particles=8000)
    for solution in solutions.values():
        assert np.diff(solution.diagnostics["objective"]).max() > 0
    assert np.diff(solutions["mesh"].diagnostics["lyapunov"]).max() <= 0
    # 8000 particles know F, which is small at the end, to some hundredths
    assert objective_gap(solutions) < 0.05
    assert "E from" in system.report(solutions)


@pytest.mark.filterwarnings("ignore:box")
def test_solver_in_the_plane():
    solutions, _, _ = solve("heavy_ball_4d", cells=14, until=1.0, particles=2000)
    mesh = solutions["mesh"]
    assert mesh.final.mesh.dimension == 4
    assert last(mesh) < mesh.diagnostics["objective"][0]
    assert np.ptp(mesh.diagnostics["mass"]) <= 2e-13
    # coarse cells of 0.57: measured 1 %
    assert objective_gap(solutions) < 0.05


@pytest.mark.filterwarnings("always:box")
def test_a_run_warns_of_its_box_once(tmp_path, capsys):
    script = pathlib.Path(__file__).resolve().parent.parent / "solvers" / "heavy_ball_2d.py"
    options = "--cells 24 --until 0.1 --temperature 0.2 --method mesh --no-plot --quiet --out"
    assert cli.status(None, ["run", str(script), *options.split(), str(tmp_path / "run")]) == 0
    assert capsys.readouterr().err.count("a Maxwellian of temperature 0.2") == 1
    again = [*options.split(), str(tmp_path / "again"), "--order", "1"]
    assert cli.status(None, ["run", str(script), *again]) == 2
    assert "HeavyBall has one order on a mesh" in capsys.readouterr().err


FLOW = wgf.HeavyBall(square_neuron(), 1.0)
HOT = wgf.HeavyBall(square_neuron(), 1.0, 0.5)
AT_REST = wgf.Particles([[0.5]])
CASES = [
    (lambda: wgf.HeavyBall(square_neuron(), -0.1), "friction: -0.1 is too small"),
    (lambda: wgf.HeavyBall(square_neuron(), 1.0, -1), "temperature: -1 is too small"),
    (lambda: wgf.HeavyBall(square_neuron(), float("nan")), "friction: nan is not finite"),
    (lambda: wgf.HeavyBall(3, 1.0), "int does not fit here, give a wgf.Functional"),
    (
        lambda: wgf.HeavyBall(square_neuron() + wgf.Entropy(1.0), 1.0),
        "the term entropy is a pressure .* give a temperature",
    ),
    (
        lambda: wgf.solve(FLOW, wgf.Density.normal(LINE, 0, 1), 1.0),
        "build the mesh by wgf.phase_sp",
    ),
    (
        lambda: wgf.solve(
            FLOW,
            wgf.Density.uniform(wgf.Mesh(u=wgf.Axis(0, 1, 4), v_u=wgf.Axis(0, 1, 4))),
            1.0,
        ),
        "velocities v_u in .* not symmetric",
    ),
    (lambda: wgf.solve(FLOW, AT_REST, "stationary"), "no meaning with momentum"),
    (lambda: wgf.KineticFiniteVolume(0.0), "step: 0 is too small"),
    (lambda: wgf.Baoab(-1.0), "step: -1 is too small"),
    (lambda: wgf.Baoab(seed=1.5), "1.5 is not a whole number"),
    (lambda: wgf.Baoab(batch=0), "baoab batch: 0 is too small"),
    (lambda: wgf.Baoab(batch=3, look=0), "baoab look: 0 is too small"),
    (lambda: wgf.Baoab(batch=3).prepare(FLOW, AT_REST), "3 of 1 samples, give at most 1"),
    (
        lambda: wgf.HeavyBallParticles(batch=1).prepare(
            wgf.HeavyBall(wgf.Ridge(1.0), 1.0), AT_REST
        ),
        "batch: 0 terms with samples",
    ),
    (lambda: wgf.HeavyBall(square_neuron(), 1.0, mobility={"u": -1}), "mobility of u: -1 is too"),
    (
        lambda: wgf.Baoab().prepare(wgf.HeavyBall(wgf.Ridge(1.0), 1.0, frozen="y"), AT_REST),
        "frozen",
    ),
    (lambda: wgf.HeavyBallParticles(2.0).prepare(FLOW, AT_REST), "give at most 1"),
    (lambda: wgf.HeavyBallParticles().prepare(HOT, AT_REST), "no noise for the temperature 0.5"),
    (lambda: wgf.RungeKutta().prepare(FLOW, AT_REST), "HeavyBall does not fit"),
    (lambda: wgf.FiniteVolume().prepare(FLOW, start(8)), "HeavyBall does not fit"),
    (lambda: wgf.Baoab().prepare(FLOW, start(8)), "Density does not fit"),
    (lambda: wgf.KineticFiniteVolume().prepare(FLOW, AT_REST), "Particles does not fit"),
    (lambda: wgf.Baoab().prepare(wgf.GradientFlow(wgf.Ridge(1.0)), AT_REST), "does not fit here"),
]


@pytest.mark.parametrize("call, message", CASES)
def test_bad_input(call, message):
    with pytest.raises(wgf.InputError, match=message):
        call()


def test_too_long_a_step_is_said():
    flow = wgf.HeavyBall(wgf.Ridge(1e9), 0.0)
    with pytest.raises(wgf.InputError, match="step: 1 is unstable where the curvature is 1e"):
        wgf.solve(flow, AT_REST, 1e3, method=wgf.Baoab(1.0))
