"""What docs/architecture.md promises of the code's structure, read off the source."""

import ast
import re
from pathlib import Path

import pytest

import keras_asm

ROOT = Path(keras_asm.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

# Each package may import itself and those above it.
LAYERS = (
    ("_backend", "_bounded_archives", "_version", "_whole_files"),
    ("landmarks",),
    ("pose", "shape_models"),
    ("layers", "losses", "metrics"),
    ("callbacks", "model_tools"),
    ("applications", "datasets", "evaluation"),
    ("faces", "visualization"),
    ("inference", "synthetic"),
    ("export", "tuning"),
    ("__main__",),
)
LEVEL = {package: level for level, packages in enumerate(LAYERS) for package in packages}

# Private names of Keras and scikit-learn that the package uses; docs/architecture.md says why.
FOREIGN_PRIVATE_NAMES = {
    "_flatten_layers",  # keras.Model
    "_fn_kwargs",  # keras.losses.LossFunctionWrapper
    "_metrics",  # keras.Model
    "_param_validation",  # sklearn.utils
    "_validate_params",  # sklearn.base.BaseEstimator
}


def own_package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_packages(tree: ast.AST) -> set[str]:
    """The packages of keras_asm that a module imports, lazily or not, but for the sake of types alone."""
    for_types = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("keras_asm.")}


def test_every_package_has_a_level():
    packages = {own_package(path) for path in MODULES} - {"__init__"}
    assert packages == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_lead_downward(path):
    package = own_package(path)
    if package == "__init__":
        return
    for imported in imported_packages(SOURCES[path]) - {package}:
        assert LEVEL[imported] < LEVEL[package], f"{package} imports {imported}"


def test_the_drawing_code_imports_nothing_of_the_package():
    """A worker process loads it alone."""
    for path in (ROOT / "synthetic" / "_renderer").glob("*.py"):
        assert not imported_packages(SOURCES[path])


def test_foreign_private_names():
    used, own = set(), set()
    for tree in SOURCES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                (own if isinstance(node.ctx, ast.Store) else used).add(node.attr)
            elif isinstance(node, ast.FunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                own.add(node.id)
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "hasattr", "setattr"):
                used |= {argument.value for argument in node.args[1:2] if isinstance(argument, ast.Constant)}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                if names[0] != "keras_asm":
                    used |= set(names)
    private = {name for name in used - own if re.fullmatch(r"_[a-z]\w*", name)}
    assert private == FOREIGN_PRIVATE_NAMES
    page = (ROOT.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page or f".{name}`" in page for name in private)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_offers(path):
    """`__all__` lists what other modules may import: all public functions and classes, and nothing unknown."""
    tree = SOURCES[path]
    defined = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    }
    (offered,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    assert defined <= set(offered), path
    assert len(set(offered)) == len(offered)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_take_what_is_offered(path):
    for node in ast.walk(SOURCES[path]):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("keras_asm."):
            source = ROOT.joinpath(*node.module.split(".")[1:])
            source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
            offered = next(
                ast.literal_eval(found.value)
                for found in SOURCES[source].body
                if isinstance(found, ast.Assign) and ast.unparse(found.targets[0]) == "__all__"
            )
            submodules = (
                {item.stem for item in source.parent.iterdir()} if source.stem == "__init__" else set()
            )
            assert {alias.name for alias in node.names} <= set(offered) | submodules, ast.unparse(node)


def test_no_module_hides_behind_its_function():
    """`keras_asm.losses.wing_loss` is the function: no module carries the name of what it holds."""
    for path in MODULES:
        if path.stem != "__init__":
            names = {
                node.name for node in SOURCES[path].body if isinstance(node, ast.FunctionDef | ast.ClassDef)
            }
            assert path.stem not in names, path


def test_no_package_is_half_of_the_library():
    lines = {}
    for path in MODULES:
        lines[own_package(path)] = lines.get(own_package(path), 0) + len(path.read_text().splitlines())
    assert max(lines.values()) < 0.3 * sum(lines.values()), lines
