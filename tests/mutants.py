"""Change one place of a module, many times, and see whether the tests notice.

    python tests/mutants.py [MODULE ...] [--sample 20] [--seed 0] [--list]

A mutant is a module with one change: ``<`` for ``<=``, ``+`` for ``-``, another constant, a statement left out. Each is
made in memory, in a child of a process that has loaded all but flowseg, and meets the tests of its module (TESTS), of
which the first that fails ends it. ``tests/mutants_equivalent.txt`` holds those that change nothing that anyone could
notice, with the reason. CI does not run this: it takes hours for all.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import random
import signal
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = HERE.parent / "flowseg"
EQUIVALENT = HERE / "mutants_equivalent.txt"
PATIENCE, LEAST_SECONDS = 5.0, 20.0  # a mutant takes too long after PATIENCE times the time of the unchanged module
LOADED = ("numpy", "scipy.ndimage", "scipy.sparse.csgraph", "scipy.io", "skimage.measure", "skimage.segmentation")
LOADED += ("sklearn.isotonic", "sklearn.linear_model", "pytest", "hypothesis", "tifffile", "safetensors.numpy")
KERAS = ("tensorflow", "keras")

# Module -> the tests that must notice, fastest first. Those that need Keras stand where nothing else tests it.
TESTS = {
    "_flows.basins": "test_basins test_flows_to_masks",
    "_flows.joining": "test_joining test_flows_to_masks",
    "_nets.training.augmentation": "test_batches",
    "_nets.training.batches": "test_batches",
    "_segmenters.fitting.choose_decoding": "test_choosing",
    "_segmenters.fitting.compare_models": "test_choosing",
    "io._coco": "test_annotation_details test_hostile_annotations test_entries test_formats test_outlines",
    "io._coco_segments": "test_annotation_details test_hostile_annotations test_entries test_formats test_outlines",
    "_segmenters.codecs.boundary_codec": "test_codecs",
    "_segmenters.codecs.flow_codec": "test_codecs",
    "io._cvat": "test_region_details test_hostile_annotations test_entries test_formats test_outlines",
    "_segmenters.model_files.document_checks": "test_document_details test_hostile_models",
    "_flows.decoding": "test_flows_to_masks test_basins test_joining",
    "_flows.targets": "test_flow_details test_flows test_parallel",
    "_flows.following": "test_flows_to_masks test_parallel",
    "io._geojson": "test_annotation_details test_hostile_annotations test_entries test_formats test_outlines",
    "_images": "test_images test_scaled",
    "_report.bootstrap": "test_report",
    "io._labkit": "test_labkit_details test_hostile_annotations test_entries test_formats test_outlines",
    "io._mat": "test_mat_details test_mat_files",
    "_segmenters.model_files.reading": "test_hostile_models",
    "_segmenters.model_files.weights": "test_hostile_models",
    "_labels.numbering": "test_numbering test_metrics test_components",
    "_labels.overlaps": "test_metrics",
    "_labels.components": "test_components test_flows",
    "_segmenters.learned_decoding.object_scores": "test_quality",
    "_segmenters.learned_decoding.object_table": "test_quality",
    "io._roi": "test_region_details test_entries test_formats test_outlines test_io",
    "io._roi_shapes": "test_region_details test_entries test_formats test_outlines test_io",
    "_nets.scaled_view": "test_scaled test_tiles",
    "_segmenters.learned_decoding.jackknife_scores": "test_choosing",
    "_nets.sizes": "test_size_rules",
    "_system.strict_json": "test_document_details test_hostile_models",
    "_nets.safetensors_header": "test_document_details test_hostile_models",
    "_segmenters.learned_decoding.choose_thresholds": "test_choosing",
    "_segmenters.learned_decoding.thresholds": "test_choosing",
    "_flows.cleanup": "test_cleanup test_flows_to_masks test_basins test_joining",
    "_nets.tiles": "test_tiles",
    "metrics._jaccard": "test_metrics",
    "metrics._matching": "test_metrics",
    "metrics._precision": "test_metrics",
    "metrics._splits_merges": "test_metrics",
}
NEEDS_KERAS = {
    "_segmenters.model_files.document_checks",
    "_segmenters.model_files.reading",
    "_segmenters.model_files.weights",
    "_system.strict_json",
    "_nets.safetensors_header",
}

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or,
    ast.Or: ast.And, ast.LShift: ast.RShift,
}  # fmt: skip
NAMES = {"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum", "any": "all", "all": "any"}
NAMES |= {"floor": "ceil", "ceil": "floor"}


def changes_of(node):
    """What a node can become."""
    if isinstance(node, ast.Compare):
        for k, op in enumerate(node.ops):
            if type(op) in SWAPS:
                other = copy.deepcopy(node)
                other.ops[k] = SWAPS[type(op)]()
                yield other
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        other = copy.deepcopy(node)
        other.op = SWAPS[type(node.op)]()
        yield other
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.Constant) and isinstance(node.value, float):
        yield ast.Constant(node.value * 1.5 if node.value else 1.0)
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        other = copy.deepcopy(node)
        other.test = ast.UnaryOp(ast.Not(), other.test)
        yield other
    elif isinstance(node, ast.Raise) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield ast.Pass()
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.Name) and node.id in NAMES:
        yield ast.Name(NAMES[node.id], ast.Load())
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        yield ast.Attribute(node.value, NAMES[node.attr], ast.Load())


def skips(parent, field, node):
    """Whether nothing in this part of a tree is to be changed: words, types, decorators, names."""
    if field in ("annotation", "returns", "decorator_list", "bases") or isinstance(node, ast.JoinedStr | ast.Import):
        return True
    words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if isinstance(node, ast.keyword) and node.arg == "strict":  # of zip: says what is so
        return True
    about_types = isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    return words or about_types or (isinstance(parent, ast.Raise) and field in ("exc", "cause"))


def find_mutants(tree):
    """(scope, change in words, place in the tree) of every mutant; a place is a way of (field, index)."""
    found = []

    def visit(node, way, scope):
        for field, value in ast.iter_fields(node):
            items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, item in items:
                if not isinstance(item, ast.AST) or skips(node, field, item):
                    continue
                here = [*way, (field, index)]
                for number, other in enumerate(changes_of(item)):
                    found.append((scope, f"{brief(item)} -> {brief(other)}", (here, number)))
                named = isinstance(item, ast.FunctionDef | ast.ClassDef)
                visit(item, here, f"{scope}.{item.name}".lstrip(".") if named else scope)

    visit(tree, [], "")
    return found


def brief(node):
    """One line of source."""
    text = ast.unparse(node).split("\n")[0]
    return text if len(text) <= 90 else text[:90] + "..."


def make_mutant(tree, place):
    """The tree with one change."""
    way, number = place
    tree = copy.deepcopy(tree)
    node = tree
    for field, index in way[:-1]:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
    field, index = way[-1]
    item = getattr(node, field) if index is None else getattr(node, field)[index]
    other = list(changes_of(item))[number]
    if index is None:
        setattr(node, field, other)
    else:
        getattr(node, field)[index] = other
    return ast.fix_missing_locations(tree)


def name_mutants(module):
    """Name -> place of all mutants of a module; the name says what is changed where, and stays when lines move."""
    tree, named = ast.parse((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")), {}
    for scope, words, place in find_mutants(tree):
        name, k = f"{module}.{scope}: {words}".replace(".: ", ": "), 2
        while name in named:
            name, k = f"{name.split(' #')[0]} #{k}", k + 1
        named[name] = place
    return tree, named


class Mutated(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Gives one module another tree."""

    def __init__(self, module, tree):
        super().__init__(f"flowseg.{module}", str(PACKAGE / f"{module.replace('.', '/')}.py"))
        self.tree = tree

    def find_spec(self, fullname, path, target=None):
        return (
            importlib.util.spec_from_file_location(fullname, self.path, loader=self) if fullname == self.name else None
        )

    def get_code(self, fullname):
        return compile(self.tree, self.path, "exec")


