// Package provisioner makes volumes of enforced size for the development cluster's only node.
//
// A test bed, not part of the product. Volumes outlive the process; `node-agent --cleanup` removes them all.
// Not supported: block volumes, snapshots, growing, and the data of a retained volume whose
// PersistentVolume was deleted by hand, which stays until the cleanup.
package provisioner

import (
	"context"
	"fmt"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

// key names a claim (with a namespace) or a volume (without).
type key = types.NamespacedName

type controller struct {
	client  kubernetes.Interface
	node    string
	volumes Volumes
	events  record.EventRecorder
	queue   workqueue.TypedRateLimitingInterface[key]

	claims  corelisters.PersistentVolumeClaimLister
	pvs     corelisters.PersistentVolumeLister
	classes storagelisters.StorageClassLister
}

// Run provisions and reclaims volumes until ctx is done. Mounts stay as they are then.
func Run(ctx context.Context, client kubernetes.Interface, node string, volumes Volumes) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedv1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	defer broadcaster.Shutdown()
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[key](100*time.Millisecond, 30*time.Second)
	c := &controller{
		client: client, node: node, volumes: volumes,
		events: broadcaster.NewRecorder(scheme.Scheme, v1.EventSource{Component: Name}),
		queue:  workqueue.NewTypedRateLimitingQueue(limiter),
	}
	synced, err := c.watch(ctx)
	if err != nil {
		return err
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return nil
	}
	go c.work(ctx)
	<-ctx.Done()
	c.queue.ShutDown()
	return nil
}

func (c *controller) watch(ctx context.Context) ([]cache.InformerSynced, error) {
	factory := informers.NewSharedInformerFactory(c.client, 0)
	claims, pvs := factory.Core().V1().PersistentVolumeClaims(), factory.Core().V1().PersistentVolumes()
	classes := factory.Storage().V1().StorageClasses()
	c.claims, c.pvs, c.classes = claims.Lister(), pvs.Lister(), classes.Lister()
	var synced []cache.InformerSynced
	for informer, handler := range map[cache.SharedIndexInformer]func(any){
		claims.Informer(): c.enqueue, pvs.Informer(): c.enqueue, classes.Informer(): c.enqueueClaims,
	} {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    handler,
			UpdateFunc: func(_, after any) { handler(after) },
		})
		if err != nil {
			return nil, err
		}
		synced = append(synced, registration.HasSynced)
	}
	factory.StartWithContext(ctx)
	return synced, nil
}

func (c *controller) enqueue(obj any) {
	if object, ok := obj.(metav1.Object); ok {
		c.queue.Add(key{Namespace: object.GetNamespace(), Name: object.GetName()})
	}
}

// enqueueClaims looks at every claim again, since a class has come that some may have waited for.
func (c *controller) enqueueClaims(any) {
	claims, err := c.claims.List(labels.Everything())
	if err != nil {
		return
	}
	for _, claim := range claims {
		c.enqueue(claim)
	}
}

func (c *controller) work(ctx context.Context) {
	for {
		item, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		if err := c.reconcile(ctx, item); err != nil {
			klog.ErrorS(err, "volume will be tried again", "key", item)
			c.queue.AddRateLimited(item)
		} else {
			c.queue.Forget(item)
		}
		c.queue.Done(item)
	}
}

func (c *controller) reconcile(ctx context.Context, item key) error {
	if item.Namespace == "" {
		volume, err := c.pvs.Get(item.Name)
		if err != nil {
			return ignoreNotFound(err)
		}
		return c.reconcileVolume(ctx, volume)
	}
	claim, err := c.claims.PersistentVolumeClaims(item.Namespace).Get(item.Name)
	if err != nil {
		return ignoreNotFound(err)
	}
	return c.reconcileClaim(ctx, claim)
}

func (c *controller) reconcileClaim(ctx context.Context, claim *v1.PersistentVolumeClaim) error {
	if claim.Spec.StorageClassName == nil || *claim.Spec.StorageClassName == "" {
		return nil
	}
	class, err := c.classes.Get(*claim.Spec.StorageClassName)
	if err != nil {
		return ignoreNotFound(err)
	}
	if !wants(claim, class, c.node) {
		return nil
	}
	if err := check(claim); err != nil {
		c.events.Event(claim, v1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return nil
	}
	name := volumeName(claim)
	if _, err := c.pvs.Get(name); err == nil {
		return nil // made, but not bound yet
	}
	began := time.Now()
	if err := c.volumes.Create(ctx, name, sizeOf(claim)); err != nil {
		c.events.Event(claim, v1.EventTypeWarning, "ProvisioningFailed", err.Error())
		return err
	}
	volume := buildVolume(claim, class, c.node, c.volumes.Path(name))
	_, err = c.client.CoreV1().PersistentVolumes().Create(ctx, volume, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	klog.InfoS("provisioned", "claim", klog.KObj(claim), "volume", name, "took", time.Since(began))
	return nil
}

// reconcileVolume keeps a volume mounted (also after this machine was started again) until it may go.
func (c *controller) reconcileVolume(ctx context.Context, volume *v1.PersistentVolume) error {
	if !isOurs(volume, c.volumes) {
		return nil
	}
	if !isReclaimable(volume) {
		return c.volumes.Mount(ctx, volume.Name)
	}
	if err := c.volumes.Delete(ctx, volume.Name); err != nil {
		c.events.Event(volume, v1.EventTypeWarning, "VolumeFailedDelete", err.Error())
		return err
	}
	if err := c.client.CoreV1().PersistentVolumes().Delete(ctx, volume.Name, metav1.DeleteOptions{}); err != nil {
		return ignoreNotFound(err)
	}
	klog.InfoS("reclaimed", "volume", volume.Name)
	return nil
}

// ignoreNotFound takes "not found" for done: there is nothing left to reconcile.
func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
