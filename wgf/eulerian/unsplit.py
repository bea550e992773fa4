"""Implicit transport of a density in a given potential along several axes at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wgf.eulerian import implicit_kernels, unsplit_kernels

NEWTON_LIMIT = 200
# largest product of step and rate with which sparse factors keep the mass to round-off
LONGEST = 1e10
REFINEMENTS = 4


class Faces:
    """The faces of a mesh across which something moves.

    Parameters
    ----------
    shape, periodic, rates : sequences of four
        Cells, whether the axis is wrapped, and mobility over the square of the width.
    eps : float
        Diffusion.

    Attributes
    ----------
    left, right : arrays of int, shape ``(faces,)``
        Cells beside a face.
    rates : array of shape ``(faces,)``
    """

    def __init__(self, shape, periodic, rates, eps: float):
        self.shape, self.periodic, self.eps = shape, periodic, eps
        cells = np.arange(int(np.prod(shape))).reshape(shape)
        left, right, rate = [], [], []
        self.axes = [k for k in range(4) if rates[k] > 0 and shape[k] > 1]
        for k in self.axes:
            ahead = np.roll(cells, -1, k)
            inside = [slice(None)] * 4
            if not periodic[k]:
                inside[k] = slice(0, -1)
            left.append(cells[tuple(inside)].ravel())
            right.append(ahead[tuple(inside)].ravel())
            rate.append(np.full(left[-1].size, float(rates[k])))
        self.left = np.concatenate(left) if left else np.zeros(0, dtype=np.int64)
        self.right = np.concatenate(right) if right else np.zeros(0, dtype=np.int64)
        self.rates = np.concatenate(rate) if rate else np.zeros(0)
        self.axis_rates = [float(rates[k]) for k in self.axes]

    def terms(self, rho: np.ndarray, xi: np.ndarray):
        """Return outflow coefficients to the right and left, the moved density, and the flux."""
        found = np.empty((4, self.rates.size))
        implicit_kernels.face_terms(rho, xi, self.left, self.right, self.rates, self.eps, *found)
        return found

    def gained(self, flux: np.ndarray, cells: int) -> np.ndarray:
        """Return what every cell gains by the fluxes across its faces."""
        gained = np.bincount(self.right, flux, cells)
        return gained - np.bincount(self.left, flux, cells)

    def dissipation(self, rho: np.ndarray, xi: np.ndarray) -> float:
        """Return ``sum_faces rate f^2 / rho``, `xi` holding the slopes of energies."""
        flux = self.terms(rho, xi)[3]
        moves = flux != 0
        flux, left, right, rates = (
            each[moves] for each in (flux, rho[self.left], rho[self.right], self.rates)
        )
        mean = 0.5 * (left + right) if self.eps else np.where(flux > 0, left, right)
        return float(np.sum(flux * (flux / mean) / rates))

    def beside(self) -> np.ndarray:
        """Return the neighbours of every cell, -1 beyond a wall, two columns per axis."""
        cells = np.arange(int(np.prod(self.shape))).reshape(self.shape)
        columns = []
        for k in self.axes:
            for shift in (1, -1):
                near = np.roll(cells, shift, k)
                if not self.periodic[k]:
                    wall = [slice(None)] * 4
                    wall[k] = slice(0, 1) if shift == 1 else slice(-1, None)
                    near[tuple(wall)] = -1
                columns.append(near.ravel())
        return np.ascontiguousarray(np.stack(columns, axis=1))


class Downhill:
    """Upwind transport without diffusion, solved in the order of the potential."""

    def __init__(self, faces: Faces):
        self.faces = faces
        self._beside = faces.beside().astype(np.int32)
        self._rates = np.repeat(faces.axis_rates, 2)

    def longest(self, rho: np.ndarray, potential: Callable[[], np.ndarray]) -> float:
        """Return the longest step that can be solved for: any."""
        return np.inf

    def solve(self, old: np.ndarray, potential: np.ndarray, dt: float) -> np.ndarray | None:
        """Return the density moved in `potential`."""
        cells = potential.size
        order = np.empty(cells, dtype=np.int32)
        higher = np.empty(cells, dtype=np.int32)
        count = unsplit_kernels.downhill_order(self._beside, potential, higher, order)
        self._order, self._xi = order[:count], potential
        self._found, self._moved = self._solved(old, dt), None
        return self._found

    def _solved(self, base, dt):
        result = np.empty_like(base)
        unsplit_kernels.descend(self._order, self._beside, self._rates, self._xi, dt, base, result)
        return result

    def linearised(self, change: np.ndarray, dt: float) -> np.ndarray:
        """Return the change of the density that a `change` of the first variation causes."""
        if self._moved is None:
            self._moved = self.faces.terms(self._found, self._xi)[2]
        gained = np.zeros_like(change)
        unsplit_kernels.add_gained(
            change, self.faces.left, self.faces.right, self._moved, dt, gained
        )
        return self._solved(gained, dt)


class Coupled:
    """Transport with diffusion or energies of the density, by sparse factors of the whole mesh.

    The matrix is an M-matrix: factors without pivoting have the signs that keep a non-negative
    right-hand side so. Residuals are taken in the form of fluxes and corrected until the mass is
    kept to round-off.
    """

    def __init__(self, faces: Faces, energies: list):
        self.faces, self.energies = faces, energies
        self.floor = 1e-10 if any(each.singular for each in energies) else 1e-30
        self._known: list = []

    def longest(self, rho: np.ndarray, potential: Callable[[], np.ndarray]) -> float:
        """Return the longest step that can be solved for in the potential that is called for."""
        ahead, back, _, _ = self._terms(rho, potential())
        return LONGEST / max(ahead.max(initial=0.0), back.max(initial=0.0), 1e-300)

    def _terms(self, rho, xi):
        if self.energies:
            with np.errstate(all="ignore"):
                xi = xi + sum(each.slope(rho) for each in self.energies)
        return self.faces.terms(rho, xi)

    def _factor(self, ahead, back, dt):
        """Return the solver of ``rho + dt div(ahead rho_left - back rho_right) = b``."""
        from scipy.sparse import csc_matrix
        from scipy.sparse.linalg import splu

        for key, solve in self._known:
            if key[0] == dt and all(np.array_equal(*each) for each in zip(key[1:], (ahead, back))):
                return solve
        faces, cells = self.faces, int(np.prod(self.faces.shape))
        out = np.bincount(faces.left, ahead, cells) + np.bincount(faces.right, back, cells)
        own = np.arange(cells)
        rows = np.concatenate([own, faces.right, faces.left])
        columns = np.concatenate([own, faces.left, faces.right])
        data = np.concatenate([1.0 + dt * out, -dt * ahead, -dt * back])
        if not np.isfinite(data).all():
            return None
        matrix = csc_matrix((data, (rows, columns)), shape=(cells, cells))
        options = {"SymmetricMode": True}
        try:
            solve = splu(matrix, "MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve
        except RuntimeError:
            return None
        self._known = [((dt, ahead, back), solve), *self._known[:1]]
        return solve

    def _moved_by(self, old, ahead, back, dt):
        """Return the density after a step with these coefficients, None where it fails."""
        solve = self._factor(ahead, back, dt)
        if solve is None:
            return None
        faces, found = self.faces, solve(old)
        total = float(old.sum())
        for _ in range(REFINEMENTS):
            flux = ahead * found[faces.left] - back * found[faces.right]
            missed = old - found + dt * faces.gained(flux, old.size)
            found = found + solve(missed)
            if abs(float(found.sum()) - total) <= 4e-16 * total:
                break
        least = float(found.min())
        if not least >= -1e-200 * float(found.max()):
            return None
        return np.maximum(found, 0.0) if least < 0 else found

    def solve(self, old: np.ndarray, potential: np.ndarray, dt: float) -> np.ndarray | None:
        """Return the density moved in `potential`, None if Newton's method fails."""
        rho = self._settled(old, potential, dt) if self.energies else old
        if rho is None:
            return None
        ahead, back, _, _ = self._terms(rho, potential)
        found = self._moved_by(old, ahead, back, dt)
        if found is None:
            return None
        ahead, back, self._moved, _ = self._terms(found, potential)
        self._linear = (*self._stiff(found, ahead, back, self._moved), dt)
        return found

    def _stiff(self, rho, ahead, back, moved):
        """Return the coefficients with what depends on the density through energies."""
        if not self.energies:
            return ahead, back
        with np.errstate(all="ignore"):
            curve = sum(each.curvature(rho) for each in self.energies)
        curve = np.where(np.isfinite(curve), curve, 0.0)
        return ahead + moved * curve[self.faces.left], back + moved * curve[self.faces.right]

    def _settled(self, old, potential, dt):
        """Return the density that solves the nonlinear system by Newton's method, or None."""
        faces, largest = self.faces, float(old.max())
        if largest == 0.0:
            return old
        rho, previous, total = np.maximum(old, self.floor * largest), np.inf, float(old.sum())
        for _ in range(NEWTON_LIMIT):
            ahead, back, moved, flux = self._terms(rho, potential)
            stiff = self._stiff(rho, ahead, back, moved)
            solve = self._factor(*stiff, dt)
            if solve is None:
                return None
            linear = stiff[0] * rho[faces.left] - stiff[1] * rho[faces.right]
            found = solve(old + dt * faces.gained(flux - linear, old.size))
            new = np.maximum(found, 0.1 * rho)
            change = float(np.maximum(np.abs(new - rho), np.where(new > found, -found, 0.0)).max())
            rho = new
            # a cell holds no more than all of the mass
            if not change <= 1e6 * total:
                return None
            if change <= 1e-15 * largest or (change <= 1e-11 * largest and change >= previous / 2):
                return rho
            previous = change
        return None

    def linearised(self, change: np.ndarray, dt: float) -> np.ndarray:
        """Return the change of the density that a `change` of the first variation causes."""
        faces = self.faces
        flux = self._moved * (change[faces.left] - change[faces.right])
        solve = self._factor(*self._linear)
        return solve(dt * faces.gained(flux, change.size))
