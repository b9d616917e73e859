"""What `triage` says of small wheels, compiled here, behind an index on 127.0.0.1: each kind of death, and each kind of false alarm."""
import base64
import hashlib
import io
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import zipfile

import fixture
import pythons
from fixture import ROOT

PLATFORM = "cp311-cp311-linux_x86_64"
PINSRQ = '__asm__ volatile("pinsrq $1, %%rax, %%xmm0" ::: "xmm0");'
SUFFIX = ".cpython-311-x86_64-linux-gnu.so"
RUNS = "needs:\n  run: [python]\n"

# CPython's C interface, as far as it goes here: its headers needn't be installed.
PYTHON_H = """
typedef struct object PyObject;
typedef struct { const char *name; PyObject *(*call)(PyObject *, PyObject *); int flags; const char *doc; } Method;
typedef struct { long count; void *type; void *init; long index; void *copy; const char *name, *doc; long size; Method *methods; void *rest[4]; } Module;
PyObject *PyModule_Create2(Module *, int); PyObject *PyLong_FromLong(long); long PyLong_AsLong(PyObject *); PyObject *PyErr_Occurred(void);
int PyArg_ParseTuple(PyObject *, const char *, ...); long PyList_Size(PyObject *); PyObject *PyBytes_FromString(const char *);
typedef struct { void *buf; void *obj; long len, itemsize; int readonly, ndim; char *format; void *more[4]; } Buffer;
int PyObject_GetBuffer(PyObject *, Buffer *, int); void PyBuffer_Release(Buffer *);
"""
CPUID = "static int has(int bit) { unsigned a = 1, b, c = 0, d; __asm__ volatile(\"cpuid\" : \"+a\"(a), \"=b\"(b), \"+c\"(c), \"=d\"(d)); return c >> bit & 1; }\n"


class World(pythons.Index):
    """A tree with the toolchain `checks`, and an index of wheels and sdists."""

    def lay_tree(self):
        for name in ("profiles", "stacks"):
            (self.tree / "recipes" / name).mkdir(parents=True)
        (self.tree / "patches").mkdir()
        for profile in (ROOT / "recipes/profiles").glob("*.yaml"):
            shutil.copy(profile, self.tree / "recipes/profiles")
        self.lay_checks()

    def compile(self, source, more=()):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "source.c")
            path.write_text(source)
            subprocess.run(["gcc", "-O1", "-march=x86-64", "-shared", "-fPIC", "-w", "-o", f"{folder}/out.so", str(path), *more], check=True)
            return pathlib.Path(folder, "out.so").read_bytes()

    def module(self, name, functions="", methods="", on_import="", more=()):
        """An extension module. `methods`: rows of its table."""
        return self.compile(PYTHON_H + CPUID + functions + f"""
            static Method methods[] = {{ {methods} {{0}} }};
            static Module module = {{1, 0, 0, 0, 0, "{name}", 0, -1, methods}};
            PyObject *PyInit_{name}(void) {{ {on_import} return PyModule_Create2(&module, 1013); }}""", more)

    def wheel(self, project, files, version="1.0", requires=()):
        info = f"{project}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n" + "".join(f"Requires-Dist: {one}\n" for one in requires)
        every = {**files, f"{info}/METADATA": metadata, f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {PLATFORM}\n"}
        record, out = "", io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in every.items():
                data = data.encode() if isinstance(data, str) else data
                record += f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}\n"
                archive.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), data)
            archive.writestr(zipfile.ZipInfo(f"{info}/RECORD", (2020, 1, 1, 0, 0, 0)), record + f"{info}/RECORD,,\n")
        self.publish(project, f"{project}-{version}-{PLATFORM}.whl", out.getvalue())

    def sdist(self, project, files, version="1.0"):
        self.publish(project, f"{project}-{version}.tar.gz", fixture.tarball({f"{project}-{version}/{name}": text for name, text in files.items()}))

    def one(self, project, code="", call="PyObject *", **more):
        """A wheel of one module with one export, `f`, that runs `code` on its argument as a number."""
        text = f"static PyObject *f(PyObject *self, PyObject *given) {{ long x = PyLong_AsLong(given); if (PyErr_Occurred()) return 0; {code} return PyLong_FromLong(x); }}\n"
        self.wheel(project, {f"{project}{SUFFIX}": self.module(project, text, '{"f", f, 8, 0},', **more)})

    def triage(self, *arguments, status=1, env=None):
        done = self.run("triage", "--json", "--seconds", "4", *arguments, status=status, env=env, timeout=1500)
        return {row["package"]: row for row in map(json.loads, done.stdout.splitlines()) if "verdict" in row}


