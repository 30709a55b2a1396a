"""The shape model against scikit-learn, menpo, a loop over samples, the authors' objects and closed forms."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import procrustes as scipy_procrustes
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from keras_asm import ActiveShapeModel, LinearShapeModel
from keras_asm.landmarks import LandmarkScheme
from keras_asm.shape_models import active_shape_model, procrustes_mean


def random_shapes(rng, n_samples=60, n_landmarks=7, noise=0.1):
    """A polygon that varies in three directions and by noise, each copy moved, scaled and rotated a little."""
    angles = np.linspace(0, 2 * np.pi, n_landmarks, endpoint=False)
    polygon = np.stack([np.cos(angles), 0.8 * np.sin(angles)], axis=-1)
    directions = rng.normal(size=(3, n_landmarks, 2))
    shapes = polygon + 0.2 * np.einsum("nk,kld->nld", rng.normal(size=(n_samples, 3)), directions)
    return shapes + noise * rng.normal(size=shapes.shape)


def similar(shapes, rng):
    """Each shape under a similarity of its own."""
    angle, scale = rng.uniform(-np.pi, np.pi, len(shapes)), rng.uniform(0.5, 2, len(shapes))
    rotation = np.moveaxis(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), -1, 0)
    return scale[:, None, None] * shapes @ np.swapaxes(rotation, 1, 2) + rng.normal(size=(len(shapes), 1, 2))


def equations_in_a_loop(asm, shapes):
    """Eqs. 1-4 as the paper prints them: one shape, one component, one coordinate at a time."""
    projected = []
    for shape in shapes.reshape(len(shapes), -1).astype(np.float64):
        result = [float(m) for m in asm.mean_shape_]
        for component, eigenvalue in zip(asm.components_, asm.explained_variance_, strict=True):
            b = sum(
                float(c) * (float(s) - float(m))
                for c, s, m in zip(component, shape, asm.mean_shape_, strict=True)
            )
            bound = asm.limit * float(eigenvalue) ** 0.5
            b = min(max(b, -bound), bound)
            result = [r + b * float(c) for r, c in zip(result, component, strict=True)]
        projected.append(result)
    return np.array(projected).reshape(shapes.shape)


@pytest.mark.parametrize("n_components", [0.5, 0.8, 0.9, 0.95, 0.99, 1, 5, None])
def test_agrees_with_scikit_learns_pca(rng, n_components):
    X = random_shapes(rng).reshape(60, -1)
    asm = ActiveShapeModel(n_components, limit=None).fit(X)
    pca = PCA(n_components, svd_solver="full").fit(X)
    assert asm.n_components_ == pca.n_components_
    np.testing.assert_allclose(asm.mean_shape_, pca.mean_, atol=1e-14)
    np.testing.assert_allclose(asm.explained_variance_, pca.explained_variance_, rtol=1e-10)
    np.testing.assert_allclose(asm.explained_variance_ratio_, pca.explained_variance_ratio_, rtol=1e-10)
    np.testing.assert_allclose(
        np.abs(asm.components_ @ pca.components_.T), np.eye(asm.n_components_), atol=1e-9
    )
    np.testing.assert_allclose(asm.project(X), pca.inverse_transform(pca.transform(X)), atol=1e-12)
    np.testing.assert_allclose(asm.inverse_transform(asm.transform(X)), asm.project(X), atol=1e-12)


@pytest.mark.parametrize("limit", [0.5, 1.0, 3.0])
def test_agrees_with_the_equations_in_a_loop(rng, limit):
    shapes = random_shapes(rng)
    asm = ActiveShapeModel(0.9, limit=limit).fit(shapes)
    np.testing.assert_allclose(asm.project(3 * shapes), equations_in_a_loop(asm, 3 * shapes), atol=1e-12)


def test_limit_worked_by_hand():
    # Four shapes of one landmark: mean (0, 0), covariance diag(32, 2) / 3, so sqrt(lambda) = 3.266 and 0.816
    X = np.array([[4.0, 0], [-4, 0], [0, 1], [0, -1]])
    asm = ActiveShapeModel(n_components=1, limit=0.5).fit(X)
    np.testing.assert_allclose(asm.components_, [[1, 0]], atol=1e-15)
    np.testing.assert_allclose(asm.explained_variance_, [32 / 3])
    np.testing.assert_allclose(asm.project([[4.0, 1.0]]), [[0.5 * np.sqrt(32 / 3), 0]], atol=1e-15)
    np.testing.assert_allclose(asm.constrain([[9.0], [-9.0], [1.0]]), [[1.6329931], [-1.6329931], [1.0]])
    np.testing.assert_allclose(asm.score_samples([[4.0, 1.0]]), [-0.5 * 16 / (32 / 3)])


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_blocks_change_nothing(rng, monkeypatch, align):
    """Shapes are computed with in blocks; neither how many there are in one nor what is left over matters."""
    shapes = random_shapes(rng)
    in_one = ActiveShapeModel(4, align=align).fit(shapes)
    monkeypatch.setattr(active_shape_model, "_IN_CACHE", 3)
    monkeypatch.setattr(active_shape_model, "_AT_ONCE", 7)
    in_many = ActiveShapeModel(4, align=align).fit(shapes)
    np.testing.assert_allclose(in_many.explained_variance_, in_one.explained_variance_, rtol=1e-12)
    np.testing.assert_allclose(in_many.components_, in_one.components_, atol=1e-12)
    np.testing.assert_allclose(in_many.project(shapes), in_one.project(shapes), atol=1e-13)
    np.testing.assert_allclose(
        in_many.project(shapes[:1, None]), in_one.project(shapes[:1, None]), atol=1e-13
    )


def test_signs_do_not_depend_on_the_order_of_samples(rng):
    shapes = random_shapes(rng)
    first, second = (ActiveShapeModel(3).fit(s).components_ for s in (shapes, shapes[::-1]))
    np.testing.assert_allclose(first, second, atol=1e-10)
    assert (np.take_along_axis(first, np.abs(first).argmax(1)[:, None], 1) > 0).all()


@pytest.mark.parametrize("align", [None, "procrustes"])
def test_flat_and_paired_shapes_and_single_ones(rng, align):
    shapes = random_shapes(rng)
    paired = ActiveShapeModel(0.9, align=align).fit(shapes)
    flat = ActiveShapeModel(0.9, align=align).fit(shapes.reshape(60, 14))
    assert paired.n_landmarks_ == flat.n_landmarks_ == 7
    np.testing.assert_array_equal(paired.components_, flat.components_)
    expected = paired.project(shapes)
    np.testing.assert_array_equal(flat.project(shapes.reshape(60, 14)), expected.reshape(60, 14))
    np.testing.assert_allclose(paired.project(shapes[3]), expected[3], atol=1e-14)
    np.testing.assert_allclose(paired.project(shapes.reshape(5, 4, 3, 7, 2)), expected.reshape(5, 4, 3, 7, 2))
    np.testing.assert_allclose(paired.project(shapes.reshape(5, 12, 14)), expected.reshape(5, 12, 14))
    assert paired.inverse_transform(paired.transform(shapes)).shape == (60, 7, 2)
    assert flat.sample(4, random_state=0).shape == (4, 14)
    assert paired.project(shapes[:0]).shape == (0, 7, 2)


def test_types(rng):
    shapes = random_shapes(rng).astype(np.float32)
    asm = ActiveShapeModel(0.9).fit(shapes)
    assert asm.components_.dtype == np.float64
    assert asm.project(shapes).dtype == asm.transform(shapes).dtype == np.float32
    assert asm.project(shapes.astype(int)).dtype == np.float64
    assert asm.project(shapes.tolist()).shape == shapes.shape


def test_three_dimensional_landmarks(rng):
    shapes = rng.normal(size=(40, 5, 3))
    asm = ActiveShapeModel(6, limit=None, n_dims=3).fit(shapes)
    pca = PCA(6).fit(shapes.reshape(40, 15))
    np.testing.assert_allclose(
        asm.project(shapes).reshape(40, 15),
        pca.inverse_transform(pca.transform(shapes.reshape(40, 15))),
        atol=1e-10,
    )


@given(seed=st.integers(0, 2**32 - 1), limit=st.sampled_from([None, 0.3, 1.0, 3.0]))
def test_projection_is_idempotent_and_within_limits(seed, limit):
    rng = np.random.default_rng(seed)
    shapes = random_shapes(rng, n_samples=30)
    asm = ActiveShapeModel(0.9, limit=limit).fit(shapes)
    strange = 5 * random_shapes(rng, n_samples=10)
    projected = asm.project(strange)
    np.testing.assert_allclose(asm.project(projected), projected, atol=1e-10)
    if limit is not None:
        deviations = asm.transform(projected) / np.sqrt(asm.explained_variance_)
        assert np.abs(deviations).max() <= limit * (1 + 1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_aligned_projection_commutes_with_similarities(seed):
    rng = np.random.default_rng(seed)
    shapes = random_shapes(rng, n_samples=30)
    asm = ActiveShapeModel(0.9, align="procrustes").fit(shapes)
    angle, scale, shift = rng.uniform(-np.pi, np.pi), rng.uniform(0.1, 10), rng.normal(size=2)
    matrix = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(
        asm.project(shapes @ matrix.T + shift),
        asm.project(shapes) @ matrix.T + shift,
        atol=1e-9 * (1 + scale),
    )


@given(seed=st.integers(0, 2**32 - 1), cuts=st.lists(st.integers(2, 58), max_size=4, unique=True))
def test_partial_fit_is_one_fit(seed, cuts):
    shapes = random_shapes(np.random.default_rng(seed))
    whole = ActiveShapeModel(0.9).fit(shapes)
    parts = ActiveShapeModel(0.9)
    for part in np.split(shapes, sorted(cuts)):
        parts.partial_fit(part)
    assert parts.n_samples_seen_ == 60
    np.testing.assert_allclose(parts.mean_shape_, whole.mean_shape_, atol=1e-12)
    np.testing.assert_allclose(parts.explained_variance_, whole.explained_variance_, rtol=1e-8)
    np.testing.assert_allclose(parts.project(shapes), whole.project(shapes), atol=1e-8)


def test_partial_fit_one_shape_at_a_time(rng):
    shapes = random_shapes(rng)
    asm = ActiveShapeModel(5).partial_fit(shapes[:2])
    assert asm.n_components_ == 1  # all that two shapes give
    for shape in shapes[2:]:
        asm.partial_fit(shape[None])
    np.testing.assert_allclose(
        asm.project(shapes), ActiveShapeModel(5).fit(shapes).project(shapes), atol=1e-9
    )


def test_partial_fit_aligned_to_the_first_batch(rng):
    shapes = random_shapes(rng, n_samples=400)
    whole = ActiveShapeModel(4, align="procrustes").fit(shapes)
    parts = ActiveShapeModel(4, align="procrustes")
    for part in np.split(shapes, 4):
        parts.partial_fit(part)
    # not the same, as the reference is that of 100 shapes, but close
    error = np.abs(parts.project(shapes) - whole.project(shapes)).mean()
    assert error < 0.03 * np.abs(whole.project(shapes) - shapes).mean() + 0.01


def test_partial_fit_takes_constant_memory():
    script = (
        "import resource, numpy as np\n"
        "from keras_asm.shape_models import ActiveShapeModel\n"
        "rng = np.random.default_rng(0)\n"
        "asm, peaks = ActiveShapeModel(0.9), []\n"
        "for i in range(60):\n"
        "    asm.partial_fit(rng.normal(size=(2000, 68, 2)))\n"
        "    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
        "print(asm.n_samples_seen_, peaks[-1] - peaks[9])\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    seen, growth = map(int, run.stdout.split())
    assert seen == 120_000
    # The 50 later batches hold 109 MB of coordinates
    assert growth < 8_000, f"{growth} KiB more"


def test_procrustes_mean_is_menpos():
    menpo_transform = pytest.importorskip("menpo.transform", reason="menpo is not installed")
    from menpo.shape import PointCloud

    shapes = similar(random_shapes(np.random.default_rng(1), noise=0.05), np.random.default_rng(2))
    analysis = menpo_transform.GeneralizedProcrustesAnalysis([PointCloud(s) for s in shapes])
    theirs = analysis.mean_aligned_shape().points
    _, _, disparity = scipy_procrustes(theirs, procrustes_mean(shapes))
    assert disparity < 1e-3  # theirs iterates to a tolerance and weighs shapes by size


def test_projection_is_menpos(rng):
    menpo_model = pytest.importorskip("menpo.model", reason="menpo is not installed")
    X = random_shapes(rng).reshape(60, -1)
    theirs = menpo_model.PCAVectorModel(X.copy(), max_n_components=4)
    asm = ActiveShapeModel(4, limit=None).fit(X)
    np.testing.assert_allclose(asm.explained_variance_, theirs.eigenvalues, rtol=1e-8)
    strange = 2 * random_shapes(rng).reshape(60, -1)
    np.testing.assert_allclose(asm.project(strange), [theirs.reconstruct(x) for x in strange], atol=1e-8)


def test_procrustes_mean_minimises_the_disparity(rng):
    """The full Procrustes mean minimises the sum of SciPy's disparities to all shapes."""
    shapes = similar(random_shapes(rng, noise=0.05), rng)
    mean = procrustes_mean(shapes)

    def disparity(candidate):
        return sum(scipy_procrustes(shape, candidate)[2] for shape in shapes)

    best = disparity(mean)
    for _ in range(20):
        assert disparity(mean + 0.01 * rng.normal(size=mean.shape)) > best


