"""One bit of a file turned over, as a worn disk or memory does."""
import pathlib


def flip_bit(path, bit):
    """Turn over bit number `bit` of a file, counted from its beginning."""
    path = pathlib.Path(path)
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(bytes(content))
