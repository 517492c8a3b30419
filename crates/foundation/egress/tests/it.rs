//! The client against a real server.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use http::{HeaderMap, Method};
use pelton_egress::{Egress, EgressError, EgressSettings, Outbound, Reach};
use pelton_testkit::mock_upstream::{MockUpstream, Piece, Reply};

fn post(url: &str, reach: Reach) -> Outbound<'_> {
    Outbound {
        method: Method::POST,
        url,
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{\"x\":1}"),
        reach,
    }
}

#[tokio::test]
async fn sends_and_reads_within_limits() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("hello")]).await?;
    let egress = Egress::new(EgressSettings::default());
    let url = upstream.base_url();
    let whole = egress.send(post(&url, Reach::Private)).await?.read(4096).await?;
    assert!(whole.starts_with(b"{\"id\""));
    let short = egress.send(post(&url, Reach::Private)).await?.read(8).await;
    assert!(matches!(short, Err(EgressError::TooLong { limit: 8, .. })), "{short:?}");
    assert_eq!(upstream.seen()[0].body["x"], 1);
    Ok(())
}

#[tokio::test]
async fn private_addresses_need_leave_by_name_and_by_number() -> anyhow::Result<()> {
    let upstream = MockUpstream::replies(vec![Reply::answer("secret")]).await?;
    let egress = Egress::new(EgressSettings::default());
    let by_number = upstream.base_url();
    let port = by_number.rsplit(':').next().unwrap().to_owned();
    for url in [
        by_number.clone(),
        format!("http://localhost:{port}"),
        format!("http://2130706433:{port}"),
        format!("http://0x7f.1:{port}"),
        format!("http://[::ffff:127.0.0.1]:{port}"),
    ] {
        let refused = egress.send(post(&url, Reach::Public)).await;
        assert!(
            matches!(refused, Err(EgressError::OutOfReach { why: "a loopback address", .. })),
            "{url}: {refused:?}"
        );
    }
    assert_eq!(upstream.seen().len(), 0);
    for url in ["http://169.254.169.254/latest/meta-data", "http://[fd00:ec2::254]/"] {
        let refused = egress.send(post(url, Reach::Private)).await;
        assert!(matches!(refused, Err(EgressError::OutOfReach { .. })), "{url}: {refused:?}");
    }
    Ok(())
}

#[tokio::test]
async fn redirects_are_not_followed() -> anyhow::Result<()> {
    let other = MockUpstream::replies(vec![Reply::answer("other")]).await?;
    let redirect =
        Reply::json(307, &serde_json::json!({})).with_header("location", &other.base_url());
    let upstream = MockUpstream::replies(vec![redirect]).await?;
    let egress = Egress::new(EgressSettings::default());
    let answer = egress.send(post(&upstream.base_url(), Reach::Private)).await?;
    assert_eq!(answer.status(), 307);
    assert_eq!(other.seen().len(), 0);
    Ok(())
}

#[tokio::test]
async fn a_cut_body_is_not_an_end_and_a_dropped_answer_is_cancelled() -> anyhow::Result<()> {
    let cut = Reply::stream(vec![Piece::text("a"), Piece::Cut]);
    let silent = Reply::stream(vec![Piece::text("a"), Piece::Hang]);
    let mut upstream = MockUpstream::replies(vec![cut, silent]).await?;
    let egress = Egress::new(EgressSettings::default());
    let url = upstream.base_url();
    let read = egress.send(post(&url, Reach::Private)).await?.read(4096).await;
    assert!(matches!(read, Err(EgressError::Broken { .. })), "{read:?}");

    let mut answer = egress.send(post(&url, Reach::Private)).await?;
    assert!(answer.next().await?.is_some());
    drop(answer);
    assert_eq!(upstream.abandoned().await, Some(1));
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_reached_is_said() {
    let egress = Egress::new(EgressSettings::default());
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = egress.send(post(&format!("http://127.0.0.1:{port}/"), Reach::Private)).await;
    assert!(matches!(refused, Err(EgressError::Connect { timed_out: false, .. })), "{refused:?}");
    for url in ["ftp://example.org", "not an address", "http://"] {
        let refused = egress.send(post(url, Reach::Public)).await;
        assert!(matches!(refused, Err(EgressError::Address { .. })), "{url}: {refused:?}");
    }
}
