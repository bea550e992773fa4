"""The benchmark: every side does the same work, and the report is a table."""

import importlib.util
import pathlib
import time

import numpy as np
import peers
import pytest
import speed


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shape", [(40, 24), (12, 8, 10)], ids=str)
def test_our_step_is_that_of_the_formula(shape, order):
    case = peers.Case(shape)
    expected = peers.numpy(case, order)()
    # four steps of the same operations on numbers of order one
    np.testing.assert_allclose(speed.Transport(case, order)(), expected, rtol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_peers_that_are_installed_have_the_scheme(order):
    case = peers.Case((24, 20))
    expected = speed.Transport(case, order)().copy()
    for name, call in peers.installed(case, order):
        # another second-order scheme differs by the error of both, the same one by round-off
        tolerance = 0.2 if (name, order) == ("PyMPDATA", 2) else 1e-13
        np.testing.assert_allclose(call(), expected, rtol=tolerance, err_msg=name)


def test_the_report_names_the_machine_and_every_case(capsys):
    speed.main(["--small", "--alone", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert "GB/s" in lines[0] and "GFLOP/s" in lines[0]
    rows = [line for line in lines if line.startswith("| ")]
    assert sum("| wgf |" in row and "triad" in row for row in rows) == 2 * len(speed.SMALL)
    assert sum("tanh" in row for row in rows) == 3
    assert sum("m = 2000" in row for row in rows) == 4


def test_repeats_that_make_no_sense_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        speed.main(["--repeats", "0"])
    assert "--repeats: 0 is too small" in capsys.readouterr().err


def test_a_call_that_takes_long_is_timed_twice():
    times = speed.alternate([lambda: None, lambda: time.sleep(0.01)], 5, patience=0.015)
    assert np.isfinite(times[0]).all()
    assert np.isfinite(times[1]).tolist() == [True, True, False, False, False]


def script(name):
    """Return a script of the folder of benchmarks as a module."""
    path = pathlib.Path(__file__).parent / "benchmarks" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_spikes_are_followed_until_the_smallest_gap():
    spikes = script("stationary_spikes")
    flow, start, least = spikes.test_spikes.spikes((21, 16))
    method = spikes.METHODS["implicit"]()
    found, (steps, spent) = spikes.reach(method, flow, start, least, 60.0, time.perf_counter)
    assert list(found) == list(spikes.SHARES) and steps == found[1e-6][0] < 40
    assert 0 < found[1e-2][1] <= found[1e-6][1] <= spent
    # a run that is not given the time ends without a gap
    found, (steps, _) = spikes.reach(method, flow, start, least, 0.0, time.perf_counter)
    assert (found, steps) == ({}, 0)


def test_scaling_finds_the_exponent_and_the_bytes():
    scaling = script("scaling")
    sizes = np.array([10.0, 100.0, 1000.0])
    assert scaling.slope(sizes, 3 * sizes**1.5) == pytest.approx(1.5)
    each = [float(line.split("|")[2]) for line in scaling.memory_rows(small=True)]
    # five arrays of numbers, and at least the seven slopes of three coordinates
    assert each[0] > 5 * 8 and each[1] > 7 * 3 * 8


def test_a_large_run_tells_its_steps_and_snapshots(tmp_path):
    large = script("large_runs")
    flow, start = large.regression(12, "awb")
    cells = [cell.strip() for cell in large.row("run", flow, start, tmp_path, steps=6).split("|")]
    assert int(cells[3]) >= 6 and int(cells[6]) == large.SNAPSHOTS + 1
    assert float(cells[7]) > 12**3 * 8 / 1e6
