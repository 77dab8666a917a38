//! `longhaul config`.

use crate::{
    args::{ConfigCommand, Configured},
    exit::{Done, Failure, Outcome},
    parts, print,
};
use longhaul_executors::ProcessConfig;
use longhaul_runtime::{
    Settings,
    settings::{SettingKey, SettingSources, keys},
};

/// Runs the command.
pub fn run(command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(configured) => check(configured),
        ConfigCommand::Keys { json: true } => all_keys_as_json(),
        ConfigCommand::Keys { json: false } => {
            print::write_out(&describe(&keys()))?;
            Ok(Done::Ok)
        }
    }
}

fn check(configured: &Configured) -> Outcome {
    let sources = SettingSources::of_process(configured.config.clone(), configured.overrides());
    let settings = Settings::load(sources)?;
    print::write_out(&settings.describe())?;
    let addresses = parts::address_warnings(&settings, settings.server.listen);
    for warning in parts::key_warnings(&settings).into_iter().chain(addresses) {
        print::complaint(&warning);
    }
    let missing = check_programs(&settings)?;
    // As at the start of a node: the last thing said is what would end it.
    parts::key_ring(&settings)?;
    match missing {
        0 => Ok(Done::Ok),
        n => Err(Failure::failed(format!(
            "the programs of {n} agents cannot be started on this machine; a worker here runs the others, and \
             worker.agents says which it is to run"
        ))),
    }
}

/// Looks for the program of each agent that this machine would run: a comment for each that is there, a complaint for each
/// that is not. Gives the number of those.
fn check_programs(settings: &Settings) -> Result<usize, Failure> {
    let mut missing = 0;
    let wanted = settings.worker.agents.as_deref();
    let is_wanted = |name: &String| wanted.is_none_or(|wanted| wanted.contains(name));
    for agent in settings.agent.iter().filter(|agent| is_wanted(&agent.name)) {
        let Some(process) = agent.process.as_ref() else { continue };
        match ProcessConfig::from(process).find_program() {
            Ok(program) => {
                print::line(&format!("# agent {}: ok: {}", agent.name, program.display()))?;
            }
            Err(problem) => {
                missing += 1;
                print::complaint(&format!("agent {}: {problem}", agent.name));
            }
        }
    }
    Ok(missing)
}

fn all_keys_as_json() -> Outcome {
    let text = serde_json::to_string_pretty(&keys())
        .map_err(|error| Failure::failed(format!("the keys cannot be written: {error}")))?;
    print::line(&text)?;
    Ok(Done::Ok)
}

/// Every key with what can be said about it, a paragraph each.
fn describe(keys: &[SettingKey]) -> String {
    let mut text = String::new();
    for key in keys {
        let default = key.default.as_deref().unwrap_or("unset");
        let variable = key.env.as_deref().map(|env| format!("  {env}")).unwrap_or_default();
        let SettingKey { path, doc, allowed, .. } = key;
        text.extend([
            path,
            &variable,
            "\n    ",
            doc,
            "\n    allowed: ",
            allowed,
            "; default: ",
            default,
            "\n",
        ]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_listed_with_its_variable_and_default() {
        let text = describe(&keys());
        assert!(text.contains("worker.lease  LONGHAUL_WORKER_LEASE\n"), "{text}");
        assert!(text.contains("default: \"15s\""), "{text}");
        assert!(text.contains("agent[].name\n"), "{text}");
    }
}
