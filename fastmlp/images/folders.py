"""Folders in, results out: extract_features, train_folder and classify_folder, each the whole way in one call."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from fastmlp import checks
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.extractors import DEFAULT_EXTRACTOR
from fastmlp.images.image_formats import chosen_formats
from fastmlp.images.loading import load_model
from fastmlp.images.reading import read_source
from fastmlp.images.rows_of_features import in_one, only_rows
from fastmlp.images.sources.source import Source, nothing_in
from fastmlp.images.verdicts import ClassifyOptions, Verdicts
from fastmlp.literals import AnyExtractor, Method, OnError
from fastmlp.training.option_types import TrainOptions
from fastmlp.training.train import train
from fastmlp.writing import StrPath


class Features(NamedTuple):
    """The features of a source of images."""

    names: list[str]
    """The n images that could be read: paths within the folder or archive if the source is one, else the paths given."""
    features: NDArray[np.float64]
    """(n, size), a row for each name."""
    errors: list[tuple[str, str]]
    """The name of each image that could not be read, and why."""

    def __repr__(self) -> str:
        return f"<Features of {len(self.names)} images: {self.features.shape[1]} each; {len(self.errors)} failed>"


@checks.takes_options()
def extract_features(
    source: Source,
    extractor: AnyExtractor = "ink",
    threads: int | None = None,
    formats: str | Sequence[str] | None = None,
    executor: Any = None,
) -> Features:
    """Extract the features of all images of a source.

    Parameters
    ----------
    source : path or URL of a folder, of a tar or zip archive, or of one file; or an iterable of paths and URLs of files
        See `ImageClassifier.classify`. A URL is one that fsspec knows, such as `s3://bucket/scans` or `gs://bucket/scans.zip`
        (`pip install 'fastmlp[cloud]'`, and s3fs, gcsfs or whatever its protocol takes). Options of its file system, as
        credentials, are found where that or fsspec looks for them: in variables of the environment and in files, as those of
        ~/.config/fsspec. A folder is listed folder by folder, each as a whole; of an archive only the listing and the members
        are read, by servers that give parts of files. Each thread has up to 64 MiB in memory, and of a large file only its
        beginning. What could not be had as the network failed can be tried again.
    extractor : {"ink", "pixels", "strokes", "gray", "colour"} or function
        See fastmlp/images/extractors.py for what they are, and `train_folder` for a function.
    threads : int, optional
        By default as many as there are cores. The results do not depend on it.
    formats : str or list of str, optional
        Which formats of images are read, of png, jpeg, bmp, gif, webp, tiff and ppm (with pgm and pbm); by default all. The
        contents of a file tell its format; one of another format is no image.
    executor : Executor or Dask client, optional
        Whose workers do it in place of threads, as of `classify`.

    Returns
    -------
    Features
        `names`, `features`, and the `errors` of the images that could not be read.

    Raises
    ------
    FileNotFoundError
        If the source is a path and nothing is there.
    OSError, ValueError
        As `classify` does, an ImageError for a URL; if the folder or archive holds no image, or no extractor has that name; if a
        function gives something else than a vector of finite numbers, or not as many as of the first image.
    """
    chosen = chosen_formats(formats)
    paths, features, errors, *_ = read_source(source, extractor, threads, chosen, executor=executor)
    if not paths and isinstance(source, str | os.PathLike):
        raise nothing_in(source, chosen)
    if not any(errors):
        return Features(paths, features, [])
    return Features(
        [path for path, error in zip(paths, errors, strict=True) if error is None],
        only_rows(features, np.array([error is None for error in errors])),
        [(path, error) for path, error in zip(paths, errors, strict=True) if error is not None],
    )


@checks.takes_options(train)
def train_folder(
    folder: StrPath,
    *,
    extractor: AnyExtractor | Literal["auto"] = DEFAULT_EXTRACTOR,
    method: Method = "softmax",
    refit: bool = False,
    formats: str | Sequence[str] | None = None,
    on_error: OnError = "skip",
    augment: int = 0,
    **options: Unpack[TrainOptions],
) -> ImageClassifier:
    """Train a classifier on a folder of labelled images, or an archive.

    Folders whose names begin with "." or "__MACOSX", classes without an image that can be read, and those of a single image are
    left out, with a warning that names them. Of images only their features are in memory, 8 bytes for each number.

    Parameters
    ----------
    folder : path or URL of a folder, or of a tar or zip archive
        Either with a folder of image files for each class, named as the class; or with an answer file
        `correct-outputs-<class>.txt` for each class, and the image files beside them or in `train-images/`. A line of an
        answer file is `name,1` or `name,0`, after an optional header `file_name,correct_answer`. Where there are answer
        files they decide, and the first one's order is the order of the samples. In an archive, and behind a URL, all of this
        may lie in one folder. Of URLs see `extract_features`.
    extractor : {"ink", "pixels", "strokes", "gray", "colour", "auto"} or function
        See fastmlp/images/extractors.py for what they are. "auto" reads the images with each, trains a network by each without
        those that `validation`, a fraction, holds out, and takes the one of the highest accuracy on these; of equals that of the
        smallest loss; "colour" only where some image is not gray. The training itself follows, as if that one had been asked for;
        `on_epoch` hears of it alone.

        A function of one's own is given the gray levels of an image, (H, W) uint8, in an array of its own, and gives a vector of
        finite numbers, as long for all images. It is called by the threads that read, several at a time; what it raises ends the
        training. Of the classifier's file it is no part, but for its name: `fastmlp.load(path, extractor=function)`.
    method : {"softmax", "one-vs-rest"}
        One network with an output for each class, or for each class a network with one output, trained towards 1 for
        the images of its class and 0 for all others.
    refit : bool
        Whether to begin anew with all images once `validation`, a fraction, has told how many epochs are best, and to train for
        so many, which a schedule of the learning rate then spans; each network of "one-vs-rest" for its own.
    formats : str or list of str, optional
        Which formats of images are read, of png, jpeg, bmp, gif, webp, tiff and ppm (with pgm and pbm); by default all. The
        contents of a file tell its format; one of another format is no image.
    on_error : {"skip", "raise"}
        Whether images that cannot be read are left out, with a warning that names some of them, or are an error.
    augment : int
        How many copies of each image are learned from besides, where images are few: turned by up to 15 degrees, 0.8 to 1.2 times
        as large, slanted, shifted by up to 0.08 of their size, and for "ink", "pixels" and "strokes" thickened or thinned by less
        than a pixel; see fastmlp/images/copies.py. A copy counts as its image does, and of images that `validation` holds out
        none is learned from or measured. Which copies these are follows from `seed`, or `data_seed` if given, and the image.
    **options
        Those of `train`. With "one-vs-rest" the network of class k has the seed `seed + k`, and `on_epoch` is called with the
        losses (K,) of all networks, as `train_many` does. A fraction of `validation` is held out of each class alike, and the
        weights of the best epoch are kept. Where neither `class_weight` nor `sample_weight` is given, not even as None, and a
        class has more than three times the images of another, "softmax" is trained with class_weight="balanced". A weight of
        `sample_weight` is for each image, also for those that are left out.

    Returns
    -------
    ImageClassifier
        Its `made_with` has under "validation" what was measured on images held out; by "auto", under "extractors" in it the
        accuracy and loss of each. After Ctrl-C the network so far, with a
        RuntimeWarning; while it is trained again on all images, the one from before that.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C among the networks of "one-vs-rest", if one has no whole epoch yet, or before "auto" has chosen.
    FileNotFoundError, NotADirectoryError
        If there is no such folder.
    ImageError
        If an image cannot be read, with on_error="raise".
    ValueError
        If there are not two images that can be read of each of two classes, there is no memory for their features, an answer
        file and the images do not match, an image has no class or two; if "auto" has nothing held out to choose by; if a
        function gives no vector, or vectors of several lengths; or for what `train` rejects.
    """
    checks.path("folder", folder)
    how: dict[str, Any] = {**options}
    with_rows = [how.pop(name, None) for name in ("sample_weight", "on_epoch")]
    classifier = ImageClassifier(
        extractor=extractor, method=method, refit=refit, formats=formats, on_error=on_error, augment=augment, **how
    )
    return classifier._train(folder, None, *with_rows, balance="class_weight" not in how)


@checks.takes_options(ImageClassifier.classify)
def classify_folder(
    model: ImageClassifier | StrPath, source: Source, threads: int | None = None, **options: Unpack[ClassifyOptions]
) -> Verdicts:
    """Classify all images of a source with a classifier, or the path of a saved one; see `ImageClassifier.classify`."""
    classifier = load_model(model) if isinstance(model, str | os.PathLike) else model
    if not isinstance(classifier, ImageClassifier):
        raise ValueError(f"model must be an ImageClassifier, or the path of one; got {type(classifier).__name__}")
    batches = list(classifier.classify(source, threads, **options))
    return Verdicts(
        [path for batch in batches for path in batch.paths],
        [label for batch in batches for label in batch.labels],
        np.concatenate([np.empty((0, len(classifier.classes))), *(batch.scores for batch in batches)]),
        [error for batch in batches for error in batch.errors],
        sum(batch.skipped for batch in batches),
        in_one([(len(batch.paths), batch.retry) for batch in batches]),
        classifier.classes,
    )
