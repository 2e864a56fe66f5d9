"""SHA256SUMS of a bundle: written over all its files, and held against them; needs no mxnet."""
import os
import re

from mxft.deploy.bundle import SIGNED, SUMS
from mxft.errors import InputError, nearest
from mxft.files.whole import require_file, sha256, whole_file


def write_sums(folder):
    """Write SHA256SUMS of all files in a folder, as ``sha256sum -c`` reads them."""
    names = sorted(os.listdir(folder))
    with whole_file(os.path.join(folder, SUMS), "w") as f:
        f.write("".join(f"{sha256(os.path.join(folder, name))}  {name}\n" for name in names))


def check_sums(folder):
    """Refuse (InputError) a bundle with a file that is missing, added or changed; return how many there are."""
    path = require_file(os.path.join(folder, SUMS), "list of hashes")
    with open(path, encoding="utf-8", errors="replace") as f:
        rows = [re.fullmatch(r"([0-9a-f]{64}) [ *]([^/\\\0]+)", line.rstrip("\n")) for line in f]
    if not rows or None in rows:
        raise InputError(f"{SUMS}: expected a hash and a file name in every line, received line "
                         f"{rows.index(None) + 1 if rows else 0} of {path}")
    listed = {row.group(2): row.group(1) for row in rows}
    present = set(os.listdir(folder)) - {SUMS, SIGNED}
    for name in sorted(listed):
        if not os.path.isfile(os.path.join(folder, name)):
            raise InputError(f"bundle: expected the file {name}, which {SUMS} lists, received none; "
                             f"{nearest(name, sorted(present))}; copy the bundle again")
        received = sha256(os.path.join(folder, name))
        if received != listed[name]:
            raise InputError(f"bundle: expected sha256 {listed[name][:12]} of {name}, received {received[:12]}: it was "
                             "changed or is damaged; copy the bundle again")
    added = sorted(present - set(listed))
    if added:
        raise InputError(f"bundle: expected only files that {SUMS} lists, received {added[0]!r} beside them")
    return len(listed)
