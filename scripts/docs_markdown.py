"""Reads a Markdown page as GitHub shows it, as far as links and anchors go.

Understood: fenced and indented code, code spans, HTML comments, block quotes,
lists, ATX, setext and HTML headings, inline and reference links, images, raw
HTML. Everything else is text. Line numbers start at 1.
"""

from __future__ import annotations

import html
import re
import unicodedata
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Link:
    """A destination as written, entities and escapes resolved, percent signs kept."""

    line: int
    target: str


@dataclass(frozen=True)
class Heading:
    line: int
    level: int
    text: str
    anchor: str


@dataclass
class Page:
    """What a page offers (headings, anchors), what it wants (links), what is wrong in itself."""

    lines: list[str]
    # The same lines with code blocks, comments and code spans blanked out, column for column.
    visible: list[str]
    headings: list[Heading] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    links: list[Link] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)

    def section(self, heading: Heading) -> range:
        """Line numbers below a heading, up to the next of its level or above."""
        for other in self.headings:
            if other.line > heading.line and other.level <= heading.level:
                return range(heading.line + 1, other.line)
        return range(heading.line + 1, len(self.lines) + 1)


def parse(text: str) -> Page:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blocks = _Blocks(lines)
    masked = "\n".join(blocks.masked)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    spans, pieces, done = [], [], 0
    for first, last in blocks.ranges():
        begin, end = starts[first], starts[last] + len(lines[last])
        spans.append((first, begin, end))
        pieces += [masked[done:begin], _mask_code_spans(masked[begin:end])]
        done = end
    visible = "".join(pieces) + masked[done:]
    page = Page(lines=lines, visible=visible.split("\n"), problems=list(blocks.problems))

    raw = "\n".join(lines)
    labels = _definitions(page)
    for first, begin, end in spans:
        _inline_links(page, visible[begin:end], raw[begin:end], first + 1, labels)
        _html_attributes(page, visible[begin:end], raw[begin:end], first + 1)
    _headings(page, blocks)
    page.links.sort(key=lambda link: link.line)
    return page


# --- blocks -----------------------------------------------------------------

