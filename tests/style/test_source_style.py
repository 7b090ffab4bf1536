#!/usr/bin/env python3
"""Each rule of source_style.py and repository.py is broken once here, and is seen to complain."""

import unittest

import repository
import source_style

HEAD = "// What this file is, in a line.\n#pragma once\n"


def problems(text, name="a.h"):
    return [problem for _, problem, is_warning in source_style.check(name, text) if not is_warning]


class SourceStyle(unittest.TestCase):
    def test_a_sound_file_passes(self):
        self.assertEqual(problems(HEAD + "int a;\n"), [])

    def test_each_rule_complains(self):
        for name, text in {
                "columns": HEAD + "//" + "x" * 119 + "\n",
                "tab": HEAD + "\tint a;\n",
                "blanks": HEAD + "int a; \n",
                "note": HEAD + "// TO" "DO: later\n",
                "linked operations": HEAD + "entry.flags |= IOSQE_IO_LINK;\n",
                "hard links": HEAD + "entry.flags |= IOSQE_IO_HARDLINK;\n",
                "a send without a copy": HEAD + "io_uring_prep_send_zc(&entry, fd, data, size, 0, 0);\n",
                "the same by its number": HEAD + "entry.opcode = IORING_OP_SENDMSG_ZC;\n",
                "what compiles slowly": HEAD + "#include <boost/outcome.hpp>\n",
                "all of fmt": HEAD + "fmt::format_to(std::back_inserter(text), \"{}\", 1);\n",
                "line end": HEAD + "int a;",
                "length": HEAD + "int a;\n" * 800,
                "comment": "#pragma once\nint a;\n",
                "pragma": "// What this file is, in a line.\nint a;\n",
        }.items():
            with self.subTest(name):
                self.assertEqual(len(problems(text)), 1, problems(text))

    def test_what_io_uring_may_do_is_said_of_src_alone(self):
        self.assertEqual(source_style.check("a.h", HEAD + "int a = IOSQE_IO_LINK;\n", "tests"), [])
        self.assertEqual(problems(HEAD + "io_uring_prep_send(&entry, fd, data, size, 0);\n"), [])

    def test_a_long_file_is_warned_of(self):
        self.assertTrue(source_style.check("a.h", HEAD + "int a;\n" * 600)[0][2])

    def test_a_source_file_may_leave_the_telling_to_its_header(self):
        self.assertEqual(problems('#include "x/a.h"\n', "a.cc"), [])
        self.assertEqual(len(problems('#include "x/b.h"\n', "a.cc")), 1)

    def test_a_script_may_begin_with_its_interpreter(self):
        self.assertEqual(problems("#!/bin/sh\n# Does something useful.\n", "a.sh"), [])


class Repository(unittest.TestCase):
    README = ("# x\n\n<!-- set-up -->\n```sh\nsh a.sh\n```\n\n<!-- set-up -->\n```sh\nsh b.sh\n```\n\n"
              "```sh\nother\n```\n")

    def test_finds_the_set_up_commands(self):
        self.assertEqual(repository.set_up_commands(self.README), ["sh a.sh", "sh b.sh"])

    def test_refuses_a_third_and_a_missing_one(self):
        exists = lambda path: True
        self.assertEqual(repository.readme_problems(self.README, exists), [])
        self.assertTrue(repository.readme_problems(self.README + "<!-- set-up -->\n```sh\nsh c.sh\n```\n", exists))
        self.assertTrue(repository.readme_problems(self.README.replace("set-up", "setup", 1), exists))
        self.assertTrue(repository.readme_problems(self.README, lambda path: path != "b.sh"))
        self.assertTrue(repository.readme_problems(self.README.replace("sh a.sh", "sh a.sh\nsh d.sh"), exists))

    def test_knows_the_top_level(self):
        self.assertEqual(repository.top_level_problems(["src", "README.md", ".ci"]), [])
        self.assertEqual(len(repository.top_level_problems(["src", "docs"])), 1)


if __name__ == "__main__":
    unittest.main()
