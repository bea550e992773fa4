"""Threads: how many, which loops are shared, forks, several solves at once, quotas, Slurm."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from many_threads import on_threads

import wgf
from wgf.parallel import pool, processors, ranks, threads

MESH = wgf.Mesh(x=wgf.Axis(-2, 2, 16))


def mean_at(k=0, until=0.5, **options):
    """Return the mean of a solve in a well of strength ``1 + k``."""
    flow = wgf.GradientFlow(wgf.Potential(lambda p: 0.5 * (1 + k) * p[:, 0] ** 2))
    start = wgf.Density.normal(MESH, 0.5, 0.3)
    return float(wgf.solve(flow, start, until, **options).final.mean()[0])


def test_small_loops_are_not_shared():
    with threads.using(4):
        assert threads.worth(threads.GRAIN) == 1
        assert threads.worth(2.5 * threads.GRAIN) == 2
        assert threads.worth(100 * threads.GRAIN) == 4
        # one loop within another
        inner = threads.each(lambda k: not pool.inside() or threads.worth(1e12) == 1, range(8))
        assert all(inner)
    with threads.using(1):
        assert threads.worth(1e12) == 1


def test_parts_depend_on_threads_and_kernels_see_all_of_them():
    seen = []

    @threads.shared(lambda name, nanoseconds: nanoseconds)
    def kernel(name, nanoseconds, part, parts):
        seen.append((name, part, parts))

    with on_threads(2), threads.using(4):
        kernel("large", 1e9)
        assert sorted(seen) == [("large", part, 16) for part in range(16)]
        seen.clear()
        kernel("small", 1e-3)
        assert seen == [("small", 0, 1)]


def test_each_part_is_done_once_and_errors_come_back():
    with threads.using(4):
        for parts in (1, 2, 7, 40):
            done = []
            pool.pool.share(done.append, parts, 4)
            assert sorted(done) == list(range(parts))

        def fail(part):
            raise ValueError(f"part {part}")

        with pytest.raises(ValueError, match="part"):
            pool.pool.share(fail, 9, 4)
        # the pool works on
        done = []
        pool.pool.share(done.append, 9, 4)
        assert len(done) == 9


def test_numpy_treats_overflow_on_every_thread_as_the_caller_does():
    def work(k):
        return float(np.exp(np.array([1e4]))[0])

    with on_threads(3), np.errstate(over="ignore"):
        assert threads.each(work, range(12)) == [np.inf] * 12
    with on_threads(3), np.errstate(over="raise"), pytest.raises(FloatingPointError):
        threads.each(work, range(12))


def test_a_late_thread_holds_nobody_up():
    # another thread sleeps in its first part; the caller does all others meanwhile
    order, asleep = [], threading.Event()

    def work(part):
        if threading.current_thread() is not threading.main_thread():
            asleep.wait(10)
        order.append(part)
        if len(order) >= 8:
            asleep.set()

    with threads.using(2):
        pool.pool.share(work, 9, 2)
    assert sorted(order) == list(range(9))


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_loops_are_done_the_way_that_takes_less_time(ratio):
    # the seconds of a unit of work shared, those alone being 1 ms
    balance, ways = pool.Balance(), []
    for _ in range(3000):
        ways.append(balance.shares)
        balance.count(1e-3 * (ratio if balance.shares else 1.0), 7.0)
    assert ways[0]
    better = ratio < 1
    # the other way is tried for a fortieth of the time
    assert 0.94 < np.mean(np.array(ways[200:]) == better) < 1


def test_the_way_is_found_anew_when_the_neighbours_change():
    balance = pool.Balance()
    for cost in (0.5, 2.0, 0.5):
        ways = []
        for _ in range(6000):
            ways.append(balance.shares)
            balance.count(1e-3 * (cost if balance.shares else 1.0), 7.0)
        assert np.mean(np.array(ways[3000:]) == (cost < 1)) > 0.9


def test_no_thread_lasts_beyond_the_solve():
    with on_threads(3):
        mean_at()
        assert any(each.name == "wgf" for each in threading.enumerate())
    assert not any(each.name == "wgf" for each in threading.enumerate())


@pytest.mark.parametrize("number", [0, -1, 1.5, "two", True])
def test_bad_numbers_of_threads_are_refused(number):
    with pytest.raises(wgf.InputError, match="^threads: "):
        mean_at(threads=number)


def test_more_threads_than_processors_are_as_many_as_there_are():
    assert threads.checked(10**6) == processors.processors()
    assert mean_at(threads=10**6) == mean_at(threads=1) == mean_at()


def test_the_environment_limits_threads(monkeypatch):
    monkeypatch.setattr(threads, "processors", lambda: 6)
    for setting, expected in {"4": 4, "64": 6, "0": 6, "x": 6, "3,2": 3, "": 6}.items():
        monkeypatch.setenv("NUMBA_NUM_THREADS", setting)
        assert threads.default.__wrapped__() == expected
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert threads.default.__wrapped__() == 5


def test_the_environment_is_left_as_it_was():
    before = dict(os.environ)
    mean_at(threads=1)
    assert dict(os.environ) == before


def forked(work, *arguments):
    """Return what `work` returns in a forked process."""
    with multiprocessing.get_context("fork").Pool(1) as workers:
        return workers.apply_async(work, arguments).get(timeout=60)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("count", [1, 3])
def test_works_after_a_fork(count):
    with on_threads(count):
        here = mean_at(1)
        # with threads of this process that the other does not have
        assert forked(mean_at, 1) == here


def test_several_threads_of_python_solve_at_once():
    expected = [mean_at(k) for k in range(4)]
    found, workers = {}, []

    def work(k):
        with on_threads(2):
            found[k] = mean_at(k)

    for k in range(4):
        workers.append(threading.Thread(target=work, args=(k,)))
        workers[-1].start()
    for each in workers:
        each.join(60)
    assert [found[k] for k in range(4)] == expected


def tree(root, cgroup, files):
    """Make the files of a system below a folder."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


