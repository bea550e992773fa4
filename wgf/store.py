"""A run on disk: a directory of immutable HDF5 snapshots, an index over them and a manifest.

    RUN/snapshots/000000.h5 …   self-contained, each a point to resume from
    RUN/manifest.jsonl          a line a finished file: name, bytes, sha256, step, time
    RUN/run.h5                  derived: virtual datasets over the snapshots, rebuilt at will

A snapshot is built in memory, written to a temporary, synchronised and renamed, and only then
listed in the manifest: what the manifest lists survives a crash. A file is opened only after its
checksum was found right.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import time

import numpy as np

from wgf import checks, layout
from wgf.solution import Solution

INDEX_SHARE = 0.01


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
        self, path, problem=None, target=None, abscissa=None, overwrite=False, resume=False
    ):
        self._lock = None
        self.path = pathlib.Path(path)
        if resume:
            if not is_run(self.path):
                raise checks.InputError(f"{self.path}: no run here, give the directory of a run")
            self._acquire()
            self._clean()
        else:
            _make_room(self.path, overwrite)
            self.path.mkdir(parents=True, exist_ok=True)
            self._acquire()
            (self.path / "snapshots").mkdir(exist_ok=True)
            (self.path / "manifest.jsonl").touch()
            _synchronise(self.path)
        self.common = {
            "problem_json": json.dumps(problem or {}),
            "provenance_json": json.dumps(layout.provenance()),
        }
        self.target, self.abscissa = target, abscissa
        self.entries = read_manifest(self.path)
        self._started = time.perf_counter()
        self._indexing = 0.0

    def _acquire(self):
        """Take the lock of the run; it is released when the process ends, however it ends."""
        self._lock = _lock(self.path)

    def release(self):
        """Give the lock back and leave everything as it is."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    __del__ = release

    def _clean(self):
        """Remove temporaries and anything after the last good snapshot of an unfinished run."""
        entries = read_manifest(self.path)
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        if (self.path / "manifest.jsonl").read_text() != text:
            _replace(self.path / "manifest.jsonl", text.encode())
        listed = {entry["name"] for entry in entries}
        for file in (self.path / "snapshots").iterdir():
            if f"snapshots/{file.name}" not in listed:
                file.unlink()
        for file in self.path.glob("*.tmp"):
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
        name = f"snapshots/{len(self.entries):06d}.h5"
        image = layout.snapshot_image(
            step, time, measure, output, rows, restart, self.target, self.abscissa, self.common
        )
        _replace(self.path / name, image)
        entry = {
            "name": name,
            "bytes": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
            "step": int(step),
            "time": float(time),
            "rows": len(next(iter(rows.values()), ())),
        }
        self._append(entry)
        spent = _now() - self._started
        if self._indexing < INDEX_SHARE * spent:
            self.index("running")

    def _append(self, entry):
        manifest = self.path / "manifest.jsonl"
        size = manifest.stat().st_size
        try:
            with open(manifest, "ab") as stream:
                stream.write((json.dumps(entry) + "\n").encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            # a full disk may leave half a line behind
            with contextlib.suppress(OSError):
                os.truncate(manifest, size)
            error.filename = error.filename or str(manifest)
            raise
        self.entries.append(entry)

    def index(self, status):
        """Rebuild ``run.h5``."""
        begin = _now()
        build_index(self.path, self.entries, status)
        self._indexing += _now() - begin

    def close(self, status="done"):
        """Rebuild the index with the final status and release the lock."""
        if self._lock is None:
            return
        try:
            if self.entries:
                self.index(status)
        finally:
            self.release()

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close("failed" if kind else "done")


class Run:
    """A stored run; reads like `Solution`. Build one with `open_run`.

    Attributes
    ----------
    path : pathlib.Path
    times, outputs, diagnostics, problem, target, abscissa, status
        As in `Solution`.
    snapshots : sequence
        Read from disk one at a time.
    provenance : dict
        Command line, versions, host, start time.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        if not is_run(self.path):
            raise checks.InputError(f"{self.path}: no run here, give the directory of a run")
        self.entries = read_manifest(self.path)
        if not self.entries:
            raise checks.InputError(f"{self.path}: the run has no snapshot yet, wait or run again")
        self.snapshots = _Snapshots(self)
        read = [layout.read_common(self.checked(entry)) for entry in self.entries]
        self.times = np.array([part["time"] for part in read])
        self.problem, self.provenance = read[-1]["problem"], read[-1]["provenance"]
        self.target, self.abscissa = read[-1]["target"], read[-1]["abscissa"]
        outputs = [part["output"] for part in read]
        self.outputs = None if outputs[0] is None else np.array(outputs)
        self.diagnostics = {
            name: np.concatenate([part["rows"][name] for part in read]) for name in read[0]["rows"]
        }
        self.status = layout.read_status(self.path / "run.h5")

    def checked(self, entry):
        """Return the bytes of a listed file after checking them against the manifest.

        Raises
        ------
        InputError
            For a file that is missing or differs from what was written.
        """
        trouble, content = _check(self.path, entry)
        if trouble:
            raise checks.InputError(
                f"{self.path / entry['name']}: {trouble}, restore it from a copy or run again"
            )
        return content

    def restart(self):
        """Return what the last snapshot holds for a continuation."""
        return layout.read_restart(self.checked(self.entries[-1]))

    final = Solution.final
    at = Solution.at
    __repr__ = Solution.__repr__


class _Snapshots:
    """The snapshots of a run, each read when it is asked for."""

    def __init__(self, run):
        self._run = run

    def __len__(self):
        return len(self._run.entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return layout.read_measure(self._run.checked(self._run.entries[index]))


def open_run(path):
    """Open a stored run, also one that is still being written.

    Raises
    ------
    InputError
        If `path` is no run, and for files that differ from what was written.
    """
    return Run(path)


def is_run(path):
    """Return whether `path` is the directory of a run."""
    path = pathlib.Path(path)
    return (path / "manifest.jsonl").is_file() and (path / "snapshots").is_dir()


def read_manifest(path):
    """Return the entries of the manifest; a torn last line counts as not written.

    Raises
    ------
    InputError
        For a damaged line before the last.
    """
    manifest = pathlib.Path(path) / "manifest.jsonl"
    lines = manifest.read_bytes().split(b"\n")
    entries = []
    for number, line in enumerate(lines):
        if not line:
            continue
        entry = _entry(line)
        if entry is None or entry["name"] != f"snapshots/{len(entries):06d}.h5":
            if number == len(lines) - 1:
                break
            raise checks.InputError(
                f"{manifest}: line {number + 1} is damaged, restore it from a copy or run again"
            )
        entries.append(entry)
    return entries


def _entry(line):
    kinds = {"name": str, "bytes": int, "sha256": str, "step": int, "time": float, "rows": int}
    try:
        entry = json.loads(line)
        fits = isinstance(entry, dict) and set(entry) == set(kinds)
        return entry if fits and all(type(entry[k]) is kinds[k] for k in kinds) else None
    except (ValueError, UnicodeDecodeError):
        return None


def verify(path):
    """Check every listed file against the manifest and rebuild the index.

    Returns
    -------
    list of (str, str)
        Files that are not what was written, and what is wrong with each.
    """
    path = pathlib.Path(path)
    if not is_run(path):
        raise checks.InputError(f"{path}: no run here, give the directory of a run")
    entries = read_manifest(path)
    found = [(entry["name"], _check(path, entry)[0]) for entry in entries]
    bad = [(name, trouble) for name, trouble in found if trouble]
    if entries and not bad:
        build_index(path, entries, layout.read_status(path / "run.h5"))
    return bad


def _check(path, entry):
    """Return ``(what is wrong or None, content)`` of a listed file."""
    try:
        content = (path / entry["name"]).read_bytes()
    except FileNotFoundError:
        return "the file is missing", None
    if len(content) != entry["bytes"]:
        return f"{len(content)} bytes where {entry['bytes']} were written", None
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        return "the content differs from what was written (sha256)", None
    return None, content


def build_index(path, entries, status):
    """Write ``run.h5``, virtual datasets over all snapshots, and rename it into place."""
    image = layout.index_image(path, entries, status)
    _replace(pathlib.Path(path) / "run.h5", image)


def pack(path, destination):
    """Write a run as one plain HDF5 file without virtual datasets.

    Raises
    ------
    InputError
        If `destination` exists.
    """
    destination = pathlib.Path(destination)
    if destination.exists():
        raise checks.InputError(f"{destination}: exists already, choose another path")
    run = Run(path)
    contents = [run.checked(entry) for entry in run.entries]
    _replace(destination, layout.packed_image(contents, run.status))


def summary(run):
    """Return a text for people: what was run, how far, how large, how it stands."""
    size = sum(entry["bytes"] for entry in run.entries)
    columns = run.diagnostics
    lines = [
        f"{run.path}: {run.snapshots[0]!r}",
        f"  status      {run.status}, {len(run.times)} snapshots from t={run.times[0]:g} to "
        f"{run.times[-1]:g}, {len(columns['t']) - 1} steps, {size / 1e6:.3g} MB",
    ]
    lines += [f"  {key:<11} {value}" for key, value in run.problem.items()]
    lines += [f"  {key:<11} {value}" for key, value in run.provenance.items()]
    for name, column in columns.items():
        lines.append(f"  {name:<11} {column[-1]:.6g} (at the start {column[0]:.6g})")
    return "\n".join(lines)


def _now():
    return time.perf_counter()


def _lock(path):
    """Return an open handle that holds the lock of the run at `path`."""
    handle = os.open(path / "lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise checks.InputError(
            f"{path}: another process writes to this run, wait for it or choose another path"
        ) from None
    return handle


def _make_room(path, overwrite):
    if not path.exists():
        return
    if not path.is_dir():
        raise checks.InputError(f"{path}: is a file, choose another path")
    held = sorted(child.name for child in path.iterdir())
    if not held:
        return
    if not is_run(path):
        raise checks.InputError(f"{path}: holds {held[0]} and no run, choose another path")
    if not overwrite:
        raise checks.InputError(f"{path}: holds a run already, choose another path or overwrite it")
    os.close(_lock(path))
    shutil.rmtree(path / "snapshots")
    for name in ("run.h5", "manifest.jsonl", "lock", "figure.png", "options.json"):
        (path / name).unlink(missing_ok=True)


def _replace(path, content):
    """Write `content` so that `path` holds all of it or what it held before."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        _synchronise(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        error.filename = error.filename or str(path)
        raise


def _synchronise(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
