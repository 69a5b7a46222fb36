#!/usr/bin/env bash
# Memory that `tradewind run` holds with nothing to do: no objects, on a real control plane of its own, half a minute after it is ready.
#
#   tests/release/resident.sh BINARY MIB
#
# It fails above MIB of VmRSS; VmHWM, the most that it ever held, is printed beside.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

readonly BINARY=${1:?the binary} LIMIT=$((${2:?the limit in MiB} * 1024))
readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly DIR=$TARGET/resident
readonly LOG=$DIR/operator.log

fail() {
  echo "resident: $*" >&2
  exit 1
}
cluster() { "$TARGET/debug/tradewind-cluster" "$@" --dir "$DIR/cluster"; }
listening() { grep --only-matching --max-count 1 'listen=[0-9.:]*' "$LOG" | cut -d = -f 2; }
is_ready() { curl --silent --fail --max-time 5 --output /dev/null "http://$(listening)/readyz"; }
# A line of /proc/PID/status, in KiB.
held() { awk -v line="$1:" '$1 == line { print $2 }' "/proc/$operator/status"; }

operator=
end() {
  [[ -z $operator ]] || kill "$operator" 2> /dev/null || true
  cluster down > /dev/null
}

"${CARGO:-cargo}" build --locked --quiet --workspace --bin tradewind-cluster
mkdir -p "$DIR"
trap end EXIT
cluster up > "$DIR/cluster.log"
export KUBECONFIG=$DIR/cluster/kubeconfig
"$DIR/cluster/bin/kubectl" apply --server-side --filename crds > /dev/null
"$DIR/cluster/bin/kubectl" wait --for condition=Established --filename crds > /dev/null

"$BINARY" run --listen 127.0.0.1:0 > /dev/null 2> "$LOG" &
operator=$!
for _ in {1..300}; do
  kill -0 "$operator" 2> /dev/null || fail "the operator has ended: $(tail -n 1 "$LOG")"
  ! is_ready || break
  sleep 0.1
done
is_ready || fail "the operator did not become ready: $(tail -n 1 "$LOG")"
sleep 30

resident=$(held VmRSS)
awk -v rss="$resident" -v most="$(held VmHWM)" -v limit="$LIMIT" 'BEGIN {
  printf "resident: VmRSS %.1f MiB, VmHWM %.1f MiB, with 0 objects; the limit is %d MiB\n", rss / 1024, most / 1024, limit / 1024 }'
((resident <= LIMIT)) || fail "more is held than the limit allows"
