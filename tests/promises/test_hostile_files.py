"""Files made to do harm: each is refused with an error that names it, in little memory, and nothing in it is run."""

import io
import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import keras
import numpy as np
import pytest

from keras_asm import ActiveShapeModel, LandmarkPredictor
from keras_asm.datasets import DatasetError, load_coco, load_cofw
from keras_asm.datasets._mat import read_mat
from keras_asm.faces import read_image
from keras_asm.inference import LandmarkModelInfo, read_model_info, write_model_info
from keras_asm.shape_models import LinearShapeModel

# What a bomb holds; packed, a thousandth of it
ZEROS = bytes(1 << 28)


class Harm:
    """Writes a file if it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def saved(tmp_path, rng):
    """A shape model's file, as a dictionary of its members."""
    path = tmp_path / "saved.npz"
    ActiveShapeModel(3).fit(rng.normal(size=(30, 4, 2))).save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array))
    return stream.getvalue()


def header_of(shape, dtype="<f8"):
    """The header of an array that is not there."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def in_little_memory(script, *arguments):
    """Runs a script that may not take 100 MiB more than its imports have."""
    limited = (
        "import resource, sys\n"
        "from keras_asm import ActiveShapeModel\n"
        "from keras_asm.inference import read_model_info\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"{script}\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", limited, *map(str, arguments)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-2000:]
    *said, kibibytes = run.stdout.split("\n")[:-1]
    assert int(kibibytes) < 100 << 10, kibibytes
    return "\n".join(said)


class TestShapeModel:
    """`.npz` files."""

    def refused(self, path, why):
        with pytest.raises(ValueError, match=rf"Expected a file written by .*{path.name}.*{why}"):
            ActiveShapeModel.load(path)

    def test_the_members_alone_are_no_reason(self, saved, tmp_path):
        write(tmp_path / "a.npz", saved)
        assert ActiveShapeModel.load(tmp_path / "a.npz").n_components_ == 3

    @pytest.mark.parametrize("member", ["format.npy", "basis.npy", "surplus.npy"])
    def test_pickle(self, saved, tmp_path, member):
        objects = np.empty(1, dtype=object)
        objects[0] = Harm(tmp_path / "harm")
        stream = io.BytesIO()
        np.lib.format.write_array(stream, objects, allow_pickle=True)
        for content, why in (
            (stream.getvalue(), "allow_pickle"),
            (pickle.dumps(Harm(tmp_path / "harm")), "magic"),
        ):
            write(tmp_path / "a.npz", saved | {member: content})
            self.refused(tmp_path / "a.npz", why)
        assert not (tmp_path / "harm").exists()

    @pytest.mark.parametrize("shape", [(1 << 40,), (1 << 62, 4), (1 << 31, 1 << 31, 1 << 31), (-5,)])
    @pytest.mark.parametrize("member", ["mean_shape.npy", "surplus.npy"])
    def test_oversized_headers(self, saved, tmp_path, shape, member):
        write(tmp_path / "a.npz", saved | {member: header_of(shape) + bytes(64)})
        self.refused(tmp_path / "a.npz", "")

    def test_a_header_that_is_no_header(self, saved, tmp_path):
        code = b"{'descr': __import__('os').system('touch harm'), 'fortran_order': False, 'shape': (1,)}\n"
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(code)) + code
        write(tmp_path / "a.npz", saved | {"basis.npy": content})
        self.refused(tmp_path / "a.npz", "")
        deep = b"(" * 9000 + b"\n"
        write(
            tmp_path / "a.npz",
            saved | {"basis.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(deep)) + deep},
        )
        self.refused(tmp_path / "a.npz", "")

    @pytest.mark.skipif(sys.platform != "linux", reason="reads kibibytes, as Linux counts")
    def test_a_bomb(self, saved, tmp_path):
        path = tmp_path / "bomb.npz"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in saved.items():
                archive.writestr(name, content)
            with archive.open("bomb.npy", "w", force_zip64=True) as member:
                member.write(header_of((len(ZEROS),), "|u1"))
                member.write(ZEROS)
        script = (
            "try:\n    ActiveShapeModel.load(sys.argv[1])\n"
            "except ValueError as error:\n    print(type(error).__name__, 'bytes' in str(error))"
        )
        assert in_little_memory(script, path) == "ValueError True"

    def test_paths_are_names_and_nothing_more(self, saved, tmp_path):
        (tmp_path / "inside").mkdir()
        path = tmp_path / "inside" / "a.npz"
        write(path, saved | {"../../escaped.npy": npy(1.0), "/tmp/escaped.npy": npy(1.0)})
        before = set(tmp_path.rglob("*"))
        ActiveShapeModel.load(path)  # what it does not know is left
        assert set(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        ("member", "value"),
        [
            ("mean_shape", np.full(8, np.nan)),
            ("mean_shape", np.zeros(6)),
            ("mean_shape", np.zeros((8, 1))),
            ("mean_shape", np.zeros(0)),
            ("basis", np.full((8, 8), np.inf)),
            ("basis", np.eye(8)[:, :4]),
            ("basis", np.eye(8).astype(str)),
            ("variances", -np.ones(8)),
            ("variances", np.ones(3)),
            ("total_variance", np.array(np.nan)),
            ("total_variance", np.zeros(2)),
            ("reference_shape", np.ones(5)),
            ("n_samples_seen", np.array(-3)),
            ("parameter_n_dims", np.array([3])),
            ("parameter_n_components", np.array(["many"])),
            ("parameter_limit", np.array([-1.0])),
            ("format", np.array(["a", "b"])),
        ],
    )
    def test_arrays_that_make_no_sense(self, saved, tmp_path, member, value):
        assert f"{member}.npy" in saved
        write(tmp_path / "a.npz", saved | {f"{member}.npy": npy(value)})
        self.refused(tmp_path / "a.npz", "")

    def test_every_byte_may_be_wrong(self, tmp_path, rng):
        """A file is refused, or what it gives is a finite model: zip's checksums find most of it."""
        ActiveShapeModel(1).fit(rng.normal(size=(5, 2, 2))).save(tmp_path / "good.npz")
        good = (tmp_path / "good.npz").read_bytes()
        refused = 0
        for i in range(0, len(good), 11):
            bad = bytearray(good)
            bad[i] ^= 0xFF
            (tmp_path / "bad.npz").write_bytes(bad)
            try:
                asm = ActiveShapeModel.load(tmp_path / "bad.npz")
            except ValueError:
                refused += 1
            else:
                assert np.isfinite(asm.project(np.ones((1, 2, 2)))).all()
        assert refused > 0.5 * len(good) / 11


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "net.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(136)]).save(path)
    write_model_info(path, LandmarkModelInfo("300w", 8, pose_output=None))
    return path


