"""Files that earlier releases wrote are read, on each backend, and give the numbers that they gave then.

`tests/fixtures/make.py` made them. Before the first release, the folder `0.1.0` holds those of the development version;
it is made anew once, at that release, and then stays.
"""

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, ASMAssistedLoss
from keras_asm.inference import read_model_info

RELEASES = sorted(path for path in (Path(__file__).parents[1] / "fixtures").iterdir() if path.is_dir())
assert RELEASES


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def folder(request):
    return request.param


@pytest.mark.backend
@pytest.mark.parametrize("trained_on", ["tensorflow", "jax", "torch"])
def test_networks_trained_on_any_backend(folder, trained_on):
    path = folder / f"trained-on-{trained_on}.keras"
    # Compiled, with losses and metrics, but for files of PyTorch elsewhere: Keras 3.15 writes the module of PyTorch's
    # own Adam into the file, which cannot be imported where PyTorch is not installed
    compiled = trained_on != "torch" or keras.config.backend() == "torch"
    model = keras.models.load_model(path, compile=compiled)
    with np.load(folder / f"trained-on-{trained_on}.npz") as then:
        now = model.predict(then["images"].astype("float32"), verbose=0)
        for name in ("landmarks", "smooth"):
            np.testing.assert_allclose(now[name], then[name], rtol=0, atol=1e-5)
        np.testing.assert_allclose(now["pose"], then["pose"], rtol=1e-5, atol=1e-5)
        if compiled:
            targets = {name: then[name] for name in ("landmarks", "smooth", "pose")}
            scores = model.evaluate(then["images"].astype("float32"), targets, verbose=0, return_dict=True)
            assert scores["landmarks_normalized_mean_error"] < 1e-4
            assert scores["landmarks_area_under_ced"] > 0.999
            assert model.loss["landmarks"].alpha == 0.5  # as the schedule left it
    info = read_model_info(path)
    assert info.scheme.n_landmarks == 6
    assert info.shape_model.n_components == 4


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_shape_models(folder, align):
    asm = ActiveShapeModel.load(folder / f"shape-model-{align}.npz")
    with np.load(folder / f"projected-{align}.npz") as then:
        np.testing.assert_allclose(asm.project(then["shapes"]), then["projected"], rtol=0, atol=1e-7)
        asm.partial_fit(then["shapes"])  # and it learns on
    assert asm.n_samples_seen_ == 68


def test_losses(folder):
    config = json.loads((folder / "loss.json").read_text(encoding="utf-8"))
    loss = keras.saving.deserialize_keras_object(config)
    assert isinstance(loss, ASMAssistedLoss)
    assert loss.base.name == "wing_loss"
