package shared

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
	"unsafe"
)

// The bell is a named pipe: whoever opens it for writing wakes all who have it open for reading. An inotify instance
// would do the same, but a user may have 128 of them, and in a user namespace they are taken from the root of the
// node: a hundred warm pods would leave the kubelet none.

// bellMode lets everybody listen, and nobody else ring: where it is mounted read-only, a pipe could be written to.
const bellMode = 0o644

// Bell is an open end of the pipe that a waiting container listens at.
type Bell struct {
	end int
}

func (d Directory) makeBell() error {
	if err := syscall.Mkfifo(d.bell(), bellMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return &fs.PathError{Op: "mkfifo", Path: d.bell(), Err: err}
	}
	return os.Chmod(d.bell(), bellMode) // whatever the umask
}

// Ring wakes whoever listens. That nobody does is no error: they look before they listen.
func (d Directory) Ring() error {
	end, err := syscall.Open(d.bell(), syscall.O_WRONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ENXIO) {
		return nil
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: d.bell(), Err: err}
	}
	return syscall.Close(end)
}

// Listen opens the bell. What is looked at afterwards cannot be missed: a ring from now on ends Wait.
func (d Directory) Listen() (*Bell, error) {
	end, err := syscall.Open(d.bell(), syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: d.bell(), Err: err}
	}
	return &Bell{end}, nil
}

// pollFD is struct pollfd of poll(2).
type pollFD struct {
	file    int32
	events  int16
	revents int16
}

// Wait returns whether the bell has rung since Listen, once it has or the time is over. Nothing is ever written to the
// pipe: that a writer came and went is what the kernel tells (POLLHUP).
func (b *Bell) Wait(longest time.Duration) (bool, error) {
	end, timeout := pollFD{file: int32(b.end)}, syscall.NsecToTimespec(longest.Nanoseconds())
	_, _, failed := syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&end)), 1,
		uintptr(unsafe.Pointer(&timeout)), 0, 0, 0)
	if failed != 0 && failed != syscall.EINTR {
		return false, failed
	}
	return failed == 0 && end.revents != 0, nil
}

// Close stops listening.
func (b *Bell) Close() error { return syscall.Close(b.end) }
