"""One training run, which can be killed at any time and goes on where it was."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_asm import (
    ActiveShapeModel,
    HeadPoseLoss,
    LandmarkAugmentation,
    LandmarkBatches,
    NormalizedMeanError,
    evaluate_landmarks,
    model_cost,
    recompute_batch_norm,
)
from keras_asm.faces import FaceCrops, augment_shapes
from keras_asm.landmarks import LandmarkScheme
from keras_asm.metrics import head_pose_error
from keras_asm.model_tools import predict_with_flip
from keras_asm.pose import GeometricPoseEstimator
from paper.data import Faces, scheme_of
from paper.records import device, rounded, versions
from paper.settings import (
    AUGMENTATIONS,
    BASES,
    HEADS,
    NETWORKS,
    PAPER_ACCURACY,
    RunSettings,
    build_learning_rate,
)

__all__ = [
    "augmented_batches",
    "build_augmentation",
    "build_network",
    "predict_as_teacher",
    "predicted_detail",
    "test",
    "test_pose",
    "train",
]

_TEST_BATCH = 100
_STATISTICS_BATCH, _STATISTICS_PIXELS = 500, 200 * 128**2  # the largest batch; its memory is by its pixels


def train(
    settings: RunSettings,
    faces: Faces,
    weights: str | Path | None,
    checkpoint: Path,
    save_every: int = 1,
    verbose: int = 2,
) -> tuple[keras.Model, dict[str, Any]]:
    """Train a model, from the checkpoint on if there is one.

    No number depends on where a run was interrupted: each epoch's faces and their augmentation are drawn from the
    seed and the epoch, and nothing else in the training is random.

    Args:
        settings: of the run.
        faces: what it trains on, already limited to `max_train_faces`, and is tested on.
        weights: file of first weights, `"imagenet"` or None.
        checkpoint: file that weights, optimizer and history are kept in.
        save_every: epochs between two writes of it.
        verbose: as for `fit`.

    Returns:
        The trained model and the record of the run but for its results.
    """
    keras.config.set_dtype_policy(settings.precision)
    keras.utils.set_random_seed(settings.seed)
    with_pose = faces.train.pose is not None and settings.pose_weight > 0
    loss = settings.loss
    augmentation = build_augmentation(settings, scheme_of(faces.train))
    # As the network will see them: of faces that are turned and shifted, a model of upright ones would be far off
    shapes = augmentation.augment_landmarks(faces.train.landmarks)
    model = build_network(settings, faces.train.landmarks.shape[1], with_pose, weights, shapes)
    trained_on = faces.train
    if settings.augment_shapes is not None:
        upright = ActiveShapeModel(PAPER_ACCURACY).fit(faces.train.landmarks)
        drawn = augment_shapes(faces.train, upright, settings.augment_shapes, seed=settings.seed)
        trained_on = FaceCrops.concatenate([faces.train, drawn])
    batches = augmented_batches(settings, trained_on, augmentation, pose=with_pose)
    shape_model = loss.shape_model(faces.train.landmarks, shapes)
    test_batches = LandmarkBatches.from_faces(
        faces.test, pose=_test_has_pose(faces, with_pose), batch_size=_TEST_BATCH, shuffle=False
    )
    model.compile(
        optimizer=keras.optimizers.Adam(
            build_learning_rate(settings, settings.epochs * len(batches)),
            **({} if settings.average is None else {"use_ema": True, "ema_momentum": settings.average}),
        ),
        loss={"landmarks": loss.build(shape_model, partial=bool(np.isnan(faces.train.landmarks).any()))}
        | ({"pose": HeadPoseLoss(base=BASES[settings.pose_base]())} if with_pose else {}),
        loss_weights={"landmarks": 1.0} | ({"pose": settings.pose_weight} if with_pose else {}),
        metrics={"landmarks": [NormalizedMeanError(faces.train.scheme, name="nme")]},
    )
    state = _Checkpoint(checkpoint, settings.to_dict(), settings.epochs, save_every)
    batches.epoch = state.restore(model)
    if batches.epoch < settings.epochs:
        model.fit(
            **_feed(batches),
            initial_epoch=batches.epoch,
            epochs=settings.epochs,
            shuffle=False,  # the batches have an order of their own for each epoch
            validation_data=test_batches if _test_has_pose(faces, with_pose) == with_pose else None,
            validation_freq=max(1, settings.epochs // 10),
            callbacks=[*loss.schedules(settings.epochs), state],
            verbose=verbose,
        )
    # Puts averaged weights in place, as `fit` does at its end; but a run may have been resumed after its last epoch
    model.optimizer.finalize_variable_values(model.trainable_variables)
    if settings.recompute:
        batch_size = min(_STATISTICS_BATCH, _STATISTICS_PIXELS // settings.image_size**2)
        unseen = augmented_batches(
            settings, trained_on, augmentation, batch_size=batch_size, seed=settings.seed + 1
        )
        recompute_batch_norm(model, unseen, epochs=settings.recompute)
    cost = model_cost(model)
    return model, {
        "kind": "run",
        "settings": settings.to_dict(),
        "data": faces.summary(),
        "versions": versions(),
        "device": device(),
        "model": {
            "parameters": cost.parameters,
            "trainable_parameters": cost.trainable_parameters,
            "multiply_adds": cost.multiply_adds,
        },
        "shape_model": _described(shape_model, shapes, faces.train.scheme),
        "seconds": round(sum(epoch["seconds"] for epoch in state.epochs), 1),
        "history": {
            key: [_significant(epoch.get(key)) for epoch in state.epochs]
            for key in dict.fromkeys(key for epoch in state.epochs for key in epoch)
        },
    }


def build_augmentation(settings: RunSettings, scheme: LandmarkScheme) -> LandmarkAugmentation:
    """What a run does to its training faces."""
    return LandmarkAugmentation(scheme, **AUGMENTATIONS[settings.augmentation])


def augmented_batches(
    settings: RunSettings,
    faces: FaceCrops,
    augmentation: LandmarkAugmentation,
    pose: bool = False,
    **values: Any,
) -> LandmarkBatches:
    """Training faces as the network of a run sees them; the values differ from the run's."""
    return LandmarkBatches.from_faces(
        faces,
        pose=pose,
        augmentation=augmentation,
        **{"batch_size": settings.batch_size, "seed": settings.seed, **values},
    )


