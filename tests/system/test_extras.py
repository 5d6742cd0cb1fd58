"""Each extra brings what the package says it does."""

import tomllib
from pathlib import Path

import pytest

from payattention.errors import UsageError
from payattention.system import extras

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_every_extra_brings_what_is_said_of_it() -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    of_the_program = declared.keys() - {"dev", "docs"}
    brought = {(extra, wanted.partition(">=")[0]) for extra in of_the_program for wanted in declared[extra]}
    assert {(package.extra, package.name) for package in extras.PACKAGES.values()} == brought


def test_the_first_package_that_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda module: None if module == "onnxruntime" else module)
    assert extras.missing("int8", "onnx") is None
    with pytest.raises(UsageError) as caught:
        extras.check_there("int8", "onnx", "onnxruntime", "onnxscript")
    assert str(caught.value) == "int8 needs the package onnxruntime: pip install 'payattention[export]'"
