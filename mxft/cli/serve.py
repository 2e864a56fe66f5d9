"""``mxft serve``: a page on this machine where a picture is dropped and its classes are read."""
import os
import sys

from mxft.cli.classifier_options import add_classifier_options
from mxft.commandline.arguments import Parser, refuse_flags, whole
from mxft.commandline.galleries import add_threshold_options, face_service
from mxft.errors import InputError
from mxft.wording import plural

EXAMPLES = """\
examples:
  mxft serve photos.tar
  mxft serve runs/photos --port 0
  mxft serve mobilenet,0 --image-shape 3,224,224 --resize 256 \\
      --synset imagenet-synset.txt
  mxft serve gallery.npz
  mxft serve mobilefacenet-y1/model,0 --faces --pairs lfw.bin --far 0.001
  curl --data-binary @cat.jpg http://127.0.0.1:8000/predict

A bundle is verified first: its hashes, and that its self-test picture gets the
classes it should. GET / is the page, POST /predict takes a picture as its body
or as the one file of a form and answers in JSON, GET /signature and GET /health
tell what is served. Only this machine reaches it, unless --host says otherwise:
there is no password and no encryption. Pictures are not kept.

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
    p.add_argument("--max-megabytes", type=whole(1, 1000), default=10, metavar="N",
                   help="largest file that is taken (default: 10)")
    p.add_argument("--threads", type=whole(1, 64), default=4, metavar="N",
                   help="requests read at a time; one picture is computed at a time (default: 4)")
    add_classifier_options(p)
    group = p.add_argument_group("faces")
    group.add_argument("--faces", action="store_true", help="MODEL is a face network: compare two pictures")
    group.add_argument("--gallery", metavar="FILE.npz", help="name the faces of a picture by it too")
    add_threshold_options(group, "cosine above which two faces are one person (default: the gallery's)")
    group.add_argument("--detector", metavar="NAME", help="what finds faces, see mxft face-align (default: mtcnn)")
    return p


def main(argv=None):
    """Run ``mxft serve``."""
    args = parser().parse_args(argv)
    _prepare()
    if args.faces or args.gallery or args.model.endswith(".npz"):
        return _serve_faces(args)
    refuse_flags(args, ("threshold", "pairs", "far", "detector"), "`faces` beside it, or a gallery", "with neither")
    from mxft.deploy.bundle.signature import counted, signature_of
    from mxft.deploy.serving.application import create_app
    from mxft.deploy.serving.server import bind, serve

    with bind(args.host, args.port) as listening:
        classifier = _classifier(args)
        max_bytes = args.max_megabytes * 1_000_000
        signature = signature_of(classifier)
        app = create_app(classifier.bind(args.rewrite), signature, max_bytes, _names_of_here(args.host))
        _say_served(args, f"{classifier.name}, {counted(signature)}", listening)
        serve(app, listening, args.threads, max_bytes)
    return 0


def _say_served(args, what, listening):
    """Say what is served and where, and who may come."""
    from mxft.deploy.serving.server import address_of, is_loopback

    if not is_loopback(listening):
        print(f"warning: {args.host} can be reached from other machines: whoever reaches it can use this service, "
              "without a password and without encryption", file=sys.stderr)
    print(f"serving {what}: {address_of(listening)}  (Ctrl-C ends)", flush=True)


def _serve_faces(args):
    """Serve the page of faces; return the exit status."""
    from mxft.deploy.serving.server import bind, serve
    from mxft.faces.serving.application import create_face_app

    with bind(args.host, args.port) as listening:
        service = face_service(args)
        max_bytes = args.max_megabytes * 1_000_000
        app = create_face_app(service, max_bytes, _names_of_here(args.host))
        people = (f"a gallery of {plural(len(service.gallery.names), 'person', 'people')}" if service.gallery
                  else "two pictures at a time")
        if service.threshold is None:
            told = "the nearest person is given, whoever it is" if service.gallery else "no verdict on two pictures"
            print(f"no threshold: {told}; --threshold or --pairs gives one", file=sys.stderr)
        _say_served(args, f"{service.name}, {people}", listening)
        serve(app, listening, args.threads, max_bytes)
    return 0


def _prepare():
    """Ask for what serving needs, and let OpenCV itself refuse what slips past the look at a picture's header."""
    from mxft.machine.packages import require_packages

    require_packages("flask", "waitress", "PIL", what="serving a page")
    from mxft.deploy.serving import MOST_PIXELS

    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))


def _classifier(args):
    """Return the Classifier to serve; a bundle is verified first."""
    from mxft.cli.classifier_options import classifier_from, model_name
    from mxft.commandline.models import open_model
    from mxft.deploy.bundle.checking import check_bundle, is_bundle, opened_bundle

    if not is_bundle(args.model):
        checkpoint = open_model(args)
        return classifier_from(args, checkpoint, model_name(checkpoint))
    if args.mean_image:
        raise InputError(f"--mean-image: expected a checkpoint, received the bundle {args.model}, whose network is "
                         "complete; mxft bundle writes one with it")
    with opened_bundle(args.model) as folder:
        check = check_bundle(folder, args.rewrite)
    print(f"{args.model}: {check.files} files as SHA256SUMS says; self-test: the five classes expected, largest "
          f"difference {check.mxnet:.1e}")
    return classifier_from(args, check.classifier.checkpoint, check.classifier.name)


def _names_of_here(host):
    import socket

    return ("localhost", host, socket.gethostname())
