"""Parquet is read without threads wherever the file is a Python object.

Arrow's threads may hold such an object when the interpreter ends, and abort the process that has done its work, or
hang in it (https://github.com/apache/arrow/issues/34314 and /50482). With pyarrow 25.0 and six processes at
once on two cores, 29 of 240 that had read three files with `pq.read_table` ended with SIGABRT, and none of 132
without threads.
"""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest
from labs import ROOT

PACKAGES = ("governance", "zenml_airflow", "zenml_mlops", "zenml_pipelines")
READS = {"iter_batches", "read_parquet", "read_row_group", "read_row_groups", "read_table"}


def reads(source):
    """Line and threads of each call that reads Parquet."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READS:
            threads = next((word.value for word in node.keywords if word.arg == "use_threads"), None)
            yield node.lineno, not (isinstance(threads, ast.Constant) and threads.value is False)


@pytest.mark.parametrize("package", PACKAGES)
def test_parquet_is_read_without_threads(package):
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(Path(find_spec(package).origin).parent.rglob("*.py"))
        for line, threads in reads(path.read_text(encoding="utf-8"))
        if threads
    ]
    assert found == [], "pass use_threads=False"


def test_a_read_with_threads_would_be_seen():
    assert list(reads("pd.read_parquet(file)\npq.read_table(file, use_threads=False)")) == [(1, True), (2, False)]
