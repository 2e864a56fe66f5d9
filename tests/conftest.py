"""Shared fixtures: photographs and checkpoints beside the repository, tiny networks, mirrors, a web server."""
import dataclasses
import gc
import importlib.util
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background of a script: tests send Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)
# as in an active virtual environment: messages say `pip install` where pip on the PATH is this Python's
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
DEAD = "http://127.0.0.1:9/"  # nobody listens there
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")
ONE_PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
                          "0000000a49444154081d6360000000020001cfc835e50000000049454e44ae426082")  # a PNG
REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def find_testdata():
    """Return the folder with data/, models/ and symbols/, or None."""
    for folder in (os.environ.get("MXFT_TESTDATA"), REPOSITORY.parent / "shared"):
        if folder and (pathlib.Path(folder) / "models").is_dir():
            return pathlib.Path(folder)
    return None


def pytest_collection_finish():
    """Spare the garbage collector what was imported: a training collects twice, and that took longer than the rest."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def as_told():
    """What the library logs is told, as a command tells it: tests read it from the standard streams."""
    from mxft.command.telling import told

    with told():
        yield


@pytest.fixture
def quick_figures(monkeypatch):
    """Figures are drawn and written as an empty picture: to render one takes longer than to train a tiny network."""
    def savefig(figure, file, format, **_):
        if format == "svg":
            file.write("<svg ></svg>")
        else:
            with open(file, "wb") as f:
                f.write(ONE_PIXEL)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", savefig)


@pytest.fixture(scope="session")
def testdata():
    """The shared test data as pathlib.Path; the test is skipped where there is none."""
    folder = find_testdata()
    if folder is None:
        pytest.skip("no test data: expected ../shared or $MXFT_TESTDATA")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder, the working directory of the test; files of tests fill it by a fixture of the same name."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def repository():
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def driver_library(tmp_path_factory):
    """The path of a libcuda.so.1 with the cards of FAKE_CARDS, made from tests/reference/fake_driver.c."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler to make a driver with")
    path = tmp_path_factory.mktemp("driver") / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-Wl,-soname,libcuda.so.1", "-o", path,
                    REPOSITORY / "tests" / "reference" / "fake_driver.c"], check=True)
    return path


@pytest.fixture
def make_records(tmp_path):
    """A function ``(name, labels, picture=None) -> path`` that packs one PNG image a label.

    Without `picture` an image is 8x8 and every pixel of it has the value of its label. ``picture(number, label)``
    returns another, uint8 RGB of shape (H, W, 3), or the bytes to pack.
    """
    import cv2

    from mxft.data.recordio import IRHeader, RecordWriter, pack

    def make(name, labels, picture=lambda number, label: np.full((8, 8, 3), label, np.uint8)):
        path = str(tmp_path / name)
        with RecordWriter(path) as writer:
            for number, label in enumerate(labels):
                image = picture(number, label)
                if not isinstance(image, bytes):
                    image = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
                writer.write(pack(IRHeader(0, float(label), number, 0), image))
        return path

    return make


@pytest.fixture
def coloured_records(make_records):
    """A function ``(train, val=0) -> Records``: so many 10x10 images in turn red, green and blue, under noise."""
    from mxft.data.datasets import Records
    from tests.support.images import coloured

    rng = np.random.RandomState(0)

    def make(train, val=0):
        paths = [make_records(f"{name}.rec", [i % 3 for i in range(count)], lambda _, label: coloured(rng, label))
                 if count else None
                 for name, count in (("train", train), ("val", val))]
        return Records(*paths, ["red", "green", "blue"], packing={"resize": 10})

    return make


@pytest.fixture(scope="session")
def random_parameters():
    """A function ``(symbol, image_shape, seed=0) -> (arg_params, aux_params)``: small numbers, scales near 1."""
    from mxft.compat import mx
    from mxft.surgery import data_name, label_names

    def make(symbol, image_shape, seed=0):
        rng = np.random.RandomState(seed)

        def numbers(name, shape):
            if name.endswith(("gamma", "var")):
                return mx.nd.array(rng.uniform(.5, 1, shape))
            return mx.nd.array(rng.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1, shape))

        args, _, auxs = symbol.infer_shape(**{data_name(symbol): (1, *image_shape)})
        inputs = {data_name(symbol), *label_names(symbol)}
        arg_params = {name: numbers(name, shape) for name, shape in zip(symbol.list_arguments(), args)
                      if name not in inputs}
        aux_params = {name: numbers(name, shape) for name, shape in zip(symbol.list_auxiliary_states(), auxs)}
        return arg_params, aux_params

    return make


@pytest.fixture(scope="session")
def make_checkpoint(random_parameters):
    """A function ``(num_classes=3, batch_norm=True, seed=1, filters=6) -> Checkpoint``: a tiny network, random numbers.

    ``conv0`` → ``bn0`` → ``relu0`` → ``pool0`` → ``flatten0`` → ``fc1`` → ``softmax``, for images of any size.
    """
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint

    def make(num_classes=3, batch_norm=True, seed=1, filters=6):
        net = mx.sym.Convolution(mx.sym.Variable("data"), kernel=(3, 3), pad=(1, 1), num_filter=filters, name="conv0")
        net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0") if batch_norm else net
        net = mx.sym.Activation(net, act_type="relu", name="relu0")
        net = mx.sym.Pooling(net, global_pool=True, kernel=(1, 1), pool_type="avg", name="pool0")
        net = mx.sym.FullyConnected(mx.sym.Flatten(net, name="flatten0"), num_hidden=num_classes, name="fc1")
        net = mx.sym.SoftmaxOutput(net, name="softmax")
        return Checkpoint(net, *random_parameters(net, (3, 8, 8), seed))

    return make


