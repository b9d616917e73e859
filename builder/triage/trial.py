# What is done with a package on the emulated CPU, in a sandbox: imports, loads, calls, its tests.
# Runs behind a line `PLAN = ...`; says what came of each thing in one line of JSON behind "\x1e".
# Every process that may die is a child of one that goes on with the rest.
import importlib, json, os, re, resource, select, signal, sys

SITE = os.path.join(os.environ["IRONWHEEL_ENVIRONMENT"], "triage")
sys.path[:] = [SITE] + [path for path in sys.path if path and "dist-packages" not in path]
sys.argv = ["python3"]
OUT = os.dup(1)
NOTHING = os.open("/dev/null", os.O_RDWR)
SAID = os.open(os.path.join(os.environ["TMPDIR"], f"said-{os.getpid()}"), os.O_RDWR | os.O_CREAT)
os.dup2(NOTHING, 0)
os.dup2(SAID, 1)
os.dup2(SAID, 2)


def tell(**what):
    os.write(OUT, b"\x1e" + json.dumps(what).encode() + b"\n")


# Time is this process's and its children's on the processor: a busy machine reaches as much.
def spent():
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


TICKS = os.sysconf("SC_CLK_TCK")


# A process and all below it, and what they have taken, which nobody has waited for yet.
def family(top):
    parents, times = {}, {}
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as file:
                words = file.read().rpartition(")")[2].split()
            parents[int(name)], times[int(name)] = int(words[1]), sum(map(int, words[11:15])) / TICKS
        except (OSError, ValueError, IndexError):
            pass
    found = [top]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found, sum(times.get(pid, 0) for pid in found)


class Budget:
    until = 0.0


def left():
    return Budget.until - spent()


def allow(seconds):
    Budget.until = spent() + seconds


# In a child, whose own time begins at nothing.
def fork():
    rest = left()
    pid = os.fork()
    if pid == 0:
        allow(rest)
    return pid


def why(error):
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# The innermost file of the site that raised: whose fault it is.
def place(error):
    found, trace = None, error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(SITE + "/"):
            found = name[len(SITE) + 1:]
        trace = trace.tb_next
    return found


# Does `things` one after the other in a child, and in another one what is left when that dies or is
# stuck. `do` gives the rest of what is told of a thing, or raises. Stops when the time is over; a
# thing that has begun may take `longer` than that. Returns those that came out well, with `key`
# those whose answer has it.
def each(kind, things, do, longer, key=None):
    things, at, fine = list(things), 0, []
    while at < len(things) and left() > 0:
        read, write = os.pipe()
        pid = fork()
        if pid == 0:
            os.close(read)
            child(kind, things[at:], do, write, key)
        os.close(write)
        done, well = follow(kind, things[at:], pid, read, max(left(), 0) + longer)
        fine += [things[at + number] for number in well]
        at += done
    if at < len(things):
        tell(kind=kind, what="", end="over", left=len(things) - at)
    return fine


def child(kind, things, do, write, key):
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 28, 1 << 28))
    for number, thing in enumerate(things):
        os.write(write, b"%d\n" % number)
        answer = {}
        try:
            answer = do(thing) or {}
            answer.setdefault("end", "ok")
        except SystemExit as error:
            answer = {"end": "raise", "why": why(error), "type": "SystemExit", "file": place(error)}
        except BaseException as error:
            answer = {"end": "raise", "why": why(error), "type": type(error).__name__, "file": place(error)}
        tell(kind=kind, what=thing, pid=os.getpid(), **answer)
        if answer["end"] == "ok" and answer.get(key, key is None):
            os.write(write, b"+%d\n" % number)
        if left() <= 0 and number + 1 < len(things):
            os.write(write, b"%d\nover\n" % (number + 1))
            os._exit(0)
    os.write(write, b"done\n")
    os._exit(0)


IDLE = 30  # seconds by the clock in which what is waited for doesn't run at all


