"""The report of ``wgf bench`` with a figure: steps of wgf beside those of other packages.

    python tests/benchmarks/peers.py [--small] [--alone] [--table FILE] [--figure FILE] …

Ratios of medians, all calls taking turns in one process: absolute times depend on the machine and
on what else it does.
"""

import argparse
import pathlib
import sys

from wgf.bench import report


def bars(lines):
    """Return ``{(mesh, order): {who: ratio}}`` of the peers in a report."""
    found = {}
    for line in lines:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 7 and cells[5] == "wgf":
            found.setdefault((cells[0], cells[1]), {})[cells[2]] = float(cells[3])
    return found


def draw(found, path):
    """Draw the time of every peer's step over that of wgf, one panel an order."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
    for panel, order in zip(panels, "12"):
        meshes = [mesh for mesh, k in found if k == order]
        names = list(dict.fromkeys(who for key in found if key[1] == order for who in found[key]))
        for k, who in enumerate(names):
            heights = [found[mesh, order].get(who, 0.0) for mesh in meshes]
            places = [m + (k - len(names) / 2 + 0.5) * 0.8 / len(names) for m in range(len(meshes))]
            panel.bar(places, heights, 0.8 / len(names), label=who)
        panel.axhline(1, color="black", linewidth=0.8)
        panel.set(yscale="log", title=f"order {order}", xticks=range(len(meshes)))
        panel.set_xticklabels(meshes, fontsize="small")
        panel.legend(fontsize="small")
    panels[0].set_ylabel("time of a step / wgf")
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--alone", action="store_true", help="no other packages")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--table", type=pathlib.Path, help="write the lines here too")
    parser.add_argument("--figure", type=pathlib.Path)
    parser.add_argument("--read", type=pathlib.Path, help="draw this table, measure nothing")
    chosen = parser.parse_args()
    lines = []
    if chosen.read:
        lines = chosen.read.read_text().splitlines()
    else:
        for line in report(chosen.small, not chosen.alone, chosen.repeats, chosen.clock):
            print(line)
            sys.stdout.flush()
            lines.append(line)
    if chosen.table:
        chosen.table.write_text("\n".join(lines) + "\n")
    if chosen.figure:
        draw(bars(lines), chosen.figure)


if __name__ == "__main__":
    main()
