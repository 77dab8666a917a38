//! Messages of gRPC against the JSON that says the same: another implementation of protobuf, which knows the `.proto` files only,
//! turns one into the other.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod described;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod requests;
#[cfg(test)]
#[path = "../../../wire/tests/wire/samples.rs"]
#[expect(dead_code, reason = "shared with the tests of the JSON dialects")]
mod samples;
#[cfg(test)]
#[path = "../../../wire/tests/wire/strategies.rs"]
mod strategies;
