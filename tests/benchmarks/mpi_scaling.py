"""Two ranks against two threads, messages against the model, memory a rank; in one run.

    python tests/benchmarks/mpi_scaling.py [--cells 192] [--steps 6] [--rounds 5]
    python tests/benchmarks/mpi_scaling.py --memory [--cells 192]
    python tests/benchmarks/mpi_scaling.py --model

Needs mpiexec. Each configuration runs in processes of its own, in turns, and the median of the
rounds counts, as the machine may do other things. Ratios only: absolute times depend on the
machine. Memory is the largest resident set from the start of `wgf.solve` on, above that before,
without and with two snapshots on the disk.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))
import mpi_problems

import wgf
from wgf import parallel

METHODS = {
    "explicit, order 2": lambda: wgf.FiniteVolume(),
    "implicit": lambda: wgf.ImplicitFiniteVolume(0.01),
}


def problem(cells, samples):
    angles = 2 * np.pi * (np.arange(samples) + 0.5) / samples
    x = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    F = wgf.Risk(wgf.Neurons(x, "relu"), wgf.Squared(np.abs(x[:, 0]) - x[:, 1]))
    mesh = wgf.Mesh(**{name: wgf.Axis(-3, 3, cells) for name in ("a", "w1", "w2")})
    return wgf.GradientFlow(F), wgf.Density.normal(mesh, 0, 0.25)


def work(cells, samples, steps):
    """Return the time of a step of order 2 and what was sent in it."""
    ranks = parallel.world()
    stepper = wgf.FiniteVolume().prepare(*problem(cells, samples))
    stepper.advance(1e-3)
    before = dict(getattr(ranks, "sent", {}))
    ranks.share(None)
    begin = time.perf_counter()
    for _ in range(steps):
        assert stepper.advance(1e-3)["rejected"] == 0
    ranks.largest(0.0)
    spent = (time.perf_counter() - begin) / steps
    sent = {
        kind: [(total - before.get(kind, (0, 0))[k]) / steps for k, total in enumerate(totals)]
        for kind, totals in getattr(ranks, "sent", {}).items()
    }
    return {"seconds": spent, "sent": sent}


def memory(cells, samples, method, path):
    """Return the largest resident set of a short run above that before, in MiB."""

    def run(cells, path):
        flow, start = problem(cells, samples)
        wgf.solve(flow, start, 2e-3, method=METHODS[method](), save=path or None)

    # imports and compiled code are no part of it
    run(16, None)
    run(16, path and f"{path}_small")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = resident("VmRSS")
    # without a path every rank would keep the snapshots; its stepper alone does not
    if path:
        run(cells, path)
    else:
        METHODS[method]().prepare(*problem(cells, samples)).advance(1e-3)
    return resident("VmHWM") - before


def resident(kind):
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith(kind):
            return int(line.split()[1]) / 2**10


def measured(ranks, threads, *arguments):
    """Return what every rank found."""
    command = [sys.executable, "-m", "mpi4py", __file__, *map(str, arguments)]
    beside = pathlib.Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if ranks > 1:
        command = [mpiexec, "-n", str(ranks), *command]
    environment = {**os.environ, "NUMBA_NUM_THREADS": str(threads)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def scaling(chosen):
    cases = {
        "1 rank × 1 thread": (1, 1),
        "1 rank × 2 threads": (1, 2),
        "2 ranks × 1 thread": (2, 1),
    }
    found = {name: [] for name in cases}
    for _ in range(chosen.rounds):
        for name, case in cases.items():
            found[name].append(
                measured(*case, "--work", chosen.cells, chosen.samples, chosen.steps)
            )
    times = {
        name: statistics.median(run[0]["seconds"] for run in runs) for name, runs in found.items()
    }
    one, threads, ranks = times.values()
    least = [min(run[0]["seconds"] for run in runs) for runs in found.values()]
    print(f"mesh {chosen.cells}³, {chosen.samples} samples, {chosen.steps} steps a run\n")
    print("| | s a step | speed-up | of the fastest rounds |\n|---|---|---|---|")
    for name, best in zip(cases, least):
        speed_up = f"{one / times[name]:.2f} | {least[0] / best:.2f}"
        print(f"| {name} | {times[name]:.3f} | {speed_up} |")
    print(
        f"\nspeed-up of two ranks over that of two threads: {threads / ranks:.2f}, "
        f"of the fastest rounds {least[1] / least[2]:.2f}"
    )
    sent = [rank["sent"] for rank in found["2 ranks × 1 thread"][0]]
    print("\n| sent in a step | bytes | model | messages |\n|---|---|---|---|")
    for kind, wanted in {**mpi_problems.model(chosen.cells**2, 2), "sums": None}.items():
        size = sum(rank.get(kind, (0, 0))[0] for rank in sent)
        count = sum(rank.get(kind, (0, 0))[1] for rank in sent)
        wanted = "" if wanted is None else f"{wanted:.0f}"
        print(f"| {kind} | {size:.0f} | {wanted} | {count:.1f} |")


def memories(chosen):
    print(f"mesh {chosen.cells}³, {chosen.samples} samples: MiB a rank, of serial / ranks\n")
    print("| | 1 rank | 2 ranks | 3 ranks |\n|---|---|---|---|")
    for method in METHODS:
        for stored in (0, 1):
            one, texts = None, []
            for ranks in (1, 2, 3):
                with tempfile.TemporaryDirectory() as folder:
                    path = f"{folder}/run" if stored else ""
                    arguments = ("--peak", chosen.cells, chosen.samples, method, path)
                    peaks = measured(ranks, 1, *arguments)
                one = one or peaks[0]
                shares = " / ".join(f"{peak:.0f} ({peak * ranks / one:.2f})" for peak in peaks)
                texts.append(shares)
            name = f"{method}, {'two snapshots' if stored else 'a step'}"
            print(f"| {name} | {' | '.join(texts)} |", flush=True)


# of a step a cell; of its moments, twice in it; a message; bytes a second
STEP, MOMENT, LATENCY, RATE = 23e-9, 0.6e-9, 2e-6, 1e10


def predicted(n, ranks):
    """Return the seconds of a step of order 2 on a mesh of n³ cells; see docs/parallel.md."""
    plane, cells = n**2, n**3
    if ranks == 1:
        return cells * STEP
    pieces = min(parallel.CHUNKS, -(-plane // parallel.CHUNK))
    halo = 4 * (LATENCY + 2 * 8 * plane / RATE) * 2
    # until the last rank adds its first piece all before it have added theirs
    piece = cells / ranks / pieces * MOMENT + LATENCY + 8 * plane / pieces / RATE
    chain = 2 * (ranks - 1) * piece
    share = 2 * 2 * (ranks * LATENCY + 8 * plane / RATE)
    sums = 16 * ranks * LATENCY / 2
    return cells / ranks * STEP + halo + chain + share + sums


def models():
    print("| ranks | 1024³ | speed-up / ranks | 256³ cells a rank | efficiency |")
    print("|---|---|---|---|---|")
    for ranks in (1, 4, 16, 64, 128, 256, 1024):
        strong = predicted(1024, ranks)
        part = 1024 / ranks >= 2
        texts = [f"{strong:.3f} s", f"{predicted(1024, 1) / strong / ranks:.2f}"]
        n = round(256 * ranks ** (1 / 3))
        weak = predicted(n, ranks)
        shown = texts if part else ["–", "–"]
        grown = [f"{n}³: {weak:.2f} s", f"{predicted(256, 1) / weak:.2f}"]
        grown = grown if n / ranks >= 2 else [f"{n}³: –", "–"]
        print(f"| {ranks} | {' | '.join(shown + grown)} |")


def main():
    if "--work" in sys.argv or "--peak" in sys.argv:
        kind, cells, samples, *more = sys.argv[1:]
        if kind == "--work":
            found = work(int(cells), int(samples), int(more[0]))
        else:
            found = memory(int(cells), int(samples), more[0], more[1])
        ranks = parallel.world()
        found = [found] if ranks.size == 1 else ranks.communicator.gather(found)
        if ranks.rank == 0:
            print(json.dumps(found))
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--cells", type=int, default=192)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--model", action="store_true")
    chosen = parser.parse_args()
    if chosen.model:
        models()
    else:
        (memories if chosen.memory else scaling)(chosen)


if __name__ == "__main__":
    main()
