"""The 30-feature example on two of its splits."""

import pathlib
import subprocess
import sys

EXAMPLE = pathlib.Path(__file__).resolve().parent.parent / "examples" / "wdbc.py"


def test_accuracy_on_two_splits():
    command = [sys.executable, str(EXAMPLE), "--splits", "2", "--particles", "60", "--until", "15"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["split", "0", "1", "mean"]
    # asked: 95 % in the mean of ten splits; measured 97.7 % with the defaults
    assert float(lines[-1].split()[2]) >= 0.95
