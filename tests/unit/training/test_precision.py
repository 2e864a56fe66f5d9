"""Half precision: which operators it reaches, what stays float32, and the loss scale with its skipped updates.

There is no float16 on a CPU: the graphs are looked at, and the machinery runs on them without casts, or in bfloat16.
"""
import json

import numpy as np
import pytest

from mxft.backbones.faces import Versions, face_network
from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.layout import read_face_set
from mxft.faces.train import train_faces
from mxft.faces.training.network import attach_face_head, pretrained_backbone
from mxft.faces.training.options import FaceOptions
from mxft.freeze import freeze_plan
from mxft.heads import HeadOptions, make_head
from mxft.machine.processor import cpu_flags
from mxft.network.checkpoint import load_checkpoint
from mxft.network.graph import Graph
from mxft.network.input_spec import InputSpec
from mxft.surgery import data_name, label_names
from mxft.training import loss_scale, precision
from mxft.training.fit import FitOptions
from mxft.training.loss_scale import LossScale, all_finite
from mxft.training.module import TrainingModule
from mxft.training.precision import (
    LOSS_SCALE,
    check_precision,
    half_precision,
    half_precision_classifier,
    scaled_parameters,
)
from mxft.training.recipe import Recipe
from mxft.training.resume.snapshots import Snapshots
from mxft.training.resume.state import Keeping
from mxft.training.run import read_log
from mxft.workflows.finetune import finetune
from tests.support.images import banded
from tests.support.killing import killed_after

SPEC = InputSpec((3, 8, 8))
HALVES = ("Convolution", "FullyConnected", "LeakyReLU")


def types_of(symbol):
    """Return {(name, operator): type of its output}, and check that whatever is given or returned is float32."""
    given = dict.fromkeys((data_name(symbol), *label_names(symbol)), np.float32)
    arguments, outputs, states = symbol.infer_type(**given)
    assert set(arguments) | set(outputs) | set(states) <= {np.float32}
    internals = symbol.get_internals()
    heads = json.loads(internals.tojson(remove_amp_cast=False))["heads"]
    nodes, found = Graph(internals).nodes, {}
    for (index, output, *_), kind in zip(heads, internals.infer_type(**given)[1]):
        if output == 0 and not nodes[index].is_variable:
            found[nodes[index].name, nodes[index].op] = kind  # names alone may repeat
    return found


def assert_half(half, full, size):
    """All layers of `full` that multiply run in float16, nothing else is asked for than it asks for."""
    assert [name for name in half.list_arguments() if name != LOSS_SCALE] == full.list_arguments()
    assert half.list_auxiliary_states() == full.list_auxiliary_states()
    found, given = types_of(half), {data_name(full): (2, 3, size, size)}
    for node in Graph(full).operators():
        kind = found[node.name, node.op]
        if node.op in HALVES or node.op == "BatchNorm" and Graph(full).nodes[node.inputs[0][0]].op == "Convolution":
            assert kind is np.float16, node.name
        if node.op == "SoftmaxOutput":
            assert kind is np.float32
    shapes = dict(zip(half.list_arguments(), half.infer_shape(**given)[0]))
    assert shapes.pop(LOSS_SCALE) == (1, 1)
    assert shapes == dict(zip(full.list_arguments(), full.infer_shape(**given)[0]))


@pytest.mark.parametrize("name, size", [
    ("models/mobilenet-v2-1.0", 64), ("models/mobilenet-v1-0.25", 64), ("symbols/resnet-18", 64),
    ("symbols/resnet-50", 64), ("symbols/inception-bn", 224), ("symbols/mobilenet-v2-convhead", 64)])
def test_every_layer_of_a_published_classifier_is_half(name, size, testdata):
    full = mx.sym.load(str(testdata / f"{name}-symbol.json"))
    before = full.tojson()
    half = half_precision_classifier(full)
    assert_half(half, full, size)
    assert half.list_outputs() == full.list_outputs() and full.tojson() == before


@pytest.mark.parametrize("name, loss_type, changes", [
    ("y1", 4, {"output": "GDC"}), ("r18", 1, {"se": 1}), ("r18", 6, {}), ("r50", 4, {}), ("m1", 2, {})])
def test_a_faces_embedding_is_half_and_its_head_is_not(name, loss_type, changes):
    embedding = face_network(name, 64, versions=Versions(**changes))
    network = attach_face_head(embedding, make_head(loss_type, 10, 64, HeadOptions(margin_s=16.0)))
    half = network.in_half_precision()
    assert half.saved is network.saved and half.bound.list_outputs()[1:] == network.bound.list_outputs()[1:]
    assert set(half.bound.list_arguments()) == {*network.bound.list_arguments(), LOSS_SCALE}
    backbone = {(node.name, node.op) for node in Graph(embedding).operators()}
    for (name, op), kind in types_of(half.bound).items():
        if (name, op) not in backbone and op != "amp_cast":
            assert kind is np.float32, name
        elif op in HALVES:
            assert kind is np.float16, name
    assert scaled_parameters(half.bound) - {LOSS_SCALE} == set(embedding.list_inputs())
    weighted = [node for node in Graph(network.bound).operators() if node.op in HALVES]
    assert {(node.name, node.op) for node in weighted} <= set(types_of(half.bound))


