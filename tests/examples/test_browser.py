"""The browser page, in headless Chromium: its code gives what the predictor gives, and it can be worked with."""

import functools
import http.server
import json
import os
import runpy
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_asm.faces import read_image
from keras_asm.inference import LandmarkPredictor, YuNetDetector
from keras_asm.synthetic import synthetic_faces

PAGE = Path(__file__).parents[2] / "examples" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
RUNTIME = Path(os.environ.get("ONNXRUNTIME_WEB", PAGE / "node_modules" / "onnxruntime-web"))
BOXES = [[30, 20, 90, 75], [-20, -10, 40, 60], [60, 60, 75, 80]]  # inside, over the border, enlarged

HARNESS = """<!doctype html><script type="module">
let text;
try { text = JSON.stringify(await run()); } catch (error) { text = JSON.stringify({ error: `${error}` }); }
await fetch("result", { method: "POST", body: text });
async function run() {
  BODY
}
</script>
<div id="landmark-demo"></div>"""

FIND = """
  const ort = await import("./ort/ort.wasm.min.mjs");
  const { boxOf, draw, findFaces, findLandmarks, openDetector, openNetwork } = await import("./landmarks.mjs");
  const network = await openNetwork(ort, "net.onnx");
  const data = new Uint8ClampedArray(await (await fetch("photo.rgba")).arrayBuffer());
  const picture = new ImageData(data, WIDTH);
  const found = [];
  for (const box of BOXES) found.push(await findLandmarks(network, picture, box));
  draw(document.createElement("canvas").getContext("2d"), found[0]);
  const astronaut = document.createElement("canvas").getContext("2d");
  const example = await createImageBitmap(await (await fetch("example.jpg")).blob());
  [astronaut.canvas.width, astronaut.canvas.height] = [example.width, example.height];
  astronaut.drawImage(example, 0, 0);
  const detector = await openDetector(ort, "yunet.onnx");
  const faces = await findFaces(detector, astronaut.getImageData(0, 0, example.width, example.height));
  return { found, box: boxOf(found[0].landmarks), faces };
"""

WORK = """
  await import("./app.mjs");
  const root = document.getElementById("landmark-demo");
  const [canvas, said, camera] = ["canvas", "[role=status]", "[data-do=camera]"].map((s) => root.querySelector(s));
  const pose = () => root.querySelector("tbody").textContent;
  const seen = [];
  const until = async (what, test) => {
    for (const end = performance.now() + 60000; !test(); await new Promise((done) => setTimeout(done, 50)))
      if (performance.now() > end) throw new Error(`${what}: ${said.textContent}, after ${JSON.stringify(seen)}`);
    seen.push([what, said.textContent, pose(), canvas.width]);
  };
  canvas.setPointerCapture = () => {}; // there is no such pointer
  const drag = (...points) => {
    const frame = canvas.getBoundingClientRect();
    points.forEach(([x, y], i) => {
      const at = { pointerId: 1, clientX: frame.left + x * frame.width, clientY: frame.top + y * frame.height };
      canvas.dispatchEvent(new PointerEvent(i ? "pointermove" : "pointerdown", at));
    });
    canvas.dispatchEvent(new PointerEvent("pointerup", { pointerId: 1 }));
  };
  await until("example", () => said.textContent.startsWith("1 face"));
  let before = pose();
  drag([0.5, 0.5], [0.6, 0.55], [0.7, 0.6]); // takes the box of the face along
  await until("moved", () => pose() !== before);
  before = pose();
  drag([0.02, 0.02], [0.2, 0.3]);
  await until("new box", () => pose() !== before);
  const files = new DataTransfer();
  files.items.add(new File(["no picture"], "photo.jpg"));
  const choose = root.querySelector("input");
  choose.files = files.files;
  choose.dispatchEvent(new Event("change"));
  await until("no picture", () => said.textContent.startsWith("This picture cannot be read"));
  camera.click();
  await until("camera", () => said.textContent === "No face in sight." && camera.textContent === "Stop the camera");
  const pixels = () => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.join();
  before = pixels();
  await until("next frames", () => pixels() !== before);
  camera.click();
  await until("stopped", () => said.textContent === "Stopped.");
  return seen;
"""

CAMERA = """
  const root = document.getElementById("landmark-demo");
  const table = () => root.querySelector("tbody").textContent;
  const found = new Promise((done, fail) => {
    let looks = 0;
    root.addEventListener("faces", ({ detail: { picture, boxes, faces } }) => {
      if (picture.width !== 640) return root.querySelector("[data-do=camera]").click(); // the example: all is loaded
      if (faces.length !== 1 || ++looks < 3) return; // by now the box is that of landmarks, not the detector's
      const { width, data } = picture;
      done({ width, data: Array.from(data), boxes, faces, pose: table() });
    });
    setTimeout(() => fail(new Error(`${root.textContent}, ${looks} looks`)), 120000);
  });
  await import("./app.mjs");
  return found;
"""


class _Handler(http.server.SimpleHTTPRequestHandler):
    def do_POST(self):
        self.server.found = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def log_message(self, *_):
        pass


