"""Each rule of check_docs_governance.py on a small tree: it passes, one thing breaks, the violation names it.

Run: python3 -m unittest discover -s scripts -p 'test_*.py'
"""

import contextlib
import io
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import check_docs_governance as governance
import docs_markdown
from check_docs_governance import DESIGNS, PLAN, ROADMAP, ROADMAP_LINE, SELF, TASKS, WORKFLOW

PROSE = "\n".join("Line %d says something." % n for n in range(10)) + "\n"
SCRIPT = "import sys\n\n\ndef main():\n    return sys.argv\n\n\nmain()\n"
DESIGN = "# Design\n\n[plan](2026-02-27-phase-7-observability-telemetry-task-plan.md)\n\n" + PROSE
CI = """\
on:
  push:
  pull_request:
jobs:
  docs:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - run: python3 scripts/check_docs_governance.py
      - run: python3 -m unittest discover -s scripts -p 'test_*.py'
  check:
    runs-on: ubuntu-latest
    steps:
      - name: all
        run: bash .ci/run
"""


def task(number, status="not started", files="`src/none.rs`", done_when="It works."):
    return "### Task %d: Do it\n\n- Status: %s\n- Files: %s\n- Done when: %s\n\n" % (number, status, files, done_when)


def plan(status="In Progress", tasks=None, designs=DESIGNS):
    if tasks is None:
        tasks = [task(1, "done", "none (git operation)")] + [task(n) for n in range(2, TASKS)] + [task(TASKS, "done", "`%s`" % SELF)]
    head = "# Plan\n\n**Date:** 2026-02-27\n**Status:** %s\n**Lifecycle:** Active\n" % status
    head += "**Roadmap Reference:** [roadmap](../project/roadmap.md) (Phase 7, `%s`)\n**Design References:**\n" % ROADMAP_LINE
    head += "".join("- [`%s`](%s)\n" % (d, d.split("/")[-1]) for d in designs)
    sections = "\n## Objective\n\n## Scope\n\n## Tasks\n\n" + "".join(tasks)
    return head + sections + "## Verification plan\n\n## Rollout\n\n## Risks\n\n## Definition of done\n"


def roadmap(status="In Progress", entry=ROADMAP_LINE, heading="## Phase 7: observability"):
    link = "../plans/2026-02-27-phase-7-observability-telemetry-task-plan.md"
    return "# Roadmap\n\n%s\n\n%s\n\n- Status: %s\n- Plan: [plan](%s)\n" % (heading, entry, status, link)


def tree():
    return {
        "README.md": "# Name\n\nRun `cargo xtask run`.\n\n```bash\ncargo xtask test\n```\n",
        "CHANGELOG.md": "# Changelog\n",
        "CONTRIBUTING.md": "# Contributing\n",
        PLAN: plan(),
        ROADMAP: roadmap(),
        DESIGNS[0]: DESIGN,
        DESIGNS[1]: DESIGN,
        SELF: SCRIPT,
        WORKFLOW: CI,
        ".ci/run": "#!/bin/sh\nset -e\ncargo fmt --check\ncargo xtask test\n",
    }


class Case(unittest.TestCase):
    def violations(self, **changes):
        """Violations of the small tree; `path=None` in `changes` removes a file."""
        files = tree()
        files.update(changes.pop("files", {}))
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in files.items():
                if text is None:
                    continue
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                data = text if isinstance(text, bytes) else text.encode()
                (root / name).write_bytes(data)
            return [str(v) for v in governance.check(root)[0]]

    def passes(self, **files):
        self.assertEqual(self.violations(**files), [])

    def one(self, expected, files):
        found = self.violations(files=files)
        self.assertEqual(found, [expected])

    def page(self, text, others=None):
        """What is wrong with docs/page.md, without the file's name."""
        files = {"docs/page.md": text}
        files.update(others or {})
        found = self.violations(files=files)
        for violation in found:
            self.assertTrue(violation.startswith("docs/page.md:"), violation)
        return [violation[len("docs/page.md:") :] for violation in found]


class SmallTree(Case):
    def test_it_passes(self):
        self.passes()

    def test_crlf_and_byte_order_mark_change_nothing(self):
        self.passes(files={name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in tree().items() if name.endswith(".md")})


