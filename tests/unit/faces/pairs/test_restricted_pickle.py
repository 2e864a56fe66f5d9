"""mxft/faces/pairs/restricted_pickle.py: what it reads, and what hostile files make it say."""
import os
import pickle
import struct
import sys
import tracemalloc

import numpy as np
import pytest

from mxft.errors import InputError, MissingFileError
from mxft.faces.pairs.restricted_pickle import load_restricted

JPEG = bytes(range(256)) * 4


@pytest.fixture
def load(tmp_path):
    """A function that writes bytes, or pickles a value, and reads them back through the restricted unpickler."""
    def load(content, protocol=None):
        path = tmp_path / "set.bin"
        path.write_bytes(content if protocol is None else pickle.dumps(content, protocol))
        return load_restricted(path, "verification set")
    return load


@pytest.fixture
def refused(load):
    """A function that returns the message such a file is refused with."""
    def refused(content, protocol=None):
        with pytest.raises(InputError) as error:
            load(content, protocol)
        assert "Traceback" not in str(error.value) and "\n" not in str(error.value)
        return str(error.value)
    return refused


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_python_3(load, protocol):
    images, issame = load(([JPEG, b"", JPEG], [True, False, True]), protocol)
    assert images == [JPEG, b"", JPEG] and issame == [True, False, True]
    assert all(type(answer) is bool for answer in issame)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_numpy_bools_in_every_protocol(load, protocol):
    flat, column = np.frombuffer(JPEG, np.uint8), np.arange(6, dtype=np.uint8).reshape(6, 1)
    pixels = np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    images, issame = load(([flat, column, pixels, flat.copy()], [np.bool_(True), np.bool_(False)]), protocol)
    for ours, theirs in zip(images, (flat, column, pixels, flat)):
        assert ours.dtype == np.uint8
        np.testing.assert_array_equal(ours, theirs)
    assert issame == [True, False] and all(type(answer) is bool for answer in issame)
    assert load(np.array([True, False]), protocol).tolist() == [True, False]


def test_a_pickle_of_python_2_protocol_2(load):
    """As ``pickle.dumps((['\\xff\\xd8a', 'b'], [True]), 2)`` of Python 2: str is BINSTRING or SHORT_BINSTRING."""
    content = (b"\x80\x02]q\x00(U\x03\xff\xd8aq\x01T\x02\x01\x00\x00" + b"b" * 258 + b"q\x02e]q\x03\x88a\x86q\x04.")
    assert load(content) == ([b"\xff\xd8a", b"b" * 258], [True])


def test_a_pickle_of_python_2_protocol_0(load):
    r"""As ``pickle.dumps((['\xff\xd8\n', "it's"], [True, False]), 0)`` of Python 2: text and a memo."""
    content = (b"((lp0\nS'\\xff\\xd8\\n'\np1\naS\"it's\"\np2\na(lp3\nI01\naI00\natp4\n.")
    assert load(content) == ([b"\xff\xd8\n", b"it's"], [True, False])


def test_an_array_of_python_2(load):
    """numpy 1.x of Python 2, protocol 2: names and raw data are str, the dtype's code too."""
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
             b"(K\x01K\x03\x85cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
             b"tb\x89U\x03\xff\xd8atb")
    images, issame = load(b"\x80\x02](" + array + b"e](\x88e\x86.")
    assert images[0].tolist() == [0xff, 0xd8, ord("a")] and issame == [True]


class Calls:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_calls_are_refused_by_name_and_not_made(refused, protocol, tmp_path):
    mark = tmp_path / "was-run"
    system = f"{os.system.__module__}.system"
    builtins = "builtins" if protocol > 2 else "__builtin__"
    for hostile, name in ((Calls(os.system, f"touch {mark}"), system),
                          (Calls(eval, f"open({str(mark)!r}, 'w')"), f"{builtins}.eval"),
                          (Calls(exec, f"open({str(mark)!r}, 'w')"), f"{builtins}.exec"),
                          (Calls(open, str(mark), "w"), f"{open.__module__}.open"),
                          (Calls(getattr, "a", "b"), f"{builtins}.getattr"),
                          (Calls(bytearray, 10), f"{builtins}.bytearray")):
        message = refused(([hostile], [True]), protocol)
        assert f"refused: {name}; nothing of it was run, do not open it with other programs" in message
        assert message.startswith("verification set is not read: expected a pickle of lists, bools, bytes and uint8 "
                                  f"arrays, received {tmp_path / 'set.bin'} with more in it before byte ")
    assert not mark.exists()


