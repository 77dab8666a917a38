//! The report as JSON: machine, settings and figures.

use crate::{
    figure::{Better, Figure, FigureValue},
    machine::Machine,
    options::BenchOptions,
};
use serde_json::json;

/// A complete report.
pub struct BenchReport<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The options of the run.
    pub options: &'a BenchOptions,
    /// Versions of the servers.
    pub stacks: &'a [String],
    /// All figures.
    pub figures: &'a [Figure],
}

impl BenchReport<'_> {
    /// Formats the report as JSON, one figure per line.
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
                "seconds": options.row_duration().as_secs(),
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

fn value(value: &FigureValue) -> serde_json::Value {
    let better = match value.better {
        Better::More => "more",
        Better::Less => "less",
        Better::Neither => "neither",
    };
    json!({"name": value.name, "value": value.value, "unit": value.unit, "better": better})
}
