"""Input checks and the exceptions of wgf: one sentence, the value, the remedy.

Every message reads ``<what>: <why>, <what to do>``; the command line prints it behind
``wgf: error:`` and exits with 2 (bad input) or 3 (numerical failure).
"""

import difflib
import hashlib
import math
import numbers

import numpy as np

SHOWN = 120


class InputError(ValueError):
    """Bad input: the message, one line, names the value and the remedy."""

    def __init__(self, message):
        super().__init__(" ".join(str(message).split()))


class InputTypeError(InputError, TypeError):
    """Bad input of the wrong type."""


class BoxWarning(UserWarning):
    """The box cuts off what the flow does beyond its walls."""


class StartWarning(UserWarning):
    """The start is one from which the flow may end in a local minimum."""


class StationaryWarning(UserWarning):
    """The run came to rest at a state whose optimality gap is larger than asked."""


class NumericalError(RuntimeError):
    """A run that cannot go on: NaN, a step that shrank to nothing, a solve that failed."""


def install(extra):
    """Return how the packages of an extra are installed, as messages end."""
    return f'run pip install ".[{extra}]" in a copy of the repository'


def shown(value):
    """Return what a message shows of a value: one line, not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def number(what, value, minimum=None, above=None, maximum=None):
    """Return `value` as a finite float within the bounds or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise InputTypeError(f"{what}: {shown(value)} is not a number, give a finite number")
    value = float(value)
    if not math.isfinite(value):
        raise InputError(f"{what}: {value} is not finite, give a finite number")
    if minimum is not None and value < minimum:
        raise InputError(f"{what}: {value:g} is too small, give at least {minimum:g}")
    if above is not None and value <= above:
        raise InputError(f"{what}: {value:g} is too small, give a number above {above:g}")
    if maximum is not None and value > maximum:
        raise InputError(f"{what}: {value:g} is too large, give at most {maximum:g}")
    return value


def whole(what, value, minimum=0, maximum=None):
    """Return `value` as an int of at least `minimum` or raise `InputError`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise InputTypeError(f"{what}: {shown(value)} is not a whole number, give an integer")
    value = int(value)
    if value < minimum:
        raise InputError(f"{what}: {value} is too small, give at least {minimum}")
    if maximum is not None and value > maximum:
        raise InputError(f"{what}: {value} is too large, give at most {maximum}")
    return value


def array(what, value, shape=None, dimensions=None):
    """Return a copy of `value` as a finite C-contiguous float64 array or raise `InputError`.

    `shape` fixes lengths (None leaves one free); `dimensions` lists the allowed numbers of
    dimensions.
    """
    result = np.array(_numbers(what, value, "give a numeric array"), dtype=np.float64, order="C")
    if dimensions is not None and result.ndim not in dimensions:
        allowed = " or ".join(str(n) for n in dimensions)
        raise InputError(
            f"{what}: an array of shape {result.shape} has {result.ndim} dimensions, "
            f"give one with {allowed}"
        )
    if shape is not None:
        fits = len(shape) == result.ndim and all(
            want in (None, have) for want, have in zip(shape, result.shape)
        )
        if not fits:
            wanted = tuple("any" if n is None else n for n in shape)
            raise InputError(
                f"{what}: shape {result.shape} does not fit, give shape {wanted}".replace("'", "")
            )
    finite = np.isfinite(result)
    if not finite.all():
        where = np.unravel_index(int(np.argmin(finite)), result.shape)
        raise InputError(
            f"{what}: {result[where]} at index {tuple(int(i) for i in where)} is not finite, "
            "remove it"
        )
    return result


def returned(what, values):
    """Return a copy of what a user's function returned as a float64 array, finite or not."""
    return np.array(_numbers(what, values, "return a numeric array"), dtype=np.float64)


def _numbers(what, value, remedy):
    """Return `value` as an array of real numbers, each of which is there."""
    hidden = np.ma.getmaskarray(value).sum() if np.ma.isMaskedArray(value) else 0
    if hidden:
        raise InputError(
            f"{what}: {int(hidden)} of {np.size(value)} numbers are masked, remove or fill them"
        )
    try:
        found = np.asarray(value)
        if found.dtype.kind == "O":
            found = found.astype(np.float64)
    except (TypeError, ValueError):
        found = None
    if found is None or found.dtype.kind not in "fiub":
        kind = type(value).__name__ if found is None else f"{found.dtype} data"
        kind = type(value).__name__ if found is not None and found.ndim == 0 else kind
        raise InputTypeError(f"{what}: {kind} is not an array of numbers, {remedy}")
    return found


def flag(what, value):
    """Return `value` as a bool if it is one, or 0 or 1, or raise `InputTypeError`."""
    if not isinstance(value, bool | np.bool_) and not (type(value) is int and value in (0, 1)):
        raise InputTypeError(
            f"{what}: {shown(value)} is neither true nor false, give True or False"
        )
    return bool(value)


def one_of(what, value, choices):
    """Return `value` if it is among `choices` or raise `InputError`."""
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"{what}: {shown(value)} is unknown, choose from {', '.join(choices)}")
    return value


def nearest(name, choices):
    """Return what to do about an unknown name: the one that was meant, or all there are."""
    near = difflib.get_close_matches(str(name), choices, 1)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(choices)}"


def choice(what, value, choices):
    """Return `value` as an int if it is among the two whole numbers `choices`."""
    whole_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not whole_number or value not in choices:
        first, last = choices
        raise InputError(f"{what}: {shown(value)} is unknown, choose {first} or {last}")
    return int(value)


def instance(what, value, kinds):
    """Return `value` if it is an instance of `kinds` or raise `InputTypeError`."""
    if not isinstance(value, kinds):
        kinds = kinds if isinstance(kinds, tuple) else (kinds,)
        names = " or ".join(f"wgf.{kind.__name__}" for kind in kinds)
        raise InputTypeError(f"{what}: {type(value).__name__} does not fit here, give a {names}")
    return value


def axis_names(what, value):
    """Return a tuple of axis names from one name or several."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (tuple, list)) or not all(isinstance(n, str) for n in names):
        raise InputTypeError(f"{what}: {shown(value)} is not a name, give one axis name or several")
    return tuple(names)


def positions_of(what, axes, names):
    """Return the positions of `axes` in `names` or raise `InputError`."""
    for axis in axes:
        if not isinstance(axis, str) or axis not in names:
            raise InputError(f"{what}: no axis {shown(axis)}, choose from {', '.join(names)}")
    return tuple(names.index(axis) for axis in axes)


def fingerprint(values):
    """Return a short text that changes when one bit of the array changes."""
    values = np.ascontiguousarray(values)
    return f"array{values.shape}#{hashlib.sha256(values.tobytes()).hexdigest()[:12]}"
