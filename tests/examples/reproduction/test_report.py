"""The report of the reproduction: tables from hand-made records, pages and figures; no training."""

import json
import re
from pathlib import Path

import numpy as np
import paper_report
import pytest
from paper.groups import group_runs

from keras_asm.synthetic import synthetic_faces
from paper import figures, numbers
from paper.data import Faces
from paper.records import read_records, write_json
from paper.settings import RECIPES, RunSettings
from paper.tables import every_run, known_pose, make_blocks, paper_tables, peers, variants

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / name for name in ("reproduction.md", "reproduction_runs.md")]
RESULTS = ROOT / "docs" / "results" / "reproduction"


def record(network="ASMNet", loss="plain", seed=0, nme=(0.05, 0.07), subsets=("common",), **values):
    """A finished run whose errors are the same on each subset; `values` are settings, or say what is named here."""
    data = {"train": values.pop("train", 2012), "test": len(nme)}
    data |= {"subsets": dict.fromkeys(subsets, len(nme)), "pose": True, "notes": ["a note"]}
    backend, device = values.pop("backend", "tensorflow"), values.pop("device", "1 CPU core, x86_64")
    result = {"nme": list(nme), "nme_flip": [0.9 * error for error in nme]}
    result["pose_error"] = values.pop("pose_error", [[1.0, 2.0, 3.0]] * len(nme))
    if result["pose_error"] is None:
        del result["pose_error"]
    if "detail" in values:
        result["detail"] = values.pop("detail")
    given = {"dataset": "300w", "recipe": "strong", **RECIPES["strong"], "image_size": 64, "epochs": 30}
    settings = RunSettings(network=network, loss=loss, seed=seed, **{**given, **values})
    return {
        "kind": "run",
        "name": settings.name,
        "settings": vars(settings),
        "data": data,
        "versions": {"keras": "3.15.1", "backend": backend},
        "device": device,
        "model": {"parameters": 1439507, "trainable_parameters": 1412435, "multiply_adds": 21006856},
        "shape_model": None if loss.startswith("plain") else {"n_components": 4, "train_nme": 0.05152},
        "seconds": 600.0,
        "history": {"loss": [0.1] * 30},
        "results": dict.fromkeys(subsets, result),
    }


def pair(plain=(0.06,), assisted=(0.05,), **values):
    """Runs of ASMNet_nr and ASMNet with these errors in each of four images, a seed for each."""
    return [
        record(loss=loss, seed=seed, nme=[error + 0.001 * i for i in (-3, -1, 1, 3)], **values)
        for loss, errors in (("plain", plain), ("asm", assisted))
        for seed, error in enumerate(errors)
    ]


def rows(text: str) -> list[dict[str, str]]:
    """The rows of all tables of a text, by the heads of their columns."""
    found, heads = [], None
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else None
        if cells is None:
            heads = None
        elif heads is None:
            heads = cells
        elif not set(cells[0]) <= set("-:"):
            found.append(dict(zip(heads, cells, strict=True)))
    return found


# --- numbers


def test_mean_and_spread_of_errors():
    # Means of 6, 7 and 5 %: the sample's standard deviation is 1
    runs = pair(plain=(0.06, 0.07, 0.05), assisted=(0.055,))
    printed, ours = rows(paper_tables.errors_table(group_runs(runs)))
    assert printed == {
        "subset": "common (554)",
        "recipe": paper_tables.PRINTED,
        "faces": "3148",
        "px": "224",
        "epochs": "150",
        "ASMNet_nr": "5.86",
        "ASMNet": "4.82",
    }
    assert ours == {
        "subset": "common (4)",
        "recipe": "strong",
        "faces": "2012",
        "px": "64",
        "epochs": "30",
        "ASMNet_nr": "6.00 ± 1.00",
        "ASMNet": "5.50 *",
    }


