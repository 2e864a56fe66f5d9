"""Fine-tune a checkpoint on record files: the tutorial from ``load_checkpoint`` to the score, in one call.

Follows MXNet's tutorial "Fine-tune with Pretrained Models" (get_fine_tune_model, fit, score).
"""
import dataclasses
import os
import platform

import numpy as np

from mxft import __version__
from mxft.checkpoint import load_checkpoint, parent_entry
from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.data.labels import check_labels, scan_labels
from mxft.data.normalization import InputSpec
from mxft.devices import contexts as make_contexts
from mxft.devices import kvstore as check_kvstore
from mxft.errors import InputError
from mxft.evaluation.scoring import score_iterator
from mxft.files import require_file, sha256
from mxft.freeze import freeze_plan
from mxft.inference import InferenceExecutor
from mxft.report.curves import draw_curves
from mxft.training.fit import FitOptions, fit, make_initializer, optimizer_arguments, seed_everything
from mxft.training.network import with_kept_head, with_new_head
from mxft.training.run import RunFolder
from mxft.training.schedule import learning_rate_schedule


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train; the defaults are the tutorial's.

    Parameters
    ----------
    plan : str
        See `mxft.freeze`.
    batch_norm : {"train", "eval"} or None
    layer : str or None
        Feature layer.
    require_head : bool
        Keep the checkpoint's classifier, and refuse one of another size.
    batch_size : int
        Over all devices.
    learning_rate : float
    schedule : {"constant", "step", "cosine"}
    lr_steps : sequence of float
        Epochs, for ``step``.
    lr_factor : float
    warmup_epochs : float
    augment : {0, 1, 2, 3}
    seed : int
    fit : FitOptions
    """

    plan: str = "full"
    batch_norm: str = None
    layer: str = None
    require_head: bool = False
    batch_size: int = 128
    learning_rate: float = 0.01
    schedule: str = "constant"
    lr_steps: tuple = ()
    lr_factor: float = 0.1
    warmup_epochs: float = 0.0
    augment: int = 1
    seed: int = 0
    fit: FitOptions = dataclasses.field(default_factory=FitOptions)


@dataclasses.dataclass(frozen=True)
class FinetuneResult:
    """What `finetune` leaves behind.

    Parameters
    ----------
    run : str
        The run folder.
    fit : FitResult
    score : Score or None
        Of the best checkpoint on the validation records.
    """

    run: str
    fit: object
    score: object


def finetune(model, data, run, recipe=None, spec=None, gpus="", cpus=1, threads=None, keep_every=0):
    """Put a new head on a checkpoint, train it by a plan, and score the best epoch.

    Parameters
    ----------
    model : str or Checkpoint
        ``"prefix,epoch"``.
    data : mxft.data.datasets.Records
    run : str
        Folder for the run, new or empty.
    recipe : Recipe, optional
    spec : InputSpec, optional
        What the network expects; by default the checkpoint's manifest, else 224x224 raw RGB as the tutorial's ResNets.
    gpus : str
        ``"0,1"``; empty for the CPU.
    cpus : int
        CPU contexts.
    threads : int, optional
        Decoding threads.
    keep_every : int
        Keep every n-th epoch's checkpoint beside best and last.

    Returns
    -------
    FinetuneResult

    Raises
    ------
    InputError
        Anything that is wrong with the input, before training begins and before the run folder is made.
    RunError
        Training could not go on; the run folder holds what was earned.

    Examples
    --------
    >>> data = Records("train.rec", "val.rec", classes=names)                        # doctest: +SKIP
    >>> finetune("resnet-50,0", data, "runs/mine", Recipe(plan="head")).score.top1   # doctest: +SKIP
    0.77
    """
    recipe = recipe or Recipe()
    checkpoint = load_checkpoint(model) if isinstance(model, str) else model
    spec = spec or checkpoint.input_spec or InputSpec()
    devices = check_recipe(recipe, checkpoint, spec, gpus, cpus)
    scans, num_classes = _check_data(data)
    _check_sizes(data, spec)
    network = (with_kept_head(checkpoint, num_classes, spec.shape) if recipe.require_head
               else with_new_head(checkpoint, num_classes, spec.shape, recipe.layer))
    plan = freeze_plan(recipe.plan, network.symbol, network.head_parameters, recipe.batch_norm)
    folder = RunFolder(run, network.symbol, _manifest(checkpoint, network, spec, data), keep_every)
    _announce(folder, checkpoint, network, plan, spec, scans, devices, recipe)
    seed_everything(recipe.seed)
    train = RecordIterator(data.train, spec, recipe.batch_size, len(scans["train"].ids), recipe.augment, shuffle=True,
                           seed=recipe.seed, threads=threads)
    schedule = _schedule(recipe, train.batches)
    validation = _Validation(network, spec, data, scans, recipe.batch_size, devices[0], threads)
    result = fit(network.symbol, network.arg_params, network.aux_params, plan, train, folder, schedule, recipe.fit,
                 devices, validation.metrics if data.val else None)
    return _finish(folder, result, validation.best)


def check_recipe(recipe, checkpoint, spec, gpus="", cpus=1):
    """Refuse, before any data is touched, a recipe that cannot be carried out on this checkpoint and machine.

    Parameters
    ----------
    recipe : Recipe
    checkpoint : Checkpoint
    spec : InputSpec
    gpus : str
    cpus : int

    Returns
    -------
    list of mx.Context

    Raises
    ------
    InputError
        Devices, kvstore, plan, schedule, optimizer, layer, or parameters that are missing or do not fit; the message
        gives what there is instead.
    """
    devices = make_contexts(gpus, cpus)
    check_kvstore(recipe.fit.kvstore)
    optimizer_arguments(recipe.fit, _schedule(recipe, batches=1000))
    make_initializer(recipe.fit.initializer)
    if recipe.batch_size % len(devices):
        raise InputError(f"batch size: expected a multiple of the {len(devices)} devices, received "
                         f"batch-size={recipe.batch_size}")
    network = with_new_head(checkpoint, 2, spec.shape, recipe.layer)
    freeze_plan(recipe.plan, network.symbol, network.head_parameters, recipe.batch_norm)
    return devices


def _schedule(recipe, batches):
    return learning_rate_schedule(recipe.schedule, recipe.learning_rate, recipe.fit.epochs, batches, recipe.lr_steps,
                                  recipe.lr_factor, recipe.warmup_epochs)


def _check_data(data):
    """Scan the labels of both files; return the scans and the number of classes."""
    for path in filter(None, (data.train, data.val)):
        require_file(path, "records")
    scan = scan_labels(data.train)
    num_classes = data.num_classes or (len(data.classes) if data.classes else None)
    if num_classes is None:
        num_classes = _classes_of(scan)
    if data.classes and len(data.classes) != num_classes:
        raise InputError(f"class names: expected as many as there are classes, {num_classes}, received "
                         f"{len(data.classes)} names; give --classes a file with one a line")
    scans = {"train": check_labels(scan, num_classes)}
    if data.val:
        scans["val"] = check_labels(scan_labels(data.val), num_classes)
    if num_classes < 2 or len(np.unique(np.asarray(scan.labels).reshape(len(scan.ids), -1)[:, 0])) < 2:
        raise InputError(f"nothing to learn: expected at least 2 classes in {data.train}, received one")
    return scans, num_classes


def _classes_of(scan):
    """Return the highest label + 1, refusing a number that a stray label must have made."""
    first = np.asarray(scan.labels).reshape(len(scan.ids), -1)[:, 0] if len(scan.ids) else np.zeros(0)
    if not len(first) or not np.isfinite(first).all():
        return 2  # check_labels says what is wrong
    classes = int(first.max()) + 1
    if classes > max(2, len(first)):
        raise InputError(f"number of classes: expected no more than there are records in {scan.path}, {len(first)}, "
                         f"received a highest label of {classes - 1}; say --num-classes {classes} where that is meant")
    return classes


def _check_sizes(data, spec):
    packed = (data.packing or {}).get("resize") or 0
    if packed and not spec.resize and packed < max(spec.shape[1:]):
        raise InputError(f"records are smaller than the network's input: expected images of at least "
                         f"{max(spec.shape[1:])} pixels, received resize={packed}; pack with --resize "
                         f"{max(spec.shape[1:])} or more, or choose a smaller --image-shape")


def _manifest(checkpoint, network, spec, data):
    """Return what the weights alone do not tell."""
    records = {name: {"file": os.path.basename(path), "sha256": sha256(path)}
               for name, path in (("train", data.train), ("val", data.val)) if path}
    return {"format": 1, "classes": data.classes, "input": spec.to_dict(), "packing": data.packing,
            "head": {"layer": network.layer, "feature": network.feature.name, "num_classes": network.num_classes,
                     "loss": "softmax"},
            "parent": parent_entry(checkpoint), "data": records,
            "versions": {"mxft": __version__, "mxnet": mx.__version__, "numpy": np.__version__,
                         "python": platform.python_version()}}


def _announce(folder, checkpoint, network, plan, spec, scans, devices, recipe):
    """Say what will be done, and write it down, before anything is done."""
    shapes = {row.name: row.symbol_shape for row in network.report.rows if row.symbol_shape}
    folder.write_json("transfer.json", network.report.to_dict())
    folder.log("start", model=checkpoint.name, recipe=dataclasses.asdict(recipe), devices=[str(d) for d in devices])
    counts = ", ".join(f"{len(scan.ids)} {name}" for name, scan in scans.items())
    print(f"{network.describe()}\n{plan.describe(shapes)}\n"
          f"input: {spec.describe()}{'' if checkpoint.manifest else ' (no manifest: the default, or your flags)'}\n"
          f"data: {counts} images, {network.num_classes} classes; batch {recipe.batch_size} on "
          f"{', '.join(map(str, devices))}; {recipe.fit.optimizer} lr {recipe.learning_rate:g} "
          f"({recipe.schedule}), {recipe.fit.epochs} epochs, seed {recipe.seed}\n"
          f"run folder: {os.path.abspath(folder.path)}", flush=True)


class _Validation:
    """Scores every epoch through the inference executor and remembers the best one's figures."""

    def __init__(self, network, spec, data, scans, batch_size, context, threads):
        self.best = None
        if not data.val:
            return
        records = len(scans["val"].ids)
        self._records = RecordIterator(data.val, spec, min(batch_size, records), records, threads=threads)
        self._symbol, self._shape, self._context = network.symbol, spec.shape, context

    def metrics(self, arg_params, aux_params):
        """Return {"top1", "top5", "loss"} of these parameters."""
        executor = InferenceExecutor(self._symbol, arg_params, aux_params, self._shape, self._records.batch_size,
                                     self._context)
        score = score_iterator(executor, self._records)
        if self.best is None or (score.top1, -score.loss) > (self.best.top1, -self.best.loss):
            self.best = score
        return {"top1": score.top1, "top5": score.top5, "loss": score.loss}


def _finish(folder, result, best_score):
    """Draw the curves and say the one line people wait for."""
    if result.history:
        draw_curves(result.history, folder.file("curves.png"))
    folder.log("end", best=result.best, stopped=result.stopped)
    if result.stopped:
        print(result.stopped)
    if best_score is not None:
        print(f"best: {best_score} at epoch {result.best_epoch}")
    print(f"saved: {result.best or result.last or 'nothing'}", flush=True)
    return FinetuneResult(folder.path, result, best_score)
