"""``mxft.finetune_faces`` and ``mxft.slim``: a face checkpoint to other people, and back to its embedding."""
from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterable, Sequence
from typing import Any, Union

from mxft.api.finetuning import free_run
from mxft.api.models import Model, open_model
from mxft.api.telling import telling
from mxft.deploy.slim import SlimResult, save_slim
from mxft.deploy.slim import slim as cut
from mxft.devices import training_devices
from mxft.errors import InputError
from mxft.faces.data.layout import FaceSet, read_face_set
from mxft.faces.pairs.bin_file import PairSet, check_images, load_pairs
from mxft.faces.report.face_page import write_face_page
from mxft.faces.report.notebook import face_run_html, verified
from mxft.faces.report.run_files import FaceRunFiles
from mxft.faces.train import train_faces
from mxft.faces.training.fit import FaceResult
from mxft.faces.training.network import pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.faces.training.verifying import load_targets
from mxft.heads import find_loss_type, make_head
from mxft.heads.options import HeadOptions
from mxft.machine.notebook import near_path
from mxft.network.checkpoint import Checkpoint, load_checkpoint
from mxft.options import Keeping
from mxft.wording import plural
from mxft.workflows.told import say_page

LOG = logging.getLogger("mxft")
Pairs = Union[str, "os.PathLike[str]", PairSet]
IMAGE_SHAPE = (3, 112, 112)  # of insightface's networks
TRIPLETS, PARTS = (12, 13), 3  # losses that compare three images each
LARGEST_BATCH, LEAST_BATCH, STEPS = 64, 8, 8  # where no batch is given: so many steps an epoch, if that can be


@dataclasses.dataclass(frozen=True, repr=False)
class FaceFinetuneResult:
    """What `finetune_faces` leaves behind.

    Parameters
    ----------
    prefix : str
        Of the run's files.
    fit : FaceResult
        Steps, checkpoints, and the lines of the log.
    """

    prefix: str
    fit: FaceResult

    @property
    def model(self) -> str | None:
        """The best checkpoint by verification, ``"prefix,epoch"``; the last where nothing was verified."""
        found: str | None = self.fit.best or self.fit.last
        return found

    @property
    def report(self) -> str:
        """The run's page."""
        return f"{self.prefix}-report.html"

    def __repr__(self) -> str:
        told = "".join(f", {name} {text}" for name, text in verified(FaceRunFiles(self.prefix)))
        return f"<FaceFinetuneResult {near_path(self.prefix)}: {plural(self.fit.steps, 'step')}{told[:180]}>"

    def _repr_html_(self) -> str:
        return str(face_run_html(self.prefix, self.model))


def finetune_faces(model: Model, data: str | os.PathLike[str] | FaceSet,
                   prefix: str | os.PathLike[str] | None = None, *, pairs: Pairs | Iterable[Pairs] | None = None,
                   loss: int | str = "arcface", margin: float | None = None, scale: float | None = None,
                   epochs: int = 4, learning_rate: float = 0.01, batch_size: int | None = None,
                   momentum: float = 0.9, wd: float = 0.0005, fc7_init: str = "imprint",
                   freeze: Iterable[str] = (), freeze_epochs: int = 0, verify_every: int = 2000,
                   mirror: bool = True, seed: int = 0, gpus: str = "", cpus: int = 1, engine: str = "auto",
                   device: str | None = None, threads: int | None = None,
                   resume: str = "", tensorboard: str | None = None) -> FaceFinetuneResult:
    """Fine-tune a face checkpoint on a set of people, as insightface's ``train_softmax.py`` does.

    The network is the checkpoint's own, up to its embedding; a margin head with a class centre for each person is put
    on it. All flags of insightface's script, other networks among them, has the recipe ``train_softmax``.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    data : str, os.PathLike or FaceSet
        A folder with ``property``, ``train.rec`` and ``train.idx``: `mxft.pack_faces` makes one.
    prefix : str or os.PathLike, optional
        Of the run's files, free: ``PREFIX-symbol.json``, ``-best.params``, ``-last.params``, ``-report.html`` …;
        ``runs/NAME/model`` when None, after the set, with a number where that is taken.
    pairs : str, os.PathLike, PairSet, or an iterable of them, optional
        Verification sets; those of lfw, cfp_fp and agedb_30 that lie beside the set when None.
    loss : int or str
        ``"arcface"``, ``"cosface"``, ``"softmax"``, ``"subcenter-arcface"``, ``"triplet"`` …, or insightface's number
        of it.
    margin, scale : float, optional
        m and s of the loss; 0.5 and 64 when None. α of triplets; 0.3 when None.
    epochs : int
    learning_rate, momentum, wd : float
        Of SGD.
    batch_size : int, optional
        Of each device; with triplets a multiple of 3. When None, an eighth of the images, from 8 to 64 (6 to 63).
    fc7_init : {"imprint", "keep", "normal"}
        The class centres: the mean embedding of each person; the checkpoint's where they fit; random. Triplets have
        none.
    freeze : iterable of str
        Parameters that stay as they are: names, or patterns such as ``"stage1_*"``.
    freeze_epochs : int
        Freeze for so many epochs only; without `freeze` everything but the head.
    verify_every : int
        Steps between verifications; there is one before training and one at the end.
    mirror : bool
        Flip half of the images.
    seed : int
    gpus : str
        ``"0,1"``; empty for the CPU.
    cpus : int
        CPU contexts.
    engine : {"auto", "mxnet", "torch"}
        Whose forward and backward passes; auto takes PyTorch where `device` names one of its devices.
    device : str, optional
        Of PyTorch: ``"cuda"``, ``"cuda:1"``, ``"mps"``, ``"xpu"``, ``"cpu"``.
    threads : int, optional
    resume : {"", "auto", "must"}
    tensorboard : str, optional

    Returns
    -------
    FaceFinetuneResult
        A notebook shows its curves.

    Raises
    ------
    InputError
        Anything that is wrong with the input, before training begins and before a file is written.
    RunError
        Training could not continue; what was finished is under the prefix.

    Examples
    --------
    >>> finetune_faces("mobilefacenet-y1/model,0", "faces", "runs/faces/model", pairs="lfw.bin")   # doctest: +SKIP
    <FaceFinetuneResult runs/faces/model: 300 steps, lfw 0.99117 before, 0.99400 at step 300>
    """
    prefix = os.path.join(free_run(data, resume), "model") if prefix is None else os.fspath(prefix)
    with telling():
        checkpoint = open_model(model)
        spec = checkpoint.input_spec
        backbone = pretrained_backbone(checkpoint, (spec.shape if spec else IMAGE_SHAPE)[1:])
        faces = data if isinstance(data, FaceSet) else read_face_set(os.fspath(data))
        if faces.image_size not in (None, backbone.image_size):
            raise InputError(f"faces do not fit: expected images of {backbone.image_size}, which {checkpoint.name} "
                             f"takes, received {faces.image_size} in {faces.rec}")
        head = make_head(loss, faces.num_classes, backbone.emb_size, _head_options(loss, margin, scale))
        options = FaceOptions(
            lr=learning_rate, wd=wd, mom=momentum,
            per_batch_size=batch_size or _batch(len(faces.labels), cpus, 1 if head.centres else PARTS),
            end_epoch=epochs, verbose=verify_every, fc7_init=fc7_init if head.centres else "keep", freeze=tuple(freeze),
            freeze_epochs=freeze_epochs, rand_mirror=mirror, seed=seed, engine=engine,
            device=device)
        devices = training_devices(options, gpus, cpus)
        targets = _targets(pairs, os.path.dirname(faces.rec) or ".", backbone.image_size)
        try:
            result = train_faces(backbone, head, faces, prefix, options, devices, checkpoint, targets, threads,
                                 tensorboard, Keeping(resume=resume))
        finally:
            if os.path.exists(f"{prefix}-log.jsonl"):
                say_page(lambda: write_face_page(prefix), prefix)
    return FaceFinetuneResult(prefix, result)


