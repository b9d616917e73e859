"""Sources that leave: a pool that has dropped pinned files, and the snapshot archive beside it."""
import hashlib
import io
import json
import tarfile
import unittest

import fixture
from fixture import sha256

PINNED = "20261123T083542Z"
GONE = ["alpha", "beta", "gamma", "delta", "epsilon"]


def small_deb(name):
    """A Debian package with one file."""
    data, control = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        member = tarfile.TarInfo(f"./usr/share/doc/{name}/copyright")
        member.size = len(name)
        archive.addfile(member, io.BytesIO(name.encode()))
    with tarfile.open(fileobj=control, mode="w"):
        pass
    out = b"!<arch>\n"
    for member, content in ("debian-binary", b"2.0\n"), ("control.tar", control.getvalue()), ("data.tar", data.getvalue()):
        out += f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2)
    return out


class Pool(unittest.TestCase):
    """The toolchain needs five packages more, none of which the pool has."""

    @classmethod
    def setUpClass(cls):
        cls.world = world = fixture.World()
        cls.addClassCleanup(world.close)
        path = world.tree / "recipes/toolchains/test.yaml"
        text = path.read_text().replace("packages:", f"pinned: {PINNED}\npackages:")
        for i, name in enumerate(GONE):
            deb = small_deb(name)
            folder = "pool/updates/main" if name == "gamma" else "pool/main"
            file = f"{folder}/{name[0]}/{name}/{name}_1_all.deb"
            text += f"  - name: {name}\n    version: '1:1'\n    file: {file}\n    sha256: {sha256(deb)}\n    size: {len(deb)}\n"
            if i < 3:
                archive = "debian-security" if name == "gamma" else "debian"
                world.serve(f"/snapshot/archive/{archive}/{PINNED}/{file}", deb)
                continue
            sha1 = hashlib.sha1(deb).hexdigest()
            place = [{"name": f"{name}_1_all.deb", "archive_name": "debian", "path": f"/pool/main/{name[0]}/{name}", "size": len(deb), "first_seen": PINNED}]
            answer = {"binary": name, "binary_version": "1:1", "result": [{"hash": sha1, "architecture": "all"}]}
            if name == "delta":
                answer["fileinfo"] = {sha1: place}
            else:
                world.serve(f"/snapshot/mr/file/{sha1}/info", json.dumps({"hash": sha1, "result": place}).encode())
            world.serve(f"/snapshot/mr/binary/{name}/1%3A1/binfiles", json.dumps(answer).encode())
            world.serve(f"/snapshot/file/{sha1}", deb)
        path.write_text(text)

    def check(self, *options, status):
        done = self.world.run("fetch", "words", "--check", "--json", *options, status=status)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return {line["source"]: line for line in lines if "source" in line}, lines[-1]

    def test_0_check_says_what_is_gone_and_where_else_it_is(self):
        found, summary = self.check(status=1)
        self.assertEqual(sorted(name for name, line in found.items() if line["state"] == "gone"), sorted(f"{name}_1_all.deb" for name in GONE))
        self.assertEqual(summary, {"summary": "words", "there": 2, "elsewhere": 1, "changed": 0, "gone": 5, "unknown": 0})
        self.assertEqual(found["shout-2.0.tar.gz"]["compared"], "digest")
        self.assertIn("/files/libword-1.0.tar.gz", found["libword-1.0.tar.gz"]["where"])
        found, summary = self.check("--debian-snapshot", f"{self.world.server.url}/snapshot", status=0)
        self.assertEqual(summary["elsewhere"], 6)
        for name in GONE:
            self.assertIn("/snapshot/", found[f"{name}_1_all.deb"]["where"])
        self.assertFalse(any("tools_1" in path and method == "GET" for method, path in self.world.server.asked), "--check downloads nothing")
        done = self.world.run("fetch", "words", "--check", status=1)
        self.assertIn("words: 8 sources: 2 there, 1 elsewhere, 0 changed, 5 gone, 0 not known; 1 compared by the index's digest, 1 by size alone, 1 not at all", done.stdout)
        self.world.run("fetch", "words", "--check", "--offline", status=2)

    def test_0_check_finds_what_was_changed(self):
        path = "/debian/pool/main/t/tools/tools_1_amd64.deb"
        self.world.server.lies[path] = b"other bytes"
        self.addCleanup(self.world.server.lies.clear)
        found, summary = self.check(status=1)
        self.assertEqual(found["tools_1_amd64.deb"]["state"], "changed")
        self.assertEqual(summary["changed"], 1)

    def test_1_without_a_snapshot_one_error_names_the_five(self):
        done = self.world.run("build", "words", status=1)
        error = done.stderr[done.stderr.index("ironwheel: "):]
        self.assertIn("5 pinned Debian files have left the archive:", error)
        for name in GONE:
            self.assertEqual(error.count(f"{name}_1_all.deb"), 1, error)
        self.assertNotIn("tools_1_amd64.deb", error)
        for way in "--debian-snapshot URL", "IRONWHEEL_DEBIAN_SNAPSHOT", "--export DIR", "ironwheel toolchain update test":
            self.assertIn(way, error)
        self.assertRegex(error, r"every package of words \(2\) would be built anew, about .* of work")

    def test_2_with_one_it_ends_well(self):
        self.world.server.seen.clear()
        result = self.world.build("words", "--debian-snapshot", f"{self.world.server.url}/snapshot/")[1]
        self.assertEqual(result["type"], "result")
        self.assertEqual(len([path for path, _ in self.world.server.seen if path.startswith("/snapshot/file/")]), 2)

    def test_3_the_variable_does_too(self):
        done = self.world.run("fetch", "words", "--cache", self.world.folder / "second", env={"IRONWHEEL_DEBIAN_SNAPSHOT": f"{self.world.server.url}/snapshot"})
        self.assertIn("everything is in the store", done.stdout)

    def test_4_what_is_no_address_is_named(self):
        done = self.world.run("fetch", "words", "--cache", self.world.folder / "third", "--debian-snapshot", "snapshot", status=2)
        self.assertIn('--debian-snapshot: "snapshot" is no http(s) address', done.stderr)

    def test_5_doctor_and_help_tell_of_it(self):
        self.assertIn("test is pinned as of 2026-11-23", self.world.run("doctor", status=None).stdout)
        self.assertIn("--debian-snapshot", self.world.run("fetch", "--help").stdout)


if __name__ == "__main__":
    unittest.main()
