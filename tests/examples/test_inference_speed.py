"""The comparison of speeds: what takes part, that it goes on where it was, and its tables."""

import json
import os
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from keras_asm import LandmarkNet

for package in ("tensorflow", "tf2onnx", "onnxruntime"):
    pytest.importorskip(package)

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "examples" / "benchmarks"
BLOCKS = ("speed", "memory", "profile", "variants", "machine")


@pytest.fixture
def benchmark(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    environment = dict(os.environ)  # where the script sets threads and the backend
    import inference_speed

    yield inference_speed
    sys.modules.pop("inference_speed")
    os.environ.clear()
    os.environ.update(environment)


def run(benchmark, monkeypatch, folder, *options):
    command = [
        "inference_speed.py",
        "--output",
        str(folder / "speed.json"),
        "--folder",
        str(folder),
        *options,
    ]
    monkeypatch.setattr(sys, "argv", command)
    benchmark.main()
    return folder / "speed.json"


def test_measures_and_goes_on(benchmark, monkeypatch, tmp_path, capsys):
    def small(name):
        def build(size):
            x = images = keras.Input((size, size, 3))
            for layer in (
                keras.layers.Conv2D(8 if name == benchmark.BASELINE else 4, 3, 2, name="Conv1"),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(6.0, name="Conv1_relu"),
                keras.layers.Conv2D(8, 1, activation="relu6", name="block_1_expand_relu"),
            ):
                x = layer(x)
            return LandmarkNet(keras.Model(images, x))

        return build

    monkeypatch.setattr(benchmark, "NETWORKS", {name: small(name) for name in benchmark.NETWORKS})
    monkeypatch.setattr(benchmark, "VARIANTS", {})
    # A new process would not know of the small networks
    monkeypatch.setattr(benchmark, "in_own_process", lambda function, *arguments: function(*arguments))
    monkeypatch.setattr(benchmark, "dlib_trees", lambda: None)
    options = ["--sizes", "32", "--runtimes", "ONNX Runtime", "--calls", "2", "--rounds"]
    file = run(benchmark, monkeypatch, tmp_path, *options, "1")
    first = json.loads(file.read_text())
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.onnx")}
    assert len(written) == 3
    key = "ASMNet | 32 | ONNX Runtime"
    assert first["n_bytes"][key] == (tmp_path / "asmnet-32.onnx").stat().st_size
    if sys.platform == "linux":
        assert 10e6 < first["peak_memory"][key] < 500e6  # a runtime's library, without TensorFlow
    assert first["costs"]["ASMNet | 32"][0] == small("ASMNet")(32).count_params()
    assert set(first["profile"]["ASMNet"]) >= {"first layer", "block 1", "pooling and heads"}

    second = json.loads(run(benchmark, monkeypatch, tmp_path, *options, "3").read_text())
    assert second["rounds"][:1] == first["rounds"]
    assert len(second["rounds"]) == 3
    assert second["peak_memory"] == first["peak_memory"]
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert "| 32 px, ONNX Runtime |" in capsys.readouterr().out
    with pytest.raises(ValueError, match="give another --output"):
        run(benchmark, monkeypatch, tmp_path, *options[:-2], "3", "--rounds", "4")


def made_up(benchmark):
    """Results of ASMNet that takes 1 ms and 2 ms, and the baseline 3 ms and 4 ms."""
    names = [*benchmark.NETWORKS, *benchmark.VARIANTS]
    subjects = benchmark.subjects(names, [224, 128], list(benchmark.RUNTIMES), Path("trees.dat"))
    times = {
        s.key: [1.0, 2.0]
        if s.network == "ASMNet"
        else [3.0, 4.0]
        if s.network == benchmark.BASELINE
        else [5.0, 5.0]
        for s in subjects
    }
    return {
        "processor": "Abacus",
        "versions": {"keras": "3"},
        "settings": {"sizes": [224, 128], "calls": 5, "subjects": list(times)},
        "costs": {f"{name} | 224": [1, 2_000_000] for name in names},
        "n_bytes": dict.fromkeys(times, 5_000_000),
        "peak_memory": dict.fromkeys(times, 70_000_000),
        "rounds": [
            {"milliseconds": {key: value[i] for key, value in times.items()}, "load": [i]} for i in range(2)
        ],
        "profile": {
            "ASMNet": {"first layer": {"convolution": 1.0}, "block 2": {"depthwise": 2.0, "project": 1.0}},
            benchmark.BASELINE: {"last layer": {"convolution": 4.0}},
        },
    }


def test_tables(benchmark):
    tables = benchmark.make_tables(made_up(benchmark))
    # Ratios of the same round, 3 / 1 and 4 / 2, and not of the medians
    assert "| 224 px, LiteRT, int8 | 1.50 | 3.50 | 5.00 | 2.50 (2.25 to 2.75) |" in tables["speed"]
    assert "| 128 px, dlib's 68-point trees | 5.00 | | | |" in tables["speed"]
    assert "| OpenVINO | 5.0, 70 | 5.0, 70 | 5.0, 70 |" in tables["memory"]
    assert "| block 2 | 3.00 | 75 % | – | – |" in tables["profile"]
    assert "| *all depthwise convolutions* | 2.00 | 50 % | 0.00 | 0 % |" in tables["profile"]
    assert "| without block 2 | 2 | 5.00 | 0.70 | 5.00 | 0.70 | 5.00 | 0.70 |" in tables["variants"]
    assert tables["machine"].startswith(
        "Processor: Abacus, one thread. 2 rounds of 5 calls; the machine's load"
    )


def test_the_page_is_filled(benchmark, monkeypatch, tmp_path):
    """All blocks that the documentation has, and nothing but them."""
    page = tmp_path / "export.md"
    before = (ROOT / "docs" / "export.md").read_text()
    page.write_text(before)
    (tmp_path / "speed.json").write_text(json.dumps(made_up(benchmark)))
    for _ in range(2):
        run(benchmark, monkeypatch, tmp_path, "--page", str(page))
        after = page.read_text()
        assert after.count("2.50 (2.25 to 2.75)") == 14
    for name in BLOCKS:
        for mark in ("begin", "end"):
            assert before.count(f"<!-- {mark}: {name} -->") == 1
        before, after = (
            text.partition(f"<!-- begin: {name} -->")[0] + text.partition(f"<!-- end: {name} -->")[2]
            for text in (before, after)
        )
    assert after == before
    page.write_text("no markers")
    with pytest.raises(ValueError, match="The page needs"):
        run(benchmark, monkeypatch, tmp_path, "--page", str(page))


@pytest.mark.parametrize(
    ("node", "operator", "part"),
    [
        (
            "exported_1/asmnet_1/Conv1_relu_1/Relu6:0_nchwc_kernel_time",
            "Conv",
            ("first layer", "convolution"),
        ),
        (
            "exported_1/asmnet_1/expanded_conv_depthwise_relu_1/Relu6:0_kernel_time",
            "Conv",
            ("block 0", "depthwise"),
        ),
        ("Conv__351:0_nchwc_kernel_time", "Conv", ("block 0", "project")),
        ("exported_1/asmnet_1/preprocessing_1/mul_kernel_time", "Mul", ("preprocessing", "other")),
        ("ReorderOutput_token_100_kernel_time", "ReorderOutput", ("pooling and heads", "other")),
    ],
)
def test_parts_of_the_profile(benchmark, node, operator, part):
    assert benchmark.part_of(node, operator, "expanded_conv") == part


def test_variants_are_cheaper_networks_of_the_same_outputs(benchmark):
    size = 32
    whole = benchmark.model_cost(benchmark.NETWORKS["ASMNet"](size))
    for build in benchmark.VARIANTS.values():
        model = build(size)
        assert benchmark.model_cost(model).multiply_adds < whole.multiply_adds
        outputs = model(np.zeros((1, size, size, 3), "float32"))
        assert {name: tuple(value.shape) for name, value in outputs.items()} == {
            "landmarks": (1, 136),
            "pose": (1, 3),
        }
