"""What is told on stderr while one waits: what compiles, how far a training has come, how long it still takes."""

import io
import re
import signal
import subprocess
import sys
import threading
import time

import numba
import numpy as np
import pytest

import fastmlp
from fastmlp import progress
from fastmlp.commands import warmup_steps as warmup
from fastmlp.kernels import cache, notice
from fastmlp.kernels.apart import end_if_nobody_waits, in_own_thread
from fastmlp.kernels.compile import jit, noticed_by
from fastmlp.progress import Progress, clock
from fastmlp.training import epochs, population_training

X = np.random.default_rng(0).normal(size=(200, 3))
Y = X[:, 0] > 0
TOLD = "fastmlp: compiling the tests (float64), once: ~7 s"

compiled_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


class Screen(io.StringIO):
    """A terminal, and what can be read on it at last."""

    def isatty(self):
        return True

    def lines(self):
        lines = []
        for line in self.getvalue().split("\n"):
            cells = ""
            for text in line.split("\r"):
                cells = text + cells[len(text) :]
            lines.append(cells.rstrip())
        return lines


class Notebook(Screen):
    def isatty(self):
        return False


Notebook.__module__ = "ipykernel.iostream"


@pytest.fixture
def watch(monkeypatch):
    """Puts something in the place of stderr; within the test, as pytest does so before it."""

    def put(screen):
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return put


@pytest.fixture(autouse=True)
def line(request, monkeypatch):
    """Our own, but where a test asks for a bar."""
    if "bar" not in request.fixturenames:
        monkeypatch.setitem(sys.modules, "tqdm", None)


@pytest.fixture
def bar(monkeypatch):
    """That of tqdm, in a process that has it, and no outer one."""
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setenv("TQDM_ASCII", " #")
    monkeypatch.setenv("COLUMNS", "80")
    return pytest.importorskip("tqdm.std").tqdm


@pytest.fixture
def kernel(monkeypatch):
    """A kernel that has to be compiled."""

    def tenfold(x):
        return 10 * x[1]

    monkeypatch.setattr(cache, "FOLDERS", [])
    monkeypatch.setitem(notice.EXPECTED, f"test_progress.{tenfold.__qualname__}", ("the tests", 7))
    return jit(tenfold)


# -- Compiling -----------------------------------------------------------------------------------------------------------------


@compiled_only
@pytest.mark.parametrize("stream", [Screen, Notebook])
def test_a_compile_is_told_once_where_somebody_looks_and_wiped_off(kernel, watch, stream):
    screen = watch(stream())
    for _ in range(2):
        assert kernel(X[0]) == 10 * X[0, 1]
    assert screen.getvalue().count(f"\r{TOLD} ") == screen.getvalue().count("compiling") == 1
    assert screen.lines() == [""]


@compiled_only
def test_elsewhere_it_is_told_if_progress_is_to_be_shown(kernel, capsys):
    kernel(X[0])
    assert capsys.readouterr() == ("", "")
    with Progress(True).of(lambda: ("done", 1.0)):
        kernel(X[0].astype(np.float32))
    assert capsys.readouterr().err == TOLD.replace("64", "32") + "\ndone  0:00:00\n"
    kernel(X[0].astype(complex))
    assert capsys.readouterr() == ("", "")


@compiled_only
def test_parts_of_a_function_that_is_not_ours_are_not_told(kernel, watch):
    screen = watch(Screen())

    @numba.njit
    def theirs(x):
        return kernel(x)

    theirs(X[0])
    assert screen.getvalue() == ""


@compiled_only
def test_a_compile_that_fails_leaves_no_line_and_the_next_one_is_told(kernel, watch):
    screen = watch(Screen())
    with pytest.raises(numba.TypingError):
        kernel(1.0)
    assert screen.lines() == [""]
    before = len(screen.getvalue())
    kernel(X[0])
    assert "compiling" in screen.getvalue()[before:]


@compiled_only
def test_a_compile_does_without_a_stderr(kernel, watch):
    closed = Screen()
    closed.close()
    for stream, x in ((None, X[0]), (closed, X[0].astype(np.float32))):
        watch(stream)
        assert kernel(x) == 10 * x[1]


def test_a_notice_fits_on_a_line(watch):
    for kernel in notice.EXPECTED:
        screen = watch(Screen())
        notice.Notice().begin(kernel, "float64")
        assert screen.lines()[0].endswith(" s"), kernel


@compiled_only
def test_ctrl_c_ends_a_compile_and_the_next_one_is_whole(kernel, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "FOLDERS", [tmp_path])

    class Impatient(notice.Notice):
        def begin(self, name, dtype):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.05)

    before = set(threading.enumerate())
    with noticed_by(Impatient()), pytest.raises(KeyboardInterrupt):
        kernel(X[0])
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert not kernel.signatures and not list(tmp_path.iterdir())
    assert kernel(X[0]) == 10 * X[0, 1]
    assert len(kernel.signatures) == len(list(tmp_path.iterdir())) == 1


