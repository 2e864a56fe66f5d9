"""Fine-tune a checkpoint on record files: the tutorial from ``load_checkpoint`` to the score, in one call.

Follows MXNet's tutorial "Fine-tune with Pretrained Models" (get_fine_tune_model, fit, score).
"""
import dataclasses
import logging
import math
import os
import platform
from typing import Any

import numpy as np

from mxft import __version__
from mxft.compat import mx
from mxft.data.datasets import Records
from mxft.data.labels import scan_labels
from mxft.data.oversampling import oversample_records
from mxft.data.sharing import share_records
from mxft.data.target_spec import CLASSES
from mxft.devices import names_of_devices, without_engine
from mxft.distributed.workers import join
from mxft.errors import RunError
from mxft.evaluation.scoring import with_source
from mxft.freeze import describe_rates
from mxft.machine.notebook import in_notebook, near_path, told_path
from mxft.network.calibration import Calibration
from mxft.network.checkpoint import load_checkpoint, parent_entry
from mxft.network.input_spec import InputSpec
from mxft.report.curves import draw_curves
from mxft.report.event_files import EventFiles
from mxft.training.contradictions import refuse_unkept
from mxft.training.fit import FitResult, seed_everything
from mxft.training.preparation import prepare
from mxft.training.recipe import Recipe
from mxft.training.resume.following import share_state
from mxft.training.resume.state import Keeping, open_state, require_resumable
from mxft.training.run import RunFolder, SilentRun
from mxft.training.sanity import recipe_doubts, warn
from mxft.training.staged import StagedTraining
from mxft.wording import plural

LOG = logging.getLogger("mxft")


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
    data : mxft.data.datasets.Records
    written : bool
        False where another worker than this one has written the run.
    """

    run: str
    fit: FitResult
    score: Any
    data: Records
    written: bool = True

    @property
    def report(self):
        """The run's page, ``report.html`` in its folder."""
        return os.path.join(self.run, "report.html")

    @property
    def model(self):
        """The best checkpoint, ``"prefix,epoch"``: what `score`, `predict` and the others take as their model."""
        return self.fit.best or self.fit.last

    @property
    def judged(self):
        """The best epoch's score in words, and which epoch it is."""
        if self.score is None:
            return "not validated"
        return f"{self.score}, {f'at epoch {self.fit.best_epoch}' if self.fit.best_epoch else 'of the fitted head'}"

    def __repr__(self):
        return f"<FinetuneResult {near_path(self.run)}: {self.judged}>"

    def _repr_html_(self):
        from mxft.report.notebook import result_html

        return result_html(self)


