"""``mxft doctor`` on machines that are well, broken and faked."""
import json

import pytest

from mxft.cli import main
from mxft.doctor import child, dependencies, examination, smoke
from mxft.doctor.child import Answer, ask
from mxft.machine.cuda import LIBRARIES

LOADED = {name: {"path": f"/x/{name}", "error": None} for name in [*(row.soname for row in LIBRARIES), "libz.so.1"]}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Train for a moment instead of three seconds, and take the packages for installed: each has tests of its own."""
    monkeypatch.setattr(smoke, "SECONDS", 0.1)
    monkeypatch.setattr(dependencies, "import_all", lambda: {module: {"version": "1"} for module in dependencies.KNOWN})


@pytest.fixture
def machine(monkeypatch):
    """A function that fakes the packages of mxnet, and what children answer; other questions are asked in earnest."""
    def put(builds, **answers):
        monkeypatch.setattr(examination, "mxnet_distributions", lambda: builds)

        def answer(question, *rest, **words):
            return answers[question] if question in answers else ask(question, *rest, **words)

        monkeypatch.setattr(examination, "ask", answer)
    return put


def found(capsys, *flags):
    """Run ``mxft doctor --json``; return its status and {name: check}."""
    status = main(["doctor", "--json", *flags])
    told = json.loads(capsys.readouterr().out)
    assert (told["status"] == "broken") == (status == 1)
    return status, {check["name"]: check for check in told["checks"]}


def test_this_machine_is_well(quick, capsys):
    status = main(["doctor"])
    text = capsys.readouterr().out
    assert status == 0, text
    assert "nothing is broken, " in text.splitlines()[-1]
    for line in ("Python\n", "\n  ok       package ", "\n  ok       import ", "\n  ok       training on the CPU  ",
                 "\nCaches\n"):
        assert line in text, text


def test_without_mxnet_the_doctor_still_looks(machine, capsys, monkeypatch, tmp_path):
    (tmp_path / "mxnet.py").write_text("raise ModuleNotFoundError('No module named mxnet', name='mxnet')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    machine({})
    status, checks = found(capsys)
    assert status == 1 and checks["package"]["text"] == "mxnet is not installed"
    assert checks["import"]["text"].endswith("expected mxnet 1.9.1, received none")
    assert checks["training on the CPU"]["status"] == "skipped" and checks["OpenCV"]["status"] == "ok"


def test_mxnet_cu112_without_a_driver_is_told_with_both_ways_out(machine, capsys, monkeypatch, tmp_path):
    (tmp_path / "mxnet.py").write_text("raise OSError('libcuda.so.1: cannot open shared object file: No such file or "
                                       "directory')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    machine({"mxnet-cu112": "1.9.1"}, driver=Answer({"driver": None}))
    status, checks = found(capsys)
    assert status == 1
    assert checks["import"]["text"] == (
        "mxnet's native library cannot be loaded: expected libcuda.so.1, received none (libcuda.so.1: cannot open "
        "shared object file: No such file or directory)")
    assert checks["import"]["cure"] == (
        "it comes with the NVIDIA driver, not from pip; without an NVIDIA card install the CPU build: pip uninstall "
        "mxnet-cu112 && pip install --no-deps mxnet==1.9.1")
    assert checks["driver"]["status"] == "broken"
    assert checks["libcudnn.so.8"]["cure"].startswith("pip install 'nvidia-cudnn-cu11==8.*'")


@pytest.fixture
def driver_of(driver_library, monkeypatch):
    """A function that gives the doctor's children a driver with these cards."""
    def put(cards):
        monkeypatch.setenv("LD_LIBRARY_PATH", str(driver_library.parent))
        monkeypatch.setenv("FAKE_CARDS", cards)
    return put


@pytest.mark.parametrize("card, status, text", [
    ("NVIDIA H100 80GB HBM3=9.0", "broken", "NVIDIA H100 80GB HBM3 (Hopper, compute capability 9.0), 80 GiB: "
                                            "mxnet-cu112 holds code for compute capability 5.0 to 8.6 only"),
    ("NVIDIA A100-SXM4-80GB=8.0", "ok", "NVIDIA A100-SXM4-80GB (Ampere, compute capability 8.0), 80 GiB: mxnet-cu112 "
                                        "runs on it"),
    ("NVIDIA L40S=8.9", "ok", "NVIDIA L40S (Ada, compute capability 8.9), 80 GiB: mxnet-cu112 runs on it")])
def test_a_card_is_judged_by_its_capability(card, status, text, machine, driver_of, capsys):
    driver_of(card)
    machine({"mxnet-cu112": "1.9.1"}, mxnet=Answer(None, "not asked"))
    _, checks = found(capsys, "--no-smoke")
    assert checks["card 0"]["status"] == status and checks["card 0"]["text"].startswith(text)
    assert checks["driver"]["text"].endswith("CUDA 12.2")
    assert ("training on card 0" in checks) == (status == "ok")


@pytest.mark.long
def test_a_hopper_card_and_a_servers_role_are_all_that_is_broken(machine, driver_of, capsys, monkeypatch):
    driver_of("NVIDIA H200=9.0")
    monkeypatch.setenv("DMLC_ROLE", "server")  # import mxnet would never return
    machine({"mxnet-cu112": "1.9.1"}, cuda_libraries=Answer({"libraries": LOADED, "compiler": (11, 8)}))
    assert main(["doctor", "--no-smoke"]) == 1
    text = capsys.readouterr().out
    assert text.splitlines()[-1].startswith("broken: card 0, DMLC_ROLE; "), text
    assert "\n  ok       import " in text and "\n  ok       fusion " in text


def test_a_crash_inside_mxnet_is_a_finding(machine, capsys, monkeypatch, tmp_path):
    (tmp_path / "mxnet.py").write_text("import os; os.kill(os.getpid(), 4)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    status, checks = found(capsys)
    assert status == 1 and checks["import"]["text"] == "the process was killed by SIGILL"
    assert child.ask("driver", 60).failure == ""
