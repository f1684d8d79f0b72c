"""Files of class names: every kind, every refusal; and the classes that an image encoder knows itself."""

from pathlib import Path

import numpy as np
import pytest

from indexer.errors import PhotoseekError
from reranker.training.joint_space.class_name_files import (
    ClassName,
    own_class_names,
    read_class_names,
    with_own_class_names,
)
from tiny_judged import StubImageEncoder


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(act) -> str:
    with pytest.raises(PhotoseekError) as caught:
        act()
    return str(caught.value)


def test_a_text_file_has_a_thing_a_line_and_its_names_between_commas(tmp_path):
    path = written(tmp_path, "things.txt", "dog, hound\n\n  cat  \n,,\ntea pot,\n")
    assert read_class_names(path) == [ClassName(("dog", "hound")), ClassName(("cat",)), ClassName(("tea pot",))]


def test_a_table_has_columns_for_an_index_or_photos(tmp_path):
    rows = ["names\tindex\tphoto", "dog, hound\t207\t", "cat\t\ta.jpg", "cat\t\tb.jpg", "\t5\t", "cup\t\t", ""]
    things = [ClassName(("dog", "hound"), 207), ClassName(("cat",), None, ("a.jpg", "b.jpg")), ClassName(("cup",))]
    assert read_class_names(written(tmp_path, "things.tsv", "\n".join(rows))) == things
    commas = 'photo,names,index\n,"dog, hound",207\na.jpg,cat,\nb.jpg,cat,\n,,5\n,cup,\n'
    assert read_class_names(written(tmp_path, "things.csv", "\ufeff" + commas)) == things


def test_names_alone_are_a_table_too(tmp_path):
    assert read_class_names(written(tmp_path, "things.csv", "names\r\ndog\r\n")) == [ClassName(("dog",))]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"caf\xe9", " line 1: not UTF-8"),
        ("a.txt", "\n , \n", ": no names in it"),
        ("a.csv", "", ": no column 'names'; it has no header"),
        ("a.tsv", "name\tindex\ndog\t1\n", ": no column 'names'; it has 'name', 'index'"),
        ("a.tsv", "names\tindex\n", ": no names in it"),
        ("a.tsv", "names\tindex\ndog\t1\n\ncat\tx\n", " line 4: index 'x' is no class number"),
        ("a.csv", 'names,index\n"dog",1\ncat,-1\n', " line 3: index '-1' is no class number"),
        ("a.csv", "names,index\ndog,1,2\n", " line 2: 3 fields, the header has 2"),
        ("a.csv", 'names,index\n"dog,1\ncat,2\n', " line 2: a quote that is not closed, up to line 3"),
    ],
)
def test_a_vocabulary_that_cannot_be_read_is_refused_with_its_line(tmp_path, name, content, reason):
    path = written(tmp_path, name, content)
    assert refusal(lambda: read_class_names(path)) == f"{path}{reason}"


def test_a_missing_vocabulary_is_refused(tmp_path):
    path = tmp_path / "none.txt"
    assert refusal(lambda: read_class_names(path)) == f"{path}: No such file or directory"


def test_an_encoder_with_a_classifier_knows_imagenets_classes_and_one_without_none():
    assert own_class_names(StubImageEncoder()) == []
    things = own_class_names(StubImageEncoder(prototypes=np.zeros((1000, 40), np.float32)))
    assert len(things) == 1000
    assert things[0] == ClassName(("tench",), 0)
    assert things[207] == ClassName(("golden retriever",), 207)


def test_a_vocabulary_stands_behind_the_encoders_own_classes_and_renames_those_that_it_numbers():
    eyes, mine = StubImageEncoder(prototypes=np.zeros((1000, 40), np.float32)), [ClassName(("my fish",), 0)]
    every = with_own_class_names(eyes, [*mine, ClassName(("cow",))])
    own = own_class_names(eyes)
    assert every == [*own[1:], ClassName(("my fish",), 0), ClassName(("cow",))]
    assert with_own_class_names(eyes, []) == own
    assert with_own_class_names(StubImageEncoder(), mine) == mine
