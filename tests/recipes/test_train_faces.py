"""recipes/train_faces.py: upstream's names become train_softmax's flags, and the command trains."""
import shlex

import numpy as np
import pytest

from mxft.backbones.faces import face_network
from mxft.backbones.versions import Versions
from mxft.command import run_command
from mxft.commandline.sample_config import TABLES, read_tables
from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint, saved_epochs
from tests.support.images import noise

SHARED = ["--ce-loss", "--lr-steps", "100000,160000,220000", "--ckpt", "3", "--end-epoch", "10000"]


@pytest.fixture(scope="module")
def meaning(recipe, load_recipe):
    """A function (*words) -> {flag: value} of train_softmax, without what every command line has."""
    train_softmax = load_recipe("train_softmax")
    default = vars(train_softmax.parser().parse_args([]))
    shared = vars(train_softmax.parser().parse_args(SHARED))

    def run(*words):
        found = vars(train_softmax.parser().parse_args(recipe.translate(list(words))))
        return {name: value for name, value in found.items() if value not in (default[name], shared[name])}
    return run


def test_without_flags_it_is_upstreams_default(recipe):
    assert shlex.join(recipe.translate([])) == (
        "--data-dir ../datasets/faces_emore --network r100 --emb-size 512 --ce-loss --prefix "
        "./models/r100-arcface-emore/model --lr-steps 100000,160000,220000 --ckpt 3 --end-epoch 10000")


MOBILE = {"version_output": "GDC", "emb_size": 256}


@pytest.mark.parametrize("network, expected", [
    ("r100", {"network": "r100"}), ("r50", {}), ("r50v1", {"version_unit": 1}),
    ("r100fc", {"network": "r100", "version_output": "I"}), ("y1", {"network": "y1", **MOBILE, "emb_size": 128}),
    ("y2", {"network": "y2", **MOBILE}), ("m1", {"network": "m1", **MOBILE}),
    ("m05", {"network": "m1", "version_multiplier": 0.5, **MOBILE})])
def test_networks(meaning, network, expected):
    found = meaning("--network", network)
    assert found == {"emb_size": 512, **expected, "data_dir": "../datasets/faces_emore",
                     "prefix": f"./models/{network}-arcface-emore/model"}
    versions = Versions(output=expected.get("version_output", "E"), unit=expected.get("version_unit", 3),
                        multiplier=expected.get("version_multiplier", 1.0))
    symbol = face_network(expected.get("network", "r50"), found["emb_size"], versions=versions)
    assert symbol.infer_shape(data=(1, 3, 112, 112))[1] == [(1, found["emb_size"])]


TRIPLETS = {"triplet_bag_size": 7200, "lr": 0.05, "per_batch_size": 60, "ce_loss": False}


@pytest.mark.parametrize("loss, expected", [
    ("softmax", {"loss_type": "0"}), ("nsoftmax", {"margin_m": 0.0}), ("arcface", {}),
    ("cosface", {"loss_type": "2", "margin_m": 0.35}),
    ("combined", {"loss_type": "5", "margin_m": 0.3, "margin_b": 0.2}),
    ("subcenter", {"loss_type": "subcenter-arcface"}), ("triplet", {"loss_type": "12", **TRIPLETS}),
    ("atriplet", {"loss_type": "13", "triplet_alpha": 0.35, **TRIPLETS})])
def test_losses(recipe, load_recipe, loss, expected):
    own = load_recipe("train_softmax").parser()
    found = vars(own.parse_args(recipe.translate(["--network", "r50", "--loss", loss])))
    wanted = {"margin_s": 64.0, "margin_m": 0.5, "margin_b": 0.0, "loss_type": "4", "ce_loss": True, "lr": 0.1,
              "per_batch_size": 128, "subcenters": 3, "triplet_alpha": 0.3, "images_per_identity": 5, **expected}
    assert {name: found[name] for name in wanted} == wanted


def test_what_is_typed_wins_over_the_row_and_further_flags_go_through(meaning):
    found = meaning("--loss", "triplet", "--lr", "0.005", "--per-batch-size", "30", "--models-root", "runs",
                    "--pretrained", "old/model", "--pretrained-epoch", "7", "--kvstore", "local", "--cpus", "2",
                    "--resume", "auto", "--triplet-max-ap", "0.5")
    assert (found["lr"], found["per_batch_size"], found["prefix"]) == (0.005, 30, "runs/r100-triplet-emore/model")
    assert (found["pretrained"], found["kvstore"], found["cpus"], found["resume"], found["triplet_max_ap"]) == (
        "old/model,7", "local", 2, "auto", 0.5)


YAML = """\
network:
  r34: {net_name: fresnet, num_layers: 34}
  y1: {emb_size: 64}
loss:
  arcface: {loss_s: 32}
  cm2: {loss_name: margin_softmax, loss_s: 64, loss_m1: 0.9, loss_m2: 0.4, loss_m3: 0.15}
dataset:
  mine: {dataset_path: faces, image_shape: [112, 96, 3], val_targets: [lfw]}
default: {dataset: mine, per_batch_size: 16}
config: {data_color: 1}
"""


