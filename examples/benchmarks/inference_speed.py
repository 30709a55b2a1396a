"""How fast are the networks, in which runtime? One thread, one face at a time, taking turns; and where the time goes.

    python examples/benchmarks/inference_speed.py --rounds 0     # exports the networks, and measures their memory
    python examples/benchmarks/inference_speed.py                # that, if it is not there, and the speed
    python examples/benchmarks/inference_speed.py --page docs/export.md    # only fills the page with the tables

`export_model` writes each network to `--folder`, and `ExportedModel` runs it. In every round each subject (a network,
an image size, a runtime) is called a few times, in an order drawn anew; its time in this round is the median of the
calls. What is reported are medians over the rounds, and of the ratios of two networks in the same round, so that what
else the machine does hits both. What is done is kept in `--output` after every step, and the same command goes on from
there. The weights are random: they do not change the speed. dlib's trees take part if the packages dlib-bin and
face_recognition_models are installed, and OpenVINO if it is. Needs TensorFlow: `pip install "keras-asm[export]"`.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import multiprocessing
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_asm import ASMNet, MobileNetV2Landmarks, recompute_batch_norm
from keras_asm.export import export_model
from keras_asm.inference import ExportedModel, LandmarkModelInfo, exported
from keras_asm.landmarks import get_scheme
from keras_asm.model_tools import model_cost
from keras_asm.synthetic import synthetic_faces
from measuring import fill_page, processor, versions

sys.path.insert(0, str(Path(__file__).parents[1] / "reproduction"))  # where the variants are trained

from paper.cheaper_nets import narrow_first_layer_net, three_taps_net, without_block_2_net

SIZES = (224, 128)
BASELINE = "MobileNetV2Landmarks"
# Runtime and precision: the file's name, and what names them in the tables
RUNTIMES = {
    "Keras": (".keras", "float32"),
    "ONNX Runtime": (".onnx", "float32"),
    "LiteRT": (".tflite", "float32"),
    "LiteRT, float16": (".float16.tflite", "float16"),
    "LiteRT, dynamic": (".dynamic.tflite", "dynamic"),
    "LiteRT, int8": (".int8.tflite", "int8"),
    "OpenVINO": (".xml", "float32"),
}
DLIB = "dlib's trees"
PACKAGES = ("tensorflow", "onnxruntime", "ai-edge-litert", "openvino", "dlib-bin", "keras", "tf2onnx")


class Subject(NamedTuple):
    """What is timed."""

    network: str
    size: int
    runtime: str

    @property
    def key(self) -> str:
        """As it is called in the results."""
        return f"{self.network} | {self.size} | {self.runtime}"


# --- The networks


def of_size(build: Callable[..., keras.Model]) -> Callable[[int], keras.Model]:
    """A network with landmarks and pose, by its image size."""
    return lambda size: build(input_shape=(size, size, 3), n_landmarks=68, include_pose=True)


NETWORKS: dict[str, Callable[[int], keras.Model]] = {
    "ASMNet": lambda size: ASMNet((size, size, 3)),
    BASELINE: lambda size: MobileNetV2Landmarks((size, size, 3)),
    "ASMNet, width 0.35": lambda size: ASMNet((size, size, 3), width_multiplier=0.35),
}
# What might make ASMNet cheaper; timed at the first size, in three of the runtimes
VARIANTS: dict[str, Callable[[int], keras.Model]] = {
    "three taps": of_size(three_taps_net),
    "first layer of 16 channels": of_size(narrow_first_layer_net),
    "without block 2": of_size(without_block_2_net),
}
VARIANT_RUNTIMES = ("ONNX Runtime", "LiteRT", "LiteRT, int8")


def subjects(networks: list[str], sizes: list[int], runtimes: list[str], trees: Path | None) -> list[Subject]:
    """All that can be measured here."""
    found = [
        Subject(*item)
        for item in itertools.product(networks, sizes, runtimes)
        if item[0] in NETWORKS or (item[1] == sizes[0] and item[2] in VARIANT_RUNTIMES)
    ]
    return found + [Subject(DLIB, size, "dlib") for size in sizes if trees is not None]


def dlib_trees() -> Path | None:
    """The 68-point model of the package face_recognition_models, if it and dlib are installed."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or importlib.util.find_spec("dlib") is None:
        return None
    return Path(str(package.origin)).parent / "models" / "shape_predictor_68_face_landmarks.dat"


