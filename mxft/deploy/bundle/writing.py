"""Write a serving bundle, prove it on its own self-test, and only then let it appear."""
import dataclasses
import os
import re

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.deploy.bundle import ONNX, README, SELFTEST, SELFTEST_IMAGE, SIGNATURE, SYNSET
from mxft.deploy.bundle.checking import Check, check_bundle
from mxft.deploy.bundle.readme import readme
from mxft.deploy.bundle.selftest import expectation, picture_of_run, selftest_picture
from mxft.deploy.bundle.signature import signature_of
from mxft.deploy.bundle.signing import sign_sums
from mxft.deploy.bundle.sums import write_sums
from mxft.deploy.onnx import export_onnx
from mxft.errors import InputError, RunError
from mxft.evaluation.novelty_file import load_reference, save_reference
from mxft.files.archive import write_tar
from mxft.files.staging import staging_folder
from mxft.files.whole import require_folder, whole_file, whole_path, write_json
from mxft.network.checkpoint import Checkpoint, parse_model


@dataclasses.dataclass(frozen=True)
class Bundle:
    """What `write_bundle` wrote.

    Parameters
    ----------
    path : str
    files : dict of str to int
        Names and sizes in bytes.
    check : mxft.deploy.bundle.checking.Check
        What came of it when it was read back.
    """

    path: str
    files: dict
    check: Check


def write_bundle(classifier, output, image=None, onnx=True, rewrite=True, key=None):
    """Write a bundle as a folder or, where `output` ends in ``.tar``, as an archive of one.

    Parameters
    ----------
    classifier : mxft.evaluation.classifier.Classifier
    output : str
        A name that is free.
    image : str, optional
        The self-test picture; one of the run's validation pictures when None.
    onnx : bool
        Whether ``model.onnx`` is written.
    rewrite : bool
        As of `mxft.inference.executor.InferenceExecutor`.
    key : optional
        Of `mxft.deploy.bundle.signing.load_private_key`: what to sign it with.

    Returns
    -------
    Bundle

    Raises
    ------
    InputError
        The name is taken; there is no self-test picture; the network cannot be exported.
    RunError
        MXNet or ONNX Runtime computes something else from what was written. Nothing is left behind.

    Notes
    -----
    The same model and picture give the same bytes on one machine, the archive included. The temperature of a
    calibrated checkpoint is written into the graph, so that its programs give what its page does.

    Examples
    --------
    >>> write_bundle(classifier, "photos.tar").check.mxnet < 1e-5             # doctest: +SKIP
    True
    """
    require_free_output(output)
    _require_names(classifier.classes)
    classifier = classifier.with_temperature()
    require_folder(os.path.dirname(os.path.abspath(output)))
    bound = classifier.in_float32().bind(rewrite)
    picture = _picture(image, classifier, bound)

    def fill(folder):
        _write_files(classifier, folder, picture, bound, onnx)
        write_sums(folder)
        if key is not None:
            sign_sums(folder, key)
        check = _check(folder, rewrite, onnx, key)
        files = {name: os.path.getsize(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
        return Bundle(output, files, check)

    if not output.endswith(".tar"):
        with staging_folder(output) as staging:
            bundle = fill(staging)
            _rename(staging, output)
        return bundle
    # The staging folder goes before the archive appears: once that stands, no retry would come to sweep it.
    with whole_path(output) as temporary, staging_folder(output) as staging:
        folder = os.path.join(staging, classifier.name)
        os.mkdir(folder)
        bundle = fill(folder)
        write_tar(folder, temporary)
    return bundle


def _check(folder, rewrite, onnx, key):
    """Read the bundle back, as its reader will."""
    try:
        return check_bundle(folder, rewrite, onnx, key.public_key() if key is not None else None)
    except InputError as error:
        raise RunError(f"bundle is not kept: {error.message}") from None


def require_free_output(output):
    """Refuse (InputError) the name of a bundle that exists already, and endings that promise another format."""
    if os.path.lexists(output):
        raise InputError(f"output: expected a name that is free, received {output!r}; choose another or remove it")
    if re.search(r"\.(tgz|tar\.\w+|zip)$", output):
        raise InputError(f"output: expected a folder's name or one ending in .tar, received {output!r}")


def _require_names(classes):
    broken = [name for name in classes if not str(name).strip() or len(str(name).splitlines()) != 1]
    if broken:
        raise InputError(f"class names: expected one line of text for each, received {broken[0]!r}; `synset` gives "
                         "others")


def _picture(image, classifier, bound):
    if not image:
        prefix, _ = parse_model(classifier.checkpoint.name)
        return picture_of_run(os.path.dirname(prefix) or ".", classifier.checkpoint.manifest, bound)
    try:
        return selftest_picture(read_image(image))
    except BadImage as error:
        raise InputError(f"self-test picture: expected an image, received {image!r}: {error}") from None


def _write_files(classifier, folder, picture, bound, onnx):
    """Write all files but the sums."""
    checkpoint, metrics = classifier.checkpoint, classifier.metrics
    manifest = {**checkpoint.manifest, "classes": classifier.classes, "input": classifier.spec.to_dict(),
                "packing": classifier.packing, "metrics": {"0": metrics} if metrics else {}}
    Checkpoint(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, manifest).save(
        os.path.join(folder, "model"), 0)
    reference = load_reference(checkpoint)
    if reference:
        save_reference(reference, os.path.join(folder, "model") + ",0")
    with whole_file(os.path.join(folder, SELFTEST_IMAGE)) as f:
        f.write(picture)
    (answer, *_), _ = bound.answers(picture)
    write_json(os.path.join(folder, SELFTEST), expectation(answer, classifier.classes))
    export = _export(classifier, os.path.join(folder, ONNX), bound.read(picture)[0]) if onnx else None
    write_json(os.path.join(folder, SIGNATURE), signature_of(classifier, export))
    for name, text in ((SYNSET, "".join(f"{name}\n" for name in classifier.classes)),
                       (README, readme(classifier, export, reference is not None))):
        with whole_file(os.path.join(folder, name), "w") as f:
            f.write(text)


def _export(classifier, path, probe):
    try:
        return export_onnx(classifier.checkpoint, path, classifier.spec.shape, probe, spec=classifier.spec)
    except (InputError, RunError) as error:
        raise type(error)(f"{error.message}; or `no_onnx` for a bundle without model.onnx") from None


def _rename(folder, output):
    os.chmod(folder, 0o755)
    try:
        os.rename(folder, output)
    except OSError as error:
        raise InputError(f"output: expected a name that is free, received {output!r} ({error.strerror.lower()})"
                         ) from None
