"""A teacher of head pose that needs landmarks and no network."""

from typing import Any

import numpy as np

from keras_asm.landmarks import LandmarkScheme, as_points, get_scheme
from keras_asm.pose.fitting import fit_pose
from keras_asm.pose.mean_face import mean_face_3d

__all__ = ["GeometricPoseEstimator"]

# Chosen on the labels of a network on 300W and YouTube Faces, not on AFLW2000-3D: see docs/pose.md.
_JAW_WEIGHT = 1.7  # of all jaw points together, against 1 for each inner landmark
_FAR_SIDE_ENDS = 15.0  # yaw in degrees
_PASSES = 2


class GeometricPoseEstimator:
    """Head pose from 68 or 98 landmarks, by fitting a mean 3-D face with `fit_pose`.

    The inner landmarks and the chin count in full. Annotators mark the *visible* outline of the jaw, which on the
    side that is turned away runs over the cheek: once a first fit knows the yaw, the points of the near side are
    added with a small weight, and those of the far side with a weight that falls to 0 at a yaw of 15 degrees.

    There is nothing to learn and nothing to load. Its error on AFLW2000-3D is in the guide on pose.

    Args:
        scheme: `"300w"` (68 landmarks; default) or `"wflw"` (98), or their number.

    Attributes:
        scheme: The `LandmarkScheme`.
        teacher_inputs: `"landmarks"`: what `label_pose` has to give it.

    Raises:
        ValueError: If the scheme is another one.

    Examples:
        >>> from keras_asm.synthetic import synthetic_faces
        >>> from keras_asm.pose import GeometricPoseEstimator
        >>> faces = synthetic_faces(50, seed=0, image_size=16)
        >>> pose = GeometricPoseEstimator(scheme="300w")(faces.landmarks)
        >>> bool(abs(pose - faces.pose).mean() < 3.0)
        True

    See Also:
        - [`label_pose`][keras_asm.faces.label_pose]: labels a data set by it.
        - [`fit_pose`][keras_asm.pose.fit_pose]: for shapes that are not faces.
        - [`mean_face_3d`][keras_asm.pose.mean_face_3d]: the face that it fits.
        - [The geometric teacher][the-geometric-teacher]: how far to trust it.
    """

    teacher_inputs = "landmarks"

    def __init__(self, scheme: str | int | LandmarkScheme = "300w") -> None:
        self.scheme = get_scheme(scheme)
        self._shape = mean_face_3d(self.scheme)
        jaw = np.array(self.scheme.groups["jaw"])
        middle = len(jaw) // 2
        self._weights = np.ones(len(self._shape))
        self._weights[np.delete(jaw, middle)] = 0.0
        self._sides = jaw[:middle], jaw[middle + 1 :]
        self._jaw_weight = _JAW_WEIGHT / len(jaw)

    def __call__(self, landmarks: Any) -> np.ndarray:
        """Estimate head pose.

        Args:
            landmarks: `(..., n_landmarks, 2)` or `(..., 2 * n_landmarks)`, in pixels or normalised to a square
                crop. A landmark that is NaN is left out.

        Returns:
            `(yaw, pitch, roll)` in degrees, float64 `(..., 3)`.

        Raises:
            ValueError: As `fit_pose`.
        """
        points = as_points(landmarks)
        pose = fit_pose(points, self._shape, self._weights)
        for _ in range(_PASSES):
            weights = np.broadcast_to(self._weights, points.shape[:-1]).copy()
            # With yaw > 0 the face looks to the image's left: its side on that side is the far one.
            for side, away in zip(self._sides, (pose[..., 0], -pose[..., 0]), strict=True):
                near = np.clip(1.0 - away / _FAR_SIDE_ENDS, 0.0, 1.0)
                weights[..., side] = self._jaw_weight * near[..., None]
            pose = fit_pose(points, self._shape, weights)
        return pose
