#!/usr/bin/env bash
# `make demo`: a Kubernetes control plane, simulated providers and the operator on this machine, and what becomes of examples/ there.
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
# The simulator's own logins, which open nothing else; the Secrets in examples/ have the same.
readonly LOGIN=test-client-id:test-client-secret TOKEN='1|test-sku-io-token'
# The links that were handed out.
LINKS=()

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
  "$@" 2>&1 | indented
}
kubectl() { k "$@"; }
tradewind() { "$BIN/tradewind" "$@"; }

ready='{.status.conditions[?(@.type=="Ready")]'
# Objects are named as kubectl does: connection/acme, ii/acme.
reason() { k get "$1" --output "jsonpath=$ready.reason}"; }
message() { k get "$1" --output "jsonpath=$ready.message}"; }
external_id() { k get "$1" --output 'jsonpath={.status.externalId}'; }
last_action() { k get "$1" --output 'jsonpath={.status.lastAction.cause} {.status.lastAction.fields[*]}'; }
# A line for each object: its name (an instance as ii/NAME), the status of Ready, and why.
states() {
  k get connections,integrationinstances \
    --output "jsonpath={range .items[*]}{.kind}/{.metadata.name} $ready.status} $ready.reason}{\"\\n\"}{end}" \
    | sed -e 's|^Connection/||' -e 's|^IntegrationInstance/|ii/|'
}
# The same in a line: how many are Ready, and what the others say.
progress() {
  states | awk '
    { all++ }
    $2 == "True" { ready++; next }
    { if (!($3 in names)) order[++kinds] = $3; names[$3] = names[$3] (names[$3] ? ", " : "") $1 }
    END { printf "%d of %d are Ready", ready, all; for (i = 1; i <= kinds; i++) printf "; %s: %s", order[i], names[order[i]] }'
}

provider() { curl --silent --show-error --fail --max-time 10 "$@"; }
# Whether Rutter itself still lists a connection.
lists() {
  provider --user "$LOGIN" --header 'X-Rutter-Version: 2024-08-31' "$SIMULATOR/versioned/connections?status=any" | grep --quiet "\"$1\""
}
# A field of an instance, as SKU.io itself tells it.
at_sku() {
  provider --header "authorization: Bearer $TOKEN" --header 'accept: application/json' "$SIMULATOR/api/big-commerce/$1" \
    | grep --only-matching "\"$2\":[^,}]*" | cut -d : -f 2
}
# Somebody else makes an instance in SKU.io's user interface; its id.
make_instance() {
  provider --header 'content-type: application/json' "$SIMULATOR/_sim/sku-io/deeds" \
    --data "{\"deed\": \"make\", \"name\": \"$1\", \"store_hash\": \"$2\"}" | sed 's/^{"id":\([0-9]*\).*/\1/'
}
# What somebody does in Arcus' own pages.
in_arcus() {
  provider --output /dev/null --header 'content-type: application/json' "$SIMULATOR/_sim/arcus/deeds" \
    --data "{\"connector\": \"$1\", \"deed\": \"$2\"}"
}
# A merchant opens a link, fills the page in, and presses a button; what the page says then.
follow() {
  local link=$1 button=$2
  shift 2
  provider "$link" | grep --quiet "id=\"$button\"" || fail "the page of the link has no button $button"
  provider --data-urlencode "answer=$button" "$@" "$link" | sed -n 's|.*<p id="done">\(.*\)</p>.*|\1|p'
}
# The simulator's statistics: a number, and the stores that are connected twice.
count() { provider "$SIMULATOR/_sim/stats" | grep --only-matching "\"$1\":[0-9]*" | cut -d : -f 2; }
duplicates() { provider "$SIMULATOR/_sim/stats" | grep --only-matching '"duplicates":{[^}]*}' | cut -d : -f 2-; }