class Links(Case):
    def test_required_page_missing(self):
        # Without a README no test command is claimed, so nothing else is wrong.
        self.one("README.md:1: is missing: write it", {"README.md": None})
        self.one("CHANGELOG.md:1: is missing: write it", {"CHANGELOG.md": None})
        self.one("CONTRIBUTING.md:1: is missing: write it", {"CONTRIBUTING.md": None})

    def test_missing_file_with_its_nearest_name(self):
        self.assertEqual(self.page("# P\n\nSee [x](plagn.md).\n", {"docs/plan.md": "# X\n"}), ["3: link plagn.md: no file docs/plagn.md, nearest is plan.md"])

    def test_missing_image(self):
        self.assertEqual(self.page("![a picture](shot.png)\n"), ["1: link shot.png: no file docs/shot.png: make it or mend the link"])

    def test_image_inside_a_link_checks_both(self):
        self.assertEqual(len(self.page("[![alt](none.png)](none.html)\n")), 2)

    def test_titles_angle_brackets_spaces_parentheses_escapes(self):
        text = "\n".join(
            (
                '[a](a%20b.md "title") [b](<a b.md>) [c](a\\_b.md \'t\') [d](par(1).md) [e](',
                "plain.md",
                "'a title on the next line')",
                "[f](plain.md?raw=true) [g](/docs/plain.md) [h](./) [i](../docs) [j](plain&#46;md)",
            )
        )
        others = {"docs/a b.md": "", "docs/a_b.md": "", "docs/par(1).md": "", "docs/plain.md": ""}
        self.assertEqual(self.page(text, others), [])
        self.assertEqual(len(self.page(text)), 8)

    def test_unescaped_space_is_not_a_link(self):
        self.assertEqual(self.page("[x](a b.md)\n", {"docs/a b.md": ""}), ["1: (a b.md) is shown as text, not as a link: write a space as %20 or put the path in <>"])

    def test_empty_destination(self):
        self.assertEqual(self.page("[x]()\n"), ["1: link without a destination: give it one"])

    def test_reference_links(self):
        text = "[x][Label  One] [label one][] [label one] [y][`code`]\n\n[label one]: gone.md 'title'\n[`code`]: <gone too.md>\n"
        self.assertEqual(
            self.page(text),
            ["3: link gone.md: no file docs/gone.md: make it or mend the link", "4: link gone too.md: no file docs/gone too.md: make it or mend the link"],
        )

    def test_undefined_and_doubled_references(self):
        self.assertEqual(self.page("[x][nope]\n"), ["1: reference [nope] is not defined: add a line `[nope]: path`"])
        self.assertEqual(len(self.page("[x][nope](gone.md)\n")), 2)
        self.assertEqual(self.page("[x][]\n"), ["1: reference [x] is not defined: add a line `[x]: path`"])
        self.assertEqual(self.page("[a]: page.md\n[A]: page.md\n"), ["2: reference [A] is defined twice; only the first counts: remove one"])

    def test_text_in_brackets_is_no_link(self):
        self.assertEqual(self.page("[Infra] SaaS, a[0], - [ ] open, \\[x](gone.md), [^1] and\n\n[^1]: a note/gone.md\n"), [])
        self.assertEqual(self.page("- [x] done\n  - [ ] open [see](page.md)\n"), [])

    def test_links_in_code_and_comments_are_ignored(self):
        for code in (
            "```md\n[x](gone.md)\n```\n",
            "~~~~\n```\n[x](gone.md)\n~~~\n~~~~\n",
            "- item\n\n  ```\n  [x](gone.md)\n  ```\n",
            "1. item\n\n   - inner\n     ```\n     [x](gone.md)\n     ```\n",
            "> ```\n> [x](gone.md)\n> ```\n",
            "text\n\n    [x](gone.md)\n",
            "`[x](gone.md)` and ``a ` [x](gone.md)``\n",
            "`a span\n[x](gone.md) over lines`\n",
            "<!-- [x](gone.md) -->\n",
            "<!--\n```\n\n[x](gone.md)\n-->\n",
            "a <!-- [x](gone.md)\nand on --> b\n",
            "- ```\n  [x](gone.md)\n  ```\n",
        ):
            with self.subTest(code):
                self.assertEqual(self.page(code), [])
                # What follows the code is text again.
                self.assertEqual(len(self.page(code + "\n\nEnd.\n\n[y](gone.md)\n")), 1)

    def test_links_that_only_look_like_code(self):
        for text in (
            "text\n    [x](gone.md) continues a paragraph\n",
            "- item\n\n    [x](gone.md) belongs to the item\n",
            "1. a\n   1. b\n      1. [x](gone.md)\n",
            "- a\n  - b\n    - c\n      - [x](gone.md)\n",
            "a ` lone tick [x](gone.md)\n\nand ` another\n",
            "- a ` tick\n- [x](gone.md) ` here\n",
            "| a ` | b |\n|---|---|\n| [x](gone.md) | ` |\n",
            "\\`[x](gone.md)\\`\n",
            "[`x`](gone.md)\n",
            "**[x](gone.md)**\n",
            "> quoted [x](gone.md)\n",
            "a <!-- never closed [x](gone.md)\n\nb\n",
            "`<!--` [x](gone.md) `-->`\n",
            "> ```\n> code\n\n[x](gone.md)\n",
            "- ```\n  code\n\n[x](gone.md)\n",
            "[a\nb](gone.md)\n",
            "<a href='gone.md'>x</a>\n",
            '<p align="center"><img alt="a > b"\n  src="gone.md"></p>\n',
            '<picture><source srcset="gone.md 2x"></picture>\n',
            "## [x](gone.md)\n",
            "text\n    # [x](gone.md) is no heading\n",
            "- <!-- hidden -->\n- [x](gone.md)\n",
        ):
            with self.subTest(text):
                self.assertEqual(len(self.page(text)), 1)

    def test_unclosed_fence_and_comment(self):
        self.assertEqual(self.page("a\n\n```\n[x](gone.md)\n"), ["3: code fence is never closed; the rest of the page is code: close it"])
        self.assertEqual(self.page("<!-- a\n\n[x](gone.md)\n"), ["1: HTML comment is never closed; the rest of the page is hidden: close it with -->"])

    def test_foreign_addresses_are_left_alone(self):
        self.assertEqual(self.page("[a](https://example.org/x#y) [b](mailto:a@example.org) [c](//example.org) <https://example.org>\n"), [])

    def test_paths_of_one_machine_and_out_of_the_tree(self):
        self.assertEqual(self.page("[x](file:///etc/hosts)\n"), ["1: link file:///etc/hosts is a path of one machine: use a relative path"])
        self.assertEqual(self.page("[x](../../up.md)\n"), ["1: link ../../up.md leaves the repository: link inside it, or by full address"])

    def test_spelling_is_compared_letter_by_letter(self):
        self.assertEqual(self.page("[x](../Readme.md)\n"), ["1: link ../Readme.md: no file Readme.md, nearest is README.md"])

    def test_slash_behind_a_file(self):
        self.assertEqual(self.page("[x](page.md/)\n"), ["1: link page.md/: docs/page.md is a file: drop the slash"])

    def test_hostile_pages_end_in_seconds(self):
        began = time.monotonic()
        for text in ("[a](" * 20000, "[" * 50000, "[a][b]" * 5000, "`".join("x" * n for n in range(500)), "<!-- " * 20000, "<a " * 20000, ">" * 20000, "- " * 2000):
            docs_markdown.parse(text)
        self.assertLess(time.monotonic() - began, 20)

    def test_page_that_is_not_utf8(self):
        found = self.violations(files={"docs/page.md": b"# \xff\n"})
        self.assertEqual(len(found), 1)
        self.assertIn("docs/page.md:1: cannot be read as UTF-8", found[0])


