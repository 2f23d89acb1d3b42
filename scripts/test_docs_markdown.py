"""What the Markdown reader takes for a link, a heading and an anchor.

Run: python3 -m unittest discover -s scripts -p 'test_*.py'
"""

import time
import unittest

import docs_markdown
from docs_small_tree import Case


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


if __name__ == "__main__":
    unittest.main()
