"""A head on a frozen backbone learns what the plain plan learns, and leaves the same checkpoint behind."""
import tarfile

import numpy as np
import pytest

from mxft.compat import mx
from mxft.data.iterators import RecordIterator
from mxft.errors import InputError
from mxft.evaluation.scoring import score_iterator
from mxft.features.cut import backbone_cut
from mxft.features.store import CacheOptions
from mxft.freeze import FreezePlan, freeze_matching, freeze_plan
from mxft.inference.executor import InferenceExecutor
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.training import frozen_backbone
from mxft.training.fit import FitOptions, FitResult, fit, seed_everything
from mxft.training.frozen_backbone import fit_frozen_backbone
from mxft.training.network import with_new_head
from mxft.training.run import RunFolder
from mxft.training.schedule import learning_rate_schedule
from tests.support.images import coloured

pytestmark = pytest.mark.usefixtures("quick_figures")

SPEC = InputSpec((3, 8, 8), (127.0,) * 3, (1 / 64,) * 3)
EPOCHS, SEED = 3, 5
CACHES = {"none": {}, "memory": {"views": EPOCHS}, "disk": {"views": EPOCHS}}


@pytest.fixture
def records(make_records):
    """(train.rec, val.rec) of 26 and 10 noisy pictures in three tints."""
    rng = np.random.RandomState(0)

    def picture(number, label):
        return coloured(rng, label)

    return [make_records(name, [i % 3 for i in range(count)], picture)
            for name, count in (("train.rec", 26), ("val.rec", 10))]


class Training:
    """One training of a network, by the plain plan or on its frozen backbone."""

    def __init__(self, checkpoint, records, folder, spec=SPEC, counts=(26, 10), batch_size=8, classes=3, rate=0.1,
                 epochs=EPOCHS, plan=None, augment=1):
        seed_everything(SEED)
        self.network = with_new_head(checkpoint, classes, spec.shape)
        self.plan = (plan or (lambda net: freeze_plan("head", net.symbol, net.head_parameters)))(self.network)
        self.train = RecordIterator(records[0], spec, batch_size, counts[0], augment, True, SEED, 1)
        self.val = RecordIterator(records[1], spec, min(batch_size, counts[1]), counts[1], threads=1)
        self.run = RunFolder(str(folder), self.network.symbol, {})
        self.options = FitOptions(epochs=epochs, momentum=0.9, wd=1e-3)
        self.schedule = learning_rate_schedule("constant", rate, epochs, self.train.batches)
        self.spec = spec

    def plain(self):
        net = self.network
        return fit(net.symbol, net.arg_params, net.aux_params, self.plan, self.train, self.run, self.schedule,
                   self.options, None, self.metrics)

    def metrics(self, arg_params, aux_params):
        score = score_iterator(InferenceExecutor(self.network.symbol, arg_params, aux_params, self.spec.shape,
                                                 self.val.batch_size), self.val)
        return {"top1": score.top1, "top5": score.top5, "loss": score.loss}

    def on_backbone(self, cache=None, **arguments):
        return fit_frozen_backbone(self.network, self.plan, self.train, self.run, self.schedule, self.options, None,
                                   self.val, cache, **arguments)


def require_curves(result, plain, tolerance=1e-5):
    for name in ("train_loss", "val_loss", "train_top1", "val_top1", "val_top5", "lr"):
        np.testing.assert_allclose([row[name] for row in result.history], [row[name] for row in plain.history],
                                   atol=tolerance, rtol=0, err_msg=name)


def first_layers(net):
    """The plan that freezes the convolution and its BatchNorm, and leaves a second one to train."""
    return freeze_matching(["conv0_*", "bn0_*"], net.symbol)