_QUOTE = re.compile(r" {0,3}> ?")
_MARKER = re.compile(r"([-*+]|\d{1,9}[.)])([ \t]+|$)")
_BREAK = re.compile(r"(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_FENCE = re.compile(r"(`{3,}(?=[^`]*$)|~{3,})")
_ATX = re.compile(r"(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r"(=+|-+)[ \t]*$")


class _Blocks:
    """Which lines are code, and where one paragraph, item, row or heading ends and the next begins."""

    def __init__(self, lines: list[str]):
        self.lines = lines
        self.masked = list(lines)
        self.starts = [True] * len(lines)  # a block begins at this line
        self.content = [""] * len(lines)  # without quote, list and indentation prefixes
        self.base = [0] * len(lines)  # column where the enclosing item's content begins
        self.depth = [0] * len(lines)  # block-quote depth
        self.kind = ["blank"] * len(lines)
        self.problems: list[tuple[int, str]] = []
        self._scan()

    def ranges(self):
        first = None
        for number, kind in enumerate(self.kind):
            if kind in ("blank", "code"):
                if first is not None:
                    yield first, number - 1
                first = None
            elif self.starts[number]:
                if first is not None:
                    yield first, number - 1
                first = number
        if first is not None:
            yield first, len(self.lines) - 1

    def _scan(self) -> None:
        items: list[int] = []
        fence = None  # (character, length, quote depth, column, line)
        comment = False
        number = self._front_matter()
        for number in range(number, len(self.lines)):
            line = self.masked[number]
            if comment:
                end = line.find("-->")
                if end < 0:
                    self._code(number)
                    continue
                comment = False
                line = self.masked[number] = " " * (end + 3) + line[end + 3 :]
            depth, column = _quotes(line)
            body = line[column:]
            if fence is not None:
                inside = depth >= fence[2] and (not body.strip() or _indent(body) >= fence[3])
                if inside:
                    self._code(number)
                    if re.fullmatch(re.escape(fence[0]) + "{%d,}" % fence[1], body.strip()):
                        fence = None
                    continue
                fence = None
            if not body.strip():
                continue
            previous = self.kind[number - 1] if number else "blank"
            if number and self.depth[number - 1] != depth and previous != "blank":
                items = []
            indent, body = _indent(body), body.lstrip(" \t")
            while items and indent < items[-1]:
                items.pop()
            marked = False
            while not _BREAK.match(body) and indent - (items[-1] if items else 0) <= 3:
                marker = _MARKER.match(body)
                if marker is None or (previous == "text" and not marked and not items and marker[0][0].isdigit() and marker[1][:-1] != "1"):
                    break
                gap = len(marker[2].expandtabs(4)) if marker[2] else 1
                indent += len(marker[1]) + (gap if gap <= 4 else 1)
                items.append(indent)
                body = body[marker.end() :] if gap <= 4 else body[len(marker[1]) + 1 :]
                indent += _indent(body)
                body = body.lstrip(" \t")
                marked = True
            base = items[-1] if items else 0
            self.base[number], self.depth[number], self.content[number] = base, depth, body
            deep = indent - base >= 4
            if deep and (previous != "text" or marked):
                self._code(number)
                continue
            opening = _FENCE.match(body)
            if opening and not deep:
                fence = (body[0], len(opening[1]), depth, base, number)
                self._code(number)
                continue
            comment = self._comments(number, len(line) - len(body))
            body = self.masked[number][len(line) - len(body) :]
            self.content[number] = body
            if line.strip() and not body.strip() and not marked:
                self._code(number)
                continue
            if deep:
                # Too deep for a heading or a rule: the paragraph above goes on.
                self.content[number] = " " + body
                self.kind[number] = "text"
            elif _ATX.match(body):
                self.kind[number] = "heading"
            elif _BREAK.match(body) and not (previous == "text" and _SETEXT.match(body)):
                self.kind[number] = "break"
            elif body.startswith("|"):
                self.kind[number] = "row"
            else:
                self.kind[number] = "text"
            self.starts[number] = marked or previous != "text" or self.kind[number] != "text" or self.depth[number - 1] != depth
        if fence is not None:
            self.problems.append((fence[4] + 1, "code fence is never closed; the rest of the page is code: close it"))

    def _front_matter(self) -> int:
        if self.lines and self.lines[0].rstrip() == "---":
            for number in range(1, len(self.lines)):
                if self.lines[number].rstrip() == "---":
                    for inner in range(number + 1):
                        self._code(inner)
                    return number + 1
        return 0

    def _code(self, number: int) -> None:
        self.masked[number] = " " * len(self.lines[number])
        self.kind[number] = "code"

    def _comments(self, number: int, column: int) -> bool:
        """Blanks the comments of a line whose content begins at column; True if one goes on below."""
        line, position = self.masked[number], 0
        while True:
            start = _mask_code_spans(line).find("<!--", position)
            if start < 0 or line[:start].endswith("\\"):
                break
            end = line.find("-->", start + 2)
            if end >= 0:
                line = line[:start] + " " * (end + 3 - start) + line[end + 3 :]
                position = start
                continue
            alone = not line[column:start].strip()
            closes = False
            for later in self.lines[number + 1 :]:
                if "-->" in later:
                    closes = True
                    break
                if not alone and not later.strip():
                    break
            if not alone and not closes:
                break
            if not closes:
                self.problems.append((number + 1, "HTML comment is never closed; the rest of the page is hidden: close it with -->"))
            line = line[:start] + " " * (len(line) - start)
            self.masked[number] = line
            return True
        self.masked[number] = line
        return False


def _quotes(line: str) -> tuple[int, int]:
    depth = column = 0
    while True:
        quote = _QUOTE.match(line, column)
        if quote is None:
            return depth, column
        depth, column = depth + 1, quote.end()


def _indent(text: str) -> int:
    blank = text[: len(text) - len(text.lstrip(" \t"))]
    return len(blank.expandtabs(4))


_TICKS = re.compile(r"\\.|`+", re.S)


def _mask_code_spans(text: str) -> str:
    out, position = list(text), 0
    while True:
        run = _TICKS.search(text, position)
        if run is None:
            break
        position = run.end()
        if run[0][0] == "\\":
            continue
        close = re.compile(r"(?<!`)`{%d}(?!`)" % len(run[0])).search(text, position)
        if close is None:
            continue
        for index in range(run.start(), close.end()):
            if out[index] != "\n":
                out[index] = " "
        position = close.end()
    return "".join(out)


# --- links ------------------------------------------------------------------

_TITLE = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|\((?:[^()\\]|\\.)*\))"
_LABEL = re.compile(r"\[((?:[^\[\]\\]|\\.)+)\]:[ \t]*(.*)$")
_DEFINED = re.compile(r"(<[^<>\n]*>|[^\s<]\S*)(?:[ \t]+%s)?[ \t]*$" % _TITLE)


