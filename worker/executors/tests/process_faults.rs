//! Plugins that fail, die or break the protocol: whose fault it is, and who hears of it.

mod support;

use longhaul_domain::TaskState;
use longhaul_executor::{
    Executor, OutputStopped,
    testkit::{TestRun, TestRunEnd},
};
use std::{sync::Arc, time::Duration};
use support::{Plugin, limited};

/// The plugin of the documentation, with one line of it changed.
fn documented(line: &str, instead: &str) -> Plugin {
    let page = include_str!("../../../docs/process-protocol.md");
    let code = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let code = code.expect("the page has a plugin");
    assert!(code.contains(line), "{line}");
    Plugin::raw(&code.replace(line, instead))
}

#[tokio::test]
async fn an_exception_in_the_documented_plugin_shows_its_cause_to_operators_only() {
    let plugin = documented("    lines = [", "    lines = 1 / 0 or [");
    let report = limited(TestRun::new(plugin.executor()).text("hello").run()).await;
    let failure = report.failure();
    assert_eq!(failure.message.as_ref().unwrap().text(), "This text could not be shouted.");
    assert!(failure.cause.contains("ZeroDivisionError"), "{}", failure.cause);
    assert!(failure.for_operators && !failure.retryable);
}

#[tokio::test]
async fn an_exception_elsewhere_in_the_documented_plugin_ends_it_without_an_abort() {
    for (line, instead) in [
        (
            "            try:\n                work",
            "            1 / 0\n            try:\n                work",
        ),
        (
            "send({\"run\": said[\"run\"], **end})",
            "send({\"run\": said[\"run\"], **end, \"x\": 1 / 0})",
        ),
    ] {
        let plugin = documented(line, instead);
        let report = limited(TestRun::new(plugin.executor()).text("hello").run()).await;
        let failure = report.failure();
        assert!(failure.cause.contains("exit status: 1"), "{}", failure.cause);
        assert!(failure.cause.contains("ZeroDivisionError"), "{}", failure.cause);
        assert!(failure.for_operators && failure.retryable, "the traceback is not for the client");
    }
}

#[tokio::test]
async fn a_protocol_violation_fails_the_run_for_good_and_shows_the_line() {
    for (code, named) in [
        ("print('Hello, world!', flush=True)", "Hello, world!"),
        ("send({'type': 'dance', 'run': run.id})", "dance"),
        ("send({'type': 'status', 'run': 'r77', 'text': 'x'})", "r77"),
        ("send({'type': 'status', 'text': 'x'})", "names no `run`"),
        ("send({'type': 'log', 'message': 'x' * 100000})", "too long"),
        // One write, so that no credit can be granted in between.
        (
            "line = json.dumps({'type': 'status', 'run': run.id, 'text': 'x'}) + '\\n'
         sys.stdout.write(line * 17); sys.stdout.flush()",
            "without credit",
        ),
        (
            "run.output(type='artifact', append=True, artifact={'artifactId': 'new', 'parts': []})",
            "new",
        ),
        (
            "run.output(type='artifact', artifact={'parts': [{'text': 'a', 'url': 'b'}]})",
            "exactly one",
        ),
        ("run.output(type='status', text='a\\0b')", "U+0000"),
        ("run.end('input-required')", "`text` or `message`"),
        ("send({'type': 'ready', 'protocol': 1})", "twice"),
    ] {
        println!("{code}");
        let mut plugin = Plugin::new(&format!("{code}\n         while True: hear()"));
        plugin.config.max_line_bytes = 50_000;
        let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
        let failure = report.failure();
        assert!(failure.cause.contains(named), "{code}: {}", failure.cause);
        assert!(!failure.retryable, "{code}");
    }
}

#[tokio::test]
async fn a_frame_for_an_ended_run_is_not_blamed_on_the_next_run() {
    let mut plugin = Plugin::new(
        "global ended
         if run.start['message']['parts'][0]['text'] == 'second':
             send({'type': 'status', 'run': ended, 'text': 'by the way'})
             while True: hear()
         ended = run.id
         run.end('completed')",
    );
    plugin.config.keep = true;
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    let first = limited(TestRun::from_shared(executor.clone()).text("first").run()).await;
    assert_eq!(first.state(), TaskState::Completed);
    let second = limited(TestRun::from_shared(executor.clone()).text("second").run()).await;
    assert_eq!(second.end(), &TestRunEnd::Stopped(OutputStopped::Interrupted));
}

