# Reads an unpacked sdist, or an installed package, below /build/src, as data: nothing of it is imported or run. Writes /build/answer.json.
import email, glob, hashlib, json, os, re, sys, tomllib, zipfile
from pip._vendor.packaging.requirements import Requirement

ROOT = "/build/src"
ENVIRONMENT = {"implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix", "platform_machine": "x86_64",
               "platform_python_implementation": "CPython", "platform_release": "", "platform_system": "Linux", "platform_version": "",
               "python_full_version": "3.11.2", "python_version": "3.11", "sys_platform": "linux", "extra": ""}
CLASSIFIERS = {"MIT License": "MIT", "MIT No Attribution License (MIT-0)": "MIT-0", "Apache Software License": "Apache-2.0", "BSD License": "BSD",
               "ISC License (ISCL)": "ISC", "Python Software Foundation License": "PSF-2.0", "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
               "The Unlicense (Unlicense)": "Unlicense", "zlib/libpng License": "Zlib", "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
               "GNU General Public License v2 (GPLv2)": "GPL-2.0-only", "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
               "GNU General Public License v3 (GPLv3)": "GPL-3.0-only", "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
               "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.1-or-later", "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
               "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later", "GNU Affero General Public License v3": "AGPL-3.0-only",
               "Academic Free License (AFL)": "AFL-3.0", "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
               "Historical Permission Notice and Disclaimer (HPND)": "HPND", "Public Domain": "LicenseRef-public-domain"}
WORDS = [(r"^(the )?mit( licen[sc]e)?$", "MIT"), (r"^(the )?apache( software)?( licen[sc]e)?,?( version)?[ -]?(v|2)?\.?(2|0)?(\.0)?$", "Apache-2.0"),
         (r"^(new |modified |revised )?bsd[ -]?(3|3-clause|licen[sc]e 3)?( licen[sc]e)?$", "BSD"), (r"^(simplified )?bsd[ -]2(-clause)?( licen[sc]e)?$", "BSD-2-Clause"),
         (r"^isc( licen[sc]e)?$", "ISC"), (r"^(psf|python software foundation)( licen[sc]e)?( 2\.0)?$", "PSF-2.0"), (r"^mpl[ -]?2(\.0)?$", "MPL-2.0"),
         (r"^unlicense$", "Unlicense"), (r"^zlib( licen[sc]e)?$", "Zlib"), (r"^gpl-?v?3\+?$", "GPL-3.0-or-later"), (r"^lgpl-?v?3\+?$", "LGPL-3.0-or-later")]
TEXTS = [("Permission is hereby granted, free of charge, to any person obtaining a copy", "MIT"), ("Apache License Version 2.0", "Apache-2.0"),
         ("Neither the name of", "BSD-3-Clause"), ("Redistribution and use in source and binary forms", "BSD-2-Clause"),
         ("Permission to use, copy, modify, and/or distribute this software for any purpose", "ISC"), ("Mozilla Public License Version 2.0", "MPL-2.0"),
         ("This is free and unencumbered software released into the public domain", "Unlicense")]
SPDX = re.compile(r"^[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*$")


def text(path, limit=1 << 20):
    try:
        with open(os.path.join(ROOT, path), "rb") as file:
            return file.read(limit).decode("utf-8", "replace")
    except OSError:
        return ""


def table(value):
    return value if isinstance(value, dict) else {}


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def needs(lines):
    """Requirements that hold for CPython 3.11 on Linux, without extras: [{name, spec}]; and what can't be read."""
    found, odd = {}, []
    for line in lines:
        try:
            one = Requirement(line)
        except Exception:
            odd.append(str(line)[:200])
            continue
        if one.marker and not one.marker.evaluate(ENVIRONMENT):
            continue
        if one.url:
            odd.append(str(line)[:200])
            continue
        name = plain(one.name)
        spec = str(one.specifier)
        found[name] = ",".join(filter(None, [found.get(name, ""), spec]))
    return [{"name": name, "spec": spec} for name, spec in sorted(found.items())], odd


def egg_needs():
    """requires.txt of an sdist that setuptools made: sections are extras or markers."""
    lines, marker, known = [], "", False
    for path in sorted(glob.glob(ROOT + "/*.egg-info/requires.txt") + glob.glob(ROOT + "/src/*.egg-info/requires.txt"))[:1]:
        known = True
        for line in text(path).splitlines():
            line = line.strip()
            if line.startswith("["):
                extra, _, marker = line.strip("[]").partition(":")
                marker = "never" if extra else marker
            elif line and marker != "never":
                lines.append(line + (" ; " + marker if marker else ""))
    return lines, known