# How many of the things need no more doing, and the numbers of those that came out well. The child
# may take `most` seconds of the processor.
def follow(kind, things, pid, read, most):
    number, text, late, finished, over, fine, idle, before = 0, b"", False, False, False, [], 0, 0.0
    while True:
        ready, _, _ = select.select([read], [], [], 1)
        if not ready:
            every, used = family(pid)
            idle, before = 0 if used > before else idle + 1, used
            if used < most and idle < IDLE:
                continue
            late = True
            for one in every:
                try:
                    os.kill(one, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        part = os.read(read, 4096) if ready else b""
        text += part
        for line in text.split(b"\n")[:-1]:
            if line == b"done":
                finished = True
            elif line == b"over":
                over = True
            elif line.startswith(b"+"):
                fine.append(int(line[1:]))
            elif line.isdigit():
                number = int(line)
        text = text.split(b"\n")[-1]
        if late or not part:
            break
    os.close(read)
    _, status = os.waitpid(pid, 0)
    if finished:
        return len(things), fine
    if over:
        return number, fine
    if late:
        tell(kind=kind, what=things[number], pid=pid, end="slow")
    elif os.WIFSIGNALED(status):
        tell(kind=kind, what=things[number], pid=pid, end="signal", signal=os.WTERMSIG(status))
    else:
        tell(kind=kind, what=things[number], pid=pid, end="exit", status=os.WEXITSTATUS(status))
    if kind == "test" and begun_since(things[number]):
        return number, fine  # the tests behind the one that died have their turn
    return number + 1, fine


# --- what there is ----------------------------------------------------------

FEATURES = re.compile("|".join(PLAN["lacks"]), re.I) if PLAN["lacks"] else None


# Made for another CPU, by its name: the package itself would ask the CPU first.
def is_elsewhere(name):
    return bool(FEATURES and FEATURES.search(name))


# By its RECORD.
def files_of(name):
    import csv
    plain = re.sub("[-_.]+", "-", name).lower()
    for folder in sorted(os.listdir(SITE)):
        if folder.endswith(".dist-info") and re.sub("[-_.]+", "-", folder[:-10].rsplit("-", 1)[0]).lower() == plain:
            with open(os.path.join(SITE, folder, "RECORD"), newline="", encoding="utf-8") as record:
                return [row[0] for row in csv.reader(record) if row]
    return []


SKIPPED_TOPS = ("tests", "test", "docs", "examples", "benchmarks")
SUFFIX = re.compile(r"\.(cpython-3\d+[a-z]*-x86_64-linux-gnu|abi3)\.so$")


# "pkg/core.cpython-311-x86_64-linux-gnu.so" to "pkg.core"; None where it can't be a module.
def module_of(file):
    if file.endswith("/__init__.py"):
        file = file[:-len("/__init__.py")]
    elif file.endswith(".py"):
        file = file[:-3]
    elif SUFFIX.search(file):
        file = SUFFIX.sub("", file)
    elif file.endswith(".so"):
        file = file[:-3]
    else:
        return None
    parts = file.split("/")
    if not all(part.isidentifier() for part in parts) or parts[-1] in ("__main__", "setup", "conftest"):
        return None
    return ".".join(parts)


# The distribution's own name where it has such a module, else all that stand at the top.
def tops_of(name, modules):
    tops = sorted({module.split(".")[0] for module in modules} - set(SKIPPED_TOPS))
    own = re.sub("[-_.]+", "_", name).lower()
    named = [top for top in tops if top.lower() == own]
    return named or [top for top in tops if not top.startswith("_")] or tops


# Its own modules that hold what this CPU lacks and don't ask which one they run on: first of all,
# since time is short. And what a test that is about one of them will say.
SUSPECTS = {module_of(file) for file in PLAN["suspects"]} - {None}
WORDS = {re.sub("^lib", "", os.path.basename(file).split(".")[0]).strip("_").lower() for file in PLAN["suspects"]}


def is_module_file(path):
    with open(path, "rb") as file:
        return b"PyInit_" in file.read()


# --- calls ------------------------------------------------------------------

QUIET = re.compile(r"exit|abort|kill|raise_signal|fork|daemon|sleep|forever|serve|listen|interact|prompt|input|download|spawn|_wait|breakpoint|set_trace", re.I)
DULL = (TypeError, ValueError, LookupError, AttributeError, FileNotFoundError, AssertionError, ArithmeticError, StopIteration, NameError, EOFError, PermissionError, IsADirectoryError,
        NotADirectoryError, UnicodeError, BufferError, MemoryError, RecursionError)


def values():
    import array
    some = [0, 3, 1.5, b"abcdefgh01234567", "AAC", array.array("d", [1, 2, 3, 4]), [1, 2, 3], ["AACDE", "AAC"], {"a": 1}]
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "arange"):
        some += [numpy.arange(12.0).reshape(3, 4) + 1, numpy.arange(8, dtype="int32")]
    return some


