"""Which image classifiers the two Gluon model stores hold, with their sha1: read from the installed packages.

Follows mxnet/gluon/model_zoo/model_store.py (1.9.1) and gluoncv/model_zoo/model_store.py (0.10.5). The packages' tables
are the truth about their files, so they are read instead of copied; as source, with `ast`, because importing mxnet and
gluoncv takes seconds that `mxft zoo list` does not have, and because no line of theirs has to run for it.
"""
import ast
import functools
import importlib.util
import os
import re
from dataclasses import dataclass

from mxft.errors import DependencyError

_SOURCES = {"mxnet": ("gluon", "model_zoo", "model_store.py"), "gluoncv": ("model_zoo", "model_store.py")}


@dataclass(frozen=True)
class Family:
    """Networks of one kind: `pattern` matches their whole names.

    `size` is the side of their input in pixels, `resize` what the shorter side of a picture is brought to before it is
    cropped.
    """

    title: str
    pattern: str
    size: int = 224
    resize: int = 256


# GluonCV's train_imagenet.py crops 0.875 of what it resizes to; ResNeSt's sizes are those timm has for these weights.
FAMILIES = (
    Family("AlexNet", r"alexnet"),
    Family("DenseNet", r"densenet\d+"),
    Family("VGG", r"vgg\d+(_bn)?"),
    Family("Inception V3", r"inceptionv3", 299, 342),
    Family("GoogLeNet", r"googlenet"),
    Family("Xception", r"xception", 299, 342),
    Family("SqueezeNet", r"squeezenet1\.[01]"),
    Family("MobileNet", r"mobilenet[\d.]+"),
    Family("MobileNetV2", r"mobilenetv2_[\d.]+"),
    Family("MobileNetV3", r"mobilenetv3_(large|small)"),
    Family("ResNet v1", r"resnet\d+_v1"),
    Family("ResNet v1b", r"resnet\d+_v1b"),
    Family("ResNet v1b with GroupNorm", r"resnet\d+_v1b_gn"),
    Family("ResNet v1c", r"resnet\d+_v1c"),
    Family("ResNet v1d", r"resnet\d+_v1d"),
    Family("ResNet v1s", r"resnet\d+_v1s"),
    Family("ResNet v2", r"resnet\d+_v2"),
    Family("pruned ResNet", r"resnet\d+_v1[bd]_[\d.]+x"),
    Family("ResNeXt", r"resnext\d+_\d+x\d+d"),
    Family("SE-ResNeXt", r"se_resnext\d+_\d+x\d+d"),
    Family("SENet", r"senet_154"),
    Family("ResNeSt", r"resnest(14|26|50)"),
    Family("ResNeSt", r"resnest101", 256, 293),
    Family("ResNeSt", r"resnest200", 320, 352),
    Family("ResNeSt", r"resnest269", 416, 448),
    Family("Darknet", r"darknet53"),
    Family("DLA", r"dla34"),
    Family("HRNet", r"hrnet_w\d+(_small_v\d)?_cls"),
    Family("CIFAR ResNet v1", r"cifar_resnet\d+_v1", 32, 32),
    Family("CIFAR ResNet v2", r"cifar_resnet\d+_v2", 32, 32),
    Family("CIFAR Wide ResNet", r"cifar_wideresnet\d+_\d+", 32, 32),
    Family("CIFAR ResNeXt", r"cifar_resnext\d+_\d+x\d+d", 32, 32),
)


def family_of(model):
    """Return the Family of a store's file, None for anything but an image classifier."""
    return next((family for family in FAMILIES if re.fullmatch(family.pattern, model)), None)


@functools.cache
def store_hashes(package):
    """Return ``{file: sha1}`` of an installed package's model store, without importing the package.

    Parameters
    ----------
    package : {"mxnet", "gluoncv"}

    Returns
    -------
    dict of str to str
        Empty where the package is not installed.

    Raises
    ------
    DependencyError
        It is installed, in a version whose store does not have the table.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return {}
    path = os.path.join(os.path.dirname(spec.origin), *_SOURCES[package])
    try:
        with open(path, encoding="utf-8") as f:
            table = _assigned(ast.parse(f.read()), "_model_sha1")
        return {name: sha1 for sha1, name in ast.literal_eval(table.generators[0].iter)}
    except (OSError, SyntaxError, ValueError, TypeError, AttributeError) as error:
        raise DependencyError(f"{package}'s model store cannot be read: expected the table _model_sha1 in {path}, "
                              f"received {type(error).__name__}; mxft is made for mxnet 1.9.1 and gluoncv "
                              "0.10.5") from None


def _assigned(tree, name):
    """Return the expression a module assigns to `name`, or None."""
    return next((node.value for node in tree.body if isinstance(node, ast.Assign)
                 and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)), None)
