package test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var starter, waiter string

func TestMain(m *testing.M) {
	// Whoever runs the tests may ignore it, as nohup does: programs would inherit that, and a container's do not.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(built(m))
}

func built(m *testing.M) int {
	directory, err := os.MkdirTemp("", "starter-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	starter, waiter = at(directory, "ringfence-starter"), at(directory, "ringfence-wait")
	for _, program := range []string{starter, waiter} {
		build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "../cmd/"+filepath.Base(program))
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if said, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", said, err)
			return 1
		}
	}
	return m.Run()
}

// pod is what the two containers share, with its server.
type pod struct {
	t      testing.TB
	server *server
	shared string
	root   string
	canary string
}

func newPod(t testing.TB) *pod {
	t.Helper()
	from := newAuthority(t)
	p := &pod{t: t, root: t.TempDir(), server: newServer(t, from.issue(t, "ringfence-control"), tls.VersionTLS13)}
	p.shared, p.canary = at(p.root, "shared"), nobody(t)
	fatal(t, os.Mkdir(p.shared, 0o755))
	put(t, at(p.root, "token"), []byte("token-1\n"))
	put(t, at(p.root, "ca.crt"), from.pem())
	return p
}

// nobody returns a place that refuses connections.
func nobody(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	fatal(t, err)
	defer listener.Close()
	return listener.Addr().String()
}

// listen takes connections at a place until the test ends, or it is closed.
func listen(t testing.TB, place string) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", place)
	fatal(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connection.Close()
		}
	}()
	return listener
}

// process is a program that runs, and what it has said.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	mutex   sync.Mutex
	said    bytes.Buffer
}

func (p *process) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.said.Write(text)
}

func (p *process) output() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.said.String()
}

func (p *process) kill() {
	_ = p.command.Process.Kill()
	<-p.ended
}

// code returns the exit code once it has ended.
func (p *process) code(t testing.TB) int {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		t.Fatalf("still runs after ten seconds; it said: %s", p.output())
	}
	return p.command.ProcessState.ExitCode()
}

func run(t testing.TB, change func(*exec.Cmd), program string, arguments ...string) *process {
	t.Helper()
	p := &process{command: exec.Command(program, arguments...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p, p
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.command.WaitDelay = time.Second
	if change != nil {
		change(p.command)
	}
	fatal(t, p.command.Start())
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(p.kill)
	return p
}

func (p *pod) feedBy(from *server) *process {
	p.t.Helper()
	return run(p.t, nil, starter, "feed", "--shared", p.shared, "--control", from.http.URL, "--canary", p.canary,
		"--token", at(p.root, "token"), "--authority", at(p.root, "ca.crt"))
}

func (p *pod) feed() *process {
	p.t.Helper()
	result := p.feedBy(p.server)
	p.ready()
	return result
}

func (p *pod) ready() {
	p.t.Helper()
	if code := run(p.t, nil, starter, "ready", "--shared", p.shared, "--limit", "10s").code(p.t); code != 0 {
		p.t.Fatalf("ready: %d", code)
	}
}

func (p *pod) wait(change func(*exec.Cmd)) *process {
	p.t.Helper()
	log := at(p.root, "termination-log")
	fatal(p.t, os.WriteFile(log, nil, 0o600))
	return run(p.t, change, at(p.shared, "starter"), "wait", "--shared", p.shared, "--termination-log", log)
}

// last returns the newest poll.
func (p *pod) last() asked {
	all := p.server.seen()
	if len(all) == 0 {
		return asked{}
	}
	return all[len(all)-1]
}

func (p *pod) told(what string, is func(asked) bool) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("%s; last: %+v", what, p.last()), func() bool { return is(p.last()) })
}

func order(version, uid string, script string) object {
	return object{
		"version": version, "agent": object{"namespace": "team", "name": "agent", "uid": uid},
		"command": []string{"/bin/sh", "-c", script}, "args": []string{}, "workingDir": "", "env": []object{},
		"files": []object{}, "resolvConf": "nameserver 10.0.0.1\n", "wayOut": "",
	}
}

func (o orders) with(field string, value any) object { o.object[field] = value; return o.object }

type orders struct{ object }

// isStarted reports whether start.json is of that agent.
func (p *pod) isStarted(uid string) bool {
	return strings.Contains(read(p.t, at(p.shared, "start.json")), `"uid":"`+uid+`"`)
}
