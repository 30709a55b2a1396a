"""The table of what exported networks lose, on drawn faces."""

import sys
from pathlib import Path

import pytest

from keras_asm.synthetic import synthetic_faces

for package in ("tensorflow", "tf2onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_rows(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import export_accuracy

    monkeypatch.setattr(
        export_accuracy, "crop_faces", lambda n, size, **_: synthetic_faces(n, seed=n, image_size=size)
    )
    monkeypatch.setattr(
        export_accuracy,
        "FILES",
        [file for file in export_accuracy.FILES if file[0] in ("ONNX", "LiteRT, int8, drawn faces")],
    )
    rows = export_accuracy.measure("asmnet-drawn", 8, 20, 16, tmp_path)
    sys.modules.pop("export_accuracy")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[:2] for row in cells] == [
        ["asmnet-drawn, 96 px", name] for name in ("Keras", "ONNX", "LiteRT, int8, drawn faces")
    ]
    errors = [float(row[3]) for row in cells]
    assert 1 < errors[0] < 10  # percent; the network was trained on such faces
    assert errors[1] == pytest.approx(errors[0], abs=0.002)
    assert errors[2] == pytest.approx(errors[0], abs=1)
    assert float(cells[1][4]) < 1e-5 < 1e-4 < float(cells[2][5]) < float(cells[2][4])


def test_the_page_gets_the_table(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import export_accuracy

    page = tmp_path / "export.md"
    before = (EXAMPLES.parent / "docs" / "export.md").read_text()
    page.write_text(before)
    monkeypatch.setattr(export_accuracy, "load_300w", lambda *_, **__: None)
    monkeypatch.setattr(export_accuracy, "measure", lambda name, *_: [f"| {name} | Keras |"])
    monkeypatch.setattr(sys, "argv", ["export_accuracy.py", "--root", str(tmp_path), "--page", str(page)])
    export_accuracy.main()
    sys.modules.pop("export_accuracy")
    (head, _, rest), (old_head, _, old_rest) = (
        text.partition("<!-- begin: accuracy -->") for text in (page.read_text(), before)
    )
    table, _, tail = rest.partition("<!-- end: accuracy -->")
    assert table.strip().splitlines()[2:] == ["| asmnet-photos | Keras |", "| asmnet-drawn | Keras |"]
    assert (head, tail) == (old_head, old_rest.partition("<!-- end: accuracy -->")[2])
