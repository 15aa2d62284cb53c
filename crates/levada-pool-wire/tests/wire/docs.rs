//! `docs/pool.md` shows the tables of the code; these tests fail when the two drift.

use std::fmt::Write as _;

use levada_pool_wire::diagram::{Light, MESSAGE_FLOW, State};
use levada_pool_wire::layout::{FIELDS, FieldInfo};
use levada_pool_wire::rules::{DescriptorRule, QUESTIONS, REQUESTS};
use levada_pool_wire::{Command, ErrorCode};
use levada_testkit::docs::assert_rendered;

const PAGE: &str = "docs/pool.md";

#[test]
fn the_message_flow_is_in_the_docs() {
    assert_rendered(PAGE, "message-flow", &MESSAGE_FLOW.to_markdown());
}

#[test]
fn the_diagram_is_in_the_docs() {
    let diagram = MESSAGE_FLOW.to_mermaid();
    let (head, arrows) = diagram.split_once('\n').unwrap();
    let mut text = format!("```mermaid\n{head}\n");
    for state in MESSAGE_FLOW.states {
        let _ = writeln!(text, "    state \"{}\" as {state:?}", state.label());
    }
    text += arrows;
    for (light, colour) in
        [(Light::Green, "#9fd6a0"), (Light::Yellow, "#f3dc7c"), (Light::Red, "#eda29b")]
    {
        let name = format!("{light:?}").to_lowercase();
        let shown: Vec<_> = MESSAGE_FLOW
            .states
            .iter()
            .filter(|state| state.light() == light)
            .map(|state| format!("{state:?}"))
            .collect();
        let _ = writeln!(text, "    classDef {name} fill:{colour},color:#222");
        let _ = writeln!(text, "    class {} {name}", shown.join(","));
    }
    assert_rendered(PAGE, "diagram", &(text + "```"));
}

#[test]
fn the_lights_are_in_the_docs() {
    let mut text = String::from("| state | name | light | waits for | has a deadline |\n");
    text += "|---|---|---|---|---|\n";
    for state in MESSAGE_FLOW.states.iter().filter(|state| **state != State::Ended) {
        let party = state.waits_for().map_or("nobody".into(), |party| format!("{party:?}"));
        let deadline = if state.waits_for().is_some() { "yes" } else { "no" };
        let (label, light) = (state.label(), state.light());
        let _ = writeln!(text, "| {label} | {state:?} | {light:?} | {party} | {deadline} |");
    }
    assert_rendered(PAGE, "lights", &text);
}

#[test]
fn the_layout_is_in_the_docs() {
    let mut text = String::from("| part | field | type | offset | size |\n|---|---|---|---|---|\n");
    for FieldInfo { part, name, kind, offset, size } in FIELDS {
        let _ = writeln!(text, "| {part} | {name} | {kind} | {offset} | {size} |");
    }
    assert_rendered(PAGE, "layout", &text);
}

fn listed(commands: &[Command]) -> String {
    let names: Vec<_> = commands.iter().map(|command| command.name()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn descriptor(rule: DescriptorRule) -> String {
    match rule {
        DescriptorRule::Never => {
            format!("none, else +{}", ErrorCode::SuperfluousSocket.offset())
        }
        DescriptorRule::Required(code) => format!("one, else +{}", code.offset()),
        DescriptorRule::Optional => "one or none".into(),
    }
}

#[test]
fn the_requests_are_in_the_docs() {
    let mut text = String::from("| request | number | descriptor | questions | reply |\n");
    text += "|---|---|---|---|---|\n";
    for rule in &REQUESTS {
        let flag = if rule.when.is_some() { " with RENEGOTIATE" } else { "" };
        let reply = rule.reply.map_or("only its questions".into(), |reply| listed(&[reply]));
        let _ = writeln!(
            text,
            "| {}{flag} | {:#05x} | {} | {} | {reply} |",
            rule.command.name(),
            rule.command.to_wire(),
            descriptor(rule.descriptor),
            listed(rule.questions),
        );
    }
    assert_rendered(PAGE, "requests", &text);
}

#[test]
fn the_questions_are_in_the_docs() {
    let mut text = String::from("| question | number | answers | descriptor | declined |\n");
    text += "|---|---|---|---|---|\n";
    for rule in &QUESTIONS {
        let _ = writeln!(
            text,
            "| {} | {:#05x} | {} | {} | +{} |",
            rule.question.name(),
            rule.question.to_wire(),
            listed(rule.answers),
            descriptor(rule.descriptor),
            rule.declined.offset(),
        );
    }
    assert_rendered(PAGE, "questions", &text);
}

#[test]
fn the_error_codes_are_in_the_docs() {
    let mut text = String::from("| code | number | name | message |\n|---|---|---|---|\n");
    for code in ErrorCode::ALL {
        let number = code.number().to_wire();
        let _ = writeln!(text, "| +{} | {number} | {code:?} | {code} |", code.offset());
    }
    assert_rendered(PAGE, "error-codes", &text);
}