class Kinds(unittest.TestCase):
    """All of them in one run."""

    @classmethod
    def setUpClass(cls):
        cls.world = world = World()
        cls.addClassCleanup(world.close)
        world.wheel("early", {f"early{SUFFIX}": world.module("early", f"__attribute__((constructor)) static void begin(void) {{ {PINSRQ} }}\n", more=["-s"])})
        world.one("asks", f"if (has(19)) {{ {PINSRQ} }}")
        world.wheel("refuses", {"refuses/__init__.py": "if ' sse4_1' not in open('/proc/cpuinfo').read():\n    raise RuntimeError('this CPU has no SSE4.1')\n"})
        world.one("divides", "return PyLong_FromLong(5 / x);")
        world.one("traps", "__builtin_trap();")
        world.wheel("falls", {"falls.py": "import ctypes\nctypes.string_at(0)\n"})
        world.one("uses", PINSRQ)
        world.wheel("deep", {"deep/__init__.py": "", "deep/inner/__init__.py": "", f"deep/inner/hard{SUFFIX}": world.module("hard", on_import=PINSRQ)})
        world.wheel("holds", {"holds/__init__.py": "", "holds/libheld.so.3": world.compile(f"__attribute__((constructor)) static void begin(void) {{ {PINSRQ} }}\n")})
        # A module that the package itself would load on another CPU only.
        world.wheel("chooses", {"chooses/__init__.py": "", f"chooses/core_avx2{SUFFIX}": world.module("core_avx2", on_import='__asm__ volatile("vpaddd %ymm0, %ymm1, %ymm2");')})
        # The same by names that don't tell, chosen by what /proc/cpuinfo says; and that die in use alone.
        picks = "if ' sse4_1' in open('/proc/cpuinfo').read():\n    from picks import _early, _quick\nelse:\n    from picks import _plain\n"
        world.wheel("picks", {"picks/__init__.py": picks, f"picks/_early{SUFFIX}": world.module("_early", on_import=PINSRQ), f"picks/_plain{SUFFIX}": world.module("_plain"),
                              f"picks/_quick{SUFFIX}": world.module("_quick", f"static PyObject *f(PyObject *self, PyObject *given) {{ {PINSRQ} return PyLong_FromLong(1); }}\n", '{"f", f, 8, 0},')})
        tested = {f"_tested{SUFFIX}": world.module("_tested", f"static PyObject *f(PyObject *self, PyObject *given) {{ long x = PyLong_AsLong(given); if (x == 4711) {{ {PINSRQ} }} return PyLong_FromLong(x); }}\n",
                                                   '{"f", f, 8, 0},'), "tested.py": "from _tested import f\n"}
        world.wheel("tested", tested)
        world.sdist("tested", {"setup.py": "raise SystemExit('natively')\n", "tests/test_it.py": "import unittest, tested\nclass T(unittest.TestCase):\n    def test_small(self): tested.f(1)\n"
                                                                                             "    def test_large(self): tested.f(4711)\n    def test_wrong(self): self.fail('on every CPU')\n"})
        world.one("proven")
        world.sdist("proven", {"tests/test_it.py": "import unittest, proven\nclass T(unittest.TestCase):\n    def test_it(self): self.assertEqual(proven.f(3), 3)\n"})
        # What holds such an instruction has its turn before the time is over.
        world.wheel("crowd", {"crowd/__init__.py": "", f"crowd/_rare{SUFFIX}": world.module("_rare", f"static PyObject *f(PyObject *self, PyObject *given) {{ long x = PyLong_AsLong(given); if (x == 4711) {{ {PINSRQ} }} return PyLong_FromLong(x); }}\n", '{"f", f, 8, 0},')})
        slow = "import time, unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        until = time.process_time() + 2\n        while time.process_time() < until: pass\n"
        world.sdist("crowd", {**{f"tests/test_{letter}.py": slow for letter in "abcdefgh"},
                              "tests/test_large.py": "# It is the largest of them.\n" * 50 + "import unittest\nfrom crowd import _rare\nclass T(unittest.TestCase):\n    def test_it(self): _rare.f(4711)\n"})
        # Beside its own top, used by a module that isn't compiled and that nothing imports.
        world.wheel("apart", {"apart/__init__.py": "", "apart/inner.py": "import _apart\nclass Check:\n    def __init__(self):\n        _apart.f(4711)\n",
                              f"_apart{SUFFIX}": world.module("_apart", f"static PyObject *f(PyObject *self, PyObject *given) {{ long x = PyLong_AsLong(given); if (x == 4711) {{ {PINSRQ} }} return PyLong_FromLong(x); }}\n", '{"f", f, 8, 0},')})
        world.wheel("alone", {"alone.py": "x = 1\n"})
        case = "import unittest\n%sclass T(unittest.TestCase):\n    def test_it(self):\n        %s\n"
        world.sdist("alone", {"tests/test_a.py": case % ("import nobody_has_it\n", "pass"), "tests/test_b.py": case % ("from nobody_has_it.part import f\n", "pass"),
                              "tests/test_c.py": case % ("", "import another_one") + "    def test_own(self):\n        import alone.nothing\n"})
        world.wheel("spins", {"spins.py": "x = 1\n"})
        world.sdist("spins", {"tests/test_it.py": "import time, unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        while time.process_time() < 60: pass\n"})
        unmade = "".join(f"class {name}:\n    def __init__(self, *given): raise TypeError\n    def method(self): pass\n" for name in "ABCD")
        world.wheel("classes", {"classes.py": unmade + "class Z:\n    def method(self): pass\ndef run():\n    import subprocess\n    subprocess.run(['/bin/sh', '-c', 'sleep 200'])\n"})
        world.wheel("lacks", {"lacks/__init__.py": "", "lacks/other.py": "import nobody_has_it\n", "lacks/wrong.py": "import lacks.nothing\n"})
        world.wheel("wants", {"wants.py": "import nobody_has_it\n"})
        world.wheel("further", {"further/__init__.py": "from further import core\nraise ValueError('on every CPU')\n", f"further/core{SUFFIX}": world.module("core", on_import=PINSRQ)})
        world.one("judged")
        for version, check in ("1.9", "raise SystemExit('an old one')"), ("1.10", "import judged"):
            world.script("judged", version, needs=RUNS, install_script="true", more=f"checks:\n  - name: works\n    python: {check}\n")
            world.script("early", version, needs=RUNS, install_script="true")
        world.script("deep", "1.0", install_script="true")  # a library of that name
        cls.rows = world.triage("judged", "classes", "lacks", "further", "early", "asks", "refuses", "divides", "traps", "falls", "uses", "deep", "holds", "chooses", "picks", "tested", "proven", "alone", "crowd", "apart", "spins", "wants", "nonesuch==1.0")

    def verdict(self, name):
        return self.rows[name]["verdict"]

    def test_a_constructor(self):
        row = self.rows["early"]
        self.assertEqual((row["verdict"], row["signal"], row["feature"], row["constructor"], row["version"]), ("dies-at-import", "ILL", "sse4.1", True, "1.0"), row)
        self.assertRegex(row["function"], "^sub_")
        self.assertRegex(row["file"], r"^early.*\.so$")

    def test_what_asks_the_cpu_first(self):
        row = self.rows["asks"]
        self.assertEqual((row["verdict"], row["unguarded"], row["forbidden_instructions"]), ("imports", 0, 1), row)
        self.assertGreater(row["reached"]["called"], 0)

    def test_an_exception_that_refuses_the_cpu(self):
        row = self.rows["refuses"]
        self.assertEqual((row["verdict"], row["signal"], row["detail"]), ("dies-at-import", None, "RuntimeError: this CPU has no SSE4.1"), row)

    def test_what_dies_on_any_cpu_counts_for_nothing(self):
        for name, signal in (("divides", "SIGFPE"), ("traps", "SIGILL")):
            row = self.rows[name]
            self.assertEqual((row["verdict"], row["signal"]), ("imports", None), row)
            self.assertTrue(any(f"call of {name}.f: {signal}, on any CPU" in note for note in row["notes"]), row)
        self.assertEqual((self.verdict("falls"), self.rows["falls"]["signal"]), ("unknown", None))
        self.assertEqual(self.rows["falls"]["detail"], "SIGSEGV while it is imported, on any CPU")

    def test_dying_in_use(self):
        row = self.rows["uses"]
        self.assertEqual((row["verdict"], row["what"], row["feature"], row["function"], row["unguarded"]), ("dies-in-use", "call of uses.f", "sse4.1", "f", 1), row)
        self.assertEqual((self.verdict("deep"), self.rows["deep"]["what"]), ("dies-in-use", "import of deep.inner.hard"))
        self.assertEqual((self.verdict("holds"), self.rows["holds"]["what"], self.rows["holds"]["constructor"]), ("dies-in-use", "loading holds/libheld.so.3", True))

    def test_what_the_largest_cpu_fails_at_later(self):
        row = self.rows["further"]
        self.assertEqual((row["verdict"], row["feature"]), ("dies-at-import", "sse4.1"), row)

    def test_each_is_called_once(self):
        """An instance that can't be made ends there, and no other program is run."""
        self.assertEqual((self.verdict("classes"), self.rows["classes"]["reached"]["called"]), ("imports", 8), self.rows["classes"])

    def test_what_it_imports_and_nobody_brought(self):
        notes = self.rows["lacks"]["notes"]
        self.assertIn("import of lacks.other: ModuleNotFoundError: No module named 'nobody_has_it'", notes)
        self.assertIn("import of lacks.wrong: ModuleNotFoundError: No module named 'lacks.nothing', on any CPU", notes)

        row = self.rows["wants"]
        self.assertEqual((row["verdict"], row["detail"], row["advice"]), ("unknown", "ModuleNotFoundError: No module named 'nobody_has_it'", "look at the reason: no CPU is at fault"))

    def test_a_module_for_another_cpu(self):
        self.assertEqual(self.verdict("chooses"), "imports", self.rows["chooses"])
        row = self.rows["picks"]
        self.assertEqual((row["verdict"], row["signal"]), ("imports", None), row)
        self.assertIn("import of picks._early: SIGILL, in what it loads itself on another CPU only", row["notes"])
        self.assertIn("call of picks._quick.f: SIGILL, in what it loads itself on another CPU only", row["notes"])

    def test_its_own_tests(self):
        row = self.rows["tested"]
        self.assertEqual((row["verdict"], row["feature"]), ("dies-in-use", "sse4.1"), row)
        self.assertRegex(row["what"], "^test test_it.py::.*test_large")
        self.assertTrue(any(re.search("test_wrong.*on any CPU", note) for note in row["notes"]), row)
        self.assertEqual((self.verdict("proven"), self.rows["proven"]["reached"]["tests"]), ("runs", 1), self.rows["proven"])

    def test_what_holds_the_instruction_comes_first(self):
        row = self.rows["crowd"]
        self.assertEqual((row["verdict"], row["what"], row["unguarded"]), ("dies-in-use", "test test_large.py::test_large.T.test_it", 1), row)
        self.assertTrue(any(re.search("files of tests: . weren't reached", note) for note in row["notes"]), row)
        row = self.rows["apart"]
        self.assertEqual((row["verdict"], row["what"], row["feature"]), ("dies-in-use", "call of apart.inner.Check", "sse4.1"), row)

    def test_tests_that_nobody_can_run(self):
        row = self.rows["alone"]
        self.assertEqual((row["verdict"], row["reached"]["tests"]), ("imports", 0), row)
        told = [note for note in row["notes"] if note.startswith("tests not run")]
        self.assertEqual(told, ["tests not run, because nobody brings nobody_has_it: test_a.py and 1 more", "tests not run, because nobody brings another_one: test_c.py::test_c.T.test_it"])
        self.assertTrue(any(re.search("test_own: .*No module named 'alone.nothing'.*, on any CPU", note) for note in row["notes"]), row)
        plain = self.world.run("triage", "-v", "alone", status=None, timeout=1500).stdout
        self.assertIn(f"    {told[0]}\n", plain)

    def test_a_long_test_ends_with_the_time(self):
        row = self.rows["spins"]
        self.assertEqual((row["verdict"], row["reached"]["tests"]), ("imports", 0), row)
        self.assertTrue(any(re.search("test_a: took too long", note) for note in row["notes"]), row)

    def test_the_newest_recipe_is_no_matter_of_bytes(self):
        self.assertEqual(self.rows["early"]["advice"], "build recipe early/1.10")
        self.assertEqual((self.verdict("judged"), self.rows["judged"]["reached"]["checks"]), ("runs", 1), self.rows["judged"])

    def test_a_library_of_that_name_is_no_recipe_of_it(self):
        self.assertEqual(self.rows["deep"]["advice"], "needs a recipe, or another version (--newest looks for one)")

    def test_what_no_index_has(self):
        self.assertEqual((self.verdict("nonesuch"), self.rows["nonesuch"]["version"]), ("unknown", None))
        self.assertIn("the package index has no project nonesuch", self.rows["nonesuch"]["detail"])
        self.assertEqual(self.rows["nonesuch"]["advice"], "look how the name is written: no index has it")
        self.world.sdist("unbuilt", {"setup.py": "raise SystemExit('natively')\n"}, "1.5")
        self.world.script("early", "7", needs=RUNS, install_script="true")
        for asked, detail, advice in (("early==9", "the package index has no early==9: the newest is 1.0", "take another version: the newest is 1.0"),
                                      ("unbuilt>=1", "no wheel of unbuilt>=1 is published for this Python: pip would build it from source, for this host", "needs a recipe, or another version")):
            row, = self.world.triage(asked).values()
            self.assertEqual((row["verdict"], row["version"], row["detail"], row["advice"]), ("unknown", None, detail, advice))

    def test_nobody_is_asked_offline(self):
        before = len(self.world.server.seen)
        row = self.world.triage("early==1.0", "--offline")["early"]
        self.assertEqual((row["verdict"], row["advice"]), ("unknown", "ask without --offline"))
        self.assertIn("nothing is known of early==1.0: a package index has to be asked, and --offline forbids it", row["detail"])
        self.assertEqual(self.world.server.seen[before:], [])

    def test_results_are_kept(self):
        kept = self.world.triage("early", "proven")
        self.assertEqual({name: row.pop("kept") for name, row in kept.items()}, {"early": True, "proven": True})
        for name, row in kept.items():
            self.assertEqual(row, {key: value for key, value in self.rows[name].items() if key != "kept"})

    def test_every_profile(self):
        for profile in sorted(path.stem for path in (ROOT / "recipes/profiles").glob("*.yaml")):
            row = self.world.triage("early", "-p", profile, status=None)["early"]
            self.assertEqual(row["verdict"], "imports" if profile in ("penryn", "nehalem", "sandybridge", "bulldozer", "x86-64-v3") else "dies-at-import", profile)


