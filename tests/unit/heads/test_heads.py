"""The margin heads against the papers' formulas in plain loops, their limits, special cases and memory."""
import functools
import math
import re

import numpy as np
import pytest

from mxft.compat import mx
from mxft.heads import HeadOptions, make_head, softmax_output
from tests.reference import heads as reference

S = 64.0
LAMBDA = 5.0  # SphereFace's λ wherever a test does not say otherwise


def at_angles(degrees, num_classes=7, emb_size=6, seed=0):
    """Embeddings of odd lengths whose angle to their own class centre is given; float32 values held in float64."""
    rng = np.random.RandomState(seed)
    weight = rng.normal(0, 0.05, (num_classes, emb_size))
    labels = rng.randint(0, num_classes, len(degrees))
    embedding = np.zeros((len(degrees), emb_size))
    for n, (angle, y) in enumerate(zip(np.radians(degrees), labels)):
        centre = weight[y] / np.linalg.norm(weight[y])
        aside = rng.normal(size=emb_size)
        aside -= aside @ centre * centre
        aside /= np.linalg.norm(aside)
        embedding[n] = rng.uniform(0.5, 3) * (math.cos(angle) * centre + math.sin(angle) * aside)
    return embedding.astype("float32").astype(float), weight.astype("float32").astype(float), labels


def attached(head, extra=False):
    """The head on ``embedding`` and ``softmax_label``: [the softmax (and extra loss)], [the measures]."""
    label = mx.sym.Variable("softmax_label")
    out = head.attach(mx.sym.Variable("embedding"), label)
    return [softmax_output(out.logits, label)] + ([out.extra_loss] if extra else []), out


def run(head, embedding, weight, labels, extra=False, d_logits=None, **values):
    """Return {output or gradient: array} of a step through the symbol front.

    The gradients are those of the losses; with `d_logits`, those for this gradient towards the logits.
    """
    losses, out = attached(head, extra)
    names = ["logits", "target_logit", "target_cosine"]
    symbol = mx.sym.Group([out.logits, out.target_logit, out.target_cosine])
    if d_logits is None:
        names += ["softmax", "extra"][:len(losses)]
        symbol = mx.sym.Group([mx.sym.BlockGrad(out.logits), out.target_logit, out.target_cosine, *losses])
    values = {"fc7_lambda": [LAMBDA], "fc7_bias": np.zeros(len(weight)), **values,
              "embedding": embedding, "fc7_weight": weight, "softmax_label": labels}
    args = {name: mx.nd.array(values[name]) for name in symbol.list_arguments()}
    grads = {name: mx.nd.zeros(array.shape) for name, array in args.items() if name != "softmax_label"}
    executor = symbol.bind(mx.cpu(), args, grads)
    executor.forward(is_train=True)
    if d_logits is None:
        executor.backward()
    else:
        rows = mx.nd.ones((len(labels),))
        executor.backward([mx.nd.array(d_logits), rows, rows])
    outputs = dict(zip(names, (output.asnumpy() for output in executor.outputs)))
    return {**outputs, **{f"d_{name}": grad.asnumpy() for name, grad in grads.items()}}


def close(ours, theirs, tolerance=1e-5):
    """Assert equality to `tolerance` of the largest number expected."""
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.abs(theirs).max())


def check(head, formula, case, s):
    """Compare the head's logits, and what becomes of a gradient towards them, with the slow formulas."""
    embedding, weight, labels = case
    d_logits = np.random.RandomState(9).normal(size=(len(labels), len(weight))).astype("float32")
    ours = run(head, *case, d_logits=d_logits)
    d_embedding, d_weight = reference.margin_gradient(d_logits.astype(float), formula, *case, s)
    close(ours["logits"], reference.margin_logits(formula, *case, s))
    for row, expected in zip(ours["d_embedding"], d_embedding):  # an angle each: none may hide behind a larger one
        close(row, expected)
    close(ours["d_fc7_weight"], d_weight)
    cosines = [reference.cosine(x, weight[y]) for x, y in zip(embedding, labels)]
    close(ours["target_cosine"], cosines)
    close(ours["target_logit"], np.array(cosines) * (np.linalg.norm(embedding, axis=1) if s is None else s))


