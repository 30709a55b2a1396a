import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from keras_asm.datasets import DatasetError, LandmarkDataset, load_300w
from keras_asm.faces import CropTransform, crop_faces, crop_image, detect_boxes, jitter_boxes, read_image


def blob(height: int, width: int, center, sigma: float) -> np.ndarray:
    """A white Gaussian spot on black."""
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - center[0]) ** 2 + (y - center[1]) ** 2) / (2 * sigma**2))
    return np.repeat(np.round(255 * spot).astype(np.uint8)[..., None], 3, axis=2)


def centroid(image: np.ndarray) -> np.ndarray:
    weight = image.astype(float).mean(axis=2)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def save(path, image: np.ndarray) -> str:
    Image.fromarray(image).save(path)
    return str(path)


@given(
    x=st.floats(120, 280),
    y=st.floats(120, 280),
    dx=st.floats(-0.15, 0.15),
    dy=st.floats(-0.15, 0.15),
    side=st.floats(40, 380),
    image_size=st.sampled_from([32, 33, 64, 96, 224]),
)
def test_blob_stays_under_its_landmark(x, y, dx, dy, side, image_size):
    """Up and down in scale, to a tenth of a crop pixel; squares that leave the image are padded black."""
    sigma = max(1.5, 1.5 * side / image_size, side / 40)
    image = blob(400, 400, (x, y), sigma)
    center = np.array([x + dx * side, y + dy * side])
    crop = crop_image(image, center, side, image_size, fill_mode="constant")
    expected = CropTransform(center[None], [side], image_size).to_pixels([[[x, y]]])[0, 0]
    assert np.abs(centroid(crop) - expected).max() < 0.1


def test_whole_pixels_are_copied_exactly(rng):
    image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    # 10 px around (14.5, 24.5): pixels 10..19 and 20..29, whose outer edges are at 9.5 and 19.5.
    np.testing.assert_array_equal(crop_image(image, (14.5, 24.5), 10, 10), image[20:30, 10:20])


def test_downscaling_averages(rng):
    """Noise of standard deviation 74 shrinks 8 times: a resize without antialiasing would keep 74."""
    image = np.repeat(rng.integers(0, 256, (256, 256, 1)).astype(np.uint8), 3, axis=2)
    small = crop_image(image, (127.5, 127.5), 256, 32)
    assert small.std() < 9
    assert abs(small.mean() - 127.5) < 1


def test_padding(rng):
    image = rng.integers(1, 256, (20, 30, 3)).astype(np.uint8)
    padded = np.pad(image, ((10, 10), (5, 5), (0, 0)), mode="edge")
    np.testing.assert_array_equal(crop_image(image, (14.5, 9.5), 40, 40), padded)
    black = crop_image(image, (14.5, 9.5), 40, 40, fill_mode="constant")
    np.testing.assert_array_equal(black[10:30, 5:35], image)
    assert black[:10].max() == black[30:].max() == black[:, :5].max() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((500, 10), 20, 8), "outside its image"),
        (((10, -30), 20, 8), "outside its image"),
        (((10, 10), 2000, 8), "over 16 times as large"),
    ],
)
def test_faces_that_cannot_be_cropped(arguments, message):
    with pytest.raises(ValueError, match=message):
        crop_image(np.zeros((40, 40, 3), np.uint8), *arguments)


def test_bad_settings():
    with pytest.raises(ValueError, match=r"fill_mode.*Received: 'mirror'"):
        crop_image(np.zeros((40, 40, 3), np.uint8), (20, 20), 10, 8, fill_mode="mirror")
    with pytest.raises(ValueError, match="uint8 of shape"):
        crop_image(np.zeros((40, 40)), (20, 20), 10, 8)


