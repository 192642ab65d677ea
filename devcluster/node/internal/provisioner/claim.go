package provisioner

import (
	"errors"
	"path/filepath"

	v1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// Name is what a StorageClass calls this provisioner.
	Name = "devcluster.ringfence.dev/loop"

	provisionedBy = "pv.kubernetes.io/provisioned-by"
	selectedNode  = "volume.kubernetes.io/selected-node"

	mebibyte = 1 << 20
)

var (
	errBlock      = errors.New("only volumeMode Filesystem is supported")
	errDataSource = errors.New("a data source is not supported")
)

// wants returns whether the claim is for us to provision, on this node, now.
func wants(claim *v1.PersistentVolumeClaim, class *storagev1.StorageClass, node string) bool {
	if claim.Spec.VolumeName != "" || claim.DeletionTimestamp != nil || class.Provisioner != Name {
		return false
	}
	chosen := claim.Annotations[selectedNode]
	if class.VolumeBindingMode != nil && *class.VolumeBindingMode == storagev1.VolumeBindingWaitForFirstConsumer {
		return chosen == node
	}
	return chosen == "" || chosen == node
}

// check returns why the claim cannot be met.
func check(claim *v1.PersistentVolumeClaim) error {
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != v1.PersistentVolumeFilesystem {
		return errBlock
	}
	if claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil {
		return errDataSource
	}
	return nil
}

// volumeName is the same at every attempt for one claim.
func volumeName(claim *v1.PersistentVolumeClaim) string { return "pvc-" + string(claim.UID) }

// sizeOf returns the volume's size in bytes: the request, rounded up to whole MiB.
func sizeOf(claim *v1.PersistentVolumeClaim) int64 {
	request := claim.Spec.Resources.Requests[v1.ResourceStorage]
	return max(1, (request.Value()+mebibyte-1)/mebibyte) * mebibyte
}

// buildVolume returns the PersistentVolume for a claim whose file system is mounted at path on node.
//
// It is a `local` volume and not a hostPath one, because the kubelet gives
// only the former to the pod's fsGroup.
func buildVolume(claim *v1.PersistentVolumeClaim, class *storagev1.StorageClass, node, path string) *v1.PersistentVolume {
	reclaim := v1.PersistentVolumeReclaimDelete
	if class.ReclaimPolicy != nil {
		reclaim = *class.ReclaimPolicy
	}
	request := claim.Spec.Resources.Requests[v1.ResourceStorage].DeepCopy()
	request.Set(sizeOf(claim))
	filesystem := v1.PersistentVolumeFilesystem
	return &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: volumeName(claim), Annotations: map[string]string{provisionedBy: Name}},
		Spec: v1.PersistentVolumeSpec{
			AccessModes:                   claim.Spec.AccessModes,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: request},
			VolumeMode:                    &filesystem,
			StorageClassName:              class.Name,
			PersistentVolumeReclaimPolicy: reclaim,
			ClaimRef: &v1.ObjectReference{
				APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID,
			},
			PersistentVolumeSource: v1.PersistentVolumeSource{Local: &v1.LocalVolumeSource{Path: path}},
			NodeAffinity:           onlyOn(node),
		},
	}
}

func onlyOn(node string) *v1.VolumeNodeAffinity {
	return &v1.VolumeNodeAffinity{Required: &v1.NodeSelector{NodeSelectorTerms: []v1.NodeSelectorTerm{{
		MatchExpressions: []v1.NodeSelectorRequirement{
			{Key: v1.LabelHostname, Operator: v1.NodeSelectorOpIn, Values: []string{node}},
		},
	}}}}
}

// isOurs returns whether this node's provisioner made the volume.
func isOurs(volume *v1.PersistentVolume, volumes Volumes) bool {
	return volume.Annotations[provisionedBy] == Name && volume.Spec.Local != nil &&
		filepath.Dir(volume.Spec.Local.Path) == volumes.Dir
}

// isReclaimable returns whether nobody claims the volume any more and its data may go.
func isReclaimable(volume *v1.PersistentVolume) bool {
	return volume.Status.Phase == v1.VolumeReleased &&
		volume.Spec.PersistentVolumeReclaimPolicy == v1.PersistentVolumeReclaimDelete
}
