package shared

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ringfence.dev/starter/internal/order"
)

func prepared(t *testing.T) (Directory, string) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/true\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	directory := Directory(t.TempDir())
	if err := directory.Prepare(program); err != nil {
		t.Fatal(err)
	}
	return directory, program
}

func start(uid string) *order.Start {
	return &order.Start{Agent: order.Agent{UID: uid}, Command: []string{"run", strings.Repeat("<", 100_000)}}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var found syscall.Stat_t
	if err := syscall.Stat(path, &found); err != nil {
		t.Fatal(err)
	}
	return found.Ino
}

func TestOfManyWhoHandOverAtOnceOneWinsAndAllTheOthersHearWhose(t *testing.T) {
	for round := range 100 {
		directory, _ := prepared(t)
		results := make([]error, 8)
		var group sync.WaitGroup
		for index := range results {
			group.Go(func() { results[index] = directory.HandOver(start(fmt.Sprintf("u-%d", index))) })
		}

		group.Wait()

		won, err := order.Read(directory.Start())
		if err != nil {
			t.Fatal(err)
		}
		winners := 0
		for _, each := range results {
			var taken *TakenError
			if each == nil {
				winners++
			} else if !errors.As(each, &taken) || taken.UID != won.Agent.UID {
				t.Fatalf("round %d: %v, and the pod is %s's", round, each, won.Agent.UID)
			}
		}
		if winners != 1 {
			t.Fatalf("round %d: %d winners", round, winners)
		}
	}
}

func TestWhatAStarterThatWasKilledHasLeftIsRemoved(t *testing.T) {
	directory, program := prepared(t)
	for _, name := range []string{unfinished + "1", unfinished + "2"} {
		if err := os.WriteFile(directory.at(name), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	err := directory.Prepare(program)

	left, _ := filepath.Glob(directory.at(unfinished + "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v, left: %v", err, left)
	}
}

func TestAStarterThatComesAgainLeavesWhatIsMountedAndRunsAsItIs(t *testing.T) {
	directory, program := prepared(t)
	if err := directory.Resolve("nameserver 10.0.0.1\n"); err != nil {
		t.Fatal(err)
	}
	before := []uint64{inode(t, directory.Program()), inode(t, directory.ResolvConf())}

	err := directory.Prepare(program)

	after := []uint64{inode(t, directory.Program()), inode(t, directory.ResolvConf())}
	content, _ := os.ReadFile(directory.ResolvConf())
	if err != nil || fmt.Sprint(before) != fmt.Sprint(after) || string(content) != "nameserver 10.0.0.1\n" {
		t.Errorf("%v: %v, then %v, with %q", err, before, after, content)
	}
}

func TestAnotherProgramReplacesTheFormerWhole(t *testing.T) {
	directory, program := prepared(t)
	if err := os.WriteFile(program, []byte("#!/bin/false\n"), 0o755); err != nil {
		t.Fatal(err)
	}

	err := directory.Prepare(program)

	content, _ := os.ReadFile(directory.Program())
	found, _ := os.Stat(directory.Program())
	if err != nil || string(content) != "#!/bin/false\n" || found.Mode().Perm() != 0o555 {
		t.Errorf("%v: %q, %v", err, content, found.Mode())
	}
}

func TestResolvConfIsWrittenInPlaceWhetherItGrowsOrShrinks(t *testing.T) {
	directory, _ := prepared(t)
	before := inode(t, directory.ResolvConf())
	mounted, err := os.Open(directory.ResolvConf())
	if err != nil {
		t.Fatal(err)
	}
	defer mounted.Close()

	for _, wanted := range []string{"search a.test b.test\nnameserver 10.0.0.1\n", "nameserver 10.0.0.1\n", ""} {
		if err := directory.Resolve(wanted); err != nil {
			t.Fatal(err)
		}

		content := make([]byte, 100)
		length, _ := mounted.ReadAt(content, 0)
		if found := string(content[:length]); found != wanted && (wanted != "" || found != Nowhere) {
			t.Errorf("%q instead of %q", found, wanted)
		}
	}
	if inode(t, directory.ResolvConf()) != before {
		t.Error("another inode: where the file is mounted, the former is seen")
	}
}

func TestWhoListensAndThenLooksMissesNoRing(t *testing.T) {
	directory, _ := prepared(t)
	bell, err := directory.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()
	if err := directory.Ring(); err != nil { // before it waits
		t.Fatal(err)
	}

	begun := time.Now()
	isRung, err := bell.Wait(5 * time.Second)

	if took := time.Since(begun); !isRung || err != nil || took > time.Second {
		t.Errorf("%t, %v after %s", isRung, err, took)
	}
}

func TestABellThatDoesNotRingEndsTheWaitInTime(t *testing.T) {
	directory, _ := prepared(t)
	bell, err := directory.Listen()
	if err != nil {
		t.Fatal(err)
	}
	defer bell.Close()

	begun := time.Now()
	isRung, err := bell.Wait(50 * time.Millisecond)

	if took := time.Since(begun); isRung || err != nil || took < 50*time.Millisecond || took > 2*time.Second {
		t.Errorf("%t, %v after %s", isRung, err, took)
	}
}

func TestAHandOverIsReadableByEverybodyAndWholeJSON(t *testing.T) {
	directory, _ := prepared(t)
	defer syscall.Umask(syscall.Umask(0o077))

	err := directory.HandOver(start("u-1"))

	found, _ := os.Stat(directory.Start())
	content, _ := os.ReadFile(directory.Start())
	if err != nil || found.Mode().Perm() != 0o644 || !json.Valid(content) {
		t.Errorf("%v: %v", err, found)
	}
	if len(content) > 101_000 {
		t.Errorf("%d bytes: < is written as more than one", len(content))
	}
}
