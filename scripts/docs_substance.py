"""Tells a file with substance from a stub.

`weakness(path)` returns why a file cannot stand for finished work, or None.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path
from typing import Optional

import docs_markdown

# Lines that carry something: not blank, not comment, and in prose not a heading or a rule.
LEAST_LINES = {"source": 3, "config": 5, "prose": 8}

_SOURCE = {".rs", ".ts", ".tsx", ".js", ".jsx", ".mjs", ".css"}
_PROMISE = re.compile(r"\b(TODO|FIXME|TBD|XXX)\b")
_MACRO = re.compile(r"\b(todo|unimplemented)\s*!")
_NOT_YET = re.compile(r"(?:panic!|unreachable!|throw new \w*Error)\s*\(\s*[\"'`][^\"'`]*?(?:TODO|FIXME|not (?:yet )?implemented)", re.I)
_RUST_ITEM = re.compile(r"\b(fn|struct|enum|union|trait|impl|mod|use|const|static|type|macro_rules|extern)\b")
_SCRIPT_ITEM = re.compile(r"\b(function|class|const|let|var|interface|type|enum|import|export|render)\b")


def weakness(path: Path) -> Optional[str]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        if not files:
            return "is an empty folder"
        reasons = [weakness(p) for p in files]
        # A folder stands if one file in it does.
        return None if None in reasons else "holds only stubs (%s %s)" % (files[0].name, reasons[0])
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        return None if path.stat().st_size else "is empty"
    except OSError as error:
        return "cannot be read (%s)" % error.strerror
    if not text.strip():
        return "is empty"
    suffix = path.suffix.lower()
    if suffix == ".md":
        return _prose(text)
    if suffix == ".py":
        return _python(text)
    if suffix in _SOURCE:
        return _source(text, suffix)
    return _config(text)


def _few(lines: int, kind: str) -> Optional[str]:
    least = LEAST_LINES[kind]
    return "is a stub: %d meaningful line%s, at least %d wanted" % (lines, "" if lines == 1 else "s", least) if lines < least else None


def _prose(text: str) -> Optional[str]:
    page = docs_markdown.parse(text)
    headings = {heading.line for heading in page.headings}
    lines = 0
    for number, line in enumerate(page.visible, 1):
        promise = _PROMISE.search(line)
        if promise:
            return "is a stub: line %d says %s" % (number, promise[1])
        if number not in headings and re.search(r"\w", line):
            lines += 1
    return _few(lines, "prose")


def _config(text: str) -> Optional[str]:
    lines = 0
    for number, line in enumerate(text.splitlines(), 1):
        promise = _PROMISE.search(line)
        if promise:
            return "is a stub: line %d says %s" % (number, promise[1])
        if line.strip() and not line.lstrip().startswith("#"):
            lines += 1
    return _few(lines, "config")


def _python(text: str) -> Optional[str]:
    try:
        tree = ast.parse(text)
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        return "does not parse (%s)" % error
    lines = set()
    idle = (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokens:
        if token.type == tokenize.COMMENT:
            promise = _PROMISE.search(token.string)
            if promise:
                return "is a stub: line %d says %s" % (token.start[0], promise[1])
        elif token.type not in idle:
            lines.add(token.start[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and node.exc is not None:
            raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                return "is a stub: line %d raises NotImplementedError" % node.lineno
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))]
    if all(_idle(statement) for statement in tree.body):
        return "is a stub: it does nothing"
    bodies = [f for f in functions if not isinstance(f, ast.ClassDef)]
    if bodies and all(all(_idle(s) for s in f.body) for f in bodies):
        return "is a stub: every function is empty"
    return _few(len(lines), "source")


def _idle(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _source(text: str, suffix: str) -> Optional[str]:
    code, comments, quoted = _split(text, rust=suffix == ".rs")
    for number, line in enumerate(comments.split("\n"), 1):
        promise = _PROMISE.search(line)
        if promise:
            return "is a stub: line %d says %s" % (number, promise[1])
    pattern = _MACRO if suffix == ".rs" else None
    macro = pattern.search(code) if pattern else None
    if macro:
        return "is a stub: line %d has %s!" % (code.count("\n", 0, macro.start()) + 1, macro[1])
    promise = _NOT_YET.search(quoted)
    if promise:
        return "is a stub: line %d stops with 'not implemented'" % (quoted.count("\n", 0, promise.start()) + 1)
    if suffix == ".rs" and not _RUST_ITEM.search(code):
        return "is a stub: it holds no item"
    if suffix not in (".rs", ".css"):
        if not _SCRIPT_ITEM.search(re.sub(r"\bexport\s*\{\s*\}", "", code)):
            return "is a stub: it holds no item"
    opening = r"\bfn\s+\w+" if suffix == ".rs" else r"\bfunction\s+\w+"
    functions = len(re.findall(opening, code))
    if functions and functions == len(re.findall(opening + r"[^{};]*\{\s*\}", code)) and not re.search(r"\b(struct|enum|trait|class|interface)\b", code):
        return "is a stub: every function is empty"
    return _few(sum(1 for line in quoted.split("\n") if line.strip()), "source")


def _split(text: str, rust: bool) -> tuple:
    """(code without strings and comments, comments alone, code with strings), each with the text's line breaks."""
    code, comments, quoted = [], [], []

    def put(piece: str, to_code: bool, to_comments: bool, to_quoted: bool) -> None:
        blank = re.sub(r"[^\n]", " ", piece)
        code.append(piece if to_code else blank)
        comments.append(piece if to_comments else blank)
        quoted.append(piece if to_quoted else blank)

    index = 0
    while index < len(text):
        if text.startswith("//", index):
            end = text.find("\n", index)
            end = len(text) if end < 0 else end
            put(text[index:end], False, True, False)
        elif text.startswith("/*", index):
            end = _block_comment(text, index, nested=rust)
            put(text[index:end], False, True, False)
        else:
            end = _string(text, index, rust)
            if end is None:
                end = index + 1
                put(text[index:end], True, False, True)
            else:
                put(text[index:end], False, False, True)
        index = end
    return "".join(code), "".join(comments), "".join(quoted)


def _block_comment(text: str, start: int, nested: bool) -> int:
    depth, index = 0, start
    for mark in re.compile(r"/\*|\*/").finditer(text, start):
        depth += 1 if mark[0] == "/*" and (nested or depth == 0) else -1 if mark[0] == "*/" else 0
        index = mark.end()
        if depth == 0:
            return index
    return len(text)


def _string(text: str, start: int, rust: bool) -> Optional[int]:
    """The end of the string literal that begins at start, or None."""
    if rust:
        raw = re.compile(r"(?<![\w])[bc]?r(#*)\"").match(text, start)
        if raw:
            end = text.find('"' + raw[1], raw.end())
            return len(text) if end < 0 else end + 1 + len(raw[1])
        pattern = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\\n]|\\[^\n]+?)'"
    else:
        pattern = r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`"
    match = re.compile(pattern, re.S).match(text, start)
    return match.end() if match else None
