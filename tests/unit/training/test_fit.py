"""fit on a tiny learnable record set: what moves, what stays, when it stops, and what is on disk then."""
import glob
import itertools
import os
import signal

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError, RunError
from mxft.evaluation.scoring import score_iterator
from mxft.freeze import freeze_plan
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint
from mxft.network.input_spec import InputSpec
from mxft.network.transfer import match_parameters
from mxft.surgery import attach_head
from mxft.training.fit import FitOptions, fit, seed_everything
from mxft.training.optimizer import optimizer_arguments
from mxft.training.run import RunFolder, read_log
from mxft.training.schedule import learning_rate_schedule
from tests.support.images import coloured

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
RECORDS, BATCH = 36, 8


@pytest.fixture
def colours(make_records):
    """36 noisy images, 10x10, red, green or blue by class."""
    rng = np.random.RandomState(0)

    def picture(number, label):
        return coloured(rng, label)

    return make_records("colours.rec", [i % 3 for i in range(RECORDS)], picture)


@pytest.fixture
def train(colours, make_checkpoint, tmp_path):
    """A function that fine-tunes the tiny network and returns (FitResult, RunFolder, the old Checkpoint)."""
    runs = itertools.count(1)

    def run(plan="full", batch_norm=None, epochs=3, lr=0.2, seed=0, validate=None, contexts=None, checkpoint=None,
            keep_every=0, schedule=None, next_batch=None, augment=0, **options):
        seed_everything(seed)
        old = checkpoint or make_checkpoint(num_classes=10)
        head = attach_head(old.symbol, 3)
        report, args, auxs = match_parameters(head.symbol, old.arg_params, old.aux_params, SPEC.shape,
                                              new=head.parameters)
        report.require_only_new(head.parameters)
        iterator = RecordIterator(colours, SPEC, BATCH, RECORDS, augment, shuffle=True, seed=seed, threads=1)
        if next_batch:
            iterator.next = next_batch(iterator, iterator.next)
        folder = RunFolder(str(tmp_path / f"run{next(runs)}"), head.symbol, {"classes": ["r", "g", "b"]}, keep_every)
        schedule = schedule or learning_rate_schedule("constant", lr, epochs, iterator.batches)
        result = fit(head.symbol, args, auxs, freeze_plan(plan, head.symbol, head.parameters, batch_norm), iterator,
                     folder, schedule, FitOptions(epochs=epochs, **options), contexts, validate)
        return result, folder, old

    return run


@pytest.fixture
def scored(colours, make_checkpoint):
    """A validate function that scores the records themselves."""
    symbol = attach_head(make_checkpoint().symbol, 3).symbol

    def validate(arg_params, aux_params):
        executor = InferenceExecutor(symbol, arg_params, aux_params, SPEC.shape, BATCH)
        score = score_iterator(executor, RecordIterator(colours, SPEC, BATCH, RECORDS))
        return {"top1": score.top1, "loss": score.loss}

    return validate


def scripted(series, at=None, action=None):
    """A validate function that returns a series, and does something at one of its epochs."""
    values, calls = iter(series), itertools.count(1)

    def validate(*_):
        if next(calls) == at:
            action()
        return {"top1": next(values), "loss": 1.0}

    return validate


