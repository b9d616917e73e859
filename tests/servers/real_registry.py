"""Debian's docker-registry on 127.0.0.1 over a folder of its own, open or with token authentication: then this is the token service, too, which signs with a key made for the run."""
import base64
import http.server
import json
import os
import pathlib
import socket
import subprocess
import threading
import time
import urllib.parse
import urllib.request

LOGIN = "anna:pass:word"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService(http.server.ThreadingHTTPServer):
    """Tokens as the distribution project describes them: a JWT with what of the scope is granted; anonymous ones may pull."""
    daemon_threads = True

    def __init__(self, folder):
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
                known = self.headers.get("Authorization") == "Basic " + base64.b64encode(LOGIN.encode()).decode()
                access = []
                for scope in query.get("scope", []):
                    kind, name, actions = scope.split(":")
                    access.append({"type": kind, "name": name, "actions": [a for a in actions.split(",") if known or a == "pull"]})
                service.seen.append((query.get("scope"), known))
                body = json.dumps({"token": service.token(query["service"][0], access), "expires_in": 60}).encode()
                self.send_response(200 if known or "Authorization" not in self.headers else 401)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        super().__init__(("127.0.0.1", 0), Handler)
        self.key, self.certificate, self.seen = folder / "key.pem", folder / "cert.pem", []
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "2", "-subj", "/CN=token service"], check=True,
                       stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{self.server_port}/token"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def token(self, audience, access):
        der = "".join(line for line in self.certificate.read_text().splitlines() if "-----" not in line)
        now = int(time.time())
        claims = {"iss": "tests", "sub": "anna", "aud": audience, "exp": now + 60, "nbf": now - 10, "iat": now, "jti": os.urandom(8).hex(), "access": access}
        text = b64(json.dumps({"typ": "JWT", "alg": "RS256", "x5c": [der]}).encode()) + "." + b64(json.dumps(claims).encode())
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key], input=text.encode(), stdout=subprocess.PIPE, check=True).stdout
        return text + "." + b64(signature)


class RealRegistry:
    def __init__(self, folder, auth=False):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        self.tokens = TokenService(self.folder) if auth else None
        config = f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {self.folder}/data}}, delete: {{enabled: true}}}}\nhttp: {{addr: {self.host}}}\n"
        if auth:
            config += f"auth: {{token: {{realm: '{self.tokens.url}', service: tests, issuer: tests, rootcertbundle: {self.tokens.certificate}}}}}\n"
        self.config = self.folder / "config.yml"
        self.config.write_text(config)
        self.start()

    def start(self):
        self.process = subprocess.Popen(["docker-registry", "serve", self.config], stdout=subprocess.DEVNULL, stderr=(self.folder / "log").open("ab"))
        for _ in range(200):
            try:
                socket.create_connection(self.host.split(":"), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("docker-registry doesn't start: " + (self.folder / "log").read_text())

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def collect_garbage(self):
        """As an operator does it: stopped, and what no manifest names removed."""
        self.stop()
        done = subprocess.run(["docker-registry", "garbage-collect", "--delete-untagged", self.config], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)
        self.start()
        return done.stdout

    def place(self, name="anna/ironwheel"):
        return f"oci://{self.host}/{name}"

    def tags(self, name="anna/ironwheel"):
        return json.load(urllib.request.urlopen(f"http://{self.host}/v2/{name}/tags/list"))["tags"]

    def close(self):
        self.stop()
        if self.tokens:
            self.tokens.shutdown()
            self.tokens.server_close()
