"""One picture at a time: the very pixels and probabilities that records, and `mxft predict`, give."""
import concurrent.futures
import io
import os

import numpy as np
import pytest

from mxft.data.images import BadImage
from mxft.data.iterators import RecordIterator
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import RunError
from mxft.evaluation.classifier import Classifier, network_input
from mxft.evaluation.prediction import predict_files
from mxft.network.input_spec import InputSpec
from tests.support.images import encoded, smooth

SPEC = InputSpec((3, 16, 16), mean=(9, 8, 7), scale=(.1, .2, .3))
PACKING = {"resize": 20, "quality": 90}


@pytest.fixture
def bound(make_checkpoint):
    return Classifier(make_checkpoint(7), SPEC, PACKING, [f"class {i}" for i in range(7)], "tiny").bind()


@pytest.mark.parametrize("spec", [
    SPEC, InputSpec((3, 16, 16)), InputSpec((3, 13, 18), resize=20), InputSpec((3, 16, 16), resize=24),
    InputSpec((3, 32, 32)), InputSpec((1, 16, 16))], ids=lambda spec: spec.describe())
@pytest.mark.parametrize("encoding", [".png", ".jpg"])
def test_pixels_are_bit_for_bit_those_of_a_record(spec, encoding, tmp_path):
    for rows, columns in ((20, 20), (20, 27), (33, 20), (21, 21)):
        payload = encoded(smooth((rows, columns)), encoding)
        with RecordWriter(str(tmp_path / "one.rec")) as writer:
            writer.write(pack(IRHeader(0, 0.0, 0, 0), payload))
        expected = RecordIterator(str(tmp_path / "one.rec"), spec, 1, 1, threads=1).next().data[0].asnumpy()
        received = network_input(payload, spec)
        assert received.dtype == np.float32 and received.shape == (1, *spec.shape)
        assert np.array_equal(received, expected), (rows, columns)


def pillow_bytes(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def files_of_every_kind():
    """Return {name: bytes} of the files people have."""
    Image = pytest.importorskip("PIL.Image")
    rgb = Image.fromarray(smooth())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    alpha = rgb.convert("RGBA")
    alpha.putalpha(Image.fromarray(smooth()[:, :, 0]))
    frames = [Image.fromarray(smooth(seed=seed)) for seed in (3, 4)]
    return {"plain.jpg": pillow_bytes(rgb, "JPEG", quality=95), "turned.jpg": pillow_bytes(rgb, "JPEG", exif=exif),
            "cmyk.jpg": pillow_bytes(rgb.convert("CMYK"), "JPEG"), "grey.jpg": pillow_bytes(rgb.convert("L"), "JPEG"),
            "progressive.jpg": pillow_bytes(rgb, "JPEG", progressive=True), "alpha.png": pillow_bytes(alpha, "PNG"),
            "grey.png": pillow_bytes(rgb.convert("L"), "PNG"), "palette.png": pillow_bytes(rgb.convert("P"), "PNG"),
            "16bit.png": encoded(smooth().astype(np.uint16) * 257),
            "plain.webp": pillow_bytes(rgb, "WEBP"), "plain.bmp": pillow_bytes(rgb, "BMP"),
            "plain.tiff": pillow_bytes(rgb, "TIFF"),
            "moving.gif": pillow_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:])}


def test_numbers_that_are_none_are_said_and_not_shown(make_checkpoint, tmp_path):
    checkpoint = make_checkpoint(7)
    name = next(name for name in checkpoint.arg_params if name.endswith("bias"))
    checkpoint.arg_params[name][0] = np.nan
    (tmp_path / "a.png").write_bytes(encoded(smooth()))
    with pytest.raises(RunError, match=r"^scores are not finite: received NaN or infinity from layer softmax for "
                                       r".*/a.png; wrong mean or scale for this network, or damaged parameters\?$"):
        predict_files(checkpoint, [str(tmp_path / "a.png")], SPEC, PACKING)


def test_files_of_every_kind_get_what_predict_gives_them(bound, make_checkpoint, tmp_path):
    files = files_of_every_kind()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    expected = predict_files(make_checkpoint(7), [str(tmp_path / name) for name in files], SPEC, PACKING)
    read = 0
    for prediction in expected:
        name = os.path.basename(prediction.path)
        if prediction.problem:  # a GIF, where OpenCV is older than 4.11
            with pytest.raises(BadImage) as refused:
                bound.answers(files[name])
            assert str(refused.value) == prediction.problem
            continue
        read += 1
        (answer, *_), size = bound.answers(files[name])
        probabilities = answer.shown
        assert np.allclose(probabilities, prediction.probabilities, rtol=0, atol=2e-6), name
        assert size == ((30, 40) if name == "turned.jpg" else (40, 30))
    assert read >= len(files) - 1


def test_a_picture_the_decoder_makes_smaller_keeps_its_size(bound):
    data = encoded(smooth((333, 801)), ".jpg")
    assert bound.answers(data)[1] == (801, 333)


@pytest.mark.parametrize("change, reason", [
    (lambda data: b"", "empty file"), (lambda data: data[:-40], "truncated JPEG"), (lambda data: b"text", "not an")])
def test_what_cannot_be_read_is_said(change, reason, bound):
    with pytest.raises(BadImage, match=reason):
        bound.answers(change(encoded(smooth(), ".jpg")))


def test_pass_through_reads_the_file_as_it_is(make_checkpoint):
    classifier = Classifier(make_checkpoint(7), SPEC, {"pass_through": True}, list("abcdefg"), "tiny")
    data = encoded(smooth((16, 16)), ".png")
    pixels, size = classifier.bind().read(data)
    assert size == (16, 16)
    assert np.array_equal(pixels, network_input(data, SPEC))


def test_many_threads_get_the_answers_one_gets(bound):
    pictures = [encoded(smooth(seed=seed), ".jpg") for seed in range(8)] * 4
    alone = [bound.answers(data)[0][0].shown for data in pictures]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda data: bound.answers(data)[0][0].shown, pictures))
    assert np.array_equal(alone, together)
    assert len({row.tobytes() for row in alone}) == 8


def test_metrics_are_those_of_the_epoch(make_checkpoint):
    checkpoint = make_checkpoint(3)
    checkpoint.name, checkpoint.manifest = "runs/a/model,best", {"metrics": {"0": {"val_top1": .1},
                                                                             "best": {"val_top1": .7}}}
    assert Classifier(checkpoint, SPEC, {}, list("abc"), "a").metrics == {"val_top1": .7}
    checkpoint.manifest = {}
    assert Classifier(checkpoint, SPEC, {}, list("abc"), "a").metrics == {}