def figures(result):
    """The history without wall-clock time."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in result.history]


def moved(old, new):
    """Names of the parameters that differ in any bit."""
    pairs = [(old.arg_params, new.arg_params), (old.aux_params, new.aux_params)]
    return {name for before, after in pairs for name in after
            if before[name].shape != after[name].shape or (before[name].asnumpy() != after[name].asnumpy()).any()}


def files_in(folder):
    return sorted(os.path.basename(path) for path in glob.glob(folder.file("*.params")))


HEAD = {"fc1_weight", "fc1_bias"}
BACKBONE = {"conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta"}
STATISTICS = {"bn0_moving_mean", "bn0_moving_var"}


def test_it_learns_and_the_checkpoint_computes_what_was_validated(train, scored, capfd):
    result, folder, _ = train(epochs=6, momentum=0.9, lr=0.1, validate=scored)
    first, last = result.history[0], result.history[-1]
    assert last["train_loss"] < first["train_loss"] and last["train_top1"] > 0.9
    best = result.history[result.best_epoch - 1]
    assert best["val_top1"] == max(row["val_top1"] for row in result.history) > 0.9
    assert result.best == f"{folder.prefix},best" and result.last == f"{folder.prefix},6" and result.stopped is None
    checkpoint = load_checkpoint(result.best)
    again = scored(checkpoint.arg_params, checkpoint.aux_params)
    assert (again["top1"], again["loss"]) == (best["val_top1"], best["val_loss"])
    assert checkpoint.manifest["metrics"]["best"]["val_top1"] == best["val_top1"]
    assert [{k: v for k, v in row.items() if k != "event"} for row in read_log(folder.file("log.jsonl"))
            if row["event"] == "epoch"] == result.history
    assert files_in(folder) == ["model-0006.params", "model-best.params"]
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0].startswith("epoch 1/6: train top-1 ") and "validation top-1" in lines[0]


def test_plan_head_moves_the_head_alone_and_no_statistic(train):
    result, _, old = train("head", momentum=0.9, wd=0.1)
    new = load_checkpoint(result.last)
    assert moved(old, new) == HEAD
    assert "use_global_stats" not in new.symbol.tojson()  # what is saved is the user's graph


def test_plan_head_with_batch_norm_in_train_mode_keeps_the_moving_statistics(train):
    result, _, old = train("head", "train", momentum=0.9, wd=0.1)  # no gradient passes a fixed backbone to move them
    assert moved(old, load_checkpoint(result.last)) == HEAD


def test_plan_full_moves_everything(train):
    result, _, old = train("full", momentum=0.9, wd=0.1)
    assert moved(old, load_checkpoint(result.last)) == HEAD | BACKBONE | STATISTICS


def test_plan_full_with_batch_norm_in_eval_mode_keeps_the_statistics(train):
    result, _, old = train("full", "eval")
    assert moved(old, load_checkpoint(result.last)) == HEAD | BACKBONE


def test_only_the_head_is_initialised(train):
    result, _, old = train(lr=0.0, epochs=1)
    new = load_checkpoint(result.last)
    assert moved(old, new) == HEAD | STATISTICS
    weight = new.arg_params["fc1_weight"].asnumpy()
    assert weight.shape == (3, 6) and len(np.unique(weight)) == 18 and not new.arg_params["fc1_bias"].asnumpy().any()


def test_the_initializer_of_the_head_can_be_chosen(train):
    result, _, _ = train(lr=0.0, epochs=1, initializer=mx.init.Constant(0.25))
    assert (load_checkpoint(result.last).arg_params["fc1_weight"].asnumpy() == 0.25).all()


@pytest.mark.parametrize("augment", [0, 1])
def test_the_same_seed_gives_the_same_history_and_another_another(train, augment):
    first, again, other = (train(seed=seed, augment=augment, momentum=0.9)[0] for seed in (3, 3, 4))
    assert figures(first) == figures(again) and figures(first) != figures(other)
    a, b = load_checkpoint(first.last), load_checkpoint(again.last)
    assert moved(a, b) == set()


def test_two_devices_give_the_loss_of_one(train, make_checkpoint):
    plain = make_checkpoint(num_classes=10, batch_norm=False)
    one, two = (train(checkpoint=plain, contexts=[mx.cpu(i) for i in range(n)], momentum=0.9)[0] for n in (1, 2))
    assert [row["train_loss"] for row in two.history] == pytest.approx([row["train_loss"] for row in one.history],
                                                                        abs=1e-4)


def test_two_devices_normalise_their_own_halves(train):
    """Proof that there are two: MXNet's BatchNorm does not look across devices."""
    one, two = (train(contexts=[mx.cpu(i) for i in range(n)])[0] for n in (1, 2))
    assert abs(one.history[0]["train_loss"] - two.history[0]["train_loss"]) > 1e-4


def test_weight_decay_and_momentum_reach_the_optimizer(train):
    losses = [train(**options)[0].history[-1]["train_loss"] for options in ({}, {"wd": 0.5}, {"momentum": 0.9})]
    assert len(set(losses)) == 3


def test_the_initializer_of_the_head_goes_by_name_too(train):
    result, _, _ = train(lr=0.0, epochs=1, initializer="zero")
    assert not load_checkpoint(result.last).arg_params["fc1_weight"].asnumpy().any()