def file_of(subject: Subject, folder: Path, trees: Path | None) -> Path:
    """Where the network lies."""
    if subject.network == DLIB:
        assert trees is not None
        return trees
    name = re.sub(r"\W+", "-", subject.network.lower())
    return folder / f"{name}-{subject.size}{RUNTIMES[subject.runtime][0]}"


def export_missing(todo: list[Subject], folder: Path) -> None:
    """Write the files that are not there."""
    missing = [subject for subject in todo if not file_of(subject, folder, None).exists()]
    for _, group in itertools.groupby(missing, key=lambda subject: subject[:2]):
        in_own_process(export, list(group), folder)


def in_own_process(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function: converters leave gigabytes behind."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(function, arguments)


def export(group: list[Subject], folder: Path) -> None:
    """Write one network of one size for several runtimes."""
    network, size = group[0][:2]
    keras.utils.set_random_seed(0)
    faces = synthetic_faces(32, seed=0, image_size=size)
    model = {**NETWORKS, **VARIANTS}[network](size)
    # Else the features of a random network fade from layer to layer, as no trained one's do
    recompute_batch_norm(model, [faces.images.astype("float32")])
    for subject in group:
        path = file_of(subject, folder, None)
        print(f"writing {path.name}", flush=True)
        if subject.runtime == "Keras":
            model.save(path)
            continue
        precision = RUNTIMES[subject.runtime][1]
        export_model(
            model,
            path,
            precision=precision,
            calibration=faces if precision == "int8" else None,
            info=LandmarkModelInfo(get_scheme("300w"), image_size=size),
        )


# --- Measurements


def n_bytes(path: Path) -> int:
    """Size of a network on disk, without its description."""
    files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    return sum(file.stat().st_size for file in files)


def peak_memory(path: Path, size: int) -> int:
    """Of a process of its own that runs the network."""
    script = Path(__file__).with_name("peak_memory.py")
    command = [sys.executable, str(script), str(path), str(size), str(exported.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])


def caller(subject: Subject, path: Path) -> Callable[[], Any]:
    """A call of the network on one image."""
    image = synthetic_faces(1, seed=1, image_size=subject.size).images
    if subject.runtime == "dlib":
        import dlib

        trees = dlib.shape_predictor(str(path))
        edge = subject.size // 8  # a face's box in a crop
        box = dlib.rectangle(edge, edge, subject.size - edge, subject.size - edge)
        return lambda: trees(image[0], box)
    images = image.astype("float32")
    if subject.runtime == "Keras":
        model = keras.models.load_model(path, compile=False)
        return lambda: model.predict_on_batch(images)
    network = ExportedModel(path, n_threads=1)
    return lambda: network(images)


def measure_round(
    calls: Mapping[Subject, Callable[[], Any]], n_calls: int, rng: np.random.Generator
) -> dict[str, float]:
    """Milliseconds of each subject, in an order of this round's own."""
    found = {}
    for i in rng.permutation(len(calls)):
        subject, call = list(calls.items())[i]
        call()  # another network lay in the cache
        seconds = []
        for _ in range(n_calls):
            began = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - began)
        found[subject.key] = round(1e3 * float(np.median(seconds)), 4)
    return found


