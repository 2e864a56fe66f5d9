"""Train a head on a frozen backbone that runs at inference speed, or not at all: its features are kept.

What the plain plan computes (fixed parameters, BatchNorm with its moving statistics), without the training executor's
forward pass below the cut. What is saved is the ordinary checkpoint of the whole network.
"""
import dataclasses
import logging
import math
import weakref

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError
from mxft.evaluation.scoring import score_iterator
from mxft.features.cut import HEAD_INPUT
from mxft.features.iterator import FeatureIterator, LiveFeatures
from mxft.features.known import KnownFeatures
from mxft.features.store import CacheOptions, FeatureStore, backbone_facts
from mxft.files.whole import sha256
from mxft.inference.executor import InferenceExecutor
from mxft.training.fit import FitOptions, fit
from mxft.training.stages import require_cut

LOG = logging.getLogger("mxft")


def fit_frozen_backbone(network, plan, train, run, schedule, options=None, contexts=None, validation=None, cache=None,
                        scored=None, after=None, objective=None, samples=None):
    """Train what lies above the frozen backbone of a network and keep checkpoints of the whole.

    Parameters
    ----------
    network : mxft.training.network.Network
        Anything with `symbol`, `arg_params` and `aux_params`, and a `target` where it is not one of N classes; only
        parameters of the head may be missing.
    plan : mxft.freeze.FreezePlan
        Of the whole network.
    train : mxft.data.iterators.RecordIterator
        With mode ``none`` it is read as `fit` would; with the others its epochs are the views.
    run : mxft.training.run.Run
        Made with the user's own symbol.
    schedule, options, contexts, after, objective
        See `mxft.training.fit.fit`. The backbone runs on the first context.
    validation : mxft.data.iterators.RecordIterator, optional
        Without augmentation. Its features are kept as the training records' are.
    cache : CacheOptions, optional
        Mode ``none`` when None.
    scored : callable of Score, optional
        Called with the validation's score after every epoch.
    samples : mxft.training.novelty.NoveltySamples, optional
        Which keeps some of the features, where they are cached.

    Returns
    -------
    FitResult
        Of `fit`; its parameters are the whole network's.

    Raises
    ------
    InputError
        The plan leaves no frozen backbone, an option the head alone cannot carry out (mixup), or what `fit` refuses.
    RunError
        As of `fit`, and features that are not finite or do not fit float16.

    Notes
    -----
    Same seed, same crops: with mode ``none``, or as many views as epochs, losses agree with the plain plan's to
    float32's rounding. With fewer views the backbone's features repeat, in a new order. A ReLU6 or a BatchNorm fused
    for inference rounds differently from the one trained with: about 1e-6 of a feature.

    Examples
    --------
    >>> train = RecordIterator("train.rec", spec, 32, 3072, augment=1, shuffle=True)           # doctest: +SKIP
    >>> cache = CacheOptions("memory", views=4)                                             # doctest: +SKIP
    >>> fit_frozen_backbone(network, plan, train, run, schedule, cache=cache).best             # doctest: +SKIP
    'runs/mine/model,best'
    """
    options, cache, contexts = options or FitOptions(), cache or CacheOptions(), contexts or [mx.cpu()]
    cut = require_cut(network.symbol, plan)
    if options.mixup:
        raise InputError(f"frozen backbone: expected `mixup=0`, received `mixup={options.mixup}`; images are mixed "
                         "before the backbone, so train with the plain plan")
    backbone = BackboneFeatures(cut, network, contexts[0], cache, train.num_records, options.rewrite, run.log)
    views = min(cache.view_count, options.epochs)
    if views < cache.view_count:
        LOG.info(f"train: {views} of {cache.view_count} views are made, one for each epoch")
    features = backbone.features(train, "train", cache.budget, views)
    held_out = backbone.features(validation, "validation", backbone.left, 1, shuffle=False) if validation else None
    metrics = backbone.validation(held_out, scored) if validation else None
    result = fit(cut.head, _of(cut.head.list_arguments(), network.arg_params),
                 _of(cut.head.list_auxiliary_states(), network.aux_params), head_plan(plan, cut), features,
                 _JoinedRun(run, network), schedule, options, contexts, metrics, after, objective=objective)
    if samples and isinstance(features, FeatureIterator) and not result.interrupted:
        samples.keep(cut.layer, *gathered(features, 1)[:2], gathered(held_out, 1)[0] if validation else None)
    if result.parameters[0]:
        result = dataclasses.replace(result, parameters=_joined(network, *result.parameters))
    return result


fit_frozen_trunk = fit_frozen_backbone  # its name in 0.1.0


def head_plan(plan, cut):
    """Return the plan of a whole network cut down to the head's parameters."""
    own = set(cut.head_parameters)
    changes = {"trainable": tuple(name for name in plan.trainable if name in own),
               "frozen": tuple(name for name in plan.frozen if name in own)}
    if plan.multipliers:
        changes["multipliers"] = {name: factor for name, factor in plan.multipliers.items() if name in own}
    return dataclasses.replace(plan, **changes)


