"""A table: columns of one length by name, how they are printed and where they are stored."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from html import escape
from typing import Any

import numpy as np

from wgf.record import tables

FORMS = {"t": "{:.4g}", "objective": "{:.6f}"}
TEXTS = ("run", "kind", "quantity")
MISSING = "–"


class Table(Mapping):
    """Columns by name; reads like a dictionary of arrays of one length.

    Parameters
    ----------
    rows : iterable of dict
        Values by column; a column that a row lacks is NaN there.
    heads : dict, optional
        Printed heads of columns, by default their names.
    hidden : iterable of str
        Columns that are not printed.
    form : str
        Format of numbers whose columns have none of their own.

    Attributes
    ----------
    curves : dict
        Labels of the columns that a figure draws over time.
    ylabel : str
        What these columns hold.
    """

    def __init__(
        self,
        rows: Iterable[Mapping],
        heads: Mapping[str, str] | None = None,
        hidden: Iterable[str] = (),
        form: str = "{:.3g}",
    ):
        rows = list(rows)
        names = dict.fromkeys(name for row in rows for name in row)
        self._columns = {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
        self.heads, self.hidden, self.form = dict(heads or {}), frozenset(hidden), form
        self.curves: dict[str, str] = {}
        self.ylabel = ""

    def __getitem__(self, name: str) -> np.ndarray:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def length(self) -> int:
        """Number of rows."""
        return len(next(iter(self.values()), ()))

    def lines(self, most: int | None = None) -> list[str]:
        """Return the printed lines: the heads, and all rows or at most so many, evenly spread."""
        columns = []
        for name, cells in zip(self._seen, zip(*self._rows_of(most))):
            width, align = max(map(len, cells)), str.ljust if name in TEXTS else str.rjust
            columns.append([align(cell, width) for cell in cells])
        return ["  ".join(row).rstrip() for row in zip(*columns)]

    @property
    def _seen(self):
        return [name for name in self if name not in self.hidden]

    def _rows_of(self, most):
        """Yield the heads and then the rows, as texts."""
        rows = np.arange(self.length)
        if most is not None and self.length > most:
            rows = np.unique(np.linspace(0, self.length - 1, most).astype(int))
        yield [self.heads.get(name, name) for name in self._seen]
        for row in rows:
            yield [self._cell(name, self[name][row]) for name in self._seen]

    def html(self, most: int | None = None) -> str:
        """Return the printed table as one of HTML; `most` as for `lines`."""
        head, *rows = self._rows_of(most)
        parts = [f"<tr>{''.join(f'<th>{escape(cell)}</th>' for cell in head)}</tr>"]
        parts += [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
        return f"<table>{''.join(parts)}</table>"

    def _repr_html_(self) -> str:
        return self.html()

    def _cell(self, name, value):
        if isinstance(value, str):
            return str(value)
        stem = name.removesuffix("_a").removesuffix("_b")
        return MISSING if np.isnan(value) else FORMS.get(stem, self.form).format(value)

    def __str__(self) -> str:
        return "\n".join(self.lines())


def save(path: Any, named: Mapping[str, Mapping], attributes: Mapping) -> None:
    """Write tables to an ``.h5`` file, a group for each, or the first one to a ``.csv`` file."""
    groups = {(name,): table for name, table in named.items()}
    if tables.check_path(path).suffix == ".csv":
        groups = {(): next(iter(named.values()))}
    tables.write(path, groups, dict(attributes))
