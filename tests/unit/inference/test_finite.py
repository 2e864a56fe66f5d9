"""NaN and infinity never leave a network as an answer: not as a score, an embedding or a probability."""
import numpy as np
import pytest

from mxft.compat import mx
from mxft.errors import RunError
from mxft.evaluation.classifier import Classifier
from mxft.evaluation.scoring import score_iterator
from mxft.inference.executor import InferenceExecutor
from mxft.inference.finite import NotFinite, naming_pictures
from mxft.network.input_spec import InputSpec
from tests.support.images import encoded, noise


@pytest.fixture(params=[np.nan, np.inf, -np.inf])
def damaged(request, make_checkpoint):
    checkpoint = make_checkpoint(3)
    checkpoint.arg_params["fc1_bias"][1] = request.param
    return checkpoint


def executor_of(checkpoint, batch_size=4):
    return InferenceExecutor(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, (3, 8, 8), batch_size)


def test_a_batch_is_refused_by_layer_and_number(damaged):
    with pytest.raises(NotFinite, match=r"^scores are not finite: received NaN or infinity from layer softmax for 3 of "
                                        r"3 images, first image 0 \(counted from 0\); wrong mean or scale for this "
                                        r"network, or damaged parameters\?$"):
        executor_of(damaged).forward(np.ones((3, 3, 8, 8), np.float32))


def test_an_iterator_says_which_image(make_checkpoint):
    images = np.ones((7, 3, 8, 8), np.float32)
    images[5, 0, 0, 0] = np.nan
    iterator = mx.io.NDArrayIter(images, np.arange(7), 4)
    done = []
    with pytest.raises(NotFinite, match=r"for 1 of 3 images, first image 5 \(counted from 0\)") as refused:
        done += executor_of(make_checkpoint(3)).over(iterator)
    assert list(refused.value.labels) == [5]
    with pytest.raises(RunError, match="received NaN or infinity from layer softmax for picture 5; wrong"), \
            naming_pictures(lambda label: f"picture {label:.0f}"):
        list(executor_of(make_checkpoint(3)).over(iterator))
    with pytest.raises(NotFinite, match="; the image's own numbers are not finite$"):
        executor_of(make_checkpoint(3)).forward(images[4:7])


def test_a_score_is_not_made_of_them(damaged):
    with pytest.raises(RunError, match="scores are not finite"):
        score_iterator(executor_of(damaged), mx.io.NDArrayIter(np.ones((7, 3, 8, 8), np.float32), np.zeros(7), 4))


def test_a_service_gives_no_answer_of_them(damaged):
    damaged.manifest = {"classes": ["a", "b", "c"], "input": InputSpec((3, 8, 8)).to_dict()}
    bound = Classifier(damaged, damaged.input_spec, {}, damaged.classes, "net").bind()
    with pytest.raises(RunError, match="scores are not finite: received NaN or infinity from layer softmax for 1 of 1"):
        bound.answers(encoded(noise(0, (8, 8))))


def test_a_row_that_only_fills_the_batch_is_not_looked_at(make_checkpoint):
    executor = executor_of(make_checkpoint(3))
    with pytest.raises(NotFinite):
        executor.forward(np.full((4, 3, 8, 8), np.nan, np.float32))
    assert np.isfinite(executor.forward(np.ones((1, 3, 8, 8), np.float32))).all()
