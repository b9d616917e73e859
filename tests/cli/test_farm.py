"""Beyond one machine: `build --only`, jobs for make, a box over ssh; with a remote between."""
import json
import pathlib
import subprocess
import unittest

import fixture
import sharing


class Only(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.world = fixture.World()
        cls.addClassCleanup(cls.world.close)
        cls.place = sharing.Place()
        cls.addClassCleanup(cls.place.close)
        cls.config = cls.place.folder / "config"
        cls.keys = json.loads(cls.world.run("keygen", "--json", "--recovery", cls.place.folder / "recovery.key", env={"IRONWHEEL_CONFIG": cls.config}).stdout)
        cls.events, cls.alone = cls.world.build("words")
        cls.number = 0

    def setUp(self):
        type(self).number += 1
        self.nas = self.place.folder / f"a nas {self.number}"
        self.world.server.seen.clear()

    def rig(self, name):
        """A store of its own; the toolchain's root is there already: unpacking it is most of the time, and not what is tested."""
        cache = self.world.folder / f"cache-{self.number}-{name}"
        if not cache.exists():
            cache.mkdir()
            subprocess.run(["cp", "-al", self.world.cache / "toolchains", cache], check=True)
        return {"IRONWHEEL_CONFIG": self.config, "IRONWHEEL_CACHE": cache}

    def only(self, rig, package, *options, status=0):
        done = self.world.run("build", "words", "--only", package, "--json", *options, env=self.rig(rig), status=status)
        return {event["type"]: event for event in map(json.loads, done.stdout.splitlines())}, done

    def test_one_package_after_the_other_on_two_rigs(self):
        """Each its own store; what the second needs comes from the place between."""
        said, _ = self.only("one", "libword", "--push-to", self.nas)
        self.assertEqual((said["only"]["outcome"], said["pushed"]["artifacts"]), ("built", 1))
        self.assertFalse(any("shout" in path for path, _ in self.world.server.seen), "nothing of the others was fetched")
        said, _ = self.only("two", "shout/2.0", "--push-to", self.nas)
        self.assertEqual((said["only"]["outcome"], said["pushed"]["artifacts"]), ("built", 1))
        self.assertEqual(sum(path.startswith("/files/libword") for path, _ in self.world.server.seen), 1, "the second rig took the package, and no source of it")
        self.assertEqual({path.name.split(".")[0] for path in (self.rig("two")["IRONWHEEL_CACHE"] / "artifacts").glob("*.json")}, {entry for entry in sharing.channel_of(self.nas)[1]["artifacts"]})
        # again, on either: nothing to do, and no byte is brought
        said, _ = self.only("three", "shout", "--push-to", self.nas)
        self.assertEqual(said["only"]["outcome"], "there")
        self.assertNotIn("pushed", said)
        self.assertFalse(list((self.rig("three")["IRONWHEEL_CACHE"] / "artifacts").glob("*.zst")))
        # the whole, from what is there: the same bundle as of one rig
        done = self.world.run("build", "words", "--json", "--push-to", self.nas, "-o", self.place.folder / "dist-three", env=self.rig("three"))
        events = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(self.world.built(events), [])
        result = next(event for event in events if event["type"] == "result")
        self.assertEqual((result["sha256"], result["tar_sha256"]), (self.alone["sha256"], self.alone["tar_sha256"]))
        self.assertEqual(list(sharing.channel_of(self.nas)[1]["bundles"]), [pathlib.Path(result["bundle"]).name.removesuffix(".tar.zst")])

    def test_what_is_missing_is_named(self):
        for options in ((), ("--push-to", self.nas)):
            _, done = self.only("one", "shout", *options, status=1)
            self.assertIn("shout/2.0 is built on what is neither in the store nor", done.stderr)
            self.assertIn("libword/1.0. `ironwheel build words --only libword` comes first", done.stderr)
        _, done = self.only("one", "shuot", status=1)
        self.assertIn('did you mean "shout"?', done.stderr)
        self.assertFalse(self.world.server.seen, "nothing was fetched for it")

    def test_without_a_key_nothing_is_built(self):
        env = self.rig("one") | {"IRONWHEEL_CONFIG": self.place.folder / "empty"}
        done = self.world.run("build", "words", "--only", "libword", "--push-to", self.nas, env=env, status=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("keygen", done.stderr)
        self.assertEqual(list((env["IRONWHEEL_CACHE"] / "artifacts").glob("*.zst")), [])

    def test_packages_without_a_bundle(self):
        env = self.rig("one")
        dist = self.place.folder / "no dist"
        self.world.run("build", "words", "--no-bundle", "-o", dist, env=env)
        self.assertFalse(dist.exists())
        self.assertEqual(self.world.run("plan", "words", env=env).stdout.count("reuse "), 2)


if __name__ == "__main__":
    unittest.main()
