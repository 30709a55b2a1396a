"""The tables of the reproduction as Markdown, by the names of their blocks in a page."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from keras_asm import model_cost
from paper import numbers
from paper.data import DATASETS
from paper.measures import ENOUGH_SEEDS, NOTHING, compare, known_pose, mean_and_spread, measure
from paper.results import Group, Results
from paper.settings import NETWORKS, PAPER_MODELS, Experiment

__all__ = ["AFTER_DRAWN", "QUOTED", "SOURCE", "Report", "few_faces_errors", "make_blocks", "markdown"]

SOURCE = "numbers of"
QUOTED = "quoted by the paper"
THE_PAPER = "the paper"
HERE = "here"

_REPEATED = "earlier-machine-64px"  # runs that are there twice

_PAPER_SCALE = {"px": "224", "epochs": "150"}
_ANGLES = ("yaw", "pitch", "roll")
_DIFFERENCES = ("difference", "relative", "p images", "p seeds", "difference, flip", "p seeds, flip")
_NUMBER = re.compile(r"–?|(< |[+-])?\d[\d.]*( ± [\d.]+)?( \(\d[\d.]*( ± [\d.]+)?\))?( ?[*%]| [a-zA-Z]{1,2})?")
AFTER_DRAWN = "after 4000 drawn faces, with the decoder"
_N_HELD_OUT = 402
_FEW_FACES = (0, 25, 50, 100, 200, 400, 1000, 1610)
_CARELESS = (100, 400)
_PEERS = {"ridge": "ridge cascade", "dlib": "dlib's trees"}
_Row = dict[str, str]


def markdown(rows: Iterable[Mapping[str, Any]], label: str = "") -> str:
    """A table, columns of numbers to the right and empty columns left out; "" without rows."""
    frame = pd.DataFrame(list(rows)).fillna(NOTHING).astype(str)
    if frame.empty:
        return ""
    frame = frame.loc[:, (frame != NOTHING).any()]
    rule = ["--:" if all(map(_NUMBER.fullmatch, frame[name])) else "---" for name in frame]
    lines = [f"| {' | '.join(cells)} |" for cells in ([*frame], rule, *frame.to_numpy())]
    return "\n".join([*([f"**{label}**", ""] if label else []), *lines])


@dataclass(frozen=True)
class Report:
    """Groups of runs, and what their tables need.

    Attributes:
        results: of every run.
        experiments: by name, in the order of the tables.
    """

    results: Results
    experiments: Mapping[str, Experiment]

    @functools.cached_property
    def groups(self) -> list[Group]:
        """Of runs that differ by their seed alone."""
        return self.results.groups(self.experiments)

    def find(self, experiment: str, model: str) -> Group | None:
        """A group by its names; the one of the most training faces, if there are several."""
        return next((g for g in self.groups if (g.experiment, g.model) == (experiment, model)), None)

    def by(self, key: Callable[[Group], Any]) -> list[list[Group]]:
        """Lists of groups with the same key, in the order of the first of each."""
        found: dict[Any, list[Group]] = {}
        for group in self.groups:
            found.setdefault(key(group), []).append(group)
        return list(found.values())

    def changes(self, group: Group, without: Sequence[str] = ()) -> str:
        """The recipe, and what the experiment has else."""
        own = self.experiments[group.experiment].changes
        parts = [
            f"{name.replace('_', ' ')} {str(value).removesuffix('.weights.h5')}"
            for name, value in own.items()
            if name not in ("dataset", *without)
        ]
        return ", ".join([group.settings.recipe, *parts])

    def baseline(self, group: Group) -> Group | None:
        """What a loss is held against: the plain loss over its base; for a plain one, the plain squared error."""
        base = group.settings.loss.base if group.settings.loss.assisted else "mse"
        return next(
            (
                g
                for g in self.groups
                if _comparable(g) == _comparable(group)
                and g.settings.network == group.settings.network
                and not g.settings.loss.assisted
                and g.settings.loss.base == base
                and g is not group
                and group.main_subset in g.subsets
            ),
            None,
        )


# --- The paper's tables


def table_1(report: Report) -> str:
    """Sizes and errors of the paper's four models."""
    printed = numbers.TABLES["size_and_error"]
    rows: list[_Row] = []
    for model, (nme_300w, nme_wflw, params, flops) in printed.rows.items():
        network = next(name for name, pair in numbers.LOSS_PAIRS.items() if model in pair)
        parameters, multiply_adds = _size(network, 68)
        rows.append(
            {
                "model": model,
                "NME %, 300W full": nme_300w,
                "WFLW": nme_wflw,
                "parameters, paper": f"{params} M",
                "parameters, here": f"{parameters / 1e6:.3f} M",
                "FLOPs, paper": f"{flops} B",
                "FLOPs, here": f"{2 * multiply_adds / 1e9:.2f} B",
                "multiply-adds, here": f"{multiply_adds / 1e6:.1f} M",
            }
        )
    return markdown(rows)


