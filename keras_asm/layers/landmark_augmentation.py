"""Augmentation that moves image, landmarks and head pose together.

Sampling is apart from applying: `LandmarkAugmentation` turns uniform draws into parameters, and `augment`
applies given parameters, so that each can be tested exactly.
"""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_asm._backend import is_concrete
from keras_asm.landmarks import LandmarkScheme, as_points, get_scheme, mirror_landmarks, serialize_scheme
from keras_asm.pose import mirror_pose, rotate_pose

__all__ = ["LandmarkAugmentation", "augment"]

_GEOMETRIC = ("flip", "rotation", "scale", "shift")
_PHOTOMETRIC = ("contrast", "brightness", "saturation", "color")
_HIDING = ("occluder", "blur")
_FILL_MODES = ("nearest", "constant")
# Red, green and blue in the brightness of a pixel (ITU-R BT.601), as Pillow's "L" and JPEG have it.
_LUMA = (0.299, 0.587, 0.114)

# Columns of the uniform draws. Each parameter keeps its own, so that switching one off changes no other.
_COLUMNS = {
    "flip": slice(0, 1),
    "rotation": slice(1, 2),
    "scale": slice(2, 3),
    "shift": slice(3, 5),
    "contrast": slice(5, 6),
    "brightness": slice(6, 7),
    "saturation": slice(7, 8),
    "color": slice(8, 11),
    "occluder": slice(11, 19),  # whether there is one, width and height, middle, colour
    "blur": slice(19, 20),
}


