"""The fit, against exact projections and an optimiser that was not written here."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm.landmarks import get_scheme
from keras_asm.pose import fit_pose, mean_face_3d, pose_from_rotation, rotation_from_pose

FACE = mean_face_3d("300w")


def project(pose, scale, shift, face=FACE):
    """As in POSE.md, one face at a time."""
    pictures = []
    for angles, s, t in zip(
        np.reshape(pose, (-1, 3)), np.ravel(scale), np.reshape(shift, (-1, 2)), strict=True
    ):
        yaw, pitch, roll = np.deg2rad(angles)
        c, s_ = np.cos, np.sin
        rx = np.array([[1, 0, 0], [0, c(pitch), s_(pitch)], [0, -s_(pitch), c(pitch)]])
        ry = np.array([[c(yaw), 0, -s_(yaw)], [0, 1, 0], [s_(yaw), 0, c(yaw)]])
        rz = np.array([[c(roll), s_(roll), 0], [-s_(roll), c(roll), 0], [0, 0, 1]])
        turned = face @ (rx @ ry @ rz).T
        pictures.append(s * turned[:, :2] * [1, -1] + t)
    return np.array(pictures)


def random_pictures(rng, n=200, face=FACE):
    pose = rng.uniform((-89, -60, -180), (89, 60, 180), (n, 3))
    return pose, project(pose, 10 ** rng.uniform(-3, 3, n), rng.uniform(-1e3, 1e3, (n, 2)), face)


@pytest.mark.parametrize("scheme", ["300w", "wflw"])
def test_projections_are_recovered(rng, scheme):
    face = mean_face_3d(scheme)
    pose, pictures = random_pictures(rng, face=face)
    difference = (fit_pose(pictures, face) - pose + 180) % 360 - 180
    assert np.abs(difference).max() < 1e-6


def test_weights_and_missing_landmarks_do_not_matter_to_exact_ones(rng):
    pose, pictures = random_pictures(rng, 50)
    pictures[rng.random(pictures.shape[:2]) < 0.5] = np.nan
    weights = rng.uniform(0.1, 2.0, pictures.shape[:2])
    difference = (fit_pose(pictures, FACE, weights) - pose + 180) % 360 - 180
    assert np.abs(difference).max() < 1e-5


def test_a_missing_landmark_is_one_of_weight_0(rng):
    _, pictures = random_pictures(rng, 20)
    pictures += rng.normal(0, np.ptp(pictures, axis=(1, 2))[:, None, None] * 0.02, pictures.shape)
    weights = np.ones(68)
    weights[[3, 40, 60]] = 0
    without = pictures.copy()
    without[:, [3, 40, 60]] = np.nan
    np.testing.assert_allclose(fit_pose(without, FACE), fit_pose(pictures, FACE, weights), atol=1e-7)


def test_against_scipy(rng):
    """SciPy's least squares over six parameters and 2 * 68 residuals, started at the truth, finds nothing better."""
    optimize = pytest.importorskip("scipy.optimize")
    pose = rng.uniform((-70, -40, -60), (70, 40, 60), (12, 3))
    pictures = project(pose, np.ones(12), np.zeros((12, 2))) + rng.normal(0, 4.0, (12, 68, 2))
    weights = rng.uniform(0.2, 2.0, 68)
    ours = fit_pose(pictures, FACE, weights)
    for truth, picture, estimate in zip(pose, pictures, ours, strict=True):

        def residual(p, picture=picture):
            return (np.sqrt(weights)[:, None] * (project(p[:3], p[3:4], p[4:])[0] - picture)).ravel()

        found = optimize.least_squares(
            residual, [*truth, 1.0, 0.0, 0.0], x_scale="jac", xtol=1e-12, ftol=1e-12
        )
        np.testing.assert_allclose(estimate, found.x[:3], atol=1e-3)


pose_angles = st.tuples(st.floats(-80, 80), st.floats(-50, 50), st.floats(-60, 60))


@given(pose_angles, st.floats(-170, 170), st.floats(-3, 3), st.floats(-1e3, 1e3))
def test_similarities_of_the_picture(angles, turn, log_scale, shift):
    """Scale and shift change nothing; turning the picture turns R about the camera's axis."""
    rng = np.random.default_rng(0)
    picture = project(angles, 1.0, [0.0, 0.0])[0] + rng.normal(0, 2.0, (68, 2))
    pose = fit_pose(picture, FACE)
    np.testing.assert_allclose(fit_pose(picture * 10**log_scale + shift, FACE), pose, atol=1e-5)
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    clockwise = picture @ np.array([[c, s], [-s, c]])  # y points down
    turned = rotation_from_pose(fit_pose(clockwise, FACE))
    about_camera = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    np.testing.assert_allclose(turned, about_camera @ rotation_from_pose(pose), atol=1e-6)


