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
from wgf.record import store

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
    kept = "stored, 7 x 10, 0.00056 MB"  # tanh on cells around 0 needs half of the 14
    assert disk.provenance.get("features") == (kept if kind == "density" else None)


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_a_run_is_opened_by_a_process_that_did_nothing_else(tmp_path, kind):
    start = tanh_start() if kind == "density" else tanh_start().sample(20, seed=0)
    end = wgf.solve(tanh_flow(), start, until=0.1, save=tmp_path / "run").final
    code = "import sys, wgf; print(repr(wgf.open_run(sys.argv[1]).final))"
    found = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run"], capture_output=True, text=True
    )
    assert (found.stdout.strip(), found.stderr) == (repr(end), "")


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


@pytest.mark.parametrize("name", ["restart", "particles", "VTKHDF", "problem_json", "axis_time"])
def test_axes_may_be_called_like_anything_in_the_file(tmp_path, name):
    mesh = wgf.Mesh(**{name: wgf.Axis(0, 1, 3), "time": wgf.Axis(0, 1, 2)})
    density = wgf.Density(mesh, np.arange(6.0).reshape(3, 2))
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, density, None, ROWS, {})
    assert equal(wgf.open_run(tmp_path / "run").final, density)


RESTART = {
    "state": np.array([1, 2**63 + 5], dtype=np.uint64),
    "counts": np.arange(4, dtype=np.int32),
    "matrix": np.eye(2),
    "nothing": np.zeros((0, 3)),
    "flags": np.array([True, False]),
    "dt": 0.1,
    "time": 3,
    "generator": 2**127 + 1,
    "name": "pcg–64",
    "done": False,
}


@pytest.mark.parametrize("velocities", [None, np.arange(6.0).reshape(3, 2)])
@pytest.mark.parametrize(
    "domain", [None, wgf.Mesh(p=wgf.Axis(0, 0.1 + 0.2, 3, True), q=wgf.Axis(-1, 2, 2))]
)
def test_particles_and_restart_keep_everything(tmp_path, velocities, domain):
    points = np.array([[0.1, 0.2], [0.25, -1.0], [0.0, 2.0]])
    particles = wgf.Particles(points, [0.5, 0.0, 1 / 3], velocities, domain)
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, particles, np.ones(4), ROWS, RESTART)
    run = wgf.open_run(tmp_path / "run")
    assert equal(run.final, particles)
    assert (run.final.velocities is None) == (velocities is None)
    assert velocities is None or np.array_equal(run.final.velocities, velocities)
    found = run.restart()
    assert set(found) == set(RESTART)
    for name, value in RESTART.items():
        assert type(found[name]) is type(value), name
        assert np.array_equal(found[name], value), name
        if isinstance(value, np.ndarray):
            assert found[name].dtype == value.dtype and found[name].shape == value.shape


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


@pytest.mark.parametrize("kind", ["density 1", "density 3", "density 4", "particles"])
def test_xarray_opens_every_group_of_every_file(tmp_path, kind):
    xarray = pytest.importorskip("xarray")
    h5py = pytest.importorskip("h5py")
    names = "pqrs"[: 3 if kind == "particles" else int(kind[-1])]
    mesh = wgf.Mesh(**{name: wgf.Axis(0, 1, 2 + i) for i, name in enumerate(names)})
    generator = np.random.default_rng(0)
    measures = [wgf.Density(mesh, generator.random(mesh.shape)) for _ in range(3)]
    if kind == "particles":
        measures = [measure.sample(5, seed=0) for measure in measures]
    data = {"target": np.ones(4), "abscissa": np.ones((4, 2))}
    with store.Writer(tmp_path / "run", **data) as writer:
        for k, measure in enumerate(measures):
            writer.write(k, k / 2, measure, np.ones(4), {"t": [k / 2]}, RESTART)
    run = wgf.open_run(tmp_path / "run")
    assert np.array_equal(run.abscissa, data["abscissa"])
    store.pack(run, tmp_path / "one.h5")
    for file in ("run/run.h5", "run/snapshots/000000.h5", "one.h5"):
        groups = ["/"]
        with h5py.File(tmp_path / file) as opened:
            names_of_all = []
            opened.visit(names_of_all.append)
            groups += [name for name in names_of_all if isinstance(opened[name], h5py.Group)]
        if kind == "density 4":
            assert not any("VTKHDF" in group for group in groups)
        for group in groups:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                with xarray.open_dataset(tmp_path / file, engine="h5netcdf", group=group) as data:
                    data.load()
                    if group == "/" and kind != "particles":
                        assert data.density.dims == ("time", *names)
                        expected = [measure.values for measure in measures[: len(data.time)]]
                        assert np.array_equal(data.density.values, expected)
                    if group == "particles":
                        assert data.points.dims == ("time", "particle", "component")
                        expected = [measure.points for measure in measures[: len(data.points)]]
                        assert np.array_equal(data.points.values, expected)


