//! Records with named fields, and the ways in which a text can show them.

use super::Level;
use crate::draw::Draw;
use crate::words::{
    ADJECTIVES, CITIES, MONTHS, NAMES, NOUNS, STATES, capitalized, digits, made_up,
};

/// What kind of value a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Short digits, or a letter and digits.
    Id,
    /// A day and a month.
    Date,
    /// A month, or two.
    Month,
    /// An amount of money.
    Amount,
    /// A person.
    Person,
    /// A city.
    City,
    /// A thing.
    Thing,
    /// A state of work.
    State,
    /// A small number.
    Count,
}

/// Records that share their labels.
#[derive(Debug, Clone)]
pub struct Records {
    /// What one record is called: "order", "invoice".
    pub noun: String,
    /// The kind of each field; the first is the id.
    pub kinds: Vec<Kind>,
    /// The label of each field.
    pub labels: Vec<String>,
    /// The values of each record, as many as there are fields.
    pub rows: Vec<Vec<String>>,
}

/// How values of one field look in one text.
#[derive(Debug, Clone, Copy)]
struct Form {
    letter: bool,
    digits: usize,
    style: usize,
}

const NOUN_CHOICES: &[&str] = &[
    "order", "record", "row", "ticket", "parcel", "booking", "task", "case", "visit", "item",
    "entry", "trip",
];
const PAPER_CHOICES: &[&str] =
    &["invoice", "receipt", "statement", "slip", "voucher", "charge", "payment", "fee note"];

impl Records {
    /// Records of things of all kinds.
    pub fn general(draw: &mut Draw, level: Level) -> Self {
        let noun = draw.pick(NOUN_CHOICES).to_owned();
        let mut kinds = vec![
            Kind::Date,
            Kind::Month,
            Kind::Amount,
            Kind::Person,
            Kind::City,
            Kind::Thing,
            Kind::State,
            Kind::Count,
        ];
        draw.shuffle(&mut kinds);
        let fields = draw.between(1, [1, 2, 3, 4][level.min(3)]);
        kinds.truncate(fields);
        kinds.insert(0, Kind::Id);
        Self::draw(draw, level, noun, kinds, general_label)
    }

    /// Invoices and receipts: an id, a date, a month and an amount, under the labels of the base corpus.
    pub fn papers(draw: &mut Draw, level: Level) -> Self {
        let noun = draw.pick(PAPER_CHOICES).to_owned();
        let mut kinds = vec![Kind::Date, Kind::Month, Kind::Amount];
        draw.shuffle(&mut kinds);
        let fields = draw.between([1, 2, 2, 3][level.min(3)], 3);
        kinds.truncate(fields);
        kinds.insert(0, Kind::Id);
        Self::draw(draw, level, noun, kinds, paper_label)
    }

    fn draw(
        draw: &mut Draw,
        level: Level,
        noun: String,
        kinds: Vec<Kind>,
        label: fn(&mut Draw, Kind, &str) -> String,
    ) -> Self {
        let labels: Vec<String> = kinds.iter().map(|&kind| label(draw, kind, &noun)).collect();
        let count = draw.between(2, [3, 4, 5, 7][level.min(3)]);
        let mut columns: Vec<Vec<String>> = Vec::new();
        for &kind in &kinds {
            let form =
                Form { letter: draw.chance(0.3), digits: draw.between(2, 4), style: draw.below(4) };
            // One value more than there are rows: it is the one that no record has.
            columns.push(draw.distinct(count + 1, |draw| value(draw, kind, form)));
        }
        let count = columns.iter().map(Vec::len).min().unwrap_or(1);
        let rows = (0..count)
            .map(|row| columns.iter().map(|column| column[row].clone()).collect())
            .collect();
        Self { noun, kinds, labels, rows }
    }

    /// Takes the last record away; its values are in no other record.
    pub fn take_absent(&mut self) -> Vec<String> {
        self.rows.pop().unwrap_or_default()
    }

    /// The text of the records in one of the base corpus's layouts.
    pub fn show(&self, draw: &mut Draw) -> String {
        // Fields in any order, the same in all rows.
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        if draw.chance(0.5) {
            draw.shuffle(&mut order);
        }
        let labels: Vec<&str> = order.iter().map(|&at| self.labels[at].as_str()).collect();
        let rows: Vec<Vec<&str>> = self
            .rows
            .iter()
            .map(|row| order.iter().map(|&at| row[at].as_str()).collect())
            .collect();
        match draw.below(7) {
            0 => table(&labels, &rows, " | "),
            1 => table(&labels, &rows, ", "),
            2 => table(&labels, &rows, "; "),
            3 => lines(&labels, &rows, ": ", ", "),
            4 => lines(&labels, &rows, "=", " "),
            5 => lines(&labels, &rows, " ", "; "),
            _ => {
                let noun = capitalized(&self.noun);
                let lines: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let parts: Vec<String> = labels
                            .iter()
                            .zip(row)
                            .map(|(label, value)| format!("{label} {value}"))
                            .collect();
                        format!("{noun} with {}", parts.join(" and "))
                    })
                    .collect();
                lines.join(".\n")
            }
        }
    }
}

