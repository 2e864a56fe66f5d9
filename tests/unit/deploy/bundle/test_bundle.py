"""The serving bundle: what is in it, that it is the same every time, that its programs run, and what is refused."""
import dataclasses
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import textwrap

import cv2
import numpy as np
import pytest

from mxft.compat import mx
from mxft.deploy.bundle.checking import check_bundle
from mxft.deploy.bundle.opening import is_bundle, opened_bundle
from mxft.deploy.bundle.selftest import disagreements, expectation, require_bounds, selftest_picture
from mxft.deploy.bundle.signature import signature_of
from mxft.deploy.bundle.sums import write_sums
from mxft.deploy.bundle.writing import write_bundle
from mxft.errors import InputError, RunError
from mxft.evaluation.answer import Answer
from mxft.evaluation.classifier import Classifier
from mxft.files.checked_json import write_checked
from mxft.network.anatomy import Link, Output
from mxft.network.checkpoint import Checkpoint
from mxft.network.input_spec import InputSpec
from tests.support.images import encoded, smooth, write_image

CLASSES = ["ä one", "б", "猫", "four", "five", "six", "seven"]
FILES = ["README.txt", "SHA256SUMS", "model-0000.params", "model-manifest.json", "model-symbol.json", "selftest.jpg",
         "selftest.json", "signature.json", "synset.txt"]


def tiny(make_checkpoint, **changes):
    checkpoint = make_checkpoint(7)
    checkpoint.name = "runs/tiny/model,best"
    checkpoint.manifest = {"metrics": {"best": {"val_top1": .75, "val_top5": .9}, "0": {"val_top1": .1}}}
    spec = changes.pop("spec", InputSpec((3, 16, 16), mean=(9, 8, 7), scale=(.01, .02, .03)))
    return Classifier(checkpoint, spec, {"resize": 20, "quality": 90, **changes}, CLASSES, "tiny")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, make_checkpoint):
    """A bundle's folder, with model.onnx where that can be made; not to be changed."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("bundle")
    write_image(folder / "cat.png", smooth())
    write_bundle(tiny(make_checkpoint), str(folder / "tiny"), str(folder / "cat.png"))
    return folder / "tiny"


@pytest.fixture
def copy(bundle, tmp_path):
    """A bundle's folder that may be changed."""
    return shutil.copytree(bundle, tmp_path / "copy")


def test_what_is_in_it(bundle):
    assert sorted(os.listdir(bundle)) == sorted([*FILES, "model.onnx"])
    assert os.listdir(bundle.parent) in (["cat.png", "tiny"], ["tiny", "cat.png"])
    assert (bundle / "synset.txt").read_text(encoding="utf-8").splitlines() == CLASSES
    sums = dict(reversed(line.split("  ")) for line in (bundle / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: hashlib.sha256((bundle / name).read_bytes()).hexdigest()
                    for name in os.listdir(bundle) if name != "SHA256SUMS"}
    signature = json.loads((bundle / "signature.json").read_text(encoding="utf-8"))
    assert signature["input"] == {
        "name": "data", "shape": ["N", 3, 16, 16], "dtype": "float32", "layout": "NCHW", "channel_order": "RGB",
        "resize": {"short_side": 20}, "crop": "center", "mean": [9, 8, 7], "scale": [.01, .02, .03]}
    assert signature["output"] == {"name": "softmax_output", "shape": ["N", 7], "dtype": "float32",
                                   "values": "probabilities"}
    assert signature["onnx"] == {"file": "model.onnx", "input": "data", "output": "softmax",
                                 "values": "probabilities", "batch": "any"}
    assert signature["training"] == {"val_top1": .75, "val_top5": .9}
    manifest = json.loads((bundle / "model-manifest.json").read_text(encoding="utf-8"))
    assert manifest["metrics"] == {"0": {"val_top1": .75, "val_top5": .9}} and manifest["classes"] == CLASSES


def test_read_back_both_runtimes_agree_with_it(bundle):
    check = check_bundle(str(bundle), with_onnx=True)
    assert check.mxnet < 1e-5 and check.onnx < 1e-5 and check.files == 9
    assert [entry["probability"] for entry in check.expected["top"]] == sorted(
        (entry["probability"] for entry in check.expected["top"]), reverse=True)
    assert check.classifier.classes == CLASSES


@pytest.mark.long
def test_the_programs_of_its_readme_run_and_name_the_same_class(bundle, repository):
    text = (bundle / "README.txt").read_text(encoding="utf-8")
    expected = json.loads((bundle / "selftest.json").read_text(encoding="utf-8"))["top"]
    programs = [textwrap.dedent(part) for part in (text.split("Plain MXNet:")[1].split("Plain ONNX Runtime:"))]
    assert len(programs) == 2
    door = "import sys; sys.stdout.reconfigure(encoding='utf-8'); from mxft.compat import mx\n"  # NumPy may be newer
    for program in programs:
        done = subprocess.run([sys.executable, "-c", door + program], cwd=bundle, capture_output=True, encoding="utf-8",
                              env={**os.environ, "PYTHONPATH": str(repository)})
        assert done.returncode == 0, done.stderr
        lines = [line.split("  ") for line in done.stdout.splitlines()]
        assert lines[0][1] == expected[0]["class"] and len(lines) == 5
        assert float(lines[0][0]) == pytest.approx(expected[0]["probability"], abs=.05)


def test_the_same_model_gives_the_same_archive(make_checkpoint, tmp_path):
    write_image(tmp_path / "cat.png", smooth())
    for name in ("a.tar", "b.tar"):
        written = write_bundle(tiny(make_checkpoint), str(tmp_path / name), str(tmp_path / "cat.png"), onnx=False)
        assert written.check.onnx is None and sorted(written.files) == FILES
        os.utime(tmp_path / "cat.png", (1, 1))
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames() == ["tiny", *(f"tiny/{name}" for name in FILES)]
        assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in archive} == {(0, 0, 0, "", "")}
    with opened_bundle(str(tmp_path / "a.tar")) as folder:
        assert check_bundle(folder).files == 8
    assert not os.path.exists(folder) and sorted(os.listdir(tmp_path)) == ["a.tar", "b.tar", "cat.png"]


