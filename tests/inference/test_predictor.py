"""The predictor, on a network whose answers are known exactly.

Pictures have three blobs of pure colours, and the network finds the centre of each: its landmarks move with
the picture, whatever is done to it, so that what is tested is the frame of reference alone.
"""

import io
import itertools
import json
import warnings

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm import ASMNet
from keras_asm.datasets import DatasetError, load_coco, load_pts_folder, write_coco, write_pts_folder
from keras_asm.faces import CropTransform, crop_image
from keras_asm.inference import (
    ConfidenceCalibration,
    LandmarkModelInfo,
    LandmarkPredictor,
    read_table,
    shape_distance,
    write_model_info,
)
from keras_asm.landmarks import LandmarkScheme, split_log_scale
from keras_asm.model_tools import predict_with_flip
from keras_asm.shape_models import ActiveShapeModel
from keras_asm.synthetic import synthetic_faces

PIL = pytest.importorskip("PIL.Image")
SCHEME = LandmarkScheme("blobs", 3)
SIZE = 64


def info(**kwargs):
    return LandmarkModelInfo(SCHEME, SIZE, **{"pose_output": None, **kwargs})


def picture(centers, height, width, sigma=6.0):
    """uint8 `(height, width, 3)`: a red, a green and a blue Gaussian, at `(x, y)` in pixels."""
    y, x = np.indices((height, width))
    blobs = [
        np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
        for cx, cy in np.asarray(centers).reshape(3, 2)
    ]
    return np.rint(255 * np.stack(blobs, axis=-1)).astype(np.uint8)


def box_around(centers, extra=20.0):
    points = np.asarray(centers).reshape(-1, 2)
    return np.concatenate([points.min(axis=0) - extra, points.max(axis=0) + extra])


class BlobModel:
    """The centre of mass of each channel, normalised to the crop; keeps the shapes that it has seen."""

    def __init__(self, shift=0.0):
        self.shapes = []
        self.shift = shift

    def __call__(self, images):
        self.shapes.append(images.shape)
        assert images.dtype == np.float32
        at = (np.arange(images.shape[1]) + 0.5) / images.shape[1] - 0.5
        mass = images.sum(axis=(1, 2)) + 1e-9
        x = np.einsum("nhwc,w->nc", images.astype(np.float64), at) / mass
        y = np.einsum("nhwc,h->nc", images.astype(np.float64), at) / mass
        return np.stack([x + self.shift, y], axis=-1).reshape(len(images), -1)


CENTERS = np.array([[60.0, 50.0], [95.5, 57.25], [72.0, 90.0]])
PICTURE = picture(CENTERS, 140, 180)
BOX = box_around(CENTERS)
# Blobs of 6 pixels are cut off 3.3 sigmas from their centres, and pixels are rounded.
CLOSE = {"rtol": 0, "atol": 0.06}


def blobs(**kwargs):
    settings = {"fill_mode": "constant"} | kwargs.pop("info", {})
    return LandmarkPredictor(BlobModel(), info=info(**settings), **kwargs)


