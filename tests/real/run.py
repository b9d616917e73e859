"""Tries what stands in tests/real/*.list for real, with the package index: `make test-real [LISTS="triage"] [LARGE=1]`. Not part of CI.

A line of a list is a case: words, `#` begins a comment. What came of each is kept in out/real/<list>.jsonl by the line's text, so that a run that was stopped goes on where it was
(`--again` forgets it). A case whose file left the index, or lies there with another digest, is reported gone, not passed. A line that begins with `large` brings gigabytes, and is
tried only with LARGE=1. Another list needs a function here: HANDLERS.

    triage.list: PROFILE REQUIREMENT SHA256 VERDICT[|VERDICT] [because=NAME] [beside=REQUIREMENT]    SHA256: of its wheel for Python 3.11; "-": not pinned yet; beside: what is
                 given with it (IW_SECONDS: --seconds, for a busy machine)
    interop.list: NAME VERSION SHA256                                           a client of registries; SHA256: of its wheel
    farm.list: slurm|make|ssh fixture|STACK                                     built by more than one machine (farm.py)
    share.list: CLIENT VERSION                                                  real clients of a shared place (clients.py); stack base must be built
    new.list: NAME VERSION SHA256 pure|compiled built|todo                      SHA256: of its sdist; `?` for what was never tried
    heal.list: FILE bundle|impossible=NAME[,NAME]                               FILE: below heal/; `?`: either, as long as what is impossible is named
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import clients
import farm

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))


def triage(words):
    """("passed" | "failed" | "gone", what came)"""
    profile, requirement, sha256, verdicts, *more = words
    bound = ["--seconds", os.environ["IW_SECONDS"]] if "IW_SECONDS" in os.environ else []
    beside = [word.split("=", 1)[1] for word in more if word.startswith("beside=")]
    done = subprocess.run([PROGRAM, "-C", str(ROOT), "triage", "--json", *bound, "-p", profile, requirement, *beside], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    rows = [row for row in map(json.loads, done.stdout.splitlines()) if "verdict" in row]
    if not rows:
        return "failed", (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    row = rows[0]
    because = (row["because"] or {}).get("package")
    told = " ".join(filter(None, (row["verdict"], because and f"because={because}", row["what"], row["signal"] or row["detail"])))
    if row["version"] is None and "unknown" not in verdicts.split("|"):
        return "gone", row["detail"]
    if row["sha256"] != sha256 and sha256 != "-":
        return "gone", f"another wheel: {row['sha256']}"
    wanted = [word.split("=", 1)[1] for word in more if word.startswith("because=")]
    return ("passed" if row["verdict"] in verdicts.split("|") and (not wanted or because in wanted) else "failed"), told


def without(folder, recipe):
    """A tree that hasn't that recipe: this one, or a copy."""
    if not (ROOT / recipe).exists():
        return ROOT
    for part in ("recipes", "patches"):
        shutil.copytree(ROOT / part, pathlib.Path(folder, "tree", part), symlinks=True)
    pathlib.Path(folder, "tree", recipe).unlink()
    return pathlib.Path(folder, "tree")


