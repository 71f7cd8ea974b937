//! Judges a whole history: what publishers were told against what subscribers were given.
use super::fault::{Fault, Faults};
use super::message::{Message, Source};
use super::publisher::Sent;
use super::subscriber::{Arrival, Reception};
use std::collections::{BTreeMap, BTreeSet};
use vowmq::types::QoS;

/// By source and number, what became of every message.
pub type History<'a> = BTreeMap<Source, &'a [Sent]>;

/// The messages promised to a subscription that have not come.
pub fn missing(history: &History<'_>, reception: &Reception) -> Vec<Message> {
    let Some(promised_from) = &reception.promised_from else { return Vec::new() };
    let deliveries = reception.arrivals.iter().filter(|arrival| !arrival.is_repeat);
    let came: BTreeSet<Message> = deliveries.map(|arrival| arrival.message).collect();
    let mut missing = Vec::new();
    for (source, sent) in history {
        let from = promised_from.get(source).copied().unwrap_or(0);
        for (number, sent) in (0..).zip(sent.iter()).skip_while(|(number, _)| *number < from) {
            let message = Message { source: *source, number };
            if sent.is_acknowledged && !came.contains(&message) && reception.filter.matches(&message.topic()) {
                missing.push(message);
            }
        }
    }
    missing
}

/// Notes every fault of one subscription, but for missing wills, which are judged with their owners.
pub fn judge(name: &str, history: &History<'_>, reception: &Reception, faults: &mut Faults) {
    for message in missing(history, reception) {
        faults.note(Fault::MessageLost, || format!("{name}: {message:?}"));
    }
    judge_repeats(name, history, reception, faults);
    judge_order(name, reception, faults);
}

fn judge_repeats(name: &str, history: &History<'_>, reception: &Reception, faults: &mut Faults) {
    let mut by_message: BTreeMap<Message, Vec<&Arrival>> = BTreeMap::new();
    for arrival in &reception.arrivals {
        by_message.entry(arrival.message).or_default().push(arrival);
    }
    for (message, arrivals) in by_message {
        let is_qos2 = arrivals.iter().any(|arrival| arrival.qos == QoS::ExactlyOnce);
        let deliveries = arrivals.iter().filter(|arrival| !arrival.is_repeat).count() as u64;
        if is_qos2 && deliveries > 1 {
            faults.note(Fault::MessageDoubled, || format!("{name}: {message:?} came {deliveries} times"));
            continue;
        }
        // A QoS 1 publisher that repeats itself makes as many messages of one [MQTT-4.3.2-5]; each begins with DUP 0.
        let times = history.get(&message.source).and_then(|sent| sent.get(usize::try_from(message.number).ok()?));
        let begins_max = if message.qos() == QoS::AtLeastOnce { times.map_or(1, |sent| sent.times) } else { 1 };
        let begins = arrivals.iter().filter(|arrival| !arrival.dup).count() as u64;
        if begins > begins_max {
            faults.note(Fault::DupUnset, || format!("{name}: {message:?} came {begins} times with DUP 0"));
        }
    }
}

