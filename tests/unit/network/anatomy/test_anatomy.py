"""What goes into a network, what comes out and what that is, where its features are, which states move."""
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.network.anatomy import Link, Output, anatomy_of

DATA = mx.sym.Variable("data")
LABEL = mx.sym.Variable("softmax_label")


def conv(data=DATA, name="conv0", **options):
    return mx.sym.Convolution(data, **{"kernel": (3, 3), "num_filter": 4, "name": name, **options})


def backbone(data=DATA):
    return mx.sym.Flatten(mx.sym.Pooling(mx.sym.relu(conv(data)), kernel=(1, 1), global_pool=True, pool_type="avg"),
                          name="flatten0")


def fc(data=None, hidden=4, name="fc1"):
    return mx.sym.FullyConnected(backbone() if data is None else data, num_hidden=hidden, name=name)


def two(of=lambda scores: scores):
    """Return two classifiers on one backbone."""
    shared = backbone()
    return [of(fc(shared, name=name)) for name in ("fc1", "fc2")]


def parameters_of(symbol, **shapes):
    """Return ones for what has a shape for the input."""
    args, _, auxs = symbol.infer_shape_partial(**(shapes or {"data": (1, 3, 16, 16)}))
    known = {name: mx.nd.ones(size) for name, size in zip(symbol.list_arguments(), args)
             if size and all(size) and name not in shapes and name != "data" and not name.endswith("label")}
    return known, {name: mx.nd.ones(size) for name, size in zip(symbol.list_auxiliary_states(), auxs)}


def anatomy(symbol, manifest=None, **shapes):
    return anatomy_of(symbol, *parameters_of(symbol, **shapes), manifest)


