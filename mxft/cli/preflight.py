"""Checks a verb makes before it trains or packs: what they refuse costs a second and leaves nothing behind."""
import os
import sys
import tempfile

from mxft.errors import InputError

LOOKED_AT = 64  # records, the first of a file, whose image is decoded


def join_workers(kvstore):
    """Join the workers of a ``dist_`` kvstore and return them; all but the first fall silent on standard output.

    Every worker has checked by then what it can check by itself; what only one may do, rank 0 does afterwards.
    """
    from mxft.distributed.workers import join

    workers = join(kvstore)
    if not workers.writes:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    return workers


def check_run_folder(run, resume=""):
    """Refuse a run folder that is used, is no folder, or cannot be written to; nothing is left of the attempt.

    Parameters
    ----------
    run : str
    resume : {"", "auto", "must"}
        With one of the latter, a folder that has a state to go on with is used rightly.

    Raises
    ------
    InputError
        The message names a folder that is free.
    """
    from mxft.training.run import require_free

    if not (resume and os.path.exists(os.path.join(run, "state"))):
        require_free(run)
    check_writable(run, "run folder")


def check_writable(folder, what):
    """Refuse `folder` where it, or the nearest folder above it that exists, does not take a new entry."""
    place = os.path.abspath(folder)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".mxft-", dir=place))
    except OSError as error:
        raise InputError(f"{what}: expected a folder that can be written to, received {folder!r} "
                         f"({(error.strerror or str(error)).lower()} in {place})") from None


def event_folder(asked, default, resume=""):
    """Return the folder for TensorBoard's event files, None where none were asked for.

    Parameters
    ----------
    asked : str or None
        Of ``--tensorboard``: empty without a folder behind it.
    default : str
    resume : str
        The run goes on: its events go on in a further file there.

    Raises
    ------
    InputError
        The package is missing, the folder cannot be written to, or a run wrote there before: TensorBoard draws the
        files of one folder as one run.
    """
    if asked is None:
        return None
    from mxft.machine.packages import require_package

    require_package("tensorboardX", "--tensorboard", extra="tensorboard")
    folder = asked or default
    check_writable(folder, "--tensorboard")
    if not resume and os.path.isdir(folder) and any(".tfevents." in name for name in os.listdir(folder)):
        raise InputError(f"--tensorboard: expected a folder without event files, received {folder!r} with those of "
                         f"another run; try --tensorboard {os.path.join(folder, 'run-2')}")
    return folder


def check_fits(checkpoint, spec):
    """Refuse a checkpoint whose parameters are not complete or do not fit its network at this image shape."""
    from mxft.network.transfer import match_parameters

    report, _, _ = match_parameters(checkpoint.symbol, checkpoint.arg_params, checkpoint.aux_params, spec.shape)
    report.require_only_new(())


def check_kept_head(checkpoint, spec, folder, exclude=(), keep_clutter=False):
    """Refuse, before `folder` is packed, a checkpoint whose classifier has another number of classes (--require-head).

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    spec : mxft.data.normalization.InputSpec
    folder : str
        One folder of images a class.
    exclude, keep_clutter
        As in `mxft.data.splits.split_folder`.
    """
    from mxft.data.folders import scan_class_folders
    from mxft.data.splits import CLUTTER
    from mxft.training.network import with_kept_head

    left_out = set(exclude) | (set() if keep_clutter else {CLUTTER})
    with_kept_head(checkpoint, len(scan_class_folders(folder, exclude=left_out).classes), spec.shape)


def check_resize(resize, spec):
    """Refuse a short side of packed images that is smaller than the network's input."""
    if resize and resize < max(spec.shape[1:]):
        raise InputError(f"--resize: expected at least {max(spec.shape[1:])}, the network's input, received "
                         f"resize={resize}; choose a larger one or a smaller --image-shape")


def count_outputs(checkpoint, spec):
    """Return the number of scores the network gives an image, by shape inference."""
    from mxft.surgery import cut_loss, data_name

    scores = cut_loss(checkpoint.symbol)
    _, shapes, _ = scores.infer_shape_partial(**{data_name(scores): (1, *spec.shape)})
    return int(shapes[0][-1])


def check_classes(checkpoint, num_classes):
    """Refuse a manifest with another number of class names than the network has outputs."""
    names = checkpoint.classes
    if names is not None and (not isinstance(names, list) or len(names) != num_classes):
        count = len(names) if isinstance(names, list) else type(names).__name__
        raise InputError(f"manifest of {checkpoint.name}: expected {num_classes} class names, one for each output, "
                         f"received {count}; is it the manifest of another checkpoint?")


def check_images(path, spec, show=True):
    """Refuse records that hold no images or several labels each; say so where they are smaller than the input.

    Parameters
    ----------
    path : str
        A ``.rec`` file.
    spec : mxft.data.normalization.InputSpec
    show : bool
        Say on stderr that images are smaller than the input.

    Raises
    ------
    InputError
        No records; among those looked at damage, several labels, or what is no image.

    Notes
    -----
    MXNet enlarges an image that is smaller than the input, keeping its proportions, until it covers it, and crops the
    rest: nothing is stretched, but the detail is not there. That is told and not refused.
    """
    from mxft.data.images import BadImage, inspect
    from mxft.data.recordio import RecordReader

    small, smallest, number, looked_at = 0, None, -1, 0
    with RecordReader(path) as reader, open(path, "rb") as f:
        for number, offset, parts in reader.walk():
            if number == LOOKED_AT:
                break
            try:
                payload = _payload(f, parts, path, number)
                file = inspect(payload)
                _decode(payload)
            except BadImage as error:
                raise InputError(f"no image in {path}: expected JPEG or PNG in every record, received {error} in "
                                 f"record {number} at byte {offset}; pack it again with mxft im2rec") from None
            looked_at += 1
            if 0 < file.width < spec.shape[2] or 0 < file.height < spec.shape[1]:
                small += 1
                smallest = min(smallest or (file.width, file.height), (file.width, file.height), key=min)
    if number < 0:
        raise InputError(f"no records: expected at least one, received {path} with none; pack it again with "
                         "mxft im2rec")
    if small and show and not spec.resize:
        print(f"note: {small} of {looked_at} records looked at in {path} are smaller than the input of "
              f"{spec.shape[2]}x{spec.shape[1]} (the smallest {smallest[0]}x{smallest[1]}): MXNet enlarges them in "
              "proportion and crops; pack larger images, or choose a smaller --image-shape", file=sys.stderr)


def _payload(f, parts, path, number):
    """Return the image bytes of one record, refusing several labels."""
    from mxft.data.recordio import MAGIC_BYTES, unpack

    pieces = []
    for start, length in parts:
        f.seek(start)
        pieces.append(f.read(length))
    header, payload = unpack(MAGIC_BYTES.join(pieces))
    if header.flag > 1:
        raise InputError(f"several labels: expected one label in each record, received {header.flag} in record "
                         f"{number} of {path}; pack it again without --pack-label")
    return payload


def _decode(payload):
    import numpy as np

    from mxft.compat import load_cv2
    from mxft.data.images import BadImage
    from mxft.machine.quiet import quiet_native

    cv2 = load_cv2()
    with quiet_native():
        try:
            if cv2.imdecode(np.frombuffer(payload, np.uint8), 1) is None:
                raise BadImage("bytes that are not an image, or too damaged to decode")
        except cv2.error as error:  # more pixels than it takes, say
            raise BadImage(f"what OpenCV refuses ({' '.join(str(error.err).split())})") from None