def test_effect_of_the_assisted_loss():
    # 6 % and 4.5 %: -1.5, a quarter; with t = -1.5 / sqrt(1/3 + 0.25/3) = -2.32 and 2.94 degrees of freedom
    # With the flip test, which here takes nothing off the assisted ones, 5.4 % and 4.5 %:
    # t = -0.9 / sqrt(0.81/3 + 0.25/3) = -1.51 and 3.13 degrees of freedom
    runs = pair(plain=(0.06, 0.07, 0.05), assisted=(0.045, 0.05, 0.04))
    for run in runs[3:]:
        run["results"]["common"]["nme_flip"] = run["results"]["common"]["nme"]
    printed, row = rows(paper_tables.effect_table(group_runs(runs)))
    setting = ["recipe", "faces", "px", "epochs"]
    assert [printed.pop(head) for head in setting] == [paper_tables.PRINTED, "3148", "224", "150"]
    assert [row.pop(head) for head in setting] == ["strong", "2012", "64", "30"]
    assert row == {
        "subset": "common (4)",
        "network": "ASMNet",
        "seeds": "3 and 3",
        "plain": "6.00 ± 1.00",
        "assisted": "4.50 ± 0.50",
        "difference": "-1.50",
        "relative": "-25.0 %",
        "p images": "0.12",  # the least of four images: 2 / 2^4
        "p seeds": "0.1",
        "difference, flip": "-0.90",
        "p seeds, flip": "0.22",
    }
    assert (printed["plain"], printed["assisted"]) == ("5.86", "4.82")
    assert (printed["difference"], printed["relative"]) == ("-1.04", "-17.7 %")
    assert {printed[head] for head in ("seeds", "p images", "p seeds", "difference, flip")} == {"–"}


def test_head_pose_where_it_is_known():
    def tested(head, faces=4):
        angles = {"landmarks": [4.0, 5.0, 9.0], "annotated": [2.0, 2.0, 5.0], "network": head}
        subsets = ("within_99", "yaw_0_30", "yaw_30_60", "yaw_60_90", "within_30")
        return {subset: {"faces": faces, **angles} for subset in subsets}

    runs = [record(seed=0) | {"pose_test": tested([3.0, 6.0, 9.0])}]
    runs += [
        record(seed=1) | {"pose_test": tested([5.0, 6.0, 7.0])},
        record(seed=2),
    ]  # the third was not asked
    text = known_pose.known_pose_table(group_runs(runs))
    head, annotated, landmarks, again = rows(text)
    assert (head["seeds"], head["recipe"], head["MAE (4)"]) == ("2", "strong", "6.00 ± 0.00")
    assert (head["yaw"], head["roll"], head["30-60 (4)"]) == ("4.00 ± 1.41", "8.00 ± 1.41", "6.00 ± 0.00")
    assert (landmarks["seeds"], landmarks["yaw"], landmarks["MAE (4)"]) == ("2", "4.00 ± 0.00", "6.00 ± 0.00")
    assert annotated == again
    assert (annotated["recipe"], annotated["network"], annotated["MAE (4)"]) == (
        "annotated landmarks",
        "–",
        "3.00",
    )
    assert known_pose.known_pose_table(group_runs([record()])) == ""
    # Tests on other faces, and other training sets, are tables of their own
    others = [record(epochs=60) | {"pose_test": tested([3.0, 6.0, 9.0], faces=7)}]
    others += [record(dataset="synthetic") | {"pose_test": tested([3.0, 6.0, 9.0])}]
    text = known_pose.known_pose_table(group_runs(runs + others))
    assert next(row["MAE (7)"] for row in rows(text) if "MAE (7)" in row) == "6.00"
    assert text.count("by the network's pose output") == 3


def test_recipes_and_their_parts():
    better = {"nme": (0.04, 0.06), "weights": "some.h5", "loss": "plain,base=wing"}
    runs = [record(seed=seed, nme=(0.07, 0.09 + 0.01 * seed)) for seed in range(3)]
    runs += [record(seed=seed, **better) for seed in range(3)]
    runs += [record(image_size=96), record(loss="asm", nme=(0.01, 0.01)), record(network="mnv2")]
    runs += [record(label_noise=0.05)]
    text = variants.recipes_table(group_runs(runs))
    first, second = rows(text)  # one size has a single recipe, and the assisted loss stands elsewhere
    assert "300W, ASMNet: 64 px, 30 epochs, 2012 training faces, TensorFlow" in text
    assert list(first)[:4] == ["loss", "weights", "seeds", "NME %, common (2)"]
    assert (first["loss"], first["weights"], first["NME %, common (2)"]) == ("`plain`", "–", "8.50 ± 0.50")
    assert (second["loss"], second["weights"], second["NME %, flip"]) == (
        "`plain,base=wing`",
        "some.h5",
        "4.50 ± 0.00",
    )
    assert (second["pose"], second["difference"], second["relative"]) == ("2.00 ± 0.00", "-3.50", "-41.2 %")
    assert variants.recipes_table(group_runs([record()])) == ""


