"""The page beside a bundle, as `build` and `verify` leave it."""
import html.parser
import json
import pathlib
import re
import shutil
import unittest

import fixture

VOID = {"meta", "wbr", "link", "br", "img", "input", "hr", "rect"}


class Page(html.parser.HTMLParser):
    """What stands on it; an error where elements aren't nested."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.ids, self.text = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)

    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        _, cls.result = cls.world.build()
        cls.bundle, cls.report = pathlib.Path(cls.result["bundle"]), pathlib.Path(cls.result["report"])
        cls.text = cls.report.read_text()
        cls.page = Page(cls.text)

    def test_it_stands_beside_the_bundle_by_its_name(self):
        self.assertEqual(str(self.report), str(self.bundle).removesuffix(".tar.zst") + ".report.html")

    def test_it_says_what_is_in_the_bundle(self):
        words = self.page.words()
        self.assertRegex(words, r"Runs on k10: \d+ files? clean(, \d+ guarded)?, its one check passes")
        for part in ("libword 1.0", "shout 2.0", "libword-1.0.tar.gz", "Built in this run", "shouts", "qemu", "-mavx2", self.result["sha256"], "-march=haswell"):
            self.assertIn(part, words)
        self.assertIn(fixture.sha256(self.world.server.files["/files/libword-1.0.tar.gz"]), words)

    def test_it_loads_nothing_and_runs_nothing(self):
        for tag, attributes in self.page.elements:
            self.assertNotIn(tag, ("script", "img", "link", "iframe", "object", "embed", "form", "base"))
            for name, value in attributes.items():
                self.assertFalse(name.startswith("on"), (tag, name))
                if name in ("href", "src", "action"):
                    self.assertTrue(value.startswith("#"), value)
        self.assertNotRegex(self.text.split("</style>")[0], r"url\(|@import|//")

    def test_it_can_be_found_ones_way_in(self):
        tags = [tag for tag, _ in self.page.elements]
        for landmark in ("main", "nav", "footer", "h1", "title", "svg", "details"):
            self.assertIn(landmark, tags)
        self.assertEqual(tags.count("h1"), 1)
        self.assertEqual(len(self.page.ids), len(set(self.page.ids)))
        for _, attributes in self.page.elements:
            if "href" in attributes:
                self.assertIn(attributes["href"][1:], self.page.ids)
            if "aria-labelledby" in attributes:
                self.assertIn(attributes["aria-labelledby"], self.page.ids)

    def test_a_run_with_nothing_to_do_leaves_it_alone(self):
        before = self.report.stat()
        done = self.world.run("build", "words")
        self.assertIn("nothing to do", done.stdout)
        self.assertIn(str(self.report), done.stdout)
        self.assertEqual(json.loads(self.world.run("build", "words", "--json").stdout)["report"], str(self.report))
        self.assertEqual((before.st_ino, before.st_mtime_ns), (self.report.stat().st_ino, self.report.stat().st_mtime_ns))

    def test_verify_writes_it_too(self):
        bundle = self.world.folder / "elsewhere" / self.bundle.name
        bundle.parent.mkdir()
        shutil.copy(self.bundle, bundle)
        done = self.world.run("verify", bundle)
        report = bundle.with_name(self.report.name)
        self.assertIn(str(report), done.stdout)
        words = Page(report.read_text()).words()
        self.assertIn("Reused", words)
        self.assertIn(self.result["sha256"], words)
        self.assertNotIn("Built in this run", words)
        self.assertIn("its one check passes", words)

    def test_verify_writes_it_where_it_is_told(self):
        told = self.world.folder / "told.html"
        done = self.world.run("verify", self.bundle, "--report", told, "--json")
        result = json.loads(done.stdout.splitlines()[-1])
        self.assertEqual((result["type"], result["passed"], result["report"]), ("result", True, str(told)))
        self.assertIn("Runs on k10", Page(told.read_text()).words())
        self.assertEqual(self.report.read_text(), self.text)

    def test_a_bundle_that_doesnt_hold_gets_one_that_says_so(self):
        recipe = self.world.tree / "recipes/shout/2.0.yaml"
        before = recipe.read_text()
        recipe.write_text(before.replace("wheel! 0", "whirl! 0"))
        self.addCleanup(recipe.write_text, before)
        told = self.world.folder / "bad.html"
        done = self.world.run("verify", self.bundle, "--report", told, status=1)
        self.assertIn(str(told), done.stderr)
        words = Page(told.read_text()).words()
        self.assertIn("Doesn’t hold on k10", words)
        self.assertIn("the one check fails", words)


if __name__ == "__main__":
    unittest.main()
