"""Labels and numbers as targets: gradients against plain NumPy, and units that leave no trace in what is saved."""
import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss, mean_absolute_error

from mxft.compat import mx
from mxft.data.target_spec import TargetSpec
from mxft.errors import RunError
from mxft.surgery import with_loss
from mxft.training.callbacks import MultiLabelMeter, RegressionMeter
from mxft.training.objective import Objective, TargetUnits


@pytest.mark.parametrize("loss", ["logistic", "linear"])
@pytest.mark.parametrize("size", [1, 3])
def test_the_gradient_of_a_score_is_output_less_label(loss, size):
    rng = np.random.RandomState(0)
    scores, labels = rng.normal(size=(4, size)), rng.randint(0, 2, (4, size)).astype(float)
    executor = with_loss(mx.sym.Variable("data"), loss, size).simple_bind(
        mx.cpu(), data=(4, size), softmax_label=(4, size) if size > 1 else (4,))
    executor.arg_dict["data"][:], executor.arg_dict["softmax_label"][:] = scores, labels.reshape(
        executor.arg_dict["softmax_label"].shape)
    output = executor.forward(is_train=True)[0].asnumpy()
    executor.backward()
    expected = 1 / (1 + np.exp(-scores)) if loss == "logistic" else scores
    np.testing.assert_allclose(output, expected, rtol=1e-5)
    np.testing.assert_allclose(executor.grad_dict["data"].asnumpy(), expected - labels, rtol=1e-4, atol=1e-6)


def test_units_are_folded_into_the_layer_exactly():
    rng = np.random.RandomState(1)
    weight, bias, features = rng.normal(size=(2, 5)), rng.normal(size=2), rng.normal(size=(7, 5))
    units = TargetUnits("fc1", (30.0, 1.7), (10.0, 0.2))
    trained = {"fc1_weight": mx.nd.array(weight), "fc1_bias": mx.nd.array(bias), "conv0_weight": mx.nd.ones(3)}
    saved = units.to_network(trained)
    numbers = features @ saved["fc1_weight"].asnumpy().T + saved["fc1_bias"].asnumpy()
    np.testing.assert_allclose(units.labels(numbers), features @ weight.T + bias, rtol=1e-5)
    back = units.to_training(saved)
    assert all(np.allclose(back[name].asnumpy(), value.asnumpy(), rtol=1e-6) for name, value in trained.items())
    assert units.to_training({"conv0_weight": trained["conv0_weight"]}).keys() == {"conv0_weight"}


def test_a_1x1_convolution_is_folded_too():
    units = TargetUnits("conv", (1.0,), (2.0,))
    saved = units.to_network({"conv_weight": mx.nd.ones((1, 3, 1, 1)), "conv_bias": mx.nd.zeros(1)})
    assert saved["conv_weight"].shape == (1, 3, 1, 1) and saved["conv_weight"].asnumpy().ravel().tolist() == [2] * 3
    assert saved["conv_bias"].asscalar() == 1


def test_the_meter_of_labels_is_scikit_learns():
    rng = np.random.RandomState(2)
    labels, probabilities = rng.randint(0, 2, (20, 3)), rng.uniform(0.01, 0.99, (20, 3)).astype(np.float32)
    meter = MultiLabelMeter()
    for rows in (slice(0, 8), slice(8, 20)):
        meter.update([mx.nd.array(labels[rows])], [mx.nd.array(probabilities[rows])])
    assert meter.f1 == pytest.approx(f1_score(labels, probabilities >= 0.5, average="micro"))
    assert meter.loss == pytest.approx(log_loss(labels.ravel(), probabilities.ravel().astype(float)), rel=1e-5)
    again = MultiLabelMeter()
    again.resume_from(meter.figures())
    again.reset()
    assert again.metrics() == meter.metrics()


def test_the_meter_of_numbers_tells_errors_in_their_own_unit():
    labels, values = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[1.0, 1.0], [2.0, 1.0]])
    meter = Objective(TargetSpec("regression", 2), TargetUnits("fc1", (0.0, 0.0), (10.0, 1.0))).meter()
    meter.update([mx.nd.array(labels)], [mx.nd.array(values)])
    assert meter.mae == pytest.approx(mean_absolute_error(labels * [10, 1], values * [10, 1]))
    assert meter.loss == pytest.approx(((labels - values) ** 2).mean())


@pytest.mark.parametrize("meter", [MultiLabelMeter(), RegressionMeter((1.0,))])
def test_a_number_that_is_not_finite_stops_the_run(meter):
    with pytest.raises(RunError, match="expected a finite loss"):
        meter.update([mx.nd.zeros((2, 1))], [mx.nd.array([[0.5], [np.nan]])])


def test_a_squared_error_that_grows_without_bound_stops_the_run():
    meter = RegressionMeter((1.0,))
    meter.update([mx.nd.zeros((2, 1))], [mx.nd.ones((2, 1))])
    meter.update([mx.nd.zeros((2, 1))], [mx.nd.ones((2, 1)) * 99])
    with pytest.raises(RunError, match="one that diverged, 4e.04 in batch 3 after 1 in the first.*lr-find"):
        meter.update([mx.nd.zeros((2, 1))], [mx.nd.ones((2, 1)) * 200])
