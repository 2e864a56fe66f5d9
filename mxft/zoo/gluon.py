"""The Gluon model stores of MXNet and GluonCV: ``.params`` in a zip, exported to a symbol checkpoint.

Names are ``gluon:NAME`` (or ``gluoncv:NAME``) of GluonCV's store and ``mxnet:NAME`` of MXNet's own. Which files there
are and their sha1 say the installed packages, `mxft.zoo.gluon_stores`.
"""
import functools
import os
import re
from dataclasses import dataclass

from mxft.errors import InputError
from mxft.files.download import FetchError, flaw
from mxft.zoo.cache import mxnet_home, named_base, own_mirrors
from mxft.zoo.checks import params_flaw, zip_flaw
from mxft.zoo.gluon_published import CIFAR10, IMAGENET
from mxft.zoo.gluon_stores import FAMILIES, Family, family_of, store_hashes
from mxft.zoo.parts import Part, handed_over, unpack
from mxft.zoo.row import CONVERTED, Row

MIRRORS = ("https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/", "https://apache-mxnet.s3.amazonaws.com/")
# transforms.Normalize([.4914, .4822, .4465], [.2023, .1994, .2010]) of GluonCV's train_cifar10.py, in values 0-255.
CIFAR_MEAN = (125.307, 122.961, 113.8575)
CIFAR_STD = (51.5865, 50.847, 51.255)


