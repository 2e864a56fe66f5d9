"""The tables of insightface's sample_config.py, and the train_softmax flags that their rows stand for.

insightface's ``recognition/train.py`` (2019–2020; later ``recognition/arcface_mxnet/train.py``) takes ``--network
--loss --dataset``, names of rows in ``sample_config.py``. A YAML file adds rows and changes those there are.
"""
import copy

from mxft.errors import InputError, nearest
from mxft.files.whole import require_file

SECTIONS = ("network", "dataset", "loss", "default", "config")
_MOBILE = {"emb_size": 256, "net_output": "GDC"}
_MARGIN = {"loss_name": "margin_softmax", "loss_s": 64.0, "loss_m1": 1.0, "loss_m2": 0.0, "loss_m3": 0.0}
_TRIPLETS = {"images_per_identity": 5, "triplet_bag_size": 7200, "triplet_max_ap": 0.0, "per_batch_size": 60,
             "lr": 0.05}
_SETS = {"image_shape": [112, 112, 3], "val_targets": ["lfw", "cfp_fp", "agedb_30"]}

TABLES = {
    "config": {
        "bn_mom": 0.9, "emb_size": 512, "net_se": 0, "net_act": "prelu", "net_unit": 3, "net_input": 1,
        "net_blocks": [1, 4, 6, 2], "net_output": "E", "net_multiplier": 1.0, "ce_loss": True, "fc7_lr_mult": 1.0,
        "fc7_wd_mult": 1.0, "fc7_no_bias": False, "max_steps": 0, "data_rand_mirror": True, "data_cutoff": 0,
        "data_color": 0, "data_images_filter": 0, "loss_K": 1, **_SETS},
    "network": {
        "r100": {"net_name": "fresnet", "num_layers": 100},
        "r100fc": {"net_name": "fresnet", "num_layers": 100, "net_output": "FC"},
        "r50": {"net_name": "fresnet", "num_layers": 50},
        "r50v1": {"net_name": "fresnet", "num_layers": 50, "net_unit": 1},
        "d169": {"net_name": "fdensenet", "num_layers": 169, "per_batch_size": 64},
        "d201": {"net_name": "fdensenet", "num_layers": 201, "per_batch_size": 64},
        "y1": {"net_name": "fmobilefacenet", "emb_size": 128, "net_output": "GDC"},
        "y2": {"net_name": "fmobilefacenet", **_MOBILE, "net_blocks": [2, 8, 16, 4]},
        "m1": {"net_name": "fmobilenet", **_MOBILE, "net_multiplier": 1.0},
        "m05": {"net_name": "fmobilenet", **_MOBILE, "net_multiplier": 0.5},
        "mnas": {"net_name": "fmnasnet", **_MOBILE, "net_multiplier": 1.0},
        "mnas05": {"net_name": "fmnasnet", **_MOBILE, "net_multiplier": 0.5},
        "mnas025": {"net_name": "fmnasnet", **_MOBILE, "net_multiplier": 0.25},
        "vargfacenet": {"net_name": "vargfacenet", "net_multiplier": 1.25, "emb_size": 512, "net_output": "J"}},
    "dataset": {
        "emore": {"dataset_path": "../datasets/faces_emore", "num_classes": 85742, **_SETS},
        "retina": {"dataset_path": "../datasets/ms1m-retinaface-t1", "num_classes": 93431, **_SETS}},
    "loss": {
        "softmax": {"loss_name": "softmax"},
        "nsoftmax": _MARGIN,
        "arcface": {**_MARGIN, "loss_m2": 0.5},
        "cosface": {**_MARGIN, "loss_m3": 0.35},
        "combined": {**_MARGIN, "loss_m2": 0.3, "loss_m3": 0.2},
        "subcenter": {**_MARGIN, "loss_m2": 0.5, "loss_K": 3},  # of recognition/subcenter_arcface's own sample_config
        "triplet": {"loss_name": "triplet", "triplet_alpha": 0.3, **_TRIPLETS},
        "atriplet": {"loss_name": "atriplet", "triplet_alpha": 0.35, **_TRIPLETS}},
    "default": {
        "network": "r100", "pretrained": "", "pretrained_epoch": 1, "dataset": "emore", "loss": "arcface",
        "frequent": 20, "verbose": 2000, "kvstore": "device", "end_epoch": 10000, "lr": 0.1, "wd": 0.0005, "mom": 0.9,
        "per_batch_size": 128, "ckpt": 3, "lr_steps": "100000,160000,220000", "models_root": "./models"},
}
# read and without effect here: what is saved is always the whole network, property says how many classes there are
_WITHOUT_EFFECT = {"num_classes", "dataset", "workspace", "ckpt_embedding", "count_flops", "memonger", "num_workers",
                   "densenet_dropout", "flip_noise_prob"}