def combinations():
    some = values()
    yield ()
    for value in some:
        yield (value,)
    for value in some:
        yield (value, value)
    small = [3, b"abcdefgh01234567", "AAC", some[-1]]
    for one in small:
        for other in small:
            if one is not other:
                yield (one, other)
    yield ("AAC", ["AACDE", "AAC"])
    for value in some:
        yield (value, value, value)


# Small arrays of each type that code for vectors is made for; without numpy those of the standard library.
def arrays(*types):
    import array
    numpy = sys.modules.get("numpy")
    if numpy is None or not hasattr(numpy, "arange"):
        return [array.array({"float32": "f", "int16": "h", "uint8": "B"}.get(one, "d"), range(64)) for one in types]
    return [numpy.arange(64).astype(one) for one in types] + [numpy.arange(256).astype(one).reshape(16, 16) for one in types]


NUMBERS, TEXTS, OCTETS = (3, 16, 0), ("AAC", '{"a": [1, 2.5, "b"]}', "a b"), (b"abcdefgh01234567" * 8, b'{"a": [1, 2.5, "b"]}')


def lists():
    return ([1, 2, 3], [1.0, 2.0, 3.0], ["AACDE", "AAC"], [[0, 1], [1, 2]])


# What is asked for, by its type, as annotations and docstrings have it.
TYPES = [(re.compile(pattern, re.I), make) for pattern, make in (
    (r"float32|\bf32", lambda: arrays("float32")),
    (r"int16", lambda: arrays("int16")),
    (r"uint8", lambda: arrays("uint8")),
    (r"array|tensor|matrix|eigen", lambda: arrays("float64", "float32", "uint8")),
    (r"bytes|bytearray|buffer|memoryview", lambda: OCTETS),
    (r"(list|sequence|iterable)\[str", lambda: lists()[2:3]),
    (r"list|sequence|iterable|tuple|vector", lists),
    (r"dict|mapping", lambda: ({"a": 1}, {})),
    (r"\bbool", lambda: (True, False)),
    (r"\bu?int|\busize|\b[ui]\d+\b", lambda: NUMBERS),
    (r"\bfloat|double", lambda: (1.5, 0.5)),
    (r"\bstr|path", lambda: TEXTS))]
# The same by its name, where no type is told.
NAMES = [(re.compile(pattern, re.I), make) for pattern, make in (
    (r"^[kmnij]$|num|size|count|len|dim|width|height|index|offset|max|min|seed|start|stop|end$|step|level", lambda: NUMBERS),
    (r"text|str|seq|query|pattern|key|word|name|mode|lang|path|file", lambda: TEXTS),
    (r"data|buf|bytes|blob|payload|raw|content|message", lambda: (*OCTETS, *arrays("float32"), *TEXTS)),
    (r"", lambda: (*arrays("float32"), *arrays("float64"), *NUMBERS, *TEXTS, *lists())))]


# "name: type = value" of each argument, as pybind11, nanobind and Cython write them in docstrings.
def written(function):
    text = str(getattr(function.__init__ if isinstance(function, type) else function, "__doc__", None) or "")
    for line in text.splitlines()[:20]:
        found = re.match(r"\s*(?:\d+\. )?[\w.]+\((.*)\)(?:\s*->.*)?$", line)
        if not found or "*args" in line:
            continue
        parts, depth = [""], 0
        for letter in found.group(1):
            depth += (letter in "[(<{") - (letter in "])>}")
            if letter == "," and not depth:
                parts.append("")
            elif letter != "=" or not depth:
                parts[-1] += letter
        asked = []
        for part in map(str.strip, parts):
            name, _, kind = map(str.strip, part.partition(":"))
            if " " in name:  # "double x"
                kind, _, name = name.rpartition(" ")
            if name not in ("self", "", "*", "/") and "=" not in part:
                asked.append((name, kind))
        yield asked


# Lists of (name, type) of the arguments that a function can't do without.
def asked_of(function):
    import inspect
    try:
        signature = inspect.signature(function)
    except Exception:
        return list(written(function))[:4]
    asked = []
    for one in signature.parameters.values():
        if one.default is not one.empty or one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            continue
        if one.kind == one.KEYWORD_ONLY:
            return []
        kind = "" if one.annotation is one.empty else one.annotation
        asked.append((one.name, f"{kind.__module__}.{kind.__qualname__}" if isinstance(kind, type) else str(kind)))
    return [asked]


