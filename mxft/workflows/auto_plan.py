"""``plan="auto"``: what suits the pictures, chosen as ``mxft advise`` chooses, where nobody says how to train."""
import dataclasses
import functools
from collections import Counter
from typing import Optional

from mxft.data.labels import scan_labels
from mxft.data.pictures import Pictures
from mxft.data.target_spec import CLASSES, TargetSpec, check_target, label_matrix
from mxft.devices import contexts
from mxft.errors import InputError
from mxft.evaluation.packing import default_resize
from mxft.features.advice import advise
from mxft.features.probe import measure_pictures, measure_records
from mxft.options import VAL_FRACTION
from mxft.wording import plural

AUTO = "auto"
# settings under which a plan that trains by steps is chosen
OF_STEPS = frozenset(("epochs", "batch_size", "learning_rate", "schedule", "warmup_epochs", "momentum", "wd", "augment",
                      "patience", "min_delta"))


@dataclasses.dataclass(frozen=True)
class Reading:
    """How pictures are divided and read, as far as the choice of a plan depends on it.

    Parameters
    ----------
    val_fraction : float or None
    per_class : int or None
    resize : int or None
        Short side in pixels; that of `mxft.evaluation.packing.default_resize` when None.
    seed : int
    threads : int or None
    gpus : str
    """

    val_fraction: Optional[float] = None
    per_class: Optional[int] = None
    resize: Optional[int] = None
    seed: int = 0
    threads: Optional[int] = None
    gpus: str = ""


def choose(checkpoint, spec, data, kind=CLASSES, reading=Reading(), by_steps=False):
    """Return the advice for pictures or records, and why.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    data : mxft.data.pictures.Pictures or mxft.data.datasets.Records
    kind : {"classes", "multi-label", "regression"}
    reading : Reading
    by_steps : bool
        Only plans that train by steps: see `mxft.features.advice.advise`.

    Returns
    -------
    advice : mxft.features.advice.Advice or None
        None where the records are none to train on: preparation then says what is wrong with them.
    said : str
        Plan, settings and reason, in lines.

    Examples
    --------
    >>> advice, said = choose(checkpoint, spec, open_pictures("photos"))      # doctest: +SKIP
    >>> advice.settings                                                       # doctest: +SKIP
    {'plan': 'head', 'solver': 'logistic', 'cache.mode': 'memory'}
    """
    images, outputs, ratio, measure = _measured(data, kind, reading, spec)
    if not images:
        return None, ""
    evidence, why = None, f"layers are probed for classes alone: pictures with {kind} are assumed to be similar"
    if kind == CLASSES:
        evidence, why = _evidence(measure, checkpoint, spec, reading)
    similar = evidence.similar if evidence else True
    by_steps = by_steps or "," in str(reading.gpus)  # a solver computes on one device
    advice = advise(images, outputs, similar, None if similar else evidence.best_layer, kind, by_steps, ratio)
    settings = " ".join(f"`{name}={value!r}`" for name, value in advice.told_settings.items())
    return advice, f"plan auto: {advice.plan}\n  {settings}\n  {advice.reason}\n  {why}"


def training_images(pictures, reading=Reading()):
    """Return how many of some pictures are trained on: what is left of them when a part is held out for validation.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
        With labels.
    reading : Reading

    Returns
    -------
    int
    """
    if reading.per_class:
        return reading.per_class * pictures.target.size
    return len(pictures.rows) if pictures.val is not None else round(
        (1 - (reading.val_fraction or VAL_FRACTION)) * len(pictures.rows))


def class_ratio(pictures, reading=Reading()):
    """Return the images of the largest class over those of the smallest, of some pictures to train on.

    Parameters
    ----------
    pictures : mxft.data.pictures.Pictures
        With labels.
    reading : Reading

    Returns
    -------
    float
        1 of labels that are no classes, of as many images of each class, and where a class has none.
    """
    if pictures.target.kind != CLASSES or reading.per_class:
        return 1.0
    return _ratio([row.labels[0] for row in pictures.rows], pictures.target.size)


def _ratio(labels, classes):
    """Return how often the most frequent of some labels occurs, over how often the rarest does; 1 if one is missing."""
    counts = Counter(labels).values()
    return max(counts) / min(counts) if len(counts) == classes else 1.0


def _measured(data, kind, reading, spec):
    """Return training images, outputs, their ratio, and what measures similarity; 0 images of other records."""
    if isinstance(data, Pictures):
        return training_images(data, reading), data.target.size, class_ratio(data, reading), functools.partial(
            measure_pictures, pictures=data, resize=reading.resize or default_resize(spec))
    try:
        scan = scan_labels(data.train)
        if kind == CLASSES and scan.labels.ndim > 1:
            return 0, 0, 1.0, None
        check_target(scan, TargetSpec(kind, data.num_classes or (int(scan.first.max()) + 1 if kind == CLASSES else
                                                                 label_matrix(scan).shape[1])))
    except (InputError, ValueError, OverflowError):
        return 0, 0, 1.0, None
    outputs = len(set(scan.first.tolist())) if kind == CLASSES else label_matrix(scan).shape[1]
    ratio = _ratio(scan.first.tolist(), data.num_classes or outputs) if kind == CLASSES else 1.0
    return len(scan.ids), outputs, ratio, functools.partial(measure_records, scan=scan)


def _evidence(measure, checkpoint, spec, reading):
    """Return a Similarity and what it says in words, or None and why there is none."""
    try:
        found = measure(checkpoint, spec, seed=reading.seed, threads=reading.threads,
                        context=contexts(reading.gpus)[0])
    except InputError as error:
        return None, f"layers were not probed ({error}): the pictures are assumed to be similar"
    last, best = found.probes[-1].top1, max(probe.top1 for probe in found.probes)
    told = (f"on {plural(found.images, 'picture')}, in {found.seconds:.0f} s, a linear classifier on the last layer's "
            f"features has a top-1 of {last:.3f}")
    return found, told if found.similar else f"{told}, on those of {found.best_layer} {best:.3f}"
