"""The symbol checkpoints of MXNet's examples: ImageNet networks as ``-symbol.json`` and ``-%04d.params``.

Follows example/image-classification/common/modelzoo.py and its README (names, paths, input, accuracy), 1.x.
"""
import os
from dataclasses import dataclass
from typing import Optional

from mxft.files.download import flaw
from mxft.network.input_spec import IMAGENET_MEAN
from mxft.zoo.cache import own_mirrors, say, secure_first
from mxft.zoo.checks import params_flaw, symbol_flaw
from mxft.zoo.parts import Part, handed_over
from mxft.zoo.row import Row

MIRRORS = ("http://data.mxnet.io/", "http://data.mxnet.io.s3-website-us-west-1.amazonaws.com/", "http://data.dmlc.ml/")


@dataclass(frozen=True)
class SymbolModel(Row):
    """One checkpoint of modelzoo.py: ``<mirror>models/<stem>-symbol.json`` and ``-%04d.params``.

    `mean` (RGB) is subtracted from pixel values 0-255, nothing is divided; zeros where a ``bn_data`` layer normalises.
    `top1`, `top5`: single centre crop of 224, published. `md5` of symbol and parameters as recorded by MLModelScope
    (github.com/rai-project/mxnet, builtin_models, of data.dmlc.ml in 2018): a difference is told, not refused.
    """

    name: str
    stem: str
    classes: int
    top1: Optional[float] = None
    top5: Optional[float] = None
    epoch: int = 0
    feature_layer: str = "flatten0"
    mean: tuple = (0.0, 0.0, 0.0)
    md5: tuple = (None, None)
    substitutes: tuple = ()
    aliases: tuple = ()

    group = "MXNet's examples: symbol checkpoints"
    licence = "Apache-2.0 is MXNet's; none is stated for the weights"

    @property
    def about(self):
        pixels = "RGB less " + ", ".join(f"{v:g}" for v in self.mean) if any(self.mean) else "raw RGB 0-255"
        return f"{self.classes:,} classes, {pixels}"

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        return os.path.join(folder, "models", self.name, os.path.basename(self.stem))

    def cached(self, folder):
        """Return ``"prefix,epoch"`` if both files are there, otherwise None."""
        is_there = all(os.path.exists(part.path) for part in self.parts(folder))
        return f"{self.prefix(folder)},{self.epoch}" if is_there else None

    def parts(self, folder):
        """Return symbol and parameters."""
        endings = (("-symbol.json", symbol_flaw), (f"-{self.epoch:04d}.params", params_flaw))
        return tuple(Part(self.prefix(folder) + ending, self._addresses(ending), check=check)
                     for ending, check in endings)

    def get(self, folder, progress=True, files=()):
        """Fetch or take over what is missing, and return ``"prefix,epoch"``."""
        parts = self.parts(folder)
        copies = dict(handed_over(files, [parts], self.name)) if files else {}
        for part, copy in copies.items():
            part.verified(copy)  # both, before either is taken
        for part, md5 in zip(parts, self.md5):
            is_new = not os.path.exists(part.path)
            part.take(copies[part]) if files else part.fetch(progress, self.hint(folder))
            wrong = flaw(part.path, hashes={"md5": md5}) if is_new and md5 else None
            if wrong:
                say(f"note: {part.name} is a file of the right kind, but not the one MLModelScope recorded in 2018: "
                    f"{wrong}")
        self.add_manifest(folder)
        return f"{self.prefix(folder)},{self.epoch}"

    def digest(self):
        """Return the recorded md5 of the parameters."""
        return ("md5", self.md5[1], "the parameters, as MLModelScope recorded them in 2018") if self.md5[1] else None

    def manifest(self):
        """Return what the checkpoint's manifest says."""
        return {"input": {"size": 224, "resize": 256, "mean": list(self.mean), "scale": 1.0, "channel_order": "RGB"},
                "classes": None, "feature_layer": self.feature_layer, "parent": None,
                "source": f"MXNet zoo {self.name}"}

    def _addresses(self, ending):
        location = "models/" + self.stem + ending
        return (*own_mirrors(location, self.name + ending), *secure_first(base + location for base in MIRRORS))


def _resnet(layers, top1, top5, symbol_md5, params_md5, *more):
    return SymbolModel(f"imagenet1k-resnet-{layers}", f"imagenet/resnet/{layers}-layers/resnet-{layers}", 1000, top1,
                       top5, md5=(symbol_md5, params_md5),
                       substitutes=(f"mxnet:resnet{layers}_v2", *more, f"resnet{layers}.tv_in1k"),
                       aliases=() if layers == 152 else (f"resnet-{layers}",))


def _resnext(name, folder, top1, top5, *md5):
    # Raw pixels give chance, Inception-BN's mean the published numbers: apache/mxnet issues 6682 and 11149.
    return SymbolModel(f"imagenet1k-{name}", f"imagenet/resnext/{folder}-layers/{name}", 1000, top1, top5,
                       mean=IMAGENET_MEAN, md5=md5 or (None, None), aliases=(name,))


def _place365(layers, top1):
    return SymbolModel(f"imagenet11k-place365ch-resnet-{layers}", f"imagenet-11k-place365-ch/resnet-{layers}",
                       11221 + 365, top1)


MODELS = (
    _resnet(18, .6858, .8866, "8c0170478642cf0c1c77995769ecf329", "dd1b81f8f818395036a3f9d17b31baea"),
    _resnet(34, .7244, .9097, "867b3d61d73991c6a7921d5dbc6e20db", "04b652703e46ec6d123c3961b17bd5cc"),
    _resnet(50, .7527, .9258, "2989c88d1d6629b777949a3ae695a42e", "246423771006aaf77acf68c99852f5b5",
            "mxnet:resnet50_v1", "gluon:resnet50_v1b"),
    _resnet(101, .7684, .9327, "752eea37001abd96429a458d5fe40584", "2224d5eca1c9c022029c87770a79c70e"),
    _resnet(152, .7653, .9312, "afc974eb8440cc7ce37fe49d051e805b", "84c77aa3ae6dcd35aecf226788dc78f8"),
    _resnext("resnext-50", 50, .7689, .9332, "685829baf29978f5b567afd7bf1407b6", "e8b3a38c987e9623bd3a2ff088d1a0cd"),
    _resnext("resnext-101", 101, .7828, .9408, "2dfc9be4851edd5fdeb0e57d3d5d1915",
             "c4ccef9bc937298a91a3a032f992c5da"),
    _resnext("resnext-101-64x4d", 101, .7911, .9430),
    SymbolModel("imagenet1k-inception-bn", "imagenet/inception-bn/Inception-BN", 1000, .7245, .9079, epoch=126,
                feature_layer="flatten", mean=IMAGENET_MEAN, aliases=("inception-bn",),
                md5=("93ea4544c19709161fec0051aea34885", "08bbf9b6c46e4a090ddaf039b76be630")),
    SymbolModel("imagenet11k-resnet-152", "imagenet-11k/resnet-152/resnet-152", 11221, .4157, aliases=("resnet-152",),
                substitutes=("mxnet:resnet152_v2", "resnet152.tv_in1k"),
                md5=("b2105c7a31652d9bb7d0b4841ecb9154", "a4cb744b366a1d4b1822cbcd3a30c852")),
    _place365(50, .3112), _place365(152, .3355),
)
