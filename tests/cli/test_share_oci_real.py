"""Debian's docker-registry and skopeo: what is pushed there they copy, list and keep; what they copied is pulled."""
import base64
import json
import os
import pathlib
import subprocess
import sys
import unittest

import sharing
from fixture import sha256
from sharing import bundle

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import real_registry  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"
DATA = os.urandom(9_500_000)  # three chunks


def skopeo(*arguments, **more):
    return subprocess.run(["skopeo", *map(str, arguments)], stdout=subprocess.PIPE, check=True, **more).stdout


class Real(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = bundle(cls.place.folder / "dist", {"bin/hello": b"#!/bin/sh\necho hello\n", "data": DATA})
        cls.open = real_registry.RealRegistry(cls.place.folder / "open")
        cls.addClassCleanup(cls.open.close)
        cls.anna.push(cls.file, cls.open.place())

    def pulled(self, where, **more):
        rig = self.rig_of_its_own()
        rig.run("trust", "add", where, "--key", self.keys["recovery"], **more)
        rig.run("pull", "demo", where, **more)
        self.assertEqual((rig.folder / "demo/data").read_bytes(), DATA)
        return rig

    def test_push_and_pull(self):
        self.pulled(self.open.place())
        self.assertTrue(self.anna.push(self.file, self.open.place())["unchanged"])

    def test_skopeo_copies_with_the_same_digests(self):
        """Into a layout, and from there, with its names, into another repository; which is pulled from."""
        source, folder = f"docker://{self.open.host}/anna/ironwheel", self.place.folder / "layout"
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"{source}:{NAME}")
        tags = json.loads(skopeo("list-tags", "--tls-verify=false", source))["Tags"]
        self.assertEqual(set(tags), set(self.open.tags()))
        for tag in tags:
            skopeo("copy", "-q", "--all", "--src-tls-verify=false", f"{source}:{tag}", f"oci:{folder}:{tag}")
        self.assertTrue((folder / "blobs/sha256" / sha256(raw)).is_file(), "the manifest has its digest")
        self.assertTrue((folder / "blobs/sha256" / sha256(self.file.read_bytes())).is_file(), "and so has the bundle")
        for tag in tags:
            skopeo("copy", "-q", "--all", "--dest-tls-verify=false", f"oci:{folder}:{tag}", f"docker://{self.open.host}/berta/copy:{tag}")
        self.assertEqual(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{self.open.host}/berta/copy:{NAME}"), raw)
        self.pulled(self.open.place("berta/copy"))

    def test_skopeo_copies_what_lies_in_a_folder(self):
        """A folder that was pushed to is a layout; its bundle goes into a registry, and comes back."""
        nas = self.place.folder / "nas"
        self.anna.push(self.file, nas)
        skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{nas}:{NAME}", f"docker://{self.open.host}/clara/from-folder:x")
        manifest = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{self.open.host}/clara/from-folder:x"))
        self.assertEqual(manifest["layers"][0]["digest"], "sha256:" + sha256(self.file.read_bytes()))

    def test_tokens_with_what_skopeo_logged_in(self):
        """`skopeo login` writes the file that this reads; anybody may pull, Anna alone push; skopeo is let in by the same service."""
        server = real_registry.RealRegistry(self.place.folder / "closed", auth=True)
        self.addCleanup(server.close)
        login = self.place.folder / "auth.json"
        self.assertRegex(self.anna.run("push", self.file, server.place(), status=1).stderr, "no credentials for " + server.host)
        skopeo("login", "--tls-verify=false", "--authfile", login, "-u", "anna", "--password-stdin", server.host, input=b"pass:word")
        self.assertEqual(json.loads(login.read_text())["auths"][server.host]["auth"], base64.b64encode(b"anna:pass:word").decode())
        env = {"REGISTRY_AUTH_FILE": login}
        done = self.anna.run("push", self.file, server.place(), env=env)
        self.assertNotIn("pass:word", done.stdout + done.stderr)
        self.pulled(server.place(), env=env)
        self.pulled(server.place())
        skopeo("copy", "-q", "--src-tls-verify=false", f"docker://{server.host}/anna/ironwheel:{NAME}", f"dir:{self.place.folder}/dir")
        granted = {(word, known) for scope, known in server.tokens.seen for word in (scope or [""])[0].rpartition(":")[2].split(",")}
        self.assertLessEqual({("push", True), ("pull", True), ("pull", False)}, granted)

    def test_garbage_collection_leaves_what_channels_name(self):
        server = real_registry.RealRegistry(self.place.folder / "collected")
        self.addCleanup(server.close)
        old = bundle(self.place.folder / "old", {"data": DATA[:1000]}, name="demo-0-k10-glibc2.34-cp311")
        self.anna.push(old, server.place())
        self.anna.push(self.file, server.place(), "--prune", "1", "--no-deltas")
        said = server.collect_garbage()
        self.pulled(server.place())
        self.anna.push(self.file, server.place(), "--renew")
        said += server.collect_garbage()
        self.assertIn("blob eligible for deletion: sha256:" + sha256(old.read_bytes()), said, "what no channel names any more goes")
        self.pulled(server.place())
        self.assertTrue(self.anna.push(self.file, server.place())["unchanged"])


if __name__ == "__main__":
    unittest.main()
