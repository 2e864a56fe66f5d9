"""Small pictures for pages and notebooks: one as a ``data:`` address, and several beside each other with captions."""
import base64
import html
import os
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from markupsafe import Markup

from mxft.compat import load_cv2
from mxft.data.images import BadImage, ImageOptions, prepare
from mxft.data.packing import read_image
from mxft.data.recordio import RecordReader
from mxft.machine.notebook import near_path
from mxft.wording import cleaned, plural

SIDE = 128         # pixels of the short side
MOST = 48          # pictures a grid shows
WIDTH = 128        # pixels of a place in it


def thumbnail(encoded, side=SIDE, quality=80):
    """Return an encoded image as a small JPEG in a ``data:`` address.

    Parameters
    ----------
    encoded : bytes
    side : int
        Pixels of the short side; a smaller image stays as it is.
    quality : int

    Returns
    -------
    str
    """
    cv2 = load_cv2()
    return small_jpeg(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), side, quality)


def small_jpeg(image, side=SIDE, quality=80):
    """Return a decoded image, uint8 in OpenCV's order of colours, as a small JPEG in a ``data:`` address."""
    cv2 = load_cv2()
    factor = side / min(image.shape[:2])
    if factor < 1:
        image = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return data_address(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes(), "image/jpeg")


def data_address(content, kind):
    """Return bytes as a ``data:`` address."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def thumbnails_of_records(path, numbers, side=SIDE, quality=80):
    """Return {record number: `thumbnail`} of records of a file, which is read as far as the last of them."""
    images, wanted = {}, set(map(int, numbers))
    if not wanted:
        return images
    with RecordReader(path) as reader:
        for number, record in enumerate(reader):
            if number in wanted:
                images[number] = thumbnail(record.payload, side, quality)
            if len(images) == len(wanted):
                break
    return images


def thumbnails_of(source, numbers, side=SIDE, quality=80):
    """Return {number: `thumbnail`} of images of a record file, or of a sequence of paths, of which some may be None."""
    if isinstance(source, str):
        return thumbnails_of_records(source, numbers, side, quality)
    return {int(number): thumbnail_of_picture(source[number], side, quality) for number in numbers}


def thumbnail_of_picture(picture, side=SIDE, quality=80):
    """Return the `thumbnail` of a picture file, turned upright, or of an array, uint8 RGB or grey; None if it has none.

    Parameters
    ----------
    picture : str, numpy.ndarray or None
    side, quality
        See `thumbnail`.

    Returns
    -------
    str or None
        None of None, and of a file that is gone or cannot be read.
    """
    if picture is None:
        return None
    if not isinstance(picture, str):
        pixels = np.asarray(picture)
        return small_jpeg(pixels if pixels.ndim == 2 else np.ascontiguousarray(pixels[:, :, ::-1]), side, quality)
    try:
        return data_address(prepare(read_image(picture), ImageOptions(resize=side, quality=quality)), "image/jpeg")
    except BadImage:
        return None


def small_image(address, height, width):
    """Return the HTML of a `thumbnail`, so many pixels high and at most so many wide; nothing where it is None."""
    return Markup(f'<img src="{address}" style="height:{height}px;max-width:{width}px;object-fit:cover;margin:0">'
                  if address else "")


class Shown(NamedTuple):
    """One picture of a `Grid`: its path or record number, a line or two below it, and its ``data:`` address."""

    name: object
    caption: str
    image: Optional[str] = None


class Grid(Sequence):
    """Pictures with captions: a notebook shows them beside each other.

    Parameters
    ----------
    pictures : sequence of Shown
    what : str
        What they are, in a word or two: ``"mistakes"``.

    Examples
    --------
    >>> Grid([Shown("cat.jpg", "cat")], "pictures")
    <Grid of 1 pictures: cat.jpg (cat)>
    """

    def __init__(self, pictures, what="pictures"):
        self._pictures, self.what = tuple(pictures), what

    def __getitem__(self, place):
        found = self._pictures[place]
        return Grid(found, self.what) if isinstance(place, slice) else found

    def __len__(self):
        return len(self._pictures)

    def __repr__(self):
        first = "".join(f"{_short_name(one.name)} ({one.caption})" for one in self[:1]).replace("\n", ", ")
        more = f", and {len(self) - 1:,} more" if len(self) > 1 else ""
        return f"<Grid of {len(self):,} {self.what}{': ' if self else ''}{first[:200]}{more}>"

    def _repr_html_(self):
        if not self:
            return f"<p>no {html.escape(self.what)}</p>"
        more = f"<p>and {plural(len(self) - MOST, 'more', 'more')}</p>" if len(self) > MOST else ""
        return ('<div style="display:flex;flex-wrap:wrap;gap:8px">'
                + "".join(_figure(one) for one in self[:MOST]) + f"</div>{more}")


def _short_name(name):
    """Return a path as it is near the working directory; its last part elsewhere."""
    near = near_path(str(name))
    return os.path.basename(near) if os.path.isabs(near) else near


def _figure(one):
    """Return one picture over its caption."""
    image = small_image(one.image, 96, WIDTH) or '<div style="height:96px"></div>'
    caption = html.escape(cleaned(one.caption)).replace("\n", "<br>")
    return (f'<figure style="margin:0;width:{WIDTH}px;font-size:12px;line-height:1.3;overflow-wrap:anywhere">{image}'
            f"<figcaption>{caption}</figcaption></figure>")
