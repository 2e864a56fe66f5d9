"""The feature layer of one classifier of every family in the two Gluon zoos, traced without weights."""
import pytest

from mxft.backbones.gluon import BUILT_BY, build, checkpoint_from_gluon, trace
from mxft.compat import load_gluoncv, mx
from mxft.errors import InputError
from mxft.network.graph import Graph
from mxft.surgery import attach_head, find_feature_layer

# (store, name, operator of the feature layer, of the classifier, numbers in the feature), and what is not usual.
FAMILIES = [
    ("gluoncv", "alexnet", "Dropout", "FullyConnected", 4096),
    ("gluoncv", "cifar_resnet20_v1", "Pooling", "FullyConnected", 64),
    ("gluoncv", "cifar_resnet20_v2", "Flatten", "FullyConnected", 64),
    ("gluoncv", "cifar_resnext29_16x64d", "Pooling", "FullyConnected", 1024),
    ("gluoncv", "cifar_wideresnet16_10", "Flatten", "FullyConnected", 640),
    ("gluoncv", "darknet53", "Pooling", "FullyConnected", 1024),
    ("gluoncv", "densenet121", "Flatten", "FullyConnected", 1024),
    ("gluoncv", "dla34", "Concat", "FullyConnected", 1008),  # the averages of all six levels side by side
    ("gluoncv", "googlenet", "Dropout", "FullyConnected", 1024),
    ("gluoncv", "hrnet_w18_small_v1_cls", "Pooling", "FullyConnected", 2048),
    ("gluoncv", "inceptionv3", "Dropout", "FullyConnected", 2048),
    ("gluoncv", "mobilenet0.25", "Flatten", "FullyConnected", 256),
    ("gluoncv", "mobilenetv2_0.25", "Pooling", "Convolution", 1280),
    ("gluoncv", "mobilenetv3_small", "Dropout", "Convolution", 1280),
    ("gluoncv", "resnest14", "Flatten", "FullyConnected", 2048),
    ("gluoncv", "resnet18_v1", "Pooling", "FullyConnected", 512),
    ("gluoncv", "resnet18_v2", "Flatten", "FullyConnected", 512),
    ("gluoncv", "resnet18_v1b", "Flatten", "FullyConnected", 512),
    ("gluoncv", "resnet50_v1c", "Flatten", "FullyConnected", 2048),
    ("gluoncv", "resnet50_v1d", "Flatten", "FullyConnected", 2048),
    ("gluoncv", "resnet50_v1d_8.8x", "Flatten", "FullyConnected", 784),  # pruned
    ("gluoncv", "resnet50_v1s", "Flatten", "FullyConnected", 2048),
    ("gluoncv", "resnext50_32x4d", "Pooling", "FullyConnected", 2048),
    ("gluoncv", "se_resnext50_32x4d", "Pooling", "FullyConnected", 2048),
    ("gluoncv", "senet_154", "Dropout", "FullyConnected", 2048),
    ("gluoncv", "squeezenet1.1", "Dropout", "Convolution", 512),  # averaged behind the classifier
    ("gluoncv", "vgg11_bn", "Dropout", "FullyConnected", 4096),
    ("gluoncv", "xception", "Flatten", "FullyConnected", 2048),
    ("mxnet", "alexnet", "Dropout", "FullyConnected", 4096),
    ("mxnet", "densenet121", "Flatten", "FullyConnected", 1024),
    ("mxnet", "inceptionv3", "Dropout", "FullyConnected", 2048),
    ("mxnet", "mobilenet0.25", "Flatten", "FullyConnected", 256),
    ("mxnet", "mobilenetv2_0.25", "Pooling", "Convolution", 1280),
    ("mxnet", "resnet18_v1", "Pooling", "FullyConnected", 512),
    ("mxnet", "resnet18_v2", "Flatten", "FullyConnected", 512),
    ("mxnet", "squeezenet1.0", "Dropout", "Convolution", 512),
    ("mxnet", "vgg11", "Dropout", "FullyConnected", 4096),
]


@pytest.mark.parametrize("store, name, feature_op, classifier_op, width", FAMILIES, ids=[f"{s}:{n}" for s, n, *_ in
                                                                                      FAMILIES])
def test_the_feature_is_what_the_classifier_reads_and_takes_a_new_head(store, name, feature_op, classifier_op, width):
    symbol = trace(build(name, store=store))
    graph, found = Graph(symbol), find_feature_layer(symbol)
    last = [node for node in graph.operators() if node.op in ("FullyConnected", "Convolution")][-1]
    assert (graph.nodes[found.index].op, last.op) == (feature_op, classifier_op)
    assert found.classifier == last.name and last.inputs[0][0] == found.index and found.discarded == ()
    assert found.pooled_after == name.startswith("squeezenet")
    head = attach_head(symbol, 7)
    size = 32 if name.startswith("cifar") else 299 if name in ("inceptionv3", "xception") else 224
    shapes, outputs, _ = head.symbol.infer_shape(data=(2, 3, size, size))
    assert dict(zip(head.symbol.list_arguments(), shapes))["fc1_weight"] == (7, width)
    assert outputs == [(2, 7)]
    assert last.name + "_weight" not in head.symbol.list_arguments()


def test_group_normalization_of_gluoncv_cannot_be_traced_and_is_refused():
    with pytest.raises(InputError, match="cannot convert resnetv1b: expected layers that can be traced to a symbol, "
                                         "received one that cannot \\(MXNetError: Invalid Parameter format"):
        checkpoint_from_gluon("resnet50_v1b_gn", store="gluoncv")


def test_files_called_otherwise_than_their_functions_are_built_by_them():
    load_gluoncv()
    from gluoncv.model_zoo import model_store, model_zoo
    stores = {"gluoncv": (model_store._model_sha1, model_zoo._models),
              "mxnet": (mx.gluon.model_zoo.model_store._model_sha1, vars(mx.gluon.model_zoo.vision))}
    for store, files in BUILT_BY.items():
        known, functions = stores[store]
        assert set(files) <= set(known) and set(files.values()) <= set(functions)


@pytest.fixture
def pruned(tmp_path):
    """The file of a pruned ResNet as GluonCV saves it, and the network it was saved from."""
    net = build("resnet18_v1b_2.6x", store="gluoncv")
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 32, 32))).wait_to_read()  # oneDNN reorders weights in place while it computes
    path = str(tmp_path / "pruned.params")
    mx.nd.save(path, {"resnetv1d_" + name[len(net.prefix):]: value.data()
                      for name, value in net.collect_params().items()})
    return path, net


def test_a_pruned_resnets_file_has_full_names_of_another_prefix(pruned):
    path, net = pruned
    checkpoint = checkpoint_from_gluon("resnet18_v1b_2.6x", path, input_size=32)
    values = {**checkpoint.arg_params, **checkpoint.aux_params}
    assert all((values[name].asnumpy() == value.data().asnumpy()).all() for name, value in net.collect_params().items())


def test_a_pruned_resnets_file_of_another_network_is_refused(pruned):
    with pytest.raises(InputError, match="pruned.params does not fit resnet50_v1d_8.8x: expected its parameters, "
                                         "received resnetv1d_batchnorm1_beta missing where it has \\(8,\\)"):
        checkpoint_from_gluon("resnet50_v1d_8.8x", pruned[0], input_size=32)
