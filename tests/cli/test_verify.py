"""`ironwheel verify`: what it holds a bundle against, a second build included."""
import json
import pathlib
import subprocess
import unittest

import fixture


class Verify(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)

    def bundle(self, stack):
        return pathlib.Path(self.world.build(stack)[1]["bundle"])

    def test_built_again_it_is_the_same(self):
        bundle = self.bundle("words")
        self.world.server.seen.clear()
        done = self.world.run("verify", bundle, "--rebuild")
        self.assertIn("built again, it is the same byte for byte", done.stdout)
        self.assertRegex(done.stderr, r"(?s)words: building it again: .*built    shout/2\.0")
        self.assertNotIn("another tree/dist", done.stdout + done.stderr, "it is gone by then")
        self.assertEqual(self.world.server.seen, [], "the store's sources are enough")
        self.assertEqual(list((self.world.cache / "tmp").glob("verify-*")), [])

    def test_what_differs_is_named_member_by_member(self):
        self.world.script("dice", install_script="""\
            mkdir -p $DESTDIR$PREFIX/share
            echo steady > $DESTDIR$PREFIX/share/same
            cat /proc/sys/kernel/random/uuid > $DESTDIR$PREFIX/share/thrown""")
        self.world.stack("dice", {"dice": "1"})
        done = self.world.run("verify", self.bundle("dice"), "--rebuild", status=1)
        self.assertIn("share/thrown", done.stdout + done.stderr)
        self.assertNotIn("share/same", done.stdout + done.stderr)
        self.assertIn("what was built again differ", done.stderr)

    def test_a_manifest_that_lies_is_refused_or_said_to_differ(self):
        bundle, top = self.bundle("words"), self.world.folder / "lies"
        top.mkdir()
        subprocess.run(["tar", "-C", top, "-xf", bundle], check=True)
        environment = next(top.iterdir())
        manifest = json.loads((environment / "manifest.json").read_text())
        evil = dict(manifest["packages"][0], name="a\x1b[31mEVIL\r\n<b>", version="\x1b[2J")
        deep = b'{"stack":"words","packages":' + b"[" * 200000 + b"]" * 200000 + b"}"
        for name, lie, status, said in (
            ("a path", {"stack": "../../../../etc/passwd"}, 2, 'no stack "../../../../etc/passwd"'),
            ("escapes", {"stack": "x\x1b[2J\x1b]0;owned\x07y"}, 2, r"x\x1b[2J\x1b]0;owned\x07y"),
            ("a stranger", {"packages": [evil, *manifest["packages"]]}, 0, r"a\x1b[31mEVIL"),
            ("types", {"packages": [1, None, "x", [], {"name": 5, "version": []}], "checks": {}, "audit": [], "profiles": 5}, 0, "2 packages of this tree's stack aren't in"),
            ("an older format", {"bundle_format": "3"}, 0, "the bundle: written in format 3 by another version of Ironwheel"),
            ("no format", {"bundle_format": 5}, 0, "the bundle: written in format 4 or older"),
            ("a floor", {"glibc": {"floor": "2.1"}}, 1, f"glibc 2.1 is enough; the files need {manifest['glibc']['floor']} ({manifest['glibc']['because_of'][0]})"),
            ("no object", b"[1]", 1, "no manifest"), ("nothing", b"", 1, "no manifest"), ("deep", deep, 1, "no manifest"), ("bytes", bytes(range(256)), 1, "no manifest"),
        ):
            with self.subTest(name):
                (environment / "manifest.json").write_bytes(lie if isinstance(lie, bytes) else json.dumps(manifest | lie).encode())
                other = self.world.folder / f"{name}.tar.zst"
                subprocess.run(["tar", "-C", top, "-I", "zstd -q", "-cf", other, environment.name], check=True)
                done = self.world.run("verify", other, status=status)
                self.assertIn(said, done.stderr)
                self.assertNotRegex(done.stdout + done.stderr, r"[\x00-\x09\x0b-\x1f\x7f]", "a terminal obeys that")
                self.assertEqual(list((self.world.cache / "tmp").glob("verify-*")), [])

    def test_another_digest_stops_it(self):
        bundle = self.bundle("words")
        other = self.world.folder / "other" / bundle.name
        other.parent.mkdir()
        data = bytearray(bundle.read_bytes())
        data[len(data) // 2] ^= 1
        other.write_bytes(data)
        other.with_name(f"{bundle.name}.sha256").write_text(pathlib.Path(f"{bundle}.sha256").read_text())
        self.assertIn(bundle.name, self.world.run("verify", other, status=None).stderr)
        self.assertNotEqual(self.world.run("verify", other, status=None).returncode, 0)


if __name__ == "__main__":
    unittest.main()
