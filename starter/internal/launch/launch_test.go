package launch

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ringfence.dev/starter/internal/order"
)

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), mode)); err != nil {
		t.Fatal(err)
	}
}

func TestReferencesMeanWhatTheyMeanToTheKubelet(t *testing.T) {
	variables := overlay([]string{"HOME=/home", "EMPTY="}, nil)
	// Cases of k8s.io/kubernetes/third_party/forked/golang/expansion.
	for text, wanted := range map[string]string{
		"$(HOME)":        "/home",
		"$(HOME)$(HOME)": "/home/home",
		"x-$(HOME)-y":    "x-/home-y",
		"$(EMPTY)":       "",
		"$(MISSING)":     "$(MISSING)",
		"$$(HOME)":       "$(HOME)",
		"$$$(HOME)":      "$/home",
		"$$$$(HOME)":     "$$(HOME)",
		"$HOME":          "$HOME",
		"$(HOME":         "$(HOME",
		"$()":            "$()",
		"$":              "$",
		"$$":             "$",
		"foo$":           "foo$",
		"$(HOME)$":       "/home$",
		"$($(HOME))":     "$($(HOME))",
		"":               "",
	} {
		if found := variables.expand(text); found != wanted {
			t.Errorf("%q is %q instead of %q", text, found, wanted)
		}
	}
}

func TestTheOrdersVariablesLieOverTheContainersOwn(t *testing.T) {
	own := []string{"PATH=/bin", "A=own", "B=own", "=odd", "broken"}

	found := overlay(own, []order.Variable{
		{Name: "B", Value: "order"}, {Name: "C", Value: "$(B) and $(D)"}, {Name: "D", Value: "later"},
	})

	wanted := "PATH=/bin A=own B=order C=order and $(D) D=later"
	if list := strings.Join(found.list(), " "); list != wanted {
		t.Errorf("%s", list)
	}
}

func TestACommandIsSearchedForAsTheRuntimeDoes(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/first/tool", "", 0o644)
	write(t, root+"/second/tool", "", 0o755)
	write(t, root+"/first/only", "", 0o644)
	search := root + "/missing:" + root + "/first:" + root + "/second"

	tool, err := find("tool", search)
	if err != nil || tool != root+"/second/tool" {
		t.Errorf("tool: %s, %v", tool, err)
	}
	if _, err := find("only", search); !errors.Is(err, os.ErrPermission) {
		t.Errorf("only: %v", err)
	}
	if _, err := find("none", search); !errors.Is(err, errNotFound) {
		t.Errorf("none: %v", err)
	}
	if path, err := find("./anything", search); err != nil || path != "./anything" {
		t.Errorf("a path: %s, %v", path, err)
	}
}

func TestAFileIsMadeWithItsParentsAndItsModeWhateverTheUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	path := t.TempDir() + "/a/b/file"

	err := writeFile(order.File{Path: path, Content: []byte("hello")})
	other := writeFile(order.File{Path: path + "2", Mode: 0o640, Content: []byte("hello")})

	content, _ := os.ReadFile(path)
	first, _ := os.Stat(path)
	second, _ := os.Stat(path + "2")
	if errors.Join(err, other) != nil || string(content) != "hello" {
		t.Fatalf("%v, %v: %q", err, other, content)
	}
	if first.Mode().Perm() != 0o444 || second.Mode().Perm() != 0o640 {
		t.Errorf("modes %v and %v", first.Mode(), second.Mode())
	}
}

func TestAFileReplacesTheFormerAndWhatAKilledRunHasLeft(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/file", "former", 0o444)
	write(t, root+"/"+partial, "half", 0o600)

	err := writeFile(order.File{Path: root + "/file", Content: []byte("new")})

	content, _ := os.ReadFile(root + "/file")
	if _, left := os.Lstat(root + "/" + partial); err != nil || string(content) != "new" || left == nil {
		t.Errorf("%v: %q, left over: %v", err, content, left == nil)
	}
}

func TestNoSymbolicLinkOnTheWayToAFileIsFollowed(t *testing.T) {
	root, elsewhere := t.TempDir(), t.TempDir()
	if err := errors.Join(os.MkdirAll(root+"/real", 0o755), os.Symlink(elsewhere, root+"/real/link")); err != nil {
		t.Fatal(err)
	}

	for _, path := range []string{root + "/real/link/file", root + "/real/link/deep/file"} {
		err := writeFile(order.File{Path: path, Content: []byte("x")})
		if err == nil || !strings.Contains(err.Error(), "symbolic link to "+elsewhere) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if found, _ := os.ReadDir(elsewhere); len(found) > 0 {
		t.Errorf("written elsewhere: %v", found)
	}
}

func TestAFileThatHasBecomeALinkIsReplacedAndNotWrittenThrough(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/victim", "precious", 0o644)
	for _, name := range []string{"file", partial} {
		if err := os.Symlink(root+"/victim", root+"/"+name); err != nil {
			t.Fatal(err)
		}
	}

	err := writeFile(order.File{Path: root + "/file", Content: []byte("x")})

	victim, _ := os.ReadFile(root + "/victim")
	file, _ := os.Lstat(root + "/file")
	if err != nil || string(victim) != "precious" || !file.Mode().IsRegular() {
		t.Errorf("%v: %q, %v", err, victim, file.Mode())
	}
}

func TestAFileWhereADirectoryIsAndADirectoryWhereAFileIsAreErrors(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/file", "", 0o644)
	write(t, root+"/directory/x", "", 0o644)

	for _, path := range []string{root + "/file/below", root + "/directory"} {
		if err := writeFile(order.File{Path: path}); err == nil {
			t.Errorf("%s was written", path)
		}
	}
	if _, left := os.Lstat(root + "/" + partial); left == nil {
		t.Error("what could not become the file was left")
	}
}
