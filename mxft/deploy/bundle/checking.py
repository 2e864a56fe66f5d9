"""Whether a bundle is what was written: its hashes, its parts, and the classes its self-test picture gets."""
import dataclasses
import json
import os
import re

import numpy as np

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.deploy.bundle import FORMAT, NAME, ONNX, SELFTEST, SELFTEST_IMAGE, SIGNATURE, SYNSET
from mxft.deploy.bundle.selftest import disagreements, largest_difference, require_bounds
from mxft.deploy.bundle.signing import check_signature
from mxft.deploy.bundle.sums import check_sums
from mxft.errors import InputError, last_line
from mxft.evaluation.classifier import Classifier
from mxft.files.whole import require_file
from mxft.machine.packages import require_package
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


def check_bundle(folder, rewrite=True, with_onnx=False, key=None):
    """Hold a bundle against its own sums and self-test.

    Parameters
    ----------
    folder : str
    rewrite : bool
        As of `mxft.inference.executor.InferenceExecutor`.
    with_onnx : bool
        Run the self-test with ONNX Runtime too, where the bundle has a ``model.onnx``.
    key : optional
        Of `mxft.deploy.bundle.signing.load_public_key`: the bundle has to be signed by it.

    Returns
    -------
    Check

    Raises
    ------
    InputError
        It is not signed by `key`; a file is missing, added or changed; a part cannot be read; the self-test gives other
        classes: the first line that differs is told.
    """
    if key is not None:
        check_signature(folder, key)
    files = check_sums(folder)
    signature, expected = _facts(folder, SIGNATURE, ("name",)), _facts(folder, SELFTEST, ("top",))
    if signature.get("format") != FORMAT:
        raise InputError(f"bundle: expected format {FORMAT}, received {signature.get('format')!r}; it is one of "
                         "another mxft")
    if not re.fullmatch(NAME, str(signature["name"])):
        raise InputError(f"bundle: expected letters, digits, '.', '-' and '_' as its name, received "
                         f"name={signature['name']!r}")
    classifier = _classifier(folder, signature)
    bound = classifier.in_float32().bind(rewrite)
    try:
        picture = read_image(os.path.join(folder, SELFTEST_IMAGE))
        (answer, *_), _ = bound.answers(picture)
        apart = {"MXNet": _compare(expected, answer.shown, classifier.classes, "MXNet")}
        if with_onnx and _has_onnx(folder, signature):
            values = _through_onnx(os.path.join(folder, ONNX), bound.read(picture)[0], signature)
            apart["ONNX Runtime"] = _compare(expected, answer.output.shown(values)[0], classifier.classes,
                                             "ONNX Runtime")
    except BadImage as error:
        raise InputError(f"self-test: expected a picture, received {SELFTEST_IMAGE}: {error}") from None
    return Check(classifier, signature, expected, apart["MXNet"], apart.get("ONNX Runtime"), files)


def _has_onnx(folder, signature):
    """Whether a bundle has a ``model.onnx``; its signature and its files have to agree on that."""
    told, there = isinstance(signature.get("onnx"), dict), os.path.isfile(os.path.join(folder, ONNX))
    if told != there:
        raise InputError(f"bundle: expected {ONNX} and onnx in {SIGNATURE}, or neither, received "
                         f"{ONNX if there else 'onnx in ' + SIGNATURE} alone")
    return there


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
        require_bounds(expected, classes)
        lines, apart = disagreements(expected, numbers, classes), largest_difference(expected, numbers)
    except ValueError as error:
        raise InputError(f"bundle: expected of {SELFTEST} {error}") from None
    except (LookupError, TypeError, ArithmeticError, AttributeError) as error:
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
    onnxruntime = require_package("onnxruntime", f"checking {ONNX}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    own = signature["onnx"]
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        values, = session.run([own["output"]], {own["input"]: np.ascontiguousarray(pixels)})
        return np.asarray(values, np.float32).reshape(1, -1)
    except Exception as error:  # ONNX Runtime's are of many kinds
        raise InputError(f"bundle: expected a {ONNX} that ONNX Runtime computes, received {last_line(error)}"
                         ) from None