def net(**kwargs):
    """A small network with a pose whose outputs depend on what it sees."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(inputs))
    outputs = {
        "landmarks": keras.layers.Dense(136, kernel_initializer=keras.initializers.RandomNormal(stddev=2e-4))(
            x
        ),
        "pose": keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3))(x),
    }
    return keras.Model(inputs, outputs), LandmarkModelInfo("300w", 16, **kwargs)


class SpreadModel(BlobModel):
    """Says, as how far a centre may be off, how far the blob spreads: its standard deviation."""

    def __call__(self, images):
        points = super().__call__(images).reshape(len(images), 3, 2)
        at = (np.arange(images.shape[1]) + 0.5) / images.shape[1] - 0.5
        mass = images.sum(axis=(1, 2)) + 1e-9
        x, y = (
            np.einsum(f"nhwc,{axis}nc->nc", images, (at[:, None, None] - points[..., i]) ** 2) / mass
            for i, axis in enumerate("wh")
        )
        log_scale = np.log((x + y) / 2) / 2
        flat = points.reshape(len(images), 6)
        return {"landmarks": flat, "sure": np.concatenate([flat, log_scale], axis=1)}


def spreads(**kwargs):
    settings = {"fill_mode": "constant", "uncertainty_output": "sure"} | kwargs.pop("info", {})
    return LandmarkPredictor(SpreadModel(), info=info(**settings), **kwargs)


class TestScales:
    @pytest.mark.parametrize("scale", [1, 2])
    @pytest.mark.parametrize("quarters", [0, 1])
    @pytest.mark.parametrize("settings", [{}, {"flip_test": True}])
    def test_are_pixels_of_the_picture(self, scale, quarters, settings):
        """The spread of a blob, 6 pixels, and as many more as the picture is larger."""
        sigmas, centers = np.array([4.0, 6.0, 8.0]), CENTERS * scale
        image = np.stack(
            [
                picture(centers, 140 * scale, 180 * scale, sigma * scale)[..., i]
                for i, sigma in enumerate(sigmas)
            ],
            axis=-1,
        )
        box = box_around(centers, 20.0 * scale)
        for _ in range(quarters):
            corners = np.stack([box[[1, 3]], image.shape[1] - 1 - box[[2, 0]]], axis=1)
            box, image = corners.ravel(), np.ascontiguousarray(np.rot90(image))
        (face,) = spreads(**settings)(image, [box])
        np.testing.assert_allclose(face.landmark_scales, scale * sigmas, rtol=0.04)
        (face,) = spreads(info={"scale_factor": [1.0, 2.0, 0.5]}, **settings)(image, [box])
        np.testing.assert_allclose(face.landmark_scales, scale * sigmas * [1.0, 2.0, 0.5], rtol=0.04)

    def test_none_unless_the_description_names_the_output(self):
        (face,) = spreads(info={"uncertainty_output": None})(PICTURE, [BOX])
        assert face.landmark_scales is None

    def test_of_a_network_and_its_flip(self, rng, tmp_path):
        network = ASMNet((32, 32, 3), width_multiplier=0.35, include_uncertainty=True)
        kernel, bias = network.get_layer("log_scale").get_weights()
        network.get_layer("log_scale").set_weights([kernel, rng.normal(-3, 0.5, bias.shape)])
        described = LandmarkModelInfo("300w", 32, uncertainty_output="uncertain_landmarks", scale_factor=1.5)
        LandmarkPredictor(network, info=described).save(tmp_path / "net.keras")
        crop = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        predictor = LandmarkPredictor(tmp_path / "net.keras", flip_test=True)
        (face,) = predictor(crop, boxes="image")
        expected = split_log_scale(predict_with_flip(network, crop[None], "300w")["uncertain_landmarks"])[1]
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(face.landmark_scales, 1.5 * 32 * np.exp(expected[0]), rtol=1e-4)

    def test_in_the_table(self, tmp_path):
        pictures, boxes = [PICTURE, PICTURE[:, ::-1]], [[BOX], []]
        found = spreads()(pictures, boxes, table=tmp_path / "t.csv")
        again = read_table(tmp_path / "t.csv", SCHEME)
        np.testing.assert_array_equal(again[0][0].landmark_scales, found[0][0].landmark_scales)
        assert again[1] == []
        assert (tmp_path / "t.csv").read_text().splitlines()[0].endswith("y2,scale0,scale1,scale2,error")

        seen = []

        def broken(image):
            if seen:
                raise KeyboardInterrupt
            seen.append(image)
            return [BOX]

        with pytest.raises(KeyboardInterrupt):
            spreads(detector=broken, batch_size=1)(pictures, table=tmp_path / "u.csv")
        assert (tmp_path / "u.csv.part").exists()

        def whole(image):
            return [BOX]

        whole.__name__ = "broken"
        spreads(detector=whole, batch_size=1)(pictures, table=tmp_path / "u.csv")
        resumed = read_table(tmp_path / "u.csv", SCHEME)
        np.testing.assert_array_equal(resumed[0][0].landmark_scales, found[0][0].landmark_scales)
        assert resumed[1][0].landmark_scales.shape == (3,)

    def test_outputs_that_do_not_fit(self):
        def network(sure):
            def outputs(images):
                return {"landmarks": np.zeros((len(images), 6)), "sure": np.full((len(images), sure), 0.5)}

            return LandmarkPredictor(outputs, info=info(uncertainty_output="sure"))

        (face,) = network(3)(PICTURE, [BOX])  # log scales alone
        side = CropTransform.from_boxes(BOX[None], SIZE, 0.25).side[0]
        np.testing.assert_allclose(face.landmark_scales, np.exp(0.5) * side)
        with pytest.raises(ValueError, match=r"\(1, 9\), or log scales, \(1, 3\). Received: shape \(1, 6\)"):
            network(6)(PICTURE, [BOX])
        with pytest.raises(ValueError, match="have uncertainty_output=None. Received: ndarray"):
            blobs(info={"uncertainty_output": "sure"})(PICTURE, [BOX])
        with pytest.raises(ValueError, match="names an output 'unsure'. Received: .*'sure'"):
            spreads(info={"uncertainty_output": "unsure"})(PICTURE, [BOX])


class TestFrameOfReference:
    def test_landmarks_are_source_pixels(self):
        (face,) = blobs()(PICTURE, [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)
        np.testing.assert_array_equal(face.box, BOX)
        assert face.pose is None
        assert face.confidence is None

    @given(
        st.integers(0, 3),
        st.floats(0.6, 3.0),
        st.tuples(*[st.integers(0, 40)] * 4),
        st.floats(-8, 8),
        st.booleans(),
    )
    def test_moves_with_the_picture(self, quarters, scale, pad, shift, flip):
        """A picture that is turned, scaled, padded and mirrored has its landmarks moved likewise."""
        centers, image = CENTERS + shift, picture(CENTERS + shift, 140, 180)
        points = np.concatenate([centers, box_around(centers).reshape(2, 2)])
        if flip:
            image = image[:, ::-1]
            points[:, 0] = image.shape[1] - 1 - points[:, 0]
        for _ in range(quarters):  # counter-clockwise: what was right is now at the top
            points = np.stack([points[:, 1], image.shape[1] - 1 - points[:, 0]], axis=1)
            image = np.rot90(image)
        size = [round(n * scale) for n in image.shape[1::-1]]
        points = (points + 0.5) * (np.array(size) / image.shape[1::-1]) - 0.5
        image = np.asarray(PIL.fromarray(np.ascontiguousarray(image)).resize(size, PIL.Resampling.BILINEAR))
        image = np.pad(image, (pad[:2], pad[2:], (0, 0)))
        points = points + np.array([pad[2], pad[0]])
        corners = np.concatenate([points[3:].min(axis=0), points[3:].max(axis=0)])
        (face,) = blobs()(image, [corners])
        np.testing.assert_allclose(face.landmarks, points[:3], rtol=0, atol=0.08 * max(1, scale))

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["png", "tif"])
    def test_pictures_are_taken_upright(self, tmp_path, orientation, suffix):
        # The inverse of what a viewer does with the tag
        stored = PICTURE
        if orientation in (3, 4, 7, 8):
            stored = stored[::-1]
        if orientation in (2, 3, 6, 7):
            stored = stored[:, ::-1]
        if orientation >= 5:
            stored = stored.swapaxes(0, 1)
        exif = PIL.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"photo.{suffix}"
        PIL.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
        (face,) = blobs()(path, [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)
        with PIL.open(path) as image:
            (face,) = blobs()(image, [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)
        if orientation == 1:
            (face,) = blobs(exif="ignore")(path, [BOX])
            np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)

    def test_stored_pixels_on_request(self, tmp_path):
        exif = PIL.Exif()
        exif[0x0112] = 6
        PIL.fromarray(PICTURE).save(tmp_path / "photo.png", exif=exif)
        (face,) = blobs(exif="ignore")(tmp_path / "photo.png", [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)

    @pytest.mark.parametrize("margin", [0.0, 0.25, 0.5])
    def test_a_picture_that_is_a_crop(self, margin):
        predictor = blobs(info={"crop_margin": margin})
        (face,) = predictor(PICTURE, "image")
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)
        # The crop is the square around the picture, and the box is what has it as its crop.
        crop = CropTransform.from_boxes(face.box[None], SIZE, margin)
        np.testing.assert_allclose(crop.center, [[89.5, 69.5]])
        np.testing.assert_allclose(crop.side, [180])

    def test_crops_are_those_of_training(self):
        """The network sees what `crop_image` cuts out by the description's margin and filling."""
        seen = []

        def model(images):
            seen.append(images.copy())
            return np.zeros((len(images), 6))

        box = np.array([150.0, 100.0, 200.0, 150.0])
        LandmarkPredictor(model, info=info(crop_margin=0.4))(PICTURE, [box])
        crop = CropTransform.from_boxes(box[None], SIZE, 0.4)
        expected = crop_image(PICTURE, crop.center[0], crop.side[0], SIZE)
        np.testing.assert_array_equal(seen[0][0], expected)

    def test_value_range(self):
        ranges = []

        def model(images):
            ranges.append((float(images.min()), float(images.max())))
            return np.zeros((len(images), 6))

        image = np.zeros((64, 64, 3), np.uint8)
        image[20:40] = 255
        LandmarkPredictor(model, info=info(value_range=(-1, 1)))(image, "image")
        assert ranges == [(-1.0, 1.0)]


