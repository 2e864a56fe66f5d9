"""insightface's PyTorch face networks as its MXNet ones: iresnet18 … 200 as ``r18`` … with exact names, and ``mbf``.

Follows ``recognition/arcface_torch/backbones`` (iresnet.py, mobilefacenet.py; 2021–2026). Where PyTorch's network and
MXNet's face ResNet (unit 3) differ, the parameters are changed so that both compute the same:

- pixels: trained on (x - 127.5)/127.5, and MXNet's graph divides by 128: the first convolution is multiplied by
  128/127.5 (its padding is 0 before and after);
- BatchNorm's epsilon, 1e-5 and not 2e-5: gamma is multiplied by sqrt((variance + 2e-5)/(variance + 1e-5));
- the embedding's BatchNorm has a fixed scale in MXNet: weight, bias, mean and variance of its input take it and the
  other epsilon. Where PyTorch's scale is 1, as there, it is the same network in training too.

The order of the flattened map (channels, rows, columns), strides, paddings and shortcuts are the same in both.
"""
import dataclasses
import logging
import re
from typing import Callable, Optional

import numpy as np

from mxft.errors import InputError
from mxft.importing.architecture import require_same_arrays

LOG = logging.getLogger("mxft")

UNITS = {"r18": (2, 2, 2, 2), "r34": (3, 4, 6, 3), "r50": (3, 4, 14, 3), "r100": (3, 13, 30, 3),
         "r200": (6, 26, 60, 6)}
BUILT_HERE = ("r18", "r34", "r50", "r100")  # MXNet's own r200 is another network, of bottlenecks
SIDE = 112                                  # pixels; the embedding layer reads a 7x7 map
_EPS, _OUR_EPS = 1e-5, 2e-5
_PIXELS = 128 / 127.5
# our kind of parameter, and PyTorch's
_KINDS = (("weight", "weight"), ("bias", "bias"), ("gamma", "weight"), ("beta", "bias"),
          ("moving_mean", "running_mean"), ("moving_var", "running_var"))
_UNIT = {"bn1": "_bn1", "conv1": "_conv1", "bn2": "_bn2", "prelu": "_relu1", "conv2": "_conv2", "bn3": "_bn3",
         "downsample.0": "_conv1sc", "downsample.1": "_sc"}
_MBF_BLOCK = {"layers.0.layers": "_conv_sep", "layers.1.layers": "_conv_dw", "layers.2.layers": "_conv_proj"}
NOT_IMPORTED = {
    **dict.fromkeys(("r2060", "iresnet2060"), "a network of 2,060 layers, which is not built"),
    **dict.fromkeys(("vit_t", "vit_s", "vit_b", "vit_l", "vit_h"),
                    "a vision transformer, which MXNet 1.9 has no layers for")}