class Anchors(Case):
    def test_headings_as_github_names_them(self):
        for heading, anchor in (
            ("## Simple words", "simple-words"),
            ("## Closed ##", "closed"),
            ("## `code_span --flag` & more", "code_span---flag--more"),
            ("## 1.2 What, why? (now!)", "12-what-why-now"),
            ("## snake_case and _emphasis_ **bold**", "snake_case-and-emphasis-bold"),
            ("## A [link `x`](page.md) here", "a-link-x-here"),
            ("## Über Größe — 10 %", "über-größe--10-"),
            ("## C++ / C#", "c--c"),
            ("## Q&amp;A", "qa"),
            ("## a\\_b\\*", "a_b"),
            ("## plan ↔ tree", "plan--tree"),
            ("## Tail ![logo](page.md)", "tail"),
            ("Setext\n======", "setext"),
            ("Two\nlines\n---", "two-lines"),
            ("> ## quoted", "quoted"),
            ("- ## in an item", "in-an-item"),
            ("<h2 align='center'>By tag</h2>", "by-tag"),
            ('<a id="Own-Name"></a>', "Own-Name"),
            ("## observer.tcp.rtt", "observertcprtt"),
        ):
            with self.subTest(heading):
                self.assertEqual(self.page("%s\n\n[x](#%s)\n" % (heading, anchor)), [])

    def test_duplicates_are_numbered(self):
        text = "# A\n## A\n## A-1\n## A\n"
        self.assertEqual(self.page(text + "[x](#a) [y](#a-1) [z](#a-1-1) [w](#a-2)\n"), [])
        self.assertEqual(self.page(text + "[x](#a-3)\n"), ["5: link #a-3: no anchor #a-3 in docs/page.md, nearest is #a-2"])

    def test_not_headings(self):
        for text in ("#nospace", "```\n# gone\n```", "<!--\n# gone\n-->", "    # gone", "#######  gone", "- gone\n---", "| gone |\n---", "text\n    # gone"):
            with self.subTest(text):
                self.assertEqual(len(self.page("%s\n\n[x](#gone) [y](#nospace)\n" % text)), 2)

    def test_front_matter_is_no_heading(self):
        self.assertEqual(len(self.page("---\ntitle: x\n---\n\n[x](#title-x)\n")), 1)

    def test_wrong_case_names_the_nearest(self):
        self.assertEqual(self.page("# Some Head\n[x](#Some-Head)\n"), ["2: link #Some-Head: no anchor #Some-Head in docs/page.md, nearest is #some-head"])

    def test_anchor_of_another_page(self):
        other = {"docs/b.md": "# B\n", "src/README.md": "# Src\n"}
        self.assertEqual(self.page("[x](b.md#b) [y](../src#src) [z](../src/README.md#src) [w](b.md#) [v](#top)\n", other), [])
        self.assertEqual(
            self.page("[x](b.md#c)\n[y](../src#zzz)\n", other),
            [
                "1: link b.md#c: no anchor #c in docs/b.md: add the heading or drop the anchor",
                "2: link ../src#zzz: no anchor #zzz in src/README.md: add the heading or drop the anchor",
            ],
        )

    def test_percent_signs_in_anchors(self):
        self.assertEqual(self.page("# Größe\n[x](#gr%C3%B6%C3%9Fe)\n"), [])

    def test_folder_without_readme(self):
        self.assertEqual(self.page("[x](../src#a)\n", {"src/a.rs": "fn a() {}"}), ["1: link ../src#a: a folder without README.md has no anchors: drop #a"])

    def test_line_anchors(self):
        other = {"src/a.rs": "one\ntwo\n"}
        self.assertEqual(self.page("[x](../src/a.rs#L1) [y](../src/a.rs#L1-L2) [z](page.md?plain=1#L1)\n", other), [])
        self.assertEqual(self.page("[x](../src/a.rs#L1-L9)\n", other), ["1: link ../src/a.rs#L1-L9: src/a.rs has only 2 lines"])
        self.assertEqual(self.page("[x](../src/a.rs#main)\n", other), ["1: link ../src/a.rs#main: src/a.rs is no Markdown page; only #L<number> can follow it"])


