"""A small HTTP server on 127.0.0.1 for tests of downloads. Prints its port, then serves files below ROOT until it is ended.

    serve.py ROOT LOG

The first part of an address says how the file that follows is sent; LOG gets one line a request: method, address, Range, If-Range, Accept.

    /plain/FILE            with Range, If-Range, a strong ETag (the content's digest)
    /break/N/FILE          the first N answers end half way
    /cut/N/FILE            the first answer ends after N bytes, those of its headers included
    /error/STATUS/N/FILE   the first N answers are that status (Retry-After: 0)
    /nohead/FILE           405 for HEAD
    /norange/FILE          Range is ignored; no ETag
    /otherrange/FILE       206, but from byte 1 further than was asked for
    /stuck/FILE            half of it, then nothing more
    /silent/FILE           no answer at all
    /longer/FILE           one byte more than there is
    /endless/FILE          zeros, without an end
    /bomb/FILE             64 MiB of spaces per 64 KiB, as gzip, without an end
    /to/CODE/HEX           redirected to the address that HEX spells; /loop: to itself
    /html/FILE, /json/FILE as a page of a simple index
    /git/...               git's smart HTTP protocol for repositories below ROOT (git http-backend)
    /error404, or what isn't there: 404
"""
import hashlib
import http.server
import io
import os
import pathlib
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib

TYPES = {"html": "text/html", "json": "application/vnd.pypi.simple.v1+json"}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        fields = [self.command, self.path] + [self.headers.get(name, "-").replace(" ", "") for name in ("Range", "If-Range", "Accept")]
        with self.server.lock, open(self.server.log, "a", encoding="utf-8") as log:
            log.write(" ".join(fields) + "\n")

    def turn(self):
        """How often this address was asked for before."""
        with self.server.lock:
            count = self.server.turns.get(self.path, 0)
            self.server.turns[self.path] = count + 1
        return count

    def head(self, status, length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def refuse(self, status, **headers):
        self.head(status, 0, **headers)

    def read(self, parts):
        path = self.server.root.joinpath(*parts)
        return path.read_bytes() if path.is_file() else None

    def send_file(self, data, ranges=True, cut=None, shift=0, kind="application/octet-stream"):
        tag = '"' + hashlib.sha256(data).hexdigest()[:16] + '"'
        start, asked = 0, self.headers.get("Range", "")
        if ranges and asked.startswith("bytes=") and self.headers.get("If-Range", tag) == tag:
            start = int(asked[6:].split("-")[0])
        headers = {"ETag": tag} if ranges else {}
        if start >= len(data) > 0 and start:
            return self.refuse(416)
        start += shift if start else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        part = data[start:]
        if ranges and asked == "bytes=0-0":
            headers["Content-Range"], part = f"bytes 0-0/{len(data)}", data[:1]
        if self.command == "HEAD":
            return self.head(200, len(data), Content_Type=kind, **headers)
        self.head(206 if "Content-Range" in headers else 200, len(part), Content_Type=kind, **headers)
        self.wfile.write(part if cut is None else part[: len(part) // 2])
        self.wfile.flush()
        if cut == "end":
            self.close_connection = True
            self.connection.shutdown(2)
        while cut == "stuck":
            time.sleep(0.1)

    def send_cut(self, data, length):
        connection, self.wfile = self.wfile, io.BytesIO()
        self.send_file(data)
        answer, self.wfile = self.wfile.getvalue(), connection
        self.wfile.write(answer[:length])
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    def forever(self, block, **headers):
        self.head(200, **headers)
        self.close_connection = True
        while True:
            self.wfile.write(block)

    def bomb(self):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        self.head(200, Content_Type="text/html", Content_Encoding="gzip")
        self.close_connection = True
        while True:
            self.wfile.write(packer.compress(b" " * (1 << 26)) + packer.flush(zlib.Z_FULL_FLUSH))

    def do_GET(self):
        self.note()
        address, _, query = self.path.partition("?")
        parts = [urllib.parse.unquote(part) for part in address.split("/")[1:]]
        kind, rest = parts[0], parts[1:]
        try:
            self.answer(kind, rest, query)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_POST = do_HEAD = do_GET

    def answer(self, kind, rest, query):
        if kind == "git":
            return self.git(rest, query)
        if kind == "nohead" and self.command == "HEAD":
            return self.refuse(405)
        if kind == "silent":
            time.sleep(3600)
        if kind == "loop":
            return self.refuse(302, Location="/loop")
        if kind == "to":
            return self.refuse(int(rest[0]), Location=bytes.fromhex(rest[1]).decode())
        if kind == "bomb":
            return self.bomb()
        if kind == "endless":
            return self.forever(bytes(65536))
        if kind == "error" and self.turn() < int(rest[1]):
            return self.refuse(int(rest[0]), Retry_After="0")
        if kind in TYPES and rest[-1] == "":
            rest = rest[:-1] + ["index." + kind]
        data = self.read(rest[{"error": 2, "break": 1, "cut": 1}.get(kind, 0):])
        if data is None:
            return self.refuse(404)
        if kind == "break":
            return self.send_file(data, cut="end" if self.turn() < int(rest[0]) else None)
        if kind == "cut" and self.turn() == 0:
            return self.send_cut(data, int(rest[0]))
        if kind == "longer":
            self.head(200)
            self.wfile.write(data + b"x")
            self.close_connection = True
            return None
        return self.send_file(data, ranges=kind != "norange", cut="stuck" if kind == "stuck" else None, shift=kind == "otherrange",
                              kind=TYPES.get(kind, "application/octet-stream"))

    def git(self, rest, query):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0) or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        environment = {"PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(self.server.root), "GIT_HTTP_EXPORT_ALL": "1", "GIT_CONFIG_NOSYSTEM": "1",
                       "HOME": str(self.server.root), "REQUEST_METHOD": self.command, "PATH_INFO": "/" + "/".join(rest), "QUERY_STRING": query,
                       "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)), "REMOTE_ADDR": "127.0.0.1",
                       "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "SERVER_PROTOCOL": "HTTP/1.1"}
        done = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, {}
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers[name] = value
        self.head(status, len(content), **headers)
        self.wfile.write(content)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


def main():
    server = Server(("127.0.0.1", 0), Handler)
    server.root, server.log = pathlib.Path(sys.argv[1]), sys.argv[2]
    server.lock, server.turns = threading.Lock(), {}
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
