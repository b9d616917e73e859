#!/usr/bin/python3
"""Holds every YAML file below recipes/ against its JSON Schema, and some wrong ones too: a schema that takes everything proves nothing."""
import copy
import glob
import json
import re
import sys

import jsonschema
import yaml


class Core(yaml.SafeLoader):
    """As editors read YAML 1.2: no dates, no base 60."""


for first, resolvers in list(Core.yaml_implicit_resolvers.items()):
    Core.yaml_implicit_resolvers[first] = [r for r in resolvers if not r[0].endswith((":timestamp", ":merge"))]

KINDS = {"stack": "recipes/stacks/*.yaml", "profile": "recipes/profiles/*.yaml", "toolchain": "recipes/toolchains/*.yaml"}


def load(path):
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Core)


def wrong(kind, good):
    """Files with one thing wrong each."""
    yield dict(good, zzz=1)
    for key in good:
        if kind != "recipe" or key in ("name", "version") or ("like" not in good and key in ("summary", "licence", "build")):
            if key in ("tune", "also", "shunned", "include", "packages", "pins", "checks", "glibc", "hours", "disk", "pinned", "tried"):
                continue
            yield {k: v for k, v in good.items() if k != key}
        broken = copy.deepcopy(good)
        broken[key] = [[]]
        yield broken
    yield dict(good, name="../x")
    if kind == "recipe" and isinstance(good.get("sources"), list):
        for key, value in (("sha256", "x"), ("shasum", "x"), ("to", "../x"), ("url", "file:///x")):
            broken = copy.deepcopy(good)
            broken["sources"][0][key] = value
            yield broken


def cases():
    """What tests/cases/recipe loads: kind, place, text, and whether the reader takes it."""
    for path in sorted(glob.glob("tests/cases/recipe/*.test")):
        files = {}
        with open(path, encoding="utf-8") as file:
            parts = re.findall(r"^-- (.*)\n((?:(?!-- ).*\n)*)", file.read(), re.M)
        for head, body in parts:
            words = head.split()
            if words[0] != "load":
                files[head] = body
                continue
            name = f"{words[2]}/{words[3]}" if words[1] == "recipe" else f"{words[1].rstrip('s')}s/{words[2]}"
            text = files.get(f"recipes/{name}.yaml")
            if text is not None:
                yield words[1].rstrip("s"), f"{path}: {head}", text, not body.startswith("error: ")


def agree(validators):
    """Whatever the reader takes, the schema takes. The other way round there is more that only the reader sees; but not nothing."""
    failed = refused = 0
    for kind, place, text, taken in cases():
        try:
            valid = validators[kind].is_valid(yaml.load(text, Core))
        except yaml.YAMLError:
            valid = False
        if taken and not valid:
            print(f"{place}: the schema refuses what the reader takes", file=sys.stderr)
            failed += 1
        refused += not taken and not valid
    if refused < 100:
        print(f"of the cases' errors, the schemas see {refused} only", file=sys.stderr)
        failed += 1
    return failed


def main():
    validators = {}
    failed = tried = refused = 0
    for kind in ("recipe", "stack", "profile", "toolchain"):
        with open(f"docs/{kind}.schema.json", encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft202012Validator.check_schema(schema)
        validator = validators[kind] = jsonschema.Draft202012Validator(schema)
        reserved = ("recipes/stacks/", "recipes/profiles/", "recipes/toolchains/")
        paths = glob.glob(KINDS.get(kind, "recipes/*/*.yaml"))
        for path in sorted(p for p in paths if kind != "recipe" or not p.startswith(reserved)):
            good = load(path)
            tried += 1
            for error in validator.iter_errors(good):
                print(f"{path}: {'/'.join(map(str, error.absolute_path))}: {error.message}", file=sys.stderr)
                failed += 1
            if len(json.dumps(good)) > 20000:  # the toolchain: once is enough
                continue
            for broken in wrong(kind, good):
                if validator.is_valid(broken):
                    print(f"{path}: the schema takes {json.dumps(broken)[:2000]}", file=sys.stderr)
                    failed += 1
                refused += 1
    failed += agree(validators)
    print(f"{tried} files, {refused} wrong ones")
    return 1 if failed or not tried or not refused else 0


sys.exit(main())
