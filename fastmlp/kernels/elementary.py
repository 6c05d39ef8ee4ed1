"""exp, log, log1p, sigmoid, tanh, softplus, the normal distribution of one number or vector, in a form that is fast in a loop.

The C library's versions are calls, and a loop with a call in it does not vectorise. Here each is a few multiplications, written
once for both types. No result is subnormal (such numbers stall the processor for hundreds of cycles): where the true value is
below the smallest normal number, the result is 0. NaN gives NaN. The error bounds that the functions state are in units in the
last place (ulp) of the result.

Sources: exp after Cody and Waite, Software Manual for the Elementary Functions (1980): x = k ln 2 + r, |r| <= ln(2) / 2, so that
e^x = 2^k e^r. log1p after fdlibm's e_log.c: with s = f / (2 + f), log(1 + f) = f - s (f - R(s^2)). The polynomials interpolate
(e^r - 1 - r) / r^2 and R(z) / z at Chebyshev nodes. erfc after Shepherd and Laframboise, Mathematics of Computation 36 (1981):
(1 + 2x) e^(x^2) erfc(x) is a polynomial in (x - c) / (x + c), here the one that interpolates it at Chebyshev nodes.
"""

from typing import NamedTuple

import numpy as np

from fastmlp.kernels.trace import binary_exponent, copysign, magnitude, power_of_two, traced, where


class _Constants(NamedTuple):
    """What depends on the type, as numbers of that type."""

    zero: float
    one: float
    two: float
    half: float
    sqrt_two_less_one: float
    sqrt_half: float
    normal_peak: float  # 1 / sqrt(2 pi)
    infinity: float
    log2_e: float
    ln2: float
    ln2_high: float  # few bits, so that k * ln2_high is exact
    ln2_low: float
    to_integer: float  # 1.5 * 2^mantissa bits: adding it rounds to an integer, and leaves that in the low bits
    bias: float  # of the exponent
    smallest: float  # the logarithm of the smallest normal number
    largest: float  # beyond it exp overflows
    tanh_is_one: float  # |x| beyond which tanh(x) rounds to 1
    erfc_centre: float
    exp_terms: tuple[float, ...]  # highest power first
    log_terms: tuple[float, ...]
    erfc_terms: tuple[float, ...]


def _constants(
    real, mantissa_bits, bias, ln2_high, ln2_low, smallest, largest, tanh_is_one, erfc_centre, exp_terms, log_terms, erfc_terms
):
    scalars = (0.0, 1.0, 2.0, 0.5, 2.0**0.5 - 1, 0.5**0.5, 0.3989422804014327, np.inf)
    logarithms = (1.4426950408889634, 0.6931471805599453, ln2_high, ln2_low, 1.5 * 2.0**mantissa_bits, bias)
    limits = (smallest, largest, tanh_is_one, erfc_centre)
    terms = (tuple(real(term) for term in reversed(series)) for series in (exp_terms, log_terms, erfc_terms))
    return _Constants(*(real(value) for value in scalars + logarithms + limits), *terms)


