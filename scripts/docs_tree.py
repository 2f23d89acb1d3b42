"""The repository as the document checks see it: its pages, its names, what was found wrong."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import docs_markdown


# Cargo's folder: what was built, or logged while building, is no part of the repository.
BUILD_OUTPUT = "target"


@dataclass(frozen=True, order=True)
class Violation:
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return "%s:%d: %s" % (self.file, self.line, self.message)


class Tree:
    """The repository below `root`: pages parsed once, names compared letter by letter."""

    def __init__(self, root: Path):
        self.root = root
        self.violations: set[Violation] = set()
        self._pages: dict[str, Optional[docs_markdown.Page]] = {}
        self._names: dict[Path, set[str]] = {}

    def report(self, file: str, line: int, message: str) -> None:
        self.violations.add(Violation(file, line, message))

    def exists(self, path: str) -> bool:
        """True if the path is there under exactly this spelling, whatever the file system folds."""
        here = self.root
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if parts[:1] == [BUILD_OUTPUT]:
            return False
        for part in parts:
            if here not in self._names:
                try:
                    self._names[here] = {entry.name for entry in here.iterdir()}
                except OSError:
                    self._names[here] = set()
            if part not in self._names[here]:
                return False
            here = here / part
        return here.exists()

    def page(self, path: str) -> Optional[docs_markdown.Page]:
        if path not in self._pages:
            text = self.text(path)
            self._pages[path] = None if text is None else docs_markdown.parse(text)
        return self._pages[path]

    def text(self, path: str) -> Optional[str]:
        if not self.exists(path) or not (self.root / path).is_file():
            return None
        try:
            return (self.root / path).read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            self.report(path, 1, "cannot be read as UTF-8 (%s): save it as UTF-8" % error)
            return None

    def documents(self) -> list[str]:
        found = [p for p in self.root.iterdir() if p.suffix.lower() == ".md" and p.is_file()]
        if (self.root / "docs").is_dir():
            found += [p for p in (self.root / "docs").rglob("*") if p.suffix.lower() == ".md" and p.is_file()]
        return sorted(p.relative_to(self.root).as_posix() for p in found)

    def resolve(self, source: str, target: str) -> Optional[str]:
        """A link's path from the root (`.` is the root itself); None if it leaves the repository."""
        start = "" if target.startswith("/") else posixpath.dirname(source)
        path = posixpath.normpath(posixpath.join(start, target.lstrip("/") or "."))
        return None if path == ".." or path.startswith("../") else path
