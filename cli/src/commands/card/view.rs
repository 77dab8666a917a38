//! What people and programs see of a card and of its signatures. A card comes from others: nothing of it steers the
//! terminal.

use crate::{
    print,
    screen::{clean, escaped},
};
use longhaul_signing::{CardSignature, SIGNATURES_FIELD, SignatureVerification};
use serde_json::{Value, json};

/// JSON on several lines.
pub fn pretty(value: &Value) -> String {
    escaped(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()))
}

/// JSON on one line.
pub fn compact(value: &Value) -> String {
    escaped(&value.to_string())
}

/// A card, for people.
pub fn card(card: &Value) -> String {
    let mut text = format!("{}  {}\n", shown(&card["name"]), shown(&card["version"]));
    if let Some(description) = card["description"].as_str().filter(|text| !text.is_empty()) {
        text.extend([clean(description).as_str(), "\n"]);
    }
    text.push('\n');
    let mut rows = Vec::new();
    add(&mut rows, "interfaces", interfaces(card));
    add(&mut rows, "provider", provider(&card["provider"]));
    add(&mut rows, "read more", texts(&card["documentationUrl"]));
    add(&mut rows, "capabilities", capabilities(card));
    add(&mut rows, "extensions", list(&card["capabilities"]["extensions"], extension));
    add(&mut rows, "security", security(card));
    add(&mut rows, "reads", texts(&card["defaultInputModes"]));
    add(&mut rows, "writes", texts(&card["defaultOutputModes"]));
    add(&mut rows, "skills", list(&card["skills"], skill));
    add(&mut rows, "signatures", list(&card[SIGNATURES_FIELD], signature));
    text.push_str(&print::table(&rows));
    text
}

/// What each signature is worth, for people.
pub fn verdicts(verdicts: &[SignatureVerification]) -> String {
    let row = |(at, verdict): (usize, &SignatureVerification)| {
        let (state, why) = match &verdict.outcome {
            Ok(form) => ("valid", format!("covers {}", form.name())),
            Err(refused) => ("not valid", clean(&refused.to_string())),
        };
        let header = verdict.header.as_ref();
        let alg = header.map_or("?".to_owned(), |header| clean(&header.alg));
        let kid = header.and_then(|header| header.kid.as_deref()).map_or("-".to_owned(), clean);
        vec![format!("signature {}", at + 1), alg, kid, state.to_owned(), why]
    };
    print::table(&verdicts.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// The same for programs.
pub fn verdicts_as_json(verdicts: &[SignatureVerification]) -> Value {
    let one = |verdict: &SignatureVerification| {
        let header = verdict.header.as_ref();
        json!({
            "alg": header.map(|header| &header.alg),
            "kid": header.and_then(|header| header.kid.as_ref()),
            "jku": header.and_then(|header| header.jku.as_ref()),
            "valid": verdict.outcome.is_ok(),
            "covers": verdict.outcome.as_ref().ok().map(|form| form.name()),
            "problem": verdict.outcome.as_ref().err().map(ToString::to_string),
        })
    };
    let valid = verdicts.iter().any(|verdict| verdict.outcome.is_ok());
    json!({"valid": valid, "signatures": verdicts.iter().map(one).collect::<Vec<_>>()})
}

/// A row for each line, the name before the first.
fn add(rows: &mut Vec<Vec<String>>, name: &str, lines: Vec<String>) {
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    rows.extend(names.zip(lines).map(|(name, line)| vec![name.to_owned(), line]));
}

fn shown(value: &Value) -> String {
    value.as_str().filter(|text| !text.is_empty()).map_or("-".to_owned(), one_line)
}

fn one_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

fn list(value: &Value, line: impl Fn(&Value) -> String) -> Vec<String> {
    value.as_array().into_iter().flatten().map(line).collect()
}

/// A list of texts, or a text, on one line.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![one_line(text)],
        value => {
            let texts: Vec<String> = value
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(one_line)
                .collect();
            if texts.is_empty() { Vec::new() } else { vec![texts.join(", ")] }
        }
    }
}

/// Those of 1.0, or else those of 0.3.
fn interfaces(card: &Value) -> Vec<String> {
    let line = |binding: &Value, version: &Value, one: &Value| {
        let tenant = one["tenant"].as_str().filter(|tenant| !tenant.is_empty());
        let tenant = tenant.map(|tenant| format!("  tenant {}", one_line(tenant)));
        let (binding, version) = (shown(binding), shown(version));
        format!("{binding} {version}  {}{}", shown(&one["url"]), tenant.unwrap_or_default())
    };
    let of_1_0 = |one: &Value| line(&one["protocolBinding"], &one["protocolVersion"], one);
    if card["supportedInterfaces"].is_array() {
        return list(&card["supportedInterfaces"], of_1_0);
    }
    let version = &card["protocolVersion"];
    let mut lines = vec![line(&card["preferredTransport"], version, card)];
    let others = list(&card["additionalInterfaces"], |one| line(&one["transport"], version, one));
    lines.extend(others.into_iter().filter(|other| *other != lines[0]).collect::<Vec<_>>());
    lines
}

