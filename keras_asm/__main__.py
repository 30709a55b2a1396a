"""The command line: `keras-asm`, or `python -m keras_asm`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_asm._version import __version__

if TYPE_CHECKING:
    from keras_asm.inference import Predictions

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the command's name; by default those of the process.

    Returns:
        0 if all went well, 1 if no picture could be read or an argument is wrong.
    """
    parser = argparse.ArgumentParser(prog="keras-asm", description="Active shape models for Keras 3.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_predict(commands.add_parser("predict", help="find faces, landmarks and head poses in pictures"))
    _add_video(commands.add_parser("video", help="follow faces through a video, or in front of a camera"))
    options = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        return _video(options) if options.command == "video" else _predict(options)
    except (ValueError, OSError, ImportError) as error:
        print(f"keras-asm: {error}", file=sys.stderr)
        return 1


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pictures", nargs="+", help="pictures, or folders of pictures")
    add(
        "--model",
        help="asmnet-photos or asmnet-drawn, which come with the package, or a file with a description: .keras, or "
        "exported",
    )
    add(
        "--output",
        help="the picture with what was found drawn on it; a folder, if there are several pictures",
    )
    add(
        "--csv",
        help="a table of the results; if the command is interrupted, the same command goes on from there",
    )
    add("--coco", help="the results as COCO's key points")
    add("--pts", help="a new folder for the results as .pts files, each beside a copy of its picture")
    add("--detector", choices=("yunet", "dlib", "mtcnn"), default="yunet", help="default: %(default)s")
    add("--min-face", type=float, help="width in pixels of the smallest faces that YuNet looks for")
    add(
        "--boxes",
        action="append",
        metavar="BOX",
        help="'image', if each picture is a crop of a face already; or LEFT,TOP,RIGHT,BOTTOM of the landmarks' box in "
        "pixels, once for each face of the one picture. In place of a detector",
    )
    add("--flip-test", action="store_true", help="average with the prediction of the mirrored picture")
    add(
        "--refine",
        type=int,
        default=0,
        metavar="TIMES",
        help="crop each face anew by its landmarks, so often",
    )
    add("--project", action="store_true", help="put implausible shapes back by the shape model")
    add(
        "--scales",
        action="store_true",
        help="draw how far each landmark may be off, if the network says it",
    )
    add("--width", type=int, help="of the drawn pictures, in pixels (default: as they are, within limits)")


def _predict(options: argparse.Namespace) -> int:
    import warnings

    from keras_asm.datasets import write_coco, write_pts_folder
    from keras_asm.inference import LandmarkPredictor, YuNetDetector, find_pictures

    detector = options.detector
    if options.min_face is not None:
        if options.detector != "yunet":
            raise ValueError(f"--min-face is an option of YuNet's. Received: --detector {options.detector}")
        detector = YuNetDetector(min_face=options.min_face)
    predictor = LandmarkPredictor(
        options.model,
        None if options.boxes else detector,
        flip_test=options.flip_test,
        refine=options.refine,
        project=options.project,
    )
    pictures: list[str] = []
    for picture in options.pictures:
        pictures += find_pictures(picture) if os.path.isdir(picture) else [picture]
    pictures = list(dict.fromkeys(pictures))
    boxes = _boxes(options.boxes, len(pictures))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # unreadable pictures are listed below
        found = predictor(
            pictures, boxes, table=options.csv, verbose=int(len(pictures) > 1 and sys.stderr.isatty())
        )

    for picture, faces in zip(found.pictures, found.faces, strict=True):
        if picture in found.unreadable:
            print(found.unreadable[picture], file=sys.stderr)
            continue
        print(f"{picture}: {len(faces)} {'face' if len(faces) == 1 else 'faces'}")
        for face in faces:
            text = "  box " + ", ".join(f"{value:.0f}" for value in face.box)
            if face.pose is not None:
                text += "; " + ", ".join(
                    f"{name} {angle:+.0f}"
                    for name, angle in zip(("yaw", "pitch", "roll"), face.pose, strict=True)
                )
            if face.confidence is not None:
                text += f"; confidence {face.confidence:.2f}"
            print(text)
    if options.output:
        _draw(found, Path(options.output), options.width, options.scales)
    if found.n_faces:
        if options.coco:
            write_coco(options.coco, found.to_dataset())
        if options.pts:
            write_pts_folder(options.pts, found.to_dataset())
    elif options.coco or options.pts:
        print("keras-asm: no face found, so --coco and --pts write nothing", file=sys.stderr)
    return int(len(found.unreadable) == len(found))


def _add_video(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", help="a video file, or the number of a camera, from 0, which runs until Ctrl-C")
    add(
        "--model",
        help="asmnet-photos or asmnet-drawn, which come with the package, or a file with a description: .keras, or "
        "exported",
    )
    add("--output", help="a new video, .mp4, with the faces drawn on it")
    add("--detector", choices=("yunet", "dlib", "mtcnn"), default="yunet", help="default: %(default)s")
    add("--detect-every", type=int, default=30, help="frames between detections (default: %(default)s)")
    add("--smoothing", choices=("none", "light", "medium", "strong"), default="medium")


def _video(options: argparse.Namespace) -> int:
    import keras

    from keras_asm.inference import LandmarkPredictor, LandmarkTracker, VideoFrames, write_video
    from keras_asm.visualization import draw_faces

    camera = options.source.isdecimal()
    video = VideoFrames(int(options.source) if camera else options.source)
    predictor = LandmarkPredictor(options.model, options.detector)
    tracker = LandmarkTracker(
        predictor,
        detect_every=options.detect_every,
        smoothing=None if options.smoothing == "none" else options.smoothing,
        rate=video.rate,
    )
    bar = keras.utils.Progbar(video.n_frames, unit_name="frame") if sys.stderr.isatty() else None
    counts: list[int] = []
    identities: set[int] = set()

    def drawn() -> Iterator[Any]:
        try:
            for frame in video:
                faces = tracker.update(frame)
                counts.append(len(faces))
                identities.update(face.identity for face in faces)
                if bar is not None:
                    bar.update(len(counts))
                elif camera:
                    print(f"frame {len(counts)}: {len(faces)} faces", flush=True)
                yield (
                    draw_faces(frame, faces, predictor.info.scheme, frame.shape[1])
                    if options.output
                    else None
                )
        except KeyboardInterrupt:
            if not camera:
                raise

    if options.output:
        write_video(options.output, drawn(), video.rate, sound=None if camera else options.source)
    else:
        for _ in drawn():
            pass
    print(
        f"{options.source}: {len(counts)} frames, {sum(counts)} faces in them, {len(identities)} identities"
    )
    return 0


def _boxes(given: Sequence[str] | None, n_pictures: int) -> Any:
    if not given:
        return None
    if given == ["image"]:
        return "image"
    try:
        boxes = [[float(value) for value in box.split(",")] for box in given]
    except ValueError:
        boxes = []
    if not boxes or any(len(box) != 4 for box in boxes):
        raise ValueError(f"--boxes takes 'image' or LEFT,TOP,RIGHT,BOTTOM. Received: {', '.join(given)}")
    if n_pictures != 1:
        raise ValueError(f"--boxes LEFT,TOP,RIGHT,BOTTOM is for one picture. Received: {n_pictures} pictures")
    return [boxes]


def _draw(found: Predictions, output: Path, width: int | None, scales: bool) -> None:
    from keras_asm.faces import read_image
    from keras_asm.visualization import draw_faces

    several = len(found) > 1 or output.is_dir()
    if several:
        output.mkdir(parents=True, exist_ok=True)
    used: set[str] = set()
    for picture, faces in zip(found.pictures, found.faces, strict=True):
        if picture in found.unreadable:
            continue
        path = output
        if several:
            name = f"{Path(picture).stem}.png"
            while name in used:  # pictures of several folders
                name = f"{Path(name).stem}_.png"
            used.add(name)
            path = output / name
        draw_faces(read_image(picture, exif="apply"), faces, found.scheme, width, path, scales)


if __name__ == "__main__":
    sys.exit(main())