class TestReadImage:
    def test_modes(self, tmp_path, rng):
        rgb = rng.integers(0, 256, (6, 5, 3)).astype(np.uint8)
        grey = rgb[..., 0]
        np.testing.assert_array_equal(read_image(save(tmp_path / "rgb.png", rgb)), rgb)
        np.testing.assert_array_equal(
            read_image(save(tmp_path / "grey.png", grey)), np.repeat(grey[..., None], 3, axis=2)
        )
        rgba = np.dstack([rgb, grey])
        np.testing.assert_array_equal(read_image(save(tmp_path / "rgba.png", rgba)), rgb)

    def test_palette_cmyk_and_one_bit(self, tmp_path):
        # One plain colour survives each of these.
        picture = Image.new("RGB", (8, 8), (200, 100, 50))
        picture.convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
        picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
        picture.convert("CMYK").save(tmp_path / "cmyk.tif")
        for name in ("palette.png", "cmyk.jpg", "cmyk.tif"):
            image = read_image(tmp_path / name)
            assert (image.shape, image.dtype) == ((8, 8, 3), np.uint8)
            assert np.abs(image.astype(int) - [200, 100, 50]).max() <= 3, name
        Image.new("1", (8, 8), 1).save(tmp_path / "bit.png")
        assert read_image(tmp_path / "bit.png").min() == 255

    def test_16_bit_grey_is_scaled(self, tmp_path):
        grey = np.array([[0, 257 * 128], [257 * 7, 65535]], dtype=np.uint16)
        for name in ("a.png", "a.tif"):
            Image.fromarray(grey).save(tmp_path / name)
            np.testing.assert_array_equal(read_image(tmp_path / name)[..., 1], [[0, 128], [7, 255]])

    def test_exif_orientation_is_not_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6  # a quarter turn
        Image.new("RGB", (10, 4)).save(tmp_path / "a.jpg", exif=exif)
        assert read_image(tmp_path / "a.jpg").shape == (4, 10, 3)

    @pytest.mark.parametrize("suffix", ["png", "jpg"])
    def test_damage_is_named(self, tmp_path, rng, suffix):
        path = tmp_path / f"a.{suffix}"
        save(path, rng.integers(0, 256, (64, 64, 3)).astype(np.uint8))
        content = path.read_bytes()
        for damaged in (b"", b"not an image", content[: len(content) // 2], content[:20]):
            path.write_bytes(damaged)
            with pytest.raises(DatasetError, match=rf"a\.{suffix}: the image cannot be read"):
                read_image(path)
        with pytest.raises(DatasetError, match=r"b\.png: there is no such image"):
            read_image(tmp_path / "b.png")
        with pytest.raises(DatasetError, match="cannot be read"):
            read_image(tmp_path)

    def test_without_pillow(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(ImportError, match=r'pip install "keras-asm\[images\]"'):
            read_image("a.png")


class TestCropFaces:
    @pytest.fixture
    def faces(self, tmp_path):
        centers = [(100.0, 60.0), (33.3, 71.7)]
        paths = [save(tmp_path / f"{i}.png", blob(150, 200, c, 6)) for i, c in enumerate(centers)]
        square = np.array([[-20, -30], [20, -30], [20, 30], [-20, 30], [0, 0]])
        return LandmarkDataset(
            tuple(paths),
            np.array(centers)[:, None] + square,
            pose=np.array([[1.0, 2, 3], [4, 5, 6]]),
            names=("one", "two"),
        )

    def test_blobs_lie_at_the_landmarks(self, faces):
        crops = crop_faces(faces, 48, margin=0.25, fill_mode="constant")
        assert (crops.images.shape, crops.images.dtype) == ((2, 48, 48, 3), np.uint8)
        for image, landmarks in zip(crops.images, crops.landmarks, strict=True):
            np.testing.assert_allclose(centroid(image), (landmarks[4] + 0.5) * 48 - 0.5, atol=0.1)
        np.testing.assert_allclose(crops.landmarks[:, 2], [[20 / 90, 30 / 90]] * 2, rtol=1e-6)
        np.testing.assert_array_equal(crops.pose, faces.pose)
        assert crops.names == ("one", "two")

    def test_the_way_back(self, faces):
        np.testing.assert_allclose(crop_faces(faces, 48).source_landmarks, faces.landmarks, atol=1e-4, rtol=0)

    def test_errors_name_the_image(self, faces, tmp_path):
        far = LandmarkDataset(faces.image_paths, faces.landmarks + np.array([[[0, 0]], [[900, 0]]]))
        with pytest.raises(DatasetError, match=r"1\.png: The face lies outside"):
            crop_faces(far, 48)
        (tmp_path / "1.png").write_bytes(b"")
        with pytest.raises(DatasetError, match=r"1\.png: the image cannot be read"):
            crop_faces(faces, 48)
        (tmp_path / "1.png").unlink()
        with pytest.raises(DatasetError, match=r"1\.png: there is no such image"):
            crop_faces(faces, 48)
        with pytest.raises(ValueError, match="fill_mode"):
            crop_faces(faces, 48, fill_mode="black")


class TestBoxes:
    @pytest.fixture
    def faces(self, tmp_path):
        centers = [(60.0, 60.0), (133.3, 71.7), (100.0, 50.0)]
        paths = [save(tmp_path / f"{i}.png", blob(150, 200, c, 6)) for i, c in enumerate(centers)]
        square = np.array([[-20, -30], [20, -30], [20, 30], [-20, 30], [0, 0]])
        boxes = np.array(centers)[:, [0, 1, 0, 1]] + [-25, -35, 15, 45]
        return LandmarkDataset(tuple(paths), np.array(centers)[:, None] + square, boxes=boxes)

    def test_given(self, faces):
        crops = crop_faces(faces, 48, boxes="given", margin=0.25, fill_mode="constant", verbose=0)
        # The box is 40 x 80, 5 left of and 5 below the face's centre; the square is 120 wide.
        np.testing.assert_allclose(crops.landmarks[:, 4], [[5 / 120, -5 / 120]] * 3, atol=1e-6)
        np.testing.assert_array_equal(crops.transform.side, 120)
        for image, landmarks in zip(crops.images, crops.landmarks, strict=True):
            np.testing.assert_allclose(centroid(image), (landmarks[4] + 0.5) * 48 - 0.5, atol=0.1)

    def test_detector(self, faces):
        def detector(image):
            y, x = np.unravel_index(image[..., 0].argmax(), image.shape[:2])
            return None if x > 120 else (x - 30, y - 30, x + 30, y + 30)

        boxes = detect_boxes(faces, detector, verbose=0)
        found = np.isfinite(boxes).all(axis=1)
        np.testing.assert_array_equal(found, [True, False, True])
        np.testing.assert_array_equal(boxes[2], [70, 20, 130, 80])
        some = faces.select(found)
        crops = crop_faces(some, 48, boxes=boxes[found], verbose=0)
        np.testing.assert_array_equal(crops.images, crop_faces(some, 48, boxes=detector, verbose=0).images)
        np.testing.assert_allclose(crops.landmarks[:, 4], 0, atol=1e-6)
        with pytest.raises(
            DatasetError, match=r"1\.png: Every face needs a box.*1 of 3 faces in which the det"
        ):
            crop_faces(faces, 48, boxes=detector, verbose=0)

    def test_landmarks_may_lie_outside(self, faces):
        crops = crop_faces(
            faces, 48, boxes=faces.landmarks[:, 4][:, [0, 1, 0, 1]] + [-9, -9, 9, 9], verbose=0
        )
        np.testing.assert_allclose(crops.landmarks[:, 2], [[20 / 27, 30 / 27]] * 3, rtol=1e-5)
        np.testing.assert_allclose(crops.source_landmarks, faces.landmarks, atol=1e-4)

    def test_jitter(self, faces):
        plain = crop_faces(faces, 48, verbose=0)
        moved = crop_faces(faces, 48, jitter=(0.1, 0.2), seed=3, verbose=0)
        again = crop_faces(faces, 48, jitter=(0.1, 0.2), seed=3, verbose=0)
        np.testing.assert_array_equal(moved.images, again.images)
        np.testing.assert_array_equal(moved.landmarks, again.landmarks)
        other = crop_faces(faces, 48, jitter=(0.1, 0.2), seed=4, verbose=0)
        assert (moved.transform.side != other.transform.side).all()
        # The landmarks' box is 40 x 60.
        assert np.abs(moved.transform.center - plain.transform.center).max() <= 0.1 * 60
        np.testing.assert_allclose(moved.source_landmarks, faces.landmarks, atol=1e-4)
        still = crop_faces(faces, 48, jitter=(0, 0), verbose=0)
        np.testing.assert_array_equal(still.images, plain.images)

    def test_jitter_is_uniform(self):
        boxes = np.tile([10.0, 20, 50, 100], (20000, 1))
        moved = jitter_boxes(boxes, shift=0.1, scale=0.2, seed=0)
        shift = (moved[:, :2] + moved[:, 2:]) / 2 - [30, 60]
        factor = (moved[:, 2:] - moved[:, :2]) / [40, 80]
        np.testing.assert_allclose(factor[:, 0], factor[:, 1])
        for values, limit in ((shift[:, 0], 8), (shift[:, 1], 8), (factor[:, 0] - 1, 0.2)):
            assert np.abs(values).max() <= limit * (1 + 1e-9)
            np.testing.assert_allclose(
                np.quantile(values, [0.1, 0.5, 0.9]) / limit, [-0.8, 0, 0.8], atol=0.03
            )
        assert abs(np.corrcoef(shift.T)[0, 1]) < 0.03

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"boxes": "haar"}, "boxes must be"),
            ({"boxes": np.zeros((2, 4))}, r"shape \(3, 4\)"),
            ({"boxes": np.full((3, 4), np.nan)}, "3 of 3 faces without a box"),
            ({"boxes": lambda image: (5, 5, 5, 9)}, r"0\.png: A detector must return"),
            ({"boxes": lambda image: [1, 2]}, r"0\.png: A detector must return"),
            ({"jitter": 0.1}, "pair"),
            ({"jitter": (-0.1, 0)}, "shift from 0"),
            ({"jitter": (0.1, 1)}, "scale from 0"),
        ],
    )
    def test_bad_settings(self, faces, changes, message):
        with pytest.raises(ValueError, match=message):
            crop_faces(faces, 48, verbose=0, **changes)

    def test_given_boxes_that_are_missing(self, faces):
        without = LandmarkDataset(faces.image_paths, faces.landmarks)
        with pytest.raises(ValueError, match="without boxes"):
            crop_faces(without, 48, boxes="given")
        boxes = np.array(faces.boxes)
        boxes[1] = np.nan
        some = LandmarkDataset(faces.image_paths, faces.landmarks, boxes=boxes)
        with pytest.raises(DatasetError, match=r"1\.png: Every face.*1 of 3 faces without a box"):
            crop_faces(some, 48, boxes="given")


