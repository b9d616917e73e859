"""docs/terminal.png and docs/report.png: a real terminal while stack base is built, and a real report. `make docs-pictures` calls it.

The first needs what `ironwheel fetch base` brings, in the store; the build runs in an empty store beside it for a while, and is stopped then. The second takes the newest report in dist/."""
import html
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = os.environ.get("IW_PROGRAM", str(ROOT / "out/release/ironwheel"))
COLUMNS, LINES, SECONDS = 104, 24, int(os.environ.get("SECONDS_OF_BUILD", "150"))
COLOURS = {"31": "#d9534f", "32": "#4caf50", "33": "#d6a531", "34": "#5b9bd5", "35": "#b07cc6", "36": "#3fa7a7", "2": "#8a8f98", "90": "#8a8f98"}


def need(*names):
    missing = [name for name in names if not shutil.which(name)]
    if missing:
        sys.exit(f"docs-pictures needs {', '.join(missing)}: apt-get install {' '.join(missing)}")


def screen():
    """What a terminal shows while base is built, with its colours."""
    with tempfile.TemporaryDirectory(prefix="ironwheel-pictures-") as folder:
        mirror, socket = f"{folder}/mirror", f"{folder}/tmux"
        subprocess.run([PROGRAM, "-q", "fetch", "base", "--export", mirror], check=True)
        tmux = ["tmux", "-S", socket, "-f", "/dev/null"]
        build = f"exec {PROGRAM} build base --cache {folder}/store --import {mirror} --output {folder}/dist"
        subprocess.run([*tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(LINES), build], check=True, env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"})
        try:
            time.sleep(SECONDS)
            return subprocess.run([*tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True).stdout
        finally:
            subprocess.run([*tmux, "send-keys", "C-c"], check=False)
            time.sleep(5)
            subprocess.run([*tmux, "kill-server"], check=False, capture_output=True)


def as_html(text):
    """SGR sequences as spans."""
    out, style = [], ""
    for part in re.split(r"(\x1b\[[0-9;]*m)", text.rstrip("\n")):
        codes = re.fullmatch(r"\x1b\[([0-9;]*)m", part)
        if not codes:
            out.append(f'<span style="{style}">{html.escape(part)}</span>' if style else html.escape(part))
            continue
        for code in codes[1].split(";"):
            style = "" if code in ("", "0", "39") else style + ("font-weight:bold;" if code == "1" else f"color:{COLOURS[code]};" if code in COLOURS else "")
    return f'<meta charset="utf-8"><body style="margin:0;background:#1d2025"><pre style="margin:14px;font:14px/18px monospace;color:#d8dce2">{"".join(out)}</pre>'


def picture(page, to, width, height):
    with tempfile.TemporaryDirectory(prefix="ironwheel-pictures-") as home:
        subprocess.run(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking", f"--user-data-dir={home}",
                        f"--screenshot={to}", f"--window-size={width},{height}", f"file://{page}"], check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8"})
    print(f"{to.relative_to(ROOT)}: {to.stat().st_size:,} bytes")


def main():
    need("tmux", "chromium")
    reports = sorted((ROOT / "dist").glob("*.report.html"), key=lambda path: path.stat().st_mtime)
    if not reports:
        sys.exit("docs-pictures: no report in dist/; `ironwheel build base` writes one")
    picture(reports[-1], ROOT / "docs/report.png", 1000, 900)
    with tempfile.NamedTemporaryFile("w", suffix=".html", prefix="ironwheel-") as page:
        page.write(as_html(screen()))
        page.flush()
        picture(pathlib.Path(page.name), ROOT / "docs/terminal.png", COLUMNS * 9, LINES * 18 + 30)


if __name__ == "__main__":
    main()
