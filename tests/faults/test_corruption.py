"""Damaged files: none is silently accepted, each is named with what to do."""

import json
import pathlib
import time

import fault_kit
import numpy as np
import pytest

import wgf
from wgf.command import cli
from wgf.record import store

REMEDIES = ("restore it from a copy or run again", "rebuilt from the snapshots, go on")
KINDS = ("snapshot", "index", "manifest")


@pytest.fixture
def run(tmp_path):
    """A closed run of a few snapshots."""
    path = tmp_path / "run"
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 5), y=wgf.Axis(0, 1, 3))
    risk = wgf.Risk(wgf.Features(np.sin), wgf.Squared([1.0, 2.0]))
    flow = wgf.GradientFlow(risk + wgf.Ridge(0.1))
    wgf.solve(flow, wgf.Density.normal(mesh, 0.4, 0.2), until=0.5, every=0.1, save=path)
    return path


def complaint(path):
    """Return what opening and verifying say: an error, what is bad, and the run or None."""
    try:
        opened, error = wgf.open_run(path), None
    except wgf.InputError as caught:
        opened, error = None, str(caught)
    return error, store.verify(path), opened


def damaged(path, trials, seed):
    """Damage a file a trial and put it back; return counts by kind and the longest time."""
    generator = fault_kit.seeded(seed)
    whole = fault_kit.tree(path)
    times = wgf.open_run(path).times
    names = {
        "snapshot": [name for name in whole if name.startswith("snapshots/")],
        "index": ["run.h5"],
        "manifest": ["manifest.jsonl"],
    }
    slowest, counts = 0.0, dict.fromkeys(KINDS, 0)
    for trial in range(trials):
        kind = KINDS[trial % 3]
        name = generator.choice(names[kind])
        what, content = fault_kit.damage(whole[name], generator)
        (path / name).write_bytes(content)
        begin = time.perf_counter()
        error, bad, opened = complaint(path)
        slowest = max(slowest, time.perf_counter() - begin)
        where = (trial, name, what, error, bad)
        assert bad, where
        if kind == "index":
            # nothing reads the index: opening needs the snapshots only
            assert opened is not None and bad[0][0] == "run.h5" and REMEDIES[1] in bad[0][1], where
            assert store.verify(path) == [], where
        elif error is None and opened.status == "done":
            # the line of the index is wrong, not the index: it is made again with its line
            assert kind == "manifest" and bad[0][0] == "run.h5" and REMEDIES[1] in bad[0][1], where
            assert store.verify(path) == [], where
        elif error is None:
            # a manifest that lost its end is that of a run that broke off: it reads as unfinished
            assert kind == "manifest" and opened.status == "running", where
            assert bad[0][0] == name and store.UNCLOSED in bad[0][1], where
            assert np.array_equal(opened.times, times[: len(opened.times)]), where
            assert len(opened.times) >= len(times) - 1, where
        else:
            assert "\n" not in error, where
            if "no snapshot yet" not in error:
                assert REMEDIES[0] in error and str(path) in error, where
            assert all(part in ("manifest.jsonl", *names["snapshot"]) for part, _ in bad), where
        counts[kind] += 1
        for file, content in whole.items():
            (path / file).write_bytes(content)
    return counts, slowest


def test_sixty_corruptions(run):
    counts, _slowest = damaged(run, 60, seed=0)
    assert set(counts.values()) == {20}


@pytest.mark.slow
def test_a_thousand_corruptions(run, figure):
    counts, slowest = damaged(run, 1000, seed=1)
    # a hang, not a speed: the files are a few kilobytes
    assert slowest < 5
    figure(
        f"1000 corruptions ({counts}): 0 silently accepted, each named with a remedy, the "
        f"longest answer after {slowest:.2f} s"
    )


def test_a_manifest_that_says_the_same_in_other_words_is_damaged(run):
    """Every byte of the manifest counts, also those that a reader of JSON would forgive."""
    manifest = run / "manifest.jsonl"
    lines = manifest.read_text().splitlines(keepends=True)
    last = json.loads(lines[-1])
    others = [
        lines[:1] + [lines[1].replace('": ', '":')] + lines[2:],
        lines[:-1] + [json.dumps({**last, "status": "dome"}) + "\n"],
        lines[:-1] + [json.dumps({**last, "step": last["step"] + 1}) + "\n"],
        lines[:-1] + [json.dumps({**last, "rows": last["rows"] - 1}) + "\n"],
        lines[:-1] + [json.dumps({**last, "t": 0.25}) + "\n"],
        lines[:2] + ["[" * 100_000 + "\n"] + lines[2:],
    ]
    for other in others:
        manifest.write_text("".join(other))
        error, bad, _ = complaint(run)
        assert "manifest.jsonl: line" in error and "is damaged, restore it" in error
        assert bad[0][0] == "manifest.jsonl"


def test_a_run_that_was_not_closed_is_told_by_verify(run, capsys):
    manifest = run / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]))
    (run / "run.h5").unlink()
    assert cli.status(argv=["verify", str(run)]) == 2
    line = fault_kit.sentence(capsys.readouterr().err)
    assert "manifest.jsonl: the run was not closed, continue it by wgf resume" in line
    assert (run / "run.h5").exists()
    # a process that writes to the run will close it itself
    with store.Writer(run, resume=True) as writer:
        assert store.verify(run) == []
        assert writer.entries
    assert store.verify(run) == []


def test_only_stale_temporaries_are_removed(run):
    stale = ["run.h5.tmp", "manifest.jsonl.tmp", "options.json.tmp", "snapshots/000006.h5.tmp"]
    mine = ["notes.tmp", "snapshots/mine.tmp"]
    for name in (*stale, *mine):
        (run / name).write_text("half")
    store.Writer(run, resume=True).release()
    left = {str(file.relative_to(run)) for file in pathlib.Path(run).rglob("*.tmp")}
    assert left == set(mine)
