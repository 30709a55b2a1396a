import json
import zipfile

import keras
import numpy as np
import pytest

from keras_asm.datasets import DatasetError
from keras_asm.inference import ConfidenceCalibration, LandmarkModelInfo, read_model_info, write_model_info
from keras_asm.landmarks import LandmarkScheme
from keras_asm.shape_models import ActiveShapeModel

TRIANGLE = LandmarkScheme("triangle", 3, flip_pairs=((0, 1),), groups={"base": (0, 1)})
MEMBER = "keras_asm_model_info.json"


def shape_model(n_landmarks=3):
    shapes = np.random.default_rng(0).normal(size=(30, n_landmarks, 2))
    return ActiveShapeModel(n_components=2, align="procrustes").fit(shapes)


def full():
    return LandmarkModelInfo(
        TRIANGLE,
        48,
        crop_margin=0.1,
        value_range=(-1, 1),
        fill_mode="constant",
        landmarks_output="points",
        pose_output=None,
        shape_model=shape_model(),
        calibration=ConfidenceCalibration(2.0, -30.0, 0.1),
        uncertainty_output="sure",
        scale_factor=(0.5, 1.0, 2.0),
        notice="Research use.",
    )


@pytest.fixture
def model_file(tmp_path):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(6)]).save(
        tmp_path / "net.keras"
    )
    return tmp_path / "net.keras"


def test_json_and_back():
    config = json.loads(json.dumps(full().get_config(), allow_nan=False))
    again = LandmarkModelInfo.from_config(config)
    assert again.get_config() == full().get_config()
    assert again.scheme == TRIANGLE
    np.testing.assert_array_equal(again.shape_model.components, shape_model().components_)
    assert again.calibration == ConfidenceCalibration(2.0, -30.0, 0.1)
    assert (again.uncertainty_output, again.scale_factor) == ("sure", (0.5, 1.0, 2.0))
    for later in ("uncertainty_output", "scale_factor"):  # files that were written before these
        del config[later]
    again = LandmarkModelInfo.from_config(config)
    assert (again.uncertainty_output, again.scale_factor) == (None, 1.0)


def test_says_what_the_numbers_mean():
    conventions = full().get_config()["conventions"]
    assert "(pixel + 0.5) / image_size - 0.5" in conventions["coordinates"]
    assert conventions["pose"].startswith("yaw, pitch, roll in degrees")


@pytest.mark.backend
def test_in_a_keras_file(model_file):
    weights = keras.models.load_model(model_file).get_weights()
    with zipfile.ZipFile(model_file) as archive:
        before = {name: archive.read(name) for name in archive.namelist()}
    for margin in (0.2, 0.3):  # a second one takes the place of the first
        assert write_model_info(model_file, LandmarkModelInfo("300w", 8, crop_margin=margin)) == model_file
        assert read_model_info(model_file).crop_margin == margin
    with zipfile.ZipFile(model_file) as archive:
        assert archive.testzip() is None
        after = {name: archive.read(name) for name in archive.namelist()}
    assert set(after) == set(before) | {MEMBER}
    assert all(after[name] == data for name, data in before.items())
    for one, two in zip(weights, keras.models.load_model(model_file).get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [path.name for path in model_file.parent.iterdir()] == ["net.keras"]


def test_beside_other_files(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"onnx")
    (tmp_path / "saved_model").mkdir()
    for name in ("net.onnx", "saved_model"):
        assert write_model_info(tmp_path / name, full()).name == f"{name}.json"
        assert read_model_info(tmp_path / name).get_config() == full().get_config()
    assert read_model_info(tmp_path / "net.onnx.json").image_size == 48
    assert (tmp_path / "net.onnx").read_bytes() == b"onnx"


def test_beside_a_keras_file_that_has_none(model_file):
    model_file.with_name("net.keras.json").write_text(json.dumps(full().get_config()))
    assert read_model_info(model_file).image_size == 48
    write_model_info(model_file, LandmarkModelInfo("300w", 8))
    assert read_model_info(model_file).image_size == 8


def test_none(model_file, tmp_path):
    with pytest.raises(
        DatasetError, match=r"net\.keras: .*Pass info=LandmarkModelInfo\(scheme=.*Received: nothing"
    ):
        read_model_info(model_file)
    for function in (read_model_info, lambda path: write_model_info(path, full())):
        with pytest.raises(FileNotFoundError, match="Received: .*nowhere"):
            function(tmp_path / "nowhere.keras")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"format": "other/1"}, "format 'keras_asm.LandmarkModelInfo/1'. Received: 'other/1'"),
        ({"conventions": {"pose": "radians"}}, "conventions .*Received: {'pose': 'radians'}"),
        ({"conventions": None}, "conventions .*Received: None"),
        ({"scheme": "unknown"}, "landmark scheme"),
        ({"shape_model": {"mean_shape": []}}, "damaged"),
        ({"surplus": 1}, "damaged"),
    ],
)
def test_damaged_files(tmp_path, change, match):
    path = tmp_path / "net.json"
    path.write_text(json.dumps(full().get_config() | change))
    with pytest.raises(DatasetError, match=rf"net\.json: .*{match}"):
        read_model_info(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", "{"])
def test_other_files(tmp_path, text):
    (tmp_path / "net.json").write_text(text)
    with pytest.raises(DatasetError, match=r"net\.json"):
        read_model_info(tmp_path / "net.json")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"image_size": 0}, "image_size"),
        ({"image_size": 4.5}, "image_size"),
        ({"crop_margin": -0.5}, "crop_margin"),
        ({"crop_margin": "0.25"}, "crop_margin"),
        ({"value_range": (1, -1)}, "value_range"),
        ({"value_range": 255}, "value_range"),
        ({"fill_mode": "mirror"}, "fill_mode"),
        ({"shape_model": shape_model(4)}, "3 landmarks.*Received: 4"),
        ({"calibration": ConfidenceCalibration(0.0, -1.0)}, "needs the shape model"),
        ({"scale_factor": 0.0}, "above 0, or 3 of them.*Received: 0.0"),
        ({"scale_factor": [1.0, 2.0]}, "above 0, or 3 of them"),
        ({"scale_factor": [1.0, 2.0, float("nan")]}, "above 0, or 3 of them"),
        ({"scale_factor": "large"}, "Received: 'large'"),
    ],
)
def test_bad_values(change, match):
    with pytest.raises(ValueError, match=match):
        LandmarkModelInfo(**({"scheme": TRIANGLE, "image_size": 8} | change))