@dataclasses.dataclass(frozen=True)
class FaceArchitecture:
    """One face network of arcface_torch.

    Parameters
    ----------
    name : str
    symbol : callable
        ``symbol(entries, emb_size)`` gives the MXNet network.
    layers : callable
        ``layers(entries)`` gives {PyTorch's layer: ours}.
    embedding : str
        PyTorch's weight of the embedding layer, ``(D, …)``.
    convert : callable
        From our names to float64 arrays to the same of a network that computes what PyTorch's does.
    version_output : str, optional
        With which `mxft.backbones.faces.face_network` builds it under its name; None where it does not.
    """

    name: str
    symbol: Callable
    layers: Callable
    embedding: str
    convert: Callable
    version_output: Optional[str] = None

    def checkpoint(self, entries, what, classes=None):
        """Return the Checkpoint of a state dict.

        Parameters
        ----------
        entries : dict of str to numpy.ndarray
            As `mxft.importing.weight_files.read_weights` gives them.
        what : str
            For messages and the manifest.
        classes : list of str, optional
            None: an embedding has none.

        Returns
        -------
        mxft.network.checkpoint.Checkpoint
            Takes raw 0–255 pixels; its output is the embedding ``fc1``.

        Raises
        ------
        InputError
            Arrays are missing, left over or of another shape; the message says which network the file looks like.
        """
        from mxft.network.checkpoint import Checkpoint
        from mxft.network.input_spec import InputSpec

        if classes is not None:
            raise InputError(f"{what}: expected no names of classes, as its output is an embedding, received "
                             f"{len(classes)}")
        self._require_embedding(entries, what)
        emb_size = len(entries[self.embedding])
        symbol = self.symbol(entries, emb_size)
        arg_params, aux_params = self._parameters(symbol, entries, what)
        return Checkpoint(symbol, arg_params, aux_params, {
            "input": InputSpec((3, SIDE, SIDE)).to_dict(), "embedding": "fc1", "classes": None, "parent": None,
            "network": self._network(emb_size), "source": what}, what)

    def _network(self, emb_size):
        """Return the manifest's entry: how train_softmax.py calls this network."""
        if self.version_output is None:
            return {"name": "pretrained", "emb_size": emb_size}
        return {"name": self.name, "emb_size": emb_size, "version_output": self.version_output}

    def _require_embedding(self, entries, what):
        weight = entries.get(self.embedding)
        if weight is None or weight.ndim != 2 or not len(weight):
            raise InputError(f"{what}: expected the embedding layer's {self.embedding}, received {len(entries)} arrays "
                             f"without it ({', '.join(list(entries)[:3])}, …); {_advice(entries, self.name)}")

    def _parameters(self, symbol, entries, what):
        """Return (arg_params, aux_params) of the symbol."""
        from mxft.compat import mx

        args, _, states = symbol.infer_shape(data=(1, 3, SIDE, SIDE))
        shapes = {**dict(zip(symbol.list_arguments(), args)), **dict(zip(symbol.list_auxiliary_states(), states))}
        theirs = {f"{ours}_{kind}": f"{layer}.{called}" for layer, ours in self.layers(entries).items()
                  for kind, called in _KINDS if f"{ours}_{kind}" in shapes}
        require_same_arrays({name: shapes[ours] for ours, name in theirs.items()}, entries, what,
                            _advice(entries, self.name))
        values = {ours: entries[name].astype(np.float64) for ours, name in theirs.items()}
        wrong = next((theirs[ours] for ours, value in values.items() if not np.isfinite(value).all()
                      or ours.endswith("_moving_var") and value.min() < 0), None)
        if wrong:
            raise InputError(f"{what}: expected finite numbers and variances of at least 0, received others in {wrong}")
        arrays = {ours: mx.nd.array(value, dtype="float32") for ours, value in self.convert(values).items()}
        names = set(symbol.list_auxiliary_states())
        return ({name: value for name, value in arrays.items() if name not in names},
                {name: value for name, value in arrays.items() if name in names})


def looks_like(entries):
    """Return the name of the network a state dict is of, as its layers' names and counts tell; None for no other.

    Examples
    --------
    >>> units = enumerate((3, 4, 14, 3), 1)
    >>> looks_like({f"layer{stage}.{i}.conv1.weight": 0 for stage, count in units for i in range(count)})
    'r50'
    """
    counts = tuple(_count(rf"layer{stage}\.\d+\.conv1\.weight", entries) for stage in (1, 2, 3, 4))
    named = next((name for name, units in UNITS.items() if units == counts), None)
    if named is None and "conv_sep.layers.0.weight" in entries:
        named = "mbf_large" if any(name.startswith("layers.1.layers.1.layers.") for name in entries) else "mbf"
    return named


def _count(pattern, entries):
    """Return how many names of a state dict have a form: what a file can have no more of than it has arrays."""
    return sum(re.fullmatch(pattern, name) is not None for name in entries)


def _advice(entries, name):
    found = looks_like(entries)
    return f"its layers are those of {found}" if found and found != name else \
        "is it a state_dict of insightface's arcface_torch?"


def _iresnet_symbol(name):
    def symbol(entries, emb_size):
        from mxft.backbones.embedding_output import embedding_output
        from mxft.backbones.face_resnet import residual_network
        from mxft.backbones.versions import Versions
        from mxft.compat import mx

        versions = Versions(output="I")  # E without its Dropout, which arcface_torch trains without
        with mx.name.NameManager():
            return embedding_output(residual_network(UNITS[name], False, versions), emb_size, versions)
    return symbol


