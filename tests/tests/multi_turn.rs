//! Conversations: questions, replies, and messages to running tasks.

use longhaul_tests::tasks::{
    artifact_texts, get, id, reply_to, return_immediately, send, start_working, state, task_of,
    texts, violations, wait_for_state, with,
};
use longhaul_tests::{Mode, StackBuilder, on_both_modes};
use serde_json::json;

on_both_modes!(
    an_answer_by_task_id_resumes_the_task,
    a_question_is_asked_until_the_answer_fits,
    a_reply_is_handled_by_another_worker_after_the_first_was_killed,
    a_question_survives_a_restart_of_everything,
    a_message_to_a_running_task_is_offered_to_its_executor,
    a_message_that_comes_before_the_question_is_read_at_once,
    an_answer_in_another_context_is_refused,
    an_ended_task_takes_no_more_messages,
    an_answer_that_is_sent_twice_counts_once,
    an_unknown_task_takes_no_message,
);

async fn an_answer_by_task_id_resumes_the_task(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let task = send(&stack.client(), "!chunks 2 10; ask which one?").await;
    assert_eq!(state(&task), "INPUT_REQUIRED");
    let answered =
        stack.client_at(1).call("SendMessage", reply_to(&id(&task), "the red one")).await;
    let answered = task_of(answered);
    assert_eq!((&answered["id"], &answered["contextId"]), (&task["id"], &task["contextId"]));
    assert_eq!(state(&answered), "COMPLETED");
    assert_eq!(artifact_texts(&answered).last().map(String::as_str), Some("the red one"));
    assert_eq!(answered["artifacts"][0], task["artifacts"][0], "what was there stays");
    let said: Vec<String> = answered["history"]
        .as_array()
        .expect("there is a history")
        .iter()
        .flat_map(|message| texts(&message["parts"]))
        .collect();
    assert_eq!(said, ["!chunks 2 10; ask which one?", "which one?", "the red one"]);
    stack.assert_no_errors_logged();
}

async fn a_question_is_asked_until_the_answer_fits(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let mut task = send(&client, "!ask-until yes").await;
    for wrong in ["no", "perhaps"] {
        task = task_of(client.call("SendMessage", reply_to(&id(&task), wrong)).await);
        assert_eq!(state(&task), "INPUT_REQUIRED");
        let question = texts(&task["status"]["message"]["parts"]).concat();
        assert!(question.contains(wrong), "{question}");
    }
    let task = task_of(client.call("SendMessage", reply_to(&id(&task), "yes")).await);
    assert_eq!((state(&task), artifact_texts(&task)), ("COMPLETED", vec!["yes".to_owned()]));
}

async fn a_reply_is_handled_by_another_worker_after_the_first_was_killed(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let task = send(&stack.client(), "!ask").await;
    stack.replace_workers().await;
    let answered = task_of(stack.client().call("SendMessage", reply_to(&id(&task), "go")).await);
    assert_eq!((state(&answered), artifact_texts(&answered)), ("COMPLETED", vec!["go".to_owned()]));
}

async fn a_question_survives_a_restart_of_everything(mode: Mode) {
    let mut stack = StackBuilder::new(mode).short_lease().start().await;
    let task = send(&stack.client(), "!progress 2; ask still there?").await;
    stack.restart_all().await;
    assert_eq!(get(&stack.client(), &id(&task)).await, task, "nothing has changed");
    let answered = task_of(stack.client().call("SendMessage", reply_to(&id(&task), "yes")).await);
    assert_eq!(state(&answered), "COMPLETED");
}

async fn a_message_to_a_running_task_is_offered_to_its_executor(mode: Mode) {
    let stack = StackBuilder::new(mode).nodes(2).start().await;
    let client = stack.client();
    let task = start_working(&client, "!listen 2").await;
    wait_for_state(&client, &id(&task), "WORKING").await;
    for text in ["first", "second"] {
        let params = return_immediately(reply_to(&id(&task), text));
        stack.client_at(1).call("SendMessage", params).await;
    }
    let task = wait_for_state(&client, &id(&task), "COMPLETED").await;
    let history = task.to_string();
    assert!(history.contains("heard: first") && history.contains("heard: second"), "{task}");
}

async fn a_message_that_comes_before_the_question_is_read_at_once(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = start_working(&client, "!wait 1500; ask").await;
    // A different plan: if the question had ended the run, the task would wait for it forever.
    client.call("SendMessage", return_immediately(reply_to(&id(&task), "!complete read it"))).await;
    let task = wait_for_state(&client, &id(&task), "COMPLETED").await;
    assert_eq!(texts(&task["status"]["message"]["parts"]), ["read it"]);
}

async fn an_answer_in_another_context_is_refused(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = send(&client, "!ask").await;
    let params = with(reply_to(&id(&task), "x"), "/message/contextId", json!("another"));
    let error = client.call_error("SendMessage", params).await;
    assert_eq!(
        (error.code, violations(&error.data)),
        (-32602, vec!["message.contextId".to_owned()])
    );
    assert_eq!(get(&client, &id(&task)).await, task, "nothing was written");
    let params = with(reply_to(&id(&task), "x"), "/message/contextId", task["contextId"].clone());
    assert_eq!(state(&task_of(client.call("SendMessage", params).await)), "COMPLETED");
}

async fn an_ended_task_takes_no_more_messages(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for text in ["done", "!fail", "!reject", "!cancel"] {
        let task = send(&client, text).await;
        for method in ["SendMessage", "SendStreamingMessage"] {
            let error = client.call_error(method, reply_to(&id(&task), "more")).await;
            assert_eq!(error.code, -32004, "{text}");
            assert_eq!(error.data[0]["reason"], "UNSUPPORTED_OPERATION");
        }
        assert_eq!(get(&client, &id(&task)).await, task, "nothing was written");
    }
}

async fn an_answer_that_is_sent_twice_counts_once(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    let task = send(&client, "!ask-until yes").await;
    let answer = reply_to(&id(&task), "no");
    let first = task_of(client.call("SendMessage", answer.clone()).await);
    let second = task_of(client.call("SendMessage", answer).await);
    assert_eq!(first, second);
}

async fn an_unknown_task_takes_no_message(mode: Mode) {
    let stack = StackBuilder::new(mode).start().await;
    let client = stack.client();
    for unknown in ["018f2f6e-7b7a-7000-8000-000000000001", "nonsense"] {
        for method in ["SendMessage", "SendStreamingMessage"] {
            let error = client.call_error(method, reply_to(unknown, "hello?")).await;
            assert_eq!(error.code, -32001);
        }
    }
}
