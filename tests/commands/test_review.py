"""What `fastmlp review` lists, and the page that it and `fastmlp evaluate --report` write."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from command_line import IMAGES, TRAINING, assert_one_sentence, some_of_each

import fastmlp
from fastmlp.commands.main import main

HOW = ["--extractor", "ink", "--hidden", "4", "--epochs", "60", "--seed", "0"]


class Links(HTMLParser):
    """Where the links of a page lead."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "img", "path", "circle"):
            self.open.append(tag)
        self.found += [value for name, value in attributes if name == "href"]

    def handle_startendtag(self, tag, attributes):
        assert tag in ("path", "circle")

    def handle_endtag(self, tag):
        if tag == "circle":
            return
        while self.open and self.open[-1] in ("tr", "td", "th", "thead", "tbody", "li") and self.open[-1] != tag:
            self.open.pop()
        assert self.open.pop() == tag


@pytest.fixture
def mislabelled(tmp_path):
    folder = some_of_each(tmp_path / "dräwn & <b>", circle=10, line=10)
    shutil.copy(IMAGES / "tl-1.png", folder / "circle" / "a 'line'\n.png")
    return folder


def test_suspects_are_listed_and_shown(mislabelled, tmp_path, capsys):
    assert main(["review", str(mislabelled), *HOW]) == 0
    captured = capsys.readouterr()
    head = captured.out.splitlines()[0]
    assert head == "path,label,suggested,score_of_label,score_of_suggested" and "a 'line'\n.png" in captured.out
    assert re.fullmatch(r"fastmlp: \d+ of 21 images are taken for another class than that of their label\n", captured.err)
    table, page = tmp_path / "s.csv", tmp_path / "pages" / "s.html"
    page.parent.mkdir()
    assert main(["review", str(mislabelled), *HOW, "-o", str(table), "--report", str(page)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and table.read_text().startswith(head)
    text = page.read_text()
    links = Links(text).found
    assert links and all((page.parent / unquote(link)).exists() for link in links)
    assert str(mislabelled) not in text and "dräwn &amp; &lt;b&gt;" in text and "expected calibration error" in text
    assert text.count("<figure") == len(links)


def test_evaluate_has_such_a_page_too(classifier, mislabelled, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert main(["evaluate", str(classifier), str(mislabelled), "--report", str(page)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("21 rows")
    text = page.read_text()
    assert "Most surely another class" in text and "circle, taken for line" in text
    assert main(["evaluate", str(classifier), str(TRAINING), "--report", str(page)]) == 0
    assert "All images are taken for the class of their label." in page.read_text()


def test_what_cannot_be_written_is_told_before_anything_is_trained(classifier, mislabelled, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fastmlp, "review_folder", None)
    precious = tmp_path / "precious.html"
    precious.write_text("mine")
    for command in (["review", str(mislabelled)], ["evaluate", str(classifier), str(mislabelled)]):
        wrong = {"precious.html": "is not a page of --report", "page.csv": "ends in .html", "no/page.html": "no folder"}
        for name, part in wrong.items():
            assert main([*command, "--report", str(tmp_path / name)]) == 2
            assert_one_sentence(capsys.readouterr(), part)
    assert main(["review", str(mislabelled), "-o", str(precious)]) == 2
    assert_one_sentence(capsys.readouterr(), "ends in .csv")
    assert precious.read_text() == "mine" and not Path(tmp_path / "page.csv").exists()