class TestManyAtOnce:
    def test_detector(self):
        second = BOX + 30
        image = picture(CENTERS, 200, 240)
        found = blobs(detector=lambda _: np.stack([second, BOX]))(image)
        assert len(found) == 2
        np.testing.assert_array_equal(found[0].box, second)
        np.testing.assert_allclose(found[1].landmarks, CENTERS, **CLOSE)

    def test_no_face(self):
        for nothing in ([], np.empty((0, 4)), np.empty(0), ()):
            assert blobs(detector=lambda _, nothing=nothing: nothing)(PICTURE) == []
            assert blobs()(PICTURE, nothing) == []

    def test_list_folder_and_array(self, tmp_path):
        shifts = [0.0, 5.0, -4.0]
        pictures = [picture(CENTERS + s, 140, 180) for s in shifts]
        boxes = [[box_around(CENTERS + s)] for s in shifts]
        (tmp_path / "inner").mkdir()
        for name, image in zip(("b.png", "inner/a.PNG", "c.bmp"), pictures, strict=True):
            PIL.fromarray(image).save(tmp_path / name)
        (tmp_path / "notes.txt").write_text("not a picture")
        (tmp_path / ".hidden.png").write_text("nor this")
        for source, order in ((pictures, (0, 1, 2)), (np.stack(pictures), (0, 1, 2)), (tmp_path, (0, 2, 1))):
            found = blobs()(source, [boxes[i] for i in order], verbose=0)
            assert len(found) == 3
            for i, (face,) in zip(order, found, strict=True):
                np.testing.assert_allclose(face.landmarks, CENTERS + shifts[i], **CLOSE)
        assert [p.rsplit("/", 1)[-1] for p in found.pictures] == ["b.png", "c.bmp", "a.PNG"]

    def test_boxes_or_detector_by_picture(self):
        found = blobs(detector=lambda _: [BOX])([PICTURE] * 3, [None, [], [BOX, BOX]])
        assert [len(faces) for faces in found] == [1, 0, 2]

    @pytest.mark.parametrize("n", [1, 2, 8, 9, 32, 33, 70])
    def test_batches_have_few_shapes_and_change_nothing(self, n):
        predictor = blobs()
        shifts = np.linspace(-5, 5, n)
        found = predictor(
            [picture(CENTERS + s, 140, 180) for s in shifts], [[box_around(CENTERS + s)] for s in shifts]
        )
        assert {shape[0] for shape in predictor.model.shapes} <= {1, 8, 32}
        for shift, (face,) in zip(shifts, found, strict=True):
            np.testing.assert_allclose(face.landmarks, CENTERS + shift, **CLOSE)

    def test_a_crowd_in_one_picture(self):
        predictor = blobs(batch_size=4)
        assert len(predictor(PICTURE, [BOX] * 11)) == 11
        assert [shape[0] for shape in predictor.model.shapes] == [4, 4, 4]

    @pytest.mark.backend
    def test_equals_the_network_itself(self, rng):
        model, described = net()
        crops = rng.integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
        landmarks, pose = LandmarkPredictor(model, info=described).predict_crops(crops)
        expected = model.predict(crops, verbose=0)
        np.testing.assert_allclose(landmarks.reshape(40, 136), expected["landmarks"], atol=1e-5)
        np.testing.assert_allclose(pose, expected["pose"], atol=1e-4)

    def test_is_compiled_once_for_each_size(self, rng):
        """More kinds of batches compile no more."""
        compiled = []

        @keras.saving.register_keras_serializable("test")
        class Counting(keras.layers.Layer):
            def call(self, x):
                compiled.append(x.shape)
                return x

        inputs = keras.Input((SIZE, SIZE, 3))
        outputs = keras.layers.Dense(6, kernel_initializer="zeros")(
            keras.layers.GlobalAveragePooling2D()(Counting()(inputs))
        )
        predictor = LandmarkPredictor(keras.Model(inputs, outputs), info=info())
        for n in (1, 8, 32):
            predictor.predict_crops(np.zeros((n, SIZE, SIZE, 3), np.uint8))
        before = len(compiled)
        for n in (1, 2, 3, 5, 7, 8, 13, 20, 31, 32, 33, 40, 65):
            predictor.predict_crops(rng.integers(0, 255, (n, SIZE, SIZE, 3), dtype=np.uint8))
        if keras.backend.backend() != "torch":  # which compiles nothing
            assert len(compiled) == before


