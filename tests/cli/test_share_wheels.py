"""push --wheels: wheels of artifacts, their index, and what pip makes of both. The fixture's Python packages are written by hand: one that is plain, one with a library that stands in lib/."""
import base64
import csv
import hashlib
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest
import zipfile

import pythons
import test_triage
from fixture import World, sha256
from sharing import Place, channel_of

SITE = "lib/python3.11/site-packages"


def info(name, version, tag, requires="", files=(), metadata_name=None):
    """Shell text that writes a dist-info; `files` are below the prefix."""
    folder = f"$DESTDIR$PREFIX/{SITE}/{name}-{version}.dist-info"
    record = "".join(f"{os.path.relpath(path, SITE)},,\n" for path in files)
    return f"""
mkdir -p {folder}
printf 'Metadata-Version: 2.1\\nName: {metadata_name or name}\\nVersion: {version}\\nSummary: For tests\\n{requires}Requires-Python: >=3.7\\n\\nVersion: not this one\\n' > {folder}/METADATA
printf 'Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: {tag}\\n' > {folder}/WHEEL
printf '[console_scripts]\\nshout-word = shoutpy:main\\n' > {folder}/entry_points.txt
printf '{record}{name}-{version}.dist-info/METADATA,,\\n' > {folder}/RECORD
"""


SHOUTPY = '''import ctypes, os
_core = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "core.so"))
_core.loud.restype = ctypes.c_char_p
def main():
    print(_core.loud().decode())
'''


def add_packages(world):
    world.script("plainpy", version="1.5", install_script=f"""
        mkdir -p $DESTDIR$PREFIX/{SITE}/plainpy
        echo 'here = True' > $DESTDIR$PREFIX/{SITE}/plainpy/__init__.py
        """ + info("plainpy", "1.5", "py2-none-any\\nTag: py3-none-any", files=[f"{SITE}/plainpy/__init__.py"]))
    world.script("shoutpy", version="2.0", needs="needs:\n  run: [libword, plainpy]\n",
                 install_script=f"""
        mkdir -p $DESTDIR$PREFIX/{SITE}/shoutpy $DESTDIR$PREFIX/bin $DESTDIR$PREFIX/share/shoutpy
        printf '%s' '{SHOUTPY}' > $DESTDIR$PREFIX/{SITE}/shoutpy/__init__.py
        printf '#include <word.h>\\nconst char *loud(void) {{ return word(); }}\\n' > core.c
        gcc -shared -fPIC $CPPFLAGS -o $DESTDIR$PREFIX/{SITE}/shoutpy/core.so core.c $LDFLAGS -lword
        printf '#!/bin/sh\\n' > $DESTDIR$PREFIX/bin/shout-word
        printf '#!/bin/sh\\necho helper\\n' > $DESTDIR$PREFIX/bin/shout-helper
        chmod 755 $DESTDIR$PREFIX/bin/*
        echo data > $DESTDIR$PREFIX/share/shoutpy/data.txt
        """ + info("shoutpy", "2.0", "py3-none-linux_x86_64", "Requires-Dist: PlainPy (>=1)\\n",
                   [f"{SITE}/shoutpy/__init__.py", f"{SITE}/shoutpy/core.so", "bin/shout-word", "bin/shout-helper", "share/shoutpy/data.txt"], metadata_name="ShoutPy"))
    world.stack("pys", {"shoutpy": "2.0"}, pins={"libword": "1.0", "plainpy": "1.5"})


def wheels(place):
    return {path.name: path for path in pathlib.Path(place, "wheels").glob("*/*.whl")}


def entries(place, project):
    return json.loads(pathlib.Path(place, f"simple/k10/{project}/index.json").read_text())["files"]