def test_procrustes_mean_is_upright_and_in_the_shapes_units(rng):
    shapes = 100 * random_shapes(rng, noise=0.01) + 500
    mean = procrustes_mean(shapes)
    plain = shapes.mean(axis=0) - shapes.mean(axis=(0, 1))
    angle = np.angle(np.vdot(mean[:, 0] + 1j * mean[:, 1], plain[:, 0] + 1j * plain[:, 1]))
    assert abs(np.rad2deg(angle)) < 5
    assert 0.9 < np.linalg.norm(mean) / np.linalg.norm(plain) < 1.2


def test_aligned_projection_is_a_projection_of_aligned_shapes(rng):
    """Against linear algebra: align each shape to the reference by its SVD, project by scikit-learn's PCA, and back."""
    shapes = random_shapes(rng)
    asm = ActiveShapeModel(3, limit=None, align="procrustes").fit(shapes)
    reference = asm.reference_shape_.reshape(-1, 2)
    aligned, back = [], []
    for shape in shapes:
        centred = shape - shape.mean(0)
        u, _, vt = np.linalg.svd(centred.T @ reference)
        rotation = u @ np.diag([1, np.sign(np.linalg.det(u @ vt))]) @ vt
        scale = np.linalg.norm(reference) / np.linalg.norm(centred)
        aligned.append((scale * centred @ rotation).ravel())
        back.append((rotation, scale, shape.mean(0)))
    pca = PCA(3).fit(aligned)
    reconstructed = pca.inverse_transform(pca.transform(aligned)).reshape(-1, 7, 2)
    expected = [
        r / scale @ rotation.T + mean for r, (rotation, scale, mean) in zip(reconstructed, back, strict=True)
    ]
    np.testing.assert_allclose(asm.project(shapes), expected, atol=1e-10)


