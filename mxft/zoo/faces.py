"""insightface's checkpoints of the MXNet years: archives with ``model-symbol.json`` and ``model-0000.params``.

Facts: insightface's model zoo (model_zoo/README.md, wiki Model-Zoo: accuracy, where they are handed out), Open Model
Zoo's face-recognition-*-arcface/model.yml of 2019-2020 (archives, Dropbox addresses, size, sha256), and insightface's
Python package 0.1 (model_store.py: addresses, sha1 of the parameters). MS1M refined (v2) is what train.py calls
``emore``. GluonCV has no face networks.
"""
import os
import re
import zipfile
from dataclasses import dataclass
from typing import Optional

from mxft.errors import InputError
from mxft.files.download import FetchError, flaw
from mxft.network.input_spec import InputSpec
from mxft.zoo.cache import MIRRORS_VARIABLE, own_mirrors, say
from mxft.zoo.checks import face_symbol_flaw, params_flaw, retinaface_symbol_flaw
from mxft.zoo.parts import Part, described, handed_over, unpack
from mxft.zoo.row import Row

_PACKAGE = "https://insightface.ai/files/models/"
_LARGEST = 1 << 30


@dataclass(frozen=True)
class FaceModel(Row):
    """One checkpoint for aligned faces of 112x112, RGB, raw 0-255: the graph itself normalises (x - 127.5) / 128.

    `archive` is the zip's name; `size` and `sha256` are those of the archive under `urls`, `sha1` that of the
    parameters in it, each where somebody has published it. `pages` are places that hand it out to people alone.
    `scores` are the published accuracies on LFW, CFP-FP and AgeDB-30.
    """

    name: str
    about: str
    archive: str
    urls: tuple
    scores: tuple = ()
    size: Optional[int] = None
    sha256: Optional[str] = None
    sha1: Optional[str] = None
    pages: tuple = ()
    aliases: tuple = ()

    group = "insightface: MXNet checkpoints for aligned faces"
    licence = "insightface: for non-commercial research only"
    measures = ("LFW", "CFP-FP", "AgeDB-30")
    symbol_flaw = staticmethod(face_symbol_flaw)

    def prefix(self, folder):
        """Return the checkpoint's prefix in the cache `folder`."""
        return os.path.join(folder, "models", self.name, "model")

    def parts(self, folder):
        """Return the archive as it is downloaded."""
        return (self._archive(folder, self.size, {"sha256": self.sha256} if self.sha256 else {}),)

    def ways(self, folder):
        """Return the archive, of which several are about, or the two files that are in it."""
        return ((self._archive(folder, None, {}),), self._files(folder))

    def get(self, folder, progress=True, files=()):
        """Return the checkpoint: from the cache, or fetched and unpacked, or taken over."""
        given = handed_over(files, self.ways(folder), self.name) if files else []
        copies = [(part, part.verified(copy)) for part, copy in given]
        if len(copies) == 2:
            for part, copy in copies:
                part.take(copy)
        elif copies:
            self._tell_another_archive(copies[0][1])
            wrong = self._unpack(copies[0][1], folder)
            if wrong:
                raise InputError(f"local copy of {self.archive}: {copies[0][1]}: {wrong}; it was left as it is")
        elif not self.cached(folder):
            packed = self.parts(folder)[0].fetch(progress, self.hint(folder))
            wrong = self._unpack(packed, folder)
            os.unlink(packed)
            if wrong:
                raise FetchError(self.archive, [(self.archive, f"{wrong}; it was deleted")], self.hint(folder))
        self.add_manifest(folder)
        return self.cached(folder)

    def hint(self, folder):
        """Return where people get the files, and how to hand them over."""
        pages = f"; it is handed out at {', '.join(self.pages)}" if self.pages else ""
        return (f"give a local copy with mxft zoo get {self.name} --file {self.archive}, or the two files in it with "
                f"--file model-symbol.json model-0000.params{pages}; or name a mirror in {MIRRORS_VARIABLE}")

    def by_hand(self, folder):
        """Return the files that can be handed over, and where people get them, as text."""
        pages = f"; handed out at {', '.join(self.pages)}" if self.pages else ""
        return described(self.ways(folder)) + pages

    def digest(self):
        """Return the sha1 of the parameters, or the sha256 of the archive, where one is published."""
        if self.sha1:
            return "sha1", self.sha1, "model-0000.params"
        return ("sha256", self.sha256, self.archive) if self.sha256 else None

    def published(self):
        """Return the published numbers by their measure: of the verification sets the accuracy."""
        return dict(zip(self.measures, self.scores))

    def manifest(self):
        """Return what the checkpoint's manifest says."""
        return {"input": InputSpec((3, 112, 112)).to_dict(), "classes": None, "feature_layer": "fc1", "parent": None,
                "source": f"insightface {self.name}, {self.archive}"}

    def _archive(self, folder, size, hashes):
        location = "models/insightface/" + self.archive
        return Part(os.path.join(os.path.dirname(self.prefix(folder)), self.archive),
                    (*own_mirrors(location, self.archive), *self.urls), size, hashes, _archive_flaw)

    def _files(self, folder):
        prefix = self.prefix(folder)
        return (Part(prefix + "-symbol.json", check=self.symbol_flaw),
                Part(prefix + "-0000.params", hashes={"sha1": self.sha1} if self.sha1 else {}, check=params_flaw))

    def _unpack(self, packed, folder):
        """Unpack symbol and parameters, verified before either is taken; return what is wrong with one, or None."""
        parts = self._files(folder)
        unpacked = [part.path + ".unpacked" for part in parts]
        try:
            for part, path, member in zip(parts, unpacked, _members(packed)):
                wrong = flaw(unpack(packed, member, path), hashes=part.hashes, check=part.check)
                if wrong:
                    return f"{member} inside it: {wrong}"
            for part, path in zip(parts, unpacked):
                part.take(path)
        finally:
            for path in filter(os.path.exists, unpacked):
                os.unlink(path)
        return None

    def _tell_another_archive(self, copy):
        wrong = flaw(copy, self.size, {"sha256": self.sha256}) if self.sha256 else None
        if wrong:
            say(f"note: {os.path.basename(copy)} has what it should, but is not the archive Open Model Zoo recorded: "
                f"{wrong}")


