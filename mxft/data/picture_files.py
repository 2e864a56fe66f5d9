"""Which files are pictures, told by their first bytes where the name does not say, and where a listed one lies."""
import functools
import os
import unicodedata

PICTURE_ENDINGS = (".jpeg", ".jpg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif",
                   ".jp2", ".pbm", ".pgm", ".ppm", ".pnm")
HEIC_ENDINGS = (".heic", ".heif")
_NEVER = (".csv", ".tsv", ".txt", ".lst", ".json", ".xml", ".md", ".rec", ".idx", ".params", ".npz", ".npy", ".py",
          ".mat", ".html", ".pdf", ".db", ".ini", ".yml", ".yaml")
_SIGNATURES = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"), (b"GIF87a", "GIF"), (b"GIF89a", "GIF"),
               (b"BM", "BMP"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"II+\0", "TIFF"), (b"MM\0+", "TIFF"),
               (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"))
_PORTABLE_MAPS = {b"P1": "PBM", b"P2": "PGM", b"P3": "PPM", b"P4": "PBM", b"P5": "PGM", b"P6": "PPM"}
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"hevc": "HEIC", b"heim": "HEIC",
           b"heis": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}
_BESIDE = ("", "images", "image", "imgs", "img", "photos", "pictures", "train", "jpg", "data")


def picture_format(data):
    """Return the format that the first bytes of a file announce, None of what is no picture.

    Parameters
    ----------
    data : bytes
        The first 32 are enough.

    Returns
    -------
    str or None
        ``"JPEG"``, ``"PNG"``, ``"WebP"``, ``"AVIF"``, ``"HEIC"`` …

    Examples
    --------
    >>> picture_format(b"RIFF....WEBPVP8 "), picture_format(b"index,label")
    ('WebP', None)
    """
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at:at + 4] for at in range(16, len(data) - 3, 4))]
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    if data[:2] in _PORTABLE_MAPS and data[2:3].isspace():
        return _PORTABLE_MAPS[data[:2]]
    return None


def is_picture(path):
    """Whether a file is a picture: its name ends as one's does, or its first bytes announce one.

    Hidden files, and those that macOS and Windows put beside photographs, are none.

    Parameters
    ----------
    path : str

    Examples
    --------
    >>> is_picture("README.md")
    False
    """
    name = os.path.basename(path)
    if is_hidden(name):
        return False
    ending = os.path.splitext(name)[1].lower()
    if ending in PICTURE_ENDINGS + HEIC_ENDINGS:
        return os.path.isfile(path)
    if ending in _NEVER or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as f:
            return picture_format(f.read(32)) is not None
    except OSError:
        return False


def is_hidden(name):
    """Whether a file or folder of this name is not the user's own: ``.DS_Store``, ``._1.jpg``, ``__MACOSX``."""
    return name.startswith(".") or name in ("__MACOSX", "Thumbs.db", "desktop.ini", "@eaDir")


def found_path(root, path):
    """Return the path below a folder under which a listed picture lies, or None.

    Tried are the path as it stands, with ``/`` for ``\\``, without blanks at its ends; as tables name pictures by their
    number, with an image's ending behind it; and, as tables travel between systems, in other case and with letters
    composed in the other of Unicode's ways, where one file alone is called so.

    Parameters
    ----------
    root, path : str

    Returns
    -------
    str or None
    """
    for candidate in dict.fromkeys((path, path.replace("\\", "/"), path.strip(), path.strip().replace("\\", "/"))):
        if candidate and os.path.isfile(os.path.join(root, candidate)):
            return candidate
    base = path.strip().replace("\\", "/")
    for ending in PICTURE_ENDINGS[:2] + (".png",) if base else ():
        for candidate in (base + ending, base + ending.upper()):
            if os.path.isfile(os.path.join(root, candidate)):
                return candidate
    return _called_alike(root, base) if base and ".." not in base.split("/") else None


def _called_alike(root, path):
    """Return the path of the one file whose folders and name are the same but for case and composition, or None."""
    found = ""
    for part in filter(None, path.split("/")):
        if part == ".":
            continue
        here = os.path.join(root, found)
        try:
            same = _alike(here, os.stat(here).st_mtime_ns).get(_folded(part), ())
        except OSError:
            return None
        if len(same) != 1:
            return None
        found = os.path.join(found, same[0])
    return found if found and os.path.isfile(os.path.join(root, found)) else None


@functools.lru_cache(maxsize=64)
def _alike(folder, changed):
    """Return {folded name: names} of a folder, as it was at a time of change."""
    names = {}
    for name in os.listdir(folder):
        names.setdefault(_folded(name), []).append(name)
    return names


def _folded(name):
    return unicodedata.normalize("NFC", name).casefold()


def root_of(paths, folder, sample=20):
    """Return the folder below which listed pictures lie: `folder` itself, or one in it, as ``images`` or ``train``.

    Parameters
    ----------
    paths : sequence of str
    folder : str
    sample : int
        How many paths are looked for, spread over all.

    Returns
    -------
    str or None
        None where no candidate has any of them.
    """
    own = [name for name in sorted(os.listdir(folder)) if os.path.isdir(os.path.join(folder, name))
           and not is_hidden(name)]
    ordered = [name for name in _BESIDE if not name or name in own] + [name for name in own if name not in _BESIDE]
    looked_for = paths[::max(1, len(paths) // sample)]
    best, most = None, 0
    for name in ordered:
        root = os.path.join(folder, name) if name else folder
        found = sum(found_path(root, path) is not None for path in looked_for)
        if found > most:
            best, most = root, found
    return best
