package main

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/apps/deployment"
	"k8s.io/kubernetes/pkg/registry/autoscaling/horizontalpodautoscaler"
	"k8s.io/kubernetes/pkg/registry/core/configmap"
	"k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/registry/core/secret"
	"k8s.io/kubernetes/pkg/registry/core/service"
	"k8s.io/kubernetes/pkg/registry/core/serviceaccount"
	"k8s.io/kubernetes/pkg/registry/networking/ingress"
	"k8s.io/kubernetes/pkg/registry/networking/networkpolicy"
	"k8s.io/kubernetes/pkg/registry/policy/poddisruptionbudget"

	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	_ "k8s.io/kubernetes/pkg/apis/autoscaling/install"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/networking/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
)

// strategies are what the API server itself asks before it creates an object.
var strategies = map[schema.GroupKind]rest.RESTCreateStrategy{
	{Kind: "ConfigMap"}:                 configmap.Strategy,
	{Kind: "Pod"}:                       pod.Strategy,
	{Kind: "Secret"}:                    secret.Strategy,
	{Kind: "Service"}:                   service.Strategy,
	{Kind: "ServiceAccount"}:            serviceaccount.Strategy,
	{Group: "apps", Kind: "Deployment"}: deployment.Strategy,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}: horizontalpodautoscaler.Strategy,
	{Group: "networking.k8s.io", Kind: "Ingress"}:           ingress.Strategy,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:     networkpolicy.Strategy,
	{Group: "policy", Kind: "PodDisruptionBudget"}:          poddisruptionbudget.Strategy,
}

// created tells whether the API server would create the object, without a warning. Of kinds that are not its own it
// looks at the metadata alone.
func created(object runtime.Object, kind *schema.GroupVersionKind) error {
	strategy, found := strategies[kind.GroupKind()]
	if !found {
		metadata, err := meta.Accessor(object)
		if err != nil {
			return err
		}
		path := field.NewPath("metadata")
		return validation.ValidateObjectMetaAccessor(metadata, true, validation.NameIsDNSLabel, path).ToAggregate()
	}
	object = object.DeepCopyObject()
	legacyscheme.Scheme.Default(object)
	internal, err := legacyscheme.Scheme.ConvertToVersion(object, runtime.InternalGroupVersioner)
	if err != nil {
		return err
	}
	allocate(internal)
	metadata, err := meta.Accessor(internal)
	if err != nil {
		return err
	}
	rest.FillObjectMetaSystemFields(metadata)
	ctx := request.WithNamespace(context.Background(), metadata.GetNamespace())
	ctx = request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true, APIGroup: kind.Group, APIVersion: kind.Version,
	})
	if err := rest.BeforeCreate(strategy, ctx, internal); err != nil {
		return err
	}
	var warnings []error
	for _, warning := range strategy.WarningsOnCreate(ctx, internal) {
		warnings = append(warnings, errors.New("warning: "+warning))
	}
	return errors.Join(warnings...)
}

// allocate gives a Service the port that the API server takes from its range before it looks at the whole.
func allocate(object runtime.Object) {
	service, ok := object.(*core.Service)
	if ok && service.Spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal &&
		service.Spec.Type == core.ServiceTypeLoadBalancer && service.Spec.HealthCheckNodePort == 0 {
		service.Spec.HealthCheckNodePort = 32000
	}
}
