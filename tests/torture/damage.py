"""Ways to damage a file that know nothing of its format: bytes in, bytes out, decided by a random generator."""
import numpy as np

HUGE = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x20000000, 0x10000000,
        0x7FFFFFFFFFFFFFFF, 0x8000000000000000, 0xFFFFFFFFFFFFFFFF, 0xCED7230A)
NOT_UTF8 = (b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\xf8\x88\x80\x80\x80", b"\x80")


def bit_flips(rng, data):
    """Flip one to sixteen bits."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 17)):
        out[rng.randint(len(out))] ^= 1 << rng.randint(8)
    return bytes(out)


def cut(rng, data):
    """Leave only a beginning."""
    return data[:rng.randint(len(data))]


def headless(rng, data):
    """Leave only an end."""
    return data[rng.randint(1, len(data)):]


def insert(rng, data):
    """Put random bytes in between."""
    at = rng.randint(len(data) + 1)
    return data[:at] + rng.bytes(rng.randint(1, 65)) + data[at:]


def remove(rng, data):
    """Take a block out."""
    at = rng.randint(len(data))
    return data[:at] + data[at + rng.randint(1, 65):]


def duplicate(rng, data):
    """Repeat a block where it stands."""
    at, length = rng.randint(len(data)), rng.randint(1, 513)
    return data[:at] + data[at:at + length] * 2 + data[at + length:]


def zeros(rng, data):
    """Overwrite a block with zeros, as a disk that lost a page does."""
    at = rng.randint(len(data))
    length = min(len(data) - at, rng.randint(1, 4097))
    return data[:at] + bytes(length) + data[at + length:]


def garbage(rng, data):
    """Overwrite a block with noise."""
    at = rng.randint(len(data))
    length = min(len(data) - at, rng.randint(1, 129))
    return data[:at] + rng.bytes(length) + data[at + length:]


def lying_number(rng, data):
    """Overwrite a field of 1, 2, 4 or 8 bytes with a number at a limit; fields of headers stand in the beginning."""
    width = int(rng.choice([1, 2, 4, 8]))
    reach = max(1, min(len(data), 128 if rng.randint(2) else len(data)) - width)
    at = rng.randint(reach) // (4 if width > 2 else 1) * (4 if width > 2 else 1)
    number = HUGE[rng.randint(len(HUGE))] & (1 << 8 * width) - 1
    return data[:at] + number.to_bytes(width, "big" if rng.randint(4) == 0 else "little") + data[at + width:]


def swap(rng, data):
    """Exchange two blocks."""
    a, b = sorted(rng.randint(len(data), size=2))
    length = min(b - a, rng.randint(1, 257))
    return data[:a] + data[b:b + length] + data[a + length:b] + data[a:a + length] + data[b + length:]


def append(rng, data):
    """Put something behind the end."""
    return data + (data[:rng.randint(1, len(data) + 1)] if rng.randint(2) else rng.bytes(rng.randint(1, 100)))


def not_text(rng, data):
    """Put in bytes that are no UTF-8."""
    at = rng.randint(len(data) + 1)
    return data[:at] + NOT_UTF8[rng.randint(len(NOT_UTF8))] + data[at:]


def empty(rng, data):
    """Leave nothing."""
    return b""


def only_zeros(rng, data):
    """As long as before, and nothing in it."""
    return bytes(len(data))


def noise(rng, data):
    """As long as before, at random."""
    return rng.bytes(len(data))


ANY = (bit_flips, bit_flips, cut, headless, insert, remove, duplicate, zeros, garbage, garbage, lying_number,
       lying_number,
       swap, append, not_text, empty, only_zeros, noise)


def damage(rng, data):
    """Return (name, damaged bytes), one or two damages deep; never what it was given.

    Parameters
    ----------
    rng : numpy.random.RandomState
    data : bytes
    """
    names, out = [], data
    for _ in range(1 + (rng.randint(5) == 0)):
        if len(out) < 2:
            break
        way = ANY[rng.randint(len(ANY))]
        out = way(rng, out)
        names.append(way.__name__)
    return ("+".join(names), out) if out != data else ("noise", noise(rng, data) if data else b"\0")


def generator(*numbers):
    """Return the RandomState of these whole numbers: the seed of all, the kind, the case."""
    return np.random.RandomState(list(numbers))
