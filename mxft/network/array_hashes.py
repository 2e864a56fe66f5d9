"""A hash of every array in a ``.params`` file: which arrays are not what was saved, down to one flipped bit.

BLAKE2b, 8 bytes for an array: no attack is kept off, but what disks, memories and copies do to files is noticed. 100 MB
take some 75 ms; SHA-256 takes 50 where the processor has instructions for it, and 250 where it has none.
"""
import dataclasses
import hashlib
import os

from mxft.network.params_file import array_spans

_BYTES = 8
_DIGITS = 2 * _BYTES
FRAME = "(header or names)"  # what of the file belongs to no array


@dataclasses.dataclass(frozen=True)
class ArrayHashes:
    """The hashes of a ``.params`` file.

    Parameters
    ----------
    names : tuple of str
        Of the arrays, in the file's order.
    digits : str
        16 hex digits for all that belongs to no array, then 16 for each array, its type, shape and numbers.
    """

    names: tuple
    digits: str

    @classmethod
    def of_file(cls, path):
        """Return the hashes of a file; DamagedFile where its lengths do not add up to its size."""
        names, spans = array_spans(path)
        begin, end = (spans[0][0], spans[-1][1]) if spans else (24, 24)
        with open(path, "rb") as f:
            frame = _digest(f, [(0, begin), (end, os.path.getsize(path))])
            digits = frame + "".join(_digest(f, [span]) for span in spans)
        return cls(tuple(names or map(str, range(len(spans)))), digits)

    @property
    def is_sound(self):
        """Whether it has the form `of_file` gives it: it may be read from anywhere."""
        return (all(isinstance(name, str) for name in self.names) and isinstance(self.digits, str)
                and len(self.digits) == _DIGITS * (len(self.names) + 1))

    def differing(self, other):
        """Return the names of the arrays that are in one of the two only, or of which the hashes differ.

        Examples
        --------
        >>> saved = ArrayHashes(("a", "b"), "0" * 48)
        >>> saved.differing(ArrayHashes(("a", "b"), "0" * 47 + "1"))
        ['b']
        """
        mine, others = self._by_name(), other._by_name()
        return [name for name in {**mine, **others} if mine.get(name) != others.get(name)]

    def _by_name(self):
        rows = [self.digits[at:at + _DIGITS] for at in range(0, len(self.digits), _DIGITS)]
        return dict(zip((*self.names, FRAME), (*rows[1:], rows[0])))


def name_arrays(names, most=3):
    """Return names of arrays for a message, the most telling first: ``"fc1_weight and 2 more"``."""
    names = [name for name in names if name != FRAME] or list(names)
    shown = ", ".join(name if len(name) <= 80 else name[:80] + " …" for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")


def _digest(file, spans, block=1 << 20):
    digest = hashlib.blake2b(digest_size=_BYTES)
    for begin, end in spans:
        file.seek(begin)
        for at in range(begin, end, block):
            digest.update(file.read(min(block, end - at)))
    return digest.hexdigest()
