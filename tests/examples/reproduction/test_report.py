"""The report of the reproduction: tables from hand-made records, pages and figures; no training."""

import re

import numpy as np
import pytest

import report as script
from keras_asm.synthetic import synthetic_faces
from paper import figures, tables
from paper.data import Faces
from paper.records import write_json
from paper.results import Results
from paper.settings import load_experiments
from paper.tables import QUOTED, SOURCE, Report, make_blocks, markdown

KNOWN = load_experiments()


def record(
    experiment="paper-64px", model="ASMNet_nr", seed=0, nme=(0.05, 0.07), subsets=("common",), **values
):
    """A finished run whose errors are the same on each subset."""
    settings = KNOWN[experiment].run(model, seed)
    result = {"nme": list(nme), "nme_flip": values.pop("flip", [round(0.9 * e, 5) for e in nme])}
    result |= {"pose_error": values.pop("pose_error", [[1.0, 2.0, 3.0]] * len(nme)), "detail": 0.25}
    if not result["pose_error"]:
        del result["pose_error"]
    data = {"train": values.pop("train", 2012), "test": len(nme), "subsets": dict.fromkeys(subsets, len(nme))}
    shape_model = {"n_components": 4, "train_nme": 0.05152} if settings.loss.assisted else None
    return {
        "kind": "run",
        "experiment": experiment,
        "model_name": model,
        "settings": settings.to_dict(),
        "data": {**data, "pose": True, "notes": ["a note"]},
        "versions": {"keras": "3.15.1", "backend": values.pop("backend", "tensorflow")},
        "device": "1 CPU core, x86_64",
        "model": {"parameters": 1439507, "trainable_parameters": 1412435, "multiply_adds": 21006856},
        "shape_model": shape_model,
        "seconds": 600.0,
        "history": {"landmarks_nme": [0.8, None, 0.1]},
        "results": dict.fromkeys(subsets, result),
        **values,
    }


def report_of(*records) -> Report:
    results = Results()
    for run in records:
        results.add(run, KNOWN)
    return Report(results, KNOWN)