def table_2(report: Report) -> str:
    """NME on 300W."""
    return markdown([*_printed("nme_300w", "300w"), *_ours(report, "300w", "nme_300w", "NME %")])


def table_3(report: Report) -> str:
    """NME, failure rate and AUC on WFLW."""
    names = {"nme_wflw": "NME %", "failures_wflw": "FR %", "auc_wflw": "AUC"}
    return "\n\n".join(
        markdown([*_printed(table, "wflw"), *_ours(report, "wflw", table, score)], score)
        for table, score in names.items()
    )


def table_4(report: Report) -> str:
    """Head pose against a teacher's labels."""
    tables = []
    for dataset in ("300w", "wflw"):
        rows: list[_Row] = []
        for row in _printed("pose", dataset):
            angles = {angle: row[f"{dataset}.{angle}"] for angle in _ANGLES}
            rows.append({**{head: cell for head, cell in row.items() if "." not in head}, **angles})
        for group in report.groups:
            if group.settings.dataset == dataset and _of_the_paper(group):
                for subset in group.subsets:
                    cells = measure(group, subset)
                    angles = {angle: cells[angle] for angle in _ANGLES}
                    if cells["yaw"] != NOTHING:
                        rows.append({**_named(group, subset), "subset": subset, **angles})
        tables.append(markdown(rows, DATASETS[dataset]))
    return "\n\n".join(tables)


def table_5(report: Report) -> str:
    """Head pose of other methods."""
    rows = _printed("pose_peers", "300w")
    for experiment, model in (("paper-96px", "ASMNet"), ("best-128px", "wing")):
        group = report.find(experiment, model)
        if group is not None:
            cells = measure(group, group.main_subset)
            rows.append({**_named(group, group.main_subset), **{angle: cells[angle] for angle in _ANGLES}})
    return markdown(rows)


def table_6(report: Report) -> str:
    """Sizes of other networks."""
    rows = _printed("size_peers")
    for row in rows:
        row |= {"params": f"{row['params']} M", "flops": f"{row['flops']} B"}
    for network, with_pose in (("mnv2", True), ("ASMNet", True), ("ASMNet", False)):
        parameters, multiply_adds = _size(network, 68, with_pose)
        row = {"method": network if with_pose else f"{network} without a pose head", SOURCE: HERE}
        row |= {"backbone": "MobileNetV2", "params": f"{parameters / 1e6:.3f} M"}
        rows.append({**row, "flops": f"{2 * multiply_adds / 1e9:.2f} B"})
    return markdown(rows)


def table_7(report: Report) -> str:
    """The effect of the assisted loss: as printed, by the printed Tables 2 and 3, and here."""
    rows: list[_Row] = []
    for row, cells in numbers.TABLES["loss_effect"].rows.items():
        dataset, subset = row.split(", ")
        table = numbers.TABLES["nme_300w" if dataset == "300W" else "nme_wflw"]
        column = subset
        if dataset == "WFLW":
            column = {"full": "test", "large pose": "pose"}.get(subset, subset)
        for network, printed in zip(numbers.TABLES["loss_effect"].columns, cells, strict=True):
            before, after = (table.value(model, column) for model in numbers.LOSS_PAIRS[network])
            rows.append(
                {
                    "set": row,
                    "network": network,
                    "plain": f"{before:.2f}",
                    "assisted": f"{after:.2f}",
                    "by Table 7": f"-{printed}",
                    "by Tables 2 and 3": f"{after - before:+.2f}",
                    "relative": f"{100 * (after - before) / before:+.1f} %",
                }
            )
    return "\n\n".join([markdown(rows, "As the paper prints it"), effect(report)])


def contradictions(report: Report) -> str:
    """Where the printed tables disagree."""
    return markdown(
        {
            "what": found.what,
            "printed": f"{found.first[1]:.2f} in {found.first[0]}",
            "and": f"{found.second[1]:.2f} in {found.second[0]}",
        }
        for found in numbers.contradictions()
    )


