# Sourced by each finding: its folder, and how it demands.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# wheel PACKAGE==VERSION: unpacks a wheel from PyPI into the folder
wheel() {
    python3 -m pip --quiet --disable-pip-version-check download --no-deps --only-binary :all: "$1" --dest "$folder"
    python3 -m zipfile -e "$folder/${1%==*}-${1#*==}"-*.whl "$folder/unpacked"
}

# debian FILE SHA256: unpacks a Debian package of the pool into the folder
debian() {
    curl --silent --show-error --fail --output "$folder/package.deb" "http://deb.debian.org/debian/pool/main/$1"
    echo "$2  $folder/package.deb" | sha256sum --quiet --check
    dpkg-deb --extract "$folder/package.deb" "$folder/unpacked"
}

# probe EDITION DEPENDENCIES: goes to a package of its own in the folder, which has yet no code
probe() {
    mkdir -p "$folder/probe/src"
    cd "$folder/probe"
    printf '[package]\nname = "probe"\nversion = "0.1.0"\nedition = "%s"\n[dependencies]\n%s\n' "$1" "$2" > Cargo.toml
    export CARGO_TARGET_DIR=$folder/target
}

# demand WHAT SEEN EXPECTED
demand() {
    echo "$1: $2"
    [ "$2" = "$3" ] || { echo "changed: it was $3"; exit 1; }
}
