"""``mxft drop-noisy`` after a run of train-softmax with sub-centres, as the guide has it."""
import numpy as np

from mxft.cli import run_verb
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.set_writer import FaceSetWriter
from tests.support.images import banded, encoded


def test_a_set_is_cleaned_by_what_was_trained_on_it(make_face_checkpoint, tmp_path, capsys):
    with FaceSetWriter(tmp_path / "faces") as writer:
        for c in range(4):
            writer.add_identity(c, [(f"{c}/{i}.png", encoded(banded(20 * c + i, c if i < 12 else (c + 1) % 4)))
                                    for i in range(14)])
        writer.finish(["a", "b", "c", "d"], (16, 16))
    make_face_checkpoint().save(str(tmp_path / "net"), 0)
    status = run_verb("train-softmax", [
        "--network", "pretrained", "--pretrained", f"{tmp_path}/net,0", "--data-dir", f"{tmp_path}/faces",
        "--image-size", "16,16", "--prefix", f"{tmp_path}/run/model", "--loss-type", "subcenter-arcface",
        "--subcenters", "2",
        "--margin-s", "8", "--lr", "0.02", "--per-batch-size", "14", "--end-epoch", "6", "--fc7-init", "imprint"])
    assert status == 0
    command = ["--model", f"{tmp_path}/run/model,last", "--data-dir", f"{tmp_path}/faces", "--output",
               f"{tmp_path}/cleaned", "--threshold", "60"]
    capsys.readouterr()
    assert run_verb("drop-noisy", command) == 0
    assert "farther than 60 degrees from their class's dominant sub-centre" in capsys.readouterr().out
    faces, cleaned = read_face_set(tmp_path / "faces"), read_face_set(tmp_path / "cleaned")
    dropped = np.loadtxt(tmp_path / "cleaned" / "dropped.tsv", skiprows=1, usecols=(0, 1), dtype=int, ndmin=2)
    assert len(dropped) + len(cleaned.labels) == len(faces.labels)
    wrong = {int(key) for i, key in enumerate(faces.keys) if i % 14 >= 12}
    assert len({int(key) for key in dropped[:, 0]} & wrong) >= 6 and len(dropped) <= 10  # of 8 planted
    assert run_verb("drop-noisy", command) == 2
    assert "folder: expected one without a face set, received " in capsys.readouterr().err


def test_a_slim_checkpoint_is_refused_by_what_it_lacks(make_face_checkpoint, make_records, tmp_path, capsys):
    make_face_checkpoint().save(str(tmp_path / "net"), 0)
    records = make_records("faces.rec", np.repeat(np.arange(4), 3), banded)
    assert run_verb("drop-noisy", ["--model", f"{tmp_path}/net,0", "--data-dir", records, "--output",
                                   f"{tmp_path}/cleaned"]) == 2
    assert "class centres: expected fc7_weight, received none in " in capsys.readouterr().err
