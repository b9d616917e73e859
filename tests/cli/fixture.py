"""A small world for command line tests: a tree of recipes, a server on 127.0.0.1 that holds their sources and a toolchain made of this host's compiler, and a store."""
import contextlib
import gzip
import hashlib
import http.server
import io
import json
import os
import pathlib
import pty
import shutil
import subprocess
import tarfile
import tempfile
import textwrap
import threading

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
DEB = ROOT / "out/cli-toolchain.deb"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def tarball(files):
    """A .tar.gz of {path: text}, always the same bytes for the same files."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755 if data.startswith(b"#!") else 0o644
            archive.addfile(member, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)


def toolchain_deb():
    """This host's gcc, binutils, make, shell and emulator as one Debian package; made once."""
    if not DEB.exists():
        DEB.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, "root")
            subprocess.run(["sh", str(ROOT / "tests/cases/build/host-root.sh"), str(root)], check=True, cwd=ROOT)
            for link in ("bin", "sbin", "lib", "lib64"):
                (root / link).unlink()
            data, control = pathlib.Path(folder, "data.tar"), pathlib.Path(folder, "control.tar")
            subprocess.run(["tar", "-C", str(root), "--owner=0", "--group=0", "--sort=name", "-cf", str(data), "."], check=True)
            with tarfile.open(control, "w"):
                pass
            parts = [("debian-binary", b"2.0\n"), ("control.tar", control.read_bytes()), ("data.tar", data.read_bytes())]
            partial = DEB.with_suffix(f".{os.getpid()}")
            with partial.open("wb") as out:
                out.write(b"!<arch>\n")
                for name, content in parts:
                    out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2))
            partial.rename(DEB)
    return DEB.read_bytes()


