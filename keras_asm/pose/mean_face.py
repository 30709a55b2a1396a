"""The mean 3-D face, as data."""

import numpy as np

from keras_asm.landmarks import LandmarkScheme, get_scheme

__all__ = ["mean_face_3d"]

# Millimetres; x to the image's right, y up, z toward the camera. The mean of 4000 heads that an early version of
# `synthetic_faces` drew, made symmetric, with points 0-16 on the jaw itself. It stays as it is: with the mean of
# today's heads, which are shallower, the estimator errs more where the pose is known.
_MEAN_68 = np.array(
    [
        (-74.4, -2.0, 0.5),
        (-73.5, -21.9, 2.5),
        (-71.4, -41.4, 3.4),
        (-66.5, -61.0, 3.8),
        (-59.3, -78.3, 6.6),
        (-48.3, -94.8, 26.0),
        (-34.0, -106.3, 47.8),
        (-17.6, -113.6, 64.2),
        (0.0, -116.1, 70.7),
        (17.6, -113.6, 64.2),
        (34.0, -106.3, 47.8),
        (48.3, -94.8, 26.0),
        (59.3, -78.3, 6.6),
        (66.5, -61.0, 3.8),
        (71.4, -41.4, 3.4),
        (73.5, -21.9, 2.5),
        (74.4, -2.0, 0.5),
        (-60.5, 12.5, 54.9),
        (-51.0, 19.9, 71.8),
        (-37.7, 22.6, 85.1),
        (-23.8, 19.7, 90.6),
        (-11.4, 15.1, 91.5),
        (11.4, 15.1, 91.5),
        (23.8, 19.7, 90.6),
        (37.7, 22.6, 85.1),
        (51.0, 19.9, 71.8),
        (60.5, 12.5, 54.9),
        (0.0, 1.6, 94.2),
        (0.0, -10.0, 98.7),
        (0.0, -21.5, 106.0),
        (0.0, -33.4, 115.1),
        (-14.6, -42.0, 99.0),
        (-7.6, -44.9, 100.9),
        (0.0, -47.3, 99.1),
        (7.6, -44.9, 100.9),
        (14.6, -42.0, 99.0),
        (-44.9, 0.0, 69.1),
        (-36.7, 4.3, 74.6),
        (-27.1, 3.8, 78.5),
        (-19.0, -1.6, 80.9),
        (-27.1, -3.7, 78.5),
        (-36.7, -3.3, 74.6),
        (19.0, -1.6, 80.9),
        (27.1, 3.8, 78.5),
        (36.7, 4.3, 74.6),
        (44.9, 0.0, 69.1),
        (36.7, -3.3, 74.6),
        (27.1, -3.7, 78.5),
        (-27.2, -64.6, 79.7),
        (-16.8, -60.5, 90.7),
        (-7.0, -59.1, 94.3),
        (0.0, -60.3, 95.0),
        (7.0, -59.1, 94.3),
        (16.8, -60.5, 90.7),
        (27.2, -64.6, 79.7),
        (16.8, -77.3, 84.8),
        (7.0, -80.0, 87.5),
        (0.0, -80.5, 88.0),
        (-7.0, -80.0, 87.5),
        (-16.8, -77.3, 84.8),
        (-23.4, -64.8, 85.5),
        (-7.0, -64.9, 93.3),
        (0.0, -64.9, 94.1),
        (7.0, -64.9, 93.3),
        (23.4, -64.8, 85.5),
        (7.0, -67.9, 91.7),
        (0.0, -68.2, 92.1),
        (-7.0, -67.9, 91.7),
    ]
)
_BROW_HALF_THICKNESS = 3.0  # of the head model's mean brow


def mean_face_3d(scheme: str | int | LandmarkScheme = "300w") -> np.ndarray:
    """Landmarks of an average adult's face in three dimensions.

    The 68 points are the mean over 4000 heads of the model that `synthetic_faces` draws (identity and expression at
    random, made symmetric); nothing measured on people, and nothing of any test set, is in them. Points 0-16 are
    those of the jaw itself. The 98 points of WFLW follow from them along the same curves: every second point of the
    jaw by cubic interpolation, the middles of the eyelids by the mean of their neighbours, the brows' edges 3 mm
    above and below their middle line, the pupils as the middles of the eyes.

    Args:
        scheme: `"300w"` (68 landmarks; default) or `"wflw"` (98).

    Returns:
        Float64 `(n_landmarks, 3)` in millimetres: x to the image's right, y up, z toward the camera, a face of yaw,
        pitch and roll 0.

    Raises:
        ValueError: If the scheme is another one.

    Examples:
        >>> from keras_asm.pose import mean_face_3d
        >>> mean_face_3d("300w")[[36, 45]]  # the outer corners of the eyes
        array([[-44.9,   0. ,  69.1],
               [ 44.9,   0. ,  69.1]])
        >>> mean_face_3d("wflw").shape
        (98, 3)

    See Also:
        - [`fit_pose`][keras_asm.pose.fit_pose]: fits it to landmarks.
        - [`GeometricPoseEstimator`][keras_asm.pose.GeometricPoseEstimator]: does so for faces.
        - [`synthetic_faces`][keras_asm.synthetic.synthetic_faces]: the heads that it is the mean of.
    """
    name = get_scheme(scheme).name
    if name == "300w":
        return _MEAN_68.copy()
    if name == "wflw":
        return _to_wflw(_MEAN_68)
    raise ValueError(f"There is a mean face for the schemes '300w' and 'wflw'. Received: {name!r}")


def _to_wflw(face: np.ndarray) -> np.ndarray:
    """The 98 points of WFLW on the curves through 300W's 68."""
    points = np.empty((98, 3))
    jaw = face[:17]
    points[0:33:2] = jaw
    # Cubic through four neighbours; quadratic through three at the ends.
    points[3:30:2] = (9 * (jaw[1:-2] + jaw[2:-1]) - jaw[:-3] - jaw[3:]) / 16
    points[1] = (3 * jaw[0] + 6 * jaw[1] - jaw[2]) / 8
    points[31] = (3 * jaw[16] + 6 * jaw[15] - jaw[14]) / 8

    half = np.array([0.0, _BROW_HALF_THICKNESS, 0.0])
    # Upper edge from one end to the other, lower edge back; the outer end is a single point.
    points[33] = face[17]
    points[34:38] = face[18:22] + half
    points[38:42] = face[21:17:-1] - half
    points[42:46] = face[22:26] + half
    points[46] = face[26]
    points[47:51] = face[25:21:-1] - half

    points[51:60] = face[27:36]
    for first, source in ((60, 36), (68, 42)):
        eye = face[source : source + 6]
        points[first : first + 8] = eye[[0, 1, 1, 2, 3, 4, 4, 5]]
        points[first + 2] = (eye[1] + eye[2]) / 2
        points[first + 6] = (eye[4] + eye[5]) / 2
    points[76:96] = face[48:68]
    points[96], points[97] = face[36:42].mean(axis=0), face[42:48].mean(axis=0)
    return points
