import json
import math

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops
from scipy import ndimage

from keras_asm import ActiveShapeModel, evaluate_landmarks
from keras_asm.faces import CropTransform
from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.layers import LandmarkAugmentation, augment
from keras_asm.pose import rotate_pose

PERMUTATION = get_scheme("300w").flip_permutation
PAIR = LandmarkScheme("pair", 2, flip_pairs=((0, 1),))


def numpy(*tensors):
    arrays = [None if x is None else ops.convert_to_numpy(x) for x in tensors]
    return arrays[0] if len(arrays) == 1 else arrays


def apply(
    images,
    landmarks,
    pose=None,
    *,
    flip_permutation=None,
    crop_margin=None,
    fill_mode="nearest",
    **parameters,
):
    batch = len(images)
    full = {
        name: np.broadcast_to(np.asarray(value, "float32"), (batch, *np.shape(value)[1:]))
        for name, value in parameters.items()
    }
    return numpy(
        *augment(
            images,
            landmarks,
            pose,
            parameters=full,
            flip_permutation=flip_permutation,
            crop_margin=crop_margin,
            fill_mode=fill_mode,
        )
    )


def spot(height: int, width: int, landmark, sigma: float = 2.5) -> np.ndarray:
    """A white Gaussian spot at a normalised position, uint8 `(1, height, width, 3)`."""
    y, x = np.mgrid[:height, :width]
    center = (np.asarray(landmark) + 0.5) * [width, height] - 0.5
    value = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(255 * value).astype(np.uint8)[None, ..., None], 3, axis=3)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image.astype(float).mean(axis=-1)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