class Roadmap(Case):
    def test_missing_pages(self):
        for gone in (ROADMAP, DESIGNS[0], DESIGNS[1], PLAN):
            with self.subTest(gone):
                self.assertTrue(any(v.startswith(gone + ":1: ") and "is missing" in v for v in self.violations(files={gone: None})))

    def test_line_is_missing_or_changed(self):
        for entry in ("[Infra] SaaS Observability", ROADMAP_LINE + " v2", "<!-- %s -->" % ROADMAP_LINE, "`%s`" % ROADMAP_LINE):
            with self.subTest(entry):
                self.one("%s:1: has no line `%s`: add it under Phase 7" % (ROADMAP, ROADMAP_LINE), {ROADMAP: roadmap(entry=entry)})

    def test_line_may_be_decorated(self):
        for entry in ("- " + ROADMAP_LINE, "- [ ] **%s**" % ROADMAP_LINE, "### " + ROADMAP_LINE):
            with self.subTest(entry):
                self.passes(files={ROADMAP: roadmap(entry=entry)})

    def test_line_under_another_phase(self):
        self.one("%s:5: `%s` does not stand under a Phase 7 heading: move it" % (ROADMAP, ROADMAP_LINE), {ROADMAP: roadmap(heading="## Phase 70")})

    def test_line_without_the_plan(self):
        self.one("%s:5: entry does not link %s: link it below the line" % (ROADMAP, PLAN), {ROADMAP: roadmap().split("- Plan")[0]})

    def test_status(self):
        self.one("%s:7: status is Done, but the plan's is In Progress: make them agree" % ROADMAP, {ROADMAP: roadmap("Done")})
        self.one("%s:7: status 'Soon' is unknown: use one of Not Started, In Progress, Done" % ROADMAP, {ROADMAP: roadmap("Soon")})
        self.one("%s:5: entry has no `- Status:` item: add it below the line" % ROADMAP, {ROADMAP: roadmap().replace("- Status: In Progress\n", "")})

    def test_the_next_entry_does_not_lend_its_status(self):
        text = roadmap().replace("- Status: In Progress\n", "") + "\n[Infra] Another thing\n\n- Status: In Progress\n"
        self.one("%s:5: entry has no `- Status:` item: add it below the line" % ROADMAP, {ROADMAP: text})

    def test_design_without_a_way_back(self):
        self.one("%s:1: does not link back to %s: link it" % (DESIGNS[0], PLAN), {DESIGNS[0]: "# D\n" + PROSE})

    def test_design_stub(self):
        self.one("%s:1: is a stub: 1 meaningful line, at least 8 wanted: write the design" % DESIGNS[1], {DESIGNS[1]: DESIGN.replace(PROSE, "")})


