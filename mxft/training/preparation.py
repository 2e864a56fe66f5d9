"""What has to be known before training begins: devices, classes, network and stages of a recipe; or a refusal."""
import dataclasses

import numpy as np

from mxft.data.labels import check_labels
from mxft.data.target_spec import CLASSES, MULTI_LABEL, TargetSpec, check_target, label_matrix, target_of
from mxft.devices import kvstore as check_kvstore
from mxft.devices import training_devices
from mxft.errors import InputError
from mxft.features.solvers import require_every_class
from mxft.features.target_solvers import require_both
from mxft.files.whole import require_file
from mxft.machine.packages import require_packages
from mxft.training.backbone_precision import backbone_precision, images_of_records
from mxft.training.contradictions import refuse_unmeasured
from mxft.training.network import with_kept_head, with_new_head, without_parameters
from mxft.training.optimizer import make_initializer, optimizer_arguments
from mxft.training.precision import check_precision
from mxft.training.staged import stage_schedule
from mxft.training.stages import training_stages
from mxft.training.targets import check_targets, class_weights_balanced
from mxft.wording import BriefRepr, plural


@dataclasses.dataclass(frozen=True, repr=False)
class Preparation(BriefRepr):
    """A recipe made concrete on its checkpoint and data.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
        With its class weights as numbers.
    network : mxft.training.network.Network
    stages : list of mxft.training.stages.Stage
    scans : dict of str to LabelScan
        Of ``train`` and, where there is one, ``val``.
    devices : list of mx.Context
    hashes : dict of str to str
        SHA-256 of the record files, by the names of `scans`.
    """

    recipe: object
    network: object
    stages: list
    scans: dict
    devices: list
    hashes: dict


@dataclasses.dataclass(frozen=True, repr=False)
class CheckedRecipe(BriefRepr):
    """What `check_recipe` found to be possible, for `prepare` to continue from.

    Parameters
    ----------
    recipe : mxft.training.recipe.Recipe
    checkpoint : Checkpoint
    spec : InputSpec
    devices : list of mx.Context
    network : mxft.training.network.Network or None
        None where only the machine was asked.
    """

    recipe: object
    checkpoint: object
    spec: object
    devices: list
    network: object = None

    def network_for(self, recipe, checkpoint, spec, target):
        """Return the network where it is the one of these, None where it has to be made."""
        same = self.recipe is recipe and self.checkpoint is checkpoint and self.spec == spec
        made = self.network if same and target.kind == CLASSES else None  # units of numbers come of the records
        return made if made and (made.target.kind, made.num_classes) == (CLASSES, target.size) else None


def prepare(checkpoint, data, recipe, spec, gpus="", cpus=1, checked=None, threads=None):
    """Refuse, before anything is written, what cannot be trained; return what training starts from.

    Parameters
    ----------
    checkpoint : Checkpoint
    data : mxft.data.datasets.Records
    recipe : mxft.training.recipe.Recipe
    spec : InputSpec
    gpus : str
    cpus : int
    checked : CheckedRecipe, optional
        Of the same recipe and checkpoint: what has been made for it is not made again.
    threads : int, optional
        For decoding images to calibrate on.

    Returns
    -------
    Preparation

    Raises
    ------
    InputError
        What `check_recipe` refuses, and records, labels or class names that do not go together.
    """
    if data.target not in (None, recipe.target):
        raise InputError(f"targets: expected what the records were made for, `target={data.target!r}`, received "
                         f"`target={recipe.target!r}`")
    checked = checked or check_machine(recipe, checkpoint, spec, gpus, cpus)
    scans, target, hashes = _check_data(data, recipe.target)
    _check_sizes(data, spec)
    network = checked.network_for(recipe, checkpoint, spec, target) or _network(recipe, checkpoint, target, spec)
    precision = data.precision or backbone_precision(
        checkpoint, network, recipe, checked.devices,
        images_of_records(scans["train"], spec, target.label_width, threads))
    network = network if precision.is_exact else dataclasses.replace(network, precision=precision)
    recipe = _weighted(recipe, scans["train"], target.size, data.classes)
    if recipe.solver:
        _require_solvable(scans["train"], target)
    if recipe.is_solved and not data.val:
        refuse_unmeasured(recipe)
    stages = _checked_stages(recipe, network, spec, checked.devices)
    return Preparation(recipe, network, stages, scans, checked.devices, hashes)


