"""What eslint does not say of the TypeScript: no module needs itself by way of others."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "frontend" / "src"
_IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]""")


def imports(root: Path) -> dict[str, set[str]]:
    """Each module of a folder with those that it imports, types included."""
    found = {}
    for path in sorted(root.rglob("*.ts")):
        named = ((path.parent / name).resolve() for name in _IMPORT.findall(path.read_text(encoding="utf-8")))
        found[_name(path, root)] = {
            _name(target.with_name(target.name + ".ts"), root)
            for target in named
            if target.with_name(target.name + ".ts").is_file()
        }
    return found


def _name(path: Path, root: Path) -> str:
    return path.resolve().relative_to(root.resolve()).with_suffix("").as_posix()


def circle(graph: dict[str, set[str]]) -> list[str]:
    """Modules each of which imports the next and the last the first; empty where there are none."""
    done: set[str] = set()

    def walk(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module in done:
            return []
        for other in sorted(graph.get(module, ())):
            if found := walk(other, [*way, module]):
                return found
        done.add(module)
        return []

    return next((found for module in graph if (found := walk(module, []))), [])


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = imports(SOURCES)
    assert "report/draft" in graph["report/section"]
    assert circle(graph) == []


def test_a_circle_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "draft.ts").write_text("import type { Section } from './section';\n")
    (tmp_path / "report" / "section.ts").write_text("import {\n  Draft,\n} from './draft';\n")
    (tmp_path / "app.ts").write_text("const module = await import('./report/section');\n")
    assert sorted(circle(imports(tmp_path))) == ["report/draft", "report/section"]
