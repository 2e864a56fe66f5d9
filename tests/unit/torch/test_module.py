"""A network as a torch.nn.Module: its names, inputs and outputs, its copies, its memory, and the way back."""
import copy
import pickle
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mxft.compat import mx  # noqa: E402
from mxft.errors import InputError  # noqa: E402
from mxft.network.checkpoint import Checkpoint  # noqa: E402
from mxft.network.graph import Graph  # noqa: E402
from mxft.torch import MXNetModule, from_torch, to_torch  # noqa: E402
from tests.unit.torch.plain_mxnet import outputs_of  # noqa: E402

IMAGES = np.random.RandomState(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
LABELS = np.float32([0, 2, 1, 1])


@pytest.fixture
def checkpoint(make_checkpoint):
    return make_checkpoint()


@pytest.fixture
def module(checkpoint):
    return to_torch(checkpoint)


def images():
    return torch.from_numpy(IMAGES)


def arrays_of(checkpoint):
    return {name: value.asnumpy() for name, value in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}


def small(named, names=()):
    """A module of ``data * scale``, or of another operator that reads these parameters."""
    net = mx.sym.broadcast_mul(mx.sym.var("data"), mx.sym.var(named), name="product")
    return Checkpoint(net, {named: mx.nd.array([[2, 3]])}, {})


def test_the_state_dict_has_the_checkpoints_names_and_numbers(checkpoint, module):
    own = arrays_of(checkpoint)
    assert {name for name, _ in module.named_parameters()} == set(checkpoint.arg_params)
    assert {name for name, _ in module.named_buffers()} == set(checkpoint.aux_params) != set()
    assert set(module.state_dict()) == set(own)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), own[name], err_msg=name)


def test_it_begins_in_evaluation_and_tells_its_inputs_and_outputs(module):
    assert not module.training and module.inputs == ("data", "softmax_label") and module.outputs == 1
    assert "inputs: data, softmax_label; 7 operators" in repr(module)


def test_outputs_are_mxnets_by_place_and_by_name(checkpoint, module):
    expected, = outputs_of(checkpoint, {"data": IMAGES, "softmax_label": LABELS})
    for output in (module(images()), module(data=images()), module(images(), softmax_label=None),
                   module(images(), torch.from_numpy(LABELS))):
        np.testing.assert_allclose(output.detach().numpy(), expected, rtol=1e-5, atol=1e-6)


def test_a_label_that_is_left_out_gives_the_softmax_own_gradient_and_one_that_is_given_the_losses(module):
    module.train()
    gradients = []
    for label in (None, torch.from_numpy(LABELS)):
        module.zero_grad()
        module(images(), label).sum().backward()
        gradients.append(module.fc1_bias.grad.abs().max().item())
    assert gradients[0] < 1e-6 < 0.1 < gradients[1]  # probabilities add up to 1: their sum has no slope


@pytest.mark.parametrize("inputs, named, received", [
    ((1, 2, 3), {}, "number 1, number 2, number 3"), ((1,), {"image": 1}, "number 1, image"),
    ((1,), {"data": 1}, "number 1, data")])
def test_arrays_for_no_input_are_refused(module, inputs, named, received):
    with pytest.raises(InputError, match=f"expected the inputs data, softmax_label, each once, received {received}$"):
        module(*[images() for _ in inputs], **{name: images() for name in named})


def test_no_array_at_all_is_refused(module):
    with pytest.raises(InputError, match="expected the inputs data, softmax_label, received none"):
        module()


def test_training_moves_the_statistics_and_evaluation_does_not(module):
    before = module.state_dict()["bn0_moving_mean"].clone()
    module(images())
    assert torch.equal(module.bn0_moving_mean, before)
    module.train()(images())
    assert not torch.equal(module.bn0_moving_mean, before)


