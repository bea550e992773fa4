"""The part of a mesh that one rank works on: its own rows and the planes beside them."""

import itertools

import numpy as np

from wgf import checks, parallel
from wgf.eulerian import kernels
from wgf.measures.density import Density
from wgf.parallel.exchange import Stream

# a limited reconstruction looks two cells ahead
DEPTH = 2


class Slab:
    """Rows ``first … last`` of a mesh and the planes that hold them and their neighbours.

    Rows are dealt out in the blocks of the kernels, so that sums over blocks are those of a single
    process. The arrays of a rank hold whole planes of the slowest axis: those of its own rows and
    `DEPTH` on either side, which belong to others and are copied from them. One process holds the
    mesh and nothing else.

    Parameters
    ----------
    mesh : Mesh
    ranks : Serial or Ranks, optional
        One process by default.
    whole_planes : bool
        For methods that work along lines: whole planes are dealt out, and arrays hold no others.
        What runs along the slowest axis is worked on after `turn`.

    Attributes
    ----------
    shape : tuple of four ints
        Of the arrays of this rank, missing axes in front.
    periodic : tuple of four bools
        Axes along which these arrays are wrapped.
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

    def __init__(self, mesh, ranks=None, whole_planes=False):
        self.ranks = ranks = parallel.Serial() if ranks is None else ranks
        self.mesh = mesh
        missing = 4 - mesh.dimension
        shape = (1,) * missing + mesh.shape
        periodic = (False,) * missing + tuple(bool(p) for p in mesh.periodic)
        self.axis, n = missing, shape[3]
        rows = mesh.cells // n
        self.depth = 0 if whole_planes else DEPTH
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
        self.rows = parallel.Partition.dealt(rows, block, ranks.size)
        self.blocks = self.rows // kernels.ROWS_PER_BLOCK
        self.cells = self.rows * n
        self.per_plane = rows // shape[self.axis] if ranks.size > 1 else 1
        self.wraps = periodic[self.axis]
        low, high = self._planes(ranks.rank)
        self.planes = np.arange(low, high) % mesh.shape[0]
        self.shape = (*shape[: self.axis], high - low, *shape[self.axis + 1 :])
        self.periodic = periodic
        if ranks.size > 1:
            self.periodic = (*periodic[: self.axis], False, *periodic[self.axis + 1 :])
        self.offset = low * self.per_plane
        own = self.rows.own(ranks.rank)
        self.first, self.last = own.start - self.offset, own.stop - self.offset
        self.own = slice(self.first * n, self.last * n)
        self.wanted = [[piece[:3] for piece in self._wanted(r)] for r in range(ranks.size)]
        # the own cells lie where they belong
        beside = [[piece for piece in self._wanted(r) if not piece[3]] for r in range(ranks.size)]
        self.beside = ranks.exchange(
            self.cells.bounds, [[piece[:3] for piece in p] for p in beside]
        )

    @staticmethod
    def most(mesh, whole_planes=False):
        """Return the largest number of ranks that can share a mesh."""
        blocks = -(-(mesh.cells // mesh.shape[-1]) // _block(mesh, whole_planes))
        # a wall looks at the plane beside it
        return max(1, min(blocks, mesh.shape[0] // 2)) if whole_planes else blocks

    def _planes(self, rank, depth=None):
        """Return the planes that a rank holds, below 0 and above `count` those of a period.

        Or those that lie at most `depth` from its own: then no plane twice.
        """
        count = self.mesh.shape[0]
        if self.ranks.size == 1:
            return 0, count
        beside = self.depth if depth is None else depth
        own = self.rows.own(rank)
        low = own.start // self.per_plane - beside
        high = -(-own.stop // self.per_plane) + beside
        if not self.wraps:
            return max(low, 0), min(high, count)
        return (low, high) if depth is None or high - low < count else (0, count)

    def _wanted(self, rank, depth=None):
        """Return the cells that a rank holds as pieces ``(low, high, place, own)``."""
        total = self.mesh.cells
        plane = total // self.mesh.shape[0]
        low, high = (edge * plane for edge in self._planes(rank, depth))
        own = self.cells.own(rank)
        cuts = {low, high, own.start, own.stop}
        cuts |= {turn * total for turn in range(low // total, high // total + 1)}
        cuts = sorted(cut for cut in cuts if low <= cut <= high)
        pairs = itertools.pairwise(cuts)
        return [(a % total, a % total + b - a, a - low, a == own.start) for a, b in pairs]

    def along(self, values):
        """Return those of the numbers along the slowest axis that this rank holds."""
        return values if self.ranks.size == 1 else values[self.planes]

    def part(self, whole):
        """Return the part of an array over all cells that this rank holds (a copy)."""
        whole = whole.reshape(-1)
        return self.filled(lambda start, stop: whole[start:stop], whole.size)

    def begin(self, density):
        """Return the part of a density's cell averages that this rank holds (a copy)."""
        return self.filled(density.read, density.block)

    def filled(self, read, block):
        """Return what this rank holds of ``read(start, stop)``, asked for in fixed blocks."""
        result = np.empty(int(np.prod(self.shape)))
        for low, high, at in self.wanted[self.ranks.rank]:
            for start in range(low // block * block, high, block):
                stop = min(start + block, self.mesh.cells)
                a, b = max(low, start), min(high, stop)
                result[at + a - low : at + b - low] = read(start, stop)[a - start : b - start]
        return result

    def renew(self, values):
        """Copy the cells beside the own ones from the ranks that own them."""
        return self.beside.fill(values[self.own], values)

    def widened(self, values, depth):
        """Return the cells of all planes at most `depth` from the own ones, and where those begin.

        On a period that reaches round them all, the planes are those of the mesh, in their order.
        """
        ranks, plane = self.ranks, self.mesh.cells // self.mesh.shape[0]
        low, high = self._planes(ranks.rank, depth)
        wanted = [[piece[:3] for piece in self._wanted(r, depth)] for r in range(ranks.size)]
        found = np.empty((high - low) * plane)
        ranks.exchange(self.cells.bounds, wanted).fill(values[self.own], found)
        return found, self.cells.own(ranks.rank).start - low * plane

    def lines(self, axis):
        """Return the cells before, along and after an axis of the four, as `turn` leaves them."""
        if self.turns(axis):
            own = self._columns().own(self.ranks.rank)
            return 1, self.mesh.shape[0], own.stop - own.start
        shape = self.shape
        return int(np.prod(shape[:axis])), int(shape[axis]), int(np.prod(shape[axis + 1 :]))

    def line_cuts(self, axis):
        """Return the partition of the lines along an axis, in the order of `lines`."""
        if axis == self.axis:
            return self._columns()
        return self.cells // self.shape[axis]

    def turns(self, axis):
        """Return whether lines along an axis lie on several ranks."""
        return self.ranks.size > 1 and axis == self.axis

    def _columns(self):
        return parallel.Partition.dealt(self.mesh.cells // self.mesh.shape[0], 1, self.ranks.size)

    def turn(self, axis, values):
        """Return the numbers of whole lines along an axis, of the own ones if they are shared."""
        if not self.turns(axis):
            return values
        part = values.reshape(len(self.planes), -1)
        return self.ranks.turn(part, *self._strips()).ravel()

    def turn_back(self, axis, values):
        """Return the numbers at the own cells from those of whole lines along an axis."""
        if not self.turns(axis):
            return values
        part = values.reshape(self.mesh.shape[0], -1)
        return self.ranks.turn_back(part, *self._strips()).ravel()

    def _strips(self):
        """Return where the ranks' planes and their lines along the slowest axis are cut."""
        return self.rows.bounds // self.per_plane, self._columns().bounds

    def whole(self, values):
        """Return the array over all cells on every rank."""
        return self.ranks.whole(values[self.own], self.cells.bounds)

    def density(self, values):
        """Return the density of the mesh (a copy) where snapshots are kept.

        Where rank 0 alone keeps them it is an `Arriving` one.
        """
        if not self.ranks.everywhere:
            return Arriving(self.mesh, self.ranks, values[self.own], self.cells.bounds)
        values = self.ranks.gather(values[self.own], self.cells.bounds)
        return Density(self.mesh, values.reshape(self.mesh.shape))

    def sum(self, own):
        """Return the sum over all cells, given the numbers at the own ones."""
        return self.ranks.sums((own, self.cells))[0]


def _block(mesh, whole_planes):
    """Return the rows of cells that stay together on a rank."""
    if whole_planes:
        return max(1, mesh.cells // mesh.shape[-1] // mesh.shape[0])
    return kernels.ROWS_PER_BLOCK


class SlabStepper:
    """What every method on a slab shows of its state: ``slab``, ``values`` and ``outputs``."""

    @property
    def measure(self):
        """The current density (a copy); see `Slab.density`."""
        return self.slab.density(self.values)

    @property
    def output(self):
        """Model output of the first risk, or None."""
        return self.outputs[0] if self.outputs else None


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