def augment(
    images: Any,
    landmarks: Any,
    pose: Any = None,
    *,
    parameters: Mapping[str, Any],
    flip_permutation: Any = None,
    crop_margin: float | None = None,
    fill_mode: str = "nearest",
    value_range: tuple[float, float] = (0.0, 255.0),
) -> tuple[Any, Any, Any]:
    """Move a batch of images with their landmarks and poses by given parameters.

    With normalised landmarks `u`, first mirrored where a face is flipped, the geometry is

        u' = scale * R(rotation) u + shift,   R(a) = [cos a, -sin a; sin a, cos a]

    about the middle of the image. With a `crop_margin` `m`, the turned face is first cropped anew, as
    `crop_faces` crops it: with the middle `c` of the box of the turned landmarks and its longer side `a`,

        u' = scale * (R(rotation) u - c) / ((1 + 2 m) a) + shift

    The image is resampled once, bilinearly, from where its pixels came from. Then an occluder, a rectangle of one
    colour, is drawn over it, and it is blurred by a Gaussian. Landmarks under the occluder stay where they are: the
    network learns to place them from the rest of the face. Then each pixel `c` (RGB, counted
    from the low end of the range of values, which is `r` wide), with brightness `Y(c)` and the image's mean
    brightness `m`,

        c' = color * c
        c'' = Y(c') + saturation * (c' - Y(c'))
        c''' = m + contrast * (c'' - m) + r * brightness,   clipped to [0, r]

    Args:
        images: `(batch, height, width, channels)`, uint8 or float; channels last, whatever the data format.
        landmarks: Normalised, `(batch, n_landmarks, 2)` or `(batch, 2 * n_landmarks)`. Those that are NaN stay NaN.
        pose: `(yaw, pitch, roll)` in degrees, `(batch, 3)`, or `None`.
        parameters: One value per image for each of these; what is not named stays as it is.
            `flip` `(batch,)`: 1 mirrors the image, 0 does not. `rotation` `(batch,)`: degrees,
            clockwise. `scale` `(batch,)`: above 1 enlarges. `shift` `(batch, 2)`: to the right and down,
            as a fraction of width and height. `contrast`, `saturation` `(batch,)`: factors. `brightness`
            `(batch,)`: what is added, as a fraction of the range of values. `color` `(batch, 3)`: a factor per channel.
            `occluder` `(batch, 4)`: left, top, right and bottom in the coordinates of the landmarks; empty where it
            has no width. `occluder_color` `(batch, channels)`: fraction of the range of values, needed with
            `occluder`. `blur` `(batch,)`: standard deviation as a fraction of the width.
        flip_permutation: Where each landmark of the mirrored face comes from, int `(n_landmarks,)`; needed
            where `flip` is given.
        crop_margin: Margin of `crop_faces`, at least 0, for images that are square. `None` (default) leaves
            the turned face where it is.
        fill_mode: Beyond its border an image is its nearest pixel (`"nearest"`, default) or black
            (`"constant"`).
        value_range: Smallest and largest value of a pixel; (0, 255) by default.

    Returns:
        Images, landmarks and pose, in the shapes and dtypes that they came in (integer images rounded).

    Raises:
        ValueError: If a parameter is unknown, a shape does not fit, or `flip_permutation` is missing.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.layers import augment
        >>> images = np.zeros((1, 8, 8, 3), "uint8")
        >>> _, landmarks, pose = augment(
        ...     images, [[[0.25, 0.0], [-0.5, 0.125]]], [[20.0, 5.0, 0.0]],
        ...     parameters={"flip": [1.0]}, flip_permutation=[1, 0],
        ... )
        >>> np.array(landmarks).tolist(), np.array(pose).tolist()
        ([[[0.5, 0.125], [-0.25, 0.0]]], [[-20.0, 5.0, -0.0]])

    See Also:
        - [`LandmarkAugmentation`][keras_asm.layers.LandmarkAugmentation]: draws the parameters.
        - [`rotate_pose`][keras_asm.pose.rotate_pose]: what a turn does to the pose.
    """
    known = {*_COLUMNS, "occluder_color"}
    if not set(parameters) <= known:
        raise ValueError(f"parameters may hold {sorted(known)}. Received: {sorted(set(parameters) - known)}")
    if ("occluder" in parameters) != ("occluder_color" in parameters):
        raise ValueError(f"occluder and occluder_color go together. Received: {sorted(parameters)}")
    if fill_mode not in _FILL_MODES:
        raise ValueError(f"fill_mode must be one of {list(_FILL_MODES)}. Received: {fill_mode!r}")
    if keras.config.backend() != "tensorflow" and type(images).__module__.startswith("tensorflow"):
        raise ValueError(
            "tf.data computes with TensorFlow, and Keras with another backend: give the augmentation to "
            "LandmarkBatches, which works on all of them. "
            f"Received: {type(images).__name__} on the backend {keras.config.backend()}"
        )
    images, landmarks = ops.convert_to_tensor(images), ops.convert_to_tensor(landmarks)
    if len(images.shape) != 4 or (images.shape[-1] or 0) > 4:
        raise ValueError(
            "images must have the shape (batch, height, width, channels), with 1 to 4 channels. "
            f"Received: {tuple(images.shape)}"
        )
    points = as_points(landmarks, leading=1, name="landmarks", xp=ops)
    if len(points.shape) != 3:
        raise ValueError(
            "landmarks must have the shape (batch, n_landmarks, 2) or (batch, 2 * n_landmarks). "
            f"Received: {tuple(landmarks.shape)}"
        )
    points = ops.cast(points, "float32")
    given = {name: ops.cast(ops.convert_to_tensor(value), "float32") for name, value in parameters.items()}

    if "flip" in given:
        if flip_permutation is None or len(flip_permutation) != points.shape[1]:
            received = None if flip_permutation is None else f"{len(flip_permutation)} of them"
            raise ValueError(
                f"flip needs a flip_permutation with an index for each of the {points.shape[1]} landmarks. "
                f"Received: {received}"
            )
        mirrored = mirror_landmarks(points, flip_permutation, xp=ops)
        points = ops.where(given["flip"][:, None, None] > 0.5, mirrored, points)
    if crop_margin is not None:
        given |= _crop_again(points, images, given, crop_margin)
    if set(_GEOMETRIC) & set(given):
        points = _move_points(points, images, given)
    moved_landmarks = ops.cast(ops.reshape(points, ops.shape(landmarks)), landmarks.dtype)

    moved_images = images
    if given:
        if set(_GEOMETRIC) & set(given):
            moved_images = _warp(images, given, fill_mode)
        low, high = value_range
        if set(_HIDING) & set(given):
            moved_images = _hide(ops.cast(moved_images, "float32"), given, low, high)
        if set(_PHOTOMETRIC) & set(given):
            moved_images = low + _recolor(ops.cast(moved_images, "float32") - low, given, high - low)
        if "int" in keras.backend.standardize_dtype(images.dtype):
            moved_images = ops.round(moved_images)
        moved_images = ops.cast(moved_images, images.dtype)

    if pose is not None:
        pose = ops.convert_to_tensor(pose)
        if len(pose.shape) != 2 or pose.shape[1] != 3:
            raise ValueError(f"pose must have the shape (batch, 3). Received: {tuple(pose.shape)}")
        angles = ops.cast(pose, "float32")
        if "flip" in given:
            angles = ops.where(given["flip"][:, None] > 0.5, mirror_pose(angles, xp=ops), angles)
        if "rotation" in given:
            angles = rotate_pose(angles, given["rotation"], xp=ops)
        pose = ops.cast(angles, pose.dtype)
    return moved_images, moved_landmarks, pose


