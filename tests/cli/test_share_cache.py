"""`build` and `plan` with remotes: what is taken, what isn't, and that nothing of it ever breaks a build."""
import json
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import unittest

import fixture
import sharing
from fixture import sha256

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import remote  # noqa: E402


class Cache(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        cls.place = sharing.Place()
        cls.addClassCleanup(cls.place.close)
        cls.events, cls.result = cls.world.build()
        cls.nas, cls.config = cls.place.folder / "nas", cls.place.folder / "config"
        cls.env = {"IRONWHEEL_CONFIG": cls.config}
        cls.keys = json.loads(cls.world.run("keygen", "--json", "--recovery", cls.place.folder / "recovery.key", env=cls.env).stdout)
        cls.world.run("push", "words", cls.nas, "--artifacts", env=cls.env)
        cls.packages = cls.place.folder / "packages alone".replace(" ", "-")  # the same without the bundle's key: so that packages are taken one by one
        shutil.copytree(cls.nas, cls.packages)
        cls.server = remote.Remote(cls.nas)
        cls.addClassCleanup(cls.server.close)
        cls.number = 0

    def setUp(self):
        type(self).number += 1
        self.server.rules.clear()
        self.server.seen.clear()
        self.world.server.seen.clear()
        self.rig = {"IRONWHEEL_CONFIG": self.place.folder / f"config{self.number}", "IRONWHEEL_CACHE": self.place.folder / f"cache{self.number}"}
        self.dist = self.place.folder / f"dist{self.number}"

    def second_rig(self, address=None):
        self.world.run("trust", "add", self.nas, "--key", self.keys["recovery"], env=self.rig)
        self.world.run("remote", "add", "nas", address or self.server.url, env=self.rig)

    def build(self, *options, **more):
        done = self.world.run("build", "words", "--json", "-o", self.dist, *options, env=self.rig, **more)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return events, events[-1]

    def notes(self, events):
        return " ".join(event.get("detail", "") for event in events if event["type"] == "note")

    def fetched(self):
        return [path for path, _ in self.world.server.seen]

    # --- taken ---

    def test_the_whole_bundle_is_taken_and_nothing_fetched(self):
        self.second_rig()
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual(sha256(pathlib.Path(result["bundle"]).read_bytes()), self.result["sha256"])
        self.assertEqual((self.world.built(events), self.fetched()), ([], []))
        self.assertIn("remote nas has the bundle of these very recipes, signed by key " + self.keys["working"], self.notes(events))
        checks = json.loads(pathlib.Path(result["bundle"] + ".checks.json").read_text())
        self.assertEqual((checks[0]["name"], checks[-1]["pulled"]["key"], checks[-1]["pulled"]["audit"]), ("shouts", self.keys["working"], "clean"))
        self.assertTrue(pathlib.Path(result["report"]).is_file())
        self.assertIn("nothing to do", self.world.run("build", "words", "-o", self.dist, env=self.rig).stdout)

    def test_plan_says_pull_and_from_whom(self):
        self.second_rig()
        plan = {row["package"]: row for row in map(json.loads, self.world.run("plan", "words", "--json", env=self.rig).stdout.splitlines())}
        self.assertEqual({name: row["action"] for name, row in plan.items()}, {"libword": "pull", "shout": "pull"})
        self.assertEqual(plan["shout"]["reason"], f"remote nas has it, signed by key {self.keys['working']}")
        self.assertIn("2 from remotes", self.world.run("plan", "words", env=self.rig).stdout)
        self.assertEqual({json.loads(line)["action"] for line in self.world.run("plan", "words", "--json", "--no-remote", env=self.rig).stdout.splitlines()}, {"build"})

    def test_packages_are_taken_before_any_source_and_give_the_same_bundle(self):
        self.second_rig()
        events, result = self.build("--check")
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual([event["subject"] for event in events if event["type"] == "finished" and event.get("detail") == "pulled"], ["libword/1.0", "shout/2.0"])
        self.assertEqual([path for path in self.fetched() if "tools" not in path], [], "no source")
        store = [json.loads(path.read_text()) for path in (self.rig["IRONWHEEL_CACHE"] / "artifacts").glob("*.json")]
        for artifact in store:
            origin = json.loads(artifact["facts"])["origin"]
            self.assertEqual((origin["key"], origin["audit"]), (self.keys["working"], "clean"))
        self.assertEqual(self.world.run("plan", "words", env=self.rig).stdout.count("reuse "), 2)

    def test_the_transcript_in_the_readme(self):
        """The section "Three rigs", line by line, with this test's stack and folders."""
        section = (fixture.ROOT / "README.md").read_text().split("## Three rigs", 1)[1].split("\n## ", 1)[0]
        lines = [line.strip() for line in section.splitlines() if line.startswith("    ")]
        folder, said = self.place.folder / "transcript", {}
        folder.mkdir()
        for line in lines:
            rig, command = line.split("$ ironwheel ")
            for old, new in (("base", "words"), ("/mnt/nas/ironwheel", f"{folder}/nas"), ("-C /opt", f"-C {folder}/opt"), ("--recovery recovery.key", f"--recovery {folder}/recovery.key"),
                             ("0123456789ABCDEF", said.get("key", ""))):
                command = command.replace(old, new)
            env = {"IRONWHEEL_CONFIG": folder / rig, "IRONWHEEL_CACHE": self.world.cache if rig == "fast" else folder / f"cache-{rig}"}
            output = folder / rig / "dist" if rig == "third" else self.world.tree / "dist"
            done = self.world.run(*shlex.split(command), *(["-o", output] if command.startswith("build") else []), env=env)
            if command.startswith("keygen"):
                said["key"] = re.search(r"recovery key\s+([0-9A-F]{16})", done.stdout)[1]
            said[line] = done.stdout + done.stderr
        self.assertEqual(len(lines), 8)
        self.assertIn("it is taken, nothing is built", said[lines[-1]])
        self.assertTrue((folder / "opt/words/bin/shout").exists())

    def test_challenge_compares_what_was_built_here(self):
        self.second_rig()
        self.rig["IRONWHEEL_CACHE"] = self.world.cache
        self.assertEqual(self.world.run("challenge", "words", env=self.rig).stdout, "2 compared, 0 differ\n")
        _, channel = sharing.channel_of(self.nas)
        evil = self.place.folder / f"other{self.number}"
        shutil.copytree(self.nas, evil)
        for entry in channel["artifacts"].values():
            entry["content"]["sha256"] = "0" * 64
        channel["version"] += 1
        text = json.dumps(channel, indent=1, sort_keys=True) + "\n"
        path = evil / f"channels/{self.keys['working']}.json"
        path.write_text(text)
        (evil / "blobs/sha256" / sha256(text.encode())).write_text(text)
        comment = f"ironwheel channel version={channel['version']} issued={channel['issued']} expires={channel['expires']} sha256={sha256(text.encode())} size={len(text)}"
        subprocess.run(["minisign", "-S", "-s", self.config / "working.key", "-m", path, "-t", comment], check=True, stdout=subprocess.DEVNULL)
        self.world.run("remote", "add", "nas", evil, env=self.rig)
        done = self.world.run("challenge", "words", env=self.rig, status=1)
        self.assertIn("2 compared, 2 differ", done.stdout)
        self.assertIn(self.keys["working"], done.stdout)

    # --- not taken ---

    def test_a_dead_remote_is_one_line_and_at_most_ten_seconds(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        for address in ("http://127.0.0.1:9", f"http://127.0.0.1:{silent.getsockname()[1]}", "/mnt/absent", "http://nowhere.invalid"):
            self.rig["IRONWHEEL_CONFIG"] = self.place.folder / f"config-{sha256(address.encode())[:8]}"
            self.second_rig(address)
            began = time.monotonic()
            done = self.world.run("plan", "words", env=self.rig)
            self.assertLess(time.monotonic() - began, 15, address)
            self.assertIn("2 to build", done.stdout)

    def test_what_is_broken_there_is_built_here(self):
        self.second_rig()
        channel = json.loads(next(self.nas.glob("channels/*.json")).read_text())
        bundle = next(iter(channel["bundles"].values()))["file"]["sha256"]
        word = next(entry for entry in channel["artifacts"].values() if entry["package"] == "libword")
        flip = remote.changed(lambda data: data[:-1] + bytes([data[-1] ^ 1]))
        self.server.rules = {f"blobs/sha256/{bundle}": flip, f"blobs/sha256/{word['file']['sha256']}": flip}
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual(self.world.built(events), ["libword"], "shout is taken once libword's bytes are known again")
        self.assertIn("libword isn't taken from remote nas", self.notes(events))
        self.assertIn("the bundle isn't taken from remote nas", self.notes(events))

    def test_a_channel_that_was_changed_is_a_miss(self):
        self.second_rig()
        self.server.rules = {f"channels/{self.keys['working']}.json.minisig": remote.changed(lambda data: data.replace(b"version=1", b"version=2"))}
        done = self.world.run("plan", "words", "-v", env=self.rig)
        self.assertIn("2 to build", done.stdout)

    def test_the_audit_refuses_the_wrong_cpu_and_says_by_whom_it_was_signed(self):
        """An artifact of the right name and key, rightly signed, but compiled with AVX."""
        liar = self.place.folder / f"liar{self.number}"
        env = {"IRONWHEEL_CONFIG": liar / "config", "IRONWHEEL_CACHE": liar / "cache"}
        keys = json.loads(self.world.run("keygen", "--json", "--recovery", liar / "recovery.key", env=env).stdout) if liar.mkdir() is None else None
        shutil.copytree(self.world.cache, liar / "cache", symlinks=True, ignore=shutil.ignore_patterns("toolchains", "tmp", "objects"))
        self.plant_avx(liar)
        refused = self.world.run("push", "words", liar / "nas", "--artifacts", env=env, status=1)
        self.assertIn("instructions that k10 doesn't have", refused.stderr, "push audits, too")

    def plant_avx(self, liar):
        import subprocess
        for record in (liar / "cache/artifacts").glob("*.json"):
            artifact = json.loads(record.read_text())
            if artifact["name"] != "libword":
                continue
            tar = record.with_suffix(".tar.zst")
            work = liar / "work"
            work.mkdir()
            subprocess.run(f"zstd -dcq {tar} | tar -xf - -C {work}", shell=True, check=True)
            (work / "w.c").write_text("typedef float v __attribute__((vector_size(32)));\nv f(v a, v b) { return a * b; }\n")
            subprocess.run(["gcc", "-mavx", "-O2", "-shared", "-fPIC", "-o", work / "lib/libword.so", work / "w.c"], check=True)
            (work / "w.c").unlink()
            raw = subprocess.run(["tar", "--sort=name", "-C", work, "-cf", "-", "."], stdout=subprocess.PIPE, check=True).stdout
            packed = subprocess.run(["zstd", "-q"], input=raw, stdout=subprocess.PIPE, check=True).stdout
            tar.chmod(0o644)
            tar.write_bytes(packed)
            artifact |= {"content": sha256(raw), "file_digest": sha256(packed), "file_size": len(packed), "content_size": len(raw)}
            artifact["seal"] = self.seal(artifact)
            record.chmod(0o644)
            record.write_text(json.dumps(artifact))
            (liar / "cache/index.sqlite").unlink()

    def seal(self, a):
        import hashlib
        whole = hashlib.sha256()
        for name in ("name", "version", "plan_key", "build_key", "content", "file_digest"):
            self.field(whole, name, a[name])
        self.field(whole, "sizes", f"{a['file_size']} {a['content_size']}")
        self.field(whole, "facts", a["facts"])
        return whole.hexdigest()

    def field(self, whole, name, value):
        for text in (name, value):
            data = text.encode()
            whole.update(len(data).to_bytes(8, "little") + data)


if __name__ == "__main__":
    unittest.main()
