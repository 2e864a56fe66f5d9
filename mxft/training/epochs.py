"""The end of an epoch: validate, log, save, and decide whether to continue."""
import logging
import time

from mxft.distributed.workers import join
from mxft.network.calibration import METRIC, is_calibration
from mxft.training.accumulation import updates_of
from mxft.training.callbacks import FIGURES, Patience, StopTraining, row_told

# of validation, by kind of target; training's loss where there is none of them
WATCHED = {"val_top1": 1, "val_map": 1, "val_scaled_mae": -1}

LOG = logging.getLogger("mxft")


class Epochs:
    """Epoch-end callback: validate, log, save, decide whether to continue."""

    def __init__(self, run, meter, schedule, options, train, validate, after, quiet):
        self.history, self.best, self.last, self.best_epoch = [], None, None, None
        self.stopped, self.interrupted, self.parameters, self._goodness = None, "", ({}, {}), None
        if after:
            self.history, self.best, self.last, self.best_epoch = [*after.history], after.best, after.last, \
                after.best_epoch
            self._goodness = _goodness(next((row for row in self.history if row["epoch"] == self.best_epoch), None))
        self.first = len([row for row in self.history if row["epoch"]])
        self.number, self._total = self.first + 1, self.first + options.epochs
        self._run, self._meter, self._schedule = run, meter, schedule
        self._batches, self._batch_size, self._validate = train.batches, train.batch_size, validate
        self._quiet, self._workers = quiet, join(options.kvstore)
        self._updates = updates_of(train.batches, options.accumulate) * self._workers.updates_a_batch
        self._patience = Patience(options.patience, options.min_delta or 0.0,
                                  higher_is_better=validate is not None and meter.validation_rises)
        self._began, self._seconds_before = time.perf_counter(), 0.0

    def facts(self):
        """Return how it stands, for JSON and `restore`."""
        return {"first": self.first, "history": self.history, "best_epoch": self.best_epoch,
                "patience": self._patience.facts(),
                "seconds": self._seconds_before + time.perf_counter() - self._began}

    def restore(self, facts, parameters):
        """Go on from how it stood, with the parameters there were then."""
        self.history, self.best_epoch = [_as_written(row) for row in facts["history"]], facts["best_epoch"]
        self.best = self._run.name("best") if self.history else None
        self.last = self._run.name(self.history[-1]["epoch"]) if self.history else None
        self._goodness = _goodness(next((row for row in self.history if row["epoch"] == self.best_epoch), None))
        self._total += facts["first"] - self.first
        self.first, self.number = facts["first"], len([row for row in self.history if row["epoch"]]) + 1
        self._patience.restore(facts["patience"])
        self._seconds_before, self.parameters = float(facts["seconds"]), parameters

    def __call__(self, epoch, symbol, arg_params, aux_params):
        seconds, meter, done = self._seconds_before + time.perf_counter() - self._began, self._meter, epoch + 1
        row = {"epoch": done, **{"train_" + name: value for name, value in meter.metrics().items()},
               "lr": float(self._schedule((done - self.first) * self._updates)),
               "seconds": round(seconds, 3),
               "images_per_second": round(self._batches * self._batch_size * self._workers.count / seconds, 2)}
        if self._validate:
            row.update({"val_" + name: value for name, value in self._validate(arg_params, aux_params).items()})
        self.history.append(row)
        self._run.log("epoch", **row)
        metrics = {name: value for name, value in row.items() if name != "epoch"}
        self._patience.saw(_watched(row)[1])
        goodness = _goodness(row)
        better = self._goodness is None or goodness > self._goodness
        if better:
            self._goodness, self.best_epoch = goodness, done
            self.best = self._run.save("best", arg_params, aux_params, {"epoch": done, **metrics})
        self.last = self._run.save(done, arg_params, aux_params, metrics)
        self.parameters = (arg_params, aux_params)
        if not self._quiet:
            _tell(row, self._total, better)
        self.number, self._began, self._seconds_before = done + 1, time.perf_counter(), 0.0
        if self._patience.epochs and self._workers.broadcast(self._patience.exhausted) and done < self._total:
            raise StopTraining(f"early stopping: no improvement in {self._patience.epochs} epochs")


def _watched(row):
    """Return the name and value of what an epoch is evaluated by, and 1 or -1: whether higher or lower is better."""
    for name, sign in WATCHED.items():
        if name in row:
            return name, row[name], sign
    return "train_loss", row["train_loss"], -1


def _as_written(row):
    """Return an epoch's row read from a state; TypeError where one of its figures is none."""
    for name, value in row.items():
        if (name.startswith(("train_", "val_")) or name in ("lr", "seconds", "images_per_second")) \
                and not _is_figure(name, value):
            raise TypeError(f"{name} is no number")
    return {**row, "epoch": int(row["epoch"])}


def _is_figure(name, value):
    """Whether a figure is a number, or the numbers that it has of several labels, or the calibration's."""
    if name == METRIC:
        return is_calibration(value)
    several = value if name == "val_thresholds" and isinstance(value, list) else [value]
    return all(isinstance(number, (int, float, type(None))) for number in several)


def best_validation(history):
    """Return name, for people, and value of the best validation figure of an epoch in a history.

    Examples
    --------
    >>> best_validation([{"val_top1": 0.5, "train_loss": 1.0}, {"val_top1": 0.7, "train_loss": 1.0}])
    ('top-1', 0.7)
    """
    best = max(history, key=_goodness)
    name = _watched(best)[0].replace("val_scaled_mae", "val_mae")
    return FIGURES[name.partition("_")[2]], best[name]


def _goodness(row):
    """Return what makes an epoch better than another: the figure it is evaluated by, of equals the lower loss."""
    if row is None:
        return None
    name, value, sign = _watched(row)
    return (sign * value,) if name == "train_loss" else (sign * value, -row.get("val_loss", 0.0))


def _tell(row, epochs, better):
    LOG.info(f"epoch {row['epoch']}/{epochs}: {row_told(row)}; "
             f"{row['seconds']:.0f} s, {row['images_per_second']:.0f} images/s, lr {row['lr']:.3g}"
             f"{'  (best so far)' if better else ''}")
