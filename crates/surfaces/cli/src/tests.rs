//! Commands against a server that answers from a script: what is asked, what is printed.

use crate::command::{Command, carry_out, explain};
use crate::terminal::Terminal;
use clap::{CommandFactory as _, Parser};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

#[derive(Parser)]
struct Pelton {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let (mut request, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut piece).await.unwrap();
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)
            })
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if body.len() >= length || read == 0 {
            let first = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            return format!("{first} {body}").trim_end().to_owned();
        }
    }
}

/// Runs `pelton ARGUMENTS` while the server gives `answers`; what was asked, and what was printed
/// or went wrong.
async fn tell(arguments: &str, answers: Vec<(u16, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            asked.push(read_request(&mut stream).await);
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    });
    let words = ["pelton"].into_iter().chain(arguments.split(' ')).chain(["--url", url.as_str()]);
    let parsed = match Pelton::try_parse_from(words) {
        Ok(parsed) => parsed,
        Err(error) => return error.to_string(),
    };
    let paper = Paper::default();
    let json = arguments.contains("--json");
    let outcome =
        carry_out(parsed.command, &mut Terminal::new(Box::new(paper.clone()), json)).await;
    let mut text = server.await.unwrap().join("\n");
    text.push_str("\n---\n");
    text.push_str(&String::from_utf8(paper.0.lock().unwrap().clone()).unwrap());
    if let Err(error) = outcome {
        let (said, code) = explain(&error);
        text.push_str(&format!("{said}\nexit {code}"));
    }
    text
}

fn trace(id: &str) -> Value {
    json!({
        "id": id, "started_at": "2026-01-31T12:00:00.123456Z", "endpoint": "desk",
        "release_name": "desk-1", "model": "pelton/pelton-tiny@1", "status": "ok", "latency_ms": 41.7,
        "ttft_ms": 9.1, "prompt_tokens": 180, "completion_tokens": 20,
        "feedback": { "count": 1, "score": 0.5, "has_correction": true },
        "preview_output": "{\"bill_found\":\"true\",\"bill_id\":\"123\",\"bill_date\":\"12 Mar\"} and more",
    })
}

#[test]
fn every_command_is_well_formed() {
    Pelton::command().debug_assert();
}

