"""Open every page of the built documentation in headless Chromium, and list what a reader would stumble over.

    python .ci/check_site.py SITE_FOLDER

Each page is opened at 1440 and at 390 pixels, light and dark. Errors are: a script's error, a file that is missing, a
picture that does not show, a link within the site that leads nowhere, text that is wider than the page, a page that
stays white in the dark, a search that does not find `AlphaStepSchedule`, and a missing switcher of versions. Needs
nothing but Chromium; without it the check says so and passes.
"""

from __future__ import annotations

import functools
import http.server
import json
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from urllib.parse import urlsplit

MOST_BYTES = 10_000_000
TIMEOUT = 600  # seconds
VERSIONS = [
    {"version": "keras-asm", "title": "this one", "aliases": []},
    {"version": "0.1", "title": "0.1", "aliases": []},
]
PREFIX = "/keras-asm/"  # where the site's address has it

# Goes into the head of every page, so that it is there before anything can fail
WATCH = """<script>
window.troubles = [];
addEventListener("error", (e) => troubles.push(
  e.message || `${e.target.tagName} ${e.target.src || e.target.href} does not load`), true);
addEventListener("unhandledrejection", (e) => troubles.push(`${e.reason}`));
for (const kind of ["error", "warn"]) {
  const say = console[kind];
  console[kind] = (...words) => { troubles.push(words.join(" ")); say(...words); };
}
</script>"""

HARNESS = """<!doctype html><script type="module">
const PAGES = __PAGES__, PREFIX = "__PREFIX__";
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const found = [];

async function open(page, width) {
  const frame = document.createElement("iframe");
  frame.style.cssText = `width: ${width}px; height: 900px; border: 0`;
  const loaded = new Promise((done) => (frame.onload = done));
  frame.src = PREFIX + page;
  document.body.append(frame);
  await loaded;
  return frame;
}

function check(page, frame, where) {
  const { document: doc, troubles = ["the page is not HTML"] } = frame.contentWindow;
  const say = (what) => found.push(`${page} (${where}): ${what}`);
  for (const trouble of troubles) say(trouble);
  for (const image of doc.images)
    if (image.loading !== "lazy" && !image.naturalWidth) say(`no picture at ${image.src}`);
  const root = doc.documentElement;
  if (root.scrollWidth > root.clientWidth) {
    const wide = [...doc.querySelectorAll("article *")].find(
      (e) => e.getBoundingClientRect().right > root.clientWidth + 1);
    say(`wider than the page by ${root.scrollWidth - root.clientWidth} px: ${(wide ?? root).outerHTML.slice(0, 100)}`);
  }
  return doc;
}

async function run() {
  const links = new Set(), anchors = {};
  for (const page of PAGES) {
    for (const width of [1440, 390]) {
      const frame = await open(page, width);
      await wait(100);
      let doc = check(page, frame, `${width} px, light`);
      anchors[page] = [...doc.querySelectorAll("[id]")].map((e) => e.id);
      for (const a of doc.querySelectorAll("a[href]"))
        if (a.origin === location.origin) links.add(`${page} ${a.pathname}${a.hash}`);
      const light = frame.contentWindow.getComputedStyle(doc.body).backgroundColor;
      doc.querySelector("label[for=__palette_1]").click();
      await wait(50);
      check(page, frame, `${width} px, dark`);
      const dark = frame.contentWindow.getComputedStyle(doc.body).backgroundColor;
      if (dark === light) found.push(`${page} (${width} px): as light in the dark, ${dark}`);
      doc.querySelector("label[for=__palette_0]").click();
      frame.remove();
    }
  }
  for (const link of links) {
    const [page, target] = link.split(" ");
    let [path, anchor] = target.split("#");
    path = path.slice(PREFIX.length);
    if (path === "" || path.endsWith("/")) path += "index.html";
    if (!(path in anchors)) {
      if (!(await fetch(PREFIX + path, { method: "HEAD" })).ok) found.push(`${page}: a link to ${target}`);
    } else if (anchor && !anchors[path].includes(decodeURIComponent(anchor))) {
      found.push(`${page}: no place ${target}`);
    }
  }
  const frame = await open("index.html", 1440);
  const box = frame.contentDocument.querySelector("input.md-search__input");
  box.focus();
  box.value = "AlphaStepSchedule";
  const hit = () => frame.contentDocument.querySelector(".md-search-result__item")?.textContent.includes(box.value);
  for (let i = 0; i < 100 && !hit(); i++) {
    box.dispatchEvent(new frame.contentWindow.KeyboardEvent("keyup", { bubbles: true }));
    await wait(100);
  }
  if (!hit()) found.push("the search does not find AlphaStepSchedule");
  if (frame.contentDocument.querySelectorAll(".md-version__link").length !== 2) found.push("no switcher of versions");
  return found;
}

let answer;
try { answer = await run(); } catch (error) { answer = [`the check itself: ${error.stack}`]; }
await fetch("/result", { method: "POST", body: JSON.stringify(answer) });
</script>"""


