"""Stored runs: bit-equal round trips, other readers, crashes and corruption."""

import json
import os
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import densities, meshes

import wgf
from wgf import store

ROWS = {"t": [0.0], "objective": [1.5]}


def tanh_flow():
    x = np.linspace(-1, 1, 10)
    return wgf.GradientFlow(
        wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(1e-3)
    )


def tanh_start():
    mesh = wgf.Mesh(a=wgf.Axis(-4, 4, 12), w=wgf.Axis(-6, 6, 14))
    return wgf.Density.normal(mesh, (0.3, 0.5), 0.5)


@pytest.fixture
def stored(tmp_path):
    """A run of a density on disk and in memory."""
    path = tmp_path / "run"
    return path, wgf.solve(tanh_flow(), tanh_start(), until=1, every=0.25, save=path)


def equal(a, b):
    same = type(a) is type(b) and a.domain == b.domain and np.array_equal(a.weights, b.weights)
    return same and np.array_equal(a.points, b.points)


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_disk_reads_like_memory(tmp_path, kind):
    start = tanh_start() if kind == "density" else tanh_start().sample(20, seed=0)
    memory = wgf.solve(tanh_flow(), start, until=1, every=0.25, save=tmp_path / "run")
    disk = wgf.open_run(tmp_path / "run")
    assert disk.status == memory.status == "done"
    assert np.array_equal(disk.times, memory.times)
    assert list(disk.diagnostics) == list(memory.diagnostics)
    for name, column in memory.diagnostics.items():
        assert np.array_equal(disk.diagnostics[name], column), name
    assert np.array_equal(disk.outputs, memory.outputs)
    assert np.array_equal(disk.target, memory.target)
    assert np.array_equal(disk.abscissa, memory.abscissa)
    assert disk.problem == memory.problem
    assert all(equal(a, b) for a, b in zip(disk.snapshots, memory.snapshots))
    assert equal(disk.final, memory.final) and equal(disk.at(0.5), memory.at(0.5))
    assert len(disk.snapshots[1:3]) == 2
    assert disk.provenance["wgf"] == wgf.__version__


@settings(max_examples=25)
@given(meshes().flatmap(densities))
def test_any_density_survives_bit_by_bit(tmp_path_factory, density):
    path = tmp_path_factory.mktemp("any") / "run"
    with store.Writer(path) as writer:
        writer.write(0, 0.0, density, None, ROWS, {})
    again = wgf.open_run(path).final
    assert again.mesh == density.mesh and np.array_equal(again.values, density.values)


def test_axes_may_be_called_like_dimensions(tmp_path):
    mesh = wgf.Mesh(time=wgf.Axis(0, 1, 3), step=wgf.Axis(0, 1, 2))
    density = wgf.Density(mesh, np.arange(6.0).reshape(3, 2))
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, density, None, ROWS, {})
    assert equal(wgf.open_run(tmp_path / "run").final, density)


def test_velocities_and_restart_keep_their_types(tmp_path):
    particles = wgf.Particles(np.ones((3, 2)), velocities=np.arange(6.0).reshape(3, 2))
    restart = {
        "state": np.array([1, 2**63 + 5], dtype=np.uint64),
        "matrix": np.eye(2),
        "dt": 0.1,
        "time": 3,
        "name": "pcg",
    }
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, particles, np.ones(4), ROWS, restart)
    run = wgf.open_run(tmp_path / "run")
    assert np.array_equal(run.final.velocities, particles.velocities)
    found = run.restart()
    assert set(found) == set(restart)
    assert found["state"].dtype == np.uint64 and np.array_equal(found["state"], restart["state"])
    assert found["matrix"].shape == (2, 2)
    assert (found["dt"], found["time"], found["name"]) == (0.1, 3, "pcg")


@pytest.mark.parametrize("name", ["run.h5", "snapshots/000002.h5"])
def test_xarray_names_the_dimensions(stored, name):
    xarray = pytest.importorskip("xarray")
    path, memory = stored
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with xarray.open_dataset(path / name, engine="h5netcdf") as data:
            assert data.density.dims == ("time", "a", "w")
            assert data.output.dims == ("time", "sample")
            expected = [memory.at(t).values for t in data.time.values]
            assert np.array_equal(data.density.values, expected)
            assert np.array_equal(data.w.values, memory.final.mesh.centers("w"))
        with xarray.open_dataset(path / name, engine="h5netcdf", group="diagnostics") as data:
            assert data.objective.dims == ("step",)
        if name != "run.h5":
            xarray.open_dataset(path / name, engine="h5netcdf", group="restart").close()


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_reads_a_snapshot(stored):
    path, memory = stored
    command = ["h5dump", "-d", "/density", "-m", "%.17g", str(path / "snapshots/000001.h5")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "( 1, 12, 14 )" in result.stdout
    value = memory.snapshots[1].values[6, 7]
    assert f"{value:.17g}" in result.stdout


def test_links_for_vtk(stored):
    h5py = pytest.importorskip("h5py")
    path, _memory = stored
    for name, count in (("run.h5", 5), ("snapshots/000000.h5", 1)):
        with h5py.File(path / name) as file:
            group = file["VTKHDF"]
            assert group.attrs["Type"] == b"ImageData"
            assert list(group.attrs["WholeExtent"]) == [0, 14, 0, 12, 0, 1]
            assert group["Steps"].attrs["NSteps"] == count
            assert group["CellData/density"].shape == (count, 12, 14)
            assert isinstance(group["CellData"].get("density", getlink=True), h5py.SoftLink)


def test_a_missing_or_stale_index_does_no_harm(stored):
    path, _memory = stored
    (path / "run.h5").unlink()
    run = wgf.open_run(path)
    assert len(run.snapshots) == 5 and run.status == "running"
    assert store.verify(path) == []
    assert (path / "run.h5").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "zero"])
