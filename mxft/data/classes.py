"""The class map: a text file with one class name a line, whose line number (from 0) is the label."""
from mxft.errors import InputError, nearest
from mxft.files.whole import require_file, whole_file


def read_classes(path, unique=True):
    """Return the names in a class map, in order of label.

    Parameters
    ----------
    path : str
        UTF-8 text. An empty line or a name that stands twice is refused: either would shift or merge labels.
    unique : bool
        False lets names stand twice, as ImageNet's crane, the bird and the machine.

    Returns
    -------
    list of str

    Examples
    --------
    >>> write_classes("/tmp/mxft-example.classes.txt", ["cat", "dog"])
    >>> read_classes("/tmp/mxft-example.classes.txt")
    ['cat', 'dog']
    """
    with open(require_file(path, "class map"), encoding="utf-8", errors="surrogateescape") as f:
        names = [line.rstrip("\r\n") for line in f]
    seen = {}
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise InputError(f"bad class map {path}, line {number}: expected a class name on every line, "
                             f"received {name!r}")
        if name in seen and unique:
            raise InputError(f"bad class map {path}, line {number}: expected each class once, received {name!r} "
                             f"again after line {seen[name]}")
        seen[name] = number
    if not names:
        raise InputError(f"class map is empty: expected one class name a line, received {path} with none")
    return names


def write_classes(path, names):
    """Write a class map, whole or not at all; refuse a name that would be two lines of it."""
    for name in names:
        if "\n" in name or "\r" in name:
            raise InputError(f"class name does not fit into {path}: expected one line, received {name!r}; rename its "
                             "folder")
    with whole_file(path) as f:
        f.write("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def class_number(name, numbers, path):
    """Return the label of `name` in `numbers` (dict from class name to label), read from the class map at `path`."""
    if name not in numbers:
        raise InputError(f"class folder is not in the class map: expected one of the {len(numbers)} names in {path}, "
                         f"received {name!r}; {nearest(name, numbers)}; leave the folder out with `exclude` or add "
                         "its name as the map's last line")
    return numbers[name]
