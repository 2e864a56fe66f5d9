"""Whether MXNet can decode every image of a record file, found out before its C++ iterator meets one it cannot.

``ImageRecordIter`` with ``resize`` divides by the height or width of an image that it failed to decode, which is 0, and
SIGFPE ends the process (src/io/image_aug_default.cc of MXNet 1.9.1); without ``resize`` it throws, hours into a run.
"""
import concurrent.futures
import hashlib
import logging
import os
import re
import struct

import numpy as np

from mxft.compat import load_cv2, mx
from mxft.data.images import MOST_PIXELS, PASSES_THROUGH, BadImage, inspect
from mxft.data.progress import progress
from mxft.data.recordio import FIRST, LONGEST, MAGIC_BYTES, RecordReader, join_parts, unpack
from mxft.errors import InputError, RunError, last_line, nearest
from mxft.machine.quiet import quiet_native

LOG = logging.getLogger("mxft")

LEVELS = ("fast", "full", "off")
LOOKED_AT = 64                   # records, the first of a file, that `check_images` decodes
BATCH = 256                      # records read before they are looked at, on several threads with "full"
HEADERS = 256                    # remembered; photographs as cameras wrote them have one each
LONGEST_SIDE = 65500             # of libjpeg
SMALL = struct.pack(">HH", 16, 16)

_STARTS, _SEQUENTIAL = b"\xff\xd8\xff", (0xC0, 0xC1)
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # within a scan, what is neither a stuffed 0xFF nor a restart
_END = b"\xff\xd9"


def check_records(scan, level="fast", threads=None, show=None):
    """Refuse a record file with an image that MXNet cannot decode.

    Parameters
    ----------
    scan : mxft.data.labels.LabelScan
        Of the file: its pass over the headers has checked framing, lengths and label counts.
    level : {"fast", "full", "off"}
        "fast" finds every image that MXNet would fail to decode, without decoding the ordinary ones. "full" decodes
        all of them too, by OpenCV. "off" looks at nothing.
    threads : int, optional
        Of "full"; the number of cores when None.
    show : bool, optional
        False: no progress on stderr.

    Returns
    -------
    str or None
        The file's SHA-256, taken as it was read through; None of "off", which does not read it.

    Raises
    ------
    InputError
        An unknown level; empty, cut, damaged or oversized images, or what is none: the first one's record, place and
        reason, and how many there are.
    RunError
        The file became shorter meanwhile.

    Notes
    -----
    What "fast" trusts is a JPEG of one sequential scan that runs to the end-of-image marker, as im2rec writes them:
    there libjpeg can only fail on the header, and each header that is new, its size aside, is decoded once, small and
    with an empty scan. A file has a few of them. Everything else (progressive, PNG …) is decoded for real.
    Damage inside the compressed data that decodes to wrong blocks is not found by either.

    Examples
    --------
    >>> from mxft.data.labels import scan_labels
    >>> check_records(scan_labels("train.rec"), "full")                                   # doctest: +SKIP
    """
    if level not in LEVELS:
        raise InputError(f"check: expected one of {', '.join(LEVELS)}, received check={level!r}; "
                         f"{nearest(str(level), LEVELS)}")
    if level == "off":
        return None
    bad, first, decoder, digest = 0, None, _Decoder(), hashlib.sha256()
    workers = (threads or os.cpu_count() or 1) if level == "full" else 1
    label = f"checking {os.path.basename(scan.path)}"
    with quiet_native(), progress(len(scan.ids), label, "records", show) as advance, \
            concurrent.futures.ThreadPoolExecutor(workers, "checking") as pool:
        for start in range(0, len(scan.ids), BATCH):
            payloads = list(_payloads(scan, start, min(start + BATCH, len(scan.ids)), digest))
            decoded = pool.map(_looked_through, payloads) if level == "full" else [None] * len(payloads)
            for i, (payload, wrong) in enumerate(zip(payloads, decoded), start):
                reason = wrong or decoder.reason(payload)
                bad += reason is not None
                first = first or (reason and (i, reason))
            advance(len(payloads))
    if bad:
        i, reason = first
        raise InputError(
            f"no image MXNet can read in {scan.path}: expected a whole JPEG or PNG in every record, received {reason} "
            f"in record {i} (id {scan.ids[i]}) at byte {scan.offsets[i]}; {bad} of {len(scan.ids)} records are "
            "damaged; pack them again with mxft im2rec, which leaves such images out (`check='off'` does not look, and "
            "one of them may then end the process)")
    return digest.hexdigest()


def _payloads(scan, start, stop, digest):
    """Yield the encoded images of records `start` to `stop`, all their bytes added to `digest`.

    By ``read``: a map dies of a file cut meanwhile.
    """
    ends = np.append(scan.offsets[start + 1:stop + 1], os.path.getsize(scan.path))[:stop - start]
    with open(scan.path, "rb") as f:
        for offset, end, length in zip(scan.offsets[start:stop].tolist(), ends.tolist(),
                                       scan.lengths[start:stop].tolist()):
            f.seek(offset)
            data = f.read(end - offset)
            if len(data) < max(8, end - offset):
                raise RunError(f"checking {scan.path} stopped: expected {end - offset} bytes at byte {offset}, "
                               f"received {len(data)}; was the file changed?")
            digest.update(data)
            word, = struct.unpack_from("<I", data, 4)
            if word >> 29 == FIRST:
                data = join_parts(data)
                yield data[len(data) - length:]
            else:
                stop_at = 8 + (word & LONGEST)
                yield data[stop_at - length:stop_at]


