"""Builds stack base twice, in checkouts at two paths, at different times, with different -j, HOME, user names, time zones and locales, each with an empty store
of its own, and compares the bundles byte for byte. Takes about an hour on two cores. Differences are shown member by member.

    IW_PROGRAM=out/release/ironwheel python3 tests/repro.py [STACK]"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = pathlib.Path(os.environ.get("IW_PROGRAM", ROOT / "out/release/ironwheel")).resolve()
KEEP = ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "http_proxy", "https_proxy", "no_proxy", "IRONWHEEL_DEBIAN_MIRROR")
RIGS = [
    {"path": "one", "jobs": "1", "env": {"HOME": "/nonexistent", "USER": "first", "LC_ALL": "C.UTF-8", "TZ": "UTC"}},
    {"path": "another place/with é", "jobs": "5", "env": {"HOME": "/tmp", "USER": "second", "LC_ALL": "C", "TZ": "Asia/Tokyo", "CFLAGS": "-O0", "OPENBLAS_CORETYPE": "HASWELL"}},
]


def build(folder, rig, stack):
    checkout = folder / rig["path"] / "checkout"
    checkout.mkdir(parents=True)
    for name in ("recipes", "patches"):
        shutil.copytree(ROOT / name, checkout / name, symlinks=True)
    env = {"PATH": "/usr/bin:/bin", "IRONWHEEL_CACHE": str(folder / rig["path"] / "store")} | {name: os.environ[name] for name in KEEP if name in os.environ} | rig["env"]
    began = time.monotonic()
    done = subprocess.run([str(PROGRAM), "build", stack, "--json", "-j", rig["jobs"]], cwd=checkout, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"building in {checkout} ended with {done.returncode}")
    bundle = pathlib.Path(json.loads(done.stdout.splitlines()[-1])["bundle"])
    print(f"{hashlib.sha256(bundle.read_bytes()).hexdigest()}  {bundle.name}  in {checkout}, -j {rig['jobs']}, {time.monotonic() - began:.0f} s", flush=True)
    return bundle


def main():
    stack = sys.argv[1] if len(sys.argv) > 1 else "base"
    with tempfile.TemporaryDirectory(prefix="ironwheel-repro-", dir=os.environ.get("IRONWHEEL_REPRO_DIR")) as folder:
        one, other = (build(pathlib.Path(folder), rig, stack) for rig in RIGS)
        if one.read_bytes() == other.read_bytes():
            print("the same, byte for byte")
            return 0
        subprocess.run([str(PROGRAM), "diff", str(one), str(other)])
        return 1


if __name__ == "__main__":
    sys.exit(main())
