//! Information about the client that a plugin of the process protocol gets.

mod support;

use longhaul_executor::testkit::TestRun;
use support::{Plugin, limited};

#[tokio::test]
async fn a_plugin_gets_the_output_modes_that_its_client_accepts() {
    for (modes, told) in [(&["text/plain", "image/*"][..], "text/plain image/*"), (&[], "absent")] {
        let plugin = Plugin::new(
            "modes = run.start.get('acceptedOutputModes', ['absent'])
             run.end('completed', text=' '.join(modes))",
        );
        let run = TestRun::new(plugin.executor()).accepted_output_modes(modes).text("go");
        assert_eq!(limited(run.run()).await.status_text(), told);
    }
}
