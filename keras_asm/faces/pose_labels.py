"""Labelling faces with head pose by a teacher."""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np

from keras_asm._whole_files import replacing_file
from keras_asm.datasets.dataset_error import DatasetError
from keras_asm.datasets.landmark_dataset import LandmarkDataset
from keras_asm.faces.cropping import crop_faces
from keras_asm.faces.face_crops import FaceCrops

__all__ = ["label_pose"]

_Faces = TypeVar("_Faces", LandmarkDataset, FaceCrops)

_FORMAT = "keras_asm pose labels 1"
_INPUTS = ("images", "landmarks")
_SECONDS_BETWEEN_SAVES = 2.0


def label_pose(
    faces: _Faces,
    teacher: Callable[[np.ndarray], Any],
    *,
    inputs: str | None = None,
    cache: str | PathLike[str] | None = None,
    teacher_name: str | None = None,
    overwrite: bool = False,
    batch_size: int = 64,
    image_size: int = 224,
    margin: float = 0.25,
    fill_mode: str = "nearest",
    verbose: int = 1,
) -> _Faces:
    """Give faces the head pose that a teacher sees in them.

    The paper labels its images with a network (HopeNet) and trains on its answers. Here any callable serves, or
    `keras_asm.pose.GeometricPoseEstimator`, which needs the landmarks alone.

    With `cache`, each answer is kept in that file under a hash of what the teacher was shown: the bytes of the image
    file, the landmarks and the crop's settings (or the crop's pixels; or the landmarks alone) and `teacher_name`. A
    face that is in the file is not shown again, so a run that was interrupted goes on where it was, and moved or
    renamed files keep their labels. The file is replaced whole, every two seconds and at the end, also of a run that
    fails: it is never half-written. One process at a time may write it; several data sets and teachers may share it.

    Args:
        faces: Faces on disk, which are cropped in batches, or crops.
        teacher: Called with a batch, uint8 images `(B, S, S, 3)` or float64 landmarks `(B, n_landmarks, 2)`; returns
            `(yaw, pitch, roll)` in degrees, `(B, 3)`. A Keras model is run in inference mode; of several named
            outputs, the one called `"pose"` is taken.
        inputs: `"images"` or `"landmarks"`, what the teacher is given. By default what its attribute
            `teacher_inputs` says, and images if it has none.
        cache: An `.npz` file for the answers, made if it is missing; none by default.
        teacher_name: Name and version of the teacher and its weights. Needed with `cache`.
        overwrite: Whether faces that have a pose are labelled too; by default they keep theirs.
        batch_size: Faces per call; 64 by default.
        image_size: Width and height of the crops in pixels, for faces on disk; 224 by default.
        margin: As in `crop_faces`.
        fill_mode: As in `crop_faces`.
        verbose: 1 (default) shows a progress bar, 0 does not.

    Returns:
        The same faces with pose, as a new object of the same class.

    Raises:
        ValueError: If the teacher's answer has another shape or is not finite, or an argument is out of range.
        DatasetError: If the cache is no such file or damaged, or an image cannot be read. Names the file.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.faces import label_pose
        >>> from keras_asm.synthetic import synthetic_faces
        >>> from keras_asm.pose import GeometricPoseEstimator
        >>> faces = synthetic_faces(4, seed=0, image_size=16)
        >>> labelled = label_pose(faces, GeometricPoseEstimator(), overwrite=True, verbose=0)
        >>> labelled.pose.shape, bool(abs(labelled.pose - faces.pose).mean() < 5.0)
        ((4, 3), True)

    See Also:
        - [`GeometricPoseEstimator`][keras_asm.pose.GeometricPoseEstimator]: the teacher that needs no
          network.
        - [`read_pose_csv`][keras_asm.datasets.read_pose_csv]: labels that are in a file.
        - [Labels from a teacher][labels-from-a-teacher]: how good the teachers are.
    """
    if inputs is None:
        inputs = getattr(teacher, "teacher_inputs", "images")
    if inputs not in _INPUTS:
        raise ValueError(f"inputs must be one of {list(_INPUTS)}. Received: {inputs!r}")
    if not callable(teacher):
        raise ValueError(f"teacher must be callable. Received: {teacher!r}")
    if batch_size != int(batch_size) or batch_size < 1:
        raise ValueError(f"batch_size must be a whole number above 0. Received: {batch_size!r}")
    if cache is not None and not teacher_name:
        raise ValueError(
            "A cache needs teacher_name, the name and version of the teacher, so that the answers of another are "
            f"not taken for its own. Received: teacher_name={teacher_name!r}"
        )

    n = len(faces)
    pose = np.full((n, 3), np.nan) if faces.pose is None else np.array(faces.pose, dtype=np.float64)
    wanted = np.arange(n) if overwrite else np.flatnonzero(np.isnan(pose).any(axis=1))
    crop = {"image_size": image_size, "margin": margin, "fill_mode": fill_mode}

    known: dict[bytes, np.ndarray] = {}
    keys: dict[int, bytes] = {}
    if cache is not None:
        known = _load(cache)
        keys = dict(zip(wanted.tolist(), _keys(faces, wanted, inputs, str(teacher_name), crop), strict=True))
        for i, key in keys.items():
            if key in known:
                pose[i] = known[key]
        wanted = np.array([i for i, key in keys.items() if key not in known], dtype=int)

    bar = keras.utils.Progbar(len(wanted), unit_name="face") if verbose and len(wanted) else None
    saved = time.monotonic()
    unsaved = False
    try:
        for start in range(0, len(wanted), int(batch_size)):
            chosen = wanted[start : start + int(batch_size)]
            batch = _batch(faces, chosen, inputs, crop)
            pose[chosen] = _answers(teacher, batch, [_name(faces, i) for i in chosen])
            if cache is not None:
                known |= {keys[i]: pose[i] for i in chosen.tolist()}
                unsaved = True
                if time.monotonic() - saved > _SECONDS_BETWEEN_SAVES:
                    _save(cache, known)
                    saved, unsaved = time.monotonic(), False
            if bar is not None:
                bar.add(len(chosen))
    finally:
        if cache is not None and unsaved:
            _save(cache, known)
    return dataclasses.replace(faces, pose=pose)


