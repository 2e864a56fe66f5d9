"""Repairs of a loaded mxnet: each against a plain expectation, on whatever NumPy is installed."""
import json

import numpy as np
import pytest

from mxft import compat_mxnet
from mxft.compat import mx
from mxft.compat_mxnet import number_text, repair

SHAPE = tuple(np.array([2, 3]))
ON_NUMPY_2 = pytest.mark.skipif(np.__version__ < "2", reason="NumPy 1 reads an NDArray as nested sequences, as ever")


@pytest.mark.parametrize("value, text", [
    ((np.int64(2), np.int64(3)), "(2, 3)"), ((np.int32(7),), "(7,)"), ([np.float64(0.02)], "[0.02]"), ((), "()"),
    ([], "[]"), ([(np.int64(1), None), [np.float32(0.1)]], "[(1, None), [0.1]]"), ((np.bool_(True), 1), "(True, 1)"),
    ((np.str_("a"),), "('a',)"), (np.float64(0.02), "0.02"), (np.float32(0.1), "0.1"), (None, "None"), ("2, 3", "2, 3"),
    ((2, 0.5, None, "a", [1]), "(2, 0.5, None, 'a', [1])"), (np.dtype("float32"), "float32"),
    (np.array([1, 2]), "[1 2]"), ((np.float64("nan"), np.float64("-inf")), "(nan, -inf)")])
def test_numbers_are_written_as_before_numpy_2(value, text):
    assert number_text(value) == text


def test_operators_take_numpys_integers():
    assert mx.nd.zeros(SHAPE).shape == (2, 3)
    rows = mx.nd.arange(6).reshape(SHAPE)
    one, two = np.int64(1), np.int64(2)
    np.testing.assert_array_equal(mx.nd.slice(rows, (one, one), (two, two + one)).asnumpy(), [[4, 5]])
    np.testing.assert_array_equal(rows[one:two, one:].asnumpy(), [[4, 5]])
    rows[one:two, one:] = 9
    np.testing.assert_array_equal(rows.asnumpy(), [[0, 1, 2], [3, 9, 9]])
    assert mx.nd.tile(rows, [two, one]).shape == (4, 3)
    assert mx.nd.random.uniform(shape=SHAPE).shape == mx.np.zeros(SHAPE).shape == (2, 3)


def test_symbols_take_numpys_integers():
    weight = mx.sym.var("weight", shape=SHAPE, lr_mult=np.float64(0.5), __kept__=[np.int64(4)])
    attributes = weight.list_attr()
    assert [attributes[name] for name in ("__shape__", "__lr_mult__", "__kept__")] == ["(2, 3)", "0.5", "[4]"]
    net = mx.sym.Convolution(mx.sym.var("data"), kernel=tuple(np.array([3, 3])), pad=tuple(np.array([1, 1])),
                             num_filter=np.int64(4), name="conv")
    assert net.attr("kernel") == "(3, 3)" and net.infer_shape(data=(1, 3, 8, 8))[1] == [(1, 4, 8, 8)]
    assert net.optimize_for("MKLDNN").list_arguments() == net.list_arguments()  # str is a type there, too
    with pytest.raises(AssertionError):
        net.optimize_for(7)


def test_gluon_blocks_take_numpys_integers():
    net = mx.gluon.nn.Conv2D(np.int64(4), tuple(np.array([3, 3])), in_channels=np.int64(3))
    net.initialize()
    net.hybridize()
    assert net(mx.nd.zeros((1, 3, 8, 8))).shape == (1, 4, 6, 6)


def test_an_iterator_takes_numpys_integers(make_records):
    path = make_records("a.rec", [0, 1, 2, 3])
    batch = mx.io.ImageRecordIter(path_imgrec=path, data_shape=tuple(np.array([3, 8, 8])), batch_size=np.int8(2)).next()
    assert batch.data[0].shape == (2, 3, 8, 8) and batch.label[0].asnumpy().tolist() == [0, 1]