def deep(make_checkpoint, random_parameters):
    """The tiny network with a second, trainable stage behind a Dropout that drops nothing and a BatchNorm."""
    from mxft.network.checkpoint import Checkpoint

    net = make_checkpoint().symbol.get_internals()["relu0_output"]
    net = mx.sym.Convolution(net, kernel=(3, 3), num_filter=5, name="conv1")
    net = mx.sym.Activation(mx.sym.BatchNorm(net, fix_gamma=False, name="bn1"), act_type="relu", name="relu1")
    net = mx.sym.Flatten(mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg"), name="flatten0")
    net = mx.sym.SoftmaxOutput(mx.sym.FullyConnected(net, num_hidden=3, name="fc1"), name="softmax")
    return Checkpoint(net, *random_parameters(net, SPEC.shape))


@pytest.mark.parametrize("mode, stages", [("none", False), ("none", True), ("memory", False), ("disk", True)])
def test_curves_agree_with_the_plain_plan(mode, stages, make_checkpoint, random_parameters, records, tmp_path, capfd):
    checkpoint = deep(make_checkpoint, random_parameters) if stages else make_checkpoint()
    plan = first_layers if stages else None
    plain = Training(checkpoint, records, tmp_path / "plain", plan=plan).plain()
    training = Training(checkpoint, records, tmp_path / "backbone", plan=plan)
    cut = backbone_cut(training.network.symbol, training.plan)
    assert cut.layer == ("relu0" if stages else "flatten0")
    cache = CacheOptions(mode, str(tmp_path / "cache") if mode == "disk" else None, **CACHES[mode])
    result = training.on_backbone(cache)
    require_curves(result, plain)
    assert plain.history[-1]["train_loss"] < plain.history[0]["train_loss"]
    one, other = load_checkpoint(plain.last), load_checkpoint(result.last)
    assert Graph(one.symbol).nodes == Graph(other.symbol).nodes == Graph(training.network.symbol).nodes
    for kind in ("arg_params", "aux_params"):
        assert set(getattr(one, kind)) == set(getattr(other, kind))
        for name, value in getattr(one, kind).items():
            np.testing.assert_allclose(getattr(other, kind)[name].asnumpy(), value.asnumpy(), atol=1e-5, err_msg=name)
    if mode == "disk":
        capfd.readouterr()
        again = Training(checkpoint, records, tmp_path / "again", plan=plan).on_backbone(cache)
        assert again.history[-1]["train_loss"] == result.history[-1]["train_loss"]
        assert capfd.readouterr().out.count("taken from") == EPOCHS + 1


def test_what_is_frozen_stays_bit_for_bit_and_the_score_is_the_checkpoints(make_checkpoint, records, tmp_path):
    scores, checkpoint = [], make_checkpoint()
    training = Training(checkpoint, records, tmp_path / "run")
    result = training.on_backbone(CacheOptions("memory"), scored=scores.append)
    saved = load_checkpoint(result.best)
    for name in training.plan.frozen:
        np.testing.assert_array_equal(saved.arg_params[name].asnumpy(), checkpoint.arg_params[name].asnumpy())
    for name, value in checkpoint.aux_params.items():
        np.testing.assert_array_equal(saved.aux_params[name].asnumpy(), value.asnumpy())
    row = result.history[result.best_epoch - 1]
    assert training.metrics(saved.arg_params, saved.aux_params) == pytest.approx(
        {name: row["val_" + name] for name in ("top1", "top5", "loss")}, abs=1e-5)
    assert [score.top1 for score in scores] == [row["val_top1"] for row in result.history]
    assert scores[0].labels.tolist() == scores[-1].labels.tolist() == [i % 3 for i in range(10)]  # the records' order
    assert set(result.parameters[0]) == set(saved.arg_params) and set(result.parameters[1]) == set(saved.aux_params)


def test_the_head_alone_is_trained_with_its_share_of_the_plan(make_checkpoint, random_parameters, records, tmp_path,
                                                              monkeypatch):
    seen = []
    monkeypatch.setattr(frozen_backbone, "fit",
                        lambda *arguments, **named: seen.extend(arguments) or FitResult([], None, None, None, "so"))
    plan = FreezePlan("mine", ("conv1_weight", "fc1_weight", "fc1_bias"), (
        "conv0_weight", "conv0_bias", "bn0_gamma", "bn0_beta", "conv1_bias", "bn1_gamma", "bn1_beta"), "frozen",
        {"conv1_weight": 0.1})
    training = Training(deep(make_checkpoint, random_parameters), records, tmp_path / "run", plan=lambda net: plan)
    assert training.on_backbone().stopped == "so"
    head, arg_params, aux_params, plan = seen[:4]
    assert not {"conv0_weight", "bn0_gamma"} & {*head.list_arguments(), *arg_params}
    assert "bn0_moving_mean" not in {*head.list_auxiliary_states(), *aux_params}
    assert plan == FreezePlan("mine", ("conv1_weight", "fc1_weight", "fc1_bias"),
                              ("conv1_bias", "bn1_gamma", "bn1_beta"), "frozen", {"conv1_weight": 0.1})


def test_one_view_is_enough_where_nothing_is_random(make_checkpoint, records, tmp_path, capfd):
    training = Training(make_checkpoint(), records, tmp_path / "run", augment=0)
    training.on_backbone(CacheOptions("memory", views=3))
    out = capfd.readouterr().out
    assert "train: 1 view instead of 3" in out and "view 1 of 1" in out and "view 2" not in out


def test_no_more_views_are_made_than_there_are_epochs(make_checkpoint, records, tmp_path, capfd):
    Training(make_checkpoint(), records, tmp_path / "run", epochs=2).on_backbone(CacheOptions("memory", views=9))
    out = capfd.readouterr().out
    assert "train: 2 of 9 views are made, one for each epoch" in out and "view 2 of 2" in out


@pytest.mark.parametrize("budget, said", [
    (26 * (6 * 4 + 4), ["validation: computed again every epoch"]),
    (26 * (6 * 4 + 4) + 10 * (6 * 4 + 4) - 1, ["validation: kept as float16"]),
    (26 * (6 * 2 + 4) - 1, ["train: computed again every epoch", "validation: view 1 of 1"]),
])
def test_training_and_validation_share_the_budget(make_checkpoint, records, tmp_path, capfd, budget, said):
    plain = Training(make_checkpoint(), records, tmp_path / "plain", epochs=1).plain()
    result = Training(make_checkpoint(), records, tmp_path / "run", epochs=1).on_backbone(
        CacheOptions("memory", budget_bytes=budget))
    require_curves(result, plain, 1e-3)
    out = capfd.readouterr().out
    assert all(line in out for line in said)


def test_what_cannot_be_is_refused_before_work_begins(make_checkpoint, records, tmp_path):
    with pytest.raises(InputError, match="frozen backbone: expected a plan .* received plan='full' with 0 frozen"):
        Training(make_checkpoint(), records, tmp_path / "a",
                 plan=lambda net: freeze_plan("full", net.symbol, net.head_parameters)).on_backbone()
    training = Training(make_checkpoint(), records, tmp_path / "b")
    training.options = FitOptions(mixup=0.2)
    with pytest.raises(InputError, match="frozen backbone: expected mixup=0, received mixup=0.2"):
        training.on_backbone()


@pytest.mark.long
@pytest.mark.data
def test_curves_agree_with_the_plain_plan_on_photographs(testdata, tmp_path):
    """mobilenet-v1-0.25 with a new head for ten classes, random crops and mirrors, as many views as epochs."""
    from mxft.data.datasets import prepare_records

    with tarfile.open(testdata / "data" / "caltech256-subset.tar") as tar:
        wanted = [member for member in tar if any(f"/{number:03d}." in member.name for number in range(1, 11))]
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tar.extractall(tmp_path, members=wanted, **safe)
    data, _ = prepare_records(str(tmp_path / "256_ObjectCategories"), str(tmp_path / "ten"), per_class=12, resize=144,
                              show=False)
    arguments = {"spec": InputSpec((3, 128, 128)), "counts": (120, 60), "batch_size": 16, "classes": 10, "rate": 0.05}
    checkpoint = load_checkpoint(f"{testdata}/models/mobilenet-v1-0.25,0")
    plain = Training(checkpoint, (data.train, data.val), tmp_path / "plain", **arguments).plain()
    for mode in ("none", "disk"):
        cache = CacheOptions(mode, str(tmp_path / "cache") if mode == "disk" else None, **CACHES[mode])
        result = Training(checkpoint, (data.train, data.val), tmp_path / mode, **arguments).on_backbone(cache)
        require_curves(result, plain, 1e-3)
    assert plain.history[-1]["train_loss"] < 0.7 * plain.history[0]["train_loss"]
