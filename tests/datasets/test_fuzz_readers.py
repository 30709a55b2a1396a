"""Files that are damaged, in all ways that were thought of: each is read rightly or refused with its name.

The number of mutations per case is small here; `KERAS_ASM_FUZZ=1000` sets it, and prints what came out.
"""

import json
import os
import shutil
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_asm.datasets import (
    DatasetError,
    LandmarkDataset,
    load_300w,
    load_300w_lp,
    load_aflw2000_3d,
    load_coco,
    load_cofw,
    load_cvat,
    load_imglab,
    load_labelme,
    load_pts_folder,
    load_table,
    load_via,
    load_wflw,
    load_youtube_faces,
    read_pose_csv,
    read_pts,
    write_coco,
    write_pts,
)
from keras_asm.faces import read_image

N_MUTATIONS = int(os.environ.get("KERAS_ASM_FUZZ", "40"))
TEXT = (".pts", ".csv", ".txt")
TREES = (".json", ".xml")  # text too, but an error may concern what stands in several lines


# ----------------------------------------------------------------------------------------------- the cases


def made_300w(root: Path, rng: np.random.Generator) -> None:
    (root / "ibug").mkdir()
    for i in range(2):
        write_pts(root / f"ibug/{i}.pts", rng.uniform(0, 200, (68, 2)))
        (root / f"ibug/{i}.jpg").touch()
    (root / "pose.csv").write_text("image,yaw,pitch,roll\nibug/0.jpg,1.5,-2,3\nibug/1.jpg,4,5,6.25\n")


def made_wflw(root: Path, rng: np.random.Generator) -> None:
    folder = root / "WFLW_annotations/list_98pt_rect_attr_train_test"
    folder.mkdir(parents=True)
    (root / "WFLW_images").mkdir()
    (root / "WFLW_images/a b.jpg").touch()
    rows = [
        " ".join(f"{value:.6f}" for value in rng.uniform(0, 200, 196)) + f" 1 2 30 40 0 1 0 {i} 0 1 a b.jpg\n"
        for i in range(2)
    ]
    (folder / "list_98pt_rect_attr_test.txt").write_text("".join(rows))


def made_cofw(root: Path, rng: np.random.Generator) -> None:
    with h5py.File(root / "COFW_train_color.mat", "w", userblock_size=512) as file:
        images = [
            rng.integers(0, 256, (3, 8, 9), dtype=np.uint8),
            rng.integers(0, 256, (8, 9), dtype=np.uint8),
        ]
        references = [file.create_dataset(f"#refs#/{i}", data=image).ref for i, image in enumerate(images)]
        file.create_dataset("IsTr", data=np.array([references], dtype=h5py.ref_dtype))
        phis = np.concatenate([rng.uniform(1, 9, (58, 2)), rng.integers(0, 2, (29, 2))])
        file.create_dataset("phisTr", data=phis, compression="gzip")
        file.create_dataset("bboxesTr", data=rng.uniform(1, 9, (4, 2)))


def made_aflw(root: Path, rng: np.random.Generator) -> None:
    for i in range(2):
        values = {
            "Pose_Para": np.float32(rng.normal(size=(1, 7))),
            "pt3d_68": np.float32(rng.uniform(0, 450, (3, 68))),
            "pt2d": rng.uniform(0, 450, (2, 21)),
        }
        savemat(root / f"image{i:05d}.mat", values, do_compression=bool(i))
        (root / f"image{i:05d}.jpg").touch()
    np.savez_compressed(
        root / "reannotated_2d_68.npz",
        names=np.array(["image00000", "image00001"]),
        landmarks=np.float32(rng.uniform(0, 450, (2, 68, 2))),
    )


def made_300w_lp(root: Path, rng: np.random.Generator) -> None:
    for name in ("AFW/AFW_1_1_0", "AFW_Flip/AFW_1_1_0"):
        points = rng.uniform(0, 450, (68, 2))
        for path in (root / name, root / "landmarks" / name):
            path.parent.mkdir(parents=True, exist_ok=True)
        values = {"Pose_Para": np.float32(rng.normal(size=(1, 7))), "pt2d": np.float32(points.T)}
        savemat(root / f"{name}.mat", values)
        savemat(root / f"landmarks/{name}_pts.mat", {"pts_2d": points, "pts_3d": points}, do_compression=True)
        (root / f"{name}.jpg").touch()


