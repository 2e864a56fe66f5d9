"""Devices by the words users type, refused before training where there is no such thing."""
import pytest

from mxft import devices
from mxft.compat import mx
from mxft.devices import KVSTORES, contexts, kvstore, visible_gpus
from mxft.errors import InputError
from mxft.machine.cards import Card, Driver


@pytest.fixture
def two_gpus(monkeypatch):
    """A CUDA build on a machine with two cards, as far as MXNet tells."""
    monkeypatch.setattr(mx.runtime, "Features", lambda: type("F", (), {"is_enabled": lambda self, name: True})())
    monkeypatch.setattr(mx.context, "num_gpus", lambda: 2)
    monkeypatch.setattr(devices, "query_driver", lambda: Driver((12, 2), (Card(0, "NVIDIA L4", (8, 9)),) * 2))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize("gpus", ["", None, "  "])
def test_no_list_means_the_cpu(gpus):
    assert contexts(gpus) == [mx.cpu()]


def test_several_cpu_contexts():
    assert contexts("", cpus=3) == [mx.cpu(0), mx.cpu(1), mx.cpu(2)]
    with pytest.raises(InputError, match="expected at least 1 CPU context, received cpus=0"):
        contexts("", cpus=0)


@pytest.mark.parametrize("gpus", ["0,0", "a", "0;1", "-1", "0,1.5", ",", "gpu0"])
def test_what_is_no_list_of_gpus_is_refused(two_gpus, gpus):
    with pytest.raises(InputError, match=f"devices: expected different GPU numbers such as 0,1, received gpus='{gpus}"):
        contexts(gpus)


@pytest.mark.parametrize("gpus, expected", [("0", [0]), ("1,0", [1, 0]), (" 0 , 1 ", [0, 1])])
def test_gpus_come_in_the_order_given(two_gpus, gpus, expected):
    assert contexts(gpus) == [mx.gpu(i) for i in expected]


def test_a_gpu_that_is_not_there_is_refused(two_gpus):
    with pytest.raises(InputError, match=r"expected GPU numbers below 2, received gpus='0,2' \(2 GPU\(s\) visible; "
                                         r"CUDA_VISIBLE_DEVICES=\(unset\)\)"):
        contexts("0,2")


def test_a_hopper_card_is_refused_by_name_before_mxnet_is_asked(two_gpus, monkeypatch):
    monkeypatch.setattr(devices, "query_driver", lambda: Driver((12, 2), (Card(0, "NVIDIA H100", (9, 0)),)))
    monkeypatch.setattr(mx.runtime, "Features", lambda: pytest.fail("mxnet was asked"))
    with pytest.raises(InputError, match=r"received card 0: NVIDIA H100 \(Hopper, compute capability 9.0\)"):
        contexts("0")


def test_a_driver_that_fails_is_told(two_gpus, monkeypatch):
    monkeypatch.setattr(devices, "query_driver", lambda: Driver((12, 2), (), "error 999 from cuInit"))
    with pytest.raises(InputError, match="expected an NVIDIA driver that answers for gpus='0', received error 999"):
        contexts("0")


def test_what_cuda_says_where_it_cannot_count_is_one_line(two_gpus, monkeypatch):
    def fail():
        raise mx.base.MXNetError("Traceback\n  File x\nCUDA: Check failed: initialization error")

    monkeypatch.setattr(mx.context, "num_gpus", fail)
    with pytest.raises(InputError, match="expected CUDA to count the cards for gpus='0', received 'CUDA: Check failed: "
                                         "initialization error'; mxft doctor shows more"):
        contexts("0")


def test_a_cpu_build_is_told_before_anything_is_done(monkeypatch):
    if mx.runtime.Features().is_enabled("CUDA"):
        pytest.skip("a CUDA build")
    told = (r"expected a CUDA build of mxnet for gpus='0', received the CPU build 1.9.1; leave gpus out to run on the "
            r"CPU \(for faces CUDA_VISIBLE_DEVICES\); ")
    monkeypatch.setattr(devices, "query_driver", lambda: None)
    with pytest.raises(InputError, match=told + "no NVIDIA card answers on this machine"):
        contexts("0")
    monkeypatch.setattr(devices, "query_driver", lambda: Driver((12, 2), (Card(0, "NVIDIA A100", (8, 0)),)))
    with pytest.raises(InputError, match=told + r"for this machine's NVIDIA A100 .*: pip uninstall -y mxnet && pip"):
        contexts("0")


def test_kvstores_of_one_machine_are_taken(two_gpus):
    assert [kvstore(name) for name in KVSTORES if not name.startswith("dist")] == ["local", "device", "nccl"]


def test_a_kvstore_the_build_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(mx.runtime, "Features", lambda: type("F", (), {"is_enabled": lambda self, name: False})())
    with pytest.raises(InputError, match="kvstore nccl: expected an mxnet with NCCL, received 1.9.1 without it; use "
                                         "kvstore='device'"):
        kvstore("nccl")
    with pytest.raises(InputError, match="kvstore dist_sync: expected an mxnet with DIST_KVSTORE, received 1.9.1"):
        kvstore("dist_sync")


def test_an_unknown_kvstore_is_refused():
    with pytest.raises(InputError, match="expected one of local, device, .*received kvstore='devcie'; nearest: devic"):
        kvstore("devcie")


@pytest.mark.parametrize("name", ["dist_sync", "dist_device_sync", "dist_async"])
def test_a_distributed_store_needs_a_launcher_and_never_waits_for_one(monkeypatch, name):
    monkeypatch.delenv("DMLC_ROLE", raising=False)
    with pytest.raises(InputError, match=f"kvstore {name}: expected to run under a launcher that sets DMLC_ROLE, "
                                         "received none; mxft launch -n WORKERS -s SERVERS COMMAND"):
        kvstore(name)
    for variable, value in (("ROLE", "worker"), ("PS_ROOT_URI", "127.0.0.1"), ("PS_ROOT_PORT", "9000"),
                            ("NUM_WORKER", "2")):
        monkeypatch.setenv(f"DMLC_{variable}", value)
    with pytest.raises(InputError, match=r"expected a number of at least 1, received DMLC_NUM_SERVER=\(unset\)"):
        kvstore(name)
    monkeypatch.setenv("DMLC_NUM_SERVER", "1")
    assert kvstore(name) == name


@pytest.mark.parametrize("listed, expected", [("", ""), ("0,1,2,3", "0,1,2,3"), ("4, 6", "0,1"), ("3,-1,5", "0"),
                                              ("-1", ""), ("GPU-8f2e,GPU-77aa", "0,1")])
def test_visible_gpus_are_counted_from_0_as_cuda_does(listed, expected, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert visible_gpus() == expected


def test_no_list_of_visible_gpus_means_the_cpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert visible_gpus() == ""
