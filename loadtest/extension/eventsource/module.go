package eventsource

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"github.com/grafana/sobek"

	"go.k6.io/k6/v2/js/common"
	"go.k6.io/k6/v2/js/modules"
	"go.k6.io/k6/v2/lib"
)

func init() {
	modules.Register("k6/x/eventsource", new(rootModule))
}

type rootModule struct{}

// instance is the module as one virtual user has it.
type instance struct {
	vu     modules.VU
	client *http.Client
}

// NewModuleInstance implements modules.Module.
func (*rootModule) NewModuleInstance(vu modules.VU) modules.Instance {
	return &instance{vu: vu}
}

// Exports implements modules.Instance.
func (i *instance) Exports() modules.Exports {
	return modules.Exports{Named: map[string]any{"EventSource": i.construct}}
}

// Values of readyState, as the HTML standard numbers them.
const (
	connecting = 0
	open       = 1
	closed     = 2
)

// source is one EventSource as scripts see it. Its fields belong to the event loop.
type source struct {
	vu        modules.VU
	object    *sobek.Object
	stream    *Stream
	end       context.CancelFunc
	state     int
	listeners map[string][]sobek.Callable
}

// construct is `new EventSource(url, {headers, lastEventId})`.
func (i *instance) construct(call sobek.ConstructorCall) *sobek.Object {
	rt := i.vu.Runtime()
	state := i.vu.State()
	if state == nil {
		common.Throw(rt, errors.New("an EventSource cannot be made in the init context"))
	}
	address := call.Argument(0).String()
	if parsed, err := url.Parse(address); err != nil || parsed.Host == "" || (parsed.Scheme != "http" && parsed.Scheme != "https") {
		common.Throw(rt, fmt.Errorf("%q is not an http or https URL", address))
	}
	header, lastEventID := options(rt, call.Argument(1))
	if header.Get("User-Agent") == "" {
		header.Set("User-Agent", state.Options.UserAgent.String)
	}
	ctx, end := context.WithCancel(i.vu.Context())
	s := &source{
		vu:        i.vu,
		object:    rt.NewObject(),
		stream:    NewStream(i.httpClient(state), address, header, lastEventID),
		end:       end,
		listeners: make(map[string][]sobek.Callable),
	}
	s.define(rt, address)
	loop := newDoor(i.vu)
	go func() {
		defer end()
		s.stream.Run(ctx, func(notice Notice) bool {
			return loop.pass(func() error { return s.handle(notice) })
		})
		loop.shut()
	}()
	return s.object
}

func options(rt *sobek.Runtime, value sobek.Value) (http.Header, string) {
	header := make(http.Header)
	if common.IsNullish(value) {
		return header, ""
	}
	object := value.ToObject(rt)
	if headers := object.Get("headers"); !common.IsNullish(headers) {
		fields := headers.ToObject(rt)
		for _, name := range fields.Keys() {
			header.Set(name, fields.Get(name).String())
		}
	}
	if id := object.Get("lastEventId"); !common.IsNullish(id) {
		return header, id.String()
	}
	return header, ""
}

// httpClient makes one client for all streams of a virtual user. Each stream has a connection of its
// own, over HTTP/1.1, through k6's dialer: so blocked hosts, DNS options and data counters hold.
func (i *instance) httpClient(state *lib.State) *http.Client {
	if i.client != nil {
		return i.client
	}
	var config *tls.Config
	if state.TLSConfig != nil {
		config = state.TLSConfig.Clone()
		config.NextProtos = []string{"http/1.1"}
	}
	i.client = &http.Client{Transport: &http.Transport{
		DialContext:           state.Dialer.DialContext,
		TLSClientConfig:       config,
		Proxy:                 http.ProxyFromEnvironment,
		DisableKeepAlives:     true,
		DisableCompression:    true,
		ResponseHeaderTimeout: headersTimeout,
		ReadBufferSize:        readBytes,
		WriteBufferSize:       readBytes,
	}}
	return i.client
}

