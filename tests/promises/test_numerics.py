"""Numbers at their limits: float types, coordinates of any size, shapes without extent, any number of landmarks."""

import keras
import numpy as np
import pytest
from scipy.spatial import procrustes
from sklearn.decomposition import PCA

from keras_asm import (
    ActiveShapeModel,
    ASMAssistedLoss,
    ASMProjection,
    HeadPoseLoss,
    NormalizedMeanError,
    WingLoss,
)
from keras_asm.faces import LandmarkBatches
from keras_asm.layers import LandmarkAugmentation, ShapeDecoder
from keras_asm.losses import LandmarkLikelihoodLoss, LandmarkLoss, asm_assisted_loss

# What a coordinate of size 1 may be off after some hundred operations
TOLERANCE = {"float64": 1e-12, "float32": 1e-5, "float16": 2e-2, "bfloat16": 1.5e-1}
ALIGN = [None, "procrustes"]


def faces(n, n_landmarks, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-0.4, 0.4, (n_landmarks, 2)) + 0.05 * rng.normal(size=(n, n_landmarks, 2))


def numbers(tensor):
    return keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")).astype(float)


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_missing_landmarks_in_half_precision(dtype):
    """Completing them takes linear systems, which are solved in float32."""
    shapes = faces(60, 12)
    model = ActiveShapeModel(5).fit(shapes).linear_model()
    shapes[0, 3] = np.nan
    half = [keras.ops.cast(keras.ops.convert_to_tensor(s), dtype) for s in (shapes[:8], shapes[8:16])]
    loss = asm_assisted_loss(*half, model, 0.5)
    assert keras.backend.standardize_dtype(loss.dtype) == dtype
    expected = asm_assisted_loss(*(keras.ops.cast(tensor, "float32") for tensor in half), model, 0.5)
    assert np.isfinite(numbers(expected)).any()
    np.testing.assert_allclose(numbers(loss), numbers(expected), rtol=0, atol=TOLERANCE[dtype])


@pytest.mark.backend
@pytest.mark.parametrize("align", ALIGN)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_float_type(dtype, align):
    """Of a tensor of this type, the projection and the loss are NumPy's in float64, to the type's own rounding."""
    if dtype == "float64" and keras.config.backend() == "jax":
        pytest.skip("JAX has no float64 unless it is switched on for the whole process")
    shapes = faces(60, 12)
    asm = ActiveShapeModel(5, align=align).fit(shapes)
    true, predicted = (
        keras.ops.cast(keras.ops.convert_to_tensor(s), dtype) for s in (shapes[:8], shapes[8:16])
    )
    seen = [
        keras.ops.convert_to_numpy(keras.ops.cast(t, "float64" if dtype == "float64" else "float32"))
        for t in (true, predicted)
    ]
    G, P = (values.astype(float) for values in seen)  # what rounding has left of them
    model, tolerance = asm.linear_model(), TOLERANCE[dtype]
    if dtype == "float64" and keras.config.backend() == "torch":
        tolerance = TOLERANCE["float32"]  # there, `keras.ops.minimum` and `matmul` give float32 for float64
    projected = keras.ops.convert_to_numpy(
        keras.ops.cast(model.project(true, xp=keras.ops), "float64" if dtype == "float64" else "float32")
    )
    np.testing.assert_allclose(projected, asm.project(G), rtol=0, atol=tolerance)
    loss = asm_assisted_loss(true, predicted, model, 0.5)
    assert keras.backend.standardize_dtype(loss.dtype) == dtype
    expected = np.mean((G - P) ** 2, axis=-1) + 0.5 * np.mean((asm.project(G) - P) ** 2, axis=-1)
    np.testing.assert_allclose(numbers(loss), expected, rtol=0, atol=max(tolerance, 1e-7))


@pytest.mark.backend
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_outputs_cost_what_they_cost_in_float32(dtype):
    """Losses compute in `floatx`, whatever comes out of a network in mixed precision."""
    shapes = faces(40, 12).astype("float32").reshape(40, 24)
    half = keras.ops.cast(keras.ops.convert_to_tensor(shapes[20:]), dtype)
    whole = keras.ops.convert_to_numpy(keras.ops.cast(half, "float32"))
    for loss in (ASMAssistedLoss(ActiveShapeModel(4).fit(shapes)), WingLoss(), LandmarkLoss("huber")):
        np.testing.assert_allclose(float(loss(shapes[:20], half)), float(loss(shapes[:20], whole)), rtol=1e-6)


@pytest.mark.parametrize("align", ALIGN)
@pytest.mark.parametrize(
    ("scale", "offset"), [(1e-9, 0.0), (1e9, 0.0), (1.0, 1e5), (1e-3, 1e2), (1e60, 0.0), (1e-60, 0.0)]
)
def test_units_do_not_matter(align, scale, offset):
    """A shape model of shapes in other units, or elsewhere in the plane, projects as it does in the usual ones."""
    shapes = faces(60, 12)
    usual = ActiveShapeModel(5, align=align).fit(shapes).project(shapes)
    moved = scale * shapes + offset
    projected = ActiveShapeModel(5, align=align).fit(moved).project(moved)
    rounding = 1e-10 + 1e-14 * abs(offset) / scale
    np.testing.assert_allclose((projected - offset) / scale, usual, rtol=0, atol=rounding)