def test_faces_of_one_picture(tmp_path):
    path = save(tmp_path / "a.png", blob(100, 100, (30, 40), 4))
    landmarks = np.array([[[20, 30], [40, 50], [30, 40]], [[10, 30], [50, 50], [30, 40]]])
    crops = crop_faces(LandmarkDataset((path, path), landmarks), 32, verbose=0)
    for image, points in zip(crops.images, crops.landmarks, strict=True):
        np.testing.assert_allclose(centroid(image), (points[2] + 0.5) * 32 - 0.5, atol=0.1)


def test_progress_can_be_switched_off(tmp_path, capsys):
    path = save(tmp_path / "a.png", blob(100, 100, (30, 40), 4))
    faces = LandmarkDataset((path,), [[[20, 30], [40, 50]]])
    crop_faces(faces, 32, verbose=0)
    assert capsys.readouterr().out == ""
    crop_faces(faces, 32)
    assert "1/1" in capsys.readouterr().out


@pytest.mark.real_data
def test_real_faces(data_root):
    faces = load_300w(data_root / "300w", "common", pose=True).select(slice(0, None, 25))
    crops = crop_faces(faces, 96)
    np.testing.assert_allclose(crops.source_landmarks, faces.landmarks, atol=1e-4, rtol=0)
    # The longer side of the box takes 1 / 1.5 of the crop.
    extent = (crops.landmarks.max(axis=1) - crops.landmarks.min(axis=1)).max(axis=1)
    np.testing.assert_allclose(extent, 1 / 1.5, rtol=1e-5)
    np.testing.assert_allclose(crops.pose, faces.pose, rtol=1e-6)
    # The eyelids' lashes are darker than the cheeks: the points sit on the picture, not beside it.
    eyes, cheeks = (36, 39, 42, 45), (1, 15, 31, 35)
    pixels = np.round((crops.landmarks + 0.5) * 96 - 0.5).astype(int).clip(0, 95)
    grey = crops.images.mean(axis=3)
    value = grey[np.arange(len(crops))[:, None], pixels[..., 1], pixels[..., 0]]
    assert value[:, eyes].mean() < value[:, cheeks].mean()


