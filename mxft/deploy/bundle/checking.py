"""Whether a bundle is what was written: its hashes, its parts, and the classes its self-test picture gets."""
import contextlib
import dataclasses
import json
import os
import re
import tarfile
import tempfile

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.deploy.bundle import FORMAT, NAME, ONNX, SELFTEST, SELFTEST_IMAGE, SIGNATURE, SUMS, SYNSET
from mxft.deploy.bundle.selftest import disagreements, largest_difference
from mxft.errors import InputError, nearest
from mxft.evaluation.classifier import Classifier
from mxft.files.archive import extract_tar, only_child
from mxft.files.whole import require_file, sha256, whole_file
from mxft.network.checkpoint import load_checkpoint
from mxft.network.image_options import ImageOptions


@dataclasses.dataclass(frozen=True)
class Check:
    """What `check_bundle` found.

    Parameters
    ----------
    classifier : mxft.evaluation.classifier.Classifier
    signature, expected : dict
        ``signature.json`` and ``selftest.json``.
    mxnet, onnx : float or None
        Largest difference from the expected numbers; None where it was not computed.
    files : int
        That agree with SHA256SUMS.
    """

    classifier: Classifier
    signature: dict
    expected: dict
    mxnet: float
    onnx: float
    files: int


def is_bundle(path):
    """Whether `path` is a file, which can only be a bundle's .tar, or a folder with a bundle's files in it."""
    return os.path.isfile(path) or any(os.path.isfile(os.path.join(path, name)) for name in (SIGNATURE, SUMS))


@contextlib.contextmanager
def opened_bundle(path):
    """Yield the folder of a bundle; a .tar is unpacked into a temporary one, after its members were looked at."""
    if not os.path.isfile(path):
        yield path
        return
    if not (tarfile.is_tarfile(path) or os.fspath(path).endswith(".tar")):
        raise InputError(f"model cannot be opened: expected a folder, PREFIX,EPOCH, or the .tar of a bundle, received "
                         f"model={os.fspath(path)!r}, a file that is no tar archive")
    with tempfile.TemporaryDirectory(prefix="mxft-bundle-") as folder:
        yield only_child(extract_tar(path, os.path.join(folder, "bundle"), progress=False))


def check_bundle(folder, rewrite=True, with_onnx=False):
    """Hold a bundle against its own sums and self-test.

    Parameters
    ----------
    folder : str
    rewrite : bool
        As of `mxft.inference.executor.InferenceExecutor`.
    with_onnx : bool
        Run the self-test with ONNX Runtime too.

    Returns
    -------
    Check

    Raises
    ------
    InputError
        A file is missing, added or changed; a part cannot be read; the self-test gives other classes: the first line
        that differs is told.
    """
    files = check_sums(folder)
    signature, expected = _facts(folder, SIGNATURE, ("name",)), _facts(folder, SELFTEST, ("top",))
    if signature.get("format") != FORMAT:
        raise InputError(f"bundle: expected format {FORMAT}, received {signature.get('format')!r}; it is one of "
                         "another mxft")
    if not re.fullmatch(NAME, str(signature["name"])):
        raise InputError(f"bundle: expected letters, digits, '.', '-' and '_' as its name, received "
                         f"name={signature['name']!r}")
    classifier = _classifier(folder, signature)
    bound = classifier.bind(rewrite)
    try:
        picture = read_image(os.path.join(folder, SELFTEST_IMAGE))
        (answer, *_), _ = bound.answers(picture)
        apart = {"MXNet": _compare(expected, answer.shown, classifier.classes, "MXNet")}
        if with_onnx:
            values = _through_onnx(os.path.join(folder, ONNX), bound.read(picture)[0], signature)
            apart["ONNX Runtime"] = _compare(expected, answer.output.shown(values)[0], classifier.classes,
                                             "ONNX Runtime")
    except BadImage as error:
        raise InputError(f"self-test: expected a picture, received {SELFTEST_IMAGE}: {error}") from None
    return Check(classifier, signature, expected, apart["MXNet"], apart.get("ONNX Runtime"), files)