def test_a_dotted_name_is_a_submodules_parameter_under_the_same_name():
    module = to_torch(small("layer1.0.scale"))
    assert list(module.state_dict()) == ["layer1.0.scale"] and dict(module.named_modules()).keys() >= {"layer1.0"}
    assert module(torch.ones(1, 2)).tolist() == [[2, 3]]
    module.load_state_dict({"layer1.0.scale": torch.tensor([[5., 7.]])})
    assert module(torch.ones(1, 2)).tolist() == [[5, 7]]


@pytest.mark.parametrize("name", ["training", "inputs", "outputs", "forward", "_heads", "a..b", "a.", "forward.b"])
def test_a_name_that_pytorch_reserves_is_refused(name):
    with pytest.raises(InputError, match=f"torch: expected a parameter's name that PyTorch allows, received {name} "):
        to_torch(small(name))


def test_a_parameter_and_a_layer_of_one_name_are_refused():
    net = mx.sym.broadcast_mul(mx.sym.broadcast_mul(mx.sym.var("data"), mx.sym.var("a")), mx.sym.var("a.b"))
    with pytest.raises(InputError, match="expected a parameter's name that PyTorch allows, received a.b "):
        to_torch(Checkpoint(net, {"a": mx.nd.ones(1), "a.b": mx.nd.ones(1)}, {}))


def test_an_operator_without_a_function_is_refused_by_name():
    net = mx.sym.khatri_rao(mx.sym.var("data"), mx.sym.var("other"), name="product")
    with pytest.raises(InputError, match="torch: expected an operator that has a PyTorch function, received khatri_rao "
                                         "product; "):
        to_torch(Checkpoint(net, {}, {}))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))],
                         ids=["deepcopy", "pickle"])
def test_a_copy_computes_the_same_and_is_its_own(module, copied):
    other = copied(module)
    assert torch.equal(other(images()), module(images()))
    with torch.no_grad():
        other.fc1_weight.mul_(2)
    assert not torch.equal(other(images()), module(images()))


def test_torch_save_and_load_keep_the_whole_module(module, tmp_path):
    torch.save(module, tmp_path / "module.pt")
    other = torch.load(tmp_path / "module.pt", weights_only=False)
    assert torch.equal(other(images()), module(images()))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "error::torch.jit.TracerWarning")
def test_a_trace_computes_the_same_for_another_batch(module):
    traced = torch.jit.trace(module, images())
    other = torch.from_numpy(IMAGES[:-2].copy())
    assert torch.equal(traced(other), module(other))


@pytest.mark.long
def test_the_compiler_takes_the_whole_graph(module):
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    with torch.no_grad():
        assert torch.equal(compiled(images()), module(images()))


@pytest.mark.long
def test_the_compiler_takes_a_step_of_training(module):
    twin = copy.deepcopy(module.train())
    compiled = torch.compile(module, backend="aot_eager")
    for one in (compiled, twin):
        one(images(), torch.from_numpy(LABELS)).sum().backward()
    for (name, own), (_, other) in zip(module.named_parameters(), twin.named_parameters()):
        torch.testing.assert_close(own.grad, other.grad, msg=name)
    assert torch.equal(module.bn0_moving_var, twin.bn0_moving_var)


@pytest.mark.long
def test_compiled_code_computes_the_same(module):
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(module)(images()), module(images()))


def test_the_way_back_keeps_every_bit(checkpoint, module):
    assert_same_arrays(from_torch(module, checkpoint), checkpoint)


def assert_same_arrays(found, expected):
    assert list(found.arg_params) == list(expected.arg_params) and list(found.aux_params) == list(expected.aux_params)
    for name, value in arrays_of(expected).items():
        assert arrays_of(found)[name].tobytes() == value.tobytes(), name