def effect(report: Report) -> str:
    """What the assisted loss changes in each of the two networks, wherever both models were trained."""
    rows: list[_Row] = []
    for first, second in _pairs(report):
        for subset, n in first.subsets.items():
            if subset in second.subsets:
                rows.append(
                    {
                        "experiment": first.experiment,
                        "network": first.settings.network,
                        **_scale(first),
                        "subset": f"{subset} ({n})",
                        "seeds": f"{len(first.seeds(subset))} and {len(second.seeds(subset))}",
                        "plain": measure(first, subset)["NME %"],
                        "assisted": measure(second, subset)["NME %"],
                        **compare(first, second, subset),
                    }
                )
    return markdown(rows, "Here: NME in %")


# --- More than the paper's tables


def pose_where_known(report: Report) -> str:
    """Head pose on AFLW2000-3D."""
    tables = []
    for source, label in (
        ("network", "By the network's pose output"),
        ("landmarks", "By the geometric teacher on the landmarks that the network finds"),
    ):
        rows: list[_Row] = []
        for group in report.groups:
            cells = known_pose(group, source)
            if cells:
                rows.append({"experiment": group.experiment, "model": group.model, **_scale(group), **cells})
                annotated = known_pose(group, "annotated")
        if rows:
            one = {name: cell.split(" ± ")[0] for name, cell in annotated.items() if name != "seeds"}
            tables.append(markdown([*rows, {"experiment": "annotated landmarks", **one}], label))
    return "\n\n".join(tables)


def baselines(report: Report) -> str:
    """Non-neural baselines, and networks measured in the same way."""
    formats = {
        "image_size": ("px", "{:.0f}", 1),
        "epochs": ("epochs", "{:.0f}", 1),
        "nme": ("NME %", "{:.2f}", 100),
        "failure_rate": ("FR %", "{:.1f}", 100),
        "auc": ("AUC", "{:.3f}", 1),
        "model_bytes": ("size", "{:.3f} MB", 1e-6),
        "milliseconds_per_face": ("a face", "{:.1f} ms", 1),
        "training_seconds": ("training", "{:.0f} s", 1),
    }
    tables = []
    by = "dataset", "train", "test", "label_noise", "clean"
    for (dataset, train, test, noise, clean), found in _by(report.results.peers, by).items():
        rows = [
            {"method": peer["method"]}
            | {
                head: NOTHING if pd.isna(peer[name]) else text.format(factor * peer[name])
                for name, (head, text, factor) in formats.items()
            }
            | {"device": peer["device"]}
            for peer in sorted(found, key=lambda peer: -peer["nme"])
        ]
        label = f"{DATASETS[dataset]}, {train} training faces, {test} test faces"
        if noise:
            label += f", label noise {noise:g}" + (f", clean {clean}" if clean != "none" else "")
        tables.append(markdown(rows, label))
    return "\n\n".join(tables)


def losses(report: Report) -> str:
    """Every loss that a network was trained with, an experiment a table."""
    tables = []
    for groups in report.by(_comparable):
        networks = [group.settings.network for group in groups]
        rows: list[_Row] = []
        for group in groups:
            if networks.count(group.settings.network) < 2:
                continue
            run, baseline, subset = group.runs[0], report.baseline(group), group.main_subset
            cells = measure(group, subset)
            rows.append(
                {
                    "network": group.settings.network,
                    "model": group.model,
                    "loss": str(group.settings.loss),
                    "seeds": str(len(group.seeds(subset))),
                    "components": NOTHING if run["n_components"] is None else str(run["n_components"]),
                    "ASM(G)": NOTHING if run["asm_nme"] is None else f"{100 * run['asm_nme']:.2f}",
                    **{name: cells[name] for name in ("NME %", "NME %, flip", "pose", "detail")},
                    **(dict.fromkeys(_DIFFERENCES, NOTHING) if baseline is None else {}),
                    **({} if baseline is None else compare(baseline, group, subset)),
                }
            )
        first = groups[0]
        label = f"{first.experiment}: {report.changes(first)}; {first.train} faces, on {first.main_subset}"
        tables.append(markdown(rows, label))
    return "\n\n".join(table for table in tables if table)


