"""What the ASMNet paper printed: its tables as data, and where they disagree with each other.

Fard, Abdollahi and Mahoor, "ASMNet: a Lightweight Deep Neural Network for Face Alignment and Pose Estimation",
CVPR Workshops 2021, pp. 1521-1530.

Every number here was read from the pictures of the tables in the authors' repository
(`documents/graphical_items_in_paper` and the poster of https://github.com/aliprf/ASMNet). Two things are left out, as
no picture shows them: the failure rates and AUCs that Table 3's caption announces, and Table 7.

Names of models: `mnv2` is MobileNetV2, `ASMNet` the paper's own network. `_r` marks training with the ASM-assisted
loss, `_nr` training without it; `mnv2` alone is without, `ASMNet` alone is with. Errors of landmarks are in % of the
distance between the outer eye corners, errors of pose in degrees (the paper states no unit).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

MODELS = ("mnv2", "mnv2_r", "ASMNet_nr", "ASMNet")

# (without the assisted loss, with it), for each network
LOSS_PAIRS = {"mnv2": ("mnv2", "mnv2_r"), "ASMNet": ("ASMNet_nr", "ASMNet")}

# The protocols' numbers of faces; the training faces are `orig_number_of_training` in the authors' configuration.py
N_TRAINING_FACES = {"300w": 3148, "wflw": 7500}
N_TEST_FACES = {"300w": {"common": 554, "challenging": 135, "full": 689}, "wflw": {"test": 2500}}


@dataclass(frozen=True)
class PaperTable:
    """One table as it was printed.

    Attributes:
        number: Of the table in the paper, or None where the picture shows no caption.
        caption: As printed, without the numbers of references; "" where the picture shows none.
        columns: Names of the columns; dots where the printed head has two levels.
        units: Unit of each column, "" for text.
        rows: Name of the row to its cells, in the order of `columns`.
        source: Picture that it was read from.
        note: What a reader has to know.
    """

    number: int | None
    caption: str
    columns: tuple[str, ...]
    units: tuple[str, ...]
    rows: Mapping[str, tuple[Any, ...]]
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", MappingProxyType(dict(self.rows)))
        for name, cells in self.rows.items():
            if not len(cells) == len(self.columns) == len(self.units):
                raise ValueError(f"Expected {len(self.columns)} cells and units. Received: {name!r}: {cells}")

    def value(self, row: str, column: str) -> Any:
        """The cell of a row and a column: a number, a text, or None; `KeyError` where there is none."""
        if column not in self.columns:
            raise KeyError(f"The columns are {self.columns}. Received: {column!r}")
        if row not in self.rows:
            raise KeyError(f"The rows are {tuple(self.rows)}. Received: {row!r}")
        return self.rows[row][self.columns.index(column)]


SIZE_AND_ERROR = PaperTable(
    number=1,
    caption="",
    columns=("300w", "wflw", "params", "flops"),
    units=("%", "%", "M", "B"),
    rows={
        "mnv2": (4.70, 9.57, 2.42, 0.60),
        "mnv2_r": (4.59, 9.41, 2.42, 0.60),
        "ASMNet_nr": (6.49, 11.96, 1.43, 0.51),
        "ASMNet": (5.50, 10.77, 1.43, 0.51),
    },
    source="picture in the authors' repository (num_params.png, left)",
    note="NME on the full test sets. The picture shows no caption; it is Table 1 by the 6.49 of ASMNet_nr, which our "
    "notes on the paper quote from there. Parameters and FLOPs (two for each multiply-add) stand once for each pair.",
)

NME_300W = PaperTable(
    number=2,
    caption="Normalized Mean Error (in %) of 68-point landmarks localization on 300W dataset.",
    columns=("common", "challenging", "full"),
    units=("%", "%", "%"),
    rows={
        "RCN": (4.67, 8.44, 5.41),
        "DAN": (3.19, 5.24, 3.59),
        "PCD-CNN": (3.67, 7.62, 4.44),
        "CPM": (3.39, 8.14, 4.36),
        "DSRN": (4.12, 9.68, 5.21),
        "SAN": (3.34, 6.60, 3.98),
        "LAB": (2.98, 5.19, 3.49),
        "DCFE": (2.76, 5.22, 3.24),
        "mnv2": (3.93, 7.52, 4.70),
        "mnv2_r": (3.88, 7.35, 4.59),
        "ASMNet_nr": (5.86, 8.80, 6.46),
        "ASMNet": (4.82, 8.20, 5.50),
    },
    source="picture in the authors' repository (300wEval.png)",
    note="The rows before mnv2 are quoted by the authors from other papers.",
)

NME_WFLW = PaperTable(
    number=3,
    caption="Normalized Mean Error (in %), failure rate (in %), and AUC of 98-point landmarks localization on "
    "WFLW dataset.",
    columns=("test", "pose", "expression", "illumination", "make-up", "occlusion", "blur"),
    units=("%",) * 7,
    rows={
        "ESR": (11.13, 25.88, 11.47, 10.49, 11.05, 13.75, 12.20),
        "SDM": (10.29, 24.10, 11.45, 9.32, 9.38, 13.03, 11.28),
        "CFSS": (9.07, 21.36, 10.09, 8.30, 8.74, 11.76, 9.96),
        "DVLN": (6.08, 11.54, 6.78, 5.73, 5.98, 7.33, 6.88),
        "LAB": (5.27, 10.24, 5.51, 5.23, 5.15, 6.79, 6.32),
        "ResNet50 (Wing+PDB)": (5.11, 8.75, 5.36, 4.93, 5.41, 6.37, 5.81),
        "mnv2": (9.57, 18.18, 9.93, 8.98, 9.92, 11.38, 10.79),
        "mnv2_r": (9.41, 17.86, 9.78, 8.90, 9.67, 11.25, 10.66),
        "ASMNet_nr": (11.96, 21.95, 13.08, 11.02, 11.84, 13.24, 12.60),
        "ASMNet": (10.77, 21.11, 12.02, 9.93, 10.55, 12.34, 11.62),
    },
    source="picture in the authors' repository (wflwEval.png)",
    note="The mean errors only: the picture ends before the failure rates and the AUC. The rows before mnv2 are quoted "
    "by the authors from other papers.",
)

POSE = PaperTable(
    number=4,
    caption="Mean Absolute Error of pose estimation on 300W, WFLW datasets compared to HopeNet.",
    columns=("300w.yaw", "300w.pitch", "300w.roll", "wflw.yaw", "wflw.pitch", "wflw.roll"),
    units=("degrees",) * 6,
    rows={
        "mnv2": (1.75, 1.93, 1.32, 3.06, 3.03, 2.26),
        "mnv2_r": (1.71, 1.89, 1.30, 3.08, 2.94, 2.22),
        "ASMNet_nr": (2.41, 1.87, 2.115, 3.14, 2.99, 2.23),
        "ASMNet": (1.62, 1.80, 1.24, 2.97, 2.93, 2.21),
    },
    source="picture in the authors' repository (poseEval.png, left)",
    note="Printed with the models as columns. The true pose is the output of HopeNet, a teacher network.",
)

POSE_PEERS = PaperTable(
    number=5,
    caption="Mean Absolute Error of pose estimation on using ASMNet, JFA, and Yang et. al on 300W.",
    columns=("pitch", "yaw", "roll"),
    units=("degrees",) * 3,
    rows={"Yang et al.": (5.1, 4.2, 2.4), "JFA": (3.0, 2.5, 2.6), "ASMNet": (1.80, 1.62, 1.24)},
    source="picture in the authors' repository (poseEval.png, right)",
    note="Pitch comes first here.",
)

SIZE_PEERS = PaperTable(
    number=None,
    caption="",
    columns=("backbone", "params", "flops"),
    units=("", "M", "B"),
    rows={
        "DVLN": ("VGG-16", 132.0, 14.4),
        "SAN": ("ResNet-152", 57.4, 10.7),
        "LAB": ("Hourglass", 25.1, 19.1),
        "ResNet50 (Wing+PDB)": ("ResNet-50", 25.0, 3.8),
        "ASMNet": ("MobileNetV2", 1.4, 0.5),
        "MobileNetV2": (None, 2.4, 0.6),
    },
    source="picture in the authors' repository (num_params.png, right)",
    note="The picture shows neither number nor caption. It is none of Tables 1 to 5, and Table 7 is about the effect "
    "of the assisted loss: so most likely Table 6.",
)

TABLES = (SIZE_AND_ERROR, NME_300W, NME_WFLW, POSE, POSE_PEERS, SIZE_PEERS)


@dataclass(frozen=True)
class Contradiction:
    """Two numbers of the paper, in one unit, that ought to be one.

    Attributes:
        what: The quantity.
        first: Place and number.
        second: Place and number.
        read: Whether both were read from the pictures; otherwise one is known from our notes on the paper alone.
    """

    what: str
    first: tuple[str, float]
    second: tuple[str, float]
    read: bool = True


CONTRADICTIONS = (
    Contradiction("NME of ASMNet_nr on 300W full, %", ("Table 1", 6.49), ("Table 2", 6.46)),
    Contradiction(
        "what the assisted loss takes off ASMNet's NME on 300W common, %",
        ("Table 7", 1.58),
        ("Table 2", 1.04),
        read=False,
    ),
    *(
        Contradiction(
            f"NME of {model} on 300W full, %",
            ("Table 2", NME_300W.rows[model][2]),
            ("Table 2, mean over the 554 common and 135 challenging faces", mean),
        )
        for model, mean in (("mnv2", 4.63), ("mnv2_r", 4.56), ("ASMNet_nr", 6.44), ("ASMNet", 5.48))
    ),
)


def nme_300w(model: str, subset: str = "full") -> float:
    """NME on 300W in %, from Table 2; the subset is `common`, `challenging` or `full`."""
    return NME_300W.value(model, subset)


def nme_wflw(model: str, subset: str = "test") -> float:
    """NME on WFLW in %, from Table 3; the subset is `test` (all 2500 faces) or one of the six."""
    return NME_WFLW.value(model, subset)


def pose_mae(model: str, dataset: str = "300w") -> tuple[float, float, float]:
    """Mean absolute errors of yaw, pitch and roll in degrees, from Table 4; `300w` or `wflw`."""
    yaw, pitch, roll = (POSE.value(model, f"{dataset}.{angle}") for angle in ("yaw", "pitch", "roll"))
    return yaw, pitch, roll


def n_parameters(model: str) -> float:
    """Parameters in millions, from Table 1."""
    return SIZE_AND_ERROR.value(model, "params")


def loss_effect(network: str, subset: str = "full") -> float:
    """By how much the assisted loss lowers the NME of `mnv2` or `ASMNet` on 300W, in %: differences of Table 2."""
    without, with_it = LOSS_PAIRS[network]
    return round(nme_300w(without, subset) - nme_300w(with_it, subset), 2)


def face_weighted_full(row: str) -> float:
    """What the full-set NME of a row of Table 2 would be as the mean over all 689 faces, in %."""
    n_common, n_challenging, n_full = N_TEST_FACES["300w"].values()
    return (n_common * nme_300w(row, "common") + n_challenging * nme_300w(row, "challenging")) / n_full
