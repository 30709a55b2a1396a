"""The settings of a landmark training as a search space of KerasTuner."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_asm.applications import LandmarkNet
from keras_asm.applications._mobilenet_v2 import mobilenet_v2_backbone
from keras_asm.applications.asm_net import ASMNET_TAPS
from keras_asm.callbacks import AlphaCosineSchedule, AlphaLinearSchedule, AlphaSchedule, AlphaStepSchedule
from keras_asm.faces import FaceCrops, LandmarkBatches
from keras_asm.layers import LandmarkAugmentation, ShapeDecoder
from keras_asm.losses import ASMAssistedLoss, LandmarkLoss, WingLoss
from keras_asm.metrics import NormalizedMeanError
from keras_asm.shape_models import ActiveShapeModel

try:
    import keras_tuner
except ImportError as error:
    raise ImportError(
        f'keras_asm.tuning needs KerasTuner: pip install "keras-asm[tuner]". Received: {error}'
    ) from error

__all__ = ["AUGMENTATIONS", "BACKBONES", "Backbone", "LandmarkHyperModel", "mobilenet_v2"]


@dataclass(frozen=True)
class Backbone:
    """A network below the landmark head, and the sets of its layers that the head may read.

    Attributes:
        build: Function `(input_shape, width_multiplier) -> keras.Model`, functional, for images of values 0 to 255.
        taps: Sets of names of layers, as `LandmarkNet` takes them, by a name of the set; None for the model's output.

    Examples:
        >>> import keras
        >>> from keras_asm.tuning import Backbone
        >>> def small(input_shape, width_multiplier):
        ...     return keras.Sequential([
        ...         keras.Input(input_shape),
        ...         keras.layers.Conv2D(int(32 * width_multiplier), 3, strides=2, activation="relu", name="first"),
        ...         keras.layers.Conv2D(64, 3, strides=2, activation="relu", name="second")])
        >>> backbone = Backbone(small, taps={"last": None, "both": ["first", "second"]})
        >>> backbone.build((32, 32, 3), 0.5).output_shape
        (None, 7, 7, 64)

    See Also:
        - [`LandmarkHyperModel`][keras_asm.tuning.LandmarkHyperModel]: searches among several.
        - [`LandmarkNet`][keras_asm.applications.LandmarkNet]: puts the head on one.
        - [Another backbone][another-backbone]: an example.
    """

    build: Callable[[tuple[int, int, int], float], keras.Model]
    taps: Mapping[str, Sequence[str] | None]


def mobilenet_v2(input_shape: tuple[int, int, int], width_multiplier: float) -> keras.Model:
    """ASMNet's MobileNetV2 with random weights, and its preprocessing."""
    return mobilenet_v2_backbone(input_shape, width_multiplier, value_range=(0.0, 255.0), imagenet=False)


BACKBONES = {
    "MobileNetV2": Backbone(
        mobilenet_v2,
        {
            "asmnet": ASMNET_TAPS,
            "last": None,  # the paper's baseline
        },
    )
}

AUGMENTATIONS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "mild": {"rotation": None, "scale": 0.05, "shift": 0.03},
    "geometric": {"rotation": 15.0, "scale": 0.1, "shift": 0.05},
}

_SCHEDULES: dict[str, Callable[[float, int], AlphaSchedule | None]] = {
    "step": lambda alpha, epochs: AlphaStepSchedule((alpha, alpha / 2, alpha / 4), epochs=epochs),
    "linear": lambda alpha, epochs: AlphaLinearSchedule(alpha, 0.0, epochs=epochs),
    "cosine": lambda alpha, epochs: AlphaCosineSchedule(alpha, 0.0, epochs=epochs),
    "constant": lambda alpha, epochs: None,
}
_HEADS = ("plain", "coordinates", "components")
_KEPT_SHAPE_MODELS = 32


