//! Real processes: this binary starts itself again in the roles of parent and child.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use pelton_supervise::{ChildSpec, KeepRunning, Restart, State, describe_exit, exit_with_parent};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};

type Test = (&'static str, fn());

/// A harness of its own, since the binary must also be able to play a child.
const TESTS: &[Test] = &[
    ("a_child_dies_with_a_parent_that_is_killed", dies_with_parent),
    ("a_child_that_ignores_sigterm_is_killed", stops_the_stubborn),
    ("a_polite_child_ends_by_itself", stops_the_polite),
    ("what_a_child_leaves_behind_is_killed", kills_stragglers),
    ("a_child_is_started_again", starts_again),
    ("a_missing_program_is_named", names_missing_program),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("role") => return play(args.get(1).unwrap()),
        _ if args.iter().any(|arg| arg == "--list") => {
            let ignored = args.iter().any(|arg| arg == "--ignored");
            TESTS.iter().filter(|_| !ignored).for_each(|(name, _)| println!("{name}: test"));
            return;
        }
        _ => {}
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            test();
            println!("test {name} ... ok");
        }
    }
}

/// This binary as a child.
fn play(role: &str) {
    match role {
        // Starts a child, says its number, and waits to be killed.
        "parent" => block_on(async {
            let mut child = this("sleeper").spawn().await.unwrap();
            let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
            println!("{}", lines.next_line().await.unwrap().unwrap());
            std::future::pending::<()>().await;
        }),
        // Watches its lifeline, and does nothing else for long.
        "sleeper" => {
            exit_with_parent(7);
            println!("{}", std::process::id());
            std::thread::park();
        }
        other => panic!("no role {other}"),
    }
}

fn this(role: &str) -> ChildSpec {
    ChildSpec::new(std::env::current_exe().unwrap(), ["role", role])
}

fn shell(script: &str) -> ChildSpec {
    ChildSpec::new("/bin/sh", ["-c", script])
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// Whether the process runs: neither gone nor a zombie.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

async fn gone(pid: u32) {
    while runs(pid) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn dies_with_parent() {
    block_on(async {
        let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["role", "parent"])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
        let child: u32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        assert!(runs(child));
        parent.start_kill().unwrap(); // SIGKILL
        parent.wait().await.unwrap();
        gone(child).await;
    });
}

fn stops_the_stubborn() {
    block_on(async {
        let mut child =
            shell("trap '' TERM; echo ready; while :; do sleep 1000; done").spawn().await.unwrap();
        let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
        lines.next_line().await.unwrap();
        let status = child.stop(Duration::from_millis(20)).await.unwrap();
        assert_eq!(describe_exit(status), "killed by signal 9");
    });
}

fn stops_the_polite() {
    block_on(async {
        let mut child =
            shell("trap 'exit 5' TERM; echo ready; while :; do sleep 1000 & wait; done")
                .spawn()
                .await
                .unwrap();
        let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
        lines.next_line().await.unwrap();
        let status = child.stop(Duration::from_secs(60)).await.unwrap();
        assert_eq!(describe_exit(status), "exit code 5");
    });
}

fn kills_stragglers() {
    block_on(async {
        let mut child = shell("sleep 1000 >/dev/null & echo $!").spawn().await.unwrap();
        let mut lines = BufReader::new(child.take_stdout().unwrap()).lines();
        let straggler: u32 = lines.next_line().await.unwrap().unwrap().parse().unwrap();
        assert!(child.wait().await.unwrap().success());
        gone(straggler).await;
    });
}

fn starts_again() {
    block_on(async {
        let restart = Restart { base: Duration::from_millis(1), ..Restart::default() };
        let kept = KeepRunning::start(this("sleeper"), restart);
        let mut state = kept.state();
        let mut ready = async || {
            let is_ready = |state: &State| matches!(state, State::Ready { .. });
            match state.wait_for(is_ready).await.unwrap().clone() {
                State::Ready { pid, line } => {
                    assert_eq!(line, pid.to_string());
                    pid
                }
                other => panic!("{other:?}"),
            }
        };
        let first = ready().await;
        let mut watch = kept.state();
        watch.mark_unchanged();
        kill(first);
        watch.changed().await.unwrap();
        let second = ready().await;
        assert_ne!(first, second);
        kept.stop().await;
        assert_eq!(*state.borrow(), State::Stopped);
        gone(second).await;
    });
}

fn kill(pid: u32) {
    let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
    assert!(killed.unwrap().success());
}

fn names_missing_program() {
    block_on(async {
        let error = ChildSpec::new("/no/such/program", [""]).spawn().await.unwrap_err();
        assert_eq!(error.to_string(), "`/no/such/program` could not be started");
    });
}