# Something of a type of the package's own: a member of an enumeration, or what can be made of it.
def own_of(kind, function, depth):
    module = sys.modules.get(str(getattr(function, "__module__", None)))
    thing = getattr(module, kind.strip("'\"").rpartition(".")[2], None)
    if not isinstance(thing, type) or thing.__module__ in ("builtins", "typing"):
        return ()
    members = getattr(thing, "__members__", None)
    if members:
        return tuple(members.values())[:2]
    made = []
    if depth < 1 and not issubclass(thing, BaseException):
        quietly(thing, made, depth + 1)
    return made


def values_for(name, kind, function, depth):
    own = own_of(kind, function, depth)
    if own:
        return own
    for pattern, make in TYPES:
        if pattern.search(kind):
            return make()
    return next(make for pattern, make in NAMES if pattern.search(name))()


# What its signature or docstring asks for, in a few ways.
def fitting(function, depth=0):
    for asked in asked_of(function):
        if not 0 < len(asked) <= 8:
            continue
        choices = [list(values_for(name, kind, function, depth)) for name, kind in asked]
        for way in range(min(6, max(map(len, choices)))):
            yield tuple(some[min(way, len(some) - 1)] for some in choices)


# How many arguments it takes, as far as it says: its signature is worked out once.
def accepts(function):
    import inspect
    try:
        signature = inspect.signature(function)
    except Exception:
        return range(4)
    counts = []
    for count in range(4):
        try:
            signature.bind(*range(count))
            counts.append(count)
        except TypeError:
            pass
    return counts


# Whether an object is the package's own, as far as it says.
def is_own(thing, tops):
    module = getattr(thing, "__module__", None)
    return isinstance(module, str) and module.split(".")[0] in tops


def use(result):
    import itertools
    if hasattr(result, "__next__"):
        list(itertools.islice(result, 3))
    elif not isinstance(result, (str, bytes, int, float, type(None))):
        for action in (repr, len):
            try:
                action(result)
            except Exception:
                pass


FITTING = 500  # the number of the first combination that was chosen by what is asked for


# Every number of a combination is told before it is tried, so that the one that died is known. With
# `results`, the first that comes is enough.
def call_all(function, wanted, results=None, depth=0):
    raised = []
    passed = []
    counts = accepts(function)
    every = [(FITTING + number, arguments) for number, arguments in enumerate(fitting(function, depth))]
    every += [pair for pair in enumerate(combinations()) if len(pair[1]) in counts]
    for number, arguments in every:
        if wanted is not None and number not in wanted:
            continue
        os.write(MARK, b"%d\n" % number)
        try:
            result = function(*arguments)
            use(result)
            passed.append(number)
            os.write(MARK, b"+%d\n" % number)
            if results is not None and result is not None:
                results.append(result)
                break
        except DULL:
            pass
        except SystemExit:
            pass
        except BaseException as error:
            raised.append([number, why(error), place(error)])
    return raised, passed


# As part of another call, whose numbers are told.
def quietly(function, results=None, depth=0):
    global MARK
    mark, MARK = MARK, NOTHING
    call_all(function, None, results, depth)
    MARK = mark


# What an object can do, one after the other, as its class has it: to begin, to add, to ask.
def in_turn(thing):
    names = [name for name in vars(type(thing)) if not name.startswith("_") and not QUIET.search(name) and not is_elsewhere(name)]

    def all_of_it():
        for name in names:
            method = getattr(thing, name, None)
            if callable(method):
                quietly(method, [])
    return all_of_it


def find(path):
    module, *names = path.split("|")
    thing = sys.modules.get(module) or importlib.import_module(module)
    for name in names:
        if name == "()":
            made = []
            quietly(thing, made)
            if not made:
                raise LookupError("no instance can be made")
            thing = made[0]
        elif name == "*":
            thing = in_turn(thing)
        else:
            thing = getattr(thing, name)
    return thing


def callables_of(module, tops, compiled):
    for name in sorted(vars(module)):
        thing = vars(module)[name]
        if name.startswith("__") or QUIET.search(name) or is_elsewhere(name) or not callable(thing):
            continue
        if not compiled and (name.startswith("_") or not is_own(thing, tops)):
            continue
        if isinstance(thing, type) and (issubclass(thing, BaseException) or not is_own(thing, tops)):
            continue
        yield name, thing