def test_landmarks_without_a_position(tmp_path, rng):
    """They stay NaN, and the crop is that of the others: of a side of 211 pixels, not 503."""
    path = save(tmp_path / "a.png", rng.integers(0, 256, (450, 450, 3)).astype(np.uint8))
    landmarks = np.concatenate([[[200.0, 200.0], [340.7, 300.0]], rng.uniform(210, 290, (66, 2))])[None]
    whole = crop_faces(LandmarkDataset((path,), landmarks, scheme="300w"), 32, verbose=0)
    gap = landmarks.copy()
    gap[0, 5] = np.nan
    crops = crop_faces(LandmarkDataset((path,), gap, scheme="300w"), 32, verbose=0)
    assert whole.transform.side == pytest.approx(211, abs=0.1)
    np.testing.assert_array_equal(crops.transform.side, whole.transform.side)
    np.testing.assert_array_equal(np.isnan(crops.landmarks[0]).any(axis=1), np.arange(68) == 5)
    np.testing.assert_allclose(crops.source_landmarks, gap, atol=1e-4)
    nothing = LandmarkDataset((path,), np.full((1, 68, 2), np.nan))
    with pytest.raises(DatasetError, match="1 of 1 faces without a landmark that has a position.*give boxes"):
        crop_faces(nothing, 32, verbose=0)
    boxed = crop_faces(nothing, 32, boxes=np.array([[100.0, 100, 300, 300]]), verbose=0)
    assert np.isnan(boxed.landmarks).all()
    with pytest.raises(ValueError, match="A box needs finite"):
        CropTransform.from_landmarks(nothing.landmarks, 32)
