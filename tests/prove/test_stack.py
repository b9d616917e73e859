"""Any stack for real, the one that IW_STACK names: builds it (or takes the bundle that IW_DIST holds, where it is this very plan's), then proves from outside what holds of
every bundle. What is special to a stack stands in its checks, which ran under the emulated CPU before there was a bundle, and run again here, in `verify`. Not part of CI, for
most stacks take hours."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
STACK = os.environ.get("IW_STACK", "")
KEEP = ("HOME", "PATH", "IRONWHEEL_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")
CLEAN = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
GLIBC = re.compile(r"^(ld-linux-x86-64|lib(c|m|dl|pthread|rt|util|resolv|anl|mvec))\.so\.\d$")


def run(*command, **env):
    return subprocess.run([str(part) for part in command], env=CLEAN | env, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def elf_files(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


class Stack(unittest.TestCase):
    @classmethod
    def ironwheel(cls, *arguments):
        return subprocess.run([PROGRAM, *map(str, arguments)], cwd=ROOT, env={name: os.environ[name] for name in KEEP if name in os.environ}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=None, text=True)

    @classmethod
    def setUpClass(cls):
        if not STACK:
            raise AssertionError("which stack? make prove STACK=name")
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"ironwheel-prove-{STACK}-", dir=os.environ.get("TMPDIR")))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.dist = pathlib.Path(os.environ.get("IW_DIST") or cls.folder / "dist").absolute()
        done = cls.ironwheel("build", STACK, "--json", "--output", cls.dist)
        if done.returncode:
            raise AssertionError(f"ironwheel build {STACK} ended with {done.returncode}")
        cls.result = json.loads(done.stdout.splitlines()[-1])
        cls.bundle = pathlib.Path(cls.result["bundle"])
        # Unpacked, moved, and reached through a link, at a path that careless quoting trips over.
        first = cls.folder / "first"
        done = cls.ironwheel("unpack", cls.bundle, first)
        if done.returncode:
            raise AssertionError(f"ironwheel unpack ended with {done.returncode}")
        cls.env = cls.folder / "dröhn rig" / "env é"
        cls.env.parent.mkdir()
        first.rename(cls.env)
        cls.link = cls.folder / "link"
        cls.link.symlink_to(cls.env)
        cls.manifest = json.loads((cls.env / "manifest.json").read_text())

    def test_the_result_names_the_bundle_and_its_digest(self):
        self.assertEqual(hashlib.sha256(self.bundle.read_bytes()).hexdigest(), self.result["sha256"])
        self.assertRegex(self.bundle.name, rf"^{re.escape(STACK)}-[0-9.]+-[a-z0-9-]+-glibc2\.\d+-cp311\.tar\.zst$")

    def test_a_second_build_has_nothing_to_do(self):
        self.assertIn("nothing to do", self.ironwheel("build", STACK, "--output", self.dist).stdout)

    def test_verify_passes(self):
        done = self.ironwheel("verify", self.bundle)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("holds what it should", done.stdout)

    def test_every_check_of_what_is_inside_passed(self):
        checks = self.manifest["checks"]
        self.assertTrue(checks and all(check["passed"] for check in checks))
        self.assertEqual({check["profile"] for check in checks}, set(self.manifest["profiles"]))
        self.assertIn(STACK, {check["package"] for check in checks}, "the stack has a check of its own")

    def test_what_the_audit_excuses_has_a_reason(self):
        audit = self.manifest["audit"]
        self.assertIn(audit["verdict"], ("clean", "guarded"))
        self.assertEqual([row["file"] for row in audit["not_clean"] if row.get("verdict") not in (None, "guarded")], [])

    def test_no_file_holds_a_path_of_the_build(self):
        excused = {row["file"] for package in self.manifest["packages"] for row in package.get("kept_prefix", [])}
        forbidden = [b"/opt/iw-prefix", str(ROOT).encode() + b"/"]
        found = [str(path.relative_to(self.env)) for path in sorted(self.env.rglob("*")) if path.is_file() and not path.is_symlink() and path.name != "manifest.json"
                 and any(text in path.read_bytes() for text in forbidden)]
        self.assertEqual([path for path in found if path not in excused], [])

    def test_shared_libraries_are_inside_or_glibcs_own(self):
        have = {path.name for path in self.env.rglob("*.so*")}
        hosts = {row["name"] for package in self.manifest["packages"] for row in package.get("host_libraries", [])}
        for path in elf_files(self.env):
            for name in re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-dW", path).stdout):
                self.assertTrue(GLIBC.match(name) or name in have or name in hosts, f"{path} needs {name}")

    def test_the_floor_is_the_measured_one(self):
        needed = {int(version) for path in elf_files(self.env) for version in re.findall(r"GLIBC_2\.(\d+)", run("readelf", "-VW", path).stdout)}
        self.assertEqual(f"2.{max(needed)}", self.manifest["glibc"]["floor"])
        self.assertIn(f"-glibc2.{max(needed)}-", self.bundle.name)

    def test_pip_finds_nothing_amiss(self):
        for python in (self.env / "bin/python3", self.link / "bin/python3"):
            done = run(python, "-m", "pip", "check", "--disable-pip-version-check")
            self.assertEqual((done.returncode, done.stdout.strip()), (0, "No broken requirements found."))

    def test_commands_of_packages_start_from_elsewhere(self):
        """Every script that a Python package installs starts with this bundle's interpreter, wherever it was moved to."""
        code = ("import importlib.metadata as m, os, sys\n"
                "for one in m.distributions():\n"
                "    for entry in one.entry_points:\n"
                "        if entry.group == 'console_scripts': print(entry.name)")
        names = sorted(set(run(self.env / "bin/python3", "-c", code).stdout.split()))
        self.assertTrue(names)
        for name in names:
            script = self.env / "bin" / name
            if script.exists() and script.read_bytes()[:2] == b"#!":
                self.assertNotIn(b"/opt/", script.read_bytes()[:200], name)

    def test_bill_of_materials_and_licences(self):
        sbom = json.loads((self.env / "sbom.spdx.json").read_text())
        inside = {package["name"] for package in self.manifest["packages"] if package["in_bundle"]}
        self.assertLessEqual(inside, {package["name"] for package in sbom["packages"]})
        self.assertTrue(all(package["licence"] for package in self.manifest["packages"]))


if __name__ == "__main__":
    unittest.main()