fn provider(provider: &Value) -> Vec<String> {
    if provider.is_null() {
        return Vec::new();
    }
    vec![format!("{}  {}", shown(&provider["organization"]), shown(&provider["url"]))]
}

fn capabilities(card: &Value) -> Vec<String> {
    let capabilities = &card["capabilities"];
    let extended = &capabilities["extendedAgentCard"] == true
        || card["supportsAuthenticatedExtendedCard"] == true;
    let names: Vec<&str> = [
        (capabilities["streaming"] == true, "streaming"),
        (capabilities["pushNotifications"] == true, "push notifications"),
        (extended, "extended card"),
    ]
    .into_iter()
    .filter_map(|(has, name)| has.then_some(name))
    .collect();
    vec![if names.is_empty() { "none".to_owned() } else { names.join(", ") }]
}

fn extension(extension: &Value) -> String {
    let required = if extension["required"] == true { "  (required)" } else { "" };
    format!("{}{required}", shown(&extension["uri"]))
}

/// What a caller must show; a line for each way.
fn security(card: &Value) -> Vec<String> {
    let of_1_0 = list(&card["securityRequirements"], |one| schemes(&one["schemes"]));
    if of_1_0.is_empty() { list(&card["security"], schemes) } else { of_1_0 }
}

fn schemes(schemes: &Value) -> String {
    let names: Vec<String> =
        schemes.as_object().into_iter().flatten().map(|(name, _)| one_line(name)).collect();
    names.join(" and ")
}

fn skill(skill: &Value) -> String {
    format!("{}  {}", shown(&skill["id"]), shown(&skill["description"]))
}

fn signature(signature: &Value) -> String {
    let read = serde_json::from_value::<CardSignature>(signature.clone()).ok();
    let Some(header) = read.and_then(|signature| signature.protected_header()) else {
        return "cannot be read".to_owned();
    };
    let [kid, jku] =
        [header.kid, header.jku].map(|text| text.map_or("-".to_owned(), |text| one_line(&text)));
    format!("{}  {kid}  {jku}", one_line(&header.alg))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::{SignatureRejection, SignedForm};

    #[test]
    fn a_card_is_readable() {
        let text = card(&json!({
            "name": "echo", "version": "1.0.0", "description": "Answers\u{1b}",
            "supportedInterfaces": [
                {"url": "http://a/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"},
                {"url": "http://a/", "protocolBinding": "HTTP+JSON", "protocolVersion": "1.0", "tenant": "t"}],
            "capabilities": {"streaming": true, "extensions": [{"uri": "urn:x", "required": true}]},
            "securityRequirements": [{"schemes": {"bearer": {}}}, {"schemes": {"a": {}, "b": {}}}],
            "defaultInputModes": ["text/plain", "*/*"],
            "skills": [{"id": "s", "description": "One\nline"}],
            "signatures": [{"protected": "?", "signature": ""}]}));
        let expected = "echo  1.0.0
Answers\u{fffd}

interfaces    JSONRPC 1.0  http://a/
              HTTP+JSON 1.0  http://a/  tenant t
capabilities  streaming
extensions    urn:x  (required)
security      bearer
              a and b
reads         text/plain, */*
skills        s  One line
signatures    cannot be read
";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_of_a_card_steers_no_terminal_either() {
        let card = json!({"name": "a\u{9b}2J\u{85}\u{202e}"});
        for text in [pretty(&card), compact(&card)] {
            assert!(text.contains(r"a\u009b2J\u0085\u202e"), "{text}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), card);
        }
    }

    #[test]
    fn a_card_of_0_3_shows_its_interfaces_too() {
        let text = card(&json!({
            "name": "old", "version": "1", "protocolVersion": "0.3.0", "url": "http://a/",
            "preferredTransport": "JSONRPC", "security": [{"key": []}],
            "additionalInterfaces": [
                {"url": "http://a/", "transport": "JSONRPC"}, {"url": "http://a/v1", "transport": "HTTP+JSON"}]}));
        for line in [
            "interfaces    JSONRPC 0.3.0  http://a/\n",
            "HTTP+JSON 0.3.0  http://a/v1\n",
            "security      key\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert_eq!(text.matches("JSONRPC").count(), 1, "{text}");
    }

    #[test]
    fn anything_at_all_can_be_shown() {
        for odd in [json!(null), json!([1]), json!({"skills": 5, "capabilities": [], "name": {}})] {
            assert!(card(&odd).contains("capabilities"));
        }
    }

    #[test]
    fn every_signature_says_what_it_is_worth() {
        let all = [
            SignatureVerification { header: None, outcome: Err(SignatureRejection::Unreadable) },
            SignatureVerification { header: None, outcome: Ok(SignedForm::Specification) },
        ];
        let text = verdicts(&all);
        assert!(text.contains("signature 1  ?  -  not valid  it cannot be read"), "{text}");
        assert!(text.contains("signature 2  ?  -  valid      covers the 1.0 card"), "{text}");
        let json = verdicts_as_json(&all);
        assert_eq!(json["valid"], true);
        assert_eq!(json["signatures"][0]["valid"], false);
        assert_eq!(json["signatures"][1]["covers"], "the 1.0 card");
    }
}
