"""The service's addresses: the page, a picture's classes, the signature; every error is one sentence in JSON."""
import ipaddress
from urllib.parse import urlsplit

from flask import Flask, abort, jsonify, render_template, request
from werkzeug.exceptions import HTTPException

from mxft import __version__
from mxft.deploy.serving import FORMATS
from mxft.deploy.serving.health import add_health
from mxft.deploy.serving.jobs import Refused
from mxft.deploy.serving.protocol import add_protocol
from mxft.wording import plural

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                               "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(front, facts):
    """Make the WSGI application.

    Parameters
    ----------
    front : mxft.deploy.serving.front.Front
    facts : dict
        Of `mxft.deploy.serving.classifying.ClassifierWorker`, with the signature.

    Returns
    -------
    flask.Flask

    Notes
    -----
    ``GET /``, ``GET /signature``, ``GET /health`` and ``POST /predict``, whose body is a picture, or a form with one
    file; those of `mxft.deploy.serving.health` and `mxft.deploy.serving.protocol`. A page of another site cannot use
    the service through its reader's browser: a post that says it comes from elsewhere is refused, and so is a request
    for another host's name, which is how a site whose name has been pointed here would ask (DNS rebinding).
    """
    app, signature = guarded_app(__name__, front), facts["signature"]
    add_protocol(app, front, signature)

    @app.get("/")
    def page():
        return render_template("page.html", signature=signature, max_bytes=front.options.max_bytes,
                               kinds=",".join(FORMATS.values()))

    @app.get("/signature")
    def show_signature():
        return jsonify(signature)

    @app.get("/health")
    def health():
        return jsonify(status="ok", model=signature["name"], classes=signature["classes"], mxft=__version__)

    @app.post("/predict")
    def predict():
        return jsonify(front.ask("classify", lambda: [posted_picture()]))

    return app


def guarded_app(name, front, posted="/predict"):
    """Return an application with the addresses of probes alone: who may ask it, and that it answers in JSON.

    Parameters
    ----------
    name : str
        Of the package whose templates and static files it has.
    front : mxft.deploy.serving.front.Front
    posted : str
        Where pictures are posted to, for the sentence about an address that is not there.

    Returns
    -------
    flask.Flask
    """
    app, max_bytes = Flask(name), front.options.max_bytes
    app.config["MAX_CONTENT_LENGTH"] = max_bytes
    app.json.sort_keys = False
    app.json.ensure_ascii = False
    add_health(app, front)

    @app.before_request
    def refuse_strangers():
        _refuse_strangers((*front.hosts, *front.options.allow_host))

    @app.after_request
    def add_headers(response):
        response.headers.update(HEADERS)
        return response

    @app.errorhandler(HTTPException)
    def in_one_sentence(error):
        return _in_one_sentence(error, max_bytes, posted)

    @app.errorhandler(Refused)
    def refused(error):
        front.metrics.refused.labels(error.reason).inc()
        retry = {"Retry-After": str(error.retry_after)} if error.retry_after else {}
        return jsonify(error=str(error)), error.status, retry

    return app


def posted_picture():
    """Return the bytes of the one picture in the request: its body, or the one file of a form."""
    if request.mimetype != "multipart/form-data":
        return request.get_data(cache=False)
    return posted_files(1, "one picture at a time")[0]


def posted_files(count, wanted):
    """Return the bytes of the files of the request's form, which must be so many; `wanted` says it in words."""
    files = [file for name in request.files for file in request.files.getlist(name)]
    if len(files) != count:
        abort(400, f"Expected {wanted}, received {plural(len(files), 'file') if files else 'no files'}.")
    return [file.read() for file in files]


def _refuse_strangers(hosts):
    """Refuse requests that another site's page made: see `create_app`."""
    host = _hostname(request.host)
    if not _is_number(host) and host not in {name.lower() for name in hosts}:
        abort(403, f"This service does not go by the name {host!r}; use its numeric address, or start it with "
                   "--allow-host and that name.")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.host.lower():
        abort(403, f"This service does not answer pages of other sites, such as {origin!r}.")


def _hostname(host):
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_number(host):
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def _in_one_sentence(error, max_bytes, posted):
    """Return an HTTP error as JSON; what Flask says by itself is put in the service's words."""
    sentences = {404: f"There is nothing at {request.path}; the page is at /, and pictures are posted to {posted}.",
                 405: f"{request.path} does not take {request.method}.",
                 413: too_large(max_bytes),
                 500: "The service failed at this request; what happened stands in its terminal."}
    response = error.get_response()
    response.data = jsonify(error=sentences.get(error.code, error.description)).data
    response.content_type = "application/json"
    return response


def too_large(max_bytes):
    """Return what is said of a body that is too large."""
    return f"This file is too large: {max_bytes / 1e6:g} MB are the most that is taken."
