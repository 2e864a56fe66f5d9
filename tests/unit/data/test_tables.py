"""Tables of labels: every usual form gives the same rows; what is no label stops with file and line."""
import pytest

from mxft.data.tables import read_table
from mxft.errors import InputError

EXPECTED = {"a.jpg": (1.0, 0.0, 1.0), "b c.jpg": (0.0, 1.0, 0.0), "d.jpg": (0.0, 0.0, 0.0)}  # of cat, dog, eel


def written(tmp_path, content, name="table.csv"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(tmp_path / name)


def vectors(table):
    return {row.path: row.labels for row in table.rows}


@pytest.mark.parametrize("content", [
    "image,labels\na.jpg,cat eel\nb c.jpg,dog\nd.jpg,\n",
    "image,labels\r\na.jpg,cat|eel\r\nb c.jpg,dog\r\nd.jpg,\r\n",
    "a.jpg,cat;eel\nb c.jpg,dog\nd.jpg,\n",
    'labels,file\n"cat,eel",a.jpg\ndog,b c.jpg\n,d.jpg\n',
    "image\tlabels\na.jpg\tcat eel\nb c.jpg\tdog\nd.jpg\t\n",
    "image;labels\na.jpg;cat|eel\nb c.jpg;dog\nd.jpg;\n",
    "image,label\na.jpg,cat\na.jpg,eel\nb c.jpg,dog\nd.jpg,\n",  # a line for each label
    "image,cat,dog,eel\na.jpg,1,0,1\nb c.jpg,0,1,0\nd.jpg,0,0,0\n",
    "image,cat,dog,eel\na.jpg,1,-1,1\nb c.jpg,-1,1,-1\nd.jpg,-1,-1,-1\n",  # CelebA's way
    "a.jpg,cat; eel\nb c.jpg,dog\n./x/../b c.jpg,dog\nd.jpg,\n",  # one path in two spellings
    "\n\nimage , cat , dog , eel\n\na.jpg, 1, 0, 1\nb c.jpg, 0, 1.0, 0\nd.jpg, 0, 0, 0\n\n",
])
def test_every_form_of_a_table_gives_the_same_labels(tmp_path, content):
    table = read_table(written(tmp_path, content), "multi-label")
    assert (vectors(table), table.target.names) == (EXPECTED, ("cat", "dog", "eel"))


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_excels_byte_order_marks_are_read(tmp_path, coding):
    table = read_table(written(tmp_path, "image,labels\nä.jpg,schön\n".encode(coding)), "multi-label")
    assert (vectors(table), table.target.names) == ({"ä.jpg": (1.0,)}, ("schön",))


def test_a_list_holds_yes_and_no_or_numbers_of_labels(tmp_path):
    yes_or_no = read_table(written(tmp_path, "5\t1\t0\t1\ta.jpg\n7\t0\t1\t0\tb.jpg\n", "a.lst"), "multi-label")
    numbers = read_table(written(tmp_path, "5\t0\t2\ta.jpg\n7\t1\tb.jpg\n", "b.lst"), "multi-label",
                         names=["cat", "dog", "eel"])
    assert vectors(yes_or_no) == vectors(numbers) == {"a.jpg": (1.0, 0.0, 1.0), "b.jpg": (0.0, 1.0, 0.0)}
    assert (yes_or_no.target.names, numbers.target.names) == (None, ("cat", "dog", "eel"))


def test_names_that_are_given_decide_the_order(tmp_path):
    table = read_table(written(tmp_path, "a.jpg,cat\nb.jpg,dog cat\n"), "multi-label", names=["dog", "cat", "eel"])
    assert vectors(table) == {"a.jpg": (0.0, 1.0, 0.0), "b.jpg": (1.0, 1.0, 0.0)}


def test_columns_are_put_in_the_order_of_names_that_are_given(tmp_path):
    """A head that is kept has its outputs in its own order, whatever the order of a table's columns."""
    labels = written(tmp_path, "image,cat,dog\na.jpg,1,0\nb.jpg,0,1\n", "a.csv")
    numbers = written(tmp_path, "image,age,height\na.jpg,30,1.5\nb.jpg,40,1.75\n", "b.csv")
    assert vectors(read_table(labels, "multi-label", ["dog", "cat"])) == {"a.jpg": (0, 1), "b.jpg": (1, 0)}
    table = read_table(numbers, "regression", ["height", "age"])
    assert (vectors(table), table.target.names) == ({"a.jpg": (1.5, 30), "b.jpg": (1.75, 40)}, ("height", "age"))
    with pytest.raises(InputError, match="expected the label columns of .*, received 'hight'; nearest: he"):
        read_table(numbers, "regression", ["hight", "age"])


@pytest.mark.parametrize("content, names", [
    ("image,labels\na.jpg,fire truck|cat\nb.jpg,cat\n", ("cat", "fire truck")),
    ('image,labels\na.jpg,"fire truck, cat"\nb.jpg,cat\n', ("cat", "fire truck")),
    ('image,labels\na.jpg,"truck, big|cat"\nb.jpg,cat\n', ("cat", "truck, big")),
    ("image,labels\na.jpg,fire truck|\na.jpg,cat\nb.jpg,cat\n", ("cat", "fire truck")),
    ("image,labels\na.jpg,cat eel\na.jpg,cat eel\nb.jpg,cat\n", ("cat", "eel")),  # the same row twice
    ("image,labels\na.jpg,u\u0308ber\nb.jpg,\u00fcber\n", ("\u00fcber",)),  # a name as macOS and as others write it
])
def test_names_keep_their_spaces_where_a_mark_divides_them(tmp_path, content, names):
    assert read_table(written(tmp_path, content), "multi-label").target.names == names


@pytest.mark.parametrize("content", ["a,b.jpg;1,5 cat\nc.jpg;2\n", "image;x, in m\na,b.jpg;1,5 cat\nc.jpg;2\n",
                                     '"a,b.jpg",1|5|cat\nc.jpg,2\n', "a,b.jpg\t1;5;cat\nc.jpg\t2\n"])
def test_a_table_is_divided_by_the_mark_that_divides_all_its_rows(tmp_path, content):
    assert [row.path for row in read_table(written(tmp_path, content), "multi-label").rows] == ["a,b.jpg", "c.jpg"]


def test_names_that_are_numbers_are_sorted_by_size(tmp_path):
    assert read_table(written(tmp_path, "a.jpg,10 2\n"), "multi-label").target.names == ("2", "10")


def test_numbers_are_read_with_their_names(tmp_path):
    path = written(tmp_path, "image,camera,age,height\na.jpg,x,31,1.75\nb.jpg,y,-2,1e-7\n")
    table = read_table(path, "regression", columns=["height", "age"])
    assert (vectors(table), table.target.names) == ({"a.jpg": (1.75, 31), "b.jpg": (1e-7, -2)}, ("height", "age"))


@pytest.mark.parametrize("kind, content, expected", [
    ("regression", "image,age\na.jpg,31\nb.jpg,old\n", "line 3: expected finite numbers, received 'old'"),
    ("regression", "image,age\na.jpg,31\na.jpg,32\n", "line 3: expected the same numbers, received 'a.jpg'"),
    ("multi-label", "image,cat,dog\na.jpg,1,2\n", "line 2: expected 0 or 1 for each label, received '1, 2'"),
    ("multi-label", "image,cat,dog\na.jpg,1\n", "line 2: expected 3 columns, received 2"),
    ("multi-label", "image,labels\n", "expected at least one image"),
    ("multi-label", "", "expected at least one image"),
    ("multi-label", "name,labels\n7,cat\n", "no labels"),
    ("multi-label", "a.jpg\nb.jpg\n", "expected a column of them beside the images'"),
    ("multi-label", "a,b\n1,2\n", "expected a column of file names that end in .jpg"),
    ("multi-label", b"image,labels\na.jpg,\xff\xff\n", "expected UTF-8 text"),
    ("multi-label", 'image,labels\na.jpg,"cat\n', "expected columns separated by ','"),
    ("multi-label", "image,labels\na.jpg,cat|dog\nb.jpg,cat;dog\n", "line 3: expected one mark between labels"),
    ("multi-label", "image,labels\na.jpg,\"['cat', 'dog']\"\n", "line 2: expected names of labels, such as cat|dog"),
    ("multi-label", "image,label\na.jpg,fire truck\na.jpg,cat\n", "put | behind a name that holds a space ('fire truc"),
    ("multi-label", "image,cat,cat\na.jpg,1,0\n", "expected each once, on one line, received 'cat'"),
    ("multi-label", "a.dng,cat\nb.jpg,dog\n", "expected a header, or an image in .jpeg"),
    ("multi-label", "image,label\na\0.jpg,cat\n", "line 2: expected the name of an image, received 'a\\x00.jpg'"),
    ("regression", "a.svg,1\nb.jpg,2\n", "received 'a.svg'; convert the image, or put a header above it"),
    ("regression", ",image,age\n0,a.jpg,3\n1,b.jpg,4\n", "received ''; `label_columns` NAME,NAME chooses columns"),
    ("regression", "image;age\na.jpg;1,5\nb.jpg;2\n", "received '1,5'; decimals follow a point: 0.5"),
    ("regression", "image,time\na.jpg,1764446400\nb.jpg,1764446460\n", "received time from 1764446400 to 1764446460"),
    ("regression", "image,age\na.jpg,1e39\nb.jpg,2\n", "expected some that float32 tells apart, received age"),
    ("classes", "image,labels\na.jpg,cat\n", "one class an image is a folder of class folders"),
])
def test_what_cannot_be_read_is_said_with_its_line(tmp_path, kind, content, expected):
    if expected == "no labels":  # an image column by its header alone is taken
        assert vectors(read_table(written(tmp_path, content), kind)) == {"7": (1.0,)}
        return
    with pytest.raises(InputError) as refused:
        read_table(written(tmp_path, content), kind)
    assert expected in refused.value.message


def test_a_list_with_a_stray_number_is_refused_before_a_column_for_each_is_made(tmp_path):
    path = written(tmp_path, "0\t1000000000\ta.jpg\n1\t0\tb.jpg\n", "a.lst")
    with pytest.raises(InputError, match="no more than the list has, received a highest one of 1e"):
        read_table(path, "multi-label")


def test_a_column_two_have_the_name_of_is_refused(tmp_path):
    with pytest.raises(InputError, match="a name that one column of .* has, received 'x', which 2 have"):
        read_table(written(tmp_path, "image,x,x\na.jpg,1,2\n"), "regression", columns=["x"])


def test_a_label_that_is_none_of_the_names_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"line 2: expected one of the 2 class names, received 'dgo'.*dog"):
        read_table(written(tmp_path, "image,labels\na.jpg,dgo\n"), "multi-label", names=["cat", "dog"])
    with pytest.raises(InputError, match=r"received 'hight'; nearest: .*height"):
        read_table(written(tmp_path, "image,height\na.jpg,1\n"), "regression", columns=["hight"])


