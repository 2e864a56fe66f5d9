"""The face service's addresses: the page, two pictures compared, the faces of one found and named; answers in JSON."""
import threading
import time

from flask import abort, jsonify, render_template

from mxft import __version__
from mxft.deploy.serving.application import guarded_app, posted_files, posted_picture
from mxft.deploy.serving.pictures import FORMATS, RefusedPicture, check_picture
from mxft.faces.gallery.comparison import compare
from mxft.faces.gallery.identification import identify
from mxft.faces.gallery.images import FaceImages

TOP = 3


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
        self._lock = threading.Lock()  # one picture is computed at a time

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
        with self._lock:
            found = self._embedder.embed(images, reader, show=False)
        for number, reason in found.problems.items():
            raise RefusedPicture(422, f"{names[number]}: {reason}.")
        return found


def _face(found, row):
    return {**found.place(row), "note": found.notes.get(int(found.images[row]), "")}


def create_face_app(service, max_bytes, hosts=("localhost",)):
    """Make the WSGI application.

    Parameters
    ----------
    service : FaceService
    max_bytes : int
        Of a request's body.
    hosts : sequence of str
        Names the service is reached by, beside any numeric address.

    Returns
    -------
    flask.Flask

    Notes
    -----
    ``GET /``, ``GET /health``, ``POST /verify`` with a form of two files, and with a gallery ``POST /identify`` with a
    picture as its body or the one file of a form. Boxes are in pixels of the picture as it is seen, turned upright by
    its EXIF data. Pictures are not kept. Who may ask: see `mxft.deploy.serving.application.create_app`.
    """
    app = guarded_app(__name__, max_bytes, hosts, "/verify and /identify")

    @app.get("/")
    def page():
        return render_template("faces.html", service=service, max_bytes=max_bytes, kinds=",".join(FORMATS.values()))

    @app.get("/health")
    def health():
        people = len(service.gallery.names) if service.gallery else 0
        return jsonify(status="ok", model=service.name, people=people, mxft=__version__)

    @app.post("/verify")
    def verify():
        return jsonify(_timed(service.compare, posted_files(2, "two pictures as a form with two files")))

    @app.post("/identify")
    def identify_picture():
        if service.gallery is None:
            abort(400, "There is no gallery: this service compares two pictures, at /verify.")
        return jsonify(_timed(service.identify, posted_picture()))

    return app


def _timed(work, *given):
    began = time.perf_counter()
    return {**work(*given), "milliseconds": round((time.perf_counter() - began) * 1e3, 1)}