class TestOptions:
    def test_flip_test_is_predict_with_flip(self, rng):
        model, described = net()
        crops = rng.integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
        landmarks, pose = LandmarkPredictor(model, info=described, flip_test=True).predict_crops(crops)
        expected = predict_with_flip(model, crops, "300w")
        np.testing.assert_allclose(landmarks.reshape(5, 136), expected["landmarks"], atol=1e-5)
        np.testing.assert_allclose(pose, expected["pose"], atol=1e-4)

    def test_flip_test_cancels_a_bias(self):
        biased = LandmarkPredictor(BlobModel(shift=0.1), info=info(fill_mode="constant"))
        side = CropTransform.from_boxes(BOX[None], SIZE, 0.25).side[0]
        (face,) = biased(PICTURE, [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS + np.array([0.1 * side, 0]), **CLOSE)
        biased.flip_test = True
        (face,) = biased(PICTURE, [BOX])
        np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)

    @pytest.mark.parametrize("held", [1, 2**28])
    def test_refine_is_a_second_call_with_the_landmarks_boxes(self, monkeypatch, held):
        """Whatever else is in the pictures, how many fit a batch, and when they are let go of."""
        monkeypatch.setattr("keras_asm.inference.predictor._MOST_HELD", held)
        pictures = [PICTURE, np.zeros((40, 40, 3), np.uint8), picture(CENTERS + 9, 160, 190), PICTURE]
        boxes = [[BOX, BOX + 12], [], [BOX], [BOX - 15]]

        def predict(boxes, **settings):
            biased = BlobModel(
                shift=0.1
            )  # of the side of the crop, so that what is found depends on the crop
            return LandmarkPredictor(biased, info=info(), batch_size=2, **settings)(
                pictures, boxes, verbose=0
            )

        once = predict(boxes)
        found = [
            [np.concatenate([f.landmarks.min(axis=0), f.landmarks.max(axis=0)]) for f in p] for p in once
        ]
        twice, refined = predict(found), predict(boxes, refine=1)
        assert [len(faces) for faces in refined] == [2, 0, 1, 1]
        flat = (itertools.chain.from_iterable(part) for part in (boxes, twice, refined, once))
        for box, again, face, before in zip(*flat, strict=True):
            np.testing.assert_allclose(face.landmarks, again.landmarks, atol=1e-9)
            assert np.abs(face.landmarks - before.landmarks).max() > 1
            np.testing.assert_array_equal(face.box, box)

    def test_project_and_confidence(self):
        faces = synthetic_faces(60, image_size=16)
        asm = ActiveShapeModel(n_components=10, align="procrustes").fit(faces.landmarks)
        calibration = ConfidenceCalibration(3.0, -40.0)
        described = LandmarkModelInfo("300w", 16, pose_output=None, shape_model=asm, calibration=calibration)
        spoiled = faces.landmarks[:2].copy()
        spoiled[1, 30] += 0.4  # the tip of the nose

        def model(images):
            return spoiled[: len(images)].reshape(len(images), 136)

        image = np.zeros((32, 32, 3), np.uint8)
        box = [[8.0, 8.0, 24.0, 24.0]]
        plain = LandmarkPredictor(model, info=described, batch_size=2)(image, box * 2)
        crop = CropTransform.from_boxes(box * 2, 16, 0.25)
        expected = calibration.probability(shape_distance(spoiled, asm))
        np.testing.assert_allclose([face.confidence for face in plain], expected)
        assert plain[0].confidence > plain[1].confidence
        put_back = LandmarkPredictor(model, info=described, batch_size=2, project=True)(image, box * 2)
        np.testing.assert_allclose([face.confidence for face in put_back], expected)
        np.testing.assert_allclose(
            np.stack([face.landmarks for face in put_back]), crop.undo(asm.project(spoiled)), atol=1e-9
        )

    def test_project_needs_a_shape_model(self):
        with pytest.raises(ValueError, match="project=True needs a description with a shape model"):
            blobs(project=True)