def _iresnet_layers(name):
    def layers(entries):
        called = {"conv1": "conv0", "bn1": "bn0", "prelu": "relu0", "bn2": "bn1", "fc": "pre_fc1", "features": "fc1"}
        for stage, count in enumerate(UNITS[name], 1):
            for unit in range(count):
                called.update({f"layer{stage}.{unit}.{theirs}": f"stage{stage}_unit{unit + 1}{ours}"
                               for theirs, ours in _UNIT.items()})
        return called
    return layers


def _convert_iresnet(values):
    """Return iresnet's parameters for MXNet's face ResNet: see above; float64 in and out."""
    changed = dict(values)
    for name, variance in values.items():
        layer = name[:-len("_moving_var")]
        if name.endswith("_moving_var") and layer != "fc1":
            changed[f"{layer}_gamma"] = values[f"{layer}_gamma"] * np.sqrt((variance + _OUR_EPS) / (variance + _EPS))
    scale = values["fc1_gamma"] * np.sqrt(_OUR_EPS / _EPS)
    if (np.abs(values["fc1_gamma"] - 1) > 1e-6).any():
        LOG.warning("features.weight is not 1 everywhere, as insightface keeps it: the embedding is the same, but "
                    "training brings each of its numbers to the same variance")
    changed.update(
        conv0_weight=values["conv0_weight"] * _PIXELS, fc1_gamma=np.ones_like(scale),
        pre_fc1_weight=values["pre_fc1_weight"] * scale[:, None], pre_fc1_bias=values["pre_fc1_bias"] * scale,
        fc1_moving_mean=values["fc1_moving_mean"] * scale, fc1_moving_var=values["fc1_moving_var"] * _OUR_EPS / _EPS)
    return changed


def _mbf_blocks(entries):
    """Return (residual blocks of each stage, width in units of y1's) of a state dict."""
    counts = tuple(max(_count(rf"layers\.{stage}\.layers\.\d+\.layers\.2\.layers\.0\.weight", entries), 1)
                   for stage in (1, 3, 5, 7))
    width, *_ = (*np.shape(entries.get("layers.0.layers.0.weight")), 0)
    return counts, max(width // 64, 1)


def _mbf_symbol(entries, emb_size):
    from mxft.backbones.mbf import mbf

    return mbf(*_mbf_blocks(entries), emb_size)


def _mbf_layers(entries):
    (first, *counts), _ = _mbf_blocks(entries)
    groups = {"layers.0.layers": "conv_1", "conv_sep.layers": "conv_6sep", "features.layers.0.layers": "conv_6dw7_7"}
    blocks = {f"layers.1.layers.{number}": f"res_2_block{number}" for number in range(first if first > 1 else 0)}
    if first == 1:
        groups["layers.1.layers"] = "conv_2_dw"
    for stage, count in enumerate(counts, 1):
        blocks[f"layers.{2 * stage}"] = f"dconv_{stage + 1}{stage + 2}"
        blocks.update({f"layers.{2 * stage + 1}.layers.{number}": f"res_{stage + 2}_block{number}"
                       for number in range(count)})
    groups.update({f"{theirs}.{part}": ours + called for theirs, ours in blocks.items()
                   for part, called in _MBF_BLOCK.items()})
    layers = {f"{theirs}.{place}": ours + kind for theirs, ours in groups.items()
              for place, kind in ((0, "_conv2d"), (1, "_batchnorm"), (2, "_relu"))}
    return {**layers, "features.layers.2": "pre_fc1", "features.layers.3": "fc1"}


def _convert_mbf(values):
    return {**values, "conv_1_conv2d_weight": values["conv_1_conv2d_weight"] * _PIXELS}


def _iresnet(name):
    return FaceArchitecture(name, _iresnet_symbol(name), _iresnet_layers(name), "fc.weight", _convert_iresnet,
                            "I" if name in BUILT_HERE else None)


def _mbf(name):
    return FaceArchitecture(name, _mbf_symbol, _mbf_layers, "features.layers.2.weight", _convert_mbf)


ARCHITECTURES = {**{name: _iresnet(name) for name in UNITS},
                 **{name: _mbf(name) for name in ("mbf", "mbf_large")},
                 **{"i" + name.replace("r", "resnet"): _iresnet(name) for name in UNITS}}
