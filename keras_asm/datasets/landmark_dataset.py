"""Annotated faces as they lie on disk."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, as_points, get_scheme


@dataclass(frozen=True, eq=False)
class LandmarkDataset:
    """Faces on disk: image paths, landmarks in source pixels, pose and named subsets.

    The object holds no pixels and never changes; `select` and `subset` return new ones. Its arrays are
    read-only.

    Attributes:
        image_paths: Path of the image of each face.
        landmarks: Float `(n_faces, n_landmarks, 2)`, x and y in pixels of the image as stored, 0-based,
            integers at pixel centres. Finite. The flat form `(n_faces, 2 * n_landmarks)` is taken too.
        pose: `(yaw, pitch, roll)` in degrees, float `(n_faces, 3)`; a row of NaN where a face has no
            label. `None` if no face has one.
        subsets: Named Boolean masks `(n_faces,)`; they may overlap.
        scheme: Scheme of the landmarks, or its name; `None` if it has none.
        names: A name per face, the same wherever the data set lies; by default the image paths.
        title: What the data set is, for the summary.
        notes: What a reader left out or could not find, and why; one sentence each.

    Raises:
        ValueError: If the lengths disagree, landmarks are not finite, a pose row is only partly given, or
            the scheme has another number of landmarks.

    Example:
        >>> import numpy as np
        >>> from keras_asm.datasets import LandmarkDataset
        >>> faces = LandmarkDataset(
        ...     image_paths=("a.png", "b.png"),
        ...     landmarks=np.zeros((2, 68, 2)),
        ...     subsets={"train": [True, False], "test": [False, True]},
        ...     scheme="300w",
        ...     title="Two faces",
        ... )
        >>> print(faces)
        Two faces: 2 faces, 68 landmarks (300w), no pose
          train: 1
          test: 1
        >>> faces.subset("test").image_paths
        ('b.png',)
    """

    image_paths: tuple[str, ...]
    landmarks: np.ndarray
    pose: np.ndarray | None = None
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    scheme: str | LandmarkScheme | None = None
    names: tuple[str, ...] | None = None
    title: str = "Landmark data set"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        if isinstance(self.image_paths, (str, PathLike)):
            raise ValueError(f"image_paths must be a sequence of paths. Received: {self.image_paths!r}")
        put("image_paths", tuple(str(path) for path in self.image_paths))
        n = len(self.image_paths)
        if n == 0:
            raise ValueError("A data set needs at least one face. Received: no image paths")

        landmarks = np.array(as_points(self.landmarks))
        if landmarks.ndim != 3 or len(landmarks) != n:
            raise ValueError(
                f"landmarks must have the shape (n_faces, n_landmarks, 2) with n_faces={n}, one per image "
                f"path. Received: shape {landmarks.shape}"
            )
        bad = ~np.isfinite(landmarks).all(axis=(1, 2))
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                f"Landmarks must be finite. Received: NaN or infinity in {int(bad.sum())} of {n} faces, the "
                f"first of {self.image_paths[first]}"
            )
        put("landmarks", _read_only(landmarks))

        if self.pose is not None:
            pose = np.array(self.pose, dtype=np.float64)
            if pose.shape != (n, 3):
                raise ValueError(
                    f"pose must have the shape (n_faces, 3) with n_faces={n}. Received: shape {pose.shape}"
                )
            missing = np.isnan(pose)
            partly = (missing.any(axis=1) != missing.all(axis=1)) | np.isinf(pose).any(axis=1)
            if partly.any():
                raise ValueError(
                    "A pose must be three finite angles in degrees, or three NaN for a face without a "
                    f"label. Received: {pose[np.argmax(partly)]} for {self.image_paths[np.argmax(partly)]}"
                )
            put("pose", None if missing.all() else _read_only(pose))

        masks = {}
        for name, mask in self.subsets.items():
            array = np.array(mask)
            if array.dtype != bool or array.shape != (n,):
                raise ValueError(
                    f"Subset {name!r} must be a Boolean mask of shape ({n},). Received: dtype {array.dtype}, "
                    f"shape {array.shape}"
                )
            masks[str(name)] = _read_only(array)
        put("subsets", MappingProxyType(masks))

        if self.scheme is not None and get_scheme(self.scheme).n_landmarks != landmarks.shape[1]:
            raise ValueError(
                f"The scheme {get_scheme(self.scheme).name!r} has {get_scheme(self.scheme).n_landmarks} "
                f"landmarks. Received: landmarks of shape {landmarks.shape}"
            )
        put("names", self.image_paths if self.names is None else tuple(str(name) for name in self.names))
        if len(self.names or ()) != n:
            raise ValueError(f"Expected {n} names, one per face. Received: {len(self.names or ())}")
        put("notes", tuple(self.notes))

    def __len__(self) -> int:
        return len(self.image_paths)

    def __str__(self) -> str:
        return self.summary()

    @property
    def n_landmarks(self) -> int:
        """Landmarks per face."""
        return int(self.landmarks.shape[1])

    @property
    def has_pose(self) -> np.ndarray:
        """Which faces have a pose label, Boolean `(n_faces,)`."""
        if self.pose is None:
            return np.zeros(len(self), dtype=bool)
        return ~np.isnan(self.pose).any(axis=1)

    def subset(self, name: str) -> "LandmarkDataset":
        """The faces of a named subset.

        Args:
            name: One of the keys of `subsets`.

        Returns:
            A new data set.

        Raises:
            ValueError: If there is no such subset, or it is empty.
        """
        if name not in self.subsets:
            raise ValueError(f"{self.title} has the subsets {sorted(self.subsets)}. Received: {name!r}")
        return self.select(self.subsets[name])

    def select(self, indices: Any) -> "LandmarkDataset":
        """Some of the faces, in the order that is asked for.

        Args:
            indices: Integer indices, a slice or a Boolean mask `(n_faces,)`.

        Returns:
            A new data set whose subsets are cut accordingly.

        Raises:
            ValueError: If nothing is selected, or a mask has another length.
            IndexError: If an index lies outside.
        """
        chosen = select_indices(indices, len(self))
        return LandmarkDataset(
            image_paths=tuple(self.image_paths[i] for i in chosen),
            landmarks=self.landmarks[chosen],
            pose=None if self.pose is None else self.pose[chosen],
            subsets={name: mask[chosen] for name, mask in self.subsets.items()},
            scheme=self.scheme,
            names=tuple((self.names or ())[i] for i in chosen),
            title=self.title,
            notes=self.notes,
        )

    def summary(self) -> str:
        """Counts, subsets and notes, as lines of text."""
        scheme = "no scheme" if self.scheme is None else get_scheme(self.scheme).name
        labelled = int(self.has_pose.sum())
        pose = "no pose" if not labelled else "pose" if labelled == len(self) else f"pose of {labelled}"
        lines = [f"{self.title}: {len(self)} faces, {self.n_landmarks} landmarks ({scheme}), {pose}"]
        lines += [f"  {name}: {int(mask.sum())}" for name, mask in self.subsets.items()]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def __reduce__(self) -> tuple[Callable[..., "LandmarkDataset"], tuple[Any, ...]]:
        # A read-only mapping can be neither pickled nor deep-copied.
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return type(self), tuple({**values, "subsets": dict(self.subsets)}.values())


def select_indices(indices: Any, n: int) -> np.ndarray:
    """Integer indices, a slice or a Boolean mask as integer indices into `n` things.

    Args:
        indices: What is asked for.
        n: How many there are.

    Returns:
        Integers `(n_selected,)`, at least one.

    Raises:
        ValueError: If nothing is selected, or a mask has another length.
        IndexError: If an index lies outside.
    """
    if isinstance(indices, slice):
        chosen = np.arange(n)[indices]
    else:
        array = np.atleast_1d(np.asarray(indices))
        if array.ndim != 1 or not (array.size == 0 or array.dtype == bool or array.dtype.kind in "iu"):
            raise ValueError(
                "Expected integer indices, a slice or a Boolean mask. "
                f"Received: dtype {array.dtype}, shape {array.shape}"
            )
        if array.dtype == bool and len(array) != n:
            raise ValueError(f"A mask must have {n} entries, one per face. Received: {len(array)}")
        chosen = np.arange(n)[array] if array.size else np.arange(0)
    if len(chosen) == 0:
        raise ValueError(f"Nothing is selected: expected at least one of {n} faces. Received: {indices!r}")
    return chosen


def _read_only(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
