#!/bin/sh
# Orders of a shop: every second a new one comes in, and those before it go on by a step. Run it with REDIS_URL.
set -eu

# say NUMBER STATUS. The key makes it safe to say it again: a step is not taken twice.
say() {
  redis-cli -u "$REDIS_URL" -e FCALL roomcast_publish 1 room:orders:shop "{\"order\":$1,\"status\":\"$2\"}" \
    EVENT order KEY "order-$1-$2" TYPE json >/dev/null || echo "order $1 is $2, but Redis does not take it" >&2
}

first=$(($(date +%s) % 100000))
order=$first
while true; do
  say "$order" received
  [ $((order - 1)) -lt "$first" ] || say $((order - 1)) paid
  [ $((order - 2)) -lt "$first" ] || say $((order - 2)) packed
  [ $((order - 3)) -lt "$first" ] || say $((order - 3)) shipped
  [ $((order - 4)) -lt "$first" ] || say $((order - 4)) delivered
  order=$((order + 1))
  sleep 1
done
