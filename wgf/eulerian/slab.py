"""The part of a mesh that one rank works on: its own rows and the planes beside them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from wgf import checks, parallel
from wgf.eulerian import kernels
from wgf.measures.density import Density
from wgf.measures.mesh import Mesh
from wgf.parallel.exchange import Exchange, Stream
from wgf.parallel.halo import Halo

# a limited reconstruction looks two cells ahead
DEPTH = 2


class Slab:
    """Rows ``first … last`` of a mesh and the planes that hold them and their neighbours.

    Rows are dealt out in the blocks of the kernels, so that sums over blocks are those of a single
    process. The arrays of a rank hold whole planes of the slowest axis: those of its own rows and
    `DEPTH` on either side, which belong to others and are copied from them. One process holds the
    mesh and nothing else.

    Whatever works on a mesh works on a slab: all sums, maxima and exchanges are asked of it.

    Parameters
    ----------
    mesh : Mesh
    world : Serial or Ranks, optional
        One process by default.
    whole_planes : bool
        For methods that work along lines: whole planes are dealt out, and arrays hold no others.
        What runs along the slowest axis is worked on after `turn`.

    Attributes
    ----------
    divided : bool
        Whether several ranks share the mesh.
    shape : tuple of four ints
        Of the arrays of this rank, missing axes in front.
    periodic, wraps : tuples of four bools
        Axes along which these arrays, and along which whole lines are wrapped.
    first, last : int
        The own rows, counted in these arrays.
    own : slice
        The own cells in these arrays.
    cells, rows, blocks : Partition
        What the ranks own: cells, rows, blocks of rows.

    Raises
    ------
    InputError
        For more ranks than blocks of rows or pairs of planes.
    """

    def __init__(self, mesh: Mesh, world: Any = None, whole_planes: bool = False):
        self.ranks = ranks = parallel.Serial() if world is None else world
        self.mesh, self.divided = mesh, ranks.size > 1
        self.sums, self.largest = ranks.sums, ranks.largest
        self.column_sums, self.from_last = ranks.column_sums, ranks.from_last
        self.axis = missing = 4 - mesh.dimension
        shape, n = (1,) * missing + mesh.shape, mesh.shape[-1]
        self.wraps = (False,) * missing + tuple(bool(p) for p in mesh.periodic)
        block, most = _block(mesh, whole_planes), self.most(mesh, whole_planes)
        if ranks.size > most and whole_planes and mesh.dimension > 1:
            raise checks.InputError(
                f"mpi: {ranks.size} ranks for {mesh.shape[0]} planes of cells along "
                f"{mesh.names[0]}, two a rank at least: start at most {most} or refine that axis"
            )
        if ranks.size > most:
            raise checks.InputError(
                f"mpi: {ranks.size} ranks for {most} blocks of {block} rows of cells "
                f"({' × '.join(map(str, mesh.shape))}), start at most {most} or refine the mesh"
            )
        self.rows = self.dealt(mesh.cells // n, block)
        self.blocks, self.cells = self.rows // kernels.ROWS_PER_BLOCK, self.rows * n
        depth = 0 if whole_planes else DEPTH
        self.halo = Halo(ranks, self.cells, mesh.shape[0], depth, self.wraps[missing])
        self.beside = self.halo.beside
        low, high = self.halo.low, self.halo.high
        self.planes = np.arange(low, high) % mesh.shape[0]
        self.shape, self.periodic = shape, self.wraps
        if self.divided:
            self.shape = (*shape[:missing], high - low, *shape[missing + 1 :])
            self.periodic = (*self.wraps[:missing], False, *self.wraps[missing + 1 :])
        own, before = self.part_of(self.rows), low * (self.halo.plane // n)
        self.first, self.last = own.start - before, own.stop - before
        self.own = slice(self.first * n, self.last * n)

    @classmethod
    def where_it_fits(cls, mesh: Mesh, world: Any, whole_planes: bool = False) -> Slab:
        """Return the slab of a mesh; a mesh with fewer blocks than ranks is whole on all of them.

        All ranks then do all of its little work.
        """
        few = world is not None and world.size > cls.most(mesh, whole_planes)
        return cls(mesh, None if few else world, whole_planes)

    @staticmethod
    def most(mesh: Mesh, whole_planes: bool = False) -> int:
        """Return the largest number of ranks that can share a mesh."""
        blocks = -(-(mesh.cells // mesh.shape[-1]) // _block(mesh, whole_planes))
        # a wall looks at the plane beside it
        return max(1, min(blocks, mesh.shape[0] // 2)) if whole_planes else blocks

    def dealt(self, entries: int, block: int = 1) -> parallel.Partition:
        """Return the partition that deals entries out in blocks."""
        return parallel.Partition.dealt(entries, block, self.ranks.size)

    def part_of(self, partition: parallel.Partition) -> slice:
        """Return the own entries of a partition."""
        return partition.own(self.ranks.rank)

    def partition(self, count: int) -> parallel.Partition:
        """Return the partition of a sequence of which `count` entries are here."""
        return self.ranks.partition(count)

    def end_of(self, entries: int, last: bool) -> parallel.Partition:
        """Return the partition of entries that all belong to the first or the last part."""
        owner = self.ranks.size - 1 if last else 0
        return parallel.Partition(np.where(np.arange(self.ranks.size + 1) > owner, entries, 0))

    def sum(self, own: np.ndarray) -> float:
        """Return the sum over all cells, given the numbers at the own ones."""
        return self.sums((own, self.cells))[0]

    def accumulate(
        self, result: np.ndarray, add: Callable[[slice], Any], width: int | None = None
    ) -> bool:
        """Sum arrays in the order of the cells; return whether `result` is the whole sum here."""
        self.ranks.accumulate(result, add, width)
        return self.ranks.rank == self.ranks.size - 1

    def hand_out(self, summed: int | None, edges: np.ndarray) -> Exchange:
        """Return the exchange that brings entries between two edges to their part.

        They come from the cells, or from `summed` entries that `accumulate` completed.
        """
        owned = self.cells.bounds
        if summed is not None:
            owned = np.array([0] * self.ranks.size + [summed])
        wanted = [[(low, high, 0)] for low, high in itertools.pairwise(edges.tolist())]
        return self.ranks.exchange(owned, wanted)

    def collect(self, edges: np.ndarray, piece: tuple[int, int, int] | None) -> Exchange:
        """Return the exchange of entries dealt out by `edges`: a piece to all or cells to slabs."""
        wanted = self.halo.wanted if piece is None else [[piece]] * self.ranks.size
        return self.ranks.exchange(edges, wanted)

    def along(self, values: np.ndarray) -> np.ndarray:
        """Return those of the numbers along the slowest axis that this rank holds."""
        return values[self.planes] if self.divided else values

    def part(self, whole: np.ndarray) -> np.ndarray:
        """Return the part of an array over all cells that this rank holds (a copy)."""
        whole = whole.reshape(-1)
        return self.filled(lambda start, stop: whole[start:stop], whole.size)

    def begin(self, density: Density) -> np.ndarray:
        """Return the part of a density's cell averages that this rank holds (a copy)."""
        return self.filled(density.read, density.block, kernels.empty(int(np.prod(self.shape))))

    def filled(
        self, read: Callable[[int, int], np.ndarray], block: int, result: Any = None
    ) -> np.ndarray:
        """Return what this rank holds of ``read(start, stop)``, asked for in fixed blocks."""
        result = np.empty(int(np.prod(self.shape))) if result is None else result
        for low, high, at in self.halo.wanted[self.ranks.rank]:
            for start in range(low // block * block, high, block):
                stop = min(start + block, self.mesh.cells)
                a, b = max(low, start), min(high, stop)
                result[at + a - low : at + b - low] = read(start, stop)[a - start : b - start]
        return result

    def renew(self, values: np.ndarray) -> np.ndarray:
        """Copy the cells beside the own ones from the ranks that own them."""
        return self.beside.fill(values[self.own], values)

    def widened(self, values: np.ndarray, depth: int) -> tuple[np.ndarray, int]:
        """Return the cells of all planes near the own ones and where those begin, see `Halo`."""
        return self.halo.widened(values[self.own], depth)

    def lines(self, axis: int) -> tuple[int, int, int]:
        """Return the cells before, along and after an axis of the four, as `turn` leaves them."""
        if self.turns(axis):
            own = self.part_of(self._columns())
            return 1, self.mesh.shape[0], own.stop - own.start
        shape = self.shape
        return int(np.prod(shape[:axis])), int(shape[axis]), int(np.prod(shape[axis + 1 :]))

    def line_cuts(self, axis: int) -> parallel.Partition:
        """Return the partition of the lines along an axis, in the order of `lines`."""
        return self._columns() if axis == self.axis else self.cells // self.shape[axis]

    def turns(self, axis: int) -> bool:
        """Return whether lines along an axis lie on several ranks."""
        return self.divided and axis == self.axis

    def _columns(self):
        return self.dealt(self.halo.plane)

    def turn(self, axis: int, values: np.ndarray) -> np.ndarray:
        """Return the numbers of whole lines along an axis, of the own ones if they are shared."""
        if not self.turns(axis):
            return values
        part = values.reshape(len(self.planes), -1)
        return self.ranks.turn(part, *self._strips()).ravel()

    def turn_back(self, axis: int, values: np.ndarray) -> np.ndarray:
        """Return the numbers at the own cells from those of whole lines along an axis."""
        if not self.turns(axis):
            return values
        part = values.reshape(self.mesh.shape[0], -1)
        return self.ranks.turn_back(part, *self._strips()).ravel()

    def _strips(self):
        """Return where the planes and the lines along the slowest axis are cut."""
        return self.cells.bounds // self.halo.plane, self._columns().bounds

    def whole(self, values: np.ndarray) -> np.ndarray:
        """Return the array over all cells on every rank."""
        return self.gathered(values[self.own], self.cells)

    def gathered(self, own: np.ndarray, partition: parallel.Partition) -> np.ndarray:
        """Return a divided array as a whole on every rank."""
        return self.ranks.whole(own, partition.bounds)

    def density(self, values: np.ndarray) -> Density:
        """Return the density of the mesh (a copy) where snapshots are kept.

        Where rank 0 alone keeps them it is an `Arriving` one.
        """
        if not self.ranks.everywhere:
            return Arriving(self.mesh, self.ranks, values[self.own], self.cells.bounds)
        values = self.ranks.gather(values[self.own], self.cells.bounds)
        return Density(self.mesh, values.reshape(self.mesh.shape))


def _block(mesh, whole_planes):
    """Return the rows of cells that stay together on a rank."""
    if whole_planes:
        return max(1, mesh.cells // mesh.shape[-1] // mesh.shape[0])
    return kernels.ROWS_PER_BLOCK


class Arriving(Density):
    """A density that rank 0 reads once, block by block as the others send it.

    Attributes
    ----------
    stream : wgf.parallel.exchange.Stream
    """

    def __init__(self, mesh, ranks, own, bounds):
        self.mesh = mesh
        self.stream = Stream(ranks, own, bounds, self.block)

    def pieces(self, block=None):
        return self.stream.take()
