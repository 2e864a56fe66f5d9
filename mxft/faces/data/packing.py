"""From aligned faces to a training set in insightface's layout; follows src/data/face2rec2.py and dir2rec.py there."""
import contextlib
import itertools
import logging
import os
import time
from collections import Counter, namedtuple
from dataclasses import dataclass
from functools import partial

from mxft.data.folders import EXTENSIONS
from mxft.data.packing import one_opencv_thread, ordered_map, stopped_when_full
from mxft.data.progress import progress
from mxft.errors import InputError
from mxft.faces.align.people import aligned_file, photographs_of_people
from mxft.faces.align.sampling import LOOKED_AT, alignment_note
from mxft.faces.data.face_images import prepare_file, size_text
from mxft.faces.data.holding_out import choose
from mxft.faces.data.set_writer import MOST_KEYS, FaceSetWriter, set_lock
from mxft.faces.data.sources import FaceSource, read_source
from mxft.files.whole import whole_file
from mxft.machine.quiet import quiet_native
from mxft.network.image_options import ImageOptions

LOG = logging.getLogger("mxft")

HELD_OUT = "held-out"  # the folder in OUT that holds the second set
JUDGED = 48            # pixels: smaller faces are not looked at, whether they are aligned

BadFace = namedtuple("BadFace", ["name", "path", "reason"])
BadFace.__doc__ = """An image left out: `name` of the identity, `path` as the source gives it, `reason`."""


@dataclass(frozen=True)
class FacePackResult:
    """What `pack_faces` did.

    Attributes
    ----------
    folder : str
        The training set's folder; ``folder/held-out`` holds the images held out.
    images, identities, bytes : int
        Images in ``train.rec``, identities (``num_classes``), and bytes of the file.
    held_out, held_out_identities : int
        Images in ``held-out/train.rec``, and identities that have one there.
    few, min_images : int
        Identities left out because they had fewer than `min_images` images that could be packed.
    resized : int
        Images that were not of the wanted size (or format) and were encoded again.
    size : (H, W)
    bad : list of BadFace
        Images left out, each with its reason, as they stand in `bad_path`.
    bad_path : str or None
    seconds : float
    noted : int
        Photographs of several faces, or turned ones, of which a face was cut out; ``folder/train.notes.tsv`` says what
        was taken.
    """

    folder: str
    images: int
    identities: int
    bytes: int
    held_out: int
    held_out_identities: int
    few: int
    min_images: int
    resized: int
    size: tuple
    bad: list
    bad_path: str
    seconds: float
    noted: int = 0

    def __str__(self):
        total = self.images + self.held_out
        text = (f"packed {self.images} images of {self.identities} identities into "
                f"{os.path.join(self.folder, 'train.rec')} ({self.bytes / 1e6:.1f} MB, "
                f"{total / max(self.seconds, 1e-9):.0f} images/s)")
        if self.held_out:
            text += (f"\nheld out {self.held_out} images of {self.held_out_identities} identities in "
                     f"{os.path.join(self.folder, HELD_OUT, 'train.rec')}, under the same labels")
        if self.few:
            what = f"with fewer than {self.min_images} images" if self.min_images > 1 else "without images"
            text += f"\nleft out {self.few} identities {what}"
        if self.resized:
            text += f"\nencoded again {self.resized} images that were not JPEG or PNG of {size_text(self.size)} pixels"
        if self.noted:
            text += (f"\n{self.noted} photographs have several faces or are turned: which face was taken is listed in "
                     f"{os.path.join(self.folder, 'train.notes.tsv')}")
        return text + (f"\nleft out {len(self.bad)} bad images, listed in {self.bad_path}" if self.bad else "")


