//! Measured operations, each with its input prepared.

use crate::samples;
use longhaul_domain::Seq;
use longhaul_wire::{
    Dialect, Operation, ProtocolError, ResultPayload, StreamEvent,
    jsonrpc::{
        RpcId, RpcResponse, read_call, read_response, write_call, write_error, write_result,
    },
    v1::{V1, received_event, received_task},
};
use std::hint::black_box;

/// Measured operation.
pub struct BenchCase {
    /// Group: decoding or encoding.
    pub group: &'static str,
    /// Input of the operation.
    pub name: &'static str,
    /// Length of the JSON, in bytes.
    pub bytes: u64,
    /// Runs the operation once.
    pub run: Box<dyn Fn()>,
}

/// All operations.
pub fn all() -> Vec<BenchCase> {
    let mut cases = requests();
    cases.extend(answers());
    cases.extend(written());
    cases
}

fn case(
    group: &'static str,
    name: &'static str,
    bytes: usize,
    run: impl Fn() + 'static,
) -> BenchCase {
    BenchCase { group, name, bytes: bytes as u64, run: Box::new(run) }
}

/// Server side: reading calls.
fn requests() -> Vec<BenchCase> {
    let decode = |name, body: Vec<u8>| {
        case("decode", name, body.len(), move || {
            let call = read_call(black_box(&body)).expect("a call");
            let read = Dialect::V1_0.read(Operation::Send, call.params());
            black_box(read.expect("a request"));
        })
    };
    let refuse = |name, body: Vec<u8>| {
        case("decode", name, body.len(), move || {
            let call = read_call(black_box(&body)).expect("a call");
            let error = Dialect::V1_0.read(Operation::Send, call.params()).expect_err("wrong");
            black_box(write_error(Dialect::V1_0, &call.id, &error).expect("text"));
        })
    };
    vec![
        decode("send, small", samples::small_call()),
        decode("send, 64 KiB", samples::large_call()),
        decode("send, 64 KiB of one text", samples::text_call(64 * 1024)),
        decode("send, 64 KiB of nested metadata", samples::nested_call(64 * 1024)),
        refuse("send, refused", samples::wrong_call()),
    ]
}

/// Client side: reading responses.
fn answers() -> Vec<BenchCase> {
    let event = |name, event: &StreamEvent| {
        let body = samples::answer(&Dialect::V1_0.view(ResultPayload::Event(event)));
        case("decode", name, body.len(), move || match read_response(black_box(&body)) {
            Ok((_, RpcResponse::Result(result))) => drop(black_box(received_event(result))),
            other => panic!("{other:?}"),
        })
    };
    let task = samples::answer(&V1(&samples::task()));
    vec![
        event("status event", &samples::status_event()),
        event("artifact chunk, 100 B", &samples::chunk_event(100)),
        event("artifact chunk, 32 KiB", &samples::chunk_event(32 * 1024)),
        case("decode", "task of 100 messages", task.len(), move || {
            match read_response(black_box(&task)) {
                Ok((_, RpcResponse::Result(result))) => drop(black_box(received_task(result))),
                other => panic!("{other:?}"),
            }
        }),
    ]
}

/// Writing responses (server) and a call (client).
fn written() -> Vec<BenchCase> {
    let event = |name, event: StreamEvent, cursor: Option<Seq>| {
        let write = move || {
            let output = cursor.map_or(ResultPayload::Event(&event), |cursor| {
                ResultPayload::EventWithCursor(&event, cursor)
            });
            write_result(&RpcId::number(7), &Dialect::V1_0.view(output)).expect("no blob")
        };
        case("encode", name, write().len(), move || drop(black_box(write())))
    };
    let (task, request) = (samples::task(), samples::request());
    let missing = ProtocolError::TaskNotFound { task: samples::task_id().to_string() };
    let write_task =
        move || write_result(&RpcId::number(7), &V1(black_box(&task))).expect("no blob");
    let write_missing =
        move || write_error(Dialect::V1_0, &RpcId::number(7), black_box(&missing)).expect("text");
    let write_request = move || {
        write_call(&RpcId::number(7), "SendMessage", &V1(black_box(&request))).expect("no blob")
    };
    vec![
        event("status event", samples::status_event(), None),
        event("status event with its cursor", samples::status_event(), Some(Seq(70))),
        event("artifact chunk, 100 B", samples::chunk_event(100), None),
        event("artifact chunk, 32 KiB", samples::chunk_event(32 * 1024), None),
        event("artifact chunk, 32 KiB of bytes", samples::bytes_event(32 * 1024), None),
        case("encode", "task of 100 messages", write_task().len(), move || {
            drop(black_box(write_task()));
        }),
        case("encode", "error", write_missing().len(), move || drop(black_box(write_missing()))),
        case("encode", "send, small", write_request().len(), move || {
            drop(black_box(write_request()));
        }),
    ]
}