def new(words):
    """A recipe from that sdist, into a folder of its own."""
    name, version, sha256, _, expected = words
    with tempfile.TemporaryDirectory() as folder:
        into = pathlib.Path(folder, "into")
        done = subprocess.run([PROGRAM, "-C", str(without(folder, f"recipes/{name}/{version}.yaml")), "new", name, version, "--tree", "--json", "--into", str(into)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        rows = [row for row in map(json.loads, done.stdout.splitlines()) if row["type"] == "recipe"]
        if not rows:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[0]
            return ("gone" if "no sdist of" in said else "failed"), said
        if sha256 not in pathlib.Path(rows[-1]["path"]).read_text():
            return "gone", "another sdist lies there"
        came = "built" if rows[-1]["built"] else "todo"
        return ("passed" if expected in ("?", came) else "failed"), f"{came} {rows[-1]['cause'] or ''}".strip()


ORAS = """
import sys, oras.client
host, name, tag, into, file = sys.argv[1:]
client = oras.client.OrasClient(hostname=host, insecure=True)
client.pull(target=f"{host}/{name}:{tag}", outdir=into)
client.push(target=f"{host}/other/name:x", files=[file + ":application/octet-stream"], disable_path_validation=True)
"""


def interop(words):
    """Pulls a bundle that was pushed, by its name; what it then pushes beside that harms nothing."""
    name, version, sha256 = words
    sys.path[:0] = [str(ROOT / "tests/cli"), str(ROOT / "tests/servers")]
    import real_registry
    import sharing
    place = sharing.Place()
    registry = real_registry.RealRegistry(place.folder / "registry")
    try:
        python = place.folder / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", place.folder / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", place.folder / "wheels", f"{name}=={version}"], check=True)
        (wheel,) = (place.folder / "wheels").glob("*.whl")
        if sharing.sha256(wheel.read_bytes()) != sha256:
            return "gone", f"another wheel: {sharing.sha256(wheel.read_bytes())}"
        subprocess.run([python, "-m", "pip", "install", "-q", wheel], check=True)
        anna, tag = place.rig("anna"), "demo-1-k10-glibc2.34-cp311"
        keys, file = anna.keygen(), sharing.bundle(place.folder / "dist", {"data": os.urandom(5_000_000)})
        anna.push(file, registry.place())
        subprocess.run([python, "-c", ORAS, registry.host, "anna/ironwheel", tag, place.folder / "out", file], check=True, stdout=subprocess.DEVNULL)
        if (place.folder / "out" / file.name).read_bytes() != file.read_bytes():
            return "failed", "it got other bytes"
        berta = place.rig("berta")
        berta.trust(registry.place(), keys["recovery"])
        berta.run("pull", "demo", registry.place())
        return "passed", "pulled the bundle by its name; pushed beside it"
    except (subprocess.CalledProcessError, AssertionError) as error:
        return "failed", str(error)
    finally:
        registry.close()
        place.close()


def heal(words):
    """A bundle from those requirements, in a folder of its own."""
    name, expected = words
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([PROGRAM, "-C", str(ROOT), "heal", str(pathlib.Path(__file__).parent / "heal" / name), "--json", "--into", f"{folder}/into", "--output", f"{folder}/out"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    fates = {row["package"]: row["fate"] for row in rows if row["type"] == "package"}
    named = re.findall(r"^  ([a-z0-9-]+) \S+: ", done.stderr, re.M) if "can't be had for this CPU:" in done.stderr else []
    impossible = ",".join(sorted(named))
    came = "bundle" if done.returncode == 0 and any(row["type"] == "healed" for row in rows) else f"impossible={impossible}" if impossible else "neither"
    told = [came] + [f"{package} {fate}" for package, fate in sorted(fates.items()) if fate not in ("kept", "impossible")] + done.stderr.strip().splitlines()[:3] * (came != "bundle")
    return "passed" if came == expected or (expected == "?" and came != "neither") else "failed", "; ".join(told)


HANDLERS = {"triage": triage, "new": new, "heal": heal, "interop": interop, "farm": farm.case, "share": clients.case}


def cases(path):
    for line in path.read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            yield " ".join(words), words


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("lists", nargs="*")
    options = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "gone": 0, "large": 0}
    for path in sorted(pathlib.Path(__file__).parent.glob("*.list")):
        if options.lists and path.stem not in options.lists:
            continue
        kept = ROOT / "out/real" / f"{path.stem}.jsonl"
        kept.parent.mkdir(parents=True, exist_ok=True)
        known = {} if options.again or not kept.exists() else {row["case"]: row for row in map(json.loads, kept.read_text().splitlines())}
        for text, words in cases(path):
            if words[0] == "large":
                words = words[1:]
                if not options.large:
                    counts["large"] += 1
                    print(f"{'large':7} {path.stem}: {text}", flush=True)
                    continue
            row = known.get(text)
            if row is None or row["state"] == "gone":
                started = time.monotonic()
                state, told = HANDLERS[path.stem](words)
                row = {"case": text, "state": state, "told": told, "seconds": round(time.monotonic() - started, 1)}
                with kept.open("a") as out:
                    out.write(json.dumps(row) + "\n")
            counts[row["state"]] += 1
            print(f"{row['state']:7} {path.stem}: {text}: {row['told']} ({row['seconds']} s)", flush=True)
    print(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no case")
    return counts["failed"] != 0


if __name__ == "__main__":
    sys.exit(main())
