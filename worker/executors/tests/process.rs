//! Promises of the process protocol to a plugin.

mod support;

use longhaul_domain::{
    JsonObject, MAX_INLINE_CONTENT_BYTES, Message, MessageId, Part, Role, TaskState,
};
use longhaul_executor::{
    Executor, Outcome, OutputStopped,
    testkit::{TestRun, TestRunEnd},
};
use std::{sync::Arc, time::Duration};
use support::{Plugin, has_ended, limited};

#[tokio::test]
async fn the_documented_plugin_works_in_both_modes() {
    let page = include_str!("../../../docs/process-protocol.md");
    let code = page.split("```python\n").nth(1).unwrap().split("```").next().unwrap();
    for keep in [false, true] {
        let mut plugin = Plugin::raw(code);
        plugin.config.keep = keep;
        let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
        for _ in 0..2 {
            let run = TestRun::from_shared(executor.clone()).text("hello\nworld");
            let report = limited(run.run()).await;
            assert_eq!(report.outcome(), &Outcome::Completed(None));
            assert_eq!(report.artifact_text("loud"), "HELLOWORLD");
            assert_eq!(report.artifacts()[0].name.as_deref(), Some("loud.txt"));
            assert_eq!(report.status_texts(), ["shouting"]);
        }
        limited(executor.stop()).await;
    }
}

