//! `LONGHAUL_<SECTION>_<KEY>` and flags, laid over the file.

use toml::{Table, Value};

use super::{
    error::{Origin, SettingsError},
    file::Origins,
    kind::Kind,
    load::Override,
    schema::{Section, kind_of, nearest},
    sections::Settings,
};

/// Names the configuration file.
pub(super) const CONFIG: &str = "LONGHAUL_CONFIG";
const PREFIX: &str = "LONGHAUL_";
/// Variables of the client commands and of tests; they are no settings.
const OTHERS: [&str; 2] = ["LONGHAUL_URL", "LONGHAUL_API_KEY"];
const TEST_PREFIX: &str = "LONGHAUL_TEST_";

/// Every key that a variable can set: its dotted path and the variable.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    Settings::FIELDS
        .iter()
        .filter_map(|section| match section.kind {
            Kind::Table(fields) => Some(fields.iter().map(|field| (section.name, field.name))),
            _ => None,
        })
        .flatten()
        .map(|(section, field)| (format!("{section}.{field}"), variable(section, field)))
}

fn variable(section: &str, field: &str) -> String {
    format!("{PREFIX}{section}_{field}").to_ascii_uppercase()
}

/// Lays the variables over `table`. An empty variable counts as absent; one that begins with `LONGHAUL_` and is not known
/// is an error.
pub(super) fn apply(
    variables_set: &[(String, String)],
    table: &mut Table,
    origins: &mut Origins,
) -> Result<(), SettingsError> {
    let known: Vec<(String, String)> = variables().collect();
    for (name, text) in variables_set {
        let other = !name.starts_with(PREFIX)
            || name.starts_with(TEST_PREFIX)
            || name == CONFIG
            || OTHERS.contains(&name.as_str());
        if other || text.is_empty() {
            continue;
        }
        let Some((path, _)) = known.iter().find(|(_, variable)| variable == name) else {
            return Err(unknown_variable(name, &known));
        };
        set(path, text, Origin::Environment(name.clone()), table, origins)?;
    }
    Ok(())
}

fn unknown_variable(name: &str, known: &[(String, String)]) -> SettingsError {
    let names = known.iter().map(|(_, variable)| variable.as_str()).chain([CONFIG]);
    let service_link = ["_PORT", "_SERVICE_HOST", "_TCP", "_TCP_ADDR", "_TCP_PROTO"]
        .iter()
        .any(|end| name.ends_with(end));
    let problem = if service_link {
        "unknown setting (Kubernetes adds such variables for a service; `enableServiceLinks: false` turns them off)"
    } else {
        "unknown setting"
    };
    SettingsError::new("", Origin::Environment(name.to_owned()), problem)
        .nearest(nearest(name, names).map(str::to_owned))
        .allowed("LONGHAUL_CONFIG and LONGHAUL_<SECTION>_<KEY>, such as LONGHAUL_SERVER_LISTEN")
}

/// Lays the flags over `table`.
pub(super) fn apply_flags(
    flags: &[Override],
    table: &mut Table,
    origins: &mut Origins,
) -> Result<(), SettingsError> {
    flags.iter().try_for_each(|flag| {
        set(&flag.key, &flag.value, Origin::Flag(flag.flag.clone()), table, origins)
    })
}

fn set(
    path: &str,
    text: &str,
    origin: Origin,
    table: &mut Table,
    origins: &mut Origins,
) -> Result<(), SettingsError> {
    let known = variables().any(|(known, _)| known == path);
    let Some(((section, key), kind)) = path.split_once('.').zip(kind_of(path)).filter(|_| known)
    else {
        return Err(SettingsError::new(path, origin, "unknown key"));
    };
    // Only kinds that are no secrets refuse text here.
    let Some(value) = kind.read(text) else {
        let problem = format!("{text:?} cannot be read");
        return Err(SettingsError::new(path, origin, problem).allowed(kind.allowed()));
    };
    origins.set(path, origin);
    // The file was checked before: a section that is there is a table.
    if let Value::Table(section) = table.entry(section).or_insert_with(|| Table::new().into()) {
        section.insert(key.to_owned(), value);
    }
    Ok(())
}
