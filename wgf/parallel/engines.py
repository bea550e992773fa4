"""Executors of jobs on more than one machine: the ranks of MPI, the workers of a Dask scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from wgf import checks


class Pool(NamedTuple):
    """Processes that do jobs: an executor, their number and how many threads each may use."""

    executor: Any
    count: int
    threads: int | None = None


@contextlib.contextmanager
def of_mpi() -> Iterator[Pool | None]:
    """Give a pool of all ranks but the first, there; the others do its jobs and are given None.

    Raises
    ------
    InputError
        Without mpi4py and for a single rank.
    """
    try:
        from mpi4py import MPI, futures
    except (ImportError, RuntimeError) as error:
        raise checks.InputError(
            f"engine: mpi cannot be loaded ({error}), {checks.install('mpi')}"
        ) from None
    size = MPI.COMM_WORLD.size
    if size == 1:
        raise checks.InputError(
            "engine: mpi has one rank, which has nobody to share the work with, start it by "
            "mpiexec -n N python -m mpi4py -m wgf sweep …"
        )
    # python -m mpi4py.futures runs the program on the first rank, and all others serve already
    served = getattr(futures._core, "SharedPool", None) is not None
    if served:
        with futures.MPIPoolExecutor() as executor:
            yield Pool(executor, size - 1)
        return
    with futures.MPICommExecutor(MPI.COMM_WORLD, root=0) as executor:
        yield None if executor is None else Pool(executor, size - 1)


@contextlib.contextmanager
def scheduled(scheduler: Any) -> Iterator[Pool]:
    """Give a pool of the workers of a Dask scheduler.

    Parameters
    ----------
    scheduler : str or distributed.Client
        Address such as ``tcp://host:8786``, or a client.

    Raises
    ------
    InputError
        Without Dask, and for a scheduler that does not answer or has no worker.
    """
    try:
        import distributed
    except ImportError:
        raise checks.InputError(
            f"engine: dask is not installed, {checks.install('sweep')}"
        ) from None
    own = isinstance(scheduler, str)
    try:
        client = distributed.Client(scheduler, timeout=10) if own else scheduler
    except (OSError, ValueError) as error:
        raise checks.InputError(
            f"scheduler: {scheduler} does not answer ({' '.join(str(error).split())}), give the "
            "address that dask scheduler printed"
        ) from None
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"].values()
        if not workers:
            raise checks.InputError(
                f"scheduler: {client.scheduler.address} has no worker, start some by dask worker"
            )
        # a worker does one job at a time, with all the threads that it was given
        threads = min(worker["nthreads"] for worker in workers)
        yield Pool(client.get_executor(pure=False), len(workers), threads)
    finally:
        if own:
            client.close()