_SINGLE = _constants(
    np.float32,
    mantissa_bits=23,
    bias=127,
    ln2_high=0.693359375,
    ln2_low=-2.1219444005469057e-4,
    smallest=-87.33654,
    largest=88.72283,
    tanh_is_one=9.1,
    erfc_centre=3.0,
    exp_terms=(0.5, 0.1666657698969877568, 0.0416665546172045742, 0.00836317905272257737, 0.001392618358771349454),
    log_terms=(0.6666668504515602907, 0.3998877828216280773, 0.2958005304318844214),
    erfc_terms=(
        1.253008056,
        -0.1356211001,
        -0.04756215615,
        0.1296447209,
        -0.1192752814,
        0.06831319672,
        -0.0237635597,
        0.002506778672,
        0.001875060246,
        -0.0007340820504,
        -9.253769126e-5,
        8.007454975e-5,
    ),
)
_DOUBLE = _constants(
    np.float64,
    mantissa_bits=52,
    bias=1023,
    ln2_high=0.6931471803691238,
    ln2_low=1.9082149292705877e-10,
    smallest=-708.3964185322641,
    largest=709.782712893384,
    tanh_is_one=19.1,
    erfc_centre=3.75,
    exp_terms=(
        0.5000000000000001022,
        0.1666666666666666745,
        0.04166666666662412787,
        0.008333333333330061833,
        0.00138888889172137169,
        0.0001984126986305361688,
        0.00002480152129595437513,
        2.755726845999706477e-6,
        2.762008844540974816e-7,
        2.510038549551031908e-8,
    ),
    log_terms=(
        0.6666666666666669688,
        0.3999999999989944323,
        0.2857142862600326874,
        0.2222221113025987703,
        0.1818288945567494604,
        0.1533171061821077157,
        0.1461658542488862199,
    ),
    erfc_terms=(
        1.237512630837827582,
        -0.1402405985855452088,
        0.003585415485466306909,
        0.08227673848999158997,
        -0.108803930141939147,
        0.09230432116435615983,
        -0.05869339858449184774,
        0.02836227737137004573,
        -0.009746579620815090139,
        0.001755626169227672094,
        0.0002937140877722768239,
        -0.0002901553656394712841,
        0.00005164737123871837686,
        0.00002238759272534768919,
        -0.00001143961526007594973,
        -9.792975290998229177e-7,
        1.743857741135918114e-6,
        -5.081691181169818825e-8,
        -2.499653803740524239e-7,
        1.87785011564687965e-8,
        3.256499083798512925e-8,
        -1.952790162974836892e-9,
        -2.729394133253385506e-9,
    ),
)


def constants_of(x):
    """Those of the type of x."""
    return _SINGLE if x.dtype == np.float32 else _DOUBLE


def _polynomial(terms, x):
    """Two terms at a time: the chain of dependent operations is half as long as Horner's."""
    z = x * x
    p = x * terms[0] + terms[1]
    if len(terms) % 2:
        p = z * terms[0] + (x * terms[1] + terms[2])
    for i in range(2 + len(terms) % 2, len(terms), 2):
        p = p * z + (x * terms[i] + terms[i + 1])
    return p


def _exp_parts(x, halvings):
    """(s, p) with e^x = 2^halvings (s + s p), s a power of two. Beyond the limits named in the constants they are anything."""
    c = constants_of(x)
    to_power = c.to_integer + (c.bias - halvings)
    t = x * c.log2_e + to_power
    k = t - to_power
    r = (x - k * c.ln2_high) - k * c.ln2_low
    return power_of_two(t), r + r * r * _polynomial(c.exp_terms, r)


def _half_exp_parts(a):
    """(s, q) with e^-2a = s + 2 s q, s a power of two: as _exp_parts, with r / 2 for r, which spares the product by two."""
    c = constants_of(a)
    to_power, count = c.to_integer + c.bias, len(c.exp_terms)
    t = a * (-c.two * c.log2_e) + to_power
    k = t - to_power
    r = (-a - k * (c.half * c.ln2_high)) - k * (c.half * c.ln2_low)
    terms = [term * type(term)(2.0 ** (count - i)) for i, term in enumerate(c.exp_terms)]
    return power_of_two(t), r + r * r * _polynomial(terms, r)


@traced
def exp_negative(x):
    """e^-|x|, within 1.1 ulp: what sigmoid and softplus have in common."""
    c = constants_of(x)
    a = -magnitude(x)
    s, p = _exp_parts(a, c.zero)
    return where(a < c.smallest, c.zero, s + s * p)


@traced
def exp(x):
    """e^x, within 1.1 ulp."""
    c = constants_of(x)
    halvings = where(x > c.zero, c.one, c.zero)  # 2^128 (2^1024) has no exponent of its own
    s, p = _exp_parts(x, halvings)
    e = where(x < c.smallest, c.zero, (s + s * p) * (halvings + c.one))
    return where(x > c.largest, c.infinity, e)


