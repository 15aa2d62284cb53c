//! The book is whole: its summary names every page and no other, and links between pages lead
//! somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use levada_testkit::docs::workspace_root;

fn folder() -> PathBuf {
    workspace_root().join("docs")
}

/// The targets of the links of a page, but for those to other sites.
fn links(page: &str) -> Vec<String> {
    let text = fs::read_to_string(folder().join(page)).expect("the page is there");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let local = targets.map(|(target, _)| target).filter(|target| !target.contains("://"));
    local.map(str::to_owned).collect()
}

fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(folder()).expect("the book is part of the repository");
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let is_page = |name: &String| name.strip_suffix(".md").is_some_and(|name| name != "SUMMARY");
    names.filter(is_page).collect()
}

#[test]
fn the_summary_names_every_page_once() {
    let named = links("SUMMARY.md");
    let set: BTreeSet<_> = named.iter().cloned().collect();
    assert_eq!(set.len(), named.len(), "a page is there twice");
    assert_eq!(set, pages());
}

#[test]
fn links_lead_somewhere() {
    for page in pages() {
        for link in links(&page) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(file.is_empty() || folder().join(file).exists(), "{page}: {link}");
        }
    }
}
