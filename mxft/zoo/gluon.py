"""The Gluon model stores of MXNet and GluonCV: ``.params`` in a zip, exported to a symbol checkpoint.

Follows mxnet/gluon/model_zoo/model_store.py and gluoncv/model_zoo/model_store.py (the sha1 of each file), 1.x, and
GluonCV's classification table (accuracy).
"""
import os
import shutil
import zipfile
from dataclasses import dataclass
from typing import Optional

from mxft.download import FetchError, fetch, flaw
from mxft.files import whole_file
from mxft.zoo.cache import MIRRORS_VARIABLE, mxnet_home, named_base, own_mirrors
from mxft.zoo.checks import zip_flaw

MIRRORS = ("https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/", "https://apache-mxnet.s3.amazonaws.com/")


@dataclass(frozen=True)
class GluonModel:
    """One file of a Gluon model store, ``<mirror>gluon/models/<model>-<sha1[:8]>.zip``, exported to a symbol.

    `sha1` is that of the ``.params`` inside the zip. `store` says which package knows how to build it.
    """

    name: str
    store: str
    model: str
    sha1: str
    top1: Optional[float] = None
    top5: Optional[float] = None
    aliases: tuple = ()

    @property
    def stem(self):
        return f"{self.model}-{self.sha1[:8]}"

    @property
    def origin(self):
        return f"{self.store} Gluon model store"

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        return os.path.join(folder, "models", self.name, self.stem)

    def cached(self, folder):
        """Return ``"prefix,0"`` if the checkpoint is there, otherwise None."""
        prefix = self.prefix(folder)
        return f"{prefix},0" if os.path.exists(prefix + "-0000.params") else None

    def get(self, folder, progress):
        """Return the checkpoint: from the cache, or fetched and exported now."""
        from mxft.backbones.gluon import checkpoint_from_gluon

        if self.cached(folder):
            return self.cached(folder)
        return checkpoint_from_gluon(self.model, self._weights(folder, progress), store=self.store, resize=256,
                                     source=f"{self.store} Gluon model store {self.stem}").save(self.prefix(folder), 0)

    def _weights(self, folder, progress):
        """Return the path of the store's ``.params``, its sha1 verified."""
        path, member = self.prefix(folder) + ".gluon.params", self.stem + ".params"
        for known in (os.path.join(mxnet_home(), "models", member), path):
            if os.path.isfile(known) and not flaw(known, hashes={"sha1": self.sha1}):
                return known
        hint = (f"give a local checkpoint with MODEL=prefix,epoch, or put {member} (sha1 {self.sha1}) at {path}, "
                f"or name a mirror in {MIRRORS_VARIABLE}")
        packed = fetch(self._addresses(), self.prefix(folder) + ".zip", progress=progress, hint=hint,
                       check=lambda zipped: zip_flaw(zipped, member))
        with zipfile.ZipFile(packed) as archive, archive.open(member) as source, whole_file(path) as out:
            shutil.copyfileobj(source, out, 1 << 20)
        os.unlink(packed)
        wrong = flaw(path, hashes={"sha1": self.sha1})
        if wrong:
            os.unlink(path)
            raise FetchError(member, [(self.stem + ".zip", f"{wrong}; it was thrown away")], hint)
        return path

    def _addresses(self):
        location = f"gluon/models/{self.stem}.zip"
        bases = [*named_base("MXNET_GLUON_REPO"), *MIRRORS]
        return [*own_mirrors(location, self.stem + ".zip"), *(base + location for base in bases)]


# Version 2 is the kin of the symbol ResNets: pre-activation, and a BatchNorm on the data.
MODELS = (
    GluonModel("resnet18_v2", "mxnet", "resnet18_v2", "a81db45fd7b7a2d12ab97cd88ef0a5ac48b8f657", .7100, .8992),
    GluonModel("resnet34_v2", "mxnet", "resnet34_v2", "9d6b80bbc35169de6b6edecffdd6047c56fdd322", .7440, .9208),
    GluonModel("resnet50_v2", "mxnet", "resnet50_v2", "ecdde35339c1aadbec4f547857078e734a76fb49", .7711, .9343),
    GluonModel("resnet101_v2", "mxnet", "resnet101_v2", "18e93e4f48947e002547f50eabbcc9c83e516aa6", .7853, .9417),
    GluonModel("resnet152_v2", "mxnet", "resnet152_v2", "f2695542de38cf7e71ed58f02893d82bb409415e", .7921, .9431),
    GluonModel("resnet50_v1", "mxnet", "resnet50_v1", "0aee57f96768c0a2d5b23a6ec91eb08dfb0a45ce"),
    GluonModel("gluoncv-resnet50_v1", "gluoncv", "resnet50_v1", "cc729d95031ca98cf2ff362eb57dee4d9994e4b2",
               .7736, .9357),
    GluonModel("resnet50_v1b", "gluoncv", "resnet50_v1b", "0ecdba34691be172036ddf244ff1b2eade75ffde", .7767, .9382),
    GluonModel("resnet50_v1d", "gluoncv", "resnet50_v1d", "117a384ecf61490eb31ea147eb0e61e6d2b8a449", .7915, .9458),
)
