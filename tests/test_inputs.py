"""What comes from outside: arrays, functions and times as people have them."""

import decimal
import threading

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

import wgf
from wgf.functional.user import Differences, UserFunction
from wgf.stepping.times import output_times

LINE = wgf.Mesh(x=wgf.Axis(-2, 2, 32))
START = wgf.Density.normal(LINE, 0.5, 0.3)

# everything that takes an array: what is given, and where it is kept
TAKE = {
    "density": lambda a: wgf.Density(wgf.Mesh(x=wgf.Axis(0, 1, 4)), a).values,
    "points": lambda a: wgf.Particles(np.ones((4, 1)) * a.reshape(-1, 1)).points,
    "weights": lambda a: wgf.Particles(np.ones((4, 1)), weights=a).weights,
    "squared": lambda a: wgf.Squared(a).y,
    "squared weights": lambda a: wgf.Squared(np.ones(4), weights=a).weights,
    "neurons": lambda a: wgf.Neurons(a, "tanh").x,
    "gaussian": lambda a: wgf.Filter.gaussian(a, 1.0).samples,
    "at": lambda a: output_times(9.0, at=a),
}
NUMBERS = np.array([1.0, 2.0, 3.0, 4.0])
NOT_NUMBERS = {
    "masked": np.ma.masked_values(NUMBERS, 2.0),
    "complex": NUMBERS + 0j,
    "text": NUMBERS.astype(str),
    "dates": NUMBERS.astype("datetime64[s]"),
    "objects": np.array([1.0, 2.0, 3.0, object()], dtype=object),
    "NaN": np.array([1.0, np.nan, 3.0, 4.0]),
}


@pytest.mark.parametrize("name", [n for n in TAKE if n != "points"])
def test_later_changes_of_an_array_change_nothing(name):
    given = NUMBERS.copy()
    held = TAKE[name](given)
    before = held.copy()
    given[:] = 7.0
    assert np.array_equal(held, before)


@pytest.mark.parametrize("name", [n for n in TAKE if n != "points"])
@pytest.mark.parametrize("kind", NOT_NUMBERS)
def test_what_is_not_a_number_is_refused_in_one_sentence(name, kind):
    with pytest.raises(wgf.InputError) as caught:
        TAKE[name](NOT_NUMBERS[kind])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [n for n in TAKE if n != "points"])
@pytest.mark.parametrize(
    "same",
    [
        lambda a: a.astype(np.float32),
        lambda a: a.astype(int),
        lambda a: np.ma.masked_array(a),
        lambda a: np.repeat(a, 2)[::2],
        lambda a: np.array([decimal.Decimal(int(v)) for v in a], dtype=object),
    ],
    ids=["single", "integers", "nothing masked", "strided", "decimals"],
)
def test_numbers_of_another_kind_are_numbers(name, same):
    assert np.array_equal(TAKE[name](same(NUMBERS)), TAKE[name](NUMBERS))


def test_a_read_only_array_is_taken():
    given = NUMBERS.copy()
    given.flags.writeable = False
    for take in TAKE.values():
        take(given)


# functions


def well(points):
    return 0.5 * points[:, 0] ** 2


