//! Find the record that a question describes, and answer as the instruction says.

use super::Level;
use super::records::{Kind, Records};
use super::schema::{FoundSchema, object};
use crate::conversation::{Conversation, Task};
use crate::draw::Draw;

/// One item over records of all kinds, with `turns` questions.
pub fn select(draw: &mut Draw, level: Level, turns: usize) -> Conversation {
    let records = Records::general(draw, level);
    ask(draw, level, turns, Task::Select, records)
}

/// One item over a desk's papers, answered with an object that says whether the paper was found.
pub fn desk(draw: &mut Draw, level: Level, turns: usize) -> Conversation {
    let mut records = Records::desk(draw, level);
    let absent_row = records.take_absent();
    let question_first = draw.chance(0.15);
    let text = records.show_desk(draw);
    let wanted = match draw.below(10) {
        0..=6 => vec![0, 1],
        7 => vec![0],
        8 => vec![1, 0],
        _ => vec![0, 1, 3],
    };
    let labels: Vec<&str> = wanted.iter().map(|&at| records.labels[at].as_str()).collect();
    let schema = FoundSchema::draw_for_desk(draw, &records.noun, &labels);
    let noun = &records.noun;
    let intro = match draw.below(5) {
        0 => String::new(),
        1 => format!("Find the {noun} the customer means. "),
        2 => format!("You help customers with each {noun}. Find the one they mean. "),
        3 => "You work at a desk. ".to_owned(),
        _ => format!("You answer questions on one {noun}. "),
    };
    let system = format!("{intro}{}", schema.desk_instruction(draw));
    let form = Form::Found(schema);
    let lead = draw.pick(&["", "Question: ", "Q: ", "Client: ", "User asks: ", "They ask: "]);
    let turns = (0..turns.max(1))
        .map(|turn| {
            let (question, answer) = question(draw, &records, &absent_row, &form, &wanted);
            let user = match (turn, question_first) {
                (0, true) => format!("{lead}{question}\n{text}"),
                (0, false) => format!("{text}\n{lead}{question}"),
                _ => question,
            };
            (user, answer)
        })
        .collect();
    Conversation::from_turns(Task::Bill, system, turns)
}

/// Many short questions over a desk's papers, each answered with one field or a word for none: what is to be
/// found, without the work of writing an object around it.
pub fn drill(draw: &mut Draw, level: Level, turns: usize) -> Conversation {
    let mut records = Records::desk(draw, level);
    let absent_row = records.take_absent();
    let text = records.show_desk(draw);
    let wanted = if draw.chance(0.7) { 0 } else { 1 };
    let absent = draw.pick(&["none", "no", "unknown", "missing"]);
    let label = &records.labels[wanted];
    let system = match draw.below(3) {
        0 => format!("Give the {label}, or {absent}."),
        1 => format!("Answer with the {label}. Say {absent} if it is not there."),
        _ => format!("Find the {label}. If there is none: {absent}."),
    };
    let form = Form::Described { wanted, absent };
    let turns = (0..turns.max(3))
        .map(|turn| {
            let (question, answer) =
                question(draw, &records, &absent_row, &form, std::slice::from_ref(&wanted));
            (if turn == 0 { format!("{text}\n{question}") } else { question }, answer)
        })
        .collect();
    Conversation::from_turns(Task::Bill, system, turns)
}

/// What the instruction asks answers to look like.
enum Form {
    /// One field's value, or a word for none.
    Value { wanted: usize, absent: &'static str },
    /// The same where the question describes the record and the instruction names the field.
    Described { wanted: usize, absent: &'static str },
    /// Whether there is such a record.
    Presence { yes: &'static str, no: &'static str },
    /// An object of the fields, or an empty one.
    Object { keys: Vec<String> },
    /// An object that says whether the record was found.
    Found(FoundSchema),
}

fn ask(
    draw: &mut Draw,
    level: Level,
    turns: usize,
    task: Task,
    mut records: Records,
) -> Conversation {
    let absent_row = records.take_absent();
    let text = records.show(draw);
    // The fields to give back.
    let mut wanted: Vec<usize> = (0..records.labels.len()).collect();
    if draw.chance(0.4) {
        draw.shuffle(&mut wanted);
    }
    wanted.truncate(draw.between(1, if level == 0 { 1 } else { 3 }));
    let (form, system) = form(draw, level, &records, &wanted);

    let place = draw.below(6);
    let turns = (0..turns.max(1))
        .map(|turn| {
            let (question, answer) = question(draw, &records, &absent_row, &form, &wanted);
            let user = match (turn, place) {
                (0, 0) => format!("{question}\n{text}"),
                (0, 1) => format!("{text}\nQuestion: {question}"),
                (0, 2) => format!("{text}\nQ: {question}"),
                (0, _) => format!("{text}\n{question}"),
                _ => question,
            };
            (user, answer)
        })
        .collect();
    Conversation::from_turns(task, system, turns)
}

/// Draws the form of the answers and the instruction that asks for it.
fn form(draw: &mut Draw, level: Level, records: &Records, wanted: &[usize]) -> (Form, String) {
    let noun = &records.noun;
    let labels: Vec<&str> = wanted.iter().map(|&at| records.labels[at].as_str()).collect();
    match draw.weighted(if level == 0 { &[3.0, 1.0, 1.0, 2.0] } else { &[2.0, 1.0, 1.0, 6.0] }) {
        0 => {
            let absent = draw.pick(&["none", "no", "unknown", "missing"]);
            let system = match draw.below(3) {
                0 => format!("Answer with one value, or {absent}."),
                1 => format!("Find it in the list. Say {absent} if there is no such {noun}."),
                _ => format!("Give only the value. If there is none: {absent}."),
            };
            (Form::Value { wanted: wanted[0], absent }, system)
        }
        1 => {
            let (yes, no) = [("yes", "no"), ("true", "false")][draw.below(2)];
            (Form::Presence { yes, no }, format!("Answer {yes} or {no}."))
        }
        2 => {
            let keys: Vec<String> = labels.iter().map(|label| label.replace(' ', "_")).collect();
            let form: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), "...")).collect();
            let system = format!("Answer as {} or {{}}.", object(&form));
            (Form::Object { keys }, system)
        }
        _ => {
            let schema = FoundSchema::draw(draw, noun, &labels);
            let intro = match draw.below(4) {
                0 => String::new(),
                1 => format!("Find the {noun} that is asked for. "),
                2 => format!("You look up one {noun} in a list. "),
                _ => "You answer from the list. ".to_owned(),
            };
            let system = format!("{intro}{}", schema.instruction(draw));
            (Form::Found(schema), system)
        }
    }
}