# On both sides of every border: ArcFace's π - m (151.4° for 0.5), easy margin's 90°, SphereFace's kπ/m. Nearer to 0° or
# 180° a float32 cosine itself is too coarse for gradients to 1e-5.
ANGLES = [10, 20, 44, 46, 59, 61, 80, 89, 91, 100, 119, 121, 134, 136, 150, 153, 165, 170]
MARGINS = {
    "arcface": (4, {}, reference.arcface, S),
    "arcface 0.2": (4, {"margin_m": 0.2, "margin_s": 16.0}, functools.partial(reference.arcface, m=0.2), 16.0),
    "arcface easy": (4, {"easy_margin": True}, functools.partial(reference.arcface, easy_margin=True), S),
    "cosface": (2, {"margin_m": 0.35}, reference.cosface, S),
    "combined CM1": (5, {"margin_m": 0.3, "margin_b": 0.2}, functools.partial(reference.combined, m=0.3, b=0.2), S),
    "combined CM2": (5, {"margin_a": 0.9, "margin_m": 0.4, "margin_b": 0.15},
                     functools.partial(reference.combined, a=0.9, m=0.4, b=0.15), S),
    "combined 1.35": (5, {"margin_a": 1.35, "margin_m": 0.0}, functools.partial(reference.combined, a=1.35, m=0), S),
    **{f"sphereface {m}": (1, {"margin": m}, functools.partial(reference.sphereface, m=m), None) for m in range(1, 5)},
}


@pytest.mark.parametrize("name", MARGINS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_value_and_gradient_are_the_papers(name, seed):
    loss_type, options, formula, s = MARGINS[name]
    head = make_head(loss_type, 7, 6, HeadOptions(**options))
    check(head, formula, at_angles(ANGLES, seed=seed), s)


@pytest.mark.parametrize("loss_type, formula, s", [(1, reference.sphereface, None), (2, reference.cosface, 16.0),
                                                    (4, reference.arcface, 16.0), (5, reference.combined, 16.0)])
def test_the_whole_loss_is_the_papers(loss_type, formula, s):
    # At s = 64 float32 logits are right to 64e-7, and so to 1e-5 are their exponentials: 16 leaves room to see more.
    options = HeadOptions(margin_s=16.0, margin_m=0.35 if loss_type == 2 else 0.5)
    case = at_angles(ANGLES)
    loss, d_logits = reference.softmax_loss(reference.margin_logits(formula, *case, s), case[2])
    d_embedding, d_weight = reference.margin_gradient(d_logits, formula, *case, s)
    ours = run(make_head(loss_type, 7, 6, options), *case)
    assert -np.log(ours["softmax"][np.arange(len(ANGLES)), case[2]]).mean() == pytest.approx(loss, rel=1e-5)
    close(ours["d_embedding"], d_embedding)
    close(ours["d_fc7_weight"], d_weight)


@pytest.mark.parametrize("no_bias", [False, True])
def test_softmax_is_inner_products(no_bias):
    embedding, weight, labels = at_angles([10, 60, 100, 170])
    bias = np.zeros(7) if no_bias else np.linspace(-1, 1, 7)
    logits = reference.inner_products(embedding, weight, bias)
    d_logits = reference.softmax_loss(logits, labels)[1]
    d_embedding, d_weight, d_bias = reference.inner_products_gradient(d_logits, embedding, weight)
    ours = run(make_head(0, 7, 6, HeadOptions(fc7_no_bias=no_bias)), embedding, weight, labels, fc7_bias=bias)
    close(ours["logits"], logits)
    close(ours["d_embedding"], d_embedding)
    close(ours["d_fc7_weight"], d_weight)
    close(ours["target_logit"], logits[np.arange(4), labels])
    close(ours["target_cosine"], np.cos(np.radians([10, 60, 100, 170])))
    assert no_bias == ("d_fc7_bias" not in ours)
    if not no_bias:
        close(ours["d_fc7_bias"], d_bias)


def test_intra_adds_the_mean_angle():
    case = at_angles(ANGLES)
    loss, d_embedding, d_weight = reference.intra_loss(*case)
    arcface, ours = run(make_head(4, 7, 6), *case), run(make_head(6, 7, 6, HeadOptions(margin_b=3.0)), *case, True)
    close(ours["extra"], [loss])
    close(ours["d_embedding"], arcface["d_embedding"] + 3 * d_embedding)
    close(ours["d_fc7_weight"], arcface["d_fc7_weight"] + 3 * d_weight)


def test_inter_adds_the_mean_cosine_of_centres():
    case = at_angles(ANGLES)
    loss, d_weight = reference.inter_loss(case[1], case[2])
    arcface, ours = run(make_head(4, 7, 6), *case), run(make_head(7, 7, 6, HeadOptions(margin_b=50.0)), *case, True)
    close(ours["extra"], [loss])
    assert np.abs(50 * d_weight).max() > 0.01 * np.abs(arcface["d_fc7_weight"]).max()
    close(ours["d_embedding"], arcface["d_embedding"])
    close(ours["d_fc7_weight"], arcface["d_fc7_weight"] + 50 * d_weight)


def same(case, one, other):
    """Assert that two heads agree in logits and gradients; the second may be given as the outputs of `run`."""
    d_logits = np.random.RandomState(9).normal(size=(len(case[2]), len(case[1])))
    ours, theirs = run(one, *case, d_logits=d_logits), run(other, *case, d_logits=d_logits)
    for key in ("logits", "d_embedding", "d_fc7_weight"):
        close(ours[key], theirs[key])


@pytest.mark.parametrize("loss_type", [6, 7])
def test_without_weight_the_extra_losses_leave_arcface(loss_type):
    case = at_angles(ANGLES)
    same(case, make_head(loss_type, 7, 6), make_head(4, 7, 6))
    ours, arcface = run(make_head(loss_type, 7, 6), *case, extra=True), run(make_head(4, 7, 6), *case)
    close(ours["d_fc7_weight"], arcface["d_fc7_weight"])


@pytest.mark.parametrize("loss_type", [2, 4, 5])
def test_without_margin_all_are_normalised_softmax(loss_type):
    case = embedding, weight, labels = at_angles(ANGLES)
    head = make_head(loss_type, 7, 6, HeadOptions(margin_m=0.0))
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (embedding, weight)]
    close(run(head, *case)["logits"], reference.inner_products(S * unit[0], unit[1], np.zeros(7)))
    same(case, head, make_head(4, 7, 6, HeadOptions(margin_m=0.0)))


