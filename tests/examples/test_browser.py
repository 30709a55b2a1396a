"""The browser page's own code, in headless Chromium, gives what the predictor gives."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from keras_asm.inference import LandmarkPredictor
from keras_asm.synthetic import synthetic_faces

PAGE = Path(__file__).parents[2] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNTIME = Path(os.environ.get("ONNXRUNTIME_WEB", PAGE / "node_modules" / "onnxruntime-web")) / "dist"
BOXES = [[30, 20, 90, 75], [-20, -10, 40, 60], [60, 60, 75, 80]]  # inside, over the border, enlarged

HARNESS = """<!doctype html><script type="module">
let text;
try {
  const ort = await import("./ort/ort.wasm.min.mjs");
  const { boxOf, draw, findLandmarks, openNetwork } = await import("./landmarks.mjs");
  const network = await openNetwork(ort, "net.onnx");
  const data = new Uint8ClampedArray(await (await fetch("photo.rgba")).arrayBuffer());
  const picture = { width: WIDTH, height: data.length / WIDTH / 4, data };
  const found = [];
  for (const box of BOXES) found.push(await findLandmarks(network, picture, box));
  draw(document.createElement("canvas").getContext("2d"), found[0]);
  text = JSON.stringify({ found, box: boxOf(found[0].landmarks) });
} catch (error) { text = JSON.stringify({ error: `${error}` }); }
await fetch("result", { method: "POST", body: text });
</script>"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        self.server.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *_):
        pass


def in_browser(folder):
    """What the harness in a folder posts."""
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.done, server.found = threading.Event(), None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
        address = f"http://127.0.0.1:{server.server_address[1]}/harness.html"
        browser = subprocess.Popen(
            [CHROMIUM, *options, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            assert server.done.wait(180), "the browser gave no answer"
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
    return server.found


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.skipif(
    not RUNTIME.is_dir(),
    reason="onnxruntime-web is absent: set ONNXRUNTIME_WEB to the folder of the npm package",
)
def test_the_page_finds_what_the_predictor_finds(tmp_path):
    pytest.importorskip("tf2onnx")
    from keras_asm.export import export_model

    for path in PAGE.iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path)
    (tmp_path / "ort").mkdir()
    for name in ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"):
        shutil.copy(RUNTIME / name, tmp_path / "ort")
    export_model("asmnet-drawn", tmp_path / "net.onnx")
    photo = synthetic_faces(1, seed=0, image_size=128).images[0]
    opaque = np.concatenate([photo, np.full((*photo.shape[:2], 1), 255, np.uint8)], axis=2)
    (tmp_path / "photo.rgba").write_bytes(opaque.tobytes())
    harness = HARNESS.replace("WIDTH", str(photo.shape[1])).replace("BOXES", json.dumps(BOXES))
    (tmp_path / "harness.html").write_text(harness)

    found = in_browser(tmp_path)
    assert "error" not in found, found
    faces = LandmarkPredictor(tmp_path / "net.onnx")(photo, boxes=BOXES)
    for face, seen in zip(faces, found["found"], strict=True):
        side = 1.5 * max(face.box[2:] - face.box[:2])
        np.testing.assert_allclose(np.array(seen["landmarks"]) / side, face.landmarks / side, atol=1e-3)
        np.testing.assert_allclose(seen["pose"], face.pose, atol=0.1)
    first = faces[0].landmarks
    np.testing.assert_allclose(found["box"], [*first.min(axis=0), *first.max(axis=0)], atol=0.1)
