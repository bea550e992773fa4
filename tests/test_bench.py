"""The benchmark: every side does the same work, and the report is a table."""

import time

import numpy as np
import pytest

from wgf import bench, cli, peers


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shape", [(40, 24), (12, 8, 10)], ids=str)
def test_our_step_is_that_of_the_formula(shape, order):
    case = peers.Case(shape)
    expected = peers.numpy(case, order)()
    # four steps of the same operations on numbers of order one
    np.testing.assert_allclose(bench.Transport(case, order)(), expected, rtol=1e-14)


@pytest.mark.parametrize("order", [1, 2])
def test_peers_that_are_installed_have_the_scheme(order):
    case = peers.Case((24, 20))
    expected = bench.Transport(case, order)().copy()
    for name, call in peers.installed(case, order):
        # another second-order scheme differs by the error of both, the same one by round-off
        tolerance = 0.2 if (name, order) == ("PyMPDATA", 2) else 1e-13
        np.testing.assert_allclose(call(), expected, rtol=tolerance, err_msg=name)


def test_the_report_names_the_machine_and_every_case(capsys):
    assert cli.status(argv=["bench", "--small", "--alone", "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "GB/s" in lines[0] and "GFLOP/s" in lines[0]
    rows = [line for line in lines if line.startswith("| ")]
    assert sum("| wgf |" in row and "triad" in row for row in rows) == 2 * len(bench.SMALL)
    assert sum("tanh" in row for row in rows) == 3
    assert sum("m = 2000" in row for row in rows) == 4


def test_repeats_that_make_no_sense_are_refused(capsys):
    assert cli.status(argv=["bench", "--repeats", "0"]) == 2
    assert "bench repeats" in capsys.readouterr().err


def test_a_call_that_takes_long_is_timed_twice():
    times = bench.alternate([lambda: None, lambda: time.sleep(0.01)], 5, patience=0.015)
    assert np.isfinite(times[0]).all()
    assert np.isfinite(times[1]).tolist() == [True, True, False, False, False]
