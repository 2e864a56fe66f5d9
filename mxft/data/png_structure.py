"""Whether a PNG is whole, how large it is, and that decoding it takes bounded time and memory.

libpng inflates all image data there is, 2 GB of it in 4.5 s out of a file of 2 MB, though it keeps no more than the
rows it expects; and each of hundreds of compressed texts to 8 MB.
"""
import struct
import zlib

from mxft.data.image_file import BadImage, ImageFile, require_pixels

MOST_CHUNKS = 1 << 16   # libpng writes 8 KB in each
MOST_TEXT = 64 << 20    # bytes that the compressed texts and the colour profile inflate to, all together
DEFLATE_RATIO = 1032    # no deflate stream inflates to more times its size

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by its colour type
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
_PIECE = 1 << 20


def inspect_png(data):
    """Walk the chunks of a PNG, checking their checksums, its size, and what its compressed chunks inflate to.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    ImageFile

    Raises
    ------
    BadImage
        Cut short, damaged, of more than MOST_PIXELS or MOST_CHUNKS, or inflating to more than its pixels.
    """
    header, at, pixels, texts = None, len(PNG_SIGNATURE), [], []
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            raise BadImage("truncated PNG: no IEND chunk")
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        end = at + 12 + length
        if end > len(data):
            raise BadImage("truncated PNG: it ends inside a chunk")
        body = memoryview(data)[at + 8:end - 4]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(data[end - 4:end], "big"):
            raise BadImage("damaged PNG: a chunk's checksum does not fit")
        if kind == b"IHDR" and length >= 13:
            header = struct.unpack(">IIBBBBB", body[:13])
        elif kind == b"IDAT":
            pixels.append(body)
        elif kind in (b"zTXt", b"iTXt", b"iCCP"):
            texts.append(_compressed_part(kind, bytes(body)))
        if kind == b"IEND":
            break
        at = end
    else:
        raise BadImage(f"damaged PNG: more than {MOST_CHUNKS} chunks")
    if header is None or not pixels:
        raise BadImage("damaged PNG: no header or no image data")
    require_pixels(*header[:2])
    if _surplus(texts, MOST_TEXT, one_stream=False):
        raise BadImage(f"damaged PNG: its texts inflate to more than {MOST_TEXT >> 20} MB")
    if _surplus(pixels, _bytes_of_rows(*header), one_stream=True):
        raise BadImage(f"damaged PNG: its image data inflates to more than {header[0]} x {header[1]} pixels")
    return ImageFile("PNG", *header[:2], may_turn=True)


def _bytes_of_rows(width, height, depth, colour, _compression, _filter, interlaced):
    """Return how many bytes the rows of a PNG have, each with its filter's byte."""
    bits = depth * _SAMPLES.get(colour, 4)
    passes = _ADAM7 if interlaced else ((0, 1, 0, 1),)
    sizes = ((-(-(width - left) // across), -(-(height - top) // down)) for left, across, top, down in passes)
    return sum(rows * (1 + -(-columns * bits // 8)) for columns, rows in sizes if columns > 0 and rows > 0)


def _compressed_part(kind, body):
    """Return the deflate stream of a zTXt, iTXt or iCCP chunk; nothing of an iTXt that is not compressed."""
    rest = body.partition(b"\0")[2]
    if kind != b"iTXt":
        return rest[1:]  # behind the method
    return rest[2:].partition(b"\0")[2].partition(b"\0")[2] if rest[:1] == b"\1" else b""  # language, translation


def _surplus(pieces, most, one_stream):
    """Whether pieces of deflate data inflate to more than `most` bytes; damage ends a stream, as in the decoder.

    Parameters
    ----------
    pieces : sequence of bytes-like
    most : int
    one_stream : bool
        The pieces are one stream, else each is its own.
    """
    if DEFLATE_RATIO * sum(map(len, pieces)) <= max(most, MOST_TEXT):
        return False
    stream = zlib.decompressobj()
    for piece in pieces:
        stream = stream if one_stream else zlib.decompressobj()
        waiting = piece
        try:
            while len(waiting) and not stream.eof:
                most -= len(stream.decompress(waiting, _PIECE))
                if most < 0:
                    return True
                waiting = stream.unconsumed_tail
        except zlib.error:
            if one_stream:
                return False
    return False
