"""Bits of a finished run's state and checkpoints turned over at random: each is noticed, and said by name."""
import json
import random

import pytest

from mxft.errors import InputError
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.state import Keeping, RunState
from mxft.workflows.finetune import finetune
from tests.support.flipping import flip_bit

FILES = ("state/2.params", "state/state.json", "model-best.params", "model-0002.params", "model-manifest.json",
         "model-symbol.json")
FLIPS = 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory, make_checkpoint):
    """The folder of a run of two epochs."""
    import cv2
    import numpy as np

    from mxft.data.datasets import Records
    from mxft.data.recordio import IRHeader, RecordWriter, pack

    folder, rng = tmp_path_factory.mktemp("flipped"), np.random.RandomState(0)
    for name in ("train", "val"):
        with RecordWriter(str(folder / f"{name}.rec")) as writer:
            for number in range(9):
                image = cv2.imencode(".png", rng.randint(0, 255, (8, 8, 3), np.uint8))[1].tobytes()
                writer.write(pack(IRHeader(0, float(number % 3), number, 0), image))
    data = Records(*(str(folder / f"{name}.rec") for name in ("train", "val")), ["red", "green", "blue"])
    finetune(make_checkpoint(5), data, str(folder / "run"), Recipe(batch_size=3, fit=FitOptions(epochs=2)),
             InputSpec((3, 8, 8)), keeping=Keeping(last=2))
    return folder / "run"


def load_all(run):
    """Read the state as a run does that is resumed, and both checkpoints."""
    facts = json.loads((run / "state" / "state.json").read_text())
    read_state(run, facts["asked"])
    for epoch in ("best", 2):
        load_checkpoint(f"{run}/model,{epoch}")


def read_state(run, asked):
    state = RunState(str(run / "state"), asked)
    assert state.load()
    state.stage = state.found["stage"]
    with state.restoring():
        assert state.restore()


def test_thirty_random_flipped_bits_are_thirty_noticed(trained):
    asked = json.loads((trained / "state" / "state.json").read_text())["asked"]
    load_all(trained)
    noticed = 0
    for seed in range(FLIPS):
        rng = random.Random(seed)
        path = trained / rng.choice(FILES)
        whole = path.read_bytes()
        bit = rng.randrange(8 * len(whole.rstrip()))
        flip_bit(path, bit)
        try:
            with pytest.raises(InputError, match=path.name):
                read_state(trained, asked) if path.parent.name == "state" else load_both(trained)
            noticed += 1
        finally:
            path.write_bytes(whole)
    assert noticed == FLIPS
    load_all(trained)


def load_both(run):
    for epoch in ("best", 2):
        load_checkpoint(f"{run}/model,{epoch}")


def test_a_damaged_state_names_the_array_and_the_checkpoint_that_is_whole(trained):
    asked = json.loads((trained / "state" / "state.json").read_text())["asked"]
    path = trained / "state" / "2.params"
    whole = path.read_bytes()
    flip_bit(path, 8 * 600)
    with pytest.raises(InputError, match=f"^state: expected the arrays that were saved, received {path} with others, "
                                         f"a damaged file: [a-z0-9_:]+; start again with another run; the checkpoint "
                                         f"{trained}/model,best is whole$"):
        read_state(trained, asked)
    path.write_bytes(whole)


def test_a_damaged_state_file_is_refused_by_name(trained):
    path = trained / "state" / "state.json"
    whole = path.read_text()
    asked = json.loads(whole)["asked"]
    path.write_text(whole.replace('"epoch": 2', '"epoch": 3', 1))
    with pytest.raises(InputError, match=f"^state is damaged or was edited: expected the content that its checksum was "
                                         f"made of, received another one in {path}; start again with another run; the "
                                         f"checkpoint {trained}/model,best is whole$"):
        read_state(trained, asked)
    path.write_text(whole[:-3])
    with pytest.raises(InputError, match=f"^state: expected what mxft writes, received {path}, which is damaged; start "
                                         f"again with another run; the checkpoint {trained}/model,best is whole$"):
        read_state(trained, asked)
    path.write_text(whole)


def test_a_state_of_an_earlier_mxft_is_resumed(trained):
    path = trained / "state" / "state.json"
    whole = path.read_text()
    facts = json.loads(whole)
    del facts["checksum"], facts["hashes"]
    path.write_text(json.dumps(facts))
    read_state(trained, facts["asked"])
    path.write_text(whole)
