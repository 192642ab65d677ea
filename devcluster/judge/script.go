package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// patience is Argo CD's, after which it ends a script.
const patience = time.Second

var statuses = []string{"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"}

// byScript gives a script what Argo CD gives one that its administrator has configured: the global `obj`, of Lua's
// libraries those of the language itself and of tables, and a second.
func byScript(object *unstructured.Unstructured, scripts string) (word, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	state.SetContext(ctx)
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", toLua(state, object.Object))
	kind := object.GroupVersionKind()
	if err := state.DoFile(filepath.Join(scripts, kind.Group, kind.Kind, "health.lua")); err != nil {
		return word{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return word{}, fmt.Errorf("the script returns no table but %s", state.Get(-1).Type())
	}
	found := word{Status: text(table, "status"), Message: text(table, "message")}
	if !slices.Contains(statuses, found.Status) {
		return word{}, fmt.Errorf("Argo CD knows no health %q", found.Status)
	}
	return found, nil
}

// text returns a field, or nothing where it is not a string.
func text(table *lua.LTable, field string) string {
	found, _ := table.RawGetString(field).(lua.LString)
	return string(found)
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch given := value.(type) {
	case bool:
		return lua.LBool(given)
	case string:
		return lua.LString(given)
	case int64:
		return lua.LNumber(given)
	case float64:
		return lua.LNumber(given)
	case []any:
		list := state.NewTable()
		for _, each := range given {
			list.Append(toLua(state, each))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, each := range given {
			table.RawSetString(key, toLua(state, each))
		}
		return table
	}
	return lua.LNil
}
