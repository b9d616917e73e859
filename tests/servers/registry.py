"""A registry on 127.0.0.1, written from the OCI distribution specification 1.1 and the distribution project's token authentication: blobs, chunked and monolithic uploads, manifests, tags, referrers.
What it must answer it answers; what the specification leaves to it is a setting (`Registry`'s arguments), and `rules` make it a liar: a rule is a function of (handler) that answers in its place and
returns True where it did, looked up by the name of an endpoint ("blob", "start", "chunk", "finish", "offset", "manifest", "put", "referrers", "token") or "*". Every request is in `seen`
as (method, path, whether it came with Authorization)."""
import base64
import hashlib
import http.server
import json
import re
import threading
import time
import urllib.parse
import uuid

LIMIT = 4 << 20
NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
ROUTES = [("base", r"/v2/"), ("token", r"/token"), ("start", rf"/v2/(?P<name>{NAME})/blobs/uploads/"), ("upload", rf"/v2/(?P<name>{NAME})/blobs/uploads/(?P<id>[0-9a-f-]+)"),
          ("blob", rf"/v2/(?P<name>{NAME})/blobs/(?P<digest>sha256:[0-9a-f]{{64}})"), ("manifest", rf"/v2/(?P<name>{NAME})/manifests/(?P<reference>[^/]+)"),
          ("referrers", rf"/v2/(?P<name>{NAME})/referrers/(?P<digest>sha256:[0-9a-f]{{64}})"), ("tags", rf"/v2/(?P<name>{NAME})/tags/list")]
