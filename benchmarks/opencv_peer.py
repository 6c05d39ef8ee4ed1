"""OpenCV: `imread` on a pool of threads, many files to a job; the features and the network are those of fastmlp."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from fastmlp.images import extractors
from fastmlp.kernels.compile import jit_alone
from fastmlp.kernels.images.features import feature_scratch
from fastmlp.kernels.images.strokes import stroke_features

JOB = 512  # files: so what a job costs in itself does not count
FEW = 16  # of photographs

cv2.setNumThreads(1)  # the pool's threads are all there are to be


def classify_files(paths, classifier, threads):
    """The class of each image, by the largest score."""

    def classify(first):
        grays = [cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths[first : first + JOB]]
        return classifier.scores(extractors.extract(grays, classifier.extractor)).argmax(axis=1)

    with ThreadPoolExecutor(threads) as pool:
        parts = pool.map(classify, range(0, len(paths), JOB))
        return [classifier.classes[k] for part in parts for k in part]


def features_of_files(paths, extractor, threads):
    """The features (n, size) of JPEGs, decoded with half their sides."""

    def of_some(first):
        grays = [cv2.imread(path, cv2.IMREAD_REDUCED_GRAYSCALE_2) for path in paths[first : first + FEW]]
        return extractors.extract(grays, extractor)

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(of_some, range(0, len(paths), FEW))))


@jit_alone
def strokes_of_pages(features, scratch, pages, height, width):
    """The features of a batch of pages (n, height * width), with no Python between two of them."""
    for k in range(pages.shape[0]):
        stroke_features(features[k], scratch, pages[k], height, width)


def strokes_of_files(paths, threads):
    """The features (n, size) of pages of one size."""
    features = np.empty((len(paths), extractors.EXTRACTORS["strokes"].size))

    def of_some(first):
        pages = np.array([cv2.imread(path, cv2.IMREAD_GRAYSCALE) for path in paths[first : first + JOB]])
        n, height, width = pages.shape
        strokes_of_pages(features[first : first + n], feature_scratch(height * width), pages.reshape(n, -1), height, width)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(of_some, range(0, len(paths), JOB)))
    return features
