"""Training in bfloat16: which layers compute in it, how near its steps are to float32's, and what stays bit for bit."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import InputError
from mxft.faces.data.layout import read_face_set
from mxft.faces.train import train_faces
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.heads import HeadOptions, make_head
from mxft.machine.processor import cpu_flags
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.options import FreezeOptions
from mxft.rewrite import rewrite_for_training
from mxft.training.bfloat16 import LEAST_SHARE, bfloat16_for_training, bfloat16_layers, share_in_bfloat16
from mxft.training.fit import FitOptions
from mxft.training.precision import check_precision
from mxft.training.recipe import Recipe
from mxft.training.resume.snapshots import Snapshots
from mxft.training.resume.state import Keeping
from mxft.training.run import read_log
from mxft.workflows.finetune import finetune
from tests.support.images import banded
from tests.support.killing import killed_after

SPEC = InputSpec((3, 8, 8))
SHAPES = {"data": (4, 3, 8, 8)}
needs_bfloat16 = pytest.mark.skipif("avx512_bf16" not in cpu_flags(), reason="the CPU has no avx512_bf16")


def convolution(net, name, filters, kernel=1, groups=1):
    net = mx.sym.Convolution(net, kernel=(kernel,) * 2, pad=(kernel // 2,) * 2, num_filter=filters, num_group=groups,
                             no_bias=True, name=name)
    return mx.sym.BatchNorm(net, fix_gamma=False, name=name + "_bn")


@pytest.fixture
def network(random_parameters):
    """A Checkpoint with a layer of each kind that is chosen, and of some that are not."""
    net = mx.sym.Activation(convolution(mx.sym.Variable("data"), "conv0", 16, 3), act_type="relu", name="relu0")
    side = convolution(mx.sym.LeakyReLU(net, act_type="prelu", name="prelu0"), "narrow", 8)
    deep = mx.sym.Activation(convolution(net, "depthwise", 16, 3, 16), act_type="relu", name="relu1")
    net = mx.sym.elemwise_add(convolution(deep, "conv1", 16), net, name="sum0")
    net = mx.sym.Concat(net, convolution(net, "conv2", 32), name="concat0")
    net = mx.sym.Pooling(net, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool0")
    side = mx.sym.Pooling(side, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool1")
    net = mx.sym.Pooling(mx.sym.Concat(net, side, name="concat1"), global_pool=True, kernel=(1, 1), pool_type="avg")
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten0"), num_hidden=3, name="fc1")
    net = mx.sym.SoftmaxOutput(net, name="softmax")
    return Checkpoint(net, *random_parameters(net, (3, 8, 8), 1))


def in_bfloat16(symbol):
    """Return the names of the layers that compute in bfloat16: those that read a cast to it, or one of them."""
    graph, chosen = Graph(symbol), set()
    for node in graph.operators():
        sources = [graph.nodes[i] for i, _ in node.inputs]
        if node.op == "amp_cast":
            chosen |= {node.index} if node.attrs["dtype"] == "bfloat16" else set()
        elif sources and sources[0].index in chosen:
            chosen.add(node.index)
    return {graph.nodes[i].name for i in chosen if graph.nodes[i].op != "amp_cast"}


def test_layers_with_a_kernel_for_it_compute_in_bfloat16_and_no_others(network):
    full = network.symbol
    before = full.tojson()
    half = bfloat16_layers(full, SHAPES)
    assert in_bfloat16(half) == {
        "conv0", "conv0_bn", "relu0", "depthwise", "depthwise_bn", "relu1", "conv1", "conv1_bn", "sum0", "conv2",
        "conv2_bn", "concat0", "pool0"}
    assert half.list_arguments() == full.list_arguments() and half.list_outputs() == full.list_outputs()
    assert half.list_auxiliary_states() == full.list_auxiliary_states() and full.tojson() == before
    kinds = half.infer_type(data=np.float32, softmax_label=np.float32)
    assert {kind for group in kinds for kind in group} == {np.float32}
    assert dict(zip(half.list_arguments(), half.infer_shape(**SHAPES)[0])) == dict(
        zip(full.list_arguments(), full.infer_shape(**SHAPES)[0]))


@pytest.mark.parametrize("name, size, gains", [
    ("models/mobilenet-v2-1.0", 64, True), ("symbols/resnet-18", 64, True), ("symbols/resnet-50", 64, True),
    ("models/mobilefacenet-y1/model", 112, True), ("models/mobilenet-v1-0.25", 128, True),
    ("symbols/inception-bn", 224, False)])
def test_auto_takes_the_networks_that_are_mostly_multiplied_in_bfloat16(name, size, gains, testdata, monkeypatch):
    monkeypatch.setattr("mxft.inference.bfloat16.cpu_flags", lambda: frozenset(["avx512f", "avx512_bf16"]))
    symbol = rewrite_for_training(mx.sym.load(str(testdata / f"{name}-symbol.json")))[0]
    data = [mx.io.DataDesc("data", (2, 3, size, size))]
    share = share_in_bfloat16(symbol, {"data": (2, 3, size, size)})
    assert (share >= LEAST_SHARE) == gains and 0 < share < 1
    for precision, applied in (("auto", ("bfloat16",) * gains), ("bf16", ("bfloat16",)), ("fp32", ()), (None, ())):
        bound, casts = bfloat16_for_training(symbol, FitOptions(precision=precision), "cpu", data)
        assert casts == applied and (bound is symbol) == (not casts)
    assert bfloat16_for_training(symbol, FitOptions(precision="auto"), "gpu", data) == (symbol, ())
    monkeypatch.setattr("mxft.inference.bfloat16.cpu_flags", lambda: frozenset(["avx512f"]))
    assert bfloat16_for_training(symbol, FitOptions(precision="auto"), "cpu", data) == (symbol, ())


def test_a_network_whose_last_layer_is_a_convolution_has_that_in_float32(testdata):
    symbol = mx.sym.load(str(testdata / "symbols/mobilenet-v2-convhead-symbol.json"))
    last = [node.name for node in Graph(symbol).operators() if node.op == "Convolution"][-1]
    chosen = in_bfloat16(bfloat16_layers(symbol, {"data": (2, 3, 64, 64)}))
    assert last not in chosen and len(chosen) > 50


def test_a_network_without_such_layers_is_left_alone(make_checkpoint):
    symbol = make_checkpoint(filters=6).symbol
    assert bfloat16_layers(symbol, SHAPES) is symbol


def gradients(symbol, checkpoint, grad_req="write", steps=1):
    """Return the outputs and {name: gradient} after so many backward passes on the same random images."""
    rng = np.random.RandomState(0)
    executor = symbol.simple_bind(mx.cpu(), grad_req=grad_req, **SHAPES)
    executor.copy_params_from(checkpoint.arg_params, checkpoint.aux_params)
    executor.arg_dict["data"][:] = rng.normal(size=SHAPES["data"])
    executor.arg_dict["softmax_label"][:] = [0, 1, 2, 1]
    for _ in range(steps):
        executor.forward(is_train=True)
        executor.backward()
    mx.nd.waitall()
    return executor.outputs[0].asnumpy(), {name: executor.grad_dict[name].asnumpy() for name in checkpoint.arg_params}


@needs_bfloat16
def test_outputs_and_gradients_are_float32s_to_the_rounding_of_bfloat16(network):
    expected, full = gradients(network.symbol, network)
    got, half = gradients(bfloat16_layers(network.symbol, SHAPES), network)
    np.testing.assert_allclose(got, expected, atol=0.02)
    assert {value.dtype for value in half.values()} == {np.dtype("float32")}
    for name, value in full.items():
        error = np.linalg.norm(half[name] - value) / (np.linalg.norm(value) + 1e-12)
        assert error < 0.2, (name, error)


@needs_bfloat16
def test_gradients_that_are_added_are_the_sum(network):
    """MXNet's cast of a parameter leaves nothing of a gradient that is to be added."""
    _, one = gradients(bfloat16_layers(network.symbol, SHAPES), network)
    _, three = gradients(bfloat16_layers(network.symbol, SHAPES, adds=True), network, "add", 3)
    for name, value in one.items():
        np.testing.assert_allclose(three[name], 3 * value, rtol=1e-4, atol=1e-5 * np.abs(value).max(), err_msg=name)


