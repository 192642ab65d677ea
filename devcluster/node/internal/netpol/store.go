package netpol

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"ringfence.dev/devcluster/internal/attachment"
)

var containerID = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// store keeps the attachments, in memory and as a file each, so that a restarted engine knows them.
type store struct {
	dir  string
	mu   sync.Mutex
	byID map[string]attachment.Attachment
}

// openStore reads the attachments that an earlier process left in dir.
func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &store{dir: dir, byID: map[string]attachment.Attachment{}}
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		var a attachment.Attachment
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &a); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		s.byID[a.ContainerID] = a
	}
	return s, nil
}

// Put records a, and forgets the sandboxes that had one of its addresses before: IPAM gave it away.
func (s *store) Put(a attachment.Attachment) error {
	if !containerID.MatchString(a.ContainerID) || a.UID == "" || len(a.IPs) == 0 {
		return errors.New("an attachment needs a container ID, a pod UID and addresses")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, other := range s.byID {
		if id != a.ContainerID && sharesAddress(a, other) {
			if err := s.remove(id); err != nil {
				return err
			}
		}
	}
	text, err := json.Marshal(a)
	if err != nil {
		return err
	}
	// Written beside and renamed: a reader never sees half a file.
	partial := s.path(a.ContainerID) + ".partial"
	if err := os.WriteFile(partial, text, 0o600); err != nil {
		return err
	}
	if err := os.Rename(partial, s.path(a.ContainerID)); err != nil {
		return err
	}
	s.byID[a.ContainerID] = a
	return nil
}

// Delete forgets a sandbox; one that is not known is no error.
func (s *store) Delete(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byID[id]; !known {
		return nil
	}
	return s.remove(id)
}

// All returns the attachments in no particular order.
func (s *store) All() []attachment.Attachment {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]attachment.Attachment, 0, len(s.byID))
	for _, a := range s.byID {
		all = append(all, a)
	}
	return all
}

func (s *store) remove(id string) error {
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	delete(s.byID, id)
	return nil
}

func (s *store) path(id string) string { return filepath.Join(s.dir, id+".json") }

func sharesAddress(a, b attachment.Attachment) bool {
	for _, ip := range a.IPs {
		if slices.Contains(b.IPs, ip) {
			return true
		}
	}
	return false
}
