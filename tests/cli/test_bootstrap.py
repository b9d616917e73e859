"""bootstrap.sh and what it sources: names of packages per distribution, what is too old, the question for a mirror, pinned sources, a C library that is too old."""
import hashlib
import http.server
import io
import os
import pathlib
import pty
import shutil
import subprocess
import tarfile
import tempfile
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
RELEASES = {
    "debian": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "ubuntu": 'PRETTY_NAME="Ubuntu 24.04 LTS"\nID=ubuntu\nID_LIKE=debian\n',
    "fedora": 'ID=fedora\nPRETTY_NAME="Fedora Linux 43"\n',
    "arch": 'ID=manjaro\nID_LIKE=arch\n',
    "opensuse": 'ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n',
    "": "ID=slackware\n",
}


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="iw-bootstrap-")
        self.tree = pathlib.Path(self.folder.name, "tree")
        self.tree.mkdir()
        shutil.copy(ROOT / "bootstrap.sh", self.tree)
        shutil.copytree(ROOT / "hosts", self.tree / "hosts")
        self.file("recipes/stacks/base.yaml", "name: base\n")
        self.file("release", RELEASES["debian"])
        self.bin = pathlib.Path(self.folder.name, "bin")
        self.bin.mkdir()

    def tearDown(self):
        self.folder.cleanup()

    def file(self, name, text, mode=0o644):
        path = self.tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path

    def tool(self, name, text):
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)

    def without(self, *names):
        """A PATH with this host's programs but these."""
        for folder in ("/usr/bin", "/bin", "/usr/sbin"):
            for path in pathlib.Path(folder).iterdir():
                if path.name not in names and not (self.bin / path.name).is_symlink() and not (self.bin / path.name).exists():
                    (self.bin / path.name).symlink_to(path)
        return {"PATH": str(self.bin)}

    def sh(self, script, **environment):
        return subprocess.run(["sh", "-c", script], cwd=self.tree, capture_output=True, text=True,
                              env={**os.environ, "IW_OS_RELEASE": str(self.tree / "release"), **environment})

    def bootstrap(self, *arguments, **environment):
        return self.sh('exec ./bootstrap.sh "$@"', **environment) if not arguments else subprocess.run(
            ["./bootstrap.sh", *arguments], cwd=self.tree, capture_output=True, text=True, stdin=subprocess.DEVNULL,
            env={**os.environ, "IW_OS_RELEASE": str(self.tree / "release"), **environment})

    def built(self):
        """The tree as if it had been compiled: `make` has nothing to do, and the program says how it was called."""
        pin = next(line.split()[5] for line in (ROOT / "hosts/sources.txt").read_text().splitlines() if line.startswith("zstd"))
        for name in ("zstd", "zydis", "zycore"):
            pin = next(line.split()[5] for line in (ROOT / "hosts/sources.txt").read_text().splitlines() if line.startswith(name))
            self.file(f"out/vendor/{name}/.sha256", pin + "\n")
        self.tool("make", "exit 0\n")
        self.file("out/release/ironwheel", '#!/bin/sh\necho "mirror=$(cat out/debian-mirror 2>/dev/null)" "$@"\n', 0o755)

    # --- names ---

    def test_each_family_has_its_own_names(self):
        wanted = {"debian": ("libgit2-dev", "python3-pip", "libc6-dev"), "ubuntu": ("libgit2-dev", "libzydis-dev"), "fedora": ("libgit2-devel", "glibc-static", "sqlite-devel"),
                  "arch": ("libgit2", "python-pip", "zydis"), "opensuse": ("libgit2-devel", "sqlite3-devel", "libopenssl-devel"), "": ("libgit2", "libyaml", "bubblewrap")}
        for family, names in wanted.items():
            with self.subTest(family=family):
                self.file("release", RELEASES[family])
                self.assertEqual(self.sh(". hosts/needs.sh; host_family").stdout.strip(), family)
                printed = self.bootstrap("--needs").stdout.split()
                for name in names:
                    self.assertIn(name, printed)
                self.assertFalse([word for word in printed if word in ("-", "=") or "+" in word])

    def test_every_row_has_every_column(self):
        for line in (ROOT / "hosts/needs.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertEqual(len(line.split()), 9, line)
                self.assertIn(line.split()[1], ("compile", "run", "wish"))
        for line in (ROOT / "hosts/sources.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                self.assertEqual(len(line.split()), 6, line)

    def test_what_is_missing_is_named_with_the_distributions_command(self):
        self.file("release", RELEASES["fedora"])
        done = self.bootstrap("--deps", **self.without("bwrap", "zstd", "dnf"))
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr, "bootstrap: Fedora Linux 43 lacks packages. As root:\n    dnf install bubblewrap zstd\nand then ./bootstrap.sh again.\n")
        self.file("release", RELEASES[""])
        done = self.bootstrap("--deps", PATH=str(self.bin))
        self.assertEqual(done.stderr, "bootstrap: this system lacks these libraries and programs: bubblewrap zstd\n"
                                      "Install them, with what compiling against them needs, and then run ./bootstrap.sh again.\n")

    def test_nothing_is_asked_for_where_all_is_there(self):
        self.assertEqual((self.bootstrap("--deps").returncode, self.bootstrap("--deps").stderr), (0, ""))

    # --- too old ---

    def test_one_sentence_for_what_is_too_old(self):
        real = shutil.which("pkg-config")
        self.tool("pkg-config", f'case "$*" in "--modversion libgit2") echo 0.28.4 ;; *) exec {real} "$@" ;; esac\n')
        done = self.bootstrap("--deps", PATH=f"{self.bin}:{os.environ['PATH']}")
        self.assertEqual(done.returncode, 2)
        self.assertEqual(done.stderr, "bootstrap: libgit2 is 0.28.4 on this host, and Ironwheel needs 1.1 or newer: take a newer release of "
                                      "Debian GNU/Linux 12 (bookworm), or put one of your own where it is found first.\n")

    def test_versions_compare_by_numbers(self):
        for a, b, older in (("2.9", "2.31", True), ("2.31", "2.9", False), ("1.1", "1.1.0", False), ("7.74.0", "7.85", True), ("1.1.1w", "1.1.1", False)):
            self.assertEqual(self.sh(f". hosts/needs.sh; older {a} {b}").returncode == 0, older, (a, b))

    # --- the mirror ---

    def test_a_host_without_apt_is_asked_for_a_mirror_first(self):
        self.built()
        self.tool("make", "echo compiled >&2; exit 1\n")
        done = self.bootstrap("base", **self.without("apt-get"))
        self.assertEqual(done.returncode, 2)
        self.assertIn("which mirror (an address that ends in /debian)? Give --debian-mirror URL, or --import DIR.", done.stderr)
        self.assertNotIn("compiled", done.stderr)

    def test_ubuntus_archives_are_no_mirror_of_debian(self):
        self.built()
        self.tool("apt-get", "echo Ubuntu http://u.invalid/ubuntu\n")
        done = self.bootstrap("base", IRONWHEEL_DEBIAN_MIRROR="", PATH=f"{self.bin}:{os.environ['PATH']}")
        self.assertIn("no apt that names one of Debian's: which mirror", done.stderr)
        self.tool("apt-get", "echo Debian http://d.invalid/debian\n")
        done = self.bootstrap("base", IRONWHEEL_DEBIAN_MIRROR="", PATH=f"{self.bin}:{os.environ['PATH']}")
        self.assertEqual(done.stdout, "mirror= build base\n")

    def test_the_answer_is_remembered(self):
        self.built()
        path = self.without("apt-get")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(["./bootstrap.sh", "base"], cwd=self.tree, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, "IW_OS_RELEASE": str(self.tree / "release"), "IRONWHEEL_DEBIAN_MIRROR": "", **path})
        os.write(ours, b"http://127.0.0.1:1/debian\n")
        said, _ = process.communicate(timeout=60)
        os.close(ours), os.close(theirs)
        self.assertEqual(said, "mirror=http://127.0.0.1:1/debian build base\n")
        again = self.bootstrap("base", "-j", "1", IRONWHEEL_DEBIAN_MIRROR="", **path)
        self.assertEqual(again.stdout, "mirror=http://127.0.0.1:1/debian build base -j 1\n")

    def test_a_mirror_folder_is_no_reason_to_ask(self):
        self.built()
        done = self.bootstrap("base", "--import", "/nowhere", IRONWHEEL_DEBIAN_MIRROR="", **self.without("apt-get"))
        self.assertEqual(done.stdout, "mirror= build base --import /nowhere\n")

    # --- the C library ---

    def test_a_stack_for_other_rigs_wants_anyway(self):
        self.built()
        self.file("recipes/stacks/base.yaml", "name: base\nglibc: 2.35\n")
        self.tool("getconf", "echo glibc 2.31\n")
        path = f"{self.bin}:{os.environ['PATH']}"
        done = self.bootstrap("base", PATH=path)
        self.assertEqual(done.returncode, 2)
        self.assertIn("base will need glibc 2.35; this host has 2.31: it is for other rigs.", done.stderr)
        self.assertIn("build base --anyway\n", self.bootstrap("base", "--anyway", PATH=path).stdout)

    # --- pinned sources ---

    def pinned(self, good=True):
        """A source of our own, pinned as a Debian file, and its bytes."""
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w:gz") as archive:
            member = tarfile.TarInfo("thing-1/thing.h")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"one"))
        data = raw.getvalue()
        pin = hashlib.sha256(data if good else b"other").hexdigest()
        self.file("hosts/sources.txt", f"thing 1 debian libthing thing_1.orig.tar.gz {pin}\nthing 1 pypi thing thing-1.tar.gz {pin}\n")
        return data, pin

    def bring(self, **settings):
        given = {"import": "", "offline": "", "mirrors": "", "store": "cache", **settings}
        text = "; ".join(f"{name}='{value}'" for name, value in given.items())
        return self.sh("set -eu; say() { echo \"$*\" >&2; }; die() { say \"$*\"; exit 2; }; . hosts/needs.sh; . hosts/sources.sh; " + text + "; bring_source thing",
                       PIP_INDEX_URL=settings.get("index", "http://127.0.0.1:1/simple"))

    def serve(self, files):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                data = files.get(self.path)
                self.send_response(200 if data else 404)
                self.send_header("Content-Length", str(len(data or b"")))
                self.end_headers()
                self.wfile.write(data or b"")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        return f"http://127.0.0.1:{server.server_address[1]}"

    def brought(self):
        return (self.tree / "out/vendor/thing/thing.h").read_text() == "one"

    def test_a_source_comes_from_a_mirror_folder_without_a_network(self):
        data, pin = self.pinned()
        self.file("mirror/by-sha256/x", "")
        (self.tree / "mirror/by-sha256" / pin).write_bytes(data)
        self.assertEqual(self.bring(**{"import": "mirror", "offline": "yes"}).returncode, 0)
        self.assertTrue(self.brought())
        self.assertEqual((self.tree / "cache/sources" / pin).read_bytes(), data)  # for `fetch --export`
        shutil.rmtree(self.tree / "mirror"), shutil.rmtree(self.tree / "out")
        self.assertEqual(self.bring(offline="yes").returncode, 0)  # from the store now
        self.assertTrue(self.brought())

    def test_a_source_comes_from_a_debian_mirror(self):
        data, _ = self.pinned()
        url = self.serve({"/debian/pool/main/libt/libthing/thing_1.orig.tar.gz": data})
        self.assertEqual(self.bring(mirrors=f"http://127.0.0.1:1/debian {url}/debian").returncode, 0)
        self.assertTrue(self.brought())

    def test_a_source_comes_from_the_python_index(self):
        data, pin = self.pinned()
        page = f'<html><a href="../../files/thing-0.tar.gz#sha256=0">0</a><a href="../../files/thing-1.tar.gz#sha256={pin}">1</a></html>'
        url = self.serve({"/simple/thing/": page.encode(), "/files/thing-1.tar.gz": data})
        done = self.bring(index=f"{url}/simple")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(self.brought())

    def test_other_bytes_are_never_used(self):
        data, _ = self.pinned(good=False)
        url = self.serve({"/debian/pool/main/libt/libthing/thing_1.orig.tar.gz": data})
        done = self.bring(mirrors=f"{url}/debian")
        self.assertEqual(done.returncode, 2)
        self.assertIn("thing_1.orig.tar.gz came with another SHA-256 than hosts/sources.txt pins", done.stderr)
        self.assertIn("could not be had. Looked for: thing_1.orig.tar.gz (debian: libthing); thing-1.tar.gz (pypi: thing), and in cache/sources", done.stderr)
        self.assertFalse((self.tree / "out/vendor/thing").exists())


if __name__ == "__main__":
    unittest.main()
