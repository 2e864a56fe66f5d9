"""Where a bundle lies: its folder, or a .tar that is unpacked for as long as it is used; needs no mxnet."""
import contextlib
import os
import tarfile

from mxft.deploy.bundle import SIGNATURE, SUMS
from mxft.errors import InputError
from mxft.files.archive import extract_tar, only_child
from mxft.files.staging import scratch_folder


def is_bundle(path):
    """Whether `path` is a file, which can only be a bundle's .tar, or a folder with a bundle's files in it."""
    return os.path.isfile(path) or any(os.path.isfile(os.path.join(path, name)) for name in (SIGNATURE, SUMS))


@contextlib.contextmanager
def opened_bundle(path):
    """Yield the folder of a bundle; a .tar is unpacked into a temporary one, after its members were looked at."""
    if not os.path.isfile(path):
        yield path
        return
    if not (tarfile.is_tarfile(path) or os.fspath(path).endswith(".tar")):
        raise InputError(f"model cannot be opened: expected a folder, PREFIX,EPOCH, or the .tar of a bundle, received "
                         f"model={os.fspath(path)!r}, a file that is no tar archive")
    with scratch_folder("bundle") as folder:
        yield only_child(extract_tar(path, os.path.join(folder, "bundle"), progress=False))
