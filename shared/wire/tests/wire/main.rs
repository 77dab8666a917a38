//! What the wire crate promises, each promise in a file of its own.

#[cfg(test)]
mod bad_calls;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod card;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod every;
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
mod negotiation;
#[cfg(test)]
mod old;
#[cfg(test)]
mod rewrites;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod soup;
#[cfg(test)]
mod spec_names;
#[cfg(test)]
mod strategies;
#[cfg(test)]
mod tolerances;
