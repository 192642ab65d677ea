package netpol

import (
	"net/netip"
	"testing"

	"ringfence.dev/devcluster/internal/attachment"
)

func sandbox(id, ip string) attachment.Attachment {
	return attachment.Attachment{
		ContainerID: id, Namespace: "blue", Name: "pod-" + id, UID: "uid-" + id, IPs: []netip.Addr{netip.MustParseAddr(ip)},
	}
}

func open(t *testing.T, dir string) *store {
	t.Helper()
	s, err := openStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAttachmentsAreKnownAfterARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	for _, a := range []attachment.Attachment{sandbox("a", "10.0.0.1"), sandbox("b", "10.0.0.2")} {
		if err := s.Put(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete("a"); err != nil {
		t.Fatal(err)
	}

	all := open(t, dir).All()

	if len(all) != 1 || all[0].Name != "pod-b" || all[0].IPs[0] != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("attachments: %v", all)
	}
}

func TestAnAddressBelongsToTheSandboxThatGotItLast(t *testing.T) {
	s := open(t, t.TempDir())
	for _, a := range []attachment.Attachment{sandbox("old", "10.0.0.1"), sandbox("new", "10.0.0.1")} {
		if err := s.Put(a); err != nil {
			t.Fatal(err)
		}
	}

	all := s.All()

	if len(all) != 1 || all[0].ContainerID != "new" {
		t.Errorf("attachments: %v", all)
	}
}

func TestAnAttachmentThatCouldLeaveTheDirectoryIsRefused(t *testing.T) {
	s := open(t, t.TempDir())

	if err := s.Put(sandbox("../../etc/x", "10.0.0.1")); err == nil {
		t.Error("it was taken")
	}
}
