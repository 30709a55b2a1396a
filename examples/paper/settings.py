"""What a run of the reproduction is made of: networks, losses, recipes, and a name for each combination."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any

import keras

from keras_asm import (
    AccuracyStepSchedule,
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    MobileNetV2Landmarks,
    WingLoss,
)
from paper.data import CROP_MARGIN

NETWORKS: dict[str, Callable[..., keras.Model]] = {"mnv2": MobileNetV2Landmarks, "ASMNet": ASMNet}
"""The paper's two networks."""

MODELS = {
    "mnv2": ("mnv2", "plain"),
    "mnv2_r": ("mnv2", "asm"),
    "ASMNet_nr": ("ASMNet", "plain"),
    "ASMNet": ("ASMNet", "asm"),
}
"""The paper's four models: a network and the loss that it is trained with."""

BASES: dict[str, Callable[[], keras.losses.Loss]] = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "wing": WingLoss,
}

PAPER_ACCURACY = 0.90
PAPER_DECAY = 1e-5


@dataclass(frozen=True)
class LossSetting:
    """A landmark loss, written as `plain` or `asm`, with what differs from the paper after it.

    `asm,accuracy=0.97,align=procrustes,alpha=2/1/0,limit=none,base=wing,normalize=yes,fit=upright`; several accuracies
    are a curriculum, `accuracy=none` keeps every component, so that with `limit=none` ASM(G) is G: a control that has
    the assisted loss's scale 1 + alpha, and nothing else of it. `normalize=yes` takes that scale away. `fit=upright`
    fits the shape model on the faces as they are annotated, and not as the augmentation turns and shifts them.

    Examples:
        >>> LossSetting.parse("plain,base=wing") == LossSetting(assisted=False, base="wing")
        True
        >>> str(LossSetting.parse("asm,base=mse,alpha=2.0/1/0.50,accuracy=0.97"))
        'asm,accuracy=0.97'
    """

    assisted: bool
    accuracy: tuple[float, ...] | None = (PAPER_ACCURACY,)
    align: str | None = None
    alpha: tuple[float, ...] = (2.0, 1.0, 0.5)
    limit: float | None = 3.0
    base: str = "mse"
    normalize: bool = False
    fit: str = "augmented"

    @classmethod
    def parse(cls, text: str) -> LossSetting:
        """Read what `str` writes."""
        kind, *options = text.split(",")
        if kind not in ("plain", "asm"):
            raise ValueError(f"A loss is 'plain' or 'asm', with options after commas. Received: {text!r}")
        readers: dict[str, Callable[[str], Any]] = {
            "accuracy": _numbers,
            "align": str,
            "alpha": _numbers,
            "limit": float,
            "base": str,
            "normalize": {"yes": True, "no": False}.__getitem__,
            "fit": str,
        }
        allowed = readers if kind == "asm" else {"base": str}
        values: dict[str, Any] = {}
        for option in options:
            name, equals, value = option.partition("=")
            if name not in allowed or not equals:
                raise ValueError(
                    f"Options of {kind!r} are {list(allowed)}, as name=value. Received: {text!r}"
                )
            try:
                values[name] = None if value == "none" else readers[name](value)
            except (ValueError, KeyError):
                expected = "yes or no" if name == "normalize" else "a number, or numbers with slashes"
                raise ValueError(f"{name} needs {expected}. Received: {text!r}") from None
        setting = cls(kind == "asm", **values)
        known = {"base": BASES, "align": (None, "procrustes"), "fit": ("augmented", "upright")}
        if not setting.alpha or any(getattr(setting, name) not in values for name, values in known.items()):
            raise ValueError(
                f"base is one of {list(BASES)}, align none or procrustes, fit augmented or upright, alpha at least "
                f"one number. Received: {text!r}"
            )
        return setting

    def __str__(self) -> str:
        parts = ["asm" if self.assisted else "plain"]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if value != field.default:
                parts.append(f"{field.name}={_written(value)}")
        return ",".join(parts)

    def shape_model(self, annotated: Any, augmented: Any) -> ActiveShapeModel | None:
        """The shape model of the assisted loss, fitted; None for the plain loss."""
        if not self.assisted:
            return None
        n_components = None if self.accuracy is None else max(self.accuracy)
        model = ActiveShapeModel(n_components, limit=self.limit, align=self.align)
        return model.fit(annotated if self.fit == "upright" else augmented)

    def build(self, shape_model: ActiveShapeModel | None) -> keras.losses.Loss:
        """The loss."""
        base = BASES[self.base]()
        if shape_model is None:
            return base
        return ASMAssistedLoss(shape_model, base=base, normalize=self.normalize)

    def schedules(self) -> list[keras.callbacks.Callback]:
        """The callbacks that drive it."""
        if not self.assisted:
            return []
        schedules: list[keras.callbacks.Callback] = [AlphaStepSchedule(self.alpha)]
        if self.accuracy is not None and len(self.accuracy) > 1:
            schedules.append(AccuracyStepSchedule(self.accuracy))
        return schedules


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides a run's numbers, but for the data on disk and the backend.

    Attributes:
        dataset: what is trained and tested on.
        network: one of `NETWORKS`.
        loss: a `LossSetting`, as text.
        recipe: one of `RECIPES`, which gave the values that were not asked for.
        seed: of the first weights, the order of the faces and their augmentation.
        image_size: pixels.
        epochs: of the whole run.
        batch_size: faces in a step.
        learning_rate: of Adam, at first.
        schedule: `"inverse_time"` divides it by 1 + 1e-5 * step, as the paper; `"cosine"` takes it to 0.
        augmentation: `"photometric"`, as the paper; `"geometric"` also flips, turns, scales and shifts;
            `"cropped"` flips and turns, and crops the turned face anew as every test face is cropped.
        pose_weight: weight of the pose loss (Eq. 12); 0 trains a network without the pose head.
        pose_base: what compares poses, one of `BASES`; the paper's is the squared error.
        width_multiplier: of MobileNetV2's channels.
        batch_norm_momentum: of the moving statistics that evaluation normalises with; training does not use them.
        weights: file of first weights, by its name, or `"imagenet"`; None: random.
        precision: Keras's dtype policy.
        max_train_faces: trains on so many faces of the data set, drawn by the seed 0; None: all.
        extra_dataset: trains on the training faces of this one too; None: on `dataset` alone.
        label_noise: standard deviation of noise on the training landmarks, the distance between the outer eye corners
            being 1; None: they are as annotated.
        teacher: weights file, by its name, of a trained network like it, whose predictions for the training faces are
            averaged with their annotations (distillation); None: annotations alone.
        teacher_size: image size of the teacher.
        hold_out: fraction of the training faces that is tested on instead of the test set; None: the test set is.
        average: momentum of a moving average of the weights, which is what is tested; None: the last weights are.
    """

    dataset: str
    network: str
    loss: str
    recipe: str
    seed: int
    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    schedule: str
    augmentation: str
    pose_weight: float = 0.5
    pose_base: str = "mse"
    width_multiplier: float = 1.0
    batch_norm_momentum: float = 0.9
    weights: str | None = None
    precision: str = "float32"
    max_train_faces: int | None = None
    extra_dataset: str | None = None
    label_noise: float | None = None
    teacher: str | None = None
    teacher_size: int | None = None
    hold_out: float | None = None
    average: float | None = None

    @property
    def name(self) -> str:
        """A file name that differs where the settings differ."""
        settings = asdict(self)
        named = [settings.pop(part) for part in ("dataset", "network", "loss", "recipe")]
        named += [
            f"{settings.pop('image_size')}px",
            f"{settings.pop('epochs')}ep",
            f"s{settings.pop('seed')}",
        ]
        usual = usual_values(self.recipe)
        special = {name: value for name, value in settings.items() if value != usual[name]}
        if special:
            named.append(hashlib.sha256(json.dumps(special, sort_keys=True).encode()).hexdigest()[:6])
        return "_".join(re.sub(r"[^\w.]+", "-", part) for part in named)


RECIPES: dict[str, dict[str, Any]] = {
    # Section 4.1 of the paper, in which the pixels of a face move nowhere
    "paper": {
        "image_size": 224,
        "epochs": 150,
        "batch_size": 50,
        "learning_rate": 1e-2,
        "schedule": "inverse_time",
        "augmentation": "photometric",
        "pose_base": "mse",
    },
    "strong": {
        "image_size": 224,
        "epochs": 150,
        "batch_size": 32,
        "learning_rate": 4e-3,
        "schedule": "cosine",
        "augmentation": "cropped",
        "pose_base": "mae",
    },
}
"""Values of `RunSettings` where none are asked for."""


def usual_values(recipe: str) -> dict[str, Any]:
    """The settings of a recipe's runs, where nothing else is asked for."""
    defaults = {field.name: field.default for field in fields(RunSettings) if field.default is not MISSING}
    return defaults | RECIPES[recipe]


AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "photometric": {"flip": None, "rotation": None, "scale": None, "shift": None},
    "geometric": {"flip": 0.5, "rotation": 15.0, "scale": 0.1, "shift": 0.05},
    "cropped": {"flip": 0.5, "rotation": 30.0, "scale": None, "shift": None, "crop_margin": CROP_MARGIN},
}
"""Arguments of `LandmarkAugmentation` for each `RunSettings.augmentation`."""


def build_learning_rate(settings: RunSettings, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a run of so many steps."""
    if settings.schedule == "inverse_time":
        return keras.optimizers.schedules.InverseTimeDecay(settings.learning_rate, 1, PAPER_DECAY)
    return keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split("/"))


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return "/".join(f"{number:g}" for number in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
