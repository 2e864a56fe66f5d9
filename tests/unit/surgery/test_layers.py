"""The list of layers: short where it is printed, a table in a notebook."""
from mxft.surgery import list_layers
from tests.support.notebooks import html_of


def test_layers_show_themselves_in_a_line_and_as_a_table(make_checkpoint):
    layers = list_layers(make_checkpoint(3).symbol, (3, 8, 8))
    assert repr(layers) == "<7 layers, conv0 to softmax, 213 parameters>" and repr(layers[0]).startswith("Layer(name=")
    assert "<th>conv0</th><td>Convolution</td><td>6 × 8 × 8</td><td>168</td>" in html_of(layers)
    assert repr(layers[-2:]).startswith("[Layer(name='fc1'") and html_of(layers[:3]).count("<tr>") == 4
