"""Parts, seeds and keys of workers, without a second process; what they do together is in tests/cli/test_launch.py."""
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from mxft.compat import mx
from mxft.distributed import workers as workers_module
from mxft.distributed.environment import Part, prepare_heartbeats, read_part, seconds
from mxft.distributed.serving import serves
from mxft.distributed.store import ModuleStore, SharedStore
from mxft.distributed.workers import Workers, join
from mxft.errors import InputError
from tests.support.groups import left_of

WORKER = {"DMLC_ROLE": "worker", "DMLC_PS_ROOT_URI": "10.0.0.1", "DMLC_PS_ROOT_PORT": "9000", "DMLC_NUM_WORKER": "4",
          "DMLC_NUM_SERVER": "2"}


def test_the_part_is_read_whoever_set_it():
    assert read_part("kvstore dist_sync", WORKER) == Part("worker", 4, 2, "10.0.0.1:9000")


@pytest.mark.parametrize("change, message", [
    ({"DMLC_ROLE": ""}, "received none; mxft launch -n WORKERS -s SERVERS COMMAND starts them all"),
    ({"DMLC_ROLE": "master"}, "expected one of worker, server, scheduler, received DMLC_ROLE='master'"),
    ({"DMLC_PS_ROOT_URI": ""}, r"expected an address, received DMLC_PS_ROOT_URI=\(unset\)"),
    ({"DMLC_NUM_WORKER": "0"}, "expected a number of at least 1, received DMLC_NUM_WORKER=0"),
    ({"DMLC_PS_ROOT_PORT": "x"}, "received DMLC_PS_ROOT_PORT=x")])
def test_a_part_without_sense_is_refused(change, message):
    with pytest.raises(InputError, match=f"^kvstore dist_sync: .*{message}"):
        read_part("kvstore dist_sync", {**WORKER, **change})


def test_heartbeats_are_on_unless_somebody_has_said_how():
    environment = {"PS_HEARTBEAT_TIMEOUT": "7"}
    prepare_heartbeats(environment)
    assert environment == {"PS_HEARTBEAT_TIMEOUT": "7", "PS_HEARTBEAT_INTERVAL": "2"}
    assert [seconds("A", 5, {"A": text}) for text in ("", "8", "0", "soon")] == [5, 8, 5, 5]


def test_a_process_of_its_own_is_the_first_of_one(monkeypatch):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    alone = join("device")
    assert (alone.rank, alone.count, alone.writes, alone.module_store()) == (0, 1, True, "device")
    assert alone.seed(5) == 5 and alone.broadcast(3) == 3 and alone.first_then_others(lambda: "made") == "made"
    assert not serves()


def test_a_kvstore_of_one_process_is_refused_where_there_are_several(monkeypatch):
    for name, value in WORKER.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="under a launcher with 4 workers, received kv-store='device'; give kvstore"):
        join("device")


class SecondOfThree(Workers):
    rank, count = 1, 3


def test_ranks_draw_different_numbers_and_only_the_first_writes():
    second = SecondOfThree("dist_sync")
    assert not second.writes and 0 <= second.seed(2**31 - 1) < 2**31 and second.seed(0) != 0
    assert (second.gradients_an_update, second.updates_a_batch) == (3, 1)
    assert second.facts() == {"workers": 3} and Workers("dist_sync").facts() == {}
    without_waiting = SecondOfThree("dist_async")
    assert (without_waiting.gradients_an_update, without_waiting.updates_a_batch) == (1, 3)


def test_rank_0_goes_first():
    order = []

    class Waits(SecondOfThree):
        def wait_for_all(self):
            order.append("waited")

    assert Waits("dist_sync").first_then_others(lambda: order.append("made") or "it") == "it"
    assert order == ["waited", "made"]


class NumberedStore:
    """Stands for the servers: numbers keys as they come, and refuses to be given one twice."""

    num_workers = 3

    def __init__(self):
        self.numbers, self.optimizer = {}, None

    def broadcast(self, key, value, out, priority=0):
        assert key not in self.numbers
        self.numbers[key] = len(self.numbers)
        out[:] = value

    def set_optimizer(self, optimizer):
        self.optimizer = optimizer


def test_a_second_module_gets_keys_of_its_own_and_its_multipliers_meet_them():
    servers = NumberedStore()
    shared = SharedStore(servers)
    symbol = mx.sym.FullyConnected(mx.sym.Variable("data"), mx.sym.Variable("w", lr_mult=0.1), num_hidden=2, name="fc")
    for _ in range(2):
        optimizer = mx.optimizer.create("sgd", sym=symbol, param_idx2name={0: "w", 1: "fc_bias"}, learning_rate=1.0)
        lent, out = ModuleStore(shared), mx.nd.zeros((2,))
        lent.set_optimizer(optimizer)
        for name in ("w", "fc_bias"):
            lent.broadcast(name, mx.nd.ones((2,)), out)
        last = {name.rpartition("/")[2]: number for name, number in servers.numbers.items()}
        assert servers.optimizer._get_lrs([last["w"], last["fc_bias"]]) == [0.1, 1.0]
        assert optimizer.idx2name == {0: "w", 1: "fc_bias"}
        assert shared.broadcast(3) == 3
    assert list(servers.numbers.values()) == list(range(2 * (2 + 2)))  # what is agreed on takes two


