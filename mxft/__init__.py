"""mxft fine-tunes MXNet checkpoints.

    import mxft
    result = mxft.finetune("resnet-50", "photos", "runs/photos")
    mxft.score(result.model, "more-photos")
    mxft.predict(result.model, ["cat.jpg", "dog.jpg"]).labels

Each job in one call:

    finetune         a checkpoint and pictures in, a run folder out
    score, predict   how good a checkpoint is on labelled pictures, and its predictions for others
    split            pictures divided for training and validation, and packed once for many runs
    align_faces      the faces of photographs, found and aligned; embed and verify: to embeddings, a set of pairs
    enroll, identify people into a gallery, pictures to their names; compare_faces: two pictures
    finetune_faces   a face network and a set of people in, a verified run out; pack_faces and pack_pairs make the sets
    slim             a face network up to its embedding
    quantize         a checkpoint computed in int8 on a CPU, calibrated on images and compared
    export           a file of ONNX or PyTorch that was compared with the checkpoint
    to_torch         a torch.nn.Module that computes the same, under the same names; from_torch takes it back
    import_weights   weights of torchvision, timm, Keras and ONNX
    list_models      the names of the zoo; fetch gets one of them
    load_checkpoint  a Checkpoint: symbol, parameters and manifest
    open_pictures    Pictures: what is at a path, and how it is read, without training

Settings: Recipe, FitOptions, FreezeOptions, HeadStage, CacheOptions. The tutorial's steps one by one: list_layers,
find_feature_layer, cut_at, attach_head, get_fine_tune_model, match_parameters, freeze_plan, fit. Errors: MxftError,
and of it InputError and RunError.

The commands are the same jobs: ``mxft --help``. Importing the package imports no mxnet: names are loaded when first
used, so ``mxft --help`` is instant and the record tools work where mxnet is not installed.
"""
import importlib
import sys
import types
from typing import TYPE_CHECKING, Any

from mxft.moved import find_moved_modules

if TYPE_CHECKING:
    from mxft.api.conversion import export as export
    from mxft.api.conversion import from_torch as from_torch
    from mxft.api.conversion import import_weights as import_weights
    from mxft.api.conversion import to_torch as to_torch
    from mxft.api.face_training import FaceFinetuneResult as FaceFinetuneResult
    from mxft.api.face_training import finetune_faces as finetune_faces
    from mxft.api.face_training import slim as slim
    from mxft.api.faces import Embeddings as Embeddings
    from mxft.api.faces import embed as embed
    from mxft.api.faces import verify as verify
    from mxft.api.finetuning import finetune as finetune
    from mxft.api.galleries import align_faces as align_faces
    from mxft.api.galleries import compare_faces as compare_faces
    from mxft.api.galleries import enroll as enroll
    from mxft.api.galleries import identify as identify
    from mxft.api.judging import Predictions as Predictions
    from mxft.api.judging import predict as predict
    from mxft.api.judging import score as score
    from mxft.api.models import fetch as fetch
    from mxft.api.models import list_models as list_models
    from mxft.api.models import load_checkpoint as load_checkpoint
    from mxft.api.packing import pack_faces as pack_faces
    from mxft.api.packing import pack_pairs as pack_pairs
    from mxft.api.packing import split as split
    from mxft.api.quantizing import quantize as quantize
    from mxft.data.datasets import Records as Records
    from mxft.data.pictures import Pictures as Pictures
    from mxft.data.pictures import open_pictures as open_pictures
    from mxft.errors import InputError as InputError
    from mxft.errors import MxftError as MxftError
    from mxft.errors import RunError as RunError
    from mxft.freeze import freeze_plan as freeze_plan
    from mxft.inference.executor import InferenceExecutor as InferenceExecutor
    from mxft.network.checkpoint import Checkpoint as Checkpoint
    from mxft.network.input_spec import InputSpec as InputSpec
    from mxft.network.transfer import TransferReport as TransferReport
    from mxft.network.transfer import match_parameters as match_parameters
    from mxft.options import CacheOptions as CacheOptions
    from mxft.options import FitOptions as FitOptions
    from mxft.options import FreezeOptions as FreezeOptions
    from mxft.options import HeadStage as HeadStage
    from mxft.surgery import attach_head as attach_head
    from mxft.surgery import cut_at as cut_at
    from mxft.surgery import find_feature_layer as find_feature_layer
    from mxft.surgery import get_fine_tune_model as get_fine_tune_model
    from mxft.surgery import list_layers as list_layers
    from mxft.training.fit import fit as fit
    from mxft.training.recipe import Recipe as Recipe

__version__ = "0.1.0"

_HOMES = {
    "mxft.api.finetuning": ("finetune",),
    "mxft.api.galleries": ("align_faces", "compare_faces", "enroll", "identify"),
    "mxft.api.judging": ("Predictions", "predict", "score"),
    "mxft.api.packing": ("pack_faces", "pack_pairs", "split"), "mxft.api.faces": ("Embeddings", "embed", "verify"),
    "mxft.api.face_training": ("FaceFinetuneResult", "finetune_faces", "slim"),
    "mxft.api.quantizing": ("quantize",),
    "mxft.api.conversion": ("export", "from_torch", "import_weights", "to_torch"),
    "mxft.api.models": ("fetch", "list_models", "load_checkpoint"), "mxft.data.datasets": ("Records",),
    "mxft.data.pictures": ("Pictures", "open_pictures"), "mxft.errors": ("InputError", "MxftError", "RunError"),
    "mxft.freeze": ("freeze_plan",), "mxft.inference.executor": ("InferenceExecutor",),
    "mxft.network.checkpoint": ("Checkpoint",), "mxft.network.input_spec": ("InputSpec",),
    "mxft.network.transfer": ("TransferReport", "match_parameters"),
    "mxft.options": ("CacheOptions", "FitOptions", "FreezeOptions", "HeadStage"),
    "mxft.surgery": ("attach_head", "cut_at", "find_feature_layer", "get_fine_tune_model", "list_layers"),
    "mxft.training.fit": ("fit",), "mxft.training.recipe": ("Recipe",),
}
_PUBLIC = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_PUBLIC]  # noqa: PLE0604


class _FrontDoor(types.ModuleType):
    """Keeps ``mxft.export`` the function where a program imports the module that had this name in mxft 0.1 too."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _PUBLIC and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _FrontDoor
find_moved_modules()


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'mxft' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