@pytest.mark.backend
class TestGeometry:
    @given(
        x=st.floats(-0.2, 0.2),
        y=st.floats(-0.2, 0.2),
        rotation=st.floats(-180, 180),
        scale=st.floats(0.8, 1.25),
        dx=st.floats(-0.1, 0.1),
        dy=st.floats(-0.1, 0.1),
        flip=st.booleans(),
        size=st.sampled_from([(64, 64), (65, 80)]),
    )
    def test_spot_stays_under_its_landmark(self, x, y, rotation, scale, dx, dy, flip, size):
        images, landmarks, _ = apply(
            spot(*size, (x, y)),
            np.array([[[x, y]]], "float32"),
            rotation=[rotation],
            scale=[scale],
            shift=[[dx, dy]],
            flip=[float(flip)],
            flip_permutation=[0],
            fill_mode="constant",
        )
        expected = (landmarks[0, 0] + 0.5) * [size[1], size[0]] - 0.5
        assert np.abs(centroid(images[0]) - expected).max() < 0.2

    def test_quarter_turn_clockwise_is_exact(self, rng):
        images = rng.integers(0, 256, (1, 8, 8, 3)).astype(np.uint8)
        pose = np.array([[0, 0, 10]], "float32")
        turned, landmarks, angles = apply(images, [[[0.25, 0.0], [0.0, 0.5]]], pose, rotation=[90.0])
        # Seen in the image, right goes down and down goes left.
        np.testing.assert_allclose(landmarks, [[[0.0, 0.25], [-0.5, 0.0]]], atol=1e-6)
        np.testing.assert_array_equal(turned[0], np.rot90(images[0], -1))
        np.testing.assert_allclose(angles, [[0, 0, 100]], atol=1e-4)

    def test_shift_by_whole_pixels_is_exact(self, rng):
        images = rng.integers(1, 256, (1, 16, 16, 3)).astype(np.uint8)
        moved, landmarks, _ = apply(images, [[[0.0, 0.0]]], shift=[[3 / 16, -2 / 16]], fill_mode="constant")
        np.testing.assert_array_equal(moved[0, :14, 3:], images[0, 2:, :13])
        assert moved[0, 14:].max() == moved[0, :, :3].max() == 0
        np.testing.assert_allclose(landmarks, [[[3 / 16, -2 / 16]]])
        repeated, _, _ = apply(images, [[[0.0, 0.0]]], shift=[[3 / 16, 0.0]])
        np.testing.assert_array_equal(repeated[0, :, :3], np.repeat(images[0, :, :1], 3, axis=1))

    def test_scale_enlarges(self):
        _, landmarks, _ = apply(np.zeros((1, 8, 8, 3), np.uint8), [[[0.25, -0.125]]], scale=[2.0])
        np.testing.assert_allclose(landmarks, [[[0.5, -0.25]]])

    @given(seed=st.integers(0, 99), flat=st.booleans(), width=st.sampled_from([4, 7]))
    def test_flip_twice_is_the_identity(self, seed, flat, width):
        rng = np.random.default_rng(seed)
        images = rng.integers(0, 256, (3, 5, width, 3)).astype(np.uint8)
        landmarks = rng.uniform(-0.6, 0.6, (3, 136) if flat else (3, 68, 2)).astype("float32")
        pose = rng.uniform(-90, 90, (3, 3)).astype("float32")
        flips = {"flip": np.array([1.0, 1.0, 0.0]), "flip_permutation": PERMUTATION}
        once = apply(images, landmarks, pose, **flips)
        np.testing.assert_array_equal(once[0][:2], images[:2, :, ::-1])
        np.testing.assert_array_equal(once[0][2], images[2])
        np.testing.assert_array_equal(once[2][:2], pose[:2] * [-1, 1, -1])
        np.testing.assert_array_equal(once[1][2], landmarks[2])
        if not flat:
            np.testing.assert_array_equal(once[1][0, 36], landmarks[0, 45] * [-1, 1])
        for twice, original in zip(apply(*once, **flips), (images, landmarks, pose), strict=True):
            np.testing.assert_array_equal(twice, original)

    @given(
        rotation=st.floats(-180, 180),
        flip=st.booleans(),
        margin=st.sampled_from([0.0, 0.25, 0.6]),
        scale=st.sampled_from([None, 0.8]),
        shift=st.sampled_from([None, (0.1, -0.05)]),
        seed=st.integers(0, 9),
    )
    def test_a_turned_face_is_cropped_anew(self, rotation, flip, margin, scale, shift, seed):
        """As `crop_faces` would crop the face if the whole source image were turned."""
        rng = np.random.default_rng(seed)
        landmarks = rng.uniform(-0.3, 0.3, (2, 68, 2)).astype("float32") + rng.uniform(-0.2, 0.2, (2, 1, 2))
        given = {} if scale is None else {"scale": [scale]}
        given |= {} if shift is None else {"shift": [shift]}
        _, moved, _ = apply(
            np.zeros((2, 32, 32, 3), np.uint8),
            landmarks.astype("float32"),
            rotation=[rotation],
            flip=[float(flip)],
            flip_permutation=PERMUTATION,
            crop_margin=margin,
            **given,
        )
        source = landmarks * [-1, 1] if flip else landmarks
        source = source[:, PERMUTATION] if flip else source
        turn = np.exp(1j * np.radians(rotation)) * (source[..., 0] + 1j * source[..., 1])
        source = 900 * np.stack([turn.real, turn.imag], axis=-1)
        boxes = np.concatenate([source.min(axis=1), source.max(axis=1)], axis=1)
        expected = CropTransform.from_boxes(boxes, 32, margin).normalize(source)
        np.testing.assert_allclose(moved, (scale or 1) * expected + (shift or 0), atol=2e-6)

    @given(rotation=st.floats(-180, 180), flip=st.booleans(), seed=st.integers(0, 99))
    def test_a_spot_stays_under_its_landmark_in_the_new_crop(self, rotation, flip, seed):
        rng = np.random.default_rng(seed)
        corners = rng.uniform(-0.3, 0.3, (2, 2))
        corners[1] = corners[0] + 0.3 * (corners[1] - corners[0]) / np.linalg.norm(corners[1] - corners[0])
        inside = corners.mean(axis=0)
        images, landmarks, _ = apply(
            spot(64, 64, inside, sigma=1.5),
            np.array([[*corners, inside]], "float32"),
            rotation=[rotation],
            flip=[float(flip)],
            flip_permutation=[0, 1, 2],
            crop_margin=0.5,
            fill_mode="constant",
        )
        np.testing.assert_allclose(landmarks[0, 2], 0, atol=1e-6)  # the middle of the box
        assert np.abs(centroid(images[0]) - 31.5).max() < 0.2

    def test_a_crop_that_is_exact_stays(self, rng):
        landmarks = rng.uniform(-0.2, 0.2, (1, 5, 2)).astype("float32")
        landmarks[0, :2] = [[-1 / 3, -0.3], [1 / 3, 0.3]]  # a margin of 0.25 around a box of 2 / 3
        images = rng.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
        same, points, _ = apply(images, landmarks, crop_margin=0.25)
        np.testing.assert_array_equal(same, images)
        np.testing.assert_allclose(points, landmarks, atol=1e-7)

    @pytest.mark.parametrize("n_there", [0, 1])
    def test_a_face_of_a_landmark_or_none_has_no_box_to_crop_by(self, rng, n_there):
        landmarks = np.full((1, 5, 2), np.nan, "float32")
        landmarks[0, 3 : 3 + n_there] = [0.1, -0.2]
        images = rng.integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
        same, points, _ = apply(images, landmarks, crop_margin=0.25)
        np.testing.assert_array_equal(same, images)
        np.testing.assert_allclose(points, landmarks, atol=1e-7)
        turned, points, _ = apply(images, landmarks, rotation=[90.0], crop_margin=0.25)
        np.testing.assert_array_equal(turned[0], np.rot90(images[0], -1))
        np.testing.assert_allclose(points[0, 3], [0.2, 0.1] if n_there else np.nan, atol=1e-6)

    def test_each_image_has_its_own_parameters(self):
        landmarks = np.full((2, 1, 2), 0.1, "float32")
        _, moved, _ = apply(
            np.zeros((2, 8, 8, 3), np.uint8), landmarks, rotation=np.array([0, 180]), scale=np.array([2, 1])
        )
        np.testing.assert_allclose(moved[:, 0], [[0.2, 0.2], [-0.1, -0.1]], atol=1e-6)

    @pytest.mark.parametrize("shape", [(2, 68, 2), (2, 136)])
    @pytest.mark.parametrize("dtype", ["uint8", "float32", "float16"])
    def test_shapes_and_dtypes_stay(self, shape, dtype):
        images, landmarks, pose = apply(
            np.full((2, 8, 8, 3), 100, dtype), np.zeros(shape, "float32"), np.zeros((2, 3), "float32"),
            rotation=[5.0], contrast=[1.1], color=[[1.0, 0.9, 1.1]],
        )  # fmt: skip
        assert (images.dtype, landmarks.dtype, pose.dtype) == (dtype, "float32", "float32")
        assert (images.shape, landmarks.shape, pose.shape) == ((2, 8, 8, 3), shape, (2, 3))


