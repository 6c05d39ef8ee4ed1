"""What commands have written, as bytes that are alike where it is."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

PARQUET = find_spec("pyarrow") is not None
MANIFEST, SORT_LOG = "_manifest.json", "sort-log.jsonl"


def content_of(path: Path) -> bytes:
    """That of a file, of a page without the minute when it was made; of a folder of Parquet a line for each row of the parts that
    its manifest names."""
    if not path.is_dir():
        return re.sub(rb"(?<=<dt>Made</dt><dd>)[^<]*", b"", path.read_bytes())
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
            found[name] = b"" if path.name == SORT_LOG else content_of(path)
    return found
