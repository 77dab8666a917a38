//! The URLs of database and broker point to servers of this stack with their passwords, and the
//! database has enough connections.

use super::{Complaints, settings};
use crate::address::Url;
use crate::stack::Deployment;

/// Connections of a process beyond `database.max_connections`: claims, notifications, the session
/// lock.
const EXTRA_CONNECTIONS_PER_PROCESS: u32 = 4;
/// Connections that Postgres reserves for its owner, and a few for operators.
const RESERVED_CONNECTIONS: u32 = 10;
/// Number of workers in the documentation's example.
const DOCUMENTED_WORKERS: u32 = 4;

pub fn check(stack: &Deployment, check: &mut Complaints) {
    for service in stack.own() {
        let env = service.env();
        let login = Login { user: "POSTGRES_USER", password: "POSTGRES_PASSWORD" };
        let url = env.get("LONGHAUL_DATABASE_URL").map_or("", String::as_str);
        let database = login.fits(stack, url, "postgres", 5432);
        let name = stack.service("postgres").env().remove("POSTGRES_DB").unwrap_or_default();
        let good = database.is_some_and(|url| url.path.strip_prefix('/') == Some(&name));
        check.ensure(good, format!("{}: {url} is not the database of this stack", service.name));

        let login = Login { user: "RABBITMQ_DEFAULT_USER", password: "RABBITMQ_DEFAULT_PASS" };
        let url = env.get("LONGHAUL_AMQP_URL").map_or("", String::as_str);
        let broker = login.fits(stack, url, "rabbitmq", 5672);
        let good = broker.is_some_and(|url| url.path == "/%2f");
        check.ensure(good, format!("{}: {url} is not the broker of this stack", service.name));
    }
    room_for_all(stack, check);
}

/// Variables from which a server takes its first user.
struct Login {
    user: &'static str,
    password: &'static str,
}

impl Login {
    fn fits<'a>(&self, stack: &Deployment, url: &'a str, host: &str, port: u16) -> Option<Url<'a>> {
        let url = Url::parse(url)?;
        let env = stack.service(host).env();
        let good = url.host == host
            && url.port == port
            && env.get(self.user).map(String::as_str) == Some(url.user)
            && env.get(self.password).map(String::as_str) == Some(url.password);
        good.then_some(url)
    }
}

fn room_for_all(stack: &Deployment, check: &mut Complaints) {
    let command = stack.service("postgres").list("command");
    let limit = command.iter().find_map(|word| word.strip_prefix("max_connections="));
    let limit: u32 = limit.and_then(|limit| limit.parse().ok()).unwrap_or(100);
    let of = |name: &str| {
        let settings = settings::load(stack.service(name));
        settings
            .map_or(0, |settings| settings.database.max_connections + EXTRA_CONNECTIONS_PER_PROCESS)
    };
    let needed = 2 * of("api") + DOCUMENTED_WORKERS * of("worker") + RESERVED_CONNECTIONS;
    check.ensure(
        needed <= limit,
        format!(
            "postgres has {limit} connections, two API nodes and {DOCUMENTED_WORKERS} workers want {needed}"
        ),
    );
}
