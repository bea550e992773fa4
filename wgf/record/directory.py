"""The directory of a run: its manifest, its lock, and writing that a crash cannot tear.

A line of the manifest is a dictionary: name, bytes and sha256 of a finished file, step and t of
its snapshot, and the number of rows of diagnostics it holds. The last line of a closed run is
that of the index, with the status of the run.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import re

import numpy as np

from wgf import checks

INDEX = "run.h5"
REMEDY = "restore it from a copy or run again"
STATUSES = ("running", "done", "stopped", "failed")
# what a folder that may not be written answers
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
MANIFEST = "manifest.jsonl"


def is_run(path):
    """Return whether `path` is the directory of a run."""
    path = pathlib.Path(path)
    return (path / MANIFEST).is_file() and (path / "snapshots").is_dir()


def read_manifest(path):
    """Return the lines of the snapshots and the closing one, None for a run that was not closed.

    Half a line at the end counts as not written.

    Raises
    ------
    InputError
        For a damaged line.
    """
    manifest = pathlib.Path(path) / MANIFEST
    lines = manifest.read_bytes().split(b"\n")
    entries, closing = [], None
    for number, line in enumerate(lines):
        if not line and number == len(lines) - 1:
            break
        entry = _entry(line)
        if entry is not None and _closes(entry, entries) and closing is None:
            closing = entry
        elif entry is not None and entry["name"] == snapshot_name(len(entries)) and closing is None:
            entries.append(entry)
        elif number == len(lines) - 1:
            break
        else:
            raise checks.InputError(f"{manifest}: line {number + 1} is damaged, {REMEDY}")
    return entries, closing


def write_manifest(path, entries):
    """Write the whole manifest anew."""
    replace(path / MANIFEST, "".join(json.dumps(entry) + "\n" for entry in entries).encode())


def append_line(path, entry):
    """Append a line to the manifest and wait until it is on the disk."""
    manifest = path / MANIFEST
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
        raise OSError(error.errno, error.strerror, str(manifest)) from error


def snapshot_name(number):
    """Return the name of a snapshot within the directory of its run."""
    return f"snapshots/{number:06d}.h5"


def fingerprint(content):
    """Return number and sha256 of some bytes, or of those in a file from its begin."""
    if isinstance(content, bytes):
        return len(content), hashlib.sha256(content).hexdigest()
    content.seek(0)
    digest = hashlib.file_digest(content, "sha256").hexdigest()
    return content.tell(), digest


def line_of(name, found, step, time, rows, **more):
    """Return the manifest's line of a file with the fingerprint `found`."""
    return {
        "name": name,
        "bytes": found[0],
        "sha256": found[1],
        "step": int(step),
        "t": float(time),
        "rows": int(rows),
        **more,
    }


def steps_of(entries):
    """Return the numbers of the steps that the rows of diagnostics of some lines are of."""
    return np.concatenate(
        [np.arange(e["step"] - e["rows"], e["step"], dtype="<i8") + 1 for e in entries]
    )


def _entry(line):
    """Return the entry that a line holds, None if it holds none."""
    kinds = {"name": str, "bytes": int, "sha256": str, "step": int, "t": float, "rows": int}
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    # a line that says the same in other characters was not written by us
    if not isinstance(entry, dict) or json.dumps(entry).encode() != line:
        return None
    if entry.get("name") == INDEX:
        kinds = {**kinds, "status": str}
    fits = list(entry) == list(kinds) and all(type(entry[k]) is kinds[k] for k in kinds)
    return entry if fits else None


def _closes(entry, entries):
    """Return whether a line is that of the index over `entries`."""
    if entry["name"] != INDEX or not entries or entry["status"] not in STATUSES:
        return False
    last, rows = entries[-1], sum(each["rows"] for each in entries)
    return (entry["step"], entry["t"], entry["rows"]) == (last["step"], last["t"], rows)


def half_written(path):
    """Return whether the manifest ends within a line."""
    content = (path / MANIFEST).read_bytes()
    return bool(content) and not content.endswith(b"\n")


def stale_temporaries(path):
    """Return the files that a process which was killed left half written."""
    names = (INDEX, MANIFEST, "options.json")
    found = [path / f"{name}.tmp" for name in names]
    found += [
        file
        for file in (path / "snapshots").iterdir()
        if re.fullmatch(r"\d{6,}\.h5\.tmp", file.name)
    ]
    return [file for file in found if os.path.lexists(file)]


def snapshot_files(path):
    """Return the names of the snapshots that are in the folder."""
    return {
        f"snapshots/{file.name}"
        for file in (path / "snapshots").iterdir()
        if re.fullmatch(r"\d{6,}\.h5", file.name)
    }