# "module|name", and "module|Class|()|method" for what an instance has; "*": all of it in turn.
def paths(modules, tops):
    seen = set()
    for module, compiled in modules:
        for name, thing in callables_of(module, tops, compiled):
            if id(thing) in seen:
                continue
            seen.add(id(thing))
            yield f"{module.__name__}|{name}"
    for module, compiled in modules:
        for name, thing in callables_of(module, tops, compiled):
            if not isinstance(thing, type) or (thing, 0) in seen:
                continue
            seen.add((thing, 0))
            yield f"{module.__name__}|{name}|()|*"
            for method in sorted(vars(thing)):
                if not method.startswith("_") and callable(getattr(thing, method, None)) and not QUIET.search(method) and not is_elsewhere(method):
                    yield f"{module.__name__}|{name}|()|{method}"


MARK = -1
LATE = (signal.SIGALRM, signal.SIGPROF)


# Another program is no use of the package's own code, and may take minutes (a compiler, pip).
def refuse(event, arguments):
    if event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"):
        raise PermissionError(f"{event} isn't done here")


# One call's child: what the combination was is in a file, which outlives it.
def call(path):
    global MARK
    wanted = PLAN["calls"].get(path) if PLAN["calls"] else None
    name = os.path.join(os.environ["TMPDIR"], f"call-{os.getpid()}")
    raised, passed, skipped, fell = [], [], set(), 0
    while True:
        MARK = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                signal.setitimer(signal.ITIMER_PROF, 5)
                signal.alarm(100)
                sys.addaudithook(refuse)
                chosen = set(wanted) if wanted is not None else set(range(1000))
                more, fine = call_all(find(path), chosen - skipped)
                os.write(write, json.dumps([[[number, text[:300], file] for number, text, file in more[:20]], fine]).encode())
            finally:
                os._exit(0)  # also where nothing can be found: else it would go on as its parent
        os.close(write)
        text = b""
        while part := os.read(read, 65536):
            text += part
        os.close(read)
        _, status = os.waitpid(pid, 0)
        marks = open(name).read().split()
        os.close(MARK)
        if text:
            more, fine = json.loads(text)
            return {"end": "ok", "raised": raised + more, "passed": passed + fine}
        if not marks:
            return {"end": "exit"}
        number = int(marks[-1])
        passed += [int(mark) for mark in marks if mark.startswith("+")]
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) not in LATE:
            tell(kind="call", what=path, number=number, pid=pid, end="signal", signal=os.WTERMSIG(status))
            fell += os.WTERMSIG(status) not in (signal.SIGILL, signal.SIGFPE)
        skipped |= {int(mark) for mark in marks}
        if len(skipped) > 200 or fell > 2 or not os.WIFSIGNALED(status) or os.WTERMSIG(status) in LATE:
            return {"end": "ok", "raised": raised, "passed": passed}


# Whether a module of Python hands things of a suspect on.
def leans_on_suspects(module):
    for thing in list(vars(module).values()):
        for key in ("__module__", "__name__"):
            try:
                name = getattr(thing, key, None)
            except Exception:
                continue
            if isinstance(name, str) and (name in SUSPECTS or name.rpartition(".")[0] in SUSPECTS):  # "x.lib" is cffi's
                return True
    return False


def exercise(tops, modules):
    chosen = []
    for name in modules:
        if not name.startswith(tuple(top + "." for top in tops)) and name not in tops and name not in SUSPECTS:
            continue
        module = sys.modules.get(name)
        if module is None or is_elsewhere(name):
            continue
        compiled = str(getattr(module, "__file__", None) or "").endswith(".so")
        if compiled or name in tops or (SUSPECTS and leans_on_suspects(module)):
            chosen.append((module, compiled))
    chosen.sort(key=lambda pair: (bool(re.search(r"tests?$", pair[0].__name__)), pair[0].__name__ not in SUSPECTS, not pair[1]))
    owners = tops + sorted({name.split(".")[0] for name in SUSPECTS})
    things = list(PLAN["calls"]) if PLAN["calls"] else list(paths(chosen, owners))
    each("call", things, call, 5)


# --- the package's own tests ------------------------------------------------

# Tests that began, by file: one that ended its process isn't tried again with what is behind it.
BEGUN = os.path.join(os.environ["TMPDIR"], f"begun-{os.getpid()}")
COUNTED = {}