def test_combined_has_the_others_as_cases():
    before_pi = at_angles([angle for angle in ANGLES if angle < 150])  # past θ + m = π combined has no branch
    same(before_pi, make_head(5, 7, 6), make_head(4, 7, 6))
    same(at_angles(ANGLES), make_head(5, 7, 6, HeadOptions(margin_m=0.0, margin_b=0.35)),
         make_head(2, 7, 6, HeadOptions(margin_m=0.35)))


@pytest.mark.parametrize("annealing", [0.0, 1000.0])
def test_sphereface_of_margin_1_is_softmax_on_unit_weights(annealing):
    embedding, weight, labels = at_angles(ANGLES)
    unit = weight / np.linalg.norm(weight, axis=1, keepdims=True)
    plain = run(make_head(0, 7, 6, HeadOptions(fc7_no_bias=True)), embedding, unit, labels)
    ours = run(make_head(1, 7, 6, HeadOptions(margin=1)), embedding, unit, labels, fc7_lambda=[annealing])
    close(ours["logits"], plain["logits"])
    close(ours["d_embedding"], plain["d_embedding"])


def test_sphereface_anneals_with_lambda():
    case = at_angles(ANGLES)
    for annealing in (0.0, 76.9):
        logits = reference.margin_logits(functools.partial(reference.sphereface, annealing=annealing), *case)
        close(run(make_head(1, 7, 6), *case, fc7_lambda=[annealing])["logits"], logits)
    assert np.all(run(make_head(1, 7, 6), *case)["d_fc7_lambda"] == 0)


def test_lambda_is_upstreams_schedule():  # β·(1 + 0.12·t)^-1, never below 5; the numbers by hand
    head = make_head(1, 7, 6)
    assert head.scheduled(0) == {"fc7_lambda": 1000.0}
    assert head.scheduled(1)["fc7_lambda"] == pytest.approx(1000 / 1.12)
    assert head.scheduled(100)["fc7_lambda"] == pytest.approx(1000 / 13)
    assert head.scheduled(10 ** 6) == {"fc7_lambda": 5.0}
    frozen = make_head(1, 7, 6, HeadOptions(beta_freeze=10, power=2.0))
    assert [frozen.scheduled(step)["fc7_lambda"] for step in (9, 10)] == [1000.0, 1000.0]
    assert frozen.scheduled(11)["fc7_lambda"] == pytest.approx(1000 / 1.12 ** 2)
    assert make_head(4, 7, 6).scheduled(5) == {}


