package eventsource

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"sync"
	"time"
)

const (
	// readBytes is read at once. A stream holds one such buffer, and the events of one read.
	readBytes = 4096
	// eventBytesMax bounds a line and an event. The largest message that a gateway carries by default
	// has 64 KiB; in JSON and base64 it is not twice as long.
	eventBytesMax = 4 << 20
	// retryDefault is the reconnection time until a stream names its own; browsers have two or three seconds.
	retryDefault = 2 * time.Second
	// retryDoublings bounds the wait after attempts that fail one after the other: 2 s become 16 s.
	retryDoublings = 3
	// headersTimeout is for the answer's head. Browsers wait for minutes; a load test wants to know.
	headersTimeout = 30 * time.Second
)

// Notice is what happens on a stream.
type Notice struct {
	// Opened is set where a connection stands.
	Opened *Opened
	// Events have been read, in this order.
	Events []Event
	// Lost is set where the connection, or an attempt to have one, has failed.
	Lost error
	// Closed says that there will be no other attempt.
	Closed bool
}

// Opened describes a new connection.
type Opened struct {
	// Attempt counts from 1, for the first connection of the stream.
	Attempt int
	// Took is the time from the beginning of the attempt to the head of the answer.
	Took time.Duration
	// LastEventID is what was sent as Last-Event-ID.
	LastEventID string
}

// errCut is why a connection ends when the script asks for it.
var errCut = errors.New("cut by the script")

// refusal is an answer after which an EventSource gives up for good (HTML standard, section 9.2.3).
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

// Stream is an EventSource without the script's side: it connects, reads, and comes back.
type Stream struct {
	client *http.Client
	url    string
	header http.Header

	lastEventID string
	retry       time.Duration
	attempt     int
	failures    int

	control control
}

// control is what the script may do to a stream at any time.
type control struct {
	mutex sync.Mutex
	// cut ends the connection that stands, if one does.
	cut context.CancelCauseFunc
	// paused is closed when reading may go on; nil while nothing is paused.
	paused chan struct{}
}

// NewStream makes a stream that is run by Run.
func NewStream(client *http.Client, url string, header http.Header, lastEventID string) *Stream {
	return &Stream{client: client, url: url, header: header, lastEventID: lastEventID, retry: retryDefault}
}

// Run connects and reads until the context ends or an answer says that there is no use in trying on.
// Each notice is handed over before anything more is read, so that whoever is slow holds the stream
// back, and not memory. It ends when notify says no.
func (s *Stream) Run(ctx context.Context, notify func(Notice) bool) {
	for {
		err := s.connect(ctx, notify)
		if ctx.Err() != nil {
			return
		}
		closed := errors.As(err, &refusal{})
		if !notify(Notice{Lost: err, Closed: closed}) || closed {
			return
		}
		if !sleep(ctx, s.delay()) {
			return
		}
	}
}

// Cut ends the connection as a broken network would. The stream comes back by itself.
func (s *Stream) Cut() {
	s.control.mutex.Lock()
	defer s.control.mutex.Unlock()
	if s.control.cut != nil {
		s.control.cut(errCut)
	}
}

// Pause stops reading; what the server sends fills the buffers on the way.
func (s *Stream) Pause() {
	s.control.mutex.Lock()
	defer s.control.mutex.Unlock()
	if s.control.paused == nil {
		s.control.paused = make(chan struct{})
	}
}

// Resume reads on after Pause.
func (s *Stream) Resume() {
	s.control.mutex.Lock()
	defer s.control.mutex.Unlock()
	if s.control.paused != nil {
		close(s.control.paused)
		s.control.paused = nil
	}
}

// delay is the wait before the next attempt: what the stream has asked for, longer after failures.
func (s *Stream) delay() time.Duration {
	return s.retry << min(max(s.failures-1, 0), retryDoublings)
}

func (s *Stream) connect(ctx context.Context, notify func(Notice) bool) error {
	ctx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	s.control.mutex.Lock()
	s.control.cut = cut
	s.control.mutex.Unlock()
	s.attempt++
	s.failures++
	begin := time.Now()
	response, err := s.request(ctx)
	if err != nil {
		return cause(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	if err := check(response); err != nil {
		return err
	}
	s.failures = 0
	opened := Opened{Attempt: s.attempt, Took: time.Since(begin), LastEventID: s.lastEventID}
	if !notify(Notice{Opened: &opened}) {
		return context.Canceled
	}
	return cause(ctx, s.read(ctx, response.Body, notify))
}

func (s *Stream) request(ctx context.Context) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, refusal{err.Error()}
	}
	request.Header = s.header.Clone()
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Cache-Control", "no-store")
	if s.lastEventID != "" {
		request.Header.Set("Last-Event-ID", s.lastEventID)
	}
	return s.client.Do(request)
}

func check(response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return refusal{"the answer is " + response.Status}
	}
	kind, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != "text/event-stream" {
		return refusal{fmt.Sprintf("the content type is %q, not text/event-stream", response.Header.Get("Content-Type"))}
	}
	return nil
}

func (s *Stream) read(ctx context.Context, body io.Reader, notify func(Notice) bool) error {
	parser := NewParser(s.lastEventID, eventBytesMax)
	var buffer [readBytes]byte
	for s.mayRead(ctx) {
		n, err := body.Read(buffer[:])
		events, malformed := parser.Feed(buffer[:n], nil)
		s.lastEventID = parser.LastEventID()
		if retry, has := parser.Retry(); has {
			s.retry = retry
		}
		if len(events) > 0 && !notify(Notice{Events: events}) {
			return context.Canceled
		}
		if malformed != nil {
			return malformed
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the server has ended the stream")
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// mayRead waits while the stream is paused; false where the connection is over.
func (s *Stream) mayRead(ctx context.Context) bool {
	s.control.mutex.Lock()
	paused := s.control.paused
	s.control.mutex.Unlock()
	if paused == nil {
		return ctx.Err() == nil
	}
	select {
	case <-paused:
		return true
	case <-ctx.Done():
		return false
	}
}

// cause tells why the script has ended a connection, instead of "context canceled".
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func sleep(ctx context.Context, duration time.Duration) bool {
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
