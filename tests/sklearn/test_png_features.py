"""PNGFeatures: images to features in scikit-learn's pipelines."""

import pickle

import numpy as np
import pytest
from drawings import TRUNCATED, bar, write_bars
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fastmlp
from fastmlp.images.extractors import extract
from fastmlp.sklearn import PNGFeatures

NUMBERS = range(6)
IMAGES = [bar(upright, number) for upright in (True, False) for number in NUMBERS]
LABELS = ["upright"] * 6 + ["lying"] * 6


@pytest.fixture
def paths(tmp_path):
    write_bars(tmp_path / "upright", True, NUMBERS)
    write_bars(tmp_path / "lying", False, NUMBERS)
    return [tmp_path / label / f"{number:03}.png" for label in ("upright", "lying") for number in NUMBERS]


@pytest.mark.parametrize("extractor", ["ink", "pixels", "strokes", "gray", "colour"])
def test_features_are_those_of_the_extractor_in_the_order_given(paths, extractor):
    expected = extract(IMAGES, extractor)
    texts = [str(path) for path in paths]
    for X in (paths, texts, tuple(texts), np.array(texts), np.array(paths), np.array(paths)[:, None], IMAGES, np.array(IMAGES)):
        assert np.array_equal(PNGFeatures(extractor).fit_transform(X), expected)
    assert np.array_equal(PNGFeatures(extractor, threads=2).transform(paths[::-1]), expected[::-1])


def test_images_may_differ_in_size():
    images = [bar(True, 1), np.repeat(bar(False, 2), 2, axis=1)]
    assert np.array_equal(PNGFeatures("ink").transform(images), extract(images))


def test_no_images_are_no_rows():
    assert PNGFeatures("ink").transform([]).shape == (0, 3)


def test_a_file_that_cannot_be_read_is_an_error_or_a_row_of_nan(paths):
    paths[2].write_bytes(TRUNCATED)
    with pytest.raises(fastmlp.ImageError, match=f"^{paths[2]} is truncated$"):
        PNGFeatures().transform(paths)
    features = PNGFeatures(errors="nan").transform(paths)
    assert np.flatnonzero(np.isnan(features).all(axis=1)).tolist() == [2]
    assert np.isnan(features).any(axis=1).sum() == 1


def test_what_is_neither_paths_nor_images_is_refused(paths):
    for X, error, message in [
        (str(paths[0]), ValueError, "X must hold paths of image files, or images .* got '"),
        (paths[0], ValueError, "X must hold paths of image files, or images"),
        ([*paths, None], TypeError, "a path must be"),
        ([paths[0].parent], fastmlp.ImageError, "is not a regular file"),
        (np.zeros((2, 8, 8)), ValueError, r"X\[0\] must be an array \(H, W\) of uint8 gray levels; got float64 \(8, 8\)"),
        (np.zeros((8, 8), np.uint8), ValueError, r"X\[0\] must be an array \(H, W\).* got uint8 \(8,\)"),
    ]:
        with pytest.raises(error, match=message):
            PNGFeatures().transform(X)


def test_parameters_are_checked_when_it_is_fitted():
    for parameters, message in [
        ({"extractor": "inc"}, "extractor must be one of 'colour', 'gray', 'ink', 'pixels', 'strokes'; got 'inc'"),
        ({"errors": "ignore"}, "errors must be one of 'nan', 'raise'; got 'ignore'"),
    ]:
        for method in ("fit", "transform"):
            with pytest.raises(ValueError, match=message):
                getattr(PNGFeatures(**parameters), method)(IMAGES)


def test_features_have_names():
    assert PNGFeatures("ink").get_feature_names_out().tolist() == ["feature1", "feature2", "feature3"]


def test_features_may_come_as_a_frame():
    pytest.importorskip("pandas")
    frame = PNGFeatures("ink").set_output(transform="pandas").fit_transform(IMAGES)
    assert list(frame) == ["feature1", "feature2", "feature3"]
    assert np.array_equal(frame.to_numpy(), extract(IMAGES))


def test_clones_and_pickles_do_the_same():
    transformer = PNGFeatures("ink", errors="nan", threads=1)
    for copied in (clone(transformer), pickle.loads(pickle.dumps(transformer))):
        assert copied.get_params() == {"extractor": "ink", "errors": "nan", "threads": 1}
        assert np.array_equal(copied.transform(IMAGES), extract(IMAGES))


def test_a_search_chooses_the_extractor(paths):
    search = GridSearchCV(make_pipeline(PNGFeatures(), LogisticRegression()), {"pngfeatures__extractor": ["ink", "pixels"]}, cv=2)
    search.fit(paths, LABELS)
    assert set(search.cv_results_["param_pngfeatures__extractor"]) == {"ink", "pixels"}
    assert search.predict([str(path) for path in paths]).tolist() == LABELS


def test_paths_are_a_column_among_others(paths):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"path": paths, "weight": np.arange(12.0)}, index=range(100, 112))
    assert np.array_equal(PNGFeatures("ink").transform(frame["path"]), extract(IMAGES))
    columns = make_column_transformer((PNGFeatures("ink"), ["path"]), (StandardScaler(), ["weight"]))
    found = columns.set_output(transform="pandas").fit_transform(frame)
    assert list(found) == ["pngfeatures__feature1", "pngfeatures__feature2", "pngfeatures__feature3", "standardscaler__weight"]
    assert np.array_equal(found.iloc[:, :3], extract(IMAGES)) and found.index.equals(frame.index)


def test_a_function_of_ones_own_is_an_extractor_too():
    def own(image):
        return image.shape

    features = PNGFeatures(own)
    with pytest.raises(ValueError, match="known after transform"):
        features.get_feature_names_out()
    images = [np.zeros((3, 4), np.uint8), np.zeros((2, 5), np.uint8)]
    assert features.fit_transform(images).tolist() == [[3, 4], [2, 5]]
    assert features.get_feature_names_out().tolist() == ["feature1", "feature2"] and clone(features).extractor is own
