"""Run once after CPython's `make install`, in $DESTDIR$PREFIX: what sysconfig, python3.11-config and the installed Makefile say
of the prefix is computed from where they stand, and the build's own flags (-I and -L of the prefix, path maps) go."""

import os
import pprint
import re
import runpy
import glob

PREFIX = os.environ["PREFIX"]
SRC = os.environ["SRC"]
MARK = "@prefix@"


def clean(value):
    if not isinstance(value, str):
        return value
    value = re.sub(r"\s*-f(file|macro|debug)-prefix-map=\S+", "", value)
    value = re.sub(r"\s*-Wl,-rpath(-link)?," + re.escape(PREFIX) + r"/lib(?=\s|'|$)", "", value)
    value = value.replace(SRC, ".")
    value = re.sub(r"\s*-[IL]" + re.escape(PREFIX) + r"/(include|lib)(?=\s|'|$)", "", value)
    return value


def sysconfig_data():
    (path,) = glob.glob("lib/python3.11/_sysconfigdata_*.py")
    values = {k: clean(v) for k, v in runpy.run_path(path)["build_time_vars"].items()}
    values["srcdir"] = "."
    text = pprint.pformat({k: v.replace(PREFIX, MARK) if isinstance(v, str) else v for k, v in values.items()}, width=120)
    with open(path, "w") as out:
        out.write("# system configuration generated and used by the sysconfig module; the prefix is the interpreter's own\n")
        out.write("import sys\n\nbuild_time_vars = " + text + "\n")
        out.write(
            "for _name, _value in build_time_vars.items():\n"
            "    if isinstance(_value, str) and '" + MARK + "' in _value:\n"
            "        build_time_vars[_name] = _value.replace('" + MARK + "', sys.base_prefix)\n"
        )


def makefile():
    (path,) = glob.glob("lib/python3.11/config-*/Makefile")
    with open(path) as file:
        lines = [clean(line.rstrip("\n")) for line in file]
    head = "prefix=\t\t$(abspath $(dir $(lastword $(MAKEFILE_LIST)))/../../..)"
    with open(path, "w") as out:
        for line in lines:
            out.write((head if re.match(r"prefix=\s", line) else line.replace(PREFIX, "$(prefix)")) + "\n")


def config_script():
    # The script replaces what `prefix_build` holds by where it stands, in everything that it prints.
    with open("bin/python3.11-config") as file:
        text = clean(file.read())
    with open("bin/python3.11-config", "w") as out:
        out.write(text.replace(PREFIX, MARK))


sysconfig_data()
makefile()
config_script()
