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
API_PAGES = [page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md")]
GUIDE_HEADINGS = [
    heading.replace("`", "")
    for page in DOCS.glob("*.md")
    for heading in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
]
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


def test_every_public_name_is_on_a_page_of_the_api():
    shown = re.findall(r"^::: (\S+)$", "\n".join(API_PAGES), re.MULTILINE)
    shown_names = {name.rsplit(".", 1)[1] for name in shown}
    for package in PACKAGES:
        assert set(imported(f"keras_asm.{package}").__all__) <= shown_names, package


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_says_what_else_to_see(package):
    """Other public names by their full name, guides by the heading. The strict build tells whether the links work."""
    everything = [thing for each in PACKAGES for thing in public(each).values()]
    for name, thing in public(package).items():
        section = re.search(r"^See Also:\n((?: .*\n?)+)", inspect.getdoc(thing), re.MULTILINE)
        assert section, f"{name} lacks the section"
        entries = re.split(r"^ +- ", section[1], flags=re.MULTILINE)[1:]
        assert 1 <= len(entries) <= 4, name
        for entry in entries:
            text, target, reason = re.fullmatch(r"\[(.+?)\]\[(.+?)\]: (.+)", " ".join(entry.split())).groups()
            assert reason.endswith("."), entry
            if target.startswith("keras_asm."):
                module, _, other = target.rpartition(".")
                found = getattr(imported(module), other)
                assert text == f"`{other}`", entry
                assert found is not thing, entry
                assert any(found is each for each in everything), entry
            else:
                assert GUIDE_HEADINGS.count(text) == 1, f"{text}: a heading of one guide"
                assert target == re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text)).lower(), entry


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
