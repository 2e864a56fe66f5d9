"""recipes/pytorch_two_stage.py: three stages on generated images, the named checkpoints they leave."""
import os

import cv2
import numpy as np
import pytest

from mxft.backbones import efficientnet
from mxft.network.checkpoint import load_checkpoint
from mxft.training.run import read_log

pytestmark = pytest.mark.usefixtures("quick_figures")


def write_images(folder, counts):
    """Write `counts[name]` noisy images of a class's own brightness below `folder`."""
    for label, (name, count) in enumerate(counts.items()):
        os.makedirs(f"{folder}/{name}")
        for number in range(count):
            rng = np.random.RandomState(100 * label + number)
            cv2.imwrite(f"{folder}/{name}/{number}.png", rng.randint(0, 60, (40, 44, 3)).astype(np.uint8) + 90 * label)


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photographs of three classes."""
    make_checkpoint(3).save("net", 0)
    write_images("photos", {"cat": 6, "dog": 6, "owl": 6})
    return here


@pytest.fixture
def small(monkeypatch):
    """EfficientNet-B3 of eight blocks."""
    monkeypatch.setitem(efficientnet.VARIANTS, "efficientnet-b3", (0.25, 0.3, 32, 0.3))


TINY = ["--data", "photos", "--per-class", "4", "--batch-sizes", "6,4,4"]
NET = ["--model", "net,0", "--image-shape", "3,16,16", "--rgb-mean", "120,120,120", "--rgb-std", "60,60,60"]


def starts(folder):
    """Return what each stage's log says it began with."""
    return [read_log(f"{folder}/stage-{number}/log.jsonl")[0] for number in (1, 2, 3)
            if os.path.exists(f"{folder}/stage-{number}")]


def named(folder):
    """Return the checkpoints kept by accuracy, ``prefix,epoch``, in order of epoch."""
    found = [name[:-len(".params")].rsplit("-", 1) for name in os.listdir(folder) if name.endswith(".params")]
    return [f"{folder}/{prefix},{int(epoch)}" for prefix, epoch in sorted(found, key=lambda pair: int(pair[1]))]


@pytest.mark.long
def test_the_stages_are_the_scripts(recipe, run, here):
    assert run(*NET, "--epochs", "2,1,1", "--batch-sizes", "6,4,3") == 0
    assert os.listdir("runs") == ["two-stage-net"]
    rows = [row["recipe"] for row in starts("runs/two-stage-net")]
    assert [(r["plan"], r["require_head"], r["batch_size"], r["learning_rate"], r["fit"]["epochs"]) for r in rows] == [
        ("head", False, 6, 1e-3, 2), ("full", True, 4, 1e-4, 1), ("full", True, 3, 1e-5, 1)]
    for r in rows:
        assert (r["fit"]["optimizer"], r["fit"]["wd"], r["fit"]["momentum"]) == ("adam", 1e-4, None)
        assert r["augment"]["resized_crop"] == [0.6, 1.0] and r["augment"]["aspect"] == [0.75, pytest.approx(4 / 3)]
        assert r["augment"]["rand_mirror"] is True and r["augment"]["rand_crop"] is False
    assert [row[1:] for row in recipe.STAGES] == [(256, 1e-3), (64, 1e-4), (64, 1e-5)]


def test_a_name_of_the_zoo_is_fetched(recipe, here, mirror, make_checkpoint):
    from mxft import zoo
    prefix = zoo.find_model("gluon:resnet18_v1b").prefix(str(mirror.cache))
    checkpoint = make_checkpoint(3)
    checkpoint.manifest["source"] = "a test"
    checkpoint.save(prefix, 0)
    args = recipe.parser().parse_args([*TINY, "--model", "gluon:resnet18_v1b"])
    assert recipe.find_checkpoint(args, drop_connect=True).name == f"{prefix},0"