class Wheels(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = World()
        add_packages(cls.world)
        cls.world.build("pys")
        cls.memory = Place()
        cls.config = cls.memory.folder / "config"
        cls.run_in("keygen", "--name", "Anna", "--recovery", cls.world.folder / "recovery.key")
        cls.place = cls.memory.folder / "place"
        cls.said = cls.push(cls.place)

    @classmethod
    def tearDownClass(cls):
        cls.world.close()
        cls.memory.close()

    @classmethod
    def run_in(cls, *arguments, **more):
        env = {"IRONWHEEL_CONFIG": cls.config, "TMPDIR": cls.memory.folder, **more.pop("env", {})}
        return cls.world.run(*arguments, env=env, **more)

    @classmethod
    def push(cls, place, stack="pys", **more):
        return json.loads(cls.run_in("push", stack, place, "--wheels", "--json", **more).stdout.splitlines()[-1])

    def serve(self, place, as_json=False):
        """The folder on the world's server, JSON pages at the place of the HTML ones where asked for. Gives the index's URL."""
        server = self.world.server
        for path in pathlib.Path(place).rglob("*"):
            if path.is_file():
                name = "/" + str(path.relative_to(place)).replace("+", "%2B")
                server.files[f"/{place.name}{name}"] = path.read_bytes()
                page = f"/{place.name}{name.removesuffix('index.html')}"
                if path.name == "index.html":
                    server.files[page] = path.with_name("index.json" if as_json else "index.html").read_bytes()
                    server.types[page] = "application/vnd.pypi.simple.v1+json" if as_json else "text/html"
        return f"{server.url}/{place.name}/simple/k10/"

    def venv(self, name):
        where = self.memory.folder / name
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where)], check=True)
        return where

    def pip(self, venv, *arguments, status=0, python=sys.executable):
        """That Python's pip, on that venv."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.world.home), "PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
        done = subprocess.run([python, "-m", "pip", "--python", str(venv / "bin/python"), *map(str, arguments)], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    @staticmethod
    def version_of_pip(python):
        """None where it has none that can be told of a venv."""
        done = subprocess.run([python, "-m", "pip", "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False) if os.path.exists(python) else None
        return done.stdout.split()[1] if done and done.returncode == 0 else None

    def python(self, venv, code):
        return subprocess.run([str(venv / "bin/python"), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_names_and_contents(self):
        found = wheels(self.place)
        self.assertEqual(sorted(re.sub(r"manylinux_2_\d+", "manylinux", name) for name in found),
                         ["iw_cpu-1+k10-py3-none-any.whl", "iw_libword-1.0+k10-py3-none-manylinux_x86_64.whl", "plainpy-1.5+k10-py2.py3-none-any.whl",
                          "shoutpy-2.0+k10-py3-none-manylinux_x86_64.whl"])
        self.assertEqual(self.said["wheels"], 4)
        (plain,) = [path for name, path in found.items() if name.startswith("plainpy")]
        with zipfile.ZipFile(plain) as wheel:
            self.assertTrue(wheel.read("plainpy-1.5+k10.dist-info/WHEEL").decode().endswith("\nTag: py2-none-any\nTag: py3-none-any\n"))
        (shout,) = [path for name, path in found.items() if name.startswith("shoutpy")]
        with zipfile.ZipFile(shout) as wheel:
            names = wheel.namelist()
            self.assertEqual(names, sorted(names, key=lambda name: name.split("/")))
            self.assertEqual({entry.date_time for entry in wheel.infolist()}, {(1980, 1, 1, 0, 0, 0)})
            self.assertIn("shoutpy-2.0+k10.data/scripts/shout-helper", names)
            self.assertIn("shoutpy-2.0+k10.data/data/share/shoutpy/data.txt", names)
            self.assertFalse([name for name in names if name.endswith("shout-word")], "pip makes it of its entry point")
            metadata = wheel.read("shoutpy-2.0+k10.dist-info/METADATA").decode()
            self.assertEqual(metadata, "Metadata-Version: 2.1\nName: ShoutPy\nVersion: 2.0+k10\nSummary: For tests\nRequires-Dist: PlainPy (>=1)\nRequires-Python: >=3.7\n"
                             "Requires-Dist: iw-cpu==1+k10\nRequires-Dist: iw-libword==1.0+k10\n\nVersion: not this one\n")
            rows = list(csv.reader(io.StringIO(wheel.read("shoutpy-2.0+k10.dist-info/RECORD").decode())))
            self.assertEqual(sorted(row[0] for row in rows), sorted(names))
            for name, digest, size in rows:
                if digest:
                    data = wheel.read(name)
                    self.assertEqual((digest, int(size)), ("sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("="), len(data)))

    def test_the_same_artifacts_give_the_same_bytes(self):
        """In another place, time zone and locale."""
        other = self.memory.folder / "other"
        self.push(other, env={"TZ": "Pacific/Auckland", "LC_ALL": "C", "TMPDIR": self.world.home})
        self.assertEqual({name: sha256(path.read_bytes()) for name, path in wheels(other).items()}, {name: sha256(path.read_bytes()) for name, path in wheels(self.place).items()})
        self.assertEqual((other / "pylock.pys-k10.toml").read_bytes(), (self.place / "pylock.pys-k10.toml").read_bytes())

    def test_pages(self):
        html = (self.place / "simple/k10/shoutpy/index.html").read_text()
        (entry,) = entries(self.place, "shoutpy")
        file = self.place / "simple/k10/shoutpy" / entry["url"].replace("%2B", "+")
        self.assertEqual(sha256(file.read_bytes()), entry["hashes"]["sha256"])
        self.assertEqual(file.stat().st_size, entry["size"])
        self.assertEqual(sha256(file.with_name(file.name + ".metadata").read_bytes()), entry["core-metadata"]["sha256"])
        self.assertEqual((entry["yanked"], entry["requires-python"]), (False, ">=3.7"))
        self.assertNotIn("dist-info-metadata", entry, "Debian 12's pip can't read it there")
        for text in (f'href="{entry["url"]}#sha256={entry["hashes"]["sha256"]}"', 'data-requires-python="&gt;=3.7"', f'data-core-metadata="sha256={entry["core-metadata"]["sha256"]}"'):
            self.assertIn(text, html)
        self.assertNotIn("dist-info-metadata", html, "Debian 12's pip reads it there, and refuses names that are spelt otherwise")
        self.assertEqual([one["name"] for one in json.loads((self.place / "simple/k10/index.json").read_text())["projects"]], ["iw-cpu", "iw-libword", "plainpy", "shoutpy"])

    def test_pip_takes_it_from_html_and_json(self):
        """With the pip of the Python that runs this, and with the distribution's, which may be older."""
        pythons = {python: version for python in (sys.executable, "/usr/bin/python3") if (version := self.version_of_pip(python))}
        self.assertTrue(pythons)
        for (python, version), kind in itertools.product(pythons.items(), ("html", "json")):
            with self.subTest(kind, pip=version):
                url, venv = self.serve(self.place, kind == "json"), self.venv(f"venv-{kind}-{version}")
                self.world.server.seen.clear()
                self.pip(venv, "install", "--index-url", url, "shoutpy", python=python)
                asked = [path for path, _ in self.world.server.seen]
                if tuple(map(int, version.split(".")[:2])) >= (23, 2):
                    self.assertTrue([path for path in asked if path.endswith(".whl.metadata")])
                self.assertIn("No broken requirements found", self.pip(venv, "check"))
                self.assertEqual(self.python(venv, "import shoutpy, plainpy; shoutpy.main()").stdout, "wheel\n")
                for program, said in (("shout-word", "wheel\n"), ("shout-helper", "helper\n")):
                    self.assertEqual(subprocess.run([str(venv / "bin" / program)], stdout=subprocess.PIPE, text=True, check=True).stdout, said)

    def test_a_changed_wheel_is_refused_by_pip(self):
        url, venv = self.serve(self.place), self.venv("venv-changed")
        path = next(path for path in self.world.server.files if path.startswith("/place/wheels/") and "/plainpy" in path and path.endswith(".whl"))
        self.addCleanup(self.world.server.files.__setitem__, path, self.world.server.files[path])
        data = bytearray(self.world.server.files[path])
        data[100] ^= 1
        self.world.server.files[path] = bytes(data)
        self.assertIn("hash", self.pip(venv, "install", "--index-url", url, "plainpy", status=1).lower())

    def test_another_cpu_is_told_at_import(self):
        venv = self.venv("venv-cpu")
        self.pip(venv, "install", "--index-url", self.serve(self.place), "shoutpy")
        other = 'import _iw_cpu; _iw_cpu._cpu = lambda: ("Old CPU", {"sse2", "pni"}); _iw_cpu.start()\n'
        said = self.python(venv, other + "import plainpy, json; print('plain', plainpy.here)\nimport shoutpy").stdout
        self.assertIn("plain True", said)
        self.assertRegex(said, r"ImportError: ShoutPy 2\.0\+k10 was compiled for k10; this CPU \(Old CPU\) lacks .*abm.*popcnt")
        # each METADATA is parsed once or twice, not for every file that RECORD names: torch has ten thousand
        count = "import email, importlib.metadata\nreal, parsed = email.message_from_string, []\nemail.message_from_string = lambda text: parsed.append(text) or real(text)\n"
        said = self.python(venv, count + other + "try:\n    import shoutpy\nexcept ImportError:\n    print('parsed', max(map(parsed.count, parsed)))").stdout
        self.assertRegex(said, "parsed [12]\n")
        own = self.python(venv, 'import _iw_cpu; _iw_cpu._cpu = lambda: ("Phenom", set(_iw_cpu.NEEDS.split())); _iw_cpu.start()\nimport shoutpy; shoutpy.main()')
        self.assertEqual(own.stdout, "wheel\n")

    def test_pushed_again_nothing_changes(self):
        place = self.memory.folder / "again"
        self.push(place)
        before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and path.parts[-2] not in ("channels",)}
        said = self.push(place)
        self.assertEqual((said["bytes"], said["unchanged"]), (0, True))
        self.assertEqual({path: path.read_bytes() for path in before}, before)

    def test_the_channel_names_wheels_and_prune_knows_them(self):
        place = self.memory.folder / "pruned"
        self.push(place)
        _, channel = channel_of(place)
        (name,) = channel["bundles"]
        found = {sha256(path.read_bytes()): path for path in wheels(place).values()}
        self.assertEqual({digest: (one["file"], one["label"], one["bundles"], one["size"]) for digest, one in channel["wheels"].items()},
                         {digest: (path.name, "k10", name, path.stat().st_size) for digest, path in found.items()})
        # a bundle that takes its place, of other packages
        self.world.stack("pys", {"plainpy": "1.5"})
        stack = self.world.tree / "recipes/stacks/pys.yaml"
        stack.write_text(stack.read_text().replace("version: 1\n", "version: 2\n"))
        self.addCleanup(self.world.stack, "pys", {"shoutpy": "2.0"}, pins={"libword": "1.0", "plainpy": "1.5"})
        self.world.build("pys")
        self.push(place)
        self.assertEqual(len(entries(place, "shoutpy")), 1, "both bundles are offered")
        self.run_in("push", place, "--prune", "1")
        _, channel = channel_of(place)
        gone = {one["file"] for one in channel["wheels"].values() if "bundles" not in one}
        self.assertEqual(sorted(name.split("-")[0] for name in gone), ["iw_cpu", "iw_libword", "shoutpy"])
        self.assertEqual((entries(place, "shoutpy"), len(entries(place, "plainpy"))), ([], 1))
        self.assertEqual(len(wheels(place)), 4, "who read the old page still finds them")
        self.run_in("push", place, "--prune", "1", env=self.at(time.time() + 8 * 86400))
        self.assertEqual(list(wheels(place)), ["plainpy-1.5+k10-py2.py3-none-any.whl"])
        self.run_in("push", place, "--prune", "1", "--renew", env=self.at(time.time() + 40 * 86400))
        self.assertEqual(len(channel_of(place)[1]["wheels"]), 1)

    def at(self, when):
        library = self.memory.folder / "clock.so"
        if not library.exists():
            source = "#include <stdlib.h>\n#include <time.h>\ntime_t time(time_t *out) { time_t now = atoll(getenv(\"TEST_NOW\")); if (out) *out = now; return now; }\n"
            subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=source.encode(), check=True)
        later = self.memory.folder / "later"  # a configuration that has seen the future
        shutil.copytree(self.config, later, dirs_exist_ok=True)
        return {"LD_PRELOAD": library, "TEST_NOW": int(when), "IRONWHEEL_CONFIG": later}

    def test_wheels_of_a_withdrawn_bundle_are_yanked(self):
        place = self.memory.folder / "yanked"
        self.push(place)
        (name,) = channel_of(place)[1]["bundles"]
        self.run_in("withdraw", name, place, "--why", "it <shouts>")
        self.assertEqual({project: entries(place, project)[0]["yanked"] for project in ("shoutpy", "plainpy")}, {"shoutpy": "it <shouts>", "plainpy": "it <shouts>"})
        self.assertIn('data-yanked="it &lt;shouts&gt;"', (place / "simple/k10/shoutpy/index.html").read_text())
        self.run_in("withdraw", name, place, "--undo")
        self.assertEqual(entries(place, "shoutpy")[0]["yanked"], False)

    def test_others_files_stay_and_hostile_ones_go(self):
        place = self.memory.folder / "shared"
        self.push(place)
        page = place / "simple/k10/plainpy/index.json"
        found = json.loads(page.read_text())
        digest = "a" * 64
        friend = {**found["files"][0], "filename": "plainpy-1.4+k10-py3-none-any.whl", "hashes": {"sha256": digest}, "url": "https://evil.example/x.whl", "yanked": "<b>old", "_bundle": "friends-1"}
        bad = [{**friend, **change} for change in ({"filename": "../plainpy-1.0-py3-none-any.whl"}, {"filename": "numpy-1.0-py3-none-any.whl"}, {"hashes": {"sha256": "x"}},
                                                   {"requires-python": '"><script>'}, {"upload-time": "<script>"}, {"size": -1}, {"filename": "plainpy-1-\"<script>-none-any.whl"})]
        page.write_text(json.dumps({**found, "files": [*found["files"], friend, *bad]}))
        done = self.run_in("push", "pys", place, "--wheels")
        self.assertIn("7 entries", done.stdout + done.stderr)
        after = {one["filename"]: one for one in entries(place, "plainpy")}
        self.assertEqual(sorted(after), ["plainpy-1.4+k10-py3-none-any.whl", "plainpy-1.5+k10-py2.py3-none-any.whl"])
        self.assertEqual(after["plainpy-1.4+k10-py3-none-any.whl"]["url"], f"../../../wheels/{digest[:12]}/plainpy-1.4%2Bk10-py3-none-any.whl")
        html = page.with_name("index.html").read_text()
        self.assertNotIn("script", html)
        self.assertIn('data-yanked="&lt;b&gt;old"', html)

    def test_names_that_are_hostile_are_refused(self):
        for number, (name, version, other) in enumerate((("liar", "1.0", "numpy"), ("odd", "1.0-../../up", None))):
            with self.subTest(name):
                folder_version = re.sub(r"[^0-9.]", "", version)
                text = info(name, folder_version, "py3-none-any", metadata_name=other).replace(f"\\nVersion: {folder_version}\\n", f"\\nVersion: {version}\\n", 1)
                self.world.script(name, install_script=text)
                self.world.stack(f"hostile{number}", {name: "1"})
                self.world.build(f"hostile{number}")
                place = self.memory.folder / f"hostile{number}"
                done = self.run_in("push", f"hostile{number}", place, "--wheels", status=1)
                self.assertIn("no wheel is made of it", done.stderr)
                self.assertFalse((place / "simple").exists())
                self.assertFalse((place / "channels").exists())

    def test_what_is_not_built_has_no_wheels(self):
        self.world.script("unbuilt", install_script="true")
        self.world.stack("unbuilt", {"unbuilt": "1"})
        self.assertIn("ironwheel build unbuilt", self.run_in("push", "unbuilt", self.world.folder / "unbuilt", "--wheels", status=1).stderr)

    def test_the_lock_file_is_signed_and_names_every_wheel(self):
        text = (self.place / "pylock.pys-k10.toml").read_text()
        for place, digest in re.findall(r'path = "([^"]+)"\nsize = \d+\nhashes = { sha256 = "([0-9a-f]{64})" }', text):
            self.assertEqual(sha256((self.place / place).read_bytes()), digest)
        self.assertEqual(text.count("[[packages.wheels]]"), 4)
        self.assertIn("trusted comment: ironwheel lock pylock.pys-k10.toml", (self.place / "pylock.pys-k10.toml.minisig").read_text())


