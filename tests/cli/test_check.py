"""`ironwheel check`: the checks of single packages, without a bundle."""
import json
import pathlib
import unittest

import fixture


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = world = fixture.World()
        cls.addClassCleanup(world.close)
        world.script("other", install_script="mkdir -p $DESTDIR$PREFIX/share; echo other > $DESTDIR$PREFIX/share/other")
        world.script("bare", install_script="mkdir -p $DESTDIR$PREFIX/share; echo bare > $DESTDIR$PREFIX/share/bare")
        cls.lay("exit 3")
        world.stack("checked", {"two": "1", "other": "1", "shout": "2.0", "bare": "1"}, pins={"libword": "1.0"})
        cls.before = world.run("check", "two", "--stack", "checked", status=1)
        world.run("build", "checked", "--no-bundle")

    @classmethod
    def lay(cls, second):
        cls.world.script("two", install_script="mkdir -p $DESTDIR$PREFIX/share; echo two > $DESTDIR$PREFIX/share/two", more=f"""\
            checks:
              - name: first
                shell: test -s "$IRONWHEEL_ENVIRONMENT/share/two"
              - name: second
                shell: {second}
              - name: beside
                shell: test -s "$IRONWHEEL_ENVIRONMENT/share/other"
                requires: [other]
              - name: leans
                shell: test -s "$IRONWHEEL_ENVIRONMENT/bin/shout"
              - name: elsewhere
                shell: exit 5
                requires: [torch]
            """)

    def check(self, *arguments, status=0):
        """What ran and how it ended, the notes, the last line."""
        done = self.world.run("check", *arguments, "--stack", "checked", "--json", status=status)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        ended = {event["part"]: event["type"] for event in events if event.get("phase") == "check" and event["type"] in ("finished", "failed")}
        return ended, [event["detail"] for event in events if event["type"] == "note"], events[-1]

    def test_what_is_not_built_is_named_with_the_way_there(self):
        self.assertRegex(self.before.stderr, r"isn't in the store: .*two/1.*`ironwheel build checked --no-bundle`")

    def test_a_cpu_that_nobody_knows(self):
        for arguments in (["check", "nothing-like-it", "--stack", "checked", "--cpu", "k11"], ["heal", "nowhere.txt", "--cpu", "k10,k11"], ["new", "nothing", "-p", "k11"]):
            self.assertIn('no profile "k11"', self.world.run(*arguments, status=2).stderr)

    def test_a_name_that_no_check_has(self):
        said = self.world.run("check", "two", "two", "--name", "third", "--stack", "checked", status=1).stderr
        self.assertTrue(said.endswith('there is no check "third"; there are: first, second, beside, leans, elsewhere\n'), said)

    def test_only_its_own_checks_run(self):
        self.lay("exit 3")
        ended, notes, _ = self.check("two", status=1)
        self.assertEqual(ended, {"first": "finished", "second": "failed", "beside": "finished", "leans": "failed"})
        self.assertIn("check elsewhere of two is left out: stack checked has no torch", notes)

    def test_what_it_requires_is_there_and_nothing_else(self):
        ended, _, _ = self.check("two", "--name", "beside,first")
        self.assertEqual(ended, {"first": "finished", "beside": "finished"})
        ended, _, _ = self.check("two", "--name", "leans", status=1)
        self.assertEqual(ended, {"leans": "failed"}, "shout isn't among what it needs")

    def test_of_several_packages(self):
        ended, _, last = self.check("two", "shout/2.0", "--name", "first,shouts")
        self.assertEqual(ended, {"first": "finished", "shouts": "finished"})
        self.assertEqual((last["type"], last["checks"], last["passed"]), ("result", 2, True))

    def test_it_counts_for_no_bundle(self):
        self.lay("exit 3")
        self.check("two", "--name", "first")
        self.assertEqual(list(self.world.cache.glob("history/checks/*/*")), [])
        events, _ = self.world.build("checked", status=1)
        ran = {event["part"] for event in events if event["type"] == "started" and event.get("phase") == "check"}
        self.assertEqual(ran, {"first", "second", "beside", "leans", "shouts"})
        kept = sorted(self.world.cache.glob("history/checks/*/*"))
        logs = {path: path.stat().st_mtime_ns for path in self.world.cache.glob("logs/checked-1-checks/*")}
        self.lay("true")
        self.check("two", "--name", "second,first")
        self.assertEqual(sorted(self.world.cache.glob("history/checks/*/*")), kept, "neither taken nor added to")
        self.assertEqual({path: path.stat().st_mtime_ns for path in self.world.cache.glob("logs/checked-1-checks/*")}, logs, "whose logs stay")

    def test_a_changed_check_needs_no_build(self):
        self.lay("true")
        done = self.world.run("check", "two", "--name", "second", "--stack", "checked")
        self.assertIn("passed   two check: second", done.stderr)
        self.assertNotIn("build ", done.stderr)
        self.assertEqual(done.stdout, "1 check passed\n")
        self.assertEqual(list((self.world.cache / "tmp").glob("check-*")), [])

    def test_on_another_cpu(self):
        text = (fixture.ROOT / "recipes/profiles/core2.yaml").read_text()
        (self.world.tree / "recipes/profiles/core2.yaml").write_text(text)
        done = self.world.run("check", "shout", "--cpu", "core2", "--stack", "checked")
        self.assertIn("1 check passed", done.stdout)
        self.assertTrue(list(self.world.cache.glob("logs/checked-1-checks-alone/check-core2-shout-shouts.log")))

    def test_mistakes_are_named(self):
        self.assertRegex(self.world.run("check", "two", "--name", "frist", "--stack", "checked", status=1).stderr, r'no check "frist"; there are: first, second, beside, leans, elsewhere')
        self.assertIn("no such check can run", self.world.run("check", "two", "--name", "elsewhere", "--stack", "checked", status=1).stderr)
        self.assertIn("bare/1 has no checks", self.world.run("check", "bare", "--stack", "checked", status=1).stderr)
        self.assertIn("shout", self.world.run("check", "shuot", "--stack", "checked", status=None).stderr)
        self.assertIn("k10", self.world.run("check", "two", "--cpu", "k11", "--stack", "checked", status=2).stderr)
        self.assertIn("usage", self.world.run("check", status=2).stderr)


class Tool(unittest.TestCase):
    """What a stack only builds with."""

    def test_it_is_in_no_bundle(self):
        world = fixture.World()
        self.addCleanup(world.close)
        world.script("hammer", install_script="mkdir -p $DESTDIR$PREFIX/share", more="checks:\n  - name: hits\n    shell: exit 0\n")
        world.script("nail", needs="needs:\n  build: [hammer]\n", install_script="mkdir -p $DESTDIR$PREFIX/share")
        world.stack("wood", {"nail": "1"}, pins={"hammer": "1"})
        self.assertIn("stack wood only builds with hammer/1", world.run("check", "hammer", "--stack", "wood", status=1).stderr)