class TestBadInput:
    """Each kind of picture is read as documented, or refused."""

    @pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16", "float32", "unit float", "bool"])
    @pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
    def test_arrays(self, dtype, channels):
        # On grey pictures, all three landmarks find the one blob.
        grey = channels in (None, 1, 2)
        one = picture([CENTERS[0]] * 3, 140, 180) if grey else PICTURE
        if dtype == "bool":
            one = one > 127
        elif dtype == "uint16":
            one = one.astype(np.uint16) * 257
        else:
            one = one.astype("float64" if dtype == "unit float" else dtype) / (
                255 if dtype == "unit float" else 1
            )
        image = (
            one[..., 0] if channels is None else np.concatenate([one, one[..., :1]], axis=-1)[..., :channels]
        )
        if channels == 2:
            image[..., 1] = 0  # alpha, which is dropped
        (face,) = blobs()(image, [BOX])
        expected = np.repeat(CENTERS[:1], 3, axis=0) if grey else CENTERS
        np.testing.assert_allclose(face.landmarks, expected, rtol=0, atol=0.5 if dtype == "bool" else 0.06)

    @pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "I;16", "F", "1", "LA"])
    def test_modes_of_files(self, tmp_path, mode):
        one = picture([CENTERS[0]] * 3, 140, 180)
        image = PIL.fromarray(one)
        if mode == "I;16":
            image = PIL.fromarray(one[..., 0].astype(np.uint16) * 257)
        elif mode == "F":
            image = PIL.fromarray(one[..., 0].astype(np.float32) / 255)
        else:
            image = image.convert(mode)
        path = tmp_path / ("photo.tif" if mode in ("F", "CMYK", "I;16") else "photo.png")
        image.save(path)
        for source in (path, image):
            (face,) = blobs()(source, [BOX])
            # A dithered black-and-white or palette picture has its centre of mass nearby.
            np.testing.assert_allclose(
                face.landmarks, np.repeat(CENTERS[:1], 3, axis=0), rtol=0, atol=0.6 if mode in "1P" else 0.1
            )

    def test_the_first_frame_of_an_animation(self, tmp_path):
        frames = [PIL.fromarray(picture(CENTERS + s, 140, 180)) for s in (0, 20)]
        for suffix in ("png", "webp", "tif"):
            path = tmp_path / f"moving.{suffix}"
            frames[0].save(
                path,
                save_all=True,
                append_images=frames[1:],
                **({"lossless": True} if suffix == "webp" else {}),
            )
            (face,) = blobs()(path, [BOX])
            np.testing.assert_allclose(face.landmarks, CENTERS, **CLOSE)

    def test_tiny_and_huge_faces(self):
        tiny = picture(CENTERS / 20, 20, 20, sigma=0.6)
        (face,) = blobs()(tiny, [box_around(CENTERS / 20, 1.5)])
        np.testing.assert_allclose(face.landmarks, CENTERS / 20, rtol=0, atol=0.1)
        (face,) = blobs()(PICTURE, [[-400.0, -400.0, 580.0, 540.0]])  # 5 times as large as the picture
        np.testing.assert_allclose(face.landmarks, CENTERS, rtol=0, atol=1.0)

    def test_a_box_that_reaches_beyond_the_picture(self):
        image, moved = PICTURE[45:, 55:], CENTERS - [55, 45]
        (face,) = LandmarkPredictor(BlobModel(), info=info(fill_mode="constant"))(image, [box_around(moved)])
        # What lies outside is black, so blobs are cut; the green one, well inside, is not.
        np.testing.assert_allclose(face.landmarks[1, 0], moved[1, 0], rtol=0, atol=0.1)

    @pytest.mark.parametrize(
        "box",
        [
            [200.0, 10.0, 240.0, 50.0],
            [-50.0, 10.0, -0.5, 50.0],
            [10.0, 10.0, 10.0, 50.0],
            [50.0, 10.0, 20.0, 50.0],
            [np.nan, 10.0, 20.0, 50.0],
        ],
    )
    def test_boxes_without_a_face(self, box):
        with pytest.raises(ValueError, match=r"boxes must be .*180 x 140 pixels\. Received: \["):
            blobs()(PICTURE, [BOX, box])
        with pytest.raises(ValueError, match=r"A detector's boxes must be .*Received: \[.*two\.png"):
            blobs(detector=lambda _: [box])(self._file("two.png"))

    @pytest.mark.parametrize(
        "boxes", [[1.0, 2.0, 3.0, 4.0], [[1.0, 2.0, 3.0]], 5, "all", [["a", "b", "c", "d"]], {}]
    )
    def test_boxes_of_another_form(self, boxes):
        with pytest.raises(ValueError, match="Received"):
            blobs()(PICTURE, boxes)

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.folder = tmp_path

    def _file(self, name):
        PIL.fromarray(PICTURE).save(self.folder / name)
        return self.folder / name

    def test_number_of_boxes(self):
        with pytest.raises(ValueError, match=r"boxes for each of 2 pictures.*Received: 1"):
            blobs()([PICTURE, PICTURE], [[BOX]])

    def test_files_that_cannot_be_read(self, tmp_path):
        good = self._file("good.png")
        whole = good.read_bytes()
        (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "empty.jpg").touch()
        (tmp_path / "text.jpg").write_text("hello")
        for name, match in (
            ("cut.png", "cannot be read"),
            ("empty.jpg", "cannot be read"),
            ("text.jpg", "cannot be read"),
            ("none.jpg", "there is no such image"),
        ):
            with pytest.raises(DatasetError, match=f"{name}: .*{match}"):
                blobs()(tmp_path / name, [BOX])
        with pytest.warns(UserWarning, match="3 of 4 pictures cannot be read"):
            found = blobs(detector=lambda _: [BOX])(tmp_path, verbose=0)
        assert [len(faces) for faces in found] == [0, 0, 1, 0]
        assert sorted(found.unreadable) == [str(tmp_path / n) for n in ("cut.png", "empty.jpg", "text.jpg")]
        assert str(found) == "1 faces in 4 pictures, 3 could not be read"

    def test_an_open_image_that_is_cut_off(self):
        whole = io.BytesIO()
        PIL.fromarray(PICTURE).save(whole, "png")
        with pytest.raises(DatasetError, match="cannot be read"):
            blobs()(PIL.open(io.BytesIO(whole.getvalue()[:2000])), [BOX])

    def test_empty_folder(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(DatasetError, match=r"expected a folder with pictures .*Received: none"):
            blobs()(tmp_path)

    def test_empty_list(self):
        assert len(blobs()([])) == 0

    @pytest.mark.parametrize(
        ("image", "match"),
        [
            (np.zeros((5, 5, 7)), "shape"),
            (np.zeros(5), "shape"),
            (np.zeros((0, 5, 3)), "shape"),
            (np.full((5, 5), -1.0), "from -1"),
            (np.full((5, 5), np.nan), "from nan"),
            (np.full((5, 5), 4000), "from 4000"),
            (np.full((5, 5), "a"), "numbers"),
            (object(), "object"),
        ],
    )
    def test_what_is_no_picture(self, image, match):
        with pytest.raises(ValueError, match=f"(?s)image.*Received.*{match}|{match}.*Received"):
            blobs()(image, "image")


class TestModelsThatDoNotFit:
    def test_without_a_description(self, tmp_path):
        model, _ = net()
        with pytest.raises(ValueError, match=r"pass info=LandmarkModelInfo"):
            LandmarkPredictor(model)
        model.save(tmp_path / "net.keras")
        with pytest.raises(DatasetError, match=r"net\.keras: .*Pass info=LandmarkModelInfo"):
            LandmarkPredictor(tmp_path / "net.keras")
        with pytest.raises(FileNotFoundError, match="no such model"):
            LandmarkPredictor(tmp_path / "other.keras")

    def test_other_sizes(self):
        model, _ = net()
        with pytest.raises(ValueError, match=r"32 x 32 pixels\. Received: .*16, 16, 3"):
            LandmarkPredictor(model, info=LandmarkModelInfo("300w", 32))
        with pytest.raises(ValueError, match=r"output of 98 landmarks.*Received: .*136"):
            LandmarkPredictor(model, info=LandmarkModelInfo("wflw", 16))

    @pytest.mark.parametrize(
        ("output", "match"),
        [
            (np.zeros((1, 8)), r"has 3 landmarks.*\(1, 8\)"),
            (np.zeros((2, 6)), "for 1 crops"),
            (np.full((1, 6), np.nan), "finite"),
            (np.full((1, 6), 40.0), "may be pixels"),
            ({"points": np.zeros((1, 6))}, "output 'landmarks'.*points"),
            ({"landmarks": np.zeros((1, 6)), "pose": np.full((1, 3), np.inf)}, "finite"),
            ({"landmarks": np.zeros((1, 6)), "pose": np.zeros((1, 2))}, r"poses \(1, 3\).*\(1, 2\)"),
            ({"landmarks": np.zeros((1, 6))}, "output 'pose'"),
        ],
    )
    def test_outputs(self, output, match):
        described = info(pose_output="pose" if isinstance(output, dict) else None)
        with pytest.raises(ValueError, match=match):
            LandmarkPredictor(lambda images: output, info=described)(PICTURE, [BOX])

    def test_a_pose_that_is_not_there(self):
        with pytest.raises(ValueError, match="pose_output=None"):
            LandmarkPredictor(lambda images: np.zeros((1, 6)), info=info(pose_output="pose"))(PICTURE, [BOX])

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"model": 5}, "a path, a Keras model or a function"),
            ({"info": "300w"}, "must be a LandmarkModelInfo"),
            ({"detector": 5}, "callable or a name"),
            ({"detector": "haar"}, "detectors are yunet"),
            ({"batch_size": 0}, "batch_size"),
            ({"refine": -1}, "refine must be a whole number"),
            ({"exif": "turn"}, "exif"),
        ],
    )
    def test_settings(self, kwargs, match):
        with pytest.raises(ValueError, match=match):
            LandmarkPredictor(**({"model": BlobModel(), "info": info()} | kwargs))


