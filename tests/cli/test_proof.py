"""What proves a bundle: profiles that stand for several CPUs, traps that fault nothing, code made at run time, and what the emulator doesn't see."""
import json
import pathlib
import shutil
import subprocess
import unittest

import fixture
from fixture import ROOT

PROGRAM = """\
    cat > m.c <<'END'
    {code}
    END
    mkdir -p $DESTDIR$PREFIX/bin; gcc -O1 -o $DESTDIR$PREFIX/bin/{name} m.c"""
# LZCNT eax, edi: neither a flag nor the assembler sees it.
LZCNT = """__attribute__((noinline)) int planted(int x) { int r; __asm__ volatile(".byte 0xf3,0x0f,0xbd,0xc7" : "=a"(r) : "D"(x)); return r; }
    int main(void) { return planted(1) == 31 ? 0 : 1; }"""
# An engine that makes code: PMULLD (SSE4.1), or PADDD where the CPU is said to be old.
ENGINE = """#include <string.h>
    #include <sys/mman.h>
    int main(int argc, char **argv) {
        unsigned char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        (void)argv;
        memcpy(code, argc > 1 ? "\\x66\\x0f\\xfe\\xc1\\xc3" : "\\x66\\x0f\\x38\\x40\\xc1\\xc3", argc > 1 ? 5 : 6);
        ((void (*)(void))code)();
        return 0;
    }"""


