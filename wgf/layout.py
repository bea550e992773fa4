"""The layout of a snapshot in HDF5, netCDF-4 style: named dimensions, plain types, no surprises.

Every dataset with axes has a dimension scale for each of them, so that xarray, ncdump and h5dump
name the axes; a small group of soft links lets VTK and ParaView read a mesh. This is the only
module that touches h5py.
"""

import datetime
import io
import json
import os
import platform
import subprocess
import sys
import uuid

import numpy as np

from wgf import __version__
from wgf.measure import Density, Particles
from wgf.mesh import Mesh

FORMAT = 1
# names of dimensions and datasets that an axis of a mesh must not shadow
TAKEN = {"time", "step", "sample", "particle", "component", "density", "output", "target"}
LIBRARY = ("earliest", "v110")


def provenance():
    """Return who ran what where: command line, versions, threads, host, start time."""
    import h5py
    import scipy

    found = {
        "command": sys.argv,
        "wgf": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "h5py": h5py.__version__,
        "hdf5": h5py.version.hdf5_version,
        "platform": platform.platform(),
        "threads": int(os.environ.get("NUMBA_NUM_THREADS", os.cpu_count() or 1)),
        "ranks": 1,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    if "numba" in sys.modules:
        found["numba"] = sys.modules["numba"].__version__
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        found["commit"] = git.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return found


def _memory_file():
    import h5py

    # nothing is written under this name: the file lives in memory and is copied out
    name = f"wgf-{uuid.uuid4().hex}.h5"
    file = h5py.File(
        name, "w", driver="core", backing_store=False, libver=LIBRARY, track_order=True
    )
    file.attrs["Conventions"] = "CF-1.10"
    file.attrs["wgf_format"] = FORMAT
    return file


def _image(file):
    file.flush()
    return file.id.get_file_image()


def _open(content):
    import h5py

    return h5py.File(io.BytesIO(content), "r")


def _put(group, name, values, scales, dtype="<f8"):
    """Write an array and attach a dimension scale to each of its axes."""
    values = np.asarray(values, dtype=dtype)
    options = {"fletcher32": True, "chunks": values.shape} if values.size else {}
    dataset = group.create_dataset(name, data=values, **options)
    for axis, scale in enumerate(scales):
        dataset.dims[axis].attach_scale(scale)
    return dataset


def _scale(file, name, values, **attributes):
    dataset = file.create_dataset(name, data=np.asarray(values))
    dataset.make_scale(name)
    dataset.attrs.update(attributes)
    return dataset


def axis_dataset(name):
    """Return the name under which the axis `name` is stored."""
    return f"axis_{name}" if name in TAKEN else name


def snapshot_image(step, time, measure, output, rows, restart, target, abscissa, common):
    """Return the bytes of the HDF5 file that holds one snapshot; see `wgf.store.Writer.write`."""
    with _memory_file() as file:
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
        return _image(file)


def _put_measure(file, measure, times):
    domain = measure.domain
    description = {
        "kind": type(measure).__name__,
        "domain": None if domain is None else domain.describe(),
    }
    file.create_dataset("measure_json", data=json.dumps(description))
    if isinstance(measure, Density):
        scales = [times]
        for name, axis in zip(domain.names, domain.axes):
            scales.append(_scale(file, axis_dataset(name), axis.centers, spacing=axis.spacing))
        _put(file, "density", measure.values[None], scales)
        _link_vtk(file, measure.mesh, times)
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


def _put_data(file, output, target, abscissa, times):
    if output is not None:
        samples = _scale(file, "sample", np.arange(len(output), dtype="<i8"))
        _put(file, "output", np.asarray(output)[None], (times, samples))
        for name, values in (("target", target), ("abscissa", abscissa)):
            if values is not None and len(values) == len(output):
                _put(file, name, values, (samples,))


def _put_restart(group, restart):
    for name, value in restart.items():
        # a scalar called like a dimension would be taken for its scale
        name = f"state_{name}"
        if isinstance(value, np.ndarray) and value.ndim:
            scales = [
                _scale(group, f"{name}_index{i}", np.arange(n, dtype="<i8"))
                for i, n in enumerate(value.shape)
            ]
            _put(group, name, value, scales, dtype=value.dtype.newbyteorder("<"))
        else:
            group.create_dataset(name, data=value)


def _link_vtk(file, mesh, times):
    """Add the group by which VTK's HDF reader finds the mesh: attributes and soft links only."""
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
    group.create_group("CellData")["density"] = h5py.SoftLink("/density")
    steps = group.create_group("Steps")
    steps.attrs["NSteps"] = np.int64(times.shape[0])
    steps["Values"] = h5py.SoftLink("/time")
    offsets = np.arange(times.shape[0], dtype="<i8")
    scale = _scale(steps, "offset", offsets)
    _put(steps.create_group("CellDataOffsets"), "density", offsets, (scale,), dtype="<i8")


def read_common(content):
    """Return time, rows, output, data, problem and provenance of a snapshot."""
    with _open(content) as file:

        def read(name):
            return file[name][()] if name in file else None

        output = read("output")
        return {
            "time": float(file["time"][0]),
            "rows": {name: data[()] for name, data in file["diagnostics"].items()},
            "output": None if output is None else output[0],
            "target": read("target"),
            "abscissa": read("abscissa"),
            "problem": json.loads(file["problem_json"].asstr()[()]),
            "provenance": json.loads(file["provenance_json"].asstr()[()]),
        }


def read_measure(content):
    """Return the density or the particles of a snapshot."""
    with _open(content) as file:
        description = json.loads(file["measure_json"].asstr()[()])
        domain = description["domain"]
        domain = None if domain is None else Mesh.from_description(domain)
        if description["kind"] == "Density":
            return Density(domain, file["density"][0])
        group = file["particles"]
        velocities = group["velocities"][0] if "velocities" in group else None
        return Particles(group["points"][0], group["weights"][0], velocities, domain)


def read_restart(content):
    """Return what a continuation needs, with the types it was given."""
    with _open(content) as file:
        found = {}
        for name, dataset in file["restart"].items():
            if dataset.is_scale:
                continue
            value = dataset.asstr()[()] if dataset.dtype.kind == "O" else dataset[()]
            found[name.removeprefix("state_")] = (
                value.item() if isinstance(value, np.generic) else value
            )
        return found


def read_status(path):
    """Return the status that the index tells, ``"running"`` without a readable index."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs["status"])
    except (OSError, KeyError):
        return "running"


def index_image(path, entries, status):
    """Return the bytes of an index: virtual datasets over the listed snapshots."""
    import h5py

    with h5py.File(path / entries[-1]["name"], "r") as last, _memory_file() as file:
        lengths = {"time": [1] * len(entries), "step": [entry["rows"] for entry in entries]}

        def join(source, name, axis):
            counts = lengths[axis]
            layout = h5py.VirtualLayout((sum(counts), *source.shape[1:]), source.dtype)
            begin = 0
            for entry, count in zip(entries, counts):
                part = h5py.VirtualSource(entry["name"], name, (count, *source.shape[1:]))
                layout[begin : begin + count] = part
                begin += count
            return file.create_virtual_dataset(name, layout, fillvalue=_fill(source.dtype))

        _joined(last, file, join)
        file.attrs["status"] = status
        return _image(file)


def packed_image(contents, status):
    """Return the bytes of one plain file with every snapshot of a run."""
    files = [_open(content) for content in contents]
    with _memory_file() as file:

        def join(source, name, axis):
            values = np.concatenate([part[name][()] for part in files])
            options = {"fletcher32": True, "chunks": source.shape} if values.size else {}
            return file.create_dataset(name, data=values, **options)

        _joined(files[-1], file, join)
        file.attrs["status"] = status
        return _image(file)


def _fill(dtype):
    return np.nan if dtype.kind == "f" else -1


def _joined(last, file, join):
    """Copy the layout of a snapshot into `file`, joining what has a time or a step axis."""
    import h5py

    scales = {}

    def axes_of(dataset):
        return [dataset.dims[i][0].name for i in range(dataset.ndim) if len(dataset.dims[i])]

    def visit(name, item):
        if name.startswith(("restart", "VTKHDF")) or not isinstance(item, h5py.Dataset):
            return
        axes = [name] if item.is_scale else [axis.lstrip("/") for axis in axes_of(item)]
        if axes and axes[0] in ("time", "step"):
            made = join(item, name, axes[0])
        else:
            made = file.create_dataset(name, data=item[()])
        for key, value in item.attrs.items():
            if key not in ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"):
                made.attrs[key] = value
        if item.is_scale:
            made.make_scale(name)
            scales[name] = made
        else:
            pending.append((made, axes))

    pending = []
    last.visititems(visit)
    for dataset, axes in pending:
        for i, axis in enumerate(axes):
            dataset.dims[i].attach_scale(scales[axis])
    description = json.loads(last["measure_json"].asstr()[()])
    if description["kind"] == "Density":
        _link_vtk(file, Mesh.from_description(description["domain"]), scales["time"])
