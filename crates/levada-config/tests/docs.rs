//! The page about the configuration shows the tables of the code, and its examples are good.

use std::fs;
use std::path::Path;

use levada_config::{parse, render};
use levada_testkit::docs::{assert_rendered, workspace_root};

const PAGE: &str = "docs/configuration.md";

#[test]
fn the_page_shows_the_tables() {
    assert_rendered(PAGE, "config-keys", &render::keys_markdown());
    assert_rendered(PAGE, "config-route", &render::route_markdown());
    assert_rendered(PAGE, "config-end", &render::end_markdown());
}

#[test]
fn the_examples_are_good() {
    let page = fs::read_to_string(workspace_root().join(PAGE)).expect("the page is there");
    let blocks: Vec<_> = page.split("```toml\n").skip(1).collect();
    assert!(blocks.len() >= 2);
    for block in blocks {
        let (text, _) = block.split_once("```").expect("the block ends");
        if let Err(faults) = parse(text, Path::new("")) {
            panic!("{}", faults.in_file(PAGE));
        }
    }
}

#[test]
fn faults_are_told_as_the_page_shows_them() {
    let page = fs::read_to_string(workspace_root().join(PAGE)).expect("the page is there");
    let wrong = "drian = \"10s\"\n\n[[route]]\nlisten = \"tsl://:443\"\nto = \"echo:\"\n";
    let faults = parse(wrong, Path::new("")).expect_err("it is wrong");
    // The command says who speaks.
    let block = format!("```text\nlevada: {}\n```", faults.in_file("levada.toml"));
    assert!(page.contains(&block), "{block}");
}
