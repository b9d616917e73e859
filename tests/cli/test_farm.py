"""Beyond one machine: `build --only`, jobs for make, a box over ssh; with a remote between."""
import json
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import time
import unittest

import fixture
import sharing


def lay_diamond(world):
    """A stack whose middle can be built side by side, in a tree whose name has all that a shell and make read something into. Gives the tree."""
    for name, needs in (("left", "libword"), ("right", "libword"), ("top", "left, right")):
        world.script(name, needs=f"needs:\n  run: [{needs}]\n", install_script=f'mkdir -p "$DESTDIR$PREFIX/share"; ls "$PREFIX/share" > "$DESTDIR$PREFIX/share/{name}" 2>/dev/null || true')
    world.stack("diamond", {"top": "1", "shout": "2.0"}, pins={"libword": "1.0", "left": "1", "right": "1"})
    tree = world.folder / "a tree, 'quoted' $HOME #1"
    world.tree.rename(tree)
    world.tree.symlink_to(tree)
    return tree


class Farm(unittest.TestCase):
    """What the tests below stand on: a tree, a key, a store that has the toolchain, and the stack's bundle as one machine makes it."""
    STACK = "words"

    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        cls.place = sharing.Place()
        cls.addClassCleanup(cls.place.close)
        cls.config = cls.place.folder / "config"
        cls.keys = json.loads(cls.world.run("keygen", "--json", "--recovery", cls.place.folder / "recovery.key", env={"IRONWHEEL_CONFIG": cls.config}).stdout)
        cls.lay()
        cls.events, cls.alone = cls.world.build(cls.STACK)
        cls.number = 0

    @classmethod
    def lay(cls):
        pass

    def setUp(self):
        type(self).number += 1
        self.nas = self.place.folder / f"a nas {self.number}"
        self.world.server.seen.clear()

    def rig(self, name):
        """A store of its own; the toolchain's root is there already: unpacking it is most of the time, and not what is tested."""
        cache = self.world.folder / f"cache-{self.number}-{name}"
        if not cache.exists():
            cache.mkdir()
            subprocess.run(["cp", "-al", self.world.cache / "toolchains", cache], check=True)
        return {"IRONWHEEL_CONFIG": self.config, "IRONWHEEL_CACHE": cache}


