"""The allow-list of operators: what computes is on it, what runs code, reads files or writes its inputs is not."""
import re

import pytest

from mxft.compat import mx
from mxft.network.operators import ALLOWED, find_operator, signature_of

# an address called as a function, Python, files, a device, other graphs, own kernels, inputs that are written to,
# places in memory that numbers decide
DANGEROUS = ["_Native", "_NDArray", "Custom", "_CustomFunction", "_cvimread", "_cvimdecode", "_cvimresize",
             "_cvcopyMakeBorder", "_foreach", "_while_loop", "_cond", "_CachedOp", "_CrossDeviceCopy", "_set_value",
             "_NoGradient", "scatter_nd", "_contrib_index_copy", "fill_element_0index", "_contrib_ROIAlign",
             "_contrib_RROIAlign", "_contrib_PSROIPooling", "_contrib_DeformablePSROIPooling",
             "_contrib_MultiProposal", "_contrib_box_encode", "_identity_with_attr_like_rhs_backward", "cast_storage"]


def test_every_name_on_the_list_is_an_operator_under_its_own_name():
    for name in ALLOWED:
        assert find_operator(name).name == name, name


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_does_more_than_compute_is_not_on_the_list(name):
    found = find_operator(name)
    assert found is None or found.name not in ALLOWED


def test_whole_families_are_not_on_the_list():
    """Of all operators: updates write into weights, subgraph and DGL operators run graphs of their own."""
    families = re.compile(r"_update|^_sg_|_backward|^_contrib_dgl|^_np[xi]?_(?!cumsum)|^_image_|^_contrib_quantiz|"
                          r"^multi_|^_cv|^_random_pdf|^_sparse|^_sample_unique")
    real = {find_operator(name).name for name in mx.operator.get_all_registered_operators()}
    dangerous = {name for name in real if families.search(name)}
    assert len(dangerous) > 100 and not dangerous & ALLOWED


@pytest.mark.parametrize("alias, name", [("Softmax", "SoftmaxOutput"), ("flatten", "Flatten"), ("identity", "_copy"),
                                         ("concat", "Concat"), ("ElementWiseSum", "add_n"), ("_Plus", "elemwise_add")])
def test_an_alias_is_found_under_the_name_mxnet_saves(alias, name):
    assert find_operator(alias).name == name and name in ALLOWED


@pytest.mark.parametrize("name", ["", "no such operator", "Convolution ", "ä", "x" * 1000, "Convolution\n"])
def test_what_is_no_operator_is_none(name):
    assert find_operator(name) is None


def test_what_mxnet_says_of_an_operator():
    found = find_operator("Convolution")
    assert found.inputs == ("data", "weight", "bias") and not found.takes_any_number
    assert found.attributes["num_filter"].endswith("required") and "kernel" in found.attributes
    assert find_operator("Concat").takes_any_number and find_operator("Concat").inputs == ("data",)


@pytest.mark.parametrize("name, attributes, expected", [
    ("BatchNorm", {}, (("data", "gamma", "beta", "moving_mean", "moving_var"), 1)),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4"}, (("data", "weight", "bias"), 1)),
    ("Convolution", {"kernel": "(3, 3)", "num_filter": "4", "no_bias": "1"}, (("data", "weight"), 1)),
    ("SliceChannel", {"num_outputs": "3"}, (("data",), 3)),
    ("LeakyReLU", {"act_type": "prelu"}, (("data", "gamma"), 1)),
    ("Concat", {"num_args": "2"}, (("arg0", "arg1"), 1)), ("_zeros", {"shape": "(1, 2)"}, ((), 1)),
])
def test_a_signature_follows_the_attributes(name, attributes, expected):
    assert signature_of(name, tuple(sorted(attributes.items()))) == expected


@pytest.mark.parametrize("name, attributes, reason", [
    ("Convolution", {"kernel": "(3, 3)"}, "num_filter"), ("Convolution", {"kernel": "x", "num_filter": "4"}, "kernel"),
    ("Activation", {"act_type": "no"}, "act_type"), ("Activation", {"act_type": "relu", "strange": "1"}, "strange"),
])
def test_what_mxnet_refuses_is_told_in_its_words(name, attributes, reason):
    with pytest.raises(ValueError, match=reason):
        signature_of(name, tuple(sorted(attributes.items())))