# until_true SECONDS WHAT TEST...: tests again and again, and shows how all objects fare whenever that changes.
until_true() {
  local seconds=$1 what=$2 begin=$SECONDS last='' now
  shift 2
  until "$@"; do
    ((SECONDS - begin < seconds)) || fail "this did not happen in $seconds s: $what. $(progress)"
    check_running
    now=$(progress 2> /dev/null || true)
    # Where all is well there is no news but what is waited for.
    [[ $now == "$last" || $now != *';'* ]] || say "$(printf '%3d s  %s' $((SECONDS - begin)) "$now")"
    last=$now
    sleep 0.3
  done
  say "$(printf '%3d s  %s' $((SECONDS - begin)) "$what")"
}
all_ready() { ! states | grep --quiet --invert-match ' True '; }
is_true() { [[ $(k get "$1" --output "jsonpath={.status.conditions[?(@.type==\"$2\")].status}") == True ]]; }
says() { [[ $(reason "$1") == "$2" ]]; }
all_say() {
  local reason=$1 object
  shift
  for object in "$@"; do says "$object" "$reason" || return 1; done
}
came_back() { [[ $(external_id "$1") != "$2" && $(reason "$1") == Succeeded ]]; }
# An instance was changed at the provider, and everybody was told.
was_updated() {
  k get events --field-selector "involvedObject.name=$1" --output 'jsonpath={range .items[*]}{.reason} {.message}{"\n"}{end}' \
    | grep --quiet --extended-regexp "^(Updating|DriftCorrected|RotatedAndVerified) .*$2"
}
all_as_declared() { all_ready && was_updated acme-music spec.name; }
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

  step "Starting a simulated Rutter, SKU.io and Arcus ERP: no de-duplication, first sync in 3 s"
  # The operator looks more often here than Arcus lets anybody look.
  start simulator "$BIN/tradewind-simulator" --initial-sync 3s --history 4s --sync-period 5s --arcus-no-rate-limit
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

# Applies what the file or folder holds, as it is, and names it in a line.
apply() { k apply --server-side --filename "$1" --output name | named "$1"; }
# The same for a file with one object, with a change to it.
apply_changed() { k patch --local --filename "$1" --type merge --patch "$2" --output yaml | k apply --server-side --filename - --output name | named "$1"; }
named() { sed 's/\.tradewind\.dev//' | paste --serial --delimiters ' ' | sed "s|^|    ${1%/}: |"; }

declare_all() {
  step "Applying examples/, with the simulator as endpoint of the accounts; three records are there already, made by somebody else"
  provider --output /dev/null --header 'content-type: application/json' "$SIMULATOR/_sim/strangers" \
    --data '{"platform": "BIG_COMMERCE", "store_url": "store-acme3.mybigcommerce.com"}'
  local music
  make_instance acme-books-bc acme8 > /dev/null
  music=$(make_instance 'Acme Music' acme9)
  apply examples/bigcommerce/secrets.yaml
  apply_changed examples/bigcommerce/account.yaml "{\"spec\": {\"endpoint\": \"$SIMULATOR/versioned\"}}"
  apply examples/bigcommerce/connection.yaml
  apply examples/woocommerce/
  apply examples/shopify-private/
  apply examples/bigcommerce-recreate/
  apply examples/observe-only/
  apply examples/refresh/
  apply examples/sku-io/secrets.yaml
  apply_changed examples/sku-io/account.yaml "{\"spec\": {\"endpoint\": \"$SIMULATOR\"}}"
  apply examples/sku-io/instance.yaml
  apply examples/shared-secret/
  apply examples/adoption/secret.yaml
  apply examples/adoption/by-name.yaml
  apply_changed examples/adoption/by-id.yaml "{\"spec\": {\"externalRef\": {\"id\": \"$music\"}}}"

  step "Waiting until all are Ready"
  until_true 60 "all are Ready" all_as_declared
  shown kubectl get provideraccounts
  shown kubectl get connections
  shown kubectl get integrationinstances
  say "The operator wrote what programs need into Secrets:"
  k get secret acme-outdoor-connection \
    --output go-template='{{.metadata.name}}:{{range $key, $value := .data}} {{$key}}{{end}}{{"\n"}}' | indented
  say "Adopted: acme-books as it was, by its name; acme-music by its id, and put right: $(last_action ii/acme-music)"
}

