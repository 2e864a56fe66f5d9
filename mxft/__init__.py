"""mxft fine-tunes MXNet checkpoints.

Importing the package imports no mxnet: public names are loaded when first used, so ``mxft --help`` is instant and
the record tools work where mxnet is not installed.
"""
import importlib

from mxft.moved import find_moved_modules

__version__ = "0.1.0"

_PUBLIC = {
    "Checkpoint": "mxft.network.checkpoint", "load_checkpoint": "mxft.network.checkpoint",
    "list_layers": "mxft.surgery", "find_feature_layer": "mxft.surgery", "cut_at": "mxft.surgery",
    "get_fine_tune_model": "mxft.surgery", "attach_head": "mxft.surgery",
    "match_parameters": "mxft.network.transfer", "TransferReport": "mxft.network.transfer",
    "freeze_plan": "mxft.freeze", "fit": "mxft.training.fit", "InferenceExecutor": "mxft.inference.executor",
    "MxftError": "mxft.errors",
}
__all__ = ["__version__", *_PUBLIC]
find_moved_modules()


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mxft' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
