"""Ratios, side by side in one run: each row is ours, the other, and ours divided by the other (medians; pairs run in turn).

    IW_PROGRAM=out/release/ironwheel IW_HELPERS=out/release/libexec python3 tests/bench/bench.py [ROW...]

Rows: warm (a run with nothing to do; stack base must be built), pack, pull (IW_BENCH_BUNDLE names another bundle than base's), steps (orchestration), wrapper, torch (stacks tts-debian and tts-cuda must be built, else it is
left out; their bundles are in dist/, or where IW_BENCH_DIST says, for a folder without them means to prove and pack them again). Nothing here is a test: a busy machine gives other figures."""
import base64
import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("IW_PROGRAM", ROOT / "out/release/ironwheel")).resolve()
KEEP = ("HOME", "PATH", "IRONWHEEL_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE")
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
CLEAN = {name: os.environ[name] for name in KEEP if name in os.environ} | {"LC_ALL": "C.UTF-8"}


def timed(command, cwd=None, env=None):
    began = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=CLEAN | (env or {}), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                   shell=isinstance(command, str))
    return time.perf_counter() - began


def pairs(ours, other, rounds, before=None):
    """Runs both in turn; medians in seconds."""
    a, b = [], []
    for i in range(rounds + 1):
        for run, times in ((ours, a), (other, b)) if i % 2 else ((other, b), (ours, a)):
            if before:
                before()
            times.append(run())
    return statistics.median(a[1:]), statistics.median(b[1:])


def row(name, ours, other, what, unit="ms", scale=1000):
    print(f"{name:24} {ours * scale:10.1f} {unit}   {what:34} {other * scale:10.1f} {unit}   ratio {ours / other:.2f}", flush=True)


def uv(folder):
    found = shutil.which("uv")
    if found:
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", str(folder / "uv"), "uv"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return str(folder / "uv/bin/uv")


def bench_warm(folder):
    build = [str(PROGRAM), "build", "base"]
    subprocess.run(build, cwd=ROOT, env=CLEAN, check=True, stdout=subprocess.DEVNULL)
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "nothing"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["packaging==25.0", "setuptools==75.8.2", "wheel==0.45.1"]\n')
    tool = uv(folder)
    timed([tool, "sync", "-q"], project)
    row("build, nothing to do", *pairs(lambda: timed(build, ROOT), lambda: timed([tool, "sync", "-q"], project), 31), "uv sync, nothing to do")
    row("", *pairs(lambda: timed(build, ROOT), lambda: timed("make -q all || true", ROOT), 11), "make -q all, in this tree")


def bench_pack(folder):
    result = subprocess.run([str(PROGRAM), "build", "base", "--json"], cwd=ROOT, env=CLEAN, check=True, stdout=subprocess.PIPE, text=True).stdout
    bundle = json.loads(result.splitlines()[-1])["bundle"]
    subprocess.run([str(PROGRAM), "unpack", bundle, str(folder / "env")], cwd=ROOT, env=CLEAN, check=True, stdout=subprocess.DEVNULL)
    bench = pathlib.Path(os.environ.get("IW_BENCH", PROGRAM.parent / "tests/bench/bench_pack"))
    ours = [str(bench), str(folder / "env"), str(folder / "ours.tar.zst"), "12"]
    other = f'tar -C "{folder}" --sort=name --mtime=@315532800 --owner=0 --group=0 --format=pax -cf - env | zstd -q -12 --long=27 -T0 -f -o "{folder}/other.tar.zst"'
    row("pack the base bundle", *pairs(lambda: timed(ours), lambda: timed(other), 3), "tar | zstd -12 --long=27 -T0", "s", 1)
    print(f"{'':24} {(folder / 'ours.tar.zst').stat().st_size / 1e6:10.1f} MB  {'':34} {(folder / 'other.tar.zst').stat().st_size / 1e6:10.1f} MB")


