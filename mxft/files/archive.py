"""Tar and zip archives: unpacked whole or not at all, after every member was looked at; a tar written the same always.

Stands where the tutorial says ``tar -xf``. Python's own ``filter="data"`` (PEP 706) is missing from the older of the
Pythons mxft supports, so the rules are checked here, the same on all of them.
"""
import contextlib
import json
import logging
import lzma
import os
import re
import shutil
import tarfile
import zipfile
import zlib

from mxft.errors import InputError, MissingFileError, last_line
from mxft.files.staging import staging_folder
from mxft.files.whole import require_file, require_folder, require_space, sha256, write_json
from mxft.machine.bars import is_watched, open_bar

LOG = logging.getLogger("mxft")

MAX_FILES = 2_000_000
LEAST_FILES, BYTES_A_FILE = 10_000, 32  # of a small archive: a member takes more than so many bytes, compressed
MAX_RATIO = 100
MAX_DEPTH = 100                  # folders within each other
MAX_HEADER = 1 << 20             # bytes of a long name or of PAX headers; tarfile reads them in one piece
_HEADERS = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE)
# tarfile stumbles over damaged PAX headers in ways of its own: ValueError, KeyError, TypeError, OverflowError …
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, RuntimeError, EOFError, zlib.error, lzma.LZMAError, OSError,
           ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


def extract_tar(path, folder, progress=True):
    """Unpack the tar archive `path` into the new folder `folder` and return `folder`.

    Parameters
    ----------
    path : str or os.PathLike
        A ``.tar``, ``.tar.gz``, ``.tar.bz2`` or ``.tar.xz``, or a zip, whatever they are called. It is read, never
        changed.
    folder : str or os.PathLike
        Must not exist yet, or be empty, or stand there from the same archive: then nothing is done. Which archive a
        folder came from is kept beside it, in ``folder.mxft.json``.
    progress : bool
        Draw a bar where stderr is a terminal.

    Returns
    -------
    str
        `folder`. Members keep their paths inside it.

    Raises
    ------
    InputError
        The archive is cut short or none; a member is a sparse file or points out of the folder; there are more than
        MAX_FILES members or their sizes add up to more than MAX_RATIO times the archive; the disk is too small; or
        `folder` holds something else. Nothing is left behind.

    Notes
    -----
    Links, devices and other special members are left out and counted on stderr: a stray one among photographs is no
    reason to stop, and none is ever created.

    Owners, permissions and times of the members are not restored. That nothing inside `folder` was removed since it
    was unpacked is not checked.

    Examples
    --------
    >>> extract_tar("256_ObjectCategories.tar", "caltech256")   # doctest: +SKIP
    'caltech256'
    """
    path, folder = require_file(path, "archive"), os.fspath(folder).rstrip("/") or "/"
    if _is_unpacked(path, folder):
        return folder
    require_folder(os.path.dirname(os.path.abspath(folder)))
    with staging_folder(folder) as staging:
        files = _unpack(path, staging, progress)
        os.chmod(staging, 0o755)
        # The marker first: a folder without one could not be told from one that mxft did not make.
        write_json(_marker(folder), {**_fingerprint(path), "sha256": sha256(path), "files": files})
        try:
            os.replace(staging, folder)
        except OSError:  # another process has unpacked it in the meantime
            if not _is_unpacked(path, folder):
                raise
    return folder


def extract_once(path, parent):
    """Unpack an archive below `parent` into a folder named by the archive and its hash; return that folder.

    Parameters
    ----------
    path, parent : str
        See `extract_tar`; `parent` is made.
    """
    os.makedirs(parent, exist_ok=True)
    return extract_tar(path, os.path.join(parent, f"{os.path.basename(path)}-{sha256(path)[:16]}"))


def write_tar(folder, path):
    """Write `folder` as the tar archive `path`, its members below the folder's own name.

    Owners, permissions and times are left out and the names are in order: the same files give the same bytes.

    Parameters
    ----------
    folder, path : str
        `path` is written to; see `mxft.files.whole.whole_path`.
    """
    def anonymous(member):
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.isdir() else 0o644
        return member

    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.add(folder, os.path.basename(os.path.abspath(folder)), filter=anonymous)  # in the order of names


