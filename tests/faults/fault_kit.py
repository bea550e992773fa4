"""Faults made to order: a recorded disk, its loss of power, a full one, one that is read-only."""

import builtins
import contextlib
import errno
import io
import os
import pathlib
import random
import re
import subprocess
import sys

from wgf.record import directory

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def worker(*arguments, code=None, timeout=1800, **environment):
    """Run `fault_worker.py`, or `code`, in a fresh process and return the finished process."""
    paths = [str(ROOT), str(HERE), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        **environment,
    }
    head = ["-c", code] if code else [str(HERE / "fault_worker.py")]
    return subprocess.run(
        [sys.executable, *head, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
    )


def sentence(text):
    """Return the one line of standard error without its head; fail if it is anything else."""
    lines = [line for line in text.splitlines() if line]
    assert len(lines) == 1 and lines[0].startswith("wgf: error: "), text
    line = lines[0].removeprefix("wgf: error: ")
    assert ": " in line and ", " in line, line
    return line


class Recorder:
    """Writes down every operation that `wgf.directory` makes below `root`.

    Attributes
    ----------
    log : list of tuples
        ``("create" | "touch" | "mkdir" | "unlink" | "fsync" | "syncdir", path)``,
        ``("write", path, offset, bytes)``, ``("truncate", path, size)``,
        ``("rename", old, new)`` and whatever `mark` adds.
    """

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.log = []
        self._handles = {}

    def mark(self, value):
        """Note that `value` was promised by now."""
        self.log.append(("mark", value))

    def _name(self, path):
        return os.path.relpath(path, self.root)

    @contextlib.contextmanager
    def watching(self, monkeypatch):
        """Record while the context lasts."""
        with monkeypatch.context() as patch:
            patch.setattr(directory, "open", self._open, raising=False)
            for name in ("replace", "unlink", "mkdir", "truncate", "fsync", "open"):
                patch.setattr(os, name, getattr(self, f"_{name}_of")(getattr(os, name)))
            yield self

    def _open(self, path, mode="r", **options):
        stream = builtins.open(path, mode, **options)
        name = self._name(path)
        if "w" in mode:
            self.log.append(("create", name))
        self._handles[stream.fileno()] = name
        return _Stream(stream, name, self.log)

    def _replace_of(self, real):
        def replace(old, new):
            real(old, new)
            self.log.append(("rename", self._name(old), self._name(new)))

        return replace

    def _unlink_of(self, real):
        def unlink(path, **options):
            real(path, **options)
            self.log.append(("unlink", self._name(path)))

        return unlink

    def _mkdir_of(self, real):
        def mkdir(path, *arguments):
            real(path, *arguments)
            self.log.append(("mkdir", self._name(path)))

        return mkdir

    def _truncate_of(self, real):
        def truncate(path, size):
            real(path, size)
            self.log.append(("truncate", self._name(path), size))

        return truncate

    def _fsync_of(self, real):
        def fsync(handle):
            real(handle)
            name = self._handles[handle]
            kind = "syncdir" if (self.root / name).is_dir() else "fsync"
            self.log.append((kind, name))

        return fsync

    def _open_of(self, real):
        def opened(path, flags, *arguments, **options):
            handle = real(path, flags, *arguments, **options)
            self._handles[handle] = self._name(path)
            if flags & os.O_CREAT:
                self.log.append(("touch", self._name(path)))
            return handle

        return opened


class _Stream:
    """A file that tells what is written into it, in pieces of at most a few kilobytes."""

    def __init__(self, stream, name, log):
        self._stream, self._name, self._log = stream, name, log

    def write(self, content):
        begin = self._stream.seek(0, os.SEEK_CUR)
        self._stream.write(content)
        self._stream.flush()
        for offset in range(0, len(content), 1 << 14):
            piece = content[offset : offset + (1 << 14)]
            self._log.append(("write", self._name, begin + offset, piece))

    def __getattr__(self, attribute):
        return getattr(self._stream, attribute)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stream.close()


def replay(operation, root):
    """Make one recorded operation below another root."""
    kind, *rest = operation
    if kind in ("mark", "fsync", "syncdir"):
        return
    path = root / rest[0]
    if kind == "create":
        path.write_bytes(b"")
    elif kind == "touch":
        path.touch()
    elif kind == "mkdir":
        path.mkdir()
    elif kind == "unlink":
        path.unlink()
    elif kind == "rename":
        os.replace(path, root / rest[1])
    elif kind == "truncate":
        os.truncate(path, rest[1])
    else:
        with builtins.open(path, "r+b") as stream:
            stream.seek(rest[1])
            stream.write(rest[2])


class _File:
    def __init__(self):
        self.safe, self.pending = b"", []

    def content(self, keep=lambda change: change):
        """Return the bytes after those pending changes that `keep` lets through."""
        found = bytearray(self.safe)
        for change in self.pending:
            change = keep(change)
            if change is None:
                continue
            if change[0] == "truncate":
                del found[change[1] :]
                continue
            _, offset, piece = change
            found.extend(bytes(max(0, offset - len(found))))
            found[offset : offset + len(piece)] = piece
        return bytes(found)


class _Folder:
    def __init__(self):
        self.safe, self.pending = {}, []

    def entries(self, changes=None):
        """Return the names after some of the pending changes, in the order given."""
        found = dict(self.safe)
        for link, name, item in self.pending if changes is None else changes:
            if link == "rename":
                old, new = name
                found.pop(old, None)
                found[new] = item
            elif link == "link":
                found[name] = item
            else:
                found.pop(name, None)
        return found


class Model:
    """What a disk holds for certain, and what it may have forgotten when the power fails.

    Until a file is synchronised any part of what was written into it since may be missing, and
    until a folder is synchronised any of the names that came and went may be as before, in any
    order. A rename within a folder is one change.
    """

    def __init__(self):
        self.top = _Folder()

    def _find(self, name):
        folder, *rest = self.top, *[part for part in name.split(os.sep) if part not in ("", ".")]
        for part in rest:
            folder = folder.entries()[part]
        return folder

    def _parent(self, name):
        head, tail = os.path.split(name)
        return self._find(head), tail

    def do(self, operation):
        """Make one recorded operation."""
        kind, *rest = operation
        if kind == "mark":
            return
        if kind in ("create", "touch", "mkdir"):
            folder, name = self._parent(rest[0])
            known = folder.entries().get(name)
            if known is None:
                made = _Folder() if kind == "mkdir" else _File()
                folder.pending.append(("link", name, made))
            elif kind == "create":
                known.pending.append(("truncate", 0))
        elif kind == "unlink":
            folder, name = self._parent(rest[0])
            folder.pending.append(("unlink", name, None))
        elif kind == "rename":
            folder, old = self._parent(rest[0])
            other, new = self._parent(rest[1])
            assert folder is other
            folder.pending.append(("rename", (old, new), folder.entries()[old]))
        elif kind == "fsync":
            file = self._find(rest[0])
            file.safe, file.pending = file.content(), []
        elif kind == "syncdir" and not rest[0].startswith(".."):
            folder = self._find(rest[0])
            folder.safe, folder.pending = folder.entries(), []
        elif kind in ("write", "truncate"):
            self._find(rest[0]).pending.append((kind, *rest[1:]))

    def fail(self, generator, path, folder=None):
        """Write into `path` one of the states that a failure of the power may leave."""
        folder = self.top if folder is None else folder
        changes = [change for change in folder.pending if generator.random() < 0.5]
        if generator.random() < 0.5:
            generator.shuffle(changes)
        for name, item in folder.entries(changes).items():
            if isinstance(item, _Folder):
                (path / name).mkdir()
                self.fail(generator, path / name, item)
            else:
                (path / name).write_bytes(item.content(lambda c: _torn(c, generator)))


def _torn(change, generator):
    """Return a change, none, or the begin of what was to be written."""
    chance = generator.random()
    if chance < 0.4:
        return None
    if chance < 0.6 and change[0] == "write":
        return (*change[:2], change[2][: generator.randrange(len(change[2]) + 1)])
    return change


@contextlib.contextmanager
def refusing(monkeypatch, root, number, room=0):
    """Let writes below `root` fail with the error `number` once `room` bytes were written.

    With ``errno.EACCES`` and the like nothing below `root` can be made or changed at all.
    """
    root = os.path.realpath(root)
    left = room

    def below(path):
        return isinstance(path, str | os.PathLike) and os.path.realpath(path).startswith(root)

    def failure(path):
        return OSError(number, os.strerror(number), str(path))

    class Limited:
        def __init__(self, stream, path):
            self._stream, self._path = stream, path

        def write(self, content):
            nonlocal left
            fits = min(left, len(content))
            self._stream.write(content[:fits])
            left -= fits
            if fits < len(content):
                self._stream.flush()
                # the system does not tell the name here
                raise OSError(number, os.strerror(number))
            return len(content)

        def __getattr__(self, attribute):
            return getattr(self._stream, attribute)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self._stream.close()

    real = builtins.open
    everything = number != errno.ENOSPC

    def limited(path, mode="r", *arguments, **options):
        if not below(path) or not re.search("[wax+]", mode):
            return real(path, mode, *arguments, **options)
        if everything:
            raise failure(path)
        return Limited(real(path, mode, *arguments, **options), path)

    def guarded(function):
        def call(path, *arguments, **options):
            writes = function.__name__ != "open" or arguments[0] & (os.O_WRONLY | os.O_RDWR)
            if below(path) and writes:
                raise failure(path)
            return function(path, *arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", limited)
        patch.setattr(io, "open", limited)
        if everything:
            for name in ("replace", "unlink", "mkdir", "truncate", "open"):
                patch.setattr(os, name, guarded(getattr(os, name)))
        yield


def damage(content, generator):
    """Return the name of a damage and the damaged bytes, never those given."""
    while True:
        kind = generator.choice(["flip", "zero", "truncate", "swap"])
        begin = generator.randrange(len(content))
        length = generator.choice([1, 16, 512, len(content)])
        found = bytearray(content)
        if kind == "flip":
            found[begin] ^= 1 << generator.randrange(8)
        elif kind == "zero":
            found[begin : begin + length] = bytes(len(found[begin : begin + length]))
        elif kind == "truncate":
            del found[begin:]
        else:
            other = generator.randrange(len(content))
            found[begin], found[other] = found[other], found[begin]
        if found != content:
            return kind, bytes(found)


def tree(path):
    """Return the bytes of every file below `path` but the lock, by name."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(pathlib.Path(path).rglob("*"))
        if file.is_file() and file.name != "lock"
    }


def seeded(number):
    """Return a generator of the random choices of one trial."""
    return random.Random(number)
