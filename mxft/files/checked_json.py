"""JSON objects that carry a checksum of their own content: a flipped bit is noticed, a new layout is not."""
import hashlib
import json

from mxft.errors import InputError
from mxft.files.whole import read_object, whole_file

CHECKSUM = "checksum"


class ChangedContent(InputError):
    """A JSON file whose content is not what its checksum was made of (exit 2)."""


def content_hash(text):
    """Return the BLAKE2b of a JSON text's content, as 32 hex digits.

    Parameters
    ----------
    text : str
        JSON. The checksum of an object is left out of it.

    Returns
    -------
    str
        Blanks, line ends and the order of keys do not count. Numbers do as they are written: ``1.0`` is not ``1``.

    Raises
    ------
    ValueError
        The text is no JSON.

    Examples
    --------
    >>> content_hash('{"a": 1.0, "b": 2}') == content_hash('{"b":2,"a":1.0}')
    True
    >>> content_hash('{"a": 1.0}') == content_hash('{"a": 1.5}')
    False
    """
    marked = {name: lambda number, name=name: [name, number] for name in ("float", "int", "constant")}
    content = json.loads(text, parse_float=marked["float"], parse_int=marked["int"], parse_constant=marked["constant"])
    if isinstance(content, dict):
        content.pop(CHECKSUM, None)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(canonical.encode(), digest_size=16).hexdigest()


def write_checked(path, value):
    """Write a dict as `mxft.files.whole.write_json` does, with the checksum of its content as the last entry."""
    value = {key: entry for key, entry in value.items() if key != CHECKSUM}
    text = json.dumps({**value, CHECKSUM: content_hash(json.dumps(value))}, indent=2, ensure_ascii=False)
    with whole_file(path, "w") as f:
        f.write(text + "\n")


def read_checked(path, what, marks=(), advice=lambda: "restore it from a copy",
                 otherwise="restore it from a copy"):
    """Return the JSON object in a file without its checksum, once that fits.

    Parameters
    ----------
    path, what : str
        See `mxft.files.whole.read_object`.
    marks : sequence of str
        Entries that only stand beside a checksum: one that is missing then was damaged.
    advice : callable
        ``() -> str``, the end of the message about a changed content.
    otherwise : str
        The end of that about a file that is no JSON object.

    Returns
    -------
    dict
        An object without checksum, which an earlier mxft or another program wrote, is returned as it is.

    Raises
    ------
    ChangedContent
        The content was changed after it was written.
    InputError
        It is no JSON object.
    """
    found = read_object(path, what, otherwise)
    if CHECKSUM in found or any(mark in found for mark in marks):
        with open(path, encoding="utf-8") as f:
            received = content_hash(f.read())
        if found.pop(CHECKSUM, None) != received:
            raise ChangedContent(f"{what} is damaged or was edited: expected the content that its checksum was made "
                                 f"of, received another one in {path}; {advice()}")
    return found