@pytest.mark.parametrize("align", [None, "procrustes"])
@pytest.mark.parametrize("limit", [0.5, 2.0, None])
def test_samples_are_truncated_normal(rng, align, limit):
    asm = ActiveShapeModel(3, limit=limit, align=align).fit(random_shapes(rng))
    samples = asm.sample(4000, random_state=0)
    np.testing.assert_array_equal(samples, asm.sample(4000, random_state=0))
    flat = samples.reshape(4000, -1)
    deviations = (flat - asm.mean_shape_) @ asm.components_.T / np.sqrt(asm.explained_variance_)
    if limit is not None:
        assert np.abs(deviations).max() <= limit * (1 + 1e-9)
    from scipy.stats import kstest, truncnorm

    bound = np.inf if limit is None else limit
    for component in deviations.T:
        assert kstest(component, truncnorm(-bound, bound).cdf).pvalue > 1e-4


def test_score_samples_orders_shapes_by_plausibility(rng):
    shapes = random_shapes(rng)
    asm = ActiveShapeModel(3).fit(shapes)
    mean = asm.mean_shape_
    one_sd, three_sd = (mean + k * np.sqrt(asm.explained_variance_[0]) * asm.components_[0] for k in (1, 3))
    np.testing.assert_allclose(
        asm.score_samples(np.stack([mean, one_sd, three_sd])), [0, -0.5, -4.5], atol=1e-9
    )


