"""What the tests about sharing stand on: rigs with keys and stores of their own, bundles made without a build, and a remote folder that a server on 127.0.0.1 shows."""
import getpass
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest

from fixture import PROGRAM, sha256


def tar_member(path, data=None, mode=0o644, kind=None, link=b""):
    """One entry as store/archive_tar.c writes it; a folder without data."""
    name = path.encode() + (b"/" if data is None and not kind else b"")
    size = len(data or b"")
    header = bytearray(512)
    for at, text in ((0, name), (100, b"%07o" % (0o755 if data is None else mode)), (108, b"0000000"), (116, b"0000000"), (124, b"%011o" % size), (136, b"%011o" % 315532800),
                     (148, b" " * 8), (156, kind or (b"5" if data is None else b"0")), (157, link), (257, b"ustar\x0000"), (329, b"0000000"), (337, b"0000000")):
        header[at:at + len(text)] = text
    header[148:155] = b"%06o\0" % sum(header)
    return bytes(header) + (data or b"") + bytes(-size % 512)


def bundle(folder, files, name="demo-1-k10-glibc2.34-cp311", stack="demo", packages=()):
    """A bundle with these files ({path: bytes}), written as Ironwheel lays one out."""
    manifest = {"format": 1, "bundle": name, "stack": stack, "version": "1", "profiles": ["k10"], "glibc": {"floor": "2.34"}, "packages": list(packages), "checks": [], "audit": None}
    folders = {str(parent) for path in files for parent in pathlib.PurePath(path).parents if str(parent) != "."}
    parts = [tar_member(name), tar_member(f"{name}/manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode())]
    for path in sorted([*files, *folders], key=lambda p: p.split("/")):
        parts.append(tar_member(f"{name}/{path}", files.get(path), 0o755 if path.startswith("bin/") else 0o644))
    raw = b"".join(parts) + bytes(1024)
    where = pathlib.Path(folder, name + ".tar.zst")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes(subprocess.run(["zstd", "-q", "-3", "--long=27"], input=raw, stdout=subprocess.PIPE, check=True).stdout)
    return where


class Rig:
    """A machine of its own: home, configuration, store."""

    def __init__(self, folder, name, tree=None):
        self.folder = pathlib.Path(folder, name)
        self.folder.mkdir(parents=True)
        self.config, self.tree, self.program = self.folder / "config", tree, PROGRAM

    def lone_program(self):
        """The program where neither its own tree nor an installed one is near."""
        self.program = self.folder / "lone/ironwheel"
        shutil.copytree(pathlib.Path(PROGRAM).parent / "libexec", self.program.parent / "libexec")
        shutil.copy(PROGRAM, self.program)

    def run(self, *arguments, status=0, env=None, cwd=None, timeout=120):
        found = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LC_ALL": "C.UTF-8", "IRONWHEEL_CONFIG": str(self.config), "IRONWHEEL_CACHE": str(self.folder / "cache"),
                 "PIP_CONFIG_FILE": "/dev/null", **{key: str(value) for key, value in (env or {}).items()}}
        done = subprocess.run([self.program, *map(str, arguments)], cwd=cwd or self.tree or self.folder, env=found, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=timeout)
        if status is not None and done.returncode != status:
            raise AssertionError(f"ironwheel {' '.join(map(str, arguments))}: exit status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def keygen(self):
        self.keys = json.loads(self.run("keygen", "--json", "--name", "Anna", "--recovery", self.folder / "recovery.key").stdout)
        return self.keys

    def push(self, *arguments, **more):
        return json.loads(self.run("push", *arguments, "--json", **more).stdout.splitlines()[-1])

    def trust(self, where, key):
        self.run("trust", "add", where, "--key", key)


def channel_of(remote):
    (path,) = pathlib.Path(remote, "channels").glob("*.json")
    return path, json.loads(path.read_text())


def resign(config, remote, change, version=None):
    """The channel there with what `change` makes of its document, signed with that configuration's key, as a thief of it (or a rig that lies) would."""
    path, document = channel_of(remote)
    change(document)
    document["version"] = version or document["version"] + 1
    text = (json.dumps(document, indent=1, sort_keys=True, separators=(",", ": "), ensure_ascii=False) + "\n").encode()
    path.write_bytes(text)
    put_blob(remote, text)
    comment = f"ironwheel channel version={document['version']} issued={document['issued']} expires={document['expires']} sha256={sha256(text)} size={len(text)}"
    subprocess.run(["minisign", "-S", "-s", pathlib.Path(config, "working.key"), "-m", path, "-t", comment], check=True, stdout=subprocess.DEVNULL)
    return document


def put_blob(remote, data):
    pathlib.Path(remote, "blobs/sha256", sha256(data)).write_bytes(data)
    return {"sha256": sha256(data), "size": len(data)}


def snapshot(folder):
    """Every path below the folder with what it is: for "nothing was changed"."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        where = str(path.relative_to(folder))
        found[where] = os.readlink(path) if path.is_symlink() else "folder" if path.is_dir() else sha256(path.read_bytes())
    return found


class Silent:
    """Takes connections, counts them, and never says a word."""

    def __init__(self):
        self.socket, self.count, self.open = socket.create_server(("127.0.0.1", 0)), 0, []
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        try:
            while True:
                self.open.append(self.socket.accept()[0])
                self.count += 1
        except OSError:
            pass

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for one in self.open:
            one.close()


class Place:
    """A folder for the rigs and remotes of one test class."""

    def __init__(self):
        memory = pathlib.Path("/dev/shm")  # thousands of waits for the disk would be most of the time
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-share-", dir=memory if os.access(memory, os.W_OK) else None))

    def rig(self, name, **more):
        return Rig(self.folder, name, **more)

    def close(self):
        subprocess.run(["chmod", "-R", "u+w", str(self.folder)], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


class Shared(unittest.TestCase):
    """A place with one rig in it that has keys and gives; those that take are made as they are needed."""
    @classmethod
    def setUpClass(cls):
        cls.place = Place()
        cls.addClassCleanup(cls.place.close)
        cls.anna = cls.place.rig("anna")
        cls.keys = cls.anna.keygen()
        cls.number = 0

    def rig_of_its_own(self):
        type(self).number += 1
        return self.place.rig(f"rig{self.number}")


def digest_of_tar(path):
    return hashlib.sha256(subprocess.run(["zstd", "-dcq", "--long=27", str(path)], stdout=subprocess.PIPE, check=True).stdout).hexdigest()


def sshd(case, folder):
    """An sshd of this user on 127.0.0.1 until the test has ended: its address, what finds it, its folder."""
    folder.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (folder / "sshd_config").write_text(f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\nPidFile {folder}/pid\nStrictModes no\nUsePAM no\n"
                                        "PasswordAuthentication no\n")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    case.addCleanup(server.wait)
    case.addCleanup(server.terminate)
    (folder / "known").write_text(f"[127.0.0.1]:{port} " + (folder / "host.pub").read_text())
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    env = {"IRONWHEEL_SSH": f"ssh -F none -o IdentityFile={folder}/user -o UserKnownHostsFile={folder}/known -o GlobalKnownHostsFile=/dev/null", "USER": getpass.getuser()}
    return f"ssh://{getpass.getuser()}@127.0.0.1:{port}", env, folder