@pytest.mark.backend
class TestPose:
    @staticmethod
    def matrix(pose) -> np.ndarray:
        """R = Rx(pitch) Ry(yaw) Rz(roll), written out from the convention of the labels."""
        (sy, sp, sr), (cy, cp, cr) = (f(np.radians(np.asarray(pose, float))) for f in (np.sin, np.cos))
        rx = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
        ry = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        rz = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
        return rx @ ry @ rz

    @given(
        yaw=st.floats(-99, 99),
        pitch=st.floats(-99, 99),
        roll=st.floats(-99, 99),
        turn=st.floats(-180, 180),
    )
    def test_turning_the_image_turns_the_camera(self, yaw, pitch, roll, turn):
        pose = np.array([[yaw, pitch, roll]], "float32")
        turned = numpy(rotate_pose(pose, np.array([turn], "float32"), xp=ops))[0]
        np.testing.assert_allclose(
            self.matrix(turned), self.matrix([0, 0, turn]) @ self.matrix(pose[0]), atol=2e-5
        )

    @pytest.mark.real_data
    def test_turned_shapes_of_aflw2000_agree_with_their_turned_labels(self, data_root):
        """Heads fitted to turned 3-D landmarks: as near to the label after a turn as before it."""
        scipy_io = pytest.importorskip("scipy.io")
        poses, shapes = [], []
        for path in sorted((data_root / "AFLW2000").rglob("*.mat"))[:150]:
            content = scipy_io.loadmat(path)
            pitch, yaw, roll = np.degrees(content["Pose_Para"][0, :3])
            if max(abs(pitch), abs(yaw), abs(roll)) <= 99:
                poses.append([yaw, pitch, roll])
                shape = content["pt3d_68"].T * [1.0, -1.0, 1.0]  # y up
                shapes.append(shape - shape.mean(axis=0))
        labels, turn = np.array(poses), 30.0
        frontal = np.mean(
            [x @ self.matrix(p) / np.linalg.norm(x) for x, p in zip(shapes, labels, strict=True)], axis=0
        )

        def mean_error(turn, labels):
            """Mean angle in degrees between each label's rotation and the one that fits its shape best."""
            errors = []
            for shape, label in zip(shapes, labels, strict=True):
                u, _, vt = np.linalg.svd(self.matrix([0, 0, turn]) @ shape.T @ frontal)
                fitted = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
                cosine = (np.trace(fitted.T @ self.matrix(label)) - 1) / 2
                errors.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
            return np.mean(errors)

        turned = numpy(rotate_pose(labels.astype("float32"), np.full(len(labels), turn, "float32"), xp=ops))
        before = mean_error(0.0, labels)
        assert before < 3
        assert abs(mean_error(turn, turned) - before) < 0.01
        # Adding the angle to the roll and leaving yaw and pitch would not do.
        assert mean_error(turn, labels + np.array([0, 0, turn])) > 10

    def test_mirroring_negates_yaw_and_roll(self):
        mirror = np.diag([-1.0, 1, 1])
        np.testing.assert_allclose(
            self.matrix([-30, 20, -10]), mirror @ self.matrix([30, 20, 10]) @ mirror, atol=1e-12
        )

    @given(roll=st.floats(-80, 80), turn=st.floats(-90, 90))
    def test_a_face_that_looks_straight_adds_the_angle_to_its_roll(self, roll, turn):
        turned = numpy(rotate_pose(np.array([[0, 0, roll]], "float32"), np.array([turn], "float32"), xp=ops))
        np.testing.assert_allclose(turned, [[0, 0, roll + turn]], atol=1e-3)

    def test_small_turns_stay_beyond_90_degrees_of_yaw(self):
        pose = np.array([[97.0, 10, -5], [-97, 10, -5]], "float32")
        turned = numpy(rotate_pose(pose, np.full(2, 0.01, "float32"), xp=ops))
        assert np.abs(turned - pose).max() < 0.2

    def test_no_turn_keeps_labels_and_missing_labels_stay_missing(self):
        pose = np.array([[12.3, 45.6, 278.9], [np.nan] * 3], "float32")
        np.testing.assert_array_equal(numpy(rotate_pose(pose, np.zeros(2, "float32"), xp=ops)), pose)
        assert np.isnan(numpy(rotate_pose(pose, np.ones(2, "float32"), xp=ops))[1]).all()