def test_a_yaml_adds_rows_and_changes_those_there_are(meaning, tmp_path):
    (tmp_path / "mine.yaml").write_text(YAML)
    config = ["--config", str(tmp_path / "mine.yaml")]
    found = meaning(*config, "--network", "r34")
    assert found == {"network": "r34", "emb_size": 512, "margin_s": 32.0, "data_dir": "faces", "image_size": (112, 96),
                     "target": "lfw", "per_batch_size": 16, "color": 1, "prefix": "./models/r34-arcface-mine/model"}
    found = meaning(*config, "--network", "y1", "--loss", "cm2", "--dataset", "emore")
    assert (found["emb_size"], found["version_output"], found["loss_type"]) == (64, "GDC", "5")
    assert (found["margin_a"], found["margin_m"], found["margin_b"]) == (0.9, 0.4, 0.15)
    assert TABLES["network"]["y1"]["emb_size"] == 128


@pytest.mark.parametrize("text, words", [
    ("networks: {}", "expected sections network, dataset, loss, default, config, received 'networks' in"),
    ("loss: {arcface: {loss_m: 0.5}}", "expected a key of sample_config.py, received 'loss_m' in"),
    ("loss: {arcface: {loss_m: 0.5}}", "nearest: loss_m"),
    ("dataset: {mine: {val_targets: lfw}}", "expected val_targets like ['lfw', 'cfp_fp', 'agedb_30'], received "
     "val_targets='lfw' in"), ("default: {lr: fast}", "expected lr like 0.1, received lr='fast' in"),
    ("loss: [arcface]", "expected names with values, received ['arcface'] in"),
    ("loss: {arcface: 3}", "expected names with values, received 3 in"),
    ("a: b: c", "expected YAML, received"), ("loss: !!python/object:os.system {}", "expected YAML, received")])
def test_a_yaml_that_is_none_or_misspelt_is_refused(text, words, tmp_path):
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        read_tables(str(tmp_path / "mine.yaml"))
    assert words in str(error.value)


@pytest.mark.parametrize("words, message", [
    (["--network", "d169"], "received network='d169' (DenseNet), which is not built here; one of r50 r100 y1 y2 m1"),
    (["--network", "d201"], "DenseNet"), (["--network", "mnas"], "MnasNet"), (["--network", "mnas05"], "MnasNet"),
    (["--network", "mnas025"], "MnasNet"), (["--network", "vargfacenet"], "VarGFaceNet"),
    (["--network", "r34"], "network: expected one of r100, r100fc, r50, r50v1, d169, "),
    (["--loss", "arcfase"], "received loss='arcfase'; nearest: arcface, cosface; --config FILE.yaml adds one"),
    (["--dataset", "ms1m"], "dataset: expected one of emore, retina, received dataset='ms1m'")])
def test_what_is_not_built_is_refused_by_name(recipe, words, message):
    with pytest.raises(InputError) as error:
        recipe.translate(words)
    assert message in str(error.value)


@pytest.mark.parametrize("row, message", [
    ("network: {r152: {net_name: fresnet, num_layers: 152}}", "a face ResNet without bottlenecks, as recognition"),
    ("network: {r152: {net_name: fmobilefacenet, net_blocks: [1, 2, 3, 4]}}", "expected net_blocks [1, 4, 6, 2] or [2"),
    ("{network: {r152: {net_name: fresnet, num_layers: 50}}, loss: {arcface: {loss_K: 3, loss_m3: 0.1}}}",
     "expected loss_m1 1 and loss_m3 0 with loss_K=3"),
    ("{network: {r152: {net_name: fresnet, num_layers: 50}}, loss: {arcface: {loss_name: svx}}}",
     "expected loss_name softmax, margin_softmax, triplet or atriplet, received loss_name='svx'")])
def test_rows_of_ones_own_that_cannot_be_trained_are_refused(recipe, row, message, tmp_path):
    (tmp_path / "mine.yaml").write_text(row)
    with pytest.raises(InputError) as error:
        recipe.translate(["--network", "r152", "--config", str(tmp_path / "mine.yaml")])
    assert message in str(error.value)


def test_the_command_trains(recipe, make_records, tmp_path, capsys, monkeypatch):
    make_records("faces.rec", np.repeat(np.arange(2), 4), lambda number, label: noise(number, (112, 112)))
    (tmp_path / "mine.yaml").write_text(f"dataset: {{mine: {{dataset_path: {tmp_path}/faces.rec}}}}\n")
    words = ["--config", f"{tmp_path}/mine.yaml", "--network", "m05", "--dataset", "mine", "--models-root",
             f"{tmp_path}/models", "--per-batch-size", "4", "--max-steps", "1", "--verbose", "1"]
    assert run_command("train_faces", recipe.main, words) == 0
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("this is ")
    assert " --network m1 --emb-size 256 --version-output GDC --version-multiplier 0.5 " in said
    prefix = f"{tmp_path}/models/m05-arcface-mine/model"
    assert "last" in saved_epochs(prefix) and load_checkpoint(f"{prefix},last").manifest["network"]["name"] == "m1"
    assert run_command("train_faces", recipe.main, ["--network", "d169"]) == 2
