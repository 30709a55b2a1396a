// Runs a network that keras_asm.export.export_model has written to ONNX, with onnxruntime-web.
// The same three steps as on the page "Phones, browsers, servers": crop, run, back to pixels.

// ort: the module onnxruntime-web; url: of net.onnx, with net.onnx.json beside it.
export async function openNetwork(ort, url) {
  const response = await fetch(`${url}.json`);
  if (!response.ok) throw new Error(`There must be a description beside the network. Received: ${response.status} for ${url}.json`);
  const info = await response.json();
  const session = await ort.InferenceSession.create(url, { executionProviders: ["wasm"] });
  return { ort, session, info };
}

// Weights of an antialiased resize along one axis, and the pixels that they belong to; the border is repeated.
function resampling(center, side, size, nPixels) {
  const reach = Math.max(1, side / size);
  return Array.from({ length: size }, (_, i) => {
    const at = ((i + 0.5) / size - 0.5) * side + center;
    const taps = [];
    let sum = 0;
    for (let p = Math.floor(at - reach); p <= Math.ceil(at + reach); p++) {
      const weight = Math.max(0, 1 - Math.abs(p - at) / reach);
      if (weight > 0) taps.push([Math.min(Math.max(p, 0), nPixels - 1), weight]);
      sum += weight;
    }
    return taps.map(([p, weight]) => [p, weight / sum]);
  });
}

// picture: ImageData, or anything with width, height and RGBA bytes in data.
export function crop(picture, center, side, size) {
  const { width, height, data } = picture;
  const across = resampling(center[0], side, size, width);
  const down = resampling(center[1], side, size, height);
  const rows = new Map(); // rows of the picture that are needed, resized along x
  const resized = (y) => {
    if (!rows.has(y)) {
      const row = new Float64Array(3 * size);
      across.forEach((taps, x) => {
        for (const [p, weight] of taps)
          for (let c = 0; c < 3; c++) row[3 * x + c] += weight * data[4 * (y * width + p) + c];
      });
      rows.set(y, row.map(Math.round)); // to whole brightnesses after either step, as Pillow does
    }
    return rows.get(y);
  };
  const pixels = new Float32Array(3 * size * size);
  down.forEach((taps, y) => {
    for (const [p, weight] of taps) {
      const row = resized(p);
      for (let i = 0; i < 3 * size; i++) pixels[3 * size * y + i] += weight * row[i];
    }
  });
  return pixels.map(Math.round);
}

// box: [left, top, right, bottom] of the landmarks, in pixels. Gives [[x, y], ...] in pixels, and [yaw, pitch, roll].
export async function findLandmarks({ ort, session, info }, picture, box) {
  const center = [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const side = (1 + 2 * info.crop_margin) * Math.max(box[2] - box[0], box[3] - box[1]);
  const size = info.image_size;
  const images = new ort.Tensor("float32", crop(picture, center, side, size), [1, size, size, 3]);
  const outputs = await session.run({ images });
  const flat = outputs.landmarks.data;
  const landmarks = Array.from({ length: flat.length / 2 }, (_, i) => [
    flat[2 * i] * side + center[0],
    flat[2 * i + 1] * side + center[1],
  ]);
  return { landmarks, pose: outputs.pose ? Array.from(outputs.pose.data) : null };
}

// The box of the landmarks of one picture is where the face is in the next one of a camera.
export function boxOf(landmarks) {
  const x = landmarks.map((point) => point[0]);
  const y = landmarks.map((point) => point[1]);
  return [Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y)];
}

// --- Faces, by YuNet (face_detection_yunet_2023mar.onnx, MIT licence); as keras_asm.inference.YuNetDetector

const SIDE = 640; // pixels of the square that it looks at
const CORRECTION = { shift: 0.145, scale: 0.908 }; // from its boxes to those of landmarks

export async function openDetector(ort, url) {
  return { ort, session: await ort.InferenceSession.create(url, { executionProviders: ["wasm"] }) };
}

