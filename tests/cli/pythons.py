"""A Python for the small world of the tests: recipes of python and pip from this host's Debian packages, and sdists and wheels made here."""
import base64
import hashlib
import io
import os
import pathlib
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile

import fixture
from fixture import ROOT, sha256

CHECKS = ROOT / "out/cli-checks.deb"
PYTHON = ROOT / "out/cli-python.tar"
PIP = ROOT / "out/cli-pip.tar"


def pack(tree, partial):
    """A tar of a folder, always the same bytes for the same files."""
    with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(tree.rglob("*")):
            member = archive.gettarinfo(str(path), str(path.relative_to(tree.parent)))
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = ""
            if member.isfile():
                with path.open("rb") as file:
                    archive.addfile(member, file)
            else:
                archive.addfile(member)


def once(where, make):
    if not where.exists():
        with tempfile.TemporaryDirectory() as folder:
            make(pathlib.Path(folder, "x"))
            partial = where.with_suffix(f".{os.getpid()}")
            where.parent.mkdir(parents=True, exist_ok=True)
            pack(pathlib.Path(folder, "x"), partial)
            partial.rename(where)
    return where.read_bytes()


def lay_python(root):
    """bin/python3.11 with what it loads, and the standard library, installing where everyone's Python does and not where Debian's does."""
    ignore = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "config-3.11-*", "ensurepip", "tkinter", "turtle*", "lib-dynload")
    shutil.copytree("/usr/lib/python3.11", root / "lib/python3.11", ignore=ignore, symlinks=False)
    config = root / "lib/python3.11/sysconfig.py"
    config.write_text(config.read_text().replace("LAYOUT', 'posix_local'", "LAYOUT', 'posix_prefix'").replace("prefix_scheme = 'posix_local'", "prefix_scheme = 'posix_prefix'"))
    (root / "lib/python3.11/sitecustomize.py").unlink(missing_ok=True)
    (root / "lib/python3.11/sitecustomize.py").write_text("import site, sys\nsite.addsitedir(sys.prefix + '/lib/python3.11/site-packages')\n")  # site itself is frozen
    (root / "lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    shutil.copytree("/usr/lib/python3.11/lib-dynload", root / "lib/python3.11/lib-dynload",
                    ignore=shutil.ignore_patterns("_ssl*", "_hashlib*", "_sqlite3*", "_tkinter*", "_dbm*", "_gdbm*", "*curses*", "readline*", "nis*", "_crypt*", "_lzma*", "_test*", "_ct*", "xx*"))
    (root / "bin").mkdir()
    shutil.copy("/usr/bin/python3.11", root / "bin/python3.11")
    (root / "bin/python3").symlink_to("python3.11")
    libraries = {"libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "linux-vdso.so.1"}
    programs = [root / "bin/python3.11", *sorted((root / "lib/python3.11/lib-dynload").glob("*.so"))]
    for name, path in re.findall(r"(\S+) => (\S+)", subprocess.run(["ldd", *programs], capture_output=True, text=True).stdout):
        if name not in libraries:
            shutil.copy(os.path.realpath(path), root / "lib" / name)


def lay_pip(root):
    shutil.copytree("/usr/lib/python3/dist-packages/pip", root / "pip", ignore=shutil.ignore_patterns("__pycache__", "*.exe"), symlinks=False)


BACKEND = '''
import os, zipfile

def build_wheel(folder, settings=None, metadata=None):
    {before}
    name = "{stem}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for file in {files!r}:
            wheel.write(file)
        wheel.writestr("{stem}-{version}.dist-info/METADATA", "Metadata-Version: 2.1\\\\nName: {project}\\\\nVersion: {version}\\\\n{requires}")
        wheel.writestr("{stem}-{version}.dist-info/WHEEL", "Wheel-Version: 1.0\\\\nRoot-Is-Purelib: true\\\\nTag: py3-none-any\\\\n")
        wheel.writestr("{stem}-{version}.dist-info/RECORD", "{stem}-{version}.dist-info/RECORD,,\\\\n")
    return name
'''.replace("\\\\n", "\\n")


def sdist(project, version, files, needs=(), run=(), before="pass", licence="MIT License"):
    """A .tar.gz with a build backend of its own."""
    stem, top = project.replace("-", "_"), f"{project.replace('-', '_')}-{version}"
    requires = "".join(f"Requires-Dist: {line}\n" for line in run)
    backend = BACKEND.format(before=before, stem=stem, version=version, files=sorted(files), project=project, requires=requires.replace("\n", "\\n"))
    return fixture.tarball({
        **{f"{top}/{name}": text for name, text in files.items()},
        f"{top}/backend.py": backend,
        f"{top}/pyproject.toml": f"[build-system]\nrequires = {list(needs)!r}\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n",
        f"{top}/PKG-INFO": f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\nSummary: It's for tests\nClassifier: License :: OSI Approved :: {licence}\n{requires}\n",
    })


def wheel(project, version, files, run=(), tag="py3-none-any"):
    stem = project.replace("-", "_")
    info = f"{stem}-{version}.dist-info"
    files = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    files[f"{info}/METADATA"] = ("Metadata-Version: 2.1\nName: %s\nVersion: %s\nSummary: For tests\nLicense: MIT\n" % (project, version) + "".join(f"Requires-Dist: {line}\n" for line in run)).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: {'true' if tag.endswith('-any') else 'false'}\nTag: {tag}\n".encode()
    record = "".join(f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)
    return f"{stem}-{version}-{tag}.whl", raw.getvalue()


def checks_deb():
    """Debian's Python with pip, a shell and the emulator, from this host, as one package; made once."""
    if not CHECKS.exists():
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder, "root")
            take = [shutil.which(name) or name for name in ("/usr/bin/python3.11", "/usr/bin/qemu-x86_64-static", "dash", "env", "dirname", "cat")]
            take += [str(path) for path in pathlib.Path("/usr/lib/python3.11/lib-dynload").glob("*.so")]
            found = set()
            for path in map(os.path.realpath, take):
                needed = re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", path], capture_output=True, text=True).stdout)
                found |= {path, *needed}
            for path in sorted(found | {"/lib64/ld-linux-x86-64.so.2", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6", "/usr/lib/x86_64-linux-gnu/libgcc_s.so.1"}):
                to = root / ("usr" + path if path.startswith("/lib") else path.lstrip("/"))
                if path.startswith("/lib64"):
                    to = root / "usr/lib64" / os.path.basename(path)
                    again = root / "usr/lib/x86_64-linux-gnu" / os.path.basename(path)
                    again.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, again)
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, to)
            ignore = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "config-3.11-*")
            shutil.copytree("/usr/lib/python3.11", root / "usr/lib/python3.11", ignore=ignore, dirs_exist_ok=True)
            for part in pathlib.Path("/usr/lib/python3/dist-packages").glob("pip*"):
                shutil.copytree(part, root / "usr/lib/python3/dist-packages" / part.name, ignore=shutil.ignore_patterns("__pycache__"), symlinks=False)
            data = pathlib.Path(folder, "data.tar")
            subprocess.run(["tar", "-C", str(root), "--owner=0", "--group=0", "--sort=name", "-cf", str(data), "."], check=True)
            control = io.BytesIO()
            tarfile.open(fileobj=control, mode="w").close()
            partial = CHECKS.with_suffix(f".{os.getpid()}")
            CHECKS.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as out:
                out.write(b"!<arch>\n")
                for name, content in (("debian-binary", b"2.0\n"), ("control.tar", control.getvalue()), ("data.tar", data.read_bytes())):
                    out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content + b"\n" * (len(content) % 2))
            partial.rename(CHECKS)
    return CHECKS.read_bytes()


