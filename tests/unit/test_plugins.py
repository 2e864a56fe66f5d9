"""A small installed package adds a head, a face backbone and an importer; a broken one is named and hides no other."""
import importlib
import sys

import numpy as np
import pytest

from mxft import plugins
from mxft.backbones.faces import face_network, initializer
from mxft.cli import main
from mxft.compat import mx
from mxft.errors import DependencyError, InputError
from mxft.faces.training.network import attach_face_head
from mxft.heads import HeadOptions, find_loss_type, loss_types, make_head
from mxft.importing import architectures, import_weights, sources

CODE = '''
from mxft.backbones.faces import Versions
from mxft.compat import mx
from mxft.heads.head import CosineHead
from mxft.importing.architecture import Architecture


class Squared(CosineHead):
    """s(cos - m^2)."""

    name, formula = "squared", "s(cosθ - m²)"

    @property
    def margins(self):
        return (1, 0, self.options.margin_m ** 2, self.options.margin_s)

    def with_margin(self, F, cosine):
        return cosine - self.options.margin_m ** 2


def tiny(emb_size, image_size, versions):
    body = mx.sym.Pooling(mx.sym.Variable("data"), kernel=(2, 2), stride=(2, 2), pool_type="avg")
    return mx.sym.FullyConnected(mx.sym.Flatten(body), num_hidden=emb_size, name="fc1")


def two(emb_size, image_size, versions):
    return mx.sym.Group([mx.sym.Variable("data"), mx.sym.Variable("label")])


def dense(classes):
    from mxnet import gluon
    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Flatten(), gluon.nn.Dense(classes))
    return network


TABLE = {"flat": Architecture(dense, lambda entries: {f"1.{name[3:]}": array for name, array in entries.items()},
                              "fc.bias", 4, 4)}
'''
METADATA = {
    "mxft.heads": {"squared": "squares:Squared", "arcface": "squares:Squared", "no-head": "squares:tiny",
                   "gone": "squares:gone", "broken": "squares_broken:Head"},
    "mxft.backbones": {"tiny": "squares:tiny", "two": "squares:two", "r50": "squares:tiny", "lost": "lost_module:net"},
    "mxft.importers": {"flat-files": "squares:TABLE", "no-table": "squares:dense", "broken": "squares_broken:TABLE"},
}


def install(folder, name, metadata):
    """Write what pip would leave of a package beside its modules."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(
        f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in rows.items())
        for group, rows in metadata.items()))


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A folder on ``sys.path`` with the package ``squares``."""
    folder = tmp_path / "site"
    install(folder, "squares", METADATA)
    (folder / "squares.py").write_text(CODE, encoding="utf-8")
    (folder / "squares_broken.py").write_text("raise RuntimeError('made for another mxft')\n")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    yield folder
    for name in ("squares", "squares_broken"):
        sys.modules.pop(name, None)


def test_a_head_is_found_by_its_name_and_computes(package):
    head = make_head("Squared", 4, 3, HeadOptions(margin_m=0.5, margin_s=8.0))
    assert head.describe() == "squared: (m1, m2, m3, s) = (1, 0, 0.25, 8); target logit s(cosθ - m²)"
    random = np.random.RandomState(0)
    embedding, centres, label = random.randn(5, 3), random.randn(4, 3), np.array([0, 1, 2, 3, 1])
    scores = head.forward(mx.nd, mx.nd.array(embedding), mx.nd.array(label), mx.nd.array(centres))
    cosine = (embedding / np.linalg.norm(embedding, axis=1, keepdims=True)) @ (
        centres / np.linalg.norm(centres, axis=1, keepdims=True)).T
    cosine[np.arange(5), label] -= 0.25
    np.testing.assert_allclose(scores.logits.asnumpy(), 8 * cosine, rtol=1e-4, atol=1e-5)