fn table(labels: &[&str], rows: &[Vec<&str>], separator: &str) -> String {
    let mut text = labels.join(separator);
    for row in rows {
        text.push('\n');
        text.push_str(&row.join(separator));
    }
    text
}

fn lines(labels: &[&str], rows: &[Vec<&str>], between: &str, separator: &str) -> String {
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let parts: Vec<String> = labels
                .iter()
                .zip(row)
                .map(|(label, value)| format!("{label}{between}{value}"))
                .collect();
            parts.join(separator)
        })
        .collect();
    lines.join("\n")
}

fn general_label(draw: &mut Draw, kind: Kind, noun: &str) -> String {
    let choices: &[&str] = match kind {
        Kind::Id => match draw.below(4) {
            0 => return format!("{noun} id"),
            1 => return format!("{noun} no"),
            2 => return noun.to_owned(),
            _ => &["id", "number", "code", "ref", "key", "no"],
        },
        Kind::Date => &["date", "day", "when", "arrival", "start", "end date", "created"],
        Kind::Month => &["month", "season", "for month", "term"],
        Kind::Amount => &["price", "cost", "total", "amount", "value", "fee"],
        Kind::Person => &["name", "owner", "customer", "person", "by", "contact"],
        Kind::City => &["city", "place", "town", "from", "to", "site"],
        Kind::Thing => &["item", "thing", "product", "goods", "part"],
        Kind::State => &["state", "status", "stage"],
        Kind::Count => &["count", "pieces", "units", "weight", "size"],
    };
    draw.pick(choices).to_owned()
}

fn paper_label(draw: &mut Draw, kind: Kind, noun: &str) -> String {
    let choices: &[&str] = match kind {
        Kind::Id => match draw.below(3) {
            0 => return format!("{noun} id"),
            1 => return format!("{noun} no"),
            _ => &["id", "number", "ref", "code", "document"],
        },
        Kind::Date => match draw.below(3) {
            0 => return format!("{noun} day"),
            _ => &["date", "day", "dated", "created", "written on"],
        },
        Kind::Month => &["month", "for month", "covers", "term", "cycle"],
        Kind::Amount => match draw.below(3) {
            0 => return format!("{noun} total"),
            _ => &["amount", "total", "sum", "to pay", "price", "cost"],
        },
        _ => return general_label(draw, kind, noun),
    };
    draw.pick(choices).to_owned()
}

fn value(draw: &mut Draw, kind: Kind, form: Form) -> String {
    match kind {
        Kind::Id => {
            let number = digits(draw, form.digits, form.digits);
            if form.letter {
                format!("{}{number}", draw.pick(&["A", "B", "C", "K", "M", "R", "T", "X"]))
            } else {
                number
            }
        }
        Kind::Date => {
            let (day, month) = (draw.between(1, 28), draw.below(12));
            match form.style {
                0 | 1 => format!("{day} {}", MONTHS[month]),
                2 => format!("{:02}/{day:02}", month + 1),
                _ => format!("2025-{:02}-{day:02}", month + 1),
            }
        }
        Kind::Month => {
            let month = draw.below(12);
            match form.style {
                0 | 1 => MONTHS[month].to_owned(),
                2 => format!("{}-{}", MONTHS[month], MONTHS[(month + 1) % 12]),
                _ => format!("{} {}", MONTHS[month], draw.between(2019, 2025)),
            }
        }
        Kind::Amount => {
            let whole = digits(draw, 1 + form.style % 2, 2 + form.style % 2);
            match form.style {
                0 | 1 => format!("{whole}.{}{}", draw.below(10), draw.below(10)),
                2 => format!("${whole}.{}{}", draw.below(10), draw.below(10)),
                _ => whole,
            }
        }
        Kind::Person => {
            if form.style == 0 {
                capitalized(&made_up(draw))
            } else {
                draw.pick(NAMES).to_owned()
            }
        }
        Kind::City => draw.pick(CITIES).to_owned(),
        Kind::Thing => {
            if form.style == 0 {
                format!("{} {}", draw.pick(ADJECTIVES), draw.pick(NOUNS))
            } else if form.style == 1 {
                made_up(draw)
            } else {
                draw.pick(NOUNS).to_owned()
            }
        }
        Kind::State => draw.pick(STATES).to_owned(),
        Kind::Count => digits(draw, 1, 3),
    }
}
