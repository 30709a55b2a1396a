"""What decides a run's numbers, and the named experiments of `experiments.toml`."""

from __future__ import annotations

import difflib
import json
import tomllib
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, get_args, get_origin, get_type_hints

import keras
import numpy as np

from keras_asm import (
    AccuracyStepSchedule,
    ActiveShapeModel,
    AlphaStepSchedule,
    ASMAssistedLoss,
    ASMNet,
    MobileNetV2Landmarks,
    ShapeDecoder,
    WingLoss,
)
from keras_asm.losses import LandmarkLoss
from paper.cheaper_nets import narrow_first_layer_net, three_taps_net, without_block_2_net
from paper.spatial_heads import feature_points_net, soft_argmax_net

__all__ = [
    "AUGMENTATIONS",
    "BASES",
    "COMPLETIONS",
    "CROP_MARGIN",
    "EXPERIMENTS",
    "HEADS",
    "NETWORKS",
    "PAPER_ACCURACY",
    "PAPER_MODELS",
    "Experiment",
    "LossSettings",
    "RunSettings",
    "build_learning_rate",
    "load_experiments",
]

EXPERIMENTS = Path(__file__).parents[1] / "experiments.toml"

NETWORKS: dict[str, Callable[..., keras.Model]] = {
    "mnv2": MobileNetV2Landmarks,
    "ASMNet": ASMNet,
    "feature_points": feature_points_net,
    "soft_argmax": soft_argmax_net,
    "three_taps": three_taps_net,
    "narrow_first_layer": narrow_first_layer_net,
    "without_block_2": without_block_2_net,
}
"""The paper's two networks, ASMNet with heads that are not pooled, and ASMNet made cheaper."""

PAPER_MODELS = ("mnv2", "mnv2_r", "ASMNet_nr", "ASMNet")
"""The paper's four models: `_r` marks the assisted loss, `_nr` the plain one."""

BASES: dict[str, Callable[[], keras.losses.Loss]] = {
    "mse": keras.losses.MeanSquaredError,
    "mae": keras.losses.MeanAbsoluteError,
    "wing": WingLoss,
}

HEADS: dict[str, Callable[[np.ndarray], ShapeDecoder | None]] = {
    "dense": lambda shapes: None,
    "mean": lambda shapes: ShapeDecoder(_flat(shapes).mean(axis=0), np.ones(_flat(shapes).shape[1])),
    "scale": lambda shapes: ShapeDecoder(np.zeros(_flat(shapes).shape[1]), _flat(shapes).std(axis=0)),
    "rate": lambda shapes: ShapeDecoder(
        np.zeros(_flat(shapes).shape[1]), np.full(_flat(shapes).shape[1], _flat(shapes).std(axis=0).mean())
    ),
    "coordinates": ShapeDecoder.from_landmarks,
    "components": lambda shapes: ShapeDecoder.from_shape_model(ActiveShapeModel(None).fit(shapes)),
    "components-99": lambda shapes: ShapeDecoder.from_shape_model(ActiveShapeModel(0.99).fit(shapes)),
    "similarity": lambda shapes: ShapeDecoder(*_similarity_and_shape(shapes)),
}
"""What the linear layer of the landmarks predicts: coordinates, or coefficients of a decoder of the shapes as the
network sees them. `mean` and `scale` are the two parts of `coordinates`; `rate` has one scale for all coordinates,
which is a learning rate of its own for the layer; `similarity` has the similarity transforms of the mean shape and the
principal components of what they leave."""

COMPLETIONS = ("shape_model", "drop")
"""What is done about training faces of which landmarks are missing: `"shape_model"` completes them, `"drop"` leaves the
faces out."""

CROP_MARGIN = 0.25  # of every crop

