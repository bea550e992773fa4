"""Opening a stored run reads its index; every snapshot is checked when it is read."""

import builtins
import io
import pathlib

import h5py
import numpy as np
import pytest

import wgf
from wgf.record import layout, run, store


def stored(path, count, cells, outputs=20):
    """Write a run of `count` snapshots of ``cells²`` and return its rows by name."""
    generator = np.random.default_rng(0)
    mesh = wgf.Mesh(a=wgf.Axis(0, 1, cells), w=wgf.Axis(0, 1, cells))
    columns = {name: generator.random(10 * count) for name in ("t", "objective", "risk")}
    with store.Writer(path, {"flow": "f"}, target=np.ones(outputs)) as writer:
        for k in range(count):
            rows = {name: column[10 * k : 10 * k + 10] for name, column in columns.items()}
            density = wgf.Density(mesh, generator.random(mesh.shape))
            writer.write(10 * k + 9, k / 4, density, np.full(outputs, float(k)), rows, {"dt": 0.1})
    return columns


class Count:
    """Counts the bytes that Python reads, and refuses HDF5 every file that is not in memory."""

    def __init__(self, monkeypatch):
        self.bytes, real, opened = 0, builtins.open, h5py.File

        def counted(file, mode="r", *arguments, **options):
            stream = real(file, mode, *arguments, **options)
            if "r" not in mode:
                return stream
            self.bytes += pathlib.Path(file).stat().st_size
            return stream

        def from_memory(file, *arguments, **options):
            assert isinstance(file, io.BytesIO), f"HDF5 opens {file}, which nobody checked"
            return opened(file, *arguments, **options)

        monkeypatch.setattr(builtins, "open", counted)
        monkeypatch.setattr(io, "open", counted)
        monkeypatch.setattr(h5py, "File", from_memory)


def test_opening_a_large_run_reads_less_than_a_hundredth_of_it(tmp_path, monkeypatch, figure):
    columns = stored(tmp_path / "run", 100, 256)
    size = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    with monkeypatch.context() as patch:
        count = Count(patch)
        found = wgf.open_run(tmp_path / "run")
        assert found.status == "done" and np.array_equal(found.times, np.arange(100) / 4)
        assert np.array_equal(found.outputs[:, 0], np.arange(100))
        for name, column in columns.items():
            assert np.array_equal(found.diagnostics[name], column)
        # a file counts as read as a whole
        opening = count.bytes
        assert 0 < opening < 0.01 * size
        assert found.snapshots[7].mesh.shape == (256, 256)
        assert count.bytes > opening + 8 * 256**2
    figure(f"open_run of 100 snapshots of 256²: {opening / size:.2%} of {size / 1e6:.3g} MB read")


def damage(file, size=None):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content[:size])


def test_damage_to_a_large_run_shows_when_a_snapshot_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "SMALL_RUN", 0)
    stored(tmp_path / "run", 4, 8)
    damage(tmp_path / "run/snapshots/000002.h5")
    found = wgf.open_run(tmp_path / "run")
    assert len(found.snapshots[:2]) == 2 and found.final.mass > 0
    with pytest.raises(wgf.InputError, match="000002.h5: the content differs.*run again"):
        _ = found.snapshots[2]
    for read in (lambda: store.summary(found), lambda: store.pack(found, tmp_path / "one.h5")):
        with pytest.raises(wgf.InputError, match="000002.h5"):
            read()
    assert [name for name, _ in store.verify(tmp_path / "run")] == ["snapshots/000002.h5"]
    # what shows without reading shows at once
    damage(tmp_path / "run/snapshots/000001.h5", -1)
    with pytest.raises(wgf.InputError, match="000001.h5: .* bytes where"):
        wgf.open_run(tmp_path / "run")
    (tmp_path / "run/snapshots/000001.h5").unlink()
    with pytest.raises(wgf.InputError, match="000001.h5: the file is missing"):
        wgf.open_run(tmp_path / "run")


@pytest.mark.parametrize("index", ["damaged", "missing", "views alone", "of another run"])
def test_an_index_that_cannot_be_trusted_is_passed_over(tmp_path, monkeypatch, index):
    """Rows then come from the snapshots; an index of an older version holds views of them."""
    monkeypatch.setattr(run, "SMALL_RUN", 0)
    columns = stored(tmp_path / "run", 4, 8)
    file = tmp_path / "run/run.h5"
    if index == "damaged":
        damage(file)
    elif index == "missing":
        file.unlink()
    elif index == "of another run":
        stored(tmp_path / "other", 3, 8)
        file.write_bytes((tmp_path / "other/run.h5").read_bytes())
    else:
        monkeypatch.setattr(layout, "read_record", _older(layout.read_record))
    reads = []
    real = layout.read_record
    monkeypatch.setattr(layout, "read_record", lambda *what: reads.append(what) or real(*what))
    found = wgf.open_run(tmp_path / "run")
    assert len(reads) == 4 + (index == "views alone")
    assert np.array_equal(found.diagnostics["risk"], columns["risk"])
    # and damage to a snapshot shows at once, as everything was read
    damage(tmp_path / "run/snapshots/000002.h5")
    with pytest.raises(wgf.InputError, match="000002.h5"):
        wgf.open_run(tmp_path / "run")


def _older(read):
    """Read an index as if it were one of views alone."""

    def older(content, where):
        return None if where.name == "run.h5" else read(content, where)

    return older


def test_an_index_that_holds_views_alone_is_told_by_its_times(tmp_path):
    """HDF5 would fill a view whose files it does not find with numbers that nobody wrote."""
    stored(tmp_path / "run", 3, 8)
    content = (tmp_path / "run/run.h5").read_bytes()
    assert len(layout.read_record(content).times) == 3
    whole = tmp_path / "older.h5"
    whole.write_bytes(content)
    with h5py.File(whole, "r+") as file:
        view = h5py.VirtualLayout((3,), "<f8")
        for k in range(3):
            view[k : k + 1] = h5py.VirtualSource(f"snapshots/{k:06d}.h5", "time", (1,))
        del file["time"]
        file.create_virtual_dataset("time", view, fillvalue=np.nan)
    assert layout.read_record(whole.read_bytes()) is None


def test_a_run_that_goes_on_reads_like_one_that_is_closed(tmp_path):
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 3))
    with store.Writer(tmp_path / "run") as writer:
        for k in range(3):
            density = wgf.Density(mesh, np.full(3, 1.0 + k))
            writer.write(k, float(k), density, None, {"t": [float(k)]}, {})
            found = wgf.open_run(tmp_path / "run")
            assert found.status == "running" and np.array_equal(found.times, np.arange(k + 1))
    with store.Writer(tmp_path / "run", resume=True) as writer:
        writer.write(3, 3.0, density, None, {"t": [3.0]}, {})
    assert np.array_equal(wgf.open_run(tmp_path / "run").diagnostics["t"], np.arange(4))
    with h5py.File(tmp_path / "run/run.h5") as file:
        assert np.array_equal(file["step"], np.arange(4)) and not file["time"].is_virtual
        assert file["density"].is_virtual and file["density"].shape == (4, 3)