def recipes(report: Report) -> str:
    """What the parts of a recipe bring to a plain loss, at equal faces, image size and epochs."""

    def key(group: Group) -> tuple[Any, ...]:
        s = group.settings
        labels = s.label_noise, s.missing, s.sparse, s.complete
        return s.dataset, s.network, s.image_size, s.epochs, group.train, labels, group.main_subset

    tables = []
    for groups in report.by(lambda g: (*key(g), g.backend, g.settings.loss.assisted)):
        groups = [group for group in groups if group.experiment != _REPEATED]
        if len(groups) < 2 or groups[0].settings.loss.assisted:
            continue
        first, *others = sorted(groups, key=lambda g: -_nme(g))
        subset = first.main_subset
        rows = []
        for group in (first, *others):
            cells = measure(group, subset)
            rows.append(
                {
                    "experiment": group.experiment,
                    "model": group.model,
                    "recipe": report.changes(group, ["image_size", "epochs"]),
                    "seeds": str(len(group.seeds(subset))),
                    **{name: cells[name] for name in ("NME %", "NME %, flip", "pose")},
                    **(compare(first, group, subset) if group is not first else {}),
                }
            )
        s = first.settings
        label = f"{DATASETS[s.dataset]} {subset}, {s.network}: {s.image_size} px, {s.epochs} epochs, "
        tables.append(markdown(rows, f"{label}{first.train} training faces"))
    return "\n\n".join(tables)


def scores(report: Report) -> str:
    """Scores of every model on every subset."""
    tables = []
    for groups in report.by(lambda group: group.settings.dataset):
        rows = [
            {
                "experiment": group.experiment,
                "model": group.model,
                "subset": f"{subset} ({n})",
                "seeds": ", ".join(map(str, group.seeds(subset))),
                **measure(group, subset),
            }
            for group in groups
            for subset, n in group.subsets.items()
        ]
        tables.append(markdown(rows, DATASETS[groups[0].settings.dataset]))
    return "\n\n".join(tables)


def per_seed(report: Report) -> str:
    """Each seed of the experiment that is nearest to the paper, with the two losses side by side."""
    plain, assisted = (report.find("paper-96px", model) for model in ("ASMNet_nr", "ASMNet"))
    rows: list[_Row] = []
    if plain is not None and assisted is not None:
        for subset in plain.subsets:
            for seed in sorted({*plain.seeds(subset), *assisted.seeds(subset)}):
                row = {"subset": subset, "seed": str(seed)}
                for flip in ("", ", flip"):
                    for name, group in (("plain", plain), ("assisted", assisted)):
                        if seed in group.seeds(subset):
                            one = measure(group.of_seeds([seed]), subset)
                            row[f"{name}{flip}"] = one[f"NME %{flip}"]
                rows.append(row)
    return markdown(rows)


def training_errors(report: Report) -> str:
    """NME on the training faces in the first and the last epoch, from the least to the greatest over the seeds."""
    rows: list[_Row] = []
    for group in report.groups:
        if group.settings.recipe == "paper":
            curves = [report.results.history[f"{name}/landmarks_nme"] for name in group.names]
            row = {"experiment": group.experiment, "model": group.model, "seeds": str(len(curves))}
            for epoch, head in ((0, "first epoch"), (-1, "last epoch")):
                values = sorted(100 * float(curve[epoch]) for curve in curves)
                row[head] = f"{values[0]:.1f} to {values[-1]:.1f}" if len(values) > 1 else f"{values[0]:.1f}"
            rows.append(row)
    return markdown(rows)


def runs(report: Report) -> str:
    """What the runs were, what they took, and on what."""
    rows = [
        {
            "experiment": group.experiment,
            "model": group.model,
            "recipe": report.changes(group),
            "faces": str(group.train),
            "seeds": ", ".join(map(str, group.seeds())),
            "seconds a run": _seconds(group),
            "device": "; ".join(dict.fromkeys(run["device"] for run in group.runs)),
        }
        for group in report.groups
    ]
    if not rows:
        return ""
    everything = report.results.runs.values()
    versions = "\n".join(f"- {text}" for text in dict.fromkeys(run["versions"] for run in everything))
    notes = [note for run in everything for note in run["notes"].split("; ") if note]
    data = "\n".join(f"- {text}" for text in dict.fromkeys(notes))
    return f"{markdown(rows)}\n\nVersions:\n\n{versions}\n\nData:\n\n{data}"


# --- For the page of the documentation


