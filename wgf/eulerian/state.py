"""What steppers of a density have in common: the state on a slab, and how it is judged."""

from __future__ import annotations

from typing import Any

from wgf.eulerian.discrete import DiscreteFunctional
from wgf.eulerian.rest import rest
from wgf.eulerian.slab import Slab
from wgf.eulerian.variation import Variation
from wgf.eulerian.walls import Walls
from wgf.measures.density import Density
from wgf.stepping import Diagnosis, Rest, Stepper, Trial
from wgf.stepping.control import Control

# F is a sum of parts, each known to a few units in the last place
ROUND_OFF = 2e-14


class SlabStepper(Stepper):
    """A stepper of a density on a slab.

    Attributes
    ----------
    values : array of shape ``(cells,)``
        Cell averages on the slab.
    outputs : list of arrays
        Model output of every risk.
    mass, parts
        Mass and value of every term.
    """

    def __init__(self, control: Control, slab: Slab, start: Density):
        super().__init__(control)
        self.slab, self.values = slab, slab.begin(start)

    @property
    def measure(self) -> Density:
        """The current density (a copy); see `Slab.density`."""
        return self.slab.density(self.values)


class DescentStepper(SlabStepper):
    """A stepper of a flow along which the functional falls.

    Attributes
    ----------
    discrete : DiscreteFunctional
    mobilities : list of float
    """

    def __init__(self, control: Control, slab: Slab, flow: Any, start: Density):
        super().__init__(control, slab, start)
        self.discrete = DiscreteFunctional(flow.functional, start.mesh, slab)
        self.mobilities = flow.mobilities(start.names)
        self.walls = Walls(slab, self.mobilities)
        self.outputs = self.discrete.outputs(self.values)
        self.mass, self.parts = self.discrete.parts(self.values, self.outputs)

    def judged(self, dt, values, outputs, allowed, **also: float) -> Trial:
        """Return a trial that ended in a state whose ``F`` should be at most `allowed`.

        Its result holds the outputs, the mass and the parts. The objective and the numbers in
        `also` must be finite.
        """
        mass, parts = self.discrete.parts(values, outputs)
        objective = sum(parts.values())
        self.finite(dt, objective=objective, **also)
        scale = sum(abs(part) for part in parts.values())
        rise = objective - (allowed + ROUND_OFF * scale)
        if rise > 0:
            rise -= ROUND_OFF * self.discrete.cancelled(outputs, mass)
        return Trial((outputs, mass, parts), rise=rise)

    def rest(self) -> Rest:
        return rest(self.discrete, self.mobilities, self.values, self.outputs)

    def diagnosed(self, variation: Variation, **more: float) -> Diagnosis:
        """Return mass, parts and what happens at the walls."""
        walls = self.walls.columns(self.values, variation, self.discrete.masses, self.discrete.ends)
        return Diagnosis(self.mass, self.parts, more={**more, **walls})