def profile(path: Path, size: int, n_calls: int) -> dict[str, dict[str, float]]:
    """Milliseconds in ONNX Runtime by block and kind of layer: medians over the calls."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling = 1, True
    options.profile_file_prefix = str(path.with_name("profile"))
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    images = synthetic_faces(1, seed=1, image_size=size).images.astype("float32")
    for _ in range(n_calls + 1):
        session.run(None, {"images": images})
    file = Path(session.end_profiling())
    events = [
        event
        for event in json.loads(file.read_text(encoding="utf-8"))
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    ]
    file.unlink()
    times: dict[tuple[str, str], list[float]] = {}
    for event in events:
        times.setdefault((event["name"], event["args"]["op_name"]), []).append(event["dur"] / 1e3)
    found: dict[str, dict[str, float]] = {}
    block = ""
    for (name, operator), milliseconds in times.items():
        named = re.search(r"block_\d+|expanded_conv", name)
        block = named[0] if named and operator == "Conv" else block
        part, kind = part_of(name, operator, block)
        parts = found.setdefault(part, {})
        parts[kind] = round(parts.get(kind, 0) + float(np.median(milliseconds[1:])), 4)
    return found


def part_of(node: str, operator: str, block: str) -> tuple[str, str]:
    """Part of the network that an operator of the ONNX file belongs to, and what it does there.

    Args:
        node: its name.
        operator: its kind.
        block: of the last convolution that had the name of one. That which ends a block has lost its own.
    """
    if operator != "Conv":
        first = re.search("preprocessing|bn_Conv1|Conv1_1", node)
        return ("preprocessing" if first else "pooling and heads"), "other"
    for name, part in (("/Conv1_", "first layer"), ("out_relu", "last layer")):
        if name in node:
            return part, "convolution"
    number = int(block.removeprefix("block_")) if block.startswith("block_") else 0
    return f"block {number}", next((kind for kind in ("depthwise", "_expand_") if kind in node), "project")


# --- Results


def machine() -> dict[str, Any]:
    """What the numbers hold for."""
    return {"processor": processor(), "system": platform.system(), "versions": versions(PACKAGES)}


def load_results(path: Path, about: dict[str, Any]) -> dict[str, Any]:
    """What an earlier run has done here, or nothing yet."""
    if not path.exists():
        return {**about, "costs": {}, "n_bytes": {}, "peak_memory": {}, "rounds": [], "profile": {}}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if any(found[key] != value for key, value in about.items()):
        raise ValueError(
            f"{path} was measured with other settings, packages or on another processor: give another --output. "
            f"Received: { {key: value for key, value in about.items() if found[key] != value} }"
        )
    return found


def save(results: dict[str, Any], path: Path) -> None:
    """In one step, so that a run that is cut off leaves what was there."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Do what is not done yet."""
    trees = dlib_trees()
    runtimes = [r for r in RUNTIMES if r != "OpenVINO" or importlib.util.find_spec("openvino") is not None]
    todo = subjects([*NETWORKS, *VARIANTS], args.sizes, [r for r in runtimes if r in args.runtimes], trees)
    settings = {"sizes": args.sizes, "calls": args.calls, "subjects": [subject.key for subject in todo]}
    results = load_results(args.output, {**machine(), "settings": settings})
    args.folder.mkdir(parents=True, exist_ok=True)
    args.output.parent.mkdir(parents=True, exist_ok=True)

    export_missing([subject for subject in todo if subject.network != DLIB], args.folder)
    for network, size in dict.fromkeys(subject[:2] for subject in todo if subject.network != DLIB):
        if f"{network} | {size}" not in results["costs"]:
            cost = model_cost({**NETWORKS, **VARIANTS}[network](size))
            results["costs"][f"{network} | {size}"] = [cost.parameters, cost.multiply_adds]
    for subject in todo:
        path = file_of(subject, args.folder, trees)
        results["n_bytes"][subject.key] = n_bytes(path)
        if subject.key not in results["peak_memory"] and platform.system() == "Linux":
            results["peak_memory"][subject.key] = peak_memory(path, subject.size)
            print(f"{subject.key}: {results['peak_memory'][subject.key] / 1e6:.0f} MB", flush=True)
            save(results, args.output)
    save(results, args.output)

    left = args.rounds - len(results["rounds"])
    if left > 0:
        calls = {subject: caller(subject, file_of(subject, args.folder, trees)) for subject in todo}
        rng = np.random.default_rng()
        measure_round(calls, 2, rng)  # to warm up: what is compiled or laid out at first
        for i in range(left):
            load = [round(value, 2) for value in os.getloadavg()]
            began = time.perf_counter()
            results["rounds"].append({"milliseconds": measure_round(calls, args.calls, rng), "load": load})
            save(results, args.output)
            print(f"round {i + 1} of {left}: {time.perf_counter() - began:.1f} s, load {load[0]}", flush=True)
    if args.rounds and "ONNX Runtime" in args.runtimes:
        for network in ("ASMNet", BASELINE):
            subject = Subject(network, args.sizes[0], "ONNX Runtime")
            results["profile"][network] = profile(
                file_of(subject, args.folder, trees), subject.size, 10 * args.calls
            )
        save(results, args.output)
    return results


