"""`bump`: a package of a stack moves to another release, or nothing changes."""
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import textwrap
import time
import unittest
import zipfile

import fixture

JSON = "application/vnd.pypi.simple.v1+json"
# Lines that a patch can stand on, and a word that a check asks for.
TONE = """\
    #include <stdio.h>
    {above}
    /* {said}
     */
    static const char *word = "{word}";
    int main(void)
    {{
        puts(word);
        return {status};
    }}
    """
PATCH = """\
    Description: say it louder
    Author: A. Person
    Forwarded: no
    Applies-To: 1.0{proof}
    ---
    --- a/tone.c
    +++ b/tone.c
    @@ -3,6 +3,6 @@
     /* what it says
      */
    -static const char *word = "low";
    +static const char *word = "HIGH";
     int main(void)
     {{
         puts(word);
    """
NEEDLESS = """\
    Description: a remark
    Author: A. Person
    Forwarded: no
    Applies-To: 1.0
    ---
    --- a/README
    +++ b/README
    @@ -1 +1 @@
    -read me
    +do read me
    """
MAKEFILE = "tone: tone.c\n\t$(CC) $(CFLAGS) -o $@ $<\ninstall: tone\n\tinstall -D -m 755 tone $(DESTDIR)$(PREFIX)/bin/tone\n"


def digest_of(tree):
    """Over all that the tree holds but dist/."""
    hashed = hashlib.sha256()
    for path in sorted(pathlib.Path(tree).rglob("*")):
        if path.is_file() and "dist" not in path.relative_to(tree).parts:
            hashed.update(f"{path.relative_to(tree)} {path.stat().st_size}\n".encode() + path.read_bytes())
    return hashed.hexdigest()


