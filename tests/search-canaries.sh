#!/usr/bin/env bash
# Looks for the credentials of the tests in everything that the tests produced: logs of operators, audit logs, logs of the control plane.
# They belong into Secrets (so into etcd) and into requests to the provider, and nowhere else.
set -euo pipefail

dir=${1:?the folder that the tests wrote to}
canaries=(
  test-canary-login-7f3a test-canary-store-91bc
  # Those that JSON has to escape (tests/it/security/canaries.rs).
  'test-canary-"q\b/s+p&<'"'>=%5e1f" 'test-canary-store"\/+&<'"'>=%{}c02d"
)
# As it stands in JSON, as Go writes that, with slashes escaped too, and in JSON inside of JSON.
in_json() { sed 's/[\"]/\\&/g' <<< "$1"; }
in_json_of_go() { sed 's/&/\\u0026/g; s/</\\u003c/g; s/>/\\u003e/g' <<< "$1"; }

patterns=()
for canary in "${canaries[@]}"; do
  escaped=$(in_json "$canary")
  patterns+=("$escaped" "$(in_json_of_go "$escaped")" "${escaped//\//\\/}" "$(in_json "$escaped")")
  # As it is, in base64 at each of the three places that it can begin at, and percent-encoded.
  patterns+=("$canary")
  for offset in 0 1 2; do
    encoded=$(printf '%*s%s' "$offset" '' "$canary" | base64 --wrap=0)
    # Without the characters that depend on what stands before and after it.
    patterns+=("${encoded:4:16}")
  done
  patterns+=("$(printf '%s' "$canary" | od -An -v -tx1 | tr -d '\n' | tr ' ' '%')")
done
search() { grep --recursive --files-with-matches --ignore-case --fixed-strings "${patterns[@]/#/--regexp=}" "$@"; }

# A search that cannot find is no search.
proof=$(mktemp -d)
trap 'rm -rf "$proof"' EXIT
for pattern in "${patterns[@]}"; do
  printf 'before %s after\n' "$pattern" > "$proof/found"
  search "$proof" > /dev/null || { echo "search-canaries: cannot find $pattern" >&2; exit 1; }
done

produced=("$dir"/logs "$dir"/cluster-*/audit.log "$dir"/cluster-*/logs)
for path in "$dir/logs" "$dir"/cluster-*/audit.log; do
  [ -s "$path" ] || { echo "search-canaries: $path is not there or empty: there is nothing to search in" >&2; exit 1; }
done
if found=$(search "${produced[@]}"); then
  printf 'search-canaries: a credential is in\n%s\n' "$found" >&2
  exit 1
fi
echo "search-canaries: no credential in $(du --summarize --total --human-readable "${produced[@]}" | tail -n 1 | cut -f 1) of logs"