// picture: ImageData. Gives boxes of landmarks, [[left, top, right, bottom], ...] in pixels, the surest first.
export async function findFaces({ ort, session }, picture, threshold = 0.6) {
  const scale = Math.min(1, SIDE / Math.max(picture.width, picture.height));
  const large = new OffscreenCanvas(picture.width, picture.height);
  large.getContext("2d").putImageData(picture, 0, 0);
  const small = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
  small.imageSmoothingQuality = "high";
  small.fillRect(0, 0, SIDE, SIDE);
  small.drawImage(large, 0, 0, Math.round(picture.width * scale), Math.round(picture.height * scale));
  const { data } = small.getImageData(0, 0, SIDE, SIDE);
  const n = SIDE * SIDE;
  const planes = new Float32Array(3 * n); // blue, green, red
  for (let i = 0; i < n; i++) for (let c = 0; c < 3; c++) planes[c * n + i] = data[4 * i + 2 - c];
  const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor("float32", planes, [1, 3, SIDE, SIDE]) });
  const found = [];
  for (const stride of [8, 16, 32]) {
    const [cls, obj, bbox] = ["cls", "obj", "bbox"].map((kind) => outputs[`${kind}_${stride}`].data);
    const columns = SIDE / stride;
    for (let i = 0; i < cls.length; i++) {
      const score = Math.sqrt(Math.min(Math.max(cls[i], 0), 1) * Math.min(Math.max(obj[i], 0), 1));
      if (score < threshold) continue;
      // A box is relative to the cell that sees it
      const x = ((i % columns) + bbox[4 * i]) * stride;
      const y = (Math.floor(i / columns) + bbox[4 * i + 1]) * stride;
      const [w, h] = [Math.exp(bbox[4 * i + 2]) * stride, Math.exp(bbox[4 * i + 3]) * stride];
      found.push({ score, box: [x - w / 2, y - h / 2, x + w / 2, y + h / 2] });
    }
  }
  const kept = [];
  for (const { box } of found.sort((a, b) => b.score - a.score))
    if (kept.every((other) => overlap(box, other) <= 0.3)) kept.push(box);
  return kept.map((box) => {
    const [left, top, right, bottom] = box.map((value) => value / scale - 0.5);
    const size = Math.sqrt((right - left) * (bottom - top));
    const [x, y] = [(left + right) / 2, (top + bottom) / 2 + CORRECTION.shift * size];
    const half = (CORRECTION.scale * size) / 2;
    return [x - half, y - half, x + half, y + half];
  });
}

// Intersection over union.
function overlap(a, b) {
  const common = [0, 1].map((i) => Math.max(0, Math.min(a[i + 2], b[i + 2]) - Math.max(a[i], b[i])));
  const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
  return (common[0] * common[1]) / (area(a) + area(b) - common[0] * common[1]);
}

// --- Drawing

// Landmarks as dots, and the axes of the head: to the side (red), up (green), toward the camera (blue).
export function draw(context, { landmarks, pose }) {
  const [left, top, right, bottom] = boxOf(landmarks);
  const radius = Math.max(1.5, (right - left) / 90);
  context.fillStyle = "#ffd400";
  context.strokeStyle = "#000a"; // an edge, to be seen on bright skin
  context.lineWidth = radius / 2;
  for (const [x, y] of landmarks) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
    context.fill();
  }
  if (!pose) return;
  const [yaw, pitch, roll] = pose.map((angle) => (angle * Math.PI) / 180);
  const [cy, sy, cp, sp, cr, sr] = [yaw, pitch, roll].flatMap((a) => [Math.cos(a), Math.sin(a)]);
  // The columns of R = Rx(pitch) Ry(yaw) Rz(roll), seen along z; as in keras_asm.pose.rotation_from_pose, y is up
  const axes = [
    [cy * cr, sp * sy * cr - cp * sr],
    [cy * sr, sp * sy * sr + cp * cr],
    [-sy, sp * cy],
  ];
  const origin = [(left + right) / 2, (top + bottom) / 2];
  context.lineWidth = 2 * radius;
  axes.forEach(([x, y], i) => {
    context.strokeStyle = ["#e33", "#3b3", "#36f"][i];
    context.beginPath();
    context.moveTo(...origin);
    context.lineTo(origin[0] + (x * (right - left)) / 2, origin[1] - (y * (right - left)) / 2);
    context.stroke();
  });
}
