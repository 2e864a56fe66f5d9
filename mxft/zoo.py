"""Names to verified files in a cache: the ImageNet checkpoints and data sets of MXNet's tutorial and examples.

Follows example/image-classification/common/modelzoo.py (the symbol checkpoints and their names) and the model stores
of Gluon, mxnet/gluon/model_zoo/model_store.py and gluoncv/model_zoo/model_store.py (the sha1 of each file), both 1.x.
"""
import json
import os
import shutil
import struct
import sys
import zipfile

from mxft.download import FetchError, fetch, flaw
from mxft.errors import InputError, MxftError, nearest
from mxft.files import sha256, whole_file, write_json
from mxft.zoo_table import (
    DATASETS,
    GLUON_MIRRORS,
    GLUON_MODELS,
    HUB_MIRRORS,
    HUB_MODELS,
    MXNET_MIRRORS,
    SYMBOL_MODELS,
    Dataset,
    HubModel,
    SymbolModel,
)

MIRRORS_VARIABLE = "MXFT_MIRRORS"
_PARAMS_MAGIC = struct.pack("<Q", 0x112)
_RECORD_MAGIC = struct.pack("<I", 0xCED7230A)


def find(name):
    """Return the table's row for any name or alias; an unknown one is refused with the nearest names."""
    return _find(name, (*SYMBOL_MODELS, *GLUON_MODELS, *HUB_MODELS, *DATASETS), "name")


def find_model(name):
    """Return the table's row for a model name or alias; an unknown one is refused with the nearest names."""
    return _find(name, (*SYMBOL_MODELS, *GLUON_MODELS, *HUB_MODELS), "model")


def find_dataset(name):
    """Return the table's row for a data set name; an unknown one is refused with the nearest names."""
    return _find(name, DATASETS, "data set")


def _find(name, rows, what):
    names = {key: row for row in rows for key in (row.name, *getattr(row, "aliases", ()))}
    if name not in names:
        raise InputError(f"unknown {what}: expected a name of the zoo, received {name!r}; {nearest(name, names)}; "
                         "mxft fetch --list shows them all")
    return names[name]


def cache_folder(cache=None):
    """Return `cache`, or ``$MXNET_HOME/mxft``, or ``~/.mxnet/mxft``."""
    home = os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet")
    return os.path.abspath(os.path.expanduser(cache if cache else os.path.join(home, "mxft")))


def cached(name, cache=None):
    """Return what `get_model` or `get_dataset` would, if it is in the cache already; None where it is not."""
    row, folder = find(name), cache_folder(cache)
    if isinstance(row, Dataset):
        path = os.path.join(folder, "datasets", os.path.basename(row.location))
        return path if os.path.exists(path) else None
    if isinstance(row, SymbolModel):
        return f"{_prefix(row, folder)},{row.epoch}" if _is_cached(row, folder) else None
    return f"{_prefix(row, folder)},0" if os.path.exists(_prefix(row, folder) + "-0000.params") else None


