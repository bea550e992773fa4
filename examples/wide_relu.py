"""Wide ReLU networks converge linearly, because no neuron moves far: three panels.

    python examples/wide_relu.py figures/wide
    python examples/wide_relu.py figures/wide --quick

The experiment of Du, Zhai, Poczos & Singh 2018, section 5: n = 1000 inputs uniform on the unit
sphere of R^1000, normal labels, u = m^{-1/2} sum_r a_r relu(w_r . x) with w_r normal and
a_r = ±1 frozen, 100 epochs of gradient descent with all samples on 1/2 |u - y|^2. The step is 1:
the Gram matrix has eigenvalues up to about 1.25.

In the library's words a neuron is a particle of weight 1/m, the output scale is sqrt(m), and one
epoch is a step of `GradientDescent`. Every finished run becomes a line of results.jsonl in the
given folder; the same command continues where an earlier one was stopped, and more --repeats or
--widths add to what is there.
"""

import argparse
import json
import pathlib
import time

import numpy as np

import wgf
from wgf.plot import COLOURS, drawing
from wgf.theory import tangent

STEP = 1.0


def data(n, d, repeat):
    """Return features and labels of one repeat, the same for all widths."""
    generator = np.random.default_rng([repeat, 0])
    x = generator.normal(size=(n, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return wgf.Neurons(x, "relu"), generator.normal(size=n)


def network(d, width, repeat):
    """Return normal inner weights and random signs."""
    generator = np.random.default_rng([repeat, width])
    points = generator.normal(size=(width, d + 1))
    points[:, 0] = generator.choice([-1.0, 1.0], size=width)
    return wgf.Particles(points)


def train(features, y, limit, width, repeat, epochs):
    """Return the record of one run."""
    start = network(features.inputs.shape[1], width, repeat)
    risk = wgf.Risk(features, wgf.Squared(y, weights=1.0), scale=width**0.5)
    gap = np.linalg.norm(tangent.gram(features, start) - limit, 2)
    begin = time.perf_counter()
    run = wgf.solve(
        wgf.GradientFlow(risk, frozen=("a",)),
        start,
        until=STEP * epochs,
        method=wgf.GradientDescent(STEP),
    )
    columns = run.diagnostics
    return {
        "width": width,
        "repeat": repeat,
        "rate": tangent.least_eigenvalue(limit),
        "gram_gap": float(gap),
        "loss": (width * columns["objective"]).tolist(),
        "flipped": columns["flipped"].tolist(),
        "moved": columns["moved"].tolist(),
        "seconds": time.perf_counter() - begin,
    }


def read(path, settings):
    """Return the records at `path`; a line cut short by an interrupt is dropped."""
    if not path.exists():
        path.write_text(json.dumps(settings) + "\n")
        return []
    whole, _, _ = path.read_text().rpartition("\n")
    first, *lines = whole.splitlines()
    if json.loads(first) != settings:
        raise SystemExit(f"{path} holds runs of {first}, choose another folder")
    path.write_text(whole + "\n")
    return [json.loads(line) for line in lines]


def means(records, quantity):
    """Return widths and the mean over repeats of a quantity of the last epoch or of the run."""
    widths = sorted({record["width"] for record in records})
    last = {w: [np.ravel(r[quantity])[-1] for r in records if r["width"] == w] for w in widths}
    return np.array(widths), np.array([np.mean(last[w]) for w in widths])


def table(records):
    """Return what was found in words."""
    lines = ["width   repeats   loss/first   bound   flipped   moved   |H(0)-H|   seconds"]
    for width in sorted({record["width"] for record in records}):
        runs = [record for record in records if record["width"] == width]
        share = np.array([np.array(r["loss"]) / r["loss"][0] for r in runs])
        epochs = STEP * np.arange(share.shape[1])
        bounds = np.array([tangent.decay_bound(r["rate"], epochs) for r in runs])
        kept = "holds" if np.all(share <= bounds) else "fails"
        mean = {k: np.mean([np.ravel(r[k])[-1] for r in runs]) for k in runs[0]}
        lines.append(
            f"{width:6d} {len(runs):8d} {share[:, -1].mean():12.2e}   {kept} "
            f"{mean['flipped']:9.5f} {mean['moved']:7.4f} {mean['gram_gap']:10.4f} "
            f"{mean['seconds']:9.1f}"
        )
    lines.append(f"lambda_0 = {np.mean([r['rate'] for r in records]):.4f}")
    for quantity in ("flipped", "moved", "gram_gap"):
        widths, values = means(records, quantity)
        if len(widths) > 1:
            slope = np.polyfit(np.log(widths), np.log(values), 1)[0]
            lines.append(f"{quantity}: slope {slope:.3f} in the width")
    return "\n".join(lines)


def draw(records, path):
    """Draw loss, flips and distance against the epoch, mean and range over the repeats."""
    import matplotlib

    with drawing((11, 3.4), path) as figure:
        panels = figure.subplots(1, 3)
        widths = sorted({record["width"] for record in records})
        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(widths)))
        titles = ("training loss / start", "flipped signs", "largest distance from the start")
        for axes, quantity, title in zip(panels, ("loss", "flipped", "moved"), titles):
            for width, shade in zip(widths, shades):
                runs = np.array([r[quantity] for r in records if r["width"] == width])
                if quantity == "loss":
                    runs = runs / runs[:, :1]
                epochs = np.arange(runs.shape[1])
                axes.plot(epochs, runs.mean(axis=0), color=shade, label=f"m = {width}")
                axes.fill_between(
                    epochs, runs.min(axis=0), runs.max(axis=0), color=shade, alpha=0.25, lw=0
                )
            axes.set_xlabel("epoch")
            axes.set_title(title)
        rate = np.mean([record["rate"] for record in records])
        bound = tangent.decay_bound(rate, STEP * epochs)
        panels[0].plot(epochs, bound, "--", color=COLOURS[1], label="exp(-λ₀ t)")
        panels[0].set_yscale("log")
        panels[0].legend()


def main():
    """Train what is missing, print the table, draw the panels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="n = d = 150, narrow networks")
    parser.add_argument("--widths", type=int, nargs="+")
    parser.add_argument("--repeats", type=int, default=3)
    choice = parser.parse_args()
    n, epochs = (150, 40) if choice.quick else (1000, 100)
    usual = (150, 500, 1500) if choice.quick else (1000, 2000, 5000, 10000, 20000)
    choice.folder.mkdir(parents=True, exist_ok=True)
    path = choice.folder / "results.jsonl"
    records = read(path, {"samples": n, "inputs": n, "epochs": epochs, "step": STEP})
    done = {(record["width"], record["repeat"]) for record in records}
    for repeat in range(choice.repeats):
        missing = [w for w in choice.widths or usual if (w, repeat) not in done]
        if not missing:
            continue
        features, y = data(n, n, repeat)
        limit = tangent.limit_gram(features)
        for width in missing:
            records.append(train(features, y, limit, width, repeat, epochs))
            with path.open("a") as file:
                file.write(json.dumps(records[-1]) + "\n")
    print(table(records))
    figure = choice.folder / "wide_relu.png"
    draw(records, figure)
    print(figure)


if __name__ == "__main__":
    main()
