"""Face backbones against the recorded layouts and probes of insightface's own networks, and a published checkpoint."""
import itertools
import json
import tarfile
import zlib

import numpy as np
import pytest

from mxft.backbones.faces import Versions, current_names, face_network, identify
from mxft.compat import load_cv2, mx
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.rewrite import rewrite_for_training

pytestmark = pytest.mark.data
NETWORKS = {"r18": ("r18", 512, Versions()), "r34": ("r34", 512, Versions()), "r50": ("r50", 512, Versions()),
            "r100": ("r100", 512, Versions()), "r34-emb256": ("r34", 256, Versions()),
            "r50-se": ("r50", 512, Versions(se=1)), "m1": ("m1", 512, Versions()), "y1-e512": ("y1", 512, Versions()),
            "y1-gdc128": ("y1", 128, Versions(output="GDC"))}


@pytest.fixture(params=NETWORKS)
def reference(request, testdata):
    """(symbol, the recorded facts)."""
    facts = testdata / "reference" / "backbones" / f"{request.param}.json"
    network, emb_size, versions = NETWORKS[request.param]
    return face_network(network, emb_size, versions=versions), json.loads(facts.read_text())


def probe_values(name, shape):
    """The probe's filling; of the wide pre_fc1_weight only the rows the probe looks at."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    normal = np.zeros(shape)
    rows = 8 if name == "pre_fc1_weight" else shape[0]
    normal[:rows] = rng.standard_normal((rows, *shape[1:]))
    if name.endswith("_weight"):
        return normal * np.sqrt(2 / np.prod(shape[1:]))
    if name.endswith("_gamma"):
        return (0.25 if "relu" in name else 0.4) + 0.05 * normal
    return 1 + 0.1 * np.abs(normal) if name.endswith("_moving_var") else 0.1 * normal


def test_layout_and_probe_are_those_recorded(reference):
    symbol, facts = reference
    args, _, auxs = symbol.infer_shape(data=(2, 3, 112, 112))
    assert list(zip(symbol.list_arguments(), args)) == [(n, tuple(s)) for n, s in facts["arguments"].items()]
    assert list(zip(symbol.list_auxiliary_states(), auxs)) == \
        [(n, tuple(s)) for n, s in facts["auxiliary_states"].items()]
    executor = symbol.simple_bind(mx.cpu(), data=(2, 3, 112, 112), grad_req="null")
    for name, array in [*executor.arg_dict.items(), *executor.aux_dict.items()]:
        if name != "data":
            array[:] = probe_values(name, array.shape)
    images = np.random.RandomState(0).uniform(0, 255, (2, 3, 112, 112)).astype(np.float32)
    embedding = executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy()[:, :8]
    expected = np.array(facts["probe_fc1_first8"])
    assert np.abs(embedding - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.fixture(scope="module")
def published(testdata):
    return load_checkpoint(str(testdata / "models" / "mobilefacenet-y1" / "model") + ",0")


def faces(testdata, count):
    """The first `count` aligned faces of LFW, float32 (N, 3, 112, 112), RGB."""
    cv2, images = load_cv2(), []
    with tarfile.open(testdata / "data" / "lfw-112x112.tar") as tar:
        photographs = (member for member in tar if member.name.endswith(".jpg"))
        for member in itertools.islice(photographs, count):
            image = cv2.imdecode(np.frombuffer(tar.extractfile(member).read(), np.uint8), cv2.IMREAD_COLOR)
            images.append(image[:, :, ::-1].transpose(2, 0, 1).astype(np.float32))
    return np.stack(images)


def test_the_published_mobilefacenet_gives_the_same_embeddings(testdata, published):
    ours = face_network("y1", 128, versions=Versions(output="GDC"))
    images, embeddings = faces(testdata, 8), []
    for symbol, arg_params in ((published.symbol, published.arg_params), (ours, current_names(published.arg_params))):
        executor = symbol.simple_bind(mx.cpu(), data=images.shape, grad_req="null")
        executor.copy_params_from(arg_params, published.aux_params)
        embeddings.append(executor.forward(is_train=False, data=mx.nd.array(images))[0].asnumpy())
    assert np.linalg.norm(embeddings[0], axis=1).min() > 1
    np.testing.assert_allclose(embeddings[1], embeddings[0], rtol=1e-5, atol=1e-5)


def test_every_node_of_the_published_graph_has_the_same_attributes(published):
    def operators(symbol):
        return [(node.op, node.name, node.attrs) for node in Graph(symbol).operators()]
    ours = face_network("y1", 128, versions=Versions(output="GDC"))
    assert operators(ours) == operators(published.symbol)


def test_the_published_mobilefacenet_is_identified(published):
    shapes = {name: array.shape for name, array in published.arg_params.items()}
    assert identify(shapes) == ["--network y1", "--version-output GDC", "--emb-size 128"]


@pytest.mark.long
def test_the_published_mobilefacenet_trains_to_the_same_losses_when_rewritten(testdata, published):
    """Three steps on faces; the slopes of this network are among those MXNet's own operator gets right."""
    net, label, losses, slopes = mx.sym.FullyConnected(published.symbol, num_hidden=8, name="fc7"), np.arange(4), [], []
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    images, rewritten = faces(testdata, 4), rewrite_for_training(net)[0]
    assert "prelu" not in {n.attrs.get("act_type") for n in Graph(rewritten).operators()}
    assert rewritten.list_arguments() == net.list_arguments()
    fc7 = mx.nd.array(np.random.RandomState(1).normal(0, .05, (8, 128)))
    for symbol in (net, rewritten):
        module = mx.mod.Module(symbol)
        module.bind([("data", images.shape)], [("softmax_label", (4,))])
        module.init_params(mx.init.Zero(), {**published.arg_params, "fc7_weight": fc7}, published.aux_params,
                           allow_missing=True)
        module.init_optimizer(optimizer_params={"learning_rate": .01, "momentum": .9})
        losses.append([])
        for _ in range(3):
            module.forward_backward(mx.io.DataBatch([mx.nd.array(images)], [mx.nd.array(label)]))
            losses[-1].append(-np.log(module.get_outputs()[0].asnumpy()[label, label]).mean())
            module.update()
        trained = module.get_params()[0]
        slopes.append({name: trained[name].asnumpy() for name in trained if name.endswith("relu_gamma")})
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-4)
    assert losses[0][2] < losses[0][0] - .2 and len(slopes[0]) == 33
    for name, slope in slopes[0].items():
        np.testing.assert_allclose(slopes[1][name], slope, atol=1e-5, err_msg=name)