def test_the_number_of_particles_may_change(tmp_path):
    xarray = pytest.importorskip("xarray")
    clouds = [tanh_start().sample(m, seed=0) for m in (3, 5, 2)]
    with store.Writer(tmp_path / "run") as writer:
        for k, cloud in enumerate(clouds):
            writer.write(k, float(k), cloud, None, {"t": [float(k)]}, {})
    run = wgf.open_run(tmp_path / "run")
    assert all(equal(a, b) for a, b in zip(run.snapshots, clouds))
    store.pack(run, tmp_path / "one.h5")
    for file in ("run/run.h5", "one.h5"):
        with xarray.open_dataset(tmp_path / file, engine="h5netcdf", group="particles") as data:
            assert np.array_equal(data.weights.notnull().sum("particle").values, [3, 5, 2])


@pytest.mark.skipif(shutil.which("h5dump") is None, reason="h5dump is not installed")
def test_h5dump_reads_a_snapshot(stored):
    path, memory = stored
    command = ["h5dump", "-d", "/density", "-m", "%.17g", str(path / "snapshots/000001.h5")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "( 1, 12, 14 )" in result.stdout
    value = memory.snapshots[1].values[6, 7]
    assert f"{value:.17g}" in result.stdout


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_view_for_vtk(tmp_path, dimension):
    """VTK reads (z, y, x) of one time and (time, z, y, x) of several, and nothing else."""
    h5py = pytest.importorskip("h5py")
    names = "pqr"[:dimension]
    mesh = wgf.Mesh(**{name: wgf.Axis(i, i + 1, 2 + i) for i, name in enumerate(names)})
    values = np.random.default_rng(0).random((3, *mesh.shape))
    with store.Writer(tmp_path / "run") as writer:
        for k in range(3):
            writer.write(k, k / 2, wgf.Density(mesh, values[k]), None, {"t": [k / 2]}, {})
    store.pack(tmp_path / "run", tmp_path / "one.h5")
    cells = (1,) * (3 - dimension) + mesh.shape
    for file, shape in (
        ("run/run.h5", (3, *cells)),
        ("run/snapshots/000000.h5", cells),
        ("one.h5", (3, *cells)),
    ):
        with h5py.File(tmp_path / file) as opened:
            group = opened["VTKHDF"]
            assert group.attrs["Type"] == b"ImageData" and list(group.attrs["Version"]) == [2, 0]
            assert list(group.attrs["WholeExtent"][1::2]) == list(cells[::-1])
            assert list(group.attrs["Origin"][:dimension]) == list(mesh.lower[::-1])
            assert list(group.attrs["Spacing"][:dimension]) == list(mesh.spacing[::-1])
            count = group["Steps"].attrs["NSteps"]
            assert list(group["Steps/Values"]) == [0.0, 0.5, 1.0][:count]
            assert group["CellData/density"].shape == shape
            assert np.array_equal(group["CellData/density"][()].ravel(), values[:count].ravel())
            assert file != "one.h5" or not group["CellData/density"].is_virtual


@pytest.mark.parametrize("dimension, moving", [(1, False), (2, True), (4, False)])
def test_particles_for_vtk(tmp_path, dimension, moving):
    """Every time is a stretch of all arrays; the axes are counted as those of a density are."""
    h5py = pytest.importorskip("h5py")
    generator = np.random.default_rng(0)
    clouds = []
    with store.Writer(tmp_path / "run") as writer:
        for k, count in enumerate((3, 5, 4)):
            points, speeds = generator.normal(size=(2, count, dimension))
            weights = generator.random(count)
            clouds.append(wgf.Particles(points, weights, speeds if moving else None))
            writer.write(k, k / 2, clouds[-1], None, {"t": [k / 2]}, {})
    store.pack(tmp_path / "run", tmp_path / "cloud.vtkhdf")
    with h5py.File(tmp_path / "cloud.vtkhdf") as opened:
        top = opened["VTKHDF"]
        assert top.attrs["Type"] == b"PolyData" and list(top.attrs["Version"]) == [2, 0]
        assert list(top["Steps/Values"]) == [0.0, 0.5, 1.0]
        names = {"weight"} | {f"x{i + 1}" for i in range(dimension)}
        names |= {f"v_x{i + 1}" for i in range(dimension) if moving}
        assert set(top["PointData"]) == set(top["Steps/PointDataOffsets"]) == names
        for k, cloud in enumerate(clouds):
            begin, count = top["Steps/PointOffsets"][k], top["NumberOfPoints"][k]
            part = slice(begin, begin + count)
            shown = cloud.points[:, :3][:, ::-1]
            assert np.array_equal(top["Points"][part, : shown.shape[1]], shown)
            assert not top["Points"][part, shown.shape[1] :].any()
            assert np.array_equal(top["PointData/weight"][part], cloud.weights)
            assert np.array_equal(top["PointData/x1"][part], cloud.points[:, 0])
    _read_by_vtk(tmp_path / "cloud.vtkhdf", clouds)


def _read_by_vtk(path, clouds):
    vtk = pytest.importorskip("vtk")
    reader = vtk.vtkHDFReader()
    reader.SetFileName(str(path))
    for k, cloud in enumerate(clouds):
        reader.UpdateTimeStep(k / 2)
        found = reader.GetOutput()
        count = len(cloud.weights)
        assert found.GetNumberOfPoints() == found.GetNumberOfVerts() == count
        assert found.GetPoint(count - 1)[0] == cloud.points[-1, :3][-1]
        assert found.GetPointData().GetArray("weight").GetValue(count - 1) == cloud.weights[-1]


def test_an_axis_that_hides_a_field_of_vtk_is_refused(tmp_path):
    mesh = wgf.Mesh(weight=wgf.Axis(0, 1, 2))
    cloud = wgf.Particles(np.zeros((2, 1)), domain=mesh)
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, cloud, None, {"t": [0.0]}, {})
    with pytest.raises(wgf.InputError, match="rename the axis"):
        store.pack(tmp_path / "run", tmp_path / "cloud.vtkhdf")


