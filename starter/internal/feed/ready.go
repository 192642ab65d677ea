package feed

import (
	"fmt"
	"os"
	"time"

	"ringfence.dev/starter/internal/shared"
)

const readyPause = 10 * time.Millisecond

// WaitReady returns once the agent's container may start: what it runs, and what is mounted as its resolv.conf, is
// there. Without the latter, the kubelet would make a directory of that name.
func WaitReady(directory shared.Directory, longest time.Duration) error {
	end := time.Now().Add(longest)
	for {
		missing := ""
		for _, path := range []string{directory.Program(), directory.ResolvConf()} {
			if found, err := os.Stat(path); err != nil || !found.Mode().IsRegular() {
				missing = path
			}
		}
		if missing == "" {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s is not there after %s: the log of the container that runs `feed` says why", missing, longest)
		}
		time.Sleep(readyPause)
	}
}
