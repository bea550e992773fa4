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
# # A problem of your own
#
# Any function of `k` points that returns an array of shape `(k, n)` is a feature. Here one bump
# a parameter; with `amplitude=True` the first axis multiplies it.

# %%
import numpy as np

import wgf

x = np.linspace(-1, 1, 40)


def bump(position):
    return np.exp(-0.5 * ((x - position) / 0.2) ** 2)


features = wgf.Features(bump, amplitude=True)
y = bump(np.array([[0.4]]))[0] - 0.5 * bump(np.array([[-0.3]]))[0]

# %% [markdown]
# A loss is a value and a gradient; this one cares less for outliers than a square does.


# %%
class Huber(wgf.Loss):
    """The mean of the square near 0 and of the absolute value beyond `width`."""

    def __init__(self, y, width):
        self.target, self.width = np.asarray(y), width

    def value(self, s):
        away = np.abs(s - self.target)
        inside = np.minimum(away, self.width)
        return float(np.mean(inside * (away - 0.5 * inside)))

    def gradient(self, s):
        return np.clip(s - self.target, -self.width, self.width) / len(self.target)


F = wgf.Risk(features, Huber(y, 0.5)) + wgf.L1(2e-3, axes="w")

# %%
mesh = wgf.Mesh(w=wgf.Axis(-6, 6, 65), position=wgf.Axis(-1, 1, 48))
start = wgf.Density.uniform(mesh, w=(-0.3, 0.3))
flow = wgf.GradientFlow(F)
cloud = wgf.solve(flow, start.quadrature(), until=60.0, every=20.0)
cloud

# %%
cloud.plot("amplitudes", truth=([0.4, -0.3], [1.0, -0.5]))

# %% [markdown]
# A panel of your own is a function of axes and of what is drawn.

# %%
from wgf import plot


def residual(ax, view):
    ax.plot(x, view.run.outputs[-1] - y, label="output − data")
    ax.set(xlabel="x", ylabel="residual at the end")
    return ax.legend()


cloud.plot(panels=[plot.Panel("residual", residual)])

# %%
assert np.abs(cloud.outputs[-1] - y).max() < 0.1

# %% [markdown]
# `iterate` gives every step to a loop of your own.

# %%
for time, _measure, row in wgf.iterate(flow, start.quadrature()):
    if row["risk"] < 0.01:
        print(f"the risk is below 0.01 from t = {time:.3g} on")
        break