def test_an_optimizer_with_numpys_numbers_updates_several_weights_at_once():
    def trained(rate):
        optimizer = mx.optimizer.create("sgd", learning_rate=rate, momentum=type(rate)(0.9), wd=type(rate)(0.01))
        optimizer.aggregate_num = 4
        updater = mx.optimizer.get_updater(optimizer)
        weights = [mx.nd.ones((2, 2)) * n for n in (1, 2, 3)]
        for _ in range(2):
            updater([0, 1, 2], [mx.nd.ones((2, 2))] * 3, weights)
        return np.stack([weight.asnumpy() for weight in weights])

    expected = trained(0.02)
    np.testing.assert_array_equal(trained(np.float64(0.02)), expected)
    weight, momentum = np.array([1., 2., 3.]), 0
    for _ in range(2):
        momentum = 0.9 * momentum - 0.02 * (1 + 0.01 * weight)
        weight = weight + momentum
    np.testing.assert_allclose(expected[:, 0, 0], weight, rtol=1e-6)


@ON_NUMPY_2
def test_numpys_functions_take_an_ndarray():
    array = mx.nd.array([[1, 2], [3, 4]], dtype="int32")
    assert np.all(array == 1) == np.False_ and np.all(array > 0) and np.array_equal(array, [[1, 2], [3, 4]])
    assert np.asarray(array).dtype == np.int32 and np.asarray(array, np.float16).dtype == np.float16
    assert np.array([array[0], array[1]]).tolist() == [[1, 2], [3, 4]] and np.abs(-array).tolist() == [[1, 2], [3, 4]]
    doubled = np.float32(2) * array.astype("float32")
    assert type(doubled) is mx.nd.NDArray and doubled.asnumpy().tolist() == [[2, 4], [6, 8]], "MXNet multiplies"
    assert type(np.sum(array)) is mx.nd.NDArray, "its own method comes first, as before"


@ON_NUMPY_2
def test_an_ndarray_is_no_numpy_array_without_a_copy():
    with pytest.raises(ValueError, match="expected copy=None or True, received copy=False"):
        np.asarray(mx.nd.ones(2), copy=False)


@pytest.mark.parametrize("make", [mx.metric.Loss, mx.metric.MAE, mx.metric.MSE, mx.metric.RMSE, mx.metric.CrossEntropy,
                                  mx.metric.NegativeLogLikelihood, lambda: mx.metric.Perplexity(None),
                                  lambda: mx.metric.np(lambda label, pred: np.abs(label - pred[:, 0]).mean())])
def test_metrics_add_up_in_float64(make):
    labels, preds = [mx.nd.array([0, 1])], [mx.nd.array([[0.3, 0.7], [0.1, 0.95]])]
    metric, once = make(), make()
    if type(metric) in (mx.metric.MAE, mx.metric.MSE, mx.metric.RMSE):
        preds = [mx.nd.array([0.3, 0.9])]
    once.update(labels, preds)
    share, images = once.sum_metric, once.num_inst
    metric.update(labels, preds)
    metric.sum_metric += 2.0 ** 26  # a float32 holds no fraction beside it
    metric.global_sum_metric += 2.0 ** 26
    before = metric.sum_metric
    for _ in range(8):
        metric.update(labels, preds)
    assert share % 1 and metric.sum_metric == metric.global_sum_metric == pytest.approx(before + 8 * share, rel=1e-14)
    assert metric.num_inst == metric.global_num_inst == 9 * images


def test_perplexity_counts_in_float64_and_over_devices():
    metric = mx.metric.Perplexity(ignore_label=0)
    metric.num_inst = metric.global_num_inst = 2.0 ** 24
    metric.sum_metric = 2.0 ** 26
    labels, preds = [[1], [0, 1]], [[[0.3, 0.7]], [[0.5, 0.5], [0.1, 0.9]]]
    for _ in range(3):
        metric.update(list(map(mx.nd.array, labels)), list(map(mx.nd.array, preds)))
    assert metric.num_inst == 2 ** 24 + 6
    assert metric.sum_metric - 2.0 ** 26 == pytest.approx(-3 * (np.log(0.7) + np.log(0.9)), rel=1e-6)


