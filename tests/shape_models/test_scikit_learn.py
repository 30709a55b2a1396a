"""scikit-learn's own checks of an estimator."""

from sklearn.utils.estimator_checks import parametrize_with_checks

from keras_asm import ActiveShapeModel

# With landmarks in the plane these checks cannot apply, as their data has an odd number of features: half a
# landmark, which is an error. `xfail_strict` keeps the list honest, and landmarks on a line pass all of them.
ODD_NUMBER_OF_FEATURES = dict.fromkeys(
    (
        "check_dict_unchanged",
        "check_dont_overwrite_parameters",
        "check_estimators_dtypes",
        "check_estimators_nan_inf",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_predict1d",
        "check_fit_score_takes_y",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_pipeline_consistency",
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformer_preserve_dtypes",
    ),
    "the data of this check has an odd number of features",
)


@parametrize_with_checks(
    [
        ActiveShapeModel(n_dims=1),
        ActiveShapeModel(n_dims=1, n_components=None, limit=None),
        ActiveShapeModel(),
    ],
    expected_failed_checks=lambda estimator: ODD_NUMBER_OF_FEATURES if estimator.n_dims == 2 else {},
)
def test_estimator(estimator, check):
    check(estimator)
