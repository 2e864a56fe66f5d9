"""``mxft verify`` as a user runs it."""
import json
import os
import pickle
import re
import zlib

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.compat import mx
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.checkpoint import Checkpoint, load_params
from mxft.network.input_spec import InputSpec

SIZE = (16, 16)


def write_set(path, pairs=30, seed=0, issame=None, size=SIZE):
    """A set whose same pairs are noisy copies."""
    rng = np.random.RandomState(seed)
    issame = np.arange(pairs) % 2 == 0 if issame is None else issame
    images = []
    for same in issame:
        left = cv2.resize(rng.randint(0, 255, (4, 4, 3)).astype(np.uint8), size[::-1])
        right = left if same else cv2.resize(rng.randint(0, 255, (4, 4, 3)).astype(np.uint8), size[::-1])
        noisy = np.clip(right + rng.randint(-20, 20, right.shape), 0, 255).astype(np.uint8)
        images += [cv2.imencode(".png", pixels)[1].tobytes() for pixels in (left, noisy)]
    write_pairs(path, images, issame)


@pytest.fixture
def here(here, random_parameters):
    """``face,0`` with its training head and a manifest, ``slim,0`` without either; data/lfw.bin, data/agedb_30.bin."""
    net = (mx.sym.Variable("data") - 127.5) * 0.0078125
    net = mx.sym.Convolution(net, kernel=(4, 4), stride=(4, 4), num_filter=8, name="conv0")
    slim = mx.sym.BatchNorm(mx.sym.FullyConnected(net, num_hidden=16, name="pre_fc1"), name="fc1")
    logits = mx.sym.FullyConnected(mx.sym.L2Normalization(slim), num_hidden=7, name="fc7")
    training = mx.sym.Group([mx.sym.BlockGrad(slim), mx.sym.SoftmaxOutput(logits, name="softmax")])
    args, auxs = random_parameters(training, (3, *SIZE))
    args["fc1_gamma"][:] = 1  # as training leaves it where gamma is fixed
    Checkpoint(training, args, auxs, {"format": 1, "input": InputSpec((3, *SIZE)).to_dict()}).save("face", 0)
    Checkpoint(slim, {k: v for k, v in args.items() if not k.startswith("fc7")}, auxs).save("slim", 0)
    os.mkdir("data")
    write_set("data/lfw.bin")
    write_set("data/agedb_30.bin", 24, 1)
    return here


def verify(*words, model="face,0"):
    return main(["verify", "--model", model, *words])


def test_upstreams_lines_for_the_default_targets(here, capsys):
    before = sorted(os.listdir())
    assert verify("--data-dir", "data") == 0
    out, err = capsys.readouterr()
    assert err == "not in data: cfp_fp\n"
    lines = out.splitlines()
    assert lines[0] == "[lfw]30 pairs (15 same, 15 different), 60 images"
    assert re.fullmatch(r"\[lfw\]XNorm: \d+\.\d{6}", lines[1])
    assert re.fullmatch(r"\[lfw\]Accuracy-Flip: [01]\.\d{5}\+-0\.\d{5}", lines[2])
    assert re.fullmatch(r"\[lfw\]TAR@FAR 0\.1: [01]\.\d{5} \(squared distance below (\d\.\d{4}), cosine above "
                        r"(-?\d\.\d{4})\)", lines[3])
    assert lines[4] == "[lfw]TAR@FAR 0.01: needs 100 different pairs, received 15"
    assert lines[6] == "[lfw]TAR@FAR 0.0001: needs 10,000 different pairs, received 15"
    assert re.fullmatch(r"\[lfw\]AUC: [01]\.\d{5}", lines[7])
    assert re.fullmatch(r"\[lfw\]\d+ images/s with their mirror images, \d+\.\d s", lines[8])
    assert lines[9] == "[agedb_30]24 pairs (12 same, 12 different), 48 images" and len(lines) == 18
    assert float(re.search(r"Accuracy-Flip: ([\d.]+)", out).group(1)) > 0.7        # copies are nearer than strangers
    assert sorted(os.listdir()) == before


def test_targets_files_and_upstreams_flag_names(here, capsys):
    assert verify("--data-dir", "data", "--target", "agedb_30, lfw", "--nfolds", "5", "--gpu", "") == 0
    assert re.findall(r"\[(\w+)\]Accuracy-Flip", capsys.readouterr().out) == ["agedb_30", "lfw"]
    assert verify("--bin", "data/lfw.bin", "./data/lfw.bin", "--folds", "3", "--batch-size", "7") == 0
    first, second = re.findall(r"\[lfw(?:-2)?\]Accuracy-Flip: (\S+)", capsys.readouterr().out)
    assert first == second


