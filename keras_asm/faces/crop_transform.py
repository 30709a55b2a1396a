"""Where square crops lie in their source images."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_asm.datasets.landmark_dataset import select_indices
from keras_asm.landmarks import as_points, landmark_boxes

__all__ = ["CropTransform"]


@dataclass(frozen=True, eq=False)
class CropTransform:
    """Square, upright crops of source images: similarity transforms that are kept, to be undone.

    With centre `c` and side `s` in source pixels, and crops of `S` pixels, a source pixel `x` lies at

        u = (x - c) / s                   normalised, so that the crop spans [-0.5, 0.5]
        p = (u + 0.5) * S - 0.5           in pixels of the crop, 0-based, integers at pixel centres

    An upright crop leaves the roll of a head as it is.

    Attributes:
        center: Centres in source pixels, float64 `(n, 2)`.
        side: Sides in source pixels, float64 `(n,)`, above 0.
        image_size: Width and height `S` of the crops in pixels.

    Raises:
        ValueError: If a side is not positive, a number is not finite, or the shapes disagree.

    Examples:
        >>> from keras_asm.faces import CropTransform
        >>> crops = CropTransform.from_boxes([[10.0, 20.0, 50.0, 40.0]], image_size=96, margin=0.25)
        >>> crops.side
        array([60.])
        >>> crops.normalize([[[30.0, 30.0], [60.0, 0.0]]])
        array([[[ 0. ,  0. ],
                [ 0.5, -0.5]]])
        >>> crops.undo(crops.normalize([[[12.0, 34.0]]]))
        array([[[12., 34.]]])

    See Also:
        - [`crop_faces`][keras_asm.faces.crop_faces]: makes crops, and keeps their transforms.
        - [`FaceCrops`][keras_asm.faces.FaceCrops]: holds one for all of its crops.
        - [Crops, batches and new shapes][crops-batches-and-new-shapes]: boxes, margins and what is cached.
    """

    center: np.ndarray
    side: np.ndarray
    image_size: int

    def __post_init__(self) -> None:
        center = np.array(self.center, dtype=np.float64)
        side = np.array(self.side, dtype=np.float64)
        if center.ndim != 2 or center.shape[1] != 2 or side.shape != center.shape[:1]:
            raise ValueError(
                "center must have the shape (n, 2), and side (n,). "
                f"Received: shapes {center.shape} and {side.shape}"
            )
        good = np.isfinite(center).all(axis=1) & np.isfinite(side) & (side > 0)
        if not good.all():
            i = int(np.argmin(good))
            raise ValueError(
                "Crops need finite centres and sides above 0. "
                f"Received: {center[i]} and {side[i]} at index {i}"
            )
        if int(self.image_size) != self.image_size or self.image_size < 1:
            raise ValueError(f"image_size must be a whole number above 0. Received: {self.image_size!r}")
        for array in (center, side):
            array.flags.writeable = False
        object.__setattr__(self, "center", center)
        object.__setattr__(self, "side", side)
        object.__setattr__(self, "image_size", int(self.image_size))

    @classmethod
    def from_boxes(cls, boxes: Any, image_size: int, margin: float = 0.25) -> "CropTransform":
        """Squares around boxes.

        The square has the centre of the box and `(1 + 2 * margin)` times its longer side.

        Args:
            boxes: `(n, 4)`, `x_min, y_min, x_max, y_max` in source pixels.
            image_size: Width and height of the crops in pixels.
            margin: What is added on each side, as a fraction of the longer side, above -0.5; 0.25 by
                default.

        Returns:
            The transforms.

        Raises:
            ValueError: If a box is empty, turned around or not finite, or the margin leaves nothing.
        """
        corners = np.asarray(boxes, dtype=np.float64)
        if corners.ndim != 2 or corners.shape[1] != 4:
            raise ValueError(f"boxes must have the shape (n, 4). Received: shape {corners.shape}")
        if not margin > -0.5:
            raise ValueError(f"margin must be above -0.5. Received: {margin!r}")
        extent = corners[:, 2:] - corners[:, :2]
        good = np.isfinite(corners).all(axis=1) & (extent >= 0).all(axis=1) & (extent > 0).any(axis=1)
        if not good.all():
            i = int(np.argmin(good))
            raise ValueError(
                f"A box needs finite x_min <= x_max, y_min <= y_max, and an extent. "
                f"Received: {corners[i]} at index {i}"
            )
        center = (corners[:, :2] + corners[:, 2:]) / 2
        return cls(center, extent.max(axis=1) * (1 + 2 * margin), image_size)

    @classmethod
    def from_landmarks(cls, landmarks: Any, image_size: int, margin: float = 0.25) -> "CropTransform":
        """Squares around the bounding boxes of landmarks.

        Args:
            landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)` in source pixels; those that are NaN are left
                out.
            image_size: Width and height of the crops in pixels.
            margin: As in `from_boxes`.

        Returns:
            The transforms.

        Raises:
            ValueError: If the landmarks of a face are all the same, all NaN, or infinite.
        """
        points = as_points(landmarks)
        if points.ndim != 3:
            raise ValueError(
                f"landmarks must have the shape (n, n_landmarks, 2). Received: shape {points.shape}"
            )
        return cls.from_boxes(landmark_boxes(points), image_size, margin)

    def __len__(self) -> int:
        return len(self.side)

    def normalize(self, landmarks: Any) -> np.ndarray:
        """Source pixels to normalised coordinates of the crop.

        Args:
            landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`.

        Returns:
            Float64 `(n, n_landmarks, 2)`.

        Raises:
            ValueError: If there are not `n` faces.
        """
        return (self._faces(landmarks) - self.center[:, None]) / self.side[:, None, None]

    def undo(self, landmarks: Any) -> np.ndarray:
        """Normalised coordinates of the crop to source pixels: the inverse of `normalize`.

        Args:
            landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`, as networks predict them.

        Returns:
            Float64 `(n, n_landmarks, 2)`.

        Raises:
            ValueError: If there are not `n` faces.
        """
        return self._faces(landmarks) * self.side[:, None, None] + self.center[:, None]

    def to_pixels(self, landmarks: Any) -> np.ndarray:
        """Source pixels to pixels of the crop.

        Args:
            landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`.

        Returns:
            Float64 `(n, n_landmarks, 2)`.

        Raises:
            ValueError: If there are not `n` faces.
        """
        return (self.normalize(landmarks) + 0.5) * self.image_size - 0.5

    def from_pixels(self, landmarks: Any) -> np.ndarray:
        """Pixels of the crop to source pixels: the inverse of `to_pixels`.

        Args:
            landmarks: `(n, n_landmarks, 2)` or `(n, 2 * n_landmarks)`.

        Returns:
            Float64 `(n, n_landmarks, 2)`.

        Raises:
            ValueError: If there are not `n` faces.
        """
        return self.undo((self._faces(landmarks) + 0.5) / self.image_size - 0.5)

    def select(self, indices: Any) -> "CropTransform":
        """Some of the crops, by integer indices, a slice or a Boolean mask."""
        chosen = select_indices(indices, len(self))
        return CropTransform(self.center[chosen], self.side[chosen], self.image_size)

    def _faces(self, landmarks: Any) -> np.ndarray:
        points = as_points(landmarks).astype(np.float64)
        if points.ndim != 3 or len(points) != len(self):
            raise ValueError(
                f"landmarks must have the shape ({len(self)}, n_landmarks, 2), one face per crop. "
                f"Received: shape {points.shape}"
            )
        return points
