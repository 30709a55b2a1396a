"""How far a predicted shape is from those that faces have, and the probability that this tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, as_flat, as_points
from keras_asm.metrics import normalized_mean_error
from keras_asm.shape_models import LinearShapeModel

__all__ = [
    "ConfidenceCalibration",
    "ConfidenceReport",
    "fit_confidence",
    "mahalanobis_distance",
    "shape_distance",
]


@dataclass(frozen=True)
class ConfidenceCalibration:
    """A logistic curve that turns the distance `d` of a shape from a shape model into a probability.

        confidence = 1 / (1 + exp(-(intercept + slope * d)))

    Attributes:
        intercept: Log odds of a good prediction at distance 0.
        slope: Change of the log odds per unit of distance, below 0.
        nme_threshold: The normalised mean error up to which a prediction counts as good.

    Raises:
        ValueError: If a number is not finite, the slope is not below 0 or the threshold not above 0.

    Examples:
        >>> from keras_asm.inference import ConfidenceCalibration
        >>> ConfidenceCalibration(intercept=4.0, slope=-100.0).probability([0.0, 0.04, 0.08]).round(3)
        array([0.982, 0.5  , 0.018])

    See Also:
        - [`fit_confidence`][keras_asm.inference.fit_confidence]: fits it.
        - [`shape_distance`][keras_asm.inference.shape_distance]: the distance that it takes.
        - [`LandmarkModelInfo`][keras_asm.inference.LandmarkModelInfo]: keeps it with the network.
    """

    intercept: float
    slope: float
    nme_threshold: float = 0.08

    def __post_init__(self) -> None:
        numbers = (self.intercept, self.slope, self.nme_threshold)
        if not (all(map(math.isfinite, numbers)) and self.slope < 0 < self.nme_threshold):
            raise ValueError(
                "A calibration needs finite numbers, a slope below 0 and a threshold above 0. "
                f"Received: intercept={self.intercept}, slope={self.slope}, nme_threshold={self.nme_threshold}"
            )

    def probability(self, distance: Any) -> np.ndarray:
        """Probability of a good prediction, in (0, 1), of the shape of `distance`."""
        # tanh, which does not overflow: sigmoid(z) = (1 + tanh(z / 2)) / 2
        return (1 + np.tanh((self.intercept + self.slope * np.asarray(distance, dtype=np.float64)) / 2)) / 2

    def get_config(self) -> dict[str, float]:
        """Plain numbers."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class ConfidenceReport:
    """What `fit_confidence` has found out.

    Attributes:
        calibration: The curve of the shape distance.
        auroc: Area under the ROC curve of each score for finding bad predictions: 0.5 is chance, 1 perfect. Keys:
            `"shape_distance"`, `"mahalanobis"` and, where they were given or can be had, `"flip"` and `"combination"`.
            The combination is a logistic regression on the logarithms of all scores, and is rated on faces that it was
            not fitted on (five folds).
        reliability: A row for each tenth of the predictions, in the order of confidence: mean confidence, and the
            fraction of good ones. `(10, 2)`.
        n_good: Predictions within the threshold.
        n_bad: Those beyond it, those without a face among them.
        n_left_out: Predictions whose error is not known, as true eye corners or all true landmarks have no position.

    Examples:
        `fit_confidence` makes one, whose `calibration` goes into a `LandmarkModelInfo`:

        >>> import numpy as np
        >>> from keras_asm.inference import ConfidenceCalibration, ConfidenceReport
        >>> report = ConfidenceReport(
        ...     ConfidenceCalibration(intercept=-10.0, slope=-3.0), {"shape_distance": 0.9}, np.zeros((10, 2)), 90, 10)
        >>> report.n_good, report.auroc["shape_distance"]
        (90, 0.9)

    See Also:
        - [`fit_confidence`][keras_asm.inference.fit_confidence]: makes it.
        - [`ConfidenceCalibration`][keras_asm.inference.ConfidenceCalibration]: the curve in it.
    """

    calibration: ConfidenceCalibration
    auroc: Mapping[str, float]
    reliability: np.ndarray
    n_good: int
    n_bad: int
    n_left_out: int = 0

    def __str__(self) -> str:
        c = self.calibration
        lines = [
            f"{self.n_good} good and {self.n_bad} bad predictions (NME up to {100 * c.nme_threshold:g} %)"
            + (f", {self.n_left_out} of unknown error left out" if self.n_left_out else ""),
            f"confidence = sigmoid({c.intercept:.3f} {c.slope:+.3f} * shape distance)",
            "AUROC: " + ", ".join(f"{name} {value:.3f}" for name, value in self.auroc.items()),
            "confidence  good",
        ]
        return "\n".join(lines + [f"{said:10.3f}  {was:.3f}" for said, was in self.reliability])


