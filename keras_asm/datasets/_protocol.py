"""Whether a copy of a data set is complete: the check that its readers share."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from keras_asm.datasets.dataset_error import DatasetError

__all__ = ["check_complete"]


def check_complete(
    title: str,
    found: Mapping[str, int],
    expected: Mapping[str, int],
    *,
    split: str = "",
    allow_partial: bool,
    path: str | PathLike[str],
) -> list[str]:
    """Compare the faces of a copy with those of the data set.

    Args:
        title: What the data set is called.
        found: Number of faces of each part that was read.
        expected: Number of faces of each part in the data set.
        split: What was asked for, if not all of it.
        allow_partial: Whether a copy may lack faces.
        path: What was read, for the error.

    Returns:
        A note on what is missing, if anything is: a list of one or none.

    Raises:
        DatasetError: If a part has more faces than the data set, if there are none at all, or if faces are missing
            and `allow_partial` is false.
    """
    for part, n in found.items():
        if n > expected[part]:
            raise DatasetError(
                f"{title} has {expected[part]} faces in {part}, and these are {n}; take out what does not belong to it",
                path,
            )
    lacking = [f"{part} {n} of {expected[part]}" for part, n in found.items() if n < expected[part]]
    if not lacking:
        return []
    n = sum(found.values())
    missing = f"{split} has " if split else ""
    missing += f"{n} of {sum(expected.values())} faces"
    if set(found) - {split, "all"}:
        missing += f" ({', '.join(lacking)})"
    if n == 0 or not allow_partial:
        hint = ". Pass allow_partial=True to go on with what is there" if n else ""
        raise DatasetError(f"this copy of {title} is incomplete: {missing}{hint}", path)
    return [f"partial copy: {missing}"]
