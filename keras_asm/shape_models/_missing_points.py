"""Shapes of which some points are missing: how a shape model completes them, and how it is learned from them.

The model is that of probabilistic PCA. With eigenvectors `V` as rows, eigenvalues `lambda_k` and the mean `s2` of the
variances left out, a shape is

```text
S = mean + b V + noise,    b_k ~ N(0, p_k),  p_k = lambda_k - s2,    noise ~ N(0, s2) in each coordinate
```

so that its covariance is `V diag(lambda - s2) V^T + s2 I`. A point with a weight `w` between 0 and 1 is one whose noise
has the variance `s2 / w`: a missing point has the weight 0.

Where shapes are aligned, the similarity `z -> a z + t` of the plane (`z = x + iy`) is unknown too, and linear in `a`
and `t`. One least-squares problem then has all the unknowns, and nothing takes turns: alternating between similarity
and coefficients takes hundreds of rounds where the outline of a face is missing, and can run away.

References:
    M. E. Tipping, C. M. Bishop, "Probabilistic principal component analysis", JRSS B 61 (1999), appendix on missing
    data.
    S. Roweis, "EM algorithms for PCA and SPCA", NIPS 1997.
    R. J. A. Little, D. B. Rubin, *Statistical Analysis with Missing Data*, chapter 11.
    O. Cappé, E. Moulines, "On-line expectation-maximization algorithm for latent data models", JRSS B 71 (2009).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_asm.shape_models.procrustes import align_to, procrustes_mean

if TYPE_CHECKING:
    from keras_asm.shape_models.linear_shape_model import LinearShapeModel

__all__ = [
    "LearnedMoments",
    "completed_points",
    "expected_moments",
    "expected_points",
    "fitted_similarity",
    "learn_moments",
    "log_likelihood",
    "mean_coefficients",
    "present_points",
    "prior_and_noise",
]

# Shapes completed at a time: as many K x K matrices are in memory
_CHUNK = 256
_NEWTON_STEPS = 5
_SCALE_STEPS, _PART_OF_A_STEP = 15, 0.7
_TOLERANCE = 1e-3
_MOST_ITERATIONS = 100


def present_points(points: np.ndarray) -> np.ndarray:
    """Which points have a position, Boolean `(..., n_landmarks)`: a point with one NaN has none."""
    return ~np.isnan(points).any(axis=-1)


def mean_coefficients(
    residual: Any, weights: Any, components: np.ndarray, prior: np.ndarray, noise: float, xp: Any = np
) -> Any:
    """Mean of the coefficients given weighted coordinates.

    ```text
    E[b | S] = A^-1 V W (S - mean)^T,    A = V W V^T + s2 diag(1 / p)
    ```

    Args:
        residual: `S - mean`, `(..., n_features)`; finite, also where a weight is 0.
        weights: `W`, `(..., n_features)`.
        components: `V`, `(n_components, n_features)`.
        prior: `p`, `(n_components,)`.
        noise: `s2`.
        xp: The namespace that computes, `numpy` or `keras.ops`.

    Returns:
        `(..., n_components)`.
    """
    rows = _like(components, residual, xp) + xp.zeros_like(residual[..., None, :])
    return _least_squares(rows, residual, weights, noise / prior, xp)


class _Fit(NamedTuple):
    """The unknowns of shapes whose similarity is one of them.

    Attributes:
        points: the shape without its noise, where the original lay, `(..., n_landmarks, 2)`.
        expected: the same where the model has it, `mean + b V`.
        aligned: the original where the model has it, `a z + t`.
        square: `|a|^2`, `(...,)`; 0 if the points have no extent.
        precision: `A` of `mean_coefficients`: `s2 A^-1` is the covariance of `b`, given the similarity.
    """

    points: Any
    expected: Any
    aligned: Any
    square: Any
    precision: Any


def fitted_similarity(
    points: Any,
    weights: Any,
    mean: np.ndarray,
    components: np.ndarray,
    prior: np.ndarray,
    noise: float,
    xp: Any = np,
) -> tuple[Any, Any]:
    """The shape without its noise, as the model expects it: similarity and coefficients at once.

    Minimises over `a`, `t` and `b`

    ```text
    sum_j w_j |a z_j + t - mean_j - (b V)_j|^2 + s2 sum_k b_k^2 / p_k
    ```

    less `s2 d log |a|^2`, `d` the weighted number of landmarks, and brings `mean + b V` back by `z = (w - t) / a`. The
    logarithm makes a likelihood of the points as they lie of one of the aligned points: without it, a small `a` would
    make all errors small.

    Args:
        points: `(..., n_landmarks, 2)`; finite, also where a weight is 0.
        weights: `(..., n_landmarks)`.
        mean: `(2 * n_landmarks,)`.
        components: As in `mean_coefficients`; there may be none.
        prior: As in `mean_coefficients`.
        noise: As in `mean_coefficients`.
        xp: The namespace that computes, `numpy` or `keras.ops`.

    Returns:
        Points `(..., n_landmarks, 2)` where the originals lay, and the same where the model has them.
    """
    fit = _fit_similarity(points, weights, xp.sum(weights, axis=-1), mean, components, prior, noise, xp)
    return fit.points, fit.expected


def _fit_similarity(
    points: Any,
    weights: Any,
    count: Any,
    mean: np.ndarray,
    components: np.ndarray,
    prior: np.ndarray,
    noise: float,
    xp: Any,
) -> _Fit:
    """As `fitted_similarity`, with `d` as `count`, `(...,)`."""
    # Points are centred and brought to size 1, so that float32 can solve for a and t beside b
    total = xp.sum(weights, axis=-1)[..., None, None]
    shares = weights[..., None] / xp.where(total > 0, total, 1.0)
    centre = xp.sum(shares * points, axis=-2, keepdims=True)
    size = xp.sqrt(xp.sum(shares * xp.square(points - centre), axis=(-2, -1), keepdims=True))
    size = xp.where(size > 0, size, 1.0)
    x, y = ((points - centre) / size)[..., 0], ((points - centre) / size)[..., 1]
    one, zero = xp.ones_like(x), xp.zeros_like(x)
    # Rows of a's real and imaginary part, of t's x and y, and of b
    pairs = [xp.stack(pair, axis=-1) for pair in ((x, y), (-y, x), (one, zero), (zero, one))]
    flat = (*xp.shape(x)[:-1], 1, len(mean))
    rows = [xp.reshape(pair, flat) for pair in pairs]
    rows = xp.concatenate([*rows, xp.zeros_like(rows[0]) - _like(components, points, xp)], axis=-2)
    ridge = np.concatenate([np.zeros(4), noise / prior])
    target = _like(mean, points, xp) + xp.zeros_like(rows[..., 0, :])
    matrix, right = _normal_equations(rows, target, xp.repeat(weights, 2, axis=-1), ridge, xp)
    # A speck of ridge keeps the matrix regular where hardly a point is there
    speck = 1e-6 * xp.maximum(xp.minimum(total, 1.0), 1e-6)
    matrix = matrix + speck * _like(np.diag(np.arange(len(ridge)) < 4).astype(float), matrix, xp)
    # Beside the least squares, how the unknowns follow a: the first two columns of the inverse
    unit = _like(np.eye(len(ridge), 2), points, xp) + xp.zeros_like(right[..., None])
    solved = (np.linalg.solve if xp is np else xp.solve)(
        matrix, xp.concatenate([right[..., None], unit], axis=-1)
    )
    found, follow = solved[..., 0], solved[..., 1:]
    found = found + _scale_step(found, follow, 2.0 * noise * count, xp)
    real, imag = found[..., 0:1], found[..., 1:2]
    shift = found[..., None, 2:4]
    expected = _like(mean, points, xp) + xp.sum(found[..., 4:, None] * _like(components, points, xp), axis=-2)
    expected = xp.reshape(expected, xp.shape(points))
    aligned = xp.stack([real * x - imag * y, imag * x + real * y], axis=-1) + shift
    square = real * real + imag * imag
    degenerate = square <= 1e-12
    safe = xp.where(degenerate, 1.0, square)
    real, imag = (xp.where(degenerate, 0.0, part / safe) for part in (real, -imag))
    u, v = (expected - shift)[..., 0], (expected - shift)[..., 1]
    back = xp.stack([real * u - imag * v, imag * u + real * v], axis=-1)
    square = xp.where(degenerate, 0.0, square)[..., 0] / xp.square(size[..., 0, 0])
    return _Fit(size * back + centre, expected, aligned, square, matrix[..., 4:, 4:])


def _scale_step(found: Any, follow: Any, logarithm: Any, xp: Any) -> Any:
    """What the logarithm adds to the unknowns of least squares.

    With `S` the inverse of the first two rows of `follow`, the sum of squares is `(a - a0)^T S (a - a0)` above its
    least where the others follow `a`. What is left to minimise has two unknowns:

    ```text
    1/2 (a - a0)^T S (a - a0) - nu log |a|,    nu = s2 d
    ```

    Along `a0`, `a = r a0` has the closed form `r = (1 + sqrt(1 + 4 nu / (a0^T S a0))) / 2`. From there on, Newton's
    steps with the matrix `S + 2 nu a a^T / |a|^4`, which is never less than the second derivative.
    """
    a, b, c, d = (follow[..., i, j] for i in (0, 1) for j in (0, 1))
    determinant = a * d - b * c
    determinant = xp.where(determinant > 0, determinant, 1.0)
    s11, s12, s22 = d / determinant, -0.5 * (b + c) / determinant, a / determinant
    x0, y0 = found[..., 0], found[..., 1]
    curvature = s11 * x0 * x0 + 2.0 * s12 * x0 * y0 + s22 * y0 * y0
    usable = (curvature > 1e-3 * logarithm) & (logarithm > 0)
    nu = xp.where(usable, logarithm, 0.0)
    ratio = (1.0 + xp.sqrt(1.0 + 4.0 * nu / xp.where(usable, curvature, 1.0))) / 2.0
    x, y = ratio * x0, ratio * y0
    for _ in range(_NEWTON_STEPS):
        square = x * x + y * y
        square = xp.where(square > 0, square, 1.0)
        slope_x = s11 * (x - x0) + s12 * (y - y0) - nu * x / square
        slope_y = s12 * (x - x0) + s22 * (y - y0) - nu * y / square
        more = 2.0 * nu / (square * square)
        h11, h12, h22 = s11 + more * x * x, s12 + more * x * y, s22 + more * y * y
        determinant = h11 * h22 - h12 * h12
        determinant = xp.where(determinant > 0, determinant, 1.0)
        x, y = (
            x - (h22 * slope_x - h12 * slope_y) / determinant,
            y - (h11 * slope_y - h12 * slope_x) / determinant,
        )
    pull = xp.stack([s11 * (x - x0) + s12 * (y - y0), s12 * (x - x0) + s22 * (y - y0)], axis=-1)
    return xp.where(usable[..., None], xp.sum(follow * pull[..., None, :], axis=-1), 0.0)


def _least_squares(rows: Any, target: Any, weights: Any, ridge: np.ndarray, xp: Any) -> Any:
    """The `u` that minimises `sum_j w_j ((u R)_j - target_j)^2 + sum_k ridge_k u_k^2`; see `_normal_equations`."""
    matrix, right = _normal_equations(rows, target, weights, ridge, xp)
    return (np.linalg.solve if xp is np else xp.solve)(matrix, right[..., None])[..., 0]


def _normal_equations(rows: Any, target: Any, weights: Any, ridge: np.ndarray, xp: Any) -> tuple[Any, Any]:
    """Matrix and right-hand side of weighted least squares with a ridge.

    Args:
        rows: `R`, `(..., n_unknowns, n_features)`.
        target: `(..., n_features)`.
        weights: `(..., n_features)`.
        ridge: `(n_unknowns,)`.
        xp: The namespace that computes.
    """
    weighted = rows * xp.expand_dims(weights, -2)
    if xp is np:
        matrix = weighted @ np.swapaxes(rows, -1, -2)
    else:  # a sum of products, which no device rounds to TF32
        matrix = xp.sum(xp.expand_dims(weighted, -2) * xp.expand_dims(rows, -3), axis=-1)
    right = xp.sum(weighted * xp.expand_dims(target, -2), axis=-1)
    return matrix + _like(np.diag(ridge), matrix, xp), right


def completed_points(model: LinearShapeModel, points: Any, weights: Any, xp: Any = np) -> Any:
    """Points where they are sure, and where the model expects them where they are not: `w S + (1 - w) E[S | S]`.

    For weights of 0 and 1 these are the points that are there, and the conditional means of the others.

    Args:
        model: The shape model.
        points: `(..., n_landmarks, n_dims)`; finite, also where a weight is 0.
        weights: `(..., n_landmarks)`, from 0 to 1.
        xp: The namespace that computes, `numpy` or `keras.ops`.

    Returns:
        `(..., n_landmarks, n_dims)`.
    """
    if model.reference_shape is None:
        flat = xp.reshape(points, (*xp.shape(points)[:-2], model.n_features))
        each = xp.repeat(weights, model.n_dims, axis=-1)
        residual = flat - _like(model.mean_shape, points, xp)
        coefficients = mean_coefficients(residual, each, model.components, *model.prior, xp)
        expected = xp.reshape(model.decode(coefficients, xp=xp), xp.shape(points))
    else:
        expected, _ = fitted_similarity(points, weights, model.mean_shape, model.components, *model.prior, xp)
    return weights[..., None] * points + (1.0 - weights[..., None]) * expected


def expected_points(model: LinearShapeModel, points: Any, scales: Any, xp: Any = np) -> Any:
    """The expected true points of measured ones, `E[S | measured]`, whatever the similarity.

    With the error `sigma_j` of a measured point `z_j`, the point `a z_j + t` is one of the model with the noise
    `v_j = s2 + |a|^2 sigma_j^2`, or the weight `w_j = s2 / v_j`. Where shapes are aligned, the similarity is the most
    likely one, `b` averaged over. It maximises

    ```text
    sum_j log |a|^2 - log v_j - E|r_j|^2 / (2 v_j),    r = a z + t - mean - b V
    ```

    in the sense of EM, `v` depending on `a`. With the `v` of the step before, this is the problem of
    `fitted_similarity` with

    ```text
    d = sum_j w_j + (1 - w_j) E|r_j|^2 / (2 v_j)
    ```

    which is about the number of points, if their errors are as large as is said. A few steps lead there, from the mean
    shape laid on the points; each goes 0.7 of the way, as whole ones run away where errors are far smaller than said.

    Args:
        model: The shape model.
        points: `(..., n_landmarks, n_dims)`; finite, also where a scale is infinite.
        scales: Standard deviations of the errors, `(..., n_landmarks)`, from 0 to infinity.
        xp: The namespace that computes, `numpy` or `keras.ops`.

    Returns:
        `(..., n_landmarks, n_dims)`.
    """
    prior, noise = model.prior
    if model.reference_shape is None:
        return completed_points(model, points, noise / (noise + scales * scales), xp)
    mean, components = (_like(array, points, xp) for array in (model.mean_shape, model.components))
    square, squares = _laid_on_mean(points, scales, xp.reshape(mean, (-1, 2)), xp)
    variances = noise + square[..., None] * scales * scales
    count = _effective_count(noise / variances, xp.minimum(squares / (2.0 * variances), 1.0), xp)
    part, rest = _PART_OF_A_STEP, 1.0 - _PART_OF_A_STEP
    for _ in range(_SCALE_STEPS):
        weights = noise / variances
        fit = _fit_similarity(points, weights, count, model.mean_shape, model.components, prior, noise, xp)
        spread = components + xp.zeros_like(xp.reshape(points, (*xp.shape(points)[:-2], 1, model.n_features)))
        spread = (np.linalg.solve if xp is np else xp.solve)(fit.precision, spread)
        spread = xp.reshape(noise * xp.sum(components * spread, axis=-2), xp.shape(points))
        squares = xp.sum(xp.square(fit.aligned - fit.expected) + spread, axis=-1)
        count = count**rest * _effective_count(weights, squares / (2.0 * variances), xp) ** part
        square = square**rest * xp.where(fit.square > 0, fit.square, square) ** part
        variances = noise + square[..., None] * scales * scales
    return weights[..., None] * points + (1.0 - weights[..., None]) * fit.points


def _effective_count(weights: Any, squares: Any, xp: Any) -> Any:
    """The `d` of `expected_points`, with `E|r|^2 / (2 v)` as `squares`."""
    return xp.sum(weights + (1.0 - weights) * squares, axis=-1)


def _laid_on_mean(points: Any, scales: Any, mean: Any, xp: Any) -> tuple[Any, Any]:
    """`|a|^2` and `|a z + t - mean|^2` of each point, where the sizes of the points that are there are made equal."""
    there = xp.where(xp.isfinite(scales), xp.ones_like(scales), xp.zeros_like(scales))
    shares = (there / xp.sum(there, axis=-1, keepdims=True))[..., None]
    points, mean = (each - xp.sum(shares * each, axis=-2, keepdims=True) for each in (points, mean))
    x, y, u, v = points[..., 0], points[..., 1], mean[..., 0], mean[..., 1]
    shares = shares[..., 0]
    size, wanted = (xp.sum(shares * (p * p + q * q), axis=-1) for p, q in ((x, y), (u, v)))
    square = wanted / xp.where(size > 0, size, 1.0)
    # The best rotation is the phase of the inner product
    real, imag = xp.sum(shares * (x * u + y * v), axis=-1), xp.sum(shares * (x * v - y * u), axis=-1)
    length = xp.sqrt(real * real + imag * imag)
    length = xp.sqrt(square) / xp.where(length > 0, length, 1.0)
    real, imag = (length * real)[..., None], (length * imag)[..., None]
    return square, xp.square(real * x - imag * y - u) + xp.square(imag * x + real * y - v)


def _like(constant: np.ndarray, array: Any, xp: Any) -> Any:
    return constant if xp is np else xp.convert_to_tensor(constant, dtype=array.dtype)


def log_likelihood(model: LinearShapeModel, shapes: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Log density of the coordinates that are there, each shape's own, by the determinant and inverse of `A`.

    ```text
    log N(r; 0, V_o^T diag(p) V_o + s2 I) = -1/2 (d_o log(2 pi s2) + sum_k log(p_k / s2) + log det A
                                                 + (r r^T - r V_o^T A^-1 V_o r^T) / s2)
    ```

    Args:
        model: The shape model.
        shapes: Flat shapes where they are aligned, `(n_samples, n_features)`; finite everywhere.
        present: Which coordinates are there, Boolean of the same shape.

    Returns:
        `(n_samples,)`.
    """
    prior, noise = model.prior
    residual = np.where(present, shapes - model.mean_shape, 0.0)
    matrix = (present.astype(np.float64) @ _outer(model.components).T).reshape(
        len(shapes), len(prior), len(prior)
    )
    matrix = matrix + np.diag(noise / prior)
    right = residual @ model.components.T
    explained = (right * np.linalg.solve(matrix, right[..., None])[..., 0]).sum(axis=1)
    determinant = np.linalg.slogdet(matrix)[1] + np.log(prior / noise).sum()
    distance = ((residual**2).sum(axis=1) - explained) / noise
    return -0.5 * (present.sum(axis=1) * np.log(2 * np.pi * noise) + determinant + distance)


