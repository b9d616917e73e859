"""The fourth verdict, and what writes it."""
import json
import pathlib
import unittest

import fixture
from fixture import sha256

DARING = """\
    name: daring
    version: 1
    summary: A library that nobody reviewed
    licence: MIT
    build:
      system: script
      compile: |
        printf '%s\\n' 'void daring(void) { __asm__(".byte 0xc5,0xf8,0x77"); }' 'int calm(void) { return 1; }' >daring.c
        gcc -O2 -shared -fPIC -o libdaring.so daring.c
      install-script: |
        install -D libdaring.so "$DESTDIR$PREFIX/lib/libdaring.so"
"""
GUARDED = """\
    audit:
      policy: guarded
      exceptions:
        - {symbol: daring, file: lib/libdaring.so, features: [avx], reason: for the test}
"""


class Tried(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world = fixture.World()
        cls.addClassCleanup(world.close)
        world.write("recipes/daring/1.yaml", DARING + GUARDED)
        world.stack("daring", {"daring": 1})
        _, guarded = world.build("daring")
        world.run("unpack", guarded["bundle"], world.folder / "first")
        cls.digest = sha256((world.folder / "first/lib/libdaring.so").read_bytes())

    def lay(self, holds="{avx: 1}", digest=None, tried="true"):
        self.world.write("recipes/daring/1.yaml", DARING + f"""\
    audit:
      policy: tried
      tried:
        - {{file: lib/libdaring.so, sha256: {digest or self.digest}, holds: {holds}}}
""")
        self.world.stack("daring", {"daring": 1}, extra=f"tried: {tried}\n")

    def test_a_stack_must_say_that_it_takes_it(self):
        self.lay(tried="false")
        self.assertIn('once it says "tried: true"', self.world.run("build", "daring", status=2).stderr)

    def test_other_counts_or_bytes_are_broken(self):
        self.lay(holds="{avx: 2}")
        self.assertIn("libdaring.so: it holds other instructions than the recipe counted", self.world.run("build", "daring", status=1).stderr)
        self.lay(digest="0" * 64)
        self.assertIn("libdaring.so: the recipe tried other bytes of it", self.world.run("build", "daring", status=1).stderr)

    def test_manifest_report_and_verify_say_so(self):
        self.lay()
        events, result = self.world.build("daring")
        self.assertIn("1 file is only tried", " ".join(event.get("detail") or "" for event in events if event["type"] == "note"))
        self.world.run("unpack", result["bundle"], self.world.folder / "tried")
        audit = json.loads((self.world.folder / "tried/manifest.json").read_text())["audit"]
        self.assertEqual((audit["verdict"], audit["tried"]), ("tried", 1))
        self.assertEqual(audit["not_clean"], [{"file": "lib/libdaring.so", "verdict": "tried", "counts": {"avx": 1}}])
        page = pathlib.Path(result["bundle"].replace(".tar.zst", ".report.html")).read_text()
        self.assertIn("1 only tried", page)
        self.assertIn("what wasn’t reached may die", page)
        self.assertIn("1 file is only tried", self.world.run("verify", result["bundle"]).stderr)
        where = self.world.folder / "tried/lib/libdaring.so"
        self.assertIn("tried for k10", self.world.run("audit", where, "--recipe", "daring").stdout)
        self.world.run("audit", where, "--recipe", "daring", "--strict", status=1)


if __name__ == "__main__":
    unittest.main()
