"""The page of a run that goes on: nobody else is answered, nothing is written, nobody waits."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from test_pages import browser, opened, unpacked  # noqa: F401

import wgf
from wgf import view
from wgf.record import directory

FLOW = wgf.GradientFlow(wgf.Ridge(1.0))
# goes on until it is killed
ENDLESS = """
import sys, time
import wgf

flow = wgf.GradientFlow(wgf.Ridge(1.0))
start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 16), y=wgf.Axis(-2, 2, 16)), 0.5, 0.4)
wait = lambda row: time.sleep(0.1)
wgf.solve(flow, start, 1e4, every=0.05, save=sys.argv[1], progress=wait)
"""


def begin():
    mesh = wgf.Mesh(x=wgf.Axis(-2, 2, 16), y=wgf.Axis(-2, 2, 16))
    return wgf.Density.normal(mesh, 0.5, 0.4)


@pytest.fixture
def run(tmp_path):
    wgf.solve(FLOW, begin(), 0.3, every=0.1, save=tmp_path / "run")
    return tmp_path / "run"


def asked(server, path, method="GET", address="127.0.0.1", **headers):
    """Return status and content of an answer; the path is sent as it is."""
    line = http.client.HTTPConnection(address, server.port, timeout=20)
    line.request(method, path, headers=headers)
    answer = line.getresponse()
    return answer.status, answer.read()


def contents(folder):
    """Return the files below a folder with their bytes and times."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_the_page_and_its_numbers_are_answered_and_nothing_else(run):
    before = contents(run)
    with view.Server([run]) as server:
        below = f"/{server.token}/"
        status, text = asked(server, below)
        assert status == 200 and b'data-name="' not in text
        assert asked(server, below + "runs") == (200, b'["run"]')
        head, _ = unpacked(asked(server, below + "head/0")[1])
        assert head["times"] == [0.0, 0.1, 0.2, 0.3] and head["status"] == "done"
        _, found = unpacked(asked(server, below + "frame/0/2")[1])
        assert np.array_equal(found["plane 0"], wgf.open_run(run).snapshots[2].values.T)
        outside = ["../../etc/passwd", "%2e%2e/manifest.jsonl", "manifest.jsonl", "frame/0/-1"]
        outside += ["/etc/passwd", "frame/0/9", "head/1", "frame/0", "head/00", "frame/0/2/../1"]
        for path in outside:
            assert asked(server, below + path)[0] == 404, path
        for path in ("/", "/runs", f"/{server.token[:-1]}/", f"/{server.token}x/", "//etc/passwd"):
            assert asked(server, path)[0] == 403, path
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert asked(server, below, method)[0] == 405
        # a name that leads here from elsewhere
        assert asked(server, below, Host=f"example.org:{server.port}")[0] == 403
        # addresses of this machine that are not the one listened at
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.2", server.port), timeout=5)
    assert contents(run) == before


def test_bad_input(run, tmp_path):
    with pytest.raises(wgf.InputError, match="no run here"):
        view.Server([tmp_path / "nothing"])
    with view.Server([run]) as server:
        with pytest.raises(wgf.InputError, match=f"view port: {server.port} cannot be had"):
            view.Server([run], port=server.port)


def test_readers_do_not_hold_the_writer_up(run):
    """Every snapshot is asked for while the run holds its lock, and the run ends as if alone."""
    with view.Server([run]) as server:
        seen = []

        def look(row):
            seen.append(len(unpacked(asked(server, f"/{server.token}/head/0")[1])[0]["times"]))
            last = f"/{server.token}/frame/0/{seen[-1] - 1}"
            assert asked(server, last)[0] == 200
            # the run still has its lock
            with pytest.raises(wgf.InputError, match="another process writes to this run"):
                directory.lock(run)

        straight = wgf.solve(FLOW, begin(), 0.6, every=0.1)
        wgf.solve(FLOW, begin(), 0.6, every=0.1, save=run, resume=True, progress=look)
        head, columns = unpacked(asked(server, f"/{server.token}/head/0")[1])
    assert seen == sorted(seen) and seen[0] == 4 and head["status"] == "done"
    assert np.array_equal(columns["column objective"], straight.diagnostics["objective"])


def test_a_run_killed_while_it_is_watched_stays_on_the_page(tmp_path, browser):  # noqa: F811
    path = tmp_path / "endless"
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, path])
    try:
        deadline = time.monotonic() + 120
        while not (directory.is_run(path) and directory.read_manifest(path)[0]):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        # every snapshot is shown, however long the browser takes to start
        with view.Server([path], frames=10**5) as server:
            page, troubles = opened(browser, server.url)
            count = "document.getElementById('slider').max"
            first = int(page.evaluate(count))
            # the page follows, and shows the last state
            page.wait_for_function(f"() => {count} > {first + 1}", timeout=60_000)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            with open(path / "manifest.jsonl", "ab") as stream:
                stream.write(b'{"name": "snapshots/9')
            last = len(directory.read_manifest(path)[0]) - 1
            page.wait_for_function(f"() => {count} == {last}", timeout=60_000)
            page.wait_for_function(f"() => document.body.dataset.shown == {last}", timeout=60_000)
            assert page.text_content("#live") == "" and troubles == []
            # a snapshot that is lost is told, and the others stay
            (path / f"snapshots/{last:06d}.h5").unlink()
            with open(path / "manifest.jsonl", "ab") as stream:
                stream.write(b"0")
            page.wait_for_selector("text=the file is missing", timeout=60_000)
            page.wait_for_function(f"() => {count} == {last - 1}", timeout=60_000)
            assert troubles == []
            page.close()
    finally:
        process.kill()
        process.wait()
