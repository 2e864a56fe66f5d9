"""TensorBoard's event files hold the numbers of the log, at once, and a full disk does not stop a run."""
import numpy as np
import pytest

from mxft.report.event_files import EventFiles
from mxft.training.run import Run, read_log

pytest.importorskip("tensorboardX")


def test_every_number_is_on_disk_when_it_is_logged(tmp_path, read_events, read_scalars):
    run = Run(str(tmp_path / "model"), None, {})
    run.listen(EventFiles(str(tmp_path / "tensorboard")))
    run.log("start", recipe={"plan": "head", "lr": 0.1})
    assert read_events(tmp_path / "tensorboard")[-1].summary.value[0].metadata.plugin_data.plugin_name == "text"
    run.log("epoch", epoch=1, train_loss=2.5, train_top1=0.25, lr=0.1, images_per_second=99.0)
    assert read_scalars(tmp_path / "tensorboard") == {("train/loss", 1): 2.5, ("train/top1", 1): 0.25,
                                                 ("lr", 1): np.float32(0.1), ("images_per_second", 1): 99}
    run.log("interval", step=40, epoch=2, loss=1.5, correct=0.5, margin_correct=0.125, target_cosine=0.75, lr=0.1)
    run.log("verification", step=40, targets={"lfw": {"accuracy": 0.5, "std": 0.1}})
    run.log("bound", rewrites=["pad"])
    late = {tag: value for (tag, step), value in read_scalars(tmp_path / "tensorboard").items() if step == 40}
    assert late == {"train/loss": 1.5, "train/top1": 0.5, "train/top1_with_margin": 0.125, "train/target_cosine": 0.75,
                    "lr": np.float32(0.1), "verification/lfw": 0.5}
    assert len(read_log(run.file("log.jsonl"))) == 5


def test_a_full_disk_ends_the_events_and_not_the_run(tmp_path, monkeypatch, capsys):
    files = EventFiles(str(tmp_path))

    def full(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorboardX.event_file_writer.EventsWriter.flush", full)
    files("epoch", {"epoch": 1, "train_loss": 1.0})
    files("epoch", {"epoch": 2, "train_loss": 1.0})
    assert capsys.readouterr().err == (
        "--tensorboard: no more events are written (no space left on device); log.jsonl has them\n")
