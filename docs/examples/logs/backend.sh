#!/bin/sh
# What is appended to a file goes to the room, line by line. Run it with REDIS_URL and LOG_FILE.
set -eu

# In history, so that a page that was away for a moment misses nothing. TYPE: a line that looks like JSON stays a text.
# A payload has to be UTF-8 to be a text; iconv drops what is not.
tail -n 0 -F "$LOG_FILE" | while IFS= read -r line; do
  text=$(printf %s "$line" | iconv -c -f UTF-8 -t UTF-8)
  redis-cli -u "$REDIS_URL" -e FCALL roomcast_publish 1 room:logs:web "$text" TYPE text >/dev/null ||
    echo "Redis does not take: $text" >&2
done