def _definitions(page: Page) -> set[str]:
    """Collects `[label]: destination` lines; each destination is a link of the page."""
    labels = set()
    for index, line in enumerate(page.lines):
        start = len(line) - len(line.lstrip(" \t>"))
        if page.visible[index][start : start + 1] != "[":
            continue
        match = _LABEL.match(line, start)
        if match is None or match[1].startswith("^"):
            continue
        rest, where = match[2], index
        if not rest.strip() and index + 1 < len(page.lines):
            rest, where = page.lines[index + 1].strip(), index + 1
        found = _DEFINED.match(rest)
        if found is None:
            continue
        label = _normal(match[1])
        if label in labels:
            page.problems.append((index + 1, "reference [%s] is defined twice; only the first counts: remove one" % match[1]))
        labels.add(label)
        page.links.append(Link(where + 1, _plain_destination(found[1])))
    return labels


def _inline_links(page: Page, text: str, raw: str, line: int, labels: set[str]) -> None:
    opened: list[int] = []
    index = 0

    def at(position: int) -> int:
        return line + text.count("\n", 0, position)

    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 2
            continue
        if character == "[":
            opened.append(index)
        elif character == "]" and opened:
            start = opened.pop()
            following = text[index + 1 : index + 2]
            if following == "(":
                destination, end = _destination(raw, index + 2)
                if destination is not None:
                    page.links.append(Link(at(start), destination))
                    # A link may hold an image, never the other way round: go on behind it.
                    index = end
                    continue
                attempt = raw[index + 2 : index + 202].split(")")[0]
                if re.search(r"\.\w+(#\S*)?\s|/", attempt) or attempt.rstrip().endswith(".md"):
                    page.problems.append((at(start), "(%s) is shown as text, not as a link: write a space as %%20 or put the path in <>" % attempt.strip()))
            elif following == "[":
                close = _closing_bracket(text, index + 2)
                if close is not None:
                    label = raw[index + 2 : close] or raw[start + 1 : index]
                    if not label.startswith("^") and _normal(label) not in labels:
                        page.problems.append((at(start), "reference [%s] is not defined: add a line `[%s]: path`" % (label, label)))
                    else:
                        index = close + 1
                        continue
        index += 1


def _closing_bracket(text: str, start: int) -> int | None:
    match = re.compile(r"((?:[^\[\]\\]|\\.)*)\]", re.S).match(text, start)
    return match.end() - 1 if match else None


def _destination(raw: str, start: int) -> tuple[str | None, int]:
    """Parses `dest "title")` from start; the destination and the index behind `)`, or None."""
    index = re.compile(r"\s*").match(raw, start).end()
    if raw[index : index + 1] == "<":
        match = re.compile(r"<((?:[^<>\\\n]|\\.)*)>").match(raw, index)
        if match is None:
            return None, start
        written, index = match[0], match.end()
    else:
        begin, depth = index, 0
        while index < len(raw) and raw[index] not in " \t\n":
            if raw[index] == "\\" and index + 1 < len(raw):
                index += 2
                continue
            if raw[index] == "(":
                depth += 1
                if depth > 32:
                    # GitHub's limit too; without one a page of openings would be read again from each.
                    return None, start
            elif raw[index] == ")":
                if depth == 0:
                    break
                depth -= 1
            index += 1
        if depth:
            return None, start
        written = raw[begin:index]
    match = re.compile(r"(?:\s+%s)?\s*\)" % _TITLE, re.S).match(raw, index)
    if match is None:
        return None, start
    return _plain_destination(written), match.end()


def _plain_destination(written: str) -> str:
    if written.startswith("<") and written.endswith(">"):
        written = written[1:-1]
    return html.unescape(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written))


def _normal(label: str) -> str:
    return " ".join(label.split()).casefold()


