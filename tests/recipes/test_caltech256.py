"""recipes/caltech256.py from photographs to the score: a few steps, on generated images and on real photographs."""
import functools
import http.server
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest

from mxft.command import run_command
from mxft.commandline import sources
from mxft.data.labels import scan_labels
from mxft.network.checkpoint import load_checkpoint
from mxft.training.run import read_log
from tests.support.doubts import without_doubts
from tests.support.images import levelled, write_image

pytestmark = pytest.mark.usefixtures("quick_figures")


@pytest.fixture
def here(here, monkeypatch, make_checkpoint):
    """A working directory with a tiny checkpoint ``net,0`` and generated photographs of three classes and clutter."""
    monkeypatch.setenv("MXNET_HOME", str(here / "home"))
    make_checkpoint(3).save("net", 0)
    for label, name in enumerate(("001.ak47", "002.flag", "003.cät", "257.clutter")):
        for number in range(4):
            write_image(f"all/256_ObjectCategories/{name}/{label:03d}_{number:04d}.png",
                        levelled(10 * label + number, label, (24, 30)))
    return here


FOLDER = "all/256_ObjectCategories"
TINY = ["--model", "net,0", "--per-class", "3", "--epochs", "2", "--batch-size", "4", "--image-shape", "3,16,16",
        "--rgb-mean", "90,90,90", "--rgb-std", "60,60,60"]


def pack_tar(path, folder=FOLDER, extra=()):
    with tarfile.open(path, "w") as tar:
        tar.add(folder, arcname=os.path.basename(folder))
        for info in extra:
            tar.addfile(info)
    return path


def losses(folder, *names):
    """Return per-epoch figures of a run; its validation ones only where the statistics stand still (head, eval)."""
    return [[row[name] for name in names] for row in read_log(os.path.join(folder, "log.jsonl"))
            if row["event"] == "epoch"]


def read(path):
    with open(path, "rb") as f:
        return f.read()


def test_help_fits_80_columns(run, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        run("--help")
    text = capsys.readouterr().out
    assert all(len(line) <= 80 for line in text.splitlines()) and "momentum (default: 0.9 for an optimizer" in text


def test_from_a_folder_to_the_score(run, here, capsys):
    assert run("--caltech256", FOLDER) == 0
    out, err = capsys.readouterr()
    err = without_doubts(err)
    assert "257.clutter left out" in out and "data: 9 train, 3 val images, 3 classes" in out and err == ""
    assert "saved: runs/caltech256-net-full/model,best\nreport: " in out
    checkpoint = load_checkpoint("runs/caltech256-net-full")
    assert checkpoint.classes == ["001.ak47", "002.flag", "003.cät"]
    assert checkpoint.manifest["packing"]["resize"] == 18
    assert len(os.listdir(f"{FOLDER}/001.ak47")) == 4


def test_the_same_seed_gives_the_same_lists_records_and_losses(run, here):
    figures = ("train_loss", "train_top1", "val_loss", "val_top1", "lr")
    for work in ("one", "two"):
        assert run("--caltech256", FOLDER, "--plan", "full", "--work", work, "--run", f"{work}-run") == 0
    packed, = os.listdir("one")
    names = sorted(os.listdir(f"one/{packed}"))
    assert [name for name in names if name.endswith((".lst", ".rec"))] == [
        "caltech-256-train.lst", "caltech-256-train.rec", "caltech-256-val.lst", "caltech-256-val.rec"]
    for name in names:
        assert read(f"one/{packed}/{name}") == read(f"two/{packed}/{name}"), name
    assert losses("one-run", *figures) == losses("two-run", *figures) and len(losses("one-run", "lr")) == 2
    assert read("one-run/model-0002.params") == read("two-run/model-0002.params")
    assert run("--caltech256", FOLDER, "--plan", "full", "--work", "two", "--seed", "1", "--run", "other") == 0
    assert losses("other", *figures) != losses("one-run", *figures)


@pytest.mark.long
def test_a_second_run_takes_up_the_records_and_a_folder_of_its_own(run, here, capsys):
    assert run("--caltech256", FOLDER) == run("--caltech256", FOLDER) == 0
    assert "records are up to date" in capsys.readouterr().out
    assert sorted(os.listdir("runs")) == ["caltech256-net-full", "caltech256-net-full-2"]
    assert losses("runs/caltech256-net-full", "train_loss") == losses("runs/caltech256-net-full-2", "train_loss")


@pytest.mark.long
def test_momentum_is_nine_tenths_for_an_optimizer_that_has_one(recipe, run, here):
    for words, momentum in ((["--run", "sgd"], 0.9), (["--run", "adam", "--optimizer", "adam"], None),
                            (["--run", "zero", "--mom", "0"], 0.0)):
        assert run("--caltech256", FOLDER, "--epochs", "1", *words) == 0
        assert read_log(f"{words[1]}/log.jsonl")[0]["recipe"]["fit"]["momentum"] == momentum


def test_a_tar_with_stray_links_does_its_job(run, here, capsys):
    link = tarfile.TarInfo("256_ObjectCategories/198.spider/stray")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc"
    assert run("--caltech256", pack_tar("photos.tar", extra=[link]), "--epochs", "1") == 0
    out, err = capsys.readouterr()
    assert without_doubts(err) == (
        "skipped 1 links or special files of photos.tar, which are never created: the first is "
        "'256_ObjectCategories/198.spider/stray'\n")
    assert "data: 9 train, 3 val images, 3 classes" in out
    assert not os.path.exists("data-cache/photos/256_ObjectCategories/198.spider")


@pytest.fixture
def server(here, monkeypatch):
    """The address of a web server of the working directory."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(here))) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.mark.long
def test_a_tar_from_an_address_is_fetched_once(run, here, server, capsys):
    pack_tar("256_ObjectCategories.tar")
    address = server + "/256_ObjectCategories.tar"
    assert run("--caltech256", address, "--epochs", "1") == 0
    assert f"fetching {address}\n" in capsys.readouterr().err
    os.unlink("256_ObjectCategories.tar")
    assert run("--caltech256", address, "--epochs", "1") == 0
    out, err = capsys.readouterr()
    assert "fetching" not in err and "records are up to date" in out


def test_an_address_without_the_file_is_refused(run, here, server, capsys):
    assert run("--caltech256", server + "/gone.tar") == 2
    err = capsys.readouterr().err
    assert f"{server}/gone.tar: HTTP 404" in err and "give a folder or .tar with CALTECH256=" in err
    assert not os.path.exists("runs")


@pytest.fixture
def no_network(monkeypatch):
    """Every address is refused at once: mirrors and proxy are a port nobody listens on."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MXFT_MIRRORS", "http://127.0.0.1:9/mirror")


