"""Real clients of a shared place (share.list): stack base is pushed with wheels to a folder, which `ironwheel serve` shows; each client then takes from it what is its own to take."""
import atexit
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
USE = "import numpy as np; a = np.arange(90000.).reshape(300, 300); assert float((a @ a.T).trace()) > 0; print(np.__version__)"
CPUS = ("phenom", "core2duo")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))} | {"PIP_CONFIG_FILE": "/dev/null", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
INSTALLING = {**{name: value for name, value in os.environ.items()}, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # of the clients themselves, from the configured index


def run(command, **more):
    more = {"check": True, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **more}
    return subprocess.run(list(map(str, command)), **more)


class Place:
    """Made once, for all cases."""
    made = None

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-real-"))
        atexit.register(shutil.rmtree, self.folder, True)
        self.nas, self.env = self.folder / "nas", {**os.environ, "IRONWHEEL_CONFIG": str(self.folder / "config")}
        self.keys = json.loads(self.ironwheel("keygen", "--json", "--recovery", self.folder / "recovery.key"))
        self.ironwheel("build", "base", "-o", self.folder / "dist")
        self.ironwheel("push", "base", self.nas, "--wheels", "-o", self.folder / "dist")
        (self.bundle,) = (path.name for path in self.nas.glob("*.tar.zst"))
        server = subprocess.Popen([PROGRAM, "serve", self.nas, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
        atexit.register(server.wait)
        atexit.register(server.send_signal, signal.SIGINT)

    def ironwheel(self, *words):
        return run([PROGRAM, "-C", ROOT, *words], env=self.env, stderr=subprocess.PIPE).stdout

    @classmethod
    def get(cls):
        cls.made = cls.made or cls()
        return cls.made


def version_of(*command):
    return re.search(r"\d+\.\d+(\.\d+)*", run(command).stdout)[0]


def minisign(place, _):
    for name in (place.bundle, f"channels/{place.keys['working']}.json", "pylock.base-k10.toml"):
        run(["minisign", "-V", "-q", "-p", place.folder / "config/working.pub", "-m", place.nas / name])
    return "bundle, channel and lock file verify"


def curl(place, _):
    into = place.folder / "by hand"
    into.mkdir()
    for ending in ("", ".sha256"):
        run(["curl", "-sSfO", f"{place.url}/{place.bundle}{ending}"], cwd=into)
    run(["sha256sum", "--quiet", "-c", place.bundle + ".sha256"], cwd=into)
    run(["sh", "-c", f"zstd -dcq --long=27 {place.bundle} | tar -xf -"], cwd=into)
    said = run([into / place.bundle.removesuffix(".tar.zst") / "bin/python3", "-c", USE]).stdout
    return f"unpacked by tar, numpy {said.strip()}"


def rsync(place, _):
    run(["rsync", "-aH", f"{place.nas}/", f"{place.folder}/copy/"])
    names = [path.relative_to(place.nas) for path in place.nas.rglob("*")]
    linked = os.path.samefile(place.folder / "copy" / place.bundle, next(path for path in (place.folder / "copy/blobs/sha256").iterdir() if path.stat().st_size == (place.nas / place.bundle).stat().st_size))
    assert all((place.folder / "copy" / name).exists() for name in names) and linked
    return f"{len(names)} names, links kept"


def tool(place, name, version):
    """pip or uv of that version, in a folder of its own."""
    where = place.folder / f"{name}-{version}"
    run([sys.executable, "-m", "pip", "install", "-q", "--target", where, f"{name}=={version}"], env=INSTALLING)
    return where


def install(place, version, installer):
    venv = place.folder / f"venv-{installer}-{version}"
    run(["/usr/bin/python3.11", "-m", "venv", "--without-pip", venv], env=CLEAN)
    index = f"{place.url}/simple/k10/"
    if installer == "uv":
        run([tool(place, "uv", version) / "bin/uv", "pip", "install", "-q", "--no-cache", "--python", venv / "bin/python", "--index-url", index, "numpy"], env=CLEAN)
    elif version == "23.0.1":  # Debian 12's own
        run(["/usr/bin/python3.11", "-m", "pip", "--python", venv / "bin/python", "install", "-q", "--index-url", index, "numpy"], env=CLEAN)
    else:
        env = {**CLEAN, "PYTHONPATH": str(tool(place, "pip", version))}
        python = [] if version == "22.3.1" else ["--python", venv / "bin/python"]
        run([sys.executable if python else venv / "bin/python", "-m", "pip", *python, "install", "-q", "--index-url", index, "numpy"], env=env)
    run(["/usr/bin/python3.11", "-m", "pip", "--python", venv / "bin/python", "check"], env=CLEAN)
    seen = []
    for cpu in CPUS:
        done = run([PROGRAM, "-C", ROOT, "run", "--cpu", {"phenom": "k10", "core2duo": "core2"}[cpu], "--", venv / "bin/python", "-c", USE], check=False, env=place.env)
        seen.append(f"{cpu}: " + (done.stdout.strip().splitlines() or ["nothing"])[-1])
    assert re.search(r"phenom: 1\.\d+", seen[0]) and "was compiled for k10" in seen[1], seen
    return "; ".join(seen)


def memory(place, limit):
    """A pull on one core within so much memory (cgroup)."""
    into = place.folder / "small rig"
    env = {**place.env, "IRONWHEEL_CONFIG": str(place.folder / "small config")}
    run([PROGRAM, "trust", "add", place.url, "--key", place.keys["recovery"]], env=env)
    group, size = next(((path, name) for path, name in ((pathlib.Path("/sys/fs/cgroup/memory/ironwheel-real"), "memory.limit_in_bytes"), (pathlib.Path("/sys/fs/cgroup/ironwheel-real"), "memory.max"))
                        if path.parent.joinpath("cgroup.procs").exists()), (None, None))
    group.mkdir(exist_ok=True)
    (group / size).write_text(limit)
    try:
        done = run(["sh", "-c", f"echo $$ > {group}/cgroup.procs; exec taskset -c 0 /usr/bin/time -f '%M %e %U %S' \"$@\"", "sh", PROGRAM, "pull", "base", place.url, "-C", into, "-q"], env=env)
    finally:
        group.rmdir()
    peak, wall, user, system = done.stdout.split()[-4:]
    return f"peak {int(peak) / 1024:.0f} MB resident, {wall} s ({user} + {system} of the processor)"


CASES = {"minisign": minisign, "curl": curl, "rsync": rsync, "pip": lambda place, version: install(place, version, "pip"), "uv": lambda place, version: install(place, version, "uv"), "memory": memory}


def case(words):
    """("passed" | "failed" | "gone", what came)"""
    name, version = words
    try:
        if name in ("minisign", "curl", "rsync"):
            if not shutil.which(name):
                return "gone", "not here"
            found = version_of(name, "-v" if name == "minisign" else "--version")
            if found != version:
                return "gone", f"another version is here: {found}"
        return "passed", CASES[name](Place.get(), version)
    except subprocess.CalledProcessError as error:
        return "failed", (error.stdout or str(error)).strip().splitlines()[-1]
    except (AssertionError, OSError) as error:
        return "failed", str(error)