def _batch(
    faces: LandmarkDataset | FaceCrops, chosen: np.ndarray, inputs: str, crop: dict[str, Any]
) -> np.ndarray:
    if inputs == "landmarks":
        return np.asarray(faces.landmarks[chosen], dtype=np.float64)
    if isinstance(faces, FaceCrops):
        return faces.images[chosen]
    return crop_faces(faces.select(chosen), **crop, verbose=0).images


def _answers(teacher: Callable[[np.ndarray], Any], batch: np.ndarray, names: list[str]) -> np.ndarray:
    answer = teacher.predict_on_batch(batch) if isinstance(teacher, keras.Model) else teacher(batch)
    if isinstance(answer, dict):
        if "pose" not in answer:
            raise ValueError(
                f"A teacher with several outputs must name one 'pose'. Received: {sorted(map(str, answer))}"
            )
        answer = answer["pose"]
    if hasattr(answer, "detach"):  # a tensor of PyTorch's, whatever the backend
        answer = answer.detach().cpu().numpy()
    pose = np.asarray(keras.ops.convert_to_numpy(answer))
    if pose.shape != (len(batch), 3) or pose.dtype.kind not in "fiu":
        raise ValueError(
            f"The teacher must return numbers of shape ({len(batch)}, 3): yaw, pitch and roll in degrees for each of "
            f"{len(batch)} faces. Received: {pose.dtype} of shape {pose.shape}"
        )
    bad = ~np.isfinite(pose).all(axis=1)
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f"The teacher must return finite angles. Received: {pose[i]} for {names[i]}, and as bad for "
            f"{int(bad.sum())} of the {len(batch)} faces of its batch"
        )
    return pose.astype(np.float64)


