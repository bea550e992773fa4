"""Several ranks: the bits of one process, the messages of the model, and how runs end."""

import errno
import io
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import mpi_problems
import numpy as np
import pytest

import wgf
from wgf import checks, parallel
from wgf.eulerian.slab import Arriving, Slab
from wgf.measures import density as measure
from wgf.record import layout

FOLDER = pathlib.Path(__file__).parent
BESIDE = pathlib.Path(sys.executable).parent / "mpiexec"
MPIEXEC = str(BESIDE) if BESIDE.exists() else shutil.which("mpiexec")
needs_mpi = pytest.mark.skipif(MPIEXEC is None, reason="no mpiexec")


def launch(ranks, *arguments, timeout=300):
    pytest.importorskip("mpi4py")
    command = [MPIEXEC, "-n", str(ranks), sys.executable, "-m", "mpi4py", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, cwd=FOLDER.parent
    )


def notes(ranks, action, path, suffix=""):
    done = launch(ranks, FOLDER / "mpi_problems.py", action, path)
    assert done.returncode == 0, done.stderr
    found = [json.loads(pathlib.Path(f"{path}{suffix}.{r}").read_text()) for r in range(ranks)]
    return found


@pytest.fixture(scope="module")
def serial():
    return mpi_problems.solve_all()


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_every_method_has_the_bits_of_one_process(ranks, serial, tmp_path):
    for found in notes(ranks, "all", tmp_path / "note"):
        assert [name for name in serial if found[name] != serial[name]] == []


@needs_mpi
def test_a_run_goes_on_with_the_same_bits_on_another_number_of_ranks(tmp_path):
    whole = mpi_problems.stored(tmp_path / "whole", 1.0, False)
    assert sorted(whole) == sorted(mpi_problems.CONTINUED)
    notes(2, "begin", tmp_path / "run", "_begin")
    for found in notes(3, "go_on", tmp_path / "run", "_go_on"):
        assert [name for name in whole if found[name] != whole[name]] == []
    stored = wgf.open_run(tmp_path / "run_order_2")
    assert mpi_problems.digest(stored) == whole["order 2"]
    assert stored.provenance["ranks"] == 3


@needs_mpi
@pytest.mark.parametrize("ranks", [2, 3])
def test_as_much_is_sent_as_the_documentation_says(ranks, tmp_path):
    found = notes(ranks, "count", tmp_path / "note")

    def sent(method, kind):
        return sum(each[method]["sent"].get(kind, (0, 0))[0] for each in found)

    for kind, wanted in mpi_problems.model(64**2, ranks).items():
        # shares of the rows of the feature matrix are not quite equal
        assert sent("explicit", kind) == pytest.approx(wanted, rel=0.01)
    # two drifts with four planes from either side, and the marginal twice
    assert sent("kinetic", "cells") == 2 * 2 * 4 * 14 * 8 * ranks
    assert sent("kinetic", "whole") == 2 * 40 * 8 * (ranks - 1)
    # a Gram matrix of 60 features a Newton step, from rank to rank and then to all
    grams = found[0]["growth"]["grams"] * 8 * 60**2 * (ranks - 1)
    assert sent("growth", "moments") == grams > 0
    assert grams < sent("growth", "sums") < 2 * grams