class LearnedMoments(NamedTuple):
    """What `learn_moments` finds.

    Attributes:
        reference: What shapes are aligned to, `(n_landmarks, 2)`; None without alignment.
        mean: `(n_features,)`, of the aligned shapes.
        covariance: `(n_features, n_features)`, with the divisor `n_samples`.
        completed: The aligned shapes, their missing coordinates at their conditional means.
    """

    reference: np.ndarray | None
    mean: np.ndarray
    covariance: np.ndarray
    completed: np.ndarray


def learn_moments(
    points: np.ndarray, n_components: float | int | None, align: bool, reference: np.ndarray | None = None
) -> LearnedMoments:
    """Mean and covariance of shapes with missing points, by expectation and maximisation.

    The E step takes the mean and covariance of the missing coordinates given the present ones, under the covariance of
    probabilistic PCA. The M step takes the mean and covariance of the shapes completed in this way, the covariances of
    what was missing added. With alignment, each round aligns the completed shapes to their Procrustes mean anew.

    The E step's rank is that of 99 % of the variance, or of `n_components` if that is more, and a fifth of the number
    of shapes at most: on faces with half of their points, a smaller rank loses detail, and a larger one learns noise
    from few shapes.

    Args:
        points: `(n_samples, n_landmarks, n_dims)`, NaN where a point is missing.
        n_components: As in `ActiveShapeModel`.
        align: Whether shapes are aligned.
        reference: What they are aligned to, `(n_landmarks, 2)`; None: their own mean.
    """
    present, points, there = _taken_apart(points)
    n, d = there.shape
    given = reference
    if align:
        whole = _filled_by_reference(points, present)
        reference = procrustes_mean(whole) if given is None else given
        flat = align_to(whole, reference)[0].reshape(n, d)
    else:
        flat = points.reshape(n, d)
    mean = np.where(there, flat, 0.0).sum(axis=0) / there.sum(axis=0)
    completed = np.where(there, flat, mean)
    covariance = np.cov(completed.T, bias=True).reshape(d, d)
    for _ in range(_MOST_ITERATIONS):
        model = _truncated(covariance, n_components, n)
        if align:
            whole = _completed_where_they_lie(points, present, mean, *model)
            reference = procrustes_mean(whole) if given is None else given
            flat = align_to(whole, reference)[0].reshape(n, d)
        completed, missing = _expectation(flat, there, mean, *model)
        if align:
            completed = flat
        before = covariance
        mean, covariance = _mean_and_covariance(completed, missing)
        if np.linalg.norm(covariance - before) <= _TOLERANCE * np.linalg.norm(covariance):
            break
    else:
        warnings.warn(
            f"The covariance of shapes with missing points still changes by more than {_TOLERANCE:g} of itself after "
            f"{_MOST_ITERATIONS} iterations: too few points are there to tell it. Received: {n} shapes, "
            f"{present.mean():.0%} of whose points are there",
            UserWarning,
            stacklevel=4,
        )
    return LearnedMoments(reference, mean, covariance, completed)