def test_a_metric_is_reset_pickled_and_copied_as_before():
    import copy
    import pickle

    metric = mx.metric.Loss()
    assert (metric.sum_metric, metric.num_inst) == (0, 0) and np.isnan(metric.get()[1])
    metric.update(None, [mx.nd.array([1, 2])])
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert other.get() == metric.get() == ("loss", 1.5)
    assert json.loads(json.dumps(metric.get()[1])) == 1.5
    metric.reset()
    assert (metric.sum_metric, metric.num_inst) == (0, 0)
    pcc = mx.metric.PCC()
    pcc.update([mx.nd.array([0, 1])], [mx.nd.array([[.9, .1], [.1, .9]])])
    assert pcc.get() == ("pcc", 1.0)
    with pytest.raises(AttributeError, match="'EvalMetric' object has no attribute 'sum_metric'"):
        mx.metric.EvalMetric.__new__(mx.metric.EvalMetric).sum_metric  # noqa: B018


@pytest.mark.parametrize("send", ["push", "pushpull"])
def test_what_an_updater_raises_is_raised_where_it_was_sent(send, capfd):
    store, calls, out = mx.kv.create("local"), [], mx.nd.zeros(2)

    def update(key, received, stored):
        calls.append(key)
        if key == 3:
            raise ValueError("no such key")
        stored += received

    for key in (1, 3, 5):
        store.init(key, mx.nd.zeros(2))
    store._set_updater(update)
    assert store._updater is update
    with pytest.raises(ValueError, match="no such key"):
        getattr(store, send)([1, 3, 5], [mx.nd.ones(2)] * 3)
    assert calls == [1, 3], "an update after the failed one was made"
    store.push(5, mx.nd.ones(2))
    store.pull(5, out)
    assert out.asnumpy().tolist() == [1, 1] and capfd.readouterr().err == ""


def test_a_kvstore_trains_with_an_optimizer_of_numpys_numbers():
    store, out = mx.kv.create("local"), mx.nd.zeros(2)
    store.set_optimizer(mx.optimizer.create("sgd", learning_rate=np.float64(0.25)))
    store.init("w", mx.nd.ones(2))
    store.push("w", mx.nd.ones(2))
    store.pull("w", out)
    assert out.asnumpy().tolist() == [0.75, 0.75]


def test_a_run_takes_a_learning_rate_of_numpy(coloured_records, make_checkpoint, tmp_path, monkeypatch):
    from mxft.network.input_spec import InputSpec
    from mxft.training.fit import FitOptions
    from mxft.training.recipe import Recipe
    from mxft.workflows.finetune import finetune

    monkeypatch.setattr("mxft.workflows.finetune.draw_curves", lambda *_: None)
    data = coloured_records(12)
    losses = [finetune(make_checkpoint(5), data, str(tmp_path / str(number)), Recipe(
        batch_size=4, learning_rate=rate, fit=FitOptions(epochs=2)), InputSpec((3, 8, 8))).fit.history[-1]["train_loss"]
        for number, rate in enumerate((0.02, np.float64(0.02)))]
    assert losses[0] == losses[1] > 0


def test_a_server_prints_as_before_for_nobody_could_catch():
    set_updater, given = [], []

    class Store:
        type = "dist_sync"

        def _set_updater(self, updater):
            given.append(updater)
            self._updater = updater
        push = pushpull = None

    compat_mxnet._raise_what_an_updater_raised(Store)
    Store()._set_updater(set_updater.append)
    assert given[0] == set_updater.append


def test_a_second_repair_changes_nothing():
    kvstore, metric = mx.kvstore.kvstore.KVStore, mx.metric.Perplexity
    before = [kvstore._set_updater, kvstore.push, kvstore.pushpull, metric.update, vars(mx.metric.EvalMetric).copy()]
    repair(mx)
    assert before == [kvstore._set_updater, kvstore.push, kvstore.pushpull, metric.update, vars(mx.metric.EvalMetric)]


def test_numpys_own_printing_is_left_alone():
    assert repr((np.int64(2),)) == ("(2,)" if np.__version__ < "2" else "(np.int64(2),)")
