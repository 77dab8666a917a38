//! All variables are settings, and every service's configuration is accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use longhaul_runtime::Settings;
use longhaul_runtime::settings::{AuthMode, SettingSources, keys};

use super::Complaints;
use crate::stack::{Deployment, Service};

pub fn check(stack: &Deployment, check: &mut Complaints) {
    let known: BTreeSet<String> = keys().into_iter().filter_map(|key| key.env).collect();
    for (place, env) in environments(stack) {
        for name in env.keys().filter(|name| name.starts_with("LONGHAUL_")) {
            let good = known.contains(name) || name == "LONGHAUL_CONFIG";
            check.ensure(good, format!("{place} sets {name}, which is no setting"));
        }
    }
    for service in stack.own() {
        let name = service.name;
        match load(service) {
            Err(error) => check.ensure(false, format!("{name}: {error}")),
            Ok(settings) => connections_are_configured(name, &settings, check),
        }
    }
    if let Ok(settings) = load(stack.service("api")) {
        let keys = matches!(settings.auth_mode(AuthMode::Keys), Ok(AuthMode::Keys));
        check.ensure(keys, "api lets everybody in: auth.mode is not \"keys\"");
    }
    let mut variables = stack.variables.clone();
    variables.retain(|name, _| !stack.commented.contains(name));
    let unknown = stack.commented.iter().any(|name| !stack.variables.contains_key(name));
    check.ensure(
        variables == stack.example && !unknown,
        format!(
            "docker-compose.yml and ops/compose.env.example differ in variables or defaults: {variables:?} and {:?}, {:?}",
            stack.example, stack.commented
        ),
    );
    check.ensure(
        !stack.example.contains_key("PUBLIC_URL"),
        "ops/compose.env.example sets PUBLIC_URL: cards are wrong where PORT alone is changed",
    );
}

fn connections_are_configured(name: &str, settings: &Settings, check: &mut Complaints) {
    check.ensure(settings.database.url.is_some(), format!("{name} has no database.url"));
    check.ensure(settings.amqp.url.is_some(), format!("{name} has no amqp.url"));
}

/// The effective settings in a container of this service.
pub fn load(service: Service<'_>) -> Result<Settings, String> {
    let sources = SettingSources {
        file: None,
        fallback_file: None::<PathBuf>,
        env: service.env_here().into_iter(),
        overrides: Vec::new(),
    };
    Settings::load(sources).map_err(|error| error.to_string())
}

/// The environments that the files set, each with its location.
fn environments(stack: &Deployment) -> Vec<(String, BTreeMap<String, String>)> {
    let services = stack.services();
    let services = services.iter().map(|service| (service.name.to_owned(), service.env()));
    let units = stack.units.iter().map(|unit| (unit.name.clone(), unit.env()));
    services.chain(units).collect()
}
