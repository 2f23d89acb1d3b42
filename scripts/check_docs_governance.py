#!/usr/bin/env python3
"""Holds the documents to the tree, and the phase 7 plan to both.

Four rules:
  links     every relative link, image and anchor of the Markdown pages resolves
  roadmap   roadmap, plan and design references name each other
  plan      the plan's 16 tasks are complete, and their statuses are true to the tree
  ci        the workflow runs this script, its tests and the README's test command

Each violation is one line, `file:line: message`. Exit status: 0 nothing found,
1 violations, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import difflib
import posixpath
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional
from urllib.parse import unquote

import docs_markdown
from docs_substance import weakness
from docs_tree import Tree, Violation
from docs_workflow import commands, read_steps

REQUIRED_PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")
ROADMAP = "docs/project/roadmap.md"
ROADMAP_LINE = "[Infra] SaaS Observability & Telemetry"
PLAN = "docs/plans/2026-02-27-phase-7-observability-telemetry-task-plan.md"
DESIGNS = (
    "docs/plans/2026-02-15-phase-7-a11y-observability-design.md",
    "docs/plans/2026-02-15-opentelemetry-grafana-reference-design.md",
)
PLAN_SECTIONS = ("Objective", "Scope", "Tasks", "Verification plan", "Rollout", "Risks", "Definition of done")
TASKS = 16
WORKFLOW = ".github/workflows/ci.yml"
SELF = "scripts/check_docs_governance.py"
SELF_TEST = "scripts/test_check_docs_governance.py"
TEST_COMMAND = "cargo xtask test"

STATUSES = ("not started", "in progress", "done")
LIFECYCLES = ("draft", "active", "completed", "superseded")


# --- links ------------------------------------------------------------------


def check_links(tree: Tree) -> int:
    for name in REQUIRED_PAGES:
        if not tree.exists(name):
            tree.report(name, 1, "is missing: write it")
    count = 0
    for source in tree.documents():
        page = tree.page(source)
        if page is None:
            continue
        for line, message in page.problems:
            tree.report(source, line, message)
        for link in page.links:
            count += 1
            message = _link_problem(tree, source, link.target)
            if message:
                tree.report(source, link.line, message)
    return count


def _link_problem(tree: Tree, source: str, target: str) -> Optional[str]:
    if not target.strip():
        return "link without a destination: give it one"
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:|//", target):
        return "link %s is a path of one machine: use a relative path" % target if target.lower().startswith("file:") else None
    address, _, fragment = target.partition("#")
    address, _, query = address.partition("?")
    fragment = unquote(fragment)
    if not address:
        path = source
    else:
        path = tree.resolve(source, unquote(address))
        if path is None:
            return "link %s leaves the repository: link inside it, or by full address" % target
        if not tree.exists(path):
            return "link %s: no file %s%s" % (target, path, _nearest_file(tree, path))
        if address.endswith("/") and not (tree.root / path).is_dir():
            return "link %s: %s is a file: drop the slash" % (target, path)
    if not fragment:
        return None
    if (tree.root / path).is_dir():
        path = posixpath.normpath(posixpath.join(path, "README.md"))
        if not tree.exists(path):
            return "link %s: a folder without README.md has no anchors: drop #%s" % (target, fragment)
    if not path.lower().endswith(".md") or "plain=1" in query:
        return _line_anchor_problem(tree, path, target, fragment)
    page = tree.page(path)
    if page is None or fragment in page.anchors or fragment == "top":
        return None
    near = difflib.get_close_matches(fragment.lower(), sorted(page.anchors), 1, 0.5)
    return "link %s: no anchor #%s in %s%s" % (target, fragment, path, ", nearest is #%s" % near[0] if near else ": add the heading or drop the anchor")


def _line_anchor_problem(tree: Tree, path: str, target: str, fragment: str) -> Optional[str]:
    if path.lower().endswith((".html", ".htm", ".svg", ".pdf")):
        return None
    match = re.fullmatch(r"L(\d+)(?:C\d+)?(?:-L(\d+)(?:C\d+)?)?", fragment)
    if match is None:
        return "link %s: %s is no Markdown page; only #L<number> can follow it" % (target, path)
    text = tree.text(path)
    lines = len(text.splitlines()) if text is not None else 0
    last = max(int(number) for number in match.groups() if number)
    return "link %s: %s has only %d lines" % (target, path, lines) if last > lines else None


def _nearest_file(tree: Tree, path: str) -> str:
    folder = posixpath.dirname(path)
    if not (tree.root / folder).is_dir():
        return ": make it or mend the link"
    names = {entry.name.lower(): entry.name for entry in (tree.root / folder).iterdir()}
    near = difflib.get_close_matches(posixpath.basename(path).lower(), sorted(names), 1, 0.75)
    return ", nearest is %s" % names[near[0]] if near else ": make it or mend the link"


# --- plan -------------------------------------------------------------------


@dataclass
class Field:
    line: int
    value: str
    paths: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class Task:
    number: int
    title: str
    line: int
    fields: dict[str, Field] = field(default_factory=dict)

    @property
    def status(self) -> str:
        return self.fields["status"].value.lower() if "status" in self.fields else ""


_TASK = re.compile(r"Task\s+(\d+)\s*[:.–—-]\s*(.*)$", re.I)
_FIELD = re.compile(r"[-*]\s+\*{0,2}([A-Za-z][A-Za-z -]*?)\*{0,2}:\*{0,2}(?:\s+(.*))?$")
_HEADER = re.compile(r"(?:[-*]\s+)?\*\*([A-Za-z][A-Za-z -]*?):?\*\*:?\s*(.*)$")


def read_tasks(page: docs_markdown.Page) -> list[Task]:
    """Reads `### Task N: title` and the `- Name: value` items below it; a value may go on in nested items."""
    tasks = []
    for heading in page.headings:
        match = _TASK.match(heading.text)
        if match is None:
            continue
        task = Task(int(match[1]), match[2].strip(), heading.line)
        current = None
        for number in page.section(heading):
            # Fenced code and comments are blank in `visible`; code spans too, so the text itself is read.
            raw, shown = page.lines[number - 1], page.visible[number - 1]
            if not raw.strip():
                continue
            if not shown.strip():
                # Blanked as a whole: code, a comment, or a line that is one code span.
                if not re.match(r"\s*`[^`]", raw):
                    current = None
                    continue
            item = _FIELD.match(shown) and _FIELD.match(raw)
            if item:
                name = item[1].strip().lower()
                current = Field(number, (item[2] or "").strip())
                current.paths = [(number, p) for p in re.findall(r"`([^`]+)`", item[2] or "")]
                task.fields.setdefault(name, current)
            elif current is not None and raw[:1] in " \t":
                current.value = (current.value + " " + raw.strip().lstrip("-* ")).strip()
                current.paths += [(number, p) for p in re.findall(r"`([^`]+)`", raw)]
            else:
                current = None
        tasks.append(task)
    return tasks


def read_header(page: docs_markdown.Page) -> dict[str, Field]:
    """Reads `**Name:** value` above the first section; list items below a name belong to it."""
    end = next((h.line for h in page.headings if h.level >= 2), len(page.lines) + 1)
    header: dict[str, Field] = {}
    current = None
    for number in range(1, end):
        raw, shown = page.lines[number - 1], page.visible[number - 1]
        if not shown.strip():
            continue
        match = _HEADER.match(raw.strip())
        if match:
            current = Field(number, match[2].strip().rstrip("\\").strip())
            header.setdefault(match[1].strip().lower(), current)
        elif current is not None and re.match(r"\s*[-*]\s", raw):
            current.value = (current.value + " " + raw.strip()).strip()
    return header


def check_plan(tree: Tree) -> Optional[str]:
    """Checks the plan; returns its status word, or None if there is none to compare with."""
    page = tree.page(PLAN)
    if page is None:
        tree.report(PLAN, 1, "the phase 7 plan is missing: write it")
        return None
    header = read_header(page)
    tasks = read_tasks(page)
    _check_header(tree, page, header)
    _check_sections(tree, page)
    _check_numbers(tree, tasks)
    for task in tasks:
        _check_task(tree, task)
    return _check_status(tree, header, tasks)


def _check_header(tree: Tree, page: docs_markdown.Page, header: dict[str, Field]) -> None:
    for name in ("Date", "Status", "Lifecycle", "Roadmap Reference", "Design References"):
        if name.lower() not in header:
            tree.report(PLAN, 1, "header has no **%s:** add it above the first section" % name)
    date = header.get("date")
    if date and not posixpath.basename(PLAN).startswith(date.value + "-"):
        tree.report(PLAN, date.line, "date %s is not the file name's %s: make them equal" % (date.value, posixpath.basename(PLAN)[:10]))
    lifecycle = header.get("lifecycle")
    if lifecycle and lifecycle.value.lower() not in LIFECYCLES:
        tree.report(PLAN, lifecycle.line, "lifecycle %r is unknown: use one of %s" % (lifecycle.value, ", ".join(LIFECYCLES)))
    reference = header.get("roadmap reference")
    if reference:
        if ROADMAP not in _linked(tree, PLAN, page, reference.line, reference.line):
            tree.report(PLAN, reference.line, "roadmap reference does not link %s: link it" % ROADMAP)
        if ROADMAP_LINE not in reference.value:
            tree.report(PLAN, reference.line, "roadmap reference does not name `%s`: name it" % ROADMAP_LINE)
    designs = header.get("design references")
    if designs:
        end = next((h.line for h in page.headings if h.line > designs.line), len(page.lines) + 1)
        linked = _linked(tree, PLAN, page, designs.line, end)
        for design in DESIGNS:
            if design not in linked:
                tree.report(PLAN, designs.line, "design references do not link %s: link it" % design)


def _check_sections(tree: Tree, page: docs_markdown.Page) -> None:
    present = {h.text.strip().lower() for h in page.headings}
    for section in PLAN_SECTIONS:
        if section.lower() not in present:
            tree.report(PLAN, 1, "has no section %r: add the heading" % section)


def _check_numbers(tree: Tree, tasks: list[Task]) -> None:
    if not tasks:
        tree.report(PLAN, 1, "has no task: write each as `### Task N: title`")
        return
    for position, task in enumerate(tasks, 1):
        if any(earlier.number == task.number for earlier in tasks[: position - 1]):
            tree.report(PLAN, task.line, "task %d is there twice: number it anew" % task.number)
        elif position > 1 and task.number < tasks[position - 2].number:
            tree.report(PLAN, task.line, "task %d stands behind task %d: put the tasks in order" % (task.number, tasks[position - 2].number))
        if not 1 <= task.number <= TASKS:
            tree.report(PLAN, task.line, "task %d is outside 1 to %d: the plan has %d tasks" % (task.number, TASKS, TASKS))
    for missing in sorted(set(range(1, TASKS + 1)) - {task.number for task in tasks}):
        tree.report(PLAN, tasks[-1].line, "task %d is missing: add `### Task %d: title`" % (missing, missing))


def _check_task(tree: Tree, task: Task) -> None:
    def report(line: int, message: str) -> None:
        tree.report(PLAN, line, "task %d %s" % (task.number, message))

    if not task.title:
        report(task.line, "has no title: give it one")
    for name in ("Status", "Files", "Done when"):
        if name.lower() not in task.fields:
            report(task.line, "has no `- %s:` item: add it" % name)
        elif not task.fields[name.lower()].value:
            report(task.fields[name.lower()].line, "has an empty `- %s:` item: fill it" % name)
    status = task.fields.get("status")
    if status and status.value and task.status not in STATUSES:
        report(status.line, "has the unknown status %r: use one of %s" % (status.value, ", ".join(STATUSES)))
    files = task.fields.get("files")
    if not files or not files.value:
        return
    if not files.paths:
        if not re.match(r"none\b", files.value, re.I):
            report(files.line, "names no file in backticks: name them, or write `none` and why")
        return

    standing = []
    for line, path in files.paths:
        if path.startswith("/") or ".." in path.split("/") or re.search(r"\s|[*?]", path):
            report(line, "names %r: write a path from the repository's root, without blanks or wildcards" % path)
            continue
        reason = "is missing" if not tree.exists(path) else weakness(tree.root / path)
        standing.append(reason is None)
        if reason and task.status == "done":
            report(line, "is marked done, but %s %s: finish the file or set the status back" % (path, reason))
    if standing and status:
        if task.status == "not started" and all(standing):
            report(status.line, "is marked not started, but all its files stand: set it to in progress or done")
        # A file of another task proves nothing about this one, a missing one does.
        if task.status == "in progress" and not any(tree.exists(path) for _, path in files.paths):
            report(status.line, "is marked in progress, but none of its files exists: set it to not started")


def _check_status(tree: Tree, header: dict[str, Field], tasks: list[Task]) -> Optional[str]:
    status = header.get("status")
    if status is None:
        return None
    if status.value.lower() not in STATUSES:
        tree.report(PLAN, status.line, "status %r is unknown: use one of Not Started, In Progress, Done" % status.value)
        return None
    found = {task.status for task in tasks}
    if tasks and found <= set(STATUSES):
        due = found.pop() if len(found) == 1 else "in progress"
        if status.value.lower() != due:
            done = sum(task.status == "done" for task in tasks)
            tree.report(PLAN, status.line, "status is %r, but %d of %d tasks are done: set it to %s" % (status.value, done, len(tasks), due.title()))
    lifecycle = header.get("lifecycle")
    if lifecycle and lifecycle.value.lower() == "completed" and status.value.lower() != "done":
        tree.report(PLAN, lifecycle.line, "lifecycle is Completed, but the status is %s: make them agree" % status.value)
    return status.value.lower()


def _linked(tree: Tree, source: str, page: docs_markdown.Page, first: int, last: int) -> set[str]:
    """Paths that the links of the lines first to last lead to."""
    found = set()
    for link in page.links:
        if first <= link.line <= last and not re.match(r"[A-Za-z][A-Za-z0-9+.-]+:|//|#", link.target):
            path = tree.resolve(source, unquote(link.target.split("#")[0].split("?")[0]))
            if path:
                found.add(path)
    return found


# --- roadmap ----------------------------------------------------------------


def check_roadmap(tree: Tree, plan_status: Optional[str]) -> None:
    for design in DESIGNS:
        page = tree.page(design)
        if page is None:
            tree.report(design, 1, "design reference of the plan is missing: write it")
        elif PLAN not in _linked(tree, design, page, 1, len(page.lines)):
            tree.report(design, 1, "does not link back to %s: link it" % PLAN)
        elif weakness(tree.root / design):
            tree.report(design, 1, "%s: write the design" % weakness(tree.root / design))

    page = tree.page(ROADMAP)
    if page is None:
        tree.report(ROADMAP, 1, "the roadmap is missing: write it")
        return
    entry = next((n for n, line in enumerate(page.visible, 1) if _undecorated(line) == ROADMAP_LINE), None)
    if entry is None:
        tree.report(ROADMAP, 1, "has no line `%s`: add it under Phase 7" % ROADMAP_LINE)
        return
    above = [h for h in page.headings if h.line < entry and entry in page.section(h)]
    if not any(re.match(r"Phase 7\b", h.text, re.I) for h in above):
        tree.report(ROADMAP, entry, "`%s` does not stand under a Phase 7 heading: move it" % ROADMAP_LINE)
    end = next((h.line - 1 for h in page.headings if h.line > entry), len(page.lines))
    end = next((n - 1 for n in range(entry + 1, end + 1) if re.match(r"\[\w+\] ", _undecorated(page.visible[n - 1]))), end)
    if PLAN not in _linked(tree, ROADMAP, page, entry, end):
        tree.report(ROADMAP, entry, "entry does not link %s: link it below the line" % PLAN)
    status = None
    for number in range(entry, end + 1):
        match = re.match(r"\s*[-*]\s+\*{0,2}Status:?\*{0,2}:?\s+([A-Za-z ]+?)\s*(?:[.,;(].*)?$", page.visible[number - 1])
        if match:
            status = (number, match[1].strip())
            break
    if status is None:
        tree.report(ROADMAP, entry, "entry has no `- Status:` item: add it below the line")
    elif status[1].lower() not in STATUSES:
        tree.report(ROADMAP, status[0], "status %r is unknown: use one of Not Started, In Progress, Done" % status[1])
    elif plan_status and status[1].lower() != plan_status:
        tree.report(ROADMAP, status[0], "status is %s, but the plan's is %s: make them agree" % (status[1], plan_status.title()))


def _undecorated(line: str) -> str:
    line = re.sub(r"^\s*(?:[-*+]\s+|#{1,6}\s+|\d+[.)]\s+)?(?:\[[ xX]\]\s+)?", "", line).strip()
    return line.strip("*").strip()


# --- ci ---------------------------------------------------------------------


def check_ci(tree: Tree) -> None:
    readme = tree.text("README.md")
    if readme is not None and not _calls([readme], TEST_COMMAND):
        tree.report("README.md", 1, "does not give the test command `%s`: give it" % TEST_COMMAND)
    text = tree.text(WORKFLOW)
    if text is None:
        tree.report(WORKFLOW, 1, "the workflow is missing: write it")
        return
    triggers = text.split("\njobs:")[0]
    for event in ("push", "pull_request"):
        if not re.search(r"^(?!\s*#).*\b%s\b" % event, triggers, re.M):
            tree.report(WORKFLOW, 1, "does not run on %s: add it under `on:`" % event)
    direct, loose = [], []
    for step in read_steps(text):
        (direct if step.binding else loose).extend(commands(step.run))
    direct, loose = direct + _called_scripts(tree, direct), loose + _called_scripts(tree, loose)
    wanted = (
        (SELF, "the docs governance script"),
        (TEST_COMMAND, "the README's test command"),
    )
    for needle, what in wanted:
        if not _calls(direct, needle):
            hint = "its step cannot fail the workflow: make it binding" if _calls(loose, needle) else "add a step that runs it"
            tree.report(WORKFLOW, 1, "does not hold to %s (`%s`): %s" % (what, needle, hint))
    if not any(re.search(r"unittest\b.*(\bscripts\b|test_check_docs_governance)|%s" % re.escape(SELF_TEST), c) for c in direct):
        tree.report(WORKFLOW, 1, "does not run the governance script's own tests: add `python3 -m unittest discover -s scripts -p 'test_*.py'`")


def _called_scripts(tree: Tree, calls: list[str]) -> list[str]:
    """Commands of the repository's shell scripts that the commands call, and of those they call."""
    found, seen, waiting = [], set(), list(calls)
    while waiting:
        for word in re.findall(r"[\w./-]+", waiting.pop()):
            path = posixpath.normpath(word)
            if path in seen or path.startswith(("/", "..")) or path.endswith((".py", ".md")):
                continue
            seen.add(path)
            if "/" in path or path.endswith(".sh"):
                text = tree.text(path)
                if text is not None:
                    inner = commands(text.split("\n"))
                    found += inner
                    waiting += inner
    return found


def _calls(texts: list[str], command: str) -> bool:
    pattern = re.compile(r"(?<![\w/-])(?:\./)?%s(?![\w/-])" % re.escape(command))
    return any(pattern.search(text) for text in texts)


# --- command line -----------------------------------------------------------


def check(root: Path) -> tuple[list[Violation], int, int]:
    """All violations below root, sorted, with the numbers of documents and links seen."""
    tree = Tree(root)
    links = check_links(tree)
    check_roadmap(tree, check_plan(tree))
    check_ci(tree)
    return sorted(tree.violations), len(tree.documents()), links


def main(arguments: Optional[list[str]] = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", metavar="DIR", type=Path, default=Path(__file__).resolve().parent.parent, help="repository to check (default: the one this script is in)")
    options = parser.parse_args(arguments)
    if not options.root.is_dir():
        parser.error("--root %s is not a folder" % options.root)
    violations, documents, links = check(options.root)
    for violation in violations:
        print(violation)
    count = len(violations)
    found = "no violations" if not count else "1 violation" if count == 1 else "%d violations" % count
    print("docs governance: %s in %d documents, %d links" % (found, documents, links))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