@needs_mpi
@pytest.mark.parametrize("ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_rank_needs_its_share_of_the_memory(ranks, tmp_path):
    one = mpi_problems.memory(None)
    for rank, found in enumerate(notes(ranks, "memory", tmp_path / "run")):
        for name, peak in found.items():
            # a stored run against the steps alone of one process; planes of others are within it,
            # the buffers of a file being written are not and do not grow with the mesh
            assert peak < 1.15 * one[name] / ranks + (2**19 if rank == 0 else 0), name


@needs_mpi
@pytest.mark.parametrize("how", ["fail", "all_fail", "kill", "full"])
def test_what_goes_wrong_ends_all_and_leaves_the_snapshots(how, tmp_path):
    # without an end this would last for hours
    done = launch(2, FOLDER / "mpi_problems.py", how, tmp_path / "run", timeout=60)
    assert done.returncode != 0
    message = {"kill": "", "full": "[Errno 27] File too large"}.get(how, "told once")
    assert done.stderr.count("Traceback") == (how != "kill")
    assert message in done.stderr
    assert done.stderr.count("StartWarning: start") == (how == "all_fail")
    # every snapshot is checked against its hash when it is read
    run = wgf.open_run(tmp_path / "run")
    assert all(abs(density.mass - 1) < 1e-12 for density in run.snapshots)
    if how == "full":
        assert not [*(tmp_path / "run").rglob("*.tmp")]


@needs_mpi
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_after_a_snapshot(number, code, tmp_path):
    script = FOLDER.parent / "solvers" / "relu_3d.py"
    command = [MPIEXEC, "-n", "2", sys.executable, "-m", "mpi4py", "-m", "wgf", "run", str(script)]
    command += [
        "--method",
        "mesh",
        "--until",
        "1e6",
        "--cells",
        "16",
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=FOLDER.parent)
    try:
        while not (tmp_path / "run" / "snapshots" / "000000.h5").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        process.send_signal(number)
        _, text = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code
    assert text.count("wgf: error: mesh: stopped at") == 1
    run = wgf.open_run(tmp_path / "run")
    assert run.status == "stopped" and len(run.times) == 2 and abs(run.final.mass - 1) < 1e-12


@needs_mpi
def test_the_command_speaks_once(tmp_path):
    script = FOLDER.parent / "solvers" / "relu_3d.py"
    begin = ["-m", "wgf", "run", script, "--method", "mesh", "--no-plot", "--until", "0.5"]
    done = launch(2, *begin, "--cells", "16", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("status      done") == 1
    assert done.stderr.count("t=0 of 0.5") == 1
    for options, message in (
        (["--cells", "-3", "--out", tmp_path / "bad"], "axis cells: -3 is too small"),
        (["--cells", "8", "--out", tmp_path / "few"], "2 ranks for 1 blocks of 64 rows"),
        (["--cells", "16", "--out", tmp_path / "run"], "exists, choose another path"),
    ):
        done = launch(2, *begin, *options)
        assert done.returncode == 2
        assert done.stderr.count(message) == 1
    assert not (tmp_path / "bad").exists() and not (tmp_path / "few").exists()


def test_a_missing_library_is_told_with_the_remedy(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    monkeypatch.delitem(sys.modules, "mpi4py.MPI", raising=False)
    parallel.world.cache_clear()
    try:
        with pytest.raises(checks.InputError, match=r'pip install "\.\[mpi\]"'):
            parallel.world()
    finally:
        parallel.world.cache_clear()


@pytest.mark.parametrize("entries", [1, 100, 129, 1000, 4097, 100003])
@pytest.mark.parametrize("block", [1, 7, 256])
def test_partial_sums_do_not_depend_on_the_number_of_ranks(entries, block):
    generator = np.random.default_rng(entries)
    values = generator.normal(size=entries) * 10.0 ** generator.integers(-9, 9, entries)
    whole = parallel.Partition.dealt(entries, block, 1).partial_sums(values)
    assert len(whole) == -(-entries // block)
    assert whole.sum() == pytest.approx(np.sum(values), rel=1e-13, abs=1e-13 * abs(values).max())
    for size in (2, 3, 7):
        cuts = parallel.Partition.dealt(entries, block, size)
        assert len(cuts) == entries
        parts = [cuts.partial_sums(values[cuts.own(rank)]) for rank in range(size)]
        counts = np.diff((cuts // cuts.block).bounds)
        assert [len(part) for part in parts] == list(counts)
        assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("columns", [1, 2, 3, 40])
def test_rows_are_added_one_after_the_other(columns):
    rows = np.random.default_rng(columns).normal(size=(777, columns))
    carried = np.concatenate([parallel.sum_of_rows(rows[:300])[None], rows[300:]])
    assert np.array_equal(parallel.sum_of_rows(carried), parallel.sum_of_rows(rows))


class _Fake(parallel.Serial):
    def __init__(self, rank, size):
        self.rank, self.size = rank, size


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("shape", [(200, 24), (18, 17, 16), (5, 40, 6, 7)])
def test_a_slab_holds_its_planes_and_knows_whose_they_are(shape, periodic):
    axes = {f"x{k}": wgf.Axis(0, 1, n, periodic=periodic) for k, n in enumerate(shape)}
    mesh = wgf.Mesh(**axes)
    whole = np.arange(float(mesh.cells))
    for size in (2, 3):
        slabs = [Slab(mesh, _Fake(rank, size)) for rank in range(size)]
        owned = np.concatenate([slab.part(whole)[slab.own] for slab in slabs])
        assert np.array_equal(owned, whole)
        for rank, slab in enumerate(slabs):
            assert slab.rows.own(rank).start % 64 == 0
            found = np.full(len(slab.part(whole)), np.nan)
            found[slab.own] = slab.part(whole)[slab.own]
            for owner, place in slab.beside.receives:
                begin = slabs[owner].cells.own(owner).start
                sends = [s for r, s in slabs[owner].beside.sends if r == rank]
                mine = [p for o, p in slab.beside.receives if o == owner]
                source = sends[mine.index(place)]
                found[place] = whole[begin + source.start : begin + source.stop]
            for source, place in slab.beside.copies:
                found[place] = owned[slab.cells.own(rank)][source]
            assert np.array_equal(found, slab.part(whole))


class _Disk(io.BytesIO):
    """A file on a disk with little room left."""

    room = np.inf

    def write(self, content):
        if self.tell() + len(content) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(content)


def test_a_snapshot_of_many_blocks_is_whole_or_a_full_disk_is_told(monkeypatch):
    monkeypatch.setattr(measure, "BLOCK_CELLS", 1 << 8)
    density = wgf.Density.normal(mpi_problems.cube(), 0.1, 0.5)

    def write(room):
        ranks, disk = _Fake(0, 1), _Disk()
        arriving = Arriving(density.mesh, ranks, density.values.ravel(), [0, density.mesh.cells])
        disk.room = room
        layout.write_snapshot((3, 0.5, arriving, None, {}, {"a": 1}, None, None, {}), disk)
        return disk.getvalue()

    whole = write(np.inf)
    assert np.array_equal(layout.read_measure(whole).values, density.values)
    assert layout.read_restart(whole) == {"a": 1}
    for room in range(0, len(whole), len(whole) // 50):
        with pytest.raises(OSError, match="No space left"):
            write(room)