def test_the_picture_is_a_moderate_jpeg_without_notes():
    Image = pytest.importorskip("PIL.Image")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    stream = io.BytesIO()
    Image.fromarray(smooth((700, 1400))).save(stream, "JPEG", exif=exif)
    kept = selftest_picture(stream.getvalue())
    assert b"a camera" in stream.getvalue() and b"a camera" not in kept and kept.startswith(b"\xff\xd8")
    assert Image.open(io.BytesIO(kept)).size == (512, 1024)
    assert Image.open(io.BytesIO(selftest_picture(encoded(smooth())))).size == (40, 30)


def test_preprocessing_in_numbers_and_words(make_checkpoint):
    signature = signature_of(tiny(make_checkpoint))
    assert "onnx" not in signature and signature["preprocessing"] == [
        "decode to 8-bit RGB, turned upright as its EXIF data says",
        "resize the shorter side to 20, keeping the proportions", "cut 16 x 16 (width x height) out of the centre",
        "subtract mean, multiply by scale, channel by channel",
        "order as (3, 16, 16): channels, rows, columns; float32"]
    squashed = signature_of(tiny(make_checkpoint, squash=True, resize=16, spec=InputSpec((3, 16, 16))))
    assert squashed["input"]["resize"] == {"width": 16, "height": 16}
    assert "resize to 16 x 16" in squashed["preprocessing"]
    assert "leave the values as they are, 0 to 255" in squashed["preprocessing"]
    assert signature_of(tiny(make_checkpoint, resize=0))["input"]["resize"] is None
    assert signature_of(tiny(make_checkpoint, center_crop=True))["preprocessing"][1] == "cut out the middle square"


def head_of(make, hidden=4):
    """Return a tiny network with another end: `make` of its class scores."""
    body = mx.sym.Flatten(mx.sym.Pooling(mx.sym.Variable("data"), kernel=(4, 4), stride=(4, 4), pool_type="avg"))
    return make(mx.sym.FullyConnected(body, num_hidden=hidden, name="fc1"))


KINDS = {
    "logits": (head_of(lambda scores: scores), 4, "logits"),
    "a temperature": (head_of(lambda scores: mx.sym.softmax(scores, temperature=4.0, name="prob")), 4, "probabilities"),
    "logarithms": (head_of(lambda scores: mx.sym.log_softmax(scores, name="logs")), 4, "log-probabilities"),
    "tags": (head_of(lambda scores: mx.sym.LogisticRegressionOutput(scores, name="tags")), 4,
             "independent probabilities"),
    "one tag": (head_of(lambda scores: mx.sym.sigmoid(scores, name="smile"), 1), 1, "independent probabilities"),
    "values": (head_of(lambda scores: mx.sym.LinearRegressionOutput(scores, name="values")), 4, "values"),
    "class scores": (head_of(lambda scores: mx.sym.SVMOutput(scores, name="svm")), 4, "class scores"),
    "two outputs": (head_of(lambda scores: mx.sym.Group([
        mx.sym.sigmoid(scores, name="tags"), mx.sym.softmax(scores, name="kind")])), 4, "independent probabilities"),
}


