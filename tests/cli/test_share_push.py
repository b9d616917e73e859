"""Keys, and what `push` leaves: a folder that plain clients read."""
import ctypes
import json
import os
import shutil
import subprocess
import unittest

import sharing
from fixture import PROGRAM, sha256
from sharing import bundle, channel_of, digest_of_tar


class Push(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nas = cls.place.folder / "nas"
        cls.file = bundle(cls.place.folder / "dist", {"bin/hello": b"#!/bin/sh\necho hello\n", "share/data": os.urandom(300000)})
        cls.first = cls.anna.push(cls.file, cls.nas)

    def test_minisign_and_sha256sum_take_what_is_there(self):
        name = self.file.name
        subprocess.run(["sha256sum", "--quiet", "-c", name + ".sha256"], cwd=self.nas, check=True)
        for file in (name, "channels/" + self.keys["working"] + ".json"):
            done = subprocess.run(["minisign", "-V", "-Q", "-p", self.anna.config / "working.pub", "-m", file], cwd=self.nas, stdout=subprocess.PIPE, text=True, check=True)
            self.assertIn("ironwheel ", done.stdout)
        subprocess.run(["minisign", "-V", "-q", "-p", self.anna.folder / "recovery.key.pub", "-m", "keys.json"], cwd=self.nas, check=True)

    def test_minisign_signs_with_our_keys_and_opens_a_locked_one(self):
        locked = self.place.rig("locked")
        locked.run("keygen", "--passphrase", "--working-only", env={"IRONWHEEL_PASSPHRASE": "correct horse"})
        subprocess.run(["minisign", "-S", "-s", locked.config / "working.key", "-m", self.file, "-x", locked.folder / "sig"], input=b"correct horse\n", check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["minisign", "-V", "-q", "-p", locked.config / "working.pub", "-m", self.file, "-x", locked.folder / "sig"], check=True)
        self.assertIn("IRONWHEEL_PASSPHRASE", locked.run("push", self.file, self.place.folder / "nas of locked", status=2).stderr)

    def test_the_layout_is_an_oci_one(self):
        self.assertEqual(json.loads((self.nas / "oci-layout").read_text()), {"imageLayoutVersion": "1.0.0"})
        (manifest,) = json.loads((self.nas / "index.json").read_text())["manifests"]
        self.assertEqual(manifest["annotations"]["org.opencontainers.image.ref.name"], self.file.name.removesuffix(".tar.zst"))
        blob = self.nas / "blobs/sha256" / manifest["digest"].removeprefix("sha256:")
        self.assertEqual(sha256(blob.read_bytes()), blob.name)
        layers = json.loads(blob.read_text())["layers"]
        self.assertEqual([layer["annotations"]["org.opencontainers.image.title"] for layer in layers], [self.file.name, self.file.name + ".minisig"])
        for layer in layers:
            data = (self.nas / "blobs/sha256" / layer["digest"].removeprefix("sha256:")).read_bytes()
            self.assertEqual((len(data), "sha256:" + sha256(data)), (layer["size"], layer["digest"]))
        self.assertTrue(os.path.samefile(self.nas / self.file.name, self.nas / "blobs/sha256" / sha256(self.file.read_bytes())), "a name, not a copy")

    def test_the_channel_names_the_tar(self):
        _, channel = channel_of(self.nas)
        offer = channel["bundles"][self.file.name.removesuffix(".tar.zst")]
        self.assertEqual(offer["tar"]["sha256"], digest_of_tar(self.file))
        self.assertEqual((offer["file"]["sha256"], offer["stack"], offer["profile"]), (sha256(self.file.read_bytes()), "demo", "k10"))

    def test_the_same_again_changes_nothing(self):
        place = self.place.folder / "twice"
        first = self.anna.push(self.file, place)
        before = sharing.snapshot(place)
        again = self.anna.push(self.file, place)
        self.assertEqual((again["unchanged"], again["version"], again["bytes"]), (True, first["version"], 0))
        self.assertEqual(sharing.snapshot(place), before)
        self.assertGreater(self.anna.push(place, "--renew")["version"], first["version"])

    def test_what_is_read_back_passes_where_tmpdir_says(self):
        folder, libc = self.place.folder / "room", ctypes.CDLL(None)
        folder.mkdir()
        watch = libc.inotify_init()
        self.addCleanup(os.close, watch)
        libc.inotify_add_watch(watch, os.fsencode(folder), 0x100)  # IN_CREATE
        self.anna.run("push", "--verify", self.file, self.place.folder / "read back", env={"TMPDIR": str(folder)})
        self.assertIn(b"iw-verify-", os.read(watch, 1 << 16))
        self.assertEqual(list(folder.iterdir()), [])

    def test_a_key_is_never_written_over(self):
        before = sharing.snapshot(self.anna.config)
        self.assertIn("never written over", self.anna.run("keygen", "--recovery", self.anna.folder / "other.key", status=2).stderr)
        self.assertEqual(sharing.snapshot(self.anna.config), before)
        self.assertFalse((self.anna.folder / "other.key").exists())

    def test_a_nas_that_is_not_mounted_is_not_filled(self):
        self.assertIn("can't make the folder", self.anna.run("push", self.file, self.place.folder / "mnt/absent/nas", status=2).stderr)

    def test_what_is_not_free_goes_to_folders_only(self):
        file = bundle(self.place.folder / "unfree", {"lib/x": b"x"}, name="cuda-1-k10-glibc2.34-cp311", stack="cuda",
                      packages=[{"name": "nvidia-cuda12", "licence": "LicenseRef-NVIDIA", "in_bundle": True}, {"name": "numpy", "licence": "BSD-3-Clause", "in_bundle": True}])
        done = self.anna.run("push", file, "http://127.0.0.1:9/x", status=None)
        self.assertNotEqual(done.returncode, 0)
        self.anna.push(file, self.place.folder / "own")
        _, channel = channel_of(self.place.folder / "own")
        self.assertEqual(channel["bundles"]["cuda-1-k10-glibc2.34-cp311"]["restricted"], "nvidia-cuda12")

    def test_a_renamed_bundle_is_refused(self):
        other = self.place.folder / "dist/other-1-k10-glibc2.34-cp311.tar.zst"
        shutil.copy(self.file, other)
        self.assertIn("calls itself demo-1", self.anna.run("push", other, self.nas, status=1).stderr)

    # --- withdrawn ---

    def test_withdrawn_is_refused_with_the_reason_and_the_newer_one_offered(self):
        place, reader = self.place.folder / "withdrawn", self.place.rig("withdrawn reader")
        bad = bundle(self.place.folder / "bad", {"bin/hello": b"#!/bin/sh\necho bad\n"}, name="demo-1-k10-glibc2.34-cp311")
        good = bundle(self.place.folder / "good", {"bin/hello": b"#!/bin/sh\necho good\n"}, name="demo-2-k10-glibc2.34-cp311")
        self.anna.push(bad, place, "--expires", "7")
        reader.trust(place, self.keys["recovery"])
        reader.run("pull", "demo", place)
        name, version = bad.name.removesuffix(".tar.zst"), channel_of(place)[1]["version"]
        self.assertIn("say why", self.anna.run("withdraw", name, place, status=2).stderr)
        self.assertIn("offers no bundle nonsense", self.anna.run("withdraw", "nonsense", place, "--why", "x", status=1).stderr)
        said = json.loads(self.anna.run("withdraw", name, place, "--why", "it has a hole", "--json").stdout.splitlines()[-1])
        _, channel = channel_of(place)
        self.assertEqual((said["entries"], channel["bundles"][name]["withdrawn"]), (1, "it has a hole"))
        self.assertGreater(channel["version"], version)
        self.assertEqual(channel["expires"] - channel["issued"], 7 * 86400, "good for as long as before")
        before = sharing.snapshot(reader.folder / "demo")
        refused = reader.run("pull", "demo", place, status=1).stderr
        self.assertIn("was withdrawn: it has a hole", refused)
        self.assertIn(f"{name}, which is in use, was withdrawn by key {self.keys['working']}: it has a hole", refused)
        self.anna.push(good, place)
        self.assertIn("it has a hole (`ironwheel pull demo` brings another one of that stack)", reader.run("pull", name, place, status=1).stderr)
        self.assertEqual(sharing.snapshot(reader.folder / "demo"), before)
        reader.run("pull", "demo", place)
        self.assertEqual(subprocess.run([reader.folder / "demo/bin/hello"], stdout=subprocess.PIPE, check=True).stdout, b"good\n")
        # the same file pushed again stays withdrawn; only the one who did it takes it back
        self.anna.push(bad, place)
        self.assertIn("withdrawn", channel_of(place)[1]["bundles"][name])
        self.anna.run("withdraw", name, place, "--undo")
        self.assertNotIn("withdrawn", channel_of(place)[1]["bundles"][name])
        reader.run("pull", name, place)

    def test_killed_at_every_write_it_leaves_a_readable_place(self):
        """strace's fault injection kills at the n-th rename, link, write …: each time the channel that is there verifies, and the next push ends well."""
        reader = self.place.rig("reader")
        place = self.place.folder / "killed"
        self.anna.push(self.file, place)
        reader.trust(place, self.keys["recovery"])
        changed = bundle(self.place.folder / "changed", {"bin/hello": b"#!/bin/sh\necho changed\n"})
        environment = {"PATH": os.environ["PATH"], "IRONWHEEL_CONFIG": str(self.anna.config), "HOME": str(self.anna.folder)}
        kills = 0
        for call in ("rename", "fsync", "mkdir", "link"):
            for count in range(1, 40):
                command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={count}", PROGRAM, "push", str(changed), str(place)]
                ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
                path, channel = channel_of(place)
                offer = channel["bundles"][changed.name.removesuffix(".tar.zst")]
                self.assertTrue((place / "blobs/sha256" / offer["file"]["sha256"]).is_file())
                self.assertEqual(reader.run("remote", "test", place).returncode, 0)
                if ended.returncode == 0:
                    break
                kills += 1
        self.assertGreater(kills, 10)
        _, channel = channel_of(place)
        self.assertEqual(channel["bundles"][changed.name.removesuffix(".tar.zst")]["tar"]["sha256"], digest_of_tar(changed))


if __name__ == "__main__":
    unittest.main()
