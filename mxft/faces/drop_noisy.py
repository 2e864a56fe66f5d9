"""The drop step of Sub-center ArcFace: a face set without the images that lie far from what their class gathers at.

Follows ``drop.py`` of insightface's recognition/subcenter_arcface (Deng et al., ECCV 2020, section 3.4).
"""
import dataclasses
import os

import numpy as np

from mxft.compat import mx
from mxft.errors import InputError, RunError
from mxft.faces.data.packed_source import known_names
from mxft.faces.data.records import RecordFile
from mxft.faces.data.set_writer import FaceSetWriter
from mxft.faces.evaluation.subcentres import angles_to_dominant
from mxft.faces.training.imprint import embed_as_trained
from mxft.files.whole import whole_file
from mxft.network.graph import internal_output
from mxft.network.normalisation import normalised_in_graph

THRESHOLD = 75.0      # degrees, the paper's
CHUNK = 65536         # images, at least, whose embeddings are held at a time
DROPPED = "dropped.tsv"


@dataclasses.dataclass(frozen=True)
class DropResult:
    """What `drop_noisy` wrote.

    Attributes
    ----------
    folder : str
    kept, dropped : int
        Images.
    identities : int
        Left in the new set.
    gone : int
        Identities that lost all their images.
    threshold : float
        Degrees.
    """

    folder: str
    kept: int
    dropped: int
    identities: int
    gone: int
    threshold: float

    def __str__(self):
        whose = "identity has none left and is" if self.gone == 1 else "identities have none left and are"
        gone = f"; {self.gone} {whose} not in it" if self.gone else ""
        return (f"kept {self.kept:,} images of {self.identities:,} identities in {self.folder}, dropped "
                f"{self.dropped:,} farther than {self.threshold:g} degrees from their class's dominant sub-centre, "
                f"listed in {os.path.join(self.folder, DROPPED)}{gone}")


def drop_noisy(checkpoint, faces, folder, threshold=THRESHOLD, context=None, threads=None):
    """Write a face set again without its noisy images.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        Trained on `faces`, with its class centres (``fc7``).
    faces : FaceSet
    folder : str
        Of the new set: without one.
    threshold : float
        Degrees, above 0 and below 180: images farther from the dominant sub-centre of their class are dropped.
    context : mx.Context, optional
        CPU when None.
    threads : int, optional
        For decoding.

    Returns
    -------
    DropResult

    Raises
    ------
    InputError
        A checkpoint without class centres or with those of other classes; fewer names than classes; a set that stands
        in `folder`; a threshold that leaves nothing.
    RunError
        Embeddings that are not finite.

    Notes
    -----
    The dominant sub-centre is the one most images of the class are nearest to. Images keep their bytes; identities
    that are left are numbered again from 0, in their order, and keep their names. ``dropped.tsv`` lists what went, with
    its key in the old set. A plain ArcFace checkpoint works too: its one centre dominates.

    Examples
    --------
    >>> drop_noisy(load_checkpoint("runs/sub/model,last"), read_face_set("faces"), "cleaned")     # doctest: +SKIP
    """
    if not 0 < threshold < 180:
        raise InputError(f"threshold: expected degrees above 0 and below 180, received threshold={threshold:g}")
    if os.path.exists(os.path.join(folder, "property")):
        raise InputError(f"folder: expected one without a face set, received {folder!r} with property; choose another")
    names = known_names(faces) or [str(number) for number in range(faces.num_classes)]
    checkpoint = normalised_in_graph(checkpoint)
    centres = class_subcentres(checkpoint, faces.num_classes)
    angles = np.full(len(faces.labels), np.inf)
    for rows in _chunks(faces.labels):
        embeddings = _embedded(checkpoint, faces, rows, context or mx.cpu(), threads)
        if embeddings.shape[1] != centres.shape[2]:
            raise InputError(f"class centres do not fit: expected {embeddings.shape[1]} numbers each, as the embedding "
                             f"of {checkpoint.name} has, received {centres.shape[2]}")
        angles[rows] = angles_to_dominant(embeddings, faces.labels[rows], centres)[0]
    if not np.isfinite(angles).all():  # neither near nor far: it would be dropped as noise
        raise RunError(f"embeddings are not finite: expected numbers, received NaN or infinity for "
                       f"{int((~np.isfinite(angles)).sum())} of {len(angles)} images; did {checkpoint.name} diverge?")
    kept = angles < threshold
    if not kept.any():
        raise InputError(f"threshold: expected some images within it, received threshold={threshold:g} with the "
                         f"nearest at {angles.min():.1f} degrees; was {checkpoint.name} trained on this set?")
    return _write(faces, names, folder, kept, angles, threshold)


