"""One file of a row: where it goes, who has it, what must be true of it; fetched, or taken from a local copy."""
import os
import shutil
import zipfile
from dataclasses import dataclass, field
from typing import Callable, Optional

from mxft.errors import InputError
from mxft.files.download import fetch, flaw
from mxft.files.whole import require_file, require_folder, require_space, sha256, whole_file


@dataclass(frozen=True, eq=False)
class Part:
    """A file of the zoo.

    Parameters
    ----------
    path : str
        Where it goes; its last name is what it is called in messages.
    urls : tuple of str
        Its addresses in the order to ask them; empty for one that can only be handed over.
    size : int, optional
        Bytes.
    hashes : dict of str to str
        Hex digests by algorithm; each must agree.
    check : callable, optional
        As in `mxft.zoo.checks`.
    """

    path: str
    urls: tuple = ()
    size: Optional[int] = None
    hashes: dict = field(default_factory=dict)
    check: Optional[Callable] = None

    @property
    def name(self):
        return os.path.basename(self.path)

    @property
    def suffix(self):
        return os.path.splitext(self.path)[1]

    def fetch(self, progress, hint):
        """Fetch it, unless it is there already, and return its path; see `mxft.files.download.fetch`."""
        return fetch(self.urls, self.path, self.size, progress=progress, hint=hint, check=self.check, **self.hashes)

    def verified(self, copy):
        """Return the path of a local copy; one that is not the file is refused and left as it is."""
        copy = require_file(copy, "local copy")
        wrong = flaw(copy, self.size, self.hashes, self.check)
        if wrong:
            raise InputError(f"local copy of {self.name}: {copy}: {wrong}; it was left as it is")
        return copy

    def take(self, copy):
        """Copy a local file that was verified to `path`, whole or not at all, and return `path`."""
        if not os.path.exists(self.path):
            require_folder(os.path.dirname(self.path))
            require_space(os.path.getsize(copy), os.path.dirname(self.path), f"for {self.name}")
            with open(copy, "rb") as f, whole_file(self.path) as out:
                shutil.copyfileobj(f, out, 1 << 20)
        elif sha256(self.path) != sha256(copy):
            raise InputError(f"local copy of {self.name}: expected the file that stands at {self.path} already, "
                             f"received another, {copy}; move away or delete the one that stands there, then run the "
                             "same command again")
        return self.path


def unpack(packed, member, path):
    """Write one member of a zip archive to `path`, whole or not at all, and return `path`; its own name is not used."""
    with zipfile.ZipFile(packed) as archive:
        folder = require_folder(os.path.dirname(path))
        require_space(archive.getinfo(member).file_size, folder, f"for {os.path.basename(path)}")
        with archive.open(member) as source, whole_file(path) as out:
            shutil.copyfileobj(source, out, 1 << 20)
    return path


def handed_over(files, ways, name):
    """Return ``[(part, file)]``: which of the local `files` is which part of row `name`, told by their endings.

    Parameters
    ----------
    files : sequence of str
    ways : sequence of tuples of Part
        The sets of files the row can be made of.
    name : str

    Raises
    ------
    InputError
        The endings are those of none of the sets.
    """
    for parts in ways:
        by_ending = {os.path.splitext(file)[1].lower(): file for file in files}
        if len(files) == len(parts) and set(by_ending) == {part.suffix for part in parts}:
            return [(part, by_ending[part.suffix]) for part in parts]
    raise InputError(f"`file`: expected {described(ways)} of {name}, received {', '.join(map(str, files)) or 'none'}")


def described(ways):
    """Return sets of files as text: ``"a.zip, or b.json and b.params"``."""
    return ", or ".join(" and ".join(part.name for part in parts) for parts in ways)
