"""What a face run says: to whom watches before it begins and when it has ended, and in the first line of its log."""
import dataclasses
import logging
import os
import shlex

from mxft.faces.training.options import learning_rate_steps
from mxft.faces.training.sharding import describe_shards
from mxft.heads.triplet import Triplet
from mxft.machine.notebook import told_path
from mxft.network.graph import Graph
from mxft.training.accumulation import updates_of
from mxft.training.sanity import Steps, doubts, warn
from mxft.wording import plural

LOG = logging.getLogger("mxft")
_NAMES = {"batch": "per_batch_size", "rate": "lr", "epochs": "end_epoch", "end": "max_steps"}
RATE_FROM_SCRATCH = 0.1  # upstream's, which has to fall before a run ends


def start_facts(task, targets):
    """Return what the log says of devices, data, verification sets, schedule and phases.

    Parameters
    ----------
    task : FacePreparation
    targets : sequence of PairSet

    Returns
    -------
    dict
    """
    options, faces, train, checkpoint = task.options, task.faces, task.train, task.checkpoint
    return {"model": checkpoint.name if checkpoint else None, "options": dataclasses.asdict(options),
            "network": task.backbone.name, "head": task.network.head.describe(),
            "devices": [str(context) for context in task.contexts], "workers": task.workers.count,
            "memory": task.estimate.total(options.per_batch_size),
            "data": {"path": os.path.abspath(faces.rec), "images": len(faces.labels),
                     "identities": faces.identities, "batch_size": options.accumulate * train.batch_size,
                     "steps_an_epoch": updates_of(train.batches, options.accumulate)},
            "targets": [{"name": pairs.name, "pairs": len(pairs.issame), "same": int(pairs.issame.sum())}
                        for pairs in targets],
            "lr_steps": _rate_falls_after(task), "warnings": face_doubts(task),
            "phases": [{"until": stage.until, "trainable": len(stage.plan.trainable),
                        "frozen": len(stage.plan.frozen)} for stage in task.stages]}


def _rate_falls_after(task):
    return learning_rate_steps(task.options, task.network.head.loss_type,
                               task.train.batch_size * task.workers.gradients_an_update)


def announce(task, prefix):
    """Say what will be done, and to which weights, before anything is done.

    Parameters
    ----------
    task : FacePreparation
    prefix : str
        Of the files that will be written.
    """
    options = task.options
    _say_which_images(task)
    _say_which_network(task)
    shapes = {row.name: row.symbol_shape for row in task.transfer.report.rows if row.symbol_shape}
    for stage in task.stages:
        until = f"until epoch {stage.until}: " if len(task.stages) > 1 else ""
        LOG.info(until + stage.plan.describe(shapes))
    LOG.info(task.estimate.describe(options.per_batch_size))
    LOG.info(f"lr {options.lr:g}, a tenth after steps {', '.join(map(str, _rate_falls_after(task)))}; momentum "
             f"{options.mom:g}, weight decay {options.wd:g}")
    warn(face_doubts(task))
    LOG.info(f"writing {told_path(prefix)}-symbol.json, -best.params, -last.params, -log.jsonl")


def face_doubts(task):
    """Return what of the options cannot go well with the images there are: see `mxft.training.sanity`.

    Parameters
    ----------
    task : FacePreparation

    Returns
    -------
    list of str
    """
    options, transfer = task.options, task.transfer
    falls = options.lr_steps or (_rate_falls_after(task)[:1] if options.lr >= RATE_FROM_SCRATCH else ())
    loaded = set(transfer.arg_params) & set(task.network.embedding.list_arguments())
    trains = any(loaded & set(stage.plan.trainable) for stage in task.stages)
    return doubts(Steps(len(task.faces.labels), options.per_batch_size, options.end_epoch,
                        len(task.contexts) * task.workers.gradients_an_update * options.accumulate, options.max_steps,
                        _rate_of_doubts(task) if trains else 0.0, options.mom, falls=tuple(falls),
                        new_head=transfer.new_head and options.fc7_init != "imprint",
                        updates=updates_of(task.train.batches, options.accumulate),
                        batch_statistics=_batch_statistics(task)), _NAMES)


def _rate_of_doubts(task):
    """Return the learning rate to judge; 0 of triplets, whose gradient is far smaller than a scaled softmax's."""
    return 0.0 if isinstance(task.network.head, Triplet) else task.options.lr


def _batch_statistics(task):
    """Return how many layers of the embedding network normalise with the statistics of the batch, in the last phase."""
    symbol = task.stages[-1].plan.training_symbol(task.network.embedding)
    return sum(node.op == "BatchNorm" and not node.flag("use_global_stats") for node in Graph(symbol).operators())


def _say_which_images(task):
    train, workers, batches = task.train, task.workers, task.options.accumulate
    images = f"{batches} x {train.batch_size} = {batches * train.batch_size}" if batches > 1 else train.batch_size
    LOG.info(f"data: {task.faces}; {updates_of(train.batches, batches)} steps an epoch of {images} images on "
             f"{', '.join(map(str, task.contexts))}")
    if workers.count > 1:
        LOG.info(f"{workers.describe()}: {workers.count} x {batches * train.batch_size} images a step; figures of the "
                 "log are those of rank 0's images")
    for note in (*task.faces.notes, *train.notes):
        LOG.info(f"  {note}")


def _say_which_network(task):
    backbone, head, transfer = task.backbone, task.network.head, task.transfer
    LOG.info(f"network: {backbone.name}, input {'x'.join(map(str, backbone.image_size))} RGB raw 0-255, embedding "
             f"{backbone.emb_size}")
    LOG.info(f"head: {head.describe()}, {head.num_classes} classes")
    length = head.emb_size * head.centres // head.num_classes
    shards = describe_shards(task.options, head.num_classes, length, len(task.contexts))
    if shards:
        LOG.info(shards)
    if task.checkpoint:
        LOG.info(f"{task.checkpoint.name}: {transfer.report.summary()}")
        for theirs, ours in transfer.renamed.items():
            LOG.info(f"  {ours} is called {theirs} in the checkpoint")
        _say_what_is_new(transfer, head, task.options)


def _say_what_is_new(transfer, head, options):
    if transfer.new_embedding:
        LOG.info("the embedding layer begins again, as `reinit_embedding` asks"
                 + "; the class centres with it" * transfer.new_head)
    if not head.centres:
        if any(row.name.startswith("fc7") for row in transfer.report.named("dropped")):
            LOG.info(f"fc7 of the checkpoint is left out: {head.name} trains the embedding alone")
    elif transfer.new_head and options.fc7_init != "imprint":
        higher = "" if transfer.new_embedding else " (`fc7_init='imprint'` starts higher)"
        LOG.info("fc7 is new: accuracy starts near 0, which is normal" + higher)
    elif not transfer.new_head:
        LOG.info("fc7 is the checkpoint's: same number of classes. With other people: `fc7_init='normal'` or "
                 "`fc7_init='imprint'`")


def conclude(result, verifier, best_step=None):
    """Say what came of it.

    Parameters
    ----------
    result : FaceResult
    verifier : Verifier
    best_step : int, optional
        The step the best checkpoint is of.
    """
    for line in verifier.summary():
        LOG.info(line)
    if result.interrupted:
        LOG.info(f"interrupted at step {result.steps}; saved as {result.last}" if result.last else
                 "interrupted before training began: nothing to save")
        return
    of = " (step 0: no verification since was better)" if best_step == 0 else ""
    LOG.info(f"{plural(result.steps, 'step')} done; best {result.best}{of}, last {result.last}; "
             f"for deployment: mxft slim --model {shlex.quote(result.best)}")