def test_without_mirror_images(here, capsys):
    rows = []
    for words in ([], ["--no-flip"]):
        assert verify("--bin", "data/lfw.bin", "--folds", "3", "--json", "out.json", *words) == 0
        rows.append(json.loads((here / "out.json").read_text(encoding="utf-8"))["sets"][0])
    out = capsys.readouterr().out.split("numbers: ")[1]
    assert "[lfw]Accuracy: " in out and "Accuracy-Flip" not in out and "mirror" not in out
    both, one = rows
    assert (both["flip"], one["flip"], both["folds"], len(both["fold_accuracies"])) == (True, False, 3, 3)
    assert both["xnorm"] != pytest.approx(one["xnorm"], rel=1e-4)
    assert both["images_per_second"] == pytest.approx(2 * 60 / both["seconds"], rel=0.2)
    assert one["images_per_second"] == pytest.approx(60 / one["seconds"], rel=0.2)


def test_every_set_is_looked_at_before_the_first_is_verified(here, capsys):
    write_set("few.bin", 4)
    write_set("large.bin", 20, size=(20, 20))
    for odd, message in (("few.bin", "received pairs=4 folds=10"), ("large.bin", "image 0 of large (pair 0) does not")):
        assert verify("--bin", "data/lfw.bin", odd) == 2
        out, err = capsys.readouterr()
        assert out == "" and message in err


def test_the_head_and_the_batch_size_change_nothing(here, capsys):
    results = []
    for words in (["--batch-size", "32"], ["--batch-size", "7", "--data-nthreads", "1"]):
        for model, size in (("face,0", []), ("slim,0", ["--image-size", "16"])):
            assert verify("--bin", "data/lfw.bin", "--json", "out.json", *words, *size, model=model) == 0
            results.append(json.loads((here / "out.json").read_text(encoding="utf-8"))["sets"][0])
    for result in results[1:]:
        assert result["accuracy"] == results[0]["accuracy"] and result["thresholds"] == results[0]["thresholds"]
        assert result["xnorm"] == pytest.approx(results[0]["xnorm"], rel=1e-5)


def test_the_numbers_and_the_pictures(here, capsys):
    assert verify("--data-dir", "data", "--plots", "out/plots", "--json", "out/numbers.json") == 0
    out = capsys.readouterr().out
    facts = json.loads((here / "out/numbers.json").read_text(encoding="utf-8"))
    assert facts["model"] == "face,0" and [row["name"] for row in facts["sets"]] == ["lfw", "agedb_30"]
    row = facts["sets"][0]
    assert f"[lfw]Accuracy-Flip: {row['accuracy']:.5f}+-{row['std']:.5f}" in out and f"{row['xnorm']:f}" in out
    assert (row["pairs"], row["same"], row["folds"], row["distinct_images"]) == (30, 15, 10, 60)
    assert row["flip"] is True and row["path"] == os.path.join("data", "lfw.bin") and row["tar_at_far"]["0.01"] is None
    assert sorted(os.listdir("out/plots")) == ["agedb_30-distances.png", "lfw-distances.png", "roc.png"]
    assert "plots: out/plots/roc.png and lfw-distances.png, agedb_30-distances.png\nnumbers: out/numbers.json" in out


def test_the_page(here, capsys):
    assert verify("--data-dir", "data", "--report", "out/page.html") == 0
    assert capsys.readouterr().out.endswith(f"\nreport: {here}/out/page.html\n")
    page = (here / "out/page.html").read_text(encoding="utf-8")
    assert page.count("<svg role") == 3 and "<h1>face,0</h1>" in page and "lfw, area " in page
    assert "<td>agedb_30</td>" in page and "TAR@FAR 0.01 needs 100 different pairs, received 15" in page


def test_one_sided_sets_are_noted(here, capsys):
    write_set("sorted.bin", 20, issame=np.arange(20) < 10)
    write_set("same.bin", 20, issame=np.ones(20, bool))
    assert verify("--bin", "sorted.bin", "same.bin") == 0
    out = capsys.readouterr().out
    assert "[sorted]note: 10 of 10 folds hold pairs of one kind only (fold 1, 2, 3" in out
    assert "[same]TAR@FAR 0.1: needs 10 different pairs, received 0" in out
    assert "[same]AUC: needs same and different pairs" in out


