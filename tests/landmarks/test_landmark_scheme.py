import copy
import json
import pickle

import numpy as np
import pytest

from keras_asm.landmarks import (
    SCHEMES,
    LandmarkScheme,
    as_points,
    get_scheme,
    mirror_landmarks,
    serialize_scheme,
)

TRIANGLE = LandmarkScheme(
    "triangle",
    3,
    flip_pairs=((0, 1),),
    groups={"base": (0, 1), "top": (2,)},
    lines=(((0, 1, 2), True),),
)


@pytest.mark.parametrize("scheme", [*SCHEMES.values(), TRIANGLE], ids=lambda s: s.name)
def test_survives_json_pickle_and_deep_copy(scheme):
    assert LandmarkScheme.from_config(json.loads(json.dumps(scheme.get_config()))) == scheme
    assert pickle.loads(pickle.dumps(scheme)) == scheme
    assert copy.deepcopy(scheme) == scheme
    assert hash(copy.deepcopy(scheme)) == hash(scheme)
    assert get_scheme(json.loads(json.dumps(serialize_scheme(scheme)))) == scheme


def test_cannot_be_changed():
    with pytest.raises(AttributeError):
        TRIANGLE.name = "other"
    with pytest.raises(TypeError):
        TRIANGLE.groups["base"] = (0,)
    with pytest.raises(ValueError, match="read-only"):
        TRIANGLE.flip_permutation[0] = 2


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_landmarks": 0}, "n_landmarks=0"),
        ({"n_landmarks": 3, "eye_corners": (0, 3)}, r"indices from 0 to 2. Received: \(0, 3\)"),
        ({"n_landmarks": 3, "eye_corners": (1, 1)}, "two different"),
        ({"n_landmarks": 3, "pupils": ((0,),)}, "two different"),
        ({"n_landmarks": 3, "flip_pairs": ((0, 1), (1, 2))}, r"Received: \[1\] more than once"),
        ({"n_landmarks": 3, "groups": {"nose": ()}}, "group 'nose'"),
        ({"n_landmarks": 3, "lines": (((-1, 0), False),)}, "lines"),
    ],
)
def test_bad_indices_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        LandmarkScheme("bad", **kwargs)


def test_flip_permutation_by_hand():
    np.testing.assert_array_equal(TRIANGLE.flip_permutation, [1, 0, 2])
    shape = as_points([[-1.0, 0.0], [2.0, 0.0], [0.5, 3.0]])
    np.testing.assert_array_equal((shape * [-1, 1])[TRIANGLE.flip_permutation], [[-2, 0], [1, 0], [-0.5, 3]])


def test_eye_corners_and_pupils_are_pairs_by_definition():
    eyes = LandmarkScheme("eyes", 2, eye_corners=(0, 1))
    assert eyes.flip_permutation.tolist() == [1, 0]
    assert LandmarkScheme.from_config(eyes.get_config()) == eyes
    both = LandmarkScheme("eyes", 5, eye_corners=(0, 3), pupils=((1,), (2,)), flip_pairs=((3, 0),))
    assert both.flip_permutation.tolist() == [3, 2, 1, 0, 4]
    # The flip test of a perfect model keeps what it predicts
    points = np.array([[-0.25, 0.0], [0.25, 0.0]])
    np.testing.assert_array_equal(mirror_landmarks(points, eyes.flip_permutation), points)


@pytest.mark.parametrize(
    "values",
    [
        {"eye_corners": (0, 1), "flip_pairs": ((0, 2),)},
        {"pupils": ((0,), (1,)), "flip_pairs": ((1, 3),)},
        {"pupils": ((0, 1), (2, 3))},
        {"pupils": ((0, 1), (2, 3)), "flip_pairs": ((0, 2),)},
    ],
)
def test_pairs_that_contradict_the_eyes_are_refused(values):
    with pytest.raises(ValueError, match=r"must pair .* in landmark scheme 'eyes'.*Received: flip_pairs="):
        LandmarkScheme("eyes", 4, **values)
