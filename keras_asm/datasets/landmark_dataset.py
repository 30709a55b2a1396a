"""Annotated faces as they lie on disk."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np

from keras_asm.landmarks import SCHEMES, LandmarkScheme, as_points, get_scheme, map_landmarks, mapping_matrix

__all__ = ["LandmarkDataset", "select_indices"]


@dataclass(frozen=True, eq=False)
class LandmarkDataset:
    """Faces on disk: image paths, landmarks in source pixels, and whatever else is known of them.

    The object holds no pixels and never changes; `select`, `subset`, `concatenate` and `split_by_group`
    return new ones. Its arrays are read-only.

    Attributes:
        image_paths: Path of the image of each face.
        landmarks: Float `(n_faces, n_landmarks, 2)`, x and y in pixels of the image as stored, 0-based,
            integers at pixel centres; a pair of NaN where a landmark has no position. The flat form
            `(n_faces, 2 * n_landmarks)` is taken too.
        pose: `(yaw, pitch, roll)` in degrees, float `(n_faces, 3)`; a row of NaN where a face has no
            label. `None` if no face has one.
        subsets: Named Boolean masks `(n_faces,)`; they may overlap.
        scheme: Scheme of the landmarks, or its name; `None` if it has none.
        names: A name per face, the same wherever the data set lies; by default the image paths.
        title: What the data set is, for the summary.
        notes: What a reader left out or could not find, and why; one sentence each.
        boxes: Left, top, right and bottom of each face in pixels, as the data set gives them, float
            `(n_faces, 4)`; a row of NaN where a face has none. `None` if no face has one.
        visibility: False where a landmark that has a position is known to be hidden, Boolean
            `(n_faces, n_landmarks)`; `None` if nothing is known of any face.
        groups: A label per face of those that belong together, such as the person; `None` if there are
            none.

    Raises:
        ValueError: If the lengths disagree, a landmark is infinite or half NaN, a row of poses or boxes is only
            partly given, a box is turned around, or the scheme has another number of landmarks.

    Examples:
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

    See Also:
        - [`crop_faces`][keras_asm.faces.crop_faces]: makes the crops that networks take.
        - [`load_table`][keras_asm.datasets.load_table]: makes one from your own CSV file.
        - [`write_coco`][keras_asm.datasets.write_coco]: writes one for annotation tools.
        - [Data][data]: from files to a data set.
    """

    image_paths: tuple[str, ...]
    landmarks: np.ndarray
    pose: np.ndarray | None = None
    subsets: Mapping[str, np.ndarray] = field(default_factory=dict)
    scheme: str | LandmarkScheme | None = None
    names: tuple[str, ...] | None = None
    title: str = "Landmark data set"
    notes: tuple[str, ...] = ()
    boxes: np.ndarray | None = None
    visibility: np.ndarray | None = None
    groups: tuple[str, ...] | None = None

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
        nowhere = np.isnan(landmarks)
        bad = (np.isinf(landmarks) | (nowhere != nowhere.all(axis=-1, keepdims=True))).any(axis=(1, 2))
        if bad.any():
            first = int(np.argmax(bad))
            raise ValueError(
                "A landmark must be two finite numbers, or two NaN where it has no position. "
                f"Received: another one in {int(bad.sum())} of {n} faces, the first of {self.image_paths[first]}"
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

        if self.boxes is not None:
            boxes = np.array(self.boxes, dtype=np.float64)
            if boxes.shape != (n, 4):
                raise ValueError(
                    f"boxes must have the shape (n_faces, 4) with n_faces={n}. Received: shape {boxes.shape}"
                )
            none = np.isnan(boxes).all(axis=1)
            good = none | (np.isfinite(boxes).all(axis=1) & (boxes[:, :2] <= boxes[:, 2:]).all(axis=1))
            if not good.all():
                first = int(np.argmin(good))
                raise ValueError(
                    "A box must be finite with left <= right and top <= bottom, or four NaN for a face "
                    f"without one. Received: {boxes[first]} for {self.image_paths[first]}"
                )
            put("boxes", None if none.all() else _read_only(boxes))

        if self.visibility is not None:
            visibility = np.array(self.visibility)
            if visibility.dtype != bool or visibility.shape != landmarks.shape[:2]:
                raise ValueError(
                    f"visibility must be Boolean of shape {landmarks.shape[:2]}. "
                    f"Received: dtype {visibility.dtype}, shape {visibility.shape}"
                )
            put("visibility", _read_only(visibility))

        if self.groups is not None:
            if isinstance(self.groups, str) or len(self.groups) != n:
                raise ValueError(f"Expected {n} groups, a label per face. Received: {len(self.groups)}")
            put("groups", tuple(str(group) for group in self.groups))

    def __len__(self) -> int:
        return len(self.image_paths)

    def __str__(self) -> str:
        return self.summary()

    @property
    def n_landmarks(self) -> int:
        """Landmarks per face."""
        return int(self.landmarks.shape[1])

    @property
    def has_position(self) -> np.ndarray:
        """Which landmarks have a position, Boolean `(n_faces, n_landmarks)`."""
        return ~np.isnan(self.landmarks[..., 0])

    @property
    def has_pose(self) -> np.ndarray:
        """Which faces have a pose label, Boolean `(n_faces,)`."""
        if self.pose is None:
            return np.zeros(len(self), dtype=bool)
        return ~np.isnan(self.pose).any(axis=1)

    @classmethod
    def concatenate(
        cls, datasets: "Sequence[LandmarkDataset]", title: str | None = None
    ) -> "LandmarkDataset":
        """Several data sets as one, in the order given.

        What only some of them have is filled: pose and boxes with NaN, visibility with True (nothing is
        known to be hidden), subsets with False. Subsets and groups of the same name become one. Where only
        some have groups, each face of the others is a group of its own.

        Args:
            datasets: At least one, all with the same scheme and number of landmarks.
            title: Of the result; by default the titles, joined.

        Returns:
            A new data set.

        Raises:
            ValueError: If there is none, or they differ in scheme or number of landmarks.

        Examples:
            >>> import numpy as np
            >>> from keras_asm.datasets import LandmarkDataset
            >>> one = LandmarkDataset(("a.png",), np.zeros((1, 5, 2)), title="One")
            >>> two = LandmarkDataset(("b.png",), np.ones((1, 5, 2)), pose=[[10.0, 0.0, 0.0]], title="Two")
            >>> print(LandmarkDataset.concatenate([one, two]))
            One + Two: 2 samples, 5 landmarks (no scheme), pose of 1
        """
        parts = list(datasets)
        if not parts:
            raise ValueError("Expected at least one data set. Received: none")
        kinds = [
            (part.n_landmarks, None if part.scheme is None else get_scheme(part.scheme).name)
            for part in parts
        ]
        if len(set(kinds)) > 1:
            raise ValueError(
                "Data sets must have the same scheme and number of landmarks to become one. Received: "
                + ", ".join(f"{part.title} with {kind}" for part, kind in zip(parts, kinds, strict=True))
            )

        def stack(name: str, fill: Any, width: int) -> np.ndarray | None:
            arrays = [getattr(part, name) for part in parts]
            if all(array is None for array in arrays):
                return None
            return np.concatenate(
                [
                    np.full((len(part), width), fill) if array is None else array
                    for part, array in zip(parts, arrays, strict=True)
                ]
            )

        groups: list[str] | None = None
        if any(part.groups is not None for part in parts):
            groups = []
            for i, part in enumerate(parts):
                # The position tells faces of the same name in several parts from each other.
                own = [f"{i}: {name}" for name in part.names or ()]
                groups += own if part.groups is None else list(part.groups)
        notes = [note for part in parts for note in part.notes]
        if len(parts) > 1:
            notes = [f"{part.title}: {note}" for part in parts for note in part.notes]
        return cls(
            image_paths=tuple(path for part in parts for path in part.image_paths),
            landmarks=np.concatenate([part.landmarks for part in parts]),
            pose=stack("pose", np.nan, 3),
            subsets={
                name: np.concatenate(
                    [part.subsets.get(name, np.zeros(len(part), dtype=bool)) for part in parts]
                )
                for name in dict.fromkeys(name for part in parts for name in part.subsets)
            },
            scheme=parts[0].scheme,
            names=tuple(name for part in parts for name in part.names or ()),
            title=" + ".join(part.title for part in parts) if title is None else title,
            notes=tuple(notes),
            boxes=stack("boxes", np.nan, 4),
            visibility=stack("visibility", True, parts[0].n_landmarks),
            groups=None if groups is None else tuple(groups),
        )

    def split_by_group(self, fraction: float, seed: int = 0) -> "tuple[LandmarkDataset, LandmarkDataset]":
        """Two parts at random, with all faces of a group on the same side.

        Args:
            fraction: Of the faces in the first part, between 0 and 1; met as closely as whole groups, taken
                in a random order, allow. Each part gets at least one group.
            seed: Of the random order, 0 by default; it does not depend on the order of the faces.

        Returns:
            The two parts, each with its faces in their order here.

        Raises:
            ValueError: If the faces have no groups or all the same one, or the fraction is out of range. To
                split faces that belong to no groups, shuffle their indices and `select`.

        Examples:
            >>> import numpy as np
            >>> from keras_asm.datasets import LandmarkDataset
            >>> paths = ("ann_1.png", "ann_2.png", "bob_1.png", "cyd_1.png")
            >>> groups = ("ann", "ann", "bob", "cyd")
            >>> faces = LandmarkDataset(paths, np.zeros((4, 68, 2)), groups=groups)
            >>> train, test = faces.split_by_group(0.75)
            >>> train.groups, test.groups
            (('ann', 'ann', 'cyd'), ('bob',))
        """
        if not 0 < fraction < 1:
            raise ValueError(f"fraction must be between 0 and 1. Received: {fraction!r}")
        if self.groups is None:
            raise ValueError(
                f"A split by group needs groups, a label per face. Received: none in {self.title}"
            )
        labels, inverse, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        if len(labels) < 2:
            raise ValueError(f"A split by group needs at least two groups. Received: {labels.tolist()}")
        order = np.random.default_rng(seed).permutation(len(labels))
        reached = np.cumsum(counts[order])[:-1]
        first = order[: 1 + int(np.argmin(np.abs(reached - fraction * len(self))))]
        mask = np.isin(inverse, first)
        return self.select(mask), self.select(~mask)

    def to_scheme(self, target: str | int | LandmarkScheme) -> "LandmarkDataset":
        """The same faces with the landmarks of another scheme, so that they can be joined with others.

        `map_landmarks` says how, and how well it fits. A landmark that is made of several is visible, and has a
        position, where all of them do.

        Args:
            target: The scheme that is asked for, such as `"300w"`.

        Returns:
            A new data set, with a note that says where its landmarks are from; this one if it has that scheme.

        Raises:
            ValueError: If this data set has no scheme, or no mapping from its scheme is known.

        Examples:
            >>> import numpy as np
            >>> from keras_asm.datasets import LandmarkDataset
            >>> faces = LandmarkDataset(("a.png",), np.zeros((1, 98, 2)), scheme="wflw", title="One face")
            >>> print(faces.to_scheme("300w"))
            One face: 1 face, 68 landmarks (300w), no pose
              note: landmarks mapped from wflw
        """
        if self.scheme is None:
            raise ValueError(
                f"Only landmarks with a scheme can be mapped to another. Received: {self.title}, which has none"
            )
        source, scheme = get_scheme(self.scheme), get_scheme(target)
        if source == scheme:
            return self
        visibility = self.visibility
        if visibility is not None:
            parts = mapping_matrix(source, scheme) > 0
            visibility = ~np.einsum("ij,nj->ni", parts, ~visibility)
        return replace(
            self,
            landmarks=map_landmarks(self.landmarks, source, scheme),
            visibility=visibility,
            scheme=target if isinstance(target, LandmarkScheme) else scheme.name,
            notes=(*self.notes, f"landmarks mapped from {source.name}"),
        )

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
            boxes=None if self.boxes is None else self.boxes[chosen],
            visibility=None if self.visibility is None else self.visibility[chosen],
            groups=None if self.groups is None else tuple(self.groups[i] for i in chosen),
        )

    @property
    def _of_faces(self) -> bool:
        return self.scheme is not None and get_scheme(self.scheme).name in SCHEMES

    def summary(self) -> str:
        """Counts of everything, subsets and notes, as lines of text."""
        n = len(self)
        scheme = "no scheme" if self.scheme is None else get_scheme(self.scheme).name
        labelled = int(self.has_pose.sum())
        parts = [
            f"{n} {'face' if self._of_faces else 'sample'}{'s' if n != 1 else ''}",
            f"{self.n_landmarks} landmarks ({scheme})",
            "no pose" if not labelled else "pose" if labelled == n else f"pose of {labelled}",
        ]
        if self.boxes is not None:
            boxed = int((~np.isnan(self.boxes).any(axis=1)).sum())
            parts.append("boxes" if boxed == n else f"boxes of {boxed}")
        if self.visibility is not None:
            hidden = ~self.visibility & self.has_position
            parts.append(f"{hidden.mean():.1%} of landmarks hidden")
        lacking = ~self.has_position
        if lacking.any():
            parts.append(
                f"{lacking.mean():.1%} of landmarks without a position, in {int(lacking.any(axis=1).sum())} of {n}"
            )
        if self.groups is not None:
            parts.append(f"{len(set(self.groups))} groups")
        lines = [f"{self.title}: {', '.join(parts)}"]
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