@compiled_only
@pytest.mark.parametrize("awake", [True, False])  # or the main thread sleeps on, as where that comes when it is about to wait
def test_who_waits_for_a_long_compile_is_interrupted_at_once(awake):
    nobody_waits, waited = threading.Event(), []

    @in_own_thread
    def long():
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident if awake else threading.get_ident(), signal.SIGINT)
        waited.append(nobody_waits.wait(60))
        end_if_nobody_waits()

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        long()
    nobody_waits.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert waited == [True]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# -- Training ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (fastmlp.train, r"epoch {}/50  loss [\d.e-]+  validation [\d.e-]+"),
        (lambda *data, **options: fastmlp.train_many(*data, members=3, **options), r"epoch {}/50  {} of 3 networks done"),
    ],
)
def test_a_line_tells_the_epoch_of_how_many_and_the_time_left_and_at_last_the_truth(train, words, watch, monkeypatch):
    screen = watch(Screen())
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    options = {"seed": 0, "validation": 0.2, "on_epoch": lambda *_: None}
    train(X, Y, epochs=50, progress=True, **options)
    seen = re.findall("\r" + words.format(r"(\d+)", 0) + r"  \d+:\d\d:\d\d left", screen.getvalue())
    assert len(seen) > 40 and sorted(map(int, seen)) == list(map(int, seen))
    last, after = screen.lines()
    assert re.fullmatch(f"{words.format(50, 3)}  \\d+:\\d\\d:\\d\\d", last) and after == ""


def test_a_training_that_ends_early_says_when(watch):
    screen = watch(Screen())
    history = fastmlp.train(X, Y, epochs=5000, target_loss=0.3, progress=True, seed=0).history
    assert 0 < history.epochs < 5000
    assert screen.lines()[0].startswith(f"epoch {history.epochs}/5000  loss {history.loss[-1]:.6g}  0:0")


@pytest.mark.parametrize("options", [{}, {"halving": 3}, {"batch_size": None}, {"batch_size": 1, "optimizer": "sgd"}])
def test_the_share_that_is_done_grows_from_nothing_to_all(options, monkeypatch):
    monkeypatch.setattr(population_training, "WAVE_BYTES", 1)  # of those that need not go in step
    shares = []

    class Recorded(Progress):
        def __init__(self, shown):
            super().__init__(True)

        def update(self):
            shares.append(self._state()[1])

        def _show(self, text, last=False):
            shares.append(self._state()[1])

    monkeypatch.setattr(epochs, "Progress", Recorded)
    fastmlp.train_many(X, Y, members=150, epochs=30, seed=0, threads=1, **options)
    assert shares == sorted(shares) and shares[0] < 0.5 and shares[-1] == 1


def test_where_lines_stay_there_are_few_of_them(capsys, monkeypatch):
    fastmlp.train(X, Y, epochs=1)  # or what compiles would be told
    for interval in (progress.LOGGED, 0.0):
        monkeypatch.setattr(progress, "LOGGED", interval)
        fastmlp.train(X, Y, epochs=20, progress=True, on_epoch=lambda *_: None)
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == (21 if interval == 0 else 1)
        assert re.fullmatch(r"epoch 20/20  loss [\d.e-]+  0:00:0\d", lines[-1])
        assert all(re.fullmatch(r"epoch \d+/20  loss [\d.e-]+(  0:00:00 left)?", line) for line in lines[:-1])


def test_a_clock():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3600)] == ["0:00:00", "0:01:00", "1:00:00"]


# -- Where tqdm is installed ------------------------------------------------------------------------------------------------------


BAR = r" \|#* *\|"


@pytest.mark.parametrize("stream", [Screen, Notebook])
def test_a_bar_shows_the_same_words(stream, bar, watch, monkeypatch):
    screen = watch(stream())
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    history = fastmlp.train(X, Y, hidden=4, epochs=20, seed=0, progress=True, on_epoch=lambda *_: None).history
    seen = re.findall(r"\repoch (\d+)/20  loss [\d.e-]+  \d:\d\d:\d\d left" + BAR, screen.getvalue())
    assert len(seen) > 10 and sorted(map(int, seen)) == list(map(int, seen))
    last, after = screen.lines()
    assert re.fullmatch(rf"epoch 20/20  loss {history.loss[-1]:.6g}  0:00:0\d \|#+\|", last) and after == ""
    assert len(last) == 79 or stream is Notebook
    assert not bar._instances and bar.monitor is None


@compiled_only
@pytest.mark.parametrize("stays", [True, False])
def test_what_compiles_meanwhile_is_told_in_the_bar(stays, bar, kernel, watch):
    screen = watch(Screen())
    with Progress(True).of(lambda: ("half {done}", 0.5), stays=stays) as show:
        show()
        kernel(X[0])
        assert f"\r{TOLD} |" in screen.getvalue()
        assert re.match(r"half \{done\} \|#+ +\|", screen.lines()[0])
    assert screen.lines() == ([f"half {{done}}  0:00:00 |{56 * '#'}|", ""] if stays else [""])


