"""Registries as places: what is put there and read of them, logging in, and registries that break off, lie or lead astray. The registry is tests/servers/registry.py, of the specification; real ones are in
test_share_oci_real.py."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import sharing
from fixture import PROGRAM
from sharing import bundle, snapshot

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "servers"))
import registry  # noqa: E402

NAME = "demo-1-k10-glibc2.34-cp311"
DATA = os.urandom(200000)
LARGE = os.urandom(9_500_000)  # three chunks
CHUNK = (4 << 20) - 65536
EMPTY = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"  # of "{}", the configuration of every manifest
SECRETS = ("pass:word", "identity-token", base64.b64encode(b"anna:pass:word").decode())


class Oci(sharing.Shared):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = bundle(cls.place.folder / "dist", {"bin/hello": b"#!/bin/sh\necho hello\n", "data": DATA})
        pathlib.Path(f"{cls.file}.checks.json").write_text("[]")
        cls.large = bundle(cls.place.folder / "large", {"data": LARGE})
        cls.channel = "channel-" + cls.keys["working"]
        cls.shared = registry.Registry()
        cls.addClassCleanup(cls.shared.close)
        cls.anna.push(cls.file, cls.shared.place())
        cls.first_push = list(cls.shared.seen)

    def registry(self, **settings):
        server = registry.Registry(**settings)
        self.addCleanup(server.close)
        return server

    def login(self, server, password="pass:word", name=""):
        """An auth.json as `skopeo login` writes it."""
        type(self).number += 1
        path = self.place.folder / f"auth{self.number}.json"
        path.write_text(json.dumps({"auths": {server.host + name: {"auth": base64.b64encode(f"anna:{password}".encode()).decode()}}}))
        return {"REGISTRY_AUTH_FILE": path}

    def reader(self, where, **more):
        rig = self.rig_of_its_own()
        rig.run("trust", "add", where, "--key", self.keys["recovery"], **more)
        return rig

    def trusting(self):
        """A rig that knows the key without having been at the place."""
        return self.reader(self.shared.place())

    def pulled(self, rig, where, data=DATA, **more):
        done = json.loads(rig.run("pull", "demo", where, "--json", **more).stdout.splitlines()[-1])
        self.assertEqual((rig.folder / "demo/data").read_bytes(), data)
        return done

    def refused(self, rig, where, cause, env=None, status=1):
        """Nothing is installed, nothing changed, the cause named."""
        before = snapshot(rig.folder)
        done = rig.run("pull", "demo", where, status=status, env=env)
        self.assertRegex(done.stderr, cause)
        after = snapshot(rig.folder)
        self.assertEqual({k: v for k, v in after.items() if not k.startswith((".ironwheel", ".demo", "demo/.", "config/seen"))}, before | {})
        return done

    def silent(self, done):
        for secret in SECRETS:
            self.assertNotIn(secret, done.stdout + done.stderr)
        return done

    # --- what is there ---

    def test_manifests_are_ocis_and_name_all_that_the_channel_names(self):
        repository = self.shared.repository("anna/ironwheel")
        self.assertEqual(set(repository["tags"]), {NAME, "keys", "keys-1", self.channel, "blobs-" + self.keys["working"]})
        top = self.shared.manifest(NAME)
        self.assertEqual((top["artifactType"], top["config"]["mediaType"]), ("application/vnd.ironwheel.bundle.v1", "application/vnd.oci.empty.v1+json"))
        self.assertEqual([layer["annotations"]["org.opencontainers.image.title"] for layer in top["layers"]], [NAME + ".tar.zst", NAME + ".tar.zst.minisig"])
        document = self.shared.manifest(self.channel)
        channel = json.loads(repository["blobs"][document["layers"][0]["digest"]])
        offer = channel["bundles"][NAME]
        named = {layer["digest"] for _, data in repository["manifests"].values() for layer in json.loads(data).get("layers", [])}
        for blob in (offer[key]["sha256"] for key in ("file", "manifest", "checks")):
            self.assertIn("sha256:" + blob, named)
        self.assertEqual(document["annotations"]["vnd.ironwheel.signature"].encode(), repository["blobs"][document["layers"][1]["digest"]])
        folder = self.place.folder / "checked"
        folder.mkdir()
        for layer in top["layers"]:
            (folder / layer["annotations"]["org.opencontainers.image.title"]).write_bytes(repository["blobs"][layer["digest"]])
        (folder / "key.pub").write_text((self.anna.config / "working.pub").read_text())
        subprocess.run(["minisign", "-V", "-q", "-p", folder / "key.pub", "-m", folder / (NAME + ".tar.zst")], check=True)

    def test_pull_then_nothing_in_two_requests(self):
        rig = self.reader(self.shared.place())
        self.assertEqual(self.pulled(rig, self.shared.place())["way"], "whole")
        again = self.pulled(rig, self.shared.place())
        self.assertEqual((again["way"], again["requests"]), ("nothing", 2))
        self.assertEqual(json.loads(rig.run("pull", "demo", "--json").stdout.splitlines()[-1])["way"], "nothing", "the place is remembered")

    def test_a_blob_is_asked_for_once(self):
        heads = [path for method, path, _ in self.first_push if method == "HEAD" and "/blobs/" in path]
        stored = {path for path in heads if path.rpartition("/")[2] in self.shared.repository("anna/ironwheel")["blobs"]}
        small = {path for path in stored if len(self.shared.repository("anna/ironwheel")["blobs"][path.rpartition("/")[2]]) < 100000}
        self.assertGreaterEqual(len(small), 4)
        self.assertEqual({path: heads.count(path) for path in small if heads.count(path) > 1 and not path.endswith(EMPTY)}, {})

    def test_a_second_push_sends_nothing(self):
        self.shared.seen.clear()
        self.assertTrue(self.anna.push(self.file, self.shared.place())["unchanged"])
        self.assertEqual([method for method, _, _ in self.shared.seen if method in ("POST", "PUT", "PATCH")], [])

    def test_delta_and_rollback_through_a_registry(self):
        server, place = self.registry(), None
        place = server.place()
        old = bundle(self.place.folder / "v1", {"data": DATA, "more": b"1"}, name="demo-1-k10-glibc2.34-cp311")
        new = bundle(self.place.folder / "v2", {"data": DATA, "more": b"2"}, name="demo-2-k10-glibc2.34-cp311")
        self.anna.push(old, place)
        rig = self.reader(place)
        self.pulled(rig, place)
        kept = server.repository("anna/ironwheel")["tags"][self.channel]
        self.assertEqual(self.anna.push(new, place)["deltas"], 1)
        self.assertEqual(self.pulled(rig, place)["way"], "delta")
        server.repository("anna/ironwheel")["tags"][self.channel] = kept
        self.assertIn("rollback", rig.run("pull", "demo", place, status=1).stderr)

    def test_prune_takes_names_away_and_says_who_takes_the_rest(self):
        server = self.registry()
        for version in "123":
            file = bundle(self.place.folder / f"p{version}", {"data": os.urandom(3000)}, name=f"demo-{version}-k10-glibc2.34-cp311")
            done = self.anna.run("push", file, server.place(), "--prune", "1", "--no-deltas")
        self.assertIn("garbage collection", done.stderr + done.stdout)
        self.assertEqual([tag for tag in server.repository("anna/ironwheel")["tags"] if tag.startswith("demo")], ["demo-3-k10-glibc2.34-cp311"])
        kept = server.manifest("blobs-" + self.keys["working"])
        self.assertLessEqual(len(kept["layers"]), 8, "what only the first channel named isn't kept any more")

    def test_remote_test_and_what_a_registry_cant_hold(self):
        rig = self.reader(self.shared.place())
        told = [json.loads(line) for line in rig.run("remote", "test", self.shared.place(), "--write", "--json").stdout.splitlines()]
        self.assertEqual({row["check"]: row["ok"] for row in told}, {"reach": True, "channel": True, "sizes": True, "ranges": True, "write": True})
        self.assertRegex(self.anna.run("push", self.file, self.shared.place(), "--wheels", status=2).stderr, "is a registry, which can't hold the files of --wheels")
        for address, cause in ((f"oci://anna:secret@{self.shared.host}/x", "skopeo login"), ("oci://127.0.0.1:1", "repository's name"), ("oci://127.0.0.1:1/Anna", "small letters"),
                               ("oci://127.0.0.1:1/a:tag", "without a tag"), ("oci://127.0.0.1:1/../x", "repository's name"), ("oci://h:99999/x", "no host")):
            done = rig.run("pull", "demo", address, status=2)
            self.assertRegex(done.stderr, cause)
            self.assertNotIn("secret", done.stderr)

    def test_no_unencrypted_way_unless_said(self):
        rig = self.trusting()
        self.assertRegex(rig.run("pull", "demo", "oci://ironwheel.invalid/x", status=1).stderr, "oci://ironwheel.invalid/x: .*(resolve|connect)")
        place = f"oci+http://{self.shared.host}/anna/ironwheel"
        self.assertEqual(self.pulled(self.reader(place), place)["way"], "whole")

    # --- referrers ---

    def test_proof_is_a_referrer_of_its_bundle(self):
        for known in (True, False):
            with self.subTest(registry_knows_referrers=known):
                server = self.registry(referrers=known)
                for _ in range(2):
                    self.anna.push(self.file, server.place())
                repository = server.repository("anna/ironwheel")
                subject = repository["tags"][NAME]
                if known:
                    (entry,) = repository["referrers"][subject]
                    self.assertNotIn(subject.replace(":", "-"), repository["tags"])
                else:
                    (entry,) = server.manifest(subject.replace(":", "-"))["manifests"]
                self.assertEqual(entry["artifactType"], "application/vnd.ironwheel.proof.v1")
                proof = json.loads(repository["manifests"][entry["digest"]][1])
                self.assertEqual(proof["subject"]["digest"], subject)
                self.assertEqual({layer["annotations"]["org.opencontainers.image.title"] for layer in proof["layers"]}, {"manifest.json", "checks.json"})

    # --- uploads ---

    def test_uploads_as_registries_differ(self):
        for settings in ({}, {"absolute": True}, {"chunked": False}, {"least_chunk": 5_000_000}, {"ranges": False}):
            with self.subTest(**settings):
                server = self.registry(**settings)
                self.anna.push(self.large, server.place())
                self.pulled(self.reader(server.place()), server.place(), data=LARGE)
                sizes = [len(blob) for blob in server.repository("anna/ironwheel")["blobs"].values()]
                self.assertIn(self.large.stat().st_size, sizes)

    def test_a_line_that_breaks_is_gone_on_with(self):
        server = self.registry()
        asked = []

        def watch(handler):
            asked.append(handler.headers["Content-Range"])
            return len(asked) in (2, 4) and registry.hang_up(1000000)(handler)
        server.rules["chunk"] = watch
        self.anna.push(self.large, server.place())
        starts = [int(piece.split("-")[0]) for piece in asked]
        self.assertEqual(starts[:4], [0, CHUNK, CHUNK + 1000000, 2 * CHUNK + 1000000])
        self.pulled(self.reader(server.place()), server.place(), data=LARGE)

    def test_a_push_that_was_killed_goes_on(self):
        server, asked, held = self.registry(), [], threading.Event()

        def hold(handler):
            asked.append(handler.headers["Content-Range"])
            if len(asked) == 3:
                held.set()
                time.sleep(2)
                return True
            return False
        server.rules["chunk"] = hold
        env = {"PATH": os.environ["PATH"], "HOME": str(self.anna.folder), "IRONWHEEL_CONFIG": str(self.anna.config), "IRONWHEEL_CACHE": str(self.anna.folder / "cache")}
        push = subprocess.Popen([PROGRAM, "push", self.large, server.place()], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertTrue(held.wait(30))
        push.kill()
        push.wait()
        self.assertEqual(server.repository("anna/ironwheel")["tags"].keys() - {"keys", "keys-1"}, set(), "no name before its blobs")
        server.rules.clear()
        asked.clear()
        server.rules["chunk"] = lambda handler: asked.append(handler.headers["Content-Range"]) and False
        self.anna.push(self.large, server.place())
        self.assertEqual(asked[0].split("-")[0], str(2 * CHUNK), "only what wasn't there")
        self.pulled(self.reader(server.place()), server.place(), data=LARGE)
        self.assertEqual(list((self.anna.config / "uploads").glob("*")), [])

    def test_a_registry_that_mixes_chunks_up_is_noticed(self):
        server = self.registry()

        def wrong(handler):
            session = handler.server.sessions[handler.match["id"]]
            handler.body()
            session["data"] += b"x" * int(handler.headers["Content-Length"])
            handler.answer(202, Location=handler.location(session), Range=f"0-{len(session['data']) - 1}")
            return True
        server.rules["chunk"] = wrong
        self.assertRegex(self.anna.run("push", self.large, server.place(), status=1).stderr, "other bytes than were sent")
        self.assertNotIn(self.channel, server.repository("anna/ironwheel")["tags"])

    def test_a_foreign_digest_in_an_answer_is_noticed(self):
        server = self.registry()

        def foreign(handler):
            handler.body()
            handler.answer(201, Docker_Content_Digest="sha256:" + "0" * 64)
            return True
        server.rules["finish"] = foreign
        self.assertRegex(self.anna.run("push", self.file, server.place(), status=1).stderr, "other bytes than were sent: SHA-256 0000")

    def test_uploads_at_another_host_get_no_credentials(self):
        other, server = self.registry(), self.registry(auth="token")
        other.open_uploads, other.auth = True, "token"
        other.sessions, other.repositories = server.sessions, server.repositories
        server.upload_host = other.url
        other.upload_host = other.url
        self.anna.push(self.large, server.place(), env=self.login(server))
        self.assertGreater(len(other.seen), 5)
        self.assertEqual([one for one in other.seen if one[2]], [])
        self.assertIn(("POST", "/v2/anna/ironwheel/blobs/uploads/", True), server.seen)

    # --- logging in ---

    def test_token_from_every_place_that_credentials_are_kept_in(self):
        server = self.registry(auth="token", anonymous=False)
        pair = {"auth": base64.b64encode(b"anna:pass:word").decode()}
        config = self.place.folder / "xdg/containers/auth.json"
        docker = self.place.folder / "docker/config.json"
        helped = self.place.folder / "helped/config.json"
        identity = self.place.folder / "identity.json"
        for path, content in ((config, {"auths": {server.host + "/anna": pair, server.host: {"auth": base64.b64encode(b"anna:wrong").decode()}}}),
                              (docker, {"auths": {f"http://{server.host}/v1/": pair}}), (helped, {"auths": {server.host: {}}, "credsStore": "test"}),
                              (identity, {"auths": {server.host: {"identitytoken": "identity-token"}}})):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))
        programs = self.place.folder / "programs"
        programs.mkdir()
        (programs / "docker-credential-test").write_text(f"#!/bin/sh\nread -r host\n[ \"$host\" = {server.host} ] && echo '{{\"Username\": \"anna\", \"Secret\": \"pass:word\"}}'\n")
        (programs / "docker-credential-test").chmod(0o755)
        for env in (self.login(server), {"XDG_CONFIG_HOME": config.parent.parent}, {"DOCKER_CONFIG": docker.parent}, {"REGISTRY_AUTH_FILE": identity},
                    {"DOCKER_CONFIG": helped.parent, "PATH": f"{programs}:{os.environ['PATH']}"},
                    {"IRONWHEEL_REGISTRY": server.host, "IRONWHEEL_REGISTRY_USER": "anna", "IRONWHEEL_REGISTRY_PASSWORD": "pass:word"}):
            with self.subTest(sorted(env)[0]):
                server.tokens.clear()
                self.silent(self.anna.run("push", self.file, server.place(), env=env))
                rig = self.reader(server.place(), env=env)
                self.pulled(rig, server.place(), env=env)
        self.assertLess(sum(path == "/token" for _, path, _ in server.seen), 40, "a token is used for more than one request")

    def test_basic(self):
        server = self.registry(auth="basic")
        env = self.login(server)
        self.anna.push(self.file, server.place(), env=env)
        self.pulled(self.reader(server.place(), env=env), server.place(), env=env)

    def test_anybody_may_pull_where_the_registry_says_so(self):
        server = self.registry(auth="token")
        self.anna.push(self.file, server.place(), env=self.login(server))
        self.pulled(self.reader(server.place()), server.place())

    def test_what_is_refused_says_where_credentials_belong(self):
        server = self.registry(auth="token", anonymous=False)
        none = self.anna.run("push", self.file, server.place(), status=1).stderr
        self.assertRegex(none, f"no credentials for {server.host}: `skopeo login {server.host}`")
        wrong = self.login(server, password="not it")
        done = self.anna.run("push", self.file, server.place(), env=wrong, status=1)
        self.assertIn(f"with the credentials of {wrong['REGISTRY_AUTH_FILE']}", done.stderr)
        self.assertNotIn("not it", done.stderr)
        other = {"IRONWHEEL_REGISTRY": "127.0.0.1:1", "IRONWHEEL_REGISTRY_USER": "anna", "IRONWHEEL_REGISTRY_PASSWORD": "pass:word"}
        self.assertIn("no credentials for", self.anna.run("push", self.file, server.place(), env=other, status=1).stderr, "they are another registry's")
        wrong["REGISTRY_AUTH_FILE"].write_text("{")
        self.assertIn("no JSON object", self.anna.run("push", self.file, server.place(), env=wrong, status=1).stderr)

    def test_a_token_that_ends_in_the_middle_is_replaced(self):
        server = self.registry(auth="token", anonymous=False)
        ended = []

        def end(handler):
            ended.append(1)
            if len(ended) in (1, 4):  # twice, of two chunks
                server.tokens.clear()
            return False
        server.rules["chunk"] = end
        env = self.login(server)
        self.anna.push(self.large, server.place(), env=env)
        rig = self.reader(server.place(), env=env)
        left = [1]

        def end_once(handler):
            if handler.command == "GET" and left and left.pop():
                server.tokens.clear()
            return False
        server.rules = {"blob": lambda handler: False}
        rig.run("remote", "test", server.place(), env=env)
        server.rules = {"blob": end_once}
        self.pulled(rig, server.place(), data=LARGE, env=env)
        self.assertEqual((len(ended), left), (5, []))

    def test_a_short_token_is_replaced_before_it_ends(self):
        server = self.registry(auth="token", anonymous=False, lifetime=1)
        self.anna.push(self.file, server.place(), env=self.login(server))
        self.assertGreater(sum(path == "/token" for _, path, _ in server.seen), 3)

    def test_401_for_ever_ends(self):
        server = self.registry(auth="token")
        server.rules["manifest"] = registry.always(401, WWW_Authenticate=f'Bearer realm="{server.realm}",service="x"')
        self.refused(self.trusting(), server.place(), "answers 401", env=self.login(server))
        self.assertLess(len(server.seen), 8)

    def test_where_a_realm_may_be(self):
        elsewhere, server = self.registry(), self.registry(auth="token", anonymous=False)
        elsewhere.tokens = server.tokens
        server.realm = elsewhere.realm
        env = self.login(server)
        self.anna.push(self.file, server.place(), env=env)
        self.assertEqual({one[2] for one in elsewhere.seen}, {True}, "the specification's way: a token service on another host")
        for realm, cause in (("http://192.0.2.1/token", "unencrypted: the credentials of .* aren't sent there"), ("http://rig.invalid/token", "unencrypted"), ("file:///etc/passwd", "must be https"),
                             ("gopher://127.0.0.1/", "must be https")):
            with self.subTest(realm):
                server.realm = realm
                self.silent(self.refused(self.trusting(), server.place(), cause, env=env))

    def test_other_kinds_of_login_are_named(self):
        server = self.registry()
        for value in ("Negotiate", 'Bearer service="no realm"', 'Bearer realm="http://x', "\x00", "a" * 20000):
            server.rules["manifest"] = registry.always(401, WWW_Authenticate=value)
            self.refused(self.trusting(), server.place(), "neither Bearer nor Basic|answers 401")

    def test_answers_of_a_token_service(self):
        server = self.registry(auth="token", anonymous=False)
        env = self.login(server)
        for data in (b"", b"{}", b'{"token": ""}', b'{"token": "a\\nX-Evil: b"}', b'{"token": 5}', b"[" * 100000, json.dumps({"token": "x" * 100000}).encode()):
            server.rules["token"] = registry.always(200, data)
            self.silent(self.refused(self.trusting(), server.place(), "holds no token|more than the", env=env))
        server.rules["token"] = registry.always(302, Location="http://127.0.0.1:1/")
        self.silent(self.refused(self.trusting(), server.place(), "to log in, which answers 302", env=env))

    # --- liars ---

    def liar(self, **rules):
        server = self.registry()
        server.repositories = {"anna/ironwheel": {key: value.copy() for key, value in self.shared.repositories["anna/ironwheel"].items()}}
        server.rules = rules
        return server

    def test_blobs_that_lie(self):
        whole = self.file.read_bytes()

        def endless(handler):
            handler.send_response(200)
            handler.send_header("Connection", "close")
            handler.end_headers()
            handler.close_connection = True
            try:
                while True:
                    handler.wfile.write(b"x" * 65536)
            except OSError:
                return True

        def loop(handler):
            handler.answer(307, Location=handler.path)
            return True
        for what, rule, cause in (("other bytes", registry.always(200, whole[:-1] + bytes([whole[-1] ^ 1])), "SHA-256"), ("longer", registry.always(200, whole + b"x"), "more than"),
                                  ("shorter", registry.always(200, whole[:-10]), "SHA-256"), ("endless", endless, "wrong from byte"), ("a loop", loop, "redirect"),
                                  ("a file", registry.always(302, Location="file:///etc/passwd"), "file"), ("gone", registry.always(404), "404"), ("html", registry.always(200, b"<html>"), "SHA-256")):
            with self.subTest(what):
                server = self.liar(blob=lambda handler, rule=rule: handler.match["digest"] == registry.digest(whole) and rule(handler))
                self.refused(self.trusting(), server.place(), cause)

    def test_manifests_that_lie(self):
        signature = self.shared.manifest(self.channel)["annotations"]["vnd.ironwheel.signature"]
        other = self.place.rig(f"other{self.number}")
        other.keygen()

        def manifest(**changes):
            return json.dumps(self.shared.manifest(self.channel) | changes).encode()
        for what, data, cause in (("5 MiB", manifest(padding="x" * (5 << 20)), "4 MiB"), ("no JSON", b"{", "no manifest"), ("nothing in it", b"{}", "no manifest"),
                                  ("layers", manifest(layers=5), "no manifest"), ("digests", manifest(layers=[{"digest": "sha256:../../x", "size": 1}]), "no manifest"),
                                  ("sizes", manifest(layers=[{"digest": "sha256:" + "0" * 64, "size": -1}]), "no manifest"), ("deep", b"[" * 100000, "no manifest"),
                                  ("changed", manifest(annotations={"vnd.ironwheel.signature": signature.replace("version=1", "version=9")}), "signature|altered|changed"),
                                  ("nothing signed", manifest(annotations={}, layers=[]), "holds no signature"), ("twice", b'{"schemaVersion": 2, "schemaVersion": 2, "layers": []}', "no manifest")):
            with self.subTest(what):
                server = self.liar(manifest=lambda handler, data=data: handler.match["reference"] == self.channel and registry.always(200, data)(handler))
                self.refused(self.trusting(), server.place(), cause)

    def test_a_channel_without_the_annotation_is_read_from_its_layers(self):
        data = json.dumps({key: value for key, value in self.shared.manifest(self.channel).items() if key != "annotations"}).encode()
        server = self.liar(manifest=lambda handler: handler.match["reference"] == self.channel and registry.always(200, data)(handler))
        self.assertEqual(self.pulled(self.trusting(), server.place())["way"], "whole")

    def test_404_and_406_are_a_registry_that_has_nothing(self):
        for status in (404, 406):
            server = self.registry()
            server.rules["manifest"] = registry.always(status)
            self.refused(self.trusting(), server.place(), "holds nothing that a key trusted here has signed")

    def test_errors_are_told_and_tame(self):
        server = self.registry()
        server.rules["start"] = registry.always(403, json.dumps({"errors": [{"code": "DENIED", "message": "quota \x1b[31m" + "x" * 5000}]}).encode())
        said = self.anna.run("push", self.file, server.place(), status=1).stderr
        self.assertIn("403 (DENIED: quota ?[31m", said)
        self.assertNotIn("\x1b", said)
        self.assertLess(len(said), 1200)

    def test_a_token_in_an_error_isnt_repeated(self):
        server = self.registry(auth="token")

        def repeat(handler):
            handler.body()
            if not handler.allowed(True):
                return True
            handler.error(500 - 88, "BAD", "you said " + handler.headers["Authorization"])
            return True
        server.rules["start"] = repeat
        done = self.anna.run("push", self.file, server.place(), env=self.login(server), status=1)
        self.assertIn("answers 412", done.stderr)
        for token in server.tokens:
            self.assertNotIn(token, done.stderr)

    def test_waiting_as_asked(self):
        server = self.liar(manifest=registry.times(1, registry.always(429, Retry_After=1)), blob=registry.times(1, registry.always(503)))
        began = time.monotonic()
        self.pulled(self.trusting(), server.place())
        self.assertGreater(time.monotonic() - began, 1)

    def test_waiting_is_stopped_by_ctrl_c(self):
        server = self.liar(manifest=registry.always(429, Retry_After=100000))
        rig = self.trusting()
        env = {"PATH": os.environ["PATH"], "HOME": str(rig.folder), "IRONWHEEL_CONFIG": str(rig.config), "IRONWHEEL_CACHE": str(rig.folder / "cache")}
        pull = subprocess.Popen([PROGRAM, "pull", "demo", server.place()], env=env, cwd=rig.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # also from a background job
        deadline = time.monotonic() + 20
        while not server.seen and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        pull.send_signal(signal.SIGINT)
        self.assertEqual(pull.wait(timeout=10), 130)

    def test_a_pull_that_broke_off_goes_on(self):
        whole, asked = self.file.read_bytes(), []

        def cut(handler):
            if handler.match["digest"] != registry.digest(whole) or handler.command != "GET":
                return False
            asked.append(handler.headers.get("Range"))
            if len(asked) > 1:
                return False
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(whole)))
            handler.end_headers()
            handler.wfile.write(whole[:100000])
            handler.wfile.flush()
            handler.close_connection = True
            return True
        self.pulled(self.trusting(), self.liar(blob=cut).place())
        self.assertEqual(asked[0], None)
        self.assertRegex(asked[1], r"bytes=\d+-")

    def test_blobs_at_another_host_get_no_token(self):
        other = self.registry()
        server = self.registry(auth="token")
        env = self.login(server)
        self.anna.push(self.file, server.place(), env=env)
        other.repositories = server.repositories
        server.rules["blob"] = lambda handler: handler.command == "GET" and registry.always(307, Location=other.url + handler.path)(handler)
        self.pulled(self.reader(server.place(), env=env), server.place(), env=env)
        self.assertGreater(len(other.seen), 1)
        self.assertEqual([one for one in other.seen if one[2]], [])


if __name__ == "__main__":
    unittest.main()
