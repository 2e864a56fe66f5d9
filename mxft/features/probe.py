"""How far a network's features carry on new pictures: a linear probe at the end of each of its stages.

Linear probes as in Alain and Bengio, arXiv:1610.01644. Where the last layer's features separate the classes best, the
pictures are like those it was trained on; where an earlier layer's do, they are not.
"""
import dataclasses
import os
import time

import numpy as np

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.data.labels import copy_records
from mxft.data.lists import shuffle, write_list
from mxft.data.packing import pack_list
from mxft.data.photographs import Photographs, reading, reads_directly
from mxft.errors import InputError
from mxft.files.staging import scratch_folder
from mxft.inference.executor import InferenceExecutor
from mxft.machine.packages import require_packages
from mxft.network.anatomy import anatomy_of
from mxft.surgery import cut_at
from mxft.surgery.depth import stage_ends
from mxft.wording import BriefRepr

CLASSES_SAMPLED, IMAGES_SAMPLED, MOST_SAMPLED = 40, 24, 480  # images of a class, and in all
TOLERANCE = 0.01  # of top-1: what an earlier layer must be better by to be called better
BATCH = 32  # images
FOLDS, REPEATS = 3, 3  # of the cross-validation: another division of so few images changed the advice


@dataclasses.dataclass(frozen=True, repr=False)
class Probe(BriefRepr):
    """What a linear classifier reaches on one layer's features.

    Parameters
    ----------
    layer : str
    features : int
        Channels, averaged over the map.
    top1 : float
        By cross-validation: each image judged by classifiers that were not fitted to it.
    """

    layer: str
    features: int
    top1: float


@dataclasses.dataclass(frozen=True, repr=False)
class Similarity(BriefRepr):
    """The evidence, and what it says.

    Parameters
    ----------
    probes : list of Probe
        From input to output; the last is the feature layer a new head would stand on.
    images : int
        Of the sample.
    chance : float
        Share of the largest class.
    seconds : float
    error : float
        Standard error of the difference in top-1 between the best layer and the last, on the same images.
    """

    probes: list
    images: int
    chance: float
    seconds: float
    error: float = 0.0

    @property
    def similar(self):
        """Whether no earlier layer is better than the last, by more than a standard error and `TOLERANCE`."""
        return self.probes[-1].top1 + max(TOLERANCE, self.error) >= max(probe.top1 for probe in self.probes)

    @property
    def best_layer(self):
        """Name of the layer whose features separate best."""
        return max(self.probes, key=lambda probe: probe.top1).layer

    def table(self):
        """Return the probes as lines of text."""
        rows = [f"  {'layer':32} {'features':>8} {'top-1':>6}"]
        rows += [f"  {probe.layer:32} {probe.features:8} {probe.top1:6.3f}" for probe in self.probes]
        return "\n".join(rows)


def measure_pictures(checkpoint, spec, pictures, resize, seed=0, threads=None, context=None):
    """Probe a checkpoint's layers on a sample of pictures: up to 24 of up to 40 classes, 480 in all.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    pictures : mxft.data.pictures.Pictures
        With one class each.
    resize : int
        Short side in pixels, before the centre crop.
    seed : int
        Of the sample and of its division.
    threads, context
        See `measure_similarity`.

    Returns
    -------
    Similarity
    """
    rows = _sample(pictures.rows, lambda row: row.labels[0], seed)
    packing = {"resize": resize, "encoding": ".png"}
    if reads_directly(packing, spec):
        with reading():
            return _measured(checkpoint, spec, Photographs(rows, pictures.root, spec, packing, BATCH, threads), seed,
                             context)
    with scratch_folder("probe") as scratch:
        prefix = os.path.join(scratch, "sample")
        write_list(prefix + ".lst", rows)
        packed = pack_list(prefix + ".lst", pictures.root, num_thread=threads or os.cpu_count() or 1, show=False,
                           **packing)
        return measure_similarity(checkpoint, spec, packed.rec, packed.packed, seed, threads, context)


def measure_records(checkpoint, spec, scan, seed=0, threads=None, context=None):
    """Do what `measure_pictures` does on a sample of a record file.

    Parameters
    ----------
    checkpoint, spec, seed, threads, context
        As of `measure_pictures`.
    scan : mxft.data.labels.LabelScan
        Of the file.

    Returns
    -------
    Similarity
    """
    sample = _sample(range(len(scan.ids)), lambda number: scan.first[number], seed)
    with scratch_folder("probe") as scratch:
        path = os.path.join(scratch, "sample.rec")
        copy_records(scan, sample, path)
        return measure_similarity(checkpoint, spec, path, len(sample), seed, threads, context)