class Server:
    """Serves `files` ({"/path": bytes}) with ranges; `broken` paths end early once; every request is in `seen`, with its method in `asked`."""

    def __init__(self):
        self.files, self.seen, self.asked, self.broken, self.lies, self.types = {}, [], [], set(), {}, {}
        world = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path = self.path.split("#")[0].split("?")[0]
                world.seen.append((path, self.headers.get("Range")))
                world.asked.append((self.command, path))
                data = world.lies.get(path, world.files.get(path, world.files.get(path.rstrip("/") + "/")))
                if data is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                start = 0
                asked = self.headers.get("Range")
                if asked and asked.startswith("bytes=") and asked.endswith("-"):
                    start = int(asked[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("ETag", f'"{sha256(data)[:16]}"')
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Type", world.types.get(path, "text/html" if path.endswith("/") else "application/octet-stream"))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if path in world.broken:
                    world.broken.discard(path)
                    self.wfile.write(data[start:start + (len(data) - start) // 2])
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.close()
                    return
                self.wfile.write(data[start:])

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


LIBWORD = {
    "libword-1.0/word.h": "const char *word(void);\n" + "".join(f"int part{i}(void);\n" for i in range(8)),
    "libword-1.0/word.c": '#include "word.h"\nconst char *word(void) { return WORD; }\n',
    **{f"libword-1.0/part{i}.c": f'#include "word.h"\n#include <stdio.h>\nint part{i}(void) {{ return printf("%d", {i}) - 1 + {i}; }}\n' for i in range(8)},
    "libword-1.0/Makefile": textwrap.dedent("""\
        OBJECTS := word.o $(foreach i,0 1 2 3 4 5 6 7,part$i.o)
        WORD ?= "wheel"
        CFLAGS += -fPIC -mavx2 -march=native -DWORD='$(WORD)'
        libword.so: $(OBJECTS)
        \t$(CC) -shared -Wl,-soname,libword.so -o $@ $^
        install: libword.so
        \tinstall -D -m 644 libword.so $(DESTDIR)$(PREFIX)/lib/libword.so
        \tinstall -D -m 644 word.h $(DESTDIR)$(PREFIX)/include/word.h
        """),
}
SHOUT = {
    "shout-2.0/shout.c": textwrap.dedent("""\
        #include <stdio.h>
        #include <word.h>
        float data[256];
        float sum(void) { float s = 0; for (int i = 0; i < 256; i++) s += data[i] * data[i]; return s; }
        int main(void) {
        #ifdef __AVX__
            puts("compiled for AVX");
        #endif
            printf("%s! %g\\n", word(), sum());
            return 0;
        }
        """),
    "shout-2.0/Makefile": textwrap.dedent("""\
        shout: shout.c
        \t/usr/bin/gcc -O3 -mavx2 -mfma @flags $(CPPFLAGS) -o $@ $< $(LDFLAGS) -lword
        install: shout
        \tinstall -D -m 755 shout $(DESTDIR)$(PREFIX)/bin/shout
        """),
    "shout-2.0/flags": "-march=haswell\n-mavx512f\n",
}


class World:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="ironwheel-cli-"))
        self.tree, self.cache, self.home = self.folder / "tree", self.folder / "cache", self.folder / "home"
        self.server = Server()
        self.home.mkdir()
        self.lay_tree()

    def close(self):
        self.server.close()
        subprocess.run(["chmod", "-R", "u+w", str(self.folder)], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, path, text):
        where = self.tree / path
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(textwrap.dedent(text))

    def serve(self, path, data):
        self.server.files[path] = data
        return sha256(data)

    def lay_tree(self):
        url, deb = self.server.url, toolchain_deb()
        (self.tree / "recipes/profiles").mkdir(parents=True)
        (self.tree / "patches").mkdir()
        shutil.copy(ROOT / "recipes/profiles/k10.yaml", self.tree / "recipes/profiles")
        self.serve("/debian/pool/main/t/tools/tools_1_amd64.deb", deb)
        self.write("recipes/toolchains/test.yaml", f"""\
            name: test
            summary: This host's compiler
            suite: bookworm
            roots: [tools]
            packages:
              - name: tools
                version: 1
                file: pool/main/t/tools/tools_1_amd64.deb
                sha256: {sha256(deb)}
                size: {len(deb)}
            """)
        digest = self.serve("/files/libword-1.0.tar.gz", tarball(LIBWORD))
        self.write("recipes/libword/1.0.yaml", f"""\
            name: libword
            version: 1.0
            summary: A library with a word
            licence: MIT
            sources:
              - url: {url}/gone/libword-1.0.tar.gz
                mirrors: ["{url}/files/libword-1.0.tar.gz"]
                sha256: {digest}
            build:
              system: make
              development: [include]
            """)
        digest = self.serve("/packages/shout-2.0.tar.gz", tarball(SHOUT))
        self.serve("/simple/shout/", f'<!DOCTYPE html><html><body><a href="../../packages/shout-2.0.tar.gz#sha256={digest}">shout-2.0.tar.gz</a></body></html>'.encode())
        self.write("recipes/shout/2.0.yaml", f"""\
            name: shout
            version: 2.0
            summary: A program that shouts it
            licence: MIT
            sources:
              - pypi: shout
                file: shout-2.0.tar.gz
                sha256: {digest}
            needs:
              run: [libword]
            build:
              system: make
            checks:
              - name: shouts
                shell: test "$("$IRONWHEEL_ENVIRONMENT/bin/shout")" = 'wheel! 0'
            """)
        self.stack("words", {"shout": "2.0"}, pins={"libword": "1.0"})

    def stack(self, name, packages, pins=None, extra=""):
        lines = [f"name: {name}", "version: 1", "summary: For tests", "toolchain: test", "profiles: [k10]", "packages:"]
        lines += [f"  {key}: {value}" for key, value in packages.items()]
        if pins:
            lines += ["pins:"] + [f"  {key}: {value}" for key, value in pins.items()]
        where = self.tree / f"recipes/stacks/{name}.yaml"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text("\n".join(lines) + "\n" + textwrap.dedent(extra))

    def script(self, name, version="1", sources="", needs="", more="", **steps):
        """A recipe of shell text."""
        lines = [f"name: {name}", f"version: {version}", "summary: For tests", "licence: MIT"]
        text = "\n".join(lines) + "\n" + textwrap.dedent(sources) + textwrap.dedent(needs) + "build:\n  system: script\n"
        for step, code in steps.items():
            text += f"  {step.replace('_', '-')}: |\n" + textwrap.indent(textwrap.dedent(code).strip() + "\n", "    ")
        where = self.tree / f"recipes/{name}/{version}.yaml"
        where.parent.mkdir(parents=True, exist_ok=True)
        where.write_text(text + textwrap.dedent(more))

    def environment(self, **more):
        found = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C.UTF-8", "IRONWHEEL_CACHE": str(self.cache), "PIP_INDEX_URL": f"{self.server.url}/simple",
                 "IRONWHEEL_DEBIAN_MIRROR": f"{self.server.url}/debian", "PIP_CONFIG_FILE": "/dev/null"}
        if "IRONWHEEL_LIBEXEC" in os.environ:
            found["IRONWHEEL_LIBEXEC"] = os.environ["IRONWHEEL_LIBEXEC"]
        return found | {key: str(value) for key, value in more.items()}

    def run(self, *arguments, status=0, cwd=None, env=None, timeout=300):
        done = subprocess.run([PROGRAM, *map(str, arguments)], cwd=cwd or self.tree, env=self.environment(**(env or {})), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
        if status is not None and done.returncode != status:
            raise AssertionError(f"ironwheel {' '.join(map(str, arguments))}: exit status {done.returncode}, not {status}\n{done.stdout}\n{done.stderr}")
        return done

    def on_terminal(self, *arguments, status=0):
        """What it writes where all its streams are a terminal, as bytes."""
        ours, theirs = pty.openpty()
        ended = subprocess.Popen([PROGRAM, *map(str, arguments)], cwd=self.tree, env=self.environment(), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # EIO: the last writer is gone
            while piece := os.read(ours, 65536):
                seen += piece
        os.close(ours)
        if ended.wait() != status:
            raise AssertionError(f"ironwheel {' '.join(map(str, arguments))}: exit status {ended.returncode}, not {status}\n{seen!r}")
        return seen

    def build(self, stack="words", *options, **more):
        """Builds; gives the events and the result."""
        done = self.run("build", stack, "--json", *options, **more)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return events, events[-1] if events else None

    def plan(self, stack="words", *options, **more):
        return {row["package"]: row for row in map(json.loads, self.run("plan", stack, "--json", *options, **more).stdout.splitlines())}

    def built(self, events):
        return [event["subject"].split("/")[0] for event in events if event["type"] == "finished" and event.get("detail") == "built"]
