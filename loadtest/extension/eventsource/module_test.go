package eventsource

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.k6.io/k6/v2/js/modulestest"
	"go.k6.io/k6/v2/lib"
)

// script runs JavaScript as a virtual user would, with EventSource and the URL of a server.
func script(t *testing.T, handler http.HandlerFunc, code string) (*modulestest.Runtime, error) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	runtime := modulestest.NewRuntime(t)
	module := new(rootModule).NewModuleInstance(runtime.VU)
	values := map[string]any{"EventSource": module.Exports().Named["EventSource"], "url": server.URL}
	for name, value := range values {
		if err := runtime.VU.Runtime().Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	runtime.MoveToVUContext(&lib.State{Dialer: new(net.Dialer)})
	// Only bounds a failure: the loop waits for streams that nobody closes.
	limit := time.AfterFunc(testLimit, runtime.CancelContext)
	defer limit.Stop()
	_, err := runtime.RunOnEventLoop(code)
	return runtime, err
}

func result(t *testing.T, runtime *modulestest.Runtime, want string) {
	t.Helper()
	if got := runtime.VU.Runtime().Get("seen").String(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func numbered(w http.ResponseWriter, r *http.Request) {
	begin(w)
	n := len(r.Header.Get("Last-Event-ID"))
	send(w, fmt.Sprintf("retry: 1\nevent: connected\ndata: %s\n\nid: %s\ndata: %d\n\n",
		r.Header.Get("X-Name"), strings.Repeat("i", n+1), n))
}

func TestScriptsSeeWhatBrowsersShow(t *testing.T) {
	runtime, err := script(t, numbered, `
		var seen = [];
		const events = new EventSource(url, { headers: { "X-Name": "me" }, lastEventId: "i" });
		seen.push(events.readyState);
		events.addEventListener("open", (e) => seen.push(e.type, e.attempt, e.took >= 0, events.readyState));
		events.addEventListener("connected", (e) => seen.push(e.data));
		events.addEventListener("error", (e) => seen.push(e.message, events.readyState));
		events.addEventListener("message", (e) => {
			seen.push(e.data, e.lastEventId);
			if (e.data === "2") { events.close(); seen.push(events.readyState); }
		});`)
	if err != nil {
		t.Fatal(err)
	}
	result(t, runtime, "0,open,1,true,1,me,1,ii,the server has ended the stream,0,open,2,true,1,me,2,iii,2")
}

func TestManyStreamsShareOneUser(t *testing.T) {
	runtime, err := script(t, numbered, `
		var seen = 0;
		for (let i = 0; i < 200; i++) {
			const events = new EventSource(url);
			events.addEventListener("message", (e) => { if (e.data === "1") { seen++; events.close(); } });
		}`)
	if err != nil {
		t.Fatal(err)
	}
	result(t, runtime, "200")
}

func TestAScriptMayCutAndCome(t *testing.T) {
	hold := func(w http.ResponseWriter, r *http.Request) {
		numbered(w, r)
		<-r.Context().Done()
	}
	runtime, err := script(t, hold, `
		var seen = [];
		const events = new EventSource(url);
		events.addEventListener("error", (e) => seen.push(e.message));
		events.addEventListener("message", (e) => {
			seen.push(e.data);
			if (e.data === "2") events.close(); else events.cut();
		});`)
	if err != nil {
		t.Fatal(err)
	}
	result(t, runtime, "0,cut by the script,1,cut by the script,2")
}

func TestARefusedStreamIsClosed(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }
	runtime, err := script(t, refuse, `
		var seen = [];
		const events = new EventSource(url);
		events.addEventListener("error", (e) => seen.push(e.message, events.readyState));`)
	if err != nil {
		t.Fatal(err)
	}
	result(t, runtime, "the answer is 403 Forbidden,2")
}

func TestTheEndOfAUserEndsItsStreams(t *testing.T) {
	gone := make(chan struct{})
	hold := func(w http.ResponseWriter, r *http.Request) {
		numbered(w, r)
		<-r.Context().Done()
		close(gone)
	}
	server := httptest.NewServer(http.HandlerFunc(hold))
	t.Cleanup(server.Close)
	runtime := modulestest.NewRuntime(t)
	module := new(rootModule).NewModuleInstance(runtime.VU)
	for name, value := range map[string]any{
		"EventSource": module.Exports().Named["EventSource"], "url": server.URL, "cancel": runtime.CancelContext,
	} {
		if err := runtime.VU.Runtime().Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	runtime.MoveToVUContext(&lib.State{Dialer: new(net.Dialer)})
	if _, err := runtime.RunOnEventLoop(`new EventSource(url).addEventListener("message", cancel)`); err != nil {
		t.Fatal(err)
	}
	<-gone
}

func TestErrorsOfScriptsAreTheirs(t *testing.T) {
	for _, code := range []string{
		`new EventSource("ftp://example/")`,
		`new EventSource()`,
		`const events = new EventSource(url); try { events.addEventListener("message") } finally { events.close() }`,
	} {
		if _, err := script(t, numbered, code); err == nil {
			t.Errorf("%s is accepted", code)
		}
	}
}
