"""The readers of what annotation tools write, on files as these write them."""

import json
import sys

import numpy as np
import pytest

from keras_asm.datasets import (
    DatasetError,
    LandmarkDataset,
    load_coco,
    load_cvat,
    load_imglab,
    load_labelme,
    load_via,
)

# Faces as (image, {name: (x, y)}), in the pixels of this library.
Faces = list[tuple[str, list[tuple[str, float, float]]]]
FACES: Faces = [
    ("a.png", [("nose", 10, 20), ("left eye", 15, 12), ("chin", 11, 40)]),
    ("b.png", [("nose", 20, 21), ("left eye", 25, 13), ("chin", 21, 41)]),
]


def coco(root, faces: Faces):
    names = [point[0] for point in faces[0][1]]
    images = list(dict.fromkeys(image for image, _ in faces))
    annotations = [
        {
            "id": i,
            "image_id": images.index(image),
            "category_id": 7,
            "keypoints": [v for _, x, y in points for v in (x, y, 2)],
        }
        for i, (image, points) in enumerate(faces)
    ]
    document = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(images)],
        "annotations": annotations,
        "categories": [{"id": 7, "name": "face", "keypoints": names, "skeleton": [[1, 2]]}],
    }
    (root / "coco.json").write_text(json.dumps(document))
    return root / "coco.json"


def labelme(root, faces: Faces):
    for file in root.glob("*.json"):
        file.unlink()
    for image in {image for image, _ in faces}:
        shapes = []
        groups = [points for name, points in faces if name == image]
        for group, points in enumerate(groups):
            shapes += [
                {
                    "label": name,
                    "points": [[x + 0.5, y + 0.5]],
                    "group_id": group if len(groups) > 1 else None,
                    "shape_type": "point",
                    "flags": {},
                }
                for name, x, y in points
            ]
        document = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
        (root / image).with_suffix(".json").write_text(json.dumps(document))
    return root


def cvat(root, faces: Faces):
    rows = []
    for image in dict.fromkeys(image for image, _ in faces):
        rows.append(f'<image id="0" name="{image}" width="64" height="64">')
        for points in (points for name, points in faces if name == image):
            rows.append('<skeleton label="face" source="manual" z_order="0">')
            rows += [
                f'<points label="{name}" source="manual" outside="0" occluded="0" '
                f'points="{x + 0.5:.2f},{y + 0.5:.2f}"></points>'
                for name, x, y in points
            ]
            rows.append("</skeleton>")
        rows.append("</image>")
    return write_cvat(root, "\n".join(rows))


def write_cvat(root, images: str):
    path = root / "annotations.xml"
    meta = "<meta><task><id>4</id><name>faces</name></task></meta>"
    path.write_text(
        f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{meta}\n{images}\n'
        "</annotations>\n"
    )
    return path


def via(root, faces: Faces):
    """Points of one face an image."""
    document = {}
    for image, points in faces:
        regions = [
            {
                "shape_attributes": {"name": "point", "cx": x, "cy": y},
                "region_attributes": {"landmark": name},
            }
            for name, x, y in points
        ]
        document[f"{image}123"] = {"filename": image, "size": 123, "regions": regions, "file_attributes": {}}
    project = {"_via_settings": {}, "_via_img_metadata": document, "_via_attributes": {"region": {}}}
    (root / "via.json").write_text(json.dumps(project))
    return root / "via.json"


def imglab(root, faces: Faces):
    rows = [
        "<?xml version='1.0' encoding='ISO-8859-1'?>",
        "<?xml-stylesheet type='text/xsl' href='image_metadata_stylesheet.xsl'?>",
        "<dataset>",
        "<name>faces</name>",
        "<images>",
    ]
    for image in dict.fromkeys(image for image, _ in faces):
        rows.append(f"  <image file='{image}' width='64' height='64'>")
        for points in (points for name, points in faces if name == image):
            rows.append("    <box top='5' left='6' width='30' height='40'>")
            rows += [f"      <part name='{name}' x='{x}' y='{y}'/>" for name, x, y in points]
            rows.append("    </box>")
        rows.append("  </image>")
    (root / "faces.xml").write_text("\n".join([*rows, "</images>", "</dataset>"]))
    return root / "faces.xml"