class Plan(Case):
    def plan_of(self, position, text):
        tasks = [task(1, "done", "none (git operation)")] + [task(n) for n in range(2, TASKS)] + [task(TASKS, "done", "`%s`" % SELF)]
        tasks[position - 1] = text
        return plan(tasks=tasks)

    def wrong(self, position, text, files=None):
        """Messages about the plan alone, without file and line."""
        found = self.violations(files={PLAN: self.plan_of(position, text), **(files or {})})
        for violation in found:
            self.assertTrue(violation.startswith(PLAN + ":"), violation)
        return [violation.split(": ", 1)[1] for violation in found]

    def test_header(self):
        for name in ("Date", "Status", "Lifecycle", "Roadmap Reference", "Design References"):
            with self.subTest(name):
                found = self.violations(files={PLAN: plan().replace("**%s:**" % name, "%s" % name)})
                self.assertIn("%s:1: header has no **%s:** add it above the first section" % (PLAN, name), found)

    def test_header_values(self):
        self.one("%s:3: date 2026-02-28 is not the file name's 2026-02-27: make them equal" % PLAN, {PLAN: plan().replace("2026-02-27", "2026-02-28", 1)})
        self.one("%s:5: lifecycle 'Asleep' is unknown: use one of draft, active, completed, superseded" % PLAN, {PLAN: plan().replace("Active", "Asleep")})
        self.one("%s:6: roadmap reference does not link %s: link it" % (PLAN, ROADMAP), {PLAN: plan().replace("[roadmap](../project/roadmap.md)", "roadmap")})
        self.one("%s:6: roadmap reference does not name `%s`: name it" % (PLAN, ROADMAP_LINE), {PLAN: plan().replace("`%s`" % ROADMAP_LINE, "a line")})
        self.one("%s:7: design references do not link %s: link it" % (PLAN, DESIGNS[1]), {PLAN: plan(designs=DESIGNS[:1])})

    def test_sections(self):
        self.one("%s:1: has no section 'Risks': add the heading" % PLAN, {PLAN: plan().replace("## Risks\n", "")})

    def test_numbers(self):
        self.assertEqual(self.wrong(3, ""), ["task 3 is missing: add `### Task 3: title`"])
        self.assertIn("task 2 is there twice: number it anew", self.wrong(3, task(2)))
        swapped = plan().replace("Task 3:", "Task X:").replace("Task 4:", "Task 3:").replace("Task X:", "Task 4:")
        self.one("%s:%d: task 3 stands behind task 4: put the tasks in order" % (PLAN, plan().split("\n").index("### Task 4: Do it") + 1), {PLAN: swapped})
        self.assertIn("task 17 is outside 1 to 16: the plan has 16 tasks", self.wrong(16, task(17)))
        self.assertEqual(self.violations(files={PLAN: plan(tasks=[])}), ["%s:1: has no task: write each as `### Task N: title`" % PLAN])

    def test_task_without_a_field(self):
        for name in ("Status", "Files", "Done when"):
            with self.subTest(name):
                text = "\n".join(line for line in task(2).split("\n") if not line.startswith("- %s:" % name))
                self.assertIn("task 2 has no `- %s:` item: add it" % name, self.wrong(2, text))
        self.assertEqual(self.wrong(2, task(2, done_when="")), ["task 2 has an empty `- Done when:` item: fill it"])

    def test_fields_in_code_and_comments_do_not_count(self):
        hidden = task(2).replace("- Done when: It works.\n", "```\n- Done when: It works.\n```\n<!--\n- Done when: It works.\n-->\n")
        self.assertEqual(self.wrong(2, hidden), ["task 2 has no `- Done when:` item: add it"])

    def test_unknown_status(self):
        self.assertEqual(self.wrong(2, task(2, "almost")), ["task 2 has the unknown status 'almost': use one of not started, in progress, done"])

    def test_files_field(self):
        self.assertEqual(self.wrong(2, task(2, files="see below")), ["task 2 names no file in backticks: name them, or write `none` and why"])
        self.assertIn("task 2 names '/etc/x.rs': write a path", self.wrong(2, task(2, files="`/etc/x.rs`"))[0])
        self.assertIn("task 2 names '../x.rs': write a path", self.wrong(2, task(2, files="`../x.rs`"))[0])
        self.assertIn("task 2 names 'src/*.rs': write a path", self.wrong(2, task(2, files="`src/*.rs`"))[0])

    def test_files_in_nested_items(self):
        files = "\n  - `src/a.rs`\n  - `src/b.rs` (new)"
        code = "use std::io;\n\nfn a() {\n    io::stdout();\n}\n"
        self.assertEqual(self.wrong(2, task(2, "done", files), {"src/a.rs": code}), ["task 2 is marked done, but src/b.rs is missing: finish the file or set the status back"])
        self.assertEqual(self.wrong(2, task(2, "done", files), {"src/a.rs": code, "src/b.rs": code}), [])

    def test_not_started_but_there(self):
        code = "use std::io;\n\nfn a() {\n    io::stdout();\n}\n"
        drift = ["task 2 is marked not started, but all its files stand: set it to in progress or done"]
        self.assertEqual(self.wrong(2, task(2, files="`src/a.rs`"), {"src/a.rs": code}), drift)
        self.assertEqual(self.wrong(2, task(2, files="`src/a.rs`, `src/b.rs`"), {"src/a.rs": code}), [])
        self.assertEqual(self.wrong(2, task(2, files="`src/a.rs`"), {"src/a.rs": "// later\n"}), [])

    def test_in_progress_but_nothing_there(self):
        self.assertEqual(self.wrong(2, task(2, "in progress")), ["task 2 is marked in progress, but none of its files exists: set it to not started"])
        self.assertEqual(self.wrong(2, task(2, "in progress", "none yet")), [])

    def test_stubs(self):
        for name, text, why in (
            ("a.rs", "", "is empty"),
            ("a.rs", "//! Docs.\n//! More.\n//! And more.\n// fn a() {}\n/* struct B; */\n", "it holds no item"),
            ("a.rs", "fn main() {}\n", "every function is empty"),
            ("a.rs", "mod a;\n", "1 meaningful line,"),
            ("a.rs", "fn a() {\n    let x = 1;\n    todo!()\n}\n", "line 3 has todo!"),
            ("a.rs", "fn a() {\n    let x = '\"';\n    unimplemented ! (\"x\")\n}\n", "line 3 has unimplemented!"),
            ("a.rs", "fn a() {\n    b();\n    // TODO: more\n}\n", "line 3 says TODO"),
            ("a.rs", "fn a() {\n    b();\n    panic!(\"not implemented yet\");\n}\n", "line 3 stops"),
            ("a.ts", "// a\nexport {};\n", "it holds no item"),
            ("a.ts", "/* const a = 1 */\n", "it holds no item"),
            ("a.ts", "export function a() {\n  // FIXME\n  return 1;\n}\n", "line 2 says FIXME"),
            ("a.ts", "export function a() {\n\n  throw new Error('Not implemented');\n}\n", "line 3 stops"),
            ("a.py", "def a():\n    '''Docs.'''\n    pass\n\n\ndef b():\n    ...\n", "every function is empty"),
            ("a.py", "'''Docs.\nmore\nand more'''\npass\n", "it does nothing"),
            ("a.py", "def a():\n    x = 1\n    raise NotImplementedError('x')\n", "line 3 raises NotImplementedError"),
            ("a.py", "x = 1\ny = 2\nz = 3  # TODO\n", "line 3 says TODO"),
            ("a.py", "def a(:\n", "does not parse"),
            ("a.md", "# A\n\n## B\n\ntext\n\n```\n1\n2\n3\n4\n5\n6\n7\n8\n```\n", "1 meaningful line,"),
            ("a.md", "# A\n\n" + PROSE + "TBD\n", "line 13 says TBD"),
            ("a.yaml", "# a\n# b\n# c\n# d\nkey: 1\n", "1 meaningful line,"),
            ("a.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: TODO\n", "line 5 says TODO"),
        ):
            with self.subTest(text):
                found = self.wrong(2, task(2, "done", "`src/%s`" % name), {"src/%s" % name: text})
                self.assertEqual(len(found), 1, found)
                self.assertIn("task 2 is marked done, but src/%s " % name, found[0])
                self.assertIn(why, found[0])

    def test_what_is_no_stub(self):
        for name, text in (
            ("a.rs", 'const S: &str = "todo!() // TODO";\nconst R: &str = r#"todo!("x")"#;\nfn a<\'a>() {\n    b(\'"\', S, R);\n}\n'),
            ("a.rs", "/* outer /* todo!() */ unimplemented!() */\nmod a;\nmod b;\nmod c;\n"),
            ("a.ts", "import { a } from './a';\nexport const url = `https://x // TODO`;\nexport const b = a(url);\n"),
            ("a.py", "MARKS = ('TODO', 'FIXME', 'NotImplementedError')\nfor mark in MARKS:\n    print(mark)\n"),
            ("a.md", "# A\n\n" + PROSE + "No `todo!` and no `TODO` is left.\n"),
            ("a.yaml", "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n"),
        ):
            with self.subTest(text):
                self.assertEqual(self.wrong(2, task(2, "done", "`src/%s`" % name), {"src/%s" % name: text}), [])

    def test_folder_as_a_file_target(self):
        good = "a: 1\nb: 2\nc: 3\nd: 4\ne: 5\n"
        self.assertEqual(self.wrong(2, task(2, "done", "`infra/x/`"), {"infra/x/a.yaml": good, "infra/x/b.yaml": "# b\n"}), [])
        self.assertIn("holds only stubs", self.wrong(2, task(2, "done", "`infra/x/`"), {"infra/x/b.yaml": "# b\n"})[0])
        self.assertIn("is missing", self.wrong(2, task(2, "done", "`infra/x/`"))[0])

    def test_header_status_follows_the_tasks(self):
        self.assertIn("%s:4: status is 'Done', but 2 of 16 tasks are done: set it to In Progress" % PLAN, self.violations(files={PLAN: plan("Done"), ROADMAP: roadmap("Done")}))
        self.assertIn("%s:4: status is 'Not Started', but 2 of 16 tasks are done: set it to In Progress" % PLAN, self.violations(files={PLAN: plan("Not Started"), ROADMAP: roadmap("Not Started")}))
        self.one("%s:4: status 'Soon' is unknown: use one of Not Started, In Progress, Done" % PLAN, {PLAN: plan("Soon")})
        untouched = [task(n) for n in range(1, TASKS + 1)]
        self.passes(files={PLAN: plan("Not Started", untouched), ROADMAP: roadmap("Not Started")})
        finished = [task(n, "done", "`%s`" % SELF) for n in range(1, TASKS + 1)]
        self.passes(files={PLAN: plan("Done", finished), ROADMAP: roadmap("Done")})
        self.assertIn("%s:4: status is 'In Progress', but 16 of 16 tasks are done: set it to Done" % PLAN, self.violations(files={PLAN: plan("In Progress", finished)}))

    def test_completed_plan_is_done(self):
        self.one("%s:5: lifecycle is Completed, but the status is In Progress: make them agree" % PLAN, {PLAN: plan().replace("Active", "Completed")})


