import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_asm import ASMNet
from keras_asm.landmarks import LandmarkScheme, get_scheme
from keras_asm.layers.landmark_augmentation import augment
from keras_asm.model_tools import predict_with_flip

PAIR = LandmarkScheme("pair", 2, flip_pairs=((0, 1),))
SCHEME = get_scheme("300w")


def linear(landmarks, pose=None, paired=False):
    """A model of images of two pixels of RGB, whose outputs are products with the given matrices."""
    inputs = keras.Input((1, 2, 3))
    features = keras.layers.Flatten()(inputs)
    outputs = {}
    for name, kernel in (("landmarks", landmarks), ("pose", pose)):
        if kernel is not None:
            head = keras.layers.Dense(len(kernel), use_bias=False, name=name)
            outputs[name] = head(features)
            head.set_weights([np.array(kernel, "float32").T])
    if paired:
        outputs["landmarks"] = keras.layers.Reshape((2, 2))(outputs["landmarks"])
    return keras.Model(inputs, outputs)


def network(height, width, form, seed=0):
    """A small convolutional network with large random weights, of 68 landmarks and a pose."""
    init = keras.initializers.RandomNormal(stddev=0.2, seed=seed)
    inputs = keras.Input((height, width, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=init)(x)
    x = keras.layers.Flatten()(x)
    landmarks = keras.layers.Dense(136, kernel_initializer=init)(x)
    if form == "paired":
        landmarks = keras.layers.Reshape((68, 2))(landmarks)
    if form == "alone":
        return keras.Model(inputs, landmarks)
    pose = keras.layers.Dense(3, kernel_initializer=init)(x)
    return keras.Model(inputs, {"landmarks": landmarks, "pose": 90 * pose})


@pytest.fixture(scope="module")
def networks():
    return {form: network(6, 7, form) for form in ("flat", "paired", "alone")}


@pytest.mark.backend
class TestByHand:
    # Pixels L and R: landmark 0 at (L_r, L_g) / 256, landmark 1 at (R_r, R_g) / 256; yaw L_b, pitch R_b, roll L_r.
    LANDMARKS = np.eye(6)[[0, 1, 3, 4]] / 256
    POSE = ([0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0])

    @pytest.mark.parametrize("paired", [False, True])
    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    def test_landmarks_and_pose(self, paired, dtype):
        images = np.array([[[[10, 20, 30], [4, 6, 8]]]], dtype)
        result = predict_with_flip(linear(self.LANDMARKS, self.POSE, paired), images, PAIR)
        # Of the mirror image: landmarks (4, 6), (10, 20) / 256 and pose (8, 30, 4). Back: (-10, 20), (-4, 6) / 256
        # and (-8, 30, -4). Of the image itself: (10, 20), (4, 6) / 256 and (30, 8, 10).
        expected = np.array([[[0, 20], [0, 6]]]) / 256
        np.testing.assert_array_equal(result["landmarks"], expected if paired else expected.reshape(1, 4))
        np.testing.assert_array_equal(result["pose"], [[11, 19, 3]])
        assert list(result) == ["landmarks", "pose"]
        assert {values.dtype for values in result.values()} == {np.dtype("float32")}

    def test_equivariant_model_is_unchanged(self, rng):
        # Landmark 0 at (-L_r, L_g) / 256, landmark 1 at (R_r, R_g) / 256: exchanging L and R mirrors the shape. Yaw
        # L_b - R_b, pitch L_b + R_b, roll R_r - L_r.
        landmarks = self.LANDMARKS * [[-1], [1], [1], [1]]
        pose = ([0, 0, 1, 0, 0, -1], [0, 0, 1, 0, 0, 1], [-1, 0, 0, 1, 0, 0])
        model = linear(landmarks, pose)
        for images in (
            rng.uniform(-1, 1, (5, 1, 2, 3)).astype("float32"),
            rng.integers(0, 256, (5, 1, 2, 3), "uint8"),
        ):
            expected = model.predict(images, verbose=0)
            result = predict_with_flip(model, images, PAIR)
            for name in ("landmarks", "pose"):
                np.testing.assert_array_equal(result[name], expected[name])

    def test_a_model_of_pixels_is_refused(self):
        inputs = keras.Input((1, 2, 3))
        outputs = keras.layers.Dense(
            4, kernel_initializer="zeros", bias_initializer=keras.initializers.Constant(16)
        )
        model = keras.Model(inputs, outputs(keras.layers.Flatten()(inputs)))
        with pytest.raises(ValueError, match="may be pixels. Received: predictions from 16 to 16"):
            predict_with_flip(model, np.zeros((2, 1, 2, 3), "uint8"), PAIR)

    def test_channels_first(self):
        inputs = keras.Input((3, 1, 2))
        last = linear(self.LANDMARKS, self.POSE)
        model = keras.Model(inputs, last(keras.layers.Permute((2, 3, 1))(inputs)))
        images = np.array([[[[10, 20, 30], [4, 6, 8]]]], "float32")
        expected = predict_with_flip(last, images, PAIR)
        keras.config.set_image_data_format("channels_first")
        try:
            result = predict_with_flip(model, np.moveaxis(images, -1, 1), PAIR)
        finally:
            keras.config.set_image_data_format("channels_last")
        for name in ("landmarks", "pose"):
            np.testing.assert_array_equal(result[name], expected[name])

    def test_images_stay(self):
        images = np.arange(6, dtype="uint8").reshape(1, 1, 2, 3)
        images.flags.writeable = False
        predict_with_flip(linear(self.LANDMARKS), images, PAIR)
        np.testing.assert_array_equal(images.ravel(), range(6))


@pytest.mark.backend
@pytest.mark.parametrize("form", ["flat", "paired", "alone"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_agrees_with_the_augmentation(networks, rng, form, dtype):
    model = networks[form]
    images = rng.integers(0, 256, (5, 6, 7, 3)).astype(dtype)
    ones = {"flip": np.ones(5)}

    def predict(batch):
        outputs = model.predict(ops.convert_to_numpy(batch), verbose=0)
        return (outputs, None) if form == "alone" else (outputs["landmarks"], outputs["pose"])

    landmarks, pose = predict(images)
    flips = {"parameters": ones, "flip_permutation": SCHEME.flip_permutation}
    mirrored_images, _, _ = augment(images, landmarks, **flips)
    _, *mirrored = augment(images, *predict(mirrored_images), **flips)
    result = predict_with_flip(model, images, "300w", batch_size=2)
    assert set(result) == ({"landmarks"} if form == "alone" else {"landmarks", "pose"})
    assert result["landmarks"].shape == ((5, 68, 2) if form == "paired" else (5, 136))
    for name, plain, other in zip(("landmarks", "pose"), (landmarks, pose), mirrored, strict=True):
        if plain is not None:
            expected = (plain + ops.convert_to_numpy(other)) / 2
            np.testing.assert_allclose(result[name], expected, rtol=1e-5, atol=1e-4)
            assert np.abs(expected - plain).max() > 0.05  # or it would have tested nothing


@pytest.mark.backend
@given(seed=st.integers(0, 99), form=st.sampled_from(["flat", "paired", "alone"]), n=st.integers(1, 5))
def test_mirrored_images_give_the_mirrored_prediction_exactly(networks, seed, form, n):
    images = np.random.default_rng(seed).integers(0, 256, (n, 6, 7, 3)).astype("uint8")
    result, of_mirrored = (
        predict_with_flip(networks[form], x, 68, batch_size=3) for x in (images, images[:, :, ::-1])
    )
    points, mirrored = (r["landmarks"].reshape(n, 68, 2) for r in (result, of_mirrored))
    for i, j in enumerate(SCHEME.flip_permutation):
        np.testing.assert_array_equal(mirrored[:, i], points[:, j] * [-1, 1])
    if form != "alone":
        np.testing.assert_array_equal(of_mirrored["pose"], result["pose"] * [-1, 1, -1])


@pytest.mark.backend
def test_asm_net(rng):
    model = ASMNet(input_shape=(32, 32, 3), n_landmarks=68)
    images = rng.integers(0, 256, (3, 32, 32, 3)).astype("uint8")
    result = predict_with_flip(model, images, SCHEME)
    assert {name: values.shape for name, values in result.items()} == {"landmarks": (3, 136), "pose": (3, 3)}


class TestBadInput:
    IMAGES = np.zeros((2, 1, 2, 3), "uint8")

    class Fixed:
        """Stands for a model that gives these outputs."""

        def __init__(self, outputs):
            self.outputs = outputs

        def predict(self, images, batch_size, verbose):
            return self.outputs

    @pytest.mark.parametrize("shape", [(1, 2, 3), (0, 1, 2, 3), (2, 2)])
    def test_images(self, shape):
        with pytest.raises(ValueError, match=r"images must have.*Received: shape"):
            predict_with_flip(linear(TestByHand.LANDMARKS), np.zeros(shape), PAIR)

    def test_scheme_of_other_landmarks(self):
        with pytest.raises(ValueError, match=r"'300w' has 68 landmarks.*Received: shape \(2, 4\)"):
            predict_with_flip(linear(TestByHand.LANDMARKS), self.IMAGES, "300w")
        with pytest.raises(ValueError, match="Received"):
            predict_with_flip(linear(TestByHand.LANDMARKS), self.IMAGES, "no such scheme")

    @pytest.mark.parametrize("shape", [(2, 5), (2, 4, 1), (1, 4), (2, 1, 4)])
    def test_landmarks(self, shape):
        with pytest.raises(ValueError, match=r"'pair' has 2 landmarks.*Received: shape"):
            predict_with_flip(self.Fixed(np.zeros(shape)), self.IMAGES, PAIR)

    def test_pose(self):
        outputs = {"landmarks": np.zeros((2, 4)), "pose": np.zeros((2, 1))}
        with pytest.raises(ValueError, match=r"poses of shape \(2, 3\).*Received: shape \(2, 1\)"):
            predict_with_flip(self.Fixed(outputs), self.IMAGES, PAIR)

    @pytest.mark.parametrize(
        ("outputs", "received"),
        [
            ({"pose": np.zeros((2, 3))}, r"\['pose'\]"),
            ({"landmarks": np.zeros((2, 4)), "heatmaps": 0}, r"\['landmarks', 'heatmaps'\]"),
            ([np.zeros((2, 4)), np.zeros((2, 3))], "list"),
        ],
    )
    def test_names(self, outputs, received):
        with pytest.raises(ValueError, match=f"The model must give.*Received: {received}"):
            predict_with_flip(self.Fixed(outputs), self.IMAGES, PAIR)
