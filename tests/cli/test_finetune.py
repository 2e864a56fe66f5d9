"""``mxft finetune`` as a clumsy user types it: refused, it leaves nothing; interrupted, it keeps what it has."""
import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from mxft.cli import main
from mxft.cli.finetune import add_training_options, parser, recipe_from
from mxft.data.recordio import IRHeader, RecordWriter, pack
from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint, saved_epochs
from mxft.training.run import read_log
from tests.support.doubts import without_doubts
from tests.support.images import levelled, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")

SHAPE = ["--image-shape", "3,16,16", "--rgb-mean", "90,90,90", "--rgb-std", "60,60,60"]
STOPPING = "stopping after this batch; a second one stops at once"


@pytest.fixture
def here(here, make_checkpoint, make_records):
    """A working directory with a checkpoint ``net,0`` of 3 classes, train.rec, val.rec and class folders in photos."""
    make_checkpoint(3).save("net", 0)
    make_records("train.rec", [0, 1, 2] * 4, levelled)
    make_records("val.rec", [0, 1, 2] * 2, levelled)
    write_classes("photos", [f"class {label}" for label in range(3)], 4, levelled)
    return here


def finetune(*words, model="net,0", data=("--train", "train.rec", "--val", "val.rec"), run="run"):
    return main(["finetune", "--model", model, *data, "--run", run, "--epochs", "1", "--batch-size", "4",
                 "--lr", "0.1", "--plan", "full", *SHAPE, *words])


def refused(capsys, status, message, run="run"):
    """Assert status 2, one message holding `message`, and no run folder."""
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1), (status, out, err)
    assert err.startswith("mxft finetune: ") and message in err, err
    assert not os.path.exists(run) and not os.path.exists(run + "-records")


def test_a_run_leaves_all_of_its_files_and_says_where(here, capsys):
    assert finetune() == 0
    out, err = capsys.readouterr()
    assert without_doubts(err) == "" and f"run folder: {here}/run" in out and out.endswith(
        f"saved: run/model,best\nreport: {here}/run/report.html\n")
    assert sorted(os.listdir("run")) == [
        "curves.png", "freeze.json", "log.jsonl", "model-0001.params", "model-best-novelty.nd", "model-best.params",
        "model-manifest.json", "model-symbol.json", "report.html", "state", "transfer.json"]


def test_an_update_of_several_batches_is_told(here, capsys):
    assert finetune("--accumulate", "2", "--lr-schedule", "step", "--lr-step-epochs", "0.5") == 0
    out = capsys.readouterr().out
    assert "gradients of 2 batches are added: 2 x 4 = 8 images an update\n" in out
    assert "images/s, lr 0.01" in out  # 3 batches are 2 updates, the second at a tenth of 0.1


@pytest.mark.parametrize("words, told", [
    ([], "crop, mirror"), (["--no-mirror"], "crop"), (["--augment", "0", "--no-mirror"], "centre crop"),
    (["--augment", "2", "--no-mirror"], "crop, hue 36, saturation 50, lightness 50"),
    (["--plan", "head", "--cache", "memory"], "centre crop")])
def test_what_happens_to_training_images_is_told(words, told, here, capsys):
    assert finetune(*words) == 0
    assert f"augmentation: {told}\n" in capsys.readouterr().out


def test_a_solved_head_has_no_augmentation_to_tell(here, capsys):
    assert finetune("--plan", "head", "--solver", "ridge") == 0
    assert "augmentation" not in capsys.readouterr().out
    assert not os.path.exists("run/curves.png")  # of one point
    with open("run/report.html", encoding="utf-8") as f:
        assert "The head was fitted in one step, so there is no curve" in f.read()


