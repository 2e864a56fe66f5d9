"""A checkpoint's manifest, checked against the form mxft gives it: it may come from anywhere, and be damaged."""
import dataclasses
import json
import math
import os

from mxft.errors import InputError
from mxft.files.checked_json import CHECKSUM, read_checked, write_checked
from mxft.files.whole import read_object
from mxft.network.calibration import METRIC, is_calibration
from mxft.network.image_options import ImageOptions
from mxft.network.input_spec import InputSpec
from mxft.network.saved_hashes import ENTRY, SavedHashes, advice_to_accept

PORTABLE = ("packing", "classes", "embedding", "target", "head", "thresholds")
METADATA = "mxft"  # under which another format's file keeps `portable_facts`
_UNREADABLE = "restore it from a copy, or move it away and give its facts by flags"
_FACTS = ("input", "packing", "head", "network", "parent", "data", "metrics", "versions")


def manifest_path(prefix):
    """Return ``prefix-manifest.json``."""
    return prefix + "-manifest.json"


def load_manifest(prefix):
    """Return the manifest beside `prefix`, or ``{}`` where there is none.

    Raises
    ------
    InputError
        It is no JSON object, one of its entries has another form than mxft writes, or it was changed after mxft wrote
        it. The ``input`` is checked where it is used, by `mxft.network.input_spec.InputSpec`: what needs none, works
        without.
    """
    return read_manifest(prefix)[0]


def read_manifest(prefix, changed=False):
    """Return ``(manifest, SavedHashes)``: what `load_manifest` does, and what is known of the files beside it.

    Parameters
    ----------
    prefix : str
    changed : bool
        Accept a content that its checksum was not made of.
    """
    path = manifest_path(prefix)
    if not os.path.exists(path):
        return {}, SavedHashes()
    manifest = (read_object(path, "manifest", _UNREADABLE) if changed else
                read_checked(path, "manifest", (ENTRY,), lambda: f"restore it from a copy{advice_to_accept(prefix)}",
                             _UNREADABLE))
    manifest.pop(CHECKSUM, None)
    for entry, expected in _wrong(manifest):
        raise InputError(f"manifest cannot be read: expected {expected} as {entry}, received {path} with "
                         f"{entry}={_short(manifest[entry])}; correct it, or move it away and give its facts by flags")
    hashes = manifest.pop(ENTRY, None)
    return manifest, SavedHashes.from_entry(hashes) if hashes else SavedHashes()


def write_manifest(prefix, manifest, hashes=None, coming=None):
    """Write the manifest beside `prefix`, with a checksum.

    Parameters
    ----------
    prefix : str
    manifest : dict
        What `load_manifest` is to return.
    hashes : SavedHashes, optional
        Of the files beside it; those that stand in the manifest already when None. Epochs whose file was removed are
        left out.
    coming : int or str, optional
        An epoch whose file is about to appear.
    """
    hashes = (known_hashes(prefix) if hashes is None else hashes).still_there(prefix, coming).to_entry()
    write_checked(manifest_path(prefix), {**manifest, **({ENTRY: hashes} if hashes else {})})


def known_hashes(prefix):
    """Return the SavedHashes of the manifest beside `prefix`; none where it cannot be read."""
    try:
        return read_manifest(prefix, changed=True)[1]
    except InputError:
        return SavedHashes()


def portable_facts(manifest, spec, kind=None, thresholds=None):
    """Return, as JSON text, the facts of a manifest that hold for the network in another format too.

    Parameters
    ----------
    manifest : dict
    spec : mxft.network.input_spec.InputSpec
        What the network takes, by manifest or by flags.
    kind : str, optional
        What the main output is: of values nothing in another format's graph tells.
    thresholds : sequence of float, optional
        From which probability on each of several labels is said.

    Returns
    -------
    str
        ``input``, and those of `PORTABLE` that the manifest has.
    """
    kept = {name: manifest[name] for name in PORTABLE if manifest.get(name)}
    if kind == "values":
        kept["head"] = {"loss": kind}
    if thresholds:
        kept["thresholds"] = list(thresholds)
    return json.dumps({"input": spec.to_dict(), **kept}, ensure_ascii=True)


