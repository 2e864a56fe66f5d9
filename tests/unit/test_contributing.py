"""CONTRIBUTING.md: the code on the page is what its words say, run as a package of its own and as files of mxft."""
import importlib
import importlib.util
import re
import sys

import numpy as np
import pytest

from mxft import cli
from mxft.compat import mx
from mxft.heads import HeadOptions, make_head
from mxft.network.input_spec import InputSpec
from mxft.rewrite.inference import passes


@pytest.fixture(scope="module")
def files(repository):
    """{path: code} of the page's Python blocks, which begin with the path of their file."""
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", text, re.DOTALL))


@pytest.fixture
def package(files, repository, tmp_path, monkeypatch):
    """The page's package, installed with the entry points the page shows."""
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    points = re.search(r"```toml\n(.*?)```", text, re.DOTALL).group(1)
    info = tmp_path / "site" / "my_package-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my_package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(re.sub(
        r'"|#.*', "", re.sub(r'\[project\.entry-points\."(.+)"\]', r"[\1]", points)))
    (tmp_path / "site" / "my_package").mkdir()
    for path, code in files.items():
        if path.startswith("my_package/"):
            (tmp_path / "site" / path).write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "my_package"]:
        del sys.modules[name]


def module_of(path, code):
    """Return the module a block of the page makes."""
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(path, None))
    module.__file__ = path
    exec(compile(code, path, "exec"), module.__dict__)
    return module


def test_the_page_shows_one_of_each(files):
    assert sorted(path.rsplit("/", 1)[0] for path in files) == [
        "mxft/cli", "mxft/rewrite/inference", "my_package", "my_package", "my_package", "recipes"]


def test_the_head_computes_its_formula(package):
    head = make_head("squared", 4, 3, HeadOptions(margin_m=0.5, margin_s=8.0))
    random = np.random.RandomState(0)
    embedding, centres, label = random.randn(5, 3), random.randn(4, 3), np.array([0, 1, 2, 3, 1])
    logits = head.forward(mx.nd, *map(mx.nd.array, (embedding, label, centres))).logits.asnumpy()
    cosine = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)) @ (
        centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    cosine[np.arange(5), label] -= 0.25
    np.testing.assert_allclose(logits, 8 * cosine, rtol=1e-4, atol=1e-5)


def test_the_backbone_gives_an_embedding(package):
    from mxft.backbones.faces import face_network

    assert face_network("tiny", 6, (16, 16)).infer_shape(data=(2, 3, 16, 16))[1] == [(2, 6)]


def test_the_importer_takes_a_file(package, tmp_path):
    from safetensors.numpy import save_file

    weight = np.arange(2 * 48, dtype=np.float32).reshape(2, 48)
    save_file({"fc.weight": weight, "fc.bias": np.ones(2, np.float32)}, str(tmp_path / "net.safetensors"))
    assert cli.main(["import", "--from", "my-framework", "--arch", "dense", "--weights",
                     str(tmp_path / "net.safetensors"), "--prefix", str(tmp_path / "net")]) == 0
    arrays = mx.nd.load(str(tmp_path / "net-0000.params"))
    assert any(np.array_equal(array.asnumpy(), weight) for array in arrays.values())


def test_the_pass_changes_no_number(files, monkeypatch):
    path = "mxft/rewrite/inference/identities.py"
    monkeypatch.setitem(passes.PASSES, "identities", module_of(path, files[path]).drop_identities)
    net = mx.sym.Flatten(mx.sym.identity(mx.sym.Variable("data")))
    net = mx.sym.FullyConnected(net, num_hidden=2, no_bias=True, name="fc1")
    values = {"fc1_weight": mx.nd.array([[1, 2], [3, 4]])}
    symbol, arg_params, _, applied = passes.rewrite_for_inference(net, values, {})
    assert applied == ("identities",) and "_copy" not in symbol.tojson()
    data = mx.nd.array([[1, 1]])
    assert symbol.eval(data=data, **arg_params)[0].asnumpy().tolist() == net.eval(
        data=data, **values)[0].asnumpy().tolist() == [[3, 7]]
    alone = mx.sym.identity(mx.sym.Variable("data"))
    assert passes.rewrite_for_inference(alone, {}, {})[0] is alone


def test_the_command_prints_and_refuses(files, make_checkpoint, here, monkeypatch, capsys):
    path = "mxft/cli/classes.py"
    monkeypatch.setitem(cli.VERBS, "classes", "class names of a checkpoint")
    monkeypatch.setitem(sys.modules, "mxft.cli.classes", module_of(path, files[path]))
    checkpoint = make_checkpoint(2)
    checkpoint.save("plain", 0)
    checkpoint.manifest["classes"] = ["cat", "dog"]
    checkpoint.save("named", 0)
    assert cli.main(["classes", "--model", "named,0"]) == 0 and capsys.readouterr().out == "cat\ndog\n"
    assert cli.main(["classes", "--model", "plain,0"]) == 2
    assert "expected a manifest that names them, received model='plain,0' without" in capsys.readouterr().err
    assert cli.main(["classes", "--modle", "named,0"]) == 2


def test_the_recipe_trains(files, make_checkpoint, here, quick_figures, capsys):
    import cv2

    path = "recipes/flowers.py"
    for name, colour in (("red", (0, 0, 255)), ("blue", (255, 0, 0))):
        (here / "flowers" / name).mkdir(parents=True)
        for number in range(5):
            picture = np.full((16, 16, 3), colour, np.uint8)
            picture[number, :] = 128
            cv2.imwrite(str(here / "flowers" / name / f"{number}.png"), picture)
    checkpoint = make_checkpoint(3)
    checkpoint.manifest["input"] = InputSpec((3, 16, 16)).to_dict()
    checkpoint.save("net", 0)
    assert module_of(path, files[path]).main(["--data", "flowers", "--model", "net,0", "--run", "runs/flowers"]) == 0
    assert "best: top-1" in capsys.readouterr().out and (here / "runs/flowers/report.html").exists()
