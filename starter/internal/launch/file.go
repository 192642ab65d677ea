package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"ringfence.dev/starter/internal/order"
)

const (
	// openPath is O_PATH, which package syscall lacks: a directory need not be readable to be passed through.
	openPath   = 0x200000
	partial    = ".ringfence-new"
	throughDir = openPath | syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
)

// writeFile makes a file with its parent directories. It follows no symbolic link: not even one that an earlier run of
// the agent has left in a volume. A file that is there is replaced.
func writeFile(file order.File) error {
	parent, err := openParents(path.Dir(file.Path))
	if err != nil {
		return err
	}
	defer syscall.Close(parent)
	// A container that was killed while it wrote may have left one.
	if err := syscall.Unlinkat(parent, partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err = writeAt(parent, file)
	if err == nil {
		err = syscall.Renameat(parent, partial, parent, path.Base(file.Path))
	}
	if err != nil {
		_ = syscall.Unlinkat(parent, partial)
	}
	return err
}

func writeAt(parent int, file order.File) error {
	flags := syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	number, err := syscall.Openat(parent, partial, flags, 0o600)
	if err != nil {
		return err
	}
	target := os.NewFile(uintptr(number), file.Path)
	mode := file.Mode
	if mode == 0 {
		mode = order.DefaultMode
	}
	_, err = target.Write(file.Content)
	return errors.Join(err, target.Chmod(fs.FileMode(mode)), target.Close())
}

// openParents returns the directory, made as far as it is missing, with no symbolic link on the way to it.
func openParents(directory string) (int, error) {
	current, err := syscall.Open("/", throughDir, 0)
	if err != nil {
		return -1, err
	}
	reached := ""
	for _, name := range strings.Split(strings.Trim(directory, "/"), "/") {
		if name == "" {
			continue
		}
		reached += "/" + name
		next, err := step(current, name, reached)
		syscall.Close(current)
		if err != nil {
			return -1, err
		}
		current = next
	}
	return current, nil
}

// step opens a directory below an open one; `reached` is its path, for messages.
func step(current int, name, reached string) (int, error) {
	next, err := syscall.Openat(current, name, throughDir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		if err := syscall.Mkdirat(current, name, directoryMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return -1, &fs.PathError{Op: "mkdir", Path: reached, Err: err}
		}
		next, err = syscall.Openat(current, name, throughDir, 0)
	}
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		if target, isLink := os.Readlink(reached); isLink == nil {
			return -1, fmt.Errorf("%s is a symbolic link to %s: write the path that it leads to", reached, target)
		}
	}
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: reached, Err: err}
	}
	return next, nil
}

// explained adds to what the kernel says what can be done about it.
func explained(err error) error {
	switch {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w: write a path in the workspace or in one of the policy's writablePaths", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: write a path that the agent's user may write to", err)
	}
	return err
}