def bench_pull(folder):
    """From a server of this host's, against curl, zstd and tar on the same file; then a pull with nothing to bring."""
    env = CLEAN | {"IRONWHEEL_CONFIG": str(folder / "config")}

    def ironwheel(*words):
        return subprocess.run([str(PROGRAM), *map(str, words)], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout

    bundle = os.environ.get("IW_BENCH_BUNDLE") or json.loads(ironwheel("build", "base", "--json").splitlines()[-1])["bundle"]
    stem = pathlib.Path(bundle).name.removesuffix(".tar.zst")
    keys = json.loads(ironwheel("keygen", "--json", "--recovery", folder / "recovery.key"))
    ironwheel("push", bundle, folder / "nas")
    server = subprocess.Popen([str(PROGRAM), "serve", str(folder / "nas"), "--port", "0", "--json"], stdout=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
    ironwheel("trust", "add", url, "--key", keys["recovery"])
    # Each run into a folder of its own, and none removed between: ext4 passes over inodes that were freed a moment ago one by one, which would be most of either time.
    def by_hand(into):
        return ["sh", "-c", f'mkdir "{into}" && curl -s "{url}/{stem}.tar.zst" | zstd -dcq --long=27 | tar -C "{into}" -xf -']

    def by_us(into):
        return [str(PROGRAM), "pull", stem, url, "-C", str(into)]

    def cost(command):  # not `measured`, which would wait for the server, too
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, cwd=folder, env=env, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    runs = []
    for i in range(int(os.environ.get("IW_BENCH_ROUNDS", 5)) + 1):
        pair = []
        for how in ((by_us, by_hand) if i % 2 else (by_hand, by_us)):
            os.sync()
            pair.append(cost(how(folder / f"{how.__name__}{i}")))
        runs.append(pair if i % 2 else pair[::-1])
    for at, what in ((0, "wall"), (1, "CPU")):
        row(f"pull, {what} time", *(statistics.median(pair[which][at] for pair in runs[1:]) for which in (0, 1)), "curl | zstd -d | tar -x", "s", 1)
    nothing = [cost(by_us(folder / "by_us1")) for _ in range(11)]
    once = json.loads(ironwheel("pull", stem, url, "-C", folder / "by_us1", "--json").splitlines()[-1])
    print(f"{'pull, nothing to bring':24} {statistics.median(wall for wall, _ in nothing) * 1000:10.1f} ms   {statistics.median(cpu for _, cpu in nothing) * 1000:.1f} ms of the processor, {once['requests']} requests",
          flush=True)
    server.terminate()
    server.wait()


ARTIFACT_LEVEL = 3  # of zstd, as the store packs
POLICY = """\
name: policy
version: 1
summary: What the wrapper is told and what a step sees
licence: MIT
build:
  system: script
  install-script: mkdir -p $DESTDIR$PREFIX; base64 -w0 /run/ironwheel/policy > $DESTDIR$PREFIX/policy; env -0 | base64 -w0 > $DESTDIR$PREFIX/environment
"""
HAND = """\
set -e
cd build
mkdir -p src home files tmp patches out/opt/iw-prefix prefix run/objects objects
cp policy run/policy
tar -xf "$SOURCE" -C src --strip-components=1
tar -xf "$PACKAGING" -C patches --strip-components=2 "$PATCH"
cd ..
{box} /bin/sh -ec 'cat /build/patches/*.patch | patch -s -d src -p1' > patch.log 2>&1
{step} /bin/sh -exc './configure --prefix="$PREFIX" --libdir="$PREFIX/lib" {arguments}' > configure.log 2>&1
{step} /bin/sh -exc 'make -j"$JOBS"' > compile.log 2>&1
{step} /bin/sh -exc 'make DESTDIR="$DESTDIR" install' > install.log 2>&1
{tree} /bin/sh -exc '{finish}' > finish.log 2>&1
{tree} /bin/sh -exc 'rm -rf bin lib/*.la; strip --strip-debug --preserve-dates lib/*.so.*.*; patchelf --force-rpath --set-rpath "" lib/*.so.*.*; patchelf --remove-rpath lib/*.so.*.*
sed -i "s,/opt/iw-prefix,\\${{pcfiledir}}/../..," lib/pkgconfig/*.pc' > pack.log 2>&1
tar -C build/out/opt/iw-prefix --sort=name --mtime=@315532800 --owner=0 --group=0 --format=pax -cf - . | zstd -q -{level} -o artifact.tar.zst
rm -rf build
"""


def sandboxed(build, root, environment, folder):
    """bubblewrap as builder/build/sandbox.c and box.c call it, but for the network filter."""
    tools, names = pathlib.Path(os.environ.get("IW_HELPERS", PROGRAM.parent / "libexec")), (root / "usr/libexec/iw-real/names").read_text().split()
    words = ["bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--clearenv", "--cap-drop", "ALL", "--hostname", "ironwheel", "--new-session", "--uid", "1000",
             "--gid", "1000", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", build, "/build", "--ro-bind", build / "prefix",
             "/opt/iw-prefix", "--ro-bind", tools, "/opt/iw-tools"]
    for name in names:
        words += ["--ro-bind", tools / "iw-cc", f"/usr/bin/{name}"]
    words += ["--ro-bind", build / "run", "/run/ironwheel", "--bind", build / "objects", "/run/ironwheel/objects"]
    for pair in environment:
        words += ["--setenv", *pair.split("=", 1)]
    return shlex.join(map(str, [*words, "--chdir", folder, "--"]))


def measured(command, cwd, env=None):
    """Wall and CPU seconds, and what it printed. bubblewrap ends without waiting for the first process of its sandbox, whose CPU time then counts for whoever reaps it: so
    this process does."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    out = subprocess.run(command, cwd=cwd, env=CLEAN | (env or {}), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout
    wall = time.perf_counter() - began
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


def bench_steps(folder):
    """xz from its source file to its artifact, by `ironwheel build` without the fetch, the plan and the bundle, against a shell script that runs the same steps in the same
    sandbox through the same wrapper, finishes the tree, and packs it."""
    tree, store = folder / "tree", pathlib.Path(CLEAN.get("IRONWHEEL_CACHE", ROOT / "cache"))
    for name in ("recipes", "patches"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True)
    (tree / "recipes/policy").mkdir()
    (tree / "recipes/policy/1.yaml").write_text(POLICY)
    for name, package in (("steps", "xz: 5.8.1"), ("policy", "policy: 1")):
        (tree / f"recipes/stacks/{name}.yaml").write_text(f"name: {name}\nversion: 1\nsummary: For measuring\ntoolchain: debian12\nprofiles: [k10]\npackages:\n  {package}\n")
    private = folder / "store"

    def empty():
        shutil.rmtree(private, ignore_errors=True)
        private.mkdir()
        for name in ("sources", "toolchains"):
            subprocess.run(["cp", "-al", str(store / name), str(private / name)], check=True)

    env = {"IRONWHEEL_CACHE": str(private)}
    empty()
    subprocess.run([str(PROGRAM), "build", "policy"], cwd=tree, env=CLEAN | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # without a Python it makes no bundle
    files = {}
    with tempfile.TemporaryDirectory() as laid:
        subprocess.run(["tar", "-xf", str(next((private / "artifacts").glob("*.tar.zst"))), "-C", laid], check=True)
        files = {path.name: base64.b64decode(path.read_bytes()) for path in pathlib.Path(laid).iterdir()}
    seen = [pair for pair in files["environment"].decode().split("\0") if pair and pair.split("=")[0] not in ("PWD", "OLDPWD", "SHLVL", "_")]
    recipe = (tree / "recipes/xz/5.8.1.yaml").read_text()
    digests, patch = re.findall(r"sha256: ([0-9a-f]{64})", recipe), re.search(r"files: \[(.*?)\]", recipe)[1]
    arguments, finish = re.sub(r"\s+", " ", re.search(r"arguments: \[(.*?)\]", recipe, re.S)[1]).replace(",", ""), re.search(r"finish: (.*)", recipe)[1]
    root = next((store / "toolchains").glob("*/root"))
    given = {"SOURCE": str(store / "sources" / digests[0]), "PACKAGING": str(store / "sources" / digests[1]), "PATCH": patch}

    def ours():
        empty()
        _, cpu, out = measured([str(PROGRAM), "build", "steps", "--json", "-o", str(folder / "dist")], tree, env)
        _, rest, _ = measured([str(PROGRAM), "build", "steps", "--json", "--check", "-o", str(folder / "dist")], tree, env)  # audit, checks, bundle
        wall = next(event["count"] for event in map(json.loads, out.splitlines()) if event.get("subject") == "xz/5.8.1" and event["type"] == "finished" and "phase" not in event)
        return wall / 1000, cpu - rest

    def hand():
        place = folder / "hand"
        shutil.rmtree(place, ignore_errors=True)
        (place / "build").mkdir(parents=True)
        (place / "build/policy").write_bytes(files["policy"])
        box = lambda where: sandboxed(place / "build", root, seen, where)
        script = HAND.format(box=box("/build"), step=box("/build/src"), tree=box("/build/out/opt/iw-prefix"), arguments=arguments, finish=finish.replace("'", ""), level=ARTIFACT_LEVEL)
        (place / "script").write_text(script)
        wall, cpu, _ = measured(["/bin/sh", "script"], place, given)
        return wall, cpu

    runs = [(ours(), hand()) if i % 2 else tuple(reversed((hand(), ours()))) for i in range(int(os.environ.get("IW_BENCH_ROUNDS", 5)) + 1)][1:]
    for at, what in ((0, "wall"), (1, "CPU")):
        row(f"xz, {what} time", statistics.median(a[at] for a, _ in runs), statistics.median(b[at] for _, b in runs), "the same steps, by a script", "s", 1)
        ratios = sorted(a[at] / b[at] for a, b in runs)
        print(f"{'':24} pair by pair: {' '.join(f'{ratio:.3f}' for ratio in ratios)}; median {statistics.median(ratios):.3f}")


def bench_wrapper(folder):
    helper = pathlib.Path(os.environ.get("IW_HELPERS", PROGRAM.parent / "libexec")) / "iw-cc"
    real = folder / "real"
    real.mkdir()
    for name in ("gcc", "as", "ld"):
        (real / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
    (folder / "policy").write_text(f"flags -march=amdfam10\nmode strip\nreal {real}\nsource {folder}\n")
    (folder / "gcc").symlink_to(helper)
    (folder / "a.c").write_text("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint main(void) { return printf(\"%d\\n\", (int)strlen(\"x\")); }\n")
    env = {"IRONWHEEL_POLICY": str(folder / "policy"), "PATH": f"{folder}:/usr/bin:/bin"}
    compile_ = ["-O2", "-c", "a.c", "-o", "a.o"]
    row("wrapper, compiling", *pairs(lambda: timed([str(folder / "gcc"), *compile_], folder, env), lambda: timed(["/usr/bin/gcc", "-march=amdfam10", *compile_], folder), 21),
        "gcc alone")
    objects = folder / "objects"
    objects.mkdir()
    cached = env | {"IRONWHEEL_OBJECTS": str(objects)}
    timed([str(folder / "gcc"), *compile_], folder, cached)
    row("wrapper, from its cache", *pairs(lambda: timed([str(folder / "gcc"), *compile_], folder, cached), lambda: timed(["/usr/bin/gcc", "-march=amdfam10", *compile_], folder), 21),
        "gcc alone")


MATMUL = """
import statistics, time, torch
torch.backends.mkldnn.enabled = False
a, b = torch.randn(512, 512), torch.randn(512, 512)
times = []
for _ in range(60):
    began = time.perf_counter()
    a @ b
    times.append(time.perf_counter() - began)
print(statistics.median(times[10:]))
"""


def built_environment(stack, folder):
    """The Python of a stack's bundle, unpacked; None where something of it would have to be built first."""
    plan = subprocess.run([str(PROGRAM), "plan", stack, "--json"], cwd=ROOT, env=CLEAN, stdout=subprocess.PIPE, text=True)
    if plan.returncode or any(json.loads(line)["action"] != "reuse" for line in plan.stdout.splitlines()):
        return None
    result = subprocess.run([str(PROGRAM), "build", stack, "--json", "-o", os.environ.get("IW_BENCH_DIST", str(ROOT / "dist"))], cwd=ROOT, env=CLEAN, check=True, stdout=subprocess.PIPE, text=True).stdout
    subprocess.run([str(PROGRAM), "unpack", json.loads(result.splitlines()[-1])["bundle"], str(folder / stack)], cwd=ROOT, env=CLEAN, check=True, stdout=subprocess.DEVNULL)
    return str(folder / stack / "bin/python3")


def bench_torch(folder):
    """Ours, compiled for the K10, and the published wheel, on this host's CPU: as it is, and limited as far as its variables go."""
    ours, published = built_environment("tts-debian", folder), built_environment("tts-cuda", folder)
    if not ours or not published:
        print(f"torch: left out, for {'tts-cuda' if ours else 'tts-debian'} isn't built in this store")
        return
    row("import torch", *pairs(lambda: timed([ours, "-c", "import torch"]), lambda: timed([published, "-c", "import torch"]), 9), "the published wheel", "s", 1)

    def multiply(python, **limits):
        return float(subprocess.run([python, "-c", MATMUL], env=CLEAN | limits, check=True, stdout=subprocess.PIPE, text=True).stdout)

    default = {"ATEN_CPU_CAPABILITY": "default"}
    for what, limits in (("published, ATen's default kernels", default), ("the same, MKL held to SSE2", default | {"MKL_CBWR": "COMPATIBLE"})):
        row("matmul 512, float32", *pairs(lambda: multiply(ours), lambda: multiply(published, **limits), 5), what)


def main():
    rows = {"warm": bench_warm, "pack": bench_pack, "pull": bench_pull, "steps": bench_steps, "wrapper": bench_wrapper, "torch": bench_torch}
    for name in sys.argv[1:] or rows:
        with tempfile.TemporaryDirectory(prefix="ironwheel-bench-", dir=os.environ.get("IRONWHEEL_BENCH_DIR")) as folder:
            rows[name](pathlib.Path(folder))


if __name__ == "__main__":
    main()
