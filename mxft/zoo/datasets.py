"""The photographs of MXNet's fine-tuning tutorial: Caltech-256, and the records the tutorial packed of it.

Sources: the tutorial (names of the records), torchvision/prototype/datasets (Caltech-256: sha256, md5).
"""
import os
from dataclasses import dataclass
from typing import Optional

from mxft.zoo.cache import MIRRORS_VARIABLE, own_mirrors, secure_first
from mxft.zoo.checks import record_flaw
from mxft.zoo.parts import Part, handed_over
from mxft.zoo.row import Row
from mxft.zoo.symbols import MIRRORS


@dataclass(frozen=True)
class Dataset(Row):
    """One file of pictures; `location` is its path below an MXFT_MIRRORS base, the recipe's `variable` a local copy."""

    name: str
    location: str
    urls: tuple
    variable: str = ""
    size: Optional[int] = None
    sha256: Optional[str] = None
    md5: Optional[str] = None
    about: str = ""

    is_checkpoint = False
    group = "data sets"

    @property
    def licence(self):
        return "CC BY 4.0" if self.name == "caltech256" else "none is stated; made of Caltech-256, CC BY 4.0"

    def place(self, folder):
        """Return the file's path in the cache `folder`."""
        return os.path.join(folder, "datasets", os.path.basename(self.location))

    def cached(self, folder):
        """Return the file's path if it is there, otherwise None."""
        return self.place(folder) if os.path.exists(self.place(folder)) else None

    def parts(self, folder):
        """Return the one file."""
        path = self.place(folder)
        return (Part(path, (*own_mirrors(self.location, os.path.basename(path)), *secure_first(self.urls)), self.size,
                     {name: value for name, value in (("sha256", self.sha256), ("md5", self.md5)) if value},
                     record_flaw if path.endswith(".rec") else None),)

    def get(self, folder, progress=True, files=()):
        """Return the file's path, verified and fetched, or taken over, the first time."""
        part, = self.parts(folder)
        if files:
            return part.take(part.verified(handed_over(files, [(part,)], self.name)[0][1]))
        return part.fetch(progress, self.hint(folder))

    def hint(self, folder):
        """Return how to hand the file over, for messages."""
        recipe = f" (in the recipe also with {self.variable}=FOLDER-OR-TAR)" if self.variable else ""
        return (f"give a local copy with mxft zoo get {self.name} --file {os.path.basename(self.location)}{recipe}, or "
                f"name a mirror in {MIRRORS_VARIABLE}")

    def digest(self):
        """Return the sha256, where it is known."""
        return ("sha256", self.sha256, os.path.basename(self.location)) if self.sha256 else None


def _tutorial_records(part):
    file = f"caltech-256-60-{part}.rec"
    urls = [base + "data/caltech-256/" + file for base in MIRRORS[:2]]
    urls.append("https://sagemaker-sample-files.s3.amazonaws.com/datasets/image/caltech-256/" + file)
    return Dataset(file, "data/caltech-256/" + file, tuple(urls),
                   about=f"the tutorial's own {part} records, shorter side 256")


DATASETS = (
    Dataset("caltech256", "256_ObjectCategories.tar",
            ("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar",
             "https://drive.usercontent.google.com/download?id=1r6o0pSROcV1_VwT4oSjA2FBUSCWGuxLK&confirm=t",
             "http://www.vision.caltech.edu/Image_Datasets/Caltech256/256_ObjectCategories.tar"),
            "CALTECH256", size=1183006720, md5="67b4f42ca05d46448c6bb8ecd2220f6d",
            sha256="08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
            about="30,607 photographs, 256 classes and clutter (Griffin, Holub & Perona, CC BY 4.0)"),
    _tutorial_records("train"), _tutorial_records("val"),
)
