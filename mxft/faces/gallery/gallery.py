"""A gallery: the embeddings of people whose names are known, in one ``.npz`` that NumPy reads."""
import dataclasses
import hashlib
import json
import zipfile

import numpy as np

from mxft.errors import InputError
from mxft.faces.evaluation.identification import unit_rows
from mxft.files.arrays import read_arrays
from mxft.files.whole import require_file, whole_path
from mxft.wording import BriefRepr, is_plain, plural

FORMAT = "mxft face gallery 1"
_TOLERANCE = 1e-3     # that the length of an embedding may be off 1
_SAME = 1e-5          # that the cosine of one image's embedding with itself may be off 1
_LARGEST = 1 << 16    # pixels of an edge


@dataclasses.dataclass(frozen=True, repr=False)
class Gallery(BriefRepr):
    """People and their embeddings.

    Parameters
    ----------
    names : list of str
        Of the people; the place of a name is its number.
    vectors : numpy.ndarray
        Float32 ``(M, D)``, of unit length.
    owners : numpy.ndarray
        Int64 ``(M,)``, ascending: whose each is.
    images : list of str
        M names of the images they are of.
    facts : dict
        ``model`` and ``weights`` (a digest) of the network, ``flip``, ``image_size``; ``threshold`` (a cosine) with
        ``threshold_from`` (in words), where there is one, and ``fpir`` of one taken from these people.
    """

    names: list
    vectors: np.ndarray
    owners: np.ndarray
    images: list
    facts: dict

    @classmethod
    def of(cls, labels, vectors, images, facts):
        """Return the gallery of embeddings whose people are given by name; their order is that of the names.

        Parameters
        ----------
        labels : sequence of str
            M names.
        vectors, images, facts
            As the gallery's.
        """
        names = sorted(set(labels))
        numbers = {name: number for number, name in enumerate(names)}
        owners = np.array([numbers[label] for label in labels], np.int64)
        order = np.argsort(owners, kind="stable")
        return cls(names, np.ascontiguousarray(vectors[order], np.float32), owners[order],
                   [images[i] for i in order], dict(facts))

    @property
    def threshold(self):
        """The cosine above which a face is taken for the person it is nearest to, or None."""
        return self.facts.get("threshold")

    def counts(self):
        """Return how many embeddings each person has, int64 ``(P,)``."""
        return np.bincount(self.owners, minlength=len(self.names))

    def templates(self):
        """Return the mean direction of each person, float32 ``(P, D)``, of unit length."""
        sums = np.add.reduceat(self.vectors, np.searchsorted(self.owners, np.arange(len(self.names))), axis=0,
                               dtype=np.float64)
        return unit_rows(sums).astype(np.float32)

    def with_more(self, other):
        """Return a gallery of these people and another's; who is in both has the images of both, each once.

        An image is in both where a person has the same embedding in both, to 1e-5 of the cosine.

        Raises
        ------
        InputError
            They were made with other networks or in another way.
        """
        require_same_network(self.facts, other.facts, "the gallery that is there")
        fresh = np.flatnonzero(~self._has(other))
        labels = [self.names[i] for i in self.owners] + [other.names[i] for i in other.owners[fresh]]
        return Gallery.of(labels, np.concatenate([self.vectors, other.vectors[fresh]]),
                          [*self.images, *(other.images[i] for i in fresh)],
                          {**self.facts, **{name: value for name, value in other.facts.items() if value is not None}})

    def _has(self, other):
        """Return bool ``(M,)``: which embeddings of another gallery the same person has here."""
        here, numbers = np.zeros(len(other.owners), bool), {name: number for number, name in enumerate(self.names)}
        for person, name in enumerate(other.names):
            if name in numbers:
                theirs, ours = other._rows_of(person), self._rows_of(numbers[name])
                here[theirs] = (other.vectors[theirs] @ self.vectors[ours].T).max(axis=1) > 1 - _SAME
        return here

    def _rows_of(self, person):
        return slice(*np.searchsorted(self.owners, (person, person + 1)))

    def save(self, path):
        """Write the gallery, whole or not at all."""
        require_gallery_name(path)
        try:
            _check(self)
        except ValueError as error:
            raise InputError(f"gallery is not written: expected people and embeddings that belong together, received "
                             f"others ({error})") from None
        with whole_path(path) as temporary, open(temporary, "wb") as f:
            np.savez(f, format=np.array(FORMAT), embeddings=self.vectors, owners=self.owners,
                     names=np.array(self.names, dtype=np.str_), images=np.array(self.images, dtype=np.str_),
                     facts=np.array(json.dumps(self.facts)))

    def __str__(self):
        threshold = "no threshold" if self.threshold is None else (
            f"a face counts above cosine {self.threshold:.4f} ({self.facts.get('threshold_from', 'as given')})")
        return (f"{plural(len(self.names), 'person', 'people')}, {plural(len(self.owners), 'embedding')} of "
                f"{self.vectors.shape[1]} numbers by {self.facts.get('model', 'a network')}; {threshold}")


def require_gallery_name(path):
    """Refuse (InputError) a name to write a gallery under that does not end in .npz."""
    if not str(path).endswith(".npz"):
        raise InputError(f"gallery is not written: expected a file ending in .npz, received {str(path)!r}")