@keras.saving.register_keras_serializable(package="keras_asm")
class LandmarkAugmentation(keras.layers.Layer):
    """Random flips, turns, scales, shifts, colours, occluders and blur of faces with their landmarks and poses.

    Each image of a batch draws its own parameters; `augment` states what they do. A parameter that is a
    number `a` is drawn uniformly from `[-a, a]` (from `[1 - a, 1 + a]` for factors), a pair is the range
    itself, and `None` or 0 switches it off.

    The layer works on batches, on the device, eagerly or compiled, on any backend. Landmarks keep at least
    float32 under mixed precision. `LandmarkBatches` applies it to the batches of a data set.

    Args:
        scheme: Scheme of the landmarks, its name or number of landmarks; says which landmarks change places
            in a flip. May be `None` without flips. `"300w"` by default.
        flip: Probability of a horizontal flip, 0 to 1. 0.5 by default.
        rotation: Degrees, clockwise. 20 by default.
        scale: Factor of size. 0.1 by default, so 0.9 to 1.1.
        shift: Fraction of width and height, each drawn on its own. 0.05 by default.
        contrast: Factor about the image's mean brightness. 0.2 by default, so 0.8 to 1.2.
        brightness: Added, as a fraction of the range of values. 0.1 by default.
        saturation: Factor of colourfulness; 0 is grey. 0.2 by default, so 0.8 to 1.2.
        color: Factor of each colour channel, each drawn on its own. 0.05 by default, so 0.95 to 1.05.
        occlusion: Probability that a rectangle of a random colour hides a part of the image (random erasing). `None`
            (default) switches it off. For faces behind hands, hair, masks and microphones.
        occluder_size: Smallest and largest side of the rectangle, as a fraction of the image's; width and height are
            drawn each on its own, and its middle anywhere. 0.1 to 0.5 by default.
        blur: Largest standard deviation of a Gaussian blur, or a pair, as a fraction of the width. `None` (default)
            switches it off. For faces that are small in the picture or move in a video; 0.02 blurs as much as
            enlarging a face of some 40 pixels to 128 does.
        crop_margin: Crops each turned face anew, with this margin; pass that of `crop_faces` (0.25 there), so that
            a turned face fills its crop as every other face does, and as those that the network is tested on.
            `scale` and `shift` then move it from there: switch them off where the boxes of test faces are as
            exact. `None` (default) turns the face within the crop that it has.
        fill_mode: Beyond its border an image is its nearest pixel (`"nearest"`, default) or black
            (`"constant"`).
        value_range: Smallest and largest value of a pixel; (0, 255) by default.
        data_format: `"channels_last"` or `"channels_first"`, of the images of `call`. By default
            `keras.config.image_data_format()`.
        seed: Seed of the draws of `call`; `None` (default) takes a random one.
        **kwargs: As for every Keras layer.

    Call arguments:
        inputs: A dictionary of `images` `(batch, height, width, channels)`, or as `data_format` says, `landmarks`
            (normalised, `(batch, n_landmarks, 2)` or `(batch, 2 * n_landmarks)`) and, if there is one,
            `pose` `(batch, 3)` in degrees. The output has the same shapes and dtypes.
        training: `False` returns the inputs as they are. `True` by default outside of a model.

    Raises:
        ValueError: If a range is turned around or out of bounds, if flips are on without a scheme, or, when
            called, if the inputs do not fit.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.layers import LandmarkAugmentation
        >>> layer = LandmarkAugmentation("300w", rotation=(-10, 30), color=None, seed=0)
        >>> batch = {"images": np.zeros((2, 32, 32, 3), "uint8"), "landmarks": np.zeros((2, 136), "float32")}
        >>> tuple(layer(batch)["landmarks"].shape)
        (2, 136)

    See Also:
        - [`augment`][keras_asm.layers.augment]: what it does, with given parameters.
        - [`LandmarkBatches`][keras_asm.faces.LandmarkBatches]: applies it to each batch.
        - [`augment_shapes`][keras_asm.faces.augment_shapes]: changes the shapes themselves.
        - [Augmentation][augmentation]: which parameters to choose.
    """

    def __init__(
        self,
        scheme: str | int | LandmarkScheme | Mapping[str, Any] | None = "300w",
        *,
        flip: float | None = 0.5,
        rotation: float | Sequence[float] | None = 20.0,
        scale: float | Sequence[float] | None = 0.1,
        shift: float | Sequence[float] | None = 0.05,
        contrast: float | Sequence[float] | None = 0.2,
        brightness: float | Sequence[float] | None = 0.1,
        saturation: float | Sequence[float] | None = 0.2,
        color: float | Sequence[float] | None = 0.05,
        occlusion: float | None = None,
        occluder_size: tuple[float, float] = (0.1, 0.5),
        blur: float | Sequence[float] | None = None,
        crop_margin: float | None = None,
        fill_mode: str = "nearest",
        value_range: tuple[float, float] = (0.0, 255.0),
        data_format: str | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Without autocast the inputs keep their precision: a float16 landmark is 0.1 px off at 224 px.
        super().__init__(autocast=False, **kwargs)
        self.flip, self.occlusion = float(flip or 0), float(occlusion or 0)
        for name, probability in (("flip", self.flip), ("occlusion", self.occlusion)):
            if not 0 <= probability <= 1:
                raise ValueError(f"{name} is a probability from 0 to 1. Received: {probability!r}")
        self.scheme = None if scheme is None else get_scheme(scheme)
        if self.flip and self.scheme is None:
            raise ValueError(
                "Flips need the landmark scheme, which says which landmarks change places. Pass scheme=..., "
                "or flip=None. Received: scheme=None"
            )
        self.ranges = {
            "rotation": _range("rotation", rotation, 0.0, -math.inf),
            "scale": _range("scale", scale, 1.0, 0.01),
            "shift": _range("shift", shift, 0.0, -math.inf),
            "contrast": _range("contrast", contrast, 1.0, 0.0),
            "brightness": _range("brightness", brightness, 0.0, -math.inf),
            "saturation": _range("saturation", saturation, 1.0, 0.0),
            "color": _range("color", color, 1.0, 0.0),
            "blur": _range("blur", (0.0, blur) if isinstance(blur, numbers.Real) else blur, 0.0, 0.0),
        }
        size = _range("occluder_size", occluder_size, 0.0, 0.0)
        if size is None or size[1] > 1:
            raise ValueError(
                f"occluder_size must be a pair, 0 <= low <= high <= 1. Received: {occluder_size!r}"
            )
        self.occluder_size = size
        if crop_margin is not None and not 0 <= crop_margin < math.inf:
            raise ValueError(f"crop_margin must be a number from 0, or None. Received: {crop_margin!r}")
        self.crop_margin = None if crop_margin is None else float(crop_margin)
        if fill_mode not in _FILL_MODES:
            raise ValueError(f"fill_mode must be one of {list(_FILL_MODES)}. Received: {fill_mode!r}")
        self.fill_mode = fill_mode
        low, high = (float(value) for value in value_range)
        if not low < high:
            raise ValueError(f"value_range must be a pair, low < high. Received: {value_range!r}")
        self.value_range = (low, high)
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"data_format must be 'channels_last' or 'channels_first'. Received: {data_format!r}"
            )
        self._checked = False
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    @property
    def n_draws(self) -> int:
        """Uniform draws per image that `parameters` takes."""
        # Occluders and blur came later: without them a seed gives what it gave before
        last = "blur" if self.occlusion or self.ranges["blur"] is not None else "color"
        return _COLUMNS[last].stop

    def parameters(self, uniform: Any) -> dict[str, Any]:
        """Turn uniform draws into parameters of `augment`.

        Args:
            uniform: `(batch, n_draws)`, in `[0, 1)`.

        Returns:
            The parameters that are switched on, float32, one value per image.
        """
        uniform = ops.cast(uniform, "float32")
        drawn = {}
        if self.flip:
            drawn["flip"] = ops.cast(uniform[:, 0] < self.flip, "float32")
        for name, limits in self.ranges.items():
            if limits is not None:
                low, high = limits
                values = low + (high - low) * uniform[:, _COLUMNS[name]]
                drawn[name] = values[:, 0] if values.shape[1] == 1 else values
        if self.occlusion:
            draws = uniform[:, _COLUMNS["occluder"]]
            low, high = self.occluder_size
            half = (
                (low + (high - low) * draws[:, 1:3]) / 2 * ops.cast(draws[:, :1] < self.occlusion, "float32")
            )
            middle = draws[:, 3:5] - 0.5
            drawn["occluder"] = ops.concatenate([middle - half, middle + half], axis=1)
            drawn["occluder_color"] = draws[:, 5:8]
        return drawn

    def apply(self, images: Any, landmarks: Any, pose: Any, uniform: Any) -> tuple[Any, Any, Any]:
        """Augment with given uniform draws: `call` without its random state.

        Args:
            images: As for `augment`.
            landmarks: As for `augment`.
            pose: As for `augment`, or `None`.
            uniform: `(batch, n_draws)`, in `[0, 1)`.

        Returns:
            Images, landmarks and pose.

        Raises:
            ValueError: If the inputs do not fit.
        """
        permutation = None if self.scheme is None else self.scheme.flip_permutation
        return augment(
            images,
            landmarks,
            pose,
            parameters=self.parameters(uniform),
            flip_permutation=permutation,
            crop_margin=self.crop_margin,
            fill_mode=self.fill_mode,
            value_range=self.value_range,
        )

    def augment_landmarks(self, landmarks: Any, *, repeats: int = 1, seed: int = 0) -> np.ndarray:
        """The shapes that a network will see, without their images: what to fit a shape model on.

        Annotated faces stand upright in the middle of their crops. A model of them does not span turned, shifted or
        scaled ones, so that its `ASM(G)` would move these back toward the middle:

            asm = ActiveShapeModel(0.90).fit(augmentation.augment_landmarks(faces.landmarks, repeats=4))

        Args:
            landmarks: Normalised, of square crops, `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`.
            repeats: How often each shape is drawn. 1 by default.
            seed: Seed of the draws, which are not those of `call`. 0 by default.

        Returns:
            float32 `(repeats * n, ...)`: all shapes once, then all of them once more.

        Raises:
            ValueError: If `repeats` is no positive integer, or the landmarks do not fit.
        """
        if not isinstance(repeats, numbers.Integral) or repeats < 1:
            raise ValueError(f"repeats must be a positive integer. Received: {repeats!r}")
        shapes = np.asarray(landmarks, dtype=np.float32)
        shapes = np.tile(shapes, (repeats, *[1] * (shapes.ndim - 1)))
        uniform = np.random.default_rng(seed).random((len(shapes), self.n_draws), dtype=np.float32)
        # One pixel is as square as any other image
        _, moved, _ = self.apply(np.zeros((len(shapes), 1, 1, 3), np.float32), shapes, None, uniform)
        return ops.convert_to_numpy(moved)

    def call(self, inputs: Mapping[str, Any], training: bool | None = True) -> dict[str, Any]:
        """The inputs, moved."""
        _check_keys(inputs)
        if not training:
            return dict(inputs)
        batch = ops.shape(inputs["images"])[0]
        uniform = keras.random.uniform((batch, self.n_draws), dtype="float32", seed=self.seed_generator)
        channels_first = self.data_format == "channels_first"
        images = inputs["images"]
        self._check_values(images)
        if channels_first:
            images = ops.transpose(images, (0, 2, 3, 1))
        images, landmarks, pose = self.apply(images, inputs["landmarks"], inputs.get("pose"), uniform)
        if channels_first:
            images = ops.transpose(images, (0, 3, 1, 2))
        moved = {"images": images, "landmarks": landmarks, "pose": pose}
        return {name: moved[name] for name in inputs}

    def _check_values(self, images: Any) -> None:
        """Warns, at the first batch that has values, of images in 0..1 where 0..255 are expected."""
        if self._checked or not is_concrete(images):
            return
        self._checked = True
        low, high = self.value_range
        if "float" not in keras.backend.standardize_dtype(images.dtype) or 0 in images.shape:
            return
        darkest, brightest = float(ops.min(images)), float(ops.max(images))
        if darkest < brightest <= low + 0.01 * (high - low):
            warnings.warn(
                f"The images hold values from {darkest:g} to {brightest:g}, and brightness is changed in a range from "
                f"{low:g} to {high:g}, which ruins them: pass value_range.",
                UserWarning,
                stacklevel=3,
            )

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = True) -> dict[str, Any]:
        """The shapes and dtypes of the inputs."""
        _check_keys(inputs)
        return {name: keras.KerasTensor(x.shape, dtype=x.dtype) for name, x in inputs.items()}

    def compute_output_shape(self, input_shape: dict[str, Any]) -> dict[str, Any]:
        """The shapes of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Everything that makes the layer anew."""
        return {
            **super().get_config(),
            "scheme": None if self.scheme is None else serialize_scheme(self.scheme),
            "flip": self.flip,
            **{name: None if limits is None else list(limits) for name, limits in self.ranges.items()},
            "occlusion": self.occlusion,
            "occluder_size": list(self.occluder_size),
            "crop_margin": self.crop_margin,
            "fill_mode": self.fill_mode,
            "value_range": list(self.value_range),
            "data_format": self.data_format,
            "seed": self.seed,
        }


