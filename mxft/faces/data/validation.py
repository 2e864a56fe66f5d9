"""Every image of a face training set decoded before training: a damaged one found hours later would cost them."""
import concurrent.futures
import os
import shlex

from mxft.data.images import BadImage
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.data.decoding import decode_face
from mxft.faces.data.records import Damage, RecordFile

BLOCK = 1024                     # images handed to the threads at a time


def check_faces(face_set, image_size, threads=None, show=None):
    """Refuse a set with an image that is damaged, cut short or of another size.

    Parameters
    ----------
    face_set : mxft.faces.data.layout.FaceSet
        Its framing, index and labels were checked by `read_face_set`.
    image_size : (int, int)
        Height and width in pixels.
    threads : int, optional
        The number of cores when None.
    show : bool, optional
        False: no progress on stderr.

    Raises
    ------
    InputError
        The first such image's key, place and reason, and how many there are.

    Examples
    --------
    >>> check_faces(read_face_set("faces_emore"), (112, 112))                             # doctest: +SKIP
    """
    def reason(at):
        try:
            decode_face(records, face_set, at, image_size)
        except (Damage, BadImage) as damage:
            return str(damage)

    bad, records, count = [], RecordFile(face_set.rec), len(face_set.labels)
    try:
        with progress(count, f"checking {os.path.basename(face_set.rec)}", show=show) as advance, \
                concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count() or 1, "checking") as pool:
            for start in range(0, count, BLOCK):
                rows = range(start, min(start + BLOCK, count))
                bad += [(at, why) for at, why in zip(rows, pool.map(reason, rows)) if why]
                advance(len(rows))
    finally:
        records.close()
    if bad:
        at, why = bad[0]
        raise InputError(f"damaged images in {face_set.rec}: expected {image_size[0]}x{image_size[1]} images that can "
                         f"be decoded, received at key {face_set.keys[at]}, byte {face_set.offsets[at]}: {why}; "
                         f"{len(bad)} of {count} are damaged; mxft inspect {shlex.quote(face_set.rec)} --decode lists "
                         "them, mxft unpack and mxft face-pack leave them out")