@pytest.mark.parametrize("content, what", [
    (b"cos\nsystem\n(S'true'\ntR.", "refused: os.system;"),
    (b"\x80\x04\x8c\x05numpy\x8c\x0ccore.os.exec\x93.", "refused: numpy.core.os.exec;"),      # a dotted STACK_GLOBAL
    (b"cnumpy\ncore.multiarray._reconstruct\n.", "refused: a function or dtype in place of an image;"),
    (b"cnumpy\nload\n.", "refused: numpy.load;"),
    (b"cnumpy\nobject_\n.", "refused: numpy.object_;"),
    (b"(ios\nsystem\n.", "refused: the opcode INST;"),
    (b"(cos\nsystem\no.", "refused: os.system;"),
    (b"(cnumpy\ndtype\no.", "refused: the opcode OBJ;"),
    (b"cnumpy\nndarray\n)\x81.", "refused: the opcode NEWOBJ;"),
    (b"Pname\n.", "refused: the opcode PERSID;"),
    (b"K\x01Q.", "refused: the opcode BINPERSID;"),
    (b"\x82\x01.", "refused: the opcode EXT1;"),
    (b"}.", "refused: the opcode EMPTY_DICT;"),
    (b"\x97.", "refused: the opcode NEXT_BUFFER;"),
    (b"G" + b"\0" * 8 + b".", "refused: the opcode BINFLOAT;"),
    (b"c_codecs\nencode\n(Vab\nVrot13\ntR.", "refused: _codecs.encode to 'rot13';"),
    (b"c_codecs\nencode\n(Vab\nVutf-8\ntR.", "refused: _codecs.encode to 'utf-8';"),
    (b"cbuiltins\nbytes\nK\x05\x85R.", "refused: bytes() of something;"),
    (b"cnumpy\ndtype\n(VO8\nK\x00K\x01tR.", "refused: a NumPy array of dtype 'O8' (objects);"),
    (b"cnumpy\ndtype\n(VV1000000000000\nK\x00K\x01tR.", "refused: a NumPy array of dtype 'V1000000000000';"),
    (b"K\x01)R.", "refused: a call of int;"),
    (b"cnumpy\ndtype\nU\x02u1\x85R(K\x03U\x01|NU\x01aNtb.", "refused: a NumPy array with fields;"),
    (b"U\x01a(tR.", "refused: a call of bytes;"),
    (b"cnumpy\ndtype\nNb.", "refused: a state for function;"),
    (b"]Nb.", "refused: a state for list;"),
])
def test_hostile_opcodes_are_named(refused, content, what):
    assert what in refused(content)


def test_a_name_that_is_only_returned_is_refused_too(refused):
    assert "refused: a function or dtype in place of an image" in refused(b"cnumpy\nndarray\n.")
    assert "refused: a function or dtype in place of an image" in refused(b"](cnumpy\ndtype\ne.")


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_of_objects_and_of_other_types_are_refused(refused, protocol):
    assert "refused: a NumPy array of dtype 'O8' (objects)" in refused(([np.array([b"a", None])], [True]), protocol)
    assert "refused: a NumPy array of dtype 'f4'" in refused(([np.zeros(3, np.float32)], [True]), protocol)
    assert "refused: a NumPy array of dtype 'V2'" in refused(
        ([np.zeros(3, [("a", "u1"), ("b", "u1")])], [True]), protocol)


def test_an_array_whose_shape_promises_more_than_it_holds(refused):
    array = (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
             b"(K\x01%scnumpy\ndtype\nU\x02u1K\x00K\x01\x87R\x89U\x03abctb.")
    assert "a NumPy array of shape (1000000000,) with 3 bytes" in refused(
        array % (b"J" + struct.pack("<i", 10 ** 9) + b"\x85"))
    assert "a NumPy array of shape (-3,) with 3 bytes" in refused(array % (b"J" + struct.pack("<i", -3) + b"\x85"))
    assert "without dtype, shape or data" in refused(array % b"K\x03")


