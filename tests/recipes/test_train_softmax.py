"""recipes/train_softmax.py: upstream's flags and defaults, its refusals, and a short run to verified weights."""
import os
import re

import numpy as np
import pytest

from mxft.cli import run_verb
from mxft.command import run_command
from mxft.faces.pairs.bin_file import write_pairs
from mxft.network.checkpoint import load_checkpoint, saved_epochs
from mxft.training.run import read_log
from tests.support.images import banded, encoded

SIZE = (16, 16)

# name and default of every flag of upstream's script, as the facts gathered from its 2018-2019 sources list them
UPSTREAM = {
    "data_dir": "", "prefix": "../model/model", "pretrained": "", "ckpt": 1, "loss_type": "4", "verbose": 2000,
    "max_steps": 0, "end_epoch": 100000, "network": "r50", "image_size": (112, 112), "version_se": 0,
    "version_input": 1, "version_output": "E", "version_unit": 3, "version_multiplier": 1.0, "version_act": "prelu",
    "use_deformable": 0, "lr": 0.1, "lr_steps": (), "wd": 0.0005, "fc7_wd_mult": 1.0, "fc7_lr_mult": 1.0,
    "fc7_no_bias": False, "bn_mom": 0.9, "mom": 0.9, "per_batch_size": 128, "margin_m": 0.5, "margin_s": 64.0,
    "margin_a": 1.0, "margin_b": 0.0, "easy_margin": 0, "margin": 4, "beta": 1000.0, "beta_min": 5.0,
    "beta_freeze": 0, "gamma": 0.12, "power": 1.0, "scale": 0.9993, "rand_mirror": 1, "cutoff": 0, "color": 0,
    "images_filter": 0, "ce_loss": False,
    "images_per_identity": 5, "triplet_bag_size": 3600, "triplet_alpha": 0.3, "triplet_max_ap": 0.0,  # train_triplet.py
}


