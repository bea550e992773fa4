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
# # Mean-field Langevin dynamics
#
# With an entropy the flow is that of noisy gradient descent with infinitely many particles,
# `∂t μ = ∇·(μ ∇V) + ε Δμ`. For a potential its limit is the Gibbs density `exp(-V/ε)`.

# %%
import numpy as np

import wgf

temperature = 0.5
valley = wgf.Potential(lambda points: (points[:, 0] ** 2 - 1) ** 2)
F = valley + wgf.Entropy(temperature)
line = wgf.Mesh(x=wgf.Axis(-2, 2, 80))
start = wgf.Density.normal(line, 0.5, 0.4)
flow = wgf.GradientFlow(F)

# %%
density = wgf.solve(flow, start, until="stationary", method=wgf.ImplicitFiniteVolume(0.1))
density

# %% [markdown]
# The limit is known, and it is reached up to the width of the cells.

# %%
gibbs = np.exp(-((line.centers("x") ** 2 - 1) ** 2) / temperature)
gibbs /= gibbs.sum() * line.spacing[0]
assert np.abs(density.final.values - gibbs).max() < 1e-3

# %% [markdown]
# There the first variation F' is constant on the mass: equilibrium can be seen.

# %%
density.plot("variation", functional=F)

# %% [markdown]
# Particles are pushed by noise of the same temperature. In bins of five cells their shares are
# those of the Gibbs density, up to the fluctuations of a finite number of particles.

# %%
cloud = wgf.solve(flow, start.sample(2000, seed=0), until=6.0, method=wgf.Langevin(0.02, seed=1))
bins = wgf.Mesh(x=wgf.Axis(-2, 2, 16))
shares = cloud.final.histogram(bins).weights
distance = 0.5 * np.abs(shares - density.final.weights.reshape(16, 5).sum(axis=1)).sum()
print(f"total variation from the Gibbs density: {distance:.3f}")
assert distance < 0.1

# %%
cloud.final.plot()
