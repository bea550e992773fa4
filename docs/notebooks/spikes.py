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
# # Spikes
#
# Spikes on the circle are seen through a low-pass filter: y are the Fourier coefficients up to
# order 5 of a few masses. A measure of amplitudes w and positions x, pulled to few spikes by the
# penalty |w|, finds them again.

# %%
import numpy as np

import wgf

positions, amplitudes = np.array([0.2, 0.55, 0.8]), np.array([0.5, -0.4, 0.6])
filters = wgf.Filter.dirichlet(5)
y = amplitudes @ filters.unit(positions[:, None])
F = wgf.Risk(filters, wgf.Squared(y, weights=20.0)) + wgf.L1(1.0, axes="w")

# %% [markdown]
# An odd number of cells along w has a centre at 0, where the penalty gathers what is not needed,
# and the walls are far away: a spike is made of few particles of large amplitude.
# The metric is stretched along x, which changes the speed of the flow and not its limit.

# %%
mesh = wgf.Mesh(w=wgf.Axis(-20, 20, 161), x=wgf.Axis(0, 1, 48, periodic=True))
start = wgf.Density.uniform(mesh, w=(-0.4, 0.4))
flow = wgf.GradientFlow(F, mobility={"x": 0.01})
run = wgf.solve(flow, start.quadrature(), until=20.0, at=np.geomspace(0.1, 20, 8))
run

# %% [markdown]
# The amplitude that is found at every position, beside the truth: the penalty makes it smaller.

# %%
run.plot("amplitudes", truth=(positions, amplitudes))

# %% [markdown]
# The certificate bounds how far this is from the least value over all measures.

# %%
found = wgf.certificate(run)
print(found)
assert found.relative < 1e-6

# %%
for position, amplitude in zip(positions, amplitudes):
    distance = np.abs((run.final.points[:, 1] - position + 0.5) % 1 - 0.5)
    near = distance < 0.05
    total = run.final.weights[near] @ run.final.points[near, 0]
    print(f"{position:.2f}: {total:+.3f} of {amplitude:+.3f}")
    assert abs(total - amplitude) < 0.15