@pytest.fixture
def make_face_checkpoint(random_parameters):
    """A function ``(num_classes=None, emb_size=4, batch_norm=True, seed=1, filters=6) -> Checkpoint``: a face network.

    ``conv0`` → ``bn0`` → ``relu0`` (PReLU) → ``pool0`` → ``pre_fc1`` → ``fc1``, tiny, for images of
    16 x 16. With `num_classes` it carries the head and the two outputs of insightface's training symbols; without, it
    is slim.
    """
    from mxft.compat import mx
    from mxft.network.checkpoint import Checkpoint

    def make(num_classes=None, emb_size=4, batch_norm=True, seed=1, filters=6):
        net = mx.sym.Convolution(mx.sym.Variable("data") * 0.01, kernel=(3, 3), num_filter=filters, name="conv0")
        net = mx.sym.BatchNorm(net, fix_gamma=False, name="bn0") if batch_norm else net
        net = mx.sym.LeakyReLU(net, act_type="prelu", name="relu0")
        net = mx.sym.Pooling(net, kernel=(2, 2), stride=(4, 4), pool_type="avg", name="pool0")
        net = mx.sym.FullyConnected(mx.sym.Flatten(net), num_hidden=emb_size, name="pre_fc1")
        net = mx.sym.BatchNorm(net, fix_gamma=True, name="fc1") if batch_norm else net
        if num_classes:
            logits = mx.sym.FullyConnected(mx.sym.L2Normalization(net) * 8, num_hidden=num_classes, no_bias=True,
                                           name="fc7")
            softmax = mx.sym.SoftmaxOutput(logits, mx.sym.Variable("softmax_label"), normalization="valid",
                                           name="softmax")
            net = mx.sym.Group([mx.sym.BlockGrad(net), softmax])
        checkpoint = Checkpoint(net, *random_parameters(net, (3, 16, 16), seed))
        if batch_norm:
            checkpoint.arg_params["fc1_gamma"][:] = 1  # as training leaves it where gamma is fixed
        return checkpoint

    return make


@pytest.fixture(scope="session")
def read_events():
    """A function ``(folder) -> events`` of the one TensorBoard file in it, its TFRecord frames taken apart by hand."""
    def read(folder):
        from tensorboardX.proto.event_pb2 import Event

        path, = pathlib.Path(folder).glob("events.out.tfevents.*")
        content, found, at = path.read_bytes(), [], 0
        while at < len(content):
            length, = struct.unpack_from("<Q", content, at)  # then a checksum, the event and its checksum
            found.append(Event.FromString(content[at + 12:at + 12 + length]))
            at += 12 + length + 4
        return found
    return read


@pytest.fixture(scope="session")
def read_scalars(read_events):
    """A function ``(folder) -> {(tag, step): float}`` of a TensorBoard file."""
    def read(folder):
        return {(value.tag, event.step): value.simple_value for event in read_events(folder)
                for value in event.summary.value if value.WhichOneof("value") == "simple_value"}
    return read


@pytest.fixture(scope="session")
def torch_arrays():
    """A function ``(network) -> {name: array}``: the values of a Gluon network as PyTorch's state_dict calls them."""
    called = {"gamma": "weight", "beta": "bias"}

    def rename(network):
        arrays = {}
        for name, parameter in network._collect_params_with_prefix().items():
            layer, _, kind = name.rpartition(".")
            arrays[f"{layer}.{called.get(kind, kind)}"] = parameter.data().asnumpy()
        return arrays
    return rename


@pytest.fixture
def server(monkeypatch):
    """A web server on this machine that misbehaves on demand, see `tests.support.web`; retries do not wait."""
    from mxft.files import download, http_stream
    from tests.support.web import serving

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "RETRY_SECONDS", 0)
    monkeypatch.setattr(http_stream, "CHUNK", 1024)
    with serving({}) as web:
        yield web


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder named in MXFT_MIRRORS; its ``put`` writes a file below it, and no real address of the zoo is asked."""
    from mxft.zoo import datasets, detectors, faces, gluon, hub, symbols

    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in (*PROXIES, "MXNET_GLUON_REPO", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MXFT_MIRRORS", f"{folder} , {DEAD}")
    monkeypatch.setenv("MXNET_HOME", str(tmp_path / "home"))
    for source, path in ((symbols, "mxnet/"), (gluon, "gluon-store/"), (hub, "hub/")):
        monkeypatch.setattr(source, "MIRRORS", (DEAD + path,))
    for source, table in ((datasets, "DATASETS"), (faces, "MODELS")):
        monkeypatch.setattr(source, table, tuple(dataclasses.replace(row, urls=(DEAD + row.name,))
                                                 for row in getattr(source, table)))
    monkeypatch.setattr(detectors, "DETECTORS", tuple(dataclasses.replace(row, base=DEAD)
                                                      for row in detectors.DETECTORS))

    def put(name, content):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return SimpleNamespace(put=put, folder=folder, home=tmp_path / "home", cache=tmp_path / "home" / "mxft")


@pytest.fixture(scope="session")
def load_recipe(repository):
    """A function that imports ``recipes/NAME.py`` as a module: recipes are scripts, not a package to import from."""
    def load(name):
        spec = importlib.util.spec_from_file_location(name, repository / "recipes" / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    return load
