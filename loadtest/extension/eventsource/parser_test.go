package eventsource

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const testBytesMax = 1000

func message(data string) Event { return Event{Type: "message", Data: data} }

// parse feeds a stream in chunks of n bytes.
func parse(t *testing.T, stream string, n int) ([]Event, *Parser) {
	t.Helper()
	parser := NewParser("", testBytesMax)
	var events []Event
	for len(stream) > 0 {
		size := min(n, len(stream))
		var err error
		if events, err = parser.Feed([]byte(stream[:size]), events); err != nil {
			t.Fatal(err)
		}
		stream = stream[size:]
	}
	return events, parser
}

func TestStreams(t *testing.T) {
	cases := []struct {
		name   string
		stream string
		events []Event
	}{
		{"the standard's stock ticker", "data: YHOO\ndata: +2\ndata: 10\n\n", []Event{message("YHOO\n+2\n10")}},
		{
			"the standard's comments and ids",
			": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
			[]Event{{"message", "first event", "1"}, message("second event"), message(" third event")},
		},
		{"the standard's empty data", "data\n\ndata\ndata\n\ndata:", []Event{message(""), message("\n")}},
		{"the standard's optional space", "data:test\n\ndata: test\n\n", []Event{message("test"), message("test")}},
		{"named events", "event: add\ndata: 7\n\ndata: 8\n\n", []Event{{"add", "7", ""}, message("8")}},
		{"an event without data is none", "event: add\n\ndata: 8\n\n", []Event{message("8")}},
		{"CR", "data: a\rdata: b\r\rdata: c\r\r", []Event{message("a\nb"), message("c")}},
		{"CRLF", "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", []Event{message("a\nb"), message("c")}},
		{"all line ends together", "data: a\r\ndata: b\ndata: c\r\n\rdata: d\n\r\n", []Event{message("a\nb\nc"), message("d")}},
		{"a byte order mark", "\uFEFFdata: a\n\n", []Event{message("a")}},
		{"a second mark is part of a name", "\uFEFF\uFEFFdata: a\n\ndata: b\n\n", []Event{message("b")}},
		{"a mark that is none", "\xEF\xBBdata: a\n\ndata: b\n\n", []Event{message("b")}},
		{"an id with NUL is ignored", "id: 1\ndata: a\n\nid: 2\x003\ndata: b\n\n", []Event{{"message", "a", "1"}, {"message", "b", "1"}}},
		{"an id stays until the next", "id: 1\ndata: a\n\ndata: b\n\n", []Event{{"message", "a", "1"}, {"message", "b", "1"}}},
		{"unknown fields", "foo: bar\ndata: a\nDATA: b\n data: c\n\n", []Event{message("a")}},
		{"colons in values", "data: a: b:c\n\n", []Event{message("a: b:c")}},
		{"NUL in data stays", "data: a\x00b\n\n", []Event{message("a\x00b")}},
		{"bytes that are not UTF-8", "data: a\xFFb\n\n", []Event{message("a\uFFFDb")}},
		{"what is not ended is dropped", "data: a\n\ndata: b\n", []Event{message("a")}},
		{"nothing", "", nil},
	}
	for _, c := range cases {
		// The pieces in which it comes make no difference.
		for _, n := range []int{1, 2, 3, 7, 1000} {
			if events, _ := parse(t, c.stream, n); !reflect.DeepEqual(events, c.events) {
				t.Errorf("%s, %d bytes at a time: %q, want %q", c.name, n, events, c.events)
			}
		}
	}
}

func TestRetry(t *testing.T) {
	cases := map[string]struct {
		retry time.Duration
		has   bool
	}{
		"retry: 2000\n":                   {2 * time.Second, true},
		"retry:0\n":                       {0, true},
		"retry: 2000\nretry: soon\n":      {2 * time.Second, true},
		"retry: -1\n":                     {},
		"retry: 1e3\n":                    {},
		"retry\n":                         {},
		"retry: ٣\n":                      {},
		"retry: 99999999999999999999999":  {},
		"retry: 9999999999999999999999\n": {retryMax, true},
	}
	for stream, want := range cases {
		_, parser := parse(t, stream, 5)
		if retry, has := parser.Retry(); retry != want.retry || has != want.has {
			t.Errorf("%q: %v %v, want %v %v", stream, retry, has, want.retry, want.has)
		}
	}
}

func TestAnIDCountsWhenItsEventEnds(t *testing.T) {
	_, parser := parse(t, "id: 1\ndata: a\n\nid: 2\ndata: b\n", 100)
	if id := parser.LastEventID(); id != "1" {
		t.Errorf("%q", id)
	}
	// Also where it has no data.
	_, parser = parse(t, "id: 1\n\n", 100)
	if id := parser.LastEventID(); id != "1" {
		t.Errorf("%q", id)
	}
}

func TestAnIDOutlivesItsConnection(t *testing.T) {
	events, err := NewParser("41", testBytesMax).Feed([]byte("data: a\n\n"), nil)
	if want := []Event{{"message", "a", "41"}}; err != nil || !reflect.DeepEqual(events, want) {
		t.Errorf("%v %v", events, err)
	}
}

func TestNothingGrowsWithoutBound(t *testing.T) {
	endless := map[string]string{
		"a line":   strings.Repeat("x", testBytesMax+1),
		"an event": strings.Repeat("data: 0123456789\n", testBytesMax/10),
	}
	for name, stream := range endless {
		if _, err := NewParser("", testBytesMax).Feed([]byte(stream), nil); err == nil {
			t.Errorf("%s is not bounded", name)
		}
	}
}
