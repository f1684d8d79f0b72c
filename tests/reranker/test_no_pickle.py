"""No file of a ranker is unpickled: nothing in the room could run code from one."""

import ast
from pathlib import Path

import reranker


def test_no_module_of_the_room_unpickles_anything():
    """Check imports and calls: no pickle, no joblib, no torch.load, no numpy.load that may unpickle."""
    for path in Path(reranker.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.partition(".")[0] for name in names} & {"pickle", "joblib", "shelve", "dill"}, path
            if isinstance(node, ast.Attribute) and node.attr == "load" and isinstance(node.value, ast.Name):
                assert node.value.id != "torch", path
            if isinstance(node, ast.keyword):
                assert node.arg != "allow_pickle", path
