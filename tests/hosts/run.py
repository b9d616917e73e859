#!/usr/bin/env python3
"""Bootstrap on fresh systems: `make test-hosts [HOSTS="bullseye sid"]`.

Each host is a minimal Debian made by debootstrap below out/hosts, or (bare) Debian 12 from which apt and dpkg were removed after bootstrap's packages were
installed: it stands for all other families. In each, with an empty store, `./bootstrap.sh hosts` builds the small stack of tests/hosts/recipes from one export of
sources and toolchain, and its bundle must have the same bytes, packed and unpacked, as this host's. One at a time; a host that stopped half-way goes on where
it was. Needs root."""
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PROGRAM = ROOT / "out/release/ironwheel"
WORK = pathlib.Path(os.environ.get("IW_HOSTS", ROOT / "out/hosts"))
SHARE = WORK / "share"  # what each host sees at /share
SUITES = {"bullseye": "bullseye", "bookworm": "bookworm", "trixie": "trixie", "sid": "sid", "bare": "bookworm"}


def run(*command, log=None, **more):
    """Runs it with its output in `log`; its last lines are shown where it fails."""
    with open(log or os.devnull, "a") as out:
        done = subprocess.run([str(word) for word in command], stdout=out, stderr=subprocess.STDOUT, **more)
    if done.returncode:
        tail = "".join(f"    {line}\n" for line in pathlib.Path(log).read_text(errors="replace").splitlines()[-15:]) if log else ""
        raise SystemExit(f"test-hosts: {' '.join(map(str, command))[:200]} failed ({done.returncode})\n{tail}")


def mirror():
    said = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"], capture_output=True, text=True).stdout.split()
    main = [site for site in said if "security" not in site]
    if not main:
        raise SystemExit("test-hosts: apt on this host names no Debian mirror")
    return main[0]


def copy_tree(to):
    """What is in git or would be, with the small stack's recipes among the tree's."""
    to.mkdir(parents=True, exist_ok=True)
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            if not (to / name).exists() or (to / name).read_bytes() != (ROOT / name).read_bytes():
                shutil.copy2(ROOT / name, to / name)
    shutil.copytree(HERE / "recipes", to / "recipes", dirs_exist_ok=True)


def digests(folder):
    """SHA-256 of the one bundle in `folder`, and of the tar in it."""
    (bundle,) = folder.glob("hosts-*.tar.zst")
    data = bundle.read_bytes()
    tar = subprocess.run(["zstd", "-dc", "--long=27", str(bundle)], capture_output=True, check=True).stdout
    return hashlib.sha256(tar).hexdigest(), hashlib.sha256(data).hexdigest()


def reference():
    """This host's bundle, and the export that the others build from."""
    tree, store = WORK / "tree", os.environ.get("IRONWHEEL_CACHE", str(WORK / "cache"))
    SHARE.mkdir(parents=True, exist_ok=True)
    copy_tree(tree)
    environment = {**os.environ, "IRONWHEEL_CACHE": store, "IRONWHEEL_ROOT": str(tree)}
    run(PROGRAM, "build", "hosts", "-o", WORK / "dist", log=WORK / "reference.log", env=environment)
    run(PROGRAM, "fetch", "hosts", "--export", SHARE / "mirror", log=WORK / "reference.log", env=environment)
    return digests(WORK / "dist")


def enter(root, *command, log):
    run("sh", HERE / "enter.sh", root, *command, log=log, env={**os.environ, "IW_ENTER_SHARE": str(SHARE)})


def make_root(name):
    """A fresh system in WORK/name, whole or not at all."""
    root, fresh = WORK / name, WORK / f"{name}.new"
    if root.exists():
        return root
    shutil.rmtree(fresh, ignore_errors=True)
    run("debootstrap", "--variant=minbase", SUITES[name], fresh, mirror(), log=WORK / f"{name}.log")
    shutil.copy("/etc/resolv.conf", fresh / "etc/resolv.conf")
    shutil.copytree("/etc/ssl/certs", fresh / "etc/ssl/certs", dirs_exist_ok=True)  # until ca-certificates is there
    if name == "bare":
        make_bare(fresh)
    fresh.rename(root)
    return root


def make_bare(root):
    """A system whose packages are known to nobody: what bootstrap wants is there, apt and dpkg aren't."""
    copy_tree(root / "root/ironwheel")
    log = WORK / "bare.log"
    enter(root, "sh", "-c", "apt-get update && cd ironwheel && ./bootstrap.sh --deps", log=log)
    for path in [*(root / "usr/bin").glob("apt*"), *(root / "usr/bin").glob("dpkg*")]:
        path.unlink()
    shutil.rmtree(root / "var/lib/dpkg")
    shutil.rmtree(root / "etc/apt")


def build_in(name):
    """Bootstrap in that system, up to the bundle."""
    root, log = make_root(name), WORK / f"{name}.log"
    copy_tree(root / "root/ironwheel")
    shutil.rmtree(root / "root/ironwheel/dist", ignore_errors=True)
    enter(root, "sh", "-c", "cd ironwheel && exec ./bootstrap.sh hosts --import /share/mirror --anyway </dev/null", log=log)
    return digests(root / "root/ironwheel/dist")


def main(names):
    unknown = [name for name in names if name not in SUITES]
    if unknown:
        raise SystemExit(f"test-hosts: no host is called {unknown[0]}; there is {', '.join(SUITES)}")
    if os.geteuid():
        raise SystemExit("test-hosts needs root: it makes whole systems")
    for tool in ("debootstrap", "unshare", "zstd", "git"):
        if not shutil.which(tool):
            raise SystemExit(f"test-hosts needs {tool}: apt-get install debootstrap zstd git util-linux")
    WORK.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    wanted = reference()
    print(f"{'this host':<10} {time.monotonic() - began:6.0f} s  tar {wanted[0]}  tar.zst {wanted[1]}", flush=True)
    bad = 0
    for name in names:
        began = time.monotonic()
        try:
            got = build_in(name)
        except SystemExit as why:
            bad += 1
            print(f"{name:<10} {time.monotonic() - began:6.0f} s  failed; its log is {WORK / name}.log\n{why}", flush=True)
            continue
        bad += got != wanted
        verdict = "the same" if got == wanted else "another file"
        print(f"{name:<10} {time.monotonic() - began:6.0f} s  tar {got[0]}  tar.zst {got[1]}  {verdict}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(SUITES)))
