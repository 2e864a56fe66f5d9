"""train_softmax.py in one call: a face set, a network, a head and a checkpoint to trained weights that are verified.

Follows insightface's src/train_softmax.py of 2018–2019.
"""
import dataclasses
import os
import platform
import shlex

import numpy as np

from mxft import __version__
from mxft.backbones.faces import initializer as trunk_initializer
from mxft.checkpoint import parent_entry
from mxft.compat import mx
from mxft.data.faces.iterators import FaceIterator
from mxft.data.normalization import InputSpec
from mxft.distributed.workers import join
from mxft.errors import InputError
from mxft.evaluation.identification import class_centres
from mxft.inference import InferenceExecutor
from mxft.report.event_files import EventFiles
from mxft.rewrite import rewrite_for_training
from mxft.training.faces.checkpoints import FaceRun
from mxft.training.faces.fit import fit_faces, phases
from mxft.training.faces.imprint import embed_set, imprint_head
from mxft.training.faces.memory import available_memory, estimate_memory, peak_memory, require_memory
from mxft.training.faces.network import attach_face_head
from mxft.training.faces.options import learning_rate_steps
from mxft.training.faces.transfer import transfer_face
from mxft.training.faces.verifying import Verifier
from mxft.training.fit import seed_everything
from mxft.training.following import share_state
from mxft.training.run import SilentRun
from mxft.training.state import Keeping, open_state, require_resumable

