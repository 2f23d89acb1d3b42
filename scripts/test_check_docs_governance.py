"""Each rule of check_docs_governance.py on a small tree: it passes, one thing breaks, the violation names it.

Run: python3 -m unittest discover -s scripts -p 'test_*.py'
"""

import contextlib
import io
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import check_docs_governance as governance
from check_docs_governance import DESIGNS, PLAN, ROADMAP, ROADMAP_LINE, SELF, TASKS
from docs_small_tree import DESIGN, PROSE, Case, PlanCase, plan, roadmap, task, tree


class SmallTree(Case):
    def test_it_passes(self):
        self.passes()

    def test_crlf_and_byte_order_mark_change_nothing(self):
        self.passes(files={name: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() for name, text in tree().items() if name.endswith(".md")})


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


class Plan(PlanCase):
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