AUGMENTATIONS: dict[str, dict[str, Any]] = {
    "photometric": {"flip": None, "rotation": None, "scale": None, "shift": None},
    "geometric": {"flip": 0.5, "rotation": 15.0, "scale": 0.1, "shift": 0.05},
    "cropped": {"flip": 0.5, "rotation": 30.0, "scale": None, "shift": None, "crop_margin": CROP_MARGIN},
    "detected": {"flip": 0.5, "rotation": 30.0, "scale": 0.08, "shift": 0.04, "crop_margin": CROP_MARGIN},
}
AUGMENTATIONS["hidden"] = AUGMENTATIONS["detected"] | {"occlusion": 0.4, "blur": 0.015}
"""Arguments of `LandmarkAugmentation` for each `RunSettings.augmentation`."""

PAPER_ACCURACY = 0.90
PAPER_DECAY = 1e-5

_CHOICES: dict[str, tuple[str, ...]] = {
    "network": tuple(NETWORKS),
    "head": tuple(HEADS),
    "base": tuple(BASES),
    "pose_base": tuple(BASES),
    "align": ("procrustes",),
    "fit": ("augmented", "upright"),
    "schedule": ("inverse_time", "cosine"),
    "augmentation": tuple(AUGMENTATIONS),
    "precision": ("float32", "mixed_bfloat16"),
    "complete": COMPLETIONS,
    "clean": ("drawn",),
}
_SHORT = {"plain": {}, "asm": {"assisted": True}}  # a loss in a word


