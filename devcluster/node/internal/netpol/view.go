package netpol

import (
	"cmp"
	"fmt"
	"slices"

	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"ringfence.dev/devcluster/internal/attachment"
)

// view is what the engine knows of the cluster: its caches of the API.
type view struct {
	factories  []informers.SharedInformerFactory
	synced     []cache.InformerSynced
	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
}

// newView watches the node's own pods, every namespace and every policy; changed is called when something
// that matters to a ruleset is different.
func newView(client kubernetes.Interface, node string, changed func()) (*view, error) {
	ours := informers.NewSharedInformerFactoryWithOptions(client, 0,
		informers.WithTransform(slim),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", node).String()
		}))
	all := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(slim))
	pods, namespaces := ours.Core().V1().Pods(), all.Core().V1().Namespaces()
	policies := all.Networking().V1().NetworkPolicies()
	v := &view{
		factories:  []informers.SharedInformerFactory{ours, all},
		pods:       pods.Lister(),
		namespaces: namespaces.Lister(),
		policies:   policies.Lister(),
	}
	for _, informer := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		registration, err := informer.AddEventHandler(handler(changed))
		if err != nil {
			return nil, err
		}
		v.synced = append(v.synced, registration.HasSynced)
	}
	return v, nil
}

// Start begins to watch and returns whether the caches were filled before stop.
func (v *view) Start(stop <-chan struct{}) bool {
	for _, factory := range v.factories {
		factory.Start(stop)
	}
	return cache.WaitForCacheSync(stop, v.synced...)
}

// Snapshot joins the API's pods with the addresses that CNI gave their sandboxes.
func (v *view) Snapshot(attachments []attachment.Attachment) (*Snapshot, error) {
	namespaces, err := v.namespaces.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	policies, err := v.policies.List(labels.Everything())
	if err != nil {
		return nil, err
	}
	snapshot := &Snapshot{Namespaces: map[string]labels.Set{}, Policies: policies}
	for _, namespace := range namespaces {
		snapshot.Namespaces[namespace.Name] = namespace.Labels
	}
	for _, a := range attachments {
		pod, err := v.pods.Pods(a.Namespace).Get(a.Name)
		if err != nil || string(pod.UID) != a.UID {
			continue // not in view, or gone: its addresses stay closed
		}
		snapshot.Pods = append(snapshot.Pods, Pod{
			Namespace: a.Namespace, Name: a.Name, Labels: pod.Labels, Ports: namedPorts(&pod.Spec), Link: a.Link, IPs: a.IPs,
		})
	}
	slices.SortFunc(snapshot.Policies, func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return snapshot, nil
}

// handler calls changed for what a ruleset depends on, and not for the many updates of a pod's status.
func handler(changed func()) cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { changed() },
		DeleteFunc: func(any) { changed() },
		UpdateFunc: func(before, after any) {
			if fingerprint(before) != fingerprint(after) {
				changed()
			}
		},
	}
}

func fingerprint(obj any) string {
	switch o := obj.(type) {
	case *v1.Pod:
		return string(o.UID) + fmt.Sprint(o.Labels) // fmt prints maps in key order
	case *v1.Namespace:
		return string(o.UID) + fmt.Sprint(o.Labels)
	case *networkingv1.NetworkPolicy:
		return o.ResourceVersion
	}
	return ""
}

// slim drops what the engine never reads, before an object goes into the cache.
func slim(obj any) (any, error) {
	if object, ok := obj.(metav1.Object); ok {
		object.SetManagedFields(nil)
		object.SetAnnotations(nil)
	}
	if pod, ok := obj.(*v1.Pod); ok {
		pod.Status = v1.PodStatus{}
		pod.Spec.Volumes = nil
	}
	return obj, nil
}
