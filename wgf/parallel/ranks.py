"""Work divided among the ranks of an MPI run, with the sums and the bits of a single process.

What is divided is a sequence of entries; a `Partition` says which rank owns which. A sum over all
entries adds partial sums over blocks of fixed length, which never lie on two ranks, in the order of
the blocks: any number of ranks gives the same bits. `Serial` and `Ranks` offer the same; `world`
returns the one that this process belongs to.
"""

import contextlib
import copy
import functools
import itertools
import os
import sys
import time
import warnings

import numpy as np

from wgf import checks
from wgf.parallel.exchange import Exchange
from wgf.parallel.partition import Partition, sum_of_rows

# what starts processes tells them so: MPICH and Intel MPI, Open MPI
LAUNCHERS = (
    ("PMI_SIZE", "PMI_RANK"),
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
)
# seconds in which rank 0 tells of an error that it met, too
PATIENCE = 2.5
# a running sum is handed on in pieces, so that ranks work on different ones at once: of at least so
# many numbers, not many more than so many pieces
CHUNK, CHUNKS = 2048, 256


def launched():
    """Return ``(rank, size)`` as MPI or the launcher tells them, ``(0, 1)`` without one.

    Tasks that Slurm starts are processes of their own, though it gives them what MPI would need to
    join them: they are ranks once mpi4py is loaded, as ``python -m mpi4py`` does.
    """
    mpi = sys.modules.get("mpi4py.MPI")
    if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
        return mpi.COMM_WORLD.rank, mpi.COMM_WORLD.size
    tasks = _slurm()
    for size, rank in LAUNCHERS:
        found = int(os.environ.get(rank, 0)), int(os.environ.get(size, 1))
        if found[1] > 1 and found != tasks:
            return found
    return tasks if tasks[1] > 1 and "mpi4py" in sys.modules else (0, 1)


def _slurm():
    """Return ``(task, tasks)`` of a step of Slurm."""
    return int(os.environ.get("SLURM_PROCID", 0)), int(os.environ.get("SLURM_STEP_NUM_TASKS", 1))


_alone = False


@contextlib.contextmanager
def alone():
    """Within, this process is a world of its own, whatever ranks it was started with."""
    global _alone
    before, _alone = _alone, True
    world.cache_clear()
    try:
        yield
    finally:
        _alone = before
        world.cache_clear()


@functools.cache
def world():
    """Return the ranks that this process was started with, `Serial` for one.

    Raises
    ------
    InputError
        If processes were started by MPI and mpi4py or the MPI library cannot be loaded.
    """
    if _alone or (launched()[1] == 1 and "mpi4py.MPI" not in sys.modules):
        return Serial()
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        what = "mpi4py is not installed" if isinstance(error, ImportError) else "no MPI library"
        raise checks.InputError(
            f"mpi: started on several ranks but {what} ({' '.join(str(error).split())}), "
            f"{checks.install('mpi')}"
        ) from None
    if MPI.COMM_WORLD.size == 1:
        return Serial()
    _speak_once(MPI.COMM_WORLD)
    return Ranks(MPI.COMM_WORLD)


def _speak_once(communicator):
    """Tell what all ranks meet on rank 0 alone, and end all of them on what no rank caught."""
    hook = sys.excepthook

    def tell(kind, error, trace):
        if speaks():
            hook(kind, error, trace)
        sys.stdout.flush()
        sys.stderr.flush()
        # the launcher drops what it has not read yet
        time.sleep(0.3)
        communicator.Abort(1)

    sys.excepthook = tell
    if communicator.rank > 0:
        for category in (checks.BoxWarning, checks.StartWarning):
            warnings.simplefilter("ignore", category)


def speaks():
    """Return whether this rank is to tell of the error it met.

    Most errors are met by all ranks. Rank 0 tells and ends them all; the others wait a little for
    that, and speak if they are still there.
    """
    rank = launched()[0]
    try:
        world()
    except checks.InputError:
        # no rank can end the others, but all lack the same
        return rank == 0
    if rank > 0:
        time.sleep(PATIENCE)
    return True