@pytest.mark.parametrize(("n_plain", "n_assisted"), [(1, 1), (3, 2), (2, 3)])
def test_an_effect_of_few_seeds_is_marked(n_plain, n_assisted):
    runs = pair(plain=(0.06, 0.07, 0.05)[:n_plain], assisted=(0.045, 0.05, 0.04)[:n_assisted])
    for table in (paper_tables.effect_table, variants.losses_table):
        text = table(group_runs(runs))
        assert rows(text)[-1]["difference"].endswith(" *")
        assert "A star marks an effect with fewer than 3 seeds" in text
    assert (rows(text)[-1]["p seeds"] == "–") == (min(n_plain, n_assisted) < 2)


def test_failure_rate_and_auc():
    # Of 0.05 and 0.15 one fails, and the AUC is (0.5 + 0) / 2; the flip test gives 0.045 and 0.135
    wing = record(nme=(0.05, 0.15), loss="plain,base=wing")  # none of the paper's models
    (row,) = rows(every_run.failures_table(group_runs([wing])))
    assert (row["network"], row["loss"], row["seeds"]) == ("ASMNet", "`plain,base=wing`", "1")
    assert (row["NME %"], row["FR %"], row["AUC"]) == ("10.00", "50.0", "0.250")
    assert (row["NME %, flip"], row["FR %, flip"], row["AUC, flip"]) == ("9.00", "50.0", "0.275")


def test_pose():
    runs = [
        record(seed=seed, pose_error=[[yaw, 2.0, 3.0], [yaw, 3.0, 4.0]], subsets=("common", "full"))
        for seed, yaw in enumerate((1.0, 3.0))
    ]
    printed, common, full = rows(paper_tables.pose_table(group_runs(runs)))
    assert (common["model"], common["seeds"], common["subset"]) == ("ASMNet_nr", "2", "common (2)")
    assert [full[angle] for angle in ("yaw", "pitch", "roll")] == [
        "2.00 ± 1.41",
        "2.50 ± 0.00",
        "3.50 ± 0.00",
    ]
    # On what test set is not said; the printed 2.115 keeps its third decimal
    assert (printed["subset"], printed["recipe"], printed["seeds"]) == ("–", paper_tables.PRINTED, "–")
    assert [printed[angle] for angle in ("yaw", "pitch", "roll")] == ["2.41", "1.87", "2.115"]
    assert paper_tables.pose_table(group_runs([record(pose_error=None)])) == ""


def test_sizes():
    text = paper_tables.sizes_table(group_runs([record(), record(seed=1), record(seed=2, recipe="paper")]))
    (row,) = rows(text)
    assert row == {
        "network": "ASMNet",
        "parameters": "1.440 M",
        "paper": "1.43 M",
        "multiply-adds": "256.5 M",
        "FLOPs": "0.51 B",
        "paper, FLOPs": "0.51 B",
    }
    assert paper_tables.sizes_table(group_runs([record(width_multiplier=0.35)])) == ""


def test_losses():
    runs = [
        record(nme=(0.06, 0.08)),
        record(loss="asm", nme=(0.06, 0.1)),
        record(loss="asm,align=procrustes"),
    ]
    found = rows(variants.losses_table(group_runs(runs)))
    assert [row["loss"] for row in found] == ["`plain`", "`asm`", "`asm,align=procrustes`"]
    plain, assisted, aligned = found
    assert (plain["components"], plain["ASM(G)"], plain["difference"]) == ("–", "–", "–")
    assert (assisted["components"], assisted["ASM(G)"]) == ("4", "5.15")
    assert (assisted["NME %, common (2)"], assisted["difference"]) == ("8.00", "+1.00 *")
    assert (aligned["NME %, common (2)"], aligned["relative"]) == ("6.00", "-14.3 %")
    # A loss over another base is held against the plain loss over that base, and this against the plain one
    runs += [record(loss="plain,base=wing", nme=(0.05, 0.07)), record(loss="asm,base=wing", nme=(0.05, 0.06))]
    runs += [record(loss="asm,base=mae")]
    differences = {
        row["loss"].strip("`"): row["difference"] for row in rows(variants.losses_table(group_runs(runs)))
    }
    assert differences["plain,base=wing"] == "-1.00 *"
    assert differences["asm,base=wing"] == "-0.50 *"
    assert differences["asm,base=mae"] == "–"
    assert "control" not in variants.losses_table(group_runs(runs))
    assert "control" in variants.losses_table(group_runs([*runs, record(loss=variants.CONTROL)]))