def load_gallery(path):
    """Read a gallery; nothing is unpickled.

    Parameters
    ----------
    path : str

    Returns
    -------
    Gallery

    Raises
    ------
    InputError
        Not a gallery as `Gallery.save` writes it, or a damaged one.
    """
    require_file(path, "gallery")
    if not zipfile.is_zipfile(path):
        raise InputError(f"gallery cannot be read: expected one mxft enroll has written, received {path}, which is no "
                         ".npz file, or one cut short")
    try:
        arrays = read_arrays(path, ("format", "embeddings", "owners", "names", "images", "facts"))
        if str(arrays["format"]) != FORMAT:
            raise ValueError(f"its format is {str(arrays['format'])[:40]!r}")
        for name in ("names", "images"):
            if arrays[name].ndim != 1 or arrays[name].dtype.kind != "U":
                raise ValueError(f"{name} are {arrays[name].dtype} {arrays[name].shape}")
        gallery = Gallery(arrays["names"].tolist(), arrays["embeddings"], arrays["owners"],
                          arrays["images"].tolist(), json.loads(str(arrays["facts"])))
        _check(gallery)
    except (ValueError, RecursionError) as error:
        raise InputError(f"gallery cannot be read: expected one mxft enroll has written, received {path} "
                         f"({str(error)[:200]})") from None
    return gallery


def _check(gallery):
    """Raise ValueError where the parts of a gallery do not belong together."""
    vectors, owners, names = gallery.vectors, gallery.owners, gallery.names
    check_vectors(vectors)
    if owners.shape != vectors.shape[:1] or owners.dtype != np.int64 or len(gallery.images) != len(owners):
        raise ValueError(f"{len(vectors)} embeddings have {owners.shape} owners and {len(gallery.images)} images")
    if (np.diff(owners) < 0).any() or owners[0] != 0 or owners[-1] != len(names) - 1 or len(np.unique(owners)) != len(
            names) or len(set(names)) != len(names):
        raise ValueError("people and embeddings do not belong together")
    for name in (*names, *gallery.images):
        if not (isinstance(name, str) and is_plain(name)):
            raise ValueError(f"a name is no line of text: {str(name)[:80]!r}")
    check_facts(gallery.facts)


def check_vectors(vectors):
    """Raise ValueError where an array is not one of embeddings: float32 ``(M, D)`` of unit length."""
    if vectors.ndim != 2 or vectors.dtype != np.float32 or not vectors.size:
        raise ValueError(f"embeddings are {vectors.dtype} {vectors.shape}")
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(vectors, axis=1)
    if not (np.abs(lengths - 1) < _TOLERANCE).all():
        raise ValueError("an embedding is not of unit length")


def check_facts(facts):
    """Raise ValueError where what is said of a network is of another kind than `network_facts` and `enroll` say."""
    if not isinstance(facts, dict):
        raise ValueError(f"its facts are {type(facts).__name__}")
    for name in ("model", "weights", "path", "threshold_from"):
        if not (facts.get(name) is None or isinstance(facts[name], str) and is_plain(facts[name])):
            raise ValueError(f"its {name} is {str(facts[name])[:80]!r}")
    if not isinstance(facts.get("flip", True), bool):
        raise ValueError(f"its flip is {str(facts['flip'])[:80]!r}")
    size = facts.get("image_size")
    if size is not None and not (isinstance(size, (list, tuple)) and len(size) == 2
                                 and all(isinstance(edge, int) and 1 <= edge <= _LARGEST for edge in size)):
        raise ValueError(f"its image_size is {str(size)[:80]!r}")
    threshold = facts.get("threshold")
    if threshold is not None and not (isinstance(threshold, (int, float)) and -1 <= threshold <= 1):
        raise ValueError(f"its threshold is {str(threshold)[:80]!r}")
    fpir = facts.get("fpir")
    if fpir is not None and not (isinstance(fpir, (int, float)) and 0 < fpir < 1):
        raise ValueError(f"its fpir is {str(fpir)[:80]!r}")


def network_facts(checkpoint, flip, image_size):
    """Return what the embeddings of a network depend on, for `Gallery.facts`.

    Parameters
    ----------
    checkpoint : mxft.network.checkpoint.Checkpoint
    flip : bool
    image_size : (H, W)
    """
    digest = hashlib.sha256()
    embedding = checkpoint.anatomy.require_embedding()
    used = set(checkpoint.symbol.get_internals()[embedding.name + "_output"].list_inputs())
    for arrays in (checkpoint.arg_params, checkpoint.aux_params):
        for name in sorted(used & set(arrays)):
            digest.update(name.encode() + np.ascontiguousarray(arrays[name].asnumpy(), np.float32).tobytes())
    return {"model": checkpoint.name, "weights": digest.hexdigest(), "flip": bool(flip),
            "image_size": list(image_size)}


def require_same_network(facts, others, what):
    """Refuse (InputError) embeddings that were made by another network, or in another way, than `what`."""
    for name, meaning in (("weights", "network"), ("flip", "flip"), ("image_size", "image_size")):
        if facts.get(name) != others.get(name):
            received = (others.get("model"), facts.get("model")) if name == "weights" else (others.get(name),
                                                                                            facts.get(name))
            raise InputError(f"embeddings cannot be compared: expected the same {meaning} as {what}, "
                             f"{received[1]}, received {meaning}={received[0]}")