class TestFiles:
    @pytest.mark.backend
    def test_save_and_load(self, tmp_path, rng):
        asm = ActiveShapeModel(n_components=5, align="procrustes").fit(
            synthetic_faces(20, image_size=16).landmarks
        )
        model, described = net(shape_model=asm, crop_margin=0.3, calibration=ConfidenceCalibration(1.0, -2.0))
        predictor = LandmarkPredictor(model, info=described)
        predictor.save(tmp_path / "deep" / "net.keras")
        assert [p.name for p in (tmp_path / "deep").iterdir()] == ["net.keras"]
        (tmp_path / "deep" / "net.keras").rename(tmp_path / "moved.keras")
        again = LandmarkPredictor(tmp_path / "moved.keras")
        assert again.info.get_config() == described.get_config()
        image = rng.integers(0, 256, (60, 60, 3), dtype=np.uint8)
        (one,), (two,) = predictor(image, "image"), again(image, "image")
        np.testing.assert_array_equal(one.landmarks, two.landmarks)
        np.testing.assert_array_equal(one.pose, two.pose)
        assert one.confidence == two.confidence
        assert keras.models.load_model(tmp_path / "moved.keras").count_params() == model.count_params()

    def test_only_keras_models_are_saved(self, tmp_path):
        with pytest.raises(ValueError, match=r"write_model_info writes the description"):
            blobs().save(tmp_path / "net.keras")
        model, described = net()
        with pytest.raises(ValueError, match=r"ends in \.keras"):
            LandmarkPredictor(model, info=described).save(tmp_path / "net.onnx")

    def test_info_goes_before_the_file(self, tmp_path):
        model, described = net()
        model.save(tmp_path / "net.keras")
        write_model_info(tmp_path / "net.keras", described)
        other = LandmarkModelInfo("300w", 16, crop_margin=0.1)
        assert LandmarkPredictor(tmp_path / "net.keras", info=other).info.crop_margin == 0.1


