"""Reading images of every format: as Pillow converts them, upright, whole or not at all."""

import io
import os
import random
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import PIL
import pytest
from PIL import Image, ImageFile, ImageOps, features
from pngs import chunk

import fastmlp
from fastmlp.images import reading
from fastmlp.images.content import ImageError, content_of_bytes
from fastmlp.images.image_formats import ALL, FORMATS, chosen_formats, image_format_of, suffix_format
from fastmlp.images.picture_decoders import reduction
from fastmlp.images.pillow import decode, read_image
from fastmlp.images.reading import read_compiled, read_source
from fastmlp.images.sources.chunk import LONG_WORK
from fastmlp.images.sources.source import Chunks

pytestmark = pytest.mark.versions

WIDTH, HEIGHT = 57, 43
NOT_WANTED = "is no image file (PNG)"


def picture(width=WIDTH, height=HEIGHT, seed=0):
    """Gradients and noise, in colours."""
    y, x = np.mgrid[:height, :width]
    colours = np.stack([255 * x / width, 255 * y / height, 255 * (x + y) / (width + height)], axis=2)
    noisy = colours + np.random.default_rng(seed).normal(0, 8, colours.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def with_alpha():
    image = picture().convert("RGBA")
    image.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))))
    return image


def deep():
    return Image.fromarray((np.arange(WIDTH * HEIGHT) * 26).astype(np.uint16).reshape(HEIGHT, WIDTH))


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def by_pillow(data, mode="L"):
    """The levels as Pillow has them: on white, of 16 bits the high byte, and upright; of a JPEG the luma is as it is stored."""
    image = Image.open(io.BytesIO(data))
    image.draft(mode, None)
    image = ImageOps.exif_transpose(image)
    if image.mode in ("P", "PA", "LA", "La", "RGBA"):
        image = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        image = page
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return np.asarray(image.convert(mode))


