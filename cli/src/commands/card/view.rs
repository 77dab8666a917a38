//! Cards and signatures as text and as JSON. A card may come from anyone, so its text is cleaned of
//! everything that steers a terminal.

use crate::{
    screen::{clean, escaped},
    table::table_without_header,
};
use longhaul_signing::{CardSignature, SIGNATURES_FIELD, SignatureVerification};
use serde_json::{Value, json};

/// Formats JSON on several lines.
pub fn pretty(value: &Value) -> String {
    escaped(&serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()))
}

/// Formats JSON on one line.
pub fn compact(value: &Value) -> String {
    escaped(&value.to_string())
}

/// Formats a card for people.
pub fn card(card: &Value) -> String {
    let mut text = format!("{}  {}\n", text_or_dash(&card["name"]), text_or_dash(&card["version"]));
    if let Some(description) = card["description"].as_str().filter(|text| !text.is_empty()) {
        text.extend([clean(description).as_str(), "\n"]);
    }
    text.push('\n');
    let mut rows = Vec::new();
    add_rows(&mut rows, "interfaces", interfaces(card));
    add_rows(&mut rows, "provider", provider(&card["provider"]));
    add_rows(&mut rows, "read more", texts(&card["documentationUrl"]));
    add_rows(&mut rows, "capabilities", capabilities(card));
    add_rows(&mut rows, "extensions", list(&card["capabilities"]["extensions"], extension));
    add_rows(&mut rows, "security", security(card));
    add_rows(&mut rows, "reads", texts(&card["defaultInputModes"]));
    add_rows(&mut rows, "writes", texts(&card["defaultOutputModes"]));
    add_rows(&mut rows, "skills", list(&card["skills"], skill));
    add_rows(&mut rows, "signatures", list(&card[SIGNATURES_FIELD], signature));
    text.push_str(&table_without_header(rows));
    text
}

/// Formats the verification of each signature for people.
pub fn verification_table(verifications: &[SignatureVerification]) -> String {
    let row = |(at, verification): (usize, &SignatureVerification)| {
        let (state, why) = match &verification.outcome {
            Ok(form) => ("valid", format!("covers {}", form.name())),
            Err(rejection) => ("not valid", clean(&rejection.to_string())),
        };
        let header = verification.header.as_ref();
        let alg = header.map_or("?".to_owned(), |header| clean(&header.alg));
        let kid = header.and_then(|header| header.kid.as_deref()).map_or("-".to_owned(), clean);
        vec![format!("signature {}", at + 1), alg, kid, state.to_owned(), why]
    };
    table_without_header(verifications.iter().enumerate().map(row))
}

/// Converts the verifications to JSON.
pub fn verifications_json(verifications: &[SignatureVerification]) -> Value {
    let one = |verification: &SignatureVerification| {
        let header = verification.header.as_ref();
        json!({
            "alg": header.map(|header| &header.alg),
            "kid": header.and_then(|header| header.kid.as_ref()),
            "jku": header.and_then(|header| header.jku.as_ref()),
            "valid": verification.outcome.is_ok(),
            "covers": verification.outcome.as_ref().ok().map(|form| form.name()),
            "problem": verification.outcome.as_ref().err().map(ToString::to_string),
        })
    };
    let valid = verifications.iter().any(|verification| verification.outcome.is_ok());
    json!({"valid": valid, "signatures": verifications.iter().map(one).collect::<Vec<_>>()})
}

/// Adds a row for each line, the name before the first.
fn add_rows(rows: &mut Vec<Vec<String>>, name: &str, lines: Vec<String>) {
    let names = std::iter::once(name).chain(std::iter::repeat(""));
    rows.extend(names.zip(lines).map(|(name, line)| vec![name.to_owned(), line]));
}

fn text_or_dash(value: &Value) -> String {
    value.as_str().filter(|text| !text.is_empty()).map_or("-".to_owned(), one_line)
}

fn one_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

fn list(value: &Value, line: impl Fn(&Value) -> String) -> Vec<String> {
    value.as_array().into_iter().flatten().map(line).collect()
}

/// Formats a text or a list of texts on one line.
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

/// Formats the interfaces of a 1.0 card, or else of a 0.3 card.
fn interfaces(card: &Value) -> Vec<String> {
    let line = |binding: &Value, version: &Value, one: &Value| {
        let tenant = one["tenant"].as_str().filter(|tenant| !tenant.is_empty());
        let tenant = tenant.map(|tenant| format!("  tenant {}", one_line(tenant)));
        let (binding, version) = (text_or_dash(binding), text_or_dash(version));
        format!("{binding} {version}  {}{}", text_or_dash(&one["url"]), tenant.unwrap_or_default())
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
    vec![format!("{}  {}", text_or_dash(&provider["organization"]), text_or_dash(&provider["url"]))]
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
    format!("{}{required}", text_or_dash(&extension["uri"]))
}

/// Formats the accepted combinations of credentials, one a line.
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
    format!("{}  {}", text_or_dash(&skill["id"]), text_or_dash(&skill["description"]))
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
    fn json_of_a_card_cannot_steer_the_terminal() {
        let card = json!({"name": "a\u{9b}2J\u{85}\u{202e}"});
        for text in [pretty(&card), compact(&card)] {
            assert!(text.contains(r"a\u009b2J\u0085\u202e"), "{text}");
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), card);
        }
    }

    #[test]
    fn interfaces_of_a_0_3_card_are_shown() {
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
    fn any_json_can_be_shown() {
        for odd in [json!(null), json!([1]), json!({"skills": 5, "capabilities": [], "name": {}})] {
            assert!(card(&odd).contains("capabilities"));
        }
    }

    #[test]
    fn every_signature_is_shown_with_its_verification() {
        let all = [
            SignatureVerification { header: None, outcome: Err(SignatureRejection::Unreadable) },
            SignatureVerification { header: None, outcome: Ok(SignedForm::Specification) },
        ];
        let text = verification_table(&all);
        assert!(text.contains("signature 1  ?  -  not valid  it cannot be read"), "{text}");
        assert!(text.contains("signature 2  ?  -  valid      covers the 1.0 card"), "{text}");
        let json = verifications_json(&all);
        assert_eq!(json["valid"], true);
        assert_eq!(json["signatures"][0]["valid"], false);
        assert_eq!(json["signatures"][1]["covers"], "the 1.0 card");
    }
}
