# shellcheck shell=bash
# What the shell of a document begins with: see stage.rs.
trap 'kill -KILL 0' EXIT

# A node without flags means the usual ports, which are others here.
export ROOMCAST_SERVER__LISTEN=127.0.0.1:8080 ROOMCAST_ADMIN__LISTEN=127.0.0.1:9090

# For hidden commands, which wait for what readers see happen.
until_it_does() {
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.1
  done
  echo "waited for a minute: $*" >&2
  return 1
}
# The node with this admin port takes clients.
ready() { until_it_does curl --fail "http://127.0.0.1:${1:-9090}/readyz"; }
# The room has so many members on a node.
joined() { until_it_does joined_now "$1" "${2:-1}" "${3:-9090}"; }
joined_now() { curl "http://127.0.0.1:$3/api/rooms?prefix=$1" | grep -q "\"members\":$2,\"room\":\"$1\""; }
answers() { until_it_does curl "$1"; }
# A terminal has shown a text.
shows() { until_it_does grep -q -e "$2" "$FOLDER/$1.out"; }
redis_is_up() { until_it_does redis-cli ping; }
# What runs in a terminal ends, as when its window is closed.
close_terminal() {
  local pid
  pid=$(cat "$FOLDER/$1.pid")
  # It may have ended by itself.
  pkill -KILL -P "$pid" || true
}
