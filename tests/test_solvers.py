"""Every solver script on a coarse mesh, with the number it must reach."""

import pathlib
from types import SimpleNamespace

import numpy as np
import pytest

import wgf
from wgf.command import runner

SOLVERS = pathlib.Path(__file__).resolve().parent.parent / "solvers"
neurons = SimpleNamespace(**runner.load_setup(SOLVERS / "fisher_rao_relu_1d.py").__globals__)


def build(name, **values):
    """Return what `setup` of a script is, what it returned, and the script's names."""
    setup = runner.load_setup(SOLVERS / f"{name}.py")
    return setup, runner.build(setup, values), SimpleNamespace(**setup.__globals__)


def solve(name, particles=None, **values):
    """Return the solutions of a script by side, what `setup` returned, and the script's names."""
    _, system, script = build(name, **values)
    solutions = {
        side.name: wgf.solve(
            *(system.flow, side.start, system.until),
            every=system.every,
            at=system.at,
            method=side.method,
        )
        for side in runner.sides(system, runner.Settings(particles=particles))
    }
    return solutions, system, script


def last(solution, column="objective"):
    return solution.diagnostics[column][-1]


def objective_gap(solutions):
    return abs(last(solutions["mesh"]) / last(solutions["particles"]) - 1)


def test_ecg_beats_are_found_and_the_two_sides_agree():
    gaps = []
    for cells in (256, 512):
        solutions, system, script = solve("ecg_2d", cells=cells, until=150.0)
        for solution in solutions.values():
            rows = script.beats(solution.final)
            # the R peaks were read off the record by eye, to about a sample
            assert rows.shape == (3, 2)
            np.testing.assert_allclose(rows[:, 0], [189, 517, 848], atol=3)
            # each at least 0.4 of the largest: 0.2 is the bias of the penalty
            assert np.all(rows[:, 1] > 0.4)
        gaps.append(objective_gap(solutions))
    # asked: 2 %; measured 5.2 % at 256 cells and 0.8 % at 512, where peaks fall between cells
    assert gaps[1] < 0.02
    assert gaps[1] < 0.5 * gaps[0]
    text = system.report(solutions)
    assert "difference" in text
    assert [line.split()[0] for line in text.splitlines()[:4]] == ["beat", "1", "2", "3"]


def test_ecg_finds_the_two_peaks_of_another_record(tmp_path):
    samples = np.arange(200)
    record = np.exp(-0.5 * ((samples - 60) / 4) ** 2) + 0.7 * np.exp(
        -0.5 * ((samples - 140.5) / 4) ** 2
    )
    path = tmp_path / "record.csv"
    np.savetxt(path, np.stack([samples, record], axis=1), delimiter=",", header="sample,value")
    solutions, _, script = solve("ecg_2d", cells=100, until=100.0, data=str(path))
    for solution in solutions.values():
        np.testing.assert_allclose(script.beats(solution.final)[:, 0], [60, 140.5], atol=1)


def test_spikes_reach_the_minimum_on_both_sides():
    solutions, system, script = solve("spikes_2d", cells=96)
    # F = 0.85117 is the limit of the particles when cells and time grow (128 to 512 cells)
    assert last(solutions["particles"]) == pytest.approx(0.85117, abs=2e-5)
    # spikes between cells of width h: F is off by O(h^2), measured 0.6 % at 96 cells
    assert objective_gap(solutions) < 0.01
    assert solutions["mesh"].times[1] < 1e-3 * system.until * (1 + 1e-12)
    moments = solutions["particles"].final
    for position, sign in zip(script.POSITIONS, np.sign(script.spikes(0))):
        distance = np.abs((moments.points[:, 1] - position + 0.5) % 1 - 0.5)
        near = distance < 0.03
        assert sign * (moments.weights[near] @ moments.points[near, 0]) > 0.02
    # asked: 1e-6
    assert wgf.certificate(solutions["particles"]).relative < 1e-6
    lines = system.report(solutions).splitlines()
    assert len(lines) == 2 and all("above min F" in line for line in lines)


