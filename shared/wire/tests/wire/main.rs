//! Promises of the wire crate, one file each.

#[cfg(test)]
mod bad_calls;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod card;
#[cfg(test)]
mod equivalent_spellings;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod extensions;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod golden;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod json_rpc;
#[cfg(test)]
mod legacy;
#[cfg(test)]
mod negotiation;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod spec_names;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod tolerances;
