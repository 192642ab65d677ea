package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The users of the two containers, and the pod's group, as the operator has them.
const feeder, agentUser = 65533, 65532

// passable lets other users come to what is below a temporary directory.
func passable(t *testing.T, path string) {
	t.Helper()
	for ; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		fatal(t, os.Chmod(path, 0o755))
	}
}

func TestTheAgentReadsWhatItIsGivenAndCanNeitherChangeNorHoldIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be two other users")
	}
	p := newPod(t)
	passable(t, p.root)
	passable(t, filepath.Dir(starter))
	fatal(t, os.Chown(p.shared, 0, agentUser))
	fatal(t, os.Chmod(p.shared, 0o777|os.ModeSetgid)) // as the kubelet makes an emptyDir of a pod with fsGroup
	fatal(t, os.Chmod(at(p.root, "token"), 0o444))
	fatal(t, os.Chmod(at(p.root, "ca.crt"), 0o444))
	feed := run(t, func(c *exec.Cmd) {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: feeder, Gid: feeder, Groups: []uint32{agentUser}}
	}, starter, "feed", "--shared", p.shared, "--control", p.server.http.URL, "--canary", p.canary,
		"--token", at(p.root, "token"), "--authority", at(p.root, "ca.crt"))
	p.ready()

	// The container's mounts: the volume, which it cannot write, and the one file by its inode.
	agent := run(t, nil, "unshare", "--mount", "--propagation", "private", "sh", "-ec", `
		mount --bind "$1" "$1"; mount -o remount,ro,bind "$1"; mount --bind "$1/resolv.conf" /etc/resolv.conf
		exec setpriv --reuid 65532 --regid 65532 --clear-groups "$1/starter" wait --shared "$1"`, "sh", p.shared)
	eventually(t, "it waits; feed: "+feed.output(), func() bool { return listens(agent) })
	p.server.give(orders{order("1", "u-1", `
		id -u; cat /etc/resolv.conf; cd "$SHARED"
		for try in "echo x > start.json" "rm start.json" "echo x > new" "echo x > resolv.conf" "echo x > starter" "exec 9< lock" "exec 9> bell"; do
			(eval "$try") 2> /dev/null && echo "it could: $try"
		done; true`)}.with("env", []object{{"name": "SHARED", "value": p.shared}}))

	code, said := agent.code(t), agent.output()

	if code != 0 || said != "65532\nnameserver 10.0.0.1\n" {
		t.Errorf("%d: %s", code, said)
	}
	p.told("started", func(a asked) bool { return a.Started })
	if strings.Contains(feed.output(), `"level":"warn"`) || strings.Contains(feed.output(), `"level":"error"`) {
		t.Error(feed.output())
	}
}
