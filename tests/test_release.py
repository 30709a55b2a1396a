"""The check before a release finds what it is for. It is not part of what is installed."""

import email
import importlib.util
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / ".git").exists():
    pytest.skip("a clone of the repository is needed", allow_module_level=True)


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check = script(ROOT / ".ci" / "release_check.py")


def test_links_of_the_readme_lead_somewhere_on_pypi():
    setup = script(ROOT / "setup.py")
    text = "![A](docs/a.jpg) [b](docs/b.md#c) [d](https://e.org) [f](#g)"
    assert setup.with_absolute_links(text, "v1") == (
        "![A](https://raw.githubusercontent.com/keras-asm/keras-asm/v1/docs/a.jpg) "
        "[b](https://github.com/keras-asm/keras-asm/blob/v1/docs/b.md#c) [d](https://e.org) [f](#g)"
    )


def test_versions():
    own = check.version()
    assert list(check.version_problems(None)) == []
    assert any(f"expected the tag v{own}" in problem for problem in check.version_problems("v9.9.9"))
    assert any("Received: ['Unreleased']" in problem for problem in check.version_problems(f"v{own}"))


def test_metadata():
    import keras_asm

    text = "Name: other\nVersion: 0\nProvides-Extra: jax\n\nSee [this](docs/data.md)."
    problems = list(check.metadata_problems(email.message_from_string(text), "a.whl"))
    for expected in ("Name keras-asm", f"Version {keras_asm.__version__}", "the extras", "['docs/data.md']"):
        assert any(expected in problem for problem in problems), expected
    assert not any("lowest version" in problem for problem in problems)


@pytest.mark.parametrize("change", ["none", "module missing", "tests inside", "no licence"])
def test_contents_of_a_wheel(tmp_path, change):
    names = sorted(check.source_files())
    assert "keras_asm/py.typed" in names
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as archive:
        for name in names[1:] if change == "module missing" else names:
            archive.writestr(name, b"")
        if change == "tests inside":
            archive.writestr("tests/test_a.py", b"")
        archive.writestr("keras_asm-0.dist-info/METADATA", b"")
        if change != "no licence":
            archive.writestr("keras_asm-0.dist-info/licenses/LICENSE", b"")
    problems = [p for p in check.wheel_problems(tmp_path / "a.whl") if " misses" in p or " has " in p]
    said = {"module missing": names[0], "tests inside": "tests/test_a.py", "no licence": "no LICENSE"}
    assert (said[change] in problems[0]) if change in said else problems == []


def test_contents_of_an_sdist(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        archive.add(ROOT / "README.md", "keras-asm-0/README.md")
    (problem,) = check.sdist_problems(tmp_path / "a.tar.gz")
    assert "misses: CHANGELOG.md, CITATION.cff, LICENSE" in problem
