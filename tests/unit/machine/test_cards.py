"""Cards as a driver tells them, and those the wheel has no code for refused by name."""
import pytest

from mxft.errors import InputError
from mxft.machine import cards
from mxft.machine.cards import Card, Driver, query_driver, refuse_cards_without_code, refuse_driver

H100, A100 = Card(0, "NVIDIA H100 80GB HBM3", (9, 0)), Card(1, "NVIDIA A100-SXM4-40GB", (8, 0))


@pytest.fixture
def driver(driver_library, monkeypatch):
    """A function that puts a driver with these cards in place of the machine's."""
    def put(cards_listed, **environment):
        monkeypatch.setattr(cards, "DRIVER_LIBRARY", str(driver_library))
        for name, value in {"FAKE_CARDS": cards_listed, **environment}.items():
            monkeypatch.setenv(name, value)

    return put


def test_the_driver_is_asked_for_versions_names_and_capabilities(driver):
    driver("NVIDIA H100 80GB HBM3=9.0;NVIDIA GeForce RTX 4090=8.9", FAKE_CUDA="11040")
    told = query_driver()
    assert told.cuda == (11, 4) and told.trouble == ""
    assert told.cards == (Card(0, "NVIDIA H100 80GB HBM3", (9, 0), 80 << 30),
                          Card(1, "NVIDIA GeForce RTX 4090", (8, 9), 80 << 30))
    assert str(told.cards[1]) == "NVIDIA GeForce RTX 4090 (Ada, compute capability 8.9)"


@pytest.mark.parametrize("status, expected", [
    ("100", Driver((12, 2))), ("803", Driver((12, 2), (), "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803) from cuInit")),
    ("999", Driver((12, 2), (), "error 999 from cuInit"))])
def test_a_driver_without_cards_and_one_that_fails(driver, status, expected):
    driver("NVIDIA L4=8.9", FAKE_CUINIT=status)
    assert query_driver() == expected


def test_no_driver_is_none(monkeypatch):
    monkeypatch.setattr(cards, "DRIVER_LIBRARY", "libno-such-driver.so.1")
    assert query_driver() is None and cards.cuda_of_driver() is None


@pytest.mark.parametrize("capability, runs", [
    ((3, 7), False), ((5, 0), True), ((5, 2), True), ((6, 1), True), ((7, 0), True), ((7, 5), True), ((8, 0), True),
    ((8, 6), True), ((8, 9), True), ((9, 0), False), ((10, 0), False), ((12, 0), False)])
def test_machine_code_runs_within_its_major_version(capability, runs):
    assert Card(0, "a card", capability).runs_wheel is runs


def test_a_card_without_code_is_refused_by_name_and_another_offered():
    with pytest.raises(InputError) as refused:
        refuse_cards_without_code(Driver((12, 4), (H100, A100)), [0])
    assert str(refused.value) == (
        "devices: expected cards that mxnet-cu112 runs on, received card 0: NVIDIA H100 80GB HBM3 (Hopper, compute "
        "capability 9.0): mxnet-cu112 holds code for compute capability 5.0 to 8.6 only (runs up to 8.9) and no PTX; "
        "take --gpus 1, or PyTorch: --device cuda in place of --gpus (pip install 'mxft[torch]'), "
        "or leave gpus out (for faces CUDA_VISIBLE_DEVICES) to run on the CPU")
    assert refuse_cards_without_code(Driver((12, 4), (H100, A100)), [1]) is None
    assert refuse_cards_without_code(None, [0]) is None


def test_where_no_card_will_do_another_machine_is_named():
    with pytest.raises(InputError, match=r"received card 0: NVIDIA B200 \(Blackwell, compute capability 10.0\): .*; "
                                         "take a machine with cards of Maxwell to Ada, or PyTorch: --device "):
        refuse_cards_without_code(Driver((12, 8), (Card(0, "NVIDIA B200", (10, 0)),)), [0, 1])


def test_a_driver_that_fails_or_is_old_is_refused():
    with pytest.raises(InputError, match="expected an NVIDIA driver that answers for gpus='0', received error 999 from "
                                         "cuInit; mxft doctor shows more"):
        refuse_driver(Driver((12, 2), (), "error 999 from cuInit"), "0")
    with pytest.raises(InputError, match=r"expected an NVIDIA driver of CUDA 11.0 \(450.80.02\) or newer for gpus='0', "
                                         "received one of CUDA 10.2"):
        refuse_driver(Driver((10, 2), (A100,)), "0")
    assert refuse_driver(Driver((11, 0), (A100,)), "0") is None and refuse_driver(None, "0") is None
