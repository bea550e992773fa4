"""A stored run goes on with the problem that began it, and with no other."""

import json
import pathlib
import shutil

import numpy as np
import pytest

import wgf
from wgf.record import identity, layout, recorder, store

MESH = wgf.Mesh(x=wgf.Axis(-2, 2, 16), y=wgf.Axis(-2, 2, 12))


def rising(points):
    return points[:, 0]


def falling(points):
    return -points[:, 0]


falling.__name__ = "rising"


def steep(points):
    return points[:, 0] ** 2


def wide(points):
    """As `steep` where a start near the origin is."""
    return np.where(np.abs(points[:, 0]) < 1.5, points[:, 0] ** 2, 3 * points[:, 0] ** 2)


wide.__name__ = "steep"


def gaussian(displacements):
    return np.exp(-(displacements**2).sum(axis=1))


def lorentzian(displacements):
    return 1 / (1 + (displacements**2).sum(axis=1))


lorentzian.__name__ = "gaussian"


def waves(points):
    return np.cos(points @ np.array([[1.0, 2.0, 3.0], [0.5, 0.1, 0.2]]))


def shifted(points):
    return np.cos(points @ np.array([[1.0, 2.0, 3.0], [0.5, 0.1, 0.3]]))


shifted.__name__ = "waves"


def start(kind, mean=(0.0, 0.0)):
    if kind == "density":
        return wgf.Density.normal(MESH, mean, 0.4)
    cloud = wgf.Density.normal(MESH, 0.0, 0.4).sample(30, seed=1)
    return wgf.Particles(cloud.points + mean, cloud.weights, domain=MESH)


def solve(F, begin, path, until=0.2, method=None, **options):
    flow = wgf.GradientFlow(F, **options)
    resume = pathlib.Path(path).exists()
    every = 0.1
    return wgf.solve(flow, begin, until, every=every, method=method, save=path, resume=resume)


def tree(path):
    files = (file for file in sorted(path.rglob("*")) if file.is_file() and file.name != "lock")
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def check(path, begun, other, begin, elsewhere, match, **options):
    """Begin a run; refuse another problem, leaving all files alone; go on with the right one."""
    solve(begun, begin, path, **options)
    before = tree(path)
    with pytest.raises(wgf.InputError, match=match) as caught:
        solve(other, elsewhere, path, until=0.3, **options)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("resume: ")
    assert identity.REMEDY in str(caught.value)
    assert tree(path) == before
    more = solve(begun, begin, path, until=0.3, **options)
    whole = solve(begun, begin, path.parent / "whole", until=0.3, **options)
    assert np.array_equal(more.times, whole.times)
    assert np.array_equal(more.final.points, whole.final.points)
    assert np.array_equal(more.final.weights, whole.final.weights)


def risk(features=waves, data=(0.1, 0.2, 0.3)):
    return wgf.Risk(wgf.Features(features), wgf.Squared(list(data)))


OTHERS = {
    "potential": (
        wgf.Potential(rising) + wgf.Ridge(0.1),
        wgf.Potential(falling) + wgf.Ridge(0.1),
        "the term potential has another first variation",
    ),
    "interaction": (
        wgf.Interaction(gaussian) + wgf.Ridge(0.1),
        wgf.Interaction(lorentzian) + wgf.Ridge(0.1),
        "the term interaction has another first variation",
    ),
    "features": (risk(), risk(shifted), "the term risk has another first variation"),
    "data": (risk(), risk(data=(0.1, 0.2, 0.4)), "the flow of the stored run was .*Squared"),
    "order": (
        wgf.Potential(rising) + wgf.Potential(steep),
        wgf.Potential(steep) + wgf.Potential(rising),
        "of the stored run was|the term potential has another",
    ),
    "order of terms of one name": (
        wgf.Potential(rising) + wgf.Potential(falling) + wgf.Ridge(0.1),
        wgf.Potential(falling) + wgf.Potential(rising) + wgf.Ridge(0.1),
        "the term potential has another first variation",
    ),
    "strength": (
        wgf.Ridge(0.1) + wgf.Potential(rising),
        wgf.Ridge(0.1 + 1e-7) + wgf.Potential(rising),
        "the flow of the stored run was",
    ),
}