def test_a_name_of_the_zoo_is_fetched(recipe, here, mirror, make_checkpoint):
    from mxft import zoo
    prefix = zoo.find_model("gluon:resnet18_v1b").prefix(str(mirror.cache))
    checkpoint = make_checkpoint(3)
    checkpoint.manifest["source"] = "a test"
    checkpoint.save(prefix, 0)
    assert recipe.find_model("gluon:resnet18_v1b") == f"{prefix},0"
    assert recipe.find_model("net,0") == "net,0" and recipe.find_model("net") == "net"


def test_without_a_network_the_one_line_to_type_is_told_first(run, here, no_network, capsys, monkeypatch):
    monkeypatch.setattr(sources, "mxft_command", lambda: "mxft")
    assert run() == 2
    err = capsys.readouterr().err
    assert "no network: expected the photographs (256_ObjectCategories.tar) here, or a host that has them" in err
    assert "; mxft zoo where caltech256 tells the addresses; with the files in this folder, type\n" in err
    assert err.splitlines()[-1] == shlex.join([
        "mxft", "recipe", "caltech256", "--caltech256", "256_ObjectCategories.tar", *TINY])
    assert not os.path.exists("runs") and "Traceback" not in err


@pytest.mark.parametrize("typed, words, line", [
    ("", ["--model", "resnet-50", "--plan=head"], "mxft recipe caltech256 --caltech256 256_ObjectCategories.tar "
                                                 "--model resnet-50,0 --plan=head"),
    ("", ["--model=gluon:resnet50_v1b", "--caltech256", FOLDER], "mxft zoo get gluon:resnet50_v1b --file "
     f"resnet50_v1b-0ecdba34.zip && mxft recipe caltech256 --model gluon:resnet50_v1b --caltech256 {FOLDER}"),
    ("make caltech256", ["--caltech256", "", "--model", "resnet-50"], "make caltech256 "
     "CALTECH256=256_ObjectCategories.tar MODEL=resnet-50,0 PLAN=head")])
def test_the_line_to_type_is_the_command_that_was_typed(typed, words, line, recipe, here, no_network, capsys,
                                                        monkeypatch):
    monkeypatch.setattr(sources, "mxft_command", lambda: "mxft")
    monkeypatch.setenv("MXFT_TYPED", typed)
    monkeypatch.setenv("MAKEFLAGS", "n -- PLAN=head MODEL=resnet-50")
    assert run_command("caltech256", recipe.main, words) == 2
    assert capsys.readouterr().err.splitlines()[-1] == line