READERS = {
    "coco": (coco, load_coco),
    "labelme": (labelme, load_labelme),
    "cvat": (cvat, load_cvat),
    "via": (via, load_via),
    "imglab": (imglab, load_imglab),
}
ALL = pytest.mark.parametrize("tool", READERS)
BUT_COCO = pytest.mark.parametrize("tool", [tool for tool in READERS if tool != "coco"])


@pytest.fixture
def root(tmp_path):
    for name in ("a.png", "b.png", "ü.png"):
        (tmp_path / name).touch()
    return tmp_path


def read(tool: str, root, faces: Faces, **settings) -> LandmarkDataset:
    make, load = READERS[tool]
    return load(make(root, faces), **settings)


def positions(faces: Faces) -> list:
    return [[[x, y] for _, x, y in points] for _, points in faces]


@ALL
def test_reads_pixels_of_this_library(tool, root):
    faces = read(tool, root, FACES)
    np.testing.assert_array_equal(faces.landmarks, positions(FACES))
    assert faces.image_paths == (str(root / "a.png"), str(root / "b.png"))
    assert faces.names == ("a.png", "b.png")
    assert faces.notes == ()
    assert faces.visibility is None
    assert (faces.boxes is None) == (tool != "imglab")


@ALL
def test_order_that_is_asked_for(tool, root):
    faces = read(tool, root, FACES, landmarks=["chin", "nose", "left eye"])
    np.testing.assert_array_equal(faces.landmarks, np.array(positions(FACES))[:, [2, 0, 1]])
    with pytest.raises(DatasetError, match="the landmark 'chin' that is not among those asked for"):
        read(tool, root, FACES, landmarks=["chim", "nose", "left eye"])
    for names in (["nose", "nose"], "nose"):
        with pytest.raises(ValueError, match="different names. Received"):
            read(tool, root, FACES, landmarks=names)


@BUT_COCO
def test_names_go_by_number_or_by_the_first_face(tool, root):
    tens = [(str(i), 10.0 + i, 20.0) for i in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]
    faces = read(tool, root, [("a.png", tens)])
    np.testing.assert_array_equal(faces.landmarks[0, :, 0], 10.0 + np.arange(12))
    shuffled = [FACES[0], (FACES[1][0], FACES[1][1][::-1])]
    np.testing.assert_array_equal(read(tool, root, shuffled).landmarks, positions(FACES))


