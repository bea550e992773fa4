"""What the page is told of a run: its facts and columns once, and a picture a snapshot."""

from __future__ import annotations

import numpy as np

from wgf import checks
from wgf.plot.panels import BINS
from wgf.plot.pixels import RULE
from wgf.plot.views import Signed, View, profile
from wgf.theory.duality import certificate
from wgf.view import blobs

# of an image along an axis: of a finer mesh a block shows the largest of its cells
BLOCKS = 1024
# particles that are drawn one by one
DOTS = 4000
FRAMES = 200


class Scene:
    """One run as the page shows it.

    Parameters
    ----------
    label : str
    run : Solution or stored run
    troubles : list of str
        What of the run could not be read.
    functional : Functional, optional
        For the certificate; by default that of a run in memory.
    frames : int
        At most this many snapshots are shown, evenly chosen, the first and the last among them.
    """

    def __init__(self, label, run, troubles=(), functional=None, frames=FRAMES):
        checks.whole("view frames", frames, minimum=1)
        self.label, self.troubles = label, list(troubles)
        self.view = View([(label, run)])
        self.functional = functional or getattr(run, "functional", None)
        index = np.linspace(0, len(run.times) - 1, frames)
        self.index = np.unique(index.astype(int)) if frames > 1 else [len(run.times) - 1]

    def head(self) -> bytes:
        """Return what is told once: facts, axes, planes, columns of diagnostics, provenance."""
        view, run = self.view, self.view.run
        first = run.snapshots[int(self.index[0])]
        facts = {
            "label": self.label,
            "kind": view.kind,
            "extent": first.extent,
            "status": run.status,
            "names": view.names,
            "planes": view.planes,
            "signed": view.signed,
            "alike": [view.alike(plane) for plane in view.planes],
            "periodic": [first.period(k + view.signed) is not None for k in range(self.axes)],
            "numbers": [int(k) for k in self.index],
            "times": [run.times[k] for k in self.index],
            "total": len(run.times),
            "terms": [name for name in run.problem.get("terms", ()) if name in run.diagnostics],
            "rule": RULE,
            "certificate": self._certificate(),
            "problem": _told(run.problem),
            "provenance": _told(getattr(run, "provenance", {})),
            "troubles": self.troubles,
        }
        columns = {f"column {name}": column for name, column in run.diagnostics.items()}
        return blobs.encode(facts, columns)

    @property
    def axes(self) -> int:
        """Number of axes that are shown."""
        return len(self.view.names)

    def _certificate(self):
        if self.functional is None:
            return "needs the functional: give --script SCRIPT, or draw the run in memory"
        try:
            return str(certificate(self.view.run, self.functional))
        except checks.InputError as error:
            return str(error)

    def frame(self, number: int) -> bytes:
        """Return the picture of a snapshot given by its number.

        Every plane of a density is an image of its cells ``plane 0``, …, with the edges and
        centres of the cells along its axes; of a mesh of more than `BLOCKS` cells along an axis
        the largest cell of every block, and which one that is. Particles are places ``dots`` with
        their ``weights``. ``along 0``, … is the mass per unit of every axis, ``edges 0``, … its
        cells or bins.
        """
        measure = self.view.see(self.view.run.snapshots[number])
        facts, arrays = {"t": self.view.run.times[number], "mass": _mass(measure)}, {}
        for k in range(self.axes):
            arrays[f"along {k}"], arrays[f"edges {k}"] = self._along(measure, k)
        if measure.kind == "density":
            for i, plane in enumerate(self.view.planes if self.axes > 1 else ()):
                arrays |= _image(measure.marginal(*plane), f" {i}")
            for k, axis in enumerate(measure.domain.axes):
                arrays[f"centres {k}"] = axis.centers
        else:
            shown = _spread(len(measure.weights), DOTS)
            facts["dots"] = [len(shown), len(measure.weights)]
            arrays |= {"dots": measure.points[shown], "weights": measure.weights[shown]}
        return blobs.encode(facts, arrays)

    def _along(self, measure, k):
        if measure.kind == "density":
            return profile(measure, k)
        low, high = measure.points[:, k].min(), measure.points[:, k].max()
        if measure.domain is not None and measure.domain.axes[k].periodic:
            low, high = measure.domain.axes[k].lower, measure.domain.axes[k].upper
        return profile(measure, k, np.linspace(low, high if high > low else low + 1, BINS + 1))


def _mass(measure):
    if isinstance(measure, Signed):
        return float(np.sum(measure.copies.mass))
    return float(measure.mass)


def _spread(count, most):
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int))


def _image(measure, name):
    """Return the cells of a plane, or the largest of every block of them and its number."""
    values = measure.values
    ends = [np.linspace(0, n, min(n, BLOCKS) + 1).astype(int) for n in values.shape]
    if values.shape == tuple(len(e) - 1 for e in ends):
        return {f"plane{name}": values}
    which = np.arange(values.size).reshape(values.shape)
    for axis, starts in enumerate(ends):
        values, which = _largest(values, which, starts, axis)
    return {f"plane{name}": values, f"cell{name}": which}


def _largest(values, which, ends, axis):
    """Return the values of largest size between `ends` along an axis, and their numbers."""
    size = int(np.diff(ends).max())
    inside = np.minimum(ends[:-1, None] + np.arange(size), ends[1:, None] - 1)
    shape = values.shape[:axis] + inside.shape + values.shape[axis + 1 :]
    split = [np.take(each, inside.ravel(), axis).reshape(shape) for each in (values, which)]
    best = np.expand_dims(np.abs(split[0]).argmax(axis + 1), axis + 1)
    return tuple(np.take_along_axis(each, best, axis + 1).squeeze(axis + 1) for each in split)


def _told(facts):
    """Return facts as pairs of texts."""
    return [
        [name, " ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for name, value in facts.items()
    ]