def test_the_published_face_and_gender_networks_can_be_half(testdata):
    for name in ("mobilefacenet-y1", "gender-age"):
        full = load_checkpoint(str(testdata / "models" / name / "model") + ",0").symbol
        assert_half(half_precision(full), full, 112)


def test_casts_stay_in_a_graph_that_is_rebuilt():
    net = mx.sym.FullyConnected(mx.sym.amp_cast(mx.sym.Variable("data"), dtype="float16"), num_hidden=2, name="fc1")
    graph = Graph(net)
    assert [node.op for node in graph.operators()] == ["amp_cast", "FullyConnected"]
    assert [node.op for node in Graph(graph.to_symbol()).operators()] == ["amp_cast", "FullyConnected"]


def test_a_network_without_one_softmax_is_refused():
    with pytest.raises(InputError, match="fp16: expected a network that ends in one SoftmaxOutput, received Flatten "
                                         "'flat' as the first of 1 outputs"):
        half_precision_classifier(mx.sym.Flatten(mx.sym.Variable("data"), name="flat"))


@pytest.mark.parametrize("kvstore, devices, message", [
    ("device", [mx.cpu()], r"fp16: expected GPUs, received cpu\(0\), where MXNet has no float16 convolution; leave "
                           "fp16 out, or choose cards"),
    ("device", [mx.gpu(0), mx.cpu(1)], r"received cpu\(1\), where"),
    ("dist_sync", [mx.gpu(0)], "fp16: expected a kvstore of one machine beside it, received kvstore='dist_sync': a "
                               "worker that skips an update would leave the others waiting")])
def test_half_precision_is_refused_where_it_cannot_be(kvstore, devices, message):
    with pytest.raises(InputError, match=message):
        check_precision(FitOptions(fp16=True, kvstore=kvstore), devices)
    check_precision(FitOptions(kvstore=kvstore), devices)


def test_the_scale_is_halved_at_once_and_doubled_after_many_good_updates(capsys):
    rows, good, bad = [], [mx.nd.ones((2,))], [mx.nd.ones((3,)), mx.nd.array([1, np.inf])]
    scale = LossScale(lambda event, **facts: rows.append((event, facts)), 8.0, patience=3)
    seen = []
    for gradients in (good, good, bad, good, good, good, good, bad):
        seen.append((scale.admits(gradients), scale.value))
    assert seen == [(True, 8), (True, 8), (False, 4), (True, 4), (True, 4), (True, 8), (True, 8), (False, 4)]
    assert rows == [("skipped", {"loss_scale": 4, "skipped": 1}), ("skipped", {"loss_scale": 4, "skipped": 2})]
    assert capsys.readouterr().out.splitlines()[0] == (
        "an update is skipped, its gradients overflowed float16; loss scale 4 from here on")
    again = LossScale(None)
    again.restore(json.loads(json.dumps(scale.facts())))
    assert (again.value, again.skipped, again.facts()) == (4, 2, scale.facts())


def test_the_scale_grows_to_a_limit_and_gradients_that_are_never_finite_end_the_run(monkeypatch):
    scale = LossScale(lambda *_, **__: None, loss_scale.MOST, patience=1)
    assert scale.admits([mx.nd.ones((1,))]) and scale.value == loss_scale.MOST
    scale.value = 2.0
    assert not scale.admits([mx.nd.array([np.nan])])
    with pytest.raises(RunError, match="training stopped: expected finite gradients, received inf or NaN at a loss "
                                       "scale of 1"):
        scale.admits([mx.nd.array([np.nan])])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_one_number_that_is_not_finite_is_found_on_any_device(bad):
    arrays = [mx.nd.ones((3, 2), ctx=mx.cpu(number % 2)) for number in range(450)]
    assert all_finite(arrays)
    arrays[401][2, 1] = bad
    assert not all_finite(arrays)


@pytest.fixture
def no_casts(monkeypatch):
    """The graphs of half precision with no cast in them, and nobody who minds a CPU."""
    monkeypatch.setattr(precision, "_with_casts", lambda layers, dtype: layers)
    for place in ("mxft.training.preparation", "mxft.faces.training.preparation"):
        monkeypatch.setattr(f"{place}.check_precision", lambda *_: None)


