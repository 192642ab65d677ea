package test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// asFirst makes the program process 1 of a namespace of its own: for it, signals have no default action.
func asFirst(command *exec.Cmd) {
	command.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	if os.Geteuid() != 0 {
		command.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
	}
}

// listens reports whether the process has opened the bell: it waits.
func listens(process *process) bool {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", process.command.Process.Pid))
	for _, each := range entries {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", process.command.Process.Pid, each.Name()))
		if strings.HasSuffix(target, "/bell") {
			return true
		}
	}
	return false
}

func TestAWarmContainerEndsAtOnceWhateverItIsToldToStopBy(t *testing.T) {
	p := newPod(t)
	p.feed()
	for _, number := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, 37} {
		agent := p.wait(asFirst)
		eventually(t, "it waits", func() bool { return listens(agent) })

		begun := time.Now()
		fatal(t, agent.command.Process.Signal(number))

		code, took := agent.code(t), time.Since(begun)
		if code != 128+int(number) || took > time.Second {
			t.Errorf("signal %d: exit code %d after %s; %s", number, code, took, agent.output())
		}
	}
}

func TestTheAgentGetsSignalsAsIfNothingHadBeenThere(t *testing.T) {
	p := newPod(t)
	p.feed()
	agent := p.wait(asFirst)
	ready := at(p.root, "ready")
	p.server.give(order("1", "u-1", `trap 'echo bye; exit 7' TERM; touch `+ready+`; while :; do sleep 0.05; done`))
	eventually(t, "the trap", func() bool { _, err := os.Stat(ready); return err == nil })

	fatal(t, agent.command.Process.Signal(syscall.SIGTERM))

	if code := agent.code(t); code != 7 || agent.output() != "bye\n" {
		t.Errorf("%d: %q", code, agent.output())
	}
}

func TestTheAgentInheritsNothingOfTheProgramThatWaited(t *testing.T) {
	script := `ls /proc/self/fd | wc -l; ulimit -Sn; ulimit -Hn; grep -E "Sig(Blk|Ign|Cgt)" /proc/self/status; umask`
	p := newPod(t)
	p.feed()
	p.server.give(order("1", "u-1", script))
	limited := "ulimit -Sn 64; exec \"$@\""
	program := at(p.shared, "starter")

	agent := run(t, nil, "/bin/sh", "-c", limited, "sh", program, "wait", "--shared", p.shared)
	plain := run(t, nil, "/bin/sh", "-c", limited, "sh", "/bin/sh", "-c", script)

	agent.code(t)
	plain.code(t)
	if agent.output() != plain.output() || agent.output() == "" {
		t.Errorf("%s\ninstead of\n%s", agent.output(), plain.output())
	}
}

func TestWhyAnAgentDoesNotRunIsSaidInTheLogAndInItsStatusWithoutValues(t *testing.T) {
	root := t.TempDir()
	fatal(t, os.WriteFile(root+"/script", []byte("#!/missing/interpreter\n"), 0o755))
	fatal(t, os.WriteFile(root+"/text", []byte("hello\n"), 0o755))
	fatal(t, os.WriteFile(root+"/plain", []byte("#!/bin/sh\n"), 0o644))
	fatal(t, os.Symlink(root, root+"/link"))
	many := make([]string, 1000)
	for index := range many {
		many[index] = strings.Repeat("x", 8000)
	}
	for name, each := range map[string]struct {
		field string
		value any
		code  int
		said  string
	}{
		"no such command":  {"command", []string{"no-such-command"}, 127, "not found in $PATH"},
		"no such path":     {"command", []string{root + "/none"}, 127, "no such file"},
		"not executable":   {"command", []string{root + "/plain"}, 126, "permission denied"},
		"a directory":      {"command", []string{root}, 126, "permission denied"},
		"no interpreter":   {"command", []string{root + "/script"}, 126, "interpreter"},
		"no program":       {"command", []string{root + "/text"}, 126, "#!"},
		"too long":         {"args", many, 126, "longer than the kernel takes"},
		"no directory":     {"workingDir", root + "/text", 1, "workingDir"},
		"a file by a link": {"files", []object{{"path": root + "/link/x", "content": ""}}, 1, "symbolic link"},
		"a file in a file": {"files", []object{{"path": root + "/text/x", "content": ""}}, 1, "not a directory"},
		"a file in /proc":  {"files", []object{{"path": "/proc/self/x", "content": ""}}, 1, "/proc/self"},
	} {
		p := newPod(t)
		p.feed()
		wanted := orders{order("1", "u-1", "true")}.with("env", []object{{"name": "A", "value": "hunter2"}})
		p.server.give(orders{wanted}.with(each.field, each.value))

		agent := p.wait(nil)

		code, said, status := agent.code(t), agent.output(), read(t, at(p.root, "termination-log"))
		if code != each.code || !strings.Contains(said, each.said) || status != said {
			t.Errorf("%s: %d, %q, in the status %q", name, code, said, status)
		}
		if strings.Contains(said, "hunter2") || len(said) > 1000 || strings.Count(said, "\n") != 1 {
			t.Errorf("%s: %q", name, said)
		}
	}
}

func TestAWarmContainerStartsWithoutABellToo(t *testing.T) {
	p := newPod(t)
	p.feed()
	fatal(t, os.Remove(at(p.shared, "bell")))
	agent := p.wait(nil)

	p.server.give(order("1", "u-1", "echo run"))

	if code := agent.code(t); code != 0 || agent.output() != "run\n" {
		t.Errorf("%d: %q", code, agent.output())
	}
}

func TestBothProgramsSayTheirVersionAndWhatTheyTake(t *testing.T) {
	for _, program := range []string{starter, waiter} {
		for option, wanted := range map[string]string{"--version": " 0.", "--help": "Usage: "} {
			process := run(t, nil, program, option)
			if code := process.code(t); code != 0 || !strings.Contains(process.output(), wanted) {
				t.Errorf("%s %s: %d, %q", program, option, code, process.output())
			}
		}
		if code := run(t, nil, program, "other").code(t); code != 2 {
			t.Errorf("%s other: %d", program, code)
		}
	}
}
