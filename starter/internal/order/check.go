package order

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// What an order may have at most: more than the API lets through, so that it is the API which says no.
const (
	longestName    = 253
	mostStrings    = 1024
	mostFiles      = 1024
	mostFileBytes  = 4 << 20
	longestPath    = 4096
	longestResolve = 16 << 10
	// LongestString is what Linux passes to a program in one argument or variable (MAX_ARG_STRLEN), without its end.
	LongestString = 128<<10 - 1
)

func (o *Order) check() error {
	if len(o.ResolvConf) > longestResolve || strings.ContainsRune(o.ResolvConf, 0) {
		return fmt.Errorf("resolvConf has more than %d bytes, or a NUL", longestResolve)
	}
	if o.ResolvConf != "" && !strings.HasPrefix("\n"+o.ResolvConf, "\nnameserver ") &&
		!strings.Contains(o.ResolvConf, "\nnameserver ") {
		// Without one, libraries ask 127.0.0.1, or whatever they take for their default.
		return errors.New("resolvConf names no nameserver")
	}
	if o.WayOut != "" {
		if _, err := o.Place(); err != nil {
			return err
		}
	}
	return o.Start.check()
}

func (s *Start) check() error {
	if !isUID(s.Agent.UID) {
		return errors.New("agent.uid is not a UID")
	}
	if len(s.Agent.Namespace) > longestName || len(s.Agent.Name) > longestName {
		return errors.New("agent has a name that is too long")
	}
	if len(s.Command) == 0 || s.Command[0] == "" {
		return errors.New("command is empty")
	}
	if s.WorkingDir != "" && (!path.IsAbs(s.WorkingDir) || len(s.WorkingDir) > longestPath || !isPassable(s.WorkingDir)) {
		return errors.New("workingDir is not an absolute path")
	}
	return errors.Join(s.checkStrings(), s.checkEnvironment(), s.checkFiles())
}

func (s *Start) checkStrings() error {
	if len(s.Command)+len(s.Args) > mostStrings {
		return fmt.Errorf("command and args have more than %d words", mostStrings)
	}
	for kind, words := range map[string][]string{"command": s.Command, "args": s.Args} {
		for index, word := range words {
			if !isPassable(word) {
				return fmt.Errorf("%s[%d] is longer than %d bytes, or has a NUL", kind, index, LongestString)
			}
		}
	}
	return nil
}

func (s *Start) checkEnvironment() error {
	if len(s.Env) > mostStrings {
		return fmt.Errorf("env has more than %d variables", mostStrings)
	}
	for index, each := range s.Env {
		if each.Name == "" || strings.ContainsAny(each.Name, "=\x00") {
			return fmt.Errorf("env[%d] has no name, or one with = or NUL", index)
		}
		if !isPassable(each.Name + "=" + each.Value) {
			return fmt.Errorf("env[%d], %.64s, is longer than %d bytes, or has a NUL", index, each.Name, LongestString)
		}
	}
	return nil
}

func (s *Start) checkFiles() error {
	if len(s.Files) > mostFiles {
		return fmt.Errorf("there are more than %d files", mostFiles)
	}
	seen, total := map[string]bool{}, 0
	for index, each := range s.Files {
		if !isPath(each.Path) || each.Path == "/" {
			return fmt.Errorf("files[%d].path is not an absolute path without . and ..", index)
		}
		if seen[each.Path] {
			return fmt.Errorf("files[%d].path is that of another file", index)
		}
		if each.Mode > 0o777 {
			return fmt.Errorf("files[%d].mode is more than 0777", index)
		}
		seen[each.Path] = true
		total += len(each.Content)
	}
	if total > mostFileBytes {
		return fmt.Errorf("files have more than %d bytes in all", mostFileBytes)
	}
	return nil
}

// isUID reports whether text is what API servers make UIDs of.
func isUID(text string) bool {
	other := func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '-')
	}
	return text != "" && len(text) <= 128 && strings.IndexFunc(text, other) < 0
}

func isPath(text string) bool {
	return path.IsAbs(text) && path.Clean(text) == text && len(text) <= longestPath && !strings.ContainsRune(text, 0)
}

func isPassable(text string) bool {
	return len(text) <= LongestString && !strings.ContainsRune(text, 0)
}
