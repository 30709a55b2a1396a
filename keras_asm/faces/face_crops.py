"""Cropped faces in memory, with the way back to their source images."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_asm.datasets.landmark_dataset import select_indices
from keras_asm.faces.crop_transform import CropTransform
from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["FaceCrops"]


@dataclass(frozen=True, eq=False)
class FaceCrops:
    """Square crops of faces, as networks take them; `crop_faces` makes them.

    Attributes:
        images: Uint8 `(n, S, S, 3)`, RGB.
        landmarks: Normalised, float32 `(n, n_landmarks, 2)`; a crop spans [-0.5, 0.5]. A pair of NaN where a landmark
            has no position.
        transform: Where each crop lies in its source image.
        pose: `(yaw, pitch, roll)` in degrees, float32 `(n, 3)`, rows of NaN where there is no label;
            `None` if no face has one.
        scheme: Scheme of the landmarks, or its name; `None` if it has none.
        names: A name per face.

    Raises:
        ValueError: If the lengths disagree.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.faces import CropTransform, FaceCrops
        >>> transform = CropTransform(center=[[40.0, 30.0]], side=[50.0], image_size=8)
        >>> crops = FaceCrops(
        ...     images=np.zeros((1, 8, 8, 3), np.uint8),
        ...     landmarks=transform.normalize([[[40.0, 30.0], [65.0, 30.0]]]),
        ...     transform=transform,
        ... )
        >>> crops.transform.undo(crops.landmarks)  # or what a network predicts
        array([[[40., 30.],
                [65., 30.]]])

    See Also:
        - [`crop_faces`][keras_asm.faces.crop_faces]: makes them of a data set.
        - [`synthetic_faces`][keras_asm.synthetic.synthetic_faces]: draws some.
        - [`LandmarkBatches`][keras_asm.faces.LandmarkBatches]: feeds them to a network.
    """

    images: np.ndarray
    landmarks: np.ndarray
    transform: CropTransform
    pose: np.ndarray | None = None
    scheme: str | LandmarkScheme | None = None
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        n, size = len(self.transform), self.transform.image_size
        if self.images.shape != (n, size, size, 3) or self.images.dtype != np.uint8:
            raise ValueError(
                f"images must be uint8 of shape {(n, size, size, 3)}, as the transform says. "
                f"Received: {self.images.dtype} of shape {self.images.shape}"
            )
        if self.landmarks.ndim != 3 or self.landmarks.shape[0] != n or self.landmarks.shape[2] != 2:
            raise ValueError(
                f"landmarks must have the shape ({n}, n_landmarks, 2). Received: {self.landmarks.shape}"
            )
        if self.pose is not None and self.pose.shape != (n, 3):
            raise ValueError(f"pose must have the shape ({n}, 3). Received: shape {self.pose.shape}")
        if self.names is not None and len(self.names) != n:
            raise ValueError(f"Expected {n} names, one per face. Received: {len(self.names)}")
        for name, dtype in (("images", np.uint8), ("landmarks", np.float32), ("pose", np.float32)):
            array = getattr(self, name)
            if array is not None:
                # A view, so that the caller's own array stays as writeable as it was.
                view = np.asarray(array, dtype=dtype).view()
                view.flags.writeable = False
                object.__setattr__(self, name, view)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def image_size(self) -> int:
        """Width and height of the crops in pixels."""
        return self.transform.image_size

    @property
    def source_landmarks(self) -> np.ndarray:
        """The landmarks in source pixels, float64 `(n, n_landmarks, 2)`."""
        return self.transform.undo(self.landmarks)

    def select(self, indices: Any) -> "FaceCrops":
        """Some of the faces, by integer indices, a slice or a Boolean mask."""
        chosen = select_indices(indices, len(self))
        return FaceCrops(
            images=self.images[chosen],
            landmarks=self.landmarks[chosen],
            transform=self.transform.select(chosen),
            pose=None if self.pose is None else self.pose[chosen],
            scheme=self.scheme,
            names=None if self.names is None else tuple(self.names[i] for i in chosen),
        )

    @classmethod
    def concatenate(cls, parts: "Sequence[FaceCrops]") -> "FaceCrops":
        """Several sets of faces as one, in the order given: real and drawn ones, for instance.

        Faces of a part without poses get rows of NaN where another part has poses. Names are kept where every part has
        them.

        Args:
            parts: At least one, all of the same image size, number of landmarks and scheme.

        Returns:
            The faces, in memory.

        Raises:
            ValueError: If there is none, or they differ in what they must share.

        Examples:
            >>> from keras_asm.faces import FaceCrops
            >>> from keras_asm.synthetic import synthetic_faces
            >>> len(FaceCrops.concatenate([synthetic_faces(2, image_size=32), synthetic_faces(3, image_size=32)]))
            5
        """
        kinds = [
            (
                part.image_size,
                part.landmarks.shape[1],
                None if part.scheme is None else get_scheme(part.scheme).name,
            )
            for part in parts
        ]
        if len(set(kinds)) != 1:
            raise ValueError(
                "Faces must have one image size, number of landmarks and scheme to become one set. "
                f"Received: {', '.join(map(str, kinds)) or 'no faces'}"
            )
        poses = [np.full((len(p), 3), np.nan, np.float32) if p.pose is None else p.pose for p in parts]
        names = [() if part.names is None else part.names for part in parts]
        return cls(
            images=np.concatenate([part.images for part in parts]),
            landmarks=np.concatenate([part.landmarks for part in parts]),
            transform=CropTransform(
                np.concatenate([part.transform.center for part in parts]),
                np.concatenate([part.transform.side for part in parts]),
                parts[0].image_size,
            ),
            pose=None if all(part.pose is None for part in parts) else np.concatenate(poses),
            scheme=parts[0].scheme,
            names=sum(names, ()) if all(part.names is not None for part in parts) else None,
        )
