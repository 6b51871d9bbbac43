"""Every example in a docstring runs and gives what it says; every public function has one."""

import doctest
import importlib
import inspect

import pytest

import flowseg

MODULES = sorted({f"flowseg.{m}" for m in flowseg._HOME.values()} | {f"flowseg.{m}" for m in flowseg._MODULES})


@pytest.mark.parametrize("module", MODULES)
def test_examples(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def public_functions():
    for name in flowseg._HOME:
        yield f"flowseg.{name}", getattr(flowseg, name)
    for module in flowseg._MODULES:
        home = getattr(flowseg, module)
        for name in home.__all__:
            yield f"flowseg.{module}.{name}", getattr(home, name)


@pytest.mark.parametrize(("name", "thing"), list(public_functions()), ids=lambda x: x if isinstance(x, str) else "")
def test_docstrings_are_complete(name, thing):
    text = inspect.getdoc(thing)
    assert text
    if inspect.isfunction(thing):
        signature = inspect.signature(thing)
        if signature.parameters:
            assert "Parameters\n----------" in text
        for parameter in signature.parameters:
            assert parameter in text, parameter
        if signature.return_annotation not in (None, "None"):
            assert "Returns\n-------" in text
