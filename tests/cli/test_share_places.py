"""The kinds of places: our own server, http with PUT, ssh with a real sshd; and a README's transcript."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

import sharing
from fixture import PROGRAM, sha256
from sharing import bundle, channel_of, snapshot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import remote  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"
SECRETS = os.urandom(200000)


class Places(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = bundle(cls.place.folder / "dist", {"bin/hello": b"#!/bin/sh\necho hello\n", "data": SECRETS})
        cls.nas = cls.place.folder / "nas"
        cls.anna.push(cls.file, cls.nas)

    def reader(self, where):
        rig = self.rig_of_its_own()
        rig.trust(where, self.keys["recovery"])
        return rig

    def pulled(self, rig, where, **more):
        done = json.loads(rig.run("pull", "demo", where, "--json", **more).stdout.splitlines()[-1])
        self.assertEqual((rig.folder / "demo/data").read_bytes(), SECRETS)
        return done

    # --- serve ---

    def serve(self, folder):
        server = subprocess.Popen([PROGRAM, "serve", folder, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # also from a background job
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.send_signal, signal.SIGINT)
        return f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"

    def get(self, url, **headers):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()}), timeout=10) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read(), error.headers

    def test_serve_is_a_place(self):
        url = self.serve(self.nas)
        self.assertEqual(self.pulled(self.reader(url), url)["way"], "whole")

    def test_serve_knows_ranges_and_etags(self):
        url = self.serve(self.nas)
        whole = self.file.read_bytes()
        status, data, headers = self.get(f"{url}/{NAME}.tar.zst")
        self.assertEqual((status, data), (200, whole))
        for asked, piece in (("bytes=10-19", whole[10:20]), ("bytes=1000-", whole[1000:]), ("bytes=-7", whole[-7:])):
            status, data, _ = self.get(f"{url}/{NAME}.tar.zst", Range=asked, If_Range=headers["ETag"])
            self.assertEqual((status, data), (206, piece))
        self.assertEqual(self.get(f"{url}/{NAME}.tar.zst", Range="bytes=10-19", If_Range='"other"')[:2], (200, whole))
        self.assertEqual(self.get(f"{url}/{NAME}.tar.zst", Range=f"bytes={len(whole)}-")[0], 416)
        self.assertEqual(self.get(f"{url}/{NAME}.tar.zst", If_None_Match=headers["ETag"])[0], 304)
        self.assertIn("immutable", self.get(f"{url}/blobs/sha256/{sha256(whole)}")[2]["Cache-Control"])
        self.assertEqual(headers["Cache-Control"], "no-cache")

    def test_serve_gives_nothing_from_outside(self):
        inside = self.place.folder / "served"
        shutil.copytree(self.nas, inside)
        (inside / "link").symlink_to("/etc/passwd")
        (inside / "folder").symlink_to("/etc")
        (inside / ".hidden").write_text("x")
        os.mkfifo(inside / "pipe")
        url = self.serve(inside)
        for path in ("/../dist", "/%2e%2e/dist", "/link", "/folder/passwd", "/.hidden", "/pipe", "//etc/passwd", "/blobs", "/%00", "/channels/../keys.json"):
            with socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))) as connection:
                connection.settimeout(10)
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                self.assertRegex(connection.recv(100), rb"^HTTP/1\.1 (404|400) ", path)
        request = urllib.request.Request(f"{url}/new", data=b"x", method="PUT")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        self.assertEqual(caught.exception.code, 405)

    # --- http with PUT ---

    def test_put(self):
        folder = self.place.folder / "web"
        folder.mkdir()
        server = remote.Remote(folder)
        self.addCleanup(server.close)
        first = self.anna.push(self.file, server.url)
        self.assertGreater(first["bytes"], 200000)
        self.assertLessEqual(set(snapshot(self.nas / "blobs")) - self.documents(self.nas), set(snapshot(folder / "blobs")))
        self.assertTrue(os.path.samefile(folder / f"{NAME}.tar.zst", folder / "blobs/sha256" / sha256(self.file.read_bytes())), "COPY made the name")
        self.assertEqual(self.pulled(self.reader(server.url), server.url)["way"], "whole")
        server.seen.clear()
        self.assertTrue(self.anna.push(self.file, server.url)["unchanged"])
        self.assertNotIn("blobs/sha256/" + sha256(self.file.read_bytes()), [path for method, path, _ in server.seen if method == "PUT"])

    def test_put_that_stores_other_bytes_is_noticed(self):
        folder = self.place.folder / "quota"
        folder.mkdir()
        server = remote.Remote(folder)
        self.addCleanup(server.close)

        def half(handler, path, data):
            if len(data) < 100000:
                return False
            file = handler.file_of(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data[:len(data) // 2])
            handler.answer(201)
            return True
        server.put_rules = {"*": half}
        self.assertIn("other bytes than were written", self.anna.run("push", self.file, server.url, status=1).stderr)
        self.assertFalse((folder / "channels").exists(), "no channel names what isn't there")

    def test_a_server_without_put_says_so(self):
        url = self.serve(self.nas)
        self.assertIn("takes no PUT", self.anna.run("push", self.file, url, status=1).stderr)

    def test_429_and_5xx_pass(self):
        server = remote.Remote(self.nas)
        self.addCleanup(server.close)
        turns = []

        def busy(handler, path, data):
            turns.append(1)
            if len(turns) > 2:
                return False
            handler.answer(429 if len(turns) == 1 else 503, Retry_After="1")
            return True
        rig = self.reader(self.nas)
        server.rules = {"keys.json.minisig": busy}
        self.pulled(rig, server.url)
        self.assertEqual(len(turns), 3)

    # --- ssh ---

    def sshd(self):
        return sharing.sshd(self, self.place.folder / f"ssh{time.monotonic_ns()}")

    def test_ssh_both_ways(self):
        address, env, folder = self.sshd()
        where = f"{address}{folder}/shared"
        self.anna.push(self.file, where, env=env)
        self.assertLessEqual(set(snapshot(self.nas / "blobs")) - self.documents(self.nas), set(snapshot(folder / "shared/blobs")))
        rig = self.reader(folder / "shared")
        self.assertEqual(self.pulled(rig, where, env=env)["way"], "whole")
        # what broke off goes on, and a wrong rest is found and sent anew
        blob = folder / "shared/blobs/sha256" / sha256(self.file.read_bytes())
        data = blob.read_bytes()
        blob.unlink()
        blob.with_name(blob.name + ".part").write_bytes(b"wrong" * 100)
        self.anna.push(self.file, where, env=env)
        self.assertEqual(blob.read_bytes(), data)
        (folder / "known").write_text((folder / "known").read_text().replace("AAAA", "AAAB"))
        self.assertIn("ssh://", rig.run("pull", "demo", where, status=1, env=env).stderr)

    def documents(self, folder):
        """Blobs that are signed documents: they hold the version and time of their own push."""
        return {f"sha256/{sha256(path.read_bytes())}" for path in folder.rglob("*") if path.name.endswith((".json", ".minisig"))}

    def test_no_option_for_ssh_comes_in_with_an_address(self):
        for address in ("ssh://-oProxyCommand=touch /x/y", "ssh://a b/c", "ssh://host/a;b", "ssh://host", "ftp://host/x"):
            self.assertIn("an address is" if address.startswith("ssh") else "a place is", self.anna.run("pull", "demo", address, status=2).stderr)

    # --- two pushes, prune ---

    def test_two_rigs_push_at_once(self):
        place = self.place.folder / "both"
        other = self.place.rig("berta")
        other.keygen()
        files = [bundle(self.place.folder / f"at once {i}", {"bin/hello": b"x%d" % i}, name=f"d{i}-1-k10-glibc2.34-cp311", stack=f"d{i}") for i in range(4)]
        place.mkdir()
        running = [subprocess.Popen([PROGRAM, "push", str(file), str(place), "--json"], env={"PATH": os.environ["PATH"], "HOME": "/", "IRONWHEEL_CONFIG": str(rig.config)},
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for rig, file in zip((self.anna, other, self.anna, other), files)]
        for one in running:
            _, said = one.communicate(timeout=120)
            self.assertEqual(one.returncode, 0, said)
        channels = [json.loads(path.read_text()) for path in place.glob("channels/*.json")]
        self.assertEqual(sorted(sorted(channel["bundles"]) for channel in channels), [[f"d{i}-1-k10-glibc2.34-cp311" for i in pair] for pair in ((0, 2), (1, 3))])

    def test_prune_leaves_what_somebody_names_or_may_be_pulling(self):
        place = self.place.folder / "pruned"
        blobs = []
        for i in range(3):
            file = bundle(self.place.folder / f"pruned {i}", {"bin/hello": b"%d" % i, "data": os.urandom(1000)})
            blobs.append(place / "blobs/sha256" / sha256(file.read_bytes()))
            self.anna.push(file, place, "--no-deltas")
        for path in place.glob("blobs/sha256/*"):
            os.utime(path, (1, 1))
        self.anna.push(place, "--prune", "1")
        self.assertEqual(len(channel_of(place)[1]["bundles"]), 1)
        self.assertTrue(all(path.exists() for path in blobs), "a rig that read the old channel still finds them")
        for path in place.glob("blobs/sha256/*"):
            os.utime(path, (1, 1))
        self.anna.push(place, "--prune", "1")
        self.assertEqual([path.exists() for path in blobs], [False, False, True])
        self.assertEqual(json.loads(self.reader(place).run("pull", "demo", place, "--json").stdout.splitlines()[-1])["way"], "whole")

    # --- full disks ---

    def test_a_full_disk_leaves_what_was_there(self):
        rig = self.reader(self.nas)
        self.pulled(rig, self.nas)
        before = snapshot(rig.folder)
        changed = bundle(self.place.folder / "full", {"bin/hello": b"other", "data": os.urandom(400000)})
        place = self.place.folder / "full place"
        self.anna.push(self.file, place)
        self.anna.push(changed, place, "--no-deltas")
        environment = {"PATH": os.environ["PATH"], "HOME": str(rig.folder), "IRONWHEEL_CONFIG": str(rig.config)}
        for count in range(1, 12):
            done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=write,pwrite64,copy_file_range", "-e", f"inject=write,pwrite64,copy_file_range:error=ENOSPC:when={count}",
                                   PROGRAM, "pull", "demo", str(place), "-C", str(rig.folder)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, timeout=60)
            if done.returncode == 0:
                break
            after = snapshot(rig.folder)
            installed = {path: what for path, what in before.items() if path.startswith("demo")}
            self.assertEqual({path: what for path, what in after.items() if path.startswith("demo")}, installed)


if __name__ == "__main__":
    unittest.main()
