"""The layout of a snapshot in HDF5, netCDF-4 style: named dimensions, plain types, no surprises.

Every dataset with axes has a dimension scale for each of them, so that xarray, ncdump and h5dump
name the axes; a small group of soft links lets VTK and ParaView read a mesh. This is the only
module that touches h5py.
"""

import contextlib
import io
import json
import math
import uuid

import numpy as np

from wgf import checks
from wgf.measures.density import Density
from wgf.measures.mesh import Mesh
from wgf.measures.particles import Particles
from wgf.record import directory

FORMAT = 1
# names at the root of a file that an axis of a mesh must not shadow
TAKEN = {
    *("time", "step", "sample", "input", "particle", "component", "density", "particles"),
    *("output", "target", "abscissa", "diagnostics", "restart", "VTKHDF"),
    *("measure_json", "problem_json", "provenance_json"),
}
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


def _put(group, name, values, scales, dtype="<f8"):
    """Write an array and attach a dimension scale to each of its axes."""
    values = np.asarray(values, dtype=dtype)
    options = {"fletcher32": True, "chunks": _chunks(values.shape)} if values.size else {}
    return _attach(group.create_dataset(name, data=values, **options), scales)


def _attach(dataset, scales):
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)
    return dataset


def _scale(file, name, values, **attributes):
    dataset = file.create_dataset(name, data=np.asarray(values))
    dataset.make_scale(name.rpartition("/")[2])
    dataset.attrs.update(attributes)
    return dataset


def axis_dataset(name):
    """Return the name under which the axis `name` is stored."""
    return f"axis_{name}" if name in TAKEN or name.startswith("axis_") else name


def snapshot_image(step, time, measure, *more):
    """Return the bytes of the HDF5 file that holds one snapshot; see `store.Writer.write`."""
    restart = more[2]
    held = measure.values if isinstance(measure, Density) else measure.points
    size = held.nbytes + sum(np.asarray(value).nbytes for value in restart.values())
    with memory_file(size) as file:
        _put_snapshot(file, step, time, measure, *more)
        return image(file)


def write_snapshot(parts, stream):
    """Write the same into a file, the density piece by piece: no more than one is in memory."""
    import h5py

    _reserve(8 * parts[2].block)
    calm = directory.Calm(stream)
    try:
        with h5py.File(calm, "w", libver=LIBRARY, track_order=True) as file:
            _put_snapshot(_sign(file), *parts)
    finally:
        if calm.error is not None:
            raise calm.error


def _put_snapshot(file, step, time, measure, output, rows, restart, target, abscissa, common):
    times = _scale(file, "time", np.array([time], "<f8"), long_name="flow time")
    _put_measure(file, measure, times)
    count = len(next(iter(rows.values()), ()))
    steps = _scale(file, "step", np.arange(step - count + 1, step + 1, dtype="<i8"))
    diagnostics = file.create_group("diagnostics", track_order=True)
    for name, column in rows.items():
        _put(diagnostics, name, column, (steps,))
    _put_data(file, output, target, abscissa, times)
    _put_restart(file.create_group("restart", track_order=True), restart)
    for name, text in common.items():
        file.create_dataset(name, data=text)


def _put_measure(file, measure, times):
    domain = measure.domain
    description = {
        "kind": "Density" if isinstance(measure, Density) else "Particles",
        "domain": None if domain is None else domain.describe(),
    }
    file.create_dataset("measure_json", data=json.dumps(description))
    if isinstance(measure, Density):
        scales = [times]
        for name, axis in zip(domain.names, domain.axes):
            scales.append(_scale(file, axis_dataset(name), axis.centers, spacing=axis.spacing))
        _put_density(file, measure, scales)
        _link_vtk(file, measure.mesh)
        return
    m, d = measure.points.shape
    names = ",".join(measure.names or [f"x{i + 1}" for i in range(d)])
    particles = _scale(file, "particle", np.arange(m, dtype="<i8"))
    components = _scale(file, "component", np.arange(d, dtype="<i8"), names=names)
    group = file.create_group("particles")
    _put(group, "points", measure.points[None], (times, particles, components))
    _put(group, "weights", measure.weights[None], (times, particles))
    if measure.velocities is not None:
        _put(group, "velocities", measure.velocities[None], (times, particles, components))


