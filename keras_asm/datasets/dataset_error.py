"""The error of everything that reads a data set."""

from os import PathLike

__all__ = ["DatasetError"]


class DatasetError(ValueError):
    """A data set on disk is not as its format or protocol says.

    The message begins with the file, and the line where one is at fault.

    Args:
        reason: What was expected and what was found.
        path: The file or folder at fault; `None` if there is none to name.
        line: The line at fault, from 1; `None` if there is none to name.

    Attributes:
        path: As given, a string or `None`.
        line: As given.

    Examples:
        >>> from keras_asm.datasets import DatasetError
        >>> print(DatasetError("expected two numbers. Received: '12.5'", "afw/1.pts", line=7))
        afw/1.pts, line 7: expected two numbers. Received: '12.5'

    See Also:
        - [`LandmarkDataset`][keras_asm.datasets.LandmarkDataset]: what a reader returns if nothing is wrong.
        - [Bad files][bad-files]: what is refused, and what can be let pass.
    """

    def __init__(self, reason: str, path: str | PathLike[str] | None = None, line: int | None = None) -> None:
        self.path = None if path is None else str(path)
        self.line = line
        where = "" if path is None else f"{path}: " if line is None else f"{path}, line {line}: "
        super().__init__(where + reason)
