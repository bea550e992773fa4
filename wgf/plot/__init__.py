"""Figures of runs, comparisons and studies, films, and the numbers in them.

matplotlib is loaded when the first figure is drawn, and only here.
"""

from wgf.plot.film import movie
from wgf.plot.numbers import figure_numbers, write_numbers
from wgf.plot.sheets import PANELS, comparison, drawing, register, run, study
from wgf.plot.single import measure, part, show, table
from wgf.plot.style import COLOURS, MAP, STYLE
from wgf.plot.sweeps import sweep
from wgf.plot.views import Panel, View, divided

__all__ = [
    "COLOURS",
    "MAP",
    "PANELS",
    "STYLE",
    "Panel",
    "View",
    "comparison",
    "divided",
    "drawing",
    "figure_numbers",
    "measure",
    "movie",
    "part",
    "register",
    "run",
    "show",
    "study",
    "sweep",
    "table",
    "write_numbers",
]