def only_child(folder):
    """Return the one folder inside `folder` when it holds nothing else, otherwise `folder` itself.

    Most archives have a single top folder, as ``256_ObjectCategories/`` in Caltech-256.
    """
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    return entries[0].path if len(entries) == 1 and entries[0].is_dir() else os.fspath(folder)


def folder_of(source, work, what="photographs"):
    """Return the folder behind a folder, or behind a tar or zip, which is unpacked below `work` once; a table as it is.

    Parameters
    ----------
    source : str
    work : str
    what : str
        For the message. Only photographs may be named by a table.

    Raises
    ------
    MissingFileError
        There is none of these.
    InputError
        See `extract_tar`.

    Examples
    --------
    >>> folder_of("256_ObjectCategories.tar", "data-cache")     # doctest: +SKIP
    'data-cache/256_ObjectCategories/256_ObjectCategories'
    """
    source = os.path.expanduser(source)
    if os.path.isdir(source):
        return only_child(source)
    if not os.path.isfile(source):
        kinds = "a folder, a table, a tar or a zip" if what == "photographs" else "a folder, a tar or a zip"
        raise MissingFileError(f"{what} are missing: expected {kinds}, received {source!r}")
    if what == "photographs" and source.lower().endswith((".csv", ".tsv", ".lst")):
        return source
    name = re.sub(r"\.(zip|tgz|tar(\.\w+)?)$", "", os.path.basename(source), flags=re.IGNORECASE)
    return only_child(extract_tar(source, os.path.join(work, name)))


def _marker(folder):
    return os.path.abspath(folder) + ".mxft.json"


def _fingerprint(path):
    status = os.stat(path)
    return {"archive": os.path.basename(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_unpacked(path, folder):
    """Whether `folder` stands complete from this archive; a folder that holds something else is refused."""
    if not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder)):
        return False
    now = _fingerprint(path)
    try:
        with open(_marker(folder), encoding="utf-8") as f:
            kept = json.load(f)
        if kept["size"] == now["size"] and (kept["mtime_ns"] == now["mtime_ns"] or kept["sha256"] == sha256(path)):
            return True
        came_from = f"one unpacked from another archive, {kept['archive']} of {kept['size']:,} bytes"
    except (OSError, ValueError, KeyError, TypeError):
        came_from = "one that mxft did not unpack"
    raise InputError(f"cannot unpack {path} into {folder}: expected a folder that does not exist yet, received "
                     f"{came_from}; name another folder, move this one away, or give the folder itself in place of "
                     "the archive")


class _Member(tarfile.TarInfo):
    """A member whose long name or PAX headers are read only where they are no longer than such are."""

    def _proc_member(self, archive):
        if self.type in _HEADERS and not 0 <= self.size <= MAX_HEADER:
            raise tarfile.ReadError(f"a name or header of {self.size:,} bytes")
        return super()._proc_member(archive)


def _is_tar(path):
    try:
        tarfile.open(path, tarinfo=_Member).close()
    except _BROKEN:
        return False
    return True


def _unpack(path, staging, progress):
    """Check all members, then write them below `staging`; return how many files there are."""
    try:
        if zipfile.is_zipfile(path) and not _is_tar(path):
            return _unpack_zip(path, staging, progress)
        with tarfile.open(path, tarinfo=_Member) as archive:
            members, skipped = _read_members(archive, path)
            require_space(sum(m.size for m in members), os.path.dirname(staging), f"to unpack {path}")
            _write_members(archive, members, staging, progress)
        if skipped:
            LOG.warning(f"skipped {len(skipped)} links or special files of {path}, which are never created: the first "
                        f"is {skipped[0].name!r}")
        return sum(m.isreg() for m in members)
    except InputError:
        raise
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"cannot unpack {path}: {error.strerror.lower()}, at {error.filename}") from None
        raise InputError(f"cannot unpack {path}: expected a whole tar or zip archive, received one that is cut short "
                         f"or damaged ({last_line(error)}); compare its size with the publisher's, delete it and fetch "
                         "it again") from None


