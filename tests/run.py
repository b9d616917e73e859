"""Runs test programs (cmocka) and folders of Python tests, two at a time; prints failures whole and one line per program; the exit status tells.

    run.py [--results FILE] PROGRAM-OR-FOLDER...

FILE gets "passed failed". A program that dies, prints no result, or skips a test counts as a failure."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

TIMEOUT = 3600


def environment():
    """What tests see: nothing of the caller's that changes results."""
    keep = ("PATH", "HOME", "TERM", "LANG", "USER", "TMPDIR", "PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "SSL_CERT_FILE", "CARGO_HOME", "http_proxy", "https_proxy",
            "no_proxy")
    found = {name: os.environ[name] for name in keep if name in os.environ}
    found.update({name: value for name, value in os.environ.items() if name.startswith(("IW_", "IRONWHEEL_", "ASAN_", "UBSAN_", "TSAN_"))})
    return found


def count_tap(text):
    passed = len(re.findall(r"^ok \d+", text, re.M)) - len(re.findall(r"^ok \d+.*# ?skip", text, re.M | re.I))
    failed = len(re.findall(r"^not ok \d+", text, re.M)) + len(re.findall(r"^ok \d+.*# ?skip", text, re.M | re.I))
    planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", text, re.M))
    return passed, failed + max(0, planned - passed - failed)


def count_unittest(text):
    ran = sum(int(n) for n in re.findall(r"^Ran (\d+) tests?", text, re.M))
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors|skipped|unexpected successes)=(\d+)", text))
    return max(0, ran - bad), bad


def run(target):
    started = time.monotonic()
    folder = target.is_dir() or target.suffix == ".py"
    if folder:
        command = [sys.executable, "-B", "-m", "unittest", "discover", "-s", str(target.parent if target.suffix else target), "-p", target.name if target.suffix else "test_*.py"]
    else:
        command = [str(target)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT,
                              env=environment() | ({} if folder else {"CMOCKA_MESSAGE_OUTPUT": "TAP"}))
        text, status = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        text, status = (late.stdout or b"").decode(errors="replace") + f"\nstill running after {TIMEOUT} s\n", 1
    passed, failed = count_unittest(text) if folder else count_tap(text)
    if (status or passed == 0) and not failed:
        failed, text = 1, text + f"\nended with status {status} after {passed} passed tests\n"
    return target, passed, failed, text, time.monotonic() - started


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("targets", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    targets = []
    for target in options.targets: # folders file by file: they run side by side
        targets += sorted(target.glob("test_*.py")) if target.is_dir() else [target]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(max(2, os.cpu_count() or 2)) as pool:
        for target, good, bad, text, seconds in pool.map(run, targets):
            passed, failed = passed + good, failed + bad
            name = target if target.suffix else f"{target.parent.name}/{target.name}"
            print(f"{'FAILED' if bad else 'ok':7} {name}: {good} passed{f', {bad} failed' if bad else ''} ({seconds:.1f} s)", flush=True)
            if bad:
                print("    " + text.replace("\n", "\n    "), flush=True)
    if options.results:
        options.results.parent.mkdir(parents=True, exist_ok=True)
        options.results.write_text(f"{passed} {failed}\n")
    print(f"{passed} passed, {failed} failed")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
