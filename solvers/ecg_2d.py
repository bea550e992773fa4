"""Sparse deconvolution of an electrocardiogram: where are the heartbeats?

The measure mu lives on theta = (w, x), an amplitude and a position in samples, and flows along

    dt mu = div(mu grad F'(mu)),
    F(mu) = 1/(2 |psi|^2) sum_k (∫ w psi(k - x) dmu - y_k)^2 + penalty ∫ |w| dmu,

with the Gaussian filter psi(x) = exp(-x^2 / 2 width^2), about as wide as an R peak, and
|psi|^2 = width sqrt(pi), its sum of squares. The signal y is the record less its baseline, a
running median over half a beat, divided by its largest value. A penalty of 0.2 leaves out
everything that correlates with the filter less than a spike of a fifth of the largest peak: the
P and T waves stay unexplained and the R peaks remain, each 0.2 lower than it is.

The start is spread evenly over all positions with amplitudes next to 0 of both signs. Time is in
units in which a lone amplitude relaxes at the rate of the mass that carries it, here about 1/50.
"""

import pathlib

import numpy as np
import wgf.cli
from scipy.ndimage import median_filter

import wgf

RECORD = pathlib.Path(__file__).resolve().parent.parent / "data" / "ecg.csv"


def signal(path, window=201):
    """Return ``(samples, y, unit)``: the record less its running median, over its maximum."""
    samples, record = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    pulse = record - median_filter(record, window, mode="nearest")
    return samples, pulse / pulse.max(), pulse.max()


def beats(measure, apart=12, least=0.1):
    """Return the spikes of ``∫ w dmu(w, x)`` as rows of position and amplitude.

    Amplitude is collected in bins of one sample; bins that hold less than a share `least` of the
    fullest one are noise, and a gap of `apart` samples separates two spikes.
    """
    x = measure.points[:, 1]
    amplitude = measure.weights * measure.points[:, 0]
    bins = np.floor(x).astype(int)
    bins -= bins.min()
    height = np.bincount(bins, amplitude)
    kept = np.flatnonzero(np.abs(height) > least * np.abs(height).max())
    groups = np.split(kept, np.flatnonzero(np.diff(kept) > apart) + 1)
    rows = []
    for group in groups:
        mine = (bins > group[0] - apart / 2) & (bins < group[-1] + apart / 2)
        total = amplitude[mine].sum()
        rows.append((amplitude[mine] @ x[mine] / total, total))
    return np.array(rows)


def setup(
    *,
    cells=512,
    until=300.0,
    every=15.0,
    penalty=0.2,
    width=4.0,
    data=None,
):
    """Return what to run.

    Parameters
    ----------
    cells : int
        Cells along x; along w there are a quarter as many.
    until : float
        End time.
    every : float
        Time between snapshots.
    penalty : float
        Strength of the l1 penalty on w.
    width : float
        Standard deviation of the filter in samples.
    data : str
        Record with the columns sample and value, by default the one in data/.
    """
    samples, y, unit = signal(data or RECORD)
    filters = wgf.Filter.gaussian(samples, width)
    loss = wgf.Squared(y, weights=1 / (width * np.sqrt(np.pi)))
    flow = wgf.GradientFlow(wgf.Risk(filters, loss) + wgf.L1(penalty, axes="w"))

    # amplitude over mass: the mass that finds a beat is about 1/70 of the whole
    top, count = 80.0, max(cells // 4, 1)
    below = count // 8
    step = top / (count - below - 0.5)
    mesh = wgf.Mesh(
        # a cell centre at w = 0, where the penalty gathers what explains nothing
        w=wgf.Axis(-(below + 0.5) * step, top, count),
        x=wgf.Axis(-1, len(samples) - 1, cells),
    )
    start = wgf.Density.uniform(mesh, w=(-1.5 * step, 1.5 * step))

    def report(solutions):
        found = {name: beats(solution.final) for name, solution in solutions.items()}
        lines = [" ".join(["beat", *(f"{n + ':':>11} sample  amplitude" for n in found)])]
        for i in range(max(len(rows) for rows in found.values())):
            cells_of = [
                f"{rows[i, 0]:18.2f} {unit * rows[i, 1]:10.1f}" if i < len(rows) else " " * 29
                for rows in found.values()
            ]
            lines.append(" ".join([f"{i + 1:4d}", *cells_of]))
        last = {n: s.diagnostics["objective"][-1] for n, s in solutions.items()}
        lines.append("")
        lines.append(", ".join(f"objective ({n}) {value:.6f}" for n, value in last.items()))
        if len(last) == 2:
            gap = abs(last["mesh"] / last["particles"] - 1)
            lines[-1] += f", difference {100 * gap:.2f} %"
        return "\n".join(lines)

    return {"flow": flow, "start": start, "until": until, "every": every, "report": report}


if __name__ == "__main__":
    wgf.cli.main(setup)
