"""Shapes with missing points against Gaussian closed forms, numerical optimisation and real faces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from keras_asm import ActiveShapeModel
from keras_asm.shape_models import _missing_points
from keras_asm.shape_models._missing_points import fitted_similarity, prior_and_noise

NAN = np.nan


def random_shapes(rng, n_samples=80, n_landmarks=7, noise=0.05):
    """A polygon that varies in three directions and by noise."""
    angles = np.linspace(0, 2 * np.pi, n_landmarks, endpoint=False)
    polygon = np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=-1)
    directions = rng.normal(size=(3, n_landmarks, 2))
    shapes = polygon + 0.2 * np.einsum("nk,kld->nld", rng.normal(size=(n_samples, 3)), directions)
    return shapes + noise * rng.normal(size=shapes.shape)


def with_gaps(shapes, rng, fraction=0.3, least=3):
    """Points removed at random; each shape keeps the first few of a random order."""
    order = rng.random(shapes.shape[:2]).argsort(axis=1)
    missing = (rng.random(shapes.shape[:2]) < fraction) & (order >= least)
    return np.where(missing[..., None], NAN, shapes)


def gaussian(asm):
    """Mean and covariance of probabilistic PCA, written from the fitted attributes."""
    total = asm.explained_variance_[0] / asm.explained_variance_ratio_[0]
    d, k = len(asm.mean_shape_), asm.n_components_
    noise = (total - asm.explained_variance_.sum()) / (d - k)
    V = asm.components_
    return asm.mean_shape_, V.T @ np.diag(asm.explained_variance_ - noise) @ V + noise * np.eye(d), noise


class TestComplete:
    def test_is_the_conditional_mean_of_a_gaussian(self, rng):
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        mean, covariance, _ = gaussian(asm)
        for shape in with_gaps(random_shapes(rng, 20), rng).reshape(20, -1):
            o, m = ~np.isnan(shape), np.isnan(shape)
            expected = shape.copy()
            slope = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
            expected[m] = mean[m] + slope @ (shape[o] - mean[o])
            np.testing.assert_allclose(asm.complete(shape), expected, atol=1e-10)

    def test_weights_are_those_of_noise(self, rng):
        """A point of weight w is the true one and noise of variance s2 (1 / w - 1): again a conditional mean."""
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        mean, covariance, noise = gaussian(asm)
        shapes, weights = random_shapes(rng, 10), rng.uniform(0.05, 1, (10, 7))
        weights[:, 2] = 1
        for shape, weight in zip(shapes, weights, strict=True):
            more = np.diag(np.repeat(noise * (1 / weight - 1), 2))
            expected = mean + covariance @ np.linalg.solve(covariance + more, shape.ravel() - mean)
            np.testing.assert_allclose(asm.complete(shape, weight).ravel(), expected, atol=1e-10)

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_weights_of_zero_and_their_scale(self, rng, align):
        asm = ActiveShapeModel(3, align=align).fit(random_shapes(rng))
        shapes = with_gaps(random_shapes(rng, 20), rng)
        missing = np.isnan(shapes[..., 0])
        anywhere = np.where(np.isnan(shapes), 99.0, shapes)
        expected = asm.complete(shapes)
        np.testing.assert_allclose(asm.complete(anywhere, ~missing), expected, atol=1e-12)
        np.testing.assert_allclose(asm.complete(anywhere, 5.0 * ~missing), expected, atol=1e-12)
        np.testing.assert_array_equal(expected[~missing], shapes[~missing])
        np.testing.assert_allclose(asm.project(shapes), asm.project(expected), atol=1e-12)
        np.testing.assert_allclose(asm.transform(shapes), asm.transform(expected), atol=1e-12)
        np.testing.assert_allclose(asm.score_samples(shapes), asm.score_samples(expected), atol=1e-9)

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_whole_shapes_stay(self, rng, align):
        shapes = random_shapes(rng)
        asm = ActiveShapeModel(0.9, align=align).fit(shapes)
        np.testing.assert_array_equal(asm.complete(shapes), shapes)
        np.testing.assert_allclose(
            asm.project(shapes, np.full((80, 7), 0.4)), asm.project(shapes), atol=1e-12
        )

    @given(seed=st.integers(0, 2**32 - 1))
    def test_alignment_commutes_with_similarities(self, seed):
        rng = np.random.default_rng(seed)
        asm = ActiveShapeModel(3, align="procrustes").fit(random_shapes(rng))
        shapes = with_gaps(random_shapes(rng, 10), rng)
        angle, scale, shift = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 10), rng.normal(size=2)
        matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        for method in (asm.complete, asm.project):
            moved = method(shapes @ matrix.T + shift)
            np.testing.assert_allclose(moved, method(shapes) @ matrix.T + shift, atol=1e-5 * (1 + scale))

    def test_alignment_finds_the_best_similarity_and_coefficients(self, rng):
        asm = ActiveShapeModel(3, align="procrustes").fit(random_shapes(rng))
        prior, noise = asm.linear_model().prior
        V, mean = asm.components_, asm.mean_shape_
        for shape in random_shapes(rng, 5):
            there = np.arange(7) < 5
            z = shape[..., 0] + 1j * shape[..., 1]

            def energy(u, z=z, there=there):
                a, t, b = u[0] + 1j * u[1], u[2] + 1j * u[3], u[4:]
                w = (mean + b @ V).reshape(-1, 2)
                miss = a * z + t - (w[:, 0] + 1j * w[:, 1])
                likelihood = np.sum(np.abs(miss[there]) ** 2) / noise - 2 * there.sum() * np.log(abs(a) ** 2)
                return 0.5 * (likelihood + np.sum(b**2 / prior))

            found = minimize(energy, [1.0, 0, 0, 0, 0, 0, 0], method="BFGS", options={"gtol": 1e-9}).x
            w = (mean + found[4:] @ V).reshape(-1, 2)
            best = (w[:, 0] + 1j * w[:, 1] - found[2] - 1j * found[3]) / (found[0] + 1j * found[1])
            ours, _ = fitted_similarity(shape[None], there[None] * 1.0, mean, V, prior, noise)
            np.testing.assert_allclose(ours[0], np.stack([best.real, best.imag], -1), atol=2e-4)

    def test_layouts_types_and_files(self, rng, tmp_path):
        shapes = with_gaps(random_shapes(rng), rng)
        asm = ActiveShapeModel(3, align="procrustes").fit(shapes)
        expected = asm.complete(shapes)
        assert np.isfinite(expected).all()
        np.testing.assert_array_equal(asm.complete(shapes.reshape(80, 14)), expected.reshape(80, 14))
        np.testing.assert_allclose(asm.complete(shapes[3]), expected[3], atol=1e-12)
        np.testing.assert_allclose(asm.complete(shapes.reshape(8, 10, 7, 2)), expected.reshape(8, 10, 7, 2))
        assert asm.complete(shapes.astype(np.float32)).dtype == np.float32
        asm.save(tmp_path / "asm.npz")
        np.testing.assert_array_equal(ActiveShapeModel.load(tmp_path / "asm.npz").complete(shapes), expected)

    def test_half_a_position_is_none(self, rng):
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        half, whole = random_shapes(rng, 2)[:1].repeat(2, axis=0)
        half[4, 0], whole[4] = NAN, NAN
        np.testing.assert_array_equal(asm.complete(half), asm.complete(whole))

    @pytest.mark.backend
    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_in_keras(self, rng, align):
        from keras import ops

        asm = ActiveShapeModel(3, align=align).fit(random_shapes(rng))
        shapes = with_gaps(random_shapes(rng, 20), rng)
        present = ~np.isnan(shapes[..., 0])
        filled = np.where(np.isnan(shapes), 0, shapes).astype("float32")
        completed = asm.linear_model().complete(
            ops.convert_to_tensor(filled), ops.convert_to_tensor(present.astype("float32")), xp=ops
        )
        np.testing.assert_allclose(ops.convert_to_numpy(completed), asm.complete(shapes), atol=2e-4)


class TestPosteriorMean:
    def test_is_that_of_a_gaussian(self, rng):
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        mean, covariance, _ = gaussian(asm)
        shapes, scales = random_shapes(rng, 10), rng.uniform(0.01, 0.5, (10, 7))
        found = asm.posterior_mean(shapes, scales)
        for shape, scale, one in zip(shapes, scales, found, strict=True):
            error = np.diag(np.repeat(scale**2, 2))
            expected = mean + covariance @ np.linalg.solve(covariance + error, shape.ravel() - mean)
            np.testing.assert_allclose(one.ravel(), expected, atol=1e-10)
        np.testing.assert_allclose(
            asm.posterior_mean(shapes.reshape(10, -1), scales), found.reshape(10, -1), atol=1e-12
        )

    def test_is_the_most_probable_shape(self, rng):
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        mean, covariance, _ = gaussian(asm)
        shape, scale = random_shapes(rng, 1)[0], rng.uniform(0.1, 0.5, 7)
        prior = multivariate_normal(mean, covariance)

        def objective(true):
            error = (shape.ravel() - true) / np.repeat(scale, 2)
            return 0.5 * error @ error - prior.logpdf(true)

        best = minimize(objective, shape.ravel(), tol=1e-10).x
        np.testing.assert_allclose(asm.posterior_mean(shape, scale).ravel(), best, atol=1e-3)

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_sure_points_stay_and_unknown_ones_are_completed(self, rng, align):
        asm = ActiveShapeModel(3, align=align).fit(random_shapes(rng))
        shapes = random_shapes(rng, 10)
        np.testing.assert_allclose(asm.posterior_mean(shapes, np.zeros((10, 7))), shapes, atol=1e-12)
        scales = np.zeros((10, 7))
        scales[:, 2] = np.inf
        gaps = shapes.copy()
        gaps[:, 2] = NAN
        expected = asm.complete(gaps)
        np.testing.assert_allclose(asm.posterior_mean(shapes, scales), expected, atol=1e-10)
        np.testing.assert_allclose(asm.posterior_mean(gaps, np.zeros((10, 7))), expected, atol=1e-10)

    @pytest.mark.parametrize("said", [0.5, 1.0, 4.0])
    def test_aligned_is_that_of_the_most_likely_similarity(self, rng, said):
        """By a minimiser, from the density of points as they lie, `|a|^2n N(a z + t; mean, C + |a|^2 sigma^2)`."""
        asm = ActiveShapeModel(3, align="procrustes").fit(random_shapes(rng))
        mean, covariance, _ = gaussian(asm)
        turn = 3.0 * np.array([[0.6, -0.8], [0.8, 0.6]])
        scales = rng.uniform(0.2, 0.9, 7)
        shapes = random_shapes(rng, 5) @ turn + [5, -2] + scales[:, None] * rng.normal(size=(5, 7, 2))
        scales = said * scales

        def aligned(unknown, z):
            return (unknown[0] + 1j * unknown[1]) * z + unknown[2] + 1j * unknown[3]

        def flat(z):
            return np.stack([z.real, z.imag], axis=-1).ravel()

        def noisy(unknown):
            return covariance + np.diag(np.repeat(scales**2, 2)) * (unknown[0] ** 2 + unknown[1] ** 2)

        for shape, found in zip(shapes, asm.posterior_mean(shapes, np.tile(scales, (5, 1))), strict=True):
            z = shape[:, 0] + 1j * shape[:, 1]

            def objective(unknown, z=z):
                density = multivariate_normal(mean, noisy(unknown)).logpdf(flat(aligned(unknown, z)))
                return -density - len(z) * np.log(unknown[0] ** 2 + unknown[1] ** 2)

            start = np.conj(np.polyfit(mean[::2] + 1j * mean[1::2], z, 1))
            start = 1 / np.conj(start[0]), -np.conj(start[1]) / np.conj(start[0])
            options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 9000, "maxfev": 9000}
            first = [start[0].real, start[0].imag, start[1].real, start[1].imag]
            best = minimize(objective, first, method="Nelder-Mead", options=options).x
            residual = flat(aligned(best, z)) - mean
            expected = mean + covariance @ np.linalg.solve(noisy(best), residual)
            expected = (expected[::2] + 1j * expected[1::2] - best[2] - 1j * best[3]) / (
                best[0] + 1j * best[1]
            )
            np.testing.assert_allclose(found.ravel(), flat(expected), atol=1e-3 * np.ptp(shape))

    @pytest.mark.parametrize("noise", [0.05, 0.3])
    def test_aligned_takes_most_off_where_the_scales_are_right(self, rng, noise):
        asm = ActiveShapeModel(None, align="procrustes").fit(random_shapes(rng))
        coefficients = 0.3 * rng.normal(size=(200, 3))
        shapes = 10 * (asm.mean_shape_ + coefficients @ asm.components_[:3]).reshape(-1, 7, 2)
        measured = shapes + 10 * noise * rng.normal(size=shapes.shape)
        scales = np.full((200, 7), 10 * noise)
        errors = [
            np.linalg.norm(asm.posterior_mean(measured, factor * scales) - shapes, axis=-1).mean()
            for factor in (0.2, 1.0, 5.0, 50.0)
        ]
        assert min(errors) == errors[1]
        assert errors[1] < np.linalg.norm(asm.project(measured) - shapes, axis=-1).mean()
        assert errors[3] < np.ptp(shapes, axis=1).mean()

    def test_aligned_scales_have_the_units_of_the_shapes(self, rng):
        asm = ActiveShapeModel(3, align="procrustes").fit(random_shapes(rng))
        shapes, scales = random_shapes(rng, 10), rng.uniform(0.01, 0.5, (10, 7))
        turn = 40 * np.array([[0.6, -0.8], [0.8, 0.6]])
        moved = asm.posterior_mean(shapes @ turn + [3, -7], 40 * scales)
        np.testing.assert_allclose(moved, asm.posterior_mean(shapes, scales) @ turn + [3, -7], atol=1e-8)

    @pytest.mark.backend
    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_in_keras(self, rng, align):
        from keras import ops

        asm = ActiveShapeModel(3, align=align).fit(random_shapes(rng))
        shapes, scales = (
            random_shapes(rng, 10).astype("float32"),
            rng.uniform(0.01, 0.5, (10, 7)).astype("float32"),
        )
        found = asm.linear_model().posterior_mean(
            ops.convert_to_tensor(shapes), ops.convert_to_tensor(scales), xp=ops
        )
        np.testing.assert_allclose(ops.convert_to_numpy(found), asm.posterior_mean(shapes, scales), atol=2e-5)

    def test_scales_broadcast(self, rng):
        asm = ActiveShapeModel(3, align="procrustes").fit(random_shapes(rng))
        shapes, whole = random_shapes(rng, 4), np.full((4, 7), 0.3)
        expected = asm.posterior_mean(shapes, whole)
        for scales in (0.3, whole[0], whole[:, :1]):
            np.testing.assert_array_equal(asm.posterior_mean(shapes, scales), expected)
        np.testing.assert_allclose(asm.posterior_mean(shapes[0], 0.3), expected[0], atol=1e-12)

    def test_bad_scales(self, rng):
        asm = ActiveShapeModel(3).fit(random_shapes(rng))
        shapes = random_shapes(rng, 2)
        for bad in ((2, 14), (3, 7), (1, 2, 7)):
            with pytest.raises(ValueError, match="shape \\(2, 7\\), or what broadcasts") as error:
                asm.posterior_mean(shapes, np.ones(bad))
            assert f"Received: shape {bad}" in str(error.value)
        with pytest.raises(ValueError, match="1 of them negative or NaN"):
            asm.posterior_mean(shapes, np.where(np.arange(14).reshape(2, 7) == 3, -1.0, 1.0))
        with pytest.raises(ValueError, match="needs at least 1 of its points"):
            asm.posterior_mean(shapes, np.full((2, 7), np.inf))


class TestFit:
    def test_has_the_greatest_likelihood(self, rng):
        """Against a numerical maximum of the likelihood of probabilistic PCA, over mean, loadings and noise."""
        shapes = with_gaps(random_shapes(rng, 150, n_landmarks=4, noise=0.1), rng, least=1).reshape(150, -1)
        d, k = 8, 3
        patterns = {}
        for shape in shapes:
            patterns.setdefault(tuple(~np.isnan(shape)), []).append(shape)

        def loss(u):
            mean, W, noise = u[:d], u[d : d + d * k].reshape(d, k), np.exp(u[-1])
            C = W @ W.T + noise * np.eye(d)
            total = 0.0
            for pattern, members in patterns.items():
                o = np.array(pattern)
                density = multivariate_normal(mean[o], C[np.ix_(o, o)])
                total -= np.sum(density.logpdf(np.array(members)[:, o]))
            return total / len(shapes)

        asm = ActiveShapeModel(k).fit(shapes)
        assert asm.n_components_ == k
        mean, _, noise = gaussian(asm)
        assert asm.score(shapes) == pytest.approx(-loss(_parameters(mean, asm, noise)), abs=1e-9)
        start = _parameters(mean, asm, noise)
        start = start + 0.02 * rng.normal(size=start.shape)
        best = minimize(loss, start, method="L-BFGS-B", options={"maxiter": 300, "maxfun": 30_000})
        assert asm.score(shapes) == pytest.approx(-best.fun, abs=2e-3)
        assert -loss(start) < asm.score(shapes) - 0.05  # the likelihood tells them apart
        np.testing.assert_allclose(mean, best.x[:d], atol=0.01)

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_one_missing_point_changes_little(self, rng, align):
        shapes = random_shapes(rng, 200)
        whole = ActiveShapeModel(3, align=align).fit(shapes)
        shapes[5, 2] = NAN
        partial = ActiveShapeModel(3, align=align).fit(shapes)
        np.testing.assert_allclose(partial.mean_shape_, whole.mean_shape_, atol=0.01)
        np.testing.assert_allclose(partial.explained_variance_, whole.explained_variance_, rtol=0.03)

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_finds_the_variances_of_whole_shapes(self, rng, align):
        shapes = random_shapes(rng, 1500)
        whole = ActiveShapeModel(3, align=align).fit(shapes)
        partial = ActiveShapeModel(3, align=align).fit(with_gaps(shapes, rng, 0.3))
        np.testing.assert_allclose(partial.explained_variance_, whole.explained_variance_, rtol=0.08)
        filled = with_gaps(shapes, rng, 0.3).reshape(1500, -1)
        filled = np.where(np.isnan(filled), np.nanmean(filled, axis=0), filled)
        shrunk = ActiveShapeModel(3, align=align).fit(filled)
        assert shrunk.explained_variance_[0] < 0.8 * whole.explained_variance_[0]

    def test_turned_and_scaled_shapes(self, rng):
        """What alignment removes does not matter, also where points are missing."""
        shapes = with_gaps(random_shapes(rng, 200), rng)
        angle, scale = rng.uniform(-np.pi, np.pi, 200), rng.uniform(0.5, 2, 200)
        c, s = scale * np.cos(angle), scale * np.sin(angle)
        moved = np.stack(
            [
                c[:, None] * shapes[..., 0] - s[:, None] * shapes[..., 1],
                s[:, None] * shapes[..., 0] + c[:, None] * shapes[..., 1],
            ],
            axis=-1,
        )
        first, second = (ActiveShapeModel(3, align="procrustes").fit(x) for x in (shapes, moved))
        np.testing.assert_allclose(
            first.explained_variance_ratio_, second.explained_variance_ratio_, rtol=0.05
        )

    @pytest.mark.parametrize("n_dims", [1, 3])
    def test_other_dimensions(self, rng, n_dims):
        shapes = random_shapes(rng, 100, n_landmarks=6).reshape(100, -1, n_dims)
        shapes[::3, 1] = NAN
        asm = ActiveShapeModel(3, n_dims=n_dims).fit(shapes)
        assert np.isfinite(asm.complete(shapes)).all()

    def test_a_grid_search_with_gaps_finds_the_planted_components(self, rng):
        from sklearn.model_selection import GridSearchCV

        shapes = with_gaps(random_shapes(rng, 300, noise=0.02), rng)
        search = GridSearchCV(ActiveShapeModel(), {"n_components": [1, 2, 3, 4, 6]}, cv=3)
        assert search.fit(shapes.reshape(300, -1)).best_params_ == {"n_components": 3}

    def test_warns_where_it_has_not_settled(self, rng, monkeypatch):
        monkeypatch.setattr(_missing_points, "_MOST_ITERATIONS", 1)
        shapes = random_shapes(rng, 10)
        shapes[:5, 3] = NAN
        told = "more than 0.001 of itself after 1 iterations.*Received: 10 shapes, 93% of whose points"
        with pytest.warns(UserWarning, match=told):
            ActiveShapeModel(3).fit(shapes)


class TestParts:
    """What fits and completions are made of, in cases that are known exactly."""

    def test_prior_and_noise_by_hand(self):
        # 5 and 3 of 10 are kept, so 2 are left to the other 4 coordinates
        prior, noise = prior_and_noise(np.array([5.0, 3.0]), 10.0, 6)
        assert noise == 0.5
        np.testing.assert_array_equal(prior, [4.5, 2.5])
        # Nothing is left: a millionth of the 5 of a coordinate; and of a variance below the noise, a millionth
        for total in (10.0, 10.0 - 1e-9):
            prior, noise = prior_and_noise(np.array([6.0, 4.0]), total, 2)
            assert noise == pytest.approx(5e-6)
            np.testing.assert_allclose(prior, [6 - 5e-6, 4 - 5e-6], rtol=1e-12)
        prior, noise = prior_and_noise(np.array([5.0, 0.1]), 9.0, 4)
        assert noise == pytest.approx(1.95)
        np.testing.assert_allclose(prior, [3.05, 1e-7])

    @pytest.mark.parametrize(
        ("n_components", "n_samples", "rank"),
        [
            (None, 1000, 3),  # 99.5 % of the variance, the first above 99 %
            (0.5, 1000, 3),
            (0.9975, 1000, 4),
            (0.99999, 1000, 7),  # one is left for the noise
            (2, 1000, 3),
            (6, 1000, 6),
            (50, 1000, 7),
            (None, 14, 2),  # a fifth of the shapes
            (None, 4, 1),
            (6, 26, 5),
        ],
    )
    def test_rank_of_the_expectation(self, rng, n_components, n_samples, rank):
        variances = np.array([90, 8, 1.5, 0.3, 0.1, 0.05, 0.03, 0.02])
        basis = np.linalg.qr(rng.normal(size=(8, 8)))[0]
        covariance = basis * variances @ basis.T
        components, prior, noise = _missing_points._truncated(covariance, n_components, n_samples)
        assert len(components) == len(prior) == rank
        np.testing.assert_allclose(np.abs(components @ basis[:, :rank]), np.eye(rank), atol=1e-9)
        left_out = variances[rank:].mean()
        assert noise == pytest.approx(left_out, rel=1e-9)
        np.testing.assert_allclose(prior, np.maximum(variances[:rank] - left_out, 1e-6 * variances[:rank]))

    def test_onto_is_least_squares(self, rng):
        """Against NumPy's, in complex numbers: `w = a z + t` over the points that both have."""
        reference, shapes = rng.normal(size=(7, 2)), rng.normal(size=(20, 7, 2))
        usable = rng.random((20, 7)) < 0.6
        usable[:, :2] = True
        placed = _missing_points._onto(reference, shapes, usable)
        w = reference[:, 0] + 1j * reference[:, 1]
        for shape, both, found in zip(shapes, usable, placed, strict=True):
            z = shape[:, 0] + 1j * shape[:, 1]
            rows = np.stack([z, np.ones_like(z)], axis=1)
            expected = rows @ np.linalg.lstsq(rows[both], w[both], rcond=None)[0]
            np.testing.assert_allclose(found, np.stack([expected.real, expected.imag], -1), atol=1e-10)

    def test_shapes_to_begin_with_are_exact_where_all_are_alike(self, rng):
        """Copies of one shape, moved, turned and scaled: what is missing is where the similarity puts it."""
        shape = rng.normal(size=(7, 2)) + np.array([4.0, -9.0])
        angle, scale = rng.uniform(-np.pi, np.pi, 30), rng.uniform(0.5, 2, 30)
        a, z = scale * np.exp(1j * angle), shape[:, 0] + 1j * shape[:, 1]
        w = a[:, None] * z + rng.normal(size=(30, 1))
        copies = np.stack([w.real, w.imag], axis=-1)
        present = rng.random((30, 7)) < 0.7
        present[:, 0], present[:, 1] = True, True
        present[:20, 2] = False  # nor does the most complete shape have each point
        points = np.where(present[..., None], copies, 0.0)
        np.testing.assert_allclose(
            _missing_points._filled_by_reference(points, present), copies, atol=1e-4 * np.abs(copies).max()
        )