@pytest.mark.parametrize("kvstore, servers_update", [("dist_sync", False), ("dist_device_sync", False),
                                                     ("dist_async", True)])
def test_the_servers_update_only_where_nobody_waits(kvstore, servers_update):
    servers = NumberedStore()
    servers.type = kvstore
    assert ModuleStore(SharedStore(servers)).is_capable("optimizer") == servers_update
    assert Workers(kvstore).updates_itself != servers_update


def test_a_workers_own_parameters_become_those_of_the_first():
    class FirstHasOnes(NumberedStore):
        type = "dist_sync"

        def broadcast(self, key, value, out, priority=0):
            super().broadcast(key, mx.nd.ones_like(value), out)

    net = mx.sym.FullyConnected(mx.sym.BatchNorm(mx.sym.Variable("data"), name="bn"), num_hidden=2, name="fc")
    module = mx.mod.Module(mx.sym.SoftmaxOutput(net, name="softmax"))
    module.bind([("data", (4, 3))], [("softmax_label", (4,))])
    module.init_params(mx.init.Uniform())
    workers = SecondOfThree("dist_sync")
    module.init_optimizer(ModuleStore(SharedStore(FirstHasOnes())))
    workers_module._JoinedWorkers.begin_alike(workers, module)
    assert not module._update_on_kvstore and module._optimizer.rescale_grad == 1 / 12
    for values in (*module.get_params(), module._exec_group.execs[0].arg_dict, module._exec_group.execs[0].aux_dict):
        for name in {"fc_weight", "fc_bias", "bn_gamma", "bn_beta", "bn_moving_mean", "bn_moving_var"} & set(values):
            assert (values[name].asnumpy() == 1).all(), name


def test_faces_are_divided_as_one_process_of_that_batch_would_see_them(make_face_set):
    from mxft.faces.data.iterators import FaceIterator

    faces = make_face_set(26)
    whole = [batch.label[0].asnumpy() for batch in FaceIterator(faces, 8, (12, 12), seed=3, threads=1)]
    parts = [[batch.label[0].asnumpy() for batch in FaceIterator(faces, 4, (12, 12), seed=3, threads=1, worker=rank,
                                                                 workers=2)] for rank in range(2)]
    assert len(whole) == 3
    assert np.array_equal(whole, [np.concatenate(pair) for pair in zip(*parts)])
    with pytest.raises(InputError, match="at least batch_size=9 images for each of 3 workers, received 26; the largest "
                                         "batch that works has 8"):
        FaceIterator(faces, 9, (12, 12), workers=3)


@pytest.fixture
def make_face_set(tmp_path):
    """A function ``(count) -> FaceSet`` of noise, 12x12, an identity each."""
    import cv2

    from mxft.data.recordio import IRHeader, RecordWriter, pack
    from mxft.faces.data.layout import read_face_set

    def make(count):
        rng = np.random.RandomState(0)
        with RecordWriter(str(tmp_path / "train.rec"), str(tmp_path / "train.idx")) as writer:
            writer.write(pack(IRHeader(2, [count + 1, 2 * count + 1], 0, 0), b""), 0)
            for key in range(1, count + 1):
                image = cv2.imencode(".png", rng.randint(0, 255, (12, 12, 3)).astype(np.uint8))[1].tobytes()
                writer.write(pack(IRHeader(2, [key - 1, 1], key, 0), image), key)
            for key in range(1, count + 1):
                writer.write(pack(IRHeader(2, [key, key + 1], count + key, 0), b""), count + key)
        (tmp_path / "property").write_text(f"{count},12,12")
        return read_face_set(str(tmp_path))
    return make


def tether(*command):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-m", "mxft.distributed.tether", *command], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True, env=environment)


def test_a_tether_gives_the_commands_status():
    assert tether("sh", "-c", "exit 7").wait() == 7
    assert tether("sh", "-c", "kill -KILL $$").wait() == 137
    assert tether("no-such-command").wait() == 127


def test_a_tether_passes_signals_on():
    process = tether("sh", "-c", "trap 'exit 5' INT; echo ready; while :; do sleep 0.05; done")
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("SIGINT\n")
    process.stdin.flush()
    assert process.wait() == 5


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize("how", ["cut", "killed"])
def test_nothing_is_left_when_the_line_is_cut_or_the_tether_killed(how):
    script = "sleep 300 & echo $!; wait" if how == "cut" else "echo $$; exec sleep 300"
    process = tether("sh", "-c", script)
    child = int(process.stdout.readline())
    if how == "cut":
        process.stdin.close()
    else:
        process.send_signal(signal.SIGKILL)
    process.wait()
    assert left_of([child]) == []


def test_a_process_that_joined_leaves_with_its_status_at_once(monkeypatch):
    left = []

    class Joined(Workers):
        def leave(self):
            left.append("cleanly")

    monkeypatch.setattr(workers_module, "_JOINED", [Joined("dist_sync")])
    monkeypatch.setattr(workers_module, "_end_now", lambda status: left.append(status))
    workers_module.release(0)
    assert left == ["cleanly"]
    workers_module.release(3)
    assert left[1] == 3
