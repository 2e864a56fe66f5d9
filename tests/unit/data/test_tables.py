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
    ("classes", "image,labels\na.jpg,cat\n", "one class an image is a folder of class folders"),
])
def test_what_cannot_be_read_is_said_with_its_line(tmp_path, kind, content, expected):
    if expected == "no labels":  # an image column by its header alone is taken
        assert vectors(read_table(written(tmp_path, content), kind)) == {"7": (1.0,)}
        return
    with pytest.raises(InputError) as refused:
        read_table(written(tmp_path, content), kind)
    assert expected in str(refused.value)


def test_a_label_that_is_none_of_the_names_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match=r"line 2: expected one of the 2 class names, received 'dgo'.*dog"):
        read_table(written(tmp_path, "image,labels\na.jpg,dgo\n"), "multi-label", names=["cat", "dog"])
    with pytest.raises(InputError, match=r"received 'hight'; nearest: .*height"):
        read_table(written(tmp_path, "image,height\na.jpg,1\n"), "regression", columns=["hight"])