def headline(report: Report) -> str:
    """The paper's two ASMNet models beside the nearest runs and the best one."""
    rows = [row for row in _printed("nme_300w", "300w") if row["method"] in ("mnv2", "ASMNet_nr", "ASMNet")]
    names = [(e, m) for e in ("paper", "paper-64px", "paper-96px") for m in ("ASMNet_nr", "ASMNet")]
    names += [(e, "wing") for e in ("strong-64px", "strong-128px-60-epochs", "best-128px")]
    names += [("best-after-asmnet-drawn-128px", "wing-coordinates")]
    for group in filter(None, (report.find(*name) for name in names)):
        cells = {subset: measure(group, subset) for subset in group.subsets}
        rows.append(
            {"method": group.model, SOURCE: group.experiment, **_scale(group)}
            | {subset: cells[subset]["NME %"] + _star(group, subset) for subset in cells}
            | {"common, flip": cells["common"]["NME %, flip"]}
        )
    return markdown(rows)


def assisted(report: Report) -> str:
    """Whether the assisted loss helps, in eight comparisons."""
    names = [
        ("the paper's recipe, 64 px, 30 epochs", "paper-64px", "ASMNet"),
        ("the same, on *challenging*", "paper-64px", "ASMNet"),
        ("the paper's recipe, 96 px, 150 epochs", "paper-96px", "ASMNet"),
        ("the same, on *challenging*", "paper-96px", "ASMNet"),
        ("flips, turns and a cosine, 64 px", "geometric-64px", "ASMNet"),
        ("the same, normalized and aligned", "geometric-64px", "aligned"),
        ("the strong recipe, 64 px, normalized", "strong-64px", "wing-normalized"),
        ("200 faces, 15 % noise on their landmarks, smoothed", "few-faces-noise-15", "smooth"),
    ]
    rows: list[_Row] = []
    for label, experiment, model in names:
        group = report.find(experiment, model)
        plain = None if group is None else report.baseline(group)
        subset = "challenging" if "challenging" in label else "common"
        if group is not None and plain is not None and subset in group.subsets:
            effect, measured = compare(plain, group, subset), measure(group, subset)
            rows.append({"training": label, "seeds": str(len(group.seeds(subset)))})
            rows[-1] |= {"plain": measure(plain, subset)["NME %"], "assisted": measured["NME %"]}
            rows[-1] |= {"difference": effect["difference"]}
            rows[-1] |= {"p": effect["p seeds"], "p, flip": effect["p seeds, flip"]}
    return markdown(rows)


def helps(report: Report) -> str:
    """From the paper's recipe to the best that was found."""
    names = [
        ("the paper's recipe", "paper-64px", "ASMNet_nr"),
        ("a falling learning rate, batches of 32, geometric augmentation", "geometric-64px", "ASMNet_nr"),
        ("and ImageNet weights", "geometric-64px-imagenet", "ASMNet_nr"),
        ("turns of 30 degrees with the face cropped anew", "cropped-64px", "ASMNet_nr"),
        ("the wing loss and twice the learning rate", "strong-64px-pose-mse", "wing"),
        ("128 pixels and 60 epochs, absolute errors of the pose", "strong-128px-60-epochs", "wing"),
        ("128 pixels, 150 epochs and a batch-norm momentum of 0.99", "best-128px", "wing"),
        (
            "the decoder, after drawn faces, at half the rate",
            "best-after-asmnet-drawn-128px",
            "wing-coordinates",
        ),
    ]
    rows: list[_Row] = []
    for label, experiment, model in names:
        group = report.find(experiment, model)
        if group is not None:
            cells = measure(group, "common")
            rows.append({"step": label, **{n: cells[n] for n in ("NME %", "NME %, flip", "pose")}})
    return markdown(rows)


def few_faces_errors(report: Report) -> dict[str, dict[int, tuple[np.ndarray, np.ndarray | None]]]:
    """NME in % on the held-out faces of 300W, by the method and the number of annotated faces.

    Each cell has an error for each seed, plain and by the flip test; None where there is no plain error beside it.
    """
    found: dict[str, dict[int, tuple[np.ndarray, np.ndarray | None]]] = {
        label: {n: (np.array([nme]), None) for n, nme in _peer_errors(report, method).items()}
        for method, label in _PEERS.items()
    }
    models = {"plain": "wing", "with the decoder": "wing-coordinates", AFTER_DRAWN: "wing-coordinates"}
    for method, model in models.items():
        found[method] = {}
        for n_faces in _FEW_FACES:
            group = report.find(_few_faces_experiment(n_faces, method == AFTER_DRAWN), model)
            if group is not None:
                found[method][n_faces] = _errors(group)
    return found


