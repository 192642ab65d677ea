package provisioner

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// made returns a directory of volumes with the volume "v" in it.
func made(t *testing.T, size int64) Volumes {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	ctx := context.Background()
	volumes := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}
	t.Cleanup(func() { _ = volumes.Cleanup(ctx) })
	if err := volumes.Create(ctx, "v", size); err != nil {
		t.Fatal(err)
	}
	return volumes
}

func write(t *testing.T, volumes Volumes, name string, size int) error {
	t.Helper()
	return os.WriteFile(filepath.Join(volumes.Path("v"), name), make([]byte, size), 0o600)
}

func TestAVolumeIsFullAtItsSizeAndGoneAfterItsDeletion(t *testing.T) {
	volumes := made(t, 8*mebibyte)

	fits := write(t, volumes, "fits", 7*mebibyte)
	tooMuch := write(t, volumes, "more", 2*mebibyte)
	deleted := volumes.Delete(context.Background(), "v")

	if fits != nil || !errors.Is(tooMuch, syscall.ENOSPC) || deleted != nil {
		t.Errorf("fits: %v, too much: %v, deleted: %v", fits, tooMuch, deleted)
	}
	if entries, _ := os.ReadDir(volumes.Dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestAVolumeKeepsItsDataWhenItIsMountedAgain(t *testing.T) {
	volumes := made(t, mebibyte)
	if err := write(t, volumes, "kept", 10); err != nil {
		t.Fatal(err)
	}
	if err := run(context.Background(), "umount", volumes.Path("v")); err != nil {
		t.Fatal(err)
	}

	for range 2 { // the second time it is mounted already
		if err := volumes.Create(context.Background(), "v", mebibyte); err != nil {
			t.Fatal(err)
		}
	}

	entries, err := os.ReadDir(volumes.Path("v"))
	if err != nil || len(entries) != 1 || entries[0].Name() != "kept" {
		t.Errorf("entries: %v, %v", entries, err)
	}
	if mounts, _ := mountsUnder(volumes.Dir); len(mounts) != 1 {
		t.Errorf("mounts: %v", mounts)
	}
}

func TestCleanupLeavesNoMountNoDeviceAndNoFile(t *testing.T) {
	volumes := made(t, mebibyte)

	for range 2 { // the second time there is nothing to do
		if err := volumes.Cleanup(context.Background()); err != nil {
			t.Fatal(err)
		}
	}

	if mounts, _ := mountsUnder(volumes.Dir); len(mounts) != 0 {
		t.Errorf("mounts: %v", mounts)
	}
	if devices, err := exec.Command("losetup", "--list").Output(); err != nil || strings.Contains(string(devices), volumes.Dir) {
		t.Errorf("devices: %s, %v", devices, err)
	}
	if _, err := os.Stat(volumes.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory: %v", err)
	}
}