EMBEDDING_BATCH = 32  # images a forward pass of verification and imprinting
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
    keeping : mxft.training.state.Keeping, optional
        How often the state is written down, and whether the run goes on with one. Which checkpoints are kept, the
        options say.

    Returns
    -------
    FaceResult

    Raises
    ------
    InputError
        Anything wrong with the input, before training begins and before a file is written.
    RunError
        Training could not go on; what was earned is under the prefix.

    Examples
    --------
    >>> backbone = FaceBackbone(face_network("y1", 128, versions=Versions(output="GDC")), "y1", 128)   # doctest: +SKIP
    >>> head = make_head("arcface", faces.num_classes, 128)                                            # doctest: +SKIP
    >>> train_faces(backbone, head, faces, "runs/y1", FaceOptions(lr=0.001, end_epoch=2), [mx.cpu()],
    ...             load_checkpoint("mobilefacenet-y1/model,0")).best                                  # doctest: +SKIP
    'runs/y1,best'
    """
    shape = (3, *backbone.image_size)
    keeping = keeping or Keeping()
    require_resumable(options.kvstore, keeping)
    if options.fc7_init == "imprint" and (checkpoint is None or options.reinit_embedding):
        raise InputError("fc7-init: expected a pretrained embedding to imprint from, received none; give --pretrained "
                         "and leave --reinit-embedding out")
    network = attach_face_head(backbone.symbol, head, options.ce_loss)
    transfer = transfer_face(network, checkpoint, shape, options.fc7_init == "keep", options.reinit_embedding)
    stages = phases(options, network, transfer.arg_params)
    workers = join(options.kvstore)
    _require_a_batch(faces, options, contexts, workers)
    estimate = _require_memory(backbone, faces, options, contexts)
    seed_everything(workers.seed(options.seed))
    train = FaceIterator(faces, options.per_batch_size * len(contexts), backbone.image_size, shuffle=True,
                         seed=options.seed, mirror=options.rand_mirror, cutoff=options.cutoff, color=options.color,
                         threads=threads, worker=workers.rank, workers=workers.count)
    run = _run(prefix, network, _manifest(backbone, head, faces, checkpoint), keeping, options, contexts,
               workers)
    if tensorboard and workers.writes:
        run.listen(EventFiles(tensorboard))
    run.write_json("transfer.json", transfer.report.to_dict())
    goes_on = bool(run.state and run.state.goes_on)
    run.log("resumed" if goes_on else "start", model=checkpoint.name if checkpoint else None,
            options=dataclasses.asdict(options), network=backbone.name, head=head.describe(),
            devices=[str(context) for context in contexts], workers=workers.count,
            memory=estimate.total(options.per_batch_size),
            **_facts(faces, train, targets, stages, network, options, workers))
    _announce(run, backbone, network, transfer, stages, estimate, faces, train, options, contexts, checkpoint, workers)
    if options.fc7_init == "imprint" and workers.writes and not goes_on:  # the others are given what rank 0 begins with
        transfer.arg_params.update(_imprinted(backbone, network, transfer, faces, contexts[0], threads))
    targets = targets if workers.writes else ()
    verifier = Verifier(backbone.symbol, targets, shape, EMBEDDING_BATCH, contexts[0], run.log, run.write_json)
    result = fit_faces(network, transfer.arg_params, transfer.aux_params, train, run, verifier, options, contexts,
                       trunk_initializer(backbone.name), stages)
    run.log("end", steps=result.steps, best=result.best, last=result.last, interrupted=result.interrupted,
            peak_memory=peak_memory())
    if workers.writes:
        _conclude(result, verifier)
    return result


def _run(prefix, network, manifest, keeping, options, contexts, workers):
    """Return the run, its state read where it goes on; of the workers that are not the first a silent one."""
    asked = {"options": dataclasses.asdict(options), "devices": [str(context) for context in contexts],
             **workers.facts(), **{name: manifest[name] for name in ("network", "head", "parent", "data", "input")}}
    state = share_state(workers, asked, lambda: open_state(f"{prefix}-state", asked, keeping, f"prefix={prefix!r}"))
    if not workers.writes:
        return SilentRun(prefix, state)
    if state and state.goes_on:
        print(f"going on with {prefix} after step {state.found['step']:,}")
    return FaceRun(prefix, network.saved, manifest, options.ckpt, state)


def _require_a_batch(faces, options, contexts, workers):
    devices = len(contexts) * workers.count
    most = len(faces.labels) // devices
    if options.per_batch_size > most:
        advice = f"try --per-batch-size {most}" if most else "use fewer devices"
        raise InputError(f"per-batch-size: expected at most {most}, as {len(faces.labels)} images fill no larger batch "
                         f"on {devices} device{'s' * (devices > 1)}, received per-batch-size="
                         f"{options.per_batch_size}; {advice}")


def _require_memory(backbone, faces, options, contexts):
    """Estimate the memory the run needs on a device, refusing what cannot fit."""
    sharing = len(contexts) if contexts[0].device_type == "cpu" else 1
    shape = (3, *backbone.image_size)
    embedding, _ = rewrite_for_training(backbone.symbol, contexts[0].device_type, options.rewrite)
    estimate = estimate_memory(embedding, faces.num_classes, backbone.emb_size, shape, sharing)
    for context in contexts[:1] if sharing > 1 else contexts:
        require_memory(estimate, options.per_batch_size, available_memory(context))
    return estimate


def _imprinted(backbone, network, transfer, faces, context, threads):
    """Return fc7's parameters with the class means of the training images in place of random centres."""
    head = network.head
    executor = InferenceExecutor(backbone.symbol, transfer.arg_params, transfer.aux_params, (3, *backbone.image_size),
                                 EMBEDDING_BATCH, context)
    images = FaceIterator(faces, EMBEDDING_BATCH, backbone.image_size, shuffle=False, threads=threads, last="pad")
    centres, counts = class_centres(*embed_set(executor, images, "imprinting"), head.num_classes)
    random = np.random.normal(0, RANDOM_CENTRE, centres.shape).astype(np.float32)
    weight = imprint_head(random, centres, counts)
    print(f"fc7: {int((counts > 0).sum())} class centres imprinted from {int(counts.sum())} images")
    return {head.parameters[0]: mx.nd.array(weight)}


