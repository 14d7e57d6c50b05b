"""Gives out tokens, in place of your own sign-in, and sends notifications to one user. Run it with REDIS_URL, JWT_SECRET and PORT."""

import base64, hashlib, hmac, json, os, re, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import redis

db = redis.Redis.from_url(os.environ["REDIS_URL"])


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user):
    """Grants nothing: a user's own room, @user, needs no grant, and is nobody else's. Good for a minute."""
    claims = {"sub": user, "exp": int(time.time()) + 60, "rooms": {}}
    message = encode(b'{"alg":"HS256","typ":"JWT"}') + "." + encode(json.dumps(claims).encode())
    return message + "." + encode(hmac.new(os.environb[b"JWT_SECRET"], message.encode(), hashlib.sha256).digest())


def notify(user, text, key):
    """The same key again publishes nothing: whoever had no answer may repeat it."""
    data = json.dumps({"text": text, "time": time.time()})
    db.fcall("roomcast_publish", 1, f"room:@{user}", data, "EVENT", "notification", "KEY", key, "TYPE", "json")


class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        url, body = urlsplit(self.path), self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        user = parse_qs(url.query).get("name", [""])[0]
        if not re.fullmatch(r"[\w.-]{1,30}", user, re.ASCII) or len(body) > 2000:
            return self.send_error(400)
        answer = token(user) if url.path == "/api/token" else notify(user, body, self.headers.get("Idempotency-Key", ""))
        self.send_response(200)
        self.end_headers()
        self.wfile.write((answer or "sent").encode())


ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
