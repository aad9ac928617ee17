"""Every comparison against its definition written out, against scipy, against rsatoolbox where it
is installed, and by hand.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from relstats.errors import InvalidData, UsageError
from relstats.human.rdms import batched
from relstats.human.rdms.comparisons import COMPARISONS, compare_draws, compare_rdms, compare_rows
from relstats.human.rdms.vectors import n_images

N = 8
PAIRS = N * (N - 1) // 2
DRAWS = np.array(
    [[1] * N, [2, 0, 1, 1, 3, 0, 1, 0], [0, 0, 0, 0, 1, 1, 1, 5], [3, 3, 1, 1, 0, 0, 0, 0]]
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def tied(rng, rows):
    return np.round(rng.random((rows, PAIRS)) * 6)


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("missing", [0.0, 0.25])
def test_every_draw_is_that_of_the_definition(comparison, missing, agreement, rng):
    a, b = tied(rng, 2), tied(rng, 3)
    b[:2][rng.random((2, PAIRS)) < missing] = np.nan
    found = compare_draws(a, b, DRAWS, comparison)
    assert np.isfinite(found[:2]).all()
    for draw, k, s in np.ndindex(found.shape):
        assert found[draw, k, s] == pytest.approx(
            agreement(a[k], b[s], comparison, DRAWS[draw]), rel=1e-9, abs=1e-10, nan_ok=True
        )


@pytest.mark.parametrize("comparison", batched.COMPARISONS)
@pytest.mark.parametrize("largest", [5 * PAIRS, 2**23])
def test_draws_at_once_are_those_one_by_one(comparison, largest, rng, monkeypatch):
    a, b = rng.random((2, PAIRS)) + 10, tied(rng, 3)
    b[2] = np.arange(PAIRS) < 3  # constant in some draws
    draws = np.vstack([DRAWS, rng.multinomial(N, np.full(N, 1 / N), size=40)])
    monkeypatch.setattr(batched, "LARGEST", 0)
    slow = compare_draws(a, b, draws, comparison)
    monkeypatch.setattr(batched, "LARGEST", largest)
    found = compare_draws(a, b, draws, comparison)
    assert found == pytest.approx(slow, rel=1e-9, abs=1e-11, nan_ok=True)
    assert np.isnan(found[..., 2]).any()
    assert np.isfinite(found[:4, :, :2]).all()


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_rows_are_the_diagonal_of_all_against_all(comparison, rng):
    a, b = tied(rng, 3), tied(rng, 3)
    b[1, :5] = np.nan
    for count in DRAWS:
        whole = compare_draws(a, b, count[np.newaxis], comparison)[0]
        assert compare_rows(a, b, count, comparison) == pytest.approx(
            np.diag(whole), rel=1e-12, nan_ok=True
        )
        assert np.isfinite(np.diag(whole)[[0, 2]]).all()


def test_scipy_agrees(rng):
    a, b = rng.random((1, PAIRS)), tied(rng, 1)
    for comparison, reference in (("corr", stats.pearsonr), ("spearman", stats.spearmanr)):
        assert compare_rdms(a, b, comparison)[0, 0] == pytest.approx(
            reference(a[0], b[0]).statistic, rel=1e-12
        )
    untied = rng.random((2, PAIRS))
    tau = stats.kendalltau(*untied).statistic
    assert compare_rdms(untied[:1], untied[1:], "tau-a")[0, 0] == pytest.approx(tau, rel=1e-12)
    rho = stats.spearmanr(*untied).statistic
    assert compare_rdms(untied[:1], untied[1:], "rho-a")[0, 0] == pytest.approx(rho, rel=1e-12)


@pytest.mark.parametrize("images", [6, 30, 101])
@pytest.mark.parametrize("comparison", [m for m in COMPARISONS if m != "unbiased_cka"])
def test_rsatoolbox_agrees_on_complete_data(comparison, images, rng):
    rsatoolbox = pytest.importorskip("rsatoolbox.rdm")
    a, b = np.round(rng.random((2, 3, images * (images - 1) // 2)), 2)
    theirs = rsatoolbox.compare(rsatoolbox.RDMs(a), rsatoolbox.RDMs(b), comparison)
    assert compare_rdms(a, b, comparison) == pytest.approx(theirs, abs=1e-10)


def test_unbiased_cka_is_that_of_gram_matrices(rng):
    """Song et al. 2012, equation 5, of linear kernels."""
    x, y = rng.normal(size=(2, N, 5))
    k, m = (f @ f.T * (1 - np.eye(N)) for f in (x, y))

    def hsic(p, q):
        one = (
            np.trace(p @ q) + p.sum() * q.sum() / ((N - 1) * (N - 2)) - 2 / (N - 2) * (p @ q).sum()
        )
        return one / (N * (N - 3))

    rdms = [((f[:, None] - f[None]) ** 2).sum(-1)[np.triu_indices(N, 1)] for f in (x, y)]
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    assert compare_rdms(*rdms, "unbiased_cka")[0, 0] == pytest.approx(expected, rel=1e-10)


def test_whitened_cosine_is_linear_cka(rng):
    x, y = (f - f.mean(axis=0) for f in rng.normal(size=(2, N, 5)))
    rdms = [((f[:, None] - f[None]) ** 2).sum(-1)[np.triu_indices(N, 1)] for f in (x, y)]
    cka = np.linalg.norm(x.T @ y) ** 2 / np.linalg.norm(x.T @ x) / np.linalg.norm(y.T @ y)
    assert compare_rdms(*rdms, "cosine_cov")[0, 0] == pytest.approx(cka, rel=1e-12)


def test_noise_scores_high_on_biased_cka_and_nothing_on_the_unbiased_one(rng):
    rdms = [
        ((f[:, None] - f[None]) ** 2).sum(-1)[np.triu_indices(64, 1)]
        for f in rng.normal(size=(2, 64, 512))
    ]
    assert compare_rdms(*rdms, "cosine_cov")[0, 0] > 0.85
    assert abs(compare_rdms(*rdms, "unbiased_cka")[0, 0]) < 0.06


def test_rho_a_by_hand():
    found = compare_rdms([1.0, 1, 2, 3, 4, 5], [2.0, 1, 3, 4, 5, 6], "rho-a")[0, 0]
    ranks = np.array([1.5, 1.5, 3, 4, 5, 6]) - 3.5, np.array([2, 1, 3, 4, 5, 6]) - 3.5
    assert found == pytest.approx(12 * (ranks[0] @ ranks[1]) / 210, rel=1e-14)


@pytest.mark.parametrize("comparison", ["spearman", "corr"])
def test_partial_is_the_correlation_of_residuals(comparison, rng):
    a, b, control = tied(rng, 2), tied(rng, 3), tied(rng, 2)
    found = compare_rdms(a, b, comparison, control=control)
    ranked = [stats.rankdata(v, axis=1) if comparison == "spearman" else v for v in (a, b, control)]
    design = np.column_stack([np.ones(PAIRS), ranked[2].T])
    left = [v - (design @ np.linalg.lstsq(design, v.T)[0]).T for v in ranked[:2]]
    for k, s in np.ndindex(found.shape):
        assert found[k, s] == pytest.approx(
            stats.pearsonr(left[0][k], left[1][s]).statistic, rel=1e-10
        )


def test_controls_that_explain_a_model_leave_nothing(rng):
    a, b = tied(rng, 2), tied(rng, 2)
    found = compare_rdms(a, b, "corr", control=2 * a[:1] + 3)
    assert np.isnan(found[0]).all()
    assert np.isfinite(found[1]).all()


def test_own_pairs_are_the_same_for_all_models(rng):
    a, b = tied(rng, 3), tied(rng, 2)
    b[0, :4], a[1, 4:6], a[2] = np.nan, np.nan, np.nan
    found = compare_rdms(a, b, "corr")
    assert np.isnan(found[2]).all()
    for s, pairs in ((0, slice(6, None)), (1, np.r_[0:4, 6:PAIRS])):
        assert found[0, s] == pytest.approx(
            stats.pearsonr(a[0, pairs], b[s, pairs]).statistic, rel=1e-12
        )


@pytest.mark.parametrize("comparison", COMPARISONS)
def test_what_says_nothing_is_nan(comparison, rng):
    a, b = tied(rng, 1), np.array([np.zeros(PAIRS), np.full(PAIRS, 0.1), tied(rng, 1)[0]])
    found = compare_rdms(a, b, comparison)[0]
    assert np.isnan(found[0])
    assert np.isnan(found[1]) == (comparison not in ("cosine", "cosine_cov"))
    assert np.isfinite(found[2])
    b[2, 2:] = np.nan
    assert np.isnan(compare_rdms(a, b, comparison)[0, 2])


def test_image_effects_alone_are_nothing_for_unbiased_cka(rng):
    effects, (first, second) = rng.random(N), np.triu_indices(N, 1)
    assert np.isnan(
        compare_rdms(effects[first] + effects[second], tied(rng, 1), "unbiased_cka")
    ).all()


@settings(deadline=None, max_examples=40)
@given(
    hnp.arrays(float, (2, PAIRS), elements=st.sampled_from([0.0, 0.5, 1.0, 1.5, 4.0])),
    st.permutations(range(N)),
    st.sampled_from(COMPARISONS),
    st.integers(-60, 60),
)
def test_order_of_images_scale_and_swap_change_nothing(rdms, order, comparison, power):
    squares = np.zeros((2, N, N))
    squares[:, *np.triu_indices(N, 1)] = rdms
    squares += squares.transpose(0, 2, 1)
    moved = squares[:, order][:, :, order][:, *np.triu_indices(N, 1)]
    found = compare_rdms(rdms[0], rdms[1], comparison)
    assert compare_rdms(moved[0], moved[1], comparison) == pytest.approx(
        found, abs=1e-12, nan_ok=True
    )
    assert compare_rdms(rdms[0] * 2.0**power, rdms[1], comparison) == pytest.approx(
        found, abs=1e-12, nan_ok=True
    )
    assert compare_rdms(rdms[1], rdms[0], comparison) == pytest.approx(
        found, abs=1e-12, nan_ok=True
    )
    assert not (np.abs(found) > 1).any()


@pytest.mark.parametrize(
    ("comparison", "count"), [("unbiased_cka", [4, 1, 1, 1, 1]), ("cosine_cov", [5, 1, 1, 1, 0])]
)
def test_an_image_that_is_half_of_a_draw(comparison, count, agreement, rng):
    """Solving by a diagonal and one common sum divides by zero there."""
    a, b = rng.random((2, 1, 10))
    found = compare_draws(a, b, np.array([count]), comparison)[0, 0, 0]
    assert found == pytest.approx(agreement(a[0], b[0], comparison, count), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (
            lambda a: compare_rdms(a, a, "kendall"),
            UsageError,
            "comparison is 'kendall'; it is one of rho-a",
        ),
        (lambda a: compare_rdms(a, a[:, :-1]), InvalidData, "RDMs of 28, 27 and 28 pairs"),
        (lambda a: compare_rdms(a[:, :-1], a[:, :-1]), InvalidData, "an RDM of 27 pairs"),
        (lambda a: compare_rdms(a + np.inf, a), InvalidData, "a holds 28 infinite"),
        (lambda a: compare_rdms(a, a, "tau-a", control=a), UsageError, "no partial form"),
        (lambda a: compare_rdms(a.astype(str), a), InvalidData, "a has dtype <U"),
        (lambda a: compare_rdms(a[np.newaxis], a), InvalidData, r"shape \(1, 1, 28\)"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call(np.arange(PAIRS, dtype=float)[np.newaxis])


def test_number_of_images():
    assert [n_images(np.zeros(p)) for p in (1, 3, 4186)] == [2, 3, 92]
    with pytest.raises(InvalidData):
        n_images(np.zeros(0))
