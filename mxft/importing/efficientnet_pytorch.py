"""EfficientNet of github.com/lukemelas/EfficientNet-PyTorch 0.7: our network has its names already."""
import functools

from mxft.backbones.efficientnet import VARIANTS, EfficientNet
from mxft.importing.architecture import Architecture


def as_reference(name, rename, classifier):
    """Return the row of an EfficientNet that pads and normalises as the reference implementation, under other names."""
    size = VARIANTS[name][2]
    return Architecture(functools.partial(EfficientNet, name), rename, classifier, size, round(size / 0.875))


ARCHITECTURES = {name: as_reference(name, dict, "_fc.bias") for name in VARIANTS}