def finetune(model, data, run, recipe=None, spec=None, gpus="", cpus=1, threads=None, keeping=None, tensorboard=None,
             checked=None):
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
    keeping : Keeping, optional
    tensorboard : str, optional
        Folder for TensorBoard's event files; it may lie in the run folder.
    checked : mxft.training.preparation.CheckedRecipe, optional
        What `check_recipe` gave for this recipe and checkpoint: it is not made again.

    Returns
    -------
    FinetuneResult

    Raises
    ------
    InputError
        Anything that is wrong with the input, before training begins and before the run folder is made.
    RunError
        Training could not continue; the run folder holds what was finished.

    Examples
    --------
    >>> data = Records("train.rec", "val.rec", classes=names)                        # doctest: +SKIP
    >>> finetune("resnet-50,0", data, "runs/mine", Recipe(plan="head")).score.top1   # doctest: +SKIP
    0.77
    """
    recipe = recipe or Recipe()
    keeping = keeping or Keeping()
    require_resumable(recipe.fit.kvstore, keeping)
    refuse_unkept(recipe, keeping)
    checkpoint = load_checkpoint(model) if isinstance(model, str) else model
    spec = spec or checkpoint.input_spec or checkpoint.assumed_spec(InputSpec())
    ready = prepare(checkpoint, data, recipe, spec, gpus, cpus, checked, threads)
    recipe, network, scans = ready.recipe, ready.network, ready.scans
    workers = join(recipe.fit.kvstore)
    share = None
    if workers.count > 1:
        share = share_records(data.train, scans["train"].offsets, workers.rank, workers.count)
    manifest = _manifest(checkpoint, network, spec, data, ready.hashes)
    with _folder(run, keeping, recipe, manifest, ready, workers) as folder:
        if tensorboard and workers.writes:
            folder.listen(EventFiles(tensorboard))
        _announce(folder, checkpoint, ready, spec, data, workers)
        seed_everything(workers.seed(recipe.seed))
        if recipe.oversample:
            data, scans["train"] = _oversampled(data, folder, recipe.seed)
        training = StagedTraining(network, data, spec, recipe, folder, ready.devices, threads,
                                  {name: len(scan.ids) for name, scan in scans.items()}, share)
        result = training.run(ready.stages)
        return (_finish(folder, result, training.best_score, data) if workers.writes
                else FinetuneResult(folder.path, result, None, data, written=False))


def _folder(run, keeping, recipe, manifest, ready, workers):
    """Return the run folder, or what the workers that are not the first have in its place."""
    asked = dataclasses.asdict(recipe)
    asked = {"recipe": {**asked, "fit": without_engine(asked["fit"])}, "devices": names_of_devices(ready.devices),
             **workers.facts(), **{name: manifest[name] for name in ("classes", "input", "parent", "data")}}
    state = share_state(workers, asked, lambda: _state(run, keeping, asked))
    if not workers.writes:
        return SilentRun(run, state)
    return RunFolder(run, ready.network.symbol, manifest, keeping.every, state, keeping.last)


def _state(run, keeping, asked):
    """Return the run's state, read where the run is resumed."""
    state = open_state(os.path.join(run, "state"), asked, keeping, f"run={run!r}")
    if state.resumed:
        with state.restoring():
            done = len([row for row in state.found["epochs"]["history"] if row["epoch"]])
            batches = f" and {state.found['batch']:,} batches of the next" if state.found["batch"] else ""
            LOG.info(f"resuming {run} after {plural(done, 'epoch')}{batches}")
    return state


def _oversampled(data, folder, seed):
    """Return Records whose classes are all as large as the largest, and their scan."""
    path = oversample_records(data.train, folder.file("oversampled.rec"), seed)
    scan = scan_labels(path)
    LOG.info(f"oversampled: {len(scan.ids)} records an epoch, {os.path.basename(path)}")
    return dataclasses.replace(data, train=path), scan


def _manifest(checkpoint, network, spec, data, hashes):
    """Return what the weights alone do not tell."""
    records = {name: {"file": os.path.basename(path), "sha256": hashes[name]}
               for name, path in (("train", data.train), ("val", data.val)) if path}
    target = {} if network.target.kind == CLASSES else {"target": network.target.to_dict()}
    return {"format": 1, "classes": data.classes, "input": spec.to_dict(), "packing": data.packing,
            "head": {"layer": network.layer, "feature": network.feature.name, "num_classes": network.num_classes,
                     "loss": network.loss}, **target,
            "parent": parent_entry(checkpoint), "data": records, **network.precision.entry(),
            "versions": {"mxft": __version__, "mxnet": mx.__version__, "numpy": np.__version__,
                         "python": platform.python_version()}}


def _announce(folder, checkpoint, ready, spec, data, workers):
    """Say what will be done, and write it down, before anything is done."""
    network, recipe, devices = ready.network, ready.recipe, ready.devices
    shapes = {row.name: row.symbol_shape for row in network.report.rows if row.symbol_shape}
    folder.write_json("transfer.json", network.report.to_dict())
    records = {name: os.path.abspath(path) for name, path in (("train", data.train), ("val", data.val)) if path}
    resumed = folder.state and folder.state.resumed
    doubts = _doubts(ready, workers)
    pictures = {"pictures": data.root} if data.root else {}
    folder.log("resumed" if resumed else "start", model=checkpoint.name, recipe=dataclasses.asdict(recipe),
               devices=[str(d) for d in devices], records=records, **pictures, workers=workers.count,
               augmentation=[dataclasses.asdict(stage.augmentation) for stage in ready.stages], warnings=doubts)
    counts = ", ".join(f"{len(scan.ids)} {name}" for name, scan in ready.scans.items())
    LOG.info(f"{network.describe()}\n"
             f"input: {spec.describe()}{_origin(checkpoint, spec)}\n"
             f"data: {counts} images, {network.target.describe()}; on {', '.join(map(str, devices))}, "
             f"seed {recipe.seed}")
    if workers.count > 1 or recipe.fit.accumulate > 1:
        LOG.info(_division(workers, recipe))
    if recipe.solver:
        LOG.info(f"head: fitted by the solver {recipe.solver}")
    if ready.stages:
        LOG.info(f"augmentation: {_augmentations(ready.stages)}")
    for number, stage in enumerate(ready.stages, 1):
        LOG.info(f"{f'stage {number}, ' if len(ready.stages) > 1 else ''}{stage.plan.describe(shapes)}\n"
                 f"  {plural(stage.fit.epochs, 'epoch')}, batch {stage.batch_size}, {stage.fit.optimizer} "
                 f"({recipe.schedule}); {describe_rates(stage.plan.rates(stage.learning_rate, network.symbol))}")
    LOG.info(f"run folder: {told_path(folder.path)}")
    warn(doubts)


