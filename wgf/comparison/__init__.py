"""Comparisons of runs: two with each other, several with a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wgf import checks
from wgf.comparison.pair import Comparison, sentence
from wgf.comparison.study import Study
from wgf.distances.standard import LIMIT, Distance

__all__ = ["Comparison", "Study", "compare", "sentence"]


def compare(
    a: Any,
    b: Any,
    *more: Any,
    limit: int = LIMIT,
    distances: Sequence[Distance] | None = None,
) -> Comparison | Study:
    """Compare two runs of the same flow at their common times, or several with the first.

    Parameters
    ----------
    a, b : Solution or stored run
        Each of densities or of particles, along the same axes.
    *more : Solution or stored run
        With three runs or more the first is the reference of a convergence study of the others.
    limit : int
        Largest number of pieces in the transport between whole measures, see `wgf.wasserstein`.
    distances : list of Distance, optional
        What to measure by; see `wgf.Distance`. By default the distances listed for `Comparison`
        and `wgf.comparison.Study`, which `wgf.distances.standard` names: ``[*standard.PAIR,
        mine]`` adds one.

    Returns
    -------
    Comparison or wgf.comparison.Study

    Raises
    ------
    InputError
        For runs along different axes or without a common time.
    """
    for what, run in zip(("a", "b", *range(3, 3 + len(more))), (a, b, *more)):
        if not hasattr(run, "snapshots") or not hasattr(run, "diagnostics"):
            raise checks.InputTypeError(
                f"compare {what}: {type(run).__name__} is not a run, give what wgf.solve or "
                "wgf.open_run returned"
            )
    checks.whole("compare limit", limit, minimum=1)
    if more:
        return Study(a, (b, *more), limit, distances)
    return Comparison(a, b, limit, distances)