ENDPOINTS = {("upload", "PATCH"): "chunk", ("upload", "PUT"): "finish", ("upload", "GET"): "offset", ("manifest", "PUT"): "put"}
INDEX = "application/vnd.oci.image.index.v1+json"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    # --- answers ---

    def answer(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers and status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def error(self, status, code, message="", **headers):
        self.answer(status, json.dumps({"errors": [{"code": code, "message": message}]}).encode(), Content_Type="application/json", **headers)

    def body(self):
        """At most what was announced; a connection that is cut gives less."""
        if self.taken is None:
            self.taken = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.taken

    # --- who may ---

    def allowed(self, push):
        registry = self.server
        given = self.headers.get("Authorization", "")
        if not registry.auth:
            return True
        if registry.auth == "basic":
            if given == "Basic " + base64.b64encode(registry.login.encode()).decode():
                return True
            self.body()
            self.error(401, "UNAUTHORIZED", WWW_Authenticate='Basic realm="registry"')
            return False
        token = registry.tokens.get(given.removeprefix("Bearer "))
        if token and token["until"] > time.monotonic() and (not push or "push" in token["scope"]):
            return True
        self.body()
        scope = f"repository:{self.match['name']}:pull{',push' if push else ''}"
        self.error(401, "UNAUTHORIZED", "authentication required", WWW_Authenticate=f'Bearer realm="{registry.realm}",service="{registry.service}",scope="{scope}"')
        return False

    def do_token(self):
        registry = self.server
        query = urllib.parse.parse_qs(self.query)
        given = self.headers.get("Authorization", "")
        if self.command == "POST":
            form = urllib.parse.parse_qs(self.body().decode())
            known, query = form.get("refresh_token") == [registry.identity], form
        else:
            known = given == "Basic " + base64.b64encode(registry.login.encode()).decode()
            if given and not known:
                self.error(401, "UNAUTHORIZED")
                return
        scope = " ".join(query.get("scope", []))
        if not known and (not registry.anonymous or "push" in scope):
            self.error(401, "UNAUTHORIZED")
            return
        token = uuid.uuid4().hex
        registry.tokens[token] = {"scope": scope, "until": time.monotonic() + registry.lifetime}
        field = "access_token" if self.command == "POST" else "token"
        self.answer(200, json.dumps({field: token, "expires_in": registry.told_lifetime or registry.lifetime}).encode(), Content_Type="application/json")

    # --- blobs ---

    def do_blob(self):
        data = self.repository["blobs"].get(self.match["digest"])
        if self.command == "DELETE":
            self.error(405, "UNSUPPORTED")
        elif data is None:
            self.error(404, "BLOB_UNKNOWN")
        else:
            asked = self.headers.get("Range")
            headers = {"Docker_Content_Digest": self.match["digest"], "Content_Type": "application/octet-stream"}
            if asked and self.server.ranges and self.command == "GET":
                first, _, last = asked.removeprefix("bytes=").partition("-")
                first, last = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
                if first >= len(data):
                    self.answer(416, Content_Range=f"bytes */{len(data)}")
                    return
                self.answer(206, data[first:last + 1], Content_Range=f"bytes {first}-{last}/{len(data)}", **headers)
                return
            self.answer(200, data, **headers)

    def location(self, session):
        where = f"/v2/{self.match['name']}/blobs/uploads/{session['id']}?state={session['state']}"
        return (self.server.upload_host or self.server.url if self.server.absolute or self.server.upload_host else "") + where

    def do_start(self):
        self.body()
        session = {"id": str(uuid.uuid4()), "state": "0", "data": b""}
        self.server.sessions[session["id"]] = session
        more = {"OCI_Chunk_Min_Length": self.server.least_chunk} if self.server.least_chunk else {}
        self.answer(202, Location=self.location(session), Range="0-0", **more)

    def session(self):
        session = self.server.sessions.get(self.match["id"])
        if not session:
            self.body()
            self.error(404, "BLOB_UPLOAD_UNKNOWN")
        return session

    def do_chunk(self):
        session = self.session()
        if not session:
            return
        if not self.server.chunked:
            self.body()
            self.error(405, "UNSUPPORTED")
            return
        first, last = map(int, self.headers["Content-Range"].split("-"))
        length = int(self.headers["Content-Length"])
        if first != len(session["data"]) or last - first + 1 != length:
            self.body()
            self.error(416, "RANGE_INVALID", Location=self.location(session), Range=f"0-{max(len(session['data']) - 1, 0)}")
            return
        session["data"] += self.body()
        session["state"] = str(len(session["data"]))
        self.answer(202, Location=self.location(session), Range=f"0-{len(session['data']) - 1}")

    def do_offset(self):
        session = self.session()
        if session:
            self.answer(204, Location=self.location(session), Range=f"0-{max(len(session['data']) - 1, 0)}")

    def do_finish(self):
        session = self.session()
        if not session:
            return
        session["data"] += self.body()
        wanted = urllib.parse.parse_qs(self.query).get("digest", [""])[0]
        if digest(session["data"]) != wanted:
            self.error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            return
        self.repository["blobs"][wanted] = session["data"]
        del self.server.sessions[session["id"]]
        self.answer(201, Location=f"/v2/{self.match['name']}/blobs/{wanted}", Docker_Content_Digest=wanted)

    # --- manifests ---

    def do_manifest(self):
        manifests, tags = self.repository["manifests"], self.repository["tags"]
        found = tags.get(self.match["reference"], self.match["reference"])
        if self.command == "DELETE":
            known = tags.pop(self.match["reference"], None)
            self.answer(202) if known else self.error(404, "MANIFEST_UNKNOWN")
        elif found not in manifests:
            self.error(404, "MANIFEST_UNKNOWN" if self.repository["manifests"] else "NAME_UNKNOWN")
        else:
            kind, data = manifests[found]
            if kind not in self.headers.get("Accept", ""):
                self.error(406, "MANIFEST_UNKNOWN")
                return
            self.answer(200, data, Content_Type=kind, Docker_Content_Digest=found)

    def do_put(self):
        data, reference, repository = self.body(), self.match["reference"], self.repository
        if len(data) > LIMIT:
            self.error(413, "SIZE_INVALID")
            return
        manifest = json.loads(data)
        for layer in manifest.get("layers", []) + ([manifest["config"]] if "config" in manifest else []):
            if layer["digest"] not in repository["blobs"]:
                self.error(404, "MANIFEST_BLOB_UNKNOWN", layer["digest"])
                return
        found = digest(data)
        repository["manifests"][found] = (self.headers["Content-Type"], data)
        if ":" not in reference:
            repository["tags"][reference] = found
        elif reference != found:
            self.error(400, "DIGEST_INVALID")
            return
        more = {}
        if "subject" in manifest and self.server.referrers:
            subject = manifest["subject"]["digest"]
            entry = {"mediaType": self.headers["Content-Type"], "digest": found, "size": len(data), "artifactType": manifest.get("artifactType")}
            repository["referrers"].setdefault(subject, []).append(entry)
            more = {"OCI_Subject": subject}
        self.answer(201, Location=f"/v2/{self.match['name']}/manifests/{found}", Docker_Content_Digest=found, **more)

    def do_referrers(self):
        if not self.server.referrers:
            self.error(404, "NOT_FOUND")
            return
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.repository["referrers"].get(self.match["digest"], [])}
        self.answer(200, json.dumps(index).encode(), Content_Type=INDEX)

    def do_tags(self):
        self.answer(200, json.dumps({"name": self.match["name"], "tags": sorted(self.repository["tags"])}).encode())

    def do_base(self):
        self.answer(200)

    # --- all of them ---

    def handle_one(self):
        path, _, self.query = self.path.partition("?")
        self.taken, self.match = None, None
        with self.server.lock:
            self.server.seen.append((self.command, path, "Authorization" in self.headers))
        for kind, route in ROUTES:
            found = re.fullmatch(route, path)
            if found:
                self.match = found.groupdict()
                break
        else:
            self.body()
            self.error(404, "NOT_FOUND")
            return
        endpoint = ENDPOINTS.get((kind, self.command), kind)
        if "name" in self.match:
            self.repository = self.server.repository(self.match["name"])
        rule = self.server.rules.get(endpoint) or self.server.rules.get("*")
        if rule and rule(self):
            return
        push = endpoint in ("start", "chunk", "finish", "offset", "put") or self.command == "DELETE"
        if endpoint in ("token", "base") or self.server.open_uploads and endpoint in ("chunk", "finish", "offset") or self.allowed(push):
            getattr(self, "do_" + endpoint)()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_one

    def log_message(self, *_):
        pass


