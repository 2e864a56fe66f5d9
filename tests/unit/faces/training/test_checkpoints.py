"""--ckpt 0 to 3, last and best, and a prefix that is taken."""
import os

import pytest

from mxft.errors import InputError
from mxft.faces.training.checkpoints import FaceRun
from mxft.network.checkpoint import load_checkpoint, saved_epochs


def keep_three(make_face_checkpoint, tmp_path, ckpt):
    net = make_face_checkpoint()
    run = FaceRun(str(tmp_path / "faces" / "model"), net.symbol, {"format": 1}, ckpt)
    for score in (0.5, 0.4, 0.6):
        run.keep(score, net.arg_params, net.aux_params, {"accuracy": score})
    return run


@pytest.mark.parametrize("ckpt, numbered", [(0, []), (1, ["1", "2"]), (2, ["1", "2", "3"]), (3, ["1"])])
def test_the_rule_is_upstreams_and_last_and_best_are_always_there(ckpt, numbered, make_face_checkpoint, tmp_path):
    run = keep_three(make_face_checkpoint, tmp_path, ckpt)
    assert sorted(saved_epochs(run.prefix)) == sorted([*numbered, "best", "last"])
    assert (run.best, run.last) == (f"{run.prefix},best", f"{run.prefix},last")
    assert load_checkpoint(run.best).manifest["metrics"]["best"] == {"accuracy": 0.6}


def test_a_prefix_that_is_taken_is_refused_and_a_free_one_named(make_face_checkpoint, tmp_path):
    run = keep_three(make_face_checkpoint, tmp_path, 0)
    with pytest.raises(InputError) as refusal:
        FaceRun(run.prefix, None, {})
    assert str(refusal.value) == (f"prefix: expected one without checkpoints, received prefix={run.prefix!r} with "
                                  f"epochs best, last; try prefix {run.prefix}-2")
    assert "model-2-symbol.json" not in os.listdir(tmp_path / "faces")


def test_a_prefix_without_a_name_is_refused_and_one_with_a_name_given(tmp_path):
    for prefix, free in (("", "model"), (f"{tmp_path}/faces/", f"{tmp_path}/faces/model")):
        with pytest.raises(InputError) as refusal:
            FaceRun(prefix, None, {})
        assert str(refusal.value) == ("prefix: expected a folder and the beginning of the files' names, received "
                                      f"prefix={prefix!r}; try prefix {free}")
    assert not os.listdir(tmp_path)
