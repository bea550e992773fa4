"""Who ran what where: what a stored run says about its own origin."""

import datetime
import importlib.metadata
import platform
import subprocess
import sys

from wgf import __version__
from wgf.parallel import threads


def provenance():
    """Return who ran what where: command line, versions, threads, platform, start time."""
    found = {"argv": list(sys.argv), "wgf": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "numba", "h5py"):
        found[package] = importlib.metadata.version(package)
    found |= {
        "platform": platform.platform(),
        "threads": threads.number(),
        # of one process; the recorder of several says how many
        "ranks": 1,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    try:
        git = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
        found["commit"] = git.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return found


def kept_features(stepper):
    """Return how a stepper on a mesh keeps its feature matrices, ``{}`` if it has none."""
    operators = getattr(getattr(stepper, "discrete", None), "operators", ())
    return {"features": "; ".join(map(str, operators))} if operators else {}
