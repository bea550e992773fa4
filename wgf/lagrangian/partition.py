"""The particles of one rank: who owns which, sums over all of them, random numbers for all."""

import numpy as np

from wgf import checks
from wgf.lagrangian import kernels
from wgf.parallel import Partition, Serial

# particles whose noise is drawn at once
DRAWN = 1 << 16


class ParticlePartition:
    """The particles of one rank: whole blocks of the kernels, so that the sums are the same.

    Parameters
    ----------
    particles : int
    world : Serial or Ranks, optional
        One process by default.
    block : int
        Particles that stay together, at least a block of the kernels and a multiple of it. Where
        larger blocks are fewer than the ranks, every rank works on all particles.
    divided : bool
        Whether ranks share the particles; otherwise every rank works on all of them.

    Raises
    ------
    InputError
        For more ranks than blocks of the kernels.
    """

    def __init__(self, particles: int, world=None, block: int = 0, divided: bool = True):
        least = kernels.PARTICLES_PER_BLOCK
        block = max(block, least)
        if world is None or not divided or (block > least and world.size > -(-particles // block)):
            world = Serial()
        blocks = kernels.blocks_of(particles)
        if world.size > blocks:
            raise checks.InputError(
                f"mpi: {world.size} ranks for {blocks} blocks of {least} particles, start at most "
                f"{blocks} or take more particles"
            )
        self.world = world
        self.cuts = Partition.dealt(particles, block, world.size)
        # the sums are those of the smallest blocks, whatever stays together
        self.cuts.block = least
        self.own = self.cuts.own(world.rank)

    def __len__(self):
        return len(self.cuts)

    def sum(self, values: np.ndarray) -> float:
        """Return the sum over all particles, given one number for each of its own."""
        return self.world.sums((values, self.cuts))[0]

    def total(self, count: float) -> float:
        """Return the sum of one whole number per rank."""
        return self.world.sums((np.array([float(count)]), self.world.partition(1)))[0]

    def largest(self, values: np.ndarray | float) -> float:
        """Return the largest number of all particles."""
        return self.world.largest(float(np.max(values)))

    def column_sums(self, rows: np.ndarray) -> np.ndarray:
        """Return the sum of one row per block of all particles, in the order of the blocks."""
        return self.world.column_sums(rows)

    def normal(self, generator: np.random.Generator, columns: int) -> np.ndarray:
        """Draw normal numbers for all particles and return the own rows."""
        return self._drawn(generator.normal, columns)

    def exponential(self, generator: np.random.Generator, columns: int) -> np.ndarray:
        """Draw exponential numbers of mean 1 for all particles and return the own rows."""
        return self._drawn(generator.exponential, columns)

    def _drawn(self, draw, columns):
        # every rank draws them all, block after block: the numbers are those of one process
        result = np.empty((self.own.stop - self.own.start, columns))
        for low in range(0, len(self), DRAWN):
            high = min(low + DRAWN, len(self))
            drawn = draw(size=(high - low, columns))
            a, b = max(low, self.own.start), min(high, self.own.stop)
            if a < b:
                result[a - self.own.start : b - self.own.start] = drawn[a - low : b - low]
        return result

    def whole(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows of all particles on every rank."""
        columns = rows.shape[1]
        return self.world.whole(rows.ravel(), (self.cuts * columns).bounds).reshape(-1, columns)

    def gathered(self, rows: np.ndarray) -> np.ndarray | None:
        """Return the rows of all particles where snapshots are kept, None elsewhere."""
        columns = rows.shape[1]
        whole = self.world.gather(rows.ravel(), (self.cuts * columns).bounds)
        return None if whole is None else whole.reshape(-1, columns)
