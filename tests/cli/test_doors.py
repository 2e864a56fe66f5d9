"""Every door gives a network's own numbers: predict, score, export, bundle and serve beside Module.predict.

The symbol is read by MXNet itself, unaltered. More networks, as a table: ``python tests/reference/doors.py``.
"""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.network.checkpoint import load_checkpoint
from tests.support.doors import DOORS, Door, Refused, apart

pytest.importorskip("onnxruntime")
pytest.importorskip("flask")

LIMIT = 1e-5


def body(data=None):
    net = mx.sym.Convolution((mx.sym.Variable("data") if data is None else data) * (1 / 255), kernel=(3, 3),
                             stride=(2, 2), num_filter=4, name="conv0")
    net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0")
    return mx.sym.Flatten(mx.sym.Pooling(mx.sym.relu(net), kernel=(1, 1), global_pool=True, pool_type="avg"))


def fc(hidden=4, name="fc1", data=None):
    return mx.sym.FullyConnected(body() if data is None else data, num_hidden=hidden, name=name)


def group():
    shared = body()
    return mx.sym.Group([mx.sym.SoftmaxOutput(fc(3, "fc_age", shared), name="age"),
                         mx.sym.LogisticRegressionOutput(fc(2, "fc_tags", shared), name="tags"),
                         mx.sym.LinearRegressionOutput(fc(1, "fc_year", shared), name="year")])


def ensemble():
    shared = body()
    return (mx.sym.softmax(fc(3, "fc_a", shared)) + mx.sym.softmax(fc(3, "fc_b", shared))) / 2


def pairs():
    return mx.sym.Reshape(mx.sym.SoftmaxActivation(mx.sym.Reshape(fc(8), shape=(-1, 2))), shape=(-1, 8), name="pairs")


def classifier_convolution():
    return mx.sym.Convolution(mx.sym.Reshape(body(), shape=(0, 0, 1, 1)), kernel=(1, 1), num_filter=4, name="cls")


NETWORKS = {
    "two classifiers averaged": ensemble,
    "pairs of probabilities": pairs,
    "a softmax along an axis of one": lambda: mx.sym.softmax(mx.sym.Reshape(fc(), shape=(0, 1, 4)), axis=1, name="one"),
    "logits whose maps are averaged": lambda: mx.sym.mean(classifier_convolution(), axis=(2, 3), name="out"),
    "two heads side by side": lambda: (lambda shared: mx.sym.Concat(mx.sym.sigmoid(
        fc(2, "a", shared)), mx.sym.sigmoid(fc(3, "b", shared)), name="tags"))(body()),
    "a network on channels shuffled": lambda: fc(data=mx.sym.Reshape(mx.sym.SwapAxis(mx.sym.Reshape(
        body(), shape=(0, -4, 2, -1)), dim1=1, dim2=2), shape=(0, -3))),
    "a squeeze of all that is one": lambda: fc(data=mx.sym.squeeze(mx.sym.Pooling(mx.sym.Convolution(
        mx.sym.Variable("data") * (1 / 255), kernel=(3, 3), num_filter=4, name="conv0"), kernel=(1, 1),
        global_pool=True, pool_type="avg"))),
    "tags": lambda: mx.sym.LogisticRegressionOutput(fc(), name="tags"),
    "one tag": lambda: mx.sym.Activation(fc(1), act_type="sigmoid", name="smile"),
    "a temperature": lambda: mx.sym.softmax(fc(), temperature=4.0, name="prob"),
    "a softmax behind a Reshape, a Cast and a BlockGrad": lambda: mx.sym.BlockGrad(mx.sym.Cast(mx.sym.Reshape(
        mx.sym.softmax(fc()), shape=(0, 4)), dtype="float32"), name="out"),
    "logits": lambda: fc(),
    "values": lambda: mx.sym.MAERegressionOutput(fc(2), name="years"),
    "class scores": lambda: mx.sym.SVMOutput(fc(), name="svm"),
    "three outputs": group,
    "gray pictures of uneven sides": lambda: mx.sym.SoftmaxOutput(fc(), name="softmax"),
    "old operators": lambda: mx.sym.SoftmaxActivation(fc(data=mx.sym.Flatten(mx.sym.Pooling_v1(mx.sym.BatchNorm_v1(
        mx.sym.Convolution_v1(mx.sym.Variable("data") * (1 / 255), kernel=(3, 3), num_filter=4, name="conv0"),
        name="bn0"), kernel=(2, 2), global_pool=True, pool_type="avg"))), name="softmax"),
}
REGRESSIONS = ("values", "pairs of probabilities", "a softmax along an axis of one")
QUICK = ["two classifiers averaged", "pairs of probabilities", "tags", "a temperature", "values", "three outputs",
         "gray pictures of uneven sides", "old operators"]


