"""The numbers of a network as .safetensors: the length of a header in eight bytes, the header as JSON, the bytes of the arrays.

The format is simple enough to be written without its library. The arrays are W0, b0, W1, b1, ..., each W of shape (n_in, n_out),
and of several networks 0.W0, 0.b0, ...; the metadata say, as the format has it in strings, what is between them.
"""

from __future__ import annotations

import json

from fastmlp.formats.formula import Formula
from fastmlp.writing import FileKind, StrPath, replacing

SAFETENSORS = FileKind("safetensors that fastmlp wrote", (".safetensors",), rb'.{8}\{"__metadata__": \{"format": "fastmlp"')
ALIGNED = 8  # bytes: where the arrays begin, as the library has it
DTYPES = {"float32": "F32", "float64": "F64"}


def write_safetensors(path: StrPath, formula: Formula) -> None:
    tensors, several = {}, len(formula.networks) > 1
    for number, layers in enumerate(formula.networks):
        for layer, (weights, biases, _) in enumerate(layers):
            tensors[f"{f'{number}.' * several}W{layer}"] = weights
            if biases is not None:
                tensors[f"{f'{number}.' * several}b{layer}"] = biases
    metadata = {
        "format": "fastmlp",
        "text": ascii(formula.text)[1:-1],
        "activations": json.dumps([[layer.activation for layer in layers] for layers in formula.networks]),
        "combined": formula.combined,
    }
    if formula.classes is not None:
        metadata["classes"] = json.dumps(formula.labels)
    header, end = {"__metadata__": metadata}, 0
    entries = {}
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        entries[name] = {"dtype": DTYPES[array.dtype.name], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header | entries).encode()
    text += b" " * (-len(text) % ALIGNED)
    with replacing(path, SAFETENSORS) as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in tensors.values():
            file.write(array.astype(array.dtype.newbyteorder("<")).tobytes())
