"""How noisy shapes are, against planted noise, least squares written out, and symmetries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm import ActiveShapeModel
from keras_asm.landmarks import normalizing_distance

N_LANDMARKS = 20
N_DIRECTIONS = 3
TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


def shapes_of(rng, n_samples=400, n_dims=2, rest=0.01):
    """A curve that varies in three directions, and a little in all others."""
    angles = np.linspace(0, 2 * np.pi, N_LANDMARKS, endpoint=False)
    curve = np.stack([np.cos(angles), 0.8 * np.sin(angles), np.sin(2 * angles)][:n_dims], axis=-1)
    directions = np.random.default_rng(1).normal(size=(N_DIRECTIONS, N_LANDMARKS, n_dims))
    shapes = curve + 0.1 * np.einsum("nk,kld->nld", rng.normal(size=(n_samples, 3)), directions)
    return shapes + rest * rng.normal(size=shapes.shape)


def drawn_from(asm, rng, n_samples=400):
    """Shapes of the distribution that the model stands for, probabilistic PCA."""
    total = asm.explained_variance_[0] / asm.explained_variance_ratio_[0]
    rest = (total - asm.explained_variance_.sum()) / (len(asm.mean_shape_) - asm.n_components_)
    deviations = np.sqrt(asm.explained_variance_ - rest)
    shapes = asm.mean_shape_ + (deviations * rng.normal(size=(n_samples, N_DIRECTIONS))) @ asm.components_
    return (shapes + np.sqrt(rest) * rng.normal(size=shapes.shape)).reshape(n_samples, N_LANDMARKS, -1)


def with_gaps(shapes, rng, fraction=0.3):
    return np.where(rng.random(shapes.shape[:2])[..., None] < fraction, np.nan, shapes)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(("align", "n_dims"), [(None, 2), (None, 3), ("procrustes", 2)])
@pytest.mark.parametrize("noise", [0.03, 0.3])
def test_finds_the_noise_that_was_added(rng, align, n_dims, noise, gaps):
    asm = ActiveShapeModel(N_DIRECTIONS, align=align, n_dims=n_dims).fit(shapes_of(rng, n_dims=n_dims))
    noisy = drawn_from(asm, rng)
    noisy = noisy + noise * rng.normal(size=noisy.shape)
    if align is not None:  # of any size, turned and moved, with the noise as much larger
        noisy = 5 * noisy @ TURN + [30, -70]
        noise = 5 * noise
    found = asm.estimate_noise(with_gaps(noisy, rng) if gaps else noisy)
    assert found.shape == (len(noisy),)
    assert np.sqrt(np.mean(found**2)) == pytest.approx(noise, rel=0.03)
    free = n_dims * N_LANDMARKS * (0.7 if gaps else 1) - N_DIRECTIONS - (0 if align is None else 4)
    assert found.std() == pytest.approx(noise / np.sqrt(2 * free), rel=0.5)


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_is_the_residual_of_least_squares(rng, align):
    """By `lstsq`; the shape's turn is taken from NumPy's singular values, as Kabsch found it."""
    asm = ActiveShapeModel(N_DIRECTIONS, align=align).fit(shapes_of(rng))
    total = asm.explained_variance_[0] / asm.explained_variance_ratio_[0]
    rest = (total - asm.explained_variance_.sum()) / (2 * N_LANDMARKS - N_DIRECTIONS)
    shapes = 3 * with_gaps(shapes_of(rng, 10) + 0.2 * rng.normal(size=(10, N_LANDMARKS, 2)), rng)
    for shape, found in zip(shapes, asm.estimate_noise(shapes), strict=True):
        there = ~np.isnan(shape)
        mean, z = asm.mean_shape_.reshape(-1, 2)[there[:, 0]], shape[there[:, 0]]
        basis, square = asm.components_[:, there.ravel()].reshape(N_DIRECTIONS, -1, 2), 1.0
        target = (z - mean).ravel()
        if align is not None:
            m, z = mean - mean.mean(axis=0), z - z.mean(axis=0)
            u, s, vt = np.linalg.svd(m.T @ z)
            turn = u @ np.diag([1, np.linalg.det(u @ vt)]) @ vt
            square = ((s * [1, np.linalg.det(u @ vt)]).sum() / (m**2).sum()) ** 2
            similar = [m, m @ [[0, 1], [-1, 0]], np.full_like(m, [1, 0]), np.full_like(m, [0, 1])]
            basis = np.stack([*similar, *basis]) @ turn
            target = z.ravel()
        columns = basis.reshape(len(basis), -1).T
        residual = target - columns @ np.linalg.lstsq(columns, target)[0]
        expected = (residual**2).sum() / (len(target) - len(basis)) - square * rest
        assert found**2 == pytest.approx(expected, rel=1e-9)


def test_a_hand_worked_value():
    """Four points on a line that only shift: after the best shift, 1, -1, -1 and 1 are left in x, 2 numbers fitted."""
    line = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    shifts = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    asm = ActiveShapeModel(2).fit(line + shifts[:, None])
    bent = line + np.array([[1, 0], [-1, 0], [-1, 0], [1, 0]])
    assert asm.estimate_noise(bent) == pytest.approx(np.sqrt(4 / (8 - 2)))
    np.testing.assert_allclose(asm.estimate_noise(line + 3 * shifts[:, None]), 0, atol=1e-7)


@given(st.floats(-np.pi, np.pi), st.floats(0.01, 100.0), st.floats(-5, 5))
def test_has_the_units_of_the_shapes_and_does_not_turn(angle, size, shift):
    rng = np.random.default_rng(0)
    asm = ActiveShapeModel(N_DIRECTIONS, align="procrustes").fit(shapes_of(rng))
    noisy = shapes_of(rng, 5, rest=0.2)
    turn = size * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = asm.estimate_noise(noisy @ turn + shift * size)
    np.testing.assert_allclose(found, size * asm.estimate_noise(noisy), rtol=1e-6)


def test_shapes_of_the_model_have_none(rng):
    """Those that it was fitted to are as far from it as it says, so that about half of them have less."""
    shapes = shapes_of(rng)
    found = ActiveShapeModel(N_DIRECTIONS).fit(shapes).estimate_noise(shapes)
    assert 0.3 < (found == 0).mean() < 0.7
    assert found.max() < 0.01
    clean = ActiveShapeModel(N_DIRECTIONS).fit(shapes_of(rng, rest=0.0))
    np.testing.assert_allclose(clean.estimate_noise(clean.sample(5)), 0, atol=1e-7)


def test_cleans_as_well_as_the_true_scale(rng):
    asm = ActiveShapeModel(N_DIRECTIONS, align="procrustes").fit(shapes_of(rng))
    shapes, scales = drawn_from(asm, rng), rng.choice([0.03, 0.3], size=(400, 1))
    noisy = shapes + scales[..., None] * rng.normal(size=shapes.shape)
    known, estimated, one = (
        np.linalg.norm(asm.posterior_mean(noisy, s) - shapes, axis=-1).mean()
        for s in (scales, asm.estimate_noise(noisy)[:, None], 0.3)
    )
    assert estimated == pytest.approx(known, rel=0.03)
    assert estimated < one


def test_forms(rng):
    asm = ActiveShapeModel(N_DIRECTIONS).fit(shapes_of(rng))
    noisy = shapes_of(rng, 6, rest=0.2)
    found = asm.estimate_noise(noisy)
    np.testing.assert_allclose(asm.estimate_noise(noisy.reshape(6, -1)), found, rtol=1e-12)
    np.testing.assert_allclose(
        asm.estimate_noise(noisy.reshape(2, 3, -1, 2)), found.reshape(2, 3), rtol=1e-12
    )
    assert asm.estimate_noise(noisy[0]).shape == ()
    assert asm.estimate_noise(noisy[:0]).shape == (0,)
    single = asm.estimate_noise(noisy.astype("float32"))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, found, rtol=1e-5)


@pytest.mark.parametrize(("align", "needed"), [(None, 3), ("procrustes", 7)])
def test_too_few_coordinates(rng, align, needed):
    asm = ActiveShapeModel(N_DIRECTIONS, align=align).fit(shapes_of(rng))
    shape = shapes_of(rng, 1)
    shape[:, needed // 2 :] = np.nan
    with pytest.raises(
        ValueError, match=f"more coordinates than the {needed} numbers.* Received: {needed - 1} in"
    ):
        asm.estimate_noise(shape)
    shape[:, needed // 2] = 0.0
    assert np.isfinite(asm.estimate_noise(shape)).all()


def test_all_components_leave_nothing_to_read_it_from(rng):
    asm = ActiveShapeModel(None).fit(shapes_of(rng))
    with pytest.raises(ValueError, match="fewer components leave more"):
        asm.estimate_noise(shapes_of(rng, 2))
    with pytest.raises(ValueError, match="or NaN where a point is missing. Received: 2 infinite"):
        asm.estimate_noise(
            np.full((N_LANDMARKS, 2), np.where(np.arange(N_LANDMARKS)[:, None] == 0, np.inf, 0))
        )


@pytest.mark.real_data
def test_good_annotations_of_real_faces(drawn_shape_model, faces_300w, rng):
    """Drawn shapes leave 1.5 % of 300W unexplained; where a tenth is careless, exactly those stand out."""
    faces = faces_300w[::8]
    eyes = normalizing_distance(faces, "300w")
    assert np.median(drawn_shape_model.estimate_noise(faces) / eyes) == pytest.approx(0.0148, abs=5e-4)
    careless = rng.random(len(faces)) < 0.1
    noise = np.where(careless, 0.15, 0.01) * eyes
    found = (
        drawn_shape_model.estimate_noise(faces + noise[:, None, None] * rng.normal(size=faces.shape)) / eyes
    )
    assert found[careless].min() > found[~careless].max()


def one_point_moved(faces, eyes, rng, by):
    angles, point = rng.uniform(0, 2 * np.pi, len(faces)), rng.integers(0, 68, len(faces))
    step = by * eyes[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    moved = faces.copy()
    moved[np.arange(len(faces)), point] += step
    return moved


def reordered(faces, points, order):
    wrong = faces.copy()
    wrong[:, points] = faces[:, order]
    return wrong


JAW, MOUTH = np.arange(17), np.arange(48, 60)
MISTAKES = {
    "one landmark off by 20 %": (lambda *args: one_point_moved(*args, 0.2), 0.07, 0.53),
    "one landmark off by 50 %": (lambda *args: one_point_moved(*args, 0.5), 0.91, 0.97),
    "outer eye corners exchanged": (lambda faces, *_: reordered(faces, [36, 45], [45, 36]), 1.0, 0.03),
    "lips in reverse order": (lambda faces, *_: reordered(faces, MOUTH, MOUTH[::-1]), 0.82, 0.29),
    "jaw in reverse order": (lambda faces, *_: reordered(faces, JAW, JAW[::-1]), 0.95, 0.18),
}


@pytest.mark.real_data
@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_annotations_stand_out(drawn_shape_model, faces_300w, rng, mistake):
    """What the guide on data says: how many of the faulty 3 % are among as many of the largest estimates."""
    make, by_drawn, by_own = MISTAKES[mistake]
    eyes = normalizing_distance(faces_300w, "300w")
    faulty = rng.permutation(len(faces_300w))[:94]
    faces = faces_300w.copy()
    faces[faulty] = make(faces[faulty], eyes[faulty], rng)
    own = ActiveShapeModel(n_components=0.98, align="procrustes").fit(faces)
    for asm, expected in ((drawn_shape_model, by_drawn), (own, by_own)):
        order = (asm.estimate_noise(faces) / normalizing_distance(faces, "300w")).argsort()[::-1]
        assert np.isin(order[:94], faulty).mean() == pytest.approx(expected, abs=0.02)
