import warnings

import numpy as np
import pytest
from PIL import Image, ImageOps

from keras_asm.datasets import DatasetError, LandmarkDataset
from keras_asm.faces import crop_faces, cropping, detect_boxes, read_image

ORIENTATIONS = pytest.mark.parametrize("orientation", range(1, 9))


def save(path, pixels: np.ndarray, orientation: int) -> str:
    exif = Image.Exif()
    exif[0x0112] = orientation
    settings = {".webp": {"lossless": True}, ".jpg": {"quality": 100, "subsampling": 0}}
    Image.fromarray(pixels).save(path, exif=exif, **settings.get(path.suffix, {}))
    return str(path)


@ORIENTATIONS
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_all_orientations_as_pillow_turns_them(tmp_path, rng, orientation, suffix):
    stored = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
    path = save(tmp_path / f"a{suffix}", stored, orientation)
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    assert upright.shape == ((9, 6, 3) if orientation >= 5 else (6, 9, 3))
    found = read_image(path, exif="apply")
    np.testing.assert_array_equal(found, upright)
    assert found.flags.c_contiguous
    # TIFF too, which Pillow turns by itself
    tolerance = 40 if suffix == ".jpg" else 0
    for ignored in (read_image(path), read_image(path, exif="ignore")):
        assert ignored.shape == stored.shape
        assert np.abs(ignored.astype(int) - stored).max() <= tolerance


@ORIENTATIONS
def test_16_bit_grey(tmp_path, orientation):
    grey = (np.arange(6, dtype=np.uint16).reshape(2, 3) + 1) * 257
    path = save(tmp_path / "a.png", grey, orientation)
    with Image.open(path) as image:
        upright = np.array(ImageOps.exif_transpose(image)) // 257
    np.testing.assert_array_equal(read_image(path, exif="apply")[..., 0], upright)
    np.testing.assert_array_equal(read_image(path)[..., 0], grey // 257)


def test_tags_without_meaning(tmp_path, rng):
    pixels = rng.integers(0, 256, (6, 9, 3)).astype(np.uint8)
    for orientation in (0, 9, 65535):
        path = save(tmp_path / "a.png", pixels, orientation)
        np.testing.assert_array_equal(read_image(path, exif="apply"), pixels)


@pytest.mark.parametrize("exif", ["auto", True, None])
def test_other_choices_are_refused(tmp_path, exif):
    path = save(tmp_path / "a.png", np.zeros((9, 9, 3), np.uint8), 1)
    with pytest.raises(ValueError, match=r"exif must be one of \['ignore', 'apply'\]. Received"):
        read_image(path, exif=exif)
    faces = LandmarkDataset((path,), np.array([[[1.0, 1], [5, 5]]]))
    if exif is not None:
        with pytest.raises(ValueError, match="exif must be one of"):
            crop_faces(faces, 8, exif=exif, verbose=0)
        with pytest.raises(ValueError, match="exif must be one of"):
            detect_boxes(faces, lambda image: None, exif=exif, verbose=0)


@pytest.fixture
def faces(tmp_path):
    """A white square on black, upright; stored as a camera stores it, with each orientation."""
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[5:15, 35:50] = 255
    turns = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
    paths = []
    for orientation in range(1, 9):
        stored = cropping._turned(upright, turns.get(orientation, 1))
        paths.append(save(tmp_path / f"{orientation}.png", stored, orientation))
    corners = np.array([[35.0, 5], [49, 5], [49, 14], [35, 14]])
    return LandmarkDataset(tuple(paths), np.tile(corners, (8, 1, 1)))


def test_landmarks_are_those_of_the_upright_image(faces):
    crops = crop_faces(faces, 32, margin=0.25, exif="apply", verbose=0)
    for image in crops.images[1:]:
        np.testing.assert_array_equal(image, crops.images[0])
    # The middle of the face is white, its surroundings black
    assert crops.images[0, 16, 16].min() == 255
    assert crops.images[0, 1].max() == 0


def white(image: np.ndarray):
    y, x = np.nonzero(image[..., 0])
    return x.min(), y.min(), x.max(), y.max()


def test_detectors_see_the_same_image(faces):
    boxes = detect_boxes(faces, white, exif="apply", verbose=0)
    np.testing.assert_array_equal(boxes, [[35, 5, 49, 14]] * 8)
    crops = crop_faces(faces, 16, boxes=white, exif="apply", verbose=0)
    np.testing.assert_array_equal(crops.images, np.tile(crops.images[:1], (8, 1, 1, 1)))
    stored = detect_boxes(faces, white, exif="ignore", verbose=0)
    np.testing.assert_array_equal(stored[1], [10, 5, 24, 14])  # mirrored
    assert (stored[1:] != boxes[1:]).any(axis=1).all()


class TestWarning:
    def test_counts_and_names(self, faces):
        with pytest.warns(
            UserWarning, match=r"7 images have an EXIF orientation.*Received: .*2\.png, for one"
        ) as caught:
            crop_faces(
                faces.select([0, 1, 2, 3, 4, 5, 6, 7, 7]),
                16,
                boxes=np.tile([1.0, 1, 30, 30], (9, 1)),
                verbose=0,
            )
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match="7 images") as caught:
            detect_boxes(faces, white, verbose=0)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        with pytest.warns(UserWarning, match="7 images") as caught:
            crop_faces(faces, 16, boxes=white, verbose=0)
        assert len(caught) == 1

    def test_is_not_given_where_the_choice_is(self, faces):
        boxes = np.tile([1.0, 1, 30, 30], (8, 1))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for exif in ("ignore", "apply"):
                crop_faces(faces, 16, boxes=boxes, exif=exif, verbose=0)
                detect_boxes(faces, white, exif=exif, verbose=0)
            crop_faces(faces.select([0]), 16, verbose=0)

    def test_comes_with_the_error_that_may_follow(self, tmp_path):
        path = save(tmp_path / "a.png", np.zeros((20, 90, 3), np.uint8), 6)
        faces = LandmarkDataset((path,), np.array([[[2.0, 70], [9, 80]]]))
        with (
            pytest.warns(UserWarning, match="1 images"),
            pytest.raises(DatasetError, match="outside its image"),
        ):
            crop_faces(faces, 16, verbose=0)
        assert crop_faces(faces, 16, exif="apply", verbose=0).images.shape == (1, 16, 16, 3)


def test_the_cache_tells_them_apart(faces, tmp_path):
    boxes = np.tile([1.0, 1, 30, 30], (8, 1))
    found = {}
    for exif in ("ignore", "apply", "ignore", "apply"):
        images = crop_faces(faces, 16, boxes=boxes, cache=tmp_path / "cache", exif=exif, verbose=0).images
        np.testing.assert_array_equal(found.setdefault(exif, images), images)
    assert (found["ignore"] != found["apply"]).any()
    entries = [path for path in (tmp_path / "cache").iterdir() if path.is_dir()]
    assert len(entries) == 2
    # Without a choice the pixels are those of "ignore"
    crop_faces(faces, 16, boxes=boxes, cache=tmp_path / "cache", verbose=0)
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 2