@pytest.mark.parametrize("content", [
    b"B" + struct.pack("<I", 0xfffffff0) + b"ab.",                      # BINBYTES
    b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"ab.",              # BINBYTES8
    b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"ab.",              # BYTEARRAY8
    b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"ab.",              # BINUNICODE8
    b"T" + struct.pack("<i", 0x7ffffff0) + b"ab.",                      # BINSTRING
    b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b"N.",               # FRAME
    b"X" + struct.pack("<I", 0xfffffff0) + b"ab."])                     # BINUNICODE
def test_lengths_beyond_the_file_take_no_memory(refused, content):
    tracemalloc.start()
    try:
        message = refused(content)
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()
    assert "cannot be read: expected a whole pickle, received" in message and "bytes wanted, " in message


def test_a_memo_number_takes_no_memory(load):
    tracemalloc.start()
    try:
        assert load(b"]r\xff\xff\xff\xff(Nej\xff\xff\xff\xff\x86.") == ([None], [None])
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("byte", [b"(", b"]", b"\x94", b"N"])
def test_opcodes_that_take_much_for_one_byte_are_counted(refused, byte):
    assert "refused: more opcodes than the images of such a file could need" in refused(b"]" + byte * 100_000 + b".")


@pytest.mark.parametrize("content", [b")" + b"\x85" * 900 + b".", b")" + b"\x85" * 900 + b"\x86.",
                                     b"(" * 900 + b"l" * 900 + b"."])
def test_deep_nesting_does_no_harm(load, content):
    try:
        value = load(content)
    except InputError as error:
        assert "cut short or damaged" in str(error)
    else:
        assert isinstance(value, (list, tuple))


def test_nesting_beyond_the_recursion_limit(load, refused):
    deep = b")" + b"\x85" * 20_000
    assert "more opcodes" in refused(deep + b".")
    padding = b"B" + struct.pack("<I", 60_000) + bytes(60_000)
    assert sys.getrecursionlimit() < 20_000
    assert len(load(b"(" + deep + padding + b"t.")) == 2


@pytest.mark.parametrize("end", [0, 1, 2, 50, 1100, -2, -1])
def test_a_file_cut_short(refused, end, tmp_path):
    whole = pickle.dumps(([JPEG, JPEG + b"x"], [True]), 4)
    message = refused(whole[:end])
    assert (f"cannot be read: expected a whole pickle, received {tmp_path / 'set.bin'} of {len(whole[:end])} bytes, "
            "cut short or damaged before byte" in message) and "copy it again or make it again" in message


@pytest.mark.parametrize("content", [b"not a pickle", b"\xff\xd8\xff\xe0", b"\x80\x09N.", b"h\x05.", b"a.", b"0.",
                                     b"e.", b"I1x\n.", b"S'a\n.", b"\x93.", b"R.", b"b.", b"t.", b"]NNe."])
def test_what_is_no_pickle(refused, content):
    message = refused(content)
    assert "cannot be read" in message or "refused: the opcode" in message or "refused: a" in message


def test_random_damage_is_never_a_traceback(tmp_path):
    """Bytes changed at random in real pickles: read, or refused."""
    rng = np.random.RandomState(0)
    path = tmp_path / "set.bin"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        whole = np.frombuffer(pickle.dumps(([np.arange(4, dtype=np.uint8), b"ab"], [True, np.bool_(False)]), protocol),
                              np.uint8)
        for _ in range(150):
            damaged = whole.copy()
            damaged[rng.randint(len(whole), size=rng.randint(1, 4))] = rng.randint(256)
            path.write_bytes(damaged.tobytes())
            try:
                load_restricted(path)
            except InputError as error:
                assert "pickle" in str(error)


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "lfw.bin").write_bytes(b"")
    with pytest.raises(MissingFileError, match="verification set is missing: .*nearest: lfw.bin"):
        load_restricted(tmp_path / "lwf.bin", "verification set")