class Index(fixture.World):
    """A small world with the toolchain `checks`, and an index that has no project yet."""

    def lay_checks(self):
        self.projects = {}
        deb = checks_deb()
        self.serve("/debian/pool/main/q/checks/checks_1_amd64.deb", deb)
        self.write("recipes/toolchains/checks.yaml", f"""\
            name: checks
            summary: This host's Python and emulator
            suite: bookworm
            roots: [checks]
            packages:
              - name: checks
                version: 1
                file: pool/main/q/checks/checks_1_amd64.deb
                sha256: {sha256(deb)}
                size: {len(deb)}
            """)

    def publish(self, project, file, data):
        files = self.projects.setdefault(project, {})
        files[file] = self.serve(f"/files/{file}", data)
        links = "".join(f'<a href="../../files/{name}#sha256={digest}">{name}</a>' for name, digest in files.items())
        self.serve(f"/simple/{project}/", f"<!DOCTYPE html><html><body>{links}</body></html>".encode())


class World(Index):
    """The small world with Python, pip, the toolchain `checks`, and an index of sdists and wheels."""

    def lay_tree(self):
        super().lay_tree()
        self.lay_checks()
        self.source("python", "3.11.2", once(PYTHON, lay_python), "cp -a . $DESTDIR$PREFIX")
        self.source("pip", "23.0.1", once(PIP, lay_pip), "cp -a pip $DESTDIR$PREFIX/lib/python3.11/site-packages", run="python")

    def source(self, name, version, data, install, run=""):
        digest = self.serve(f"/files/{name}-{version}.tar", data)
        folder = "" if name == "python" else "/lib/python3.11/site-packages"
        self.script(name, version, sources=f"sources:\n  - url: {self.server.url}/files/{name}-{version}.tar\n    sha256: {digest}\n", needs=f"needs:\n  run: [{run}]\n",
                    install_script=f"mkdir -p $DESTDIR$PREFIX{folder}\n{install}")

    def publish_sdist(self, project, version, files, **more):
        self.publish(project, f"{project.replace('-', '_')}-{version}.tar.gz", sdist(project, version, files, **more))

    def publish_wheel(self, project, version, files, **more):
        file, data = wheel(project, version, files, **more)
        self.publish(project, file, data)
