"""Whether each room includes only itself, base, and the neighbours in ARCHITECTURE.md's table, and every header compiles alone."""
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def allowed_rooms():
    rows = re.findall(r"^\| (\w+) \|[^|]*\| ([^|]*) \|$", (ROOT / "ARCHITECTURE.md").read_text(), re.M)
    rooms = {name: {part.strip() for part in text.split(",")} - {"–"} for name, text in rows if name != "room"}
    return {name: set(rooms) if "all" in uses else uses | {name, "base"} for name, uses in rooms.items()}


def main():
    allowed, wrong = allowed_rooms(), []
    for path in sorted(ROOT.glob("builder/*/*.[ch]")):
        room = path.parent.name
        if room not in allowed:
            wrong.append(f"{path.relative_to(ROOT)}: room {room} has no row in ARCHITECTURE.md")
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            found = re.match(r'\s*#\s*include "(\w+)/', line)
            if found and found[1] not in allowed[room]:
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {room} may not include {found[1]}")
    with tempfile.TemporaryDirectory() as folder:
        for header in sorted(ROOT.glob("builder/*/*.h")):
            test = pathlib.Path(folder, "alone.c")
            test.write_text(f'#include "{header.relative_to(ROOT / "builder")}"\n')
            done = subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE", f"-I{ROOT / 'builder'}", "-fsyntax-only", str(test)], capture_output=True, text=True)
            if done.returncode:
                wrong.append(f"{header.relative_to(ROOT)} doesn't compile alone: {done.stderr.strip().splitlines()[0]}")
    print("\n".join(wrong) if wrong else f"{len(allowed)} rooms keep to their neighbours")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
