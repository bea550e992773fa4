# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Comparing runs
#
# Two runs of the same flow are compared at their common times; several, with a reference, are a
# convergence study.

# %%
import numpy as np

import wgf

F = wgf.Potential(lambda points: 0.5 * np.sum(points**2, axis=1))
flow = wgf.GradientFlow(F)


def start(cells):
    mesh = wgf.Mesh(x=wgf.Axis(-3, 3, cells))
    return wgf.Density.normal(mesh, mean=0.8, std=0.5)


runs = {cells: wgf.solve(flow, start(cells), until=0.5, every=0.25) for cells in (32, 64, 128)}
reference = wgf.solve(flow, start(512), until=0.5, every=0.25)

# %%
wgf.compare(runs[32], reference)

# %% [markdown]
# Halving the cells divides the distance by about four: the default method is of second order.

# %%
study = wgf.compare(reference, *runs.values())
study

# %%
study.plot()

# %%
(slope,) = (fit["slope"] for fit in study.fits if fit["quantity"] == "objective_gap")
assert 1.5 < slope < 2.5, slope

# %% [markdown]
# Particles have the error of their sample instead, which falls with the root of their number.

# %%
clouds = [
    wgf.solve(flow, start(512).sample(m, seed), until=0.5)
    for m in (50, 200, 800)
    for seed in range(4)
]
sampled = wgf.compare(reference, *clouds)
sampled.plot()
