"""fastmlp train, predict, evaluate and info with tables: what they tell, what they write, and what they reject."""

import csv
import re
import signal

import numpy as np
import pytest
from command_line import TRAINING, assert_one_sentence, exits, rows_of
from processes import PATIENCE, at_terminal

import fastmlp
from fastmlp.commands.main import main
from fastmlp.tables import table_training

ROWS = 120


@pytest.fixture
def table(tmp_path):
    draws = np.random.default_rng(0)
    with open(tmp_path / "houses.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "town", "area", "heated", "price"])
        for number in range(ROWS):
            town, area, heated = ["Kiel", "Ulm", "Bonn"][draws.integers(3)], round(draws.uniform(30, 200), 1), draws.random() < 0.5
            rows.writerow([f"h{number}", town, area, str(heated).lower(), round(area * (2 + (town == "Ulm")) + 60 * heated)])
    return tmp_path / "houses.csv"


@pytest.fixture
def model(table, tmp_path, capsys):
    """That of prices, saved."""
    assert main(["train", str(table), "--target", "price", "-o", str(tmp_path / "m.npz"), "--epochs", "100", "--seed", "0"]) == 0
    capsys.readouterr()
    return tmp_path / "m.npz"


def test_training_tells_what_the_columns_are_how_good_it_is_and_what_matters(table, tmp_path, capsys):
    path = tmp_path / "m.npz"
    assert main(["train", str(table), "--target", "price", "-o", str(path), "--epochs", "100", "--seed", "0"]) == 0
    captured = capsys.readouterr()
    assert re.fullmatch(r"fastmlp: 120 rows, 5 columns, read in \d\.\d s\nfastmlp: trained in \d+\.\d s\n", captured.err)
    same = fastmlp.train_table(table, "price", epochs=100, seed=0)
    loaded = fastmlp.load(path)
    assert loaded.networks[0].theta.tobytes() == same.networks[0].theta.tobytes() and loaded.made_with == same.made_with
    found = same.made_with["validation"]
    lines = captured.out.splitlines()
    assert lines[0] == "id      ignored   all texts are different"
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["town", "category"], ["area", "number"], ["heated", "category"], ["price", "target"],
    ]  # fmt: skip
    assert lines[5] == "predicts price of tables: numbers" and lines[6].startswith("6-100-1, relu, identity output")
    ours = f"held out: 24 rows, R2 {found['r2']:.4g}, MAE {found['mae']:.4g}"
    assert lines[7] == f"{ours}; the mean alone R2 {found['mean']:.4g}, MAE {found['mean_mae']:.4g}"
    assert lines[8] == "what matters, by how much R2 drops where a column is shuffled:" and lines[9].split()[0] == "area"
    assert main(["info", str(path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [line for line in lines if not line.startswith("price")]


def test_predictions_are_rows_in_the_order_of_the_table(model, table, tmp_path, capsys):
    out = tmp_path / "out.csv"
    assert main(["predict", str(model), str(table), "-o", str(out)]) == 0
    rows = rows_of(out.read_bytes())
    assert rows[0] == ["prediction"] and len(rows) == ROWS + 1
    assert [float(value) for (value,) in rows[1:]] == fastmlp.load(model).predict_table(table).tolist()
    assert main(["predict", str(model), str(table), "-o", str(out)]) == 0  # such a file is written over
    assert main(["predict", str(model), str(table)]) == main(["predict", str(model), str(table), "-o", "-"]) == 0
    assert capsys.readouterr().out == 2 * out.read_text()
    assert main(["evaluate", str(model), str(table)]) == 0
    assert capsys.readouterr().out == f"{fastmlp.load(model).evaluate(table)}\n"


def test_of_classes_the_probabilities_are_told(table, tmp_path, capsys):
    path = tmp_path / "m.npz"
    options = ["--members", "3", "--ensemble", "--epochs", "5", "--seed", "0", "--ignore", "id,price"]
    assert main(["train", str(table), "--target", "town", "-o", str(path), *options]) == 0
    out = capsys.readouterr().out
    assert "member  seed" in out and "3 of 3-100-3" in out and "the most frequent class alone 0." in out
    assert main(["predict", str(path), str(table)]) == 0
    rows = rows_of(capsys.readouterr().out.encode())
    assert rows[0] == ["prediction", "probability_Bonn", "probability_Kiel", "probability_Ulm"]
    model = fastmlp.load(path)
    assert [row[0] for row in rows[1:]] == model.predict_table(table).tolist()
    np.testing.assert_allclose(np.array([row[1:] for row in rows[1:]], float), model.predict_proba(table), atol=5.1e-7)


def test_sweeps_folds_and_what_is_said_of_columns(table, tmp_path, capsys):
    path = tmp_path / "m.npz"
    begin = ["train", str(table), "--target", "heated", "-o", str(path), "--epochs", "4", "--seed", "0"]
    assert main([*begin, "--hidden", "4/8", "--learning-rate", "0.01,0.03", "--halving", "2"]) == 0
    assert len(re.findall(r"^ +\d ", capsys.readouterr().out, re.MULTILINE)) == 4
    assert main([*begin, "--cv", "3", "--categories", "town", "--task", "classification"]) == 0
    assert "3 folds: 120 rows, accuracy 0." in capsys.readouterr().out
    lines = table.read_text().splitlines(keepends=True)
    table.write_text("".join([lines[0].replace(",", ";"), lines[1].replace(",", ";").replace(".", ",").replace("Ulm", ""),
                              *(line.replace(",", ";").replace(".", ",") for line in lines[2:])]))  # fmt: skip
    assert main([*begin, "--impute", "median", "--decimal", ",", "--delimiter", ";"]) == 0
    assert main(["predict", str(path), str(table), "--decimal", ",", "--delimiter", ";"]) == 0


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--target", "prize"], ["got 'prize' (did you mean 'price'?)", "has id, town, area, heated, price"]),
        ([], ["--target must name the column to predict: one of id, town, area, heated, price"]),
        (["--target", "price", "--method", "softmax"], ["--method is for folders of images; ", "is a table"]),
        (["--target", "price", "--extractor", "ink"], ["--extractor is for folders of images"]),
        (["--target", "price", "--yes"], ["--yes is for folders of images"]),
        (["--target", "id"], ["the target 'id' has 120 different texts in 120 rows: no classes"]),
        (["--target", "price", "--ignore", "nothing"], ["ignore must name columns beside the target; got 'nothing'"]),
        (["--target", "price", "--cv", "3", "--members", "2"], ["cv measures one network"]),
        (["--target", "price", "--cv", "3", "--validation", "0.3"], ["--cv measures by folds", "give it without --validation"]),
        (["--target", "price", "--cv", "3", "--patience", "2"], ["cv holds out no rows", "give it without patience"]),
        (["--target", "price", "--delimiter", "ab"], ["delimiter must be one character, or tab; got 'ab'"]),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_nothing_is_written(words, parts, table, tmp_path, capsys):
    assert main(["train", str(table), "-o", str(tmp_path / "m.npz"), *words]) == 2
    captured = capsys.readouterr()
    sentences = [line for line in captured.err.splitlines() if "read in" not in line]
    assert len(sentences) == 1 and all(part in sentences[0] for part in parts)
    assert not (tmp_path / "m.npz").exists()


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n3\n", "has 2 columns, but 1 cells in line 3"),
        ("a,b\n1,2\n".encode("utf-16"), "seems to be in UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0", "is no text"),
        (b"a,b\n" + b"1,2\n" * 5, "must have at least 10 rows"),
        (b"a,b\n" + b"1,2\n" * 50, "must vary"),
        (b"a,b\n" + b"1,2\n,3\n" * 50, "column 'a' is missing in row 2 (line 3), as are 49 more"),
    ],
)
def test_bad_tables_are_one_sentence(text, part, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(text)
    assert main(["train", str(tmp_path / "t.csv"), "--target", "b", "-o", str(tmp_path / "m.npz")]) == 2
    assert_one_sentence(capsys.readouterr(), "t.csv", part)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_a_folder_goes_on_to_make_an_image_classifier(tmp_path, capsys):
    assert main(["train", str(TRAINING), "--target", "x", "-o", str(tmp_path / "m.npz")]) == 2
    assert_one_sentence(capsys.readouterr(), f"--target is for tables; {TRAINING} is none")
    assert main(["train", str(tmp_path / "none.csv"), "--target", "x", "-o", str(tmp_path / "m.npz")]) == 2
    assert_one_sentence(capsys.readouterr(), "none.csv: No such file or directory")


@pytest.mark.filterwarnings("always:.* has (columns|categories) that:UserWarning")
def test_columns_at_prediction_are_told(model, table, tmp_path, capsys):
    lines = table.read_text().splitlines()
    table.write_text("\n".join(f"{line},{number or 'more'}" for number, line in enumerate(lines)))
    assert main(["predict", str(model), str(table), "-o", str(tmp_path / "p.csv")]) == 0
    told = f"fastmlp: {table} has columns that the model was not trained with, which are ignored: more\n"
    assert capsys.readouterr().err == told
    table.write_text("\n".join(lines).replace("Ulm", "Rome", 2))
    assert main(["predict", str(model), str(table), "-o", str(tmp_path / "p.csv")]) == 0
    told = (
        f"fastmlp: {table} has categories that were not in the training, which count as others: column 'town' in 2 cells, such as"
    )
    assert capsys.readouterr().err == f"{told} 'Rome'\n"
    table.write_text("\n".join(line.partition(",")[2].partition(",")[2] for line in lines))
    assert main(["predict", str(model), str(table), "-o", str(tmp_path / "q.csv")]) == 2
    assert_one_sentence(capsys.readouterr(), "lacks the column 'town', which the model was trained with")
    assert not list(tmp_path.glob("q*"))


def test_a_model_of_another_kind_is_told(model, classifier, table, tmp_path, capsys):
    for words, part in (
        (["predict", classifier, table], "holds an image classifier, which fastmlp classify asks, not a model of tables"),
        (["classify", model, TRAINING], "holds a model of tables, not an image classifier"),
        (["evaluate", model, TRAINING], "is a folder, not a table"),
        (["evaluate", model, table, "--all"], "--all is for image classifiers"),
        (["evaluate", classifier, TRAINING, "--decimal", ","], "--decimal is for models of tables"),
        (["predict", model, table, "-o", table], "it is one of the files that are read"),
        (["predict", model, table, "-o", tmp_path / "p.txt"], "the name of predictions as CSV ends in .csv"),
    ):
        assert main(list(map(str, words))) == 2
        assert_one_sentence(capsys.readouterr(), part)
    fastmlp.train(np.eye(4), [0.5, 1, 0, 1], epochs=1, hidden=2).save(tmp_path / "a.npz")
    assert main(["predict", str(tmp_path / "a.npz"), str(table)]) == 2
    assert_one_sentence(capsys.readouterr(), "holds what is for arrays of features, not a model of tables")


def test_files_of_the_user_are_not_written_over(model, table, tmp_path, capsys):
    mine = tmp_path / "mine.csv"
    mine.write_text("mine\n")
    assert main(["predict", str(model), str(table), "-o", str(mine)]) == 2
    assert_one_sentence(capsys.readouterr(), "it is there and is not predictions as CSV")
    assert mine.read_text() == "mine\n"


def test_help_has_examples_and_exit_codes(capsys):
    for command in "train", "predict", "evaluate":
        code, captured = exits(f"{command} --help", capsys)
        assert code == 0 and "examples:" in captured.out and "exit code: 0 all is well" in captured.out
    assert "--target COLUMN" in exits("train --help", capsys)[1].out


@pytest.mark.filterwarnings("always:training on all rows was interrupted:RuntimeWarning")
def test_ctrl_c_while_all_rows_are_trained_on_keeps_what_was_trained_before(table, tmp_path, monkeypatch, capsys):
    def interrupted(*arrays, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("fastmlp.training.refitting.train", interrupted)
    assert main(["train", str(table), "--target", "price", "-o", str(tmp_path / "m.npz"), "--epochs", "3"]) == 130
    assert "fastmlp: training on all rows was interrupted; " in capsys.readouterr().err
    kept = fastmlp.load(tmp_path / "m.unfinished.npz")
    assert kept.made_with["validation"]["refit"] == "interrupted"


def test_ctrl_c_leaves_the_network_so_far(table, tmp_path):
    def heard():
        signal.signal(signal.SIGINT, signal.default_int_handler)

    command = ["train", table, "--target", "price", "-o", tmp_path / "m.npz", "--epochs", "10000000", "--hidden", "4"]
    with at_terminal(*command, start=heard, streams=["stderr"]) as (process, person):
        person.wait_for(r"\repoch [1-9]")
        process.send_signal(signal.SIGINT)
        person.wait_for("so far is in .*m.unfinished.npz")
        assert process.wait(PATIENCE) == 130
        assert "Traceback" not in person.rest()
    assert fastmlp.load(tmp_path / "m.unfinished.npz").networks[0].history.stopped_by == "interrupt"


def test_the_defaults_of_the_command_and_of_python_are_the_same():
    from fastmlp.commands import train

    assert train.HELD_OUT == table_training.HELD_OUT
