package main

import (
	"fmt"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
)

// cluster is what the objects of a file speak of.
type cluster struct {
	deployments []*apps.Deployment
	services    map[string]*core.Service
}

// references says which of the objects speak of something that is not among them: pods, ports, Services, volumes.
func references(objects []runtime.Object) []error {
	all := cluster{services: map[string]*core.Service{}}
	for _, object := range objects {
		switch object := object.(type) {
		case *apps.Deployment:
			all.deployments = append(all.deployments, object)
		case *core.Service:
			all.services[object.Name] = object
		}
	}
	var wrong []error
	for _, object := range objects {
		if err := all.leadsSomewhere(object); err != nil {
			name := object.(meta.Object).GetName()
			wrong = append(wrong, fmt.Errorf("%T %s: %w", object, name, err))
		}
	}
	return wrong
}

func (c *cluster) leadsSomewhere(object runtime.Object) error {
	switch object := object.(type) {
	case *apps.Deployment:
		return mounts(object)
	case *core.Service:
		for _, port := range object.Spec.Ports {
			if err := c.podsWithPort(meta.SetAsLabelSelector(object.Spec.Selector), port.TargetPort); err != nil {
				return err
			}
		}
	case *policy.PodDisruptionBudget:
		return c.podsWithPort(object.Spec.Selector, intstr.IntOrString{})
	case *networking.NetworkPolicy:
		return c.policed(object)
	case *autoscaling.HorizontalPodAutoscaler:
		return c.scaled(object.Spec.ScaleTargetRef)
	case *networking.Ingress:
		for _, rule := range object.Spec.Rules {
			for _, path := range rule.HTTP.Paths {
				if err := c.service(path.Backend.Service.Name, path.Backend.Service.Port.Number); err != nil {
					return err
				}
			}
		}
	case *gateway.HTTPRoute:
		for _, rule := range object.Spec.Rules {
			for _, backend := range rule.BackendRefs {
				if err := c.service(string(backend.Name), int32(*backend.Port)); err != nil {
					return err
				}
			}
		}
	case *monitoring.ServiceMonitor:
		return c.scrapedServices(object)
	case *monitoring.PodMonitor:
		for _, endpoint := range object.Spec.PodMetricsEndpoints {
			if err := c.podsWithPort(&object.Spec.Selector, intstr.FromString(*endpoint.Port)); err != nil {
				return err
			}
		}
	}
	return nil
}

// podsWithPort tells whether a Deployment makes pods that `selector` finds and that have the port, if one is asked for.
func (c *cluster) podsWithPort(selector *meta.LabelSelector, port intstr.IntOrString) error {
	matches, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		return err
	}
	for _, deployment := range c.deployments {
		template := deployment.Spec.Template
		if !matches.Matches(labels.Set(template.Labels)) {
			continue
		}
		if port == (intstr.IntOrString{}) || hasPort(template.Spec, port) {
			return nil
		}
	}
	return fmt.Errorf("no pod with the labels %s has the port %q", matches, port.String())
}

func hasPort(spec core.PodSpec, port intstr.IntOrString) bool {
	for _, container := range spec.Containers {
		for _, open := range container.Ports {
			if open.Name == port.StrVal || open.ContainerPort == port.IntVal {
				return true
			}
		}
	}
	return false
}

func (c *cluster) policed(object *networking.NetworkPolicy) error {
	for _, rule := range object.Spec.Ingress {
		for _, port := range rule.Ports {
			if err := c.podsWithPort(&object.Spec.PodSelector, *port.Port); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *cluster) scaled(target autoscaling.CrossVersionObjectReference) error {
	for _, deployment := range c.deployments {
		if target.Kind == "Deployment" && target.Name == deployment.Name {
			if deployment.Spec.Replicas != nil {
				return fmt.Errorf("%s has a number of replicas of its own, too", target.Name)
			}
			return nil
		}
	}
	return fmt.Errorf("there is no %s %s", target.Kind, target.Name)
}

func (c *cluster) service(name string, port int32) error {
	service, found := c.services[name]
	if !found {
		return fmt.Errorf("there is no Service %s", name)
	}
	for _, open := range service.Spec.Ports {
		if open.Port == port {
			return nil
		}
	}
	return fmt.Errorf("the Service %s has no port %d", name, port)
}

// scrapedServices tells whether each endpoint is a port of exactly one Service: with two, all nodes would count twice.
func (c *cluster) scrapedServices(object *monitoring.ServiceMonitor) error {
	matches, err := meta.LabelSelectorAsSelector(&object.Spec.Selector)
	if err != nil {
		return err
	}
	for _, endpoint := range object.Spec.Endpoints {
		found := 0
		for _, service := range c.services {
			for _, port := range service.Spec.Ports {
				if port.Name == endpoint.Port && matches.Matches(labels.Set(service.Labels)) {
					found++
				}
			}
		}
		if found != 1 {
			return fmt.Errorf("%d Services with the labels %s have the port %q", found, matches, endpoint.Port)
		}
	}
	return nil
}

// mounts tells whether each volume that a container mounts is one of the pod, and each of the pod's is mounted.
func mounts(deployment *apps.Deployment) error {
	spec := deployment.Spec.Template.Spec
	mounted := map[string]bool{}
	for _, volume := range spec.Volumes {
		mounted[volume.Name] = false
	}
	for _, container := range append(spec.InitContainers, spec.Containers...) {
		for _, mount := range container.VolumeMounts {
			if _, found := mounted[mount.Name]; !found {
				return fmt.Errorf("%s mounts %s, which is no volume of the pod", container.Name, mount.Name)
			}
			mounted[mount.Name] = true
		}
	}
	for name, used := range mounted {
		if !used {
			return fmt.Errorf("the volume %s is mounted nowhere", name)
		}
	}
	return nil
}
