"""``mxft serve``: a page on this machine where a picture is dropped and its classes are read."""
import argparse
import contextlib
import dataclasses
import functools
import os
import sys

from mxft.cli.classifier_options import add_classifier_options
from mxft.commandline.arguments import Parser, add_setting, refuse_flags, whole
from mxft.commandline.galleries import add_threshold_options
from mxft.deploy.serving.options import ServingOptions
from mxft.errors import InputError, MxftError
from mxft.wording import plural

EXAMPLES = """\
examples:
  mxft serve photos.tar
  mxft serve runs/photos --port 0
  mxft serve mobilenet,0 --image-shape 3,224,224 --resize 256 \\
      --synset imagenet-synset.txt
  mxft serve photos.tar --trust bundle.pub --access-log - --processes 2
  mxft serve gallery.npz
  mxft serve mobilefacenet-y1/model,0 --faces --pairs lfw.bin --far 0.001
  curl --data-binary @cat.jpg http://127.0.0.1:8000/predict

A bundle is verified first: its hashes, and that its self-test picture gets the
classes it should. GET / is the page, POST /predict takes a picture as its body
or as the one file of a form and answers in JSON, GET /signature and GET /health
tell what is served; /v2/... is KServe's protocol, /healthz, /v2/health/ready
and /metrics are for probes and Prometheus. Only this machine reaches it, unless
--host says otherwise: there is no password and no encryption. Pictures are not
kept; they are read in processes of their own, which are started again when one
dies. SIGTERM: what is under way is answered first. recipes/serving.md has more.

A gallery of mxft enroll, or --faces with a face network: the page compares two
pictures, and names the faces of a picture by the gallery; POST /verify takes a
form of two files, POST /identify a picture.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft serve", description="Serve a page that names pictures.", epilog=EXAMPLES)
    p.add_argument("model", metavar="MODEL",
                   help="a bundle (folder or .tar), the folder of a run, PREFIX,EPOCH, zoo name, or a gallery")
    p.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)")
    p.add_argument("--port", type=whole(0, 65535), default=8000, metavar="N",
                   help="port to listen on; 0 takes a free one (default: 8000)")
    p.add_argument("--threads", type=whole(1, 64), help=argparse.SUPPRESS)  # of mxft 0.1
    _add_serving_options(p)
    add_classifier_options(p)
    group = p.add_argument_group("faces")
    group.add_argument("--faces", action="store_true", help="MODEL is a face network: compare two pictures")
    group.add_argument("--gallery", metavar="FILE.npz", help="name the faces of a picture by it too")
    add_threshold_options(group, "cosine above which two faces are one person (default: the gallery's)")
    group.add_argument("--detector", metavar="NAME", help="what finds faces, see mxft face-align (default: mtcnn)")
    return p


def _add_serving_options(parser):
    """Add a flag for each field of ServingOptions."""
    group = parser.add_argument_group("load")
    for field, text, metavar in (
            ("processes", "processes that compute (default: one a core, at most 8)", "N"),
            ("queue", "requests that wait for one; more are answered 503", "N"),
            ("batch_size", "compute up to N waiting pictures together", "N"),
            ("batch_wait", "milliseconds a picture waits for others", "MS"),
            ("timeout", "seconds for a request, and for a picture in a process", "S")):
        add_setting(group, ServingOptions, field, text, metavar=metavar)
    group = parser.add_argument_group("protection")
    group.add_argument("--trust", metavar="PUBLIC_KEY", help="take a bundle only if it is signed by this key (PEM)")
    for field, text, metavar in (
            ("max_megabytes", "largest body that is taken", "N"),
            ("memory", "megabytes for reading a picture, in each process", "MB"),
            ("read_timeout", "seconds for a request to come whole", "S"),
            ("connections", "connections in all", "N"),
            ("per_address", "connections, and requests under way, of one address", "N")):
        add_setting(group, ServingOptions, field, text, metavar=metavar)
    group = parser.add_argument_group("operation")
    add_setting(group, ServingOptions, "grace", "seconds to answer what is under way after SIGTERM", metavar="S")
    add_setting(group, ServingOptions, "access_log", "write a JSON line for each request; - is stderr", metavar="FILE")
    for field, text, metavar in (
            ("proxy", "reverse proxy whose X-Forwarded-For is believed", "ADDRESS"),
            ("allow_host", "name that the service is reached by, as behind a proxy", "NAME"),
            ("metrics_from", "who may read /metrics (default: this machine)", "NETWORK")):
        group.add_argument("--" + field.replace("_", "-"), action="append", dest=field, default=[],
                           metavar=metavar, help=text + "; may be given several times")


def main(argv=None):
    """Run ``mxft serve``."""
    args = parser().parse_args(argv)
    _prepare(args)
    options = ServingOptions(**{field.name: _value(getattr(args, field.name))
                                for field in dataclasses.fields(ServingOptions)})
    if args.faces or args.gallery or args.model.endswith(".npz"):
        from mxft.faces.serving.application import create_face_app

        refuse_flags(args, ("trust",), "a bundle", "with faces")
        return _serve(args, options, contextlib.nullcontext(), load_faces, create_face_app)
    refuse_flags(args, ("threshold", "pairs", "far", "detector"), "`faces` beside it, or a gallery", "with neither")
    from mxft.deploy.bundle.opening import is_bundle, opened_bundle
    from mxft.deploy.serving.application import create_app

    if is_bundle(args.model) and args.mean_image:
        raise InputError(f"--mean-image: expected a checkpoint, received the bundle {args.model}, whose network is "
                         "complete; mxft bundle writes one with it")
    if not is_bundle(args.model):
        refuse_flags(args, ("trust",), "a bundle, which alone is signed", f"and {args.model}")
    bundle = opened_bundle(args.model) if is_bundle(args.model) else contextlib.nullcontext()
    return _serve(args, options, bundle, load_classifier, create_app)


def _serve(args, options, opened, load, make_app):
    """Serve what `load` makes in each process, by the application of `make_app`; return the exit status.

    Parameters
    ----------
    args : argparse.Namespace
    options : ServingOptions
    opened : context manager
        Of the folder of a bundle, or of None.
    load : callable
        ``(args, folder) -> worker``, of this module.
    make_app : callable
        ``(front, facts) -> application``.
    """
    from mxft.deploy.serving.access_log import AccessLog
    from mxft.deploy.serving.front import Front
    from mxft.deploy.serving.metrics import Metrics
    from mxft.deploy.serving.pool import Pool
    from mxft.deploy.serving.server import bind, serve

    with bind(args.host, args.port) as listening, contextlib.ExitStack() as stack:
        log = stack.enter_context(contextlib.closing(AccessLog(options.access_log)))
        load = functools.partial(load, args, stack.enter_context(opened))
        pool = stack.enter_context(contextlib.closing(Pool(load, options, Metrics())))
        try:
            facts, said = pool.start()
        except MxftError as error:
            _repeat(getattr(error, "said", ()))
            raise
        _repeat(said)
        front = Front(pool, options, pool.metrics, _names_of_here(args.host))
        app = make_app(front, facts)
        _say_served(args, facts["served"], listening)
        serve(app, listening, front, log)
    return 0


def _repeat(said):
    """Print what the first process printed while it loaded: on stdout, on stderr."""
    for text, stream in zip(said, (sys.stdout, sys.stderr)):
        print(text, end="", file=stream, flush=True)


def _say_served(args, what, listening):
    """Say what is served and where, and who may come."""
    from mxft.deploy.serving.server import address_of, is_loopback

    if not is_loopback(listening):
        print(f"warning: {args.host} can be reached from other machines: whoever reaches it can use this service, "
              "without a password and without encryption", file=sys.stderr)
    print(f"serving {what}: {address_of(listening)}  (Ctrl-C ends)", flush=True)


def _prepare(args):
    """Ask for what serving needs, and let OpenCV itself refuse what slips past the look at a picture's header."""
    from mxft.deploy.serving import MOST_PIXELS
    from mxft.machine.packages import require_packages

    require_packages("flask", "waitress", "PIL", "prometheus_client", what="serving a page")
    if args.threads is not None:
        print("warning: --threads has no effect any more; --processes says how many pictures are computed at a time, "
              "--queue how many requests wait", file=sys.stderr)
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))