@pytest.fixture
def run(coloured_records, make_checkpoint, tmp_path, monkeypatch):
    """A function (folder, cpus=1, resume="", fp16=True, **options) -> {name: array} of a fine-tuned tiny network."""
    monkeypatch.setattr("mxft.workflows.finetune.draw_curves", lambda *_: None)  # takes longer than the training
    data = coloured_records(20)

    def train(folder, cpus=1, resume="", plan="full", batch_norm=False, state_batches=0, **options):
        options = FitOptions(**{"epochs": 3, "momentum": 0.9, "wd": 0.01, "fp16": True, "rewrite": False, **options})
        result = finetune(make_checkpoint(5, batch_norm=batch_norm), data, str(tmp_path / folder),
                          Recipe(plan, batch_size=4, learning_rate=0.05, fit=options), SPEC, cpus=cpus,
                          keeping=Keeping(state_batches=state_batches, state_minutes=0, resume=resume))
        return {name: array.asnumpy() for group in result.fit.parameters for name, array in group.items()}
    return train


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def _with_value(original, value):
    def begin(self, log):
        original(self, log, value)
    return begin


@pytest.mark.parametrize("cpus, changes", [
    (1, {"label_smoothing": 0.1, "batch_norm": True}), (2, {"accumulate": 3}),
    pytest.param(1, {}, marks=pytest.mark.long),
    pytest.param(2, {"optimizer": "adam", "momentum": None}, marks=pytest.mark.long)])
def test_no_scale_changes_a_bit_of_the_update(cpus, changes, run, no_casts, monkeypatch):
    plain = run("plain", cpus, fp16=False, **changes)
    monkeypatch.setattr(LossScale, "__init__", _with_value(LossScale.__init__, loss_scale.MOST))
    assert_same(run("scaled", cpus, **changes), plain)


def damage(monkeypatch, batches, device=0):
    """Have one number of a gradient be inf after these batches of the run, on one device."""
    original, done = TrainingModule.forward_backward, []

    def damaged(self, batch):
        original(self, batch)
        done.append(batch)
        if len(done) in batches:
            self._exec_group.grad_arrays[0][device][0] = np.inf
    monkeypatch.setattr(TrainingModule, "forward_backward", damaged)


def leave_out(monkeypatch, updates):
    """Have these updates of the run not be made: what skipping them has to come to."""
    original, done = TrainingModule._apply, []

    def left_out(self, batches):
        done.append(batches)
        if len(done) not in updates:
            original(self, batches)
        for *_, gradient in self._gradients():
            gradient[:] = 0
    monkeypatch.setattr(TrainingModule, "_apply", left_out)


@pytest.mark.parametrize("cpus, device, accumulate, batches, updates", [
    (1, 0, 1, (2, 3, 9), (2, 3, 9)), (2, 0, 3, (1, 10), (1, 4)),
    pytest.param(2, 1, 1, (2,), (2,), marks=pytest.mark.long)])
def test_a_skipped_update_leaves_no_trace(cpus, device, accumulate, batches, updates, run, no_casts, monkeypatch,
                                          tmp_path, capsys):
    """Parameters and momenta at the end are those of a run that never had that update, and so are its counts."""
    with monkeypatch.context() as patch:
        leave_out(patch, updates)
        expected = run("expected", cpus, fp16=False, accumulate=accumulate)
    with monkeypatch.context() as patch:
        damage(patch, batches, device)
        capsys.readouterr()
        assert_same(run("skipped", cpus, accumulate=accumulate), expected)
    assert capsys.readouterr().out.count("an update is skipped") == len(updates)
    rows = [row for row in read_log(tmp_path / "skipped" / "log.jsonl") if row["event"] == "skipped"]
    assert [row["loss_scale"] for row in rows] == [2.0 ** (16 - number) for number in range(1, len(updates) + 1)]
    (counts, states), (others, expected_states) = (left_behind(tmp_path / name) for name in ("skipped", "expected"))
    assert counts["counts"] == others["counts"] and counts["numbers"] == others["numbers"]
    assert_same(states, expected_states)
    assert counts["loss_scale"] == {"value": rows[-1]["loss_scale"], "skipped": len(rows),
                                    "good": counts["loss_scale"]["good"]}


def left_behind(folder):
    """Return the facts of the optimizer and the arrays of a run's last state."""
    facts = json.loads((folder / "state" / "state.json").read_text())
    arrays = mx.nd.load(str(folder / "state" / f"{facts['number']}.params"))
    return facts["optimizer"], {name: array.asnumpy() for name, array in arrays.items()}


