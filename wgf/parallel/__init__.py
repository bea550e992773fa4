"""Ranks and threads: who works on what, and how sums are made."""

from wgf.parallel.ranks import (
    Partition,
    Ranks,
    Serial,
    launched,
    speaks,
    sum_of_rows,
    world,
)

__all__ = ["Partition", "Ranks", "Serial", "launched", "speaks", "sum_of_rows", "world"]
