"""What `import keras_asm` does, and does not."""

import os
import subprocess
import sys

import pytest

import keras_asm


def run(script, **environment):
    result = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout.strip()


def test_every_public_name_exists():
    for name in keras_asm.__all__:
        assert getattr(keras_asm, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        keras_asm.nonsense  # noqa: B018


@pytest.mark.backend
def test_imports_nothing_that_keras_does_not():
    script = """
import sys, keras
before = set(sys.modules)
import keras_asm
after = {name.split('.')[0] for name in set(sys.modules) - before}
heavy = {'tensorflow', 'jax', 'torch', 'sklearn', 'scipy', 'matplotlib', 'PIL', 'keras_tuner', 'pandas', 'h5py'}
print(sorted(after & heavy))
"""
    import keras

    assert run(script, KERAS_BACKEND=keras.backend.backend()) == "[]"


def test_import_is_quick():
    # Against Keras's own, in processor time and at its best of three: other work must not decide
    script = """
import time
began = time.process_time()
import keras
middle = time.process_time()
import keras_asm
print((time.process_time() - middle) / (middle - began))
"""
    assert min(float(run(script)) for _ in range(3)) < 0.1


def test_star_import_gives_the_shape_model():
    assert run("from keras_asm import *; print(ActiveShapeModel.__name__)") == "ActiveShapeModel"