@pytest.fixture
def run(coloured_records, network, tmp_path, monkeypatch):
    """A function (folder, precision="bf16", cpus=1, resume="", …, **options) -> (Finetuned, {name: array})."""
    monkeypatch.setattr("mxft.workflows.finetune.draw_curves", lambda *_: None)  # takes longer than the training
    data = coloured_records(20, 8)

    def train(folder, precision="bf16", cpus=1, resume="", plan="full", rate=0.02, state_batches=0,
              freeze=(), **options):
        options = FitOptions(**{"epochs": 3, "momentum": 0.9, "wd": 0.01, "precision": precision, **options})
        result = finetune(network, data, str(tmp_path / folder),
                          Recipe(plan, batch_size=4, learning_rate=rate, fit=options,
                                 freezing=FreezeOptions(patterns=freeze)), SPEC,
                          cpus=cpus, keeping=Keeping(state_batches=state_batches, state_minutes=0, resume=resume))
        return result, {name: array.asnumpy() for group in result.fit.parameters for name, array in group.items()}
    return train


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@needs_bfloat16
@pytest.mark.parametrize("cpus, changes", [
    (1, {"label_smoothing": 0.1}), (2, {"accumulate": 3}), (1, {"plan": "two-stage", "rate": 1e-4}),
    pytest.param(1, {"plan": "gradual", "epochs": 8, "rate": 1e-4}, marks=pytest.mark.long),
    pytest.param(2, {"plan": "discriminative", "mixup": 0.2, "optimizer": "adam", "momentum": None},
                 marks=pytest.mark.long)])
