//! Records with named fields, and the ways in which a text can show them.

use super::Level;
use crate::draw::Draw;
use crate::words::{
    ADJECTIVES, CITIES, EVERYDAY, MONTHS, NAMES, NOUNS, STATES, capitalized, digits, made_up,
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

    /// A desk's papers: two to five of them with an id, a date, a period and an amount each, in the forms that
    /// desks use, under the labels of the base corpus. What one is called is any word, so that it must be copied.
    pub fn desk(draw: &mut Draw, level: Level) -> Self {
        let noun = match draw.below(5) {
            0 | 1 => draw.pick(PAPER_CHOICES).replace(' ', "_"),
            2 => draw.pick(NOUNS).to_owned(),
            3 => draw.pick(NOUN_CHOICES).to_owned(),
            _ => draw.pick(EVERYDAY).to_owned(),
        };
        // The telco desk's own word stays out of the corpus's desks.
        let noun = if noun.starts_with("bill") { "paper".to_owned() } else { noun };
        let kinds = vec![Kind::Id, Kind::Date, Kind::Month, Kind::Amount];
        let short = draw.chance(0.7);
        let labels: Vec<String> = kinds
            .iter()
            .map(|&kind| match kind {
                Kind::Id if short => "id".to_owned(),
                Kind::Date if short => "date".to_owned(),
                _ => paper_label(draw, kind, &noun),
            })
            .collect();
        let count = draw.between(2, [2, 3, 4, 5][level.min(3)]) + 1;
        let rows = Self::desk_rows(draw, count);
        Self { noun, kinds, labels, rows }
    }

    /// `count` rows, at most six, no two values of which share a part: whatever part of a value a question gives, it
    /// means one paper.
    fn desk_rows(draw: &mut Draw, count: usize) -> Vec<Vec<String>> {
        let mut numbers: Vec<usize> = (29..100).collect();
        let mut days: Vec<usize> = (1..29).collect();
        let mut months: Vec<&str> = MONTHS.to_vec();
        let mut letters: Vec<char> = ('A'..='Z').collect();
        draw.shuffle(&mut numbers);
        draw.shuffle(&mut days);
        draw.shuffle(&mut months);
        draw.shuffle(&mut letters);
        let plain_ids = draw.chance(0.1);
        let sign = if draw.chance(0.1) { "$" } else { "" };
        let mut number = numbers.into_iter();
        let mut number = || number.next().unwrap_or_default();
        (0..count.min(months.len() / 2))
            .map(|row| {
                let letter = if plain_ids { String::new() } else { letters[row].to_string() };
                vec![
                    format!("{letter}{}", number()),
                    format!("{} {}", days[row], months[row]),
                    months[months.len() - 1 - row].to_owned(),
                    format!("{sign}{}.{}", number(), number()),
                ]
            })
            .collect()
    }

    /// The text of a desk's papers, one a line.
    pub fn show_desk(&self, draw: &mut Draw) -> String {
        let noun = capitalized(&self.noun);
        let layout = draw.below(7);
        let lines: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                let [id, date, month, amount] = [&row[0], &row[1], &row[2], &row[3]];
                let [_, of, covers, sum] =
                    [&self.labels[0], &self.labels[1], &self.labels[2], &self.labels[3]];
                match layout {
                    0 => format!("{noun} {id}; {of} {date}; {covers} {month}; {sum} {amount}"),
                    1 => format!("{id} | {date} | {month} | {amount}"),
                    2 => format!("({id}) {of} {date}, {covers} {month}, {sum} {amount}"),
                    3 => format!("{noun} {id}, {of} {date}, {covers} {month}, {sum} {amount}"),
                    4 => format!("no {id}: {amount} for {month}, {of} {date}"),
                    5 => format!("{date} - {noun} {id} - {covers} {month} - {sum} {amount}"),
                    _ => format!("{id}: {of} {date}; {covers} {month}; {sum} {amount}"),
                }
            })
            .collect();
        lines.join("\n")
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
            let whole = digits(draw, 1 + form.style % 2, 2);
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
