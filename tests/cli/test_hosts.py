"""What differs from host to host: a C library that is too old, the pinned emulator, what another host needs from a mirror folder."""
import json
import unittest

import fixture
from fixture import sha256


class Hosts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        deb, source = fixture.toolchain_deb(), b"a pinned source"
        cls.pin = cls.world.serve("/debian/pool/main/t/thing/thing_1.orig.tar.gz", source)
        cls.world.serve("/debian/pool/main/q/qemu/qemu_1_amd64.deb", deb)
        cls.world.write("hosts/sources.txt", f"# name\nthing 1 pypi nothing nothing-1.tar.gz {'0' * 64}\nthing 1 debian thing thing_1.orig.tar.gz {cls.pin}\n")
        cls.world.write("recipes/toolchains/checks.yaml", f"""\
            name: checks
            summary: An emulator
            suite: bookworm
            roots: [qemu-user-static]
            packages:
              - name: qemu-user-static
                version: 1
                file: pool/main/q/qemu/qemu_1_amd64.deb
                sha256: {sha256(deb)}
                size: {len(deb)}
            """)
        cls.world.stack("newer", {"shout": "2.0"}, pins={"libword": "1.0"}, extra="glibc: 99.1\n")
        cls.world.stack("older", {"shout": "2.0"}, pins={"libword": "1.0"}, extra="glibc: 2.1\n")

    def test_1_a_stack_for_other_rigs_is_built_only_if_that_is_meant(self):
        seen = len(self.world.server.seen)
        said = self.world.run("build", "newer", status=2).stderr
        self.assertRegex(said, r"newer will need glibc 99\.1; this host has 2\.\d+: it is for other rigs\. `ironwheel build newer --anyway`")
        self.assertRegex(self.world.run("plan", "newer").stdout, r"newer will need glibc 99\.1; this host has .* wants --anyway\n")
        self.assertIn("warning", json.loads(self.world.run("plan", "newer", "--json").stdout.splitlines()[-1]))
        self.assertEqual(len(self.world.server.seen), seen, "nothing was fetched")
        _, result = self.world.build("newer", "--anyway")
        self.assertEqual(result["type"], "result")

    def test_2_the_bundle_is_held_against_what_the_stack_says(self):
        said = self.world.run("build", "older", status=1).stderr
        self.assertRegex(said, r"recipes/stacks/older\.yaml says that glibc 2\.1 is enough; the bundle needs 2\.\d+ \(.*\)\. Write \"glibc: 2\.\d+\" there")

    def test_3_run_takes_the_pinned_emulator_and_gc_keeps_it(self):
        self.assertEqual(self.world.run("run", "--", "/bin/sh", "-c", "echo ran").stdout, "ran\n")
        before = sorted((self.world.cache / "toolchains").iterdir())
        self.assertEqual(len(before), 2)
        self.world.run("gc")
        self.assertEqual(sorted((self.world.cache / "toolchains").iterdir()), before)

    def test_4_a_mirror_folder_holds_what_another_host_needs(self):
        (self.world.cache / "sources").mkdir(parents=True, exist_ok=True)
        (self.world.cache / "sources" / self.pin).write_bytes(b"a pinned source")  # as bootstrap leaves it
        self.world.run("fetch", "words", "--export", "mirror")
        held = {path.name for path in (self.world.tree / "mirror/by-sha256").iterdir()}
        self.assertIn(self.pin, held)
        self.assertIn(sha256(fixture.toolchain_deb()), held)


if __name__ == "__main__":
    unittest.main()