SIGNED = {"annotated": """
def align(reference: bytes, pattern: str, most: int, scale: float = 1.0):
    if (type(reference), type(pattern), type(most)) != (bytes, str, int):
        raise TypeError
    return DIE
""", "stepwise": """
class Index:
    def __init__(self, space: str, dim: int):
        self.data = None
        if (type(space), type(dim)) != (str, int):
            raise TypeError
    def begin(self, most: int):
        self.data = []
    def add(self, data: bytes):
        self.data.append(bytes(data))
    def ask(self):
        return DIE if self.data else None
""", "written": '''
class Kind:
    __members__ = {"L2": 7}
def score(*given):
    """score(kind: written.Kind, left: List[float], width: int, name: str = 'x') -> int"""
    kind, left, width = given
    if (kind, type(left), type(width)) != (7, list, int):
        raise TypeError
    return DIE
score.__signature__ = "nothing to be had"
'''}


class Small(unittest.TestCase):
    """Ten that import, and die in their first real use, without a recipe or a test of their own: how many are found."""

    def test_two_in_three_are_found(self):
        world = World()
        self.addCleanup(world.close)
        take = 'static PyObject *f(PyObject *self, PyObject *given) { %s }\n'
        row, args = '{"f", f, 8, 0},', '{"f", f, 1, 0},'
        bytes_in = "char *text; long length; if (!PyArg_ParseTuple(given, \"y#\", &text, &length)) return 0;"
        kinds = {
            "number": (take % f"if (PyLong_AsLong(given) < 1) return 0; {PINSRQ} return PyLong_FromLong(1);", row),
            "nothing": (take % f"{PINSRQ} return PyLong_FromLong(1);", '{"f", f, 4, 0},'),
            "octets": (take % f"{bytes_in} if (length >= 16) {{ {PINSRQ} }} return PyLong_FromLong(length);", args),
            "letters": (take % f'char *text; if (!PyArg_ParseTuple(given, "s", &text)) return 0; {PINSRQ} return PyBytes_FromString(text);', args),
            "pair": (take % f'long a, b; if (!PyArg_ParseTuple(given, "ll", &a, &b)) return 0; {PINSRQ} return PyLong_FromLong(a + b);', args),
            "buffer": (take % f"Buffer b; if (PyObject_GetBuffer(given, &b, 4) != 0) return 0; if (b.itemsize == 8) {{ {PINSRQ} }} PyBuffer_Release(&b); return PyLong_FromLong(1);", row),
            "listed": (take % f"if (PyList_Size(given) < 2) return 0; {PINSRQ} return PyLong_FromLong(1);", row),
            "sized": (take % f'char *text; long n; if (!PyArg_ParseTuple(given, "yl", &text, &n)) return 0; {PINSRQ} return PyLong_FromLong(n);', args),
        }
        for name, (functions, methods) in kinds.items():
            world.wheel(name, {f"{name}{SUFFIX}": world.module(name, functions, methods)})
        module = world.module("_inner", kinds["octets"][0], args)
        world.wheel("wrapped", {"wrapped/__init__.py": "from ._inner import f as _f\nclass Hash:\n    def __init__(self, data=b''):\n        self.data = data\n    def digest(self):\n        return _f(self.data * 2)\n",
                                f"wrapped/_inner{SUFFIX}": module})
        # Nobody guesses that.
        world.wheel("magic", {f"magic{SUFFIX}": world.module("magic", take % f"if (PyLong_AsLong(given) != 4711) return PyLong_FromLong(0); {PINSRQ} return 0;", row)})
        rows = world.triage(*kinds, "wrapped", "magic")
        found = sorted(name for name, row in rows.items() if row["verdict"] == "dies-in-use")
        self.assertEqual({row["verdict"] for row in rows.values()} - {"dies-in-use"}, {"imports"}, rows)
        self.assertGreaterEqual(len(found), 7, f"of ten: {found}")


    def test_what_signatures_ask_for(self):
        """Arguments of several types at once, and an object that is used in steps."""
        world = World()
        self.addCleanup(world.close)
        for name, text in SIGNED.items():
            inner = world.module(f"_{name}", f"static PyObject *f(PyObject *self, PyObject *given) {{ if (PyLong_AsLong(given) == 4711) {{ {PINSRQ} }} return PyLong_FromLong(1); }}\n", '{"f", f, 8, 0},')
            world.wheel(name, {f"{name}.py": f"import _{name}\n" + text.replace("DIE", f"_{name}.f(4711)"), f"_{name}{SUFFIX}": inner})
        rows = world.triage(*SIGNED)
        for name, row in rows.items():
            self.assertEqual((row["verdict"], row["feature"]), ("dies-in-use", "sse4.1"), row)


