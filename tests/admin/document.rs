//! The OpenAPI document: every route in it answers, with the shape it promises.
use crate::common::broker::Broker;
use crate::peer::{Peer, ask, own_token, read, request, start};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use vowmq::types::QoS;

/// What is wrong with a value, by the schema it should be of.
fn misfit(document: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').expect("references stay in the document");
        let schema = document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"));
        return misfit(document, schema, value, at);
    }
    if let Some(all) = schema["allOf"].as_array() {
        return all.iter().find_map(|schema| misfit(document, schema, value, at));
    }
    if let Some(any) = schema["oneOf"].as_array() {
        let misfits: Vec<_> = any.iter().map(|schema| misfit(document, schema, value, at)).collect();
        return if misfits.iter().any(Option::is_none) { None } else { misfits.into_iter().next().flatten() };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let is_type = |name: &&str| match *name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: what is {other}?"),
    };
    if !types.iter().any(is_type) {
        return Some(format!("{at}: {value} is none of {types:?}"));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        return Some(format!("{at}: {value} is none of {choices:?}"));
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    if let Some(missing) = required.into_iter().find(|name| value.get(name).is_none()) {
        return Some(format!("{at}: no {missing} in {value}"));
    }
    let fields = schema["properties"].as_object().into_iter().flatten();
    let mut fields = fields.filter_map(|(name, schema)| Some((name, schema, value.get(name)?)));
    let in_fields = fields.find_map(|(name, schema, value)| misfit(document, schema, value, &format!("{at}.{name}")));
    let mut items = value.as_array().into_iter().flatten();
    in_fields.or_else(|| items.find_map(|item| misfit(document, schema.get("items")?, item, &format!("{at}[]"))))
}

/// A path with its parameters filled in, and a body.
fn example(method: &str, path: &str) -> (String, String) {
    let query = match (method, path) {
        (_, "/api/v1/receivers") | ("delete", "/api/v1/retained") => "?topic=held",
        ("delete", "/api/v1/bans") => "?address=192.0.2.1",
        _ => "",
    };
    let body = match (method, path) {
        ("post", "/api/v1/publish") => json!({ "topic": "held", "payload_text": "x", "retain": true, "qos": 1 }),
        ("put", "/api/v1/log-level") => json!({ "level": "info" }),
        ("post", "/api/v1/drain") => json!({ "server_reference": "other" }),
        ("post", "/api/v1/bans") => json!({ "address": "192.0.2.1", "seconds": 60 }),
        _ => return (format!("{}{query}", path.replace("{client_id}", "c")), String::new()),
    };
    (path.to_owned(), body.to_string())
}

/// The first event of a stream, whose request never ends.
fn first_event(broker: &Broker, path: &str) -> Option<Value> {
    use std::io::{BufRead, BufReader, Write};
    let (address, token) = (crate::peer::admin_address(broker), own_token(broker));
    let mut stream = std::net::TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(crate::peer::PATIENCE)).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let lines = BufReader::new(stream).lines();
    let data = lines.map_while(Result::ok).find_map(|line| line.strip_prefix("data: ").map(str::to_owned))?;
    serde_json::from_str(&data).ok()
}

#[test]
fn every_route_answers_with_the_shape_it_promises() {
    let broker = start("");
    let document = read(&broker, "/api/v1/openapi.json");
    let mut client = Peer::connect(&broker, "c");
    client.subscribe("held", QoS::AtLeastOnce);
    client.subscribe("$share/g/other", QoS::AtMostOnce);
    let mut asked = BTreeSet::new();
    // What sends the client away comes last; what is read finds something to show.
    let order = ["post", "put", "get", "delete"];
    for wanted in order {
        for (path, methods) in document["paths"].as_object().unwrap() {
            let Some(operation) = methods.get(wanted) else { continue };
            if wanted == "delete" && path == "/api/v1/sessions/{client_id}" {
                continue;
            }
            let (target, body) = example(wanted, path);
            asked.insert(operation["operationId"].as_str().unwrap().to_owned());
            check(&broker, &document, operation, wanted, &target, &body);
            if (wanted, path.as_str()) == ("post", "/api/v1/drain") {
                // Clients are let in again, so that there is something to show.
                ask(&broker, "DELETE", "/api/v1/drain", "");
                while client.next().is_some() {}
                client = Peer::connect(&broker, "c");
            }
        }
    }
    let operation = &document["paths"]["/api/v1/sessions/{client_id}"]["delete"];
    check(&broker, &document, operation, "delete", "/api/v1/sessions/c", "");
    assert!(asked.len() > 20, "{asked:?}");
    let described = document["components"]["securitySchemes"].as_object().unwrap();
    assert_eq!(described.keys().collect::<Vec<_>>(), ["basic", "bearer"]);
}

fn check(broker: &Broker, document: &Value, operation: &Value, method: &str, target: &str, body: &str) {
    let content =
        operation["responses"]["200"]["content"].as_object().unwrap_or_else(|| panic!("{target}: no content"));
    let (kind, content) = content.iter().next().unwrap();
    let schema = &content["schema"];
    let at = format!("{method} {target}");
    let value = match kind.as_str() {
        "text/event-stream" if target == "/api/v1/live" => first_event(broker, target).unwrap(),
        // Its events need messages; they have tests of their own.
        "text/event-stream" => return,
        "application/json" => {
            let (status, value) = ask(broker, &method.to_uppercase(), target, body);
            assert_eq!(status, 200, "{at}: {value}");
            value
        }
        _ => {
            let token = format!("Bearer {}", own_token(broker));
            let (status, head, _) = request(broker, &method.to_uppercase(), target, &[("Authorization", &token)], body);
            assert_eq!(status, 200, "{at}");
            assert!(head.contains(&format!("content-type: {kind}")), "{at}: {head}");
            return;
        }
    };
    assert_eq!(misfit(document, schema, &value, &at), None);
}