@BUT_COCO
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda points: [*points, ("ear", 30, 20)], "the landmark 'ear' that most faces lack"),
        (lambda points: [*points, ("chin", 30, 20)], "the landmark 'chin' twice"),
        (lambda points: [*points[:2], ("Chin", 30, 20)], "the landmark 'Chin' that most faces lack"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_no_face_has_a_landmark_twice_or_one_that_others_lack(tool, root, change, fault, first):
    good = [("a.png", FACES[0][1]), ("b.png", FACES[1][1])]
    odd = ("ü.png", change(FACES[0][1]))
    faces = [odd, *good] if first else [*good, odd]
    with pytest.raises(DatasetError, match=rf"allow_partial=True.*'ü.png' with {fault}") as caught:
        read(tool, root, faces)
    assert caught.value.path == str(root / "ü.json" if tool == "labelme" else READERS[tool][0](root, faces))
    part = read(tool, root, faces, allow_partial=True)
    assert part.names == ("a.png", "b.png")
    assert part.notes == ("1 of 3 faces, whose landmarks are not those of the others left out",)
    with pytest.raises(DatasetError, match="none of which has only these"):
        read(tool, root, [odd], landmarks=["nose", "left eye", "chin"], allow_partial=True)


@BUT_COCO
def test_a_landmark_that_a_face_lacks_has_no_position(tool, root):
    partly = [("ü.png", FACES[0][1][1:]), *FACES, ("b2.png", FACES[1][1][:1])]
    (root / "b2.png").touch()
    faces = read(tool, root, partly)
    faces = faces.select([faces.names.index(name) for name, _ in partly])  # LabelMe's are sorted
    expected = np.array(positions([("", FACES[0][1]), *FACES, ("", FACES[1][1])]), dtype=float)
    expected[0, 0] = expected[3, 1:] = np.nan
    # The names are in the order of the first face that has all
    np.testing.assert_array_equal(faces.landmarks, expected)
    assert "25.0% of landmarks without a position, in 2 of 4" in str(faces)
    assert faces.visibility is None
    # Nor does it matter whether a face has all of them
    thirds = [(name, points[:i] + points[i + 1 :]) for i, (name, points) in enumerate([*FACES, partly[0]])]
    thirds[2] = ("ü.png", FACES[0][1][:2])
    order = ["chin", "nose", "left eye"]
    assert read(tool, root, thirds, landmarks=order).has_position.sum() == 6
    assert read(tool, root, thirds).has_position.sum() == 6


@BUT_COCO
def test_of_names_that_half_of_the_faces_have(tool, root):
    """Half of the faces with fewer landmarks are read; names of which one may be misspelt are not."""
    some = [("a.png", FACES[0][1][:1]), ("b.png", FACES[1][1])]
    np.testing.assert_array_equal(read(tool, root, some).has_position, [[True, False, False], [True] * 3])
    odd = [("a.png", [("nose", 10, 20), ("chin", 11, 40)]), ("b.png", [("nose", 20, 21), ("Chin", 21, 41)])]
    with pytest.raises(DatasetError, match=r"as landmarks=\[...\].*the landmark 'Chin' that most faces lack"):
        read(tool, root, odd)
    faces = read(tool, root, odd, landmarks=["nose", "chin", "Chin"])
    np.testing.assert_array_equal(faces.has_position, [[True, True, False], [True, False, True]])
    # A landmark that no face of this folder has, as of a set that it is to be joined with
    assert read(tool, root, FACES, landmarks=["nose", "left eye", "chin", "ear"]).has_position.sum() == 6


@pytest.mark.parametrize("tool", [tool for tool in READERS if tool != "via"])
def test_several_faces_in_an_image(tool, root):
    faces = [("a.png", FACES[0][1]), ("a.png", FACES[1][1])]
    found = read(tool, root, faces)
    assert found.names == ("a.png#0", "a.png#1")
    np.testing.assert_array_equal(found.landmarks, positions(faces))


@ALL
def test_scheme_counts(tool, root):
    with pytest.raises(DatasetError, match="'300w' has 68 landmarks. Received: 3: 'nose, left eye, chin'"):
        read(tool, root, FACES, scheme="300w")
    names = [(str(i), 10.0 + i, 20.0 + i) for i in range(68)]
    faces = read(tool, root, [("a.png", names)], scheme="300w")
    assert faces.scheme == "300w"
    np.testing.assert_array_equal(faces.landmarks[0], [point[1:] for point in names])


@ALL
def test_missing_images_and_fractions_are_refused(tool, root):
    with pytest.raises(
        DatasetError, match="expected an image within .*Received: 'none.png', which is not there"
    ):
        read(tool, root, [("none.png", FACES[0][1])])
    small = [("a.png", [("nose", 0.25, 0.5), ("chin", 0.5, 0.75)])]
    with pytest.raises(DatasetError, match="multiply x by its width and y by its height"):
        read(tool, root, small)


@ALL
def test_backslashes_and_image_folder(tool, root):
    (root / "photos").mkdir()
    (root / "photos/c.png").touch()
    make, load = READERS[tool]
    if tool == "labelme":  # has its images relative to each file
        document = json.loads(make(root, FACES[:1]).joinpath("a.json").read_text())
        (root / "a.json").write_text(json.dumps({**document, "imagePath": "photos\\c.png"}))
        faces = load(root)
    else:
        faces = load(make(root, [("c.png", FACES[0][1])]), image_folder=root / "photos")
    assert faces.image_paths == (str(root / "photos/c.png"),)


@ALL
def test_absent_files(tool, root):
    with pytest.raises(DatasetError, match="no such file|expected a folder"):
        READERS[tool][1](root / "none")
    if tool == "labelme":
        with pytest.raises(DatasetError, match="Received: none"):
            load_labelme(root)
    else:
        with pytest.raises(DatasetError, match="cannot be read"):
            READERS[tool][1](root)


# ------------------------------------------------------------------------------------------------ COCO


def changed(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    return path


def test_coco_visibility_and_boxes(root):
    def change(document):
        document["annotations"][0]["keypoints"][2] = 1
        document["annotations"][1]["bbox"] = [0, 0, 64, 32]

    faces = load_coco(changed(coco(root, FACES), change))
    np.testing.assert_array_equal(faces.visibility, [[False, True, True], [True, True, True]])
    # The outer edges of 64 x 32 pixels from the first
    np.testing.assert_array_equal(faces.boxes, [[np.nan] * 4, [-0.5, -0.5, 63.5, 31.5]])


def test_coco_points_that_are_not_labelled_have_no_position(root):
    def change(document):
        document["annotations"][0]["keypoints"][3:6] = [0, 0, 0]

    faces = load_coco(changed(coco(root, FACES), change))
    np.testing.assert_array_equal(faces.has_position, [[True, False, True], [True, True, True]])
    assert faces.visibility is None
    assert "16.7% of landmarks without a position, in 1 of 2" in str(faces)

    def remove(document):
        document["annotations"][0]["keypoints"] = [0] * 9

    path = changed(coco(root, FACES), remove)
    with pytest.raises(DatasetError, match="'a.png' with the landmark 'nose' without a position, as all"):
        load_coco(path)
    part = load_coco(path, allow_partial=True)
    assert part.names == ("b.png",)
    assert part.notes == ("1 of 2 faces, whose landmarks are not those of the others left out",)


def test_coco_categories_and_images_without_faces(root):
    def change(document):
        document["categories"] += [
            {"id": 8, "name": "hand", "keypoints": ["wrist"]},
            {"id": 9, "name": "car"},
        ]
        document["annotations"].append({"image_id": 1, "category_id": 9})
        document["images"].append({"id": 5, "file_name": "never seen.png"})

    path = changed(coco(root, FACES), change)
    with pytest.raises(DatasetError, match="pass category. Received: 'face, hand'"):
        load_coco(path)
    faces = load_coco(path, category="face")
    assert faces.notes == ("1 images without a face left out", "1 annotations of other categories left out")
    with pytest.raises(DatasetError, match="the category 'nose', with key points. Received: none"):
        load_coco(path, category="nose")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("images"), "expected a list as images. Received: None"),
        (lambda d: d["images"].append(3), "an object as each of images. Received: 3"),
        (lambda d: d["images"].append(d["images"][0]), "each image's id once. Received: 0 twice"),
        (lambda d: d["images"][0].update(id=[1]), "an integer as an image's id. Received: a list of 1"),
        (lambda d: d["annotations"][0].update(image_id=77), "one of the images. Received: 77"),
        (lambda d: d["annotations"][0]["keypoints"].pop(), "of 3 key points. Received: 8 numbers"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(0, "1"), "within 1e.06 as x. Received: '1'"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(0, float("nan")), "as x. Received: nan"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(1, 10**400), "as y. Received: 1000"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(2, 3), "0, 1 or 2 as v. Received: 3"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(2, [[1]]), "as v. Received: a list of 1"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, 3]), "as bbox. Received: 3"),
        (lambda d: d["annotations"][0].update(bbox=[1, 2, -3, 4]), "left <= right"),
        (lambda d: d["categories"][0]["keypoints"].__setitem__(1, "nose"), "each key point once"),
        (lambda d: d.update(annotations=[]), "at least one face with landmarks. Received: none"),
        (lambda d: d.update(categories=[]), "one category with key points. Received: none"),
        (lambda d: d["annotations"][0].update(keras_asm={"pose": [1]}), "yaw, pitch and roll"),
    ],
)
def test_coco_bad_files(root, change, reason):
    path = changed(coco(root, FACES), change)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_coco(path)
    assert caught.value.path == str(path)


