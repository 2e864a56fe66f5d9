"""What is said to whom has pictures that cannot be read as they lie: what is there instead, and what to do about it."""
import os

from mxft.data.picture_files import is_picture
from mxft.data.picture_folders import TABLES, entries, pictures_below
from mxft.errors import InputError
from mxft.wording import some

ARCHIVES = (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".zip")
_SHEETS = (".xlsx", ".xls", ".ods", ".numbers")
_OTHER_LABELS = (*_SHEETS, ".json", ".jsonl", ".xml", ".txt", ".parquet", ".mat", ".yaml", ".yml")
_OTHER_ARCHIVES = (".rar", ".7z", ".gz", ".bz2", ".xz", ".zst")


def unlabelled(source, root):
    """Return how pictures without labels lie, and what would label them.

    Parameters
    ----------
    source : str
        The path that was given.
    root : str
        The folder the pictures lie in.

    Returns
    -------
    str
        Behind the number of pictures: ``"without; put each class into a folder of its own, or give `labels` TABLE"``.
    """
    path = os.path.expanduser(source)
    folder = os.path.abspath(path)
    inner = os.path.relpath(root, folder) if os.path.isdir(folder) else "."
    if not inner.startswith("."):
        return (f"of one class alone, {inner}; put each further class into a folder of its own beside it, or give "
                "`labels` TABLE")
    above = os.path.dirname(folder)
    beside = [name for name in entries(above)[0] if pictures_below(os.path.join(above, name), deep=False)]
    if len(beside) > 1 and os.path.basename(folder) in beside:
        named = above if os.path.isabs(path) else os.path.relpath(above)
        return f"of one class alone: it is one of {len(beside)} folders with pictures in {named}; give {named}"
    unread = [name for name in entries(root)[1] if name.lower().endswith(_OTHER_LABELS)]
    if unread:
        return f"without; {some(unread)} there is not read: save it as CSV, a picture's name and its class in each row"
    return "without; put each class into a folder of its own, or give `labels` TABLE"


def refuse_file(path):
    """Refuse (InputError) a file that is neither a table nor an archive, with what takes it.

    Parameters
    ----------
    path : str
    """
    ending = os.path.splitext(path)[1].lower()
    known = f"pictures: expected a folder, a table or an archive, received {path!r}"
    if ending in (".rec", ".idx"):
        raise InputError(f"{known}, a record file; mxft finetune takes it with `train`")
    if ending == ".bin":
        raise InputError(f"{known}, a verification set; mxft verify judges a face network on it, mxft unpack makes "
                         "files of its images")
    if ending in _SHEETS:
        raise InputError(f"{known}, a spreadsheet; save it as CSV (UTF-8)")
    if ending in _OTHER_ARCHIVES:
        raise InputError(f"{known}, another kind of archive; unpack it and give the folder, or pack it as .zip or .tar")
    if is_picture(path):
        raise InputError(f"{known}, one picture; give the folder that has a folder of pictures for each class")
    raise InputError(f"pictures: expected a folder, a table ({', '.join(TABLES)}) or an archive "
                     f"({', '.join(ARCHIVES)}), received {path!r}")
