"""The schema: what any run holds survives its snapshots, its index and a packed file alike."""

import io

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import densities, meshes

import wgf
from wgf.record import layout, schema, store

NAMES = st.sampled_from(["t", "dt", "mass", "gap", "wall x", "time", "restart"])


@st.composite
def rows(draw, count):
    """Columns of diagnostics of `count` steps, numbers that are not finite included."""
    names = draw(st.lists(NAMES, unique=True, min_size=1, max_size=3))
    numbers = st.floats(width=64)
    return {name: draw(st.lists(numbers, min_size=count, max_size=count)) for name in names}


@st.composite
def clouds(draw):
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    m, d = draw(st.integers(1, 6)), 2
    domain = wgf.Mesh(time=wgf.Axis(-9, 9, 3), q=wgf.Axis(0, 1, 2, True))
    points = generator.random((m, d))
    speeds = generator.normal(size=(m, d)) if draw(st.booleans()) else None
    return wgf.Particles(points, generator.random(m), speeds, draw(st.sampled_from([domain, None])))


@st.composite
def runs(draw):
    """Snapshots with all that belongs to them, and the data of a loss."""
    count = draw(st.integers(1, 3))
    if draw(st.booleans()):
        mesh = draw(meshes())
        measures = [draw(densities(mesh)) for _ in range(count)]
    else:
        cloud = draw(clouds())
        speeds = cloud.velocities
        measures = [
            wgf.Particles(
                *(cloud.points[:k], cloud.weights[:k]),
                *(None if speeds is None else speeds[:k], cloud.domain),
            )
            for k in (draw(st.integers(1, cloud.size)) for _ in range(count))
        ]
    n, inputs = draw(st.integers(1, 4)), draw(st.integers(1, 2))
    outputs = np.arange(1.0, 1 + count * n).reshape(count, n) if draw(st.booleans()) else None
    target = np.linspace(0, 1, n) if draw(st.booleans()) else None
    abscissa = np.ones((n, inputs)) if draw(st.booleans()) else None
    columns = [draw(rows(draw(st.integers(1, 3)))) for _ in range(count)]
    return measures, outputs, columns, target, abscissa


def equal(a, b):
    arrays = ("points", "weights", "velocities")
    pairs = [(getattr(a, name, None), getattr(b, name, None)) for name in arrays]
    same = all((x is None) == (y is None) and np.array_equal(x, y) for x, y in pairs)
    return same and type(a) is type(b) and a.domain == b.domain


@settings(max_examples=60)
@given(runs())
def test_any_run_reads_as_it_was_written(tmp_path_factory, run):
    measures, outputs, columns, target, abscissa = run
    path = tmp_path_factory.mktemp("any") / "run"
    wanted = wgf.Solution({"flow": "f"}, target, abscissa)
    step = -1
    with store.Writer(path, {"flow": "f"}, target, abscissa) as writer:
        for k, measure in enumerate(measures):
            output = None if outputs is None else outputs[k]
            step += len(next(iter(columns[k].values())))
            writer.write(step, k / 3, measure, output, columns[k], {"dt": 0.1})
            wanted.append(k / 3, measure, output, columns[k])
    (path / "kept.h5").write_bytes((path / "run.h5").read_bytes())
    for whole in (True, False):
        # once by the index and once without it, from the snapshots
        found = wgf.open_run(path)
        assert np.array_equal(found.times, wanted.times)
        assert list(found.diagnostics) == list(wanted.diagnostics)
        for name, column in wanted.diagnostics.items():
            assert np.array_equal(found.diagnostics[name], column, equal_nan=True)
        for name in ("outputs", "target", "abscissa"):
            one, two = getattr(found, name), getattr(wanted, name)
            assert (one is None) == (two is None) and np.array_equal(one, two)
        assert all(equal(a, b) for a, b in zip(found.snapshots, measures))
        if whole:
            (path / "run.h5").unlink()
    # the index made again and a packed file hold the same numbers
    assert store.verify(path) == []
    store.pack(path, path / "one.h5")
    kept, again, packed = (_numbers(path / name) for name in ("kept.h5", "run.h5", "one.h5"))
    assert kept == again == packed


def _numbers(path):
    """Return shape, type, bits and attributes of every dataset but the last restart point."""
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and name.split("/")[0] != "restart":
            value = np.asarray(item[()])
            attributes = {k: v for k, v in item.attrs.items() if not k.endswith("_LIST")}
            bits = value.tobytes() if value.ndim else value[()]
            found[name] = value.shape, value.dtype.str, bits, repr(attributes)

    with h5py.File(path) as file:
        file.visititems(visit)
    return found


def test_every_dataset_of_every_file_is_in_the_schema(tmp_path):
    mesh = wgf.Mesh(a=wgf.Axis(0, 1, 3), time=wgf.Axis(0, 1, 2))
    restart = {"state": np.eye(2), "seed": 3}
    data = {"target": np.ones(4), "abscissa": np.ones((4, 2))}
    with store.Writer(tmp_path / "run", **data) as writer:
        for k in range(2):
            measure = wgf.Density(mesh, np.full(mesh.shape, 1.0 + k))
            writer.write(k, k / 2, measure, np.ones(4), {"t": [0.0]}, restart)
    store.pack(tmp_path / "run", tmp_path / "one.h5")
    for name in ("run/snapshots/000000.h5", "run/run.h5", "one.h5"):
        with h5py.File(tmp_path / name) as file:
            cells = schema.cells_of(file["measure_json"].asstr()[()])
            assert cells == ("a", "axis_time")

            def check(name, item, cells=cells):
                if isinstance(item, h5py.Dataset) and not name.startswith("VTKHDF"):
                    if item.is_scale:
                        return
                    found = schema.item_of(name, item.ndim, cells)
                    assert [dim[0].name.lstrip("/") for dim in item.dims] == list(found.axes)
                    assert item.dtype.kind == "O" or not found.dtype or item.dtype == found.dtype

            file.visititems(check)


def test_names_that_an_axis_may_not_shadow_are_those_at_the_root(tmp_path):
    """What the schema writes at the root and what it takes from the axes are one list."""
    cloud = wgf.Particles(np.zeros((2, 1)), velocities=np.ones((2, 1)))
    found = set()
    for measure in (cloud, wgf.Density(wgf.Mesh(x=wgf.Axis(0, 1, 2)), [1.0, 2.0])):
        image = layout.snapshot_image(
            *(0, 0.0, measure, np.ones(3), {"t": [0.0]}, {"dt": 0.1}),
            *(np.ones(3), np.ones((3, 2)), {"problem_json": "{}", "provenance_json": "{}"}),
        )
        with h5py.File(io.BytesIO(image)) as file:
            found |= set(file) - {"x"}
    assert found == schema.TAKEN


@pytest.mark.parametrize("late", [0, 1, 2])
def test_columns_that_come_late_are_padded_in_memory_as_on_the_disk(tmp_path, late):
    cloud = wgf.Particles(np.zeros((2, 1)))
    solution = wgf.Solution()
    with store.Writer(tmp_path / "run") as writer:
        for k in range(3):
            columns = {"t": [float(k), k + 0.5], **({"gap": [1.0, 2.0]} if k >= late else {})}
            writer.write(2 * k + 1, float(k), cloud, None, columns, {})
            solution.append(float(k), cloud, None, columns)
    run = wgf.open_run(tmp_path / "run")
    for name in ("t", "gap"):
        assert np.array_equal(run.diagnostics[name], solution.diagnostics[name], equal_nan=True)
    assert np.isnan(run.diagnostics["gap"]).sum() == 2 * late
