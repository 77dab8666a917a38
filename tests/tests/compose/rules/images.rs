//! Images are official and pinned, their build inputs exist, and mounted files exist.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use toml::Table;

use super::Complaints;
use crate::dockerfile::exec_form;
use crate::stack::{Deployment, Service};

/// Official images of the public registry.
const OFFICIAL_IMAGES: [&str; 5] = ["debian", "nginx", "postgres", "rabbitmq", "rust"];

pub fn check(stack: &Deployment, check: &mut Complaints) {
    for service in stack.services() {
        let image = service.text("image");
        match service.target() {
            None => well_known(image, check),
            Some(target) => built_here(stack, service, target, check),
        }
        let builders = stack.services().into_iter();
        let builders = builders
            .filter(|other| other.text("image") == image && !other.value["build"].is_null());
        let builders = builders.count();
        check.ensure(builders <= 1, format!("{image} is built by {builders} services"));
    }
    let stages: Vec<&str> =
        stack.dockerfile.stages.iter().map(|stage| stage.name.as_str()).collect();
    for stage in &stack.dockerfile.stages {
        if !stages.contains(&stage.from.as_str()) {
            well_known(&stage.from, check);
        }
    }
    volumes(stack, check);
    sources(stack, check);
    binary(stack, check);
    readable(stack, check);
    check.ensure(
        stack.dockerfile.frontend.is_none(),
        "ops/Dockerfile needs a frontend from a registry, and no feature of it",
    );
}

/// Files from a clone with a strict umask are readable in the image, and so are their folders.
fn readable(stack: &Deployment, check: &mut Complaints) {
    for stage in stack.dockerfile.stages.iter().filter(|stage| stage.name != "build") {
        let runs = stage.instructions.iter().filter(|(word, _)| word == "RUN");
        let runs: Vec<&str> = runs.map(|(_, rest)| rest.as_str()).collect();
        for (_, rest) in stage.instructions.iter().filter(|(word, _)| word == "COPY") {
            let target = rest.rsplit(' ').next().unwrap_or(rest);
            let opened = runs.iter().any(|run| run.contains(&format!("chmod -R a+rX {target}")));
            let good = rest.starts_with("--chmod=") || rest.starts_with("--from=") || opened;
            check.ensure(good, format!("{target} of {} may be unreadable", stage.name));
            // Engines give a folder that COPY makes the mode of the file.
            let mode = rest.strip_prefix("--chmod=").and_then(|rest| rest.split(' ').next());
            let folder = target.rsplit_once('/').map_or("", |(folder, _)| folder);
            let creation = format!("install --directory --mode=755 {folder}");
            let entered = mode.is_none_or(|mode| mode.ends_with(['1', '5', '7']))
                || runs.iter().any(|run| run.contains(&creation));
            check.ensure(entered, format!("{folder} of {} may not be entered", stage.name));
        }
    }
}

fn well_known(image: &str, check: &mut Complaints) {
    let (name, tag) = image.split_once(':').unwrap_or((image, ""));
    check.ensure(OFFICIAL_IMAGES.contains(&name), format!("{image} is no well-known image"));
    let pinned = !tag.is_empty() && tag != "latest";
    check.ensure(pinned, format!("{image} has no tag that says which version it is"));
}

fn built_here(stack: &Deployment, service: Service<'_>, target: &str, check: &mut Complaints) {
    let name = service.name;
    let complaint = format!("{name} is built to {target}, which ops/Dockerfile does not have");
    check.ensure(stack.dockerfile.stage(target).is_some(), complaint);
    let build = &service.value["build"];
    let good = build["dockerfile"] == "ops/Dockerfile" && build["context"] == ".";
    let good = good || build.is_null();
    check.ensure(good, format!("{name} is not built from ops/Dockerfile in this folder"));
    for (word, argument) in stack.dockerfile.stages.iter().flat_map(|stage| &stage.instructions) {
        let passed = word != "ARG" || build.is_null() || !build["args"][argument].is_null();
        check.ensure(passed, format!("{name} is built without {argument}"));
    }
    let program = service.health().get(1).copied().unwrap_or_default();
    let copied = stack.dockerfile.copies();
    let there = program.is_empty()
        || copied.iter().any(|(_, target)| *target == format!("/usr/local/bin/{program}"));
    check.ensure(there, format!("{name} is checked by {program}, which its image does not have"));
}

