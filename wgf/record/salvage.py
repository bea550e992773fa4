"""What can be read of a run that may be damaged, or that is being written at this moment."""

import os

from wgf import checks
from wgf.record import directory
from wgf.record.run import folder, joined, read_part, read_record, snapshots
from wgf.record.solution import Record


def readable(path: str | os.PathLike, known: dict | None = None) -> tuple[Record, list[str]]:
    """Return what can be read of a run, and in sentences what cannot.

    Snapshots that are missing or damaged are left out, with their rows of diagnostics where the
    index does not hold these. No lock is taken, so that a process that writes to the run goes on.

    Parameters
    ----------
    path : path
        Directory of a run.
    known : dict, optional
        What was read before by the checksums of the snapshots: of these no more than the size is
        checked again. What is read is added to it.

    Returns
    -------
    Record
        With the attributes of a stored `Run`; `entries` are the lines of its snapshots.
    list of str

    Raises
    ------
    InputError
        If `path` is not a run or nothing of it can be read.
    """
    path = folder(path)
    directory.require_run(path)
    entries, closing = directory.read_manifest(path)
    if not entries:
        raise checks.InputError(f"{path}: the run has no snapshot yet, wait or run again")
    known = {} if known is None else known
    kept, troubles = [], []
    for entry in entries:
        trouble = _read(path, entry, known)
        if trouble is None:
            kept.append(entry)
        else:
            troubles.append(f"{path / entry['name']}: {trouble}, t = {entry['t']:g} is left out")
    parts = [known[entry["sha256"]] for entry in kept]
    if not kept:
        raise checks.InputError(
            f"{path}: none of {len(entries)} snapshots can be read, {directory.REMEDY}"
        )
    found = joined(parts)
    if troubles and closing:
        _take_columns(found, path, entries, closing, kept)
    status = closing["status"] if closing else "running"
    vars(found).update(path=path, entries=kept, status=status, snapshots=snapshots(path, kept))
    return found, troubles


def _read(path, entry, known):
    """Put a snapshot's record into `known`; return what is wrong with it, or None."""
    if entry["sha256"] in known:
        return directory.glance(path, entry)
    trouble, content = directory.check(path, entry)
    if trouble is None:
        try:
            known[entry["sha256"]] = read_part(path, entry, content)
        except checks.InputError as error:
            trouble = str(error).partition(": ")[2]
    return trouble


def _take_columns(found, path, entries, closing, kept):
    """Take the rows of the index, which has those of snapshots that cannot be read as well."""
    try:
        found.diagnostics = read_record(path, entries, closing).diagnostics
    except checks.InputError:
        # read_record falls back on the snapshots where the index is damaged, too
        return