def gathered(iterator, views):
    """Return the features ``(views * N, …)`` of an iterator's first epochs, one a view, labels and images' numbers."""
    features, labels = [], []
    for _ in range(views):
        iterator.reset()
        for batch in iterator:
            rows = batch.data[0].shape[0] - batch.pad
            features.append(batch.data[0].asnumpy()[:rows])
            labels.append(batch.label[0].asnumpy()[:rows])
    labels = np.concatenate(labels)
    return np.concatenate(features), labels, np.tile(np.arange(len(labels) // views), views)


class BackboneFeatures:
    """The frozen backbone of one training, and how its features are obtained.

    Parameters
    ----------
    cut : mxft.features.cut.BackboneCut
    network : mxft.training.network.Network
    context : mx.Context
    cache : CacheOptions
    images : int
        Of the training records: what an executor is told to expect, whichever records it computes first.
    rewrite : bool
        See `mxft.inference.executor.InferenceExecutor`.
    log : callable, optional
        ``log(event, **facts)``, told what was bound.

    Attributes
    ----------
    left : int
        Bytes of the cache's budget that are not used yet.
    """

    def __init__(self, cut, network, context, cache, images, rewrite=True, log=None):
        self._cut, self._network, self._context, self._cache = cut, network, context, cache
        self._images, self._rewrite, self._log = images, rewrite, log
        self._facts, self.left = None, cache.budget
        self._executors = weakref.WeakValueDictionary()  # by batch size, for as long as someone has use for it

    def features(self, records, name, budget, views, shuffle=True):
        """Return an iterator over the features of `records`; `left` becomes what the budget still holds.

        Of `mxft.features.known.KnownFeatures` they are there already.
        """
        if isinstance(records, KnownFeatures):
            if self._log and name == "train":
                self._log("bound", rewrites=records.applied, plan="frozen backbone")
            return self._iterator(records, records, shuffle)
        if self._cache.mode == "none":
            return self._live(records)
        if views > 1 and not records.is_random:
            LOG.info(f"{name}: 1 view instead of {views}, nothing is random without augmentation")
            views = 1
        if self._cache.mode == "disk" and self._facts is None:
            self._facts = {**backbone_facts(self._cut.backbone, self._network.arg_params, self._network.aux_params),
                           **self._network.precision.entry()}
        facts = {**self._facts, "records": sha256(records.path), "reading": records.facts()} if self._facts else {}
        store = FeatureStore(lambda: self._executor(records), records.epoch, facts, self._cache.mode,
                             self._cache.place, max(1, budget), self._cache.dtype, views, name)
        if store.mode == "none":
            return self._live(records)
        self.left = budget - views * store.view_bytes(store.dtype)
        return self._iterator(store, records, shuffle)

    @staticmethod
    def _iterator(store, records, shuffle):
        return FeatureIterator(store, records.batch_size, seed=records.seed, shuffle=shuffle, data_name=HEAD_INPUT,
                               label_name=records.provide_label[0].name,
                               label_width=math.prod(records.provide_label[0].shape[1:]))

    def validation(self, features, scored=None):
        """Return ``(arg_params, aux_params) -> metrics`` of a head on held-out `features`."""
        return _Validation(self._cut.head, features, self._context, scored,
                           getattr(self._network, "target", None)).metrics

    def _live(self, records):
        return LiveFeatures(self._executor(records), records)

    def _executor(self, records):
        executor = self._executors.get(records.batch_size)
        if executor is None:
            executor = InferenceExecutor(self._cut.backbone, self._network.arg_params, self._network.aux_params,
                                         tuple(records.provide_data[0].shape[1:]), records.batch_size, self._context,
                                         self._rewrite, precision=self._network.precision)
            executor.expect(self._images)
            if self._log:
                self._log("bound", rewrites=executor.applied, plan="frozen backbone")
            self._executors[records.batch_size] = executor
        return executor


class _Validation:
    """Scores a head on the features of the validation records."""

    def __init__(self, head, features, context, scored, target):
        self._head, self._features, self._context, self._scored = head, features, context, scored
        self._target = target

    def metrics(self, arg_params, aux_params):
        """Return the metrics of these parameters' score."""
        executor = InferenceExecutor(self._head, arg_params, aux_params, self._features.provide_data[0].shape[1:],
                                     self._features.batch_size, self._context)
        score = score_iterator(executor, self._features, target=self._target)
        if self._scored:
            self._scored(score)
        return score.metrics()


class _JoinedRun:
    """A run that is given the head's parameters and saves the whole network's."""

    def __init__(self, run, network):
        self._run, self._network, self.log = run, network, run.log
        self.state, self.name = getattr(run, "state", None), getattr(run, "name", None)

    def save(self, epoch, arg_params, aux_params, metrics):
        """Save the checkpoint of backbone and head; return its name."""
        return self._run.save(epoch, *_joined(self._network, arg_params, aux_params), metrics)


def _joined(network, arg_params, aux_params):
    return {**network.arg_params, **arg_params}, {**network.aux_params, **aux_params}


def _of(names, values):
    return {name: values[name] for name in names if name in values}
