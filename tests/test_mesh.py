"""Meshes: cells, points, walls and periods."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import meshes

import wgf


@settings(max_examples=80)
@given(meshes())
def test_points_lie_in_their_cells(mesh):
    points = mesh.points()
    assert points.shape == (mesh.cells, mesh.dimension)
    assert np.array_equal(mesh.locate(points), np.arange(mesh.cells))
    assert np.array_equal(mesh.points(2, 5), points[2:5])
    assert mesh.cell_volume == np.prod([axis.spacing for axis in mesh.axes])


@settings(max_examples=80)
@given(meshes(), st.integers(0, 10**6))
def test_confine_is_idempotent_and_inside(mesh, seed):
    points = np.random.default_rng(seed).normal(size=(40, mesh.dimension)) * 5
    inside = mesh.confine(points)
    assert np.array_equal(mesh.confine(inside), inside)
    assert (mesh.locate(inside) >= 0).all()
    for i, axis in enumerate(mesh.axes):
        if axis.periodic:
            assert (inside[:, i] >= axis.lower).all() and (inside[:, i] < axis.upper).all()
            turns = (points[:, i] - inside[:, i]) / axis.length
            assert np.allclose(turns, np.round(turns), atol=1e-12)
        else:
            assert np.array_equal(inside[:, i], np.clip(points[:, i], axis.lower, axis.upper))


def test_the_seam_belongs_to_the_lower_end():
    """A tiny negative number plus the period rounds to the upper end, which is the lower one."""
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 8, periodic=True))
    inside = mesh.confine([[-1e-20], [1.0], [0.0]])
    assert np.array_equal(inside, [[0.0], [0.0], [0.0]])
    assert np.array_equal(mesh.locate(inside), [0, 0, 0])


def test_beyond_a_wall_is_nowhere():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 4))
    assert np.array_equal(mesh.locate([[-0.1], [0.0], [1.0], [1.1]]), [-1, 0, 3, -1])


@settings(max_examples=40)
@given(meshes())
def test_a_description_rebuilds_the_mesh(mesh):
    again = wgf.Mesh.from_description(mesh.describe())
    assert again == mesh and hash(again) == hash(mesh)
    assert mesh.refined().shape == tuple(2 * n for n in mesh.shape)
    assert mesh.sub(mesh.names[::-1]).shape == mesh.shape[::-1]