@pytest.mark.parametrize("words, message", [
    ([], "nothing to verify: expected --data-dir DIR or --bin FILE, received neither"),
    (["--target", "lfw"], "--target: expected --data-dir DIR beside it, received target='lfw' alone"),
    (["--data-dir", "dat"], "verification sets are missing: expected a folder with .bin files, received 'dat'"),
    (["--data-dir", "data", "--target", "lfv"], "verification set is missing: expected data/lfv.bin, received "
                                                "target='lfv'; nearest: lfw; mxft pairs-pack makes one"),
    (["--data-dir", "data", "--target", ","], "target: expected names of sets such as lfw,cfp_fp,agedb_30, "
                                              "received none"),
    (["--data-dir", "."], "nothing to verify: expected any of lfw, cfp_fp, agedb_30 as .bin in ., received no .bin "
                          "file; name what is there with --target"),
    (["--bin", "data/lfv.bin"], "verification set is missing: expected a file, received 'data/lfv.bin'; in that folder "
                                "nearest: lfw.bin"),
    (["--bin", "data/lfw.bin", "--folds", "31"], "pairs < folds: expected at least one pair in each fold, received "
                                                 "pairs=30 folds=31; choose from --folds 1 to --folds 30"),
    (["--bin", "data/lfw.bin", "--image-size", "112,112"], "image 0 of lfw (pair 0) does not fit: expected 112x112 "
                                                           "pixels, received 16x16"),
    (["--bin", "data/lfw.bin", "--plots", "face-0000.params"], "--plots: expected a folder that can be written to"),
    (["--bin", "data/lfw.bin", "--report", "face-0000.params/a"], "--report: expected a folder that can be written"),
    (["--bin", "data/lfw.bin", "--json", "face-0000.params/a"], "--json: expected a folder that can be written to"),
    (["--bin", "data/lfw.bin", "--gpu", "x"], "devices: expected different GPU numbers such as 0,1, received gpus='x'"),
    (["--bin", "data/lfw.bin", "--threshold", "0"], "--threshold: expected two pictures to compare, received "
                                                   "threshold=0.0 with none"),
    (["--bin", "data/lfw.bin", "--max", "3"], "expected an option of mxft verify, received '--max'"),
])
def test_what_is_refused_is_one_message_and_leaves_nothing(words, message, here, capsys):
    before = sorted(os.listdir())
    assert verify(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and message in err and err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_a_hostile_set_runs_nothing(here, capsys):
    class Hostile:
        def __reduce__(self):
            return os.system, ("touch was-run",)

    (here / "hostile.bin").write_bytes(pickle.dumps(([Hostile(), b"b"], [True])))
    assert verify("--bin", "hostile.bin") == 2
    assert f"refused: {os.system.__module__}.system; nothing of it was run" in capsys.readouterr().err
    assert not os.path.exists("was-run")


def test_an_image_that_breaks_while_decoding_is_3(here, capsys):
    good = cv2.imencode(".png", np.zeros((*SIZE, 3), np.uint8))[1].tobytes()
    rubbish = b"IDATnot zlib"
    damaged = (good[:33] + (len(rubbish) - 4).to_bytes(4, "big") + rubbish + zlib.crc32(rubbish).to_bytes(4, "big")
               + b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big"))
    write_pairs("odd.bin", [good, damaged] * 10, [True] * 10)
    assert verify("--bin", "odd.bin") == 3
    assert "image 1 cannot be decoded: expected a whole JPEG or PNG, received" in capsys.readouterr().err


@pytest.mark.parametrize("mean, scale", [((127.5,) * 3, (1 / 127.5,) * 3), ((120.0, 130.0, 110.0), (0.01, 0.02, 0.03))])
def test_the_manifests_mean_and_scale_are_heeded(here, capsys, make_face_checkpoint, mean, scale):
    """Distances to the last digit those of the network that has the same normalisation in its graph."""
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint

    own = make_face_checkpoint()
    own.manifest = {"format": 1, "input": InputSpec((3, *SIZE), mean, scale).to_dict()}
    own.save("told", 0)
    shift, factor = (mx.sym.Variable(name, shape=(1, 3, 1, 1)) for name in ("shift", "factor"))
    pixels = mx.sym.broadcast_mul(mx.sym.broadcast_sub(mx.sym.Variable("data"), shift), factor)
    values = {"shift": mx.nd.array(mean).reshape((1, 3, 1, 1)), "factor": mx.nd.array(scale).reshape((1, 3, 1, 1))}
    Checkpoint(own.symbol(data=pixels), {**own.arg_params, **values}, own.aux_params).save("built", 0)
    numbers = []
    for model in ("told,0", "built,0"):
        assert verify("--bin", "data/lfw.bin", "--image-size", ",".join(map(str, SIZE)), "--json", f"{model}.json",
                      model=model) == 0
        with open(f"{model}.json", encoding="utf-8") as f:
            numbers.append(json.load(f)["sets"][0])
    assert numbers[0]["xnorm"] == pytest.approx(numbers[1]["xnorm"], rel=1e-5)
    assert numbers[0]["accuracy"] == numbers[1]["accuracy"]


def test_embeddings_that_are_not_finite_are_3(here, capsys):
    args, auxs = load_params("face-0000.params")
    args["pre_fc1_bias"][:] = np.nan
    named = [("arg:" + name, value) for name, value in args.items()] + [("aux:" + k, v) for k, v in auxs.items()]
    mx.nd.save("face-0001.params", dict(named))
    assert verify("--bin", "data/lfw.bin", model="face,1") == 3
    assert ("embeddings are not finite: received NaN or infinity from layer fc1 for 32 of 32 images"
            in capsys.readouterr().err)
