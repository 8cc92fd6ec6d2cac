#!/usr/bin/env python3
"""Tests release.py on a copy of the tree's files that it reads. No network, nothing compiled."""

import contextlib
import datetime
import hashlib
import io
import os
import pathlib
import shutil
import tarfile
import tempfile
import unittest

import release

# What the command line answers to release.py.
PROGRAM = """#!/bin/sh
case $1 in
  --version) echo "tidegate 7.8.9" ;;
  completion) echo "completion for $2" ;;
  man) echo page >"$2/tidegate.1"; echo page >"$2/tidegate-run.1" ;;
esac
"""
DAY = datetime.date(2026, 2, 3)


class Release(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name) / "tree"
        names = {path for path, _ in release.places(release.ROOT)}
        manifests = {str(path.relative_to(release.ROOT)) for path in release.ROOT.glob("*/Cargo.toml")}
        for name in names | manifests | {"CHANGELOG.md", "LICENSE", "README.md"}:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(release.ROOT / name, self.root / name)
        self.out = self.root / "out"
        self.program = self.root / "tidegate"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)

    def change(self, name, old, new):
        text = (self.root / name).read_text()
        self.assertIn(old, text)
        (self.root / name).write_text(text.replace(old, new))

    def prepare(self):
        self.change("CHANGELOG.md", "\n## Unreleased\n", "\n## Unreleased\n\n- A change.\n\n")
        release.prepare(self.root, "7.8.9", DAY)

    def test_the_tree_has_one_version(self):
        current = release.re.search(release.PLACES[0][1], (release.ROOT / "Cargo.toml").read_text()).group(1)
        self.assertEqual(release.check(release.ROOT, f"v{current}"), current)

    def test_a_prepared_tree_passes_the_check(self):
        self.prepare()
        self.assertEqual(release.check(self.root, "v7.8.9"), "7.8.9")
        self.assertIn("A change.", release.notes(self.root, "7.8.9"))

    def test_preparing_leaves_other_versions_alone(self):
        lock = (self.root / "Cargo.lock").read_text()
        self.prepare()
        before, after = lock.splitlines(), (self.root / "Cargo.lock").read_text().splitlines()
        changed = [i for i, line in enumerate(before) if line != after[i]]
        self.assertEqual(len(changed), len(list(release.members(self.root))))
        for i in changed:
            self.assertTrue(before[i - 1].startswith('name = "tidegate-'), before[i - 1])

    def test_notes_are_the_section_of_the_version_alone(self):
        log = "# Changelog\n\n## Unreleased\n\n- x\n\n## 2.0.0 - 2026-01-02\n\n- two\n\n## 1.0.0 - 2025-01-02\n\n- one\n"
        (self.root / "CHANGELOG.md").write_text(log)
        self.assertEqual(release.notes(self.root, "2.0.0"), "- two\n")
        self.assertEqual(release.notes(self.root, "1.0.0"), "- one\n")

    def test_a_version_without_notes_is_refused(self):
        with self.assertRaisesRegex(release.Fault, "release.py prepare 7.8.9"):
            release.notes(self.root, "7.8.9")

    def test_a_version_is_prepared_once(self):
        self.prepare()
        with self.assertRaisesRegex(release.Fault, "7.8.9 already"):
            release.prepare(self.root, "7.8.9", DAY)

    def test_each_place_with_another_version_is_named(self):
        self.prepare()
        self.change("charts/tidegate/Chart.yaml", "appVersion: 7.8.9", "appVersion: 7.8.8")
        self.change("Dockerfile", "ARG VERSION=7.8.9", "ARG VERSION=7.8.7")
        with self.assertRaisesRegex(release.Fault, "(?s)Chart.yaml: 7.8.8.*Dockerfile: 7.8.7"):
            release.check(self.root, "v7.8.9")

    def test_a_place_that_names_no_version_is_a_fault(self):
        self.prepare()
        self.change("examples/echo/backend.yaml", "tidegate:7.8.9", "tidegate:latest")
        with self.assertRaisesRegex(release.Fault, "backend.yaml: no version"):
            release.check(self.root, "v7.8.9")

    def test_tags_of_other_kinds_are_refused(self):
        for tag in ["1.2.3", "v1.2", "v1.2.3.4", "vnext", "v1.2.3;x"]:
            with self.subTest(tag), self.assertRaises(release.Fault):
                release.version_of(tag)
        self.assertEqual(release.version_of("v1.2.3-rc.1"), "1.2.3-rc.1")

    def test_an_archive_has_completions_and_man_pages_and_is_reproducible(self):
        path = release.archive(self.root, "7.8.9", "x86_64-unknown-linux-gnu", self.program, self.out)
        self.assertEqual(path.name, "tidegate-7.8.9-x86_64-unknown-linux-gnu.tar.gz")
        first = path.read_bytes()
        with tarfile.open(path) as tar:
            names = [name.split("/", 1)[1] for name in tar.getnames()]
            self.assertTrue(tar.getmember(tar.getnames()[0]).mode & 0o111)
        wanted = ["tidegate", "LICENSE", "README.md", "CHANGELOG.md", "completions/tidegate.bash", "completions/_tidegate"]
        wanted += ["completions/tidegate.fish", "man/man1/tidegate-run.1", "man/man1/tidegate.1"]
        self.assertEqual(names, wanted)
        release.archive(self.root, "7.8.9", "x86_64-unknown-linux-gnu", self.program, self.out)
        self.assertEqual(path.read_bytes(), first)

    def test_a_program_of_another_version_is_not_packed(self):
        with self.assertRaisesRegex(release.Fault, "7.8.9, not 7.8.8"):
            release.archive(self.root, "7.8.8", "x86_64-unknown-linux-gnu", self.program, self.out)

    def test_checksums_cover_every_file(self):
        self.out.mkdir()
        (self.out / "a.tgz").write_bytes(b"a")
        (self.out / "b.tgz").write_bytes(b"b")
        release.checksums(self.out)
        release.checksums(self.out)
        lines = (self.out / "SHA256SUMS").read_text().splitlines()
        self.assertEqual(lines[0], hashlib.sha256(b"a").hexdigest() + "  a.tgz")
        self.assertEqual([line.split()[1] for line in lines], ["a.tgz", "b.tgz"])

    def test_a_dry_run_makes_all_files_and_leaves_the_tree(self):
        self.prepare()
        before = (self.root / "CHANGELOG.md").read_text()
        os.environ.pop("HELM", None)
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(io.StringIO()):
            release.dry_run(self.root, "v7.8.9", self.program, self.out)
        self.assertIn("the tree is 7.8.9", said.getvalue())
        self.assertTrue((self.out / "SHA256SUMS").exists())
        self.assertEqual((self.root / "CHANGELOG.md").read_text(), before)


if __name__ == "__main__":
    unittest.main(verbosity=1)