@pytest.mark.parametrize("patience, series, epochs, best", [
    (2, [.5, .6, .6, .59, .9], 4, 2), (1, [.5, .4, .9], 2, 1), (0, [.5, .4, .3], 3, 1), (2, [.1, .2, .3], 3, 3),
])
def test_early_stopping_at_the_exact_epoch(train, patience, series, epochs, best):
    result, folder, _ = train(epochs=len(series), patience=patience, validate=scripted(series), keep_every=1)
    assert (len(result.history), result.best_epoch) == (epochs, best)
    assert result.stopped == (f"early stopping: no improvement in {patience} epochs" if epochs < len(series) else None)
    assert moved(load_checkpoint(result.best), load_checkpoint(f"{folder.prefix},{best}")) == set()
    assert load_checkpoint(result.best).manifest["metrics"]["best"]["epoch"] == best


def test_of_equal_epochs_the_one_with_the_lower_loss_is_best_by_any_margin(train):
    series = iter([(.5, 1.0), (.6, 1.0), (.6, .8), (.6, .9)])
    result, _, _ = train(epochs=4, patience=4, min_delta=0.5,
                         validate=lambda *_: dict(zip(("top1", "loss"), next(series))))
    assert result.best_epoch == 3


def test_without_validation_the_best_epoch_has_the_lowest_training_loss(train):
    result, _, _ = train(epochs=4)
    assert result.best_epoch == 1 + int(np.argmin([row["train_loss"] for row in result.history]))


@pytest.mark.parametrize("name, arguments, rates", [("step", {"steps": [1, 2]}, [0.2, 0.02, 0.002]),
                                                    ("constant", {"warmup_epochs": 2}, [0.1, 0.2, 0.2])])
def test_the_rate_at_the_end_of_each_epoch_is_told(train, name, arguments, rates):
    schedule = learning_rate_schedule(name, 0.2, 3, -(-RECORDS // BATCH), **arguments)
    assert [row["lr"] for row in train(schedule=schedule)[0].history] == pytest.approx(rates)


@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "rmsprop", "Adam"])
def test_optimizers_are_taken_by_name(train, name):
    result, _, _ = train(epochs=1, lr=0.01, optimizer=name)
    assert np.isfinite(result.history[0]["train_loss"])


@pytest.mark.parametrize("options, message", [
    ({"optimizer": "adm"}, "optimizer: expected a name MXNet knows, received optimizer='adm'; nearest: .*adam"),
    ({"optimizer": "adam", "momentum": 0.9}, "optimizer adam: expected no momentum, received momentum=0.9"),
    ({"optimizer_params": {"clip_gradeint": 5}}, "optimizer sgd: unknown argument clip_gradeint=5; nearest: clip_grad"),
    ({"optimizer": "adam", "optimizer_params": {"beta": 5}}, "optimizer adam: unknown argument beta=5; nearest: .*b"),
])
def test_an_unknown_optimizer_or_argument_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        optimizer_arguments(FitOptions(**options), learning_rate_schedule("constant", 0.1, 1, 1))


def test_arguments_reach_the_optimizer():
    schedule = learning_rate_schedule("constant", 0.1, 1, 1)
    assert optimizer_arguments(FitOptions(optimizer="adam", wd=0.3, optimizer_params={"beta1": 0.8}), schedule) == {
        "learning_rate": 0.1, "lr_scheduler": schedule, "wd": 0.3, "beta1": 0.8}
    assert optimizer_arguments(FitOptions(momentum=0.7), schedule)["momentum"] == 0.7


def assert_no_file_holds_nan(folder):
    for path in glob.glob(folder + "/*.params"):
        assert all(np.isfinite(value.asnumpy()).all() for value in mx.nd.load(path).values()), path


def test_a_loss_that_is_not_finite_stops_with_batch_rate_and_nothing_saved(train, tmp_path):
    with pytest.raises(RunError, match=r"training stopped: expected a finite loss, received NaN in batch \d "
                                       r"\(epoch 1, learning rate 1e\+30\): no epoch was finished, so nothing was "
                                       "saved; try a lower learning_rate or warmup_epochs=1") as caught:
        train(lr=1e30, checkpoint=None)
    assert caught.value.exit_code == 3
    assert glob.glob(str(tmp_path / "run1" / "*.params")) == []


