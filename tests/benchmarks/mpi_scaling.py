"""Two ranks against two threads, messages against the model, memory a rank; in one run.

    python tests/benchmarks/mpi_scaling.py [--cells 192] [--steps 6] [--samples 64]

Needs mpiexec. Each configuration runs in processes of its own, in turns, and the fastest of three
times counts, as the machine may do other things. Ratios only: absolute times depend on the machine.
"""

import argparse
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

import numpy as np

ROUNDS = 3


def problem(cells, samples):
    import wgf

    angles = 2 * np.pi * (np.arange(samples) + 0.5) / samples
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    F = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(np.abs(x[:, 0]) - x[:, 1]))
    mesh = wgf.Mesh(**{name: wgf.Axis(-3, 3, cells) for name in ("a", "w1", "w2")})
    return wgf.GradientFlow(F), mesh


def work(cells, samples, steps):
    """Make `steps` steps on the ranks of this process and print what rank 0 found."""
    import wgf
    from wgf import parallel

    ranks = parallel.world()
    flow, mesh = problem(cells, samples)
    empty = memory()
    stepper = wgf.FiniteVolume().prepare(flow, wgf.Density.normal(mesh, 0, 0.25))
    stepper.advance(1e-3)
    before = dict(getattr(ranks, "sent", {}))
    share = ranks.share(0.0)
    begin = time.perf_counter()
    for _ in range(steps):
        stepper.advance(1e-3)
    share = ranks.share(0.0)
    spent = (time.perf_counter() - begin) / steps + share
    sent = {
        kind: [(total - before.get(kind, (0, 0))[k]) / steps for k, total in enumerate(totals)]
        for kind, totals in getattr(ranks, "sent", {}).items()
    }
    arrays = [v for v in vars(stepper).values() if isinstance(v, np.ndarray)]
    arrays += [v for o in stepper.discrete.operators for v in vars(o).values()
               if isinstance(v, np.ndarray)]  # fmt: skip
    found = {
        "seconds": spent,
        "sent": sent,
        "arrays": sum(array.nbytes for array in arrays) / 2**20,
        "peak": memory() - empty,
    }
    if ranks.size > 1:
        found = ranks.communicator.gather(found)
    if ranks.rank == 0:
        print(json.dumps(found if ranks.size > 1 else [found]))


def memory():
    """Return the largest memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measured(ranks, threads, arguments):
    command = [sys.executable, "-m", "mpi4py", __file__, "--work", *arguments]
    if ranks > 1:
        beside = pathlib.Path(sys.executable).parent / "mpiexec"
        mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
        command = [mpiexec, "-n", str(ranks), *command]
    else:
        command = [sys.executable, __file__, "--work", *arguments]
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def model(cells, rank_columns, ranks):
    """Return the bytes that the ranks send in a step together, by kind; see docs/mpi.md."""
    plane = 8 * cells**2
    return {
        # two stages, two planes each way over every cut; moments and variations, see there
        "cells": 2 * (ranks - 1) * (2 * 2 * plane + plane + plane / ranks),
        "moments": 2 * (ranks - 1) * plane,
        "sums": None,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=192)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--work", action="store_true")
    chosen = parser.parse_args()
    if chosen.work:
        work(chosen.cells, chosen.samples, chosen.steps)
        return
    arguments = [f"--{key}={getattr(chosen, key)}" for key in ("cells", "samples", "steps")]
    cases = {
        "1 rank × 1 thread": (1, 1),
        "1 rank × 2 threads": (1, 2),
        "2 ranks × 1 thread": (2, 1),
    }
    found = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, case in cases.items():
            found[name].append(measured(*case, arguments))
    times = {name: min(run[0]["seconds"] for run in runs) for name, runs in found.items()}
    one, threads, ranks = times.values()
    print(f"mesh {chosen.cells}³, {chosen.samples} samples, {chosen.steps} steps a run\n")
    print("| | s a step | speed-up | MiB of arrays a rank | peak MiB above the start a rank |")
    print("|---|---|---|---|---|")
    for name, runs in found.items():
        arrays = " / ".join(f"{rank['arrays']:.0f}" for rank in runs[0])
        peaks = " / ".join(f"{rank['peak']:.0f}" for rank in runs[0])
        print(f"| {name} | {times[name]:.3f} | {one / times[name]:.2f} | {arrays} | {peaks} |")
    print(f"\nspeed-up of two ranks over that of two threads: {threads / ranks:.2f}")
    sent = [rank["sent"] for rank in found["2 ranks × 1 thread"][0]]
    print("\n| sent in a step | bytes | model | messages |\n|---|---|---|---|")
    for kind, wanted in model(chosen.cells, None, 2).items():
        size = sum(rank.get(kind, (0, 0))[0] for rank in sent)
        count = sum(rank.get(kind, (0, 0))[1] for rank in sent)
        wanted = "" if wanted is None else f"{wanted:.0f}"
        print(f"| {kind} | {size:.0f} | {wanted} | {count:.1f} |")


if __name__ == "__main__":
    main()
