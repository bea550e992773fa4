"""How many processors this process may use: those it is bound to, and its quota of their time."""

import os
import pathlib

CGROUPS = "/sys/fs/cgroup"


def processors(root: str | pathlib.Path = "/") -> int:
    """Return the number of processors that this process may use, at least one.

    That is the smallest of the processors there are, those that the process is bound to, and the
    whole processors whose time the control groups above it leave it (containers, batch systems).

    Parameters
    ----------
    root : path
        Where ``proc`` and ``sys`` are found.
    """
    bound = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else ()
    return max(1, min(len(bound) or os.cpu_count() or 1, int(quota(root))))


def quota(root: str | pathlib.Path = "/") -> float:
    """Return the processors whose time the control groups leave this process, 1e9 without a limit.

    Both versions are read: ``cpu.max``, and ``cpu.cfs_quota_us`` over ``cpu.cfs_period_us``.
    """
    root, least = pathlib.Path(root), 1e9
    top = root / CGROUPS.lstrip("/")
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return least
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # version 2 has one tree and names no controllers
        base = top / controllers if controllers else top
        for folder in (base / path.lstrip("/"), *(base / path.lstrip("/")).parents):
            if controllers:
                words = _words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us")
            else:
                words = _words(folder / "cpu.max")
            # without a limit the quota is "max" or -1
            if len(words) == 2 and words[0].isdigit() and words[1].isdigit() and int(words[1]):
                least = min(least, int(words[0]) / int(words[1]))
            if folder == base:
                break
    return least


def _words(file):
    try:
        return file.read_text().split()
    except OSError:
        return []