def read_portable_facts(text, source):
    """Read what `portable_facts` wrote, which may have been altered since.

    Parameters
    ----------
    text : str
    source : str
        The file it stands in, for the message.

    Returns
    -------
    dict
        In the form of a manifest.

    Raises
    ------
    InputError
        It is no JSON object, or an entry has another form than mxft writes.
    """
    try:
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError(f"received {type(facts).__name__}")
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: expected a JSON object as mxft's facts in it, received another text ({error})"
                         ) from None
    for entry, expected in _wrong(facts):
        raise InputError(f"{source}: expected {expected} as {entry} among mxft's facts in it, received "
                         f"{entry}={_short(facts[entry])}")
    if facts.get("input"):
        InputSpec.from_dict(facts["input"])
    return {name: facts[name] for name in ("input", *PORTABLE) if facts.get(name)}


def _wrong(manifest):
    """Yield (entry, what it should be) of the entries that are not."""
    for entry in manifest:
        if any(end in text for text in _texts(manifest[entry]) for end in "\r\n"):
            yield entry, "text of one line each"
    classes = manifest.get("classes")
    if classes is not None and not (isinstance(classes, list) and all(isinstance(name, str) for name in classes)):
        yield "classes", "a list of names"
    thresholds = manifest.get("thresholds")
    if thresholds is not None and not (isinstance(thresholds, list) and all(map(_is_number, thresholds))):
        yield "thresholds", "a list of numbers"
    if not isinstance(manifest.get("embedding"), (str, type(None))):
        yield "embedding", "the name of a layer"
    for entry in _FACTS:
        if entry in manifest and not isinstance(manifest[entry], (dict, type(None))):
            yield entry, "an object"
    metrics = manifest.get("metrics")
    if isinstance(metrics, dict) and not all(isinstance(facts, dict) for facts in metrics.values()):
        yield "metrics", "an object of metrics for each epoch"
    elif isinstance(metrics, dict) and not all(is_calibration(facts[METRIC]) for facts in metrics.values()
                                               if METRIC in facts):
        yield "metrics", f"a temperature from 0.001 to 1000 with its figures as the {METRIC} of an epoch"
    data = manifest.get("data")
    if isinstance(data, dict) and not all(isinstance(facts, (dict, type(None))) for facts in data.values()):
        yield "data", "an object of facts for each record file"
    if isinstance(manifest.get("packing"), dict) and not _packs(manifest["packing"]):
        yield "packing", "im2rec's options"
    if manifest.get(ENTRY) is not None and not _are_hashes(manifest[ENTRY]):
        yield ENTRY, "the hashes of the saved epochs"


def _are_hashes(entry):
    try:
        SavedHashes.from_entry(entry)
        return True
    except ValueError:
        return False


def _is_number(value):
    return isinstance(value, (int, float)) and math.isfinite(value)


def _texts(value):
    """Yield every text of a JSON value, keys included."""
    todo = [value]
    while todo:
        found = todo.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            todo += [*found, *found.values()]
        elif isinstance(found, list):
            todo += found


def _packs(packing):
    """Whether ImageOptions takes these; `color` and `encoding` are checked there, of numbers the type is here."""
    fields = {field.name: field.type for field in dataclasses.fields(ImageOptions)}
    for name, value in packing.items():
        if name not in fields or (fields[name] in (int, bool) and not _whole(value)):
            return False
    try:
        ImageOptions(**packing)
        return packing.get("resize", 0) < 1 << 16
    except (InputError, TypeError):
        return False


def _whole(value):
    return isinstance(value, (int, bool)) and math.isfinite(value)


def _short(value, most=60):
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= most else text[:most] + " …"
