"""The face service's addresses: the page, two pictures compared, the faces of one found and named; answers in JSON."""
from flask import abort, jsonify, render_template

from mxft import __version__
from mxft.deploy.serving import FORMATS
from mxft.deploy.serving.application import guarded_app, posted_files, posted_picture


def create_face_app(front, facts):
    """Make the WSGI application.

    Parameters
    ----------
    front : mxft.deploy.serving.front.Front
    facts : dict
        Of `mxft.faces.serving.worker.FaceWorker`.

    Returns
    -------
    flask.Flask

    Notes
    -----
    ``GET /``, ``GET /health``, ``POST /verify`` with a form of two files, and with a gallery ``POST /identify`` with a
    picture as its body or the one file of a form. Boxes are in pixels of the picture as it is seen, turned upright by
    its EXIF data. Pictures are not kept. Who may ask: see `mxft.deploy.serving.application.create_app`; probes and
    metrics: `mxft.deploy.serving.health`.
    """
    app = guarded_app(__name__, front, "/verify and /identify")

    @app.get("/")
    def page():
        return render_template("faces.html", service=facts, max_bytes=front.options.max_bytes,
                               kinds=",".join(FORMATS.values()))

    @app.get("/health")
    def health():
        return jsonify(status="ok", model=facts["name"], people=facts["people"] or 0, mxft=__version__)

    @app.post("/verify")
    def verify():
        return jsonify(front.ask("verify", lambda: posted_files(2, "two pictures as a form with two files")))

    @app.post("/identify")
    def identify_picture():
        if facts["people"] is None:
            abort(400, "There is no gallery: this service compares two pictures, at /verify.")
        return jsonify(front.ask("identify", lambda: [posted_picture()]))

    return app
