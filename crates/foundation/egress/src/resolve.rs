//! Name resolution that leaves out forbidden addresses.

use crate::address_policy::{Reach, forbidden};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::net::SocketAddr;

/// All addresses of a name are out of reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{host}` is {why}, out of reach for this target")]
pub(crate) struct OutOfReach {
    pub(crate) host: String,
    pub(crate) why: &'static str,
}

pub(crate) struct ReachableOnly(pub(crate) Reach);

impl Resolve for ReachableOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            Ok(Box::new(reachable(&host, found, reach)?.into_iter()) as Addrs)
        })
    }
}

fn reachable(
    host: &str,
    found: Vec<SocketAddr>,
    reach: Reach,
) -> Result<Vec<SocketAddr>, OutOfReach> {
    let mut refused = None;
    let kept: Vec<SocketAddr> = found
        .into_iter()
        .filter(|address| {
            let why = forbidden(address.ip(), reach);
            refused = refused.or(why);
            why.is_none()
        })
        .collect();
    match refused {
        Some(why) if kept.is_empty() => Err(OutOfReach { host: host.to_owned(), why }),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_only_what_may_be_reached() {
        let at = |text: &str| -> SocketAddr { text.parse().unwrap() };
        let mixed = vec![at("10.0.0.1:0"), at("8.8.8.8:0")];
        assert_eq!(reachable("h", mixed, Reach::Public), Ok(vec![at("8.8.8.8:0")]));
        assert_eq!(
            reachable("h", vec![at("127.0.0.1:0")], Reach::Public),
            Err(OutOfReach { host: "h".into(), why: "a loopback address" })
        );
    }
}
