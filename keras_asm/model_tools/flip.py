"""Predict an image and its mirror image, and average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from keras_asm.landmarks import LandmarkScheme, as_points, get_scheme, mirror_landmarks, split_log_scale
from keras_asm.pose import mirror_pose

__all__ = ["predict_with_flip"]

_FAR = 4.0  # in sides of the image, of a face's farthest landmark; untrained networks stay nearer


def predict_with_flip(
    model: keras.Model,
    images: Any,
    scheme: str | int | LandmarkScheme,
    batch_size: int = 32,
    verbose: Any = 0,
) -> dict[str, np.ndarray]:
    """Predict landmarks and pose from images and their mirror images: the flip test.

    With the model `f` and the mirror `M`, which on images reverses the columns, on landmarks turns
    `x_i` into `-x_p(i)` with the scheme's flip permutation `p`, and on poses negates yaw and roll,

        prediction = (f(I) + M f(M I)) / 2

    The prediction of a mirrored image is exactly the mirrored prediction, whatever the model. A model that
    has this property itself is not changed. It costs two predictions, and a mirrored copy of the images in
    memory.

    Angles are averaged as numbers: two predictions of 179 and -179 degrees give 0.

    Args:
        model: A model that takes a batch of images. Its output is a dictionary of `"landmarks"` and, if there
            is one, `"pose"`, as that of `ASMNet`, or the landmarks alone. Landmarks are normalised to the
            image, with 0 in its middle: `(n, 2 * n_landmarks)` or `(n, n_landmarks, 2)`. Poses are
            `(yaw, pitch, roll)` in degrees, `(n, 3)`. If it has `"uncertain_landmarks"` too, the log scales are
            averaged, so that a scale is the geometric mean of the two.
        images: `(n, height, width, channels)`, uint8 or float, as the model takes them; channels first if
            `keras.config.image_data_format()` says so.
        scheme: Landmark scheme of the model's landmarks, which says which of them change places.
        batch_size: Images per batch; 32 by default.
        verbose: As for `model.predict`; 0 (silent) by default.

    Returns:
        `"landmarks"` and, if the model predicts them, `"pose"` and `"uncertain_landmarks"`, in the shapes and dtypes of
        the model's outputs.

    Raises:
        ValueError: If the images or outputs have other shapes, the outputs other names, or the scheme another
            number of landmarks; if the landmarks cannot be normalised ones.

    Examples:
        >>> import keras
        >>> import numpy as np
        >>> from keras_asm.model_tools import predict_with_flip
        >>> from keras_asm.landmarks import LandmarkScheme
        >>> pair = LandmarkScheme("pair", 2, flip_pairs=((0, 1),))
        >>> model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
        >>> # Whatever it sees, it answers the same, too far to the right.
        >>> model.set_weights([np.zeros((192, 4)), np.array([-0.25, 0.125, 0.75, 0.125])])
        >>> predict_with_flip(model, np.zeros((1, 8, 8, 3), "uint8"), pair)["landmarks"].tolist()
        [[-0.5, 0.125, 0.5, 0.125]]

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: does it with `flip_test=True`.
        - [`mirror_landmarks`][keras_asm.landmarks.mirror_landmarks]: the mirror image of landmarks.
        - [The flip test][the-flip-test]: what it brings and costs.
    """
    scheme = get_scheme(scheme)
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            "images must have the shape (n, height, width, channels), with at least one image. "
            f"Received: shape {images.shape}"
        )
    plain = _outputs(model.predict(images, batch_size=batch_size, verbose=verbose))
    _check(plain, len(images), scheme)
    # Contiguous, since PyTorch takes no array that runs backwards.
    width = -1 if keras.config.image_data_format() == "channels_first" else -2
    mirrored_images = np.ascontiguousarray(np.flip(images, axis=width))
    mirrored = _outputs(model.predict(mirrored_images, batch_size=batch_size, verbose=verbose))
    return {name: (plain[name] + _mirror(name, mirrored[name], scheme)) / 2 for name in plain}


def _outputs(prediction: Any) -> dict[str, np.ndarray]:
    if isinstance(prediction, np.ndarray):
        return {"landmarks": prediction}
    known = {"landmarks", "pose", "uncertain_landmarks"}
    if not isinstance(prediction, Mapping) or not ({"landmarks"} <= set(prediction) <= known):
        received = list(prediction) if isinstance(prediction, Mapping) else type(prediction).__name__
        raise ValueError(
            "The model must give an array of landmarks, or a dictionary of 'landmarks' and, if there are any, 'pose' "
            f"and 'uncertain_landmarks'. Received: {received}"
        )
    return dict(prediction)


def _check(outputs: Mapping[str, np.ndarray], n: int, scheme: LandmarkScheme) -> None:
    points = as_points(
        outputs["landmarks"],
        n_landmarks=scheme.n_landmarks,
        leading=1,
        name=f"Landmark scheme {scheme.name!r} has {scheme.n_landmarks} landmarks: the model's output",
    )
    if np.median(np.abs(points).max(axis=tuple(range(1, points.ndim)), initial=0)) > _FAR:
        raise ValueError(
            "The flip test needs landmarks that are normalised to the image, with 0 in its middle, and these cannot "
            f"be; they may be pixels. Received: predictions from {points.min():.4g} to {points.max():.4g}"
        )
    for name, shape, expected in (
        ("landmarks", points.shape, (n, scheme.n_landmarks, 2)),
        ("poses", np.shape(outputs.get("pose", np.empty((n, 3)))), (n, 3)),
    ):
        if shape != expected:
            raise ValueError(
                f"Landmark scheme {scheme.name!r} has {scheme.n_landmarks} landmarks: the model must give"
                f" {name} of shape {expected} for {n} images. Received: shape {shape}"
            )


def _mirror(name: str, values: np.ndarray, scheme: LandmarkScheme) -> np.ndarray:
    if name == "pose":
        return mirror_pose(values)
    if name == "uncertain_landmarks":
        landmarks, log_scale = split_log_scale(values)
        mirrored = _mirror("landmarks", landmarks, scheme), log_scale[:, list(scheme.flip_permutation)]
        return np.concatenate(mirrored, axis=-1)
    points = as_points(values, n_landmarks=scheme.n_landmarks)
    return mirror_landmarks(points, scheme.flip_permutation).reshape(values.shape)