@pytest.mark.filterwarnings("ignore:box")
def test_the_certificate_of_a_mesh_closes_as_its_cells_shrink():
    """At rest the excess is that of spikes on the lattice of the cells, of second order."""
    _, system, _ = build("spikes_2d")
    gaps = []
    for cells in (128, 256, 512):
        mesh = wgf.Mesh(w=wgf.Axis(-4, 4, 17), x=wgf.Axis(0, 1, cells, periodic=True))
        start = wgf.Density.uniform(mesh, w=(-0.7, 0.7))
        method = wgf.ImplicitFiniteVolume(0.1)
        run = wgf.solve(system.flow, start, "stationary", method=method, gap=3e-4)
        gaps.append(wgf.certificate(run, tolerance=1e-9).relative)
    # asked: 1e-3; measured 6.9e-3, 2.0e-3, 4.8e-4
    assert gaps[2] < 1e-3
    assert np.polyfit(np.log([1, 2, 4]), np.log(gaps), 1)[0] < -1.7


def test_spikes_in_the_plane_are_certified():
    solutions, system, script = solve("spikes_3d", cells=16, until=12.0)
    # measured 1.4e-5 at t = 12
    assert wgf.certificate(solutions["particles"], tolerance=1e-8).relative < 1e-4
    assert objective_gap(solutions) < 0.05
    cloud = solutions["particles"].final
    for position, amplitude in zip(script.SOURCES, script.AMPLITUDES):
        away = np.abs((cloud.points[:, 1:] - position + 0.5) % 1 - 0.5)
        near = np.all(away < 0.05, axis=1)
        # the penalty takes 0.06 off every amplitude, and more where filters overlap
        found = cloud.weights[near] @ cloud.points[near, 0]
        assert 0.5 < found / amplitude < 1
    assert "above min F" in system.report(solutions)


# coarse cells spread to the walls
@pytest.mark.filterwarnings("ignore:box")
def test_sigmoid_student_learns_the_teacher():
    solutions, system, _ = solve("sigmoid_3d", cells=20)
    for solution in solutions.values():
        found = wgf.certificate(solution, tolerance=1e-5)
        # the teacher itself costs 2e-3; min F is 0.00152 by this bound
        assert found.value < 1.7e-3 and found.gap < 2e-4
    # measured 1 to 2 %
    assert objective_gap(solutions) < 0.05
    assert "above min F" in system.report(solutions)


def test_tanh_sides_agree_where_everything_is_smooth():
    solutions, _, _ = solve("tanh_2d", cells=64, until=4.0)
    # second order: measured 2e-5 at 64 cells
    assert abs(last(solutions["mesh"]) - last(solutions["particles"])) < 1e-4
    assert last(solutions["mesh"]) < 0.6 * solutions["mesh"].diagnostics["objective"][0]


# coarse cells spread to the walls
@pytest.mark.filterwarnings("ignore:box")
def test_relu_student_learns_the_teacher():
    solutions, system, script = solve("relu_3d", cells=24, until=600.0)
    for solution in solutions.values():
        weights, angles, astray = script.rays(solution.final)
        # the teacher has 0.2 on every ray; at 64 cells and t = 2000 angles are within 1.4 degrees
        assert np.all((weights > 0.12) & (weights < 0.25)) and astray < 0.2
        assert np.abs(angles).max() < 4
    assert "elsewhere" in system.report(solutions)
    # conserved to round-off, for which 1e-13 is the bound of the finite volumes
    np.testing.assert_allclose(solutions["mesh"].diagnostics["mass"], 1.0, rtol=1e-13)


def test_fisher_rao_1d_finds_the_signed_spikes():
    solutions, _, _ = solve("fisher_rao_1d", cells=128, until=30.0)
    # particles between the cells reach what no cell can: the excess falls with h^2
    assert last(solutions["particles"]) == pytest.approx(0.855493, abs=1e-5)
    assert 0 < last(solutions["mesh"]) - last(solutions["particles"]) < 2.5e-3


# a shell of the width of a coarse cell reaches the walls with a millionth of its mass
@pytest.mark.filterwarnings("ignore:box")
def test_neurons_in_space_and_on_the_circle_agree():
    """The flow on (a, w1, w2) near |a| = |w|, projected, against the flow on directions."""
    widths, distances, gaps = [], [], []
    flow, whole = neurons.problems(penalty=0.01, samples=64)
    for cells in (16, 24, 32, 48, 64):
        begin = neurons.shell(cells)
        start = wgf.neuron_projection(begin, 360)
        circular = wgf.solve(flow, start, until=20.0)
        full = wgf.solve(whole, begin, until=20.0)
        projected = wgf.neuron_projection(full.final, 360)
        widths.append(1 / cells)
        distances.append(neurons.distance(projected, circular.final, scale=0.1))
        gaps.append(abs(last(full) / last(circular) - 1))
        # the test means something: two thirds of the mass end elsewhere
        assert neurons.distance(start, circular.final, scale=0.1) > 0.5
    for found in (distances, gaps):
        assert np.polyfit(np.log(widths), np.log(found), 1)[0] >= 1
        assert np.all(np.diff(found) < 0)
    # asked: 2 % and 1 %; measured 0.68 % and 0.81 %
    assert distances[-1] <= 0.02 and gaps[-1] <= 0.01


