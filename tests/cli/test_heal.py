"""The fourth verdict, and what writes it."""
import json
import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

import fixture
import pythons
from fixture import sha256

DARING = """\
    name: daring
    version: 1
    summary: A library that nobody reviewed
    licence: MIT
    build:
      system: script
      compile: |
        printf '%s\\n' 'void daring(void) { __asm__(".byte 0xc5,0xf8,0x77"); }' 'int calm(void) { return 1; }' >daring.c
        gcc -O2 -shared -fPIC -o libdaring.so daring.c
      install-script: |
        install -D libdaring.so "$DESTDIR$PREFIX/lib/libdaring.so"
"""
GUARDED = """\
    audit:
      policy: guarded
      exceptions:
        - {symbol: daring, file: lib/libdaring.so, features: [avx], reason: for the test}
"""


class Tried(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world = fixture.World()
        cls.addClassCleanup(world.close)
        world.write("recipes/daring/1.yaml", DARING + GUARDED)
        world.stack("daring", {"daring": 1})
        _, guarded = world.build("daring")
        world.run("unpack", guarded["bundle"], world.folder / "first")
        cls.digest = sha256((world.folder / "first/lib/libdaring.so").read_bytes())

    def lay(self, holds="{avx: 1}", digest=None, tried="true"):
        self.world.write("recipes/daring/1.yaml", DARING + f"""\
    audit:
      policy: tried
      tried:
        - {{file: lib/libdaring.so, sha256: {digest or self.digest}, holds: {holds}}}
""")
        self.world.stack("daring", {"daring": 1}, extra=f"tried: {tried}\n")

    def test_a_stack_must_say_that_it_takes_it(self):
        self.lay(tried="false")
        self.assertIn('once it says "tried: true"', self.world.run("build", "daring", status=2).stderr)

    def test_other_counts_or_bytes_are_broken(self):
        self.lay(holds="{avx: 2}")
        self.assertIn("libdaring.so: it holds other instructions than the recipe counted", self.world.run("build", "daring", status=1).stderr)
        self.lay(digest="0" * 64)
        self.assertIn("libdaring.so: the recipe tried other bytes of it", self.world.run("build", "daring", status=1).stderr)

    def test_manifest_report_and_verify_say_so(self):
        self.lay()
        events, result = self.world.build("daring")
        self.assertIn("1 file is only tried", " ".join(event.get("detail") or "" for event in events if event["type"] == "note"))
        self.world.run("unpack", result["bundle"], self.world.folder / "tried")
        audit = json.loads((self.world.folder / "tried/manifest.json").read_text())["audit"]
        self.assertEqual((audit["verdict"], audit["tried"]), ("tried", 1))
        self.assertEqual(audit["not_clean"], [{"file": "lib/libdaring.so", "verdict": "tried", "counts": {"avx": 1}}])
        page = pathlib.Path(result["bundle"].replace(".tar.zst", ".report.html")).read_text()
        self.assertIn("1 only tried", page)
        self.assertIn("what wasn’t reached may die", page)
        self.assertIn("1 file is only tried", self.world.run("verify", result["bundle"]).stderr)
        where = self.world.folder / "tried/lib/libdaring.so"
        self.assertIn("tried for k10", self.world.run("audit", where, "--recipe", "daring").stdout)
        self.world.run("audit", where, "--recipe", "daring", "--strict", status=1)


# As much of CPython's C interface as a module without functions takes; its headers needn't be installed.
MODULE = """
typedef struct object PyObject;
typedef struct {{ long count; void *type; void *init; long index; void *copy; const char *name, *doc; long size; void *methods; void *rest[4]; }} Module;
PyObject *PyModule_Create2(Module *, int);
static Module module = {{1, 0, 0, 0, 0, "{name}", 0, -1, 0}};
void beyond(void) {{ __asm__ volatile("pinsrq $1, %%rax, %%xmm0" ::: "xmm0"); }}
PyObject *PyInit_{name}(void) {{ {on_import} return PyModule_Create2(&module, 1013); }}
"""
TAG = "cp311-cp311-linux_x86_64"


def module(name, on_import="", libraries=()):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "source.c")
        path.write_text(MODULE.format(name=name, on_import=on_import))
        for soname in libraries:
            subprocess.run(["gcc", "-shared", "-fPIC", f"-Wl,-soname,{soname}", "-x", "c", "/dev/null", "-o", f"{folder}/{soname}"], check=True)
        subprocess.run(["gcc", "-O1", "-march=x86-64", "-shared", "-fPIC", "-w", "-o", f"{folder}/out.so", str(path), "-Wl,--no-as-needed", *(f"{folder}/{soname}" for soname in libraries)], check=True)
        return pathlib.Path(folder, "out.so").read_bytes()


