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
# # First steps
#
# A measure μ of parameters θ flows along `∂t μ = ∇·(μ ∇F'(μ))` and lowers
# `F(μ) = R(∫ φ dμ) + ∫ V dμ`. There is a feature φ, a loss R, a penalty V, and a start.

# %%
import numpy as np

import wgf

x = np.linspace(-1, 1, 40)
F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x))) + wgf.Ridge(1e-3)
F

# %%
mesh = wgf.Mesh(a=wgf.Axis(-5, 5, 48), w=wgf.Axis(-5, 5, 48))
start = wgf.Density.normal(mesh, mean=(0.3, 0.5), std=0.5)
start

# %% [markdown]
# The same flow and the same start, once as a density on a mesh and once as particles.

# %%
flow = wgf.GradientFlow(F)
density = wgf.solve(flow, start, until=2.0, every=0.5, progress=True)
cloud = wgf.solve(flow, start.sample(1000, seed=0), until=2.0, every=0.5)
density

# %% [markdown]
# A measure draws itself, and so do a run, one of its panels and one of its columns.

# %%
density.final.plot()

# %%
density.plot("joint")

# %%
density.plot("objective")

# %% [markdown]
# The two sides see the same F: their objectives agree up to the error of the sample.

# %%
comparison = wgf.compare(density, cloud)
comparison

# %%
assert comparison.table["objective_gap"][-1] < 0.05
assert np.all(np.diff(density.diagnostics["objective"]) <= 0)

# %% [markdown]
# As labelled arrays of xarray a run has its times, axes and columns by name.

# %%
labelled = density.to_xarray()
labelled.density.sel(time=2.0).sum(("a", "w"))