@pytest.mark.backend
class TestColour:
    """Against a per-pixel float64 computation."""

    @staticmethod
    def expected(image, contrast=1.0, brightness=0.0, saturation=1.0, color=(1.0, 1.0, 1.0)):
        luma = np.array([0.299, 0.587, 0.114])
        image = image.astype(float) * color
        grey = (image @ luma)[..., None]
        image = grey + saturation * (image - grey)
        image = grey.mean() + contrast * (image - grey.mean())
        return np.clip(image + 255 * brightness, 0, 255)

    @pytest.mark.parametrize(
        "parameters",
        [
            {"contrast": 1.4},
            {"brightness": -0.2},
            {"saturation": 0.3},
            {"color": (1.2, 0.9, 1.0)},
            {"contrast": 0.7, "brightness": 0.1, "saturation": 1.5, "color": (0.8, 1.1, 1.3)},
        ],
        ids=lambda p: "+".join(p),
    )
    def test_values(self, rng, parameters):
        image = rng.integers(0, 256, (9, 7, 3)).astype("float32")
        colored, landmarks, _ = apply(
            image[None], [[[0.1, 0.2]]], **{name: [value] for name, value in parameters.items()}
        )
        np.testing.assert_allclose(colored[0], self.expected(image, **parameters), atol=1e-2)
        np.testing.assert_allclose(landmarks, [[[0.1, 0.2]]], rtol=1e-6)

    def test_integers_are_rounded(self):
        images, _, _ = apply(np.full((1, 2, 2, 3), 100, np.uint8), [[[0.0, 0.0]]], brightness=[0.003])
        assert images.min() == images.max() == 101  # 100.765

    def test_grey_images(self, rng):
        image = rng.integers(0, 256, (1, 6, 6, 1)).astype("float32")
        colored, _, _ = apply(image, [[[0.0, 0.0]]], contrast=[0.5])
        np.testing.assert_allclose(colored, image.mean() + 0.5 * (image - image.mean()), atol=1e-2)
        with pytest.raises(ValueError, match="3 channels. Received: 1"):
            apply(image, [[[0.0, 0.0]]], saturation=[0.5])