class Serial:
    """One process: everything is its own."""

    rank, size = 0, 1
    everywhere = True

    def keeping(self, everywhere):
        """Return the same ranks, all of which keep the snapshots of a run, or rank 0 alone."""
        found = copy.copy(self)
        found.everywhere = everywhere
        return found

    def sums(self, *pairs):
        """Return the sum of every divided array, given as ``(own entries, partition)``."""
        return [float(np.sum(cuts.partial_sums(values))) for values, cuts in pairs]

    def column_sums(self, rows):
        """Return the sum of all rows, of which `rows` of shape ``(own, columns)`` are its own."""
        return sum_of_rows(rows)

    def largest(self, value):
        """Return the largest of one number a rank, NaN if there is one."""
        return value

    def partition(self, count):
        """Return the partition of a sequence of which this rank owns `count` entries."""
        return Partition([0, count])

    def accumulate(self, result, add, width=None):
        """Sum arrays in the order of the ranks; the sum is left in `result` on the last rank.

        ``add(chunk)`` adds the own contribution to ``result[chunk]``, `width` entries at once.
        """
        result[:] = 0.0
        for start in range(0, len(result), width or max(1, len(result))):
            add(slice(start, min(start + (width or len(result)), len(result))))

    def from_last(self, result):
        """Copy `result` of the last rank to all."""

    def exchange(self, bounds, wanted):
        """Return an `Exchange` of a divided array; see there."""
        return Exchange(self, bounds, wanted)

    def turn(self, part, rows, columns):
        """Return the own columns of a matrix of which `part` are its own rows."""
        return part

    def turn_back(self, part, rows, columns):
        """Return the own rows of a matrix of which `part` are its own columns."""
        return part

    def gather(self, values, bounds):
        """Return the whole array on rank 0 (on all if `everywhere`), None elsewhere."""
        return values.copy()

    def whole(self, values, bounds):
        """Return the whole array on every rank, not always a copy."""
        return values

    def broadcast(self, value):
        """Return the `value` of rank 0."""
        return value

    def on_first(self, work, everywhere=False, sent=None):
        """Do `work` on rank 0 alone and return its result there or everywhere.

        All ranks raise what it raises. `sent` is a `Stream` that the work takes.
        """
        return work()

    def _swap(self, sends, receives):
        """Exchange messages, given as ``(rank, array)``."""


