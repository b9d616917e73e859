"""Stack base for real: builds it (or takes it from the store), then proves from outside what a user would expect of the bundle."""
import hashlib
import http.server
import io
import json
import os
import pathlib
import re
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import textwrap
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
RECORDED = pathlib.Path(__file__).with_name("base.sha256")  # "<toolchain digest> <bundle sha256> <tar sha256>"
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
        toolchain, digest, tar = RECORDED.read_text().split()
        shown = [json.loads(line) for line in run(PROGRAM, "list", "toolchains", "--json", cwd=ROOT).stdout.splitlines()]
        self.assertEqual([row["digest"] for row in shown if row["toolchain"] == "debian12"], [toolchain], "the recorded digest is of another toolchain: record it anew")
        self.assertEqual((self.result["sha256"], self.result["tar_sha256"]), (digest, tar))

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

    # --- nor can pip or uv spoil it: what an sdist is built against is the bundle's ---

    NETWORK = ("HOME", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")

    def network(self):
        """What pip is configured with here, for uv too."""
        found = {name: os.environ[name] for name in self.NETWORK if name in os.environ}
        index = found.get("PIP_INDEX_URL") or run(self.python, "-m", "pip", "config", "get", "global.index-url", env=found, check=False).stdout.strip()
        found["PIP_CACHE_DIR"] = str(self.folder / "pip cache")
        return found | ({"UV_DEFAULT_INDEX": index} if index.startswith("http") else {})

    def make_sdist(self):
        """One that notes which numpy its build saw."""
        files = {"PKG-INFO": "Metadata-Version: 2.1\nName: wants-numpy\nVersion: 1.0\n",
                 "pyproject.toml": '[build-system]\nrequires = ["setuptools", "numpy"]\nbuild-backend = "setuptools.build_meta"\n[project]\nname = "wants-numpy"\nversion = "1.0"\n',
                 "setup.py": "import numpy, setuptools\nopen('wants_numpy.py', 'w').write(f'version = {numpy.__version__!r}')\nsetuptools.setup(py_modules=['wants_numpy'])\n"}
        path = self.folder / "wants_numpy-1.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"wants_numpy-1.0/{name}")
                member.size = len(text)
                archive.addfile(member, io.BytesIO(text.encode()))
        return path

    def numpy_seen(self, *installer, env=None):
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            run("sh", "-c", '. "$0/bin/activate"; shift; exec "$@"', self.env, "-", *installer, "--no-deps", "--target", target, self.make_sdist(), env=self.network() | (env or {}))
            return self.say("import wants_numpy; print(wants_numpy.version)", env={"PYTHONPATH": target})

    def test_an_isolated_build_sees_the_bundles_numpy(self):
        self.assertIn(" ", str(self.env))
        ours = self.say("import numpy; print(numpy.__version__)")
        self.assertEqual(self.numpy_seen("python3", "-m", "pip", "install"), ours, "the bundle's pip")
        tools = self.folder / "newer"
        run(self.python, "-m", "pip", "install", "--no-deps", "--target", tools, "pip", "uv", env=self.network())
        newest = self.say("import pip; print(pip.__version__)", env={"PYTHONPATH": str(tools)})
        self.assertNotEqual(newest, self.say("import pip; print(pip.__version__)"))
        self.assertEqual(self.numpy_seen("python3", "-m", "pip", "install", env={"PYTHONPATH": str(tools)}), ours, f"pip {newest}")
        self.assertEqual(self.numpy_seen(tools / "bin/uv", "pip", "install", "--no-cache", "--python", self.env / "bin/python3"), ours, "uv")

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
