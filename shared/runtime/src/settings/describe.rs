//! The effective configuration as text, without its secrets.

use toml::{Table, Value};

use super::sections::Settings;
use crate::secret::{Secret, redact_url};

impl Settings {
    /// The settings in force as TOML, for `longhaul config check`. Passwords in URLs and the environment of programs are
    /// shown as `[redacted]`; absent keys are left out.
    pub fn describe(&self) -> String {
        let mut table = Table::try_from(self).unwrap_or_default();
        show_url(&mut table, "database", self.database.url.as_ref());
        show_url(&mut table, "amqp", self.amqp.url.as_ref());
        toml::to_string_pretty(&table).unwrap_or_default()
    }
}

fn show_url(table: &mut Table, section: &str, url: Option<&Secret>) {
    if let (Some(Value::Table(section)), Some(url)) = (table.get_mut(section), url) {
        section.insert("url".to_owned(), Value::String(redact_url(url.expose())));
    }
}
