"""PyTorch weights of timm's on the Hugging Face hub, imported as checkpoints."""
import os
from dataclasses import dataclass
from typing import Optional

from mxft.download import fetch
from mxft.files import sha256
from mxft.zoo.cache import MIRRORS_VARIABLE, named_base, own_mirrors
from mxft.zoo.checks import safetensors_flaw

MIRRORS = ("https://huggingface.co/",)


@dataclass(frozen=True)
class HubModel:
    """PyTorch weights of timm's on the Hugging Face hub, ``<mirror>timm/<name>/resolve/main/model.safetensors``.

    Imported by `mxft.importing`; no hash is published, the names and shapes of all arrays are checked.
    """

    name: str
    top1: Optional[float] = None
    top5: Optional[float] = None
    aliases: tuple = ()
    origin: str = "Hugging Face hub (PyTorch weights of ImageNet-1k, imported)"

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        return os.path.join(folder, "models", self.name, self.name)

    def cached(self, folder):
        """Return ``"prefix,0"`` if the checkpoint is there, otherwise None."""
        prefix = self.prefix(folder)
        return f"{prefix},0" if os.path.exists(prefix + "-0000.params") else None

    def get(self, folder, progress):
        """Return the checkpoint: from the cache, or fetched and imported now."""
        from mxft.importing import import_weights

        if self.cached(folder):
            return self.cached(folder)
        path = self.prefix(folder) + ".safetensors"
        fetch(self._addresses(), path, progress=progress, check=safetensors_flaw,
              hint=f"give a local checkpoint with MODEL=prefix,epoch, or put {self.name}'s model.safetensors at "
                   f"{path}, or name a mirror in {MIRRORS_VARIABLE}")
        checkpoint = import_weights("timm", path, self.name)
        checkpoint.manifest["source"] = f"Hugging Face hub timm/{self.name}, model.safetensors sha256 {sha256(path)}"
        os.unlink(path)
        return checkpoint.save(self.prefix(folder), 0)

    def _addresses(self):
        location = f"timm/{self.name}/resolve/main/model.safetensors"
        return [*own_mirrors(location, self.name + ".safetensors"),
                *(base + location for base in [*named_base("HF_ENDPOINT"), *MIRRORS])]


# torchvision's first weights of each depth, by their names in timm; accuracies of torchvision's table.
MODELS = (
    HubModel("resnet18.tv_in1k", .6976, .8908), HubModel("resnet34.tv_in1k", .7331, .9142),
    HubModel("resnet50.tv_in1k", .7613, .9286), HubModel("resnet101.tv_in1k", .7737, .9355),
    HubModel("resnet152.tv_in1k", .7831, .9405),
    HubModel("vgg16.tv_in1k", .7159, .9038),
    HubModel("mobilenetv2_100.ra_in1k", .7297, .9102), HubModel("efficientnet_b0.ra_in1k", .7769, .9353),
)