@pytest.mark.parametrize("words, message", [
    (["--caltech256", "gone"], "expected a folder, a .tar or a URL, received 'gone'"),
    (["--caltech256", "ftp://host/a.tar"], "cannot fetch ftp://host/a.tar: expected an http://, https:// or file://"),
    (["--caltech256", "net-symbol.json"], "cannot unpack net-symbol.json: expected a whole tar or zip archive"),
    (["--caltech256", FOLDER, "--model", "net"], "expected 'prefix,epoch', received model='net'; epochs there: 0"),
    (["--caltech256", FOLDER, "--model", "resnet-5"], "unknown model: expected a name of the zoo, received 'resnet-5'; "
                                                      "nearest: resnet-50"),
    (["--caltech256", FOLDER, "--per-class", "9"], "expected at least 9 images, received 001.ak47=4"),
    (["--caltech256", FOLDER, "--resize", "8"], "--resize: expected at least 16, the network's input, received"),
    (["--caltech256", FOLDER, "--plan", "heda"], "plan: expected one of full, head, discriminative, gradual, "
                                              "two-stage, scratch, received plan='heda'"),
    (["--caltech256", FOLDER, "--run", "all"], "run folder: expected a new or empty folder, received run='all'"),
    (["--caltech256", FOLDER, "--work", "net-symbol.json"], "--work: expected a folder that can be written to"),
    (["--caltech256", FOLDER, "--optimizer", "adam", "--mom", "0.9"], "optimizer adam: expected no momentum"),
    (["--caltech256", FOLDER, "--require-head", "--keep-clutter"], "--require-head: expected a head of 4 classes, "
                                                                   "received fc1 with 3"),
])
def test_what_is_refused_makes_no_run_and_no_records(words, message, run, here, capsys):
    assert run(*words) == 2
    err = capsys.readouterr().err
    assert err.startswith("caltech256: ") and message in err and "Traceback" not in err
    assert not os.path.exists("runs")
    assert not [name for _, _, names in os.walk("data-cache") for name in names if name.endswith((".rec", ".part"))]


@pytest.mark.skipif(not shutil.which("make"), reason="expected make")
def test_make_passes_its_variables_as_they_are(repository):
    """`make -n` prints the command; the folder's blank must not cut it in two."""
    done = subprocess.run(["make", "-n", "caltech256", "CALTECH256=my photos", "MODEL=net,0", "GPUS=0,1", "EPOCHS=2",
                           "ARGS=--optimizer adam", f"READY={sys.executable}"],
                          cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '--caltech256 "my photos" --model "net,0"' in done.stdout and '--gpus "0,1"' in done.stdout
    assert "--epochs 2" in done.stdout and "--optimizer adam" in done.stdout


@pytest.mark.data
def test_photographs_with_a_published_network(recipe, testdata, tmp_path, monkeypatch, capsys):
    """Four classes of real photographs on MobileNet 0.25: two epochs of the head come out well above chance (0.25)."""
    monkeypatch.chdir(tmp_path)
    with tarfile.open(testdata / "data" / "caltech256-subset.tar") as tar:
        names = sorted(name for name in tar.getnames() if name.count("/") == 1)[:4]
        for member in tar:
            if os.path.dirname(member.name) in names:
                target = tmp_path / "photos" / os.path.relpath(member.name, "256_ObjectCategories")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(tar.extractfile(member).read())
    command = ["--model", str(testdata / "models" / "mobilenet-v1-0.25") + ",0", "--caltech256", "photos",
               "--per-class", "12", "--plan", "head", "--epochs", "4", "--batch-size", "8",
               "--image-shape", "3,128,128"]
    assert run_command("caltech256", recipe.main, command) == 0
    assert run_command("caltech256", recipe.main, command) == 0
    assert "data: 48 train, 24 val images, 4 classes" in capsys.readouterr().out
    first, second = "runs/caltech256-mobilenet-v1-0.25-head", "runs/caltech256-mobilenet-v1-0.25-head-2"
    figures = ("train_loss", "val_loss", "val_top1")
    assert losses(first, *figures) == losses(second, *figures)
    assert max(top1 for _, _, top1 in losses(first, *figures)) > 0.5
    work, = (path for path in os.listdir("data-cache"))
    assert sorted(scan_labels(f"data-cache/{work}/caltech-256-train.rec").labels) == [0] * 12 + [1] * 12 + [2] * 12 + \
        [3] * 12
