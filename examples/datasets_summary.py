"""Read every data set that lies in a folder, print a summary of each, and draw a contact sheet of each.

    python examples/datasets_summary.py --root data --output sheets

The folder may hold `300w`, `wflw`, `cofw`, `AFLW2000`, `300W_LP` and `youtube_faces`, each as it is distributed, whole
or in part; and any other folder of `.pts` files. Landmarks are yellow, hidden ones red, the given boxes green; the
axes of head pose are the nose (orange), up (pink) and the person's left (green).
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from keras_asm.datasets import (
    DatasetError,
    LandmarkDataset,
    load_300w,
    load_300w_lp,
    load_aflw2000_3d,
    load_cofw,
    load_pts_folder,
    load_wflw,
    load_youtube_faces,
)
from keras_asm.faces import CropTransform, crop_image, read_image
from keras_asm.visualization import contact_sheet

SIZE = 320


def both(
    reader: Callable[..., LandmarkDataset], root: Path, title: str, **options: object
) -> LandmarkDataset:
    """The training and the test set as one, or the one that is there."""
    parts, errors = [], []
    for split in ("train", "test"):
        try:
            parts.append(reader(root, split, allow_partial=True, **options))
        except DatasetError as error:
            errors.append(str(error))
    if not parts:
        raise DatasetError("; ".join(errors), root)
    return LandmarkDataset.concatenate(parts, title=title if len(parts) > 1 else parts[0].title)


def readers(root: Path, output: Path) -> dict[str, tuple[tuple[str, ...], Callable[[Path], LandmarkDataset]]]:
    """For each data set, the names that its folder may have and how it is read."""

    def pose(path: Path) -> bool:
        return (path / "pose.csv").is_file()

    def aflw(reannotated: bool) -> Callable[[Path], LandmarkDataset]:
        return lambda path: load_aflw2000_3d(path, reannotated=reannotated, allow_partial=True)

    return {
        "300w": (("300w", "300W"), lambda path: load_300w(path, pose=pose(path), allow_partial=True)),
        "wflw": (("wflw", "WFLW", "wflw_sample"), lambda path: both(load_wflw, path, "WFLW")),
        "cofw": (
            ("cofw", "COFW"),
            lambda path: both(load_cofw, path, "COFW", image_folder=output / "cofw_images"),
        ),
        "aflw2000_3d": (("AFLW2000",), aflw(reannotated=False)),
        "aflw2000_3d_reannotated": (("AFLW2000",), aflw(reannotated=True)),
        "300w_lp": (("300W_LP",), lambda path: load_300w_lp(path, allow_partial=True)),
        "youtube_faces": (
            ("youtube_faces", "youtube_faces_68"),
            lambda path: load_youtube_faces(path, pose=pose(path), allow_partial=True),
        ),
    }


def draw_sheet(faces: LandmarkDataset, path: Path, n: int, seed: int) -> None:
    """Crops of some faces, drawn with all that is known of them."""
    rng = np.random.default_rng(seed)
    some = faces.select(np.sort(rng.choice(len(faces), min(n, len(faces)), replace=False)))
    transform = CropTransform.from_landmarks(some.landmarks, SIZE, margin=0.3)
    points = transform.to_pixels(some.landmarks)
    boxes = None if some.boxes is None else transform.to_pixels(some.boxes.reshape(-1, 2, 2))
    crops = []
    for i, name in enumerate(some.image_paths):
        crop = Image.fromarray(crop_image(read_image(name), transform.center[i], transform.side[i], SIZE))
        draw = ImageDraw.Draw(crop)
        if boxes is not None and np.isfinite(boxes[i]).all():
            draw.rectangle([tuple(corner) for corner in boxes[i]], outline=(60, 220, 60), width=2)
        if some.visibility is not None:
            for x, y in points[i][~some.visibility[i]]:
                draw.ellipse((x - 6, y - 6, x + 6, y + 6), fill=(230, 30, 30))
        crops.append(np.asarray(crop))
    contact_sheet(
        crops,
        landmarks=points,
        poses=some.pose if some.has_pose.all() else None,
        captions=None if some.has_pose.all() else some.names,
        scheme=some.scheme,
        path=path,
    )


def main() -> None:
    """Print and draw what there is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder that holds the data sets")
    parser.add_argument("--output", type=Path, required=True, help="where the contact sheets go")
    parser.add_argument("--faces", type=int, default=12, help="faces on a sheet")
    parser.add_argument("--seed", type=int, default=0, help="which faces")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)

    known = readers(arguments.root, arguments.output)
    jobs = [
        (name, arguments.root / folder, read)
        for name, (folders, read) in known.items()
        for folder in folders
        if (arguments.root / folder).is_dir()
    ]
    taken = {folder for folders, _ in known.values() for folder in folders}
    jobs += [
        (path.name, path, load_pts_folder)
        for path in sorted(arguments.root.iterdir())
        if path.is_dir() and path.name not in taken and any(path.rglob("*.pts"))
    ]
    if not jobs:
        raise SystemExit(f"{arguments.root} holds none of the data sets: {', '.join(sorted(taken))}")
    for name, path, read in jobs:
        try:
            faces = read(path)
        except DatasetError as error:
            print(f"{name}: {error}\n")
            continue
        print(f"{faces}\n")
        draw_sheet(faces, arguments.output / f"{name}.png", arguments.faces, arguments.seed)


if __name__ == "__main__":
    main()
