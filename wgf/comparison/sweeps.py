"""What a sweep found: means, medians and rates over its seeds, slopes along an option."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from wgf import checks
from wgf.comparison import table as named
from wgf.comparison.statistics import INTERVALS, fit, success, summarise
from wgf.record.grid import read_grid

TABLE = "sweep.h5"
STATISTICS = {"mean": "arithmetic", "geometric": "mean", "median": "median"}
# what the means are in words, and how their intervals are found unless one asks for another way
WORDS = {"mean": "mean", "geometric": "geometric mean", "median": "median"}
USUAL = {"mean": "t", "geometric": "t", "median": "bootstrap"}


def is_sweep(path: Any) -> bool:
    """Return whether `path` is the directory of a sweep."""
    return (pathlib.Path(path) / "sweep.json").is_file()


class Summary:
    """One column of a sweep over its seeds: a row for every combination of options and side.

    Parameters
    ----------
    path : path
        Directory of a sweep.
    y : str
        Column of the table, of which the values at the end count; ``name[k]`` is a component of an
        observable that is an array.
    x : str, optional
        Varied option of numbers along which slopes are fitted; by default the only one.
    statistic : {"mean", "geometric", "median"}
    interval : {"t", "bootstrap"}, optional
        Of 95 %; by default Student's t for means and the bootstrap for medians.
    below : float, optional
        Adds the rate of runs with smaller values, with Wilson's 95 % interval.
    floor : float, optional
        Limit of accuracy of the values: sizes whose mean is at most twice the floor do not enter a
        fit.
    rate : float, optional
        Slope that is expected.

    Attributes
    ----------
    table : Table
        The varied options, ``side``, the statistic, ``low``, ``high``, ``repeats``, ``failed``;
        with a level ``rate``, ``rate_low``, ``rate_high``.
    fits : list of dict
        For every combination of the other options with at least two sizes that enter: ``slope`` of
        the logarithm of the geometric mean, ``error``, ``low``, ``high``, ``sizes`` and ``runs``
        that entered, ``expected``.
    notes : list of str

    Raises
    ------
    InputError
        For a directory that holds no table, and for names that it does not have.
    """

    def __init__(
        self,
        path: Any,
        y: str = "objective",
        x: str | None = None,
        statistic: str = "mean",
        interval: str | None = None,
        below: float | None = None,
        floor: float | None = None,
        rate: float | None = None,
    ):
        self.path = pathlib.Path(path)
        self.y, self.statistic = y, checks.one_of("statistic", statistic, tuple(STATISTICS))
        self.interval = USUAL[statistic] if interval is None else interval
        if (STATISTICS[statistic], self.interval) not in INTERVALS:
            raise checks.InputError(
                f"interval: {self.interval!r} does not go with the {statistic}, take "
                f"{USUAL[statistic]}"
            )
        self.below = None if below is None else checks.number("below", below)
        self.floor = None if floor is None else checks.number("floor", floor, minimum=0)
        self.rate = None if rate is None else checks.number("rate", rate)
        self._read()
        numbers = [name for name in self.options if self._scales[name].dtype.kind in "if"]
        if x is not None and x not in numbers:
            known = ", ".join(numbers) or "none was varied"
            raise checks.InputError(
                f"x: {x} is not a varied option of numbers, choose from these: {known}"
            )
        self.x = numbers[0] if x is None and len(numbers) == 1 else x
        self.notes: list[str] = []
        self.table = self._table()
        self.fits = [found for key in self.lines() if (found := self._fit(key)) is not None]
        self.notes += self._words()

    def _read(self):
        """Take values, statuses and the varied options from the file."""
        scales, variables = read_grid(self.path / TABLE)
        name, _, component = self.y.partition("[")
        if name not in variables:
            known = [n for n in variables if n != "status" and not n.endswith("_history")]
            raise checks.InputError(
                f"y: the sweep has no column {name!r}, {checks.nearest(name, known)}"
            )
        _, values = variables[name]
        statuses, status = variables["status"]
        inner = values.shape[len(statuses) :]
        if inner:
            number = re.fullmatch(r"(\d+)\]", component)
            flat = values.reshape(*status.shape, -1)
            if number is None or int(number[1]) >= flat.shape[-1]:
                raise checks.InputError(
                    f"y: {name} has {flat.shape[-1]} components, give one of them, {name}[0] to "
                    f"{name}[{flat.shape[-1] - 1}]"
                )
            values = flat[..., int(number[1])]
        elif component:
            raise checks.InputError(f"y: {name} is a number, leave {self.y[len(name) :]} out")
        self._scales = scales
        self.sides = tuple(map(str, scales["side"])) if "side" in scales else ()
        every = statuses[: len(statuses) - bool(self.sides)]
        self.options, self.seeds = every[:-1], scales[every[-1]]
        # the seeds last
        order = [*range(len(self.options)), *([len(every)] if self.sides else []), len(every) - 1]
        self._values = np.transpose(values, order)
        self._failed = np.transpose(status, order) == "failed"
        self._keys = [
            dict(zip((*self.options, "side")[: len(order) - 1], each))
            for each in itertools.product(
                *(scales[o].tolist() for o in self.options), *([self.sides] if self.sides else [])
            )
        ]

    def repeats(self) -> list[tuple[dict, np.ndarray, int]]:
        """Return ``(options, values of the runs, number of failures)`` of every row.

        A side without chance ran once, whatever the number of seeds.
        """
        count = len(self.seeds)
        found = []
        for key, values, failed in zip(
            self._keys, self._values.reshape(-1, count), self._failed.reshape(-1, count)
        ):
            held = values[~failed & ~np.isnan(values)]
            if len(held) > 1 and (held == held[0]).all():
                held = held[:1]
            found.append((key, held, int(failed.sum())))
        return found

    def _table(self):
        rows, single = [], False
        for key, values, failed in self.repeats():
            row = dict(key)
            if len(values):
                found = self._summary(np.ones(len(values)), values)
                row |= {n: float(found[n][0]) for n in (self.statistic, "low", "high")}
            single |= len(values) == 1
            row |= {"repeats": len(values), "failed": failed}
            if self.below is not None and len(values) + failed:
                # a run that failed did not succeed
                held = np.append(values, np.full(failed if len(values) else 1, np.nan))
                rates = success(np.ones(len(held)), held, self.below)
                row |= {"rate": float(rates["rate"][0])}
                row |= {f"rate_{n}": float(rates[n][0]) for n in ("low", "high")}
            rows.append(row)
        if single:
            self.notes.append("a single run has an interval without width")
        hidden = () if any(row["failed"] for row in rows) else ("failed",)
        heads = {self.statistic: f"{WORDS[self.statistic]} of {self.y}"}
        heads |= {"rate": f"rate below {self.below}", "rate_low": "low", "rate_high": "high"}
        return named.Table(rows, heads, hidden, "{:.4g}")

    def _summary(self, sizes, values):
        statistic = STATISTICS[self.statistic]
        found = summarise(sizes, values, statistic, self.interval)
        return found | {self.statistic: found[statistic]}

    def lines(self) -> list[tuple]:
        """Return the combinations of the other options and sides, each a line of a figure."""
        keys = [tuple((k, v) for k, v in key.items() if k != self.x) for key in self._keys]
        return list(dict.fromkeys(keys))

    def along(self, line: tuple) -> tuple[np.ndarray, np.ndarray]:
        """Return sizes and values of all runs on a line."""
        held = [
            (key[self.x], value)
            for key, values, _ in self.repeats()
            if all(key[name] == wanted for name, wanted in line)
            for value in values
        ]
        return np.array([a for a, _ in held], dtype=float), np.array([b for _, b in held])

    def curve(self, line: tuple) -> dict[str, np.ndarray]:
        """Return ``size``, ``mean`` (of whatever kind), ``low`` and ``high`` along a line."""
        found = self._summary(*self.along(line))
        return found | {"mean": found[self.statistic]}

    def successes(self, line: tuple) -> dict[str, np.ndarray]:
        """Return the rates below the level along a line; see `wgf.comparison.statistics`."""
        rows = [
            (row[self.x], *(row[n] for n in ("rate", "rate_low", "rate_high")))
            for row in map(dict, self._rows())
            if all(row[name] == wanted for name, wanted in line)
        ]
        return dict(zip(("size", "mean", "low", "high"), np.array(sorted(rows)).T))

    def _rows(self):
        return (
            {name: column[i] for name, column in self.table.items()}
            for i in range(self.table.length)
        )

    def _fit(self, line):
        """Return the slope along a line, None where there is none."""
        if self.x is None:
            return None
        sizes, values = self.along(line)
        low = -np.inf if self.floor is None else 2 * self.floor
        out = [size for size in np.unique(sizes) if values[sizes == size].mean() <= low]
        kept = (sizes > 0) & ~np.isin(sizes, out)
        label = self.label(line)
        if out:
            told = ", ".join(f"{size:.4g}" for size in out)
            self.notes.append(f"not fitted, below twice the floor: {self.x} = {told} of {label}")
        found = fit(sizes[kept], values[kept])
        if found is None:
            return None
        expected = np.nan if self.rate is None else self.rate
        return {"line": label, **dataclasses.asdict(found), "expected": expected}

    def label(self, line: tuple) -> str:
        """Return a line in words."""
        return ", ".join(v if k == "side" else f"{k} = {v}" for k, v in line) or self.y

    def _words(self):
        how = INTERVALS[STATISTICS[self.statistic], self.interval]
        found = [f"low, high: 95 % interval of the {WORDS[self.statistic]} by {how}"]
        if self.below is not None:
            found.append("rate: of all runs, failed ones included, with Wilson's 95 % interval")
        if self.fits:
            found.append(
                f"slope: of log {self.y} against log {self.x}, by least squares through geometric "
                "means over the repeats, with its standard error and 95 % interval by Student's t"
            )
        return found

    def plot(self, path: Any = None) -> Any:
        """Draw the column against x with bands, the expected rate and success rates.

        Raises
        ------
        InputError
            Without an option of numbers to draw against.
        """
        if self.x is None:
            raise checks.InputError(
                "x: no option of numbers or more than one was varied, name the one to draw against"
            )
        from wgf import plot

        return plot.sweep(self, path)

    def tables(self) -> dict[str, Mapping]:
        """Return the rows and the fits as tables by name."""
        found = {"runs": self.table, "fits": named.Table(self.fits)}
        return {name: table for name, table in found.items() if len(table)}

    def save(self, path: Any) -> None:
        """Write rows and fits to an ``.h5`` file, or the rows alone to a ``.csv``."""
        named.save(path, self.tables(), {"notes": "\n".join(self.notes)})

    def __str__(self):
        lines = self.table.lines()
        if self.fits:
            hidden = () if self.rate is not None else ("expected",)
            heads = {"line": "slope of", "error": "standard error"}
            fits = named.Table(self.fits, heads, hidden, "{:.4g}")
            lines += ["", *fits.lines()]
        return "\n".join([*lines, "", *self.notes])
