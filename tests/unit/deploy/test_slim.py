"""Slimming: what goes, what stays, and that the embedding is the same number for number."""
import numpy as np
import pytest

from mxft.deploy.slim import save_slim, slim
from mxft.errors import InputError, RunError
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint

SHAPE = (3, 16, 16)


def embedding_of(checkpoint, layer):
    network = checkpoint.symbol.get_internals()[layer + "_output"]
    images = np.random.RandomState(3).uniform(0, 255, (2, *SHAPE)).astype(np.float32)
    return InferenceExecutor(network, checkpoint.arg_params, checkpoint.aux_params, SHAPE, 2).forward(images)


def test_a_training_symbol_is_cut_at_its_embedding_and_its_head_goes(make_face_checkpoint):
    full = make_face_checkpoint(num_classes=5)
    result = slim(full)
    assert result.feature.name == "fc1" and not result.was_slim
    assert result.dropped == {"fc7_weight": (5, 4)}
    assert {"fc7", "softmax"} <= set(result.layers) and "fc1" not in result.layers
    assert result.checkpoint.symbol.list_outputs() == ["fc1_output"]
    assert set(full.arg_params) - set(result.checkpoint.arg_params) == {"fc7_weight"}
    assert set(full.aux_params) == set(result.checkpoint.aux_params)


def test_a_parameter_is_dropped_by_the_graph_and_not_by_its_name(make_face_checkpoint):
    full = make_face_checkpoint(num_classes=5)
    full.arg_params["fc7_left_over"] = full.arg_params["fc7_weight"]
    full.arg_params["centres"] = full.arg_params["fc7_weight"]
    assert set(slim(full).dropped) == {"fc7_weight", "fc7_left_over", "centres"}


def test_another_layer_can_be_the_output(make_face_checkpoint):
    result = slim(make_face_checkpoint(num_classes=5), "pool0")
    assert result.checkpoint.symbol.list_outputs() == ["pool0_output"]
    assert {"pre_fc1_weight", "fc1_gamma", "fc1_moving_mean", "fc7_weight"} <= set(result.dropped)
    with pytest.raises(InputError, match="layer is not in the network: .*received layer='pol0'; nearest: pool0"):
        slim(make_face_checkpoint(num_classes=5), "pol0")


def test_a_slim_checkpoint_is_recognised(make_face_checkpoint):
    assert slim(make_face_checkpoint()).was_slim
    with_rest = make_face_checkpoint()
    with_rest.arg_params["fc7_weight"] = with_rest.arg_params["pre_fc1_weight"]
    assert not slim(with_rest).was_slim  # the graph is slim, the file is not


def test_what_is_saved_gives_the_same_embedding(make_face_checkpoint, tmp_path):
    full = make_face_checkpoint(num_classes=5)
    full.manifest = {"format": 1, "input": {"size": 16}, "classes": list("abcde"), "head": {"loss": "arcface"}}
    model, difference = save_slim(slim(full), full, str(tmp_path / "models"), SHAPE)
    written = load_checkpoint(model)
    np.testing.assert_array_equal(embedding_of(written, "fc1"), embedding_of(full, "fc1"))
    assert difference == 0 and model == f"{tmp_path}/models,0"
    assert written.manifest["trained_with"] == {"loss": "arcface"} and "classes" not in written.manifest


def test_nothing_is_replaced_without_force_and_the_original_never(make_face_checkpoint, tmp_path):
    full = make_face_checkpoint(num_classes=5)
    full.save(str(tmp_path / "model"), 0)
    original = load_checkpoint(f"{tmp_path}/model,0")
    result = slim(original)
    save_slim(result, original, str(tmp_path / "models"), SHAPE)
    with pytest.raises(InputError, match="expected one that is free, .*force replaces it, output chooses another"):
        save_slim(result, original, str(tmp_path / "models"), SHAPE)
    save_slim(result, original, str(tmp_path / "models"), SHAPE, force=True)
    with pytest.raises(InputError, match="expected another prefix than the original's"):
        save_slim(result, original, str(tmp_path / "model"), SHAPE, force=True)


def test_an_embedding_that_changed_is_not_kept(make_face_checkpoint, tmp_path):
    full = make_face_checkpoint(num_classes=5)
    result = slim(full)
    result.checkpoint.arg_params["pre_fc1_bias"] = full.arg_params["pre_fc1_bias"] + 1
    with pytest.raises(RunError, match="slim checkpoint is not kept: .*differs by"):
        save_slim(result, full, str(tmp_path / "models"), SHAPE)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_leaves_no_half_of_a_checkpoint(make_face_checkpoint, tmp_path, monkeypatch):
    full = make_face_checkpoint(num_classes=5)
    result = slim(full)

    def no_room(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mxft.network.saving.whole_arrays", no_room)
    with pytest.raises(RunError, match="expected room for .*models-0000.params, received no space left on device"):
        save_slim(result, full, str(tmp_path / "models"), SHAPE)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_output_name(make_face_checkpoint, tmp_path):
    full = make_face_checkpoint(num_classes=5)
    with pytest.raises(InputError, match="output name: expected a folder and the beginning of the files' names"):
        save_slim(slim(full), full, f"{tmp_path}/", SHAPE)
    assert not list(tmp_path.iterdir())