def made_youtube(root: Path, rng: np.random.Generator) -> None:
    for folder in ("training", "test"):
        (root / folder).mkdir()
        rows = ["," + ",".join(str(i) for i in range(136))]
        for name in ("Ann_Lee_00.jpg", "Bob_Fox_01.jpg"):
            (root / folder / name).touch()
            rows.append(",".join([name, *(f"{value:.1f}" for value in rng.uniform(0, 200, 136))]))
        (root / f"{folder}_frames_keypoints.csv").write_text("\n".join([*rows, ""]))


def made_table(root: Path, rng: np.random.Generator) -> None:
    for i in range(3):
        (root / f"{i}.png").touch()
    points = rng.uniform(0, 200, (3, 10))
    rows = [",".join([f"{i}.png", *(f"{value:.2f}" for value in row)]) for i, row in enumerate(points)]
    (root / "table.csv").write_text("\n".join(["image," + "x,y," * 4 + "x,y", *rows, ""]))


def made_pts(root: Path, rng: np.random.Generator) -> None:
    for i in range(2):
        write_pts(root / f"{i}.pts", rng.uniform(0, 200, (20, 2)))
        (root / f"{i}.png").touch()


def made_named_table(root: Path, rng: np.random.Generator) -> None:
    for i in range(3):
        (root / f"{i}.png").touch()
    rows = ["x_nose,x_chin,y_nose,y_chin,nose_v,image,left,top,width,height"]
    for i in range(3):
        numbers = [f"{value:.2f}" for value in rng.uniform(0, 200, 8)]
        rows.append(",".join([*numbers[:4], str(i % 2), f"{i}.png", *numbers[4:]]))
    (root / "table.csv").write_text("\n".join([*rows, ""]))


def made_coco(root: Path, rng: np.random.Generator) -> None:
    for i in range(3):
        (root / f"{i}.png").touch()
    faces = LandmarkDataset(
        tuple(str(root / f"{i}.png") for i in range(3)),
        rng.uniform(0, 200, (3, 5, 2)).round(2),
        boxes=np.tile([1.0, 2, 30, 40], (3, 1)),
        visibility=rng.uniform(size=(3, 5)) > 0.5,
        pose=rng.normal(size=(3, 3)).round(2),
        subsets={"test": np.array([True, False, True])},
        groups=("a", "b", "a"),
    )
    write_coco(root / "coco.json", faces, image_sizes=False)


def made_labelme(root: Path, rng: np.random.Generator) -> None:
    for i in range(3):
        (root / f"{i}.png").touch()
        shapes = [
            {"label": name, "points": [[float(x), float(y)]], "group_id": None, "shape_type": "point"}
            for name, x, y in zip("abc", *rng.uniform(0, 200, (2, 3)).round(2), strict=True)
        ]
        shapes.append({"label": "face", "points": [[1, 2], [30, 40]], "shape_type": "rectangle"})
        document = {"version": "5.5.0", "shapes": shapes, "imagePath": f"{i}.png", "imageData": None}
        (root / f"{i}.json").write_text(json.dumps(document, indent=2))


def made_cvat(root: Path, rng: np.random.Generator) -> None:
    rows = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "<version>1.1</version>"]
    for i in range(3):
        (root / f"{i}.png").touch()
        rows += [f'<image id="{i}" name="{i}.png" width="200" height="200">', '<skeleton label="face">']
        for name, x, y in zip("abc", *rng.uniform(0, 200, (2, 3)).round(2), strict=True):
            rows.append(f'<points label="{name}" outside="0" occluded="0" points="{x},{y}"></points>')
        rows += [
            "</skeleton>",
            '<box label="face" xtl="1.00" ytl="2.00" xbr="30.00" ybr="40.00"/>',
            "</image>",
        ]
    (root / "annotations.xml").write_text("\n".join([*rows, "</annotations>", ""]))


def made_via(root: Path, rng: np.random.Generator) -> None:
    images, rows = {}, ["filename,file_size,file_attributes,region_count,region_id"]
    rows[0] += ",region_shape_attributes,region_attributes"
    for i in range(3):
        (root / f"{i}.png").touch()
        regions = [
            {
                "shape_attributes": {"name": "point", "cx": int(x), "cy": int(y)},
                "region_attributes": {"part": name},
            }
            for name, x, y in zip("abc", *rng.uniform(2, 200, (2, 3)), strict=True)
        ]
        images[f"{i}.png12"] = {"filename": f"{i}.png", "size": 12, "regions": regions, "file_attributes": {}}
        for number, region in enumerate(regions):
            cells = [
                json.dumps(region[key]).replace('"', '""')
                for key in ("shape_attributes", "region_attributes")
            ]
            rows.append(f'{i}.png,12,"{{}}",3,{number},"{cells[0]}","{cells[1]}"')
    (root / "via.json").write_text(json.dumps({"_via_settings": {}, "_via_img_metadata": images}))
    (root / "via.csv").write_text("\n".join([*rows, ""]))


