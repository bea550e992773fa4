"""The index of a run reads right with 64 open files, whatever the number of snapshots."""

import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest

import wgf
from wgf.record import directory, layout, segments, store

# with so few a short run has segments
FEW = {"DIRECT": 12, "MOST": 8}
MESH = wgf.Mesh(x=wgf.Axis(0, 1, 5), y=wgf.Axis(0, 1, 3))


def density(k):
    return wgf.Density(MESH, np.random.default_rng(k).random(MESH.shape))


def cloud(k):
    """Particles with velocities, of another number at every time."""
    generator = np.random.default_rng(k)
    count = 2 + k % 7
    points, velocities = generator.normal(size=(2, count, 2))
    return wgf.Particles(points, generator.random(count) + 0.1, velocities)


def write(path, make, begin, end, **options):
    with store.Writer(path, {"flow": "f"}, **options) as writer:
        for k in range(begin, end):
            writer.write(k, k / 8, make(k), None, {"t": [k / 8]}, {})


@pytest.fixture
def few(monkeypatch):
    for name, value in FEW.items():
        monkeypatch.setattr(segments, name, value)


@pytest.fixture
def run(few, tmp_path):
    """A run of 14 snapshots in 7 segments."""
    write(tmp_path / "run", density, 0, 14)
    return tmp_path / "run"


def names(path):
    return [file.name for file in sorted((path / "segments").glob("*.h5"))]


READ = """
import resource, sys
import h5py, numpy as np, xarray as xr
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
path, group, *names = sys.argv[1:]
with h5py.File(path) as file:
    held = {name: file[f"{group}/{name}"][()] for name in names}
with xr.open_dataset(path, engine="h5netcdf", group=group) as data:
    for name in names:
        np.testing.assert_array_equal(data[name].values, held[name])
np.savez(sys.argv[1] + ".npz", **held)
"""


def read_with_few_files(path, group, *wanted):
    words = [sys.executable, "-c", READ, str(path / "run.h5"), group, *wanted]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return np.load(path / "run.h5.npz")


@pytest.mark.parametrize("count", [segments.DIRECT, segments.DIRECT + 1, 120])
def test_a_density_reads_right_with_64_open_files(tmp_path, count):
    path = tmp_path / "run"
    write(path, density, 0, count)
    found = read_with_few_files(path, "/", "density")["density"]
    assert np.array_equal(found, [density(k).values for k in range(count)])
    assert len(names(path)) == {48: 0, 49: 25, 120: 30}[count]
    assert np.array_equal(wgf.open_run(path).times, np.arange(count) / 8)


def test_particles_of_varying_number_read_right_with_64_open_files(tmp_path):
    path = tmp_path / "run"
    write(path, cloud, 0, 70)
    found = read_with_few_files(path, "particles", "points", "weights", "velocities")
    for k in range(70):
        for name in ("points", "weights", "velocities"):
            held = getattr(cloud(k), name)
            assert np.array_equal(found[name][k, : len(held)], held)
            assert np.isnan(found[name][k, len(held) :]).all()


def test_segments_that_are_full_are_written_once(few, tmp_path):
    path = tmp_path / "run"
    write(path, density, 0, 15)
    first = {name: os.stat(path / "segments" / name).st_mtime_ns for name in names(path)}
    assert names(path)[-1] == "000014-000014.h5" and len(first) == 8
    write(path, density, 15, 16, resume=True)
    second = {name: os.stat(path / "segments" / name).st_mtime_ns for name in names(path)}
    assert set(second) == {*first, "000014-000015.h5"} - {"000014-000014.h5"}
    assert all(first[name] == second[name] for name in set(first) & set(second))
    # with more snapshots each holds more of them
    write(path, density, 16, 33, resume=True)
    assert names(path)[0] == "000000-000007.h5" and len(names(path)) == 5
    with h5py.File(path / "run.h5") as file:
        assert np.array_equal(file["density"][()], [density(k).values for k in range(33)])


def test_there_are_as_few_segments_as_said_and_as_many_snapshots_as_written():
    for count in (*range(1, 3000), 10**5, 10**6 - 1):
        found = segments.planned(count)
        assert len(found) <= segments.MOST and bool(found) == (count > segments.DIRECT)
        ends = [0, *(stop for _name, _first, stop in found)]
        assert [first for _name, first, _stop in found] == ends[:-1]
        assert ends[-1] == (count if found else 0)