@pytest.mark.backend
class TestOccludersAndBlur:
    def test_occluder_covers_its_box_and_nothing_else(self, rng):
        images = rng.integers(0, 200, (2, 8, 10, 3)).astype(np.uint8)
        landmarks = np.array([[[0.1, 0.2]], [[0.0, 0.0]]], "float32")
        hidden, moved, _ = apply(
            images,
            landmarks,
            occluder=[[-0.3, -0.25, 0.1, 0.5], [0.2, 0.2, 0.2, 0.2]],
            occluder_color=[[1.0, 0.0, 0.6]],
        )
        expected = images.copy()
        expected[0, 2:8, 2:6] = [255, 0, 153]
        np.testing.assert_array_equal(hidden, expected)  # the second one is empty
        np.testing.assert_array_equal(moved, landmarks)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_blur_is_the_gaussian_filter_of_scipy(self, rng, channels):
        images = rng.uniform(0, 255, (3, 40, 60, channels)).astype("float32")
        sigmas = [0.0, 0.01, 0.03]  # of the width: 0, 0.6 and 1.8 pixels
        blurred, _, _ = apply(images, np.zeros((3, 1, 2), "float32"), blur=sigmas)
        for image, found, sigma in zip(images, blurred, sigmas, strict=True):
            size = (60 * sigma, 60 * sigma, 0)
            # SciPy pads where ours weighs the pixels that are there
            total = ndimage.gaussian_filter(np.ones_like(image), size, mode="constant", truncate=20)
            expected = ndimage.gaussian_filter(image, size, mode="constant", truncate=20) / total
            np.testing.assert_allclose(found, expected, atol=2e-3)

    def test_drawn_as_they_are_described(self):
        layer = LandmarkAugmentation(occlusion=0.4, occluder_size=(0.1, 0.3), blur=0.02)
        draws = np.random.default_rng(0).random((4000, layer.n_draws)).astype("float32")
        drawn = {name: numpy(value) for name, value in layer.parameters(draws).items()}
        sides = drawn["occluder"][:, 2:] - drawn["occluder"][:, :2]
        there = sides[:, 0] > 0
        assert abs(there.mean() - 0.4) < 0.03
        assert np.abs([sides[there].min() - 0.1, sides[there].max() - 0.3]).max() < 0.001
        assert np.abs([drawn["blur"].min(), drawn["blur"].max() - 0.02]).max() < 1e-4
        assert np.abs([drawn["occluder_color"].min(), drawn["occluder_color"].max() - 1]).max() < 0.001

    def test_a_seed_gives_what_it_gave_without_them(self):
        assert LandmarkAugmentation().n_draws == 11
        draws = np.random.default_rng(0).random((5, 20)).astype("float32")
        both = LandmarkAugmentation(occlusion=1.0, blur=0.01).parameters(draws)
        for name, value in LandmarkAugmentation().parameters(draws[:, :11]).items():
            np.testing.assert_array_equal(numpy(value), numpy(both[name]))

    @pytest.mark.parametrize(
        ("argument", "message"),
        [
            ({"occlusion": 1.5}, "occlusion is a probability from 0 to 1. Received: 1.5"),
            ({"occluder_size": (0.5, 1.2)}, "0 <= low <= high <= 1"),
            ({"blur": -0.1}, "blur must be"),
        ],
    )
    def test_refuses_what_is_out_of_range(self, argument, message):
        with pytest.raises(ValueError, match=message):
            LandmarkAugmentation(**argument)

    def test_an_occluder_has_a_color(self):
        with pytest.raises(ValueError, match="occluder and occluder_color go together"):
            apply(
                np.zeros((1, 8, 8, 3), "uint8"), np.zeros((1, 1, 2), "float32"), occluder=[[0, 0, 0.1, 0.1]]
            )


