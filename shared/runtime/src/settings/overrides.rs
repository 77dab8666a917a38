//! Overrides of the file: environment variables `LONGHAUL_<SECTION>_<KEY>`, and flags.

use std::{ffi::OsString, net::IpAddr};

use toml::{Table, Value};

use super::{
    error::{KeyOrigins, SettingOrigin, SettingsError},
    schema::{SettingSection, ValueKind, nearest},
    sections::{Settings, kind_of},
};

/// A value set by a flag.
#[derive(Debug, Clone)]
pub struct SettingOverride {
    /// The key as a dotted path, such as `server.listen`.
    pub key: String,
    /// The text of the value.
    pub value: String,
    /// The flag as written by the user, such as `--listen`.
    pub flag: String,
}

/// The variable that names the configuration file.
pub(super) const CONFIG_VARIABLE: &str = "LONGHAUL_CONFIG";
const VARIABLE_PREFIX: &str = "LONGHAUL_";
/// Variables of the client commands, which are no settings.
const CLIENT_VARIABLES: [&str; 2] = ["LONGHAUL_URL", "LONGHAUL_API_KEY"];
const TEST_VARIABLE_PREFIX: &str = "LONGHAUL_TEST_";

/// The keys that variables can set, as pairs of dotted path and variable.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    Settings::FIELDS
        .iter()
        .filter_map(|section| match section.kind {
            ValueKind::Table(fields) => Some(fields.iter().map(|field| (section.name, field.name))),
            _ => None,
        })
        .flatten()
        .map(|(section, field)| (format!("{section}.{field}"), variable(section, field)))
}

fn variable(section: &str, field: &str) -> String {
    format!("{VARIABLE_PREFIX}{section}_{field}").to_ascii_uppercase()
}

/// Overrides values in `table` by variables. Empty variables are ignored; unknown ones that begin
/// with `LONGHAUL_` are errors.
pub(super) fn apply_variables(
    variables_set: &[(String, String)],
    table: &mut Table,
    origins: &mut KeyOrigins,
) -> Result<(), SettingsError> {
    let known: Vec<(String, String)> = variables().collect();
    for (name, text) in variables_set {
        // Ours are settings only: skip those of the client commands, of tests, and the name of the
        // file.
        let other = !name.starts_with(VARIABLE_PREFIX)
            || name.starts_with(TEST_VARIABLE_PREFIX)
            || name == CONFIG_VARIABLE
            || CLIENT_VARIABLES.contains(&name.as_str());
        if other || text.is_empty() {
            continue;
        }
        let Some((path, _)) = known.iter().find(|(_, variable)| variable == name) else {
            // Kubernetes sets these for a service called longhaul; they are no mistake of the
            // operator.
            if is_kubernetes_variable(name, text) {
                continue;
            }
            return Err(unknown_variable(name, &known));
        };
        set(path, text, SettingOrigin::Environment(name.clone()), table, origins)?;
    }
    Ok(())
}

fn unknown_variable(name: &str, known: &[(String, String)]) -> SettingsError {
    let names = known.iter().map(|(_, variable)| variable.as_str()).chain([CONFIG_VARIABLE]);
    SettingsError::new("", SettingOrigin::Environment(name.to_owned()), "unknown setting")
        .nearest(nearest(name, names).map(str::to_owned))
        .allowed("LONGHAUL_CONFIG and LONGHAUL_<SECTION>_<KEY>, such as LONGHAUL_SERVER_LISTEN")
}

/// The variables that look like settings but are ignored, because Kubernetes sets them for services
/// whose names begin with `longhaul`.
pub fn ignored_kubernetes_variables(
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<String> {
    let known: Vec<(String, String)> = variables().collect();
    let ignored = environment.filter_map(|(name, text)| {
        let (name, text) = (name.into_string().ok()?, text.into_string().ok()?);
        let ours =
            name.starts_with(VARIABLE_PREFIX) && !known.iter().any(|(_, known)| *known == name);
        (ours && is_kubernetes_variable(&name, &text)).then_some(name)
    });
    ignored.collect()
}

/// Tells whether Kubernetes set a variable to describe a service: `…_SERVICE_HOST`,
/// `…_SERVICE_PORT`, `…_SERVICE_PORT_NAME`, `…_PORT` with a URL, and `…_PORT_80_TCP` with its
/// parts. The value must fit too, so that a misspelt setting stays an error.
fn is_kubernetes_variable(name: &str, text: &str) -> bool {
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| text.starts_with(scheme));
    let is_port = || text.parse::<u16>().is_ok();
    let is_address = || text.parse::<IpAddr>().is_ok();
    if let Some((_, rest)) = name.split_once("_SERVICE_") {
        return match rest {
            "HOST" => is_address(),
            rest => rest.starts_with("PORT") && is_port(),
        };
    }
    let protocol = |part: &&str| ["TCP", "UDP", "SCTP"].contains(part);
    let parts: Vec<&str> = name.split('_').collect();
    match parts.as_slice() {
        [.., "PORT", port, over] if protocol(over) => port.parse::<u16>().is_ok() && is_url(),
        [.., "PORT", port, over, what] if protocol(over) && port.parse::<u16>().is_ok() => {
            match *what {
                "ADDR" => is_address(),
                "PORT" => is_port(),
                "PROTO" => ["tcp", "udp", "sctp"].contains(&text),
                _ => false,
            }
        }
        [.., "PORT"] => is_url(),
        _ => false,
    }
}

/// Overrides values in `table` by flags.
pub(super) fn apply_flags(
    flags: &[SettingOverride],
    table: &mut Table,
    origins: &mut KeyOrigins,
) -> Result<(), SettingsError> {
    flags.iter().try_for_each(|flag| {
        set(&flag.key, &flag.value, SettingOrigin::Flag(flag.flag.clone()), table, origins)
    })
}

fn set(
    path: &str,
    text: &str,
    origin: SettingOrigin,
    table: &mut Table,
    origins: &mut KeyOrigins,
) -> Result<(), SettingsError> {
    let known = variables().any(|(known, _)| known == path);
    let Some(((section, key), kind)) = path.split_once('.').zip(kind_of(path)).filter(|_| known)
    else {
        return Err(SettingsError::new(path, origin, "unknown key"));
    };
    // Safe to show: secrets accept any text, so a rejected one is none.
    let Some(value) = kind.read(text) else {
        let problem = format!("{text:?} cannot be read");
        return Err(SettingsError::new(path, origin, problem).allowed(kind.allowed()));
    };
    origins.set(path, origin);
    // The file has passed `check_keys`: an existing section is a table.
    if let Value::Table(section) = table.entry(section).or_insert_with(|| Table::new().into()) {
        section.insert(key.to_owned(), value);
    }
    Ok(())
}