def test_turning_a_frontal_picture_adds_to_roll_alone(rng):
    picture = project([0.0, 0.0, 10.0], 1.0, [0.0, 0.0])[0]
    c, s = np.cos(np.deg2rad(25.0)), np.sin(np.deg2rad(25.0))
    np.testing.assert_allclose(fit_pose(picture @ np.array([[c, s], [-s, c]]), FACE), [0, 0, 35], atol=1e-6)


@given(pose_angles)
def test_a_flip_negates_yaw_and_roll(angles):
    rng = np.random.default_rng(1)
    picture = project(angles, 1.0, [0.0, 0.0])[0] + rng.normal(0, 2.0, (68, 2))
    mirrored = picture[get_scheme("300w").flip_permutation] * [-1, 1]
    np.testing.assert_allclose(fit_pose(mirrored, FACE), fit_pose(picture, FACE) * [-1, 1, -1], atol=1e-5)


def test_layouts(rng):
    _, pictures = random_pictures(rng, 6)
    pose = fit_pose(pictures, FACE)
    np.testing.assert_array_equal(fit_pose(pictures.reshape(6, 136), FACE), pose)
    np.testing.assert_array_equal(fit_pose(pictures.reshape(2, 3, 68, 2), FACE), pose.reshape(2, 3, 3))
    np.testing.assert_allclose(fit_pose(pictures[0], FACE), pose[0], atol=1e-9)
    assert fit_pose(np.empty((0, 68, 2)), FACE).shape == (0, 3)


@pytest.mark.parametrize(
    ("landmarks", "shape", "weights", "message"),
    [
        (np.zeros((2, 67, 2)), FACE, None, "as the 3-D shape has 68"),
        (np.zeros((2, 68, 2)), FACE, None, "landmarks that differ.*face 0 of 2"),
        (np.full((2, 68, 2), np.nan), FACE, None, "Received: 0 landmarks"),
        (np.full((2, 68, 2), np.inf), FACE, None, "two finite numbers"),
        (np.zeros((2, 68, 2)), FACE[:, :2], None, "n_landmarks, 3"),
        (FACE[None, :, :2], FACE * [1, 1, 0], None, "one plane"),
        (FACE[None, :, :2], FACE, -np.ones(68), "at least 0"),
        (FACE[None, :, :2], FACE, np.ones(67), "weights must have the shape"),
    ],
)
def test_what_cannot_be_fitted(landmarks, shape, weights, message):
    with pytest.raises(ValueError, match=message):
        fit_pose(landmarks, shape, weights)


def test_half_a_landmark_is_an_error(rng):
    _, pictures = random_pictures(rng, 2)
    pictures[1, 5, 0] = np.nan
    with pytest.raises(ValueError, match="two NaN if missing"):
        fit_pose(pictures, FACE)


@given(st.floats(-179, 179), st.floats(-89, 89), st.floats(-179, 179))
def test_rotations_and_poses(yaw, pitch, roll):
    """Beyond a profile, too; SciPy's own Euler angles agree on the matrix."""
    transform = pytest.importorskip("scipy.spatial.transform")
    rotation = rotation_from_pose([yaw, pitch, roll])
    # Here all three turn the other way.
    scipys = transform.Rotation.from_euler("XYZ", [-pitch, -yaw, -roll], degrees=True).as_matrix()
    np.testing.assert_allclose(rotation, scipys, atol=1e-12)
    again = pose_from_rotation(rotation)
    assert abs(again[1]) <= 90
    np.testing.assert_allclose(rotation_from_pose(again), rotation, atol=1e-9)
    if abs(abs(yaw) - 90) > 1:
        np.testing.assert_allclose(again, [yaw, pitch, roll], atol=1e-6)


def test_rotations_of_other_shapes():
    with pytest.raises(ValueError, match="yaw, pitch, roll"):
        rotation_from_pose(np.zeros((2, 4)))
    with pytest.raises(ValueError, match=r"\.\.\., 3, 3"):
        pose_from_rotation(np.zeros((3, 2)))
