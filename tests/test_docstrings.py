"""Every example in a docstring is run."""

import doctest
import importlib
import inspect
import pkgutil
import re

import pytest

import keras_asm

MODULES = [module.name for module in pkgutil.walk_packages(keras_asm.__path__, "keras_asm.")]


def imported(name):
    if name.startswith("keras_asm.tuning"):
        pytest.importorskip("keras_tuner", reason="KerasTuner is not installed: the tuner extra")
    return importlib.import_module(name)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # an example may write a file
    module = imported(name)
    results = doctest.testmod(
        module, extraglobs={"np": __import__("numpy")}, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert results.failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_sections_of_examples_are_shown_as_code(name):
    """The site knows a section `Examples`; one called `Example` it shows as a quotation, in one line."""
    assert not re.search(r"^ +Example:$", inspect.getsource(imported(name)), re.MULTILINE)