class Ci(Case):
    NO_SCRIPT = WORKFLOW + ":1: does not hold to the docs governance script (`scripts/check_docs_governance.py`): add a step that runs it"
    LOOSE_SCRIPT = NO_SCRIPT.replace("add a step that runs it", "its step cannot fail the workflow: make it binding")
    NO_TEST = WORKFLOW + ":1: does not hold to the README's test command (`cargo xtask test`): add a step that runs it"

    def test_missing_workflow(self):
        self.one(WORKFLOW + ":1: the workflow is missing: write it", {WORKFLOW: None})

    def test_readme_without_the_test_command(self):
        self.one("README.md:1: does not give the test command `cargo xtask test`: give it", {"README.md": "# Name\n\ncargo xtask test-all\n"})

    def test_script_not_called(self):
        line = "      - run: python3 scripts/check_docs_governance.py\n"
        for instead in ("", "#" + line, line.replace("run: ", "run: echo "), line.replace("- run", "- name")):
            with self.subTest(instead):
                self.one(self.NO_SCRIPT, {WORKFLOW: CI.replace(line, instead)})

    def test_script_called_without_consequence(self):
        line = "      - run: python3 scripts/check_docs_governance.py\n"
        job = "  docs:\n"
        for change in (
            (line, line.rstrip() + " || true\n"),
            (line, line + "        continue-on-error: true\n"),
            (line, line.replace("- run", "- if: ${{ false }}\n        run")),
        ):
            with self.subTest(change):
                found = self.violations(files={WORKFLOW: CI.replace(*change)})
                self.assertEqual(len(found), 1, found)
                self.assertIn("the docs governance script", found[0])
        for place in (CI.replace(job, job + "    continue-on-error: true\n"), CI.replace("  check:\n", "    if: false\n  check:\n")):
            with self.subTest(place):
                self.assertIn(self.LOOSE_SCRIPT, self.violations(files={WORKFLOW: place}))

    def test_own_tests_not_called(self):
        line = "      - run: python3 -m unittest discover -s scripts -p 'test_*.py'\n"
        self.one(WORKFLOW + ":1: does not run the governance script's own tests: add `python3 -m unittest discover -s scripts -p 'test_*.py'`", {WORKFLOW: CI.replace(line, "")})

    def test_test_command_not_called(self):
        self.one(self.NO_TEST, {".ci/run": None})
        self.one(self.NO_TEST, {".ci/run": "cargo fmt\n# cargo xtask test\necho cargo xtask test\n"})
        self.one(self.NO_TEST, {WORKFLOW: CI.replace("bash .ci/run", "bash .ci/other")})

    def test_test_command_called_in_other_ways(self):
        block = "run: |\n          cargo fmt --check\n\n          cargo xtask test\n        env:\n          A: b"
        for run in ("run: cargo xtask test", "run: 'cargo xtask test' # all", block, "run: ./.ci/run", "run: bash .ci/outer"):
            with self.subTest(run):
                files = {WORKFLOW: CI.replace("run: bash .ci/run", run), ".ci/outer": "set -e\nbash .ci/run\n"}
                self.passes(files=files)

    def test_triggers(self):
        self.one(WORKFLOW + ":1: does not run on pull_request: add it under `on:`", {WORKFLOW: CI.replace("  pull_request:\n", "  # pull_request:\n")})
        self.passes(files={WORKFLOW: CI.replace("on:\n  push:\n  pull_request:\n", "on: [push, pull_request]\n")})