class Server(http.server.ThreadingHTTPServer):
    """Serves the site and the harness, and keeps what the harness found.

    Attributes:
        harness: The page that opens the others.
        answer: What it found.
        done: Set when it has answered.
    """

    def __init__(self, site: Path, harness: str) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
        self.harness, self.answer, self.done = harness, list[str](), threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A page that is left while it still asks for something is none; the browser reports what fails."""


class Handler(http.server.SimpleHTTPRequestHandler):
    """The site under its prefix, watched; the harness; and the harness's answer."""

    server: Server

    def do_GET(self) -> None:
        """A page, with the watch in it; or any other file."""
        if self.path == "/harness":
            return self._send(self.server.harness)
        if self.path == "/versions.json":  # as mike writes it beside the versions
            return self._send(json.dumps(VERSIONS), "application/json")
        path = self._file()
        if path is not None and path.suffix == ".html":
            return self._send(path.read_text(encoding="utf-8").replace("<head>", "<head>" + WATCH, 1))
        return super().do_GET()

    def do_POST(self) -> None:
        """The harness's answer."""
        self.server.answer = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        self.server.done.set()

    def translate_path(self, path: str) -> str:
        """A file of the site by its address."""
        path = urlsplit(path).path
        return super().translate_path(path[len(PREFIX) - 1 :] if path.startswith(PREFIX) else "/absent")

    def _file(self) -> Path | None:
        path = Path(self.translate_path(self.path))
        path = path / "index.html" if path.is_dir() else path
        return path if path.is_file() else None

    def _send(self, text: str, kind: str = "text/html") -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


def check(site: Path, chromium: str) -> list[str]:
    """What is wrong with a built site."""
    # Without what `prepare.py` puts beside the demo
    files = [path for path in site.rglob("*") if path.is_file() and path.suffix not in (".onnx", ".wasm")]
    size = sum(path.stat().st_size for path in files)
    found = (
        [f"the site has {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"] if size > MOST_BYTES else []
    )
    pages = sorted(str(path.relative_to(site)) for path in site.rglob("index.html"))
    server = Server(site, HARNESS.replace("__PAGES__", json.dumps(pages)).replace("__PREFIX__", PREFIX))
    with server, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        browser = subprocess.Popen(
            [
                chromium,
                *options,
                "--window-size=1600,1000",
                f"http://127.0.0.1:{server.server_address[1]}/harness",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if not server.done.wait(TIMEOUT):
                return [*found, f"the browser gave no answer in {TIMEOUT} s"]
        finally:
            browser.kill()
            browser.wait()
            server.shutdown()
    print(f"{len(pages)} pages, {size / 1e6:.1f} MB")
    return found + server.answer


def main() -> int:
    """Check the folder that the command line names."""
    site = Path(sys.argv[1])
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        print("There is no Chromium: the pages were not opened")
        return 0
    found = list(dict.fromkeys(check(site, chromium)))
    print("\n".join(found))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
