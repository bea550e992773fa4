"""Processes that tests start: one that kills its own children, one that tells the bits of runs.

fault_worker.py kill FOLDER TRIALS SEED     a line of JSON a trial
fault_worker.py bits THREADS [NAME …]       a line of JSON with the digest of every run
fault_worker.py memory FOLDER MIB …         a line of JSON a limit of the memory
"""

import contextlib
import io
import json
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import time
import traceback

import fault_problems
import h5py
from many_threads import on_threads

import wgf
from wgf.command import cli
from wgf.record import store


def in_child(work):
    """Run `work` in a forked child and return its process number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


class Report:
    """Writes a byte into a pipe for every snapshot that was reported as written."""

    def __init__(self, pipe):
        self.pipe = pipe

    def __enter__(self):
        self.write = store.Writer.write

        def told(writer, *arguments):
            self.write(writer, *arguments)
            os.write(self.pipe, b"s")

        store.Writer.write = told

    def __exit__(self, *error):
        store.Writer.write = self.write


def run_until_killed(options, path, delay):
    """Start a run, kill it after `delay` seconds, return the number of snapshots it reported."""
    read, write = os.pipe()

    def work():
        with Report(write):
            os.write(write, b"b")
            wgf.solve(**options, save=path)

    child = in_child(work)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as pipe:
        begun = pipe.read(1)
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        told = begun + b"".join(iter(lambda: pipe.read(4096), b""))
    return told.count(b"s"), os.WIFSIGNALED(status)


def inspect(path, snapshots):
    """Return what is wrong with the run that a kill left behind, and what verify says."""
    faults = []
    if not (path / "manifest.jsonl").exists():
        return (["nothing was left of a snapshot"] if snapshots else []), []
    for file in [*path.glob("*.h5"), *path.glob("snapshots/*.h5")]:
        try:
            h5py.File(file, "r").close()
        except OSError as error:
            faults.append(f"{file.name} does not open: {error}")
    kept = 0
    if any(path.glob("snapshots/*.h5")) and (path / "manifest.jsonl").stat().st_size:
        kept = len(wgf.open_run(path).times)
    if kept < snapshots:
        faults.append(f"{snapshots} snapshots were reported and {kept} are there")
    (path / "run.h5").unlink(missing_ok=True)
    said = store.verify(path)
    if any(name != "manifest.jsonl" or "was not closed" not in text for name, text in said):
        faults.append(f"verify says {said}")
    if kept:
        with h5py.File(path / "run.h5", "r") as file:
            if len(file["time"]) != kept:
                faults.append("the index was not rebuilt")
    return faults, said


def resume_and_compare(options, path, reference):
    """Continue in a child and return whether the stored run is the uninterrupted one."""
    resume = (path / "manifest.jsonl").exists() and (path / "snapshots").exists()

    def work():
        wgf.solve(**options, save=path, resume=resume)

    _, status = os.waitpid(in_child(work), 0)
    if status:
        return ["the run did not resume"]
    run = wgf.open_run(path)
    faults = [] if fault_problems.digest(run) == reference else ["the bits differ"]
    if run.status != "done" or store.verify(path):
        faults.append(f"after resuming: {run.status}, {store.verify(path)}")
    if list(path.rglob("*.tmp")):
        faults.append("a temporary is left")
    return faults


def kill_trials(folder, trials, seed):
    """Kill run after run at random moments, the methods in turn, and tell what was found."""
    folder = pathlib.Path(folder)
    generator = random.Random(seed)
    references = {}
    for trial in range(trials):
        name = fault_problems.METHODS[trial % len(fault_problems.METHODS)]
        options = fault_problems.problem(name)
        if name not in references:
            # in this process, so that every child is forked with its code compiled
            wgf.solve(**options, save=folder / f"warm {name}")
            begin = time.perf_counter()
            whole = wgf.solve(**options, save=folder / f"whole {name}")
            references[name] = fault_problems.digest(whole), time.perf_counter() - begin
        reference, duration = references[name]
        path = folder / f"trial{trial}"
        snapshots, killed = run_until_killed(options, path, generator.uniform(0, duration))
        faults, _said = inspect(path, snapshots)
        faults += resume_and_compare(options, path, reference)
        print(
            json.dumps(
                {"method": name, "snapshots": snapshots, "killed": killed, "faults": faults}
            ),
            flush=True,
        )
        shutil.rmtree(path)


def tell_bits(count, names):
    """Print the digest of a run of every method on a given number of threads."""
    found = {}
    for name in names or fault_problems.NAMES_ON_THREADS:
        with on_threads(int(count)):
            found[name] = fault_problems.digest(wgf.solve(**fault_problems.on_threads(name)))
    print(json.dumps(found))


def short_of_memory(folder, limits):
    """Run the command line with a few MiB beyond what the process has, and print what it said."""
    folder = pathlib.Path(folder)
    script = str(pathlib.Path(__file__).with_name("fault_script.py"))
    command = ["run", script, "--quiet", "--no-plot", "--cells"]
    # large enough for the linear algebra library to take its buffers, without which it ends the
    # process in words of its own
    with contextlib.redirect_stdout(io.StringIO()):
        cli.status(argv=[*command, "100", "--out", str(folder / "warm")])
    for limit in limits:
        out, said = folder / f"run{limit}", folder / f"said{limit}.txt"

        def work(limit=limit, out=out, said=said):
            sys.stdout = open(os.devnull, "w")
            os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT), 2)
            used = int(pathlib.Path("/proc/self/statm").read_text().split()[0])
            resource.setrlimit(resource.RLIMIT_AS, (used * 4096 + (limit << 20),) * 2)
            options = ["--every", "0.01", "--method", "mesh", "--out", str(out)]
            code = cli.status(argv=[*command, "500", *options])
            os._exit(code)

        _, status = os.waitpid(in_child(work), 0)
        found = {"limit": limit, "status": os.waitstatus_to_exitcode(status)}
        found["said"] = said.read_text()
        found["written"] = len(list(out.glob("snapshots/*.h5")))
        listed = (out / "manifest.jsonl").exists() and (out / "manifest.jsonl").read_bytes()
        found["kept"] = len(wgf.open_run(out).times) if listed else 0
        found["temporaries"] = len(list(out.rglob("*.tmp")))
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "kill":
        kill_trials(rest[0], int(rest[1]), int(rest[2]))
    elif command == "memory":
        short_of_memory(rest[0], map(int, rest[1:]))
    else:
        tell_bits(rest[0], rest[1:])
