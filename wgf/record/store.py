"""A run on disk: a directory of immutable HDF5 snapshots, an index over them and a manifest.

    RUN/snapshots/000000.h5 …   self-contained, each a point to resume from
    RUN/manifest.jsonl          a line a finished file: name, bytes, sha256, step, t, rows; the
                                last line is that of run.h5, with the status of the run
    RUN/run.h5                  derived: times, rows and outputs, and views of the measures in the
                                snapshots; rebuilt at will

A snapshot is built in memory, written to a temporary, synchronised and renamed, and only then
listed in the manifest: what the manifest lists survives a crash. Reading needs the manifest and the
snapshots only, and HDF5 sees a file only after its checksum was found right. An index that is what
the closing line says saves reading the snapshots for what it holds itself.
"""

import functools
import json
import os
import pathlib
import time

import numpy as np

from wgf import checks
from wgf.record import directory, layout, polydata
from wgf.record.provenance import provenance
from wgf.record.run import Run, folder, joined, read_part, read_record
from wgf.record.run import open_run as open_run
from wgf.record.solution import Record

# of the time of a run, for rebuilding the index while it goes on
INDEX_SHARE = 0.01
UNCLOSED = "continue it by wgf resume or solve(..., resume=True)"


class Writer:
    """Writes the snapshots of one run; a context manager.

    Parameters
    ----------
    path : path
        Directory of the run.
    problem : dict
        What is solved, as JSON holds it.
    target, abscissa : array of shape ``(n,)``, optional
        Data of the loss and where they were taken.
    notes : dict
        What is told of the run beside its provenance, as JSON holds it.
    overwrite : bool
        Whether an existing run is replaced. Only a directory that holds a run is ever removed.
    resume : bool
        Whether to continue an existing run after its last good snapshot.

    Raises
    ------
    InputError
        If the directory exists and may not be used, or another process writes to it.
    OSError
        If the disk is full or the folder cannot be written.
    """

    def __init__(
        self,
        path,
        problem=None,
        target=None,
        abscissa=None,
        overwrite=False,
        resume=False,
        notes=None,
    ):
        self._lock = None
        self.path = folder(path)
        self._told = {"problem": problem or {}, "provenance": provenance()}
        self._told |= {"target": target, "abscissa": abscissa}
        self.note(notes)
        if resume:
            directory.require_run(self.path)
        else:
            directory.refuse_occupied(self.path, overwrite)
            directory.make_folder(self.path)
        self._lock = directory.lock(self.path)
        try:
            if not resume:
                # another writer may have come and gone before the lock was ours
                directory.refuse_occupied(self.path, overwrite)
                directory.empty(self.path)
            self.entries, self._closing = directory.read_manifest(self.path)
            if resume:
                self._clean()
        except BaseException:
            self.release()
            raise
        self._started = _now()
        self._indexing = 0.0

    @functools.cached_property
    def record(self) -> Record:
        """What the listed snapshots hold beside the measures."""
        return read_record(self.path, self.entries, self._closing)

    def note(self, notes: dict | None = None):
        """Tell more of the run beside its provenance, as JSON holds it."""
        self._told["provenance"] |= notes or {}

    def release(self):
        """Give the lock back and leave everything as it is."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    __del__ = release

    def _clean(self):
        """Remove temporaries, half a manifest line and a snapshot that was never listed."""
        present = directory.snapshot_files(self.path)
        directory.refuse_unlisted(self.path, self.entries, present)
        if directory.half_written(self.path):
            directory.write_manifest(self.path, self.entries)
            self._closing = None
        listed = {entry["name"] for entry in self.entries}
        for name in present - listed:
            (self.path / name).unlink()
        for file in directory.stale_temporaries(self.path):
            file.unlink()

    def write(self, step, time, measure, output, rows, restart):
        """Write one snapshot and list it in the manifest.

        Parameters
        ----------
        step : int
            Number of steps done.
        time : float
        measure : Density or Particles
        output : array of shape ``(n,)`` or None
            Model output.
        rows : dict of lists
            Columns of diagnostics since the snapshot before.
        restart : dict
            Arrays, numbers and strings that a continuation needs.
        """
        name = directory.snapshot_name(len(self.entries))
        told, record = self._told, self.record
        texts = {f"{key}_json": json.dumps(told[key]) for key in ("problem", "provenance")}
        data = told["target"], told["abscissa"], texts
        parts = step, time, measure, output, rows, restart, *data
        if hasattr(measure, "stream"):
            # a density that arrives from other ranks never is in memory as a whole
            content = functools.partial(layout.write_snapshot, parts)
        else:
            content = layout.snapshot_image(*parts)
        if self._closing is not None:
            # a continued run is no longer done: its closing line goes
            directory.write_manifest(self.path, self.entries)
            self._closing = None
        found = directory.replace(self.path / name, content)
        count = len(next(iter(rows.values()), ()))
        entry = directory.line_of(name, found, step, time, count)
        directory.append_line(self.path, entry)
        self.entries.append(entry)
        record.extend(Record.of_one(time, output, rows))
        vars(record).update(told)
        if self._indexing < INDEX_SHARE * (_now() - self._started):
            self.index("running")

    def index(self, status):
        """Rebuild ``run.h5`` and return its line for the manifest."""
        begin = _now()
        line = build_index(self.record, self.path, self.entries, status)
        self._indexing += _now() - begin
        return line

    def close(self, status="done"):
        """Rebuild the index, close the manifest with the status and release the lock."""
        if self._lock is None:
            return
        try:
            if self.entries:
                directory.write_manifest(self.path, [*self.entries, self.index(status)])
        except (OSError, MemoryError, checks.InputError):
            # what failed first is what the user must see
            if status != "failed":
                raise
        finally:
            self.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close("failed" if kind else "done")


def verify(run):
    """Check every listed file against the manifest and, if all is well, rebuild the index.

    The index of a run that is being written, or that may not be written, is left as it is.

    Parameters
    ----------
    run : Run or path

    Returns
    -------
    list of (str, str)
        Files that are not what was written; what is wrong with each and what to do. The manifest
        of a run that was not closed, and to which no process writes, is one of them.
    """
    path = folder(run)
    directory.require_run(path)
    present = directory.snapshot_files(path)
    try:
        entries, closing = directory.read_manifest(path)
        directory.refuse_unlisted(path, entries, present)
    except checks.InputError as error:
        return [(directory.MANIFEST, str(error).partition(": ")[2])]
    bad, parts = _damaged(path, entries)
    return bad or _renew_index(path, entries, closing, parts)


def _damaged(path, entries):
    """Return what is wrong with the snapshots, by name, and what is in those that are right."""
    bad, parts = [], []
    for entry in entries:
        trouble, content = directory.check(path, entry)
        if trouble:
            bad.append((entry["name"], f"{trouble}, {directory.REMEDY}"))
            continue
        try:
            parts.append(read_part(path, entry, content))
        except checks.InputError as error:
            name, _, text = str(error).partition(": ")
            bad.append((os.path.relpath(name, path), text))
    return bad, parts


def _renew_index(path, entries, closing, parts):
    """Rebuild the index where it may be written; return what is wrong with it or the manifest."""
    trouble = None
    if closing and (path / directory.INDEX).exists():
        trouble, _content = directory.check(path, closing)
    done = "it could not be rebuilt, run this where it can be written"
    try:
        handle = directory.lock(path)
    except checks.InputError:
        # the process that writes to the run also renews its index
        return []
    except OSError as error:
        if error.errno not in directory.READ_ONLY:
            raise
    else:
        try:
            if directory.read_manifest(path) != (entries, closing):
                return []
            if entries:
                status = closing["status"] if closing else "running"
                line = build_index(joined(parts), path, entries, status)
                done = "it was rebuilt from the snapshots, go on"
            if closing:
                directory.write_manifest(path, [*entries, line])
        finally:
            os.close(handle)
    if trouble:
        return [(directory.INDEX, f"{trouble}, {done}")]
    if closing is None:
        return [(directory.MANIFEST, f"the run was not closed, {UNCLOSED}")]
    return []


def build_index(record, path, entries, status):
    """Write ``run.h5``, the record and views of all snapshots, and return its manifest line."""
    record.status = status
    image = layout.index_image(record, path, entries)
    found = directory.replace(path / directory.INDEX, image)
    last, rows = entries[-1], sum(entry["rows"] for entry in entries)
    return directory.line_of(directory.INDEX, found, last["step"], last["t"], rows, status=status)


def pack(run, destination):
    """Write a run as one plain HDF5 file without virtual datasets; it fits into memory twice.

    Parameters
    ----------
    run : Run or path
    destination : path
        A name that ends in ``.vtkhdf`` is a file for VTK and ParaView: that of a density is the
        same file, that of particles holds their points, see `wgf.polydata`.

    Raises
    ------
    InputError
        If `destination` exists, and for files that differ from what was written.
    """
    if not isinstance(destination, str | os.PathLike):
        raise checks.InputTypeError(f"pack: {destination!r} is no path, give the file to write")
    destination = pathlib.Path(destination)
    if os.path.lexists(destination):
        raise checks.InputError(f"{destination}: exists already, choose another path")
    run = run if isinstance(run, Run) else Run(run)
    if destination.suffix == ".vtkhdf" and run.snapshots[0].kind == "particles":
        image = polydata.image(run)
    else:
        image = layout.packed_image(run, run.contents, run.entries, run.restart())
    directory.replace(destination, image)


def changed_versions(path):
    """Return what differs between the last snapshot's versions and the present ones, as texts."""
    path = folder(path)
    entries, _closing = directory.read_manifest(path)
    if not entries:
        return []
    trouble, content = directory.check(path, entries[-1])
    if trouble:
        return []
    before, now = read_part(path, entries[-1], content).provenance, provenance()
    return [
        f"{name} was {before[name]}, now it is {now[name]}"
        for name in ("wgf", "python", "numpy", "scipy", "numba", "h5py", "platform")
        if name in before and before[name] != now[name]
    ]


