"""The work of a process that compares faces and names them by a gallery, worded for JSON."""
import time

from mxft.deploy.serving.child import answer_each
from mxft.deploy.serving.jobs import Refused
from mxft.deploy.serving.pictures import check_picture
from mxft.faces.gallery.comparison import compare
from mxft.faces.gallery.identification import identify
from mxft.faces.gallery.images import FaceImages

TOP = 3


class FaceWorker:
    """Answers ``verify``, whose parts are two pictures, and ``identify``, whose part is one.

    Parameters
    ----------
    service : FaceService

    Attributes
    ----------
    facts : dict
        For the front: name, people (None without a gallery), threshold, threshold_from, and what tells this network
        from another.
    """

    def __init__(self, service):
        people = len(service.gallery.names) if service.gallery else None
        self.facts = {"name": service.name, "people": people, "threshold": service.threshold,
                      "threshold_from": service.threshold_from, "network": service.network}
        self._verbs = {"verify": service.compare, "identify": lambda pictures: service.identify(*pictures)}

    def answer_all(self, jobs, began):
        """Return the outcomes of jobs, one after another: see `mxft.deploy.serving.child.answer_each`."""
        return answer_each(jobs, began, self._timed)

    def _timed(self, verb, pictures):
        began = time.perf_counter()
        answer = self._verbs[verb](pictures)
        return {**answer, "milliseconds": round((time.perf_counter() - began) * 1e3, 1)}


class FaceService:
    """What the page asks: a network, a threshold, and a gallery where there is one.

    Parameters
    ----------
    embedder : mxft.faces.gallery.embedder.Embedder
    name : str
        Of the network, for the page.
    one, every : mxft.faces.gallery.reading.FaceReader
        Of a picture to compare: one face; of a picture in which faces are named: all.
    threshold : float or None
        The cosine above which two faces are one person, and a face is somebody's of the gallery.
    threshold_from : str
    gallery : mxft.faces.gallery.gallery.Gallery, optional
    pool : {"mean", "max"}
    """

    def __init__(self, embedder, name, one, every, threshold=None, threshold_from="", gallery=None, pool="mean"):
        self.name, self.threshold, self.threshold_from, self.gallery = name, threshold, threshold_from, gallery
        self._embedder, self._one, self._every, self._pool = embedder, one, every, pool

    @property
    def network(self):
        """What its embeddings depend on: see `mxft.faces.gallery.gallery.network_facts`."""
        return self._embedder.facts

    def compare(self, pictures):
        """Return the comparison of two pictures' faces for JSON."""
        found = self._embed(pictures, self._one)
        result = compare(found.vectors[0], found.vectors[1], self.threshold, self.threshold_from)
        return {"same": result.same, "cosine": round(result.cosine, 6),
                "squared_distance": round(result.squared_distance, 6), "threshold": self.threshold,
                "threshold_from": self.threshold_from, "faces": [_face(found, row) for row in range(2)]}

    def identify(self, picture):
        """Return the faces of a picture from left to right, and who they are, for JSON."""
        found = self._embed([picture], self._every)
        rows = identify(self.gallery, found, ["picture"], TOP, self._pool, self.threshold)
        faces = [{**_face(found, number), "name": row.name,
                  "nearest": [{"name": name, "cosine": round(cosine, 6)} for name, cosine in row.nearest]}
                 for number, row in enumerate(rows)]
        return {"faces": sorted(faces, key=lambda face: (face["box"] or [0])[0]), "threshold": self.threshold}

    def _embed(self, pictures, reader):
        """Return the faces of pictures, each of which must have one."""
        for data in pictures:
            check_picture(data)
        names = ["The first picture", "The second picture"] if len(pictures) > 1 else ["This picture"]
        images = FaceImages(names, [""] * len(pictures), pictures.__getitem__, [False] * len(pictures))
        found = self._embedder.embed(images, reader, show=False)
        for number, reason in found.problems.items():
            raise Refused(422, f"{names[number]}: {reason}.")
        return found


def _face(found, row):
    return {**found.place(row), "note": found.notes.get(int(found.images[row]), "")}