@pytest.mark.parametrize(
    "parameters",
    [{}, {"n_components": 4}, {"n_components": None}, {"limit": None}, {"align": "procrustes", "limit": 1.5}],
)
def test_save_and_load(tmp_path, rng, parameters):
    shapes = random_shapes(rng)
    asm = ActiveShapeModel(**parameters).fit(shapes)
    asm.save(tmp_path / "shape.npz")
    loaded = ActiveShapeModel.load(tmp_path / "shape.npz")
    assert loaded.get_params() == asm.get_params()
    np.testing.assert_array_equal(loaded.project(shapes), asm.project(shapes))
    np.testing.assert_array_equal(loaded.sample(3, random_state=1), asm.sample(3, random_state=1))
    assert loaded.score_samples(shapes).tolist() == asm.score_samples(shapes).tolist()
    more = random_shapes(rng)
    np.testing.assert_array_equal(loaded.partial_fit(more).components_, asm.partial_fit(more).components_)


def test_linear_model_survives_json(rng):
    import json

    shapes = random_shapes(rng)
    for align in (None, "procrustes"):
        model = ActiveShapeModel(0.9, align=align).fit(shapes).linear_model()
        again = LinearShapeModel.from_config(json.loads(json.dumps(model.get_config())))
        np.testing.assert_array_equal(again.project(shapes), model.project(shapes))


