import hashlib
import shutil
import subprocess
import zipfile

import keras
import numpy as np
import pytest

from keras_asm.datasets import DatasetError, load_youtube_faces, youtube_faces

HEADER = "," + ",".join(str(i) for i in range(136))


def write(root, **frames: list[str]):
    for folder, names in frames.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        lines = [HEADER]
        for i, name in enumerate(names):
            lines.append(f"{name}," + ",".join(f"{i + j}.0" for j in range(136)))
            (root / folder / name).touch()
        (root / f"{folder}_frames_keypoints.csv").write_text("\n".join([*lines, ""]))
    return root


@pytest.fixture
def copy(tmp_path):
    return write(
        tmp_path / "data",
        training=["Ann_Lee_00.jpg", "Ann_Lee_12.jpg", "Bob_A._Fox_00.jpg"],
        test=["Ann_Lee_00.jpg", "Cyd_00.jpg"],
    )


def test_reads_frames_and_people(copy):
    with pytest.raises(DatasetError, match=r"5 of 4232 faces \(training 3 of 3462, test 2 of 770\). Pass"):
        load_youtube_faces(copy)
    faces = load_youtube_faces(copy, allow_partial=True)
    assert faces.groups == ("Ann_Lee", "Ann_Lee", "Bob_A._Fox", "Ann_Lee", "Cyd")
    assert faces.names[0] == "training/Ann_Lee_00"
    assert len(set(faces.names)) == 5
    np.testing.assert_array_equal(faces.landmarks[1, :2], [[1, 2], [3, 4]])
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == {"training": 3, "test": 2}
    for seed in range(5):
        first, second = faces.split_by_group(0.5, seed)
        assert not set(first.groups) & set(second.groups)
    assert load_youtube_faces(copy, "test", allow_partial=True).names == ("test/Ann_Lee_00", "test/Cyd_00")


def test_pose_table(copy):
    (copy / "pose.csv").write_text("image,yaw,pitch,roll\ntest/Cyd_00.jpg,1,2,3\n")
    faces = load_youtube_faces(copy, pose=True, allow_partial=True)
    np.testing.assert_array_equal(faces.pose[4], [1, 2, 3])
    assert faces.notes[1] == "4 of 5 faces have no row in pose.csv"


def test_bad_input(copy, monkeypatch):
    with pytest.raises(ValueError, match="Received: 'train'"):
        load_youtube_faces(copy, "train")
    with pytest.raises(DatasetError, match="expected the folder"):
        load_youtube_faces(copy / "absent")
    (copy / "training/Ann_Lee_12.jpg").unlink()
    with pytest.raises(
        DatasetError, match=r"training_frames_keypoints\.csv, line 3: expected an image within"
    ):
        load_youtube_faces(copy, allow_partial=True)
    monkeypatch.setattr(youtube_faces, "_SIZES", {"test": 1})
    with pytest.raises(DatasetError, match="1 faces in test, and these are 2"):
        load_youtube_faces(copy, "test", allow_partial=True)


@pytest.fixture
def archive(copy, tmp_path, monkeypatch):
    """An archive as the repository's, served in place of the download, and the hash that it must have."""
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.mkdir("Repository-abc")
        file.writestr("Repository-abc/README.md", "not part of the data")
        for member in sorted(copy.rglob("*")):
            if member.is_file():
                file.write(member, f"Repository-abc/data/{member.relative_to(copy).as_posix()}")
    calls = []

    def get_file(fname, origin, cache_subdir):
        assert "udacity/P1_Facial_Keypoints" in origin
        calls.append(fname)
        return str(path)

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    monkeypatch.setattr(youtube_faces, "_DATA_TREE", youtube_faces._git_tree(copy).hex())
    return path, calls


def test_download(archive, tmp_path):
    _, calls = archive
    root = tmp_path / "new/faces"
    (tmp_path / "new/.faces.part").mkdir(parents=True)  # what a killed run has left
    faces = load_youtube_faces(root, download=True, allow_partial=True)
    assert len(faces) == 5
    assert sorted(path.name for path in root.iterdir()) == [
        "test",
        "test_frames_keypoints.csv",
        "training",
        "training_frames_keypoints.csv",
    ]
    assert [path.name for path in root.parent.iterdir()] == ["faces"]
    load_youtube_faces(root, download=True, allow_partial=True)
    assert len(calls) == 1  # nothing is fetched where there is something


@pytest.mark.parametrize("damage", ["truncated", "not a zip", "one byte", "another file", "no data"])
def test_damaged_download_leaves_nothing(archive, tmp_path, damage):
    path, _ = archive
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "not a zip":
        path.write_text("<html>Too many requests</html>")
    elif damage == "one byte":
        path.write_bytes(path.read_bytes().replace(b"135.0", b"136.0", 1))
    elif damage == "another file":
        with zipfile.ZipFile(path, "a") as file:
            file.writestr("Repository-abc/data/training/Extra_00.jpg", "x")
            file.writestr("Repository-abc/data/../../outside.txt", "x")
    else:
        with zipfile.ZipFile(path, "w") as file:
            file.writestr("Repository-abc/README.md", "x")
    root = tmp_path / "new/faces"
    with pytest.raises(
        DatasetError, match="is not what the repository holds.*run it again. To do it by hand"
    ):
        load_youtube_faces(root, download=True)
    assert list(root.parent.iterdir()) == []
    assert not path.exists()
    assert not (tmp_path / "outside.txt").exists()


def test_failed_download_says_what_to_do(tmp_path, monkeypatch):
    def get_file(**_):
        raise Exception("URL fetch failure on https://example.org: 503")

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with pytest.raises(DatasetError, match=r"download failed \(URL fetch failure.*503\)\. Run it again"):
        load_youtube_faces(tmp_path / "faces", download=True)
    assert not (tmp_path / "faces").exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_hash_is_gits(copy):
    def git(*arguments):
        command = ["git", "-C", str(copy.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    (copy / "test.d").mkdir()  # sorts after "test", before "test/"
    (copy / "test.d/file").write_text("x")
    git("init", "-q")
    git("-c", "core.autocrlf=false", "add", "data")
    assert youtube_faces._git_tree(copy).hex() == git("write-tree", "--prefix=data/")
    assert hashlib.sha1(b"tree 0\0").hexdigest() == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


@pytest.mark.real_data
def test_real_copy(data_root):
    faces = load_youtube_faces(data_root / "youtube_faces_68", pose=True, allow_partial=True)
    assert {name: mask.sum() for name, mask in faces.subsets.items()} == {"training": 2952, "test": 660}
    assert len(set(faces.groups)) == 295
    assert faces.has_pose.all()
    # Read by eye in the tables.
    assert faces.names[0] == "training/Luis_Fonsi_21"
    np.testing.assert_array_equal(faces.landmarks[0, :2], [[24, 42], [26, 50]])
    i = faces.names.index("training/Abdel_Aziz_Al-Hakim_00")
    np.testing.assert_array_equal(faces.pose[i], [-17.023, -5.764, -8.204])
    assert faces.groups[i] == "Abdel_Aziz_Al-Hakim"