class TestPartialFit:
    def test_a_batch_counts_as_a_gaussian_expects_it(self, rng):
        """With all components but one, probabilistic PCA is the full Gaussian: its conditional moments, by hand."""
        first, second = random_shapes(rng, 100), with_gaps(random_shapes(rng, 40), rng)
        asm = ActiveShapeModel(13).partial_fit(first).partial_fit(second)
        first, second = first.reshape(100, 14), second.reshape(40, 14)
        mean, covariance = first.mean(axis=0), np.cov(first.T, bias=True)
        missing = np.zeros((14, 14))
        for shape in second:
            o, m = ~np.isnan(shape), np.isnan(shape)
            slope = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
            shape[m] = mean[m] + slope @ (shape[o] - mean[o])
            missing[np.ix_(m, m)] += covariance[np.ix_(m, m)] - slope @ covariance[np.ix_(o, m)]
        whole = np.concatenate([first, second])
        expected = np.cov(whole.T, bias=True) + missing / 140
        assert asm.n_samples_seen_ == 140
        np.testing.assert_allclose(asm.mean_shape_, whole.mean(axis=0), atol=1e-9)
        np.testing.assert_allclose(
            asm.explained_variance_, np.linalg.eigvalsh(expected * 140 / 139)[:0:-1], atol=1e-9
        )

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_batches_come_near_one_fit(self, rng, align):
        drawn = random_shapes(rng, 1200)
        shapes, held_out = with_gaps(drawn[:900], rng, 0.4), drawn[900:]
        settings = {"n_components": 3, "align": align}
        whole = ActiveShapeModel(**settings).fit(shapes)
        asm = ActiveShapeModel(**settings)
        for batch in np.split(shapes, 6):
            asm.partial_fit(batch)
        first = ActiveShapeModel(**settings).fit(shapes[:150])
        again = ActiveShapeModel(**settings).partial_fit(shapes)
        np.testing.assert_array_equal(again.components_, whole.components_)
        lost = whole.score(held_out) - asm.score(held_out)
        assert lost < 0.05
        assert lost < 0.5 * (whole.score(held_out) - first.score(held_out))

        reference = None if align is None else first.reference_shape_
        parts = [ActiveShapeModel(**settings).fit(s, reference=reference) for s in np.split(shapes, 6)]
        merged = parts[0].merge(parts[1:])
        assert merged.n_samples_seen_ == 900
        assert whole.score(held_out) - merged.score(held_out) < 0.05

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_whole_batches_are_still_exact(self, rng, align):
        """After a batch with gaps, whole ones are pooled: in one piece, or in any other."""
        gaps, whole = with_gaps(random_shapes(rng), rng), random_shapes(rng)
        one, several = (ActiveShapeModel(3, align=align).partial_fit(gaps) for _ in range(2))
        one.partial_fit(whole)
        for batch in np.split(whole, 8):
            several.partial_fit(batch)
        np.testing.assert_allclose(several.mean_shape_, one.mean_shape_, atol=1e-12)
        np.testing.assert_allclose(several.explained_variance_, one.explained_variance_, rtol=1e-10)

    def test_goes_on_from_a_file(self, rng, tmp_path):
        first, second = (with_gaps(random_shapes(rng), rng) for _ in range(2))
        asm = ActiveShapeModel(3, align="procrustes").partial_fit(first)
        asm.save(tmp_path / "asm.npz")
        asm.partial_fit(second)
        loaded = ActiveShapeModel.load(tmp_path / "asm.npz").partial_fit(second)
        np.testing.assert_allclose(loaded.components_, asm.components_, atol=1e-12)

    def test_a_point_may_be_nowhere_in_a_later_batch(self, rng):
        first, second = random_shapes(rng), random_shapes(rng)
        second[:, 4] = NAN
        with pytest.raises(ValueError, match="Received: 1 points that are missing in all, .* index 4"):
            ActiveShapeModel(3).partial_fit(second)
        asm = ActiveShapeModel(3).partial_fit(first)
        before = asm.components_.copy()
        second[5] = NAN
        with pytest.raises(ValueError, match="Received: 1 of 80 shapes with fewer, the first at index 5"):
            asm.partial_fit(second)
        np.testing.assert_array_equal(asm.components_, before)
        assert asm.partial_fit(second[:5]).n_samples_seen_ == 85


