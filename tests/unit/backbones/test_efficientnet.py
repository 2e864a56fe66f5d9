"""EfficientNet computes what its PyTorch reference computes, under the reference's names.

The expected numbers come from efficientnet_pytorch 0.7.1 on PyTorch 2.13 in float64, with `fill` and `pictures` below.
"""
import zlib

import numpy as np
import pytest

from mxft.backbones import efficientnet
from mxft.backbones.efficientnet import EfficientNet, efficientnet_checkpoint, scaled_channels
from mxft.backbones.gluon import trace
from mxft.backbones.torch_layers import same_padding
from mxft.compat import mx
from mxft.errors import InputError
from mxft.inference.executor import InferenceExecutor
from mxft.surgery import attach_head, batch_norms_to_eval, find_feature_layer

# Variant: arrays of the reference's state_dict without num_batches_tracked, CRC-32 of their sorted names and shapes,
# and the parameters of the paper (table 2 rounds them to 5.3 M and 12 M).
REFERENCE = {"efficientnet-b0": (311, 2782468066, 5288548), "efficientnet-b1": (439, 4033897172, 7794184),
             "efficientnet-b2": (439, 326203923, 9109994), "efficientnet-b3": (496, 745523597, 12233232)}
# Variant, size the padding is for, size of the images, mean, deviation, first four scores of the second image.
PROBES = [
    ("efficientnet-b0", None, 96, 0.00056725, 0.05284271, [-0.0693879, 0.0785802, 0.0671094, -0.0733054]),
    ("efficientnet-b1", None, 64, -0.00058845, 0.05850003, [0.1052543, 0.0247861, 0.0360758, -0.0749329]),
    ("efficientnet-b2", None, 131, -0.00331204, 0.07286094, [0.0111570, 0.0183361, 0.0391176, -0.0424669]),
    ("efficientnet-b3", None, 224, 0.00126692, 0.05815389, [-0.0106872, -0.0319227, 0.1137168, 0.0731412]),
    ("efficientnet-b3", 224, 224, 0.00147125, 0.05908346, [-0.0082907, -0.0335559, 0.1114323, 0.0774145]),
]
# Norms of gradients of the mean cross-entropy in training mode, three images of 64 pixels with labels 1, 2, 3.
TRAINING_LOSS = 7.239668142344729
GRADIENTS = {"_conv_stem.weight": 15.79682225, "_blocks.5._depthwise_conv.weight": 3.63441604,
             "_blocks.9._se_reduce.bias": 0.24539913, "_blocks.15._project_conv.weight": 6.00645152,
             "_bn1.weight": 0.36396780, "_fc.bias": 0.57681598}


def fill(name, shape):
    """Return numbers that depend on a parameter's name alone, and let the image through to the scores."""
    rng = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("running_var"):
        return rng.uniform(0.46, 0.92, shape).astype(np.float32)
    if "_bn" in name and name.endswith("weight"):
        return rng.uniform(*((0.2, 0.6) if "_bn2." in name else (0.5, 1.5)), shape).astype(np.float32)
    return rng.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.02, shape).astype(np.float32)


def pictures(size, n=2):
    rng, ramp = np.random.RandomState(5), np.linspace(-2, 2, size)
    waves = rng.normal(0, 1, (n, 3, 2, 1))
    x = waves[:, :, 0, :, None] * ramp[:, None] + waves[:, :, 1, :, None] * ramp
    return (x + rng.normal(0, 1, (n, 3, size, size))).astype(np.float32)


def filled(*args, **options):
    """Return the symbol and the filled parameters of a network that was never initialised."""
    net = EfficientNet(*args, **options)
    symbol = trace(net)
    values = {name: mx.nd.array(fill(name, p.shape)) for name, p in net.collect_params().items()}
    auxiliary = set(symbol.list_auxiliary_states())
    return (symbol, {k: v for k, v in values.items() if k not in auxiliary},
            {k: v for k, v in values.items() if k in auxiliary})


@pytest.fixture
def small(monkeypatch):
    """A variant of eight blocks and 100,000 parameters, under the name of B0."""
    monkeypatch.setitem(efficientnet.VARIANTS, "efficientnet-b0", (0.25, 0.3, 32, 0.3))


