"""A pump that reports twice a second and asks for its commands each time, as a device does that sleeps in between. Both go
through Redis: a command stays in the history of its room until the pump comes for it. Run it with REDIS_URL."""

import itertools
import json
import os
import random
import time

import redis

db = redis.Redis.from_url(os.environ["REDIS_URL"])
speed, temperature = 900, 40.0


def say(event, data):
    db.fcall("roomcast_publish", 1, "room:telemetry:pump", json.dumps(data), "EVENT", event, "TYPE", "json")


def commands(after, limit=100):
    return db.fcall_ro("roomcast_history", 1, "room:commands:pump", after, limit)


# What was said before it was switched on is not for it.
done = ([b""] + [entry[0] for entry in commands("", 1)])[-1]
for number in itertools.count():
    for done, _, payload in commands(done):
        try:
            speed = max(0, min(3000, int(json.loads(payload)["speed"])))
            answer = {"command": done.decode(), "text": f"runs at {speed}"}
        except Exception:  # Anybody may have sent anything.
            answer = {"command": done.decode(), "text": "does not understand"}
        say("answer", answer)
    temperature += (20 + speed / 50 - temperature) / 20 + random.uniform(-0.2, 0.2)
    say("report", {"number": number, "speed": speed, "temperature": round(temperature, 1)})
    time.sleep(0.5)
