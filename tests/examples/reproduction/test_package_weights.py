"""What is done to a network before it ships, and what its model card says of it."""

import zipfile

import keras
import numpy as np
import pytest

import report


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("PIL.Image", reason="the script reads photographs")
    import package_weights

    return package_weights


def test_the_tables_of_the_model_card_are_those_of_the_figures(script):
    card = (script.FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.count("<!-- begin: ") == len(script.tables())
    assert report.fill_blocks(card, script.tables()) == card


def test_kernels_keep_eleven_bits(script):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(50, bias_initializer="normal")])
    kernel, bias = model.get_weights()
    kernel[0] *= 1e-9  # half precision has no such numbers
    model.set_weights([kernel, bias])
    script.round_kernels(model)
    rounded, kept = model.get_weights()
    np.testing.assert_array_equal(kept, bias)
    np.testing.assert_allclose(rounded, kernel, rtol=2**-11)
    assert (rounded != kernel).mean() > 0.9
    assert (rounded.view(np.uint32) & (2**13 - 1) == 0).all()


def test_a_compressed_file_is_the_same_model(script, tmp_path):
    model = keras.Sequential([keras.Input((40,)), keras.layers.Dense(500, kernel_initializer="ones")])
    path = tmp_path / "model.keras"
    model.save(path)
    before = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    script.compress(path)
    assert path.stat().st_size < before / 2
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == names
    for value, other in zip(model.get_weights(), keras.models.load_model(path).get_weights(), strict=True):
        np.testing.assert_array_equal(value, other)