def refuse_unlisted(path, entries, present):
    """Refuse a manifest that lacks more than the one snapshot that a crash may leave out."""
    missing = sorted(present - {entry["name"] for entry in entries})
    if len(missing) > 1:
        raise checks.InputError(
            f"{path / MANIFEST}: {len(missing)} snapshots from {missing[0]} on are not listed, "
            f"{REMEDY}"
        )


def glance(path, entry):
    """Return what is wrong with a listed file as far as can be seen without reading it, or None."""
    file = path / entry["name"]
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return "the file is missing"
    if file.is_dir():
        return "a folder stands where a file was written"
    if size != entry["bytes"]:
        return f"{size} bytes where {entry['bytes']} were written"
    return None


def check(path, entry):
    """Return ``(what is wrong or None, content)`` of a listed file."""
    trouble = glance(path, entry)
    if trouble:
        return trouble, None
    content = (path / entry["name"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        return "the content differs from what was written (sha256)", None
    return None, content


def require_run(path):
    """Refuse a path that is not the directory of a run."""
    if is_run(path):
        return
    sides = [path / side for side in ("mesh", "particles") if is_run(path / side)]
    if sides:
        found = " and ".join(map(str, sides))
        raise checks.InputError(f"{path}: no run itself, it holds {found}, give one of them")
    if is_run(path.parent):
        raise checks.InputError(f"{path}: no run here, but {path.parent} is one, give that")
    raise checks.InputError(f"{path}: no run here, give the directory of a run")


def lock(path):
    """Return an open handle that holds the lock of the run at `path`.

    The file stays: were it removed, two processes could each lock a file of that name.
    """
    handle = os.open(path / "lock", os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise checks.InputError(
            f"{path}: another process writes to this run, wait for it or choose another path"
        ) from None
    except OSError as error:
        os.close(handle)
        raise OSError(error.errno, error.strerror, str(path / "lock")) from error
    return handle


def refuse_occupied(path, overwrite):
    """Refuse anything but a free path, an empty directory and, to overwrite, a run."""
    if not os.path.lexists(path):
        return
    if not path.is_dir():
        raise checks.InputError(f"{path}: is a file, choose another path")
    # a writer that was killed before its first snapshot left no more than this
    held = {child.name for child in path.iterdir()} - {"lock", MANIFEST + ".tmp"}
    snapshots = path / "snapshots"
    bare = not snapshots.is_dir() or not any(snapshots.iterdir())
    if bare and (held <= {"snapshots"} or (is_run(path) and not (path / MANIFEST).stat().st_size)):
        return
    if not is_run(path):
        raise checks.InputError(f"{path}: holds {min(held)} and no run, choose another path")
    if not overwrite:
        raise checks.InputError(f"{path}: holds a run already, choose another path or overwrite it")


def make_folder(path):
    """Create a directory so that it survives a crash, like those above it."""
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in made:
        synchronise(folder.parent)


def empty(path):
    """Turn a directory into a run without snapshots; it is a run at every moment in between."""
    (path / "snapshots").mkdir(exist_ok=True)
    replace(path / MANIFEST, b"")
    for name in (INDEX, "figure.png", "options.json"):
        (path / name).unlink(missing_ok=True)
    for name in snapshot_files(path):
        (path / name).unlink()
    for file in stale_temporaries(path):
        file.unlink()
    synchronise(path / "snapshots")
    synchronise(path)


def replace(path, content, durable=True):
    """Write `content` so that `path` holds all of it or what it held before.

    Instead of bytes a function that writes into the stream that it is given. Returns the
    `fingerprint` of what was written. What is not `durable` may be lost with the power.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "w+b" if callable(content) else "wb") as stream:
            if callable(content):
                content(stream)
            else:
                stream.write(content)
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            found = fingerprint(stream if callable(content) else content)
        os.replace(temporary, path)
        if durable:
            synchronise(path.parent)
        return found
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


class Calm:
    """A file that keeps its first error to itself: HDF5 does not survive a full disk.

    Attributes
    ----------
    error : OSError or None
    """

    def __init__(self, stream):
        self._stream, self.error = stream, None

    def _try(self, work, *arguments, otherwise=None):
        try:
            return work(*arguments) if self.error is None else otherwise
        except OSError as error:
            self.error = error
            return otherwise

    def seek(self, offset, whence=0):
        return self._try(self._stream.seek, offset, whence, otherwise=0)

    def tell(self):
        return self._try(self._stream.tell, otherwise=0)

    def read(self, size):
        return self._try(self._stream.read, size, otherwise=bytes(size))

    def readinto(self, buffer):
        return self._try(self._stream.readinto, buffer, otherwise=len(buffer))

    def write(self, content):
        self._try(self._stream.write, content)
        return len(content)

    def truncate(self, size):
        self._try(self._stream.truncate, size)

    def flush(self):
        self._try(self._stream.flush)


def synchronise(folder):
    """Wait until the names in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