class TestBadInput:
    IMAGES = np.zeros((1, 8, 8, 3), np.uint8)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (((IMAGES, np.zeros((1, 135))), {}), r"n_landmarks, 2.*Received: shape \(1, 135\)"),
            (((IMAGES, np.zeros(4)), {}), "n_landmarks, 2"),
            (((IMAGES[0], np.zeros((1, 4))), {}), "batch, height"),
            (((IMAGES, np.zeros((1, 4)), np.zeros((1, 2))), {}), r"pose must have"),
            (((IMAGES, np.zeros((1, 4))), {"turn": [1.0]}), r"Received: \['turn'\]"),
            (((IMAGES, np.zeros((1, 4))), {"flip": [1.0]}), "2 landmarks. Received: None"),
            (((IMAGES, np.zeros((1, 4))), {"flip": [1.0], "flip_permutation": PERMUTATION}), "68 of them"),
            (((IMAGES, np.zeros((1, 4))), {"scale": [1.0], "fill_mode": "wrap"}), "Received: 'wrap'"),
            (((IMAGES[:, :6], np.zeros((1, 4))), {"crop_margin": 0.1}), "square images. Received: 8 by 6"),
            (((IMAGES, np.zeros((1, 2))), {"crop_margin": 0.1}), "at least 2 landmarks"),
        ],
    )
    def test_augment(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            apply(*arguments[0], **arguments[1])

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"flip": 1.5}, "probability"),
            ({"scheme": None}, "scheme=None"),
            ({"scheme": "69w"}, "69w"),
            ({"rotation": -5}, "rotation must be"),
            ({"rotation": (5, -5)}, "low <= high"),
            ({"scale": (0.0, 1.0)}, "at least 0.01"),
            ({"scale": 1.5}, "at least 0.01"),
            ({"contrast": 2.0}, "at least 0"),
            ({"shift": (1, 2, 3)}, "pair"),
            ({"shift": math.nan}, "shift must be"),
            ({"fill_mode": "wrap"}, "Received: 'wrap'"),
            ({"crop_margin": -0.1}, "crop_margin must be a number from 0"),
        ],
    )
    def test_layer(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            LandmarkAugmentation(**arguments)

    def test_call(self):
        layer = LandmarkAugmentation()
        with pytest.raises(ValueError, match="'images', 'landmarks'"):
            layer(np.zeros((1, 8, 8, 3)))
        with pytest.raises(ValueError, match="for each of the 51 landmarks"):
            layer({"images": self.IMAGES, "landmarks": np.zeros((1, 51, 2), "float32")})


class TestLayer:
    BATCH = {  # noqa: RUF012
        "images": np.random.default_rng(0).integers(0, 256, (16, 24, 24, 3)).astype(np.uint8),
        "landmarks": np.random.default_rng(1).uniform(-0.4, 0.4, (16, 136)).astype("float32"),
        "pose": np.random.default_rng(2).uniform(-40, 40, (16, 3)).astype("float32"),
    }

    def run(self, layer, **changes):
        return {name: numpy(value) for name, value in layer({**self.BATCH, **changes}).items()}

    def test_parameters_span_their_ranges(self):
        layer = LandmarkAugmentation(flip=0.3, rotation=(-10, 30), scale=0.2, color=0.1, saturation=None)
        ends = layer.parameters(np.stack([np.zeros(layer.n_draws), np.ones(layer.n_draws)]).astype("float32"))
        ends = {name: numpy(value) for name, value in ends.items()}
        assert "saturation" not in ends
        np.testing.assert_allclose(ends["flip"], [1, 0])
        np.testing.assert_allclose(ends["rotation"], [-10, 30])
        np.testing.assert_allclose(ends["scale"], [0.8, 1.2], rtol=1e-6)
        np.testing.assert_allclose(ends["shift"], [[-0.05] * 2, [0.05] * 2], rtol=1e-6)
        np.testing.assert_allclose(ends["contrast"], [0.8, 1.2], rtol=1e-6)
        np.testing.assert_allclose(ends["brightness"], [-0.1, 0.1], rtol=1e-6)
        np.testing.assert_allclose(ends["color"], [[0.9] * 3, [1.1] * 3], rtol=1e-6)
        draws = np.random.default_rng(0).random((4000, layer.n_draws)).astype("float32")
        assert abs(numpy(layer.parameters(draws)["flip"]).mean() - 0.3) < 0.03

    def test_switching_one_off_changes_no_other(self):
        draws = np.random.default_rng(0).random((5, LandmarkAugmentation().n_draws)).astype("float32")
        everything = LandmarkAugmentation().parameters(draws)
        some = LandmarkAugmentation(rotation=0, contrast=None).parameters(draws)
        assert set(everything) - set(some) == {"rotation", "contrast"}
        for name, value in some.items():
            np.testing.assert_array_equal(numpy(value), numpy(everything[name]))

    def test_everything_off_is_the_identity(self):
        off = dict.fromkeys(
            ["flip", "rotation", "scale", "shift", "contrast", "brightness", "saturation", "color"], 0
        )
        for name, value in self.run(LandmarkAugmentation(None, **off)).items():
            np.testing.assert_array_equal(value, self.BATCH[name])

    @pytest.mark.backend
    def test_equal_seeds_give_equal_batches(self):
        first, second = LandmarkAugmentation(seed=3), LandmarkAugmentation(seed=3)
        once, again = self.run(first), self.run(second)
        for name in self.BATCH:
            np.testing.assert_array_equal(once[name], again[name])
        assert np.abs(self.run(first)["landmarks"] - once["landmarks"]).max() > 0.01  # the next batch differs
        assert np.abs(self.run(LandmarkAugmentation(seed=4))["landmarks"] - once["landmarks"]).max() > 0.01

    def test_only_in_training(self):
        layer = LandmarkAugmentation()
        for name, value in layer(self.BATCH, training=False).items():
            np.testing.assert_array_equal(numpy(value), self.BATCH[name])

    def test_pose_is_optional(self):
        batch = {name: self.BATCH[name] for name in ("images", "landmarks")}
        assert set(LandmarkAugmentation()(batch)) == set(batch)

    @pytest.mark.backend
    def test_mixed_precision_keeps_landmarks(self):
        keras.config.set_dtype_policy("mixed_float16")
        try:
            layer = LandmarkAugmentation(
                seed=0, **dict.fromkeys(["flip", "rotation", "scale", "contrast", "brightness"])
            )
            moved = self.run(layer)
        finally:
            keras.config.set_dtype_policy("float32")
        assert moved["landmarks"].dtype == "float32"
        shift = (moved["landmarks"] - self.BATCH["landmarks"]).reshape(16, 68, 2)
        assert np.ptp(shift, axis=1).max() < 1e-6

    @pytest.mark.parametrize("scheme", ["wflw", PAIR, None], ids=str)
    def test_config_round_trip(self, scheme):
        layer = LandmarkAugmentation(
            scheme,
            flip=0.25 if scheme else None,
            rotation=(-5, 7),
            shift=None,
            crop_margin=0.25,
            fill_mode="constant",
            occlusion=0.3,
            blur=(0.001, 0.02),
            seed=5,
        )
        config = json.loads(json.dumps(layer.get_config()))
        again = LandmarkAugmentation.from_config(config)
        assert again.get_config() == layer.get_config()
        assert again.scheme == layer.scheme
        revived = keras.saving.deserialize_keras_object(
            json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
        )
        assert revived.get_config() == layer.get_config()

    @pytest.mark.backend
    def test_inside_a_saved_model(self, tmp_path):
        inputs = {
            "images": keras.Input((24, 24, 3), dtype="uint8", name="images"),
            "landmarks": keras.Input((136,), name="landmarks"),
            "pose": keras.Input((3,), name="pose"),
        }
        model = keras.Model(inputs, LandmarkAugmentation(seed=1)(inputs))
        assert [x.dtype for x in model.outputs] == ["uint8", "float32", "float32"]
        model.save(tmp_path / "a.keras")
        loaded = keras.models.load_model(tmp_path / "a.keras")
        once, again = model(self.BATCH, training=True), loaded(self.BATCH, training=True)
        for name in self.BATCH:
            np.testing.assert_array_equal(numpy(once[name]), numpy(again[name]))
        out = loaded.predict(self.BATCH, verbose=0)
        np.testing.assert_array_equal(out["landmarks"], self.BATCH["landmarks"])

    @pytest.mark.backend
    def test_compiled_equals_eager(self):
        layer = LandmarkAugmentation(occlusion=0.5, blur=0.02)
        draws = np.random.default_rng(0).random((16, layer.n_draws)).astype("float32")
        arguments = (*self.BATCH.values(), draws)
        function = layer.apply
        if keras.config.backend() == "jax":
            import jax

            function = jax.jit(layer.apply)
        elif keras.config.backend() == "tensorflow":
            import tensorflow as tf

            function = tf.function(layer.apply, autograph=False, jit_compile=True)  # XLA
        eager, compiled = numpy(*layer.apply(*arguments)), numpy(*function(*arguments))
        # A rounding that falls on a half may go either way.
        assert np.abs(eager[0].astype(int) - compiled[0].astype(int)).max() <= 1
        np.testing.assert_allclose(eager[1], compiled[1], atol=1e-6)
        np.testing.assert_allclose(eager[2], compiled[2], atol=1e-3)

    @pytest.mark.backend
    def test_stateless_under_jit(self):
        if keras.config.backend() != "jax":
            pytest.skip("stateless calls are JAX's")
        import jax

        layer = LandmarkAugmentation(seed=1)

        @jax.jit
        def step(state, batch):
            return layer.stateless_call([], state, batch)

        state = [v.value for v in layer.non_trainable_variables]
        first, state = step(state, self.BATCH)
        second, state = step(state, self.BATCH)
        assert np.abs(numpy(first["landmarks"]) - numpy(second["landmarks"])).max() > 0.01
        again = LandmarkAugmentation(seed=1)(self.BATCH)
        np.testing.assert_allclose(numpy(first["landmarks"]), numpy(again["landmarks"]), atol=1e-6)


@pytest.mark.backend
class TestLandmarksAlone:
    """Shapes to fit a shape model on."""

    def test_a_turn_by_hand(self):
        # A quarter turn clockwise takes what is right of the middle below it; then twice as large, and to the right
        layer = LandmarkAugmentation(
            None, flip=None, rotation=(90, 90), scale=(2, 2), shift=(0.125, 0.125)
        )  # of both axes
        shapes = [[[0.25, 0.0], [0.0, -0.125]]]
        expected = [[[0.125, 0.625], [0.375, 0.125]]]
        np.testing.assert_allclose(layer.augment_landmarks(shapes), expected, atol=1e-6)
        flat = layer.augment_landmarks(np.reshape(shapes, (1, 4)), repeats=3)
        np.testing.assert_allclose(flat, np.tile(np.reshape(expected, (1, 4)), (3, 1)), atol=1e-6)
        assert flat.dtype == np.float32

    @pytest.mark.parametrize(
        "options", [{"rotation": 15}, {"rotation": 30, "scale": None, "crop_margin": 0.25}]
    )
    def test_they_move_as_those_of_images(self, rng, options):
        layer = LandmarkAugmentation("300w", **options)
        shapes = rng.uniform(-0.4, 0.4, (5, 68, 2)).astype("float32")
        uniform = np.random.default_rng(3).random((10, layer.n_draws), dtype=np.float32)
        images = np.zeros((10, 24, 24, 3), "uint8")
        _, expected, _ = layer.apply(images, np.concatenate([shapes, shapes]), None, uniform)
        found = layer.augment_landmarks(shapes, repeats=2, seed=3)
        np.testing.assert_allclose(found, numpy(expected), atol=1e-6)
        assert np.abs(found[:5] - found[5:]).max() > 0.05

    def test_colours_move_nothing(self, rng):
        layer = LandmarkAugmentation("300w", flip=None, rotation=None, scale=None, shift=None)
        shapes = rng.normal(size=(4, 68, 2)).astype("float32")
        np.testing.assert_array_equal(layer.augment_landmarks(shapes), shapes)

    @pytest.mark.parametrize("repeats", [0, 1.5])
    def test_how_often(self, repeats):
        with pytest.raises(ValueError, match=f"repeats must be a positive integer. Received: {repeats}"):
            LandmarkAugmentation("300w").augment_landmarks(np.zeros((2, 68, 2)), repeats=repeats)


@pytest.mark.real_data
def test_a_shape_model_of_augmented_shapes_is_nearer_to_them(data_root):
    """Of all 3148 training shapes of 300W in crops of their boxes, turned by up to 30 degrees."""
    shapes = np.load(data_root / "shapes" / "300w_68.npz")["train"]
    low, high = shapes.min(axis=1, keepdims=True), shapes.max(axis=1, keepdims=True)
    shapes = (shapes - (low + high) / 2) / (1.5 * (high - low).max(axis=2, keepdims=True))
    layer = LandmarkAugmentation("300w", rotation=30, scale=0.1, shift=0.05)
    seen = layer.augment_landmarks(shapes, seed=1)
    upright, augmented = (
        ActiveShapeModel(0.90).fit(each) for each in (shapes, layer.augment_landmarks(shapes, repeats=2))
    )
    errors = [
        evaluate_landmarks(seen, model.project(seen), scheme="300w").errors.mean()
        for model in (upright, augmented)
    ]
    assert errors[1] < 0.8 * errors[0]
    aligned = [ActiveShapeModel(0.90, align="procrustes").fit(each) for each in (shapes, seen)]
    errors = [evaluate_landmarks(seen, model.project(seen), scheme="300w").errors.mean() for model in aligned]
    assert errors[0] == pytest.approx(errors[1], rel=0.05)


@pytest.mark.backend
def test_channels_first():
    batch = {
        "images": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), "uint8"),
        "landmarks": np.zeros((3, 136)),
    }
    last = LandmarkAugmentation(seed=1)(batch)
    first = LandmarkAugmentation(seed=1, data_format="channels_first")(
        {**batch, "images": np.moveaxis(batch["images"], -1, 1)}
    )
    np.testing.assert_array_equal(np.moveaxis(numpy(first["images"]), 1, -1), numpy(last["images"]))
    np.testing.assert_array_equal(numpy(first["landmarks"]), numpy(last["landmarks"]))
    with pytest.raises(ValueError, match="1 to 4 channels"):
        augment(np.zeros((1, 3, 8, 8)), np.zeros((1, 4)), parameters={})


