"""insightface's MTCNN, the detector its MXNet programs align faces with: three small checkpoints in one folder.

Facts: deploy/mtcnn-model of insightface's repository, 2018 to 2021; sizes and sha256 are those of the files in it.
"""
import os
from dataclasses import dataclass

from mxft.errors import InputError
from mxft.zoo.cache import MIRRORS_VARIABLE, own_mirrors
from mxft.zoo.checks import params_flaw, symbol_flaw
from mxft.zoo.parts import Part
from mxft.zoo.row import Row

_REPOSITORY = ("https://raw.githubusercontent.com/deepinsight/insightface/40feeba37a554a4877465deb856f28f4a3e617a8/"
               "deploy/mtcnn-model/")


@dataclass(frozen=True)
class Cascade(Row):
    """One detector of several networks; `files` are (name, bytes, sha256) of each file."""

    name: str
    about: str
    base: str
    files: tuple
    aliases: tuple = ()

    is_checkpoint = False
    group = "insightface: MXNet face detectors"
    licence = "insightface: MIT, the code; none is stated for the weights"

    @property
    def size(self):
        """Bytes of all files together."""
        return sum(size for _, size, _ in self.files)

    def place(self, folder):
        """Return the detector's folder in the cache `folder`."""
        return os.path.join(folder, "models", self.name)

    def cached(self, folder):
        """Return the detector's folder if every file is in it, otherwise None."""
        return self.place(folder) if all(os.path.exists(part.path) for part in self.parts(folder)) else None

    def parts(self, folder):
        """Return every file."""
        return tuple(Part(os.path.join(self.place(folder), name),
                          (*own_mirrors(f"deploy/mtcnn-model/{name}", name), self.base + name), size,
                          {"sha256": digest}, symbol_flaw if name.endswith(".json") else params_flaw)
                     for name, size, digest in self.files)

    def get(self, folder, progress=True, files=()):
        """Return the detector's folder: what is missing is fetched, or taken over, the first time."""
        parts = self.parts(folder)
        copies = self._handed_over(files, parts) if files else {}
        for part, copy in copies.items():
            part.verified(copy)  # all of them, before one is taken
        for part in parts:
            part.take(copies[part]) if files else part.fetch(progress, self.hint(folder))
        return self.place(folder)

    def digest(self):
        """Return the sha256 of the last file, the largest; each has its own."""
        name, _, digest = self.files[-1]
        return "sha256", digest, f"{name}; each file has its own"

    def _handed_over(self, files, parts):
        """Return {part: file}, told by their names."""
        by_name = {os.path.basename(file): file for file in files}
        if len(files) != len(parts) or set(by_name) != {part.name for part in parts}:
            raise InputError(f"`file`: expected {self.by_hand('')} of {self.name}, received "
                             f"{', '.join(map(str, files))}")
        return {part: by_name[part.name] for part in parts}

    def hint(self, folder):
        """Return how to hand the files over, for messages."""
        return (f"give local copies with mxft zoo get {self.name} --file {self._example(folder)}, or name a mirror in "
                f"{MIRRORS_VARIABLE}")


DETECTORS = (
    Cascade("mtcnn-insightface", "MTCNN (arXiv:1604.02878), boxes and five landmarks, as insightface aligned its "
            "training sets; mxft face-align takes the folder as its detector", _REPOSITORY, (
                ("det1-symbol.json", 5706, "10dd46d9d75187da24a85e5cf87cfe3b3b7c297fc9a1bb87e5ff8b4c937eb3e3"),
                ("det1-0001.params", 27190, "56ef40344eadeb04ca531864694c9fc36c3e54da2fbea1492819735a4be1ec8e"),
                ("det2-symbol.json", 6833, "c3bcb2399a10117fa4f58e3456f3d489432c92d3533a6c67858d62c45af4338b"),
                ("det2-0001.params", 401492, "95ee1ef0b95d286c9442dbc164473fff7fa1464c3f58f77409f821a6aefe612b"),
                ("det3-symbol.json", 8870, "f4f9101ae778de1459def45877441cd48e6adf579da2330843caa4b191e7504d"),
                ("det3-0001.params", 1557176, "d8db611fac080a45adfccbfbabcd46f3f0bb2727dc6011eee5d7d555b405f7dc"))),
)