class Registry(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, auth="", referrers=True, ranges=True, chunked=True, absolute=False, least_chunk=0, lifetime=300, told_lifetime=0, anonymous=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.auth, self.referrers, self.ranges, self.chunked, self.absolute, self.least_chunk = auth, referrers, ranges, chunked, absolute, least_chunk
        self.lifetime, self.told_lifetime, self.anonymous = lifetime, told_lifetime, anonymous
        self.login, self.identity = "anna:pass:word", "identity-token"
        self.lock, self.seen, self.rules, self.repositories, self.sessions, self.tokens = threading.RLock(), [], {}, {}, {}, {}
        self.host = f"127.0.0.1:{self.server_port}"
        self.url, self.service = f"http://{self.host}", "test registry"
        self.realm, self.upload_host, self.open_uploads = f"{self.url}/token", None, False
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def place(self, name="anna/ironwheel"):
        return f"oci://{self.host}/{name}"

    def repository(self, name):
        with self.lock:
            return self.repositories.setdefault(name, {"blobs": {}, "manifests": {}, "tags": {}, "referrers": {}})

    def manifest(self, tag, name="anna/ironwheel"):
        repository = self.repository(name)
        return json.loads(repository["manifests"][repository["tags"][tag]][1])

    def handle_error(self, *_):
        pass

    def close(self):
        self.shutdown()
        self.server_close()


# --- rules ---

def always(status, data=b"", **headers):
    def rule(handler):
        handler.body()
        handler.answer(status, data, **headers)
        return True
    return rule


def times(count, rule):
    """The rule so often, then what is right."""
    left = [count]

    def some(handler):
        if left[0] <= 0 or not rule(handler):
            return False
        left[0] -= 1
        return True
    return some


def hang_up(after):
    """Takes so many bytes of a request's body into the session, then ends the connection: as a line that breaks."""
    def rule(handler):
        session = handler.server.sessions.get(handler.match.get("id"))
        if session is None or int(handler.headers.get("Content-Length") or 0) <= after:
            return False
        session["data"] += handler.rfile.read(after)
        session["state"] = str(len(session["data"]))
        handler.close_connection = True
        handler.connection.close()
        return True
    return rule
