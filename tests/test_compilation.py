"""Where compiled kernels are kept, and who is told while they are compiled."""

import os
import pathlib
import shutil
import stat
import subprocess
import sys

import numba
import pytest

import wgf
from wgf.parallel import compiled_kernels
from wgf.parallel.compiled_kernels import compiling, njit
from wgf.record.progress import tell_compiling


def test_told_once_when_something_is_compiled(capsys):
    @njit()
    def double(x):
        return 2 * x

    with compiling(lambda: tell_compiling("mesh")) as watch:
        assert watch.seconds == 0.0
        assert double(2) == 4 and double(2.5) == 5.0
        spent = watch.seconds
        assert spent > 0.0
        # another call compiles nothing
        double(3)
        assert watch.seconds == spent
    assert capsys.readouterr().err == "mesh: compiling kernels, once after an installation\n"


def test_a_folder_is_given_where_numba_would_find_none(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(compiled_kernels.tempfile, "tempdir", str(tmp_path))
    for asked in ("", str(tmp_path / "asked")):
        monkeypatch.setattr(numba.config, "CACHE_DIR", asked)
        monkeypatch.setattr(compiled_kernels, "writable", lambda folder: True)
        compiled_kernels.provide_folder()
        assert numba.config.CACHE_DIR == asked
        monkeypatch.setattr(compiled_kernels, "writable", lambda folder: False)
        compiled_kernels.provide_folder()
        found = pathlib.Path(numba.config.CACHE_DIR)
        assert found.parent == tmp_path and found.is_dir()
        assert stat.S_IMODE(found.stat().st_mode) == 0o700


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no rights of this kind")
def test_a_temporary_folder_of_others_is_not_used(monkeypatch, tmp_path):
    monkeypatch.setattr(compiled_kernels.tempfile, "tempdir", str(tmp_path))
    own = pathlib.Path(compiled_kernels.temporary_folder())
    assert own == pathlib.Path(compiled_kernels.temporary_folder())
    # others may write there
    own.chmod(0o777)
    assert pathlib.Path(compiled_kernels.temporary_folder()) != own
    own.rmdir()
    # a link that somebody has put there
    own.symlink_to(tmp_path)
    assert pathlib.Path(compiled_kernels.temporary_folder()) != own


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="no rights of this kind")
def test_a_read_only_installation_without_a_home_works(tmp_path):
    package = tmp_path / "installed" / "wgf"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(pathlib.Path(wgf.__file__).parent, package, ignore=ignored)
    # also for root, who may write anywhere: a file stands where the folders would be
    for room in (path for path in package.rglob("*") if path.is_dir()):
        (room / "__pycache__").write_text("")
    code = (
        "import wgf, numba\n"
        "start = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-2, 2, 16)), 0.5, 0.3)\n"
        "wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), start, 0.1)\n"
        "print(numba.config.CACHE_DIR)"
    )
    (tmp_path / "tmp").mkdir()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package.parent),
        "HOME": "/dev/null",
        "TMPDIR": str(tmp_path / "tmp"),
    }
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        folder = pathlib.Path(done.stdout.strip())
        assert folder.parent == tmp_path / "tmp"
        assert list(folder.rglob("*.nbc"))
