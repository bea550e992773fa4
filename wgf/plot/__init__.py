"""Figures of runs, comparisons and studies, films, and the numbers in them.

matplotlib is loaded when the first figure is drawn, and only here.
"""

from wgf.plot.film import movie
from wgf.plot.numbers import figure_numbers, write_numbers
from wgf.plot.sheets import comparison, drawing, run, study
from wgf.plot.style import COLOURS, MAP, STYLE

__all__ = [
    "COLOURS",
    "MAP",
    "STYLE",
    "comparison",
    "drawing",
    "figure_numbers",
    "movie",
    "run",
    "study",
    "write_numbers",
]
