"""The page of runs that go on: served to this machine alone, read only, under a secret address."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import pathlib
import secrets
import threading
from collections.abc import Sequence

from wgf import checks
from wgf.record.salvage import readable
from wgf.view.document import document, library, name_of
from wgf.view.scenes import FRAMES, Scene

HOST = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # the address holds the token
    "Referrer-Policy": "no-referrer",
}


class Server:
    """Answers for stored runs, also such as are being written; a context manager.

    It listens at the loopback address and answers where the address begins with its token. There
    is no request for a file: runs and snapshots are asked for by number. Nothing is written and no
    lock is taken, so that the process that writes a run goes on, and ends, as if nobody looked.

    Parameters
    ----------
    runs : list of paths
        Directories of runs.
    port : int
        0 takes a free one.
    functional : Functional, optional
        For the certificate.
    frames : int
        At most this many snapshots per run, evenly chosen.

    Attributes
    ----------
    url : str
        Where the page is.

    Raises
    ------
    InputError
        For what is not a run, where plotly is not installed, and for a port that is taken.
    """

    def __init__(self, runs: Sequence, port: int = 0, functional=None, frames: int = FRAMES):
        checks.whole("view port", port, maximum=65535)
        library()
        self.runs = [_Followed(run, functional, frames) for run in runs]
        for run in self.runs:
            run.scene()
        self.token = secrets.token_urlsafe(24)
        try:
            self._http = _Http((HOST, port), _Handler)
        except OSError as error:
            raise checks.InputError(
                f"view port: {port} cannot be had ({error.strerror}), choose another one"
            ) from None
        self._http.owner = self
        self.port = self._http.server_address[1]
        self.url = f"http://{HOST}:{self.port}/{self.token}/"

    def answer(self, path: str) -> tuple[str, bytes]:
        """Return type and content of what lies below the token.

        Raises
        ------
        LookupError
            Where there is nothing.
        InputError
            Where a run cannot be read at this moment.
        """
        words = path.split("/")
        if words == [""]:
            heading = ", ".join(run.label for run in self.runs)
            return "text/html; charset=utf-8", document(heading, "").encode()
        if words == ["runs"]:
            return "application/json", json.dumps([run.label for run in self.runs]).encode()
        numbers = [int(word) for word in words[1:] if word.isascii() and word.isdigit()]
        if len(numbers) < len(words) - 1 or any(map(str.__ne__, words[1:], map(str, numbers))):
            raise LookupError(path)
        if words[0] == "head" and len(numbers) == 1:
            return "application/octet-stream", self.runs[numbers[0]].head()
        if words[0] == "frame" and len(numbers) == 2:
            return "application/octet-stream", self.runs[numbers[0]].scene().frame(numbers[1])
        raise LookupError(path)

    def wait(self) -> None:
        """Answer until the process is interrupted or `close` is called."""
        self._http.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        """Answer no longer."""
        self._http.shutdown()

    def __enter__(self) -> Server:
        self._thread = threading.Thread(target=self.wait, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind, error, trace):
        self.close()
        self._thread.join()
        self._http.server_close()


class _Followed:
    """A run as it is now: read again when its manifest has changed, and then what is new of it."""

    def __init__(self, path, functional, frames):
        self.path, self.label = pathlib.Path(path), name_of(path)
        self._functional, self._frames = functional, frames
        self._known: dict = {}
        self._state, self._scene, self._head = None, None, None
        self._lock = threading.Lock()

    def scene(self):
        with self._lock:
            # noted before reading: what is added meanwhile is read the next time
            state = _state(self.path)
            if state != self._state or self._scene is None:
                run, troubles = readable(self.path, self._known)
                made = Scene(self.label, run, troubles, self._functional, self._frames)
                self._scene, self._head, self._state = made, None, state
            return self._scene

    def head(self):
        scene = self.scene()
        with self._lock:
            if self._head is None or scene is not self._scene:
                self._head = scene.head()
            return self._head


def _state(path):
    found = os.stat(path / "manifest.jsonl") if (path / "manifest.jsonl").exists() else None
    return found and (found.st_ino, found.st_size, found.st_mtime_ns)


class _Http(http.server.ThreadingHTTPServer):
    daemon_threads = True
    owner: Server


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        owner = self.server.owner
        # a name that some other page resolves to this machine is another address
        if self.headers.get("Host") not in (f"{HOST}:{owner.port}", f"localhost:{owner.port}"):
            return self._send(403, "text/plain", b"this address is not answered")
        token, _, path = self.path.removeprefix("/").partition("/")
        if not secrets.compare_digest(token.encode(), owner.token.encode()):
            return self._send(403, "text/plain", b"the token is another one")
        try:
            return self._send(200, *owner.answer(path))
        except (LookupError, ValueError):
            return self._send(404, "text/plain", b"there is nothing of this name")
        except (checks.InputError, OSError) as error:
            # a run that is being replaced or was removed: the page asks again
            return self._send(503, "text/plain; charset=utf-8", str(error).encode())

    def _refuse(self):
        self._send(405, "text/plain", b"runs are read only")

    do_POST = do_PUT = do_DELETE = do_PATCH = _refuse

    def _send(self, code, kind, content):
        self.send_response(code)
        for name, value in (("Content-Type", kind), ("Content-Length", len(content))):
            self.send_header(name, str(value))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)

    def log_message(self, form, *words):
        """Write nothing: the terminal shows the address."""