def get_model(name, cache=None, progress=True, fallback=True):
    """Return ``"prefix,epoch"`` of a zoo model in the cache, fetching it the first time.

    Parameters
    ----------
    name : str
        As the examples call it (``imagenet1k-resnet-50``) or short (``resnet-50``). ``resnet-152`` is the tutorial's
        second network, ``imagenet11k-resnet-152``; the ImageNet-1k one is ``imagenet1k-resnet-152``.
    cache : str, optional
        Folder to keep files in, see `cache_folder`.
    progress : bool
        Show what is fetched. That a substitute or an ambiguous name was used is said in any case.
    fallback : bool
        When no mirror of a symbol ResNet answers, take a Gluon ResNet of the same depth, or torchvision's from the
        Hugging Face hub, imported into GluonCV's v1b layout, and say so.

    Returns
    -------
    str
        For `mxft.checkpoint.load_checkpoint`. A manifest with the input convention lies beside the files.

    Raises
    ------
    FetchError
        No mirror answered; every address is listed with its reason, and how to give local files.
    InputError
        The name is unknown, or a file in the cache is not the one it should be.

    Notes
    -----
    Base addresses or folders in ``$MXFT_MIRRORS`` (separated by commas) are asked first. What is cached is never
    asked for again, so it works without a network. The symbol checkpoints have no published hash: their structure is
    checked, and a third party's md5 is compared and told.

    Examples
    --------
    >>> get_model("resnet-50")   # doctest: +SKIP
    '/home/me/.mxnet/mxft/models/imagenet1k-resnet-50/resnet-50,0'
    """
    row, folder = find_model(name), cache_folder(cache)
    if name == "resnet-152":
        _say("resnet-152 is taken as in the tutorial: imagenet11k-resnet-152, trained on 11,221 classes; the "
             "ImageNet-1k network is imagenet1k-resnet-152")
    if not isinstance(row, SymbolModel):
        return _get_converted(row, folder, progress)
    substitute = _earlier_substitute(row, folder) if fallback else None
    if substitute and not _is_cached(row, folder):
        return substitute
    try:
        return _get_symbol(row, folder, progress)
    except FetchError as error:
        if not fallback or not row.substitutes:
            raise
        return _get_substitute(row, folder, progress, error)


def get_dataset(name, cache=None, progress=True):
    """Return the path of a zoo data set's verified file in the cache, fetching it the first time.

    Parameters
    ----------
    name : str
        ``caltech256`` (the archive of photographs), ``caltech-256-60-train.rec`` or ``caltech-256-60-val.rec``.
    cache : str, optional
        Folder to keep files in, see `cache_folder`.
    progress : bool
        Show what is fetched.

    Returns
    -------
    str
        Path of the file as published: an archive is not unpacked here, see `mxft.archive.extract_tar`.

    Raises
    ------
    FetchError, InputError
        As `get_model`.

    Examples
    --------
    >>> get_dataset("caltech256")   # doctest: +SKIP
    '/home/me/.mxnet/mxft/datasets/256_ObjectCategories.tar'
    """
    row = find_dataset(name)
    path = os.path.join(cache_folder(cache), "datasets", os.path.basename(row.location))
    local = f"give a local copy with {row.variable}=FOLDER-OR-TAR, or " if row.variable else ""
    return fetch([*_own_mirrors(row.location, os.path.basename(path)), *row.urls], path, size=row.size,
                 sha256=row.sha256, md5=row.md5, progress=progress,
                 check=_record_flaw if path.endswith(".rec") else None,
                 hint=f"{local}put the file at {path}, or name a mirror in {MIRRORS_VARIABLE}")


def _own_mirrors(*locations):
    """Return the addresses below the user's own bases, which may be laid out as the origin or flat."""
    bases = [base.strip() for base in os.environ.get(MIRRORS_VARIABLE, "").split(",") if base.strip()]
    return [base.rstrip("/") + "/" + location for base in bases for location in dict.fromkeys(locations)]


def _prefix(row, folder):
    return os.path.join(folder, "models", row.name, os.path.basename(row.stem))


def _files(row, prefix):
    return prefix + "-symbol.json", f"{prefix}-{row.epoch:04d}.params"


def _is_cached(row, folder):
    return all(os.path.exists(path) for path in _files(row, _prefix(row, folder)))


