package eventsource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// testLimit only bounds a failure.
const testLimit = 30 * time.Second

// run makes a stream on a server and gives its notices as they come.
func run(t *testing.T, handler http.HandlerFunc) (*Stream, <-chan Notice, context.CancelFunc) {
	t.Helper()
	server := httptest.NewServer(handler)
	ctx, cancel := context.WithCancel(context.Background())
	stream := NewStream(server.Client(), server.URL, http.Header{"X-Token": {"t"}}, "")
	notices := make(chan Notice)
	go func() {
		defer close(notices)
		stream.Run(ctx, func(notice Notice) bool {
			select {
			case notices <- notice:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		for range notices {
		}
		server.Close()
	})
	return stream, notices, cancel
}

func next(t *testing.T, notices <-chan Notice) Notice {
	t.Helper()
	select {
	case notice, ok := <-notices:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return notice
	case <-time.After(testLimit):
		t.Fatal("nothing happens")
	}
	return Notice{}
}

func begin(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_ = http.NewResponseController(w).Flush()
}

func send(w http.ResponseWriter, text string) {
	_, _ = fmt.Fprint(w, text)
	_ = http.NewResponseController(w).Flush()
}

func TestItComesBackWithTheLastID(t *testing.T) {
	var connections atomic.Int32
	_, notices, _ := run(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept") != "text/event-stream" || r.Header.Get("X-Token") != "t" {
			http.Error(w, "wrong headers", http.StatusBadRequest)
			return
		}
		begin(w)
		n := connections.Add(1)
		send(w, fmt.Sprintf("retry: 1\nid: %d\ndata: after %s\n\n", n, r.Header.Get("Last-Event-ID")))
	})
	for n := 1; n <= 3; n++ {
		last := ""
		if n > 1 {
			last = fmt.Sprint(n - 1)
		}
		opened := next(t, notices).Opened
		if opened == nil || opened.Attempt != n || opened.LastEventID != last {
			t.Fatalf("connection %d: %+v", n, opened)
		}
		want := []Event{{"message", "after " + last, fmt.Sprint(n)}}
		if events := next(t, notices).Events; !reflect.DeepEqual(events, want) {
			t.Fatalf("%v, want %v", events, want)
		}
		if lost := next(t, notices); lost.Lost == nil || lost.Closed {
			t.Fatalf("%+v", lost)
		}
	}
}

func TestItGivesUpWhereTheStandardSaysSo(t *testing.T) {
	refusals := map[string]http.HandlerFunc{
		"503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = fmt.Fprint(w, "data: a\n\n")
		},
	}
	for name, handler := range refusals {
		_, notices, _ := run(t, handler)
		if lost := next(t, notices); lost.Lost == nil || !lost.Closed {
			t.Errorf("%s: %+v", name, lost)
		}
		if notice, more := <-notices; more {
			t.Errorf("%s: it goes on: %+v", name, notice)
		}
	}
}

func TestACutIsNotTheEnd(t *testing.T) {
	stream, notices, _ := run(t, func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		send(w, "retry: 1\nid: 7\ndata: a\n\n")
		<-r.Context().Done()
	})
	for n := 1; n <= 3; n++ {
		if opened := next(t, notices).Opened; opened == nil || opened.Attempt != n {
			t.Fatalf("%+v", opened)
		}
		next(t, notices)
		stream.Cut()
		if lost := next(t, notices); !errors.Is(lost.Lost, errCut) || lost.Closed {
			t.Fatalf("%+v", lost)
		}
	}
}

func TestAPausedStreamHoldsItsServerBack(t *testing.T) {
	// More than sockets hold, and less than a reader takes in the time that a write may last.
	const megabytes = 64
	paused := make(chan struct{})
	heldBack := make(chan bool, 1)
	stream, notices, _ := run(t, func(w http.ResponseWriter, _ *http.Request) {
		begin(w)
		send(w, "data: first\n\n")
		<-paused
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(2 * time.Second))
		event := []byte("data: " + strings.Repeat("x", 1<<20) + "\n\n")
		for range megabytes {
			if _, err := w.Write(event); err != nil {
				heldBack <- true
				return
			}
		}
		heldBack <- false
	})
	next(t, notices)
	if events := next(t, notices).Events; len(events) != 1 {
		t.Fatalf("%v", events)
	}
	stream.Pause()
	close(paused)
	if !<-heldBack {
		t.Fatal("the stream was read while it was paused")
	}
	stream.Resume()
	if events := next(t, notices).Events; len(events) != 1 || len(events[0].Data) != 1<<20 {
		t.Fatalf("%d events", len(events))
	}
}

func TestAnEndedContextEndsEverything(t *testing.T) {
	ended := make(chan struct{})
	_, notices, cancel := run(t, func(w http.ResponseWriter, r *http.Request) {
		begin(w)
		<-r.Context().Done()
		close(ended)
	})
	next(t, notices)
	cancel()
	for name, channel := range map[string]func() bool{
		"the connection": func() bool { <-ended; return true },
		"the stream":     func() bool { _, more := <-notices; return !more },
	} {
		if !channel() {
			t.Errorf("%s goes on", name)
		}
	}
}

func TestWaitsGrowToABound(t *testing.T) {
	stream := NewStream(http.DefaultClient, "http://127.0.0.1/", nil, "")
	for failures, want := range map[int]time.Duration{0: 2, 1: 2, 2: 4, 3: 8, 4: 16, 100: 16} {
		stream.failures = failures
		if delay := stream.delay(); delay != want*time.Second {
			t.Errorf("after %d failures %v", failures, delay)
		}
	}
}
