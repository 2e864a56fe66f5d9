"""Photographs of people that are to be packed: folders of them, or a list with landmarks; and one of them to a face."""
import os

from mxft.data.images import BadImage
from mxft.data.packing import read_image
from mxft.data.picture_folders import entries, pictures_below
from mxft.errors import InputError, nearest
from mxft.faces.align.landmark_list import ListedFaces, read_landmark_list
from mxft.faces.align.picture import face_of_bytes
from mxft.faces.data.face_images import Face
from mxft.faces.data.plain_records import is_face_set
from mxft.faces.data.sources import FaceFile, FaceSource
from mxft.files.whole import sha256


def photographs_of_people(source, root, exclude, detector):
    """List the photographs of a folder of people, or of a list with landmarks, without opening them.

    Parameters
    ----------
    source : str
        A folder with a folder a person, whose pictures lie at any depth; or a list as
        `mxft.faces.align.landmark_list.read_landmark_list` reads it, with a label in each row.
    root : str or None
        What a list's paths are relative to.
    exclude : iterable of str
        Names of people to leave out.
    detector : callable

    Returns
    -------
    FaceSource
    finder : callable
        The detector, or what knows the list's landmarks.

    Raises
    ------
    InputError
        No people, rows without a label, a name to exclude that is not there.
    """
    if is_face_set(source) or source.lower().endswith(".rec"):
        raise InputError(f"`align`: expected photographs of people, received {source}, a set of faces that are aligned "
                         "and packed; leave it out")
    if os.path.isdir(source):
        if root:
            raise InputError(f"`root`: expected a list, whose paths begin there, received the folder {source}")
        people, finder = {name: pictures_below(os.path.join(source, name)) for name in entries(source)[0]}, detector
        people = {name: [os.path.join(name, path) for path in paths] for name, paths in people.items()}
        root = source
    else:
        rows, _ = read_landmark_list(source)
        for row in rows:
            if row.label is None:
                raise InputError(f"bad row in {source}, line {row.line}: expected the label of a person, received "
                                 f"{row.path!r} without one")
        finder = ListedFaces(rows, root or "", detector, sha256(source))
        people = {}
        for path in finder.paths:
            people.setdefault(finder.label(path), []).append(path)
        people = dict(sorted(people.items(), key=lambda one: (len(one[0]), one[0])))
    for name in exclude:
        if name not in people:
            raise InputError(f"nothing to exclude: expected an identity of {source}, received exclude={name!r}; "
                             f"{nearest(name, people)}")
    people = {name: paths for name, paths in people.items() if name not in exclude}
    if not any(people.values()):
        raise InputError(f"no people in {source}: expected one folder a person with pictures in it, received "
                         f"{len(people)} folders with none")
    files = [FaceFile(number, path) for number, paths in enumerate(people.values()) for path in paths]
    return FaceSource(root or "", list(people), files), finder


def aligned_file(file, root, finder, options):
    """Return the Face of a FaceFile: cut out of its photograph, or with the reason why there is none.

    Parameters
    ----------
    file : FaceFile
    root : str
    finder, options
        See `mxft.faces.align.picture.align_picture`.
    """
    try:
        data, note = face_of_bytes(read_image(os.path.join(root, file.path)), finder, options, file.path)
    except BadImage as error:
        return Face(file.identity, file.path, None, False, str(error))
    return Face(file.identity, file.path, data, False, None, note)
