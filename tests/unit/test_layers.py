"""Imports of `oracle/` point only down the list of its layers, and never in a circle."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "oracle"

# From the top down. A part may import what stands below it, and itself.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("commands",),
    ("worker",),
    ("api",),
    ("web", "agents"),
    ("daemon",),
    ("settlement",),
    ("serving",),
    ("attribution",),
    ("factory",),
    ("retrieval",),
    ("datanets",),
    ("client",),
    ("chain",),
    ("store",),
    ("jobs",),
    ("telemetry", "apart"),
    ("config",),
    ("types", "errors", "__init__"),
)
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}

# Plain PyTorch: usable alone on a bare machine with a GPU.
ALONE = ("serving", "attribution", "factory")
NOT_ALONE = {"celery", "web3", "sqlalchemy", "redis", "fastapi", "httpx", "requests"}


def modules() -> dict[str, Path]:
    return {".".join(file.relative_to(ROOT.parent).with_suffix("").parts): file for file in ROOT.rglob("*.py")}


def imports(file: Path) -> set[str]:
    """Absolute names of everything that a module imports, wherever the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import; write the whole name"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def known(name: str, all_modules: dict[str, Path]) -> str | None:
    """The module of ours that an imported name belongs to."""
    while name.startswith("oracle"):
        if name in all_modules or f"{name}.__init__" in all_modules:
            return name
        name = name.rpartition(".")[0]
    return None


def upward(all_modules: dict[str, Path]) -> list[str]:
    wrong = []
    for module, file in sorted(all_modules.items()):
        for name in sorted(imports(file)):
            target = known(name, all_modules)
            if target is None or target == "oracle":
                continue
            here, there = part_of(module), part_of(target)
            if here != there and RANK[there] <= RANK[here]:
                wrong.append(f"{module} imports {target}, which is not below it")
    return wrong


def circles(all_modules: dict[str, Path]) -> list[str]:
    graph = {
        module: {target for name in imports(file) if (target := known(name, all_modules)) and target != module}
        for module, file in all_modules.items()
    }
    done: set[str] = set()
    found: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" → ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                visit(target, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())
    return found


def test_parts__when_listed__then_each_has_its_place() -> None:
    assert {part_of(module) for module in modules()} <= RANK.keys()


def test_imports__of_every_module__then_they_point_down() -> None:
    assert upward(modules()) == []


def test_imports__of_every_module__then_they_form_no_circle() -> None:
    assert circles(modules()) == []


def test_imports__of_the_parts_that_run_on_a_bare_gpu_machine__then_no_daemon_is_needed() -> None:
    heavy = [
        f"{module} imports {name}"
        for module, file in modules().items()
        if part_of(module) in ALONE
        for name in imports(file)
        if name.split(".")[0] in NOT_ALONE
    ]
    assert heavy == []


def test_upward__when_a_lower_part_imports_a_higher_one__then_it_is_named(tmp_path: Path) -> None:
    low, high = tmp_path / "low.py", tmp_path / "high.py"
    low.write_text("def f():\n    from oracle.cli import main\n")
    high.write_text("")
    tree = {"oracle.store.tables": low, "oracle.cli": high}
    assert upward(tree) == ["oracle.store.tables imports oracle.cli, which is not below it"]


def test_circles__when_two_modules_import_each_other__then_they_are_named(tmp_path: Path) -> None:
    first, second = tmp_path / "first.py", tmp_path / "second.py"
    first.write_text("import oracle.store.second\n")
    second.write_text("from oracle.store.first import x\n")
    tree = {"oracle.store.first": first, "oracle.store.second": second}
    assert circles(tree) == ["oracle.store.first → oracle.store.second → oracle.store.first"]


def test_files__of_tests__then_each_has_a_name_of_its_own() -> None:
    """Two of one name cannot be collected together: said here in seconds, and not after the whole suite."""
    names = Counter(file.name for file in (ROOT.parent / "tests").glob("[uf]*/**/test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
