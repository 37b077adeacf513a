"""What eslint does not say of the TypeScript: no module needs itself by way of others, and none exports what no other
uses."""

from __future__ import annotations

import re
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "frontend" / "src"
_IMPORT = re.compile(r"""(?:from|import)\s*\(?\s*['"](\.[^'"]+)['"]""")

_EXPORT = re.compile(r"^export (?:async )?(?:function|const|let|class|interface|type) (\w+)", re.MULTILINE)
#: `import { … } from './module'`, and `(await import('./module')).Name`.
_NAMES_IMPORTED = re.compile(
    r"""import (?:type )?\{([^}]*)\} from ['"]\.[^'"]+['"]|\(await import\(['"]\.[^'"]+['"]\)\)\.(\w+)"""
)


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


def unused_exports(root: Path) -> list[str]:
    """Names that a module exports and no other imports, tests included. What the server's models generate
    (`api_types`) and what stands in for a library in tests (`testing/`) is left out."""
    sources = {_name(path, root): path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.ts"))}
    imported = {
        part.removeprefix("type ").split(" as ")[0]
        for text in sources.values()
        for names, dynamic in _NAMES_IMPORTED.findall(text)
        for part in [dynamic, *re.split(r"\s*,\s*", names.strip())]
    }
    return [
        f"{module}: {name}"
        for module, text in sources.items()
        if module != "api_types" and not module.startswith("testing/")
        for name in _EXPORT.findall(text)
        if name not in imported
    ]


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


def test_no_module_exports_what_no_other_uses() -> None:
    assert unused_exports(SOURCES) == []


def test_an_unused_export_would_be_seen(tmp_path: Path) -> None:
    (tmp_path / "tabs.ts").write_text(
        "export interface Tabs {}\nexport function bindTabs(): Tabs {}\n"
        "export async function load() {}\nexport class Pane {}\n"
    )
    (tmp_path / "app.ts").write_text(
        "import { bindTabs } from './tabs';\nconst made = (await import('./tabs')).Pane;\n"
    )
    assert unused_exports(tmp_path) == ["tabs: Tabs", "tabs: load"]