#[tokio::test]
async fn many_chunks_flow_under_credit_and_in_order() {
    let plugin = Plugin::new(
        "for n in range(100):
             run.output(type='artifact', append=n > 0, lastChunk=n == 99,
                        artifact={'parts': [{'text': f'{n};'}]})
         run.end('completed', text='fine')",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    let expected = (0..100).map(|n| format!("{n};")).collect::<Vec<_>>().concat();
    assert_eq!(report.artifact_text("artifact-1"), expected);
    assert_eq!(report.chunks().len(), 100);
    assert!(report.chunks()[99].last_chunk);
    assert_eq!(report.status_text(), "fine");
}

#[tokio::test]
async fn every_ending_has_its_outcome() {
    for (end, state) in [
        ("'completed'", TaskState::Completed),
        ("'failed', cause='why'", TaskState::Failed),
        ("'rejected', message={'parts': [{'text': 'no'}]}", TaskState::Rejected),
        ("'input-required', text='which?'", TaskState::InputRequired),
        ("'auth-required', text='log in'", TaskState::AuthRequired),
        ("'message', text='direct'", TaskState::Completed),
    ] {
        let plugin = Plugin::new(&format!("run.end({end})"));
        let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
        assert_eq!(report.state(), state, "{end}");
    }
}

#[tokio::test]
async fn a_retryable_failure_sets_the_retry_delay() {
    let plugin = Plugin::new(
        "run.end('failed', cause='busy', text='later', retryable=True, retryAfterMs=5000)",
    );
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    let failure = report.failure();
    assert!(failure.retryable && failure.cause == "busy");
    assert_eq!(failure.retry_after, Some(Duration::from_secs(5)));
    assert_eq!(failure.message.as_ref().unwrap().text(), "later");
}

#[tokio::test]
async fn cancel_ends_a_plugin_that_does_not_listen_with_its_children() {
    let mut plugin = Plugin::new(
        "import signal, subprocess, time
         signal.signal(signal.SIGTERM, signal.SIG_IGN)
         child = subprocess.Popen(['sleep', '1000'])
         run.output(type='status', text=f'{os.getpid()} {child.pid}')
         while True: time.sleep(1000)",
    );
    plugin.config.kill_grace = Duration::from_millis(100);
    let run = TestRun::new(plugin.executor()).text("go").cancel_after_events(1);
    let report = limited(run.run()).await;
    assert_eq!(report.end(), &TestRunEnd::Stopped(OutputStopped::Canceled));
    for pid in report.status_texts()[0].split(' ') {
        assert!(has_ended(pid.parse().unwrap()).await, "{pid} is left");
    }
}

#[tokio::test]
async fn a_plugin_that_handles_the_cancellation_sends_the_last_message() {
    let plugin = Plugin::new(
        "run.output(type='status', text='waiting')
         said = run.next('cancel')
         run.end('canceled', text='as you wish: ' + said['reason'])",
    );
    let run = TestRun::new(plugin.executor()).text("go").cancel_after_events(1);
    let report = limited(run.run()).await;
    assert!(matches!(report.end(), TestRunEnd::Outcome(Outcome::Canceled(Some(_)))), "{report:?}");
    assert_eq!(report.status_text(), "as you wish: canceled");
}

#[tokio::test]
async fn a_timeout_is_reported_to_the_plugin_and_ends_the_run_without_a_failure() {
    let plugin = Plugin::new(
        "run.output(type='status', text='waiting')
         said = run.next('cancel')
         assert said['reason'] == 'timed-out', said
         run.end('completed', text='too late')",
    );
    let run =
        TestRun::new(plugin.executor()).text("go").stop_after_events(1, OutputStopped::TimedOut);
    assert_eq!(limited(run.run()).await.end(), &TestRunEnd::Stopped(OutputStopped::TimedOut));
}

#[tokio::test]
async fn a_message_is_read_only_once_the_plugin_acknowledges_it() {
    let reads = Plugin::new(
        "said = run.next('message')
         send({'type': 'read', 'run': run.id, 'messageId': said['message']['messageId']})
         run.end('completed', text=said['message']['parts'][0]['text'])",
    );
    let report = limited(TestRun::new(reads.executor()).text("go").follow_up("more").run()).await;
    assert_eq!(report.status_text(), "more");
    assert_eq!(Some(report.read_up_to()), report.task().last_user_message().map(|m| m.seq));

    let ignores = Plugin::new("run.end('completed')");
    let report = limited(TestRun::new(ignores.executor()).text("go").follow_up("more").run()).await;
    assert!(report.read_up_to() < report.task().last_user_message().unwrap().seq);
}

#[tokio::test]
async fn two_runs_share_a_process_and_do_not_mix() {
    // Each run waits for the other before it ends.
    let mut plugin = Plugin::raw(&support::library(
        "waiting = []
         while True:
             said = hear()
             if said['type'] != 'run': continue
             waiting.append(said)
             if len(waiting) < 2: continue
             for start in waiting:
                 send({'type': 'artifact', 'run': start['run'],
                       'artifact': {'parts': start['message']['parts']}})
             for start in waiting:
                 send({'type': 'completed', 'run': start['run'], 'text': str(os.getpid())})",
        ", 'maxInflight': 2",
    ));
    plugin.config.keep = true;
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    let run = |text| limited(TestRun::from_shared(executor.clone()).text(text).run());
    let (a, b) = tokio::join!(run("a"), run("b"));
    assert_eq!(
        (a.artifact_text("artifact-1"), b.artifact_text("artifact-1")),
        ("a".into(), "b".into())
    );
    assert_eq!(a.status_text(), b.status_text(), "one process");
    limited(executor.stop()).await;
    assert!(has_ended(a.status_text().parse().unwrap()).await);
}

#[tokio::test]
async fn more_runs_than_slots_start_another_plugin_and_both_are_kept() {
    // Each run waits until the other one has been here.
    let mut plugin = Plugin::new(
        "import time
         me, other = run.start['message']['parts'][0]['text'].split()
         open(os.path.join(os.environ['MEET'], me), 'w').close()
         while not os.path.exists(os.path.join(os.environ['MEET'], other)): time.sleep(0.01)
         run.end('completed', text=str(os.getpid()))",
    );
    let folder = plugin.folder.path().display().to_string();
    plugin = plugin.with_env("MEET", &folder);
    plugin.config.keep = true;
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    let run = |text| limited(TestRun::from_shared(executor.clone()).text(text).run());
    let (a, b) = tokio::join!(run("a b"), run("b a"));
    assert_ne!(a.status_text(), b.status_text(), "two processes");
    let again = run("a b").await.status_text();
    assert!(again == a.status_text() || again == b.status_text(), "no third one");
    limited(executor.stop()).await;
}

#[tokio::test]
async fn a_kept_plugin_that_died_is_restarted() {
    let mut plugin = Plugin::new(
        "if run.start['message']['parts'][0]['text'] == 'die': os._exit(1)
         run.end('completed')",
    );
    plugin.config.keep = true;
    let executor: Arc<dyn Executor> = Arc::new(plugin.executor());
    let dead = limited(TestRun::from_shared(executor.clone()).text("die").run()).await;
    assert!(dead.failure().retryable);
    let alive = limited(TestRun::from_shared(executor.clone()).text("live").run()).await;
    assert_eq!(alive.state(), TaskState::Completed);
}

#[tokio::test]
async fn a_lost_attempt_is_resumed_where_its_output_ends() {
    let plugin = Plugin::new(
        "done = {a['artifactId']: a['parts'] for a in run.start['resume']['artifacts']}.get('pages', 0)
         for n in range(done, 4):
             run.output(type='artifact', append=n > 0,
                        artifact={'artifactId': 'pages', 'parts': [{'text': str(n)}]})
         run.end('completed', text=f'began at {done}')",
    );
    let run =
        TestRun::new(plugin.executor()).text("go").stop_after_events(2, OutputStopped::LeaseLost);
    let lost = limited(run.run()).await;
    assert_eq!(lost.end(), &TestRunEnd::Stopped(OutputStopped::LeaseLost));
    let report = limited(lost.after_worker_loss().run()).await;
    assert_eq!(report.artifact_text("pages"), "0123");
    assert_eq!(report.status_text(), "began at 2");
}

#[tokio::test]
async fn the_next_turn_sees_the_answer_and_the_exchange() {
    let plugin = Plugin::new(
        "if run.start['task']['turn'] == 1:
             run.end('input-required', text='how large?')
         else:
             texts = [m['parts'][0]['text'] for m in run.start['history']]
             run.end('completed', text='|'.join(texts))",
    );
    let asked = limited(TestRun::new(plugin.executor()).text("cut").run()).await;
    let report = limited(asked.answer("500").run()).await;
    assert_eq!(report.status_text(), "cut|how large?|500");
}

#[tokio::test]
async fn a_plugin_can_read_messages_older_than_the_history_of_its_run() {
    let plugin = Plugin::new(
        "assert [m['parts'][0]['text'] for m in run.start['history']] == ['three'], run.start
         texts, before = ['three'], run.start.get('historyBefore')
         while before is not None:
             page = run.ask('history', historyBefore=before)['result']
             texts = [m['parts'][0]['text'] for m in page['messages']] + texts
             before = page.get('historyBefore')
         run.end('completed', text='|'.join(texts))",
    );
    let run =
        TestRun::new(plugin.executor()).text("one").text("two").text("three").history_limit(1);
    let report = limited(run.run()).await;
    assert_eq!(report.status_text(), "one|two|three");
}

#[tokio::test]
async fn large_metadata_of_message_and_request_is_sent_inline() {
    let plugin = Plugin::new(
        "sizes = [len(m['metadata']['pad']) for m in (run.start['message'], run.start)]
         apart = run.start['history'][0]['metadata']['urn:longhaul:blob']
         run.end('completed', text=f\"{sizes} {apart['size'] > sizes[0]}\")",
    );
    let pad =
        JsonObject::parse(&format!(r#"{{"pad":"{}"}}"#, "x".repeat(MAX_INLINE_CONTENT_BYTES)))
            .unwrap();
    let id = MessageId::new("m").unwrap();
    let message = Message {
        metadata: Some(pad.clone()),
        ..Message::new(id, Role::User, vec![Part::text("go")])
    };
    let run = TestRun::new(plugin.executor()).message(message).request_metadata(pad);
    let report = limited(run.run()).await;
    assert_eq!(
        report.status_text(),
        format!("[{MAX_INLINE_CONTENT_BYTES}, {MAX_INLINE_CONTENT_BYTES}] True")
    );
}

#[tokio::test]
async fn large_parts_are_inline_in_the_message_and_by_request_elsewhere() {
    let size = 3 * MAX_INLINE_CONTENT_BYTES;
    let plugin = Plugin::new(
        "import base64
         inline = base64.b64decode(run.start['message']['parts'][0]['raw'])
         large = run.start['history'][0]['parts'][0]['large']
         read = b''
         while len(read) < large['size']:
             piece = run.ask('part', id=large['id'], offset=len(read), length=100000)['result']
             read += base64.b64decode(piece['raw'])
         assert inline == read
         unknown = run.ask('part', id='0' * 64)
         assert 'error' in unknown, unknown
         assert run.ask('flush')['result'] == {}
         assert run.ask('task', taskId=run.start['task']['taskId'])['result']['task']['id']
         assert run.ask('earlierTasks')['result']['tasks'] == []
         run.output(type='artifact', artifact={'parts': [{'raw': base64.b64encode(read).decode()}]})
         run.end('completed', text=str(len(read)))",
    );
    let bytes: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let run = TestRun::new(plugin.executor()).parts(vec![Part::raw(bytes, "application/pdf")]);
    let report = limited(run.run()).await;
    assert_eq!(report.status_text(), size.to_string());
    assert_eq!(report.artifacts()[0].parts[0].blob().unwrap().size, size as u64);
}

#[tokio::test]
async fn an_abandoned_run_leaves_no_process() {
    let plugin = Plugin::new(
        "run.output(type='status', text=str(os.getpid()))
         open(os.environ['PID_FILE'] + '.new', 'w').write(str(os.getpid()))
         os.rename(os.environ['PID_FILE'] + '.new', os.environ['PID_FILE'])
         while True: hear()",
    );
    let file = plugin.folder.path().join("pid");
    let plugin = plugin.with_env("PID_FILE", file.to_str().unwrap());
    let run = TestRun::new(plugin.executor()).text("go").run();
    let pid = tokio::select! {
        report = run => panic!("it does not end by itself: {report:?}"),
        pid = support::content(&file) => pid,
    };
    assert!(has_ended(pid.parse().unwrap()).await);
}

#[tokio::test]
async fn the_workers_own_settings_are_not_passed_on_and_configured_ones_are() {
    let plugin = Plugin::new(
        "own = [name for name in os.environ if name.startswith('LONGHAUL_')]
         run.end('completed', text=f\"{own} {os.environ['COLOUR']} {os.path.basename(os.getcwd())}\")",
    );
    let mut plugin = plugin.with_env("COLOUR", "blue");
    let folder = tempfile::Builder::new().prefix("work").tempdir().unwrap();
    plugin.config.working_dir = Some(folder.path().to_owned());
    let report = limited(TestRun::new(plugin.executor()).text("go").run()).await;
    let name = folder.path().file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(report.status_text(), format!("[] blue {name}"));
}
