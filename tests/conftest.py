"""Settings and fixtures that every test shares."""

import importlib.util
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "Agg")
# Two virtual CPU devices, so that data parallelism is tested on any machine; read when JAX starts.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

if importlib.util.find_spec("torch") is not None:
    import torch  # noqa: F401  # importing torch after TensorFlow can crash

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

settings.register_profile(
    "default", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow]
)
# For mutation testing: the same examples for each mutant, and no search for a smaller one when it is found out
settings.register_profile(
    "mutation",
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    parent=settings.get_profile("default"),
)
settings.load_profile("default")

DATA_ROOT = Path(os.environ.get("KERAS_ASM_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture
def data_root() -> Path:
    """The real development data, which is never part of the project."""
    if not DATA_ROOT.is_dir():
        pytest.skip(f"real data absent: set KERAS_ASM_DATA to its folder (looked at {DATA_ROOT})")
    return DATA_ROOT


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test starts from the same state, whatever ran before it."""
    import keras

    keras.utils.set_random_seed(0)
    keras.config.set_floatx("float32")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of its own for each test."""
    return np.random.default_rng(0)