# a value of each key, by which the kind of another is judged
_EXAMPLES = {**{key: value for section in ("network", "dataset", "loss") for row in TABLES[section].values()
                for key, value in row.items()}, **TABLES["config"], **TABLES["default"]}
KEYS = {*_EXAMPLES, *_WITHOUT_EFFECT}
_NOT_BUILT = {"fdensenet": "DenseNet", "fmnasnet": "MnasNet", "vargfacenet": "VarGFaceNet", "spherenet": "SphereNet"}
_LETTERS = {"fresnet": "r", "fmobilefacenet": "y", "fmobilenet": "m"}
_WITH_BOTTLENECKS = (101, 124, 152, 200, 269)
_BLOCKS = {(1, 4, 6, 2): 1, (2, 8, 16, 4): 2}
_OUTPUTS = {"FC": "I"}  # the same layers under the name train_softmax.py has for them: E without its Dropout


def read_tables(path=None):
    """Return the tables, with what a YAML file adds and changes.

    Parameters
    ----------
    path : str, optional
        A file with any of the `SECTIONS`: rows by name under ``network``, ``dataset`` and ``loss``, keys under
        ``default`` and ``config``. A row that is there keeps the keys the file does not name.

    Returns
    -------
    dict of str to dict

    Raises
    ------
    InputError
        No YAML, or a section or a key that is not known.

    Examples
    --------
    >>> read_tables()["network"]["m05"]["net_multiplier"]
    0.5
    """
    tables = copy.deepcopy(TABLES)
    for section, rows in (_read(path) if path else {}).items():
        if section in ("default", "config"):
            tables[section].update(_checked(rows, f"{path}, {section}"))
        else:
            for name, row in rows.items():
                row = _checked(row, f"{path}, {section} {name}")
                tables[section][str(name)] = {**tables[section].get(str(name), {}), **row}
    return tables


def _read(path):
    import yaml

    with open(require_file(path, "configuration"), encoding="utf-8") as f:
        try:
            found = yaml.safe_load(f) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            place = getattr(error, "problem_mark", None)
            raise InputError(f"configuration: expected YAML, received {path}"
                             + (f", which is none at line {place.line + 1}" if place else "")) from None
    sections = _mapping(found, path)
    for name in sections:
        if name not in SECTIONS:
            raise InputError(f"configuration: expected sections {', '.join(SECTIONS)}, received {name!r} in {path}; "
                             f"{nearest(str(name), SECTIONS)}")
    return {name: _mapping(rows or {}, f"{path}, {name}") for name, rows in sections.items()}


def _mapping(value, where):
    if not isinstance(value, dict):
        raise InputError(f"configuration: expected names with values, received {value!r} in {where}")
    return value


def _checked(row, where):
    for key, value in _mapping(row, where).items():
        if key not in KEYS:
            raise InputError(f"configuration: expected a key of sample_config.py, received {key!r} in {where}; "
                             f"{nearest(str(key), sorted(KEYS))}")
        example = _EXAMPLES.get(key)
        kind = (int, float, bool) if isinstance(example, (int, float)) else type(example)
        if example is not None and not isinstance(value, kind):
            raise InputError(f"configuration: expected {key} like {example!r}, received {key}={value!r} in {where}")
    return row


def settings_of(tables, network, loss, dataset):
    """Return (config, default) of three rows, as ``generate_config`` merges them: loss, network, then dataset.

    Parameters
    ----------
    tables : dict
        See `read_tables`.
    network, loss, dataset : str

    Raises
    ------
    InputError
        No row of that name.

    Examples
    --------
    >>> config, default = settings_of(read_tables(), "y1", "triplet", "emore")
    >>> config["emb_size"], default["lr"], default["per_batch_size"]
    (128, 0.05, 60)
    """
    config, default = dict(tables["config"]), dict(tables["default"])
    for section, name in (("loss", loss), ("network", network), ("dataset", dataset)):
        if name not in tables[section]:
            raise InputError(f"{section}: expected one of {', '.join(tables[section])}, received {section}={name!r}; "
                             f"{nearest(name, tables[section])}; --config FILE.yaml adds one under {section}:")
        config.update(tables[section][name])
        default.update({key: value for key, value in tables[section][name].items() if key in default})
    return config, default