def _range(name: str, value: Any, neutral: float, lowest: float) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, Sequence | np.ndarray):
        limits = tuple(float(v) for v in value)
    else:
        limits = (neutral - float(value), neutral + float(value))
    if len(limits) != 2 or not (lowest <= limits[0] <= limits[1] < math.inf):
        bound = "" if lowest == -math.inf else f" of at least {lowest:g}"
        raise ValueError(
            f"{name} must be a number that is not negative, or a pair low <= high{bound}. Received: {value!r}"
        )
    return None if limits == (neutral, neutral) else (limits[0], limits[1])


def _check_keys(inputs: Any) -> None:
    if not isinstance(inputs, Mapping) or not (
        {"images", "landmarks"} <= set(inputs) <= {"images", "landmarks", "pose"}
    ):
        received = list(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise ValueError(
            "Expected a dictionary of 'images', 'landmarks' and, if there is one, 'pose'. "
            f"Received: {received}"
        )


def _move_points(points: Any, images: Any, given: Mapping[str, Any]) -> Any:
    # In pixels from the middle of the image, so that a turn is one in images that are not square too.
    height, width = (ops.cast(size, "float32") for size in ops.shape(images)[1:3])
    x, y = points[..., 0], points[..., 1]
    if "rotation" in given:
        turn = given["rotation"][:, None] * (math.pi / 180)
        s, c = ops.sin(turn), ops.cos(turn)
        x, y = c * x - s * y * (height / width), s * x * (width / height) + c * y
    if "scale" in given:
        x, y = given["scale"][:, None] * x, given["scale"][:, None] * y
    if "shift" in given:
        x, y = x + given["shift"][:, 0:1], y + given["shift"][:, 1:2]
    return ops.stack([x, y], axis=-1)


def _crop_again(points: Any, images: Any, given: Mapping[str, Any], margin: float) -> dict[str, Any]:
    """Scale and shift that crop the turned faces by their landmarks, and then do what was given."""
    height, width = images.shape[1:3]
    if height != width:
        raise ValueError(f"crop_margin needs square images. Received: {width} by {height} pixels")
    if points.shape[1] < 2:
        raise ValueError("crop_margin needs faces of at least 2 landmarks. Received: 1 landmark")
    turn = {name: given[name] for name in ("rotation",) if name in given}
    turned = _move_points(points, images, turn)
    # Landmarks without a position, NaN, are left out; a face of none, or of a single one, stays as it is
    there = ops.logical_not(ops.isnan(turned))
    low = ops.min(ops.where(there, turned, ops.full_like(turned, np.inf)), axis=1)
    high = ops.max(ops.where(there, turned, ops.full_like(turned, -np.inf)), axis=1)
    known = ops.max(high - low, axis=1, keepdims=True) > 1e-6
    low, high = ops.where(known, low, -0.5 / (1 + 2 * margin)), ops.where(known, high, 0.5 / (1 + 2 * margin))
    factor = 1 / ((1 + 2 * margin) * ops.max(high - low, axis=1))
    if "scale" in given:
        factor = factor * given["scale"]
    shift = -factor[:, None] * (low + high) / 2
    return {"scale": factor, "shift": shift + given["shift"] if "shift" in given else shift}


def _warp(images: Any, given: Mapping[str, Any], fill_mode: str) -> Any:
    """Resample images bilinearly; float32.

    Not `keras.ops.image.affine_transform`: that has no XLA kernel on TensorFlow, loops over the images on
    PyTorch, and interpolates between colour channels on JAX, which is several times slower.
    """
    batch, height, width, channels = ops.shape(images)
    # Pixels counted from the middle: integers and halves, so that a flip hits its pixels exactly.
    middle_x = (ops.cast(width, "float32") - 1) / 2
    middle_y = (ops.cast(height, "float32") - 1) / 2
    x = (ops.arange(width, dtype="float32") - middle_x)[None, None, :]
    y = (ops.arange(height, dtype="float32") - middle_y)[None, :, None]

    # Undo the steps of `_move_points`, last first.
    if "shift" in given:
        x = x - given["shift"][:, 0, None, None] * ops.cast(width, "float32")
        y = y - given["shift"][:, 1, None, None] * ops.cast(height, "float32")
    if "scale" in given:
        x, y = x / given["scale"][:, None, None], y / given["scale"][:, None, None]
    if "rotation" in given:
        turn = given["rotation"][:, None, None] * (math.pi / 180)
        s, c = ops.sin(turn), ops.cos(turn)
        x, y = c * x + s * y, c * y - s * x
    if "flip" in given:
        x = x * (1.0 - 2.0 * given["flip"][:, None, None])
    x, y = x + middle_x, y + middle_y

    if fill_mode == "constant":
        # A black frame of one pixel, which then is the nearest pixel of all that lies beyond.
        images = ops.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]])
        x, y = x + 1, y + 1
    rows, columns = ops.shape(images)[1:3]
    x = ops.clip(x, 0, columns - 1)
    y = ops.clip(y, 0, rows - 1)
    left, top = ops.floor(x), ops.floor(y)
    dx, dy = (x - left)[..., None], (y - top)[..., None]
    x0, y0 = ops.cast(left, "int32"), ops.cast(top, "int32")
    x1, y1 = ops.minimum(x0 + 1, columns - 1), ops.minimum(y0 + 1, rows - 1)

    pixels = ops.reshape(images, (-1, channels))
    first = ops.reshape(ops.arange(batch, dtype="int32") * (rows * columns), (-1, 1, 1))

    def at(row: Any, column: Any) -> Any:
        index = ops.reshape(first + row * columns + column, (-1,))
        values = ops.cast(ops.take(pixels, index, axis=0), "float32")
        return ops.reshape(values, (-1, height, width, channels))

    upper = at(y0, x0)
    upper = upper + (at(y0, x1) - upper) * dx
    lower = at(y1, x0)
    lower = lower + (at(y1, x1) - lower) * dx
    return upper + (lower - upper) * dy


