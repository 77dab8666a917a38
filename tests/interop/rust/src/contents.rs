//! Files and data in requests and results.

use a2a::{Part, PartContent, Task};
use serde_json::{Value, json};

use crate::record::parts;
use crate::scenarios::{ScenarioResult, Scenarios, equal, error_text};
use crate::sdk::MessageTarget;

impl Scenarios {
    /// Files by value and by reference are returned as sent, and as the agent creates them.
    pub async fn files(&self) -> ScenarioResult {
        let bytes: Vec<u8> = (0..5).flat_map(|_| 0..=u8::MAX).collect();
        let sent = vec![
            Part::text("two files"),
            Part::raw(bytes).with_filename("bytes.bin").with_media_type("application/octet-stream"),
            Part::url("https://example.com/files/a%20report.pdf")
                .with_filename("a report.pdf")
                .with_media_type("application/pdf"),
        ];
        let task =
            self.sdk.send(sent.clone(), MessageTarget::default()).await.map_err(error_text)?;
        let found: Vec<Part> =
            task.artifacts.iter().flatten().flat_map(|artifact| artifact.parts.clone()).collect();
        equal(found, sent, "what came back")?;
        self.same(&task).await?;
        let record = self.streamed("!artifact raw; artifact url", MessageTarget::default()).await?;
        let made = vec![
            PartContent::Raw(vec![0, 1, 2, 0xff]),
            PartContent::Url("https://example.com/file.txt".to_owned()),
        ];
        equal(parts(record.task()?), made, "what the agent made")?;
        Ok(Value::Null)
    }

    /// Nested data is returned as sent, and as the agent creates it.
    pub async fn data(&self) -> ScenarioResult {
        let value = json!({
            "answer": 42, "share": 0.25, "yes": true, "nothing": null, "text": "zwölf Boxkämpfer \u{1F600}",
            "list": [1, "x", [], [null, { "deep": { "deeper": [{}] } }]],
        });
        let sent = vec![Part::data(value.clone()), Part::text("and a text")];
        let task = self.sdk.send(sent, MessageTarget::default()).await.map_err(error_text)?;
        let back = vec![PartContent::Data(value), PartContent::Text("and a text".to_owned())];
        equal(plain(&task), plain_of(&back), "what came back")?;
        self.same(&task).await?;
        let made = self.send("!artifact data", MessageTarget::default()).await?;
        let expected = [PartContent::Data(json!({ "answer": 42, "list": [1, null, "x"] }))];
        equal(plain(&made), plain_of(&expected), "what the agent made")?;
        Ok(Value::Null)
    }
}

/// Parts in a comparable form: every number is a double, as over gRPC.
fn plain(task: &Task) -> Vec<Value> {
    plain_of(&parts(task))
}

fn plain_of(parts: &[PartContent]) -> Vec<Value> {
    let one = |part: &PartContent| match part {
        PartContent::Data(value) => doubles(value),
        other => json!(format!("{other:?}")),
    };
    parts.iter().map(one).collect()
}

fn doubles(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(doubles).collect(),
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.clone(), doubles(value))).collect()
        }
        other => other.clone(),
    }
}