class Only(Farm):
    def only(self, rig, package, *options, status=0):
        done = self.world.run("build", "words", "--only", package, "--json", *options, env=self.rig(rig), status=status)
        return {event["type"]: event for event in map(json.loads, done.stdout.splitlines())}, done

    def test_one_package_after_the_other_on_two_rigs(self):
        """Each its own store; what the second needs comes from the place between."""
        said, _ = self.only("one", "libword", "--push-to", self.nas)
        self.assertEqual((said["only"]["outcome"], said["pushed"]["artifacts"]), ("built", 1))
        self.assertFalse(any("shout" in path for path, _ in self.world.server.seen), "nothing of the others was fetched")
        said, _ = self.only("two", "shout/2.0", "--push-to", self.nas)
        self.assertEqual((said["only"]["outcome"], said["pushed"]["artifacts"]), ("built", 1))
        self.assertEqual(sum(path.startswith("/files/libword") for path, _ in self.world.server.seen), 1, "the second rig took the package, and no source of it")
        self.assertEqual({path.name.split(".")[0] for path in (self.rig("two")["IRONWHEEL_CACHE"] / "artifacts").glob("*.json")}, {entry for entry in sharing.channel_of(self.nas)[1]["artifacts"]})
        # again, on either: nothing to do, and no byte is brought
        said, _ = self.only("three", "shout", "--push-to", self.nas)
        self.assertEqual(said["only"]["outcome"], "there")
        self.assertNotIn("pushed", said)
        self.assertFalse(list((self.rig("three")["IRONWHEEL_CACHE"] / "artifacts").glob("*.zst")))
        # the whole, from what is there: the same bundle as of one rig
        done = self.world.run("build", "words", "--json", "--push-to", self.nas, "-o", self.place.folder / "dist-three", env=self.rig("three"))
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(self.world.built(events), [])
        result = next(event for event in events if event["type"] == "result")
        self.assertEqual((result["sha256"], result["tar_sha256"]), (self.alone["sha256"], self.alone["tar_sha256"]))
        self.assertEqual(list(sharing.channel_of(self.nas)[1]["bundles"]), [pathlib.Path(result["bundle"]).name.removesuffix(".tar.zst")])

    def test_what_is_missing_is_named(self):
        for options in ((), ("--push-to", self.nas)):
            _, done = self.only("one", "shout", *options, status=1)
            self.assertIn("shout/2.0 is built on what is neither in the store nor", done.stderr)
            self.assertIn("libword/1.0. `ironwheel build words --only libword` comes first", done.stderr)
        _, done = self.only("one", "shuot", status=1)
        self.assertIn('did you mean "shout"?', done.stderr)
        self.assertFalse(self.world.server.seen, "nothing was fetched for it")

    def test_without_a_key_nothing_is_built(self):
        env = self.rig("one") | {"IRONWHEEL_CONFIG": self.place.folder / "empty"}
        done = self.world.run("build", "words", "--only", "libword", "--push-to", self.nas, env=env, status=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("keygen", done.stderr)
        self.assertEqual(list((env["IRONWHEEL_CACHE"] / "artifacts").glob("*.zst")), [])

    def test_what_was_built_beside_a_failure_is_given(self):
        self.world.script("wreck", compile="echo no such luck >&2; exit 3")
        self.world.stack("half", {"libword": "1.0", "wreck": "1"})
        done = self.world.run("build", "half", "--push-to", self.nas, env=self.rig("one"), status=1)
        self.assertIn("wreck/1 failed in compile", done.stderr)
        self.assertEqual([entry["package"] for entry in sharing.channel_of(self.nas)[1]["artifacts"].values()], ["libword"])

    def test_packages_without_a_bundle(self):
        env = self.rig("one")
        dist = self.place.folder / "no dist"
        self.world.run("build", "words", "--no-bundle", "-o", dist, env=env)
        self.assertFalse(dist.exists())
        self.assertEqual(self.world.run("plan", "words", env=env).stdout.count("reuse "), 2)

    def test_pull_takes_packages_where_they_are_fewer_bytes(self):
        """A rig that has the recipes and most of the packages: the bundle is put together there, and is the one that was signed."""
        self.world.run("push", "words", self.nas, "--artifacts", env=self.rig("one") | {"IRONWHEEL_CACHE": self.world.cache})
        env, opt = self.rig("two"), self.place.folder / f"opt {self.number}"
        self.world.run("build", "words", "--only", "libword", env=env)

        def pull(where, *options):
            done = self.world.run("pull", "words", self.nas, "-C", where, "--json", *options, env=env)
            return [json.loads(line) for line in done.stdout.splitlines()]
        events = pull(opt)
        self.assertEqual(events[-1]["way"], "packages")
        self.assertLess(events[-1]["bytes"], events[-1]["whole"])
        self.assertRegex(" ".join(event.get("detail", "") for event in events), r"to bring \(packages that aren't here; the whole has ")
        whole = pull(self.place.folder / f"whole {self.number}", "--no-delta")
        self.assertEqual(whole[-1]["way"], "whole")
        self.assertEqual(sharing.snapshot(events[-1]["folder"]), sharing.snapshot(whole[-1]["folder"]))
        self.assertEqual(pathlib.Path(events[-1]["folder"]).name, pathlib.Path(whole[-1]["folder"]).name, "the same tar")
        self.assertEqual(pull(opt)[-1]["way"], "nothing")
        # a package that isn't what was signed: told, and the whole is brought
        shutil.rmtree(env["IRONWHEEL_CACHE"])
        env = self.rig("three")
        self.world.run("build", "words", "--only", "libword", env=env)
        shout = next(entry for entry in sharing.channel_of(self.nas)[1]["artifacts"].values() if entry["package"] == "shout")
        blob = self.nas / "blobs/sha256" / shout["file"]["sha256"]
        blob.chmod(0o644)
        blob.write_bytes(blob.read_bytes()[:-1] + b"x")
        events = pull(self.place.folder / f"other {self.number}")
        self.assertEqual(events[-1]["way"], "whole")
        self.assertIn("the whole is brought instead of single packages: package shout couldn't be had", " ".join(event.get("detail", "") for event in events))
        self.assertEqual(sharing.snapshot(events[-1]["folder"]), sharing.snapshot(whole[-1]["folder"]))


class Jobs(Farm):
    """A build as jobs. (What Slurm makes of them: tests/real/farm.list.)"""
    STACK = "diamond"

    @classmethod
    def lay(cls):
        cls.tree = lay_diamond(cls.world)

    def jobs(self, *options, **more):
        return self.world.run("jobs", self.STACK, "-C", self.tree, *options, env=self.rig("jobs"), **more).stdout

    def test_what_is_written(self):
        rows = [json.loads(line) for line in self.jobs("--json", "--remote", self.nas, "--cores", "3").splitlines()]
        self.assertEqual({row["job"]: sorted(row["after"]) for row in rows},
                         {"libword-1.0": [], "shout-2.0": ["libword-1.0"], "left-1": ["libword-1.0"], "right-1": ["libword-1.0"], "top-1": ["left-1", "right-1"],
                          "bundle": ["left-1", "libword-1.0", "right-1", "shout-2.0", "top-1"]})
        self.assertEqual(rows[0]["command"][1:5], ["build", self.STACK, "--only", "libword/1.0"])
        for row in rows:
            self.assertEqual(row["command"][row["command"].index("--push-to") + 1], str(self.nas))
            self.assertLessEqual(row["cores"], 3)
            self.assertGreater(row["memory"], 256)
        self.assertIn("for what? --for make, or --for slurm", self.world.run("jobs", self.STACK, status=2).stderr)
        self.assertIn("line break", self.world.run("jobs", self.STACK, "--for", "make", "--bundles", "/a\nb", status=2).stderr)
        text = self.jobs("--for", "slurm", "--remote", self.nas)
        words = [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("exec ")]
        self.assertEqual([w[1:5] for w in words[:-1]], [row["command"][1:5] for row in rows[:-1]])
        self.assertEqual([w[w.index("-C") + 1] for w in words], [str(self.tree)] * 6)

    def test_measured_cores_and_memory(self):
        """The store that has built it knows how much a compile took, and how many there are."""
        rows = {row["job"]: row for row in (json.loads(line) for line in self.world.run("jobs", self.STACK, "--json", "--cores", "8").stdout.splitlines())}
        self.assertEqual(rows["libword-1.0"]["cores"], 2, "nine compiles")
        self.assertLess(rows["libword-1.0"]["memory"], 256 + 2 * 300, "less than the recipe's default")
        self.assertEqual(rows["left-1"]["cores"], 1)

    def test_make_over_two_stores_gives_the_bytes_of_one(self):
        """Two machines, as far as Ironwheel can tell: each job takes the store that is free."""
        makefile = self.place.folder / "diamond.mk"
        dist = self.place.folder / "dist of all"
        self.jobs("--for", "make", "--remote", self.nas, "-o", makefile, "--bundles", dist)
        stores = [self.rig(name)["IRONWHEEL_CACHE"] for name in ("one", "two")]
        pick = self.place.folder / "pick"
        pick.write_text(f"""#!/bin/sh
            exec 8> {stores[0]}.busy 9> {stores[1]}.busy
            if flock -n 8; then export IRONWHEEL_CACHE={stores[0]}; else flock 9; export IRONWHEEL_CACHE={stores[1]}; fi
            exec {fixture.PROGRAM} "$@" 8>&8 9>&9
            """.replace("\n            ", "\n"))
        pick.chmod(0o755)
        environment = self.world.environment(**self.rig("one"))
        done = subprocess.run(["make", "-j2", "-f", makefile, f"IRONWHEEL={pick}"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        built = [set(json.loads(path.read_text())["name"] for path in (store / "artifacts").glob("*.json")) for store in stores]
        self.assertTrue(built[1], "the second store built, too")
        (bundle,) = dist.glob("*.tar.zst")
        self.assertEqual(fixture.sha256(bundle.read_bytes()), self.alone["sha256"])
        self.assertEqual(sharing.digest_of_tar(bundle), self.alone["tar_sha256"])
        origins = [facts["origin"]["key"] for store in stores for path in (store / "artifacts").glob("*.json") if "origin" in (facts := json.loads(json.loads(path.read_text())["facts"]))]
        self.assertIn(self.keys["working"], origins)
        # and again: nothing to do, whatever store is asked
        again = subprocess.run(["make", "-j2", "-f", makefile], env=self.world.environment(**self.rig("three")), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        self.assertEqual(again.returncode, 0, again.stdout)
        self.assertEqual(again.stdout.count("nothing to do, the remote has it"), 5, again.stdout)
        self.assertIn("it is taken, nothing is built", again.stdout)


class Box(Farm):
    """`build --on ssh://box`, with a real sshd on 127.0.0.1; the box's Ironwheel is a script that may do more than it should."""

    def setUp(self):
        super().setUp()
        self.address, self.ssh, folder = sharing.sshd(self, self.world.folder / f"ssh{self.number}")
        self.box = folder / "box"
        (self.box / "cache").mkdir(parents=True)
        subprocess.run(["cp", "-al", self.world.cache / "toolchains", self.box / "cache"], check=True)
        self.program()

    def program(self, before="", after=""):
        """What stands in the box's PATH; `before` and `after` are done when it is to build."""
        path = self.box / "ironwheel"
        path.write_text(f"#!/bin/sh\nif test \"$1\" != build; then exec {fixture.PROGRAM} \"$@\"; fi\n{before}\n{fixture.PROGRAM} \"$@\" || exit\n{after}\n")
        path.chmod(0o755)

    def build(self, rig="here", address=None, status=0, prepare=True, stack="words"):
        env = self.rig(rig) | self.ssh
        if prepare:
            self.world.run("fetch", stack, env=env)  # then all of it is here, and the box has no network that it could use
        began = time.monotonic()
        done = self.world.run("build", stack, "--json", "--on", address or f"{self.address}{self.box}", "-o", self.place.folder / f"dist-{self.number}-{rig}", env=env, status=status)
        self.took = time.monotonic() - began
        events = [json.loads(line) for line in done.stdout.splitlines()]
        notes = [event["detail"] for event in events if event["type"] == "note" and event["subject"].startswith("ssh://")]
        there = [event["subject"].split("/")[0] for event in events if event["type"] == "finished" and event.get("detail") == "built there"]
        return events, there, notes

    def same(self, events):
        self.assertEqual((events[-1]["sha256"], events[-1]["tar_sha256"]), (self.alone["sha256"], self.alone["tar_sha256"]))

    def test_the_box_builds_and_this_rig_packs(self):
        events, there, notes = self.build()
        self.assertEqual((there, self.world.built(events), notes), (["libword", "shout"], [], []))
        self.same(events)
        for path in (self.rig("here")["IRONWHEEL_CACHE"] / "artifacts").glob("*.json"):
            origin = json.loads(json.loads(path.read_text())["facts"])["origin"]
            self.assertTrue(origin["remote"].startswith(self.address))
            self.assertEqual(origin["audit"], "clean")
        self.assertEqual(list((self.box / "runs").iterdir()), [], "nothing of the run is left, its key least of all")
        # a second rig that has built one of the two: that goes there, and comes from the box's own store else
        shutil.rmtree(self.box / "cache/artifacts")
        (self.box / "cache/index.sqlite").unlink()
        self.only_libword("second")
        events, there, notes = self.build("second", prepare=False)
        self.assertEqual((there, self.world.built(events), notes), (["shout"], [], []))
        self.same(events)

    def test_what_is_only_built_with_comes_too(self):
        """Else it would be built here, and only then be seen that nothing needs it."""
        self.world.script("chisel", install_script='mkdir -p "$DESTDIR$PREFIX/share"; echo chisel > "$DESTDIR$PREFIX/share/chisel"')
        self.world.script("statue", needs="needs:\n  build: [chisel]\n", install_script='mkdir -p "$DESTDIR$PREFIX/share"; cat "$PREFIX/share/chisel" > "$DESTDIR$PREFIX/share/statue"')
        self.world.stack("carved", {"statue": "1"}, pins={"chisel": "1"})
        events, there, notes = self.build(stack="carved")
        self.assertEqual((there, self.world.built(events), notes), (["chisel", "statue"], [], []))
        rows = [json.loads(line) for line in self.world.run("plan", "carved", "--json", env=self.rig("here")).stdout.splitlines()]
        self.assertEqual({row["package"]: row["action"] for row in rows if "package" in row}, {"chisel": "reuse", "statue": "reuse"})

    def only_libword(self, rig):
        self.world.run("fetch", "words", env=self.rig(rig))
        self.world.run("build", "words", "--only", "libword", env=self.rig(rig))

    def test_a_box_that_is_off_or_silent_or_lacks_the_program(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            off = probe.getsockname()[1]
        for name, address, why in (("off", f"ssh://127.0.0.1:{off}/x", "refused"), ("silent", f"ssh://127.0.0.1:{silent.getsockname()[1]}/x", "")):
            events, there, notes = self.build(name, address)
            self.assertEqual((there, self.world.built(events), len(notes)), ([], ["libword", "shout"], 1), notes)
            self.assertIn(why, notes[0])
            self.assertIn("what is missing is built here", notes[0])
            self.assertLess(self.took, 60)
            self.same(events)
        (self.box / "ironwheel").unlink()
        self.ssh["IRONWHEEL_SSH"] += f" -o SetEnv=PATH={self.box}"
        events, there, notes = self.build("lacks", prepare=False)
        self.assertRegex(notes[0], "neither in its PATH nor at|it is built here|built here")
        self.same(events)

    def test_a_box_that_drops_out_in_the_middle(self):
        self.program(before="kill -9 $(ps -o ppid= -p $PPID)")  # the sshd of this connection
        events, there, notes = self.build()
        self.assertEqual((there, self.world.built(events), len(notes)), ([], ["libword", "shout"], 1), notes)
        self.same(events)

    def test_a_box_that_builds_a_part(self):
        """That is taken, though the box ended with a failure."""
        self.program(before=f'{fixture.PROGRAM} "$@" --only libword; echo the disk is full >&2; exit 1')
        events, there, notes = self.build()
        self.assertEqual((there, self.world.built(events)), (["libword"], ["shout"]))
        self.assertEqual(notes, [f"{self.address}{self.box}: the disk is full (exit status 1); what is missing is built here"])
        self.same(events)

    def test_a_box_that_lies(self):
        """Rightly signed by the run's key, but of AVX."""
        tamper = self.place.folder / f"tamper{self.number}.py"
        tamper.write_text(f"""import os, pathlib, subprocess, sys
sys.path.insert(0, {str(pathlib.Path(__file__).resolve().parent)!r})
import sharing
config = pathlib.Path(os.environ["IRONWHEEL_CONFIG"])
shared = config.parent / "shared"
def change(document):
    word = next(entry for entry in document["artifacts"].values() if entry["package"] == "libword")
    work = config.parent / "work"
    work.mkdir()
    subprocess.run(f"zstd -dcq --long=27 {{shared}}/blobs/sha256/{{word['file']['sha256']}} | tar -xf - -C {{work}}", shell=True, check=True)
    (config.parent / "avx.c").write_text("typedef float v __attribute__((vector_size(32)));\\nv f(v a, v b) {{ return a * b; }}\\n")
    subprocess.run(["gcc", "-mavx", "-O2", "-shared", "-fPIC", "-o", work / "lib/libword.so", config.parent / "avx.c"], check=True)
    raw = subprocess.run(["tar", "--sort=name", "--format=ustar", "-C", work, "-cf", "-", *sorted(one.name for one in work.iterdir())], stdout=subprocess.PIPE, check=True).stdout
    packed = subprocess.run(["zstd", "-q"], input=raw, stdout=subprocess.PIPE, check=True).stdout
    word |= {{"file": sharing.put_blob(shared, packed), "content": {{"sha256": sharing.sha256(raw), "size": len(raw)}}}}
sharing.resign(config, shared, change)
""")
        self.program(after=f"exec python3 -B {tamper}")
        events, there, notes = self.build()
        self.assertEqual((there, self.world.built(events)), (["libword", "shout"], ["libword", "shout"]))
        said = " ".join(event.get("detail", "") for event in events if event["type"] == "note")
        self.assertRegex(said, r"libword isn't taken from remote ssh://\S+: signed by key [0-9A-F]{16}, but refused by the audit here")
        self.same(events)

    def test_stopping_here_stops_there(self):
        started, stopped = self.box / "started", self.box / "stopped"
        self.program(before=f"trap 'echo > {stopped}; exit 1' TERM\necho > {started}\nwhile :; do sleep 0.1; done")
        process = subprocess.Popen([fixture.PROGRAM, "build", "words", "--on", f"{self.address}{self.box}", "-o", str(self.place.folder / "dist")], cwd=self.world.tree,
                                   env=self.world.environment(**self.rig("here"), **self.ssh), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # ignored where the tests run in the background
        for _ in range(600):
            if started.exists():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, said)
        for _ in range(50):
            if stopped.exists():
                break
            time.sleep(0.1)
        self.assertTrue(stopped.exists())
        self.assertEqual(list((self.box / "runs").iterdir()), [])

    def test_what_is_no_box(self):
        for options in (("--on", "https://host/x"), ("--on", self.address, "--only", "libword"), ("--on", self.address, "--no-sandbox")):
            self.world.run("build", "words", *options, env=self.rig("here") | self.ssh, status=2)


if __name__ == "__main__":
    unittest.main()
