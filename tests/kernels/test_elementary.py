"""The elementary functions keep the error bounds that their docstrings state, over the whole range of both types."""

import re
from decimal import Decimal, localcontext

import numba
import numpy as np
import pytest
from cases import ulps

from fastmlp.kernels import elementary

pytestmark = [pytest.mark.kernels, pytest.mark.versions]

FUNCTIONS = ("exp", "exp_minus_one", "log", "log1p", "sigmoid", "tanh", "softplus")
DTYPES = (np.float32, np.float64)
LOG1P_END = 30  # its stated range ends at 1e30
POINTS = 200 if numba.config.DISABLE_JIT else 1500


def apply(name, x):
    """The function in a loop over an array, as kernels use it."""
    return loop_of(name)(np.empty_like(x), x)


def loop_of(name):
    if name not in LOOPS:
        function = getattr(elementary, name)

        @numba.njit(error_model="numpy")
        def loop(out, x):
            for i in range(x.size):
                out[i] = function(x[i])
            return out

        LOOPS[name] = loop
    return LOOPS[name]


LOOPS = {}


def exact(name, x):
    """The value to 40 digits and more. Where a formula would cancel, the first terms of its series."""
    with localcontext(prec=60):
        x = Decimal(x)
        e = (-abs(x)).exp()
        if name == "exp":
            return x.exp()
        if name == "exp_minus_one":
            return x + x * x / 2 + x**3 / 6 + x**4 / 24 if abs(x) < Decimal("1e-10") else x.exp() - 1
        if name == "log":
            return x.ln()
        if name == "log1p":
            return log1p_exact(x)
        if name == "sigmoid":
            return (1 if x >= 0 else e) / (1 + e)
        if name == "softplus":
            return max(x, Decimal(0)) + log1p_exact(e)
        if abs(x) < Decimal("1e-9"):
            return x - x**3 / 3 + 2 * x**5 / 15
        return ((1 - e * e) / (1 + e * e)).copy_sign(x)


def log1p_exact(x):
    return x - x * x / 2 + x**3 / 3 - x**4 / 4 if x < Decimal("1e-10") else (1 + x).ln()


def points(name, dtype):
    """Numbers over the whole range, of every magnitude, and beside the limits where a formula changes."""
    info = np.finfo(dtype)
    lowest, highest = np.log(float(info.tiny)), np.log(float(info.max))
    rng = np.random.default_rng(0)
    magnitudes = 2.0 ** rng.uniform(info.minexp, np.log2(highest), POINTS)
    halves = np.arange(-40, 41) * np.log(2) / 2  # where exp's range reduction rounds
    limits = np.array([lowest, highest, 9.1, 19.1, 1.0, 0.5**0.5, 2.0**0.5 - 1])
    limits = np.concatenate([limits, -limits])
    beside = np.concatenate([np.nextafter(dtype(limits), dtype(to)) for to in (-np.inf, np.inf)])
    x = np.concatenate([rng.uniform(lowest, highest, POINTS), magnitudes, -magnitudes, halves, limits, beside])
    x = x.astype(dtype)
    if name == "log1p":
        x = np.concatenate([np.abs(x), (10.0 ** rng.uniform(0, LOG1P_END, 100)).astype(dtype)])
    if name == "log":
        x = np.abs(x)
        return x[(x >= info.tiny) & (x <= 10**LOG1P_END)]
    if name == "exp_minus_one":
        return -np.abs(x)
    return x[x < dtype(highest)] if name == "exp" else x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_stays_within_the_stated_bound(name, dtype):
    bound = float(re.search(r"within ([\d.]+) ulp", getattr(elementary, name).__doc__)[1])
    x = points(name, dtype)
    computed = apply(name, x)
    assert computed.dtype == dtype
    truth = [exact(name, value) for value in x.tolist()]
    tiny = np.finfo(dtype).tiny
    normal = np.array([abs(t) >= Decimal(float(tiny)) for t in truth])
    assert np.all(np.abs(computed[~normal]) <= tiny), "a value below the smallest normal number"
    errors = ulps(computed[normal], [t for t, n in zip(truth, normal, strict=True) if n])
    worst = errors.argmax()
    assert errors[worst] <= bound, f"{name}({x[normal][worst]!r}) is off by {errors[worst]:.3g} ulp"