# --------------------------------------------------------------------------------------------- LabelMe


def test_labelme_groups_boxes_and_other_shapes(root):
    def shape(kind, label, points, group):
        return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}}

    shapes = [
        shape("point", "nose", [[30.5, 20.5]], 2),
        shape("point", "nose", [[10.5, 20.5]], 1),
        shape("rectangle", "face", [[50, 60], [2, 4]], 1),
        shape("polygon", "hair", [[1, 1], [5, 5], [9, 1]], 1),
        shape("rectangle", "face", [[2, 4], [50, 60]], 3),
    ]
    (root / "sub").mkdir()
    (root / "sub/x.json").write_text(json.dumps({"shapes": shapes, "imagePath": "../a.png"}))
    (root / "empty.json").write_text(json.dumps({"shapes": [], "imagePath": "b.png"}))
    (root / ".hidden.json").write_text("x")
    # Two rectangles without a group may be of anything
    loose = [shape("rectangle", "sign", [[1, 1], [9, 9]], None)] * 2
    loose.append(shape("point", "nose", [[70.5, 20.5]], None))
    (root / "zoo.json").write_text(json.dumps({"shapes": loose, "imagePath": "b.png"}))
    faces = load_labelme(root)
    np.testing.assert_array_equal(faces.landmarks, [[[70, 20]], [[10, 20]], [[30, 20]]])  # group by group
    np.testing.assert_array_equal(faces.boxes, [[np.nan] * 4, [1.5, 3.5, 49.5, 59.5], [np.nan] * 4])
    (root / "zoo.json").write_text(
        json.dumps({"shapes": [{**shape, "group_id": 4} for shape in loose], "imagePath": "b.png"})
    )
    with pytest.raises(DatasetError, match="one rectangle in group 4. Received: 2"):
        load_labelme(root)
    assert faces.notes == (
        "4 shapes that are no points or boxes of a face left out",
        "1 files without points left out",
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d.pop("shapes"), "a list as shapes"),
        (lambda d: d.pop("imagePath"), "a text as imagePath"),
        (
            lambda d: d["shapes"][0].update(points=[[1, 2], [3, 4]]),
            "one point of the point 'nose'. Received: 2",
        ),
        (lambda d: d["shapes"][0].update(points=[[1, 2, 3]]), "x and y of a point. Received: a list of 3"),
        (lambda d: d["shapes"][0].update(points=[[1, None]]), "as y. Received: None"),
        (lambda d: d["shapes"][0].update(group_id="1"), "as group_id. Received: '1'"),
        (lambda d: d["shapes"][0].update(label=5), "a shape's label. Received: 5"),
    ],
)
def test_labelme_bad_files(root, change, reason):
    path = changed(labelme(root, FACES) / "a.json", change)
    with pytest.raises(DatasetError, match=reason) as caught:
        load_labelme(root)
    assert caught.value.path == str(path)