def test_a_segment_is_a_plain_file_with_named_axes(run):
    import xarray as xr

    with xr.open_dataset(run / "segments/000004-000005.h5", engine="h5netcdf") as data:
        assert data.density.dims == ("time", "x", "y") and data.time.values.tolist() == [0.5, 0.625]
        assert np.array_equal(data.density[1], density(5).values)
    with h5py.File(run / "segments/000004-000005.h5") as file:
        assert file["density"].fletcher32 and not file["density"].is_virtual
    lines = json.loads((run / "segments/sums.json").read_text())
    assert [line["name"] for line in lines] == [f"segments/{name}" for name in names(run)]


@pytest.mark.parametrize("harm", ["a bit", "half", "missing", "no list", "bad list", "all"])
def test_verify_makes_segments_again(run, harm):
    assert store.verify(run) == []
    file, sums = run / "segments/000004-000005.h5", run / "segments/sums.json"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "all":
        shutil.rmtree(run / "segments")
    elif harm == "no list":
        sums.unlink()
    elif harm == "bad list":
        sums.write_text('[{"name": 3}]')
    elif harm == "missing":
        file.unlink()
    else:
        file.write_bytes(content if harm == "a bit" else content[:1000])
    bad = dict(store.verify(run))
    name = "segments" if harm in ("no list", "bad list", "all") else "segments/000004-000005.h5"
    assert list(bad) == [name] and "it was rebuilt from the snapshots" in bad[name]
    assert store.verify(run) == []
    with h5py.File(run / "run.h5") as file:
        assert np.array_equal(file["density"][()], [density(k).values for k in range(14)])


def test_a_damaged_snapshot_is_never_copied(run):
    file = run / "snapshots/000011.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    entries, _closing = directory.read_manifest(run)
    with pytest.raises(wgf.InputError, match="000011.h5: the content differs.*run again"):
        segments.renew(run, entries, {})


def test_another_run_in_its_place_leaves_no_segment(run):
    (run / "segments/000004-000005.h5.tmp").write_bytes(b"half")
    write(run, cloud, 0, 14, overwrite=True)
    with h5py.File(run / "run.h5") as file:
        assert np.array_equal(file["particles/points"][5, :7], cloud(5).points)
    assert not list((run / "segments").glob("*.tmp"))
    write(run, density, 0, 3, overwrite=True)
    assert not (run / "segments").exists() and store.verify(run) == []


def test_segments_of_other_snapshots_are_made_again(run):
    """A crash before the last line of the manifest: the last snapshot is computed again."""
    entries, _closing = directory.read_manifest(run)
    (run / entries[-1]["name"]).unlink()
    directory.write_manifest(run, entries[:-1])
    write(run, lambda k: density(1000 + k), 13, 14, resume=True)
    with h5py.File(run / "run.h5") as file:
        assert np.array_equal(file["density"][12], density(12).values)
        assert np.array_equal(file["density"][13], density(1013).values)


def test_an_index_that_is_open_while_the_run_goes_on_keeps_its_segments(few, tmp_path):
    path = tmp_path / "run"
    writer = store.Writer(path)
    writer._indexing = np.inf
    for k in range(16):
        writer.write(k, k / 8, density(k), None, {"t": [k / 8]}, {})
    writer.index("running")
    with h5py.File(path / "run.h5") as file:
        writer.write(16, 2.0, density(16), None, {"t": [2.0]}, {})
        writer.index("running")
        assert np.array_equal(file["density"][()], [density(k).values for k in range(16)])
    writer.close()
    assert len(names(path)) == 5


def test_a_packed_file_of_many_snapshots_is_plain(few, tmp_path):
    write(tmp_path / "run", cloud, 0, 14)
    store.pack(tmp_path / "run", tmp_path / "one.h5")
    with h5py.File(tmp_path / "one.h5") as file:
        assert not file["particles/points"].is_virtual
        assert np.array_equal(file["particles/points"][3, :5], cloud(3).points)


def test_large_measures_are_copied_chunk_by_chunk(few, tmp_path, monkeypatch):
    monkeypatch.setattr(layout, "CHUNK_BYTES", 64)
    write(tmp_path / "run", density, 0, 14)
    with h5py.File(tmp_path / "run/segments/000000-000001.h5") as file:
        assert file["density"].chunks == (1, 2, 3)
    with h5py.File(tmp_path / "run/run.h5") as file:
        assert np.array_equal(file["density"][()], [density(k).values for k in range(14)])
