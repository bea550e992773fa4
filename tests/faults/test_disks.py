"""Full disks and folders that are read-only: one sentence with the path, exit 1, nothing lost."""

import errno
import os
import pathlib
import shutil

import fault_kit
import pytest

import wgf
from wgf.command import cli
from wgf.record import store

SCRIPT = str(fault_kit.HERE / "fault_script.py")
RUN = ["run", SCRIPT, "--quiet", "--method", "mesh", "--out", "run"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snapshots(folder):
    """Return the bytes of the snapshots by name."""
    found = fault_kit.tree(folder / "run") if (folder / "run").exists() else {}
    return {name: content for name, content in found.items() if name.startswith("snapshots")}


def full_disks(folder, monkeypatch, capsys, count):
    """Run on disks of growing size; return how many were too small."""
    assert cli.status(argv=RUN) == 0
    whole = snapshots(folder)
    size = sum(map(len, fault_kit.tree(folder / "run").values()))
    failed = 0
    for trial in range(count):
        shutil.rmtree(folder / "run")
        capsys.readouterr()
        room = int(size * 1.3 * trial / count)
        with fault_kit.refusing(monkeypatch, folder, errno.ENOSPC, room):
            code = cli.status(argv=RUN)
        if code == 0:
            continue
        failed += 1
        assert code == 1
        line = fault_kit.sentence(capsys.readouterr().err)
        assert line.startswith(("run/", str(folder / "run"))) and "No space left on device" in line
        assert not [*folder.rglob("*.tmp")]
        kept = snapshots(folder)
        assert list(kept) == list(whole)[: len(kept)]
        if not kept:
            continue
        assert len(wgf.open_run("run").times) == len(kept)
        # with room again, the run goes on where there is something to go on from
        if (folder / "run/options.json").exists():
            assert cli.status(argv=["resume", "run", SCRIPT, "--quiet"]) == 0
        else:
            assert cli.status(argv=["resume", "run", SCRIPT, "--quiet"]) == 2
            assert "--overwrite" in fault_kit.sentence(capsys.readouterr().err)
            assert cli.status(argv=[*RUN, "--overwrite"]) == 0
        assert wgf.open_run("run").status == "done" and store.verify("run") == []
        assert len(wgf.open_run("run").times) == len(whole)
    return failed


def test_full_disks(folder, monkeypatch, capsys):
    assert full_disks(folder, monkeypatch, capsys, 6) > 3


@pytest.mark.slow
def test_a_hundred_full_disks(folder, monkeypatch, capsys, figure):
    failed = full_disks(folder, monkeypatch, capsys, 100)
    figure(
        f"{failed} of 100 disks too small: one sentence with the path, exit 1, earlier "
        "snapshots intact, no temporary left, each run completed later"
    )


def test_a_file_that_may_not_grow_ends_no_process(folder):
    """The system's own limit on a file's size, whose signal kills a process that has it on."""
    code = (
        "import resource, sys; from wgf import cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (15_000,) * 2)\n"
        "cli.main(argv=sys.argv[1:])"
    )
    done = fault_kit.worker(*RUN, "--no-plot", code=code, PYTHONDONTWRITEBYTECODE="1")
    line = fault_kit.sentence(done.stderr)
    assert done.returncode == 1, done
    assert line.startswith(f"{folder / 'run/snapshots/000000.h5'}: File too large")
    assert not [*folder.rglob("*.tmp")]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_read_only_folders(folder, monkeypatch, capsys, number):
    assert cli.status(argv=RUN) == 0
    (folder / "run/run.h5").unlink()
    before = fault_kit.tree(folder)
    commands = [
        (["run", SCRIPT, "--quiet", "--method", "mesh", "--out", "other"], "other"),
        (["run", SCRIPT, "--quiet", "--out", "both"], "both"),
        ([*RUN, "--overwrite"], "run"),
        (["resume", "run", SCRIPT, "--quiet"], "run/lock"),
        (["plot", "run"], "run/figure.png"),
        (["compare", "run", "run", "--plot", "two.png"], "two.png"),
        (["pack", "run", "-o", "one.h5"], "one.h5"),
    ]
    for argv, name in commands:
        capsys.readouterr()
        with fault_kit.refusing(monkeypatch, folder, number):
            assert cli.status(argv=argv) == 1, argv
        line = fault_kit.sentence(capsys.readouterr().err)
        assert line.startswith((name, str(folder / name))) and os.strerror(number) in line
        assert fault_kit.tree(folder) == before
    with fault_kit.refusing(monkeypatch, folder, number):
        # reading needs no more than it says
        assert cli.status(argv=["inspect", "run"]) == 0
        assert cli.status(argv=["verify", "run"]) == 0
    assert fault_kit.tree(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_folder_without_the_right_to_write(folder, capsys):
    pathlib.Path("closed").mkdir(mode=0o555)
    assert cli.status(argv=[*RUN[:-1], "closed/run"]) == 1
    assert "closed/run: Permission denied" in fault_kit.sentence(capsys.readouterr().err)
