//! The result as JSON: what it was measured on, with what settings, and the figures.

use crate::{
    figure::{Better, Figure, Value},
    machine::Machine,
    options::Options,
};
use serde_json::json;

/// A whole result.
pub struct Report<'a> {
    /// What it was measured on.
    pub machine: &'a Machine,
    /// With what settings.
    pub options: &'a Options,
    /// Versions of the servers.
    pub stacks: &'a [String],
    /// What was measured.
    pub figures: &'a [Figure],
}

impl Report<'_> {
    /// As JSON, one figure a line.
    pub fn json(&self) -> String {
        let options = self.options;
        let head = json!({
            "machine": self.machine.lines,
            "version": self.machine.version,
            "stacks": self.stacks,
            "settings": {
                "parts": options.parts().iter().map(|part| part.name()).collect::<Vec<_>>(),
                "modes": options.mode.iter().map(|mode| mode.name()).collect::<Vec<_>>(),
                "connections": options.connections,
                "seconds": options.measured().as_secs(),
                "rate": options.rate,
                "quick": options.quick,
                "parked": options.parked,
                "set": options.set,
            },
        });
        let figures: Vec<String> = self.figures.iter().map(|one| figure(one).to_string()).collect();
        format!("{{\"run\": {head},\n\"figures\": [\n{}\n]}}\n", figures.join(",\n"))
    }
}

fn figure(figure: &Figure) -> serde_json::Value {
    json!({
        "stack": figure.stack,
        "part": figure.part,
        "what": figure.what,
        "values": figure.values.iter().map(value).collect::<Vec<_>>(),
    })
}

fn value(value: &Value) -> serde_json::Value {
    let better = match value.better {
        Better::More => "more",
        Better::Less => "less",
        Better::Neither => "neither",
    };
    json!({"name": value.name, "value": value.value, "unit": value.unit, "better": better})
}