@pytest.mark.parametrize("case", KINDS)
def test_a_bundle_gives_the_networks_own_numbers(case, random_parameters, tmp_path):
    """The self-test, ONNX Runtime's and the README's program all give what Module.predict gives."""
    pytest.importorskip("onnxruntime")
    symbol, count, kind = KINDS[case]
    checkpoint = Checkpoint(symbol, *random_parameters(symbol, (3, 16, 16)), name="net,0")
    classifier = Classifier(checkpoint, InputSpec((3, 16, 16), scale=(.01, .02, .03)), {"resize": 16, "quality": 90},
                            CLASSES[:count], "net")
    write_image(tmp_path / "cat.png", smooth())
    bundle = write_bundle(classifier, str(tmp_path / "net"), str(tmp_path / "cat.png"))
    assert bundle.check.signature["output"]["values"] == bundle.check.signature["onnx"]["values"] == kind
    assert bundle.check.mxnet < 1e-5 and bundle.check.onnx < 1e-4
    pixels, _ = classifier.bind().read((tmp_path / "net" / "selftest.jpg").read_bytes())
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None)
    module.bind([("data", pixels.shape)], for_training=False)
    module.set_params(checkpoint.arg_params, checkpoint.aux_params, allow_missing=True)
    own = module.predict(mx.io.NDArrayIter(pixels, batch_size=1), always_output_list=True)[0].asnumpy()[0]
    wanted = {"logits": lambda x: np.exp(x) / np.exp(x).sum(), "log-probabilities": np.exp}.get(kind, np.asarray)(own)
    expected = json.loads((tmp_path / "net" / "selftest.json").read_text(encoding="utf-8"))["top"]
    assert len(expected) == count
    for entry in expected:
        value = entry["value" if kind in ("values", "class scores") else "probability"]
        assert value == pytest.approx(wanted[entry["label"]], rel=1e-4, abs=1e-6)


def test_values_that_are_off_are_told(random_parameters):
    symbol, _, _ = KINDS["values"]
    output = Checkpoint(symbol, *random_parameters(symbol, (3, 16, 16))).anatomy.output()
    expected = expectation(Answer(output, np.array([-2.0, 0.0, 10.0, 1.0])), list("abcd"))
    assert [entry["value"] for entry in expected["top"]] == [-2.0, 0.0, 10.0, 1.0]
    assert disagreements(expected, np.array([-1.1, 0.9, 9.1, 1.9]), list("abcd")) == []
    assert disagreements(expected, np.array([-2.0, 1.1, 10.0, 1.0]), list("abcd")) == ["expected 0 b, received 1.1"]
    assert len(disagreements(expected, np.full(4, np.nan), list("abcd"))) == 4
    endless = {**expected, "largest": 1e30}  # is no more than what the network gives itself
    assert len(disagreements(endless, np.array([-9.0, 9.0, 1.0, 9.0]), list("abcd"))) == 4
    with pytest.raises(ValueError, match="a tolerance from 0 to 0.1, received 0.2"):
        require_bounds({**expected, "tolerance": .2}, list("abcd"))
    require_bounds(expected, list("abcd"))


def expected_of(probabilities, classes):
    output = Output("softmax", "probabilities", 0, (0, 0), Link(), len(probabilities), ("data",))
    return expectation(Answer(output, probabilities), classes)


def test_disagreement_names_the_line_and_near_ties_may_change_places():
    probabilities = np.array([.5, .2, .1, .1, .06, .04])
    expected = expected_of(probabilities, list("abcdef"))
    assert [entry["class"] for entry in expected["top"]] == list("abcde")
    assert disagreements(expected, probabilities, list("abcdef")) == []
    assert disagreements(expected, np.array([.5, .2, .1, .1, .048, .052]), list("abcdef")) == []
    assert disagreements(expected, np.array([.2, .5, .1, .1, .06, .04]), list("abcdef")) == [
        "expected 0.5 a, received 0.2", "expected 0.2 b, received 0.5"]
    assert disagreements(expected, np.array([.45, .2, .1, .1, .06, .091]), list("abcdef")) == [
        "expected at most 0.09 f, received 0.091"]
    sure = expected_of(np.array([.9996, 1e-4, 1e-4, 1e-4, 1e-4, 1e-40]), list("abcdef"))
    assert disagreements(sure, np.array([.9996, 1e-4, 1e-4, 1e-4, 3e-5, 1e-40]), list("abcdef")) == [
        "expected 0.0001 e, received 3e-05"]
    assert len(disagreements(expected, np.full(6, np.nan), list("abcdef"))) == 5