def _get_symbol(row, folder, progress):
    prefix = _prefix(row, folder)
    symbol, params = _files(row, prefix)
    hint = (f"give local files with MODEL=prefix,epoch (prefix-symbol.json and prefix-{row.epoch:04d}.params), or put "
            f"{os.path.basename(symbol)} and {os.path.basename(params)} into {os.path.dirname(prefix)}, or name a "
            f"mirror in {MIRRORS_VARIABLE}")
    for path, check, md5 in ((symbol, _symbol_flaw, row.md5[0]), (params, _params_flaw, row.md5[1])):
        ending = path[len(prefix):]
        urls = [*_own_mirrors("models/" + row.stem + ending, row.name + ending),
                *(base + "models/" + row.stem + ending for base in MXNET_MIRRORS)]
        is_new = not os.path.exists(path)
        fetch(urls, path, progress=progress, hint=hint, check=check)
        if is_new and md5 and flaw(path, hashes={"md5": md5}):
            _say(f"note: {os.path.basename(path)} is a file of the right kind, but not the one MLModelScope recorded "
                 f"in 2018: {flaw(path, hashes={'md5': md5})}")
    manifest = prefix + "-manifest.json"
    if not os.path.exists(manifest):
        write_json(manifest, {
            "input": {"size": 224, "resize": 256, "mean": list(row.mean), "scale": 1.0, "channel_order": "RGB"},
            "classes": None, "feature_layer": row.feature_layer, "parent": None, "source": f"MXNet zoo {row.name}"})
    return f"{prefix},{row.epoch}"


def _get_converted(row, folder, progress):
    """Return the checkpoint made of a Gluon store's or the hub's file: from the cache, or fetched and made now."""
    prefix = _prefix(row, folder)
    if not os.path.exists(prefix + "-0000.params"):
        make = _from_hub if isinstance(row, HubModel) else _from_gluon
        make(row, prefix, progress).save(prefix, 0)
    return f"{prefix},0"


def _from_gluon(row, prefix, progress):
    from mxft.backbones.gluon import checkpoint_from_gluon

    return checkpoint_from_gluon(row.model, _gluon_weights(row, prefix, progress), store=row.store, resize=256,
                                 source=f"{row.store} Gluon model store {row.stem}")


def _from_hub(row, prefix, progress):
    from mxft.importing import import_weights

    path, location = prefix + ".safetensors", f"timm/{row.name}/resolve/main/model.safetensors"
    endpoint = os.environ.get("HF_ENDPOINT")
    bases = ((endpoint.rstrip("/") + "/",) if endpoint else ()) + HUB_MIRRORS
    fetch([*_own_mirrors(location, row.name + ".safetensors"), *(base + location for base in bases)], path,
          progress=progress, check=_safetensors_flaw,
          hint=f"give a local checkpoint with MODEL=prefix,epoch, or put {row.name}'s model.safetensors at {path}, or "
               f"name a mirror in {MIRRORS_VARIABLE}")
    checkpoint = import_weights("timm", path, row.name)
    checkpoint.manifest["source"] = f"Hugging Face hub timm/{row.name}, model.safetensors sha256 {sha256(path)}"
    os.unlink(path)
    return checkpoint


def _gluon_weights(row, prefix, progress):
    """Return the path of the store's ``.params``, its sha1 verified."""
    home = os.path.expanduser(os.environ.get("MXNET_HOME") or os.path.join("~", ".mxnet"))
    theirs = os.path.join(home, "models", row.stem + ".params")
    if os.path.isfile(theirs) and not flaw(theirs, hashes={"sha1": row.sha1}):
        return theirs
    path = prefix + ".gluon.params"
    if os.path.isfile(path) and not flaw(path, hashes={"sha1": row.sha1}):
        return path
    location = f"gluon/models/{row.stem}.zip"
    repository = os.environ.get("MXNET_GLUON_REPO")
    bases = ((repository.rstrip("/") + "/",) if repository else ()) + GLUON_MIRRORS
    urls = [*_own_mirrors(location, row.stem + ".zip"), *(base + location for base in bases)]
    hint = (f"give a local checkpoint with MODEL=prefix,epoch, or put {row.stem}.params (sha1 {row.sha1}) at {path}, "
            f"or name a mirror in {MIRRORS_VARIABLE}")
    packed = fetch(urls, prefix + ".zip", progress=progress, check=lambda zipped: _zip_flaw(zipped, row), hint=hint)
    with zipfile.ZipFile(packed) as archive, archive.open(row.stem + ".params") as source, whole_file(path) as out:
        shutil.copyfileobj(source, out, 1 << 20)
    os.unlink(packed)
    wrong = flaw(path, hashes={"sha1": row.sha1})
    if wrong:
        os.unlink(path)
        raise FetchError(row.stem + ".params", [(row.stem + ".zip", f"{wrong}; it was thrown away")], hint)
    return path


