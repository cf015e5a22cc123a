#!/usr/bin/env bash
# Believed: `kubernetes-validate --strict` refuses a manifest of an API version that Kubernetes does not have, as it refuses a wrong field.
# Version:  kubernetes-validate 1.37.0, from PyPI.
# Behaviour: where it has no schema it warns, and ends with 0: a mistyped version passes, with all that is in the manifest.
# Seen:     v1, with a field that there is not: code: 1; v0, which there is not: code: 0
. "$(dirname "$0")/common.sh"

python3 -m pip --quiet --disable-pip-version-check install --root-user-action ignore --target "$folder/packages" kubernetes-validate==1.37.0
export PYTHONPATH="$folder/packages"

# validated VERSION: the code with which the validator ends, for a manifest that is right but for its version
validated() {
    printf 'apiVersion: %s\nkind: ConfigMap\nmetadata:\n  name: a\n%s' "$1" "${2:-}" > "$folder/map.yaml"
    code=0
    python3 -m kubernetes_validate --strict "$folder/map.yaml" >&2 || code=$?
    echo "$code"
}

demand "v1, as it should be: code" "$(validated v1)" 0
demand "v1, with a field that there is not: code" "$(validated v1 'colour: red
')" 1
demand "v0, which there is not: code" "$(validated v0 'colour: red
')" 0
