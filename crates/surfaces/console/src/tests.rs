//! What a browser and a mistyped client get. Holds with and without a web build.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    crate::router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn an_address_of_the_console_gets_its_page() {
    for path in ["/", "/traces/inf_01", "/models/pelton%2Fpelton-tiny%401"] {
        let response = get(path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-cache");
        let policy =
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(!policy.contains("unsafe"), "{policy}");
        assert!(text(response).await.contains("<title>Pelton"));
    }
}

#[tokio::test]
async fn a_page_that_the_browser_has_is_not_sent_again() {
    let first = get("/", &[]).await;
    let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    let again = get("/", &[("if-none-match", &etag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    let other = get("/", &[("if-none-match", "\"0\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_mistyped_api_path_gets_the_error_shape_and_no_page() {
    let response = get("/api/v1/tracez?x=1", &[]).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    let body = text(response).await;
    assert!(body.contains("\"code\":\"not_found\""), "{body}");
    assert!(body.contains("/api/v1/tracez"), "{body}");
}

#[tokio::test]
async fn a_chunk_of_an_older_build_is_missing_and_not_a_page() {
    for path in ["/assets/overview-0000.js", "/nothing.css"] {
        let response = get(path, &[]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn only_reading_is_allowed() {
    let request = Request::post("/traces").body(Body::empty()).unwrap();
    let response = crate::router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
}
