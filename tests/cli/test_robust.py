"""Kills, full disks, flipped bits, hostile recipes: a clear error or a silent repair, never a wrong result."""
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import time
import unittest

import fixture
from fixture import PROGRAM, sha256

KILLS = 50
SEED = 20261123


def flip(path, where=None):
    data = bytearray(path.read_bytes())
    at = len(data) // 2 if where is None else where
    data[at] ^= 0x10
    status = path.stat()
    os.chmod(path, 0o644)
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


class Kills(unittest.TestCase):
    """SIGKILL of the orchestrator or any of its children at random moments."""

    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        for i in range(3):  # more to do, so that kills meet different moments
            cls.world.script(f"filler{i}", compile="for n in 1 2 3 4 5 6; do echo \"int f$n(int x) { return x * 3; }\" > f$n.c; gcc -c f$n.c; sleep 0.05; done; gcc -shared -o f.so f*.o",
                             install_script="install -D f.so $DESTDIR$PREFIX/lib/filler.so; mv $DESTDIR$PREFIX/lib/filler.so $DESTDIR$PREFIX/lib/filler%d.so" % i)
        cls.world.stack("words", {"shout": "2.0", **{f"filler{i}": "1" for i in range(3)}}, pins={"libword": "1.0"})
        cls.world.run("fetch", "words")
        cls.wanted = cls.world.build()[1]["sha256"]

    def state(self, pid):
        """The process's state and start time, by which a number that was given to another one is known (proc(5)); None: it has gone."""
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            return fields[0], fields[19]
        except OSError:
            return None

    def family(self, pid):
        """The process and everything below it, with their start times."""
        found, queue = {}, [pid]
        while queue:
            at = queue.pop()
            state = self.state(at)
            if state is None:
                continue
            found[at] = state[1]
            try:
                for task in os.listdir(f"/proc/{at}/task"):
                    queue += [int(child) for child in pathlib.Path(f"/proc/{at}/task/{task}/children").read_text().split()]
            except OSError:
                pass
        return found

    def wait_for_ends(self, family):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            states = {pid: self.state(pid) for pid in family}
            left = [pid for pid, state in states.items() if state and state[0] not in "ZX" and state[1] == family[pid]]
            if not left:
                return
            time.sleep(0.02)
        self.fail(f"still running 20 s after the kill: {[(pid, pathlib.Path(f'/proc/{pid}/cmdline').read_bytes()[:200]) for pid in left]}")

    def test_killed_at_any_moment_it_goes_on(self):
        dice = random.Random(SEED)
        self.world.cache = self.world.folder / "killed"
        self.world.run("fetch", "words")
        finished, kills, rounds, moment = set(), 0, 0, 2.5
        while kills < KILLS:
            rounds += 1
            dist = self.world.folder / f"dist {rounds}"
            child = subprocess.Popen([PROGRAM, "build", "words", "--json", "-o", str(dist)], cwd=self.world.tree, env=self.world.environment(), stdin=subprocess.DEVNULL,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            time.sleep(dice.uniform(0, moment))
            family = self.family(child.pid)
            victim = dice.choice(list(family) or [child.pid]) if dice.random() < 0.4 else child.pid
            running = child.poll() is None
            if running:
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    running = False
            out, _ = child.communicate(timeout=120)
            self.wait_for_ends(family)
            kills += running
            events = [json.loads(line) for line in out.splitlines() if line.endswith("}")]
            built = set(self.world.built(events))
            self.assertEqual(built & finished, set(), "a finished package was built again")
            finished |= built
            if child.returncode == 0:  # done, perhaps although something was killed: start over, objects and artifacts gone
                self.assertEqual(events[-1]["sha256"], self.wanted)
                finished = set()
                subprocess.run(["rm", "-rf", *map(str, (self.world.cache / part for part in ("artifacts", "objects", "index.sqlite", "index.sqlite-wal", "index.sqlite-shm")))])
        _, result = self.world.build("words", "-o", self.world.folder / "last")
        self.assertEqual(result["sha256"], self.wanted)
        self.assertEqual(self.world.run("cache", "--verify").returncode, 0)

    def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(self):
        self.world.cache = self.world.folder / "stopped"
        self.world.script("slow", compile="touch started; sleep 60")
        self.world.stack("slow", {"slow": "1"})
        child = subprocess.Popen([PROGRAM, "build", "slow"], cwd=self.world.tree, env=self.world.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # also from a background job
        until = time.monotonic() + 60
        while not list(self.world.cache.glob("work/slow-*/build/src/started")) and time.monotonic() < until:
            time.sleep(0.05)
        family = self.family(child.pid)
        os.kill(child.pid, signal.SIGINT)
        _, errors = child.communicate(timeout=20)
        self.assertEqual(child.returncode, 130)
        last = errors.splitlines()[-1]
        self.assertIn("`ironwheel build slow` goes on", last)
        self.assertEqual(last.count("stopped"), 1, last)
        self.wait_for_ends(family)

    def test_an_estimate_counts_no_waiting_and_what_a_stopped_build_had_done(self):
        self.world.cache = self.world.folder / "estimated"
        slow = "echo 'int main(void) { return 0; }' > m.c\ngcc -c m.c\n"
        install = "mkdir -p $DESTDIR$PREFIX/bin; gcc -o $DESTDIR$PREFIX/bin/half m.o"
        burn = "printf '#include <time.h>\\nint main(void) { while (clock() < 3 * CLOCKS_PER_SEC) ; }' > burn.c\ngcc -o burn burn.c\n./burn\n"
        self.world.stack("half", {"half": "1"})
        self.world.script("half", compile=slow + burn + "sleep 3; exit 1", install_script=install)
        self.world.run("build", "half", status=1)
        self.world.script("half", compile=slow, install_script=install)
        self.world.build("half")
        self.world.script("half", compile=slow + "# again", install_script=install)
        row = self.world.plan("half")["half"]
        text = self.world.run("why", "half", "--stack", "half").stdout
        self.assertEqual(row["action"], "build")
        self.assertGreaterEqual(row["expected_seconds"], 3, "the processor's time of both builds")
        whole = float(re.search(r"time: ([\d.]+) s the last time, [\d.]+ s of CPU time", text)[1])
        self.assertGreaterEqual(whole, 6)
        self.assertLess(row["expected_seconds"], whole)
        self.world.build("half")
        self.world.script("half", compile=slow + "# and again", install_script=install)
        self.assertLess(self.world.plan("half")["half"]["expected_seconds"], 3)


class Damage(unittest.TestCase):
    def setUp(self):
        self.world = fixture.World()
        self.addCleanup(self.world.close)
        self.wanted = self.world.build()[1]["sha256"]

    def rebuilt(self):
        """The bundle's digest after everything that can be made again was made again."""
        return self.world.build("words", "--check")[1]["sha256"]

    def lose_artifacts(self):
        for path in [*(self.world.cache / "artifacts").iterdir(), *self.world.cache.glob("index.sqlite*")]:
            path.unlink()

    def test_a_flipped_bit_in_an_artifact(self):
        for path in (self.world.cache / "artifacts").glob("*.tar.zst"):
            flip(path)
        done = self.world.run("build", "words", "--check", status=None)
        if done.returncode:
            self.assertIn("damaged", done.stderr.lower() + done.stdout.lower())
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_flipped_bit_in_a_source(self):
        for path in (self.world.cache / "sources").iterdir():
            flip(path)
        self.lose_artifacts()
        done = self.world.run("build", "words", status=None)
        if done.returncode:
            self.assertRegex(done.stderr, "SHA-256|damaged")
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_flipped_bit_in_the_index(self):
        for name in ("index.sqlite-wal", "index.sqlite-shm"):
            (self.world.cache / name).unlink(missing_ok=True)
        index = self.world.cache / "index.sqlite"
        data = bytearray(index.read_bytes())
        for at in range(100, len(data), 1531):
            data[at] ^= 0xff
        index.write_bytes(data)
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_lost_index(self):
        for path in self.world.cache.glob("index.sqlite*"):
            path.unlink()
        self.assertEqual({row["action"] for row in self.world.plan().values()}, {"reuse"})
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_changed_toolchain_file(self):
        gcc = next((self.world.cache / "toolchains").glob("*/root/usr/libexec/iw-real/as"))
        gcc = gcc.resolve() if gcc.is_symlink() else gcc
        flip(gcc)
        os.utime(gcc)
        self.lose_artifacts()
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_flipped_bit_in_an_object(self):
        for path in (self.world.cache / "objects").glob("*/*"):
            flip(path)
        self.lose_artifacts()
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_changed_bundle_is_written_again(self):
        path = pathlib.Path(self.world.build()[1]["bundle"])
        flip(path)
        os.utime(path)
        self.assertEqual(self.world.build()[1]["sha256"], self.wanted)
        self.assertEqual(sha256(path.read_bytes()), self.wanted)

    def test_verify_finds_all(self):
        artifact = next((self.world.cache / "artifacts").glob("*.tar.zst"))
        source = next(path for path in (self.world.cache / "sources").iterdir() if path.stat().st_size < 100000)
        flip(artifact), flip(source)
        done = self.world.run("cache", "--verify", status=1)
        self.assertIn(artifact.name, done.stdout)
        self.assertIn(source.name, done.stdout)
        self.assertEqual(self.rebuilt(), self.wanted)

    def test_a_full_disk(self):
        """The store on a file system of its own that is too small, at several sizes: a clear error each time, then success where there is room."""
        for megabytes in (1, 300, 420):
            script = (f'mount -t tmpfs -o size={megabytes}m none "$1" && "$2" build words --json --cache "$1/store" -o "$1/dist" >"$3/out" 2>"$3/err"; status=$?; '
                      'mount -o remount,size=4g "$1"; "$2" build words --json --cache "$1/store" -o "$1/dist" >"$3/out2" 2>"$3/err2" || exit 99; exit $status')
            place, logs = self.world.folder / f"small {megabytes}", self.world.folder / f"logs {megabytes}"
            place.mkdir(), logs.mkdir()
            done = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", place, PROGRAM, logs], cwd=self.world.tree, env=self.world.environment())
            errors = (logs / "err").read_text()
            self.assertNotEqual(done.returncode, 99, (logs / "err2").read_text())
            if done.returncode:
                self.assertRegex(errors, "[Nn]o space left|full", f"{megabytes} MB")
            self.assertEqual(json.loads((logs / "out2").read_text().splitlines()[-1])["sha256"], self.wanted)

    def test_two_builds_at_once_share_the_work(self):
        self.world.cache = self.world.folder / "shared"
        children = [subprocess.Popen([PROGRAM, "build", "words", "--json", "-o", str(self.world.folder / f"dist{i}")], cwd=self.world.tree, env=self.world.environment(),
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(3)]
        outputs = [child.communicate(timeout=300) for child in children]
        self.assertEqual([child.returncode for child in children], [0, 0, 0], outputs)
        events = [[json.loads(line) for line in out.splitlines()] for out, _ in outputs]
        self.assertEqual({lines[-1]["sha256"] for lines in events}, {self.wanted})
        self.assertEqual(sorted(name for lines in events for name in self.world.built(lines)), ["libword", "shout"])


class Hostile(unittest.TestCase):
    """What a recipe can't reach."""

    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        cls.world.run("fetch", "words")

    def try_recipe(self, name, status, **steps):
        self.world.script(name, **{"install_script": "mkdir -p $DESTDIR$PREFIX/bin; echo 'int main(void) { return 0; }' > m.c; gcc -o $DESTDIR$PREFIX/bin/" + name + " m.c", **steps})
        self.world.stack(name, {name: "1"})
        return self.world.run("build", name, status=status)

    def test_the_network_is_named(self):
        server = self.world.server.url.split(":")[-1]
        done = self.try_recipe("calls-out", 1, compile="bash -c '(exec 3<>/dev/tcp/198.51.100.7/443) 2>/dev/null' || true")
        self.assertIn("198.51.100.7:443", done.stderr)
        done = self.try_recipe("calls-host", 0, compile=f"if bash -c '(exec 3<>/dev/tcp/127.0.0.1/{server}) 2>/dev/null'; then exit 1; fi")
        self.assertEqual(done.returncode, 0, "the host's own loopback is not the sandbox's")

    def test_home_and_host_are_out_of_sight(self):
        canary = self.world.home / "canary"
        canary.write_text("secret")
        self.try_recipe("snoops", 0, compile=f"for f in {canary} /etc/shadow /root /home/* {self.world.tree} {self.world.cache}/index.sqlite /etc/hostname; do test ! -e \"$f\" || "
                                             "{ echo \"sees $f\"; exit 1; }; done; test \"$(env | grep -c canary)\" = 0")
        self.assertEqual(canary.read_text(), "secret")

    def test_nothing_outside_its_tree_can_be_written(self):
        self.try_recipe("writes", 0, compile="for f in /usr/bin/gcc /usr/include/stdio.h /opt/iw-prefix/x /opt/iw-tools/iw-cc /run/ironwheel/policy /x /etc/x /usr/x; do "
                                             "if (echo bad > $f) 2>/dev/null; then echo wrote $f; exit 1; fi; done")

    def test_planted_headers_and_libraries_of_the_host_are_not_seen(self):
        planted = pathlib.Path("/usr/include/ironwheel-canary.h")
        library = pathlib.Path("/usr/lib/libironwheel-canary.so")
        try:
            planted.write_text("#define CANARY 1\n")
            library.write_bytes(b"")
            self.try_recipe("looks", 0, compile="! echo '#include <ironwheel-canary.h>' | gcc -E - >/dev/null 2>&1; test ! -e /usr/lib/libironwheel-canary.so; "
                                                "! (echo 'int main(void){return 0;}' > c.c; gcc c.c -lironwheel-canary 2>/dev/null)")
        finally:
            planted.unlink(missing_ok=True)
            library.unlink(missing_ok=True)

    def test_an_attribute_or_assembler_with_avx_stops_with_the_files_name(self):
        done = self.try_recipe("attribute", 1, compile="""\
            printf '#include <immintrin.h>\\n__attribute__((target("avx2"))) __m256i f(__m256i a) { return _mm256_add_epi32(a, a); }\\n' > sneaky.c
            gcc -O2 -c sneaky.c""")
        self.assertIn("sneaky.c", done.stderr)
        done = self.try_recipe("assembler", 1, compile="printf 'vpaddd %%ymm0, %%ymm1, %%ymm2\\n' > sly.s; as -o sly.o sly.s")
        self.assertIn("sly.s", done.stderr)

    PLANTED = """\
        printf '__attribute__((noinline)) void planted(void) { __asm__ volatile(".byte 0xc5,0xf5,0xfe,0xd0"); }\\nint main(void) { planted(); return 0; }\\n' > m.c
        mkdir -p $DESTDIR$PREFIX/bin; gcc -O1 -o $DESTDIR$PREFIX/bin/planted m.c"""

    def test_the_audit_finds_what_no_flag_and_no_assembler_sees(self):
        done = self.try_recipe("planted", 1, install_script=self.PLANTED)
        self.assertRegex(done.stderr, "(?s)bin/planted.*vpaddd.*avx2")
        self.assertEqual(list((self.world.tree / "dist").glob("planted-*")), [])

    def test_a_crash_in_a_check_is_explained(self):
        excuse = """
            checks:
              - name: runs
                shell: '"$IRONWHEEL_ENVIRONMENT/bin/excused"'
            audit:
              policy: guarded
              exceptions:
                - symbol: '*'
                  file: bin/excused
                  features: [avx2]
                  reason: a test's lie
            """
        done = self.try_recipe("excused", 1, install_script=self.PLANTED.replace("bin/planted", "bin/excused"), more=excuse)
        self.assertRegex(done.stderr, r"excused \(process \d+\) died of signal 4 .*`vpaddd ymm2, ymm1, ymm0`.*bin/excused.*needs avx2, which k10")

    def test_run_and_audit_by_hand(self):
        source, program = self.world.folder / "ill.c", self.world.folder / "ill"
        source.write_text('int main(void) { __asm__ volatile("vpaddd %ymm0, %ymm1, %ymm2"); return 0; }\n')
        subprocess.run(["gcc", "-o", program, source], check=True)
        done = self.world.run("run", "--cpu", "k10", "--", program, status=132)
        self.assertIn("in main of", done.stderr)
        self.assertIn("needs avx2", done.stderr)
        self.assertEqual(self.world.run("run", "--", "sh", "-c", "sh -c 'exit 7'", status=7).returncode, 7)
        rows = [json.loads(line) for line in self.world.run("audit", program, "--json", status=1).stdout.splitlines()]
        self.assertEqual([(row["function"], row["mnemonic"], row["feature"]) for row in rows if row["type"] == "finding"], [("main", "vpaddd", "avx2")])
        self.assertEqual([row["verdict"] for row in rows if row["type"] == "file"], ["broken"])
        self.world.run("audit", "/usr/bin/env", status=0)
        self.world.run("audit", source, status=2)

    def test_a_path_of_the_build_left_in_a_file_stops_it(self):
        done = self.try_recipe("leftover", 1, install_script="mkdir -p $DESTDIR$PREFIX/share; echo \"at $PREFIX/share\" > $DESTDIR$PREFIX/share/data.bin; "
                                                             "printf '\\0%s' $PREFIX >> $DESTDIR$PREFIX/share/data.bin")
        self.assertIn("share/data.bin", done.stderr)

    def test_hostile_archives_write_nothing_outside(self):
        import io
        import tarfile
        for name, entry in (("../../evil", None), ("/tmp/ironwheel-evil", None), ("link", "/etc")):
            raw = io.BytesIO()
            with tarfile.open(fileobj=raw, mode="w") as archive:
                member = tarfile.TarInfo(name)
                if entry:
                    member.type, member.linkname = tarfile.SYMTYPE, entry
                    archive.addfile(member)
                    member = tarfile.TarInfo("link/ironwheel-evil")
                member.size = 4
                archive.addfile(member, io.BytesIO(b"evil"))
            digest = self.world.serve("/files/hostile.tar", raw.getvalue())
            self.world.script("hostile", sources=f"sources:\n  - url: {self.world.server.url}/files/hostile.tar\n    sha256: {digest}\n    strip: 0\n", compile="true")
            self.world.stack("hostile", {"hostile": "1"})
            done = self.world.run("build", "hostile", status=1)
            self.assertIn(name.split("/")[-1], done.stderr)
            self.assertFalse(pathlib.Path("/tmp/ironwheel-evil").exists() or pathlib.Path("/etc/ironwheel-evil").exists())


if __name__ == "__main__":
    unittest.main()
