"""The tangent kernel of two-layer networks: Gram matrices, their limit, the linear system.

Along ``F = Risk(Neurons(x, activation), Squared(y, weights), scale)`` the scaled output
``u_i = scale ∫ a sigma(w·x_i) dmu`` obeys, whatever the scale,

    u' = H(mu) diag(weights) (y - u),   H_ij(mu) = ∫ <∇phi_i, ∇phi_j> dmu,

the gradients being those along the axes that move. Large scales keep mu, and so H, near the start
(the lazy regime); then u follows a linear system. Source: Du, Zhai, Poczos & Singh 2018 (DZPS18),
sections 3 and 4.
"""

import warnings

import numpy as np
from numpy.typing import ArrayLike

from wgf import checks
from wgf.functional.features import Neurons
from wgf.measures.base import Measure, measured
from wgf.measures.density import Density
from wgf.measures.particles import Particles
from wgf.theory.problem import augmented, is_relu

LAYERS = ("inner", "outer", "both")
DENSE = 3000
BLOCK_ENTRIES = 1 << 19


def _network(features, relu=False):
    """Return the inputs of the neurons, a column of ones for the bias included."""
    checks.instance("tangent features", features, Neurons)
    if relu and not is_relu(features):
        raise checks.InputError(
            f"tangent features: no closed form for {features.activation}, give relu neurons or "
            "use tangent.gram with particles"
        )
    return augmented(features)