@pytest.mark.parametrize("values", [{"value_range": (1, 0)}, {"data_format": "NCHW"}])
def test_bad_ranges_and_formats(values):
    with pytest.raises(ValueError, match=r"must be .*Received"):
        LandmarkAugmentation(**values)


@pytest.mark.backend
def test_tf_data_on_another_backend():
    """Inside `tf.data`, images are TensorFlow's, whatever the backend; TensorFlow need not be installed to see that."""
    if keras.backend.backend() == "tensorflow":
        images = ops.zeros((1, 8, 8, 3))
        assert augment(images, np.zeros((1, 4)), parameters={})[0].shape == (1, 8, 8, 3)
        return
    symbolic = type(
        "SymbolicTensor", (), {"__module__": "tensorflow.python.framework.ops", "shape": (1, 8, 8, 3)}
    )
    with pytest.raises(ValueError, match="give the augmentation to LandmarkBatches"):
        augment(symbolic(), np.zeros((1, 4)), parameters={})


@pytest.mark.backend
def test_images_in_another_range_are_warned_of(rng):
    batch = {
        "images": rng.uniform(0, 1, (2, 8, 8, 3)).astype("float32"),
        "landmarks": np.zeros((2, 136), "float32"),
    }
    layer = LandmarkAugmentation()
    with pytest.warns(UserWarning, match="range from 0 to 255, which ruins them: pass value_range"):
        layer(batch)
    layer(batch)  # once is enough
    moved = numpy(LandmarkAugmentation(value_range=(0, 1))(batch)["images"])
    assert 0 <= moved.min() < moved.max() <= 1
    assert moved.mean() > 0.2
