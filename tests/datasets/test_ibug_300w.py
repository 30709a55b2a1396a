import shutil

import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_300w, write_pts

COUNTS = {
    "afw": 337,
    "helen/trainset": 2000,
    "lfpw/trainset": 811,
    "helen/testset": 330,
    "lfpw/testset": 224,
    "ibug": 135,
    "300W/01_Indoor": 300,
    "300W/02_Outdoor": 300,
}


@pytest.fixture(scope="module")
def complete(tmp_path_factory):
    """A complete copy in 300W's layout; the reader opens no image, so these are empty."""
    root = tmp_path_factory.mktemp("300w")
    template = root / "template.pts"
    write_pts(template, np.arange(136.0).reshape(68, 2))
    for folder, count in COUNTS.items():
        (root / folder).mkdir(parents=True)
        for i in range(count):
            shutil.copyfile(template, root / folder / f"image_{i:04d}.pts")
            (root / folder / f"image_{i:04d}.{('jpg', 'PNG', 'jpeg')[i % 3]}").touch()
    return root


@pytest.fixture
def ibug(tmp_path):
    """The smallest folder of the protocol, complete."""
    (tmp_path / "ibug").mkdir()
    for i in range(135):
        write_pts(tmp_path / f"ibug/image_{i:03d}.pts", np.full((68, 2), float(i)))
        (tmp_path / f"ibug/image_{i:03d}.jpg").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("split", "count", "subsets"),
    [
        ("train", 3148, {"train": 3148}),
        ("common", 554, {"common": 554}),
        ("challenging", 135, {"challenging": 135}),
        ("full", 689, {"common": 554, "challenging": 135, "full": 689}),
        ("private", 600, {"private": 600}),
        ("all", 3837, {"train": 3148, "common": 554, "challenging": 135, "full": 689}),
    ],
)
def test_counts_of_the_protocol(complete, split, count, subsets):
    faces = load_300w(complete, split)
    assert len(faces) == count
    assert faces.landmarks.shape == (count, 68, 2)
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == subsets
    assert faces.notes == ()
    assert len(set(faces.names)) == count


def test_order_is_by_folder_and_name(complete):
    names = load_300w(complete, "train").names
    assert names[0] == "afw/image_0000"
    assert names[337] == "helen/trainset/image_0000"
    assert list(names[337:2337]) == sorted(names[337:2337])


@pytest.mark.parametrize("parent", ["", "300w", "Test"])
def test_private_set_wherever_it_was_unpacked(complete, tmp_path, parent):
    shutil.copytree(complete / "300W", tmp_path / parent, dirs_exist_ok=True)
    assert len(load_300w(tmp_path, "private")) == 600


def test_partial_copy_only_when_asked_for(ibug):
    (ibug / "ibug/image_007.pts").unlink()
    with pytest.raises(DatasetError, match=r"ibug 134 of 135.*allow_partial=True"):
        load_300w(ibug, "challenging")
    faces = load_300w(ibug, "challenging", allow_partial=True)
    assert len(faces) == 134
    assert "partial" in str(faces)
    assert "ibug 134 of 135" in str(faces)
    assert "1 images without a .pts file" in str(faces)


def test_subset_that_lacks_a_folder_is_not_named(ibug):
    faces = load_300w(ibug, "full", allow_partial=True)
    assert list(faces.subsets) == ["challenging"]
    assert "full has 135 of 689 faces (helen/testset 0 of 330, lfpw/testset 0 of 224)" in str(faces)


def test_nothing_there_is_an_error_even_when_partial_is_allowed(ibug):
    with pytest.raises(DatasetError, match="common has 0 of 554"):
        load_300w(ibug, "common", allow_partial=True)


def test_mirrored_copies_are_left_out_and_counted(ibug):
    for i in range(3):
        shutil.copyfile(ibug / f"ibug/image_00{i}.pts", ibug / f"ibug/image_00{i}_mirror.pts")
        (ibug / f"ibug/image_00{i}_mirror.jpg").touch()
    (ibug / "ibug/._image_000.pts").write_bytes(b"\0\5\26\7")  # what macOS leaves in archives
    (ibug / "ibug/Thumbs.db").touch()
    faces = load_300w(ibug, "challenging")
    assert len(faces) == 135
    assert faces.notes == ("ibug: 3 mirrored copies left out",)


