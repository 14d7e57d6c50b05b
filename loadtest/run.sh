#!/usr/bin/env bash
# Runs one load test: against URL where that is set, else against a cluster of its own on this machine (Redis,
# three nodes, haproxy). loadtest/README.md says what can be set.
#   loadtest/run.sh SCRIPT [options of k6 run…]
#   KILL=1 loadtest/run.sh reconnect-wave: one node of that cluster is killed in the middle
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
script=${1:-}
if [ -z "$script" ] || [ ! -f "$root/loadtest/$script.js" ]; then
  echo "usage: loadtest/run.sh SCRIPT [options of k6 run…]; scripts:" >&2
  find "$root/loadtest" -maxdepth 1 -name '*.js' -exec basename {} .js \; | sort >&2
  exit 2
fi
shift

# How long the cluster may take to build and to start, in seconds.
START_SECONDS=1800
# When a node is killed: after the clients have come.
KILL_AFTER_SECONDS=${KILL_AFTER_SECONDS:-15}

state=
cluster=
killer=
k6=

cleanup() {
  if [ -n "$k6" ]; then kill "$k6" 2>/dev/null || true; fi
  if [ -n "$killer" ]; then kill "$killer" 2>/dev/null || true; fi
  if [ -n "$cluster" ]; then
    kill -TERM "$cluster" 2>/dev/null || true
    wait "$cluster" || true
  fi
  if [ -n "$state" ]; then rm -rf "$state"; fi
}
trap cleanup EXIT
trap 'exit 143' INT TERM

start_cluster() {
  state=$(mktemp -d)
  (cd "$root" && exec cargo xtask cluster --state "$state/cluster") >"$state/log" 2>&1 &
  cluster=$!
  local waited=0
  until [ -f "$state/cluster" ]; do
    if ! kill -0 "$cluster" 2>/dev/null || [ "$waited" -ge "$START_SECONDS" ]; then
      cat "$state/log" >&2
      echo "the cluster does not start" >&2
      exit 1
    fi
    sleep 1
    waited=$((waited + 1))
  done
  read_cluster
}

# URL, ADMIN_URLS, NODE_PIDS, REDIS_URL, PROMETHEUS_URL
read_cluster() {
  set -a
  # shellcheck source=/dev/null
  . "$state/cluster"
  set +a
}

kill_a_node() {
  sleep "$KILL_AFTER_SECONDS"
  read_cluster
  echo "node ${NODE_PIDS%%,*} is killed" >&2
  kill -KILL "${NODE_PIDS%%,*}"
}

# Until k6 has ended. Without its cluster it would only wait for that to come back.
follow() {
  if [ -z "$cluster" ]; then
    wait "$k6"
    return
  fi
  local status=0
  wait -n "$k6" "$cluster" || status=$?
  if kill -0 "$k6" 2>/dev/null; then
    cat "$state/log" >&2
    echo "the cluster has ended while k6 was running" >&2
    return 1
  fi
  if [ "$status" -ne 0 ]; then cat "$state/log" >&2; fi
  return "$status"
}

if [ -z "${K6:-}" ]; then
  K6=$(cd "$root" && cargo xtask tools k6)
fi
if [ -z "${URL:-}" ]; then
  start_cluster
  if [ -n "${KILL:-}" ]; then
    export WAVE=observe
    kill_a_node &
    killer=$!
  fi
elif [ -n "${KILL:-}" ]; then
  echo "KILL=1 is for the cluster that this script starts; with URL, end a node yourself and set WAVE=observe" >&2
  exit 2
fi

# What the dashboard of load tests shows of k6.
if [ -n "${PROMETHEUS_URL:-}" ]; then
  export K6_OUT=experimental-prometheus-rw
  export K6_PROMETHEUS_RW_SERVER_URL="$PROMETHEUS_URL/api/v1/write"
  export K6_PROMETHEUS_RW_TREND_STATS='p(50),p(95),p(99),max'
fi
# A k6 without the extension says so, instead of asking a service on the internet for one that has it.
export K6_AUTO_EXTENSION_RESOLUTION=false
# A connection takes a descriptor.
ulimit -n "$(ulimit -Hn)"
export SUMMARY_DIR=${SUMMARY_DIR:-$root/target/loadtest}
mkdir -p "$SUMMARY_DIR"
"$K6" run --quiet --no-usage-report "$@" "$root/loadtest/$script.js" &
k6=$!
follow
