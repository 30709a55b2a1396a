"""Every example in a docstring is run."""

import doctest
import importlib
import pkgutil

import pytest

import keras_asm

MODULES = [module.name for module in pkgutil.walk_packages(keras_asm.__path__, "keras_asm.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write a file
    module = importlib.import_module(name)
    results = doctest.testmod(
        module, extraglobs={"np": __import__("numpy")}, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert results.failed == 0