@traced
def exp_minus_one(x):
    """e^x - 1 for x <= 0, within 3 ulp: no cancellation near 0."""
    c = constants_of(x)
    s, p = _exp_parts(x, c.zero)
    return where(x < c.smallest, -c.one, s * p + (s - c.one))


def _log1p_parts(x):
    """(k, f) with log(1 + x) = k ln 2 + log(1 + f), f between sqrt(1/2) - 1 and sqrt(2) - 1."""
    c = constants_of(x)
    k, scale = binary_exponent(x + c.one)
    return k, x * scale + (scale - c.one)  # without rounding 1 + x


def _log1p_of_parts(k, f, s):
    """k ln 2 + log(1 + f), where s = f / (2 + f)."""
    c = constants_of(f)
    z = s * s
    return k * c.ln2_high + (f - (s * (f - z * _polynomial(c.log_terms, z)) - k * c.ln2_low))


@traced
def log1p(x):
    """log(1 + x) for x from 0 to 1e30, within 1.6 ulp."""
    c = constants_of(x)
    k, f = _log1p_parts(x)
    return _log1p_of_parts(k, f, f / (c.two + f))


@traced
def log(x):
    """log(x) for x from the smallest normal number to 1e30, within 1.6 ulp."""
    c = constants_of(x)
    k, scale = binary_exponent(x)
    f = x * scale - c.one
    return _log1p_of_parts(k, f, f / (c.two + f))


@traced
def sigmoid(x):
    """1 / (1 + e^-x), within 2.5 ulp."""
    c = constants_of(x)
    s, p = _exp_parts(-x, c.zero)
    y = where(x < c.smallest, c.zero, c.one / (s * p + (s + c.one)))
    return where(x > -c.smallest, c.one, y)


@traced
def tanh(x):
    """(e^2x - 1) / (e^2x + 1), within 3 ulp."""
    c = constants_of(x)
    a = magnitude(x)
    s, q = _half_exp_parts(where(a > c.tanh_is_one, c.tanh_is_one, a))
    m = s * q + (s * c.half - c.half)  # (e^-2|x| - 1) / 2, with no cancellation near 0
    return copysign(m / (m + c.one), x)


def _log1p_unit(x):
    """log(1 + x) for x from 0 to 1: as log1p, where k is 0 or 1."""
    c = constants_of(x)
    upper = x > c.sqrt_two_less_one
    f = where(upper, x * c.half - c.half, x)
    s = f / (f + c.two)
    z = s * s
    rest = f - s * (f - z * _polynomial(c.log_terms, z))
    return where(upper, c.ln2_high + (rest + c.ln2_low), rest)


@traced
def positive(x):
    """max(x, 0), and NaN of NaN."""
    c = constants_of(x)
    return where(x < c.zero, c.zero, x)


@traced
def softplus(x):
    """log(1 + e^x), within 2 ulp."""
    return positive(x) + _log1p_unit(exp_negative(x))


@traced
def sigmoid_and_softplus(x):
    """(sigmoid(x), softplus(-|x|)), within 3.5 and 3 ulp: one exponential serves both."""
    c = constants_of(x)
    e = exp_negative(x)
    return where(x < c.zero, e, c.one) / (e + c.one), _log1p_unit(e)


@traced
def normal(x):
    """(P, p): the standard normal distribution's share below x, and its density at x.

    P = erfc(-x / sqrt(2)) / 2 and p = e^(-x^2 / 2) / sqrt(2 pi). Both are within 12 + 2 x^2 ulp, as x^2 / 2 is rounded.
    """
    c = constants_of(x)
    a = magnitude(x) * c.sqrt_half
    e = exp_negative(a * a)
    t = (a - c.erfc_centre) / (a + c.erfc_centre)
    above = c.half * e * _polynomial(c.erfc_terms, t) / (c.one + c.two * a)  # the share above |x|
    return where(x > c.zero, c.one - above, above), e * c.normal_peak
