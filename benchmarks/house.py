"""How flowseg's source is built: sizes of folders, files and functions, repeated lines, imports between packages.

    python benchmarks/house.py [TREE ...] [--list]

Prints a table with a column for each checkout; without one, for this. --list adds the largest of each kind, and the
places of repeated lines. Constructors and commands list the parameters of an estimator or of a command line, which
scikit-learn and Typer read: these parameters are not counted, and may be repeated. tests/test_house.py keeps the
limits.
"""

import argparse
import ast
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

# Modules of the command line with several commands, and functions that take all options of a command or a network.
SUBCOMMANDS = {"cli/_blocks.py": ("plan", "run", "finish")}
ALL_OPTIONS = {
    "_curve/learning_curve.py": ("learning_curve",),
    "blockwise/_segment.py": ("segment", "plan"),
    "_nets/networks.py": ("build_unet", "build_resunet"),
}
HERE = Path(__file__).parents[1]
SOURCE = (".py", ".pyi", ".pyx", ".pxi", ".h")
# Lines of code that count as a duplicate when they stand in two places.
REPEATED = 6
# What a constructor does with a parameter.
ASSIGNMENT = re.compile(r"self\.(\w+) = \1")

Function = ast.FunctionDef | ast.AsyncFunctionDef


class House:
    """The Python modules of flowseg in one checkout."""

    def __init__(self, tree: Path = HERE) -> None:
        self.package = tree / "flowseg"
        files = [file for file in sorted(self.package.rglob("*")) if file.suffix in SOURCE]
        self.texts = {file.relative_to(self.package).as_posix(): file.read_text(encoding="utf-8") for file in files}
        self.modules = {name: ast.parse(text) for name, text in self.texts.items() if name.endswith(".py")}
        stub = ast.parse(self.texts.get("__init__.pyi", "")).body
        homes = [node for node in stub if isinstance(node, ast.ImportFrom) and node.module]
        self.homes = {alias.name: node.module.split(".")[0] for node in homes for alias in node.names}

    def folders(self) -> dict[str, int]:
        """Return the number of modules in each folder; the root is ``.``."""
        return Counter(Path(name).parent.as_posix() for name in self.modules if not name.endswith("__init__.py"))

    def file_lengths(self) -> dict[str, int]:
        """Return the number of lines of each file."""
        return {name: text.count("\n") for name, text in self.texts.items()}

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Yield all functions and methods, with the place of each."""
        for name, module in self.modules.items():
            for node in ast.walk(module):
                if isinstance(node, Function):
                    yield f"{name}:{node.lineno} {node.name}", node

    def body_lengths(self) -> dict[str, int]:
        """Return the lines from the first statement to the last, without the docstring."""
        lengths = {}
        for place, node in self.functions():
            body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
            lengths[place] = body[-1].end_lineno - body[0].lineno + 1
        return lengths

    def parameters(self) -> dict[str, int]:
        """Return the number of parameters, without ``self``; constructors and commands are left out."""
        return {
            place: sum(arg.arg not in ("self", "cls") for arg in parameters_of(node))
            for place, node in self.functions()
            if not lists_options(place, node)
        }

    def complexities(self) -> dict[str, int]:
        """Return the number of branches plus one, as Ruff's C901 counts them."""
        return {place: complexity(node) for place, node in self.functions()}

    def duplicates(self) -> list[list[str]]:
        """Return the places of each stretch of six or more lines of code that stands in the source twice or more."""
        lines = {name: self._code_lines(name) for name in self.modules}
        windows = defaultdict(list)
        for name, numbered in lines.items():
            for i in range(len(numbered) - REPEATED + 1):
                windows[tuple(text for _, text in numbered[i : i + REPEATED])].append((name, i))
        repeated = [places for places in windows.values() if len(places) > 1]
        known = {tuple(places) for places in repeated}
        # A window whose predecessor is repeated in the same places continues that stretch.
        starts = [places for places in repeated if tuple((name, i - 1) for name, i in places) not in known]
        return [[f"{name}:{lines[name][i][0]}" for name, i in places] for places in starts]

    def _code_lines(self, name: str) -> list[tuple[int, str]]:
        """Return numbers and texts of lines of code: no docstrings, imports, comments, or lists of options."""
        skipped: set[int] = set()
        for node in ast.walk(self.modules[name]):
            if isinstance(node, ast.Import | ast.ImportFrom) or is_text(node):
                skipped.update(range(node.lineno, node.end_lineno + 1))
            elif isinstance(node, Function) and lists_options(f"{name}:", node):
                skipped.update(range(node.lineno, node.body[0].lineno))
        numbered = [(number, line.strip()) for number, line in enumerate(self.texts[name].splitlines(), 1)]
        code = [(number, line) for number, line in numbered if number not in skipped and line and line[0] != "#"]
        return [(number, line) for number, line in code if not ASSIGNMENT.fullmatch(line)]

    def arrows(self) -> dict[str, set[str]]:
        """Return which packages (or modules of the root) each one imports, anywhere in its modules."""
        found: dict[str, set[str]] = {top_of(name): set() for name in self.texts if name.endswith((".py", ".pyx"))}
        del found["__init__"]
        for name in self.modules:
            if name != "__init__.py":
                found[top_of(name)] |= {*self.imported(name)} & set(found) - {top_of(name)}
        return found

    def imported(self, name: str) -> Iterator[str]:
        """Yield the packages of flowseg that a module names in its imports; public names count for their packages."""
        for node in ast.walk(self.modules[name]):
            if isinstance(node, ast.ImportFrom) and node.module == "flowseg":
                yield from (self.homes.get(alias.name, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowseg."):
                yield node.module.split(".")[1]


def top_of(name: str) -> str:
    """Return the package that a file belongs to, or the module itself in the root."""
    return name.split("/")[0].split(".")[0]


def parameters_of(function: Function) -> list[ast.arg]:
    """Return all parameters."""
    a = function.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]


def lists_options(place: str, function: Function) -> bool:
    """Return whether it is a constructor, a command of a module of the command line, or takes all its options."""
    is_command = bool(re.match(rf"(cli/|_cli)_{function.name}\.py:", place))
    listed = (SUBCOMMANDS | ALL_OPTIONS).get(place.partition(":")[0], ())
    return function.name == "__init__" or is_command or function.name in listed


def is_text(node: ast.AST) -> bool:
    """Return whether a statement is a string, as docstrings are."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def complexity(function: Function) -> int:
    """Return the branches of a function plus one; functions in it count too."""
    branches = 0
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.ExceptHandler | ast.match_case | Function):
            branches += 1  # the function itself is the one to add
        elif isinstance(node, ast.For | ast.AsyncFor | ast.While | ast.Try):
            branches += bool(node.orelse) + (not isinstance(node, ast.Try))
    return branches


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """Return packages that import each other in a circle; an empty list if there are none."""
    done: set[str] = set()

    def visit(name: str, way: list[str]) -> list[str]:
        if name in way:
            return [*way[way.index(name) :], name]
        if name not in done:
            done.add(name)
            for other in sorted(arrows[name]):
                if circle := visit(other, [*way, name]):
                    return circle
        return []

    return next((circle for name in sorted(arrows) if (circle := visit(name, []))), [])


def p99(counts: dict[str, int]) -> int:
    """Return the smallest number that at least 99 % of the counts do not exceed."""
    return sorted(counts.values())[math.ceil(0.99 * len(counts)) - 1]


def measure(house: House) -> dict[str, object]:
    """Return the rows of the table."""
    folders, bodies, parameters, arrows = house.folders(), house.body_lengths(), house.parameters(), house.arrows()
    circle = find_circle(arrows)
    return {
        "modules": sum(folders.values()),
        "modules in the root": folders["."],
        "modules in the largest folder": max(folders.values()),
        "lines of the longest file": max(house.file_lengths().values()),
        "lines of the longest function body": max(bodies.values()),
        "lines of a function body, 99th percentile": p99(bodies),
        "parameters, largest number": max(parameters.values()),
        "parameters, 99th percentile": p99(parameters),
        "cyclomatic complexity, largest": max(house.complexities().values()),
        f"duplicates of {REPEATED} lines or more": len(house.duplicates()),
        "packages and modules in the root": len(arrows),
        "imports between them": sum(map(len, arrows.values())),
        "imports in a circle": " -> ".join(circle) or "none",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", type=Path, default=[HERE], help="checkouts (default: this one)")
    parser.add_argument("--list", action="store_true", help="list the repeated lines, and the largest of each kind")
    options = parser.parse_args()
    houses = [House(tree) for tree in options.trees]
    columns = [measure(house) for house in houses]
    print(f"{'':42}", *(f"{tree.resolve().name:>12}" for tree in options.trees))
    for row in columns[0]:
        print(f"{row:42}", *(f"{column[row]!s:>12}" for column in columns))
    for tree, house in zip(options.trees, houses, strict=True):
        if options.list:
            print(f"\n{tree}")
            for counts in (house.file_lengths(), house.body_lengths(), house.parameters(), house.complexities()):
                print(
                    *(f"  {n:4} {place}" for place, n in sorted(counts.items(), key=lambda item: -item[1])[:5]),
                    sep="\n",
                )
            print(*("  twice: " + ", ".join(places) for places in house.duplicates()), sep="\n")


if __name__ == "__main__":
    main()