def test_number_of_components_for_an_accuracy(rng):
    X = random_shapes(rng).reshape(60, -1)
    model = ActiveShapeModel(None).fit(X).linear_model()
    for accuracy in (0.5, 0.9, 0.99, 0.9999):
        assert model.n_components_for(accuracy) == PCA(accuracy, svd_solver="full").fit(X).n_components_
    assert model.n_components_for(1.0) == model.n_components
    with pytest.raises(ValueError, match=r"keeps 0\.\d+ of the variance.*Received: accuracy=0.99"):
        model.truncate(2).n_components_for(0.99)


class TestReport:
    def test_worked_by_hand(self):
        # Two landmarks; the second moves along x by +-2 and along y by +-1 in turn
        shapes = np.array([[0, 0, 10, 2], [0, 0, 14, 2], [0, 0, 12, 1], [0, 0, 12, 3]], float)
        asm = ActiveShapeModel(n_components=0.5).fit(shapes)
        report = asm.reconstruction_report(shapes, accuracies=(0.5, 1.0))
        half, full = report.rows
        assert (half.n_components, full.n_components) == (1, 2)
        # Keeping x alone, the last two shapes lose 1 pixel of y at one of two landmarks
        boxes = np.sqrt([12 * 1, 12 * 3])
        assert half.mean_error == pytest.approx(np.mean([0, 0, *(0.5 / boxes)]))
        assert half.max_error == pytest.approx(0.5 / boxes[0])
        assert full.mean_error == pytest.approx(0, abs=1e-12)
        assert half.limited_shapes == half.limited_coefficients == 0
        assert report.residual_ratio == pytest.approx(0.75)  # divisor n - 1 against n

    def test_a_scheme_names_the_distance(self, rng):
        shapes = random_shapes(rng, n_landmarks=6)
        scheme = LandmarkScheme("six", 6, eye_corners=(1, 4))
        report = ActiveShapeModel(0.99).fit(shapes).reconstruction_report(shapes, scheme, accuracies=(0.8,))
        smoothed = equations_in_a_loop(ActiveShapeModel(0.8).fit(shapes), shapes)
        eyes = np.hypot(*(shapes[:, 1] - shapes[:, 4]).T)
        expected = np.linalg.norm(smoothed - shapes, axis=-1).mean(axis=1) / eyes
        assert report.rows[0].mean_error == pytest.approx(expected.mean())
        assert report.rows[0].max_error == pytest.approx(expected.max())
        assert report.normalizer == "inter-ocular"

    def test_limit_that_bites(self, rng):
        shapes = random_shapes(rng)
        report = ActiveShapeModel(limit=0.1).fit(shapes).reconstruction_report(shapes, accuracies=(0.9,))
        coefficients = PCA(0.9).fit_transform(shapes.reshape(60, -1))
        limited = np.abs(coefficients) > 0.1 * coefficients.std(axis=0, ddof=1)
        assert report.rows[0].limited_coefficients == pytest.approx(limited.mean())
        assert report.rows[0].limited_shapes == pytest.approx(limited.any(axis=1).mean())

    def test_prints_and_serialises(self, rng):
        import json

        shapes = random_shapes(rng)
        report = ActiveShapeModel().fit(shapes).reconstruction_report(shapes)
        assert json.loads(json.dumps(report.to_dict()))["n_shapes"] == 60
        lines = str(report).splitlines()
        assert lines[0] == "ASM(G) against G, 60 shapes, limit 3 sd, NME by box"
        assert len(lines) == 2 + 6
        assert lines[4].split()[0] == "90.00%"

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_warns_of_other_shapes(self, rng, align, recwarn):
        shapes = random_shapes(rng, n_samples=200)
        asm = ActiveShapeModel(0.9, align=align).fit(shapes)
        asm.reconstruction_report(random_shapes(np.random.default_rng(0), n_samples=200))
        rotated = shapes @ np.array([[0.5, -np.sqrt(0.75)], [np.sqrt(0.75), 0.5]])
        assert not recwarn.list
        if align is None:
            with pytest.warns(UserWarning, match="times as far .* from the shape model"):
                asm.reconstruction_report(rotated)
        else:
            asm.reconstruction_report(rotated)