def _name(faces: LandmarkDataset | FaceCrops, index: int) -> str:
    return f"face {index}" if faces.names is None else faces.names[index]


def _keys(
    faces: LandmarkDataset | FaceCrops,
    wanted: np.ndarray,
    inputs: str,
    teacher_name: str,
    crop: dict[str, Any],
) -> list[bytes]:
    """A hash for each wanted face of all that its label depends on."""
    keys = []
    files: dict[str, bytes] = {}  # several faces may be in one image
    for i in wanted.tolist():
        if inputs == "landmarks":
            parts = [_array_bytes(np.asarray(faces.landmarks[i], dtype=np.float64))]
        elif isinstance(faces, FaceCrops):
            parts = [_array_bytes(faces.images[i])]
        else:
            path = faces.image_paths[i]
            if path not in files:
                files[path] = _file_hash(path)
            settings = repr(sorted((name, value) for name, value in crop.items()))
            landmarks = np.asarray(faces.landmarks[i], dtype=np.float64)
            parts = [files[path], _array_bytes(landmarks), settings.encode()]
        digest = hashlib.sha256()
        for part in (_FORMAT.encode(), teacher_name.encode(), inputs.encode(), *parts):
            # Lengths keep neighbours apart.
            digest.update(len(part).to_bytes(8, "little") + part)
        keys.append(digest.digest())
    return keys


def _array_bytes(array: np.ndarray) -> bytes:
    little = array.astype(array.dtype.newbyteorder("<"))
    return str((little.dtype.str, little.shape)).encode() + little.tobytes()


def _file_hash(path: str) -> bytes:
    try:
        return hashlib.sha256(Path(path).read_bytes()).digest()
    except FileNotFoundError:
        raise DatasetError("there is no such image", path) from None
    except OSError as error:
        raise DatasetError(f"the image cannot be read: {error.strerror}", path) from None


def _load(path: str | PathLike[str]) -> dict[bytes, np.ndarray]:
    """Labels by key; none if there is no file yet."""
    try:
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile) or "format" not in file.files:
                raise DatasetError(f"expected a file that label_pose wrote ({_FORMAT!r})", path)
            if str(file["format"]) != _FORMAT:
                raise DatasetError(
                    f"expected a cache of the format {_FORMAT!r}. Received: {str(file['format'])!r}", path
                )
            keys, pose = file["keys"], file["pose"]
    except FileNotFoundError:
        return {}
    except DatasetError:
        raise
    except Exception as error:
        # zipfile and NumPy raise BadZipFile, zlib.error, struct.error, NotImplementedError, KeyError, SyntaxError, ...
        raise DatasetError(
            f"the cache of pose labels cannot be read; delete it to label again ({type(error).__name__}: {error})",
            path,
        ) from error
    n = len(pose) if pose.ndim else 0
    if keys.dtype != np.uint8 or keys.shape != (n, 32) or pose.dtype != np.float64 or pose.shape != (n, 3):
        raise DatasetError(
            "expected keys (n, 32) and poses (n, 3). "
            f"Received: {keys.dtype} {keys.shape} and {pose.dtype} {pose.shape}",
            path,
        )
    if not np.isfinite(pose).all():
        raise DatasetError(
            "expected finite angles. Received: NaN or infinity in the cache of pose labels", path
        )
    return {key.tobytes(): label for key, label in zip(keys, pose, strict=True)}


def _save(path: str | PathLike[str], labels: dict[bytes, np.ndarray]) -> None:
    keys = np.frombuffer(b"".join(labels), dtype=np.uint8).reshape(-1, 32)
    with replacing_file(path) as file:
        np.savez(file, format=np.array(_FORMAT), keys=keys, pose=np.stack(list(labels.values())))