def shape_distance(landmarks: Any, shape_model: Any) -> np.ndarray:
    """How far shapes are from the nearest plausible ones, relative to their size.

        d(S) = mean_i |S_i - ASM(S)_i| / size(S),   size(S)^2 = mean_i |S_i - mean_j S_j|^2

    With a shape model that aligns (`ActiveShapeModel(align="procrustes")`), `d` does not depend on where a face lies,
    how large it is or how its head rolls.

    Args:
        landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`, in any unit that `shape_model` takes.
        shape_model: As `LinearShapeModel.of` takes it.

    Returns:
        Float64 `(n,)`, from 0; infinite for a shape without extent.

    Examples:
        >>> from keras_asm import ActiveShapeModel
        >>> from keras_asm.inference import shape_distance
        >>> rng = np.random.default_rng(0)
        >>> shapes = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0], [0.5, 0.5]]) + 0.01 * rng.normal(size=(50, 4, 2))
        >>> asm = ActiveShapeModel(n_components=2, align="procrustes").fit(shapes)
        >>> other_way_up = shapes[:1] * [1, -1]
        >>> bool(shape_distance(other_way_up, asm) > 10 * shape_distance(shapes, asm).max())
        True

    See Also:
        - [`mahalanobis_distance`][keras_asm.inference.mahalanobis_distance]: looks at the coefficients
          instead.
        - [`fit_confidence`][keras_asm.inference.fit_confidence]: turns it into a probability.
        - [`ActiveShapeModel`][keras_asm.shape_models.active_shape_model.ActiveShapeModel]: what plausible
          means.
    """
    model = LinearShapeModel.of(shape_model)
    points = as_points(landmarks, leading=1, **model.layout()).astype(np.float64)
    away = np.linalg.norm(points - model.project(points), axis=-1).mean(axis=-1)
    size = np.sqrt(np.square(points - points.mean(axis=1, keepdims=True)).sum(axis=-1).mean(axis=-1))
    return np.divide(away, size, out=np.full(len(points), np.inf), where=size > 0)


def mahalanobis_distance(landmarks: Any, shape_model: Any) -> np.ndarray:
    """How unusual the coefficients of shapes are: `sqrt(sum_k b_k^2 / lambda_k)`.

    What the model does not span does not count, unlike in `shape_distance`.

    Args:
        landmarks: As in `shape_distance`.
        shape_model: As in `shape_distance`.

    Returns:
        Float64 `(n,)`, from 0.

    Examples:
        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel
        >>> from keras_asm.inference import mahalanobis_distance
        >>> shapes = np.random.default_rng(0).normal(size=(200, 5, 2))
        >>> asm = ActiveShapeModel(2).fit(shapes)
        >>> unusual = asm.inverse_transform(np.sqrt(asm.explained_variance_)[None] * [3, 4])
        >>> mahalanobis_distance(unusual, asm).round(6)
        array([5.])

    See Also:
        - [`shape_distance`][keras_asm.inference.shape_distance]: looks at what the model does not span
          instead.
        - [`fit_confidence`][keras_asm.inference.fit_confidence]: tells which of the two finds bad
          predictions.
    """
    model = LinearShapeModel.of(shape_model)
    flat = as_flat(landmarks, leading=1, **model.layout()).astype(np.float64)
    coefficients, _ = model.encode(flat)
    return np.sqrt(np.sum(np.square(coefficients) / model.explained_variance, axis=-1))


