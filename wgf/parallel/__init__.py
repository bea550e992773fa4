"""Ranks and threads: who works on what, and how sums are made."""

from wgf.parallel.partition import Partition, sum_of_rows
from wgf.parallel.ranks import Ranks, Serial, alone, launched, speaks, world

__all__ = ["Partition", "Ranks", "Serial", "alone", "launched", "speaks", "sum_of_rows", "world"]
