"""From recipes to a bundle, with a server and a compiler of this host alone."""
import json
import pathlib
import re
import shutil
import subprocess
import time
import unittest

import fixture
from fixture import sha256


class Build(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        cls.before = cls.world.plan()
        cls.events, cls.result = cls.world.build()

    def unpack(self, name, result=None):
        where = self.world.folder / name
        self.world.run("unpack", (result or self.result)["bundle"], where)
        return where

    # --- the way to a bundle ---

    def test_the_plan_said_what_would_be_built(self):
        self.assertEqual({name: row["action"] for name, row in self.before.items()}, {"libword": "build", "shout": "build"})
        self.assertEqual(set(self.before["shout"]) & {"package", "version", "action", "reason", "key"}, {"package", "version", "action", "reason", "key"})
        self.assertIn("never built", self.before["libword"]["reason"])

    def test_both_were_built_and_the_result_comes_last(self):
        self.assertEqual(self.world.built(self.events), ["libword", "shout"])
        self.assertEqual(self.result["type"], "result")
        self.assertEqual(sha256(pathlib.Path(self.result["bundle"]).read_bytes()), self.result["sha256"])
        self.assertRegex(pathlib.Path(self.result["bundle"]).name, r"^words-1-k10-glibc2\.\d+-cp311\.tar\.zst$")

    def test_the_mirror_was_asked_after_the_first_address(self):
        asked = [path for path, _ in self.world.server.seen if "libword" in path]
        self.assertEqual(asked[:2], ["/gone/libword-1.0.tar.gz", "/files/libword-1.0.tar.gz"])

    def test_nothing_to_do_is_said_at_once(self):
        done = self.world.run("build", "words")
        self.assertIn("nothing to do", done.stdout)
        self.assertIn(self.result["sha256"], done.stdout)
        self.assertEqual({row["action"] for row in self.world.plan().values()}, {"reuse"})

    def test_the_bundle_runs_elsewhere(self):
        where = self.unpack("röm ing/spaced out")
        self.assertEqual(subprocess.run([where / "bin/shout"], stdout=subprocess.PIPE, text=True, env={}).stdout, "wheel! 0\n")
        self.assertFalse((where / "include").exists(), "development files stay out")
        self.assertNotIn(b"/opt/iw-prefix", (where / "bin/shout").read_bytes())

    def test_no_avx_got_in_and_the_log_says_so(self):
        where = self.unpack("avx")
        for file in ("bin/shout", "lib/libword.so"):
            text = subprocess.run(["objdump", "-d", where / file], stdout=subprocess.PIPE, text=True).stdout
            self.assertEqual(re.findall(r"\tv[a-z]+[sp][sd]\s", text), [], file)
        notes = " ".join(event["detail"] for event in self.events if event["type"] == "note")
        for flag in ("-mavx2", "-march=haswell", "-mavx512f", "-march=native"):
            self.assertIn(flag, notes)

    def test_the_check_ran_under_the_emulated_cpu(self):
        checks = json.loads(pathlib.Path(self.result["bundle"] + ".checks.json").read_text())
        self.assertEqual([(check["package"], check["name"], check["passed"]) for check in checks], [("shout", "shouts", True)])
        self.assertIn("qemu", checks[0]["how"])

    def test_logs_can_be_read(self):
        self.assertIn("part3.c", self.world.run("log", "libword", "compile").stdout)
        path = self.world.run("log", "shout", "--path").stdout.strip()
        self.assertTrue(pathlib.Path(path).is_file())
        self.assertIn("no log of nonesuch", self.world.run("log", "nonesuch", status=1).stderr)

    def test_a_terminal_obeys_no_line_of_a_log(self):
        log = pathlib.Path(self.world.run("log", "shout", "--path").stdout.strip())
        said = "  made\x1b]0;x\x07 \x1b[31mred\x1b[0m\n10 %\r99 %\n\x08\x9b31m\n"
        log.write_text(said)
        self.assertRegex(self.world.on_terminal("log", "shout").decode(), r"\n  made red\r\n99 %\r\n\\x08\\u009b31m\r\n$")
        self.assertEqual(self.world.run("log", "shout").stdout, said.replace("\r", "\n"), "as it is into a pipe")

    def test_why_names_who_needs_it(self):
        text = self.world.run("why", "libword", "--stack", "words").stdout
        self.assertIn("shout", text)

    def test_pack_gives_the_same_bytes(self):
        done = self.world.run("pack", "words", "--json", "--output", self.world.folder / "again")
        again = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual(again["sha256"], self.result["sha256"])
        self.assertEqual(self.world.run("diff", self.result["bundle"], again["bundle"]).returncode, 0)

    def test_a_second_place_gives_the_same_bytes(self):
        other = self.world.folder / "another place" / "tree"
        shutil.copytree(self.world.tree, other)
        env = {"IRONWHEEL_CACHE": self.world.folder / "another cache", "HOME": "/nonexistent", "LC_ALL": "C", "USER": "someone", "TZ": "Asia/Tokyo",
               "OPENBLAS_CORETYPE": "HASWELL", "CFLAGS": "-O0 -mavx", "MAKEFLAGS": "-j7"}
        done = self.world.run("build", "words", "--json", "-j1", cwd=other, env=env)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["sha256"], self.result["sha256"])

    def test_unpack_refuses_what_was_changed(self):
        changed = self.world.folder / "changed.tar.zst"
        data = bytearray(pathlib.Path(self.result["bundle"]).read_bytes())
        data[len(data) // 2] ^= 1
        changed.write_bytes(data)
        changed.with_name("changed.tar.zst.sha256").write_text(f"{self.result['sha256']}  changed.tar.zst\n")
        done = self.world.run("unpack", changed, self.world.folder / "never", status=1)
        self.assertIn("expected " + self.result["sha256"], done.stderr)
        self.assertFalse((self.world.folder / "never").exists())

    def test_its_identity_is_that_of_the_uncompressed_tar(self):
        bundle = pathlib.Path(self.result["bundle"])
        raw = subprocess.run(["zstd", "-dcq", str(bundle)], stdout=subprocess.PIPE, check=True).stdout
        tar = sha256(raw)
        self.assertEqual(self.result["tar_sha256"], tar)
        self.assertEqual(bundle.with_suffix(".sha256").read_text(), f"{tar}  {bundle.with_suffix('').name}\n")
        self.assertIn(tar, pathlib.Path(self.result["report"]).read_text())
        self.assertIn(tar, self.world.run("build", "words").stdout)
        other = self.world.folder / "other.tar.zst"  # the same, compressed elsewhere
        other.write_bytes(subprocess.run(["zstd", "-1", "-cq"], input=raw, stdout=subprocess.PIPE, check=True).stdout)
        self.assertNotEqual(other.read_bytes(), bundle.read_bytes())
        self.world.run("unpack", other, self.world.folder / "by tar", "--sha256", tar)
        self.world.run("unpack", other, self.world.folder / "never", "--sha256", self.result["sha256"], status=1)
        other.with_suffix(".sha256").write_text(f"{'0' * 64}  other.tar\n")
        self.assertIn("is not what was packed", self.world.run("unpack", other, self.world.folder / "never", status=1).stderr)

    def test_diff_names_what_differs(self):
        a, b = self.unpack("diff a"), self.world.folder / "changed b.tar.zst"
        (a / "README.txt").write_text("other")
        subprocess.run(f'cd "{a.parent}" && mv "diff a" top && tar -cf - top | zstd -q > "{b}" && rm -r top', shell=True, check=True)
        done = self.world.run("diff", self.result["bundle"], b, status=1)
        self.assertIn("README.txt", done.stdout)


class PassedChecks(unittest.TestCase):
    """What passed in an environment isn't run again there, until its bundle is written."""

    def setUp(self):
        self.world = fixture.World()
        self.addCleanup(self.world.close)
        self.world.stack("checked", {"two": "1"})

    def lay(self, second, word="one"):
        self.world.script("two", install_script=f"mkdir -p $DESTDIR$PREFIX/share; echo {word} > $DESTDIR$PREFIX/share/word", more=f"""\
            checks:
              - name: first
                shell: test -s "$IRONWHEEL_ENVIRONMENT/share/word"
              - name: second
                shell: {second}
            """)

    def check(self, status=0):
        """The checks that ran, the notes, the result."""
        events, result = self.world.build("checked", status=status)
        ran = [event["part"] for event in events if event["type"] == "started" and event.get("phase") == "check"]
        return sorted(ran), " ".join(event["detail"] for event in events if event["type"] == "note"), result

    def test_after_a_failure(self):
        self.lay("exit 3")
        ran, _, _ = self.check(status=1)
        self.assertEqual(ran, ["first", "second"])
        ran, notes, _ = self.check(status=1)
        self.assertEqual(ran, ["second"])
        self.assertIn("1 of 2 checks passed in this very environment before", notes)
        self.lay("true")
        ran, _, result = self.check()
        self.assertEqual(ran, ["second"])
        rows = json.loads(pathlib.Path(result["bundle"] + ".checks.json").read_text())
        self.assertEqual([(row["name"], row["passed"]) for row in rows], [("first", True), ("second", True)])
        self.assertTrue(all(row["how"].startswith("qemu") and row["unseen"] for row in rows))
        self.assertEqual(list((self.world.cache / "history/checks").iterdir()), [])
        self.assertEqual(len([line for line in self.world.run("verify", result["bundle"], "--json").stdout.splitlines() if '"phase":"check"' in line and '"started"' in line]), 2)

    def test_after_a_kill(self):
        self.lay("exec sleep 600")
        running = subprocess.Popen([fixture.PROGRAM, "build", "checked"], cwd=self.world.tree, env=self.world.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while not list(self.world.cache.glob("history/checks/*/*.json")) and time.monotonic() < until:
            time.sleep(0.05)
        running.kill()
        running.wait()
        self.lay("true")
        ran, _, _ = self.check()
        self.assertEqual(ran, ["second"])

    def test_another_environment_has_passed_nothing(self):
        self.lay("exit 3")
        self.check(status=1)
        self.lay("exit 3", word="other")
        ran, notes, _ = self.check(status=1)
        self.assertEqual(ran, ["first", "second"])
        self.assertNotIn("aren't run again", notes)
        for file in self.world.cache.glob("history/checks/*/*.json"):
            file.write_text("{")  # a damaged one is none
        ran, _, _ = self.check(status=1)
        self.assertEqual(ran, ["first", "second"])


class NoSandbox(unittest.TestCase):
    """The host's own tools, where no sandbox can be had."""

    @classmethod
    def setUpClass(cls):
        cls.world = world = fixture.World()
        cls.addClassCleanup(world.close)
        world.script("quiet", needs="needs:\n  run: [libword]\n", compile="""
            printf '#include <word.h>\\n#include <stdio.h>\\nint main(void) { return puts(word()) < 0; }\\n' > quiet.c
            $CC -mavx2 -march=native -O2 $CPPFLAGS -o quiet quiet.c $LDFLAGS -lword
            """.replace("$CC", "gcc"), install_script="install -D -m 755 quiet $DESTDIR$PREFIX/bin/quiet", more="""\
            checks:
              - name: says-it
                shell: test "$("$IRONWHEEL_ENVIRONMENT/bin/quiet")" = wheel
            """)
        world.stack("plain", {"quiet": "1"}, pins={"libword": "1.0"})
        cls.plan = world.plan("plain", "--no-sandbox")
        cls.events, cls.result = world.build("plain", "--no-sandbox", "-o", str(world.folder / "by host"), env={"CFLAGS": "-mavx", "OPENBLAS_CORETYPE": "HASWELL"})

    def manifest(self, result, name):
        where = self.world.folder / name
        self.world.run("unpack", result["bundle"], where)
        return where, json.loads((where / "manifest.json").read_text())

    def test_it_is_recorded_and_said(self):
        _, manifest = self.manifest(self.result, "recorded")
        self.assertIs(manifest["sandboxed"], False)
        self.assertEqual(manifest["toolchain"]["name"], "host")
        self.assertIn("gcc", manifest["toolchain"]["tools"])
        self.assertTrue(any("no sandbox" in event.get("detail", "") for event in self.events if event["type"] == "note"))

    def test_nothing_of_it_is_ever_taken_for_a_sandboxed_build(self):
        boxed = self.world.plan("plain")
        self.assertEqual({row["action"] for row in boxed.values()}, {"build"})
        self.assertFalse({row["key"] for row in boxed.values()} & {row["key"] for row in self.plan.values()})
        self.assertEqual({row["action"] for row in self.world.plan("plain", "--no-sandbox").values()}, {"reuse"})
        _, result = self.world.build("plain", "-o", str(self.world.folder / "boxed"))
        self.assertIs(self.manifest(result, "in the box")[1]["sandboxed"], True)

    def test_it_runs_elsewhere_and_holds_no_path_of_this_host(self):
        where, _ = self.manifest(self.result, "röm ing")
        self.assertEqual(subprocess.run([where / "bin/quiet"], stdout=subprocess.PIPE, text=True, env={}).stdout, "wheel\n")
        for file in filter(pathlib.Path.is_file, where.rglob("*")):
            self.assertNotIn(str(self.world.folder).encode(), file.read_bytes(), file)

    def test_the_wrapper_still_takes_flags_out(self):
        notes = " ".join(event["detail"] for event in self.events if event["type"] == "note")
        for flag in ("-mavx2", "-march=native"):
            self.assertIn(flag, notes)

    def test_no_network_either(self):
        self.world.script("caller", compile="python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 1)' || true")
        self.world.stack("calling", {"caller": "1"})
        self.assertIn("192.0.2.1", self.world.run("build", "calling", "--no-sandbox", status=1).stderr)

    def test_a_compiler_named_by_its_path_meets_the_assembler_of_ours(self):
        done = self.world.run("build", "words", "--no-sandbox", status=1)
        self.assertIn("is not supported on `amdfam10", done.stderr)

    def test_one_that_goes_round_that_too_meets_the_audit(self):
        self.world.script("round", compile="""
            printf 'float d[256]; float sum(void) { float s = 0; for (int i = 0; i < 256; i++) s += d[i] * d[i]; return s; }\\n' > sum.c
            /usr/bin/gcc -B/usr/bin -O3 -mavx2 -shared -fPIC -o libsum.so sum.c
            """, install_script="install -D libsum.so $DESTDIR$PREFIX/lib/libsum.so")
        self.world.stack("rounds", {"round": "1"})
        done = self.world.run("build", "rounds", "--no-sandbox", status=1)
        self.assertIn("lib/libsum.so", done.stderr)
        self.assertIn("avx", done.stderr)

    def test_missing_tools_are_named(self):
        done = self.world.run("build", "plain", "--no-sandbox", status=2, env={"PATH": "/nonexistent"})
        self.assertIn("patchelf", done.stderr)


class Changes(unittest.TestCase):
    """What a change makes necessary, and no more."""

    def setUp(self):
        self.world = fixture.World()
        self.addCleanup(self.world.close)
        self.world.build()
        self.recipe = self.world.tree / "recipes/libword/1.0.yaml"

    def test_a_comment_changes_nothing(self):
        self.recipe.write_text("# new\n" + self.recipe.read_text())
        self.assertEqual({row["action"] for row in self.world.plan().values()}, {"reuse"})
        self.assertIn("nothing to do", self.world.run("build", "words").stdout)

    def test_the_same_bytes_stop_a_rebuild(self):
        self.recipe.write_text(self.recipe.read_text().replace("system: make", "system: make\n  environment: {UNUSED: '1'}"))
        plan = self.world.plan()
        self.assertEqual(plan["libword"]["action"], "build")
        self.assertIn("environment", plan["libword"]["reason"])
        self.assertRegex(plan["shout"]["reason"], "reused if libword's bytes do not change")
        events, _ = self.world.build()
        self.assertEqual(self.world.built(events), ["libword"])

    def test_other_bytes_rebuild_what_needs_them(self):
        self.recipe.write_text(self.recipe.read_text().replace("system: make", "system: make\n  make: ['WORD=\"whee\"']"))
        self.world.run("build", "words", status=1)  # shout's check wants "wheel"
        shout = self.world.tree / "recipes/shout/2.0.yaml"
        shout.write_text(shout.read_text().replace("wheel! 0", "whee! 0"))
        events, result = self.world.build()
        self.assertEqual(self.world.built(events), [], "a check is no part of what is built")
        self.assertTrue(result["bundle"])

    def test_a_failing_check_fails_the_build_and_writes_no_bundle(self):
        shout = self.world.tree / "recipes/shout/2.0.yaml"
        shout.write_text(shout.read_text().replace("wheel! 0", "never this"))
        before = sorted((self.world.tree / "dist").iterdir())
        done = self.world.run("build", "words", status=1)
        self.assertIn("shouts of shout", done.stderr)
        self.assertIn("log:", done.stderr)
        self.assertEqual(sorted((self.world.tree / "dist").iterdir()), before)

    def test_gc_keeps_what_the_stacks_need(self):
        self.recipe.write_text(self.recipe.read_text().replace("system: make", "system: make\n  optimise: -O1"))
        self.world.build()
        self.world.run("gc")
        self.assertEqual({row["action"] for row in self.world.plan().values()}, {"reuse"})
        self.assertEqual(len(list((self.world.cache / "artifacts").glob("libword*")) or list((self.world.cache / "artifacts").glob("*.tar.zst"))), 2)
        self.assertIn("nothing to do", self.world.run("build", "words").stdout)


class OneFails(unittest.TestCase):
    """A long package fails first; shout, which doesn't need it, is built all the same."""

    def setUp(self):
        self.world = fixture.World()
        self.addCleanup(self.world.close)
        self.world.script("wreck", compile="echo no such luck >&2; exit 3")
        recipe = self.world.tree / "recipes/wreck/1.yaml"
        recipe.write_text(recipe.read_text().replace("  system: script", "  system: script\n  minutes: 90"))
        self.world.script("heir", needs="needs:\n  run: [wreck]\n", install_script="mkdir -p $DESTDIR$PREFIX/share; touch $DESTDIR$PREFIX/share/heir")
        self.world.stack("words", {"shout": "2.0", "heir": "1"}, pins={"libword": "1.0", "wreck": "1"})

    def test_the_rest_goes_on(self):
        done = self.world.run("build", "words", "-j", "1", status=1)
        self.assertIn("wreck/1 failed in compile", done.stderr)
        self.assertIn("1 package was not built because of that", done.stderr)
        self.assertIn("built    shout", done.stderr)
        self.assertLess(done.stderr.index("FAILED   wreck"), done.stderr.index("built    libword"), "it failed before the others were begun")
        self.assertEqual({name: row["action"] for name, row in self.world.plan().items()}, {"libword": "reuse", "shout": "reuse", "wreck": "build", "heir": "build"})

    def test_fail_fast(self):
        done = self.world.run("build", "words", "-j", "1", "--fail-fast", status=1)
        self.assertIn("--fail-fast: nothing more was started", done.stderr)
        self.assertEqual({row["action"] for row in self.world.plan().values()}, {"build"})


class Networks(unittest.TestCase):
    def setUp(self):
        self.world = fixture.World()
        self.addCleanup(self.world.close)

    def test_fetch_then_offline(self):
        self.world.run("build", "words", "--offline", status=1)
        self.world.run("fetch", "words")
        self.world.server.files.clear()
        _, result = self.world.build("words", "--offline")
        self.assertTrue(pathlib.Path(result["bundle"]).is_file())

    def test_offline_names_what_is_missing(self):
        self.assertEqual({row["action"] for row in self.world.plan("words", "--offline").values()}, {"fetch-blocked"})
        done = self.world.run("build", "words", "--offline", status=1)
        self.assertIn("libword-1.0.tar.gz", done.stderr)

    def test_a_host_that_cannot_be_reached_is_named(self):
        self.world.server.files.pop("/files/libword-1.0.tar.gz")
        recipe = self.world.tree / "recipes/libword/1.0.yaml"
        recipe.write_text(recipe.read_text().replace(f"{self.world.server.url}/gone", "http://127.0.0.1:1"))  # nobody listens there
        done = self.world.run("fetch", "words", status=1)
        self.assertRegex(done.stderr, r"libword-1\.0\.tar\.gz could not be fetched:\n +http://127\.0\.0\.1:1/libword-1\.0\.tar\.gz: .*connect")
        row = self.world.plan()["libword"]
        self.assertEqual(row["action"], "fetch-blocked")
        self.assertIn("its source libword-1.0.tar.gz could not be fetched the last time: http://127.0.0.1:1/libword-1.0.tar.gz: ", row["reason"])
        self.assertNotIn("\n", row["reason"])
        self.world.run("build", "words", "--offline", status=1)

    def test_a_mirror_folder_serves_another_rig(self):
        mirror = self.world.folder / "stick"
        self.world.run("fetch", "words", "--export", mirror)
        self.world.server.files.clear()
        self.world.cache = self.world.folder / "rig two"
        _, result = self.world.build("words", "--import", mirror)
        self.assertTrue(result["sha256"])

    def test_a_broken_download_is_continued(self):
        deb = "/debian/pool/main/t/tools/tools_1_amd64.deb"
        self.world.server.broken.add(deb)
        self.world.run("fetch", "words")
        ranges = [asked for path, asked in self.world.server.seen if path == deb]
        self.assertTrue(ranges[-1] and ranges[-1].startswith("bytes="), ranges)

    def test_wrong_bytes_are_never_used(self):
        self.world.server.lies["/packages/shout-2.0.tar.gz"] = b"something else"
        done = self.world.run("build", "words", status=1)
        self.assertIn(sha256(b"something else"), done.stderr)
        self.assertEqual(self.world.plan()["shout"]["action"], "fetch-blocked")
        self.world.server.lies.clear()
        self.assertTrue(self.world.build()[1]["sha256"])


class Usage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)

    def test_mistakes_end_with_2_and_a_hint(self):
        for arguments, hint in ((["bild"], "build"), (["plan", "wrods"], "words"), (["build"], "STACK"), (["build", "words", "--ofline"], "offline"),
                                (["plan", "words", "-C", "/nowhere"], "recipes"), (["unpack", "x", "--sha256", "12"], "64")):
            done = self.world.run(*arguments, status=2)
            self.assertIn(hint, done.stderr, arguments)

    def test_a_recipe_error_has_a_place_and_a_hint(self):
        recipe = self.world.tree / "recipes/libword/1.0.yaml"
        before = recipe.read_text()
        recipe.write_text(before.replace("licence: MIT", "license: MIT"))
        try:
            done = self.world.run("plan", "words", status=2)
            self.assertRegex(done.stderr, r'recipes/libword/1\.0\.yaml:4:1: .*license.*"licence"')
        finally:
            recipe.write_text(before)

    def test_every_command_has_help_and_a_page(self):
        names = self.world.run("man", "--list").stdout.splitlines()[1:]
        self.assertGreater(len(names), 12)
        for name in names:
            self.assertIn(f"ironwheel {name}", self.world.run(*name.split(), "--help").stdout)
            page = self.world.run("man", *name.split()).stdout
            self.assertIn("\n.Dd", page, name)

    def test_help_stands_in_columns(self):
        self.assertIn("\n      --cpu PROFILE,…     The CPUs", self.world.run("heal", "--help").stdout)
        self.assertRegex(self.world.run("--help").stdout, r"(?m)^  check PACKAGE… {10}Run")

    def test_completions_are_accepted_by_their_shells(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.world.folder / f"completion.{shell}"
            script.write_text(self.world.run("completion", shell).stdout)
            subprocess.run([shell, "-n", script], check=True)

    def test_an_unusable_store_is_named(self):
        blocked = self.world.folder / "a file"
        blocked.write_text("")
        done = self.world.run("plan", "words", "--cache", blocked, status=2)
        self.assertIn(str(blocked), done.stderr)

    def test_list_and_profile(self):
        self.assertEqual([json.loads(line)["stack"] for line in self.world.run("list", "--json").stdout.splitlines()], ["words"])
        self.assertEqual(self.world.run("list", "packages", "--names").stdout.split(), ["libword", "shout"])
        self.assertIn("k10", self.world.run("profile", "--host").stdout)

    def test_doctor_finds_this_host_fit(self):
        self.assertIn("bubblewrap works", self.world.run("doctor").stdout)


if __name__ == "__main__":
    unittest.main()