def _peer_errors(
    report: Report, method: str, label_noise: float = 0.0, clean: str = "none"
) -> dict[int, float]:
    """NME in % of a non-neural baseline on the held-out faces of 300W, by the number of annotated faces."""
    wanted = {
        "method": method,
        "dataset": "300w",
        "test": _N_HELD_OUT,
        "label_noise": label_noise,
        "clean": clean,
    }
    return {
        int(peer["train"]): 100 * peer["nme"]
        for peer in report.results.peers
        if all(peer[name] == value for name, value in wanted.items())
    }


def few_faces(report: Report) -> str:
    """Error against the number of annotated faces, with the flip test in brackets."""
    errors = few_faces_errors(report)
    if not any(errors.values()):
        return ""
    return markdown(
        {"real faces": str(n_faces or "none")}
        | {method: _with_flip(of_method.get(n_faces)) for method, of_method in errors.items()}
        for n_faces in _FEW_FACES
    )


def careless(report: Report) -> str:
    """Error after noise on the training landmarks, by what is done about it, with the flip test in brackets."""
    methods = {
        "trained on as they are": ("wing-coordinates",) * 3,
        "assisted loss, aligned": ("", "wing-coordinates-aligned-70", "wing-coordinates-aligned-25"),
        "cleaned by drawn shapes": ("", *("wing-coordinates-cleaned",) * 2),
    }
    rows: list[_Row] = []
    for n_faces in _CARELESS:
        for i, noise in enumerate((0, 5, 15)):
            experiment = f"held-out-drawn-{n_faces}" + (f"-noise-{noise}" if noise else "")
            row = {"real faces": str(n_faces), "noise": f"{noise} %"}
            for method, model in ((method, models[i]) for method, models in methods.items()):
                group = report.find(experiment, model)
                row[method] = NOTHING if group is None else _with_flip(_errors(group))
            rows.append(row)
    return markdown(rows) if any(row[name] != NOTHING for row in rows for name in methods) else ""


def careless_peers(report: Report) -> str:
    """Error of non-neural baselines after noise on the training landmarks, as they are and cleaned by drawn shapes."""
    rows: list[_Row] = []
    for n_faces in _CARELESS:
        for noise in (0.0, 0.05, 0.15):
            row = {"real faces": str(n_faces), "noise": f"{100 * noise:.0f} %"}
            for method, label in _PEERS.items():
                for head, clean in ((label, "none"), (f"{label}, cleaned", "drawn")):
                    nme = _peer_errors(report, method, noise, clean).get(n_faces)
                    row[head] = NOTHING if nme is None else f"{nme:.2f}"
            rows.append(row)
    noisy = [row for row in rows if row["noise"] != "0 %"]
    return markdown(rows) if any(cell != NOTHING for row in noisy for cell in [*row.values()][2:]) else ""


BLOCKS: dict[str, Callable[[Report], str]] = {
    "table_1": table_1,
    "table_2": table_2,
    "table_3": table_3,
    "table_4": table_4,
    "table_5": table_5,
    "table_6": table_6,
    "table_7": table_7,
    "contradictions": contradictions,
    "known_pose": pose_where_known,
    "baselines": baselines,
    "losses": losses,
    "recipes": recipes,
    "per_seed": per_seed,
    "training_errors": training_errors,
    "scores": scores,
    "runs": runs,
    "headline": headline,
    "assisted": assisted,
    "helps": helps,
    "few_faces": few_faces,
    "careless": careless,
    "careless_peers": careless_peers,
}
"""What makes each block of a page."""


def make_blocks(report: Report) -> dict[str, str]:
    """The text of every block, empty where there is nothing to tell."""
    return {name: make(report) for name, make in BLOCKS.items()}


def _of_the_paper(group: Group) -> bool:
    """Whether a group stands beside the paper's: one of its models, or the wing loss, on clean annotations."""
    s = group.settings
    whole = s.missing is None and s.sparse is None
    clean = whole and s.label_noise is None and s.max_train_faces is None and s.hold_out is None
    return clean and group.model in (*PAPER_MODELS, "wing") and group.experiment != _REPEATED


