//! Rules that the deployment files must keep together. Each violation is one sentence.

mod backends;
mod balancer;
mod hardening;
mod images;
mod lifecycle;
mod ports;
mod settings;

pub use ports::HEALTH_PATHS;

use super::stack::Deployment;

/// All complaints.
pub fn complaints(stack: &Deployment) -> Vec<String> {
    let mut check = Complaints(Vec::new());
    settings::check(stack, &mut check);
    ports::check(stack, &mut check);
    backends::check(stack, &mut check);
    balancer::check(stack, &mut check);
    lifecycle::check(stack, &mut check);
    hardening::check(stack, &mut check);
    images::check(stack, &mut check);
    check.0
}

/// Collects complaints.
pub struct Complaints(Vec<String>);

impl Complaints {
    /// Adds the complaint unless `good`.
    pub fn ensure(&mut self, good: bool, complaint: impl Into<String>) {
        if !good {
            self.0.push(complaint.into());
        }
    }
}