class Versions(unittest.TestCase):
    """Who is to blame, the newest that works, requirements files: one world."""

    @classmethod
    def setUpClass(cls):
        cls.world = world = World()
        cls.addClassCleanup(world.close)
        ctor = f"__attribute__((constructor)) static void begin(void) {{ {PINSRQ} }}\n"
        for version, bad in (("1.0", False), ("1.1", True), ("1.2", False), ("1.3", False), ("2.0", True), ("2.1", True)):
            world.wheel("base", {f"base{SUFFIX}": world.module("base", ctor if bad else "")}, version)
        world.wheel("base", {f"base{SUFFIX}": world.module("base", f"static PyObject *f(PyObject *self, PyObject *given) {{ {PINSRQ} return PyLong_FromLong(1); }}\n", '{"f", f, 8, 0},')}, "1.4")
        world.wheel("base", {f"base{SUFFIX}": world.module("base")}, "3.0rc1")
        world.sdist("base", {"setup.py": "raise SystemExit('natively')\n"}, "2.5")  # no version with a wheel
        world.wheel("above", {"above.py": "import base\n"}, requires=["base>=1"])
        world.wheel("clash", {"clash.py": ""}, requires=["base>=2", "above"])

    def test_who_is_to_blame(self):
        # A pin of the culprit, as a lock file has it, doesn't hinder the search for another.
        (self.world.folder / "locked.txt").write_text("base==2.1\n")
        (self.world.folder / "asked.txt").write_text("-c locked.txt\nabove==1.0\n")
        row = self.world.triage("-r", self.world.folder / "asked.txt")["above"]
        self.assertEqual((row["verdict"], row["because"]), ("dies-at-import", {"package": "base", "version": "2.1", "runs_beside": "1.3", "verdict_beside": "imports", "constraint": "base==1.3"}), row)
        self.assertEqual(row["advice"], "constrain base==1.3")
        # The line that is told cures it.
        (self.world.folder / "limits.txt").write_text(row["because"]["constraint"] + "\n")
        (self.world.folder / "requirements.txt").write_bytes("-c limits.txt\nabove (==1.0)\n".encode("utf-16"))
        cured = self.world.triage("-r", self.world.folder / "requirements.txt", status=0)["above"]
        self.assertEqual((cured["verdict"], cured["because"]), ("imports", None))

    def test_the_newest_that_works(self):
        row = self.world.triage("--newest", "base")["base"]
        self.assertEqual((row["version"], row["verdict"], row["newest_working"], row["newest_verdict"], row["oldest_failing"]), ("2.1", "dies-at-import", "1.3", "imports", "1.4"), row)

    def test_many_versions_that_die_in_use(self):
        for i in range(12):
            dying = f"static PyObject *f(PyObject *self, PyObject *given) {{ {PINSRQ} return PyLong_FromLong({i}); }}\n"
            self.world.wheel("useless", {f"useless{SUFFIX}": self.world.module("useless", dying, '{"f", f, 8, 0},')}, f"1.{i}")
        row = self.world.triage("--newest", "--seconds", "1", "useless")["useless"]
        self.assertEqual((row["verdict"], row["newest_working"], row["versions_tried"]), ("dies-in-use", None, 6), row)

    def test_the_checks_of_that_version(self):
        self.world.wheel("told", {f"told{SUFFIX}": self.world.module("told")})
        for version, code in (("1.0", "import told"), ("2.0", "raise SystemExit('of another release')")):
            self.world.script("told", version, needs=RUNS, more=f"checks:\n  - name: it\n    python: |\n      {code}\n", install_script="true")
        row = self.world.triage("told", status=0)["told"]
        self.assertEqual((row["verdict"], row["reached"]["checks"]), ("runs", 1), row)

    def test_requirements_as_people_write_them(self):
        path = self.world.folder / "mixed.txt"
        path.write_text(f"--index-url http://user:secret@127.0.0.1:{self.world.server.server.server_address[1]}/simple\n--only-binary :all:\nabove @ https://user:secret@example.org/above.whl\n"
                        "-e .\npywin32; sys_platform == 'win32'\nbase == 1.3; python_version >= '3'\nbase==2.0; python_version < '3'\nclash\n")
        done = self.world.run("triage", "--json", "-r", path, status=1, timeout=1500)
        rows = {row["package"]: row for row in map(json.loads, done.stdout.splitlines()) if "verdict" in row}
        self.assertEqual({name: row["verdict"] for name, row in rows.items()}, {"base": "imports", "clash": "unknown"}, rows)
        self.assertEqual(rows["base"]["version"], "1.3")
        self.assertRegex(rows["clash"]["detail"], r"they clash: clash 1.0 depends on base>=2, but base==1.3 is asked for|they clash: base==1.3 is asked for, but clash 1.0 depends on base>=2")
        self.assertNotIn("secret", done.stdout + done.stderr)
        left = [event["subject"] + " " + event["detail"] for event in map(json.loads, done.stdout.splitlines()) if event.get("type") == "note"]
        self.assertEqual([text[text.index("mixed.txt"):][:27] for text in left if "left out" in text],
                         [f"mixed.txt:{line} left out: {what}" for line, what in ((3, "above"), (4, "-e . "), (5, "pywin"), (7, "base="))], left)

    def test_a_digest_that_isn_t_the_wheels(self):
        path = self.world.folder / "hashed.txt"
        path.write_text("base==1.3 --hash=sha256:" + "0" * 64 + "\n")
        row = self.world.triage("-r", path)["base"]
        self.assertEqual((row["verdict"], row["detail"]), ("unknown", "the wheel's digest is none of those that are asked for"))


if __name__ == "__main__":
    unittest.main()
