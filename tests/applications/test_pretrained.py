"""Trained weights that come with the package."""

import json

import keras
import numpy as np
import pytest

from keras_asm.applications import (
    PRETRAINED,
    ASMNet,
    MobileNetV2Landmarks,
    pretrained,
    pretrained_file,
)
from keras_asm.datasets import load_300w
from keras_asm.faces import crop_faces
from keras_asm.inference import LandmarkPredictor, read_model_info
from keras_asm.layers import ShapeDecoder
from keras_asm.metrics import normalized_mean_error
from keras_asm.model_tools import fold_shape_decoder
from keras_asm.synthetic import synthetic_faces

NAME = "asmnet-drawn"


@pytest.fixture(scope="module")
def faces():
    return synthetic_faces(8, seed=7, image_size=96)


@pytest.fixture(scope="module")
def trained():
    return keras.models.load_model(pretrained_file(NAME))


class TestFiles:
    def test_names(self):
        assert set(PRETRAINED) == {"asmnet-drawn", "asmnet-photos"}
        assert pretrained_file() == pretrained_file(next(iter(PRETRAINED)))

    @pytest.mark.parametrize("name", ["asmnet-drawn", "asmnet-photos"])
    def test_a_file_is_whole_and_has_a_description_and_figures(self, name):
        info = read_model_info(pretrained_file(name))
        assert info.scheme.name == "300w"
        assert info.calibration is not None
        assert ("research only" in info.notice) == (name == "asmnet-photos")
        figures = json.loads(pretrained_file(name).with_suffix(".json").read_text(encoding="utf-8"))
        assert figures["sha256"] == PRETRAINED[name]

    def test_a_changed_file_is_refused(self, tmp_path, monkeypatch):
        changed = bytearray(pretrained_file(NAME).read_bytes())
        changed[len(changed) // 2] ^= 1
        (tmp_path / f"{NAME}.keras").write_bytes(changed)
        monkeypatch.setattr(pretrained, "_FOLDER", tmp_path)
        with pytest.raises(ValueError, match=r"of SHA-256 \w{64}\. Received: \w{64}"):
            pretrained_file(NAME)
        with pytest.raises(FileNotFoundError, match=r"not whole.*asmnet-photos\.keras"):
            pretrained_file("asmnet-photos")

    def test_an_unknown_name(self):
        with pytest.raises(ValueError, match="'asmnet-drawn'.* Received: 'asmnet'"):
            pretrained_file("asmnet")


@pytest.mark.backend
def test_finds_landmarks_of_drawn_faces(faces):
    landmarks, pose = LandmarkPredictor(NAME).predict_crops(faces.images)
    assert np.median(normalized_mean_error(faces.landmarks, landmarks, "300w")) < 0.07
    assert np.median(np.abs(pose - faces.pose)) < 5


class TestASMNet:
    @pytest.mark.backend
    def test_is_the_network_of_the_file(self, faces, trained):
        model = ASMNet((96, 96, 3), weights=NAME)
        expected = trained.predict(faces.images, verbose=0)
        for name, values in model.predict(faces.images, verbose=0).items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-5, atol=1e-5)

    def test_with_a_decoder(self, faces, trained):
        decoder = ShapeDecoder.from_landmarks(faces.landmarks)
        model = ASMNet((96, 96, 3), weights=NAME, shape_decoder=decoder)
        expected = trained.predict(faces.images, verbose=0)
        for network in (model, fold_shape_decoder(model)):
            for name, values in network.predict(faces.images, verbose=0).items():
                np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("decoder", [False, True])
    @pytest.mark.parametrize("pose", [False, True])
    def test_another_number_of_landmarks(self, faces, trained, decoder, pose):
        decoder = ShapeDecoder.from_landmarks(faces.landmarks[:, :21]) if decoder else None
        model = ASMNet((64, 64, 3), 21, include_pose=pose, weights=NAME, shape_decoder=decoder)
        assert model.output["landmarks"].shape == (None, 42)
        own = {"landmarks", "landmark_coefficients"}
        layers = [layer for layer in model.layers if layer.weights and layer.name not in own]
        assert any(layer.name == "pose" for layer in layers) == pose
        for layer in layers:
            for value, other in zip(
                layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(value, other)

    def test_another_network(self):
        with pytest.raises(ValueError, match=r"width_multiplier of 1\. Received: asmnet .*0\.5"):
            ASMNet((96, 96, 3), width_multiplier=0.5, weights=NAME)
        with pytest.raises(ValueError, match="are of ASMNet.* Received: mobilenet_v2_landmarks"):
            MobileNetV2Landmarks((96, 96, 3), weights=NAME)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["asmnet-drawn", "asmnet-photos"])
def test_the_error_that_the_model_card_says(data_root, name):
    predictor = LandmarkPredictor(name)
    faces = crop_faces(
        load_300w(data_root / "300w", "common", allow_partial=True), predictor.info.image_size, verbose=0
    )
    landmarks, _ = predictor.predict_crops(faces.images)
    figures = json.loads(pretrained_file(name).with_suffix(".json").read_text(encoding="utf-8"))
    (said,) = (row["nme"] for row in figures["landmarks"] if row["subset"] == "common")
    measured = 100 * normalized_mean_error(faces.landmarks, landmarks, "300w").mean()
    assert measured == pytest.approx(said, abs=0.01)


def test_terms_are_said_once(caplog, tmp_path):
    from keras_asm.inference import predictor

    predictor._say_terms.cache_clear()
    with caplog.at_level("WARNING", logger="keras_asm"):
        LandmarkPredictor("asmnet-photos")
        LandmarkPredictor("asmnet-photos")
        LandmarkPredictor("asmnet-drawn")
    assert [record.getMessage() for record in caplog.records] == [
        read_model_info(pretrained_file("asmnet-photos")).notice
    ]
