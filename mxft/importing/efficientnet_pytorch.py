"""EfficientNet of github.com/lukemelas/EfficientNet-PyTorch 0.7: our network has its names already."""
import functools

from mxft.backbones.efficientnet import VARIANTS, EfficientNet
from mxft.importing.architecture import Architecture

ARCHITECTURES = {name: Architecture(functools.partial(EfficientNet, name), dict, "_fc.bias", size,
                                    round(size / 0.875))
                 for name, (_, _, size, _) in VARIANTS.items()}
