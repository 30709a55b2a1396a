"""Every example in a docstring is run."""

import doctest
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import keras_asm

DOCS = Path(__file__).parents[1] / "docs"
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


PACKAGES = [module.name for module in pkgutil.iter_modules(keras_asm.__path__) if module.name[0] != "_"]
# They need packages that the tests do not install: their examples are shown, and not run
NOT_RUN = {"DlibDetector", "MTCNNDetector"}


def public(package):
    """Classes and functions of a package that it offers."""
    module = imported(f"keras_asm.{package}")
    named = {name: getattr(module, name) for name in module.__all__}
    return {
        name: thing for name, thing in named.items() if inspect.isroutine(thing) or inspect.isclass(thing)
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_an_example_that_runs(package):
    for name, thing in public(package).items():
        examples = doctest.DocTestParser().get_examples(thing.__doc__ or "")
        assert examples, f"{name} has no example"
        skipped = [example for example in examples if example.options.get(doctest.SKIP)]
        assert bool(skipped) == (name in NOT_RUN), name


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_signature_has_types(package):
    for name, thing in public(package).items():
        if inspect.isclass(thing) and (issubclass(thing, Exception) or "__init__" not in vars(thing)):
            continue
        signature = inspect.signature(thing.__init__ if inspect.isclass(thing) else thing)
        parameters = [p for p in signature.parameters.values() if p.name != "self"]
        assert all(p.annotation is not p.empty for p in parameters), name
        assert inspect.isclass(thing) or signature.return_annotation is not signature.empty, name


@pytest.mark.parametrize("page", sorted((DOCS / "api").glob("*.md")), ids=lambda path: path.stem)
def test_pages_of_the_api_lead_to_a_guide(page):
    assert re.search(r"\]\(\.\./\w+\.md", page.read_text(encoding="utf-8").split(":::")[0])