def _comparable(group: Group) -> tuple[Any, ...]:
    """Groups with the same are trained and tested alike but for the network and the loss."""
    return group.experiment, group.train, group.backend


def _pairs(report: Report) -> list[tuple[Group, Group]]:
    """The plain and the assisted model of a network, wherever both were trained."""
    found = {(_comparable(group), group.model): group for group in report.groups}
    return [
        (group, found[key, assisted])
        for (key, model), group in found.items()
        for plain, assisted in numbers.LOSS_PAIRS.values()
        if model == plain and (key, assisted) in found
    ]


def _printed(name: str, dataset: str | None = None) -> list[_Row]:
    """The rows of a table of the paper; with a data set, what the paper's own models were trained on too."""
    table, rows = numbers.TABLES[name], []
    for method, cells in table.rows.items():
        own = method in (*PAPER_MODELS, "MobileNetV2")
        scale = (
            {} if dataset is None else dict.fromkeys(("faces", "px", "epochs", "subset", "seeds"), NOTHING)
        )
        if own and dataset is not None:
            scale |= {"faces": str(numbers.N_TRAINING_FACES[dataset]), **_PAPER_SCALE}
        columns = dict(zip(table.columns, (cell or NOTHING for cell in cells), strict=True))
        rows.append({"method": method, SOURCE: THE_PAPER if own else QUOTED, **scale, **columns})
    return rows


def _ours(report: Report, dataset: str, table: str, score: str) -> list[_Row]:
    """Our rows beside a table of the paper whose columns are subsets."""
    rows = []
    for group in report.groups:
        known = [subset for subset in numbers.TABLES[table].columns if subset in group.subsets]
        if group.settings.dataset == dataset and known and _of_the_paper(group):
            starred = {s: measure(group, s)[score] + _star(group, s) for s in known}
            rows.append({**_named(group, *known), **starred})
    return rows


def _named(group: Group, *subsets: str) -> _Row:
    n_seeds = sorted({str(len(group.seeds(subset))) for subset in subsets})
    row = {"method": f"{group.model}, {group.experiment}", SOURCE: HERE, **_scale(group)}
    return {**row, "seeds": " or ".join(n_seeds)}


def _scale(group: Group) -> _Row:
    s = group.settings
    return {"faces": str(group.train), "px": str(s.image_size), "epochs": str(s.epochs)}


def _few_faces_experiment(n_faces: int, after_drawn: bool) -> str:
    if after_drawn:  # 25 faces have a slower and longer training of their own
        return "held-out-drawn-25-480-epochs" if n_faces == 25 else f"held-out-drawn-{n_faces}"
    return f"held-out-heads-{n_faces}" if n_faces in (100, 400, 1610) else f"held-out-{n_faces}"


def _errors(group: Group) -> tuple[np.ndarray, np.ndarray | None]:
    """NME in % of each seed, plain and by the flip test."""
    plain, flip = (group.errors(group.main_subset, kind) for kind in ("nme", "nme_flip"))
    assert plain is not None
    return 100 * plain.mean(axis=1), None if flip is None else 100 * flip.mean(axis=1)


def _with_flip(errors: tuple[np.ndarray, np.ndarray | None] | None) -> str:
    if errors is None:
        return NOTHING
    plain, flip = errors
    if flip is None:  # a baseline, of which there is one run
        return mean_and_spread(plain, 2)
    few = " *" if len(plain) < ENOUGH_SEEDS else ""
    return f"{mean_and_spread(plain, 2)} ({mean_and_spread(flip, 2)}){few}"


def _star(group: Group, subset: str) -> str:
    return " *" if len(group.seeds(subset)) < ENOUGH_SEEDS else ""


def _nme(group: Group) -> float:
    errors = group.errors(group.main_subset)
    return 0.0 if errors is None else float(errors.mean())


def _seconds(group: Group) -> str:
    return mean_and_spread([run["seconds"] for run in group.runs], 0)


def _by(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> dict[tuple[Any, ...], list[Any]]:
    found: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


@functools.cache
def _size(network: str, n_landmarks: int, with_pose: bool = True) -> tuple[int, int]:
    """Parameters, and multiply-adds at the paper's 224 pixels."""
    model = NETWORKS[network](
        input_shape=(224, 224, 3), n_landmarks=n_landmarks, include_pose=with_pose, weights=None
    )
    cost = model_cost(model)
    return cost.parameters, cost.multiply_adds
