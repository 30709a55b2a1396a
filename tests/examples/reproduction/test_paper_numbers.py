"""The paper's tables as data: the numbers that are quoted elsewhere, and what agrees with what."""

import pytest

from paper import numbers


def test_numbers_that_are_quoted_elsewhere():
    subsets = ("common", "challenging", "full")
    quoted = {
        "mnv2": (3.93, 7.52, 4.70),
        "mnv2_r": (3.88, 7.35, 4.59),
        "ASMNet_nr": (5.86, 8.80, 6.46),
        "ASMNet": (4.82, 8.20, 5.50),
    }
    assert {m: tuple(numbers.nme_300w(m, s) for s in subsets) for m in numbers.MODELS} == quoted
    assert numbers.pose_mae("ASMNet") == (1.62, 1.80, 1.24)
    assert (numbers.n_parameters("ASMNet"), numbers.n_parameters("mnv2")) == (1.43, 2.42)
    flops = numbers.SIZE_AND_ERROR.value
    assert (flops("ASMNet", "flops"), flops("mnv2", "flops")) == (0.51, 0.60)
    assert numbers.N_TRAINING_FACES == {"300w": 3148, "wflw": 7500}


def test_each_table_says_what_it_holds_and_where_it_was_read():
    assert [table.number for table in numbers.TABLES] == [1, 2, 3, 4, 5, None]
    for table in numbers.TABLES:
        assert "authors' repository" in table.source
        assert len(table.columns) == len(table.units)
        for row in table.rows:
            for column, unit in zip(table.columns, table.units, strict=True):
                cell = table.value(row, column)
                assert isinstance(cell, float) == (unit != "")
        assert (table.caption == "") == (table.number in (1, None))
    for table in (numbers.NME_300W, numbers.NME_WFLW, numbers.POSE, numbers.SIZE_AND_ERROR):
        assert set(numbers.MODELS) <= set(table.rows)


def test_tables_agree_where_they_say_the_same():
    for model in numbers.MODELS:
        if model != "ASMNet_nr":
            assert numbers.SIZE_AND_ERROR.value(model, "300w") == numbers.nme_300w(model, "full")
        assert numbers.SIZE_AND_ERROR.value(model, "wflw") == numbers.nme_wflw(model)
    assert numbers.pose_mae("ASMNet") == tuple(
        numbers.POSE_PEERS.value("ASMNet", angle) for angle in ("yaw", "pitch", "roll")
    )
    for size, peer in (("ASMNet", "ASMNet"), ("mnv2", "MobileNetV2")):
        for column in ("params", "flops"):
            assert round(numbers.SIZE_AND_ERROR.value(size, column), 1) == numbers.SIZE_PEERS.value(
                peer, column
            )


@pytest.mark.parametrize(("network", "expected"), [("mnv2", 0.11), ("ASMNet", 0.96)])
def test_effect_of_the_assisted_loss(network, expected):
    assert numbers.loss_effect(network) == expected
    without, with_it = numbers.LOSS_PAIRS[network]
    table_1 = numbers.SIZE_AND_ERROR.value(without, "300w") - numbers.SIZE_AND_ERROR.value(with_it, "300w")
    # Table 1 prints another number for ASMNet_nr, and so another effect
    assert round(table_1 - expected, 2) == (0.03 if network == "ASMNet" else 0.0)


def test_assisted_loss_is_better_in_every_cell_but_one():
    worse = [
        (with_it, column)
        for table in (numbers.NME_300W, numbers.NME_WFLW, numbers.POSE)
        for without, with_it in numbers.LOSS_PAIRS.values()
        for column in table.columns
        if table.value(with_it, column) >= table.value(without, column)
    ]
    assert worse == [("mnv2_r", "wflw.yaw")]


def test_contradictions():
    known = {(c.first, c.second) for c in numbers.CONTRADICTIONS}
    assert (("Table 1", 6.49), ("Table 2", 6.46)) in known
    assert (("Table 7", 1.58), ("Table 2", numbers.loss_effect("ASMNet", "common"))) in known
    assert numbers.loss_effect("ASMNet", "common") == 1.04
    for contradiction in numbers.CONTRADICTIONS:
        assert contradiction.first[1] != contradiction.second[1]
        # Only what names the table that no picture shows was not read
        assert contradiction.read == ("Table 7" not in (contradiction.first[0], contradiction.second[0]))


def test_full_set_is_no_mean_over_faces():
    off = {
        row: round(numbers.nme_300w(row) - numbers.face_weighted_full(row), 2)
        for row in numbers.NME_300W.rows
    }
    assert {row for row, by in off.items() if abs(by) > 0.01} == {*numbers.MODELS, "CPM", "LAB"}
    means = {c.first[1]: c.second[1] for c in numbers.CONTRADICTIONS if "mean over" in c.second[0]}
    assert means == {numbers.nme_300w(m): round(numbers.face_weighted_full(m), 2) for m in numbers.MODELS}


def test_what_is_not_there():
    with pytest.raises(KeyError, match="columns are"):
        numbers.nme_300w("ASMNet", "private")
    with pytest.raises(KeyError, match="rows are"):
        numbers.nme_300w("ResNet", "full")
    with pytest.raises(ValueError, match="cells"):
        numbers.PaperTable(8, "", ("a", "b"), ("%", "%"), {"x": (1.0,)}, "")