@dataclass(frozen=True)
class LossSettings:
    """A landmark loss.

    Attributes:
        assisted: by the shape model (Eqs. 7-9), or plain.
        accuracy: variance that the shape model keeps; several are a curriculum; None keeps every component, so that
            without a limit ASM(G) is G: a control that has the assisted loss's scale 1 + alpha and nothing else of it.
        align: `"procrustes"`, or None as in the paper.
        alpha: for equal parts of the run (Eq. 10).
        limit: of the shape model's coefficients, in standard deviations; None: no limit.
        base: what compares landmarks, one of `BASES`.
        normalize: whether the scale 1 + alpha is divided out.
        fit: what the shape model is fitted on: faces as the augmentation shows them, or `"upright"` as annotated.
    """

    assisted: bool = False
    accuracy: tuple[float, ...] | None = (PAPER_ACCURACY,)
    align: str | None = None
    alpha: tuple[float, ...] = (2.0, 1.0, 0.5)
    limit: float | None = 3.0
    base: str = "mse"
    normalize: bool = False
    fit: str = "augmented"

    def __post_init__(self) -> None:
        others = [f for f in fields(self) if f.name not in ("assisted", "base")]
        if not self.assisted and any(getattr(self, f.name) != f.default for f in others):
            raise ValueError(f"Only 'base' can be set where 'assisted' is not true. Received: {self}")

    @classmethod
    def read(cls, values: str | Mapping[str, Any], where: str = "a loss") -> Self:
        """From a table of TOML or JSON, or `"plain"` or `"asm"` for the paper's two losses."""
        if isinstance(values, str):
            if values not in _SHORT:
                raise ValueError(f"{where}: expected 'plain', 'asm' or a table. Received: {values!r}")
            values = _SHORT[values]
        return _checked(cls, values, where)

    def __str__(self) -> str:
        parts = ["assisted" if self.assisted else "plain"]
        if self.accuracy is None:
            parts.append("every component")
        elif self.accuracy != (PAPER_ACCURACY,):
            parts.append(f"accuracy {_listed(100 * a for a in self.accuracy)} %")
        parts += ["aligned"] if self.align else []
        parts += [f"alpha {_listed(self.alpha)}"] if self.alpha != (2.0, 1.0, 0.5) else []
        parts += ["no limit"] if self.limit is None else [f"limit {self.limit:g}"] if self.limit != 3 else []
        parts += [self.base] if self.base != "mse" else []
        parts += ["normalized"] if self.normalize else []
        parts += ["fitted upright"] if self.fit == "upright" else []
        return ", ".join(parts)

    def shape_model(self, annotated: Any, augmented: Any) -> ActiveShapeModel | None:
        """The shape model of the assisted loss, fitted; None for the plain loss."""
        if not self.assisted:
            return None
        n_components = None if self.accuracy is None else max(self.accuracy)
        model = ActiveShapeModel(n_components, limit=self.limit, align=self.align)
        return model.fit(annotated if self.fit == "upright" else augmented)

    def build(self, shape_model: ActiveShapeModel | None, partial: bool = False) -> keras.losses.Loss:
        """The loss; of faces of which landmarks are missing if `partial`."""
        base = BASES[self.base]()
        if shape_model is None:
            return LandmarkLoss(base) if partial else base
        return ASMAssistedLoss(shape_model, base=base, normalize=self.normalize)

    def schedules(self, epochs: int) -> list[keras.callbacks.Callback]:
        """The callbacks that drive it through a training of so many epochs, wherever it is resumed."""
        if not self.assisted:
            return []
        schedules: list[keras.callbacks.Callback] = [AlphaStepSchedule(self.alpha, epochs=epochs)]
        if self.accuracy is not None and len(self.accuracy) > 1:
            schedules.append(AccuracyStepSchedule(self.accuracy, epochs=epochs))
        return schedules


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides a run's numbers, but for the data on disk and the backend.

    Attributes:
        recipe: that gave the values which the experiment does not.
        dataset: what is trained and tested on.
        network: one of `NETWORKS`.
        loss: of the landmarks.
        seed: of the first weights, the order of the faces and their augmentation.
        image_size: pixels.
        epochs: of the whole run; 0: the first weights are tested as they are.
        batch_size: faces in a step.
        learning_rate: of Adam, at first.
        schedule: `"inverse_time"` divides it by 1 + 1e-5 * step, as the paper; `"cosine"` takes it to 0.
        augmentation: `"photometric"`, as the paper; `"geometric"` also flips, turns, scales and shifts;
            `"cropped"` flips and turns, and crops the turned face anew as every test face is cropped;
            `"detected"` then moves and scales the crop as much as the boxes of face detectors vary; `"hidden"` also
            draws occluders and blurs.
        pose_weight: weight of the pose loss (Eq. 12); 0 trains a network without the pose head.
        pose_base: what compares poses, one of `BASES`; the paper's is the squared error.
        width_multiplier: of MobileNetV2's channels.
        batch_norm_momentum: of the moving statistics that evaluation normalises with; training does not use them.
        weights: file of first weights, by its name, or `"imagenet"`; None: random. `{seed}` in it stands for the seed.
        precision: Keras's dtype policy.
        max_train_faces: trains on so many faces of the data set, drawn by the seed 0; None: all.
        extra_dataset: trains on the training faces of this one too; None: on `dataset` alone.
        repeat_own: how often an epoch has each training face of `dataset`; those of other ones, it has once. Of
            `several`, 300W's are its own.
        label_noise: standard deviation of noise on the training landmarks, the distance between the outer eye corners
            being 1; None: they are as annotated.
        missing: fraction of the landmarks that is taken from every training face, at random; None: none is.
        sparse: fraction of the training faces that have 29 of the 68 landmarks only; None: all have all.
        complete: one of `COMPLETIONS`; None: missing landmarks are missing, and cost nothing.
        clean: `"drawn"`: the noisy training landmarks are replaced by what an aligned shape model of drawn faces
            expects the true ones to be, the size of the noise being known; None: they are not.
        teacher: weights file, by its name, of a trained network like it, whose predictions for the training faces are
            averaged with their annotations (distillation); None: annotations alone.
        teacher_size: image size of the teacher.
        hold_out: fraction of the training faces that is tested on instead of the test set; None: the test set is.
        average: momentum of a moving average of the weights, which is what is tested; None: the last weights are.
        head: one of `HEADS`.
        augment_shapes: strength of the new shapes that are drawn once, one for each training face, and trained on
            beside it; None: none are.
        recompute: epochs of training faces, augmented, over which the statistics of batch norm are averaged at the
            end; 0: they are the moving averages of the training.
    """

    recipe: str
    dataset: str
    network: str
    loss: LossSettings
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
    repeat_own: int = 1
    label_noise: float | None = None
    missing: float | None = None
    sparse: float | None = None
    complete: str | None = None
    clean: str | None = None
    teacher: str | None = None
    teacher_size: int | None = None
    hold_out: float | None = None
    average: float | None = None
    head: str = "dense"
    augment_shapes: float | None = None
    recompute: int = 0

    def __post_init__(self) -> None:
        if self.label_noise is not None and not self.label_noise > 0:
            raise ValueError(f"label_noise must be positive. Received: {self.label_noise}")
        if self.repeat_own < 1:
            raise ValueError(f"repeat_own must be at least 1. Received: {self.repeat_own}")
        for name in ("missing", "sparse"):
            fraction = getattr(self, name)
            if fraction is not None and not 0 < fraction < 1:
                raise ValueError(f"{name} is a fraction between 0 and 1. Received: {fraction}")
        if self.clean is not None and self.label_noise is None:
            raise ValueError(f"clean goes with label_noise. Received: clean {self.clean} alone")
        if self.complete is not None and self.missing is None and self.sparse is None:
            raise ValueError(f"complete goes with missing or sparse. Received: {self.complete} alone")
        if self.complete == "drop" and self.missing is not None:
            raise ValueError("missing leaves no whole face to keep. Received: complete drop")
        if (self.teacher is None) != (self.teacher_size is None):
            raise ValueError(
                f"teacher and teacher_size go together. Received: {self.teacher, self.teacher_size}"
            )
        if self.extra_dataset is not None and self.extra_dataset == self.dataset:
            raise ValueError(f"extra_dataset is another one than dataset. Received: {self.dataset} twice")
        if self.hold_out is not None and not 0 < self.hold_out < 1:
            raise ValueError(f"hold_out is a fraction between 0 and 1. Received: {self.hold_out}")
        if self.hold_out is not None and self.dataset == "youtube_faces":
            raise ValueError("hold_out would put frames of one person on both sides. Received: youtube_faces")

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str = "a run") -> Self:
        """From tables of TOML or JSON."""
        return _checked(cls, values, where)

    def to_dict(self) -> dict[str, Any]:
        """What `read` reads, as JSON gives it back."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Experiment:
    """Networks and losses that are trained by one recipe, to be compared.

    Attributes:
        name: of its table in the file.
        about: what it asks, in a line.
        models: network and loss of each, by name.
        values: the other settings, those of the recipe included.
        changes: those that are not the recipe's.
        where: its place, for errors.
    """

    name: str
    about: str
    models: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Any]
    changes: Mapping[str, Any]
    where: str

    def run(self, model: str, seed: int = 0) -> RunSettings:
        """The settings of one run."""
        if model not in self.models:
            raise ValueError(f"{self.where}: models are {list(self.models)}. Received: {model!r}")
        values = {**self.values, **self.models[model], "seed": seed}
        if isinstance(values.get("weights"), str):
            values["weights"] = of_seed(values["weights"], seed)
        return RunSettings.read(values, self.where)


