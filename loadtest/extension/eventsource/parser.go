// Package eventsource gives k6 scripts the EventSource of browsers: many asynchronous streams in one
// virtual user, each of which reconnects by itself with the id of the last event that it has seen.
package eventsource

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"
)

// Event is one event of a stream.
type Event struct {
	// Type is "message" where the stream does not say.
	Type string
	// Data is what the data lines say, joined by line feeds.
	Data string
	// LastEventID is the id of this event, or of the last one before it that had one.
	LastEventID string
}

// Parser interprets an event stream as section 9.2.6 of the HTML standard says. It is a pure value:
// it is fed with chunks, wherever they are cut, and gives events.
type Parser struct {
	bytesMax int

	// A byte order mark is skipped at the beginning: how many of its bytes have come.
	mark    int
	started bool
	// The last line ended with CR; a LF right after it belongs to it.
	afterCR bool

	line        []byte
	data        []byte
	hasData     bool
	eventType   string
	lastEventID string

	// dispatchedID is what a client sends as Last-Event-ID: ids count when their event ends.
	dispatchedID string
	retry        time.Duration
	hasRetry     bool
}

var byteOrderMark = []byte("\xEF\xBB\xBF")

// retryMax bounds what a stream may ask for; a day is for ever in a load test.
const retryMax = 24 * time.Hour

// NewParser makes a parser for one connection. A client that has seen an id before gives it, as
// browsers do. Lines and events longer than bytesMax are errors.
func NewParser(lastEventID string, bytesMax int) *Parser {
	return &Parser{bytesMax: bytesMax, lastEventID: lastEventID, dispatchedID: lastEventID}
}

// LastEventID is what to send as Last-Event-ID when the connection ends now.
func (p *Parser) LastEventID() string { return p.dispatchedID }

// Retry is the reconnection time that the stream has asked for, if it has.
func (p *Parser) Retry() (time.Duration, bool) { return p.retry, p.hasRetry }

// Feed takes the next bytes and appends the events that end in them.
func (p *Parser) Feed(chunk []byte, events []Event) ([]Event, error) {
	chunk = p.skipMark(chunk)
	for len(chunk) > 0 {
		if p.afterCR {
			p.afterCR = false
			if chunk[0] == '\n' {
				chunk = chunk[1:]
				continue
			}
		}
		end := bytes.IndexAny(chunk, "\r\n")
		if end < 0 {
			return events, p.appendLine(chunk)
		}
		if err := p.appendLine(chunk[:end]); err != nil {
			return events, err
		}
		p.afterCR = chunk[end] == '\r'
		chunk = chunk[end+1:]
		var err error
		if events, err = p.endLine(events); err != nil {
			return events, err
		}
	}
	return events, nil
}

// skipMark drops a leading byte order mark, even one that comes in pieces.
func (p *Parser) skipMark(chunk []byte) []byte {
	for !p.started && len(chunk) > 0 {
		if chunk[0] != byteOrderMark[p.mark] {
			p.started = true
			// What looked like a mark was none.
			return append(bytes.Clone(byteOrderMark[:p.mark]), chunk...)
		}
		chunk = chunk[1:]
		p.mark++
		p.started = p.mark == len(byteOrderMark)
	}
	return chunk
}

func (p *Parser) appendLine(part []byte) error {
	if len(p.line)+len(part) > p.bytesMax {
		return fmt.Errorf("a line of the stream is longer than %d bytes", p.bytesMax)
	}
	p.line = append(p.line, part...)
	return nil
}

func (p *Parser) endLine(events []Event) ([]Event, error) {
	line := p.line
	p.line = p.line[:0]
	if len(line) == 0 {
		return p.dispatch(events), nil
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	return events, p.field(string(name), value)
}

func (p *Parser) field(name string, value []byte) error {
	switch name {
	case "event":
		p.eventType = text(value)
	case "data":
		if len(p.data)+len(value) > p.bytesMax {
			return fmt.Errorf("an event of the stream is longer than %d bytes", p.bytesMax)
		}
		p.data = append(append(p.data, value...), '\n')
		p.hasData = true
	case "id":
		if !bytes.ContainsRune(value, 0) {
			p.lastEventID = text(value)
		}
	case "retry":
		p.setRetry(value)
	}
	// Comments have an empty name; other names mean nothing.
	return nil
}

func (p *Parser) setRetry(value []byte) {
	if len(value) == 0 || bytes.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		return
	}
	milliseconds, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || milliseconds > retryMax.Milliseconds() {
		milliseconds = retryMax.Milliseconds()
	}
	p.retry, p.hasRetry = time.Duration(milliseconds)*time.Millisecond, true
}

func (p *Parser) dispatch(events []Event) []Event {
	p.dispatchedID = p.lastEventID
	if p.hasData {
		event := Event{Type: p.eventType, Data: text(p.data[:len(p.data)-1]), LastEventID: p.lastEventID}
		if event.Type == "" {
			event.Type = "message"
		}
		events = append(events, event)
	}
	p.data, p.hasData, p.eventType = p.data[:0], false, ""
	return events
}

// text decodes UTF-8; what is none becomes U+FFFD.
func text(value []byte) string {
	if utf8.Valid(value) {
		return string(value)
	}
	return string([]rune(string(value)))
}
