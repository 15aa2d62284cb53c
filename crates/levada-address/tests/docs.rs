//! The tables of the docs are those of the code.

use levada_address::render;
use levada_testkit::docs::assert_rendered;

const PAGE: &str = "docs/addresses.md";

#[test]
fn the_page_shows_the_tables() {
    assert_rendered(PAGE, "schemes", &render::schemes_markdown());
    assert_rendered(PAGE, "options", &render::options_markdown());
}
