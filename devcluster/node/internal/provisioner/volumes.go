package provisioner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Volumes are ext4 file systems in sparse files, each loop-mounted beside its file.
//
// The file's size is the volume's limit: writing more fails with ENOSPC, in
// the kernel, for every user. Dir must be an absolute path.
type Volumes struct{ Dir string }

// Path is where a volume is mounted.
func (v Volumes) Path(name string) string { return filepath.Join(v.Dir, name) }

func (v Volumes) image(name string) string { return v.Path(name) + ".img" }

// Create makes the volume with size bytes and mounts it. One that exists already is only mounted.
func (v Volumes) Create(ctx context.Context, name string, size int64) error {
	if err := os.MkdirAll(v.Dir, 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(v.image(name)); errors.Is(err, fs.ErrNotExist) {
		if err := v.format(ctx, name, size); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return v.Mount(ctx, name)
}

// format makes the file under a name of its own first: a file with the final name always holds a file system.
func (v Volumes) format(ctx context.Context, name string, size int64) error {
	partial := v.image(name) + ".partial"
	if err := os.WriteFile(partial, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(partial, size); err != nil {
		return err
	}
	// No journal and no blocks for root alone: nearly all of the size is the pod's.
	err := run(ctx, "mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E", "lazy_itable_init=1,nodiscard", partial)
	if err != nil {
		return err
	}
	return os.Rename(partial, v.image(name))
}

// Mount mounts an existing volume; one that is mounted already is left alone.
func (v Volumes) Mount(ctx context.Context, name string) error {
	mounted, err := isMounted(v.Path(name))
	if err != nil || mounted {
		return err
	}
	if err := os.MkdirAll(v.Path(name), 0o755); err != nil {
		return err
	}
	if err := run(ctx, "mount", "-o", "loop,nosuid,nodev,noatime", v.image(name), v.Path(name)); err != nil {
		return err
	}
	// A workspace starts empty. Later it may hold a directory of this name that is the pod's own.
	if err := os.Remove(filepath.Join(v.Path(name), "lost+found")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil //nolint:nilerr // not empty: it is in use
	}
	return nil
}

// Delete unmounts the volume and deletes its data; one that does not exist is no error.
func (v Volumes) Delete(ctx context.Context, name string) error {
	mounted, err := isMounted(v.Path(name))
	if err != nil {
		return err
	}
	if mounted {
		if err := run(ctx, "umount", v.Path(name)); err != nil {
			return err
		}
	}
	for _, path := range []string{v.image(name), v.Path(name)} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Cleanup unmounts every volume, frees the loop devices and deletes the directory.
func (v Volumes) Cleanup(ctx context.Context) error {
	mounts, err := mountsUnder(v.Dir)
	if err != nil {
		return err
	}
	for _, path := range mounts {
		// Lazily: a process that still has a file open keeps the device, but not the directory.
		if err := run(ctx, "umount", "--lazy", path); err != nil {
			return err
		}
	}
	images, err := filepath.Glob(filepath.Join(v.Dir, "*.img"))
	if err != nil {
		return err
	}
	for _, image := range images {
		if err := detach(ctx, image); err != nil {
			return err
		}
	}
	return os.RemoveAll(v.Dir)
}

// detach frees the loop devices that a mount left behind; normally the last unmount does it.
func detach(ctx context.Context, image string) error {
	out, err := exec.CommandContext(ctx, "losetup", "--noheadings", "--output", "NAME", "--associated", image).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	for _, device := range strings.Fields(string(out)) {
		if err := run(ctx, "losetup", "--detach", device); err != nil && !strings.Contains(err.Error(), "No such device") {
			return err
		}
	}
	return nil
}

func isMounted(path string) (bool, error) {
	mounts, err := mountsUnder(path)
	return len(mounts) > 0, err
}

// mountsUnder returns the mount points at or under dir, the innermost first.
func mountsUnder(dir string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		path := unescape.Replace(fields[4])
		if path == dir || strings.HasPrefix(path, dir+"/") {
			found = append([]string{path}, found...)
		}
	}
	return found, nil
}

// unescape undoes what proc(5) does to names in mountinfo.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func run(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