EVERY = [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize("easy_margin", [False, True])
@pytest.mark.parametrize("loss_type", EVERY)
def test_parallel_antiparallel_and_zero_embeddings_stay_finite(loss_type, easy_margin):
    weight = np.eye(4, 6)
    embedding = np.stack([weight[0], -weight[1], 7 * weight[2], np.zeros(6), weight[0] + 1e-4 * weight[1]])
    labels = np.array([0, 1, 2, 3, 0])
    ours = run(make_head(loss_type, 4, 6, HeadOptions(margin_b=0.1, easy_margin=easy_margin)), embedding, weight,
               labels, loss_type in (6, 7))
    assert list(ours["target_cosine"][:4]) == [1, -1, 1, 0]
    assert all(np.isfinite(value).all() for value in ours.values())


def test_random_rows_along_their_centre_stay_finite():  # cosines round to either side of 1
    rng = np.random.RandomState(0)
    weight = rng.normal(size=(500, 16)).astype("float32")
    for sign in (1, -1):
        for loss_type in EVERY:
            ours = run(make_head(loss_type, 500, 16), sign * weight, weight, np.arange(500))
            assert np.abs(ours["target_cosine"]).max() >= 1
            assert all(np.isfinite(value).all() for value in ours.values())


@pytest.mark.parametrize("cosine", [1.0, 0.9999999, 0.99999, -0.99999, -0.9999999, -1.0])
@pytest.mark.parametrize("name", ["arcface", "combined CM2", "combined 1.35"])
def test_the_guard_at_1_moves_no_value(name, cosine):
    loss_type, options, formula, s = MARGINS[name]
    cosine = np.float32(cosine)
    head = make_head(loss_type, 7, 6, HeadOptions(**options))
    ours = head.with_margin(mx.nd, mx.nd.array([cosine])).asscalar()
    assert ours == pytest.approx(formula(math.acos(cosine))[0], abs=2e-6)


def test_the_gradient_at_1_is_the_one_beside_it():
    weight = np.eye(3, 4)
    for loss_type in (4, 5, 6):
        head = make_head(loss_type, 3, 4, HeadOptions(margin_s=4.0))
        exact = run(head, weight[:1], weight, np.array([0]))
        beside = run(head, weight[:1] + 2e-3 * np.eye(1, 4, 3), weight, np.array([0]))
        close(exact["logits"], beside["logits"], 2e-3)
        assert np.abs(exact["d_embedding"] - beside["d_embedding"])[0, :3].max() < 5e-3


def test_the_reference_gradients_are_differences_of_the_loss():
    embedding, weight, labels = at_angles([30, 75, 110, 160], num_classes=3, emb_size=3)
    rng = np.random.RandomState(3)
    along = rng.normal(size=embedding.shape), rng.normal(size=weight.shape)

    def slope(loss, step=1e-6):
        return (loss(embedding + step * along[0], weight + step * along[1])
                - loss(embedding - step * along[0], weight - step * along[1])) / (2 * step)

    for _, _, formula, s in MARGINS.values():
        def loss(x, w, formula=formula, s=s and 8.0):
            return reference.softmax_loss(reference.margin_logits(formula, x, w, labels, s), labels)

        d_embedding, d_weight = reference.margin_gradient(loss(embedding, weight)[1], formula, embedding, weight,
                                                          labels, s and 8.0)
        assert slope(lambda x, w, loss=loss: loss(x, w)[0]) == pytest.approx(
            (d_embedding * along[0]).sum() + (d_weight * along[1]).sum(), rel=1e-6)
    _, d_embedding, d_weight = reference.intra_loss(embedding, weight, labels)
    assert slope(lambda x, w: reference.intra_loss(x, w, labels)[0]) == pytest.approx(
        (d_embedding * along[0]).sum() + (d_weight * along[1]).sum(), rel=1e-6)
    _, d_weight = reference.inter_loss(weight, labels)
    assert slope(lambda x, w: reference.inter_loss(w, labels)[0]) == pytest.approx(
        (d_weight * along[1]).sum(), rel=1e-6)


def planned_arrays(loss_type, num_classes=50000, batch=64, metrics_first=False):
    """N x C arrays the executor plans for a training step with the softmax on top, workspace included."""
    outputs, out = attached(make_head(loss_type, num_classes, 4, HeadOptions(margin_b=0.1)), loss_type in (6, 7))
    metrics = [out.target_logit, out.target_cosine]
    symbol = mx.sym.Group(metrics + outputs if metrics_first else outputs + metrics)
    fixed = ("softmax_label", "fc7_lambda")
    executor = symbol.simple_bind(mx.cpu(), embedding=(batch, 4), softmax_label=(batch,), grad_req={
        name: "null" if name in fixed else "write" for name in symbol.list_arguments()})
    megabytes = int(re.search(r"Total (\d+) MB allocated", executor.debug_str()).group(1))
    return megabytes * 2 ** 20 / (4 * batch * num_classes)


@pytest.mark.parametrize("metrics_first", [False, True])
@pytest.mark.parametrize("loss_type", EVERY)
def test_memory_is_one_array_more_than_logits_and_their_gradient(loss_type, metrics_first):
    # two: the probabilities, standing where the logits were, and the gradient; upstream's ArcFace takes four
    allowed = 2 if loss_type in (0, 2) else 3
    assert allowed - 0.1 < planned_arrays(loss_type, metrics_first=metrics_first) < allowed + 0.3


@pytest.mark.parametrize("loss_type", EVERY)
def test_shapes_follow_from_the_embedding_alone(loss_type):
    losses, out = attached(make_head(loss_type, 7, 6))
    symbol = mx.sym.Group([*losses, out.target_logit, out.target_cosine])
    _, shapes, _ = symbol.infer_shape(embedding=(5, 6))
    assert shapes == [(5, 7), (5,), (5,)]
    assert symbol.list_outputs() == ["softmax_output", "target_logit_output", "target_cosine_output"]
    assert "fc7_output" in symbol.get_internals().list_outputs()
    assert mx.sym.load_json(symbol.tojson()).infer_shape(embedding=(5, 6))[1] == shapes


def bound_module(head):
    """A Module of the head on five embeddings, every parameter without an initializer of its own set to 1."""
    module = mx.mod.Module(attached(head)[0][0], ["embedding"], context=mx.cpu())
    module.bind([("embedding", (5, 6))], [("softmax_label", (5,))])
    module.init_params(mx.init.One())
    return module


def test_the_variables_carry_upstreams_multipliers():
    module = bound_module(make_head(0, 7, 6, HeadOptions(fc7_lr_mult=10.0, fc7_wd_mult=0.5)))
    attributes = module.symbol.attr_dict()
    assert attributes["fc7_weight"]["__lr_mult__"] == "10.0" and attributes["fc7_weight"]["__wd_mult__"] == "0.5"
    assert attributes["fc7_bias"]["__lr_mult__"] == "2.0" and attributes["fc7_bias"]["__wd_mult__"] == "0.0"
    params = module.get_params()[0]
    assert 0 < params["fc7_weight"].asnumpy().std() < 0.02  # Normal(0.01), not One
    assert np.all(params["fc7_bias"].asnumpy() == 0)


def test_lambda_starts_at_beta_and_is_not_trained():
    head = make_head(1, 7, 6, HeadOptions(beta=300.0))
    module = bound_module(head)
    module.init_optimizer(optimizer_params={"learning_rate": 1.0, "wd": 0.1})
    module.forward_backward(mx.io.DataBatch([mx.nd.ones((5, 6))], [mx.nd.arange(5)]))
    module.update()
    assert module.get_params()[0]["fc7_lambda"].asscalar() == 300
    assert head.parameters == ("fc7_weight",)


@pytest.mark.parametrize("loss_type", EVERY)
def test_a_label_out_of_range_harms_no_memory(loss_type):
    embedding, weight, _ = at_angles([20, 40])
    ours = run(make_head(loss_type, 7, 6), embedding, weight, np.array([-1, 7]))
    assert all(np.isfinite(value).all() for value in ours.values())
