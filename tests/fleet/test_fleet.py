"""Stack base-fleet for real: one bundle that passes under every CPU that profile fleet stands for. Not part of CI, for it builds everything of base once more."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
MODELS = {"fleet": "kvm64", "core2": "core2duo", "k10": "phenom,-fxsr-opt", "nehalem": "Nehalem"}
KEEP = ("HOME", "PATH", "IRONWHEEL_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy")


class Fleet(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-fleet-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.environment = {name: os.environ[name] for name in KEEP if name in os.environ}
        done = cls.run_ironwheel("build", "base-fleet", "--json", "--output", cls.folder / "dist")
        cls.bundle = pathlib.Path(json.loads(done.stdout.splitlines()[-1])["bundle"])
        cls.env = cls.folder / "rig é"
        cls.run_ironwheel("unpack", cls.bundle, cls.env)

    @classmethod
    def run_ironwheel(cls, *arguments):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=ROOT, env=cls.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            raise AssertionError(f"ironwheel {arguments} ended with {done.returncode}:\n{done.stdout}")
        return done

    def test_every_check_passed_under_every_cpu(self):
        rows = json.loads(pathlib.Path(f"{self.bundle}.checks.json").read_text())
        ran = {profile: {(row["package"], row["name"]) for row in rows if row["profile"] == profile and row["passed"]} for profile in MODELS}
        self.assertEqual({row["profile"] for row in rows}, set(MODELS))
        self.assertGreater(len(ran["fleet"]), 10)
        self.assertTrue(all(checks == ran["fleet"] for checks in ran.values()))
        self.assertTrue(all(row["passed"] for row in rows))

    def test_numpy_computes_under_every_cpu(self):
        code = "import numpy as np; a = np.arange(40000.).reshape(200, 200) % 7 + np.eye(200); print(np.abs(np.linalg.inv(a) @ a - np.eye(200)).max() < 1e-6)"
        for model in MODELS.values():
            done = subprocess.run(["qemu-x86_64", "-cpu", model, str(self.env / "bin/python3.11"), "-c", code], env={"PATH": "/usr/bin:/bin"}, stdout=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, "True\n"), model)

    def test_nothing_is_guarded(self):
        audit = json.loads((self.env / "manifest.json").read_text())["audit"]
        self.assertEqual((audit["profile"], audit["verdict"], audit["not_clean"]), ("fleet", "clean", []))


if __name__ == "__main__":
    unittest.main()
