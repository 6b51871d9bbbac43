"""Every example in a docstring runs and gives what it says; every public function has one and stands in the reference."""

import doctest
import importlib
import inspect
import re
from pathlib import Path

import matplotlib as mpl
import pytest

import flowseg

SUBMODULES = ("blockwise", "datasets", "io", "metrics", "plot", "synthetic")


def public_things():
    for name in flowseg.__all__:
        vars(flowseg)[name] = getattr(flowseg, name)  # for doctest, as not every version of lazy_loader keeps it
        if name not in SUBMODULES:
            yield name, getattr(flowseg, name)
    for module in SUBMODULES:
        home = importlib.import_module(f"flowseg.{module}")
        for name in home.__all__:
            yield f"{module}.{name}", getattr(home, name)


def own_methods(cls):
    """Public methods that are ours, not scikit-learn's, of which `set_fit_request` and its like are made per class."""
    own = {name for parent in cls.__mro__ if parent.__module__.startswith("flowseg.") for name in vars(parent)}
    own = {name for name in own if not name.startswith("_") and not name.endswith("_request")}
    return {name for name in own if callable(getattr(cls, name))}


PUBLIC = dict(public_things())
METHODS = {
    f"{cls.__name__}.{name}": getattr(cls, name)
    for cls in (flowseg.FlowSegmenter, flowseg.BoundarySegmenter)
    for name in own_methods(cls)
}
# Examples run where they are written: functions of flowseg.io, say, come from several modules.
MODULES = sorted(
    {thing.__module__ for thing in [*PUBLIC.values(), *METHODS.values()]} | {f"flowseg.{m}" for m in SUBMODULES}
)


@pytest.mark.parametrize("module", MODULES)
def test_examples(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with mpl.rc_context({"backend": "agg", "figure.max_open_warning": 0}):
        result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


def test_every_example_is_run():
    found = {test.name for module in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(module))}
    assert {f"{thing.__module__}.{thing.__qualname__}" for thing in [*PUBLIC.values(), *METHODS.values()]} <= found


@pytest.mark.parametrize("name", [*PUBLIC, *sorted(METHODS)])
def test_docstrings_are_complete(name):
    thing = PUBLIC.get(name) or METHODS[name]
    text = inspect.getdoc(thing)
    assert text
    if inspect.isroutine(thing):
        assert "Examples\n--------\n>>> " in text
        signature = inspect.signature(thing)
        parameters = [parameter for parameter in signature.parameters if parameter != "self"]
        if parameters:
            assert "Parameters\n----------" in text
        for parameter in parameters:
            assert parameter in text, parameter
        if parameters and name not in ("flow_loss", "boundary_loss"):  # what does not fit these Keras says
            assert "Raises\n------" in text
        if signature.return_annotation not in (None, "None"):
            assert "Returns\n-------" in text


def test_the_reference_lists_every_public_name():
    reference = Path(__file__).resolve().parents[1] / "docs" / "reference" / "api.rst"
    if not reference.exists():
        pytest.skip("no checkout")
    listed = re.findall(
        r"^(?:   |\.\. autoclass:: )([A-Za-z_][\w.]*)$", reference.read_text(encoding="utf-8"), flags=re.M
    )
    flow, boundary = own_methods(flowseg.FlowSegmenter), own_methods(flowseg.BoundarySegmenter)
    methods = {f"FlowSegmenter.{name}" for name in flow} | {f"BoundarySegmenter.{name}" for name in boundary - flow}
    assert len(listed) == len(set(listed))
    assert set(listed) == set(PUBLIC) | methods