class Curious(pythons.World):
    """The small world with an index of published wheels, which triage tries."""
    compile, module, one, wheel, triage = (getattr(test_triage.World, name) for name in ("compile", "module", "one", "wheel", "triage"))


class Curated(unittest.TestCase):
    """`push --wheels --with-upstream`: from our index alone pip takes what works, and can't bring what dies."""
    serve, venv, pip, python = Wheels.serve, Wheels.venv, Wheels.pip, Wheels.python

    def setUp(self):
        self.world, self.memory = Curious(), Place()
        self.addCleanup(self.world.close)
        self.addCleanup(self.memory.close)
        self.config = self.memory.folder / "config"

    def run_in(self, *arguments, **more):
        return self.world.run(*arguments, env={"IRONWHEEL_CONFIG": self.config, "TMPDIR": self.memory.folder}, **more)

    def test_what_works_is_listed_and_what_dies_is_not(self):
        world, place = self.world, self.memory.folder / "curated"
        suffix, dying = test_triage.SUFFIX, test_triage.PINSRQ
        add_packages(world)
        world.build("pys")
        world.publish_wheel("helper", "1.0", {"helper.py": "here = True\n"})
        world.publish_wheel("plainpy", "9.0", {"plainpy.py": "here = False\n"})
        world.wheel("lives", {f"lives{suffix}": world.module("lives")}, requires=["helper"])
        world.wheel("mixed", {f"mixed{suffix}": world.module("mixed")})
        world.wheel("mixed", {f"mixed{suffix}": world.module("mixed", on_import=dying)}, version="2.0")
        world.wheel("dies", {f"dies{suffix}": world.module("dies", on_import=dying)})
        world.wheel("untried", {f"untried{suffix}": world.module("untried")})
        self.run_in("keygen", "--recovery", self.memory.folder / "recovery.key")
        self.assertIn("no published wheel is known to work on k10", self.run_in("push", "pys", place, "--wheels", "--with-upstream").stderr)
        self.assertIn("about the index of --wheels", self.run_in("push", "pys", place, "--with-upstream", status=2).stderr)
        rows = world.triage("-p", "k10", "lives", "mixed==1.0", "dies", "plainpy")
        self.assertEqual({name: row["verdict"] for name, row in rows.items()}, {"lives": "imports", "mixed": "imports", "dies": "dies-at-import", "plainpy": "imports"})
        world.triage("-p", "k10", "mixed")
        self.run_in("push", "pys", place, "--wheels", "--with-upstream")
        listed = {one["name"]: [file["filename"] for file in entries(place, one["name"])] for one in json.loads((place / "simple/k10/index.json").read_text())["projects"]}
        self.assertEqual({name: files for name, files in listed.items() if not name.startswith("iw-")},
                         {"helper": ["helper-1.0-py3-none-any.whl"], "lives": [f"lives-1.0-{test_triage.PLATFORM}.whl"], "mixed": [f"mixed-1.0-{test_triage.PLATFORM}.whl"],
                          "plainpy": ["plainpy-1.5+k10-py2.py3-none-any.whl"], "shoutpy": [file for file in listed["shoutpy"] if file.startswith("shoutpy-2.0+k10-")]})
        (entry,) = entries(place, "lives")
        self.assertEqual((entry["url"], entry["hashes"]["sha256"], entry["size"], entry["_published"]),
                         (f"{world.server.url}/files/{entry['filename']}", sha256(world.server.files[f"/files/{entry['filename']}"]), len(world.server.files[f"/files/{entry['filename']}"]), True))
        # with this index alone
        venv, url = self.venv("venv"), self.serve(place)
        self.pip(venv, "install", "--index-url", url, "lives", "mixed", "shoutpy")
        self.assertIn("No broken requirements found", self.pip(venv, "check"))
        self.assertEqual(self.python(venv, "import lives, mixed, helper, plainpy; print(plainpy.here)").stdout, "True\n")
        for name in ("dies", "untried", "mixed==2.0"):
            self.assertRegex(self.pip(venv, "download", "--index-url", url, name, status=1), "No matching distribution")
        # the bytes must be those that were tried
        path = f"/files/{entry['filename']}"
        world.server.files[path] = world.server.files[path] + b"more"
        self.assertIn("hash", self.pip(self.venv("other"), "install", "--index-url", url, "lives", status=1).lower())
        # what dies after all goes; and a stranger's entry with an address that no page may hold, too
        page = place / "simple/k10/mixed/index.json"
        found = json.loads(page.read_text())
        evil = [{**found["files"][0], "url": url} for url in ("javascript:alert(1)", 'https://x/"><script>', "http://user@host/x", "file:///etc/passwd", "//x/y")]
        page.write_text(json.dumps({**found, "files": [*found["files"], *evil]}))
        world.cache.joinpath("history/triage").mkdir(exist_ok=True)
        for kept in world.cache.glob("history/triage/*.json"):
            result = json.loads(kept.read_text())
            if result["package"] == "mixed" and result["version"] == "1.0":
                kept.write_text(json.dumps({**result, "verdict": "dies-in-use"}))
        said = self.run_in("push", "pys", place, "--wheels", "--with-upstream")
        self.assertIn("5 entries", said.stdout + said.stderr)
        self.assertEqual(entries(place, "mixed"), [])


if __name__ == "__main__":
    unittest.main()