SAVED = {
    "jpeg RGB": lambda: saved(picture(), "JPEG"),
    "jpeg L": lambda: saved(picture().convert("L"), "JPEG"),
    "jpeg CMYK": lambda: saved(picture().convert("CMYK"), "JPEG"),
    "jpeg progressive": lambda: saved(picture(), "JPEG", progressive=True, quality=95, subsampling=0),
    **{f"bmp {mode}": lambda mode=mode: saved(picture().convert(mode), "BMP") for mode in ("1", "L", "P", "RGB")},
    **{f"gif {mode}": lambda mode=mode: saved(picture().convert(mode), "GIF") for mode in ("1", "L", "P", "RGB")},
    "gif alpha": lambda: saved(with_alpha(), "GIF"),
    "gif interlaced": lambda: saved(picture().convert("P"), "GIF", interlace=1),
    "webp RGB": lambda: saved(picture(), "WEBP"),
    "webp alpha": lambda: saved(with_alpha(), "WEBP", lossless=True),
    **{
        f"tiff {mode}": lambda mode=mode: saved(picture().convert(mode), "TIFF") for mode in ("1", "L", "P", "RGB", "CMYK", "YCbCr")
    },
    "tiff alpha": lambda: saved(with_alpha(), "TIFF"),
    "tiff LA": lambda: saved(with_alpha().convert("LA"), "TIFF"),
    "tiff 16": lambda: saved(deep(), "TIFF"),
    "tiff lzw": lambda: saved(picture(), "TIFF", compression="tiff_lzw"),
    "tiff lzw 16": lambda: saved(deep(), "TIFF", compression="tiff_lzw"),
    "tiff deflate": lambda: saved(with_alpha(), "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": lambda: saved(picture(), "TIFF", compression="jpeg"),
    "tiff fax": lambda: saved(picture().convert("1"), "TIFF", compression="group4"),
    "tiff big": lambda: saved(picture(), "TIFF", big_tiff=True),
    **{f"ppm {mode}": lambda mode=mode: saved(picture().convert(mode), "PPM") for mode in ("1", "L", "RGB")},
    "ppm 16": lambda: saved(deep(), "PPM"),
    "ppm text": lambda: plain(picture().convert("L")),
    "ppm of other range": lambda: b"P5\n# a comment\n57 43\n100\n" + (np.asarray(picture().convert("L")) // 3).tobytes(),
}


def plain(image):
    rows = "\n".join(" ".join(map(str, row)) for row in np.asarray(image).tolist())
    return f"P2 {image.width} {image.height} 255\n{rows}\n".encode()


@pytest.fixture(scope="module")
def files():
    known = {"webp": features.check("webp"), "tiff": features.check("libtiff"), "jpeg": features.check("jpg")}
    made = {name: make() for name, make in SAVED.items() if known.get(name.split()[0], True)}
    if int(PIL.__version__.split(".")[0]) < 12:  # which cannot read what it writes
        made.pop("tiff YCbCr", None)
    return made


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_every_format_and_mode_is_gray_and_coloured_as_pillow_converts_it(files):
    for name, data in files.items():
        assert image_format_of(data[:32]) == name.split()[0]
        gray = read_image(data)
        assert gray.dtype == np.uint8 and gray.flags.writeable, name
        expected = by_pillow(data)
        assert np.array_equal(gray, expected), name
        coloured = read_image(data, colour=True)
        assert coloured.dtype == np.uint8 and coloured.flags.writeable, name
        assert np.array_equal(coloured, by_pillow(data, "RGB")), name
    colours = np.asarray(Image.open(io.BytesIO(files["jpeg RGB"])).convert("L"))  # whose luma is computed of rounded ones
    assert np.abs(read_image(files["jpeg RGB"]).astype(int) - colours).mean() < 0.5


def test_the_table_tells_formats_by_their_first_bytes_alone():
    assert tuple(FORMATS) == ALL
    texts = (
        b"",
        b"hello",
        b"BMW and others, a text of 32 bytes",
        b"P5 is a console",
        b"II* not",
        b"RIFF....WAVEfmt ",
        b"%!PS-Adobe",
        b"%PDF-1.7",
    )
    assert [image_format_of(head) for head in (*texts, b"8BPS\0\1", b"\xd7\xcd\xc6\x9a", b"<svg")] == [None] * (len(texts) + 3)


# -- how pictures lie --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_each_of_the_eight_orientations_is_obeyed(kind):
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow knows no WebP")
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        data = saved(picture().convert("L"), kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
        gray = read_image(data)
        assert np.array_equal(read_image(data, colour=True), np.stack([gray] * 3, axis=2))
        assert gray.shape == ((HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT))
        assert np.array_equal(gray, by_pillow(data))


def exif_chunk(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))


def test_exif_of_a_png_is_obeyed_wherever_it_stands_and_never_by_the_compiled_reader():
    plain = saved(picture().convert("L"), "PNG")
    before, behind = plain.index(b"IDAT") - 4, plain.index(b"IEND") - 4
    assert read_compiled(plain) is not None
    for orientation in range(1, 9):
        for place in before, behind:
            data = plain[:place] + exif_chunk(orientation) + plain[place:]
            assert read_compiled(data) is None
            assert np.array_equal(read_image(data), by_pillow(data))
    several = plain[:before] + exif_chunk(3) + plain[before:behind] + exif_chunk(6) + plain[behind:]
    assert np.array_equal(read_image(several), by_pillow(several)) and read_image(several).shape == (WIDTH, HEIGHT)


def test_damaged_exif_leaves_a_picture_upright():
    data = saved(picture(), "JPEG")
    for exif in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x63\0\0", bytes(300)):
        segment = b"Exif\0\0" + exif
        with_exif = data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
        assert np.array_equal(read_image(with_exif), read_image(data))


# -- several pictures in a file ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP"])
def test_of_several_pictures_the_first_one_is_decoded(kind):
    if kind == "WEBP" and not features.check("webp"):
        pytest.skip("this Pillow knows no WebP")
    pages = [picture(seed=seed).convert("P" if kind == "GIF" else "RGB") for seed in range(4)]
    data = saved(pages[0], kind, save_all=True, append_images=pages[1:], **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(read_image(data), by_pillow(data))
    if kind != "WEBP":  # what follows the first one is not looked at
        assert np.array_equal(read_image(data[: len(data) // 2]), by_pillow(data))


def test_a_frame_that_lies_on_a_larger_screen_is_where_pillow_has_it():
    image = Image.fromarray((np.arange(32) % 7).astype(np.uint8).reshape(4, 8))
    for transparency in ({"transparency": 3}, {}):
        frame = bytearray(saved(image, "GIF", **transparency))
        frame[6:10] = struct.pack("<HH", 20, 10)
        gray = read_image(bytes(frame))
        assert gray.shape == (10, 20) and np.array_equal(gray, by_pillow(bytes(frame)))
        assert not transparency or ((gray[4:] == 255).all() and (gray[:, 8:] == 255).all())


# -- damage ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def careless(monkeypatch):
    """A calling program with settings of its own."""
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)


def test_a_truncated_file_is_never_half_a_picture(files, careless):
    for name, data in files.items():
        whole = read_image(data)
        cuts = {*range(0, 60, 3), *range(60, len(data), max(1, len(data) // 40)), *range(len(data) - 8, len(data) - 3)}
        for cut in cuts:
            try:
                gray = read_image(data[:cut])
            except ImageError as error:
                assert str(error).startswith("the image ") and "\n" not in str(error)
            else:
                assert np.array_equal(gray, whole), (name, cut)  # as something behind the picture is missing


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_named_as_an_image_and_ends_within_its_header_is_told_and_not_skipped(kind, files, tmp_path):
    cut = {f"{name} {n}.{name.split()[0]}": data[:n] for name, data in files.items() for n in range(1, 65)}
    place = tmp_path / kind
    if kind == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            for name, data in cut.items():
                archive.writestr(name, data)
    else:
        place.mkdir()
        for name, data in cut.items():
            (place / name).write_bytes(data)
    errors = dict(fastmlp.extract_features(place, "pixels").errors)
    assert errors.keys() == cut.keys()
    assert all(name in error and ("truncated" in error or "ppm" in name) for name, error in errors.items())


def test_the_format_that_a_name_says():
    assert [suffix_format(name) for name in ("a.png", "a.b/c.JPG")] == ["png", "jpeg"]
    assert not any(map(suffix_format, ("png", ".png", "a.png/b", "a.b/png", "a.txt")))


def test_a_beginning_that_is_cut_off_is_that_of_an_image_by_its_name_alone(tmp_path):
    for name, row in FORMATS.items():
        for number, whole in enumerate(row.shortest):
            assert image_format_of(whole) == name and image_format_of(whole[:-1]) is None
            for suffix in (".dat", *row.suffixes[:1]):
                (tmp_path / f"{name}{number}{suffix}").write_bytes(whole[:-1])
    (tmp_path / "notes.png").write_bytes(b"text")
    (tmp_path / "empty.png").write_bytes(b"")
    told = {f"{name}{number}{row.suffixes[0]}" for name, row in FORMATS.items() for number in range(len(row.shortest))}
    assert {name for name, _ in fastmlp.extract_features(tmp_path, "ink").errors} == told
    assert {name for name, _ in fastmlp.extract_features(tmp_path, "ink", formats="png").errors} == {"png0.png"}


def test_any_damage_is_an_error_in_one_sentence(files, careless):
    random.seed(0)
    for name, data in files.items():
        for _ in range(40):
            spoilt = bytearray(data)
            for _ in range(random.choice((1, 3))):
                spoilt[random.randrange(min(len(spoilt), random.choice((64, len(spoilt)))))] = random.randrange(256)
            try:
                assert read_image(bytes(spoilt), max_pixels=10**5).size <= 10**5, name
            except ImageError as error:
                assert "\n" not in str(error) and len(str(error)) < 300


def test_sizes_are_refused_before_memory_is_taken():
    w, h = 60_000, 60_000
    headers = {
        "jpeg": b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, h, w, 1) + b"\1\x11\0\xff\xda",
        "bmp": b"BM" + bytes(12) + struct.pack("<IiiHHIIiiII", 40, w, h, 1, 24, 0, 0, 0, 0, 0, 0),
        "gif": b"GIF89a" + struct.pack("<HHBBB", w, h, 0, 0, 0) + b"," + struct.pack("<4HB", 0, 0, w, h, 0) + b"\2\0;",
        "webp": b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (w - 1).to_bytes(3, "little") + (h - 1).to_bytes(3, "little"),
        "tiff": b"II*\0\x08\0\0\0\2\0" + struct.pack("<HHII", 256, 4, 1, w) + struct.pack("<HHII", 257, 4, 1, h) + bytes(4),
        "ppm": b"P6 60000 60000 255\n",
    }
    assert headers.keys() == FORMATS.keys() - {"png"}
    for data in headers.values():
        with pytest.raises(ImageError, match=r"^the image has 60000 x 60000 pixels; at most 67108864 are read$"):
            read_image(data + bytes(100))


def test_a_picture_far_behind_in_a_large_file_is_refused_or_found(tmp_path):
    page = saved(picture(), "TIFF")
    behind = 1 << 25
    with open(tmp_path / "x.tif", "wb") as file:  # its fields stand at the end, as many programs write them
        file.write(page[:4] + struct.pack("<I", behind))
        file.write(page[8:])
        file.seek(behind)
        file.write(page[struct.unpack_from("<I", page, 4)[0] :][: 2 + 12 * 20])
    assert np.array_equal(read_image(tmp_path / "x.tif"), by_pillow(page))
    with pytest.raises(ImageError, match="that is too far to be read"):
        read_image(tmp_path / "x.tif", max_pixels=WIDTH * HEIGHT)


def test_a_jpeg_of_endless_scans_is_refused():
    data = saved(picture(), "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="more than 200 scans"):
        read_image(data[:-2] + 300 * scan + data[-2:])


def test_kinds_without_a_known_white_are_refused():
    for image in (picture().convert("F"), picture().convert("I"), picture().convert("LAB")):
        with pytest.raises(ImageError, match="is damaged, or of a kind that is not read"):
            read_image(saved(image, "TIFF"))


# -- which are read ----------------------------------------------------------------------------------------------------------------


def test_contents_tell_the_format_and_not_the_name(tmp_path):
    (tmp_path / "photo.png").write_bytes(saved(picture(), "JPEG"))
    (tmp_path / "drawing.jpg").write_bytes(saved(picture(), "PNG"))
    (tmp_path / "text.jpg").write_text("hello")
    rows = read_source(tmp_path, "ink")
    assert rows.paths == ["drawing.jpg", "photo.png"] and rows.others == ["text.jpg"] and rows.errors == [None, None]
    with pytest.raises(ImageError, match=r"text\.jpg is no image file \(PNG, JPEG, BMP, GIF, WebP, TIFF, PPM\)$"):
        read_image(tmp_path / "text.jpg")


def test_formats_are_named_in_several_ways():
    assert chosen_formats(None) == ALL
    assert chosen_formats("jpg, PNG") == chosen_formats(["jpeg", "png"]) == ("png", "jpeg")
    assert chosen_formats("tif,pgm") == ("tiff", "ppm")
    for wrong, message in [
        ("psd", "formats must be one of .*got 'psd'"),
        ([], "formats must name one format at least"),
        (3, "formats must be one of .*got 3"),
        ("", "formats must be one of"),
    ]:
        with pytest.raises(ValueError, match=message):
            chosen_formats(wrong)


@pytest.fixture
def labelled(tmp_path):
    """Two classes, of PNGs and JPEGs."""
    for label, angle in (("lying", 0), ("upright", 90)):
        (tmp_path / label).mkdir()
        for number in range(6):
            page = Image.new("L", (60, 60), 255)
            page.paste(0, (8 + number, 25, 50, 30))
            kind = "JPEG" if number % 2 else "PNG"
            (tmp_path / label / f"{number}.{kind.lower()}").write_bytes(saved(page.rotate(angle), kind))
    return tmp_path


def test_training_and_classifying_take_the_formats_that_are_wanted(labelled):
    classifier = fastmlp.train_folder(labelled, extractor="ink", hidden=2, epochs=2, seed=0)
    assert classifier.made_with["images"] == {"lying": 6, "upright": 6}
    some = fastmlp.train_folder(labelled, extractor="ink", formats="png", hidden=2, epochs=2, seed=0)
    assert some.made_with["images"] == {"lying": 3, "upright": 3}
    assert some.get_params()["formats"] == "png" and "formats='png'" in repr(fastmlp.ImageClassifier(formats="png"))
    verdicts = fastmlp.classify_folder(classifier, labelled)
    assert len(verdicts.paths) == 12 and verdicts.errors == [None] * 12 and verdicts.skipped == 0
    verdicts = fastmlp.classify_folder(classifier, labelled, formats="jpeg")
    assert len(verdicts.paths) == 6 and verdicts.skipped == 6
    assert len(fastmlp.classify_folder(some, labelled).paths) == 6
    assert len(fastmlp.extract_features(labelled, formats=["png"]).names) == 6
    assert fastmlp.classify_folder(classifier, labelled, formats="png", strict=True).errors[1].endswith(NOT_WANTED)
    with pytest.raises(ImageError, match=r"is no image file \(PNG\)$"):
        fastmlp.read_image(labelled / "lying" / "1.jpeg", formats="png")
    with pytest.raises(ValueError, match=r"lying holds no image file \(GIF\); it holds 3 \.jpeg, 3 \.png$"):
        fastmlp.train_folder(labelled, formats="gif")


@pytest.mark.parametrize("archive", ["tar", "zip"])
def test_members_of_archives_are_read_alike(labelled, tmp_path_factory, archive, monkeypatch):
    path = tmp_path_factory.mktemp("archives") / f"x.{archive}"
    with tarfile.open(path, "w") if archive == "tar" else zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        (out.add if archive == "tar" else out.write)(labelled / "lying", "lying")
        for name in sorted(os.listdir(labelled / "lying")) if archive == "zip" else ():
            out.write(labelled / "lying" / name, f"lying/{name}")
    for fewest in (0, 10**9):
        monkeypatch.setattr(reading, "FILES_BY_PILLOW", fewest)
        inside, outside = read_source(path, "pixels"), read_source(labelled, "pixels")
        assert inside.paths == outside.paths[:6] and inside.errors == [None] * 6
        assert np.array_equal(inside.features, outside.features[:6])


def test_what_a_source_holds_besides_is_told(tmp_path):
    for name in ("a.txt", "b.txt", "c.TXT", "d.mp4", "e", "f.x", "g.y", "h.z"):
        (tmp_path / name).write_text("text")
    with pytest.raises(ValueError) as caught:
        fastmlp.extract_features(tmp_path)
    told = "holds no image file; it holds 3 .txt, 1 without an ending, 1 .mp4, 1 .x, 1 .y, 1 others"
    assert str(caught.value) == f"{tmp_path} {told}"


# -- large ones --------------------------------------------------------------------------------------------------------------------


def test_a_jpeg_is_reduced_by_its_size_alone():
    for size, by in [((640, 480), 2), ((640, 479), 1), ((2000, 1999), 2), ((2000, 2000), 4), ((4000, 3000), 4), ((4000, 6000), 8)]:
        assert reduction(*size) == reduction(*size[::-1]) == by
    data = saved(picture(641, 483), "JPEG")
    whole, reduced, coloured = read_image(data), read_image(data, reduced=True), read_image(data, reduced=True, colour=True)
    assert coloured.shape == (242, 321, 3)
    assert np.array_equal(decode(content_of_bytes("x", data), channels=3), coloured)
    assert whole.shape == (483, 641) and reduced.shape == (242, 321)
    assert np.array_equal(decode(content_of_bytes("x", data)), reduced)  # which is what classifiers see
    means = whole[:482, :640].reshape(241, 2, 320, 2).mean(axis=(1, 3))
    assert np.abs(means - reduced[:241, :320]).mean() < 1.5  # levels: rounding, and what JPEG has lost


def test_photographs_are_shared_out_in_small_chunks(tmp_path):
    for number in range(50):
        (tmp_path / f"{number:02}.JPG").touch()
    names = [tmp_path / f"{number:02}.JPG" for number in range(50)]
    for source in (tmp_path, names):
        chunks = list(Chunks(source))
        assert [chunk.length for chunk in chunks] == [LONG_WORK, LONG_WORK, LONG_WORK, 50 - 3 * LONG_WORK]
        assert [path[-6:] for chunk in chunks for path in chunk.paths()] == [f"{number:02}.JPG" for number in range(50)]
    for folder in range(20):
        (tmp_path / f"folder{folder}").mkdir()
        (tmp_path / f"folder{folder}" / "photo.jpg").touch()
        (tmp_path / f"folder{folder}" / "text.txt").touch()
    assert max(sum(path.lower().endswith("jpg") for path in chunk.paths()) for chunk in Chunks(tmp_path)) == LONG_WORK
    with tarfile.open(tmp_path / "x.tar", "w") as out:
        for name in names:
            out.add(name, name.name)
    assert [chunk.length for chunk in Chunks(tmp_path / "x.tar")] == [LONG_WORK, LONG_WORK, LONG_WORK, 50 - 3 * LONG_WORK]