hand_over() {
  step "Connecting what needs a person: credentials that only Arcus takes, a store in Arcus, and a store through Rutter Link"
  local waiting=(connection/acme-labels connection/acme-boutique connection/acme-market) name link
  apply examples/arcus/secret.yaml
  apply_changed examples/arcus/account.yaml "{\"spec\": {\"endpoint\": \"$SIMULATOR/v1\"}}"
  apply examples/arcus/connector.yaml
  apply examples/arcus-shopify/
  apply examples/link/
  until_true 60 "all three wait for a person" all_say AuthorizationRequired "${waiting[@]}"
  shown kubectl get "${waiting[@]}"
  say "acme-labels: $(message connection/acme-labels)"
  in_arcus shippo enter_credentials
  say "somebody enters them in Arcus"
  for name in acme-boutique acme-market; do
    shown tradewind authorize "$name" --namespace "$NAMESPACE" --wait
    link=$(tradewind authorize "$name" --namespace "$NAMESPACE" 2> /dev/null)
    LINKS+=("$link")
    case $name in
      acme-boutique) say "the merchant opens it and approves: $(follow "$link" approve)" ;;
      acme-market)
        say "the merchant opens it, chooses Shopify, and logs in:" \
          "$(follow "$link" connect --data-urlencode platform=SHOPIFY --data-urlencode store=acme-market.myshopify.com)"
        ;;
    esac
  done
  until_true 60 "all three are Ready" all_say Succeeded "${waiting[@]}"
  shown kubectl get "${waiting[@]}"
}

refresh_one() {
  step "Asking for the orders of a store to be loaded again"
  until_true 60 "the first load of acme-toys is complete" is_true connection/acme-toys InitialRefreshComplete
  shown tradewind refresh acme-toys --orders --namespace "$NAMESPACE"
}

change_one() {
  step "Changing two settings in SKU.io's user interface: the store, which is declared, and a nominal code, which is not"
  local id
  id=$(external_id ii/acme-camping)
  provider --output /dev/null --header 'content-type: application/json' "$SIMULATOR/_sim/sku-io/deeds" \
    --data "{\"deed\": \"change\", \"instance\": $id, \"fields\": {\"integration_settings\": {\"store_id\": 9, \"sales_nominal_code_id\": 3}}}"
  say "at the provider: store_id is $(at_sku "$id" store_id), sales_nominal_code_id is $(at_sku "$id" sales_nominal_code_id)"
  say "The next drift check would see it (interval: 10m). Asking for one now:"
  shown tradewind reconcile ii/acme-camping --namespace "$NAMESPACE" --no-wait
  until_true 60 "the store is as declared" was_updated acme-camping spec.settings.storeId
  [[ $(at_sku "$id" store_id) == 1 && $(at_sku "$id" sales_nominal_code_id) == 3 ]] || fail "SKU.io does not show what was declared, or too much was changed"
  say "at the provider: store_id is $(at_sku "$id" store_id), sales_nominal_code_id is $(at_sku "$id" sales_nominal_code_id): nobody manages it"
  shown kubectl get events --field-selector involvedObject.name=acme-camping,reason=DriftCorrected --output custom-columns=REASON:.reason,MESSAGE:.message
}