def _hide(images: Any, given: Mapping[str, Any], low: float, high: float) -> Any:
    """Occluder, then blur: what stands before a face, then the camera."""
    _, height, width, channels = ops.shape(images)
    if "occluder" in given:
        color = given["occluder_color"]
        if color.shape[1] != channels:  # drawn for red, green and blue
            color = ops.repeat(color[:, :1], channels, axis=1)
        x = ((ops.arange(width, dtype="float32") + 0.5) / ops.cast(width, "float32") - 0.5)[None, None, :]
        y = ((ops.arange(height, dtype="float32") + 0.5) / ops.cast(height, "float32") - 0.5)[None, :, None]
        left, top, right, bottom = (given["occluder"][:, i, None, None] for i in range(4))
        inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
        images = ops.where(inside[..., None], low + (high - low) * color[:, None, None, :], images)
    if "blur" in given:
        sigma = given["blur"] * ops.cast(width, "float32")
        images = ops.einsum("byr,brxc->byxc", _gaussian(height, sigma), images)
        images = ops.einsum("bxr,byrc->byxc", _gaussian(width, sigma), images)
    return images


def _gaussian(size: Any, sigma: Any) -> Any:
    """The weight of each pixel of a line in each blurred one, `(batch, size, size)`; rows sum to 1, at the border too.

    As a matrix, not as a kernel, whose length a compiled step would have to know.
    """
    position = ops.arange(size, dtype="float32")
    distance = (position[:, None] - position[None, :]) / ops.maximum(sigma, 1e-3)[:, None, None]
    weights = ops.exp(-0.5 * ops.square(distance))
    return weights / ops.sum(weights, axis=-1, keepdims=True)