@pytest.mark.parametrize("name", REFERENCE)
def test_names_shapes_and_count_are_the_references(name):
    net = EfficientNet(name)
    parameters = net.collect_params()
    rows = sorted(f"{key} {tuple(p.shape)}" for key, p in parameters.items())
    learned = sum(int(np.prod(p.shape)) for key, p in parameters.items() if ".running_" not in key)
    assert (len(rows), zlib.crc32("\n".join(rows).encode()), learned) == REFERENCE[name]
    assert set(net._collect_params_with_prefix()) == set(parameters)  # those of save_parameters
    symbol = trace(net)
    assert set(symbol.list_arguments() + symbol.list_auxiliary_states()) == {"data", *parameters}


@pytest.mark.parametrize("name, padding_size, size, mean, deviation, first", PROBES)
def test_scores_are_the_references(name, padding_size, size, mean, deviation, first):
    symbol, args, auxs = filled(name, padding_size=padding_size)
    scores = InferenceExecutor(symbol, args, auxs, (3, size, size), 2).forward(pictures(size))
    tolerance = 2e-5 * deviation
    assert scores.shape == (2, 1000)
    assert abs(scores.mean() - mean) < tolerance and abs(scores.std() - deviation) < tolerance
    assert np.abs(scores[1, :4] - first).max() < 3 * tolerance


def test_loss_gradients_and_statistics_in_training_are_the_references():
    symbol, args, auxs = filled("efficientnet-b0", dropout=0.0, drop_connect=0.0)
    executor = mx.sym.SoftmaxOutput(symbol, name="softmax").simple_bind(mx.cpu(), data=(3, 3, 64, 64),
                                                                        softmax_label=(3,))
    executor.copy_params_from(args, auxs)
    scores = executor.forward(is_train=True, data=pictures(64, 3), softmax_label=mx.nd.array([1, 2, 3]))[0]
    executor.backward()
    mx.nd.waitall()
    assert -np.log(scores.asnumpy()[range(3), [1, 2, 3]]).mean() == pytest.approx(TRAINING_LOSS, rel=1e-5)
    for name, norm in GRADIENTS.items():
        assert np.linalg.norm(executor.grad_dict[name].asnumpy() / 3) == pytest.approx(norm, rel=2e-4), name
    moved = executor.aux_dict["_blocks.3._bn1.running_mean"].asnumpy()
    assert np.abs(moved[:3] - [-0.0053, 0.0141, 0.0160]).max() < 6e-5  # printed with four places
    assert np.abs(moved - fill("_blocks.3._bn1.running_mean", moved.shape)).max() > 1e-3


@pytest.mark.parametrize("size, kernel, stride, padding", [
    (224, 3, 2, (0, 1)), (56, 5, 2, (1, 2)), (75, 5, 2, (2, 2)), (150, 3, 2, (0, 1)), (7, 3, 1, (1, 1)),
    (9, 1, 1, (0, 0)), (10, 1, 2, (0, 0))])
def test_same_padding(size, kernel, stride, padding):
    assert same_padding(size, kernel, stride) == padding
    assert (size + sum(padding) - kernel) // stride + 1 == -(-size // stride)


def test_channels_are_rounded_to_eights_and_not_far_down():
    assert [scaled_channels(c, 1.2) for c in (32, 16, 24, 40, 80, 112, 192, 320, 1280)] == [
        40, 24, 32, 48, 96, 136, 232, 384, 1536]
    assert scaled_channels(16, 0.6) == 16  # 9.6: 8 would be a sixth less


def test_drop_connect_keeps_or_drops_whole_branches():
    block = efficientnet._Block(8, 8, 3, 1, 6, 8, 0.0, prefix="b.")
    block.initialize(mx.init.Xavier())
    x = mx.nd.array(pictures(8, 64)[:, :1].repeat(8, axis=1))
    with mx.autograd.train_mode():
        branch = (block(x) - x).asnumpy()
    block._drop = 0.25
    mx.random.seed(1)
    with mx.autograd.train_mode():
        dropped = (block(x) - x).asnumpy()
    kept = [np.abs(row).max() > 0 for row in dropped]
    assert 0.55 < np.mean(kept) < 0.92  # 0.75 of 64
    for row, full, is_kept in zip(dropped, branch, kept):
        assert np.abs(row - full / 0.75 * is_kept).max() < 1e-4
    assert np.abs((block(x) - x).asnumpy()).reshape(64, -1).max(axis=1).min() > 0  # not in inference


