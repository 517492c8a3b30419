#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn flags(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file() {
    let file = "[server]\nlisten = \"0.0.0.0:1\"\nworker_threads = 3\n[jobs]\nslots = 4";
    let environment = [
        ("PELTON_SERVER_LISTEN".to_owned(), "0.0.0.0:2".to_owned()),
        ("PELTON_JOBS_SLOTS".to_owned(), "5".to_owned()),
        ("HOME".to_owned(), "/root".to_owned()),
    ];
    let config = load(Some(file), environment, &flags(&[("server.listen", "0.0.0.0:3")])).unwrap();
    assert_eq!(config.server.listen.port(), 3);
    assert_eq!(config.jobs.slots, 5);
    assert_eq!(config.server.worker_threads, 3);
}

#[test]
fn errors_say_which_setting_where_and_why() {
    let check = |file: &str, expect: &str| {
        assert_eq!(load(Some(file), [], &flags(&[])).unwrap_err().to_string(), expect);
    };
    check(
        "[server]\nlisten = \"nowhere\"",
        "configuration file: `nowhere` is not valid for `server.listen`: invalid socket address syntax",
    );
    check(
        "[server]\nlistne = \"127.0.0.1:1\"",
        "there is no setting `server.listne`; did you mean `server.listen`?",
    );
    check(
        "[log]\nformat = \"xml\"",
        "configuration file: `xml` is not valid for `log.format`: it should be one of pretty, json",
    );
}

#[test]
fn providers_come_from_the_file() {
    let config = load(
        Some("[providers.openai]\nbase_url = \"https://api.openai.com/v1\"\napi_key_env = \"OPENAI_API_KEY\""),
        [],
        &flags(&[]),
    )
    .unwrap();
    assert_eq!(config.providers["openai"].api_key_env.as_deref(), Some("OPENAI_API_KEY"));
    assert!(load(Some("[providers.x]\nbase_urll = \"y\""), [], &flags(&[])).is_err());
}

#[test]
fn the_database_address_is_not_printed() {
    let config = load(None, [], &flags(&[("metadata.url", "postgres://u:secret@h/db")])).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
}
