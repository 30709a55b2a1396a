"""Tracking of real faces by the trained network and detector, on frames whose motion is known.

Two portraits, the second one the mirror image of the first, drift, turn and come nearer.
"""

import numpy as np
import pytest

from keras_asm.inference import LandmarkPredictor, LandmarkTracker, write_video

pytest.importorskip("onnxruntime")
Image = pytest.importorskip("PIL.Image")
N_FRAMES = 24
WIDTH, HEIGHT = 560, 260


def motion(t, side):
    """`A, b` of `x' = A x + b` from a pixel of the portrait's head to the frame, at the time 0 to 1."""
    turn = np.deg2rad(8) * np.sin(2 * np.pi * t) * (1 if side == 0 else -1)
    scale = 1 + 0.15 * t
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    middle = np.array([110.0, 120.0])  # of the head
    goal = np.array([140 + 280 * side + 25 * np.sin(2 * np.pi * t), 125 + 10 * t])
    return matrix, goal - matrix @ middle


def frames():
    head = pytest.importorskip("skimage.data").astronaut()[:240, 110:330]
    heads = [Image.fromarray(head), Image.fromarray(np.ascontiguousarray(head[:, ::-1]))]
    for t in np.linspace(0, 1, N_FRAMES):
        frame = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
        for side, portrait in enumerate(heads):
            matrix, offset = motion(t, side)
            back = np.linalg.inv(matrix)
            coefficients = np.column_stack([back, -back @ offset]).reshape(-1)
            moved = np.asarray(
                portrait.transform(
                    (WIDTH, HEIGHT), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
                )
            )
            half = slice(side * WIDTH // 2, (side + 1) * WIDTH // 2)
            there = moved[:, half].any(axis=-1, keepdims=True)
            frame[:, half] = np.where(there, moved[:, half], frame[:, half])
        yield frame


@pytest.fixture(scope="module")
def predictor():
    return LandmarkPredictor("asmnet-drawn")


def follow(tracker, source):
    """Landmarks by frame, identity from left to right: `(n_frames, 2, 68, 2)`, and the identities."""
    found = [sorted(faces, key=lambda face: face.landmarks[:, 0].mean()) for faces in tracker(source)]
    assert [len(faces) for faces in found] == [2] * N_FRAMES
    return (
        np.array([[face.landmarks for face in faces] for faces in found]),
        [[face.identity for face in faces] for faces in found],
    )


def errors(landmarks):
    """Distance of each frame's landmarks from the first frame's, moved as the heads move; in sides of the face."""
    out = np.empty(landmarks.shape[:2])
    for side in range(2):
        matrix, offset = motion(0, side)
        still = (landmarks[0, side] - offset) @ np.linalg.inv(matrix).T
        for k, t in enumerate(np.linspace(0, 1, N_FRAMES)):
            matrix, offset = motion(t, side)
            expected = still @ matrix.T + offset
            size = np.ptp(expected, axis=0).max()
            out[k, side] = np.linalg.norm(landmarks[k, side] - expected, axis=-1).mean() / size
    return out


@pytest.mark.parametrize("as_file", [False, True], ids=["frames", "H.264"])
def test_faces_are_followed_where_they_go(predictor, tmp_path, as_file):
    source = frames()
    if as_file:
        pytest.importorskip("av")
        source = tmp_path / "faces.mp4"
        write_video(source, frames(), rate=25)
    landmarks, identities = follow(LandmarkTracker(predictor, smoothing=None), source)
    assert all(pair == identities[0] for pair in identities)
    assert len(set(identities[0])) == 2
    found = errors(landmarks)
    assert found.mean() < 0.03
    assert found.max() < 0.06


def test_smoothing_lowers_the_jitter_of_real_faces(predictor):
    """A camera's noise on faces that hold still."""
    still = next(frames())
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(still + rng.normal(0, 12, still.shape), 0, 255).astype(np.uint8) for _ in range(N_FRAMES)
    ]

    def jitter(smoothing):
        landmarks, _ = follow(LandmarkTracker(predictor, smoothing=smoothing, rate=25), noisy)
        return landmarks[4:].std(axis=0).mean()

    assert jitter("medium") < 0.6 * jitter(None)