class TestRealShapes:
    """The 3148 training shapes of 300W."""

    pytestmark = pytest.mark.real_data

    @pytest.fixture
    def training_shapes(self, data_root):
        return np.load(data_root / "shapes" / "300w_68.npz", allow_pickle=False)["train"].astype(np.float64)

    def test_agrees_with_the_authors_objects(self, training_shapes, data_root):
        low, high = training_shapes.min(axis=1, keepdims=True), training_shapes.max(axis=1, keepdims=True)
        asm = ActiveShapeModel(0.80).fit(0.5 - (training_shapes - low) / (high - low))
        reference = data_root / "reference_pca"
        theirs = np.load(reference / "ibug_eigenvectors_80.npy").T
        assert asm.n_components_ == len(theirs) == 2
        cosines = np.abs(np.sum(asm.components_ * theirs, axis=1))
        assert (cosines > 0.9995).all()  # 1.000 to three digits
        mean = np.load(reference / "ibug_meanvector_80.npy")
        np.testing.assert_allclose(asm.mean_shape_, mean, atol=0.02)

    def test_agrees_with_the_equations_in_a_loop(self, training_shapes):
        some = training_shapes[::20] / 100
        asm = ActiveShapeModel(0.90).fit(some)
        np.testing.assert_allclose(asm.project(some), equations_in_a_loop(asm, some), atol=1e-9)

    def test_components_of_youtube_faces(self, data_root):
        table = np.genfromtxt(
            data_root / "youtube_faces_68" / "training_frames_keypoints.csv", delimiter=",", skip_header=1
        )[:, 1:].reshape(-1, 68, 2)
        low, high = table.min(axis=1, keepdims=True), table.max(axis=1, keepdims=True)
        square = (table - (low + high) / 2) / (high - low).max(axis=2, keepdims=True)
        counts = [
            ActiveShapeModel(0.90, align=align).fit(square).n_components_ for align in (None, "procrustes")
        ]
        assert counts == [3, 5]

    def test_report_on_real_shapes(self, training_shapes):
        low, high = training_shapes.min(axis=1, keepdims=True), training_shapes.max(axis=1, keepdims=True)
        square = (training_shapes - (low + high) / 2) / (high - low).max(axis=2, keepdims=True)
        report = ActiveShapeModel(0.90).fit(square).reconstruction_report(square, "300w")
        errors = [row.mean_error for row in report.rows]
        assert errors == sorted(errors, reverse=True)
        assert 0.04 < errors[2] < 0.07  # a face at 90 % is 5 % of the eye distance from itself
        assert report.residual_ratio == pytest.approx(1, abs=0.01)