class LandmarkHyperModel(keras_tuner.HyperModel):
    """A landmark network and its training, every setting of which is fixed or searched for.

    A setting takes one value, a list of values to choose from, or, if it is a number, a pair `(low, high)`, between
    which it is drawn on a logarithmic scale. Without lists and pairs nothing is searched for.

    The shape model is fitted for each trial on the *training* landmarks as the trial's network will see them, augmented
    if they are, and on nothing else: validation faces have no part in it. Trials that need the same one share it.

    Pass `objective` to the tuner, and call its `search` without data. In each trial the learning rate falls along half
    a cosine wave over `epochs`. It and the schedule of alpha follow the epoch: Hyperband, which stops trials early and
    goes on with the best, finds them where they would be in a whole run.

    Args:
        train: Faces to train on; or, to search for the image size, the same faces by their sizes, `{64: ..., 96: ...}`.
        validation: Faces to validate on, likewise.
        epochs: Length of a whole run: of the schedules, and of a trial, unless the tuner says otherwise. Pass
            Hyperband the same `max_epochs`.
        batch_size: Faces of a batch.
        backbone: Names in `backbones`.
        taps: Names of the sets of taps of the backbone; None takes the first of each.
        width_multiplier: Given to the backbone.
        head: `"plain"` predicts the coordinates; `"coordinates"` their deviations from the mean, by
            `ShapeDecoder.from_landmarks`; `"components"` coefficients of an unaligned shape model.
        head_accuracy: Fraction of the variance that the components of that head keep.
        base: The base loss: a name that Keras knows, or `"wing"`.
        assisted: Whether the loss is ASM-assisted. The next four settings are those of the assisted loss.
        schedule: Of alpha: `"step"` (alpha, a half and a quarter of it), `"linear"` or `"cosine"` (to 0), or
            `"constant"`.
        alpha: The first alpha.
        accuracy: Fraction of the variance that the shape model keeps.
        aligned: Whether shapes are aligned before they are modelled.
        learning_rate: Adam's first.
        augmentation: Names in `augmentations`.
        backbones: Backbones by name; by default MobileNetV2 with ASMNet's taps (`"asmnet"`) or its last layer
            (`"last"`).
        augmentations: Arguments of `LandmarkAugmentation` by name, None for none; by default `"none"`, `"mild"` (flips,
            colours, small shifts and scales) and `"geometric"` (turns by 15 degrees too).
        seed: Seed of the weights, the batches and their augmentation, the same for every trial.

    Attributes:
        objective: The NME of the validation faces, which is to be small; a `keras_tuner.Objective`.

    Raises:
        ValueError: If a setting has a value that it cannot have, or the sizes of training and validation faces differ.

    Examples:
        >>> import keras_tuner
        >>> from keras_asm.synthetic import synthetic_faces
        >>> from keras_asm.tuning import LandmarkHyperModel
        >>> train, validation = (synthetic_faces(n, seed=n, image_size=32) for n in (8, 4))
        >>> hypermodel = LandmarkHyperModel(
        ...     train, validation, epochs=3, schedule=["step", "linear"], learning_rate=(1e-4, 1e-2))
        >>> hp = keras_tuner.HyperParameters()
        >>> hypermodel.build(hp).output_names
        ['landmarks']
        >>> [parameter.name for parameter in hp.space if not isinstance(parameter.values, tuple) or
        ...  len(parameter.values) > 1]
        ['learning_rate', 'schedule']

    See Also:
        - [`Backbone`][keras_asm.tuning.Backbone]: what else than MobileNetV2 it can search.
        - [`ASMNet`][keras_asm.applications.ASMNet]: the network with fixed settings.
        - [Searching for settings][searching-for-settings]: settings, tuners and several processes.
    """

    def __init__(
        self,
        train: FaceCrops | Mapping[int, FaceCrops],
        validation: FaceCrops | Mapping[int, FaceCrops],
        *,
        epochs: int,
        batch_size: Any = 32,
        backbone: Any = "MobileNetV2",
        taps: Any = None,
        width_multiplier: Any = 1.0,
        head: Any = "coordinates",
        head_accuracy: Any = 0.99,
        base: Any = "mean_squared_error",
        assisted: Any = True,
        schedule: Any = "step",
        alpha: Any = 2.0,
        accuracy: Any = 0.90,
        aligned: Any = False,
        learning_rate: Any = 2e-3,
        augmentation: Any = "mild",
        backbones: Mapping[str, Backbone] = BACKBONES,
        augmentations: Mapping[str, Mapping[str, Any] | None] = AUGMENTATIONS,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._train, self._validation = _by_size(train), _by_size(validation)
        if self._train.keys() != self._validation.keys():
            raise ValueError(
                "Training and validation faces must have the same sizes. "
                f"Received: {sorted(self._train)} and {sorted(self._validation)}"
            )
        if epochs < 1:
            raise ValueError(f"epochs must be positive. Received: epochs={epochs}")
        self.epochs, self.seed = epochs, seed
        self._backbones, self._augmentations = dict(backbones), dict(augmentations)
        _check_names("backbone", backbone, self._backbones)
        _check_names("head", head, _HEADS)
        _check_names("schedule", schedule, _SCHEDULES)
        _check_names("augmentation", augmentation, self._augmentations)
        self._taps = {name: _taps_of(name, self._backbones[name], taps) for name in _listed(backbone)}
        self._settings = {
            "image_size": sorted(self._train),
            "batch_size": batch_size,
            "backbone": backbone,
            "width_multiplier": width_multiplier,
            "head": head,
            "head_accuracy": head_accuracy,
            "base": base,
            "assisted": assisted,
            "schedule": schedule,
            "alpha": alpha,
            "accuracy": accuracy,
            "aligned": aligned,
            "learning_rate": learning_rate,
            "augmentation": augmentation,
        }
        self.objective = keras_tuner.Objective("val_nme", "min")
        self._shape_models: dict[tuple[str, float, bool], ActiveShapeModel] = {}

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The compiled network of a trial.

        Args:
            hp: Where settings are registered, and their values come from.
        """
        # What is registered does not depend on the values, but under the conditions that KerasTuner is told of
        settings = {name: _choose(hp, name, self._settings[name]) for name in _UNCONDITIONAL}
        for backbone, taps in self._taps.items():
            with hp.conditional_scope("backbone", [backbone]):
                chosen = _choose(hp, f"{backbone}_taps", taps)
            if backbone == settings["backbone"]:
                settings["taps"] = chosen
        with hp.conditional_scope("head", ["components"]):
            settings["head_accuracy"] = _choose(hp, "head_accuracy", self._settings["head_accuracy"])
        with hp.conditional_scope("assisted", [True]):
            for name in _ASSISTED:
                settings[name] = _choose(hp, name, self._settings[name])

        train, augmentation = self._train[settings["image_size"]], self._augmentation(hp)
        shapes = train.landmarks if augmentation is None else augmentation.augment_landmarks(train.landmarks)
        backbone = self._backbones[settings["backbone"]]
        shape = (train.image_size, train.image_size, 3)
        keras.utils.set_random_seed(self.seed)
        model = LandmarkNet(
            backbone.build(
                shape if keras.config.image_data_format() == "channels_last" else shape[::-1],
                settings["width_multiplier"],
            ),
            backbone.taps[settings["taps"]],
            n_landmarks=train.landmarks.shape[1],
            include_pose=False,
            batch_norm_momentum=0.9,
            shape_decoder=self._decoder(settings, shapes),
        )
        base = WingLoss() if settings["base"] == "wing" else settings["base"]
        if settings["assisted"]:
            shape_model = self.shape_model(shapes, settings["accuracy"], settings["aligned"])
            loss = ASMAssistedLoss(shape_model, alpha=settings["alpha"], base=base)
        else:
            loss = LandmarkLoss(base)
        normalizer = "box" if train.scheme is None else "inter_ocular"
        model.compile(
            keras.optimizers.Adam(settings["learning_rate"]),
            loss={"landmarks": loss},
            metrics={"landmarks": [NormalizedMeanError(train.scheme, normalizer, name="nme")]},
        )
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *,
        callbacks: Iterable[keras.callbacks.Callback] = (),
        epochs: int | None = None,
        initial_epoch: int = 0,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """Train the network of a trial; the tuner calls it.

        Args:
            hp: What `build` was given.
            model: What it returned.
            callbacks: The tuner's.
            epochs: Last epoch, as Hyperband says; None for a whole run.
            initial_epoch: First epoch, likewise.
            **kwargs: As for `keras.Model.fit`, such as `verbose`.
        """
        keras.utils.set_random_seed(self.seed)
        size, batch_size = hp.get("image_size"), hp.get("batch_size")
        batches = LandmarkBatches.from_faces(
            self._train[size],
            pose=False,
            batch_size=batch_size,
            shuffle=True,
            augmentation=self._augmentation(hp),
            seed=self.seed,
        )
        batches.epoch = initial_epoch
        rate, whole = hp.get("learning_rate"), self.epochs
        own: list[keras.callbacks.Callback] = [
            keras.callbacks.LearningRateScheduler(
                lambda epoch, _: rate * (1 + math.cos(math.pi * min(epoch / whole, 1.0))) / 2
            )
        ]
        if hp.get("assisted"):
            schedule = _SCHEDULES[hp.get("schedule")](hp.get("alpha"), whole)
            own += [] if schedule is None else [schedule]
        return model.fit(
            batches,
            validation_data=LandmarkBatches.from_faces(
                self._validation[size], pose=False, batch_size=batch_size
            ),
            epochs=whole if epochs is None else epochs,
            initial_epoch=initial_epoch,
            callbacks=[*own, *callbacks],
            **kwargs,
        )

    def settings(self, hp: keras_tuner.HyperParameters) -> dict[str, Any]:
        """The settings of a trial as plain values, without those that have no effect: what a JSON file can hold."""
        return {name: value for name, value in hp.values.items() if "/" not in name and hp.is_active(name)}

    def train(
        self, settings: Mapping[str, Any], **kwargs: Any
    ) -> tuple[keras.Model, keras.callbacks.History]:
        """Train a whole run with given settings, as its trial was trained.

        With the same faces, `epochs`, `seed`, machine and versions it ends at the same numbers, except for trials of
        Hyperband that were gone on with: these took up the best weights of an earlier trial, and a new optimizer.

        Args:
            settings: What `settings` returned; those that are left out are the first of their values.
            **kwargs: As for `keras.Model.fit`.

        Returns:
            The trained model and its history.

        Raises:
            ValueError: If there is no such setting.
        """
        hp = keras_tuner.HyperParameters()
        hp.values = dict(settings)
        model = self.build(hp)
        unknown = settings.keys() - {parameter.name for parameter in hp.space}
        if unknown:
            raise ValueError(
                f"Settings may be {sorted(parameter.name for parameter in hp.space)}. Received: {sorted(unknown)}"
            )
        return model, self.fit(hp, model, **kwargs)

    def shape_model(self, shapes: np.ndarray, accuracy: float, aligned: bool) -> ActiveShapeModel:
        """The shape model of some shapes, fitted once for the same contents.

        Args:
            shapes: `(n, n_landmarks, 2)`.
            accuracy: Fraction of the variance to keep.
            aligned: Whether to align.
        """
        shapes = np.ascontiguousarray(shapes)
        key = hashlib.sha256(shapes.tobytes()).hexdigest(), accuracy, aligned
        if key not in self._shape_models:
            while len(self._shape_models) >= _KEPT_SHAPE_MODELS:
                self._shape_models.pop(next(iter(self._shape_models)))
            self._shape_models[key] = ActiveShapeModel(accuracy, align="procrustes" if aligned else None).fit(
                shapes
            )
        return self._shape_models[key]

    def _augmentation(self, hp: keras_tuner.HyperParameters) -> LandmarkAugmentation | None:
        options = self._augmentations[hp.get("augmentation")]
        if options is None:
            return None
        return LandmarkAugmentation(self._train[hp.get("image_size")].scheme, **options)

    def _decoder(self, settings: Mapping[str, Any], shapes: np.ndarray) -> ShapeDecoder | None:
        if settings["head"] == "plain":
            return None
        if settings["head"] == "coordinates":
            return ShapeDecoder.from_landmarks(shapes)
        return ShapeDecoder.from_shape_model(self.shape_model(shapes, settings["head_accuracy"], False))


_ASSISTED = ("schedule", "alpha", "accuracy", "aligned")
_UNCONDITIONAL = (
    "image_size",
    "batch_size",
    "backbone",
    "width_multiplier",
    "head",
    "base",
    "assisted",
    "learning_rate",
    "augmentation",
)


def _choose(hp: keras_tuner.HyperParameters, name: str, values: Any) -> Any:
    if isinstance(values, tuple):
        return hp.Float(name, *values, sampling="log")
    values = _listed(values)
    if len(values) == 2 and isinstance(values[0], bool):
        return hp.Boolean(name, default=values[0])  # a Choice would make them 0 and 1
    # Registered too if there is nothing to choose, so that the settings of a trial are complete
    return hp.Fixed(name, values[0]) if len(values) == 1 else hp.Choice(name, values)


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _check_names(setting: str, values: Any, known: Iterable[str]) -> None:
    unknown = [value for value in _listed(values) if value not in known]
    if unknown:
        raise ValueError(f"{setting} must be among {list(known)}. Received: {unknown}")


def _taps_of(name: str, backbone: Backbone, taps: Any) -> list[str]:
    if taps is None:
        return [next(iter(backbone.taps))]
    found = [tap for tap in _listed(taps) if tap in backbone.taps]
    if not found:
        raise ValueError(
            f"taps must name a set of taps of {name}, which has {list(backbone.taps)}. Received: {taps!r}"
        )
    return found


def _by_size(faces: FaceCrops | Mapping[int, FaceCrops]) -> dict[int, FaceCrops]:
    if isinstance(faces, FaceCrops):
        return {faces.image_size: faces}
    wrong = {size: crops.image_size for size, crops in faces.items() if size != crops.image_size}
    if wrong or not faces:
        raise ValueError(
            f"Faces by size must be a mapping from their image_size, with at least one. Received: {wrong}"
        )
    return dict(faces)
