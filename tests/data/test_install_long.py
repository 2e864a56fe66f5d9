"""The wheel and the sdist in an empty folder and a virtual environment of their own: pip is all a user needs.

What is run there is what the README says: from photographs to a served bundle, from faces to a slim checkpoint.
"""
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import urllib.request
import venv

import pytest

pytestmark = [pytest.mark.long, pytest.mark.data]
CLASSES = ("001.ak47", "002.american-flag", "003.backpack", "004.baseball-bat")


@pytest.fixture(scope="module")
def built(repository, tmp_path_factory):
    """The wheel made from the sdist, and the sdist, as pathlib.Path."""
    folder = tmp_path_factory.mktemp("dist")
    tree = folder / "tree"
    checked_in = subprocess.run(["git", "-C", repository, "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in filter(None, checked_in.decode().split("\0")):
        if (repository / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((repository / name).read_bytes())
    code = "import sys; from setuptools import build_meta; print(build_meta.build_sdist(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, folder], cwd=tree, check=True, capture_output=True)
    sdist, = folder.glob("*.tar.gz")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, sdist], check=True)
    wheel, = folder.glob("*.whl")
    return wheel, sdist


class Installed:
    """An environment with mxft in it, and an empty folder where its commands run."""

    def __init__(self, folder, package):
        self.folder, self.programs = folder / "work", folder / "venv" / "bin"
        self.folder.mkdir()
        venv.create(folder / "venv", with_pip=True)
        self.environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DEVICE")}
        self.environment.update(PATH=f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                                MXNET_HOME=str(folder / "home"))
        self("pip", "install", "--quiet", "--disable-pip-version-check", f"{package}[cpu]")
        if sys.version_info >= (3, 13):
            said = self("mxft", "layers", "nothing,0", status=2)
            self(*shlex.split(re.search(r"(pip install --no-deps mxnet==1\.9\.1) ", said).group(1)))

    def start(self, *words):
        """Start a command and return the process."""
        program = self.programs / words[0]
        return subprocess.Popen([program, *map(str, words[1:])], cwd=self.folder, env=self.environment, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def __call__(self, *words, status=0):
        """Run a command to its end and return what it said."""
        process = self.start(*words)
        said = process.communicate(timeout=1800)[0]
        assert process.returncode == status, (words, said[-3000:])
        return said


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def installed(request, built, tmp_path_factory):
    """mxft[cpu] in a fresh environment, from the wheel and from the sdist."""
    package = dict(zip(("wheel", "sdist"), built))[request.param]
    return Installed(tmp_path_factory.mktemp(request.param), package)


def unpack(archive, folder, wanted):
    """Unpack the members of a tar for whose name ``wanted(parts)`` gives a place below `folder`."""
    with tarfile.open(archive) as tar:
        for member in tar:
            place = member.isfile() and wanted(pathlib.PurePosixPath(member.name).parts)
            if place:
                target = pathlib.Path(folder, *place)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())


def test_from_photographs_to_a_served_bundle(installed, testdata):
    work = installed.folder
    unpack(testdata / "data" / "caltech256-subset.tar", work / "photos",
           lambda parts: parts[-2:] if parts[-2] in CLASSES else None)
    model = f"{testdata}/models/mobilenet-v1-0.25,0"
    shape = ("--image-shape", "3,128,128")
    said = installed("mxft", "finetune", "--model", model, *shape, "--data", "photos", "--run", "runs/photos")
    assert "report: " in said and (work / "runs/photos/report.html").is_file()
    assert re.search(r"top-1", installed("mxft", "score", "--model", "runs/photos", "photos"))
    picture = next((work / "photos" / CLASSES[0]).iterdir())
    installed("mxft", "predict", "--model", "runs/photos", picture)
    installed("mxft", "export", "--to", "onnx", "--model", "runs/photos", "--output", "photos.onnx")
    installed("mxft", "bundle", "--model", "runs/photos", "--output", "photos.tar")
    served = installed.start("mxft", "serve", "photos.tar", "--port", "0")
    try:
        address = re.search(r"http://[\d.:]+/", _until(served, "http://")).group()
        request = urllib.request.Request(address + "predict", data=picture.read_bytes())
        answer = json.load(urllib.request.urlopen(request, timeout=60))
    finally:
        served.terminate()
        served.communicate(timeout=60)
    assert CLASSES[0] in json.dumps(answer)


def _until(process, word):
    """Return the lines a process says up to one with a word in it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if word in line:
            break
    return "".join(lines)


def test_from_faces_to_a_slim_checkpoint(installed, testdata):
    work = installed.folder
    people = set()

    def wanted(parts):
        if len(people) < 8 or parts[-2] in people:
            people.add(parts[-2])
            return parts[-2:]
        return None

    unpack(testdata / "data" / "lfw-112x112.tar", work / "people", wanted)
    installed("mxft", "face-pack", "people", "faces")
    installed("mxft", "train-softmax", "--network", "y1", "--version-output", "GDC", "--emb-size", 128, "--lr", 0.001,
              "--pretrained", f"{testdata}/models/mobilefacenet-y1/model, 0", "--data-dir", "faces", "--prefix",
              "runs/y1/model", "--per-batch-size", 4, "--max-steps", 2, "--target", "")
    installed("mxft", "slim", "--model", "runs/y1/model,last")
    assert (work / "runs/y1/models-0000.params").is_file()


def test_recipes_and_the_doctor_are_there(installed):
    said = installed("mxft", "recipe", "--list")
    assert {"digits", "caltech256", "train_softmax", "reproduce"} <= {line.split()[0] for line in said.splitlines()
                                                                      if line.strip()}
    assert "digits: can be run" in installed("mxft", "recipe", "reproduce", "--list")
    status = installed("mxft", "doctor", "--no-smoke")
    assert re.search(r"ok +serve ", status) and re.search(r"ok +onnx ", status)
    assert "cure: pip install 'torch>=2.4'" in status
