"""Image classifiers as records of a model's file: what is expected of one, the classifier that it makes; and its digest."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from fastmlp import checks
from fastmlp.images.classifier import ImageClassifier
from fastmlp.images.extractors import extractor_name
from fastmlp.images.own_extractor import NotInFile, is_function_name
from fastmlp.images.sources.source import can_name_a_file
from fastmlp.networks import records
from fastmlp.networks.mlp import MLP
from fastmlp.storage import Expected, ModelKind, Record, check_type
from fastmlp.warning import warn


def _expected(header: dict[str, Any]) -> dict[str, Expected]:
    records.check_made_with(header)
    for name in header["classes"]:
        if type(name) not in (bool, int, float):
            check_type("a class in its header", name, str)
        if not can_name_a_file(str(name)):  # as rows can then be written with it
            raise ValueError(f"a class in its header must be the name of a folder; got {checks.shown(name)}")
    return records.expected_networks(header)


def _of_record(record: Record) -> ImageClassifier:
    header = record.header
    if header["version"] == 1 and header["extractor"] == "ink":
        warn(
            f"{record.path} comes from an earlier version, to whose 'ink' a thick stroke was more than a line: where strokes are"
            " thicker than a cell of 16 x 16 its verdicts may differ; train it again"
        )
    if len({type(label) for label in header["classes"]}) > 1:
        raise ValueError(f"the classes in its header must be of one type; got {checks.shown(header['classes'])}")
    networks = tuple(MLP(**records.network_arguments(record, index)) for index in range(len(header["networks"])))
    extractor = NotInFile(header["extractor"]) if is_function_name(header["extractor"]) else header["extractor"]
    return ImageClassifier(header["classes"], networks, extractor, header["method"], header.get("made_with", {}))


KIND = ModelKind({"classes": list, "extractor": str, "method": str}, records.MADE_WITH_FIELDS, _expected, _of_record)


def model_digest(model: ImageClassifier) -> str:
    """By what a model is known again."""
    digest = hashlib.sha256(repr((model.classes, extractor_name(model.extractor), model.method)).encode())
    for network in model.networks:
        digest.update(repr((network.layer_sizes, network.activations, network.output)).encode())
        digest.update(np.ascontiguousarray(network.theta).tobytes())
    return digest.hexdigest()[:32]
