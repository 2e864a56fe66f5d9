"""Keras' applications (keras/applications, 2.x and 3.x): names, axes, padding, and what is folded.

Keras keeps convolutions as (H, W, I, O), wants blue, green, red in its oldest networks, and has biases in front of
BatchNorm, which go into the moving mean here.
"""
import functools
import re

import numpy as np

from mxft.backbones.efficientnet import VARIANTS
from mxft.backbones.mobilenetv2 import STAGES, MobileNetV2
from mxft.importing.architecture import Architecture, gluon
from mxft.importing.efficientnet_pytorch import as_reference

CAFFE_MEAN = (123.68, 116.779, 103.939)  # red, green, blue
PLAIN, HALF = (1.0,) * 3, (1 / 127.5,) * 3
_RESNET_EPSILON, _GLUON_EPSILON = 1.001e-5, 1e-5
_BATCH_NORM = {"gamma": "gamma", "beta": "beta", "moving_mean": "running_mean", "moving_variance": "running_var"}
_TORCH_BATCH_NORM = {**_BATCH_NORM, "gamma": "weight", "beta": "bias"}
_AXES = {(False, 4): (3, 2, 0, 1), (True, 4): (2, 3, 0, 1), (False, 2): (1, 0)}  # depthwise or not, and dimensions
_VGG_CONVOLUTIONS = {"block1": (0, 2), "block2": (5, 7), "block3": (10, 12, 14), "block4": (17, 19, 21),
                     "block5": (24, 26, 28)}


def _renamed(entries, called, batch_norm):
    """Return entries under ``called(layer)``; what that gives None for keeps its name, and will be refused."""
    found = {}
    for name, array in entries.items():
        layer, _, kind = name.rpartition("/")
        if kind in ("kernel", "depthwise_kernel"):
            array = array.transpose(_AXES[layer.endswith(("depthwise", "dwconv")), array.ndim])
            kind = "weight"
        found[f"{called(layer) or layer}.{batch_norm.get(kind, kind)}"] = array
    return found


def _from_blue_first(entries, stem):
    entries[stem] = entries[stem][:, ::-1]
    return entries


def _resnet_names(entries):
    def called(layer):
        found = re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", layer)
        if not found:
            return {"conv1_conv": "features.0", "conv1_bn": "features.1", "predictions": "output"}.get(layer)
        stage, block, unit, kind = int(found.group(1)) + 2, int(found.group(2)) - 1, int(found.group(3)), found.group(4)
        place = "downsample.{}".format(int(kind == "bn")) if unit == 0 else f"body.{3 * (unit - 1) + (kind == 'bn')}"
        return f"features.{stage}.{block}.{place}"

    found = _renamed(entries, called, _BATCH_NORM)
    for name in [name for name in found if name.endswith(".running_var")]:
        layer = name[:-len(".running_var")]
        found[name] = found[name] + np.float32(_RESNET_EPSILON - _GLUON_EPSILON)
        before = re.sub(r"\d+$", lambda digits: str(int(digits.group()) - 1), layer) + ".bias"
        if before in found and not before.endswith(("body.0.bias", "body.6.bias")):  # Gluon has those two itself
            found[f"{layer}.running_mean"] = found[f"{layer}.running_mean"] - found.pop(before)
    return _from_blue_first(found, "features.0.weight")


def _vgg_names(entries):
    called = {f"{block}_conv{number}": f"features.{index}" for block, indices in _VGG_CONVOLUTIONS.items()
              for number, index in enumerate(indices, 1)}
    called.update(fc1="features.31", fc2="features.33", predictions="output")
    found = _renamed(entries, called.get, _BATCH_NORM)
    first = found["features.31.weight"]  # over (H, W, C) there, (C, H, W) here
    found["features.31.weight"] = first.reshape(len(first), 7, 7, -1).transpose(0, 3, 1, 2).reshape(len(first), -1)
    return _from_blue_first(found, "features.0.weight")


def _mobilenet_names(entries):
    called = {"Conv1": "features.0.0", "bn_Conv1": "features.0.1", "Conv_1": "features.18.0",
              "Conv_1_bn": "features.18.1", "predictions": "classifier.1"}
    for number in range(1, sum(repeats for _, _, repeats, _ in STAGES) + 1):
        theirs, units = (f"block_{number - 1}", ("expand", "depthwise")) if number > 1 else ("expanded_conv",
                                                                                           ("depthwise",))
        for place, unit in enumerate(units):
            called[f"{theirs}_{unit}"] = f"features.{number}.conv.{place}.0"
            called[f"{theirs}_{unit}_BN"] = f"features.{number}.conv.{place}.1"
        called[f"{theirs}_project"] = f"features.{number}.conv.{len(units)}"
        called[f"{theirs}_project_BN"] = f"features.{number}.conv.{len(units) + 1}"
    return _renamed(entries, called.get, _TORCH_BATCH_NORM)


def _efficientnet_names(entries):
    called = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1",
              "predictions": "_fc"}
    blocks = sorted({name.split("_")[0] for name in entries if re.match(r"block\d[a-z]_", name)})
    within = {"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv", "bn": "_bn1",
              "se_reduce": "_se_reduce", "se_expand": "_se_expand", "project_conv": "_project_conv",
              "project_bn": "_bn2"}
    for number, block in enumerate(blocks):
        called.update({f"{block}_{theirs}": f"_blocks.{number}.{ours}" for theirs, ours in within.items()})
    own = {name: array for name, array in entries.items() if not name.startswith(("normalization", "rescaling"))}
    return _renamed(own, called.get, _TORCH_BATCH_NORM)


ARCHITECTURES = {
    **{f"resnet{depth}": Architecture(gluon(f"resnet{depth}_v1", "mxnet"), _resnet_names, "predictions/bias",
                                      mean=CAFFE_MEAN, scale=PLAIN) for depth in (50, 101, 152)},
    "vgg16": Architecture(gluon("vgg16", "mxnet"), _vgg_names, "predictions/bias", mean=CAFFE_MEAN, scale=PLAIN),
    "mobilenetv2": Architecture(functools.partial(MobileNetV2, padding_size=224, epsilon=1e-3), _mobilenet_names,
                                "predictions/bias", mean=(127.5,) * 3, scale=HALF),
    **{name.replace("-", ""): as_reference(name, _efficientnet_names, "predictions/bias") for name in VARIANTS},
}
