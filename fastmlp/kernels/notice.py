"""What is told on stderr while a kernel compiles: what it is for, that it happens once, and about how long it takes.

Where somebody looks, on a terminal or in a notebook, that is a line which is gone afterwards. Elsewhere nothing is told unless it
was asked for; then the line stays.
"""

import shutil
import sys
from contextlib import contextmanager, suppress

# What the kernels are for, and the seconds that compiling them took (Xeon at 2.5 GHz). The others are done before one has read it.
EXPECTED = {
    "tar_headers.walk_tar": ("the list of a tar file", 4),
    "zip_headers.walk_zip": ("the list of a zip file", 2),
    "batch.chunk_losses": ("loss and gradient", 3),
    "batch.wide_chunk_losses": ("loss and gradient", 3),
    "batch.train_by_batches": ("training", 8),
    "batch.train_wide_by_batches": ("training", 7),
    "inference.predict": ("prediction", 3),
    "inference.predict_few": ("prediction by a small network", 4),
    "jacobian.jacobian_of_rows": ("derivatives", 5),
    "jacobian.forward_products": ("derivatives", 4),
    "jacobian.backward_products": ("derivatives", 4),
    "files.read_files": ("reading of images", 12),
    "features.ink_features": ("features of images", 2),
    "features.pixel_features": ("features of images", 2),
    "strokes.stroke_features": ("features of images", 6),
    "gray.gray_features": ("features of images", 4),
    "distort.distort": ("copies of images", 4),
    "names.sort_names": ("sorting of names", 3),
    "lbfgs.minimize": ("L-BFGS", 9),
    "lbfgs.minimize_wide": ("L-BFGS of wide layers", 12),
    "levenberg_marquardt.fit_least_squares": ("Levenberg-Marquardt", 12),
    "online.train_by_samples": ("online training", 10),
    "online.update_once": ("updates", 5),
    "many_batches.train_lanes_by_batches": ("training of many", 6),
    "many_online.train_lanes_by_samples": ("online training of many", 12),
}
_asked = 0


class Notice:
    """Hears of each kernel that is compiled, and tells."""

    def begin(self, kernel, dtype):
        """A kernel that computes in `dtype`, or in nothing but integers, begins to compile."""
        if kernel not in EXPECTED:
            return
        purpose, seconds = EXPECTED[kernel]
        text = f"fastmlp: compiling {purpose}{f' ({dtype})' if dtype else ''}, once: ~{seconds} s"
        if is_watched():
            _lines[-1].put(text)
        elif _asked:
            with suppress(OSError, ValueError):
                sys.stderr.write(f"{text}\n")

    def end(self, kernel, dtype, seconds):
        if kernel in EXPECTED and is_watched():
            _lines[-1].wipe()


@contextmanager
def asked_for(progress, line=None):
    """Within it a compile is told wherever stderr leads, if progress is to be shown; by `line`, where that is shown on one: it has
    put(text) and wipe()."""
    global _asked
    _asked += bool(progress)
    _lines.extend([line] * (line is not None))
    try:
        yield
    finally:
        _asked -= bool(progress)
        if line is not None:
            _lines.remove(line)


def is_watched():
    """Whether stderr is a terminal or a notebook's, where a line can be written over."""
    return is_terminal() or type(sys.stderr).__module__.startswith("ipykernel.")


def is_terminal():
    with suppress(AttributeError, ValueError):  # there is none, or it is closed
        return sys.stderr.isatty()
    return False


def put_line(text):
    """Writes it over the line that is shown."""
    width = shutil.get_terminal_size().columns - 1
    with suppress(OSError, ValueError):
        sys.stderr.write(f"\r{text[:width]:{width}}")
        sys.stderr.flush()


def wipe_line():
    put_line("")
    with suppress(OSError, ValueError):
        sys.stderr.write("\r")
        sys.stderr.flush()


class PlainLine:
    """The line where nothing else is shown."""

    put = staticmethod(put_line)
    wipe = staticmethod(wipe_line)


_lines = [PlainLine]  # the last one tells what compiles
