"""`new`: recipes from sdists, good ones, bad ones and hostile ones."""
import io
import json
import tarfile
import unittest

import pythons


def hostile(*members):
    """A .tar.gz of ready members (TarInfo, bytes)."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return raw.getvalue()


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


class New(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = pythons.World()
        cls.addClassCleanup(cls.world.close)

    def new(self, *arguments, status=0):
        done = self.world.run("new", "--json", *arguments, status=status, timeout=1200)
        return [row for row in map(json.loads, done.stdout.splitlines()) if row["type"] == "recipe"], done

    def recipe(self, name, version):
        return self.world.tree / f"recipes/{name}/{version}.yaml"

    def test_needs_are_made_and_failures_taught(self):
        world = self.world
        world.publish_sdist("tool", "2.0", {"tool.py": "def word():\n    return 'made'\n"})
        world.publish_sdist("helper-lib", "1.5", {"helper_lib.py": "x = 1\n"})
        world.publish_sdist("helper-lib", "3.0", {"helper_lib.py": "import nothing_like_that\n"})
        # It asks for helper-lib below 2, and uses `tool` in its build without saying so.
        world.publish_sdist("thing", "1.0", {"thing/__init__.py": "import helper_lib\n", "thing/optional.py": "import nothing_here\n", "thing_plugin.py": "import nobody_asked_for\n"},
                            run=["helper-lib<2", "elsewhere; sys_platform == 'win32'", "more; extra == 'all'"], before="import tool; assert tool.word() == 'made'")
        rows, _ = self.new("thing", "--tree")
        self.assertEqual([(row["name"], row["version"], row["built"]) for row in rows], [("helper-lib", "1.5", True), ("tool", "2.0", True), ("thing", "1.0", True)], rows)
        self.assertIn("tool is missing: tool, needed to build", rows[-1]["learnt"])
        self.assertTrue(any("thing_plugin" in line for line in rows[-1]["learnt"]), self.recipe("thing", "1.0").read_text())
        text = self.recipe("thing", "1.0").read_text()
        self.assertIn("summary: 'It''s for tests'\nlicence: MIT\n", text)
        self.assertIn("  build: [pip, tool]\n  run: [python, helper-lib]\n", text)
        self.assertIn("  - import: [thing]\n", text)
        self.assertNotIn("thing_plugin", text)
        # As it stands there, it builds; and a second run leaves it alone.
        world.stack("things", {"python": "3.11.2", "thing": "1.0"})
        world.run("plan", "things")
        self.assertIn("`new` never edits a recipe", world.run("new", "thing", "1.0", status=2).stderr)
        self.assertEqual(self.recipe("thing", "1.0").read_text(), text)

    def test_without_tree_the_need_is_named(self):
        self.world.publish_sdist("lonely", "1.0", {"lonely.py": ""}, run=["absent>=2"])
        rows, _ = self.new("lonely", status=1)
        self.assertEqual(rows[0]["cause"], "it needs absent>=2, of which there is no recipe: `ironwheel new absent`, or --tree")
        self.assertIn("todo:\n  - 'it needs absent>=2", self.recipe("lonely", "1.0").read_text())
        self.world.stack("lonely", {"lonely": "1.0"})
        self.assertIn("something is left to do: it needs absent>=2", self.world.run("plan", "lonely", status=2).stderr)

    def test_a_need_that_does_not_build_teaches_nothing(self):
        self.world.script("sour", "1", needs="needs:\n  run: [python]\n", compile="echo \"ModuleNotFoundError: No module named 'vinegar'\"; false")
        self.world.publish_sdist("lemon", "1.0", {"lemon.py": ""}, run=["sour"])
        rows, _ = self.new("lemon", "--tree", status=1)
        self.assertEqual(rows[-1]["cause"], "its need sour/1 doesn't build: ModuleNotFoundError: No module named 'vinegar'")
        self.assertEqual((len(rows), rows[-1]["learnt"]), (1, []))

    def test_a_library_has_that_name(self):
        self.world.script("both", "1", install_script="mkdir -p $DESTDIR$PREFIX/lib; touch $DESTDIR$PREFIX/lib/libboth")
        self.world.publish_sdist("both", "2.0", {"both.py": ""})
        self.world.publish_sdist("either", "1.0", {"either.py": "import both\n"}, run=["both"])
        rows, _ = self.new("either", "--tree")
        self.assertEqual([(row["name"], row["version"], row["built"]) for row in rows], [("python-both", "2.0", True), ("either", "1.0", True)], rows)
        self.assertIn("- pypi: both\n", self.recipe("python-both", "2.0").read_text())
        self.assertIn("run: [python, python-both]", self.recipe("either", "1.0").read_text())

    def test_two_that_need_each_other(self):
        self.world.publish_sdist("ring", "1.0", {"ring.py": "import jewel\n"})
        self.world.publish_sdist("jewel", "1.0", {"jewel.py": ""}, run=["ring"])
        rows, _ = self.new("ring", "--tree", status=1)
        self.assertRegex(rows[-1]["cause"], "^it imports jewel, and jewel, which has that, needs ring: recipes can't need each other")
        self.assertIn("run: [python]\n", self.recipe("ring", "1.0").read_text())

    def test_one_that_phones(self):
        self.world.publish_sdist("phones", "1.0", {"phones.py": ""}, before="import socket; socket.create_connection(('192.0.2.7', 443), 2)")
        rows, _ = self.new("phones", status=1)
        self.assertRegex(rows[0]["cause"], r"its build tried to reach 192\.0\.2\.7:443: what does it want there")

    def test_a_header_that_only_debian_has(self):
        self.world.publish_sdist("headless", "1.0", {"headless.py": "", "a.c": "#include <zbar.h>\n"}, before="import subprocess; subprocess.run(['gcc', '-c', 'a.c'], check=True)")
        rows, _ = self.new("headless", status=1)
        self.assertEqual(rows[0]["cause"], "zbar.h is missing; Debian's libzbar-dev has it: it wants a recipe of its own")

    def test_hostile_archives(self):
        bomb = member("bomb-1.0/big")
        cases = {
            "climbs": hostile((member("climbs-1.0/../../evil"), b"x")),
            "absolute": hostile((member("/etc/evil"), b"x")),
            "links": hostile((member("links-1.0/out", tarfile.SYMTYPE, "../../../etc"), b""), (member("links-1.0/out/evil"), b"x")),
            "device": hostile((member("device-1.0/null", tarfile.CHRTYPE), b"")),
            "bomb": hostile((bomb, bytes(200 << 20))),
            "empty": hostile(),
            "garbage": b"\x1f\x8b no archive",
        }
        for name, data in cases.items():
            self.world.publish(name, f"{name}-1.0.tar.gz", data)
            with self.subTest(name):
                done = self.world.run("new", name, status=None)
                self.assertIn(done.returncode, (1, 2), done.stderr)
                self.assertNotIn("Traceback", done.stderr)
                if name != "empty":
                    self.assertIn(f"{name}-1.0.tar.gz", done.stderr)
                    self.assertFalse(self.recipe(name, "1.0").exists())
        self.assertEqual(list(self.world.folder.rglob("evil")), [])

    def test_an_index_that_lies_and_one_that_has_nothing(self):
        self.world.publish_sdist("liar", "1.0", {"liar.py": ""})
        self.world.server.lies["/files/liar-1.0.tar.gz"] = b"other bytes"
        self.assertIn("liar-1.0.tar.gz", self.world.run("new", "liar", status=None).stderr)
        self.assertFalse(self.recipe("liar", "1.0").exists())
        self.world.publish("wheels", "wheels-1.0-py3-none-any.whl", b"")
        self.assertIn("no sdist of wheels", self.world.run("new", "wheels", status=None).stderr)
        self.assertIn("nobody", self.world.run("new", "nobody", status=None).stderr)


if __name__ == "__main__":
    unittest.main()
