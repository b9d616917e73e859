"""Debian's slurm-wlm on this machine: a controller and two nodes, each with its own ironwheel store. As root; everything below one folder, with ports that were free."""
import os
import pathlib
import shutil
import socket
import subprocess
import time

NODES = ("node1", "node2")


def missing():
    return [name for name in ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol") if not shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")]


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.processes = []
        for name in ("munge", "state", "log", *NODES):
            (self.folder / name).mkdir(parents=True)
        controller, *ports = free_ports(1 + len(NODES))
        host = socket.gethostname().split(".")[0]
        # where a job runs decides which store it has
        prolog = self.folder / "prolog"
        prolog.write_text(f'#!/bin/sh\necho "export IRONWHEEL_CACHE={self.folder}/$SLURMD_NODENAME/store"\n')
        prolog.chmod(0o755)
        nodes = "".join(f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=8000\n" for name, port in zip(NODES, ports))
        (self.folder / "slurm.conf").write_text(f"""\
ClusterName=ironwheel
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/socket
CredType=cred/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/%n.pid
SlurmctldLogFile={self.folder}/log/slurmctld
SlurmdLogFile={self.folder}/log/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
TaskProlog={prolog}
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=604800
MailProg=/bin/true
SchedulerParameters=sched_interval=2,defer
{nodes}PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
""")
        self.environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin", "SLURM_CONF": str(self.folder / "slurm.conf")}
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        (self.folder / "munge").chmod(0o755)
        munge = self.folder / "munge"
        self.start("munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={key}", f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed")
        self.wait_for(lambda: (munge / "socket").exists(), "munged")
        self.start("slurmctld", "-D", "-c")
        for name in NODES:
            self.start("slurmd", "-D", "-N", name)
        self.wait_for(lambda: self.ask("sinfo", "-h", "-o", "%T %D").split() == ["idle", str(len(NODES))], "the nodes")

    def start(self, *command):
        log = (self.folder / "log" / f"{command[0]}-{len(self.processes)}").open("wb")
        self.processes.append(subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def ask(self, *command):
        return subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout

    def wait_for(self, ready, what, seconds=120):
        end = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > end:
                raise RuntimeError(f"{what} didn't come up; see {self.folder}/log")
            time.sleep(0.5)

    def state(self, job):
        """COMPLETED, FAILED, CANCELLED, …; RUNNING and PENDING before."""
        said = self.ask("scontrol", "show", "-o", "job", str(job))
        return next((word.split("=", 1)[1] for word in said.split() if word.startswith("JobState=")), "UNKNOWN")

    def node_of(self, job):
        said = self.ask("scontrol", "show", "-o", "job", str(job))
        return next((word.split("=", 1)[1] for word in said.split() if word.startswith("NodeList=")), "")

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
