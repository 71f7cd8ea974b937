//! Lists, and what operators do to clients, sessions and messages.
use crate::peer::{Peer, ask, eventually, read, request, start};
use serde_json::{Value, json};
use vowmq::packet::Packet;
use vowmq::types::{QoS, ReasonCode};

fn names(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|item| item["client_id"].as_str().unwrap()).collect()
}

#[test]
fn a_client_is_sent_away_and_its_session_stays_until_it_is_ended() {
    let broker = start("");
    let mut client = Peer::connect(&broker, "a/b c");
    client.subscribe("x", QoS::AtLeastOnce);
    let (status, gone) = ask(&broker, "DELETE", "/api/v1/clients/a%2Fb%20c", "");
    assert_eq!((status, gone), (200, json!({ "client_id": "a/b c" })));
    match client.next() {
        Some(Packet::Disconnect(disconnect)) => assert_eq!(disconnect.code, ReasonCode::AdministrativeAction),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.next(), None);
    assert_eq!(ask(&broker, "DELETE", "/api/v1/clients/a%2Fb%20c", "").0, 404);
    assert_eq!(read(&broker, "/api/v1/sessions/a%2Fb%20c")["connected"], false);
    assert_eq!(ask(&broker, "DELETE", "/api/v1/sessions/a%2Fb%20c", "").0, 200);
    assert_eq!(ask(&broker, "GET", "/api/v1/sessions/a%2Fb%20c", "").0, 404);
    assert_eq!(read(&broker, "/api/v1/receivers?topic=x"), json!([]), "its subscriptions are gone");
}

#[test]
fn a_session_that_is_ended_while_its_client_is_there_takes_it_along() {
    let broker = start("");
    let mut client = Peer::connect(&broker, "c");
    assert_eq!(ask(&broker, "DELETE", "/api/v1/sessions/c", "").0, 200);
    assert!(matches!(client.next(), Some(Packet::Disconnect(_))));
    assert_eq!(read(&broker, "/api/v1/sessions")["items"], json!([]));
}

#[test]
fn lists_are_in_order_filtered_and_in_pages() {
    let broker = start("");
    let clients: Vec<_> = ["d", "b", "a", "c"]
        .into_iter()
        .map(|name| {
            let mut peer = Peer::connect(&broker, name);
            peer.subscribe("one", QoS::AtMostOnce);
            peer.subscribe(&format!("two/{name}"), QoS::AtLeastOnce);
            peer
        })
        .collect();
    assert_eq!(names(&read(&broker, "/api/v1/clients")), ["a", "b", "c", "d"]);
    assert_eq!(names(&read(&broker, "/api/v1/clients?contains=c")), ["c"]);
    for (path, expected) in [
        ("/api/v1/sessions", vec!["a", "b", "c", "d"]),
        ("/api/v1/subscriptions", vec!["a", "a", "b", "b", "c", "c", "d", "d"]),
        ("/api/v1/subscriptions", vec!["a", "a", "b", "b", "c", "c", "d", "d"]),
    ] {
        for limit in 1..5 {
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let page = read(&broker, &format!("{path}?limit={limit}{cursor}"));
                assert!(names(&page).len() <= limit);
                found.extend(names(&page).into_iter().map(str::to_owned));
                let Some(next) = page["next"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(found, expected, "{path} by {limit}");
        }
    }
    let of_one = read(&broker, "/api/v1/subscriptions?client_id=b&contains=two");
    assert_eq!((of_one["items"].as_array().unwrap().len(), &of_one["items"][0]["filter"]), (1, &"two/b".into()));
    drop(clients);
    eventually("all to leave", || read(&broker, "/api/v1/clients")["items"].as_array()?.is_empty().then_some(()));
    let summary = &read(&broker, "/api/v1/sessions?contains=a")["items"][0];
    assert_eq!(
        (&summary["version"], &summary["durable"], &summary["keep_alive_s"]),
        (&"5.0".into(), &true.into(), &60.into())
    );
}

#[test]
fn groups_and_receivers_are_told() {
    let broker = start("");
    let mut members: Vec<_> = ["m1", "m2"].into_iter().map(|name| Peer::connect(&broker, name)).collect();
    members.iter_mut().for_each(|member| member.subscribe("$share/g/a/#", QoS::AtLeastOnce));
    let mut plain = Peer::connect(&broker, "plain");
    plain.subscribe("a/+", QoS::ExactlyOnce);
    let groups = read(&broker, "/api/v1/groups");
    assert_eq!(groups["items"][0]["filter"], "$share/g/a/#");
    assert_eq!(groups["items"][0]["members"].as_array().unwrap().len(), 2);
    let receivers = read(&broker, "/api/v1/receivers?topic=a/b");
    let told: Vec<_> = receivers.as_array().unwrap().iter().map(|one| (&one["client_id"], &one["share"])).collect();
    assert_eq!(told.len(), 3);
    assert!(told.contains(&(&json!("plain"), &Value::Null)) && told.contains(&(&json!("m2"), &json!("$share/g/a/#"))));
}

#[test]
fn messages_are_published_and_retained_ones_deleted_durably() {
    let mut broker = start("");
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("t", QoS::AtLeastOnce);
    let message = json!({ "topic": "t", "payload_text": "hot", "qos": 1, "retain": true, "properties": [["k", "v"]] });
    assert_eq!(
        ask(&broker, "POST", "/api/v1/publish", &message.to_string()),
        (200, json!({ "topic": "t", "had_subscribers": true }))
    );
    assert_eq!(&client.expect_publish().payload[..], b"hot");
    let (_, nobody) = ask(&broker, "POST", "/api/v1/publish", "{\"topic\":\"nobody\",\"qos\":1}");
    assert_eq!(nobody["had_subscribers"], false);
    broker.kill();
    broker.start_again();
    let retained = read(&broker, "/api/v1/retained?filter=t&payload=true");
    assert_eq!(retained["items"][0]["payload_text"], "hot");
    assert_eq!(ask(&broker, "DELETE", "/api/v1/retained?topic=t", "").0, 200);
    assert_eq!(ask(&broker, "DELETE", "/api/v1/retained?topic=t", "").0, 404);
    broker.kill();
    broker.start_again();
    assert_eq!(read(&broker, "/api/v1/retained?filter=t")["items"], json!([]));
}

#[test]
fn the_log_level_changes_and_a_backup_is_whole() {
    let broker = start("");
    assert_eq!(read(&broker, "/api/v1/log-level"), json!({ "level": "info" }));
    let (status, level) = ask(&broker, "PUT", "/api/v1/log-level", "{\"level\":\"debug\"}");
    assert_eq!((status, level), (200, json!({ "level": "debug" })));
    let unchanged = ["configuration", "access rules", "users and keys", "admin.token"];
    let unchanged: Vec<_> = unchanged.iter().map(|name| json!({ "name": name, "changed": false })).collect();
    assert_eq!(ask(&broker, "POST", "/api/v1/reload", "{}"), (200, json!(unchanged)));
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("t", QoS::AtLeastOnce);
    let token = format!("Bearer {}", crate::peer::own_token(&broker));
    let (status, _, backup) = request(&broker, "GET", "/api/v1/backup", &[("Authorization", &token)], "");
    let lines: Vec<Value> = backup.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!((status, kinds), (200, vec!["begin", "session", "end"]));
}
