"""`ironwheel verify`: what it holds a bundle against, a second build included."""
import pathlib
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