def _recolor(images: Any, given: Mapping[str, Any], extent: float) -> Any:
    """Colour, saturation, contrast and brightness as one linear map of each image's pixels, from 0 to `extent`."""
    channels = images.shape[-1]
    if {"color", "saturation"} & set(given) and channels != 3:
        raise ValueError(f"color and saturation need images of 3 channels. Received: {channels} channels")
    luma = ops.convert_to_tensor(_LUMA if channels == 3 else (1 / channels,) * channels, dtype="float32")
    # c''' = contrast * (saturation * gain * c + (1 - saturation) * sum(luma * gain * c)) + offset
    own = ops.ones((1, channels), dtype="float32")
    grey = None
    offset = ops.zeros((1, 1), dtype="float32")
    if "color" in given:
        own = own * given["color"]
    if "contrast" in given:
        means = ops.mean(images, axis=(1, 2)) * own
        mean = ops.sum(means * luma, axis=1, keepdims=True)
        offset = (1 - given["contrast"][:, None]) * mean
    if "saturation" in given:
        grey = (1 - given["saturation"][:, None]) * own * luma
        own = given["saturation"][:, None] * own
    if "contrast" in given:
        own = given["contrast"][:, None] * own
        grey = None if grey is None else given["contrast"][:, None] * grey
    if "brightness" in given:
        offset = offset + extent * given["brightness"][:, None]
    colored = images * own[:, None, None, :] + offset[:, None, None, :]
    if grey is not None:
        colored = colored + ops.sum(images * grey[:, None, None, :], axis=-1, keepdims=True)
    return ops.clip(colored, 0.0, extent)
