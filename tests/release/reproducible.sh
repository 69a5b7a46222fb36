#!/usr/bin/env bash
# Whether the sources make the same static binary elsewhere: a copy of them, in another folder with a target folder of its own.
#
#   tests/release/reproducible.sh BINARY      BINARY: target/…/release/tradewind, built by `make static`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly BINARY=${1:?the binary}
readonly COPY=$PWD/target/reproducible/another-checkout

fail() {
  echo "reproducible: $*" >&2
  exit 1
}

for path in "$PWD" "${CARGO_HOME:-$HOME/.cargo}"; do
  ! grep --quiet --binary-files=text --fixed-strings "$path" "$BINARY" || fail "$path stands in $BINARY"
done

# From nothing, and of what Git knows.
rm -rf "$COPY"
mkdir -p "$COPY"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$COPY"
env --unset CARGO_TARGET_DIR "${MAKE:-make}" --no-print-directory --directory "$COPY" static

sha256sum "$BINARY" "$COPY/$BINARY"
cmp "$BINARY" "$COPY/$BINARY" || fail "two builds of the same sources differ"
echo "reproducible: both are the same"