def gram(features: Neurons, measure: Measure, layers: str = "inner") -> np.ndarray:
    """Return the Gram matrix ``H(mu)`` of a measure of neurons, shape ``(n, n)``.

    inner: ``H_ij = x_i·x_j ∫ a^2 sigma'(w·x_i) sigma'(w·x_j) dmu``, amplitudes frozen;
    outer: ``∫ sigma(w·x_i) sigma(w·x_j) dmu``, inner weights frozen; both: their sum. With a
    bias read ``(x, 1)`` for ``x``.

    Parameters
    ----------
    features : Neurons
    measure : Density or Particles
        A density counts with its cell centres.
    layers : {"inner", "outer", "both"}

    Notes
    -----
    For particles of weight ``1/m`` and ``a = ±1`` the inner matrix is ``H(t)`` of DZPS18,
    section 3; the derivative of relu at 0 is 0 here and 1 there. The matrix is summed in blocks of
    rows by matrix products.
    """
    inputs = _network(features)
    measured("tangent measure", measure)
    checks.one_of("tangent layers", layers, LAYERS)
    width = inputs.shape[1] + 1
    if measure.dimension != width:
        raise checks.InputError(
            f"tangent measure: dimension {measure.dimension} does not fit the axes "
            f"({', '.join(features.names)}) of the features, give {width}"
        )
    activation = features.sigma
    inner, outer = np.zeros((features.size,) * 2), np.zeros((features.size,) * 2)
    step = max(16, BLOCK_ENTRIES // max(inputs.shape))
    for points, weights in measure.blocks():
        for begin in range(0, len(points), step):
            rows = slice(begin, begin + step)
            value, slope = activation(points[rows, 1:] @ inputs.T)
            if layers != "outer":
                inner += slope.T @ (slope * (weights[rows] * points[rows, 0] ** 2)[:, None])
            if layers != "inner":
                outer += value.T @ (value * weights[rows, None])
    return inner * (inputs @ inputs.T) + outer


def limit_gram(features: Neurons, layers: str = "inner", std: float = 1.0) -> np.ndarray:
    """Return ``H∞``: the Gram matrix of ReLU neurons with ``w ~ N(0, std^2 I)`` and ``a = ±1``.

    With ``theta_ij`` the angle between the inputs,

        inner: ``x_i·x_j (pi - theta_ij) / (2 pi)``,
        outer: ``std^2 |x_i| |x_j| (sin theta_ij + (pi - theta_ij) cos theta_ij) / (2 pi)``,

    for inputs of any length; with a bias, normal too, read ``(x, 1)`` for ``x``.

    Warns
    -----
    UserWarning
        For a zero input and for two inputs of one direction: the matrix is then singular. Two
        opposite inputs alone do not make it so.

    Notes
    -----
    Source: DZPS18, section 3, for unit inputs; the outer layer is the arc-cosine formula
    ``E[relu(u·x) relu(v·x)]``.
    """
    inputs = _network(features, relu=True)
    checks.one_of("tangent layers", layers, LAYERS)
    std = checks.number("tangent std", std, above=0)
    length = np.linalg.norm(inputs, axis=1)
    unit = inputs / np.where(length > 0, length, 1.0)[:, None]
    cosine = np.clip(unit @ unit.T, -1.0, 1.0)
    np.fill_diagonal(cosine, 1.0)
    _warn_degenerate(length, unit, cosine)
    angle = np.arccos(cosine)
    inner = cosine * (np.pi - angle)
    if layers == "inner":
        share = inner
    else:
        share = std**2 * (np.sin(angle) + inner)
        if layers == "both":
            share += inner
    return share * np.outer(length, length) / (2 * np.pi)


def _warn_degenerate(length, unit, cosine):
    zero = np.flatnonzero(length == 0)
    if len(zero):
        warnings.warn(
            f"tangent features: input {zero[0]} is zero ({len(zero)} such), the least eigenvalue "
            "is 0, remove it or add a bias",
            stacklevel=3,
        )
    first, second = np.nonzero(np.triu(cosine > 1 - 1e-10, 1))
    # the cosine sees angles above 1e-5 only; the difference of unit vectors sees all
    near = np.linalg.norm(unit[first] - unit[second], axis=1) < 1e-12
    near &= (length[first] > 0) & (length[second] > 0)
    if near.any():
        k = int(np.argmax(near))
        warnings.warn(
            f"tangent features: inputs {first[k]} and {second[k]} are parallel ({near.sum()} such "
            "pairs), the least eigenvalue is 0, remove one of them",
            stacklevel=3,
        )


def least_eigenvalue(matrix: ArrayLike, method: str | None = None) -> float:
    """Return the least eigenvalue ``lambda_0`` of a symmetric matrix.

    Parameters
    ----------
    matrix : array of shape ``(n, n)``
    method : {"dense", "iterative"}, optional
        Dense by default up to ``n = 3000``. The iterative one runs Lanczos on ``c - matrix`` with
        ``c`` its largest eigenvalue, to an error of about ``1e-10 c``: a least eigenvalue of 0 is
        no harder than others.

    Raises
    ------
    InputError
        For a matrix that is not square or not symmetric.
    NumericalError
        If the iteration does not converge.
    """
    matrix = checks.array("tangent matrix", matrix, shape=(None, None))
    n = len(matrix)
    if n == 0 or matrix.shape[1] != n:
        raise checks.InputError(
            f"tangent matrix: shape {matrix.shape} is not square, give a Gram matrix"
        )
    gap = float(np.abs(matrix - matrix.T).max())
    if gap > 1e-10 * np.abs(matrix).max():
        raise checks.InputError(
            f"tangent matrix: entries differ by {gap:g} from those of the transpose, give a "
            "symmetric matrix"
        )
    if method is None:
        method = "dense" if n <= DENSE else "iterative"
    checks.one_of("tangent method", method, ("dense", "iterative"))
    if method == "dense" or n < 4:
        from scipy.linalg import eigh

        return float(eigh(matrix, eigvals_only=True, subset_by_index=[0, 0])[0])
    return _lanczos(matrix)


def _lanczos(matrix):
    from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

    n = len(matrix)
    first = np.random.default_rng(0).normal(size=n)
    options = {"k": 1, "which": "LA", "return_eigenvectors": False, "v0": first}
    try:
        top = float(eigsh(matrix, tol=1e-6, **options)[0])
        shift = max(abs(top), 1e-300)
        flipped = LinearOperator((n, n), matvec=lambda v: shift * v - matrix @ v, dtype=float)
        ncv = min(n, 80)
        return shift - float(eigsh(flipped, tol=1e-10, ncv=ncv, maxiter=20 * n, **options)[0])
    except ArpackError as error:
        raise checks.NumericalError(
            f"least eigenvalue: the iteration did not converge ({error}), use method='dense'"
        ) from error


def decay_bound(rate: float, times: ArrayLike) -> np.ndarray:
    """Return ``exp(-rate t)``: the bound on ``|u(t) - y|^2 / |u(0) - y|^2``.

    With ``rate = lambda_0`` the least eigenvalue of ``H∞`` it holds for wide networks
    (DZPS18, theorem 3.2), for the loss ``1/2 |u - y|^2`` with weights 1.
    """
    rate = checks.number("decay bound rate", rate, minimum=0)
    return np.exp(-rate * checks.array("decay bound times", times, dimensions=(0, 1)))


def linear_flow(
    matrix: ArrayLike,
    y: ArrayLike,
    times: ArrayLike,
    first: ArrayLike = 0.0,
    step: float | None = None,
) -> np.ndarray:
    """Return ``u(t)`` of ``u' = H (y - u)``, ``u(0) = first``, shape ``(times, n)``.

    With a `step` the iteration ``u+ = u + step H (y - u)`` instead, at multiples of the step.

    Parameters
    ----------
    matrix : array of shape ``(n, n)``
        Symmetric: the Gram matrix, for a loss of weights 1.
    y : array of shape ``(n,)``
    times : array of shape ``(k,)``
    first : float or array of shape ``(n,)``
        Output at the start.
    step : float, optional
    """
    matrix = checks.array("tangent matrix", matrix, shape=(None, None))
    y = checks.array("linear flow y", y, shape=(len(matrix),))
    times = checks.array("linear flow times", times, dimensions=(0, 1)).reshape(-1)
    first = np.broadcast_to(checks.array("linear flow first", first, dimensions=(0, 1)), y.shape)
    values, vectors = np.linalg.eigh(matrix)
    if step is None:
        decay = np.exp(-np.outer(times, values))
    else:
        step = checks.number("linear flow step", step, above=0)
        count = np.round(times / step)
        if len(times) and np.abs(count * step - times).max() > 1e-9 * max(1.0, times.max()):
            raise checks.InputError(
                f"linear flow times: not all are multiples of the step {step:g}, give such times"
            )
        decay = (1.0 - step * values) ** count[:, None]
    return y + (decay * (vectors.T @ (first - y))) @ vectors.T


def face_gram(features: Neurons, density: Density) -> np.ndarray:
    """Return the Gram matrix of the inner layer as finite volumes see it, shape ``(n, n)``.

    ``H_ij = volume sum_faces (Δphi_i / h) (Δphi_j / h) (rho_L + rho_R) / 2`` over the faces across
    all axes but the first: the derivative of the discrete output along the discrete flow, but for
    the face densities, which the scheme reconstructs upwind.

    Parameters
    ----------
    features : Neurons
    density : Density
        Along the axes of the features.
    """
    _network(features)
    checks.instance("tangent density", density, Density)
    if density.names != features.names:
        raise checks.InputError(
            f"tangent density: axes ({', '.join(density.names)}) do not match the axes "
            f"({', '.join(features.names)}) of the features, build such a mesh"
        )
    mesh = density.mesh
    amplitude = mesh.axes[0].centers
    # the mass that a cell of the other axes would carry were all amplitudes of square 1
    mass = np.tensordot(amplitude**2, density.values, axes=1) * mesh.cell_volume
    values = features.unit(mesh.sub(mesh.names[1:]).points()).reshape(*mass.shape, -1)
    total = np.zeros((features.size,) * 2)
    for k, axis in enumerate(mesh.axes[1:]):
        slope = np.diff(values, axis=k).reshape(-1, features.size) / axis.spacing
        low, high = (np.delete(mass, end, axis=k).ravel() for end in (-1, 0))
        total += slope.T @ (slope * (0.5 * (low + high))[:, None])
    return total


def flipped(features: Neurons, start: Particles, now: Particles) -> float:
    """Return the fraction of the signs of ``w·x_i`` that differ between two states."""
    inputs = _network(features)
    _check_pair("flipped", start, now)
    step = max(16, BLOCK_ENTRIES // max(inputs.shape))
    count = 0
    for begin in range(0, now.size, step):
        signs = [s.points[begin : begin + step, 1:] @ inputs.T > 0 for s in (start, now)]
        count += np.count_nonzero(signs[0] != signs[1])
    return count / (now.size * len(inputs))


def moved(start: Particles, now: Particles) -> float:
    """Return the largest distance of a particle from its start."""
    _check_pair("moved", start, now)
    return float(np.linalg.norm(now.points - start.points, axis=1).max())


def _check_pair(what, start, now):
    for name, state in (("start", start), ("now", now)):
        checks.instance(f"{what} {name}", state, Particles)
    if start.points.shape != now.points.shape:
        raise checks.InputError(
            f"tangent: particles of shapes {start.points.shape} and {now.points.shape} are not two "
            "states of one run, give two states of one run"
        )
