"""The paper's tables as data: the numbers that are quoted elsewhere, and what agrees with what."""

import pytest

from paper.numbers import LOSS_PAIRS, N_TRAINING_FACES, TABLES, PaperTable, contradictions

MODELS = ("mnv2", "mnv2_r", "ASMNet_nr", "ASMNet")


def test_numbers_that_are_quoted_elsewhere():
    assert TABLES["nme_300w"].rows["mnv2"] == ("3.93", "7.52", "4.70")
    assert TABLES["nme_300w"].rows["mnv2_r"] == ("3.88", "7.35", "4.59")
    assert TABLES["nme_300w"].rows["ASMNet_nr"] == ("5.86", "8.80", "6.46")
    assert TABLES["nme_300w"].rows["ASMNet"] == ("4.82", "8.20", "5.50")
    assert TABLES["pose"].rows["ASMNet"][:3] == ("1.62", "1.80", "1.24")
    assert TABLES["size_and_error"].rows["ASMNet"] == ("5.50", "10.77", "1.43", "0.51")
    assert TABLES["failures_wflw"].rows["ASMNet"][0] == "39.12"
    assert TABLES["auc_wflw"].rows["LAB"][6] == "0.4630"
    assert TABLES["loss_effect"].rows["300W, common"] == ("1.58", "0.05")
    assert N_TRAINING_FACES == {"300w": 3148, "wflw": 7500}


def test_every_table_and_every_row_of_other_methods_is_there():
    assert {table.number for table in TABLES.values()} == {1, 2, 3, 4, 5, 6, 7}
    others = ["RCN", "DAN", "PCD-CNN", "CPM", "DSRN", "SAN", "LAB", "DCFE"]
    assert list(TABLES["nme_300w"].rows) == [*others, *MODELS]
    wflw = ["ESR", "SDM", "CFSS", "DVLN", "LAB", "ResNet50 (Wing+PDB)", *MODELS]
    for name in ("nme_wflw", "failures_wflw", "auc_wflw"):
        assert list(TABLES[name].rows) == wflw
    assert list(TABLES["pose_peers"].rows) == ["Yang et al.", "JFA", "ASMNet"]
    assert list(TABLES["size_peers"].rows) == ["DVLN", "SAN", *wflw[4:6], "ASMNet", "MobileNetV2"]
    assert len(TABLES["loss_effect"].rows) == 10
    for table in TABLES.values():
        for row in table.rows:
            for column, unit in zip(table.columns, table.units, strict=True):
                if unit:
                    assert table.value(row, column) > 0


def test_tables_agree_where_they_say_the_same():
    for model in MODELS:
        first = TABLES["size_and_error"].value(model, "wflw")
        assert first == TABLES["nme_wflw"].value(model, "test")
    pose = [TABLES["pose"].value("ASMNet", f"300w.{angle}") for angle in ("yaw", "pitch", "roll")]
    assert pose == [TABLES["pose_peers"].value("ASMNet", angle) for angle in ("yaw", "pitch", "roll")]
    for size, peer in (("ASMNet", "ASMNet"), ("mnv2", "MobileNetV2")):
        for column in ("params", "flops"):
            rounded = round(TABLES["size_and_error"].value(size, column), 1)
            assert rounded == TABLES["size_peers"].value(peer, column)


def test_assisted_loss_is_better_in_every_cell_but_one():
    worse = [
        (with_it, column)
        for table in (TABLES["nme_300w"], TABLES["nme_wflw"], TABLES["pose"])
        for without, with_it in LOSS_PAIRS.values()
        for column in table.columns
        if table.value(with_it, column) >= table.value(without, column)
    ]
    assert worse == [("mnv2_r", "wflw.yaw")]


def test_contradictions():
    """Those that the deviations page names, the exchanged occlusion, and a full set that is no mean over faces."""
    known = {(c.first, c.second) for c in contradictions()}
    assert (("Table 1", 6.49), ("Table 2", 6.46)) in known
    assert (("Table 7", 1.58), ("Table 2, difference", 1.04)) in known
    assert (("Table 7", 0.13), ("Table 3, difference", 0.90)) in known
    assert (("Table 7", 0.90), ("Table 3, difference", 0.13)) in known
    means = {c.first[1]: c.second[1] for c in contradictions() if "mean over" in c.second[0]}
    assert means == {4.70: 4.63, 4.59: 4.56, 6.46: 6.44, 5.50: 5.48}
    assert len(known) == 8


def test_what_is_not_there():
    with pytest.raises(KeyError, match="columns are"):
        TABLES["nme_300w"].value("ASMNet", "private")
    with pytest.raises(KeyError, match="rows are"):
        TABLES["nme_300w"].value("ResNet", "full")
    with pytest.raises(ValueError, match=r"Expected 2 cells and units. Received: 'x'"):
        PaperTable(8, "", ("a", "b"), ("%", "%"), {"x": ("1.0",)}, "")
