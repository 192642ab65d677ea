package shared

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"ringfence.dev/starter/internal/order"
)

const (
	// Nowhere is the resolv.conf of a pod without a port set: whatever is asked fails at once.
	Nowhere = "nameserver 127.0.0.1\n"
	// unfinished begins the names of files that are not whole yet.
	unfinished = ".new-"
	lockPause  = 100 * time.Millisecond
)

// TakenError says that the pod has become another agent's already.
type TakenError struct{ UID string }

func (e *TakenError) Error() string {
	return fmt.Sprintf("the pod is the agent's whose UID is %s, for life: claim another one", e.UID)
}

// Lock waits until no other starter feeds this directory, and keeps others from it until the process ends.
func (d Directory) Lock(ctx context.Context) error {
	// Only the starter's user may open it: a lock needs no more than a file that is open.
	file, err := syscall.Open(d.lock(), syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.lock(), Err: err}
	}
	for {
		err := syscall.Flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil // the descriptor stays open, and with it the lock
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return &fs.PathError{Op: "lock", Path: d.lock(), Err: err}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lockPause):
		}
	}
}

// Prepare makes what the agent's container needs to start, as far as it is not there. `program` is what it will run.
func (d Directory) Prepare(program string) error {
	if err := d.sweep(); err != nil {
		return err
	}
	if err := d.makeBell(); err != nil {
		return err
	}
	if err := d.install(program); err != nil {
		return err
	}
	// The last one: it is what the agent's container cannot do without, and a mount keeps its inode.
	return d.link([]byte(Nowhere), d.ResolvConf())
}

// sweep removes what a starter that was killed has left unfinished.
func (d Directory) sweep() error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return err
	}
	for _, each := range entries {
		if strings.HasPrefix(each.Name(), unfinished) {
			if err := os.Remove(d.at(each.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// install copies the program unless the very same is there: it lies in memory, and a running one keeps its old copy.
func (d Directory) install(program string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	if there, err := os.ReadFile(d.Program()); err == nil && bytes.Equal(there, content) {
		return nil
	}
	partial, err := d.write(content, 0o555)
	if err != nil {
		return err
	}
	defer os.Remove(partial)
	return os.Rename(partial, d.Program())
}

// Resolve makes `content` the resolv.conf, empty for one that leads nowhere. It is written in place: a file that
// replaces it would not be seen where the former is mounted.
func (d Directory) Resolve(content string) error {
	if content == "" {
		content = Nowhere
	}
	file, err := os.OpenFile(d.ResolvConf(), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	former, err := io.ReadAll(file)
	if err != nil || string(former) == content {
		return err
	}
	// One write as long as the longer of the two: whoever is killed before or after it leaves a file of one kind. (Who
	// reads in the very nanoseconds of the write may still see both; the kernel locks only writers out.)
	padding := bytes.Repeat([]byte{'\n'}, max(0, len(former)-len(content)))
	if _, err := file.WriteAt(append([]byte(content), padding...), 0); err != nil {
		return err
	}
	return file.Truncate(int64(len(content)))
}

// HandOver makes `start` what the container becomes. Once it has become something, it is only compared: the same agent
// is fine, another one a TakenError.
func (d Directory) HandOver(start *order.Start) error {
	content := &bytes.Buffer{}
	encoder := json.NewEncoder(content)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(start); err != nil {
		return err
	}
	if content.Len() > order.LongestStart {
		return fmt.Errorf("the order has more than %d bytes", order.LongestStart)
	}
	if err := d.link(content.Bytes(), d.Start()); err != nil {
		return err
	}
	taken, err := order.Read(d.Start())
	if err != nil {
		return err
	}
	if taken.Agent.UID != start.Agent.UID {
		return &TakenError{taken.Agent.UID}
	}
	return nil
}

// link makes a whole file of that name; one that is there stays as it is.
func (d Directory) link(content []byte, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return nil
	}
	partial, err := d.write(content, 0o644)
	if err != nil {
		return err
	}
	defer os.Remove(partial)
	if err := os.Link(partial, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// write returns the path of a new file with this content and mode, whatever the umask.
func (d Directory) write(content []byte, mode fs.FileMode) (string, error) {
	file, err := os.CreateTemp(string(d), unfinished+"*")
	if err != nil {
		return "", err
	}
	_, err = file.Write(content)
	err = errors.Join(err, file.Chmod(mode), file.Close())
	if err != nil {
		os.Remove(file.Name())
		return "", err
	}
	return file.Name(), nil
}
