// Sliders that move the modes of a shape model: shape = mean + sum of sliders * modes. Made complete by shape_pictures.py
const data = __DATA__;
const place = document.getElementById("modes");
const face = document.createElementNS("http://www.w3.org/2000/svg", "svg");
face.setAttribute("viewBox", "-420 -420 840 840");
face.setAttribute("role", "img");
face.setAttribute("aria-label", "A face of the present modes");
face.style.cssText = "width: 100%; max-width: 22rem; fill: none; stroke: currentColor; stroke-width: 6; stroke-linecap: round; stroke-linejoin: round";
const strokes = data.lines.map(() => face.appendChild(document.createElementNS(face.namespaceURI, "polyline")));
const sliders = data.modes.map((_, mode) => {
  const label = document.createElement("label");
  label.style.cssText = "display: flex; flex-wrap: wrap; gap: 0.3em 1em; align-items: center";
  const slider = Object.assign(document.createElement("input"), { type: "range", min: -3, max: 3, step: 0.1, value: 0 });
  slider.style.flex = "1 1 8rem";
  slider.addEventListener("input", draw);
  label.append(`mode ${mode + 1}, ${(100 * data.ratios[mode]).toFixed(0)} %`, slider);
  return [label, slider];
});
const middle = Object.assign(document.createElement("button"), { textContent: "Mean face", className: "md-button" });
middle.addEventListener("click", () => { for (const [, slider] of sliders) slider.value = 0; draw(); });

function draw() {
  const shape = data.mean.map((x, i) =>
    sliders.reduce((sum, [, slider], mode) => sum + slider.value * data.modes[mode][i], x));
  data.lines.forEach((line, i) =>
    strokes[i].setAttribute("points", line.map((p) => `${shape[2 * p]},${shape[2 * p + 1]}`).join(" ")));
}

place.replaceChildren(face, ...sliders.map(([label]) => label), middle);
draw();
