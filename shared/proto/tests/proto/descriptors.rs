//! Server reflection describes both services with all of their methods.

use crate::peer::POOL;
use longhaul_wire::Operation;

#[test]
fn both_services_have_every_operation() {
    let service = POOL.get_service_by_name("lf.a2a.v1.A2AService").expect("1.0");
    let mut names: Vec<String> = service.methods().map(|m| m.name().to_owned()).collect();
    let mut expected: Vec<String> =
        Operation::ALL.map(|operation| operation.v1_method().to_owned()).to_vec();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    for method in service.methods() {
        let streams = matches!(method.name(), "SendStreamingMessage" | "SubscribeToTask");
        assert_eq!(method.is_server_streaming(), streams, "{}", method.name());
        assert!(!method.is_client_streaming());
    }
    let old = POOL.get_service_by_name("a2a.v1.A2AService").expect("0.3");
    // 0.3 lacks List Tasks.
    assert_eq!(old.methods().len(), expected.len() - 1);
}

#[test]
fn messages_that_share_a_type_have_the_same_members() {
    for name in
        ["AgentSkill", "AgentProvider", "AgentExtension", "AgentCardSignature", "StringList"]
    {
        let [old, new] = ["a2a.v1", "lf.a2a.v1"].map(|package| {
            let message =
                POOL.get_message_by_name(&format!("{package}.{name}")).expect("described");
            let mut members: Vec<_> =
                message.fields().map(|f| (f.number(), f.kind_name())).collect();
            members.sort();
            members
        });
        assert_eq!(old, new, "{name}");
    }
}

trait KindName {
    fn kind_name(&self) -> String;
}

impl KindName for prost_reflect::FieldDescriptor {
    /// Kind of the field without its package; scalars by their type.
    fn kind_name(&self) -> String {
        match self.kind() {
            prost_reflect::Kind::Message(_) => "message".to_owned(),
            kind => format!("{kind:?}"),
        }
    }
}