@pytest.mark.filterwarnings("ignore:box")
def test_fisher_rao_relu_1d_learns_the_teacher():
    solutions, system, _ = solve("fisher_rao_relu_1d", cells=120, full=24)
    assert last(solutions["mesh"]) < 0.5 * solutions["mesh"].diagnostics["objective"][0]
    # measured 1e-4 on 120 cells, the kinks cutting cells
    assert objective_gap(solutions) < 1e-3
    text = system.report(solutions)
    assert "projection of 24^3 cells" in text and "difference 4.2" in text
    thick = wgf.neuron_projection(neurons.shell(48), 120)
    # the shell is as wide as a cell: its mass is off by O(h^2), its angles by the lattice
    assert neurons.even(120).mass == pytest.approx(thick.mass, rel=0.01)
    assert neurons.distance(thick, neurons.even(120), scale=0.1) < 0.02


def test_fisher_rao_2d_finds_three_sources():
    solutions, _, script = solve("fisher_rao_2d", cells=32, until=40.0)
    for solution in solutions.values():
        points, weights = solution.final.points, solution.final.weights
        for source, mass in zip(script.SOURCES, script.MASSES):
            offset = (points - source + 0.5) % 1.0 - 0.5
            near = (np.abs(offset) < 0.12).all(axis=1)
            # the penalty takes 0.02 of each source; positions are known to a tenth of a cell
            assert weights[near].sum() == pytest.approx(mass - 0.02, abs=0.01)
            assert np.abs(weights[near] @ offset[near]).max() <= 0.004


# coarse cells spread to the walls
@pytest.mark.filterwarnings("ignore:box")
def test_lazy_output_follows_the_linear_system_of_its_start():
    """The error falls like 1 / alpha or faster; mesh and particles agree at every scale."""
    alphas, errors = np.array([1.0, 4.0, 16.0, 64.0]), []
    for alpha in alphas:
        # `every` bounds the step: its error of second order must stay below that at alpha = 64
        solutions, system, script = solve("lazy_2d", cells=64, until=2.0, every=0.02, alpha=alpha)
        risk = system.flow.functional.risks[0]
        y, mesh, cloud = risk.loss.y, solutions["mesh"], solutions["particles"]
        errors.append(script.linear_error(mesh, risk.features, alpha, y))
        gap = alpha * np.linalg.norm(mesh.outputs - cloud.outputs, axis=1).max()
        # the kinks cut cells: measured 0.5 to 0.7 % at 64 cells, twice that at 32
        assert gap < 0.01 * np.linalg.norm(y)
        assert script.path_length(mesh) == pytest.approx(script.path_length(cloud), rel=0.02)
    # measured 0.074, 0.015, 0.0025 and 0.0005
    assert np.all(np.array(errors[:-1]) >= 4 * np.array(errors[1:]))
    assert "off linear" in system.report(solutions)


def test_wdbc_mesh_and_particles_agree_on_real_data():
    solutions, system, script = solve("wdbc_3d", cells=48, until=10.0, every=10.0, nodes=8)
    # asked: 1 %; measured 0.43 % here and 0.81 % at the end of the default run on 64 cells
    assert objective_gap(solutions) < 0.01
    x, y, train = script.samples(("worst_area", "worst_smoothness"), 0)
    shares = [script.accuracy(solutions[side].final, x[~train], y[~train]) for side in solutions]
    # logistic regression on the two columns finds 96 %; the sides differ by a sample of 171 at most
    assert min(shares) >= 0.94
    assert abs(shares[0] - shares[1]) <= 1 / (~train).sum() + 1e-12
    assert f"{shares[0]:.1%}" in system.report(solutions)
    with pytest.raises(wgf.InputError, match="no column 'height'"):
        script.samples(("height", "worst_area"), 0)