def test_runs():
    text = every_run.runs_table(group_runs([record(), record(seed=2)]))
    row, *recipe = rows(text)
    assert (row["seeds"], row["epochs"], row["seconds a run"]) == ("0, 2", "30", "600 ± 0")
    assert {"": "batch size", "strong recipe": "32"} in recipe
    assert "label noise" not in str(recipe)
    assert "Versions: keras 3.15.1. Data: a note." in text


def test_wflw_has_its_own_table_and_the_paper_s_subsets():
    subsets = numbers.NME_WFLW.columns
    text = paper_tables.errors_table(group_runs([record(), record(dataset="wflw", subsets=subsets)]))
    assert "### Table 2 (paper): normalised mean error on 300W" in text
    assert "### Table 3 (paper): normalised mean error on WFLW" in text
    printed = [row for row in rows(text) if row["recipe"] == paper_tables.PRINTED and row["faces"] == "7500"]
    assert [float(row["ASMNet_nr"]) for row in printed] == list(numbers.NME_WFLW.rows["ASMNet_nr"])
    assert [row["subset"] for row in printed] == ["test (2500)", *subsets[1:]]


def test_what_is_trained_longer_or_on_more():
    large = {"image_size": 128, "epochs": 60}
    runs = [record(), record(seed=1, nme=[0.055, 0.075]), record(nme=(0.04, 0.04), **large)]
    runs += [record(nme=(0.05, 0.05), train=4000, extra_dataset="youtube_faces", detail=0.25)]
    apart = [record(nme=(0.01, 0.01), augmentation="geometric", **large), record(loss="asm", **large)]
    text = variants.scaling_table(group_runs(runs + apart))
    small, more, larger = rows(text)
    assert [row["NME %, common (2)"] for row in (small, more, larger)] == ["6.25 ± 0.35", "5.00", "4.00"]
    assert [row["images"] for row in (small, more, larger)] == ["64 px", "64 px", "128 px"]
    assert [row["epochs"] for row in (small, more, larger)] == ["30", "30", "60"]
    assert [row["steps"] for row in (small, more, larger)] == [
        "1890",
        "3750",
        "3780",
    ]  # 63, 125 and 63 batches
    assert [row["extra dataset"] for row in (small, more, larger)] == ["–", "youtube_faces", "–"]
    assert [row["detail"] for row in (small, more, larger)] == ["–", "0.25", "–"]
    assert more["NME %, flip"] == "4.50"
    assert more["pose"] == "2.00"
    assert "weights" not in small
    assert variants.scaling_table(group_runs([record(), *apart[:1]])) == ""


def test_peers():
    peer = {"method": "ridge", "scores": {"nme": 0.037, "failure_rate": 0.004}, "model_bytes": 10365000}
    peer["faces"] = {"dataset": "300w", "image_size": 224, "train": 2012, "test": 554}
    network = {
        "method": "ASMNet",
        "scores": {"nme": 0.04},
        "faces": peer["faces"],
        "settings": {"epochs": 60},
    }
    text = peers.peers_table([peer, {"method": "odd", "scores": {}}, network])
    asm_net, ridge, odd = rows(text)
    assert "**300W, 2012 training faces, 554 test faces**" in text
    assert (ridge["image size"], odd["image size"]) == ("224 px", "–")
    assert (ridge["NME %"], ridge["FR %"], ridge["AUC"], ridge["size"]) == ("3.70", "0.4", "–", "10.365 MB")
    assert (asm_net["epochs"], ridge["epochs"]) == ("60", "–")
    assert set(odd.values()) == {"odd", "–"}


# --- what may be mixed


