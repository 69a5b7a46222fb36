#!/usr/bin/env bash
# `make demo`: a Kubernetes control plane, a simulated Rutter and the operator on this machine, and what becomes of examples/ there.
#
#   demo/run.sh up      run it; with KEEP=1 everything is left running
#   demo/run.sh down    end what KEEP=1 left running
#
# It fails where something does not happen in time. It ends only processes that it started itself, by id and start time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly CARGO=${CARGO:-cargo} KEEP=${KEEP:-}
readonly TARGET=${CARGO_TARGET_DIR:-target}
readonly BIN=$TARGET/debug DIR=$TARGET/demo
readonly PROCESSES=$DIR/processes CLUSTER=$DIR/cluster
readonly NAMESPACE=demo
# The simulator's own login, which opens nothing else; examples/bigcommerce/secrets.yaml has the same.
readonly LOGIN=test-client-id:test-client-secret

export KUBECONFIG=$PWD/$CLUSTER/kubeconfig KUBECACHEDIR=$PWD/$CLUSTER/kubectl-cache
[[ $TARGET != /* ]] || export KUBECONFIG=$CLUSTER/kubeconfig KUBECACHEDIR=$CLUSTER/kubectl-cache

##### Words

if [[ -t 1 ]]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi

step() { printf '\n%s==> %s%s\n' "$bold" "$*" "$plain"; }
say() { printf '    %s\n' "$*"; }
indented() { sed 's/^/    /'; }

fail() {
  printf '\ndemo: %s\n' "$*" >&2
  if [[ -f $PROCESSES && -s $DIR/operator.log ]]; then
    printf '\nThe end of %s:\n' "$DIR/operator.log" >&2
    tail -n 30 "$DIR/operator.log" >&2
  fi
  exit 1
}

##### Processes

# When a process began, in clock ticks since boot: with it, a process id names one process for good.
began() { sed 's/.*) //' "/proc/$1/stat" 2> /dev/null | cut -d ' ' -f 20; }

# start NAME COMMAND...: in a session of its own, so that Ctrl-C reaches this script alone, which then ends everything in order.
start() {
  local name=$1
  shift
  setsid "$@" > "$DIR/$name.out" 2> "$DIR/$name.log" < /dev/null 9>&- &
  echo "$name $! $(began $!)" >> "$PROCESSES"
}

is_running() { [[ -n $2 && $(began "$1") == "$2" ]]; }

check_running() {
  local name pid since
  while read -r name pid since; do
    is_running "$pid" "$since" || fail "the $name has ended: $(tail -n 1 "$DIR/$name.log")"
  done < "$PROCESSES"
}

down() {
  local name pid since
  if [[ -f $PROCESSES ]]; then
    while read -r name pid since; do
      is_running "$pid" "$since" && kill "$pid" 2> /dev/null || true
    done < "$PROCESSES"
    while read -r name pid since; do
      for _ in {1..300}; do is_running "$pid" "$since" || continue 2; sleep 0.1; done
      kill -KILL "$pid" 2> /dev/null || true
    done < "$PROCESSES"
    rm -f "$PROCESSES"
  fi
  [[ ! -d $CLUSTER ]] || "$BIN/tradewind-cluster" down --dir "$CLUSTER" > /dev/null
}

##### Questions

k() { "$CLUSTER/bin/kubectl" --namespace "$NAMESPACE" "$@"; }

# What a person would type; shown, then done.
shown() {
  say "\$ $*"
  "$@" | indented
}
kubectl() { k "$@"; }
tradewind() { "$BIN/tradewind" "$@"; }

ready='{.status.conditions[?(@.type=="Ready")].reason}'
reason() { k get connection "$1" --output "jsonpath=$ready"; }
message() { k get connection "$1" --output 'jsonpath={.status.conditions[?(@.type=="Ready")].message}'; }
external_id() { k get connection "$1" --output 'jsonpath={.status.externalId}'; }
reasons() { k get connections --output "jsonpath={range .items[*]}{.metadata.name} {.status.conditions[?(@.type==\"Ready\")].reason}, {end}"; }

provider() { curl --silent --show-error --fail --max-time 10 "$@"; }
# Whether Rutter itself still lists a connection.
lists() {
  provider --user "$LOGIN" --header 'X-Rutter-Version: 2024-08-31' "$SIMULATOR/versioned/connections?status=any" | grep --quiet "\"$1\""
}
# The simulator's statistics: a number, and the stores that are connected twice.
count() { provider "$SIMULATOR/_sim/stats" | grep --only-matching "\"$1\":[0-9]*" | cut -d : -f 2; }
duplicates() { provider "$SIMULATOR/_sim/stats" | grep --only-matching '"duplicates":{[^}]*}' | cut -d : -f 2-; }

# until_true SECONDS WHAT TEST...: tests again and again, and shows how the connections fare whenever that changes.
until_true() {
  local seconds=$1 what=$2 begin=$SECONDS last='' now
  shift 2
  until "$@"; do
    ((SECONDS - begin < seconds)) || fail "this did not happen in $seconds s: $what. The connections: $(reasons)"
    check_running
    now=$(reasons 2> /dev/null || true)
    [[ $now == "$last" || -z $now ]] || say "$(printf '%3d s  %s' $((SECONDS - begin)) "${now%, }")"
    last=$now
    sleep 0.3
  done
  say "$(printf '%3d s  %s' $((SECONDS - begin)) "$what")"
}
all_ready() { [[ -z $(k get connections --output "jsonpath={range .items[*]}{.status.conditions[?(@.type==\"Ready\")].status} {end}" | sed 's/True //g') ]]; }
says() { [[ $(reason "$1") == "$2" ]]; }
came_back() { [[ $(external_id "$1") != "$2" && $(reason "$1") == Succeeded ]]; }
answers() { provider --output /dev/null "$1" 2> /dev/null; }
is_listening() { [[ -s $DIR/simulator.out ]]; }

# Where the operator listens; it says so in its first line.
listening() { grep --only-matching --max-count 1 'listen=[0-9.:]*' "$DIR/operator.log" | cut -d = -f 2; }
is_ready() { [[ -n $(listening) ]] && answers "http://$(listening)/readyz"; }

##### The scenes

build() {
  local tool
  for tool in "$CARGO" curl flock setsid; do
    command -v "$tool" > /dev/null || fail "$tool is not installed"
  done
  step "Building the operator, the simulator and the control plane's starter"
  "$CARGO" build --locked --package tradewind --package tradewind-simulator --package tradewind-cluster
  mkdir -p "$DIR"
  # Held for as long as this script runs, by nobody else.
  exec 9> "$DIR/lock"
  if ! flock --nonblock 9; then
    echo "demo: another demo is running in $DIR" >&2
    exit 1
  fi
  down
  rm -f "$DIR"/*.out "$DIR"/*.log
}

bring_up() {
  umask 077
  step "Starting a Kubernetes control plane (built from source the first time, which takes minutes)"
  # With KUBEBUILDER_ASSETS it comes from there. A cluster that exists already is none for a demo.
  env --unset=TRADEWIND_KUBECONFIG "$BIN/tradewind-cluster" up --dir "$CLUSTER" 9>&- | sed -n 1p | indented
  k version --output yaml | sed -n 's/^ *gitVersion: /    kubectl and API server /p' | uniq

  step "Starting a simulated Rutter: no de-duplication, no idempotency, first sync in 3 s"
  start simulator "$BIN/tradewind-simulator" --initial-sync 3s --history 4s --sync-period 5s
  local tries
  for tries in {1..100}; do ! is_listening || break; sleep 0.1; done
  is_listening || fail "the simulator did not start: $(tail -n 1 "$DIR/simulator.log")"
  SIMULATOR=http://$(< "$DIR/simulator.out")
  say "$SIMULATOR"

  step "Installing the CRDs, and the operator's service account with the rights of config/rbac/role.yaml and no others"
  k apply --server-side --filename crds/ | indented
  k wait --for=condition=Established --timeout=60s --filename crds/ > /dev/null
  k create namespace "$NAMESPACE" | indented
  k create serviceaccount tradewind | indented
  k apply --filename config/rbac/role.yaml | indented
  k create rolebinding tradewind --role=tradewind --serviceaccount="$NAMESPACE:tradewind" | indented
  operator_kubeconfig

  step "Starting the operator"
  # Times are short, so that a loss is concluded in seconds; the defaults are made for real providers.
  KUBECONFIG=$DIR/operator.kubeconfig start operator "$BIN/tradewind" run --namespace "$NAMESPACE" \
    --allow-endpoint "$SIMULATOR" --listen 127.0.0.1:0 \
    --permit-life 2s --call-timeout 4s --list-lag 1s --poll 1s
  until_true 30 "its /readyz answers: all watches have begun" is_ready
}

# The operator's own kubeconfig: the control plane's address and a token of its service account.
operator_kubeconfig() {
  local file=$DIR/operator.kubeconfig user
  cp "$KUBECONFIG" "$file"
  user=$(k config view --kubeconfig "$file" --output 'jsonpath={.users[0].name}')
  k config --kubeconfig "$file" delete-user "$user" > /dev/null
  k config --kubeconfig "$file" set-credentials operator --token="$(k create token tradewind --duration=24h)" > /dev/null
  k config --kubeconfig "$file" set-context --current --user=operator > /dev/null
}

declare_all() {
  step "Applying examples/: the account points at the simulator, the connection that is only observed is named by its id"
  # Somebody else's connection, for the example that only observes.
  local foreign
  foreign=$(provider --header 'content-type: application/json' "$SIMULATOR/_sim/strangers" \
    --data '{"platform": "BIG_COMMERCE", "store_url": "store-acme3.mybigcommerce.com"}' \
    | sed 's/^{"id":"\([^"]*\)".*/\1/')
  k apply --filename examples/bigcommerce/secrets.yaml | indented
  k patch --local --filename examples/bigcommerce/account.yaml --type merge --output yaml \
    --patch "{\"spec\": {\"endpoint\": \"$SIMULATOR/versioned\"}}" | k apply --filename - | indented
  k apply --filename examples/bigcommerce/connection.yaml | indented
  k apply --filename examples/bigcommerce-recreate/ --filename examples/observe-only/secret.yaml | indented
  k patch --local --filename examples/observe-only/connection.yaml --type merge --output yaml \
    --patch "{\"spec\": {\"externalRef\": {\"id\": \"$foreign\"}}}" | k apply --filename - | indented

  step "Waiting until they are Ready"
  until_true 60 "all connections are Ready" all_ready
  shown kubectl get provideraccounts
  shown kubectl get connections
  say "The operator wrote what programs need into Secrets:"
  k get secret acme-outdoor-connection \
    --output go-template='{{.metadata.name}}:{{range $key, $value := .data}} {{$key}}{{end}}{{"\n"}}' | indented
}

lose_two() {
  step "Deleting two connections at the provider, behind the operator's back"
  local name before_outdoor before_garden
  before_outdoor=$(external_id acme-outdoor) before_garden=$(external_id acme-garden)
  for name in acme-outdoor acme-garden; do
    provider --output /dev/null --request DELETE "$SIMULATOR/_sim/connections/$(external_id "$name")"
    say "$name: $(external_id "$name") is gone"
  done
  say "The next drift check would see it (interval: 10m). Asking for one now:"
  for name in acme-outdoor acme-garden; do
    shown tradewind reconcile "$name" --namespace "$NAMESPACE" --no-wait
  done
  until_true 60 "acme-outdoor halts: its onExternalLoss is Halt" says acme-outdoor ExternalNotFound
  until_true 60 "acme-garden is back: its onExternalLoss is Recreate" came_back acme-garden "$before_garden"
  shown kubectl get connections
  say "acme-outdoor: $(message acme-outdoor)"
  say "acme-garden:  $before_garden is now $(external_id acme-garden)"
  [[ $(external_id acme-outdoor) == "$before_outdoor" ]] || fail "acme-outdoor was to keep its id"
}

delete_two() {
  step "Deleting two objects: one that the operator made, one that it only observes"
  local garden outlet
  garden=$(external_id acme-garden) outlet=$(external_id acme-outlet)
  lists "$garden" && lists "$outlet" || fail "the provider does not list both"
  shown kubectl delete connection acme-garden acme-outlet --timeout=60s
  ! lists "$garden" || fail "the provider still lists the connection of acme-garden"
  lists "$outlet" || fail "the provider no longer lists the connection that was only observed"
  say "at the provider: $garden is deleted with its object"
  say "                 $outlet was only observed, and stays"
}

sum_up() {
  step "What the provider saw"
  local creates duplicates requests leaks
  creates=$(count creates) duplicates=$(duplicates) requests=$(count requests)
  leaks=$(cat "$DIR"/operator.{out,log} | grep --count --fixed-strings -e test-client-secret -e test-store-token || true)
  say "creates:      $creates (acme-outdoor, acme-garden, acme-garden again)"
  say "duplicates:   $duplicates"
  say "requests:     $requests"
  say "credentials in the operator's log: $leaks"
  [[ $creates == 3 ]] || fail "3 creates were expected, not $creates"
  [[ $duplicates == '{}' ]] || fail "a store is connected twice: $duplicates"
  [[ $leaks == 0 ]] || fail "the operator logged a credential"
}

keep_going() {
  step "Everything is left running. Try it:"
  cat << END | indented
export KUBECONFIG=$KUBECONFIG
alias kubectl=$PWD/$CLUSTER/bin/kubectl
kubectl get connections -n $NAMESPACE --watch                     # and in another terminal:
kubectl apply -n $NAMESPACE -f examples/bigcommerce-recreate/
$BIN/tradewind status -n $NAMESPACE
curl -s $SIMULATOR/_sim/connections                 # what the provider has; simulator/src/admin.rs lists what else it can do
tail -f $DIR/operator.log
make demo-down                                                  # ends all of it
END
}

up() {
  local begin=$SECONDS
  trap 'exit 130' INT TERM HUP
  build
  trap 'down || true' EXIT
  local built=$SECONDS
  bring_up
  declare_all
  lose_two
  delete_two
  sum_up
  if [[ -n $KEEP ]]; then
    trap - EXIT
    keep_going
  else
    step "Cleaning up"
  fi
  step "Done: all of it happened as it should, in $((SECONDS - built)) s after $((built - begin)) s of building"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
