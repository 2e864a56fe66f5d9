"""Folders of pictures: which are classes, which pictures are theirs, and what is passed over."""
import os
import re
import unicodedata
from collections import Counter

from mxft.data.picture_files import is_hidden, is_picture
from mxft.errors import InputError
from mxft.wording import plural, some

TABLES = (".csv", ".tsv", ".lst")
_DATE = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}")


def entries(folder):
    """Return the names of folders and of files that are the user's own, sorted."""
    names = [name for name in sorted(os.listdir(folder)) if not is_hidden(name)]
    folders = [name for name in names if os.path.isdir(os.path.join(folder, name))]
    return folders, [name for name in names if name not in set(folders)]


def pictures_below(folder, deep=True):
    """Return the paths below a folder of its pictures, sorted; of the folder alone where not `deep`."""
    found = []
    for path, folders, files in os.walk(folder, followlinks=False):
        folders[:] = [name for name in sorted(folders) if not is_hidden(name)] if deep else []
        found += [os.path.relpath(os.path.join(path, name), folder) for name in sorted(files)
                  if is_picture(os.path.join(path, name))]
    return found


def class_folders(folder, exclude=()):
    """Return {class: [paths below `folder`]} of its folders; of nested ones each innermost folder is a class.

    Where a folder holds pictures itself, those deeper in it are passed over, as in Caltech-256's ``056.dog/greg``.
    Where none does, the innermost folders are the classes, named by their path, unless their names repeat below every
    folder (``dog/2019``, ``cat/2019``): then those are groups within a class. Where the outer folders are dates
    (``2019/dog``, ``2020/dog``), what is in them are the classes.
    """
    own = [name for name in entries(folder)[0] if name not in exclude]
    direct = {name: pictures_below(os.path.join(folder, name), deep=False) for name in own}
    if any(direct.values()):
        found = {name: pictures or pictures_below(os.path.join(folder, name)) for name, pictures in direct.items()}
    else:
        found = {name: pictures_below(os.path.join(folder, name)) for name in own}
        leaves = {name: {os.path.dirname(path) for path in pictures} for name, pictures in found.items()}
        counted = Counter(os.path.basename(leaf) for each in leaves.values() for leaf in each)
        if len(own) > 1 and counted and max(counted.values()) == 1:
            nested = {}
            for name, pictures in found.items():
                for path in pictures:
                    nested.setdefault(f"{name}/{os.path.dirname(path)}".replace(os.sep, "/"), []).append(
                        os.path.basename(path))
            found = nested
        elif counted and all(map(_DATE.fullmatch, own)) and all(leaf and os.sep not in leaf for each in leaves.values()
                                                    for leaf in each):
            return _within_dates(found)
    if not any(found.values()):
        return {}
    return {name: [os.path.join(name, path) for path in pictures] for name, pictures in sorted(found.items())}


def _within_dates(found):
    """Return {class: paths} of ``{date: [class/picture]}``."""
    classes = {}
    for date, pictures in sorted(found.items()):
        for path in pictures:
            classes.setdefault(path.split(os.sep)[0], []).append(os.path.join(date, path))
    return dict(sorted(classes.items()))


def _tops(classes):
    """Return the outermost folders in which the classes' pictures lie, and those of classes without any."""
    return {top for name, paths in classes.items()
            for top in ({path.split(os.sep)[0] for path in paths} or {name.split("/")[0]})}


def notes_of(classes):
    """Return what is said of class folders that may be meant otherwise: groups within them, names that look alike."""
    notes, alike = [], {}
    for name in classes:
        alike.setdefault(unicodedata.normalize("NFC", name).casefold(), []).append(name)
    for same in alike.values():
        if len(same) > 1:
            notes.append(f"{' and '.join(same)} are called alike, and taken as {len(same)} classes")
    tops = _tops(classes)
    inner = {path.split(os.sep)[1] for paths in classes.values() for path in paths if path.count(os.sep) > 1}
    if not tops <= {name.split("/")[0] for name in classes}:
        notes.append(f"folders of dates ({some(sorted(tops), 3)}) are taken together, and those in them are the "
                     "classes")
    elif inner and not any("/" in name for name in classes):
        notes.append(f"folders within the class folders ({some(sorted(inner), 3)}) are taken together")
    return tuple(notes)


def passed_over(folder, classes, files):
    """Return what is said of files that are no pictures of a class."""
    taken = {path for paths in classes.values() for path in paths}
    tops = _tops(classes)
    deeper = [path for name in sorted(tops) for path in
              (os.path.join(name, below) for below in pictures_below(os.path.join(folder, name)))
              if path not in taken]
    beside = [name for name in files if is_picture(os.path.join(folder, name))]
    notes = [f"{plural(len(found), 'picture')} {where} passed over ({some(found)})" for found, where in
             ((beside, "beside the class folders"), (deeper, "deeper than a class folder")) if found]
    nested = any("/" in name for name in classes)
    lost = _lost_links(folder, files, () if nested else tops, taken)
    if lost:
        notes.append(f"{plural(len(lost), 'link')} to nothing passed over ({some(lost)})")
    tables = [name for name in files if name.lower().endswith(TABLES)]
    if tables:
        notes.append(f"{some(tables)} not read: `labels` {tables[0]} would be")
    return tuple(notes)


def _lost_links(folder, files, classes, taken):
    """Return the links that lead nowhere, beside and in the class folders."""
    inside = [os.path.join(name, file) for name in classes if not is_closed(os.path.join(folder, name))
              for file in os.listdir(os.path.join(folder, name)) if os.path.join(name, file) not in taken]
    return [path for path in (*files, *sorted(inside)) if os.path.islink(os.path.join(folder, path))
            and not os.path.exists(os.path.join(folder, path))]


def is_closed(folder):
    """Whether a folder is there that may not be read."""
    try:
        os.listdir(folder)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def require_pictures(folder, source=None):
    """Return the paths of all pictures below a folder, which must have one; `source` is what it is called."""
    found = pictures_below(folder)
    if not found:
        names = [name for _, _, files in os.walk(folder) for name in files if not is_hidden(name)]
        there = Counter(os.path.splitext(name)[1].lower() or "no extension" for name in names)
        listed = ", ".join(f"{count} {ext}" for ext, count in there.most_common(3)) or "no files at all"
        packed = [name for name in names if name.lower().endswith((".zip", ".tar", ".tgz", ".gz", ".7z", ".rar"))]
        raise InputError(f"no pictures in {source or folder}: expected JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF files, "
                         f"found {listed}" + (f"; unpack {packed[0]} first" if packed else ""))
    return found
