"""A package that is not installed: each verb that needs it says so in one sentence, before it works, with the cure."""
import json
import os
import shlex
import subprocess
import sys

import pytest

from mxft.cli import VERBS, main
from mxft.machine.packages import BASE, KNOWN

HIDE = """\
import contextlib, io, json, sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
from mxft.cli import main
for words in json.loads(sys.argv[1]):
    err = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        try:
            status = main(words)
        except Exception as error:
            status = f"{{type(error).__name__}}: {{error}}"
    print("\\n" + json.dumps([status, err.getvalue()]))
"""
# a command of each verb that needs a package: what each is given is looked at after the packages, or is there
COMMANDS = ["split photos out", "im2rec --list out photos", "inspect train.rec", "unpack train.rec out",
            "finetune --model net,0 --data photos --run run", "advise --model net,0 --data photos",
            "lr-find --model net,0 --train train.rec --run run", "report run", "recipe digits",
            "recipe scaling_plan", "zoo list", "import --from onnx --weights a.onnx --prefix b", "layers net,0",
            "accept net,0",
            "score --model net,0 train.rec",
            "predict --model net,0 a.png", "extract-features --model net,0 --layer flatten0 train.rec out.npz",
            "export --to onnx --model net,0 --output a.onnx", "bundle --model net,0 --output out", "serve net,0",
            "quantize --model net,0 --images photos --output out",
            "face-pack photos out", "pairs-pack pairs.txt photos out.bin", "train-softmax --data-dir faces",
            "ijb --model net,0 --meta ijbc --plots plots",
            "megaface-features --model net,0 --output out --facescrub-lst a --facescrub-root b",
            "face-align photos out", "embed photos a.npz --model net,0", "enroll photos a.npz --model net,0",
            "identify a.npz photos", "drop-noisy --model net,0 --data-dir faces --output out",
            "face-sets duplicates faces",
            "face-sets compare a b --model net,0", "verify --model net,0 --bin a.bin", "slim --model net,0"]


def without(modules, commands, **options):
    """Return [status, stderr] of commands in a Python that lacks some packages."""
    code = HIDE.format(hidden=set(modules))
    done = subprocess.run([sys.executable, "-c", code, json.dumps([shlex.split(words) for words in commands])],
                          capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]


@pytest.fixture
def here(here, make_checkpoint, coloured_records):
    """A folder with a checkpoint, its records, a set of verification pairs' name, and pictures."""
    from tests.support.images import levelled, write_classes

    make_checkpoint().save("net", 0)
    coloured_records(6)
    write_classes(here / "photos", ["cat", "dog"], 6, levelled)
    (here / "a.bin").touch()
    (here / "a.onnx").touch()
    return here


def test_every_verb_is_among_the_commands():
    assert {words.split()[0] for words in COMMANDS} == set(VERBS) - {"doctor", "launch"}


def test_without_any_package_every_verb_is_one_sentence_with_the_command(here, repository):
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    for words, (status, err) in zip(COMMANDS, without([*KNOWN, "mxnet"], COMMANDS, env=environment)):
        assert status == 2 and err.count("\n") == 1 and "pip install " in err, (words, status, err)
        assert "Traceback" not in err


@pytest.mark.parametrize("hidden, words", [
    ("matplotlib", "finetune --model net,0 --train train.rec --num-classes 3 --plan head --run run"),
    ("jinja2", "finetune --model net,0 --train train.rec --num-classes 3 --plan head --run run"),
    ("tqdm", "finetune --model net,0 --train train.rec --num-classes 3 --plan head --run run"),
    ("sklearn", "finetune --model net,0 --train train.rec --plan head --solver ridge --run run"),
    ("sklearn", "finetune --model net,0 --train train.rec --run run --image-shape 3,8,8"),
    ("sklearn", "advise --model net,0 --data photos --image-shape 3,8,8"),
    ("matplotlib", "lr-find --model net,0 --train train.rec --run run"),
    ("tensorboardX", "finetune --model net,0 --train train.rec --plan head --run run --tensorboard"),
    ("onnx", "export --to onnx --model net,0 --image-shape 3,8,8 --output b.onnx"),
    ("onnxruntime", "export --to onnx --model net,0 --image-shape 3,8,8 --output b.onnx"),
    ("onnxruntime", "import --from onnx --weights a.onnx --prefix b"),
    ("matplotlib", "ijb --model net,0 --meta ijbc --plots plots"),
    ("flask", "serve net,0"), ("PIL", "serve net,0"), ("waitress", "serve net,0"),
    ("sklearn", "recipe digits"), ("yaml", "recipe reproduce --list")])
def test_what_a_verb_needs_late_is_asked_for_first(hidden, words, here, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == hidden]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, hidden, None)
    before = sorted(os.listdir())
    assert main(shlex.split(words)) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    package = KNOWN[hidden]
    assert f"expected the package {package.name}, which is not installed; pip install " in err, err
    assert package.requirement in err.replace("'", "") and sorted(os.listdir()) == before


@pytest.mark.long
@pytest.mark.parametrize("hidden", [package.module for package in BASE] + ["mxnet"])
def test_without_one_package_no_verb_ends_in_a_traceback(hidden, here, repository):
    """Each verb either does its work, is refused for what it was given, or names the package."""
    environment = {**os.environ, "PYTHONPATH": str(repository), "MXNET_HOME": str(here / "home")}
    named = 0
    for words, (status, err) in zip(COMMANDS, without([hidden], COMMANDS, env=environment)):
        assert status in (0, 2), (words, status, err)
        named += "pip install " in err
    assert named or hidden in ("requests", "safetensors", "scipy", "gluoncv")
