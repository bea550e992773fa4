"""Progress of a run: a bar on a terminal, lines elsewhere; and where its time went."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator


def reporter(until: float | str, title: str = "", stream=None) -> "_Reporter":
    """Return a callable that takes each row of diagnostics, with a method ``close()``.

    Parameters
    ----------
    until : float or "stationary"
        End time of the run.
    title : str
        What runs, written first.
    stream : file, optional
        Where to write, by default standard error. A terminal gets a bar. A file gets a line per
        twentieth of the time, or per doubling of the steps where the end is not known.
    """
    stream = sys.stderr if stream is None else stream
    kind = _Bar if getattr(stream, "isatty", lambda: False)() else _Lines
    return kind(math.inf if isinstance(until, str) else float(until), title, stream)


def counter(title: str, stream=None) -> "_Counter":
    """Return a callable that takes how many of how many are done, with a method ``close()``."""
    return _Counter(title, sys.stderr if stream is None else stream)


class _Counter:
    """A bar on a terminal, a line per twentieth elsewhere; the number of all may grow."""

    def __init__(self, title, stream):
        self.title, self.stream, self.next, self.bar = title, stream, 0, None
        if getattr(stream, "isatty", lambda: False)():
            from tqdm import tqdm

            self.bar = tqdm(desc=title, file=stream, dynamic_ncols=True, unit="run")

    def __call__(self, done, total, note=""):
        if self.bar is not None:
            self.bar.total = total
            self.bar.set_postfix_str(note, refresh=False)
            self.bar.update(done - self.bar.n)
        elif done >= self.next or done == total:
            self.next = done + max(1, total // 20)
            note = f", {note}" if note else ""
            print(f"{self.title}: {done} of {total} runs{note}", file=self.stream, flush=True)

    def close(self):
        if self.bar is not None:
            self.bar.close()


class _Reporter:
    """Counts steps and time since the first row, which is the start and takes no step."""

    def __init__(self, until, title, stream):
        self.until = until
        self.title = title
        self.stream = stream
        self.steps = -1
        self.began = None

    def __call__(self, row):
        self.began = time.perf_counter() if self.began is None else self.began
        self.steps += 1
        self.show(row)
        if row["t"] >= self.until:
            self.close()

    def close(self):
        """End the output; safe to call twice."""

    def describe(self, row):
        """Return objective, step and speed in words."""
        rate = self.steps / max(time.perf_counter() - self.began, 1e-9)
        return f"F={row['objective']:.6g}, dt={row['dt']:.2g}, {rate:.3g} steps/s"


class _Bar(_Reporter):
    def __init__(self, until, title, stream):
        from tqdm import tqdm

        super().__init__(until, title, stream)
        form = "t={n:.4g}, until it stops [{elapsed}{postfix}]"
        if until < math.inf:
            form = (
                "{percentage:3.0f}%|{bar}| t={n:.4g}/{total:.4g} [{elapsed}<{remaining}{postfix}]"
            )
        self.bar = tqdm(
            total=until if until < math.inf else None,
            bar_format="{desc}" + form,
            desc=title and title + " ",
            file=stream,
            dynamic_ncols=True,
        )

    def show(self, row):
        self.bar.set_postfix_str(self.describe(row), refresh=False)
        # the last row may exceed the total by rounding, which tqdm would warn of
        self.bar.update(min(row["t"], self.until) - self.bar.n)

    def close(self):
        self.bar.close()


class _Lines(_Reporter):
    next_fraction = 0.0

    def show(self, row):
        fraction, ahead = row["t"] / self.until, "until it stops"
        if self.until < math.inf:
            due = fraction >= self.next_fraction or row["t"] >= self.until
            spent = time.perf_counter() - self.began
            left = spent * (1 - fraction) / fraction if fraction > 0 else 0.0
            ahead = f"of {self.until:.4g}"
            eta = f", {left:.0f} s left" if 0 < fraction < 1 else ""
        else:
            # 0, 1, 2, 4, 8, …
            due, eta = self.steps & (self.steps - 1) == 0, ""
        if not due:
            return
        self.next_fraction = 0.05 * (int(fraction / 0.05 * (1 + 1e-12)) + 1)
        head = f"{self.title}: " if self.title else ""
        line = f"{head}t={row['t']:.4g} {ahead}, {self.describe(row)}{eta}"
        print(line, file=self.stream, flush=True)


def tell_compiling(title: str = "", stream=None) -> None:
    """Say why nothing is heard for a while."""
    head = f"{title}: " if title else ""
    print(
        f"{head}compiling kernels, once after an installation",
        file=sys.stderr if stream is None else stream,
        flush=True,
    )


class Profile:
    """Where the time of a run goes: the driver says what it is doing, ``with profile("step"):``.

    Attributes
    ----------
    spent : dict of float
        Seconds by activity: ``"compile"``, ``"prepare"``, ``"step"`` and ``"store"``; what was
        compiled in the others is not theirs.
    count : int
        Number of steps.
    watch : object or None
        Its attribute `seconds` says how long was compiled so far.
    """

    def __init__(self):
        self._began = time.perf_counter()
        self.spent = dict.fromkeys(("compile", "prepare", "step", "store"), 0.0)
        self.count, self.watch = 0, None

    @contextlib.contextmanager
    def __call__(self, activity: str) -> Iterator[None]:
        """Count the time of what is done within as that of the activity."""
        began, compiled = time.perf_counter(), self._compiled()
        try:
            yield
        finally:
            compiled = self._compiled() - compiled
            self.count += activity == "step"
            self.spent["compile"] += compiled
            self.spent[activity] += time.perf_counter() - began - compiled

    def _compiled(self):
        return 0.0 if self.watch is None else self.watch.seconds

    def seconds(self, before: dict | None = None) -> dict[str, float]:
        """Return the seconds of every activity, of all and the number of steps, as JSON holds it.

        Those of `before`, which an interrupted run had found, are added.
        """
        total = time.perf_counter() - self._began
        found = {"total": total, **self.spent, "steps": float(self.count)}
        return {name: value + (before or {}).get(name, 0.0) for name, value in found.items()}

    def __str__(self):
        return "\n".join(f"  {line}" for line in lines_of(self.seconds()))


def lines_of(seconds: dict[str, float]) -> list[str]:
    """Return what `Profile.seconds` tells as lines of text."""
    total, steps = seconds["total"], int(seconds["steps"])
    named = {
        "compile": seconds["compile"],
        "prepare": seconds["prepare"],
        f"{steps} steps": seconds["step"],
        "store, show": seconds["store"],
    }
    named["rest"] = max(total - sum(named.values()), 0.0)
    each = f", {1e3 * seconds['step'] / steps:.3g} ms each" if steps else ""
    return [
        f"{name:<12} {value:8.3f} s {value / max(total, 1e-9):6.1%}"
        + (each if name.endswith("steps") else "")
        for name, value in named.items()
    ]