def _read_members(archive, path):
    """Return the files and folders in order after holding each against the rules, and the members to be left out."""
    limit = MAX_RATIO * os.path.getsize(path) + (1 << 20)
    most = min(MAX_FILES, LEAST_FILES + os.path.getsize(path) // BYTES_A_FILE)
    members, skipped = [], []
    for member in archive:
        wrong = _broken_rule(member)
        if wrong:
            raise InputError(f"will not unpack {path}: expected plain files and folders inside it, received member "
                             f"{member.name!r}, which {wrong}")
        plain = member.isreg() or member.isdir()
        (members if plain else skipped).append(member)
        # where the next header stands: headers and what is skipped are unpacked too, to be passed over
        if len(members) + len(skipped) > most or archive.offset > limit:
            raise InputError(f"will not unpack {path}: expected at most {most:,} members and {limit:,} bytes "
                             f"({MAX_RATIO} times the archive), received more at member {member.name!r}")
    # tarfile takes an archive that stops after a member, or continues with garbage, for a complete one.
    archive.fileobj.seek(archive.offset)
    if archive.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("the zero block that ends it is missing")
    return members, skipped


def _unpack_zip(path, staging, progress):
    """Do for a zip what `_unpack` does for a tar."""
    limit = MAX_RATIO * os.path.getsize(path) + (1 << 20)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        for member in members:
            wrong = _broken_name(member.filename) or ("is encrypted" if member.flag_bits & 1 else None)
            if wrong:
                raise InputError(f"will not unpack {path}: expected plain files and folders inside it, received member "
                                 f"{member.filename!r}, which {wrong}")
        total = sum(member.file_size for member in members)
        if len(members) > MAX_FILES or total > limit:
            raise InputError(f"will not unpack {path}: expected at most {MAX_FILES:,} members and {limit:,} bytes "
                             f"({MAX_RATIO} times the archive), received {len(members):,} members and {total:,} bytes")
        require_space(total, os.path.dirname(staging), f"to unpack {path}")
        for member in _with_bar(members, lambda member: member.file_size, progress):
            target = os.path.join(staging, os.path.normpath(member.filename.replace("\\", "/")))
            if member.is_dir():
                os.makedirs(target, exist_ok=True)
                continue
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with archive.open(member) as source, open(target, "wb") as out:  # a link is a file that holds a name
                shutil.copyfileobj(source, out, 1 << 20)
    return sum(not member.is_dir() for member in members)


def _with_bar(members, size, progress):
    """Yield members under a bar of their sizes."""
    with open_bar(total=sum(map(size, members)), unit="B", unit_scale=True, unit_divisor=1024, leave=False,
                  desc="unpacking", disable=not (progress and is_watched())) as bar:
        for member in members:
            yield member
            bar.update(size(member))


def _broken_rule(member):
    """Return which rule the member breaks, in words, or None."""
    return _broken_name(member.name) or ("is a sparse file" if member.issparse() else None)


def _broken_name(name):
    """Return which rule a member's name breaks, in words, or None."""
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in name.split("/"):
        return "points out of the folder with '..'"
    if "\0" in name or name.count("/") > MAX_DEPTH:
        return "has a zero byte in its name" if "\0" in name else f"lies deeper than {MAX_DEPTH} folders"
    return None


def _write_members(archive, members, staging, progress):
    for member in _with_bar(members, lambda member: member.size, progress):
        target = os.path.join(staging, os.path.normpath(member.name.replace("\\", "/")))
        if member.isdir():
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with contextlib.closing(archive.extractfile(member)) as source, open(target, "wb") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        if os.path.getsize(target) != member.size:
            raise tarfile.ReadError(f"{member.name} ends early")