@pytest.mark.parametrize("kind", ["density", "particles"])
@pytest.mark.parametrize("what", OTHERS)
def test_another_functional_is_refused(tmp_path, kind, what):
    begun, other, match = OTHERS[what]
    check(tmp_path / "run", begun, other, start(kind), start(kind), match)


def test_opposite_potentials_from_a_symmetric_start(tmp_path):
    """Values, dissipation and columns of both are equal at the start: only V itself differs."""
    begin = wgf.Density.uniform(wgf.Mesh(x=wgf.Axis(-1, 1, 40)), x=(-0.5, 0.5))
    right = wgf.Potential(rising)
    check(
        *(tmp_path / "run", right, wgf.Potential(falling), begin, begin),
        match="the term potential has another first variation than it had near the start",
    )


def test_a_potential_that_differs_where_particles_arrive(tmp_path):
    begin = wgf.Particles(np.array([[0.5, 0.0], [1.2, 0.0]]))
    hill = wgf.Potential(lambda p: -wide(p))
    valley = wgf.Potential(lambda p: -steep(p))
    # both are called <lambda> and agree where the particles began
    check(
        *(tmp_path / "run", hill, valley, begin, begin),
        match="the term potential has another first variation than it had near t=0.2",
    )


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_another_start_of_equal_mass_is_refused(tmp_path, kind):
    # far less than what the text of a start shows
    other = start(kind, (1e-5, 0.0))
    assert repr(other) == repr(start(kind))
    check(tmp_path / "run", wgf.Ridge(0.1), wgf.Ridge(0.1), start(kind), other, "the start has")


def test_another_domain_is_refused(tmp_path):
    points = np.array([[0.5, 0.0], [1.2, 0.0]])
    ends = (wgf.Axis(-2, 2, 16), wgf.Axis(-2, 2.00001, 16))
    begin, other = (wgf.Particles(points, domain=wgf.Mesh(x=axis, y=axis)) for axis in ends)
    check(tmp_path / "run", wgf.Ridge(0.1), wgf.Ridge(0.1), begin, other, "another domain")


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_a_run_that_was_complete_is_done_again(tmp_path, kind):
    """Also one that was killed between its last snapshot and the closing line."""
    path, begin = tmp_path / "run", start(kind)
    solve(wgf.Ridge(0.1), begin, path)
    for killed in (False, True):
        manifest = path / "manifest.jsonl"
        if killed:
            manifest.write_text("".join(manifest.read_text().splitlines(True)[:-1]))
        again = solve(wgf.Ridge(0.1), begin, path)
        assert again.status == wgf.open_run(path).status == "done"
        assert np.array_equal(again.times, [0, 0.1, 0.2])


def test_options_are_compared_to_the_last_digit(tmp_path):
    """A text of a method that rounds its options does not tell two of them apart."""
    one, two = wgf.FiniteVolume(courant=0.5), wgf.FiniteVolume(courant=0.5 + 1e-12)
    assert repr(one) == repr(two)
    F, begin = wgf.Ridge(0.1), start("density")
    solve(F, begin, tmp_path / "run", method=one)
    with pytest.raises(wgf.InputError, match="option courant of the method was 0.5, now it is 0.5"):
        solve(F, begin, tmp_path / "run", method=two)
    assert solve(F, begin, tmp_path / "run", until=0.3, method=one).status == "done"


def without_identity(path):
    """Make a run what an older version stored: snapshots that know nothing of their problem."""
    run = wgf.open_run(path)
    older = path.parent / "older"
    data = run.problem, run.target, run.abscissa
    with store.Writer(older, *data) as writer:
        begin = 0
        for k, entry in enumerate(run.entries):
            restart = layout.read_restart(run.contents[k])
            restart.pop(recorder.IDENTITY)
            end = begin + entry["rows"]
            rows = {name: column[begin:end] for name, column in run.diagnostics.items()}
            output = None if run.outputs is None else run.outputs[k]
            writer.write(entry["step"], entry["t"], run.snapshots[k], output, rows, restart)
            begin = end
    shutil.rmtree(path)
    older.rename(path)


