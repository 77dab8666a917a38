//! Tests of `[cards]`.

use super::{load, refused, sources};
use crate::settings::Settings;

#[test]
fn key_paths_are_relative_to_the_file_that_sets_them_or_to_the_working_directory() {
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
fn a_provider_is_set_by_variables_too() {
    let variables = [
        ("LONGHAUL_CARDS_PROVIDER", "Us"),
        ("LONGHAUL_CARDS_PROVIDER_URL", "https://us.example/about?lang=en#us"),
    ];
    let cards = load("", &variables, &[]).unwrap().cards;
    assert_eq!(cards.provider.as_deref(), Some("Us"));
    assert_eq!(cards.provider_url.as_deref(), Some("https://us.example/about?lang=en#us"));
}

#[test]
fn a_bad_section_is_rejected_with_key_and_line() {
    for (file, parts) in [
        ("[cards]\nsigning_keys = [\"\"]", &["cards.signing_keys[0]", "toml:2", "PEM"][..]),
        ("[cards]\njku = \"keys.json\"", &["cards.jku", "toml:2", "https://"]),
        ("[cards]\nprovider = \"Us\"", &["cards.provider", "toml:2", "cards.provider_url"]),
        ("[cards]\nprovider_url = \"https://us.example\"", &["cards.provider_url", "toml:2"]),
        ("[cards]\nprovider = \" \"\nprovider_url = \"https://a\"", &["cards.provider", "empty"]),
        ("[cards]\nprovider = \"Us\"\nprovider_url = \"us\"", &["cards.provider_url", "toml:3"]),
        ("[cards]\ndocumentation_url = \"/docs\"", &["cards.documentation_url", "http://"]),
        ("[cards]\nicon_url = \"https://?\"", &["cards.icon_url", "https://"]),
        ("[cards]\nsigning_key = \"a\"", &["did you mean cards.signing_keys?"]),
    ] {
        refused(load(file, &[], &[]), parts);
    }
}