def _put_density(file, measure, scales):
    if not hasattr(measure, "stream"):
        _put(file, "density", measure.values[None], scales)
        return
    shape = measure.mesh.shape
    plane = measure.mesh.cells // shape[0]
    chunks = (1, min(measure.block // plane, shape[0]), *shape[1:])
    dataset = file.create_dataset(
        "density", (1, *shape), "<f8", fletcher32=True, chunks=_chunks(chunks)
    )
    for start, stop, values in measure.pieces():
        dataset[0, start // plane : stop // plane] = values.reshape(-1, *shape[1:])
    _attach(dataset, scales)


def _put_data(file, output, target, abscissa, times):
    lengths = [len(values) for values in (output, target, abscissa) if values is not None]
    if not lengths:
        return
    samples = _scale(file, "sample", np.arange(lengths[0], dtype="<i8"))
    if output is not None:
        _put(file, "output", np.asarray(output)[None], (times, samples))
    for name, values in (("target", target), ("abscissa", abscissa)):
        if values is not None and len(values) == lengths[0]:
            scales = [samples]
            if np.ndim(values) == 2:
                scales.append(_scale(file, "input", np.arange(values.shape[1], dtype="<i8")))
            _put(file, name, values, scales)


def _put_restart(group, restart):
    for key, value in restart.items():
        # a scalar called like a dimension would be taken for its scale
        name = f"state_{key}"
        if isinstance(value, np.ndarray) and value.ndim:
            scales = [
                _scale(group, f"{name}_index{i}", np.arange(n, dtype="<i8"))
                for i, n in enumerate(value.shape)
            ]
            _put(group, name, value, scales, dtype=value.dtype.newbyteorder("<"))
        elif type(value) is int:
            # as text: the state of a random generator has more than 64 bits
            group.create_dataset(name, data=str(value)).attrs["kind"] = "int"
        else:
            group.create_dataset(name, data=value).attrs["kind"] = type(value).__name__


def _link_vtk(file, mesh):
    """Add the group by which VTK's HDF reader finds the density: attributes and a link.

    The reader wants exactly (z, y, x) of a file with one time and (time, z, y, x) of one with
    several; where the density has another shape, a virtual dataset over it in the same file
    takes the place of the soft link.
    """
    import h5py

    if mesh.dimension > 3:
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
    _put(steps.create_group("CellDataOffsets"), "density", offsets, (scale,), dtype="<i8")
    cells, density = group.create_group("CellData"), file["density"]
    missing = 3 - mesh.dimension
    shape = (*([count] if count > 1 else []), *[1] * missing, *mesh.shape)
    if shape == density.shape:
        cells["density"] = h5py.SoftLink("/density")
        return
    scales = [density.dims[i][0] for i in range(density.ndim)]
    if missing:
        scales[1:1] = [_scale(group, f"unit{i}", np.zeros(1, "<i8")) for i in range(missing)]
    view = h5py.VirtualLayout(shape, density.dtype)
    view[...] = h5py.VirtualSource(".", "/density", density.shape)
    made = cells.create_virtual_dataset("density", view, fillvalue=np.nan)
    for axis, scale in enumerate(scales[count == 1 :]):
        made.dims[axis].attach_scale(scale)


def read_common(content, where="stored run"):
    """Return time, step, rows, output, data, problem and provenance of a snapshot."""
    with _open(content, where) as file:

        def read(name):
            return file[name][()] if name in file else None

        output = read("output")
        return {
            "time": float(file["time"][0]),
            "steps": file["step"][()],
            "rows": {name: data[()] for name, data in file["diagnostics"].items()},
            "output": None if output is None else output[0],
            "target": read("target"),
            "abscissa": read("abscissa"),
            "problem": json.loads(file["problem_json"].asstr()[()]),
            "provenance": json.loads(file["provenance_json"].asstr()[()]),
        }


def read_measure(content, where="stored run"):
    """Return the density or the particles of a snapshot."""
    with _open(content, where) as file:
        description = json.loads(file["measure_json"].asstr()[()])
        domain = description["domain"]
        domain = None if domain is None else Mesh.from_description(domain)
        if description["kind"] == "Density":
            return Density(domain, file["density"][0])
        group = file["particles"]
        velocities = group["velocities"][0] if "velocities" in group else None
        return Particles(group["points"][0], group["weights"][0], velocities, domain)


def read_restart(content, where="stored run"):
    """Return what a continuation needs, with the types it was given."""
    with _open(content, where) as file:
        found = {}
        for name, dataset in file["restart"].items():
            if dataset.is_scale:
                continue
            value = dataset.asstr()[()] if dataset.dtype.kind == "O" else dataset[()]
            kind = dataset.attrs.get("kind")
            if kind == "int":
                value = int(value)
            elif kind in ("float", "bool"):
                value = value.item()
            elif kind == "ndarray":
                value = np.asarray(value)
            found[name.removeprefix("state_")] = value
        return found


def index_image(path, entries, status):
    """Return the bytes of an index: virtual datasets over the listed snapshots."""
    import h5py

    def source(name):
        return h5py.File(path / name, "r")

    names = [entry["name"] for entry in entries]
    with source(names[-1]) as last, memory_file() as file:
        counts = _counts(last, names, source, [entry["rows"] for entry in entries])

        def join(item, name, axis):
            shape = _joined_shape(item, axis, counts)
            layout = h5py.VirtualLayout(shape, item.dtype)
            for entry, where, part in _parts(item, axis, counts):
                if 0 not in part:
                    layout[where] = h5py.VirtualSource(names[entry], name, part)
            return file.create_virtual_dataset(name, layout, fillvalue=_fill(item.dtype))

        _copy(last, file, join, counts)
        file.attrs["status"] = status
        return image(file)


def packed_image(contents, rows, status):
    """Return the bytes of one plain file with every snapshot and the last restart point.

    `contents` is a sequence of the bytes of the snapshots. Nothing in the file is virtual: VTK's
    view of a mesh of one or two axes is a copy.
    """
    names = range(len(contents))

    def source(name):
        return _open(contents[name])

    with source(names[-1]) as last, memory_file() as file:
        counts = _counts(last, names, source, rows)
        joined = []

        def join(item, name, axis):
            shape = _joined_shape(item, axis, counts)
            options = {}
            if 0 not in shape:
                options = {"fletcher32": True, "chunks": _chunks((1, *shape[1:]))}
                if item.ndim == 1:
                    options["chunks"] = _chunks(shape)
            made = file.create_dataset(
                name, shape, item.dtype, fillvalue=_fill(item.dtype), **options
            )
            joined.append((made, name, list(_parts(item, axis, counts))))
            return made

        _copy(last, file, join, counts, restart=True)
        for number in names:
            with source(number) as part:
                for made, name, parts in joined:
                    if name in part:
                        made[parts[number][1]] = part[name][()]
        if "VTKHDF" in file and file["VTKHDF/CellData/density"].is_virtual:
            _materialise(file["VTKHDF/CellData"], file["density"])
        file.attrs["status"] = status
        return image(file)


def _materialise(cells, density):
    """Replace VTK's virtual view of the density by a copy."""
    shape = cells["density"].shape
    scales = [cells["density"].dims[i][0] for i in range(len(shape))]
    del cells["density"]
    _put(cells, "density", density[()].reshape(shape), scales)


def _counts(last, names, source, rows):
    """Return the lengths of what differs between snapshots: one time each, rows, particles."""
    particles = None
    if "particle" in last:
        particles = []
        for name in names:
            with source(name) as file:
                particles.append(file["particle"].shape[0])
    return {"time": [1] * len(rows), "step": rows, "particle": particles}


def _joined_shape(item, axis, counts):
    shape = [sum(counts[axis]), *item.shape[1:]]
    if item.name.startswith("/particles/"):
        shape[1] = max(counts["particle"])
    return tuple(shape)


def _parts(item, axis, counts):
    """Yield ``(number, where it goes, shape)`` of the part of every snapshot."""
    begin = 0
    for number, count in enumerate(counts[axis]):
        where, shape = [slice(begin, begin + count)], [count, *item.shape[1:]]
        if item.name.startswith("/particles/"):
            shape[1] = counts["particle"][number]
            where.append(slice(0, shape[1]))
        yield number, tuple(where), tuple(shape)
        begin += count


def _fill(dtype):
    return np.nan if dtype.kind == "f" else -1


def _copy(last, file, join, counts, restart=False):
    """Copy the layout of a snapshot into `file`, joining what has a time or a step axis."""
    import h5py

    scales, pending = {}, []

    def axes_of(name, dataset):
        if dataset.is_scale:
            return [name]
        dims = [dataset.dims[i] for i in range(dataset.ndim)]
        return [dim[0].name.lstrip("/") for dim in dims if len(dim)]

    def visit(name, item):
        top = name.split("/")[0]
        if top == "VTKHDF" or (top == "restart" and not restart):
            return
        if not isinstance(item, h5py.Dataset):
            return
        axes = axes_of(name, item)
        if axes and axes[0] in ("time", "step"):
            made = join(item, name, axes[0])
        elif name == "particle":
            made = file.create_dataset(name, data=np.arange(max(counts["particle"]), dtype="<i8"))
        else:
            checked = {"fletcher32": True, "chunks": item.chunks} if item.fletcher32 else {}
            made = file.create_dataset(name, data=item[()], dtype=item.dtype, **checked)
        for key, value in item.attrs.items():
            if key not in ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"):
                made.attrs[key] = value
        if item.is_scale:
            made.make_scale(name.rpartition("/")[2])
            scales[name] = made
        else:
            pending.append((made, axes))

    last.visititems(visit)
    for dataset, axes in pending:
        for i, axis in enumerate(axes):
            dataset.dims[i].attach_scale(scales[axis])
    description = json.loads(last["measure_json"].asstr()[()])
    if description["kind"] == "Density":
        _link_vtk(file, Mesh.from_description(description["domain"]))


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