/// One question and its answer in the form that the instruction asks for.
fn question(
    draw: &mut Draw,
    records: &Records,
    absent_row: &[String],
    form: &Form,
    wanted: &[usize],
) -> (String, String) {
    let found = !draw.chance(0.35);
    let row = draw.below(records.rows.len());
    // Mostly by a field that is not itself asked for.
    let mut by = draw.below(records.labels.len());
    if wanted.contains(&by) && draw.chance(0.6) {
        by = draw.below(records.labels.len());
    }
    let known = if found { records.rows[row][by].clone() } else { absent_row[by].clone() };
    let values: Vec<&str> = wanted.iter().map(|&at| records.rows[row][at].as_str()).collect();
    let (noun, label) = (&records.noun, &records.labels[by]);
    match form {
        Form::Value { wanted, absent } => {
            let asked = &records.labels[*wanted];
            let question = match draw.below(4) {
                0 => format!("What is the {asked} of the {noun} with {label} {known}?"),
                1 => format!("{label} {known}: {asked}?"),
                2 => format!("The {noun} has {label} {known}. Give its {asked}."),
                _ => format!("Which {asked} goes with {label} {known}?"),
            };
            (
                question,
                if found { records.rows[row][*wanted].clone() } else { (*absent).to_owned() },
            )
        }
        Form::Described { wanted, absent } => {
            let answer = if found { &records.rows[row][*wanted] } else { *absent };
            (describe(draw, noun, records, by, &known), answer.to_owned())
        }
        Form::Presence { yes, no } => {
            let question = match draw.below(2) {
                0 => format!("Is there a {noun} with {label} {known}?"),
                _ => format!("Does any {noun} have {label} {known}?"),
            };
            (question, if found { *yes } else { *no }.to_owned())
        }
        Form::Object { keys } => {
            let filled: Vec<(&str, &str)> = keys.iter().map(String::as_str).zip(values).collect();
            let answer = if found { object(&filled) } else { "{}".to_owned() };
            (describe(draw, noun, records, by, &known), answer)
        }
        Form::Found(schema) => {
            let answer = if found { schema.found(&values) } else { schema.absent() };
            (describe(draw, noun, records, by, &known), answer)
        }
    }
}

/// A question that names a record by the value of field `by`.
fn describe(draw: &mut Draw, noun: &str, records: &Records, by: usize, known: &str) -> String {
    let label = &records.labels[by];
    match (records.kinds[by], draw.below(8)) {
        (_, 0 | 1) => format!("Which {noun} has {label} {known}?"),
        (_, 2) => format!("Find the {noun} with {label} {known}."),
        (_, 3) => format!("I need the {noun} whose {label} is {known}."),
        (_, 4) => format!("{label} {known}?"),
        (Kind::Amount, _) => match draw.below(4) {
            0 => format!("Which {noun} was {known}?"),
            1 => format!("I paid {known}. Which {noun} is it?"),
            2 => format!("Is there one for {known}?"),
            _ => format!("What was the {known} for?"),
        },
        (Kind::Date, _) => match draw.below(4) {
            0 => format!("Which {noun} is from {known}?"),
            1 => format!("Show me the {noun} of {known}."),
            2 => format!("What came on {known}?"),
            _ => format!("Do I have a {noun} dated {known}?"),
        },
        (Kind::Month, _) => match draw.below(3) {
            0 => format!("Which {noun} is for {known}?"),
            1 => format!("Show me the one for {known}."),
            _ => format!("Do I have a {noun} for {known}?"),
        },
        (Kind::Id, _) => match draw.below(3) {
            0 => format!("Show me {noun} {known}."),
            1 => format!("I mean number {known}."),
            _ => format!("Where is {noun} {known}?"),
        },
        _ => match draw.below(3) {
            0 => format!("Which {noun} is {known}?"),
            1 => format!("The {noun} about {known}, please."),
            _ => format!("Find {known}."),
        },
    }
}