def of_seed(name: str, seed: int) -> str:
    """The name of a file that has one for each seed: `drawn-first-{seed}.weights.h5`."""
    return name.replace("{seed}", str(seed))


def load_experiments(paths: Iterable[Path] = (EXPERIMENTS,)) -> dict[str, Experiment]:
    """The experiments of TOML files by name. A later file may use recipes and models of an earlier one.

    Raises:
        ValueError: If a file, an experiment or a setting cannot be read; it names the file and the key.
    """
    recipes: dict[str, dict[str, Any]] = {}
    models: dict[str, dict[str, Any]] = {}
    found: dict[str, Experiment] = {}
    for path in paths:
        try:
            file = tomllib.loads(path.read_text(encoding="utf-8"))
        except tomllib.TOMLDecodeError as error:
            raise ValueError(f"Expected TOML. Received: {path}: {error}") from None
        _known(file, ("recipes", "models", "experiments"), str(path))
        recipes |= file.get("recipes", {})
        models |= file.get("models", {})
        for name, values in file.get("experiments", {}).items():
            where = f"{path}: [experiments.{name}]"
            own = {key: v for key, v in values.items() if key not in ("about", "recipe", "models")}
            asked, recipe = values.get("models", []), values.get("recipe")
            _known([recipe], recipes, f"{where}: recipe")
            _known(asked, models, f"{where}: models")
            experiment = Experiment(
                name=name,
                about=values.get("about", ""),
                models={model: models[model] for model in asked},
                values={"recipe": recipe, "dataset": "300w", **recipes[recipe], **own},
                changes=own,
                where=where,
            )
            for model in asked:
                experiment.run(model)  # raises for what cannot be read
            found[name] = experiment
    return found


