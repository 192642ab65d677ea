package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

var errNotFound = errors.New("not in the search path")

const executable = 1 // X_OK of access(2)

// find returns the path of a command: the name itself if it has a slash, else the first of that name in the search
// path that may be executed. If there are some, and none may be, that is the error.
func find(name, search string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	refused := errNotFound
	for _, directory := range filepath.SplitList(search) {
		if directory == "" {
			directory = "."
		}
		// A leading ./ is kept: without it, the name could not be told from one to be searched for.
		path := directory + "/" + name
		found, err := os.Stat(path)
		if err != nil {
			continue
		}
		if found.IsDir() || syscall.Access(path, executable) != nil {
			refused = &fs.PathError{Op: "exec", Path: path, Err: fs.ErrPermission}
			continue
		}
		return path, nil
	}
	return "", refused
}
