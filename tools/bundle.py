"""Stage one worker for upload: `python3 tools/bundle.py analytics` writes build/analytics/.

A deployment uploads the folder of `main` and refuses to follow links, so what a worker shares with
the others has to be next to its `entry.py`:

    workers/analytics/entry.py  ->  build/analytics/entry.py
    workers/analytics/          ->  build/analytics/analytics/
    shared/                     ->  build/analytics/shared/

A bundle contains the modules that the worker imports, from its entry, its jobs and its providers
on, of both folders. It contains the `.sql` files with a block that one of these modules names, the
parts that they include, and the `.txt` files that one of these modules names. A link is refused: it
may lead to any file of this machine.

Safe to run while the bundle is watched or read: a file is replaced whole, and only if it changed.
Two processes stage a bundle one after the other.
Runs on any Python from 3.11 on, without the project's packages.
"""

import ast
import fcntl
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UPLOADED = {".py", ".sql", ".txt"}
SQL_BLOCK = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)
SQL_INCLUDE = re.compile(r"^-- include: (\w+)\s*$", re.MULTILINE)
DISCOVERED = ("jobs", "providers")  # a worker finds the modules in these folders, not by name
PYTHON_3_14_MODULES = {"annotationlib", "compression"}  # production's; the host may be older


def bundle(root: Path, name: str) -> Path:
    """Stage workers/NAME and return the bundle's folder. ValueError has a sentence for people."""
    sources = sources_of(root, name)
    refuse_shadowed(root, {path.parts[0].removesuffix(".py") for path in sources})
    target = root / "build" / name
    target.mkdir(parents=True, exist_ok=True)
    with alone(target):
        for path, source in sources.items():
            replace(target / path, source.read_bytes())
        remove_stale(target, set(sources))
    return target


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Wait for another process that stages the same bundle: it would remove our temporary files."""
    folder = os.open(target, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def sources_of(root: Path, name: str) -> dict[Path, Path]:
    """Return the path in the bundle and the file that it copies."""
    sources = candidates(root, name)
    carried = imported_modules(sources, [f"{name}.{folder}" for folder in DISCOVERED])
    modules = {path: source for path, source in sources.items() if module_of(path) in carried}
    texts = {text for source in modules.values() for text in texts_of(source)}
    kept = set(modules) | loaded_sql(sources, texts)
    kept |= {path for path in sources if path.suffix == ".txt" and path.name in texts}
    return {path: source for path, source in sources.items() if path in kept}


def candidates(root: Path, name: str) -> dict[Path, Path]:
    """Return every file of the worker and of shared/ that a bundle may contain."""
    package, shared = root / "workers" / name, root / "shared"
    entry = package / "entry.py"
    if entry.is_symlink() or not entry.is_file():
        raise ValueError(
            f"{entry} is missing, or a link: a worker is a folder of workers/ with an entry.py."
        )
    sources = {Path("entry.py"): entry}
    for folder, prefix in ((package, name), (shared, "shared")):
        for source in sorted(folder.rglob("*")):
            path = source.relative_to(folder)
            if source.is_symlink() and is_uploaded(path):
                raise ValueError(f"{source} is a link: put the file itself there, or remove it.")
            if source != entry and is_uploaded(path) and source.is_file():
                sources[prefix / path] = source
    return sources


def loaded_sql(sources: dict[Path, Path], texts: set[str]) -> set[Path]:
    """Return the SQL files with a block that `texts` names, and the parts that they include.

    A part is looked up by its name, in the worker's folder and in shared/: both are kept.
    """
    contents = {
        path: source.read_text(encoding="utf-8")
        for path, source in sources.items()
        if path.suffix == ".sql"
    }
    parts = {path for path in contents if path.parent.name == "parts"}
    kept = {p for p in set(contents) - parts if texts & set(SQL_BLOCK.findall(contents[p]))}
    new = set(kept)
    while new:
        included = {name for path in new for name in SQL_INCLUDE.findall(contents[path])}
        new = {path for path in parts if path.stem in included} - kept
        kept |= new
    return kept


def imported_modules(sources: dict[Path, Path], discovered: list[str]) -> set[str]:
    """Return the modules that are imported at any time, starting with the entry and the packages
    whose modules are found in their folders and not by name.
    """
    modules = {module_of(path): source for path, source in sources.items() if path.suffix == ".py"}
    starts = ("entry.", *(f"{package}." for package in discovered))
    met = {module for module in modules if f"{module}.".startswith(starts)}
    new = set(met)
    while new:
        named = {name for module in new for name in imports_of(modules[module])}
        new = {name for name in named if name in modules} - met
        met |= new
    return met


def texts_of(source: Path) -> set[str]:
    """Return the string constants of a module: names of SQL blocks and of `.txt` files are some."""
    try:
        tree = ast.parse(source.read_bytes(), source)
    except SyntaxError:
        return set()
    constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str)}


def imports_of(source: Path) -> Iterator[str]:
    """Yield each name that may be a module, and the packages that it is in.

    A file that Python cannot parse yields nothing: it is staged, and the runtime shows the error.
    """
    try:
        tree = ast.parse(source.read_bytes(), source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for parts in (name.split(".") for name in names):
            yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def module_of(path: Path) -> str:
    """`shared/adapters/r2.py` is shared.adapters.r2, `shared/__init__.py` is shared."""
    if path.suffix != ".py":
        return ""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def is_uploaded(path: Path) -> bool:
    is_hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return path.suffix in UPLOADED and not is_hidden


def refuse_shadowed(root: Path, names: set[str]) -> None:
    """Raise ValueError for a module that another one hides: the worker's files come last on
    sys.path."""
    vendored = {path.name.removesuffix(".py") for path in root.glob("python_modules/*")}
    standard = sys.stdlib_module_names | PYTHON_3_14_MODULES
    for name in sorted(names):
        for where, taken in (("the standard library", standard), ("python_modules/", vendored)):
            if name in taken:
                raise ValueError(
                    f"The module `{name}` of the bundle would never be imported: {where} has one "
                    "of that name, and comes first. Rename the module."
                )


def replace(target: Path, content: bytes) -> None:
    """Write a file so that readers see the old content or the new. Skip an unchanged file."""
    if target.is_file() and target.read_bytes() == content:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.replace(target)


def remove_stale(target: Path, kept: set[Path]) -> None:
    """Remove files, then the folders that are empty now, deepest first."""
    found = sorted(target.rglob("*"), reverse=True)
    for path in found:
        if path.is_file() and path.relative_to(target) not in kept:
            path.unlink(missing_ok=True)
    for path in found:
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: bundle.py WORKER", file=sys.stderr)
        return 2
    try:
        bundle(Path(__file__).resolve().parent.parent, arguments[0])
    except ValueError as error:
        print(f"bundle.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