OUTPUTS = {
    "SoftmaxOutput": (lambda: mx.sym.SoftmaxOutput(fc(), name="out"), "probabilities", "softmax", 1, 4),
    "softmax": (lambda: mx.sym.softmax(fc(), name="out"), "probabilities", "softmax", 1, 4),
    "a temperature": (lambda: mx.sym.softmax(fc(), temperature=4.0, name="out"), "probabilities", "softmax", 4, 4),
    "SoftmaxActivation": (lambda: mx.sym.SoftmaxActivation(fc(), name="out"), "probabilities", "softmax", 1, 4),
    "log_softmax": (lambda: mx.sym.log_softmax(fc(), name="out"), "log-probabilities", "log_softmax", 1, 4),
    "Flatten of softmax": (lambda: mx.sym.Flatten(mx.sym.softmax(fc()), name="out"), "probabilities", "softmax", 1, 4),
    "Cast, Reshape and identity of a softmax": (
        lambda: mx.sym.identity(mx.sym.Cast(mx.sym.Reshape(mx.sym.softmax(fc()), shape=(-1, 4)), dtype="float32"),
                                name="out"), "probabilities", "softmax", 1, 4),
    "a blocked softmax": (lambda: mx.sym.BlockGrad(mx.sym.softmax(fc()), name="out"), "probabilities", "softmax", 1, 4),
    "LogisticRegressionOutput": (lambda: mx.sym.LogisticRegressionOutput(fc(), name="out"), "independent probabilities",
                                 "sigmoid", 1, 4),
    "sigmoid": (lambda: mx.sym.sigmoid(fc(hidden=1), name="out"), "independent probabilities", "sigmoid", 1, 1),
    "Activation": (lambda: mx.sym.Activation(fc(), act_type="sigmoid", name="out"), "independent probabilities",
                   "sigmoid", 1, 4),
    "LinearRegressionOutput": (lambda: mx.sym.LinearRegressionOutput(fc(), name="out"), "values", "identity", 1, 4),
    "MAERegressionOutput": (lambda: mx.sym.MAERegressionOutput(fc(), name="out"), "values", "identity", 1, 4),
    "tanh": (lambda: mx.sym.tanh(fc(), name="out"), "values", "identity", 1, 4),
    "SVMOutput": (lambda: mx.sym.SVMOutput(fc(), name="out"), "class scores", "identity", 1, 4),
    "FullyConnected": (lambda: fc(name="out"), "logits", "identity", 1, 4),
    "a 1x1 convolution, averaged": (
        lambda: mx.sym.Pooling(conv(conv(), "conv1", kernel=(1, 1), num_filter=6), global_pool=True, kernel=(1, 1),
                               pool_type="avg", name="out"), "logits", "identity", 1, 6),
    "BatchNorm of a FullyConnected": (lambda: mx.sym.BatchNorm(fc(), name="out"), "embedding", "identity", 1, 4),
    "L2Normalization": (lambda: mx.sym.L2Normalization(fc(), name="out"), "embedding", "identity", 1, 4),
    "rows divided by their length": (
        lambda: (lambda rows: mx.sym.broadcast_div(rows, mx.sym.norm(rows, axis=1, keepdims=True), name="out"))(fc()),
        "embedding", "identity", 1, 4),
    "pooled maps": (lambda: mx.sym.Flatten(mx.sym.Pooling(conv(), global_pool=True, kernel=(1, 1), pool_type="avg"),
                                           name="out"), "embedding", "identity", 1, 4),
    "maps": (lambda: conv(name="out"), "map", "identity", 1, None),
    "a segmentation": (lambda: mx.sym.SoftmaxOutput(conv(), multi_output=True, name="out"), "map", "identity", 1,
                       None),
    "a detector's scores": (lambda: mx.sym.slice_axis(mx.sym.contrib.box_nms(mx.sym.Reshape(
        fc(hidden=12), shape=(0, 2, 6))), axis=2, begin=1, end=2, name="out"), "map", "identity", 1, None),
    "a softmax along an axis of one": (lambda: mx.sym.softmax(
        mx.sym.Reshape(fc(), shape=(0, 1, 4)), axis=1, name="out"), "values", "identity", 1, 4),
    "a channel softmax along an axis of one": (lambda: mx.sym.SoftmaxActivation(
        mx.sym.Reshape(fc(), shape=(0, 1, 2, 2)), mode="channel", name="out"), "map", "identity", 1, None),
    "pairs of probabilities": (lambda: mx.sym.Flatten(mx.sym.softmax(
        mx.sym.Reshape(fc(), shape=(0, 2, 2))), name="out"), "values", "identity", 1, 4),
    "pairs that were rows of their own": (lambda: mx.sym.Reshape(mx.sym.SoftmaxActivation(
        mx.sym.Reshape(fc(), shape=(-1, 2))), shape=(-1, 4), name="out"), "values", "identity", 1, 4),
    "sigmoids that were rows of their own": (lambda: mx.sym.Reshape(mx.sym.sigmoid(mx.sym.Reshape(
        fc(), shape=(-1, 2))), shape=(-1, 4), name="out"), "independent probabilities", "identity", 1, 4),
    "a softmax along the last of three axes": (lambda: mx.sym.Flatten(mx.sym.softmax(mx.sym.Reshape(
        fc(), shape=(0, 1, 4))), name="out"), "probabilities", "softmax", 1, 4),
    "a softmax of a sum": (lambda: mx.sym.softmax(mx.sym.add_n(*two()), name="out"), "probabilities", "softmax", 1, 4),
    "softmin": (lambda: mx.sym.softmin(fc(), name="out"), "probabilities", "identity", 1, 4),
    "exp of log_softmax": (lambda: mx.sym.exp(mx.sym.log_softmax(fc()), name="out"), "probabilities", "identity", 1, 4),
    "log of softmax": (lambda: mx.sym.log(mx.sym.softmax(fc()), name="out"), "log-probabilities", "identity", 1, 4),
    "a mean of softmaxes": (lambda: mx.sym.mean(mx.sym.stack(*two(mx.sym.softmax), axis=1), axis=1, name="out"),
                            "probabilities", "identity", 1, 4),
    "a weighted mean of softmaxes": (lambda: (lambda p, q: mx.sym.elemwise_add(p * 0.3, q * 0.7, name="out"))(
        *two(mx.sym.softmax)), "probabilities", "identity", 1, 4),
    "a sum of softmaxes": (lambda: mx.sym.add_n(*two(mx.sym.softmax), name="out"), "values", "identity", 1, 4),
    "a mean over the classes": (lambda: mx.sym.mean(mx.sym.softmax(fc()), axis=1, name="out"), "embedding", "identity",
                                1, 1),
    "a mean of sigmoids": (lambda: mx.sym.BlockGrad(mx.sym.add_n(*two(mx.sym.sigmoid)) / 2, name="out"),
                           "independent probabilities", "identity", 1, 4),
    "a softmax at every place, averaged": (lambda: mx.sym.Pooling(
        mx.sym.softmax(conv(), axis=1), kernel=(1, 1), global_pool=True, pool_type="avg", name="out"), "probabilities",
        "identity", 1, 4),
    "a sum of logits": (lambda: mx.sym.add_n(*two(lambda scores: scores * 2), name="out"), "logits", "identity", 1, 4),
    "a 1x1 convolution and its mean": (lambda: mx.sym.mean(conv(conv(), "conv1", kernel=(1, 1)), axis=(2, 3),
                                                           name="out"), "logits", "identity", 1, 4),
    "a fully connected layer written out": (lambda: mx.sym.broadcast_add(mx.sym.dot(backbone(), mx.sym.Variable(
        "w", shape=(4, 5))), mx.sym.Variable("b", shape=(1, 5)), name="out"), "logits", "identity", 1, 5),
    "one logit": (lambda: fc(hidden=1, name="out"), "values", "identity", 1, 1),
    "tags side by side": (lambda: mx.sym.Concat(*two(mx.sym.sigmoid), name="out"), "independent probabilities",
                          "identity", 1, 8),
    "two classifiers side by side": (lambda: mx.sym.Concat(*two(mx.sym.softmax), name="out"), "values", "identity", 1,
                                     8),
    "two embeddings side by side": (lambda: mx.sym.Concat(*two(mx.sym.L2Normalization), name="out"), "embedding",
                                    "identity", 1, 8),
    "a loss of its own": (lambda: mx.sym.MakeLoss(mx.sym.sum(fc(), axis=1), name="out"), "loss", "identity", 1, 1),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_what_an_output_is(case):
    make, kind, link, temperature, size = OUTPUTS[case]
    output, = anatomy(make()).outputs
    assert (output.name, output.kind, output.link.name, output.link.temperature) == ("out", kind, link, temperature)
    assert output.size == size


@pytest.mark.parametrize("case", [case for case, (_, kind, *_) in OUTPUTS.items() if kind not in ("loss", "map")])
def test_an_outputs_link_makes_its_own_numbers_of_its_scores(case):
    symbol = OUTPUTS[case][0]()
    found = anatomy(symbol)
    random = np.random.RandomState(0)
    executor = mx.sym.Group([symbol, found.served_symbol(symbol)]).simple_bind(mx.cpu(), grad_req="write",
                                                                               data=(2, 3, 16, 16))
    for value in executor.arg_arrays:
        value[:] = random.normal(0, 0.5, value.shape)
    for value in executor.aux_arrays:
        value[:] = 1
    own, scores = (output.asnumpy().reshape(2, -1) for output in executor.forward(is_train=False))
    np.testing.assert_allclose(found.output().link(scores), own, rtol=1e-5, atol=1e-6)


def test_the_manifest_tells_an_embedding_and_values_from_logits():
    assert anatomy(fc(), {"embedding": "fc1"}).output().kind == "embedding"
    assert anatomy(fc(), {"head": {"loss": "values"}}).output().kind == "values"
    face = {"input": {"size": [112, 112]}}
    assert anatomy(fc(), face).output().kind == "embedding" and anatomy(fc(), face).feature.name == "fc1"
    assert anatomy(fc(), {**face, "classes": list("abcd")}).output().kind == "logits"
    assert anatomy(fc(), {"input": {"size": 224}}).output().kind == "logits"


INPUTS = {
    "one without value, whatever its name": (lambda: fc(backbone(mx.sym.Variable("data0"))), {"data0": (1, 3, 16, 16)},
                                             ["data0"], 3, []),
    "gray": (lambda: mx.sym.SoftmaxOutput(fc(), name="softmax"), {"data": (1, 1, 16, 16)}, ["data"], 1,
             ["softmax_label"]),
    "the image first, then a vector": (
        lambda: fc(mx.sym.Concat(mx.sym.Variable("age"), backbone())), {"data": (1, 3, 16, 16), "age": (1, 2)},
        ["data", "age"], 3, []),
    "two images": (lambda: fc(mx.sym.Concat(backbone(mx.sym.Variable("left")), backbone(mx.sym.Variable("right")))),
                   {"left": (1, 3, 16, 16), "right": (1, 3, 16, 16)}, ["left", "right"], 3, []),
    "a label that a loss of its own reads": (
        lambda: mx.sym.MakeLoss(mx.sym.sum(mx.sym.log_softmax(fc()) * mx.sym.one_hot(LABEL, depth=4), axis=1)),
        {"data": (1, 3, 16, 16), "softmax_label": (1,)}, ["data"], 3, ["softmax_label"]),
    "a weight of one's own making is a parameter": (
        lambda: fc(mx.sym.broadcast_mul(backbone(), mx.sym.Variable("scale", shape=(1, 4)))), {"data": (1, 3, 16, 16)},
        ["data"], 3, []),
}


@pytest.mark.parametrize("case", INPUTS)
def test_inputs_and_labels(case):
    make, shapes, names, channels, labels = INPUTS[case]
    symbol = make()
    args, _, auxs = symbol.infer_shape(**shapes)
    values = {name: mx.nd.ones(size) for name, size in zip(symbol.list_arguments(), args)
              if name not in shapes and not name.endswith("label")}
    found = anatomy_of(symbol, values)
    assert [one.name for one in found.inputs] == names and list(found.labels) == labels
    assert found.inputs[0].is_image and found.inputs[0].channels == channels


def test_several_inputs_are_named_in_the_refusal():
    symbol = fc(mx.sym.Concat(mx.sym.Variable("age"), backbone()))
    with pytest.raises(InputError, match="expected one input, received 2: data [(]an image[)], age [(]no image[)]"):
        anatomy(symbol, data=(1, 3, 16, 16), age=(1, 2)).image  # noqa: B018


def test_what_the_graph_does_with_the_pixels_first_is_told():
    normalised = (DATA - 127.5) * 0.0078125
    assert anatomy(fc(backbone(normalised))).image.normalisation == "(x - 127.5) * 0.0078125"
    assert anatomy(fc(backbone(mx.sym.BatchNorm(DATA, name="bn_data")))).image.normalisation == "BatchNorm"
    assert anatomy(fc()).image.normalisation == ""


FEATURES = {
    "before the last FullyConnected": (lambda: mx.sym.SoftmaxOutput(fc(), name="softmax"), "flatten0", "fc1"),
    "behind Dropout": (lambda: mx.sym.softmax(fc(mx.sym.Dropout(backbone(), name="drop"))), "drop", "fc1"),
    "a softmax at a temperature that is written out": (lambda: mx.sym.softmax(fc() / 4), "flatten0", "fc1"),
    "a sigmoid": (lambda: mx.sym.sigmoid(fc()), "flatten0", "fc1"),
    "a product with a parameter": (lambda: mx.sym.softmax(mx.sym.broadcast_add(mx.sym.dot(backbone(), mx.sym.Variable(
        "w", shape=(4, 5)), name="product"), mx.sym.Variable("b", shape=(1, 5)))), "flatten0", "product"),
    "a 1x1 convolution as classifier": (
        lambda: mx.sym.softmax(mx.sym.Flatten(mx.sym.Pooling(conv(conv(), "conv1", kernel=(1, 1)), kernel=(1, 1),
                                                             global_pool=True, pool_type="avg"))), "conv0", "conv1"),
    "an embedding is its own feature": (lambda: mx.sym.BatchNorm(fc(), name="embedding"), "embedding", None),
}


@pytest.mark.parametrize("case", FEATURES)
def test_where_a_new_head_goes(case):
    make, feature, classifier = FEATURES[case]
    found = anatomy(make()).require_feature()
    assert (found.name, found.classifier) == (feature, classifier)


def test_probabilities_are_no_feature_to_stand_on():
    mean = mx.sym.mean(mx.sym.stack(*two(mx.sym.softmax)), axis=0)
    with pytest.raises(InputError, match="feature layer is not found: "):
        anatomy(mean).require_feature()


def test_no_feature_is_said_with_the_last_layers():
    with pytest.raises(InputError, match="feature layer is not found: .*name one with layer: "):
        anatomy(mx.sym.softmax(mx.sym.tanh(backbone(), name="end"))).require_feature()


def margin():
    embedding = mx.sym.BatchNorm(fc(), name="embedding")
    scores = mx.sym.FullyConnected(embedding, num_hidden=9, name="fc7")
    return embedding, scores - mx.sym.one_hot(LABEL, depth=9) * 0.5


def test_a_face_network_as_it_was_trained():
    embedding, scores = margin()
    beside = mx.sym.Group([mx.sym.BlockGrad(embedding), mx.sym.SoftmaxOutput(scores, LABEL, name="softmax")])
    behind = mx.sym.SoftmaxOutput(scores, LABEL, name="softmax")
    for symbol in (beside, behind):
        found = anatomy(symbol, softmax_label=(1,), data=(1, 3, 16, 16))
        assert found.is_face_training and found.require_embedding().name == "embedding"
    assert anatomy(beside, softmax_label=(1,), data=(1, 3, 16, 16)).output().kind == "embedding"


@pytest.mark.parametrize("make", [
    lambda: mx.sym.Group([mx.sym.BlockGrad(mx.sym.softmax(fc()), name="softmax"),
                          mx.sym.MakeLoss(mx.sym.sum(mx.sym.log_softmax(fc(name="fc2")), axis=1))]),
    lambda: mx.sym.Group([mx.sym.SoftmaxOutput(fc(name=name), name=f"{name}_softmax") for name in ("age", "sex")]),
    lambda: mx.sym.SoftmaxOutput(fc(), name="softmax"),
    lambda: (lambda logits: mx.sym.Group([mx.sym.BlockGrad(logits), mx.sym.SoftmaxOutput(logits)]))(fc()),
])
def test_two_outputs_alone_make_no_face_network(make):
    assert not anatomy(make()).is_face_training


def test_what_a_loss_subtracts_from_its_label_are_values_and_no_embedding():
    years = fc()
    loss = mx.sym.MakeLoss(mx.sym.smooth_l1(years - mx.sym.Variable("years_label"), scalar=1.0), name="loss")
    symbol = mx.sym.Group([mx.sym.BlockGrad(years, name="years"), loss])
    found = anatomy(symbol, years_label=(1, 4), data=(1, 3, 16, 16))
    assert not found.is_face_training and [each.kind for each in found.outputs] == ["values", "loss"]


def test_a_triplet_loss_leaves_its_embedding_one():
    rows = mx.sym.L2Normalization(fc(), name="embedding")
    apart = mx.sym.slice_axis(rows, axis=0, begin=0, end=1) - mx.sym.slice_axis(rows, axis=0, begin=1, end=2)
    loss = mx.sym.MakeLoss(mx.sym.sum(mx.sym.square(apart)), name="loss")
    found = anatomy(mx.sym.Group([mx.sym.BlockGrad(rows), loss]), data=(2, 3, 16, 16))
    assert found.is_face_training and found.output().name == "embedding"


def test_outputs_are_chosen_by_name_and_those_that_read_labels_do_not_serve():
    loss = mx.sym.MakeLoss(mx.sym.sum(mx.sym.one_hot(LABEL, depth=4) * fc(name="fc2"), axis=1), name="loss")
    symbol = mx.sym.Group([loss, mx.sym.BatchNorm(fc(), name="embedding"), mx.sym.softmax(fc(name="fc3"), name="kind")])
    found = anatomy(symbol, softmax_label=(1,), data=(1, 3, 16, 16))
    assert [output.name for output in found.served] == ["embedding", "kind"] and found.output().name == "kind"
    assert found.output("embedding_output").name == "embedding"
    with pytest.raises(InputError, match="expected one of embedding, kind, received output='kin'; nearest: kind"):
        found.output("kin")


def test_outputs_of_one_name_are_called_as_mxnet_calls_them():
    halves = mx.sym.SliceChannel(fc(), num_outputs=2, name="halves")
    found = anatomy(mx.sym.Group(list(halves)))
    assert [output.name for output in found.outputs] == ["halves_output0", "halves_output1"]
    assert found.output("halves_output1").position == 1
    twice = anatomy(mx.sym.Group([mx.sym.softmax(fc(name="a"), name="p"), mx.sym.softmax(fc(name="b"), name="p")]))
    assert [output.name for output in twice.outputs] == ["p_output", "p_output_1"]


def test_a_softmax_from_image_to_image_gives_no_probabilities():
    assert anatomy(mx.sym.softmax(fc(), axis=0)).output().kind == "values"
    assert anatomy(mx.sym.softmax(fc(), axis=-2)).output().kind == "values"


@pytest.mark.parametrize("make, layers", [
    (lambda: mx.sym.BatchNorm(conv(), name="bn"), {"bn"}),
    (lambda: mx.sym.contrib.SyncBatchNorm(conv(), ndev=1, key="k", name="bn"), {"bn"}),
    (lambda: mx.sym.IdentityAttachKLSparseReg(fc(), name="kl"), {"kl"}),
    (lambda: fc(), set()),
])
def test_states_that_move_are_told_by_what_writes_them(make, layers):
    assert {state.layer for state in anatomy(make()).states} == layers


def test_three_lines_and_all_of_it():
    found = anatomy(mx.sym.SoftmaxOutput(fc(mx.sym.Flatten(mx.sym.BatchNorm(conv(), name="bn"), name="flat")),
                                         name="softmax"), {"input": {"size": 16}})
    assert found.describe() == ("input: data, image, 3 channels, 16x16, NCHW\n"
                                "output: softmax, 4 probabilities\n"
                                "feature layer: flat, classifier fc1; 2 states of 1 layers move in training")
    assert json.loads(json.dumps(found.to_dict()))["states"][0] == {"name": "bn_moving_mean", "layer": "bn",
                                                                    "operator": "BatchNorm"}
    assert found.default_spec().shape == (3, 16, 16)


def test_probabilities_and_logits_of_each_kind():
    scores = np.array([[0.0, 2.0, -1.0]])

    def output(kind, link="identity", temperature=1.0, size=3):
        return Output("out", kind, 0, (0, 0), Link(link, temperature), size, ("data",))
    soft = np.exp(scores) / np.exp(scores).sum()
    np.testing.assert_allclose(output("logits").probabilities(scores), soft)
    np.testing.assert_allclose(output("log-probabilities", "log_softmax").probabilities(scores), soft)
    np.testing.assert_allclose(output("probabilities", "softmax", 2.0).logits(scores), scores / 2)
    np.testing.assert_allclose(output("independent probabilities", "sigmoid").probabilities(scores),
                               1 / (1 + np.exp(-scores)))
    np.testing.assert_allclose(output("independent probabilities", "sigmoid", size=1).logits(np.array([[3.0]])),
                               [[0.0, 3.0]])
    assert output("values").probabilities(scores) is None and output("class scores").logits(scores) is None
    np.testing.assert_allclose(output("log-probabilities").shown(np.log(soft)), soft)
    np.testing.assert_allclose(output("class scores").shown(scores), scores)