def build_network(
    settings: RunSettings,
    n_landmarks: int,
    with_pose: bool,
    weights: str | Path | None = None,
    shapes: np.ndarray | None = None,
) -> keras.Model:
    """The network of a run, with first weights if there are any.

    Its decoder is made from the shapes. Without them it waits for the weights of a trained network, which bring theirs.
    """
    if shapes is None:
        shapes = np.random.default_rng(0).normal(size=(2 * n_landmarks + 1, n_landmarks, 2))
    return NETWORKS[settings.network](
        input_shape=(settings.image_size, settings.image_size, 3),
        n_landmarks=n_landmarks,
        include_pose=with_pose,
        width_multiplier=settings.width_multiplier,
        batch_norm_momentum=settings.batch_norm_momentum,
        shape_decoder=HEADS[settings.head](shapes),
        weights=weights,
    )


def predict_as_teacher(settings: RunSettings, faces: FaceCrops, weights: Path) -> np.ndarray:
    """What a trained network predicts for the faces of a run, with the flip test: landmarks.

    Args:
        settings: of the run; the teacher differs by its image size alone, which is that of the faces.
        faces: upright training faces.
        weights: file of the teacher's.
    """
    keras.config.set_dtype_policy(settings.precision)
    with_pose = faces.pose is not None and settings.pose_weight > 0
    at_its_size = replace(settings, image_size=faces.images.shape[1])
    teacher = build_network(at_its_size, faces.landmarks.shape[1], with_pose)
    teacher.load_weights(weights)
    return predict_with_flip(teacher, faces.images, scheme_of(faces), batch_size=_TEST_BATCH)["landmarks"]


def _feed(batches: LandmarkBatches) -> dict[str, Any]:
    """What `fit` takes to train on the batches."""
    if keras.config.backend() != "tensorflow":
        return {"x": batches}
    # One iterator for the whole run: beginning another for each epoch took a quarter of the time on two CPU cores
    return {"x": batches.to_tf_dataset(repeat=True), "steps_per_epoch": len(batches)}


def test(model: keras.Model, faces: Faces) -> tuple[dict[str, Any], dict[str, Any]]:
    """Errors of every test face, by subset, and the predictions.

    Returns:
        For each subset `nme` and, from the flip test, `nme_flip`: fractions, one for each image; `detail`, as
        `predicted_detail` gives it for a shape model of the test faces; and `pose_error`, absolute degrees
        `(n_labelled, 3)`, where there are labels. And the predictions of the whole test set.
    """
    scheme = scheme_of(faces.test)
    shape_model = ActiveShapeModel(PAPER_ACCURACY).fit(faces.test.landmarks)  # the same for all trainings
    plain = model.predict(faces.test.images, batch_size=_TEST_BATCH, verbose=0)
    flipped = predict_with_flip(model, faces.test.images, scheme, batch_size=_TEST_BATCH)
    nme, nme_flip = (
        evaluate_landmarks(faces.test.landmarks, outputs["landmarks"], scheme=scheme).errors
        for outputs in (plain, flipped)
    )
    results = {}
    for name, indices in faces.subsets.items():
        result: dict[str, Any] = {"nme": rounded(nme[indices], 5), "nme_flip": rounded(nme_flip[indices], 5)}
        detail = predicted_detail(faces.test.landmarks[indices], plain["landmarks"][indices], shape_model)
        result["detail"] = round(detail, 4)
        if "pose" in plain and faces.test.pose is not None:
            labelled = indices[np.isfinite(faces.test.pose[indices]).all(axis=1)]
            if len(labelled):
                report = evaluate_landmarks(
                    faces.test.landmarks[labelled],
                    plain["landmarks"][labelled],
                    scheme=scheme,
                    pose_true=faces.test.pose[labelled],
                    pose_pred=plain["pose"][labelled],
                )
                result["pose_error"] = rounded(report.pose_errors, 2)
        results[name] = result
    names = faces.test.names or tuple(map(str, range(len(faces.test))))
    predictions = {"names": list(names), "landmarks": rounded(plain["landmarks"], 5)}
    if "pose" in plain:
        predictions["pose"] = rounded(plain["pose"], 2)
    return results, predictions