def test_a_name_mxft_has_stays_mxfts(package):
    assert find_loss_type("arcface").module == "mxft.heads.arcface" and make_head(4, 10, 4).name == "arcface"
    assert [row.name for row in loss_types()][-4:] == ["broken", "gone", "no-head", "squared"]
    assert len(face_network("r50", 8, (112, 112)).list_arguments()) > 50


def test_a_backbone_is_found_by_its_name_and_takes_a_head(package):
    symbol = face_network("tiny", 6, (8, 8))
    assert symbol.infer_shape(data=(2, 3, 8, 8))[1] == [(2, 6)]
    assert initializer("tiny").dumps() == initializer("r50").dumps()
    network = attach_face_head(symbol, make_head("squared", 4, 6))
    assert "fc7_weight" in network.bound.list_arguments()
    with pytest.raises(InputError, match="mxft.backbones two: expected a symbol with one output, the embedding, recei"):
        face_network("two", 6, (8, 8))
    with pytest.raises(InputError, match="network is not built: .*; tiny, of an installed package.*network=tinny"):
        face_network("tinny", 6, (8, 8))


def test_an_importer_is_a_source_like_the_others(package, tmp_path, capsys):
    from safetensors.numpy import save_file

    weight = np.arange(2 * 48, dtype=np.float32).reshape(2, 48)
    save_file({"fc.weight": weight, "fc.bias": np.zeros(2, np.float32)}, str(tmp_path / "flat.safetensors"))
    checkpoint = import_weights("flat-files", str(tmp_path / "flat.safetensors"), "flat")
    assert any(np.array_equal(array.asnumpy(), weight) for array in checkpoint.arg_params.values())
    assert sources()[-3:] == ("broken", "flat-files", "no-table") and list(architectures("flat-files")) == ["flat"]
    with pytest.raises(InputError, match="mxft.importers no-table: expected a dict of name to .*Architecture"):
        architectures("no-table")
    assert main(["import", "--from", "flat-files", "--arch", "flat", "--weights", str(tmp_path / "flat.safetensors"),
                 "--prefix", str(tmp_path / "net")]) == 0 and (tmp_path / "net-0000.params").exists()
    capsys.readouterr()
    assert main(["import", "--list"]) == 0
    listed = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert listed["flat-files"] == "flat" and "resnet50" in listed["torchvision"]
    assert "RuntimeError: made for another mxft" in listed["broken"]


@pytest.mark.parametrize("ask, message", [
    (lambda: make_head("broken", 4, 3), "mxft.heads broken: expected squares_broken:Head, which an installed package "
                                        "offers, to be imported, received RuntimeError: made for another mxft"),
    (lambda: make_head("gone", 4, 3), "mxft.heads gone: .* received AttributeError: "),
    (lambda: face_network("lost", 6, (8, 8)), "mxft.backbones lost: .* received ModuleNotFoundError: "),
    (lambda: architectures("broken"), "mxft.importers broken: .* received RuntimeError: made for another mxft"),
])
def test_one_that_is_broken_is_named_where_it_is_asked_for(ask, message, package):
    with pytest.raises(DependencyError, match=message):
        ask()
    assert make_head("squared", 4, 3).name == "squared" and "squares_broken" not in sys.modules


def test_what_is_no_head_and_what_two_packages_offer_is_refused(package):
    with pytest.raises(InputError, match="mxft.heads no-head: expected a class derived from mxft.heads.Head, received"):
        make_head("no-head", 4, 3)
    install(package, "rival", {"mxft.heads": {"squared": "rival:Squared"}})
    importlib.invalidate_caches()
    with pytest.raises(InputError, match="mxft.heads squared: expected one installed package that offers it, received "
                                         "(squares:Squared and rival:Squared|rival:Squared and squares:Squared)"):
        make_head("squared", 4, 3)


def test_looking_for_plugins_imports_none(package):
    assert set(plugins.installed(plugins.HEADS)) == set(METADATA["mxft.heads"])
    assert "squared" in [row.name for row in loss_types()] and "squares" not in sys.modules
