// Manifests reads what a chart renders as its readers do: each object is decoded strictly into the Go types of its
// API, those of the Prometheus Operator and of the Gateway API too; the API server's own code must be ready to create it;
// each pod must be admitted where Pod Security is restricted; and what objects of a file say of each other must lead
// somewhere.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	security "k8s.io/pod-security-admission/api"
	checks "k8s.io/pod-security-admission/policy"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: manifests FILE…")
		os.Exit(2)
	}
	reader, err := newReader()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	failed := false
	for _, path := range os.Args[1:] {
		objects, err := reader.file(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			failed = true
			continue
		}
		fmt.Printf("%s: %d objects\n", path, objects)
	}
	if failed {
		os.Exit(1)
	}
}

type reader struct {
	decoder   runtime.Decoder
	evaluator checks.Evaluator
}

func newReader() (*reader, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, autoscaling.AddToScheme, networking.AddToScheme, policy.AddToScheme,
		monitoring.AddToScheme, gateway.Install,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	evaluator, err := checks.NewEvaluator(checks.DefaultChecks(), nil)
	if err != nil {
		return nil, err
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	return &reader{decoder: codecs.UniversalDeserializer(), evaluator: evaluator}, nil
}

// file checks all objects of a file and says how many there are. A file without any is an error.
func (r *reader) file(path string) (int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(content)))
	defer documents.Close()
	var objects []runtime.Object
	var wrong []error
	buffer := make([]byte, len(content)+1)
	for {
		n, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		if isEmpty(buffer[:n]) {
			continue
		}
		object, err := r.object(buffer[:n])
		if err != nil {
			wrong = append(wrong, err)
			continue
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 {
		wrong = append(wrong, errors.New("there is no object in it"))
	}
	if len(wrong) == 0 {
		wrong = references(objects)
	}
	return len(objects), errors.Join(wrong...)
}

// isEmpty tells whether a document has nothing but comments.
func isEmpty(document []byte) bool {
	for _, line := range bytes.Split(document, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' && !bytes.Equal(line, []byte("---")) {
			return false
		}
	}
	return true
}

func (r *reader) object(document []byte) (runtime.Object, error) {
	object, kind, err := r.decoder.Decode(document, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("%w in\n%s", err, document)
	}
	if err := created(object, kind); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	if err := r.admitted(object); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return object, nil
}

// admitted tells whether the pods of an object may run where Pod Security is restricted, in its newest version.
func (r *reader) admitted(object runtime.Object) error {
	var metadata *meta.ObjectMeta
	var spec *core.PodSpec
	switch object := object.(type) {
	case *core.Pod:
		metadata, spec = &object.ObjectMeta, &object.Spec
	case *apps.Deployment:
		metadata, spec = &object.Spec.Template.ObjectMeta, &object.Spec.Template.Spec
	default:
		return nil
	}
	restricted := security.LevelVersion{Level: security.LevelRestricted, Version: security.LatestVersion()}
	result := checks.AggregateCheckResults(r.evaluator.EvaluatePod(restricted, metadata, spec))
	if !result.Allowed {
		return fmt.Errorf("refused where Pod Security is restricted: %s", result.ForbiddenDetail())
	}
	return nil
}