@pytest.mark.backend
@pytest.mark.parametrize("align", ALIGN)
def test_shapes_without_extent(align):
    """A target whose points all coincide has neither size nor rotation: loss and gradient stay finite."""
    shapes = faces(60, 12)
    loss = ASMAssistedLoss(ActiveShapeModel(5, align=align).fit(shapes), alpha=2.0)
    targets = shapes[:4].astype("float32")
    targets[1], targets[2] = 0.0, 0.25
    targets[3, 1:] = targets[3, 0]
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(24)])
    model.compile(keras.optimizers.SGD(1e-3), loss=loss)
    model.fit(np.ones((4, 3), "float32"), targets.reshape(4, 24), batch_size=4, epochs=2, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


@pytest.mark.parametrize("n_landmarks", [1, 2, 1000])
def test_any_number_of_landmarks(n_landmarks):
    shapes = faces(50, n_landmarks)
    flat = shapes.reshape(50, -1)
    asm = ActiveShapeModel(2, limit=None).fit(shapes)
    pca = PCA(2, svd_solver="full").fit(flat)
    np.testing.assert_allclose(asm.explained_variance_, pca.explained_variance_, rtol=1e-8)
    theirs = pca.inverse_transform(pca.transform(flat)).reshape(shapes.shape)
    np.testing.assert_allclose(asm.project(shapes), theirs, atol=1e-10)


def test_few_landmarks_that_are_aligned():
    with pytest.raises(ValueError, match="all landmarks coincide"):  # a point has no size
        ActiveShapeModel(align="procrustes").fit(faces(20, 1))
    with pytest.raises(ValueError, match="no variation to learn"):  # any two points are any other two
        ActiveShapeModel(align="procrustes").fit(faces(20, 2))
    triangles = faces(20, 3)
    projected = ActiveShapeModel(2, limit=None, align="procrustes").fit(triangles).project(triangles)
    for triangle, result in zip(
        triangles, projected, strict=True
    ):  # two directions are all that triangles have
        assert procrustes(triangle, result)[2] < 1e-2


@pytest.mark.backend
@pytest.mark.parametrize("n_landmarks", [1, 2, 1000])
def test_losses_of_any_number_of_landmarks(n_landmarks):
    shapes = faces(12, n_landmarks).astype("float32")
    loss = ASMAssistedLoss(ActiveShapeModel(2).fit(shapes))
    flat = shapes.reshape(12, -1)
    for true, predicted in ((flat, flat[::-1]), (shapes, shapes[::-1])):
        assert np.isfinite(float(loss(true, predicted)))
    assert float(WingLoss()(flat, flat)) == 0


def assert_like_keras(loss, batch):
    """Finite, and of the form that Keras's own loss of such a batch has: of an empty batch, an empty tensor."""
    assert tuple(loss.shape) == tuple(keras.losses.MeanSquaredError()(batch, batch).shape)
    assert np.isfinite(keras.ops.convert_to_numpy(loss)).all()


@pytest.mark.backend
@pytest.mark.parametrize("n", [0, 1])
def test_batches_of_none_and_of_one(n):
    shapes = faces(60, 68).astype("float32")
    flat = shapes.reshape(60, 136)[:n]
    poses = np.zeros((n, 3), "float32")
    for align in ALIGN:
        asm = ActiveShapeModel(4, align=align).fit(shapes)
        for form in (flat, shapes[:n]):
            assert asm.project(form).shape == form.shape
            assert asm.complete(form).shape == form.shape
        assert tuple(ASMProjection(asm)(flat).shape) == flat.shape
        assert_like_keras(ASMAssistedLoss(asm)(flat, flat + 1), flat)
    uncertain = np.concatenate([flat, flat[:, :68]], axis=1)
    for loss, prediction in (
        (WingLoss(), flat + 1),
        (LandmarkLoss("mse"), flat + 1),
        (LandmarkLikelihoodLoss(), uncertain),
    ):
        assert_like_keras(loss(flat, prediction), flat)
    assert_like_keras(HeadPoseLoss()(poses, poses + 1), flat)
    decoder = ShapeDecoder.from_landmarks(shapes)
    assert tuple(decoder(flat).shape) == flat.shape
    metric = NormalizedMeanError("300w")
    metric.update_state(shapes[:1].reshape(1, 136), shapes[:1].reshape(1, 136) + 0.1)
    before = float(metric.result())
    metric.update_state(flat[:0], flat[:0])
    assert float(metric.result()) == before > 0


def test_a_set_of_one_face():
    batches = LandmarkBatches(
        np.zeros((1, 16, 16, 3), np.uint8),
        faces(1, 68),
        batch_size=32,
        augmentation=LandmarkAugmentation(seed=0),
    )
    images, landmarks = batches[0]
    assert len(batches) == 1
    assert (tuple(images.shape), tuple(landmarks.shape)) == ((1, 16, 16, 3), (1, 136))
