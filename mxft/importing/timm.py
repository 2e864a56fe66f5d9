"""timm's networks (timm/models, pytorch-image-models 0.4 to 1.0): the names of their state_dicts."""
import functools
import re

from mxft.backbones.efficientnet import VARIANTS
from mxft.backbones.mobilenetv2 import MobileNetV2
from mxft.importing.architecture import Architecture, gluon, with_layers_called
from mxft.importing.efficientnet_pytorch import as_reference
from mxft.importing.torchvision import EFFICIENTNETS, RESNETS, torch_efficientnet, vgg_names

# What the layers of a block are called: in our networks, in timm's, and there in a first stage that does not expand.
_EFFICIENTNET_BLOCK = (("_expand_conv", "conv_pw", None), ("_bn0", "bn1", None),
                       ("_depthwise_conv", "conv_dw", "conv_dw"), ("_bn1", "bn2", "bn1"),
                       ("_se_reduce", "se.conv_reduce", "se.conv_reduce"),
                       ("_se_expand", "se.conv_expand", "se.conv_expand"),
                       ("_project_conv", "conv_pwl", "conv_pw"), ("_bn2", "bn3", "bn2"))
_MOBILENET_BLOCK = (("0.0", "conv_pw", None), ("0.1", "bn1", None), ("1.0", "conv_dw", None), ("1.1", "bn2", None),
                    ("2", "conv_pwl", None), ("3", "bn3", None), ("0.0", None, "conv_dw"), ("0.1", None, "bn1"),
                    ("1", None, "conv_pw"), ("2", None, "bn2"))


def _blocks_called(entries, table, prefix, first, ends):
    """Return entries with ``blocks.S.B.*`` renamed by a table, numbered through from `first`, and the ends."""
    blocks = sorted({tuple(map(int, found.groups()))
                     for found in map(re.compile(r"blocks\.(\d+)\.(\d+)\.").match, entries) if found})
    called = dict(ends)
    for number, (stage, repeat) in enumerate(blocks, first):
        for ours, theirs, in_first_stage in table:
            name = in_first_stage if stage == 0 else theirs
            if name:
                called[f"blocks.{stage}.{repeat}.{name}"] = f"{prefix(number)}.{ours}"
    return with_layers_called(entries, called.get)


def _efficientnet_names(entries):
    return _blocks_called(entries, _EFFICIENTNET_BLOCK, "_blocks.{}".format, 0,
                          {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head", "bn2": "_bn1",
                           "classifier": "_fc"})


def _mobilenet_names(entries):
    return _blocks_called(entries, _MOBILENET_BLOCK, "features.{}.conv".format, 1,
                          {"conv_stem": "features.0.0", "bn1": "features.0.1", "conv_head": "features.18.0",
                           "bn2": "features.18.1", "classifier": "classifier.1"})


def _vgg_names(entries, last):
    """timm writes VGG's Dense layers as convolutions of 7x7 and 1x1."""
    flat = {name: array.reshape(len(array), -1) if name.startswith("pre_logits.") and array.ndim == 4 else array
            for name, array in entries.items()}
    return vgg_names(flat, last, ("pre_logits.fc1", "pre_logits.fc2", "head.fc"))


ARCHITECTURES = {
    **RESNETS,
    "mobilenetv2_100": Architecture(MobileNetV2, _mobilenet_names, "classifier.bias"),
    "vgg16": Architecture(gluon("vgg16", "mxnet"), functools.partial(_vgg_names, last=31), "head.fc.bias"),
    "vgg16_bn": Architecture(gluon("vgg16_bn", "mxnet"), functools.partial(_vgg_names, last=44), "head.fc.bias"),
    **{name: Architecture(torch_efficientnet(name), _efficientnet_names, "classifier.bias", size, resize)
       for name, (size, resize) in EFFICIENTNETS.items()},
    # TensorFlow's padding and epsilon, as in the reference implementation
    **{"tf_" + name.replace("-", "_"): as_reference(name, _efficientnet_names, "classifier.bias")
       for name in VARIANTS},
}
