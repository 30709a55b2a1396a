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

// Landmarks as dots, and the axes of the head: to the side (red), up (green), toward the camera (blue).
export function draw(context, { landmarks, pose }) {
  const [left, top, right, bottom] = boxOf(landmarks);
  const radius = Math.max(1, (right - left) / 80);
  context.fillStyle = "#ffd400";
  for (const [x, y] of landmarks) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
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
