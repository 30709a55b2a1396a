"""What is published follows from the results: every cell of the first pages, today's pages, and their prose."""

import csv
import itertools
import re
import runpy
from html import escape
from pathlib import Path

import numpy as np
import pytest

import report as script
from keras_asm.evaluation import compare_paired
from paper.measures import compare, known_pose, measure
from paper.results import Results, run_settings
from paper.settings import load_experiments
from paper.tables import AFTER_DRAWN, Report, few_faces_errors, make_blocks, mean_and_spread

ROOT = Path(__file__).parents[3]
HERE = ROOT / "examples" / "reproduction"
PAGES = [HERE / "RESULTS.md", ROOT / "docs" / "reproduction.md", ROOT / "docs" / "few_faces.md"]
PUBLISHED = Path(__file__).with_name("published_numbers.csv")


@pytest.fixture(scope="module")
def report():
    return Report(Results.load(script.RESULTS), load_experiments())


@pytest.fixture(scope="module")
def blocks(report):
    return make_blocks(report)


def test_every_number_of_the_first_pages(report):
    """The cells of all generated tables before the results became files of their own, over the seeds of that time."""
    with PUBLISHED.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1628
    found = {}
    for row in rows:
        key = tuple(row[name] for name in ("table", "model", "seeds", "subset", "against"))
        if key not in found:
            found[key] = _cells(report, row)
        assert found[key][row["measure"]].removesuffix(" *") == row["value"], row


def _cells(report, row):
    group = report.find(*row["model"].split("/")).of_seeds(map(int, row["seeds"].split()))
    table, _, source = row["table"].partition(" ")
    if table in ("effect", "recipes"):
        return compare(report.find(*row["against"].split("/")).of_seeds(range(3)), group, row["subset"])
    if table == "known_pose":
        cells = {head.split(" (")[0]: cell for head, cell in known_pose(group, source).items()}
        return {head: cell.split(" ±")[0] if source == "annotated" else cell for head, cell in cells.items()}
    if row["subset"]:
        return measure(group, row["subset"])
    run = group.runs[0]
    return {
        "seconds a run": mean_and_spread([run["seconds"] for run in group.runs], 0),
        "components": str(run["n_components"]),
        "ASM(G)": f"{100 * (run['asm_nme'] or 0):.2f}",
    }


def test_the_published_run_of_the_quickstart(report):
    with (script.RESULTS / "quickstart.csv").open(encoding="utf-8") as file:
        rows = {row["loss"]: row for row in csv.DictReader(file)}
    printed = {
        "mse": ("554", "5.27", "1.8", "0.480", "1.86", "2.44", "1.19"),
        "asm-assisted": ("554", "5.61", "2.9", "0.449", "2.20", "2.70", "1.48"),
    }
    for loss, row in rows.items():
        nme, failures, auc = (float(row[name]) for name in ("nme", "failure_rate", "auc"))
        cells = row["images"], f"{100 * nme:.2f}", f"{100 * failures:.1f}", f"{auc:.3f}"
        assert (*cells, *(f"{float(row[angle]):.2f}" for angle in ("yaw", "pitch", "roll"))) == printed[loss]
        errors = report.results.errors[f"quickstart/{loss}-0/common/nme"] / 1e5
        assert errors.mean() == pytest.approx(nme, abs=1e-5)


def test_the_runs_are_those_of_the_experiments(report):
    for name, row in report.results.runs.items():
        settings = run_settings(row)
        assert report.experiments[row["experiment"]].run(row["model"], settings.seed) == settings, name


def test_the_results_are_small_and_saved_as_they_are_loaded(report, tmp_path):
    report.results.save(tmp_path)
    again = Results.load(tmp_path)
    assert again.runs == report.results.runs
    assert str(again.peers) == str(report.results.peers)  # it has gaps, which are not equal to themselves
    assert again.known_pose == report.results.known_pose
    for name in ("errors", "history"):
        saved, loaded = getattr(again, name), getattr(report.results, name)
        assert saved.keys() == loaded.keys()
        assert all(np.array_equal(saved[key], loaded[key], equal_nan=True) for key in saved)
    assert sum(path.stat().st_size for path in script.RESULTS.iterdir()) < 4e6