def _sample(rows, label_of, seed):
    """Return some rows in random order: as many of each of up to 40 classes, where there are so many."""
    rows, taken, sample = shuffle(rows, seed), {}, []
    classes = list(dict.fromkeys(map(label_of, rows)))[:CLASSES_SAMPLED]
    each = min(IMAGES_SAMPLED, MOST_SAMPLED // len(classes)) if classes else 0
    for row in rows:
        label = label_of(row)
        if label in classes and taken.get(label, 0) < each:
            taken[label] = taken.get(label, 0) + 1
            sample.append(row)
    return sample


def measure_similarity(checkpoint, spec, records, count, seed=0, threads=None, context=None, batch_size=BATCH):
    """Probe a checkpoint's layers on a sample of records.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.network.input_spec.InputSpec
    records : str
        A ``.rec`` file, all of which is used: the sample.
    count : int
        Records in it.
    seed : int
        Of the divisions: two thirds fit the probe, a third is judged, in turn and three times over.
    threads : int, optional
    context : mx.Context, optional
    batch_size : int

    Returns
    -------
    Similarity

    Raises
    ------
    InputError
        Too few images to hold any out.

    Notes
    -----
    The probe is ridge regression to one-hot targets on standardised features averaged over each map, its penalty fixed:
    layers are compared, no classifier is made.

    Examples
    --------
    >>> measure_similarity(checkpoint, spec, "sample.rec", 400).similar     # doctest: +SKIP
    True
    """
    iterator = RecordIterator(records, spec, min(batch_size, count), count, threads=threads)
    return _measured(checkpoint, spec, iterator, seed, context)


def _measured(checkpoint, spec, batches, seed, context):
    """Return the Similarity of batches of images, which one pass through the network takes to all of its layers."""
    require_packages("sklearn", what="probing layers")
    began, feature = time.perf_counter(), checkpoint.anatomy.require_feature().name
    layers = stage_ends(checkpoint.symbol, spec.shape)[:-1] + [feature]  # the last stage's average is the feature
    averages = _averages(checkpoint, layers)
    outputs = anatomy_of(averages, checkpoint.arg_params, checkpoint.aux_params).outputs
    executor = InferenceExecutor(averages, checkpoint.arg_params, checkpoint.aux_params, spec.shape,
                                 batches.batch_size, context or mx.cpu(), outputs=outputs)
    found, labels = zip(*executor.over_all(batches))
    labels, probes, right = np.concatenate(labels).reshape(-1).astype(int), [], []
    for layer, parts in zip(layers, zip(*found)):
        features = np.concatenate(parts)
        features = features.reshape(*features.shape[:2], -1).mean(axis=2)
        right.append(probe_layer(features, labels, seed))
        probes.append(Probe(layer, features.shape[1], float(right[-1].mean())))
    chance = np.bincount(labels).max() / len(labels)
    return Similarity(probes, len(labels), float(chance), time.perf_counter() - began, _error(right))


def _averages(checkpoint, layers):
    """Return a symbol with an output for each layer, averaged over its map; the last as it is."""
    averages = [mx.sym.Pooling(cut_at(checkpoint.symbol, layer), global_pool=True, kernel=(1, 1), pool_type="avg",
                               name=f"probe{number}_average") for number, layer in enumerate(layers[:-1])]
    return mx.sym.Group([*averages, mx.sym.identity(cut_at(checkpoint.symbol, layers[-1]), name="probe_feature")])


def _error(right):
    """Return the standard error of the best layer's advantage over the last."""
    apart = max(right, key=np.mean) - right[-1]
    return float(apart.std(ddof=1) / np.sqrt(len(apart)))


def probe_layer(features, labels, seed=0):
    """Return in what share of the divisions each image was judged right, by ridge regression not fitted to it.

    Parameters
    ----------
    features : numpy.ndarray
        ``(N, D)``.
    labels : numpy.ndarray
        Int ``(N,)``.
    seed : int

    Returns
    -------
    numpy.ndarray
        Float ``(N,)``, of `FOLDS` stratified folds `REPEATS` times over.

    Raises
    ------
    InputError
        Fewer than 3 images a class.

    Examples
    --------
    >>> labels = np.repeat([0, 1], 6)
    >>> float(probe_layer(np.eye(2)[labels], labels).mean())
    1.0
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import RepeatedStratifiedKFold
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    counts = np.bincount(labels)
    if (counts[counts > 0] < 2).any() or len(labels) < 3 * (counts > 0).sum():
        raise InputError(f"similarity: expected at least 3 images of every class, received {len(labels)} of "
                         f"{(counts > 0).sum()} classes; say `similar` yes or no")
    folds, right = min(FOLDS, counts[counts > 0].min()), np.zeros(len(labels))
    divisions = RepeatedStratifiedKFold(n_splits=int(folds), n_repeats=REPEATS, random_state=seed)
    with threadpool_limits(1, "blas"):  # matrices of some hundred rows: a second thread waits more than it computes
        for fit, judge in divisions.split(features, labels):
            scaler = StandardScaler().fit(features[fit])
            probe = RidgeClassifier(alpha=features.shape[1] / 10).fit(scaler.transform(features[fit]), labels[fit])
            right[judge] += probe.predict(scaler.transform(features[judge])) == labels[judge]
    return right / REPEATS
