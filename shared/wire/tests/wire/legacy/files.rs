//! Files in `ProtoJSON` of 0.3, where clients disagree on base64 once or twice.

use super::text;
use crate::strategies as any_of;
use longhaul_domain::{Content, Message, Part, Role};
use longhaul_wire::{
    Dialect, Operation, Request, ResultPayload, SendOutcome, StreamEvent,
    v0::{FileEncoding, LegacyForm, V0},
    write::to_vec,
};
use proptest::prelude::*;

/// Content of the only file in a message from such a client.
fn sent(files: FileEncoding, encoded: &str) -> Vec<u8> {
    let params = format!(
        r#"{{"request":{{"messageId":"m","role":"ROLE_USER","content":[{{"file":{{"fileWithBytes":"{encoded}"}}}}]}}}}"#
    );
    let mut read = Dialect::V0_3Proto.read(Operation::Send, &text(&params)).unwrap();
    files.decode_files(&mut read);
    let Request::Send(request) = read else { panic!("{read:?}") };
    match &request.message.parts[0].content {
        // Files sent as bytes stay bytes.
        Content::Raw(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_decoded_by_the_clients_encoding_and_never_by_guessing() {
    use FileEncoding::{Once, Twice};
    for (files, encoded, content) in [
        // A file with the word "test", from JavaScript and from Python.
        (Once, "dGVzdA==", b"test".as_slice()),
        (Twice, "ZEdWemRBPT0=", b"test"),
        // Read as base64 once, Python's bytes are another file: the text "dGVzdA==".
        (Once, "ZEdWemRBPT0=", b"dGVzdA=="),
        // A misidentified client: content that is not base64 is the file itself.
        (Twice, "aGVsbG8gd29ybGQ=", b"hello world"),
        (Twice, "iVBORw0KGgo=", b"\x89PNG\r\n\x1a\n"),
        (Twice, "ZEdWemRB", b"dGVzdA"),
        (Twice, "", b""),
        (Once, "", b""),
    ] {
        assert_eq!(sent(files, encoded), content, "{files:?} {encoded}");
    }
}

#[test]
fn only_protojson_of_0_3_depends_on_the_file_encoding() {
    let message = crate::samples::message("m", Role::Agent);
    let outcome = SendOutcome::Message(Message {
        parts: vec![Part::raw(b"test".as_slice(), "a/b")],
        ..message
    });
    let written = |dialect: Dialect, files| {
        let view = dialect.view(ResultPayload::Send(&outcome)).with_file_encoding(files);
        String::from_utf8(to_vec(&view).unwrap()).unwrap()
    };
    for dialect in Dialect::ALL {
        let [once, twice] =
            [FileEncoding::Once, FileEncoding::Twice].map(|files| written(dialect, files));
        assert!(once.contains(r#":"dGVzdA==""#), "{once}");
        if dialect == Dialect::V0_3Proto {
            assert!(twice.contains(r#""fileWithBytes":"ZEdWemRBPT0=""#), "{twice}");
        } else {
            assert_eq!(once, twice);
        }
    }
    let SendOutcome::Message(message) = outcome else { panic!("no message") };
    let event = StreamEvent::Message(message);
    let mut frames = Dialect::V0_3Proto.frames(None).with_file_encoding(FileEncoding::Twice);
    let frame = String::from_utf8(to_vec(&frames.encode(&event)[0]).unwrap()).unwrap();
    assert!(frame.contains(r#""fileWithBytes":"ZEdWemRBPT0=""#), "{frame}");
}

proptest! {
    #[test]
    fn files_survive_between_clients_of_one_encoding(request in any_of::send_request()) {
        let given = V0::new(LegacyForm::V0_3Proto, &request);
        let once = Dialect::V0_3Proto.read(Operation::Send, &super::raw(&given)).unwrap();
        let Request::Send(once) = once else { panic!("{once:?}") };
        let files = |message: &Message| -> Vec<Content> {
            message.parts.iter().map(|part| part.content.clone()).collect()
        };
        let event = StreamEvent::Message(once.message.clone());
        let mut frames = Dialect::V0_3Proto.frames(None).with_file_encoding(FileEncoding::Twice);
        let written = super::raw(&frames.encode(&event)[0]);
        let read = longhaul_wire::v0::received_event(LegacyForm::V0_3Proto, &written).unwrap();
        let longhaul_wire::ReceivedEvent::Message(mut read) = read else { panic!("{read:?}") };
        FileEncoding::Twice.decode_message_files(&mut read);
        prop_assert_eq!(files(&read), files(&once.message));
    }
}
