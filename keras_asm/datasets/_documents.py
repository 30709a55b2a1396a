"""JSON and XML of annotation tools, read so that nothing in them can do harm."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from os import PathLike
from typing import Any
from xml.parsers import expat

from keras_asm.datasets._annotation_text import PIXEL_LIMIT, parse_pixels, read_text, shown
from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["Element", "expect", "parse_json", "pixel", "read_json", "read_xml", "received"]

# The formats read here are a few levels deep.
_MAX_DEPTH = 50
_KINDS: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}


@dataclass
class Element:
    """An XML element, with the line that it begins in; its text is not kept."""

    tag: str
    attributes: dict[str, str]
    line: int
    path: str
    children: list[Element] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        """The children of these tags, in their order."""
        return [child for child in self.children if child.tag in tags]

    def text(self, name: str) -> str:
        """An attribute that must be there."""
        if name not in self.attributes:
            raise DatasetError(
                f"expected an attribute {name} of <{self.tag}>. Received: {shown(str(list(self.attributes)))}",
                self.path,
                self.line,
            )
        return self.attributes[name]

    def pixels(self, *names: str) -> list[float]:
        """Attributes that must be pixel coordinates."""
        return parse_pixels([self.text(name) for name in names], self.path, self.line, names)

    def flag(self, name: str) -> bool:
        """An attribute that is 0 or 1, and 0 where it is absent."""
        value = self.attributes.get(name, "0")
        if value not in ("0", "1"):
            raise DatasetError(f"expected 0 or 1 as {name}. Received: {shown(value)}", self.path, self.line)
        return value == "1"


def read_xml(path: str | PathLike[str], root: str) -> Element:
    """Read an XML file in UTF-8, whatever encoding it declares.

    A document type is refused as soon as it is met: only there can entities be declared, which expand to gigabytes
    or to other files.

    Args:
        path: The file.
        root: The tag that its root must have.

    Returns:
        The root.

    Raises:
        DatasetError: If the file cannot be read, is malformed or too deep, has a document type or another root.
    """
    text = read_text(path)
    parser = expat.ParserCreate()
    roots: list[Element] = []
    stack: list[Element] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = Element(tag, attributes, parser.CurrentLineNumber, str(path))
        if len(stack) >= _MAX_DEPTH:
            raise DatasetError(f"expected at most {_MAX_DEPTH} levels. Received: more", path, element.line)
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def doctype(*_: Any) -> None:
        raise DatasetError(
            "expected no document type (<!DOCTYPE ...>), which annotation tools do not write and which may declare "
            "entities. Received: one",
            path,
            parser.CurrentLineNumber,
        )

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise DatasetError(f"expected XML. Received: {reason}", path, error.lineno) from None
    except ValueError as error:  # a lone surrogate, or DatasetError
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"expected XML. Received: {error}", path) from None
    if roots[0].tag != root:
        raise DatasetError(
            f"expected <{root}> as the root. Received: <{shown(roots[0].tag)}>", path, roots[0].line
        )
    return roots[0]


def read_json(path: str | PathLike[str]) -> Any:
    """Read a JSON file in UTF-8.

    Args:
        path: The file.

    Returns:
        What it holds.

    Raises:
        DatasetError: If the file cannot be read, is malformed or nested too deeply, or has a key twice in an object.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: str | PathLike[str], line: int | None = None) -> Any:
    """Parse JSON.

    Args:
        text: The JSON.
        path: The file that it is from, for the error.
        line: The line that it is in, for the error; `None` if it is a file of its own.

    Returns:
        What it holds.

    Raises:
        DatasetError: As `read_json`.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            keys = [key for key, _ in items]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise DatasetError(f"expected each key once. Received: {shown(twice)} twice", path, line)
        return found

    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise DatasetError(f"expected JSON. Received: {error.msg}", path, line or error.lineno) from None
    except RecursionError:
        raise DatasetError("expected JSON of a few levels. Received: thousands", path, line) from None
    except ValueError as error:  # an integer of thousands of digits, or DatasetError
        if isinstance(error, DatasetError):
            raise
        raise DatasetError(f"expected JSON. Received: {error}", path, line) from None


def expect(value: Any, kind: type, what: str, path: str | PathLike[str], line: int | None = None) -> Any:
    """A value of JSON, if it is of the kind that the format says.

    Args:
        value: The value.
        kind: `dict`, `list` or `str`.
        what: What the error calls it.
        path: The file, for the error.
        line: The line, for the error.

    Returns:
        The value.

    Raises:
        DatasetError: If it is of another kind.
    """
    if not isinstance(value, kind):
        raise DatasetError(f"expected {_KINDS[kind]} as {what}. Received: {received(value)}", path, line)
    return value


def pixel(value: Any, what: str, path: str | PathLike[str], line: int | None = None) -> float:
    """A number of JSON, if it can be a pixel coordinate.

    Args:
        value: The value.
        what: What the error calls it.
        path: The file, for the error.
        line: The line, for the error.

    Returns:
        The number.

    Raises:
        DatasetError: If it is no number, not finite or beyond a million.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= PIXEL_LIMIT:
        raise DatasetError(
            f"expected a number within {PIXEL_LIMIT:g} as {what}. Received: {received(value)}", path, line
        )
    return float(value)


def received(value: Any) -> str:
    """A value of JSON for an error message, however large or deep.

    Args:
        value: The value.
    """
    if isinstance(value, list | dict):
        return f"{_KINDS[type(value)]} of {len(value)}"
    text = shown(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
