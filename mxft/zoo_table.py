"""The rows of the zoo: which files exist, where they lie, what their input is and what they are published to score.

Sources: example/image-classification/common/modelzoo.py and README.md (names, paths, input, accuracy),
mxnet/gluon/model_zoo/model_store.py and gluoncv/model_zoo/model_store.py (sha1), GluonCV's classification table
(accuracy), all 1.x; torchvision/prototype/datasets (Caltech-256: sha256, md5).
"""
from dataclasses import dataclass
from typing import Optional

from mxft.data.normalization import IMAGENET_MEAN

MXNET_MIRRORS = ("http://data.mxnet.io/", "http://data.mxnet.io.s3-website-us-west-1.amazonaws.com/",
                 "http://data.dmlc.ml/")
HUB_MIRRORS = ("https://huggingface.co/",)
GLUON_MIRRORS = ("https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/",
                 "https://apache-mxnet.s3.amazonaws.com/")


@dataclass(frozen=True)
class SymbolModel:
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

    @property
    def stem(self):
        return self.name


@dataclass(frozen=True)
class Dataset:
    """One file of pictures; `location` is its path below an MXFT_MIRRORS base, the recipe's `variable` a local copy."""

    name: str
    location: str
    urls: tuple
    variable: str = ""
    size: Optional[int] = None
    sha256: Optional[str] = None
    md5: Optional[str] = None
    about: str = ""


def _resnet(layers, top1, top5, symbol_md5, params_md5, *more):
    return SymbolModel(f"imagenet1k-resnet-{layers}", f"imagenet/resnet/{layers}-layers/resnet-{layers}", 1000, top1,
                       top5, md5=(symbol_md5, params_md5),
                       substitutes=(f"resnet{layers}_v2", *more, f"resnet{layers}.tv_in1k"),
                       aliases=() if layers == 152 else (f"resnet-{layers}",))


def _resnext(name, folder, top1, top5, *md5):
    # Raw pixels give chance, Inception-BN's mean the published numbers: apache/mxnet issues 6682 and 11149.
    return SymbolModel(f"imagenet1k-{name}", f"imagenet/resnext/{folder}-layers/{name}", 1000, top1, top5,
                       mean=IMAGENET_MEAN, md5=md5 or (None, None), aliases=(name,))


def _place365(layers, top1):
    return SymbolModel(f"imagenet11k-place365ch-resnet-{layers}", f"imagenet-11k-place365-ch/resnet-{layers}",
                       11221 + 365, top1)


SYMBOL_MODELS = (
    _resnet(18, .6858, .8866, "8c0170478642cf0c1c77995769ecf329", "dd1b81f8f818395036a3f9d17b31baea"),
    _resnet(34, .7244, .9097, "867b3d61d73991c6a7921d5dbc6e20db", "04b652703e46ec6d123c3961b17bd5cc"),
    _resnet(50, .7527, .9258, "2989c88d1d6629b777949a3ae695a42e", "246423771006aaf77acf68c99852f5b5",
            "resnet50_v1", "resnet50_v1b"),
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
                substitutes=("resnet152_v2", "resnet152.tv_in1k"),
                md5=("b2105c7a31652d9bb7d0b4841ecb9154", "a4cb744b366a1d4b1822cbcd3a30c852")),
    _place365(50, .3112), _place365(152, .3355),
)

# Version 2 is the kin of the symbol ResNets: pre-activation, and a BatchNorm on the data.
GLUON_MODELS = (
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

# torchvision's first weights of each depth, by their names in timm; accuracies of torchvision's table.
HUB_MODELS = (
    HubModel("resnet18.tv_in1k", .6976, .8908), HubModel("resnet34.tv_in1k", .7331, .9142),
    HubModel("resnet50.tv_in1k", .7613, .9286), HubModel("resnet101.tv_in1k", .7737, .9355),
    HubModel("resnet152.tv_in1k", .7831, .9405),
    HubModel("vgg16.tv_in1k", .7159, .9038),
    HubModel("mobilenetv2_100.ra_in1k", .7297, .9102), HubModel("efficientnet_b0.ra_in1k", .7769, .9353),
)


def _tutorial_records(part):
    file = f"caltech-256-60-{part}.rec"
    urls = [base + "data/caltech-256/" + file for base in MXNET_MIRRORS[:2]]
    urls.append("https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/caltech-256/" + file)
    return Dataset(file, "data/caltech-256/" + file, tuple(urls),
                   about=f"the tutorial's own {part} records, shorter side 256")


DATASETS = (
    Dataset("caltech256", "256_ObjectCategories.tar",
            ("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
             "https://drive.usercontent.google.com/download?id=1r6o0pSROcV1_VwT4oSjA2FBUSCWGuxLK&confirm=t",
             "http://www.vision.caltech.edu/Image_Datasets/Caltech256/256_ObjectCategories.tar"),
            "CALTECH256", size=1183006720, md5="67b4f42ca05d46448c6bb8ecd2220f6d",
            sha256="08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
            about="30,607 photographs, 256 classes and clutter (Griffin, Holub & Perona, CC BY 4.0)"),
    _tutorial_records("train"), _tutorial_records("val"),
)