def _manifest(backbone, head, faces, checkpoint):
    """Return what the weights alone do not tell."""
    return {"format": 1, "input": InputSpec((3, *backbone.image_size)).to_dict(),
            "network": {"name": backbone.name, "emb_size": backbone.emb_size},
            "head": {"loss": head.name, "num_classes": head.num_classes, "describe": head.describe(),
                     **dataclasses.asdict(head.options)},
            "parent": parent_entry(checkpoint) if checkpoint else None,
            "data": {"train": {"file": os.path.basename(faces.rec), "images": len(faces.labels),
                               "identities": faces.identities}},
            "versions": {"mxft": __version__, "mxnet": mx.__version__, "numpy": np.__version__,
                         "python": platform.python_version()}}


def _facts(faces, train, targets, stages, network, options, workers):
    """Return what the log says of data, verification sets, schedule and phases."""
    return {"data": {"path": os.path.abspath(faces.rec), "images": len(faces.labels),
                     "identities": faces.identities, "batch_size": train.batch_size,
                     "steps_an_epoch": train.batches},
            "targets": [{"name": pairs.name, "pairs": len(pairs.issame), "same": int(pairs.issame.sum())}
                        for pairs in targets],
            "lr_steps": learning_rate_steps(options, network.head.loss_type,
                                            train.batch_size * workers.gradients_an_update),
            "phases": [{"until": stage.until, "trainable": len(stage.plan.trainable),
                        "frozen": len(stage.plan.frozen)} for stage in stages]}


def _announce(run, backbone, network, transfer, stages, estimate, faces, train, options, contexts, checkpoint,
              workers):
    """Say what will be done, and to which weights, before anything is done."""
    size = "x".join(map(str, backbone.image_size))
    print(f"data: {faces}; {train.batches} steps an epoch of {train.batch_size} images on "
          f"{', '.join(map(str, contexts))}")
    if workers.count > 1:
        print(f"{workers.describe()}: {workers.count} x {train.batch_size} images a step; figures of the log are those "
              "of rank 0's images")
    for note in faces.notes:
        print(f"  {note}")
    print(f"network: {backbone.name}, input {size} RGB raw 0-255, embedding {backbone.emb_size}")
    print(f"head: {network.head.describe()}, {network.head.num_classes} classes")
    if checkpoint:
        print(f"{checkpoint.name}: {transfer.report.summary()}")
        for theirs, ours in transfer.renamed.items():
            print(f"  {ours} is called {theirs} in the checkpoint")
        _say_what_is_new(transfer, options)
    shapes = {row.name: row.symbol_shape for row in transfer.report.rows if row.symbol_shape}
    for stage in stages:
        until = f"until epoch {stage.until}: " if len(stages) > 1 else ""
        print(until + stage.plan.describe(shapes))
    print(estimate.describe(options.per_batch_size))
    steps = learning_rate_steps(options, network.head.loss_type, train.batch_size * workers.gradients_an_update)
    print(f"lr {options.lr:g}, a tenth after steps {', '.join(map(str, steps))}; momentum {options.mom:g}, "
          f"weight decay {options.wd:g}")
    print(f"writing {os.path.abspath(run.prefix)}-symbol.json, -best.params, -last.params, -log.jsonl", flush=True)


def _say_what_is_new(transfer, options):
    if transfer.new_embedding:
        print("the embedding layer begins anew, as --reinit-embedding asks; the class centres with it")
    if transfer.new_head and options.fc7_init != "imprint":
        higher = "" if transfer.new_embedding else " (--fc7-init imprint starts higher)"
        print("fc7 begins anew: accuracy starts near 0, which is normal" + higher)
    elif not transfer.new_head:
        print("fc7 is the checkpoint's: same number of classes. With other people: --fc7-init normal or imprint")


def _conclude(result, verifier):
    for line in verifier.summary():
        print(line)
    if result.interrupted:
        print(f"interrupted at step {result.steps}; saved as {result.last}" if result.last else
              "interrupted before training began: nothing to save")
        return
    print(f"{result.steps} steps done; best {result.best}, last {result.last}; "
          f"for deployment: python tools/model_slim.py --model {shlex.quote(result.best)}")
