"""Going on with a face run gives, bit for bit, what it would have given without the interruption."""
import signal

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.pairs.bin_file import PairSet
from mxft.faces.train import train_faces
from mxft.faces.training.fit import _Loop
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.heads import HeadOptions, make_head
from mxft.network.checkpoint import load_checkpoint
from mxft.training.accumulation import updates_of
from mxft.training.resume.state import Keeping
from mxft.training.run import read_log
from tests.support.images import banded, encoded
from tests.support.killing import killed_when

SIZE = (16, 16)
CLASSES, EACH = 4, 12


@pytest.fixture
def train(make_records, make_face_checkpoint, tmp_path):
    """A function (prefix, resume="", targets=(), contexts=1, dropout=False, **options) -> FaceResult."""
    faces = read_face_set(make_records("faces.rec", np.repeat(np.arange(CLASSES), EACH), banded))

    def run(prefix, resume="", targets=(), contexts=1, loss_type=4, **options):
        backbone = pretrained_backbone(make_face_checkpoint(), SIZE)
        head = make_head(loss_type, CLASSES, backbone.emb_size, HeadOptions(margin_s=8.0))
        options = FaceOptions(**{"lr": 0.05, "per_batch_size": 8 // contexts, "frequent": 4, "verbose": 5,
                                 "end_epoch": 3, "rand_mirror": True, "color": 1, **options})
        return train_faces(backbone, head, faces, str(tmp_path / prefix / "model"), options,
                           [mx.cpu(number) for number in range(contexts)], make_face_checkpoint(), targets,
                           keeping=Keeping(state_batches=1, state_minutes=0, resume=resume))
    return run


def numbers(folder, epoch):
    checkpoint = load_checkpoint(f"{folder}/model,{epoch}")
    return {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}


def killed_at(batch):
    return killed_when(_Loop, "snapshot", lambda loop: loop._batches_done == batch)


@pytest.fixture
def pairs():
    images = [encoded(banded(n, n // 2 % CLASSES)) for n in range(24)]
    return PairSet("lfw", images, np.arange(12) % 2 == 0)


OPTIONS = {"no sets": {}, "two phases": {"freeze_epochs": 1}, "SphereFace": {"loss_type": 1},
           "accumulated": {"accumulate": 2, "frequent": 2, "verbose": 2},
           "accumulated, two phases": {"accumulate": 4, "freeze_epochs": 1, "frequent": 2, "verbose": 2},
           "lr falls, imprinted": {"lr_steps": (4, 9), "fc7_init": "imprint"}}
QUICK = ("accumulated, two phases", "lr falls, imprinted")


@pytest.mark.parametrize("case", [name if name in QUICK else pytest.param(name, marks=pytest.mark.long)
                                  for name in OPTIONS])
def test_a_killed_run_goes_on_bit_for_bit(case, train, tmp_path):
    """Killed in the middle of an epoch, at the end of one, and where a verification is due; 6 batches an epoch."""
    whole = train("whole", **OPTIONS[case])
    for batch in (3, 6, 10):
        with killed_at(batch):
            train(f"at {batch}", **OPTIONS[case])
        result = train(f"at {batch}", resume="auto", **OPTIONS[case])
        for epoch in ("last", "best"):
            np.testing.assert_equal(numbers(tmp_path / f"at {batch}", epoch), numbers(tmp_path / "whole", epoch))
        assert figures(result.intervals) == figures(whole.intervals)
        assert result.steps == 3 * updates_of(6, OPTIONS[case].get("accumulate", 1))


def figures(intervals):
    return [{name: value for name, value in row.items() if name not in ("seconds", "images_per_second")}
            for row in intervals]


def test_verifications_go_on_too(train, pairs, tmp_path):
    train("whole", targets=[pairs])
    with killed_at(12):
        train("killed", targets=[pairs])
    train("killed", targets=[pairs], resume="must")
    logs = [[row for row in read_log(tmp_path / name / "model-log.jsonl") if row["event"] == "verification"]
            for name in ("whole", "killed")]
    assert [row["step"] for row in logs[1]] == [0, 5, 10, 15, 18]
    assert [row["targets"] for row in logs[1]] == [row["targets"] for row in logs[0]]
    kept = [(tmp_path / name / "model-verification.json").read_text() for name in ("whole", "killed")]
    assert kept[0] == kept[1]
    rows = [row["event"] for row in read_log(tmp_path / "killed" / "model-log.jsonl")]
    assert rows.count("start") == 1 and rows.count("resumed") == 1
    assert load_checkpoint(f"{tmp_path}/killed/model,best").manifest["metrics"] == load_checkpoint(
        f"{tmp_path}/whole/model,best").manifest["metrics"]


def test_a_signal_is_gone_on_from(train, tmp_path, monkeypatch):
    train("whole")
    original = _Loop._train_on

    def with_signal(self, batch):
        original(self, batch)
        if self.step == 7:
            signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(_Loop, "_train_on", with_signal)
        assert train("stopped").interrupted == "SIGTERM"
    assert not train("stopped", resume="auto").interrupted
    np.testing.assert_equal(numbers(tmp_path / "stopped", "last"), numbers(tmp_path / "whole", "last"))


def test_two_devices_go_on_too(train, tmp_path):
    train("whole", contexts=2)
    with killed_at(8):
        train("killed", contexts=2)
    train("killed", contexts=2, resume="auto")
    for name, value in numbers(tmp_path / "whole", "last").items():
        np.testing.assert_allclose(numbers(tmp_path / "killed", "last")[name], value, atol=1e-5, err_msg=name)


def test_more_steps_are_gone_on_to_and_other_settings_refused(train, tmp_path):
    train("whole")
    train("parts", max_steps=7)
    train("parts", resume="auto")
    np.testing.assert_equal(numbers(tmp_path / "parts", "last"), numbers(tmp_path / "whole", "last"))
    with pytest.raises(InputError, match=r"received options.lr=0.1 \(it was 0.05\); give the same"):
        train("parts", resume="auto", lr=0.1)
    with pytest.raises(InputError, match="received prefix='.*none/model' without model-state/state.json"):
        train("none", resume="must")