/// A plugin that runs up to eight tasks in one process. In its first process `deaf` and `wait`
/// never end, and `die` ends the process once a second run is there. In every later one `die` ends
/// it at once, and `wait` says how many runs there were.
fn crowded() -> (Plugin, Arc<dyn Executor>) {
    let plugin = Plugin::raw(&support::library(
        "mark = os.path.join(os.environ['FOLDER'], 'mark')
         later = os.path.exists(mark)
         open(mark, 'w').close()
         runs = {}
         while True:
             said = hear()
             if said['type'] != 'run': continue
             text = said['message']['parts'][0]['text']
             runs[text] = said['run']
             if 'die' in runs and (later or len(runs) == 2): os._exit(9)
             if 'deaf' in runs and len(runs) == 2:
                 send({'type': 'status', 'run': runs['deaf'], 'text': 'not alone'})
             if later and text == 'wait':
                 send({'type': 'completed', 'run': said['run'], 'text': str(len(runs))})
        ",
        ", 'maxInflight': 8",
    ));
    let folder = plugin.folder.path().display().to_string();
    let mut plugin = plugin.with_env("FOLDER", &folder);
    plugin.config.keep = true;
    plugin.config.max_inflight = 8;
    plugin.config.kill_grace = Duration::from_millis(100);
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    (plugin, executor)
}

#[tokio::test]
async fn a_run_that_does_not_stop_costs_other_runs_no_attempt() {
    let (_plugin, executor) = crowded();
    let deaf = TestRun::from_shared(executor.clone()).text("deaf").cancel_after_events(1).run();
    let wait = TestRun::from_shared(executor.clone()).text("wait").max_attempts(1).run();
    let (deaf, wait) = limited(async { tokio::join!(deaf, wait) }).await;
    assert_eq!(deaf.end(), &TestRunEnd::Stopped(OutputStopped::Canceled));
    assert_eq!(wait.end(), &TestRunEnd::Stopped(OutputStopped::Interrupted));
    let again = limited(wait.after_worker_loss().max_attempts(1).run()).await;
    assert_eq!(again.status_text(), "1", "it has a process of its own");
    limited(executor.stop()).await;
}

#[tokio::test]
async fn a_run_that_kills_its_plugin_is_isolated_and_fails_no_other() {
    let (_plugin, executor) = crowded();
    let run = |text| TestRun::from_shared(executor.clone()).text(text).max_attempts(1).run();
    let (die, wait) = limited(async { tokio::join!(run("die"), run("wait")) }).await;
    for report in [&die, &wait] {
        assert_eq!(
            report.end(),
            &TestRunEnd::Stopped(OutputStopped::Interrupted),
            "it may have been either"
        );
    }
    let (die, wait) = (die.after_worker_loss().run(), wait.after_worker_loss().run());
    let (die, wait) = limited(async { tokio::join!(die, wait) }).await;
    assert!(die.failure().cause.contains("exit status: 9"), "{}", die.failure().cause);
    assert_eq!(wait.status_text(), "1");
    limited(executor.stop()).await;
}

#[tokio::test]
async fn a_plugin_that_cannot_be_started_costs_no_attempt() {
    let plugin = Plugin::command(&["/nonexistent/program"]);
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Unavailable));
}

#[tokio::test]
async fn a_crash_is_retryable_and_reports_exit_status_and_standard_error() {
    let plugin = Plugin::new(
        "run.output(type='status', text='so far')
         sys.stderr.write('out of paper\\n')
         sys.stdout.write('{\"type\":\"comp')
         sys.stdout.flush()
         os._exit(3)",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    let failure = report.failure();
    assert!(failure.retryable);
    assert!(failure.cause.contains("exit status: 3"), "{}", failure.cause);
    assert!(failure.cause.contains("out of paper"), "{}", failure.cause);
    assert_eq!(report.status_texts(), ["so far"]);
}

#[tokio::test]
async fn a_program_that_is_not_a_plugin_gets_an_error_with_advice() {
    for (command, said) in [
        (vec!["/nonexistent/program"], "cannot be started"),
        (vec!["sh", "-c", "echo missing module >&2; exit 4"], "exit status: 4"),
        (vec!["sh", "-c", "echo missing module >&2; exit 4"], "missing module"),
        (vec!["sh", "-c", "echo hello; sleep 1000"], "\"hello\""),
        (vec!["sleep", "1000"], "\"type\":\"ready\""),
        (vec!["sh", "-c", "echo '{\"type\":\"ready\",\"protocol\":9}'; sleep 1000"], "protocol 9"),
    ] {
        let mut plugin = Plugin::command(&command);
        if command[0] == "sleep" {
            plugin.config.start_timeout = Duration::from_millis(100);
        }
        let error = limited(plugin.executor().start()).await.unwrap_err().to_string();
        assert!(error.contains(said), "{command:?}: {error}");
    }
}

#[tokio::test]
async fn a_plugin_that_does_not_read_blocks_no_other_run() {
    let plugin = Plugin::new(
        "run.output(type='status', text='not reading')
         for n in range(2000): send({'type': 'log', 'run': run.id, 'message': 'x' * 200})
         run.end('completed')",
    );
    let mut run = TestRun::new(plugin.executor()).text("go");
    for _ in 0..40 {
        run = run.follow_up_after_events(1, "x".repeat(50_000));
    }
    let report = limited(run.run()).await;
    assert_eq!(report.state(), TaskState::Completed);
}