def licence_of(info, project):
    expression = info.get("License-Expression") or (project.get("license") if isinstance(project.get("license"), str) else "")
    if expression and SPDX.match(expression.replace("(", "").replace(")", "")):
        return expression
    given = (info.get("License") or table(project.get("license")).get("text") or "").strip()
    kinds = {CLASSIFIERS.get(line.split(" :: ")[-1]) for line in (info.get_all("Classifier") or []) + list(project.get("classifiers") or []) if str(line).startswith("License ::")} - {None}
    whole = next((text(os.path.relpath(path, ROOT)) for path in sorted(glob.glob(ROOT + "/*")) if re.match(r"(?i)(licen[cs]e|copying)", os.path.basename(path)) and os.path.isfile(path)), "")
    flat = " ".join(whole.split())
    read = next((name for words, name in TEXTS if words.lower() in flat.lower()), "")
    if len(kinds) == 1:
        kind = kinds.pop()
        return kind if kind != "BSD" else (read if read.startswith("BSD") else "BSD-3-Clause")
    for pattern, name in WORDS:
        if re.match(pattern, given.lower()):
            return name if name != "BSD" else (read if read.startswith("BSD") else "BSD-3-Clause")
    if len(given) < 60 and "\n" not in given and SPDX.match(given) and (" " not in given or " OR " in given or " AND " in given) and given.lower() not in ("unknown", "other", "dual", "file", "license", "proprietary"):
        return given
    if len(kinds) > 1 and "BSD" not in kinds:
        return " OR ".join(sorted(kinds))
    return read or ("LicenseRef-own" if whole else "")


def hook_needs(tool):
    """What plugins of hatchling ask for beside `requires`."""
    hatch, lines = table(table(tool.get("hatch")).get("build")), []
    for hooks in (hatch.get("hooks"), table(table(hatch.get("targets")).get("wheel")).get("hooks")):
        for hook in table(hooks).values():
            lines += [str(line) for line in table(hook).get("dependencies") or []]
    return lines


def setup_needs():
    config = text("setup.cfg")
    found = re.search(r"(?m)^setup_requires\s*=\s*(.*(?:\n[ \t]+.*)*)", config)
    return [line.strip() for line in re.split(r"[\n;]", found.group(1)) if line.strip() and not line.strip().startswith("#")] if found else []


def locks():
    found = []
    for folder, folders, files in os.walk(ROOT):
        depth = os.path.relpath(folder, ROOT).count(os.sep)
        folders[:] = sorted(name for name in folders if name not in ("vendor", ".git", "tests")) if depth < 4 else []
        if "Cargo.lock" in files:
            with open(os.path.join(folder, "Cargo.lock"), "rb") as file:
                data = file.read(8 << 20)
            found.append({"path": os.path.relpath(os.path.join(folder, "Cargo.lock"), ROOT), "sha256": hashlib.sha256(data).hexdigest(),
                          "git": b'source = "git+' in data, "registry": b'source = "registry+' in data})
    return sorted(found, key=lambda lock: (lock["path"].count("/"), lock["path"]))


def languages():
    kinds = {".c": "C", ".pyx": "Cython", ".cpp": "C++", ".cc": "C++", ".cxx": "C++", ".rs": "Rust", ".f90": "Fortran", ".f": "Fortran"}
    found, seen = set(), 0
    for folder, _, files in os.walk(ROOT):
        for name in files:
            seen += 1
            kind = kinds.get(os.path.splitext(name)[1].lower())
            if kind and "/test" not in folder + "/" + name:
                found.add(kind)
        if seen > 50000:
            break
    return sorted(found)


def sdist():
    answer = {}
    try:
        pyproject = tomllib.loads(text("pyproject.toml"))
    except tomllib.TOMLDecodeError as why:
        pyproject, answer["trouble"] = {}, "pyproject.toml can't be read: " + str(why)[:200]
    info = email.message_from_string(text("PKG-INFO"))
    system, project, tool = table(pyproject.get("build-system")), table(pyproject.get("project")), table(pyproject.get("tool"))
    asked = system.get("requires")
    requires = [str(line) for line in asked] if isinstance(asked, list) else ["setuptools", "wheel"]
    egg, egg_known = egg_needs()
    dynamic = [line.lower() for line in (info.get_all("Dynamic") or [])]
    run = info.get_all("Requires-Dist") or egg or [str(line) for line in project.get("dependencies") or []]
    answer["build"], odd = needs(requires + hook_needs(tool) + setup_needs())
    answer["run"], odd_run = needs([line for line in run if "extra ==" not in line])
    answer["odd"] = odd + odd_run
    answer["run_known"] = bool(run) or egg_known or bool(info.get("Metadata-Version", "") >= "2.2" and "requires-dist" not in dynamic)
    answer["backend"] = str(system.get("build-backend") or "setuptools.build_meta")
    answer["name"] = plain(info.get("Name") or str(project.get("name") or ""))
    answer["version"] = info.get("Version") or str(project.get("version") or "")
    summary = (info.get("Summary") or str(project.get("description") or "")).strip()
    answer["summary"] = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", summary).split())[:200]
    pages = [line.partition(",")[2].strip() for line in info.get_all("Project-URL") or [] if re.match(r"(?i)(homepage|source|repository|documentation)", line)]
    pages = [info.get("Home-page") or ""] + pages + [str(url) for url in table(project.get("urls")).values()]
    answer["homepage"] = next((url for url in pages if re.match(r"^https?://[^/?#@:\s][^\s\"<>\\^`{|}]*$", url) and url.isascii()), "")
    answer["licence"] = licence_of(info, project)
    answer["crates"], answer["languages"] = locks(), languages()
    if "Cython" in answer["languages"] and system.get("backend-path") and not any(one["name"] == "cython" for one in answer["build"]):
        answer["build"].append({"name": "cython", "spec": ""})  # such a backend asks for it only when it runs
    answer["manifest"] = str(table(tool.get("maturin")).get("manifest-path") or "")
    answer["root_modules"] = sorted(name[:-3] for name in os.listdir(ROOT) if name.endswith(".py") and name != "setup.py")[:50]
    return answer


