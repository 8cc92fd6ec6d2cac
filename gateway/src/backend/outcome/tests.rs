use super::*;

fn word(count: Count) -> &'static str {
    match count {
        Count::Failure => "failure",
        Count::Success => "success",
        Count::Nothing => "–",
    }
}

#[test]
fn the_documentation_has_the_same_table() {
    let page = include_str!("../../../../docs/backends.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| *")?.split('|').map(str::trim);
        let name = cells.next()?.split('*').next()?;
        Some((name, cells.skip(1).take(3).collect::<Vec<_>>()))
    });
    let rows: Vec<_> = rows.collect();
    let names = rows
        .iter()
        .map(|(name, _)| name.replace(' ', "").to_lowercase());
    let known = DialOutcome::ALL.map(|outcome| format!("{outcome:?}").to_lowercase());
    assert_eq!(names.collect::<Vec<_>>(), known);
    for ((name, cells), outcome) in rows.iter().zip(DialOutcome::ALL) {
        let Consequence {
            circuit,
            ejection,
            next_member,
        } = outcome.consequence();
        let next = if next_member { "yes" } else { "no" };
        assert_eq!(cells[..], [word(circuit), word(ejection), next], "{name}");
    }
}

#[test]
fn an_answer_is_the_clients_unless_its_status_is_to_send_the_handshake_on() {
    let answers = DialOutcome::ALL.map(|outcome| (outcome, outcome.consequence().next_member));
    let next = answers.iter().filter(|(_, next)| *next);
    let next: Vec<_> = next.map(|(outcome, _)| *outcome).collect();
    use DialOutcome::{BadFailoverStatus, FailoverStatus, NoAnswer, NoConnection, NoTls};
    let without_an_answer = [NoConnection, NoTls, NoAnswer];
    let asked_for = [FailoverStatus, BadFailoverStatus];
    assert_eq!(next, [&without_an_answer[..], &asked_for].concat());
}