@dataclass(frozen=True)
class GluonModel(Row):
    """One file of a Gluon model store, ``<mirror>gluon/models/<model>-<sha1[:8]>.zip``, exported to a symbol.

    `store` says which package knows how to build the network `model`; `sha1` is that of the ``.params`` inside the zip.
    """

    name: str
    store: str
    model: str
    sha1: str
    family: Family
    aliases: tuple = ()

    licence = "Apache-2.0 is MXNet's and GluonCV's; none is stated for the weights"
    kept = CONVERTED

    @property
    def group(self):
        return {"gluoncv": "GluonCV's classification zoo", "mxnet": "MXNet's own Gluon model zoo"}[self.store]

    @property
    def origin(self):
        return f"{self.store} Gluon model store"

    @property
    def stem(self):
        return f"{self.model}-{self.sha1[:8]}"

    @property
    def is_cifar(self):
        return self.model.startswith("cifar_")

    @property
    def about(self):
        return f"{self.family.title}, {'10 classes of CIFAR-10' if self.is_cifar else '1,000 classes'}, RGB scaled"

    @property
    def note(self):
        if self.model not in CIFAR10:
            return None
        plain, mixed = CIFAR10[self.model]
        return (f"published: top-1 {plain:.3f} trained plainly, {mixed:.3f} with mix-up; which of the two weights the "
                "store has is not said")

    @property
    def top1(self):
        return IMAGENET.get(self.sha1[:8], (None, None))[0]

    @property
    def top5(self):
        return IMAGENET.get(self.sha1[:8], (None, None))[1]

    def prefix(self, folder):
        """Return the checkpoint's prefix in `folder`; where both stores have the same file, it is the same."""
        return os.path.join(folder, "models", self.model, self.stem)

    def parts(self, folder):
        """Return the store's zip."""
        return (Part(self.prefix(folder) + ".zip", self._addresses(),
                     check=lambda zipped: zip_flaw(zipped, self.stem + ".params")),)

    def ways(self, folder):
        """Return the zip, or what is inside it."""
        params = Part(os.path.join(os.path.dirname(self.prefix(folder)), self.stem + ".params"), hashes=self._hashes,
                      check=params_flaw)
        return (self.parts(folder), (params,))

    def get(self, folder, progress=True, files=()):
        """Return the checkpoint: from the cache, or fetched, or taken over, and exported now."""
        from mxft.backbones.gluon import build, trace

        if self.cached(folder) and not files:
            return self.cached(folder)
        if not self.cached(folder):
            trace(build(self.model, store=self.store))  # what cannot be converted is refused before it is downloaded
        weights, is_ours = self._given(folder, files) if files else self._weights(folder, progress)
        if not self.cached(folder):
            self._checkpoint(weights).save(self.prefix(folder), 0)
        if is_ours:
            os.unlink(weights)
        return self.cached(folder)

    def digest(self):
        """Return the sha1 the store's table has."""
        return "sha1", self.sha1, f"the .params inside {self.stem}.zip"

    def manifest(self):
        """Return what the checkpoint's manifest will say; its feature layer is found when it is exported."""
        mean, scale = self._normalization()
        return {"input": {"size": self.family.size, "resize": self.family.resize, "mean": list(mean),
                          "scale": list(scale), "channel_order": "RGB"},
                "classes": None, "feature_layer": None, "parent": None,
                "source": f"{self.store} Gluon model store {self.stem}"}

    @property
    def _hashes(self):
        return {"sha1": self.sha1}

    def _normalization(self):
        from mxft.backbones.gluon import MEAN, SCALE
        return (CIFAR_MEAN, tuple(1 / std for std in CIFAR_STD)) if self.is_cifar else (MEAN, SCALE)

    def _checkpoint(self, weights):
        from mxft.backbones.gluon import checkpoint_from_gluon
        from mxft.surgery import find_feature_layer

        mean, scale = self._normalization()
        checkpoint = checkpoint_from_gluon(self.model, weights, input_size=self.family.size, mean=mean, scale=scale,
                                           resize=self.family.resize, store=self.store,
                                           source=self.manifest()["source"])
        checkpoint.manifest["feature_layer"] = find_feature_layer(checkpoint.symbol).name
        return checkpoint

    def _given(self, folder, files):
        """Return the ``.params`` of a local copy, verified, and whether it was unpacked here."""
        (part, copy), = handed_over(files, self.ways(folder), self.name)
        copy = part.verified(copy)
        if part.suffix != ".zip":
            return copy, False
        path = self._unpack(copy, folder)
        wrong = flaw(path, hashes=self._hashes)
        if wrong:
            os.unlink(path)
            raise InputError(f"local copy of {part.name}: {copy}: {self.stem}.params inside it: {wrong}; it was left "
                             "as it is")
        return path, True

    def _weights(self, folder, progress):
        """Return the path of the store's ``.params``, its sha1 verified, and whether it was unpacked here."""
        member, path = self.stem + ".params", self.prefix(folder) + ".gluon.params"
        for known in (os.path.join(mxnet_home(), "models", member), path):
            if os.path.isfile(known) and not flaw(known, hashes=self._hashes):
                return known, False
        packed = self.parts(folder)[0].fetch(progress, self.hint(folder))
        path = self._unpack(packed, folder)
        os.unlink(packed)
        wrong = flaw(path, hashes=self._hashes)
        if wrong:
            os.unlink(path)
            raise FetchError(member, [(self.stem + ".zip", f"{wrong}; it was deleted")], self.hint(folder))
        return path, True

    def _unpack(self, packed, folder):
        return unpack(packed, self.stem + ".params", self.prefix(folder) + ".gluon.params")

    def _addresses(self):
        location = f"gluon/models/{self.stem}.zip"
        return (*own_mirrors(location, self.stem + ".zip"),
                *(base + location for base in [*named_base("MXNET_GLUON_REPO"), *MIRRORS]))


@functools.cache
def models():
    """Return the rows of both stores' image classifiers, by family; none of a package that is not installed."""
    return tuple(_row(store, model, store_hashes(store)[model]) for store in ("gluoncv", "mxnet")
                 for model in sorted(filter(family_of, store_hashes(store)), key=_order))


def _order(model):
    """Sort by family, and resnet101 behind resnet50, mobilenet0.5 behind mobilenet0.25."""
    words = re.split(r"(\d+(?:\.\d+)?)", model)
    return FAMILIES.index(family_of(model)), [float(word) if word[:1].isdigit() else word for word in words]


def _row(store, model, sha1):
    from mxft.backbones.gluon import BUILT_BY

    called = dict.fromkeys((model, BUILT_BY[store].get(model, model)))
    prefixes = ("gluon:", "gluoncv:", "") if store == "gluoncv" else ("mxnet:",)
    name, *aliases = (prefix + word for word in called for prefix in prefixes)
    return GluonModel(name, store, model, sha1, family_of(model), tuple(aliases))