def expected_moments(
    points: np.ndarray,
    n_components: float | int | None,
    reference: np.ndarray | None,
    seen: tuple[int, np.ndarray, np.ndarray],
) -> LearnedMoments:
    """Mean and covariance that shapes with missing points are expected to have, under what was learned before them.

    One E step. Added up over batches, each under what was learned by then, these are the sufficient statistics of
    on-line EM with the step size of one over the number of shapes, by which complete shapes are weighted exactly.

    Args:
        points: As in `learn_moments`.
        n_components: As in `learn_moments`.
        reference: What shapes are aligned to; None without alignment.
        seen: Number, mean and scatter of the shapes before.
    """
    present, points, there = _taken_apart(points)
    n_seen, mean, scatter = seen
    model = _truncated(scatter / n_seen, n_components, n_seen)
    flat = points.reshape(there.shape)
    if reference is not None:
        whole = _completed_where_they_lie(points, present, mean, *model)
        flat = align_to(whole, reference)[0].reshape(there.shape)
    completed, missing = _expectation(flat, there, mean, *model)
    if reference is not None:
        completed = flat
    return LearnedMoments(reference, *_mean_and_covariance(completed, missing), completed)


def _taken_apart(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which points are there, the points with 0 for the others, and which coordinates of the flat shapes are there."""
    present = present_points(points)
    there = np.repeat(present, points.shape[-1], axis=-1).reshape(len(points), -1)
    return present, np.where(present[..., None], points, 0.0), there


def _mean_and_covariance(completed: np.ndarray, missing: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The M step: of completed shapes, with the sum of the covariances of what was missing."""
    mean = completed.mean(axis=0)
    centred = completed - mean
    return mean, (centred.T @ centred + missing) / len(completed)


def _completed_where_they_lie(
    points: np.ndarray,
    present: np.ndarray,
    mean: np.ndarray,
    components: np.ndarray,
    prior: np.ndarray,
    noise: float,
) -> np.ndarray:
    whole = points.copy()
    partial = np.flatnonzero(~present.all(axis=1))
    for start in range(0, len(partial), _CHUNK):
        rows = partial[start : start + _CHUNK]
        weights = present[rows].astype(np.float64)
        expected, _ = fitted_similarity(points[rows], weights, mean, components, prior, noise)
        whole[rows] = np.where(present[rows][..., None], points[rows], expected)
    return whole


def _filled_by_reference(points: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Shapes to begin with: missing points from the mean of what is there, aligned a few times to itself.

    The first reference is the most complete shape; points that it lacks come in with the shapes that have them.
    """
    first = int(present.sum(axis=1).argmax())
    known = present[first]
    reference = np.where(known[:, None], points[first] - points[first][known].mean(axis=0), 0.0)
    size = np.sqrt(np.mean(reference**2))
    nothing = np.empty((0, reference.size)), np.empty(0), 1e-9
    for _ in range(10):
        both = present & known
        usable = both.sum(axis=1) >= 2
        # Onto the reference: the similarity that takes the reference to each shape, undone
        placed = _onto(reference, points[usable], both[usable])
        counts = present[usable].sum(axis=0)
        known = counts > 0
        reference = np.where(present[usable][..., None], placed, 0.0).sum(axis=0)
        reference = reference / np.maximum(counts, 1)[:, None]
        reference = np.where(known[:, None], reference - reference[known].mean(axis=0), 0.0)
        reference *= size / np.sqrt(np.mean(reference**2))
    expected, _ = fitted_similarity(points, present.astype(np.float64), reference.reshape(-1), *nothing)
    return np.where(present[..., None], points, expected)


def _onto(reference: np.ndarray, shapes: np.ndarray, usable: np.ndarray) -> np.ndarray:
    """Shapes moved onto a reference by least squares over the usable points."""
    z, m = (array[..., 0] + 1j * array[..., 1] for array in (shapes, reference))
    weights = usable / usable.sum(axis=1, keepdims=True)
    centre, part = ((weights * values).sum(axis=1, keepdims=True) for values in (z, m))
    inner = (weights * np.conj(z - centre) * (m - part)).sum(axis=1, keepdims=True)
    square = (weights * np.abs(z - centre) ** 2).sum(axis=1, keepdims=True)
    placed = inner / np.where(square > 0, square, 1.0) * (z - centre) + part
    return np.stack([placed.real, placed.imag], axis=-1)


def _truncated(
    covariance: np.ndarray, n_components: float | int | None, n_samples: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Components, prior variances and noise of probabilistic PCA with a covariance."""
    variances, vectors = np.linalg.eigh(covariance)
    variances, components = np.maximum(variances[::-1], 0.0), vectors.T[::-1]
    shares = np.cumsum(variances) / variances.sum()
    wanted = n_components if isinstance(n_components, float) else 0.0
    rank = int(np.searchsorted(shares, max(0.99, wanted), side="right")) + 1
    if n_components is not None and not isinstance(n_components, float):
        rank = max(rank, int(n_components))
    rank = max(1, min(rank, n_samples // 5, len(variances) - 1))
    prior, noise = prior_and_noise(variances[:rank], float(variances.sum()), len(variances))
    return components[:rank], prior, noise


def prior_and_noise(variances: np.ndarray, total: float, n_features: int) -> tuple[np.ndarray, float]:
    """What probabilistic PCA makes of eigenvalues: `lambda - s2` and `s2`, the mean of the variances left out.

    Both are kept above rounding: `s2` above a millionth of the variance of a coordinate, so that float32 can solve for
    the coefficients, and `lambda - s2` above a millionth of `lambda`.

    Args:
        variances: Eigenvalues that are kept.
        total: The sum of all.
        n_features: The number of all.
    """
    left_out = max(total - float(variances.sum()), 0.0) / max(n_features - len(variances), 1)
    noise = max(left_out, 1e-6 * total / n_features)
    return np.maximum(variances - noise, 1e-6 * variances), noise


def _expectation(
    shapes: np.ndarray,
    present: np.ndarray,
    mean: np.ndarray,
    components: np.ndarray,
    prior: np.ndarray,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Completed shapes, and the sum of the conditional covariances of their missing coordinates.

    With `A` of `mean_coefficients` for the present coordinates `o`, the missing ones `m` have the covariance
    `s2 (V_m^T A^-1 V_m + I)`.
    """
    k, d = components.shape
    completed, covariance = shapes.copy(), np.zeros((d, d))
    outer = _outer(components)
    partial = np.flatnonzero(~present.all(axis=1))
    for start in range(0, len(partial), _CHUNK):
        rows = partial[start : start + _CHUNK]
        there = present[rows]
        residual = np.where(there, shapes[rows] - mean, 0.0)
        matrix = (there.astype(np.float64) @ outer.T).reshape(-1, k, k) + np.diag(noise / prior)
        inverse = np.linalg.inv(matrix)
        coefficients = np.matmul(inverse, (residual @ components.T)[..., None])[..., 0]
        completed[rows] = np.where(there, shapes[rows], mean + coefficients @ components)
        # A^-1 = L L^T makes of the sum over shapes one product of matrices
        roots = np.matmul(components.T, np.linalg.cholesky((inverse + inverse.transpose(0, 2, 1)) / 2))
        roots = (roots * ~there[..., None]).transpose(1, 0, 2).reshape(d, -1)
        covariance += noise * (roots @ roots.T) + np.diag(noise * (~there).sum(axis=0))
    return completed, covariance


def _outer(components: np.ndarray) -> np.ndarray:
    """Products of the components with each other, coordinate by coordinate, `(n_components ** 2, n_features)`."""
    return (components[:, None] * components).reshape(-1, components.shape[1])