class RetinaFace(FaceModel):
    """One RetinaFace (arXiv:1905.00641): pictures of any size, RGB, raw 0-255, to boxes, landmarks and their scores.

    `scores` are the published average precisions on WIDER FACE. Its layers are there to look at and to fine-tune;
    ``mxft face-align`` does not use it.
    """

    group = "insightface: MXNet face detectors"
    measures = ("WIDER easy", "medium", "hard")
    symbol_flaw = staticmethod(retinaface_symbol_flaw)

    def manifest(self):
        """Return what the checkpoint's manifest says: no size, as it takes any."""
        return {"classes": None, "parent": None, "source": f"insightface {self.name}, {self.archive}"}


def _members(path):
    """Return the names of symbol and parameters in an archive, whatever folder they are in; None for one missing."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if entry.file_size < _LARGEST]
    return tuple(next((entry.filename for entry in entries if re.search(pattern, entry.filename)), None)
                 for pattern in (r"-symbol\.json$", r"-0000\.params$"))


def _archive_flaw(path):
    try:
        found = _members(path)
    except zipfile.BadZipFile:
        return "expected a zip archive, received something else or a part of one"
    return None if all(found) else "expected a zip with a -symbol.json and a -0000.params in it, received another"


def _dropbox(place, archive):
    return (f"https://www.dropbox.com/s/{place}/{archive}?dl=1",)


MODELS = (
    FaceModel("lresnet100e-ir", "LResNet100E-IR, ArcFace, MS1M refined (v2), embedding 512",
              "model-r100-arcface-ms1m-refine-v2.zip",
              _dropbox("tj96fsm6t6rq8ye", "model-r100-arcface-ms1m-refine-v2.zip"), (.9977, .9827, .9828), 162345348,
              "eab0e5bcca81c070f56ffb11a1c32d7b2e574a8bb94f32590e7b48b355c13d1f",
              pages=("https://drive.google.com/file/d/1Hc5zUfBATaXUgcU2haUNa7dcaZSw95h2/view",
                     "https://pan.baidu.com/s/1wuRTf2YIsKt76TxFufsRNA"),
              aliases=("model-r100-ii", "r100-arcface-emore")),
    FaceModel("lresnet50e-ir", "LResNet50E-IR, ArcFace, MS1M refined (v1), embedding 512",
              "model-r50-arcface-ms1m-refine-v1.zip",
              _dropbox("ou8v3c307vyzawc", "model-r50-arcface-ms1m-refine-v1.zip"), (.9980, .9274, .9776),
              sha256="af511fc7e0f465258de1951584607e798307c7a9b2d24692e4bc6836c6eeeee7",
              pages=("https://drive.google.com/open?id=1x0-EiYX9jMUKiq-n1Bd9OCK4fVB3a54v",
                     "https://pan.baidu.com/s/1mj6X7MK"), aliases=("model-r50-am-lfw",)),
    FaceModel("lresnet34e-ir", "LResNet34E-IR, ArcFace, MS1M refined (v1), embedding 512",
              "model-r34-arcface-ms1m-refine-v1.zip",
              _dropbox("yp7y6jic464l09z", "model-r34-arcface-ms1m-refine-v1.zip"), (.9965, .9212, .9770),
              sha256="efceea8a75b9f461772173d96670cfc678bdb507e1742c5b31cd3eda9407ffbf",
              pages=("https://pan.baidu.com/s/1jKahEXw",), aliases=("model-r34-amf",)),
    FaceModel("mobilefacenet-y1", "MobileFaceNet, ArcFace, MS1M refined (v1), embedding 128",
              "model-MobileFaceNet-arcface-ms1m-refine-v1.zip",
              _dropbox("akxeqp99jvsd6z7", "model-MobileFaceNet-arcface-ms1m-refine-v1.zip"), (.9950, .8894, .9591),
              3911771, "1a3ffb4c930a2398f68bc45f0eb86058a514c00808176303303f0783f494c2d1",
              pages=("https://drive.google.com/file/d/1RHyJIeYuHduVDDBTn3ffpYEZoXWRamWI/view",
                     "https://pan.baidu.com/s/1If28BkHde4fiuweJrbicVA"), aliases=("model-y1-test2",)),
    FaceModel("arcface_r100_v1", "ResNet-100, ArcFace, of insightface's Python package 0.1, embedding 512",
              "arcface_r100_v1.zip", (_PACKAGE + "arcface_r100_v1.zip",),
              sha1="95be21b58e29e9c1237f229dae534bd854009ce0"),
    FaceModel("genderage_v1", "gender and age of a face, of insightface's Python package 0.1, 202 numbers",
              "genderage_v1.zip", (_PACKAGE + "genderage_v1.zip",),
              sha1="7dd8111652b7aac2490c5dcddeb268e53ac643e6", aliases=("gender-age",)),
    RetinaFace("retinaface_r50_v1", "RetinaFace, ResNet-50, of insightface's Python package 0.1",
               "retinaface_r50_v1.zip", (_PACKAGE + "retinaface_r50_v1.zip",), (.965, .956, .904),
               sha1="39fd1e087a2a2ed70a154ac01fecaa86c315d01b",
               pages=("https://drive.google.com/file/d/1wm-6K688HQEx_H90UdAIuKv-NAsKBu85/view",
                      "https://pan.baidu.com/s/1C6nKq122gJxRhb37vK0_LQ"), aliases=("retinaface-r50",)),
    RetinaFace("retinaface_mnet025_v1", "RetinaFace, MobileNet 0.25, of insightface's Python package 0.1",
               "retinaface_mnet025_v1.zip", (_PACKAGE + "retinaface_mnet025_v1.zip",),
               sha1="2c9de8116d1f448fd1d4661f90308faae34c990a"),
    RetinaFace("retinaface_mnet025_v2", "RetinaFace, MobileNet 0.25, of insightface's Python package 0.1",
               "retinaface_mnet025_v2.zip", (_PACKAGE + "retinaface_mnet025_v2.zip",),
               sha1="0db1d07921d005e6c9a5b38e059452fc5645e5a4", aliases=("retinaface-mnet025",)),
)