@pytest.mark.parametrize("kind, labels", [("multi-label", ("cat|dog", "dog", "cat")),
                                          ("regression", ("1.5", "2", "3"))])
@pytest.mark.parametrize("column, parts", [("split", ("train", "valid", "test")), ("is_train", ("1", "0", "0"))])
def test_a_column_that_says_the_part_is_no_label(tmp_path, kind, labels, column, parts):
    path = tmp_path / "labels.csv"
    path.write_text(f"image,{column},what\n" + "".join(
        f"{number}.jpg,{part},{label}\n" for number, (part, label) in enumerate(zip(parts, labels))))
    table = read_table(path, kind)
    assert table.parts == (["train", "val", "test"] if column == "split" else ["train", "test", "test"])
    assert table.target.size == (2 if kind == "multi-label" else 1)


def test_a_column_of_zeros_and_ones_that_is_called_split_is_a_label(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,split,whole\na.jpg,1,0\nb.jpg,0,1\n")
    table = read_table(path, "multi-label")
    assert table.parts is None and table.target.names == ("split", "whole")


def test_an_image_in_two_parts_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,split,labels\na.jpg,train,cat\na.jpg,val,dog\n")
    with pytest.raises(InputError, match=r"line 3: expected it in one part of the data, received 'a.jpg' in val after "
                                         "train"):
        read_table(path, "multi-label")