class TestTable:
    """Results on disk, and going on after an interruption."""

    def pictures(self, folder, n=10):
        folder.mkdir()
        for i in range(n):
            PIL.fromarray(picture(CENTERS + i, 140, 180)).save(folder / f"{i}.png")
        return folder

    def test_equals_the_result(self, tmp_path):
        folder = self.pictures(tmp_path / "photos")
        found = blobs(detector=lambda _: [BOX, BOX + 1])(folder, table=tmp_path / "t.csv", verbose=0)
        table = read_table(tmp_path / "t.csv", SCHEME)
        assert table.pictures == found.pictures
        for one, two in zip(found, table, strict=True):
            assert len(one) == len(two) == 2
            np.testing.assert_array_equal(one[1].landmarks, two[1].landmarks)
            np.testing.assert_array_equal(one[1].box, two[1].box)
        assert not list(tmp_path.glob("*.part"))

    @pytest.mark.parametrize(("cut", "again"), [(0, 3), (1, 3), (40, 4), (700, 5)])
    def test_goes_on(self, tmp_path, cut, again):
        folder = self.pictures(tmp_path / "photos")
        (folder / "3.png").write_bytes(b"broken")
        table = tmp_path / "t.csv"
        seen = []

        def detector(image, stop=99):
            seen.append(1)
            if len(seen) > stop:
                raise KeyboardInterrupt
            return [BOX, BOX + 2]

        with pytest.raises(KeyboardInterrupt):
            blobs(detector=lambda image: detector(image, 6), batch_size=4)(folder, table=table, verbose=0)
        assert not table.exists()
        part = tmp_path / "t.csv.part"
        # As a process leaves it that is killed while it writes
        part.write_bytes(part.read_bytes()[: -cut or None])
        seen.clear()
        with pytest.warns(UserWarning, match="1 of 10 pictures"):
            found = blobs(detector=lambda image: detector(image), batch_size=4)(
                folder, table=table, verbose=0
            )
        assert len(seen) == again
        assert not part.exists()
        with pytest.warns(UserWarning, match="1 of 10 pictures"):
            whole = blobs(detector=lambda image: [BOX, BOX + 2])(folder, verbose=0)
        for results in (found, read_table(table, SCHEME)):
            assert results.pictures == whole.pictures
            assert results.unreadable == whole.unreadable
            for one, two in zip(results, whole, strict=True):
                assert len(one) == len(two)
                for a, b in zip(one, two, strict=True):
                    np.testing.assert_allclose(a.landmarks, b.landmarks, atol=1e-9)

    def test_does_not_mix_settings(self, tmp_path):
        folder = self.pictures(tmp_path / "photos", 3)

        def broken(image):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            blobs(detector=broken)(folder, table=tmp_path / "t.csv", verbose=0)
        with pytest.raises(DatasetError, match=r"t\.csv\.part: .*begun with other.*Received: other settings"):
            blobs(detector=broken, flip_test=True)(folder, table=tmp_path / "t.csv", verbose=0)
        with pytest.raises(DatasetError, match="other settings"):
            blobs(detector=broken, refine=1)(folder, table=tmp_path / "t.csv", verbose=0)
        (tmp_path / "t.csv.part").write_text("something else\n")
        with pytest.raises(DatasetError, match="a file of another kind"):
            blobs(detector=broken)(folder, table=tmp_path / "t.csv", verbose=0)

    def test_for_several_pictures_only(self, tmp_path):
        with pytest.raises(ValueError, match="table is for several pictures"):
            blobs()(PICTURE, [BOX], table=tmp_path / "t.csv")
        path = self.pictures(tmp_path / "photos", 1) / "0.png"
        with pytest.raises(ValueError, match="given once"):
            blobs(detector=lambda _: [])([path, path], table=tmp_path / "t.csv")

    def test_pts_and_coco(self, tmp_path):
        folder = self.pictures(tmp_path / "photos", 3)
        PIL.fromarray(PICTURE).save(folder / "0.jpg")
        predictor = LandmarkPredictor(
            lambda images: {
                "landmarks": np.full((len(images), 3, 2), 0.1),
                "pose": np.ones((len(images), 3)),
            },
            lambda image: [BOX, BOX + 1] if image[50, 60, 0] == 255 else [BOX],
            info=info(pose_output="pose"),
        )
        found = predictor(folder, verbose=0)
        dataset = found.to_dataset()
        assert len(dataset) == found.n_faces == 5
        write_pts_folder(tmp_path / "pts", dataset)
        read = load_pts_folder(tmp_path / "pts", SCHEME)
        np.testing.assert_allclose(
            read.landmarks[read.names.index("2")],
            found[found.pictures.index(str(folder / "2.png"))][0].landmarks,
            atol=1e-6,
        )
        write_coco(tmp_path / "faces.json", dataset)
        coco = load_coco(tmp_path / "faces.json", SCHEME)
        np.testing.assert_array_equal(coco.landmarks, dataset.landmarks)
        np.testing.assert_allclose(coco.boxes, dataset.boxes)
        np.testing.assert_array_equal(coco.pose, dataset.pose)
        json.loads((tmp_path / "faces.json").read_text())

    def test_progress_bar(self, tmp_path, capsys):
        folder = self.pictures(tmp_path / "photos", 3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            blobs(detector=lambda _: [])(folder)
        assert "3/3" in capsys.readouterr().out
        blobs(detector=lambda _: [])([PICTURE] * 3)
        assert capsys.readouterr().out == ""
