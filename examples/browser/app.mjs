// The demo: a picture or the camera in, landmarks and pose drawn over it, in boxes that a detector or the hand lays.
// Beside it lie net.onnx with net.onnx.json, ort/, and, if faces are to be found by themselves, yunet.onnx.
import { boxOf, draw, findFaces, findLandmarks, openDetector, openNetwork } from "./landmarks.mjs";

const MARKUP = `
<div class="ld-bar">
  <label>Choose a picture<input type="file" accept="image/*"></label>
  <button type="button" data-do="camera">Use the camera</button>
  <button type="button" data-do="example" hidden>Example</button>
</div>
<div class="ld-stage"><canvas width="640" height="360"></canvas></div>
<p class="ld-said" role="status">Loading the network …</p>
<table class="ld-pose" hidden><thead><tr><th>face</th><th>yaw</th><th>pitch</th><th>roll</th></tr></thead><tbody></tbody></table>`;
const LARGEST = 1600; // pixels of a picture's longer side: a photograph of a phone has more than a screen can show
const HANDLE = 14; // pixels of the screen around a corner that take hold of it
const LOOK_AGAIN = 700; // milliseconds between two looks for faces in the camera's pictures

export async function mount(root) {
  const here = (name) => new URL(name, import.meta.url).href;
  root.classList.add("ld");
  root.innerHTML = MARKUP;
  const style = document.createElement("link");
  style.rel = "stylesheet";
  style.href = here("app.css");
  document.head.append(style);
  const [stage, canvas, said, pose] = [".ld-stage", "canvas", ".ld-said", ".ld-pose"].map((s) => root.querySelector(s));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const [camera, example] = ["camera", "example"].map((name) => root.querySelector(`[data-do=${name}]`));
  const say = (text) => (said.textContent = text);

  let network, detector, source; // source: a picture, or the camera's video
  let boxes = [], faces = []; // of the landmarks, in pixels of the picture
  let grip; // what the pointer holds: { i: which box, part: "new", "move" or the corner's signs, from, box }

  function pixels() {
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    return context.getImageData(0, 0, canvas.width, canvas.height);
  }

  // Landmarks in all boxes, drawn; the boxes stay where they are
  async function update() {
    const picture = pixels();
    const began = performance.now();
    const found = [];
    for (const box of boxes) found.push(await findLandmarks(network, picture, box));
    faces = found;
    if (source instanceof HTMLVideoElement) context.putImageData(picture, 0, 0);
    paint();
    pose.hidden = !faces.length || !faces[0].pose;
    pose.tBodies[0].innerHTML = faces
      .map((face, i) => `<tr><td>${i + 1}</td>${(face.pose ?? []).map((a) => `<td>${a.toFixed(0)}°</td>`).join("")}</tr>`)
      .join("");
    root.dispatchEvent(new CustomEvent("faces", { detail: { picture, boxes, faces } })); // for other scripts of the page
    return performance.now() - began;
  }

  function paint() {
    const scale = screenScale();
    for (const face of faces) draw(context, face);
    if (source instanceof HTMLVideoElement && detector) return;
    for (const [left, top, right, bottom] of boxes) {
      context.strokeStyle = "#fffc";
      context.lineWidth = 1.5 * scale;
      context.strokeRect(left, top, right - left, bottom - top);
      context.fillStyle = "#fff";
      context.strokeStyle = "#0008";
      for (const [x, y] of [[left, top], [right, top], [left, bottom], [right, bottom]]) {
        context.beginPath();
        context.arc(x, y, 5 * scale, 0, 2 * Math.PI);
        context.fill();
        context.stroke();
      }
    }
  }

  // One update at a time; what is asked for meanwhile is done once, afterwards
  let busy = false, again = false;
  async function refresh() {
    if (busy) return void (again = true);
    busy = true;
    try {
      do {
        again = false;
        const took = await update();
        const what = faces.length === 1 ? "1 face" : `${faces.length} faces`;
        if (faces.length)
          say(`${what}, landmarks in ${took.toFixed(0)} ms. Drag a box or its corners; drag elsewhere for a new one.`);
      } while (again);
    } catch (error) {
      say(`${error}`);
    } finally {
      busy = false;
    }
  }

  const middle = () => {
    const half = 0.25 * Math.min(canvas.width, canvas.height);
    return [canvas.width / 2 - half, canvas.height / 2 - half, canvas.width / 2 + half, canvas.height / 2 + half];
  };

  async function show(picture) {
    stop();
    const scale = Math.min(1, LARGEST / Math.max(picture.width, picture.height));
    source = picture;
    [canvas.width, canvas.height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
    canvas.setAttribute("aria-label", "The picture with landmarks");
    [boxes, faces] = [detector ? await findFaces(detector, pixels()) : [middle()], []];
    pose.hidden = true;
    if (boxes.length) return refresh();
    pixels();
    say("No face found. Drag a box around one, from the brows to the chin.");
  }

  async function open(file) {
    try {
      await show(await createImageBitmap(file));
    } catch (error) {
      say(`This picture cannot be read. ${error}`);
    }
  }

  function stop() {
    if (source instanceof HTMLVideoElement) source.srcObject.getTracks().forEach((track) => track.stop());
    source = undefined;
    camera.textContent = "Use the camera";
  }

  async function follow(video) {
    let looked = -Infinity;
    while (source === video) {
      if (!grip) {
        if (detector && performance.now() - looked > LOOK_AGAIN) {
          boxes = await findFaces(detector, pixels());
          looked = performance.now();
        }
        const took = await update();
        // Where the face was is where it is looked for next; a lost one waits for a new box
        boxes = faces.map((face) => boxOf(face.landmarks)).filter(isInside);
        const missing = detector ? "No face in sight" : "Drag a box around a face, from the brows to the chin";
        say(boxes.length ? `${took.toFixed(0)} ms` : `${missing}.`);
      }
      await new Promise(requestAnimationFrame);
    }
  }

  const isInside = ([left, top, right, bottom]) =>
    right > 0 && bottom > 0 && left < canvas.width && top < canvas.height && right - left > 8 && right - left < 2 * canvas.width;

  camera.onclick = async () => {
    if (source instanceof HTMLVideoElement) {
      stop();
      return say("Stopped.");
    }
    try {
      const video = document.createElement("video");
      video.muted = video.playsInline = true;
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
      await video.play();
      stop();
      source = video;
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      [boxes, faces] = [detector ? [] : [middle()], []];
      camera.textContent = "Stop the camera";
      await follow(video);
    } catch (error) {
      stop();
      say(`The camera cannot be used. ${error}`);
    }
  };

  // --- The hand

  const screenScale = () => canvas.width / (canvas.getBoundingClientRect().width || canvas.width);

  function at(event) {
    const frame = canvas.getBoundingClientRect();
    return [(event.clientX - frame.left) * screenScale(), (event.clientY - frame.top) * screenScale()];
  }

  function gripAt([x, y]) {
    const reach = HANDLE * screenScale();
    for (const [i, box] of boxes.entries()) {
      const near = (a, b) => Math.abs(a - b) < reach;
      const side = [near(x, box[0]) ? 0 : near(x, box[2]) ? 2 : -1, near(y, box[1]) ? 1 : near(y, box[3]) ? 3 : -1];
      if (side[0] >= 0 && side[1] >= 0) return { i, part: side };
      if (x > box[0] && x < box[2] && y > box[1] && y < box[3]) return { i, part: "move" };
    }
    return { i: 0, part: "new" };
  }

  canvas.onpointerdown = (event) => {
    if (!source || !network) return;
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
    grip = { ...gripAt(at(event)), from: at(event) };
    grip.box = boxes[grip.i];
  };
  canvas.onpointermove = (event) => {
    const to = at(event);
    if (!grip) {
      const { part } = gripAt(to);
      const corner = Array.isArray(part) && ((part[0] === 0) === (part[1] === 1) ? "nwse-resize" : "nesw-resize");
      canvas.style.cursor = corner || { move: "move", new: "crosshair" }[part];
      return;
    }
    let box;
    if (grip.part === "new") box = [...grip.from, ...to];
    else if (grip.part === "move") box = grip.box.map((value, i) => value + to[i % 2] - grip.from[i % 2]);
    else {
      box = [...grip.box];
      grip.part.forEach((side, i) => (box[side] = to[i]));
    }
    box = [0, 1, 0, 1].map((i, j) => (j < 2 ? Math.min : Math.max)(box[i], box[i + 2]));
    if (box[2] - box[0] < 8 || box[3] - box[1] < 8) return;
    if (grip.part === "new") boxes = [box];
    else boxes = boxes.map((old, i) => (i === grip.i ? box : old));
    refresh();
  };
  canvas.onpointerup = canvas.onpointercancel = () => (grip = undefined);

  stage.ondragover = (event) => {
    event.preventDefault();
    stage.classList.add("ld-over");
  };
  stage.ondragleave = () => stage.classList.remove("ld-over");
  stage.ondrop = (event) => {
    event.preventDefault();
    stage.classList.remove("ld-over");
    if (event.dataTransfer.files.length) open(event.dataTransfer.files[0]);
  };
  root.querySelector("input").onchange = (event) => open(event.target.files[0]);

  // --- What lies beside this file

  try {
    const ort = await import(here("ort/ort.wasm.min.mjs"));
    network = await openNetwork(ort, here("net.onnx"));
    if ((await fetch(here("yunet.onnx"), { method: "HEAD" })).ok) detector = await openDetector(ort, here("yunet.onnx"));
  } catch (error) {
    return say(`The network cannot be loaded: examples/browser/prepare.py puts it beside the page. ${error}`);
  }
  const picture = await fetch(here("example.jpg"));
  example.hidden = !picture.ok;
  if (!picture.ok) return say("Ready. Choose a picture, or drop one here.");
  const blob = await picture.blob();
  example.onclick = () => open(blob);
  await open(blob);
}

const root = document.getElementById("landmark-demo");
if (root) mount(root);