#[tokio::test]
async fn traces_are_listed_over_pages() {
    let text = tell(
        "trace list --endpoint desk --has-feedback=false --limit 3",
        vec![
            (200, json!({ "items": [trace("inf_1"), trace("inf_2")], "next_cursor": "a/b" })),
            (200, json!({ "items": [trace("inf_3")], "next_cursor": "c" })),
        ],
    )
    .await;
    insta::assert_snapshot!(text, @r##"
    GET /api/v1/traces?endpoint=desk&has_feedback=false&limit=3
    GET /api/v1/traces?endpoint=desk&has_feedback=false&limit=1&cursor=a%2Fb
    ---
    ID     AT                   ENDPOINT  RELEASE  STATUS  LATENCY  TOKENS  SCORE  ANSWER
    inf_1  2026-01-31 12:00:00  desk      desk-1   ok        42 ms     200    0.5  {"bill_found":"true","bill_id":"123","bill_date":"12 Mar"} …
    inf_2  2026-01-31 12:00:00  desk      desk-1   ok        42 ms     200    0.5  {"bill_found":"true","bill_id":"123","bill_date":"12 Mar"} …
    inf_3  2026-01-31 12:00:00  desk      desk-1   ok        42 ms     200    0.5  {"bill_found":"true","bill_id":"123","bill_date":"12 Mar"} …
    "##);
}

#[tokio::test]
async fn nothing_found_says_what_to_do() {
    let none = json!({ "items": [], "next_cursor": null });
    insta::assert_snapshot!(tell("endpoint list", vec![(200, none)]).await, @r##"
    GET /api/v1/endpoints?limit=50
    ---
    No endpoints. Make one: pelton endpoint set NAME RELEASE.
    "##);
}

#[tokio::test]
async fn a_trace_is_shown_with_its_words() {
    let mut shown = trace("inf_1");
    shown["messages"] = json!([{ "role": "user", "content": "Which bill?" }]);
    shown["output"] = json!("none");
    shown["feedback_items"] = json!([{ "at": "2026-01-31T12:00:01Z", "source": "human", "score": 0.0, "correction": "123" }]);
    insta::assert_snapshot!(tell("trace show inf_1", vec![(200, shown)]).await, @r##"
    GET /api/v1/traces/inf_1
    ---
    id             inf_1
    at             2026-01-31 12:00:00
    endpoint       desk
    release        desk-1
    model          pelton/pelton-tiny@1
    status         ok
    error          -
    prompt tokens  180
    answer tokens  20
    latency        42 ms
    first token    9 ms

    [user]
    Which bill?

    [answer]
    none

    AT                   SOURCE  SCORE  LABEL  CORRECTION  COMMENT
    2026-01-31 12:00:01  human       0  -      123         -
    "##);
}

#[tokio::test]
async fn statistics_have_the_columns_asked_for() {
    let answer = json!({ "rows": [
        { "group": { "release": "desk-1" }, "values": { "count": 120, "score_mean": 0.61234 } },
        { "group": { "release": null }, "values": { "count": 3, "score_mean": null } }] });
    let text = tell("trace stats --by release --of count,score_mean", vec![(200, answer)]).await;
    insta::assert_snapshot!(text, @r##"
    POST /api/v1/traces/aggregate {"filter":{},"group_by":["release"],"aggregates":["count","score_mean"]}
    ---
    RELEASE  COUNT  SCORE_MEAN
    desk-1     120      0.6123
    -            3           -
    "##);
}

#[tokio::test]
async fn refusals_are_told_with_their_hint() {
    let refused = json!({ "error": { "code": "not_found", "title": "Not found",
        "message": "there is no dataset `x`", "hint": "List what exists: pelton dataset list." } });
    insta::assert_snapshot!(tell("dataset show x", vec![(404, refused)]).await, @r##"
    GET /api/v1/datasets/x
    ---
    error: there is no dataset `x`
     hint: List what exists: pelton dataset list.
    exit 1
    "##);
    let text = tell("dataset show telco@", vec![(404, json!({}))]).await;
    assert!(text.ends_with("exit 1"), "{text}");
}

#[tokio::test]
async fn without_a_server_the_exit_code_says_so() {
    let parsed =
        Pelton::try_parse_from(["pelton", "job", "list", "--url", "http://127.0.0.1:1"]).unwrap();
    let mut terminal = Terminal::new(Box::new(Paper::default()), false);
    let error = carry_out(parsed.command, &mut terminal).await.unwrap_err();
    let (said, code) = explain(&error);
    assert!(said.contains("pelton up"), "{said}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn a_dataset_build_sends_what_was_asked() {
    let job = json!({ "id": "job_1", "title": "Build telco", "state": "queued" });
    let text = tell(
        "dataset build telco --endpoint desk --has-correction --only-judged --near-dedup 0.9 --split 0.9,0.1,0",
        vec![(202, job)],
    )
    .await;
    insta::assert_snapshot!(text, @r##"
    POST /api/v1/datasets/telco/versions {"source":{"kind":"traces","filter":{"endpoint":"desk","has_correction":true},"limit":null},"use_corrections":true,"only_judged":true,"scrub":["email","phone","card"],"exact_dedup":true,"near_dedup":0.9,"split":{"train":0.9,"validation":0.1,"test":0.0,"seed":7,"stratify":true}}
    ---
    job_1  Build telco
    Watch it with `pelton job watch job_1`.
    "##);
    let text = tell("dataset build telco --split 0.9,0.1", vec![]).await;
    assert!(text.contains("three shares"), "{text}");
}

#[tokio::test]
async fn waiting_for_a_job_prints_its_result_or_why_it_failed() {
    let job = |state: &str| {
        json!({ "id": "job_1", "title": "Tune", "state": state,
            "progress": { "done": 3, "total": 9, "message": "loss 1.2" },
            "result": { "model": "desk@1", "best_val_loss": 0.012 },
            "error": { "message": "no rows", "hint": "Build a dataset first." } })
    };
    let text = tell(
        "finetune create desk --dataset telco@1 --train-rows 50 --wait",
        vec![(202, job("queued")), (200, job("running")), (200, job("succeeded"))],
    )
    .await;
    insta::assert_snapshot!(text, @r##"
    POST /api/v1/finetunes {"name":"desk","base":"pelton/pelton-tiny@1","dataset":"telco@1","preferences":null,"method":"lora","base_precision":"f32","preference_beta":null,"teacher":null,"distillation_weight":null,"distillation_temperature":null,"merge":false,"train_rows":50,"seed":1,"shuffle_labels":false,"rank":null,"targets":null,"alpha":null,"learning_rate":null,"epochs":null,"batch_tokens":null,"rehearsal":null,"kl_to_base":null,"max_minutes":null}
    GET /api/v1/jobs/job_1
    GET /api/v1/jobs/job_1
    ---
    succeeded
    model          desk@1
    best_val_loss  0.012
    "##);
    let text = tell("job watch job_1", vec![(200, job("failed"))]).await;
    insta::assert_snapshot!(text, @r##"
    GET /api/v1/jobs/job_1
    ---
    error: no rows
     hint: Build a dataset first.
    exit 4
    "##);
}

#[tokio::test]
async fn a_search_takes_numbers_lists_and_ranges() {
    let job =
        json!({ "id": "job_1", "title": "Search hyperparameters of desk", "state": "queued" });
    let text = tell(
        "finetune search desk --dataset telco@1 --method tpe --budget-tokens 2000000 --learning-rate 1e-4..1e-2 \
         --rank 4,8 --epochs 3 --targets all,attention",
        vec![(202, job)],
    )
    .await;
    insta::assert_snapshot!(text, @r##"
    POST /api/v1/searches {"name":"desk","base":"pelton/pelton-tiny@1","dataset":"telco@1","method":"tpe","trials":null,"budget_minutes":null,"budget_tokens":2000000,"base_precision":"f32","train_rows":null,"seed":1,"learning_rate":{"from":0.0001,"to":0.01},"rank":[4.0,8.0],"epochs":3.0,"batch_tokens":null,"targets":["all","attention"],"rehearsal":null,"kl_to_base":null}
    ---
    job_1  Search hyperparameters of desk
    Watch it with `pelton job watch job_1`.
    "##);
    let text = tell("finetune search desk --dataset telco@1 --rank 4,x", vec![]).await;
    assert!(text.contains("`x` is no number; give 8, 8,16,32 or 8..32"), "{text}");
    let both = "finetune search desk --dataset telco@1 --budget-tokens 9 --budget-minutes 1";
    let text = tell(both, vec![]).await;
    assert!(text.contains("cannot be used with"), "{text}");
}

#[tokio::test]
async fn comparisons_and_gates_are_told_in_numbers() {
    let side = |name: &str, value: f64| json!({ "name": name, "exact_match": { "value": value, "low": value, "high": value } });
    let found = json!({
        "baseline": side("base", 0.6), "candidate": side("tuned", 0.93), "n_paired": 500,
        "difference": { "value": 0.33, "low": 0.28, "high": 0.37 },
        "mcnemar": { "only_baseline": 4, "only_candidate": 169, "p_value": 2.5e-41 },
    });
    let text = tell("evaluation compare eval_1 eval_2", vec![(200, found)]).await;
    insta::assert_snapshot!(text, @r##"
    GET /api/v1/evaluations/compare?baseline=eval_1&candidate=eval_2
    ---
    baseline              60.0 %  base
    candidate             93.0 %  tuned
    paired items          500
    difference (95 %)     33.0 % (28.0 to 37.0)
    only baseline right   4
    only candidate right  169
    p (McNemar, exact)    2.5e-41
    "##);
    let gate = json!({ "id": "gate_1", "passed": false, "rules": [
        { "name": "task_better", "passed": true, "detail": "60 % to 93 %" },
        { "name": "regression_kept", "passed": false, "detail": "falls by 9 points" }] });
    let text =
        tell("gate create --task eval_1,eval_2 --regression eval_3,eval_4", vec![(201, gate)])
            .await;
    insta::assert_snapshot!(text, @r##"
    POST /api/v1/gates {"task":{"baseline":"eval_1","candidate":"eval_2","alpha":0.05,"min_gain":0.0},"regression":{"baseline":"eval_3","candidate":"eval_4","margin":0.03}}
    ---
    gate_1 did not pass
    + task_better: 60 % to 93 %
    - regression_kept: falls by 9 points
    "##);
}

#[tokio::test]
async fn traffic_is_set_in_percent() {
    let endpoint = json!({ "name": "desk", "generation": 3, "updated_at": "2026-01-31T12:00:00Z",
        "rollout": null,
        "traffic": [{ "release_name": "a", "weight": 90 }, { "release_name": "b", "weight": 10 }] });
    let text = tell("endpoint set desk rel_a=90 rel_b=10", vec![(200, endpoint)]).await;
    insta::assert_snapshot!(text, @r##"
    PUT /api/v1/endpoints/desk {"traffic":[{"release_id":"rel_a","weight":90},{"release_id":"rel_b","weight":10}]}
    ---
    name        desk
    generation  3
    traffic     a 90 %, b 10 %
    rollout     -
    changed     2026-01-31 12:00:00
    "##);
}

#[tokio::test]
async fn programs_get_json() {
    let key = json!({ "id": "key_1", "name": "app", "secret": "pk_secret" });
    let text = tell("key create app --json", vec![(201, key.clone())]).await;
    let printed = text.split_once("---\n").unwrap().1;
    assert_eq!(serde_json::from_str::<Value>(printed).unwrap(), key);
    let text =
        tell("model list --json", vec![(200, json!({ "items": [1], "next_cursor": null }))]).await;
    assert!(text.ends_with("{\n  \"items\": [\n    1\n  ]\n}\n"), "{text}");
}

#[tokio::test]
async fn wrong_arguments_are_refused_before_anything_is_sent() {
    for (arguments, said) in [
        ("evaluation create x --dataset telco@1", "--model"),
        ("trace list --since yesterday", "30m, 2h, 7d"),
        ("trace list --status fine", "possible values"),
        ("release create x", "--model"),
    ] {
        let text = tell(arguments, vec![]).await;
        assert!(text.contains(said), "{arguments}: {text}");
    }
}

#[tokio::test]
async fn a_fine_tune_is_rendered_as_a_manifest_and_nothing_else_is_printed() {
    let rendered = json!({ "manifest": "kind: Job\n", "notes": ["mind this"] });
    let text = tell(
        "finetune render desk --dataset telco@1 --image trl:1 --server-url https://pelton.example \
         --nodes 2 --storage-claim work --api-key-secret keys/pelton",
        vec![(200, rendered)],
    )
    .await;
    let (asked, printed) = text.split_once("---\n").unwrap();
    assert_eq!(printed, "kind: Job\n");
    let request: Value =
        serde_json::from_str(asked.trim().strip_prefix("POST /api/v1/finetunes/render ").unwrap())
            .unwrap();
    assert_eq!(request["finetune"]["dataset"], "telco@1");
    let cluster = json!({
        "target": "kubernetes", "image": "trl:1", "server_url": "https://pelton.example",
        "namespace": null, "service_account": null,
        "api_key_secret": "keys", "api_key_secret_key": "pelton",
        "nodes": 2, "gpus_per_node": 1, "gpu_resource": "nvidia.com/gpu", "sharding": "none",
        "cpu": "4", "memory": "16Gi", "storage_claim": "work", "precision": null,
        "micro_batch_tokens": 8192,
    });
    assert_eq!(request["cluster"], cluster);
}

#[tokio::test]
async fn a_manifest_goes_to_a_file_with_what_to_do_next() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.yaml");
    let rendered = json!({ "manifest": "kind: Job\n", "notes": ["mind this"] });
    let arguments =
        format!("finetune render desk --dataset telco@1 --image trl:1 --output {}", file.display());
    let text = tell(&arguments, vec![(200, rendered)]).await;
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "kind: Job\n");
    assert!(text.contains("`kubectl apply -f ") && text.ends_with("mind this\n"), "{text}");
    assert!(text.contains("\"server_url\":\"http://127.0.0.1:"), "{text}");
}