def _weighted(recipe, scan, num_classes, classes):
    """Return the recipe with its class weights as numbers."""
    weights = recipe.class_weight
    if weights == "balanced":
        weights = class_weights_balanced(scan.first, num_classes, classes)
    options = dataclasses.replace(recipe.fit, class_weights=recipe.fit.class_weights if weights is None else weights)
    check_targets(options, num_classes)
    return dataclasses.replace(recipe, fit=options, class_weight=None)


def _require_solvable(scan, target):
    """Refuse training records that a solver can make no head of."""
    if target.kind == CLASSES:
        require_every_class(scan.first.astype(int), target.size)
    elif target.kind == MULTI_LABEL:
        require_both(label_matrix(scan), target)


def _network(recipe, checkpoint, target, spec):
    """Return the network the recipe trains, its parameters matched, or none loaded for the plan ``scratch``."""
    if recipe.require_head:
        return with_kept_head(checkpoint, target.size, spec.shape, target)
    network = with_new_head(checkpoint, target.size, spec.shape, recipe.layer, recipe.hidden, recipe.head_name, target)
    return without_parameters(network, spec.shape) if recipe.plan == "scratch" else network


def check_machine(recipe, checkpoint, spec, gpus="", cpus=1):
    """Refuse devices, a kvstore or names MXNet does not have (InputError), or a package that is missing; return a
    CheckedRecipe without network."""
    if gpus and cpus != 1:
        raise InputError(f"devices: expected `gpus`, or `cpus` where there are none, received `gpus={gpus!r}` and "
                         f"`cpus={cpus}`; leave one of them out")
    require_packages("tqdm", "matplotlib", "jinja2", *["sklearn"] * bool(recipe.solver), what="training and its report")
    devices = training_devices(recipe.fit, gpus, cpus)
    if recipe.is_solved and len(devices) > 1:
        raise InputError(f"devices: expected one beside `solver={recipe.solver!r}`, which computes on one, received "
                         f"{len(devices)} ({', '.join(map(str, devices))})")
    check_kvstore(recipe.fit.kvstore)
    check_precision(recipe.fit, devices)
    make_initializer(recipe.fit.initializer)
    return CheckedRecipe(recipe, checkpoint, spec, devices)


def check_recipe(recipe, checkpoint, spec, gpus="", cpus=1, num_classes=None):
    """Refuse, before any data is touched, a recipe that cannot be carried out on this checkpoint and machine.

    Parameters
    ----------
    recipe : Recipe
    checkpoint : Checkpoint
    spec : InputSpec
    gpus : str
    cpus : int
    num_classes : int, optional
        Of one-of-N classes. Where it is known already, `prepare` takes the network made here.

    Returns
    -------
    CheckedRecipe

    Raises
    ------
    InputError
        Devices, kvstore, plan, schedule, optimizer, layer, or parameters that are missing or do not fit; the message
        gives what there is instead.
    """
    checked = check_machine(recipe, checkpoint, spec, gpus, cpus)
    network = (with_new_head(checkpoint, 2, spec.shape, recipe.layer, recipe.hidden, recipe.head_name)
               if num_classes is None else _network(recipe, checkpoint, TargetSpec(CLASSES, num_classes), spec))
    _checked_stages(recipe, network, spec, checked.devices)
    return dataclasses.replace(checked, network=None if num_classes is None else network)


