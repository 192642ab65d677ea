package provisioner

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func claimOf(size, node string) *v1.PersistentVolumeClaim {
	claim := &v1.PersistentVolumeClaim{}
	claim.UID = "1234"
	claim.Annotations = map[string]string{selectedNode: node}
	claim.Spec.Resources.Requests = v1.ResourceList{v1.ResourceStorage: resource.MustParse(size)}
	return claim
}

func classOf(provisioner string, mode storagev1.VolumeBindingMode) *storagev1.StorageClass {
	return &storagev1.StorageClass{Provisioner: provisioner, VolumeBindingMode: &mode}
}

func TestAClaimIsOursWhenItsClassIsAndThePodComesHere(t *testing.T) {
	cases := []struct {
		name  string
		class *storagev1.StorageClass
		node  string
		want  bool
	}{
		{"the scheduler chose this node", classOf(Name, storagev1.VolumeBindingWaitForFirstConsumer), "here", true},
		{"the scheduler chose another node", classOf(Name, storagev1.VolumeBindingWaitForFirstConsumer), "there", false},
		{"no pod uses it yet", classOf(Name, storagev1.VolumeBindingWaitForFirstConsumer), "", false},
		{"the class does not wait for pods", classOf(Name, storagev1.VolumeBindingImmediate), "", true},
		{"the class is another provisioner's", classOf("example.org/x", storagev1.VolumeBindingImmediate), "", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := wants(claimOf("1Gi", c.node), c.class, "here"); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestAVolumeHasTheSizeAskedForInWholeMebibytes(t *testing.T) {
	cases := map[string]int64{"1": mebibyte, "64Mi": 64 * mebibyte, "1M": mebibyte, "1.5Mi": 2 * mebibyte}
	for asked, want := range cases {
		if got := sizeOf(claimOf(asked, "")); got != want {
			t.Errorf("%s: %d bytes, want %d", asked, got, want)
		}
	}
}

func TestAVolumeIsBoundToItsClaimAndItsNode(t *testing.T) {
	volume := buildVolume(claimOf("64Mi", ""), classOf(Name, storagev1.VolumeBindingImmediate), "here", "/volumes/pvc-1234")

	if volume.Name != "pvc-1234" || volume.Spec.ClaimRef.UID != "1234" || !isOurs(volume, Volumes{Dir: "/volumes"}) {
		t.Errorf("volume: %+v", volume)
	}
	if node := volume.Spec.NodeAffinity.Required.NodeSelectorTerms[0].MatchExpressions[0].Values[0]; node != "here" {
		t.Errorf("node: %s", node)
	}
	if capacity := volume.Spec.Capacity[v1.ResourceStorage]; capacity.String() != "64Mi" {
		t.Errorf("capacity: %s", capacity.String())
	}
}
