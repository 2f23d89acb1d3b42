"""What is a stub and what is not.

Run: python3 -m unittest discover -s scripts -p 'test_*.py'
"""

import unittest

from docs_small_tree import PROSE, PlanCase, task


class Substance(PlanCase):
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


if __name__ == "__main__":
    unittest.main()
