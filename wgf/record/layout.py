"""The schema in HDF5, netCDF-4 style: named dimensions, plain types, no surprises.

Every dataset with axes has a dimension scale for each of them, so that xarray, ncdump and h5dump
name the axes; a small group of soft links lets VTK and ParaView read a mesh. This is the only
module that touches h5py.
"""

import contextlib
import functools
import io
import json
import math
import uuid

import numpy as np

from wgf import checks
from wgf.measures.base import Measure
from wgf.record import directory, schema
from wgf.record.schema import FORMAT
from wgf.record.solution import Record

LIBRARY = ("earliest", "v110")
# HDF5 refuses chunks of 4 GiB; readers fetch a chunk as a whole
CHUNK_BYTES = 1 << 26
# a chunk, what its checksum is made of, the file, the file as bytes
COPIES = 4
SPARE_BYTES = 1 << 24
# what reading a file that is not ours may raise
FOREIGN = (AttributeError, IndexError, KeyError, OSError, RuntimeError, TypeError, ValueError)


def _reserve(size):
    """Raise `MemoryError` if HDF5 could not have so many bytes and a few copies of them.

    HDF5 does not survive a failed allocation among its chunks: the process ends by a signal.
    """
    needed = SPARE_BYTES + COPIES * size
    try:
        np.empty(needed, dtype=np.uint8)
    except MemoryError:
        raise MemoryError(f"no {needed / 1e6:.3g} MB are left for a snapshot") from None


def memory_file(size=0):
    """Open a file in memory with room for so many bytes."""
    import h5py

    _reserve(size)
    # nothing is written under this name: the file lives in memory and is copied out
    name = f"wgf-{uuid.uuid4().hex}.h5"
    file = h5py.File(
        name, "w", driver="core", backing_store=False, libver=LIBRARY, track_order=True
    )
    return _sign(file)


def _sign(file):
    file.attrs["Conventions"] = "CF-1.10"
    file.attrs["wgf_format"] = FORMAT
    return file


def image(file):
    """Return the bytes of a file in memory."""
    file.flush()
    return file.id.get_file_image()


class _OtherFormat(checks.InputError):
    """A file that another version of wgf wrote."""


@contextlib.contextmanager
def _open(content, where="stored run"):
    """Open the bytes of a snapshot for reading; what it lacks makes it foreign."""
    import h5py

    _reserve(len(content))
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            version = int(file.attrs["wgf_format"])
            if version != FORMAT:
                raise _OtherFormat(
                    f"{where}: format {version} is not the format {FORMAT} that this wgf reads, "
                    "use the version of wgf that wrote it"
                )
            yield file
    except _OtherFormat:
        raise
    except FOREIGN as error:
        reason = " ".join(str(error).split()).strip("'\"")
        raise checks.InputError(
            f"{where}: is no snapshot of wgf ({reason}), {directory.REMEDY}"
        ) from None


def _chunks(shape, itemsize=8):
    """Return the shape of a chunk: everything, halved along the slowest axes until it fits."""
    chunks = list(shape)
    for axis in range(len(chunks)):
        while chunks[axis] > 1 and math.prod(chunks) * itemsize > CHUNK_BYTES:
            chunks[axis] = -(-chunks[axis] // 2)
    return tuple(chunks)


def _scale(group, name, values, **options):
    dataset = group.create_dataset(name, data=values, **options)
    dataset.make_scale(name.rpartition("/")[2])
    return dataset


def _attach(dataset, scales):
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)


def _fill(group, name, values, scales, chunks=None):
    """Write an array with a checksum and attach a dimension scale to each of its axes."""
    options = _checked(chunks or values.shape)
    _attach(group.create_dataset(name, data=values, **options), scales)


def _checked(chunks):
    return {"fletcher32": True, "chunks": _chunks(chunks)} if math.prod(chunks) else {}


def _write(file, content, joined=False):
    """Write the datasets of `schema.content` with their scales.

    Where the content of snapshots is `joined`, their scales of times and steps have a checksum.
    """
    cells = schema.cells_of(content["measure_json"])
    for name, values in content.items():
        values, attributes = values if isinstance(values, schema.Marked) else (values, {})
        if values is None:
            file.create_group(name, track_order=True)
            continue
        made = values(file, name) if callable(values) else None
        dimensions = np.ndim(values) if made is None else made.ndim
        item = schema.item_of(name, dimensions, cells)
        if made is None and dimensions and item.dtype:
            values = np.asarray(values, item.dtype)
        if item.is_scale(name):
            checked = joined and name in ("time", "step")
            made = _scale(file, name, values, **_checked(values.shape) if checked else {})
        elif made is not None:
            _attach(made, _scales(file, item.axes, made.shape))
        elif dimensions:
            chunks = (1, *values.shape[1:]) if item.axes[0] == "time" and dimensions > 1 else None
            _fill(file, name, values, _scales(file, item.axes, values.shape), chunks)
        else:
            made = file.create_dataset(name, data=values)
        if attributes:
            made.attrs.update(attributes)