def class_subcentres(checkpoint, num_classes):
    """Return the class centres of a checkpoint, float32 ``(C, K, D)``.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
        With ``fc7_weight`` of shape ``(C, K, D)`` or ``(C, D)``, or ``fc7_0_weight fc7_1_weight …``, K rows a class, as
        upstream's script saves them.
    num_classes : int

    Raises
    ------
    InputError
        There are none, or of other classes.
    """
    weight = checkpoint.arg_params.get("fc7_weight")
    if weight is not None:
        rows = weight.asnumpy()
        rows = rows[:, None] if rows.ndim == 2 else rows
    else:
        rows = _upstreams_parts(checkpoint)
        if len(rows) % num_classes == 0:
            rows = rows.reshape(num_classes, -1, rows.shape[1])
    if rows.ndim != 3 or len(rows) != num_classes:
        raise InputError(f"class centres do not fit: expected those of {num_classes} classes, received fc7 of shape "
                         f"{rows.shape} in {checkpoint.name}; it has to be trained on this very set")
    return rows


def _upstreams_parts(checkpoint):
    names = [f"fc7_{number}_weight" for number in range(len(checkpoint.arg_params))]
    parts = [checkpoint.arg_params[name].asnumpy() for name in names if name in checkpoint.arg_params]
    if not parts:
        raise InputError(f"class centres: expected fc7_weight, received none in {checkpoint.name}; give the checkpoint "
                         "as training left it, not a slim one")
    return np.concatenate(parts)


def _chunks(labels):
    """Yield positions of images, whole classes at a time."""
    order = np.argsort(labels, kind="stable")
    begin, bounds = 0, [*np.flatnonzero(np.diff(labels[order])) + 1, len(labels)]
    for end in bounds:
        if end - begin >= CHUNK or end == len(labels):
            yield order[begin:end]
            begin = end


def _embedded(checkpoint, faces, rows, context, threads):
    """Return the embeddings of the images at positions `rows`."""
    network = internal_output(checkpoint.symbol, checkpoint.anatomy.require_embedding().index)
    part = faces.at(rows)
    size = faces.image_size or (checkpoint.input_spec.shape[1:] if checkpoint.input_spec else (112, 112))
    return embed_as_trained(network, (checkpoint.arg_params, checkpoint.aux_params), part, size, context, threads)


def _write(faces, names, folder, kept, angles, threshold):
    """Write the images that are `kept`, and the list of the others."""
    records, size = RecordFile(faces.rec), faces.image_size or (112, 112)
    order, left = np.argsort(faces.labels, kind="stable"), []
    with FaceSetWriter(folder) as writer:
        for rows in np.split(order, np.flatnonzero(np.diff(faces.labels[order])) + 1):
            name, rows = names[faces.labels[rows[0]]], rows[kept[rows]]
            if len(rows):
                writer.add_identity(len(left), [
                    (f"{name}/{faces.keys[row]}", records.image(int(faces.offsets[row]), int(faces.sizes[row]))[1]
                     .tobytes()) for row in rows])
                left.append(name)
        writer.finish(left, size)
        with whole_file(os.path.join(folder, DROPPED), "w") as f:
            f.write("key\tlabel\tidentity\tdegrees\n")
            f.writelines(f"{faces.keys[row]}\t{faces.labels[row]}\t{names[faces.labels[row]]}\t{angles[row]:.2f}\n"
                         for row in np.flatnonzero(~kept))
    records.close()
    return DropResult(os.fspath(folder), int(kept.sum()), int((~kept).sum()), len(left), faces.identities - len(left),
                      threshold)
