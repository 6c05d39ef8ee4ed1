"""Image classifiers: which networks fit, their scores, and their verdicts batch by batch, from a file too."""

import itertools
import pickle
from dataclasses import replace

import numpy as np
import pytest
from at_work import come_down_to, threads_at_work
from drawings import MANY, THREADS, bar, same

from fastmlp.images.extractors import extract
from fastmlp.images.folders import classify_folder, train_folder
from fastmlp.images.reading import read_chunk
from fastmlp.images.sources.source import Chunks


def test_softmax_is_one_network_with_an_output_for_each_class(classifier):
    assert [network.layer_sizes for network in classifier.networks] == [(256, 4, 2)]
    scores = classifier.scores(extract([bar(True, 3), bar(False, 4)], "pixels"))
    assert np.allclose(scores.sum(axis=1), 1)


def test_networks_must_fit_the_extractor_and_the_method(classifier):
    for change in [{"extractor": "ink"}, {"method": "one-vs-rest"}, {"networks": ()}]:
        with pytest.raises(ValueError, match=r"^networks must be "):
            replace(classifier, **change)
    with pytest.raises(ValueError, match="method must be one of 'ensemble', 'one-vs-rest', 'softmax'"):
        replace(classifier, method="vote")


def test_an_ensemble_gives_the_mean_of_its_networks_probabilities(class_folders, classifier, tmp_path):
    others = [train_folder(class_folders, extractor="pixels", hidden=hidden, epochs=2, seed=1) for hidden in (3, (2, 2))]
    networks = tuple(network for one in (classifier, *others) for network in one.networks)
    ensemble = replace(classifier, networks=networks, method="ensemble")
    features = extract([bar(False, 2), bar(True, 5)], "pixels")
    expected = sum(network.predict_proba(features) for network in networks) / 3
    np.testing.assert_allclose(ensemble.scores(features), expected, rtol=1e-14)
    assert np.array_equal(replace(classifier, method="ensemble").scores(features), classifier.scores(features))

    ensemble.save(tmp_path / "ensemble.npz")
    same(classify_folder(tmp_path / "ensemble.npz", class_folders), classify_folder(ensemble, class_folders))


def test_an_ensemble_is_of_networks_for_its_classes(classifier, class_folders):
    (network,), (of_ink,) = classifier.networks, train_folder(class_folders, extractor="ink", epochs=1).networks
    one_vs_rest = train_folder(class_folders, extractor="pixels", method="one-vs-rest", epochs=1).networks
    for networks, message in [
        ((), "networks must be 1 of 256 inputs each; got 0"),
        ((network, of_ink), r"networks must be 2 of 256 inputs each; got 2, of \[256, 3\]"),
        ((network, one_vs_rest[0]), "do not fit the classes"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(classifier, networks=networks, method="ensemble")


def test_same_verdicts_for_any_thread_count_and_batch_size(classifier, many):
    expected = classify_folder(classifier, many, threads=1)
    assert len(expected.paths) == MANY
    for threads in THREADS:
        same(classify_folder(classifier, many, threads), expected)
        batches = list(classifier.classify(many, threads, batch_size=100))
        assert [len(batch.paths) for batch in batches] == [64, 100, MANY - 164]
        assert [label for batch in batches for label in batch.labels] == expected.labels
        assert np.concatenate([batch.scores for batch in batches]).tobytes() == expected.scores.tobytes()


@pytest.mark.parametrize("threads", THREADS)
def test_names_are_streamed_and_work_ends_with_its_reader(classifier, threads):
    taken = itertools.count()
    endless = (f"none-{next(taken)}.png" for _ in itertools.count())
    before = threads_at_work()
    batches = classifier.classify(endless, threads, batch_size=10)
    first, second = next(batches), next(batches)
    assert first.paths[0] == "none-0.png"
    assert second.paths[-1] == "none-19.png"
    batches.close()
    assert next(taken) <= 10 * (2 * threads + 2)
    assert come_down_to(before)


def test_bad_arguments_are_refused_before_the_first_batch(classifier, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        classifier.classify(tmp_path / "none")
    with pytest.raises(ValueError, match="max_pixels"):
        classifier.classify([], max_pixels=0)
    with pytest.raises(ValueError, match="batch_size"):
        classifier.classify([], batch_size=0)
    with pytest.raises(ValueError, match="threads"):
        classifier.classify([], threads=-1)


def test_a_chunk_of_work_can_be_sent_elsewhere(classifier, class_folders):
    (chunk,) = Chunks(class_folders)
    work, sent = pickle.loads(pickle.dumps((classifier.verdicts, chunk)))
    same(work(sent), classifier.verdicts(chunk))
    assert pickle.loads(pickle.dumps(read_chunk)) is read_chunk


def test_a_saved_classifier_gives_the_same_verdicts(classifier, many, tmp_path):
    classifier.save(tmp_path / "bars.npz")
    same(classify_folder(tmp_path / "bars.npz", many), classify_folder(classifier, many))
