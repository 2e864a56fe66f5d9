"""Going on as several workers: the first tells the others, and they end as a run that was never stopped."""
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from mxft.compat import mx
from mxft.distributed import store as store_module
from mxft.distributed.store import SharedStore
from mxft.distributed.workers import Workers
from mxft.errors import InputError
from mxft.training.fit import FitOptions
from mxft.training.recipe import Recipe
from mxft.training.resume.following import ReceivedState, share_state
from mxft.training.resume.state import Keeping, RunState, require_resumable
from mxft.training.run import SilentRun, read_log
from tests.reference.resumed_group import FACES, RECIPES
from tests.support.images import banded

ASKED = {"recipe": {"fit": {"epochs": 3}, "wd": 0.1}, "devices": ["gpu(0)"]}


class Servers:
    """Stands for ps-lite: what `count` threads ask of it under one key, it sums, or gives all what the first has."""

    def __init__(self, count):
        self._meeting, self._given, self._answers = threading.Barrier(count, timeout=20), [None] * count, {}
        self.keys = set()

    def of(self, rank):
        """Return the store of one worker."""
        def meet(value, answer, first):
            self._given[rank] = value.asnumpy()
            self._meeting.wait()
            given = self._given[0] if first else sum(self._given)
            self._meeting.wait()
            answer[:] = given

        def broadcast(name, value, out, priority=0):
            assert rank or name not in self.keys  # ps-lite would take the second for a gradient
            self._meeting.wait()
            self.keys.add(name)
            meet(value, out, True)

        return SimpleNamespace(init=lambda name, value: broadcast(name, value, value), broadcast=broadcast,
                               pushpull=lambda name, value, out, priority=0: meet(value, out, False))


class Joined(Workers):
    """A worker of several that are threads."""

    def __init__(self, rank, count, servers, kvstore="dist_sync"):
        super().__init__(kvstore)
        self.rank, self.count, self._shared = rank, count, SharedStore(servers.of(rank))
        self.broadcast, self.broadcast_bytes = self._shared.broadcast, self._shared.broadcast_bytes


def together(do, count=2, **options):
    """Return what ``do(workers)`` returned or raised in each of `count` threads."""
    servers, results = Servers(count), [None] * count

    def work(rank):
        try:
            results[rank] = do(Joined(rank, count, servers, **options))
        except Exception as error:
            results[rank] = error
    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_all_have_the_value_of_the_first():
    value = {"history": [{"lr": 0.1 + 0.2, "seconds": 1e300}], "seed": 2**31 - 2, "name": "Käfer", "none": None}

    def ask(workers):
        return [workers.broadcast([value, False][workers.rank]), workers.broadcast(True)]
    assert together(ask) == [[value, True]] * 2


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 8 * 5])
def test_bytes_cross_in_pieces_and_leave_nothing_behind(size, monkeypatch):
    monkeypatch.setattr(store_module, "_PIECE", 4)
    data, keys = bytes(range(250, 256)) * 7, []

    def ask(workers):
        received = [workers.broadcast_bytes(None if workers.rank else data[:size]) for _ in range(2)]
        keys.append(workers._shared.keys)
        return received
    assert together(ask, count=3) == [[data[:size]] * 2] * 3
    assert keys[0] == keys[1] == 1 + 2 * 2  # the pieces', and a length's two a time


def test_the_others_go_on_from_what_the_first_has_read(tmp_path):
    before = RunState(str(tmp_path), ASKED)
    before.stage = 2
    before.save({"epoch": 1}, {"arg:w": mx.nd.array([1, -0.0, np.nan]), "optimizer:0": mx.nd.ones((2, 2))})

    def resume_from(workers):
        state = RunState(str(tmp_path), ASKED)
        state = share_state(workers, ASKED, lambda: state if state.load() else None)
        resumed, not_yet, state.stage = state.resumed, state.restore(), 2
        facts, arrays = state.restore()
        return (type(state), resumed, not_yet, facts["epoch"], state.restore(),
                {name: value.asnumpy().tobytes() for name, value in arrays.items()})
    first, second = together(resume_from)
    assert (first[0], second[0]) == (RunState, ReceivedState) and first[1:] == second[1:]
    assert first[1:5] == (True, None, 1, None) and set(first[5]) == {"arg:w", "optimizer:0"}


def test_a_worker_that_was_asked_something_else_says_what(tmp_path):
    def begin(workers):
        asked = {**ASKED, "devices": ["gpu(1)"]}
        if workers.rank:
            asked["recipe"] = {"fit": {"epochs": 4}, "wd": 0.1}
        return share_state(workers, asked, lambda: RunState(str(tmp_path), asked))
    first, second = together(begin)
    assert isinstance(first, RunState) and isinstance(second, InputError)
    assert str(second) == ("worker 1: expected what rank 0 was asked, received epochs=4 (rank 0 has 3); "
                           "give every worker the same command, data and checkpoint")


def test_another_number_of_workers_is_refused_by_name(tmp_path):
    RunState(str(tmp_path), {**ASKED, "workers": 2}).begin()
    with pytest.raises(InputError, match=r"received workers=3 \(it was 2\); give the same"):
        RunState(str(tmp_path), {**ASKED, "workers": 3}).load()


