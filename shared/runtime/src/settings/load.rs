//! Puts file, environment and flags together.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
};

use serde_path_to_error::Segment;
use toml::{Table, Value};

use super::{
    environment::{self, CONFIG},
    error::{SettingOrigin, SettingsError},
    file::{self, Origins},
    schema,
    sections::Settings,
    validate,
};

/// Where settings come from.
#[derive(Debug)]
pub struct SettingSources<E> {
    /// The file named on the command line; it must exist. Wins over `LONGHAUL_CONFIG`.
    pub file: Option<PathBuf>,
    /// The file that is read when nobody names one and it exists.
    pub fallback_file: Option<PathBuf>,
    /// The environment.
    pub env: E,
    /// What flags say.
    pub overrides: Vec<SettingOverride>,
}

/// A value given by a flag.
#[derive(Debug, Clone)]
pub struct SettingOverride {
    /// The key as a dotted path, such as `server.listen`.
    pub key: String,
    /// The text given.
    pub value: String,
    /// The flag as the user wrote it, such as `--listen`.
    pub flag: String,
}

impl SettingSources<std::vec::IntoIter<(String, String)>> {
    /// The sources of this process: its environment, and `longhaul.toml` in its folder when no file is named.
    pub fn of_process(file: Option<PathBuf>, overrides: Vec<SettingOverride>) -> Self {
        // Other programs' variables may hold any bytes; of ours, bytes that are no text end as a bad value.
        let env: Vec<(String, String)> = std::env::vars_os()
            .map(|(name, value)| {
                (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
            })
            .collect();
        Self {
            file,
            fallback_file: Some(PathBuf::from("longhaul.toml")),
            env: env.into_iter(),
            overrides,
        }
    }
}

impl Settings {
    /// Reads, combines and checks the settings. The first problem found is the error; it names the key, where it was set
    /// and what is allowed.
    pub fn load<E: Iterator<Item = (String, String)>>(
        sources: SettingSources<E>,
    ) -> Result<Self, SettingsError> {
        Self::load_with(sources, &[])
    }

    /// Reads the settings like [`load`](Self::load), for a program that registers executors of these names.
    pub fn load_with<E: Iterator<Item = (String, String)>>(
        sources: SettingSources<E>,
        registered_executors: &[&str],
    ) -> Result<Self, SettingsError> {
        let env: Vec<(String, String)> = sources.env.collect();
        let mut origins = Origins::default();
        let file = choose_file(sources.file, sources.fallback_file, &env);
        let mut table = match &file {
            Some(path) => file::read(path, &mut origins)?,
            None => Table::new(),
        };
        schema::check(&table, &origins)?;
        environment::apply(&env, &mut table, &mut origins)?;
        environment::apply_flags(&sources.overrides, &mut table, &mut origins)?;
        let mut settings = typed(table, &origins)?;
        validate::all(&settings, &origins, registered_executors)?;
        if let Some(file) = file {
            settings.resolve_paths(&file, &origins)?;
        }
        Ok(settings)
    }

    /// Makes the paths of programs, and of keys that the file names, relative to the folder of the configuration file.
    fn resolve_paths(&mut self, file: &Path, origins: &Origins) -> Result<(), SettingsError> {
        let absolute = std::path::absolute(file).map_err(|error| {
            SettingsError::new(
                "",
                SettingOrigin::File(file.to_owned(), None),
                format!("the folder of the file is not known: {error}"),
            )
        })?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        for (key, paths) in [
            ("cards.signing_keys", &mut self.cards.signing_keys),
            ("cards.published_keys", &mut self.cards.published_keys),
        ] {
            if matches!(origins.of(key), SettingOrigin::File(..)) {
                // The paths come from text, so only the folder could be the cause of `None`.
                for path in paths {
                    *path = folder.join(&*path).to_str().map(str::to_owned).unwrap_or_default();
                }
            }
        }
        for process in self.agent.iter_mut().filter_map(|agent| agent.process.as_mut()) {
            if let Some(working_dir) = &mut process.working_dir {
                *working_dir = folder.join(&*working_dir);
            }
            let program = process.command.first_mut().filter(|program| program.contains('/'));
            // TOML holds no path that is not text, so only the folder could be the cause of `None`.
            let resolved = program
                .as_ref()
                .and_then(|program| folder.join(&**program).to_str().map(str::to_owned));
            if let Some((program, resolved)) = program.zip(resolved) {
                *program = resolved;
            }
        }
        Ok(())
    }
}

fn choose_file(
    flag: Option<PathBuf>,
    fallback: Option<PathBuf>,
    env: &[(String, String)],
) -> Option<PathBuf> {
    let variable = || {
        env.iter()
            .find(|(name, value)| name == CONFIG && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
    };
    flag.or_else(variable).or_else(|| fallback.filter(|path| path.exists()))
}

/// Replaces the name `localhost` in addresses to listen on by the address that clients take it for.
fn resolve_localhost(table: &mut Table) {
    let sections = table.iter_mut().filter_map(|(_, section)| section.as_table_mut());
    for listen in sections.filter_map(|section| section.get_mut("listen")) {
        let port = listen.as_str().and_then(|address| address.strip_prefix("localhost:"));
        if let Some(resolved) = port.map(|port| format!("127.0.0.1:{port}")) {
            *listen = resolved.into();
        }
    }
}

fn typed(mut table: Table, origins: &Origins) -> Result<Settings, SettingsError> {
    resolve_localhost(&mut table);
    serde_path_to_error::deserialize(Value::Table(table)).map_err(|error| {
        let path = dotted(error.path());
        let kind = schema::kind_of(&path);
        let hidden = kind.is_none_or(|kind| kind.is_secret());
        let problem = if hidden {
            "has a wrong type".to_owned()
        } else {
            first_line(error.inner().message())
        };
        let refused = SettingsError::new(&path, origins.of(&path), problem);
        match kind {
            Some(kind) => refused.allowed(kind.allowed()),
            None => refused,
        }
    })
}

fn first_line(message: &str) -> String {
    message.lines().next().unwrap_or_default().to_owned()
}

fn dotted(path: &serde_path_to_error::Path) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                // Writing to text cannot fail.
                let _ = write!(text, "[{index}]");
            }
            Segment::Map { key } | Segment::Enum { variant: key } => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(key);
            }
            Segment::Unknown => {}
        }
    }
    text
}
