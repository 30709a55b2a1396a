"""Is this ready to be released? Builds wheel and sdist, and checks what PyPI and its users would get.

    python .ci/release_check.py                    # needs the packages build and twine
    python .ci/release_check.py --tag v0.1.0       # at a release: the version is that of the tag, and in the changelog
    python .ci/release_check.py --install          # also installs both, each in an environment of its own

Prints what is wrong, a line each, and exits with 1 if anything is.
"""

from __future__ import annotations

import argparse
import email
import email.message
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Weights are most of it; PyPI takes files of 100 MB
MOST_BYTES = 20_000_000
IN_SDIST = ("CHANGELOG.md", "CITATION.cff", "LICENSE", "README.md", "pyproject.toml", "setup.py")


def version() -> str:
    """The version that the source gives itself."""
    text = (ROOT / "keras_asm" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    return found[1]


def version_problems(tag: str | None) -> Iterator[str]:
    """Version, tag, changelog and citation agree."""
    own = version()
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", own):
        yield f"keras_asm/_version.py: expected a version such as 0.1.0. Received: {own}"
    if tag is not None and tag != f"v{own}":
        yield f"expected the tag v{own}, as keras_asm/_version.py says. Received: {tag}"
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (\S+)", changelog, re.MULTILINE)
    expected = "Unreleased" if tag is None else own
    if not headings or headings[0] not in (expected, own):
        yield f"CHANGELOG.md: expected '## {expected}' as the first heading. Received: {headings[:1]}"
    cited = re.search(
        r'^version: "?([^"\s]+)"?$', (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE
    )
    if cited is None or cited[1] != own:
        yield f"CITATION.cff: expected 'version: {own}'. Received: {cited and cited[0]}"


def source_files() -> set[str]:
    """What belongs into both archives: the package as git has it."""
    listed = subprocess.run(
        ["git", "ls-files", "keras_asm"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\n")
    return {name for name in listed if name}


def wheel_problems(path: Path) -> Iterator[str]:
    """The package whole, its licence, and nothing else."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        (metadata,) = [name for name in names if name.endswith(".dist-info/METADATA")]
        about = email.message_from_bytes(archive.read(metadata))
    info = metadata.split("/")[0]
    inside = {name for name in names if not name.startswith(f"{info}/")}
    for what, found in (
        ("misses", source_files() - inside),
        ("has what git has not", inside - source_files()),
    ):
        if found:
            yield f"{path.name} {what}: {', '.join(sorted(found)[:5])}"
    if f"{info}/licenses/LICENSE" not in names:
        yield f"{path.name} has no LICENSE"
    if path.stat().st_size > MOST_BYTES:
        yield f"{path.name}: expected at most {MOST_BYTES} bytes. Received: {path.stat().st_size}"
    yield from metadata_problems(about, path.name)


def metadata_problems(about: email.message.Message, name: str) -> Iterator[str]:
    """What PyPI shows and pip reads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for field, expected in (
        ("Name", project["name"]),
        ("Version", version()),
        ("Requires-Python", project["requires-python"]),
        ("License-Expression", project["license"]),
        ("Description-Content-Type", "text/markdown"),
    ):
        if about[field] != expected:
            yield f"{name}: expected {field} {expected}. Received: {about[field]}"
    extras = set(about.get_all("Provides-Extra", []))
    if extras != set(project["optional-dependencies"]):
        yield f"{name}: expected the extras {sorted(project['optional-dependencies'])}. Received: {sorted(extras)}"
    unbounded = [need for need in project["dependencies"] if not re.search(r">=\d", need)]
    for extra, needs in project["optional-dependencies"].items():
        unbounded += [f"{need} of [{extra}]" for need in needs if not re.search(r">=\d", need)]
    if unbounded:
        yield f"pyproject.toml: expected a lowest version of each dependency. Received none of: {unbounded}"
    text = str(about.get_payload())
    relative = re.findall(r"\]\((?!https?:|mailto:|#)([^)\s]+)\)", text)
    if relative or not text.strip():
        yield f"{name}: expected a README whose links lead somewhere on PyPI too. Received: {relative[:5]}"


def sdist_problems(path: Path) -> Iterator[str]:
    """The package whole, and what it is built from."""
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    missing = (source_files() | set(IN_SDIST)) - names
    if missing:
        yield f"{path.name} misses: {', '.join(sorted(missing)[:5])}"


def install_problems(path: Path, folder: Path) -> Iterator[str]:
    """An environment with nothing else can install it, import it and read its own weights."""
    environment = folder / f"environment-of-{path.suffix[1:]}"
    python = environment / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    script = (
        "import keras_asm; from keras_asm.applications.pretrained import PRETRAINED, pretrained_file; "
        "[pretrained_file(name) for name in PRETRAINED]; print(keras_asm.__version__)"
    )
    for command in (
        [sys.executable, "-m", "venv", str(environment)],
        [str(python), "-m", "pip", "install", "-q", f"{path}[jax]"],
        [str(python), "-I", "-c", f"import os; os.environ['KERAS_BACKEND'] = 'jax'; {script}"],
    ):
        run = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        if run.returncode:
            yield f"{path.name}: {' '.join(command[:4])} ... failed: {run.stderr.strip()[-500:]}"
            return
    if run.stdout.split()[-1:] != [version()]:
        yield f"{path.name}: expected version {version()}. Received: {run.stdout.strip()}"


def main() -> None:
    """Build, check, say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tag", help="the tag that is released, such as v0.1.0")
    parser.add_argument("--dist", type=Path, help="where wheel and sdist are left; by default nowhere")
    parser.add_argument(
        "--install", action="store_true", help="install wheel and sdist in empty environments"
    )
    args = parser.parse_args()
    problems = list(version_problems(args.tag))
    with tempfile.TemporaryDirectory() as scratch:
        dist = args.dist or Path(scratch) / "dist"
        subprocess.run(
            [sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (wheel,), (sdist,) = dist.glob("*.whl"), dist.glob("*.tar.gz")
        problems += [*wheel_problems(wheel), *sdist_problems(sdist)]
        rendered = subprocess.run(
            [sys.executable, "-m", "twine", "check", "--strict", str(wheel), str(sdist)],
            capture_output=True,
            text=True,
        )
        if rendered.returncode:
            problems.append(f"twine check: {rendered.stdout.strip()}")
        if args.install:
            problems += [
                problem for path in (wheel, sdist) for problem in install_problems(path, Path(scratch))
            ]
    print("\n".join(problems) or f"keras-asm {version()}: wheel and sdist are as they should be")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