def made_imglab(root: Path, rng: np.random.Generator) -> None:
    rows = ["<?xml version='1.0' encoding='ISO-8859-1'?>", "<dataset>", "<images>"]
    for i in range(3):
        (root / f"{i}.png").touch()
        rows += [f"<image file='{i}.png'>", "  <box top='1' left='2' width='30' height='40'>"]
        for number, (x, y) in enumerate(rng.integers(2, 200, (3, 2))):
            rows.append(f"    <part name='{number}' x='{x}' y='{y}'/>")
        rows += ["  </box>", "</image>"]
    (root / "faces.xml").write_text("\n".join([*rows, "</images>", "</dataset>", ""]))


def made_images(root: Path, rng: np.random.Generator) -> None:
    pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    colour = Image.fromarray(pixels)
    rotated = Image.Exif()
    rotated[0x0112] = 6
    colour.save(root / "colour.png")
    colour.save(root / "colour.jpg")
    colour.save(root / "rotated.jpg", exif=rotated)
    colour.save(root / "colour.bmp")
    colour.save(root / "colour.tif", compression="tiff_deflate")
    colour.save(root / "colour.webp")
    colour.convert("CMYK").save(root / "cmyk.jpg")
    colour.convert("L").save(root / "grey.jpg")
    colour.convert("P").save(root / "palette.gif")
    colour.convert("RGBA").save(root / "alpha.png")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save(root / "deep.png")


def real_300w(root: Path, data: Path) -> None:
    (root / "afw").mkdir()
    for path in sorted((data / "300w/afw").glob("*.pts"))[:2]:
        shutil.copyfile(path, root / "afw" / path.name)
        (root / "afw" / path.name).with_suffix(".jpg").touch()
    lines = (data / "300w/pose.csv").read_text().splitlines()
    names = tuple(f"afw/{path.stem}." for path in sorted((root / "afw").glob("*.pts")))
    rows = [line for line in lines[1:] if line.startswith(names)]
    (root / "pose.csv").write_text("\n".join([lines[0], *rows, ""]))