@pytest.mark.parametrize("name", [*FILES[:1], *FILES[2:], "model.onnx"])
def test_a_file_that_was_changed_is_named(name, copy):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"expected sha256 \w{{12}} of {name}, received \w{{12}}: it was changed"):
        check_bundle(str(copy))


def test_files_that_are_missing_or_added_are_named(copy):
    (copy / "synset.txt").rename(copy / "synset.text")
    with pytest.raises(InputError, match="expected the file synset.txt, which .* lists, .*nearest: synset.text"):
        check_bundle(str(copy))
    (copy / "synset.text").rename(copy / "synset.txt")
    (copy / "extra.py").write_text("")
    with pytest.raises(InputError, match="expected only files that SHA256SUMS lists, received 'extra.py'"):
        check_bundle(str(copy))
    (copy / "SHA256SUMS").unlink()
    with pytest.raises(InputError, match="list of hashes is missing"):
        check_bundle(str(copy))
    assert is_bundle(str(copy)) and not is_bundle(str(copy.parent))


@pytest.mark.parametrize("line", ["", "abc  README.txt", "0" * 64 + "  ../README.txt", "0" * 64 + "  a/b"])
def test_sums_that_are_none_are_refused(line, copy):
    (copy / "SHA256SUMS").write_text(line + "\n")
    with pytest.raises(InputError, match="SHA256SUMS: expected a hash and a file name in every line, received line 1"):
        check_bundle(str(copy))


def changed_json(path, **changes):
    facts = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    write_checked(path, facts) if "checksum" in facts else path.write_text(json.dumps(facts), encoding="utf-8")


def lines(number, first=0, names=None):
    """Return five lines of a self-test, all of one probability."""
    names = names or CLASSES[first:]
    return [{"class": name, "label": label, "probability": number}
            for name, label in zip(names, range(first, first + 5))]


@pytest.mark.parametrize("name, changes, message", [
    ("selftest.json", {"top": lines(.99)},
     r"self-test with MXNet gives other classes: expected 0.99 .*, received 0\.\d+; \d of the 5 differ by more than"),
    ("selftest.json", {"top": []}, "expected of selftest.json 5 lines of different classes, received 0"),
    ("selftest.json", {"top": lines(.2)[:1] * 5}, "expected of selftest.json 5 lines of different classes"),
    ("selftest.json", {"top": lines(.2, first=4)}, "expected of selftest.json 5 lines of different classes"),
    ("selftest.json", {"top": lines(.2, first=1, names=CLASSES)}, "expected of selftest.json the classes' own names"),
    ("selftest.json", {"top": lines(float("inf"))}, "expected of selftest.json numbers, and probabilities from 0 to 1"),
    ("selftest.json", {"top": lines(7)}, "expected of selftest.json numbers, and probabilities from 0 to 1"),
    ("selftest.json", {"top": "abcdefg"}, "expected class, label and probability in selftest.json"),
    ("selftest.json", {"factor": 0}, "expected of selftest.json a factor from 1 to 1.5, received 0"),
    ("selftest.json", {"factor": 1e9}, "expected of selftest.json a factor from 1 to 1.5, received 1000000000.0"),
    ("selftest.json", {"factor": float("nan")}, "a factor from 1 to 1.5, received nan"),
    ("selftest.json", {"factor": None, "tolerance": 1e9, "largest": 1}, "a tolerance from 0 to 0.1, received 10000"),
    ("selftest.json", {"tolerance": .1}, "expected of selftest.json either a factor or a tolerance"),
    ("selftest.json", {"factor": "x"}, "expected class, label and probability in selftest.json"),
    ("signature.json", {"name": "\033[2J"}, r"as its name, received name='\\x1b\[2J'"),
    ("signature.json", {"format": 2}, "expected format 1, received 2"),
    ("model-manifest.json", {"classes": ["a"]}, "the classes of synset.txt in .*, received other classes"),
    ("model-manifest.json", {"packing": None}, "received a manifest without them"),
    ("model-manifest.json", {"packing": {"shrink": 3}}, "expected im2rec's options as packing"),
    ("model-manifest.json", {"input": {"size": 16, "mean": [90, 90, 90], "scale": .01}}, "self-test with MXNet gives"),
])
def test_a_bundle_that_contradicts_itself_is_refused(name, changes, message, copy):
    """Its sums agree: they say only that it arrived as it was sent."""
    changed_json(copy / name, **changes)
    (copy / "SHA256SUMS").unlink()
    write_sums(str(copy))
    with pytest.raises(InputError, match=message):
        check_bundle(str(copy))


