"""Landmarks and head poses drawn on images, with Pillow.

Colours are those that readers with any kind of colour vision tell apart (after Okabe and Ito), and each
stroke has a dark rim, so that it shows on light and on dark skin. Everything is drawn at `_OVERSAMPLING`
times the size and scaled down, since Pillow does not smooth edges.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_asm.landmarks import SCHEMES, LandmarkScheme, Line, as_points, get_scheme, landmark_boxes
from keras_asm.landmarks.normalizers import check_count
from keras_asm.pose import rotation_from_pose

__all__ = ["contact_sheet", "draw_faces", "draw_landmarks", "draw_pose_axes", "lines_of"]

_PREDICTED = (255, 214, 0)
_TRUE = (86, 190, 255)
_RIM = (20, 20, 20)
_INK = (235, 235, 235)
# Of the axes that point to the image's right, up, and out of the face.
_AXES = ((0, 190, 140), (235, 140, 200), (255, 110, 30))
_AXIS_NAMES = ("person's left", "up", "nose")
# Parts of a face by the names of a scheme's groups, without "left_" and "right_"; the first is for all others.
_PARTS = ((255, 214, 0), (235, 235, 235), (255, 150, 30), (0, 205, 150), (86, 190, 255), (255, 120, 190))
_PART_NAMES = ("", "jaw", "eyebrow", "nose", "eye", "mouth")
_DOUBTFUL = (255, 110, 30)  # the box of a face that is more likely wrong than right
_SMALL_FACE = 80  # pixels on the picture, below which there is no room for more than contours
_SIDES = (640, 1600)  # of the longer side of a picture of faces, in pixels
_OVERSAMPLING = 3


def draw_landmarks(
    image: Any,
    landmarks: Any,
    scheme: str | int | LandmarkScheme | None = None,
    true_landmarks: Any = None,
    normalized: bool = False,
    width: int = 480,
    path: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """An image with its landmarks: the given ones yellow and, if there are any, the true ones blue.

    Args:
        image: `(height, width, 3)`, or `(height, width)` of grey values, in 0..255.
        landmarks: `(n_landmarks, 2)` or `(2 * n_landmarks,)`, in pixels of the image (the centre of the
            first pixel is at 0, 0). Those that are NaN are left out, and the lines to them.
        scheme: Landmark scheme, whose lines are drawn. By default the known scheme of that number of
            landmarks, if there is one; otherwise points without lines.
        true_landmarks: Of the same shape; by default none.
        normalized: Whether the landmarks are normalised, so that the image spans -0.5 to 0.5.
        width: Width of the picture in pixels; 480 by default. Small images are enlarged to it.
        path: File to write the picture to, by default none.

    Returns:
        The picture, uint8 `(width * image height / image width, width, 3)`.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the image or the landmarks have a wrong shape, or a coordinate is infinite.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.visualization import draw_landmarks
        >>> draw_landmarks(np.zeros((96, 96, 3)), np.zeros(136), normalized=True, width=240).shape
        (240, 240, 3)

    See Also:
        - [`draw_faces`][keras_asm.visualization.draw_faces]: draws all that a predictor finds.
        - [`contact_sheet`][keras_asm.visualization.contact_sheet]: many images on one sheet.
        - [See it][see-it]: landmarks that are not those of a face.
    """
    canvas = _Canvas(image, width, normalized)
    if true_landmarks is not None:
        canvas.draw_shape(true_landmarks, scheme, _TRUE)
    canvas.draw_shape(landmarks, scheme, _PREDICTED)
    return _finish(canvas.reduced(), path)


def draw_pose_axes(
    image: Any,
    pose: Any,
    origin: tuple[float, float] | None = None,
    length: float | None = None,
    width: int = 480,
    path: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """An image with the axes of a head: nose orange, up pink, the person's left green.

    Each axis is the column of `R = Rx(pitch) Ry(yaw) Rz(roll)`, seen along z without perspective: yaw > 0
    turns the nose to the image's left, pitch > 0 turns it up, roll > 0 turns the head clockwise.

    Args:
        image: `(height, width, 3)`, or `(height, width)` of grey values, in 0..255.
        pose: Yaw, pitch and roll in degrees.
        origin: Where the axes start, in pixels of the image; its middle by default.
        length: Of an axis in the image plane, in pixels of the image; by default a third of its width.
        width: Width of the picture in pixels; 480 by default.
        path: File to write the picture to, by default none.

    Returns:
        The picture, uint8 `(width * image height / image width, width, 3)`.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the image or the pose has a wrong shape, or an angle is not finite.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.visualization import draw_pose_axes
        >>> draw_pose_axes(np.zeros((120, 160, 3)), [20.0, -5.0, 3.0], width=320).shape
        (240, 320, 3)

    See Also:
        - [`draw_landmarks`][keras_asm.visualization.draw_landmarks]: landmarks instead of axes.
        - [`rotation_from_pose`][keras_asm.pose.rotation_from_pose]: the axes as numbers.
        - [Head pose][head-pose]: signs and order of the angles.
    """
    canvas = _Canvas(image, width)
    canvas.draw_axes(pose, origin, length)
    canvas.write(_pose_text(pose))
    return _finish(canvas.reduced(), path)


def draw_faces(
    image: Any,
    faces: Sequence[Any],
    scheme: str | int | LandmarkScheme | None = None,
    width: int | None = None,
    path: str | os.PathLike[str] | None = None,
    scales: bool = False,
) -> np.ndarray:
    """A picture with the faces that `LandmarkPredictor` has found in it.

    The parts of a face have a colour each. Around it are the corners of its box, orange where the confidence is under a
    half; from the nose start the axes of the head, as in `draw_pose_axes`; below it stand the number of a face that
    `LandmarkTracker` follows, confidence and angles, as far as there is room: a face of under 80 pixels on the picture
    has contours and box alone. Strokes are as wide as suits the face, and have a dark rim.

    Args:
        image: `(height, width, 3)`, or `(height, width)` of grey values, in 0..255.
        faces: Any number of objects with `landmarks`, `(n_landmarks, 2)` in pixels of the image, and with `box` (left,
            top, right, bottom), `pose` and `confidence`, each of which may be `None`; and with an `identity`, if they
            have one.
        scheme: As in `draw_landmarks`.
        width: Width of the picture in pixels. By default that of the image, if its longer side has 640 to 1600 pixels;
            smaller images are enlarged to 640, larger ones reduced to 1600.
        path: File to write the picture to, by default none.
        scales: Draw a circle around each landmark of the faces that have `landmark_scales`, with the scale as its
            radius. `False` by default.

    Returns:
        The picture, uint8 `(width * image height / image width, width, 3)`.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If the image, landmarks or a pose have a wrong shape, or are not finite; if there are not as many
            scales as landmarks.

    Examples:
        >>> import numpy as np
        >>> from types import SimpleNamespace
        >>> from keras_asm.visualization import draw_faces
        >>> face = SimpleNamespace(landmarks=np.zeros((68, 2)), box=None, pose=[20.0, 0.0, 0.0], confidence=0.9)
        >>> draw_faces(np.zeros((96, 128, 3)), [face]).shape
        (480, 640, 3)

    See Also:
        - [`LandmarkPredictor`][keras_asm.inference.LandmarkPredictor]: finds the faces.
        - [`LandmarkTracker`][keras_asm.inference.LandmarkTracker]: follows them in a video.
        - [`draw_landmarks`][keras_asm.visualization.draw_landmarks]: landmarks alone, with the true ones.
    """
    if width is None:
        pixels = _rgb(image)
        longer = max(pixels.shape[:2])
        width = max(1, round(pixels.shape[1] * min(max(longer, _SIDES[0]), _SIDES[1]) / longer))
    canvas = _Canvas(image, width)
    for face in faces:
        canvas.draw_face(face, scheme, scales)
    return _finish(canvas.reduced(), path)


def contact_sheet(
    images: Sequence[Any],
    landmarks: Any = None,
    true_landmarks: Any = None,
    poses: Any = None,
    captions: Sequence[str] | None = None,
    scheme: str | int | LandmarkScheme | None = None,
    normalized: bool = False,
    columns: int | None = None,
    cell_width: int = 240,
    path: str | os.PathLike[str] | None = None,
) -> np.ndarray:
    """Many images on one sheet, with whatever is known of each drawn on it.

    Args:
        images: `(n, height, width, 3)` in 0..255, or a sequence of images of several sizes.
        landmarks: Of each image, as in `draw_landmarks`; drawn yellow. By default none.
        true_landmarks: Likewise; drawn blue. By default none.
        poses: Yaw, pitch and roll in degrees, `(n, 3)`; drawn as axes and written below the image, but for rows of
            NaN, whose pose is not known. By default none.
        captions: A line below each image, in place of the angles. By default none.
        scheme: As in `draw_landmarks`.
        normalized: As in `draw_landmarks`.
        columns: Images in a row; by default as many as make the sheet about square.
        cell_width: Width of an image on the sheet in pixels; 240 by default.
        path: File to write the sheet to, by default none.

    Returns:
        The sheet, uint8 `(sheet height, sheet width, 3)`.

    Raises:
        ImportError: If Pillow is missing.
        ValueError: If there is no image, or the numbers of images and of what is drawn on them differ.

    Examples:
        >>> import numpy as np
        >>> from keras_asm.visualization import contact_sheet
        >>> contact_sheet(np.zeros((6, 32, 32, 3)), columns=3, cell_width=64).shape
        (140, 208, 3)

    See Also:
        - [`draw_landmarks`][keras_asm.visualization.draw_landmarks]: one image.
        - [`FaceCrops`][keras_asm.faces.FaceCrops]: where the images come from.
        - [Look before you train][look-before-you-train]: what to look for.
    """
    image_module, draw_module, _ = _pillow()
    if len(images) == 0:
        raise ValueError("A contact sheet needs at least one image. Received: none")
    for name, values in (
        ("landmarks", landmarks),
        ("true_landmarks", true_landmarks),
        ("poses", poses),
        ("captions", captions),
    ):
        if values is not None and len(values) != len(images):
            raise ValueError(f"There must be {len(images)} {name}, one per image. Received: {len(values)}")

    cells = []
    for i, image in enumerate(images):
        canvas = _Canvas(image, cell_width, normalized)
        for shapes, colour in ((true_landmarks, _TRUE), (landmarks, _PREDICTED)):
            if shapes is not None:
                canvas.draw_shape(shapes[i], scheme, colour)
        if poses is not None and not np.isnan(np.asarray(poses[i], dtype=np.float64)).all():
            shapes = landmarks if landmarks is not None else true_landmarks
            points = np.empty((0, 2)) if shapes is None else canvas.to_pixels(shapes[i])
            points = points[~np.isnan(points).any(axis=1)]
            origin = tuple(points.mean(axis=0)) if len(points) else None
            canvas.draw_axes(poses[i], origin, None)
        cells.append(canvas.reduced())
    if captions is None and poses is not None:
        unknown = [bool(np.isnan(np.asarray(pose, dtype=np.float64)).all()) for pose in poses]
        captions = ["" if no else _pose_text(pose) for pose, no in zip(poses, unknown, strict=True)]

    columns = columns or math.ceil(math.sqrt(len(cells)))
    gap = max(4, cell_width // 30)
    font = _font(max(11, cell_width // 15))
    line = 0 if captions is None else round(1.3 * font.size)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    heights = [max(cell.height for cell in row) + line + gap for row in rows]
    legend = []
    if landmarks is not None and true_landmarks is not None:
        legend += [(_PREDICTED, "predicted"), (_TRUE, "true")]
    if poses is not None:
        legend += list(zip(_AXES, _AXIS_NAMES, strict=True))
    foot = font.size + 2 * gap if legend else 0
    size = (columns * (cell_width + gap) + gap, gap + sum(heights) + foot)
    sheet = image_module.new("RGB", size, (30, 30, 30))
    draw = draw_module.Draw(sheet)
    for i, cell in enumerate(cells):
        x = gap + i % columns * (cell_width + gap)
        y = gap + sum(heights[: i // columns])
        sheet.paste(cell, (x, y))
        if captions is not None:
            below = (x + cell_width / 2, y + heights[i // columns] - line - gap + 0.1 * font.size)
            text = _shortened(str(captions[i]), font, cell_width)
            draw.text(below, text, _INK, font, anchor="ma")
    left, middle, radius = float(gap), size[1] - foot / 2, font.size / 3
    for colour, text in legend:
        draw.ellipse((left, middle - radius, left + 2 * radius, middle + radius), colour)
        draw.text((left + 3 * radius, middle), text, _INK, font, anchor="lm")
        left += 6 * radius + font.getlength(text)
    return _finish(sheet, path)


def _runs(line: Sequence[int], there: np.ndarray) -> list[list[int]]:
    """The pieces of a line between landmarks without a position, of two points or more."""
    runs: list[list[int]] = [[]]
    for i in line:
        if there[i]:
            runs[-1].append(i)
        else:
            runs.append([])
    return [run for run in runs if len(run) > 1]


class _Canvas:
    """An enlarged image to draw on, in pixels of the image."""

    def __init__(self, image: Any, width: int, normalized: bool = False) -> None:
        image_module, draw_module, _ = _pillow()
        pixels = _rgb(image)
        self.source_size = pixels.shape[1], pixels.shape[0]
        self.width, self.height = width, round(width * pixels.shape[0] / pixels.shape[1])
        self.scale = _OVERSAMPLING * width / pixels.shape[1]
        self.normalized = normalized
        size = (self.width * _OVERSAMPLING, self.height * _OVERSAMPLING)
        self.picture = image_module.fromarray(pixels).resize(size, image_module.Resampling.BICUBIC)
        self.pen = draw_module.Draw(self.picture)
        # A stroke that suits the picture, whatever its size.
        self.stroke = _OVERSAMPLING * max(0.9, width / 300)

    def to_pixels(self, landmarks: Any) -> np.ndarray:
        points = as_points(landmarks)
        if points.ndim != 2 or np.isinf(points).any():
            raise ValueError(
                "The landmarks of an image must be finite, or NaN where they have no position, and have the shape "
                f"(n_landmarks, 2) or (2 * n_landmarks,). Received: shape {np.shape(landmarks)}, "
                f"{int(np.isinf(points).sum())} not finite"
            )
        return (points + 0.5) * self.source_size - 0.5 if self.normalized else points

    def _placed(self, points: np.ndarray) -> list[tuple[float, float]]:
        # A pixel's centre lies half a pixel from its edge, on the canvas too.
        return [(float(x), float(y)) for x, y in (points + 0.5) * self.scale]

    def draw_shape(
        self, landmarks: Any, scheme: str | int | LandmarkScheme | None, colour: tuple[int, int, int]
    ) -> None:
        points = self.to_pixels(landmarks)
        placed = self._placed(points)
        there = ~np.isnan(points).any(axis=1)
        strokes = [
            [placed[i] for i in run]
            for line, closed in lines_of(len(points), scheme)
            for run in _runs((*line, line[0])[: len(line) + closed], there)
        ]
        placed = [place for place, drawn in zip(placed, there, strict=True) if drawn]
        for rim, fill in ((0.7 * self.stroke, _RIM), (0.0, colour)):
            for stroke in strokes:
                self.pen.line(stroke, fill, round(0.7 * self.stroke + rim), joint="curve")
            radius = 1.2 * self.stroke + rim / 2
            for x, y in placed:
                self.pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill)

    def draw_axes(self, pose: Any, origin: tuple[float, float] | None, length: float | None) -> None:
        width, height = self.source_size
        start = np.array([(width - 1) / 2, (height - 1) / 2] if origin is None else origin)
        reach = width / 3 if length is None else length
        rotation = rotation_from_pose(_finite_pose(pose))
        # What points away from the viewer is drawn first.
        for axis in np.argsort(rotation[2]):
            # y points down in the image and up in the head.
            end = start + reach * rotation[:2, axis] * [1, -1]
            placed = np.array(self._placed(np.stack([start, end])))
            self._arrow(placed[0], placed[1], _AXES[axis])

    def _arrow(self, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int]) -> None:
        along = end - start
        distance = float(np.linalg.norm(along))
        for rim, fill in ((0.9 * self.stroke, _RIM), (0.0, colour)):
            if distance < 6 * self.stroke:  # It points at the viewer: a dot.
                radius = 2.6 * self.stroke + rim / 2
                self.pen.ellipse((*(end - radius), *(end + radius)), fill)
                continue
            unit = along / distance
            across = np.array([-unit[1], unit[0]])
            self.pen.line(
                [tuple(start), tuple(end - 3 * self.stroke * unit)], fill, round(2 * self.stroke + rim)
            )
            tip = end + rim * unit
            base = end - (7 * self.stroke + rim / 2) * unit
            half = (3.2 * self.stroke + 0.8 * rim) * across
            self.pen.polygon([tuple(tip), tuple(base + half), tuple(base - half)], fill)

    def draw_face(self, face: Any, scheme: str | int | LandmarkScheme | None, scales: bool) -> None:
        points = self.to_pixels(face.landmarks)
        box = np.array(landmark_boxes(points) if face.box is None else face.box, dtype=np.float64)
        if np.isnan(box).any():
            return  # nothing of the face has a position
        side = max(float((box[2:] - box[:2]).max()), 1e-6) * self.scale  # on the canvas
        self.stroke = _OVERSAMPLING * min(max(0.75, side / _OVERSAMPLING / 130), 6.0)
        doubtful = face.confidence is not None and face.confidence < 0.5
        if face.box is not None:
            self._corners(box, _DOUBTFUL if doubtful else _INK)
        large = side >= _SMALL_FACE * _OVERSAMPLING
        if large and face.pose is not None:
            self.draw_axes(face.pose, _nose(points, scheme, box), 0.5 * side / self.scale)
        radii = getattr(face, "landmark_scales", None) if scales else None
        if radii is not None:
            self._circles(points, np.asarray(radii, dtype=np.float64))
        self._parts(points, scheme, with_points=large)
        identity = getattr(face, "identity", -1)
        words = [f"#{identity}"] if identity >= 0 else []
        words += [] if face.confidence is None else [f"{100 * face.confidence:.0f} %"]
        words += [] if face.pose is None else [_pose_text(face.pose)]
        if large and words:
            self._label("   ".join(words), box, side)

    def _circles(self, points: np.ndarray, radii: np.ndarray) -> None:
        if radii.shape != points.shape[:1]:
            raise ValueError(
                f"There must be {len(points)} landmark_scales, one a landmark. Received: shape {radii.shape}"
            )
        drawn = ~np.isnan(points).any(axis=1) & np.isfinite(radii)
        width = max(1, round(0.8 * self.stroke))
        for rim, fill in ((width, _RIM), (0, _INK)):
            for (x, y), radius in zip(self._placed(points[drawn]), radii[drawn] * self.scale, strict=True):
                outer = radius + (width + rim) / 2
                self.pen.ellipse((x - outer, y - outer, x + outer, y + outer), None, fill, width + rim)

    def _parts(
        self, points: np.ndarray, scheme: str | int | LandmarkScheme | None, with_points: bool
    ) -> None:
        placed = self._placed(points)
        colours = _part_colours(len(points), scheme)
        there = ~np.isnan(points).any(axis=1)
        strokes = [
            ([placed[i] for i in run], colours[line[0]])
            for line, closed in lines_of(len(points), scheme)
            for run in _runs((*line, line[0])[: len(line) + closed], there)
        ]
        with_points = with_points or not strokes
        dots = [dot for dot, drawn in zip(zip(placed, colours, strict=True), there, strict=True) if drawn]
        for rim, coloured in ((1.3 * self.stroke, False), (0.0, True)):
            for stroke, colour in strokes:
                width = max(1, round(0.8 * self.stroke + rim))
                self.pen.line(stroke, colour if coloured else _RIM, width, joint="curve")
            radius = 1.15 * self.stroke + rim / 2
            for (x, y), colour in dots if with_points else ():
                self.pen.ellipse(
                    (x - radius, y - radius, x + radius, y + radius), colour if coloured else _RIM
                )

    def _corners(self, box: np.ndarray, colour: tuple[int, int, int]) -> None:
        corners = self._placed(box.reshape(2, 2))
        reach = 0.16 * max(corners[1][0] - corners[0][0], corners[1][1] - corners[0][1])
        for rim, fill in ((0.9 * self.stroke, _RIM), (0.0, colour)):
            for x, inward in ((corners[0][0], 1), (corners[1][0], -1)):
                for y, downward in ((corners[0][1], 1), (corners[1][1], -1)):
                    bend = [(x + inward * reach, y), (x, y), (x, y + downward * reach)]
                    self.pen.line(bend, fill, max(1, round(1.1 * self.stroke + rim)), joint="curve")

    def _label(self, text: str, box: np.ndarray, side: float) -> None:
        """Below the box, or above it where there is no room; as large as fits beside the face, within limits."""
        size = min(max(side / 17, 11 * _OVERSAMPLING), 26 * _OVERSAMPLING)
        font = _font(round(size))
        width, height = font.getlength(text) + 0.8 * size, 1.5 * size
        (left, top), (right, bottom) = self._placed(box.reshape(2, 2))
        gap = 0.4 * size
        x = min(max((left + right - width) / 2, 0), max(self.picture.width - width, 0))
        y = bottom + gap if bottom + gap + height <= self.picture.height else max(top - gap - height, 0)
        self.pen.rounded_rectangle((x, y, x + width, y + height), 0.35 * size, _RIM)
        self.pen.text((x + width / 2, y + height / 2), text, _INK, font, anchor="mm")

    def write(self, text: str) -> None:
        size = max(11, self.width // 22) * _OVERSAMPLING
        font = _font(size)
        left, bottom = size / 2, self.picture.height - size / 2
        box = self.pen.textbbox((left, bottom), text, font, anchor="ls")
        self.pen.rectangle((box[0] - size / 4, box[1] - size / 4, box[2] + size / 4, box[3] + size / 4), _RIM)
        self.pen.text((left, bottom), text, _INK, font, anchor="ls")

    def reduced(self) -> Any:
        return self.picture.resize((self.width, self.height), _pillow()[0].Resampling.LANCZOS)


def _scheme_of(n_landmarks: int, scheme: str | int | LandmarkScheme | None) -> LandmarkScheme | None:
    if scheme is not None:
        return get_scheme(scheme)
    return next((known for known in SCHEMES.values() if known.n_landmarks == n_landmarks), None)


def _part_colours(n_landmarks: int, scheme: str | int | LandmarkScheme | None) -> list[tuple[int, int, int]]:
    colours = [_PARTS[0]] * n_landmarks
    known = _scheme_of(n_landmarks, scheme)
    for name, indices in () if known is None else known.groups.items():
        part = name.removeprefix("left_").removeprefix("right_")
        for i in indices:
            colours[i] = _PARTS[_PART_NAMES.index(part) if part in _PART_NAMES else 0]
    return colours


def _nose(
    points: np.ndarray, scheme: str | int | LandmarkScheme | None, box: np.ndarray
) -> tuple[float, float]:
    """The middle of the nose, or of the box if the nose has no position."""
    known = _scheme_of(len(points), scheme)
    chosen = None if known is None else known.groups.get("nose")
    nose = points[list(chosen)] if chosen else points
    if np.isnan(nose).any(axis=1).all():
        nose = box.reshape(2, 2)
    x, y = np.nanmean(nose, axis=0)
    return float(x), float(y)


def _finite_pose(pose: Any) -> np.ndarray:
    angles = np.asarray(pose, dtype=np.float64)
    if angles.shape != (3,) or not np.isfinite(angles).all():
        raise ValueError(
            f"A pose must be a finite yaw, pitch and roll. Received: shape {angles.shape}, {angles.tolist()}"
        )
    return angles


def lines_of(n_landmarks: int, scheme: str | int | LandmarkScheme | None) -> tuple[Line, ...]:
    """The lines of a scheme, or of the known scheme of that number of landmarks, or none."""
    if scheme is not None:
        scheme = get_scheme(scheme)
        check_count(n_landmarks, scheme)
    known = _scheme_of(n_landmarks, scheme)
    return () if known is None else known.lines


def _pose_text(pose: Any) -> str:
    angles = zip(("yaw", "pitch", "roll"), np.asarray(pose).tolist(), strict=True)
    return ", ".join(f"{name} {angle:+.0f}°" for name, angle in angles)


def _rgb(image: Any) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3) or 0 in pixels.shape:
        raise ValueError(
            "An image must have the shape (height, width, 3) or (height, width). "
            f"Received: shape {pixels.shape}"
        )
    if pixels.dtype != np.uint8:
        if not np.isfinite(pixels).all():
            raise ValueError("An image must be finite. Received: NaN or infinite values")
        pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def _shortened(text: str, font: Any, width: float) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _font(size: int) -> Any:
    return _pillow()[2].load_default(size)


def _finish(picture: Any, path: str | os.PathLike[str] | None) -> np.ndarray:
    if path is not None:
        picture.save(path)
    return np.asarray(picture)


def _pillow() -> tuple[Any, Any, Any]:
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise ImportError('Drawing on images needs Pillow: pip install "keras-asm[plot]"') from error
    return Image, ImageDraw, ImageFont
