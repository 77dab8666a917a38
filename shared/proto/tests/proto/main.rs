//! gRPC messages compared with their JSON form. A second protobuf implementation, which knows only
//! the `.proto` files, converts between the two.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod descriptors;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod peer;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;
#[cfg(test)]
#[path = "../../../wire/tests/wire/samples.rs"]
#[expect(dead_code, reason = "shared with the tests of the JSON dialects")]
mod samples;
#[cfg(test)]
#[path = "../../../wire/tests/wire/strategies.rs"]
mod strategies;