def test_surplus_faces_are_refused(ibug):
    shutil.copyfile(ibug / "ibug/image_000.pts", ibug / "ibug/mine.pts")
    (ibug / "ibug/mine.jpg").touch()
    with pytest.raises(DatasetError, match="300W has 135 faces in ibug, and these are 136"):
        load_300w(ibug, "challenging", allow_partial=True)


def test_missing_and_double_images_are_named(ibug):
    image = ibug / "ibug/image_005.jpg"
    image.unlink()
    with pytest.raises(DatasetError, match=r"image_005\.pts: expected one image.*Received: none"):
        load_300w(ibug, "challenging")
    image.touch()
    image.with_suffix(".png").touch()
    with pytest.raises(DatasetError, match=r"image_005\.pts.*\['image_005.jpg', 'image_005.png'\]"):
        load_300w(ibug, "challenging")


def test_malformed_annotation_is_named(ibug):
    path = ibug / "ibug/image_005.pts"
    path.write_text(path.read_text().replace("6.000000 6.000000", "6.0", 1))
    with pytest.raises(DatasetError, match=r"image_005\.pts, line 4: expected two numbers"):
        load_300w(ibug, "challenging")
    write_pts(path, np.zeros((51, 2)))
    with pytest.raises(
        DatasetError, match=r"image_005\.pts, line 2: expected 68 landmarks. Received: n_points 51"
    ):
        load_300w(ibug, "challenging")


def test_pose_table(ibug):
    rows = [f"ibug/image_{i:03d}.png,{i},0,0\n" for i in range(130)]  # labelled in another image format
    (ibug / "pose.csv").write_text("image,yaw,pitch,roll\n" + "".join(rows))
    faces = load_300w(ibug, "challenging", pose=True)
    np.testing.assert_array_equal(faces.pose[:130, 0], np.arange(130))
    assert np.isnan(faces.pose[130:]).all()
    assert faces.notes == ("5 of 135 faces have no row in pose.csv",)
    assert load_300w(ibug, "challenging").pose is None

    (ibug / "labels").mkdir()
    shutil.move(ibug / "pose.csv", ibug / "labels/pose.csv")
    with pytest.raises(DatasetError, match="none of which is one of them"):
        load_300w(ibug, "challenging", pose=ibug / "labels/pose.csv")
    with pytest.raises(DatasetError, match=r"pose\.csv: there is no such file"):
        load_300w(ibug, "challenging", pose=True)


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="Received: 'test'"):
        load_300w(tmp_path, "test")
    with pytest.raises(DatasetError, match="expected the folder"):
        load_300w(tmp_path / "absent")


@pytest.mark.real_data
def test_real_copy(data_root):
    """2012 training faces and the whole test set; iBUG has no poses."""
    root = data_root / "300w"
    with pytest.raises(DatasetError, match=r"helen/trainset 870 of 2000, lfpw/trainset 805 of 811\)"):
        load_300w(root, "train")
    faces = load_300w(root, allow_partial=True, pose=True)
    counts = {"train": 2012, "common": 554, "challenging": 135, "full": 689}
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == counts
    np.testing.assert_array_equal(faces.has_pose, ~faces.subsets["challenging"])

    common = load_300w(root, "common", pose=True)
    assert (len(common), common.notes) == (554, ())
    i = common.names.index("lfpw/testset/image_0224")
    np.testing.assert_array_equal(common.pose[i], [2.792, -13.181, -8.033])  # read by eye


@pytest.mark.real_data
@pytest.mark.parametrize("split", ["train", "common"])
def test_real_shapes_agree_with_the_published_annotations(data_root, split):
    """The images here are scaled crops: the shapes are the published ones up to scale and shift."""
    with np.load(data_root / "shapes/300w_68.npz", allow_pickle=False) as archive:
        published = {
            name.rsplit(".", 1)[0]: shape
            for name, shape in zip(archive[f"{split}_names"], archive[split].astype(float), strict=True)
        }
    faces = load_300w(data_root / "300w", split, allow_partial=True)
    for name, ours in zip(faces.names, faces.landmarks, strict=True):
        a = published[name] - published[name].mean(axis=0)
        b = ours - ours.mean(axis=0)
        # Crops were cut at whole pixels and rounded in size when scaled, hence not exact.
        assert np.abs(b - a * (a * b).sum() / (a * a).sum()).max() < 0.2, name
