"""`pull`: what comes, how much of it, and what of the old folder stays."""
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import unittest

import sharing
from sharing import bundle, snapshot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import remote  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"
LARGE = random.Random(1).randbytes(400000)
FIRST = {"bin/hello": b"#!/bin/sh\necho one\n", "lib/large": LARGE, "constraints.txt": b"# none\n", "lib/python3.11/site-packages/ours-1.dist-info/METADATA": b"Name: ours\nVersion: 1\n"}
SECOND = {**FIRST, "bin/hello": b"#!/bin/sh\necho two\n", "lib/large": LARGE[:200000] + b"changed" + LARGE[200000:]}


class Pull(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.nas = cls.place.folder / "nas"
        cls.anna.push(bundle(cls.place.folder / "first", FIRST), cls.nas)
        cls.server = remote.Remote(cls.nas)
        cls.addClassCleanup(cls.server.close)

    def setUp(self):
        self.rig = self.rig_of_its_own()
        self.opt = self.rig.folder / "opt"
        self.rig.trust(self.nas, self.keys["recovery"])
        self.server.rules.clear()
        self.server.seen.clear()

    def pull(self, *arguments, **more):
        return json.loads(self.rig.run("pull", "demo", *arguments, "-C", self.opt, "--json", **more).stdout.splitlines()[-1])

    def hello(self):
        return subprocess.run([self.opt / "demo/bin/hello"], stdout=subprocess.PIPE, text=True, check=True).stdout

    def second(self):
        """The same name with other bytes, pushed to a place of its own after the first."""
        place = self.rig.folder / "place"
        self.anna.push(bundle(self.place.folder / "first", FIRST), place)
        self.assertEqual(self.pull(place)["way"], "whole")
        pushed = self.anna.push(bundle(self.place.folder / "second", SECOND), place)
        self.assertEqual(pushed["deltas"], 1)
        return place

    def test_from_a_folder(self):
        done = self.pull(self.nas)
        self.assertEqual((done["way"], done["bundle"], done["bytes"]), ("whole", NAME, done["whole"]))
        self.assertEqual(self.hello(), "one\n")
        self.assertEqual(os.readlink(self.opt / "demo"), pathlib.Path(done["folder"]).name)
        self.assertEqual(sorted(path.name for path in self.opt.iterdir() if path.name.startswith(".ironwheel")), [], "nothing is left of the way")

    def test_over_http_and_nothing_to_pull_takes_two_requests(self):
        self.assertEqual(self.pull(self.server.url)["way"], "whole")
        self.server.seen.clear()
        again = self.pull()
        self.assertEqual((again["way"], again["bytes"], len(self.server.seen)), ("nothing", 0, 2))
        self.assertEqual(self.hello(), "one\n")

    def test_plan_brings_nothing(self):
        self.rig.run("pull", "demo", self.nas, "-C", self.opt, "--plan")
        self.assertFalse(self.opt.exists())

    def test_what_comes_is_said_before(self):
        said = self.rig.run("pull", "demo", self.nas, "-C", self.opt).stderr
        self.assertRegex(said, rf"{NAME}: \d+ kB to bring, \d+ kB on disk, signed by key {self.keys['working']} of Anna")

    def test_a_delta_is_taken_and_gives_the_signed_tar(self):
        place = self.second()
        done = self.pull(place)
        self.assertEqual(done["way"], "delta")
        self.assertLess(done["bytes"], done["whole"] / 10)
        self.assertEqual(self.hello(), "two\n")
        self.assertEqual((self.opt / "demo/lib/large").read_bytes(), SECOND["lib/large"])
        whole = self.place.rig(f"whole{self.number}")
        whole.trust(place, self.keys["recovery"])
        whole.run("pull", "demo", place, "-C", whole.folder / "opt")
        self.assertEqual(snapshot(whole.folder / "opt/demo/"), snapshot(self.opt / "demo/"))

    def test_zstd_itself_applies_the_delta(self):
        place = self.second()
        _, channel = sharing.channel_of(place)
        (delta,) = channel["deltas"]
        old = self.rig.folder / "old.tar"
        old.write_bytes(subprocess.run(["zstd", "-dcq", str(self.place.folder / f"first/{NAME}.tar.zst")], stdout=subprocess.PIPE, check=True).stdout)
        new = subprocess.run(["zstd", "-dcq", "--long=31", f"--patch-from={old}", str(place / "blobs/sha256" / delta["file"]["sha256"])], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(sharing.sha256(new), delta["to"])

    def test_a_changed_folder_gets_the_whole(self):
        place = self.second()
        (self.opt / "demo/lib/large").write_bytes(b"mine")
        done = self.rig.run("pull", "demo", place, "-C", self.opt, "--json")
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["way"], "whole")
        self.assertIn("files of", done.stdout)
        self.assertEqual(self.hello(), "two\n")

    def test_rollback_and_forth(self):
        place = self.second()
        self.pull(place)
        self.rig.run("pull", "demo", "-C", self.opt, "--rollback")
        self.assertEqual(self.hello(), "one\n")
        self.assertEqual(self.pull(place)["way"], "switch")
        self.assertEqual(self.hello(), "two\n")
        self.assertIn("no earlier folder", self.place.rig(f"none{self.number}").run("pull", "demo", "--rollback", status=1).stderr)

    def test_an_older_bundle_by_its_full_name(self):
        place = self.second()
        _, channel = sharing.channel_of(place)
        (old,) = [name for name in channel["bundles"] if "~" in name]
        self.rig.run("pull", old, place, "-C", self.opt)
        self.assertEqual(subprocess.run([self.opt / old / "bin/hello"], stdout=subprocess.PIPE, text=True, check=True).stdout, "one\n")

    # --- what the user had added ---

    def add(self):
        """As pip would: a distribution, and a file of nobody's."""
        site = self.opt / "demo/lib/python3.11/site-packages"
        (site / "extra").mkdir()
        (site / "extra/__init__.py").write_text("x = 1\n")
        info = site / "extra-2.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 2.5\n\nText\n")
        (info / "RECORD").write_text("extra/__init__.py,,\nextra-2.5.dist-info/METADATA,,\n../../../bin/extra,,\n")
        (self.opt / "demo/bin/extra").write_text("#!/bin/sh\n")
        (self.opt / "demo/notes.txt").write_text("mine\n")

    def test_what_was_added_is_listed_and_a_delta_still_works(self):
        place = self.second()
        self.add()
        done = self.pull(place)
        self.assertEqual((done["way"], done["added"], done["added_files"]), ("delta", 1, 1))
        lines = (self.opt / "demo/added.txt").read_text().splitlines()
        self.assertEqual([line for line in lines if not line.startswith("#")], ["extra==2.5"])
        self.assertEqual([line for line in lines if line.startswith("#   ")], ["#   notes.txt"])

    def python(self, body):
        return {**SECOND, "bin/python3": b"#!/bin/sh\n" + body}

    def carry(self, body, status=0):
        place = self.rig.folder / "place"
        self.anna.push(bundle(self.place.folder / "first", FIRST), place)
        self.pull(place)
        self.add()
        self.anna.push(bundle(self.place.folder / "third", self.python(body)), place)
        return self.rig.run("pull", "demo", place, "-C", self.opt, "--carry", status=status)

    def test_carry_runs_the_new_pip_under_the_new_constraints(self):
        self.carry(b'echo "$@" > "${0%/bin/python3}/ran"; echo "$PIP_CONSTRAINT" >> "${0%/bin/python3}/ran"; cat "${PIP_CONSTRAINT}" >> "${0%/bin/python3}/ran"\n')
        ran = (self.opt / "demo/ran").read_text()
        self.assertRegex(ran, r"^-m pip install --no-input --disable-pip-version-check -r \S+/added.txt\n\S+/constraints.txt\n# none\n$")

    def test_a_clash_leaves_the_old_one(self):
        done = self.carry(b'echo "ERROR: Cannot install extra==2.5" >&2; exit 1\n', status=1)
        self.assertIn("Cannot install extra==2.5", done.stderr)
        self.assertIn("the old one stays in use", done.stderr)
        self.assertEqual(self.hello(), "one\n")
        self.assertEqual([path.name for path in self.opt.iterdir() if path.name.startswith("demo-")], [os.readlink(self.opt / "demo")])

    # --- names ---

    def test_a_name_that_is_not_there_lists_what_is(self):
        self.assertIn(f"it has: {NAME}", self.rig.run("pull", "demi", self.nas, status=1).stderr)

    def test_nothing_of_somebody_elses_is_replaced(self):
        self.opt.mkdir()
        (self.opt / "demo").mkdir()
        self.assertIn("isn't a link that `pull` made", self.rig.run("pull", "demo", self.nas, "-C", self.opt, status=2).stderr)

    def test_withdrawn_is_said(self):
        path, channel = sharing.channel_of(self.nas)
        stranger = self.place.rig(f"stranger{self.number}")
        self.assertIn("no key is trusted here yet", stranger.run("pull", "demo", self.nas, status=2).stderr)

    # --- faults ---

    def test_broken_at_every_byte_it_goes_on(self):
        blob = "blobs/sha256/" + sharing.channel_of(self.nas)[1]["bundles"][NAME]["file"]["sha256"]
        size = (self.nas / blob).stat().st_size
        for after in [1, 2, 100, 65536, size // 2, size - 1]:
            self.server.rules = {blob: remote.cut(after)}
            self.server.seen.clear()
            rig = self.place.rig(f"cut{self.number}-{after}")
            rig.trust(self.nas, self.keys["recovery"])
            done = rig.run("pull", "demo", self.server.url, "-C", rig.folder / "opt", "--json")
            self.assertEqual(json.loads(done.stdout.splitlines()[-1])["way"], "whole")
            ranges = [asked for _, path, asked in self.server.seen if path == blob]
            self.assertEqual(ranges, [None, f"bytes={after}-"], "no byte comes twice")

    def test_a_later_run_goes_on_where_this_one_ended(self):
        blob = "blobs/sha256/" + sharing.channel_of(self.nas)[1]["bundles"][NAME]["file"]["sha256"]
        self.server.rules = {blob: remote.cut(20000, times=99)}
        self.assertIn("could not be fetched", self.rig.run("pull", "demo", self.server.url, "-C", self.opt, status=1).stderr)
        self.server.rules.clear()
        self.server.seen.clear()
        self.assertEqual(self.pull(self.server.url)["way"], "whole")
        (asked,) = [asked for _, path, asked in self.server.seen if path == blob]
        self.assertGreaterEqual(int(asked[6:-1]), 40000)

    def test_without_ranges(self):
        self.server.ranges = False
        self.addCleanup(setattr, self.server, "ranges", True)
        blob = "blobs/sha256/" + sharing.channel_of(self.nas)[1]["bundles"][NAME]["file"]["sha256"]
        self.server.rules = {blob: remote.cut(1000)}
        self.assertEqual(self.pull(self.server.url)["way"], "whole")

    def test_killed_anywhere_the_old_one_stays_or_the_new_one_stands(self):
        place = self.second()
        environment = {"PATH": os.environ["PATH"], "IRONWHEEL_CONFIG": str(self.rig.config), "HOME": str(self.rig.folder)}
        said, kills, before = set(), 0, self.rig.folder / "before"
        shutil.copytree(self.opt, before, symlinks=True)
        for call, step in (("rename", 1), ("symlink", 1), ("unlink", 1), ("mkdirat", 2), ("write", 2), ("fsync", 1)):
            shutil.rmtree(self.opt)
            shutil.copytree(before, self.opt, symlinks=True)
            for count in range(1, 4000, step):
                command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={count}", sharing.PROGRAM, "pull", "demo", str(place),
                           "-C", str(self.opt)]
                ended = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
                said.add(self.hello())
                if ended.returncode == 0:
                    break
                kills += 1
        self.assertLessEqual(said, {"one\n", "two\n"})
        self.assertGreater(kills, 12)
        self.pull(place)
        self.assertEqual(self.hello(), "two\n")


if __name__ == "__main__":
    unittest.main()
