#!/usr/bin/env bash
# Looks for the credentials of the tests in everything that the tests produced: logs of operators, audit logs, logs of the control plane.
# They belong into Secrets (so into etcd) and into requests to the provider, and nowhere else.
set -euo pipefail
# Bytes, not letters: all that is looked for is ASCII.
export LC_ALL=C

dir=${1:?the folder that the tests wrote to}
canaries=(
  test-canary-login-7f3a test-canary-store-91bc
  # Logins that follow, are refused, or are of somebody else (tests/it/lifecycle/rotation.rs, accounts.rs).
  test-canary-next test-canary-wrong test-canary-nobody test-canary-colleague-5d20 test-canary-outsider-c8e1 test-canary-app
  # Those that are not used as they should be (tests/it/lifecycle/bad_input.rs, accounts.rs), and those of the command line (tests/it/cli).
  test-canary-of-somebody test-canary-open test-canary-arcus test-canary-key test-canary-0d1f test-canary-5b0c
  # Those that JSON has to escape (tests/it/security/canaries.rs).
  'test-canary-"q\b/s+p&<'"'>=%5e1f" 'test-canary-store"\/+&<'"'>=%{}c02d" $'test-canary-line\nbreak"\\/+77aa'
)
# What is called so and is no credential: the name of a login, and what is not there.
others=(test-canary-id test-canary-other)

# One that a test uses and nobody looks for is found by nobody.
is_looked_for() {
  local known
  for known in "${canaries[@]}"; do
    # A word is what stands before the first character that no word has.
    [[ $1 == "$known"* || ($known == "$1"* && ${known#"$1"} == [^a-z0-9-]*) ]] && return
  done
  [[ " ${others[*]} " == *" $1 "* ]]
}
used=$(grep --recursive --no-filename --only-matching --extended-regexp 'test-canary-[a-z0-9-]+' "$(dirname "${BASH_SOURCE[0]}")/it" | sort --unique)
for word in $used; do
  is_looked_for "$word" || { echo "search-canaries: $word is in tests/it and in no list of $0" >&2; exit 1; }
done
if is_looked_for test-canary-nowhere || is_looked_for test-canary-stor; then
  echo "search-canaries: takes for known what is not" >&2
  exit 1
fi

# As it stands in JSON, as Go writes that, with slashes escaped too, and in JSON inside of JSON.
in_json() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  printf '%s' "${text//$'\n'/\\n}"
}
in_json_of_go() { sed 's/&/\\u0026/g; s/</\\u003c/g; s/>/\\u003e/g' <<< "$1"; }

# The characters of a canary, each for itself, and each in percent. What of it is, depends on who wrote it and where.
in_part() {
  local text=$1 pattern='' char code at
  for ((at = 0; at < ${#text}; at++)); do
    char=${text:at:1}
    printf -v code '%%%02x' "'$char"
    # A line break is the end of what grep looks at, and of a pattern.
    if [ "$char" = $'\n' ]; then pattern+="$code"; else pattern+="([$char]|$code)"; fi
  done
  printf '%s' "$pattern"
}
# All but these characters of a canary in percent.
all_but() {
  local text=$1 kept=$2 form='' char code at
  for ((at = 0; at < ${#text}; at++)); do
    char=${text:at:1}
    printf -v code '%%%02x' "'$char"
    if [[ $kept == *"$char"* ]]; then form+=$char; else form+=$code; fi
  done
  printf '%s' "$form"
}

patterns=() parts=() proofs=()
letters=abcdefghijklmnopqrstuvwxyz0123456789
for canary in "${canaries[@]}"; do
  escaped=$(in_json "$canary")
  patterns+=("$escaped" "$(in_json_of_go "$escaped")" "${escaped//\//\\/}" "$(in_json "$escaped")")
  # As it is, line by line, in base64 at each of the three places that it can begin at, and percent-encoded.
  mapfile -t lines <<< "$canary"
  patterns+=("${lines[@]}")
  for offset in 0 1 2; do
    encoded=$(printf '%*s%s' "$offset" '' "$canary" | base64 --wrap=0)
    # Without the characters that depend on what stands before and after it.
    patterns+=("${encoded:4:16}")
  done
  parts+=("$(in_part "$canary")")
  # Wholly, as in a form, as in a part of a path of Go, and as a whole URL has it.
  for kept in '' "$letters*-._" "$letters-_.~\$&+=:@" "$letters;,/?:@&=+\$-_.!~*'()#"; do
    proofs+=("$(all_but "$canary" "$kept")")
  done
done
search() {
  {
    grep --recursive --files-with-matches --ignore-case --fixed-strings "${patterns[@]/#/--regexp=}" "$@" || true
    grep --recursive --files-with-matches --ignore-case --extended-regexp "${parts[@]/#/--regexp=}" "$@" || true
  } | sort --unique | grep .
}

# A search that cannot find is no search, and one that finds what is not there is none either.
proof=$(mktemp -d)
trap 'rm -rf "$proof"' EXIT
for planted in "${patterns[@]}" "${proofs[@]}"; do
  printf 'before %s after\n' "$planted" > "$proof/found"
  search "$proof" > /dev/null || { echo "search-canaries: cannot find $planted" >&2; exit 1; }
done
printf 'test-canary-other, store-login, rutter-api, 100%%, %%zz\n' > "$proof/found"
if search "$proof" > /dev/null; then
  echo "search-canaries: finds what is not there" >&2
  exit 1
fi

produced=("$dir"/logs "$dir"/cluster-*/audit.log "$dir"/cluster-*/logs)
for path in "$dir/logs" "$dir"/cluster-*/audit.log; do
  [ -s "$path" ] || { echo "search-canaries: $path is not there or empty: there is nothing to search in" >&2; exit 1; }
done
if found=$(search "${produced[@]}"); then
  printf 'search-canaries: a credential is in\n%s\n' "$found" >&2
  exit 1
fi
echo "search-canaries: no credential in $(du --summarize --total --human-readable "${produced[@]}" | tail -n 1 | cut -f 1) of logs"