class Bump(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        w = cls.world
        cls.index = {}
        cls.release("1.0")
        w.write("patches/tone/0001-louder.patch", PATCH.format(proof="\n    Proof: loud"))
        w.write("recipes/tone/1.0.yaml", f"""\
            # A tone, for tests.
            name: tone
            version: 1.0   # the first
            summary: A program that says a word
            licence: MIT
            sources:
              - pypi: tone
                file: tone-1.0.tar.gz
                sha256: {cls.index['tone-1.0.tar.gz']['hashes']['sha256']}
            patches: [0001-louder.patch]   # see there
            build:
              system: make
            checks:
              - name: loud
                shell: '"$IRONWHEEL_ENVIRONMENT/bin/tone" && test "$("$IRONWHEEL_ENVIRONMENT/bin/tone")" = HIGH'
            """)
        w.stack("tones", {"tone": "1.0"})
        w.stack("others", {"tone": "1.0", "shout": "2.0"}, pins={"libword": "1.0"})
        cls.publish()
        w.run("build", "tones")
        cls.pristine = pathlib.Path(w.folder, "pristine")
        shutil.copytree(w.tree, cls.pristine)

    @classmethod
    def release(cls, version, word="low", above="", status=0, age=30, said="what it says", project="", info="", makefile=MAKEFILE, **more):
        files = {f"tone-{version}/tone.c": textwrap.dedent(TONE).format(word=word, above=above, said=said, status=status), f"tone-{version}/Makefile": makefile,
                 f"tone-{version}/README": "read me\n", f"tone-{version}/PKG-INFO": f"Metadata-Version: 2.1\nName: tone\nVersion: {version}\nRequires-Python: >=3.8\n{info}"}
        if project:
            files[f"tone-{version}/pyproject.toml"] = project
        data = fixture.tarball(files)
        name = f"tone-{version}.tar.gz"
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age * 86400))
        cls.index[name] = {"filename": name, "url": f"{cls.world.server.url}/packages/{name}", "hashes": {"sha256": cls.world.serve(f"/packages/{name}", data)},
                           "requires-python": ">=3.8", "yanked": False, "upload-time": when, **more}

    @classmethod
    def publish(cls):
        cls.world.server.files["/simple/tone/"] = json.dumps({"meta": {"api-version": "1.1"}, "name": "tone", "files": list(cls.index.values())}).encode()
        cls.world.server.types["/simple/tone/"] = JSON

    def others(self, name, *versions, needs="", info="", install="", error="", recipes=1):
        """Releases of another project behind an index that tells no more than their digests, and recipes of the first ones."""
        links = ""
        for version in versions:
            file = f"{name}-{version}.tar.gz"
            digest = self.world.serve(f"/packages/{file}", fixture.tarball({f"{name}-{version}/tone.c": f'#include <stdio.h>\n{error if version != versions[0] else ""}\nint main(void) {{ return puts("{name} {version}") < 0; }}\n',
                                                                            f"{name}-{version}/PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{info.get(version, '') if isinstance(info, dict) else info}",
                                                                            f"{name}-{version}/Makefile": MAKEFILE.replace("tone", name).replace(f"{name}.c", "tone.c") + install}))
            links += f'<a href="/packages/{file}#sha256={digest}">{file}</a>'
            if version in versions[:recipes]:
                self.world.write(f"recipes/{name}/{version}.yaml", f"name: {name}\nversion: {version}\nsummary: Rings\nlicence: MIT\nsources:\n"
                                                                   f"  - {{pypi: {name}, file: {file}, sha256: {digest}}}\n{needs}build:\n  system: make\n")
        self.world.server.files[f"/simple/{name}/"] = links.encode()

    def setUp(self):
        w = self.world
        shutil.rmtree(w.tree)
        shutil.copytree(self.pristine, w.tree)
        subprocess.run(f"rm -rf {w.cache}/work/bump-*", shell=True, check=True)
        for name in [name for name in self.index if name != "tone-1.0.tar.gz"]:
            del self.index[name]
        self.world.server.lies.clear()
        self.before = digest_of(w.tree)

    def bump(self, *options, status=0, **more):
        done = self.world.run("bump", *options, "--stack", "tones", "--json", status=status, **more)
        reports = [json.loads(line) for line in done.stdout.splitlines()]
        report = [line for line in reports if "verdict" in line]
        return report[-1] if report else None, done

    def unchanged(self):
        self.assertEqual(digest_of(self.world.tree), self.before)

    def text(self, path):
        return (self.world.tree / path).read_text()

    # --- it holds ---

    def test_newest(self):
        self.release("1.1")
        self.release("1.2", age=2)
        self.release("1.3rc1")
        self.release("1.4", **{"requires-python": ">=3.99"})
        self.release("1.5", yanked="it was broken")
        self.publish()
        report, _ = self.bump("tone")
        self.assertEqual((report["verdict"], report["to"]), ("bumped", "1.1"))
        reasons = {one["version"]: one["reason"] for one in report["passed_over"]}
        self.assertEqual(sorted(reasons), ["1.2", "1.3rc1", "1.4", "1.5"])
        self.assertIn("published 2 days ago", reasons["1.2"])
        self.assertEqual(reasons["1.4"], "needs Python >=3.99")
        self.assertEqual(reasons["1.5"], "yanked: it was broken")
        recipe = self.text("recipes/tone/1.1.yaml")
        self.assertEqual(recipe, self.text("recipes/tone/1.0.yaml").replace("version: 1.0 ", "version: 1.1 ").replace("tone-1.0", "tone-1.1").replace(
            self.index["tone-1.0.tar.gz"]["hashes"]["sha256"], self.index["tone-1.1.tar.gz"]["hashes"]["sha256"]))
        self.assertIn("Applies-To: 1.0, 1.1\n", self.text("patches/tone/0001-louder.patch"))
        self.assertIn("  tone: 1.1\n", self.text("recipes/stacks/tones.yaml"))
        self.assertIn("  tone: 1.0\n", self.text("recipes/stacks/others.yaml"))
        self.assertEqual([(one["result"], one["done"]) for one in report["patches"]], [("clean", "kept")])
        self.assertEqual([(one["result"], one["check"]) for one in report["proofs"]], [("needed", "loud")])
        self.assertEqual(report["difference"]["packages"], [{"name": "tone", "from": "1.0", "to": "1.1"}])
        self.assertTrue(all(row["action"] == "reuse" for row in self.world.plan("tones").values()))
        self.assertIn("nothing to do", self.world.run("build", "tones").stdout)
        self.assertIn("nothing to do", self.world.run("build", "-C", ".", "tones").stdout)
        self.world.run("plan", "others")
        # Nothing newer is an answer.
        report, _ = self.bump("tone")
        self.assertEqual(report["verdict"], "nothing newer")

    def test_the_diff_is_the_change(self):
        self.release("1.1", above="/* one\n   more\n   thing */")
        self.publish()
        done = self.world.run("bump", "tone", "--stack", "tones", "--dry-run")
        self.unchanged()
        applied = pathlib.Path(self.world.folder, "applied")
        shutil.copytree(self.world.tree, applied)
        subprocess.run(["git", "apply", "-"], input=done.stdout, text=True, cwd=applied, check=True)
        report, _ = self.bump("tone")
        self.assertEqual(report["verdict"], "bumped")
        self.assertEqual(digest_of(applied), digest_of(self.world.tree))
        shutil.rmtree(applied)
        # The patch had moved: a copy of its own for this release, the old one as it was.
        self.assertEqual(report["patches"][0]["done"], "refreshed")
        fresh = self.text("patches/tone/0001-louder-1.1.patch")
        self.assertIn("@@ -5,6 +5,6 @@", fresh)
        self.assertIn("Applies-To: 1.1\n", fresh)
        self.assertIn("Refreshed: from 0001-louder.patch; hunk 1 of tone.c stands 2 lines further down\n", fresh)
        self.assertIn("patches: [0001-louder-1.1.patch]   # see there\n", self.text("recipes/tone/1.1.yaml"))
        self.assertIn("Applies-To: 1.0\n", self.text("patches/tone/0001-louder.patch"))

    def test_upstream_has_it(self):
        self.release("1.1", word="HIGH")
        self.publish()
        report, _ = self.bump("tone")
        self.assertEqual([(one["result"], one["done"]) for one in report["patches"]], [("upstream", "dropped")])
        self.assertNotIn("patches:", self.text("recipes/tone/1.1.yaml"))
        self.assertIn("Not-Needed-From: 1.1 (upstream has it)\n", self.text("patches/tone/0001-louder.patch"))

    def test_a_needless_patch_goes(self):
        self.world.write("patches/tone/0002-remark.patch", NEEDLESS)
        recipe = self.world.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("louder.patch]", "louder.patch, 0002-remark.patch]"))
        self.release("1.1")
        self.publish()
        report, _ = self.bump("tone")
        self.assertEqual([one["result"] for one in report["proofs"]], ["needed", "needless"])
        self.assertIn("patches: [0001-louder.patch]   # see there\n", self.text("recipes/tone/1.1.yaml"))
        self.assertIn("Not-Needed-From: 1.1 (the same bytes without it)\n", self.text("patches/tone/0002-remark.patch"))
        self.assertTrue(all(row["action"] == "reuse" for row in self.world.plan("tones").values()))

    def test_there_and_back(self):
        self.release("1.1")
        self.publish()
        self.bump("tone")
        forward = digest_of(self.world.tree)
        report, _ = self.bump("tone", "1.0")
        self.assertEqual((report["verdict"], report["to"]), ("bumped", "1.0"))
        self.assertEqual(self.text("recipes/tone/1.0.yaml"), (self.pristine / "recipes/tone/1.0.yaml").read_text())
        self.assertEqual(self.text("recipes/stacks/tones.yaml"), (self.pristine / "recipes/stacks/tones.yaml").read_text())
        self.bump("tone", "1.1")
        self.assertEqual(digest_of(self.world.tree), forward)

    def test_stacks_without_a_pin_keep_their_version(self):
        w = self.world
        w.write("recipes/horn/1.yaml", "name: horn\nversion: 1\nsummary: Needs a tone\nlicence: MIT\nneeds:\n  run: [tone]\nbuild:\n  system: script\n  finish: |\n"
                                       "    mkdir -p share\n    echo horn > share/horn\n")
        w.stack("horns", {"horn": "1"})
        self.release("1.1")
        self.publish()
        self.assertEqual(w.plan("horns")["tone"]["version"], "1.0")
        self.bump("tone")
        self.assertEqual(w.plan("horns")["tone"]["version"], "1.0")
        self.assertIn("pins:\n  tone: 1.0\n", self.text("recipes/stacks/horns.yaml"))

    def test_links_of_a_page(self):
        w = self.world
        where = w.tree / "recipes/libword/1.0.yaml"
        where.write_text(where.read_text() + f"watch: {w.server.url}/list/ libword-([0-9.]+)\\.tar\\.gz\n")
        w.serve("/list/", b'<a href="../files/libword-1.0.tar.gz">x</a> <a href="/files/libword-1.1.tar.gz">x</a>')
        digest = w.serve("/files/libword-1.1.tar.gz", fixture.tarball({name.replace("1.0", "1.1"): text for name, text in fixture.LIBWORD.items()}))
        done = w.run("bump", "libword", "--stack", "words", "--dry-run")
        self.assertIn("nobody vouches for it", done.stdout)
        self.assertIn(f"+  - url: {w.server.url}/files/libword-1.1.tar.gz\n", done.stdout)
        self.assertIn(f"+    sha256: {digest}\n", done.stdout)
        self.assertIn("-  libword: 1.0\n+  libword: 1.1\n", done.stdout)

    def test_tags_of_a_repository(self):
        w = self.world
        served = pathlib.Path(w.folder, "served")
        work = pathlib.Path(w.folder, "words")
        for folder in (served, work):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", **{f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
        git = lambda *words: subprocess.run(["git", "-C", work, *words], check=True, env=environment, stdout=subprocess.PIPE, text=True).stdout.strip()
        git("init", "-q", "-b", "main")
        commits = {}
        for version in ("1.0", "1.1"):
            (work / "words.txt").write_text(f"words {version}\n")
            git("add", ".")
            git("commit", "-q", "-m", version)
            git("tag", "-a", "-m", version, f"v{version}")
            commits[version] = git("rev-parse", "HEAD")
        git("clone", "-q", "--bare", ".", served / "words.git")
        server = subprocess.Popen(["python3", "-B", fixture.ROOT / "tests/servers/serve.py", served, pathlib.Path(w.folder, "served.log")], stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/git/words.git"
        self.addCleanup(server.stdout.close)
        recipe = lambda digest: w.write("recipes/wordlist/1.0.yaml", f"name: wordlist\nversion: 1.0\nsummary: x\nlicence: MIT\nsources:\n  - git: {url}\n    commit: {commits['1.0']}   # v1.0\n"
                                        f"    sha256: {digest}\nwatch: v([0-9.]+)\nbuild:\n  system: script\n  finish: mkdir share\n")
        recipe("0" * 64)
        w.stack("tones", {"wordlist": "1.0"})
        said = w.run("fetch", "tones", status=1).stderr
        recipe(said.split("has the SHA-256 ")[1][:64])
        report, _ = self.bump("wordlist", "--dry-run")
        self.assertEqual((report["verdict"], report["to"], report["source"]["commit"]), ("would be bumped", "1.1", commits["1.1"]))
        for line in (f"+    commit: {commits['1.1']}   # v1.0", f"+    sha256: {report['source']['sha256']}", "+  wordlist: 1.1"):
            self.assertIn(line + "\n", report["diff"])

    # --- what the new release needs ---

    def tool(self, version, needs=""):
        """A thing that is needed to build."""
        data = fixture.tarball({f"maker-{version}/Makefile": f"install:\n\tmkdir -p $(DESTDIR)$(PREFIX)/share\n\techo {version} >$(DESTDIR)$(PREFIX)/share/maker\nall:\n",
                                f"maker-{version}/pyproject.toml": f"[build-system]\nrequires = [{needs}]\n"})
        return self.world.serve(f"/packages/maker-{version}.tar.gz", data)

    def test_needs_to_build_are_moved_along(self):
        w = self.world
        digests = {version: self.tool(version) for version in ("1.0", "2.0", "3.0")}
        w.write("recipes/maker/1.0.yaml", f"name: maker\nversion: 1.0\nsummary: Makes\nlicence: MIT\nsources:\n  - {{pypi: maker, file: maker-1.0.tar.gz, sha256: {digests['1.0']}}}\n"
                                          "build: {system: make, make: [all]}\n")
        w.server.files["/simple/maker/"] = "".join(f'<a href="/packages/maker-{version}.tar.gz#sha256={digest}">maker-{version}.tar.gz</a>' for version, digest in digests.items()).encode()
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  build: [maker]   # makes\nbuild:\n"))
        self.release("1.1", above="/* needs a newer maker */", project='[build-system]\nrequires = ["maker>=1.5,<3", "nothing-here"]\n')
        self.publish()
        report, _ = self.bump("tone", "--min-age", "0", "--no-proof")
        self.assertEqual([(one["name"], one["from"], one["to"]) for one in report["with"]], [("maker", "1.0", "2.0")])
        self.assertIn("needs nothing-here to build, of which this tree has no recipe", report["unmet"][0])
        self.assertIn("  build: [maker/2.0]   # makes\n", self.text("recipes/tone/1.1.yaml"))
        self.assertIn(digests["2.0"], self.text("recipes/maker/2.0.yaml"))
        self.assertIn("  maker: 1.0\n", self.text("recipes/stacks/others.yaml"))
        self.assertEqual(w.plan("tones")["maker"]["version"], "2.0")
        self.assertEqual(w.plan("others")["maker"]["version"], "1.0")

    def test_a_recipe_that_is_there_already(self):
        """Nothing is written but the pin; what it needs to run is asked all the same, before it is built."""
        w = self.world
        self.others("sax", "1.0", "2.0", info={"2.0": "Requires-Dist: reed>=2\n"}, recipes=2)
        self.others("reed", "1.0", "2.0", recipes=2)
        recipe = w.tree / "recipes/sax/2.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  run: [reed]\nbuild:\n"))
        w.stack("tones", {"sax": "1.0", "reed": "1.0"})
        before = digest_of(w.tree)
        report, done = self.bump("sax", "2.0", "--min-age", "0", "--dry-run", status=1)
        self.assertIn("it needs reed>=2 to run; the stack has 1.0", done.stderr)
        self.assertEqual(digest_of(w.tree), before)
        w.stack("tones", {"sax": "1.0", "reed": "2.0"})
        report, done = self.bump("sax", "2.0", "--min-age", "0")
        self.assertEqual((report["verdict"], report["written"]), ("bumped", ["recipes/stacks/tones.yaml"]))

    def test_a_lock_of_the_recipes_own(self):
        """It names the crates of the release that it was made for: a new one takes a person."""
        w = self.world
        self.others("crab", "1.0", "2.0")
        lock = "version = 4\n"
        w.write("recipes/crab/files/Cargo.lock", lock)
        recipe = w.tree / "recipes/crab/1.0.yaml"
        recipe.write_text(recipe.read_text().replace(
            "build:\n", f"  - local: files/Cargo.lock\n    to: .\n  - crates: Cargo.lock\n    sha256: {hashlib.sha256(lock.encode()).hexdigest()}\nbuild:\n"))
        w.stack("tones", {"crab": "1.0"})
        w.run("fetch", "tones")
        before = digest_of(w.tree)
        _, done = self.bump("crab", "2.0", "--min-age", "0", "--dry-run", status=1)
        self.assertIn("pins its crates by a lock beside it, which is the old release's: make one in the new sources (cargo generate-lockfile)", done.stderr)
        self.assertEqual(digest_of(w.tree), before)

    def test_a_library_with_the_name_of_a_project(self):
        """What is needed is the Python package, whose recipe is called otherwise."""
        w = self.world
        w.script("horn", "9", install_script="mkdir -p $DESTDIR$PREFIX/share && touch $DESTDIR$PREFIX/share/horn")
        self.others("horn", "1.0")
        package = (w.tree / "recipes/horn/1.0.yaml").read_text()
        (w.tree / "recipes/horn/1.0.yaml").unlink()
        w.write("recipes/python-horn/1.0.yaml", package.replace("name: horn", "name: python-horn"))
        self.release("1.1", above="/* blows a horn */", info="Requires-Dist: horn>=2\n")
        self.publish()
        w.stack("tones", {"tone": "1.0", "horn": "9", "python-horn": "1.0"})
        _, done = self.bump("tone", "--min-age", "0", "--dry-run", status=1)
        self.assertIn("it needs python-horn>=2 to run; the stack has 1.0", done.stderr)

    def test_a_tool_of_a_tool_that_nobody_chose(self):
        """What the release is built with stands on one that the stack had no use for, and of which the tree has two."""
        w = self.world
        self.release("1.1", above="/* forged */", project='[build-system]\nrequires = ["forge"]\n')
        self.publish()
        self.others("coal", "1.0", "2.0", recipes=2)
        self.others("forge", "1.0", needs="needs:\n  run: [coal]\n")
        self.others("iron", "1.0")
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  build: [iron]\nbuild:\n"))
        tree = pathlib.Path(w.folder, "as-it-was")
        shutil.copytree(w.tree, tree)
        report, _ = self.bump("tone", "--min-age", "0", "--no-proof")
        self.assertEqual((report["verdict"], report["tools"]), ("bumped", {"coal": "2.0"}))
        self.assertIn("  coal: 2.0\n", self.text("recipes/stacks/tones.yaml"))
        shutil.rmtree(w.tree)
        shutil.move(tree, w.tree)
        report, _ = self.bump("--all", "--min-age", "0", "--no-proof")
        self.assertEqual(({one["name"]: one["verdict"] for one in report["packages"]}, report["tools"]), ({"tone": "bumped"}, {"coal": "2.0"}))

    def test_libraries_that_the_new_files_need(self):
        w = self.world
        library = "echo 'int squeeze(void) { return 1; }' | $(CC) -shared -fPIC -Wl,-soname,liblz4.so.1 -x c -o liblz4.so.1 -"
        w.script("calm", "1", install_script="mkdir -p $DESTDIR$PREFIX/share && touch $DESTDIR$PREFIX/share/calm")
        w.script("lz4", "1", compile=library.replace("$(CC)", "gcc"), install_script="install -D liblz4.so.1 $DESTDIR$PREFIX/lib/liblz4.so.1")
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("patches: [", "needs:\n  run: [calm]   # no more\npatches: ["))
        self.release("1.1", makefile=MAKEFILE.replace("\t$(CC) $(CFLAGS) -o $@ $<\n", f"\t{library}\n\t$(CC) $(CFLAGS) -o $@ $< -Wl,--no-as-needed ./liblz4.so.1\n"))
        self.publish()
        report, done = self.bump("tone")
        self.assertEqual((report["verdict"], report["libraries"]), ("bumped", ["lz4"]), report)
        self.assertIn("  run: [calm, lz4]   # no more\n", self.text("recipes/tone/1.1.yaml"))
        self.assertIn("nothing to do", w.run("build", "tones").stdout)

    def test_a_need_to_run_that_the_stack_denies(self):
        self.release("1.1", above="/* needs to run */", info="Requires-Dist: nothing-here>=2\n")
        self.publish()
        before = digest_of(self.world.tree)
        report, _ = self.bump("tone", status=1)
        self.assertEqual(digest_of(self.world.tree), before)
        self.assertIn("needs nothing-here>=2 to run", report["cause"])
        self.assertIn("ironwheel new nothing-here", report["cause"])

    # --- published wheels and what they pin ---

    def wheel(self, name, version, needs=()):
        """A file of the index, and its digest."""
        project, data = name.replace("-", "_"), io.BytesIO()
        file = f"{project}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(data, "w") as out:
            out.writestr(f"{project}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {need}\n" for need in needs))
        digest = self.world.serve(f"/packages/{file}", data.getvalue())
        page = f"/simple/{name}/"
        self.world.server.files[page] = self.world.server.files.get(page, b"") + f'<a href="/packages/{file}#sha256={digest}">{file}</a>'.encode()
        return {"file": file, "sha256": digest}

    def glow(self, needs):
        """A wheel recipe with companions, and a release that needs those."""
        w = self.world
        for page in ("glow", "nvidia-cuda-runtime-cu12", "nvidia-blas-cu12", "triangle"):
            w.server.files.pop(f"/simple/{page}/", None)
        first = self.wheel("glow", "1.0", ["nvidia-cuda-runtime-cu12==12.6.77", "nvidia-blas-cu12==3.1", "triangle==3.3"])
        self.wheel("glow", "2.0", needs)
        runtime, blas, triangle = self.wheel("nvidia-cuda-runtime-cu12", "12.6.77"), self.wheel("nvidia-blas-cu12", "3.1"), self.wheel("triangle", "3.3")
        fresh = self.wheel("nvidia-cuda-runtime-cu12", "12.8.90"), self.wheel("nvidia-blas-cu12", "3.4"), self.wheel("triangle", "3.4")
        of = lambda name, file, version="": f"  - pypi: {name}\n    kind: wheel\n{version}    file: {file['file']}\n    sha256: {file['sha256']}\n"
        script = "build:\n  system: script\n  finish: mkdir share\n"
        head = lambda name, version: f"name: {name}\nversion: {version}\nsummary: x\nlicence: MIT\nsources:\n"
        w.write("recipes/glow/1.0+cu126.yaml", head("glow", "1.0+cu126") + of("glow", first) + "needs:\n  run: [nvidia-small, triangle]\n" + script)
        w.write("recipes/nvidia-small/12.6.yaml", head("nvidia-small", "12.6") + of("nvidia-cuda-runtime-cu12", runtime, "    version: 12.6.77\n") +
                of("nvidia-blas-cu12", blas, "    version: 3.1   # as pinned\n") + script)
        w.write("recipes/triangle/3.3.yaml", head("triangle", "3.3") + of("triangle", triangle) + script)
        w.stack("tones", {"glow": "1.0+cu126"})
        return fresh

    def test_companions_follow(self):
        runtime, blas, triangle = self.glow(["nvidia-cuda-runtime-cu12==12.8.90", "nvidia-blas-cu12==3.4", "triangle==3.4"])
        before = digest_of(self.world.tree)
        report, _ = self.bump("glow", "--min-age", "0", "--dry-run")
        self.assertEqual(digest_of(self.world.tree), before)
        self.assertEqual((report["verdict"], report["to"]), ("would be bumped", "2.0+cu128"))
        self.assertEqual([(one["change"], one["name"], one["from"], one["to"]) for one in report["companions"]],
                         [("moved", "nvidia-cuda-runtime-cu12", "12.6.77", "12.8.90"), ("moved", "nvidia-blas-cu12", "3.1", "3.4")])
        self.assertEqual(report["cuda"], {"from": "12.6", "to": "12.8", "driver": "525.60.13"})
        self.assertEqual([(one["name"], one["to"]) for one in report["with"]], [("triangle", "3.4")])
        for line in ("+version: 2.0+cu128", "+version: 12.8", f"+    sha256: {runtime['sha256']}", "+    version: 3.4   # as pinned", f"+    sha256: {blas['sha256']}",
                     f"+    sha256: {triangle['sha256']}", "+  glow: 2.0+cu128", "+  nvidia-small: 12.8", "+  triangle: 3.4"):
            self.assertIn(line + "\n", report["diff"])

    def test_other_companions_are_a_persons_work(self):
        self.glow(["nvidia-cuda-runtime==13.0.96", "nvidia-new==1", "triangle==3.3"])
        before = digest_of(self.world.tree)
        done = self.world.run("bump", "glow", "--min-age", "0", "--dry-run", "--stack", "tones", status=1)
        self.assertEqual(digest_of(self.world.tree), before)
        for line in ("renamed    nvidia-cuda-runtime-cu12 12.6.77 → nvidia-cuda-runtime 13.0.96", "dropped    nvidia-blas-cu12 3.1", "new        nvidia-new 1",
                     "CUDA       12.6 → 13.0: asks for driver >= 580.65.06, before >= 525.60.13"):
            self.assertIn(f"  {line}", done.stdout)
        self.assertIn("edit recipes/glow/2.0+cu130.yaml there", done.stdout)
        self.assertIn("it comes with other packages than nvidia-small 12.6 is made of", done.stderr)
        # Somebody writes that recipe in the copy.
        kept = pathlib.Path(done.stdout.split("  kept       ")[1].split(":")[0])
        mine = kept / "recipes/nvidia-smaller/13.0.yaml"
        mine.parent.mkdir()
        mine.write_text("name: nvidia-smaller\nversion: 13.0\nsummary: x\nlicence: MIT\nbuild:\n  system: script\n  finish: mkdir share\n")
        where = kept / "recipes/glow/2.0+cu130.yaml"
        where.write_text(where.read_text().replace("nvidia-small,", "nvidia-smaller,"))
        report, _ = self.bump("glow", "--dry-run", "--continue")
        self.assertEqual((report["verdict"], report["edited"]), ("would be bumped", True))
        self.assertIn("+  glow: 2.0+cu130\n", report["diff"])

    # --- patches of the tree as it is ---

    def test_patches(self):
        w = self.world
        w.write("patches/tone/0002-remark.patch", NEEDLESS)
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("louder.patch]", "louder.patch, 0002-remark.patch]"))
        shown = w.run("patches", "tones").stdout
        self.assertIn("tone 1.0  0001-louder.patch\n    say it louder\n", shown)
        found = [json.loads(line) for line in w.run("patches", "tones", "--prove", "--json", status=1).stdout.splitlines()]
        self.assertEqual({one["patch"]: one["result"] for one in found if "patch" in one}, {"0001-louder.patch": "needed", "0002-remark.patch": "needless"})

    def test_proof_by_the_audit(self):
        w = self.world
        change = lambda sign, other: NEEDLESS.replace("Applies-To: 1.0", "Applies-To: 1.0\n    Proof: " + other).replace("README", "tone.c").replace(
            "@@ -1 +1 @@\n    -read me\n    +do read me", "@@ -1,2 +1,3 @@\n     #include <stdio.h>\n    +void new_cpu(void) { __asm__ volatile(\".byte 0x0f, 0x01, 0xd0\" ::: \"eax\", \"edx\"); }\n     " if sign == "+" else
            "@@ -1,3 +1,2 @@\n     #include <stdio.h>\n    -void new_cpu(void) { __asm__ volatile(\".byte 0x0f, 0x01, 0xd0\" ::: \"eax\", \"edx\"); }\n     ")
        w.write("patches/tone/0002-in.patch", change("+", "none (for the one behind it)"))
        w.write("patches/tone/0003-out.patch", change("-", "audit"))
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("[0001-louder.patch]", "[0002-in.patch, 0003-out.patch, 0001-louder.patch]"))
        found = [json.loads(line) for line in w.run("patches", "tones", "--prove", "--json").stdout.splitlines()]
        result = {one["patch"]: one for one in found if "patch" in one}
        self.assertEqual(result["0003-out.patch"]["result"], "needed")
        self.assertIn("hold instructions that k10 doesn't have", result["0003-out.patch"]["why"])
        self.assertEqual(result["0002-in.patch"]["result"], "needed")     # 0003 doesn't go in then

    def test_needless_on_one_cpu_only(self):
        w = self.world
        shutil.copy(fixture.ROOT / "recipes/profiles/core2.yaml", w.tree / "recipes/profiles")
        w.stack("elsewhere", {"tone": "1.0"})
        where = w.tree / "recipes/stacks/elsewhere.yaml"
        where.write_text(where.read_text().replace("[k10]", "[core2]"))
        w.write("patches/tone/0002-cpu.patch", NEEDLESS.replace("README", "tone.c").replace("@@ -1 +1 @@\n    -read me\n    +do read me",
                "@@ -1,2 +1,5 @@\n     #include <stdio.h>\n    +#ifdef __SSSE3__\n    +int here(void) { return 1; }\n    +#endif\n     "))
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("[0001-louder.patch]", "[0002-cpu.patch, 0001-louder.patch]"))
        found = [json.loads(line) for line in w.run("patches", "tones", "--prove", "--json").stdout.splitlines()]
        result = {one["patch"]: one for one in found if "patch" in one}["0002-cpu.patch"]
        self.assertEqual((result["result"], result["why"]), ("needed", "the same bytes without it on one CPU, others on another"))

    # --- everything at once ---

    def test_all_but_the_bad_apple(self):
        w = self.world
        bell = lambda version, code: w.serve(f"/packages/bell-{version}.tar.gz", fixture.tarball({f"bell-{version}/tone.c": code, f"bell-{version}/Makefile": MAKEFILE.replace("tone", "bell").replace("bell.c", "tone.c")}))
        digests = {"1.0": bell("1.0", "int main(void) { return 0; }\n"), "2.0": bell("2.0", "#error a bad apple\n")}
        w.write("recipes/bell/1.0.yaml", f"name: bell\nversion: 1.0\nsummary: Rings\nlicence: MIT\nsources:\n  - {{pypi: bell, file: bell-1.0.tar.gz, sha256: {digests['1.0']}}}\n"
                                         "build:\n  system: make\n")
        w.server.files["/simple/bell/"] = "".join(f'<a href="/packages/bell-{version}.tar.gz#sha256={digest}">bell-{version}.tar.gz</a>' for version, digest in digests.items()).encode()
        w.stack("tones", {"tone": "1.0", "bell": "1.0"})
        self.release("1.1", above="/* beside a bell */")
        self.publish()
        before = digest_of(w.tree)
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run")
        self.assertEqual({one["name"]: one["verdict"] for one in report["packages"]}, {"tone": "would be bumped", "bell": "would be bumped"})
        table = w.run("bump", "--all", "--min-age", "0", "--dry-run", "--markdown", "--stack", "tones").stdout
        self.assertEqual(table.splitlines()[0], "| package | from | to | what came of it | why |")
        self.assertIn("| tone | 1.0 | 1.1 | would be bumped |  |\n", table)
        self.assertEqual(digest_of(w.tree), before)
        report, _ = self.bump("--all", "--min-age", "0", "--no-proof", status=1)
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual((found["tone"]["verdict"], found["bell"]["verdict"]), ("bumped", "kept back"))
        self.assertIn("bell", found["bell"]["cause"])
        self.assertIn("  tone: 1.1\n  bell: 1.0\n", self.text("recipes/stacks/tones.yaml"))
        self.assertFalse((w.tree / "recipes/bell/2.0.yaml").exists())
        self.assertTrue(all(row["action"] == "reuse" for row in w.plan("tones").values()))
        report, _ = self.bump("--all", "--min-age", "0", "--no-proof", "--keep-going")
        self.assertEqual({one["name"]: one["verdict"] for one in report["packages"]}, {"tone": "nothing newer", "bell": "kept back"})

    def test_all_by_what_the_sources_say(self):
        """The index tells no needs here: what is read in the sources moves others, too."""
        w = self.world
        self.release("1.1", above="/* wants a chime */", info="Requires-Dist: bell>=2\n", project='[build-system]\nrequires = ["gong>=1.5,<3"]\n')
        self.release("1.2", above="/* wants a newer bell than there is */", info="Requires-Dist: bell>=5\n")
        self.publish()
        self.others("bell", "1.0", "2.0", "3.0")
        self.others("gong", "1.0", "2.0", "3.0")
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  build: [gong]\n  run: [bell]\nbuild:\n"))
        w.stack("tones", {"tone": "1.0", "bell": "1.0", "gong": "1.0"})
        w.server.asked.clear()
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run")
        self.assertEqual(w.server.asked.count(("GET", "/simple/bell/")), 4)  # what there is, which is taken, and two files; not once more for each draft
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual({name: one.get("to") for name, one in found.items()}, {"tone": "1.1", "bell": "3.0", "gong": "2.0"})
        self.assertEqual(found["tone"]["cause"], "1.2 needs bell>=5, and there is only 3.0")
        self.assertEqual(found["gong"]["cause"], "tone needs gong>=1.5,<3 to build")

    def test_all_what_both_releases_ask_for(self):
        """A need that the old release had, too, and that another one's newest release doesn't meet."""
        self.others("fife", "1.0", "2.0", info="Requires-Dist: tuba<2\n")
        self.others("tuba", "1.0", "1.5", "2.0")
        self.world.stack("tones", {"fife": "1.0", "tuba": "1.0"})
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run")
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual((found["fife"]["to"], found["tuba"]["to"]), ("2.0", "1.5"))
        self.assertEqual(found["tuba"]["cause"], "fife 2.0 needs tuba<2")

    def test_all_what_an_unmoved_release_asks_for(self):
        """The index tells nothing of it: what was built does."""
        w = self.world
        self.others("fife", "1.0", install="\tinstall -D -m 644 PKG-INFO $(DESTDIR)$(PREFIX)/lib/python3.11/site-packages/fife-1.0.dist-info/METADATA\n", info="Requires-Dist: tuba<2\n")
        self.others("tuba", "1.0", "1.5", "2.0")
        w.stack("tones", {"fife": "1.0", "tuba": "1.0"})
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run")
        self.assertEqual({one["name"]: one.get("to") for one in report["packages"]}, {"fife": None, "tuba": "2.0"})
        w.run("build", "tones")
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run")
        self.assertEqual({one["name"]: one.get("to") for one in report["packages"]}, {"fife": None, "tuba": "1.5"})

    def test_all_blames_whom_pip_names(self):
        """Two that don't go together by pip's `check`, whose check it isn't; and one whose own check fails. The rest goes on."""
        w = self.world
        self.others("lute", "1.0", "2.0")
        self.others("fife", "1.0", "2.0")
        self.others("tuba", "1.0", "1.5", "2.0")
        self.others("harp", "1.0", "2.0")
        for name, check in {"lute": """
                if test "$("$IRONWHEEL_ENVIRONMENT/bin/tuba")" = "tuba 2.0"; then
                    echo "fife 2.0 has requirement tuba<2,>=1, but you have tuba 2.0."
                    exit 1
                fi""", "harp": """
                test "$("$IRONWHEEL_ENVIRONMENT/bin/harp")" = "harp 1.0" || { echo "listening"; echo "out of tune"; exit 1; }"""}.items():
            recipe = w.tree / f"recipes/{name}/1.0.yaml"
            recipe.write_text(recipe.read_text() + f"checks:\n  - name: consistent\n    shell: |{check}\n")
        w.stack("tones", {name: "1.0" for name in ("lute", "fife", "tuba", "harp")})
        report, _ = self.bump("--all", "--min-age", "0", "--no-proof", status=1)
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual({name: one.get("to") for name, one in found.items()}, {"lute": "2.0", "fife": "2.0", "tuba": "1.5", "harp": None})
        self.assertEqual(found["tuba"]["cause"], "fife needs tuba<2,>=1 to run")
        self.assertEqual(found["harp"]["cause"], "its check consistent ended with exit status 1; its last lines: out of tune")

    def test_all_says_why_of_each(self):
        """Two that fail to build in one run: each is kept back with its own cause."""
        self.others("oboe", "1.0", "2.0", error="#error out of reeds")
        self.others("viol", "1.0", "2.0", error="#error out of strings")
        self.world.stack("tones", {"oboe": "1.0", "viol": "1.0"})
        report, _ = self.bump("--all", "--min-age", "0", "--no-proof", status=1)
        found = {one["name"]: one["cause"] for one in report["packages"]}
        self.assertIn("oboe/2.0 failed in ", found["oboe"])
        self.assertIn("#error out of reeds", found["oboe"])
        self.assertIn("viol/2.0 failed in ", found["viol"])
        self.assertIn("#error out of strings", found["viol"])

    def test_all_where_recipes_dont_go_together(self):
        """A tool that moves for one package alone, beside another that stands on the old one: the package is kept back, the rest goes on, and isn't held by what it asked for."""
        w = self.world
        self.release("1.1", above="/* a newer drum */", project='[build-system]\nrequires = ["drum>=2", "plug", "gong>=1.5,<3"]\n')
        self.publish()
        self.others("drum", "1.0", "2.0")
        self.others("plug", "1.0", needs="needs:\n  run: [drum]\n")
        self.others("gong", "1.0", "2.0", "3.0")
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  build: [drum, plug, gong]\nbuild:\n"))
        w.stack("tones", {"tone": "1.0", "gong": "1.0"}, pins={"drum": "1.0"})
        report, _ = self.bump("--all", "--min-age", "0", "--dry-run", status=1)
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual({name: one["verdict"] for name, one in found.items()}, {"tone": "kept back", "gong": "would be bumped"})
        self.assertIn("the prefix that tone 1.1 is built with would hold two versions of drum", found["tone"]["cause"])
        self.assertEqual(found["gong"]["to"], "3.0")  # what tone asked for holds it back no longer

    def test_all_with_a_newer_tool(self):
        """Where nobody chose the tool's release for this stack, it is pinned to the newer one; where that doesn't do for what doesn't move, as before."""
        w = self.world
        self.release("1.1", above="/* a newer drum */", project='[build-system]\nrequires = ["drum>=2", "plug"]\n')
        self.publish()
        self.others("drum", "1.0", "2.0")
        self.others("plug", "1.0", needs="needs:\n  run: [drum]\n")
        recipe = w.tree / "recipes/tone/1.0.yaml"
        recipe.write_text(recipe.read_text().replace("build:\n", "needs:\n  build: [drum, plug]\nbuild:\n"))
        w.stack("tones", {"tone": "1.0"})
        tree = pathlib.Path(w.folder, "before")
        shutil.copytree(w.tree, tree)
        report, done = self.bump("--all", "--min-age", "0", "--no-proof")
        self.assertEqual((report["packages"][0]["to"], report["tools"]), ("1.1", {"drum": "2.0"}))
        self.assertIn("  drum: 2.0\n", self.text("recipes/stacks/tones.yaml"))
        self.assertEqual({row["package"]: row["version"] for row in w.plan("tones").values() if row["package"] == "drum"}, {"drum": "2.0"})
        shutil.rmtree(w.tree)
        shutil.move(tree, w.tree)
        self.others("anvil", "1.0", needs="needs:\n  build: [drum]\n")
        anvil = w.tree / "recipes/anvil/1.0.yaml"
        anvil.write_text(anvil.read_text() + "  compile: |\n    $PREFIX/bin/drum | grep '1.0'\n    make\n")
        w.stack("tones", {"tone": "1.0", "anvil": "1.0"})
        report, done = self.bump("--all", "--min-age", "0", "--no-proof", status=1)
        found = {one["name"]: one["verdict"] for one in report["packages"]}
        self.assertEqual(found, {"tone": "kept back", "anvil": "nothing newer"})
        self.assertNotIn("tools", report)

    def test_all_remembers_which_tools_cant_be_pinned(self):
        """Stopped behind the round that found it out, --continue doesn't build with the newer tool again."""
        w = self.world
        long = "/*\n" + "a newer drum\n" * 500_000 + "*/"  # to patch it takes its time, in which this test stops it
        self.release("1.1", above=long, project='[build-system]\nrequires = ["drum>=2", "plug"]\n')
        self.publish()
        self.others("drum", "1.0", "2.0")
        self.others("plug", "1.0", needs="needs:\n  run: [drum]\n")
        self.others("anvil", "1.0", needs="needs:\n  build: [drum]\n")
        anvil, tone = w.tree / "recipes/anvil/1.0.yaml", w.tree / "recipes/tone/1.0.yaml"
        anvil.write_text(anvil.read_text() + "  compile: |\n    $PREFIX/bin/drum | grep '1.0'\n    make\n")
        tone.write_text(tone.read_text().replace("build:\n", "needs:\n  build: [drum, plug]\nbuild:\n"))
        w.stack("tones", {"tone": "1.0", "anvil": "1.0"})
        options = ["bump", "--all", "--stack", "tones", "--min-age", "0", "--no-proof", "--json"]
        running = subprocess.Popen([fixture.PROGRAM, *options], cwd=w.tree, env=w.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        drafts = 0
        while drafts < 2:
            drafts += '"phase":"patches"' in running.stdout.readline()
        running.kill()
        running.communicate()
        state = json.loads(next(w.cache.glob("**/state.json")).read_text())
        self.assertEqual((state["banned"], state.get("unpinnable")), ({}, {"drum": True}))
        done = w.run(*options, "--continue", status=1)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([event for event in events if event.get("type") == "started" and event.get("subject") == "anvil/1.0" and event.get("phase") == "compile"], [])
        found = {one["name"]: one["verdict"] for one in events[-1]["packages"]}
        self.assertEqual(found, {"tone": "kept back", "anvil": "nothing newer"})

    def test_all_doesnt_fetch_years_of_releases(self):
        """Where only the sources tell: growing steps down to one that holds, and back to the newest that does."""
        w = self.world
        for number in range(1, 21):
            self.release(f"1.{number}", above=f"/* {number} */", info="Requires-Dist: bell>=5\n" if number > 5 else "")
        self.publish()
        self.others("bell", "1.0")
        w.stack("tones", {"tone": "1.0", "bell": "1.0"})
        w.server.asked.clear()
        report, _ = self.bump("--all", "--dry-run")
        found = {one["name"]: one for one in report["packages"]}
        self.assertEqual((found["tone"]["to"], found["tone"]["cause"]), ("1.5", "1.6 needs bell>=5, and there is only 1.0"))
        fetched = {path for _, path in w.server.asked if path.startswith("/packages/tone-")}
        self.assertLess(len(fetched), 11, fetched)

    # --- it doesn't hold ---

    def test_conflict(self):
        self.release("1.1", word="middle")
        self.publish()
        report, done = self.bump("tone", status=1)
        self.unchanged()
        self.assertEqual(report["verdict"], "not kept")
        hunk = report["patches"][0]["hunks"][0]
        self.assertEqual((report["patches"][0]["result"], hunk["file"], hunk["hunk"]), ("conflict", "tone.c", 1))
        self.assertIn('static const char *word = "middle";', hunk["now"])
        self.assertIn("0001-louder.patch", done.stderr)
        self.bump("tone", "--dry-run", status=1)

    def test_upstream_has_its_lines(self):
        """Upstream took the patch's lines over and changed what stands around them: its check says whether it is missed."""
        w = self.world
        self.release("1.1", word="HIGH", said="what it says, and how", status=3)     # the check fails, for whatever cause
        self.publish()
        report, _ = self.bump("tone", status=1)
        self.unchanged()
        self.assertEqual((report["patches"][0]["result"], report["patches"][0]["rewritten"]), ("upstream", True))
        self.assertIn("loud", report["cause"])
        self.release("1.2", word="HIGH", said="what it says, and how")
        self.publish()
        report, _ = self.bump("tone")
        self.assertEqual((report["verdict"], report["to"], report["patches"][0]["done"]), ("bumped", "1.2", "dropped"))
        self.assertIn("Not-Needed-From: 1.2 (upstream has its lines)", (w.tree / "patches/tone/0001-louder.patch").read_text())

    def test_failing_check_and_continue(self):
        self.release("1.1", status=3)
        self.publish()
        report, done = self.bump("tone", status=1)
        self.unchanged()
        self.assertIn("loud", report["cause"])
        self.assertTrue(pathlib.Path(report["kept"]).is_dir())
        # Upstream mends it in another release: what was chosen holds for --continue.
        self.release("1.2")
        self.publish()
        report, _ = self.bump("--continue", status=1)
        self.assertEqual(report["to"], "1.1")
        report, _ = self.bump("tone")
        self.assertEqual((report["verdict"], report["to"]), ("bumped", "1.2"))
        _, done = self.bump("--continue", status=1)
        self.assertIn("nothing to go on with", done.stderr)

    def test_code_for_a_newer_cpu(self):
        self.release("1.1", above='/* */\nvoid new_cpu(void) { __asm__ volatile("pinsrq $0, %%rax, %%xmm0" ::: "xmm0"); }')
        self.publish()
        report, _ = self.bump("tone", status=1)
        self.assertIn("pinsrq", report["cause"])
        self.assertTrue(any("`flags: deny`" in hint for hint in report["hints"]), report["hints"])
        self.unchanged()

    def test_edited_by_hand(self):
        self.release("1.1", status=3, above="/* wants a hand */")
        self.publish()
        report, done = self.bump("tone", status=1)
        self.assertIn("loud", report["cause"])
        where = pathlib.Path(report["kept"], "tree/recipes/tone/1.1.yaml")
        where.write_text(where.read_text().replace("  system: make\n", "  system: make\n  prepare: sed -i 's/return 3/return 0/' tone.c   # by hand\n"))
        # A tree that has changed since is a reason to stop.
        other = self.world.tree / "recipes/other/1.yaml"
        other.parent.mkdir()
        other.write_text("name: other\nversion: 1\nsummary: x\nlicence: MIT\nbuild:\n  system: script\n  finish: mkdir share\n")
        _, done = self.bump("--continue", status=1)
        self.assertIn("keep your edits elsewhere", done.stderr)
        shutil.rmtree(other.parent)
        self.unchanged()
        report, _ = self.bump("--continue")
        self.assertEqual((report["verdict"], report["edited"]), ("bumped", True))
        self.assertEqual([one["result"] for one in report["patches"]], ["clean"])
        self.assertIn("# by hand\n", self.text("recipes/tone/1.1.yaml"))
        self.assertIn("  tone: 1.1\n", self.text("recipes/stacks/tones.yaml"))

    def test_usage(self):
        self.publish()
        for options in ([], ["tone", "1.0", "--newest"], ["tone", "1", "2"]):
            self.bump(*options, status=2)
        _, done = self.bump("tnoe", status=1)
        self.assertIn('did you mean "tone"', done.stderr)
        _, done = self.bump("tone", "7.0", status=1)
        self.assertIn("there is no release 7.0", done.stderr)
        self.unchanged()

    # --- hostile indexes ---

    def test_the_index_lies_about_the_digest(self):
        self.release("1.1", above="/* nor is this */")
        self.index["tone-1.1.tar.gz"]["hashes"]["sha256"] = "0" * 64
        self.publish()
        _, done = self.bump("tone", status=1)
        self.assertIn("SHA-256", done.stderr)
        self.unchanged()

    def test_the_file_changes_after_the_choice(self):
        self.release("1.1", above="/* not in the store yet */")
        self.publish()
        self.world.server.lies["/packages/tone-1.1.tar.gz"] = fixture.tarball({"tone-1.1/evil": "x"})
        self.bump("tone", status=1)
        self.unchanged()
        self.world.server.lies.clear()
        report, _ = self.bump("--continue", "tone")
        self.assertEqual(report["verdict"], "bumped")

    def test_a_page_of_html(self):
        self.release("1.1")
        self.world.server.types.pop("/simple/tone/", None)
        files = [(name, one["hashes"]["sha256"]) for name, one in self.index.items()]
        self.world.server.files["/simple/tone/"] = "".join(f'<a href="/packages/{name}#sha256={digest}">{name}</a>' for name, digest in files).encode()
        report, _ = self.bump("tone")
        self.assertEqual(report["verdict"], "nothing newer")
        self.assertIn("doesn't say when", report["passed_over"][0]["reason"])
        report, _ = self.bump("tone", "--min-age", "0")
        self.assertEqual(report["to"], "1.1")

    # --- stopped ---

    def start(self, *options):
        return subprocess.Popen([fixture.PROGRAM, "bump", *options, "--stack", "tones", "--json"], cwd=self.world.tree, env=self.world.environment(),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def test_stopped_anywhere(self):
        self.release("1.1", above="/* stopped */")
        self.publish()
        started = time.monotonic()
        self.bump("tone")
        whole, took = digest_of(self.world.tree), time.monotonic() - started
        for number, sign in enumerate([signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGINT, signal.SIGKILL]):
            self.setUp()
            self.release("1.1", above="/* stopped */")
            self.publish()
            running = self.start("tone")
            time.sleep(took * (number + 0.5) / 5)
            running.send_signal(sign)
            status = running.wait()
            if status == 0:
                continue  # it was done already
            now = digest_of(self.world.tree)
            if sign == signal.SIGKILL and now not in (self.before, whole):  # amid the files that it writes: what stood there is kept for the next call
                self.assertTrue(list(self.world.cache.rglob("undo/undo.json")))
            else:
                self.assertIn(now, (self.before, whole) if sign == signal.SIGKILL else (self.before,))
            report, _ = self.bump("tone", "--continue")
            self.assertIn(report["verdict"], ("bumped", "up to date", "nothing newer"))  # the last: all was done, and its folder gone
            self.assertEqual(digest_of(self.world.tree), whole)

    def test_killed_while_it_clears_up(self):
        """What is half removed then isn't a copy that somebody edited. (Without -f: checks trace, too.)"""
        self.release("1.1", above="/* cleared */")
        self.publish()
        self.bump("tone", "--dry-run")
        (lock,) = self.world.cache.glob("work/bump-tones-tone-*.lock")
        command = ["strace", "-qq", "-o", "/dev/null", "-P", lock.with_suffix("") / "tree/recipes", "-e", "trace=unlinkat", "-e", "inject=unlinkat:signal=SIGKILL:when=3", fixture.PROGRAM]
        stopped = subprocess.run([*command, "bump", "tone", "--stack", "tones"], cwd=self.world.tree, env=self.world.environment(), stdin=subprocess.DEVNULL, capture_output=True, check=False)
        self.assertNotEqual(stopped.returncode, 0, stopped.stderr)
        self.assertTrue(lock.with_suffix("").is_dir())
        self.assertIn("  tone: 1.1\n", self.text("recipes/stacks/tones.yaml"))
        report, _ = self.bump("tone", "--continue")
        self.assertEqual(report["verdict"], "nothing newer")

    def test_two_at_once(self):
        self.release("1.1")
        self.publish()
        both = [self.start("tone"), self.start("tone")]
        statuses = sorted(one.wait() for one in both)
        self.assertEqual(statuses[0], 0)
        self.assertIn(statuses[1], (0, 2))
        self.assertIn("  tone: 1.1\n", self.text("recipes/stacks/tones.yaml"))
        self.assertTrue(all(row["action"] == "reuse" for row in self.world.plan("tones").values()))


if __name__ == "__main__":
    unittest.main()