ROOM = np.empty(10_000)
FUNCTIONS = {
    "changes its argument": lambda p: np.multiply(p, 1.0, out=p)[:, 0] * 0.5 * p[:, 0],
    "fills one array again": lambda p: np.multiply(0.5 * p[:, 0], p[:, 0], out=ROOM[: len(p)]),
    "returns a view": lambda p: (0.5 * p**2)[:, 0],
    "is in single precision": lambda p: np.float32(0.5) * p[:, 0].astype(np.float32) ** 2,
    "has a constant": lambda p: np.float32(1e4) + np.float32(0.5) * p[:, 0].astype(np.float32) ** 2,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_moves_particles_as_its_formula(name):
    start = wgf.Particles(np.linspace(0.5, 2.0, 5)[:, None])
    before = start.points.copy()
    potential = wgf.Potential(FUNCTIONS[name])
    run = wgf.solve(wgf.GradientFlow(potential), start, 1.0, method=wgf.RungeKutta(1e-4))
    # single precision knows 1e-3 of 1e4; then a tenth of the spread is resolved to some per cent
    bound = {"is in single precision": 1e-3, "has a constant": 0.05}.get(name, 1e-4)
    assert run.final.mean()[0] == pytest.approx(1.25 * np.exp(-1), rel=bound)
    assert np.array_equal(start.points, before)


def test_a_function_that_raises_is_one_sentence_with_its_name():
    def bad(points):
        assert points.shape[0] < 0, "never"

    with pytest.raises(wgf.InputError, match=r"potential function: .*AssertionError \(never") as e:
        wgf.solve(wgf.GradientFlow(wgf.Potential(bad)), START, 1.0)
    assert isinstance(e.value.__cause__, AssertionError)


def test_no_function_is_called_outside_the_box():
    mesh = wgf.Mesh(x=wgf.Axis(1, 5, 40))
    grid = np.linspace(1, 5, 41)
    hill = RegularGridInterpolator((grid,), -((grid - 3) ** 2))
    table = RegularGridInterpolator((grid,), np.sin(np.outer(grid, np.linspace(0, 1, 10))))
    F = wgf.Risk(wgf.Features(lambda p: table(p)), wgf.Squared(np.full(10, 0.3)))
    F = F + wgf.Potential(lambda p: hill(p))
    start = wgf.Density.uniform(mesh)
    for begin in (start, start.quadrature()):
        run = wgf.solve(wgf.GradientFlow(F), begin, 0.5, method=None)
        assert np.isfinite(run.diagnostics["objective"]).all()


@pytest.mark.parametrize(
    ("potential", "features"),
    [
        (lambda: wgf.Potential(well, lambda p: -p), None),
        (lambda: wgf.Potential(well, lambda p: 2 * p), None),
        (None, lambda: wgf.Features(np.sin, lambda p: np.cos(2 * p)[:, :, None])),
    ],
)
def test_the_gradient_of_another_function_is_refused(potential, features):
    F = potential() if potential else wgf.Risk(features(), wgf.Squared([0.3]))
    with pytest.raises(wgf.InputError, match="gradient: .* where differences of the function give"):
        wgf.solve(wgf.GradientFlow(F), START.quadrature(), 0.1)


@pytest.mark.parametrize("slope", [lambda p: p, lambda p: p * (1 + 1e-6), np.sign])
def test_a_gradient_that_is_right_or_has_a_kink_is_taken(slope):
    function = well if slope is not np.sign else lambda p: np.abs(p[:, 0])
    F = wgf.Potential(function, slope)
    wgf.solve(wgf.GradientFlow(F), START.quadrature(), 0.01, method=wgf.GradientDescent(0.01))


@pytest.mark.parametrize(("shift", "length"), [(0, 1), (5e5, 1), (1.7e9, 1), (0, 1e-9), (0, 1e9)])
def test_differences_fit_the_axes(shift, length):
    mesh = wgf.Mesh(x=wgf.Axis(shift - 3 * length, shift + 3 * length, 50))
    points = mesh.points()
    differences = Differences(wgf.Density.uniform(mesh).quadrature())
    found = differences(lambda p: np.sin((p[:, 0] - shift) / length), points)[:, 0]
    exact = np.cos((points[:, 0] - shift) / length) / length
    # the cube root of the round-off, squared, times a constant of the function
    assert np.abs(found - exact).max() * length < 1e-8


def test_pair_forces_are_right_at_any_distance():
    F = wgf.Interaction(lambda z: 0.5 * z[:, 0] ** 2)
    for distance in (1e-9, 1e3, 1e9, 1e11):
        pull = F.gradient(wgf.Particles([[0.0], [distance]])).ravel() / (0.5 * distance)
        np.testing.assert_allclose(pull, [-1, 1], rtol=1e-6)


def test_an_asymmetric_kernel_is_refused_at_any_size():
    for size in (1e-21, 1.0, 1e21):
        with pytest.raises(wgf.InputError, match="give a symmetric kernel"):
            wgf.Interaction(lambda z, size=size: size * z[:, 0] ** 3)


def test_the_precision_that_came_back_is_remembered():
    call = UserFunction("f", lambda p: p[:, 0].astype(np.float32))
    call(np.ones((3, 1)))
    assert call.precision == np.finfo(np.float32).eps


# times


def test_times_that_differ_by_rounding_are_one_time():
    two = np.concatenate([0.1 * np.arange(1, 10), np.linspace(0.1, 1, 10)])
    found = output_times(1.0, at=two)
    # of 0.6 and 0.6000000000000001 the one that is shorter in print
    assert len(found) == 11 and found[6] == 0.6
    np.testing.assert_allclose(found, np.linspace(0, 1, 11), rtol=1e-15)
    assert output_times(1.0, at=[0.5, 1 + 1e-15]).tolist() == [0.0, 0.5, 1.0]
    assert output_times(0.6, every=0.1).tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


def test_every_pair_of_spacing_and_number_is_continued_to_the_bit():
    for every in (0.1, 0.05, 0.3, 0.7, 0.01, 0.2, 0.025, 1 / 3, 1e-15, np.pi):
        for n in range(1, 36):
            short, long = (output_times(k * n * every, every=every) for k in (1, 2))
            assert np.array_equal(short[:-1], long[: len(short) - 1])
            assert short[-1] == pytest.approx(long[len(short) - 1], rel=1e-14)
            assert len(short) == n + 1 and len(long) == 2 * n + 1


def test_a_finished_run_is_continued_with_the_bits_of_the_long_one(tmp_path):
    flow = wgf.GradientFlow(wgf.Potential(well))
    whole = wgf.solve(flow, START, 0.6, every=0.1)
    wgf.solve(flow, START, 0.3, every=0.1, save=tmp_path / "run")
    more = wgf.solve(flow, START, 0.6, every=0.1, save=tmp_path / "run", resume=True)
    assert np.array_equal(more.times, whole.times)
    assert np.array_equal(more.final.values, whole.final.values)


@pytest.mark.parametrize("unit", [1e-15, 1e-9, 1e9])
def test_short_and_long_times_are_times(unit):
    def end(unit, begin):
        potential = wgf.Potential(lambda p: well(p) / unit, lambda p: p / unit)
        run = wgf.solve(wgf.GradientFlow(potential), begin, unit, every=unit / 2)
        assert len(run.times) == 3 and run.status == "done"
        return run.final.mean()[0]

    for begin in (START, START.quadrature()):
        assert end(unit, begin) == pytest.approx(end(1.0, begin), rel=1e-9)


# what lasts


def test_overlapping_solves_give_the_threads_of_the_library_back():
    import threadpoolctl

    def threads():
        found = threadpoolctl.threadpool_info()
        return [each["num_threads"] for each in found if each["user_api"] == "blas"]

    flow = wgf.GradientFlow(wgf.Potential(well))
    wgf.solve(flow, START, 0.1)
    before, inside, second, first_out = threads(), *(threading.Event() for _ in range(3))

    def one():
        wgf.solve(flow, START, 0.1, progress=lambda row: (inside.set(), second.wait(20)))
        first_out.set()

    def two():
        inside.wait(20)
        wgf.solve(flow, START, 0.1, progress=lambda row: (second.set(), first_out.wait(20)))

    both = [threading.Thread(target=work) for work in (one, two)]
    for each in both:
        each.start()
    for each in both:
        each.join()
    assert threads() == before


def test_numpy_set_to_raise_changes_nothing():
    x = np.linspace(-1, 1, 20)
    mesh = wgf.Mesh(a=wgf.Axis(-6, 6, 16), w=wgf.Axis(-6, 6, 16))
    F = wgf.Risk(wgf.Neurons(x, "tanh"), wgf.Squared(np.sin(3 * x)))

    def end():
        return wgf.solve(wgf.GradientFlow(F), wgf.Density.normal(mesh, (0.3, 0.5), 0.1), 0.1).final

    expected = end()
    with np.errstate(all="raise"):
        assert np.array_equal(end().values, expected.values)


def test_a_run_stays_where_it_began_when_the_working_directory_changes(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "a")
    flow = wgf.GradientFlow(wgf.Potential(well))
    move = iter([None, lambda: monkeypatch.chdir(tmp_path / "b")])
    wgf.solve(
        flow, START, 0.3, every=0.1, save="run", progress=lambda row: (next(move, None) or int)()
    )
    assert len(wgf.open_run(tmp_path / "a/run").times) == 4
    assert not list((tmp_path / "b").iterdir())


def test_default_seeds_do_not_repeat_the_numbers_of_the_start():
    cloud = wgf.Particles(np.zeros((20_000, 1)), domain=wgf.Mesh(x=wgf.Axis(-50, 50, 10)))
    flow = wgf.HeavyBall(wgf.Ridge(0.0), friction=1.0, temperature=1.0)
    run = wgf.solve(flow, wgf.maxwellian(cloud, 1.0), 0.5, every=0.1, method=wgf.Baoab(0.1))
    # twice the kinetic energy is a mean of 20,000 squares of normal numbers: five deviations
    assert np.abs(2 * run.diagnostics["kinetic"] - 1).max() < 5 * np.sqrt(2 / 20_000)


def test_particles_between_walls_reflect_as_often_as_it_takes():
    box = wgf.Mesh(x=wgf.Axis(0, 1, 10))
    points = ((np.arange(20_000) + 0.5) / 20_000)[:, None]
    start = wgf.Particles(points, domain=box)
    flow = wgf.GradientFlow(wgf.Entropy(1.0))
    end = wgf.solve(flow, start, 1.0, method=wgf.Langevin(1.0)).final
    # no atoms at walls, and the uniform density: five deviations of a count
    counts = end.histogram(box).weights * 20_000
    assert not np.isin(end.points, [0.0, 1.0]).any()
    assert np.abs(counts - 2000).max() < 5 * np.sqrt(2000)


def test_data_that_are_met_let_a_run_go_on_at_full_step():
    line = wgf.Mesh(x=wgf.Axis(-1, 1, 40))
    F = wgf.Risk(wgf.Features(lambda p: np.exp(-0.5 * p**2 / 0.3)), wgf.Squared([0.4]))
    run = wgf.solve(wgf.GradientFlow(F), wgf.Density.normal(line, 0.1, 0.4), 500.0)
    assert run.diagnostics["objective"][-1] < 1e-28
    # the steps stay those of the outflow bound, however small F is
    assert len(run.diagnostics["t"]) < 20_000
    mesh = wgf.Mesh(a=wgf.Axis(-4, 4, 16), w=wgf.Axis(-4, 4, 16))
    start, neurons = wgf.Density.normal(mesh, (0.5, 0.8), 0.6), wgf.Neurons([0.3, 1.0], "tanh")
    y = wgf.Risk(neurons, wgf.Squared([0.0, 0.0])).output(start)
    met = wgf.solve(wgf.GradientFlow(wgf.Risk(neurons, wgf.Squared(y))), start, 1.0)
    assert len(met.diagnostics["t"]) < 200
    assert np.abs(met.final.values - start.values).max() < 1e-12


def test_a_uniform_density_may_lie_across_the_seam():
    mesh = wgf.Mesh(x=wgf.Axis(0, 1, 10, periodic=True))
    across = wgf.Density.uniform(mesh, x=(0.85, 1.15)).values
    np.testing.assert_allclose(across, wgf.Density.uniform(mesh, x=(-0.15, 0.15)).values)
    np.testing.assert_allclose(across, np.array([2, 1, 0, 0, 0, 0, 0, 0, 1, 2]) / 0.6, atol=1e-12)


@pytest.mark.filterwarnings("ignore::wgf.BoxWarning")
@pytest.mark.parametrize("far", [1e4, 1e308, np.inf])
@pytest.mark.parametrize("order", [1, 2])
def test_a_potential_may_be_infinite_where_no_mass_is(far, order):
    """The wall of numbers acts as a wall of the mesh, and costs no steps."""
    inner = wgf.Mesh(x=wgf.Axis(-2, 2, 40))
    outer = wgf.Mesh(x=wgf.Axis(-3, 3, 60))

    def end(mesh):
        V = wgf.Potential(lambda p: np.where(np.abs(p[:, 0]) < 2, well(p), far))
        F = V + wgf.Entropy(0.3)
        start = wgf.Density.uniform(mesh, x=(-1.5, 1.5))
        run = wgf.solve(wgf.GradientFlow(F), start, 1.0, method=wgf.FiniteVolume(order))
        assert F.value(run.final) == pytest.approx(run.diagnostics["objective"][-1], rel=1e-12)
        return run

    found, expected = end(outer), end(inner)
    assert np.abs(found.final.values[10:-10] - expected.final.values).max() < 1e-12
    assert not found.final.values[:10].any() and not found.final.values[-10:].any()
    assert len(found.diagnostics["t"]) == len(expected.diagnostics["t"])


def test_mass_where_a_potential_is_infinite_is_refused():
    F = wgf.Potential(lambda p: np.where(np.abs(p[:, 0]) < 0.5, 0.0, np.inf)) + wgf.Entropy(0.1)
    for begin in (START, START.quadrature()):
        with pytest.raises((wgf.InputError, wgf.NumericalError)):
            wgf.solve(wgf.GradientFlow(F), begin, 0.1)
