//! temp
use longhaul_domain::log::*;
use longhaul_domain::*;
use longhaul_runtime::*;
use longhaul_store::*;
use longhaul_store_postgres::*;
use std::{sync::Arc, time::*};
fn asks() -> AcceptNew {
    let (task, id) = (SystemIds.uuid_v7(), SystemIds.uuid_v7());
    let said = Message::new(MessageId::from(id), Role::User, vec![Part::text("hello")]);
    let message = UserMessage { message: said, request_metadata: None };
    let agent = AgentName::new("echo").unwrap();
    let dedupe = DedupeKey::of_message(&agent, &message);
    AcceptNew {
        key: TaskKey { owner: OwnerId::LOCAL, task: TaskId::new(task) },
        agent,
        context: ContextId::from(task),
        options: RunOptions::default(),
        accept: Accept { message, dedupe, blobs: vec![], trace: None },
    }
}
#[tokio::main]
async fn main() {
    let url = std::env::args().nth(1).unwrap();
    PostgresStore::migrate(url.clone(), Duration::from_secs(10)).await.unwrap();
    let store =
        PostgresStore::connect(PostgresOptions::new(url), Arc::new(SystemIds)).await.unwrap();
    let w = WorkerId::new(SystemIds.uuid_v7());
    store
        .register_worker(NewWorker {
            id: w,
            name: "x".into(),
            agents: vec![],
            lease: Duration::from_secs(600),
        })
        .await
        .unwrap();
    for conc in [1usize, 64, 256] {
        let n = if conc == 1 { 1000 } else { 20000 };
        let t = Instant::now();
        let hs: Vec<_> = (0..conc)
            .map(|_| {
                let s = store.clone();
                spawn("x", async move {
                    for _ in 0..n / conc {
                        s.accept_new(asks()).await.unwrap();
                    }
                })
            })
            .collect();
        for h in hs {
            h.await.unwrap();
        }
        println!("accept conc {conc}: {:.0}/s", n as f64 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        let mut done = 0usize;
        let mut claims = 0;
        let mut tc = Duration::ZERO;
        loop {
            let t0 = Instant::now();
            let runs = store
                .claim(ClaimRequest {
                    worker: w,
                    slots: vec![AgentSlots {
                        agent: AgentName::new("echo").unwrap(),
                        free: conc as u32,
                    }],
                    limit: conc as u32,
                })
                .await
                .unwrap();
            tc += t0.elapsed();
            claims += 1;
            if runs.is_empty() {
                break;
            }
            done += runs.len();
            let hs: Vec<_> = runs
                .into_iter()
                .map(|r| {
                    let s = store.clone();
                    spawn("y", async move {
                        let e = vec![
                            EntryBody::Status(StatusChange::to(TaskState::Working)),
                            EntryBody::Status(StatusChange::to(TaskState::Completed)),
                        ];
                        let r = s
                            .settle(Settle {
                                how: SettleAs::End(TerminalState::Completed),
                                read_up_to: Seq(1),
                                output: Append {
                                    key: r.key,
                                    fence: r.fence,
                                    op: 1,
                                    attempt: 1,
                                    entries: e,
                                    blobs: vec![],
                                },
                            })
                            .await
                            .unwrap();
                        assert!(matches!(r, Settled::Now { .. }));
                    })
                })
                .collect();
            for h in hs {
                h.await.unwrap();
            }
        }
        println!(
            "claim+settle conc {conc}: {:.0}/s, claim {:?} each",
            done as f64 / t.elapsed().as_secs_f64(),
            tc / claims
        );
    }
}
