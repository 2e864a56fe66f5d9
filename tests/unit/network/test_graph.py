"""A symbol as plain nodes, and back, also where nodes share a name."""
import json

import numpy as np
import pytest

from mxft.compat import mx
from mxft.network.graph import Graph, first_outputs, internal_output


def forward(symbol, data, **parameters):
    executor = symbol.simple_bind(mx.cpu(), data=data.shape, grad_req="null")
    executor.copy_params_from({name: mx.nd.array(value) for name, value in parameters.items()})
    return executor.forward(data=mx.nd.array(data))[0].asnumpy()


def data(*shape, seed=0):
    return np.random.RandomState(seed).normal(size=shape).astype(np.float32)


@pytest.fixture
def net():
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 1), num_filter=2, no_bias=True, name="conv0")
    return mx.sym.FullyConnected(mx.sym.Activation(net, act_type="relu", name="relu0"), num_hidden=3, name="fc1")


def test_nodes_stand_in_order_with_inputs_and_attributes(net):
    graph = Graph(net)
    assert [node.name for node in graph.nodes] == ["data", "conv0_weight", "conv0", "relu0", "fc1_weight", "fc1_bias",
                                                  "fc1"]
    assert [node.name for node in graph.operators()] == ["conv0", "relu0", "fc1"]
    conv0 = graph.nodes[2]
    assert conv0.inputs == [(0, 0), (1, 0)] and conv0.numbers("kernel") == (3, 1) and conv0.flag("no_bias")
    assert not conv0.flag("no_such_flag") and conv0.numbers("stride", (1, 1)) == (1, 1)
    assert graph.heads == [(6, 0)]


@pytest.mark.parametrize("text, numbers", [("(3, 3)", (3, 3)), ("(3L, 1L)", (3, 1)), ("[2,2]", (2, 2)), ("(7,)", (7,)),
                                           ("5", (5,)), ("()", (9,))])
def test_tuples_are_read_in_every_spelling_mxnet_has_saved(net, text, numbers):
    node = Graph(net).nodes[2]
    node.attrs["kernel"] = text
    assert node.numbers("kernel", (9,)) == numbers


def test_consumers_ancestors_and_variables(net):
    graph = Graph(net)
    assert [node.name for node in graph.consumers()[2]] == ["relu0"]
    assert graph.consumers()[6] == []
    assert graph.ancestors(3) == {0, 1, 2, 3}
    assert graph.variables_of(graph.nodes[6]) == ["fc1_weight", "fc1_bias"]
    assert graph.variables_of(graph.nodes[6], named_in={"fc1_bias"}) == ["fc1_bias"]


def test_a_symbol_survives_the_way_to_nodes_and_back(net):
    again = Graph(net).to_symbol()
    assert again.list_arguments() == net.list_arguments() and again.list_outputs() == net.list_outputs()
    parameters = {"conv0_weight": data(2, 3, 3, 1), "fc1_weight": data(3, 2 * 4 * 6), "fc1_bias": data(3)}
    np.testing.assert_array_equal(forward(again, data(2, 3, 6, 6), **parameters),
                                  forward(net, data(2, 3, 6, 6), **parameters))


def test_an_attribute_is_set_on_the_copy_only(net):
    before, graph = net.tojson(), Graph(net)
    graph.set_attr(graph.nodes[3], "act_type", "sigmoid")
    assert net.tojson() == before
    assert json.loads(graph.to_symbol().tojson())["nodes"][3]["attrs"]["act_type"] == "sigmoid"


def test_an_operator_is_inserted_on_one_edge_and_every_index_follows(net):
    graph = Graph(net)
    fc1 = graph.operators()[-1]
    graph.insert_on_edge(fc1, 0, "Flatten", "flat")
    assert [node.name for node in graph.nodes][-2:] == ["flat", "fc1"]
    assert all(node is graph.nodes[node.index] for node in graph.nodes)
    again = graph.to_symbol()
    assert again.list_arguments() == net.list_arguments()
    parameters = {"conv0_weight": data(2, 3, 3, 1), "fc1_weight": data(3, 2 * 4 * 6), "fc1_bias": data(3)}
    np.testing.assert_array_equal(forward(again, data(1, 3, 6, 6), **parameters),
                                  forward(net, data(1, 3, 6, 6), **parameters))


def test_inserting_leaves_the_other_readers_of_the_same_output_alone():
    x = mx.sym.Activation(mx.sym.Variable("data"), act_type="relu", name="relu0")
    net = mx.sym.Flatten(x, name="left") - mx.sym.Flatten(x, name="right")
    graph = Graph(net)
    graph.insert_on_edge(next(n for n in graph.nodes if n.name == "right"), 0, "negative", "minus")
    image = np.abs(data(1, 2, 2, 2))
    np.testing.assert_allclose(forward(graph.to_symbol(), image), 2 * image.reshape(1, 8))


def same_name_twice():
    """A Caffe or ONNX conversion's way: a Convolution and its Flatten share a name."""
    net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(1, 1), num_filter=2, no_bias=True, name="pre")
    return mx.sym.FullyConnected(mx.sym.Flatten(net, name="pre"), num_hidden=3, name="fc1")


def operator_named_like_its_variable():
    net = mx.sym.identity(mx.sym.Variable("data"), name="data")
    return mx.sym.FullyConnected(mx.sym.Flatten(net, name="data"), num_hidden=3, name="fc1")


def several_outputs_then_the_same_name():
    halves = mx.sym.SliceChannel(mx.sym.Variable("data"), num_outputs=2, name="half")
    return mx.sym.FullyConnected(mx.sym.Flatten(halves[1], name="half"), num_hidden=3, name="fc1")


@pytest.mark.parametrize("build", [same_name_twice, operator_named_like_its_variable,
                                   several_outputs_then_the_same_name])
def test_each_nodes_output_is_found_though_names_repeat(build):
    net = build()
    nodes, internals, positions = Graph(net).nodes, net.get_internals(), first_outputs(net)
    assert [internals[position].name for position in positions] == [node.name for node in nodes]
    for node in nodes:  # cut out by itself, a node is the last of its own graph, and of the same operator
        alone = Graph(internal_output(net, node.index)).nodes[-1]
        assert (alone.name, alone.op, len(alone.inputs)) == (node.name, node.op, len(node.inputs))


@pytest.mark.data
def test_every_published_graph_has_one_first_output_a_node(testdata):
    from mxft.network.checkpoint import load_symbol
    for path in sorted(testdata.rglob("*-symbol.json")):
        symbol = load_symbol(str(path))
        nodes, internals = Graph(symbol).nodes, symbol.get_internals()
        assert [internals[i].name for i in first_outputs(symbol)] == [node.name for node in nodes], path
