"""A small tree that breaks no rule, and test cases that change one thing in it."""

import tempfile
import unittest
from pathlib import Path

import check_docs_governance as governance
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


class PlanCase(Case):
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
