package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"ringfence.dev/starter/internal/order"
)

// Exit codes of shells, which people know.
const (
	codeFailed     = 1
	codeCannotRun  = 126
	codeNotFound   = 127
	directoryMode  = 0o755
	defaultForPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// Error is why the container has not become what it was to become, and the code that it ends with.
type Error struct {
	Code int
	err  error
}

func (e *Error) Error() string { return e.err.Error() }

func (e *Error) Unwrap() error { return e.err }

// Become replaces this process by what `start` says. It returns only if that fails.
func Become(start *order.Start, environment []string) *Error {
	variables := overlay(environment, start.Env)
	words := variables.expandAll(append(append([]string{}, start.Command...), start.Args...))
	for _, each := range start.Files {
		if err := writeFile(each); err != nil {
			return &Error{codeFailed, fmt.Errorf("file %s: %w", each.Path, explained(err))}
		}
	}
	if err := enter(start.WorkingDir); err != nil {
		return &Error{codeFailed, fmt.Errorf("workingDir: %w", err)}
	}
	program, err := find(words[0], variables.get("PATH", defaultForPath))
	if err != nil {
		return failure(words[0], err)
	}
	return failure(program, syscall.Exec(program, words, variables.list()))
}

// enter goes to the directory that the command starts in; as the runtime does, it makes one that is missing.
func enter(directory string) error {
	if directory == "" {
		return nil // the container's own, where it is already
	}
	err := os.Chdir(directory)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(directory, directoryMode) == nil {
		return os.Chdir(directory)
	}
	return err
}

func failure(program string, err error) *Error {
	reason, code := error(nil), codeCannotRun
	switch {
	case errors.Is(err, errNotFound):
		reason, code = errors.New("not found in $PATH: write its path, or install it in the image"), codeNotFound
	case errors.Is(err, fs.ErrNotExist) && isThere(program):
		// The kernel says of a missing interpreter that the script does not exist.
		reason = errors.New("there, but the interpreter that its first line or its header names is not")
	case errors.Is(err, fs.ErrNotExist):
		reason, code = errors.New("no such file in the image"), codeNotFound
	case errors.Is(err, syscall.ENOEXEC):
		reason = errors.New("neither a program for this machine nor a script that begins with #!")
	case errors.Is(err, syscall.E2BIG):
		reason = errors.New("arguments and environment are longer than the kernel takes")
	default:
		reason = err
	}
	return &Error{code, fmt.Errorf("command %.256q: %w", program, reason)}
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
