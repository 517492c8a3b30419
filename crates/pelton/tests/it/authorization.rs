//! Every operation of the published API refuses a caller without a right key.

use crate::server::Server;
use pelton_client::{Client, ClientError};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

/// The status of a request with these headers.
fn status(server: &Server, method: &str, path: &str, headers: &str) -> u16 {
    let address = server.client.base().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 2\r\n\
         content-type: application/json\r\nconnection: close\r\n{headers}\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_answers_without_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let settings = ["engine.enabled=false", "server.authentication=required"];
    let server = Server::start(folder.path(), &settings).await;
    let document: Value = server.client.get("/api/openapi.json").await.unwrap();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "delete"] {
            if item.get(method).is_none() {
                continue;
            }
            operations += 1;
            let path = path.replace(['{', '}'], "");
            let method = method.to_uppercase();
            assert_eq!(status(&server, &method, &path, ""), 401, "{method} {path}");
            let wrong = "authorization: Bearer pk_wrong\r\n";
            assert_eq!(status(&server, &method, &path, wrong), 401, "{method} {path}");
        }
    }
    assert!(operations > 40, "the document lists the operations: {operations}");
    for path in ["/v1/models", "/v1/chat/completions"] {
        let method = if path.ends_with("models") { "GET" } else { "POST" };
        assert_eq!(status(&server, method, path, ""), 401, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_origins_cannot_use_a_keyless_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["engine.enabled=false"]).await;
    assert_eq!(status(&server, "GET", "/api/v1/server", ""), 200);
    let foreign = "origin: https://elsewhere.example\r\n";
    assert_eq!(status(&server, "GET", "/api/v1/server", foreign), 403);
    assert_eq!(status(&server, "POST", "/v1/chat/completions", foreign), 403);
}

#[tokio::test]
async fn a_key_opens_what_its_scopes_say_until_it_is_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), &["engine.enabled=false"]).await;
    let request = json!({ "name": "reader", "scopes": ["read"] });
    let key: Value = server.client.post("/api/v1/keys", &request).await.unwrap();
    let secret = key["secret"].as_str().unwrap();
    let reader = Client::new(server.client.base(), Some(secret.to_owned()));
    let _: Value = reader.get("/api/v1/endpoints").await.unwrap();
    let refused = reader.post::<Value>("/api/v1/keys", &request).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 403, .. }), "{refused}");
    let listed: Value = server.client.get("/api/v1/keys").await.unwrap();
    assert!(!listed.to_string().contains(secret), "a secret is shown once");
    let path = format!("/api/v1/keys/{}", key["id"].as_str().unwrap());
    let _: Value = server.client.delete(&path).await.unwrap();
    let refused = reader.get::<Value>("/api/v1/endpoints").await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { status: 401, .. }), "{refused}");
}