# ------------------------------------------------------------------------------------------------ CVAT


def test_cvat_points_of_one_shape(root):
    path = write_cvat(
        root,
        '<image name="a.png"><points label="face" points="10.50,20.50;30.50,40.00" occluded="1"/>'
        '<box label="face" xtl="0.00" ytl="1.00" xbr="64.00" ybr="32.00"/>'
        '<polygon label="hair" points="1,1;2,2;3,3"/><tag label="good"/></image>'
        '<image name="b.png"></image>',
    )
    faces = load_cvat(path)
    np.testing.assert_array_equal(faces.landmarks, [[[10, 20], [30, 39.5]]])
    np.testing.assert_array_equal(faces.boxes, [[-0.5, 0.5, 63.5, 31.5]])
    assert faces.visibility is None
    assert faces.notes == ("1 shapes that are no landmarks or boxes of a face left out",)


def test_cvat_boxes_of_anything(root):
    point = '<points label="face" points="10.50,20.50;30.50,40.00" group_id="3"/>'
    box = '<box label="sign" xtl="0.00" ytl="1.00" xbr="64.00" ybr="32.00"/>'
    faces = load_cvat(write_cvat(root, f'<image name="a.png">{point}{box}{box}</image>'))
    assert faces.boxes is None
    assert faces.notes == ("2 shapes that are no landmarks or boxes of a face left out",)
    mine = box.replace("<box", '<box group_id="3"')
    faces = load_cvat(write_cvat(root, f'<image name="a.png">{point}{box}{box}{mine}</image>'))
    np.testing.assert_array_equal(faces.boxes, [[-0.5, 0.5, 63.5, 31.5]])
    with pytest.raises(DatasetError, match="line 5: expected one box for a face"):
        load_cvat(write_cvat(root, f'<image name="a.png">{point}{mine}{mine}</image>'))