@pytest.mark.long
def test_each_new_best_is_kept_under_its_accuracy(run, here, capsys):
    assert run(*NET, "--epochs", "4,2,1", "--run", "runs/mine") == 0
    history = [(row["val_top1"], -row["val_loss"]) for number in (1, 2, 3)
               for row in read_log(f"runs/mine/stage-{number}/log.jsonl") if row["event"] == "epoch"]
    best = [row for i, row in enumerate(history) if row > max([(-1, 0), *history[:i]])]
    names = named("runs/mine")
    assert len(history) == 7
    assert names == [f"runs/mine/net.photos.{row[0]:.4f},{history.index(row) + 1}" for row in best]
    assert capsys.readouterr().out.count("new best: ") == len(best)
    checkpoint = load_checkpoint(names[-1])
    assert checkpoint.classes == ["cat", "dog", "owl"] and checkpoint.manifest["packing"]["resize"] == 18
    metrics, = checkpoint.manifest["metrics"].values()
    assert metrics["val_top1"] == best[-1][0]
    with open("runs/mine/photos_classes.txt", encoding="utf-8") as f:
        assert f.read() == "cat\ndog\nowl\n"
    assert [name for name in sorted(os.listdir("runs/mine/stage-1")) if name.endswith(".params")] == [
        "model-0004.params", "model-best.params"]
    done = {name: int(name.rsplit(",", 1)[1]) for name in names}
    for row, epochs in zip(starts("runs/mine")[1:], (4, 6)):  # a stage begins from the best before it
        assert row["model"] == [name for name in names if done[name] <= epochs][-1]


@pytest.mark.long
def test_the_head_alone_learns_first_and_drop_connect_is_for_full_training(run, here, small):
    size = ["--image-shape", "3,32,32"]
    assert run(*size, "--epochs", "1,1,0", "--run", "runs/b3") == 0
    first, second = (load_checkpoint(f"runs/b3/stage-{number}") for number in (1, 2))
    random = efficientnet.efficientnet_checkpoint("efficientnet-b3", input_size=224)
    still = [name for name, value in first.arg_params.items()
             if name in random.arg_params and (value.asnumpy() == random.arg_params[name].asnumpy()).all()]
    assert set(first.arg_params) - set(still) == {"fc1_weight", "fc1_bias"}
    assert all((first.aux_params[k].asnumpy() == v.asnumpy()).all() for k, v in random.aux_params.items())
    changed = {name for name, value in second.arg_params.items()
               if (value.asnumpy() != first.arg_params[name].asnumpy()).any()}
    assert {"_conv_stem.weight", "_bn1.bias", "fc1_weight"} <= changed
    drops = ["drop_connect" in checkpoint.symbol.tojson() for checkpoint in (first, second)]
    assert drops == [False, True] and all("_dropout" in c.symbol.tojson() for c in (first, second))
    assert second.input_spec.mean == (123.675, 116.28, 103.53)


def test_a_folder_that_is_divided_already(recipe, run, here):
    write_images("divided/train", {"cat": 4, "dog": 3})
    write_images("divided/val", {"cat": 2, "dog": 1})
    assert run(*NET, "--data", "divided", "--epochs", "1,0,0") == 0
    log = read_log("runs/two-stage-net/stage-1/log.jsonl")
    checkpoint = load_checkpoint("runs/two-stage-net/stage-1")
    assert checkpoint.classes == ["cat", "dog"] and log[0]["recipe"]["batch_size"] == 6
    with open("data-cache/two-stage-divided-18-seed0/images-train.lst", encoding="utf-8") as f:
        assert len(f.readlines()) == 7
    os.rename("divided/val/dog", "divided/val/dig")
    assert run(*NET, "--data", "divided", "--epochs", "1,0,0") == 2


@pytest.mark.parametrize("words, message", [
    (["--epochs", "0,0,0"], "expected an epoch or more in all and batches of at least 1, received epochs=(0, 0, 0)"),
    (["--epochs", "1,1"], "--epochs: expected 3 comma-separated numbers, received epochs='1,1'"),
    ([*NET, "--weights", "b3.params"], "--weights: expected an EfficientNet beside it (efficientnet-b0, efficientnet-b1"
                                       ", efficientnet-b2, efficientnet-b3), received model='net,0'"),
    (["--weights", "b3.params"], "parameters are missing: expected a file, received 'b3.params'"),
    ([*NET, "--data", "fotos"], "are missing: expected a folder, a table, a tar or a zip, received 'fotos'"),
    ([*NET, "--classes", "cat,dgo"], "no such class: expected a folder in photos, received classes='dgo'"),
])
def test_what_is_refused(words, message, run, here, capsys):
    assert run(*words) == 2
    out, err = capsys.readouterr()
    assert message in err and err.count("\n") == 1 and not os.path.exists("runs")


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
