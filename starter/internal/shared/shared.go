// Package shared is the small volume in memory that the starter writes and the agent's container mounts read-only.
//
// Whatever is in it under its own name is whole: it was linked or renamed there, or is a single write.
package shared

import "path/filepath"

// Default is where both containers have it.
const Default = "/run/ringfence"

// Directory is the path of the volume.
type Directory string

// Program is what the agent's container runs while it is warm.
func (d Directory) Program() string { return d.at("starter") }

// ResolvConf is the container's /etc/resolv.conf, by a mount of this very file.
func (d Directory) ResolvConf() string { return d.at("resolv.conf") }

// Start is what the container becomes; made once, never changed.
func (d Directory) Start() string { return d.at("start.json") }

func (d Directory) bell() string { return d.at("bell") }

func (d Directory) lock() string { return d.at("lock") }

func (d Directory) at(name string) string { return filepath.Join(string(d), name) }
