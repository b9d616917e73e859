"""`build` and `plan` with remotes: what is taken, what isn't, and that nothing of it ever breaks a build."""
import base64
import concurrent.futures
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
from sharing import Silent

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import registry  # noqa: E402
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
        self.assertRegex(pathlib.Path(result["report"]).read_text(), f"The bundle was pulled from <code>[^<]*</code>, [^<]*, signed by key <code>{self.keys['working']}</code>; audited here: clean\\.")
        self.assertIn("nothing to do", self.world.run("build", "words", "-o", self.dist, env=self.rig).stdout)

    def test_a_registry_is_a_remote_like_any_other(self):
        server = registry.Registry(auth="token")
        self.addCleanup(server.close)
        login = self.place.folder / "auth.json"
        login.write_text(json.dumps({"auths": {server.host: {"auth": base64.b64encode(server.login.encode()).decode()}}}))
        self.world.run("push", "words", server.place(), "--artifacts", env=self.env | {"REGISTRY_AUTH_FILE": login})
        for options, pulled in (((), []), (("--check",), ["libword/1.0", "shout/2.0"])):
            self.setUp()
            self.second_rig(server.place())
            events, result = self.build(*options)
            self.assertEqual((result["sha256"], self.world.built(events), [path for path in self.fetched() if "tools" not in path]), (self.result["sha256"], [], []))
            self.assertEqual([event["subject"] for event in events if event["type"] == "finished" and event.get("detail") == "pulled"], pulled)

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
        # where it came from: beside the bundle and in the report, not in it
        checks = json.loads(pathlib.Path(result["bundle"] + ".checks.json").read_text())
        pulled = [row["pulled"] for row in checks if "pulled" in row]
        self.assertEqual([(row["package"], row["package_version"], row["remote"], row["key"], row["audit"]) for row in pulled],
                         [(name, version, self.server.url, self.keys["working"], "clean") for name, version in (("libword", "1.0"), ("shout", "2.0"))])
        page = pathlib.Path(result["report"]).read_text()
        self.assertEqual(page.count(f"signed by key <code>{self.keys['working']}</code>; audited here: clean."), 2)
        self.assertEqual(page.count('<span class="tag">pulled</span>'), 2)
        self.assertNotIn(self.keys["working"].encode(), subprocess.run(["zstd", "-dcq", result["bundle"]], stdout=subprocess.PIPE, check=True).stdout)
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
        evil = self.place.folder / f"other{self.number}"
        shutil.copytree(self.nas, evil)

        def lie(document):
            for entry in document["artifacts"].values():
                entry["content"]["sha256"] = "0" * 64
        sharing.resign(self.config, evil, lie)
        self.world.run("remote", "add", "nas", evil, env=self.rig)
        done = self.world.run("challenge", "words", env=self.rig, status=1)
        self.assertIn("2 compared, 2 differ", done.stdout)
        self.assertIn(self.keys["working"], done.stdout)

    def test_challenge_builds_again_and_names_the_files_that_differ(self):
        self.second_rig()
        self.rig["IRONWHEEL_CACHE"] = self.world.cache
        (said,) = map(json.loads, self.world.run("challenge", "words", "shout", "--json", env=self.rig).stdout.splitlines()[-1:])
        self.assertEqual((said["package"], said["again"], said["same"], said["files"]), ("shout", True, True, []))

        def change(liar, document):
            word = next(entry for entry in document["artifacts"].values() if entry["package"] == "libword")
            raw, packed = self.with_avx(liar, word["file"]["sha256"], "lib/libword.so")
            word |= {"file": sharing.put_blob(liar, packed), "content": {"sha256": sha256(raw), "size": len(raw)}}
        self.world.run("remote", "remove", "nas", env=self.rig)
        liar = self.place.folder / f"lies{self.number}"
        shutil.copytree(self.nas, liar)
        sharing.resign(self.config, liar, lambda document: change(liar, document))
        self.world.run("remote", "add", "liar", liar, env=self.rig)
        done = self.world.run("challenge", "words", "libword", env=self.rig, status=1)
        self.assertIn(f"libword 1.0: built again, another than of key {self.keys['working']} at liar\n  lib/libword.so\n1 compared, 1 differ\n", done.stdout)
        self.assertEqual(list((self.world.cache / "tmp").glob("again-*")), [])
        self.assertIn("has no package", self.world.run("challenge", "words", "absent", env=self.rig, status=1).stderr)

    def test_sources_that_a_remote_has_are_taken_from_there(self):
        """`push --sources`: no other place is asked for a source or the toolchain; what is damaged there comes from where it always did."""
        place = self.place.folder / f"sources{self.number}"
        file = pathlib.Path(self.result["bundle"])
        self.world.run("push", file, place, env=self.env)  # without its key: so that it isn't taken whole
        self.world.run("push", "words", place, "--sources", "-o", self.place.folder / "nothing here", "--wheels", env=self.env, status=None)
        self.assertTrue((place / "sources/index.json").is_file())
        (place / "channels").rename(place / "channels.hidden")
        (place / "channels").mkdir()
        server = remote.Remote(place)
        self.addCleanup(server.close)
        self.second_rig(server.url)
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual(sorted(self.world.built(events)), ["libword", "shout"])
        self.assertEqual([path for path in self.fetched() if "checks" not in path], [])
        self.assertTrue([path for _, path, _ in server.seen if path.startswith("sources/by-sha256/")])
        # damaged
        self.rig = {"IRONWHEEL_CONFIG": self.rig["IRONWHEEL_CONFIG"], "IRONWHEEL_CACHE": self.place.folder / f"cache{self.number}again"}
        server.rules = {path: remote.changed(lambda data: data[:-1] + bytes([data[-1] ^ 1])) for _, path, _ in server.seen if path.startswith("sources/by-sha256/")}
        _, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertTrue(self.fetched())

    # --- not taken ---

    def test_a_withdrawn_package_is_built_here(self):
        place = self.place.folder / f"withdrawn{self.number}"
        shutil.copytree(self.nas, place)
        self.second_rig(place)
        self.world.run("withdraw", "libword/1.0", place, "--why", "it shouts", env=self.env)
        self.world.run("withdraw", next(iter(sharing.channel_of(place)[1]["bundles"])), place, "--why", "it shouts", env=self.env)
        plan = {row["package"]: row["action"] for row in map(json.loads, self.world.run("plan", "words", "--json", env=self.rig).stdout.splitlines())}
        self.assertEqual(plan["libword"], "build")
        events, _ = self.build()
        self.assertEqual(self.world.built(events), ["libword"])

    def test_a_dead_remote_is_one_line_and_asked_once(self):
        """Each is dead in its own way, all at the same time: no answer, no connection, no TLS, an answer that never ends (A11, F5, F6). What is counted: connections, and lines that say so."""
        silent, secure, full = Silent(), Silent(), socket.create_server(("127.0.0.1", 0), backlog=0)
        slow = {"headers": remote.Remote(self.nas), "body": remote.Remote(self.nas), "every answer": remote.Remote(self.nas)}
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:  # a queue that is full drops what comes: a black hole
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        for one in (silent, secure, full, *slow.values(), *crowd):
            self.addCleanup(one.close)
        slow["headers"].rules = {"*": remote.slow_headers}
        slow["body"].rules = {"*": remote.slow(0, 1, 1, give_up=20)}
        slow["every answer"].rules = {"*": remote.slow(3.4, 100000, 0)}
        dead = {"silent": f"http://127.0.0.1:{silent.port}", "tls": f"https://127.0.0.1:{secure.port}", "full": f"http://127.0.0.1:{full.getsockname()[1]}", "closed": "http://127.0.0.1:9",
                "folder": "/mnt/absent", "dns": "http://nowhere.invalid", **{name: server.url for name, server in slow.items()}}
        with concurrent.futures.ThreadPoolExecutor(len(dead)) as pool:
            said = dict(zip(dead, pool.map(self.plan_with, dead, dead.values())))
        for name, (seconds, done) in said.items():
            with self.subTest(name):
                self.assertIn("2 to build", done.stdout)
                self.assertEqual((done.stdout + done.stderr).count("nothing is taken from remote nas in this run"), 1, done.stdout + done.stderr)
                self.assertLess(seconds, 20, "ten, on a machine that does nothing else")
        self.assertEqual((silent.count, secure.count), (1, 1))
        self.assertEqual(len(slow["headers"].seen), 1)
        self.assertLess(len(slow["every answer"].seen), 4, "eight seconds for all small files together")

    def plan_with(self, name, address):
        rig = {"IRONWHEEL_CONFIG": self.place.folder / f"dead-{name.replace(' ', '-')}", "IRONWHEEL_CACHE": self.place.folder / f"dead-cache-{name.replace(' ', '-')}"}
        self.world.run("trust", "add", self.nas, "--key", self.keys["recovery"], env=rig)
        self.world.run("remote", "add", "nas", address, env=rig)
        began = time.monotonic()
        done = self.world.run("plan", "words", "-v", env=rig)
        return time.monotonic() - began, done

    def test_a_remote_that_dies_later_is_left_after_two_failures(self):
        """The channel is there, the blobs hang: one try for the bundle, one for the packages; and the build has the same bytes (F6)."""
        self.second_rig()
        self.server.rules = {f"blobs/sha256/{entry['file']['sha256']}": remote.slow(6, 100000, 0) for entry in self.offers()}
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual(sorted(self.world.built(events)), ["libword", "shout"])
        self.assertEqual(self.notes(events).count("nothing is taken from remote nas in this run: it failed twice"), 1)
        asked = [path for _, path, _ in self.server.seen if path in self.server.rules]
        self.assertEqual(len(asked), len(set(asked)), "nothing twice")

    def test_f2_a_full_disk_ends_the_build_and_leaves_a_sound_store(self):
        """At every write of the store while packages come from a remote: the cause is named, nothing is built in their place, and with room again the same command goes on."""
        library, count = self.place.folder / "faults.so", self.place.folder / "writes"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, fixture.ROOT / "tests/servers/faults.c"], check=True)
        command = ("build", "words", "--no-bundle", "--json")

        def fresh():
            shutil.rmtree(self.rig["IRONWHEEL_CACHE"], ignore_errors=True)
            shutil.rmtree(self.rig["IRONWHEEL_CONFIG"] / "seen", ignore_errors=True)
        self.second_rig()
        self.world.run(*command, env=self.rig | {"LD_PRELOAD": library, "FAULT_COUNT": count})
        writes, ended = int(count.read_text()), 0
        self.assertGreater(writes, 20)
        for full in range(1, writes + 1):
            fresh()
            done = self.world.run(*command, status=None, env=self.rig | {"LD_PRELOAD": library, "FAULT_FULL": str(full)})
            events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
            self.assertEqual(self.world.built(events), [], f"write {full}")
            if done.returncode:
                ended += 1
                self.assertRegex(done.stdout + done.stderr, "(?i)no space left|disk is full", f"write {full}")
            self.world.run(*command, env=self.rig)
            self.world.run("cache", "--verify", env=self.rig)
        self.assertGreater(ended, writes // 2)
        _, result = self.build("--check")
        self.assertEqual(result["sha256"], self.result["sha256"])

    def offers(self):
        _, channel = sharing.channel_of(self.nas)
        return [*channel["bundles"].values(), *channel["artifacts"].values()]

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

    def lies(self, change):
        """A place whose channel is rightly signed, and false."""
        liar = self.place.folder / f"lies{self.number}"
        shutil.copytree(self.nas, liar)
        sharing.resign(self.config, liar, lambda document: change(liar, document))
        self.second_rig(liar)
        return liar

    def test_the_audit_refuses_the_wrong_cpu_and_says_by_whom_it_was_signed(self):
        """A package, and a bundle, of the right name and key, rightly signed, but compiled with AVX: both are refused by this rig's own audit, and built."""
        def change(liar, document):
            word = next(entry for entry in document["artifacts"].values() if entry["package"] == "libword")
            raw, packed = self.with_avx(liar, word["file"]["sha256"], "lib/libword.so")
            word |= {"file": sharing.put_blob(liar, packed), "content": {"sha256": sha256(raw), "size": len(raw)}}
            (offer,) = document["bundles"].values()
            raw, packed = self.with_avx(liar, offer["file"]["sha256"], f"{pathlib.Path(self.result['bundle']).name.removesuffix('.tar.zst')}/lib/libword.so")
            offer |= {"file": sharing.put_blob(liar, packed), "tar": {"sha256": sha256(raw), "size": len(raw)}}
        self.lies(change)
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"], "the true bytes")
        self.assertEqual(self.world.built(events), ["libword"])
        said = f"signed by key {self.keys['working']}, but refused by the audit here: 1 of its files hold instructions that k10 doesn't have: "
        self.assertIn(f"libword isn't taken from remote nas: {said}lib/libword.so", self.notes(events))
        self.assertRegex(self.notes(events), f"the bundle isn't taken from remote nas: {said}\\S+/lib/libword.so")
        evil = [json.loads(path.read_text()) for path in (self.rig["IRONWHEEL_CACHE"] / "artifacts").glob("*.json")]
        self.assertEqual(sorted((one["name"], "origin" in json.loads(one["facts"])) for one in evil), [("libword", False), ("shout", True)])

    def test_one_package_in_the_place_of_another(self):
        """Rightly signed, and still not what it is called (A8): of another package, another CPU, another version; and a bundle under a foreign key."""
        def change(liar, document):
            word, shout = (next(entry for entry in document["artifacts"].values() if entry["package"] == name) for name in ("libword", "shout"))
            word |= {name: shout[name] for name in ("file", "content", "record")}
            shout["profile"] = "core2"
            document["bundles"] = {}
        self.lies(change)
        events, result = self.build()
        self.assertEqual(result["sha256"], self.result["sha256"])
        self.assertEqual(self.world.built(events), ["libword", "shout"])
        self.assertIn("libword isn't taken from remote nas: its record isn't one of libword 1.0", self.notes(events))

    def test_push_audits_too(self):
        liar = self.place.folder / f"liar{self.number}"
        env = {"IRONWHEEL_CONFIG": liar / "config", "IRONWHEEL_CACHE": liar / "cache"}
        liar.mkdir()
        self.world.run("keygen", "--recovery", liar / "recovery.key", env=env)
        shutil.copytree(self.world.cache, liar / "cache", symlinks=True, ignore=shutil.ignore_patterns("toolchains", "tmp", "objects"))
        self.plant_avx(liar)
        refused = self.world.run("push", "words", liar / "nas", "--artifacts", env=env, status=1)
        self.assertIn("instructions that k10 doesn't have", refused.stderr)

    def with_avx(self, folder, blob, path):
        """That blob with a library of AVX at the path: tar, and packed."""
        work = folder / f"work-{sha256(path.encode())[:8]}"
        work.mkdir()
        subprocess.run(f"zstd -dcq --long=27 {folder}/blobs/sha256/{blob} | tar -xf - -C {work}", shell=True, check=True)
        return self.pack_avx(work, path)

    def pack_avx(self, work, path):
        source = work.with_suffix(".c")
        source.write_text("typedef float v __attribute__((vector_size(32)));\nv f(v a, v b) { return a * b; }\n")
        subprocess.run(["gcc", "-mavx", "-O2", "-shared", "-fPIC", "-o", work / path, source], check=True)
        raw = subprocess.run(["tar", "--sort=name", "--format=ustar", "-C", work, "-cf", "-", *sorted(one.name for one in work.iterdir())], stdout=subprocess.PIPE, check=True).stdout
        return raw, subprocess.run(["zstd", "-q"], input=raw, stdout=subprocess.PIPE, check=True).stdout

    def plant_avx(self, liar):
        for record in (liar / "cache/artifacts").glob("*.json"):
            artifact = json.loads(record.read_text())
            if artifact["name"] != "libword":
                continue
            tar = record.with_suffix(".tar.zst")
            work = liar / "work"
            work.mkdir()
            subprocess.run(f"zstd -dcq {tar} | tar -xf - -C {work}", shell=True, check=True)
            raw, packed = self.pack_avx(work, "lib/libword.so")
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
