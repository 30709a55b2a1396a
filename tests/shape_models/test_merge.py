"""Models of the parts of a set, merged, against one fit on the set."""

import copy
import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_asm import ActiveShapeModel
from keras_asm.shape_models import ProcrustesSums, procrustes_mean


def random_shapes(rng, n_samples=60, n_landmarks=7):
    """Polygons that vary in three directions and by noise, turned and moved a little."""
    angles = np.linspace(0, 2 * np.pi, n_landmarks, endpoint=False) + rng.normal(0, 0.2, (n_samples, 1))
    polygons = np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=-1) + 0.3 * rng.normal(
        size=(n_samples, 1, 2)
    )
    directions = rng.normal(size=(3, n_landmarks, 2))
    shapes = polygons + 0.2 * np.einsum("nk,kld->nld", rng.normal(size=(n_samples, 3)), directions)
    return shapes + 0.1 * rng.normal(size=shapes.shape)


def covariance(asm):
    scatter = (asm._basis.T * asm._variances) @ asm._basis
    assert np.isclose(np.trace(scatter), asm._total_variance, rtol=1e-12)
    return scatter


def assert_same_model(found, expected, shapes):
    assert found.n_samples_seen_ == expected.n_samples_seen_
    assert found.n_components_ == expected.n_components_
    assert found.n_landmarks_ == expected.n_landmarks_
    size = np.abs(shapes).max()
    np.testing.assert_allclose(found.mean_shape_, expected.mean_shape_, rtol=0, atol=1e-10 * size)
    np.testing.assert_allclose(covariance(found), covariance(expected), rtol=0, atol=1e-10)
    np.testing.assert_allclose(found.explained_variance_, expected.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(found.project(shapes), expected.project(shapes), rtol=0, atol=1e-9 * size)


def divided(shapes, parts, seed):
    """Shapes dealt out at random, at least two to each part."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.arange(parts).repeat(2), rng.integers(0, parts, len(shapes) - 2 * parts)])
    rng.shuffle(owner)
    return [shapes[owner == part] for part in range(parts)]


@given(
    seed=st.integers(0, 2**32 - 1),
    parts=st.integers(1, 12),
    align=st.sampled_from([None, "procrustes"]),
    offset=st.sampled_from([0.0, 1e3]),
    pairwise=st.booleans(),
)
def test_any_split_in_any_order_is_one_fit(seed, parts, align, offset, pairwise):
    shapes = random_shapes(np.random.default_rng(seed)) + offset
    whole = ActiveShapeModel(0.9, align=align).fit(shapes)
    shards = divided(shapes, parts, seed)
    reference = None
    if align:
        reference = functools.reduce(operator.add, map(ProcrustesSums.of, shards)).mean()
    models = [ActiveShapeModel(0.9, align=align).fit(shard, reference=reference) for shard in shards]
    np.random.default_rng(seed).shuffle(models)
    if pairwise:  # as a tree, from both ends
        while len(models) > 1:
            models = [models[0].merge([models[-1]]), *models[1:-1]]
        merged = models[0]
    else:
        merged = models[0].merge(iter(models[1:]))
    assert_same_model(merged, whole, shapes)


def test_counts_weigh(rng):
    """Worked by hand: points 0, 2 and 10, 10, 10, 12 on a line have the mean 44 / 6."""
    few = ActiveShapeModel(n_dims=1).fit([[0.0], [2.0]])
    many = ActiveShapeModel(n_dims=1).fit([[10.0], [10.0], [10.0], [12.0]])
    merged = few.merge([many])
    np.testing.assert_allclose(merged.mean_shape_, [44 / 6])
    np.testing.assert_allclose(merged.explained_variance_, np.var([0, 2, 10, 10, 10, 12], ddof=1))
    assert merged.n_samples_seen_ == 6


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_no_model_is_changed(rng, align):
    """A task of a map-reduce may run twice."""
    shapes = random_shapes(rng)
    reference = procrustes_mean(shapes) if align else None
    models = [ActiveShapeModel(align=align).fit(part, reference=reference) for part in np.split(shapes, 3)]
    before = copy.deepcopy([vars(model) for model in models])
    first, second = models[0].merge(models[1:]), models[0].merge(models[1:])
    np.testing.assert_equal([vars(model) for model in models], before)
    np.testing.assert_array_equal(first.components_, second.components_)


def test_saved_models_merge(rng, tmp_path):
    shapes = random_shapes(rng)
    reference = procrustes_mean(shapes)
    loaded = []
    for i, part in enumerate(np.split(shapes, 3)):
        ActiveShapeModel(align="procrustes").fit(part, reference=reference).save(tmp_path / f"{i}.npz")
        loaded.append(ActiveShapeModel.load(tmp_path / f"{i}.npz"))
    whole = ActiveShapeModel(align="procrustes").fit(shapes)
    assert_same_model(loaded[2].merge(loaded[:2]), whole, shapes)


def test_a_part_in_batches(rng):
    """A worker that reads its part in batches, and a whole number of components that a part does not have."""
    shapes = random_shapes(rng)
    reference = procrustes_mean(shapes)
    batches = ActiveShapeModel(8, align="procrustes")
    for batch in np.split(shapes[:20], 5):
        batches.partial_fit(batch, reference=reference)
    other = ActiveShapeModel(8, align="procrustes").partial_fit(shapes[20:24], reference=reference.ravel())
    assert other.n_components_ == 3
    rest = ActiveShapeModel(8, align="procrustes").fit(shapes[24:], reference=reference)
    assert_same_model(
        other.merge([batches, rest]), ActiveShapeModel(8, align="procrustes").fit(shapes), shapes
    )


@given(seed=st.integers(0, 2**32 - 1), parts=st.integers(1, 6))
def test_procrustes_sums_add_up(seed, parts):
    shapes = random_shapes(np.random.default_rng(seed))
    sums = [ProcrustesSums.of(part.reshape(len(part), -1)) for part in divided(shapes, parts, seed)]
    total = functools.reduce(operator.add, sums)
    assert total.n_samples == 60
    np.testing.assert_allclose(total.mean(), procrustes_mean(shapes), rtol=0, atol=1e-11)


def test_a_reference_is_centred_and_kept(rng):
    shapes = random_shapes(rng)
    reference = procrustes_mean(shapes)
    moved = ActiveShapeModel(align="procrustes").fit(shapes, reference=reference + 5)
    np.testing.assert_allclose(moved.reference_shape_, reference.ravel(), atol=1e-14)
    with pytest.raises(ValueError, match="Received: another than that of the earlier batches"):
        moved.partial_fit(shapes, reference=2 * reference)


def test_refusals(rng):
    shapes = random_shapes(rng)
    plain = ActiveShapeModel().fit(shapes)
    aligned = ActiveShapeModel(align="procrustes").fit(shapes)
    with pytest.raises(ValueError, match=r"align=None and align='procrustes'$"):
        plain.merge([aligned])
    with pytest.raises(ValueError, match="with different references"):
        aligned.merge([ActiveShapeModel(align="procrustes").fit(shapes[:30])])
    with pytest.raises(ValueError, match="Received: n_features_in_=14, n_dims=2 and n_features_in_=12"):
        plain.merge([ActiveShapeModel().fit(shapes[:, :6])])
    with pytest.raises(ValueError, match="n_dims=1"):
        plain.merge([ActiveShapeModel(n_dims=1).fit(shapes.reshape(60, 14))])
    with pytest.raises(ValueError, match="with align=None"):
        ActiveShapeModel().fit(shapes, reference=procrustes_mean(shapes))
    with pytest.raises(ValueError, match=r"\(7, 2\) or \(14,\). Received: shape \(6, 2\)"):
        ActiveShapeModel(align="procrustes").fit(shapes, reference=shapes[0, :6])
    with pytest.raises(ValueError, match="not all of it finite"):
        ActiveShapeModel(align="procrustes").fit(shapes, reference=np.full((7, 2), np.nan))
    shapes[3, 0] = np.nan
    with pytest.raises(ValueError, match="with align=None"):
        ActiveShapeModel().fit(shapes, reference=procrustes_mean(shapes[:3]))
    with pytest.raises(ValueError, match="Received: 2 NaN or infinite values of 840"):
        ProcrustesSums.of(shapes)