/// First arrivals of one source, topic and QoS as published come in the order of publication [MQTT-4.6.0-6]. What was sent before the
/// subscription is left out: of that, the subscriber may first see what a publisher sent again.
fn judge_order(name: &str, reception: &Reception, faults: &mut Faults) {
    let is_promised = |message: Message| {
        let from = reception.promised_from.as_ref().and_then(|from| from.get(&message.source));
        from.is_some_and(|from| message.number >= *from)
    };
    let mut came = BTreeSet::new();
    let mut last: BTreeMap<(Source, String, QoS), u64> = BTreeMap::new();
    for arrival in reception.arrivals.iter().filter(|arrival| is_promised(arrival.message)) {
        if !came.insert(arrival.message) {
            continue;
        }
        let Message { source, number } = arrival.message;
        let order =
            last.entry((source, arrival.message.topic().as_str().to_owned(), arrival.message.qos())).or_insert(number);
        if *order > number {
            faults.note(Fault::MessageReordered, || format!("{name}: {:?} after {order}", arrival.message));
        }
        *order = number.max(*order);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;
    use vowmq::types::TopicFilter;

    const SOURCE: Source = Source::Stream(0);

    fn numbers(qos: QoS) -> impl Iterator<Item = Message> {
        (0..).map(|number| Message { source: SOURCE, number }).filter(move |message| message.qos() == qos)
    }

    /// Two messages of one QoS and one topic.
    fn pair(qos: QoS) -> (Message, Message) {
        let first = numbers(qos).next().expect("there are some");
        let second = numbers(qos).skip(1).find(|message| message.topic() == first.topic()).expect("there are some");
        (first, second)
    }

    fn arrival(message: Message) -> Arrival {
        Arrival { message, qos: message.qos(), dup: false, is_repeat: false, at: Instant::now() }
    }

    /// The faults found when all messages up to 99 were acknowledged, were all promised but the last `unpromised`, and
    /// came in order, once, `change` aside.
    fn faults_after(change: impl FnOnce(&mut Vec<Arrival>, &mut Vec<Sent>)) -> Faults {
        let mut sent = vec![Sent { times: 1, is_acknowledged: true }; 100];
        let mut arrivals: Vec<_> = (0..100).map(|number| arrival(Message { source: SOURCE, number })).collect();
        change(&mut arrivals, &mut sent);
        let filter = TopicFilter::try_from("stream/#").expect("a legal filter");
        let promised_from = Some(BTreeMap::from([(SOURCE, 0)]));
        let reception = Reception { filter, qos: QoS::ExactlyOnce, promised_from, arrivals };
        let mut faults = Faults::default();
        judge("subscriber", &BTreeMap::from([(SOURCE, sent.as_slice())]), &reception, &mut faults);
        faults
    }

    #[test]
    fn a_history_without_fault_has_none() {
        assert!(faults_after(|_, _| ()).is_empty());
    }

    #[test]
    fn an_acknowledged_message_that_never_came_is_lost_and_an_unacknowledged_one_is_not() {
        let faults = faults_after(|arrivals, sent| {
            arrivals.truncate(98);
            sent[99].is_acknowledged = false;
        });
        assert_eq!(faults.count(Fault::MessageLost), 1, "{faults:?}");
    }

    #[test]
    fn what_was_sent_before_suback_is_not_promised() {
        let sent = [Sent { times: 1, is_acknowledged: true }; 10];
        let filter = TopicFilter::try_from("stream/#").expect("a legal filter");
        let promised_from = Some(BTreeMap::from([(SOURCE, 7)]));
        let reception = Reception { filter, qos: QoS::ExactlyOnce, promised_from, arrivals: Vec::new() };
        assert_eq!(missing(&BTreeMap::from([(SOURCE, sent.as_slice())]), &reception).len(), 3);
    }

    #[test]
    fn qos2_twice_is_a_duplicate_with_dup_or_without() {
        for dup in [false, true] {
            let (first, _) = pair(QoS::ExactlyOnce);
            let faults = faults_after(|arrivals, _| arrivals.push(Arrival { dup, ..arrival(first) }));
            assert_eq!(faults.count(Fault::MessageDoubled), 1, "{faults:?}");
        }
    }

    #[test]
    fn a_repeat_within_the_handshake_is_no_duplicate_but_needs_dup() {
        let (first, _) = pair(QoS::ExactlyOnce);
        let with = faults_after(|all, _| all.push(Arrival { is_repeat: true, dup: true, ..arrival(first) }));
        assert!(with.is_empty(), "{with:?}");
        let without = faults_after(|all, _| all.push(Arrival { is_repeat: true, ..arrival(first) }));
        assert_eq!(without.count(Fault::DupUnset), 1, "{without:?}");
    }

    #[test]
    fn a_message_under_the_identifier_of_an_unfinished_one_is_lost() {
        let (first, _) = pair(QoS::ExactlyOnce);
        let faults = faults_after(|arrivals, _| {
            let place = usize::try_from(first.number).unwrap();
            arrivals[place].is_repeat = true;
        });
        assert_eq!(faults.count(Fault::MessageLost), 1, "{faults:?}");
    }

    #[test]
    fn qos1_begins_as_often_as_it_was_sent() {
        let (first, _) = pair(QoS::AtLeastOnce);
        let once = faults_after(|arrivals, _| arrivals.push(arrival(first)));
        assert_eq!(once.count(Fault::DupUnset), 1, "{once:?}");
        let twice = faults_after(|arrivals, sent| {
            arrivals.push(arrival(first));
            sent[usize::try_from(first.number).unwrap()].times = 2;
        });
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn a_later_message_first_is_a_reordering() {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (first, second) = pair(qos);
            let places = [first, second].map(|message| usize::try_from(message.number).unwrap());
            let faults = faults_after(|arrivals, _| arrivals.swap(places[0], places[1]));
            assert!(faults.count(Fault::MessageReordered) >= 1, "{faults:?}");
        }
    }
}
