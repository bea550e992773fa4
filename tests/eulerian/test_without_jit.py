"""The kernels mean the same to the compiler and to Python."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import without_jit

FOLDER = pathlib.Path(__file__).parent


def test_plain_python_gives_the_reference_and_the_compiled_numbers(tmp_path):
    """In a process of its own: Numba is told before it is imported."""
    done = subprocess.run(
        [sys.executable, FOLDER / "without_jit.py", tmp_path / "states.npz"],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    plain = np.load(tmp_path / "states.npz")
    for name, compiled in without_jit.states().items():
        # the same operations up to the order of sums; an implicit step ends at 1e-12 of the output
        allowed = 1e-11 if "implicit" in name else 1e-14
        worst = np.abs(plain[name] - compiled).max() / np.abs(compiled).max()
        assert worst <= allowed, (name, worst)
