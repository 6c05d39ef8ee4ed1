"""Commands whose source is a URL."""

from pathlib import Path

import pytest
from command_line import rows_of
from drawings import TRUNCATED, write_bars

from fastmlp.commands.main import main

fsspec = pytest.importorskip("fsspec")
from fsspec.implementations.memory import MemoryFileSystem  # noqa: E402


@pytest.fixture(autouse=True)
def bars(tmp_path, monkeypatch):
    """A folder of drawings, in memory too, and a model of them; the names that commands give what lies in memory begin alike."""
    monkeypatch.setattr(MemoryFileSystem, "store", {})
    monkeypatch.setattr(MemoryFileSystem, "pseudo_dirs", [""])
    monkeypatch.chdir(tmp_path)
    write_bars(Path("bars/upright"), True, range(14))
    write_bars(Path("bars/lying"), False, range(14))
    for path in Path("bars").rglob("*.png"):
        fsspec.filesystem("memory").pipe(f"/{path.as_posix()}", path.read_bytes())
    return Path("bars")


def trained(source, name):
    options = ["--extractor", "pixels", "--hidden", "4", "--epochs", "30", "--seed", "3"]
    assert main(["train", source, "-o", name, *options]) == 0
    return name


def test_every_command_says_the_same_of_a_url_as_of_the_folder(capsys):
    model, other = trained("bars", "model.npz"), trained("memory://bars", "other.npz")
    told = []
    for source, name in (("bars", model), ("memory://bars", other)):
        capsys.readouterr()
        assert main(["classify", name, source]) == main(["features", source]) == main(["evaluate", name, source]) == 0
        told.append(capsys.readouterr().out.replace(source, "SOURCE"))
    assert told[0] == told[1] and "accuracy" in told[0]


def test_resume_goes_on_with_rows_of_a_url_and_pages_show_its_images(bars, capsys):
    model = trained("memory://bars", "model.npz")
    fsspec.filesystem("memory").pipe("/bars/torn.png", TRUNCATED)
    assert main(["classify", model, "memory://bars", "-o", "rows.csv"]) == 1
    whole = Path("rows.csv").read_bytes()
    Path("rows.csv").write_bytes(whole[:600])
    capsys.readouterr()
    assert main(["classify", model, "memory://bars", "-o", "rows.csv", "--resume", "--report", "page.html"]) == 1
    assert Path("rows.csv").read_bytes() == whole
    page = Path("page.html").read_text()
    assert page.count("data:image/png") >= 2 and '<a href="memory' not in page and 'class="gone"' not in page
    fsspec.filesystem("memory").pipe("/bars/lying/wrong.png", (bars / "upright" / "003.png").read_bytes())
    assert main(["evaluate", model, "memory://bars", "--report", "mistakes.html"]) == 0
    assert main(["review", "memory://bars", "-o", "suspects.csv", "--report", "labels.html", "--epochs", "9"]) == 0
    for name in ("mistakes.html", "labels.html"):
        page = Path(name).read_text()
        assert "data:image/png" in page and '<a href="memory' not in page and 'class="gone"' not in page


def test_several_sources_and_one_that_is_not_there(bars, capsys):
    model = trained("bars", "model.npz")
    capsys.readouterr()
    assert main(["classify", model, "memory://bars/lying", "bars/upright", "memory://none", "s3://me:secret@b/x.png"]) == 1
    out = capsys.readouterr().out
    paths = [row[0] for row in rows_of(out.encode())[1:]]
    assert paths == [
        *(f"memory://bars/lying/{number:03}.png" for number in range(14)),
        *(f"bars/upright/{number:03}.png" for number in range(14)),
        "memory://none",
        "s3://b/x.png",
    ]
    assert "memory://none cannot be read: No such file or directory" in out and "secret" not in out


def test_a_wrong_url_is_one_sentence(capsys):
    model = trained("bars", "model.npz")
    for words, told in (
        (["classify", model, "memory://none"], "memory://none does not exist"),
        (["features", "nobody://me:secret@host/a"], "nobody://host/a cannot be read: Protocol not known: nobody"),
        (["train", "memory://none", "-o", "new.npz"], "memory://none does not exist"),
        (["sort", model, "memory://bars", "sorted"], "memory://bars must be a folder or an archive on this machine, and is a URL"),
    ):
        capsys.readouterr()
        assert main(words) == 2
        assert capsys.readouterr().err == f"fastmlp: {told}\n"