def run_tests(module, tree, limit):
    """Whether the tests of a module pass with this tree, and how long it took; None: too long, or it crashed."""
    began, child = time.monotonic(), os.fork()
    if child == 0:
        os.setsid()
        for stream in (1, 2):
            os.dup2(os.open(os.environ.get("MUTANTS_LOG", os.devnull), os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        sys.meta_path.insert(0, Mutated(module, tree))
        import pytest

        files = [str(HERE / f"{name}.py") for name in TESTS[module].split()]
        os._exit(int(pytest.main([*files, "-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"])))
    while time.monotonic() - began < limit:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return (os.waitstatus_to_exitcode(status) == 0), time.monotonic() - began
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False, limit


def read_equivalent():
    """Name -> reason of what nobody could notice."""
    lines = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    return dict(line.split(" | ", 1) for line in lines if line and not line.startswith("#"))


def look_at(module, sample, seed):
    """Try a sample of a module's mutants; numbers for the table and the names of the survivors."""
    tree, named = name_mutants(module)
    passes, seconds = run_tests(module, tree, 600.0)
    if not passes:
        sys.exit(f"the tests of {module} must pass without any change")
    names = sorted(named)
    chosen = random.Random(seed).sample(names, min(sample or len(names), len(names)))
    known, limit, survivors, killed, equivalent = read_equivalent(), max(LEAST_SECONDS, PATIENCE * seconds), [], 0, 0
    for name in chosen:
        if name in known:
            equivalent += 1
        elif run_tests(module, make_mutant(tree, named[name]), limit)[0]:
            survivors.append(name)
            print(f"  survived: {name}", flush=True)
        else:
            killed += 1
    print(
        f"{module}: {len(named)} mutants, {len(chosen)} tried, {killed} killed, {equivalent} equivalent, "
        f"{len(survivors)} survived",
        flush=True,
    )
    return len(chosen), killed, equivalent, len(survivors)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="by default all")
    parser.add_argument("--sample", type=int, default=0, help="mutants of each module; by default all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="only name the mutants")
    said = parser.parse_args()
    modules = said.modules or list(TESTS)
    if said.list:
        print("\n".join(name for module in modules for name in name_mutants(module)[1]))
        return
    os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", PYTHONDONTWRITEBYTECODE="1")
    sys.path.insert(0, str(HERE.parent))
    for name in (*LOADED, *(KERAS if NEEDS_KERAS & set(modules) else ())):
        importlib.import_module(name)
    totals = [look_at(module, said.sample, said.seed) for module in modules]
    tried, killed, equivalent, survived = map(sum, zip(*totals, strict=True))
    share = killed / max(killed + survived, 1)
    print(f"all: {tried} tried, {killed} killed, {equivalent} equivalent, {survived} survived: {share:.1%} killed")


if __name__ == "__main__":
    main()