def fit_confidence(
    predicted: Any,
    true: Any,
    shape_model: Any,
    scheme: str | int | LandmarkScheme | None = None,
    *,
    nme_threshold: float = 0.08,
    without_face: Any = None,
    disagreement: Any = None,
) -> ConfidenceReport:
    """Fit the confidence of a network to faces whose landmarks are known.

    Which predictions are good depends on the network and on the faces: use predictions for faces that it was not
    trained on, cropped as they will be, and hard ones among them. The confidence is a probability only for faces like
    these.

    Args:
        predicted: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`, in one unit with `true`.
        true: Likewise; NaN where a landmark has no position. Faces whose error then is not known are left out.
        shape_model: As `LinearShapeModel.of` takes it; aligned, with some 20 components.
        scheme: Landmark scheme, for the distance between the eyes; by default the known one of that number of
            landmarks.
        nme_threshold: Normalised mean error (inter-ocular) up to which a prediction is good; 0.08 by default.
        without_face: Predictions for crops without a face, all of them bad; by default none.
        disagreement: Distances between predictions and those for the mirrored image, `(n,)`, then those of
            `without_face`: another score to compare with. By default none.

    Returns:
        The calibration, and how well it and its alternatives find bad predictions.

    Raises:
        ValueError: If shapes disagree, there are not at least 5 good and 5 bad predictions, or bad predictions are no
            farther from the shape model than good ones.
        ImportError: If scikit-learn is not installed.

    Warns:
        UserWarning: If faces have no error that is known.

    Examples:
        Half of these predictions are off by much, and less plausible:

        >>> import numpy as np
        >>> from keras_asm import ActiveShapeModel
        >>> from keras_asm.inference import fit_confidence
        >>> from keras_asm.synthetic import synthetic_faces
        >>> true = synthetic_faces(60, seed=0, image_size=16).landmarks
        >>> noise = np.where(np.arange(60) % 2, 0.002, 0.1)[:, None, None]
        >>> predicted = true + noise * np.random.default_rng(0).normal(size=true.shape)
        >>> report = fit_confidence(predicted, true, ActiveShapeModel(20, align="procrustes").fit(true), "300w")
        >>> report.n_good, report.n_bad, report.auroc["shape_distance"] > 0.9
        (30, 30, True)

    See Also:
        - [`ConfidenceReport`][keras_asm.inference.ConfidenceReport]: what it returns.
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: gives each face this confidence.
        - [`fit_scale_factor`][keras_asm.evaluation.fit_scale_factor]: how sure each landmark is, not the
          face.
        - [From a picture to landmarks][from-a-picture-to-landmarks]: how to fit and use it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LinearShapeModel.of(shape_model)
    shapes = as_points(predicted, leading=1, **model.layout("predicted"))
    error = normalized_mean_error(as_points(true, leading=1, **model.layout("true")), shapes, scheme)
    if without_face is not None:
        others = as_points(without_face, leading=1, **model.layout("without_face"))
        shapes, error = np.concatenate([shapes, others]), np.append(error, np.full(len(others), np.inf))
    if disagreement is not None:
        disagreement = np.asarray(disagreement, dtype=np.float64)
        if disagreement.shape != error.shape:
            raise ValueError(
                f"disagreement must have the shape {error.shape}. Received: shape {disagreement.shape}"
            )
    known = ~np.isnan(error)
    shapes, good = shapes[known], error[known] <= nme_threshold
    if min(good.sum(), (~good).sum()) < 5:
        raise ValueError(
            f"To learn to tell good predictions from bad ones, there must be at least 5 of each; bad are those with an "
            f"NME above {nme_threshold:g}. Received: {int(good.sum())} good and {int((~good).sum())} bad"
        )
    scores = {
        "shape_distance": shape_distance(shapes, model),
        "mahalanobis": mahalanobis_distance(shapes, model),
    }
    if disagreement is not None:
        scores["flip"] = disagreement[known]
    # A shape without extent is as far away as the farthest of the others.
    finite = scores["shape_distance"][np.isfinite(scores["shape_distance"])]
    distance = np.minimum(scores["shape_distance"], finite.max(initial=0.0))
    scores["shape_distance"] = distance
    auroc = {name: float(roc_auc_score(~good, score)) for name, score in scores.items()}
    together = np.log(np.stack(list(scores.values()), axis=1) + 1e-6)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    combined = cross_val_predict(pipeline, together, ~good, cv=5, method="decision_function")
    auroc["combination"] = float(roc_auc_score(~good, combined))

    # Scaled to unit variance, so that the regularisation, which is made weak anyway, does not depend on the unit
    spread = float(distance.std()) or 1.0
    curve = LogisticRegression(C=1e4).fit(distance[:, None] / spread, good)
    intercept, slope = float(curve.intercept_[0]), float(curve.coef_[0, 0]) / spread
    if slope >= 0:
        raise ValueError(
            "Bad predictions must be farther from the shape model than good ones; the model may be of other shapes or "
            f"not aligned. Received: a slope of {slope:.3g}, AUROC {auroc['shape_distance']:.3f}"
        )
    calibration = ConfidenceCalibration(intercept, slope, float(nme_threshold))
    confidence = calibration.probability(distance)
    tenths = np.array_split(np.argsort(confidence), 10)
    reliability = np.array([[confidence[part].mean(), good[part].mean()] for part in tenths])
    counts = int(good.sum()), int((~good).sum()), int((~known).sum())
    return ConfidenceReport(calibration, auroc, reliability, *counts)