MEMBER = "keras_asm_model_info.json"


class TestKerasFile:
    """`.keras` files, as `LandmarkPredictor` opens them."""

    def with_description(self, path, content, compression=zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        write(path, members | {MEMBER: content}, compression)

    def test_code_is_not_run(self, tmp_path):
        model = keras.Sequential(
            [keras.Input((4, 4, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]
        )
        model.save(tmp_path / "net.keras")
        write_model_info(tmp_path / "net.keras", LandmarkModelInfo("300w", 4, pose_output=None))
        with pytest.raises(Exception, match=r"(?s)[Ll]ambda.*(unsafe|safe_mode)"):
            LandmarkPredictor(tmp_path / "net.keras", detector=None)

    @pytest.mark.skipif(sys.platform != "linux", reason="reads kibibytes, as Linux counts")
    def test_a_description_that_is_a_bomb(self, model_file):
        with zipfile.ZipFile(model_file) as archive:
            members = {name: archive.read(name) for name in archive.namelist() if name != MEMBER}
        with zipfile.ZipFile(model_file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
            with archive.open(MEMBER, "w", force_zip64=True) as member:
                member.write(ZEROS)
        script = (
            "try:\n    read_model_info(sys.argv[1])\n"
            "except ValueError as error:\n    print(type(error).__name__, 'bytes' in str(error))"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KERAS_BACKEND", keras.config.backend())
            said = in_little_memory(
                "from keras_asm.inference import model_info\nmodel_info._MAX_BYTES >>= 4\n" + script,
                model_file,
            )
        assert said == "DatasetError True"

    @pytest.mark.parametrize(
        "content",
        [
            b"[" * 200_000,
            b'{"format": ' * 100_000,
            b"\xff\xfe",
            b'{"format": "keras_asm.LandmarkModelInfo/1", "image_size": ' + b"9" * 10_000 + b"}",
        ],
        ids=["lists", "objects", "bytes", "digits"],
    )
    def test_descriptions(self, model_file, content):
        self.with_description(model_file, content)
        with pytest.raises(DatasetError, match=r"net\.keras"):
            read_model_info(model_file)

    def test_a_member_that_is_damaged(self, model_file):
        content = model_file.read_bytes()
        with zipfile.ZipFile(model_file) as archive:
            offset = archive.getinfo(MEMBER).header_offset + 30 + len(MEMBER) + 5
        model_file.write_bytes(content[:offset] + bytes(20) + content[offset + 20 :])
        with pytest.raises(DatasetError, match=r"net\.keras: the description cannot be read"):
            read_model_info(model_file)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("mean_shape", [float("nan")] * 136),
            ("components", [[1.0] * 3]),
            ("components", [["a"] * 136]),
            ("explained_variance", [-1.0]),
            ("limit", -3.0),
            ("limit", "three"),
        ],
    )
    def test_shape_models(self, model_file, rng, name, value):
        asm = ActiveShapeModel(1).fit(rng.normal(size=(5, 68, 2)))
        config = LandmarkModelInfo("300w", 8, pose_output=None, shape_model=asm.linear_model()).get_config()
        self.with_description(model_file, json.dumps(config))
        read_model_info(model_file)
        config["shape_model"][name] = value
        self.with_description(model_file, json.dumps(config))
        with pytest.raises(DatasetError, match=r"net\.keras"):
            read_model_info(model_file)


def mat_element(kind, body):
    return struct.pack("<II", kind, len(body)) + body + bytes(-len(body) % 8)


class TestMat:
    """MATLAB's files."""

    def test_a_bomb(self, tmp_path):
        packed = zlib.compress(ZEROS[: len(ZEROS) // 2], 1)
        head = b" " * 124 + struct.pack("<H", 0x0100) + b"IM"
        path = tmp_path / "a.mat"
        path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
        with pytest.raises(DatasetError, match=r"a\.mat: .*cut off or too large"):
            read_mat(path, ["Pose_Para"])

    def test_an_oversized_shape(self, tmp_path):
        body = (
            mat_element(6, struct.pack("<II", 6, 0))
            + mat_element(5, struct.pack("<ii", 1 << 30, 1 << 30))
            + mat_element(1, b"Pose_Para")
            + mat_element(9, bytes(8))
        )
        head = b" " * 124 + struct.pack("<H", 0x0100) + b"IM"
        path = tmp_path / "a.mat"
        path.write_bytes(head + mat_element(14, body))
        with pytest.raises(DatasetError, match="8 bytes for a shape"):
            read_mat(path, ["Pose_Para"])

    def cofw(self, path, make):
        """A file of COFW whose annotations are what `make` puts there."""
        with h5py.File(path, "w") as file:
            make(file)
            image = file.create_dataset("image", data=np.zeros((4, 4), np.uint8))
            file.create_dataset("IsTr", data=np.array([[image.ref]], dtype=h5py.ref_dtype))
            file.create_dataset("bboxesTr", data=np.ones((4, 1)))

    @pytest.mark.parametrize(
        "trick", ["oversized", "external link", "soft link", "virtual", "raw file", "group"]
    )
    def test_hdf5(self, tmp_path, trick):
        with h5py.File(tmp_path / "secret.h5", "w") as file:
            file.create_dataset("phis", data=np.ones((87, 1)))

        def make(file):
            if trick == "oversized":  # a terabyte of zeros takes a few bytes
                file.create_dataset("phisTr", shape=(87, 1 << 31), dtype="f8", chunks=(87, 1024))
            elif trick == "external link":
                file["phisTr"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/phis")
            elif trick == "soft link":
                file["phisTr"] = h5py.SoftLink("/bboxesTr")
            elif trick == "virtual":
                layout = h5py.VirtualLayout(shape=(87, 1), dtype="f8")
                layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "phis", shape=(87, 1))
                file.create_virtual_dataset("phisTr", layout)
            elif trick == "raw file":
                (tmp_path / "secret.raw").write_bytes(bytes(87 * 8))
                file.create_dataset(
                    "phisTr", shape=(87, 1), dtype="f8", external=[(str(tmp_path / "secret.raw"), 0, 87 * 8)]
                )
            else:
                file.create_group("phisTr")

        path = tmp_path / "COFW_train.mat"
        self.cofw(path, make)
        expected = "at most" if trick == "oversized" else "elsewhere"
        with pytest.raises(DatasetError, match=rf"COFW_train\.mat: expected arrays .*({expected})"):
            load_cofw(path, "train", allow_partial=True)

    def test_hdf5_as_it_should_be(self, tmp_path):
        path = tmp_path / "COFW_train.mat"
        self.cofw(path, lambda file: file.create_dataset("phisTr", data=np.ones((87, 1))))
        assert len(load_cofw(path, "train", allow_partial=True)) == 1


def png(width, height):
    """A picture that claims a size, and has no pixels."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


class TestPictures:
    """Images, and annotations that name them."""

    def test_a_picture_of_gigapixels(self, tmp_path):
        for name, content in {
            "a.png": png(60_000, 60_000),
            "a.bmp": b"BM"
            + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
            "a.gif": b"GIF89a" + struct.pack("<HHBBB", 60_000, 60_000, 0, 0, 0) + b";",
        }.items():
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DatasetError, match=f"{name}: the image cannot be read"):
                read_image(tmp_path / name)

    def test_an_annotation_names_no_file_that_is_no_picture(self, tmp_path):
        """A name may lead out of the folder, as those that `write_coco` writes; only pictures are ever read there."""
        (tmp_path / "secret.txt").write_text("secret")
        (tmp_path / "faces").mkdir()
        image = {"id": 1, "file_name": "../secret.txt", "width": 4, "height": 4}
        face = {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "keypoints": [1, 1, 2, 3, 3, 2],
            "bbox": [0, 0, 4, 4],
        }
        category = {"id": 1, "name": "face", "keypoints": ["a", "b"]}
        path = tmp_path / "faces" / "faces.json"
        path.write_text(json.dumps({"images": [image], "annotations": [face], "categories": [category]}))
        faces = load_coco(path)
        with pytest.raises(DatasetError, match=r"secret\.txt: the image cannot be read"):
            read_image(faces.image_paths[0])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mean_shape": np.zeros(3)}, "components"),
        ({"components": np.full((1, 4), np.nan)}, "components must hold finite"),
        ({"components": [[1.0, 0, 0, 0]]}, "Received: list"),
        ({"explained_variance": np.ones(2)}, "components"),
        ({"explained_variance_ratio": np.ones(2)}, "explained_variance_ratio"),
        ({"explained_variance": -np.ones(1)}, "must not be negative"),
        ({"limit": 0.0}, "limit=0.0"),
        ({"limit": np.inf}, "limit=inf"),
        ({"reference_shape": np.ones(2)}, "reference_shape"),
        ({"mean_shape": np.zeros((2, 2))}, "mean_shape"),
    ],
)
def test_linear_shape_models_fit_together(change, match):
    good = {
        "mean_shape": np.zeros(4),
        "components": np.eye(4)[:1],
        "explained_variance": np.ones(1),
        "explained_variance_ratio": np.ones(1),
    }
    LinearShapeModel(**good)
    with pytest.raises(ValueError, match=match):
        LinearShapeModel(**{**good, **change})