def _parameters(mean, asm, noise):
    W = asm.components_.T * np.sqrt(asm.explained_variance_ - noise)
    return np.concatenate([mean, W.ravel(), [np.log(noise)]])


class TestBadInput:
    def test_a_point_that_is_nowhere(self, rng):
        shapes = random_shapes(rng)
        shapes[:, 4] = NAN
        with pytest.raises(ValueError, match="Received: 1 points that are missing in all, .* index 4"):
            ActiveShapeModel().fit(shapes)

    @pytest.mark.parametrize(("align", "left"), [(None, 0), ("procrustes", 1)])
    def test_too_few_points(self, rng, align, left):
        shapes = random_shapes(rng)
        asm = ActiveShapeModel(align=align).fit(shapes)
        shapes[3, left:] = NAN
        for method in (asm.fit, asm.complete, asm.project, asm.transform, asm.score):
            with pytest.raises(ValueError, match="Received: 1 of 80 shapes with fewer, the first at index 3"):
                method(shapes)

    def test_weights(self, rng):
        asm = ActiveShapeModel().fit(random_shapes(rng))
        shapes = random_shapes(rng, 2)
        for weights in (-np.ones((2, 7)), np.full((2, 7), NAN), np.ones((2, 6)), np.ones(7)):
            with pytest.raises(ValueError, match="weights must be finite numbers from 0"):
                asm.project(shapes, weights)

    def test_infinity(self, rng):
        shapes = random_shapes(rng)
        asm = ActiveShapeModel().fit(shapes)
        shapes[2, 1], shapes[5, 0] = NAN, np.inf
        with pytest.raises(ValueError, match="1 of 80 contain infinity.*index 5"):
            asm.fit(shapes)
        with pytest.raises(ValueError, match="or NaN where a point is missing. Received: 2 infinite"):
            asm.complete(shapes)

    def test_a_report_needs_whole_shapes(self, rng):
        shapes = random_shapes(rng)
        asm = ActiveShapeModel().fit(shapes)
        shapes[2, 1] = NAN
        with pytest.raises(
            ValueError,
            match="1 of 80 contain NaN or infinity: leave them out, or complete those with NaN. .*index 2",
        ):
            asm.reconstruction_report(shapes)


