package order

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `{"version": "7", "agent": {"namespace": "team", "name": "a", "uid": "u-1"}, "command": ["run"], "args": ["x"],
	"workingDir": "/work", "env": [{"name": "TOKEN", "value": "hunter2"}],
	"files": [{"path": "/etc/a", "mode": 256, "content": "aGVsbG8="}],
	"resolvConf": "nameserver 10.0.0.1\n", "wayOut": "http://[fd00::1]:3128", "later": 1}`

func TestAnOrderIsReadAsItIsWritten(t *testing.T) {
	found, err := Decode([]byte(good))

	if err != nil {
		t.Fatal(err)
	}
	place, err := found.Place()
	if err != nil || place != "[fd00::1]:3128" {
		t.Errorf("way out %q, %v", place, err)
	}
	if found.Agent.UID != "u-1" || found.Env[0].Value != "hunter2" || string(found.Files[0].Content) != "hello" {
		t.Errorf("read as %+v", found)
	}
}

func TestNoOrderIsReadAsThatWhateverElseIsInIt(t *testing.T) {
	for _, body := range []string{`{"version": "none", "agent": null}`, strings.Replace(good, `"7"`, `"none"`, 1)} {
		found, err := Decode([]byte(body))

		if err != nil || found.Version != None || found.Agent.UID != "" || len(found.Command) > 0 {
			t.Errorf("%s is read as %+v, %v", body, found, err)
		}
	}
}

// change returns the good order with one field other than it was.
func change(t *testing.T, field string, value any) []byte {
	t.Helper()
	fields := map[string]any{}
	if err := json.Unmarshal([]byte(good), &fields); err != nil {
		t.Fatal(err)
	}
	fields[field] = value
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestAnOrderThatIsNotOneIsRefusedByTheNameOfItsField(t *testing.T) {
	file := func(path string) any { return []any{map[string]any{"path": path, "content": ""}} }
	variable := func(name, value string) any { return []any{map[string]any{"name": name, "value": value}} }
	long := strings.Repeat("x", LongestString+1)
	for name, each := range map[string]struct {
		field string
		value any
		said  string
	}{
		"no version":              {"version", "", "version"},
		"no uid":                  {"agent", map[string]any{"name": "a"}, "agent.uid"},
		"a uid with a slash":      {"agent", map[string]any{"uid": "../x"}, "agent.uid"},
		"no command":              {"command", []any{}, "command"},
		"an empty command":        {"command", []any{""}, "command"},
		"a NUL in the command":    {"command", []any{"a\x00b"}, "command[0]"},
		"an argument too long":    {"args", []any{"x", long}, "args[1]"},
		"a relative directory":    {"workingDir", "work", "workingDir"},
		"a relative file":         {"files", file("etc/a"), "files[0].path"},
		"a file above the root":   {"files", file("/etc/../../a"), "files[0].path"},
		"a file that is a root":   {"files", file("/"), "files[0].path"},
		"a file with a dot":       {"files", file("/etc/./a"), "files[0].path"},
		"a file twice":            {"files", append(file("/a").([]any), file("/a").([]any)...), "files[1].path"},
		"a set-uid file":          {"files", []any{map[string]any{"path": "/a", "mode": 0o4755}}, "files[0].mode"},
		"files that are too big":  {"files", []any{map[string]any{"path": "/a", "content": make([]byte, mostFileBytes+1)}}, "files have"},
		"a variable without name": {"env", variable("", "x"), "env[0]"},
		"a variable with =":       {"env", variable("A=B", "x"), "env[0]"},
		"a variable too long":     {"env", variable("A", long), "env[0]"},
		"no name server":          {"resolvConf", "search x\n", "resolvConf"},
		"a way out by name":       {"wayOut", "http://proxy:3128", "wayOut"},
		"a way out with a path":   {"wayOut", "http://10.0.0.1:3128/x", "wayOut"},
		"a way out over TLS":      {"wayOut", "https://10.0.0.1:3128", "wayOut"},
		"a number for a command":  {"command", 7, "command"},
	} {
		_, err := Decode(change(t, each.field, each.value))
		if err == nil || !strings.Contains(err.Error(), each.said) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsWrongWithAnOrderIsSaidWithoutItsValues(t *testing.T) {
	for name, body := range map[string][]byte{
		"type":   change(t, "env", []any{map[string]any{"name": "A", "value": map[string]any{"hunter2": 1}}}),
		"number": []byte(`{"files": [{"path": "/a", "mode": 5318008531}]}`),
		"syntax": []byte(`{"env": [{"value": "hunter2"`),
		"base64": change(t, "files", []any{map[string]any{"path": "/a", "content": "hunter2!"}}),
		"value":  change(t, "env", []any{map[string]any{"name": "A", "value": "hunter2\x00"}}),
	} {
		_, err := Decode(body)
		if err == nil || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "5318008531") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAStartThatIsHalfOfOneIsNotFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "start.json")
	if err := os.WriteFile(path, []byte(good[:120]), 0o600); err != nil {
		t.Fatal(err)
	}

	_, err := Read(path)

	if err == nil || os.IsNotExist(err) {
		t.Errorf("read: %v", err)
	}
}
