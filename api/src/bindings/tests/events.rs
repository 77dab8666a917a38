//! Event streams as client libraries read them.

use super::*;
use futures::StreamExt;
use longhaul_domain::{Artifact, ArtifactId, ArtifactUpdate, EntryBody, JsonObject};
use longhaul_wire::v0::FileEncoding;

/// Line ends of Python's `str.splitlines`, and so of httpx.
const LINE_ENDS: [char; 10] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

/// A name with each of them.
fn separators() -> String {
    let ends = LINE_ENDS.iter().filter(|end| !"\n\r".contains(**end));
    ends.flat_map(|end| ['a', *end]).collect()
}

/// Every way of encoding events.
fn envelopes() -> Vec<EventEnvelope> {
    let id = serde_json::to_string(&separators()).unwrap();
    let call = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m"}}"#);
    let id = longhaul_wire::jsonrpc::read_call(call.as_bytes()).unwrap().id;
    let chosen = || Some(separators());
    let mut all = vec![
        EventEnvelope::bare(Dialect::V1_0, FileEncoding::Once),
        EventEnvelope::bare(Dialect::V0_3Proto, FileEncoding::Once),
        EventEnvelope::bare(Dialect::V0_3Proto, FileEncoding::Twice),
    ];
    all.extend(Dialect::ALL.into_iter().map(|dialect| EventEnvelope::new(dialect, &id, chosen())));
    all
}

/// The text of a response until it has an event and this many comments, or has ended.
async fn text(response: axum::response::Response, comments: usize) -> String {
    let mut bytes = Vec::new();
    let mut pieces = response.into_body().into_data_stream();
    let reading = async {
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.unwrap());
            let text = std::str::from_utf8(&bytes).unwrap();
            // A slow machine may send a keep-alive before the first event.
            let has_event = text.lines().any(|line| line.starts_with("data:"));
            let keep_alives = text.lines().filter(|line| line.starts_with(':')).count();
            if has_event && keep_alives >= comments {
                break;
            }
        }
    };
    timeout(TEST_TIMEOUT, reading).await.expect("the stream goes on");
    String::from_utf8(bytes).unwrap()
}

/// Event data as httpx-sse sees it: once it knows an id, every blank line ends an event.
fn events(text: &str) -> Vec<String> {
    let (mut events, mut data, mut has_id) = (Vec::new(), Vec::new(), false);
    for line in text.split_terminator(LINE_ENDS) {
        match line.split_once(':').unwrap_or((line, "")) {
            ("", "") if line.is_empty() && (has_id || !data.is_empty()) => {
                events.push(std::mem::take(&mut data).join("\n"));
            }
            ("id", _) => has_id = true,
            ("data", value) => data.push(value.trim_start().to_owned()),
            _ => {}
        }
    }
    events
}

#[tokio::test]
async fn a_keep_alive_does_not_end_an_event() {
    let node = Node::start().await;
    let stream = long_stream(&node).await;
    let text = text(sse::response(stream, Duration::from_millis(5), envelope()), 3).await;
    let events = events(&text);
    assert!(events.len() >= 50, "{text}");
    for event in &events {
        assert!(serde_json::from_str::<Value>(event).is_ok(), "{event:?} of {text}");
    }
}

#[tokio::test]
async fn an_event_is_one_line_however_lines_are_split() {
    let node = Node::start().await;
    let service = node.service();
    let mut request = send("m");
    request.message.parts = vec![Part::text(separators())];
    let name = serde_json::to_string(&separators()).unwrap();
    let metadata = JsonObject::parse(&format!("{{{name}:[{name}]}}")).unwrap();
    request.message.metadata = Some(metadata.clone());
    let sent = service.send(&caller(), request).await.unwrap().value;
    let SendOutcome::Task(task) = sent else { panic!("not a task") };
    let mut run = node.claim().await;
    run.append(vec![working()]).await;
    let mut artifact = Artifact::new(ArtifactId::new("a").unwrap(), vec![Part::text(separators())]);
    artifact.name = Some(separators());
    artifact.metadata = Some(metadata);
    let (append, last_chunk, metadata) = (false, true, None);
    run.append(vec![EntryBody::Artifact(ArtifactUpdate {
        artifact,
        append,
        last_chunk,
        metadata,
    })])
    .await;
    // Without a cursor a stream begins with the snapshot: history and artifacts.
    for cursor in [Some(Seq(0)), None] {
        for (at, envelope) in envelopes().into_iter().enumerate() {
            let request = SubscribeRequest { tenant: None, id: TaskRef::Known(task.key.task) };
            let stream = service.subscribe(&caller(), request, cursor).await.unwrap();
            let text = text(sse::response(stream, Duration::from_millis(5), envelope), 1).await;
            let events = events(&text);
            assert!(!events.is_empty(), "{at}");
            for event in events {
                let read = serde_json::from_str::<Value>(&event);
                assert!(read.is_ok(), "{at}: {event:?} of {text}");
            }
            assert!(text.contains("\\u2028"), "{at}: {text}");
        }
    }
}