def predicted_detail(
    landmarks_true: np.ndarray, landmarks_pred: np.ndarray, shape_model: ActiveShapeModel
) -> float:
    """How much of the detail that smoothing takes from the true landmarks is in the predictions.

    `sum(d(P) d(G)) / sum(d(G) ** 2)` with `d(X) = X - ASM(X)`, the slope of the one regressed on the other: 1 where
    the predictions have all of it, 0 where they have none and a smooth target takes nothing from them.
    """
    true, pred = (
        np.reshape(landmarks, (len(landmarks), -1)) for landmarks in (landmarks_true, landmarks_pred)
    )
    detail = true - shape_model.project(true)
    return float(np.sum((pred - shape_model.project(pred)) * detail) / np.sum(detail**2))


def test_pose(model: keras.Model, faces: Faces) -> dict[str, Any] | None:
    """Head pose on faces where it is known, by subset: mean absolute errors of yaw, pitch and roll in degrees.

    Returns:
        For each subset of `faces.pose_test` its number of `faces`, and the errors of the model's pose head
        (`network`, if it has one), of the geometric teacher on the landmarks that the model predicts
        (`landmarks`), and of the geometric teacher on the annotated ones (`annotated`). None without such faces.
    """
    if faces.pose_test is None:
        return None
    known, teacher = faces.pose_test, GeometricPoseEstimator(scheme_of(faces.pose_test))
    outputs = model.predict(known.images, batch_size=_TEST_BATCH, verbose=0)
    poses = {"landmarks": teacher(outputs["landmarks"]), "annotated": teacher(known.landmarks)}
    if "pose" in outputs:
        poses = {"network": outputs["pose"], **poses}
    errors = {name: head_pose_error(known.pose, pose) for name, pose in poses.items()}
    return {
        subset: {"faces": len(indices)}
        | {name: rounded(error[indices].mean(axis=0), 3) for name, error in errors.items()}
        for subset, indices in faces.pose_subsets.items()
    }


class _Checkpoint(keras.callbacks.Callback):
    """Weights, optimizer and history in one file, replaced as a whole."""

    def __init__(self, path: Path, settings: dict[str, Any], n_epochs: int, save_every: int) -> None:
        super().__init__()
        self.path, self.settings, self.n_epochs, self.save_every = path, settings, n_epochs, save_every
        self.epochs: list[dict[str, float]] = []
        self._began = 0.0

    def restore(self, model: keras.Model) -> int:
        """Bring back the last state, if there is one; gives the number of epochs that are done."""
        if not self.path.is_file():
            return 0
        with np.load(self.path, allow_pickle=False) as file:
            about = json.loads(str(file["about"]))
            if about["settings"] != self.settings:
                raise ValueError(
                    "This checkpoint is of a run with other settings: delete it, or choose another --output. "
                    f"Received: {self.path}"
                )
            model.optimizer.build(model.trainable_variables)
            for i, variable in enumerate(_variables(model)):
                variable.assign(file[f"v{i}"])
        self.epochs = about["epochs"]
        print(f"goes on after epoch {len(self.epochs)}")
        return len(self.epochs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        seconds = round(time.perf_counter() - self._began, 3)
        self.epochs.append({**{k: float(v) for k, v in (logs or {}).items()}, "seconds": seconds})
        if not math.isfinite(self.epochs[-1]["loss"]):
            raise RuntimeError(f"The loss is no number any more. Received: {logs} in epoch {epoch + 1}")
        if len(self.epochs) % self.save_every and len(self.epochs) != self.n_epochs:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(f".{os.getpid()}.part")
        about = json.dumps({"settings": self.settings, "epochs": self.epochs})
        values = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(_variables(self.model))}
        with open(partial, "wb") as file:
            np.savez(file, about=np.array(about), **values)
        os.replace(partial, self.path)


def _variables(model: keras.Model) -> list[Any]:
    return [*model.variables, *model.optimizer.variables]


def _test_has_pose(faces: Faces, with_pose: bool) -> bool:
    return with_pose and faces.test.pose is not None and bool(np.isfinite(faces.test.pose).all())


def _described(
    shape_model: ActiveShapeModel | None, shapes: np.ndarray, scheme: Any
) -> dict[str, Any] | None:
    """What smoothing does to the shapes that the network sees."""
    if shape_model is None:
        return None
    distance = evaluate_landmarks(shapes, shape_model.project(shapes), scheme=scheme)
    return {"n_components": shape_model.n_components_, "train_nme": round(float(distance.errors.mean()), 5)}


def _significant(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