def real_wflw(root: Path, data: Path) -> None:
    name = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_test.txt"
    (root / name).parent.mkdir(parents=True)
    rows = (data / "wflw_sample" / name).read_text().splitlines()[:2]
    (root / name).write_text("\n".join([*rows, ""]))
    for row in rows:
        path = root / "WFLW_images" / row.split()[-1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def real_aflw(root: Path, data: Path) -> None:
    paths = sorted((data / "AFLW2000").glob("*.mat"))[:2]
    for path in paths:
        shutil.copyfile(path, root / path.name)
        (root / path.name).with_suffix(".jpg").touch()
    with np.load(data / "AFLW2000/reannotated_2d_68.npz", allow_pickle=False) as archive:
        rows = [archive["names"].tolist().index(path.stem) for path in paths]
        np.savez(
            root / "reannotated_2d_68.npz", names=archive["names"][rows], landmarks=archive["landmarks"][rows]
        )


def real_youtube(root: Path, data: Path) -> None:
    for folder in ("training", "test"):
        (root / folder).mkdir()
        rows = (data / f"youtube_faces_68/{folder}_frames_keypoints.csv").read_text().splitlines()[:3]
        (root / f"{folder}_frames_keypoints.csv").write_text("\n".join([*rows, ""]))
        for row in rows[1:]:
            (root / folder / row.split(",")[0]).touch()


def real_images(root: Path, data: Path) -> None:
    shutil.copyfile(next(iter(sorted((data / "300w/afw").glob("*.jpg")))), root / "real.jpg")
    with Image.open(root / "real.jpg") as image:
        small = image.resize((48, 48))
    small.save(root / "real.png")
    small.convert("CMYK").save(root / "cmyk.jpg")
    small.save(root / "real.jpg")


def in_300w(root: Path) -> LandmarkDataset:
    return load_300w(root, pose=True, allow_partial=True)


def in_cofw(root: Path) -> LandmarkDataset:
    return load_cofw(root, "train", image_folder=root / "images", allow_partial=True)


def in_youtube(root: Path) -> LandmarkDataset:
    return load_youtube_faces(root, allow_partial=True)


# Reader, where its files come from, which of them are mutated, and how it is called on the folder or the file.
Case = tuple[str, Callable, str, Callable]
MADE: list[Case] = [
    ("read_pts", made_pts, "0.pts", lambda root: read_pts(root / "0.pts")),
    ("read_pose_csv", made_300w, "pose.csv", lambda root: read_pose_csv(root / "pose.csv")),
    ("load_300w", made_300w, "**/*.*[sv]", in_300w),
    ("load_wflw", made_wflw, "**/*.txt", lambda root: load_wflw(root, "test", allow_partial=True)),
    ("load_cofw", made_cofw, "*.mat", in_cofw),
    ("load_aflw2000_3d", made_aflw, "*.mat", lambda root: load_aflw2000_3d(root, allow_partial=True)),
    (
        "load_aflw2000_3d, re-annotated",
        made_aflw,
        "*.npz",
        lambda root: load_aflw2000_3d(root, reannotated=True, allow_partial=True),
    ),
    ("load_300w_lp, 2d", made_300w_lp, "AFW*/*.mat", lambda root: load_300w_lp(root, allow_partial=True)),
    (
        "load_300w_lp, 3d",
        made_300w_lp,
        "landmarks/**/*.mat",
        lambda root: load_300w_lp(root, "3d", allow_partial=True),
    ),
    ("load_youtube_faces", made_youtube, "*.csv", in_youtube),
    ("load_table", made_table, "*.csv", lambda root: load_table(root / "table.csv")),
    ("load_table, named columns", made_named_table, "*.csv", lambda root: load_table(root / "table.csv")),
    ("load_pts_folder", made_pts, "*.pts", load_pts_folder),
    ("load_coco", made_coco, "*.json", lambda root: load_coco(root / "coco.json")),
    ("load_labelme", made_labelme, "*.json", load_labelme),
    ("load_cvat", made_cvat, "*.xml", lambda root: load_cvat(root / "annotations.xml")),
    ("load_via", made_via, "*.json", lambda root: load_via(root / "via.json")),
    ("load_via, CSV", made_via, "*.csv", lambda root: load_via(root / "via.csv")),
    ("load_imglab", made_imglab, "*.xml", lambda root: load_imglab(root / "faces.xml")),
    (
        "load_imglab, partial",
        made_imglab,
        "*.xml",
        lambda root: load_imglab(root / "faces.xml", allow_partial=True),
    ),
]
REAL: list[Case] = [
    (
        "read_pts, real",
        real_300w,
        "afw/*.pts",
        lambda root: {path: read_pts(path, 68) for path in (root / "afw").glob("*.pts")},
    ),
    ("load_300w, real", real_300w, "**/*.*[sv]", in_300w),
    ("load_wflw, real", real_wflw, "**/*.txt", lambda root: load_wflw(root, "test", allow_partial=True)),
    ("load_aflw2000_3d, real", real_aflw, "*.mat", lambda root: load_aflw2000_3d(root, allow_partial=True)),
    ("load_youtube_faces, real", real_youtube, "*.csv", in_youtube),
]


# ------------------------------------------------------------------------------------------- the mutations


def flip_bytes(data: bytes, rng: np.random.Generator) -> bytes:
    array = np.frombuffer(data, dtype=np.uint8).copy()
    where = rng.integers(0, len(array), rng.integers(1, 9))
    array[where] ^= rng.integers(1, 256, len(where)).astype(np.uint8)
    return array.tobytes()


def flip_early(data: bytes, rng: np.random.Generator) -> bytes:
    """In the header, where binary formats are most easily broken."""
    return flip_bytes(data[:256], rng) + data[256:]


def truncate(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(0, len(data))]


def cut_out(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return data[:start] + data[stop:]


def repeat(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return data[:stop] + data[start:]


def zeros(data: bytes, rng: np.random.Generator) -> bytes:
    start, stop = sorted(rng.integers(0, len(data), 2))
    return data[:start] + bytes(int(stop - start)) + data[stop:]


def noise(data: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(len(data))


def empty(data: bytes, rng: np.random.Generator) -> bytes:
    return b""


def _separator(data: bytes) -> bytes:
    return b"," if b"," in data else b" "


def _fields(change: Callable) -> Callable:
    """A mutation of one field of one line."""

    def mutate(data: bytes, rng: np.random.Generator) -> bytes:
        lines = data.split(b"\n")
        i = int(rng.integers(0, len(lines)))
        fields = lines[i].split(_separator(data))
        change(fields, int(rng.integers(0, len(fields))), rng)
        lines[i] = _separator(data).join(fields)
        return b"\n".join(lines)

    mutate.__name__ = change.__name__
    return mutate


@_fields
def drop_field(fields, i, rng):
    del fields[i]


@_fields
def repeat_field(fields, i, rng):
    fields.insert(i, fields[i])


@_fields
def odd_field(fields, i, rng):
    odd = [
        "nan",
        "NaN",
        "inf",
        "-inf",
        "1e400",
        "9" * 400,
        "1e7",
        "",
        "x",
        "1_0",
        "٣",
        "0x10",
        "--1",
        "é",
        "\0",
        '"',
        "1,5",
    ]
    fields[i] = odd[rng.integers(len(odd))].encode()


def drop_line(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.integers(0, len(lines))]
    return b"\n".join(lines)


def repeat_line(data: bytes, rng: np.random.Generator) -> bytes:
    lines = data.split(b"\n")
    i = rng.integers(0, len(lines))
    return b"\n".join([*lines[:i], lines[i], *lines[i:]])


def other_encoding(data: bytes, rng: np.random.Generator) -> bytes:
    encodings = ["utf-16", "utf-16-le", "utf-32", "cp500", "utf-7"]
    return data.decode().encode(encodings[rng.integers(len(encodings))])


def latin_letter(data: bytes, rng: np.random.Generator) -> bytes:
    i = rng.integers(0, len(data))
    return data[:i] + "é".encode("latin-1") + data[i:]


# These leave the meaning as it is, so that what is read must be the same.
def windows_line_ends(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b"\n", b"\r\n")


def byte_order_mark(data: bytes, rng: np.random.Generator) -> bytes:
    return b"\xef\xbb\xbf" + data


def blank_lines(data: bytes, rng: np.random.Generator) -> bytes:
    return data.replace(b"\n", b"\n \t\n")


HARMLESS = [windows_line_ends, byte_order_mark, blank_lines]
BINARY_MUTATIONS = [flip_bytes, flip_bytes, flip_early, truncate, cut_out, repeat, zeros, noise, empty]
TEXT_MUTATIONS = [
    *(flip_bytes, truncate, cut_out, repeat, zeros, noise, empty),
    *(drop_field, repeat_field, odd_field, odd_field, odd_field, drop_line, repeat_line),
    *(other_encoding, latin_letter, *HARMLESS),
]


# ------------------------------------------------------------------------------------------------ the test


NAMED_LANDMARKS = ("load_labelme", "load_cvat", "load_via", "load_imglab")


def numbers(result) -> np.ndarray:
    """What was read, as one array."""
    if isinstance(result, LandmarkDataset):
        pose = [] if result.pose is None else np.nan_to_num(result.pose).ravel()
        boxes = [] if result.boxes is None else np.nan_to_num(result.boxes).ravel()
        return np.concatenate([result.landmarks.ravel(), pose, boxes])
    return (
        np.concatenate([result[key] for key in sorted(result)]).ravel()
        if isinstance(result, dict)
        else result.ravel()
    )


def check_read(result, expected: np.ndarray, harmless: bool, names_landmarks: bool) -> None:
    values = numbers(result)
    if names_landmarks:  # where a name is gone, so is the position, of x and y alike
        missing = np.isnan(result.landmarks)
        assert (missing.all(axis=-1) == missing.any(axis=-1)).all()
        assert np.isfinite(values).sum() == values.size - missing.sum()
    else:
        assert np.isfinite(values).all()
    assert np.nanmax(np.abs(values)) <= 2.1e6  # a box's far corner, at most
    if harmless:
        np.testing.assert_array_equal(values, expected)


def fuzz(case: Case, root: Path, n: int, seed: int) -> Counter:
    """Mutates one file after another, and puts each back."""
    name, _, pattern, read = case
    rng = np.random.default_rng([seed, *name.encode()])
    files = sorted(path for path in root.glob(pattern) if path.is_file())
    assert files
    expected = numbers(read(root))
    counts: Counter = Counter()
    for i in range(n):
        path = files[i % len(files)]
        data = path.read_bytes()
        mutations = TEXT_MUTATIONS if path.suffix in TEXT + TREES else BINARY_MUTATIONS
        position = int(rng.integers(0, len(mutations) + 2))
        path.unlink()
        if position < len(mutations):
            path.write_bytes(mutations[position](data, rng))
        elif position == len(mutations):
            path.mkdir()  # what cannot be read; a file without permission is read by a superuser
        harmless = position < len(mutations) and mutations[position] in HARMLESS
        try:
            outcome = read(root)
        except DatasetError as error:
            outcome = error
        try:
            if isinstance(outcome, DatasetError):
                assert not harmless, (name, mutations[position].__name__, str(outcome))
                check_error(outcome, path, root)
                counts["refused"] += 1
            else:
                check_read(outcome, expected, harmless, name.startswith(NAMED_LANDMARKS))
                counts["read"] += 1
        finally:
            path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
            path.write_bytes(data)
            shutil.rmtree(root / "images", ignore_errors=True)  # of COFW
    return counts


def check_error(error: DatasetError, path: Path, root: Path) -> None:
    """It names the file, and of a text file the line, but where the file as a whole is at fault."""
    assert error.path is not None
    assert str(error).startswith(error.path)
    assert len(str(error)) < 3000
    # Of a file that is gone or in its place a folder, the folder or the image left alone may be named.
    assert error.path == str(path) or not path.is_file() or error.path == str(root), error
    whole = (
        "no such file",
        "cannot be read",
        "Received: none",
        "0 of ",
        "rows for the images",
        "an empty file",
    )
    if path.is_file() and path.suffix in TEXT and error.path == str(path):
        assert error.line is not None or any(part in str(error) for part in whole), error


def run(case: Case, root: Path, arrange: Callable[[Callable], None]) -> None:
    arrange(case[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = fuzz(case, root, N_MUTATIONS, seed=0)
    assert sum(counts.values()) == N_MUTATIONS
    if "KERAS_ASM_FUZZ" in os.environ:
        print(f"\n| {case[0]} | {N_MUTATIONS} | {counts['read']} | {counts['refused']} |")


@pytest.mark.parametrize("case", MADE, ids=lambda case: case[0])
def test_made_files(case, tmp_path, rng):
    run(case, tmp_path, lambda make: make(tmp_path, rng))


@pytest.mark.real_data
@pytest.mark.parametrize("case", REAL, ids=lambda case: case[0])
def test_real_files(case, tmp_path, data_root):
    run(case, tmp_path, lambda make: make(tmp_path, data_root))


def fuzz_images(root: Path, name: str) -> None:
    rng = np.random.default_rng(0)
    files = sorted(root.iterdir())
    for path in files:
        assert read_image(path).ndim == 3
    counts: Counter = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of much that it then reads or refuses
        for i in range(2 * N_MUTATIONS):
            path = files[i % len(files)]
            damaged = root / f"damaged{path.suffix}"
            damaged.write_bytes(BINARY_MUTATIONS[rng.integers(len(BINARY_MUTATIONS))](path.read_bytes(), rng))
            try:
                image = read_image(damaged)
            except DatasetError as error:
                assert error.path == str(damaged)  # noqa: PT017  # it is not known which files are refused
                counts["refused"] += 1
            else:
                assert image.dtype == np.uint8
                assert image.ndim == 3
                assert image.shape[2] == 3
                assert image.size
                counts["read"] += 1
            damaged.unlink()
    if "KERAS_ASM_FUZZ" in os.environ:
        print(f"\n| {name} | {2 * N_MUTATIONS} | {counts['read']} | {counts['refused']} |")


def test_images(tmp_path, rng):
    made_images(tmp_path, rng)
    fuzz_images(tmp_path, "read_image")


@pytest.mark.real_data
def test_real_images(tmp_path, data_root):
    real_images(tmp_path, data_root)
    fuzz_images(tmp_path, "read_image, real")


def test_odd_images_are_read_as_they_are_stored(tmp_path, rng):
    made_images(tmp_path, rng)
    colour = read_image(tmp_path / "colour.png")
    for name in ("colour.bmp", "colour.tif", "alpha.png"):
        np.testing.assert_array_equal(read_image(tmp_path / name), colour)
    # The orientation is not applied: landmarks refer to the pixels as they are stored.
    np.testing.assert_array_equal(read_image(tmp_path / "rotated.jpg"), read_image(tmp_path / "colour.jpg"))
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), np.repeat(colour[..., :1], 3, axis=2))
    for name in ("cmyk.jpg", "grey.jpg", "palette.gif", "colour.webp"):
        assert read_image(tmp_path / name).shape == colour.shape
    grey = read_image(tmp_path / "grey.jpg")
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "empty.png").touch()
    for name in ("folder.png", "empty.png", "none.png"):
        with pytest.raises(DatasetError, match=name):
            read_image(tmp_path / name)
