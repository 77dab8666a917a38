//! Promises of steps to a plugin of the process protocol.

mod support;

use longhaul_domain::TaskState;
use longhaul_executor::{
    Executor,
    testkit::{TestRun, crash_everywhere},
};
use std::sync::Arc;
use support::{Plugin, limited};

/// Two pages in a step each, all in one artifact, and a cursor.
const PAGES: &str = "\
run.output(type='status', text='begin')
     for page in (1, 2):
         name = f'page {page}'
         step = run.ask('beginStep', name=name)['result']
         if not step['done']:
             run.output(type='artifact', step=name, append=page > 1,
                        artifact={'artifactId': 'pages', 'parts': [{'text': str(page)}]})
             run.output(type='artifact', step=name, artifact={'parts': [{'text': 'picture'}]})
             assert run.ask('endStep', name=name, value={'page': page})['result'] == {}
         else:
             assert step['value'] == {'page': page}, step
     assert run.ask('putCheckpoint', name='cursor', value=None)['result'] == {}
     assert run.ask('checkpoint', name='cursor')['result'] == {'found': True, 'value': None}
     assert run.ask('checkpoint', name='other')['result'] == {'found': False}
     run.end('completed', text='done')";

#[tokio::test]
async fn a_killed_worker_leaves_each_step_complete_or_repeated() {
    let mut plugin = Plugin::new(PAGES);
    plugin.config.keep = true;
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    let run = async || TestRun::from_shared(executor.clone()).text("go");
    let reports = limited(crash_everywhere(run)).await;
    assert_eq!(reports[0].artifact_text("pages"), "12");
    assert_eq!(reports[0].artifact_text("page 2-1"), "picture");
    assert_eq!(reports[0].checkpoints(), ["cursor", "page 1", "page 2"]);
    limited(executor.stop()).await;
}

#[tokio::test]
async fn step_errors_are_reported_to_the_plugin_and_store_nothing() {
    let plugin = Plugin::new(
        "def refused(what, method, **params):
             reply = run.ask(method, **params)
             assert what in reply.get('error', ''), (method, reply)
         assert hello['features'] == ['checkpoints', 'steps', 'progress', 'history'], hello
         assert run.start['resume']['checkpoints'] is False, run.start
         assert run.ask('beginStep', name='a')['result'] == {'done': False}
         refused('used twice', 'beginStep', name='a')
         refused('used twice', 'putCheckpoint', name='a', value=1)
         assert run.ask('beginStep', name='b')['result'] == {'done': False}
         assert run.ask('dropStep', name='b')['result'] == {}
         refused('not under way', 'endStep', name='b', value=1)
         refused('needs params.name', 'beginStep')
         refused('needs params.value', 'endStep', name='a')
         refused('1048576', 'endStep', name='a', value='x' * (1 << 20))
         refused('not under way', 'endStep', name='a', value=1)
         for n in range(8): assert 'result' in run.ask('beginStep', name=str(n))
         refused('at most 8', 'beginStep', name='8')
         for n in range(8): run.ask('dropStep', name=str(n))
         run.end('completed')",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    assert_eq!(report.state(), TaskState::Completed, "{report:?}");
    assert!(report.checkpoints().is_empty());
}

#[tokio::test]
async fn output_for_a_closed_step_and_unended_steps_violate_the_protocol() {
    for (code, named) in [
        ("run.output(type='status', step='a', text='x')", "\"a\" is not under way"),
        ("run.ask('beginStep', name='a'); run.end('completed')", "while step \"a\" is under way"),
        (
            "run.output(type='artifact', artifact={'artifactId': 'o', 'parts': [{'text': 'x'}]})
         run.ask('beginStep', name='a')
         run.output(type='artifact', step='a', append=True,
                    artifact={'artifactId': 'o', 'parts': [{'text': 'y'}]})",
            "begun outside",
        ),
    ] {
        let plugin = Plugin::new(&format!("{code}\n         while True: hear()"));
        let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
        let failure = report.failure();
        assert!(failure.cause.contains(named), "{code}: {}", failure.cause);
        assert!(!failure.retryable, "{code}");
    }
}

#[tokio::test]
async fn a_step_of_a_failed_run_is_dropped() {
    let plugin = Plugin::new(
        "run.ask('beginStep', name='a')
         run.output(type='status', step='a', text='never seen')
         run.end('failed', cause='why')",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    assert_eq!(report.failure().cause, "why");
    assert!(report.status_texts().is_empty() && report.checkpoints().is_empty());
}

#[tokio::test]
async fn progress_frames_are_not_limited() {
    let plugin = Plugin::new(
        "for n in range(5000): send({'type': 'progress', 'run': run.id})
         run.end('completed')",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    assert_eq!(report.state(), TaskState::Completed);
    assert!(report.heartbeats() > 0);
}
