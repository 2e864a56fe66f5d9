"""Inputs made to do harm: archives that point outside, pickles with code, numbers that ask for all the memory."""
import gzip
import io
import lzma
import os
import pickle
import struct
import tarfile
import zipfile
import zlib

from mxft.data.recordio import MAGIC, MAGIC_BYTES


def pick(choices):
    """Return a function (rng, data) -> (name, bytes) that takes one of a dict of functions of data."""
    names = list(choices)

    def choose(rng, data):
        name = names[rng.randint(len(names))]
        return name, choices[name](data)
    return choose


def _member(name, content=b"x", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def _tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


def _link(name, target, kind=tarfile.SYMTYPE):
    return _member(name, b"", type=kind, linkname=target)


def _lying_tar(size):
    head = bytearray(_tar(_member("top/a.jpg"))[:512])
    head[124:136] = size
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(2048)


TAR = {
    "up": lambda _: _tar(_member("../outside")), "up-inside": lambda _: _tar(_member("top/../../outside")),
    "absolute": lambda _: _tar(_member("/tmp/mxft-torture-outside")),
    "backslash": lambda _: _tar(_member("top\\..\\..\\outside")), "drive": lambda _: _tar(_member("C:\\outside")),
    "symlink": lambda _: _tar(_link("top", "/etc"), _member("top/passwd")),
    "symlink-up": lambda _: _tar(_link("top/l", "../.."), _member("top/l/outside")),
    "hardlink": lambda _: _tar(_link("top/p", "/etc/passwd", tarfile.LNKTYPE)),
    "device": lambda _: _tar(_member("top/null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "fifo": lambda _: _tar(_member("top/fifo", b"", type=tarfile.FIFOTYPE)),
    "file-and-folder": lambda _: _tar(_member("top"), _member("top/a")),
    "twice": lambda _: _tar(_member("top/a", b"1"), _member("top/a", b"22")),
    "long-name": lambda _: _tar(_member("top/" + "n" * 5000)), "deep": lambda _: _tar(_member("d/" * 3000 + "a")),
    "zero-in-name": lambda _: _tar(_member("top/a\0b")), "no-name": lambda _: _tar(_member("")),
    "bomb": lambda _: gzip.compress(_tar(_member("top/zeros", bytes(64 << 20))), mtime=0),
    "xz-bomb": lambda _: lzma.compress(_tar(_member("top/zeros", bytes(64 << 20)))),
    **{f"header-bomb-{kind}": lambda _, kind=kind: _header_bomb(kind.encode()) for kind in "xgLKZ"},
    "many-members": lambda _: gzip.compress(_member("a", b"")[0].tobuf() * 300_000 + bytes(1024), mtime=0),
    "huge-size": lambda _: _lying_tar(b"77777777777\0"), "binary-size": lambda _: _lying_tar(b"\x80" + b"\x7f" * 11),
    "negative-size": lambda _: _lying_tar(b"\xff" * 12), "pax-size": lambda _: _tar(_pax({"size": "99999999999999"})),
    "pax-path": lambda _: _tar(_pax({"path": "../../outside"})),
    "pax-sparse": lambda _: _tar(_pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s",
                                       "GNU.sparse.realsize": "99999999999"})),
    "pax-garbage": lambda _: _tar(_pax({"mtime": "nan", "uid": "x"})), "pickle": lambda _: CODE,
}


def _header_bomb(kind):
    """A long name, PAX headers, or a member of no known kind, of zeros: tarfile reads it to look at what follows."""
    return gzip.compress(_member("top/a", b"", type=kind, size=64 << 20)[0].tobuf() + bytes(64 << 20), mtime=0)


def _pax(headers):
    member, content = _member("top/a")
    member.pax_headers = headers
    return member, content


class _Code:
    def __reduce__(self):
        return os.system, ("touch outside",)


CODE = pickle.dumps(([_Code()], [True]))
PICKLE = {
    "code": lambda _: CODE, "code-behind": lambda data: data[:-1] + pickle.dumps(_Code())[2:],
    "code-protocol-0": lambda _: b"cos\nsystem\n(S'touch outside'\ntR.",
                                                 "eval": lambda _: b"c__builtin__\neval\n(S'1'\ntR.",
    "memo": lambda _: b"\x80\x02]r\xff\xff\xff\x7f.", "long": lambda _: b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "bytes": lambda _: b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.", "deep": lambda _: b"\x80\x02" + b"]" * 100_000 + b".",
    "nested": lambda _: b"\x80\x02" + b")" + b"\x85" * 200_000 + b".", "self": lambda _: b"\x80\x02]q\0h\0a.",
    "dup": lambda _: b"\x80\x02]" + b"2" * 90_000 + b".", "none": lambda _: pickle.dumps(None),
    "numbers": lambda _: pickle.dumps(([1, 2], [True])), "text": lambda _: pickle.dumps((["a", "b"], [1])),
    "odd": lambda _: pickle.dumps(([b"1", b"2", b"3"], [True])), "no-pairs": lambda _: pickle.dumps(([], [])),
    "no-images": lambda _: pickle.dumps(([b"", b""], [True])),
    "infinite": lambda _: pickle.dumps(([b"1"], [float("inf")])),
    "array": lambda _: b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R(K\x01J\xff"
                       b"\xff\xff\x7f\x85cnumpy\ndtype\nC\x02u1K\0K\x01\x87R\x89C\x01atb.",
}


def _png(width, height, data=b"\x78\x9c\x03\0\0\0\0\x01"):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def _sized(width, height):
    def change(data):
        at = data.find(b"\xff\xc0")
        return data if at < 0 else data[:at + 5] + struct.pack(">HH", height, width) + data[at + 9:]
    return change


IMAGE = {
    "png-bomb": lambda _: _png(60000, 60000), "png-full-bomb": lambda _: _png(30000, 30000,
                                                                              zlib.compress(bytes(90 << 20))),
    "png-wide": lambda _: _png(2**31 - 1, 1), "png-none": lambda _: _png(0, 0), "png-no-data": lambda _: _png(16, 16),
    "png-wrong-deflate": lambda _: _png(16, 16, b"\xff" * 40), "jpeg-bomb": _sized(65535, 65535),
    "jpeg-large": _sized(16000, 16000), "jpeg-wide": _sized(65500, 16), "jpeg-flat": _sized(16, 0),
    "jpeg-nothing": lambda _: b"\xff\xd8\xff\xd9", "jpeg-fill": lambda _: b"\xff\xd8" + b"\xff" * 100_000,
    "bmp-bomb": lambda _: b"BM" + bytes(16) + struct.pack("<ii", 60000, 60000) + b"\1\0\x18\0" + bytes(80),
    "bmp-negative": lambda _: b"BM" + struct.pack("<IIIIii", 120, 0, 54, 40, -5, -2**31) + b"\1\0\x18\0" + bytes(80),
    "pnm-bomb": lambda _: b"P6\n60000 60000\n255\n" + bytes(80), "pnm-1e9": lambda _: b"P5 30000 30000 255\n",
    "tiff": lambda _: b"II*\0\x08\0\0\0\x02\0" + struct.pack("<HHIIHHII", 256, 4, 1, 2**31, 257, 4, 1, 2**31) +
    bytes(9),
    "gif": lambda _: b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(60), "webp": lambda _: b"RIFF\xff\xff\xff\xffWEBPVP8X" +
    bytes(30),
    "exr": lambda _: b"\x76\x2f\x31\x01" + b"\xff" * 80, "hdr": lambda _: b"#?RADIANCE\n\n-Y 60000 +X 60000\n" +
    bytes(80),
    "svg": lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "html": lambda _: b"<!DOCTYPE html><html></html>",
    "jp2": lambda _: b"\0\0\0\x0cjP  \r\n\x87\n" + b"\xff" * 60, "ras": lambda _: b"\x59\xa6\x6a\x95" + b"\x7f" * 60,
}


def _record(content, flag=0, length=None):
    return struct.pack("<II", MAGIC, flag << 29 | (len(content) if length is None else length)) + content + \
        bytes(-len(content) % 4)


def _header(flag=0, label=0.0, key=0):
    return struct.pack("<IfQQ", flag, label, key, 0)


RECORDS = {
    "many-labels": lambda data: data + _record(_header(0xFFFFFFFF) + b"xxxx"),
    "labels-and-no-more": lambda data: data + _record(_header(1)), "overflow": lambda d: d +
    _record(_header(0x40000000)),
    "nan": lambda data: data + _record(_header(0, float("nan")) + IMAGE["png-no-data"](b"")),
    "infinite": lambda data: data + _record(_header(0, float("inf")) + b"x"), "huge-label": lambda d: d + _record(
        _header(0, 3e38) + d[32:]), "no-header": lambda data: data + _record(b"abc"), "nothing": lambda d: d +
        _record(b""),
    "length": lambda data: data + _record(b"abcd", length=(1 << 29) - 1), "flag": lambda d: d + _record(_header(),
                                                                                                        flag=7),
    "first-alone": lambda data: data + _record(_header() + b"x", flag=1), "last": lambda d: d + _record(_header(),
                                                                                                        flag=3),
    "magic-only": lambda data: data + MAGIC_BYTES, "magics": lambda data: MAGIC_BYTES * 4096,
    "firsts": lambda data: _record(_header() + b"x" * 8, 1) * 2000, "middles": lambda data: _record(
        _header(), 1) + _record(b"", 2) * 50_000 + _record(b"", 3), "empty-payload": lambda d: d + _record(_header()),
    **{f"image-{name}": lambda data, make=make: data + _record(_header() + make(data[32:])) for name,
       make in IMAGE.items()},
}


def _params(count=1, magic=0xF993FAC9, stype=0, ndim=2, shape=(2, 2), flag=0, content=b"\0" * 16, names=(b"arg:a",)):
    dimensions = b"".join(struct.pack("<q", length) for length in shape)
    array = struct.pack("<Iii", magic, stype, ndim) + dimensions + struct.pack("<iii", 1, 0, flag) + content
    return (struct.pack("<QQQ", 0x112, 0, count) + array + struct.pack("<Q", len(names))
            + b"".join(struct.pack("<Q", len(name)) + name for name in names))


PARAMS = {
    "count": lambda _: _params(2**62), "count-2^31": lambda _: _params(2**31), "shape": lambda _: _params(shape=(2**40,
        2**40)),
    "large": lambda _: _params(shape=(2**20, 2**14)), "negative": lambda _: _params(shape=(-1, -1)),
    "zero": lambda _: _params(shape=(0, 5)), "ndim": lambda _: _params(ndim=2**30),
    "ndim-1": lambda _: _params(ndim=-1),
    "type": lambda _: _params(flag=99), "sparse": lambda _: _params(stype=1), "storage": lambda _: _params(stype=77),
    "names": lambda _: _params(names=(b"arg:a", b"arg:b")), "no-names": lambda _: _params(names=()),
    "name-length": lambda _: _params()[:-13] + struct.pack("<Q", 2**62) + b"arg:a",
    "not-utf8": lambda _: _params(names=(b"arg:\xff\xfe",)), "empty-name": lambda _: _params(names=(b"",)),
    "old-magic": lambda _: _params(magic=0xF993FAC8), "older": lambda _: _params(magic=2),
    "cut": lambda _: _params()[:40],
    "magic-alone": lambda _: struct.pack("<Q", 0x112), "infinite": lambda data: data.replace(data[100:104],
                                                                                             b"\0\0\x80\x7f"),
    "nan": lambda data: data[:len(data) // 3 // 4 * 4] + b"\0\0\xc0\x7f" * 4 + data[len(data) // 3 // 4 * 4 + 16:],
    "npz": lambda _: zip_bomb(b"a.npy", 1 << 20), "pickle": lambda _: CODE,
}


def zip_bomb(name, size):
    """Return a zip of one member of `size` zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo(name.decode())  # of 1980: the same bytes every time
        member.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(member, bytes(size))
    return out.getvalue()


def rows(*bad):
    """Return choices that put a bad row into a text file, at its end or in the place of its first line."""
    return {repr(row[:12]): (lambda data, row=row: data + row + b"\n" if len(row) % 2 else row + b"\n" + data)
            for row in bad}


LIST = rows(b"1\t2", b"x\t0\ta.jpg", b"1\tnan\ta/0.jpg", b"1\tinf\ta/0.jpg", b"99999999999999999999999\t0\ta/0.jpg",
            b"-5\t0\ta/0.jpg", b"1\t0\t../../etc/passwd", b"1\t0\t/etc/passwd", b"1\t0\t", b"\t\t\t", b"1\t0\ta\0b.jpg",
            b"1\t1e300\ta/0.jpg", b"1\t0\t/dev/zero", b"1\t0\t.", b"1" * 5000 + b"\t0\ta", b"\xff\xfe\t0\ta",
            b"1\t0\t\xff\xfe",
            b"1 0 a/0.jpg", b"1\t" + b"0\t" * 5000 + b"a/0.jpg", b"1.5\t0\ta/0.jpg", b"0x1\t0\ta/0.jpg", b"\r\r\r",
            b"1\t\t\t\ta")
INDEX = rows(b"1\t99999999999", b"1\t-4", b"a\tb", b"1", b"1\t2\t3", b"9" * 5000 + b"\t0", b"1\t" + b"9" * 5000,
             b"0\t0",
             b"1\t1", b"\xff\t1", b"nan\tnan", b"1\t4", b"1e3\t0", b"0\t9223372036854775807", b"-1\t0", b" 1 \t 0 ")
PROPERTY = {text: (lambda data, text=text: text.encode()) for text in (
    "0,112,112", "1e9,16,16", "9" * 5000 + ",16,16", "3,16", "3,16,16,1", "-3,16,16", "3,99999,99999", "\ud7ff,1,1",
    "99999999,16,16", "3;16;16", "3.0,16,16", "999999999999,16,16")}