def pack_faces(source, folder, root=None, size=(112, 112), min_images=1, hold_out=0, seed=0, exts=EXTENSIONS,
               exclude=(), quality=95, num_thread=1, strict=False, force=False, show=None, align=None, detector=None):
    """Pack faces into ``property``, ``train.lst``, ``train.rec``, ``train.idx`` and ``identities.txt``.

    Parameters
    ----------
    source : str
        A folder with a folder a person, an aligned ``.lst``, a face set or a ``.rec`` (see
        `mxft.faces.data.sources.read_source`).
    folder : str
        Of the files to write.
    root : str, optional
        What the paths of a list are relative to.
    size : (H, W)
        In pixels. Images of this size are packed with their own bytes once they have been decoded as a check; others
        of the same shape are resized (area averaging down, bilinear up) and encoded again.
    min_images : int
        Identities with fewer images that can be packed are left out. Those that remain are labelled 0 … n-1 in the
        order of their names, or of a list's labels.
    hold_out : int or float
        How many images of each identity go into a second set, ``folder/held-out``, with the same labels: a number,
        or a part of them below 1, rounded to the nearest. One image of each always stays in the first set.
    seed : int
        Of the choice which ones: by the SHA-256 of seed and path, so that it is the same on every machine.
    exts, exclude
        See `read_source`.
    quality : int
        JPEG quality of images encoded again.
    num_thread : int
        Images decoded at a time. The files are the same bytes for any number.
    strict : bool
        Refuse the whole source for one bad image.
    force : bool
        Replace a set that stands in `folder`.
    show : bool, optional
        False: no progress on stderr.
    align : mxft.faces.align.options.AlignOptions, optional
        The images are photographs: one face of each is found, aligned and packed, in the options' size. Pictures of
        every kind are taken, whatever `exts` says. None: they are aligned faces.
    detector : callable, optional
        What finds them, see `mxft.faces.align.detection.make_detector`.

    Returns
    -------
    FacePackResult

    Raises
    ------
    InputError
        A bad option or list row, or a set that stands there, before anything is read; nothing to pack or to hold out;
        with `strict`, a bad image.
    RunError
        The files cannot be written to the end (a full disk).

    Notes
    -----
    Without `align` a sample of the images is looked at, and a warning is logged where they seem not aligned. An image
    that is missing, empty, cut short, no image, or of another shape than `size`, is left out and listed with its
    reason in ``folder/train.bad.tsv``. The images of one identity are held in memory at a time.

    Examples
    --------
    >>> import os, cv2, numpy as np
    >>> os.makedirs("/tmp/mxft-example-faces/Ada", exist_ok=True)
    >>> _ = cv2.imwrite("/tmp/mxft-example-faces/Ada/1.jpg", np.zeros((112, 112, 3), np.uint8))
    >>> pack_faces("/tmp/mxft-example-faces", "/tmp/mxft-example-packed", force=True, show=False).identities
    1
    """
    began = time.monotonic()
    size, options = (int(size[0]), int(size[1])), ImageOptions(quality=quality)
    _check_numbers(size, min_images, hold_out, num_thread)
    require_free(source, folder, hold_out, force)
    if align:
        size, people = align.size, photographs_of_people(source, root, exclude, detector)
        found, make = people[0], partial(aligned_file, root=people[0].root, finder=people[1], options=align)
    else:
        found = read_source(source, root, exts, exclude)
        make = partial(prepare_file, read=found.read, size=size, options=options)
    found = _with_enough_files(found, min_images, source)
    require_outside(source, folder)
    rec, bad_path = os.path.join(folder, "train.rec"), os.path.join(folder, "train.bad.tsv")
    with contextlib.ExitStack() as packing:
        for context in (stopped_when_full(rec), one_opencv_thread(), quiet_native()):
            packing.enter_context(context)
        train = packing.enter_context(FaceSetWriter(folder))
        held = packing.enter_context(FaceSetWriter(os.path.join(folder, HELD_OUT))) if hold_out else None
        advance = packing.enter_context(progress(len(found.files), f"packing {rec}", show=show))
        sets = _Sets(train, held, min_images, partial(choose, hold_out=hold_out, seed=seed),
                     0 if align or min(size) < JUDGED else len(found.files))
        sets.write(found.names, ordered_map(make, found.files, num_thread), advance)
        _write_faces(bad_path, sets.bad, "reason")
        _write_faces(os.path.join(folder, "train.notes.tsv"), sets.noted, "note")
        _refuse(sets, len(found.files), strict, source, bad_path, hold_out)
        for writer in filter(None, (train, held)):
            writer.finish(sets.names, size)
    note = alignment_note(sets.sample, num_thread)
    if note:
        LOG.warning(note)
    return FacePackResult(os.fspath(folder), train.images, len(sets.names), train.bytes, held.images if held else 0,
                          held.identities if held else 0, found.few + sets.few, min_images, sets.resized, size,
                          sets.bad, bad_path if sets.bad else None, time.monotonic() - began, len(sets.noted))


