"""Put beside the page what it needs: the network, the face detector, a picture, and onnxruntime-web.

    npm install --prefix examples/browser onnxruntime-web
    python examples/browser/prepare.py            # needs keras-asm[export-onnx,quickstart]
    python -m http.server --directory examples/browser    # then open http://localhost:8000

The documentation's demo is the same page: `mkdocs build` takes it over with all that lies beside it.
"""

import argparse
import os
import shutil
from pathlib import Path

from PIL import Image
from skimage import data

from keras_asm.export import export_model
from keras_asm.inference import YuNetDetector

PAGE = Path(__file__).parent
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def prepare(folder: Path, runtime: Path) -> None:
    """Write what is not there.

    Args:
        folder: of the page.
        runtime: the folder of the npm package onnxruntime-web.
    """
    (folder / "ort").mkdir(parents=True, exist_ok=True)
    for name in RUNTIME:
        shutil.copy(runtime / "dist" / name, folder / "ort")
    shutil.copy(YuNetDetector().path, folder / "yunet.onnx")  # MIT licence
    if not (folder / "example.jpg").exists():
        head = Image.fromarray(data.astronaut()).crop((60, 0, 370, 310))  # NASA, public domain
        head.resize((930, 930), Image.Resampling.LANCZOS).save(folder / "example.jpg", quality=88)
    if not (folder / "net.onnx").exists():
        export_model("asmnet-drawn", folder / "net.onnx")  # Apache-2.0, of drawn faces


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    installed = os.environ.get("ONNXRUNTIME_WEB", PAGE / "node_modules" / "onnxruntime-web")
    parser.add_argument("--runtime", type=Path, default=installed, help="folder of onnxruntime-web")
    parser.add_argument("--folder", type=Path, default=PAGE, help="of the page")
    args = parser.parse_args()
    prepare(args.folder, args.runtime)


if __name__ == "__main__":
    main()