# --- Tables


def medians(results: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of each subject over the rounds."""
    rounds = [r["milliseconds"] for r in results["rounds"]]
    return {key: float(np.median([r[key] for r in rounds])) for key in results["settings"]["subjects"]}


def ratio(results: dict[str, Any], slow: Subject, fast: Subject) -> tuple[float, float, float]:
    """Median and quartiles, over the rounds, of how many times faster one subject is than another."""
    ratios = [r["milliseconds"][slow.key] / r["milliseconds"][fast.key] for r in results["rounds"]]
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    return float(middle), float(low), float(high)


def make_tables(results: dict[str, Any]) -> dict[str, str]:
    """Markdown by the names of the blocks of the page."""
    keys = [key.split(" | ") for key in results["settings"]["subjects"]]
    timed = [Subject(network, int(size), runtime) for network, size, runtime in keys]
    return {
        "speed": speed_table(results, timed),
        "memory": memory_table(results, timed),
        "profile": profile_table(results),
        "variants": variant_table(results, timed),
        "machine": said_of_the_run(results),
    }


def speed_table(results: dict[str, Any], timed: list[Subject]) -> str:
    """Milliseconds, and how many times faster ASMNet is than the baseline."""
    times = medians(results)
    names = [*NETWORKS]
    lines = [
        "| size, runtime | " + " | ".join(names) + " | MobileNetV2 : ASMNet (quartiles) |",
        "|---|" + "--:|" * (len(names) + 1),
    ]
    for size, runtime in dict.fromkeys(subject[1:] for subject in timed):
        row = [Subject(name, size, runtime) for name in names]
        if row[0] in timed:
            middle, low, high = ratio(results, Subject(BASELINE, size, runtime), row[0])
            cells = [f"{times[subject.key]:.2f}" for subject in row]
            lines.append(
                f"| {size} px, {runtime} | {' | '.join(cells)} | {middle:.2f} ({low:.2f} to {high:.2f}) |"
            )
        else:
            trees = times[Subject(DLIB, size, runtime).key]
            lines.append(f"| {size} px, dlib's 68-point trees | {trees:.2f} | | | |")
    return "\n".join(lines)


def memory_table(results: dict[str, Any], timed: list[Subject]) -> str:
    """Megabytes on disk, and in memory at most."""
    size = results["settings"]["sizes"][0]
    names = [*NETWORKS]
    lines = ["| runtime | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]

    def cell(subject: Subject) -> str:
        memory = results["peak_memory"].get(subject.key)
        at_most = "" if memory is None else f", {memory / 1e6:.0f}"
        return f"{results['n_bytes'][subject.key] / 1e6:.1f}{at_most}"

    for runtime in dict.fromkeys(subject.runtime for subject in timed):
        if runtime == "dlib":
            lines.append(f"| dlib's 68-point trees | {cell(Subject(DLIB, size, runtime))} | | |")
        else:
            cells = [cell(Subject(name, size, runtime)) for name in names]
            lines.append(f"| {runtime} | {' | '.join(cells)} |")
    return "\n".join(lines)


def profile_table(results: dict[str, Any]) -> str:
    """Milliseconds by block."""
    found = results["profile"]
    names = list(found)
    totals = {name: sum(sum(kinds.values()) for kinds in blocks.values()) for name, blocks in found.items()}
    order = ["preprocessing", "first layer", *(f"block {i}" for i in range(17))]
    order += ["last layer", "pooling and heads"]
    lines = [
        "| part | " + " | ".join(f"{name}, ms | share" for name in names) + " |",
        "|---|" + "--:|" * (2 * len(names)),
    ]
    for part in order:
        sums = [sum(found[name].get(part, {}).values()) for name in names]
        if not any(sums):
            continue
        cells = [
            f"{value:.2f} | {100 * value / totals[name]:.0f} %" if value else "– | –"
            for name, value in zip(names, sums, strict=True)
        ]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    for kind, said in (("_expand_", "to more"), ("depthwise", ""), ("project", "to fewer")):
        sums = [sum(kinds.get(kind, 0) for kinds in found[name].values()) for name in names]
        what = f"all 1x1 convolutions {said} channels" if said else "all depthwise convolutions"
        cells = [f"{v:.2f} | {100 * v / totals[n]:.0f} %" for n, v in zip(names, sums, strict=True)]
        lines.append(f"| *{what}* | {' | '.join(cells)} |")
    lines.append("| **all** | " + " | ".join(f"{totals[name]:.2f} | 100 %" for name in names) + " |")
    return "\n".join(lines)


def variant_table(results: dict[str, Any], timed: list[Subject]) -> str:
    """How many times faster than ASMNet, and than the baseline."""
    size = results["settings"]["sizes"][0]
    runtimes = [r for r in VARIANT_RUNTIMES if Subject("ASMNet", size, r) in timed]
    lines = [
        "| ASMNet | multiply-adds, M | " + " | ".join(f"{r}: ms | MobileNetV2 : it" for r in runtimes) + " |",
        "|---|--:|" + "--:|--:|" * len(runtimes),
    ]
    times = medians(results)
    for name in ("ASMNet", *VARIANTS):
        cells = []
        for runtime in runtimes:
            subject = Subject(name, size, runtime)
            faster = ratio(results, Subject(BASELINE, size, runtime), subject)[0]
            cells.append(f"{times[subject.key]:.2f} | {faster:.2f}")
        cost = results["costs"][f"{name} | {size}"][1]
        said = "as it is" if name == "ASMNet" else name
        lines.append(f"| {said} | {cost / 1e6:.0f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def said_of_the_run(results: dict[str, Any]) -> str:
    """What the numbers hold for, in a sentence or two."""
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    load = max(r["load"][0] for r in results["rounds"])
    return (
        f"Processor: {results['processor']}, one thread. {len(results['rounds'])} rounds of "
        f"{results['settings']['calls']} calls; the machine's load was at most {load:.1f}. {versions}."
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=Path("output/inference_speed.json"))
    parser.add_argument("--folder", type=Path, default=Path("output/inference_speed"), help="of the networks")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--runtimes", nargs="+", choices=list(RUNTIMES), default=list(RUNTIMES))
    parser.add_argument("--rounds", type=int, default=60, help="in all, those of earlier runs counted")
    parser.add_argument("--calls", type=int, default=5, help="of each subject in a round")
    parser.add_argument("--page", type=Path, help="measure nothing; fill this page with the tables")
    return parser.parse_args()


def main() -> None:
    """Measure, or fill a page."""
    args = parse_arguments()
    if args.page is not None:
        fill_page(args.page, make_tables(json.loads(args.output.read_text(encoding="utf-8"))))
        return
    results = measure(args)
    if results["rounds"]:
        print("\n\n".join(make_tables(results).values()))


if __name__ == "__main__":
    main()
