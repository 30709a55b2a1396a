"""The Active Shape Model as a scikit-learn estimator."""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from keras_asm._bounded_archives import read_arrays
from keras_asm._whole_files import replacing_file
from keras_asm.landmarks import LandmarkScheme, as_flat, as_points, is_paired
from keras_asm.shape_models._missing_points import (
    LearnedMoments,
    expected_moments,
    learn_moments,
    log_likelihood,
    present_points,
)
from keras_asm.shape_models._noise import n_explained, noise_variances
from keras_asm.shape_models.linear_shape_model import LinearShapeModel, count_for_accuracy
from keras_asm.shape_models.procrustes import align_to, procrustes_mean
from keras_asm.shape_models.reconstruction import ReconstructionReport, reconstruction_report

__all__ = ["ActiveShapeModel"]

_FILE_FORMAT = "keras_asm.ActiveShapeModel/1"

# Shapes that are computed with at a time: what is between two operations on 68 points then stays in a core's cache
_IN_CACHE = 256
# Shapes whose covariance is one product: the larger, the fewer are pooled; the smaller, the less memory
_AT_ONCE = 4096


class ActiveShapeModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""Principal components of landmark shapes, with plausible limits on their coefficients.

    A shape is written as the mean plus a weighted sum of the first eigenvectors of the shapes' covariance,
    the weights are limited, and what comes back is the nearest plausible shape:

    ```text
    S ~ mean + b V                               (Eq. 1)
    b = (S - mean) V^T                           (Eq. 2)
    -limit sqrt(lambda_k) <= b_k <= limit sqrt(lambda_k)   (Eq. 3)
    ASM(S) = mean + clip(b) V                    (Eq. 4)
    ```

    `V` holds the eigenvectors as rows and `lambda_k` their eigenvalues (divisor `n_samples - 1`).

    Shapes need not be faces. They come as `(n_samples, n_landmarks, n_dims)` or flat, as
    `(n_samples, n_landmarks * n_dims)` with the coordinates of a landmark side by side; what comes back
    has the form and the float type that went in, and everything between is float64.

    Points may be missing: NaN says that a point has no position. `fit` learns from the others by expectation and
    maximisation, `partial_fit` does so batch by batch, and `complete` puts the missing points where the model expects
    them. Every other method takes a shape with missing points as the completed one, but for `score`, which rates what
    is there alone.

    Args:
        n_components: How many components to keep. A float in (0, 1): the fewest that explain this fraction
            of the variance (the paper's "PCA accuracy" over 100). An int: this many. None: all whose
            variance is not zero.
        limit: Largest coefficient in standard deviations `sqrt(lambda_k)`; None for no limit.
        align: None takes the shapes as they lie, as the paper's code does; `"procrustes"` removes each
            shape's similarity (shift, scale, rotation) before it is modelled, and `project` puts it back.
            Use it where shapes are rotated or scaled by augmentation. Needs `n_dims=2`.
        n_dims: Coordinates of a landmark.

    Attributes:
        mean_shape_: `(n_features,)`.
        components_: Eigenvectors as rows, `(n_components_, n_features)`; the entry of largest magnitude of
            each is positive, so signs do not depend on the machine.
        explained_variance_: Eigenvalues `(n_components_,)`, in squared units of the shapes.
        explained_variance_ratio_: Their shares of the total variance.
        n_components_: Number of components kept.
        n_landmarks_: Landmarks of a shape.
        n_features_in_: Coordinates of a shape, `n_landmarks_ * n_dims`.
        n_samples_seen_: Shapes learned from, over all calls of `partial_fit`.
        reference_shape_: `(n_features,)`, what shapes are aligned to; None without alignment.

    Examples:
        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel
        >>> rng = np.random.default_rng(0)
        >>> triangles = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]]) + 0.1 * rng.normal(size=(200, 3, 2))
        >>> asm = ActiveShapeModel(n_components=2).fit(triangles)
        >>> asm.project(triangles).shape
        (200, 3, 2)
        >>> bool(np.allclose(asm.project(asm.project(triangles)), asm.project(triangles)))
        True

    See Also:
        - [`LinearShapeModel`][keras_asm.shape_models.LinearShapeModel]: the fitted model, without
          scikit-learn.
        - [`ASMAssistedLoss`][keras_asm.losses.ASMAssistedLoss]: trains with it.
        - [`ASMProjection`][keras_asm.layers.ASMProjection]: applies it within a network.
        - [Rotated and scaled shapes][rotated-and-scaled-shapes]: when to align.

    References:
        T. F. Cootes et al., "Active shape models - their training and application", CVIU 61 (1995).
        M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", JRSS B 61 (1999): missing points.
        A. P. Fard, H. Abdollahi, M. Mahoor, "ASMNet: a lightweight deep neural network for face alignment
        and pose estimation", CVPRW 2021, section 3.1.
    """

    _parameter_constraints = {  # noqa: RUF012  # scikit-learn's own form
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
            None,
        ],
        "limit": [Interval(Real, 0, None, closed="neither"), None],
        "align": [StrOptions({"procrustes"}), None],
        "n_dims": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: float | int | None = 0.90,
        *,
        limit: float | None = 3.0,
        align: str | None = None,
        n_dims: int = 2,
    ) -> None:
        self.n_components = n_components
        self.limit = limit
        self.align = align
        self.n_dims = n_dims

    def fit(self, X: Any, y: None = None, *, reference: Any = None) -> ActiveShapeModel:
        """Learn the mean and the components.

        Without missing points these are the mean and the covariance of the (aligned) shapes. With missing points they
        are those of the greatest likelihood, found by expectation and maximisation under probabilistic PCA: each
        missing point is put where the others let it be expected, and counts with the variance that is left to it.

        Args:
            X: Shapes, `(n_samples, n_landmarks, n_dims)` or `(n_samples, n_landmarks * n_dims)`, at least two; NaN
                where a point is missing. Each shape needs a point, two with alignment, and each point a shape.
            y: Ignored, there for scikit-learn.
            reference: What shapes are aligned to, `(n_landmarks, 2)` or flat, where these are part of a larger set:
                `ProcrustesSums` finds it, or where points are missing, a fit to a part of the set, as its
                `reference_shape_`. None: the Procrustes mean of `X`.

        Raises:
            ValueError: If there are fewer than two shapes, or fewer than `n_components` needs; if coordinates are
                infinite, a point is missing in all shapes or a shape has too few of them, or `n_dims` does not divide
                the number of coordinates; if the shapes do not differ; if there is a reference but no alignment.

        Warns:
            UserWarning: If the covariance has not settled, as too few points are there.
        """
        self._validate_params()
        X, _ = self._validate(X, reset=True, min_samples=2, gaps=True)
        if _has_gaps(X):
            self._learn(*self._start_with_gaps(X, reference))
        else:
            self.reference_shape_ = self._find_reference(X, reference)
            self._learn(*self._moments(X))
        if isinstance(self.n_components, Integral) and self.n_components > len(self._variances):
            raise ValueError(
                f"n_components={self.n_components} needs as many directions in which the shapes vary, but "
                f"there are {len(self._variances)} (at most n_samples - 1 = {len(X) - 1}). "
                f"Received: X with {len(X)} samples of {X.shape[1]} coordinates"
            )
        return self

    def partial_fit(self, X: Any, y: None = None, *, reference: Any = None) -> ActiveShapeModel:
        """Learn from more shapes, in memory that does not grow with their number.

        Means and covariances are merged exactly (Chan, Golub and LeVeque), so without alignment the result
        is that of one `fit` on all shapes. With `align="procrustes"` all batches are aligned to one reference: the
        given one, which `ProcrustesSums` finds in a pass over all shapes, or that of the first batch, which should
        then be representative.

        Where points are missing, the first batch is learned as `fit` does, and the missing points of each later batch
        are expected by what was learned before it: on-line EM. No batch is seen again, so the result is near that of
        one `fit` on all shapes, and not the same; it depends a little on the order of the batches. The larger and the
        more representative the first batch, the nearer. Batches without missing points are still merged exactly.

        An integer `n_components` above what the shapes seen so far allow is taken as "as many as there are".

        Args:
            X: As for `fit`; the first batch has at least two shapes, and each point in one of them.
            y: Ignored.
            reference: As for `fit`; the same for every batch.

        Raises:
            ValueError: As `fit`. If the reference is not that of earlier batches.

        Warns:
            UserWarning: As `fit`, for the first batch.

        References:
            O. Cappé, E. Moulines, "On-line expectation-maximization algorithm for latent data models", JRSS B 71
            (2009), with the step size 1 / n.
        """
        self._validate_params()
        first = not hasattr(self, "n_samples_seen_")
        X, _ = self._validate(X, reset=first, min_samples=2 if first else 1, gaps=True)
        gaps = _has_gaps(X)
        if not first and reference is not None and not self._is_reference(self._find_reference(X, reference)):
            raise ValueError(
                "All batches must be aligned to one reference. Received: another than that of the earlier batches"
            )
        if first and gaps:
            self._learn(*self._start_with_gaps(X, reference))
            return self
        if first:
            self.reference_shape_ = self._find_reference(X, reference)
        if gaps:
            points = X.reshape(len(X), -1, self.n_dims)
            self._check_present(present_points(points))
            found = expected_moments(points, self.n_components, self._reference_points(), self._seen())
            moments = _of_learned(found)
        else:
            moments = self._moments(X)
        self._learn(*(moments if first else _pooled(self._seen(), moments)))
        return self

    def merge(self, others: Iterable[ActiveShapeModel]) -> ActiveShapeModel:
        """The model of all shapes that this one and others have seen, each counted once: fitting is a map-reduce.

        Means and covariances are pooled exactly, so that models of the parts of a set, however it was divided and in
        whatever order they come, give the model of one `fit` on the set, to rounding. With `align="procrustes"` that
        takes two passes: the sum of the parts' `ProcrustesSums` gives the reference, with which each part is then
        fitted. No model is changed, so a task of a map-reduce may run twice.

        Where points are missing, each model has put its own where it expects them, and counts them with the variance
        that it leaves to them. Merging such models is then near one `fit` on the set, and not the same: the larger the
        parts, the nearer. With alignment, the reference is that of a `fit` on a part of the set, the same for all.

        Args:
            others: Fitted models of shapes of the same points; they are taken one at a time.

        Returns:
            A new model with this one's parameters, whatever those of the others. An integer `n_components` above what
            the shapes allow is taken as "as many as there are".

        Raises:
            ValueError: If shapes have other numbers of coordinates, or were aligned to another reference or not at all.

        Examples:
            >>> import numpy as np
            >>> from keras_asm import ActiveShapeModel
            >>> shapes = np.random.default_rng(0).normal(size=(90, 4, 2))
            >>> first, *others = (ActiveShapeModel(0.9).fit(part) for part in np.split(shapes, [20, 50]))
            >>> merged, whole = first.merge(others), ActiveShapeModel(0.9).fit(shapes)
            >>> merged.n_samples_seen_, bool(np.allclose(merged.components_, whole.components_, atol=1e-10))
            (90, True)
        """
        check_is_fitted(self)
        seen = self._seen()
        for other in others:
            check_is_fitted(other)
            if (other.n_features_in_, other.n_dims) != (self.n_features_in_, self.n_dims):
                raise ValueError(
                    "Models to merge must be of the same points. Received: "
                    f"n_features_in_={self.n_features_in_}, n_dims={self.n_dims} and "
                    f"n_features_in_={other.n_features_in_}, n_dims={other.n_dims}"
                )
            if not self._is_reference(other.reference_shape_):
                raise ValueError(
                    "Models to merge must be aligned to one reference, or none of them: fit each with the reference= "
                    f"that ProcrustesSums finds. Received: align={self.align!r} and align={other.align!r}"
                    + (", with different references" if self.align == other.align else "")
                )
            seen = _pooled(seen, other._seen())
        merged = copy.copy(self)
        merged._learn(*seen)
        return merged

    def transform(self, X: Any) -> np.ndarray:
        """Coefficients `b` of shapes (Eq. 2), not limited.

        Args:
            X: As for `fit`.

        Returns:
            `(n_samples, n_components_)`, in the units of the shapes.
        """
        check_is_fitted(self)
        X, dtype = self._validate(X, reset=False, gaps=True)
        return self.linear_model().encode(self._without_gaps(X))[0].astype(dtype, copy=False)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Shapes of coefficients (Eq. 1), in the model's own frame.

        Args:
            X: `(n_samples, n_components_)`.

        Returns:
            Shapes in the form that `fit` was given.
        """
        check_is_fitted(self)
        coefficients, dtype = _floats(X)
        if coefficients.ndim != 2 or coefficients.shape[1] != self.n_components_:
            raise ValueError(
                f"Coefficients must have shape (n_samples, {self.n_components_}). "
                f"Received: shape {coefficients.shape}"
            )
        return self._as_fitted(self.linear_model().decode(coefficients)).astype(dtype, copy=False)

    def constrain(self, coefficients: Any) -> np.ndarray:
        """Clip coefficients to `limit` standard deviations (Eq. 3).

        Args:
            coefficients: `(..., n_components_)`.
        """
        check_is_fitted(self)
        coefficients, dtype = _floats(coefficients)
        if coefficients.ndim == 0 or coefficients.shape[-1] != self.n_components_:
            raise ValueError(
                f"Coefficients must have shape (..., {self.n_components_}). Received: shape {coefficients.shape}"
            )
        return self.linear_model().constrain(coefficients).astype(dtype, copy=False)

    def complete(self, shapes: Any, weights: Any = None) -> np.ndarray:
        """Shapes with their missing points where the model expects them; the others stay where they are.

        A missing point comes to its conditional mean under probabilistic PCA, given the points that are there: the
        coefficients are fitted to those with the eigenvalues as their prior, and with alignment the similarity too.
        The more components the model keeps, up to those that its training shapes can tell, the nearer they come:
        `score` on held-out shapes finds the number.

        With weights, a point of weight `w` moves to `w` of the way back from where the others expect it:
        `w S + (1 - w) E[S]`, as a point whose noise has `1 / w` of the usual variance. Of the weights of a shape
        only the ratios count: the largest is taken as 1.

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`; NaN where a point is missing.
            weights: How sure each point is, `(..., n_landmarks)`, from 0, which says that it is missing. None: all
                alike.

        Returns:
            Shapes of the same form, without NaN.

        Raises:
            ValueError: If a coordinate is infinite or a weight negative, or a shape has not one point of positive
                weight, two with alignment.

        Examples:
            >>> import numpy as np
            >>> from keras_asm import ActiveShapeModel
            >>> rng = np.random.default_rng(0)
            >>> squares = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]) * (1 + 0.2 * rng.normal(size=(100, 1, 1)))
            >>> asm = ActiveShapeModel(n_components=1).fit(squares)
            >>> asm.complete([[0, 0], [1.3, 0], [np.nan, np.nan], [0, 1.3]]).round(2)[2]
            array([1.3, 1.3])
        """
        check_is_fitted(self)
        shapes, dtype = _floats(shapes, gaps=True)
        return self._completed(shapes, weights).astype(dtype, copy=False)

    def project(self, shapes: Any, weights: Any = None) -> np.ndarray:
        """The nearest plausible shapes: `ASM(S)` of Eq. 4.

        Without alignment this is an orthogonal projection followed by the limit, and projecting again
        changes nothing. With alignment it commutes with every similarity of the plane.

        Shapes with missing points, or with weights, are completed first: `project(S, w)` is
        `project(complete(S, w))`.

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`, any leading dimensions, also none; NaN where
                a point is missing.
            weights: As in `complete`.

        Returns:
            Shapes of the same form, where the originals lay, all points of them.

        Raises:
            ValueError: As `complete`.
        """
        check_is_fitted(self)
        shapes = _finite(shapes, gaps=True)
        model, dtype = self.linear_model(), shapes.dtype
        if weights is not None or _has_gaps(shapes):
            shapes = self._completed(shapes.astype(np.float64, copy=False), weights)
        flat = as_flat(shapes, **model.layout())
        projected = np.empty(flat.shape, dtype)
        rows, results = (array.reshape(-1, model.n_features) for array in (flat, projected))
        for some in _blocks(len(rows), _IN_CACHE):
            results[some] = model.project(rows[some].astype(np.float64, copy=False))
        return projected.reshape(shapes.shape)

    def posterior_mean(self, shapes: Any, scales: Any) -> np.ndarray:
        """The expected true shapes, given measured ones and how far each point may be off.

        A measured point is the true one plus a Gaussian error, of the standard deviation `sigma_i` in each coordinate,
        and independent from point to point. True shapes are those of probabilistic PCA, whose covariance is `C`. Then

        ```text
        E[S | measured] = mean + C (C + diag(sigma^2))^-1 (measured - mean)
        ```

        which is the most probable shape (MAP) too. It is `complete` with the weights `s2 / (s2 + sigma^2)`, where `s2`
        is the mean of the variances that the components leave out; here the weights' size counts, not only their
        ratios. A point without error stays, and one of infinite `sigma` goes where the others let it be expected. No
        limit is applied. With alignment, the formula holds for the shape as it is aligned by the similarity `a z + t`
        under which the measured points are most likely, and `|a| sigma`.

        Careless annotations are such shapes too: see "Careless annotations" in the guide on few annotated faces.
        `estimate_noise` finds their scales.

        The errors of a network are not independent from point to point, and the shapes of a face not exactly Gaussian:
        try on held-out faces whether it helps, and whether larger or smaller scales do.

        Args:
            shapes: Measured shapes, such as a network's predictions, `(..., n_landmarks, n_dims)` or
                `(..., n_features)`; NaN where a point is missing.
            scales: Standard deviations `sigma`, `(..., n_landmarks)` or what broadcasts to it, such as a number, in the
                units of the shapes, from 0 to infinity.
                Of a log scale `s` that was learned by the Gaussian likelihood this is `exp(s)`, by the Laplace
                likelihood `sqrt(2) exp(s)`.

        Returns:
            Shapes of the same form, without NaN.

        Raises:
            ValueError: If a coordinate is infinite or a scale negative or NaN, or a shape has not one point of finite
                scale, two with alignment.

        Examples:
            >>> import numpy as np
            >>> from keras_asm import ActiveShapeModel
            >>> rng = np.random.default_rng(0)
            >>> squares = np.array([[0, 0], [1, 0], [1, 1], [0, 1.0]]) * (1 + 0.2 * rng.normal(size=(100, 1, 1)))
            >>> asm = ActiveShapeModel(n_components=1).fit(squares)
            >>> measured, scales = [[0, 0], [1.3, 0], [1.0, 1.6], [0, 1.3]], [0.01, 0.01, 10.0, 0.01]
            >>> asm.posterior_mean(measured, scales).round(2)[2]
            array([1.3, 1.3])
        """
        check_is_fitted(self)
        shapes, dtype = _floats(shapes, gaps=True)
        model = self.linear_model()
        present = present_points(as_points(shapes, **model.layout()))
        scales = np.asarray(scales, dtype=np.float64)
        fits = scales.ndim <= present.ndim and all(
            n in (1, m) for n, m in zip(scales.shape[::-1], present.shape[::-1], strict=False)
        )
        if not fits or not (scales >= 0).all():
            raise ValueError(
                f"scales must be numbers from 0, one a landmark: shape {present.shape}, or what broadcasts to it. "
                f"Received: shape {scales.shape}, {int((~(scales >= 0)).sum())} of them negative or NaN"
            )
        self._check_present(present & np.isfinite(scales))
        scales = np.where(present, scales, np.inf)
        return model.posterior_mean(self._without_gaps(shapes), scales).astype(dtype, copy=False)

    def estimate_noise(self, shapes: Any) -> np.ndarray:
        """How far the points of each shape are off: the standard deviation of the noise of its coordinates.

        It is read from what no shape of the model explains. A shape is fitted by least squares, with `p` numbers: the
        coefficients `b`, and with alignment the four of `a` and `t`. Of the residual of its `d` coordinates

        ```text
        sigma^2 = |S - (a mean + t + b V)|^2 / (d - p) - |a|^2 s2
        ```

        where `s2` is the mean of the variances that the components leave out. The variance has no bias where the noise
        is independent from coordinate to coordinate, hardly any with alignment; the standard deviation varies by a part
        of `1 / sqrt(2 (d - p))`. It is 0 where a shape is nearer to the model than the shapes that it was fitted to.

        The model must know shapes without such noise: fitted to the noisy ones, it counts their noise as shape, and
        the estimate is about 0. What is unlike its shapes in another way counts as noise. `posterior_mean` takes off
        what is found:

        ```text
        asm.posterior_mean(shapes, asm.estimate_noise(shapes)[:, None])
        ```

        Args:
            shapes: `(..., n_landmarks, n_dims)` or `(..., n_features)`; NaN where a point is missing.

        Returns:
            Standard deviations, in the units of the shapes, one a shape: `(...)`.

        Raises:
            ValueError: If a coordinate is infinite, or a shape has not more coordinates than `p`.

        Examples:
            >>> import numpy as np
            >>> from keras_asm import ActiveShapeModel
            >>> rng = np.random.default_rng(0)
            >>> octagon = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=-1)
            >>> octagons = octagon * (1 + 0.2 * rng.normal(size=(100, 1, 1)))
            >>> asm = ActiveShapeModel(n_components=1).fit(octagons)
            >>> noisy = octagons + 0.1 * rng.normal(size=(100, 8, 2))
            >>> float(asm.estimate_noise(noisy).mean().round(2))
            0.1

        See Also:
            - [Careless annotations][careless-annotations]: of 300W, and what cleaning them is worth.
        """
        check_is_fitted(self)
        shapes, dtype = _floats(shapes, gaps=True)
        model = self.linear_model()
        points = as_points(shapes, **model.layout())
        present = present_points(points)
        coordinates = self.n_dims * present.sum(axis=-1)
        if (coordinates <= n_explained(model)).any():
            raise ValueError(
                f"To tell its noise, a shape needs more coordinates than the {n_explained(model)} numbers that this "
                f"model describes it by; fewer components leave more. Received: {coordinates.min()} in a shape"
            )
        points = np.where(present[..., None], points, 0.0).reshape(-1, model.n_landmarks, self.n_dims)
        variances = noise_variances(model, points, present.reshape(-1, model.n_landmarks))
        variances = variances.reshape(coordinates.shape)
        return np.sqrt(np.maximum(variances, 0.0)).astype(dtype, copy=False)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Draw plausible shapes: independent normal coefficients, truncated at the limit.

        Args:
            n_samples: How many.
            random_state: Seed, generator or None, as everywhere in scikit-learn.

        Returns:
            Shapes in the form that `fit` was given, in the model's own frame.
        """
        from scipy.special import ndtr, ndtri

        check_is_fitted(self)
        if not isinstance(n_samples, Integral) or n_samples < 1:
            raise ValueError(f"n_samples must be a positive integer. Received: n_samples={n_samples}")
        lowest = 0.0 if self.limit is None else ndtr(-self.limit)
        uniform = check_random_state(random_state).uniform(size=(n_samples, self.n_components_))
        # The inverse of the normal distribution function, on the part of it that the limit leaves.
        deviations = ndtri(lowest + uniform * (1 - 2 * lowest))
        return self._as_fitted(self.linear_model().decode(deviations * np.sqrt(self.explained_variance_)))

    def score_samples(self, X: Any) -> np.ndarray:
        """How plausible shapes are: `-1/2 sum_k b_k^2 / lambda_k`.

        Half the negative squared Mahalanobis distance within the kept components: the logarithm of the
        normal density relative to that of the mean shape, 0 for the mean and lower for stranger shapes. What
        the components do not span is not seen; `project` shows it. Missing points are where they are most likely, and
        make no shape stranger.

        Args:
            X: As for `fit`.

        Returns:
            `(n_samples,)`.
        """
        check_is_fitted(self)
        X, _ = self._validate(X, reset=False, gaps=True)
        coefficients, _ = self.linear_model().encode(self._without_gaps(X))
        return -0.5 * np.sum(coefficients**2 / self.explained_variance_, axis=1)

    def score(self, X: Any, y: None = None) -> float:
        """Mean log-likelihood of shapes under probabilistic PCA: higher is better.

        The kept components with their variances, and in every other direction the mean of the variances left out,
        `s2`:

        ```text
        log p(S) = -1/2 (d log(2 pi) + sum_k log lambda_k + (d - K) log s2
                         + sum_k b_k^2 / lambda_k + |S - mean - b V|^2 / s2)
        ```

        for `K` components of `d` coordinates; aligned shapes are measured where they are aligned. It is what
        `sklearn.model_selection.GridSearchCV` takes to choose `n_components` on held-out shapes: components that
        are noise make it worse, whereas `score_samples` sees the kept ones alone. Of shapes with missing points it is
        the likelihood of the points that are there, whose number counts for `d`.

        Args:
            X: As for `fit`.
            y: Ignored.

        References:
            M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", JRSS B 61 (1999).
        """
        check_is_fitted(self)
        X, _ = self._validate(X, reset=False, gaps=True)
        if _has_gaps(X):
            present = present_points(X.reshape(len(X), -1, self.n_dims)).repeat(self.n_dims, axis=1)
            aligned = self._aligned(self._without_gaps(X))
            return float(np.mean(log_likelihood(self.linear_model(), aligned, present)))
        X = self._aligned(X)
        model, d = self.linear_model(), X.shape[1]
        coefficients = (X - self.mean_shape_) @ model.components.T
        residual = ((X - self.mean_shape_ - coefficients @ model.components) ** 2).sum(axis=1)
        left_out = max(self._total_variance - model.explained_variance.sum(), 0.0) / max(
            d - model.n_components, 1
        )
        # Where all variance is kept, what is left is rounding
        noise = max(left_out, np.finfo(np.float64).eps * self._total_variance)
        log_determinant = np.log(model.explained_variance).sum() + (d - model.n_components) * np.log(noise)
        distance = (coefficients**2 / model.explained_variance).sum(axis=1) + residual / noise
        return float(np.mean(-0.5 * (d * np.log(2 * np.pi) + log_determinant + distance)))

    def reconstruction_report(
        self,
        shapes: Any,
        scheme: str | LandmarkScheme | None = None,
        accuracies: Sequence[float] = (0.80, 0.85, 0.90, 0.95, 0.97, 0.99),
    ) -> ReconstructionReport:
        """How far `ASM(G)` lies from `G` for several accuracies: what the loss will pull toward.

        Args:
            shapes: As for `fit`, without missing points; the shapes as the network will be trained on them, augmented
                if they are.
            scheme: Landmark scheme that names the eye corners; None normalises by the landmarks' box.
            accuracies: Fractions of the variance, each in (0, 1].

        Returns:
            The report; print it. It warns where these shapes are not like those the model was fitted on.
        """
        check_is_fitted(self)
        X, _ = self._validate(shapes, reset=False)
        return reconstruction_report(self._whole_model(), X, scheme, accuracies, self.n_components_)

    def linear_model(self) -> LinearShapeModel:
        """The fitted model as plain data: what the Keras layer and loss carry."""
        check_is_fitted(self)
        return self._whole_model().truncate(self.n_components_)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted model to one `.npz` file (never pickle), exact to the last bit.

        Args:
            path: File to write; `.npz` is appended where it is missing.
        """
        check_is_fitted(self)
        target = Path(path)
        if target.suffix != ".npz":
            target = target.with_name(target.name + ".npz")
        with replacing_file(target) as file:
            np.savez(
                file,
                allow_pickle=False,
                format=np.array(_FILE_FORMAT),
                # None has no array of its own without pickle: an empty one stands for it
                **{
                    f"parameter_{k}": np.array([] if v is None else [v]) for k, v in self.get_params().items()
                },
                mean_shape=self.mean_shape_,
                basis=self._basis,
                variances=self._variances,
                total_variance=np.array(self._total_variance),
                reference_shape=np.array([]) if self.reference_shape_ is None else self.reference_shape_,
                n_samples_seen=np.array(self.n_samples_seen_),
                paired=np.array(self._paired),
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ActiveShapeModel:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not a saved shape model. No object is unpickled, and no more memory taken than
                the file has bytes, whatever it claims.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"No shape model at this path. Received: path={str(path)!r}")
        try:
            stored = read_arrays(path)
            if stored["format"].item() != _FILE_FORMAT:
                raise ValueError(f"format {stored['format'].item()!r}")
            parameters: dict[str, Any] = {
                name: stored[f"parameter_{name}"].item() if stored[f"parameter_{name}"].size else None
                for name in cls().get_params()
            }
            asm = cls(**parameters)
            asm._validate_params()
            asm._paired = bool(stored["paired"])
            asm.n_features_in_ = len(stored["mean_shape"])
            asm.reference_shape_ = stored["reference_shape"] if stored["reference_shape"].size else None
            asm._set_basis(
                int(stored["n_samples_seen"]),
                stored["mean_shape"],
                stored["basis"],
                stored["variances"],
                float(stored["total_variance"]),
            )
            asm._whole_model()  # checks the arrays
            if asm.n_features_in_ % asm.n_dims or asm.n_samples_seen_ < 2:
                raise ValueError(f"{asm.n_features_in_} coordinates of {asm.n_samples_seen_} shapes")
        except (AttributeError, IndexError, KeyError, OSError, TypeError, ValueError) as error:
            raise ValueError(
                f"Expected a file written by ActiveShapeModel.save ({_FILE_FORMAT}). "
                f"Received: {str(path)!r}, which is not one: {error}"
            ) from error
        return asm

    @property
    def n_landmarks_(self) -> int:
        """Landmarks of a shape."""
        check_is_fitted(self)
        return self.n_features_in_ // self.n_dims

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_components_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.allow_nan = True
        return tags

    def _validate(
        self, X: Any, *, reset: bool, min_samples: int = 1, gaps: bool = False
    ) -> tuple[np.ndarray, np.dtype]:
        """Flat float64 shapes, checked by scikit-learn, and the float type they came in; `gaps` lets NaN through."""
        paired = getattr(X, "ndim", None) == 3 or (isinstance(X, list | tuple) and np.ndim(X) == 3)
        if paired:  # scikit-learn's checks know the flat layout alone
            X = as_flat(X, self.n_dims, leading=1)
        try:
            X = validate_data(
                self,
                X,
                reset=reset,
                dtype=[np.float64, np.float32],
                ensure_min_samples=min_samples,
                ensure_all_finite="allow-nan" if gaps else True,
            )
        except ValueError as error:
            raise _with_the_first_bad_shape(X, error, gaps) from None
        is_paired(
            X.shape, self.n_dims, leading=1, name=f"With n_features={X.shape[1]}, shapes"
        )  # refuses what n_dims does not divide
        if reset:
            self._paired = paired
        return X.astype(np.float64, copy=False), X.dtype

    def _completed(self, shapes: np.ndarray, weights: Any) -> np.ndarray:
        """`complete` of finite or missing float64 coordinates."""
        model = self.linear_model()
        points = as_points(shapes, **model.layout())
        present = present_points(points)
        trust = present.astype(np.float64)
        if weights is not None:
            weights = np.asarray(weights, dtype=np.float64)
            if weights.shape != present.shape or not (np.isfinite(weights) & (weights >= 0)).all():
                raise ValueError(
                    f"weights must be finite numbers from 0, one a landmark: shape {present.shape}. "
                    f"Received: shape {weights.shape}"
                    + (f", values from {weights.min()} to {weights.max()}" if weights.size else "")
                )
            trust = trust * weights
            trust = trust / np.maximum(trust.max(axis=-1, keepdims=True), np.finfo(np.float64).tiny)
        self._check_present(trust > 0)
        points = np.where(present[..., None], points, 0.0)
        return model.complete(points, trust).reshape(shapes.shape)

    def _without_gaps(self, X: np.ndarray) -> np.ndarray:
        return self._completed(X, None) if _has_gaps(X) else X

    def _check_present(self, present: np.ndarray, *, learning: bool = False) -> None:
        """Raises if a shape has too few points, or, for learning, a point no shape."""
        needed = 1 if self.align is None else 2
        few = present.sum(axis=-1) < needed
        if few.any():
            where = tuple(int(i) for i in np.argwhere(few)[0]) if few.ndim else ()
            raise ValueError(
                f"A shape needs at least {needed} of its points{' to be aligned' if needed == 2 else ''}: leave others "
                f"out. Received: {int(few.sum())} of {few.size} shapes with fewer"
                + (f", the first at index {where[0] if len(where) == 1 else where}" if where else "")
            )
        if learning and not present.any(axis=0).all():
            nowhere = np.flatnonzero(~present.any(axis=0))
            raise ValueError(
                "Each point must be there in at least one shape. "
                f"Received: {len(nowhere)} points that are missing in all, the first at index {nowhere[0]}"
            )

    def _aligns(self) -> bool:
        if self.align is not None and self.n_dims != 2:
            raise ValueError(
                f"align='procrustes' needs landmarks in the plane. Received: n_dims={self.n_dims}"
            )
        return self.align is not None

    def _start_with_gaps(self, X: np.ndarray, reference: Any) -> tuple[int, np.ndarray, np.ndarray]:
        """What `_learn` needs of the first shapes, some with missing points; sets the reference."""
        points = X.reshape(len(X), -1, self.n_dims)
        aligns = self._aligns()
        given = None if reference is None else self._find_reference(X, reference)
        self._check_present(present_points(points), learning=True)
        found = learn_moments(
            points, self.n_components, aligns, None if given is None else given.reshape(-1, 2)
        )
        self.reference_shape_ = None if found.reference is None else found.reference.reshape(-1)
        return _of_learned(found)

    def _reference_points(self) -> np.ndarray | None:
        return None if self.reference_shape_ is None else self.reference_shape_.reshape(-1, 2)

    def _find_reference(self, X: np.ndarray, given: Any) -> np.ndarray | None:
        if not self._aligns():
            if given is not None:
                raise ValueError(
                    'A reference is for align="procrustes". Received: a reference, with align=None'
                )
            return None
        if given is None:
            return procrustes_mean(X.reshape(len(X), -1, 2)).reshape(-1)
        reference = np.asarray(given, dtype=np.float64)
        if reference.shape not in ((X.shape[1],), (X.shape[1] // 2, 2)) or not np.isfinite(reference).all():
            raise ValueError(
                f"reference must be one finite shape, ({X.shape[1] // 2}, 2) or ({X.shape[1]},). "
                f"Received: shape {reference.shape}"
                + ("" if np.isfinite(reference).all() else ", not all of it finite")
            )
        reference = reference.reshape(-1, 2)
        return (reference - reference.mean(axis=0)).reshape(-1)

    def _is_reference(self, other: np.ndarray | None) -> bool:
        """Whether shapes were aligned to the same, whatever order its sum had."""
        own = self.reference_shape_
        if own is None or other is None:
            return own is other
        return own.shape == other.shape and bool(np.abs(own - other).max() <= 1e-12 * np.abs(own).max())

    def _seen(self) -> tuple[int, np.ndarray, np.ndarray]:
        """Number, mean and scatter of the shapes learned from."""
        scatter = (self._basis.T * self._variances) @ self._basis * (self.n_samples_seen_ - 1)
        return self.n_samples_seen_, self.mean_shape_, scatter

    def _aligned(self, X: np.ndarray) -> np.ndarray:
        if self.reference_shape_ is None:
            return X
        points, reference = X.reshape(len(X), -1, 2), self._reference_points()
        return np.concatenate(
            [align_to(points[some], reference)[0] for some in _blocks(len(X), _IN_CACHE)]
        ).reshape(X.shape)

    def _moments(self, X: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
        """Number, mean and scatter of the (aligned) shapes."""
        return functools.reduce(
            _pooled, (_moments(self._aligned(X[some])) for some in _blocks(len(X), _AT_ONCE))
        )

    def _learn(self, n_samples: int, mean: np.ndarray, scatter: np.ndarray) -> None:
        """Eigenvectors and eigenvalues of the covariance, those of no variance left out."""
        covariance = scatter / (n_samples - 1)
        variances, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
        variances, basis = variances[::-1], vectors.T[::-1]
        rounding = np.finfo(np.float64).eps * len(mean)
        if variances[0] <= (rounding * np.abs(mean).max()) ** 2 or variances[0] == 0.0:
            raise ValueError(
                "The shapes are all the same, so there is no variation to learn. "
                f"Received: {n_samples} shapes with a largest variance of {variances[0]:.3g}"
            )
        # A covariance of n samples has at most n - 1 directions; behind them stands only rounding.
        kept = np.flatnonzero(variances > rounding * variances[0])[: n_samples - 1]
        basis = basis[kept]
        largest = np.take_along_axis(basis, np.abs(basis).argmax(axis=1)[:, None], axis=1)
        self._set_basis(n_samples, mean, basis * np.sign(largest), variances[kept], float(covariance.trace()))

    def _set_basis(
        self,
        n_samples: int,
        mean: np.ndarray,
        basis: np.ndarray,
        variances: np.ndarray,
        total_variance: float,
    ) -> None:
        """The whole basis is kept, so that `partial_fit` goes on exactly and a report can try accuracies."""
        self._basis, self._variances, self._total_variance = basis, variances, total_variance
        self.n_samples_seen_ = n_samples
        self.mean_shape_ = mean
        if self.n_components is None:
            self.n_components_ = len(variances)
        elif isinstance(self.n_components, Integral):
            self.n_components_ = min(int(self.n_components), len(variances))
        else:
            self.n_components_ = count_for_accuracy(variances / total_variance, self.n_components)
        self.components_ = basis[: self.n_components_]
        self.explained_variance_ = variances[: self.n_components_]
        self.explained_variance_ratio_ = self.explained_variance_ / total_variance

    def _whole_model(self) -> LinearShapeModel:
        return LinearShapeModel(
            self.mean_shape_,
            self._basis,
            self._variances,
            self._variances / self._total_variance,
            None if self.limit is None else float(self.limit),
            self.reference_shape_,
            self.n_dims,
        )

    def _as_fitted(self, flat: np.ndarray) -> np.ndarray:
        return flat.reshape(len(flat), self.n_landmarks_, self.n_dims) if self._paired else flat


def _blocks(length: int, size: int) -> Iterator[slice]:
    return (slice(begin, begin + size) for begin in range(0, length, size))


def _has_gaps(shapes: np.ndarray) -> bool:
    """Whether a coordinate is NaN."""
    return shapes.size > 0 and bool(np.isnan(shapes.min()))


def _moments(X: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, mean and scatter of shapes."""
    mean = X.mean(axis=0)
    centred = X - mean
    return len(X), mean, centred.T @ centred


def _of_learned(found: LearnedMoments) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, mean and scatter of shapes with missing points."""
    n = len(found.completed)
    return n, found.mean, found.covariance * n


def _pooled(
    first: tuple[int, np.ndarray, np.ndarray], second: tuple[int, np.ndarray, np.ndarray]
) -> tuple[int, np.ndarray, np.ndarray]:
    """Number, mean and scatter of two sets of shapes together."""
    (n, mean, scatter), (m, other_mean, other_scatter) = first, second
    difference, total = other_mean - mean, n + m
    scatter = scatter + other_scatter + np.outer(difference, difference) * (n * m / total)
    return total, mean + difference * (m / total), scatter


def _with_the_first_bad_shape(X: Any, error: ValueError, gaps: bool) -> ValueError:
    """scikit-learn's error; for NaN and infinity, which it would have filled in, it says where they are."""
    if "NaN" not in str(error) and "infinity" not in str(error):
        return error
    X = np.asarray(X, dtype=np.float64)
    bad = np.atleast_1d((np.isinf(X) if gaps else ~np.isfinite(X)).any(axis=-1))
    kind, remedy = ("infinity", "") if gaps else ("NaN or infinity", ", or complete those with NaN")
    return ValueError(
        f"Shapes must be finite, and {int(bad.sum())} of {len(bad)} contain {kind}: leave them out{remedy}. "
        f"Received: the first such shape at index {int(np.argmax(bad))}"
    )


def _floats(array: Any, gaps: bool = False) -> tuple[np.ndarray, np.dtype]:
    """What a user passes as float64, finite (or NaN, where there may be `gaps`), and the type to give back."""
    array = _finite(array, gaps)
    return array.astype(np.float64, copy=False), array.dtype


def _finite(array: Any, gaps: bool) -> np.ndarray:
    """What a user passes, in float32 if it came so and otherwise in float64; checked as `_floats` says."""
    array = np.asarray(array)
    if array.dtype != np.float32:
        array = array.astype(np.float64, copy=False)
    # Both are NaN if a coordinate is
    if array.size and not (np.isfinite(array.min()) and np.isfinite(array.max())):
        bad = np.isinf(array) if gaps else ~np.isfinite(array)
        if bad.any():
            raise ValueError(
                f"Landmarks must be finite numbers{', or NaN where a point is missing' if gaps else ''}. "
                f"Received: {np.count_nonzero(bad)} {'' if gaps else 'NaN or '}infinite values of {array.size}"
            )
    return array
