"""Each check finds what it is for, and nothing in what is right."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import architecture
import licences
import migrations
import paths
import unsafe_code
from rules import REGISTRY, UNSAFE_IN, UNSAFE_MAX_LINES


def package(name, uses=(), licence="MIT", source=None):
    dependencies = [{"name": used, "kind": kind} for used, kind in uses]
    return {
        "id": name, "name": name, "version": "1.0.0", "license": licence, "source": source, "dependencies": dependencies,
    }


def world(*packages):
    nodes = [
        {
            "id": one["id"],
            "deps": [{"pkg": d["name"], "dep_kinds": [{"kind": d["kind"]}]} for d in one["dependencies"]],
        }
        for one in packages
    ]
    members = [one["id"] for one in packages if one["id"].startswith("longhaul")]
    return {"packages": list(packages), "workspace_members": members, "resolve": {"nodes": nodes}}


class Licences(unittest.TestCase):
    def test_an_expression_is_met_by_allowed_licences_alone(self):
        for good in [
            "MIT", "MIT/Apache-2.0", "MIT OR GPL-3.0", "(MIT OR GPL-3.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception", "GPL-3.0 AND ISC OR MIT",
        ]:
            self.assertTrue(licences.is_allowed(good), good)
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "MIT OR", "", "(MIT", "MIT MIT", "GPL-2.0 WITH LLVM-exception"]:
            self.assertFalse(licences.is_allowed(bad), bad)

    def test_a_foreign_source_and_a_missing_licence_are_found(self):
        good = package("good", source=REGISTRY)
        self.assertEqual(list(licences.check(world(good))), [])
        bad = package("bad", licence=None, source="git+https://example.org/bad")
        self.assertEqual(len(list(licences.check(world(good, bad)))), 2)


class Architecture(unittest.TestCase):
    def findings(self, *packages):
        return list(architecture.check(world(*packages)))

    def test_the_right_directions_pass(self):
        domain = package("longhaul-domain")
        store = package("longhaul-store", [("longhaul-domain", None), ("longhaul-store-sqlite", "dev")])
        sqlite = package("longhaul-store-sqlite", [("longhaul-store", None), ("rusqlite", None)])
        self.assertEqual(self.findings(domain, store, sqlite, package("rusqlite")), [])

    def test_api_and_worker_stay_apart_also_in_tests(self):
        api = package("longhaul-api", [("longhaul-worker", "dev")])
        worker = package("longhaul-worker", [("longhaul-api", None)])
        self.assertEqual(len(self.findings(api, worker)), 2)

    def test_a_crate_behind_a_seam_is_found_elsewhere_also_in_tests(self):
        api = package("longhaul-api", [("sqlx", "dev")])
        self.assertIn("longhaul-store-postgres", self.findings(api, package("sqlx"))[0])

    def test_domain_reaches_no_io_through_others_but_its_tests_may(self):
        helper = package("helper", [("tokio", None)])
        domain = package("longhaul-domain", [("helper", None)])
        self.assertIn("longhaul-domain -> helper -> tokio", self.findings(domain, helper, package("tokio"))[0])
        domain = package("longhaul-domain", [("helper", "dev")])
        self.assertEqual(self.findings(domain, helper, package("tokio")), [])

    def test_a_new_crate_needs_a_layer(self):
        self.assertIn("has no layer", self.findings(package("longhaul-new"))[0])


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name).resolve()
        self.git("init", "-q")

    def git(self, *arguments):
        identity = ["-c", "user.name=check", "-c", "user.email=check@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(self.root), *identity, *arguments], check=True, capture_output=True)

    def test_a_committed_migration_may_be_neither_edited_nor_removed(self):
        folder = self.root / "migrations"
        folder.mkdir()
        for name in ["1.sql", "2.sql", "3.sql"]:
            (folder / name).write_text("select 1;\n")
        self.assertEqual(list(migrations.check(self.root, "HEAD")), [])
        self.git("add", ".")
        self.git("commit", "-q", "--no-verify", "-m", "first")
        (folder / "4.sql").write_text("select 4;\n")
        self.assertEqual(list(migrations.check(self.root, "HEAD")), [])
        (folder / "1.sql").write_text("select 2;\n")
        (folder / "2.sql").unlink()
        self.assertEqual(len(list(migrations.check(self.root, "HEAD"))), 2)

    def crate(self, name, lints, source):
        folder = self.root / name
        (folder / "src").mkdir(parents=True)
        (folder / "Cargo.toml").write_text(lints)
        (folder / "src" / "lib.rs").write_text(source)
        return {"id": name, "name": name, "manifest_path": str(folder / "Cargo.toml")}

    def test_unsafe_stands_in_one_small_crate_with_its_reasons(self):
        (self.root / "Cargo.toml").write_text('[workspace.lints.rust]\nunsafe_code = "forbid"\n')
        plain = self.crate("longhaul-plain", "[lints]\nworkspace = true\n", "")
        own = '[lints.rust]\nunsafe_code = "deny"\n'
        good = self.crate(UNSAFE_IN, own, "// SAFETY: it is\nlet x = unsafe { f() };\n")

        def findings(*packages):
            members = [one["id"] for one in packages]
            world = {"packages": list(packages), "workspace_members": members, "workspace_root": str(self.root)}
            return list(unsafe_code.check(world))

        self.assertEqual(findings(plain, good), [])
        template = self.crate("longhaul-template", "", "// nothing unsafe\nfn f() {}\n")
        self.assertEqual(findings(template), [])
        other = self.crate("longhaul-other", own, "unsafe { f() }\n")
        self.assertEqual(len(findings(other)), 1)
        source = Path(good["manifest_path"]).parent / "src" / "lib.rs"
        source.write_text("unsafe { f() }\n" + "\n" * UNSAFE_MAX_LINES)
        self.assertEqual(len(findings(good)), 2)
        Path(good["manifest_path"]).write_text("")
        self.assertEqual(len(findings(good)), 3)

    def test_a_path_of_this_machine_is_found_in_files_that_git_would_take(self):
        (self.root / ".gitignore").write_text("ignored\n")
        (self.root / "ignored").write_text(f"{self.root}/x\n")
        (self.root / "fine").write_text("deploy" + paths.FOLDERS[0] + "x, ./src, https://example.org/x\n")
        self.assertEqual(list(paths.check(self.root, "/nobody")), [])
        (self.root / "bad").write_text(f"fine\nsee {self.root}/target\n")
        (self.root / "worse").write_text("HOME=/somewhere/ann/x\n")
        findings = list(paths.check(self.root, "/somewhere/ann"))
        self.assertEqual([finding.split()[0] for finding in findings], ["bad:2", "worse:1"])
