"""Segments: packed copies of consecutive snapshots, from which the index of a long run is read.

HDF5 keeps every file open that a virtual dataset draws from, and fills in what it cannot open
without a word. An index of more than `DIRECT` snapshots therefore draws from at most `MOST` files:

    RUN/segments/FIRST-LAST.h5   the measures of these snapshots
    RUN/segments/sums.json       bytes and sha256 of each, and what it was made of

They are made from the snapshots whenever it is needed. A segment that is full is written once;
when there are twice as many snapshots, segments of twice the length take its place.
"""

import contextlib
import functools
import hashlib
import json

from wgf import checks
from wgf.record import directory, layout
from wgf.record.directory import SEGMENTS

SUMS = f"{SEGMENTS}/sums.json"
# many systems let a process have 256 open files, and a process has others; with these 64 do
DIRECT = 48
MOST = 32


def renew(path, entries, known):
    """Make the segments that are not there yet and return what an index draws from.

    Parameters
    ----------
    path : pathlib.Path
        Directory of the run.
    entries : list of dict
        Lines of the manifest.
    known : dict
        What `listed` returned, without the segments that are to be made again.

    Returns
    -------
    list of (str, int, int)
        Name of a file, number of its first snapshot and of the first one after it.

    Raises
    ------
    InputError
        For a snapshot that is not what was written.
    """
    if len(entries) <= DIRECT:
        return [(entry["name"], k, k + 1) for k, entry in enumerate(entries)]
    directory.make_folder(path / SEGMENTS)
    sources = planned(len(entries))
    found = {}
    for name, first, stop in sources:
        part = entries[first:stop]
        made_of = _origin(part)
        line = known.get(name)
        if line is None or line["of"] != made_of or directory.glance(path, line):
            line = {"name": name, **_written(path, part, name), "of": made_of}
        found[name] = line
    if found != known:
        directory.replace(path / SUMS, json.dumps(list(found.values()), indent=1).encode())
    return sources


def planned(count):
    """Return names and ranges of the segments of a number of snapshots, none for a small one."""
    length = 1
    while -(-count // length) > MOST:
        length *= 2
    ranges = [(k, min(k + length, count)) for k in range(0, count, length)]
    return [(_name(*each), *each) for each in ranges] if count > DIRECT else []


def _name(first, stop):
    return f"{SEGMENTS}/{first:06d}-{stop - 1:06d}.h5"


def _origin(entries):
    """Return the sha256 of those of the snapshots that a segment is made of."""
    return hashlib.sha256("".join(entry["sha256"] for entry in entries).encode()).hexdigest()


def _written(path, entries, name):
    """Write a segment of snapshots that are what was written, and return its fingerprint."""
    for entry in entries:
        trouble = directory.trouble(path, entry)
        if trouble:
            raise checks.InputError(f"{path / entry['name']}: {trouble}, {directory.REMEDY}")
    content = functools.partial(layout.write_segment, path, entries)
    return dict(zip(("bytes", "sha256"), directory.replace(path / name, content)))


def listed(path):
    """Return the lines of the segments by name, none if they cannot be read."""
    try:
        lines = json.loads((path / SUMS).read_text())
        kinds = {"name": str, "bytes": int, "sha256": str, "of": str}
        if all({key: type(line[key]) for key in line} == kinds for line in lines):
            return {line["name"]: line for line in lines}
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, RecursionError):
        pass
    return {}


def damaged(path, entries):
    """Return what is wrong with the segments that the index of a closed run draws from, by name."""
    known, found = listed(path), {}
    wanted = planned(len(entries))
    if wanted and not known:
        return {SEGMENTS: "the packed snapshots are missing"}
    for name, _first, _stop in wanted:
        trouble = directory.trouble(path, known[name]) if name in known else "it is not listed"
        if trouble:
            found[name] = trouble
    return found


def prune(path, kept):
    """Remove all segments but those of the names in `kept`."""
    for file in directory.segment_files(path):
        if f"{SEGMENTS}/{file.name}" not in kept:
            file.unlink()
    if not kept:
        (path / SUMS).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (path / SEGMENTS).rmdir()