class Jump(mx.lr_scheduler.LRScheduler):
    """A sane rate for two epochs, and then none."""

    def __call__(self, update):
        return self.base_lr if update <= 2 * -(-RECORDS // BATCH) else 1e30


def test_a_loss_that_becomes_infinite_later_names_the_last_good_checkpoint(train, tmp_path):
    with pytest.raises(RunError, match=r"in batch \d \(epoch 3, learning rate 0.1\): the last good checkpoint is "
                                       r".*run1/model,2, the best is .*run1/model,best"):
        train(epochs=4, schedule=Jump(0.1))
    assert_no_file_holds_nan(str(tmp_path / "run1"))
    assert len(load_checkpoint(str(tmp_path / "run1" / "model") + ",2").arg_params) == 6


@pytest.mark.parametrize("error, said", [
    (mx.base.MXNetError("no such device"), "MXNet failed: no such device"), (MemoryError(), "out of memory; a smaller"),
    (RuntimeError("simple_bind error. Arguments:\ndata: (64, 3)\nstd: :bad_alloc"),
     "MXNet failed: out of memory, std: :bad_alloc; a smaller batch_size or image_shape needs less"),
    (OSError(28, "No space left on device", "run/log.jsonl"), "no space left on device: 'run/log.jsonl'")])
def test_what_fails_on_the_way_names_the_last_good_checkpoint(train, error, said):
    def fail():
        raise error

    with pytest.raises(RunError, match=rf"^{said}.* \(epoch 3, .*last good checkpoint is .*model,2"):
        train(epochs=4, validate=scripted([.1, .2, .3, .4], at=3, action=fail))


@pytest.mark.parametrize("error", [RuntimeError("a defect"), BrokenPipeError(32, "a defect")])
def test_a_defect_keeps_its_traceback_and_a_closed_pipe_its_status(train, error):
    def fail():
        raise error

    with pytest.raises(type(error), match="a defect$"):
        train(epochs=4, validate=scripted([.1, .2, .3, .4], at=3, action=fail))


def ctrl_c():
    raise KeyboardInterrupt


def sigterm():
    assert callable(signal.getsignal(signal.SIGTERM)), "nobody would catch it"
    signal.raise_signal(signal.SIGTERM)


def test_an_interrupt_while_validating_saves_the_parameters(train):
    result, folder, old = train(epochs=4, validate=scripted([.1, .2, .3, .4], at=2, action=ctrl_c))
    assert result.stopped == (f"interrupted in epoch 2 after 5 batches; saved as {folder.prefix},interrupted")
    assert result.interrupted and result.last == f"{folder.prefix},interrupted" and len(result.history) == 1
    assert files_in(folder) == ["model-0001.params", "model-best.params", "model-interrupted.params"]
    saved = load_checkpoint(result.last)
    assert moved(load_checkpoint(f"{folder.prefix},1"), saved) == HEAD | BACKBONE | STATISTICS
    assert read_log(folder.file("log.jsonl"))[-1] == {"event": "interrupted", "epoch": 2, "batch": 5}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_validating_is_answered_at_the_epochs_end(train, number):
    before = signal.getsignal(number)
    result, folder, _ = train(epochs=4, validate=scripted([.1, .2, .3, .4], at=2,
                                                          action=lambda: signal.raise_signal(number)))
    assert result.stopped == f"interrupted after epoch 2; saved as {folder.prefix},interrupted"
    assert len(result.history) == 2 and result.interrupted
    assert signal.getsignal(number) is before


def test_a_second_signal_does_not_wait(train):
    def twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    result, _, _ = train(epochs=4, validate=scripted([.1, .2, .3, .4], at=2, action=twice))
    assert len(result.history) == 1 and result.interrupted


@pytest.mark.parametrize("action", [ctrl_c, sigterm])
def test_an_interrupt_in_the_middle_of_an_epoch_saves_the_parameters(train, action):
    def next_batch(iterator, original):
        calls = itertools.count(1)

        def interrupted():
            if next(calls) == 3:
                action()
            return original()

        return interrupted

    result, folder, _ = train(next_batch=next_batch)
    assert result.history == [] and result.best is None
    assert files_in(folder) == ["model-interrupted.params"]
    assert moved(load_checkpoint(result.last), load_checkpoint(result.last)) == set()
    assert result.stopped.startswith("interrupted in epoch 1 after ")


def test_outside_the_main_thread_signals_are_left_alone(train):
    import threading
    results = []
    thread = threading.Thread(target=lambda: results.append(train(epochs=1)))
    thread.start()
    thread.join()
    assert len(results[0][0].history) == 1


def test_the_optimizer_is_checked_before_anything_is_bound(train, tmp_path):
    with pytest.raises(InputError):
        train(optimizer="sdg")
    assert glob.glob(str(tmp_path / "run1" / "*")) == []
