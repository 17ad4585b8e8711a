//! `/status.json`: the same as the page, for programs. Names are added, never renamed.

use super::summary::{Point, Stretch, Summary, Times};
use super::words::Words;
use crate::texts::Locale;
use serde_json::{Map, Value, json};

/// Steps of which it is known how long they took, in the order of `history::TIMES`.
const STEPS: [&str; 4] = ["code", "approved", "success", "handedOver"];

fn stretch(counts: &Stretch, times: &Times) -> Value {
    let took: Map<String, Value> =
        STEPS.iter().zip(times).map(|(step, took)| ((*step).to_owned(), json!(took))).collect();
    json!({
        "success": counts.success(), "failed": counts.failed(), "gaveUp": counts.gave_up(),
        "turnedAway": counts.turned_away(), "counts": counts.named(), "seconds": took,
        "funnel": {
            "pages": counts.of("pages"), "begun": counts.of("started"), "code": counts.of("codes"), "scanned": null,
            "approved": counts.of("approved"), "success": counts.success(), "handedOver": counts.of("handed-over"),
        },
        "transports": {
            "websocket": counts.of("websocket"), "sse": counts.of("sse"), "page": counts.of("page"),
        },
    })
}

fn points(points: &[Point]) -> Vec<Value> {
    let point = |point: &Point| {
        json!({
            "at": point.at, "seconds": point.seconds, "success": point.counts.success(), "failed": point.counts.failed(),
            "gaveUp": point.counts.gave_up(), "counts": point.counts.named(),
        })
    };
    points.iter().map(point).collect()
}

/// `keys`: as `/keys` lists them.
pub fn json(summary: &Summary, keys: Option<Value>, locale: Locale) -> Value {
    let nodes = summary.nodes.iter().map(|node| {
        let facts = &node.facts;
        json!({
            "node": facts.node, "version": facts.version, "since": facts.since, "at": node.at, "active": facts.active,
            "maxActive": facts.max_active, "stopping": facts.stopping, "store": { "kind": facts.store_kind, "up": node.store_up },
            "max": { "appVersion": facts.app_version, "endpoints": node.endpoints }, "crashed": node.crashed,
            "leftOpen": node.left_open, "warnings": facts.warnings,
        })
    });
    let failures = summary.failures().into_iter().map(|(node, failed)| {
        let mut row = json!(failed);
        row["node"] = json!(node);
        row
    });
    json!({
        "schema": 1, "at": summary.at, "state": summary.state, "reasons": summary.reasons,
        "sentence": Words::of(locale).sentence(summary), "knownFor": summary.known_for(),
        "hour": stretch(&summary.hour, &summary.hour_times), "day": stretch(&summary.day, &summary.day_times),
        "refusals": summary.refusals, "nodes": nodes.collect::<Vec<_>>(), "silentNodes": summary.silent,
        "streams": summary.hops, "networks": summary.networks, "keys": keys.map(|mut keys| keys["keys"].take()),
        "failures": failures.collect::<Vec<_>>(),
        "points": { "hour": points(&summary.minutes), "day": points(&summary.half_hours) },
    })
}
