"""torchvision's networks (torchvision/models, 0.2 to today): the names of their state_dicts."""
import functools
import re

from mxft.backbones.efficientnet import EfficientNet
from mxft.backbones.mobilenetv2 import MobileNetV2
from mxft.importing.architecture import Architecture, gluon, with_gluon_names, with_layers_called

EFFICIENTNETS = {"efficientnet_b0": (224, 256), "efficientnet_b1": (240, 256), "efficientnet_b2": (288, 288),
                 "efficientnet_b3": (300, 320)}
# What the layers of a block are called: in our network, here, and here in the first stage, which does not expand.
_BLOCK = (("_expand_conv", "0.0", None), ("_bn0", "0.1", None), ("_depthwise_conv", "1.0", "0.0"),
          ("_bn1", "1.1", "0.1"), ("_se_reduce", "2.fc1", "1.fc1"), ("_se_expand", "2.fc2", "1.fc2"),
          ("_project_conv", "3.0", "2.0"), ("_bn2", "3.1", "2.1"))


def torch_efficientnet(name):
    """Return what builds an EfficientNet that pads and normalises as torchvision and timm do."""
    return functools.partial(EfficientNet, name.replace("_", "-"), padding="symmetric", epsilon=1e-5)


def vgg_names(entries, last, classifier):
    """Return VGG's entries under Gluon's names; ``features.<last>`` is Gluon's first Dense layer."""
    called = dict(zip(classifier, (f"features.{last}", f"features.{last + 2}", "output")))
    return with_gluon_names(with_layers_called(entries, called.get))


def _efficientnet_names(entries):
    blocks = sorted({tuple(map(int, found.groups()))
                     for found in map(re.compile(r"features\.(\d+)\.(\d+)\.block").match, entries) if found})
    number, head = {block: i for i, block in enumerate(blocks)}, blocks[-1][0] + 1 if blocks else 8
    called = {"features.0.0": "_conv_stem", "features.0.1": "_bn0", "classifier.1": "_fc",
              f"features.{head}.0": "_conv_head", f"features.{head}.1": "_bn1"}
    for (stage, repeat), block in number.items():
        for ours, theirs, in_first_stage in _BLOCK:
            called[f"features.{stage}.{repeat}.block.{in_first_stage if stage == 1 else theirs}"] = (
                f"_blocks.{block}.{ours}")
    return with_layers_called(entries, called.get)


def _vgg(name, last):
    rename = functools.partial(vgg_names, last=last, classifier=("classifier.0", "classifier.3", "classifier.6"))
    return Architecture(gluon(name, "mxnet"), rename, "classifier.6.bias")


RESNETS = {f"resnet{depth}": Architecture(gluon(f"resnet{depth}_v1b", "gluoncv"), with_gluon_names, "fc.bias")
           for depth in (18, 34, 50, 101, 152)}
ARCHITECTURES = {
    **RESNETS,
    "mobilenet_v2": Architecture(MobileNetV2, dict, "classifier.1.bias"),
    "vgg16": _vgg("vgg16", 31),
    "vgg16_bn": _vgg("vgg16_bn", 44),
    **{name: Architecture(torch_efficientnet(name), _efficientnet_names, "classifier.1.bias", size, resize)
       for name, (size, resize) in EFFICIENTNETS.items()},
}
