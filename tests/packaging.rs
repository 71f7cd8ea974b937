//! What is packaged names only metrics that there are.
use std::collections::BTreeSet;

/// Every word that looks like a metric of ours.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    let ours = words.filter(|word| word.starts_with("vowmq_") || word.starts_with("process_"));
    ours.map(|word| {
        ["_total", "_bucket", "_count"].iter().fold(word, |word, end| word.trim_end_matches(end)).to_owned()
    })
    .collect()
}

#[test]
fn dashboard_alerts_and_guide_name_metrics_that_there_are() {
    let read = |path: &str| std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let source = read("src/admin/metrics.rs");
    let counters = read("src/broker/counters.rs");
    // Counters that have no name of their own in the source are named after their topics.
    let topics =
        counters.split('"').map(|topic| format!("vowmq_{}", topic.trim_start_matches("vow/").replace('/', "_")));
    let known: BTreeSet<String> = metrics(&source).into_iter().chain(topics).collect();
    for path in ["packaging/grafana/vowmq.json", "packaging/prometheus/vowmq.rules.yml", "docs/OPERATE.md"] {
        let unknown: Vec<_> = metrics(&read(path)).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{path}: {unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("packaging/grafana/vowmq.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}