def begin(name):
    with open(BEGUN, "a") as file:
        file.write(name + "\n")


def begun(path):
    try:
        with open(BEGUN) as file:
            return [line for line in file.read().splitlines() if line.split("::")[0] == path]
    except FileNotFoundError:
        return []


# Whether any began since this was last asked, a bounded number of times.
def begun_since(path):
    count = len(begun(path))
    turns, before = COUNTED.get(path, (0, 0))
    COUNTED[path] = (turns + 1, count)
    return count > before and turns < 8


LACKS = re.compile(r"No module named '([\w.]+)|could not import '([\w.]+)|fixture '(\w+)' not found")


# What a test that couldn't run asks for and nobody brought, by what was said of it; None.
def lacking(text):
    from importlib.machinery import PathFinder
    for module, skipped, fixture in LACKS.findall(text):
        top = (module or skipped).split(".")[0]
        if fixture:
            return f"the fixture {fixture}"
        if top and PathFinder.find_spec(top) is None:
            return top
    return None


# Whether it is told as a test that couldn't run.
def tell_lacking(name, text):
    lacks = lacking(text)
    if lacks:
        tell(kind="test", what=name, pid=os.getpid(), end="missing", lacks=lacks)
    return lacks is not None


class Reporter:
    def __init__(self, path):
        self.path = path
        self.told = False

    # A file that can't be imported has no tests.
    def pytest_collectreport(self, report):
        if report.outcome == "passed":
            return
        self.told = tell_lacking(self.path, str(report.longrepr))
        if not self.told and report.outcome == "failed":
            text = str(getattr(report.longrepr, "reprcrash", "") or report.longrepr).strip().splitlines()
            tell(kind="test", what=self.path, pid=os.getpid(), end="raise", why=text[-1][:400] if text else "")
            self.told = True

    def pytest_runtest_logreport(self, report):
        if report.outcome != "passed" and tell_lacking(report.nodeid, str(report.longrepr)):
            return
        if report.when == "call" or report.outcome == "failed":
            text = ""
            if report.outcome == "failed":
                text = str(getattr(report.longrepr, "reprcrash", "") or report.longrepr)
            tell(kind="test", what=report.nodeid, pid=os.getpid(), end={"passed": "ok", "skipped": "skip"}.get(report.outcome, "raise"), why=" ".join(text.split())[:400])

    def pytest_runtest_logstart(self, nodeid, location):
        begin(nodeid)
        tell(kind="test", what=nodeid, pid=os.getpid(), end="start")


def test_file(path):
    wanted = [name for name in PLAN["only"].get("test", []) if name.split("::")[0] == path]
    try:
        import pytest
    except ImportError:
        return test_file_plainly(path, wanted)
    past = [f"--deselect={name}" for name in begun(path)]
    reporter, before = Reporter(path), os.lseek(SAID, 0, os.SEEK_CUR)
    status = pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", PLAN["tests"], *past, *(wanted or [path])], plugins=[reporter])
    if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR) and not reporter.told:
        sys.stderr.flush()
        tell_lacking(path, os.pread(SAID, 1 << 16, before).decode(errors="replace"))  # its conftest.py
    return {"end": "ok" if int(status) in (0, 1) else "skip", "file_of_tests": True}


def test_file_plainly(path, wanted):
    import unittest

    class Result(unittest.TestResult):
        def say(self, test, end, error=None):
            name = f"{path}::{test.id()}"
            tell(kind="test", what=name, pid=os.getpid(), end=end, why=why(error[1])[:400] if error else "")

        def startTest(self, test):
            super().startTest(test)
            begin(f"{path}::{test.id()}")
            self.say(test, "start")

        def addSuccess(self, test):
            self.say(test, "ok")

        def addError(self, test, error):
            if not tell_lacking(f"{path}::{test.id()}", why(error[1])):
                self.say(test, "raise", error)

        addFailure = addError

    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    try:
        module = importlib.import_module(os.path.basename(path)[:-3])
    except ImportError as error:
        if tell_lacking(path, why(error)):
            return {"end": "skip", "file_of_tests": True}
        raise
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    cases = [case for part in suite for case in part]
    past = begun(path)
    chosen = [case for case in cases if (not wanted or f"{path}::{case.id()}" in wanted) and f"{path}::{case.id()}" not in past]
    result = Result()
    for case in chosen:
        case.run(result)
    return {"end": "ok", "file_of_tests": True}


