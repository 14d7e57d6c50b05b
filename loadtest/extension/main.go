// k6 with the module k6/x/eventsource built in. k6 is used as a library, so that nothing but the Go
// toolchain is needed to build it: go build -o k6 .
package main

import (
	"go.k6.io/k6/v2/cmd"

	_ "roomcast/loadtest/eventsource"
)

func main() {
	cmd.Execute()
}