class _Decoder:
    """Says of one image after another whether MXNet's decoder takes it; remembers the JPEG headers it has seen."""

    def __init__(self):
        self._headers = {}

    def reason(self, payload):
        """Return why MXNet cannot decode `payload` (bytes), or None where it can."""
        plain = _plain_jpeg(payload)
        if plain is None:
            return _looked_through(payload)
        size_at, scan_at = plain
        header = payload[:size_at] + SMALL + payload[size_at + 4:scan_at] + _END
        if header not in self._headers:
            if len(self._headers) == HEADERS:
                self._headers.clear()
            self._headers[header] = _decoded(header)
        height, width = struct.unpack_from(">HH", payload, size_at)
        if max(height, width) > LONGEST_SIDE or not 0 < height * width <= MOST_PIXELS:
            return _looked_through(payload)
        return self._headers[header]


def _plain_jpeg(data):
    """Return where the size and where the scan of a plain JPEG begin, or None for any other image.

    Plain: each segment begins where the former ends, one sequential frame, one scan, and the first marker after it is
    the end of the image. Then libjpeg takes the same path, and what it reads after the header it never refuses.
    """
    if not data.startswith(_STARTS):
        return None
    at, size_at, last = 2, None, len(data) - 4
    while at <= last and data[at] == 0xFF:
        marker, length = data[at + 1], data[at + 2] << 8 | data[at + 3]
        if length < 2 or marker < 0xC0 or 0xD0 <= marker <= 0xD9:
            return None
        if marker in _SEQUENTIAL and size_at is None:
            size_at = at + 5
        elif 0xC0 <= marker <= 0xCF and marker != 0xC4:
            return None
        at += 2 + length
        if marker == 0xDA:
            end = _MARKER.search(data, at)
            return (size_at, at) if size_at and end and end.group() == _END else None
    return None


def _inspected(payload):
    """Return what is wrong with an image file as such, or None."""
    try:
        return None if inspect(payload).format in PASSES_THROUGH else _decoded_by_mxnet(payload)
    except BadImage as error:
        return str(error)


def _decoded_by_mxnet(data):
    """Return why MXNet cannot decode an image of a rare format; of a JPEG or PNG it would say that it can, always."""
    try:
        mx.image.imdecode(data, flag=1).wait_to_read()
        return None
    except mx.base.MXNetError as error:
        return f"what MXNet cannot decode ({last_line(error)})"


def _decoded(data):
    """Return why OpenCV, as MXNet has it built in, cannot decode an image, or None."""
    cv2 = load_cv2()
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        return f"what cannot be decoded ({' '.join(str(error.err).split())})"
    return "what is no image, or too damaged to decode" if image is None else None


def _looked_through(payload):
    """Return why an image is no whole one that decodes, or None."""
    return _inspected(payload) or _decoded(payload)

def check_images(path, spec, show=True, several_labels=False):
    """Refuse records that hold no images or several labels each; say so where they are smaller than the input.

    Parameters
    ----------
    path : str
        A ``.rec`` file.
    spec : mxft.network.input_spec.InputSpec
    show : bool
        Say on stderr that images are smaller than the input.
    several_labels : bool
        Let several labels, or numbers, a record pass.

    Raises
    ------
    InputError
        No records; among those looked at damage, several labels, or what is no image.

    Notes
    -----
    MXNet enlarges an image that is smaller than the input, keeping its proportions, until it covers it, and crops the
    rest: nothing is stretched, but the detail is not there. That is told and not refused.
    """
    small, smallest, number, looked_at = 0, None, -1, 0
    with RecordReader(path) as reader, open(path, "rb") as f:
        for number, offset, parts in reader.walk():
            if number == LOOKED_AT:
                break
            try:
                payload = _payload(f, parts, path, number, several_labels)
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
        LOG.warning(f"note: {small} of {looked_at} records looked at in {path} are smaller than the input "
                    f"of {spec.shape[2]}x{spec.shape[1]} (the smallest {smallest[0]}x{smallest[1]}): MXNet enlarges "
                    "them in proportion and crops; pack larger images, or choose a smaller `image_shape`")


def _payload(f, parts, path, number, several_labels):
    """Return the image bytes of one record, refusing several labels where they are not meant."""
    pieces = []
    for start, length in parts:
        f.seek(start)
        pieces.append(f.read(length))
    header, payload = unpack(MAGIC_BYTES.join(pieces))
    if header.flag > 1 and not several_labels:
        raise InputError(f"several labels: expected one label in each record, received {header.flag} in record "
                         f"{number} of {path}; train them with `multi_label` or `regression`, or pack it again "
                         "without `pack_label`")
    return payload


def _decode(payload):
    cv2 = load_cv2()
    with quiet_native():
        try:
            if cv2.imdecode(np.frombuffer(payload, np.uint8), 1) is None:
                raise BadImage("bytes that are not an image, or too damaged to decode")
        except cv2.error as error:  # more pixels than it takes, say
            raise BadImage(f"what OpenCV refuses ({' '.join(str(error.err).split())})") from None