def in_browser(folder, camera=None):
    """What the harness in a folder posts.

    Args:
        folder: With `harness.html`.
        camera: A `.y4m` file that the camera shows; by default Chromium's pattern.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.done, server.found = threading.Event(), None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
        options += ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        if camera is not None:
            options.append(f"--use-file-for-fake-video-capture={camera}")
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


in_chromium = pytest.mark.skipif(
    CHROMIUM is None or not RUNTIME.is_dir(),
    reason="Chromium or onnxruntime-web is absent: set ONNXRUNTIME_WEB to the folder of the npm package",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A folder with the page and all that it needs."""
    pytest.importorskip("tf2onnx")
    folder = tmp_path_factory.mktemp("page")
    for name in ("index.html", "app.mjs", "app.css", "landmarks.mjs"):
        shutil.copy(PAGE / name, folder)
    runpy.run_path(str(PAGE / "prepare.py"))["prepare"](folder, RUNTIME)
    return folder


@in_chromium
def test_the_page_finds_what_the_predictor_finds(page):
    photo = synthetic_faces(1, seed=0, image_size=128).images[0]
    opaque = np.concatenate([photo, np.full((*photo.shape[:2], 1), 255, np.uint8)], axis=2)
    (page / "photo.rgba").write_bytes(opaque.tobytes())
    code = FIND.replace("WIDTH", str(photo.shape[1])).replace("BOXES", json.dumps(BOXES))
    (page / "harness.html").write_text(HARNESS.replace("BODY", code))

    found = in_browser(page)
    assert "error" not in found, found
    faces = LandmarkPredictor(page / "net.onnx")(photo, boxes=BOXES)
    for face, seen in zip(faces, found["found"], strict=True):
        side = 1.5 * max(face.box[2:] - face.box[:2])
        np.testing.assert_allclose(np.array(seen["landmarks"]) / side, face.landmarks / side, atol=1e-3)
        np.testing.assert_allclose(seen["pose"], face.pose, atol=0.1)
    first = faces[0].landmarks
    np.testing.assert_allclose(found["box"], [*first.min(axis=0), *first.max(axis=0)], atol=0.1)
    boxes = YuNetDetector()(read_image(page / "example.jpg"))
    assert len(boxes) == 1
    # Browsers scale pictures down in their own way
    np.testing.assert_allclose(found["faces"], boxes, atol=0.02 * (boxes[0, 2] - boxes[0, 0]))


@in_chromium
def test_the_page_can_be_worked_with(page):
    """The example, boxes by the pointer, a file that is no picture, and the camera, in which Chromium has no face."""
    (page / "harness.html").write_text(HARNESS.replace("BODY", WORK))
    seen = in_browser(page)
    assert isinstance(seen, list), seen
    steps = {what: (pose, width) for what, _, pose, width in seen}
    assert list(steps) == ["example", "moved", "new box", "no picture", "camera", "next frames", "stopped"]
    yaw, pitch, roll = (int(angle) for angle in steps["example"][0].rstrip("°")[1:].split("°"))
    assert max(abs(yaw), abs(pitch), abs(roll)) < 15  # the astronaut looks ahead
    assert steps["example"][1] == 930
    assert steps["camera"] == ("", 640)


def write_video(path, picture):
    """A video of one picture, repeated, uncompressed: YUV 4:2:0 by BT.601."""
    red, green, blue = np.moveaxis(picture.astype(float), 2, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = [16 + luma * 219 / 255]
    for colour, span in ((blue, 1.772), (red, 1.402)):
        height, width = luma.shape
        planes.append(
            128 + ((colour - luma) / span * 224 / 255).reshape(height // 2, 2, width // 2, 2).mean((1, 3))
        )
    frame = b"FRAME\n" + b"".join(np.rint(plane).astype(np.uint8).tobytes() for plane in planes)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420\n".encode() + 3 * frame)


@in_chromium
def test_a_face_before_the_camera(page, tmp_path):
    """The astronaut in a video: landmarks are Python's, on the pixels that the page saw and on those of the file."""
    shown = np.full((480, 640, 3), 128, np.uint8)
    with Image.open(page / "example.jpg") as example:
        shown[:, 80:560] = example.resize((480, 480), Image.Resampling.LANCZOS)
    write_video(tmp_path / "face.y4m", shown)
    (page / "harness.html").write_text(HARNESS.replace("BODY", CAMERA))

    found = in_browser(page, tmp_path / "face.y4m")
    assert "error" not in found, found
    picture = np.array(found["data"], np.uint8).reshape(-1, found["width"], 4)[..., :3]
    assert picture.shape == shown.shape
    assert np.abs(picture.astype(float) - shown).mean() < 4  # colours of a quarter of the pixels
    predictor = LandmarkPredictor(page / "net.onnx")
    ((seen,), (face,)) = found["faces"], predictor(picture, boxes=found["boxes"])
    side = 1.5 * max(face.box[2:] - face.box[:2])
    np.testing.assert_allclose(np.array(seen["landmarks"]) / side, face.landmarks / side, atol=1e-3)
    np.testing.assert_allclose(seen["pose"], face.pose, atol=0.1)
    assert found["pose"] == "1" + "".join(f"{angle:.0f}°" for angle in seen["pose"])
    # From the start in Python: another detection, no tracking
    (face,) = LandmarkPredictor(page / "net.onnx", detector=YuNetDetector())(shown)
    np.testing.assert_allclose(np.array(seen["landmarks"]) / side, face.landmarks / side, atol=0.03)
    np.testing.assert_allclose(seen["pose"], face.pose, atol=5)
