"""Publishes what Redis does, twice a second. Run it with REDIS_URL."""

import itertools
import json
import os
import time

import redis

db = redis.Redis.from_url(os.environ["REDIS_URL"])


def sample(number):
    info = db.info()
    return {
        "number": number,
        "commands": info["instantaneous_ops_per_sec"],
        "memory": round(info["used_memory"] / 1e6, 2),
        "clients": info["connected_clients"],
        "load": round(os.getloadavg()[0], 2),
    }


for number in itertools.count():
    db.fcall("roomcast_publish", 1, "room:dashboard:redis", json.dumps(sample(number)), "TYPE", "json")
    time.sleep(0.5)
