//! `longhaul card sign`.

use super::{source, view};
use crate::{
    args::SignCardArgs,
    exit::{CommandError, CommandResult, Completion},
    print,
};
use longhaul_signing::{CardSignature, KeyRing, PrivateKey, SIGNATURES_FIELD};
use serde_json::Value;
use std::{fs, path::Path};

/// Runs the command.
pub fn run(args: &SignCardArgs) -> CommandResult {
    let key = source::read_key(&args.key, PrivateKey::from_pem)?;
    if let Some(Err(error)) = args.jku.as_deref().map(longhaul_client::Url::parse) {
        return Err(CommandError::usage(format!("--jku: is no URL: {error}")));
    }
    let card = source::read_json(&args.card)?;
    let signed = signed(card, key, args.jku.as_deref())
        .map_err(|error| CommandError::failed(format!("{}: {error}", args.card)))?;
    let text = view::pretty(&signed);
    match &args.out {
        None => print::line(&text)?,
        Some(path) => replace(path, &format!("{text}\n"))?,
    }
    Ok(Completion::Ok)
}

/// Signs the card. Signatures of other keys stay; earlier ones of this key are dropped, because the
/// card may have changed.
fn signed(
    mut card: Value,
    key: PrivateKey,
    jku: Option<&str>,
) -> Result<Value, longhaul_signing::SignError> {
    let ring = KeyRing::new(Some(key), []);
    // A signature names its key in the protected header.
    let is_own = |signature: &Value| {
        let read = serde_json::from_value::<CardSignature>(signature.clone()).ok();
        let header = read.and_then(|signature| signature.protected_header());
        header.is_some_and(|header| header.kid.as_deref() == ring.kid())
    };
    let made = ring.sign(&card, jku)?;
    let before = card.get(SIGNATURES_FIELD).and_then(Value::as_array).cloned().unwrap_or_default();
    let kept = before.into_iter().filter(|signature| !is_own(signature));
    let made = made.iter().filter_map(|signature| serde_json::to_value(signature).ok());
    card[SIGNATURES_FIELD] = kept.chain(made).collect();
    Ok(card)
}

/// Writes a new file and renames it, so that a crash leaves no partial file.
fn replace(path: &Path, text: &str) -> Result<(), CommandError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    // In the same folder, hence on the same file system: the rename is atomic.
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.map_err(|error| {
        CommandError::failed(format!("{}: cannot be written: {error}", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_signing::Algorithm;
    use serde_json::json;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::generate(Algorithm::EdDsa, || [seed; 32])
    }

    #[test]
    fn signatures_of_other_keys_stay_and_those_of_this_key_are_renewed() {
        let card = json!({"name": "a", "signatures": [{"protected": "?", "signature": ""}]});
        let once = signed(card, key(1), None).unwrap();
        let mut changed = signed(once.clone(), key(2), None).unwrap();
        changed["name"] = "b".into();
        let again = signed(changed.clone(), key(1), None).unwrap();
        let count = |card: &Value| card[SIGNATURES_FIELD].as_array().unwrap().len();
        assert_eq!(count(&again), count(&changed));
        assert_eq!(again[SIGNATURES_FIELD][0]["protected"], "?");
        let old = &once[SIGNATURES_FIELD][1];
        assert!(!again[SIGNATURES_FIELD].as_array().unwrap().contains(old));
    }

    #[test]
    fn json_that_is_no_card_is_refused() {
        assert!(signed(json!([1]), key(1), None).is_err());
    }
}
