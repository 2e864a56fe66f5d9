"""recipes/gluon_finetune.py: the Gluon loop, and the symbol checkpoint it exports."""
import json
import os

import numpy as np
import pytest

from mxft.backbones.gluon import build, checkpoint_from_gluon
from mxft.cli import score
from mxft.compat import mx
from mxft.network.checkpoint import load_checkpoint
from mxft.training.preparation import check_recipe
from mxft.training.recipe import Recipe
from tests.support.images import noise, write_classes

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def here(here, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and photographs of three classes."""
    make_checkpoint(3).save("net", 0)
    write_classes("photos", ("cat", "dog", "owl"), 7, lambda number, label: noise(
        100 * label + number, (40, 44), 0, 60) + np.uint8(90 * label))
    return here


TINY = ["--data", "photos", "--per-class", "4", "--batch-size", "5", "--epochs", "2", "--run", "run"]
NET = ["--model", "net,0", "--image-shape", "3,16,16", "--rgb-mean", "120,120,120", "--rgb-std", "60,60,60"]
ZOO = ["--network", "mobilenetv2_0.25", "--image-shape", "3,32,32"]


@pytest.mark.parametrize("words", [NET, pytest.param(ZOO, marks=pytest.mark.long)])
def test_the_exported_checkpoint_scores_as_the_gluon_network(words, run, here, capsys):
    assert run(*words) == 0
    out = capsys.readouterr().out
    assert "the same class for 9 of 9 images" in out and "features at 0.01, output at 0.1" in out
    assert "images, 3 updates an epoch" in out  # 12 / 5
    size = int(words[words.index("--image-shape") + 1].split(",")[1])
    score.main(["--model", "run", f"data-cache/gluon-photos-{round(size * 8 / 7)}/images-val.rec", "--json"])
    figures = json.loads(capsys.readouterr().out)
    assert f"run/model,2: top-1 {figures['top1']:.4f}, top-5 1.0000, loss {figures['loss']:.4f}" in out
    checkpoint = load_checkpoint("run")
    assert checkpoint.classes == ["cat", "dog", "owl"]
    assert checkpoint.input_spec.shape == (3, size, size) and checkpoint.input_spec.resize == round(size * 8 / 7)
    assert checkpoint.manifest["source"].startswith("recipes/gluon_finetune.py from ")
    check_recipe(Recipe(plan="head"), checkpoint, checkpoint.input_spec)
    check_recipe(Recipe(require_head=True), checkpoint, checkpoint.input_spec)


def test_a_name_of_the_zoo_is_fetched_and_its_features_taken(run, here, monkeypatch):
    from mxft import zoo
    monkeypatch.setattr(zoo, "get_model", {"gluon:resnet18_v2": "net,0"}.get)
    assert run("--model", "gluon:resnet18_v2", *NET[2:]) == 0
    assert load_checkpoint("run").manifest["source"] == "recipes/gluon_finetune.py from net,0"


def test_what_differs_from_the_network_is_refused(recipe, run, here):
    assert run(*NET) == 0
    checkpoint = load_checkpoint("run")
    features = recipe.features_of(recipe.parser().parse_args([*TINY, *NET]), 16)
    net = recipe.with_new_output(features, 3, checkpoint.input_spec, 10, seed=0)  # not the one that was trained
    with pytest.raises(recipe.RunError, match="the export is not the network: expected scores within 0.0001"):
        recipe.compare(net, "run", "data-cache/gluon-photos-18/images-val.rec", checkpoint.input_spec)


def test_features_are_copied_and_the_output_learns_ten_times_as_fast(recipe, here):
    from mxft.network.input_spec import InputSpec

    net = build("mobilenetv2_0.25")
    checkpoint_from_gluon(net, input_size=32, seed=3)
    net.save_parameters("zoo.params")
    args = recipe.parser().parse_args([*TINY, *ZOO, "--weights", "zoo.params"])
    tuned = recipe.with_new_output(recipe.features_of(args, 32), 3, InputSpec((3, 32, 32)), 10, seed=0)
    own = net.features.collect_params()
    copied = tuned[0].collect_params()
    assert list(own) == list(copied) and len(list(own)) > 100
    assert all((own[name].data().asnumpy() == copied[name].data().asnumpy()).all() for name in own)
    assert {p.lr_mult for p in copied.values()} == {1.0}
    assert {(p.name, p.lr_mult) for p in tuned[1].collect_params().values()} == {
        ("finetune_output_weight", 10), ("finetune_output_bias", 10)}
    rates = []
    for block in (tuned[0], tuned[1]):
        trainer = mx.gluon.Trainer(tuned.collect_params(), "sgd", {"learning_rate": 0.01})
        index = trainer._param2idx[next(iter(block.collect_params()))]
        trainer._init_kvstore()
        rates.append(trainer._optimizer._get_lr(index))
    assert rates == [pytest.approx(0.01), pytest.approx(0.1)]


def test_a_checkpoints_own_features(recipe, here):
    from mxft.inference.executor import InferenceExecutor
    from mxft.network.input_spec import InputSpec
    from mxft.surgery import cut_at

    args = recipe.parser().parse_args([*TINY, *NET])
    features, checkpoint = recipe.features_of(args, 16), load_checkpoint("net,0")
    data = np.random.RandomState(0).normal(0, 1, (2, 3, 16, 16)).astype(np.float32)
    executor = InferenceExecutor(cut_at(checkpoint.symbol, "flatten0"), checkpoint.arg_params, checkpoint.aux_params,
                                 (3, 16, 16), 2)
    assert np.abs(features(mx.nd.array(data)).asnumpy() - executor.forward(data)).max() < 1e-6
    net = recipe.with_new_output(features, 4, InputSpec((3, 16, 16)), 10, seed=0)
    assert net(mx.nd.array(data)).shape == (2, 4)


@pytest.mark.parametrize("words, message", [
    (["--network", "resnet51_v1"], "unknown Gluon model: received 'resnet51_v1'; nearest: "),
    (["--network", "resnet18_v1b"], "network: expected one made of 'features' and 'output', received network="
                                    "'resnet18_v1b'"),
    ([*NET, "--weights", "a.params"], "--weights: expected --network beside it, received --model net,0"),
    ([*ZOO, "--weights", "a.params"], "Gluon weights is missing: expected a file, received 'a.params'"),
    ([*NET, "--data", "fotos"], "are missing: expected a folder, a table, a tar or a zip, received 'fotos'"),
    ([*NET, "--run", "photos"], "run folder: expected a new or empty folder, received run='photos' with 3 files"),
])
def test_what_is_refused(words, message, run, here, capsys):
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert message in err and not os.path.exists("run")


def test_a_loss_that_is_not_finite_stops_and_exports_nothing(run, here, capsys):
    assert run(*NET, "--lr", "1e30") == 3
    assert "training stopped: expected a finite loss" in capsys.readouterr().err and not os.path.exists("run")


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    assert all(len(line) <= 80 for line in capsys.readouterr().out.splitlines())