def test_cvat_single_points_and_groups(root):
    (root / "images").mkdir()
    (root / "images/a.png").touch()
    points = "".join(
        f'<points label="{label}" points="{x},20.5" occluded="{occluded}" group_id="{group}"/>'
        for label, x, occluded, group in [
            ("nose", 10.5, 0, 4),
            ("nose", 30.5, 0, 9),
            ("chin", 12.5, 1, 4),
            ("chin", 32.5, 0, 9),
        ]
    )
    box = '<box label="face" group_id="9" xtl="0.5" ytl="0.5" xbr="9.5" ybr="8.5"/>'
    faces = load_cvat(write_cvat(root, f'<image name="a.png">{points}{box}</image>'))
    np.testing.assert_array_equal(faces.landmarks, [[[10, 20], [12, 20]], [[30, 20], [32, 20]]])
    np.testing.assert_array_equal(faces.visibility, [[True, False], [True, True]])
    np.testing.assert_array_equal(faces.boxes, [[np.nan] * 4, [0, 0, 9, 8]])
    assert faces.image_paths[0] == str(root / "images/a.png")


def test_cvat_skeletons(root):
    path = cvat(root, FACES)
    text = path.read_text()
    path.write_text(text.replace('outside="0" occluded="0"', 'outside="0" occluded="1"', 1))
    np.testing.assert_array_equal(load_cvat(path).visibility, [[False, True, True], [True, True, True]])
    path.write_text(text.replace('outside="0"', 'outside="1"', 1))
    np.testing.assert_array_equal(load_cvat(path).has_position, [[False, True, True], [True, True, True]])
    path.write_text(text.replace('label="face"', 'label="hand"', 1))
    with pytest.raises(DatasetError, match="pass the label of those to read. Received: 'hand', 'face'"):
        load_cvat(path)
    assert load_cvat(path, label="face").names == ("b.png",)
    with pytest.raises(DatasetError, match="with the label 'foot'. Received: none"):
        load_cvat(path, label="foot")


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ('<track id="0" label="face"><points frame="0" points="1,2"/></track>', "line 5: .*one for video"),
        ('<image><points label="a" points="1,2"/></image>', "attribute name of <image>"),
        (
            '<image name="a.png"><points points="1,2"/><points label="b" points="1,2"/></image>',
            "attribute label",
        ),
        ('<image name="a.png"><points label="a" points="1,2;3"/></image>', "'x,y;x,y'. Received: '3'"),
        ('<image name="a.png"><points label="a" points="1,nan"/></image>', "Received: 'nan'"),
        ('<image name="a.png"><points label="a" points="1,2" occluded="yes"/></image>', "0 or 1 as occluded"),
        (
            '<image name="a.png"><points label="a" points="9,9"/><box xtl="1" ytl="2" xbr="x" ybr="2"/></image>',
            "as xbr",
        ),
        ('<image name="a.png"/>', "expected skeletons or points. Received: none"),
    ],
)
def test_cvat_bad_files(root, images, reason):
    with pytest.raises(DatasetError, match=reason):
        load_cvat(write_cvat(root, images))


# ------------------------------------------------------------------------------------------------- VIA


