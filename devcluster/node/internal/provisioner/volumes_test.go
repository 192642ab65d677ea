package provisioner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestAVolumeIsFullAtItsSizeAndGoneAfterItsDeletion(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	ctx := context.Background()
	volumes := Volumes{Dir: filepath.Join(t.TempDir(), "volumes")}
	t.Cleanup(func() { _ = volumes.Cleanup(ctx) })
	if err := volumes.Create(ctx, "v", 8*mebibyte); err != nil {
		t.Fatal(err)
	}

	fits := os.WriteFile(filepath.Join(volumes.Path("v"), "fits"), make([]byte, 7*mebibyte), 0o600)
	tooMuch := os.WriteFile(filepath.Join(volumes.Path("v"), "more"), make([]byte, 2*mebibyte), 0o600)
	deleted := volumes.Delete(ctx, "v")

	if fits != nil || !errors.Is(tooMuch, syscall.ENOSPC) || deleted != nil {
		t.Errorf("fits: %v, too much: %v, deleted: %v", fits, tooMuch, deleted)
	}
	if entries, _ := os.ReadDir(volumes.Dir); len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
