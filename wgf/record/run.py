"""A stored run as it is read: from its index where that can be trusted, else from its snapshots."""

import os
import pathlib

import numpy as np

from wgf import checks
from wgf.record import directory, layout
from wgf.record.solution import Lazy, Record

# a run of so many bytes is read and checked as a whole when it is opened, which takes a few
# milliseconds: damage shows early; of a larger run every snapshot is checked when it is read
SMALL_RUN = 1 << 22


class Run(Record):
    """A stored run; reads like `Solution`. Build one with `open_run`.

    Attributes
    ----------
    path : pathlib.Path
    times, outputs, diagnostics, problem, target, abscissa, status
        As in `Solution`.
    snapshots : sequence
        Read from disk one at a time, each checked against its checksum.
    provenance : dict
        Command line, versions, host, start time; how the feature matrices of a mesh are kept.
    """

    def __init__(self, path: str | os.PathLike):
        path = folder(path)
        directory.require_run(path)
        # the folder is listed first: a run that is being written only adds to the manifest after
        present = directory.snapshot_files(path)
        entries, closing = directory.read_manifest(path)
        directory.refuse_unlisted(path, entries, present)
        if not entries:
            raise checks.InputError(f"{path}: the run has no snapshot yet, wait or run again")
        small = sum(entry["bytes"] for entry in entries) <= SMALL_RUN
        for entry in () if small else entries:
            _refuse(path, entry, directory.glance(path, entry))
        super().__init__()
        # what the snapshots themselves say is right whatever the index says
        vars(self).update(vars(read_record(path, entries, None if small else closing)))
        self.path, self.entries = path, entries
        self.status = closing["status"] if closing else "running"
        self.contents = Lazy(entries, self.checked)
        self.snapshots = snapshots(path, entries)

    def checked(self, entry: dict) -> bytes:
        """Return the bytes of a listed file after checking them against the manifest.

        Raises
        ------
        InputError
            For a file that is missing or differs from what was written.
        """
        return _checked(self.path, entry)

    def restart(self) -> dict:
        """Return what the last snapshot holds for a continuation."""
        entry = self.entries[-1]
        return layout.read_restart(self.checked(entry), self.path / entry["name"])


def snapshots(path: str | os.PathLike, entries: list[dict]) -> Lazy:
    """Return the listed snapshots, each read and checked when it is asked for."""
    path = pathlib.Path(path)
    return Lazy(
        entries,
        lambda entry: layout.read_measure(_checked(path, entry), path / entry["name"]),
    )


def _checked(path, entry):
    trouble, content = directory.check(path, entry)
    _refuse(path, entry, trouble)
    return content


def _refuse(path, entry, trouble):
    if trouble:
        raise checks.InputError(f"{path / entry['name']}: {trouble}, {directory.REMEDY}")


def read_record(path, entries, closing):
    """Return what the listed snapshots hold beside the measures.

    The index has it, too, and is read instead where it is what the closing line says; an index of
    an older version holds views alone.
    """
    if closing:
        trouble, content = directory.check(path, closing)
        found = None if trouble else layout.read_record(content, path / directory.INDEX)
        if found is not None and _fits(found, entries):
            return found
    return joined([read_part(path, entry, _checked(path, entry)) for entry in entries])


def joined(parts):
    """Return the record of consecutive snapshots; the last one tells the problem and the data."""
    found = Record()
    found.extend(*parts)
    for name in ("problem", "provenance", "target", "abscissa") if parts else ():
        setattr(found, name, getattr(parts[-1], name))
    return found


def read_part(path, entry, content):
    """Read all but the measure of a snapshot; refuse one that its manifest line does not tell."""
    part = layout.read_record(content, path / entry["name"])
    if not _fits(part, [entry]):
        raise checks.InputError(
            f"{path / directory.MANIFEST}: the line of {entry['name']} differs from the file, "
            f"{directory.REMEDY}"
        )
    return part


def _fits(record, entries):
    """Return whether times and steps are those of the lines of the manifest."""
    times = [entry["t"] for entry in entries]
    steps = directory.steps_of(entries)
    return np.array_equal(record.times, times) and np.array_equal(record.steps, steps)


def open_run(path: str | os.PathLike) -> Run:
    """Open a stored run, also one that is still being written.

    Times, outputs and diagnostics of a run that was closed are read from its index, else from the
    snapshots. Every snapshot is checked against its checksum when it is read, those of a small
    run at once.

    Raises
    ------
    InputError
        If `path` is no run, and for files that differ from what was written.
    """
    return Run(path)


def folder(run):
    """Return the directory of a run, given itself or its path."""
    if isinstance(run, Run):
        return run.path
    if not isinstance(run, str | os.PathLike):
        raise checks.InputTypeError(f"run: {run!r} is no path, give the directory of a run")
    return pathlib.Path(run)
