"""Every prefix of the operations on the disk, and what a loss of power leaves of them."""

import fault_kit
import h5py
import numpy as np
import pytest

import wgf
from wgf.record import segments, store

MESH = wgf.Mesh(x=wgf.Axis(0, 1, 4), y=wgf.Axis(0, 1, 3))


def density(number):
    """Return the measure of one snapshot; all differ."""
    return wgf.Density(MESH, np.random.default_rng(number).random(MESH.shape))


def write(writer, number, mark=lambda count: None):
    rows = {"t": [float(number)]}
    writer.write(number, float(number), density(number), None, rows, {"time": float(number)})
    mark(number + 1)


def recorded(tmp_path, monkeypatch, count):
    """Return the operations of a run of `count` snapshots that was closed and resumed once."""
    recorder = fault_kit.Recorder(tmp_path / "disk")
    recorder.root.mkdir()
    path = recorder.root / "run"
    with recorder.watching(monkeypatch):
        with store.Writer(path) as writer:
            for number in range(2 * count // 3):
                write(writer, number, recorder.mark)
        with store.Writer(path, resume=True) as writer:
            for number in range(2 * count // 3, count):
                write(writer, number, recorder.mark)
    # nothing escaped the record: made again, the operations give the same files
    again = tmp_path / "again"
    again.mkdir()
    for operation in recorder.log:
        fault_kit.replay(operation, again)
    assert fault_kit.tree(again) == fault_kit.tree(recorder.root)
    return recorder.log


def check(path, promised):
    """Assert that at least the promised snapshots are there, each with its own bits."""
    if not promised:
        return
    run = wgf.open_run(path)
    assert len(run.times) >= promised
    for number, snapshot in enumerate(run.snapshots):
        assert np.array_equal(snapshot.values, density(number).values)


def go_on(path, promised):
    """Assert that the run can be continued and is then in order."""
    if not promised:
        return
    with store.Writer(path, resume=True) as writer:
        write(writer, len(writer.entries))
    assert store.verify(path) == []
    check(path, promised + 1)
    assert not list(path.rglob("*.tmp"))


def every_prefix(tmp_path, monkeypatch, count):
    log = recorded(tmp_path, monkeypatch, count)
    disk = tmp_path / "prefix"
    disk.mkdir()
    promised = torn = 0
    for operation in log:
        if operation[0] == "mark":
            promised = operation[1]
        if operation[0] == "write":
            *head, piece = operation
            fault_kit.replay((*head, piece[: len(piece) // 2]), disk)
            check(disk / "run", promised)
            torn += 1
        fault_kit.replay(operation, disk)
        check(disk / "run", promised)
    assert promised == count
    return len(log) - count, torn


def power_losses(tmp_path, monkeypatch, count, samples):
    log = recorded(tmp_path, monkeypatch, count)
    kept = 0
    for sample in range(samples):
        generator = fault_kit.seeded(sample)
        model, promised = fault_kit.Model(), 0
        for operation in log[: generator.randrange(1, len(log) + 1)]:
            model.do(operation)
            promised = operation[1] if operation[0] == "mark" else promised
        disk = tmp_path / f"lost{sample}"
        disk.mkdir()
        model.fail(generator, disk)
        check(disk / "run", promised)
        go_on(disk / "run", promised)
        kept += promised
    return kept


def test_every_prefix_of_six_snapshots(tmp_path, monkeypatch):
    assert every_prefix(tmp_path, monkeypatch, 6)[0] > 60


def test_fifty_losses_of_power(tmp_path, monkeypatch):
    assert power_losses(tmp_path, monkeypatch, 6, 50) > 50


def test_the_model_forgets_what_was_not_synchronised(tmp_path, monkeypatch):
    """Without the synchronisations the same samples lose snapshots: the model has teeth."""
    log = recorded(tmp_path, monkeypatch, 6)
    lost = 0
    for sample in range(20):
        model = fault_kit.Model()
        for operation in log:
            if operation[0] not in ("fsync", "syncdir"):
                model.do(operation)
        disk = tmp_path / f"lost{sample}"
        disk.mkdir()
        model.fail(fault_kit.seeded(sample), disk)
        try:
            check(disk / "run", 6)
        except (wgf.InputError, AssertionError):
            lost += 1
    assert lost > 15


@pytest.mark.slow
def test_every_prefix_of_twenty_snapshots(tmp_path, monkeypatch, figure):
    operations, torn = every_prefix(tmp_path, monkeypatch, 20)
    figure(
        f"every prefix of {operations} operations of 20 snapshots, and {torn} torn writes: 0 losses"
    )


@pytest.mark.slow
def test_a_thousand_losses_of_power(tmp_path, monkeypatch, figure):
    kept = power_losses(tmp_path, monkeypatch, 20, 1000)
    figure(f"1000 losses of power, {kept} snapshots listed before them: 0 lost")


def test_every_prefix_with_segments_shows_what_is_written(tmp_path, monkeypatch):
    """An index of packed segments never shows NaN, wherever the run is cut off."""
    monkeypatch.setattr(segments, "DIRECT", 3)
    monkeypatch.setattr(segments, "MOST", 2)
    log = recorded(tmp_path, monkeypatch, 9)
    disk = tmp_path / "prefix"
    disk.mkdir()
    seen = 0
    for operation in log:
        fault_kit.replay(operation, disk)
        if not (disk / "run/run.h5").exists():
            continue
        with h5py.File(disk / "run/run.h5") as file:
            held = file["density"][()]
        assert np.array_equal(held, [density(k).values for k in range(len(held))])
        seen = max(seen, len(held))
    assert seen == 9
