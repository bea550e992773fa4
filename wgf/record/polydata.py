"""Particles as a VTKHDF file of type PolyData, which VTK and ParaView play as a film.

Written when it is asked for, by ``wgf pack RUN -o FILE.vtkhdf``: the reader wants every point of
every time in one array, three coordinates each, and a cell for every point.
"""

import numpy as np

from wgf import checks
from wgf.record import layout

KINDS = ("Vertices", "Lines", "Polygons", "Strips")


def image(run):
    """Return the bytes of a VTKHDF file of a run of particles.

    The first three axes are the coordinates, the last of them x, as VTK counts the axes of a
    density, and missing ones 0. Every axis is also a field of its name, beside ``weight`` and the
    velocities ``v_…``.

    Parameters
    ----------
    run : Run or Solution
        Of particles.
    """
    first = run.snapshots[0]
    counts = np.array([len(measure.weights) for measure in run.snapshots], "<i8")
    names = first.names or [f"x{i + 1}" for i in range(first.points.shape[1])]
    fields = ["weight", *names]
    if first.velocities is not None:
        fields += [f"v_{name}" for name in names]
    for name in names:
        if fields.count(name) > 1:
            raise checks.InputError(f"pack: {name} is an axis and another field, rename the axis")
    size = 8 * int(counts.sum()) * (len(fields) + 5)
    with layout.memory_file(size) as file:
        top = file.create_group("VTKHDF")
        top.attrs["Version"] = np.array([2, 0], "<i8")
        top.attrs["Type"] = np.bytes_("PolyData")
        top["NumberOfPoints"] = counts
        _put_cells(top, counts)
        _put_points(top, run, fields, int(counts.sum()))
        _put_steps(top, run.times, counts, fields)
        return layout.image(file)


def _put_cells(top, counts):
    """Write one vertex a point; the other kinds of cells are there and empty."""
    for kind in KINDS:
        group = top.create_group(kind)
        own = counts if kind == "Vertices" else np.zeros_like(counts)
        group["NumberOfCells"] = group["NumberOfConnectivityIds"] = own
        group["Connectivity"] = np.concatenate([np.arange(n, dtype="<i8") for n in own])
        group["Offsets"] = np.concatenate([np.arange(n + 1, dtype="<i8") for n in own])


def _put_points(top, run, fields, total):
    def room(group, name, *shape):
        return group.create_dataset(
            name, (total, *shape), "<f8", chunks=(min(total, 1 << 16), *shape), fletcher32=True
        )

    points = room(top, "Points", 3)
    data = top.create_group("PointData")
    columns = [room(data, name) for name in fields]
    begin = 0
    for measure in run.snapshots:
        end = begin + len(measure.weights)
        place = np.zeros((end - begin, 3))
        shown = measure.points[:, :3]
        place[:, : shown.shape[1]] = shown[:, ::-1]
        points[begin:end] = place
        parts = [measure.weights[:, None], measure.points, measure.velocities]
        held = np.concatenate([part for part in parts if part is not None], axis=1)
        for column, values in zip(columns, held.T):
            column[begin:end] = values
        begin = end


def _put_steps(top, times, counts, fields):
    """Tell where each time begins in the arrays; every time is one part."""
    steps = top.create_group("Steps")
    steps.attrs["NSteps"] = np.int64(len(times))
    steps["Values"] = np.asarray(times, "<f8")
    steps["PartOffsets"] = np.arange(len(times), dtype="<i8")
    steps["NumberOfParts"] = np.ones(len(times), "<i8")
    starts = np.cumsum(counts) - counts
    steps["PointOffsets"] = starts
    cells = np.zeros((len(times), len(KINDS)), "<i8")
    cells[:, 0] = starts
    steps["CellOffsets"] = steps["ConnectivityIdOffsets"] = cells
    offsets = steps.create_group("PointDataOffsets")
    for name in fields:
        offsets[name] = starts