func (s *source) define(rt *sobek.Runtime, address string) {
	values := map[string]any{
		"url":              address,
		"addEventListener": s.addEventListener,
		"close":            s.close,
		"cut":              s.stream.Cut,
		"pause":            s.stream.Pause,
		"resume":           s.stream.Resume,
	}
	for name, value := range values {
		must(rt, s.object.DefineDataProperty(name, rt.ToValue(value), sobek.FLAG_FALSE, sobek.FLAG_FALSE, sobek.FLAG_TRUE))
	}
	readyState := rt.ToValue(func() int { return s.state })
	must(rt, s.object.DefineAccessorProperty("readyState", readyState, nil, sobek.FLAG_FALSE, sobek.FLAG_TRUE))
}

func must(rt *sobek.Runtime, err error) {
	if err != nil {
		common.Throw(rt, err)
	}
}

func (s *source) addEventListener(kind string, listener sobek.Callable) {
	if listener == nil {
		common.Throw(s.vu.Runtime(), errors.New("a listener is a function"))
	}
	s.listeners[kind] = append(s.listeners[kind], listener)
}

// close is final; nothing is told afterwards.
func (s *source) close() {
	s.state = closed
	s.end()
}

// handle runs on the event loop.
func (s *source) handle(notice Notice) error {
	if s.state == closed {
		return nil
	}
	switch {
	case notice.Opened != nil:
		s.state = open
		return s.dispatch("open", map[string]any{
			"attempt":     notice.Opened.Attempt,
			"took":        float64(notice.Opened.Took.Microseconds()) / 1000,
			"lastEventId": notice.Opened.LastEventID,
		})
	case notice.Lost != nil:
		s.state = connecting
		if notice.Closed {
			s.state = closed
		}
		return s.dispatch("error", map[string]any{"message": notice.Lost.Error()})
	}
	for _, event := range notice.Events {
		fields := map[string]any{"data": event.Data, "lastEventId": event.LastEventID}
		if err := s.dispatch(event.Type, fields); err != nil {
			return err
		}
		if s.state == closed {
			return nil
		}
	}
	return nil
}

func (s *source) dispatch(kind string, fields map[string]any) error {
	listeners := s.listeners[kind]
	if len(listeners) == 0 {
		return nil
	}
	rt := s.vu.Runtime()
	event := rt.NewObject()
	must(rt, event.Set("type", kind))
	must(rt, event.Set("target", s.object))
	for name, value := range fields {
		must(rt, event.Set(name, value))
	}
	for _, listener := range listeners {
		if _, err := listener(s.object, event); err != nil {
			return err
		}
	}
	return nil
}

// door lets one goroutine run functions on the event loop of a virtual user, one after the other.
// k6 wants a function to be announced from the loop itself, and every announcement to be kept: so one
// is always open, and each function that runs announces the next.
type door struct {
	vu   modules.VU
	over <-chan struct{}
	open func(func() error)
	next chan func(func() error)

	mutex     sync.Mutex
	abandoned bool
}

func newDoor(vu modules.VU) *door {
	return &door{
		vu:   vu,
		over: vu.Context().Done(),
		open: vu.RegisterCallback(),
		next: make(chan func(func() error), 1),
	}
}

// pass runs a function on the loop and waits until it has run; false where the virtual user is over.
func (d *door) pass(function func() error) bool {
	d.open(func() error {
		if err := function(); err != nil {
			// The iteration ends by it, and so does the context.
			return err
		}
		d.mutex.Lock()
		defer d.mutex.Unlock()
		if !d.abandoned {
			d.next <- d.vu.RegisterCallback()
		}
		return nil
	})
	d.open = nil
	select {
	case d.open = <-d.next:
		return true
	case <-d.over:
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.abandoned = true
	select {
	case d.open = <-d.next:
	default:
	}
	return false
}

// shut lets the loop end; nothing passes afterwards.
func (d *door) shut() {
	if d.open != nil {
		d.open(func() error { return nil })
	}
}
