"""Margin heads: softmax, SphereFace, CosFace, ArcFace and their kin, one file each.

Importing the package imports no mxnet: the table of loss types can be listed, and options checked, without it.
"""
import importlib

_PUBLIC = {
    "HeadOptions": "mxft.heads.options",
    "LOSS_TYPES": "mxft.heads.table", "PRESETS": "mxft.heads.table", "find_loss_type": "mxft.heads.table",
    "loss_types": "mxft.heads.table",
    "make_head": "mxft.heads.table", "preset": "mxft.heads.table",
    "Head": "mxft.heads.head", "HeadOutputs": "mxft.heads.head", "softmax_output": "mxft.heads.head",
    "HeadBlock": "mxft.heads.blocks",
}
__all__ = list(_PUBLIC)


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mxft.heads' has no attribute {name!r}")
