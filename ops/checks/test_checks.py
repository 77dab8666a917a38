"""Each check finds what it is for, and nothing in what is right."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import architecture
import deny
import licences
import migrations
import paths
import rust_files
import style
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
        api = package("longhaul-api", [("sqlx-core", "dev")])
        self.assertIn("longhaul-store-postgres", self.findings(api, package("sqlx-core"))[0])

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


class Deny(unittest.TestCase):
    TOLD = {"licenses": {"allow": ["MIT"]}, "bans": {"deny": [{"crate": "lapin", "wrappers": ["dispatch"]}]}}

    def test_the_same_rules_pass_and_others_are_found(self):
        good = {"lapin": {"dispatch"}}
        self.assertEqual(list(deny.compare(self.TOLD, {"lapin"}, good, {"MIT"})), [])
        self.assertEqual(len(list(deny.compare(self.TOLD, set(), good, {"MIT"}))), 1)
        self.assertEqual(len(list(deny.compare(self.TOLD, {"lapin"}, {"lapin": {"api"}}, {"MIT"}))), 1)
        self.assertEqual(len(list(deny.compare(self.TOLD, {"lapin"}, good, {"MIT", "ISC"}))), 1)


class Style(unittest.TestCase):
    def words(self, text):
        return list(style._words("a.rs", text))

    def test_a_doc_comment_begins_with_a_noun_or_a_verb(self):
        self.assertEqual(self.words("/// The key.\n/// Of two, the last one.\nfn key() {}\n"), [])
        self.assertEqual(len(self.words("/// Whether it ends.\nfn ends() {}\n")), 1)
        self.assertEqual(len(self.words("//! What is kept.\n")), 1)
        # Strings and ordinary comments may begin as they like.
        self.assertEqual(self.words('// When both race, the first wins.\nlet a = "/// What";\n'), [])

    def test_phrases_and_names_are_found(self):
        self.assertEqual(len(self.words("// It takes the long way.\n")), 1)
        self.assertEqual(len(self.words("struct House;\n")), 1)
        self.assertEqual(self.words("struct Household; // the houses\n"), [])

    def test_few_comments_are_found(self):
        code = "let a = 1;\n" * 1_000
        self.assertEqual(len(list(style.few_comments("a", [code]))), 1)
        self.assertEqual(list(style.few_comments("a", [code, "// Why.\n" * 20])), [])
        self.assertEqual(list(style.few_comments("a", ["let a = 1;\n" * 10])), [])

    def test_use_trees_are_expanded(self):
        self.assertEqual(rust_files.expand("a::{b, c::{d as e, f}}"), ["a::b", "a::c::d", "a::c::f"])

    def crate(self, **files):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        source = Path(folder.name) / "src"
        for name, text in files.items():
            file = source / (name.replace("__", "/") + ".rs")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return rust_files.Crate(source)

    def test_files_that_use_each_other_are_found(self):
        crate = self.crate(
            lib="mod a;\nmod b;\npub use a::A;\n",
            a="use crate::b::B;\npub struct A(B);\n",
            b="pub struct B;\npub fn make(a: &crate::A) {}\n",
        )
        self.assertEqual(crate.circles(), [["src/a.rs", "src/b.rs"]])

    def test_a_file_may_use_the_type_of_its_folder_and_tests_may_use_everything(self):
        crate = self.crate(
            lib="mod a;\n",
            a__mod="mod b;\npub struct A;\nfn f() { b::g() }\n",
            a__b="use super::A;\npub fn g() {}\n#[cfg(test)]\nmod tests {\n    use crate::a::b::g;\n}\n",
        )
        self.assertEqual(crate.circles(), [])