@pytest.mark.parametrize(
    "other",
    [
        {"epochs": 60},
        {"batch_size": 50},
        {"learning_rate": 1e-3},
        {"weights": "imagenet"},
        {"max_train_faces": 1000},
        {"train": 3148},
        {"backend": "jax"},
        {"subsets": ("common", "full")},
    ],
)
def test_settings_are_never_mixed(other):
    runs = [record(nme=(0.05, 0.05)), record(nme=(0.09, 0.09), seed=1, **other), record(loss="asm", **other)]
    experiments = group_runs(runs)
    assert sorted(len(experiment.records) for experiment in experiments) == [1, 2]
    if "subsets" not in other:
        assert len({experiment.label for experiment in experiments}) == 2

    def ours(text):
        return [
            row
            for row in rows(text)
            if row["recipe"] != paper_tables.PRINTED and row["subset"] == "common (2)"
        ]

    found = [(row["ASMNet_nr"], row["ASMNet"]) for row in ours(paper_tables.errors_table(experiments))]
    assert sorted(found) == [("5.00 *", "–"), ("9.00 *", "6.00 *")]
    # The assisted run has a plain one in its own setting only
    assert {row["plain"] for row in ours(paper_tables.effect_table(experiments))} == {"9.00"}
    if other != {"subsets": ("common", "full")}:  # which the first column tells
        texts = [tuple(row.values())[:-2] for row in ours(paper_tables.errors_table(experiments))]
        assert len(set(texts)) == 2


def test_devices_are_named_and_not_told_apart():
    (experiment,) = group_runs([record(), record(seed=1, device="2 CPU cores, x86_64")])
    assert experiment.label == (
        "300W: 64 px, 30 epochs, batch 32, strong recipe, 2012 training faces, 2 test faces, "
        "TensorFlow on 1 CPU core and 2 CPU cores"
    )


def test_no_seed_counts_twice():
    with pytest.raises(ValueError, match=r"once\. Received: 300w_ASMNet_plain\S+ twice$"):
        group_runs([record(), record()])


def test_nothing_is_invented():
    """Without runs there is no table, and the numbers of the paper stand in rows and columns named after it only."""
    assert set(make_blocks([]).values()) == {""}
    strange = [record(nme=(0.5, 0.5), pose_error=[[77.0] * 3] * 2), record(loss="asm", nme=(0.4, 0.4))]
    other = record(dataset="youtube_faces", nme=(0.3, 0.3), subsets=("test",))
    text = "\n\n".join(make_blocks(group_runs([*strange, other])).values())
    printed = {
        f"{cell:.2f}"
        for table in (numbers.SIZE_AND_ERROR, numbers.NME_300W, numbers.NME_WFLW, numbers.POSE)
        for model in numbers.MODELS
        for cell in table.rows[model]
    } - {"0.51"}  # the FLOPs of ASMNet, which agree
    for row in rows(text):
        for head, cell in row.items():
            if (
                head != "paper"
                and not head.startswith("paper,")
                and row.get("recipe") != paper_tables.PRINTED
            ):
                assert not printed & set(re.findall(r"\d+\.\d+", cell)), (head, cell)
    # mnv2 was not run, and YouTube Faces is not in the paper
    assert "mnv2" not in text
    (row,) = rows(paper_tables.errors_table(group_runs([other])))
    assert (row["subset"], row["ASMNet_nr"]) == ("test (2)", "30.00 *")


# --- pages


@pytest.fixture
def results(tmp_path):
    """A folder with two finished runs."""
    for run in (record(), record(loss="asm")):
        write_json(tmp_path / "results" / f"{run['name']}.json", run)
    return tmp_path / "results"


def test_a_page_is_filled_and_checked(results, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text(
        "# Mine\n\n<!-- begin: errors -->\nold\n<!-- end: errors -->\n\nkept\n\n"
        "<!-- begin: peers -->\nold\n<!-- end: peers -->\n"
    )
    command = ["--results", str(results), "--pages", str(page)]
    assert paper_report.main([*command, "--check"]) == 1
    assert "not what the results give" in capsys.readouterr().err
    assert "old" in page.read_text()

    assert paper_report.main(command) == 0
    filled = page.read_text()
    assert filled.startswith("# Mine\n\n<!-- begin: errors -->\n\n### Table 2 (paper)")
    assert filled.endswith("\n\nkept\n\n<!-- begin: peers -->\n<!-- end: peers -->\n")
    assert "old" not in filled
    assert paper_report.main([*command, "--check"]) == 0
    assert paper_report.main(command) == 0
    assert page.read_text() == filled

    run = record(seed=1)
    write_json(results / f"{run['name']}.json", run)
    assert paper_report.main([*command, "--check"]) == 1
    assert page.read_text() == filled


def test_tables_are_printed(results, tmp_path, capsys):
    assert paper_report.main(["--results", str(results)]) == 0
    assert len(rows(capsys.readouterr().out)) > 8
    assert paper_report.main(["--results", str(tmp_path / "empty")]) == 1
    assert "Received: none below" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        paper_report.main(["--results", str(results), "--check"])
    assert "--check needs --pages" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("<!-- begin: errors -->\n", "needs its"),
        ("<!-- begin: errors -->\n<!-- end: pose -->\n", "needs its"),
        (
            "<!-- begin: errors -->\n<!-- begin: pose -->\n<!-- end: pose -->\n<!-- end: errors -->\n",
            "needs its",
        ),
        (
            "<!-- begin: eror -->\n<!-- end: eror -->\n",
            r"The blocks are \['errors', 'pose'\]\. Received: \['eror'\]",
        ),
    ],
)
def test_markers_that_do_not_fit(page, message):
    with pytest.raises(ValueError, match=message):
        paper_report.fill_blocks(page, {"errors": "new", "pose": "new"})