class TestBadInput:
    @pytest.mark.parametrize(
        ("X", "message"),
        [
            (np.zeros(6), "Expected 2D array, got 1D array"),
            (np.zeros((2, 2, 3, 2)), "Found array with dim 4"),
            (np.ones((5, 7)), r"shapes must have the shape.*Received: shape \(5, 7\)"),
            (np.ones((5, 3, 3)), r"Landmarks must have the shape.*Received: shape \(5, 3, 3\)"),
            (np.full((5, 6), np.nan), "at least 1 of its points.*Received: 5 of 5 shapes with fewer"),
            (np.full((5, 3, 2), np.inf), "5 of 5 contain infinity"),
            (np.ones((1, 6)), "Found array with 1 sample"),
            (np.ones((5, 6)), "The shapes are all the same"),
            (np.full((5, 6), 0.1) * 3, "The shapes are all the same"),
            (np.full((5, 6), 1e8), "The shapes are all the same"),
        ],
    )
    def test_fit(self, X, message):
        with pytest.raises(ValueError, match=message):
            ActiveShapeModel().fit(X)

    def test_first_batch_of_one(self, rng):
        with pytest.raises(ValueError, match="Found array with 1 sample.*minimum of 2"):
            ActiveShapeModel().partial_fit(random_shapes(rng, n_samples=1))

    def test_fewer_samples_than_components(self, rng):
        with pytest.raises(
            ValueError, match=r"n_components=20 needs .* \(at most n_samples - 1 = 4\).*5 samples of 14"
        ):
            ActiveShapeModel(20).fit(random_shapes(rng, n_samples=5))

    @pytest.mark.parametrize(
        "parameters",
        [
            {"n_components": 0},
            {"n_components": 1.5},
            {"n_components": "all"},
            {"limit": 0},
            {"limit": -3},
            {"align": "rotation"},
            {"n_dims": 0},
        ],
    )
    def test_parameters(self, rng, parameters):
        name = next(iter(parameters))
        with pytest.raises(ValueError, match=f"The '{name}' parameter of ActiveShapeModel must be"):
            ActiveShapeModel(**parameters).fit(random_shapes(rng))

    def test_alignment_in_space(self, rng):
        with pytest.raises(ValueError, match="needs landmarks in the plane. Received: n_dims=3"):
            ActiveShapeModel(align="procrustes", n_dims=3).fit(rng.normal(size=(9, 4, 3)))

    def test_alignment_of_a_point(self, rng):
        shapes = random_shapes(rng)
        shapes[4] = 0.7
        with pytest.raises(
            ValueError, match="all landmarks coincide in 1 of 60 shapes. Received: first .* index 4"
        ):
            ActiveShapeModel(align="procrustes").fit(shapes)

    def test_projecting_a_point_onto_an_aligned_model(self, rng):
        asm = ActiveShapeModel(align="procrustes").fit(random_shapes(rng))
        np.testing.assert_allclose(asm.project(np.full((7, 2), 0.7)), np.full((7, 2), 0.7))

    @pytest.mark.parametrize(
        "method",
        [
            "transform",
            "project",
            "inverse_transform",
            "constrain",
            "score_samples",
            "sample",
            "save",
            "reconstruction_report",
            "linear_model",
        ],
    )
    def test_not_fitted(self, method, tmp_path):
        arguments = {"sample": (), "linear_model": (), "save": (tmp_path / "a.npz",)}.get(
            method, (np.ones((2, 6)),)
        )
        with pytest.raises(NotFittedError):
            getattr(ActiveShapeModel(), method)(*arguments)

    def test_other_number_of_landmarks(self, rng):
        asm = ActiveShapeModel().fit(random_shapes(rng))
        with pytest.raises(
            ValueError, match="has 7 landmarks of 2 coordinates.*Received: shape \\(3, 8, 2\\)"
        ):
            asm.project(np.ones((3, 8, 2)))
        with pytest.raises(ValueError, match="16 features, but ActiveShapeModel is expecting 14"):
            asm.transform(np.ones((3, 8, 2)))
        with pytest.raises(ValueError, match="Coefficients must have shape"):
            asm.inverse_transform(np.ones((3, 99)))
        with pytest.raises(ValueError, match="Coefficients must have shape"):
            asm.constrain(np.ones(99))
        with pytest.raises(
            ValueError, match="must be finite numbers, or NaN .*Received: 1 infinite values of 14"
        ):
            asm.project(np.r_[np.zeros(12), np.nan, np.inf])
        with pytest.raises(ValueError, match="n_samples must be a positive integer"):
            asm.sample(0)

    def test_load(self, tmp_path, rng):
        with pytest.raises(FileNotFoundError, match="No shape model at this path"):
            ActiveShapeModel.load(tmp_path / "absent.npz")
        garbage = tmp_path / "garbage.npz"
        garbage.write_bytes(b"no zip file at all")
        with pytest.raises(ValueError, match="Expected a file written by ActiveShapeModel.save.*garbage.npz"):
            ActiveShapeModel.load(garbage)
        np.savez(tmp_path / "other.npz", a=np.ones(3))
        with pytest.raises(ValueError, match="Expected a file written by ActiveShapeModel.save.*other.npz"):
            ActiveShapeModel.load(tmp_path / "other.npz")
        # cut short, as by a full disk
        ActiveShapeModel().fit(random_shapes(rng)).save(tmp_path / "whole.npz")
        whole = (tmp_path / "whole.npz").read_bytes()
        (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match="half.npz"):
            ActiveShapeModel.load(tmp_path / "half.npz")

    def test_load_refuses_pickle(self, tmp_path):
        np.savez(tmp_path / "pickle.npz", format=np.array([object()], dtype=object))
        with pytest.raises(ValueError, match="pickle.npz"):
            ActiveShapeModel.load(tmp_path / "pickle.npz")