def saved(symbol, shape, folder):
    """Write a network as MXNet does, random parameters and labels left out; return its prefix."""
    random = np.random.RandomState(0)
    args, _, auxs = symbol.infer_shape(data=(2, *shape))
    entries = {f"arg:{name}": random.normal(0, 0.7, size) for name, size in zip(symbol.list_arguments(), args)
               if name != "data" and not name.endswith("label")}
    entries.update({f"aux:{name}": random.uniform(0.5, 1.5, size)
                    for name, size in zip(symbol.list_auxiliary_states(), auxs)})
    symbol.save(f"{folder}/net-symbol.json")
    mx.nd.save(f"{folder}/net-0000.params", {name: mx.nd.array(value) for name, value in entries.items()})
    return f"{folder}/net"


@pytest.mark.parametrize("case", [*QUICK, *(pytest.param(case, marks=pytest.mark.long) for case in NETWORKS
                                            if case not in QUICK)])
def test_every_door_gives_what_mxnet_gives(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = (1, 16, 20) if case.startswith("gray") else (3, 16, 16)
    door = Door(tmp_path, saved(NETWORKS[case](), shape, tmp_path), shape)
    kinds = {output.name: output.kind for output in load_checkpoint(f"{door.prefix},0").anatomy.served}
    plain = door.plain()
    assert list(plain) == list(kinds)
    for name in DOORS:
        if name == "score" and case in REGRESSIONS:
            with pytest.raises(Refused, match="exit 2: .*expected"):
                door.score()
            continue
        assert apart(name, kinds, getattr(door, name)(), plain) < LIMIT, name


@pytest.mark.parametrize("make, message", [
    (lambda: mx.sym.SoftmaxOutput(mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), num_filter=4, name="c"),
                                  multi_output=True, name="softmax"), "received the output softmax, a map: "),
    (lambda: mx.sym.SoftmaxOutput(mx.sym.FullyConnected(mx.sym.Concat(body(), mx.sym.Variable("age")), num_hidden=3),
                                  name="softmax"), "expected one input, received 2: data (an image), age (no image)"),
    (lambda: mx.sym.softmax(fc(data=mx.sym.Dropout(body(), mode="always", name="drop"))),
     "expected layers that compute the same, received drop, a Dropout in mode 'always'"),
    (lambda: mx.sym.BatchNorm(fc(), name="embedding"), "received the output embedding, an embedding, which names"),
])
def test_what_names_nothing_is_refused_by_every_door_that_names(make, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net, known = make(), {"data": (1, 3, 16, 16)}
    args, _, auxs = net.infer_shape(**known, **({"age": (1, 2)} if "age" in net.list_arguments() else {}))
    entries = {f"arg:{name}": mx.nd.ones(size) for name, size in zip(net.list_arguments(), args)
               if name not in ("data", "age", "softmax_label")}
    entries.update({f"aux:{name}": mx.nd.ones(size) for name, size in zip(net.list_auxiliary_states(), auxs)})
    net.save("net-symbol.json")
    mx.nd.save("net-0000.params", entries)
    door = Door(tmp_path, "net", (3, 16, 16))
    for name in ("predict", "score", "bundle"):
        with pytest.raises(Refused) as refused:
            getattr(door, name)()
        assert refused.value.status == 2 and message in refused.value.message