def pair(plain=(0.06,), assisted=(0.05,), **values):
    """Runs of ASMNet_nr and ASMNet with these errors in each of four images, a seed for each."""
    return [
        record(model=model, seed=seed, nme=[round(error + 0.001 * i, 5) for i in (-3, -1, 1, 3)], **values)
        for model, errors in (("ASMNet_nr", plain), ("ASMNet", assisted))
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


def ours(text: str) -> list[dict[str, str]]:
    return [row for row in rows(text) if row.get(SOURCE) == "here"]


# --- numbers


def test_mean_and_spread_of_errors():
    # Means of 6, 7 and 5 %: the sample's standard deviation is 1
    found = ours(tables.table_2(report_of(*pair(plain=(0.06, 0.07, 0.05), assisted=(0.055,)))))
    plain, assisted = found
    assert plain["method"] == "ASMNet_nr, paper-64px"
    assert [plain[head] for head in ("faces", "px", "epochs", "seeds")] == ["2012", "64", "30", "3"]
    assert (plain["common"], assisted["common"]) == ("6.00 ± 1.00", "5.50 *")


def test_every_row_that_the_paper_quotes_is_marked():
    for table, n_quoted in (
        (tables.table_2, 8),
        (tables.table_3, 18),
        (tables.table_5, 2),
        (tables.table_6, 4),
    ):
        sources = [row[SOURCE] for row in rows(table(report_of()))]
        assert sources.count(QUOTED) == n_quoted
    (row,) = [row for row in rows(tables.table_2(report_of())) if row["method"] == "RCN"]
    assert (row[SOURCE], row["challenging"], row["px"]) == (QUOTED, "8.44", "–")


def test_effect_of_the_assisted_loss():
    # 6 % and 4.5 %: -1.5, a quarter; with t = -1.5 / sqrt(1/3 + 0.25/3) = -2.32 and 2.94 degrees of freedom
    # With the flip test, which here takes nothing off the assisted ones, 5.4 % and 4.5 %:
    # t = -0.9 / sqrt(0.81/3 + 0.25/3) = -1.51 and 3.13 degrees of freedom
    runs = pair(plain=(0.06, 0.07, 0.05), assisted=(0.045, 0.05, 0.04))
    for run in runs[3:]:
        run["results"]["common"]["nme_flip"] = run["results"]["common"]["nme"]
    (row,) = rows(tables.effect(report_of(*runs)))
    assert row == {
        "experiment": "paper-64px",
        "network": "ASMNet",
        "faces": "2012",
        "px": "64",
        "epochs": "30",
        "subset": "common (4)",
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


@pytest.mark.parametrize(("n_plain", "n_assisted"), [(1, 1), (3, 2), (2, 3)])
def test_an_effect_of_few_seeds_is_marked(n_plain, n_assisted):
    report = report_of(*pair(plain=(0.06, 0.07, 0.05)[:n_plain], assisted=(0.045, 0.05, 0.04)[:n_assisted]))
    for table in (tables.effect, tables.losses):
        row = rows(table(report))[-1]
        assert row["difference"].endswith(" *")
        assert ("p seeds" not in row) == (min(n_plain, n_assisted) < 2)


def test_failure_rate_and_auc():
    # Of 0.05 and 0.15 one fails, and the AUC is (0.5 + 0) / 2; the flip test gives 0.045 and 0.135
    (row,) = rows(tables.scores(report_of(record("strong-64px", "wing", nme=(0.05, 0.15)))))
    assert (row["experiment"], row["model"], row["seeds"]) == ("strong-64px", "wing", "0")
    assert (row["NME %"], row["FR %"], row["AUC"]) == ("10.00", "50.0", "0.250")
    assert (row["NME %, flip"], row["FR %, flip"], row["AUC, flip"]) == ("9.00", "50.0", "0.275")
    assert [row[head] for head in ("yaw", "pitch", "roll", "pose")] == ["1.00", "2.00", "3.00", "2.00"]
    assert row["detail"] == "0.25"


def test_losses():
    # A loss over another base is held against the plain loss over that base, and this against the plain one
    runs = [record("geometric-64px-no-pose", "ASMNet_nr", nme=(0.06, 0.08), pose_error=[])]
    runs += [
        record("geometric-64px-no-pose", model, nme=nme, pose_error=[])
        for model, nme in (("wing", (0.05, 0.07)), ("upright", (0.06, 0.1)), ("upright-wing", (0.05, 0.06)))
    ]
    found = {row["model"]: row for row in rows(tables.losses(report_of(*runs)))}
    assert [found[model]["difference"] for model in ("ASMNet_nr", "wing")] == ["–", "-1.00 *"]
    assert [found[model]["difference"] for model in ("upright", "upright-wing")] == ["+1.00 *", "-0.50 *"]
    assert (found["wing"]["components"], found["upright"]["components"]) == ("–", "4")
    assert (found["upright"]["ASM(G)"], found["upright"]["detail"]) == ("5.15", "0.25")
    assert "pose" not in found["wing"]


def test_recipes_and_their_parts():
    runs = [record(seed=seed, nme=(0.07, 0.09 + 0.01 * seed)) for seed in range(3)]
    runs += [record("strong-64px-pose-mse", "wing", seed=seed, nme=(0.04, 0.06)) for seed in range(3)]
    runs += [record("paper-96px"), record(model="mnv2"), record("paper-64px", "ASMNet", nme=(0.01, 0.01))]
    report = report_of(*runs, record("noise-15", nme=(0.01, 0.01)))
    first, second = rows(tables.recipes(report))  # other scales and noise are not compared
    assert (first["experiment"], first["NME %"]) == ("paper-64px", "8.50 ± 0.50")
    assert (second["experiment"], second["difference"], second["relative"]) == (
        "strong-64px-pose-mse",
        "-3.50",
        "-41.2 %",
    )
    assert second["recipe"] == "strong, pose base mse, weights mobilenet_v2_1.0_224_no_top_facebn"


def test_head_pose_where_it_is_known():
    def tested(head, faces=4):
        angles = {"landmarks": [4.0, 5.0, 9.0], "annotated": [2.0, 2.0, 5.0], "network": head}
        subsets = ("within_99", "yaw_0_30", "yaw_30_60", "yaw_60_90", "within_30")
        return {subset: {"faces": faces, **angles} for subset in subsets}

    runs = [record(seed=0, pose_test=tested([3.0, 6.0, 9.0])), record(seed=1, pose_test=tested([5, 6, 7]))]
    report = report_of(*runs, record(seed=2))  # the third was not asked
    head, annotated, landmarks, again = rows(tables.pose_where_known(report))
    assert (head["seeds"], head["experiment"], head["MAE (4)"]) == ("2", "paper-64px", "6.00 ± 0.00")
    assert (head["yaw"], head["roll"], head["30-60 (4)"]) == ("4.00 ± 1.41", "8.00 ± 1.41", "6.00 ± 0.00")
    assert (landmarks["seeds"], landmarks["yaw"]) == ("2", "4.00 ± 0.00")
    assert annotated == again
    assert (annotated["experiment"], annotated["MAE (4)"]) == ("annotated landmarks", "3.00")
    assert tables.pose_where_known(report_of(record())) == ""


def test_baselines():
    faces = {"dataset": "300w", "image_size": 224, "train": 2012, "test": 554}
    scores = {"nme": 0.037, "failure_rate": 0.004, "area_under_ced": 0.637}
    peer = {"method": "ridge", "faces": faces, "settings": {}, "scores": scores, "model_bytes": 10365000}
    peer |= {"milliseconds_per_face": 16.1, "training_seconds": 88.0, "device": "a core", "versions": {}}
    network = peer | {"method": "ASMNet", "settings": {"epochs": 60}, "scores": scores | {"nme": 0.04}}
    report = report_of(peer, network)
    assert not report.results.add(peer, KNOWN)  # is there already
    first, second = rows(tables.baselines(report))
    assert (first["method"], first["epochs"], first["NME %"]) == ("ASMNet", "60", "4.00")
    assert (second["method"], second["epochs"], second["size"]) == ("ridge", "–", "10.365 MB")
    assert (second["a face"], second["training"], second["AUC"]) == ("16.1 ms", "88 s", "0.637")


def test_few_faces():
    """Plain means of 5, 6 and 7 %, by the flip test 4.5, 5.4 and 6.3; 25 faces have one seed, and no decoder."""
    runs = [
        record(
            "held-out-heads-100",
            "wing-coordinates",
            seed,
            (0.04 + 0.01 * seed, 0.06 + 0.01 * seed),
            train=100,
        )
        for seed in range(3)
    ]
    runs.append(record("held-out-25", "wing", nme=(0.08, 0.1), train=25))
    faces = {"dataset": "300w", "image_size": 224, "train": 25, "test": 402}
    scores = {"nme": 0.08, "failure_rate": 0.2, "area_under_ced": 0.3}
    peer = {"method": "ridge", "faces": faces, "settings": {}, "scores": scores, "model_bytes": 1}
    peer |= {"milliseconds_per_face": 1.0, "training_seconds": 1.0, "device": "a core", "versions": {}}
    others = [peer | {"faces": faces | {"test": 554}}, peer | {"method": "mean_shape"}]  # are not in it
    found = {row["real faces"]: row for row in rows(tables.few_faces(report_of(*runs, peer, *others)))}
    assert list(found) == ["none", "25", "50", "100", "200", "400", "1000", "1610"]
    assert found["100"]["with the decoder"] == "6.00 ± 1.00 (5.40 ± 0.90)"
    assert (found["25"]["plain"], found["25"]["ridge cascade"]) == ("9.00 (8.10) *", "8.00")
    assert set(found["50"].values()) == {"50", "–"}
    assert tables.few_faces(report_of()) == ""


# --- what may be mixed


def test_runs_that_are_not_averaged():
    """Other experiments, numbers of training faces and backends are rows of their own."""
    runs = [record(seed=0), record(seed=1, train=3148), record(seed=2, backend="jax")]
    found = ours(tables.table_2(report_of(*runs, record("paper-64px-slow"))))
    assert len(found) == 4
    assert {row["seeds"] for row in found} == {"1"}


def test_runs_on_more_subsets_count_where_they_were_tested():
    """Later runs are tested on all of 300W, earlier ones on common alone."""
    later = record(seed=1, nme=(0.09, 0.11), subsets=("full", "common", "challenging"))
    (row,) = ours(tables.table_2(report_of(record(seed=0, nme=(0.05, 0.05)), later)))
    assert (row["common"], row["challenging"], row["full"]) == ("7.50 ± 3.54 *", "10.00 *", "10.00 *")
    assert row["seeds"] == "1 or 2"
    (group,) = report_of(later, record(seed=0)).groups
    assert (list(group.subsets), group.main_subset) == (["common", "challenging", "full"], "common")


def test_a_run_counts_once():
    results = Results()
    assert results.add(record(), KNOWN)
    assert not results.add(record(), KNOWN)
    with pytest.raises(ValueError, match="Received: paper-64px/ASMNet_nr-0 again"):
        results.add(record(nme=(0.01, 0.02)), KNOWN)


def test_a_record_that_does_not_name_its_experiment():
    """As runs left them once, with a loss in a word: its settings say which it is."""
    run = record("paper-96px", "ASMNet", seed=3)
    del run["experiment"], run["model_name"]
    run["settings"]["loss"] = "asm"
    results = Results()
    results.add(run, KNOWN)
    assert list(results.runs) == ["paper-96px/ASMNet-3"]
    run["settings"]["epochs"] = 7
    with pytest.raises(ValueError, match="Expected the settings of an experiment"):
        results.add(run, KNOWN)


def test_a_run_of_an_unknown_experiment():
    run = record()
    run["experiment"] = "mine"
    with pytest.raises(ValueError, match=r"--file names more. Received: \['mine/ASMNet_nr-0'\]"):
        make_blocks(report_of(run))


def test_nothing_is_invented():
    """Without runs there are the paper's numbers alone, and they stand in no row of ours."""
    assert all(row[SOURCE] != "here" for row in rows(tables.table_2(report_of())))
    only_paper = {"table_1", "table_2", "table_3", "table_4", "table_5", "table_6", "table_7", "headline"}
    only_paper.add("contradictions")
    assert {name for name, text in make_blocks(report_of()).items() if text} == only_paper
    strange = report_of(record(nme=(0.5, 0.5), pose_error=[[77.0] * 3] * 2), record(model="ASMNet"))
    printed = {cell for row in rows(tables.table_2(report_of())) for cell in row.values() if "." in cell}
    for row in ours(tables.table_2(strange) + "\n\n" + tables.table_4(strange)):
        assert not printed & set(re.findall(r"\d+\.\d+", " ".join(row.values())))


def test_markdown():
    text = markdown([{"a": "x", "b": "1.00 ± 0.10", "c": "–"}, {"a": "y", "b": "–"}], "Label")
    assert text == "**Label**\n\n| a | b |\n| --- | --: |\n| x | 1.00 ± 0.10 |\n| y | – |"
    assert markdown([]) == ""


# --- the command


@pytest.fixture
def runs(tmp_path):
    """A folder with two finished runs."""
    for run in (record(), record(model="ASMNet")):
        write_json(tmp_path / "runs" / f"{run['model_name']}.json", run)
    write_json(tmp_path / "runs" / "other.json", {"kind": "predictions"})
    return tmp_path / "runs"


def test_runs_are_taken_in_and_pages_filled(runs, tmp_path, capsys):
    page = tmp_path / "page.md"
    page.write_text("# Mine\n\n<!-- begin: scores -->\nold\n<!-- end: scores -->\n\nkept\n")
    command = ["--results", str(tmp_path / "results")]
    assert script.main(command) == 1
    assert "Expected finished runs. Received: none" in capsys.readouterr().err
    assert script.main([*command, "--add", str(runs)]) == 0
    printed = capsys.readouterr()
    assert "2 of 2 runs are new" in printed.err
    assert len(rows(printed.out)) > 8
    assert script.main([*command, "--pages", str(page), "--check"]) == 1
    assert "not what the results give" in capsys.readouterr().err
    assert "old" in page.read_text()
    assert script.main([*command, "--pages", str(page)]) == 0
    filled = page.read_text()
    assert filled.startswith("# Mine\n\n<!-- begin: scores -->\n\n**300W**\n\n| experiment |")
    assert filled.endswith("\n\n<!-- end: scores -->\n\nkept\n")
    assert script.main([*command, "--pages", str(page), "--check"]) == 0
    with pytest.raises(SystemExit):
        script.main([*command, "--check"])
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
        script.fill_blocks(page, {"errors": "new", "pose": "new"})
    assert script.fill_blocks("<!-- begin: pose -->\nold\n<!-- end: pose -->", {"pose": ""}) == (
        "<!-- begin: pose -->\n<!-- end: pose -->"
    )


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
    run = record("smoke", nme=(0.005 * 2**0.5 / eyes).round(5).tolist(), subsets=(subset,))
    run["settings"]["hold_out"] = request.param
    write_json(tmp_path / "predictions" / "smoke" / "ASMNet_nr-0.json", {"landmarks": predictions.tolist()})
    return tmp_path, run, faces


def test_figures(predicted, tmp_path, monkeypatch, capsys):
    folder, run, faces = predicted
    report = report_of(run)
    (ced,) = figures.write_ced(report.groups, tmp_path / "figures")
    assert ced.name == "ced_smoke.png"
    (sheet,) = figures.write_overlays(report.groups, faces, folder, tmp_path / "figures")
    assert sheet.name == "predictions_smoke_ASMNet_nr.png"
    assert ced.stat().st_size > 1000 < sheet.stat().st_size
    assert figures.write_overlays(report.groups, faces, tmp_path / "nothing", tmp_path / "figures") == []
    for others in (faces.test.select(np.arange(6)[::-1]), faces.test.select(np.arange(5))):
        other_faces = Faces(others, others, {"test": np.arange(len(others))})
        with pytest.raises(ValueError, match="Received: those of other faces"):
            figures.write_overlays(report.groups, other_faces, folder, tmp_path)

    report.results.save(tmp_path / "results")
    monkeypatch.setattr(script, "load_faces", lambda args, dataset, image_size: faces)
    command = ["--results", str(tmp_path / "results"), "--runs", str(folder), "--experiments", "smoke"]
    assert script.main([*command, "--figures", str(tmp_path / "more")]) == 0
    assert len(list((tmp_path / "more").iterdir())) == 2
    assert "predictions_smoke" in capsys.readouterr().out
