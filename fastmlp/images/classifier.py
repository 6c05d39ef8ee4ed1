"""ImageClassifier: networks and the extractor that they were trained with, which give a source of images its verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import checks
from fastmlp.executors import threads_or_engine
from fastmlp.images.as_estimator import AsEstimator, as_text, changed, trained_with
from fastmlp.images.decisions import check_networks, scores_by
from fastmlp.images.extractors import DEFAULT_EXTRACTOR, GivenExtractor, extractor_name, of_size
from fastmlp.images.image_formats import ALL, chosen_formats
from fastmlp.images.learnable import to_judge
from fastmlp.images.pillow import MAX_PIXELS
from fastmlp.images.reading import read_chunk
from fastmlp.images.samples import Images, feature_rows
from fastmlp.images.sources.chunk import LARGEST_CHUNK, Chosen, Chunk
from fastmlp.images.sources.source import Chunks, Source
from fastmlp.images.verdicts import CLASSES_SHOWN, Batches, Verdicts
from fastmlp.labels import short
from fastmlp.literals import AnyExtractor, Decision, FormatName, OnError
from fastmlp.networks import records
from fastmlp.networks.exported import Exportable, formula_of
from fastmlp.networks.history import History
from fastmlp.networks.html import html_table
from fastmlp.networks.metrics import Evaluation, listing, of_classes
from fastmlp.networks.mlp import MLP
from fastmlp.storage import Record, write_model
from fastmlp.threads import Stop
from fastmlp.writing import StrPath

if TYPE_CHECKING:
    from fastmlp.training.option_types import EstimatorOptions


@dataclass(init=False, eq=False, repr=False)
class ImageClassifier(AsEstimator, Exportable):
    """Networks that tell images apart, and the extractor that they are trained with; an estimator of scikit-learn's kind.

    It is made either of how to train, and then learns by `fit`; or of networks, as `train_folder` and `fastmlp.load` do.

    Parameters
    ----------
    classes, networks, made_with
        Those of a trained classifier, see below.
    extractor, method, refit, formats, on_error, augment, **options
        How `fit` trains, and what is read, see `train_folder`: all options of `train` but `sample_weight` and `on_epoch`, which
        `fit` takes. `class_weight` is None by default.

    Attributes
    ----------
    classes : list of str
        The names of the K classes, in the order of `classes_`.
    classes_ : (K,)
        The labels, sorted: names of folders, or what `fit` was given.
    networks : tuple of MLP
        One for the method "softmax"; one for each class, in their order, for "one-vs-rest"; any number for "ensemble", each as
        that of "softmax".
    extractor : {"ink", "pixels", "strokes", "gray", "colour"} or function
        What was chosen, once a classifier of "auto" is fitted.
    method : {"ensemble", "one-vs-rest", "softmax"}
    made_with : dict
        What it was trained with, as JSON values: how many "images" there were of each class, its "seed", the "options" of
        `train_folder`, the "versions" of fastmlp, numpy and numba, and under "validation" what was measured on images held out.

    Raises
    ------
    ValueError
        If the networks do not fit the classes, the extractor and the method.
    TypeError
        If there is no such option.

    Examples
    --------
    >>> import fastmlp
    >>> paths = [f"test-images/{name}-{number}.png" for name in ("tc", "tl") for number in range(1, 6)]
    >>> classifier = fastmlp.ImageClassifier(hidden=8, seed=0).fit(paths, ["circle"] * 5 + ["line"] * 5)
    >>> classifier.predict(["test-images/tl-1.png"]).tolist()
    ['line']
    """

    classes: list[str]
    networks: tuple[MLP, ...]
    extractor: AnyExtractor
    method: Decision
    made_with: dict[str, Any]
    classes_: NDArray[Any] = field(init=False)

    def __init__(
        self,
        classes: Sequence[Any] | None = None,
        networks: Sequence[MLP] | None = None,
        extractor: AnyExtractor | Literal["auto"] = DEFAULT_EXTRACTOR,
        method: Decision = "softmax",
        made_with: dict[str, Any] | None = None,
        *,
        refit: bool = False,
        formats: str | Sequence[str] | None = None,
        on_error: OnError = "skip",
        augment: int = 0,
        **options: Unpack[EstimatorOptions],
    ) -> None:
        super().__init__(extractor, method, refit, formats, on_error, augment, **options)
        if classes is not None or networks is not None:
            self._learn(list(classes or ()), tuple(networks or ()), made_with or {})
            self._options = trained_with(self.networks, self.made_with) | self._options

    def _learn(self, labels: list[Any], networks: tuple[MLP, ...], made_with: dict[str, Any]) -> None:
        check_networks(labels, networks, self.extractor, self.method)
        names = [str(label) for label in labels]
        vars(self).update(classes=names, classes_=np.array(labels), networks=networks, made_with=made_with)

    def __repr__(self) -> str:
        if self.__sklearn_is_fitted__():
            return f"<ImageClassifier of {listing(map(short, self.classes))}; {extractor_name(self.extractor)}, {self.method}>"
        return f"ImageClassifier({as_text(self.get_params())})"

    def _repr_html_(self) -> str:
        if not self.__sklearn_is_fitted__():
            return html_table((), (), repr(self))
        counts, measured = self.made_with.get("images", {}), self.made_with.get("validation", {})
        alone = len(self.networks) == len(self.classes) and self.method == "one-vs-rest"
        rows = [
            [short(name), str(counts.get(name, "")), *([repr(self.networks[number]).strip("<>")] if alone else [])]
            for number, name in enumerate(self.classes[:CLASSES_SHOWN])
        ]
        notes = [f"... and {len(self.classes) - len(rows)} more classes"] if len(self.classes) > len(rows) else []
        notes += [f"accuracy {measured['accuracy']:.4g} on {measured['images']} images held out"] if "accuracy" in measured else []
        if not alone:
            several = f"{len(self.networks)} networks, the first " if len(self.networks) > 1 else ""
            notes.append(several + repr(self.networks[0]).strip("<>"))
        return html_table(["class", "images", *["network"] * alone], rows, repr(self).strip("<>"), "; ".join(notes))

    def fit(
        self,
        X: Images | StrPath,
        y: ArrayLike | None = None,
        *,
        sample_weight: ArrayLike | None = None,
        on_epoch: Callable[..., Any] | None = None,
    ) -> Self:
        """Train on labelled images.

        Parameters
        ----------
        X : n paths of image files, n images of uint8 levels, (n, size) features, or the path of a folder or archive
            As `train_folder` takes it; images are (H, W), or for "colour" also (H, W, 3), which "auto" knows of files alone.
        y : (n,), optional
            Their labels: text, numbers or booleans. Those of a folder's images it tells itself.
        sample_weight : (n,), optional
            What each image counts in the loss, also of those that are left out as they cannot be read.
        on_epoch : function, optional
            As of `train`.

        Returns
        -------
        ImageClassifier
            Itself. After Ctrl-C, and for a folder, it is as `train_folder` says.

        Raises
        ------
        ImageError
            If a file cannot be read, with on_error="raise".
        TypeError, ValueError
            If X is neither; if there is not one label for each image, or there are not two classes; for what `train` rejects.
        """
        return self._train(X, y, sample_weight, on_epoch)

    def _train(self, X: Any, y: Any, sample_weight: Any, on_epoch: Any, *, balance: bool = False) -> Self:
        """Train as `fit` does; if balance, with weights of classes that are unequal where none are given."""
        from fastmlp.images.choosing import train_on_images  # which nobody needs who only classifies
        from fastmlp.images.fitting import METHODS

        method, how = checks.one_of("method", self.method, METHODS), self.get_params()
        options = changed(how) | {"extractor": self.extractor, "method": method, "formats": self._formats()}
        options |= {"on_error": how["on_error"], "balance": balance, "sample_weight": sample_weight, "on_epoch": on_epoch}
        fitted = train_on_images(X, y, **options)
        vars(self).update(extractor=fitted.extractor)
        self._options |= {"class_weight": fitted.made_with["options"].get("class_weight")} if balance else {}
        self._learn(fitted.classes, fitted.networks, fitted.made_with)
        return self

    def predict(self, X: Images) -> NDArray[Any]:
        """The labels (n,) of images; X is as `fit` takes it, but no folder, for which there is `classify`.

        Raises
        ------
        ImageError
            If a file cannot be read; `classify` goes on with the others.
        TypeError, ValueError
            If X is neither paths nor images nor features; if a score is not finite.
        """
        return self.classes_[self._scores_of(X).argmax(axis=1)]

    def predict_proba(self, X: Images) -> NDArray[np.floating]:
        """The probabilities (n, K) of the classes, as `predict` takes and raises; of "one-vs-rest" a ValueError, see `scores`."""
        if self.method == "one-vs-rest":
            raise ValueError("predict_proba needs method='softmax': the scores of 'one-vs-rest' are no probabilities")
        return self._scores_of(X)

    def _scores_of(self, X: Any) -> NDArray[np.floating]:
        rows = feature_rows(X, self._extractor(), self._options.get("threads"), self._formats())
        return scores_by(self.networks, self.method, rows)

    def _extractor(self) -> GivenExtractor:
        """Of what its networks take, whatever a function would give."""
        return of_size(self.extractor, self.networks[0].layer_sizes[0])

    def _formats(self) -> tuple[FormatName, ...]:
        return chosen_formats(self._options.get("formats"))

    def scores(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """The score of each class for rows of features: (n, size) -> (n, K). The largest one decides.

        They are probabilities for "softmax", their mean over the networks for "ensemble", and for "one-vs-rest" each network's own
        output.
        """
        return scores_by(self.networks, self.method, features)

    def _scores_or_nan(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """The same, but NaN for rows for which some are not finite."""
        try:
            return self.scores(features)
        except ValueError:  # of the first of them
            if len(features) == 1:
                return np.full((1, len(self.classes)), np.nan, self.networks[0].dtype)
            return np.concatenate([self._scores_or_nan(part) for part in np.array_split(features, 2)])

    @checks.takes_options()
    def verdicts(
        self,
        chunk: Chunk,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        stop: Stop | None = None,
        formats: Sequence[FormatName] = ALL,
    ) -> Verdicts:
        """Classify one chunk of files; see reading.read_chunk."""
        rows = read_chunk(chunk, self._extractor(), strict, max_pixels, stop, formats)
        paths, features, errors, others, skipped, retry, _ = rows
        skipped += len(others)
        fine = np.array([error is None for error in errors], bool)
        known = self._scores_or_nan(features if fine.all() else features[fine])
        if not np.isfinite(known).all():
            finite = np.isfinite(known).all(axis=1)
            for row in np.flatnonzero(fine)[~finite].tolist():
                errors[row] = f"{paths[row]} has scores that are not finite"
            fine[fine], known = finite, known[finite]
        if fine.all():
            return Verdicts(paths, self._labels(known), known, errors, skipped, retry, self.classes)
        scores = np.full((len(paths), len(self.classes)), np.nan, known.dtype)
        scores[fine] = known
        found = iter(self._labels(known))
        return Verdicts(paths, [next(found) if ok else None for ok in fine.tolist()], scores, errors, skipped, retry, self.classes)

    @property
    def histories(self) -> list[History]:
        """How its networks were trained."""
        return [network.history for network in self.networks if network.history is not None]

    def _labels(self, scores: NDArray[np.floating]) -> list[str | None]:
        return [self.classes[best] for best in scores.argmax(axis=1).tolist()]

    @checks.takes_options()
    def classify(
        self,
        source: Source,
        threads: int | None = None,
        batch_size: int = LARGEST_CHUNK,
        *,
        ordered: bool = True,
        strict: bool = False,
        max_pixels: int = MAX_PIXELS,
        follow_symlinks: bool = False,
        done: Chosen | None = None,
        formats: str | Sequence[str] | None = None,
        executor: Any = None,
    ) -> Batches:
        """Classify images, batch by batch.

        Parameters
        ----------
        source : path or URL of a folder, of a tar or zip archive, or of one file; or an iterable of paths and URLs of files
            Of a folder or an archive all files are read, in all its folders; what begins with a dot is left out. What is gone or
            changed by the time that it is read becomes rows with an error. Of URLs see `extract_features`.
        threads : int, optional
            How many batches are worked on at a time; by default as many as there are cores. Results do not depend on it.
        batch_size : int
            Files in a batch, at most. At most two batches for each thread are held at a time.
        ordered : bool
            Whether batches come in the order of the paths' bytes, or of the list; else as they are done.
        strict : bool
            Whether what is no image becomes a row with an error; else it is skipped. Contents tell, not names. A file that was
            named by itself always becomes a row.
        max_pixels : int
            An image of more pixels is an error, and no memory is taken for it. The default is 2**26.
        follow_symlinks : bool
            Whether links to folders are followed; not those that lead to a folder that they lie in.
        done : function, optional
            Which of a list of paths are left out: paths -> (n,) bool.
        formats : str or list of str, optional
            Which formats of images are read, as of `train_folder`; by default those that the classifier was made with, or all.
        executor : Executor or Dask client, optional
            Whose workers do it in place of threads, to the same bits on one kind of processor. See the README for the rest.

        Returns
        -------
        Batches
            An iterator of Verdicts. A file that cannot be read becomes a row with its error, and so does a folder that cannot be
            listed. If a folder or an archive holds no image at all, a ValueError ends it.

        Raises
        ------
        FileNotFoundError
            If the source is a path and nothing is there, or nothing for a worker.
        OSError, ValueError, RuntimeError
            If the folder or URL cannot be listed; if the archive is damaged, or compressed as a whole; if an option is wrong; if
            the executor has lost its workers.
        """
        max_pixels = checks.positive_int("max_pixels", max_pixels)
        workers = threads_or_engine(threads, executor)
        size = checks.positive_int("batch_size", batch_size)
        done = checks.callback("done", done)
        chosen = self._formats() if formats is None else chosen_formats(formats)
        chunks = Chunks(source, ordered=ordered, strict=strict, follow_symlinks=follow_symlinks, size=size)
        work = partial(self.verdicts, strict=strict, max_pixels=max_pixels, formats=chosen)
        return Batches(source, chunks, work, workers, ordered, done, chosen)

    def score(self, X: Images | StrPath, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> float:
        """The accuracy on labelled images: see `evaluate`."""
        return self.evaluate(X, y, sample_weight).score

    def evaluate(self, X: Images | StrPath, y: ArrayLike | None = None, sample_weight: ArrayLike | None = None) -> Evaluation:
        """How good the verdicts on labelled images are.

        Parameters
        ----------
        X, y
            As `fit` takes them, of one class at least. What cannot be read is left out with a warning, as `on_error` has it, and
            so are folders that are no classes.
        sample_weight : (n,), optional
            What each image counts.

        Returns
        -------
        Evaluation
            As of `MLP.evaluate`. Its log loss is NaN for the method "one-vs-rest", whose scores are no probabilities.

        Raises
        ------
        FileNotFoundError, NotADirectoryError, ImageError
            As `train_folder` does for a folder.
        ValueError
            As `train_folder` does for a folder, and `MLP.evaluate` for rows; if a label is not among the classes; if no image
            can be read.
        """
        how = self._options.get("threads"), self._formats(), self._options.get("on_error", "skip")
        found = to_judge(X, y, self._extractor(), *how)
        found.warn()
        found.check_classes(self.classes)
        scores, labels = self.scores(found.data.features), found.data.labels
        if labels.dtype.kind == "U" != self.classes_.dtype.kind:  # names, as folders have them
            by_name = dict(zip(self.classes, self.classes_.tolist(), strict=True))
            labels = np.array([by_name.get(name, name) for name in labels.tolist()])
        return of_classes(
            scores, labels, self.classes_, found.weights_kept(sample_weight), probabilities=self.method != "one-vs-rest"
        )

    def save(self, path: StrPath) -> None:
        """Save to an .npz file, which `fastmlp.load` and `classify_folder` read; only a model is written over."""
        write_model(path, self._record())

    def _record(self) -> Record:
        own = {
            "classes": self.classes_.tolist(),
            "extractor": extractor_name(self.extractor),
            "method": self.method,
            **records.made_with_entry(self),
        }
        return records.of_networks("image-classifier", self.networks, **own)

    def _typical_rows(self, given: Any, n_in: int) -> Any:
        from fastmlp.formats.fixed_point import TypicalRows

        rows = None if given is True else super()._typical_rows(given, n_in).rows
        if rows is not None and (rows.min() < 0 or rows.max() > 1):
            raise ValueError(f"fixed_point must be rows of features, from 0 to 1; got {rows.min():g} to {rows.max():g}")
        return TypicalRows(rows, (0.0, 1.0))

    def _formula(self, dtype: Any) -> Any:
        alike = [network.like(np.asarray(network.theta, dtype)) for network in self.networks]
        outputs = partial(scores_by, alike, self.method)
        columns, own = self.method == "one-vs-rest", [(network, network.theta) for network in alike]
        return formula_of(own, outputs, text=repr(self)[1:-1], columns=columns, classes=self.classes_, dtype=alike[0].dtype)