def train_softmax_flags(config, network):
    """Return the flags of train_softmax that a configuration stands for, ``[(flag, value or None for a switch)]``.

    Parameters
    ----------
    config : dict
        See `settings_of`.
    network : str
        Name of the row, for messages.

    Raises
    ------
    InputError
        A network that is not built, or a loss that train_softmax has not.

    Examples
    --------
    >>> config, _ = settings_of(read_tables(), "m05", "cosface", "emore")
    >>> [flag for flag in train_softmax_flags(config, "m05") if flag[0] in ("--network", "--loss-type", "--margin-m")]
    [('--network', 'm1'), ('--loss-type', '2'), ('--margin-m', '0.35')]
    """
    if "dataset_path" not in config:
        raise InputError("dataset: expected a row with dataset_path, received none")
    height, width = config["image_shape"][:2]
    flags = [("--data-dir", config["dataset_path"]), ("--network", _network(config, network)),
             ("--image-size", f"{height},{width}"), ("--emb-size", config["emb_size"]),
             ("--version-se", config["net_se"]), ("--version-input", config["net_input"]),
             ("--version-output", _OUTPUTS.get(config["net_output"], config["net_output"])),
             ("--version-unit", config["net_unit"]),
             ("--version-multiplier", config["net_multiplier"]), ("--version-act", config["net_act"]),
             ("--bn-mom", config["bn_mom"]), *_loss(config), ("--max-steps", config["max_steps"]),
             ("--rand-mirror", int(config["data_rand_mirror"])), ("--cutoff", int(config["data_cutoff"])),
             ("--color", config["data_color"]), ("--images-filter", config["data_images_filter"])]
    if list(config["val_targets"]) != _SETS["val_targets"]:  # of these train_softmax takes those that are there
        flags.append(("--target", ",".join(config["val_targets"])))
    return [(flag, None if value is None else str(value)) for flag, value in flags]


def _network(config, name):
    """Return letter and depth of a row, refusing what is not built."""
    kind, depth = config.get("net_name"), config.get("num_layers")
    if kind not in _LETTERS:
        what = _NOT_BUILT.get(kind, kind)
        raise InputError(f"network: expected a face ResNet, MobileFaceNet or MobileNet, received network={name!r} "
                         f"({what}), which is not built here; one of r50 r100 y1 y2 m1 m05, or with a checkpoint of it "
                         "train_softmax --network pretrained, which takes the checkpoint's own graph")
    if kind == "fresnet":
        if depth in _WITH_BOTTLENECKS:
            raise InputError(f"network: expected a face ResNet without bottlenecks, as recognition/train.py builds "
                             f"them, received network={name!r} of {depth} layers, which is built here with, as the "
                             "older train_softmax.py did; 100, 134, 136, 140 or 160 layers, or train_softmax --network "
                             f"r{depth}")
        return f"r{depth}"
    if kind == "fmobilefacenet":
        blocks = tuple(config["net_blocks"])
        if blocks not in _BLOCKS:
            raise InputError(f"network: expected net_blocks {' or '.join(map(str, map(list, _BLOCKS)))}, received "
                             f"network={name!r} with {list(blocks)}")
        return f"y{_BLOCKS[blocks]}"
    return "m1"


def _loss(config):
    """Return the flags of a row's loss."""
    kind = config.get("loss_name")
    shared = [("--fc7-lr-mult", config["fc7_lr_mult"]), ("--fc7-wd-mult", config["fc7_wd_mult"])]
    ce_loss = [("--ce-loss", None)] if config["ce_loss"] else []
    if kind in ("triplet", "atriplet"):
        return [("--loss-type", 12 if kind == "triplet" else 13), ("--triplet-alpha", config["triplet_alpha"]),
                ("--triplet-bag-size", config["triplet_bag_size"]), ("--triplet-max-ap", config["triplet_max_ap"]),
                ("--images-per-identity", config["images_per_identity"])]
    if kind == "softmax":
        return [("--loss-type", 0), *([("--fc7-no-bias", None)] if config["fc7_no_bias"] else []), *shared, *ce_loss]
    if kind != "margin_softmax":
        raise InputError(f"loss: expected loss_name softmax, margin_softmax, triplet or atriplet, received "
                         f"loss_name={kind!r}")
    return [*_margin(*(config[f"loss_m{n}"] for n in (1, 2, 3)), config["loss_K"]), ("--margin-s", config["loss_s"]),
            *shared, *ce_loss]


def _margin(m1, m2, m3, subcenters):
    """Return the flags of s(cos(m1·θ + m2) - m3)."""
    if subcenters > 1:
        if (m1, m3) != (1, 0):
            raise InputError(f"loss: expected loss_m1 1 and loss_m3 0 with loss_K={subcenters}, as sub-centres have "
                             f"ArcFace's margin, received loss_m1={m1} loss_m3={m3}")
        return [("--loss-type", "subcenter-arcface"), ("--subcenters", subcenters), ("--margin-m", m2)]
    if (m1, m2) == (1, 0) and m3:
        return [("--loss-type", 2), ("--margin-m", m3)]
    if (m1, m3) == (1, 0):
        return [("--loss-type", 4), ("--margin-m", m2)]
    return [("--loss-type", 5), ("--margin-a", m1), ("--margin-m", m2), ("--margin-b", m3)]
