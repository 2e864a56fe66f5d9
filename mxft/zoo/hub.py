"""PyTorch weights of timm's on the Hugging Face hub, imported as checkpoints."""
import os
from dataclasses import dataclass
from typing import Optional

from mxft.files.whole import sha256
from mxft.zoo.cache import named_base, own_mirrors
from mxft.zoo.checks import safetensors_flaw
from mxft.zoo.parts import Part, handed_over
from mxft.zoo.row import CONVERTED, Row

MIRRORS = ("https://huggingface.co/",)


@dataclass(frozen=True)
class HubModel(Row):
    """PyTorch weights of timm's on the Hugging Face hub, ``<mirror>timm/<name>/resolve/main/model.safetensors``.

    Imported by `mxft.importing`; no hash is published, the names and shapes of all arrays are checked.
    """

    name: str
    top1: Optional[float] = None
    top5: Optional[float] = None
    aliases: tuple = ()
    origin: str = "Hugging Face hub (PyTorch weights of ImageNet-1k, imported)"

    group = "Hugging Face hub: PyTorch weights, imported"
    about = "1,000 classes, RGB scaled"
    kept = CONVERTED

    @property
    def licence(self):
        return f"stated on https://huggingface.co/timm/{self.name}"

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        return os.path.join(folder, "models", self.name, self.name)

    def parts(self, folder):
        """Return the safetensors file."""
        return (Part(self.prefix(folder) + ".safetensors", self._addresses(), check=safetensors_flaw),)

    def get(self, folder, progress=True, files=()):
        """Return the checkpoint: from the cache, or fetched, or taken over, and imported now."""
        from mxft.importing import import_weights

        part, = self.parts(folder)
        copy = part.verified(handed_over(files, [(part,)], self.name)[0][1]) if files else None
        if self.cached(folder):
            return self.cached(folder)
        path = copy or part.fetch(progress, self.hint(folder))
        checkpoint = import_weights("timm", path, self.name)
        checkpoint.manifest["source"] = f"{self.manifest()['source']} sha256 {sha256(path)}"
        if not copy:
            os.unlink(path)
        return checkpoint.save(self.prefix(folder), 0)

    def manifest(self):
        """Return what the manifest will say, as far as it is known before the import, which finds the input."""
        return {"source": f"Hugging Face hub timm/{self.name}, model.safetensors"}

    def _addresses(self):
        location = f"timm/{self.name}/resolve/main/model.safetensors"
        return (*own_mirrors(location, self.name + ".safetensors"),
                *(base + location for base in [*named_base("HF_ENDPOINT"), *MIRRORS]))


# torchvision's first weights of each depth, by their names in timm; accuracies of torchvision's table.
MODELS = (
    HubModel("resnet18.tv_in1k", .6976, .8908), HubModel("resnet34.tv_in1k", .7331, .9142),
    HubModel("resnet50.tv_in1k", .7613, .9286), HubModel("resnet101.tv_in1k", .7737, .9355),
    HubModel("resnet152.tv_in1k", .7831, .9405),
    HubModel("vgg16.tv_in1k", .7159, .9038),
    HubModel("mobilenetv2_100.ra_in1k", .7297, .9102), HubModel("efficientnet_b0.ra_in1k", .7769, .9353),
)