def test_a_killed_run_goes_on_with_its_scale(run, no_casts, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        damage(patch, (2,))
        whole = run("whole", accumulate=2)
    with monkeypatch.context() as patch:
        damage(patch, (2,))
        with killed_after(3, Snapshots, "save"):
            run("killed", accumulate=2, state_batches=1)
    assert_same(run("killed", accumulate=2, state_batches=1, resume="must"), whole)
    assert left_behind(tmp_path / "killed")[0] == left_behind(tmp_path / "whole")[0]
    assert left_behind(tmp_path / "whole")[0]["loss_scale"]["value"] == 2.0 ** 15


def test_gradients_that_stay_infinite_end_the_run_with_its_message(run, no_casts, monkeypatch):
    damage(monkeypatch, range(100))
    with pytest.raises(RunError, match=r"expected finite gradients, received inf or NaN at a loss scale of 1 \(epoch "
                                       r"4, learning rate 0.05\): the last good checkpoint is .*model,3"):
        run("stopped", epochs=5)


@pytest.mark.skipif("avx512f" not in cpu_flags(), reason="oneDNN has no bfloat16 without AVX-512")
def test_bfloat16_trains_on_a_cpu_and_saves_the_users_float32_network(run, no_casts, monkeypatch, tmp_path):
    """What float16 does on a card: casts in the graph, float32 around it."""
    plain = run("plain", fp16=False, epochs=8)
    monkeypatch.undo()
    with_casts = precision._with_casts
    monkeypatch.setattr(precision, "_with_casts", lambda layers, dtype: with_casts(layers, "bfloat16"))
    monkeypatch.setattr("mxft.training.preparation.check_precision", lambda *_: None)
    half = run("half", epochs=8)
    differs = max(np.abs(half[name] - plain[name]).max() / np.abs(plain[name]).max() for name in plain)
    assert 1e-4 < differs < 0.1
    saved, own = (load_checkpoint(str(tmp_path / name / "model") + ",best") for name in ("half", "plain"))
    assert saved.symbol.tojson() == own.symbol.tojson() and "amp_cast" not in saved.symbol.tojson(False)
    assert {array.dtype for array in saved.arg_params.values()} == {np.float32}
    assert set(saved.arg_params) == set(own.arg_params)
    losses = [[row["train_loss"] for row in read_log(tmp_path / name / "log.jsonl") if row["event"] == "epoch"]
              for name in ("half", "plain")]
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert losses[0][-1] < 0.8 * losses[0][0]


@pytest.mark.parametrize("contexts, accumulate", [(1, 1), (2, 1), (1, 2)])
def test_a_face_run_is_the_same_under_any_scale_and_skips_too(contexts, accumulate, make_records, make_face_checkpoint,
                                                            no_casts, monkeypatch, tmp_path):

    faces = read_face_set(make_records("faces.rec", np.repeat(np.arange(4), 8), banded))

    def train(prefix, **options):
        backbone = pretrained_backbone(make_face_checkpoint(), (16, 16))
        options = FaceOptions(**{"lr": 0.05, "per_batch_size": 8 // contexts, "end_epoch": 2, "rand_mirror": False,
                                 "frequent": 1, "accumulate": accumulate, "rewrite": False, **options})
        head = make_head(4, 4, backbone.emb_size, HeadOptions(margin_s=8.0))
        result = train_faces(backbone, head, faces, str(tmp_path / prefix / "model"), options,
                             [mx.cpu(number) for number in range(contexts)], make_face_checkpoint())
        checkpoint = load_checkpoint(result.last)
        return {name: array.asnumpy() for name, array in {**checkpoint.arg_params, **checkpoint.aux_params}.items()}

    assert_same(train("scaled", fp16=True), train("plain"))
    with monkeypatch.context() as patch:
        leave_out(patch, (2,))
        expected = train("expected")
    damage(monkeypatch, (2 * accumulate,), contexts - 1)
    assert_same(train("skipped", fp16=True), expected)
    rows = [row for row in read_log(tmp_path / "skipped" / "model-log.jsonl") if row["event"] == "skipped"]
    assert [(row["loss_scale"], row["skipped"]) for row in rows] == [(2.0 ** 15, 1)]


def test_a_plan_in_stages_begins_each_with_a_scale_of_its_own(run, no_casts):
    assert_same(run("staged", plan="two-stage", accumulate=2), run("plain", plan="two-stage", accumulate=2, fp16=False))


def test_the_plan_of_a_half_graph_is_that_of_the_network(make_checkpoint):
    """BatchNorm layers and multipliers are found behind the casts."""
    full = make_checkpoint().symbol
    plan = freeze_plan("head", full, ("fc1_weight", "fc1_bias"))
    bound = plan.training_symbol(half_precision_classifier(full))
    assert [node.flag("use_global_stats") for node in Graph(bound).operators() if node.op == "BatchNorm"] == [True]
    assert types_of(bound)["conv0", "Convolution"] is np.float16