def test_a_bar_below_that_of_the_caller_leaves_it_as_it_was(bar, watch):
    screen = watch(Screen())
    with bar(total=4, bar_format="theirs {n}") as theirs:
        theirs.update(1)
        fastmlp.train(X, Y, hidden=4, epochs=3, seed=0, progress=True)
        theirs.update(1)
        theirs.refresh()
    assert "\n\repoch 3/3" in screen.getvalue() and "\x1b[A" in screen.getvalue()
    assert screen.getvalue().rstrip("\n ").endswith("\rtheirs 2")


@pytest.mark.parametrize("fails", ["__init__", "refresh", "close"])
def test_whatever_is_the_matter_with_tqdm_the_training_goes_on(fails, bar, watch, monkeypatch):
    def failing(self, *args, **options):
        if not getattr(self, "disable", False):
            raise RuntimeError(fails)

    screen = watch(Screen())
    monkeypatch.setattr(bar, fails, failing)
    network = fastmlp.train(X, Y, hidden=4, epochs=3, seed=0, progress=True)
    assert network.history.epochs == 3
    assert fails == "close" or re.fullmatch(r"epoch 3/3  loss [\d.e-]+  0:00:0\d", screen.lines()[-2])


def test_an_error_and_ctrl_c_leave_the_bar_where_it_was_and_the_terminal_in_order(bar, watch):
    screen = watch(Screen())
    for error in KeyboardInterrupt, ZeroDivisionError:
        with pytest.raises(error), Progress(True).of(lambda: ("half", 0.5)) as show:
            show()
            raise error
    assert screen.lines() == [f"half  0:00:00 |{31 * '#'}{32 * ' '}|"] * 2 + [""]
    assert not bar._instances


def test_tqdm_is_imported_where_a_bar_is_shown_alone():
    program = """
import sys
import numpy as np
import fastmlp
fastmlp.train(np.ones((4, 1)) * [[1], [2], [3], [4]], [1.0, 2.0, 3.0, 4.0], hidden=2, epochs=1, progress=True)
sys.exit("tqdm" in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr


# -- Warming up ----------------------------------------------------------------------------------------------------------------


@compiled_only
def test_warming_up_shows_each_kernel_as_it_goes_and_what_is_left(kernel, watch, monkeypatch):
    screen = watch(Screen())
    name = next(reversed(notice.EXPECTED))
    ready = warmup.Step(lambda: None, ("batch.train_by_batches",))
    parts = {"mine": [warmup.Step(lambda: kernel(X[0]), (name,)), ready, ready], "another": [ready]}
    monkeypatch.setattr(warmup, "PARTS", parts)
    said = []
    warmup.warm_up(["mine"], said.append)
    (line,) = said
    assert re.fullmatch(rf"{name} in float64: \d+\.\d s", line)
    seconds = 2 * notice.EXPECTED["batch.train_by_batches"][1]
    shown = screen.getvalue().replace("\r", "").split("  ")[0]
    assert shown == f"{name} in float64: about 7 s; after it 2 more, about {seconds} s"[: len(shown)] and len(shown) > 70
    assert screen.lines() == [""]
    with pytest.raises(ValueError, match="must be one of 'another', 'mine'; got 'minne'"):
        warmup.warm_up(["mine", "minne"], said.append)


def test_kernels_that_compile_side_by_side_share_the_line(watch):
    screen, said = watch(Screen()), []
    steps = [warmup.Step(lambda: None, kernels) for kernels in (("batch.chunk_losses",), ("names.sort_names", "files.read_files"))]
    warming = warmup.Warming(said.append, steps)
    warming.hear(0, "begin", "batch.chunk_losses", "float32")
    warming.hear(1, "begin", "names.sort_names", None)
    both = "batch.chunk_losses in float32 and names.sort_names: about 3 s; after them 1 more, about 6 s"
    assert both.startswith(screen.lines()[-1].rstrip()) and "; after" in screen.lines()[-1]
    warming.hear(0, "end", "batch.chunk_losses", "float32", 6.0)
    warming.hear(0, "over")
    assert said == ["batch.chunk_losses in float32: 6.0 s"]
    assert screen.lines()[-1].rstrip() == "names.sort_names: about 6 s; after it 1 more, about 24 s"
    warming.hear(1, "end", "names.sort_names", None, 3.0)
    assert screen.lines()[-1].rstrip() == ""


def test_each_part_names_kernels_that_there_are():
    names = {name for steps in warmup.PARTS.values() for step in steps for name in step.kernels}
    assert names == set(notice.EXPECTED)
    for name in names:
        module, function = name.split(".")
        rooms = [sys.modules.get(f"fastmlp.kernels.{folder}{module}") for folder in ("", "images.")]
        assert any(callable(getattr(room, function, None)) for room in rooms)


@compiled_only
def test_what_is_told_to_another_is_told_there_alone(kernel, watch):
    screen = watch(Screen())
    heard = []

    class Listener(notice.Notice):
        def begin(self, name, dtype):
            heard.append(dtype)

        def end(self, name, dtype, seconds):
            heard.append(seconds > 0)

    with noticed_by(Listener()):
        kernel(X[0])
    assert heard == ["float64", True] and screen.getvalue() == ""