def test_swapped_channels_show_in_the_self_test(copy):
    image = cv2.imread(str(copy / "selftest.jpg"))
    cv2.imwrite(str(copy / "selftest.jpg"), image[:, :, ::-1])
    (copy / "SHA256SUMS").unlink()
    write_sums(str(copy))
    with pytest.raises(InputError, match="self-test with MXNet gives other classes"):
        check_bundle(str(copy))


@pytest.mark.parametrize("member, message", [("../evil", r"points out of the folder with '\.\.'"),
                                             ("/etc/evil", "has an absolute path")])
def test_a_hostile_archive_is_refused_before_a_byte_is_written(member, message, tmp_path):
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo(member))
    with pytest.raises(InputError, match=message), opened_bundle(str(tmp_path / "evil.tar")):
        pass
    assert os.listdir(tmp_path) == ["evil.tar"]


def test_nothing_is_left_of_a_bundle_that_fails(make_checkpoint, tmp_path, monkeypatch):
    write_image(tmp_path / "cat.png", smooth())
    monkeypatch.setattr("mxft.deploy.bundle.writing.expectation",
                        lambda answer, classes: expected_of(np.roll(answer.shown, 1), classes))
    for name in ("folder", "file.tar"):
        with pytest.raises(RunError, match="bundle is not kept: self-test with MXNet gives other classes: expected"):
            write_bundle(tiny(make_checkpoint), str(tmp_path / name), str(tmp_path / "cat.png"), onnx=False)
    assert os.listdir(tmp_path) == ["cat.png"]


def test_a_class_name_of_two_lines_is_refused(make_checkpoint, tmp_path):
    classifier = dataclasses.replace(tiny(make_checkpoint), classes=["a\nb", *CLASSES[1:]])
    with pytest.raises(InputError, match=r"class names: expected one line of text for each, received 'a\\nb'"):
        write_bundle(classifier, str(tmp_path / "x"), "cat.png")


def resummed(folder):
    (folder / "SHA256SUMS").unlink()
    write_sums(str(folder))


def test_the_onnx_file_is_run_where_a_bundle_is_checked(copy, random_parameters, tmp_path):
    """Another network under its name, a file that is none, and one that the signature does not know."""
    pytest.importorskip("onnxruntime")
    symbol = head_of(lambda scores: mx.sym.softmax(scores, name="softmax"), hidden=7)
    checkpoint = Checkpoint(symbol, *random_parameters(symbol, (3, 16, 16), seed=9), name="net,0")
    write_image(tmp_path / "cat.png", smooth())
    write_bundle(Classifier(checkpoint, InputSpec((3, 16, 16)), {"resize": 16}, CLASSES, "net"),
                 str(tmp_path / "other"), str(tmp_path / "cat.png"))
    shutil.copy(tmp_path / "other" / "model.onnx", copy / "model.onnx")
    resummed(copy)
    check_bundle(str(copy))  # what is served is MXNet's
    with pytest.raises(InputError, match="self-test with ONNX Runtime gives other classes: expected"):
        check_bundle(str(copy), with_onnx=True)
    (copy / "model.onnx").write_bytes(b"nonsense")
    resummed(copy)
    with pytest.raises(InputError, match="bundle: expected a model.onnx that ONNX Runtime computes, received"):
        check_bundle(str(copy), with_onnx=True)
    (copy / "model.onnx").unlink()
    resummed(copy)
    with pytest.raises(InputError, match="expected model.onnx and onnx in signature.json, or neither, received onnx in "
                                         "signature.json alone"):
        check_bundle(str(copy), with_onnx=True)
    changed_json(copy / "signature.json", onnx=None)
    resummed(copy)
    assert check_bundle(str(copy), with_onnx=True).onnx is None
