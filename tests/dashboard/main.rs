//! The dashboard in headless Chromium, against the real program with clients, traffic and messages that are stuck.
//!
//! Screenshots are left in target/dashboard.

#[path = "../common/mod.rs"]
mod common;
mod files;
#[path = "../admin/peer.rs"]
mod peer;
mod plant;

use plant::Plant;
use std::path::Path;
use std::process::Command;

const HOW_TO_INSTALL: &str = "install Chromium and the packages with: tests/setup.sh";

#[test]
fn each_page_shows_what_it_is_for() {
    run("pages.mjs");
}

#[test]
fn what_changes_the_broker_is_asked_first_and_for_admins_alone() {
    run("steering.mjs");
}

#[test]
fn foreign_texts_stay_texts() {
    run("hostile.mjs");
}

#[test]
fn what_is_much_slow_or_refused_is_shown_as_far_as_it_goes_and_told() {
    run("busy.mjs");
}

#[test]
fn every_page_can_be_used_by_everybody() {
    run("accessible.mjs");
}

fn run(script: &str) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    for module in ["playwright-core", "axe-core", "mqtt"] {
        let installed = package.join("tests/clients/node_modules").join(module);
        assert!(installed.is_dir(), "{} is missing; {HOW_TO_INSTALL}", installed.display());
    }
    let pictures = package.join("target/dashboard");
    std::fs::create_dir_all(&pictures).expect("the target directory can be written");
    let plant = Plant::start();
    let output = Command::new("node")
        .arg(package.join("tests/dashboard").join(script))
        .args([&plant.url(), &plant.token(), &plant.reader(), &plant.websocket_url()])
        .arg(pictures)
        .output()
        .unwrap_or_else(|error| panic!("node: {error}; {HOW_TO_INSTALL}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    println!("{said}");
    let failed: Vec<&str> = said.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(output.status.success(), "{script}: {}\n{}\n{complaints}", output.status, failed.join("\n"));
    assert!(said.lines().any(|line| line.starts_with("ok ")), "{script} checked nothing");
}
