"""Images as people give them to be looked at: files, folders, archives, tables, records, face and verification sets."""
import contextlib
import os
from collections import namedtuple

from mxft.data.pictures import pictures_under
from mxft.files.staging import scratch_folder

Image = namedtuple("Image", ["name", "path", "packed"])
Image.__doc__ = """One image: what it is called, its file, and whether it is a record's, read as it is packed."""


@contextlib.contextmanager
def opened_images(sources):
    """Give the images of several sources as files.

    Parameters
    ----------
    sources : sequence of str
        Files, and whatever `mxft.data.pictures.pictures_under` takes; ``.rec`` files, face sets, ``.bin`` files, whose
        images are unpacked for as long as this lasts.

    Yields
    ------
    list of Image
        Of records in the order of their keys, called ``val.rec:cat/0001.jpg``.

    Raises
    ------
    InputError
        A source without images, or damaged records.
    """
    with scratch_folder("images") as scratch:
        images = []
        for number, source in enumerate(sources):
            path = os.path.expanduser(os.fspath(source))
            images += (_of_records(source, path, os.path.join(scratch, str(number))) if is_packed(path) else
                       [Image(found, found, False) for found in pictures_under(source)])
        yield images


def is_packed(path):
    """Whether a path is a record file, a face set or a verification set: images packed as a network reads them.

    Parameters
    ----------
    path : str
    """
    from mxft.faces.data.plain_records import is_face_set

    return (path.lower().endswith((".rec", ".bin")) and not os.path.isdir(path)) or is_face_set(path)


def _of_records(source, path, folder):
    """Return the images of records, unpacked into a folder."""
    from mxft.faces.data.unpacking import unpack

    unpack(path, folder, show=False)
    found = [os.path.relpath(os.path.join(place, name), folder) for place, _, names in os.walk(folder)
             for name in names if place != folder]
    return [Image(f"{source}:{name}", os.path.join(folder, name), True)
            for name in sorted(found, key=lambda name: (os.path.basename(name), name))]
