"""One record, seen in memory, on the disk, in phase space and projected."""

import numpy as np
import pytest

import wgf
from wgf.record import store
from wgf.record.solution import Record, in_phase_space

FIELDS = ("times", "outputs", "diagnostics", "target", "abscissa", "status", "problem")


def moving(k):
    generator = np.random.default_rng(k)
    return wgf.Particles(generator.normal(size=(4, 1)), None, generator.normal(size=(4, 1)))


@pytest.fixture
def both(tmp_path):
    """The same run in memory and on the disk."""
    problem = {"axes": ["x", "v_x"], "flow": "f"}
    solution = wgf.Solution(problem, np.ones(3), np.arange(3.0))
    data = problem, solution.target, solution.abscissa
    with store.Writer(tmp_path / "run", *data) as writer:
        for k in range(3):
            rows = {"t": [float(k)], "mass": [1.0], "wall_x": [0.0], "objective": [3.0 - k]}
            writer.write(k, float(k), moving(k), np.full(3, k), rows, {})
            solution.append(float(k), moving(k), np.full(3, k), rows)
    solution.status = "done"
    return solution, wgf.open_run(tmp_path / "run")


def test_all_read_the_same(both):
    for run in both:
        seen = in_phase_space(run)
        for record in (run, seen):
            assert isinstance(record, Record)
            assert np.array_equal(record.times, [0, 1, 2]) and record.status == "done"
            assert np.array_equal(record.outputs[:, 0], [0, 1, 2])
            assert np.array_equal(record.abscissa, [0, 1, 2])
            assert record.problem["flow"] == "f" and record.functional is None
            assert record.at(1.0).size == record.final.size == 4
            assert "t=2, 3 snapshots, 2 steps" in repr(record)
            with pytest.raises(wgf.InputError, match="no snapshot at t=0.5"):
                record.at(0.5)
        assert seen.final.dimension == 2 and run.final.dimension == 1
        assert np.array_equal(seen.at(1.0).points[:, 0], run.at(1.0).points[:, 0])
        assert len(seen.snapshots[1:]) == 2 and len(list(seen.snapshots)) == 3


def test_a_view_shows_what_its_record_becomes(both):
    """Nothing is copied: a run that goes on in memory goes on in its views."""
    solution, _ = both
    seen = in_phase_space(solution)
    solution.append(3.0, moving(3), np.full(3, 3), {"t": [3.0], "mass": [1.0]})
    solution.status = "stopped"
    assert seen.times[-1] == 3.0 and len(seen.snapshots) == 4 and seen.status == "stopped"
    for name in FIELDS:
        assert getattr(seen, name) is getattr(solution, name)
    with pytest.raises(AttributeError):
        _ = seen.nothing_of_that_name


def test_runs_without_velocities_are_in_phase_space_as_they_are(both):
    solution = wgf.Solution({"axes": ["x"]})
    solution.append(0.0, wgf.Particles(np.zeros((2, 1))), None, {"t": [0.0]})
    assert in_phase_space(solution) is solution


def test_a_projection_hides_what_belongs_to_the_measure_alone(both):
    for run in both:
        found = wgf.projected(run, wgf.positions)
        assert found.problem["projection"] == "positions" and found.problem["axes"] == ["x"]
        assert run.problem["axes"] == ["x", "v_x"] and "projection" not in run.problem
        assert list(found.diagnostics) == ["t", "objective"] and "mass" in run.diagnostics
        assert found.outputs is run.outputs and found.target is run.target
        assert found.final.velocities is None and found.functional is None
    with pytest.raises(wgf.InputError, match="cannot be called"):
        wgf.projected(both[0], 3)