def test_a_missing_or_stale_index_does_no_harm(stored):
    h5py = pytest.importorskip("h5py")
    path, _memory = stored
    (path / "run.h5").unlink()
    run = wgf.open_run(path)
    assert len(run.snapshots) == 5 and run.status == "done"
    assert store.verify(path) == []
    whole = (path / "run.h5").read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 4
    (path / "run.h5").write_bytes(damaged)
    assert wgf.open_run(path).status == "done"
    [(name, trouble)] = store.verify(run)
    assert name == "run.h5" and "rebuilt from the snapshots" in trouble
    assert store.verify(run) == []
    with h5py.File(path / "run.h5") as file:
        assert np.array_equal(file["density"][()], [each.values for each in run.snapshots])


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
    lines = manifest.read_bytes().splitlines(keepends=True)
    assert [json.loads(line)["name"] for line in lines] == [
        *(f"snapshots/{k:06d}.h5" for k in range(5)),
        "run.h5",
    ]
    for torn in (4, 5):
        for cut in range(1, len(lines[torn]) - 1, 7):
            manifest.write_bytes(b"".join(lines[:torn]) + lines[torn][:cut])
            run = wgf.open_run(path)
            assert len(run.times) == torn and run.status == "running"
    with store.Writer(path, resume=True) as writer:
        assert len(writer.entries) == 5
    assert len(manifest.read_bytes().splitlines()) == 6


@pytest.mark.parametrize("damage", ["key", "step", "t", "lost lines", "status"])
def test_a_damaged_manifest_is_refused(stored, damage):
    path, _memory = stored
    manifest = path / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    if damage == "key":
        lines[1] = lines[1].replace(b"sha256", b"sha255")
    if damage == "step":
        lines[1] = lines[1].replace(b'"step": ', b'"step": 7')
    if damage == "t":
        lines[1] = lines[1].replace(b'"t": 0', b'"t": 1')
    if damage == "lost lines":
        lines = lines[:3]
    if damage == "status":
        lines[5] = lines[5].replace(b"status", b"state")
    manifest.write_bytes(b"".join(lines))
    with pytest.raises(wgf.InputError, match="manifest.jsonl.*restore it from a copy"):
        wgf.open_run(path)
    assert [name for name, _ in store.verify(path)] == ["manifest.jsonl"]