class _Sets:
    """The two sets being written, identity by identity, and what is counted on the way."""

    def __init__(self, train, held, min_images, choose, sampled_of=0):
        self.train, self.held, self.min_images, self.choose = train, held, min_images, choose
        self.names, self.bad, self.noted, self.few, self.resized = [], [], [], 0, 0
        self.sample, self._seen, self._every = [], 0, max(1, sampled_of // LOOKED_AT) if sampled_of else 0

    def write(self, names, faces, advance):
        """Write Faces that come sorted by identity; a label is given once enough of its images are known good."""
        for identity, of_identity in itertools.groupby(faces, key=lambda face: face.identity):
            images, resized = [], 0
            for face in of_identity:
                if face.payload is None:
                    self.bad.append(BadFace(names[identity], face.path, face.reason))
                else:
                    images.append((face.path, face.payload))
                    resized += face.resized
                    self._look(names[identity], face)
                advance()
            if len(images) < self.min_images:
                self.few += 1
                continue
            self._add(names[identity], images)
            self.resized += resized

    def _look(self, name, face):
        """Keep what is to be said of a face, and one in so many to see whether they are aligned."""
        if face.note:
            self.noted.append(BadFace(name, face.path, face.note))
        if self._every and self._seen % self._every == 0 and len(self.sample) < LOOKED_AT:
            self.sample.append(face.payload)
        self._seen += 1

    def _add(self, name, images):
        label = len(self.names)
        self.names.append(name)
        if self.held is not None:
            images, held = self.choose(images)
            self.held.add_identity(label, held)
        self.train.add_identity(label, images)


@dataclass
class _Found(FaceSource):
    """A FaceSource without the identities that have too few files, and their number."""

    few: int = 0


def _with_enough_files(found, min_images, source):
    counts = Counter(file.identity for file in found.files)
    enough = {identity for identity, count in counts.items() if count >= min_images}
    files = [file for file in found.files if file.identity in enough]
    if not files:
        raise InputError(f"no identity to pack: expected one with at least {min_images} images, received {source} "
                         f"whose largest has {max(counts.values(), default=0)}; lower `min_images`")
    if len(files) + len(enough) >= MOST_KEYS:
        raise InputError(f"too many images for one set: expected fewer than {MOST_KEYS} images and identities, which "
                         f"is as far as its header records can count, received {len(files) + len(enough)}; "
                         "pack them in parts")
    return _Found(found.root, found.names, files, found.ignored, found.records, found.named,
                  len(found.names) - len(enough))


def _check_numbers(size, min_images, hold_out, num_thread):
    for name, value, least in (("size", min(size), 1), ("min_images", min_images, 1), ("num_thread", num_thread, 1),
                               ("hold_out", hold_out, 0)):
        if not value >= least:
            raise InputError(f"cannot pack: expected --{name.replace('_', '-')} of at least {least}, received "
                             f"{name}={value}")
    if hold_out > 1 and hold_out != int(hold_out):
        raise InputError("cannot hold out: expected a part below 1 or a whole number of images an identity, received "
                         f"hold_out={hold_out:g}")


def require_free(source, folder, hold_out=0, force=False):
    """Refuse a `folder` in which a set stands already, or whose ``train.lst`` is what would be packed.

    With `force` a set may stand there, but not one held out earlier that the new one would not replace: its labels
    would be other people's.
    """
    rec, list_path = os.path.join(folder, "train.rec"), os.path.join(folder, "train.lst")
    held = os.path.join(folder, HELD_OUT, "train.rec")
    if os.path.exists(list_path) and os.path.exists(source) and os.path.samefile(source, list_path):
        raise InputError(f"cannot pack a list into its own folder: expected another folder than {folder}, whose "
                         "train.lst would be written again; choose another OUT_DIR, or give the list another name")
    if os.path.exists(rec) and os.path.isfile(source) and os.path.samefile(source, rec):
        raise InputError(f"cannot pack a set into its own folder: expected another folder than {folder}, whose "
                         "train.rec is what would be packed; choose another OUT_DIR")
    if os.path.exists(rec) and not force:
        set_lock(folder).clear()
        raise InputError(f"a face set is there already: expected a folder without train.rec, received {folder}; "
                         "choose another, or replace it with `force`")
    if os.path.exists(held) and (not force or not hold_out):
        raise InputError(f"an earlier set was held out there: expected no {held}, or `force` and `hold_out` to replace "
                         "it too; choose another folder or remove it")


def require_outside(source, folder):
    """Refuse to write into the folder that is packed: sources stay as they are."""
    path, above = os.path.realpath(folder), os.path.realpath(source)
    if os.path.isdir(source) and os.path.commonpath([path, above]) == above:
        raise InputError(f"cannot pack a folder into itself: expected OUT_DIR outside of {source}, received {folder}; "
                         "the next packing would take it for a person")


def _write_faces(path, rows, what):
    """Write what is to be said of images, or remove the list of an earlier run where there is nothing."""
    if not rows:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        return
    with whole_file(path) as f:
        f.write(f"identity\tpath\t{what}\n".encode())
        for row in rows:
            f.write("\t".join(row).encode("utf-8", "surrogateescape") + b"\n")


def _refuse(sets, total, strict, source, bad_path, hold_out):
    """Raise where nothing was packed or held out, or with `strict` where anything was left out."""
    if sets.bad and (strict or not sets.names):
        name, path, reason = sets.bad[0]
        cure = ("`align` finds and aligns the faces of photographs" if "stretch the face" in reason else
                "repair or remove them, or say with `root` what a list's paths are relative to")
        expected = "every image to be whole (`strict`)" if strict else "at least one identity that can be packed"
        raise InputError(f"nothing packed from {source}: expected {expected}, received {len(sets.bad)} bad images of "
                         f"{total}, the first of {name!r}, path={path!r}: {reason}; all are in {bad_path}; {cure}")
    if hold_out and not sets.held.images:
        raise InputError("nothing to hold out: expected an identity with enough images, received hold_out="
                         f"{hold_out:g} and {sets.train.images} images of {len(sets.names)} identities; "
                         "raise `hold_out` or leave it out")