def test_the_pages_have_every_block():
    names = [name for page in PAGES for name in re.findall(r"<!-- begin: (\w+) -->", page.read_text("utf-8"))]
    assert sorted(names) == sorted(make_blocks([]))


@pytest.mark.skipif(not RESULTS.is_dir(), reason="there are no results of the reproduction yet")
def test_the_pages_are_current():
    folders = [str(RESULTS), str(RESULTS.parent / "peers")]
    assert paper_report.main(["--results", *folders, "--pages", *map(str, PAGES), "--check"]) == 0


# --- figures


@pytest.fixture(params=[None, 0.5], ids=["tested", "held out"])
def predicted(tmp_path, request):
    """Synthetic faces, and the files of a run that predicts them moved by half a hundredth of a crop."""
    drawn = synthetic_faces(6, seed=1, image_size=32)
    faces = Faces(drawn, drawn, {"test": np.arange(6)})
    tested = faces.held_out(request.param)
    test, (subset,) = tested.test, tested.subsets
    predictions = np.round(test.landmarks + 0.005, 5).reshape(len(test), -1)
    eyes = np.linalg.norm(test.landmarks[:, 36] - test.landmarks[:, 45], axis=-1)
    run = record(
        dataset="synthetic",
        nme=(0.005 * 2**0.5 / eyes).round(5).tolist(),
        subsets=(subset,),
        hold_out=request.param,
    )
    write_json(tmp_path / f"{run['name']}.json", run)
    write_json(
        tmp_path / "predictions" / f"{run['name']}.json",
        {"kind": "predictions", "names": list("abcdef"[: len(test)]), "landmarks": predictions.tolist()},
    )
    return tmp_path, faces


def test_figures(predicted, tmp_path):
    folder, faces = predicted
    experiments = group_runs(read_records([folder]))
    (ced,) = figures.write_ced(experiments, tmp_path / "figures")
    assert ced.name.startswith("ced_synthetic_strong_64px_30ep")
    (sheet,) = figures.write_overlays(experiments[0], faces, [folder], tmp_path / "figures")
    assert sheet.name.endswith("_asmnet-plain.png")
    assert ced.stat().st_size > 1000 < sheet.stat().st_size
    assert figures.write_overlays(experiments[0], faces, [], tmp_path / "figures") == []


def test_predictions_of_other_faces_are_not_drawn(predicted, tmp_path):
    folder, faces = predicted
    (experiment,) = group_runs(read_records([folder]))
    for others in (faces.test.select(np.arange(6)[::-1]), faces.test.select(np.arange(5))):
        other_faces = Faces(others, others, {"test": np.arange(len(others))})
        with pytest.raises(ValueError, match="of other faces"):
            figures.write_overlays(experiment, other_faces, [folder], tmp_path)


def test_figures_of_the_command(predicted, tmp_path, capsys, monkeypatch):
    folder, faces = predicted
    monkeypatch.setattr(paper_report, "load_faces", lambda args, image_size: faces)
    figures_to = ["--results", str(folder), "--figures", str(tmp_path / "figures")]
    assert paper_report.main(figures_to) == 0
    assert len(list((tmp_path / "figures").iterdir())) == 1
    assert paper_report.main([*figures_to, "--dataset", "synthetic"]) == 0
    assert len(list((tmp_path / "figures").iterdir())) == 2
    assert json.loads(next(folder.glob("*.json")).read_text())["kind"] == "run"
    assert "predictions_synthetic" in capsys.readouterr().out
