"""Layers that go back to float32: found by bisection, as many as are needed, none that is not."""
import pytest

from mxft.errors import RunError
from mxft.quantization.choosing import Verdict, choose_layers
from mxft.quantization.search import layer_to_leave_out

LAYERS = [f"conv{number}" for number in range(16)]


def costs(**of):
    return {layer: of.get(layer, 0.01) for layer in LAYERS}


def noise_of(cost):
    return lambda kept: sum(value for layer, value in cost.items() if layer not in kept)


@pytest.mark.parametrize("worst", ["conv0", "conv7", "conv15"])
def test_the_dearest_layer_is_found(worst):
    calls = []
    cost = noise_of(costs(**{worst: 1}))
    assert layer_to_leave_out(lambda kept: calls.append(kept) or cost(kept), LAYERS, []) == worst
    assert len(calls) == 8  # two for each of four halvings


def test_layers_in_float32_already_are_not_found_again():
    assert layer_to_leave_out(noise_of(costs(conv3=1, conv9=0.5)), LAYERS, ["conv3"]) == "conv9"


class Network:
    layers = tuple(LAYERS)

    def __init__(self, cost):
        self.cost = cost

    def noise(self, ranges, kept):
        return noise_of(self.cost)(kept)

    def first_layers(self, kept):
        return ()


def judged(cost, limit):
    def judge(kept):
        noise = noise_of(cost)(kept)
        return Verdict(noise <= limit, f"noise {noise:.2f}", {"noise": noise})
    return judge


def test_nothing_goes_back_where_int8_is_good_enough():
    cost, told = costs(), []
    kept, verdict = choose_layers(Network(cost), {}, judged(cost, 1), told.append)
    assert kept == () and verdict.passed
    assert told == ["16 layers in int8: noise 0.16"]


def test_layers_go_back_until_it_is():
    cost, told = costs(conv3=1, conv9=0.5), []
    kept, verdict = choose_layers(Network(cost), {}, judged(cost, 0.2), told.append)
    assert set(kept) == {"conv3", "conv9"} and verdict.figures["noise"] <= 0.2
    assert told[1].startswith("  conv0, conv1 in float32: noise") and told[2].startswith("  conv3 in float32: noise")


def test_the_layers_nearest_the_image_are_tried_first():
    network = Network(costs(conv0=1, conv1=1))
    network.noise = None  # nothing is searched
    kept, _ = choose_layers(network, {}, judged(network.cost, 0.2))
    assert kept == ("conv0", "conv1")
    kept, _ = choose_layers(network, {}, judged(network.cost, 1.2))
    assert kept == ("conv1",)


def test_what_a_later_layer_made_needless_is_taken_back():
    """conv3 makes most noise and is found first; what the accuracy hangs on is conv9."""
    def noise(ranges, kept):
        return 5 - 2 * ("conv3" in kept) - ("conv9" in kept)

    network = Network({})
    network.noise = noise
    kept, _ = choose_layers(network, {}, lambda kept: Verdict("conv9" in kept, "", {}))
    assert kept == ("conv9",)


def test_more_than_a_quarter_of_the_layers_is_refused():
    cost = dict.fromkeys(LAYERS, 1)
    with pytest.raises(RunError, match="int8 is not kept: expected the accuracy asked for with at most 4 of 16 layers "
                                       "in float32, received noise 12.00; allow more with max_drop or min_cosine, try "
                                       "another method, or compute in bfloat16, precision='bf16'"):
        choose_layers(Network(cost), {}, judged(cost, 2))


def test_a_first_layer_that_float32_alone_reads_goes_back_too_where_it_is_good_enough():
    network = Network(costs(conv1=1))
    network.first_layers = lambda kept: ("conv0",) if "conv1" in kept else ()
    kept, _ = choose_layers(network, {}, judged(network.cost, 0.2))
    assert kept == ("conv1", "conv0")
    kept, _ = choose_layers(network, {}, lambda kept: Verdict("conv1" in kept and "conv0" not in kept, "", {}))
    assert kept == ("conv1",)