@pytest.mark.parametrize("kind", ["density", "particles"])
def test_a_run_of_an_older_version_is_compared_as_far_as_it_goes(tmp_path, kind):
    path, begin = tmp_path / "run", start(kind, (0.1, 0.0))
    F = risk() + wgf.Potential(rising)
    solve(F, begin, path)
    without_identity(path)
    for other, elsewhere, match in (
        (F, start(kind, (0.1 + 1e-5, 0.0)), "the start has other values"),
        (risk() + wgf.Potential(falling), begin, "the term potential was .* at t=0.2"),
        (risk(shifted) + wgf.Potential(rising), begin, "the term risk was .* at t=0.2"),
    ):
        with pytest.raises(wgf.InputError, match=match):
            solve(other, elsewhere, path, until=0.3)
    more = solve(F, begin, path, until=0.3)
    assert np.array_equal(more.times, [0, 0.1, 0.2, 0.3])


def test_a_term_that_cannot_be_asked_elsewhere_is_told_by_its_values(tmp_path):
    """A function that knows the cells of the mesh alone: the run is stored and goes on."""
    mesh = wgf.Mesh(x=wgf.Axis(-1, 1, 1 << 13))
    table = mesh.centers("x") ** 2

    def looked_up(points):
        assert len(points) == len(table)
        return table

    begin = wgf.Density.normal(mesh, 0.0, 0.3)
    F = wgf.Potential(looked_up)
    [found] = identity.variations(wgf.GradientFlow(F), begin)
    assert found is None
    assert identity.alike(None, [1.0, 2.0]) and not identity.alike([1.0, 2.0], None)


def test_what_is_compared_does_not_vanish_at_rest():
    """Near an exact fit the residual is round-off; the measure compared is another one."""
    begin = start("particles")
    target = waves(begin.points).T @ begin.weights
    flow = wgf.GradientFlow(risk(data=target))
    assert flow.functional.value(begin) < 1e-30
    [found] = identity.variations(flow, begin)
    assert found[-1] > 1e-3 * begin.size
    apart = wgf.GradientFlow(risk(data=target * (1 + 1e-14)))
    assert identity.alike(found, identity.variations(apart, begin)[0])
    apart = wgf.GradientFlow(risk(data=target * (1 + 1e-6)))
    assert not identity.alike(found, identity.variations(apart, begin)[0])


def test_empty_cells_of_an_entropy_count_as_nothing():
    density = wgf.Density.uniform(MESH, x=(-1, 1), y=(-1, 1))
    flow = wgf.GradientFlow(wgf.Entropy(0.1) + wgf.Ridge(1.0))
    entropy, ridge = identity.variations(flow, density)
    assert np.isfinite(entropy).all() and entropy[-1] > 0 and np.isfinite(ridge).all()


def test_a_sketch_tells_one_changed_number_among_many():
    values = np.random.default_rng(0).normal(size=1 << 20)
    other = values.copy()
    other[12345] += 1.0
    assert identity.alike(identity.sketch([values]), identity.sketch([values * (1 + 1e-14)]))
    assert not identity.alike(identity.sketch([values]), identity.sketch([other]))
    swapped = np.concatenate([values[1:2], values[:1], values[2:]])
    assert not identity.alike(identity.sketch([values]), identity.sketch([swapped]))
    halves = identity.sketch([values[:1000], values[1000:]])
    assert identity.alike(halves, identity.sketch([values]))


def test_a_large_mesh_is_compared_on_fewer_cells():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 300, True), y=wgf.Axis(-1, 1, 70), z=wgf.Axis(0, 1, 2))
    density = wgf.Density.normal(mesh, (0.5, 0.0, 0.5), 0.3)
    counts = []

    def counted(points):
        counts.append(len(points))
        assert points[:, 0].max() < 1 and np.abs(points[:, 1]).max() < 1
        return points[:, 0]

    [found] = identity.variations(wgf.GradientFlow(wgf.Potential(counted)), density)
    assert found is not None and identity.PROBES / 8 < max(counts) <= identity.PROBES


def test_an_identity_is_a_kilobyte_of_text(tmp_path):
    F = risk() + wgf.Potential(rising) + wgf.Ridge(0.1)
    solve(F, start("density"), tmp_path / "run")
    text = wgf.open_run(tmp_path / "run").restart()[recorder.IDENTITY]
    assert len(text) < 2048 and set(json.loads(text)) >= {"start", "terms", "here", "options"}
