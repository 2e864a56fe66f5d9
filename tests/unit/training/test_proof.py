"""Frozen arrays are compared bit for bit, and one that moved is never called frozen."""
import pytest

from mxft.errors import RunError
from mxft.freeze import freeze_plan
from mxft.training.proof import freeze_proof, parameter_hashes

HEAD = ("fc1_weight", "fc1_bias")


@pytest.fixture
def checkpoint(make_checkpoint):
    return make_checkpoint()


def test_one_bit_is_a_difference(checkpoint):
    before = parameter_hashes(checkpoint.arg_params, checkpoint.aux_params)
    checkpoint.aux_params["bn0_moving_var"][0] = float(checkpoint.aux_params["bn0_moving_var"][0].asscalar()) + 1e-7
    after = parameter_hashes(checkpoint.arg_params, checkpoint.aux_params)
    assert [name for name in after if after[name] != before[name]] == ["bn0_moving_var"]
    with pytest.raises(RunError, match="freezing failed: expected 6 frozen arrays to stay bit for bit, received 1 that "
                                       "moved: bn0_moving_var"):
        freeze_proof(checkpoint.symbol, [freeze_plan("head", checkpoint.symbol, HEAD)], before, after)


def test_frozen_is_what_every_stage_froze(checkpoint):
    hashes = parameter_hashes(checkpoint.arg_params, checkpoint.aux_params)
    head, full = (freeze_plan(name, checkpoint.symbol, HEAD) for name in ("head", "full"))
    assert freeze_proof(checkpoint.symbol, [head], hashes, hashes)["frozen"] == 6
    assert freeze_proof(checkpoint.symbol, [head, full], hashes, hashes)["frozen"] == 0
    assert freeze_proof(checkpoint.symbol, [], hashes, hashes)["frozen"] == 0
    rows = freeze_proof(checkpoint.symbol, [head], hashes, hashes)["parameters"]
    assert rows["conv0_weight"]["frozen"] and not rows["fc1_weight"]["frozen"]
    assert rows["bn0_gamma"]["before"] == rows["bn0_gamma"]["after"] == hashes["bn0_gamma"]


def test_what_is_new_has_no_hash_before(checkpoint):
    after = parameter_hashes(checkpoint.arg_params, checkpoint.aux_params)
    before = {name: value for name, value in after.items() if name not in HEAD}
    plan = freeze_plan("head", checkpoint.symbol, HEAD)
    assert freeze_proof(checkpoint.symbol, [plan], before, after)["parameters"]["fc1_bias"]["before"] is None
