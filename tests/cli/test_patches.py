"""What of a patch counts: the change is in the keys, the header and the file's name aren't."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import fixture
from fixture import PROGRAM, ROOT

HEADER = """\
Description: Shout louder
 An example of what this is not, which patch(1) would try to apply:
 .
   --- shout.c
   +++ shout.c
   @@ -1 +1 @@
   -#include <stdio.h>
   +#include <stdlib.h>
 {words}
Author: Ironwheel's tests
Forwarded: no
Applies-To: 2.0
---
 shout.c | 2 +-

"""
CHANGE = """\
Index: shout-2.0/shout.c
===================================================================
--- shout-2.0.orig/shout.c
+++ shout-2.0/shout.c
@@ -7,6 +7,6 @@
 #ifdef __AVX__
     puts("compiled for AVX");
 #endif
-    printf("%s! %g\\n", word(), sum());
+    printf("%s{mark} %g\\n", word(), sum());
     return 0;
 }}
"""


class TheTree(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-patches-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for part in ("recipes", "patches"):
            shutil.copytree(ROOT / part, self.folder / part)
        self.stacks = sorted(path.stem for path in (self.folder / "recipes/stacks").glob("*.yaml"))

    def keys(self):
        found = {}
        for stack in self.stacks:
            done = subprocess.run([PROGRAM, "plan", stack, "--json", "-C", self.folder, "--cache", self.folder / "cache"], stdout=subprocess.PIPE, text=True, check=True,
                                  env={"PATH": "/usr/bin:/bin", "HOME": str(self.folder)})
            found |= {(stack, row["package"], row["version"]): row["key"] for row in map(json.loads, done.stdout.splitlines())}
        return found

    def test_no_header_is_in_a_key(self):
        before = self.keys()
        patches = sorted((self.folder / "patches").glob("*/*.patch"))
        self.assertGreater(len(patches), 10)
        for patch in patches:
            text = patch.read_text()
            self.assertTrue(text.startswith("Description: "), patch)
            text = re.sub(r"^(Applies-To: .*)$", r"\1, 99.*", text.replace("Description: ", "Description: once more, ", 1), count=1, flags=re.M)
            patch.unlink()
            renamed = patch.with_name(patch.name.replace("-", "-renamed-", 1))
            renamed.write_text("Bug: https://example.org/1\n" + text)
            for recipe in (self.folder / "recipes" / patch.parent.name).glob("*.yaml"):
                recipe.write_text(recipe.read_text().replace(patch.name, renamed.name))
        self.assertEqual(self.keys(), before)

    def test_a_changed_line_is(self):
        before = self.keys()
        patch = next((self.folder / "patches/numpy").glob("0001-*.patch"))
        head, line, rest = re.split(r"^(\+(?!\+\+ ).*\n)", patch.read_text(), maxsplit=1, flags=re.M)
        patch.write_text(head + line.rstrip("\n") + " # more\n" + rest)
        after = self.keys()
        moved = {key for key in before if before[key] != after[key]}
        self.assertIn(("base", "numpy", "1.26.4"), moved)
        self.assertFalse({package for _, package, _ in moved} & {"python", "openblas", "openssl"})


class ABuild(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        recipe = cls.world.tree / "recipes/shout/2.0.yaml"
        cls.recipe = recipe.read_text().replace("needs:", "patches: [{name}]\nneeds:", 1).replace("'wheel! 0'", "'wheel{mark} 0'")

    def lay(self, name, words, mark):
        shutil.rmtree(self.world.tree / "patches/shout", ignore_errors=True)
        self.world.write(f"patches/shout/{name}", "")
        (self.world.tree / "patches/shout" / name).write_text(HEADER.format(words=words) + CHANGE.format(mark=mark))
        (self.world.tree / "recipes/shout/2.0.yaml").write_text(self.recipe.format(name=name, mark=mark))

    def patch_in_manifest(self, result):
        with tempfile.TemporaryDirectory() as folder:
            where = pathlib.Path(folder, "open")
            self.world.run("unpack", result["bundle"], where)
            packages = json.loads(next(where.rglob("manifest.json")).read_text())["packages"]
        return next(package["patches"][0] for package in packages if package["name"] == "shout")

    def test_a_header_is_in_the_manifest_alone(self):
        self.lay("0001-loud.patch", "So it is.", "!!")
        events, result = self.world.build()
        self.assertEqual(self.world.built(events), ["libword", "shout"])
        first = self.patch_in_manifest(result)
        self.assertEqual((first["file"], first["applies_to"]), ("0001-loud.patch", "2.0"))
        self.lay("0002-louder.patch", "In other words.", "!!")
        events, result = self.world.build()
        self.assertEqual(self.world.built(events), [])
        second = self.patch_in_manifest(result)
        self.assertEqual(second["file"], "0002-louder.patch")
        self.assertIn("In other words.", second["description"])
        self.assertNotEqual(first["sha256"], second["sha256"])
        self.lay("0002-louder.patch", "In other words.", "!!!")
        events, _ = self.world.build()
        self.assertEqual(self.world.built(events), ["shout"])

    def test_where_it_does_not_apply(self):
        self.lay("0001-loud.patch", "So it is.", "!?")
        path = self.world.tree / "patches/shout/0001-loud.patch"
        text = path.read_text().replace("\n #endif\n", "\n?endif\n")
        path.write_text(text)
        said = self.world.run("build", "words", status=1).stderr
        line = 1 + text.splitlines().index("?endif")
        self.assertRegex(said, rf"patch 0001-loud\.patch does not apply .*malformed patch at line {line}: \?endif")


if __name__ == "__main__":
    unittest.main()