@pytest.fixture
def data(make_records, tmp_path):
    """A folder with a set of 4 classes and 12 images each, and lfw.bin."""

    folder = tmp_path / "faces"
    folder.mkdir()
    os.rename(make_records("faces.rec", np.repeat(np.arange(4), 12), banded), folder / "train.rec")
    images = [encoded(banded(n, n // 2 % 4)) for n in range(24)]
    write_pairs(str(folder / "lfw.bin"), images, np.arange(12) % 2 == 0)
    return str(folder / "train.rec")


@pytest.fixture
def run(recipe, data, make_face_checkpoint, tmp_path, capsys):
    """A function (*flags, pretrained=Checkpoint) -> (exit status, stdout, stderr)."""
    def command(*flags, pretrained=None):
        net = pretrained or make_face_checkpoint(num_classes=9)
        net.save(str(tmp_path / "old"), 287)
        status = run_command("train_softmax", recipe.main, [
            "--pretrained", f"{tmp_path}/old, 287", "--data-dir", data, "--prefix", f"{tmp_path}/new/model",
            "--network", "pretrained", "--image-size", "16,16", "--per-batch-size", "16", "--end-epoch", "1",
            "--lr", "0.01", *flags])
        said = capsys.readouterr()
        return status, said.out, said.err
    return command


def test_every_flag_of_upstream_is_there_with_its_default(recipe):
    args = vars(recipe.parser().parse_args([]))
    assert {name: args.get(name, "no such flag") for name in UPSTREAM} == UPSTREAM
    assert args["emb_size"] is None and args["target"] is None  # 512, and those of upstream's three that are there


def test_upstreams_example_command_parses(recipe):
    args = recipe.parser().parse_args([
        "--network", "r100", "--loss-type", "4", "--margin-m", "0.5", "--prefix", "../model-r100", "--pretrained",
        "../model-r100, 287", "--lr-steps", "", "--emb-size=128", "--data-dir", "../datasets/faces_emore"])
    assert (args.network, args.pretrained, args.lr_steps, args.emb_size) == ("r100", "../model-r100, 287", (), 128)


def test_upstreams_defaults_on_few_images_are_warned_of(run, tmp_path):
    """100,000 epochs and a rate of 0.1 at 3 steps an epoch; and a rate that falls when the run has ended."""
    status, _, said = run("--lr", "0.1", "--end-epoch", "100000", "--max-steps", "1", "--per-batch-size", "48")
    assert status == 0 and said.splitlines()[:3] == [
        "warning: an epoch is one update: 48 images for training, --per-batch-size 48; --per-batch-size 8 makes 6 "
        "updates", "warning: too few updates for a new head: 1 in all, 1 an epoch, where 20 is little; more "
        "--end-epoch, or a smaller --per-batch-size",
        "warning: learning rate too high for pretrained weights: 0.1 with momentum 0.9 undoes what they know at 1 "
        "update an epoch; --lr 0.01"]
    assert "warning: the learning rate falls after the end: at update 1,066,666 of 1; " in said
    assert len(read_log(tmp_path / "new" / "model-log.jsonl")[0]["warnings"]) == 4


def test_the_learning_rate_that_suits_triplets_is_not_doubted(run):
    """The gradient of a triplet is far smaller than that of a softmax with scale 64: recipes/face_losses.md."""
    status, _, said = run("--loss-type", "12", "--per-batch-size", "12", "--lr", "0.05", "--max-steps", "1",
                          "--triplet-alpha", "1", "--triplet-bag-size", "24", "--images-per-identity", "6")
    assert status == 0 and "learning rate too high" not in said


def test_the_warning_counts_the_steps_the_run_makes(run):
    """48 images are 9 whole batches of 5."""
    status, told, said = run("--per-batch-size", "5", "--end-epoch", "1")
    assert status == 0 and "; 9 steps an epoch of 5 images" in told
    assert "too few updates for a new head: 9 in all, 9 an epoch" in said


def test_a_run_says_what_it_did_to_the_weights_and_verifies_them(run, tmp_path):
    status, said, _ = run("--frequent", "2")
    assert status == 0
    assert "old,287: transfer: 13 loaded, 1 new, 0 dropped, 0 mismatched\n  new: fc7_weight (9, 4) -> (4, 4)" in said
    assert "fc7 is new: accuracy starts near 0, which is normal" in said
    assert re.search(r"epoch 1 step 2: [\d.]+ images/s, lr 0.01, loss [\d.]+, accuracy [\d.]+ with margin, [\d.]+ "
                     r"without, target cosine -?[\d.]+", said)
    assert "[lfw][0]Accuracy-Flip: " in said and "[lfw][3]Accuracy-Flip: " in said
    assert "no verification set cfp_fp, agedb_30 in " in said
    assert sorted(saved_epochs(f"{tmp_path}/new/model")) == ["1", "best", "last"]
    saved = load_checkpoint(f"{tmp_path}/new/model,last")
    assert saved.symbol.list_outputs()[1] == "softmax_output" and saved.arg_params["fc7_weight"].shape == (4, 4)
    assert saved.manifest["head"]["loss"] == "arcface" and saved.manifest["input"]["size"] == [16, 16]


def test_a_run_has_a_page_that_can_be_made_again_and_its_sets_judged_again(run, tmp_path, capsys):
    _, said, _ = run()
    page = f"{tmp_path}/new/model-report.html"
    assert said.endswith(f"\nreport: {page}\n")
    with open(page, encoding="utf-8") as f:
        written = f.read()
    assert "step 0 (best), area" in written and "step 3, area" in written
    assert f"{tmp_path}/old,287 fine-tuned on 48 images" in written
    assert run_verb("report", [f"{tmp_path}/new"]) == 0
    with open(page, encoding="utf-8") as f:
        assert f.read() == written
    assert run_verb("report", [f"{tmp_path}/new/model", "--data-dir", f"{tmp_path}/faces", "--target", "lfw",
                               "--output", f"{tmp_path}/again.html"]) == 0
    with open(tmp_path / "again.html", encoding="utf-8") as f:
        rows = re.findall(r"<tr><td>([^<]*)</td><td class=\"n\">([\d.]+ ± [\d.]+)</td>", f.read())
    assert dict(rows)["best, evaluated again"] == dict(rows)["step 0 (best)"]
    assert run_verb("report", [f"{tmp_path}/new", "--records", "a.rec"]) == 2
    assert "--records: expected with a classification run, received the face run " in capsys.readouterr().err


def test_triplets_train_the_embedding_and_are_verified(run, tmp_path):
    status, said, error = run("--loss-type", "12", "--per-batch-size", "12", "--triplet-alpha", "1",
                              "--triplet-bag-size", "24", "--images-per-identity", "6", "--frequent", "1")
    assert status == 0, error
    assert "head: triplet (loss type 12): loss max(0, |a - p|² - |a - n|² + α), α 1, 4 classes" in said
    assert "fc7 of the checkpoint is left out: triplet trains the embedding alone" in said
    assert re.search(r"bag 0: \d+ triplets of 60 pairs among 24 images\nepoch 1 step 1: [\d.]+ images/s, lr 0.01, loss "
                     r"[\d.]+, [\d.]+ of the triplets with one, [\d.]+ nearer to the positive, distances [\d.]+ and ",
                     said)
    assert "[lfw][0]Accuracy-Flip: " in said and "[lfw][4]Accuracy-Flip: " in said
    assert load_checkpoint(f"{tmp_path}/new/model,last").symbol.list_outputs() == ["fc1_output"]
    status, _, error = run("--loss-type", "12", "--prefix", f"{tmp_path}/other/model")
    assert status == 2 and "; try --per-batch-size 15\n" in error


def test_a_page_that_fails_is_said_and_the_weights_stay(run, tmp_path, monkeypatch):
    from mxft.faces.report import face_page

    monkeypatch.setattr(face_page, "face_curves_svg", lambda runs: 1 / 0)
    status, said, error = run("--target", "")
    assert status == 3 and "3 steps done; best " in said and "best" in saved_epochs(f"{tmp_path}/new/model")
    assert error.endswith("\nreport: not written (ZeroDivisionError: division by zero); what was trained is on disk, "
                          f"and mxft report {tmp_path}/new/model writes the page\n")


def test_event_files_have_the_numbers_of_the_log(run, tmp_path, read_scalars):
    pytest.importorskip("tensorboardX")
    status, _, _ = run("--tensorboard", "--frequent", "1")
    logged = {}
    for row in read_log(f"{tmp_path}/new/model-log.jsonl"):
        if row["event"] == "interval":
            logged["train/loss", row["step"]] = np.float32(row["loss"])
        if row["event"] == "verification":
            logged["verification/lfw", row["step"]] = np.float32(row["targets"]["lfw"]["accuracy"])
    written = read_scalars(f"{tmp_path}/new/model-tensorboard")
    assert status == 0 and len(logged) == 5 and {key: written[key] for key in logged} == logged


@pytest.mark.parametrize("flags", [(), ("--cpus", "2", "--per-batch-size", "8", "--shard-fc7", "--sample-rate", "0.5")])
def test_what_was_saved_can_be_slimmed_and_verified_to_the_same_number(flags, run, tmp_path, capsys):
    _, said, _ = run(*flags)
    assert bool(flags) == ("fc7: 4 classes in 2 shards of 2: " in said)
    number = re.search(r"\[lfw\]\[3\]Accuracy-Flip: (\S+)", said).group(1)
    assert run_verb("slim", ["--model", f"{tmp_path}/new/model,last"]) == 0
    assert run_verb("verify", ["--model", f"{tmp_path}/new/models,0", "--data-dir", f"{tmp_path}/faces",
                               "--target", "lfw"]) == 0
    assert f"[lfw]Accuracy-Flip: {number}" in capsys.readouterr().out


@pytest.mark.parametrize("flags, message", [
    (["--data-dir", ""], "data-dir: expected a folder with property, train.rec and train.idx, received none"),
    (["--loss-type", "9"], "loss type: expected"),
    (["--network", "q50"], "q50"),
    (["--use-deformable", "1"], "use-deformable: expected 0, deformable convolutions are not built"),
    (["--emb-size", "8"], "emb-size: expected 4, which the checkpoint's own graph has, received emb-size=8"),
    (["--target", "lfw,cfp_ff"], "verification set is missing: expected {tmp}/faces/cfp_ff.bin, received target="
                                 "'cfp_ff'; known: lfw; mxft pairs-pack makes one"),
    (["--image-size", "20,20"], "image-size: expected 16,16"),
    (["--image-size", "0,16"], "--image-size: expected H,W or one number, in pixels, received image-size='0,16'"),
    (["--freeze-epochs", "1", "--end-epoch", "2", "--pretrained", "", "--network", "y1"],
     "freeze-epochs: expected --pretrained"),
    (["--prefix", "{tmp}/new/"], "try --prefix {tmp}/new/model"),
    (["--freeze", "stage9_*"], "freeze: expected a pattern that matches a parameter, received freeze='stage9_*'"),
    (["--per-batch-size", "1000000000"], "--per-batch-size"),
    (["--accumulate", "0"], "--accumulate: expected a whole number of at least 1, received accumulate='0'"),
    (["--fp16"], "fp16: expected GPUs, received cpu(0), where MXNet has no float16 convolution; leave --fp16 out"),
    (["--ckpt", "4"], "--ckpt: expected a whole number from 0 to 3, received ckpt='4'"),
    (["--fc7-init", "zero"], "fc7-init: expected one of keep, normal, imprint, received fc7-init='zero'"),
    (["--shard-fc7"], "shard-fc7: expected at least 2 devices to divide the classes over, received cpu(0) alone; list "
     "cards in CUDA_VISIBLE_DEVICES, or --cpus 2"),
    (["--sample-rate", "1.5"], "--sample-rate: expected a number above 0 and of at most 1, received sample-rate='1.5'"),
    (["--cpus", "2", "--sample-rate", "0.5"], "received sample-rate=0.5 on 2 devices that would each sample for "
     "themselves; add --shard-fc7"),
    (["--cpus", "2", "--shard-fc7", "--loss-type", "inter"], "received loss-type=7 (arcface-inter), which weighs every "
     "class centre against every other; --loss-type 4 is the same without that"),
])
def test_refusals_end_with_2_and_leave_nothing(flags, message, run, tmp_path):
    status, _, error = run(*(flag.format(tmp=tmp_path) for flag in flags))
    assert status == 2 and "Traceback" not in error and error.count("\n") == 1
    assert message.format(tmp=tmp_path) in error
    assert not (tmp_path / "new").exists()


def test_more_memory_than_there_is_is_refused_with_batches_that_fit(run, tmp_path, monkeypatch):
    from mxft.faces.training import preparation

    monkeypatch.setattr(preparation, "available_memory", lambda context: 40_000)
    status, _, error = run()
    fits = re.search(r"memory: expected a run within .*; --per-batch-size (\d+) --accumulate (\d+) fits", error)
    batch, batches = map(int, fits.groups())
    assert status == 2 and 0 < batch < 16 == batch * batches and not (tmp_path / "new").exists()
    assert run("--per-batch-size", str(batch), "--accumulate", str(batches), "--max-steps", "1")[0] == 0


def test_the_help_shows_no_python(recipe):
    assert "()" not in recipe.parser().format_help() and "None" not in recipe.parser().format_help()


def test_an_empty_target_verifies_nothing(run):
    status, said, _ = run("--target", "")
    assert status == 0 and "Accuracy-Flip" not in said


def test_targets_of_any_name(run, tmp_path):
    for name in ("calfw", "cfp_ff", "ytf.3-frames"):
        (tmp_path / "faces" / f"{name}.bin").write_bytes((tmp_path / "faces" / "lfw.bin").read_bytes())
    status, said, _ = run("--target", "calfw,cfp_ff,ytf.3-frames", "--max-steps", "1")
    assert status == 0 and all(f"[{name}][0]Accuracy-Flip: " in said for name in ("calfw", "cfp_ff", "ytf.3-frames"))
    assert "[lfw]" not in said


def test_a_prefix_that_is_taken_is_refused(run, tmp_path):
    assert run()[0] == 0
    status, _, error = run()
    assert status == 2 and f"try --prefix {tmp_path}/new/model-2" in error


def test_devices_are_those_cuda_visible_devices_lists(run, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    status, _, error = run()
    assert status == 2 and "gpus='0,1'" in error  # the CPU build refuses; a machine with two GPUs takes both
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    status, said, _ = run("--cpus", "2", "--per-batch-size", "8")
    assert status == 0 and "steps an epoch of 16 images on cpu(0), cpu(1)" in said
