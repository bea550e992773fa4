"""Intervals of means, medians, rates and slopes cover the truth as often as they claim to."""

import numpy as np
import pytest

import wgf
from wgf.comparison.statistics import fit, success, summarise, wilson
from wgf.distances.marginals import wasserstein_1

LINE = wgf.Density.normal(wgf.Mesh(x=wgf.Axis(-4, 4, 64)), 0.0, 1.0)


def draws(m, count, seed):
    """Return `count` values of W1 between the density and `m` independent particles."""
    return [wasserstein_1(LINE, LINE.sample(m, seed + k)) for k in range(count)]


def covered(low, high, truth):
    return int(np.sum((np.asarray(low) <= truth) & (truth <= np.asarray(high))))


def test_the_interval_of_a_mean_covers_the_mean_of_many_draws():
    truth = np.exp(np.mean(np.log(draws(100, 4000, 10**6))))
    found = [summarise([100] * 12, draws(100, 12, 100 * k)) for k in range(100)]
    low, high = (np.concatenate([each[name] for each in found]) for name in ("low", "high"))
    assert 90 <= covered(low, high, truth) <= 99


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_the_bootstrap_covers_means_and_medians(statistic):
    generator = np.random.default_rng(3)
    low, high = [], []
    for k in range(100):
        values = np.exp(generator.normal(size=40))
        found = summarise([1] * 40, values, statistic, "bootstrap", seed=k)
        low, high = [*low, found["low"][0]], [*high, found["high"][0]]
    # the geometric mean and the median of a lognormal are both 1
    assert 90 <= covered(low, high, 1.0) <= 99


def test_the_interval_of_a_slope_covers_the_rate_of_independent_particles():
    sizes, repeats = [64, 256, 1024], 5
    low, high = [], []
    for k in range(100):
        values = np.concatenate([draws(m, repeats, 10**4 * k + m) for m in sizes])
        found = fit(np.repeat(sizes, repeats), values)
        low, high = [*low, found.low], [*high, found.high]
        assert found.sizes == 3 and found.runs == 15
    assert 90 <= covered(low, high, -0.5) <= 99


@pytest.mark.parametrize(("rate", "trials"), [(0.1, 40), (0.5, 20), (0.97, 60)])
def test_wilsons_interval_covers_the_rate(rate, trials):
    from scipy.stats import binom

    counts = np.arange(trials + 1)
    low, high = np.transpose([wilson(int(count), trials) for count in counts])
    inside = (low <= rate) & (rate <= high)
    # exact, no draws: the chance of all counts whose interval holds the rate
    assert 0.90 <= binom.pmf(counts, trials, rate)[inside].sum() <= 0.99


def test_wilsons_interval_in_closed_form():
    # 10 of 20: centre 1/2, half width z / (2 sqrt(n + z^2))
    z = 1.959963984540054
    half = z / (2 * np.sqrt(20 + z**2))
    assert wilson(10, 20) == pytest.approx((0.5 - half, 0.5 + half), rel=1e-12)
    assert wilson(0, 20)[0] == 0.0 and wilson(0, 20)[1] == pytest.approx(z**2 / (20 + z**2))
    assert wilson(20, 20)[1] == 1.0
    found = success([2, 2, 1, 1], [1e-5, 1e-3, np.nan, 1e-6], below=1e-4)
    assert found["size"].tolist() == [1, 2]
    assert found["successes"].tolist() == [1, 1] and found["rate"].tolist() == [0.5, 0.5]
    with pytest.raises(wgf.InputError, match="successes: 3"):
        wilson(3, 2)


def test_the_error_of_a_slope_in_closed_form():
    # residuals 1, -2, 1 about a line on equally spaced sizes
    sizes = np.exp([0.0, 1.0, 2.0])
    found = fit(sizes, np.exp([1.0, 0.0, 5.0]))
    residuals = np.array([1.0, 0.0, 5.0]) - (2.0 + 2.0 * np.array([-1.0, 0.0, 1.0]))
    assert found.slope == pytest.approx(2.0, rel=1e-13)
    # s^2 = sum of squares / (3 - 2), over the spread 2 of the sizes
    assert found.error == pytest.approx(np.sqrt(residuals @ residuals / 2.0), rel=1e-12)
    # Student's t with one degree of freedom
    assert found.high - found.slope == pytest.approx(12.7062047364 * found.error, rel=1e-9)


def test_two_runs_have_a_slope_and_no_error():
    found = fit([1.0, 2.0], [1.0, 4.0])
    assert found.slope == pytest.approx(2.0)
    assert np.isnan([found.error, found.low, found.high]).all()
    assert fit([1.0, 1.0], [1.0, 4.0]) is None
    assert fit([1.0, 2.0], [0.0, 4.0]) is None


def test_statistics_are_named_and_others_refused():
    with pytest.raises(wgf.InputError, match="no interval 't' for the median, choose from mean t"):
        summarise([1], [1.0], "median", "t")
    found = summarise([1, 1, 1], [1.0, 2.0, 50.0], "median", "bootstrap")
    assert found["median"].tolist() == [pytest.approx(2.0)]
    assert found["low"][0] >= 1.0 and found["high"][0] <= 50.0 * (1 + 1e-12)