def test_via_csv_is_as_json(root):
    rows = [
        "#filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    ]
    for image, points in FACES:
        for i, (name, x, y) in enumerate(points):
            shape = json.dumps({"name": "point", "cx": x, "cy": y}).replace('"', '""')
            values = json.dumps({"landmark": name}).replace('"', '""')
            rows.append(f'{image},123,"{{}}",3,{i},"{shape}","{values}"')
    rows.append('ü.png,123,"{}",0,0,"{}","{}"')
    (root / "via.csv").write_text("\n".join(rows), encoding="utf-8")
    faces = load_via(root / "via.csv")
    assert faces.names == ("a.png", "b.png")
    np.testing.assert_array_equal(faces.landmarks, positions(FACES))
    (root / "via.csv").write_text("\n".join([*rows, "a.png,1"]), encoding="utf-8")
    with pytest.raises(DatasetError, match="line 9: expected 7 fields. Received: 2"):
        load_via(root / "via.csv")


def test_via_polylines_boxes_and_unnamed_points(root):
    def region(values=None, **shape):
        return {"shape_attributes": shape, "region_attributes": values or {}}

    def write(*regions, image="a.png"):
        # An export of annotations, with the regions of VIA 1
        document = {"k": {"filename": image, "regions": {str(i): value for i, value in enumerate(regions)}}}
        (root / "via.json").write_text(json.dumps(document))
        return root / "via.json"

    line = region(name="polyline", all_points_x=[10, 30], all_points_y=[20, 40])
    other = region(name="polygon", all_points_x=[11, 31], all_points_y=[21, 41])
    box = region(name="rect", x=5, y=6, width=30, height=40)
    faces = load_via(write(line, other, box, region(name="circle", cx=1, cy=2, r=3)))
    np.testing.assert_array_equal(faces.landmarks, [[[10, 20], [30, 40]], [[11, 21], [31, 41]]])
    assert faces.notes == ("2 regions that are no landmarks or boxes of a face left out",)
    np.testing.assert_array_equal(load_via(write(line, box)).boxes, [[5, 6, 35, 46]])
    points = [region(name="point", cx=10 * i, cy=20) for i in range(12)]
    np.testing.assert_array_equal(load_via(write(*points)).landmarks[0, :, 0], 10.0 * np.arange(12))
    # Which attribute is the name?
    two = [region({"part": str(i), "seen": "yes"}, name="point", cx=10 * i, cy=20) for i in (2, 0, 1)]
    with pytest.raises(DatasetError, match="pass attribute. Received: 'part, seen'"):
        load_via(write(*two))
    np.testing.assert_array_equal(load_via(write(*two), attribute="part").landmarks[0, :, 0], [0, 10, 20])
    for bad, reason in [
        (region(name="point", cx=1), "as cy. Received: None"),
        (region(name="polyline", all_points_x=[1], all_points_y=[]), "as many x as y. Received: 1 and 0"),
        (region({"part": {}}, name="point", cx=1, cy=2), "'part' of each point. Received: an object of 0"),
    ]:
        with pytest.raises(DatasetError, match=reason):
            load_via(write(bad))


def test_lists_of_points_do_not_tell_which_is_missing(root):
    def regions(n):
        return [{"shape_attributes": {"name": "point", "cx": 10 * i, "cy": 20}} for i in range(n)]

    def document(*lists):
        return {
            name: {
                "filename": name,
                "regions": [{"region_attributes": {}, **region} for region in regions],
            }
            for name, regions in zip(("a.png", "b.png", "ü.png"), lists, strict=True)
        }

    def line(n):
        return [
            {"shape_attributes": {"name": "polyline", "all_points_x": [*range(n)], "all_points_y": [9] * n}}
        ]

    for kind in (regions, line):
        (root / "via.json").write_text(json.dumps(document(kind(5), kind(4), kind(5))))
        with pytest.raises(DatasetError, match="'b.png' with 4 of 5 points in a list, which does not tell"):
            load_via(root / "via.json")
        assert load_via(root / "via.json", allow_partial=True).names == ("a.png", "ü.png")
    points = ["1.5,9.5;20.5,9.5;3.5,30.5", "1.5,9.5;20.5,9.5", "1.5,9.5;20.5,9.5;3.5,30.5"]
    images = "".join(
        f'<image name="{name}"><points label="face" points="{places}"/></image>'
        for name, places in zip(("a.png", "b.png", "ü.png"), points, strict=True)
    )
    with pytest.raises(DatasetError, match="'b.png' with 2 of 3 points in a list"):
        load_cvat(write_cvat(root, images))


# ---------------------------------------------------------------------------------------------- imglab


def test_imglab_boxes(root):
    path = imglab(root, FACES)
    # dlib's rectangle of 30 pixels from the 6th: 6 to 35, whose outer edges are 5.5 and 35.5
    np.testing.assert_array_equal(load_imglab(path).boxes, [[5.5, 4.5, 35.5, 44.5]] * 2)
    text = path.read_text()
    path.write_text(
        text.replace("<box top='5'", "<box ignore='1' top='5'", 1).replace(
            "</image>", "<box top='1' left='1' width='5' height='5'/></image>", 1
        )
    )
    faces = load_imglab(path)
    assert faces.names == ("b.png",)
    assert faces.notes == ("1 boxes to be ignored left out", "1 boxes without parts left out")
    for old, new, reason in [
        ("x='10'", "x='ten'", "line 8: expected a number as x. Received: 'ten'"),
        ("name='nose' ", "", "line 8: expected an attribute name of <part>"),
        ("top='5' ", "", "line 7: expected an attribute top"),
        ("width='30'", "width='-30'", "line 7: expected a box with left <= right"),
        ("<dataset>", "<data>", "mismatched tag"),
    ]:
        path.write_text(text.replace(old, new, 1))
        with pytest.raises(DatasetError, match=reason):
            load_imglab(path)
    path.write_text(text.replace("dataset>", "annotations>"))
    with pytest.raises(DatasetError, match="line 3: expected <dataset> as the root"):
        load_imglab(path)


def test_imglab_reads_utf_8_whatever_is_declared(root):
    assert load_imglab(imglab(root, [("ü.png", FACES[0][1])])).image_paths == (str(root / "ü.png"),)


# ----------------------------------------------------------------------------------- what would do harm

LAUGHS = [
    f'<!ENTITY {name} "{f"&{before};" * 10}">'
    for before, name in zip("abcdefghij", "bcdefghijk", strict=True)
]


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(LAUGHS) + "]>",
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        "<!DOCTYPE x>",
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "p">%p;]>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-7", "utf-16", "cp037"])
@pytest.mark.parametrize("tool", ["cvat", "imglab"])
def test_documents_with_a_type_are_refused(tool, root, doctype, encoding):
    make, load = READERS[tool]
    path = make(root, FACES)
    lines = path.read_text().splitlines()
    header = f"<?xml version='1.0' encoding='{encoding}'?>"
    body = "\n".join(lines[1:]).replace("nose", "&k;")
    path.write_text(f"{header}\n{doctype}\n{body}")
    with pytest.raises(DatasetError, match="no document type") as caught:
        load(path)
    assert caught.value.line == 2
    path.write_bytes(f"{header}\n{doctype}\n{body}".encode(encoding))
    with pytest.raises(DatasetError):
        load(path)
    path.write_text(f"{header}\n{body}")
    with pytest.raises(DatasetError, match="undefined entity"):
        load(path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotations>" * 100_000, "at most 50 levels"),
        ("", "no element found"),
        ("<annotations", "unclosed token"),
        ("<annotations></annotations><more/>", "junk after document element"),
    ],
)
def test_xml_bombs_and_stumps(root, text, reason):
    (root / "x.xml").write_text(text)
    with pytest.raises(DatasetError, match=reason):
        load_cvat(root / "x.xml")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 1_000_000, "a few levels|Expecting value"),
        ('{"images":' + "[" * 100_000 + "]" * 100_000 + "}", "a few levels|a list|an object"),
        ('{"images": ' + "9" * 5000 + "}", "expected JSON|a list as images"),
        ('{"images": [], "images": []}', "each key once. Received: 'images' twice"),
        ("{'images': []}", "line 1: expected JSON"),
        ("", "expected JSON"),
        ("[]", "an object as the file. Received: a list of 0"),
        ('"\\ud800"', "an object as the file"),
    ],
)
@pytest.mark.parametrize("load", [load_coco, load_via])
def test_json_bombs_and_stumps(root, load, text, reason):
    (root / "x.json").write_text(text)
    with pytest.raises(
        DatasetError, match=f"{reason}|an image. Received|a list as regions|filename"
    ) as caught:
        load(root / "x.json")
    assert caught.value.path == str(root / "x.json")


def test_deep_values_do_not_end_the_process(root):
    depth = sys.getrecursionlimit() - 300
    (root / "x.json").write_text('{"images": ' + '{"a":' * depth + "1" + "}" * depth + "}")
    with pytest.raises(DatasetError):
        load_coco(root / "x.json")


def test_lone_surrogates(root):
    path = coco(root, FACES)
    path.write_text(path.read_text().replace("a.png", "\\ud800.png").replace("nose", "\\udfff"))
    with pytest.raises(DatasetError, match=r"'\\ud800.png', which is not there") as caught:
        load_coco(path)
    str(caught.value).encode()
