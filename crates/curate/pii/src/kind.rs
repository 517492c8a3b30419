//! Which kinds of personal data are known, and how many of each were found.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A payment-card number.
    Card,
}

/// A name that is not a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of personal data: use email, phone or card")]
pub struct UnknownKind(String);

impl Kind {
    /// All kinds, in the order in which they take precedence where they overlap.
    pub const ALL: [Self; 3] = [Self::Email, Self::Card, Self::Phone];

    /// What stands in place of the value.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "[EMAIL]",
            Self::Phone => "[PHONE]",
            Self::Card => "[CARD]",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
        })
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == name)
            .ok_or_else(|| UnknownKind(name.chars().take(40).collect()))
    }
}

/// How many values of each kind were masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// E-mail addresses.
    pub email: u64,
    /// Phone numbers.
    pub phone: u64,
    /// Payment-card numbers.
    pub card: u64,
}

impl Counts {
    /// One more of `kind`.
    pub const fn add(&mut self, kind: Kind) {
        match kind {
            Kind::Email => self.email += 1,
            Kind::Phone => self.phone += 1,
            Kind::Card => self.card += 1,
        }
    }

    /// All kinds together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.email + self.phone + self.card
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.email += more.email;
        self.phone += more.phone;
        self.card += more.card;
    }
}
