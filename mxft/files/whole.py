"""Files that appear whole or not at all, and the hashes that name their contents."""
import contextlib
import hashlib
import json
import os
import shutil

from mxft.errors import InputError, MissingFileError, nearest
from mxft.files.locks import try_lock
from mxft.files.staging import claim_file, claim_folder

SPARE_BYTES = 16 << 20
MOST_JSON = 16 << 20  # bytes; a manifest of 100,000 classes has 2 MB, and Python takes forty times as much


@contextlib.contextmanager
def whole_path(path):
    """Yield a temporary neighbour of `path` to be written by name; rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : str or os.PathLike
        The final name. Its folder is created where it is missing.

    Yields
    ------
    str
        The temporary name: fsynced before the rename. On an exception it is removed and whatever stood under
        `path` before is untouched. What a killed process has left of it, the next one removes: see
        `mxft.files.staging`.
    """
    path = os.path.abspath(os.fspath(path))
    require_folder(os.path.dirname(path))
    temporary, handle = claim_file(path)
    try:
        yield temporary
        _fsync(temporary)
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno is not None and error.filename in (None, temporary):
            error.filename = path  # a full disk does not say where
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def whole_file(path, mode="wb"):
    """Open `path` for writing so that it appears whole when the block succeeds, or not at all (see `whole_path`).

    Parameters
    ----------
    path : str or os.PathLike
        The final name.
    mode : {"wb", "w"}
        Binary, or UTF-8 text with ``\\n`` line ends.

    Yields
    ------
    file object

    Examples
    --------
    >>> with whole_file("/tmp/mxft-example.txt", "w") as f:
    ...     _ = f.write("all of it")
    """
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    with whole_path(path) as temporary, open(temporary, mode, **text) as f:
        yield f


def _fsync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def require_folder(path):
    """Create the folder `path` if needed and refuse it (exit 2) where it cannot be written to."""
    path = os.path.abspath(path)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {path}: expected a folder that can be created, "
                         f"received {error.strerror.lower()}") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {path}: expected a writable folder, received one that is read-only")
    return path


def require_space(needed, folder, purpose):
    """Refuse (exit 2) a `folder` on a disk without room for `needed` bytes and a little more.

    Parameters
    ----------
    needed : int
    folder : str
        Must exist.
    purpose : str
        Completes "the disk is too full …".
    """
    free = shutil.disk_usage(folder).free
    if free < needed + SPARE_BYTES:
        raise InputError(f"the disk is too full {purpose}: expected {needed:,} free bytes in {folder}, received "
                         f"free={free:,}; make room or choose another folder")


def require_file(path, what="file"):
    """Return `path` if it is a readable regular file; otherwise refuse it, naming the nearest neighbour."""
    path = os.fspath(path)
    if os.path.isfile(path):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            raise InputError(f"{what} cannot be read: expected a file that may be read, received {path!r} "
                             f"({(error.strerror or str(error)).lower()})") from None
        return path
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise MissingFileError(f"{what} is missing: expected a file, received {path!r} whose folder does not exist")
    found = nearest(os.path.basename(path), sorted(os.listdir(folder)))
    raise MissingFileError(f"{what} is missing: expected a file, received {path!r}; in that folder {found}")


def write_json(path, value):
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    with whole_file(path, "w") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def read_object(path, what, advice="restore it from a copy"):
    """Return the JSON object in a file as a dict; one that is damaged or something else is refused, as `what`."""
    size = os.path.getsize(path)
    if size > MOST_JSON:
        raise InputError(f"{what} cannot be read: expected at most {MOST_JSON >> 20} MB, received {path} of "
                         f"{size / 2**20:.0f} MB; {advice}")
    try:
        with open(path, encoding="utf-8") as f:
            found = json.load(f)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} cannot be read: expected JSON, received {path} ({error}); {advice}") from None
    if not isinstance(found, dict):
        raise InputError(f"{what} cannot be read: expected a JSON object, received {path} with {type(found).__name__}; "
                         f"{advice}")
    return found


def sha256(path, chunk=1 << 20):
    """Return the SHA-256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for block in iter(lambda: f.read(chunk), b""):
            digest.update(block)
    return digest.hexdigest()


def check_writable(folder, what):
    """Refuse `folder` where it, or the nearest folder above it that exists, does not take a new entry."""
    place = os.path.abspath(folder)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    try:
        trial, handle = claim_folder(os.path.join(place, "mxft-writable"))
        os.close(handle)
        os.rmdir(trial)
    except OSError as error:
        raise InputError(f"{what}: expected a folder that can be written to, received {folder!r} "
                         f"({(error.strerror or str(error)).lower()} in {place})") from None


def lock(file):
    """Return whether nobody else writes to an open file; True where the file system or platform has no locks.

    Parameters
    ----------
    file : file object
        Holds the lock until it is closed; a process that is killed gives it up.
    """
    return try_lock(file) is not False