_TAG = re.compile(r"<([A-Za-z][\w-]*)(\s(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)?/?>", re.S)
_ATTRIBUTE = re.compile(r"(?<![\w-])(href|src|srcset|id|name)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))", re.I)


def _html_attributes(page: Page, text: str, raw: str, line: int) -> None:
    for tag in _TAG.finditer(text):
        where = line + text.count("\n", 0, tag.start())
        for attribute in _ATTRIBUTE.finditer(raw, tag.start(), tag.end()):
            name = attribute[1].lower()
            value = html.unescape(next((v for v in attribute.groups()[1:] if v is not None), ""))
            if name in ("id", "name"):
                page.anchors.add(value)
            elif name == "srcset":
                for candidate in value.split(","):
                    page.links.append(Link(where, (candidate.split() or [""])[0]))
            else:
                page.links.append(Link(where, value))


# --- headings ---------------------------------------------------------------

_HTML_HEADING = re.compile(r"<h([1-6])(?:\s[^>]*)?>(.*?)</h\1>", re.I)


def _headings(page: Page, blocks: _Blocks) -> None:
    found = []
    for first, last in blocks.ranges():
        for number in range(first, last + 1):
            if blocks.kind[number] == "heading":
                match = _ATX.match(blocks.content[number])
                found.append((number, len(match[1]), match[2] or ""))
                continue
            content = blocks.content[number]
            if number > first and blocks.kind[first] == "text" and _SETEXT.match(content) and blocks.base[number] == blocks.base[first]:
                text = " ".join(blocks.content[n].strip() for n in range(first, number))
                found.append((first, 1 if content[0] == "=" else 2, text))
                break
            for match in _HTML_HEADING.finditer(blocks.masked[number]):
                found.append((number, int(match[1]), match[2]))
    seen: dict[str, int] = {}
    for number, level, text in found:
        anchor = plain = _slug(_shown(text))
        while anchor in seen:
            seen[plain] += 1
            anchor = "%s-%d" % (plain, seen[plain])
        seen[anchor] = 0
        page.anchors.add(anchor)
        page.headings.append(Heading(number + 1, level, _shown(text).strip(), anchor))


def _shown(heading: str) -> str:
    """A heading's text as a reader sees it: no emphasis, no link targets, no tags, no images."""
    shown, position = [], 0
    masked = _mask_code_spans(heading)
    for code in re.finditer(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", heading):
        if masked[code.start()] == "`" or code.start() < position:
            continue
        shown.append(heading[position : code.start()])
        body = code[2]
        if body.startswith(" ") and body.endswith(" ") and body.strip():
            body = body[1:-1]
        shown.append(("code", body))
        position = code.end()
    shown.append(heading[position:])
    # Code is set aside under private-use characters, so that markup around it can be taken off.
    aside: list[str] = []
    text = ""
    for piece in shown:
        if isinstance(piece, tuple):
            text += chr(0xE000 + len(aside))
            aside.append(piece[1])
        else:
            text += piece

    def keep(match: re.Match) -> str:
        aside.append(match[1])
        return chr(0xE000 + len(aside) - 1)

    text = re.sub(r"\\([!-/:-@\[-`{-~])", keep, text)
    text = re.sub(r"!\[[^\]]*\](?:\([^()]*\)|\[[^\]]*\])", "", text)
    for _ in range(2):
        text = re.sub(r"\[([^\[\]]*)\]\((?:[^()]|\([^()]*\))*\)", r"\1", text)
        text = re.sub(r"\[([^\[\]]*)\]\[[^\[\]]*\]", r"\1", text)
    text = re.sub(r"<((?:https?|mailto):[^<>\s]*)>", r"\1", text)
    text = re.sub(r"</?[A-Za-z][^<>]*>", "", text)
    text = re.sub(r"(?<!\w)(_{1,3})(?=\S)(.+?)(?<=\S)\1(?!\w)", r"\2", text)
    text = re.sub(r"(\*{1,3})(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    text = html.unescape(text)
    return "".join(aside[ord(c) - 0xE000] if 0 <= ord(c) - 0xE000 < len(aside) else c for c in text)


def _slug(shown: str) -> str:
    kept = []
    for character in shown.strip().lower():
        if character in " -":
            kept.append("-")
        elif unicodedata.category(character)[0] in "LMN" or unicodedata.category(character) == "Pc":
            kept.append(character)
    return "".join(kept)
