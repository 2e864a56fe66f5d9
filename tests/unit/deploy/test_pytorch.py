"""Export to PyTorch: what the file gives in a process of its own, what it says, and what is refused."""
import json
import subprocess
import sys

import numpy as np
import pytest

from mxft.compat import mx
from mxft.deploy.exported import own_outputs
from mxft.errors import InputError, RunError
from mxft.network.checkpoint import Checkpoint

torch = pytest.importorskip("torch")

from mxft.deploy import pytorch  # noqa: E402
from mxft.deploy.pytorch import export_torch  # noqa: E402

ALONE = """
import sys, numpy, torch
assert not any(name.partition(".")[0] in ("mxnet", "mxft") for name in sys.modules)
facts = {"mxft": ""}
module = torch.export.load("net.pt2", extra_files=facts).module()
found = [module(torch.from_numpy(batch)).detach().numpy() for batch in numpy.load("images.npz").values()]
assert not any(name.partition(".")[0] in ("mxnet", "mxft") for name in sys.modules)
numpy.savez("found.npz", *found)
print(facts["mxft"])
"""


def test_pytorch_alone_gives_what_the_checkpoint_does(here, make_checkpoint):
    checkpoint = make_checkpoint(5)
    checkpoint.manifest = {"input": {"size": 16, "mean": [9, 9, 9], "scale": 0.1}, "classes": list("abcde")}
    result = export_torch(checkpoint, "net.pt2", (3, 16, 16))
    assert result.error < 1e-6 and result.any_batch and result.outputs == {"softmax": (5,)} and result.input == "data"
    rng = np.random.RandomState(1)
    batches = [rng.uniform(-1, 1, (n, 3, 16, 16)).astype(np.float32) for n in (1, 3, 8)]
    np.savez("images.npz", *batches)
    said = subprocess.run([sys.executable, "-c", ALONE], check=True, capture_output=True, text=True).stdout
    assert json.loads(said)["classes"] == list("abcde") and json.loads(said)["input"]["mean"] == [9.0] * 3
    for batch, found in zip(batches, np.load("found.npz").values()):
        expected = own_outputs(checkpoint.symbol, checkpoint, batch, True)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_several_outputs_and_arrays_nothing_reads(here, make_checkpoint):
    checkpoint = make_checkpoint(5)
    tags = mx.sym.sigmoid(checkpoint.symbol.get_internals()["fc1_output"], name="tags")
    checkpoint.symbol = mx.sym.Group([checkpoint.symbol, tags])
    checkpoint.arg_params["left_over"] = mx.nd.ones(3)
    assert export_torch(checkpoint, "net.pt2", (3, 16, 16)).outputs == {"softmax": (5,), "tags": (5,)}
    assert "left_over" not in pytorch.served(checkpoint).state_dict()


def test_a_batch_size_that_is_fixed_in_the_graph(here):
    net = mx.sym.FullyConnected(mx.sym.reshape(mx.sym.Variable("data"), shape=(1, 12)), num_hidden=2, name="fc1")
    checkpoint = Checkpoint(net, {"fc1_weight": mx.nd.ones((2, 12)), "fc1_bias": mx.nd.zeros(2)}, {})
    result = export_torch(checkpoint, "net.pt2", (3, 2, 2))
    assert not result.any_batch and result.error < 1e-6


def test_an_operator_without_a_function_is_named_and_nothing_is_written(here):
    data = mx.sym.Variable("data")
    checkpoint = Checkpoint(mx.sym.khatri_rao(mx.sym.Flatten(data), mx.sym.Flatten(data), name="product"), {}, {})
    with pytest.raises(InputError, match="expected an operator that has a PyTorch function, received khatri_rao"):
        export_torch(checkpoint, "net.pt2", (3, 2, 2))
    assert not list(here.iterdir())


def test_what_differs_is_not_written(here, make_checkpoint, monkeypatch):
    wrong = make_checkpoint(5)
    served = pytorch.served(wrong)
    with torch.no_grad():
        served.fc1_bias[0] = 1e6
    monkeypatch.setattr(pytorch, "served", lambda _: served)
    with pytest.raises(RunError, match=r"no file was written: expected the checkpoint's output to 0.0001 .* difference "
                                       r"of 1.0e\+00 from PyTorch"):
        export_torch(wrong, "net.pt2", (3, 16, 16))
    assert not list(here.iterdir())