def test_the_pages_are_current(blocks):
    for page in PAGES:
        assert script.update_page(page, blocks, check=True) == 0
    names = [name for page in PAGES for name in re.findall(r"<!-- begin: (\w+) -->", page.read_text("utf-8"))]
    assert sorted(names) == sorted(blocks)


PROSE = [HERE / "README.md", HERE / "FINDINGS.md", *PAGES[1:]]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.stem)
def test_the_numbers_in_the_prose_are_those_of_the_tables(page, blocks):
    """Every number with two decimals stands in a cell of a generated table."""
    cells = set(re.findall(r"\d+\.\d+(?: ± \d+\.\d+)?", "\n".join(blocks.values())))
    cells |= {cell.split(" ±")[0] for cell in cells}
    text = re.sub(r"<!-- begin.*?<!-- end|```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    quoted = re.findall(r"(?<![\w.])\d+\.\d\d(?: ± \d+\.\d\d)?(?!\w)", text)
    assert len(quoted) > 2
    settings = {"0.01", "0.99"}  # learning rate and momenta
    assert [number for number in quoted if number not in cells | settings] == []


def test_the_page_is_read_in_five_minutes():
    text = re.sub(
        r"^\|.*|```.*?```|\(http\S+\)", "", PAGES[1].read_text("utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(text.split()) < 1200
    assert len((HERE / "README.md").read_text("utf-8").split()) <= 1000


def test_the_picture_of_few_faces_is_current(report):
    """Else: python docs/_scripts/few_faces.py"""
    pytest.importorskip("matplotlib", reason="the picture is made by Matplotlib")
    script = runpy.run_path(str(ROOT / "docs" / "_scripts" / "few_faces.py"))
    picture = (ROOT / "docs" / "assets" / "few_faces.svg").read_text(encoding="utf-8")
    for line in script["describe"](few_faces_errors(report)).splitlines():
        assert escape(line, quote=False) in picture


def test_what_is_said_of_few_faces(report):
    """Below the table: by the flip test, where a method has it."""
    errors = {
        method: {n: float((plain if flip is None else flip).mean()) for n, (plain, flip) in cells.items()}
        for method, cells in few_faces_errors(report).items()
    }
    ridge, trees, plain, decoder, drawn = errors.values()
    assert list(errors)[-1] == AFTER_DRAWN
    assert 1 - drawn[100] / plain[100] == pytest.approx(1 / 3, abs=0.05)
    assert 1 - drawn[100] / ridge[100] == pytest.approx(1 / 5, abs=0.05)
    assert all(decoder[n] < plain[n] for n in plain)
    assert all(ridge[n] < min(trees[n], plain[n], decoder[n]) for n in (25, 50, 100, 200))
    assert decoder[400] == pytest.approx(ridge[400], abs=0.15)
    assert drawn[400] < plain[1610] + 0.1
    assert all(drawn[n] < min(e[n] for e in (ridge, trees, plain, decoder)) for n in plain if n <= 400)
    assert 0 < drawn[1000] - ridge[1000] < 0.2
    assert ridge[1610] < trees[1610] < drawn[1610] < min(plain[1610], decoder[1610])


def test_what_is_said_of_the_paper_claim(report):
    """The paper's recipe: no gain on common, a loss on challenging, and the first three seeds told another story."""
    for experiment in ("paper-64px", "paper-96px"):
        plain, assisted = (report.find(experiment, model) for model in ("ASMNet_nr", "ASMNet"))
        assert plain.seeds("common") == assisted.seeds("common") == tuple(range(6))
        assert plain.seeds("challenging") == assisted.seeds("challenging") == (3, 4, 5)
        common = compare_paired(plain.errors("common", "nme"), assisted.errors("common", "nme"))
        assert common.p_seeds > 0.2
        for kind in ("nme", "nme_flip"):
            without, with_it = (group.errors("challenging", kind).mean() for group in (plain, assisted))
            assert with_it - without > 0.015
    for group, first in ((plain, 0.0689), (assisted, 0.0645)):
        assert group.of_seeds([0, 1, 2]).errors("common", "nme").mean() == pytest.approx(first, abs=5e-5)
    assert abs(common.difference) < 0.001
    hard = compare_paired(plain.errors("challenging", "nme_flip"), assisted.errors("challenging", "nme_flip"))
    assert hard.p_seeds < 0.002


def test_what_is_said_of_careless_annotations_and_baselines(report):
    """Whatever the method, cleaning wins back most of what the noise costs."""
    nme = {
        (peer["method"], peer["train"], peer["label_noise"], peer["clean"]): peer["nme"]
        for peer in report.results.peers
        if peer["test"] == 402
    }
    for method, n_faces, noise in itertools.product(("ridge", "dlib"), (100, 400), (0.05, 0.15)):
        as_is, clean = nme[method, n_faces, noise, "none"], nme[method, n_faces, 0.0, "none"]
        assert (as_is - nme[method, n_faces, noise, "drawn"]) / (as_is - clean) > 0.7
    assert nme["ridge", 100, 0.05, "drawn"] < nme["ridge", 100, 0.0, "none"]
    gain = {
        method: nme[method, 100, 0.15, "none"] - nme[method, 100, 0.15, "drawn"]
        for method in ("ridge", "dlib")
    }
    assert gain["ridge"] > gain["dlib"] > 0
    network = report.find("held-out-drawn-400-noise-15", "wing-coordinates-cleaned").errors("held_out").mean()
    assert 100 * nme["ridge", 400, 0.15, "drawn"] == pytest.approx(100 * network, abs=0.1)


def test_what_is_said_of_careless_annotations(report):
    """Cleaning pays with every seed, the assisted loss less; and what a share of the noise's cost is won back."""
    aligned = {5: "wing-coordinates-aligned-70", 15: "wing-coordinates-aligned-25"}
    for n_faces, noise in itertools.product((100, 400), (5, 15)):
        experiment = f"held-out-drawn-{n_faces}-noise-{noise}"
        as_is, assisted, cleaned = (
            report.find(experiment, model).errors("held_out", "nme").mean(axis=1)
            for model in ("wing-coordinates", aligned[noise], "wing-coordinates-cleaned")
        )
        assert len(as_is) == len(assisted) == len(cleaned) == 3
        assert (cleaned < as_is).all()
        assert cleaned.mean() < assisted.mean() < as_is.mean()
        if noise == 15:  # not aligned, it does harm
            smooth = report.find(experiment, "wing-coordinates-smooth")
            assert smooth.runs[0]["n_components"] == 2
            assert smooth.errors("held_out", "nme").mean() > as_is.max()
        clean = report.find(f"held-out-drawn-{n_faces}", "wing-coordinates").errors("held_out", "nme").mean()
        won = (as_is.mean() - cleaned.mean()) / (as_is.mean() - clean)
        assert won > (0.6 if noise == 15 else 0.4)
    no_face = report.find("held-out-drawn-0", "wing-coordinates").errors("held_out", "nme").mean()
    few = (
        report.find("held-out-drawn-100-noise-15", "wing-coordinates-cleaned")
        .errors("held_out", "nme")
        .mean()
    )
    assert 100 * few == pytest.approx(100 * no_face, abs=0.2)


def test_what_the_prose_says_without_a_table(report):
    """FINDINGS: no face is off by more than 10 %; 57 components keep the noise."""
    for best in (("best-128px", "wing"), ("best-after-asmnet-drawn-128px", "wing-coordinates")):
        assert np.max(report.find(*best).errors("common", "nme_flip")) < 0.1
    noisy = report.find("few-faces-noise-15", "normalized").runs[0]
    assert noisy["n_components"] == 57
    assert report.find("few-faces-noise-15", "smooth").runs[0]["n_components"] == 2
    parameters = [report.find("paper-64px", model).runs[0]["parameters"] for model in ("mnv2", "ASMNet")]
    assert 1 - parameters[1] / parameters[0] == pytest.approx(0.41, abs=0.005)


@pytest.mark.parametrize("page", [HERE / name for name in ("README.md", "FINDINGS.md", "RESULTS.md")])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", [HERE / "README.md", PAGES[1]], ids=lambda p: p.stem)
def test_commands_name_experiments(page, report):
    named = re.findall(r"run\.py ([a-z][\w-]+)", page.read_text("utf-8"))
    assert named
    assert set(named) - {"mine"} <= set(report.experiments)
