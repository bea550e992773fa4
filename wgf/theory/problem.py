"""What certificates, baselines and kernels ask of a problem: its penalties and its neurons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wgf.functional.features import FeatureMap, Neurons
from wgf.functional.functional import Functional
from wgf.functional.terms import L1, Ridge


def penalties(
    functional: Functional, names: Sequence[str], ridge: bool = False
) -> tuple[float, float, list]:
    """Return ``(l1, ridge, others)`` of the terms beside the risks.

    The strength of the l1 penalties on the amplitude alone, if asked for that of the ridge
    penalties on all axes, and all other terms that are not 0.
    """
    strengths, others = {L1: 0.0, Ridge: 0.0}, []
    for term in functional.terms:
        mask = term.mask(names) if isinstance(term, L1 | Ridge) else None
        if isinstance(term, L1) and mask[0] and not np.any(mask[1:]):
            strengths[L1] += term.strength
        elif ridge and isinstance(term, Ridge) and np.all(mask):
            strengths[Ridge] += term.strength
        elif term not in functional.risks and getattr(term, "strength", 1.0) != 0:
            others.append(term)
    return strengths[L1], strengths[Ridge], others


def is_relu(features: FeatureMap) -> bool:
    """Return whether features are ReLU neurons, which need directions of inner weights only."""
    return isinstance(features, Neurons) and features.activation == "relu"


def augmented(features: Neurons) -> np.ndarray:
    """Return the inputs of neurons, with a column of ones where there is a bias."""
    if not features.bias:
        return features.inputs
    return np.column_stack([features.inputs, np.ones(len(features.inputs))])
