"""The doctor's looks: what each says of machines that are well and machines that are not."""
import functools
import json
import os
import subprocess
import sys

import pytest

from mxft.doctor import (
    caches,
    child,
    dependencies,
    engines,
    interpreter,
    mxnet_build,
    nvidia,
    processor,
    smoke,
    switches,
)
from mxft.doctor.check import BROKEN, OK, SKIPPED, WARNING, Check, Section, look, worst
from mxft.doctor.child import Answer, ask
from mxft.doctor.report import as_json, as_text, summary
from mxft.machine.cards import Card
from mxft.machine.cuda import LIBRARIES
from mxft.machine.packages import KNOWN

H100, A100, ADA = (Card(0, "NVIDIA H100", (9, 0), 80 << 30), Card(1, "NVIDIA A100", (8, 0), 40 << 30),
                   Card(2, "NVIDIA L4", (8, 9), 24 << 30))
ISA = "dnnl_verbose,info,oneDNN v2.4.4 (commit 5818)\ndnnl_verbose,info,cpu,isa:{}\n"


@pytest.fixture(autouse=True)
def no_switches(monkeypatch):
    for name in list(os.environ):
        if name.startswith(switches.PREFIXES) or name in switches.ALSO:
            monkeypatch.delenv(name)


def imported(**changes):
    return Answer({"version": "1.9.1", "folder": "/x/mxnet", "seconds": 1.5, "features": ["MKLDNN", "OPENCV"],
                   "numpy_names": ["bool"], "openblas": {"config": "OpenBLAS 0.3.13 DYNAMIC_ARCH", "core": "Haswell"},
                   "set": {}, "fused_batch_norm": True, **changes}, "", ISA.format("Intel AVX2"))


def driver(*cards, cuda=(12, 2), trouble=""):
    told = {"driver": {"cuda": cuda, "trouble": trouble, "cards": cards}}
    return Answer(json.loads(json.dumps(told)))  # as it comes out of the child


def libraries(missing=(), compiler=(11, 8)):
    names = [library.soname for library in LIBRARIES] + ["libz.so.1"]
    found = {name: {"path": None, "error": f"{name}: cannot open shared object file"} if name in missing else
             {"path": f"/x/{name}", "error": None} for name in names}
    return Answer({"libraries": found, "compiler": compiler})


def test_a_look_that_fails_is_a_finding_and_the_others_go_on():
    def the_moon():
        raise ZeroDivisionError("no moon")

    def star(_):
        raise OSError("no star")

    section = look("Sky", the_moon, functools.partial(star, 1), lambda: [Check("sun", OK, "shines")])
    assert [(check.name, check.status, check.text) for check in section.checks] == [
        ("the moon", WARNING, "could not be looked at: ZeroDivisionError: no moon"),
        ("star", WARNING, "could not be looked at: OSError: no star"), ("sun", OK, "shines")]


@pytest.mark.parametrize("statuses, expected", [([], OK), ([SKIPPED], OK), ([OK, WARNING, OK], WARNING),
                                                ([BROKEN, WARNING], BROKEN)])
def test_the_worst_status_counts(statuses, expected):
    assert worst([Section("s", (Check("c", status, ""),)) for status in statuses]) == expected