def write_sums(folder):
    """Write SHA256SUMS of all files in a folder, as ``sha256sum -c`` reads them."""
    names = sorted(os.listdir(folder))
    with whole_file(os.path.join(folder, SUMS), "w") as f:
        f.write("".join(f"{sha256(os.path.join(folder, name))}  {name}\n" for name in names))


def check_sums(folder):
    """Refuse (InputError) a bundle with a file that is missing, added or changed; return how many there are."""
    path = require_file(os.path.join(folder, SUMS), "list of hashes")
    with open(path, encoding="utf-8", errors="replace") as f:
        rows = [re.fullmatch(r"([0-9a-f]{64}) [ *]([^/\\\0]+)", line.rstrip("\n")) for line in f]
    if not rows or None in rows:
        raise InputError(f"{SUMS}: expected a hash and a file name in every line, received line "
                         f"{rows.index(None) + 1 if rows else 0} of {path}")
    listed = {row.group(2): row.group(1) for row in rows}
    present = set(os.listdir(folder)) - {SUMS}
    for name in sorted(listed):
        if not os.path.isfile(os.path.join(folder, name)):
            raise InputError(f"bundle: expected the file {name}, which {SUMS} lists, received none; "
                             f"{nearest(name, sorted(present))}; copy the bundle again")
        received = sha256(os.path.join(folder, name))
        if received != listed[name]:
            raise InputError(f"bundle: expected sha256 {listed[name][:12]} of {name}, received {received[:12]}: it was "
                             "changed or is damaged; copy the bundle again")
    added = sorted(present - set(listed))
    if added:
        raise InputError(f"bundle: expected only files that {SUMS} lists, received {added[0]!r} beside them")
    return len(listed)


def _facts(folder, name, keys):
    try:
        with open(os.path.join(folder, name), encoding="utf-8") as f:
            facts = json.load(f)
        missing = [key for key in keys if key not in facts]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"bundle: expected JSON in {name}, received {error}") from None
    if missing or not isinstance(facts, dict):
        raise InputError(f"bundle: expected {', '.join(keys)} in {name}, received none of {', '.join(missing) or name}")
    return facts


def _classifier(folder, signature):
    """Return the bundle's Classifier, its manifest and synset.txt checked against each other."""
    checkpoint = load_checkpoint(os.path.join(folder, "model") + ",0")
    spec, packing = checkpoint.input_spec, checkpoint.manifest.get("packing")
    with open(require_file(os.path.join(folder, SYNSET), "class names"), encoding="utf-8") as f:
        classes = f.read().splitlines()
    if spec is None or not isinstance(packing, dict) or checkpoint.classes != classes:
        raise InputError(f"bundle: expected input, packing and the classes of {SYNSET} in model-manifest.json, "
                         f"received {'other classes' if spec and packing else 'a manifest without them'}")
    try:
        ImageOptions(**packing)
    except TypeError as error:
        raise InputError(f"bundle: expected im2rec's options as packing in model-manifest.json, received "
                         f"packing={packing!r} ({error})") from None
    return Classifier(checkpoint, spec, packing, classes, str(signature["name"]))


def _compare(expected, numbers, classes, runtime):
    """Return the largest difference, or refuse with the first line that differs."""
    if len(numbers) != len(classes):
        raise InputError(f"bundle: expected {len(classes)} numbers, one for each class, received {len(numbers)} of "
                         f"{runtime}")
    try:
        lines, apart = disagreements(expected, numbers, classes), largest_difference(expected, numbers)
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise InputError(f"bundle: expected class, label and probability in {SELFTEST}, received {error!r}") from None
    if lines:
        much = (f"a factor of {expected['factor']:g}" if "factor" in expected
                else f"{expected['tolerance']:g} of the largest value")
        what = "classes" if "factor" in expected else "values"
        raise InputError(f"self-test with {runtime} gives other {what}: {lines[0]}; {len(lines)} of the "
                         f"{len(expected['top'])} differ by more than {much}")
    return apart


def _through_onnx(path, pixels, signature):
    """Return ONNX Runtime's main output for one preprocessed picture, float32 ``(1, K)``."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    values, = session.run([signature["onnx"]["output"]], {signature["onnx"]["input"]: np.ascontiguousarray(pixels)})
    return values.reshape(1, -1)
