// Package order is what the operator asks a pod of a pool to become, and what the starter leaves of it in start.json.
//
// It imports nothing of the network: the program that waits in each warm container has to stay small.
package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Version of the programs, which is Ringfence's.
const Version = "0.1.0"

// LongestStart is how many bytes start.json may have; it bounds what a warm container reads into memory.
const LongestStart = 16 << 20

// Start is what a warm container becomes. It says whose it is, once and for all.
type Start struct {
	Agent      Agent      `json:"agent"`
	Command    []string   `json:"command"`
	Args       []string   `json:"args,omitempty"`
	WorkingDir string     `json:"workingDir,omitempty"`
	Env        []Variable `json:"env,omitempty"`
	Files      []File     `json:"files,omitempty"`
}

// Order is the control server's answer to a poll: a start, and what may change after it.
type Order struct {
	Start

	Version    string `json:"version"`
	ResolvConf string `json:"resolvConf"`
	// WayOut is http://ADDRESS:PORT of the policy's port set, or empty.
	WayOut string `json:"wayOut"`
}

// Agent is whom the pod belongs to.
type Agent struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Variable is one of the environment. Its value may be a secret: it is never logged.
type Variable struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// File is a file that the agent finds; a Mode of 0 stands for DefaultMode.
type File struct {
	Path    string `json:"path"`
	Mode    uint32 `json:"mode,omitempty"`
	Content []byte `json:"content"`
}

// None is the version of no order: the one that there was is taken back. Others are digests, so none of them has it.
const None = "none"

// DefaultMode is that of files whose order says none: everybody may read them.
const DefaultMode = 0o444

// Decode returns the order in the body of an answer, checked; of None there is nothing but its version. Its errors
// name places, and no values.
func Decode(body []byte) (*Order, error) {
	found := &Order{}
	if err := json.Unmarshal(body, found); err != nil {
		return nil, withoutValues(err)
	}
	if found.Version == "" {
		return nil, errors.New("version is missing")
	}
	if found.Version == None {
		return &Order{Version: None}, nil
	}
	if err := found.check(); err != nil {
		return nil, err
	}
	return found, nil
}

// Read returns what a start.json says. The error is os.ErrNotExist's as long as there is none.
func Read(path string) (*Start, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, LongestStart))
	if err != nil {
		return nil, err
	}
	found := &Start{}
	if err := json.Unmarshal(content, found); err != nil {
		return nil, fmt.Errorf("%s: %w", path, withoutValues(err))
	}
	return found, found.check()
}

// withoutValues returns an error of the same place: the decoder's own may quote what it has read.
func withoutValues(err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind):
		return fmt.Errorf("%s is not of type %s", kind.Field, kind.Type)
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON, at byte %d", syntax.Offset)
	}
	return errors.New("content of a file is not base64")
}
