"""Rows of verdicts, damaged by structure: they are read again, or refused in one sentence that names the file."""

import json
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp.commands.classification.resuming import Samples, read_rows, settled
from fastmlp.commands.classification.rows import CsvRows, JsonRows
from tests.torture.attack import Found
from tests.torture.npz import damaged
from tests.torture.values import ODD, at_random

LONGEST = 600  # characters of a message
CLASSES = ["circle", "line"]
NETWORK = fastmlp.MLP.from_weights([np.ones((3, 2))], [np.zeros(2)], output="softmax", classes=CLASSES)
MODEL = fastmlp.ImageClassifier(CLASSES, (NETWORK,), "ink", "softmax")


def some_rows(rng: np.random.Generator) -> tuple[bytes, bytes]:
    """The head of an output, and its rows, CSV or JSON lines."""
    scores = rng.random((int(rng.integers(1, 7)), 2)).round(6)
    records = [
        {"path": f"{k}.png", "label": CLASSES[int(b > a)], "scores": {"circle": a, "line": b}, "status": "ok", "error": None}
        for k, (a, b) in enumerate(scores.tolist())
    ]
    failed = {"label": None, "scores": None, "status": str(rng.choice(["failed", "retry"])), "error": "it is damaged"}
    records[int(rng.integers(len(records)))].update(failed)
    records[0]["path"] = 'a, "b"\n\u00e9'
    if rng.random() < 0.5:
        for _ in range(rng.integers(0, 3)):
            where, key = at_random(rng, records)
            where[key] = ODD[rng.integers(len(ODD))]
        return b"", "".join(json.dumps(record) + "\n" for record in records).encode()
    lines = ["path,label,score_circle,score_line,status,error"]
    for record in records:
        path = '"' + record["path"].replace('"', '""') + '"' if "," in record["path"] else record["path"]
        numbers = [f"{score:.6f}" for score in record["scores"].values()] if record["scores"] else ["", ""]
        lines.append(",".join([path, record["label"] or "", *numbers, record["status"], record["error"] or ""]))
    return f"{lines[0]}\n".encode(), "".join(f"{line}\n" for line in lines[1:]).encode()


def read_again(rng: np.random.Generator, path: Path) -> str:
    """What comes of an output."""
    head, body = some_rows(rng)
    if rng.random() < 0.6:
        body = damaged(body, rng)
    path.write_bytes(head + body)
    rows, samples = (CsvRows if head else JsonRows)(CLASSES), Samples()
    try:
        for _, verdicts in read_rows(str(path), rows):
            left = settled(verdicts, retry_failed=bool(rng.random() < 0.5))
            samples.add(left)
            rows.text(left).encode("utf-8", "surrogateescape")
        samples.check(str(path), MODEL, _nothing)
    except ValueError as error:
        if type(error) is not ValueError or f"{path} cannot be continued" not in str(error) or len(str(error)) > LONGEST:
            raise Found(f"a message: {error!r:.500}", rows=head + body) from error
        return "rows refused"
    except Exception as error:
        raise Found(f"reading raises {error!r:.500}", rows=head + body) from error
    return "rows read"


def _nothing(path: str) -> bytes:
    assert isinstance(path, str)
    raise ValueError