@pytest.mark.real_data
@pytest.mark.parametrize("align", [None, "procrustes"])
def test_real_faces(data_root, rng, align):
    """300W with 30 % of the points removed: the completed ones lie some 3 % of the eye distance from the true ones."""
    stored = np.load(data_root / "shapes" / "300w_68.npz", allow_pickle=False)
    train, test = (stored[name].astype(np.float64) for name in ("train", "common"))
    train, test = (
        (s - s.mean(1, keepdims=True)) / np.ptp(s, axis=1).max(-1)[:, None, None] for s in (train[::6], test)
    )
    partial, holes = with_gaps(train, rng), with_gaps(test, rng)
    completed = ActiveShapeModel(0.98, align=align).fit(partial).complete(holes)
    missing = np.isnan(holes[..., 0])
    eyes = np.linalg.norm(test[:, 36] - test[:, 45], axis=-1)[:, None]

    def error(filled):
        return (np.linalg.norm(filled - test, axis=-1) / eyes)[missing].mean()

    mean = np.where(np.isnan(holes), np.nanmean(partial, axis=0), holes)
    assert error(completed) < 0.03
    assert error(completed) < 0.25 * error(mean)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("noise", "least", "own", "left"), [(0.05, 0.0320, 12, 0.035), (0.15, 0.0581, 3, 0.066)]
)
def test_careless_annotations_of_real_faces(drawn_shape_model, faces_300w, rng, noise, least, own, left):
    """Noise on 300W's shapes, taken off by a shape model of drawn faces: what the guide on few faces says."""
    faces, asm = faces_300w[::8], drawn_shape_model
    eyes = np.linalg.norm(faces[:, 36] - faces[:, 45], axis=-1)[:, None]
    annotated = faces + noise * eyes[..., None] * rng.normal(size=faces.shape)
    scales = np.broadcast_to(noise * eyes, faces.shape[:2])

    def error(shapes):
        return (np.linalg.norm(shapes - faces, axis=-1) / eyes).mean()

    cleaned, half, twice = (error(asm.posterior_mean(annotated, by * scales)) for by in (1.0, 0.5, 2.0))
    assert error(annotated) == pytest.approx(np.sqrt(np.pi / 2) * noise, rel=0.01)
    assert cleaned == pytest.approx(least, rel=0.02)
    assert cleaned < min(half, twice)
    assert max(half, twice) < 1.2 * cleaned
    assert cleaned < error(asm.project(annotated))
    found = asm.estimate_noise(annotated)[:, None]
    assert np.median(found / eyes) == pytest.approx(noise, rel=0.06)
    assert error(asm.posterior_mean(annotated, found)) < 1.01 * cleaned
    careless = ActiveShapeModel(own, align="procrustes").fit(annotated)
    # It takes the noise for shape
    assert np.median(careless.estimate_noise(annotated) / eyes[:, 0]) < 0.2 * noise
    assert len(faces) == 394
    assert error(careless.project(annotated)) == pytest.approx(left, rel=0.02)
