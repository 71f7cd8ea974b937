"""Reads a page of metrics from the standard input with Prometheus's own parser, and looks for what its linter would.

One line for each fault; the exit code is 1 if there is any. Prints how many families it read.
"""

import re
import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

BASE_UNITS = {"seconds", "bytes", "ratio"}
OTHER_UNITS = re.compile(
    r"(^|_)(ms|us|ns|milliseconds|microseconds|nanoseconds|minutes|hours|days|kib|mib|gib|kilobytes|megabytes|bits|percent)(_|$)"
)


def faults(family):
    name = family.name
    if not re.fullmatch(r"(vowmq|process)_[a-z0-9]+(_[a-z0-9]+)*", name):
        yield "its name is not in small letters, or neither ours nor one of every process"
    if not family.documentation.strip():
        yield "it has no help"
    if family.type in ("unknown", "untyped"):
        yield "it has no type"
    if OTHER_UNITS.search(name):
        yield "its unit is no base unit"
    if family.unit and family.unit not in BASE_UNITS:
        yield f"{family.unit} is no base unit"
    if re.search(r"(^|_)(total|count|sum|bucket|info)$", name):
        yield "its name ends in what is added to names"
    if re.search(rf"(^|_){family.type}(_|$)", name):
        yield "its type is in its name"
    for sample in family.samples:
        if family.type == "counter" and not sample.name.endswith(("_total", "_created")):
            yield f"{sample.name} does not end in _total"
        if any(not re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in sample.labels):
            yield f"labels {sorted(sample.labels)}"
    if family.type == "histogram" and not any(s.labels.get("le") == "+Inf" for s in family.samples):
        yield "its last bucket is not +Inf"


def main():
    families = list(text_string_to_metric_families(sys.stdin.read()))
    found = [f"{family.name}: {fault}" for family in families for fault in faults(family)]
    print("\n".join([*found, f"{len(families)} families"]))
    sys.exit(1 if found or not families else 0)


main()