def test_event_files_have_the_numbers_of_the_log(here, capsys, read_events, read_scalars):
    pytest.importorskip("tensorboardX")
    assert finetune("--tensorboard", "--epochs", "2") == 0
    names = {"train_loss": "train/loss", "train_top1": "train/top1", "val_loss": "val/loss", "val_top1": "val/top1",
             "val_top5": "val/top5", "lr": "lr", "images_per_second": "images_per_second"}
    logged = {(tag, row["epoch"]): np.float32(row[name]) for row in read_log("run/log.jsonl")
              if row["event"] == "epoch" for name, tag in names.items()}
    assert len(logged) == 14 and read_scalars("run/tensorboard") == logged
    recipe, = [value for event in read_events("run/tensorboard") for value in event.summary.value
               if value.tag.startswith("recipe")]
    assert b'"plan": "full"' in recipe.tensor.string_val[0]
    capsys.readouterr()
    refused(capsys, finetune("--tensorboard", "run/tensorboard", run="again"),
            "--tensorboard: expected a folder without event files, received 'run/tensorboard' with those of another "
            "run; try --tensorboard run/tensorboard/run-2", run="again")


def test_tensorboard_without_its_package_is_refused_before_anything_is_made(here, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    refused(capsys, finetune("--tensorboard"), "--tensorboard: expected the package tensorboardX, which is not "
            "installed; pip install tensorboardX")
    assert finetune() == 0


@pytest.mark.parametrize("words, message", [
    (["--lr", "nan"], "--lr: expected a number of at least 0, received lr='nan'"),
    (["--lr=-1"], "--lr: expected a number of at least 0, received lr='-1'"),
    (["--lr", "abc"], "received lr='abc'"),
    (["--epochs", "0"], "--epochs: expected a whole number of at least 1, received epochs='0'"),
    (["--batch-size", "0"], "--batch-size: expected a whole number of at least 1, received batch-size='0'"),
    (["--accumulate", "0"], "--accumulate: expected a whole number of at least 1, received accumulate='0'"),
    (["--mom", "1"], "--mom: expected a number of at least 0 and below 1, received mom='1'"),
    (["--wd", "nan"], "--wd: expected a number of at least 0, received wd='nan'"),
    (["--seed", "-1"], "--seed: expected a whole number from 0 to 2147483647, received seed='-1'"),
    (["--augment", "4"], "--augment: expected one of 0, 1, 2, 3, received augment=4"),
    (["--initializer", "xavir"], "initializer: expected a name MXNet knows, received initializer='xavir'; "
                                 "nearest: xavier"),
    (["--optimizer", "sdg"], "optimizer: expected a name MXNet knows, received optimizer='sdg'; nearest: sgd"),
    (["--optimizer", "adam", "--mom", "0.9"], "optimizer adam: expected no momentum, received mom=0.9"),
    (["--plan", "heda"], "plan: expected one of full, head, discriminative, gradual, two-stage, scratch, "
                         "received plan='heda'; nearest: head"),
    (["--bn", "evl"], "--bn: expected one of train, eval, received bn='evl'"),
    (["--lr-schedule", "cosin"], "expected one of constant, step, cosine, received lr-schedule='cosin'"),
    (["--lr-schedule", "step"], "step schedule: expected growing epochs as --lr-step-epochs"),
    (["--lr-step-epochs", "1"], "--lr-step-epochs: expected --lr-schedule step beside it, received lr-schedule="),
    (["--lr-factor", "2"], "--lr-factor: expected a number above 0 and of at most 1, received lr-factor='2'"),
    (["--warmup-epochs", "1"], "warm-up: expected at least 0 and fewer than 1 epochs"),
    (["--kv-store", "devcie"], "received kv-store='devcie'; nearest: device"),
    (["--kv-store", "dist_sync"], "kvstore dist_sync: expected to run under a launcher that sets DMLC_ROLE"),
    (["--fp16"], "fp16: expected GPUs, received cpu(0), where MXNet has no float16 convolution; leave --fp16 out, or "
                 "choose cards (--gpus 0; CUDA_VISIBLE_DEVICES=0 for faces)"),
    (["--gpus", "abc"], "devices: expected different GPU numbers such as 0,1, received gpus='abc'"),
    (["--gpus", "0", "--cpus", "2"], "devices: expected --gpus, or --cpus where there are none, received gpus='0' and "
                                     "cpus=2; leave one of them out"),
    (["--cpus", "3"], "batch size: expected a multiple of the 3 devices, received batch-size=4"),
    (["--data-nthreads", "-2"], "--data-nthreads: expected a whole number of at least 1"),
    (["--image-shape", "3,128"], "--image-shape: expected 3 comma-separated numbers, received image-shape='3,128'"),
    (["--image-shape", "3,0,0"], "--image-shape: expected C,H,W with C 1 or 3 and sizes in pixels"),
    (["--image-shape", "1,16,16"], "network does not take this input: expected images of 3 channels, received "
                                   "image-shape=(1, 16, 16)"),
    (["--rgb-std", "0,0,0"], "--rgb-std: expected 3 numbers above 0, received rgb-std='0,0,0'"),
    (["--rgb-mean", "inf,0,0"], "--rgb-mean: expected 3 comma-separated numbers"),
    (["--layer", "flaten0"], "layer is not in the network: expected a layer name, received layer='flaten0'; nearest: "
                             "flatten0"),
    (["--require-head", "--layer", "flatten0"], "--require-head: expected no --layer beside it"),
])
def test_a_setting_that_makes_no_sense_is_refused_before_anything_is_made(words, message, here, capsys):
    refused(capsys, finetune(*words), message)


def test_a_gpu_on_a_cpu_build_is_refused(here, capsys):
    from mxft.compat import mx
    if mx.runtime.Features().is_enabled("CUDA"):
        pytest.skip("a CUDA build")
    refused(capsys, finetune("--gpus", "0"), "devices: expected a CUDA build of mxnet for gpus='0'")


@pytest.mark.parametrize("model, message", [
    ("nope,0", "symbol is missing: expected nope-symbol.json, received model='nope,0'; checkpoints in .: nearest: net"),
    ("gone/net,0", "folder gone does not exist"),
    ("net", "model: expected 'prefix,epoch', received model='net'; epochs there: 0: try net,0"),
    ("net,7", "parameters are missing: expected a file, received 'net-0007.params'; epochs there: 0"),
])
def test_a_model_that_is_not_there(model, message, here, capsys):
    refused(capsys, finetune(model=model), message)


def test_damaged_checkpoints(here, capsys):
    whole = (here / "net-0000.params").read_bytes()
    (here / "net-0001.params").write_bytes(whole[:len(whole) // 2])
    refused(capsys, finetune(model="net,1"), "parameters cannot be read: expected a whole MXNet parameter file")
    (here / "net-symbol.json").write_text("<html>not found</html>")
    refused(capsys, finetune(), "symbol cannot be read: expected an MXNet graph in JSON, received a file beginning")


def write(name, labels, payload):
    with RecordWriter(name) as writer:
        for number, label in enumerate(labels):
            writer.write(pack(IRHeader(0, label, number, 0), payload))


@pytest.mark.parametrize("labels, message", [
    ([0, -1, 2], "label out of range in bad.rec: expected whole numbers in [0, 3), received label=-1 in record 1"),
    ([0, 1.5], "received label=1.5 in record 1"),
    ([0, float("nan")], "received label=nan in record 1"),
    ([0, 0, 0], "nothing to learn: expected at least 2 classes in bad.rec"),
    ([], "no records: expected at least one, received bad.rec with none"),
    ([[0, 1, 2], [1, 2, 3]], "several labels: expected one label in each record, received 3 in record 0"),
])
def test_labels_that_are_no_classes(labels, message, here, capsys):
    write("bad.rec", labels, cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes())
    refused(capsys, finetune(data=("--train", "bad.rec")), message)


def test_records_that_are_none(here, capsys):
    whole = (here / "train.rec").read_bytes()
    (here / "cut.rec").write_bytes(whole[:len(whole) // 2])
    refused(capsys, finetune(data=("--train", "cut.rec")), "before the end of the file, in record")
    (here / "text.rec").write_text("image 1\n" * 9)
    refused(capsys, finetune(data=("--train", "text.rec")), "record file is damaged: expected the magic 0xced7230a")
    (here / "zero.rec").write_bytes(b"")
    refused(capsys, finetune(data=("--train", "zero.rec")), "no records: expected at least one")
    write("words.rec", [0, 1] * 4, b"no image" * 9)
    refused(capsys, finetune(data=("--train", "train.rec", "--val", "words.rec")),
            "no image in words.rec: expected JPEG or PNG in every record")
    refused(capsys, finetune(data=("--train", "trian.rec")), "received 'trian.rec'; in that folder nearest: train.rec")


@pytest.mark.parametrize("data, message", [
    ([], "data: expected one of --data, --records, --train, received none"),
    (["--data", "photos", "--train", "train.rec"], "received --data and --train"),
    (["--data", "photos", "--val", "val.rec"], "--val: expected --train beside it, received --data photos"),
    (["--train", "train.rec", "--quality", "3"], "--quality: expected --data beside it, received --train train.rec"),
    (["--records", "train.rec"], "a record file is given with --train train.rec"),
    (["--records", "photos"], "records are missing: expected photos-records.json, received records='photos'; mxft"),
    (["--train", "train.rec", "--num-classes", "2"], "expected whole numbers in [0, 2), received label=2 in record 2"),
    (["--train", "train.rec", "--num-classes", "0"], "--num-classes: expected a whole number of at least 2"),
    (["--data", "gone"], "pictures are missing: expected a folder, a table or an archive, received 'gone'"),
    (["--data", "photos", "--resize", "10"], "--resize: expected at least 16, the network's input, received resize=10"),
])
def test_data_that_is_not_given_rightly(data, message, here, capsys):
    refused(capsys, finetune(data=data), message)


def test_folders_that_cannot_be_split(here, capsys):
    (here / "empty").mkdir()
    refused(capsys, finetune(data=["--data", "empty"]), "no pictures in empty: expected JPEG, PNG")
    refused(capsys, finetune(data=["--data", "photos", "--per-class", "9"]),
            "class too small to split: expected at least 9 images, received class 0=4")
    (here / "one" / "only").mkdir(parents=True)
    cv2.imwrite("one/only/1.png", np.zeros((20, 20, 3), np.uint8))
    refused(capsys, finetune(data=["--data", "one"]),
            "labels are missing: expected class folders, or a table of pictures and labels, in one, received 1 picture "
            "of one class alone, only; put each further class into a folder of its own beside it, or give --labels")


@pytest.mark.parametrize("run, message", [
    ("net-symbol.json", "which is a file"),
    ("net-symbol.json/run", "expected a folder that can be written to, received 'net-symbol.json/run'"),
])
def test_a_run_folder_that_cannot_be_made(run, message, here, capsys):
    assert finetune(run=run) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="expected /proc")
def test_a_file_system_that_takes_no_folder(here, capsys):
    assert finetune(run="/proc/mxft") == 2
    assert "run folder: expected a folder that can be written to, received '/proc/mxft'" in capsys.readouterr().err


def test_a_used_run_folder_is_refused_before_packing(here, capsys):
    (here / "run").mkdir()
    (here / "run" / "mine").write_text("mine")
    assert finetune(data=["--data", "photos", "--per-class", "3"]) == 2
    assert "received run='run' with 1 files; try --run run-2" in capsys.readouterr().err
    assert not os.path.exists("run-records") and os.listdir("run") == ["mine"]


def test_a_kept_head_goes_on_where_it_was(here, capsys):
    """A head trained to a low loss begins its second run at that loss; a new one would begin near log(3)."""
    quick = ["--bn", "eval", "--augment", "0"]
    assert finetune(*quick, "--epochs", "10", "--lr", "0.05") == 0
    assert finetune(*quick, "--require-head", "--lr", "0", model="run", run="again") == 0
    assert "kept head: fc1 with 3 classes" in capsys.readouterr().out
    old, new = load_checkpoint("run"), load_checkpoint("again")
    first, = [row["val_loss"] for row in read_log("run/log.jsonl") if row.get("epoch") == 1]
    again, = [row["val_loss"] for row in read_log("again/log.jsonl") if row.get("epoch") == 1]
    assert again == pytest.approx(old.manifest["metrics"]["best"]["val_loss"], rel=1e-4) and again < 0.7 * first
    assert np.array_equal(new.arg_params["fc1_weight"].asnumpy(), old.arg_params["fc1_weight"].asnumpy())


@pytest.mark.parametrize("data", [["--train", "train.rec", "--num-classes", "4"],
                                  ["--data", "photos", "--per-class", "3", "--exclude", "class 0"]])
def test_a_head_of_another_size_is_refused(data, here, capsys):
    count = 4 if data[0] == "--train" else 2
    refused(capsys, finetune("--require-head", data=data),
            f"--require-head: expected a head of {count} classes, received fc1 with 3 in net,0; leave --require-head")


def test_a_folder_is_packed_beside_the_run_and_keeps_its_names(here, capsys):
    os.rename("photos/class 0", "photos/Дом 猫")
    assert finetune(data=["--data", "photos", "--per-class", "3"]) == 0
    assert json.load(open("run/model-manifest.json", encoding="utf-8"))["classes"] == [  # noqa: SIM115
        "class 1", "class 2", "Дом 猫"]
    assert os.path.exists("run-records/images-train.rec")


def test_a_batch_larger_than_the_data_set(here):
    assert finetune("--batch-size", "40") == 0


def test_records_smaller_than_the_input_are_told(here, capsys):
    """MXNet enlarges in proportion and crops; the test below shows it."""
    assert finetune("--image-shape", "3,24,32") == 0
    assert ("note: 12 of 12 records looked at in train.rec are smaller than the input of 32x24 (the smallest 20x20)"
            in capsys.readouterr().err)


def test_mxnet_enlarges_small_images_in_proportion(here, make_records):
    from mxft.data.iterators import RecordIterator
    from mxft.network.input_spec import InputSpec

    ramp = np.zeros((10, 40, 3), np.uint8)
    ramp[:, :, 0], ramp[:, :, 1] = np.linspace(0, 240, 40), np.linspace(0, 240, 10)[:, None]
    pixels = next(RecordIterator(make_records("ramp.rec", [0], lambda *_: ramp), InputSpec((3, 20, 20)), 1, 1)
                  ).data[0].asnumpy()[0]
    assert pixels[1].min() < 10 and pixels[1].max() > 230   # all of the height …
    assert pixels[0].min() > 80 and pixels[0].max() < 160   # … and the middle quarter of the width


def test_a_default_momentum_refuses_no_optimizer(here):
    p = parser()
    typed = ["--model", "net,0", "--run", "run"]
    assert recipe_from(p.parse_args(typed)).fit.momentum is None
    import argparse
    p = argparse.ArgumentParser()
    add_training_options(p, momentum=0.9)
    for words, momentum in (([], 0.9), (["--optimizer", "NAG"], 0.9), (["--optimizer", "adam"], None),
                            (["--mom", "0"], 0.0), (["--optimizer", "adam", "--mom", "0.5"], 0.5)):
        assert recipe_from(p.parse_args(words)).fit.momentum == momentum
    with pytest.raises(InputError, match="expected a name MXNet knows"):
        from mxft.training.optimizer import optimizer_arguments
        from mxft.training.schedule import learning_rate_schedule
        optimizer_arguments(recipe_from(p.parse_args(["--optimizer", "admm"])).fit,
                            learning_rate_schedule("constant", 0.1, 1, 1))


def test_a_run_goes_on_in_its_folder(here, capsys):
    assert finetune("--keep-last", "2") == 0
    assert finetune("--epochs", "3", "--keep-last", "2", "--resume") == 0
    assert "resuming run after 1 epoch\n" in capsys.readouterr().out
    assert [row["epoch"] for row in read_log("run/log.jsonl") if row["event"] == "epoch"] == [1, 2, 3]
    assert saved_epochs("run/model") == ["2", "3", "best"]


def test_a_run_does_not_go_on_with_other_images(here, capsys):
    assert finetune("--augment", "3", "--no-mirror") == 0
    capsys.readouterr()
    assert finetune("--augment", "3", "--epochs", "2", "--resume") == 2
    assert capsys.readouterr().err == (
        "mxft finetune: resume: expected what the run was started with, received no --no-mirror (it was --no-mirror)"
        "; give the same, or start again with another --run\n")


def test_what_cannot_be_gone_on_with_is_refused(here, capsys):
    assert finetune("--resume") == 2
    said = capsys.readouterr().err
    assert "resume: expected a run to resume, received run='run' without state/state.json" in said
    os.mkdir("run")
    (here / "run" / "notes.txt").touch()
    assert finetune("--resume", "auto") == 2
    assert "run folder: expected a new or empty folder, received run='run' with 1 files" in capsys.readouterr().err
    assert os.listdir("run") == ["notes.txt"]


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.long), signal.SIGTERM])
def test_an_interrupted_run_keeps_its_weights_and_says_where(number, here, repository):
    process = subprocess.Popen(
        [sys.executable, "-m", "mxft", "finetune", "--model", "net,0", "--train", "train.rec", "--run", "run",
         "--plan", "full", "--epochs", "100000", "--batch-size", "4", *SHAPE],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(repository), "PYTHONUNBUFFERED": "1"})
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number and without_doubts(err).strip() == STOPPING
    assert "saved as run/model,interrupted" in out and "saved: run/model,best" in out
    assert {"best", "interrupted"} < set(saved_epochs("run/model"))
    assert not [name for name in os.listdir("run") if name.endswith(".part")]
    load_checkpoint("run/model,interrupted")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_packing_leaves_no_half_file(number, here, repository):
    large = here / "photos" / "class 0" / "large.png"
    cv2.imwrite(str(large), np.random.RandomState(0).randint(0, 255, (1500, 1500, 3)).astype(np.uint8))
    for copy in range(60):
        for label in range(3):
            os.link(large, here / "photos" / f"class {label}" / f"large{copy}.png")
    process = subprocess.Popen([sys.executable, "-m", "mxft", "split", "--per-class", "60", "photos", "out/a"],
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(repository)})
    while not [name for name in os.listdir("out") if name.endswith(".part")] if os.path.isdir("out") else True:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert err == f"mxft split: stopped by {'Ctrl-C' if number == signal.SIGINT else 'SIGTERM'}\n"
    assert not [name for name in os.listdir("out") if name.endswith((".part", "val.rec"))]


@pytest.mark.parametrize("most, status, message", [
    (600, 2, "state cannot be written: expected room in run/state, received file too large; make room"),
    (4000, 3, "received file too large; training is over, and run/model,best is on disk\n")])
def test_a_disk_that_fills_up_is_told_and_leaves_no_half_checkpoint(most, status, message, here, repository):
    """``ulimit -f``: no file larger than so many bytes."""
    pytest.importorskip("resource")
    code = (f"import resource, sys; sys.path.insert(0, {str(repository)!r}); from mxft.cli import main; "
            f"import mxft.workflows.finetune; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most})); "
            "sys.exit(main(sys.argv[1:]))")
    done = subprocess.run([sys.executable, "-c", code, "finetune", "--model", "net,0", "--train", "train.rec", "--run",
                           "run", "--plan", "full", "--epochs", "1", "--batch-size", "4", *SHAPE],
                          capture_output=True, text=True)
    assert done.returncode == status and without_doubts(done.stderr).startswith("mxft finetune: "), done.stderr
    assert message in done.stderr and "Traceback (most" not in done.stderr
    assert not [name for name in os.listdir("run") if name.endswith(".part")]
    assert status == 2 or load_checkpoint("run/model,best").arg_params
