"""The Gluon rows against the installed packages themselves, which the table is read from without importing them."""
import math
import re

import pytest

from mxft.backbones.gluon import BUILT_BY
from mxft.compat import load_gluoncv, mx
from mxft.errors import DependencyError
from mxft.zoo import gluon, gluon_stores
from mxft.zoo.gluon_published import CIFAR10, IMAGENET

# What the rest of GluonCV's store is for.
OTHER_TASKS = re.compile("ssd|rcnn|yolo|fcn|deeplab|psp|icnet|fastscnn|danet|pose|kinetics|ucf101|hmdb51|sthsth|"
                         "center_net|siamrpn|monodepth|smot|vgg16_atrous")


@pytest.fixture(scope="module")
def stores():
    """{store: (its own table, the functions that build its networks)}, from the imported packages."""
    load_gluoncv()
    from gluoncv.model_zoo import model_store, model_zoo
    return {"gluoncv": (model_store._model_sha1, model_zoo._models),
            "mxnet": (mx.gluon.model_zoo.model_store._model_sha1, vars(mx.gluon.model_zoo.vision))}


def rows(store):
    return {row.model: row for row in gluon.models() if row.store == store}


@pytest.mark.parametrize("store", ["gluoncv", "mxnet"])
def test_the_table_read_from_source_is_the_packages_own(stores, store):
    assert gluon_stores.store_hashes(store) == stores[store][0]


@pytest.mark.parametrize("store, count", [("gluoncv", 94), ("mxnet", 34)])
def test_every_image_classifier_of_a_store_has_a_row(stores, store, count):
    hashes, functions = stores[store]
    classifiers = {name for name in hashes if not OTHER_TASKS.search(name)}
    assert set(rows(store)) == classifiers and len(classifiers) == count
    built = {BUILT_BY[store].get(name, name).replace(".", "_") for name in classifiers}
    assert built <= {name.replace(".", "_").replace("mobilenet_v2", "mobilenetv2") for name in functions}


def test_every_published_number_is_of_a_file_that_is_there():
    assert set(IMAGENET) <= {row.sha1[:8] for row in gluon.models()}
    assert set(CIFAR10) == {row.model for row in gluon.models() if row.is_cifar}
    assert all(.5 < top1 < top5 < 1 for top1, top5 in IMAGENET.values())


def test_weights_are_known_by_their_hash_and_not_by_their_name():
    assert rows("gluoncv")["resnet50_v1"].top1 == .7736 and rows("mxnet")["resnet50_v1"].top1 is None
    assert rows("gluoncv")["resnet18_v2"].top1 == rows("mxnet")["resnet18_v2"].top1 == .71
    assert rows("gluoncv")["mobilenetv3_small"].top1 is None
    assert "0.921 trained plainly, 0.929 with mix-up" in rows("gluoncv")["cifar_resnet20_v1"].note


@pytest.mark.parametrize("model, size, resize", [
    ("resnet50_v1b", 224, 256), ("inceptionv3", 299, 342), ("xception", 299, 342), ("resnest50", 224, 256),
    ("resnest101", 256, 293), ("resnest200", 320, 352), ("resnest269", 416, 448), ("hrnet_w18_cls", 224, 256),
    ("cifar_wideresnet40_8", 32, 32), ("resnet50_v1d_1.8x", 224, 256)])
def test_the_input_is_the_familys(model, size, resize):
    entry = rows("gluoncv")[model].manifest()["input"]
    assert (entry["size"], entry["resize"]) == (size, resize)
    assert size in (32, 320, 416) or resize == math.ceil(size / .875)


def test_names_of_both_stores():
    assert (rows("gluoncv")["hrnet_w18_cls"].name, *rows("gluoncv")["hrnet_w18_cls"].aliases) == (
        "gluon:hrnet_w18_cls", "gluoncv:hrnet_w18_cls", "hrnet_w18_cls", "gluon:hrnet_w18_c", "gluoncv:hrnet_w18_c",
        "hrnet_w18_c")
    assert (rows("mxnet")["inceptionv3"].name, *rows("mxnet")["inceptionv3"].aliases) == (
        "mxnet:inceptionv3", "mxnet:inception_v3")


def test_families_come_in_the_order_of_their_depth():
    names = [row.model for row in gluon.models() if row.family.title == "ResNet v1" and row.store == "gluoncv"]
    assert names == ["resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1"]
    widths = [row.model for row in gluon.models() if row.family.title == "MobileNet" and row.store == "mxnet"]
    assert widths == ["mobilenet0.25", "mobilenet0.5", "mobilenet0.75", "mobilenet1.0"]


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that installs a ``gluoncv`` whose model store has the given source."""
    def install(source):
        folder = tmp_path / "gluoncv" / "model_zoo"
        folder.mkdir(parents=True)
        (tmp_path / "gluoncv" / "__init__.py").write_text("raise ImportError")
        (folder / "model_store.py").write_text(source)
        spec = gluon_stores.importlib.util.spec_from_file_location("gluoncv", tmp_path / "gluoncv" / "__init__.py")
        monkeypatch.setattr(gluon_stores.importlib.util, "find_spec", lambda name: spec)
    return install


def test_the_package_is_read_and_not_run(package):
    package("import nothing_there\n_model_sha1 = {n: c for c, n in [('ab' * 20, 'alexnet')]}\n"
            .replace("'ab' * 20", repr("ab" * 20)))
    assert gluon_stores.store_hashes.__wrapped__("gluoncv") == {"alexnet": "ab" * 20}


@pytest.mark.parametrize("source", ["", "_model_sha1 = load()", "_model_sha1 = {n: c for c, n in rows}", "_model ("])
def test_another_layout_of_the_package_is_told(package, source):
    package(source)
    with pytest.raises(DependencyError, match="gluoncv's model store cannot be read: expected the table _model_sha1 in "
                                              ".*model_store.py, received .*; mxft is made for mxnet 1.9.1"):
        gluon_stores.store_hashes.__wrapped__("gluoncv")


def test_without_the_package_there_are_no_rows(monkeypatch):
    monkeypatch.setattr(gluon_stores.importlib.util, "find_spec", lambda name: None)
    assert gluon_stores.store_hashes.__wrapped__("gluoncv") == {}