def test_clone_is_unfitted(rng):
    assert not hasattr(clone(ActiveShapeModel().fit(random_shapes(rng))), "mean_shape_")


class TestScore:
    @pytest.mark.parametrize("n_components", [1, 3, 0.9])
    def test_agrees_with_scikit_learns_pca(self, rng, n_components):
        shapes = rng.normal(size=(60, 10)) * np.linspace(0.5, 3, 10)
        asm, pca = ActiveShapeModel(n_components).fit(shapes), PCA(n_components).fit(shapes)
        others = rng.normal(size=(20, 10))
        np.testing.assert_allclose(asm.score(others), pca.score(others), rtol=1e-9)
        np.testing.assert_allclose(asm.score(others.reshape(20, 5, 2)), asm.score(others))

    @pytest.mark.parametrize("align", [None, "procrustes"])
    def test_a_grid_search_finds_the_planted_components(self, rng, align):
        from sklearn.model_selection import GridSearchCV

        modes = np.linalg.qr(rng.normal(size=(20, 3)))[0].T
        mean = np.stack([np.cos(np.arange(10) * 0.6), np.sin(np.arange(10) * 0.6)], axis=1).ravel()
        if align:  # directions that a similarity would take away are none to be found
            z = mean.reshape(-1, 2)
            gone = [
                np.tile([1.0, 0.0], 10),
                np.tile([0.0, 1.0], 10),
                mean,
                np.stack([-z[:, 1], z[:, 0]], 1).ravel(),
            ]
            basis = np.linalg.qr(np.array(gone).T)[0]
            modes = np.linalg.qr((modes - modes @ basis @ basis.T).T)[0].T
        shapes = (
            mean + rng.normal(size=(300, 3)) * [0.2, 0.15, 0.1] @ modes + 0.01 * rng.normal(size=(300, 20))
        )
        search = GridSearchCV(ActiveShapeModel(align=align), {"n_components": [1, 2, 3, 4, 5, 8]}, cv=5)
        assert search.fit(shapes).best_params_ == {"n_components": 3}

    def test_all_variance_kept_is_finite(self, rng):
        shapes = rng.normal(size=(30, 6))
        assert np.isfinite(ActiveShapeModel(None).fit(shapes).score(shapes))


def test_shapes_that_are_not_finite_are_named(rng):
    shapes = rng.normal(size=(20, 4, 2))
    shapes[7, 1, 0] = -np.inf
    shapes[9, 2, 1] = np.inf
    for X in (shapes, shapes.reshape(20, -1)):
        with pytest.raises(ValueError, match="2 of 20 contain infinity.*first such shape at index 7"):
            ActiveShapeModel().fit(X)
