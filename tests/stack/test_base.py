"""Stack base for real: builds it (or takes it from the store), then proves from outside what a user would expect of the bundle."""
import hashlib
import http.server
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tempfile
import textwrap
import threading
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
RECORDED = pathlib.Path(__file__).with_name("base.sha256")  # "<toolchain digest> <bundle sha256>"
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
EMULATOR = ["qemu-x86_64", "-cpu", "phenom,-fxsr-opt"]


def run(*command, env=None, check=True, **more):
    done = subprocess.run([str(part) for part in command], env=CLEAN | (env or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **more)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done


def files_below(folder):
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-stack-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        keep = ("HOME", "PATH", "IRONWHEEL_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
        done = subprocess.run([PROGRAM, "build", "base", "--json", "--output", str(cls.folder / "dist")], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                              env={name: os.environ[name] for name in keep if name in os.environ})
        if done.returncode:
            raise AssertionError(f"ironwheel build base ended with {done.returncode}")
        cls.result = json.loads(done.stdout.splitlines()[-1])
        cls.bundle = pathlib.Path(cls.result["bundle"])
        # Moved twice: unpacked, moved, reached through a link, into a path that careless quoting trips over.
        first = cls.folder / "first"
        run(PROGRAM, "unpack", cls.bundle, first)
        cls.env = cls.folder / "dröhn rig" / "env é"
        cls.env.parent.mkdir()
        first.rename(cls.env)
        cls.link = cls.folder / "link"
        cls.link.symlink_to(cls.env)
        cls.python = cls.env / "bin/python3"

    def say(self, code, python=None, **more):
        return run(python or self.python, "-c", textwrap.dedent(code), **more).stdout.strip()

    # --- the file ---

    def test_the_result_names_the_bundle_and_its_digest(self):
        self.assertEqual(self.result["type"], "result")
        self.assertEqual(hashlib.sha256(self.bundle.read_bytes()).hexdigest(), self.result["sha256"])
        self.assertRegex(self.bundle.name, r"^base-[0-9.]+-k10-glibc2\.\d+-cp311\.tar\.zst$")

    def test_the_digest_is_the_recorded_one(self):
        toolchain, digest = RECORDED.read_text().split()
        shown = [json.loads(line) for line in run(PROGRAM, "list", "toolchains", "--json", cwd=ROOT).stdout.splitlines()]
        self.assertEqual([row["digest"] for row in shown if row["toolchain"] == "debian12"], [toolchain], "the recorded digest is of another toolchain: record it anew")
        self.assertEqual(self.result["sha256"], digest)

    def test_the_floor_is_low_enough_for_ubuntu_2204(self):
        floor = re.search(r"glibc2\.(\d+)", self.bundle.name)[1]
        self.assertLessEqual(int(floor), 35)
        needed = set()
        for path in files_below(self.env):
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    needed |= set(re.findall(r"GLIBC_2\.(\d+)", run("objdump", "-T", path, check=False).stdout))
        self.assertEqual(max(int(version) for version in needed), int(floor), "the name's floor is the measured one")

    def test_a_second_build_has_nothing_to_do(self):
        done = run(PROGRAM, "build", "base", "--output", self.folder / "dist", cwd=ROOT, env={k: os.environ[k] for k in ("HOME", "IRONWHEEL_CACHE") if k in os.environ})
        self.assertIn("nothing to do", done.stdout)

    def test_manifest_and_bill_of_materials(self):
        manifest = json.loads((self.env / "manifest.json").read_text())
        names = {package["name"] for package in manifest["packages"]}
        self.assertLessEqual({"python", "numpy", "openblas", "pip", "setuptools", "wheel", "cython", "monotonic-align", "openssl"}, names)
        inside = {package["name"] for package in manifest["packages"] if package["in_bundle"]}
        self.assertLessEqual({"numpy", "openssl"}, inside)
        self.assertNotIn("meson", inside)
        self.assertEqual((manifest["audit"]["profile"], manifest["audit"]["verdict"], manifest["audit"]["not_clean"]), ("k10", "clean", []))
        sbom = json.loads((self.env / "sbom.spdx.json").read_text())
        self.assertEqual(sbom["spdxVersion"], "SPDX-2.3")
        self.assertLessEqual(names, {package["name"] for package in sbom["packages"]})
        self.assertTrue(manifest["checks"] and all(check["passed"] for check in manifest["checks"]))

    def test_no_file_holds_a_path_of_the_build(self):
        excused = {row["file"] for package in json.loads((self.env / "manifest.json").read_text())["packages"] for row in package.get("kept_prefix", [])}
        forbidden = [b"/opt/iw-prefix", str(ROOT).encode() + b"/", os.environ.get("IRONWHEEL_CACHE", "/nowhere/at/all").encode()]
        found = [f"{path.relative_to(self.env)}: {text.decode()}" for path in files_below(self.env) for text in forbidden if text in path.read_bytes()]
        self.assertEqual([line for line in found if line.split(":")[0] not in excused], [])

    def test_gccs_libraries_are_ours(self):
        package = next(package for package in json.loads((self.env / "manifest.json").read_text())["packages"] if package["name"] == "gcc-runtime")
        self.assertEqual([source["file"] for source in package["sources"]], ["gcc-12_12.2.0.orig.tar.gz"])
        for name in ("libgcc_s.so.1", "libgfortran.so.5", "libquadmath.so.0"):
            self.assertNotRegex(run("objdump", "-d", self.env / "lib" / name).stdout, r"%[yz]mm|xgetbv", name)
            self.assertIn("GCC: (Debian 12.2.0-14", (self.env / "lib" / name).read_bytes().decode("latin-1"))

    def test_shared_libraries_are_inside_or_glibcs_own(self):
        glibc = re.compile(r"^(ld-linux-x86-64|lib(c|m|dl|pthread|rt|util|resolv|anl|mvec))\.so\.\d$")
        have = {path.name for path in self.env.rglob("*.so*")}
        for path in files_below(self.env):
            with path.open("rb") as file:
                if file.read(4) != b"\x7fELF":
                    continue
            dynamic = run("readelf", "-dW", path).stdout
            for name in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
                self.assertTrue(glibc.match(name) or name in have, f"{path} needs {name}")
            self.assertNotIn("(RUNPATH)", dynamic, f"{path}: LD_LIBRARY_PATH would win")

    def test_no_forbidden_instruction_in_what_we_compiled(self):
        avx = re.compile(r"\t(v[a-z0-9]+|pshufb|palignr|pmulhrsw|ptest|blendv?p[sd]|round[ps][sd]|pextr[bdq]|pinsr[bdq]|mulx|shlx|shrx|sarx|andn)\s")
        for path in files_below(self.env):
            with path.open("rb") as file:
                if file.read(4) != b"\x7fELF" or re.match(r"lib(gfortran|quadmath|gcc_s|stdc\+\+)\.so", path.name):
                    continue
            if path.name in ("libcrypto.so.3", "libffi.so.8"):
                continue  # guarded by their own dispatch
            text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", str(path)], stdout=subprocess.PIPE, text=True).stdout
            hit = next((line for line in text.splitlines() if avx.search(line) and "verr" not in line and "verw" not in line), None)
            self.assertIsNone(hit, f"{path.name}")

    # --- on the other CPU ---

    def test_numpy_on_an_emulated_phenom(self):
        real = self.env / "libexec/python3.11"
        code = "import numpy as n; a=n.arange(144.).reshape(12,12)+n.eye(12)*9; u,s,v=n.linalg.svd(a); print(n.allclose(u*s@v,a))"
        self.assertEqual(run(*EMULATOR, real, "-c", code).stdout.strip().splitlines()[-1], "True")

    def test_the_preflight_names_what_a_cpu_lacks(self):
        done = run("qemu-x86_64", "-cpu", "qemu64,-sse3,-popcnt,-abm,-lahf-lm", self.python, "-c", "pass", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stdout, "(?s)popcnt|abm|sse3")

    KEEP = ("HOME", "PATH", "IRONWHEEL_CACHE")

    def ironwheel(self, *arguments, status=0, **env):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env={name: os.environ[name] for name in self.KEEP if name in os.environ} | env)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done

    def test_verify_passes(self):
        self.assertIn("holds what it should", self.ironwheel("verify", self.bundle).stdout)

    def make_wheel(self, index, name, version, code="", module=None):
        """A wheel of one extension module that runs `code` when it is imported, or, as `_NAME` below a Python `module`, when that asks for it."""
        own = f"_{name}" if module else name
        source = pathlib.Path(tempfile.mkdtemp(prefix=f"{name} {version} ", dir=self.folder))
        (source / f"{own}.c").write_text(textwrap.dedent(f"""
            #include <Python.h>
            __attribute__((noinline, visibility("default"))) void probe(void) {{ {code} }}
            static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "{own}", 0, -1, 0, 0, 0, 0, 0}};
            PyMODINIT_FUNC PyInit_{own}(void) {{ probe(); return PyModule_Create(&module); }}
        """))
        if module:
            (source / f"{name}.py").write_text(module)
        (source / "setup.py").write_text(f"from setuptools import setup, Extension\nsetup(name='{name}', version='{version}', py_modules={[name] if module else []}, "
                                         f"ext_modules=[Extension('{own}', ['{own}.c'])])\n")
        (index / name).mkdir(parents=True, exist_ok=True)
        run(self.python, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", index / name, source)
        links = [f'<a href="{wheel.name}#sha256={hashlib.sha256(wheel.read_bytes()).hexdigest()}">{wheel.name}</a>' for wheel in sorted((index / name).glob("*.whl"))]
        (index / name / "index.html").write_text("<!DOCTYPE html><html><body>" + "".join(links) + "</body></html>")

    def triage(self, index, *arguments, status=1):
        return {row["package"]: row for row in map(json.loads, self.triage_text(index, *arguments, "--json", status=status).splitlines()) if "verdict" in row}

    def triage_text(self, index, *arguments, status=1):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *parts: http.server.SimpleHTTPRequestHandler(*parts, directory=str(index)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            return self.ironwheel("triage", *arguments, status=status, PIP_INDEX_URL=f"http://127.0.0.1:{server.server_address[1]}/", PIP_CONFIG_FILE="/dev/null").stdout
        finally:
            server.shutdown()
            server.server_close()

    AVX2 = '__asm__ volatile(".byte 0xc5,0xf5,0xfe,0xd0");'

    def test_triage_tells_a_wheel_that_dies_from_one_that_runs(self):
        index = self.folder / "index"
        self.make_wheel(index, "fine", "1.0")
        self.make_wheel(index, "ouch", "1.0", self.AVX2)
        self.make_wheel(index, "regex", "9.0", self.AVX2, module="def __getattr__(name):\n    if not name.startswith('__'):\n        import _regex\n    raise AttributeError(name)\n")
        rows = self.triage(index, "fine==1.0", "ouch==1.0", "regex==9.0", "nonesuch==1.0", "--again")
        self.assertEqual((rows["fine"]["verdict"], rows["fine"]["signal"], rows["fine"]["kept"]), ("runs", None, False))
        ouch = rows["ouch"]
        self.assertEqual((ouch["verdict"], ouch["signal"], ouch["feature"], ouch["function"], ouch["version"]), ("dies-at-import", "ILL", "avx2", "probe", "1.0"))
        self.assertRegex(ouch["file"], r"ouch.*\.so$")
        self.assertEqual((rows["regex"]["verdict"], rows["regex"]["function"]), ("dies-in-use", "probe"), "its recipe's checks use it")
        self.assertIn("build recipe regex/", rows["regex"]["advice"])
        self.assertEqual((rows["nonesuch"]["verdict"], rows["nonesuch"]["version"]), ("unknown", None))
        kept = self.triage(index, "fine==1.0", "ouch==1.0")
        self.assertEqual({name: row["kept"] for name, row in kept.items()}, {"fine": True, "ouch": True})
        self.assertEqual({**kept["ouch"], "kept": False}, ouch)
        self.make_wheel(self.folder / "other index", "fine", "1.0", self.AVX2)
        self.assertEqual(self.triage(self.folder / "other index", "fine==1.0")["fine"]["verdict"], "dies-at-import", "other bytes under the same name and version")

    def test_triage_finds_the_newest_that_runs(self):
        index = self.folder / "versions"
        for version in ("1.0", "1.1", "1.2", "1.10", "2.0"):
            self.make_wheel(index, "border", version, self.AVX2 if version in ("1.10", "2.0") else "")
        self.make_wheel(index, "border", "3.0rc1")
        row = self.triage(index, "--newest", "border")["border"]
        self.assertEqual((row["version"], row["verdict"], row["newest_working"], row["oldest_failing"]), ("2.0", "dies-at-import", "1.2", "1.10"))
        self.assertEqual((row["advice"], row["versions_tried"] <= 5), ("use version 1.2", True))
        self.make_wheel(index, "leaner", "1.0", module="import _leaner, border\n")
        rows = self.triage(index, "--newest", "leaner", "border==1.1", status=0)
        self.assertEqual(list(rows), ["leaner"], "a pin isn't searched")
        self.assertRegex(rows["leaner"]["detail"], r"imports border==1.1 and doesn't ask for it")
        self.assertEqual(self.triage(index, "leaner")["leaner"]["verdict"], "dies-at-import", "beside the newest border")

    def test_triage_takes_a_lock_file(self):
        index = self.folder / "locked"
        self.make_wheel(index, "pinned", "1.0")
        self.make_wheel(index, "pinned", "2.0", self.AVX2)
        locks = {"uv.lock": 'version = 1\n[[package]]\nname = "pinned"\nversion = "1.0"\nsource = { registry = "x" }\n[[package]]\nname = "own"\nversion = "0"\nsource = { virtual = "." }\n',
                 "pylock.toml": 'lock-version = "1.0"\n[[packages]]\nname = "pinned"\nversion = "1.0"\n[[packages]]\nname = "own"\n[packages.directory]\npath = "."\n',
                 "requirements.txt": "# pins\npinned==1.0  # this one\n--no-binary x\n"}
        for name, text in locks.items():
            path = self.folder / name
            path.write_text(text)
            rows = self.triage(index, "-r", path, status=0)
            self.assertEqual([(row["package"], row["version"]) for row in rows.values()], [("pinned", "1.0")], name)

    def test_triage_refuses_what_no_index_holds(self):
        for line, why in (("other @ https://example.org/other.whl", "is a file, a folder or a URL"), ("git+https://example.org/x", "is a file, a folder or a URL"),
                          ("./here", "is a file"), ("..", "is a file"), ("here-1.0-py3-none-any.whl", "is a file"), ("file:here", "is a file"), ("-e .", "asks for more than this file"),
                          ("--requirement=other.txt", "asks for more than this file"), ("--extra-index-url https://example.org", "names another index"), ("evil\033[2J==1", r"evil\?\[2J==1"),
                          ("name==", "is no NAME==VERSION"), ("name[x", "is no NAME==VERSION"), ("name>=1,", "is no NAME==VERSION"), ("\udcff==1", "is no NAME==VERSION")):
            path = self.folder / "hostile.txt"
            path.write_bytes(b"\xef\xbb\xbf# pins\nfine==1.0 \\\n    --hash=sha256:00  # its digest\r\n" + os.fsencode(line) + b"\n")
            self.assertRegex(self.ironwheel("triage", "-r", path, status=2).stderr, r"hostile\.txt:4: .*" + why, line)
        (self.folder / "hostile.txt").write_bytes(b"fine==1.0\n\0")
        self.assertIn("is no text", self.ironwheel("triage", "-r", self.folder / "hostile.txt", status=1).stderr)
        for text, status, why in (('[[package]]\nname = "a\\n--index-url=x"\nversion = "1"\n', 2, "is a file, a folder or a URL"), ("[[package]\n", 1, "TOMLDecodeError"),
                                  ('[[package]]\nname = "far"\nversion = "1"\nsource = { git = "https://example.org/far" }\n', 1, "far==1 comes from a repository")):
            (self.folder / "uv.lock").write_text(text)
            self.assertIn(why, self.ironwheel("triage", "-r", self.folder / "uv.lock", status=status).stderr)

    def test_triage_stops_while_pip_runs(self):
        asked, answer = threading.Event(), threading.Event()

        class Slow(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.set()
                answer.wait(60)

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        env = {name: os.environ[name] for name in self.KEEP if name in os.environ} | {"PIP_INDEX_URL": f"http://127.0.0.1:{server.server_address[1]}/", "PIP_CONFIG_FILE": "/dev/null"}
        program = subprocess.Popen([PROGRAM, "triage", "--json", "slow==1.0", "other==1.0"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            self.assertTrue(asked.wait(120))
            program.terminate()
            out, err = program.communicate(timeout=30)
        finally:
            answer.set()
            server.shutdown()
            server.server_close()
        self.assertEqual((program.returncode, [line for line in out.splitlines() if "verdict" in line]), (130, []), "a stop is no verdict")
        self.assertIn("stopped while pip ran", err)

    def add_wheel(self, index, name, members):
        """A wheel of these files alone, however odd."""
        (index / name).mkdir(parents=True, exist_ok=True)
        wheel, info = f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
        metadata = {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
        with zipfile.ZipFile(index / name / wheel, "w") as archive:
            for member, text in {**members, **metadata, f"{info}/RECORD": "".join(f"{member},,\n" for member in members)}.items():
                archive.writestr(member, text)
        (index / name / "index.html").write_text(f'<!DOCTYPE html><html><body><a href="{wheel}">{wheel}</a></body></html>')

    def test_triage_of_hostile_wheels(self):
        index = self.folder / "hostile index"
        self.add_wheel(index, "climber", {"../../../../../../../../../../../../tmp/ironwheel-climbed": "x", "climber.py": ""})
        self.add_wheel(index, "painter", {"painter.py": "raise ValueError('\\x1b[2J | <b> \\u202e')\n"})
        self.add_wheel(index, "pip", {"pip/__init__.py": "", "pip/__main__.py": "raise SystemExit('natively')\n"})
        self.add_wheel(index, "speaker", {"speaker.py": "raise RuntimeError('Likely causes:\\n  1. no codec\\n' + 'x' * 500 + '\\n[end of the list].')\n"})
        self.add_wheel(index, "talker", {"talker.py": "raise ValueError('é' * 500)\n"})
        self.add_wheel(index, "tokenizers", {"tokenizers.py": ""})  # there is a recipe of that name, with two checks
        rows = self.triage(index, "climber", "painter", "pip", "speaker", "talker", "tokenizers")
        self.assertEqual({name: row["verdict"] for name, row in rows.items()}, {"climber": "unknown", "painter": "unknown", "pip": "runs", "speaker": "unknown", "talker": "unknown",
                                                                              "tokenizers": "runs"})
        self.assertRegex(rows["tokenizers"]["detail"], "^check bpe failed, without a crash: .*Error: .*; check other-models failed, without a crash: .*Error: ")
        self.assertEqual(rows["speaker"]["detail"], "RuntimeError: Likely causes: 1. no codec [end of the list].")
        self.assertRegex(rows["talker"]["detail"], "^ValueError: é{114}…$")
        self.assertIn("outside", rows["climber"]["detail"])
        self.assertFalse(os.path.lexists("/tmp/ironwheel-climbed"))
        self.assertNotRegex(rows["painter"]["detail"], r"[\x00-\x1f]")
        self.assertRegex(self.triage_text(index, "--markdown", "painter"), r"\| painter \| 1\.0 \| unknown \| 0 \| ValueError: \?\[2J \\\| &lt;b>")

    # --- moved ---

    def test_numpy_where_it_was_moved_to(self):
        for python in (self.python, self.link / "bin/python3"):
            self.assertEqual(self.say("import numpy as n; u,s,v = n.linalg.svd(n.ones((50,50))); print(round(float(s[0])))", python), "50")

    def test_modules_that_need_libraries(self):
        self.say("import ssl, sqlite3, lzma, bz2, zlib, ctypes, readline, venv, curses, hashlib, decimal, xml.parsers.expat; "
                 "assert sqlite3.connect(':memory:').execute('select 1').fetchone() == (1,)")

    def test_on_a_read_only_mount(self):
        run("bwrap", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--ro-bind", self.env, "/tmp/ro", "--dev", "/dev", "--proc", "/proc", "/tmp/ro/bin/python3", "-c",
            "import numpy, ssl; numpy.linalg.svd(numpy.ones((5,5)))")

    def test_under_a_hostile_library_path(self):
        evil = self.folder / "evil"
        evil.mkdir(exist_ok=True)
        for name in ("libssl.so.3", "libopenblas.so.0", "libz.so.1", "libpython3.11.so.1.0"):
            (evil / name).write_bytes(b"not a library")
        self.say("import ssl, zlib, numpy; numpy.dot(numpy.ones((9,9)), numpy.ones((9,9)))", env={"LD_LIBRARY_PATH": str(evil)})

    def test_console_scripts_from_elsewhere(self):
        for script, option in (("pip", "--version"), ("cython", "--version"), ("wheel", "version")):
            path = self.env / "bin" / script
            self.assertTrue(path.exists(), script)
            self.assertTrue(run(path, option, cwd="/").stdout.strip())

    def test_activate_in_every_shell(self):
        target = 'python3 -c "import sys; print(sys.prefix)"'
        wanted = str(self.env)
        for shell, script in (("sh", f'. "$1/bin/activate"; {target}'), ("bash", f'source "$1/bin/activate"; {target}'), ("zsh", f'source "$1/bin/activate"; {target}')):
            self.assertEqual(run(shell, "-c", script, shell, self.env).stdout.strip().splitlines()[-1], wanted, shell)
        self.assertEqual(run("fish", "-c", f'source "{self.env}/bin/activate.fish"; {target}', env={"HOME": str(self.folder)}).stdout.strip().splitlines()[-1], wanted)
        self.assertEqual(run("tcsh", "-c", f'cd "{self.env}"; source bin/activate.csh; {target}').stdout.strip().splitlines()[-1], wanted)

    def test_an_edited_module_takes_effect(self):
        copy = self.folder / "edited"
        shutil.copytree(self.env, copy, symlinks=True)
        module = copy / "lib/python3.11/this.py"
        before = module.stat()
        module.write_text("print('edited!!')\n")
        os.utime(module, (before.st_atime, before.st_mtime))
        self.assertEqual(self.say("import this", copy / "bin/python3"), "edited!!")

    # --- networks, processes ---

    def test_https_to_a_local_server(self):
        key, cert = self.folder / "key.pem", self.folder / "cert.pem"
        run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
            cert)
        server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://127.0.0.1:{server.server_address[1]}/"
        try:
            fetch = f"import urllib.request, ssl; print(urllib.request.urlopen('{url}', context=ssl.create_default_context(cafile=%r)).status)"
            self.assertEqual(self.say(fetch % str(cert)), "200")
            refused = run(self.python, "-c", fetch % None, check=False)
            self.assertIn("CERTIFICATE_VERIFY_FAILED", refused.stdout)
        finally:
            server.shutdown()

    def test_a_forked_child_after_a_threaded_product(self):
        self.say("""
            import multiprocessing, numpy as n
            a = n.ones((900, 900)); a @ a
            def work(q): q.put(float(n.dot(a, a)[0, 0]))
            ctx = multiprocessing.get_context("fork"); q = ctx.Queue(); p = ctx.Process(target=work, args=(q,)); p.start()
            assert q.get(timeout=60) == 900; p.join()
        """)

    # --- pip ---

    def test_pip_sees_a_consistent_environment(self):
        listed = run(self.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check").stdout
        versions = {row["name"].lower().replace("_", "-"): row["version"] for row in json.loads(listed)}
        self.assertEqual((versions["numpy"], versions["monotonic-align"]), ("1.26.4", "1.0.0"))
        run(self.python, "-m", "pip", "check", "--disable-pip-version-check")

    def sdist(self):
        """A small C extension as a source distribution."""
        folder = self.folder / "spam-1.0"
        folder.mkdir(exist_ok=True)
        (folder / "spam.c").write_text(textwrap.dedent("""
            #include <Python.h>
            static PyObject *answer(PyObject *self, PyObject *none) { (void)self; (void)none; return PyLong_FromLong(42); }
            static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, 0}, {0}};
            static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "spam", 0, -1, methods, 0, 0, 0, 0};
            PyMODINIT_FUNC PyInit_spam(void) { return PyModule_Create(&module); }
        """))
        (folder / "setup.py").write_text("from setuptools import setup, Extension\nsetup(name='spam', version='1.0', ext_modules=[Extension('spam', ['spam.c'])])\n")
        archive = self.folder / "spam-1.0.tar.gz"
        run("tar", "-C", self.folder, "-czf", archive, "spam-1.0")
        return archive

    def test_pip_builds_an_extension_in_a_venv(self):
        for name, options in (("venv", []), ("venv copies", ["--copies"])):
            venv = self.folder / name
            run(self.python, "-m", "venv", "--system-site-packages", *options, venv)
            python = venv / "bin/python3"
            self.assertEqual(self.say("import sys; print(sys.prefix)", python), str(venv))
            run(python, "-m", "pip", "install", "--no-index", "--no-build-isolation", "--disable-pip-version-check", self.sdist())
            self.assertEqual(self.say("import spam, numpy; print(spam.answer())", python), "42")

    def test_pip_installs_a_pure_wheel(self):
        copy = self.folder / "installs"
        shutil.copytree(self.env, copy, symlinks=True)
        source = self.folder / "pure"
        source.mkdir()
        (source / "purely.py").write_text("word = 'pure'\n")
        (source / "setup.py").write_text("from setuptools import setup\nsetup(name='purely', version='1', py_modules=['purely'])\n")
        python = copy / "bin/python3"
        run(python, "-m", "pip", "wheel", "--no-index", "--no-build-isolation", "--no-deps", "-w", self.folder, source)
        run(python, "-m", "pip", "install", "--no-index", next(self.folder.glob("purely-*.whl")))
        self.assertEqual(self.say("import purely; print(purely.word)", python), "pure")


if __name__ == "__main__":
    unittest.main()