def is_about_suspects(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        text = file.read().lower()
    return any(word in text for word in WORDS if len(word) > 2)


def run_tests():
    work = os.path.join(os.environ["TMPDIR"], "tests")
    import shutil
    shutil.copytree(PLAN["tests"], work, symlinks=True)
    os.chdir(work)
    PLAN["tests"] = work
    sys.path.append("/run/tools")
    found = []
    for folder, folders, files in os.walk("."):
        folders.sort()
        found += [os.path.normpath(os.path.join(folder, name)) for name in sorted(files) if re.fullmatch(r"test_.*\.py|.*_test\.py|tests?\.py", name)]
    chosen = {name.split("::")[0] for name in PLAN["only"].get("test", [])}
    found = [path for path in found if not chosen or path in chosen]
    found.sort(key=lambda path: (not is_about_suspects(path), os.path.getsize(path)))
    each("test", found, test_file, 5)


# --- the whole --------------------------------------------------------------

# With whether what it exports is worth a call.
def import_one(name):
    module = importlib.import_module(name)
    return {"call": str(getattr(module, "__file__", "")).endswith(".so") or bool(SUSPECTS and leans_on_suspects(module))}


# What it imports without asking for it, and nobody brought, is no matter of the CPU.
def import_further(name):
    from importlib.machinery import PathFinder
    try:
        return import_one(name)
    except ModuleNotFoundError as error:
        top = (error.name or "").split(".")[0]
        if not top or PathFinder.find_spec(top) is not None:
            raise
        return {"end": "missing", "why": why(error)}


def load_one(file):
    import ctypes
    ctypes.CDLL(os.path.join(SITE, file))


def chosen(kind, things):
    return [thing for thing in things if not PLAN["again"] or thing in PLAN["only"].get(kind, [])]


def reach(files, modules, tops):
    compiled = {module_of(file) for file in files if file.endswith(".so")}
    rest = sorted(set(modules) - set(tops),
                  key=lambda name: (bool(re.search(r"(^|\.)_?tests?(\.|$)|testing|benchmarks", name)), name not in SUSPECTS, name not in compiled, name.count("."), name))
    shared = [file for file in files if re.search(r"\.so(\.\d+)*$", file) and not is_elsewhere(os.path.basename(file)) and not file.startswith("..")]
    each("load", chosen("load", [file for file in shared if not is_module_file(os.path.join(SITE, file))]), load_one, 30)
    return each("import", chosen("import", [name for name in rest if not is_elsewhere(name)]), import_further, 30, "call")


# What each child does before and after its call: an emulator translates it once for all of them.
def warm():
    for function in (lambda *given: given, len, str, lambda one: next(iter(one))):
        quietly(function)


# Modules and shared objects that are there once it is imported: on another CPU it may choose others.
def loaded(tops):
    names = {name for name in sys.modules if name.split(".")[0] in tops}
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        for line in maps:
            path = line[line.find("/"):].rstrip("\n")
            if path.startswith(SITE + "/"):
                names |= {path[len(SITE) + 1:], module_of(path[len(SITE) + 1:])}
    return sorted(names - {None})[:4000]


def bring(names):
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException:
            pass


# In children of a process that has imported it.
def call_things(tops, extra):
    pid = fork()
    if pid == 0:
        bring(tops)
        tell(kind="loaded", what="", end="ok", names=loaded(tops))
        if PLAN["calls"] or not PLAN["again"]:
            for name in extra:
                if left() > PLAN["seconds"] / 2:
                    bring([name])
            warm()
            exercise(tops, sorted(sys.modules))
        os._exit(0)
    os.waitpid(pid, 0)


def main():
    allow(PLAN["seconds"])
    files = files_of(PLAN["package"])
    modules = [name for name in map(module_of, files) if name and name.split(".")[0] not in SKIPPED_TOPS]
    tops = tops_of(PLAN["package"], modules)
    if PLAN["do"] == "tests":
        return run_tests()
    if PLAN["do"] == "import":
        if not tops:
            tell(kind="top", what="", end="none")
        each("top", chosen("top", tops), import_one, 600)
        return None
    allow(PLAN["seconds"] / 2)
    extra = reach(files, modules, tops)
    allow(PLAN["seconds"])
    call_things(tops, PLAN["extra"] or extra)
    return None


main()
tell(kind="end", what="", end="ok")
