//! The deployment files, parsed, with their variables filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use longhaul_tests::paths::workspace;
use serde_json::Value;

use super::dockerfile::Dockerfile;
use super::nginx::Nginx;
use super::systemd::Unit;

/// The files' texts, so that a test can break one.
#[derive(Debug, Clone)]
pub struct DeploymentFiles {
    pub compose: String,
    pub example: String,
    pub dockerfile: String,
    pub dockerignore: String,
    pub nginx: String,
    pub units: Vec<(String, String)>,
    pub cargo: String,
    pub pages: Vec<(String, String)>,
}

/// The parsed deployment files.
#[derive(Debug)]
pub struct Deployment {
    pub root: PathBuf,
    /// docker-compose.yml with its defaults filled in.
    pub compose: Value,
    /// The variables that docker-compose.yml reads, with their defaults.
    pub variables: BTreeMap<String, String>,
    /// The variables that ops/compose.env.example sets.
    pub example: BTreeMap<String, String>,
    /// The variables that it comments out.
    pub commented: BTreeSet<String>,
    /// Cargo.toml.
    pub cargo: String,
    /// Documentation pages that show how to use the stack, by name.
    pub pages: Vec<(String, String)>,
    pub dockerfile: Dockerfile,
    pub dockerignore: String,
    pub nginx: Nginx,
    pub units: Vec<Unit>,
}

impl DeploymentFiles {
    pub fn of_this_workspace() -> Self {
        let read = |name: &str| {
            let text = fs::read_to_string(workspace().join(name));
            text.unwrap_or_else(|error| panic!("{name} cannot be read: {error}"))
        };
        let units = ["longhaul-api.service", "longhaul-worker.service"];
        let pages = ["README.md", "docs/operating.md", "ops/runbooks/rolling-deploy.md"];
        let named = |name: &str| (name.to_owned(), read(name));
        Self {
            cargo: read("Cargo.toml"),
            pages: pages.map(named).into_iter().chain([named("docker-compose.yml")]).collect(),
            compose: read("docker-compose.yml"),
            example: read("ops/compose.env.example"),
            dockerfile: read("ops/Dockerfile"),
            dockerignore: read(".dockerignore"),
            nginx: read("ops/lb/nginx.conf"),
            units: units
                .map(|name| (name.to_owned(), read(&format!("ops/systemd/{name}"))))
                .to_vec(),
        }
    }
}

impl Deployment {
    pub fn of_this_workspace() -> Self {
        Self::of(&DeploymentFiles::of_this_workspace())
    }

    pub fn of(texts: &DeploymentFiles) -> Self {
        let mut variables = BTreeMap::new();
        let mut compose: Value = serde_saphyr::from_str(&texts.compose)
            .unwrap_or_else(|error| panic!("docker-compose.yml is not valid YAML: {error}"));
        fill_in(&mut compose, &mut variables);
        Self {
            root: workspace(),
            compose,
            variables,
            example: assignments(&texts.example),
            commented: commented(&texts.example),
            cargo: texts.cargo.clone(),
            pages: texts.pages.clone(),
            dockerfile: Dockerfile::parse(&texts.dockerfile),
            dockerignore: texts.dockerignore.clone(),
            nginx: Nginx::parse(&texts.nginx),
            units: texts.units.iter().map(|(name, text)| Unit::parse(name, text)).collect(),
        }
    }

    /// All services.
    pub fn services(&self) -> Vec<Service<'_>> {
        let all = self.compose["services"].as_object().into_iter().flatten();
        all.map(|(name, value)| Service { name, value, stack: self }).collect()
    }

    /// A service by name.
    pub fn service(&self, name: &str) -> Service<'_> {
        let found = self.services().into_iter().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("docker-compose.yml has no service {name}"))
    }

    /// The services that run our image.
    pub fn own(&self) -> Vec<Service<'_>> {
        self.services().into_iter().filter(|service| service.target().is_some()).collect()
    }
}

/// One service of docker-compose.yml.
#[derive(Debug, Clone, Copy)]
pub struct Service<'a> {
    pub name: &'a str,
    pub value: &'a Value,
    stack: &'a Deployment,
}

impl<'a> Service<'a> {
    /// The Dockerfile stage of its image, built by this service or by another; `None` for other
    /// images.
    pub fn target(&self) -> Option<&'a str> {
        let services = self.stack.compose["services"].as_object().into_iter().flatten();
        let mut same = services.filter(|(_, other)| other["image"] == self.value["image"]);
        same.find_map(|(_, other)| other["build"]["target"].as_str())
    }

    /// The string at a key; empty when there is none.
    pub fn text(&self, key: &str) -> &'a str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// The strings of a list.
    pub fn list(&self, key: &str) -> Vec<&'a str> {
        texts(&self.value[key])
    }

    /// The health check command.
    pub fn health(&self) -> Vec<&'a str> {
        texts(&self.value["healthcheck"]["test"])
    }

    /// The environment: the image's variables, overridden by the service's.
    pub fn env(&self) -> BTreeMap<String, String> {
        let image = self.target().map(|target| self.stack.dockerfile.env(target));
        let own = self.value["environment"].as_object().into_iter().flatten();
        let own = own.map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        });
        image.unwrap_or_default().into_iter().chain(own).collect()
    }

    /// The same, with the configuration file's path in this workspace.
    pub fn env_here(&self) -> BTreeMap<String, String> {
        let mut env = self.env();
        if let Some(config) = env.get_mut("LONGHAUL_CONFIG") {
            let inside = config.clone();
            let here = self.file_behind(&inside);
            let here = here.unwrap_or_else(|| panic!("{}: nothing is at {inside}", self.name));
            *config = here.display().to_string();
        }
        env
    }

    /// The workspace file that a container sees at `inside`: mounted, else copied into the image.
    fn file_behind(&self, inside: &str) -> Option<PathBuf> {
        let mounts = self.list("volumes").into_iter().filter_map(|mount| mount.split_once(':'));
        let mounts = mounts.map(|(source, rest)| (source, rest.split(':').next().unwrap_or(rest)));
        let copies = self.stack.dockerfile.copies();
        let copies = copies.iter().filter_map(|(from, to)| Some((*from.first()?, *to)));
        let found = mounts.chain(copies).find(|(_, target)| *target == inside);
        found.map(|(source, _)| self.stack.root.join(Path::new(source)))
    }
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn fill_in(value: &mut Value, variables: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = interpolate(text, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| fill_in(item, variables)),
        Value::Object(map) => map.values_mut().for_each(|item| fill_in(item, variables)),
        _ => {}
    }
}

/// Replaces `${NAME:-default}`, innermost first, and records name and default.
fn interpolate(text: &str, variables: &mut BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    while let Some(start) = text.rfind("${") {
        let length = text[start..].find('}').unwrap_or_else(|| panic!("{text} lacks a brace"));
        let inner = &text[start + 2..start + length];
        let (name, default) =
            inner.split_once(":-").unwrap_or_else(|| panic!("${{{inner}}} has no default"));
        variables.insert(name.to_owned(), default.to_owned());
        text = format!("{}{default}{}", &text[..start], &text[start + length + 1..]);
    }
    text
}

/// The names in lines such as `#NAME=value`.
fn commented(text: &str) -> BTreeSet<String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix('#')?.split_once('='));
    let names = lines.map(|(name, _)| name);
    let is_name = |name: &&str| name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    names.filter(is_name).map(str::to_owned).collect()
}

fn assignments(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
