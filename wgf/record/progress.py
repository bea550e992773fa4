"""Progress of a run: a bar on a terminal, a line for every twentieth of the time elsewhere."""

import sys
import time


def reporter(until, title="", stream=None):
    """Return a callable to be given each row of diagnostics, with a method ``close()``.

    Parameters
    ----------
    until : float
        End time of the run.
    title : str
        What runs, written first.
    stream : file, optional
        Where to write, by default standard error. A terminal gets a bar, anything else lines.
    """
    stream = sys.stderr if stream is None else stream
    kind = _Bar if getattr(stream, "isatty", lambda: False)() else _Lines
    return kind(float(until), title, stream)


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

    @property
    def rate(self):
        """Steps per second so far."""
        return self.steps / max(time.perf_counter() - self.began, 1e-9)

    def describe(self, row):
        """Return objective, step and speed in words."""
        return f"F={row['objective']:.6g}, dt={row['dt']:.2g}, {self.rate:.3g} steps/s"


class _Bar(_Reporter):
    def __init__(self, until, title, stream):
        from tqdm import tqdm

        super().__init__(until, title, stream)
        form = (
            "{desc}{percentage:3.0f}%|{bar}| t={n:.4g}/{total:.4g} [{elapsed}<{remaining}{postfix}]"
        )
        self.bar = tqdm(
            total=until,
            bar_format=form,
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
    next_share = 0.0

    def show(self, row):
        share = row["t"] / self.until
        if share < self.next_share and row["t"] < self.until:
            return
        self.next_share = 0.05 * (int(share / 0.05 * (1 + 1e-12)) + 1)
        spent = time.perf_counter() - self.began
        left = spent * (1 - share) / share if share > 0 else 0.0
        eta = f", {left:.0f} s left" if 0 < share < 1 else ""
        head = f"{self.title}: " if self.title else ""
        line = f"{head}t={row['t']:.4g} of {self.until:.4g}, {self.describe(row)}{eta}"
        print(line, file=self.stream, flush=True)


class Profile:
    """A method that notes where the time of a run goes; it solves like the method it holds.

    Attributes
    ----------
    prepared, first, steps : float
        Seconds spent preparing, in the first step (which compiles), and in all others.
    count : int
        Number of steps.
    """

    def __init__(self, method):
        self.method = method
        self.began = time.perf_counter()
        self.prepared = self.first = self.steps = 0.0
        self.count = 0

    def __repr__(self):
        return repr(self.method)

    def prepare(self, flow, start):
        """Return the stepper of the method, with its steps timed."""
        begin = time.perf_counter()
        stepper = self.method.prepare(flow, start)
        self.prepared += time.perf_counter() - begin
        advance = stepper.advance

        def timed(limit):
            begin = time.perf_counter()
            row = advance(limit)
            taken = time.perf_counter() - begin
            if self.count:
                self.steps += taken
            else:
                self.first = taken
            self.count += 1
            return row

        stepper.advance = timed
        return stepper

    def __str__(self):
        total = time.perf_counter() - self.began
        rest = max(total - self.prepared - self.first - self.steps, 0.0)
        lines = []
        for name, seconds in (
            ("prepare", self.prepared),
            ("first step", self.first),
            (f"{max(self.count - 1, 0)} steps", self.steps),
            ("store, rest", rest),
        ):
            lines.append(f"  {name:<12} {seconds:8.3f} s {seconds / max(total, 1e-9):6.1%}")
        return "\n".join(lines)