def share_below(x):
    """The standard normal distribution's, by the series of erf, whose terms are below 10^40 where |x| is below 13."""
    with localcontext(prec=120):
        z = x / Decimal(2).sqrt()
        total, term, n = Decimal(0), z, 0
        while abs(term) > Decimal("1e-110"):
            total += term / (2 * n + 1)
            n += 1
            term *= -z * z / n
        return (1 + total * 2 / PI.sqrt()) / 2


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798215")


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_normal_distribution_keeps_its_bound(dtype):
    @numba.njit(error_model="numpy")
    def loop(share, density, x):
        for i in range(x.size):
            share[i], density[i] = elementary.normal(x[i])

    x = np.linspace(-12, 12, POINTS).astype(dtype)
    share, density = np.empty_like(x), np.empty_like(x)
    loop(share, density, x)
    exact_x = [Decimal(value) for value in x.astype(float).tolist()]
    with localcontext(prec=60):
        densities = [(-value * value / 2).exp() / (2 * PI).sqrt() for value in exact_x]
    for computed, right in ((share, [share_below(value) for value in exact_x]), (density, densities)):
        assert (ulps(computed, right) <= 12 + 2 * x.astype(float) ** 2).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid_and_softplus_keep_their_bounds_together(dtype):
    @numba.njit(error_model="numpy")
    def loop(p, s, x):
        for i in range(x.size):
            p[i], s[i] = elementary.sigmoid_and_softplus(x[i])

    x = points("sigmoid", dtype)
    x = x[np.abs(x) < 80]  # where both results are normal numbers
    p, s = np.empty_like(x), np.empty_like(x)
    loop(p, s, x)
    assert ulps(p, [exact("sigmoid", value) for value in x.tolist()]).max() <= 3.5
    assert ulps(s, [exact("softplus", -abs(value)) for value in x.tolist()]).max() <= 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_error_stays_within_the_bound_for_floats_of_every_exponent(name):
    # In float64 NumPy's own error is 2^-29 of a float32 ulp: it can stand for the truth.
    bound = float(re.search(r"within ([\d.]+) ulp", getattr(elementary, name).__doc__)[1])
    stride = 1_000_003 if numba.config.DISABLE_JIT else 2003
    x = np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
    low, high = {"exp_minus_one": (-np.inf, 0), "log": (np.finfo(np.float32).tiny, 10**LOG1P_END), "log1p": (0, 10**LOG1P_END)}.get(
        name, (-np.inf, np.inf)
    )
    x = x[np.isfinite(x) & (x >= low) & (x <= high)]
    wide = x.astype(float)
    with np.errstate(over="ignore", under="ignore"):
        truth = {
            "exp": np.exp,
            "exp_minus_one": np.expm1,
            "log": np.log,
            "log1p": np.log1p,
            "sigmoid": lambda z: np.where(z >= 0, 1, np.exp(z)) / (1 + np.exp(-np.abs(z))),
            "tanh": np.tanh,
            "softplus": lambda z: np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))),
        }[name](wide)
        computed = apply(name, x).astype(float)
        info = np.finfo(np.float32)
        normal = (np.abs(truth) >= info.tiny) & (np.abs(truth) <= info.max)
        unit = np.spacing(np.abs(truth[normal]).astype(np.float32)).astype(float)
    assert np.all(np.abs(computed[normal] - truth[normal]) <= bound * unit)
    assert np.all(np.abs(computed[np.abs(truth) < info.tiny]) <= info.tiny)
    assert np.all(computed[truth > info.max] == np.inf)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "x", "value"),
    [
        ("exp", 0.0, 1.0),
        ("exp", -0.0, 1.0),
        ("exp", np.inf, np.inf),
        ("exp", -np.inf, 0.0),
        ("exp", 1e4, np.inf),
        ("exp", -1e4, 0.0),
        ("log1p", 0.0, 0.0),
        ("sigmoid", 0.0, 0.5),
        ("sigmoid", np.inf, 1.0),
        ("sigmoid", -np.inf, 0.0),
        ("sigmoid", 1e4, 1.0),
        ("sigmoid", -1e4, 0.0),
        ("tanh", 0.0, 0.0),
        ("tanh", np.inf, 1.0),
        ("tanh", -np.inf, -1.0),
        ("softplus", np.inf, np.inf),
        ("softplus", -np.inf, 0.0),
        ("softplus", 1e4, 1e4),
        ("softplus", -1e4, 0.0),
    ],
)
def test_edges_are_exact(name, x, value, dtype):
    assert apply(name, np.array([x], dtype)) == dtype(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_gives_nan(name, dtype):
    assert np.isnan(apply(name, np.array([np.nan], dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_to_the_last_bit(dtype):
    x = points("tanh", dtype)
    assert np.array_equal(apply("tanh", -x), -apply("tanh", x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_value_does_not_depend_on_its_place_in_the_array(name, dtype):
    # A vectorised loop ends in a scalar one: both must round alike, or a prediction would depend on its neighbours.
    x = points(name, dtype)[:37]
    whole = apply(name, x)
    alone = np.concatenate([apply(name, x[i : i + 1]) for i in range(x.size)])
    assert np.array_equal(whole, alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_positive_is_the_greater_of_a_number_and_zero_and_keeps_nan(dtype):
    info = np.finfo(dtype)
    x = np.array([-np.inf, info.min, -1, -info.tiny, -0.0, 0.0, info.smallest_subnormal, 1, info.max, np.inf, np.nan], dtype)
    assert np.array_equal(apply("positive", x), np.maximum(x, 0), equal_nan=True)