def test_drop_connect_grows_from_0_and_only_skips_have_it(small):
    symbol = trace(EfficientNet("efficientnet-b0"))
    rates = {name: float(a["p"]) for name, a in symbol.attr_dict().items() if "drop_connect" in name}
    assert rates == {"_blocks.6.drop_connect": pytest.approx(0.2 * 6 / 8)}
    assert float(symbol.attr_dict()["_dropout"]["p"]) == 0.3


def test_the_feature_layer_is_found_and_everything_decays(small):
    symbol = trace(EfficientNet("efficientnet-b0", classes=4))
    feature = find_feature_layer(symbol)
    assert (feature.name, feature.classifier, feature.discarded) == ("_dropout", "_fc.fwd", ())
    head = batch_norms_to_eval(attach_head(symbol, 3).symbol)
    names = [name for name in head.list_arguments() if name not in ("data", "softmax_label")]
    optimizer = mx.optimizer.create("adam", sym=head, param_idx2name=dict(enumerate(names)), wd=1e-4)
    assert {name for name in names if optimizer.wd_mult.get(name, 1.0) != 1} == {"fc1_bias"}


def test_weights_under_the_references_names_are_taken(small, tmp_path):
    symbol, args, auxs = filled("efficientnet-b0", 5)
    bare, prefixed = str(tmp_path / "bare.params"), str(tmp_path / "prefixed.params")
    mx.nd.save(bare, {**args, **auxs, "_bn0.num_batches_tracked": mx.nd.zeros((1,))})
    mx.nd.save(prefixed, {**{f"arg:{k}": v for k, v in args.items()}, **{f"aux:{k}": v for k, v in auxs.items()}})
    expected = InferenceExecutor(symbol, args, auxs, (3, 32, 32), 2).forward(pictures(32))
    for path in (bare, prefixed):
        checkpoint = efficientnet_checkpoint("efficientnet-b0", path, input_size=32, resize=36)
        executor = InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, 32, 32), 2)
        assert (executor.forward(pictures(32)) == expected).all() and expected.shape == (2, 5)
    assert checkpoint.input_spec.mean == (123.675, 116.28, 103.53) and checkpoint.input_spec.resize == 36
    assert checkpoint.manifest["source"] == f"efficientnet-b0, {prefixed}"


def test_random_weights_follow_the_seed(small):
    first, same, other = (efficientnet_checkpoint("efficientnet-b0", classes=["a", "b"], input_size=32, seed=seed)
                          for seed in (0, 0, 1))
    weights = [c.arg_params["_conv_head.weight"].asnumpy() for c in (first, same, other)]
    assert (weights[0] == weights[1]).all() and not (weights[0] == weights[2]).any()
    assert first.classes == ["a", "b"] and first.symbol.tojson() == same.symbol.tojson()


def test_what_does_not_fit_is_refused(small, tmp_path):
    with pytest.raises(InputError, match="EfficientNet: expected one of efficientnet-b0, .*, received name='b3'"):
        EfficientNet("b3")
    _, args, auxs = filled("efficientnet-b0", 5)
    path = str(tmp_path / "net.params")
    mx.nd.save(path, {**args, **auxs})
    with pytest.raises(InputError, match=r"expected _fc.weight of shape \(3, 320\), received \(5, 320\)"):
        efficientnet_checkpoint("efficientnet-b0", path, classes=3, input_size=32)
    mx.nd.save(path, {k: v for k, v in {**args, **auxs}.items() if k != "_blocks.1._bn0.running_var"})
    with pytest.raises(InputError, match="checkpoint is not complete: expected every parameter, received none for "
                                         "_blocks.1._bn0.running_var"):
        efficientnet_checkpoint("efficientnet-b0", path, input_size=32)
