"""Comparisons of runs: two with each other, several with a reference."""

from wgf.comparison.pair import Comparison, compare

__all__ = ["Comparison", "compare"]