def _head_options(loss: int | str, margin: float | None, scale: float | None) -> HeadOptions:
    """Return what a head is told of margin and scale, upstream's where they are None."""
    of_triplets = find_loss_type(loss).number in TRIPLETS
    given = {"triplet_alpha" if of_triplets else "margin_m": margin, "margin_s": scale}
    return HeadOptions(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _batch(images: int, devices: int, parts: int = 1) -> int:
    """Return the largest power of two that leaves `STEPS` steps an epoch, within the bounds; of it a multiple.

    No more than there are images; triplets (`parts` 3) are mined from them, as many as a batch takes.
    """
    most = max(1, images // (STEPS * devices))
    size = min(LARGEST_BATCH, max(LEAST_BATCH, 1 << (most.bit_length() - 1))) // parts * parts
    return size if parts > 1 else min(size, max(1, images // devices))


def _targets(pairs: Pairs | Iterable[Pairs] | None, folder: str, image_size: Sequence[int]) -> list[PairSet]:
    """Return the verification sets that were given, or those that lie beside the training set."""
    if pairs is None:
        beside: list[PairSet] = load_targets(folder, image_size)[0]
        return beside
    given: list[Any] = [pairs] if isinstance(pairs, (str, os.PathLike, PairSet)) else list(pairs)
    targets = [one if isinstance(one, PairSet) else load_pairs(os.fspath(one)) for one in given]
    for target in targets:
        check_images(target, image_size)
    return targets


def slim(model: Model, prefix: str | os.PathLike[str] | None = None, *, layer: str | None = None,
         image_shape: Sequence[int] | None = None, force: bool = False) -> Checkpoint:
    """Return a face checkpoint up to its embedding, without its training head; as ``mxft slim`` does.

    Parameters
    ----------
    model : str, os.PathLike or Checkpoint
        See `mxft.finetune`.
    prefix : str or os.PathLike, optional
        Of files to write: ``PREFIX-symbol.json``, ``PREFIX-0000.params``. They are kept only if they give the
        original's embedding.
    layer : str, optional
        What to keep as the output, in place of the embedding.
    image_shape : (C, H, W), optional
        Of the images that are compared; the manifest's, or 3x112x112, when None.
    force : bool
        Replace a checkpoint of that name.

    Returns
    -------
    Checkpoint

    Raises
    ------
    InputError
        No embedding is found, or a name that is taken.
    RunError
        What was written gives another embedding: it is not kept.

    Examples
    --------
    >>> slim("runs/faces/model,best", "deploy/faces").name             # doctest: +SKIP
    'deploy/faces,0'
    """
    with telling():
        original = open_model(model)
        result: SlimResult = cut(original, layer)
        dropped = ", ".join(f"{name} {shape}" for name, shape in list(result.dropped.items())[:3]) or "nothing"
        LOG.info(f"kept the network up to {result.feature.name}; dropped {dropped}")
        found: Checkpoint = result.checkpoint
        if prefix is not None:
            spec = original.input_spec
            shape = tuple(image_shape) if image_shape else spec.shape if spec else IMAGE_SHAPE
            written, difference = save_slim(result, original, os.fspath(prefix), shape, force)
            LOG.info(f"wrote {written}; its embedding differs from the original's by {difference:g}")
            found = load_checkpoint(written)
    return found
