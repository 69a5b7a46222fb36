#!/usr/bin/env bash
# A bill of materials of the static binary (CycloneDX 1.5, JSON), and whether it is whole.
#
#   tests/release/sbom.sh TARGET FILE      TARGET: the triple that the binary is built for
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly FOR=${1:?the target} FILE=${2:?the file to write}
readonly CARGO=${CARGO:-cargo} COPY=target/sbom
for tool in cargo-cyclonedx jq; do
  command -v "$tool" > /dev/null || { echo "sbom: $tool is not installed (cargo install --locked cargo-cyclonedx; Debian: jq)" >&2; exit 1; }
done

# In a copy: the tool writes beside the manifest of every member of the workspace.
rm -rf "$COPY"
mkdir -p "$COPY" "$(dirname "$FILE")"
git ls-files -z | tar --create --null --files-from - | tar --extract --directory "$COPY"
# With the time of the commit instead of now, the same sources have the same bill.
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) "$CARGO" cyclonedx --quiet --manifest-path "$COPY/Cargo.toml" \
  --format json --spec-version 1.5 --target "$FOR" --no-build-deps --override-filename bom
# Where the copy stood is nobody's business.
sed "s|path+file://$PWD/$COPY#|path+file:///tradewind#|g" "$COPY/bom.json" > "$FILE"

# What Cargo links for this target, as name and version: macros run in the compiler, and what they need is built for this machine.
crates=$("$CARGO" tree --locked --package tradewind --target "$FOR" --edges normal,no-proc-macro --prefix none --format '{p}' \
  | awk '$1 != "tradewind" { print $1 "@" substr($2, 2) }' | sort --unique)
jq --exit-status --raw-output --arg crates "$crates" --arg here "$PWD" '
  [.components[] | "\(.name)@\(.version)"] as $listed
  | [.components[] | select((.licenses // []) == []) | .name] as $unlicensed
  | (($crates | split("\n")) - $listed) as $missing
  | if .bomFormat != "CycloneDX" or .specVersion != "1.5" then error("no CycloneDX 1.5")
    elif $missing != [] then error("not listed: \($missing | join(", "))")
    elif $unlicensed != [] then error("without a licence: \($unlicensed | join(", "))")
    elif tostring | contains($here) then error("it names \($here)")
    else "sbom: CycloneDX \(.specVersion), \($listed | length) components, each with its licence; \($crates | split("\n") | length) crates are linked, and none is missing"
    end' "$FILE"
