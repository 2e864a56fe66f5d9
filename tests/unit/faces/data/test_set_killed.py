"""A face set whose writer is killed between two of its files: there is a whole set, or none."""
import os

import pytest

from mxft.errors import InputError, MissingFileError
from mxft.faces.data.layout import read_face_set
from mxft.faces.data.set_files import SetFiles
from mxft.faces.data.set_writer import FaceSetWriter
from mxft.files.locks import Lock
from tests.support.images import encoded, noise


class Killed(BaseException):
    """Stands for the signal."""


def write(folder, people):
    with FaceSetWriter(folder) as writer:
        for label in range(people):
            writer.add_identity(label, [(f"{label}/{n}.png", encoded(noise(n, (16, 16)))) for n in range(label + 1)])
        writer.finish([f"person {label}" for label in range(people)], (16, 16))


@pytest.mark.parametrize("before", [0, 2])
def test_at_every_rename_there_is_a_whole_set_or_none(tmp_path, monkeypatch, before):
    folder, replace, appeared = str(tmp_path / "set"), os.replace, []
    if before:
        write(folder, before)
    whole = {2, before} - {0}
    for number in range(5):
        def then_killed(source, target, number=number):
            replace(source, target)
            appeared.append(os.path.basename(target))
            if len(appeared) == number + 1:
                raise Killed

        appeared.clear()
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(os, "replace", then_killed)
            write(folder, 3)
        assert len(appeared) == number + 1
        if number < 4:
            with pytest.raises(MissingFileError, match="is no face training set: expected property, train.rec"):
                SetFiles.find(folder)
        else:
            assert appeared[-1] == "train.rec"
            whole.add(read_face_set(folder).num_classes)
    assert 3 in whole
    write(folder, 3)
    assert sorted(os.listdir(folder)) == ["identities.txt", "property", "train.idx", "train.lst", "train.rec"]


def test_one_process_writes_a_set_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(Lock, "_try", lambda self: False)
    with pytest.raises(InputError, match=r"^face set .*/set is in use by another process; wait until it has ended$"):
        write(str(tmp_path / "set"), 1)
    assert os.listdir(tmp_path) == []
