//! `[cards]`.

use super::{load, refused, sources};
use crate::settings::Settings;

#[test]
fn keys_that_the_file_names_are_relative_to_it_and_others_to_where_the_command_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("longhaul.toml");
    std::fs::write(&path, "[cards]\nsigning_keys = [\"a.pem\", \"/b.pem\"]\n").unwrap();
    let variable = ("LONGHAUL_CARDS_PUBLISHED_KEYS", "c.pem, d.pem");
    let settings = Settings::load(sources(Some(path), &[variable], &[])).unwrap();
    let beside = folder.path().join("a.pem");
    assert_eq!(settings.cards.signing_keys, [beside.to_str().unwrap(), "/b.pem"]);
    assert_eq!(settings.cards.published_keys, ["c.pem", "d.pem"]);
}

#[test]
fn a_bad_section_is_refused_with_key_and_line() {
    for (file, parts) in [
        ("[cards]\nsigning_keys = [\"\"]", &["cards.signing_keys[0]", "toml:2", "PEM"][..]),
        ("[cards]\njku = \"keys.json\"", &["cards.jku", "toml:2", "https://"]),
        ("[cards]\nsigning_key = \"a\"", &["did you mean cards.signing_keys?"]),
    ] {
        refused(load(file, &[], &[]), parts);
    }
}