@pytest.fixture
def question(monkeypatch, tmp_path):
    """A function that lets ``ask("mine")`` run code in the child."""
    def put(code):
        (tmp_path / "planted.py").write_text(f"import mxft.doctor.questions as q\ndef mine(**words):\n    {code}\n"
                                             "q.mine = mine\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setattr(child, "_CODE", child._CODE.replace("serve(sys", "import planted; serve(sys"))
    return put


def test_a_child_answers_and_what_it_prints_is_kept(question):
    question("print('talk'); return {'doubled': 2 * words['n']}")
    assert ask("mine", 60, n=4) == Answer({"doubled": 8}, "", "talk\n\n")


@pytest.mark.parametrize("code, failure", [
    ("import os; os.kill(os.getpid(), 11)", "the process was killed by SIGSEGV"),
    ("import os; print('last words', flush=True); os._exit(7)", "the process ended with status 7: last words"),
    ("raise ValueError('too much')", "ValueError: too much"),
    ("from mxft.errors import InputError; raise InputError('expected x; do y')", "expected x; do y")])
def test_a_child_that_crashes_or_fails_says_how(question, code, failure):
    question(code)
    told = ask("mine", 60)
    assert (told.value, told.failure) == (None, failure)


def test_a_child_that_hangs_is_ended(question):
    question("import time; time.sleep(600)")
    assert ask("mine", 1).failure == "no answer within 1 s"


def test_a_child_has_the_environment_it_is_given(question, monkeypatch):
    monkeypatch.setenv("DMLC_ROLE", "server")
    question("import os; return [os.environ.get('DMLC_ROLE'), os.environ['DNNL_VERBOSE']]")
    assert ask("mine", 60, {"DMLC_ROLE": None, "DNNL_VERBOSE": "1"}).value == [None, "1"]


def test_python_beyond_the_tested_ones_is_a_warning_and_without_distutils_broken(monkeypatch):
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 14, 0, "final", 0))
    assert interpreter.python().status == WARNING
    monkeypatch.setattr(interpreter.sys, "version_info", (3, 12, 1, "final", 0))
    monkeypatch.setattr(interpreter.importlib.util, "find_spec", lambda name: None)
    assert interpreter.python()[1:4] == (BROKEN, "3.12.1, without distutils, which mxnet imports",
                                         "pip install setuptools")


@pytest.mark.parametrize("libc, machine, status", [("glibc", "x86_64", OK), ("glibc", "aarch64", OK), ("", "x86_64",
                                                   BROKEN), ("glibc", "riscv64", BROKEN)])
def test_a_system_without_wheels_is_broken(libc, machine, status, monkeypatch):
    monkeypatch.setattr(interpreter.platform, "libc_ver", lambda: (libc, "2.36"))
    monkeypatch.setattr(interpreter.platform, "machine", lambda: machine)
    monkeypatch.setattr(interpreter.platform, "system", lambda: "Linux")
    assert interpreter.system().status == status


def found(**changes):
    """What `dependencies.import_all` gives where every package is there, but for some."""
    return {**{module: {"version": "1.0"} for module in KNOWN}, **changes}


def test_missing_packages_are_named_with_pips_names():
    check = dependencies.base(found(yaml={"missing": True}, scipy={"missing": True}))[1]
    assert check[1:4] == (BROKEN, "missing: pyyaml, scipy; pyyaml for mxft recipe reproduce; scipy for mxnet and "
                                  "scikit-learn", "pip install pyyaml 'scipy<2'")


def test_scipy_2_is_broken():
    assert "pip install 'scipy<2'" in [check.cure for check in dependencies.base(found(scipy={"version": "2.0.1"}))]


def test_each_extra_has_a_finding_that_names_the_verbs_and_the_command():
    checks = {check.name: check for check in dependencies.extras(found(flask={"missing": True},
                                                                       waitress={"missing": True}))}
    assert set(checks) == {"onnx", "import", "serve", "sign", "heic", "tensorboard",
                           "torch"}
    assert checks["serve"][1:4] == (SKIPPED, "missing: flask, waitress; for mxft serve (there: pillow 1.0, "
                                             "prometheus-client 1.0)",
                                    "pip install 'flask>=2.2' waitress")
    assert checks["onnx"][1:4] == (OK, "onnx 1.0, onnxruntime 1.0: mxft export, mxft bundle without --no-onnx", "")


def test_a_package_that_is_there_and_does_not_load_is_told():
    broken = found(onnxruntime={"error": "ImportError: numpy.core.multiarray failed to import"})
    check = dependencies.extras(broken)[0]
    assert (check.status, check.cure) == (WARNING, "pip install --force-reinstall onnxruntime")
    assert check.text.startswith("onnxruntime does not load: ImportError: numpy.core")


def test_packages_are_imported_in_a_child_and_one_that_crashes_does_not_hide_the_others(monkeypatch):
    monkeypatch.setattr(dependencies, "KNOWN", {name: KNOWN[name] for name in ("numpy", "yaml")})
    assert "version" in dependencies.import_all()["yaml"]
    alone = {"numpy": Answer({"numpy": {"version": "1"}}), "yaml": Answer(None, "the process was killed by SIGSEGV")}
    monkeypatch.setattr(dependencies, "ask", lambda question, limit, modules: (
        alone[modules[0]] if len(modules) == 1 else Answer(None, "the process was killed by SIGSEGV")))
    assert dependencies.import_all() == {"numpy": {"version": "1"},
                                         "yaml": {"error": "the process was killed by SIGSEGV"}}


@pytest.mark.parametrize("builds, status, word", [
    ({"mxnet": "1.9.1"}, OK, "mxnet 1.9.1"), ({}, BROKEN, "not installed"), ({"mxnet": "1.5.0"}, BROKEN, "for 1.9.1"),
    ({"mxnet": "1.9.1", "mxnet-cu112": "1.9.1"}, BROKEN, "they share one folder")])
def test_the_package_that_brings_mxnet(builds, status, word):
    check = mxnet_build.installed(builds)
    assert check.status == status and word in check.text and bool(check.cure) == (status == BROKEN)


def test_an_import_that_fails_keeps_the_message_and_its_cure():
    failure = "cannot be loaded: expected libcuda.so.1, received none (…); it comes with the driver; or this"
    assert mxnet_build.imported({}, Answer(None, failure))[1:4] == (
        BROKEN, "cannot be loaded: expected libcuda.so.1, received none (…)", "it comes with the driver; or this")
    assert mxnet_build.imported({}, Answer(None, "ModuleNotFoundError: No module named 'numpy'")).cure == (
        "pip install numpy")
    assert mxnet_build.imported({"mxnet": "1.9.1"}, Answer(None, "the process was killed by SIGILL")).cure == (
        "pip install --force-reinstall --no-deps mxnet==1.9.1")
    assert mxnet_build.imported({"mxnet": "1.9.1"}, imported()).status == OK


def test_a_build_without_opencv_is_broken():
    assert mxnet_build.features(imported(features=["MKLDNN"])).text == "MKLDNN; missing: OPENCV"
    assert mxnet_build.features(imported()).status == OK


@pytest.mark.parametrize("isa, flags, status, text", [
    ("Intel AVX-512 with Intel DL Boost", {"avx512f", "avx2"}, OK, "2.4.4, Intel AVX-512 with Intel DL Boost"),
    ("Intel AVX2", {"avx512f", "avx2"}, WARNING, "2.4.4, Intel AVX2, though the CPU has AVX-512"),
    ("Intel AVX2", {"avx2", "avx"}, OK, "2.4.4, Intel AVX2"), ("Generic", set(), OK, "2.4.4, Generic")])
def test_onednns_instruction_set_is_what_it_says_itself(isa, flags, status, text):
    assert processor.onednn(Answer({}, "", ISA.format(isa)), flags)[1:3] == (status, text)


def test_onednn_that_says_nothing_is_off_and_a_limit_is_named(monkeypatch):
    assert processor.onednn(Answer({}), {"avx2"}).status == WARNING
    monkeypatch.setenv("DNNL_MAX_CPU_ISA", "AVX2")
    assert processor.onednn(Answer({}, "", ISA.format("Intel AVX2")), {"avx512f"}).cure == "unset DNNL_MAX_CPU_ISA"


def test_openblas_with_kernels_of_a_prescott_is_a_warning_where_there_is_avx2():
    old = imported(openblas={"config": "OpenBLAS 0.3.13 DYNAMIC_ARCH", "core": "Prescott"})
    check = processor.openblas(old, {"avx2"})
    assert (check.status, check.cure) == (WARNING, "export OPENBLAS_CORETYPE=Haswell")
    assert check.text.startswith("OpenBLAS 0.3.13, Prescott kernels: it does not know this CPU")
    assert processor.openblas(old, {"sse3"}).status == processor.openblas(imported(), {"avx2"}).status == OK


@pytest.mark.parametrize("given, granted, status, cure", [
    (None, "max 100000", OK, ""), ("2", "max 100000", OK, ""), ("9", "max 100000", WARNING, "export OMP_NUM_THREADS=4"),
    ("4", "250000 100000", WARNING, "export OMP_NUM_THREADS=2"), ("many", "max", WARNING, "unset OMP_NUM_THREADS")])
def test_threads_beside_cores_and_a_containers_share(given, granted, status, cure, monkeypatch, tmp_path):
    (tmp_path / "cpu.max").write_text(granted + "\n")
    monkeypatch.setattr(processor, "_QUOTA", str(tmp_path / "cpu.max"))
    monkeypatch.setattr(processor.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr(processor, "physical_cores", lambda: 4)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    check = processor.threads(imported())
    assert (check.status, check.cure) == (status, cure)


def test_without_a_driver_only_a_cuda_build_is_broken(monkeypatch):
    monkeypatch.setattr(nvidia, "KERNEL_MODULE", "/no/such/file")
    none = Answer({"driver": None})
    assert nvidia.driver(none, False).status == SKIPPED
    check = nvidia.driver(none, True)
    assert (check.status, check.text) == (BROKEN, "none: libcuda.so.1 cannot be loaded")
    assert "without a card: pip uninstall mxnet-cu112 && pip install --no-deps mxnet==1.9.1" in check.cure
    assert nvidia.cards(none, True).status == SKIPPED


def test_a_container_without_its_share_of_the_driver_is_told_so(monkeypatch, tmp_path):
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19\n")
    monkeypatch.setattr(nvidia, "KERNEL_MODULE", str(tmp_path / "version"))
    check = nvidia.driver(Answer({"driver": None}), True)
    assert check.text == "535.104.05 in the kernel, but no libcuda.so.1 beside it"
    assert "run it with --gpus all" in check.cure
    assert nvidia.driver(driver(A100), True)[1:3] == (OK, "535.104.05 for CUDA 12.2")


@pytest.mark.parametrize("answer, text", [
    (driver(trouble="error 999 from cuInit"), "CUDA 12.2 fails: error 999 from cuInit"),
    (driver(A100, cuda=(10, 2)), "CUDA 10.2: older than CUDA 11.0"),
    (Answer(None, "no answer within 60 s"), "does not answer: no answer within 60 s")])
def test_a_driver_that_does_not_work_is_broken_for_a_cuda_build(answer, text, monkeypatch):
    monkeypatch.setattr(nvidia, "KERNEL_MODULE", "/no/such/file")
    assert nvidia.driver(answer, True)[1:3] == (BROKEN, text) and nvidia.driver(answer, False).status == WARNING


def test_a_hopper_card_alone_is_broken_and_beside_others_a_warning():
    alone, = nvidia.cards(driver(H100), True)
    assert alone[:3] == ("card 0", BROKEN, (
        "NVIDIA H100 (Hopper, compute capability 9.0), 80 GiB: mxnet-cu112 holds code for compute capability 5.0 to "
        "8.6 only (runs up to 8.9) and no PTX, so nothing of MXNet's runs on this card"))
    assert alone.cure.startswith("compute by PyTorch: pip install 'mxft[torch]', then --device cuda in place")
    assert [check.status for check in nvidia.cards(driver(H100, A100, ADA), True)] == [WARNING, OK, OK]
    assert nvidia.cards(driver(H100), False)[0].status == WARNING


def test_a_card_the_cpu_build_leaves_idle_is_a_warning():
    check, = nvidia.cards(driver(ADA), False)
    assert check.status == WARNING and check.cure.startswith("pip uninstall mxnet && pip install 'mxft[cu112]'")


def test_hidden_cards_are_told(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert nvidia.cards(driver(), True)[1:3] == (WARNING, "none (CUDA_VISIBLE_DEVICES='' hides what is not in it)")


def test_every_missing_library_is_broken_and_names_its_package():
    found = nvidia.libraries(libraries(missing=("libcudnn.so.8", "libz.so.1")), True)
    assert [check.name for check in found if check.status == BROKEN] == ["libcudnn.so.8", "libz.so.1"]
    assert len(found) == len(LIBRARIES) + 1
    cudnn = next(check for check in found if check.name == "libcudnn.so.8")
    assert cudnn.cure == "pip install 'nvidia-cudnn-cu11==8.*' (or pip install 'mxft[cu112]' for all)"
    assert cudnn.facts["package"] == "nvidia-cudnn-cu11==8.*"
    assert nvidia.libraries(None, False).status == SKIPPED


@pytest.mark.parametrize("cuda, compiler, given, card, status", [
    ((12, 2), (11, 8), None, ADA, OK), ((11, 4), (11, 8), None, A100, OK), ((11, 4), (11, 8), "1", A100, WARNING),
    ((12, 2), (11, 2), None, ADA, WARNING), ((12, 2), (11, 2), None, A100, OK), ((11, 4), (11, 8), "0", A100, OK)])
def test_what_mxnet_compiles_suits_driver_and_card(cuda, compiler, given, card, status, monkeypatch):
    if given:
        monkeypatch.setenv("MXNET_USE_FUSION", given)
    assert nvidia.fusion(driver(card, cuda=cuda), libraries(compiler=compiler)).status == status


def test_there_is_no_fusion_to_speak_of_without_cards():
    assert nvidia.fusion(Answer({"driver": None}), None) == nvidia.fusion(driver(A100), libraries(compiler=None)) == []


@pytest.mark.parametrize("name, value, status", [
    ("MXNET_MKLDNN_ENABLED", "0", WARNING), ("MXNET_SUBGRAPH_BACKEND", "NONE", WARNING),
    ("DMLC_ROLE", "server", BROKEN), ("MXNET_ENGINE_TYPE", "NaiveEngine", WARNING), ("LD_PRELOAD", "libx.so", WARNING)])
def test_a_switch_that_hurts_is_a_finding_of_its_own(name, value, status, monkeypatch):
    assert [check.status for check in switches.set_by_user()] == [SKIPPED]
    monkeypatch.setenv(name, value)
    listed, hurts = switches.set_by_user()
    assert listed.text == f"{name}={value}" and (hurts.name, hurts.status) == (name, status) and hurts.cure


def test_a_switch_that_does_not_hurt_is_listed(monkeypatch):
    monkeypatch.setenv("MXNET_MKLDNN_ENABLED", "1")
    monkeypatch.setenv("DMLC_ROLE", "worker")
    check, = switches.set_by_user()
    assert check.text == "DMLC_ROLE=worker MXNET_MKLDNN_ENABLED=1"


def test_what_mxft_set_and_cured_is_told():
    assert switches.set_by_mxft(imported(set={"MXNET_USE_FUSION": "0"})).text == "MXNET_USE_FUSION=0"
    names, rewrites = switches.cures(imported(fused_batch_norm=False))
    assert names.text == "1 put back that this NumPy lacks" and "BatchNorm runs without its ReLU" in rewrites.text


@pytest.mark.parametrize("last, status", [(0.2, OK), (1.3, BROKEN), (float("nan"), BROKEN)])
def test_a_training_that_does_not_learn_is_broken(last, status, monkeypatch):
    done = {"steps": 90, "seconds": 3.0, "images_per_second": 1000, "first_loss": 1.4, "last_loss": last}
    monkeypatch.setattr(smoke, "ask", lambda *_, **__: Answer(done))
    assert smoke.smoke().status == status


def test_a_training_that_crashes_is_told_and_one_not_wanted_is_not_tried(monkeypatch):
    monkeypatch.setattr(smoke, "ask", lambda *_, **__: Answer(None, "the process was killed by SIGILL"))
    assert smoke.smoke("1")[:3] == ("training on card 1", BROKEN, "the process was killed by SIGILL")
    assert smoke.smoke(wanted=False).text == "left out (--no-smoke)"
    assert smoke.smoke(mxnet_loads=False).status == SKIPPED


def test_caches_are_measured_and_a_full_disk_is_a_warning(monkeypatch, here):
    monkeypatch.setenv("MXNET_HOME", str(here))
    (here / "mxft" / "models").mkdir(parents=True)
    (here / "mxft" / "models" / "a.params").write_bytes(bytes(2_500_000))
    models, datasets, *_ = caches.caches()
    assert models.text.startswith(f"{here}/mxft/models: 1 file, 2.5 MB, ") and models.facts["bytes"] == 2_500_000
    assert "nothing yet" in datasets.text and not os.path.exists(datasets.facts["folder"])
    monkeypatch.setattr(caches.shutil, "disk_usage", lambda folder: type("U", (), {"free": 5_000_000})())
    assert caches.caches()[0].status == WARNING and "only 5 MB free" in caches.caches()[0].text


def test_the_report_gives_a_mark_a_line_and_the_cure_of_what_is_not_well():
    sections = [Section("One", (Check("a", OK, "fine", "no need"), Check("bb", WARNING, "word " * 20, "do this"))),
                Section("Two", (Check("c", BROKEN, "gone", "bring it"), Check("d", SKIPPED, "not here")))]
    text = as_text(sections, 60)
    assert "  ok       a   fine\n" in text and "no need" not in text and "cure: do this" in text
    assert "\n\nTwo\n  BROKEN   c   gone\n               cure: bring it\n  -        d   not here\n" in text
    assert max(map(len, text.splitlines())) <= 60
    assert text.endswith("broken: c; 1 warning") and summary(sections[:1]) == "nothing is broken, 1 warning"


def test_the_keys_of_the_json_stay():
    told = as_json([Section("One", (Check("a", WARNING, "text", "cure", {"n": 1}),))])
    assert set(told) == {"schema", "mxft", "status", "checks"} and told["schema"] == 1 and told["status"] == "warning"
    assert told["checks"] == [{"section": "One", "name": "a", "status": "warning", "text": "text", "cure": "cure",
                               "facts": {"n": 1}}]


def test_the_examination_imports_no_mxnet_into_its_own_process(repository):
    code = ("import sys\nimport mxft.doctor.examination\n"
            "sys.exit(bool({'mxnet', 'numpy', 'cv2'} & set(sys.modules)))")
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


@pytest.mark.parametrize("size, text", [(0, "0 bytes"), (999, "999 bytes"), (2_500_000, "2.5 MB"), (39.6e9, "39.6 GB"),
                                        (4.2e12, "4.2 TB")])
def test_sizes_are_read_at_a_glance(size, text):
    assert caches.readable(size) == text


@pytest.mark.parametrize("answer, cards, cuda_build, status, text", [
    ({"torch": None}, (), False, SKIPPED, "not installed"),
    ({"torch": None}, (H100,), True, WARNING, "not installed; it would compute on card 0, NVIDIA H100"),
    ({"torch": "2.13.0", "devices": {}}, (), False, OK, "2.13.0 computes on the CPU (--engine torch)"),
    ({"torch": "2.13.0", "devices": {}}, (H100,), False, WARNING, "2.13.0 finds no device, and card 0, NVIDIA H100 is"),
    ({"torch": "2.13.0", "devices": {"cuda:0": "NVIDIA H100"}}, (H100,), True, OK,
     "2.13.0 computes on cuda:0 (NVIDIA H100): mxft finetune --device cuda:0"),
    ({"torch": "2.13.0", "devices": {"cuda:0": "NVIDIA A100"}}, (A100,), True, OK,
     "2.13.0 computes on cuda:0 (NVIDIA A100)"),
    (None, (), False, BROKEN, "cannot be imported: signal 11")])
def test_the_second_engine_is_told_with_what_it_computes_on(answer, cards, cuda_build, status, text):
    found = engines.pytorch(Answer(answer, "signal 11"), nvidia.told_cards(driver(*cards)), cuda_build)
    assert (found.name, found.status) == ("PyTorch", status) and found.text.startswith(text), found
