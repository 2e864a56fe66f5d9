"""train_softmax.py in one call: a face set, a network, a head and a checkpoint to trained weights that are verified.

Follows insightface's src/train_softmax.py of 2018–2019.
"""
import dataclasses
import logging
import os
import platform

import numpy as np

from mxft import __version__
from mxft.backbones.faces import initializer as backbone_initializer
from mxft.compat import mx
from mxft.devices import names_of_devices, without_engine
from mxft.faces.evaluation.identification import class_centres
from mxft.faces.sets.overlap import tell_overlap
from mxft.faces.training.announcing import announce, conclude, start_facts
from mxft.faces.training.checkpoints import FaceRun
from mxft.faces.training.fit import fit_faces
from mxft.faces.training.imprint import EMBEDDING_BATCH, embed_as_trained, imprint_head
from mxft.faces.training.memory import peak_memory
from mxft.faces.training.preparation import prepare_faces
from mxft.faces.training.verifying import Verifier
from mxft.machine.packages import require_packages
from mxft.network.checkpoint import parent_entry
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.report.event_files import EventFiles
from mxft.training.fit import seed_everything
from mxft.training.resume.following import share_state
from mxft.training.resume.state import Keeping, open_state, require_resumable
from mxft.training.run import SilentRun

LOG = logging.getLogger("mxft")

RANDOM_CENTRE = 0.01  # standard deviation of a random class centre's numbers, as upstream begins fc7


def train_faces(backbone, head, faces, prefix, options, contexts, checkpoint=None, targets=(), threads=None,
                tensorboard=None, keeping=None):
    """Train a face network, or fine-tune a checkpoint's.

    Parameters
    ----------
    backbone : FaceBackbone
    head : mxft.heads.Head
    faces : FaceSet
    prefix : str
        Of the files to write; free.
    options : FaceOptions
    contexts : list of mx.Context
    checkpoint : Checkpoint, optional
        ``--pretrained``.
    targets : sequence of PairSet
        Verification sets, see `load_targets`.
    threads : int, optional
        Decoding threads.
    tensorboard : str, optional
        Folder for TensorBoard's event files.
    keeping : mxft.training.resume.state.Keeping, optional
        How often the state is written down, and whether the run resumes from one. Which checkpoints are kept, the
        options say.

    Returns
    -------
    FaceResult

    Raises
    ------
    InputError
        Anything wrong with the input, before training begins and before a file is written.
    RunError
        Training could not continue; what was finished is under the prefix.

    Examples
    --------
    >>> backbone = FaceBackbone(face_network("y1", 128, versions=Versions(output="GDC")), "y1", 128)   # doctest: +SKIP
    >>> head = make_head("arcface", faces.num_classes, 128)                                            # doctest: +SKIP
    >>> train_faces(backbone, head, faces, "runs/y1", FaceOptions(lr=0.001, end_epoch=2), [mx.cpu()],
    ...             load_checkpoint("mobilefacenet-y1/model,0")).best                                  # doctest: +SKIP
    'runs/y1,best'
    """
    require_packages("tqdm", "matplotlib", "jinja2", what="training and its report")
    keeping = keeping or Keeping()
    require_resumable(options.kvstore, keeping)
    task = prepare_faces(backbone, head, faces, options, contexts, checkpoint, threads)
    seed_everything(task.workers.seed(options.seed))
    with _run(prefix, task, keeping, tensorboard) as run:
        arg_params = _begin(run, task, targets, threads)
        verifier = Verifier(backbone.symbol, targets if task.workers.writes else (), task.image_shape, EMBEDDING_BATCH,
                            contexts[0], run.log, run.write_json)
        result = fit_faces(task.network, arg_params, task.transfer.aux_params, task.train, run, verifier, options,
                           contexts, backbone_initializer(backbone.name), task.stages)
        run.log("end", steps=result.steps, best=result.best, last=result.last, interrupted=result.interrupted,
                peak_memory=peak_memory())
        if task.workers.writes:
            conclude(result, verifier, run.best_step)
        return result


def _run(prefix, task, keeping, tensorboard):
    """Return the run, its state read where it is resumed; of the workers that are not the first a silent one."""
    manifest, workers = _manifest(task), task.workers
    asked = {"options": without_engine(dataclasses.asdict(task.options)), "devices": names_of_devices(task.contexts),
             **workers.facts(), **{name: manifest[name] for name in ("network", "head", "parent", "data", "input")}}
    state = share_state(workers, asked, lambda: open_state(f"{prefix}-state", asked, keeping, f"prefix={prefix!r}"))
    if not workers.writes:
        return SilentRun(prefix, state)
    if state and state.resumed:
        with state.restoring():
            LOG.info(f"resuming {prefix} after step {state.found['step']:,}")
    run = FaceRun(prefix, task.network.saved, manifest, task.options.ckpt, state)
    if tensorboard:
        run.listen(EventFiles(tensorboard))
    return run


def _begin(run, task, targets, threads):
    """Write and say what the run is about to do; return the parameters it begins with, centres imprinted if asked."""
    run.write_json("transfer.json", task.transfer.report.to_dict())
    resumed = bool(run.state and run.state.resumed)
    asks = targets and task.workers.writes and not resumed
    overlap = {"overlap": tell_overlap(task.faces, targets, threads)} if asks else {}
    run.log("resumed" if resumed else "start", **start_facts(task, targets), **overlap)
    announce(task, run.prefix)
    imprinting = task.options.fc7_init == "imprint" and task.workers.writes and not resumed
    # without it the others are given what rank 0 begins with
    return {**task.transfer.arg_params, **(_imprinted(task, threads) if imprinting else {})}


def _imprinted(task, threads):
    """Return fc7's parameters with the class means of the training images in place of random centres."""
    head, transfer = task.network.head, task.transfer
    embeddings = embed_as_trained(task.backbone.symbol, (transfer.arg_params, transfer.aux_params), task.faces,
                                  task.backbone.image_size, task.contexts[0], threads, "imprinting")
    centres, counts = class_centres(embeddings, task.faces.labels, head.num_classes)
    shape = head.variable_specs()[head.parameters[0]][0]
    weight = imprint_head(np.random.normal(0, RANDOM_CENTRE, shape).astype(np.float32), centres, counts)
    LOG.info(f"fc7: {int((counts > 0).sum())} class centres imprinted from {int(counts.sum())} images")
    return {head.parameters[0]: mx.nd.array(weight)}


def _manifest(task):
    """Return what the weights alone do not tell."""
    backbone, head, faces, checkpoint = task.backbone, task.network.head, task.faces, task.checkpoint
    return {"format": 1, "input": InputSpec(task.image_shape).to_dict(),
            "network": {"name": backbone.name, "emb_size": backbone.emb_size},
            "embedding": Graph(backbone.symbol).nodes[-1].name,
            "head": {"loss": head.name, "num_classes": head.num_classes, "describe": head.describe(),
                     **dataclasses.asdict(head.options)},
            "parent": parent_entry(checkpoint) if checkpoint else None,
            "data": {"train": {"file": os.path.basename(faces.rec), "images": len(faces.labels),
                               "identities": faces.identities}},
            "versions": {"mxft": __version__, "mxnet": mx.__version__, "numpy": np.__version__,
                         "python": platform.python_version()}}
