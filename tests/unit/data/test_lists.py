"""Lists: upstream's lines, upstream's shuffle and cuts; a bad row is shown and stops."""
import pytest

from mxft.data.lists import Row, check_list, cut, read_list, shuffle, write_list
from mxft.errors import InputError

ROWS = [Row(i, (float(i % 3),), f"class {i % 3}/{i}.jpg") for i in range(10)]


def test_lines_are_upstreams(tmp_path):
    write_list(tmp_path / "a.lst", [Row(3, (1.0,), "cat/1.jpg"), Row(4, (0.5, 2.0), "cat/2.jpg")])
    assert (tmp_path / "a.lst").read_bytes() == b"3\t1.000000\tcat/1.jpg\n4\t0.500000\t2.000000\tcat/2.jpg\n"


def test_a_number_that_six_decimals_do_not_hold_is_written_in_full(tmp_path):
    rows = [Row(0, (1e-7, 0.1234567, 2.0), "a.jpg")]
    write_list(tmp_path / "a.lst", rows)
    assert (tmp_path / "a.lst").read_text() == "0\t1e-07\t0.1234567\t2.000000\ta.jpg\n"
    assert read_list(tmp_path / "a.lst") == rows


def test_what_was_written_is_read(tmp_path):
    rows = [*ROWS, Row(10, (1.0, 2.5), "çà/图 像.jpg"), Row(11, (0.0,), "latin\udce9.jpg")]
    write_list(tmp_path / "a.lst", rows)
    assert read_list(tmp_path / "a.lst") == rows


def test_blank_lines_and_windows_line_ends_are_read(tmp_path):
    (tmp_path / "a.lst").write_bytes(b"0\t1\ta.jpg\r\n\r\n1\t0\tb.jpg\r\n\n")
    assert read_list(tmp_path / "a.lst") == [Row(0, (1.0,), "a.jpg"), Row(1, (0.0,), "b.jpg")]


@pytest.mark.parametrize("line", ["1\tb.jpg", "1 0 b.jpg", "x\t0\tb.jpg", "1\tcat\tb.jpg", "-1\t0\tb.jpg",
                                  "1\tnan\tb.jpg", "1\t0\t "])
def test_a_bad_row_stops_with_file_line_and_content(tmp_path, line):
    (tmp_path / "a.lst").write_text(f"0\t0\ta.jpg\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_list(tmp_path / "a.lst")
    assert "a.lst, line 2: expected index<tab>label<tab>path" in str(caught.value)
    assert repr(line.rstrip()) in str(caught.value)


def test_an_index_used_twice_is_refused(tmp_path):
    write_list(tmp_path / "a.lst", [Row(7, (0.0,), "a.jpg"), Row(8, (0.0,), "b.jpg"), Row(7, (1.0,), "c.jpg")])
    with pytest.raises(InputError, match=r"expected each index once, received index=7 for a\.jpg and c\.jpg"):
        check_list(tmp_path / "a.lst")


def test_an_empty_list_is_refused(tmp_path):
    (tmp_path / "a.lst").write_text("\n")
    with pytest.raises(InputError, match="image list is empty"):
        check_list(tmp_path / "a.lst")


def test_a_missing_list_names_its_neighbour(tmp_path):
    write_list(tmp_path / "flowers.lst", ROWS)
    with pytest.raises(FileNotFoundError, match=r"nearest: flowers\.lst"):
        read_list(tmp_path / "flower.lst")


def test_a_name_with_a_tab_does_not_fit_a_list(tmp_path):
    with pytest.raises(InputError, match="expected no tab or line end"):
        write_list(tmp_path / "a.lst", [Row(0, (0.0,), "a\tb.jpg")])
    assert list(tmp_path.iterdir()) == []


def test_the_shuffle_is_upstreams():
    import random
    random.seed(100)
    expected = list(ROWS)
    random.shuffle(expected)
    assert shuffle(ROWS) == expected
    assert shuffle(ROWS, seed=1) != expected


@pytest.mark.parametrize("options, sizes", [
    ({}, {"": 10}),
    ({"chunks": 3}, {"_0": 4, "_1": 4, "_2": 2}),
    ({"train_ratio": 0.75}, {"_train": 7, "_val": 3}),
    ({"train_ratio": 0.5, "test_ratio": 0.2}, {"_test": 2, "_train": 5, "_val": 3}),
    ({"train_ratio": 0.5, "test_ratio": 0.5}, {"_test": 5, "_train": 5}),
    ({"chunks": 2, "train_ratio": 0.6}, {"_0_train": 3, "_0_val": 2, "_1_train": 3, "_1_val": 2}),
])
def test_cuts_have_upstreams_names_and_sizes_and_lose_nothing(options, sizes):
    pieces = cut(ROWS, **options)
    assert {name: len(piece) for name, piece in pieces.items()} == sizes
    assert sorted(row for piece in pieces.values() for row in piece) == ROWS


@pytest.mark.parametrize("options", [{"train_ratio": 0}, {"train_ratio": 1.2}, {"train_ratio": 0.8, "test_ratio": 0.3},
                                     {"train_ratio": 0.5, "test_ratio": -0.1}])
def test_ratios_that_are_no_parts_of_a_whole_are_refused(options):
    with pytest.raises(InputError, match="expected 0 < train_ratio <= 1"):
        cut(ROWS, **options)


def test_a_list_that_would_be_empty_is_refused():
    with pytest.raises(InputError, match=r"received 10 images of which none is left for PREFIX_\d+\.lst"):
        cut(ROWS, chunks=20)
    with pytest.raises(InputError, match=r"none is left for PREFIX_test\.lst"):
        cut(ROWS, train_ratio=0.9, test_ratio=0.05)
    with pytest.raises(InputError, match="expected chunks of 1 or more, received chunks=0"):
        cut(ROWS, chunks=0)