def test_a_run_is_near_float32s_and_saves_an_ordinary_network(cpus, changes, run, tmp_path):
    """Losses within 5 %, and what was validated is what the saved network scores."""
    plain, expected = run("plain", "fp32", cpus, **changes)
    half, got = run("half", "bf16", cpus, **changes)
    for name in ("train_loss", "val_loss"):
        np.testing.assert_allclose([row[name] for row in half.fit.history], [row[name] for row in plain.fit.history],
                                   rtol=0.05, err_msg=name)
    assert max(np.abs(got[name] - expected[name]).max() / np.abs(expected[name]).max() for name in expected) > 1e-5
    saved, own = (load_checkpoint(str(tmp_path / name / "model") + ",best") for name in ("half", "plain"))
    assert saved.symbol.tojson(False) == own.symbol.tojson(False) and "precision" not in saved.manifest
    assert {array.dtype for array in saved.arg_params.values()} == {np.float32}
    assert any("bfloat16" in row.get("rewrites", ()) for row in read_log(tmp_path / "half" / "log.jsonl"))


@needs_bfloat16
def test_a_killed_run_resumes_bit_for_bit(run):
    _, whole = run("whole", accumulate=2)
    with killed_after(3, Snapshots, "save"):
        run("killed", accumulate=2, state_batches=1)
    assert_same(run("killed", accumulate=2, state_batches=1, resume="must")[1], whole)


@needs_bfloat16
def test_frozen_parameters_stay_bit_for_bit(run, network):
    _, got = run("frozen", freeze=("conv0*", "depthwise*"), momentum=0.9)
    before = {**network.arg_params, **network.aux_params}
    frozen = [name for name in before if name.startswith(("conv0", "depthwise")) and "moving" not in name]
    assert len(frozen) == 6
    for name in frozen:
        np.testing.assert_array_equal(got[name], before[name].asnumpy(), err_msg=name)
    assert np.abs(got["conv1_weight"] - before["conv1_weight"].asnumpy()).max() > 0


@needs_bfloat16
def test_a_face_run_is_near_float32s(make_records, make_face_checkpoint, tmp_path):
    faces = read_face_set(make_records("faces.rec", np.repeat(np.arange(4), 8), banded))

    def train(prefix, precision):
        backbone = pretrained_backbone(make_face_checkpoint(filters=16), (16, 16))
        options = FaceOptions(lr=0.05, per_batch_size=8, end_epoch=2, rand_mirror=False, frequent=1,
                              precision=precision)
        result = train_faces(backbone, make_head(4, 4, backbone.emb_size, HeadOptions(margin_s=8.0)), faces,
                             str(tmp_path / prefix / "model"), options, [mx.cpu()], make_face_checkpoint(filters=16))
        assert {array.dtype for array in load_checkpoint(result.last).arg_params.values()} == {np.float32}
        return [row["loss"] for row in result.intervals]
    plain, half = train("plain", None), train("half", "bf16")
    np.testing.assert_allclose(half, plain, rtol=0.05)
    assert half != plain


@pytest.mark.parametrize("options, devices, flags, message", [
    ({}, [mx.cpu()], ["avx512f"], "precision: expected a CPU with avx512_bf16, received precision='bf16' on one "
                                  "without, where it would be slower than float32; leave it out"),
    ({}, [mx.gpu(0)], ["avx512_bf16"], r"precision: expected CPUs beside it and no fp16, received precision='bf16' "
                                       r"beside gpu\(0\); leave one out: fp16 is for GPUs, bf16 for CPUs"),
    ({"fp16": True}, [mx.gpu(0)], ["avx512_bf16"], "received precision='bf16' beside fp16=True; leave one out")])
@pytest.mark.parametrize("kind", [FitOptions, FaceOptions])
def test_bfloat16_is_refused_where_it_cannot_be(kind, options, devices, flags, message, monkeypatch):
    monkeypatch.setattr("mxft.inference.bfloat16.cpu_flags", lambda: frozenset(flags))
    with pytest.raises(InputError, match=message):
        check_precision(kind(precision="bf16", **options), devices)
    check_precision(kind(precision="auto"), devices)
    check_precision(kind(precision="bf16", kvstore="dist_sync"), [mx.cpu()]) if "avx512_bf16" in flags else None


def test_int8_is_refused_where_the_backbone_trains(run):
    with pytest.raises(InputError, match="precision: expected a frozen backbone, plan='head', beside it, received "
                                         "precision='int8' beside plan='full'"):
        run("int8", "int8")
    with pytest.raises(InputError, match="expected one of fp32, bf16, auto, received .*int8"):
        FaceOptions(precision="int8")