def test_a_damaged_snapshot_is_named(stored, damage):
    path, _memory = stored
    file = path / "snapshots/000003.h5"
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "zero":
        content[100:200] = bytes(100)
    file.unlink()
    if damage != "remove":
        file.write_bytes(content[:-50] if damage == "truncate" else content)
    with pytest.raises(wgf.InputError, match="000003.h5.*run again"):
        wgf.open_run(path)
    assert [name for name, _ in store.verify(path)] == ["snapshots/000003.h5"]


def test_a_torn_manifest_line_counts_as_not_written(stored):
    path, _memory = stored
    manifest = path / "manifest.jsonl"
    whole = manifest.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(last + 1, len(whole) - 1, 7):
        manifest.write_bytes(whole[:cut])
        assert len(wgf.open_run(path).times) == 4
    damaged = whole.replace(b"sha256", b"sha255", 1)
    manifest.write_bytes(damaged)
    with pytest.raises(wgf.InputError, match="line 1 is damaged"):
        wgf.open_run(path)


def test_every_prefix_of_the_operations_keeps_what_was_listed(tmp_path, monkeypatch):
    """Stop before every rename, synchronisation and append: listed snapshots always open."""
    density = tanh_start()

    class Stop(Exception):
        pass

    done = 0
    for stop_at in range(200):
        path = tmp_path / f"run{stop_at}"
        left = stop_at
        listed = 0

        def counted(function):
            def call(*args, **kwargs):
                nonlocal left
                if left == 0:
                    raise Stop
                left -= 1
                return function(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            for name in ("fsync", "replace"):
                patch.setattr(store.os, name, counted(getattr(os, name)))
            try:
                writer = store.Writer(path)
                for k in range(3):
                    writer.write(k, float(k), density, None, ROWS, {})
                    listed = k + 1
                writer.close()
                done = stop_at
            except Stop:
                pass
        if listed:
            run = wgf.open_run(path)
            assert len(run.times) >= listed
            assert all(equal(snapshot, density) for snapshot in run.snapshots)
        if done:
            break
    assert done > 9


def test_a_full_disk_is_a_clean_error(tmp_path, monkeypatch):
    writer = store.Writer(tmp_path / "run")
    writer.write(0, 0.0, tanh_start(), None, ROWS, {})

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store.os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        writer.write(1, 1.0, tanh_start(), None, ROWS, {})
    assert "000001.h5" in str(caught.value.filename)
    monkeypatch.undo()
    assert not list((tmp_path / "run").rglob("*.tmp"))
    assert len(wgf.open_run(tmp_path / "run").times) == 1


def test_who_may_write_where(tmp_path, stored):
    path, _ = stored
    with pytest.raises(wgf.InputError, match="holds a run already"):
        store.Writer(path)
    store.Writer(path, overwrite=True).close()
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "chapter.tex").write_text("all of it")
    for overwrite in (False, True):
        with pytest.raises(wgf.InputError, match=r"holds chapter.tex and no run"):
            store.Writer(foreign, overwrite=overwrite)
    assert (foreign / "chapter.tex").read_text() == "all of it"
    with pytest.raises(wgf.InputError, match="is a file"):
        store.Writer(foreign / "chapter.tex")
    with pytest.raises(wgf.InputError, match="no run here"):
        wgf.open_run(foreign)


def test_a_second_writer_is_refused_while_the_first_lives(tmp_path):
    path = tmp_path / "run"
    first = store.Writer(path)
    first.write(0, 0.0, tanh_start(), None, ROWS, {})
    code = (
        "import sys, wgf\nfrom wgf import store\n"
        "try:\n    store.Writer(sys.argv[1], resume=True)\n"
        "except wgf.InputError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code, str(path)]
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "another process writes to this run" in second.stdout
    first.close()
    third = subprocess.run(command, capture_output=True, text=True, check=True)
    assert third.stdout == ""


def test_pack_makes_one_plain_file(stored, tmp_path):
    xarray = pytest.importorskip("xarray")
    path, memory = stored
    store.pack(path, tmp_path / "one.h5")
    shutil.rmtree(path)
    with xarray.open_dataset(tmp_path / "one.h5", engine="h5netcdf") as data:
        assert np.array_equal(data.density.values, [s.values for s in memory.snapshots])
    with pytest.raises(wgf.InputError, match="exists already"):
        store.pack(path, tmp_path / "one.h5")


def test_summary_tells_the_essentials(stored):
    path, _memory = stored
    text = store.summary(wgf.open_run(path))
    assert "5 snapshots" in text and "FiniteVolume" in text and "objective" in text
    entry = json.loads((path / "manifest.jsonl").read_text().splitlines()[2])
    assert entry["time"] == 0.5