def _substitute_note(row, folder):
    return os.path.join(folder, "models", row.name, "substitute.json")


def _earlier_substitute(row, folder):
    """Return the substitute an earlier call settled for, if it is still there."""
    try:
        with open(_substitute_note(row, folder), encoding="utf-8") as f:
            other = find_model(json.load(f)["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    prefix = _prefix(other, folder)
    if not os.path.exists(prefix + "-0000.params"):
        return None
    _say(_substitute_message(row, other) + f" (as on an earlier run; mxft fetch {row.name} --no-fallback asks for "
         "the original again)")
    return f"{prefix},0"


def _get_substitute(row, folder, progress, error):
    tried = list(error.tried)
    for name in row.substitutes:
        other = find_model(name)
        try:
            model = _get_converted(other, folder, progress)
        except FetchError as refused:
            tried += refused.tried
        except MxftError as refused:
            tried.append((name, str(refused)))
        else:
            write_json(_substitute_note(row, folder), {"name": name})
            _say(_substitute_message(row, other))
            return model
    raise FetchError(f"{row.name}, nor {' or '.join(row.substitutes)} in its place", tried, error.hint)


def _substitute_message(row, other):
    def score(model):
        return f"top-1 {model.top1:.4f}" if model.top1 else "top-1 unpublished"
    classes = f" on {row.classes:,} classes" if row.classes != 1000 else ""
    return (f"{row.name}: no mirror gave it; using other weights instead: {other.name} of the {other.origin} "
            f"({score(other)}, the original {score(row)}{classes}), input (RGB - 123.675, 116.28, 103.53) / 58.395, "
            "57.12, 57.375")


def _symbol_flaw(path):
    try:
        with open(path, encoding="utf-8") as f:
            return None if "nodes" in json.load(f) else "expected an MXNet symbol, received JSON without 'nodes'"
    except (ValueError, TypeError):
        return "expected an MXNet symbol in JSON, received something else or a part of one"


def _params_flaw(path):
    return _magic_flaw(path, _PARAMS_MAGIC, "an MXNet parameter file")


def _safetensors_flaw(path):
    with open(path, "rb") as f:
        start = f.read(8)
        length = int.from_bytes(start, "little")
        header = f.read(length) if 2 <= length < os.path.getsize(path) else b""
    try:
        end = max(entry["data_offsets"][1] for name, entry in json.loads(header).items() if name != "__metadata__")
    except (ValueError, TypeError, KeyError, IndexError):
        return f"expected safetensors, received a file beginning {start!r}"
    size = os.path.getsize(path)
    return None if size == 8 + length + end else f"expected {8 + length + end:,} bytes, received {size:,}"


def _record_flaw(path):
    return _magic_flaw(path, _RECORD_MAGIC, "MXNet records")


def _magic_flaw(path, magic, what):
    with open(path, "rb") as f:
        start = f.read(len(magic))
    return None if start == magic else f"expected {what} (beginning {magic!r}), received one beginning {start!r}"


def _zip_flaw(path, row):
    member = row.stem + ".params"
    try:
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo(member)
            return None if entry.file_size < 1 << 30 else f"{member} inside it is larger than a gigabyte"
    except (zipfile.BadZipFile, KeyError):
        return f"expected a zip with {member} in it, received something else"


def _say(text):
    print(text, file=sys.stderr)