def test_where_the_servers_update_there_is_no_state():
    def begin(workers):
        return share_state(workers, ASKED, lambda: pytest.fail("opened"))
    assert together(begin, kvstore="dist_async") == [None, None]
    require_resumable("dist_async", Keeping())
    require_resumable("dist_sync", Keeping(resume="must"))
    with pytest.raises(InputError, match="^resume: expected dist_sync or dist_device_sync, received kv-store="
                                         "'dist_async', whose momenta are on the servers; leave resume out and start "
                                         "from the best checkpoint, with model or pretrained"):
        require_resumable("dist_async", Keeping(resume="auto"))


def test_a_follower_keeps_and_names_nothing(tmp_path):
    state = ReceivedState(None, None)
    run = SilentRun(str(tmp_path / "run"), state)
    state.save({}, {})
    assert not state.resumed and not state.is_due(1) and state.restore() is None
    assert run.state is state and run.name("best") is None and list(tmp_path.iterdir()) == []


def test_where_all_is_solved_the_others_have_nothing_to_do(coloured_records, make_checkpoint, tmp_path, monkeypatch):
    from mxft.network.input_spec import InputSpec
    from mxft.training import staged
    from mxft.workflows import finetune

    class Second(Workers):
        rank, count = 1, 2
        broadcast = staticmethod(lambda value: {"asked": {**value["asked"]}, "found": None})

    monkeypatch.setattr("mxft.training.preparation.check_kvstore", lambda name: name)
    for module in (finetune, staged):
        monkeypatch.setattr(module, "join", Second)
    recipe = Recipe(plan="head", solver="logistic", batch_size=4, fit=FitOptions(kvstore="dist_sync"))
    result = finetune.finetune(make_checkpoint(), coloured_records(18, 9), str(tmp_path / "run"), recipe,
                               InputSpec((3, 8, 8)))
    assert not result.written and result.fit.history == [] and not result.fit.interrupted


def test_an_optimizer_of_random_numbers_is_refused():
    with pytest.raises(InputError, match="optimizer: expected one that draws no random numbers, since every worker upda"
                                         "tes its own parameters, received optimizer='sgld' with kvstore='dist_sync'"):
        Recipe(fit=FitOptions(optimizer="sgld", kvstore="dist_sync"))


@pytest.fixture
def folder(coloured_records, make_records, make_checkpoint, make_face_checkpoint, tmp_path):
    """A folder with what tests/reference/resumed_group.py needs."""
    coloured_records(18, 10)
    make_records("faces.rec", np.repeat(np.arange(4), 12), banded)
    make_checkpoint(5).save(str(tmp_path / "old"), 0)
    make_face_checkpoint().save(str(tmp_path / "face"), 0)
    return tmp_path


def resumed_group(folder, repository, kvstore, contexts, *cases, workers=2):
    done = subprocess.run(
        [sys.executable, str(repository / "tools/launch.py"), "-n", str(workers), "-s", "1", sys.executable,
         "-m", "tests.reference.resumed_group", str(folder), kvstore, str(contexts), *cases],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}, capture_output=True,
        text=True, timeout=300, cwd=repository)
    assert done.returncode == 0 and (folder / f"done.{workers - 1}").exists(), done.stderr
    return done.stdout


def numbers(folder, case, run):
    """Return what a run has saved, by file and name."""
    return {(path.name, name): value.asnumpy() for path in sorted((folder / case / run).glob("model-*.params"))
            for name, value in mx.nd.load(str(path)).items()}


def losses(folder, case, run):
    """Return the training figures of a run's log."""
    log, = (folder / case / run).glob("*log.jsonl")
    return [[row.get(name) for name in ("epoch", "step", "lr", "train_loss", "train_top1", "loss", "target_cosine")]
            for row in read_log(log) if row["event"] in ("epoch", "interval")]


@pytest.mark.long
def test_two_workers_go_on_bit_for_bit(folder, repository):
    said = resumed_group(folder, repository, "dist_sync", 1, "mixed", "stages", "phases")
    for case in ("mixed", "stages", "phases"):
        np.testing.assert_equal(numbers(folder, case, "killed"), numbers(folder, case, "whole"))
        assert losses(folder, case, "killed") == losses(folder, case, "whole") != []
    assert said.count("resuming") == 3 and "worker 1 | " not in said


@pytest.mark.long
@pytest.mark.parametrize("kvstore, contexts", [("dist_sync", 1), ("dist_device_sync", 2)])
def test_every_training_goes_on(kvstore, contexts, folder, repository):
    """Two contexts have moving statistics of their own, whose mean is what is written down: these are rounded."""
    resumed_group(folder, repository, kvstore, contexts)
    for case in (*RECIPES, *FACES):
        whole = numbers(folder, case, "whole")
        for (file, name), value in numbers(folder, case, "killed").items():
            np.testing.assert_allclose(value, whole.pop((file, name)), err_msg=f"{case} {file} {name}", atol=0,
                                       rtol=1e-6 if contexts > 1 and name.startswith("aux:") else 0)
        assert not whole and losses(folder, case, "killed") == losses(folder, case, "whole") != []
