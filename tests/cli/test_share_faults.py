"""Faults while sharing (F2, F4, F5, F7, and the slow ones of A11): full disks, pushes and pulls at once, proxies, odd file systems, servers that hang. Each time the cause is named, what was
installed stays as it was, and the remote stays readable."""
import concurrent.futures
import http.server
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

import sharing
from fixture import PROGRAM, ROOT
from sharing import Silent, bundle, channel_of, snapshot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import registry  # noqa: E402
import remote  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"


class Proxy(http.server.ThreadingHTTPServer):
    """Passes GET on; asks for a password where it is given one."""
    daemon_threads = True

    def __init__(self, password=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.server.seen.append(self.path)
                if password and self.headers.get("Proxy-Authorization") != password:
                    self.send_response(407)
                    self.send_header("Proxy-Authenticate", "Basic")
                    self.end_headers()
                    return
                try:
                    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.path) as answer:
                        status, data = answer.status, answer.read()
                except urllib.error.URLError as error:
                    status, data = getattr(error, "code", 502), b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen, self.url = [], f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Faults(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.library = cls.place.folder / "faults.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", cls.library, ROOT / "tests/servers/faults.c"], check=True)
        cls.files = [bundle(cls.place.folder / word, {"bin/hello": b"#!/bin/sh\necho %s\n" % word.encode(), "data": os.urandom(3000)}) for word in ("one", "two")]
        cls.nas = cls.place.folder / "nas"
        cls.anna.push(cls.files[0], cls.nas)
        cls.first = cls.place.folder / "nas with the first"
        shutil.copytree(cls.nas, cls.first, symlinks=True)
        cls.anna.push(cls.files[1], cls.nas, "--no-deltas")

    def reader(self, where=None):
        rig = self.rig_of_its_own()
        rig.trust(where or self.nas, self.keys["recovery"])
        return rig

    def with_fault(self, **fault):
        return {"LD_PRELOAD": self.library, **{f"FAULT_{name.upper()}": value for name, value in fault.items()}}

    def says(self, rig):
        return subprocess.run([rig.folder / "demo/bin/hello"], stdout=subprocess.PIPE, text=True, check=True).stdout

    # --- F2: full disks ---

    def writes_of(self, rig, *command):
        """How many writes that command makes."""
        count = self.place.folder / f"count{time.monotonic_ns()}"
        rig.run(*command, env=self.with_fault(count=count))
        return int(count.read_text())

    def test_f2_pull_with_the_disk_full_at_every_write(self):
        rig = self.reader(self.first)
        rig.run("pull", "demo", self.first)
        shutil.copytree(rig.folder, self.place.folder / "pull state", symlinks=True)

        def again():
            shutil.rmtree(rig.folder)
            shutil.copytree(self.place.folder / "pull state", rig.folder, symlinks=True)
        count = self.writes_of(rig, "pull", "demo", self.nas)
        self.assertEqual(self.says(rig), "two\n")
        self.assertGreater(count, 5)
        for full in range(1, count + 1):
            again()
            done = rig.run("pull", "demo", self.nas, status=1, env=self.with_fault(full=full))
            self.assertRegex(done.stderr, "(?i)no space left", f"write {full}")
            self.assertEqual(self.says(rig), "one\n")
            rig.run("pull", "demo", self.nas)
            self.assertEqual(self.says(rig), "two\n", "with room again, it goes on")

    def test_f2_the_whole_where_there_is_no_room_for_a_delta(self):
        """A delta wants both tars for a while: where only one of them fits the whole is brought, and where not even that fits, nothing is."""
        large, place = os.urandom(100000) + bytes(200000), self.place.folder / "with a delta"
        files = [bundle(self.place.folder / f"large {word}", {"bin/hello": b"#!/bin/sh\necho %s\n" % word.encode(), "data": large}) for word in ("one", "two")]
        self.anna.push(files[0], place)
        rigs = [self.reader(place) for _ in range(3)]
        for rig in rigs:
            rig.run("pull", "demo", place)
        self.anna.push(files[1], place)
        for rig, free, way in ((rigs[0], 700000, "delta"), (rigs[1], 500000, "whole")):
            done = rig.run("pull", "demo", place, "--json", env=self.with_fault(free=free))
            self.assertEqual((json.loads(done.stdout.splitlines()[-1])["way"], self.says(rig)), (way, "two\n"))
            self.assertEqual("the whole is brought" in done.stdout, way == "whole")
        done = rigs[2].run("pull", "demo", place, status=1, env=self.with_fault(free=390000))
        self.assertIn("nothing was brought", done.stderr)
        self.assertEqual(self.says(rigs[2]), "one\n")

    def test_f2_push_with_the_disk_full_at_every_write(self):
        """Either end: the folder that is pushed to, the own notes of versions, the folder for what passes."""
        reader, place = self.reader(self.first), self.place.folder / "filling"

        def fresh():
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self.first, place, symlinks=True)
        fresh()
        count = self.writes_of(self.anna, "push", self.files[1], place)
        self.assertGreater(count, 12)
        for full in range(1, count + 1):
            fresh()
            done = self.anna.run("push", self.files[1], place, status=None, env=self.with_fault(full=full))
            if done.returncode == 0:
                self.assertGreater(full, 12, "the first had two more to note: what it had seen there")
                break
            self.assertRegex(done.stderr, "(?i)no space left", f"write {full}")
            # whoever reads it meanwhile has the old state whole
            self.assertIn("channel   ok", reader.run("remote", "test", place).stdout)
            _, channel = channel_of(place)
            self.assertTrue((place / "blobs/sha256" / channel["bundles"][NAME]["file"]["sha256"]).is_file())
        rig = self.reader(self.first)
        rig.run("pull", "demo", place)
        self.assertIn(self.says(rig), ("one\n", "two\n"))
        self.anna.push(self.files[1], place)
        rig.run("pull", "demo", place)
        self.assertEqual(self.says(rig), "two\n")

    # --- F4: at once ---

    def test_f4_pulls_while_others_push_and_prune(self):
        """A rig that pulls all the time, two that push (one of them twice at the same time) and prune: each pull has one of the states whole."""
        place = self.place.folder / "busy"
        self.anna.push(self.files[0], place)
        rig, stop, failed = self.reader(place), threading.Event(), []

        def pushes(which):
            for turn in range(4):
                done = self.anna.run("push", self.files[(which + turn) % 2], place, "--prune", "2", "--no-deltas", status=None)
                if done.returncode:
                    failed.append(done.stderr)
        threads = [threading.Thread(target=pushes, args=(which,)) for which in range(2)]
        for one in threads:
            one.start()
        pulls = 0
        while not stop.is_set():
            if not any(one.is_alive() for one in threads):
                stop.set()
            done = rig.run("pull", "demo", place, status=None)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(self.says(rig), ("one\n", "two\n"))
            pulls += 1
        self.assertEqual(failed, [])
        self.assertGreater(pulls, 2)

    # --- F5: between here and there ---

    def proxy(self, **more):
        proxy = Proxy(**more)
        self.addCleanup(proxy.close)
        return proxy

    def test_f5_proxies(self):
        server = remote.Remote(self.nas)
        self.addCleanup(server.close)
        good, asking = self.proxy(), self.proxy(password="Basic eDp5")
        rig = self.reader()
        done = rig.run("pull", "demo", server.url, status=1, env={"http_proxy": asking.url})
        self.assertIn("407", done.stderr)
        self.assertFalse((rig.folder / "demo").exists())
        done = rig.run("pull", "demo", "http://nowhere.invalid/x", status=1, env={"http_proxy": "http://127.0.0.1:9"})
        self.assertRegex(done.stderr, "(?i)connect")
        server.seen.clear()
        rig.run("pull", "demo", "http://nowhere.invalid:1/x", status=1, env={"http_proxy": good.url})
        rig.run("pull", "demo", server.url, env={"http_proxy": good.url})
        self.assertEqual(self.says(rig), "two\n")
        self.assertTrue([path for path in good.seen if path.startswith(server.url)])

    def test_f5_no_such_host_and_a_page_of_a_hotel(self):
        rig = self.reader()
        self.assertRegex(rig.run("pull", "demo", "http://nowhere.invalid/x", status=1).stderr, "(?i)nowhere.invalid.*resolve")
        server = remote.Remote(self.nas)
        self.addCleanup(server.close)
        server.rules = {"*": remote.fixed(b"<html>Room number?</html>", Content_Type="text/html")}
        self.assertIn("a network that wants a login", rig.run("pull", "demo", server.url, status=1).stderr)
        self.assertFalse((rig.folder / "demo").exists())

    # --- F7: odd file systems ---

    def test_f7_a_place_that_cannot_be_written(self):
        rig = self.reader()
        shutil.copy(self.files[0], rig.folder)
        inside = ["bwrap", "--dev-bind", "/", "/", "--ro-bind", self.nas, self.nas, PROGRAM]
        environment = {"PATH": os.environ["PATH"], "HOME": str(rig.folder), "IRONWHEEL_CONFIG": str(rig.config)}
        subprocess.run([*inside, "pull", "demo", self.nas], cwd=rig.folder, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertEqual(self.says(rig), "two\n")
        before = snapshot(self.nas)
        done = subprocess.run([*inside, "push", self.files[0], self.nas], env=environment | {"IRONWHEEL_CONFIG": str(self.anna.config)}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Read-only file system", done.stderr)
        self.assertEqual(snapshot(self.nas), before)

    def test_f7_a_stick_without_links_and_one_that_ends_at_a_size(self):
        place = self.place.folder / "stick"
        self.anna.push(self.files[0], place, env=self.with_fault(fat=place))
        blob = place / "blobs/sha256" / channel_of(place)[1]["bundles"][NAME]["file"]["sha256"]
        self.assertEqual((place / f"{NAME}.tar.zst").read_bytes(), blob.read_bytes(), "a copy, where no link can be")
        rig = self.reader(place)
        rig.run("pull", "demo", place)
        self.assertEqual(self.says(rig), "one\n")
        before = snapshot(place)
        large = bundle(self.place.folder / "large", {"bin/hello": b"#!/bin/sh\necho large\n", "data": os.urandom(90000)})
        done = self.anna.run("push", large, place, status=1, env=self.with_fault(fat=place, fat_size=50000))
        self.assertIn("File too large", done.stderr)
        self.assertEqual(snapshot(place), before)

    def test_f7_a_share_that_knows_no_case(self):
        """No two names of a remote differ by case alone."""
        names = [str(path.relative_to(self.nas)) for path in self.nas.rglob("*")]
        self.assertEqual(len({name.lower() for name in names}), len(names))

    def test_f7_nfs_without_locks(self):
        rig = self.reader()
        done = rig.run("pull", "demo", self.nas, env=self.with_fault(no_locks=1))
        self.assertEqual(self.says(rig), "two\n")
        self.assertIn("can't be locked", done.stderr)
        done = self.anna.run("push", self.files[0], self.place.folder / "pushed without locks", env=self.with_fault(no_locks=1))
        self.assertIn("can't be locked: don't push twice at a time", done.stderr)
        self.assertIn("channel   ok", rig.run("remote", "test", self.place.folder / "pushed without locks").stdout)

    # --- A11: slow ones, in a hundredth of their time ---

    def test_a11_a_pull_leaves_who_says_nothing(self):
        """No answer, no connection, no TLS, headers without an end, a byte now and then: the pull ends by itself, and names the place."""
        silent, secure, full = Silent(), Silent(), socket.create_server(("127.0.0.1", 0), backlog=0)
        headers, small, large = (remote.Remote(self.nas) for _ in range(3))
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:  # a queue that is full drops what comes: a black hole
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        for one in (silent, secure, full, headers, small, large, *crowd):
            self.addCleanup(one.close)
        headers.rules = {"*": remote.slow_headers}
        small.rules = {"*": remote.slow(0, 1, 0.2, give_up=20)}
        large.rules = {"blobs/sha256/" + channel_of(self.nas)[1]["bundles"][NAME]["file"]["sha256"]: remote.slow(0, 1, 0.2, give_up=20)}
        slow = {"silent": f"http://127.0.0.1:{silent.port}", "tls": f"https://127.0.0.1:{secure.port}", "full": f"http://127.0.0.1:{full.getsockname()[1]}", "headers": headers.url, "small": small.url,
                "large": large.url}
        rigs = {name: self.reader() for name in slow}
        env = self.with_fault(fast=20)
        with concurrent.futures.ThreadPoolExecutor(len(slow)) as pool:
            said = dict(zip(slow, pool.map(lambda name: rigs[name].run("pull", "demo", slow[name], status=1, env=env), slow)))
        for name, done in said.items():
            with self.subTest(name):
                self.assertRegex(done.stderr, "(?i)timed out|timeout|too slow|nothing came|less than")
                self.assertIn("127.0.0.1", done.stderr)
                self.assertFalse((rigs[name].folder / "demo").exists())

    def test_a11_a_registry_that_says_nothing(self):
        """The same of registries: of their documents, of a blob, of a token, and while they are pushed to."""
        def hang(handler):
            handler.body()
            handler.close_connection = True
            time.sleep(20)
            return True

        def drip(handler):
            data = handler.repository["blobs"].get(handler.match.get("digest"), b"x" * 100)
            return remote.slow(0, 1, 0.2, give_up=20)(handler, "", data)
        rules = {"documents": ("manifest", hang), "headers": ("*", lambda handler: remote.slow_headers(handler, "", b"")), "blob": ("blob", drip), "token": ("token", hang)}
        servers = {name: registry.Registry(auth="token" if name == "token" else "") for name in (*rules, "push")}
        silent = Silent()
        for one in (silent, *servers.values()):
            self.addCleanup(one.close)
        for name in rules:
            if name != "token":
                self.anna.push(self.files[1], servers[name].place())
            servers[name].rules = dict([rules[name]])
        servers["push"].rules = {"finish": hang}
        slow = {name: server.place() for name, server in servers.items()} | {"silent": f"oci://127.0.0.1:{silent.port}/anna/ironwheel"}
        rigs = {name: self.reader() for name in slow}
        env = self.with_fault(fast=20)

        def ask(name):
            if name == "push":
                return self.anna.run("push", self.files[1], slow[name], status=1, env=env)
            return rigs[name].run("pull", "demo", slow[name], status=1, env=env)
        with concurrent.futures.ThreadPoolExecutor(len(slow)) as pool:
            said = dict(zip(slow, pool.map(ask, slow)))
        for name, done in said.items():
            with self.subTest(name):
                self.assertRegex(done.stderr, "(?i)timed out|timeout|too slow|nothing came|less than")
                self.assertIn("127.0.0.1", done.stderr)
                self.assertFalse((rigs[name].folder / "demo").exists())


if __name__ == "__main__":
    unittest.main()
