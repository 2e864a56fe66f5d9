"""Rows of whole numbers: any separators and line ends, and every line that is none of them is named."""
import numpy as np
import pytest

from mxft.errors import InputError
from mxft.faces.evaluation.ijb import number_rows
from mxft.faces.evaluation.ijb.number_rows import iter_number_rows, line_of_row

COLUMNS = ("template", "template", "0|1")


def read(text, here):
    (here / "pairs.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
    return np.concatenate(list(iter_number_rows("pairs.txt", COLUMNS, "list of pairs"))).tolist()


@pytest.mark.parametrize("text", ["1 2 0\n30 4 1\n", "1\t2\t0\n30\t4\t1", "1 2 0\r\n30 4 1\r\n",
                                  "\n 1  2 0 \n\n30\t 4 1\n", "\ufeff1 2 0\n30 4 1\n", "1 2 0\n\n\n\n030 4 01"])
def test_separators_line_ends_and_blank_lines(text, here):
    assert read(text, here) == [[1, 2, 0], [30, 4, 1]]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 22])
def test_blocks_change_nothing(block, here, monkeypatch):
    monkeypatch.setattr(number_rows, "BLOCK", block)
    rows = np.random.RandomState(0).randint(0, 10 ** 12, (50, 3))
    lines = ["\t ".join(map(str, row)) + ("\r\n\n" if i % 7 == 0 else "\n") for i, row in enumerate(rows.tolist())]
    assert read("".join(lines), here) == rows.tolist()
    lines[33] = "1 2\n"
    at = "".join(lines[:33]).count("\n") + 1
    with pytest.raises(InputError, match=f"bad row in pairs.txt, line {at}: expected template template 0|1, whole "
                                         "numbers from 0 up, received '1 2'"):
        read("".join(lines), here)


@pytest.mark.parametrize("line", ["1 2", "1 2 0 3", "1 2 -1", "1 2 1.0", "1,2,1", "a b c", "1 2 0x1", "1_0 2 0",
                                  "1 2 99999999999999999999", "1 2 4611686018427387904", "１ 2 1"])
def test_a_bad_line_is_named(line, here):
    with pytest.raises(InputError) as refused:
        read(f"1 2 0\n\n{line}\n4 5 1\n", here)
    assert "bad row in pairs.txt, line 3: " in str(refused.value) and str(refused.value).endswith(f"received {line!r}")


def test_two_wrong_lines_that_make_up_for_each_other_are_not_read_across(here):
    """What a reader of all numbers at once would take for three whole rows."""
    with pytest.raises(InputError, match="line 2: .* received '4 5'"):
        read("1 2 0\n4 5\n1 7 8 0\n", here)


def test_nothing_and_no_text(here):
    for text in ("", "\n \n"):
        with pytest.raises(InputError, match="list of pairs is empty: expected at least one line of template "):
            read(text, here)
    with pytest.raises(InputError, match="line 1"):
        read("1 2 0\n".encode("utf-16"), here)
    with pytest.raises(InputError, match="list of pairs is missing"):
        list(iter_number_rows("none.txt", COLUMNS, "list of pairs"))


def test_the_line_of_a_row(here):
    (here / "pairs.txt").write_bytes(b"\xef\xbb\xbf\n1 2 0\r\n\n\n3 4 1\n")
    assert line_of_row("pairs.txt", 0) == (2, "1 2 0") and line_of_row("pairs.txt", 1) == (5, "3 4 1")