GROUPS = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {f"{GROUPS}/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/\n", {f"{GROUPS}/cpu.max": "max 100000\n"}, 1e9),
        ("0::/job/step\n", {f"{GROUPS}/job/cpu.max": "20000 100000\n"}, 0.2),
        (
            "0::/job/step\n",
            {
                f"{GROUPS}/job/cpu.max": "400000 100000\n",
                f"{GROUPS}/job/step/cpu.max": "300000 100000",
            },
            3.0,
        ),
        (
            "5:memory:/m\n4:cpu,cpuacct:/docker/x\n",
            {
                f"{GROUPS}/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "250000\n",
                f"{GROUPS}/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        (
            "4:cpu:/\n",
            {f"{GROUPS}/cpu/cpu.cfs_quota_us": "-1", f"{GROUPS}/cpu/cpu.cfs_period_us": "100000"},
            1e9,
        ),
        ("0::/\n", {}, 1e9),
    ],
)
def test_quotas_of_control_groups(tmp_path, cgroup, files, expected):
    tree(tmp_path, cgroup, files)
    assert processors.quota(tmp_path) == expected
    # a quota below one processor leaves one
    assert processors.processors(tmp_path) == max(1, min(int(expected), processors.processors()))


def test_a_system_without_control_groups(tmp_path):
    assert processors.quota(tmp_path) == 1e9


def launched(environment, *words):
    """Return what a process with these variables takes itself for."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "OMPI", "SLURM"))}
    code = "\n".join([*words, "from wgf import parallel", "print(parallel.launched())"])
    done = subprocess.run(
        [sys.executable, "-c", code], env=kept | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_tasks_of_slurm_are_processes_of_their_own():
    slurm = {"SLURM_PROCID": "2", "SLURM_STEP_NUM_TASKS": "4"}
    both = slurm | {"PMI_RANK": "2", "PMI_SIZE": "4"}
    assert launched(slurm) == launched(both) == "(0, 1)"
    # mpiexec within a step of one task a node
    assert launched(both | {"PMI_RANK": "5", "PMI_SIZE": "8"}) == "(5, 8)"
    # as python -m mpi4py leaves it
    asked = "import sys, types", "sys.modules['mpi4py'] = types.ModuleType('mpi4py')"
    assert launched(slurm, *asked) == launched(both, *asked) == "(2, 4)"


def test_ranks_have_one_thread_each(monkeypatch):
    for name in threads.LIMITS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads, "launched", lambda: (1, 4))
    assert threads.default.__wrapped__() == 1
    assert ranks.launched() == (0, 1)


def test_idle_threads_end(monkeypatch):
    monkeypatch.setattr(pool, "IDLE", 0.01)
    own = pool.Pool()
    own.share(lambda part: time.sleep(0.001), 8, 3)
    ended = time.monotonic() + 10
    while own._threads and time.monotonic() < ended:
        time.sleep(0.01)
    assert not own._threads


def solution(k):
    """Return a solve of which a function has no name."""
    flow = wgf.GradientFlow(wgf.Potential(lambda p: 0.5 * (1 + k) * p[:, 0] ** 2))
    return wgf.solve(flow, wgf.Density.normal(MESH, 0.5, 0.3), 0.2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_solutions_come_back_from_other_processes():
    found, here = forked(solution, 1), solution(1)
    assert np.array_equal(found.final.values, here.final.values)
    assert np.array_equal(found.diagnostics["objective"], here.diagnostics["objective"])
    assert found.functional is None and here.functional is not None
    named = wgf.solve(wgf.GradientFlow(wgf.Ridge(1.0)), here.snapshots[0], 0.2)
    assert pickle.loads(pickle.dumps(named)).functional is not None