def test_a_writer_continues_after_the_last_good_snapshot(stored):
    path, memory = stored
    manifest = (path / "manifest.jsonl").read_bytes()
    writer = store.Writer(path, resume=True)
    writer.release()
    assert (path / "manifest.jsonl").read_bytes() == manifest
    manifest = b"".join(manifest.splitlines(keepends=True)[:4]) + b'{"name": "snap'
    (path / "manifest.jsonl").write_bytes(manifest)
    (path / "snapshots/000005.h5.tmp").write_bytes(b"half")
    (path / "run.h5.tmp").write_bytes(b"half")
    (path / "snapshots/notes.txt").write_text("mine")
    with store.Writer(path, resume=True, problem=memory.problem) as writer:
        assert not list(path.rglob("*.tmp")) and not (path / "snapshots/000004.h5").exists()
        rows = {name: column[4:] for name, column in memory.diagnostics.items()}
        writer.write(4, 1.0, memory.final, memory.outputs[4], rows, {})
        assert wgf.open_run(path).status == "running"
    run = wgf.open_run(path)
    assert run.status == "done" and np.array_equal(run.times, memory.times)
    assert (path / "snapshots/notes.txt").read_text() == "mine"


def test_columns_may_come_late(tmp_path):
    with store.Writer(tmp_path / "run") as writer:
        writer.write(0, 0.0, tanh_start(), None, {}, {})
        writer.write(1, 1.0, tanh_start(), None, {"t": [1.0]}, {})
        writer.write(2, 2.0, tanh_start(), None, {"t": [2.0], "gap": [3.0]}, {})
    found = wgf.open_run(tmp_path / "run").diagnostics
    assert np.array_equal(found["t"], [1, 2])
    assert np.array_equal(found["gap"], [np.nan, 3], equal_nan=True)
    store.pack(tmp_path / "run", tmp_path / "one.h5")


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


def test_a_folder_that_cannot_be_written_is_a_clean_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        store.Writer(tmp_path / "file" / "run")
    assert str(tmp_path / "file") in str(caught.value)
    real = open

    def read_only(path, mode="r", **options):
        if "w" in mode:
            raise OSError(30, "Read-only file system", str(path))
        return real(path, mode, **options)

    monkeypatch.setattr("builtins.open", read_only)
    with pytest.raises(OSError, match="Read-only file system: .*manifest.jsonl'$"):
        store.Writer(tmp_path / "run")
    monkeypatch.undo()
    # nothing is in the way of a second try
    store.Writer(tmp_path / "run").close()


def test_overwriting_takes_the_run_and_nothing_else(stored):
    path, _memory = stored
    (path / "notes.txt").write_text("mine")
    with store.Writer(path, overwrite=True) as writer:
        assert not (path / "run.h5").exists() and not list(path.glob("snapshots/*"))
        with pytest.raises(wgf.InputError, match="no snapshot yet"):
            wgf.open_run(path)
        with pytest.raises(wgf.InputError, match="another process writes"):
            store.Writer(path, overwrite=True)
        writer.write(0, 0.0, tanh_start(), None, ROWS, {})
    assert (path / "notes.txt").read_text() == "mine"
    assert len(wgf.open_run(path).times) == 1


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
    with pytest.raises(TypeError, match="3 is no path"):
        wgf.open_run(3)


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
    assert set(entry) == {"name", "bytes", "sha256", "step", "t", "rows"}
    assert entry["t"] == 0.5


def test_a_folder_of_two_runs_names_them(tmp_path):
    cloud = wgf.Particles(np.zeros((2, 1)))
    for side in ("mesh", "particles"):
        with store.Writer(tmp_path / side) as writer:
            writer.write(0, 0.0, cloud, None, {"t": [0.0]}, {})
    with pytest.raises(wgf.InputError, match="it holds .*mesh and .*particles, give one of them"):
        wgf.open_run(tmp_path)
    with pytest.raises(wgf.InputError, match="particles is one, give that"):
        wgf.open_run(tmp_path / "particles" / "mesh")