def _flat(shapes: np.ndarray) -> np.ndarray:
    return np.reshape(shapes, (len(shapes), -1)).astype(np.float64)


def _similarity_and_shape(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and basis: shift, size and turn of the mean shape, and what is left, each times its standard deviation."""
    flat = _flat(shapes)
    mean = flat.mean(axis=0)
    x, y = (mean.reshape(-1, 2) - mean.reshape(-1, 2).mean(axis=0)).T
    one, nought = np.ones_like(x), np.zeros_like(x)
    moves = [np.stack(pair, axis=1).reshape(-1) for pair in ((one, nought), (nought, one), (x, y), (-y, x))]
    similarity = np.linalg.qr(np.stack(moves, axis=1))[0].T
    rest = (flat - mean) @ (np.eye(len(mean)) - similarity.T @ similarity)
    components = np.linalg.svd(rest, full_matrices=False)[2][: len(mean) - len(similarity)]
    basis = np.concatenate([similarity, components])
    deviations = ((flat - mean) @ basis.T).std(axis=0)
    return mean, np.maximum(deviations, 1e-3 * deviations.max())[:, None] * basis


def build_learning_rate(settings: RunSettings, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """The schedule of a run of so many steps."""
    if settings.schedule == "inverse_time":
        return keras.optimizers.schedules.InverseTimeDecay(settings.learning_rate, 1, PAPER_DECAY)
    return keras.optimizers.schedules.CosineDecay(settings.learning_rate, max(steps, 1))


def _known(names: Iterable[Any], allowed: Iterable[str], where: str) -> None:
    """Raise for the first name that is not allowed, with those that are near to it."""
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            near = " or ".join(map(repr, difflib.get_close_matches(str(name), allowed)))
            expected = f"a known name, perhaps {near}" if near else f"one of {allowed}"
            raise ValueError(f"{where}: expected {expected}. Received: {name!r}")


def _checked(cls: type[Any], values: Mapping[str, Any], where: str) -> Any:
    """An instance of a dataclass from a table, each value of its field's type and among its choices."""
    hints = get_type_hints(cls)
    _known(values, hints, where)
    missing = [f.name for f in fields(cls) if f.name not in values and f.default is f.default_factory]
    if missing:
        raise ValueError(f"{where}: expected a value for each of {missing}. Received: {list(values)}")
    read = {name: _read(value, hints[name], f"{where}: {name}") for name, value in values.items()}
    for name, value in read.items():
        if name in _CHOICES and value is not None:
            _known([value], _CHOICES[name] if name != "network" else NETWORKS, f"{where}: {name}")
    try:
        return cls(**read)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _read(value: Any, hint: Any, where: str) -> Any:
    """A value of TOML or JSON as its field has it; `"none"` is None, and a number a list of one."""
    kinds = get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value in (None, "none") and types.NoneType in kinds:
        return None
    if LossSettings in kinds:
        return LossSettings.read(value, where)
    for kind in kinds:
        numbers = value if isinstance(value, list | tuple) else [value]
        if get_origin(kind) is tuple and numbers and all(type(n) in (int, float) for n in numbers):
            return tuple(map(float, numbers))
        if type(value) is kind or (kind is float and type(value) is int):
            return kind(value)
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds if kind is not types.NoneType)
    raise ValueError(f"{where}: expected {names.replace('tuple', 'numbers')}. Received: {value!r}")


def _listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