/// Named volumes and networks are declared and used; mounted files exist.
fn volumes(stack: &Deployment, check: &mut Complaints) {
    let (mut volumes, mut networks) = (BTreeSet::new(), BTreeSet::new());
    for service in stack.services() {
        networks.extend(service.list("networks"));
        for mount in service.list("volumes") {
            let source = mount.split(':').next().unwrap_or_default();
            if source.starts_with('.') {
                let complaint = format!("{} mounts {source}, which is no file", service.name);
                check.ensure(stack.root.join(source).is_file(), complaint);
            } else {
                volumes.insert(source);
            }
        }
    }
    for (key, used) in [("volumes", volumes), ("networks", networks)] {
        let declared = names(&stack.compose[key]);
        let complaint = format!("{key} declared and used differ: {declared:?} and {used:?}");
        check.ensure(declared == used, complaint);
    }
}

fn names(map: &Value) -> BTreeSet<&str> {
    map.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect()
}

/// Files that the Dockerfile copies exist and are not ignored, and everything that cargo needs is
/// copied.
fn sources(stack: &Deployment, check: &mut Complaints) {
    let copies = stack.dockerfile.copies();
    let sources: BTreeSet<&str> = copies.iter().flat_map(|(from, _)| from).copied().collect();
    for source in &sources {
        let complaint = format!("ops/Dockerfile copies {source}, which does not exist");
        check.ensure(stack.root.join(source).exists(), complaint);
        let top = source.split('/').next().unwrap_or(source);
        let let_through = stack.dockerignore.lines().any(|line| line == format!("!{top}"));
        check.ensure(let_through, format!(".dockerignore keeps {source} out"));
    }
    let workspace = table(stack, "Cargo.toml");
    let members = workspace["workspace"]["members"].as_array();
    let members = members.into_iter().flatten().filter_map(|member| member.as_str());
    for needed in members.chain(["Cargo.toml", "Cargo.lock", "migrations"]) {
        let top = needed.split('/').next().unwrap_or(needed);
        let is_copied = sources.contains(top) || sources.contains(needed);
        check.ensure(is_copied, format!("ops/Dockerfile does not copy {needed}"));
    }
}

/// The image builds and starts the workspace's binary.
fn binary(stack: &Deployment, check: &mut Complaints) {
    let cli = table(stack, "cli/Cargo.toml");
    let name = cli["bin"][0]["name"].as_str().unwrap_or_default();
    let package = cli["package"]["name"].as_str().unwrap_or_default();
    let build = stack.dockerfile.all("build", "RUN").concat();
    let dist = stack.cargo.parse::<Table>().unwrap_or_else(|error| panic!("Cargo.toml: {error}"));
    let stripped = dist["profile"]["dist"].get("strip").and_then(|strip| strip.as_str());
    check.ensure(
        stripped == Some("debuginfo"),
        "most of the image is line tables: the dist profile keeps them",
    );
    let good = build.contains(&format!("--package {package} "))
        && build.contains(&format!("--bin {name} "))
        && build.contains(&format!("target/dist/{name} "));
    check.ensure(good, format!("ops/Dockerfile does not build {name} of {package}"));
    for service in stack.own() {
        let entry = stack.dockerfile.all(service.target().unwrap_or_default(), "ENTRYPOINT").pop();
        let good = entry.and_then(exec_form).is_some_and(|words| words == [name]);
        check.ensure(
            good,
            format!("the image of {} does not start {name}: {entry:?}", service.name),
        );
    }
}

fn table(stack: &Deployment, file: &str) -> Table {
    let text = fs::read_to_string(stack.root.join(file));
    let table = text.map(|text| text.parse());
    table
        .unwrap_or_else(|error| panic!("{file}: {error}"))
        .unwrap_or_else(|error| panic!("{file}: {error}"))
}
