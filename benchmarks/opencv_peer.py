"""OpenCV: `imread` on a pool of threads, many files to a job; the features and the network are those of fastmlp."""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from fastmlp.images import extractors

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