def summary(run):
    """Return a text for people: what was run, how far, how large, how it stands.

    Raises
    ------
    InputError
        For a snapshot that differs from what was written.
    """
    for entry in run.entries:
        run.checked(entry)
    size = sum(entry["bytes"] for entry in run.entries)
    lines = [
        f"{run.path}: {run.snapshots[0]!r}",
        f"  status      {run.status}, {len(run.times)} snapshots from t={run.times[0]:g} to "
        f"{run.times[-1]:g}, {run.entries[-1]['step']} steps, {size / 1e6:.3g} MB",
        "  health      every snapshot is what was written"
        + ("" if run.status != "running" else f"; not closed: unless it is running, {UNCLOSED}"),
    ]
    last = run.final
    if last.kind == "particles":
        lines.append(f"  effective   {effective_size(last.weights):.4g} of {last.size} particles")
    for name, value in [*run.problem.items(), *run.provenance.items()]:
        value = " ".join(map(str, value)) if isinstance(value, list) else value
        lines.append(f"  {name:<11} {value}")
    for name, column in run.diagnostics.items():
        # observables have no value between their times
        known = column[~np.isnan(column.reshape(len(column), -1)).any(axis=1)]
        if len(known):
            lines.append(f"  {name:<11} {_number(known[-1])} (at the start {_number(known[0])})")
    return "\n".join(lines)


def effective_size(weights):
    """Return ``(sum w)^2 / sum w^2``: so many particles of equal weights sample as well."""
    largest = weights.max()
    return float((weights / largest).sum() ** 2 / ((weights / largest) ** 2).sum())


def _number(value):
    """Return a number as a text, of an array the first few."""
    few = [f"{each:.6g}" for each in np.ravel(value)[:4]]
    text = ", ".join([*few, "…"] if np.size(value) > len(few) else few)
    return f"[{text}]" if np.ndim(value) else text


def _now():
    return time.perf_counter()