class Heal(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world = pythons.World()
        cls.addClassCleanup(world.close)
        suffix = ".cpython-311-x86_64-linux-gnu.so"
        for version, on_import in (("1.0", ""), ("2.0", "beyond();")):
            world.publish_wheel("crashy", version, {"crashy" + suffix: module("crashy", on_import)}, tag=TAG)
        world.publish_wheel("plain", "1.0", {"plain/__init__.py": "import crashy\n"}, run=["crashy"])
        world.publish_wheel("plain", "0.9", {"plain/__init__.py": ""})
        world.publish_wheel("choosy", "3.0", {"choosy.py": ""}, run=["plain<1"])
        # One that dies of what is built anew: it can't be tried with that.
        world.publish_wheel("broken", "1.0", {"broken" + suffix: module("broken", "beyond();")}, tag=TAG)
        world.publish_sdist("broken", "1.0", {"broken.py": ""})
        world.publish_wheel("leaning", "1.0", {"leaning.py": "import broken\n"}, run=["broken"], tag=TAG)
        world.publish_sdist("source-only", "1.0", {"source_only.py": "import plain\n"}, run=["plain"])
        # One whose sdist doesn't build, one that the tree has a recipe of another version of, and one of the very version.
        world.publish_wheel("stubborn", "1.0", {"stubborn" + suffix: module("stubborn", "beyond();")}, tag=TAG)
        world.publish_sdist("stubborn", "1.0", {"stubborn.py": ""}, before="raise SystemExit('not today')")
        world.publish_wheel("ctranslate2", "1.0", {"ctranslate2" + suffix: module("ctranslate2", "beyond();")}, tag=TAG)
        world.publish_wheel("late", "1.0", {"late" + suffix: module("late", "beyond();")}, tag=TAG)
        world.publish_wheel("late", "0.9", {"late.py": ""})
        world.publish_wheel("owned", "1.0", {"owned.py": ""})
        # One that is built here, whose wheel of that version dies: what needs it is tried beside the one that doesn't.
        for version, on_import in (("1.0", ""), ("2.0", "beyond();")):
            world.publish_wheel("newly", version, {"newly" + suffix: module("newly", on_import)}, tag=TAG)
        for name, on_import in (("hidden", "beyond();"), ("healthy", "")):
            world.publish_wheel(name, "1.0", {f"{name}/__init__.py": f"import newly\nfrom . import own_{name}\n", f"{name}/own_{name}{suffix}": module(f"own_{name}", on_import)}, run=["newly"], tag=TAG)
        # One that is built with what something else needs to run.
        for name, version, run in (("spanner", "1.0", []), ("spanner", "2.0", []), ("vice", "1.0", []), ("vice", "2.0", []), ("gauge", "1.0", []), ("gauge", "2.0", []), ("marking", "1.0", []), ("marking", "2.0", ["gauge>=2"]), ("turned", "1.0", []), ("gripping", "1.0", ["spanner", "vice>=2", "gauge", "marking"])):
            world.publish_wheel(name, version, {f"{name}.py": ""}, run=run)
        for name, version, build in (("late", "0.9", ""), ("newly", "2.0", ""), ("owned", "1.0", ""), ("spanner", "1.0", ""), ("vice", "1.0", ""), ("gauge", "1.0", ""), ("turned", "1.0", "\n  build: [spanner, vice, gauge]")):
            world.script(name, version, needs=f"needs:{build}\n  run: [python]\n", install_script=f"mkdir -p $DESTDIR$PREFIX/lib/python3.11/site-packages\ntouch $DESTDIR$PREFIX/lib/python3.11/site-packages/{name}.py")

    def ask(self, name, text):
        (self.world.tree / name).write_text(text)
        return name

    def test_the_two_lines_that_clash(self):
        path = self.ask("clash.txt", "choosy\nplain>=1\n")
        said = self.world.run("heal", path, "--plan", status=1).stderr
        self.assertIn("these can't stand together: ", said)
        self.assertIn("plain>=1 (clash.txt:2)", said)
        self.assertIn("choosy 3.0 depends on plain<1", said)
        path = self.ask("versions.txt", "plain==1.0\nplain>=0.5, <1 ; python_version >= '3'\n")
        said = self.world.run("heal", path, "--plan", status=1).stderr
        self.assertIn("plain==1.0 (versions.txt:1)", said)
        self.assertRegex(said, r"plain<1 and >=0\.5 \(versions\.txt:2\)")

    def test_lines_that_no_bundle_can_hold(self):
        path = self.ask("odd.txt", "plain\n-e .\nthing @ git+https://example.org/thing\n")
        said = self.world.run("heal", path, "--plan", status=2).stderr
        self.assertIn("odd.txt:2", said)
        self.assertIn("odd.txt:3", said)
        path = self.ask("marker.txt", "plain\ncrashy ; python_version >= 3\n")
        self.assertIn("marker.txt:2: crashy; python_version >= 3: its marker can't be read", self.world.run("heal", path, "--plan", status=2).stderr)

    def test_files_that_others_write(self):
        self.assertIn("there is no file nowhere.txt", self.world.run("heal", "nowhere.txt", "--plan", status=2).stderr)
        self.assertIn("there is no file nowhere.txt", self.world.run("triage", "-r", "nowhere.txt", status=2).stderr)
        path = self.ask("Pipfile", "[packages]\nplain = '*'\n")
        self.assertIn("`pipenv requirements >requirements.txt`", self.world.run("heal", path, "--plan", status=2).stderr)
        path = self.ask("pyproject.toml", "[project]\nname = 'mine'\ndependencies = ['plain == 0.9']\n")
        rows, _ = self.rows(path, "--plan")
        self.assertEqual([(row["package"], row["version"]) for row in rows if row["type"] == "package"], [("plain", "0.9")])

    def test_what_a_draft_would_leave_to_do(self):
        self.world.publish_sdist("unclear", "1.0", {"unclear.py": ""}, licence="Something")
        said = self.world.run("heal", self.ask("unclear.txt", "unclear\n"), "--plan", status=1).stderr
        self.assertIn("no wheel of unclear for Python 3.11 on Linux, and its sdist leaves a question (`ironwheel new unclear 1.0` drafts a recipe for you to finish): which licence?", said)

    def test_what_pip_warns_of(self):
        path = self.ask("extra.txt", "\nplain[better]==0.9\n")
        rows, _ = self.rows(path, "--plan")
        self.assertEqual([row["detail"] for row in rows if row["type"] == "note"], ["extra.txt:2: plain 0.9 has no extra 'better'"])

    def digest(self, project, start):
        return next(digest for file, digest in self.world.projects[project].items() if file.startswith(start))

    def test_what_would_be_done(self):
        moved, kept, made = self.digest("crashy", "crashy-2.0"), self.digest("plain", "plain-1.0"), self.digest("source-only", "source_only")
        path = self.ask("asked.txt", f"leaning\nplain --hash=sha256:{kept}\nsource-only==1.0 ; python_version >= '3' --hash=sha256:{made}\nnothing ; sys_platform == 'win32'\n"
                                     f"crashy>=1 \\\n  --hash=sha256:{moved}\n")
        planned = [json.loads(line) for line in self.world.run("heal", path, "--plan", "--json", timeout=1200).stdout.splitlines()]
        fates = {row["package"]: (row["fate"], row["version"]) for row in planned if row["type"] == "package"}
        self.assertEqual(fates, {"broken": ("made", "1.0"), "crashy": ("moved", "1.0"), "leaning": ("kept", "1.0"), "plain": ("kept", "1.0"), "source-only": ("made", "1.0")})
        self.assertEqual(list(fates), sorted(fates))
        self.assertFalse((self.world.tree / "asked").exists(), "nothing is written by a plan")
        hashes = {row["package"]: row["hashes"] for row in planned if row["type"] == "package"}
        self.assertEqual(hashes, {"crashy": "the hashes of asked.txt:5 no longer apply: it is another version", "broken": None, "leaning": None, "plain": None, "source-only": None})

    def rows(self, *arguments, **more):
        done = self.world.run("heal", *arguments, "--json", timeout=1200, **more)
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def test_what_turns_out_to_be_impossible(self):
        path = self.ask("stubborn.txt", "stubborn\nplain==0.9\n")
        rows, said = self.rows(path, "--into", "stubborn-rig", status=1)
        self.assertEqual([(row["package"], row["fate"]) for row in rows if row["type"] == "package"], [("plain", "kept"), ("stubborn", "made"), ("stubborn", "impossible")])
        self.assertIn("stubborn 1.0: dies-at-import", said)
        self.assertIn("; from its sdist: ", said)
        self.assertFalse((self.world.tree / "stubborn-rig").exists())

    def test_build_tools_stay_where_nobody_minds(self):
        for asked, told in (("", ("recipe", "1.0", "2.0")), ("spanner>=2\n", ("kept", "2.0", None))):
            rows, _ = self.rows(self.ask("tools.txt", "turned\ngripping\n" + asked), "--plan")
            fates = {row["package"]: (row["fate"], row["version"], row["was"]) for row in rows if row["type"] == "package"}
            self.assertEqual(fates, {"gripping": ("kept", "1.0", None), "spanner": told, "turned": ("recipe", "1.0", None), "vice": ("kept", "2.0", None), "gauge": ("kept", "2.0", None), "marking": ("kept", "2.0", None)})

    def test_what_does_the_same_instead(self):
        rows, said = self.rows(self.ask("instead.txt", "ctranslate2\n"), "--plan", status=1)
        self.assertEqual([(row["package"], row["fate"]) for row in rows if row["type"] == "package"], [("ctranslate2", "impossible")])
        self.assertRegex(said, r"ctranslate2 1\.0: dies-at-import on k10: import of ctranslate2 \(pinsrq, of sse4\.1, in ctranslate2\.cpython-311-x86_64-linux-gnu\.so\); .*asked for\n    instead: whisper\.cpp ")

    def test_what_is_hidden_behind_what_is_built_here(self):
        rows, said = self.rows(self.ask("behind.txt", "hidden\nhealthy\n"), "--plan", status=1)
        told = {row["package"]: (row["fate"], row["why"]) for row in rows if row["type"] == "package"}
        self.assertEqual(told["newly"], ("recipe", "the tree has a recipe of this version"))
        self.assertEqual(told["healthy"], ("kept", "imports on k10 (beside newly==1.0)"))
        self.assertRegex(said, r"hidden 1\.0: dies-at-import on k10: import of hidden \(pinsrq, of sse4\.1, in hidden/own_hidden\.\S*\) \(beside newly==1\.0\); no recipe")

    def test_what_is_kept_says_what_came_of_it(self):
        said = self.world.run("heal", self.ask("said.txt", "crashy==1.0\nplain==0.9\n"), "--plan", "--seconds", "1").stdout
        self.assertRegex(said, r"crashy +1\.0 +the wheel as published\n    imports on k10\n")
        self.assertRegex(said, r"plain +0\.9 +the wheel as published\nto build: about .*, and [\d.]+ [kM]B of disk\n")

    def test_what_no_index_has(self):
        for line, status, said in (("late==7", 1, "the package index has no late==7: the newest is 1.0"), ("nobody-has-it", 1, "the package index has no project nobody-has-it"),
                                   ("--find-links .\nplain", 1, "nothing is known of plain: a package index has to be asked, and --offline forbids it")):
            path = self.ask("absent.txt", line + "\n")
            self.assertIn(said, self.world.run("heal", path, "--plan", *(["--offline"] if "--" in line else []), status=status).stderr)

    def test_what_does_not_fit_costs_one_question(self):
        path = self.ask("late.txt", "late==1.0\n")
        rows, said = self.rows(path, "--plan", status=1)
        self.assertEqual(len([row for row in rows if (row["type"], row.get("phase")) == ("started", "resolve")]), 3, "as it is, with the recipe's version, and at the end")
        self.assertIn("late 1.0: dies-at-import", said)

    def test_files_of_another_digest(self):
        for name, line, file in (("wheel", "plain==1.0", "plain-1.0-py3-none-any.whl"), ("sdist", "source-only==1.0", "its sdist")):
            path = self.ask(f"{name}.txt", f"# ours\n{line} --hash=sha256:{'0' * 64} --hash=sha512:00\n")
            said = self.world.run("heal", path, "--plan", status=1).stderr
            self.assertIn(f"{name}.txt:2: the SHA-256 of {file} is {self.digest(line.split('=')[0], line.split('=')[0].replace('-', '_') + '-1.0')}, none of those", said)

    def heal(self, path, into):
        """Gives bundle, what `healed` says, and the files in `into`."""
        out, into = self.world.folder / f"{into}-out", self.world.folder / into
        done = self.world.run("heal", path, "--json", "--level", "1", "--into", into, "--output", out, timeout=1200)
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        bundle = pathlib.Path(next(row["bundle"] for row in rows if row["type"] == "result"))
        self.assertEqual((bundle.parent, rows[-1]["type"]), (out, "healed"))
        self.fates = {row["package"]: row["fate"] for row in rows if row["type"] == "package"}
        return bundle, rows[-1], {str(file.relative_to(into)): file.read_bytes() for file in into.rglob("*") if file.is_file()}

    def test_from_requirements_to_a_bundle(self):
        world = self.world
        path = self.ask("whole.txt", "plain\nsource-only\nowned\n")
        planned = {row["package"]: row["fate"] for row in self.rows(path, "--plan")[0] if row["type"] == "package"}
        bundle, healed, files = self.heal(path, "rig")
        self.assertEqual((healed["packages"], healed["impossible"], healed["tried"]), (4, 0, 1))
        self.assertEqual((self.fates, self.fates["owned"]), (planned, "recipe"))

        # What it wrote: the verdict by name, and a lock that any Python reads.
        self.assertEqual((healed["stack"], healed["lock"]), (str(world.folder / "rig/recipes/stacks/whole.yaml"), str(world.folder / "rig/pylock.toml")))
        self.assertIn("\ntried: true\n", files["recipes/stacks/whole.yaml"].decode())
        crashy = files["recipes/crashy/1.0.yaml"].decode()
        self.assertIn("policy: tried", crashy)
        self.assertRegex(crashy, r"holds: \{sse4\.?_?1: 1\}")
        lock = tomllib.loads(files["pylock.toml"].decode())
        self.assertEqual(lock["lock-version"], "1.0")
        locked = {row["name"]: row for row in lock["packages"]}
        self.assertEqual(sorted((name, row["version"], "sdist" in row) for name, row in locked.items()), [("crashy", "1.0", False), ("plain", "1.0", False), ("source-only", "1.0", True)])
        for file in (locked["crashy"]["wheels"][0], locked["plain"]["wheels"][0], locked["source-only"]["sdist"]):
            served = world.server.files[file["url"].removeprefix(world.server.url)]
            self.assertEqual(file["hashes"]["sha256"], sha256(served), file)

        # What it built: it says what is only tried.
        world.run("unpack", bundle, world.folder / "rig-unpacked")
        audit = json.loads((world.folder / "rig-unpacked/manifest.json").read_text())["audit"]
        self.assertEqual((audit["verdict"], audit["tried"]), ("tried", 1))
        self.assertEqual([(row["verdict"], list(row["counts"].values())) for row in audit["not_clean"]], [("tried", [1])])

        # The tree that it wrote stands by itself, and makes the same bundle.
        self.assertIn("nothing to do", world.run("-C", world.folder / "rig", "build", "whole", "--level", "1", "--output", bundle.parent).stdout)
        again = world.folder / "rebuilt"
        world.run("-C", world.folder / "rig", "build", "whole", "--level", "1", "--output", again)
        self.assertEqual(sha256((again / bundle.name).read_bytes()), sha256(bundle.read_bytes()))

        # So does a second run.
        other, _, others = self.heal(path, "other")
        self.assertEqual(others, files)
        self.assertEqual((other.name, sha256(other.read_bytes())), (bundle.name, sha256(bundle.read_bytes())))
        self.assertEqual(sorted(file.name for file in other.parent.iterdir()), sorted(file.name for file in bundle.parent.iterdir()))

    def test_libraries_that_wheels_expect_from_a_system(self):
        world, libraries = self.world, {"lz4": "liblz4.so.1", "snappy": "libsnappy.so.1"}
        suffix = ".cpython-311-x86_64-linux-gnu.so"
        world.publish_wheel("needy", "1.0", {"needy" + suffix: module("needy", libraries=libraries.values()), "below/__init__.py": "",
                                             **{f"below/{name}{suffix}": module(name) for name in ("inner", "_own", "test_inner")}}, run=["lz4", "snappy"], tag=TAG)
        # Packages that are called as the libraries that they bind: one that the tree has a recipe of, too, and one without.
        for name in libraries:
            world.publish_wheel(name, "1", {f"{name}.py": ""})
        self.world.script("python-snappy", "1", sources=f"sources:\n  - pypi: snappy\n    kind: wheel\n    file: snappy-1-py3-none-any.whl\n    sha256: {self.digest('snappy', 'snappy-1')}\n    unpack: false\n",
                          needs="needs:\n  run: [python]\n", install_script="mkdir -p $DESTDIR$PREFIX/lib/python3.11/site-packages\ntouch $DESTDIR$PREFIX/lib/python3.11/site-packages/snappy.py")
        for name, soname in libraries.items():
            world.script(name, "1", compile=f"echo | gcc -shared -fPIC -Wl,-soname,{soname} -x c -o {soname} -", install_script=f"install -D {soname} $DESTDIR$PREFIX/lib/{soname}")
        rows, _ = self.rows(self.ask("needy.txt", "needy\n"), "--level", "1", "--into", "needy-rig", "--output", world.folder / "needy-out")
        self.assertEqual(rows[-1]["type"], "healed")
        self.assertEqual({row["package"]: (row["fate"], row["why"]) for row in rows if row["type"] == "package" and row["package"] in libraries}, {"lz4": ("kept", None), "snappy": ("recipe", "the tree has a recipe of this version, python-snappy")})
        imported = re.findall(r"import: \[(.*)\]", (world.tree / "needy-rig/recipes/needy/1.0.yaml").read_text())
        self.assertEqual(imported, ["below", "needy", "below.inner"], "compiled modules further down, too")
        stack = (world.tree / "needy-rig/recipes/stacks/needy.yaml").read_text()
        self.assertEqual(re.findall(r"  (.*(?:lz4|snappy): .*)", stack), ["lz4: 1", "snappy: 1", "python-lz4: 1", "python-snappy: 1"])
        self.assertIn("pypi: lz4\n", (world.tree / "needy-rig/recipes/python-lz4/1.yaml").read_text())
        self.assertIn("run: [python, python-lz4]", (world.tree / "needy-rig/recipes/needy/1.0.yaml").read_text())

    def test_another_lock_is_left_alone(self):
        path, lock = self.ask("locked.txt", "plain==0.9\n"), self.world.folder / "mine/pylock.toml"
        lock.parent.mkdir()
        lock.write_text("# mine\n")
        said = self.world.run("heal", path, "--into", lock.parent, "--output", self.world.folder / "none", status=2).stderr
        self.assertIn(f"{lock} is there already", said)
        self.assertEqual([file.name for file in lock.parent.iterdir()], ["pylock.toml"])
        self.assertEqual((lock.read_text(), (self.world.folder / "none").exists()), ("# mine\n", False))


if __name__ == "__main__":
    unittest.main()
