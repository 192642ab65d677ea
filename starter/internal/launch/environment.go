package launch

import (
	"strings"

	"ringfence.dev/starter/internal/order"
)

// environment keeps variables in their order: programs that list them are the easier to read.
type environment struct {
	names  []string
	values map[string]string
}

// overlay returns the container's own variables (NAME=value) with the order's over them. References in the order's
// values, $(NAME), mean what they mean to the kubelet: a variable that came before.
func overlay(own []string, others []order.Variable) *environment {
	result := &environment{values: map[string]string{}}
	for _, each := range own {
		if name, value, isOne := strings.Cut(each, "="); isOne && name != "" {
			result.set(name, value)
		}
	}
	for _, each := range others {
		result.set(each.Name, result.expand(each.Value))
	}
	return result
}

func (e *environment) set(name, value string) {
	if _, isThere := e.values[name]; !isThere {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) get(name, otherwise string) string {
	if value, isThere := e.values[name]; isThere {
		return value
	}
	return otherwise
}

func (e *environment) list() []string {
	result := make([]string, 0, len(e.names))
	for _, name := range e.names {
		result = append(result, name+"="+e.values[name])
	}
	return result
}

func (e *environment) expandAll(texts []string) []string {
	result := make([]string, 0, len(texts))
	for _, each := range texts {
		result = append(result, e.expand(each))
	}
	return result
}

// expand returns the text with $(NAME) replaced by the variable of that name and $$ by $, as the kubelet does it in
// command, args and env of a pod (k8s.io/kubernetes/third_party/forked/golang/expansion). What names no variable stays.
func (e *environment) expand(text string) string {
	result := strings.Builder{}
	for {
		before, after, hasDollar := strings.Cut(text, "$")
		result.WriteString(before)
		if !hasDollar {
			return result.String()
		}
		var replaced string
		replaced, text = e.reference(after)
		result.WriteString(replaced)
	}
}

// reference returns what a $ with `after` behind it stands for, and the text after that.
func (e *environment) reference(after string) (replaced, rest string) {
	if rest, isEscape := strings.CutPrefix(after, "$"); isEscape {
		return "$", rest
	}
	inside, isReference := strings.CutPrefix(after, "(")
	name, rest, isClosed := strings.Cut(inside, ")")
	if !isReference || !isClosed {
		return "$", after
	}
	return e.get(name, "$("+name+")"), rest
}