def modules_of(files):
    """What stands at the top: packages, modules, and what namespaces hold. Tests aren't meant to be imported."""
    tops, folders = set(), {}
    for path in files:
        parts = path.split("/")
        name = re.sub(r"\.(py|abi3\.so|cpython-311-x86_64-linux-gnu\.so|so)$", "", parts[-1])
        if name == parts[-1] or not all(re.match(r"^[A-Za-z_]\w*$", part) for part in parts[:-1] + [name]):
            continue
        if len(parts) == 1:
            tops.add(name)
        else:
            folders.setdefault(parts[0], set()).add("/".join(parts[1:-1] + [name]))
    for top, inside in folders.items():
        if "__init__" in inside:
            tops.add(top)
            continue
        below = {one.split("/")[0] for one in inside if one.endswith("/__init__") and one.count("/") == 1 or "/" not in one}
        tops |= {top + "." + one for one in below}
    tops = sorted(top for top in tops if not re.match(r"^(tests?|testing|docs|examples|benchmarks|setup|conftest|__init__|.*\.tests?)$", top))
    return tops + [one for one in compiled_of(files) if one not in tops]


def compiled_of(files):
    """Modules that are machine code, further down: a package's own import often doesn't reach them. The first few, from the top."""
    found = []
    for path in files:
        dotted = re.sub(r"\.(abi3|cpython-311-x86_64-linux-gnu)\.so$", "", path).split("/")
        public = all(re.match(r"^[A-Za-z]\w*$", part) and not re.match(r"(?i)^(test.*|.*tests?|docs|examples?|benchmarks?|.*(cuda|gpu|cupy).*)$", part) for part in dotted)
        if len(dotted) > 1 and dotted[-1] != path.split("/")[-1] and public:
            found.append(dotted)
    return [".".join(dotted) for dotted in sorted(found, key=lambda dotted: (len(dotted), dotted))[:6]]


def installed():
    """dist-info of a package that lies at SITE or, a wheel, at the top."""
    answer = {"distributions": []}
    for site in (ROOT + "/lib/python3.11/site-packages", ROOT):
        for path in sorted(glob.glob(site + "/*.dist-info/METADATA")):
            folder = os.path.dirname(path)
            info = email.message_from_string(text(os.path.relpath(path, ROOT)))
            record = [line.rsplit(",", 2)[0].strip('"') for line in text(os.path.relpath(folder + "/RECORD", ROOT), 16 << 20).splitlines()]
            files = [name for name in record if not name.startswith(("..", "/")) and ".dist-info/" not in name and ".data/" not in name]
            run, odd = needs([line for line in info.get_all("Requires-Dist") or [] if "extra ==" not in line])
            wheel = text(os.path.relpath(folder + "/WHEEL", ROOT))
            answer["distributions"].append({
                "name": plain(info.get("Name") or ""), "version": info.get("Version") or "", "modules": modules_of(files), "run": run, "odd": odd,
                "summary": " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", info.get("Summary") or "").split())[:200], "licence": licence_of(info, {}),
                "pure": "Root-Is-Purelib: true" in wheel, "requires_python": info.get("Requires-Python") or ""})
        if answer["distributions"]:
            break
    return answer


def stub():
    """A wheel that holds nothing but metadata, for pip to resolve with: {name, version, run} of stub.json."""
    with open("/build/stub.json") as file:
        asked = json.load(file)
    stem = asked["name"].replace("-", "_") + "-" + asked["version"]
    metadata = "Metadata-Version: 2.1\nName: %s\nVersion: %s\n" % (asked["name"], asked["version"]) + "".join("Requires-Dist: %s\n" % line for line in asked["run"])
    files = {"METADATA": metadata, "WHEEL": "Wheel-Version: 1.0\nGenerator: ironwheel\nRoot-Is-Purelib: true\nTag: py3-none-any\n", "RECORD": ""}
    with zipfile.ZipFile("/build/" + stem + "-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(zipfile.ZipInfo(stem + ".dist-info/" + name), content)
    return {"file": stem + "-py3-none-any.whl"}


with open("/build/answer.json", "w") as out:
    json.dump({"sdist": sdist, "installed": installed, "stub": stub}[sys.argv[1]](), out, sort_keys=True)