def _scales(file, names, shape):
    """Return the scales of those names; one that is not there yet counts from 0."""
    for name, length in zip(names, shape):
        if name not in file:
            _scale(file, name, np.arange(length, dtype=schema.INTEGER))
    return [file[name] for name in names]


def _blank(shape, chunks, file, name):
    """Make a dataset that is filled piece by piece."""
    return file.create_dataset(
        name, shape, "<f8", fletcher32=True, chunks=_chunks(chunks), fillvalue=np.nan
    )


def snapshot_image(step, time, measure, *more):
    """Return the bytes of the HDF5 file that holds one snapshot; see `store.Writer.write`."""
    large = schema.of_arrays(measure)
    held = [*large.values(), *map(np.asarray, more[2].values())]
    with memory_file(sum(values.nbytes for values in held)) as file:
        _put_snapshot(file, large, step, time, measure, *more)
        return image(file)


def write_snapshot(parts, stream):
    """Write the same into a file, the density piece by piece: no more than one is in memory."""
    import h5py

    measure = parts[2]
    _reserve(8 * measure.block)
    shape, plane = measure.mesh.shape, measure.mesh.cells // measure.mesh.shape[0]
    chunks = (1, min(measure.block // plane, shape[0]), *shape[1:])

    def arriving(file, name):
        dataset = _blank((1, *shape), chunks, file, name)
        for start, stop, values in measure.pieces():
            dataset[0, start // plane : stop // plane] = values.reshape(-1, *shape[1:])
        return dataset

    calm = directory.Calm(stream)
    try:
        with h5py.File(calm, "w", libver=LIBRARY, track_order=True) as file:
            _put_snapshot(_sign(file), {"density": arriving}, *parts)
    finally:
        if calm.error is not None:
            raise calm.error


def _put_snapshot(file, large, step, time, measure, output, rows, restart, *data):
    *data, texts = data
    measures = schema.of_measure(
        schema.describe(measure), large, ",".join(measure.axis_names()), measure.size
    )
    steps = directory.steps_of([{"step": step, "rows": len(next(iter(rows.values()), ()))}])
    outputs = None if output is None else np.asarray(output)[None]
    times = np.array([time])
    _write(file, schema.content(measures, times, steps, rows, outputs, *data, texts, restart))
    _link_vtk(file)


def _link_vtk(file, plain=False):
    """Add the group by which VTK's HDF reader finds the density: attributes and a link.

    The reader wants exactly (z, y, x) of a file with one time and (time, z, y, x) of one with
    several; where the density has another shape, a virtual dataset over it in the same file takes
    the place of the soft link, a copy if nothing virtual may be in the file.
    """
    import h5py

    kind, mesh = schema.described(file["measure_json"].asstr()[()])
    if kind != "density" or mesh.dimension > 3:
        return
    # VTK counts the fastest axis first and wants three of them
    extent, spacing, origin = [], [], []
    for axis in [*mesh.axes[::-1], *[None] * (3 - mesh.dimension)]:
        cells, step, low = (axis.cells, axis.spacing, axis.lower) if axis else (1, 1.0, 0.0)
        extent += [0, cells]
        spacing.append(step)
        origin.append(low)
    group = file.create_group("VTKHDF")
    group.attrs["Version"] = np.array([2, 0], "<i8")
    group.attrs.create("Type", b"ImageData", dtype=h5py.string_dtype("ascii", len("ImageData")))
    group.attrs["WholeExtent"] = np.array(extent, "<i8")
    group.attrs["Origin"] = np.array(origin)
    group.attrs["Spacing"] = np.array(spacing)
    group.attrs["Direction"] = np.eye(3).ravel()
    count = file["time"].shape[0]
    steps = group.create_group("Steps")
    steps.attrs["NSteps"] = np.int64(count)
    steps["Values"] = h5py.SoftLink("/time")
    offsets = np.arange(count, dtype="<i8")
    scale = _scale(steps, "offset", offsets)
    _fill(steps.create_group("CellDataOffsets"), "density", offsets, (scale,))
    cells, density = group.create_group("CellData"), file["density"]
    missing = 3 - mesh.dimension
    shape = (*([count] if count > 1 else []), *[1] * missing, *mesh.shape)
    if shape == density.shape:
        cells["density"] = h5py.SoftLink("/density")
        return
    scales = [density.dims[i][0] for i in range(density.ndim)]
    if missing:
        scales[1:1] = [_scale(group, f"unit{i}", np.zeros(1, "<i8")) for i in range(missing)]
    scales = scales[count == 1 :]
    if plain:
        _fill(cells, "density", density[()].reshape(shape), scales)
        return
    view = h5py.VirtualLayout(shape, density.dtype)
    view[...] = h5py.VirtualSource(".", "/density", density.shape)
    _attach(cells.create_virtual_dataset("density", view, fillvalue=np.nan), scales)


def read_record(content, where="stored run"):
    """Return the record in a snapshot or in an index, None for an index of views alone.

    Its `steps` are the numbers of the steps that the rows of diagnostics are of.
    """
    with _open(content, where) as file:
        if file["time"].is_virtual:
            return None

        def read(name):
            return file[name][()] if name in file else None

        # a snapshot, which holds a restart, has the group even without rows
        rows = file["diagnostics"].items() if {"diagnostics", "restart"} & set(file) else ()
        problem, provenance = (
            json.loads(file[f"{name}_json"].asstr()[()]) for name in ("problem", "provenance")
        )
        return Record(
            problem,
            *(read("target"), read("abscissa")),
            times=read("time"),
            outputs=read("output"),
            diagnostics={name: data[()] for name, data in rows if not data.is_scale},
            steps=read("step"),
            provenance=provenance,
        )


def read_measure(content, where="stored run"):
    """Return the measure of a snapshot."""
    with _open(content, where) as file:
        kind, domain = schema.described(file["measure_json"].asstr()[()])
        if kind == "density":
            return Measure.kinds[kind](domain, file["density"][0])
        group = file["particles"]
        velocities = group["velocities"][0] if "velocities" in group else None
        return Measure.kinds[kind](group["points"][0], group["weights"][0], velocities, domain)


def read_restart(content, where="stored run"):
    """Return what a continuation needs, with the types it was given."""
    with _open(content, where) as file:
        found = {}
        for name, dataset in file["restart"].items():
            if not dataset.is_scale:
                value = dataset.asstr()[()] if dataset.dtype.kind == "O" else dataset[()]
                value = schema.state(value, dataset.attrs.get("kind"))
                found[name.removeprefix("state_")] = value
        return found


def index_image(record, path, entries):
    """Return the bytes of an index of all snapshots, whose large datasets are views of theirs."""
    import h5py

    def source(number):
        return h5py.File(path / entries[number]["name"], "r")

    def view(shape, parts, file, name):
        layout = h5py.VirtualLayout(shape, "<f8")
        for number, where, part in parts:
            layout[where] = h5py.VirtualSource(entries[number]["name"], name, part)
        return file.create_virtual_dataset(name, layout, fillvalue=np.nan)

    return _joined_image(record, entries, source, view)


def packed_image(record, contents, entries, restart):
    """Return the bytes of one plain file with every snapshot and the last restart point.

    `contents` is a sequence of the bytes of the snapshots. Nothing in the file is virtual: VTK's
    view of a mesh of one or two axes is a copy.
    """

    def source(number):
        return _open(contents[number])

    def copy(shape, parts, file, name):
        dataset = _blank(shape, (1, *shape[1:]), file, name)
        for number, where, _part in parts:
            with source(number) as snapshot:
                dataset[where] = snapshot[name][()]
        return dataset

    return _joined_image(record, entries, source, copy, restart or None, plain=True)


def _joined_image(record, entries, source, make, restart=None, plain=False):
    """Return the bytes of a file of all times.

    ``source(number)`` opens a snapshot, ``make(shape, parts, file, name)`` makes a large dataset
    of parts given as ``(number, where it goes, its shape)``.
    """
    numbers, counts, names = range(len(entries)), [], ""
    with source(numbers[-1]) as last:
        text = last["measure_json"].asstr()[()]
        shapes = {name: last[name].shape[1:] for name in schema.LARGE if name in last}
        if "component" in last:
            names = last["component"].attrs["names"]
    for number in numbers if names else ():
        with source(number) as snapshot:
            counts.append(snapshot["particle"].shape[0])
    large = {}
    for name, (count, *rest) in shapes.items():
        lengths = counts or [count] * len(entries)
        parts = [
            (number, (slice(number, number + 1), slice(0, length)), (1, length, *rest))
            for number, length in enumerate(lengths)
        ]
        large[name] = functools.partial(make, (len(entries), max(lengths), *rest), parts)
    measures = schema.of_measure(text, large, names, max(counts, default=0))
    texts = {
        "problem_json": json.dumps(record.problem),
        "provenance_json": json.dumps(record.provenance),
    }
    data = record.diagnostics, record.outputs, record.target, record.abscissa, texts, restart
    with memory_file() as file:
        _write(
            file, schema.content(measures, record.times, directory.steps_of(entries), *data), True
        )
        _link_vtk(file, plain)
        file.attrs["status"] = record.status
        return image(file)


def grid_of(content):
    """Return ``(dimensions, variables)`` of a file of arrays over named dimensions."""
    import h5py

    def values(dataset):
        text = dataset.dtype.kind == "O"
        return dataset.asstr()[()] if text else dataset[()]

    with h5py.File(io.BytesIO(content), "r") as file:
        scales = {name: values(data) for name, data in file.items() if data.is_scale}
        variables = {
            name: (tuple(axis[0].name.lstrip("/") for axis in data.dims), values(data))
            for name, data in file.items()
            if not data.is_scale
        }
    return scales, variables


def tables_image(tables, attributes):
    """Return the bytes of an HDF5 file of named tables; see `wgf.tables.write`."""
    with memory_file() as file:
        file.attrs.update(attributes)
        for names, columns in tables.items():
            # a slash would open another group
            group = file.create_group("/".join(name.replace("/", " per ") for name in names))
            for name, values in columns.items():
                values = np.asarray(values)
                text = values.dtype.kind in "US"
                group.create_dataset(name, data=values.astype(object) if text else values)
        return image(file)