def load_classifier(args, folder):
    """Return the worker that names pictures, in a process of its own; a bundle is verified first.

    Parameters
    ----------
    args : argparse.Namespace
    folder : str or None
        Of a bundle.
    """
    from mxft.cli.classifier_options import classifier_from, model_name
    from mxft.command.telling import told
    from mxft.commandline.models import open_model
    from mxft.deploy.serving.classifying import ClassifierWorker

    with told():
        if folder is None:
            checkpoint = open_model(args)
            classifier = classifier_from(args, checkpoint, model_name(checkpoint))
        else:
            check = _checked(args, folder)
            classifier = classifier_from(args, check.classifier.checkpoint, check.classifier.name)
        worker = ClassifierWorker(classifier, args.rewrite, args.batch_size)
    worker.facts["served"] = f"{classifier.name}, {worker.facts.pop('counted')}"
    return worker


def _checked(args, folder):
    from mxft.deploy.bundle.checking import check_bundle
    from mxft.deploy.bundle.signing import load_public_key

    check = check_bundle(folder, args.rewrite, key=load_public_key(args.trust) if args.trust else None)
    print(f"{args.model}: {check.files} files as SHA256SUMS says; self-test: the five classes expected, largest "
          f"difference {check.mxnet:.1e}")
    return check


def load_faces(args, _):
    """Return the worker that compares and names faces, in a process of its own."""
    from mxft.command.telling import told
    from mxft.commandline.galleries import face_service
    from mxft.faces.serving.worker import FaceWorker

    with told():
        service = face_service(args)
    people = (f"a gallery of {plural(len(service.gallery.names), 'person', 'people')}" if service.gallery
              else "two pictures at a time")
    if service.threshold is None:
        known = "the nearest person is given, whoever it is" if service.gallery else "no verdict on two pictures"
        print(f"no threshold: {known}; --threshold or --pairs gives one", file=sys.stderr)
    worker = FaceWorker(service)
    worker.facts["served"] = f"{service.name}, {people}"
    return worker


def _value(given):
    return tuple(given) if isinstance(given, list) else given


def _names_of_here(host):
    import socket

    return ("localhost", host, socket.gethostname())
