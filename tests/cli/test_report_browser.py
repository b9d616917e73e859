"""The report in a real browser: on a phone and on a wide screen, in light and dark, by keyboard. Pictures go to out/pictures/, for a person to look at."""
import pathlib
import tempfile
import unittest

import browser
import fixture
from fixture import ROOT

WIDTHS, SCHEMES = (360, 1280), ("light", "dark")
# Contrast of a text with what is painted behind it (WCAG 2.1: relative luminance); of graphics with the page.
MEASURE = """(() => {
    const rgba = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
    const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
    const light = colour => colour.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const behind = element => {
        const layers = [];
        for (let e = element; e; e = e.parentElement) layers.unshift(rgba(getComputedStyle(e).backgroundColor));
        return layers.reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node; (node = walker.nextNode());) {
        const element = node.parentElement, style = getComputedStyle(element);
        if (!node.data.trim() || !element.checkVisibility()) continue;
        const ground = behind(element), colour = over(rgba(element instanceof SVGElement ? style.fill : style.color), ground);
        texts.push([contrast(colour, ground), node.data.trim().slice(0, 40), parseFloat(style.fontSize)]);
    }
    const bars = [...document.querySelectorAll('svg rect:not(.track), .key')].map(e => {
        const style = getComputedStyle(e);
        return contrast(rgba(e instanceof SVGElement ? style.fill : style.backgroundColor).slice(0, 3), behind(e.closest('section')));
    });
    const out = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && !e.closest('.wide, .skip, svg'))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 0.5 || e.getBoundingClientRect().left < -0.5).map(e => e.tagName + ' ' + e.textContent.slice(0, 40));
    const small = [...document.querySelectorAll('summary, nav a')].filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 24).map(e => e.textContent.slice(0, 40));
    return {scroll: document.documentElement.scrollWidth, width: innerWidth, texts: texts.length, least: texts.sort((a, b) => a[0] - b[0])[0], type: Math.min(...texts.map(t => t[2])),
            bars: bars.length ? Math.min(...bars) : 21, out, small, ground: getComputedStyle(document.body).backgroundColor};
})()"""


class InABrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="ironwheel-report-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        world = fixture.World()
        cls.addClassCleanup(world.close)
        text = pathlib.Path(world.build()[1]["report"]).read_text()
        head, body = text[:text.index("<body>")], (ROOT / "tests/cases/report/page.html").read_text()
        cls.pages = {"built": text, "known": head + body, "long": head + body.replace("libword", "w" * 400).replace("5151", "5" * 900).replace("54,555", "9" * 60)}
        for name, page in cls.pages.items():
            (cls.folder / f"{name}.html").write_text(page)
        cls.browser = browser.Browser()
        cls.addClassCleanup(cls.browser.close)

    def open(self, page, width=1280, scheme="light"):
        self.browser.open(self.folder / f"{page}.html", width, scheme)

    def look(self, page, width, scheme):
        self.open(page, width, scheme)
        closed = self.browser.run(MEASURE)
        self.browser.run("document.querySelectorAll('details').forEach(e => e.open = true)")
        opened = self.browser.run(MEASURE)
        self.browser.picture(ROOT / f"out/pictures/report-{page}-{width}-{scheme}.png")
        return closed, opened

    def test_every_width_and_scheme(self):
        grounds = {}
        for page in self.pages:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    for state, found in zip(("closed", "open"), self.look(page, width, scheme)):
                        with self.subTest(page=page, width=width, scheme=scheme, state=state):
                            self.assertLessEqual(found["scroll"], width)
                            self.assertEqual(found["width"], width)
                            self.assertEqual((found["out"], found["small"]), ([], []))
                            self.assertGreater(found["texts"], 20)
                            self.assertGreaterEqual(found["least"][0], 4.5, found["least"])
                            self.assertGreaterEqual(found["type"], 13)
                            self.assertGreaterEqual(found["bars"], 3)
                    grounds.setdefault(scheme, found["ground"])
                    self.assertEqual([url for url in self.browser.requests() if not url.endswith(f"/{page}.html")], [])
                    self.assertEqual(self.browser.complaints(), [])
        self.assertNotEqual(grounds["light"], grounds["dark"])

    def test_by_keyboard(self):
        self.open("known", 360)
        focus = "(e => ({text: e.textContent.trim().slice(0, 60), tag: e.tagName, line: parseFloat(getComputedStyle(e).outlineWidth), " \
                "style: getComputedStyle(e).outlineStyle, top: e.getBoundingClientRect().top}))(document.activeElement)"
        self.browser.press("Tab")
        first = self.browser.run(focus)
        self.assertIn("Skip", first["text"])
        self.assertGreaterEqual(first["top"], 0, "seen once it has the focus")
        seen = []
        for _ in range(30):
            self.browser.press("Tab")
            seen.append(self.browser.run(focus))
            if seen[-1]["tag"] == "BODY":
                break
            self.assertNotEqual(seen[-1]["style"], "none", seen[-1])
            self.assertGreaterEqual(seen[-1]["line"], 2, seen[-1])
        names = " ".join(row["text"] for row in seen)
        for name in ("Packages", "Keys", "libword", "shout", "tool", "The same as a table", "Reviewed exceptions", "Every clean file"):
            self.assertIn(name, names)
        self.open("known", 360)
        self.browser.press("Tab")
        self.browser.press("Enter")
        self.assertEqual(self.browser.run("document.activeElement.id"), "main")
        self.browser.press("Tab")
        self.browser.press("Enter")
        self.assertEqual(self.browser.run("document.activeElement.tagName + document.activeElement.parentElement.open"), "SUMMARYtrue")

    def test_its_tree_reads_well(self):
        self.open("known")
        levels = self.browser.run("[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1])")
        self.assertEqual((levels[0], levels.count(1)), (1, 1))
        for one, next_one in zip(levels, levels[1:]):
            self.assertLessEqual(next_one, one + 1, levels)
        self.assertEqual(self.browser.run("['main', 'nav', 'footer'].map(name => document.querySelectorAll(name).length)"), [1, 1, 1])
        self.assertEqual(self.browser.run("document.documentElement.lang"), "en")


if __name__ == "__main__":
    unittest.main()