@pytest.fixture
def group(tmp_path):
    """A group of processes with this one alone in it."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'meeting'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_what_a_wrapper_puts_before_the_names_is_left_out(checkpoint, module, group):
    parallel = torch.nn.parallel.DistributedDataParallel(module)
    assert all(name.startswith("module.") for name in parallel.state_dict())
    assert_same_arrays(from_torch(parallel, checkpoint), checkpoint)


@pytest.mark.long
def test_what_the_compiler_puts_before_the_names_is_left_out(checkpoint, module, group):
    compiled = torch.compile(module)
    assert_same_arrays(from_torch(compiled, checkpoint), checkpoint)
    both = torch.nn.parallel.DistributedDataParallel(compiled)
    assert all(name.startswith("module._orig_mod.") for name in both.state_dict())
    assert_same_arrays(from_torch(both.state_dict(), checkpoint), checkpoint)


@pytest.mark.parametrize("change, message", [
    (lambda values: values.pop("fc1_bias"), "expected every array of the checkpoint, received none called fc1_bias; "
                                            "a network that was cut at a layer lacks those behind it"),
    (lambda values: values.update(more=np.zeros(1)), "expected no other arrays than the checkpoint's, received more"),
    (lambda values: values.update(fc1_bias=np.zeros(4)), r"expected fc1_bias of shape \(3,\), received \(4,\)")])
def test_other_arrays_than_the_checkpoints_are_refused(checkpoint, module, change, message):
    values = dict(module.state_dict())
    change(values)
    with pytest.raises(InputError, match=f"^torch: {message}$"):
        from_torch(values, checkpoint)


def test_two_outputs_are_a_tuple_in_the_symbols_order(make_face_checkpoint):
    checkpoint = make_face_checkpoint(num_classes=5)
    faces = np.random.RandomState(1).uniform(0, 255, (2, 3, 16, 16)).astype(np.float32)
    module = to_torch(checkpoint)
    found = module(torch.from_numpy(faces))
    expected = outputs_of(checkpoint, {"data": faces, "softmax_label": np.zeros(2, np.float32)})
    assert isinstance(found, tuple) and module.outputs == len(found) == 2
    for own, other in zip(found, expected):
        np.testing.assert_allclose(own.detach().numpy(), other, rtol=1e-5, atol=1e-5)


def test_one_array_may_be_two_outputs():
    data = mx.sym.var("data")
    module = to_torch(Checkpoint(mx.sym.Group([data, mx.sym.relu(data), data]), {}, {}))
    assert [value.tolist() for value in module(torch.tensor([-1., 2.]))] == [[-1, 2], [0, 2], [-1, 2]]


def test_an_array_is_freed_when_nothing_will_read_it(monkeypatch):
    net, alive, most = mx.sym.var("data"), weakref.WeakSet(), []
    for _ in range(6):
        net = mx.sym.sqrt(net)
    net = net + mx.sym.var("data")
    module = to_torch(Checkpoint(net, {}, {}))

    def watched(function):
        def run(*arguments):
            result = function(*arguments)
            alive.add(result)
            most.append(len(alive))
            return result
        return run

    monkeypatch.setattr(module, "_functions", [watched(function) for function in module._functions])
    with torch.no_grad():
        module(torch.rand(2, 2))
    assert len(most) == 7 and max(most) <= 2


def test_an_array_made_of_nothing_follows_the_inputs_device():
    net = mx.sym.broadcast_add(mx.sym.var("data"), mx.sym.zeros((1, 2)))
    module = to_torch(Checkpoint(net, {}, {}))
    assert module(torch.ones(3, 2)).tolist() == [[1, 1]] * 3
    assert module.to("meta")(torch.ones(3, 2, device="meta")).device.type == "meta"


def test_a_module_is_made_of_a_graph_and_arrays_alone():
    graph = Graph(mx.sym.FullyConnected(mx.sym.var("data"), num_hidden=1, no_bias=True, name="fc"))
    weight = np.float32([[1, 2]])
    module = MXNetModule(graph, {"fc_weight": weight}, {})
    weight[:] = 0  # it has a copy
    assert module(torch.ones(1, 2)).tolist() == [[3]]
