"""What commands have written, as bytes that are alike where it is."""

import json
from importlib.util import find_spec
from pathlib import Path

PARQUET = find_spec("pyarrow") is not None
MANIFEST, SORT_LOG = "_manifest.json", "sort-log.jsonl"


def content_of(path: Path) -> bytes:
    """That of a file; of a folder of Parquet a line for each row of the parts that its manifest names."""
    if not path.is_dir():
        return path.read_bytes()
    if not (path / MANIFEST).exists():
        return b""
    from pyarrow import parquet

    named = [part["name"] for part in json.loads((path / MANIFEST).read_text())["parts"]]
    rows = [row for name in named for row in parquet.read_table(path / name).to_pylist()]
    return b"".join(f"{row}\n".encode() for row in rows)


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, and of those in it; a folder of Parquet is one, and of the log of sorting only that it is there."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and path.suffix == ".parquet":
            found[name] = content_of(path)
            found |= {f"{name}/{left.name}": left.read_bytes() for left in path.glob(".*")}
        elif path.is_file() and path.parent.suffix != ".parquet":
            found[name] = b"" if path.name == SORT_LOG else path.read_bytes()
    return found
