"""What isn't free to be handed on: named once, and left out or sent by word of the user; left out, it comes from a package index by digest, and the same bundle stands there."""
import io
import json
import os
import pathlib
import subprocess
import sys
import unittest
import zipfile

import sharing
from fixture import sha256
from sharing import bundle, snapshot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import registry  # noqa: E402
import remote  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"
WHEEL = "nvidia_fake-1.0-py3-none-manylinux2014_x86_64.whl"
SITE = "lib/python3.11/site-packages/"


def library(folder):
    """A shared library as its maker would compile it."""
    source, out = folder / "fake.c", folder / "libfake.so.1"
    source.write_text("static const char secret[] = \"the maker's own code\"; const char *fake(void) { return secret; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", out, source], check=True)
    return out.read_bytes()


def wheel(files):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return raw.getvalue()


class Unfree(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.library = library(cls.place.folder)
        own = os.urandom(100000)  # a library with more in it, whose run path an installation sets
        cls.own, touched = own, cls.place.folder / "touched.so"
        touched.write_bytes(cls.library + own)
        subprocess.run(["patchelf", "--set-rpath", "$ORIGIN", touched], check=True)
        files = {"nvidia/fake/lib/libfake.so.1": cls.library, "nvidia/fake/lib/libtouched.so.1": cls.library + own, "nvidia/fake/__init__.py": b"", "nvidia/fake/version.py": b"version = '1.0'\n",
                 "nvidia_fake-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: nvidia-fake\nVersion: 1.0\n", "nvidia_fake-1.0.dist-info/RECORD": b"as in the wheel\n"}
        cls.wheel = wheel(files)
        cls.files = {SITE + path: data for path, data in files.items()} | {SITE + "nvidia_fake-1.0.dist-info/RECORD": b"as it was installed\n", "bin/hello": b"#!/bin/sh\necho hello\n",
                                                                          "lib/libfake.so": cls.library, SITE + "nvidia/fake/lib/libtouched.so.1": touched.read_bytes(), "data": os.urandom(50000)}
        cls.packages = [{"name": "nvidia-fake", "version": "1.0", "licence": "LicenseRef-Made-Up", "in_bundle": True,
                         "sources": [{"kind": "pypi", "name": "nvidia-fake", "version": "1.0", "file": WHEEL, "sha256": sha256(cls.wheel)}]},
                        {"name": "numpy", "version": "1", "licence": "BSD-3-Clause", "in_bundle": True, "sources": []}]
        cls.file = bundle(cls.place.folder / "dist", cls.files, packages=cls.packages)
        cls.keep(cls.anna)
        cls.registry = registry.Registry()
        cls.addClassCleanup(cls.registry.close)
        cls.index = remote.Remote(cls.place.folder)
        cls.addClassCleanup(cls.index.close)

    def setUp(self):
        page = f'<!DOCTYPE html><html><body><a href="/files/{WHEEL}#sha256={sha256(self.wheel)}">{WHEEL}</a></body></html>'.encode()
        self.index.rules = {"simple/nvidia-fake/": remote.fixed(page, Content_Type="text/html"), f"files/{WHEEL}": remote.fixed(self.wheel)}
        self.index.seen.clear()

    @classmethod
    def keep(cls, rig):
        """The wheel in that rig's store, as a build left it."""
        rig.run("cache", "info", status=None)
        folder = rig.folder / "cache/sources"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / sha256(cls.wheel)).write_bytes(cls.wheel)

    def reader(self):
        rig = self.rig_of_its_own()
        rig.run("trust", "add", self.registry.place(), "--key", self.keys["recovery"])
        return rig

    def pull(self, rig, where=None, cache=None, **more):
        env = {"PIP_INDEX_URL": self.index.url + "/simple"} | ({} if cache is None else {"IRONWHEEL_CACHE": cache})
        return rig.run("pull", "demo", where or self.registry.place(), "--json", env=env, **more)

    def pushed(self):
        self.anna.run("push", self.file, self.registry.place(), "--without", "nvidia")

    def test_it_is_named_and_wants_a_word(self):
        server = registry.Registry()
        self.addCleanup(server.close)
        said = self.anna.run("push", self.file, server.place(), status=2).stderr
        self.assertRegex(said, "don't let everybody hand on: nvidia-fake.*--without nvidia.*--redistribute")
        self.assertEqual(server.repository("anna/ironwheel")["tags"].keys() - {"keys", "keys-1"}, set())
        done = self.anna.run("push", self.file, server.place(), "--redistribute")
        self.assertEqual((done.stdout + done.stderr).count("nvidia-fake"), 1, "named once")
        self.assertRegex(self.anna.run("push", self.file, server.place(), "--without", "other", status=2).stderr, "hand on: nvidia-fake")

    def test_the_same_bundle_stands_there(self):
        self.pushed()
        nas = self.place.folder / "nas"
        self.anna.push(self.file, nas)
        for data in self.registry.repository("anna/ironwheel")["blobs"].values():
            plain = subprocess.run(["zstd", "-dcq", "--long=27"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout if data[:4] == b"\x28\xb5\x2f\xfd" else data
            self.assertNotIn(b"the maker's own code", plain)
            self.assertNotIn(self.own[50000:50100], plain)
        whole, parts = self.reader(), self.reader()
        self.pull(whole, nas)
        self.pull(parts)
        self.assertEqual(os.readlink(whole.folder / "demo"), os.readlink(parts.folder / "demo"), "named by the tar's digest")
        self.assertEqual(snapshot(whole.folder / "demo/"), snapshot(parts.folder / "demo/"))
        times = [[path.lstat().st_mtime for path in sorted((rig.folder / "demo/").rglob("*"))] for rig in (whole, parts)]
        self.assertEqual(times[0], times[1])
        modes = [[path.lstat().st_mode for path in sorted((rig.folder / "demo/").rglob("*"))] for rig in (whole, parts)]
        self.assertEqual(modes[0], modes[1])
        for name in ("libfake.so.1", "libtouched.so.1"):
            self.assertEqual((parts.folder / "demo" / SITE / "nvidia/fake/lib" / name).read_bytes(), self.files[SITE + "nvidia/fake/lib/" + name])
        self.assertEqual(json.loads(self.pull(parts).stdout.splitlines()[-1])["way"], "nothing")

    def test_a_wheel_that_is_in_the_store_isnt_fetched(self):
        self.pushed()
        rig = self.reader()
        self.keep(rig)
        self.pull(rig)
        self.assertEqual([path for _, path, _ in self.index.seen], [])

    def test_a_rig_without_recipes(self):
        self.pushed()
        rig = self.reader()
        rig.lone_program()
        self.assertIn("no recipes here", rig.run("plan", "demo", status=2).stderr)
        self.pull(rig)
        self.assertEqual((rig.folder / "demo" / SITE / "nvidia/fake/lib/libfake.so.1").read_bytes(), self.library)
        self.assertTrue((rig.folder / "cache/sources" / sha256(self.wheel)).exists(), "kept for the next bundle")
        rig = self.reader()
        rig.lone_program()
        self.pull(rig, cache="")  # none is named
        self.assertTrue((rig.folder / ".cache/ironwheel/sources" / sha256(self.wheel)).exists())

    def test_an_index_that_lies_or_lacks_it_leaves_all_as_it_was(self):
        self.pushed()
        for what, rules, cause in (("gone", {}, "nvidia.fake"), ("other bytes", self.index.rules | {f"files/{WHEEL}": remote.fixed(self.wheel[:-1] + b"x")}, "SHA-256"),
                                   ("endless", self.index.rules | {f"files/{WHEEL}": remote.fixed(b"<html>")}, "SHA-256")):
            with self.subTest(what):
                self.index.rules = rules
                rig = self.reader()
                self.assertRegex(self.pull(rig, status=1).stderr, cause)
                self.assertEqual([path.name for path in rig.folder.glob("demo*")], [])

    def test_what_isnt_as_in_its_wheel_cant_be_left_out(self):
        changed = bundle(self.place.folder / "changed", self.files | {SITE + "nvidia/fake/lib/libfake.so.1": os.urandom(60000)}, packages=self.packages)
        self.assertRegex(self.anna.run("push", changed, self.registry.place(), "--without", "nvidia", status=1).stderr, "libfake.so.1 isn't as its wheel has it")
        stranger = self.place.rig("stranger")
        stranger.keygen()
        server = registry.Registry()
        self.addCleanup(server.close)
        self.assertRegex(stranger.run("push", self.file, server.place(), "--without", "nvidia", status=1).stderr, f"must be in the store.*{WHEEL}")


if __name__ == "__main__":
    unittest.main()
