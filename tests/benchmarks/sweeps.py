"""What a sweep costs beside its runs: tiny members against the same runs by `wgf.solve`.

    python tests/benchmarks/sweeps.py [members]

Prints the time per member of a sweep in one process, that of `solve(…, save=…)`, their difference,
and by how much the memory of the sweep's process has grown from its first tenth to its end.
"""

import pathlib
import resource
import sys
import tempfile
import time

import wgf


def setup(*, stiffness=1.0, until=0.02):
    """Return a few particles in a well."""
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, 8))
    start = wgf.Density.normal(mesh, 0.5, 0.5)
    flow = wgf.GradientFlow(wgf.Ridge(stiffness))
    return {"flow": flow, "start": start, "until": until, "particles": 10}


def alone(folder, members):
    """Do the runs of the members one after the other and return the seconds they took."""
    began = time.perf_counter()
    for k in range(members):
        system = setup()
        start = system["start"].sample(system["particles"], k)
        wgf.solve(system["flow"], start, system["until"], save=folder / f"{k:06d}")
    return time.perf_counter() - began


def swept(folder, members, **more):
    """Do the same runs as a sweep and return the seconds it took."""
    began = time.perf_counter()
    options = {"method": "particles", "seeds": range(members), "out": folder}
    wgf.sweep(setup, jobs=1, **options, **more)
    return time.perf_counter() - began


def memory():
    """Return the most that this process has held, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(members):
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        # compiled and imported before anything is timed
        alone(place / "first", 2), swept(place / "again", 2)
        swept(place / "few", max(2, members // 10))
        held = memory()
        # pairs, so that what else the machine does enters both
        parts = [
            (alone(place / f"alone{k}", members // 5), swept(place / f"swept{k}", members // 5))
            for k in range(4)
        ]
        single, whole = (sum(part) / (4 * (members // 5)) for part in zip(*parts))
        swept(place / "all", members)
        print(f"{members} members: {1e3 * whole:.2f} ms each as a sweep, {1e3 * single:.2f} ms by")
        print(f"solve(…, save=…), {1e3 * (whole - single):.2f} ms more per member;")
        print(
            f"memory {held:.0f} MB after {max(2, members // 10)} members, {memory():.0f} at the end"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
