"""A temperature in the manifest: served by the anatomy, written into a graph, and no part of an older checkpoint."""
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference.executor import InferenceExecutor
from mxft.network.calibration import Calibration, is_calibration, with_temperature
from mxft.network.checkpoint import load_checkpoint
from mxft.training.network import with_kept_head

FOUND = Calibration(2.5, 240, 0.8, 0.1, 0.7, 0.04)
IMAGES = np.random.RandomState(0).uniform(0, 1, (4, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def model(make_checkpoint, tmp_path):
    """``best`` with a temperature, epoch 3 without."""
    checkpoint = make_checkpoint(4)
    checkpoint.manifest = {"metrics": {"best": {"val_calibration": FOUND.to_dict()}, "3": {"val_top1": 0.5}}}
    for epoch in ("best", 3):
        checkpoint.save(str(tmp_path / "model"), epoch)
    return str(tmp_path / "model")


def served(checkpoint):
    output = checkpoint.anatomy.output()
    executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, 8, 8), 4,
                                 outputs=[output])
    scores = executor.forward(IMAGES)
    return scores, output.probabilities(scores)


def plain(checkpoint):
    """What MXNet itself computes from a checkpoint's files."""
    executor = checkpoint.symbol.simple_bind(mx.cpu(), data=IMAGES.shape, grad_req="null")
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params, allow_extra_params=True)
    return executor.forward(is_train=False, data=mx.nd.array(IMAGES))[0].asnumpy()


def softmax(scores):
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_the_epoch_it_was_fitted_to_is_served_by_it_and_no_other(model):
    best, third = load_checkpoint(f"{model},best"), load_checkpoint(f"{model},3")
    scores, probabilities = served(best)
    np.testing.assert_allclose(probabilities, softmax(scores / 2.5), rtol=1e-6)
    assert "calibrated at temperature 2.5" in best.anatomy.describe()
    scores, probabilities = served(third)
    assert np.array_equal(probabilities, third.anatomy.output().link(scores)) and third.calibration is None
    np.testing.assert_allclose(probabilities, softmax(scores), rtol=1e-6)


def test_written_into_the_graph_plain_mxnet_gives_what_is_served(model, tmp_path):
    best = load_checkpoint(f"{model},best")
    written = with_temperature(best)
    np.testing.assert_allclose(plain(written), served(best)[1], rtol=1e-5)
    assert not np.allclose(plain(best), served(best)[1], rtol=1e-2)
    again = load_checkpoint(written.save(str(tmp_path / "again"), "best"))
    assert again.calibration.in_graph and again.anatomy.output().link.calibration == 1
    np.testing.assert_allclose(served(again)[1], served(best)[1], rtol=1e-5)
    assert with_temperature(again) is again, "it is not divided twice"
    assert again.anatomy.feature.classifier == "fc1" and again.symbol.list_outputs() == best.symbol.list_outputs()


def test_a_kept_head_trains_on_the_networks_own_logits(model):
    symbol = with_kept_head(load_checkpoint(f"{model},best"), 4, (3, 8, 8)).symbol
    assert "_div_scalar" not in symbol.tojson()


def test_a_checkpoint_without_a_temperature_has_none_to_write(model):
    with pytest.raises(InputError, match="calibration: expected a checkpoint with a temperature in its manifest, .*,3"):
        with_temperature(load_checkpoint(f"{model},3"))


@pytest.mark.parametrize("change", [
    {"temperature": 0}, {"temperature": 1e9}, {"temperature": float("nan")}, {"temperature": "2"}, {"images": 2.5},
    {"ece": None}, {"more": 1}, {"in_graph": 1}, {"temperature": True}])
def test_a_damaged_temperature_is_refused(change, model):
    assert not is_calibration({**FOUND.to_dict(), **change})
    path = model + "-manifest.json"
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"metrics": {"best": {"val_calibration": {**FOUND.to_dict(), **change}}}}, f)
    with pytest.raises(InputError, match="expected a temperature from 0.001 to 1000 with its figures as the "
                                         "val_calibration of an epoch as metrics"):
        load_checkpoint(f"{model},3")
