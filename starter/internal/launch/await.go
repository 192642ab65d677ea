// Package launch is the warm container's side: it waits for a start and becomes it.
package launch

import (
	"errors"
	"io/fs"
	"time"

	"ringfence.dev/starter/internal/order"
	"ringfence.dev/starter/internal/shared"
)

const (
	// safety is how often it looks though no bell has rung.
	safety = 10 * time.Second
	// without is how often it looks where there is no bell, as in a sandbox whose volumes have no named pipes.
	without = 50 * time.Millisecond
)

// Await returns what the container is to become, as soon as it is there.
func Await(directory shared.Directory) (*order.Start, error) {
	for {
		start, err := look(directory)
		if !errors.Is(err, fs.ErrNotExist) {
			return start, err
		}
	}
}

// look looks once, then waits until there may be something to see.
func look(directory shared.Directory) (*order.Start, error) {
	bell, err := directory.Listen()
	if err != nil {
		return lookLater(directory)
	}
	defer bell.Close()
	start, missing := order.Read(directory.Start())
	if !errors.Is(missing, fs.ErrNotExist) {
		return start, missing
	}
	// Whoever rings has made the start before. If it is not there, this is another kernel's idea of a pipe.
	if isRung, err := bell.Wait(safety); isRung || err != nil {
		if start, missing = order.Read(directory.Start()); missing != nil {
			return lookLater(directory)
		}
	}
	return start, missing
}

func lookLater(directory shared.Directory) (*order.Start, error) {
	start, err := order.Read(directory.Start())
	if errors.Is(err, fs.ErrNotExist) {
		time.Sleep(without)
	}
	return start, err
}