class CommandLine(unittest.TestCase):
    def run_script(self, *arguments):
        script = Path(governance.__file__)
        return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, check=False)

    def test_exit_codes_and_summary(self):
        with tempfile.TemporaryDirectory() as folder:
            result = self.run_script("--root", folder)
            self.assertEqual(result.returncode, 1)
            lines = result.stdout.splitlines()
            self.assertRegex(lines[-1], r"^docs governance: \d+ violations in 0 documents, 0 links$")
            for line in lines[:-1]:
                self.assertRegex(line, r"^[^:]+:\d+: .+")
        self.assertEqual(self.run_script("--root", "/no/such/folder").returncode, 2)
        self.assertEqual(self.run_script("--no-such-option").returncode, 2)
        usage = self.run_script("--help")
        self.assertEqual(usage.returncode, 0)
        self.assertIn("--root DIR", usage.stdout)

    def test_a_sound_tree_exits_with_0(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in tree().items():
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(folder) / name).write_text(text, encoding="utf-8")
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                self.assertEqual(governance.main(["--root", folder]), 0)
            self.assertRegex(printed.getvalue(), r"^docs governance: no violations in 7 documents, \d+ links\n$")


class ThisRepository(unittest.TestCase):
    def test_it_passes(self):
        violations, documents, links = governance.check(Path(governance.__file__).resolve().parent.parent)
        self.assertEqual([str(violation) for violation in violations], [])
        self.assertGreater(documents, 6)
        self.assertGreater(links, 10)


if __name__ == "__main__":
    unittest.main()
