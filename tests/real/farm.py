"""Stacks built by more than one machine, as far as Ironwheel can tell: each has a store of its own, and the bundle is the one of one machine."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
sys.path[:0] = [str(ROOT / "tests/cli"), str(ROOT / "tests/servers")]


class Work:
    """A stack, its tree and environment, and the digest of its tar as one machine makes it."""

    def __init__(self, stack):
        self.ends = []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel farm ", dir="/var/tmp"))
        self.addCleanup(self.remove, self.folder)
        if stack != "fixture":
            (recorded,) = [line.split() for line in (ROOT / f"tests/stack/{stack}.sha256").read_text().splitlines()]
            self.stack, self.tree, self.environment, self.expected = stack, ROOT, dict(os.environ), recorded[2]
        else:
            import fixture
            import test_farm
            world = fixture.World()
            self.addCleanup(world.close)
            self.stack, self.tree = "diamond", test_farm.lay_diamond(world)
            self.environment = world.environment(IRONWHEEL_CACHE=self.folder / "alone")
            self.expected = world.build("diamond", env={"IRONWHEEL_CACHE": self.folder / "alone"})[1]["tar_sha256"]
        self.environment["IRONWHEEL_CONFIG"] = str(self.folder / "config")

    def addCleanup(self, end, *arguments):  # as unittest's, which the helpers of tests/cli know
        self.ends.append((end, arguments))

    def close(self):
        for end, arguments in reversed(self.ends):
            end(*arguments)

    @staticmethod
    def remove(folder):
        subprocess.run(["chmod", "-R", "u+w", folder], check=False)
        subprocess.run(["rm", "-rf", folder], check=False)

    def lay_store(self, store, *parts):
        """What one machine has fetched, unpacked and compiled (or these parts of it) need not be again; no package is there."""
        store.mkdir(parents=True)
        for part in parts or ("sources", "toolchains", "objects"):
            if (pathlib.Path(self.environment["IRONWHEEL_CACHE"]) / part).exists():
                subprocess.run(["cp", "-al", pathlib.Path(self.environment["IRONWHEEL_CACHE"]) / part, store], check=True)

    def run(self, *command, env=None):
        """Its standard output."""
        done = subprocess.run(command, env=self.environment | (env or {}), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{command[0]} {command[1]}: exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
        return done.stdout

    def lay_jobs(self, kind):
        """The file of jobs."""
        jobs = self.folder / "jobs"
        self.run(PROGRAM, "keygen", "--recovery", self.folder / "recovery.key")
        self.run(PROGRAM, "jobs", self.stack, "-C", self.tree, "--for", kind, "--remote", self.folder / "the place", "--bundles", self.folder / "dist", "--cores", "2", "-o", jobs)
        return jobs

    def judge(self, fine, told):
        import sharing
        (bundle,) = (self.folder / "dist").glob("*.tar.zst")
        found = sharing.digest_of_tar(bundle)
        return ("passed" if fine and found == self.expected else "failed"), f"{told}, tar {found[:16]}…, alone {self.expected[:16]}…"


def slurm(work):
    """Every job ends well, on both nodes."""
    import slurm as workload
    if workload.missing():
        return "gone", f"not here: {', '.join(workload.missing())} (Debian's munge, slurmctld, slurmd, slurm-client)"
    parent = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-slurm-", dir="/var/tmp"))
    work.addCleanup(work.remove, parent)
    cluster = workload.Cluster(parent / "cluster")
    work.addCleanup(cluster.close)
    work.environment |= {name: cluster.environment[name] for name in ("PATH", "SLURM_CONF")}
    for node in workload.NODES:
        work.lay_store(cluster.folder / node / "store")
    last = int(work.run("sh", work.lay_jobs("slurm")).split()[-1])
    while cluster.state(last) in ("PENDING", "RUNNING", "CONFIGURING", "COMPLETING"):
        time.sleep(1)
    states = {job: cluster.state(job) for job in range(1, last + 1)}
    if set(states.values()) != {"COMPLETED"}:
        return "failed", f"{states}\n" + "".join(path.read_text() for path in work.folder.glob("slurm-*.out"))[-2000:]
    nodes = {cluster.node_of(job) for job in states}
    return work.judge(nodes == set(workload.NODES), f"{last} jobs on {', '.join(sorted(nodes))}")


def built_in(store):
    """Packages that were built there, not taken from the place."""
    facts = [json.loads(path.read_text()) for path in (store / "artifacts").glob("*.json")]
    return {one["name"] for one in facts if "origin" not in json.loads(one["facts"])}


def make(work):
    """Each job takes the store that is free; both build."""
    stores = [work.folder / "one", work.folder / "two"]
    for store in stores:
        work.lay_store(store)
    pick = work.folder / "pick"
    pick.write_text(f"""#!/bin/sh
exec 8> '{stores[0]}.busy' 9> '{stores[1]}.busy'
if flock -n 8; then export IRONWHEEL_CACHE='{stores[0]}'; else flock 9; export IRONWHEEL_CACHE='{stores[1]}'; fi
exec {PROGRAM} "$@" 8>&8 9>&9
""")
    pick.chmod(0o755)
    work.run("make", "-j2", "-f", work.lay_jobs("make"), f"IRONWHEEL='{pick}'", env={"IRONWHEEL_CACHE": str(stores[0])})
    built = [built_in(store) for store in stores]
    return work.judge(all(built) and not built[0] & built[1], f"{len(built[0])} and {len(built[1])} packages built in two stores")


def ssh(work):
    """All packages are built on the box; what this rig has is taken from there."""
    import sharing
    if not shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin"):
        return "gone", "not here: sshd (Debian's openssh-server)"
    box = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-box-", dir="/var/tmp"))  # no blank in it: IRONWHEEL_SSH is words
    work.addCleanup(work.remove, box)
    address, environment, _ = sharing.sshd(work, box / "ssh")
    work.lay_store(box / "cache")
    (box / "ironwheel").symlink_to(PROGRAM)
    rig = work.folder / "rig"
    work.lay_store(rig, "sources", "toolchains")
    said = work.run(PROGRAM, "-C", work.tree, "build", work.stack, "--json", "--on", f"{address}{box}", "-o", work.folder / "dist", env=environment | {"IRONWHEEL_CACHE": str(rig)})
    events = [json.loads(line) for line in said.splitlines()]
    there = [event["subject"] for event in events if event["type"] == "finished" and event.get("detail") == "built there"]
    here = built_in(rig)
    notes = [f"; {event['detail']}" for event in events if event["type"] == "note" and event["subject"].startswith("ssh://")]
    return work.judge(there and not here, f"{len(there)} packages built on the box, {len(here)} here{''.join(notes)}")


def case(words):
    kind, stack = words
    work = Work(stack)
    try:
        return {"slurm": slurm, "make": make, "ssh": ssh}[kind](work)
    except (subprocess.CalledProcessError, RuntimeError) as error:
        return "failed", str(error)
    finally:
        work.close()