lose_two() {
  step "Deleting two connections at the provider, behind the operator's back"
  local name before_outdoor before_garden
  before_outdoor=$(external_id connection/acme-outdoor) before_garden=$(external_id connection/acme-garden)
  for name in acme-outdoor acme-garden; do
    provider --output /dev/null --request DELETE "$SIMULATOR/_sim/connections/$(external_id "connection/$name")"
    say "$name: $(external_id "connection/$name") is gone"
    shown tradewind reconcile "$name" --namespace "$NAMESPACE" --no-wait
  done
  until_true 60 "acme-outdoor halts: its onExternalLoss is Halt" says connection/acme-outdoor ExternalNotFound
  until_true 60 "acme-garden is back: its onExternalLoss is Recreate" came_back connection/acme-garden "$before_garden"
  say "acme-outdoor: $(message connection/acme-outdoor)"
  say "acme-garden:  $before_garden is now $(external_id connection/acme-garden)"
  [[ $(external_id connection/acme-outdoor) == "$before_outdoor" ]] || fail "acme-outdoor was to keep its id"
}

delete_all() {
  step "Deleting all objects"
  local garden outlet books music
  garden=$(external_id connection/acme-garden) outlet=$(external_id connection/acme-outlet)
  books=$(external_id ii/acme-books) music=$(external_id ii/acme-music)
  lists "$garden" && lists "$outlet" || fail "the provider does not list both"
  shown kubectl delete connections,integrationinstances --all --timeout=60s
  shown kubectl delete provideraccounts --all --timeout=60s
  ! lists "$garden" || fail "the provider still lists the connection of acme-garden"
  lists "$outlet" || fail "the provider no longer lists the connection that was only observed"
  at_sku "$books" id > /dev/null && at_sku "$music" id > /dev/null || fail "an adopted instance is gone that was to be retained"
  say "left at the providers: the connection that was only observed, and two adopted instances (deletionPolicy: Retain)"
}

sum_up() {
  step "What the providers saw"
  local creates duplicates requests leaks live records=()
  records=("$SIMULATOR/_sim/connections" "$SIMULATOR/_sim/sku-io/instances" "$SIMULATOR/_sim/arcus/connectors")
  creates=$(count creates) duplicates=$(duplicates) requests=$(count requests)
  live=$(provider "${records[@]}" | grep --only-matching '"deleted_at":null' | wc -l)
  leaks=$(cat "$DIR"/operator.{out,log} | grep --count --fixed-strings -e test-client-secret -e test-sku-io-token -e test-store-token \
    -e not-a-secret "${LINKS[@]/#/--regexp=}" || true)
  say "creates:      $creates (seven connections, acme-garden again, two instances, and two connectors)"
  say "duplicates:   $duplicates"
  say "live records: $live (those that were there before)"
  say "requests:     $requests"
  say "credentials and links in the operator's log: $leaks"
  [[ $creates == 12 ]] || fail "12 creates were expected, not $creates"
  [[ $duplicates == '{}' ]] || fail "a store is connected twice: $duplicates"
  [[ $live == 3 ]] || fail "3 live records were expected, not $live"
  [[ $leaks == 0 ]] || fail "the operator logged a credential"
}

keep_going() {
  step "Everything is left running. Try it:"
  cat << END | indented
export KUBECONFIG=$KUBECONFIG
alias kubectl=$PWD/$CLUSTER/bin/kubectl tradewind=$PWD/$BIN/tradewind
kubectl get connections -n $NAMESPACE --watch                         # and in another terminal:
tradewind status -n $NAMESPACE
tradewind refresh acme-toys -n $NAMESPACE
curl -s $SIMULATOR/_sim/connections                   # what Rutter has; simulator/src/admin.rs lists what else it can do
curl -s $SIMULATOR/_sim/sku-io/instances              # what SKU.io has
curl -s $SIMULATOR/_sim/arcus/connectors              # what Arcus has
tail -f $DIR/operator.log
make demo-down                                                        # ends all of it
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
  hand_over
  refresh_one
  change_one
  lose_two
  if [[ -n $KEEP ]]; then
    trap - EXIT
    keep_going
  else
    delete_all
    sum_up
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
