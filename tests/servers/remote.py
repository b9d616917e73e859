"""A server on 127.0.0.1 over a folder, as a static web server with PUT would be, and, path by path, as a liar: `rules` maps a path (or "*") to a function of (handler, path, data) that
answers in its place, and returns True where it did. Every request is in `seen` as (method, path, Range)."""
import hashlib
import http.server
import os
import pathlib
import socket
import ssl
import threading
import time
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def path_of(self):
        return urllib.parse.unquote(self.path.split("?")[0]).lstrip("/")

    def file_of(self, path):
        return self.server.folder / path

    def answer(self, status, data=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        path, asked = self.path_of(), self.headers.get("Range")
        with self.server.lock:
            self.server.seen.append((self.command, path, asked))
        file = self.file_of(path)
        data = file.read_bytes() if file.is_file() else None
        rule = self.server.rules.get(path) or self.server.rules.get("*")
        if rule and rule(self, path, data):
            return
        if data is None:
            self.answer(404)
            return
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        if asked and asked.startswith("bytes=") and self.server.ranges and self.headers.get("If-Range", tag) == tag:
            first, _, last = asked[6:].partition("-")
            first, last = int(first), min(int(last) if last else len(data) - 1, len(data) - 1)
            if first >= len(data):
                self.answer(416, Content_Range=f"bytes */{len(data)}")
            else:
                self.answer(206, data[first:last + 1], ETag=tag, Content_Range=f"bytes {first}-{last}/{len(data)}")
            return
        self.answer(200, data, ETag=tag, **({"Accept_Ranges": "bytes"} if self.server.ranges else {}))

    do_HEAD = do_GET

    def do_PUT(self):
        path = self.path_of()
        with self.server.lock:
            self.server.seen.append((self.command, path, None))
        data = self.rfile.read(int(self.headers["Content-Length"]))
        rule = self.server.put_rules.get(path) or self.server.put_rules.get("*")
        if rule and rule(self, path, data):
            return
        file = self.file_of(path)
        if not file.parent.is_dir():
            self.answer(409)
            return
        partial = file.with_name(file.name + f".{threading.get_ident()}")
        partial.write_bytes(data)
        partial.rename(file)
        self.answer(201)

    def do_MKCOL(self):
        self.file_of(self.path_of()).mkdir(exist_ok=True)
        self.answer(201)

    def do_COPY(self):
        to = self.server.folder / urllib.parse.urlparse(self.headers["Destination"]).path.lstrip("/")
        to.unlink(missing_ok=True)
        os.link(self.file_of(self.path_of()), to)
        self.answer(201)

    def do_DELETE(self):
        self.file_of(self.path_of()).unlink(missing_ok=True)
        self.answer(204)

    def log_message(self, *_):
        pass


class Remote(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, folder, address="127.0.0.1", certificate=None):
        super().__init__((address, 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.folder, self.lock = pathlib.Path(folder), threading.Lock()
        self.rules, self.put_rules, self.seen, self.ranges = {}, {}, [], True
        self.url = f"http{'s' if certificate else ''}://{address}:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass

    def close(self):
        self.shutdown()
        self.server_close()


# --- rules: each makes one ---

def fixed(data, status=200, **headers):
    def rule(handler, path, _):
        handler.answer(status, data, **headers)
        return True
    return rule


def changed(change):
    """What the file holds, changed: `change` takes and gives bytes."""
    def rule(handler, path, data):
        handler.answer(200, change(data))
        return True
    return rule


def cut(after, times=1):
    """Ends the connection after so many bytes of the answer's body, so many times."""
    left = [times]

    def rule(handler, path, data):
        if left[0] == 0 or handler.command == "HEAD":
            return False
        left[0] -= 1
        start = 0
        asked = handler.headers.get("Range")
        if asked:
            start = int(asked[6:].split("-")[0])
        handler.send_response(206 if start else 200)
        handler.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()[:16]}"')
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        handler.send_header("Content-Length", str(len(data) - start))
        handler.end_headers()
        handler.wfile.write(data[start:start + after])
        handler.wfile.flush()
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True
    return rule


def slow(before, each, pause, give_up=30):
    """Waits, then sends so many bytes at a time."""
    def rule(handler, path, data):
        time.sleep(before)
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data or b"x" * 100)))
        handler.end_headers()
        began = time.monotonic()
        for at in range(0, len(data), each):
            handler.wfile.write(data[at:at + each])
            handler.wfile.flush()
            time.sleep(pause)
            if time.monotonic() - began > give_up:
                break
        return True
    return rule


def slow_headers(handler, path, data):
    """An answer whose headers come one by one, for ever."""
    handler.close_connection = True
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(60):
            handler.wfile.write(b"X-%d: x\r\n" % number)
            handler.wfile.flush()
            time.sleep(0.5)
    except OSError:
        pass
    return True


def endless(handler, path, data):
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass
    return True


def redirect(to, status=302):
    def rule(handler, path, _):
        handler.answer(status, Location=to + path if to.endswith("/") else to)
        return True
    return rule