class Ranks(Serial):
    """The ranks of an MPI communicator.

    Attributes
    ----------
    everywhere : bool
        Whether every rank keeps the snapshots of a run, or rank 0 alone.
    sent : dict of int
        Bytes of numbers and messages that this rank has sent so far, by kind.
    """

    def __init__(self, communicator):
        self.communicator = communicator
        self.rank, self.size = communicator.rank, communicator.size
        self.everywhere = True
        self.sent, self.kept = {}, {}

    def _count(self, kind, size, messages=1):
        bytes_, count = self.sent.get(kind, (0, 0))
        self.sent[kind] = (bytes_ + size, count + messages)

    def sums(self, *pairs):
        parts = [cuts.partial_sums(values) for values, cuts in pairs]
        # of every pair, how many partial sums every rank has
        counts = np.array([np.diff((cuts // cuts.block).bounds) for _, cuts in pairs])
        found = self._gathered(np.concatenate(parts), counts.sum(axis=0))
        totals = np.empty(len(pairs))
        if self.rank == 0:
            pieces = np.split(found, np.cumsum(counts.T.ravel())[:-1])
            for k in range(len(pairs)):
                totals[k] = np.sum(np.concatenate(pieces[k :: len(pairs)]))
        self._broadcast(totals, 0)
        return [float(total) for total in totals]

    def _gathered(self, values, counts):
        """Return the entries of all ranks in their order on rank 0."""
        found = np.empty(sum(counts)) if self.rank == 0 else None
        self.communicator.Gatherv(values, (found, counts) if self.rank == 0 else None)
        if self.rank > 0:
            self._count("sums", values.nbytes)
        return found

    def _broadcast(self, values, root):
        self.communicator.Bcast(values, root)
        if self.rank == root:
            self._count("sums", values.nbytes * (self.size - 1), self.size - 1)

    def column_sums(self, rows):
        result = np.empty(rows.shape[1])
        if self.rank > 0:
            self.communicator.Recv(result, self.rank - 1)
            rows = np.concatenate([result[None, :], rows])
        result = sum_of_rows(rows)
        last = self.size - 1
        if self.rank < last:
            self.communicator.Send(result, self.rank + 1)
            self._count("sums", result.nbytes)
        self._broadcast(result, last)
        return result

    def largest(self, value):
        found = np.empty(self.size)
        self.communicator.Allgather(np.array([value], dtype=float), found)
        self._count("sums", 8 * (self.size - 1), self.size - 1)
        return float(found.max())

    def partition(self, count):
        return Partition(np.cumsum([0, *self.communicator.allgather(int(count))]))

    def from_last(self, result):
        self._broadcast(result, self.size - 1)

    def accumulate(self, result, add, width=None):
        requests = []
        width = width or max(CHUNK, -(-len(result) // CHUNKS))
        for start in range(0, len(result), width):
            chunk = slice(start, min(start + width, len(result)))
            if self.rank > 0:
                self.communicator.Recv(result[chunk], self.rank - 1)
            else:
                result[chunk] = 0.0
            add(chunk)
            if self.rank < self.size - 1:
                requests.append(self.communicator.Isend(result[chunk], self.rank + 1))
                self._count("moments", result[chunk].nbytes)
        for request in requests:
            request.Wait()

    def turn(self, part, rows, columns):
        found = np.empty((int(rows[-1]), int(np.diff(columns)[self.rank])))
        self._count("lines", 8 * len(part) * (part.shape[1] - found.shape[1]), self.size - 1)
        strips, blocks = self._strips(rows, columns)
        self.communicator.Alltoallw((np.ascontiguousarray(part), *strips), (found, *blocks))
        return found

    def turn_back(self, part, rows, columns):
        found = np.empty((int(np.diff(rows)[self.rank]), int(columns[-1])))
        self._count("lines", 8 * part.shape[1] * (len(part) - len(found)), self.size - 1)
        strips, blocks = self._strips(rows, columns)
        self.communicator.Alltoallw((np.ascontiguousarray(part), *blocks), (found, *strips))
        return found

    def _strips(self, rows, columns):
        """Return how columns lie in the own rows and rows in the own columns, for every rank."""
        key = (*map(int, rows), *map(int, columns))
        if key not in self.kept:
            from mpi4py.MPI import DOUBLE

            counts, size = np.diff(rows), self.size
            shape = int(counts[self.rank]), int(columns[-1])
            # no type has no columns: a rank without any is sent nothing
            full = [int(b > a) for a, b in itertools.pairwise(columns)]
            kinds = [
                DOUBLE.Create_subarray(shape, (shape[0], int(b - a)), (0, int(a))).Commit()
                if b > a
                else DOUBLE
                for a, b in itertools.pairwise(columns)
            ]
            width = int(np.diff(columns)[self.rank])
            blocks = (counts * width, rows[:-1] * width * 8), [DOUBLE] * size
            self.kept[key] = ((full, [0] * size), kinds), blocks
        return self.kept[key]

    def gather(self, values, bounds):
        if self.everywhere:
            return self._all(values, bounds, "snapshots")
        whole = np.empty(int(bounds[-1])) if self.rank == 0 else None
        found = (whole, np.diff(bounds)) if self.rank == 0 else None
        self.communicator.Gatherv(np.ascontiguousarray(values), found)
        self._count("snapshots", values.nbytes if self.rank else 0, min(self.rank, 1))
        return whole

    def whole(self, values, bounds):
        return self._all(values, bounds, "whole")

    def _all(self, values, bounds, kind):
        whole = np.empty(int(bounds[-1]))
        self.communicator.Allgatherv(np.ascontiguousarray(values), (whole, np.diff(bounds)))
        self._count(kind, values.nbytes * (self.size - 1), self.size - 1)
        return whole

    def broadcast(self, value):
        return self.communicator.bcast(value, 0)

    def on_first(self, work, everywhere=False, sent=None):
        result = error = None
        if self.rank == 0:
            try:
                result = work()
            except Exception as caught:
                error = caught
        if sent is not None:
            sent.finish()
        error = self.broadcast(error)
        if error is not None:
            raise error
        return self.broadcast(result) if everywhere else result

    def _swap(self, sends, receives):
        requests = [self.communicator.Irecv(array, rank) for rank, array in receives]
        for rank, array in sends:
            requests.append(self.communicator.Isend(array, rank))
            self._count("cells", array.nbytes)
        for request in requests:
            request.Wait()
