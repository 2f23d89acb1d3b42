"""What the workflow is seen to run.

Run: python3 -m unittest discover -s scripts -p 'test_*.py'
"""

import unittest

from check_docs_governance import WORKFLOW
from docs_small_tree import CI, Case


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


if __name__ == "__main__":
    unittest.main()