def check_before_packing(recipe, checkpoint, spec, target, gpus="", cpus=1):
    """Refuse what cannot be trained before any picture is packed: what `check_recipe` does, as far as is known.

    Parameters
    ----------
    recipe, checkpoint, spec, gpus, cpus
        As of `check_recipe`.
    target : mxft.data.target_spec.TargetSpec or None
        Of the pictures; None of records, which are asked with the rest.

    Returns
    -------
    CheckedRecipe
    """
    if target is None:
        return check_machine(recipe, checkpoint, spec, gpus, cpus)
    if target.kind == CLASSES:
        return check_recipe(recipe, checkpoint, spec, gpus, cpus, target.size)
    if recipe.require_head:
        with_kept_head(checkpoint, target.size, spec.shape, target)
    return check_recipe(recipe, checkpoint, spec, gpus, cpus)


def _checked_stages(recipe, network, spec, devices):
    """Return the stages of a recipe, refusing an optimizer, a schedule or a batch size that cannot be."""
    stages = training_stages(recipe, network.symbol, network.head_parameters, spec.shape)
    for stage in stages:
        try:
            optimizer_arguments(stage.fit, stage_schedule(recipe, stage, updates=1000))
        except InputError as error:
            if len(stages) == 1:
                raise
            raise InputError(f"stage {stage.name}, of {plural(stage.fit.epochs, 'epoch')}: {error.message}") from None
        if stage.batch_size % len(devices):
            raise InputError(f"batch size: expected a multiple of the {len(devices)} devices, received "
                             f"`batch_size={stage.batch_size}`")
    return stages


def _check_data(data, kind):
    """Scan the labels of both files and check their images; return the scans, the TargetSpec and the hashes."""
    for path in filter(None, (data.train, data.val)):
        require_file(path, "records")
    scan = data.scan("train")
    if kind == CLASSES:
        scans, target = _check_classes(data, scan)
    else:
        target = target_of(scan, kind, data.classes, data.num_classes)
        scans = {"train": scan, **({"val": _check_validation(data.scan("val"), target)} if data.val else {})}
    hashes = {name: data.hash_of(name, scanned) for name, scanned in scans.items()}
    return scans, target, hashes


def _check_validation(scan, target):
    """Return the scan of validation records, refusing some that no figure can be made of."""
    check_target(scan, target)
    if target.kind == MULTI_LABEL and not scan.labels.any():
        raise InputError(f"nothing to validate by: expected images with labels in {scan.path}, received "
                         f"{len(scan.ids)} without any")
    return scan


def _check_classes(data, scan):
    """Return the scans of records of one class each, and their TargetSpec."""
    num_classes = data.num_classes or (len(data.classes) if data.classes else None)
    if num_classes is None:
        num_classes = _classes_of(scan)
    if data.classes and len(data.classes) != num_classes:
        raise InputError(f"class names: expected as many as there are classes, {num_classes}, received "
                         f"{len(data.classes)} names; give `classes` with one a line")
    scans = {"train": check_labels(scan, num_classes)}
    if data.val:
        scans["val"] = check_labels(data.scan("val"), num_classes)
    if num_classes < 2 or len(np.unique(scan.first)) < 2:
        raise InputError(f"nothing to learn: expected at least 2 classes in {data.train}, received one")
    return scans, TargetSpec(CLASSES, num_classes, tuple(data.classes) if data.classes else None)


def _classes_of(scan):
    """Return the highest label + 1, refusing a number that a stray label must have made."""
    first = scan.first
    if not len(first) or not np.isfinite(first).all():
        return 2  # check_labels says what is wrong
    classes = int(first.max()) + 1
    if classes > max(2, len(first)):
        raise InputError(f"number of classes: expected no more than there are records in {scan.path}, {len(first)}, "
                         f"received a highest label of {classes - 1}; say `num_classes={classes}` where that is meant")
    return classes


def _check_sizes(data, spec):
    packed = (data.packing or {}).get("resize") or 0
    if packed and not spec.resize and packed < max(spec.shape[1:]):
        raise InputError(f"records are smaller than the network's input: expected images of at least "
                         f"{max(spec.shape[1:])} pixels, received resize={packed}; pack with `resize` "
                         f"{max(spec.shape[1:])} or more, or choose a smaller `image_shape`")