def _doubts(ready, workers):
    """Return what of the settings cannot go well, see `mxft.training.sanity`."""
    images = np.unique(ready.scans["train"].first, return_counts=True)[1]
    return recipe_doubts(ready.recipe, ready.stages, ready.network.head_parameters,
                         int(images.max() * len(images) if ready.recipe.oversample else len(ready.scans["train"].ids)),
                         workers.gradients_an_update * ready.recipe.fit.accumulate)


def _origin(checkpoint, spec):
    """Return where a checkpoint's input is known from, in words; empty where its manifest says it."""
    if checkpoint.input_spec:
        return ""
    assumed = "shape" not in checkpoint.manifest and spec == checkpoint.assumed_spec(InputSpec())
    return (" (assumed: the checkpoint has no manifest; `image_shape`, `rgb_mean` and `rgb_std` say otherwise)"
            if assumed else " (as given: the checkpoint has no manifest)")


def _augmentations(stages):
    """Return in one line what happens to training images at random, stage by stage where it is not the same."""
    told = [stage.augmentation.describe() for stage in stages]
    return told[0] if len(set(told)) == 1 else "; ".join(f"stage {i}: {text}" for i, text in enumerate(told, 1))


def _division(workers, recipe):
    """Return, in words, what an update is made of: of several workers, of several batches, or both."""
    factors = [number for number in (workers.gradients_an_update, recipe.fit.accumulate) if number > 1]
    batch = recipe.batch_size
    made_of = f"{' x '.join(map(str, [*factors, batch]))} = {math.prod(factors) * batch} images an update"
    if workers.count == 1:
        return f"gradients of {recipe.fit.accumulate} batches are added: {made_of}"
    if workers.gradients_an_update == 1:
        made_of = (f"an update after every worker's {recipe.fit.accumulate * batch} images, without waiting for the "
                   "others")
    return f"{workers.describe()}: each reads its share of the records, {made_of}; losses are those of rank 0's share"


def _finish(folder, result, best_score, data):
    """Draw the curves and say the one line people wait for."""
    if any(row["epoch"] for row in result.history):  # a fitted head's one row is no curve
        try:
            draw_curves(result.history, folder.file("curves.png"))
        except OSError as error:
            raise RunError(f"curves are not drawn: expected room for {folder.file('curves.png')}, received "
                           f"{(error.strerror or str(error)).lower()}; training is over, and "
                           f"{result.best or result.last} is on disk") from None
    folder.log("end", best=result.best, stopped=result.stopped)
    if result.stopped:
        LOG.info(result.stopped)
    if best_score is not None:
        best_score = with_source(best_score, data.classes, data.judged)
        LOG.info(f"best: {best_score} at epoch {result.best_epoch}")
        _say_calibration(result)
    saved = result.best or result.last or "nothing"
    LOG.info(f"saved: {near_path(saved) if in_notebook() else saved}")
    return FinetuneResult(folder.path, result, best_score, data)


def _say_calibration(result):
    """Say what the best epoch's temperature brings, on images that did not choose it."""
    row = next((row for row in result.history if row["epoch"] == result.best_epoch), {})
    found = Calibration.of(row)
    if found and found.temperature != 1:
        LOG.info(f"{found.describe()}: log loss {found.loss:.4f} to {found.calibrated_loss:.4f}, expected calibration "
                 f"error {found.ece:.4f} to {found.calibrated_ece:.4f} on the half that did not choose it")