class Proof(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        for profile in ("core2", "nehalem", "fleet", "bulldozer"):
            shutil.copy(ROOT / f"recipes/profiles/{profile}.yaml", cls.world.tree / "recipes/profiles")

    def stack(self, name, packages, profile):
        self.world.stack(name, packages, pins={"libword": "1.0"} if "shout" in packages else None)
        where = self.world.tree / f"recipes/stacks/{name}.yaml"
        where.write_text(where.read_text().replace("[k10]", f"[{profile}]"))

    def program(self, name, code, more=""):
        self.world.script(name, install_script=PROGRAM.format(name=name, code=code), more=more)

    def checks_of(self, result):
        return json.loads(pathlib.Path(result["bundle"] + ".checks.json").read_text())

    def manifest_of(self, result):
        where = pathlib.Path(self.world.folder, "open-" + pathlib.Path(result["bundle"]).name)
        self.world.run("unpack", result["bundle"], where)
        return json.loads(next(where.rglob("manifest.json")).read_text())

    # --- profiles ---

    def test_a_fleet_is_checked_under_each_of_its_cpus(self):
        self.stack("fleet-words", {"shout": "2.0"}, "fleet")
        _, result = self.world.build("fleet-words")
        ran = {row["profile"]: row for row in self.checks_of(result)}
        self.assertEqual(set(ran), {"fleet", "core2", "k10", "nehalem"})
        self.assertTrue(all(row["passed"] for row in ran.values()))
        self.assertEqual(ran["core2"]["how"], "qemu-x86_64 -cpu core2duo")
        self.assertEqual({row["profile"] for row in self.manifest_of(result)["checks"]}, set(ran))
        self.world.run("verify", result["bundle"])

    def test_what_the_emulator_does_not_see_is_said(self):
        self.program("plain", "int main(void) { return 0; }", """
            checks:
              - name: runs
                command: [bin/plain]
            """)
        self.stack("fx", {"plain": "1"}, "bulldozer")
        events, result = self.world.build("fx")
        notes = [event["detail"] for event in events if event["type"] == "note"]
        said = [note for note in notes if "the emulated bulldozer doesn't stop at" in note]
        self.assertEqual(len(said), 1)
        self.assertIn("FMA4, XOP and LWP, which such a CPU has, are left out", said[0])
        self.assertEqual(self.checks_of(result)[0]["unseen"], ["lwp", "shstk", "tbm", "waitpkg", "xop"])
        done = self.world.run("verify", result["bundle"])
        self.assertIn("doesn't stop at", done.stdout + done.stderr)
        self.assertIn("doesn't stop at", self.world.run("run", "--cpu", "bulldozer", "-v", "--", "true").stderr)
        rows = {row["profile"]: row for row in map(json.loads, self.world.run("profile", "--json").stdout.splitlines())}
        self.assertIn("xop", rows["bulldozer"]["emulator_unseen"])

    # --- traps that fault nothing ---

    def test_lzcnt_is_broken_for_core2_and_fine_for_k10(self):
        self.program("counts", LZCNT)
        self.stack("counts-core2", {"counts": "1"}, "core2")
        self.stack("counts-k10", {"counts": "1"}, "k10")
        done = self.world.run("build", "counts-core2", status=1)
        self.assertRegex(done.stderr, r"(?s)instructions that core2 doesn't have:.*bin/counts.*planted.*lzcnt.*runs as BSR")
        self.assertEqual(list((self.world.tree / "dist").glob("counts-core2-*.tar.zst")), [])
        _, result = self.world.build("counts-k10")
        self.assertEqual(self.manifest_of(result)["audit"]["verdict"], "clean")

    # --- code made at run time ---

    def test_a_check_with_loopback_knows_localhost(self):
        """And asks DNS for every other name, which is told."""
        self.program("asks", "int getaddrinfo(const char *, const char *, const void *, void **);\n    int main(int count, char **words) { void *found; (void)count; return getaddrinfo(words[1], \"80\", 0, &found) != 0; }", """
            checks:
              - name: localhost
                command: [bin/asks, localhost]
                network: loopback
            """)
        self.stack("asking", {"asks": "1"}, "k10")
        _, result = self.world.build("asking")
        self.assertEqual([check["passed"] for check in self.checks_of(result)], [True])
        recipe = self.world.tree / "recipes/asks/1.yaml"
        recipe.write_text(recipe.read_text().replace("[bin/asks, localhost]", "[bin/asks, example.org]"))
        self.assertIn("tried to use the network", self.world.run("build", "asking", status=1).stderr)

    def test_a_check_meets_what_an_engine_makes(self):
        self.program("engine", ENGINE, """
            checks:
              - name: makes
                command: [bin/engine]
            """)
        self.stack("engines", {"engine": "1"}, "k10")
        done = self.world.run("build", "engines", status=1)
        self.assertRegex(done.stderr, r"died of signal 4 .*`pmulld xmm0, xmm1` in code made at run time: no file is mapped there\. It needs sse4\.1, which k10 doesn't have\.")
        self.assertEqual(list((self.world.tree / "dist").glob("engines-*.tar.zst")), [])

    def test_code_made_at_run_time_is_reported(self):
        self.program("careful", ENGINE, """
            checks:
              - name: makes
                command: [bin/careful, old]
            """)
        self.stack("careful-engines", {"careful": "1"}, "k10")
        events, result = self.world.build("careful-engines")
        self.assertTrue([event for event in events if event["type"] == "note" and "4096 bytes of code at run time" in event["detail"]])
        self.assertEqual(self.checks_of(result)[0]["run_time_code"], 4096)
        self.assertIs(self.manifest_of(result)["checks"][0]["run_time_code"], True)
        where = self.world.folder / "by hand"
        self.world.run("unpack", result["bundle"], where)
        self.assertIn("4096 bytes of code at run time", self.world.run("run", "--cpu", "k10", "--", where / "bin/careful", "old").stderr)
        self.assertIn("in code made at run time", self.world.run("run", "--cpu", "k10", "--", where / "bin/careful", status=132).stderr)

    # --- what a file says, on a terminal ---

    def test_a_terminal_obeys_no_name_in_a_file(self):
        library = self.world.folder / "named.so"
        source = '.globl "e\x1b]0;x\x07"\n.type "e\x1b]0;x\x07",@function\n"e\x1b]0;x\x07": vpaddd %ymm0,%ymm1,%ymm2\nret\n.size "e\x1b]0;x\x07",.-"e\x1b]0;x\x07"\n'
        subprocess.run(["gcc", "-shared", "-nostdlib", "-x", "assembler", "-o", library, "-"], input=source.encode(), check=True)
        seen = self.world.on_terminal("audit", library, "--profile", "k10", status=1)
        self.assertIn(b"e\\x1b]0;x\\x07", seen)
        self.assertNotIn(b"\x1b]0", seen)


if __name__ == "__main__":
    unittest.main()
