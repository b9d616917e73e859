"""Ratios, side by side in one run: each row is ours, the other, and ours divided by the other (medians; pairs run in turn).

    IW_PROGRAM=out/release/ironwheel IW_HELPERS=out/release/libexec python3 tests/bench/bench.py [ROW...]

Rows: warm (a run with nothing to do; stack base must be built), pack, steps (orchestration), wrapper. Nothing here is a test: a busy machine gives other figures."""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("IW_PROGRAM", ROOT / "out/release/ironwheel")).resolve()
KEEP = ("HOME", "PATH", "IRONWHEEL_CACHE", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE")
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


def bench_steps(folder):
    """xz: configure, make, make install, from an unpacked tree, by hand with this host's gcc (the toolchain's own version on Debian 12), against the whole of `ironwheel build`
    without the fetch and the bundle."""
    tree = folder / "tree"
    for name in ("recipes", "patches"):
        shutil.copytree(ROOT / name, tree / name, symlinks=True)
    (tree / "recipes/stacks/steps.yaml").write_text("name: steps\nversion: 1\nsummary: For measuring\ntoolchain: debian12\nprofiles: [k10]\npackages:\n  xz: 5.8.1\n")
    store = pathlib.Path(CLEAN.get("IRONWHEEL_CACHE", ROOT / "cache"))
    ours, steps = [], []
    for i in range(4):
        private = folder / f"store{i}"
        private.mkdir()
        for name in ("sources", "toolchains"):
            subprocess.run(["cp", "-al", str(store / name), str(private / name)], check=True)
        events = subprocess.run([str(PROGRAM), "build", "steps", "--json"], cwd=tree, env=CLEAN | {"IRONWHEEL_CACHE": str(private)}, check=True, stdout=subprocess.PIPE, text=True).stdout
        mine = [event for event in map(json.loads, events.splitlines()) if event.get("subject") == "xz/5.8.1" and event["type"] == "finished"]
        steps.append(sum(event["count"] for event in mine if event.get("phase") in ("configure", "compile", "install", "prepare", "finish")) / 1000)
        ours.append(next(event["count"] for event in mine if "phase" not in event) / 1000)
        shutil.rmtree(private)
    row("xz, the whole package", statistics.median(ours[1:]), statistics.median(steps[1:]), "its steps alone, as they ran", "s", 1)


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


def main():
    rows = {"warm": bench_warm, "pack": bench_pack, "steps": bench_steps, "wrapper": bench_wrapper}
    for name in sys.argv[1:] or rows:
        with tempfile.TemporaryDirectory(prefix="ironwheel-bench-", dir=os.environ.get("IRONWHEEL_BENCH_DIR")) as folder:
            rows[name](pathlib.Path(folder))


if __name__ == "__main__":
    main()
